//! Sampling: how a node that holds nothing becomes sure that everything is there.
//!
//! To keep anyone from rebuilding a square that extends k × k shares, at least (k + 1)² of its 4k²
//! must be withheld: more than a quarter (Al-Bassam, Sonnino, Buterin: *Fraud and Data
//! Availability Proofs*, 2018, theorem 1). One share drawn at random is then there with
//! probability below 3/4, and s different ones with probability below (3/4)^s (drawing without
//! replacement only helps). [`samples_for_confidence`] is the least s with (3/4)^s ≤ 2^-bits. A
//! span of several squares can be withheld one square at a time, so each is sampled by itself.

use crate::axis::{Axis, Position};
use crate::error::DaError;
use crate::header::{DaHeader, SquareHeader};
use crate::nmt::{self, DEPTH_MAX, Node};
use crate::share::{Share, leaf_namespace};
use atoll_types::{B256, CodecError, Decode, Encode, Reader};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Bits of confidence beyond which nobody has to ask.
pub const CONFIDENCE_BITS_MAX: u32 = 128;

/// A share and the proof of its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Where it stands.
    pub position: Position,
    /// Whether its row's root or its column's root proves it.
    pub axis: Axis,
    /// The share.
    pub share: Share,
    /// Siblings from the leaf upward.
    pub path: Vec<Node>,
}

impl Sample {
    /// Checks that the share is the one at this position in the span.
    pub fn verify(&self, header: &DaHeader) -> Result<(), DaError> {
        self.verify_in(header.square_at(self.position)?).map(|_| ())
    }

    /// [`Sample::verify`] in a square that holds the position; gives the share's leaf.
    pub(crate) fn verify_in(&self, header: &SquareHeader) -> Result<Node, DaError> {
        let Position { row, column, .. } = self.position;
        let (index, at) = self.axis.line(row, column);
        let namespace = leaf_namespace(header.width(), row, column, &self.share.0);
        let leaf = Node::leaf(namespace, &self.share.0);
        let root = header.root(self.axis, index);
        if root.is_some_and(|root| nmt::verify_leaf(root, header.depth(), at, leaf, &self.path)) {
            Ok(leaf)
        } else {
            Err(DaError::BadProof { row, column, by: self.axis })
        }
    }
}

impl Encode for Sample {
    fn encode(&self, out: &mut Vec<u8>) {
        self.position.encode(out);
        self.axis.encode(out);
        self.share.encode(out);
        put_path(out, &self.path);
    }
}

impl Decode for Sample {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            position: Position::decode(r)?,
            axis: Axis::decode(r)?,
            share: Share::decode(r)?,
            path: get_path(r)?,
        })
    }
}

pub(crate) fn put_path(out: &mut Vec<u8>, path: &[Node]) {
    out.push(path.len() as u8);
    path.iter().for_each(|node| node.encode(out));
}

pub(crate) fn get_path(r: &mut Reader<'_>) -> Result<Vec<Node>, CodecError> {
    let count = r.length("siblings", DEPTH_MAX)?;
    (0..count).map(|_| Node::decode(r)).collect()
}

/// The least number of samples of a square after which data that cannot be rebuilt went unnoticed
/// with a probability of at most 2^-`bits`. `bits` counts up to [`CONFIDENCE_BITS_MAX`].
pub fn samples_for_confidence(bits: u32) -> u32 {
    // (3/4)^s ≤ 2^-bits ⟺ s ≥ bits / log2(4/3). The constant is log2(4/3) = 0.415037499278843…,
    // rounded down, so that s is never too small; a test compares with exact integers.
    const LOG2_4_3: u64 = 415_037_499_278;
    let scaled = u64::from(bits.min(CONFIDENCE_BITS_MAX)) * 1_000_000_000_000;
    scaled.div_ceil(LOG2_4_3) as u32
}

/// Confidence after `samples` samples of a square, in whole bits: data that cannot be rebuilt went
/// unnoticed with a probability of at most 2^-this.
pub fn confidence_bits(samples: u32) -> u32 {
    let bits = (0..=CONFIDENCE_BITS_MAX).take_while(|b| samples_for_confidence(*b) <= samples);
    bits.last().unwrap_or(0)
}

/// Where to sample: `per_square` different positions in each square (all of them, if there are
/// fewer), drawn by SHA-256 from `seed`. The seed must be one that whoever serves the data cannot
/// know in advance: drawn locally, kept until the last answer is in.
pub fn sample_positions(header: &DaHeader, seed: B256, per_square: u32) -> Vec<Position> {
    let mut out = Vec::new();
    for (square, header) in (0u16..).zip(header.squares()) {
        let extended = header.extended_width();
        let cells = u32::from(extended) * u32::from(extended);
        let mut chosen = BTreeSet::new();
        if per_square >= cells {
            chosen.extend(0..cells);
        }
        let mut counter = 0u32;
        while chosen.len() < per_square.min(cells) as usize {
            let digest = Sha256::new()
                .chain_update(seed)
                .chain_update(square.to_le_bytes())
                .chain_update(counter.to_le_bytes())
                .finalize();
            counter += 1;
            // The number of cells is a power of two: the remainder is uniform.
            for word in digest.as_chunks::<4>().0 {
                if chosen.len() < per_square as usize {
                    chosen.insert(u32::from_le_bytes(*word) % cells);
                }
            }
        }
        out.extend(chosen.into_iter().map(|cell| Position {
            square,
            row: (cell / u32::from(extended)) as u16,
            column: (cell % u32::from(extended)) as u16,
        }));
    }
    out
}
