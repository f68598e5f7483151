//! Nodes and where they are kept.

use super::arena::{Chunked, FreeList};
use super::hash::{self, Hash, TERMINATOR};
use super::{KeyPath, ValueHash};

/// Names a node: nothing, an internal node's slot, or a leaf's slot with the top bit set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(u32);

/// What a [`NodeId`] names.
pub(super) enum Kind {
    Empty,
    Internal(u32),
    Leaf(u32),
}

const LEAF: u32 = 1 << 31;

impl NodeId {
    pub(super) const EMPTY: Self = Self(0);

    pub(super) fn kind(self) -> Kind {
        if self.0 == 0 {
            Kind::Empty
        } else if self.0 & LEAF == 0 {
            Kind::Internal(self.0)
        } else {
            Kind::Leaf(self.0 & !LEAF)
        }
    }
}

/// A node as its parent knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Child {
    pub(super) id: NodeId,
    pub(super) hash: Hash,
}

impl Child {
    pub(super) const EMPTY: Self = Self { id: NodeId::EMPTY, hash: TERMINATOR };
}

/// A leaf: one cache line, which is also the preimage of its hash.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Leaf {
    pub(super) key: KeyPath,
    pub(super) value: ValueHash,
}

/// The hashes of both children: one cache line, which is also the preimage of the node's hash.
///
/// Hashes are kept by the parent, so that rehashing a path never touches the siblings themselves.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Hashes(pub(super) [Hash; 2]);

/// All nodes. Links and hashes lie apart: a descent reads links only, eight nodes a cache line.
#[derive(Clone, Debug)]
pub(super) struct Nodes {
    links: Chunked<[NodeId; 2]>,
    hashes: Chunked<Hashes>,
    leaves: Chunked<Leaf>,
    free_internals: FreeList,
    free_leaves: FreeList,
}

impl Nodes {
    pub(super) fn new() -> Self {
        Self {
            links: Chunked::new(),
            hashes: Chunked::new(),
            leaves: Chunked::new(),
            free_internals: FreeList::new(),
            free_leaves: FreeList::new(),
        }
    }

    pub(super) fn links(&self, slot: u32) -> [NodeId; 2] {
        *self.links.get(slot)
    }

    pub(super) fn hashes(&self, slot: u32) -> &[Hash; 2] {
        &self.hashes.get(slot).0
    }

    pub(super) fn leaf(&self, slot: u32) -> &Leaf {
        self.leaves.get(slot)
    }

    pub(super) fn child(&self, slot: u32, side: usize) -> Child {
        Child { id: self.links.get(slot)[side], hash: self.hashes.get(slot).0[side] }
    }

    /// A new leaf.
    ///
    /// # Panics
    /// At 2³¹ leaves, which take 137 GB: beyond any store that is kept in memory.
    pub(super) fn add_leaf(&mut self, key: &KeyPath, value: &ValueHash) -> Child {
        let leaf = Leaf { key: *key, value: *value };
        let slot = if let Some(slot) = self.free_leaves.take() {
            *self.leaves.get_mut(slot) = leaf;
            slot
        } else {
            let slot = next_slot(self.leaves.len());
            self.leaves.push(leaf);
            slot
        };
        Child { id: NodeId(slot | LEAF), hash: hash::leaf(key, value) }
    }

    /// Replaces a leaf's value.
    pub(super) fn set_leaf(&mut self, slot: u32, value: &ValueHash) -> Child {
        let leaf = self.leaves.get_mut(slot);
        leaf.value = *value;
        Child { id: NodeId(slot | LEAF), hash: hash::leaf(&leaf.key, value) }
    }

    pub(super) fn free_leaf(&mut self, slot: u32) {
        self.free_leaves.give(slot);
    }

    /// Replaces an internal node's children.
    pub(super) fn set_internal(&mut self, slot: u32, children: &[Child; 2]) -> Child {
        *self.links.get_mut(slot) = [children[0].id, children[1].id];
        let hashes = self.hashes.get_mut(slot);
        hashes.0 = [children[0].hash, children[1].hash];
        Child { id: NodeId(slot), hash: hash::internal(&hashes.0[0], &hashes.0[1]) }
    }

    /// A new internal node.
    ///
    /// # Panics
    /// At 2³¹ nodes, see [`Self::add_leaf`].
    pub(super) fn add_internal(&mut self, children: &[Child; 2]) -> Child {
        let slot = self.free_internals.take().unwrap_or_else(|| {
            if self.links.len() == 0 {
                // Slot 0 would be `NodeId::EMPTY`.
                self.push_blank_internal();
            }
            let slot = next_slot(self.links.len());
            self.push_blank_internal();
            slot
        });
        self.set_internal(slot, children)
    }

    fn push_blank_internal(&mut self) {
        self.links.push([NodeId::EMPTY; 2]);
        self.hashes.push(Hashes([TERMINATOR; 2]));
    }

    pub(super) fn free_internal(&mut self, slot: u32) {
        self.free_internals.give(slot);
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.links.memory_bytes()
            + self.hashes.memory_bytes()
            + self.leaves.memory_bytes()
            + self.free_internals.memory_bytes()
            + self.free_leaves.memory_bytes()
    }
}

fn next_slot(len: usize) -> u32 {
    assert!(len < LEAF as usize, "the trie is full: 2^31 nodes; use the disk store");
    len as u32
}
