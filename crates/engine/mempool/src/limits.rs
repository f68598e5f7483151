//! The bounds, and what makes a set of them consistent.

use atoll_types::EnvironmentId;
use atoll_types::slot::TRANSACTION_BYTES_MAX;

/// How an environment's transactions wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queueing {
    /// One queue per lane: under load, cancels and post-only orders have turns of their own.
    Lanes,
    /// One queue: strict arrival.
    Arrival,
}

/// The rate at which one sender may be admitted: a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Units that flow into the bucket each second.
    pub units_per_s: u32,
    /// Units that the bucket holds; a sender not seen lately has a full one.
    pub burst_units: u32,
    /// What a transaction costs, by queue (cancel, post-only, rest).
    pub lane_units: [u32; 3],
}

/// Every bound of the mempool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Transactions waiting.
    pub transactions_max: u64,
    /// Bytes of all transactions waiting.
    pub bytes_max: u64,
    /// Bytes of one transaction.
    pub transaction_bytes_max: u32,
    /// Transactions of one sender waiting.
    pub per_sender_max: u32,
    /// Transactions for one environment waiting.
    pub per_environment_max: u64,
    /// Part of each of the bounds above that only cancels may use, 0 to 50.
    pub cancel_reserve_percent: u8,
    /// Hashes remembered after admission. At least `transactions_max`, so that nothing that
    /// still waits is forgotten.
    pub seen_max: u64,
    /// Senders whose rate is remembered. One forgotten starts with a full bucket.
    pub senders_max: u64,
    /// The rate of one sender; `None` for no limit.
    pub rate: Option<RateLimit>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transactions_max: 65_536,
            bytes_max: 64 << 20,
            transaction_bytes_max: TRANSACTION_BYTES_MAX,
            per_sender_max: 4_096,
            per_environment_max: 49_152,
            cancel_reserve_percent: 10,
            seen_max: 1 << 20,
            senders_max: 1 << 18,
            rate: Some(RateLimit {
                units_per_s: 4_000,
                burst_units: 16_000,
                lane_units: [1, 2, 2],
            }),
        }
    }
}

/// Why a configuration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// A bound that must be positive is zero.
    #[error("mempool limit `{0}` is 0: nothing could be admitted; give it a positive value")]
    Zero(&'static str),
    /// A bound is above what another part of the system allows.
    #[error("mempool limit `{what}` is {value}, above its largest value {bound}")]
    TooLarge {
        /// Which bound.
        what: &'static str,
        /// What it was.
        value: u64,
        /// What it may be.
        bound: u64,
    },
    /// A bound is below one that it must cover.
    #[error("mempool limit `{what}` is {value}, below {least}: raise it")]
    TooSmall {
        /// Which bound.
        what: &'static str,
        /// What it was.
        value: u64,
        /// What it must be at least.
        least: u64,
    },
    /// An environment is named twice.
    #[error("environment {0} is given twice to the mempool")]
    Twice(EnvironmentId),
}

impl Limits {
    pub(crate) fn check(&self) -> Result<(), LimitsError> {
        for (what, value) in [
            ("transactions_max", self.transactions_max),
            ("bytes_max", self.bytes_max),
            ("transaction_bytes_max", u64::from(self.transaction_bytes_max)),
            ("per_sender_max", u64::from(self.per_sender_max)),
            ("per_environment_max", self.per_environment_max),
            ("senders_max", self.senders_max),
        ] {
            if value == 0 {
                return Err(LimitsError::Zero(what));
            }
        }
        // Tables of u64 sizes are held in memory: the bound keeps every sum far from overflow.
        for (what, value, bound) in [
            ("transactions_max", self.transactions_max, 1 << 32),
            ("bytes_max", self.bytes_max, 1 << 48),
            ("seen_max", self.seen_max, 1 << 32),
            ("senders_max", self.senders_max, 1 << 32),
            ("per_environment_max", self.per_environment_max, 1 << 32),
            (
                "transaction_bytes_max",
                u64::from(self.transaction_bytes_max),
                u64::from(TRANSACTION_BYTES_MAX),
            ),
            ("cancel_reserve_percent", u64::from(self.cancel_reserve_percent), 50),
        ] {
            if value > bound {
                return Err(LimitsError::TooLarge { what, value, bound });
            }
        }
        // A pool whose unreserved half could not hold one transaction would refuse it for ever.
        let bytes_least = 2 * u64::from(self.transaction_bytes_max);
        for (what, value, least) in [
            ("seen_max", self.seen_max, self.transactions_max),
            ("bytes_max", self.bytes_max, bytes_least),
        ] {
            if value < least {
                return Err(LimitsError::TooSmall { what, value, least });
            }
        }
        if let Some(rate) = self.rate {
            let dearest = rate.lane_units.into_iter().max().unwrap_or(0);
            if rate.units_per_s == 0 {
                return Err(LimitsError::Zero("rate.units_per_s"));
            }
            if rate.burst_units < dearest {
                return Err(LimitsError::TooSmall {
                    what: "rate.burst_units",
                    value: u64::from(rate.burst_units),
                    least: u64::from(dearest),
                });
            }
        }
        Ok(())
    }
}
