//! A span as it is kept on disk and given to other layers: its streams, still compressed.
//!
//! ```text
//! count (varint) ‖ count × ( owner (4, little-endian) ‖ length (varint) ‖ stream )
//! ```
//!
//! Whoever has these bytes lays them out again and gets the very squares whose data root is in the
//! commitment, whatever version of the compressor they run. Bytes that do not decode here are not
//! a span; bytes that do are one only if [`crate::EncodedSpan::from_streams`] gives that root.

use crate::compress::{PART_HEADER_BYTES, PART_VERSION, Part};
use crate::error::DaError;
use crate::header::SQUARES_MAX;
use crate::namespace::Owner;
use crate::span::{SQUARE_SHARES_MAX, SpanData};
use atoll_types::codec::{put_bytes, put_varint};
use atoll_types::{CodecError, Decode, Encode, EnvironmentId, Reader};

/// Most owners of one span.
pub const OWNERS_MAX: u32 = 1 << 16;
/// Most bytes of a span's encoding: what fits into its squares.
pub const SPAN_BYTES_MAX: u64 = SQUARE_SHARES_MAX * SQUARES_MAX as u64 * 512;

/// The streams of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanStreams {
    first_slot: u64,
    last_slot: u64,
    streams: Vec<(Owner, Vec<u8>)>,
}

impl SpanStreams {
    /// Compresses the parts of a span. One without parts has an encoding that is not read back.
    pub fn of(span: &SpanData) -> Result<Self, DaError> {
        let SpanData { first_slot, last_slot, parts } = span;
        if first_slot > last_slot {
            return Err(DaError::BadSpan("its last slot is before its first"));
        }
        let mut streams = Vec::new();
        for (part, (owner, data)) in (0u32..).zip(parts) {
            let (bytes, max) = (data.len() as u64, crate::PART_BYTES_MAX as u64);
            if bytes > max {
                return Err(DaError::PartTooLarge { part, bytes, max });
            }
            streams.push((*owner, Part::stream(*first_slot, *last_slot, data)));
        }
        if streams.is_empty() {
            return Ok(Self { first_slot: *first_slot, last_slot: *last_slot, streams });
        }
        Self::new(streams)
    }

    /// The span of these streams: at least one, owners strictly ascending, all of the same slots.
    pub fn new(streams: Vec<(Owner, Vec<u8>)>) -> Result<Self, DaError> {
        if !streams.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(DaError::BadSpan("its owners are not strictly ascending"));
        }
        let Some((_, first)) = streams.first() else {
            return Err(DaError::BadSpan("it has no streams"));
        };
        let slots = slots_of(first)?;
        if slots.0 > slots.1 {
            return Err(DaError::BadSpan("its last slot is before its first"));
        }
        for (owner, stream) in &streams {
            if owner.id().is_none() {
                return Err(DaError::BadSpan("an owner is an environment id that is not one"));
            }
            if slots_of(stream)? != slots {
                return Err(DaError::BadSpan("its streams are of different slots"));
            }
        }
        Ok(Self { first_slot: slots.0, last_slot: slots.1, streams })
    }

    /// First and last slot.
    pub fn slots(&self) -> (u64, u64) {
        (self.first_slot, self.last_slot)
    }

    /// The stream of each owner, owners ascending.
    pub fn streams(&self) -> &[(Owner, Vec<u8>)] {
        &self.streams
    }

    /// Decompresses the parts, checking each against its own header.
    pub fn data(&self) -> Result<SpanData, DaError> {
        let part = |(owner, stream): &(Owner, Vec<u8>)| {
            Part::from_stream(stream).map(|part| (*owner, part.data))
        };
        let parts = self.streams.iter().map(part).collect::<Result<_, _>>()?;
        Ok(SpanData { first_slot: self.first_slot, last_slot: self.last_slot, parts })
    }
}

