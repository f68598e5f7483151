//! The trie against NOMT's own construction of the root.

use atoll_state::trie::{KeyPath, Operation, Trie};
use nomt_core::hasher::Sha2Hasher;
use nomt_core::update::build_trie;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Twin = BTreeMap<KeyPath, [u8; 32]>;

fn twin_root(twin: &Twin) -> [u8; 32] {
    build_trie::<Sha2Hasher>(0, twin.iter().map(|(k, v)| (*k, *v)), |_| {})
}

/// Paths that collide often: few of them, and many with long shared prefixes.
fn path() -> impl Strategy<Value = KeyPath> {
    let near = (0usize..256, 0usize..256, any::<bool>()).prop_map(|(a, b, ones)| {
        let mut path = [if ones { 0xff } else { 0 }; 32];
        path[a / 8] ^= 0x80 >> (a % 8);
        path[b / 8] ^= 0x80 >> (b % 8);
        path
    });
    prop_oneof![2 => near, 1 => any::<[u8; 32]>(), 2 => (0u8..32).prop_map(|b| [b * 8; 32])]
}

fn batch() -> impl Strategy<Value = Vec<Operation>> {
    // Deletions and few distinct values, so that some writes change nothing.
    let value = prop_oneof![2 => (0u8..4).prop_map(|b| Some([b; 32])), 1 => Just(None)];
    prop::collection::btree_map(path(), value, 0..60)
        .prop_map(|map| map.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn batches_reach_nomts_root(batches in prop::collection::vec(batch(), 1..12)) {
        let mut trie = Trie::new();
        let mut twin = Twin::new();
        for batch in &batches {
            trie.update(&mut batch.clone());
            for (path, value) in batch {
                match value {
                    Some(value) => twin.insert(*path, *value),
                    None => twin.remove(path),
                };
            }
            prop_assert_eq!(trie.root(), twin_root(&twin));
            prop_assert_eq!(trie.len(), twin.len());
            for (path, _) in batch {
                prop_assert_eq!(trie.get(path), twin.get(path).copied());
            }
        }
        let built = Trie::from_sorted(twin.iter().map(|(k, v)| (*k, *v)));
        prop_assert_eq!(built.root(), trie.root());
        let mut all: Vec<Operation> = twin.keys().map(|path| (*path, None)).collect();
        trie.update(&mut all);
        prop_assert_eq!(trie.root(), [0; 32]);
        prop_assert!(trie.is_empty());
    }
}

#[test]
fn neighbours_at_full_depth() {
    let mut trie = Trie::new();
    let mut high = [0; 32];
    high[31] = 1;
    trie.update(&mut [([0; 32], Some([1; 32])), (high, Some([2; 32]))]);
    let twin = Twin::from([([0; 32], [1; 32]), (high, [2; 32])]);
    assert_eq!(trie.root(), twin_root(&twin));
    trie.update(&mut [(high, None)]);
    assert_eq!(trie.root(), twin_root(&Twin::from([([0; 32], [1; 32])])));
}

#[test]
fn freed_nodes_are_used_again() {
    let keys: Vec<KeyPath> =
        (0..20_000u32).map(|i| atoll_types::sha256(&[&i.to_le_bytes()]).0).collect();
    let mut trie = Trie::new();
    let mut memory = 0;
    for round in 0..6 {
        let mut fill: Vec<Operation> = keys.iter().map(|k| (*k, Some([round; 32]))).collect();
        trie.update(&mut fill);
        // Free lists themselves are there from the second round on.
        if round == 1 {
            memory = trie.memory_bytes();
        } else if round > 1 {
            assert_eq!(trie.memory_bytes(), memory);
        }
        let mut clear: Vec<Operation> = keys.iter().map(|k| (*k, None)).collect();
        trie.update(&mut clear);
        assert_eq!(trie.root(), [0; 32]);
    }
}

#[test]
fn golden_root() {
    let leaves = (0..1000u32).map(|i| {
        let bytes = i.to_le_bytes();
        (atoll_types::sha256(&[&bytes]).0, atoll_types::sha256(&[b"value", &bytes]).0)
    });
    let twin: Twin = leaves.collect();
    let trie = Trie::from_sorted(twin.clone());
    assert_eq!(trie.root(), twin_root(&twin));
    let hex: String = trie.root().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "349d7c27ae1f3743a89dcb877d8a9e3baad0eb6a2433307a9db2cd48f769a338");
}
