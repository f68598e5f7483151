//! What one transaction costs on one thread: its static check, which anybody's thread can do, and
//! its execution, which is the environment's own.

#![allow(clippy::disallowed_types, reason = "a benchmark needs a clock")]

#[path = "../tests/evm_common/mod.rs"]
mod evm_common;
#[allow(dead_code)] // a benchmark uses its part
#[path = "../tests/exchange_vm/common.rs"]
mod exchange_common;

use atoll_exchange::{Side, Tif};
use atoll_types::{Encode, U256};
use atoll_vm::Vm;
use atoll_vm::exchange::build;
use atoll_vm::exchange::sign::sign_action;
use evm_common::{Chain, Draft};
use exchange_common::{START_MS, Venue, key, order, wire};
use std::hint::black_box;
use std::time::Instant;

const RUNS: usize = 5;

/// Prints the median cost of one item of `work`, which says how many it did.
fn bench(name: &str, mut work: impl FnMut() -> usize) {
    let mut costs: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            let items = work();
            start.elapsed().as_secs_f64() * 1e6 / items as f64
        })
        .collect();
    costs.sort_by(f64::total_cmp);
    let median = costs[RUNS / 2];
    println!("{name:<44} {median:>8.2} µs  ({:.0} k/s)", 1e3 / median);
}

fn exchange(orders: u64) {
    let mut venue = Venue::new(true);
    let sign = |from: u64| -> Vec<Vec<u8>> {
        let order = |n: u64| {
            // All of them rest: fewer in all than an account may have open.
            let order = order(Side::Buy, 190_000 - n % 512, 100_000, Tif::Gtc);
            let action = build::orders(&[wire(&venue.spec, &order)]);
            sign_action(&key("alice"), action, START_MS + from + n).to_bytes()
        };
        (1..=orders).map(order).collect()
    };
    let batches: Vec<_> = (0..RUNS as u64).map(|run| sign(run * orders)).collect();
    let mut next = batches.iter();
    bench("exchange: check (decode, hash, recover)", || {
        let batch = next.next().expect("a batch a run");
        batch.iter().for_each(|bytes| drop(black_box(venue.check(bytes).unwrap())));
        batch.len()
    });
    let checked = batches.iter().map(|b| b.iter().map(|b| venue.check(b).unwrap()).collect());
    let checked: Vec<Vec<_>> = checked.collect();
    let mut next = checked.iter();
    bench("exchange: execute (action, order, receipt)", || {
        let batch = next.next().expect("a batch a run");
        for checked in batch {
            let receipt = venue.vm.execute(checked);
            assert_eq!(receipt.rejection(), None);
        }
        batch.len()
    });
}

fn evm(transfers: u64) {
    let mut chain = Chain::new(evm_common::spec());
    chain.thorough = false;
    let context = chain.next();
    chain.vm.open_slot(&context);
    chain.vm.open_tick(context.time_us);
    let draft = |nonce| Draft { nonce, value: U256::from(1), gas: 21_000, ..Draft::default() };
    let sign = |run: u64| -> Vec<_> {
        (0..transfers).map(|n| draft(run * transfers + n).sign(&evm_common::key("a"))).collect()
    };
    let batches: Vec<Vec<_>> = (0..RUNS as u64).map(sign).collect();
    let mut next = batches.iter();
    bench("EVM: check of a transfer", || {
        let batch = next.next().expect("a batch a run");
        for bytes in batch {
            drop(black_box(evm_common::check(&chain.spec, bytes).unwrap()));
        }
        batch.len()
    });
    let check = |bytes: &Vec<u8>| evm_common::check(&chain.spec, bytes).unwrap();
    let checked: Vec<Vec<_>> = batches.iter().map(|b| b.iter().map(check).collect()).collect();
    let mut next = checked.iter();
    bench("EVM: execute a transfer", || {
        let batch = next.next().expect("a batch a run");
        for checked in batch {
            let receipt = chain.vm.execute(checked);
            assert!(!receipt.payload.is_empty(), "{receipt:?}");
        }
        batch.len()
    });
}

fn main() {
    // `cargo test --benches` must stay quick.
    let few = std::env::args().any(|argument| argument == "--test");
    exchange(if few { 2 } else { 200 });
    evm(if few { 2 } else { 250 });
}
