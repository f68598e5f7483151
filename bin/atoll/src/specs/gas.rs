//! Prices of an EVM environment that are not its hardfork's: the tables `evm.gas.operations` and
//! `evm.gas.precompiles`.

use super::wrong;
use anyhow::Result;
use atoll_vm::evm::gas::precompile_names;
use atoll_vm::evm::{GasOverrides, Operation};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GasTable {
    /// Prices, in gas.
    #[serde(default)]
    operations: BTreeMap<String, u64>,
    /// How many times the price elsewhere.
    #[serde(default)]
    precompiles: BTreeMap<String, u64>,
}

pub(super) fn overrides(table: &GasTable) -> Result<GasOverrides> {
    let mut overrides = GasOverrides::default();
    for (name, price) in &table.operations {
        let operation = Operation::from_name(name).ok_or_else(|| {
            let names: Vec<_> = Operation::ALL.map(Operation::name).into();
            let expected = format!("one of: {}", names.join(", "));
            wrong("evm.gas.operations", name, &expected)
        })?;
        overrides = overrides.with(operation, *price);
    }
    for (name, factor) in &table.precompiles {
        overrides = overrides.with_factor(name, *factor).ok_or_else(|| {
            let names: Vec<_> = precompile_names().collect();
            let expected = format!("one of: {}", names.join(", "));
            wrong("evm.gas.precompiles", name, &expected)
        })?;
    }
    Ok(overrides)
}
