//! The bytes of a snapshot: one file per environment, and the manifest that makes it count.
//!
//! ```text
//! file      magic 8 | version u32 | network 32 | environment u32 | slot u64 | state root 32
//!           | meta length u32 | meta | crc u32
//!           blocks: length u32 | records u32 | check u32 | bytes      (length > 0)
//!           end:    0 u32      | 0 u32       | check u32 | records u64 | crc u32
//! record    key length u16 | value length u32 | key | value
//! manifest  magic 8 | version u32 | network 32 | slot u64 | files u32
//!           | (environment u32 | bytes u64 | records u64 | checksum u32)* | crc u32
//! ```
//! Integers are little-endian. Each check covers the one before it, so the last crc of a file is
//! the checksum of the whole file; it stands in the manifest.

use crate::Network;

pub(crate) const FILE_MAGIC: &[u8; 8] = b"ATOLSNAP";
pub(crate) const MANIFEST_MAGIC: &[u8; 8] = b"ATOLSNPM";
pub(crate) const VERSION: u32 = 1;
/// A block is closed once it has this many bytes.
pub(crate) const BLOCK_BYTES: usize = 64 << 10;
pub(crate) const BLOCK_HEADER: usize = 12;
pub(crate) const RECORD_HEADER: usize = 6;
pub(crate) const FOOTER: usize = 12;
pub(crate) const FIXED_HEADER: usize = 92;

/// The longest key.
pub const KEY_BYTES_MAX: usize = u16::MAX as usize;
/// The longest value.
pub const VALUE_BYTES_MAX: usize = 16 << 20;
/// The most that an environment may keep beside its state (cursors, tips of chains).
pub const META_BYTES_MAX: usize = 1 << 20;
/// The most environments in a snapshot.
pub const ENVIRONMENTS_MAX: usize = 1 << 16;

pub(crate) const BLOCK_BYTES_MAX: usize =
    BLOCK_BYTES + RECORD_HEADER + KEY_BYTES_MAX + VALUE_BYTES_MAX;
const FILE_ENTRY: usize = 24;
pub(crate) const MANIFEST_BYTES_MAX: usize = 56 + ENVIRONMENTS_MAX * FILE_ENTRY + 4;

/// What a snapshot file says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The environment.
    pub environment: u32,
    /// The state is the one after this slot.
    pub slot: u64,
    /// Its root; whoever loads the state recomputes it.
    pub state_root: [u8; 32],
    /// What else the environment needs to go on, at most [`META_BYTES_MAX`].
    pub meta: Vec<u8>,
}

/// A finished file, as the manifest lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// The environment.
    pub environment: u32,
    /// Length of the file.
    pub bytes: u64,
    /// Keys in it.
    pub records: u64,
    /// The last crc, which covers all of the file.
    pub checksum: u32,
}

pub(crate) fn encode_header(network: &Network, header: &SnapshotHeader) -> Vec<u8> {
    let mut out = Vec::with_capacity(FIXED_HEADER + header.meta.len() + 4);
    out.extend_from_slice(FILE_MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(network);
    out.extend_from_slice(&header.environment.to_le_bytes());
    out.extend_from_slice(&header.slot.to_le_bytes());
    out.extend_from_slice(&header.state_root);
    out.extend_from_slice(&(header.meta.len() as u32).to_le_bytes());
    out.extend_from_slice(&header.meta);
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// Decodes the fixed part of a header; the length of the meta comes beside it.
pub(crate) fn decode_header(
    network: &Network,
    bytes: &[u8; FIXED_HEADER],
) -> Result<(SnapshotHeader, usize), &'static str> {
    let mut fields = Fields(bytes);
    if fields.take::<8>()? != *FILE_MAGIC {
        return Err("it does not begin as a snapshot file");
    }
    if fields.u32()? != VERSION {
        return Err("it has a format that this program does not read");
    }
    if fields.take::<32>()? != *network {
        return Err("it belongs to another network");
    }
    let (environment, slot) = (fields.u32()?, fields.u64()?);
    let state_root = fields.take()?;
    let meta_length = fields.u32()? as usize;
    if meta_length > META_BYTES_MAX {
        return Err("its meta is over the limit");
    }
    Ok((SnapshotHeader { environment, slot, state_root, meta: Vec::new() }, meta_length))
}

/// The check of a block; `previous` is that of the block before, or the header's crc.
pub(crate) fn block_check(previous: u32, records: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&previous.to_le_bytes());
    hasher.update(&(bytes.len() as u32).to_le_bytes());
    hasher.update(&records.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// The last crc of a file.
pub(crate) fn file_checksum(last_check: u32, records: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&last_check.to_le_bytes());
    hasher.update(&records.to_le_bytes());
    hasher.finalize()
}

pub(crate) fn encode_manifest(network: &Network, slot: u64, files: &[SnapshotFile]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(MANIFEST_MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(network);
    out.extend_from_slice(&slot.to_le_bytes());
    out.extend_from_slice(&(files.len() as u32).to_le_bytes());
    for file in files {
        out.extend_from_slice(&file.environment.to_le_bytes());
        out.extend_from_slice(&file.bytes.to_le_bytes());
        out.extend_from_slice(&file.records.to_le_bytes());
        out.extend_from_slice(&file.checksum.to_le_bytes());
    }
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

pub(crate) fn decode_manifest(
    network: &Network,
    slot: u64,
    bytes: &[u8],
) -> Result<Vec<SnapshotFile>, &'static str> {
    let Some((body, crc)) = bytes.split_last_chunk::<4>() else { return Err("it is cut short") };
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return Err("it fails its checksum");
    }
    let mut fields = Fields(body);
    if fields.take::<8>()? != *MANIFEST_MAGIC {
        return Err("it does not begin as a manifest");
    }
    if fields.u32()? != VERSION {
        return Err("it has a format that this program does not read");
    }
    if fields.take::<32>()? != *network {
        return Err("it belongs to another network");
    }
    if fields.u64()? != slot {
        return Err("it belongs to another slot");
    }
    let count = fields.u32()? as usize;
    if count > ENVIRONMENTS_MAX || fields.0.len() != count * FILE_ENTRY {
        return Err("its length does not fit its number of files");
    }
    let mut files: Vec<SnapshotFile> = Vec::with_capacity(count);
    for _ in 0..count {
        let (environment, bytes) = (fields.u32()?, fields.u64()?);
        let (records, checksum) = (fields.u64()?, fields.u32()?);
        if files.last().is_some_and(|last| last.environment >= environment) {
            return Err("its files are out of order");
        }
        files.push(SnapshotFile { environment, bytes, records, checksum });
    }
    Ok(files)
}

/// Takes fields off the front of bytes.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or("it is cut short")?;
        self.0 = rest;
        Ok(*field)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, &'static str> {
        self.take().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, &'static str> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, &'static str> {
        self.take().map(u64::from_le_bytes)
    }
}
