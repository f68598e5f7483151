//! The work that every store is given: keys, values and batches of updates, functions of their
//! numbers alone, so that stores in different processes do the same.

use atoll_state::WriteSet;
use std::collections::BTreeSet;

const VALUE_BYTES: usize = 48;

/// SplitMix64's finaliser.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The key with this number.
pub(super) fn key(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// The value that round `round` gives a key; round 0 is the beginning.
pub(super) fn value(index: u64, round: u64) -> [u8; VALUE_BYTES] {
    let mut out = [0; VALUE_BYTES];
    let seed = mix(index) ^ mix(round << 32);
    for (lane, bytes) in (0u64..).zip(out.chunks_exact_mut(8)) {
        bytes.copy_from_slice(&mix(seed.wrapping_add(lane)).to_le_bytes());
    }
    out
}

/// The updates of a round, from 1: `batch` distinct keys, spread evenly over all of them.
pub(super) fn updates(keys: u64, batch: u64, round: u64) -> WriteSet {
    let mut chosen = BTreeSet::new();
    let mut draw = round << 32;
    while (chosen.len() as u64) < batch.min(keys) {
        chosen.insert(mix(draw) % keys);
        draw += 1;
    }
    let mut writes = WriteSet::default();
    for index in chosen {
        writes.push(&key(index), Some(&value(index, round)));
    }
    writes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_differ_and_repeat() {
        let list = |round| -> Vec<(Vec<u8>, Vec<u8>)> {
            let writes = updates(1_000, 100, round);
            writes.iter().map(|(k, v)| (k.to_vec(), v.unwrap_or_default().to_vec())).collect()
        };
        assert_eq!(list(1), list(1));
        assert_ne!(list(1), list(2));
        assert_eq!(list(1).len(), 100);
        assert_eq!(updates(10, 100, 1).len(), 10);
    }
}
