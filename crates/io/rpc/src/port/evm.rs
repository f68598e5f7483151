//! Port of one EVM environment: what the Ethereum JSON-RPC reads.

mod simulate;
mod trace;

pub use simulate::*;
pub use trace::*;

use super::{Pending, QueryError};
use alloy_primitives::{Address, B256, Bloom, Bytes, U256};
use atoll_types::Reject;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::broadcast;

/// Which block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BlockId {
    /// Genesis, or the oldest block that is kept.
    Earliest,
    /// The last finalised block; also what `safe` means.
    Finalized,
    /// The last sealed block.
    #[default]
    Latest,
    /// The state after everything executed so far, sealed or not.
    Pending,
    /// By number.
    Number(u64),
    /// By hash.
    Hash(B256),
}

/// A message to run without ordering it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CallRequest {
    /// Sender; the zero address when none is named.
    pub from: Option<Address>,
    /// Callee; none creates a contract.
    pub to: Option<Address>,
    /// Gas limit; the node's own limit for calls when none is named.
    pub gas: Option<u64>,
    /// Price per gas of a legacy call; without any price fields the call is free.
    pub gas_price: Option<u128>,
    /// EIP-1559 maximum price per gas.
    pub max_fee_per_gas: Option<u128>,
    /// EIP-1559 maximum tip per gas.
    pub max_priority_fee_per_gas: Option<u128>,
    /// Wei sent along.
    pub value: U256,
    /// Call data or init code.
    pub data: Bytes,
    /// EIP-2930 access list.
    pub access_list: Vec<AccessListItem>,
    /// EIP-7702 authorisations.
    pub authorization_list: Vec<EvmAuthorization>,
    /// The sender's nonce; only a simulation that validates asks for it.
    pub nonce: Option<u64>,
}

/// An EIP-2930 access list entry.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AccessListItem {
    /// The account.
    pub address: Address,
    /// Its storage keys.
    pub storage_keys: Vec<B256>,
}

/// Why a call gave no output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The code reverted with this data.
    Reverted(Bytes),
    /// The code halted: out of gas, invalid opcode, … The sentence names it.
    Halted(String),
    /// The message is not one that could be executed: not enough balance, fee too low, …
    Rejected(Reject),
    /// There is no state to run it on, or the node failed.
    Query(QueryError),
}

impl From<QueryError> for CallError {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

/// A block, with its transactions as hashes or in full.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EvmBlock {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// Parent's hash.
    pub parent_hash: B256,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// Fee recipient.
    pub beneficiary: Address,
    /// State root after the block, or of the commitment it stands on.
    pub state_root: B256,
    /// Commits to the transactions.
    pub transactions_root: B256,
    /// Commits to the receipts.
    pub receipts_root: B256,
    /// Bloom filter of the logs.
    pub logs_bloom: Bloom,
    /// Gas limit.
    pub gas_limit: u64,
    /// Gas used.
    pub gas_used: u64,
    /// Base fee per gas in wei.
    pub base_fee_per_gas: u128,
    /// EIP-4399 randomness.
    pub prev_randao: B256,
    /// Extra data.
    pub extra_data: Bytes,
    /// Size in bytes.
    pub size: u64,
    /// The transactions.
    pub transactions: BlockTransactions,
}

/// A block's transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockTransactions {
    /// Ethereum hashes.
    Hashes(Vec<B256>),
    /// In full.
    Full(Vec<EvmTransaction>),
}

impl Default for BlockTransactions {
    fn default() -> Self {
        Self::Hashes(Vec::new())
    }
}

impl BlockTransactions {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Hashes(list) => list.len(),
            Self::Full(list) => list.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where a transaction stands in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct BlockPlace {
    /// Block number.
    pub number: u64,
    /// Block hash.
    pub hash: B256,
    /// Block time, seconds since the Unix epoch.
    pub timestamp: u64,
    /// Index in the block.
    pub index: u64,
}

/// A signed Ethereum transaction.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EvmTransaction {
    /// Ethereum hash (Keccak-256 of the signed bytes).
    pub hash: B256,
    /// Where it is; none while it waits.
    pub place: Option<BlockPlace>,
    /// EIP-2718 type: 0, 1, 2 or 4.
    pub kind: u8,
    /// Chain id; none for a legacy transaction without replay protection.
    pub chain_id: Option<u64>,
    /// Sender's nonce.
    pub nonce: u64,
    /// Sender.
    pub from: Address,
    /// Callee; none creates a contract.
    pub to: Option<Address>,
    /// Wei sent along.
    pub value: U256,
    /// Gas limit.
    pub gas: u64,
    /// Price per gas: the effective one once it is in a block.
    pub gas_price: u128,
    /// EIP-1559 fees: (maximum, maximum tip).
    pub dynamic_fees: Option<(u128, u128)>,
    /// Call data or init code.
    pub input: Bytes,
    /// EIP-2930 access list; none for legacy transactions.
    pub access_list: Option<Vec<AccessListItem>>,
    /// EIP-7702 authorisations; none for other types.
    pub authorization_list: Option<Vec<EvmAuthorization>>,
    /// Signature: r, s, and parity.
    pub signature: (U256, U256, bool),
}

