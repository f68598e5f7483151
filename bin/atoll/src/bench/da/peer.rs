//! The same square by `celestia-types`.

use anyhow::{Context, Result, ensure};
use atoll_da::SHARE_BYTES;
use atoll_types::B256;
use celestia_types::{DataAvailabilityHeader, ExtendedDataSquare};
use std::time::Instant;

/// Seconds to extend a square and commit to it; the root must be ours.
pub(super) fn extend(original: &[u8], data_root: B256) -> Result<f64> {
    let shares: Vec<Vec<u8>> = original.chunks_exact(SHARE_BYTES).map(<[u8]>::to_vec).collect();
    let began = Instant::now();
    let square = ExtendedDataSquare::from_ods(shares).ok().context("celestia-types refuses it")?;
    let header = DataAvailabilityHeader::from_eds(&square);
    let hash = header.hash();
    let time = began.elapsed().as_secs_f64();
    ensure!(hash.as_bytes() == data_root.as_slice(), "celestia-types has another root");
    Ok(time)
}
