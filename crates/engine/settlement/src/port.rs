//! The port: what the engine asks of whoever reaches the hub, and what it is told.
//!
//! # Obligations of the caller
//! * **Order.** Actions are begun in the order given. After [`Action::Persist`] nothing later is
//!   begun before those bytes are durable in place of the ones before; if that fails, the process
//!   ends. All other requests may run at the same time and be answered in any order, or never.
//! * **Honest failure.** What is not known is [`Event::Failed`], never an empty answer. Nothing is
//!   assumed from a failure: a transaction whose sending failed may have got in.
//! * **One chain per observation.** All of an [`Observation`] comes from one node and holds at the
//!   blocks that it names: state is read by their hashes, or by number with the hash compared
//!   afterwards. Mixing nodes inside one observation is how nonces and numbers fall apart.
//! * **Same content for the same number.** What [`Prepared`] says of a number is made durable
//!   before [`Event::Ready`] covers it, and is the same ever after, bit by bit.
//! * **One engine per key.** Others may use the key by hand; it costs time, never a double post.
//!
//! # Retry, restart
//! The engine retries all by itself. After a restart it needs the last persisted bytes, the
//! queue's [`Cursor`] and [`Event::Ready`]; requests of an earlier life are not to be answered.

use crate::{Entry, Halt};
use atoll_types::{Address, B256, U256};

/// Names one request; never used twice in the life of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// A hub block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockRef {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
}

/// What a transaction of ours does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Anchors the commitment with this number.
    Commit(u64),
    /// Settles it.
    Settle(u64),
    /// Uses up a nonce: a transfer of nothing to ourselves.
    Fill,
}

impl Purpose {
    /// Whether the Anchor shows no effect of it.
    pub(crate) fn is_missing_in(self, anchor: &AnchorView) -> bool {
        match self {
            Self::Commit(number) => number > anchor.last_number,
            Self::Settle(number) => number > anchor.settled_number,
            Self::Fill => false,
        }
    }
}

/// A call to a contract of the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The contract.
    pub to: Address,
    /// Calldata.
    pub data: Vec<u8>,
    /// Native currency sent along, wei.
    pub value: U256,
    /// Gas allowed.
    pub gas_limit: u64,
}

/// A commitment ready to be anchored or settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Its number.
    pub number: u64,
    /// Its hash, as the hub records it.
    pub commitment: B256,
    /// First slot it covers.
    pub first_slot: u64,
    /// Last slot it covers.
    pub last_slot: u64,
    /// The call that anchors it, or settles it: what was asked for.
    pub call: Call,
}

/// What a transaction offers for gas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fees {
    /// Most per gas, wei, base fee included.
    pub max_fee_wei: u128,
    /// Of that for the block's proposer.
    pub tip_wei: u128,
}

/// An EIP-1559 transaction to be signed; the wallet knows the chain id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionRequest {
    /// Our account's nonce.
    pub nonce: u64,
    /// Fees offered.
    pub fees: Fees,
    /// What it does.
    pub call: Call,
}

/// A signed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTransaction {
    /// Its hash.
    pub hash: B256,
    /// Its bytes as nodes take them.
    pub raw: Vec<u8>,
}

/// The sending key.
///
/// Pure: the same request always gives the same bytes (RFC 6979), so that after a restart the
/// hash that was persisted is that of the transaction sent.
pub trait Wallet {
    /// The key's address.
    fn address(&self) -> Address;

    /// Signs.
    fn sign(&self, request: &TransactionRequest) -> SignedTransaction;
}

/// What the engine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make these bytes durable before anything that follows.
    Persist(Vec<u8>),
    /// Look at the hub: [`Event::Observed`].
    Observe {
        /// Names the request.
        id: RequestId,
        /// Numbers of blocks whose canonical hashes are wanted; at most [`CHECKED_BLOCKS_MAX`].
        blocks: Vec<u64>,
        /// Transactions whose receipts are wanted.
        transactions: Vec<B256>,
    },
    /// Give content: [`Event::Prepared`].
    Prepare {
        /// Names the request.
        id: RequestId,
        /// Of what; never [`Purpose::Fill`].
        purpose: Purpose,
    },
    /// Send to the hub: [`Event::Sent`].
    Broadcast {
        /// Names the request.
        id: RequestId,
        /// The nonce, for logs.
        nonce: u64,
        /// What it does, for logs.
        purpose: Purpose,
        /// The transaction.
        transaction: SignedTransaction,
    },
    /// All entries that the queue emitted in these blocks, both included: [`Event::Logs`].
    Logs {
        /// Names the request.
        id: RequestId,
        /// First block.
        from: u64,
        /// Last block.
        to: u64,
    },
    /// The engine has stopped, in part or in whole: tell a person. Said once.
    Halted(Halt),
}

