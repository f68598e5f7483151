//! Sampling of published spans: asking for shares, a bounded number of times each, and believing
//! only what proves itself.

use super::accusation::{self, Accusation};
use super::refusal::{Kind, Refusal};
use crate::gateway::Gateway;
use crate::hub::published::SpanRoot;
use anyhow::{Context, Result};
use atoll_da::{
    DaHeader, Position, Sample, confidence_bits, sample_positions, samples_for_confidence,
};
use atoll_types::{B256, Decode};
use std::time::Duration;

/// Waits between the tries to get something: after the last it counts as withheld.
const WAITS_MS: [u64; 4] = [100, 400, 1_000, 2_000];
/// Longest encoding of a share with its proof that is read.
const SAMPLE_BYTES_MAX: u64 = 4 << 10;
/// Longest encoding of a span's roots that is read: 16 squares of 47 KB.
const ROOTS_BYTES_MAX: u64 = 1 << 20;

/// Asks again until there is an answer. What is never given is withheld.
pub(crate) fn insist<T>(
    what: impl Fn() -> Refusal,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let mut waits = WAITS_MS.iter();
    loop {
        let cause = match ask() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        match (waits.next(), cause) {
            (Some(wait), _) => std::thread::sleep(Duration::from_millis(*wait)),
            (None, Some(error)) => return Err(error.context(what())),
            (None, None) => return Err(what().into()),
        }
    }
}

/// The roots of a slot's span, held against the root committed to.
pub(crate) fn roots(gateway: &Gateway, slot: u64, data_root: B256) -> Result<(DaHeader, usize)> {
    let path = format!("/atoll/da/{slot}");
    let withheld = || {
        let message = format!("the roots of the span of slot {slot} are not given");
        Refusal::new(Kind::Withheld, message).slot(slot)
    };
    let bytes = insist(withheld, || gateway.bytes(&path, ROOTS_BYTES_MAX))?;
    let bad = |why: &str| {
        Refusal::new(Kind::BadShare, format!("the roots of the span of slot {slot} {why}"))
            .slot(slot)
    };
    let header = DaHeader::from_bytes(&bytes).with_context(|| bad("cannot be read"))?;
    if header.data_root() != data_root {
        return Err(bad("are not those committed to").into());
    }
    Ok((header, bytes.len()))
}

/// Fetches shares of one span.
pub(crate) struct Fetch<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) header: &'a DaHeader,
    /// Any slot of it.
    pub(crate) slot: u64,
    /// Bytes of shares and proofs so far.
    pub(crate) bytes: usize,
}

impl Fetch<'_> {
    /// A share that proves itself.
    pub(crate) fn sample(&mut self, position: Position) -> Result<Sample> {
        let Position { square, row, column } = position;
        let slot = self.slot;
        let refuse = |kind, why: &str| {
            let message = format!("slot {slot}: share ({row}, {column}) of square {square} {why}");
            Refusal::new(kind, message).slot(slot).position(position)
        };
        let path = format!("/atoll/da/{slot}/sample?square={square}&row={row}&column={column}");
        let withheld = || refuse(Kind::Withheld, "is not given");
        let bytes = insist(withheld, || self.gateway.bytes(&path, SAMPLE_BYTES_MAX))?;
        self.bytes += bytes.len();
        let bad = |why: &str| refuse(Kind::BadShare, why);
        let sample = Sample::from_bytes(&bytes).with_context(|| bad("cannot be read"))?;
        if sample.position != position {
            return Err(bad("is answered with another share").into());
        }
        sample.verify(self.header).with_context(|| bad("is not the one committed to"))?;
        Ok(sample)
    }
}

/// What sampling a span took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sampled {
    pub(crate) squares: usize,
    pub(crate) samples: usize,
    pub(crate) bytes: usize,
}

/// A seed that whoever serves the shares cannot know.
pub(crate) fn secret_seed() -> B256 {
    B256::from(rand::random::<[u8; 32]>())
}

/// Samples a span until an adversary who withholds enough gets by with a chance below 1 in 2^bits.
/// What samples cannot show, a proof of bad encoding does.
pub(crate) fn sample_span(
    gateway: &Gateway,
    span: &SpanRoot,
    bits: u32,
    accusations: &[Accusation],
) -> Result<Sampled> {
    let slot = span.slots.1;
    let (header, bytes) = roots(gateway, slot, span.data_root)?;
    accusation::judge(accusations, &header, slot)?;
    let positions = sample_positions(&header, secret_seed(), samples_for_confidence(bits));
    let mut fetch = Fetch { gateway, header: &header, slot, bytes };
    for position in &positions {
        fetch.sample(*position)?;
    }
    let squares = header.squares().len();
    Ok(Sampled { squares, samples: positions.len(), bytes: fetch.bytes })
}

/// The confidence that so many bits asked for give, in whole bits.
pub(crate) fn confidence(bits: u32) -> u32 {
    confidence_bits(samples_for_confidence(bits))
}
