//! The slot log: an append-only, segmented file of opaque records in slot order.
//!
//! # Promises
//! * [`Log::append`] is one `write`: when it returns, the record survives the death of the
//!   process. With [`Durability::Synced`], or after a later [`SyncHandle::sync`], it survives a
//!   power cut.
//! * A record is there whole or not at all. Opening cuts an interrupted last write and says what
//!   it cut; damage anywhere else is an error that names file and offset. Bytes known to have been
//!   synced are never cut.
//! * A failed write leaves no trace; a failed sync stops the log, because what the system still
//!   holds of it is unknown.
//!
//! # Segments
//! A file is named by its first slot. It ends at the first slot boundary past
//! [`LogOptions::segment_bytes`], is synced, and only then followed by the next one. The time this
//! takes falls on the append that begins the new slot, and is short where slots are synced as they
//! close.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher as _};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod frame;
mod reader;
mod segment;
mod sync;

pub use frame::RECORD_BYTES_MAX;
pub use reader::LogReader;
pub use sync::{LogPosition, SyncHandle};

use crate::error::{At, Result, StorageError};
use crate::fs_util::{self, fault};
use frame::{FRAME_HEADER, Frame, SEGMENT_HEADER, SegmentHeader};
use segment::{SegmentReader, Step, list_segments, segment_path};

/// A record read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is, to the layers above; never 0.
    pub kind: u8,
    /// The slot it belongs to.
    pub slot: u64,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// A record to append.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    /// What it is, to the layers above; never 0.
    pub kind: u8,
    /// The slot it belongs to: not before that of the last record.
    pub slot: u64,
    /// Its bytes, at most [`RECORD_BYTES_MAX`].
    pub payload: &'a [u8],
}

/// What an append that returned survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The death of the process.
    #[default]
    Written,
    /// The death of the machine too.
    Synced,
}

/// What to do at open about damage in bytes that had been written and not known to be synced,
/// with valid records behind it. After a power cut this is what the system had not yet written
/// out; without one it is damage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnsyncedDamage {
    /// Refuse to open: confirmations may have been given for these records.
    #[default]
    Refuse,
    /// Cut the log before the damage and report it.
    Cut,
}

/// How a log is kept.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// The size past which a segment ends at the next slot boundary.
    pub segment_bytes: u64,
    /// What to do about unsynced damage at open.
    pub unsynced_damage: UnsyncedDamage,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, unsynced_damage: UnsyncedDamage::Refuse }
    }
}

/// What opening had to cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogCut {
    /// The segment.
    pub file: PathBuf,
    /// Its length now.
    pub offset: u64,
    /// How many bytes were cut.
    pub bytes: u64,
    /// Whole records among them, behind the damage: 0 for an interrupted last write, more only
    /// under [`UnsyncedDamage::Cut`].
    pub records: u64,
    /// What stood at the offset.
    pub reason: &'static str,
}

/// The writer of a log. One at a time: the caller holds the lock of the data folder.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    options: LogOptions,
    current: Option<Current>,
    last_slot: Option<u64>,
    cut: Option<LogCut>,
    shared: Arc<sync::Shared>,
    buffer: Vec<u8>,
}

/// The segment being written.
#[derive(Debug)]
struct Current {
    path: PathBuf,
    header: SegmentHeader,
    file: Arc<File>,
    length: u64,
    check: u32,
}

/// The append buffer is given back to the system above this size.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

impl Log {
    /// Opens or creates the log in a folder, checking the last segment and cutting an interrupted
    /// last write.
    ///
    /// # Errors
    /// [`StorageError::LogDamaged`] in the last segment, or I/O.
    pub fn open(dir: impl AsRef<Path>, options: LogOptions) -> Result<Self> {
        let dir = dir.as_ref().to_path_buf();
        fs_util::create_dir(&dir)?;
        let mut log = Self {
            dir,
            options,
            current: None,
            last_slot: None,
            cut: None,
            shared: Arc::default(),
            buffer: Vec::new(),
        };
        let mut follower = None;
        while let Some(last) = list_segments(&log.dir)?.pop() {
            let reader = log.check_segment(&last.path, follower)?;
            if reader.offset > SEGMENT_HEADER {
                log.resume(reader)?;
                break;
            }
            // The process died before the first record of the segment: as if never begun.
            fs_util::remove(&last.path)?;
            fs_util::sync_dir(&log.dir)?;
            follower = Some(reader.header);
        }
        Ok(log)
    }

