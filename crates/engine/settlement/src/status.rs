//! What metrics and people see.

use crate::halt::Halt;
use crate::port::{BlockRef, Next, Purpose};
use atoll_types::U256;

/// Where settlement stands, as of the last look at the hub.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// When the hub was last seen, milliseconds on the caller's clock; `None` if never.
    pub observed_ms: Option<u64>,
    /// The hub's latest block.
    pub head: BlockRef,
    /// The hub's finalised block.
    pub finalized: BlockRef,
    /// The last commitment that this node can post.
    pub ready_number: u64,
    /// The last commitment on the hub.
    pub anchored_number: u64,
    /// Its last slot.
    pub anchored_slot: u64,
    /// The last commitment at the hub's finalised block.
    pub anchored_final_number: u64,
    /// The last settled commitment.
    pub settled_number: u64,
    /// Its last slot.
    pub settled_slot: u64,
    /// What the commitment after it waits for.
    pub next: Option<Next>,
    /// Transactions that wait for a block: nonce, purpose, most per gas offered.
    pub waiting: Vec<(u64, Purpose, u128)>,
    /// Transactions that are not final, those that wait included.
    pub unfinal: usize,
    /// The sending account's balance, wei.
    pub balance_wei: U256,
    /// Entries in the hub queue at its finalised block.
    pub queue_count: u64,
    /// Entries read from it, those not taken yet included.
    pub queue_read: u64,
    /// Entries read and not taken yet.
    pub queue_buffered: usize,
    /// Hub blocks between the finalised one and the last one read.
    pub queue_lag_blocks: u64,
    /// Looks at the hub that were not used: the node was behind, or said what cannot be.
    pub observations_ignored: u64,
    /// Why posting has stopped.
    pub posting_halted: Option<Halt>,
    /// Why reading of the queue has stopped.
    pub queue_halted: Option<Halt>,
    /// The last thing that went wrong and is being tried again.
    pub problem: Option<String>,
}
