//! Node hashes: those of `nomt_core::hasher::Sha2Hasher`, on the path that costs the most time.
//!
//! A node's preimage is always 64 bytes, so the second SHA-256 block is a constant: both blocks go
//! to the compression function at once, without the buffering of a general hasher.

use sha2::digest::core_api::Block;
use sha2::{Sha256VarCore, compress256};

/// A node's hash. The top bit tells the kind: 1 a leaf, 0 an internal node; all zeros nothing.
pub(super) type Hash = [u8; 32];

/// The hash of an empty subtree.
pub(super) const TERMINATOR: Hash = nomt_core::trie::TERMINATOR;

const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The padding of a message of exactly 64 bytes: a one bit, zeros, the length of 512 bits.
const PADDING: [u8; 64] = {
    let mut block = [0; 64];
    block[0] = 0x80;
    block[62] = 0x02;
    block
};

fn sha256_of_pair(left: &Hash, right: &Hash) -> Hash {
    let mut block = [0; 64];
    block[..32].copy_from_slice(left);
    block[32..].copy_from_slice(right);
    let blocks: [Block<Sha256VarCore>; 2] = [block.into(), PADDING.into()];
    let mut state = INITIAL;
    compress256(&mut state, &blocks);
    let mut hash = [0; 32];
    for (bytes, word) in hash.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    hash
}

/// The hash of an internal node.
pub(super) fn internal(left: &Hash, right: &Hash) -> Hash {
    let mut hash = sha256_of_pair(left, right);
    hash[0] &= 0x7f;
    hash
}

/// The hash of a leaf.
pub(super) fn leaf(key: &[u8; 32], value: &[u8; 32]) -> Hash {
    let mut hash = sha256_of_pair(key, value);
    hash[0] |= 0x80;
    hash
}

#[cfg(test)]
mod tests {
    use nomt_core::hasher::{NodeHasher, Sha2Hasher};
    use nomt_core::trie::{InternalData, LeafData};

    #[test]
    fn hashes_are_those_of_nomt() {
        for seed in 0..=255u8 {
            let a = [seed; 32];
            let b: [u8; 32] = core::array::from_fn(|i| seed ^ (i as u8).wrapping_mul(37));
            let node = InternalData { left: a, right: b };
            assert_eq!(super::internal(&a, &b), Sha2Hasher::hash_internal(&node));
            let leaf = LeafData { key_path: a, value_hash: b };
            assert_eq!(super::leaf(&a, &b), Sha2Hasher::hash_leaf(&leaf));
        }
    }
}
