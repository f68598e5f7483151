//! Other data-availability layers behind one port: Celestia and Ethereum's blobs.
//!
//! An embedded node publishes spans itself ([`atoll_da`]). Whoever wants their data to outlive the
//! operator publishes each span to a layer of somebody else's as well, several together where the
//! layer's blocks are slower ([`SpanBatch`]). What is published is the spans' streams, so that whoever retrieves them lays out the very squares whose
//! data root the commitment names ([`matches_root`]): no layer, and no node of one, is trusted for
//! *what* the data is. Whether a layer's chain includes it is checked by proof as far as the
//! layer's node allows; see each adapter for what remains that node's word.
//!
//! | layer | feature | unit | name of the data |
//! | --- | --- | --- | --- |
//! | Celestia | `celestia` | a stream of a span, cut where a transaction is full, under its own namespace | share commitment |
//! | Ethereum | `ethereum-blobs` | the batch's encoding, cut into blobs of 126,951 bytes, six a transaction | versioned hash of the KZG commitment |
//!
//! Both are off by default, and with them everything heavy.
//!
//! # The port
//!
//! [`DataLayer`] is blocking and has no threads: its user owns retries and backoff. A [`Receipt`]
//! is written *before* anything is sent and after each step, so that a process that was killed
//! goes on where it was: [`DataLayer::publish`] with the kept receipt sends the same transaction
//! again, or finds the one that is there.
//!
//! # Known limitations
//!
//! * One transaction at a time waits for its block: some 60 KB/s on Ethereum, 250 KB/s on
//!   Celestia. Who makes more falls behind, and sees it.
//! * Celestia's mempool does not tell what waits in it. A submission whose answer was lost is
//!   looked for in blocks for as long as it could have waited, then made again; one that waited
//!   longer still is paid for twice. Nothing else can happen to it.

mod batch;
#[cfg(feature = "ethereum-blobs")]
pub mod blobs;
#[cfg(feature = "celestia")]
pub mod celestia;
pub mod chunk;
mod layer;
mod receipt;

pub use atoll_da::SpanStreams;
pub use batch::{BATCH_SPANS_MAX, SpanBatch};
pub use layer::{DataLayer, Inclusion, Keep, LayerError, matches_root};
pub use receipt::{
    Attempt, BlobTransaction, Block, Layer, PARTS_MAX, Publication, RECEIPT_VERSION, Receipt,
    Submission, SubmittedBlob,
};
