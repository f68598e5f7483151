//! What came of the blocks, for people and for machines.

use super::execute::{InParallel, Replayed};
use crate::evm::forks;
use crate::evm::runs::median;
use atoll_executor::parallel::Conflicts;
use atoll_vm::evm::parallel::EvmKey;
use serde_json::{Value, json};
use std::fmt::Write;

fn rate(gas: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { gas as f64 / seconds / 1e6 } else { 0.0 }
}

/// Keys that are shown of a block.
const KEYS_SHOWN: usize = 12;

pub(super) fn header(parallel: bool) -> String {
    let serial = format!(
        "{:>10}  {:17}  {:>5}  {:>10}  {:8}  {:8}  {:>9}  {:>8}",
        "block", "hardfork", "txs", "gas", "gas", "receipts", "ms", "Mgas/s"
    );
    match parallel {
        false => serial,
        true => format!(
            "{serial}  {:>11}  {:>6}  {:>9}  {:>6}  {:>8}",
            "parallel ms", "x", "revm ms", "x", "in vain"
        ),
    }
}

/// How many differ from their headers, or in parallel from serial execution.
pub(super) fn differ(blocks: &[Replayed]) -> usize {
    blocks.iter().filter(|block| !block.differences.is_empty()).count()
}

/// How many times as fast in parallel as serially, and as revm on a state of its own.
fn ratios(block: &Replayed, parallel: &InParallel) -> (f64, f64) {
    let time = median(&parallel.times).as_secs_f64();
    let over =
        |other: std::time::Duration| if time > 0.0 { other.as_secs_f64() / time } else { 1.0 };
    (over(block.median()), over(median(&parallel.revm)))
}

fn word(equal: bool) -> &'static str {
    if equal { "equal" } else { "DIFFERS" }
}

pub(super) fn line(block: &Replayed) -> String {
    let seconds = block.median().as_secs_f64();
    let serial = format!(
        "{:>10}  {:17}  {:>5}  {:>10}  {:8}  {:8}  {:>9.3}  {:>8.1}",
        block.number,
        forks::name(block.spec),
        block.transactions,
        block.gas_used,
        word(block.gas_used == block.gas_used_header),
        block.receipts_root_equal.map_or("-", word),
        seconds * 1e3,
        rate(block.gas_used, seconds)
    );
    let Some(parallel) = &block.parallel else { return serial };
    let (speedup, against_revm) = ratios(block, parallel);
    let in_vain = match parallel.executions {
        0 => "serial".to_string(),
        executions => executions.saturating_sub(parallel.settled).to_string(),
    };
    format!(
        "{serial}  {:>11.3}  {speedup:>6.2}  {:>9.3}  {against_revm:>6.2}  {in_vain:>8}",
        median(&parallel.times).as_secs_f64() * 1e3,
        median(&parallel.revm).as_secs_f64() * 1e3,
    )
}

/// Which keys made transactions of a block depend on one another.
pub(crate) fn conflicts(found: &Conflicts<EvmKey>) -> String {
    let mut out = format!(
        "  at most {:.2} times as fast: {} of {} transactions must follow one another\n",
        found.speedup_max(),
        found.chain.len(),
        found.work.len()
    );
    if !found.keys.is_empty() {
        let _ = writeln!(out, "  {:>7}  {:>7}  {:>7}  key", "readers", "writers", "clashes");
    }
    for conflict in found.keys.iter().take(KEYS_SHOWN) {
        let (readers, writers) = (conflict.readers.len(), conflict.writers.len());
        let (clashes, key) = (conflict.clashes, conflict.key);
        let _ = writeln!(out, "  {readers:>7}  {writers:>7}  {clashes:>7}  {key}");
    }
    if found.keys.len() > KEYS_SHOWN {
        let _ = writeln!(out, "  and {} more keys (--json)", found.keys.len() - KEYS_SHOWN);
    }
    out
}

fn conflicts_json(found: &Conflicts<EvmKey>) -> Value {
    let keys = found.keys.iter().map(|conflict| {
        json!({
            "key": conflict.key.to_string(),
            "writers": conflict.writers,
            "readers": conflict.readers,
            "clashes": conflict.clashes,
        })
    });
    json!({
        "speedup_max": found.speedup_max(),
        "chain": found.chain,
        "keys": keys.collect::<Vec<_>>(),
    })
}

