//! Spans to publish, and what keeps receipts.
#![allow(dead_code)]

use atoll_da::{EncodedSpan, Owner, SpanData, SpanStreams};
use atoll_layers::{LayerError, Receipt, SpanBatch, matches_root};
use atoll_types::{B256, Decode, Encode, EnvironmentId, NetworkId};

pub(crate) const NETWORK: NetworkId = NetworkId(B256::repeat_byte(0x5a));

/// Bytes that nothing compresses.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn one(first_slot: u64, bytes: usize) -> SpanData {
    let owner = |id| Owner::Environment(EnvironmentId(id));
    SpanData {
        first_slot,
        last_slot: first_slot + 24,
        parts: vec![
            (owner(1), noise(first_slot, bytes)),
            (owner(2), noise(first_slot + 7, 300)),
            (Owner::Headers, noise(first_slot + 8, 2_000)),
        ],
    }
}

/// Two spans of two environments and headers, the first with about `bytes` bytes, and its root.
pub(crate) fn batch(first_slot: u64, bytes: usize) -> (SpanBatch, B256) {
    let data = [one(first_slot, bytes), one(first_slot + 25, 500)];
    let root = EncodedSpan::encode(NETWORK, &data[0], 2).unwrap().data_root();
    let spans = data.iter().map(|data| SpanStreams::of(data).unwrap()).collect();
    (SpanBatch::new(spans).unwrap(), root)
}

/// Whether the first span of a batch has this root.
pub(crate) fn has_root(batch: &SpanBatch, root: B256) -> bool {
    matches_root(NETWORK, &batch.spans()[0], root).unwrap()
}

/// Keeps receipts as bytes, as a file would; "loses power" after some.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) last: Option<Vec<u8>>,
    pub(crate) times: usize,
    pub(crate) dies_after: Option<usize>,
}

impl Kept {
    pub(crate) fn keep(&mut self, receipt: &Receipt) -> Result<(), LayerError> {
        self.last = Some(receipt.to_bytes());
        self.times += 1;
        match self.dies_after {
            Some(times) if self.times >= times => Err(LayerError::Keep("no power".into())),
            _ => Ok(()),
        }
    }

    pub(crate) fn receipt(&self) -> Receipt {
        Receipt::from_bytes(self.last.as_ref().expect("something was kept")).unwrap()
    }
}
