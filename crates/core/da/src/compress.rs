//! Parts as streams: a small header, then the data, compressed.
//!
//! ```text
//! version (1) ‖ compression (1) ‖ first slot (8) ‖ last slot (8) ‖ length (4) ‖ sha256 (32) ‖ data
//! ```
//!
//! `length` and `sha256` are those of the uncompressed data; integers are little-endian. Data
//! that compression does not make smaller are stored; so are those that it makes smaller more
//! than [`RATIO_MAX`] times, because a reader allocates `length` bytes and must not be asked for
//! more than a multiple of what it was sent.
//!
//! Zstandard at level 1: see the table in the crate's documentation.

use crate::error::DaError;
use atoll_types::{B256, CodecError, Reader, sha256};

/// Version of the stream.
pub const PART_VERSION: u8 = 1;
/// Bytes before the data.
pub const PART_HEADER_BYTES: usize = 54;
/// Most uncompressed bytes in a part.
pub const PART_BYTES_MAX: usize = 120 * 1024 * 1024;
/// Uncompressed bytes for each byte of a stream, at most.
pub const RATIO_MAX: usize = 64;

const STORED: u8 = 0;
const ZSTD: u8 = 1;
const ZSTD_LEVEL: i32 = 1;

/// A part, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// First slot of the span it was published in.
    pub first_slot: u64,
    /// Last slot of the span it was published in.
    pub last_slot: u64,
    /// The data.
    pub data: Vec<u8>,
}

impl Part {
    /// The stream of `data`, which must not have more than [`PART_BYTES_MAX`] bytes.
    pub fn stream(first_slot: u64, last_slot: u64, data: &[u8]) -> Vec<u8> {
        let packed = zstd::bulk::compress(data, ZSTD_LEVEL).ok().filter(|packed| {
            packed.len() < data.len() && data.len() <= packed.len().saturating_mul(RATIO_MAX)
        });
        let (compression, body) = match &packed {
            Some(packed) => (ZSTD, packed.as_slice()),
            None => (STORED, data),
        };
        let mut out = Vec::with_capacity(PART_HEADER_BYTES + body.len());
        out.extend_from_slice(&[PART_VERSION, compression]);
        out.extend_from_slice(&first_slot.to_le_bytes());
        out.extend_from_slice(&last_slot.to_le_bytes());
        out.extend_from_slice(&(data.len() as u32).to_le_bytes());
        out.extend_from_slice(sha256(&[data]).as_slice());
        out.extend_from_slice(body);
        out
    }

    /// Reads a stream that came from anywhere.
    pub fn from_stream(stream: &[u8]) -> Result<Self, DaError> {
        let header = Header::read(&mut Reader::new(stream))
            .map_err(|_| DaError::BadPart("its stream is shorter than a header"))?;
        if header.version != PART_VERSION {
            return Err(DaError::BadPart("it has a version that this program does not know"));
        }
        let body = &stream[PART_HEADER_BYTES..];
        let length = header.length as usize;
        if length > PART_BYTES_MAX || length > body.len().saturating_mul(RATIO_MAX) {
            return Err(DaError::BadPart("it claims to be larger than a part may be"));
        }
        let data = match header.compression {
            STORED => body.to_vec(),
            ZSTD => zstd::bulk::decompress(body, length)
                .map_err(|_| DaError::BadPart("it cannot be decompressed to what it claims"))?,
            _ => return Err(DaError::BadPart("it is compressed in an unknown way")),
        };
        if data.len() != length {
            return Err(DaError::BadPart("it has another length than it claims"));
        }
        if sha256(&[&data]) != header.hash {
            return Err(DaError::BadPart("it has another hash than it claims"));
        }
        Ok(Self { first_slot: header.first_slot, last_slot: header.last_slot, data })
    }
}

struct Header {
    version: u8,
    compression: u8,
    first_slot: u64,
    last_slot: u64,
    length: u32,
    hash: B256,
}

impl Header {
    fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            version: r.u8()?,
            compression: r.u8()?,
            first_slot: r.u64()?,
            last_slot: r.u64()?,
            length: r.u32()?,
            hash: r.b256()?,
        })
    }
}
