//! What a gas takes in the precompiles of this project, beside Ethereum's that recover and verify
//! signatures. A precompile is priced right where a gas takes it no longer than it takes ecrecover.

#![allow(clippy::disallowed_types, reason = "a benchmark needs a clock")]

#[allow(dead_code)] // a benchmark uses its part
#[path = "../tests/ed25519_common/mod.rs"]
mod ed25519_common;

use atoll_types::crypto::SigningKey;
use atoll_types::{Address, B256, keccak256};
use atoll_vm::evm::transition::SpecId;
use atoll_vm::evm::{Precompile, PrecompileSet, precompiles};
use ed25519_common::{Signer, batch_input, single_input};
use std::hint::black_box;
use std::time::Instant;

const RUNS: usize = 100;
/// Shortest time that is measured: less than a scheduler's time slice, so that some run is undisturbed.
const RUN_US: f64 = 1_000.0;

/// Microseconds and gas of a call: the best of many short runs, which says what the work is on a machine
/// that does other things, too.
fn measure(address: Address, input: &[u8]) -> (f64, u64) {
    let set = precompiles::of(SpecId::OSAKA, PrecompileSet::ALL);
    let precompile = set.get(&address).expect("it is in the set");
    let call = || precompile.execute(black_box(input), u64::MAX, 0).expect("no such error");
    let first = call();
    assert!(first.is_success() && !first.bytes.is_empty(), "the input is valid");
    let mut calls = 1u32;
    let (mut runs, mut best) = (0, f64::INFINITY);
    while runs < RUNS {
        let start = Instant::now();
        (0..calls).for_each(|_| drop(black_box(call())));
        let took = start.elapsed().as_secs_f64() * 1e6;
        if took < RUN_US {
            calls *= 2;
        } else {
            runs += 1;
            best = best.min(took / f64::from(calls));
        }
    }
    (best, first.gas_used)
}

/// Hash, 27 or 28, r, s.
fn ecrecover_input() -> Vec<u8> {
    let hash = keccak256(b"a message");
    let signature = SigningKey::from_label("bench").sign(&hash);
    let v = B256::with_last_byte(27 + signature.y_parity as u8);
    [hash.as_slice(), v.as_slice(), &signature.r, &signature.s].concat()
}

/// RFC 6979's signature of "sample": hash, r, s, x, y.
const P256: &str = "af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf\
                    efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
                    f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8\
                    60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
                    7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";

fn main() {
    let (base_us, base_gas) = measure(Address::with_last_byte(1), &ecrecover_input());
    let base = base_us / base_gas as f64;
    println!("{:<38} {:>9} {:>10} {:>8} {:>11}", "", "gas", "µs", "gas/µs", "× ecrecover");
    let row = |name: &str, (us, gas): (f64, u64)| {
        let per_gas = us / gas as f64;
        println!("{name:<38} {gas:>9} {us:>10.1} {:>8.0} {:>11.2}", 1.0 / per_gas, per_gas / base);
    };
    row("ecrecover", (base_us, base_gas));
    let p256: Vec<u8> = (0..P256.len() / 2)
        .map(|at| u8::from_str_radix(&P256[2 * at..2 * at + 2], 16).expect("hex"))
        .collect();
    row("P-256", measure(Address::from_word(B256::from(atoll_types::U256::from(0x100))), &p256));
    for bytes in [0, 32, 1_000, 100_000] {
        let input = single_input(&Signer::new(1).claim(&vec![7; bytes]));
        let name = format!("ed25519, message of {bytes}");
        row(&name, measure(Precompile::Ed25519.address(), &input));
    }
    for count in [1, 2, 3, 4, 8, 16, 32, 64, 94, 95, 128, 256, 1_024] {
        let claims: Vec<_> =
            (0..count).map(|n| Signer::new(n).claim(b"32 bytes of a message: a hash")).collect();
        let name = format!("ed25519-batch, {count} signatures");
        row(&name, measure(Precompile::Ed25519Batch.address(), &batch_input(&claims)));
    }
}
