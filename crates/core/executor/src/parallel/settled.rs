//! What is asked for and what comes of it.

use super::report::Report;
use super::sync::{AtomicBool, Ordering};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use atoll_vm::parallel::{Access, Batch};
use core::time::Duration;

/// How long nothing is said about whether several threads pay: they need a while to meet.
const MEETING_NS: u128 = 1_000_000;
/// How many transactions say what one takes.
const MEAN_OF: usize = 32;

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
    /// It does not pay where executions took fewer nanoseconds each: versions and settlement cost as much.
    pub give_up_mean: u64,
    /// Where versions are each thread's own, it may pay or not where they took fewer than this: then time
    /// decides. How much has passed says nothing of longer ones, because one may be waited for.
    pub short_mean: u64,
    /// Nor where versions are each thread's own and so many hundredths of the transactions were executed
    /// again.
    pub give_up_again: u32,
    /// Nor, where time decides, as it does where versions are shared, if the executions that count took less
    /// than so many hundredths of the time that has passed.
    pub give_up_below: u32,
    /// The same where some of the batch was executed serially before, and so what one thread takes is known: if
    /// that would have been less than so many hundredths of the time that has passed. To apply the results is
    /// still to come.
    pub give_up_below_alone: u32,
    /// Nor where the longest chain is so many hundredths of a batch ([`Batch::chained`]): nothing begins there. What
    /// one thread executes on versions takes longer than on the state.
    pub chained_max: u64,
    /// A block is executed in batches of so many transactions, and what a batch wrote is applied before the next:
    /// versions of more than a cache holds take longer to find than threads have to wait for one another.
    pub batch_max: usize,
    /// How many clashes are remembered.
    pub clashes_max: usize,
    /// So many threads each have versions of their own; more of them share them.
    pub few_threads: usize,
}

/// How fast one thread alone is, as far as that was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// It took so long.
    pub(super) time: Duration,
    /// To do so much ([`Batch::work`]).
    pub(super) work: u64,
}

impl Pace {
    /// How long one thread alone would take.
    fn alone(self, work: u64) -> Duration {
        let nanos = self.time.as_nanos() * u128::from(work) / u128::from(self.work.max(1));
        Duration::from_nanos(nanos as u64)
    }
}

/// What is known of a batch so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SoFar {
    /// So many transactions are final.
    pub(super) settled: usize,
    /// So many were executed again.
    pub(super) again: usize,
    /// Time of the executions that count.
    pub(super) useful: Duration,
    /// What was done.
    pub(super) work: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            weight_min: 1_700_000,
            give_up_after: 16,
            give_up_mean: 4_000,
            short_mean: 12_000,
            give_up_again: 66,
            give_up_below: 130,
            give_up_below_alone: 115,
            chained_max: 55,
            batch_max: 1 << 10,
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
            give_up_mean: 0,
            short_mean: 0,
            give_up_again: u32::MAX,
            give_up_below: 0,
            give_up_below_alone: 0,
            chained_max: u64::MAX,
            batch_max: usize::MAX,
            clashes_max: 1 << 16,
            ..Self::default()
        }
    }

    /// Whether transactions take less than so many nanoseconds, of which so many took `useful`.
    fn is_short(settled: usize, useful: Duration, mean: u64) -> bool {
        settled >= MEAN_OF && useful.as_nanos() < settled as u128 * u128::from(mean)
    }

    /// Whether threads were of no use, by what one alone would have taken; where that was not seen, by how long
    /// the executions took that count.
    fn is_slow(&self, so_far: &SoFar, pace: Option<Pace>, elapsed: Duration) -> bool {
        let (alone, below) = match pace {
            Some(pace) => (pace.alone(so_far.work), self.give_up_below_alone),
            None => (so_far.useful, self.give_up_below),
        };
        let (alone, elapsed) = (alone.as_nanos(), elapsed.as_nanos());
        elapsed > MEETING_NS && alone * 100 < elapsed * u128::from(below)
    }

    /// Whether one thread alone would be faster where versions are each thread's own, after so many
    /// transactions, some of which were executed again.
    pub(super) fn give_up_own(
        &self,
        so_far: SoFar,
        pace: Option<Pace>,
        elapsed: impl FnOnce() -> Duration,
    ) -> bool {
        let SoFar { settled, again, useful, .. } = so_far;
        if settled < self.give_up_after || !settled.is_multiple_of(8) {
            return false;
        }
        let most = (settled as u64).saturating_mul(u64::from(self.give_up_again));
        let again = (again as u64).saturating_mul(100) > most;
        let is_short = |mean| Self::is_short(settled, useful, mean);
        again
            || is_short(self.give_up_mean)
            || is_short(self.short_mean) && self.is_slow(&so_far, pace, elapsed())
    }

    /// The same where versions are shared.
    pub(super) fn give_up_shared(
        &self,
        so_far: SoFar,
        pace: Option<Pace>,
        elapsed: impl FnOnce() -> Duration,
    ) -> bool {
        let SoFar { settled, useful, .. } = so_far;
        settled >= self.give_up_after
            && settled.is_multiple_of(8)
            && (Self::is_short(settled, useful, self.give_up_mean)
                || self.is_slow(&so_far, pace, elapsed()))
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

/// Says that there was a panic that is no transaction's (of the caller's `each`, of counting).
pub(super) struct SetOnPanic<'a>(pub(super) &'a AtomicBool);

impl Drop for SetOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Release);
        }
    }
}

/// What a panic says.
pub(super) fn text(panic: &(dyn core::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    text.unwrap_or_else(|| "a panic without a message".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn what_one_thread_would_have_taken_decides_where_it_is_known() {
        let limits = Limits::default();
        // Executions that count took 3 ms on two threads.
        let so_far = SoFar { settled: 400, again: 0, useful: micros(3_000), work: 2_000 };
        let gives_up = |pace, elapsed| limits.give_up_own(so_far, pace, || micros(elapsed));
        assert!(!gives_up(None, 2_000));
        assert!(gives_up(None, 2_400));
        // One thread needed 1 ms for half of that.
        let pace = Some(Pace { time: micros(1_000), work: 1_000 });
        assert!(!gives_up(pace, 1_700));
        assert!(gives_up(pace, 1_800));
        // In the first millisecond nothing is known of threads.
        let slow = Some(Pace { time: micros(1), work: 1_000 });
        assert!(!gives_up(slow, 1_000));
        assert!(gives_up(slow, 1_001));
    }
}
