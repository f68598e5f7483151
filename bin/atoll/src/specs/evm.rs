//! The table `evm` of a spec file: an EVM environment.

use super::{
    GenesisTable, NATIVE_DECIMALS, account, accounts, fees, gas, predeploys, token, units, wrong,
};
use anyhow::{Result, anyhow, bail};
use atoll_executor::EnvironmentSpec;
use atoll_executor::spec::VmSpec;
use atoll_types::{EnvironmentId, U256};
use atoll_vm::evm::{
    BaseFee, BridgedTokenSpec, EvmBridge, EvmExchange, EvmSpec, GenesisAccount, Hardfork,
};
use atoll_vm::router::Observes;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EvmTable {
    chain_id: u64,
    hardfork: String,
    symbol: String,
    block_gas_limit: u64,
    base_fee: BaseFeeTable,
    fee_recipient: String,
    #[serde(default)]
    fee_tokens: Vec<fees::FeeTokenTable>,
    #[serde(default)]
    precompiles: Vec<String>,
    #[serde(default)]
    predeploys: Vec<String>,
    #[serde(default)]
    gas: gas::GasTable,
    bridge: Option<BridgeTable>,
    exchange: Option<ExchangePortTable>,
}

/// The exchange environment that an EVM environment's contracts trade on and read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExchangePortTable {
    environment: u32,
    every_slots: u32,
}

