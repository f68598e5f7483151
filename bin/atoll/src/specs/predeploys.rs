//! What an EVM environment has beside its hardfork by name: precompiles, and contracts that tools
//! expect at the same address on every chain.

use super::unknown;
use alloy_primitives::hex;
use anyhow::{Context, Result, bail};
use atoll_types::{Address, B256, U256, keccak256};
use atoll_vm::evm::{GenesisAccount, Precompile, PrecompileSet};
use serde_json::Value;

/// Names and committed files; `contracts/predeploys/README.md` says where they are from.
const PREDEPLOYS: [(&str, &str); 3] = [
    ("create2-deployer", include_str!("../../../../contracts/predeploys/create2-deployer.json")),
    ("multicall3", include_str!("../../../../contracts/predeploys/multicall3.json")),
    (PERMIT2, include_str!("../../../../contracts/predeploys/permit2.json")),
];
const PERMIT2: &str = "permit2";
/// Where in Permit2's code its immutables are: the operands of two PUSH32.
const PERMIT2_CHAIN_ID: usize = 6_945;
const PERMIT2_DOMAIN_SEPARATOR: usize = 6_983;

/// Looks each name up, once.
fn named<T>(
    key: &str,
    names: &[String],
    known: impl IntoIterator<Item = &'static str> + Clone,
    find: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>> {
    let mut found = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let key = format!("{key}[{at}]");
        if names[..at].contains(name) {
            bail!("{key} is \"{name}\", which is named before; expected each once");
        }
        found.push(find(name).ok_or_else(|| unknown(&key, name, known.clone()))?);
    }
    Ok(found)
}

/// The precompiles with these names.
pub(super) fn precompiles(names: &[String]) -> Result<PrecompileSet> {
    let known = Precompile::ALL.map(Precompile::name);
    let found = named("evm.precompiles", names, known, Precompile::from_name)?;
    Ok(found.into_iter().fold(PrecompileSet::NONE, PrecompileSet::with))
}

/// The contracts with these names, as they would be after their deployment on this chain.
pub(super) fn predeploys(names: &[String], chain_id: u64) -> Result<Vec<GenesisAccount>> {
    let known = PREDEPLOYS.map(|(name, _)| name);
    let find = |name: &str| PREDEPLOYS.into_iter().find(|(known, _)| *known == name);
    let found = named("evm.predeploys", names, known, find)?;
    let account = |(name, json): (&str, &str)| {
        let (address, mut code) = committed(json).with_context(|| format!("predeploy {name}"))?;
        if name == PERMIT2 {
            set_permit2_immutables(&mut code, address, chain_id)?;
        }
        Ok(GenesisAccount { address, nonce: 1, code: code.into(), ..GenesisAccount::default() })
    };
    found.into_iter().map(account).collect()
}

/// Address and code of a file.
fn committed(json: &str) -> Result<(Address, Vec<u8>)> {
    let json: Value = serde_json::from_str(json)?;
    let text = |key: &str| json[key].as_str().with_context(|| format!("it has no {key}"));
    Ok((text("address")?.parse()?, hex::decode(text("code")?)?))
}

fn permit2_domain_separator(address: Address, chain_id: u64) -> B256 {
    let domain = b"EIP712Domain(string name,uint256 chainId,address verifyingContract)";
    let words = [
        keccak256(domain),
        keccak256(b"Permit2"),
        B256::from(U256::from(chain_id)),
        address.into_word(),
    ];
    keccak256(words.concat())
}

/// Permit2 computes its domain separator where the chain id is another than that of its deployment,
/// so that mainnet's code would be right, too. With the immutables of this chain it costs its users
/// what it costs everywhere.
fn set_permit2_immutables(code: &mut [u8], address: Address, chain_id: u64) -> Result<()> {
    let separator = permit2_domain_separator(address, chain_id);
    for (at, word) in [
        (PERMIT2_CHAIN_ID, B256::from(U256::from(chain_id))),
        (PERMIT2_DOMAIN_SEPARATOR, separator),
    ] {
        let place = code.get_mut(at..at + 32).context("its code is too short")?;
        place.copy_from_slice(word.as_slice());
    }
    Ok(())
}

#[cfg(test)]
#[path = "predeploys_tests.rs"]
mod tests;
