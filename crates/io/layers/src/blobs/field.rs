//! Bytes as a blob's field elements: 31 bytes in each of 4096, the first of its 32 bytes zero, so
//! that every element is below the field's modulus. What is left over is zero.

use crate::layer::LayerError;
use alloy_eips::eip4844::{BYTES_PER_BLOB, Blob, FIELD_ELEMENT_BYTES_USIZE};

/// Bytes of ours in one element.
const ELEMENT_BYTES: usize = FIELD_ELEMENT_BYTES_USIZE - 1;
/// Bytes of ours in one blob.
pub const BLOB_CAPACITY: usize = BYTES_PER_BLOB / FIELD_ELEMENT_BYTES_USIZE * ELEMENT_BYTES;

/// The blob that holds `bytes`, at most [`BLOB_CAPACITY`] of them.
pub fn pack(bytes: &[u8]) -> Result<Blob, LayerError> {
    if bytes.len() > BLOB_CAPACITY {
        return Err(LayerError::Config(format!(
            "{} bytes for a blob, which holds {BLOB_CAPACITY}",
            bytes.len()
        )));
    }
    let mut blob = Blob::ZERO;
    for (element, from) in
        blob.chunks_exact_mut(FIELD_ELEMENT_BYTES_USIZE).zip(bytes.chunks(ELEMENT_BYTES))
    {
        element[1..=from.len()].copy_from_slice(from);
    }
    Ok(blob)
}

/// The bytes that a blob holds, with the zeros that fill it up.
pub fn unpack(blob: &Blob) -> Result<Vec<u8>, LayerError> {
    let mut bytes = Vec::with_capacity(BLOB_CAPACITY);
    for element in blob.chunks_exact(FIELD_ELEMENT_BYTES_USIZE) {
        let [0, rest @ ..] = element else {
            return Err(LayerError::Forged("a blob is not packed as ours are".into()));
        };
        bytes.extend_from_slice(rest);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip_and_other_blobs_are_refused() {
        assert_eq!(BLOB_CAPACITY, 126_976);
        for length in [0, 1, 30, 31, 32, 62, 1_000, BLOB_CAPACITY] {
            let bytes: Vec<u8> = (0..length).map(|i| (i % 255) as u8 + 1).collect();
            let blob = pack(&bytes).unwrap();
            let back = unpack(&blob).unwrap();
            assert_eq!((&back[..length], back.len()), (&bytes[..], BLOB_CAPACITY));
            assert!(back[length..].iter().all(|byte| *byte == 0));
        }
        assert!(pack(&[0; BLOB_CAPACITY + 1]).is_err());
        let mut blob = pack(&[1, 2, 3]).unwrap();
        assert_eq!(blob[..5], [0, 1, 2, 3, 0]);
        blob[32] = 1;
        assert!(unpack(&blob).is_err());
    }
}
