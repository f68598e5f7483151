//! Snapshots: the whole state of every environment after a slot, from which a replay starts.
//!
//! ```text
//! <dir>/<slot>/<environment>.snap   the keys of one environment, in path order
//! <dir>/<slot>/COMPLETE             the manifest: the files and their checksums
//! ```
//! Files are written beside their place, synced, renamed in, and the folder is synced; the
//! manifest comes last. A folder without a manifest is an unfinished attempt and is removed when
//! the store is opened. To remove a snapshot its manifest is removed first.
//!
//! A new snapshot is the previous one [`merge`]d with what has changed since, both in path order:
//! memory holds the changes and one block of the file, and the live state is not touched.

use std::path::{Path, PathBuf};

mod format;
mod reader;
mod writer;

pub use format::{
    ENVIRONMENTS_MAX, KEY_BYTES_MAX, META_BYTES_MAX, SnapshotFile, SnapshotHeader, VALUE_BYTES_MAX,
};
pub use reader::SnapshotReader;
pub use writer::{SnapshotBuilder, SnapshotWriter};

use crate::Network;
use crate::error::{At, Result, StorageError};
use crate::fs_util;

const MANIFEST: &str = "COMPLETE";

fn file_path(dir: &Path, environment: u32) -> PathBuf {
    dir.join(format!("{environment:010}.snap"))
}

/// The snapshots of one network in a folder.
#[derive(Clone, Debug)]
pub struct SnapshotStore {
    dir: PathBuf,
    network: Network,
}

/// A complete snapshot.
#[derive(Clone, Debug)]
pub struct Snapshot {
    dir: PathBuf,
    network: Network,
    slot: u64,
    files: Vec<SnapshotFile>,
}

/// The newest usable snapshot, and the newer ones that are not.
#[derive(Debug)]
pub struct LatestSnapshot {
    /// The newest complete snapshot whose every byte was checked.
    pub snapshot: Option<Snapshot>,
    /// Newer snapshots that were passed over, with the reason, newest first.
    pub damaged: Vec<(u64, StorageError)>,
}

impl SnapshotStore {
    /// Opens or creates the folder and removes unfinished snapshots. The caller holds the lock of
    /// the data folder.
    ///
    /// # Errors
    /// I/O.
    pub fn open(dir: impl AsRef<Path>, network: Network) -> Result<Self> {
        let store = Self::view(dir, network);
        fs_util::create_dir(&store.dir)?;
        for slot in store.folders()? {
            if !store.folder(slot).join(MANIFEST).exists() {
                fs_util::remove(&store.folder(slot))?;
            }
        }
        Ok(store)
    }

    /// Looks at the snapshots of a folder that another process may be writing to; nothing is
    /// removed.
    pub fn view(dir: impl AsRef<Path>, network: Network) -> Self {
        Self { dir: dir.as_ref().to_path_buf(), network }
    }

    /// Begins a snapshot; an unfinished one of the same slot is removed.
    ///
    /// # Errors
    /// [`StorageError::SnapshotExists`], or I/O.
    pub fn begin(&self, slot: u64) -> Result<SnapshotBuilder> {
        let dir = self.folder(slot);
        if dir.join(MANIFEST).exists() {
            return Err(StorageError::SnapshotExists { slot });
        }
        fs_util::remove(&dir)?;
        fs_util::fault::step("create folder", &dir)?;
        fs_util::create_dir(&dir)?;
        Ok(SnapshotBuilder { dir, network: self.network, slot })
    }

    /// The slots of complete snapshots, oldest first. Their bytes are not checked.
    ///
    /// # Errors
    /// I/O.
    pub fn slots(&self) -> Result<Vec<u64>> {
        let mut slots = self.folders()?;
        slots.retain(|slot| self.folder(*slot).join(MANIFEST).exists());
        Ok(slots)
    }

