//! Syncing from another thread than the one that appends.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{At, Result, StorageError};
use crate::fs_util::fault;

/// A place in the log. Positions are ordered as the log is: a record is on disk once a position
/// not before the one that its append returned is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition {
    /// The segment, counted from the first one ever.
    pub segment: u64,
    /// The byte in the segment.
    pub offset: u64,
}

/// Syncs a log without holding up its writer; cheap to clone.
#[derive(Clone, Debug)]
pub struct SyncHandle(pub(super) Arc<Shared>);

impl SyncHandle {
    /// Makes everything appended before the call survive a power cut, and returns how far that
    /// is.
    ///
    /// # Errors
    /// I/O; the log takes no more records then.
    pub fn sync(&self) -> Result<LogPosition> {
        self.0.sync()
    }

    /// The position behind the last append that returned.
    pub fn written(&self) -> LogPosition {
        self.0.written()
    }

    /// The position up to which the log is known to survive a power cut.
    pub fn synced(&self) -> LogPosition {
        self.0.synced()
    }
}

/// What the writer and its sync handles know in common.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    file: Option<(Arc<File>, PathBuf)>,
    written: LogPosition,
    synced: LogPosition,
    failed: Option<&'static str>,
}

impl Shared {
    // No code that can panic runs under the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A segment begins; all of it so far is synced.
    pub(super) fn begin(&self, file: &Arc<File>, path: &Path, segment: u64, offset: u64) {
        let mut state = self.state();
        state.file = Some((Arc::clone(file), path.to_path_buf()));
        state.written = LogPosition { segment, offset };
        state.synced = state.written;
    }

    pub(super) fn advance(&self, offset: u64) {
        self.state().written.offset = offset;
    }

    pub(super) fn written(&self) -> LogPosition {
        self.state().written
    }

    pub(super) fn synced(&self) -> LogPosition {
        self.state().synced
    }

    /// How much of the segment being written is known to be on disk.
    pub(super) fn synced_bytes(&self) -> u64 {
        self.state().synced.offset
    }

    pub(super) fn fail(&self, failed: &'static str) {
        self.state().failed.get_or_insert(failed);
    }

    pub(super) fn check(&self) -> Result<()> {
        let state = self.state();
        match (state.failed, &state.file) {
            (Some(failed), file) => {
                let file = file.as_ref().map(|(_, path)| path.clone()).unwrap_or_default();
                Err(StorageError::LogFailed { file, failed })
            }
            (None, _) => Ok(()),
        }
    }

    pub(super) fn sync(&self) -> Result<LogPosition> {
        self.check()?;
        let (file, path, target) = {
            let state = self.state();
            match &state.file {
                Some((file, path)) if state.synced < state.written => {
                    (Arc::clone(file), path.clone(), state.written)
                }
                _ => return Ok(state.synced),
            }
        };
        let synced = fault::step("sync", &path).and_then(|()| file.sync_data().at("sync", &path));
        if let Err(error) = synced {
            // The system may have dropped the unwritten pages: a second sync would prove nothing.
            self.fail("sync");
            return Err(error);
        }
        let mut state = self.state();
        state.synced = state.synced.max(target);
        Ok(state.synced)
    }
}
