//! What nodes tell of: blocks, transactions, receipts, logs.

use crate::json::{self, Read, member, optional};
use alloy_primitives::{Address, B256, U256};
use serde_json::{Value, json};

/// Which block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockId {
    /// The newest.
    Latest,
    /// The newest with what waits for a block.
    Pending,
    /// Unlikely to be replaced.
    Safe,
    /// Never replaced, as far as the chain promises that.
    Finalized,
    /// By number, on whatever is the chain now.
    Number(u64),
    /// By hash, on the chain (EIP-1898).
    Hash(B256),
}

impl BlockId {
    pub(crate) fn to_json(self) -> Value {
        match self {
            Self::Latest => json!("latest"),
            Self::Pending => json!("pending"),
            Self::Safe => json!("safe"),
            Self::Finalized => json!("finalized"),
            Self::Number(number) => json::quantity(U256::from(number)),
            Self::Hash(hash) => json!({ "blockHash": hash.to_string(), "requireCanonical": true }),
        }
    }
}

/// A block's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// The parent's hash.
    pub parent: B256,
    /// Timestamp, seconds.
    pub time_s: u64,
    /// Base fee per gas, wei; 0 before EIP-1559.
    pub base_fee_wei: u128,
    /// Gas that fits into it.
    pub gas_limit: u64,
    /// Hashes of its transactions.
    pub transactions: Vec<B256>,
}

impl Block {
    pub(crate) fn read(value: &Value) -> Read<Self> {
        let hashes = optional(value, "transactions").and_then(Value::as_array);
        Ok(Self {
            number: json::u64(member(value, "number")?, "number")?,
            hash: json::b256(member(value, "hash")?, "hash")?,
            parent: json::b256(member(value, "parentHash")?, "parentHash")?,
            time_s: json::u64(member(value, "timestamp")?, "timestamp")?,
            base_fee_wei: match optional(value, "baseFeePerGas") {
                Some(fee) => json::u128(fee, "baseFeePerGas")?,
                None => 0,
            },
            gas_limit: json::u64(member(value, "gasLimit")?, "gasLimit")?,
            transactions: (hashes.into_iter().flatten())
                .map(|hash| json::b256(hash, "transaction"))
                .collect::<Read<_>>()?,
        })
    }
}

/// A log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The contract.
    pub address: Address,
    /// Topics, at most 4.
    pub topics: Vec<B256>,
    /// Data.
    pub data: Vec<u8>,
    /// Number of its block.
    pub block: u64,
    /// Hash of its block.
    pub block_hash: B256,
    /// Its transaction.
    pub transaction: B256,
    /// Its place in the block.
    pub index: u64,
}

impl Log {
    pub(crate) fn read(value: &Value) -> Read<Self> {
        if optional(value, "removed") == Some(&Value::Bool(true)) {
            return Err("a log is marked as removed by a reorg".into());
        }
        let topics = member(value, "topics")?.as_array().ok_or("topics are not a list")?;
        if topics.len() > 4 {
            return Err("a log has more than four topics".into());
        }
        Ok(Self {
            address: json::address(member(value, "address")?, "address")?,
            topics: topics.iter().map(|t| json::b256(t, "topic")).collect::<Read<_>>()?,
            data: json::bytes(member(value, "data")?, "data")?,
            block: json::u64(member(value, "blockNumber")?, "blockNumber")?,
            block_hash: json::b256(member(value, "blockHash")?, "blockHash")?,
            transaction: json::b256(member(value, "transactionHash")?, "transactionHash")?,
            index: json::u64(member(value, "logIndex")?, "logIndex")?,
        })
    }
}

/// A transaction that is in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The transaction.
    pub transaction: B256,
    /// Number of its block.
    pub block: u64,
    /// Hash of its block.
    pub block_hash: B256,
    /// Whether it took effect.
    pub success: bool,
    /// Gas used.
    pub gas_used: u64,
    /// Price paid per gas, wei.
    pub gas_price_wei: u128,
    /// The contract created.
    pub created: Option<Address>,
    /// Logs.
    pub logs: Vec<Log>,
}

impl Receipt {
    pub(crate) fn read(value: &Value) -> Read<Self> {
        let logs = member(value, "logs")?.as_array().ok_or("logs are not a list")?;
        Ok(Self {
            transaction: json::b256(member(value, "transactionHash")?, "transactionHash")?,
            block: json::u64(member(value, "blockNumber")?, "blockNumber")?,
            block_hash: json::b256(member(value, "blockHash")?, "blockHash")?,
            success: json::u64(member(value, "status")?, "status")? == 1,
            gas_used: json::u64(member(value, "gasUsed")?, "gasUsed")?,
            gas_price_wei: match optional(value, "effectiveGasPrice") {
                Some(price) => json::u128(price, "effectiveGasPrice")?,
                None => 0,
            },
            created: match optional(value, "contractAddress") {
                Some(address) => Some(json::address(address, "contractAddress")?),
                None => None,
            },
            logs: logs.iter().map(Log::read).collect::<Read<_>>()?,
        })
    }
}

/// A transaction by hash, in a block or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionView {
    /// Its hash.
    pub hash: B256,
    /// Who sent it.
    pub from: Address,
    /// Whom it calls.
    pub to: Option<Address>,
    /// Its nonce.
    pub nonce: u64,
    /// Calldata.
    pub input: Vec<u8>,
    /// Number of its block; `None` while it waits for one.
    pub block: Option<u64>,
}

impl TransactionView {
    pub(crate) fn read(value: &Value) -> Read<Self> {
        Ok(Self {
            hash: json::b256(member(value, "hash")?, "hash")?,
            from: json::address(member(value, "from")?, "from")?,
            to: match optional(value, "to") {
                Some(to) => Some(json::address(to, "to")?),
                None => None,
            },
            nonce: json::u64(member(value, "nonce")?, "nonce")?,
            input: json::bytes(member(value, "input")?, "input")?,
            block: match optional(value, "blockNumber") {
                Some(number) => Some(json::u64(number, "blockNumber")?),
                None => None,
            },
        })
    }
}

/// A call that is simulated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallRequest {
    /// As whom.
    pub from: Option<Address>,
    /// The contract; `None` to create one.
    pub to: Option<Address>,
    /// Native currency sent along, wei.
    pub value: U256,
    /// Calldata, or the code to create with.
    pub data: Vec<u8>,
}

impl CallRequest {
    /// A call that reads.
    pub fn read(to: Address, data: Vec<u8>) -> Self {
        Self { to: Some(to), data, ..Self::default() }
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut object =
            json!({ "value": json::quantity(self.value), "input": json::data(&self.data) });
        if let Some(from) = self.from {
            object["from"] = json!(from.to_string());
        }
        if let Some(to) = self.to {
            object["to"] = json!(to.to_string());
        }
        object
    }
}

/// Which logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    /// The contract that emitted them.
    pub address: Address,
    /// What stands at each topic's place; `None` for anything. At most 4.
    pub topics: Vec<Option<B256>>,
    /// First block.
    pub from: u64,
    /// Last block, included.
    pub to: u64,
}

impl LogFilter {
    pub(crate) fn to_json(&self) -> Value {
        let topics = self.topics.iter().map(|topic| topic.map(|topic| topic.to_string()));
        json!({
            "address": self.address.to_string(),
            "topics": topics.collect::<Vec<_>>(),
            "fromBlock": json::quantity(U256::from(self.from)),
            "toBlock": json::quantity(U256::from(self.to)),
        })
    }
}
