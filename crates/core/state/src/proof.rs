//! Proofs about many keys at once: made from a [`Trie`], checked by `nomt-core`.
//!
//! A multi-proof lists, for every descent, where it ends (a leaf or an empty subtree) and each
//! sibling hash that does not follow from the others, once.
//!
//! `nomt-core` verifies well-formed multi-proofs and panics on many others (a descent that ends
//! above the fork it comes from, too few siblings, one path a prefix of another). So shape is
//! checked first, by [`MultiProof::decode`]: descents in ascending order, none a prefix of
//! another, and exactly as many siblings as their forks leave open. With that shape, every index
//! that `nomt-core` computes is in range; what then still can be wrong is the root.
//!
//! Encoding: varint count of descents; for each a `u16` (depth, plus 0x8000 for a leaf), then a
//! leaf's key path and value hash, or the bits of an empty subtree's path, zero-padded to a byte;
//! then the siblings, whose number follows. There is one encoding of a proof, and decoding takes
//! memory in proportion to the input.

use crate::trie::prove::{ProofSink, Terminal};
use crate::trie::{KeyPath, Operation, Trie, ValueHash};
use alloc::vec;
use alloc::vec::Vec;
use atoll_types::codec::{CodecError, put_varint};
use atoll_types::{B256, Reader};
use nomt_core::hasher::Sha2Hasher;
use nomt_core::proof::{
    self as nomt, MultiPathProof, MultiProofVerificationError, PathProofTerminal,
    VerifiedMultiProof,
};
use nomt_core::trie::LeafData;
use nomt_core::trie_pos::TriePosition;

/// Descents in a proof.
pub const PATHS_MAX: u32 = 1 << 22;

const DEPTH_MAX: u16 = 256;
const LEAF_FLAG: u16 = 0x8000;

/// Why a proof does not show what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The bytes are no proof.
    #[error("the proof cannot be decoded: {0}")]
    Codec(#[from] CodecError),
    /// A descent ends deeper than paths are long.
    #[error("descent {index} ends at depth {depth}, paths have {DEPTH_MAX} bits")]
    Depth {
        /// Which descent.
        index: u32,
        /// The depth it names.
        depth: u16,
    },
    /// A descent does not lie to the right of the one before, or one is a prefix of the other.
    #[error("descent {index} is not after descent {} and apart from it", index.wrapping_sub(1))]
    Order {
        /// Which descent.
        index: u32,
    },
    /// The siblings hash to something else than the root.
    #[error("the proof belongs to another root than {root}")]
    Root {
        /// The root expected.
        root: B256,
    },
    /// A descent proves nothing that was claimed.
    #[error("descent {index} proves none of the claims; leave it out")]
    Unused {
        /// Which descent.
        index: u32,
    },
    /// No descent leads to the claimed key.
    #[error("no descent of the proof leads to key path {path}")]
    Uncovered {
        /// The key's path.
        path: B256,
    },
    /// The state holds something else at the key.
    #[error("the state does not hold the claimed value at key path {path}")]
    Value {
        /// The key's path.
        path: B256,
    },
    /// The state holds nothing at the key.
    #[error("key path {path} is claimed to be absent but is present")]
    Present {
        /// The key's path.
        path: B256,
    },
    /// Two claims or two writes name one key.
    #[error("key path {path} is named twice")]
    Duplicate {
        /// The key's path.
        path: B256,
    },
    /// A write goes to a key about which nothing was proven.
    #[error("a write goes to key path {path}, which the witness does not contain")]
    Unproven {
        /// The key's path.
        path: B256,
    },
    /// `nomt-core` refuses to compute the root after the writes.
    #[error("the root after the writes cannot be computed from this proof")]
    Update,
}

/// A well-formed proof about many keys, not checked against a root yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiProof {
    inner: nomt::MultiProof,
}

impl Trie {
    /// Proves the values or the absence of keys, given by their paths in any order.
    pub fn prove(&self, paths: &[KeyPath]) -> MultiProof {
        let mut sorted = paths.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let inner = nomt::MultiProof { paths: Vec::new(), siblings: Vec::new() };
        let mut proof = MultiProof { inner };
        self.walk(&sorted, &mut proof);
        proof
    }
}

impl ProofSink for MultiProof {
    fn sibling(&mut self, hash: [u8; 32]) {
        self.inner.siblings.push(hash);
    }

