//! The bytes of a segment: a header, then framed records.
//!
//! ```text
//! header  magic 8 | version u32 | sequence u64 | first_slot u64 | seed u64 | previous u32 | crc u32
//! record  check u32 | length u32 | kind u8 | slot u64 | synced u64 | previous u32 | payload
//! ```
//! Integers are little-endian. `check` covers the segment's random `seed`, the rest of the frame
//! and the payload, so a record is recognised at any offset, and one of another segment (blocks of
//! a deleted file) never is. `previous` is the check of the record before, across segments: a
//! stale tail, a lost record or a lost segment breaks the chain. `synced` is the length of the
//! segment that had reached the disk when the record was written: it tells damage to bytes that
//! were safe from bytes that a power cut may take.

use crc32fast::Hasher;

/// The largest payload of one record.
pub const RECORD_BYTES_MAX: u64 = 64 << 20;

pub(crate) const SEGMENT_HEADER: u64 = 44;
pub(crate) const FRAME_HEADER: u64 = 29;
const MAGIC: &[u8; 8] = b"ATOLLLOG";
const VERSION: u32 = 1;

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Counts segments from 0 since the log began.
    pub(crate) sequence: u64,
    pub(crate) first_slot: u64,
    pub(crate) seed: u64,
    /// The check of the last record of the segment before; 0 in the first segment.
    pub(crate) previous: u32,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER as usize] {
        let mut out = [0; SEGMENT_HEADER as usize];
        out[..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[12..20].copy_from_slice(&self.sequence.to_le_bytes());
        out[20..28].copy_from_slice(&self.first_slot.to_le_bytes());
        out[28..36].copy_from_slice(&self.seed.to_le_bytes());
        out[36..40].copy_from_slice(&self.previous.to_le_bytes());
        let crc = crc32fast::hash(&out[..40]);
        out[40..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8; SEGMENT_HEADER as usize]) -> Result<Self, &'static str> {
        if &bytes[..8] != MAGIC {
            return Err("the segment header does not begin as one");
        }
        if crc32fast::hash(&bytes[..40]) != u32_at(bytes, 40) {
            return Err("the segment header fails its checksum");
        }
        if u32_at(bytes, 8) != VERSION {
            return Err("the segment has a format that this program does not read");
        }
        Ok(Self {
            sequence: u64_at(bytes, 12),
            first_slot: u64_at(bytes, 20),
            seed: u64_at(bytes, 28),
            previous: u32_at(bytes, 36),
        })
    }

    /// The state in which the check of each record of this segment begins.
    pub(crate) fn hasher(&self) -> Hasher {
        let mut hasher = Hasher::new();
        hasher.update(&self.seed.to_le_bytes());
        hasher
    }
}

/// What precedes a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) check: u32,
    pub(crate) length: u32,
    pub(crate) kind: u8,
    pub(crate) slot: u64,
    pub(crate) synced: u64,
    pub(crate) previous: u32,
}

impl Frame {
    /// Frames a payload (its length is at most [`RECORD_BYTES_MAX`]).
    pub(crate) fn new(
        mut hasher: Hasher,
        (kind, slot): (u8, u64),
        (synced, previous): (u64, u32),
        payload: &[u8],
    ) -> Self {
        debug_assert!(payload.len() as u64 <= RECORD_BYTES_MAX);
        let mut frame =
            Self { check: 0, length: payload.len() as u32, kind, slot, synced, previous };
        hasher.update(&frame.encode()[4..]);
        hasher.update(payload);
        frame.check = hasher.finalize();
        frame
    }

    pub(crate) fn encode(&self) -> [u8; FRAME_HEADER as usize] {
        let mut out = [0; FRAME_HEADER as usize];
        out[..4].copy_from_slice(&self.check.to_le_bytes());
        out[4..8].copy_from_slice(&self.length.to_le_bytes());
        out[8] = self.kind;
        out[9..17].copy_from_slice(&self.slot.to_le_bytes());
        out[17..25].copy_from_slice(&self.synced.to_le_bytes());
        out[25..].copy_from_slice(&self.previous.to_le_bytes());
        out
    }

    /// Reads a frame that may stand at `offset` of a segment of `file_length` bytes. Only the
    /// check, over the payload too, shows whether it truly does.
    pub(crate) fn decode(
        bytes: &[u8; FRAME_HEADER as usize],
        offset: u64,
        file_length: u64,
    ) -> Result<Self, &'static str> {
        let frame = Self {
            check: u32_at(bytes, 0),
            length: u32_at(bytes, 4),
            kind: bytes[8],
            slot: u64_at(bytes, 9),
            synced: u64_at(bytes, 17),
            previous: u32_at(bytes, 25),
        };
        if frame.kind == 0 {
            return Err("unwritten space");
        }
        if u64::from(frame.length) > RECORD_BYTES_MAX {
            return Err("the length is over the limit");
        }
        if frame.synced > offset {
            return Err("the synced length is past the record");
        }
        match offset.checked_add(frame.size()) {
            Some(end) if end <= file_length => Ok(frame),
            _ => Err("the record is longer than the file"),
        }
    }

    /// Frame and payload.
    pub(crate) fn size(&self) -> u64 {
        FRAME_HEADER + u64::from(self.length)
    }

    /// The check as it should be, up to the payload.
    pub(crate) fn hasher(&self, mut seeded: Hasher) -> Hasher {
        seeded.update(&self.encode()[4..]);
        seeded
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut out = [0; 4];
    out.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(out)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut out = [0; 8];
    out.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let header = SegmentHeader { sequence: 2, first_slot: 7, seed: 9, previous: 3 };
        let encoded = header.encode();
        assert_eq!(
            crate::error::hex(&encoded),
            "41544f4c4c4c4f470100000002000000000000000700000000000000\
             0900000000000000030000000f336542"
        );
        let frame = Frame::new(header.hasher(), (1, 7), (44, 3), b"abc");
        assert_eq!(
            crate::error::hex(&frame.encode()),
            "f738994c030000000107000000000000002c0000000000000003000000"
        );
    }

    proptest! {
        #[test]
        fn decoders_take_any_bytes(
            header in proptest::array::uniform32(any::<u8>()),
            tail in proptest::array::uniform12(any::<u8>()),
            offset: u64,
            length: u64,
        ) {
            let mut bytes = [0; SEGMENT_HEADER as usize];
            bytes[..32].copy_from_slice(&header);
            bytes[32..].copy_from_slice(&tail);
            prop_assert!(SegmentHeader::decode(&bytes).is_err());
            let mut frame = [0; FRAME_HEADER as usize];
            frame.copy_from_slice(&header[..FRAME_HEADER as usize]);
            if let Ok(read) = Frame::decode(&frame, offset, length) {
                prop_assert_eq!(read.encode(), frame);
                prop_assert!(offset + read.size() <= length);
            }
        }

        #[test]
        fn headers_round_trip(sequence: u64, first_slot: u64, seed: u64, previous: u32, flip in 0usize..44 * 8) {
            let header = SegmentHeader { sequence, first_slot, seed, previous };
            let mut bytes = header.encode();
            prop_assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
            bytes[flip / 8] ^= 1 << (flip % 8);
            prop_assert!(SegmentHeader::decode(&bytes).is_err());
        }
    }
}
