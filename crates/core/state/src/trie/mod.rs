//! A binary Merkle trie in memory with exactly NOMT's root under SHA-256.
//!
//! Purpose: the default authenticated store of an environment. It maps 256-bit key paths to value
//! hashes; values themselves live elsewhere.
//!
//! Shape: an internal node hashes its two children, a leaf hashes key path and value hash and
//! stands at the shallowest depth at which its path is unique, an empty subtree is 32 zero bytes.
//! The shape depends on the contents alone, never on the history; deletions compact upward.
//!
//! Memory: 64 bytes a leaf and 72 an internal node. Hashed keys need 1.44 (1/ln 2) internal nodes a
//! leaf, so 168 bytes a key, plus at most one unfilled chunk of each. Freed slots are used again
//! and never returned.
//!
//! Recursion goes as deep as the trie, at most 256 levels, whatever the keys.
//!
//! Known limitations: keys must be hashes of something. With chosen paths, `n` keys that share
//! long prefixes cost up to 256 nodes each, here as in NOMT.

mod arena;
mod hash;
mod node;
pub(crate) mod prove;

use alloc::vec::Vec;
use node::{Child, Kind, NodeId, Nodes};

/// The path of a key: SHA-256 of its encoding. Bits are taken from the most significant on.
pub type KeyPath = nomt_core::trie::KeyPath;
/// The hash of a value.
pub type ValueHash = nomt_core::trie::ValueHash;
/// Sets a value, or deletes it with `None`.
pub type Operation = (KeyPath, Option<ValueHash>);

/// Depth below which no two paths are alike.
const DEPTH_MAX: usize = 256;
/// How many descents are interleaved to overlap their cache misses.
const WARM_LANES: usize = 16;
/// How many sorted leaves [`Trie::from_sorted`] adds at a time.
const BULK: usize = 4096;

/// The trie.
#[derive(Clone, Debug)]
pub struct Trie {
    nodes: Nodes,
    root: Child,
    len: usize,
}

impl Default for Trie {
    fn default() -> Self {
        Self::new()
    }
}

/// The bit of `path` that chooses the side at `depth`.
fn bit(path: &KeyPath, depth: usize) -> usize {
    usize::from(path[depth / 8] >> (7 - depth % 8) & 1)
}

/// Where the operations of the right side begin, in operations that agree above `depth`.
fn split<T>(sorted: &[T], path: impl Fn(&T) -> &KeyPath, depth: usize) -> usize {
    sorted.partition_point(|item| bit(path(item), depth) == 0)
}

impl Trie {
    /// An empty trie. Its root is zero.
    pub fn new() -> Self {
        Self { nodes: Nodes::new(), root: Child::EMPTY, len: 0 }
    }

    /// A trie of leaves in ascending order of path. (Any order gives the right trie, more slowly.)
    pub fn from_sorted(leaves: impl IntoIterator<Item = (KeyPath, ValueHash)>) -> Self {
        let mut trie = Self::new();
        let mut batch = Vec::with_capacity(BULK);
        let mut leaves = leaves.into_iter();
        loop {
            batch.clear();
            batch.extend(leaves.by_ref().take(BULK).map(|(path, value)| (path, Some(value))));
            if batch.is_empty() {
                return trie;
            }
            trie.update(&mut batch);
        }
    }

    /// The root: NOMT's for the same contents.
    pub fn root(&self) -> [u8; 32] {
        self.root.hash
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.nodes.memory_bytes()
    }

    /// The value hash at a path.
    pub fn get(&self, path: &KeyPath) -> Option<ValueHash> {
        let mut id = self.root.id;
        let mut depth = 0;
        loop {
            match id.kind() {
                Kind::Empty => return None,
                Kind::Internal(slot) => {
                    id = self.nodes.links(slot)[bit(path, depth)];
                    depth += 1;
                }
                Kind::Leaf(slot) => {
                    let leaf = self.nodes.leaf(slot);
                    return (leaf.key == *path).then_some(leaf.value);
                }
            }
        }
    }

