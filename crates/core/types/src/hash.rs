//! Hash functions and the Merkle root used for batches, receipts and outboxes.

use alloc::vec::Vec;
use alloy_primitives::B256;
use sha2::{Digest, Sha256};

pub use alloy_primitives::keccak256;

/// SHA-256 of the concatenation of `parts`.
pub fn sha256(parts: &[&[u8]]) -> B256 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    B256::from(<[u8; 32]>::from(hasher.finalize()))
}

/// Root of the binary Merkle tree of RFC 6962 (leaves prefixed 0, nodes prefixed 1) under
/// SHA-256; zero for no leaves.
pub fn merkle_root<'a>(leaves: impl Iterator<Item = &'a [u8]>) -> B256 {
    // A stack of perfect subtrees, sizes strictly decreasing: memory is logarithmic.
    let mut stack: Vec<(u32, B256)> = Vec::new();
    for leaf in leaves {
        let mut node = (0, sha256(&[&[0], leaf]));
        while stack.last().is_some_and(|top| top.0 == node.0) {
            if let Some((height, left)) = stack.pop() {
                node = (height + 1, sha256(&[&[1], left.as_slice(), node.1.as_slice()]));
            }
        }
        stack.push(node);
    }
    let Some((_, mut root)) = stack.pop() else { return B256::ZERO };
    while let Some((_, left)) = stack.pop() {
        root = sha256(&[&[1], left.as_slice(), root.as_slice()]);
    }
    root
}

/// The siblings of leaf `index` under [`merkle_root`], from the leaf upward (RFC 9162, 2.1.3);
/// `None` if there is no such leaf.
pub fn merkle_proof(leaves: &[&[u8]], index: usize) -> Option<Vec<B256>> {
    if index >= leaves.len() {
        return None;
    }
    let mut level: Vec<B256> = leaves.iter().map(|leaf| sha256(&[&[0], leaf])).collect();
    let (mut at, mut siblings) = (index, Vec::new());
    while level.len() > 1 {
        // A node without a partner goes up as it is.
        siblings.extend(level.get(at ^ 1).copied());
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => sha256(&[&[1], left.as_slice(), right.as_slice()]),
                _ => pair[0],
            })
            .collect();
        at /= 2;
    }
    Some(siblings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// The definition of RFC 6962 §2.1, word by word.
    fn naive(leaves: &[Vec<u8>]) -> B256 {
        match leaves.len() {
            0 => B256::ZERO,
            1 => sha256(&[&[0], &leaves[0]]),
            n => {
                let split = n.next_power_of_two() / 2;
                let (left, right) = leaves.split_at(split);
                sha256(&[&[1], naive(left).as_slice(), naive(right).as_slice()])
            }
        }
    }

    #[test]
    fn merkle_root_is_that_of_rfc_6962() {
        for n in 0..40u8 {
            let leaves: Vec<Vec<u8>> = (0..n).map(|i| vec![i; usize::from(i % 5)]).collect();
            assert_eq!(merkle_root(leaves.iter().map(Vec::as_slice)), naive(&leaves), "{n}");
        }
    }

    /// The path of the definition: at each split the other side's root, innermost first.
    fn naive_proof(leaves: &[Vec<u8>], index: usize) -> Vec<B256> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let split = leaves.len().next_power_of_two() / 2;
        let (left, right) = leaves.split_at(split);
        let (mut path, other) = match index < split {
            true => (naive_proof(left, index), naive(right)),
            false => (naive_proof(right, index - split), naive(left)),
        };
        path.push(other);
        path
    }

    #[test]
    fn merkle_proof_is_that_of_rfc_9162() {
        for n in 1..40usize {
            let leaves: Vec<Vec<u8>> = (0..n).map(|i| vec![i as u8; 32]).collect();
            let slices: Vec<&[u8]> = leaves.iter().map(Vec::as_slice).collect();
            for index in 0..n {
                assert_eq!(merkle_proof(&slices, index), Some(naive_proof(&leaves, index)));
            }
            assert_eq!(merkle_proof(&slices, n), None);
        }
    }
}
