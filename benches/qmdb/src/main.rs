//! commonware's QMDB (`current`, unordered, fixed values: it proves what a key holds now), an
//! append-only log of updates on disk with a Merkle root under SHA-256, for
//! `atoll bench state --peer PROGRAM`.
//!
//! The keys, values and batches are those of `bin/atoll/src/bench/state/work.rs`, and the protocol
//! is that of `serve.rs` beside it. Its root is of another shape than ours and is not compared.

use commonware_cryptography::Sha256;
use commonware_parallel::Sequential;
use commonware_runtime::buffer::paged::{CacheRef, page_size};
use commonware_runtime::tokio::{Config, Context, Runner};
use commonware_runtime::{BLOB_PAGE_SIZE, Runner as _, Supervisor as _};
use commonware_storage::journal::contiguous::fixed::Config as LogConfig;
use commonware_storage::merkle::{full::Config as MerkleConfig, mmr::Family};
use commonware_storage::qmdb::current::{FixedConfig, unordered::fixed::Db};
use commonware_storage::qmdb::floor::Proportional;
use commonware_storage::translator::EightCap;
use commonware_utils::sequence::FixedBytes;
use commonware_utils::{NZU64, NZUsize};
use sha2::Digest as _;
use std::collections::BTreeSet;
use std::io::{BufRead as _, Write as _};
use std::time::Instant;

type Key = FixedBytes<32>;
type Value = FixedBytes<48>;
type Store = Db<Family, Context, Key, Value, Sha256, EightCap, 32, Sequential>;

const BUILD_BATCH: u64 = 100_000;

fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Keys are hashed, as in the other stores; its own hashing of values is part of the log's.
fn path(index: u64) -> Key {
    Key::new(sha2::Sha256::digest(index.to_be_bytes()).into())
}

fn value(index: u64, round: u64) -> Value {
    let mut out = [0; 48];
    let seed = mix(index) ^ mix(round << 32);
    for (lane, bytes) in (0u64..).zip(out.chunks_exact_mut(8)) {
        bytes.copy_from_slice(&mix(seed.wrapping_add(lane)).to_le_bytes());
    }
    Value::new(out)
}

fn updates(keys: u64, batch: u64, round: u64) -> Vec<(u64, Value)> {
    let mut chosen = BTreeSet::new();
    let mut draw = round << 32;
    while (chosen.len() as u64) < batch.min(keys) {
        chosen.insert(mix(draw) % keys);
        draw += 1;
    }
    chosen.into_iter().map(|index| (index, value(index, round))).collect()
}

fn config() -> FixedConfig<EightCap, Sequential> {
    // A page cache that holds these states whole: 2 GiB.
    let page_cache = CacheRef::new(page_size(BLOB_PAGE_SIZE), NZUsize!(1 << 19));
    FixedConfig {
        merkle_config: MerkleConfig {
            journal_partition: "merkle-journal".into(),
            metadata_partition: "merkle-metadata".into(),
            items_per_blob: NZU64!(1_000_000),
            write_buffer: NZUsize!(2 << 20),
            replay_buffer: NZUsize!(2 << 20),
            strategy: Sequential,
            page_cache: page_cache.clone(),
        },
        journal_config: LogConfig {
            partition: "log".into(),
            items_per_blob: NZU64!(1_000_000),
            page_cache,
            write_buffer: NZUsize!(2 << 20),
            replay_buffer: NZUsize!(2 << 20),
        },
        grafted_metadata_partition: "grafted-metadata".into(),
        translator: EightCap,
        init_cache: None,
        init_buffer: NZUsize!(1 << 21),
        init_concurrency: (),
    }
}

async fn commit(store: Store, writes: impl Iterator<Item = (u64, Value)>) -> Store {
    let mut batch = store.new_batch();
    for (index, value) in writes {
        batch = batch.write(path(index), Some(value));
    }
    let merkleized = batch.merkleize(&store, None, &mut Proportional).await.expect("merkleize");
    let store = store.apply_batch(merkleized).await.expect("apply");
    store.commit().await.expect("commit")
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

fn main() {
    let number = |name: &str, default: u64| {
        argument(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let (keys, batch) = (number("--keys", 1_000_000), number("--batch", 10_000));
    let folder = std::path::PathBuf::from(argument("--dir").expect("--dir FOLDER")).join("qmdb");
    let runtime = Config::default().with_worker_threads(1).with_storage_directory(folder);
    Runner::new(runtime).start(|context| async move {
        let before = resident_bytes();
        let begin = Instant::now();
        let mut store = Store::init(context.child("store"), config(), None).await.expect("open");
        for first in (0..keys).step_by(BUILD_BATCH as usize) {
            let part = first..(first + BUILD_BATCH).min(keys);
            store = commit(store, part.map(|index| (index, value(index, 0)))).await;
        }
        let built = begin.elapsed().as_secs_f64();
        let resident = resident_bytes().saturating_sub(before);
        println!("ready {built} {resident} 0 {}", store.root());
        for line in std::io::stdin().lock().lines() {
            let line = line.expect("a line");
            let round = line.strip_prefix("commit ").and_then(|round| round.parse().ok());
            let writes = updates(keys, batch, round.expect("commit ROUND"));
            let count = writes.len();
            let begin = Instant::now();
            store = commit(store, writes.into_iter()).await;
            let root = store.root();
            let seconds = begin.elapsed().as_secs_f64();
            println!("done {seconds} {count} {root}");
            std::io::stdout().flush().expect("a reader");
        }
    });
}
