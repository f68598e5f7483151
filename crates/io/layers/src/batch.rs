//! Batches: consecutive spans that are published together.
//!
//! ```text
//! count (varint) ‖ count × ( length (varint) ‖ span )
//! ```
//!
//! A layer's blocks may be slower than spans are made; what came meanwhile goes into the next
//! transaction together.

use crate::layer::LayerError;
use atoll_da::SpanStreams;
use atoll_types::codec::{put_bytes, put_varint};
use atoll_types::{CodecError, Decode, Encode, Reader};

/// Most spans in one batch.
pub const BATCH_SPANS_MAX: u32 = 1_024;

/// Consecutive spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanBatch(Vec<SpanStreams>);

impl SpanBatch {
    /// The batch of these spans: at least one, each beginning where the one before ends.
    ///
    /// # Errors
    /// Spans that are not.
    pub fn new(spans: Vec<SpanStreams>) -> Result<Self, LayerError> {
        let follow =
            |pair: &[SpanStreams]| pair[0].slots().1.checked_add(1) == Some(pair[1].slots().0);
        let fits = (1..=BATCH_SPANS_MAX as usize).contains(&spans.len());
        match fits && spans.windows(2).all(follow) {
            true => Ok(Self(spans)),
            false => Err(LayerError::Config("a batch is of 1 to 1024 consecutive spans".into())),
        }
    }

    /// The spans in order.
    pub fn spans(&self) -> &[SpanStreams] {
        &self.0
    }

    /// First and last slot.
    pub fn slots(&self) -> (u64, u64) {
        let first = self.0.first().map_or(0, |span| span.slots().0);
        (first, self.0.last().map_or(0, |span| span.slots().1))
    }
}

impl From<SpanStreams> for SpanBatch {
    fn from(span: SpanStreams) -> Self {
        Self(vec![span])
    }
}

impl Encode for SpanBatch {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        self.0.iter().for_each(|span| put_bytes(out, &span.to_bytes()));
    }
}

impl Decode for SpanBatch {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut spans = Vec::new();
        for _ in 0..r.length("spans of a batch", BATCH_SPANS_MAX)? {
            spans.push(SpanStreams::from_bytes(r.bytes("span of a batch", u32::MAX)?)?);
        }
        Self::new(spans).map_err(|_| CodecError::Invalid("spans of a batch"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_da::{Owner, SpanData};

    fn span(first_slot: u64) -> SpanStreams {
        let parts = vec![(Owner::Headers, vec![first_slot as u8; 3])];
        SpanStreams::of(&SpanData { first_slot, last_slot: first_slot + 9, parts }).unwrap()
    }

    #[test]
    fn batches_round_trip_and_gaps_are_refused() {
        let batch = SpanBatch::new(vec![span(1), span(11), span(21)]).unwrap();
        assert_eq!(batch.slots(), (1, 30));
        let bytes = batch.to_bytes();
        assert_eq!(SpanBatch::from_bytes(&bytes).unwrap(), batch);
        assert!((0..bytes.len()).all(|n| SpanBatch::from_bytes(&bytes[..n]).is_err()));
        for wrong in [vec![], vec![span(1), span(12)], vec![span(11), span(1)]] {
            assert!(SpanBatch::new(wrong.clone()).is_err());
            assert!(SpanBatch::from_bytes(&SpanBatch(wrong).to_bytes()).is_err());
        }
    }
}
