//! The trie against NOMT's own disk store, batch by batch.
//!
//! The store needs `io_uring` and panics in a thread of its own where that is forbidden. So the
//! comparison runs in a child process; where the child cannot have a ring, the test says so and
//! passes.
#![cfg(unix)]
#![allow(clippy::disallowed_types, reason = "a test may be impatient")]

use atoll_state::db::value_hash;
use atoll_state::trie::{KeyPath, Operation, Trie};
use nomt::hasher::Sha2Hasher;
use nomt::{IoUringPermission, KeyReadWrite, Nomt, Options, SessionParams};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CHILD: &str = "ATOLL_TEST_NOMT_STORE_CHILD";
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn roots_are_those_of_the_store() {
    if std::env::var_os(CHILD).is_some() {
        return compare();
    }
    if !matches!(nomt::check_iou_permissions(), IoUringPermission::Allowed) {
        println!("skipped: io_uring is forbidden or too old here, NOMT's store needs it");
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "roots_are_those_of_the_store", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::inherit())
        .stderr(std::fs::File::create(log_path()).unwrap())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let success = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.success();
        }
        let log = std::fs::read_to_string(log_path()).unwrap();
        if start.elapsed() > PATIENCE || log.contains("Error building io_uring") {
            child.kill().unwrap();
            child.wait().unwrap();
            break false;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let log = std::fs::read_to_string(log_path()).unwrap();
    std::fs::remove_file(log_path()).unwrap();
    if log.contains("Error building io_uring") {
        println!("skipped: NOMT's store gets no io_uring here");
        return;
    }
    assert!(success, "the comparison failed or took over {PATIENCE:?}:\n{log}");
}

fn log_path() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("atoll-nomt-store-{}.log", std::process::id()))
}

/// SplitMix64.
fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// One of 4,000 keys; every eighth shares its first 24 bytes with all of that kind.
fn path(random: u64) -> KeyPath {
    let index = (random % 4_000) as u32;
    let hashed = atoll_state::db::key_path(&index.to_le_bytes());
    if !index.is_multiple_of(8) {
        return hashed;
    }
    let mut near = [0x5a; 32];
    near[24..].copy_from_slice(&hashed[24..]);
    near
}

fn compare() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::new();
    options.path(folder.path().join("store"));
    options.io_workers(1);
    options.hashtable_buckets(20_000);
    options.preallocate_ht(false);
    options.page_cache_size(16);
    options.leaf_cache_size(16);
    let store = Nomt::<Sha2Hasher>::open(options).unwrap();
    let mut trie = Trie::new();
    let mut random = 1;
    for round in 0..25u64 {
        // Late rounds delete most of what is there.
        let delete_of_eight = if round < 15 { 2 } else { 6 };
        let mut accesses: Vec<(KeyPath, KeyReadWrite)> = (0..400)
            .map(|_| {
                let value = mix(&mut random);
                let delete = mix(&mut random) % 8 < delete_of_eight;
                let value = (!delete).then(|| value.to_le_bytes().to_vec());
                (path(mix(&mut random)), KeyReadWrite::Write(value))
            })
            .collect();
        accesses.sort_by_key(|access| access.0);
        accesses.dedup_by_key(|access| access.0);
        let mut operations: Vec<Operation> = accesses
            .iter()
            .map(|(path, access)| (*path, access.last_value().map(value_hash)))
            .collect();
        let session = store.begin_session(SessionParams::default());
        session.finish(accesses).unwrap().commit(&store).unwrap();
        trie.update(&mut operations);
        assert_eq!(trie.root(), store.root().into_inner(), "round {round}");
    }
    assert!(trie.len() > 100, "the comparison ended on {} keys", trie.len());
}
