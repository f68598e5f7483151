//! What a run prints at its end: for people as text, for machines as one JSON object.
//!
//! The JSON keys are stable; docs/CLI.md documents them. Keys may be added, never renamed.

use crate::stats::{Percentiles, Stats};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// One asset's conservation check.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AssetSummary {
    /// What came in less what went out, in the asset's smallest unit.
    pub(crate) owed: String,
    /// What accounts, fees and the rounding ledger hold together.
    pub(crate) held: String,
    /// Whether the two are equal.
    pub(crate) conserved: bool,
}

/// One environment at the end of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EnvironmentSummary {
    /// `exchange` or `evm`.
    pub(crate) kind: &'static str,
    /// The last slot whose root is committed.
    pub(crate) root_slot: u64,
    /// The state root after that slot.
    pub(crate) state_root: String,
    /// Whether the environment is halted, and why.
    pub(crate) halted: Option<String>,
    /// Conservation per asset.
    pub(crate) assets: BTreeMap<String, AssetSummary>,
}

/// What a replay read and what it could not reproduce.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct ReplaySummary {
    /// The file.
    pub(crate) file: String,
    /// Its format.
    pub(crate) format: String,
    /// Lines read.
    pub(crate) lines: u64,
    /// Lines understood.
    pub(crate) events: u64,
    /// Lines skipped, by reason.
    pub(crate) damaged: BTreeMap<String, u64>,
    /// Commands sent to the venue.
    pub(crate) commands: u64,
    /// Whether the whole file was read.
    pub(crate) complete: bool,
    /// What the recording did and the venue, which matches by itself, did not, by reason.
    pub(crate) not_reproduced: BTreeMap<String, u64>,
}

/// A run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    /// Seconds the run took.
    pub(crate) seconds: f64,
    /// Orders, cancels and modifications executed by exchange environments.
    pub(crate) orders: u64,
    /// Fills.
    pub(crate) fills: u64,
    /// Value traded per quote asset, as a decimal number of the asset.
    pub(crate) volume: BTreeMap<String, String>,
    /// Refusals by code.
    pub(crate) rejects: BTreeMap<String, u64>,
    /// `orders` / `seconds`.
    pub(crate) orders_per_s: f64,
    /// From receipt at the door to confirmation with execution, microseconds.
    pub(crate) latency_us: Percentiles,
    /// EVM transactions executed.
    pub(crate) evm_transactions: u64,
    /// Slots sealed by this run.
    pub(crate) slots: u64,
    /// The last slot sealed.
    pub(crate) head_slot: u64,
    /// The last slot that is on disk for certain.
    pub(crate) finalised_slot: u64,
    /// Ticks closed.
    pub(crate) ticks: u64,
    /// Bytes of ordered transactions per transaction.
    pub(crate) bytes_per_transaction: f64,
    /// Per environment, by name.
    pub(crate) environments: BTreeMap<String, EnvironmentSummary>,
    /// Whether money is conserved in every environment and asset.
    pub(crate) conserved: bool,
    /// Present for `--replay`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replay: Option<ReplaySummary>,
}

impl Summary {
    /// An environment that is halted, and why.
    pub(crate) fn halted(&self) -> Option<(&str, &str)> {
        let found = self.environments.iter().find_map(|(n, e)| Some((n, e.halted.as_ref()?)));
        found.map(|(name, why)| (name.as_str(), why.as_str()))
    }

    /// Fills in what the counters know.
    pub(crate) fn of(stats: &Stats, seconds: f64, quote_decimals: &BTreeMap<String, u32>) -> Self {
        let orders = Stats::get(&stats.orders);
        let transactions = Stats::get(&stats.transactions);
        let volume = stats.volume().into_iter().map(|(asset, value)| {
            let decimals = quote_decimals.get(&asset).copied().unwrap_or(0);
            (asset, decimal(value, decimals))
        });
        let rejects = stats.rejects().into_iter().map(|(c, n)| (c.label().to_string(), n));
        Self {
            seconds,
            orders,
            fills: Stats::get(&stats.fills),
            volume: volume.collect(),
            rejects: rejects.collect(),
            orders_per_s: orders as f64 / seconds.max(1e-9),
            latency_us: stats.latency_us(),
            evm_transactions: Stats::get(&stats.evm_transactions),
            slots: Stats::get(&stats.slots),
            head_slot: 0,
            finalised_slot: 0,
            ticks: Stats::get(&stats.ticks),
            bytes_per_transaction: Stats::get(&stats.bytes) as f64 / transactions.max(1) as f64,
            environments: BTreeMap::new(),
            conserved: true,
            replay: None,
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        let list = |map: &BTreeMap<String, u64>| match map.is_empty() {
            true => "none".to_string(),
            false => map.iter().map(|(k, n)| format!("{k} {n}")).collect::<Vec<_>>().join(", "),
        };
        let volume: Vec<_> = self.volume.iter().map(|(a, v)| format!("{v} {a}")).collect();
        let l = &self.latency_us;
        let _ = writeln!(out, "orders      {} ({:.0}/s)", self.orders, self.orders_per_s);
        let _ = writeln!(out, "fills       {} (volume {})", self.fills, volume.join(", "));
        let _ = writeln!(out, "rejects     {}", list(&self.rejects));
        let _ =
            writeln!(out, "latency     p50 {} µs, p99 {} µs, p99.9 {} µs", l.p50, l.p99, l.p999);
        let _ = writeln!(
            out,
            "slots       {} in {:.1} s (head {}, finalised {}), {} ticks",
            self.slots, self.seconds, self.head_slot, self.finalised_slot, self.ticks
        );
        let _ = writeln!(out, "evm         {} transactions", self.evm_transactions);
        for (name, environment) in &self.environments {
            let _ = writeln!(
                out,
                "{name:<11} root {} at slot {}",
                environment.state_root, environment.root_slot
            );
            if let Some(why) = &environment.halted {
                let _ = writeln!(out, "            HALTED: {why}");
            }
            for (asset, a) in &environment.assets {
                let verdict = if a.conserved { "conserved" } else { "NOT CONSERVED" };
                let _ = writeln!(
                    out,
                    "            {asset}: owed {}, held {}: {verdict}",
                    a.owed, a.held
                );
            }
        }
        if let Some(r) = &self.replay {
            let state = if r.complete { "read in full" } else { "stopped before its end" };
            let _ = writeln!(out, "replay      {} ({}), {state}", r.file, r.format);
            let _ = writeln!(
                out,
                "            {} lines, {} events, {} commands; damaged: {}; not reproduced: {}",
                r.lines,
                r.events,
                r.commands,
                list(&r.damaged),
                list(&r.not_reproduced)
            );
        }
        out
    }
}

/// `value` units of 10^-decimals as a decimal number.
pub(crate) fn decimal(value: u128, decimals: u32) -> String {
    let digits = decimals as usize;
    let text = format!("{value:0>width$}", width = digits + 1);
    let (whole, fraction) = text.split_at(text.len() - digits);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_string() } else { format!("{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal(0, 6), "0");
        assert_eq!(decimal(1, 6), "0.000001");
        assert_eq!(decimal(1_500_000, 6), "1.5");
        assert_eq!(decimal(42, 0), "42");
        assert_eq!(decimal(u128::MAX, 38), "3.40282366920938463463374607431768211455");
    }
}
