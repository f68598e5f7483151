//! NOMT's own store on disk, with the hasher that gives it our root.

use super::work;
use anyhow::Result;
use atoll_state::WriteSet;
use atoll_state::db;
use atoll_types::B256;
use nomt::hasher::Sha2Hasher;
use nomt::{KeyReadWrite, Nomt, Options, SessionParams};
use std::path::Path;

/// Keys written per commit while the first state is made.
const BUILD_BATCH: usize = 250_000;

pub(super) struct NomtStore(Nomt<Sha2Hasher>);

/// A new store with the first state in it.
pub(super) fn open(folder: &Path, keys: u64) -> Result<NomtStore> {
    let mut options = Options::new();
    options.path(folder.join("nomt"));
    // One core, as ours; caches that hold these states whole.
    options.commit_concurrency(1);
    options.io_workers(1);
    options.page_cache_size(1024);
    options.leaf_cache_size(1024);
    // A page of the trie takes a bucket; random keys need some 0.2 pages each.
    options.hashtable_buckets(u32::try_from(keys / 2)?.max(64_000));
    options.preallocate_ht(false);
    let store = NomtStore(Nomt::open(options)?);
    let mut accesses: Vec<_> =
        (0..keys).map(|index| (db::key_path(&work::key(index)), index)).collect();
    accesses.sort_unstable();
    for part in accesses.chunks(BUILD_BATCH) {
        let write = |index| KeyReadWrite::Write(Some(work::value(index, 0).to_vec()));
        store.write(part.iter().map(|(path, index)| (*path, write(*index))).collect())?;
    }
    Ok(store)
}

impl NomtStore {
    fn write(&self, accesses: Vec<([u8; 32], KeyReadWrite)>) -> Result<()> {
        let session = self.0.begin_session(SessionParams::default());
        session.finish(accesses)?.commit(&self.0)
    }
}

impl super::serve::Store for NomtStore {
    fn commit(&mut self, writes: &WriteSet) -> Result<B256> {
        let access = |(key, value): (&[u8], Option<&[u8]>)| {
            (db::key_path(key), KeyReadWrite::Write(value.map(<[u8]>::to_vec)))
        };
        let mut accesses: Vec<_> = writes.iter().map(access).collect();
        accesses.sort_unstable_by_key(|(path, _)| *path);
        self.write(accesses)?;
        Ok(self.root())
    }
    fn computed_bytes(&self) -> usize {
        0
    }
    fn root(&self) -> B256 {
        B256::from(self.0.root().into_inner())
    }
}
