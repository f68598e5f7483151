//! Strict parsing of Ethereum's hex: `0x` everywhere, no leading zeros in quantities, exact
//! lengths for hashes and addresses. The sentences are geth's.

use super::error::RpcError;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use serde_json::Value;

/// Why a value is refused.
type Refused = String;

fn text(value: &Value) -> Result<&str, Refused> {
    value.as_str().ok_or_else(|| format!("expected a hex string, got {}", kind(value)))
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn digits(value: &Value) -> Result<&str, Refused> {
    let text = text(value)?;
    if text.is_empty() {
        return Err("empty hex string".to_owned());
    }
    let prefixed = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    prefixed.ok_or_else(|| "hex string without 0x prefix".to_owned())
}

/// A quantity of at most 256 bits.
pub(super) fn quantity(value: &Value) -> Result<U256, Refused> {
    let digits = digits(value)?;
    match digits {
        "" => Err("hex string \"0x\"".to_owned()),
        "0" => Ok(U256::ZERO),
        _ if digits.starts_with('0') => Err("hex number with leading zero digits".to_owned()),
        _ if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            Err("invalid hex string".to_owned())
        }
        _ if digits.len() > 64 => Err("hex number > 256 bits".to_owned()),
        _ => U256::from_str_radix(digits, 16).map_err(|_| "invalid hex string".to_owned()),
    }
}

/// A quantity of at most 64 bits.
pub(super) fn quantity_u64(value: &Value) -> Result<u64, Refused> {
    u64::try_from(quantity(value)?).map_err(|_| "hex number > 64 bits".to_owned())
}

/// A price: at most 128 bits, as everywhere in the EVM.
pub(super) fn quantity_u128(value: &Value) -> Result<u128, Refused> {
    u128::try_from(quantity(value)?).map_err(|_| "hex number > 128 bits".to_owned())
}

/// Bytes.
pub(super) fn bytes(value: &Value) -> Result<Bytes, Refused> {
    let digits = digits(value)?;
    if digits.len() % 2 == 1 {
        return Err("hex string of odd length".to_owned());
    }
    hex::decode(digits).map(Bytes::from).map_err(|_| "invalid hex string".to_owned())
}

fn fixed<const N: usize>(value: &Value, what: &str) -> Result<[u8; N], Refused> {
    let digits = digits(value)?;
    if digits.len() != 2 * N {
        return Err(format!("hex string has length {}, want {} for {what}", digits.len(), 2 * N));
    }
    let mut out = [0; N];
    hex::decode_to_slice(digits, &mut out).map_err(|_| "invalid hex string".to_owned())?;
    Ok(out)
}

/// A hash.
pub(super) fn hash(value: &Value) -> Result<B256, Refused> {
    fixed(value, "a hash").map(B256::from)
}

/// An address, in any case: checksums are for people.
pub(super) fn address(value: &Value) -> Result<Address, Refused> {
    fixed(value, "an address").map(Address::from)
}

/// A storage key: up to 32 bytes, zeros in front or not.
pub(super) fn storage_key(value: &Value) -> Result<U256, Refused> {
    let digits = digits(value)?;
    if digits.len() > 64 {
        return Err("storage key too long (want at most 32 bytes)".to_owned());
    }
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("invalid hex string".to_owned());
    }
    U256::from_str_radix(digits, 16).map_err(|_| "invalid hex string".to_owned())
}

/// The positional parameters of a call.
pub(super) struct Params(pub(super) Vec<Value>);

impl Params {
    /// The parameters; more than `max` are refused, `null` counts as absent.
    pub(super) fn new(params: Option<Value>, max: usize) -> Result<Self, RpcError> {
        match params {
            None | Some(Value::Null) => Ok(Self(Vec::new())),
            Some(Value::Array(list)) if list.len() > max => {
                Err(RpcError::params(format!("too many arguments, want at most {max}")))
            }
            Some(Value::Array(list)) => Ok(Self(list)),
            Some(_) => Err(RpcError::params("non-array args")),
        }
    }

    /// The parameter at `position`, if it is there.
    pub(super) fn get(&self, position: usize) -> Option<&Value> {
        self.0.get(position).filter(|value| !value.is_null())
    }

    /// The parameter at `position`, parsed.
    pub(super) fn required<T>(
        &self,
        position: usize,
        parse: impl FnOnce(&Value) -> Result<T, Refused>,
    ) -> Result<T, RpcError> {
        let missing =
            || RpcError::params(format!("missing value for required argument {position}"));
        parse(self.get(position).ok_or_else(missing)?)
            .map_err(|refused| invalid(position, &refused))
    }

    /// The parameter at `position`, parsed, or the default.
    pub(super) fn optional<T: Default>(
        &self,
        position: usize,
        parse: impl FnOnce(&Value) -> Result<T, Refused>,
    ) -> Result<T, RpcError> {
        match self.get(position) {
            Some(value) => parse(value).map_err(|refused| invalid(position, &refused)),
            None => Ok(T::default()),
        }
    }
}

fn invalid(position: usize, refused: &str) -> RpcError {
    RpcError::params(format!("invalid argument {position}: {refused}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities_are_as_strict_as_geth_s() {
        for (text, expected) in [
            ("0x0", Ok(U256::ZERO)),
            ("0x1f", Ok(U256::from(31))),
            ("0X1F", Ok(U256::from(31))),
            ("", Err("empty hex string")),
            ("0x", Err("hex string \"0x\"")),
            ("10", Err("hex string without 0x prefix")),
            ("0x01", Err("hex number with leading zero digits")),
            ("0x+1", Err("invalid hex string")),
            ("0x1_0", Err("invalid hex string")),
            ("0xzz", Err("invalid hex string")),
        ] {
            assert_eq!(quantity(&json!(text)), expected.map_err(str::to_owned), "{text}");
        }
        let most = format!("0x{}", "f".repeat(64));
        assert_eq!(quantity(&json!(most)), Ok(U256::MAX));
        assert_eq!(quantity(&json!(format!("{most}f"))), Err("hex number > 256 bits".to_owned()));
        assert_eq!(quantity_u64(&json!("0xffffffffffffffff")), Ok(u64::MAX));
        let over = quantity_u64(&json!("0x10000000000000000"));
        assert_eq!(over, Err("hex number > 64 bits".to_owned()));
        assert_eq!(quantity(&json!(5)), Err("expected a hex string, got a number".to_owned()));
    }

    #[test]
    fn bytes_and_fixed_lengths() {
        assert_eq!(bytes(&json!("0x")), Ok(Bytes::new()));
        assert_eq!(bytes(&json!("0x1")), Err("hex string of odd length".to_owned()));
        assert!(bytes(&json!("0x0g")).is_err());
        assert!(address(&json!("0x00")).is_err());
        assert!(hash(&json!(format!("0x{}", "0".repeat(64)))).is_ok());
        assert_eq!(storage_key(&json!("0x0")), Ok(U256::ZERO));
        assert_eq!(storage_key(&json!(format!("0x{}1", "0".repeat(63)))), Ok(U256::from(1)));
        assert!(storage_key(&json!(format!("0x{}", "0".repeat(65)))).is_err());
    }
}