/// Most blocks in [`Action::Observe`].
pub const CHECKED_BLOCKS_MAX: usize = 32;

/// The hub's Anchor at one block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnchorView {
    /// Number of the last commitment, 0 for none.
    pub last_number: u64,
    /// Its hash, zero for none.
    pub last_hash: B256,
    /// Its last slot, 0 for none.
    pub last_slot: u64,
    /// Number of the last settled commitment, 0 for none.
    pub settled_number: u64,
    /// Its last slot, 0 for none.
    pub settled_slot: u64,
    /// How many commitments were ever rejected.
    pub rejections: u64,
    /// Somebody else may anchor, or the snapshot exit is open: the hub no longer takes the
    /// sequencer's word.
    pub escaped: bool,
}

/// Where the commitment after the last settled one stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is anchored, and may be settled at this hub time, seconds.
    Window {
        /// First timestamp at which `settle` is accepted.
        settle_from_s: u64,
    },
    /// It, or one before it, is under challenge.
    Challenged,
}

/// The hub queue at one block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueView {
    /// Entries so far.
    pub count: u64,
    /// Running hash over them.
    pub hash: B256,
}

/// A transaction of ours that is in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The block.
    pub block: u64,
    /// Whether it took effect.
    pub success: bool,
}

/// What a node says of the hub.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// The latest block.
    pub head: BlockRef,
    /// Its timestamp, seconds.
    pub head_time_s: u64,
    /// Base fee per gas of the next block, or of the latest, wei.
    pub base_fee_wei: u128,
    /// Priority fee that the node suggests, wei.
    pub tip_wei: u128,
    /// The finalised block.
    pub finalized: BlockRef,
    /// Canonical hashes of the blocks asked for; those the node does not have are left out.
    pub blocks: Vec<BlockRef>,
    /// Our account's nonce at the head.
    pub nonce: u64,
    /// Its nonce at the finalised block.
    pub nonce_finalized: u64,
    /// Its next nonce, transactions that wait included.
    pub nonce_pending: u64,
    /// Its balance at the head, wei.
    pub balance_wei: U256,
    /// The Anchor at the head.
    pub anchor: AnchorView,
    /// The Anchor at the finalised block.
    pub anchor_finalized: AnchorView,
    /// Where the commitment after the head's last settled one stands; `None` if there is none.
    pub next: Option<Next>,
    /// The queue at the finalised block.
    pub queue_finalized: QueueView,
    /// Receipts, of those asked for that are in blocks.
    pub receipts: Vec<(B256, Receipt)>,
}

/// An entry as a log tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEntry {
    /// The entry.
    pub entry: Entry,
    /// The block it is in.
    pub block: BlockRef,
}

/// How an error is to be handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Passes by itself: asked again after a wait.
    Temporary,
    /// Does not pass by itself: still asked again, at the longest interval, and told to a person.
    Critical,
    /// What was derived must be derived again.
    Reset,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Failure {
    /// How it is to be handled.
    pub class: Class,
    /// What was wrong.
    pub what: String,
}

/// What became of a transaction that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The node took it, or has it already.
    Accepted,
    /// Its nonce is used up.
    NonceTooLow,
    /// The nonce is taken by a transaction that pays more than allows this to replace it.
    Underpriced,
    /// The account cannot pay for it.
    InsufficientFunds,
}

/// What the engine is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Commitments up to this number can be prepared. Once at the start (when the node has read
    /// its log), then with each new one.
    Ready {
        /// The last one.
        last: u64,
    },
    /// Answers [`Action::Observe`].
    Observed {
        /// The request.
        id: RequestId,
        /// What was seen.
        observation: Box<Observation>,
    },
    /// Answers [`Action::Prepare`].
    Prepared {
        /// The request.
        id: RequestId,
        /// The content.
        prepared: Prepared,
    },
    /// Answers [`Action::Broadcast`].
    Sent {
        /// The request.
        id: RequestId,
        /// What the node said.
        sent: Sent,
    },
    /// Answers [`Action::Logs`].
    Logs {
        /// The request.
        id: RequestId,
        /// The hash that the same node has, after answering, for the last block asked for.
        last_hash: B256,
        /// In the order of the chain.
        entries: Vec<LoggedEntry>,
    },
    /// Answers any request: nothing is known.
    Failed {
        /// The request.
        id: RequestId,
        /// Why.
        failure: Failure,
    },
}

/// Where the queue is read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Index of the next entry.
    pub index: u64,
    /// Running hash before it.
    pub queue_hash: B256,
    /// A finalised block that the next entry is not before: that of the last entry taken, or the
    /// one in which the hub was deployed.
    pub block: BlockRef,
}

/// An entry of the queue that is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    /// The entry.
    pub entry: Entry,
    /// Running hash after it.
    pub queue_hash: B256,
    /// The hub block it is in.
    pub block: BlockRef,
}
