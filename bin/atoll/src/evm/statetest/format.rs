//! The files of state tests, as execution-spec-tests documents them.

use crate::evm::json::{Data, Hash, HexAddress, Number, Small};
use crate::evm::record::PreAccount;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
pub(super) struct StateTest {
    pub(super) env: Environment,
    pub(super) pre: BTreeMap<HexAddress, PreAccount>,
    pub(super) transaction: Transaction,
    /// By the name of the fork.
    pub(super) post: BTreeMap<String, Vec<Post>>,
    #[serde(default)]
    pub(super) config: Configuration,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Configuration {
    #[serde(alias = "chainid")]
    pub(super) chain_id: Option<Small>,
    /// By the name of the fork.
    #[serde(default)]
    pub(super) blob_schedule: BTreeMap<String, BlobSchedule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlobSchedule {
    pub(super) base_fee_update_fraction: Small,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Environment {
    pub(super) current_coinbase: HexAddress,
    #[serde(default)]
    pub(super) current_difficulty: Number,
    pub(super) current_gas_limit: Number,
    pub(super) current_number: Number,
    pub(super) current_timestamp: Number,
    pub(super) current_base_fee: Option<Small>,
    pub(super) current_random: Option<Number>,
    pub(super) current_excess_blob_gas: Option<Small>,
}

/// Data, gas limits and values to choose from. What may be out of range stays text: a transaction
/// with such a number is refused.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Transaction {
    pub(super) data: Vec<Data>,
    pub(super) gas_limit: Vec<String>,
    pub(super) value: Vec<String>,
    pub(super) nonce: String,
    pub(super) to: Option<String>,
    pub(super) gas_price: Option<String>,
    pub(super) max_fee_per_gas: Option<String>,
    pub(super) max_priority_fee_per_gas: Option<String>,
    pub(super) max_fee_per_blob_gas: Option<String>,
    pub(super) blob_versioned_hashes: Option<Vec<Hash>>,
    pub(super) access_lists: Option<Vec<Option<Vec<AccessListItem>>>>,
    pub(super) authorization_list: Option<Vec<SignedAuthorization>>,
    pub(super) chain_id: Option<Small>,
    pub(super) sender: Option<HexAddress>,
    pub(super) secret_key: Option<Hash>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccessListItem {
    pub(super) address: HexAddress,
    pub(super) storage_keys: Vec<Number>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SignedAuthorization {
    pub(super) chain_id: Number,
    pub(super) address: HexAddress,
    pub(super) nonce: Number,
    /// Older files have only `v`, newer ones both.
    pub(super) y_parity: Option<Number>,
    pub(super) v: Option<Number>,
    pub(super) r: Number,
    pub(super) s: Number,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Post {
    pub(super) hash: Hash,
    pub(super) logs: Hash,
    pub(super) indexes: Indexes,
    pub(super) expect_exception: Option<String>,
    /// The whole state: newer files have it.
    pub(super) state: Option<BTreeMap<HexAddress, PreAccount>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Indexes {
    pub(super) data: usize,
    pub(super) gas: usize,
    pub(super) value: usize,
}
