//! Data availability: spans as namespaced shares, extended, committed, sampled, rebuilt, and
//! proven badly encoded.
//!
//! Pure and synchronous: bytes in, bytes out. Shares, squares, trees and data roots are Celestia's
//! (`celestia-types` 1.3 is the reference in the tests), so that a span published by an embedded
//! node and one published to Celestia read the same.
//!
//! # From slots to a root
//!
//! 1. A **span** is the data of consecutive slots ([`SpanData`]): one *part* for each environment
//!    and one for the slot headers. [`SpanPlan`] says when a span is full.
//! 2. Each part becomes a **stream** ([`Part`]): versioned header, hash, Zstandard.
//! 3. Streams become **shares** of 512 bytes under one [`Namespace`] each, one after the other in
//!    namespace order, filled up with tail padding to a square of a power of two, at most 128 ×
//!    128. What does not fit goes on in the span's next square, up to [`SQUARES_MAX`].
//! 4. The square is **extended** to twice its width both ways by a Reed–Solomon code over GF(2⁸)
//!    (Leopard's), and a namespaced Merkle tree over each row and column gives the [`DaHeader`],
//!    whose hash is the **data root** ([`EncodedSpan`]).
//!
//! Nothing that came from elsewhere counts before its header's [`DaHeader::data_root`] was compared
//! with the one in the commitment.
//!
//! # What can be shown
//!
//! | to whom | what | by |
//! | --- | --- | --- |
//! | an environment's reader | all of its part, and nothing left out | [`NamespaceProof`] |
//! | a light client | that the span can be rebuilt, to a stated confidence | [`Sample`] |
//! | whoever holds three quarters | the rest | [`Repair`] |
//! | everybody | that a header is badly encoded | [`BadEncodingProof`] |
//!
//! The scheme is that of Al-Bassam, Sonnino, Buterin: *Fraud and Data Availability Proofs* (2018);
//! the namespaced tree that of Al-Bassam: *LazyLedger* (2019); layouts follow the `celestia-app`
//! specifications "Data Structures", "Shares" and "Namespace".
//!
//! # Limits
//!
//! | what | limit |
//! | --- | --- |
//! | original square | 128 × 128 shares, 8 MiB, of which 7,897,084 bytes are data (one namespace) |
//! | squares of a span | 16 |
//! | uncompressed part | 120 MiB, and 64 × its stream |
//! | roots of a full square | 46 KB in memory; some 28 KB encoded, ≤ 46,595 bytes |
//! | sample of a full square | 784 (lower half) to 987 bytes encoded, ≤ 1,248 |
//! | proof of bad encoding, full square | some 126 KB encoded, ≤ 159,239 bytes |
//! | repair of a full square | 34 MiB, and 0.8 KiB for each share added |
//!
//! A light client holds the roots of one span and one sample at a time: under 64 KiB for a full
//! square. For 20 bits of confidence (one in a million) it asks for 49 samples of a square: 41 KB,
//! and with the header 70 KB for 8 MiB of data. A day costs it (header + samples) × 86,400 ÷ the
//! seconds of a span: 200 MB with full squares every 30 s, whatever is in them.
//!
//! # Compression
//!
//! Measured on 8 MiB of exchange transactions (53,493 of them, 156.8 bytes each, 65 of which are
//! a signature), one thread:
//!
//! | | bytes per transaction | compress | decompress |
//! | --- | --- | --- | --- |
//! | Zstandard, level 1 | 83.8 | 569 MB/s | 1,853 MB/s |
//! | Zstandard, level 3 | 82.0 | 303 MB/s | 2,805 MB/s |
//! | Zstandard, level 9 | 79.6 | 84 MB/s | 3,020 MB/s |
//! | Deflate, level 6 (Rust) | 81.9 | 27 MB/s | 456 MB/s |
//! | LZ4 (Rust) | 92.1 | 652 MB/s | 3,160 MB/s |
//! | Zstandard, fastest (Rust) | 88.5 | 87 MB/s | 606 MB/s |
//!
//! Level 1 it is: what it leaves is mostly signatures, and higher levels buy two per cent for half
//! of the speed.
//!
//! # Known limitations
//!
//! * Blobs are not aligned for Celestia's share commitments (ADR 13): there is no pay-for-blob
//!   transaction in an embedded square that would need one. A square that Celestia lays out is
//!   read through Celestia's own proofs.
//! * A header that is badly encoded can hide shares from a namespace proof (by lying about the
//!   range of a node whose leaves it never serves). That is a bad encoding like any other: whoever
//!   rebuilds the square proves it, and until the time for that has passed a light client has not
//!   finished.
//! * Confidence assumes that the one who serves samples cannot tell who asks and answer one client
//!   alone: clients that ask few samples need many clients asking, so that together they hold
//!   enough to rebuild.
//! * Sampling costs by the span, not by the byte: many small spans are dear to light clients.
//! * The code runs on tables, a byte at a time (`leopard-codec`): about half of the time to extend
//!   and commit. It does not use vector instructions.
//! * The code and the hashes are not for the proof guest: it needs neither.
#![deny(clippy::float_arithmetic, clippy::disallowed_types, clippy::disallowed_methods)]

pub mod axis;
mod code;
pub mod compress;
pub mod error;
pub mod fraud;
pub mod header;
pub mod namespace;
pub mod nmt;
pub mod repair;
pub mod retrieve;
pub mod sample;
pub mod share;
pub mod span;
pub mod square;
pub mod streams;

pub use axis::{Axis, Position};
pub use compress::{PART_BYTES_MAX, Part};
pub use error::DaError;
pub use fraud::{BadEncodingProof, LineShare, NotProven};
pub use header::{DaHeader, SQUARES_MAX, SquareHeader, WIDTH_MAX};
pub use namespace::{Namespace, Owner};
pub use nmt::{Node, Tree};
pub use repair::{Repair, Unrepaired};
pub use retrieve::{NamespaceProof, NamespaceRow};
pub use sample::{Sample, confidence_bits, sample_positions, samples_for_confidence};
pub use share::{SHARE_BYTES, Share};
pub use span::{EncodedSpan, SpanData, SpanPlan};
pub use square::Square;
pub use streams::{SPAN_BYTES_MAX, SpanStreams};