    fn terminal(&mut self, terminal: Terminal, depth: usize) {
        let terminal = match terminal {
            Terminal::Leaf(key_path, value_hash) => {
                PathProofTerminal::Leaf(LeafData { key_path, value_hash })
            }
            Terminal::Empty(path) => empty_subtree(path, depth as u16),
        };
        self.inner.paths.push(MultiPathProof { terminal, depth });
    }
}

fn empty_subtree(mut path: KeyPath, depth: u16) -> PathProofTerminal {
    if depth == 0 {
        return PathProofTerminal::Terminator(TriePosition::new());
    }
    clear_after(&mut path, usize::from(depth));
    PathProofTerminal::Terminator(TriePosition::from_path_and_depth(path, depth))
}

/// Sets the bits of a path from `depth` on to zero.
fn clear_after(path: &mut KeyPath, depth: usize) {
    if let Some(byte) = path.get_mut(depth / 8) {
        *byte &= !(0xff >> (depth % 8));
    }
    for byte in path.iter_mut().skip(depth / 8 + 1) {
        *byte = 0;
    }
}

/// How many leading bits two paths share.
fn shared_bits(a: &KeyPath, b: &KeyPath) -> usize {
    for (index, (a, b)) in a.iter().zip(b).enumerate() {
        if a != b {
            return index * 8 + (a ^ b).leading_zeros() as usize;
        }
    }
    256
}

/// The path of a descent, zero after its end where it ends in an empty subtree.
fn path_of(terminal: &PathProofTerminal) -> KeyPath {
    match terminal {
        PathProofTerminal::Leaf(leaf) => leaf.key_path,
        PathProofTerminal::Terminator(position) => position.raw_path(),
    }
}

impl MultiProof {
    /// The one encoding of this proof.
    pub fn encode(&self) -> Vec<u8> {
        let nomt::MultiProof { paths, siblings } = &self.inner;
        let mut out = Vec::with_capacity(8 + paths.len() * 66 + siblings.len() * 32);
        put_varint(&mut out, paths.len() as u64);
        for MultiPathProof { terminal, depth } in paths {
            match terminal {
                PathProofTerminal::Leaf(leaf) => {
                    out.extend_from_slice(&(*depth as u16 | LEAF_FLAG).to_le_bytes());
                    out.extend_from_slice(&leaf.key_path);
                    out.extend_from_slice(&leaf.value_hash);
                }
                PathProofTerminal::Terminator(_) => {
                    out.extend_from_slice(&(*depth as u16).to_le_bytes());
                    out.extend_from_slice(&path_of(terminal)[..depth.div_ceil(8)]);
                }
            }
        }
        for sibling in siblings {
            out.extend_from_slice(sibling);
        }
        out
    }

    /// Reads a proof that fills all of `bytes`, which may come from anywhere.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProofError> {
        let mut reader = Reader::new(bytes);
        let count = reader.length("number of descents", PATHS_MAX)?;
        let mut paths = Vec::new();
        // Siblings follow from the forks: each edge of the union of all descents has two ends
        // below one node; an edge's counterpart is an edge too, or a sibling.
        let mut edges = 0usize;
        let mut before: Option<(KeyPath, usize)> = None;
        for index in 0..count {
            let (terminal, depth) = decode_terminal(&mut reader, index)?;
            let path = path_of(&terminal);
            edges += depth;
            if let Some((previous, previous_depth)) = before {
                let shared = shared_bits(&previous, &path);
                if shared >= depth.min(previous_depth) || previous >= path {
                    return Err(ProofError::Order { index });
                }
                // The shared edges are counted once, the two below the fork need no sibling.
                edges -= shared + 2;
            }
            before = Some((path, depth));
            paths.push(MultiPathProof { terminal, depth });
        }
        let mut siblings = Vec::new();
        for _ in 0..edges {
            siblings.push(reader.array::<32>()?);
        }
        reader.finish()?;
        Ok(Self { inner: nomt::MultiProof { paths, siblings } })
    }
}