/// First and last slot that a stream's header states.
fn slots_of(stream: &[u8]) -> Result<(u64, u64), DaError> {
    if stream.len() < PART_HEADER_BYTES {
        return Err(DaError::BadPart("its stream is shorter than a header"));
    }
    if stream[0] != PART_VERSION {
        return Err(DaError::BadPart("it has a version that this program does not know"));
    }
    let mut r = Reader::new(&stream[2..]);
    let truncated = |_: CodecError| DaError::BadPart("its stream is shorter than a header");
    Ok((r.u64().map_err(truncated)?, r.u64().map_err(truncated)?))
}

impl Encode for SpanStreams {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.streams.len() as u64);
        for (owner, stream) in &self.streams {
            out.extend_from_slice(&owner.id().unwrap_or(u32::MAX).to_le_bytes());
            put_bytes(out, stream);
        }
    }
}

impl Decode for SpanStreams {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut streams = Vec::new();
        for _ in 0..r.length("streams of a span", OWNERS_MAX)? {
            let owner = match r.u32()? {
                u32::MAX => Owner::Headers,
                id => Owner::Environment(EnvironmentId(id)),
            };
            streams.push((owner, r.bytes("stream", u32::MAX)?.to_vec()));
        }
        Self::new(streams).map_err(|_| CodecError::Invalid("streams of a span"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EncodedSpan;
    use atoll_types::{B256, NetworkId, sha256};

    fn span() -> SpanData {
        let owner = |id| Owner::Environment(EnvironmentId(id));
        let parts = vec![
            (owner(1), vec![7; 900]),
            (owner(2), vec![1, 2, 3]),
            (Owner::Headers, vec![9; 40]),
        ];
        SpanData { first_slot: 5, last_slot: 8, parts }
    }

    #[test]
    fn encoding_is_golden_and_gives_the_same_root() {
        let (network, span) = (NetworkId(B256::repeat_byte(0xab)), span());
        let streams = SpanStreams::of(&span).unwrap();
        let bytes = streams.to_bytes();
        let back = SpanStreams::from_bytes(&bytes).unwrap();
        assert_eq!(back, streams);
        assert_eq!((back.slots(), back.data().unwrap()), ((5, 8), span.clone()));
        let stored = SpanStreams::new(vec![(Owner::Headers, streams.streams()[1].1.clone())]);
        let digest = sha256(&[&stored.unwrap().to_bytes()]);
        assert_eq!(
            digest.to_string(),
            "0x6f7727e79f53f2cbca96f865830e542ddf4d4e3d72a4598e93a7b1c7543681aa"
        );
        let direct = EncodedSpan::encode(network, &span, 1).unwrap();
        let rebuilt = EncodedSpan::from_streams(network, &back, 2).unwrap();
        assert_eq!(rebuilt.data_root(), direct.data_root());
    }

    type Streams = Vec<(Owner, Vec<u8>)>;

    #[test]
    fn what_is_not_a_span_is_refused() {
        let streams = SpanStreams::of(&span()).unwrap().streams().to_vec();
        let refused = |change: &dyn Fn(&mut Streams)| {
            let mut changed = streams.clone();
            change(&mut changed);
            assert!(SpanStreams::new(changed.clone()).is_err());
            let bytes = SpanStreams { first_slot: 5, last_slot: 8, streams: changed }.to_bytes();
            assert!(SpanStreams::from_bytes(&bytes).is_err());
        };
        refused(&Vec::clear);
        refused(&|s| s.swap(0, 1));
        refused(&|s| s[1].1[3] ^= 1);
        refused(&|s| s[1].1.truncate(PART_HEADER_BYTES - 1));
        refused(&|s| s[0].1[0] = PART_VERSION + 1);
        let bytes = SpanStreams::of(&span()).unwrap().to_bytes();
        assert!((0..bytes.len()).all(|n| SpanStreams::from_bytes(&bytes[..n]).is_err()));
    }
}
