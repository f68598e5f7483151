//! The authenticated key-value store under an environment.

use crate::trie::{KeyPath, Trie, ValueHash};
use crate::{PathProof, WriteSet};
use alloc::vec::Vec;
use atoll_types::{B256, sha256};

/// Where an object's leaf stands: SHA-256 of its encoded key.
pub fn key_path(key: &[u8]) -> KeyPath {
    sha256(&[key]).0
}

/// What its leaf commits to: SHA-256 of its encoded value.
pub fn value_hash(value: &[u8]) -> ValueHash {
    sha256(&[value]).0
}

/// A write set as operations on the trie.
pub fn operations(writes: &WriteSet) -> Vec<(KeyPath, Option<ValueHash>)> {
    writes.iter().map(|(key, value)| (key_path(key), value.map(value_hash))).collect()
}

/// An authenticated state: every implementation has the same root for the same contents.
pub trait StateDb {
    /// The root of everything committed.
    fn root(&self) -> B256;

    /// Applies what a range of commands changed; each key at most once. Returns the new root.
    fn commit(&mut self, writes: &WriteSet) -> B256;

    /// The encoded multi-proof of keys, present or absent, against the root.
    fn prove(&self, keys: &[KeyPath]) -> Vec<u8>;
}

/// The default: a trie in memory, durable through the slot log and snapshots.
#[derive(Debug, Default)]
pub struct MemoryDb {
    trie: Trie,
}

impl MemoryDb {
    /// A state with these leaves.
    pub fn from_leaves(mut leaves: Vec<(KeyPath, ValueHash)>) -> Self {
        leaves.sort_unstable();
        Self { trie: Trie::from_sorted(leaves) }
    }

    /// Leaves.
    pub fn len(&self) -> usize {
        self.trie.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.trie.memory_bytes()
    }

    /// The proof of one leaf; `None` if there is none.
    pub fn prove_path(&self, path: &KeyPath) -> Option<PathProof> {
        self.trie.prove_path(path)
    }

    /// Applies operations; see [`StateDb::commit`].
    pub fn apply(&mut self, mut operations: Vec<(KeyPath, Option<ValueHash>)>) -> B256 {
        self.trie.update(&mut operations);
        self.root()
    }
}

impl StateDb for MemoryDb {
    fn root(&self) -> B256 {
        B256::from(self.trie.root())
    }

    fn commit(&mut self, writes: &WriteSet) -> B256 {
        self.apply(operations(writes))
    }

    fn prove(&self, keys: &[KeyPath]) -> Vec<u8> {
        self.trie.prove(keys).encode()
    }
}
