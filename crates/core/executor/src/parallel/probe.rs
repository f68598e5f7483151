//! What goes before a block of EVM transactions is shared out: some of it is executed serially.
//!
//! Until there are threads awake to share with, one alone is as fast. And short transactions take longer to
//! share out than to execute, which gas limits only hint at: where those are low, the first ones are executed
//! serially until some of them have been long, which costs nothing if none are.

use super::settled::Pace;
use super::{Limits, Parallel};
use atoll_vm::evm::parallel::work;
use core::time::Duration;
use std::time::Instant;

/// So many transactions say what one takes.
const MEAN_OF: u32 = 12;
/// So many say how fast one thread is.
const PACE_OF: usize = 32;
/// Calls that weigh so many nanoseconds on average are expected to be long without a try: it takes a fifth of
/// that to execute them.
const LONG_WEIGHT: u64 = 46_000;

/// Whether to go on serially.
#[derive(Debug)]
pub(super) struct Probe {
    /// So many transactions that take as long are long ones.
    enough: Duration,
    began: Instant,
    since: Instant,
    counted: u32,
    is_long: bool,
}

impl Probe {
    /// For transactions of which the first weigh so much, payments nothing
    /// ([`Batch::weight`](atoll_vm::parallel::Batch::weight)). None where everything is to be shared out.
    pub(super) fn new<K, V>(parallel: &Parallel<K, V>, weights: &[u64]) -> Option<Self> {
        let Limits { give_up_mean, give_up_after, .. } = parallel.limits;
        if give_up_after == usize::MAX {
            return None;
        }
        let calls = weights.iter().filter(|weight| **weight > 0);
        let (count, sum) = calls.fold((0, 0), |(count, sum), weight| (count + 1, sum + weight));
        let is_long = sum >= count * LONG_WEIGHT;
        if is_long {
            parallel.pool.rouse();
        }
        let enough = Duration::from_nanos(give_up_mean) * MEAN_OF;
        let began = Instant::now();
        Some(Self { enough, began, since: began, counted: 0, is_long })
    }

    /// How fast one thread was, to which so many transactions belong that used so much gas.
    pub(super) fn pace(&self, transactions: usize, gas_used: u64) -> Option<Pace> {
        let (time, work) = (self.began.elapsed(), work(gas_used, transactions));
        (transactions >= PACE_OF).then_some(Pace { time, work })
    }

    /// Whether it is time to share.
    pub(super) fn is_over<K, V>(&self, parallel: &Parallel<K, V>) -> bool {
        self.is_long && parallel.is_awake()
    }

    /// Told of a transaction that was executed serially, and what it weighed if that was looked at. Threads that
    /// sleep are woken once there is something for them.
    pub(super) fn note<K, V>(&mut self, weight: Option<u64>, parallel: &Parallel<K, V>) {
        // A payment says nothing of others.
        let is_call = weight != Some(0);
        self.counted += u32::from(is_call || self.is_long);
        if self.is_long {
            // Who was roused and waited for long sleeps again.
            if self.counted.is_multiple_of(MEAN_OF) {
                parallel.pool.rouse();
            }
        } else if is_call {
            let now = Instant::now();
            if now.duration_since(self.since) >= self.enough {
                self.is_long = true;
                parallel.pool.rouse();
            } else if self.counted == MEAN_OF {
                (self.since, self.counted) = (now, 0);
            }
        }
    }
}
