//! Other data-availability layers behind one port: Celestia and Ethereum's blobs.
//!
//! An embedded node publishes spans itself ([`atoll_da`]). Whoever wants their data to outlive the
//! operator publishes each span to a layer of somebody else's as well. What is published is the
//! span's streams ([`SpanStreams`]), so that whoever retrieves them lays out the very squares whose
//! data root the commitment names ([`matches_root`]): no layer, and no node of one, is trusted for
//! *what* the data is. Whether a layer's chain includes it is checked by proof as far as the
//! layer's node allows; see each adapter for what remains that node's word.
//!
//! | layer | feature | unit | name of the data |
//! | --- | --- | --- | --- |
//! | Celestia | `celestia` | a stream, cut where a transaction is full, under the stream's own namespace | share commitment |
//! | Ethereum | `ethereum-blobs` | the whole encoding, cut into blobs of 126,951 bytes, six a transaction | versioned hash of the KZG commitment |
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
//! * One transaction at a time waits for its block. A layer whose blocks are slower than spans are
//!   large falls behind; its user sees the backlog.
//! * Celestia's mempool does not tell what waits in it. A submission whose answer was lost is
//!   looked for in [`celestia` blocks](Receipt) for as long as it could have waited, then made
//!   again; one that waited longer still is paid for twice. Nothing else can happen to it.

#[cfg(feature = "ethereum-blobs")]
pub mod blobs;
#[cfg(feature = "celestia")]
pub mod celestia;
pub mod chunk;
mod layer;
mod receipt;

pub use atoll_da::SpanStreams;
pub use layer::{DataLayer, Inclusion, Keep, LayerError, matches_root};
pub use receipt::{
    Attempt, BlobTransaction, Block, Layer, PARTS_MAX, Publication, RECEIPT_VERSION, Receipt,
    Submission, SubmittedBlob,
};
