//! The tree of withdrawals: binary, of depth 32, append-only. A node is `sha256(left ‖ right)`, an
//! empty leaf is zero. Leaves are hashes with a tag of their own and all stand at the same depth,
//! so no node passes for a leaf.

use crate::codec::{CodecError, Decode, Encode, Reader};
use crate::hash::sha256;
use alloc::vec::Vec;
use alloy_primitives::B256;

/// Depth of the tree.
pub const WITHDRAWAL_TREE_DEPTH: usize = 32;

fn node(left: &B256, right: &B256) -> B256 {
    sha256(&[left.as_slice(), right.as_slice()])
}

/// The roots of empty subtrees by height.
fn empty() -> [B256; WITHDRAWAL_TREE_DEPTH + 1] {
    let mut roots = [B256::ZERO; WITHDRAWAL_TREE_DEPTH + 1];
    for height in 0..WITHDRAWAL_TREE_DEPTH {
        roots[height + 1] = node(&roots[height], &roots[height]);
    }
    roots
}

/// What is needed of the tree to append to it: for each bit of the count that is set, the root of
/// the perfect subtree that it stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WithdrawalTree {
    count: u64,
    frontier: Vec<B256>,
}

impl WithdrawalTree {
    /// Leaves so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Appends a leaf; `None` when the tree is full.
    pub fn push(&mut self, leaf: B256) -> Option<u64> {
        let index = self.count;
        if index >> WITHDRAWAL_TREE_DEPTH != 0 {
            return None;
        }
        // The frontier holds the set bits of the count from the lowest height up.
        let carried = index.trailing_ones() as usize;
        let carry = self.frontier.drain(..carried).fold(leaf, |right, left| node(&left, &right));
        self.frontier.insert(0, carry);
        self.count += 1;
        Some(index)
    }

    /// The root.
    pub fn root(&self) -> B256 {
        let empty = empty();
        let mut frontier = self.frontier.iter();
        let mut root = B256::ZERO;
        for (height, nothing) in empty.iter().take(WITHDRAWAL_TREE_DEPTH).enumerate() {
            root = match self.count >> height & 1 {
                1 => node(frontier.next().unwrap_or(nothing), &root),
                _ => node(&root, nothing),
            };
        }
        if self.count >> WITHDRAWAL_TREE_DEPTH != 0 {
            // Full: the one perfect subtree is the tree.
            return self.frontier.first().copied().unwrap_or_default();
        }
        root
    }
}

impl Encode for WithdrawalTree {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.count.to_le_bytes());
        self.frontier.iter().for_each(|node| out.extend_from_slice(node.as_slice()));
    }
}

impl Decode for WithdrawalTree {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let count = r.u64()?;
        if count > 1 << WITHDRAWAL_TREE_DEPTH {
            return Err(CodecError::Invalid("count of withdrawals"));
        }
        let frontier = (0..count.count_ones()).map(|_| r.b256()).collect::<Result<_, _>>()?;
        Ok(Self { count, frontier })
    }
}

/// The siblings of leaf `index`, from the leaf upward, in the tree of these leaves.
pub fn withdrawal_proof(leaves: &[B256], index: u64) -> Option<[B256; WITHDRAWAL_TREE_DEPTH]> {
    let mut at = usize::try_from(index).ok().filter(|at| *at < leaves.len())?;
    let empty = empty();
    let mut level = leaves.to_vec();
    let mut proof = [B256::ZERO; WITHDRAWAL_TREE_DEPTH];
    for (sibling, nothing) in proof.iter_mut().zip(&empty) {
        *sibling = level.get(at ^ 1).copied().unwrap_or(*nothing);
        let pair = |pair: &[B256]| node(&pair[0], pair.get(1).unwrap_or(nothing));
        level = level.chunks(2).map(pair).collect();
        at >>= 1;
    }
    Some(proof)
}

/// Whether a leaf stands at `index` under `root`.
pub fn verify_withdrawal(
    root: &B256,
    leaf: B256,
    index: u64,
    proof: &[B256; WITHDRAWAL_TREE_DEPTH],
) -> bool {
    if index >> WITHDRAWAL_TREE_DEPTH != 0 {
        return false;
    }
    let step = |hash: B256, (height, sibling): (usize, &B256)| match index >> height & 1 {
        0 => node(&hash, sibling),
        _ => node(sibling, &hash),
    };
    proof.iter().enumerate().fold(leaf, step) == *root
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: 2^32 leaves, those that are not there zero.
    fn naive(leaves: &[B256]) -> B256 {
        let empty = empty();
        let mut level = leaves.to_vec();
        for nothing in empty.iter().take(WITHDRAWAL_TREE_DEPTH) {
            if level.len() % 2 == 1 {
                level.push(*nothing);
            }
            level = level.chunks(2).map(|pair| node(&pair[0], &pair[1])).collect();
        }
        level.first().copied().unwrap_or(empty[WITHDRAWAL_TREE_DEPTH])
    }

    #[test]
    fn the_tree_grows_to_the_root_of_its_leaves_and_proves_each() {
        let mut tree = WithdrawalTree::default();
        let mut leaves = Vec::new();
        for i in 0..70u8 {
            assert_eq!(tree.root(), naive(&leaves), "{i}");
            assert_eq!(WithdrawalTree::from_bytes(&tree.to_bytes()), Ok(tree.clone()));
            let leaf = sha256(&[&[i]]);
            assert_eq!(tree.push(leaf), Some(u64::from(i)));
            leaves.push(leaf);
        }
        let root = tree.root();
        for (index, leaf) in leaves.iter().enumerate() {
            let index = index as u64;
            let mut proof = withdrawal_proof(&leaves, index).unwrap();
            assert!(verify_withdrawal(&root, *leaf, index, &proof));
            assert!(!verify_withdrawal(&root, *leaf, index ^ 1, &proof));
            assert!(!verify_withdrawal(&root, *leaf, index | 1 << 32, &proof));
            proof[5] = B256::repeat_byte(1);
            assert!(!verify_withdrawal(&root, *leaf, index, &proof));
        }
        assert_eq!(withdrawal_proof(&leaves, 70), None);
    }
}
