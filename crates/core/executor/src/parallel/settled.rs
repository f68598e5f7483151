//! What is asked for and what comes of it.

use alloc::string::String;
use atoll_vm::parallel::{Access, Batch};

/// When to execute one after the other instead, and what to remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Batches with less to do are executed serially: nanoseconds, by [`Batch::weight`].
    pub weight_min: u64,
    /// After so many transactions a batch is given up where it does not pay.
    pub give_up_after: usize,
    /// It does not pay where the executions that count took less than so many hundredths of the time
    /// that has passed.
    pub give_up_below: u32,
    /// Nor does it pay where those executions took fewer nanoseconds each: versions and settlement cost
    /// as much.
    pub give_up_mean: u64,
    /// How many clashes are remembered.
    pub clashes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            weight_min: 2_000_000,
            give_up_after: 16,
            give_up_below: 125,
            give_up_mean: 25_000,
            clashes_max: 0,
        }
    }
}

impl Limits {
    /// Everything is executed in parallel, whether it pays or not: for tests.
    pub fn always() -> Self {
        Self {
            weight_min: 0,
            give_up_after: usize::MAX,
            give_up_below: 0,
            give_up_mean: 0,
            clashes_max: 1 << 16,
        }
    }
}

/// A settled transaction.
#[derive(Debug)]
pub enum Settled<B: Batch> {
    /// It was executed.
    Executed {
        /// What came of it.
        output: B::Output,
        /// What it read and wrote.
        access: Access<B>,
    },
    /// [`Batch::admit`] refused it.
    Refused,
}

/// Where a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Behind its last transaction.
    All,
    /// Where [`Batch::admit`] or [`Batch::count`] said so.
    Early,
    /// Where it did not pay to go on: what follows is for serial execution.
    Serial,
}

/// A transaction panicked that saw what serial order shows it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("transaction {index} panicked: {what}")]
pub struct Panicked {
    /// Index of the transaction.
    pub index: usize,
    /// The panic's message.
    pub what: String,
}
