//! Bounded admission of transactions, with lanes.
//!
//! The mempool holds transactions between their static check and the sequencer's next tick. It is
//! a state machine: no clock, no thread, no I/O; time comes in with each transaction.
//!
//! # Invariants
//! * Everything is bounded: transactions and bytes in all, transactions per environment and per
//!   sender, the table of senders, the window of recent hashes.
//! * A transaction that was admitted leaves exactly once, through [`Mempool::drain`] or
//!   [`Mempool::clear`]; a refused one leaves no trace and spends nothing of its sender's rate.
//! * Inside one queue the order is that of arrival. An environment has one queue per lane
//!   ([`Queueing::Lanes`]) or one for all ([`Queueing::Arrival`]).
//! * When a drain takes everything, it takes it in the order of arrival. When it cannot,
//!   environments and lanes take turns by weight, so a flood in one never starves another.
//!
//! # Known limitations
//! Sequential nonces (EVM) are not understood here: the static check of the VM, made before
//! admission, refuses what the account's nonce rules out, and a sender's transactions of one lane
//! keep their order. A transaction that was ordered but had no effect can be offered again after
//! [`Mempool::forget`].

mod limits;
mod queue;
mod rate;
mod seen;

pub use limits::{Limits, LimitsError, Queueing, RateLimit};

use atoll_types::{Address, B256, EnvironmentId, Lane, Reject, RejectCode, Transaction};
use queue::Queues;
use rate::Buckets;
use seen::Seen;
use std::collections::HashMap;

/// A transaction that passed every check that needs no state, on its way to the sequencer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingTransaction {
    /// The transaction.
    pub transaction: Transaction,
    /// Its hash ([`Transaction::hash`]), computed by the check.
    pub hash: B256,
    /// Who signed it.
    pub sender: Address,
    /// When it was received, microseconds since the Unix epoch.
    pub received_us: u64,
    /// Names whoever waits for the confirmation; the mempool only carries it.
    pub ticket: u64,
}

impl PendingTransaction {
    /// What it counts against the limits on bytes.
    fn bytes(&self) -> u64 {
        self.transaction.bytes.len() as u64
    }
}

/// How full the mempool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Fill {
    /// Transactions waiting.
    pub transactions: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The mempool.
#[derive(Debug)]
pub struct Mempool {
    limits: Limits,
    queues: Queues,
    /// Waiting transactions per sender; holds no zero, so it is as bounded as the pool.
    waiting: HashMap<Address, u32>,
    buckets: Buckets,
    seen: Seen,
    fill: Fill,
}

impl Mempool {
    /// An empty mempool for these environments, all of them admitting.
    ///
    /// # Errors
    /// When a limit is zero or contradicts another, or an environment is named twice.
    pub fn new(
        limits: Limits,
        environments: impl IntoIterator<Item = (EnvironmentId, Queueing)>,
    ) -> Result<Self, LimitsError> {
        limits.check()?;
        Ok(Self {
            queues: Queues::new(environments)?,
            waiting: HashMap::new(),
            buckets: Buckets::new(limits.rate, limits.senders_max),
            seen: Seen::new(limits.seen_max),
            fill: Fill::default(),
            limits,
        })
    }

    /// Takes a transaction in.
    ///
    /// # Errors
    /// Stable codes: `UnknownEnvironment`, `Oversized`, `AlreadyKnown` (this hash is waiting or
    /// was ordered lately), `Busy` (the environment's gate is shut, or the pool is full),
    /// `RateLimited` (the sender has too many waiting, or has spent its rate).
    pub fn admit(&mut self, pending: PendingTransaction) -> Result<(), Reject> {
        let environment = pending.transaction.environment;
        let Some((admitting, queued)) = self.queues.gate(environment) else {
            return Err(refuse(
                RejectCode::UnknownEnvironment,
                format!(
                    "environment {environment} is not on this network: ask /atoll for the list"
                ),
            ));
        };
        let size = pending.bytes();
        if size > u64::from(self.limits.transaction_bytes_max) {
            let bound = self.limits.transaction_bytes_max;
            return Err(refuse(
                RejectCode::Oversized,
                format!("the transaction has {size} bytes, the limit is {bound}: split it"),
            ));
        }
        if self.seen.contains(&pending.hash) {
            return Err(refuse(
                RejectCode::AlreadyKnown,
                "this very transaction is already here: wait for its receipt".into(),
            ));
        }
        if !admitting {
            return Err(refuse(
                RejectCode::Busy,
                format!("environment {environment} is catching up: send again in a moment"),
            ));
        }
        self.check_room(pending.transaction.lane, queued, size)?;
        let waiting = self.waiting.get(&pending.sender).copied().unwrap_or(0);
        if waiting >= self.limits.per_sender_max {
            return Err(refuse(
                RejectCode::RateLimited,
                format!("{waiting} transactions of this sender are waiting: let some be ordered"),
            ));
        }
        // Last, so that only an admitted transaction spends the sender's rate.
        let (sender, now_us) = (pending.sender, pending.received_us);
        if let Err(wait_us) = self.buckets.spend(sender, pending.transaction.lane, now_us) {
            let wait_ms = wait_us.div_ceil(1_000);
            return Err(refuse(
                RejectCode::RateLimited,
                format!("this sender is over its rate: send again in {wait_ms} ms"),
            ));
        }
        self.waiting.insert(sender, waiting + 1);
        self.seen.insert(pending.hash);
        self.fill.transactions += 1;
        self.fill.bytes += size;
        self.queues.push(pending);
        Ok(())
    }