    /// Applies operations, in any order; sorts them. Deleting what is not there is no error.
    ///
    /// Every node above a changed leaf is restructured and hashed once, however many operations
    /// lie below it, so large batches are cheaper by the operation.
    ///
    /// Two operations on one path are a mistake of the caller: the greater value hash wins.
    pub fn update(&mut self, operations: &mut [Operation]) {
        if !operations.is_sorted_by(|a, b| a.0 < b.0) {
            operations.sort_unstable();
        }
        debug_assert!(
            operations.is_sorted_by(|a, b| a.0 < b.0),
            "two operations on one path in one batch"
        );
        self.root = self.apply(self.root, 0, operations);
    }

    /// Applies sorted operations, all below `node`, which stands at `depth`.
    fn apply(&mut self, node: Child, depth: usize, operations: &[Operation]) -> Child {
        let Some(last) = operations.last() else { return node };
        let single = operations.len() == 1 || depth == DEPTH_MAX;
        match node.id.kind() {
            Kind::Empty if single => {
                let Some(value) = &last.1 else { return node };
                self.len += 1;
                self.nodes.add_leaf(&last.0, value)
            }
            Kind::Leaf(slot) if single && self.nodes.leaf(slot).key == last.0 => {
                let Some(value) = &last.1 else {
                    self.nodes.free_leaf(slot);
                    self.len -= 1;
                    return Child::EMPTY;
                };
                self.nodes.set_leaf(slot, value)
            }
            Kind::Leaf(_) if single && last.1.is_none() => node,
            Kind::Leaf(slot) => {
                // The leaf goes down on its own side until something parts it from the others.
                let mut children = [Child::EMPTY; 2];
                children[bit(&self.nodes.leaf(slot).key, depth)] = node;
                let children = self.apply_to_children(&children, depth, operations);
                self.join(None, &children)
            }
            Kind::Empty => {
                let children = self.apply_to_children(&[Child::EMPTY; 2], depth, operations);
                self.join(None, &children)
            }
            Kind::Internal(slot) => {
                if (2..=WARM_LANES).contains(&operations.len()) {
                    self.warm(node.id, depth, operations);
                }
                let before = [self.nodes.child(slot, 0), self.nodes.child(slot, 1)];
                let after = self.apply_to_children(&before, depth, operations);
                if after == before {
                    return node;
                }
                self.join(Some(slot), &after)
            }
        }
    }

    fn apply_to_children(
        &mut self,
        children: &[Child; 2],
        depth: usize,
        operations: &[Operation],
    ) -> [Child; 2] {
        let (left, right) = operations.split_at(split(operations, |item| &item.0, depth));
        [self.apply(children[0], depth + 1, left), self.apply(children[1], depth + 1, right)]
    }

    /// The subtree of two children: a lone leaf takes its parent's place.
    fn join(&mut self, slot: Option<u32>, children: &[Child; 2]) -> Child {
        let lone = match (children[0].id.kind(), children[1].id.kind()) {
            (Kind::Empty, Kind::Empty | Kind::Leaf(_)) => Some(children[1]),
            (Kind::Leaf(_), Kind::Empty) => Some(children[0]),
            _ => None,
        };
        match (lone, slot) {
            (Some(child), slot) => {
                if let Some(slot) = slot {
                    self.nodes.free_internal(slot);
                }
                child
            }
            (None, Some(slot)) => self.nodes.set_internal(slot, children),
            (None, None) => self.nodes.add_internal(children),
        }
    }

    /// Touches what a few operations are about to need, all descents in lockstep: their cache
    /// misses overlap, where the recursion would wait for one after the other.
    fn warm(&self, from: NodeId, depth: usize, operations: &[Operation]) {
        let mut lanes = [from; WARM_LANES];
        let mut seen = 0u8;
        for depth in depth..DEPTH_MAX {
            let mut deeper = false;
            for (lane, operation) in lanes.iter_mut().zip(operations) {
                match lane.kind() {
                    Kind::Internal(slot) => {
                        *lane = self.nodes.links(slot)[bit(&operation.0, depth)];
                        seen ^= self.nodes.hashes(slot)[0][0];
                        deeper = true;
                    }
                    Kind::Leaf(slot) => {
                        seen ^= self.nodes.leaf(slot).value[0];
                        *lane = NodeId::EMPTY;
                    }
                    Kind::Empty => {}
                }
            }
            if !deeper {
                break;
            }
        }
        core::hint::black_box(seen);
    }
}
