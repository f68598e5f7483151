//! Structured arguments: block ids, call objects, log filters.

use super::error::RpcError;
use super::parse::{
    address, bytes, hash, kind, quantity, quantity_u64, quantity_u128, storage_key,
};
use crate::port::{AccessListItem, BlockId, CallRequest, EvmAuthorization, LogBlocks, LogFilter};
use alloy_primitives::{Address, B256};
use serde_json::{Map, Value};

/// Addresses, and topics at one position, in a log filter.
const ALTERNATIVES_MAX: usize = 1000;
/// Accounts and storage keys in an access list.
const ACCESS_LIST_MAX: usize = 4096;

/// Authorisations of a call: each costs the recovery of a signature.
const AUTHORIZATIONS_MAX: usize = 256;

/// A tag, a number, a hash, or an EIP-1898 object.
pub(super) fn block(value: &Value) -> Result<BlockId, String> {
    if let Value::Object(object) = value {
        return match (object.get("blockHash"), object.get("blockNumber")) {
            (Some(value), None) => hash(value).map(BlockId::Hash),
            (None, Some(value)) => number(value),
            (Some(_), Some(_)) => {
                Err("cannot specify both BlockHash and BlockNumber, choose one or the other".into())
            }
            (None, None) => Err("expected blockHash or blockNumber".into()),
        };
    }
    match value.as_str() {
        Some(text) if text.len() == 66 => hash(value).map(BlockId::Hash),
        _ => number(value),
    }
}

/// A tag or a number.
pub(super) fn number(value: &Value) -> Result<BlockId, String> {
    Ok(match value.as_str() {
        Some("latest") => BlockId::Latest,
        Some("pending") => BlockId::Pending,
        Some("earliest") => BlockId::Earliest,
        Some("finalized" | "safe") => BlockId::Finalized,
        _ => BlockId::Number(quantity_u64(value)?),
    })
}

pub(super) fn field<T>(
    object: &Map<String, Value>,
    name: &str,
    parse: impl FnOnce(&Value) -> Result<T, String>,
) -> Result<Option<T>, String> {
    match object.get(name).filter(|value| !value.is_null()) {
        Some(value) => parse(value).map(Some).map_err(|refused| format!("{name}: {refused}")),
        None => Ok(None),
    }
}

/// A call object.
pub(super) fn call(value: &Value, chain_id: u64) -> Result<CallRequest, String> {
    let object =
        value.as_object().ok_or_else(|| format!("expected an object, got {}", kind(value)))?;
    let (data, input) = (field(object, "data", bytes)?, field(object, "input", bytes)?);
    if data.is_some() && input.is_some() && data != input {
        return Err("both \"data\" and \"input\" are set and not equal; \
                    use \"input\" to pass call data"
            .into());
    }
    if let Some(named) = field(object, "chainId", quantity)?
        && named != alloy_primitives::U256::from(chain_id)
    {
        return Err(format!("chainId does not match the node's (have={named}, want={chain_id})"));
    }
    for unsupported in ["blobs", "blobVersionedHashes", "maxFeePerBlobGas"] {
        if object.get(unsupported).is_some_and(|value| !value.is_null()) {
            return Err(format!("{unsupported} is not supported in calls"));
        }
    }
    let request = CallRequest {
        from: field(object, "from", address)?,
        to: field(object, "to", address)?,
        gas: field(object, "gas", quantity_u64)?,
        gas_price: field(object, "gasPrice", quantity_u128)?,
        max_fee_per_gas: field(object, "maxFeePerGas", quantity_u128)?,
        max_priority_fee_per_gas: field(object, "maxPriorityFeePerGas", quantity_u128)?,
        value: field(object, "value", quantity)?.unwrap_or_default(),
        data: input.or(data).unwrap_or_default(),
        access_list: field(object, "accessList", access_list)?.unwrap_or_default(),
        authorization_list: field(object, "authorizationList", authorizations)?.unwrap_or_default(),
        nonce: field(object, "nonce", quantity_u64)?,
    };
    let dynamic = request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some();
    if request.gas_price.is_some() && dynamic {
        return Err("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified".to_owned());
    }
    Ok(request)
}

pub(super) fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("expected an array, got {}", kind(value)))
}

/// EIP-7702 authorisations; the parity comes as `yParity` or, from older tools, as `v`.
fn authorizations(value: &Value) -> Result<Vec<EvmAuthorization>, String> {
    let items = list(value)?;
    if items.len() > AUTHORIZATIONS_MAX {
        return Err(format!("at most {AUTHORIZATIONS_MAX} authorizations"));
    }
    let one = |value: &Value| {
        let object = value.as_object().ok_or("expected objects")?;
        let needed = |name: &str| field(object, name, quantity);
        let missing = |name: &str| format!("{name} is missing");
        let number = |name: &str| needed(name)?.ok_or_else(|| missing(name));
        let parity = match needed("yParity")? {
            Some(parity) => parity,
            None => number("v")?,
        };
        let odd = match u64::try_from(parity) {
            Ok(0 | 27) => false,
            Ok(1 | 28) => true,
            _ => return Err("yParity is neither 0 nor 1".to_owned()),
        };
        Ok(EvmAuthorization {
            chain_id: number("chainId")?,
            address: field(object, "address", address)?.ok_or_else(|| missing("address"))?,
            nonce: field(object, "nonce", quantity_u64)?.ok_or_else(|| missing("nonce"))?,
            signature: (number("r")?, number("s")?, odd),
        })
    };
    items.iter().map(one).collect()
}

