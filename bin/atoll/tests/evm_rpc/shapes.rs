//! The shapes of answers, by the facts of the execution API specification (ethereum/execution-apis,
//! `src/schemas`): which fields there must be, and what hex each is made of.

use serde_json::Value;

/// What a field holds.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Hex without leading zeros.
    Quantity,
    /// So many bytes.
    Bytes(usize),
    /// Any bytes.
    Data,
    Boolean,
    List,
    /// One of these, or null.
    OrNull(&'static Kind),
}

use Kind::{Boolean, Bytes, Data, List, OrNull, Quantity};

const HASH: Kind = Bytes(32);
const ADDRESS: Kind = Bytes(20);

type Field = (&'static str, Kind);

const BLOCK: &[Field] = &[
    ("hash", HASH),
    ("parentHash", HASH),
    ("sha3Uncles", HASH),
    ("miner", ADDRESS),
    ("stateRoot", HASH),
    ("transactionsRoot", HASH),
    ("receiptsRoot", HASH),
    ("logsBloom", Bytes(256)),
    ("difficulty", Quantity),
    ("number", Quantity),
    ("gasLimit", Quantity),
    ("gasUsed", Quantity),
    ("timestamp", Quantity),
    ("extraData", Data),
    ("mixHash", HASH),
    ("nonce", Bytes(8)),
    ("size", Quantity),
    ("baseFeePerGas", Quantity),
    ("transactions", List),
    ("uncles", List),
];

const TRANSACTION: &[Field] = &[
    ("hash", HASH),
    ("blockHash", HASH),
    ("blockNumber", Quantity),
    ("blockTimestamp", Quantity),
    ("transactionIndex", Quantity),
    ("type", Quantity),
    ("from", ADDRESS),
    ("to", OrNull(&ADDRESS)),
    ("nonce", Quantity),
    ("gas", Quantity),
    ("value", Quantity),
    ("input", Data),
    ("gasPrice", Quantity),
    ("r", Quantity),
    ("s", Quantity),
    ("v", Quantity),
];
const SINCE_2930: &[Field] = &[("chainId", Quantity), ("accessList", List), ("yParity", Quantity)];
const SINCE_1559: &[Field] = &[("maxFeePerGas", Quantity), ("maxPriorityFeePerGas", Quantity)];
const AUTHORIZATION: &[Field] = &[
    ("chainId", Quantity),
    ("address", ADDRESS),
    ("nonce", Quantity),
    ("yParity", Quantity),
    ("r", Quantity),
    ("s", Quantity),
];

const RECEIPT: &[Field] = &[
    ("type", Quantity),
    ("transactionHash", HASH),
    ("transactionIndex", Quantity),
    ("blockHash", HASH),
    ("blockNumber", Quantity),
    ("from", ADDRESS),
    ("to", OrNull(&ADDRESS)),
    ("cumulativeGasUsed", Quantity),
    ("gasUsed", Quantity),
    ("contractAddress", OrNull(&ADDRESS)),
    ("logs", List),
    ("logsBloom", Bytes(256)),
    ("status", Quantity),
    ("effectiveGasPrice", Quantity),
];

const LOG: &[Field] = &[
    ("removed", Boolean),
    ("logIndex", Quantity),
    ("transactionIndex", Quantity),
    ("transactionHash", HASH),
    ("blockHash", HASH),
    ("blockNumber", Quantity),
    ("blockTimestamp", Quantity),
    ("address", ADDRESS),
    ("data", Data),
    ("topics", List),
];

fn fits(value: &Value, kind: Kind) -> bool {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    let hex =
        |digits: &str| digits.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    match (kind, digits) {
        (Quantity, Some(digits)) => {
            let whole = digits == "0" || !digits.starts_with('0');
            !digits.is_empty() && digits.len() <= 64 && whole && hex(digits)
        }
        (Bytes(count), Some(digits)) => digits.len() == 2 * count && hex(digits),
        (Data, Some(digits)) => digits.len() % 2 == 0 && hex(digits),
        (Boolean, _) => value.is_boolean(),
        (List, _) => value.is_array(),
        (OrNull(kind), _) => value.is_null() || fits(value, *kind),
        (Quantity | Bytes(_) | Data, None) => false,
    }
}

fn holds(value: &Value, fields: &[Field]) {
    for (name, kind) in fields {
        let found = value.get(name).unwrap_or_else(|| panic!("no {name} in {value}"));
        assert!(fits(found, *kind), "{name} is no {kind:?}: {found}");
    }
}

/// No fields but these: the specification allows no others.
fn only(value: &Value, fields: &[Field]) {
    for name in value.as_object().expect("an object").keys() {
        assert!(fields.iter().any(|(known, _)| known == name), "{name} is not specified: {value}");
    }
}

pub(crate) fn quantity(value: &Value) {
    assert!(fits(value, Quantity), "{value}");
}

pub(crate) fn block(value: &Value) {
    holds(value, BLOCK);
}

pub(crate) fn transaction(value: &Value) {
    holds(value, TRANSACTION);
    let kind = value["type"].as_str().expect("a type");
    if kind == "0x0" {
        return;
    }
    holds(value, SINCE_2930);
    for item in value["accessList"].as_array().expect("a list") {
        let fields: &[Field] = &[("address", ADDRESS), ("storageKeys", List)];
        holds(item, fields);
        only(item, fields);
        let keys = item["storageKeys"].as_array().expect("a list");
        assert!(keys.iter().all(|key| fits(key, HASH)), "{item}");
    }
    if kind != "0x1" {
        holds(value, SINCE_1559);
    }
    if kind == "0x4" {
        let list = value["authorizationList"].as_array().expect("a list");
        assert!(!list.is_empty());
        list.iter().for_each(|item| holds(item, AUTHORIZATION));
    }
}

pub(crate) fn receipt(value: &Value) {
    holds(value, RECEIPT);
    only(value, RECEIPT);
}

pub(crate) fn log(value: &Value) {
    holds(value, LOG);
    only(value, LOG);
    let topics = value["topics"].as_array().expect("a list");
    assert!(topics.iter().all(|topic| fits(topic, HASH)), "{value}");
}

/// The history of so many blocks, with rewards at so many percentiles.
pub(crate) fn fee_history(value: &Value, blocks: usize, percentiles: usize) {
    quantity(&value["oldestBlock"]);
    let list = |name: &str| value[name].as_array().unwrap_or_else(|| panic!("{name}: {value}"));
    let fees = list("baseFeePerGas");
    assert_eq!(fees.len(), blocks + 1, "{value}");
    fees.iter().for_each(quantity);
    let ratios = list("gasUsedRatio");
    assert_eq!(ratios.len(), blocks, "{value}");
    assert!(ratios.iter().all(|r| r.as_f64().is_some_and(|r| (0.0..=1.0).contains(&r))));
    let rewards = list("reward");
    assert_eq!(rewards.len(), blocks, "{value}");
    for row in rewards {
        let row = row.as_array().expect("a list");
        assert_eq!(row.len(), percentiles, "{value}");
        row.iter().for_each(quantity);
    }
}

#[test]
fn shapes_can_be_wrong() {
    use serde_json::json;
    for (value, kind) in [
        (json!("0x01"), Quantity),
        (json!("0x"), Quantity),
        (json!("0xA"), Quantity),
        (json!(1), Quantity),
        (json!("0x1"), Data),
        (json!("0x00"), HASH),
        (json!(null), ADDRESS),
        (json!("true"), Boolean),
    ] {
        assert!(!fits(&value, kind), "{value} passes for {kind:?}");
    }
    assert!(fits(&json!("0x0"), Quantity) && fits(&json!(null), OrNull(&ADDRESS)));
}
