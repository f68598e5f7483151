//! The proof of one object: what the hub's escape hatch and a light client check.
//!
//! A multi-proof ([`crate::proof`]) is what a state transition needs; of one key it is no more than
//! the siblings from the root downward, which anybody can check in ten lines, a contract too
//! (`docs/SETTLEMENT.md`, "State proofs"). It proves presence only.

use crate::trie::prove::{ProofSink, Terminal};
use crate::trie::{KeyPath, Trie, ValueHash};
use alloc::vec::Vec;
use atoll_types::codec::{CodecError, put_varint};
use atoll_types::{B256, Decode, Encode, Reader, sha256};

/// Levels of the trie.
const DEPTH_MAX: u32 = 256;

/// The siblings of a leaf, from the root downward.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathProof(pub Vec<B256>);

struct Collect {
    siblings: Vec<B256>,
    found: Option<KeyPath>,
}

impl ProofSink for Collect {
    fn sibling(&mut self, hash: [u8; 32]) {
        self.siblings.push(B256::from(hash));
    }

    fn terminal(&mut self, terminal: Terminal, _: usize) {
        if let Terminal::Leaf(key, _) = terminal {
            self.found = Some(key);
        }
    }
}

impl Trie {
    /// The proof of the leaf at a path; `None` if there is none.
    pub fn prove_path(&self, path: &KeyPath) -> Option<PathProof> {
        let mut sink = Collect { siblings: Vec::new(), found: None };
        self.walk(&[*path], &mut sink);
        (sink.found == Some(*path)).then_some(PathProof(sink.siblings))
    }
}

fn marked(left: &[u8], right: &[u8], leaf: bool) -> B256 {
    let mut hash = sha256(&[left, right]);
    hash.0[0] = hash.0[0] & 0x7f | u8::from(leaf) << 7;
    hash
}

impl PathProof {
    /// Whether the state with this root holds the value at the path.
    pub fn verify(&self, root: &B256, path: &KeyPath, value: &ValueHash) -> bool {
        if self.0.len() > DEPTH_MAX as usize {
            return false;
        }
        let leaf = marked(path, value, true);
        let bit = |depth: usize| path[depth / 8] >> (7 - depth % 8) & 1;
        let step = |hash: B256, (depth, sibling): (usize, &B256)| match bit(depth) {
            0 => marked(hash.as_slice(), sibling.as_slice(), false),
            _ => marked(sibling.as_slice(), hash.as_slice(), false),
        };
        self.0.iter().enumerate().rev().fold(leaf, step) == *root
    }
}

impl Encode for PathProof {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        self.0.iter().for_each(|sibling| out.extend_from_slice(sibling.as_slice()));
    }
}

impl Decode for PathProof {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let count = r.length("siblings", DEPTH_MAX)?;
        (0..count).map(|_| r.b256()).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{MemoryDb, StateDb, key_path, value_hash};

    #[test]
    fn every_leaf_is_proven_and_nothing_else() {
        let leaf = |i: u32| (key_path(&i.to_le_bytes()), value_hash(&[i as u8]));
        for count in [1, 2, 3, 50, 400] {
            let db = MemoryDb::from_leaves((0..count).map(leaf).collect());
            let root = db.root();
            for i in 0..count {
                let (path, value) = leaf(i);
                let proof = db.prove_path(&path).unwrap();
                assert!(proof.verify(&root, &path, &value));
                assert_eq!(PathProof::from_bytes(&proof.to_bytes()), Ok(proof.clone()));
                assert!(!proof.verify(&root, &path, &leaf(i + 1).1));
                assert!(!proof.verify(&root, &leaf(i + 1).0, &value));
                let mut longer = proof.clone();
                longer.0.push(B256::ZERO);
                assert!(!longer.verify(&root, &path, &value));
            }
            assert_eq!(db.prove_path(&leaf(count).0), None);
        }
        assert_eq!(MemoryDb::default().prove_path(&leaf(0).0), None);
    }
}
