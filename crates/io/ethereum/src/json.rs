//! Ethereum's JSON: hexadecimal strings, read strictly and written.

use alloy_primitives::{Address, B256, U256, hex};
use serde_json::Value;

pub(crate) type Read<T> = Result<T, String>;

fn text<'a>(value: &'a Value, what: &str) -> Read<&'a str> {
    value.as_str().ok_or_else(|| format!("{what} is not a string: {}", short(value)))
}

/// The beginning of a value, for errors.
pub(crate) fn short(value: &Value) -> String {
    value.to_string().chars().take(200).collect()
}

pub(crate) fn u256(value: &Value, what: &str) -> Read<U256> {
    let text = text(value, what)?;
    let digits = text.strip_prefix("0x").ok_or_else(|| format!("{what} has no 0x: {text}"))?;
    U256::from_str_radix(digits, 16).map_err(|_| format!("{what} is not a number: {text}"))
}

pub(crate) fn u128(value: &Value, what: &str) -> Read<u128> {
    u256(value, what)?.try_into().map_err(|_| format!("{what} is above 2^128"))
}

pub(crate) fn u64(value: &Value, what: &str) -> Read<u64> {
    u256(value, what)?.try_into().map_err(|_| format!("{what} is above 2^64"))
}

pub(crate) fn b256(value: &Value, what: &str) -> Read<B256> {
    let text = text(value, what)?;
    text.parse().map_err(|_| format!("{what} is not 32 bytes: {text}"))
}

pub(crate) fn address(value: &Value, what: &str) -> Read<Address> {
    let text = text(value, what)?;
    text.parse().map_err(|_| format!("{what} is not an address: {text}"))
}

pub(crate) fn bytes(value: &Value, what: &str) -> Read<Vec<u8>> {
    let text = text(value, what)?;
    let digits = text.strip_prefix("0x").ok_or_else(|| format!("{what} has no 0x"))?;
    hex::decode(digits).map_err(|error| format!("{what}: {error}"))
}

/// A member that must be there.
pub(crate) fn member<'a>(value: &'a Value, name: &str) -> Read<&'a Value> {
    value.get(name).ok_or_else(|| format!("`{name}` is missing in {}", short(value)))
}

/// A member that may be absent or null.
pub(crate) fn optional<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.get(name).filter(|value| !value.is_null())
}

pub(crate) fn quantity(value: impl Into<U256>) -> Value {
    Value::String(format!("{:#x}", value.into()))
}

pub(crate) fn data(bytes: &[u8]) -> Value {
    Value::String(hex::encode_prefixed(bytes))
}