/// An EIP-7702 authorisation.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EvmAuthorization {
    /// Chain id, 0 for any.
    pub chain_id: U256,
    /// The code's address.
    pub address: Address,
    /// Authority's nonce.
    pub nonce: u64,
    /// Signature: r, s, and parity.
    pub signature: (U256, U256, bool),
}

/// An Ethereum receipt.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EvmReceipt {
    /// Ethereum hash of the transaction.
    pub transaction_hash: B256,
    /// Where it is.
    pub place: BlockPlace,
    /// EIP-2718 type.
    pub kind: u8,
    /// Sender.
    pub from: Address,
    /// Callee.
    pub to: Option<Address>,
    /// The contract it created.
    pub contract_address: Option<Address>,
    /// Whether it succeeded.
    pub success: bool,
    /// Gas it used.
    pub gas_used: u64,
    /// Gas used in the block up to and with it.
    pub cumulative_gas_used: u64,
    /// Price paid per gas.
    pub effective_gas_price: u128,
    /// Bloom filter of its logs.
    pub logs_bloom: Bloom,
    /// Its logs.
    pub logs: Vec<EvmLog>,
}

/// A log.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EvmLog {
    /// The contract that emitted it.
    pub address: Address,
    /// Up to four topics.
    pub topics: Vec<B256>,
    /// Data.
    pub data: Bytes,
    /// Where its transaction is.
    pub place: BlockPlace,
    /// Ethereum hash of its transaction.
    pub transaction_hash: B256,
    /// Index in the block.
    pub log_index: u64,
}

/// Which logs.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LogFilter {
    /// In which blocks.
    pub blocks: LogBlocks,
    /// Emitted by one of these; empty for any.
    pub addresses: Vec<Address>,
    /// For each topic position what it may be; empty for anything.
    pub topics: Vec<Vec<B256>>,
}

impl LogFilter {
    /// Whether the log's address and topics match; the block is not looked at.
    pub fn matches(&self, log: &EvmLog) -> bool {
        let address = self.addresses.is_empty() || self.addresses.contains(&log.address);
        address
            && self.topics.iter().enumerate().all(|(position, allowed)| {
                match log.topics.get(position) {
                    Some(topic) => allowed.is_empty() || allowed.contains(topic),
                    None => false,
                }
            })
    }
}

/// The blocks of a log filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogBlocks {
    /// First and last, both included; the gateway has bounded the distance.
    Range(u64, u64),
    /// One block.
    Hash(B256),
}

impl Default for LogBlocks {
    fn default() -> Self {
        Self::Range(0, 0)
    }
}

/// Answer of `eth_feeHistory`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct FeeHistory {
    /// First block.
    pub oldest_block: u64,
    /// Base fee of each block and of the one after the last.
    pub base_fee_per_gas: Vec<u128>,
    /// Share of the gas limit that each block used: (used, limit).
    pub gas_used: Vec<(u64, u64)>,
    /// For each block, the tip at each percentile asked for; none where none was asked.
    pub reward: Option<Vec<Vec<u128>>>,
}

/// A sealed block with its logs, as subscribers get it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EvmHead {
    /// The block, transactions as hashes.
    pub block: EvmBlock,
    /// Every log in it.
    pub logs: Vec<EvmLog>,
}

/// A place in the stream of ordered transactions: how far somebody has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct OrderedPlace {
    /// The block that is being read.
    pub block: u64,
    /// How many of its transactions have been read.
    pub transactions: u64,
}

