//! Spans: the data of consecutive slots, as squares.

use crate::axis::{Axis, Position};
use crate::compress::PART_HEADER_BYTES;
use crate::error::DaError;
use crate::header::{DaHeader, SQUARES_MAX, WIDTH_MAX};
use crate::namespace::{Namespace, Owner};
use crate::sample::Sample;
use crate::share::{capacity_of, put_padding, put_sequence, shares_for};
use crate::square::Square;
use crate::streams::SpanStreams;
use atoll_types::{B256, NetworkId};
use std::collections::BTreeMap;

/// Shares in the widest original square.
pub const SQUARE_SHARES_MAX: u64 = WIDTH_MAX as u64 * WIDTH_MAX as u64;

/// The data of the slots `first_slot..=last_slot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanData {
    /// First slot.
    pub first_slot: u64,
    /// Last slot.
    pub last_slot: u64,
    /// The stream of each owner that has one; owners strictly ascending.
    pub parts: Vec<(Owner, Vec<u8>)>,
}

/// Decides where a span ends: as long as it says so, a span needs one square alone.
#[derive(Clone, Debug, Default)]
pub struct SpanPlan {
    bytes: BTreeMap<Owner, u64>,
}

impl SpanPlan {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a slot with these bytes per owner still fits into the span's one square, however
    /// badly it compresses. A slot that does not even fit into an empty span needs several squares.
    pub fn fits(&self, slot: &[(Owner, u64)]) -> bool {
        self.with(slot).values().map(|bytes| stream_shares(*bytes)).sum::<u64>()
            <= SQUARE_SHARES_MAX
    }

    /// Adds a slot to the span.
    pub fn add(&mut self, slot: &[(Owner, u64)]) {
        self.bytes = self.with(slot);
    }

    /// Starts the next span.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Whether no slot was added since the start.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn with(&self, slot: &[(Owner, u64)]) -> BTreeMap<Owner, u64> {
        let mut bytes = self.bytes.clone();
        for (owner, more) in slot {
            let sum = bytes.entry(*owner).or_default();
            *sum = sum.saturating_add(*more);
        }
        bytes
    }
}

fn stream_shares(bytes: u64) -> u64 {
    shares_for(bytes.saturating_add(PART_HEADER_BYTES as u64))
}

/// A span as squares, with everything that proves its parts.
#[derive(Clone, Debug)]
pub struct EncodedSpan {
    squares: Vec<Square>,
    header: DaHeader,
}

impl EncodedSpan {
    /// Lays out, extends and commits a span of `network`, on up to `threads` threads.
    pub fn encode(network: NetworkId, span: &SpanData, threads: usize) -> Result<Self, DaError> {
        Self::from_streams(network, &SpanStreams::of(span)?, threads)
    }

    /// As [`EncodedSpan::encode`], of parts that are compressed already.
    pub fn from_streams(
        network: NetworkId,
        span: &SpanStreams,
        threads: usize,
    ) -> Result<Self, DaError> {
        let mut streams = Vec::new();
        for (owner, stream) in span.streams() {
            let namespace = Namespace::of(network, *owner)
                .ok_or(DaError::BadSpan("an owner is an environment id that is not one"))?;
            streams.push((namespace, stream.as_slice()));
        }
        let mut squares = Vec::new();
        for original in lay_out(&streams)? {
            squares.push(Square::extend(&original, threads)?);
        }
        Self::from_squares(squares)
    }

    /// The span of these squares, for instance rebuilt ones.
    pub fn from_squares(squares: Vec<Square>) -> Result<Self, DaError> {
        let header = DaHeader::new(squares.iter().map(|s| s.header().clone()).collect())?;
        Ok(Self { squares, header })
    }

    /// The roots.
    pub fn header(&self) -> &DaHeader {
        &self.header
    }

    /// What the commitment names.
    pub fn data_root(&self) -> B256 {
        self.header.data_root()
    }

    /// The squares in order.
    pub fn squares(&self) -> &[Square] {
        &self.squares
    }

    /// The share at a position with its proof under a root of `axis`.
    pub fn sample(&self, position: Position, axis: Axis) -> Result<Sample, DaError> {
        self.header.square_at(position)?;
        let Position { square, row, column } = position;
        self.squares[usize::from(square)].sample(position, axis).ok_or(DaError::OutOfRange {
            square,
            row,
            column,
        })
    }
}

/// The original shares of each square. Streams are cut where a square ends; the rest goes on at
/// the head of the next.
fn lay_out(streams: &[(Namespace, &[u8])]) -> Result<Vec<Vec<u8>>, DaError> {
    let shares: u64 = streams.iter().map(|(_, stream)| shares_for(stream.len() as u64)).sum();
    // Each square that a stream runs through costs it a sequence length: at most a share.
    let max = (SQUARE_SHARES_MAX - 1) * u64::from(SQUARES_MAX);
    if shares > max {
        return Err(DaError::TooLarge { shares, max });
    }
    let mut squares = Vec::new();
    let (mut square, mut used) = (Vec::new(), 0);
    for (namespace, stream) in streams {
        let mut rest = *stream;
        while !rest.is_empty() {
            if used == SQUARE_SHARES_MAX {
                squares.push(std::mem::take(&mut square));
                used = 0;
            }
            let room = capacity_of(SQUARE_SHARES_MAX - used) as usize;
            let (now, later) = rest.split_at(rest.len().min(room));
            put_sequence(&mut square, *namespace, now);
            used += shares_for(now.len() as u64);
            rest = later;
        }
    }
    let mut width = 1;
    while width * width < used {
        width *= 2;
    }
    for _ in used..width * width {
        put_padding(&mut square);
    }
    squares.push(square);
    Ok(squares)
}
