//! The errors of the crate, each with what was wrong, where, and what to do next.

use std::io;
use std::path::{Path, PathBuf};

/// The result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, StorageError>;

/// What can go wrong on disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Another process holds the lock of the data folder.
    #[error(
        "data folder {} is in use by another atoll process{}: stop that process, or name \
         another folder with --data-dir",
        path.display(),
        pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    )]
    AlreadyInUse {
        /// The data folder.
        path: PathBuf,
        /// The process that holds it, where it could be read.
        pid: Option<u32>,
    },
    /// The data folder belongs to another network.
    #[error(
        "data folder {} belongs to network {}, not to {} (a network is its name and its specs to \
         the letter): start over with --reset, or name another folder with --data-dir",
        path.display(),
        hex(found),
        hex(expected)
    )]
    WrongNetwork {
        /// The data folder.
        path: PathBuf,
        /// The network in the folder.
        found: [u8; 32],
        /// The network that was asked for.
        expected: [u8; 32],
    },
    /// The data folder was written by a newer program.
    #[error(
        "data folder {} has format {found}, and this program reads formats up to {supported}: \
         run the newer atoll, start over with --reset, or name another folder with --data-dir",
        path.display()
    )]
    NewerFormat {
        /// The data folder.
        path: PathBuf,
        /// The format in the folder.
        found: u32,
        /// The newest format this program reads.
        supported: u32,
    },
    /// The folder holds something else, or its format file cannot be understood.
    #[error(
        "{} is not an atoll data folder ({reason}): name an empty or new folder with --data-dir",
        path.display()
    )]
    NotADataDir {
        /// The folder.
        path: PathBuf,
        /// What gave it away.
        reason: String,
    },
    /// The disk, or the user's share of it, is full.
    #[error("no space left on disk to {action} {}: free some space and restart", path.display())]
    DiskFull {
        /// What was being done.
        action: &'static str,
        /// On which file.
        path: PathBuf,
    },
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A record of the log is damaged and cannot be explained by an interrupted write.
    #[error(
        "the log is damaged in {} at byte {offset}: {reason} ({}): restore the file from a copy, \
         or start from a snapshot past it",
        file.display(),
        if *synced {
            "these bytes had been synced to disk"
        } else {
            "written, and not known to have been synced; accepting unsynced loss cuts the log here"
        }
    )]
    LogDamaged {
        /// The segment.
        file: PathBuf,
        /// The first byte of the damaged record.
        offset: u64,
        /// What does not fit.
        reason: &'static str,
        /// A later record proves that these bytes had reached the disk.
        synced: bool,
    },
    /// The log no longer reaches back to the wanted slot.
    #[error(
        "the log in {} starts at slot {oldest}, and slot {wanted} was asked for: older slots were \
         pruned; start from a snapshot",
        dir.display()
    )]
    LogPruned {
        /// The folder of the log.
        dir: PathBuf,
        /// The slot that was asked for.
        wanted: u64,
        /// The oldest slot there is.
        oldest: u64,
    },
    /// A record was appended with a slot before the last one.
    #[error("a record of slot {slot} cannot follow one of slot {last}: append in slot order")]
    SlotOrder {
        /// The refused slot.
        slot: u64,
        /// The slot of the last record.
        last: u64,
    },
    /// Something is larger than the format allows.
    #[error("{what} of {bytes} bytes is over the limit of {limit}: split it")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Kind 0 marks unwritten space and cannot be a record's.
    #[error("record kind 0 is reserved for unwritten space: use 1 to 255")]
    ReservedKind,
    /// An earlier failure left the log in doubt; it takes no more records.
    #[error(
        "the log {} took no more records after a failed {failed}: restart, so that the log is \
         read back from disk",
        file.display()
    )]
    LogFailed {
        /// The segment.
        file: PathBuf,
        /// Which operation failed.
        failed: &'static str,
    },
    /// A snapshot file is damaged.
    #[error(
        "snapshot file {} is damaged: {reason}: use an earlier snapshot, or replay the log",
        file.display()
    )]
    SnapshotDamaged {
        /// The file.
        file: PathBuf,
        /// What does not fit.
        reason: &'static str,
    },
    /// A complete snapshot of the slot exists already.
    #[error("a complete snapshot of slot {slot} exists already: nothing to do")]
    SnapshotExists {
        /// The slot.
        slot: u64,
    },
    /// There is no complete snapshot of the slot, or it lacks the environment.
    #[error("no complete snapshot of slot {slot}{} in {}: list the snapshots first",
        environment.map(|id| format!(" for environment {id}")).unwrap_or_default(), dir.display())]
    SnapshotMissing {
        /// The folder of snapshots.
        dir: PathBuf,
        /// The slot.
        slot: u64,
        /// The environment, where only that is missing.
        environment: Option<u32>,
    },
    /// Keys were given to a snapshot out of path order, or twice.
    #[error(
        "key {} does not follow its predecessor in path order: sort by path, once each",
        hex(key)
    )]
    SnapshotOrder {
        /// The refused key (its first bytes).
        key: Vec<u8>,
    },
    /// The history index failed.
    #[error(
        "cannot {action} the history index {}: {reason}: if it stays, delete the file; it is \
         rebuilt from the log",
        file.display()
    )]
    History {
        /// What was being done.
        action: &'static str,
        /// The index file.
        file: PathBuf,
        /// What the embedded database said.
        reason: String,
    },
    /// A batch was committed for a slot before the indexed one.
    #[error("slot {slot} cannot be indexed after slot {indexed}: clear the index to rebuild it")]
    HistoryOrder {
        /// The refused slot.
        slot: u64,
        /// The slot that the index has reached.
        indexed: u64,
    },
}

/// Gives an I/O error its place.
pub(crate) trait At<T> {
    /// Says what was being done, and on which file.
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| io_error(action, path, source))
    }
}

/// Tells a full disk from other I/O errors.
pub(crate) fn io_error(action: &'static str, path: &Path, source: io::Error) -> StorageError {
    let path = path.to_path_buf();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StorageError::DiskFull { action, path }
        }
        _ => StorageError::Io { action, path, source },
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
