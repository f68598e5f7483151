//! The namespaced Merkle tree over one row or column.
//!
//! Celestia's rules over 2^d leaves:
//!
//! * leaf: `ns ‖ ns ‖ sha256(0x00 ‖ ns ‖ share)`
//! * node: `min ‖ max ‖ sha256(0x01 ‖ left ‖ right)` over the 90 bytes of each child, where `max`
//!   leaves parity out unless there is nothing else.
//!
//! A tree always has as many leaves as the header's square is wide, so a proof has exactly one
//! shape for each position: a share that verifies at a position *is* at that position. Children
//! out of order make no node; such a tree has no root.

use crate::namespace::{NAMESPACE_BYTES, Namespace};
use atoll_types::{CodecError, Decode, Encode, Reader};
use sha2::{Digest, Sha256};

/// Bytes of a node under a hash: two namespaces and a hash. Encoded, it is at most one longer.
pub const NODE_BYTES: usize = 2 * NAMESPACE_BYTES + 32;
/// Levels between the root and the leaves of the widest square.
pub const DEPTH_MAX: u32 = 8;

/// A node, a leaf or a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Least namespace below.
    pub min: Namespace,
    /// Greatest namespace below, parity left out unless there is nothing else.
    pub max: Namespace,
    /// The hash.
    pub hash: [u8; 32],
}

impl Node {
    /// The leaf of a share.
    pub fn leaf(namespace: Namespace, share: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update([0]);
        hasher.update(namespace.as_bytes());
        hasher.update(share);
        Self { min: namespace, max: namespace, hash: hasher.finalize().into() }
    }

    /// The node above two; none if they are out of order.
    pub fn parent(left: &Self, right: &Self) -> Option<Self> {
        if left.max > right.min {
            return None;
        }
        let mut bytes = [1; 1 + 2 * NODE_BYTES];
        bytes[1..=NODE_BYTES].copy_from_slice(&left.bytes());
        bytes[1 + NODE_BYTES..].copy_from_slice(&right.bytes());
        let max = if left.min == Namespace::PARITY {
            Namespace::PARITY
        } else if right.min == Namespace::PARITY {
            left.max
        } else {
            left.max.max(right.max)
        };
        Some(Self { min: left.min.min(right.min), max, hash: Sha256::digest(bytes).into() })
    }

    /// The 90 bytes.
    pub fn bytes(&self) -> [u8; NODE_BYTES] {
        let mut bytes = [0; NODE_BYTES];
        bytes[..NAMESPACE_BYTES].copy_from_slice(self.min.as_bytes());
        bytes[NAMESPACE_BYTES..2 * NAMESPACE_BYTES].copy_from_slice(self.max.as_bytes());
        bytes[2 * NAMESPACE_BYTES..].copy_from_slice(&self.hash);
        bytes
    }

    /// Whether the range of the node covers `namespace`.
    pub fn covers(&self, namespace: Namespace) -> bool {
        self.min <= namespace && namespace <= self.max
    }
}

/// On the wire most nodes are much shorter than under a hash: three quarters of a square are
/// parity, and most others hold one namespace.
impl Encode for Node {
    fn encode(&self, out: &mut Vec<u8>) {
        if self.min != self.max {
            out.push(RANGE);
            self.min.encode(out);
            self.max.encode(out);
        } else if self.min != Namespace::PARITY {
            out.push(ONE);
            self.min.encode(out);
        } else {
            out.push(PARITY);
        }
        out.extend_from_slice(&self.hash);
    }
}

const PARITY: u8 = 0;
const ONE: u8 = 1;
const RANGE: u8 = 2;

impl Decode for Node {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (min, max) = match r.u8()? {
            PARITY => (Namespace::PARITY, Namespace::PARITY),
            ONE => {
                let one = Namespace::decode(r)?;
                if one == Namespace::PARITY {
                    return Err(CodecError::Invalid("parity as a namespace of a node"));
                }
                (one, one)
            }
            RANGE => {
                let (min, max) = (Namespace::decode(r)?, Namespace::decode(r)?);
                // Neither trees nor honest headers have nodes that end before they begin.
                if max <= min {
                    return Err(CodecError::Invalid("range of a node"));
                }
                (min, max)
            }
            _ => return Err(CodecError::Invalid("form of a node")),
        };
        Ok(Self { min, max, hash: r.array()? })
    }
}

