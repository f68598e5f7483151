//! Numbers, addresses and bytes as Ethereum's JSON has them.

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::fmt;
use std::str::FromStr;

/// Reads a number: `0x` and hexadecimal digits (leading zeros allowed), or decimal digits. What state
/// tests mark as `0x:bigint 0x…` is one too large for its field.
pub(crate) fn number(text: &str) -> Result<U256, String> {
    let text = text.strip_prefix("0x:bigint ").unwrap_or(text);
    let parsed = match text.strip_prefix("0x") {
        Some("") => return Ok(U256::ZERO),
        Some(digits) => U256::from_str_radix(digits, 16),
        None if text.is_empty() => return Err("an empty string is not a number".into()),
        None => U256::from_str_radix(text, 10),
    };
    parsed.map_err(|error| format!("{text:?} is not a number below 2^256: {error}"))
}

/// A number, written as text or as a JSON integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number(pub(crate) U256);

/// A number below 2^64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Small(pub(crate) u64);

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = U256;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number as \"0x…\", as decimal digits or as an integer")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<U256, E> {
        number(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<U256, E> {
        Ok(U256::from(value))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NumberVisitor).map(Self)
    }
}

impl<'de> Deserialize<'de> for Small {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wide = from.deserialize_any(NumberVisitor)?;
        let too_large = |_| D::Error::custom(format!("{wide} does not fit 64 bits"));
        u64::try_from(wide).map(Self).map_err(too_large)
    }
}

/// What is parsed from a string of hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hex<T>(pub(crate) T);

pub(crate) type HexAddress = Hex<Address>;
pub(crate) type Hash = Hex<B256>;
pub(crate) type Data = Hex<Bytes>;

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Hex<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let wrong = |error| D::Error::custom(format!("{:.80}: {error}", text));
        text.parse().map(Self).map_err(wrong)
    }
}

/// The address of a callee; an empty string creates a contract, as null does.
pub(crate) fn callee<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Address>, D::Error> {
    match Option::<String>::deserialize(from)? {
        None => Ok(None),
        Some(text) if text.is_empty() || text == "0x" => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|e| D::Error::custom(format!("{text}: {e}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_every_form_that_the_files_have() {
        let read = |text: &str| serde_json::from_str::<Number>(text).map(|number| number.0);
        for text in ["\"0x0a\"", "\"0xA\"", "\"10\"", "10"] {
            assert_eq!(read(text).expect(text), U256::from(10), "{text}");
        }
        assert_eq!(read("\"0x\"").expect("empty"), U256::ZERO);
        let above = format!("\"0x1{}\"", "0".repeat(64));
        for text in [above.as_str(), "\"0xg\"", "\"\"", "-1", "1.5", "null"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Small>("\"0x10000000000000000\"").is_err());
        assert!(number("0x:bigint 0x10").is_ok());
    }
}
