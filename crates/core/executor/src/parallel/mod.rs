//! Transactions of one environment at once, with the results of one after the other.
//!
//! Transactions are executed ahead of their turn, on what those before them are known to have written, and
//! become final one after the other. A VM says by [`Batch`] what its transactions are. Where the versions of
//! values are kept depends on how many threads there are:
//!
//! * **A few threads each have their own** ([`known`]), and are told of one another by what is final, in
//!   order ([`line`](mod@line)). They take next to nothing from one another's caches, know less of one
//!   another, and execute again at most what was ahead.
//! * **More threads share them**: Block-STM (Gelashvili et al., "Block-STM: Scaling Blockchain Execution by
//!   Turning Ordering Curse to a Performance Blessing", 2022). All see at once what anybody has written
//!   ([`memory`]); who read what has changed since is executed again ([`schedule`]); one transaction after the
//!   other is settled ([`run`]).
//!
//! # Why the results are those of serial order
//! A transaction is settled when all before it are, and when everything that it looked at has the value
//! that it would see now. Nothing before it changes any more, so this is what serial order shows it, and
//! an execution is a function of what it looks at. All else (estimates, lists of readers, hints, the order
//! of work) only makes that likely early. Settled results are handed on in order; the state itself does
//! not change during a batch, and whoever asked applies reads and writes to it in order, so that
//! even what the state remembers of its reads is the same.
//!
//! # Against the paper
//! * A write says at once whose reads it makes wrong, by a list of readers beside each value that was
//!   written; nobody validates again and again. The validation of the paper is made once, at settlement, by comparing
//!   values: a transaction that was executed again and wrote the same again disturbs nobody.
//! * Settlement goes with execution (the paper's last section only checks lazily), so counters of the
//!   block are exact, and what they refuse is refused like in serial order.
//! * Additions commute; see [`atoll_vm::parallel`].
//!
//! # Limits
//! A batch ends on a panic that serial order has, too ([`Panicked`]). Memory: the
//! versions of each value that a batch writes (for each of a few threads), and one entry for each read.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "clocks and threads decide what is executed when and not what comes of it; maps are not iterated"
)]

mod conflicts;
mod evm;
mod known;
mod line;
mod memory;
mod probe;
mod report;
mod run;
mod schedule;
mod settled;

use crate::workers::Pool;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use atoll_state::Workers;
use atoll_vm::parallel::Batch;
use core::fmt::Debug;
use core::hash::Hash;
use known::Known;
use memory::Memory;
use settled::Pace;

pub use conflicts::{Conflict, Conflicts};
pub use evm::{BlockError, BlockReport, EvmParallel};
pub use report::{Clash, Report};
pub use settled::{Ended, Limits, Panicked, Settled};

/// Locks and atomics: a test has them from a model checker.
mod sync {
    pub(super) use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard, OnceLock as Once};

    /// On cache lines of its own (two, as they are fetched in pairs): what one thread writes all the time must
    /// not take from the others what lies beside it.
    #[derive(Debug)]
    #[repr(align(128))]
    pub(super) struct Apart<T>(pub(super) T);

    /// How often a thread looks for something to do before it lets others run.
    const LOOKS_BEFORE_YIELD: u32 = 256;

    /// Waits a little, for the so-many-th time.
    pub(super) fn pause(looks: u32) {
        match looks.is_multiple_of(LOOKS_BEFORE_YIELD) {
            true => std::thread::yield_now(),
            false => core::hint::spin_loop(),
        }
    }
}

/// How many transactions are weighed at most to say what a batch weighs: what one weighs is looked up, so of
/// very many some speak for all.
const WEIGHED_MAX: usize = 1 << 7;
/// How many locks the values of a batch are spread over.
const SHARDS: usize = 256;

/// What some of a batch's transactions weigh ([`Batch::weight`]).
#[derive(Debug)]
struct Weights {
    /// How many transactions there are.
    count: usize,
    /// One in so many was weighed.
    step: usize,
    /// What those weigh.
    of: Vec<u64>,
}

impl Weights {
    fn of(count: usize, weight: impl Fn(usize) -> u64) -> Self {
        let step = count.div_ceil(WEIGHED_MAX).max(1);
        Self { count, step, of: (0..count).step_by(step).map(weight).collect() }
    }

    /// How many hundredths of those that were weighed are by one sender, at most: [`Batch::chained`] before there is
    /// a batch.
    fn chained<S: Ord>(&self, sender: impl Fn(usize) -> S) -> u64 {
        let senders = (0..self.count).step_by(self.step).map(sender);
        let mut by_sender: Vec<(S, u64)> = senders.zip(self.of.iter().copied()).collect();
        by_sender.sort_unstable();
        let sum =
            |of: &[(S, u64)]| of.iter().map(|(_, weight)| *weight).fold(0, u64::saturating_add);
        let most = by_sender.chunk_by(|(one, _), (other, _)| one == other).map(sum).max();
        most.unwrap_or_default().saturating_mul(100) / sum(&by_sender).max(1)
    }

