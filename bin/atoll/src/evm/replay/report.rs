//! What came of the blocks, for people and for machines.

use super::execute::Replayed;
use crate::evm::forks;
use serde_json::{Value, json};

fn rate(gas: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { gas as f64 / seconds / 1e6 } else { 0.0 }
}

pub(super) fn header() -> String {
    format!(
        "{:>10}  {:17}  {:>5}  {:>10}  {:8}  {:8}  {:>9}  {:>8}",
        "block", "hardfork", "txs", "gas", "gas", "receipts", "ms", "Mgas/s"
    )
}

fn word(equal: bool) -> &'static str {
    if equal { "equal" } else { "DIFFERS" }
}

pub(super) fn line(block: &Replayed) -> String {
    let seconds = block.median().as_secs_f64();
    format!(
        "{:>10}  {:17}  {:>5}  {:>10}  {:8}  {:8}  {:>9.3}  {:>8.1}",
        block.number,
        forks::name(block.spec),
        block.transactions,
        block.gas_used,
        word(block.gas_used == block.gas_used_header),
        block.receipts_root_equal.map_or("-", word),
        seconds * 1e3,
        rate(block.gas_used, seconds)
    )
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
    let differ = blocks.iter().filter(|block| !block.differences.is_empty()).count();
    format!(
        "{} blocks, {transactions} transactions, {gas} gas: {} equal, {differ} differ, {broken} not \
         executed; {:.1} ms serially, {:.1} Mgas/s",
        blocks.len() + broken,
        blocks.len() - differ,
        seconds * 1e3,
        rate(gas, seconds)
    )
}

pub(super) fn json(blocks: &[Replayed], broken: &[String]) -> Value {
    let (transactions, gas, seconds) = totals(blocks);
    let lines = blocks.iter().map(|block| {
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
            "runs_s": block.times.iter().map(|time| time.as_secs_f64()).collect::<Vec<_>>(),
        })
    });
    let lines: Vec<Value> = lines.collect();
    let differ = blocks.iter().filter(|block| !block.differences.is_empty()).count();
    json!({
        "blocks": lines,
        "equal": blocks.len() - differ,
        "differ": differ,
        "not_executed": broken,
        "transactions": transactions,
        "gas_used": gas,
        "execute_s": seconds,
    })
}