    /// A complete snapshot, by its slot; its files are checked as they are read.
    ///
    /// # Errors
    /// [`StorageError::SnapshotMissing`], [`StorageError::SnapshotDamaged`], or I/O.
    pub fn snapshot(&self, slot: u64) -> Result<Snapshot> {
        let dir = self.folder(slot);
        let path = dir.join(MANIFEST);
        let bytes = match fs_util::read_bounded(&path, format::MANIFEST_BYTES_MAX as u64) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let dir = self.dir.clone();
                return Err(StorageError::SnapshotMissing { dir, slot, environment: None });
            }
            other => other.at("read", &path)?,
        };
        let files = format::decode_manifest(&self.network, slot, &bytes)
            .map_err(|reason| StorageError::SnapshotDamaged { file: path, reason })?;
        Ok(Snapshot { dir, network: self.network, slot, files })
    }

    /// The newest complete snapshot whose every byte checks, passing over damaged ones. Reads all
    /// of it once.
    ///
    /// # Errors
    /// I/O on the folder itself; what is wrong with a snapshot is reported beside the answer.
    pub fn latest_complete(&self) -> Result<LatestSnapshot> {
        let mut damaged = Vec::new();
        for slot in self.slots()?.into_iter().rev() {
            match self.snapshot(slot).and_then(|snapshot| snapshot.verify().map(|()| snapshot)) {
                Ok(snapshot) => return Ok(LatestSnapshot { snapshot: Some(snapshot), damaged }),
                Err(error) => damaged.push((slot, error)),
            }
        }
        Ok(LatestSnapshot { snapshot: None, damaged })
    }

    /// Removes one snapshot, for instance a damaged one that stands in the way of its repetition.
    ///
    /// # Errors
    /// I/O.
    pub fn remove(&self, slot: u64) -> Result<()> {
        let dir = self.folder(slot);
        if !dir.exists() {
            return Ok(());
        }
        fs_util::remove(&dir.join(MANIFEST))?;
        fs_util::sync_dir(&dir)?;
        fs_util::remove(&dir)?;
        fs_util::sync_dir(&self.dir)
    }

    /// Keeps the newest complete snapshots, at least one, and returns how many were removed.
    ///
    /// # Errors
    /// I/O.
    pub fn retain(&self, count: usize) -> Result<usize> {
        let slots = self.slots()?;
        let excess = slots.len().saturating_sub(count.max(1));
        slots[..excess].iter().try_for_each(|slot| self.remove(*slot))?;
        Ok(excess)
    }

    fn folder(&self, slot: u64) -> PathBuf {
        self.dir.join(format!("{slot:020}"))
    }

    fn folders(&self) -> Result<Vec<u64>> {
        let mut slots = Vec::new();
        for entry in std::fs::read_dir(&self.dir).at("list", &self.dir)? {
            let name = entry.at("list", &self.dir)?.file_name();
            let name = name.to_str().filter(|name| name.len() == 20);
            slots.extend(name.and_then(|name| name.parse::<u64>().ok()));
        }
        slots.sort_unstable();
        Ok(slots)
    }
}

impl Snapshot {
    /// The state is the one after this slot.
    pub fn slot(&self) -> u64 {
        self.slot
    }

    /// The files, by environment.
    pub fn files(&self) -> &[SnapshotFile] {
        &self.files
    }

    /// Opens the file of an environment.
    ///
    /// # Errors
    /// [`StorageError::SnapshotMissing`], [`StorageError::SnapshotDamaged`], or I/O.
    pub fn reader(&self, environment: u32) -> Result<SnapshotReader> {
        let Some(file) = self.files.iter().find(|file| file.environment == environment) else {
            return Err(StorageError::SnapshotMissing {
                dir: self.dir.clone(),
                slot: self.slot,
                environment: Some(environment),
            });
        };
        SnapshotReader::open(&file_path(&self.dir, environment), &self.network, self.slot, *file)
    }

    /// Reads every file to its end and checks it.
    ///
    /// # Errors
    /// [`StorageError::SnapshotDamaged`], or I/O.
    pub fn verify(&self) -> Result<()> {
        for file in &self.files {
            let mut reader = self.reader(file.environment)?;
            while reader.advance()? {}
        }
        Ok(())
    }
}

/// Writes `previous` with the changes of `delta` applied: (path, key, value), or no value for a
/// removed key; strictly ascending by path. `path` gives the path of a key in `previous`.
///
/// # Errors
/// [`StorageError::SnapshotOrder`] where either side is out of order, damage in `previous`, or
/// whatever writing fails with.
pub fn merge<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    previous: Option<SnapshotReader>,
    delta: impl IntoIterator<Item = ([u8; 32], K, Option<V>)>,
    path: impl Fn(&[u8]) -> [u8; 32],
    out: &mut SnapshotWriter,
) -> Result<()> {
    let mut previous = Old { reader: previous, path, head: None };
    previous.advance()?;
    let mut last = None;
    for (at, key, value) in delta {
        if last.is_some_and(|last| at <= last) {
            return Err(writer::order_error(key.as_ref()));
        }
        last = Some(at);
        while previous.head.is_some_and(|head| head < at) {
            previous.copy(out)?;
        }
        if previous.head == Some(at) {
            previous.advance()?;
        }
        if let Some(value) = value {
            out.push(at, key.as_ref(), value.as_ref())?;
        }
    }
    while previous.head.is_some() {
        previous.copy(out)?;
    }
    Ok(())
}

/// The previous snapshot in a merge; `head` is the path of the key it stands at.
struct Old<P> {
    reader: Option<SnapshotReader>,
    path: P,
    head: Option<[u8; 32]>,
}

impl<P: Fn(&[u8]) -> [u8; 32]> Old<P> {
    fn advance(&mut self) -> Result<()> {
        self.head = None;
        if let Some(reader) = &mut self.reader
            && reader.advance()?
        {
            self.head = Some((self.path)(reader.key()));
        }
        Ok(())
    }

    fn copy(&mut self, out: &mut SnapshotWriter) -> Result<()> {
        if let (Some(reader), Some(head)) = (&self.reader, self.head) {
            out.push(head, reader.key(), reader.value())?;
        }
        self.advance()
    }
}

#[cfg(test)]
mod tests;