    /// Reads a segment to its end and cuts an interrupted last write. `follower` is the header of
    /// the segment behind it: then nothing may be missing here.
    fn check_segment(
        &mut self,
        path: &Path,
        follower: Option<SegmentHeader>,
    ) -> Result<SegmentReader> {
        let mut reader = SegmentReader::open(path)?;
        let mut bad = loop {
            match reader.step()? {
                Step::Record(record) => self.last_slot = Some(record.slot),
                Step::End => break None,
                Step::Bad(reason) => break Some(reason),
            }
        };
        if follower.is_some_and(|next| next.previous != reader.check) {
            bad = bad.or(Some("records are missing at the end of the segment"));
        }
        let Some(reason) = bad else { return Ok(reader) };
        let found = reader.survivors()?;
        let synced = follower.is_some() || found.synced > reader.offset;
        let refuse = found.records > 0 && self.options.unsynced_damage == UnsyncedDamage::Refuse;
        if synced || refuse {
            let (file, offset) = (path.to_path_buf(), reader.offset);
            return Err(StorageError::LogDamaged { file, offset, reason, synced });
        }
        let file = OpenOptions::new().write(true).open(path).at("open", path)?;
        let length = file.metadata().at("read", path)?.len();
        file.set_len(reader.offset).at("cut", path)?;
        self.cut = Some(LogCut {
            file: path.to_path_buf(),
            offset: reader.offset,
            bytes: length - reader.offset,
            records: found.records,
            reason,
        });
        Ok(reader)
    }

    /// Goes on writing where a checked segment ends.
    fn resume(&mut self, reader: SegmentReader) -> Result<()> {
        let path = reader.path;
        let file = OpenOptions::new().read(true).write(true).open(&path).at("open", &path)?;
        // What the last process wrote without syncing becomes durable before anything is built
        // on it.
        file.sync_all().at("sync", &path)?;
        let (header, length, check) = (reader.header, reader.offset, reader.check);
        let current = Current { path, header, file: Arc::new(file), length, check };
        self.shared.begin(&current.file, &current.path, header.sequence, length);
        self.current = Some(current);
        Ok(())
    }

    /// What opening had to cut off, if anything.
    pub fn cut(&self) -> Option<&LogCut> {
        self.cut.as_ref()
    }

    /// The slot of the last record; `None` in an empty log.
    pub fn last_slot(&self) -> Option<u64> {
        self.last_slot
    }

    /// The first slots of the segments, oldest first.
    ///
    /// # Errors
    /// I/O.
    pub fn segments(&self) -> Result<Vec<u64>> {
        Ok(list_segments(&self.dir)?.into_iter().map(|segment| segment.first_slot).collect())
    }

    /// Appends one record; see [`Log::append_batch`].
    ///
    /// # Errors
    /// See [`Log::append_batch`].
    pub fn append(
        &mut self,
        kind: u8,
        slot: u64,
        payload: &[u8],
        durability: Durability,
    ) -> Result<LogPosition> {
        self.append_batch(&[RecordRef { kind, slot, payload }], durability)
    }