    /// About what all of them weigh.
    fn sum(&self) -> u64 {
        let sum = self.of.iter().copied().fold(0, u64::saturating_add);
        sum.saturating_mul(self.count as u64) / (self.of.len() as u64).max(1)
    }
}

/// What came of a batch.
#[derive(Debug)]
pub struct Done<B: Batch> {
    /// The settled transactions, from the first on.
    pub settled: Vec<Settled<B>>,
    /// Where it ended.
    pub ended: Ended,
    /// How it went.
    pub report: Report<B::Key>,
}

/// Threads and memory for batches with such keys and values.
#[derive(Debug)]
pub struct Parallel<K, V> {
    pool: Pool,
    threads: usize,
    /// Of each thread.
    known: Vec<Known<K>>,
    /// Of all together.
    memory: Arc<Memory<K, V>>,
    /// Whether there is anything in it: a panic of who is told of results leaves something.
    dirty: bool,
    /// When to execute one after the other instead.
    pub limits: Limits,
}

impl<K, V> Parallel<K, V> {
    /// Has them wake up, and waits for them.
    fn wake(&self) {
        let mut looks = 0;
        while self.pool.asleep() > 0 {
            self.pool.rouse();
            looks += 1;
            sync::pause(looks);
        }
    }

    /// Whether there may be enough for more than one thread in what nobody has looked through for chains.
    fn may_pay<S: Ord>(&self, weights: &Weights, sender: impl Fn(usize) -> S) -> bool {
        self.pays(weights) && weights.chained(sender) < self.limits.chained_max
    }

    /// Whether there is enough to do for more than one thread.
    fn pays(&self, weights: &Weights) -> bool {
        let Limits { weight_min, give_up_after, .. } = self.limits;
        let is_enough = self.threads > 1 && weights.count > 1 && weights.sum() >= weight_min;
        give_up_after == usize::MAX || is_enough
    }

    /// Whether most threads are awake. Until then one alone is as fast.
    fn is_awake(&self) -> bool {
        self.pool.asleep() * 2 < self.threads
    }
}

impl<K, V> Parallel<K, V>
where
    K: Copy + Eq + Hash + Ord + Debug + Send + Sync,
    V: Clone + Debug + Send + Sync,
{
    /// So many threads, the caller's included. `seed` keys an index, so that keys chosen by an attacker
    /// do not collide; results never depend on it.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn new(threads: usize, seed: u64) -> std::io::Result<Self> {
        let (pool, memory) = (Pool::new(threads)?, Arc::new(Memory::new(SHARDS, seed)));
        let (threads, limits) = (threads.max(1), Limits::default());
        let known = (0..threads).map(|_| Known::new(seed)).collect();
        Ok(Self { pool, threads, known, memory, dirty: false, limits })
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Whether a batch is worth the while. One that is not is [`Ended::Serial`] before it begins.
    fn is_worth<B: Batch<Key = K, Value = V>>(&self, batch: &B) -> bool {
        let weights = Weights::of(batch.len(), |index| batch.weight(index));
        self.pays(&weights) && batch.chained() < self.limits.chained_max
    }

    /// Executes transactions, as many as it pays to. `each` is given what came of one after the other, as
    /// soon as it is final.
    ///
    /// # Errors
    /// A transaction panicked.
    pub fn run<B: Batch<Key = K, Value = V>>(
        &mut self,
        batch: &B,
        each: &mut (dyn FnMut(usize, &B::Output) + Send),
    ) -> Result<Done<B>, Panicked> {
        self.go_on(batch, None, each)
    }

    /// The same behind what was executed serially, at such a pace.
    fn go_on<B: Batch<Key = K, Value = V>>(
        &mut self,
        batch: &B,
        pace: Option<Pace>,
        each: &mut (dyn FnMut(usize, &B::Output) + Send),
    ) -> Result<Done<B>, Panicked> {
        if !self.is_worth(batch) {
            let (settled, report) = (Vec::new(), Report::default());
            return Ok(Done { settled, ended: Ended::Serial, report });
        }
        let each = Box::new(|index: usize, output: &B::Output| each(index, output));
        let done = match self.threads <= self.limits.few_threads {
            true => {
                let run = line::Run::new(batch, self.limits, pace, each);
                self.pool.each(&mut self.known, &|thread, known| run.work(thread, known));
                run.into_done()
            }
            false => {
                if self.dirty {
                    self.clear();
                }
                self.dirty = true;
                let memory = Arc::clone(&self.memory);
                let run = run::Run::new(batch, memory, self.limits, pace, each);
                self.pool.each(&mut alloc::vec![(); self.threads], &|_, ()| run.work());
                let done = run.into_done();
                self.clear();
                done
            }
        };
        let (settled, ended, report) = done?;
        Ok(Done { settled, ended, report })
    }

    fn clear(&mut self) {
        let Self { pool, memory, threads: parts, .. } = self;
        pool.each(&mut alloc::vec![(); *parts], &|part, ()| memory.clear(part, *parts));
        self.dirty = false;
    }
}
