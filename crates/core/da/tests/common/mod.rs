//! Spans to test with.
#![allow(dead_code, unreachable_pub)]

use atoll_da::{Axis, EncodedSpan, Node, Owner, Position, SHARE_BYTES, Sample, Share, SpanData};
use atoll_da::{SquareHeader, Tree, share};
use atoll_types::{B256, EnvironmentId, NetworkId, sha256};

pub const NETWORK: NetworkId = NetworkId(B256::repeat_byte(0x5a));

/// Bytes that no compressor makes smaller.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}

/// So many random cases; the tests run in folders that are not theirs to write into.
pub fn cases(cases: u32) -> proptest::test_runner::Config {
    proptest::test_runner::Config { cases, failure_persistence: None, ..Default::default() }
}

pub fn environment(id: u32) -> Owner {
    Owner::Environment(EnvironmentId(id))
}

/// A span whose parts are noise of these lengths, for environments 0, 2, 4, …, and headers.
pub fn span(seed: u64, lengths: &[usize]) -> SpanData {
    let mut parts: Vec<(Owner, Vec<u8>)> = (0u32..)
        .zip(lengths)
        .map(|(i, length)| (environment(2 * i), noise(seed + u64::from(i), *length)))
        .collect();
    parts.push((Owner::Headers, noise(seed ^ 99, 700)));
    SpanData { first_slot: 10, last_slot: 59, parts }
}

pub fn encode(span: &SpanData) -> EncodedSpan {
    EncodedSpan::encode(NETWORK, span, 1).unwrap()
}

/// A span of one square that is `width` originals wide.
pub fn span_of_width(seed: u64, width: u16) -> EncodedSpan {
    let shares = usize::from(width) * usize::from(width);
    if width == 1 {
        return encode(&SpanData { first_slot: 1, last_slot: 1, parts: Vec::new() });
    }
    let each = (shares * 482 / 2).saturating_sub(900).max(1);
    let parts = vec![(environment(1), noise(seed, each)), (environment(5), noise(!seed, each))];
    let encoded = encode(&SpanData { first_slot: 1, last_slot: 9, parts });
    assert_eq!(encoded.header().squares()[0].width(), width);
    encoded
}

pub fn at(row: u16, column: u16) -> Position {
    Position { square: 0, row, column }
}

pub fn hash_of(bytes: &[u8]) -> String {
    format!("{}", sha256(&[bytes]))
}

/// A square made by whoever likes: any shares, and a header that commits to them as they are.
#[derive(Clone)]
pub struct Forged {
    pub width: u16,
    pub shares: Vec<[u8; SHARE_BYTES]>,
}

impl Forged {
    pub fn from(span: &EncodedSpan) -> Self {
        let square = &span.squares()[0];
        let extended = square.extended_width();
        let cells = (0..extended).flat_map(|row| (0..extended).map(move |column| (row, column)));
        let shares = cells.map(|(row, column)| *square.share(row, column).unwrap()).collect();
        Self { width: square.width(), shares }
    }

    pub fn extended(&self) -> u16 {
        2 * self.width
    }

    pub fn share(&mut self, row: u16, column: u16) -> &mut [u8; SHARE_BYTES] {
        let index = usize::from(row) * usize::from(self.extended()) + usize::from(column);
        &mut self.shares[index]
    }

    pub fn tree(&self, axis: Axis, index: u16) -> Option<Tree> {
        let leaves: Vec<Node> = (0..self.extended())
            .map(|position| {
                let (row, column) = axis.cell(index, position);
                let cell = usize::from(row) * usize::from(self.extended()) + usize::from(column);
                let share = &self.shares[cell];
                Node::leaf(share::leaf_namespace(self.width, row, column, share), share)
            })
            .collect();
        Tree::new(&leaves)
    }

    pub fn roots(&self, axis: Axis) -> Vec<Node> {
        (0..self.extended()).map(|index| self.tree(axis, index).unwrap().root()).collect()
    }

    pub fn header(&self) -> SquareHeader {
        SquareHeader::new(self.roots(Axis::Row), self.roots(Axis::Column)).unwrap()
    }

    pub fn sample(&self, row: u16, column: u16, axis: Axis) -> Sample {
        let cell = usize::from(row) * usize::from(self.extended()) + usize::from(column);
        let (index, position) = axis.line(row, column);
        let path = self.tree(axis, index).unwrap().path(position);
        Sample { position: at(row, column), axis, share: Share(self.shares[cell]), path }
    }
}
