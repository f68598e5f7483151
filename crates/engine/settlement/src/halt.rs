//! Why the engine stops.

use crate::port::{BlockRef, Class, Cursor, Purpose};
use atoll_types::B256;

/// Why the engine has stopped, what is affected, what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// The hub has a commitment that this node did not make.
    #[error(
        "the hub's commitment {number} is {found}, {}: somebody else anchored it, or this node's \
         data is older than the hub; posting stops until this node has followed the hub",
        .ours.map_or("which this node has not made yet".into(), |ours| format!("this node's is {ours}"))
    )]
    Foreign {
        /// Its number.
        number: u64,
        /// Its hash on the hub.
        found: B256,
        /// Its hash here; `None` if this node has not come that far.
        ours: Option<B256>,
    },
    /// A commitment was rejected after a challenge.
    #[error(
        "the hub rejected a commitment; its last one is now {last_number}, up to slot {last_slot}: \
         derive again from the next slot on, then resume"
    )]
    Rejected {
        /// The last commitment that stands.
        last_number: u64,
        /// Its last slot.
        last_slot: u64,
    },
    /// The hub no longer takes the sequencer's word.
    #[error("the hub's escape hatch is open after commitment {last_number}: posting stops")]
    Escaped {
        /// The last commitment.
        last_number: u64,
    },
    /// A transaction was mined again and again without effect.
    #[error(
        "{purpose:?} reverted {times} times on the hub: simulate the call to learn why, repair it, \
         then resume"
    )]
    Reverted {
        /// What it does.
        purpose: Purpose,
        /// How often.
        times: u32,
    },
    /// The node gave other content for the same thing.
    #[error(
        "{purpose:?} was sent with other content before: two versions of one commitment exist in \
         this node; nothing is posted before a person has looked"
    )]
    ContentChanged {
        /// What it does.
        purpose: Purpose,
    },
    /// A block that was final is no longer on the chain.
    #[error(
        "hub block {} was final and is gone (now {found}): what was taken from the hub from queue \
         entry {} on must be derived again", replaced.number, from.index
    )]
    DeepReorg {
        /// The block that was final.
        replaced: BlockRef,
        /// The hash that stands there now.
        found: B256,
        /// The last place known to be on the new chain; all after it is affected.
        from: Cursor,
    },
    /// The queue's running hash on the hub is not that of its entries.
    #[error(
        "the hub queue at block {} has {count} entries and hash {found}, its logs give {ours}: the \
         node is wrong or the contract is another; nothing is taken from the queue", block.number
    )]
    Queue {
        /// At which block.
        block: BlockRef,
        /// The number of entries the hub says.
        count: u64,
        /// The hash the hub says.
        found: B256,
        /// The hash of the entries in the logs.
        ours: B256,
    },
}

impl Halt {
    /// How it is to be handled: [`Class::Reset`] asks for [`crate::Engine::rederive`],
    /// [`Class::Critical`] for [`crate::Engine::resume`].
    pub fn class(&self) -> Class {
        match self {
            Self::DeepReorg { .. } | Self::Queue { .. } => Class::Reset,
            _ => Class::Critical,
        }
    }

    /// Whether it stops the reading of the queue too, and not posting alone.
    pub fn stops_queue(&self) -> bool {
        matches!(self, Self::DeepReorg { .. } | Self::Queue { .. })
    }
}
