//! The format of a recorded block: the block as JSON-RPC gives it, and the state that it touches.

use crate::evm::json::{self, Data, Hash, HexAddress, Number, Small};
use crate::evm::record::PreAccount;
use alloy_primitives::{Address, Bloom};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
pub(super) struct Recorded {
    pub(super) block: Block,
    /// Every account and every slot that the block touches; what is not here does not exist.
    pub(super) pre_state: BTreeMap<HexAddress, PreAccount>,
    /// Hashes of earlier blocks that the opcode BLOCKHASH asks for, the parent's aside.
    #[serde(default)]
    pub(super) block_hashes: HashesByNumber,
}

/// Hashes of blocks, by number.
pub(super) type HashesByNumber = BTreeMap<Small, Hash>;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Block {
    pub(super) number: Small,
    pub(super) parent_hash: Hash,
    pub(super) miner: HexAddress,
    pub(super) difficulty: Number,
    pub(super) gas_limit: Small,
    pub(super) gas_used: Small,
    pub(super) timestamp: Small,
    pub(super) mix_hash: Option<Hash>,
    pub(super) base_fee_per_gas: Option<Small>,
    pub(super) excess_blob_gas: Option<Small>,
    pub(super) blob_gas_used: Option<Small>,
    pub(super) parent_beacon_block_root: Option<Hash>,
    pub(super) receipts_root: Hash,
    pub(super) logs_bloom: json::Hex<Bloom>,
    #[serde(default)]
    pub(super) withdrawals: Vec<Withdrawal>,
    pub(super) transactions: Vec<Transaction>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Withdrawal {
    pub(super) address: HexAddress,
    /// In gwei.
    pub(super) amount: Small,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Transaction {
    /// Absent before there were types.
    #[serde(default, rename = "type")]
    pub(super) kind: Small,
    pub(super) chain_id: Option<Small>,
    pub(super) nonce: Small,
    pub(super) from: HexAddress,
    #[serde(default, deserialize_with = "json::callee")]
    pub(super) to: Option<Address>,
    pub(super) value: Number,
    #[serde(alias = "data")]
    pub(super) input: Data,
    pub(super) gas: Small,
    /// Where there is a max fee: what was paid in the end.
    pub(super) gas_price: Option<Number>,
    pub(super) max_fee_per_gas: Option<Number>,
    pub(super) max_priority_fee_per_gas: Option<Number>,
    pub(super) max_fee_per_blob_gas: Option<Number>,
    #[serde(default)]
    pub(super) access_list: Vec<AccessListItem>,
    #[serde(default)]
    pub(super) blob_versioned_hashes: Vec<Hash>,
    #[serde(default)]
    pub(super) authorization_list: Vec<SignedAuthorization>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccessListItem {
    pub(super) address: HexAddress,
    #[serde(default)]
    pub(super) storage_keys: Vec<Hash>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SignedAuthorization {
    pub(super) chain_id: Number,
    pub(super) address: HexAddress,
    pub(super) nonce: Small,
    pub(super) y_parity: Number,
    pub(super) r: Number,
    pub(super) s: Number,
}