/// A whole tree. Node 1 is the root, nodes 2i and 2i + 1 are the children of node i.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    /// The tree over `leaves`, a power of two of them; none if there are not, or if they are out
    /// of order.
    pub fn new(leaves: &[Node]) -> Option<Self> {
        if !leaves.len().is_power_of_two() {
            return None;
        }
        let mut nodes = vec![leaves[0]; leaves.len()];
        nodes.extend_from_slice(leaves);
        for index in (1..leaves.len()).rev() {
            nodes[index] = Node::parent(&nodes[2 * index], &nodes[2 * index + 1])?;
        }
        Some(Self { nodes })
    }

    /// The root.
    pub fn root(&self) -> Node {
        self.nodes[1]
    }

    /// Number of leaves.
    pub fn width(&self) -> usize {
        self.nodes.len() / 2
    }

    /// The leaf at `index`; none beyond the last.
    pub fn leaf(&self, index: usize) -> Option<&Node> {
        self.nodes.get(index.checked_add(self.width())?)
    }

    /// The siblings on the way from the leaf at `index` up to the root.
    pub fn path(&self, index: u16) -> Vec<Node> {
        let mut at = usize::from(index) + self.width();
        let mut path = Vec::new();
        while at > 1 {
            path.push(self.nodes[at ^ 1]);
            at /= 2;
        }
        path
    }

    /// The nodes that, with the leaves `start..end`, make the root: left to right.
    pub fn range(&self, start: u16, end: u16) -> Vec<Node> {
        let mut out = Vec::new();
        let (start, end) = (usize::from(start), usize::from(end));
        self.collect(1, (0, self.width()), (start, end), &mut out);
        out
    }

    fn collect(&self, at: usize, (low, high): Span, range: Span, out: &mut Vec<Node>) {
        if high <= range.0 || range.1 <= low {
            out.push(self.nodes[at]);
        } else if high - low > 1 {
            let middle = (low + high) / 2;
            self.collect(2 * at, (low, middle), range, out);
            self.collect(2 * at + 1, (middle, high), range, out);
        }
    }
}

type Span = (usize, usize);

/// Whether `leaf` is leaf number `index` of the tree of 2^`depth` leaves under `root`.
pub fn verify_leaf(root: &Node, depth: u32, index: u16, leaf: Node, path: &[Node]) -> bool {
    if path.len() != depth as usize || depth > DEPTH_MAX || u32::from(index) >> depth != 0 {
        return false;
    }
    let mut node = leaf;
    for (level, sibling) in path.iter().enumerate() {
        let parent = if (index >> level) & 1 == 0 {
            Node::parent(&node, sibling)
        } else {
            Node::parent(sibling, &node)
        };
        match parent {
            Some(parent) => node = parent,
            None => return false,
        }
    }
    node == *root
}

/// Whether `leaves` are the leaves from number `start` on of the tree of 2^`depth` leaves under
/// `root`, and no leaf of `namespace` stands outside of them.
pub fn verify_complete(
    root: &Node,
    depth: u32,
    namespace: Namespace,
    start: u16,
    leaves: &[Node],
    nodes: &[Node],
) -> bool {
    let end = usize::from(start) + leaves.len();
    if depth > DEPTH_MAX || leaves.is_empty() || end > 1 << depth {
        return false;
    }
    let mut fold =
        Fold { namespace, range: (usize::from(start), end), leaves, nodes: nodes.iter() };
    fold.node((0, 1 << depth)) == Some(*root) && fold.nodes.next().is_none()
}

struct Fold<'a> {
    namespace: Namespace,
    range: Span,
    leaves: &'a [Node],
    nodes: std::slice::Iter<'a, Node>,
}

