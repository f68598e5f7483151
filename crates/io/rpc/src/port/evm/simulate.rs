//! Messages on states that are otherwise than they are, and blocks that are only thought of.

use super::{AccessListItem, BlockId, CallRequest, EvmBlock, EvmLog};
use crate::port::QueryError;
use alloy_primitives::{Address, B256, Bytes, U256};
use atoll_types::Reject;

/// What a message runs on: a block's state, and what is otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct On {
    /// The block.
    pub block: BlockId,
    /// Accounts that are otherwise.
    pub state: StateOverride,
    /// What is otherwise in the block.
    pub block_override: BlockOverride,
}

/// Accounts that are otherwise, by address.
pub type StateOverride = Vec<(Address, AccountOverride)>;

/// An account that is otherwise; what is not named stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AccountOverride {
    /// Nonce.
    pub nonce: Option<u64>,
    /// Balance in wei.
    pub balance: Option<U256>,
    /// Code; empty for none.
    pub code: Option<Bytes>,
    /// Storage.
    pub storage: StorageOverride,
    /// Where its precompiled contract is instead; one that is overridden in any way and not moved is
    /// nowhere.
    pub precompile_to: Option<Address>,
}

/// Storage that is otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum StorageOverride {
    /// As it is.
    #[default]
    Keep,
    /// These slots and no others.
    Replace(Vec<(U256, U256)>),
    /// These slots, and the others as they are.
    Change(Vec<(U256, U256)>),
}

/// A block that is otherwise; what is not named stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BlockOverride {
    /// Number.
    pub number: Option<U256>,
    /// Seconds since the Unix epoch.
    pub timestamp: Option<u64>,
    /// Gas limit.
    pub gas_limit: Option<u64>,
    /// Fee recipient.
    pub beneficiary: Option<Address>,
    /// EIP-4399 randomness.
    pub prev_randao: Option<B256>,
    /// Wei per gas.
    pub base_fee: Option<u64>,
    /// Wei per gas of blobs.
    pub blob_base_fee: Option<u128>,
}

/// What a message touches.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AccessListView {
    /// Accounts and their slots.
    pub list: Vec<AccessListItem>,
    /// Gas used with the list.
    pub gas_used: u64,
    /// Why the message failed, if it did.
    pub error: Option<String>,
}

/// What `eth_simulateV1` asks for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SimulateRequest {
    /// The blocks, one after the other.
    pub blocks: Vec<SimulateBlock>,
    /// Whether transfers of the native currency are shown as logs.
    pub transfers: bool,
    /// Whether calls have to fulfil what transactions have to.
    pub validate: bool,
}

/// A block to think of.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SimulateBlock {
    /// What is otherwise in it.
    pub block: BlockOverride,
    /// What is otherwise in the state before it.
    pub state: StateOverride,
    /// Its calls.
    pub calls: Vec<CallRequest>,
}

/// A block that was simulated.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SimulatedBlock {
    /// The block with its calls as transactions in full; their signatures are zero.
    pub block: EvmBlock,
    /// What became of each call.
    pub calls: Vec<SimulatedCall>,
}

/// A call that was simulated.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SimulatedCall {
    /// What it returned or reverted with.
    pub output: Bytes,
    /// Gas used.
    pub gas_used: u64,
    /// Its logs.
    pub logs: Vec<EvmLog>,
    /// How it failed, if it did.
    pub failure: Option<SimulatedFailure>,
}

/// How a simulated call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SimulatedFailure {
    /// It reverted; the output says with what.
    Reverted,
    /// It halted; the sentence says why.
    Halted(String),
}

/// Why there is no simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SimulateError {
    /// Numbers of blocks do not ascend.
    Number(String),
    /// Times of blocks do not ascend.
    Timestamp(String),
    /// A call asks for more gas than its block has left.
    BlockGas(String),
    /// A base fee is above what a call offers.
    BaseFee(String),
    /// More than one simulation may ask for.
    TooMuch(String),
    /// A call is not valid.
    Rejected(Reject),
    /// There is no state to run on.
    Query(QueryError),
}

impl From<QueryError> for SimulateError {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}
