//! Snapshots: written whole, merged with what changed since, and read back into a state whose root
//! is checked, with the code that a node runs.

use super::{progress, work};
use anyhow::{Context, Result, bail};
use atoll_state::db::{self, MemoryDb, StateDb};
use atoll_storage::{SnapshotStore, snapshot};
use atoll_types::B256;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

const NETWORK: [u8; 32] = [7; 32];
const ENVIRONMENT: u32 = 1;
/// One key of this many changes before the merge.
const CHANGED_EVERY: usize = 10;

/// Objects in path order.
type Objects = Vec<([u8; 32], [u8; 8], Vec<u8>)>;

fn objects(keys: u64) -> Objects {
    let object = |index| {
        let key = work::key(index);
        (db::key_path(&key), key, work::value(index, 0).to_vec())
    };
    let mut objects: Objects = (0..keys).map(object).collect();
    objects.sort_unstable();
    objects
}

fn root(objects: &Objects) -> B256 {
    let leaf = |(path, _, value): &([u8; 32], [u8; 8], Vec<u8>)| (*path, db::value_hash(value));
    MemoryDb::from_leaves(objects.iter().map(leaf).collect()).root()
}

/// Measures one size in a folder of its own.
pub(super) fn measure(folder: &Path, keys: u64) -> Result<Value> {
    progress(&format!("{keys} keys: snapshot …"));
    let mut objects = objects(keys);
    let store = SnapshotStore::open(folder.join("snapshots"), NETWORK)?;
    let first_root = root(&objects);

    let begin = Instant::now();
    let builder = store.begin(1)?;
    let mut out = builder.environment(ENVIRONMENT, first_root.0, &[])?;
    for (path, key, value) in &objects {
        out.push(*path, key, value)?;
    }
    builder.publish(&[out.finish()?])?;
    let write_s = begin.elapsed().as_secs_f64();

    progress(&format!("{keys} keys: merge …"));
    for (path, key, value) in objects.iter_mut().step_by(CHANGED_EVERY) {
        *value = work::value(u64::from_be_bytes(*key), u64::from(path[0]) + 1).to_vec();
    }
    let expected = root(&objects);
    let begin = Instant::now();
    let builder = store.begin(2)?;
    let mut out = builder.environment(ENVIRONMENT, expected.0, &[])?;
    let previous = store.snapshot(1)?.reader(ENVIRONMENT)?;
    let changed = objects.iter().step_by(CHANGED_EVERY);
    let delta = changed.map(|(path, key, value)| (*path, key, Some(value)));
    snapshot::merge(Some(previous), delta, db::key_path, &mut out)?;
    let file = out.finish()?;
    builder.publish(&[file])?;
    let merge_s = begin.elapsed().as_secs_f64();
    drop(objects);

    progress(&format!("{keys} keys: restart …"));
    let begin = Instant::now();
    let store = SnapshotStore::open(folder.join("snapshots"), NETWORK)?;
    let latest = store.latest_complete()?.snapshot.context("the snapshot just written")?;
    let verify_s = begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    let mut reader = latest.reader(ENVIRONMENT)?;
    let mut leaves = Vec::with_capacity(usize::try_from(reader.records())?);
    while reader.advance()? {
        leaves.push((db::key_path(reader.key()), db::value_hash(reader.value())));
    }
    let read_s = begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    let found = MemoryDb::from_leaves(leaves).root();
    let build_s = begin.elapsed().as_secs_f64();
    if found != expected || found.0 != reader.header().state_root {
        bail!("{keys} keys: the snapshot gives root {found} and not {expected}");
    }
    let restart_s = verify_s + read_s + build_s;
    progress("");
    println!(
        "{keys} keys, snapshot: written in {write_s:.2} s, merged with {} % changed in \
         {merge_s:.2} s, {:.1} MB ({:.0} bytes a key); restart in {restart_s:.2} s (checked \
         {verify_s:.2}, read and hashed {read_s:.2}, trie and root {build_s:.2})",
        100 / CHANGED_EVERY,
        file.bytes as f64 / 1e6,
        file.bytes as f64 / keys as f64,
    );
    Ok(json!({
        "keys": keys,
        "write_s": write_s,
        "merge_s": merge_s,
        "merge_changed": 1.0 / CHANGED_EVERY as f64,
        "bytes": file.bytes,
        "bytes_per_key": file.bytes as f64 / keys as f64,
        "restart_s": restart_s,
        "restart": { "verify_s": verify_s, "read_s": read_s, "build_s": build_s },
        "root": expected.to_string(),
    }))
}
