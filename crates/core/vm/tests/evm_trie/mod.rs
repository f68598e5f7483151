//! The root of a Merkle-Patricia trie by its definition (Yellow Paper, appendix D).

use crate::evm_common::{list, rlp};
use atoll_types::{B256, keccak256};
use std::collections::BTreeMap;

fn nibbles(key: &[u8]) -> Vec<u8> {
    key.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect()
}

/// The hex-prefix encoding of a part of a key.
fn path(nibbles: &[u8], leaf: bool) -> Vec<u8> {
    let flag = 2 * u8::from(leaf);
    let (first, rest) = match nibbles.len() % 2 {
        0 => (flag << 4, nibbles),
        _ => ((flag + 1) << 4 | nibbles[0], &nibbles[1..]),
    };
    let mut out = vec![first];
    out.extend(rest.chunks(2).map(|pair| pair[0] << 4 | pair[1]));
    out
}

/// A node inside its parent: itself where it is short, else its hash.
fn reference(node: Vec<u8>) -> Vec<u8> {
    if node.len() < 32 { node } else { rlp(&keccak256(node)) }
}

fn node(items: &[(Vec<u8>, &Vec<u8>)], depth: usize) -> Vec<u8> {
    let first = &items[0].0[depth..];
    if let [(_, value)] = items {
        return list(&[rlp(&path(first, true).as_slice()), rlp(&value.as_slice())]);
    }
    // Sorted: what first and last share, all share.
    let last = &items[items.len() - 1].0[depth..];
    let shared = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    if shared > 0 {
        let below = reference(node(items, depth + shared));
        return list(&[rlp(&path(&first[..shared], false).as_slice()), below]);
    }
    let mut children = vec![vec![0x80]; 17];
    for group in items.chunk_by(|a, b| a.0[depth] == b.0[depth]) {
        children[usize::from(group[0].0[depth])] = reference(node(group, depth + 1));
    }
    list(&children)
}

/// The root over keys of equal length.
pub(crate) fn trie_root(items: &BTreeMap<Vec<u8>, Vec<u8>>) -> B256 {
    if items.is_empty() {
        return keccak256([0x80]);
    }
    let items: Vec<_> = items.iter().map(|(key, value)| (nibbles(key), value)).collect();
    keccak256(node(&items, 0))
}
