//! Prices of an EVM environment that are not its hardfork's: the tables `evm.gas.operations` and
//! `evm.gas.precompiles`.

use super::unknown;
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
        let known = Operation::ALL.map(Operation::name);
        let operation =
            Operation::from_name(name).ok_or_else(|| unknown("evm.gas.operations", name, known))?;
        overrides = overrides.with(operation, *price);
    }
    for (name, factor) in &table.precompiles {
        overrides = overrides
            .with_factor(name, *factor)
            .ok_or_else(|| unknown("evm.gas.precompiles", name, precompile_names()))?;
    }
    Ok(overrides)
}
