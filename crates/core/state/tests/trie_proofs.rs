//! Multi-proofs: complete, sound, canonical, and never a panic.

use atoll_state::proof::{MultiProof, ProofError, VerifiedWitness};
use atoll_state::trie::{KeyPath, Operation, Trie};
use nomt_core::hasher::{NodeHasher, Sha2Hasher};
use nomt_core::trie::{InternalData, LeafData};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Twin = BTreeMap<KeyPath, [u8; 32]>;
/// Keys that are read, and for some what is then written.
type Touched = Vec<(KeyPath, Option<Option<[u8; 32]>>)>;

fn path() -> impl Strategy<Value = KeyPath> {
    let near = (0usize..256, 0usize..256).prop_map(|(a, b)| {
        let mut path = [0; 32];
        path[a / 8] ^= 0x80 >> (a % 8);
        path[b / 8] ^= 0x80 >> (b % 8);
        path
    });
    prop_oneof![1 => near, 1 => any::<[u8; 32]>(), 2 => any::<u8>().prop_map(|b| [b; 32])]
}

/// A state, and writes (or mere reads) of keys in it and out of it.
fn scene() -> impl Strategy<Value = (Twin, Touched)> {
    let write = prop_oneof![
        Just(None),
        Just(Some(None)),
        any::<u8>().prop_map(|byte| Some(Some([byte; 32]))),
    ];
    (
        prop::collection::btree_map(path(), any::<[u8; 32]>(), 0..40),
        prop::collection::btree_map(path(), write.clone(), 0..12),
        prop::collection::vec((any::<prop::sample::Index>(), write), 0..20),
    )
        .prop_map(|(twin, mut touched, present)| {
            let keys: Vec<KeyPath> = twin.keys().copied().collect();
            if !keys.is_empty() {
                touched.extend(present.iter().map(|(index, write)| (*index.get(&keys), *write)));
            }
            (twin, touched.into_iter().collect::<Vec<_>>())
        })
        .prop_flat_map(|(twin, touched)| (Just(twin), Just(touched).prop_shuffle()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn proofs_verify_and_update((twin, touched) in scene()) {
        let mut trie = Trie::from_sorted(twin.clone());
        let keys: Vec<KeyPath> = touched.iter().map(|(key, _)| *key).collect();
        let claims: Vec<Operation> =
            keys.iter().map(|key| (*key, twin.get(key).copied())).collect();
        let proof = trie.prove(&keys);
        let bytes = proof.encode();
        prop_assert_eq!(MultiProof::decode(&bytes), Ok(proof));
        let verified = VerifiedWitness::verify(trie.root(), &bytes, &claims).unwrap();

        let mut writes: Vec<Operation> =
            touched.iter().filter_map(|(key, write)| write.map(|value| (*key, value))).collect();
        let after = verified.verify_update(&writes).unwrap();
        trie.update(&mut writes);
        prop_assert_eq!(after, trie.root());
    }

    #[test]
    fn false_claims_are_refused((twin, touched) in scene(), at in any::<prop::sample::Index>()) {
        prop_assume!(!touched.is_empty());
        let trie = Trie::from_sorted(twin.clone());
        let keys: Vec<KeyPath> = touched.iter().map(|(key, _)| *key).collect();
        let honest: Vec<Operation> =
            keys.iter().map(|key| (*key, twin.get(key).copied())).collect();
        let bytes = trie.prove(&keys).encode();
        let at = at.index(honest.len());
        let path = honest[at].0.into();

        let mut claims = honest.clone();
        claims[at].1 = Some([0xab; 32]);
        let refused = VerifiedWitness::verify(trie.root(), &bytes, &claims).unwrap_err();
        prop_assert_eq!(refused, ProofError::Value { path });

        let mut claims = honest.clone();
        claims[at].1 = None;
        let outcome = VerifiedWitness::verify(trie.root(), &bytes, &claims);
        match honest[at].1 {
            Some(_) => prop_assert_eq!(outcome.unwrap_err(), ProofError::Present { path }),
            None => prop_assert!(outcome.is_ok()),
        }

        let mut claims = honest.clone();
        claims.push(honest[at]);
        let refused = VerifiedWitness::verify(trie.root(), &bytes, &claims).unwrap_err();
        prop_assert_eq!(refused, ProofError::Duplicate { path });

        let mut root = trie.root();
        root[31] ^= 1;
        let refused = VerifiedWitness::verify(root, &bytes, &honest).unwrap_err();
        prop_assert_eq!(refused, ProofError::Root { root: root.into() });
    }

    /// Whatever bytes change, the proof shows the same as before or nothing.
    #[test]
    fn damaged_proofs_are_refused(
        (twin, touched) in scene(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let trie = Trie::from_sorted(twin.clone());
        let keys: Vec<KeyPath> = touched.iter().map(|(key, _)| *key).collect();
        let claims: Vec<Operation> =
            keys.iter().map(|key| (*key, twin.get(key).copied())).collect();
        let honest = trie.prove(&keys).encode();
        let mut bytes = honest.clone();
        for (at, flip) in &damage {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(proof) = MultiProof::decode(&bytes) {
            prop_assert_eq!(proof.encode(), bytes.clone());
        }
        let outcome = VerifiedWitness::verify(trie.root(), &bytes, &claims);
        prop_assert_eq!(outcome.is_ok(), bytes == honest);
    }

    /// Consistent proofs of tries that cannot be, against their own root, so that the update runs
    /// on them too.
    #[test]
    fn invented_tries_never_panic(
        choices in prop::collection::vec(any::<u8>(), 1..200),
        ops in prop::collection::btree_map(path(), prop::option::of(Just([7; 32])), 0..10),
    ) {
        let mut invention = Invention { choices, ..Invention::default() };
        let root = invention.subtree([0; 32], 0);
        let bytes = invention.encode();
        prop_assert!(MultiProof::decode(&bytes).is_ok());
        // Claims: every descent needs one.
        let claims = invention.claims.clone();
        let verified = VerifiedWitness::verify(root, &bytes, &claims).unwrap();
        let mut writes: Vec<Operation> = claims.iter().map(|(path, _)| (*path, None)).collect();
        prop_assert!(verified.verify_update(&writes).is_ok());
        for (i, write) in writes.iter_mut().enumerate() {
            write.1 = (i % 2 == 0).then_some([3; 32]);
        }
        prop_assert!(verified.verify_update(&writes).is_ok());
        for (path, _) in ops {
            let _ = verified.verify_update(&[(path, None)]);
        }
    }

    /// Descents that fit together badly or well, with as many siblings as anyone could want.
    #[test]
    fn ill_shaped_proofs_never_panic(
        ends in prop::collection::btree_set((0u8..32, 0u16..8, any::<bool>()), 1..6),
        siblings in 0usize..24,
    ) {
        let mut bytes = vec![ends.len() as u8];
        for (bits, depth, leaf) in &ends {
            if *leaf {
                bytes.extend((depth | 0x8000).to_le_bytes());
                bytes.extend([bits << 3; 32]);
                bytes.extend([9; 32]);
            } else {
                bytes.extend(depth.to_le_bytes());
                let path = u16::from(bits << 3) & !(0xff >> depth);
                bytes.extend((*depth > 0).then_some(path as u8));
            }
        }
        bytes.extend(vec![0x11; siblings * 32]);
        let refused = VerifiedWitness::verify([0; 32], &bytes, &[]).unwrap_err();
        let known = matches!(
            refused,
            ProofError::Codec(_) | ProofError::Order { .. } | ProofError::Root { .. }
                | ProofError::Unused { .. }
        );
        prop_assert!(known, "{refused}");
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = VerifiedWitness::verify([0; 32], &bytes, &[([0; 32], None)]);
    }
}

/// Builds a multi-proof and its root by whim, shape right, contents not.
#[derive(Default)]
struct Invention {
    choices: Vec<u8>,
    at: usize,
    descents: Vec<u8>,
    siblings: Vec<[u8; 32]>,
    claims: Vec<Operation>,
}

impl Invention {
    fn choice(&mut self) -> u8 {
        let choice = self.choices.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        choice
    }

    fn subtree(&mut self, path: KeyPath, depth: u16) -> [u8; 32] {
        let mut right_path = path;
        if depth < 256 {
            right_path[usize::from(depth / 8)] |= 0x80 >> (depth % 8);
        }
        match self.choice() % 8 {
            1..=3 if depth < 256 => {
                let left = self.subtree(path, depth + 1);
                let right = self.subtree(right_path, depth + 1);
                internal(left, right)
            }
            4..=5 if depth < 256 => {
                let sibling = match self.choice() % 3 {
                    0 => [0; 32],
                    1 => [0x11; 32],
                    _ => [0x91; 32],
                };
                self.siblings.push(sibling);
                if self.choice().is_multiple_of(2) {
                    let left = self.subtree(path, depth + 1);
                    internal(left, sibling)
                } else {
                    let right = self.subtree(right_path, depth + 1);
                    internal(sibling, right)
                }
            }
            6 => {
                let mut key_path = path;
                if depth < 248 {
                    key_path[31] = self.choice();
                }
                self.descents.extend((depth | 0x8000).to_le_bytes());
                self.descents.extend(key_path);
                self.descents.extend([9; 32]);
                self.claims.push((key_path, Some([9; 32])));
                Sha2Hasher::hash_leaf(&LeafData { key_path, value_hash: [9; 32] })
            }
            _ => {
                self.descents.extend(depth.to_le_bytes());
                self.descents.extend(&path[..usize::from(depth.div_ceil(8))]);
                self.claims.push((path, None));
                [0; 32]
            }
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        atoll_types::codec::put_varint(&mut bytes, self.claims.len() as u64);
        bytes.extend(&self.descents);
        bytes.extend(self.siblings.as_flattened());
        bytes
    }
}

fn internal(left: [u8; 32], right: [u8; 32]) -> [u8; 32] {
    Sha2Hasher::hash_internal(&InternalData { left, right })
}

#[test]
fn nothing_claimed_is_proven_by_nothing() {
    let trie = Trie::from_sorted([([1; 32], [2; 32])]);
    let bytes = trie.prove(&[]).encode();
    assert_eq!(bytes, [0]);
    let verified = VerifiedWitness::verify(trie.root(), &bytes, &[]).unwrap();
    assert_eq!(verified.verify_update(&[]), Ok(trie.root()));
    let refused = verified.verify_update(&[([1; 32], None)]).unwrap_err();
    assert_eq!(refused, ProofError::Unproven { path: [1; 32].into() });
    let refused = VerifiedWitness::verify(trie.root(), &bytes, &[([1; 32], None)]).unwrap_err();
    assert_eq!(refused, ProofError::Uncovered { path: [1; 32].into() });
}

#[test]
fn a_proof_for_more_than_the_claims_is_refused() {
    let trie = Trie::from_sorted([([0; 32], [2; 32]), ([0xff; 32], [3; 32])]);
    let bytes = trie.prove(&[[0; 32], [0xff; 32]]).encode();
    let refused =
        VerifiedWitness::verify(trie.root(), &bytes, &[([0; 32], Some([2; 32]))]).unwrap_err();
    assert_eq!(refused, ProofError::Unused { index: 1 });
}

#[test]
fn malformed_shapes_have_their_own_errors() {
    let empty_below = |depth: u16, bits: &[u8]| [&depth.to_le_bytes(), bits].concat();
    let two = |a: Vec<u8>, b: Vec<u8>| [vec![2], a, b].concat();
    // A prefix of the other (two ways); out of order; twice.
    for (first, second) in
        [((1, 0), (2, 0x40)), ((1, 0), (2, 0)), ((1, 0x80), (1, 0)), ((1, 0), (1, 0))]
    {
        let bytes = two(empty_below(first.0, &[first.1]), empty_below(second.0, &[second.1]));
        assert_eq!(MultiProof::decode(&bytes), Err(ProofError::Order { index: 1 }));
    }
    let deep = [vec![1], empty_below(257, &[0; 33])].concat();
    assert_eq!(MultiProof::decode(&deep), Err(ProofError::Depth { index: 0, depth: 257 }));
    let stray_bit = [vec![1], empty_below(1, &[0x40])].concat();
    assert!(matches!(MultiProof::decode(&stray_bit), Err(ProofError::Codec(_))));
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(matches!(MultiProof::decode(&huge), Err(ProofError::Codec(_))));
}

#[test]
fn golden_encoding() {
    let trie = Trie::from_sorted([([0x10; 32], [1; 32]), ([0x90; 32], [2; 32])]);
    let sibling = Sha2Hasher::hash_leaf(&LeafData { key_path: [0x90; 32], value_hash: [2; 32] });
    let expected = [&[1u8, 0x01, 0x80][..], &[0x10; 32], &[1; 32], &sibling].concat();
    assert_eq!(trie.prove(&[[0x10; 32]]).encode(), expected);
    // Absence is shown by the leaf that stands in the way, or by an empty subtree.
    assert_eq!(trie.prove(&[[0x11; 32]]).encode(), expected);
    assert_eq!(Trie::new().prove(&[[0x11; 32]]).encode(), [1, 0, 0]);
}
