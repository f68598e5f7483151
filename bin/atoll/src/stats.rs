//! What a node counts: the source of the summary, the live status and `/metrics`.

use atoll_types::RejectCode;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counters of a running node. Monotone; cheap enough for the hot path.
#[derive(Debug)]
pub(crate) struct Stats {
    /// Orders, cancels and modifications that reached the exchange.
    pub(crate) orders: AtomicU64,
    /// Fills (one per maker order touched).
    pub(crate) fills: AtomicU64,
    /// EVM transactions executed.
    pub(crate) evm_transactions: AtomicU64,
    /// Transactions ordered, inputs included.
    pub(crate) transactions: AtomicU64,
    /// Bytes of transactions ordered.
    pub(crate) bytes: AtomicU64,
    /// Ticks closed.
    pub(crate) ticks: AtomicU64,
    /// Slots sealed since this process started.
    pub(crate) slots: AtomicU64,
    /// Rejections by code, at the door or at execution.
    rejects: Mutex<BTreeMap<RejectCode, u64>>,
    /// Value traded, per quote asset, in its smallest unit.
    volume: Mutex<BTreeMap<String, u128>>,
    /// Receipt to confirmation (tick in the log, executed, answer on its way), microseconds.
    latency_us: Mutex<Histogram<u64>>,
}

/// Percentiles of a latency, in microseconds.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
}

impl Stats {
    pub(crate) fn new() -> Self {
        // Three significant digits from a microsecond to a minute; the bounds are valid constants.
        let histogram = Histogram::new_with_bounds(1, 60_000_000, 3).expect("valid bounds");
        Self {
            orders: AtomicU64::new(0),
            fills: AtomicU64::new(0),
            evm_transactions: AtomicU64::new(0),
            transactions: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
            slots: AtomicU64::new(0),
            rejects: Mutex::new(BTreeMap::new()),
            volume: Mutex::new(BTreeMap::new()),
            latency_us: Mutex::new(histogram),
        }
    }

    /// Back to zero: after recovery, whose work another process had counted.
    pub(crate) fn reset(&self) {
        let counters = [
            &self.orders,
            &self.fills,
            &self.evm_transactions,
            &self.transactions,
            &self.bytes,
            &self.ticks,
            &self.slots,
        ];
        counters.iter().for_each(|counter| counter.store(0, Relaxed));
        self.rejects.lock().clear();
        self.volume.lock().clear();
        self.latency_us.lock().reset();
    }

    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Relaxed);
    }

    pub(crate) fn reject(&self, code: RejectCode) {
        *self.rejects.lock().entry(code).or_default() += 1;
    }

    pub(crate) fn rejects(&self) -> BTreeMap<RejectCode, u64> {
        self.rejects.lock().clone()
    }

    pub(crate) fn trade(&self, quote: &str, value: u128) {
        let mut volume = self.volume.lock();
        match volume.get_mut(quote) {
            Some(sum) => *sum += value,
            None => {
                volume.insert(quote.to_string(), value);
            }
        }
    }

    pub(crate) fn volume(&self) -> BTreeMap<String, u128> {
        self.volume.lock().clone()
    }

    pub(crate) fn confirmed(&self, latencies: impl Iterator<Item = Duration>) {
        let mut histogram = self.latency_us.lock();
        for latency in latencies {
            histogram.saturating_record(latency.as_micros() as u64);
        }
    }

    pub(crate) fn latency_us(&self) -> Percentiles {
        let histogram = self.latency_us.lock();
        Percentiles {
            p50: histogram.value_at_quantile(0.5),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
        }
    }

    /// Reads a counter.
    pub(crate) fn get(counter: &AtomicU64) -> u64 {
        counter.load(Relaxed)
    }
}