fn decode_terminal(
    reader: &mut Reader<'_>,
    index: u32,
) -> Result<(PathProofTerminal, usize), ProofError> {
    let head = reader.u16()?;
    let depth = head & !LEAF_FLAG;
    if depth > DEPTH_MAX {
        return Err(ProofError::Depth { index, depth });
    }
    if head & LEAF_FLAG != 0 {
        let leaf = LeafData { key_path: reader.array()?, value_hash: reader.array()? };
        return Ok((PathProofTerminal::Leaf(leaf), usize::from(depth)));
    }
    let bits = reader.take(usize::from(depth).div_ceil(8))?;
    let mut path = [0; 32];
    path[..bits.len()].copy_from_slice(bits);
    let mut canonical = path;
    clear_after(&mut canonical, usize::from(depth));
    if path != canonical {
        return Err(CodecError::Invalid("path of an empty subtree").into());
    }
    Ok((empty_subtree(path, depth), usize::from(depth)))
}

/// Keys with their values or absence, proven against a root.
#[derive(Clone, Debug)]
pub struct VerifiedWitness {
    root: [u8; 32],
    /// The proven keys, ascending.
    keys: Vec<KeyPath>,
    /// Nothing where nothing was claimed.
    proof: Option<VerifiedMultiProof>,
}

impl VerifiedWitness {
    /// Checks an encoded proof of claims (a value hash, or `None` for absent), in any order, each
    /// key once. An empty list of claims is proven by an empty proof, against any root.
    pub fn verify(root: [u8; 32], proof: &[u8], claims: &[Operation]) -> Result<Self, ProofError> {
        let MultiProof { inner } = MultiProof::decode(proof)?;
        let claims = sorted(claims)?;
        let keys: Vec<KeyPath> = claims.iter().map(|claim| claim.0).collect();
        if inner.paths.is_empty() {
            return match keys.first() {
                None => Ok(Self { root, keys, proof: None }),
                Some(path) => Err(ProofError::Uncovered { path: path.into() }),
            };
        }
        let verified =
            nomt::verify_multi_proof::<Sha2Hasher>(&inner, root).map_err(|e| match e {
                // Order and number of siblings hold since decoding.
                MultiProofVerificationError::RootMismatch
                | MultiProofVerificationError::PathsOutOfOrder
                | MultiProofVerificationError::TooManySiblings => {
                    ProofError::Root { root: root.into() }
                }
            })?;
        let mut used = vec![false; inner.paths.len()];
        for (key_path, value) in claims {
            let path = B256::from(key_path);
            let uncovered = |_| ProofError::Uncovered { path };
            let index = verified.find_index_for(&key_path).map_err(uncovered)?;
            used[index] = true;
            match value {
                Some(value_hash) => {
                    let leaf = LeafData { key_path, value_hash };
                    if !verified.confirm_value_with_index(&leaf, index).map_err(uncovered)? {
                        return Err(ProofError::Value { path });
                    }
                }
                None => {
                    let absent = verified.confirm_nonexistence_with_index(&key_path, index);
                    if !absent.map_err(uncovered)? {
                        return Err(ProofError::Present { path });
                    }
                }
            }
        }
        if let Some(index) = used.iter().position(|used| !used) {
            return Err(ProofError::Unused { index: index as u32 });
        }
        Ok(Self { root, keys, proof: Some(verified) })
    }

    /// The root everything was proven against.
    pub fn root(&self) -> [u8; 32] {
        self.root
    }

    /// The root after writes, in any order, each to a proven key and no key twice.
    pub fn verify_update(&self, writes: &[Operation]) -> Result<[u8; 32], ProofError> {
        let writes = sorted(writes)?;
        let mut keys = self.keys.iter();
        for (path, _) in &writes {
            if !keys.by_ref().any(|key| key == path) {
                return Err(ProofError::Unproven { path: path.into() });
            }
        }
        match &self.proof {
            Some(proof) if !writes.is_empty() => {
                nomt::verify_multi_proof_update::<Sha2Hasher>(proof, writes)
                    .map_err(|_| ProofError::Update)
            }
            _ => Ok(self.root),
        }
    }
}

fn sorted(operations: &[(KeyPath, Option<ValueHash>)]) -> Result<Vec<Operation>, ProofError> {
    let mut sorted = operations.to_vec();
    sorted.sort_unstable();
    for pair in sorted.windows(2) {
        if pair[0].0 == pair[1].0 {
            return Err(ProofError::Duplicate { path: pair[0].0.into() });
        }
    }
    Ok(sorted)
}
