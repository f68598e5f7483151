//! Updates a second of thread time of the in-memory trie, root included, on one thread.

#![allow(clippy::disallowed_types, reason = "a benchmark needs a clock")]

use atoll_state::trie::Trie;
use std::time::{Duration, Instant};

const BATCH: u64 = 10_000;
const BATCHES: u64 = 100;

/// SplitMix64: keys of a real trie are hashes, so any well-mixed bits do.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

fn path(index: u64) -> [u8; 32] {
    let mut out = [0; 32];
    for (lane, bytes) in (0u64..).zip(out.chunks_exact_mut(8)) {
        bytes.copy_from_slice(&mix(index.wrapping_mul(4) + lane).to_be_bytes());
    }
    out
}

fn updates(keys: u64, round: u64, new_of_ten: u64) -> Vec<([u8; 32], Option<[u8; 32]>)> {
    let mut indices: Vec<u64> = (0..BATCH)
        .map(|i| {
            let random = mix(round << 32 | i);
            if random >> 32 & 0xff < 256 * new_of_ten / 10 {
                keys + (round << 20) + i
            } else {
                random % keys
            }
        })
        .collect();
    indices.sort_unstable();
    indices.dedup();
    // Back to an order without locality, as objects come.
    indices.sort_unstable_by_key(|&index| mix(index));
    indices.into_iter().map(|index| (path(index), Some(path(!(index ^ round << 40))))).collect()
}

/// Time this thread has run, so that other load on the machine does not count; the clock's time
/// where the system does not tell.
fn thread_time(start: Instant) -> Duration {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok())
        .map_or_else(|| start.elapsed(), Duration::from_nanos)
}

fn main() {
    let zero = Instant::now();
    if std::env::args().any(|argument| argument == "--test") {
        return; // `cargo test --benches` must stay quick
    }
    for keys in [1_000_000u64, 5_000_000] {
        let mut leaves: Vec<_> = (0..keys).map(|i| (path(i), path(!i))).collect();
        leaves.sort_unstable();
        let start = thread_time(zero);
        let mut trie = Trie::from_sorted(leaves);
        let built = thread_time(zero) - start;
        println!(
            "{keys} keys: {} bytes/key, built from sorted leaves in {:.2} s",
            trie.memory_bytes() as u64 / keys,
            built.as_secs_f64()
        );
        for (what, new_of_ten, shift) in [("updates", 0, 1), ("half inserts", 5, 1000)] {
            let mut spent = Duration::ZERO;
            let mut operations = 0;
            for round in 0..BATCHES {
                let mut batch = updates(keys, shift + round, new_of_ten);
                operations += batch.len();
                let start = thread_time(zero);
                trie.update(&mut batch);
                spent += thread_time(zero) - start;
            }
            println!(
                "{keys} keys, batches of {BATCH}, {what}: {:.0} /s, {:.2} ms a batch",
                operations as f64 / spent.as_secs_f64(),
                spent.as_secs_f64() * 1e3 / BATCHES as f64
            );
        }
    }
}