fn access_list(value: &Value) -> Result<Vec<AccessListItem>, String> {
    let (items, mut keys) = (list(value)?, 0usize);
    if items.len() > ACCESS_LIST_MAX {
        return Err(format!("at most {ACCESS_LIST_MAX} accounts"));
    }
    let mut parsed = Vec::with_capacity(items.len());
    for item in items {
        let object = item.as_object().ok_or("expected objects with address and storageKeys")?;
        let storage = field(object, "storageKeys", |value| {
            let list = list(value)?;
            keys = keys.saturating_add(list.len());
            if keys > ACCESS_LIST_MAX {
                return Err(format!("at most {ACCESS_LIST_MAX} storage keys"));
            }
            list.iter().map(|key| storage_key(key).map(B256::from)).collect()
        })?;
        parsed.push(AccessListItem {
            address: field(object, "address", address)?.ok_or("address is missing")?,
            storage_keys: storage.unwrap_or_default(),
        });
    }
    Ok(parsed)
}

/// A log filter as asked for: its blocks are still tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FilterArgument {
    pub(super) from: BlockId,
    pub(super) to: BlockId,
    pub(super) hash: Option<B256>,
    pub(super) addresses: Vec<Address>,
    pub(super) topics: Vec<Vec<B256>>,
}

/// One value or several alternatives.
fn alternatives<T>(
    value: &Value,
    parse: impl Fn(&Value) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    match value {
        Value::Array(list) if list.len() > ALTERNATIVES_MAX => {
            Err(format!("exceeds the limit of {ALTERNATIVES_MAX} alternatives"))
        }
        Value::Array(list) => list.iter().map(parse).collect(),
        value => parse(value).map(|one| vec![one]),
    }
}

/// A log filter.
pub(super) fn filter(value: &Value) -> Result<FilterArgument, String> {
    let object =
        value.as_object().ok_or_else(|| format!("expected an object, got {}", kind(value)))?;
    let hash = field(object, "blockHash", hash)?;
    let from = field(object, "fromBlock", number)?;
    let to = field(object, "toBlock", number)?;
    if hash.is_some() && (from.is_some() || to.is_some()) {
        return Err(
            "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other".into()
        );
    }
    let topics = field(object, "topics", |value| {
        let list = list(value)?;
        if list.len() > 4 {
            return Err("exceeds the limit of 4 topics".into());
        }
        let any = |position: &Value| match position {
            Value::Null => Ok(Vec::new()),
            // A null among alternatives allows anything, as in geth.
            Value::Array(list) if list.iter().any(Value::is_null) => Ok(Vec::new()),
            some => alternatives(some, super::parse::hash),
        };
        list.iter().map(any).collect::<Result<Vec<_>, _>>()
    })?;
    Ok(FilterArgument {
        from: from.unwrap_or_default(),
        to: to.unwrap_or_default(),
        hash,
        addresses: field(object, "address", |value| alternatives(value, address))?
            .unwrap_or_default(),
        topics: topics.unwrap_or_default(),
    })
}

impl FilterArgument {
    /// Bytes of what it looks for.
    pub(super) fn weight(&self) -> usize {
        let topics: usize = self.topics.iter().map(|allowed| 24 + 32 * allowed.len()).sum();
        256 + 20 * self.addresses.len() + topics
    }

    /// The part of a range of new blocks that it asks for; none if it asks for nothing new.
    pub(super) fn within(&self, first: u64, last: u64) -> Option<LogFilter> {
        if self.hash.is_some() || self.to == BlockId::Earliest {
            return None;
        }
        let first = if let BlockId::Number(from) = self.from { first.max(from) } else { first };
        let last = if let BlockId::Number(to) = self.to { last.min(to) } else { last };
        let (addresses, topics) = (self.addresses.clone(), self.topics.clone());
        (first <= last).then_some(LogFilter {
            blocks: LogBlocks::Range(first, last),
            addresses,
            topics,
        })
    }

    /// Resolves the tags and bounds the range.
    pub(super) fn resolve(self, head: u64, blocks_max: u64) -> Result<LogFilter, RpcError> {
        let Self { from, to, hash, addresses, topics } = self;
        let number = |block: BlockId| match block {
            BlockId::Number(number) => number,
            BlockId::Earliest => 0,
            _ => head,
        };
        let blocks = match hash {
            Some(hash) => LogBlocks::Hash(hash),
            None => {
                let (first, last) = (number(from), number(to));
                if first > last {
                    return Err(RpcError::params(format!(
                        "invalid block range: fromBlock {first} is after toBlock {last}"
                    )));
                }
                // What is not there yet has no logs.
                let last = last.min(head.max(first));
                if last - first >= blocks_max {
                    return Err(RpcError::limit(format!(
                        "block range too large: {} blocks, at most {blocks_max}; ask in parts",
                        last - first + 1
                    )));
                }
                LogBlocks::Range(first, last)
            }
        };
        Ok(LogFilter { blocks, addresses, topics })
    }
}
