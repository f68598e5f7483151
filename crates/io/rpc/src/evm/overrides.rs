//! What a caller wants to be otherwise, as JSON: accounts by address, and the block.

use super::args::{field, list};
use super::parse::{
    address, bytes, hash, kind, quantity, quantity_u64, quantity_u128, storage_key,
};
use crate::port::{AccountOverride, BlockOverride, StateOverride, StorageOverride};
use alloy_primitives::{B256, U256};
use serde_json::{Map, Value};

/// Accounts that are otherwise.
const ACCOUNTS_MAX: usize = 1024;
/// Storage slots that are otherwise, of all accounts together.
const SLOTS_MAX: usize = 16_384;

pub(super) fn object(value: &Value) -> Result<&Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("expected an object, got {}", kind(value)))
}

/// State overrides.
pub(super) fn state(value: &Value) -> Result<StateOverride, String> {
    let accounts = object(value)?;
    if accounts.len() > ACCOUNTS_MAX {
        return Err(format!("at most {ACCOUNTS_MAX} accounts"));
    }
    let mut slots_left = SLOTS_MAX;
    let account = |(key, value): (&String, &Value)| {
        let named = address(&Value::String(key.clone()))?;
        let wanted = account(value, &mut slots_left).map_err(|why| format!("{named}: {why}"))?;
        Ok((named, wanted))
    };
    accounts.iter().map(account).collect()
}

fn account(value: &Value, slots_left: &mut usize) -> Result<AccountOverride, String> {
    let wanted = object(value)?;
    let replaced = field(wanted, "state", |value| slots(value, slots_left))?;
    let changed = field(wanted, "stateDiff", |value| slots(value, slots_left))?;
    let storage = match (replaced, changed) {
        (None, None) => StorageOverride::Keep,
        (Some(slots), None) => StorageOverride::Replace(slots),
        (None, Some(slots)) => StorageOverride::Change(slots),
        (Some(_), Some(_)) => return Err("has both \"state\" and \"stateDiff\"".to_owned()),
    };
    Ok(AccountOverride {
        nonce: field(wanted, "nonce", quantity_u64)?,
        balance: field(wanted, "balance", quantity)?,
        code: field(wanted, "code", bytes)?,
        storage,
        precompile_to: field(wanted, "movePrecompileToAddress", address)?,
    })
}

fn slots(value: &Value, left: &mut usize) -> Result<Vec<(U256, U256)>, String> {
    let slots = object(value)?;
    *left = left
        .checked_sub(slots.len())
        .ok_or_else(|| format!("at most {SLOTS_MAX} storage slots in all"))?;
    let slot = |(key, value): (&String, &Value)| {
        Ok((storage_key(&Value::String(key.clone()))?, storage_key(value)?))
    };
    slots.iter().map(slot).collect()
}

/// Block overrides; some names are those of older clients.
pub(super) fn block(value: &Value) -> Result<BlockOverride, String> {
    let wanted = object(value)?;
    for unsupported in ["beaconRoot", "withdrawals"] {
        let asked = wanted.get(unsupported).filter(|value| !value.is_null());
        if asked.is_some_and(|value| list(value).is_ok_and(|list| !list.is_empty()))
            || asked.is_some_and(|value| !value.is_array())
        {
            return Err(format!("{unsupported}: there is no beacon chain here"));
        }
    }
    let either =
        |names: [&'static str; 2]| names.into_iter().find(|name| wanted.contains_key(*name));
    let base_fee = either(["baseFeePerGas", "baseFee"]).unwrap_or("baseFeePerGas");
    let beneficiary = either(["feeRecipient", "coinbase"]).unwrap_or("feeRecipient");
    let prev_randao = either(["prevRandao", "random"]).unwrap_or("prevRandao");
    Ok(BlockOverride {
        number: field(wanted, "number", quantity)?,
        timestamp: field(wanted, "time", quantity_u64)?,
        gas_limit: field(wanted, "gasLimit", quantity_u64)?,
        beneficiary: field(wanted, beneficiary, address)?,
        prev_randao: field(wanted, prev_randao, |value| match hash(value) {
            Ok(hash) => Ok(hash),
            Err(_) => quantity(value).map(B256::from),
        })?,
        base_fee: field(wanted, base_fee, quantity_u64)?,
        blob_base_fee: field(wanted, "blobBaseFee", quantity_u128)?,
    })
}