    /// Appends records in one write and returns the position behind them. (In two, where a full
    /// segment ends at a slot boundary among them.) An error means that none is in the log, except
    /// after a failed sync and a failed second write: then the log stops
    /// ([`StorageError::LogFailed`]) and reopening it tells.
    ///
    /// # Errors
    /// [`StorageError::SlotOrder`], [`StorageError::TooLarge`], [`StorageError::ReservedKind`],
    /// [`StorageError::DiskFull`], other I/O, or [`StorageError::LogFailed`].
    pub fn append_batch(
        &mut self,
        records: &[RecordRef<'_>],
        durability: Durability,
    ) -> Result<LogPosition> {
        self.shared.check()?;
        self.check_records(records)?;
        let (before, behind) = records.split_at(self.boundary(records));
        if let Some(first) = before.first() {
            self.rotate(first.slot)?;
            self.write(before)?;
        }
        if let Some(first) = behind.first() {
            let written = self.rotate(first.slot).and_then(|()| self.write(behind));
            if written.is_err() && !before.is_empty() {
                self.shared.fail("write behind a slot boundary");
            }
            written?;
        }
        match durability {
            Durability::Written => Ok(self.shared.written()),
            Durability::Synced => self.shared.sync(),
        }
    }

    /// Where a full segment ends among these records: before the first one of a new slot.
    fn boundary(&self, records: &[RecordRef<'_>]) -> usize {
        let full = self.current.as_ref().is_some_and(|c| self.is_full(c));
        let new = |record: &RecordRef<'_>| self.last_slot.is_none_or(|last| record.slot > last);
        records.iter().position(new).filter(|_| full).unwrap_or(records.len())
    }

    fn is_full(&self, current: &Current) -> bool {
        current.length >= self.options.segment_bytes && current.length > SEGMENT_HEADER
    }

    fn check_records(&self, records: &[RecordRef<'_>]) -> Result<()> {
        // A segment whose first write failed may begin past the last record's slot.
        let first = self.current.as_ref().map(|current| current.header.first_slot);
        let mut last = self.last_slot.max(first);
        let mut total = 0u64;
        for record in records {
            if let Some(last) = last.filter(|last| record.slot < *last) {
                return Err(StorageError::SlotOrder { slot: record.slot, last });
            }
            if record.kind == 0 {
                return Err(StorageError::ReservedKind);
            }
            let bytes = record.payload.len() as u64;
            if bytes > RECORD_BYTES_MAX {
                let (what, limit) = ("a log record", RECORD_BYTES_MAX);
                return Err(StorageError::TooLarge { what, bytes, limit });
            }
            total = total.saturating_add(bytes).saturating_add(FRAME_HEADER);
            last = Some(record.slot);
        }
        let limit = 2 * RECORD_BYTES_MAX;
        if total > limit {
            return Err(StorageError::TooLarge {
                what: "a batch of log records",
                bytes: total,
                limit,
            });
        }
        Ok(())
    }

    /// Begins a new segment where there is none, or where the current one is full and `slot` is
    /// past its last slot.
    fn rotate(&mut self, slot: u64) -> Result<()> {
        let full = match &self.current {
            None => true,
            Some(current) => self.is_full(current) && self.last_slot.is_none_or(|last| slot > last),
        };
        if !full {
            return Ok(());
        }
        self.shared.sync()?;
        let (sequence, previous) = match &self.current {
            None => (0, 0),
            Some(current) => (current.header.sequence + 1, current.check),
        };
        // Not a secret and not part of any state: it only has to differ from segment to segment.
        let seed = std::hash::RandomState::new().build_hasher().finish();
        let header = SegmentHeader { sequence, first_slot: slot, seed, previous };
        let path = segment_path(&self.dir, slot);
        let begun = fs_util::write_atomically(&path, &header.encode())
            .and_then(|()| OpenOptions::new().read(true).write(true).open(&path).at("open", &path));
        // It may or may not be in the folder now; opening the log again tells.
        let file = Arc::new(begun.inspect_err(|_| self.shared.fail("begin of a segment"))?);
        self.shared.begin(&file, &path, sequence, SEGMENT_HEADER);
        self.current =
            Some(Current { path, header, file, length: SEGMENT_HEADER, check: previous });
        Ok(())
    }

    fn write(&mut self, records: &[RecordRef<'_>]) -> Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let synced = self.shared.synced_bytes();
        let hasher = current.header.hasher();
        let mut check = current.check;
        self.buffer.clear();
        for record in records {
            let place = (synced, check);
            let frame =
                Frame::new(hasher.clone(), (record.kind, record.slot), place, record.payload);
            check = frame.check;
            self.buffer.extend_from_slice(&frame.encode());
            self.buffer.extend_from_slice(record.payload);
        }
        let file = &mut &*current.file;
        let written = fault::step("write", &current.path)
            .and_then(|()| file.seek(SeekFrom::Start(current.length)).at("write", &current.path))
            .and_then(|_| file.write_all(&self.buffer).at("write", &current.path));
        if let Err(error) = written {
            // Part of it may be in the file: take it back, or take nothing more.
            if current.file.set_len(current.length).is_err() {
                self.shared.fail("write");
            }
            return Err(error);
        }
        current.length += self.buffer.len() as u64;
        current.check = check;
        self.last_slot = records.last().map(|record| record.slot);
        self.shared.advance(current.length);
        if self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// A handle that syncs the log from another thread.
    pub fn sync_handle(&self) -> SyncHandle {
        SyncHandle(Arc::clone(&self.shared))
    }

    /// Streams records from the first one of `slot` or a later slot.
    ///
    /// # Errors
    /// See [`LogReader::open`].
    pub fn iter_from(&self, slot: u64) -> Result<LogReader> {
        LogReader::open(&self.dir, slot)
    }

    /// Removes the segments whose records are all of slots before `slot`, and returns how many.
    /// The last segment stays.
    ///
    /// # Errors
    /// I/O. What was removed before it stays removed; the rest of the log is whole.
    pub fn prune_before(&mut self, slot: u64) -> Result<usize> {
        let segments = list_segments(&self.dir)?;
        let mut removed = 0;
        // Oldest first, so that what is left is a suffix wherever this stops.
        for pair in segments.windows(2) {
            if pair[1].first_slot > slot {
                break;
            }
            fs_util::remove(&pair[0].path)?;
            removed += 1;
        }
        if removed > 0 {
            fs_util::sync_dir(&self.dir)?;
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests;
