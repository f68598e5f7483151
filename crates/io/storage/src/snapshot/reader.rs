//! Reading one file of a snapshot.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::format::{
    self, BLOCK_BYTES_MAX, BLOCK_HEADER, FIXED_HEADER, FOOTER, Fields, SnapshotFile, SnapshotHeader,
};
use crate::Network;
use crate::error::{At, Result, StorageError};

/// Streams the keys of one environment in path order, a block in memory at a time.
///
/// Every key comes from a block whose checksum holds; that none is missing is known only when the
/// end has been reached without an error.
#[derive(Debug)]
pub struct SnapshotReader {
    path: PathBuf,
    file: BufReader<File>,
    header: SnapshotHeader,
    expected: SnapshotFile,
    left: u64,
    check: u32,
    records: u64,
    block: Vec<u8>,
    block_records: u32,
    at: usize,
    key: Range<usize>,
    value: Range<usize>,
    ended: bool,
}

impl SnapshotReader {
    pub(super) fn open(
        path: &Path,
        network: &Network,
        slot: u64,
        expected: SnapshotFile,
    ) -> Result<Self> {
        let damaged = |reason| StorageError::SnapshotDamaged { file: path.to_path_buf(), reason };
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(damaged("it is missing"));
            }
            other => other.at("open", path)?,
        };
        if file.metadata().at("read", path)?.len() != expected.bytes {
            return Err(damaged("its length is not the one in the manifest"));
        }
        let mut reader = Self {
            path: path.to_path_buf(),
            file: BufReader::with_capacity(64 << 10, file),
            header: SnapshotHeader { environment: 0, slot, state_root: [0; 32], meta: Vec::new() },
            expected,
            left: expected.bytes,
            check: 0,
            records: 0,
            block: Vec::new(),
            block_records: 0,
            at: 0,
            key: 0..0,
            value: 0..0,
            ended: false,
        };
        let fixed: [u8; FIXED_HEADER] = reader.read_array()?;
        let (header, meta_length) = format::decode_header(network, &fixed).map_err(damaged)?;
        let meta = reader.read_vec(meta_length)?;
        reader.check = u32::from_le_bytes(reader.read_array()?);
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&fixed);
        hasher.update(&meta);
        if hasher.finalize() != reader.check {
            return Err(damaged("its header fails its checksum"));
        }
        if (header.environment, header.slot) != (expected.environment, slot) {
            return Err(damaged("it belongs to another environment or slot"));
        }
        reader.header = SnapshotHeader { meta, ..header };
        Ok(reader)
    }

    /// What the file says about itself.
    pub fn header(&self) -> &SnapshotHeader {
        &self.header
    }

    /// How many keys there are, by the manifest; checked at the end.
    pub fn records(&self) -> u64 {
        self.expected.records
    }

    /// Goes to the next key; false at the end, where the whole file has been checked.
    ///
    /// # Errors
    /// [`StorageError::SnapshotDamaged`], or I/O.
    pub fn advance(&mut self) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.block_records == 0 {
            if self.at != self.block.len() {
                return Err(self.damaged("a block is longer than its records"));
            }
            if !self.next_block()? {
                return Ok(false);
            }
        }
        self.next_in_block().map_err(|reason| self.damaged(reason))?;
        Ok(true)
    }

    /// The key that [`SnapshotReader::advance`] went to.
    pub fn key(&self) -> &[u8] {
        &self.block[self.key.clone()]
    }

    /// The value of that key.
    pub fn value(&self) -> &[u8] {
        &self.block[self.value.clone()]
    }

    fn next_in_block(&mut self) -> std::result::Result<(), &'static str> {
        let rest = &self.block[self.at..];
        let mut fields = Fields(rest);
        let key_length = usize::from(fields.u16()?);
        let value_length = fields.u32()? as usize;
        if value_length > format::VALUE_BYTES_MAX || fields.0.len() < key_length + value_length {
            return Err("a record is longer than its block");
        }
        let start = self.at + format::RECORD_HEADER;
        self.key = start..start + key_length;
        self.value = self.key.end..self.key.end + value_length;
        self.at = self.value.end;
        self.block_records -= 1;
        self.records += 1;
        Ok(())
    }

    fn next_block(&mut self) -> Result<bool> {
        let header: [u8; BLOCK_HEADER] = self.read_array()?;
        let mut fields = Fields(&header);
        let mut field = || fields.u32().unwrap_or_default();
        let (length, records, check) = (field() as usize, field(), field());
        if length > BLOCK_BYTES_MAX {
            return Err(self.damaged("a block is over the limit"));
        }
        self.block = self.read_vec(length)?;
        if format::block_check(self.check, records, &self.block) != check {
            return Err(self.damaged("a block fails its checksum"));
        }
        self.check = check;
        self.at = 0;
        if length > 0 && records > 0 {
            self.block_records = records;
            return Ok(true);
        }
        if length > 0 || records > 0 {
            return Err(self.damaged("a block is longer than its records"));
        }
        (self.key, self.value) = (0..0, 0..0);
        let footer: [u8; FOOTER] = self.read_array()?;
        let mut fields = Fields(&footer);
        let records = fields.u64().unwrap_or_default();
        let checksum = fields.u32().unwrap_or_default();
        if self.left > 0 {
            return Err(self.damaged("there is something behind its end"));
        }
        let computed = format::file_checksum(check, self.records);
        if (records, checksum) != (self.records, computed)
            || (records, checksum) != (self.expected.records, self.expected.checksum)
        {
            return Err(self.damaged("its checksum is not the one in the manifest"));
        }
        self.ended = true;
        Ok(false)
    }

    fn read_array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        self.take(N)?;
        self.file.read_exact(&mut out).at("read", &self.path)?;
        Ok(out)
    }

    /// Bounded by the caller's limit and by what the file still holds.
    fn read_vec(&mut self, length: usize) -> Result<Vec<u8>> {
        self.take(length)?;
        let mut out = std::mem::take(&mut self.block);
        out.clear();
        out.resize(length, 0);
        self.file.read_exact(&mut out).at("read", &self.path)?;
        Ok(out)
    }

    fn take(&mut self, length: usize) -> Result<()> {
        match self.left.checked_sub(length as u64) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(self.damaged("it is cut short")),
        }
    }

    fn damaged(&self, reason: &'static str) -> StorageError {
        StorageError::SnapshotDamaged { file: self.path.clone(), reason }
    }
}
