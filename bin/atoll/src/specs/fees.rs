//! Tokens that an EVM environment takes fees in: the tables `[[evm.fee_tokens]]`.

use super::{token, units, wrong};
use anyhow::{Result, anyhow, bail};
use atoll_state::Resident;
use atoll_types::{Address, B256, EnvironmentId, NetworkId, U256};
use atoll_vm::evm::bridge::TOKEN_DECIMALS_MAX;
use atoll_vm::evm::{EvmSpec, EvmVm, FeeToken};
use atoll_vm::{Identity, Vm};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeeTokenTable {
    /// A token of the bridge, by its address on the hub.
    hub_token: Option<String>,
    /// Any other, by its address here.
    token: Option<String>,
    /// Of any other.
    decimals: Option<u8>,
    /// Of any other: where its `mapping(address => uint256)` of balances is.
    balances_slot: Option<String>,
    /// Whole tokens for one whole native coin.
    price: String,
}

/// The tokens, for a spec that has none yet.
pub(super) fn tokens(spec: &EvmSpec, tables: &[FeeTokenTable]) -> Result<Vec<FeeToken>> {
    let entries = tables.iter().enumerate();
    entries.map(|(at, table)| entry(spec, &format!("evm.fee_tokens[{at}]"), table)).collect()
}

fn entry(spec: &EvmSpec, key: &str, table: &FeeTokenTable) -> Result<FeeToken> {
    let (token, decimals, balances_slot) = match (&table.hub_token, &table.token) {
        (Some(hub), None) if table.decimals.is_none() && table.balances_slot.is_none() => {
            let (token, decimals) = bridged(spec, &format!("{key}.hub_token"), hub)?;
            (token, decimals, U256::ZERO)
        }
        (Some(_), None) => bail!(
            "{key} names a token of the bridge, and decimals or balances_slot; expected neither: \
             they are known"
        ),
        (None, Some(text)) => {
            let key = |name: &str| format!("{key}.{name}");
            let wanted = "an address of 40 hex digits with 0x";
            let address = text.parse().map_err(|_| wrong(&key("token"), text, wanted))?;
            let decimals = table.decimals.ok_or_else(|| {
                anyhow!("{} is missing; expected 0 to {TOKEN_DECIMALS_MAX}", key("decimals"))
            })?;
            let slot = table.balances_slot.as_deref().unwrap_or("0");
            let wanted = "a 256-bit number";
            let slot = slot.parse().map_err(|_| wrong(&key("balances_slot"), slot, wanted))?;
            (address, decimals, slot)
        }
        _ => bail!("{key} has both of hub_token and token, or neither; expected one of them"),
    };
    if decimals > TOKEN_DECIMALS_MAX {
        bail!("{key}.decimals is {decimals}; expected 0 to {TOKEN_DECIMALS_MAX}");
    }
    let price = units(&format!("{key}.price"), &table.price, u32::from(decimals))?;
    Ok(FeeToken { token, balances_slot, price })
}

/// Where a token of the bridge is, or will be: the bridge contract says so.
fn bridged(spec: &EvmSpec, key: &str, text: &str) -> Result<(Address, u8)> {
    let hub = token(key, text)?;
    let listed = spec.bridge.as_ref().and_then(|bridge| bridge.token(hub)).ok_or_else(|| {
        let expected = "a token that is listed as [[evm.bridge.tokens]]; for another one of this \
                        environment: token = \"0x…\"";
        wrong(key, text, expected)
    })?;
    let bridge_alone = EvmSpec { genesis: Vec::new(), ..spec.clone() };
    // The address is the same in any network.
    let identity = Identity { network: NetworkId(B256::ZERO), environment: EnvironmentId(1) };
    let mut vm = EvmVm::<Resident>::new(identity, bridge_alone, 0);
    vm.genesis();
    let address = vm.bridged_token(hub);
    let address = address.ok_or_else(|| anyhow!("{key}: the bridge contract gives no address"))?;
    Ok((address, listed.decimals))
}

#[cfg(test)]
mod tests {
    use super::super::{BUILT_IN, parse};
    use super::*;
    use atoll_executor::spec::VmSpec;

    fn parsed(text: &str) -> Result<Vec<FeeToken>> {
        let VmSpec::Evm(spec) = parse("evm.toml", text)?.vm else { panic!("an EVM") };
        Ok(spec.fee_tokens)
    }

    #[test]
    fn a_fee_token_is_one_of_the_bridge_or_any_other() {
        let good = BUILT_IN[1].1;
        let [usdc] = parsed(good).unwrap()[..] else { panic!("one token") };
        assert_eq!((usdc.price, usdc.balances_slot), (3_000_000_000, U256::ZERO));
        assert!(!usdc.token.is_zero());

        let hub = "hub_token = \"development:USDC\"\nprice";
        assert!(good.contains(hub));
        let with = |lines: &str| parsed(&good.replacen(hub, &format!("{lines}\nprice"), 1));
        let other = "token = \"0x00000000000000000000000000000000000000aa\"\n";
        let [listed] = with(&format!("{other}decimals = 18")).unwrap()[..] else { panic!("one") };
        assert_eq!(listed.token, Address::with_last_byte(0xaa));
        assert_eq!(listed.price, 3_000 * 10u128.pow(18));
        let slot = "balances_slot = \"0x52c63247e1f47db19d5ce0460030c497f067ca4cebf71ba98eeadabe20bace00\"";
        let [listed] = with(&format!("{other}decimals = 6\n{slot}")).unwrap()[..] else {
            panic!("one")
        };
        assert_eq!(listed.balances_slot.to_string().len(), 77);

        for (lines, expected) in [
            ("", "evm.fee_tokens[0] has both of hub_token and token, or neither"),
            (&format!("hub_token = \"development:USDC\"\n{other}"), "has both of"),
            ("hub_token = \"development:USDC\"\ndecimals = 6", "expected neither"),
            (
                "hub_token = \"0x00000000000000000000000000000000000000aa\"",
                "expected a token that is listed as [[evm.bridge.tokens]]",
            ),
            (other, "evm.fee_tokens[0].decimals is missing"),
            (&format!("{other}decimals = 37"), "evm.fee_tokens[0].decimals is 37"),
            ("token = \"0xaa\"\ndecimals = 6", "evm.fee_tokens[0].token is \"0xaa\""),
            (
                &format!("{other}decimals = 6\nbalances_slot = \"zero\""),
                "evm.fee_tokens[0].balances_slot is \"zero\"",
            ),
            ("hub_tokens = \"development:USDC\"", "hub_tokens"),
        ] {
            let error = format!("{:#}", with(lines).unwrap_err());
            assert!(error.contains(expected), "{lines}: {error}");
        }
        for (price, expected) in [
            ("\"0\"", "evm.fee_tokens[0].price is 0, expected more than zero"),
            ("\"1.2345678\"", "expected a number with at most 6 decimals"),
            ("\"many\"", "expected a decimal number"),
            ("3000", "expected a string"),
        ] {
            let text = good.replacen("price = \"3000\"", &format!("price = {price}"), 1);
            let error = format!("{:#}", parsed(&text).unwrap_err());
            assert!(error.contains(expected), "{price}: {error}");
        }
    }
}
