//! Authenticated state: object updates per second, hashing of keys and values and the root of
//! every batch included.

use super::median;
use crate::cli::StateArgs;
use anyhow::Result;
use atoll_state::WriteSet;
use atoll_state::db::{self, MemoryDb, StateDb};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::time::Instant;

const BATCHES: usize = 40;
const VALUE_BYTES: usize = 48;

/// Runs the benchmark.
pub(crate) fn run(args: &StateArgs) -> Result<()> {
    let mut results = Vec::new();
    for &keys in &args.keys {
        eprintln!("{keys} keys: building …");
        let mut rng = SmallRng::seed_from_u64(7);
        let leaves = (0..keys).map(|key| {
            let value = [key as u8; VALUE_BYTES];
            (db::key_path(&key.to_be_bytes()), db::value_hash(&value))
        });
        let begin = Instant::now();
        let mut state = MemoryDb::from_leaves(leaves.collect());
        let built = begin.elapsed().as_secs_f64();
        let mut rates = Vec::new();
        for _ in 0..BATCHES {
            let mut writes = WriteSet::default();
            let mut chosen = std::collections::BTreeSet::new();
            while (chosen.len() as u64) < args.batch.min(keys) {
                chosen.insert(rng.random_range(0..keys));
            }
            for key in chosen {
                let value: [u8; VALUE_BYTES] = std::array::from_fn(|_| rng.random());
                writes.push(&key.to_be_bytes(), Some(&value));
            }
            let begin = Instant::now();
            state.commit(&writes);
            rates.push(writes.len() as f64 / begin.elapsed().as_secs_f64());
        }
        let rate = median(rates);
        let bytes_per_key = state.memory_bytes() as f64 / state.len() as f64;
        println!(
            "{keys} keys: {rate:.0} updates/s with root (median of {BATCHES} batches of {}), \
             {bytes_per_key:.0} bytes a key, built in {built:.1} s",
            args.batch
        );
        results.push(serde_json::json!({
            "keys": keys,
            "batch": args.batch,
            "updates_per_s": rate,
            "bytes_per_key": bytes_per_key,
            "build_s": built,
        }));
    }
    if args.json {
        println!("{}", serde_json::json!({ "bench": "state", "results": results }));
    }
    Ok(())
}
