//! What came of the blocks, for people and for programs.

use super::measure::{InParallel, Measured, ratio};
use crate::evm::runs::median;
use serde_json::{Value, json};
use std::time::Duration;

fn per_s(count: u64, times: &[Duration]) -> f64 {
    count as f64 / median(times).as_secs_f64().max(f64::EPSILON)
}

fn in_vain(parallel: &InParallel) -> String {
    match parallel.executions {
        0 => "serial".to_string(),
        executions => executions.saturating_sub(parallel.settled).to_string(),
    }
}

pub(super) fn header() -> String {
    format!(
        "{:<12} {:<10} {:>7} {:>8} {:>9} {:>10} {:>8} {:>8} {:>8} {:>7}",
        "workload",
        "way",
        "txs",
        "ms",
        "Mgas/s",
        "tx/s",
        "x serial",
        "x revm",
        "in vain",
        "at most"
    )
}

/// Lines for a block: serially, by revm alone, in parallel.
pub(super) fn lines(found: &Measured) -> String {
    let line = |way: &str, times: &[Duration], rest: String| {
        format!(
            "{:<12} {way:<10} {:>7} {:>8.1} {:>9.0} {:>10.0} {:>8.2} {:>8.2}{rest}\n",
            found.name,
            found.transactions,
            median(times).as_secs_f64() * 1e3,
            per_s(found.gas, times) / 1e6,
            per_s(found.transactions as u64, times),
            ratio(&found.serial, times),
            ratio(&found.revm, times),
        )
    };
    let mut out = line("serial", &found.serial, String::new());
    out += &line("revm alone", &found.revm, String::new());
    for parallel in &found.parallel {
        let way = format!("{} threads", parallel.threads);
        let rest = format!(" {:>8} {:>7.2}", in_vain(parallel), found.speedup_max);
        out += &line(&way, &parallel.times, rest);
    }
    out
}

/// A line for each number of threads on a cold state.
pub(super) fn cold_lines(found: &Measured) -> String {
    let line = |parallel: &InParallel| {
        format!(
            "{:<12} {:>7} {:>7} {:>9.1} {:>3} threads {:>9.1} {:>8.2} {:>8}\n",
            found.name,
            found.transactions,
            found.reads,
            median(&found.serial).as_secs_f64() * 1e3,
            parallel.threads,
            median(&parallel.times).as_secs_f64() * 1e3,
            ratio(&found.serial, &parallel.times),
            in_vain(parallel),
        )
    };
    found.parallel.iter().map(line).collect()
}

pub(super) fn cold_header() -> String {
    format!(
        "{:<12} {:>7} {:>7} {:>9} {:>11} {:>9} {:>8} {:>8}",
        "workload", "txs", "reads", "serial ms", "", "ms", "x serial", "in vain"
    )
}

fn seconds(times: &[Duration]) -> Vec<f64> {
    times.iter().map(Duration::as_secs_f64).collect()
}

pub(super) fn describe(found: &Measured) -> Value {
    let way = |times: &[Duration]| {
        json!({
            "execute_s": median(times).as_secs_f64(),
            "runs_s": seconds(times),
            "mgas_per_s": per_s(found.gas, times) / 1e6,
            "tx_per_s": per_s(found.transactions as u64, times),
        })
    };
    let revm = (!found.revm.is_empty()).then(|| way(&found.revm));
    let parallel = found.parallel.iter().map(|parallel| {
        let mut described = way(&parallel.times);
        described["threads"] = parallel.threads.into();
        described["speedup"] = ratio(&found.serial, &parallel.times).into();
        if revm.is_some() {
            described["speedup_revm"] = ratio(&found.revm, &parallel.times).into();
        }
        described["settled"] = parallel.settled.into();
        described["executions"] = parallel.executions.into();
        described
    });
    json!({
        "name": found.name,
        "transactions": found.transactions,
        "gas_used": found.gas,
        "reads": found.reads,
        "speedup_max": found.speedup_max,
        "parallel": parallel.collect::<Vec<_>>(),
        "serial": way(&found.serial),
        "revm": revm,
    })
}

pub(super) fn worst_header() -> String {
    format!(
        "{:<28} {:>6} {:>10} {:>9} {:>9} {:>8} {:>10}",
        "block of", "txs", "way", "ms", "Mgas/s", "slots", "Mgas/slot"
    )
}

/// Gas of such a block that would take one slot.
fn gas_in(found: &Measured, slot: Duration) -> f64 {
    per_s(found.gas, &found.serial) * slot.as_secs_f64()
}

/// A line for serial execution, and one for each number of threads.
pub(super) fn worst_lines(found: &Measured, slot: Duration) -> String {
    let line = |way: &str, times: &[Duration], permitted: String| {
        let time = median(times).as_secs_f64();
        format!(
            "{:<28} {:>6} {way:>10} {:>9.1} {:>9.0} {:>8.2} {permitted:>10}\n",
            found.name,
            found.transactions,
            time * 1e3,
            per_s(found.gas, times) / 1e6,
            time / slot.as_secs_f64(),
        )
    };
    let mut out = line("serial", &found.serial, format!("{:.1}", gas_in(found, slot) / 1e6));
    for parallel in &found.parallel {
        let way = format!("{} threads", parallel.threads);
        out += &line(&way, &parallel.times, String::new());
    }
    out
}

pub(super) fn describe_worst(found: &Measured, slot: Duration) -> Value {
    let mut described = describe(found);
    described["slots"] = (median(&found.serial).as_secs_f64() / slot.as_secs_f64()).into();
    described["mgas_in_a_slot"] = (gas_in(found, slot) / 1e6).into();
    described
}
