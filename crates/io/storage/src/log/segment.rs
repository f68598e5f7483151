//! Reading one segment: record after record, and past damage.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::Record;
use super::frame::{FRAME_HEADER, Frame, SEGMENT_HEADER, SegmentHeader};
use crate::error::{At, Result, StorageError};

const BUFFER: usize = 256 << 10;

/// A segment file, by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentFile {
    pub(crate) first_slot: u64,
    pub(crate) path: PathBuf,
}

pub(crate) fn segment_path(dir: &Path, first_slot: u64) -> PathBuf {
    dir.join(format!("{first_slot:020}.log"))
}

/// The segments of a folder, oldest first.
pub(crate) fn list_segments(dir: &Path) -> Result<Vec<SegmentFile>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(dir).at("list", dir)? {
        let name = entry.at("list", dir)?.file_name();
        let slot = name.to_str().and_then(|name| name.strip_suffix(".log"));
        let Some(slot) = slot.filter(|slot| slot.len() == 20) else { continue };
        let Ok(first_slot) = slot.parse() else { continue };
        segments.push(SegmentFile { first_slot, path: segment_path(dir, first_slot) });
    }
    segments.sort_unstable();
    Ok(segments)
}

/// What stands at the reading position of a segment.
pub(crate) enum Step {
    /// A whole record that continues the chain.
    Record(Record),
    /// The end of the file.
    End,
    /// Something else, at the reading position.
    Bad(&'static str),
}

/// Valid records that stand behind a damaged place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survivors {
    /// How many were found; at least 1 if any.
    pub(crate) records: u64,
    /// The highest length that one of them knew to be on disk.
    pub(crate) synced: u64,
}

/// Reads the records of one segment in order.
pub(crate) struct SegmentReader {
    pub(crate) path: PathBuf,
    pub(crate) header: SegmentHeader,
    /// Where the next record begins.
    pub(crate) offset: u64,
    /// The check of the last record read.
    pub(crate) check: u32,
    /// The slot of the last record read, at first the segment's.
    pub(crate) slot: u64,
    file: BufReader<File>,
}

impl SegmentReader {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).at("open", path)?;
        let mut file = BufReader::with_capacity(BUFFER, file);
        let mut bytes = [0; SEGMENT_HEADER as usize];
        let damaged = |reason| StorageError::LogDamaged {
            file: path.into(),
            offset: 0,
            reason,
            synced: true,
        };
        match file.read_exact(&mut bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(damaged("the segment header is cut short"));
            }
            other => other.at("read", path)?,
        }
        let header = SegmentHeader::decode(&bytes).map_err(damaged)?;
        let name = segment_path(Path::new(""), header.first_slot);
        if path.file_name() != name.file_name() {
            return Err(damaged("the first slot is not the one in the file's name"));
        }
        Ok(Self {
            path: path.to_path_buf(),
            header,
            offset: SEGMENT_HEADER,
            check: header.previous,
            slot: header.first_slot,
            file,
        })
    }

    /// Reads on. After `End` or `Bad` the position stays, so that a later call sees what a writer
    /// has added since.
    pub(crate) fn step(&mut self) -> Result<Step> {
        let step = self.try_step().at("read", &self.path)?;
        if !matches!(step, Step::Record(_)) {
            // Seeking drops the buffer: bytes behind it may have been written since.
            self.file.seek(SeekFrom::Start(self.offset)).at("read", &self.path)?;
        }
        Ok(step)
    }

    fn try_step(&mut self) -> std::io::Result<Step> {
        let length = self.file.get_ref().metadata()?.len();
        if length <= self.offset {
            return Ok(Step::End);
        }
        if length - self.offset < FRAME_HEADER {
            return Ok(Step::Bad("the record is cut short"));
        }
        let mut bytes = [0; FRAME_HEADER as usize];
        self.file.read_exact(&mut bytes)?;
        let frame = match Frame::decode(&bytes, self.offset, length) {
            Ok(frame) => frame,
            Err(reason) => return Ok(Step::Bad(reason)),
        };
        // Bounded by the record limit and by the length of the file.
        let mut payload = vec![0; frame.length as usize];
        self.file.read_exact(&mut payload)?;
        let mut hasher = frame.hasher(self.header.hasher());
        hasher.update(&payload);
        if hasher.finalize() != frame.check {
            return Ok(Step::Bad("the record fails its checksum"));
        }
        if frame.previous != self.check {
            return Ok(Step::Bad("the record does not follow the one before it"));
        }
        if frame.slot < self.slot {
            return Ok(Step::Bad("the record's slot is before the last one"));
        }
        self.offset += frame.size();
        self.check = frame.check;
        self.slot = frame.slot;
        Ok(Step::Record(Record { kind: frame.kind, slot: frame.slot, payload }))
    }

    /// Looks for valid records behind the damage at the reading position, at any offset.
    ///
    /// The work is bounded: past sixteen times the file in checksums, the bytes count as records
    /// (they were made to look like some), which is the answer that loses nothing.
    pub(crate) fn survivors(&self) -> Result<Survivors> {
        self.search().at("read", &self.path)
    }

    fn search(&self) -> std::io::Result<Survivors> {
        let mut scan = BufReader::with_capacity(BUFFER, File::open(&self.path)?);
        let mut probe = File::open(&self.path)?;
        let length = scan.get_ref().metadata()?.len();
        let mut found = Survivors::default();
        let mut work_left = length.saturating_mul(16);
        let mut at = self.offset + 1;
        scan.seek(SeekFrom::Start(at))?;
        let mut window = [0; FRAME_HEADER as usize];
        if at + FRAME_HEADER > length {
            return Ok(found);
        }
        scan.read_exact(&mut window)?;
        loop {
            let mut step = 1;
            if let Ok(frame) = Frame::decode(&window, at, length)
                && frame.slot >= self.slot
            {
                if work_left < frame.size() {
                    return Ok(Survivors { records: found.records.max(1), ..found });
                }
                work_left -= frame.size();
                if payload_fits(&mut probe, at, &frame, self.header)? {
                    found.records += 1;
                    found.synced = found.synced.max(frame.synced);
                    step = frame.size();
                }
            }
            at += step;
            if at + FRAME_HEADER > length {
                return Ok(found);
            }
            if step == 1 {
                window.copy_within(1.., 0);
                scan.read_exact(&mut window[FRAME_HEADER as usize - 1..])?;
            } else {
                scan.seek(SeekFrom::Start(at))?;
                scan.read_exact(&mut window)?;
            }
        }
    }
}

fn payload_fits(
    file: &mut File,
    at: u64,
    frame: &Frame,
    header: SegmentHeader,
) -> std::io::Result<bool> {
    file.seek(SeekFrom::Start(at + FRAME_HEADER))?;
    let mut hasher = frame.hasher(header.hasher());
    let mut left = frame.length as usize;
    let mut buffer = [0; 16 << 10];
    while left > 0 {
        let part = &mut buffer[..left.min(16 << 10)];
        file.read_exact(part)?;
        hasher.update(part);
        left -= part.len();
    }
    Ok(hasher.finalize() == frame.check)
}
