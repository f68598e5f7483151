//! Whether a block's data root covers a blob.
//!
//! A Celestia node proves a blob by one range proof of the namespaced Merkle tree for each row of
//! the square that holds some of its shares. Here the shares are made from the blob, and each
//! proof is held against a row root of the data availability header, whose hash is in the block's
//! header. What the node *says* about the blob (its index, that it is included) is not used.

use crate::layer::LayerError;
use celestia_types::nmt::NamespaceProof;
use celestia_types::{Blob, DataAvailabilityHeader};

/// Checks that the square of `dah` holds all shares of `blob`, one after the other.
pub fn verify_inclusion(
    dah: &DataAvailabilityHeader,
    blob: &Blob,
    proofs: &[NamespaceProof],
) -> Result<(), LayerError> {
    let forged = |what: &str| LayerError::Forged(format!("the proof of a blob {what}"));
    let shares = blob.to_shares().map_err(|error| LayerError::Config(error.to_string()))?;
    // Only the upper half of the rows, and the left half of each, holds data.
    let width = u32::from(dah.square_width() / 2);
    if proofs.is_empty() || proofs.len() > width as usize {
        return Err(forged("has another number of rows than the square"));
    }
    let mut rest = shares.as_slice();
    let mut rows = Vec::new();
    for (index, proof) in proofs.iter().enumerate() {
        let (start, end) = (proof.start_idx(), proof.end_idx());
        let follows = index == 0 || start == 0;
        let leads = index + 1 == proofs.len() || end == width;
        if !proof.is_of_presence() || start >= end || end > width || !follows || !leads {
            return Err(forged("is not of shares that follow each other"));
        }
        let Some((own, later)) = rest.split_at_checked((end - start) as usize) else {
            return Err(forged("is of more shares than the blob has"));
        };
        rows.push((proof, own));
        rest = later;
    }
    if !rest.is_empty() {
        return Err(forged("is of fewer shares than the blob has"));
    }
    let last_first = width + 1 - rows.len() as u32;
    let at = |first: u32| {
        (first..).zip(&rows).all(|(row, (proof, shares))| {
            let root = u16::try_from(row).ok().and_then(|row| dah.row_root(row));
            root.is_some_and(|root| proof.verify_range(&root, shares, *blob.namespace).is_ok())
        })
    };
    match (0..last_first).any(at) {
        true => Ok(()),
        false => Err(forged("is under no row of the block's data root")),
    }
}
