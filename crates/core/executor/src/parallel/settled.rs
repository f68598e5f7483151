//! What is asked for and what comes of it.

use super::report::Report;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use atoll_vm::parallel::{Access, Batch};
use core::time::Duration;

/// How long nothing is said about whether several threads pay: they need a while to meet.
const MEETING_NS: u128 = 300_000;

/// What came of a batch: what was settled, where it ended, how it went.
pub(super) type Outcome<B> = (Vec<Settled<B>>, Ended, Report<<B as Batch>::Key>);

/// Told of what came of each.
pub(super) type Each<'a, B> = Box<dyn FnMut(usize, &<B as Batch>::Output) + Send + 'a>;

/// How to execute, when to do so one after the other instead, and what to remember.
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
    /// So many threads each have versions of their own; more of them share them.
    pub few_threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            weight_min: 1_200_000,
            give_up_after: 16,
            give_up_below: 105,
            give_up_mean: 4_000,
            clashes_max: 0,
            few_threads: 4,
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
            ..Self::default()
        }
    }

    /// Whether one thread alone would be faster, after so many transactions whose executions took `useful`.
    pub(super) fn give_up(
        &self,
        settled: usize,
        useful: impl FnOnce() -> Duration,
        elapsed: impl FnOnce() -> Duration,
    ) -> bool {
        let Self { give_up_after, give_up_below, give_up_mean, .. } = *self;
        if settled < give_up_after || !settled.is_multiple_of(8) {
            return false;
        }
        let (useful, elapsed) = (useful().as_nanos(), elapsed().as_nanos());
        let pays = useful * 100 >= elapsed * u128::from(give_up_below)
            && useful >= settled as u128 * u128::from(give_up_mean);
        elapsed > MEETING_NS && !pays
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

/// What a panic says.
pub(super) fn text(panic: &(dyn core::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    text.unwrap_or_else(|| "a panic without a message".to_string())
}