/// How money comes into an EVM environment and leaves it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BridgeTable {
    #[serde(default)]
    tokens: Vec<BridgedTokenTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BridgedTokenTable {
    hub_token: String,
    name: String,
    symbol: String,
    decimals: u8,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum BaseFeeTable {
    Fixed { fixed: u64 },
    Eip1559 { initial: u64, change_denominator: u64 },
}

/// The spec of the environment with this id.
pub(super) fn spec(id: u32, table: &EvmTable, genesis: &[GenesisTable]) -> Result<EvmSpec> {
    let mut list = predeploys::predeploys(&table.predeploys, table.chain_id)?;
    for (at, entry) in genesis.iter().enumerate() {
        let key = |name: &str| format!("genesis[{at}].{name}");
        if !entry.balances.is_empty() {
            bail!("{} is set; expected balance = \"…\" in an EVM's genesis", key("balances"));
        }
        let hex = |name: &str, text: &str| {
            text.parse().map_err(|_| wrong(&key(name), text, "hex digits with 0x"))
        };
        let word = |name: &str, text: &str| -> Result<U256> {
            text.parse().map_err(|_| wrong(&key(name), text, "a 256-bit number"))
        };
        let balance = entry.balance.as_deref().unwrap_or("0");
        let balance = U256::from(units(&key("balance"), balance, NATIVE_DECIMALS)?);
        let mut storage = Vec::new();
        for (slot, value) in &entry.storage {
            storage.push((word("storage", slot)?, word("storage", value)?));
        }
        for address in accounts(&key("account"), entry)? {
            list.push(GenesisAccount {
                address,
                balance,
                nonce: entry.nonce.unwrap_or(0),
                code: entry
                    .code
                    .as_deref()
                    .map(|c| hex("code", c))
                    .transpose()?
                    .unwrap_or_default(),
                storage: storage.clone(),
            });
        }
    }
    let forks = "one of cancun, prague, osaka";
    let mut spec = EvmSpec {
        chain_id: table.chain_id,
        hardfork: Hardfork::from_name(&table.hardfork)
            .ok_or_else(|| wrong("evm.hardfork", &table.hardfork, forks))?,
        symbol: table.symbol.clone(),
        block_gas_limit: table.block_gas_limit,
        base_fee: match table.base_fee {
            BaseFeeTable::Fixed { fixed } => BaseFee::Fixed(fixed),
            BaseFeeTable::Eip1559 { initial, change_denominator } => {
                BaseFee::Eip1559 { initial, change_denominator }
            }
        },
        fee_recipient: account("evm.fee_recipient", &table.fee_recipient)?,
        fee_tokens: Vec::new(),
        precompiles: predeploys::precompiles(&table.precompiles)?,
        gas: gas::overrides(&table.gas)?,
        bridge: table.bridge.as_ref().map(bridge).transpose()?,
        exchange: table.exchange.as_ref().map(|port| exchange_port(id, port)).transpose()?,
        genesis: list,
    };
    spec.validate().map_err(|error| anyhow!("evm.{error}"))?;
    if !table.fee_tokens.is_empty() {
        // The bridge of a spec that is sound otherwise says where its tokens are.
        spec.fee_tokens = fees::tokens(&spec, &table.fee_tokens)?;
        spec.validate().map_err(|error| anyhow!("evm.{error}"))?;
    }
    Ok(spec)
}

fn bridge(table: &BridgeTable) -> Result<EvmBridge> {
    let tokens = table.tokens.iter().enumerate().map(|(at, listed)| {
        Ok(BridgedTokenSpec {
            token: token(&format!("evm.bridge.tokens[{at}].hub_token"), &listed.hub_token)?,
            name: listed.name.clone(),
            symbol: listed.symbol.clone(),
            decimals: listed.decimals,
        })
    });
    Ok(EvmBridge {
        code: crate::hub::artifacts::environment_bridge()?.into(),
        tokens: tokens.collect::<Result<_>>()?,
    })
}

fn exchange_port(own: u32, table: &ExchangePortTable) -> Result<EvmExchange> {
    if table.environment == own {
        bail!(
            "evm.exchange.environment is {own}, which is this environment's own id; expected the id \
             of an exchange environment"
        );
    }
    Ok(EvmExchange {
        code: crate::hub::artifacts::runtime_code("ExchangePort")?.into(),
        environment: EnvironmentId(table.environment),
        every_slots: table.every_slots,
    })
}

/// Checks that what the ports of EVM environments name are exchanges.
pub(super) fn check_ports(specs: &[EnvironmentSpec]) -> Result<()> {
    for spec in specs {
        let VmSpec::Evm(EvmSpec { exchange: Some(port), .. }) = &spec.vm else { continue };
        // One that is not there yet may be added; until then nothing comes from it.
        let named = specs.iter().find(|other| other.id == port.environment);
        if let Some(other) = named.filter(|other| !matches!(other.vm, VmSpec::Exchange(_))) {
            bail!(
                "{}: evm.exchange.environment is {}, which is {}, no exchange; expected the id of an \
                 exchange environment",
                spec.name,
                other.id,
                other.name
            );
        }
    }
    Ok(())
}

/// What the router shows an environment of another one of these.
pub(super) fn observes(spec: &EnvironmentSpec, specs: &[EnvironmentSpec]) -> Option<Observes> {
    let VmSpec::Evm(EvmSpec { exchange: Some(port), .. }) = &spec.vm else { return None };
    let EvmExchange { environment, every_slots, .. } = *port;
    let known = specs.iter().any(|other| other.id == environment);
    known.then_some(Observes { environment, every_slots })
}

#[cfg(test)]
mod tests {
    use super::super::{BUILT_IN, load_all, parse};
    use super::*;

    #[test]
    fn the_exchange_of_an_evm_environment_is_another_one_and_an_exchange() {
        let good = BUILT_IN[1].1;
        let spec = parse("evm.toml", good).unwrap();
        let VmSpec::Evm(EvmSpec { exchange: Some(port), .. }) = &spec.vm else { panic!("a port") };
        assert_eq!((port.environment, port.every_slots), (EnvironmentId(1), 5));
        for (from, to, expected) in [
            (
                "environment = 1 ",
                "environment = 2 ",
                "evm.exchange.environment is 2, which is this",
            ),
            ("environment = 1 ", "environment = 0 ", "evm.exchange.environment is 0, expected"),
            ("environment = 1 ", "", "environment"),
            (
                "every_slots = 5 ",
                "every_slots = 0 ",
                "evm.exchange.every_slots is 0, expected 1 to 10000",
            ),
            ("every_slots = 5 ", "every_slots = 10001 ", "evm.exchange.every_slots is 10001"),
            ("every_slots = 5 ", "every_slot = 5 ", "every_slot"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = parse("evm.toml", &good.replacen(from, to, 1)).unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{to}: {error:#}");
        }
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        put("evm.toml", good);
        // What is not there yet may come.
        assert_eq!(load_all(Some(folder.path())).unwrap().len(), 1);
        let other = good
            .replacen("id = 2", "id = 1", 1)
            .replacen("name = \"evm\"", "name = \"other\"", 1)
            .replacen("environment = 1 ", "environment = 9 ", 1);
        put("other.toml", &other);
        let error = load_all(Some(folder.path())).unwrap_err();
        assert!(format!("{error:#}").contains("is 1, which is other, no exchange"), "{error:#}");
    }
}
