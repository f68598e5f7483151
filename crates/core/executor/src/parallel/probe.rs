//! What goes before a block of EVM transactions is shared out: some of it is executed serially.
//!
//! Until there are threads awake to share with, one alone is as fast. And short transactions take longer to
//! share out than to execute, which gas limits only hint at: where those are low, the first ones are executed
//! serially until some of them have been long, which costs nothing if none are.

use super::settled::Pace;
use super::{Limits, Parallel, Weights};
use atoll_vm::evm::parallel::work;
use core::time::Duration;
use std::time::Instant;

/// So many transactions say what one takes.
const MEAN_OF: u32 = 12;
/// And that if at least one transaction in so many is a call: payments are better executed serially, and to look
/// for who depends on whom takes as long as some of them.
const CALLS_ARE_ONE_IN: u64 = 4;
/// What a payment uses; it says nothing of others.
const PAYMENT_GAS: u64 = 21_000;
/// So many say how fast one thread is.
const PACE_OF: usize = 16;
/// Calls that weigh so many nanoseconds on average are expected to be long without a try: it takes a fifth of
/// that to execute them.
const LONG_WEIGHT: u64 = 46_000;

/// So much is done by then ([`Batch::work`](atoll_vm::parallel::Batch::work)) that it is time to look at the clock.
const WORK_PER_LOOK: u64 = 30_000;

/// Whether to go on serially.
#[derive(Debug)]
pub(super) struct Probe {
    /// So many transactions that take as long are long ones.
    enough: Duration,
    began: Instant,
    since: Instant,
    /// Calls since then.
    counted: u32,
    /// What they did since the last look at the clock.
    work: u64,
    /// Transactions since it began, of how many.
    noted: u32,
    count: u32,
    /// To share less than this is not worth the while.
    least: Duration,
    /// Whether those before have been long, too.
    were_long: bool,
    is_long: bool,
}

impl Probe {
    /// For transactions of which some weigh so much, payments nothing
    /// ([`Batch::weight`](atoll_vm::parallel::Batch::weight)). None where everything is to be shared out.
    pub(super) fn new<K, V>(parallel: &Parallel<K, V>, weights: &Weights) -> Option<Self> {
        let Limits { give_up_mean, give_up_after, weight_min, .. } = parallel.limits;
        if give_up_after == usize::MAX {
            return None;
        }
        let calls = weights.of.iter().filter(|weight| **weight > 0);
        let (count, sum) = calls.fold((0, 0), |(count, sum), weight| (count + 1, sum + weight));
        let are_many = count * CALLS_ARE_ONE_IN >= weights.of.len() as u64;
        let is_long = are_many && sum >= count * LONG_WEIGHT;
        if is_long {
            parallel.pool.rouse();
        }
        // On versions a transaction takes half as long again.
        let enough = Duration::from_nanos(give_up_mean) * MEAN_OF * 3 / 2;
        let began = Instant::now();
        Some(Self {
            enough,
            began,
            since: began,
            counted: 0,
            work: 0,
            noted: 0,
            count: u32::try_from(weights.count).unwrap_or(u32::MAX),
            least: Duration::from_nanos(weight_min),
            were_long: false,
            is_long,
        })
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

    /// Told of a transaction that was executed serially and used so much gas. Threads that sleep are woken once
    /// there is something for them.
    pub(super) fn note<K, V>(&mut self, gas_used: u64, parallel: &Parallel<K, V>) {
        self.noted += 1;
        if self.is_long {
            self.counted += 1;
            // Who was roused and waited for long sleeps again.
            if self.counted.is_multiple_of(MEAN_OF) {
                parallel.pool.rouse();
            }
        } else if gas_used > PAYMENT_GAS {
            self.counted += 1;
            self.work += work(gas_used, 1);
            if self.counted == MEAN_OF || self.work >= WORK_PER_LOOK {
                self.look(parallel);
            }
        }
    }

    /// Looks at the clock. A little longer than enough may have been chance.
    fn look<K, V>(&mut self, parallel: &Parallel<K, V>) {
        let now = Instant::now();
        let took = now.duration_since(self.since);
        self.work = 0;
        let were_long = took >= self.enough;
        let left = now.duration_since(self.began) / self.noted.max(1)
            * self.count.saturating_sub(self.noted);
        let are_long = took >= self.enough * 2 || were_long && self.were_long;
        if are_long && left >= self.least {
            (self.is_long, self.counted) = (true, 0);
            parallel.pool.rouse();
        } else if self.counted >= MEAN_OF {
            (self.since, self.counted, self.were_long) = (now, 0, were_long);
        }
    }
}
