//! Writing a snapshot: a file per environment, then the manifest.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::format::{
    self, BLOCK_BYTES, ENVIRONMENTS_MAX, KEY_BYTES_MAX, META_BYTES_MAX, SnapshotFile,
    SnapshotHeader, VALUE_BYTES_MAX,
};
use super::{MANIFEST, file_path};
use crate::Network;
use crate::error::{At, Result, StorageError};
use crate::fs_util::{self, fault};

/// A snapshot being made. It counts once [`SnapshotBuilder::publish`] returns, and not before.
#[derive(Debug)]
pub struct SnapshotBuilder {
    pub(super) dir: PathBuf,
    pub(super) network: Network,
    pub(super) slot: u64,
}

impl SnapshotBuilder {
    /// The slot after which the state is taken.
    pub fn slot(&self) -> u64 {
        self.slot
    }

    /// Begins the file of an environment. Files may be written on several threads at once.
    ///
    /// # Errors
    /// [`StorageError::TooLarge`] for the meta, a full disk, or I/O.
    pub fn environment(
        &self,
        environment: u32,
        state_root: [u8; 32],
        meta: &[u8],
    ) -> Result<SnapshotWriter> {
        limit("the meta of a snapshot", meta.len(), META_BYTES_MAX)?;
        let meta = meta.to_vec();
        let header = SnapshotHeader { environment, slot: self.slot, state_root, meta };
        let path = file_path(&self.dir, environment);
        SnapshotWriter::create(&path, &format::encode_header(&self.network, &header), environment)
    }

    /// Makes the snapshot count: the manifest names the finished files, one per environment.
    ///
    /// # Errors
    /// [`StorageError::SnapshotMissing`] where an environment is named twice or its file is not
    /// there, a full disk, or I/O.
    pub fn publish(self, files: &[SnapshotFile]) -> Result<()> {
        limit("the number of environments", files.len(), ENVIRONMENTS_MAX)?;
        let mut files = files.to_vec();
        files.sort_unstable_by_key(|file| file.environment);
        for (index, file) in files.iter().enumerate() {
            let twice = index > 0 && files[index - 1].environment == file.environment;
            if twice || !file_path(&self.dir, file.environment).is_file() {
                return Err(StorageError::SnapshotMissing {
                    dir: self.dir,
                    slot: self.slot,
                    environment: Some(file.environment),
                });
            }
        }
        let manifest = format::encode_manifest(&self.network, self.slot, &files);
        fs_util::write_atomically(&self.dir.join(MANIFEST), &manifest)?;
        fs_util::sync_dir(self.dir.parent().unwrap_or(Path::new(".")))
    }
}

/// Writes the keys of one environment in path order.
#[derive(Debug)]
pub struct SnapshotWriter {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    environment: u32,
    block: Vec<u8>,
    block_records: u32,
    check: u32,
    records: u64,
    bytes: u64,
    last_path: Option<[u8; 32]>,
}

impl SnapshotWriter {
    fn create(path: &Path, header: &[u8], environment: u32) -> Result<Self> {
        let temporary = path.with_extension("tmp");
        fault::step("create", &temporary)?;
        let mut file = File::create(&temporary).at("create", &temporary)?;
        file.write_all(header).at("write", &temporary)?;
        // The crc at the end of the header begins the chain.
        let check = header.last_chunk::<4>().map_or(0, |crc| u32::from_le_bytes(*crc));
        Ok(Self {
            path: path.to_path_buf(),
            temporary,
            file,
            environment,
            block: Vec::with_capacity(2 * BLOCK_BYTES),
            block_records: 0,
            check,
            records: 0,
            bytes: header.len() as u64,
            last_path: None,
        })
    }

    /// Adds a key; `path` is its place in the trie and must follow that of the last one.
    ///
    /// # Errors
    /// [`StorageError::SnapshotOrder`], [`StorageError::TooLarge`], a full disk, or I/O.
    pub fn push(&mut self, path: [u8; 32], key: &[u8], value: &[u8]) -> Result<()> {
        limit("a key", key.len(), KEY_BYTES_MAX)?;
        limit("a value", value.len(), VALUE_BYTES_MAX)?;
        if self.last_path.is_some_and(|last| path <= last) {
            return Err(order_error(key));
        }
        self.last_path = Some(path);
        self.block.extend_from_slice(&(key.len() as u16).to_le_bytes());
        self.block.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.block.extend_from_slice(key);
        self.block.extend_from_slice(value);
        self.block_records += 1;
        self.records += 1;
        if self.block.len() >= BLOCK_BYTES {
            self.close_block()?;
        }
        Ok(())
    }

    fn close_block(&mut self) -> Result<()> {
        self.check = format::block_check(self.check, self.block_records, &self.block);
        let mut header = [0; format::BLOCK_HEADER];
        header[..4].copy_from_slice(&(self.block.len() as u32).to_le_bytes());
        header[4..8].copy_from_slice(&self.block_records.to_le_bytes());
        header[8..].copy_from_slice(&self.check.to_le_bytes());
        fault::step("write", &self.temporary)?;
        self.file.write_all(&header).at("write", &self.temporary)?;
        self.file.write_all(&self.block).at("write", &self.temporary)?;
        self.bytes += (header.len() + self.block.len()) as u64;
        self.block.clear();
        self.block_records = 0;
        Ok(())
    }

    /// Ends the file, syncs it and renames it into its place.
    ///
    /// # Errors
    /// A full disk, or I/O.
    pub fn finish(mut self) -> Result<SnapshotFile> {
        if !self.block.is_empty() {
            self.close_block()?;
        }
        // The empty block is the end mark.
        self.close_block()?;
        let checksum = format::file_checksum(self.check, self.records);
        let mut footer = [0; format::FOOTER];
        footer[..8].copy_from_slice(&self.records.to_le_bytes());
        footer[8..].copy_from_slice(&checksum.to_le_bytes());
        self.file.write_all(&footer).at("write", &self.temporary)?;
        self.bytes += footer.len() as u64;
        fs_util::publish(self.file, &self.temporary, &self.path)?;
        let (environment, bytes, records) = (self.environment, self.bytes, self.records);
        Ok(SnapshotFile { environment, bytes, records, checksum })
    }
}

pub(super) fn order_error(key: &[u8]) -> StorageError {
    StorageError::SnapshotOrder { key: key[..key.len().min(64)].to_vec() }
}

fn limit(what: &'static str, bytes: usize, limit: usize) -> Result<()> {
    if bytes > limit {
        let (bytes, limit) = (bytes as u64, limit as u64);
        return Err(StorageError::TooLarge { what, bytes, limit });
    }
    Ok(())
}