/// One EVM environment.
pub trait EvmPort: Send + Sync + 'static {
    /// Chain id.
    fn chain_id(&self) -> u64;

    /// Symbol of the native currency, of 18 decimals.
    fn symbol(&self) -> String;

    /// Tokens that fees may be paid in, in the order in which they are tried, and what one whole native
    /// coin costs in the smallest units of each.
    fn fee_tokens(&self) -> Vec<(Address, u128)>;

    /// Keys of an account's object and of its storage slots' in the environment's state.
    fn object_keys(&self, address: Address, slots: &[U256]) -> (Bytes, Vec<Bytes>);

    /// Number of the last sealed block.
    fn block_number(&self) -> u64;

    /// What a transaction should offer per gas to get in: base fee of the next block plus tip.
    fn gas_price(&self) -> u128;

    /// The tip worth offering.
    fn max_priority_fee(&self) -> u128;

    /// An account's wei.
    fn balance(&self, address: Address, block: BlockId) -> Pending<'_, Result<U256, QueryError>>;

    /// An account's nonce; at [`BlockId::Pending`] those in the mempool are counted.
    fn nonce(&self, address: Address, block: BlockId) -> Pending<'_, Result<u64, QueryError>>;

    /// A contract's code.
    fn code(&self, address: Address, block: BlockId) -> Pending<'_, Result<Bytes, QueryError>>;

    /// A storage slot.
    fn storage(
        &self,
        address: Address,
        key: U256,
        block: BlockId,
    ) -> Pending<'_, Result<B256, QueryError>>;

    /// Runs a message on a copy of the state.
    fn call(&self, on: On, request: CallRequest) -> Pending<'_, Result<Bytes, CallError>>;

    /// The least gas limit with which the message succeeds.
    fn estimate_gas(&self, on: On, request: CallRequest) -> Pending<'_, Result<u64, CallError>>;

    /// What the message touches, and the gas that it uses with that as its access list.
    fn access_list(
        &self,
        on: On,
        request: CallRequest,
    ) -> Pending<'_, Result<AccessListView, CallError>>;

    /// Runs blocks that are only thought of, on top of a block.
    fn simulate(
        &self,
        block: BlockId,
        request: SimulateRequest,
    ) -> Pending<'_, Result<Vec<SimulatedBlock>, SimulateError>>;

    /// What a message did.
    fn trace_call(
        &self,
        on: On,
        request: CallRequest,
        options: TraceOptions,
    ) -> Pending<'_, Result<Value, CallError>>;

    /// What a transaction of a block did; none where there is no such transaction in a block.
    fn trace_transaction(
        &self,
        hash: B256,
        options: TraceOptions,
    ) -> Pending<'_, Result<Option<Value>, QueryError>>;

    /// What each transaction of a block did, by hash; none where there is no such block.
    fn trace_block(
        &self,
        block: BlockId,
        options: TraceOptions,
    ) -> Pending<'_, Result<Option<BlockTraces>, QueryError>>;

    /// Which keys made the transactions of a block depend on one another; none where there is no such
    /// block.
    fn conflicts(&self, block: BlockId) -> Pending<'_, Result<Option<BlockConflicts>, QueryError>>;

    /// A block, its transactions in full or as hashes.
    fn block(
        &self,
        block: BlockId,
        full: bool,
    ) -> Pending<'_, Result<Option<EvmBlock>, QueryError>>;

    /// All receipts of a block.
    fn block_receipts(
        &self,
        block: BlockId,
    ) -> Pending<'_, Result<Option<Vec<EvmReceipt>>, QueryError>>;

    /// A transaction by its Ethereum hash, waiting or ordered.
    fn transaction(&self, hash: B256) -> Pending<'_, Result<Option<EvmTransaction>, QueryError>>;

    /// A receipt by the transaction's Ethereum hash.
    fn receipt(&self, hash: B256) -> Pending<'_, Result<Option<EvmReceipt>, QueryError>>;

    /// The logs that match, in order; [`QueryError::TooLarge`] when they are more than `limit`.
    fn logs(&self, filter: LogFilter, limit: usize)
    -> Pending<'_, Result<Vec<EvmLog>, QueryError>>;

    /// Fees of the `count` blocks up to `newest`; `percentiles` ascend within 0..=100.
    fn fee_history(
        &self,
        count: u64,
        newest: BlockId,
        percentiles: Vec<f64>,
    ) -> Pending<'_, Result<FeeHistory, QueryError>>;

    /// Hashes of the blocks from one to another, both included, which are sealed; the gateway has
    /// bounded the distance.
    fn block_hashes(&self, from: u64, to: u64) -> Pending<'_, Result<Vec<B256>, QueryError>>;

    /// Who signed a transaction, and its nonce; none for what is no transaction.
    fn sender(&self, raw: &[u8]) -> Option<(Address, u64)>;

    /// Transactions that are ordered and executed, and in no block that can be read yet; in order.
    fn pending(&self) -> Vec<EvmTransaction>;

    /// The end of the stream of ordered transactions.
    fn ordered_end(&self) -> OrderedPlace;

    /// Hashes of transactions ordered since a place, in order and at most some `limit` of them, and
    /// the place behind the last.
    fn ordered_since(
        &self,
        place: OrderedPlace,
        limit: usize,
    ) -> Pending<'_, Result<(Vec<B256>, OrderedPlace), QueryError>>;

    /// Transactions from now on, as they are ordered: those of one tick together.
    fn arrivals(&self) -> broadcast::Receiver<Arc<Vec<EvmTransaction>>>;

    /// Sealed blocks from now on.
    fn heads(&self) -> broadcast::Receiver<Arc<EvmHead>>;
}
