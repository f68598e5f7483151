//! What is on disk: the slot log, snapshots, the history index and the lock on a data folder.
//!
//! The crate is synchronous and knows bytes only: what a record, a key or a table means is the
//! business of the layers above.
//!
//! | part | role | after SIGKILL | after a power cut |
//! | --- | --- | --- | --- |
//! | [`DataDir`] | one process per folder, one network per folder | the lock is free again | same |
//! | [`Log`] | the truth: every tick and slot, in order | every append that returned is there | every append up to the last sync that returned is there |
//! | [`SnapshotStore`] | where a replay starts | a snapshot is there whole or not at all | same |
//! | [`History`] | derived indexes, rebuilt from the log | at an earlier slot than the log, never between two | same |
//!
//! # Ordering
//! A snapshot of slot *n* may be published once the log is synced past *n*, and the log may be
//! pruned before *n* only once that snapshot is complete. The history index is never ahead of the
//! log as long as only synced slots are committed to it.
//!
//! # Known limitations
//! Checksums (CRC-32, chained) find damage, not forgery: who can write to the folder owns the
//! node. State read from a snapshot is authenticated by recomputing its root.

mod data_dir;
mod error;
mod fs_util;

pub mod history;
pub mod log;
pub mod snapshot;

pub use data_dir::{DataDir, DataDirView, FORMAT_VERSION};
pub use error::{Result, StorageError};

pub use history::{History, HistoryBatch, HistoryOptions, HistoryView, Table};
pub use log::{
    Durability, Log, LogCut, LogOptions, LogPosition, LogReader, Record, RecordRef, SyncHandle,
    UnsyncedDamage,
};
pub use snapshot::{
    LatestSnapshot, Snapshot, SnapshotBuilder, SnapshotFile, SnapshotHeader, SnapshotReader,
    SnapshotStore, SnapshotWriter,
};

/// The identity of a network: a 32-byte hash. Files of one network are refused by another.
pub type Network = [u8; 32];
