//! JSON-RPC errors as Ethereum clients expect them.

use crate::port::{CallError, QueryError};
use alloy_primitives::{Bytes, U256};
use atoll_types::{Reject, RejectCode};
use serde_json::{Value, json};

/// A JSON-RPC error.
#[derive(Clone, Debug, PartialEq)]
pub struct RpcError {
    /// JSON-RPC code.
    pub code: i64,
    /// The sentence; its beginning is what clients match on.
    pub message: String,
    /// Revert data as hex, or Atoll's code and label.
    pub data: Option<Value>,
}

/// The body is not JSON.
pub(super) const PARSE: i64 = -32700;
/// The JSON is not a request.
pub(super) const REQUEST: i64 = -32600;
const METHOD: i64 = -32601;
const PARAMS: i64 = -32602;
const INTERNAL: i64 = -32603;
const SERVER: i64 = -32000;
const UNAVAILABLE: i64 = -32002;
const LIMIT: i64 = -32005;
const REVERTED: i64 = 3;

/// Beginnings of sentences that clients know as they are.
const OWN_WORDS: &[&str] = &[
    "exceeds block gas limit",
    "insufficient gas for floor data gas cost",
    "intrinsic gas too low",
    "max initcode size exceeded",
    "max priority fee per gas higher than max fee per gas",
    "nonce has max value",
    "transaction gas limit too high",
];

impl RpcError {
    /// An error with its sentence.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    pub(super) fn params(message: impl Into<String>) -> Self {
        Self::new(PARAMS, message)
    }

    pub(super) fn limit(message: impl Into<String>) -> Self {
        Self::new(LIMIT, message)
    }

    pub(super) fn server(message: impl Into<String>) -> Self {
        Self::new(SERVER, message)
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(INTERNAL, message)
    }

    /// geth's wording: ethers and viem recognise an unsupported method by it.
    pub(super) fn method(name: &str) -> Self {
        let name: String = name.chars().take(64).collect();
        Self::new(METHOD, format!("the method {name} does not exist/is not available"))
    }

    /// What reverted code returned, with its reason if it gives one that is known.
    pub(super) fn reverted(data: &Bytes) -> Self {
        let message = match revert_reason(data) {
            Some(reason) => format!("execution reverted: {reason}"),
            None => "execution reverted".to_owned(),
        };
        Self { code: REVERTED, message, data: Some(json!(data)) }
    }

    pub(super) fn to_json(&self) -> Value {
        match &self.data {
            Some(data) => json!({ "code": self.code, "message": self.message, "data": data }),
            None => json!({ "code": self.code, "message": self.message }),
        }
    }
}

impl From<QueryError> for RpcError {
    fn from(error: QueryError) -> Self {
        let code = match &error {
            QueryError::NotFound(_) | QueryError::NotKept(_) => SERVER,
            QueryError::Invalid(_) => PARAMS,
            QueryError::TooLarge(_) => LIMIT,
            QueryError::Busy(_) => UNAVAILABLE,
            QueryError::Internal(_) => INTERNAL,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Reject> for RpcError {
    fn from(reject: Reject) -> Self {
        use RejectCode as C;
        let code = match reject.code {
            C::RateLimited => LIMIT,
            C::Busy | C::Halted => UNAVAILABLE,
            _ => SERVER,
        };
        // What geth says of the same thing: wallets and libraries match on these words.
        let known = match reject.code {
            C::NonceTooLow | C::NonceUsed => "nonce too low",
            C::NonceTooHigh => "nonce too high",
            C::InsufficientBalance => "insufficient funds for gas * price + value",
            C::AlreadyKnown => "already known",
            C::Underpriced => "replacement transaction underpriced",
            C::FeeTooLow => "transaction underpriced",
            C::WrongChain => "invalid chain id for signer",
            C::BadSignature | C::Unsigned => "invalid sender",
            C::Oversized => "oversized data",
            C::Unsupported => "transaction type not supported",
            _ => "",
        };
        // Where one code stands for several things, the sentence itself begins with the words.
        let own = OWN_WORDS.iter().any(|words| reject.message.starts_with(words));
        let known = match (own, reject.code) {
            (true, _) => "",
            (false, C::GasLimit) => "gas limit out of range",
            (false, _) => known,
        };
        let message = match (known, reject.message.as_str()) {
            ("", sentence) => sentence.to_owned(),
            (known, "") => known.to_owned(),
            (known, sentence) if sentence.starts_with(known) => sentence.to_owned(),
            (known, sentence) => format!("{known}: {sentence}"),
        };
        let data = json!({ "code": reject.code.number(), "label": reject.code.label() });
        Self { code, message, data: Some(data) }
    }
}

impl From<CallError> for RpcError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Reverted(data) => Self::reverted(&data),
            CallError::Halted(sentence) => Self::server(sentence),
            CallError::Rejected(reject) => reject.into(),
            CallError::Query(error) => error.into(),
        }
    }
}

/// The reason in `Error(string)` or `Panic(uint256)`.
fn revert_reason(data: &Bytes) -> Option<String> {
    let (selector, rest) = data.split_at_checked(4)?;
    let word = |at: usize| rest.get(at..at.checked_add(32)?).map(U256::from_be_slice);
    match selector {
        [0x08, 0xc3, 0x79, 0xa0] => {
            let offset = usize::try_from(word(0)?).ok()?;
            let length = usize::try_from(word(offset)?).ok()?;
            let from = offset.checked_add(32)?;
            let text = rest.get(from..from.checked_add(length)?)?;
            Some(String::from_utf8_lossy(text).into_owned())
        }
        [0x4e, 0x48, 0x7b, 0x71] => Some(match u64::try_from(word(0)?).ok()? {
            0x01 => "assert(false)".to_owned(),
            0x11 => "arithmetic underflow or overflow".to_owned(),
            0x12 => "division or modulo by zero".to_owned(),
            0x21 => "enum overflow".to_owned(),
            0x22 => "invalid encoded storage byte array accessed".to_owned(),
            0x31 => "out-of-bounds array access; popping on an empty array".to_owned(),
            0x32 => "out-of-bounds access of an array or bytesN".to_owned(),
            0x41 => "out of memory".to_owned(),
            0x51 => "uninitialized function".to_owned(),
            code => format!("unknown panic code: {code:#x}"),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revert_reason_is_read_within_its_bounds() {
        let mut data = vec![0x08, 0xc3, 0x79, 0xa0];
        data.extend_from_slice(&U256::from(32).to_be_bytes::<32>());
        data.extend_from_slice(&U256::from(2).to_be_bytes::<32>());
        data.extend_from_slice(b"no");
        data.resize(4 + 96, 0);
        assert_eq!(revert_reason(&data.clone().into()).as_deref(), Some("no"));
        for at in 4..68 {
            let mut broken = data.clone();
            broken[at] = 0xff;
            revert_reason(&broken.into());
        }
        for cut in 0..data.len() {
            revert_reason(&data[..cut].to_vec().into());
        }
    }
}