/// What is to be said about a block beyond its line.
pub(super) fn remarks(block: &Replayed) -> Vec<String> {
    let mut remarks: Vec<_> =
        block.differences.iter().map(|what| format!("differs: {what}")).collect();
    if block.differences.is_empty() && !block.hashes_left_out.is_empty() {
        remarks.push(format!(
            "the hashes of blocks {:?} are not in the record; something else stood for them, and gas \
             and receipts are as they must be",
            block.hashes_left_out
        ));
    }
    remarks
}

fn totals(blocks: &[Replayed]) -> (usize, u64, f64) {
    let transactions = blocks.iter().map(|block| block.transactions).sum();
    let gas = blocks.iter().map(|block| block.gas_used).sum();
    let time: std::time::Duration = blocks.iter().map(Replayed::median).sum();
    (transactions, gas, time.as_secs_f64())
}

pub(super) fn total(blocks: &[Replayed], broken: usize) -> String {
    let (transactions, gas, seconds) = totals(blocks);
    let differ = differ(blocks);
    let serial = format!(
        "{} blocks, {transactions} transactions, {gas} gas: {} equal, {differ} differ, {broken} not \
         executed; {:.1} ms serially, {:.1} Mgas/s",
        blocks.len() + broken,
        blocks.len() - differ,
        seconds * 1e3,
        rate(gas, seconds)
    );
    match summary(blocks) {
        None => serial,
        Some(Summary { serial: (mean, least), revm: (revm_mean, revm_least) }) => format!(
            "{serial}\nin parallel {mean:.2} times as fast as serially (geometric mean; {least:.2} at \
             least), {revm_mean:.2} times as fast as revm on a state of its own ({revm_least:.2} at least)"
        ),
    }
}

/// Geometric mean and minimum of the ratios of all blocks.
struct Summary {
    serial: (f64, f64),
    revm: (f64, f64),
}

fn summary(blocks: &[Replayed]) -> Option<Summary> {
    let both = blocks.iter().filter_map(|block| Some(ratios(block, block.parallel.as_ref()?)));
    let (serial, revm): (Vec<f64>, Vec<f64>) = both.unzip();
    let of = |ratios: &[f64]| {
        let mean = ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64;
        (mean.exp(), ratios.iter().copied().fold(f64::INFINITY, f64::min))
    };
    (!serial.is_empty()).then(|| Summary { serial: of(&serial), revm: of(&revm) })
}

fn seconds(times: &[std::time::Duration]) -> Vec<f64> {
    times.iter().map(std::time::Duration::as_secs_f64).collect()
}

pub(super) fn json(blocks: &[Replayed], broken: &[String], threads: Option<usize>) -> Value {
    let (transactions, gas, time_s) = totals(blocks);
    let lines = blocks.iter().map(|block| {
        let parallel = block.parallel.as_ref().map(|parallel| {
            let (speedup, speedup_revm) = ratios(block, parallel);
            json!({
                "execute_s": median(&parallel.times).as_secs_f64(),
                "runs_s": seconds(&parallel.times),
                "revm_s": median(&parallel.revm).as_secs_f64(),
                "revm_runs_s": seconds(&parallel.revm),
                "speedup": speedup,
                "speedup_revm": speedup_revm,
                "settled": parallel.settled,
                "executions": parallel.executions,
            })
        });
        json!({
            "block": block.number,
            "hardfork": forks::name(block.spec),
            "transactions": block.transactions,
            "gas_used": block.gas_used,
            "gas_used_header": block.gas_used_header,
            "receipts_root_equal": block.receipts_root_equal,
            "differences": block.differences,
            "hashes_left_out": block.hashes_left_out,
            "execute_s": block.median().as_secs_f64(),
            "runs_s": seconds(&block.times),
            "parallel": parallel,
            "conflicts": block.conflicts.as_ref().map(conflicts_json),
        })
    });
    let lines: Vec<Value> = lines.collect();
    let differ = differ(blocks);
    let parallel = summary(blocks).map(|summary| {
        json!({
            "threads": threads,
            "speedup_mean": summary.serial.0,
            "speedup_min": summary.serial.1,
            "speedup_revm_mean": summary.revm.0,
            "speedup_revm_min": summary.revm.1,
        })
    });
    json!({
        "blocks": lines,
        "equal": blocks.len() - differ,
        "differ": differ,
        "not_executed": broken,
        "transactions": transactions,
        "gas_used": gas,
        "execute_s": time_s,
        "parallel": parallel,
    })
}
