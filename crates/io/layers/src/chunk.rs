//! Chunks: data cut to what one blob of a layer holds.
//!
//! ```text
//! version (1) ‖ first slot (8) ‖ last slot (8) ‖ index (2) ‖ count (2) ‖ length (4) ‖ data
//! ```
//!
//! Integers are little-endian. The header says where a chunk belongs to whoever has no receipt and
//! only reads a namespace, or the blobs of an account, from end to end.

use crate::layer::LayerError;
use atoll_types::{CodecError, Reader};

/// Version of a chunk.
pub const CHUNK_VERSION: u8 = 1;
/// Bytes before the data.
pub const CHUNK_HEADER_BYTES: usize = 25;
/// Most chunks of one thing.
pub const CHUNKS_MAX: u16 = 4_096;

/// A chunk, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// First and last slot of what it is a chunk of.
    pub slots: (u64, u64),
    /// Which of them it is.
    pub index: u16,
    /// How many there are.
    pub count: u16,
    /// Its data.
    pub data: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// Reads a chunk that fills `bytes`, up to zeros behind it.
    ///
    /// # Errors
    /// Anything that [`cut`] does not write.
    pub fn read(bytes: &'a [u8]) -> Result<Self, LayerError> {
        let forged = |what: &str| LayerError::Forged(format!("a chunk {what}"));
        let short = |_: CodecError| forged("is cut off");
        let mut r = Reader::new(bytes);
        if r.u8().map_err(short)? != CHUNK_VERSION {
            return Err(forged("has a version that this program does not know"));
        }
        let slots = (r.u64().map_err(short)?, r.u64().map_err(short)?);
        let (index, count) = (r.u16().map_err(short)?, r.u16().map_err(short)?);
        let length = r.u32().map_err(short)? as usize;
        let data = r.take(length).map_err(short)?;
        if r.rest().iter().any(|byte| *byte != 0) {
            return Err(forged("is not filled with zeros"));
        }
        if slots.0 > slots.1 || index >= count || count > CHUNKS_MAX {
            return Err(forged("contradicts itself"));
        }
        Ok(Self { slots, index, count, data })
    }
}

/// Cuts data into chunks of at most `bytes_max` bytes, headers included: all full but the last.
///
/// # Errors
/// More than [`CHUNKS_MAX`] chunks, or no room for data.
pub fn cut(slots: (u64, u64), data: &[u8], bytes_max: usize) -> Result<Vec<Vec<u8>>, LayerError> {
    let room = bytes_max.saturating_sub(CHUNK_HEADER_BYTES);
    let bodies: Vec<&[u8]> = match (room, data.is_empty()) {
        (0, _) => return Err(LayerError::Config("a chunk has no room for data".into())),
        (_, true) => vec![data],
        _ => data.chunks(room).collect(),
    };
    let count = u16::try_from(bodies.len()).ok().filter(|count| *count <= CHUNKS_MAX);
    let count = count.ok_or_else(|| {
        LayerError::Config(format!("{} chunks, at most {CHUNKS_MAX} are allowed", bodies.len()))
    })?;
    let chunk = |(index, body): (u16, &[u8])| {
        let mut out = Vec::with_capacity(CHUNK_HEADER_BYTES + body.len());
        out.push(CHUNK_VERSION);
        out.extend_from_slice(&slots.0.to_le_bytes());
        out.extend_from_slice(&slots.1.to_le_bytes());
        out.extend_from_slice(&index.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(body);
        out
    };
    Ok((0u16..).zip(bodies).map(chunk).collect())
}

/// Joins all chunks of a thing, in order.
///
/// # Errors
/// Chunks that are missing, out of order, or of something else.
pub fn join(slots: (u64, u64), chunks: &[Chunk<'_>]) -> Result<Vec<u8>, LayerError> {
    let fits = |(index, chunk): (usize, &Chunk<'_>)| {
        usize::from(chunk.index) == index
            && usize::from(chunk.count) == chunks.len()
            && chunk.slots == slots
    };
    if chunks.is_empty() || !chunks.iter().enumerate().all(fits) {
        return Err(LayerError::Forged("its chunks are not those of one span, in order".into()));
    }
    Ok(chunks.iter().flat_map(|chunk| chunk.data).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_round_trip_at_every_edge_and_are_golden() {
        for length in [0, 1, 4, 5, 6, 9, 10, 11, 50] {
            let data: Vec<u8> = (0..length).collect();
            let chunks = cut((3, 9), &data, CHUNK_HEADER_BYTES + 5).unwrap();
            assert_eq!(chunks.len(), data.len().div_ceil(5).max(1));
            let read: Vec<Chunk<'_>> = chunks.iter().map(|c| Chunk::read(c).unwrap()).collect();
            assert_eq!(join((3, 9), &read).unwrap(), data);
            assert!(join((3, 8), &read).is_err());
            if read.len() > 1 {
                assert!(join((3, 9), &read[1..]).is_err());
                let mut swapped = read.clone();
                swapped.swap(0, 1);
                assert!(join((3, 9), &swapped).is_err());
            }
        }
        let golden = &cut((3, 0x0102), &[7, 8, 9], 27).unwrap()[0];
        assert_eq!(
            golden.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            "0103000000000000000201000000000000000002000200000007 08".replace(' ', "")
        );
    }

    #[test]
    fn what_was_not_cut_here_is_refused() {
        let chunk = cut((3, 9), &[1, 2, 3], 100).unwrap().remove(0);
        assert!((0..chunk.len()).all(|n| Chunk::read(&chunk[..n]).is_err()));
        let padded = [&chunk[..], &[0; 9]].concat();
        assert_eq!(Chunk::read(&padded).unwrap().data, [1, 2, 3]);
        let filled = [&chunk[..], &[0, 1]].concat();
        assert!(Chunk::read(&filled).is_err());
        for at in [0, 8, 18, 20, 24] {
            let mut changed = chunk.clone();
            changed[at] ^= 0x80;
            assert!(Chunk::read(&changed).is_err(), "{at}");
        }
        assert!(cut((1, 1), &[0; 5_000], CHUNK_HEADER_BYTES + 1).is_err());
        assert!(cut((1, 1), &[0; 5], CHUNK_HEADER_BYTES).is_err());
    }
}
