//! Streaming the log, also while another process writes to it.

use std::path::{Path, PathBuf};

use super::Record;
use super::segment::{SegmentReader, Step, list_segments};
use crate::error::{Result, StorageError};

/// Streams the records of a log in order, one in memory at a time.
///
/// As an iterator it ends where the log ends now; a later `next` goes on with what has been
/// written since. After an error it stays at the damaged place.
pub struct LogReader {
    dir: PathBuf,
    from: u64,
    segment: Option<SegmentReader>,
}

impl LogReader {
    /// Opens the log in `dir` for reading from the first record of `slot` or a later one. No lock
    /// is taken.
    ///
    /// # Errors
    /// [`StorageError::LogPruned`] where older segments are gone, damage to a header, or I/O.
    pub fn open(dir: impl AsRef<Path>, slot: u64) -> Result<Self> {
        let dir = dir.as_ref().to_path_buf();
        let mut reader = Self { dir, from: slot, segment: None };
        reader.segment = reader.first_segment()?;
        Ok(reader)
    }

    fn first_segment(&self) -> Result<Option<SegmentReader>> {
        let segments = list_segments(&self.dir)?;
        let index = segments.partition_point(|segment| segment.first_slot <= self.from);
        let Some(first) = segments.get(index.saturating_sub(1)) else { return Ok(None) };
        let reader = SegmentReader::open(&first.path)?;
        if reader.header.first_slot > self.from && reader.header.sequence > 0 {
            let oldest = reader.header.first_slot;
            return Err(StorageError::LogPruned {
                dir: self.dir.clone(),
                wanted: self.from,
                oldest,
            });
        }
        Ok(Some(reader))
    }

    /// The next record, or `None` at the end of what is written.
    ///
    /// # Errors
    /// [`StorageError::LogDamaged`] where the chain of records breaks anywhere but at the very
    /// end, or I/O.
    pub fn next_record(&mut self) -> Result<Option<Record>> {
        loop {
            if self.segment.is_none() {
                self.segment = self.first_segment()?;
            }
            let Some(segment) = &mut self.segment else { return Ok(None) };
            match segment.step()? {
                Step::Record(record) if record.slot < self.from => {}
                Step::Record(record) => return Ok(Some(record)),
                Step::End => {
                    // The writer leaves a segment for good before it creates the next: what the
                    // old one gained between `step` and this listing is read first.
                    let Some(next) = next_segment(&self.dir, segment)? else { return Ok(None) };
                    if let Step::Record(record) = segment.step()? {
                        if record.slot >= self.from {
                            return Ok(Some(record));
                        }
                        continue;
                    }
                    let expected = (segment.header.sequence.saturating_add(1), segment.check);
                    if (next.header.sequence, next.header.previous) != expected {
                        let reason = "records are missing between this segment and the next";
                        return Err(damaged(segment, reason, true));
                    }
                    self.segment = Some(next);
                }
                Step::Bad(reason) => {
                    let survivors = segment.survivors()?;
                    // A segment is synced before the next one is created.
                    let followed = next_segment(&self.dir, segment)?.is_some();
                    if followed || survivors.records > 0 {
                        // A record that was being written a moment ago is whole by now.
                        match segment.step()? {
                            Step::Record(record) if record.slot < self.from => continue,
                            Step::Record(record) => return Ok(Some(record)),
                            Step::End | Step::Bad(_) => {}
                        }
                        let synced = followed || survivors.synced > segment.offset;
                        return Err(damaged(segment, reason, synced));
                    }
                    return Ok(None);
                }
            }
        }
    }
}

impl Iterator for LogReader {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().transpose()
    }
}

fn damaged(segment: &SegmentReader, reason: &'static str, synced: bool) -> StorageError {
    let file = segment.path.clone();
    StorageError::LogDamaged { file, offset: segment.offset, reason, synced }
}

fn next_segment(dir: &Path, segment: &SegmentReader) -> Result<Option<SegmentReader>> {
    let after = segment.header.first_slot;
    let next = list_segments(dir)?.into_iter().find(|next| next.first_slot > after);
    next.map(|next| SegmentReader::open(&next.path)).transpose()
}