impl Fold<'_> {
    fn node(&mut self, (low, high): Span) -> Option<Node> {
        if high <= self.range.0 {
            return self.nodes.next().filter(|node| node.max < self.namespace).copied();
        }
        if self.range.1 <= low {
            return self.nodes.next().filter(|node| self.namespace < node.min).copied();
        }
        if high - low == 1 {
            return self.leaves.get(low - self.range.0).copied();
        }
        let middle = (low + high) / 2;
        let left = self.node((low, middle))?;
        let right = self.node((middle, high))?;
        Node::parent(&left, &right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (Tree, Vec<Node>) {
        let namespace = |byte| Namespace::from_bytes([byte; NAMESPACE_BYTES]);
        let leaf = |i: u8| Node::leaf(namespace(i / 3), &[i; 512]);
        let leaves: Vec<Node> = (0..16).map(leaf).collect();
        (Tree::new(&leaves).unwrap(), leaves)
    }

    #[test]
    fn a_proof_has_one_shape_for_each_place() {
        let (tree, leaves) = tree();
        let root = tree.root();
        for (index, leaf) in (0u16..).zip(&leaves) {
            let path = tree.path(index);
            assert!(verify_leaf(&root, 4, index, *leaf, &path));
            for other in (0..u16::MAX).step_by(if index == 5 { 1 } else { 257 }) {
                assert_eq!(verify_leaf(&root, 4, other, *leaf, &path), other == index);
            }
            // What stands above a leaf is no leaf, in this tree or in a lower one.
            let parent = tree.nodes[(16 + usize::from(index)) / 2];
            for depth in [3, 4, 5, 9, u32::MAX] {
                assert_eq!(
                    verify_leaf(&root, depth, index / 2, parent, &path[1..]),
                    depth == 3,
                    "only a verifier that takes another depth for granted is deceived"
                );
            }
            assert!(!verify_leaf(&root, 5, index, *leaf, &path));
        }
        assert!(Tree::new(&leaves[..15]).is_none());
        assert!(Tree::new(&[]).is_none());
        assert_eq!(Tree::new(&leaves[..1]).unwrap().root(), leaves[0]);
        assert!(Node::parent(&leaves[5], &leaves[4]).is_some(), "the same namespace");
        assert!(Node::parent(&leaves[6], &leaves[5]).is_none());
    }

    #[test]
    fn nodes_have_one_encoding_each() {
        let one = Namespace::from_bytes([1; NAMESPACE_BYTES]);
        let two = Namespace::from_bytes([2; NAMESPACE_BYTES]);
        let parity = Namespace::PARITY;
        for (min, max, bytes) in [(parity, parity, 33), (one, one, 62), (one, two, 91)] {
            let node = Node { min, max, hash: [3; 32] };
            assert_eq!(node.to_bytes().len(), bytes);
            assert_eq!(Node::from_bytes(&node.to_bytes()), Ok(node));
        }
        let refused = |form: u8, namespaces: &[Namespace]| {
            let mut bytes = vec![form];
            namespaces.iter().for_each(|namespace| namespace.encode(&mut bytes));
            bytes.extend_from_slice(&[3; 32]);
            assert!(matches!(Node::from_bytes(&bytes), Err(CodecError::Invalid(_))));
        };
        refused(ONE, &[parity]);
        refused(RANGE, &[one, one]);
        refused(RANGE, &[two, one]);
        refused(3, &[]);
    }

    #[test]
    fn a_range_is_complete_or_it_is_not() {
        let (tree, leaves) = tree();
        let root = tree.root();
        let ranges = (0..16).flat_map(|start| (start + 1..=16).map(move |end| (start, end)));
        for (start, end) in ranges {
            let nodes = tree.range(start, end);
            let leaves = &leaves[usize::from(start)..usize::from(end)];
            for byte in 0..8u8 {
                let namespace = Namespace::from_bytes([byte; NAMESPACE_BYTES]);
                let complete = verify_complete(&root, 4, namespace, start, leaves, &nodes);
                // Leaves 3b, 3b + 1 and 3b + 2 are of namespace b.
                let (first, last) = (3 * u16::from(byte), 3 * u16::from(byte) + 3);
                assert_eq!(
                    complete,
                    start <= first.min(16) && last.min(16) <= end,
                    "{start} {end}"
                );
                assert!(!verify_complete(&root, 4, namespace, start + 1, leaves, &nodes));
            }
        }
    }
}
