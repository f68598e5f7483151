//! Walks the trie along sorted paths and hands out what a multi-proof is made of.

use super::hash::Hash;
use super::node::{Kind, NodeId};
use super::{KeyPath, Trie, ValueHash, split};

/// Where a descent ended.
pub(crate) enum Terminal {
    /// At a leaf, of the path looked for or of another.
    Leaf(KeyPath, ValueHash),
    /// At an empty subtree, here a path that leads there.
    Empty(KeyPath),
}

/// Receives a multi-proof in order: shared siblings from the top down, then left, then right.
pub(crate) trait ProofSink {
    /// The sibling of the node that the walk enters.
    fn sibling(&mut self, hash: Hash);
    /// The end of a descent at `depth`.
    fn terminal(&mut self, terminal: Terminal, depth: usize);
}

impl Trie {
    /// Walks along strictly ascending paths.
    pub(crate) fn walk(&self, paths: &[KeyPath], sink: &mut impl ProofSink) {
        self.walk_from(self.root.id, 0, paths, sink);
    }

    fn walk_from(&self, id: NodeId, depth: usize, paths: &[KeyPath], sink: &mut impl ProofSink) {
        let Some(first) = paths.first() else { return };
        match id.kind() {
            Kind::Empty => sink.terminal(Terminal::Empty(*first), depth),
            Kind::Leaf(slot) => {
                let leaf = self.nodes.leaf(slot);
                sink.terminal(Terminal::Leaf(leaf.key, leaf.value), depth);
            }
            Kind::Internal(slot) => {
                let (left, right) = paths.split_at(split(paths, |path| path, depth));
                let hashes = self.nodes.hashes(slot);
                if left.is_empty() {
                    sink.sibling(hashes[0]);
                } else if right.is_empty() {
                    sink.sibling(hashes[1]);
                }
                let links = self.nodes.links(slot);
                self.walk_from(links[0], depth + 1, left, sink);
                self.walk_from(links[1], depth + 1, right, sink);
            }
        }
    }
}