    /// Cancels may use the whole pool; everything else leaves the reserve to them, so that a
    /// maker can get out of the way of the very flood that fills the pool.
    fn check_room(&self, lane: Lane, queued: u64, size: u64) -> Result<(), Reject> {
        let limits = &self.limits;
        let kept = |whole: u64| match lane {
            Lane::Cancel => 0,
            _ => whole / 100 * u64::from(limits.cancel_reserve_percent),
        };
        let full = [
            (self.fill.transactions + 1, limits.transactions_max, "transactions"),
            (self.fill.bytes + size, limits.bytes_max, "bytes"),
            (queued + 1, limits.per_environment_max, "transactions for this environment"),
        ];
        for (after, whole, what) in full {
            let bound = whole - kept(whole);
            if after > bound {
                return Err(refuse(
                    RejectCode::Busy,
                    format!("the node holds as many {what} as it may: send again in a moment"),
                ));
            }
        }
        Ok(())
    }

    /// Opens or shuts an environment's gate: shut, it answers `Busy`; what waits is still
    /// drained. Returns whether there is such an environment.
    pub fn set_admitting(&mut self, environment: EnvironmentId, admitting: bool) -> bool {
        self.queues.set_admitting(environment, admitting)
    }

    /// Takes out at most `transactions_max` transactions of at most `bytes_max` bytes together,
    /// sorted by arrival.
    ///
    /// Stops at the first that does not fit (it is the first of the next drain), so `bytes_max`
    /// below the largest transaction can make no progress.
    pub fn drain(&mut self, transactions_max: u64, bytes_max: u64) -> Vec<PendingTransaction> {
        let whole = self.fill.transactions <= transactions_max && self.fill.bytes <= bytes_max;
        let out = if whole {
            self.queues.take_all()
        } else {
            self.queues.take(transactions_max, bytes_max)
        };
        for pending in &out {
            self.left(pending);
        }
        out
    }

    /// Takes out all that waits for one environment, in order of arrival: it has halted, and its
    /// clients want an answer. They may offer the same transactions again.
    pub fn clear(&mut self, environment: EnvironmentId) -> Vec<PendingTransaction> {
        let out = self.queues.clear(environment);
        for pending in &out {
            self.left(pending);
            self.seen.remove(&pending.hash);
        }
        out
    }

    /// Lets a hash be offered again: it was ordered and had no effect (an EVM nonce that was too
    /// high, a halted environment). Must not be called for a transaction that still waits.
    pub fn forget(&mut self, hash: &B256) {
        self.seen.remove(hash);
    }

    /// How full the mempool is.
    pub fn fill(&self) -> Fill {
        self.fill
    }

    /// Transactions waiting for one environment.
    pub fn waiting_for(&self, environment: EnvironmentId) -> u64 {
        self.queues.gate(environment).map_or(0, |(_, queued)| queued)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.fill.transactions == 0
    }

    fn left(&mut self, pending: &PendingTransaction) {
        self.fill.transactions -= 1;
        self.fill.bytes -= pending.bytes();
        if let Some(waiting) = self.waiting.get_mut(&pending.sender) {
            *waiting -= 1;
            if *waiting == 0 {
                self.waiting.remove(&pending.sender);
            }
        }
    }
}

fn refuse(code: RejectCode, message: String) -> Reject {
    Reject::new(code, message)
}
