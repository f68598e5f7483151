//! Port of the Atoll API: slots, roots, receipts, witnesses, environments.

use super::{Pending, QueryError, ReceiptView};
use alloy_primitives::{Address, B256, Bytes};
use atoll_types::{Confirmation, EnvironmentId, Lane, NetworkId, SlotHeader};
use std::ops::Range;
use tokio::sync::mpsc;

/// What an environment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentInfo {
    /// Its id in every encoding.
    pub id: EnvironmentId,
    /// Its name in paths and specs.
    pub name: String,
    /// Its VM's kind: `evm`, `exchange`, …
    pub kind: String,
    /// Hash of its spec.
    pub spec_hash: B256,
    /// Identifies the program that executes it: VM kind and version.
    pub program_id: B256,
    /// The chain id that wallets sign for; none where the VM has none.
    pub chain_id: Option<u64>,
    /// Slots between two commitments of its state root.
    pub commit_interval_slots: u64,
}

/// Where the node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The network.
    pub network: NetworkId,
    /// Who signs confirmations in this term.
    pub sequencer: Address,
    /// The leader's term.
    pub term: u64,
    /// The last sealed slot.
    pub head_slot: u64,
    /// The last slot that consensus has ordered and that is on disk.
    pub finalised_slot: u64,
    /// Opening time of the head slot, microseconds since the Unix epoch.
    pub head_time_us: u64,
    /// Each environment's progress, by ascending id.
    pub environments: Vec<EnvironmentStatus>,
}

/// Where an environment stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentStatus {
    /// Which one.
    pub environment: EnvironmentId,
    /// Commands executed since genesis.
    pub commands: u64,
    /// The last slot with a committed state root.
    pub root_slot: u64,
    /// That root.
    pub state_root: B256,
    /// Why it is halted; none while it runs.
    pub halted: Option<String>,
    /// Whether money was conserved at the last check.
    pub conserved: bool,
}

/// Which slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotId {
    /// The last sealed one.
    Latest,
    /// The last finalised one.
    Finalised,
    /// This one.
    Number(u64),
}

/// A sealed slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotView {
    /// Its header.
    pub header: SlotHeader,
    /// Transactions over all environments and ticks.
    pub transactions: u64,
    /// Whether consensus has ordered it and it is on disk.
    pub finalised: bool,
    /// What it holds for each environment, by ascending id.
    pub environments: Vec<SlotEnvironment>,
}

/// An environment's part of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotEnvironment {
    /// Which environment.
    pub environment: EnvironmentId,
    /// Commands in the batch, timers and inputs included.
    pub commands: u32,
    /// Commits to the batch.
    pub batch: B256,
    /// Merkle root of the receipts; zero for none.
    pub receipts: B256,
    /// Merkle root of the messages sent; zero for none.
    pub outbox: B256,
    /// The state root after the slot, where this slot is at a commitment.
    pub state_root: Option<B256>,
}

/// A state root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootView {
    /// The environment.
    pub environment: EnvironmentId,
    /// The slot after which it holds.
    pub slot: u64,
    /// The root.
    pub state_root: B256,
}

/// An ordered transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionView {
    /// Its hash on the network.
    pub hash: B256,
    /// Its environment.
    pub environment: EnvironmentId,
    /// The lane it was ordered in.
    pub lane: Lane,
    /// Its signed bytes.
    pub bytes: Bytes,
    /// The sequencer's promise: place, running hash and the signed tick.
    pub confirmation: Confirmation,
    /// Whether its slot is finalised.
    pub finalised: bool,
}

/// A receipt with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedReceipt {
    /// The transaction's hash on the network.
    pub transaction: B256,
    /// The environment.
    pub environment: EnvironmentId,
    /// The slot.
    pub slot: u64,
    /// The command's index in the environment's batch of that slot.
    pub command: u32,
    /// The receipt.
    pub receipt: ReceiptView,
}

/// An account of an exchange, or one of its isolated positions, that can be liquidated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiquidatableView {
    /// The environment.
    pub environment: EnvironmentId,
    /// Whose account.
    pub user: Address,
    /// The isolated position's market, by its number in the Hyperliquid API and by its name; none
    /// for the cross account.
    pub market: Option<(u64, String)>,
}

/// A body of unknown length: chunks as they come, or the error that cuts it short. A dropped
/// receiver tells the producer to stop.
pub type Chunks = mpsc::Receiver<Result<Bytes, QueryError>>;

/// What `/atoll` and the gateway's routing read.
pub trait AtollPort: Send + Sync + 'static {
    /// Every environment, by ascending id. Constant while the process runs.
    fn environments(&self) -> Vec<EnvironmentInfo>;

    /// Where the node stands.
    fn status(&self) -> Pending<'_, Result<Status, QueryError>>;

    /// A sealed slot.
    fn slot(&self, slot: SlotId) -> Pending<'_, Result<SlotView, QueryError>>;

    /// State roots, newest first, at most `limit`: of one environment or of all, at this slot
    /// exactly or at the latest commitments.
    fn roots(
        &self,
        environment: Option<EnvironmentId>,
        slot: Option<u64>,
        limit: usize,
    ) -> Pending<'_, Result<Vec<RootView>, QueryError>>;

    /// An ordered transaction, by its hash on the network or, for an EVM, by its Ethereum hash.
    fn transaction(&self, hash: B256) -> Pending<'_, Result<TransactionView, QueryError>>;

    /// A transaction's receipt, by the same hashes.
    fn receipt(&self, hash: B256) -> Pending<'_, Result<PlacedReceipt, QueryError>>;

    /// What can be liquidated in an environment, or in all, as the node's own index sees it: a
    /// service, which the state transition does not rely on.
    fn liquidatable(
        &self,
        environment: Option<EnvironmentId>,
        limit: usize,
    ) -> Pending<'_, Result<Vec<LiquidatableView>, QueryError>>;

    /// The encoded witness of a range of a slot's commands (all of them when none is named) in
    /// one environment, regenerated from the nearest snapshot.
    fn witness(
        &self,
        slot: u64,
        environment: EnvironmentId,
        commands: Option<Range<u32>>,
    ) -> Pending<'_, Result<Chunks, QueryError>>;
}
