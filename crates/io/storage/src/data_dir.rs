//! The data folder: one process at a time, one network, one format.
//!
//! ```text
//! <dir>/lock        advisory lock, held as long as the process lives; its content is the pid
//! <dir>/format      format version and network, readable text
//! <dir>/log/        the slot log
//! <dir>/snapshots/  snapshots
//! <dir>/history/    the history index
//! <dir>/node/       what the node keeps for itself (keys, copies of specs)
//! ```
//! Nothing else in the folder is ever touched, not even by [`DataDir::reset`].

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::Network;
use crate::error::{At, Result, StorageError, hex};
use crate::fs_util;

/// The format of the data folder that this program writes.
pub const FORMAT_VERSION: u32 = 1;

const LOCK_FILE: &str = "lock";
const FORMAT_FILE: &str = "format";
const FOLDERS: [&str; 4] = ["log", "snapshots", "history", "node"];
const FORMAT_BYTES_MAX: u64 = 4096;
/// A lock outlives its holder for a moment: until the system has cleared the process away, or
/// until a program it was just starting has closed what it inherited.
const LOCK_ATTEMPTS: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(20);
const FIRST_LINE: &str = "atoll data folder, format ";

/// A data folder that belongs to this process until the value is dropped or the process dies.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    network: Network,
    _lock: File,
}

/// A data folder opened for looking only; another process may be writing to it.
#[derive(Debug, Clone)]
pub struct DataDirView {
    path: PathBuf,
    network: Network,
}

enum Format {
    /// No format file.
    Missing,
    /// A reset was under way when the process died.
    Resetting,
    /// In use, by this network.
    Ready(Network),
}

impl DataDir {
    /// Opens a data folder for one network, creating it where it does not exist.
    ///
    /// # Errors
    /// [`StorageError::AlreadyInUse`], [`StorageError::WrongNetwork`],
    /// [`StorageError::NewerFormat`], [`StorageError::NotADataDir`], or an I/O error.
    pub fn open(path: impl AsRef<Path>, network: Network) -> Result<Self> {
        let dir = Self::lock(path.as_ref(), network)?;
        match read_format(&dir.path)? {
            Format::Ready(found) if found == network => {}
            Format::Ready(found) => {
                let path = dir.path.clone();
                return Err(StorageError::WrongNetwork { path, found, expected: network });
            }
            Format::Resetting => dir.wipe()?,
            Format::Missing => dir.write_format()?,
        }
        dir.create_folders()?;
        Ok(dir)
    }

    /// Opens a data folder after removing everything that Atoll keeps in it, whatever its network
    /// or format. Interrupted, it is completed by the next open.
    ///
    /// # Errors
    /// [`StorageError::AlreadyInUse`], [`StorageError::NotADataDir`], or an I/O error.
    pub fn reset(path: impl AsRef<Path>, network: Network) -> Result<Self> {
        let dir = Self::lock(path.as_ref(), network)?;
        match read_format(&dir.path) {
            Ok(_) | Err(StorageError::NewerFormat { .. }) => {}
            Err(error) => return Err(error),
        }
        let marker = format!("{FIRST_LINE}{FORMAT_VERSION}\nresetting\n");
        fs_util::write_atomically(&dir.path.join(FORMAT_FILE), marker.as_bytes())?;
        dir.wipe()?;
        dir.create_folders()?;
        Ok(dir)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The network that the folder belongs to.
    pub fn network(&self) -> Network {
        self.network
    }

    /// Where the slot log is.
    pub fn log_dir(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Where the snapshots are.
    pub fn snapshot_dir(&self) -> PathBuf {
        self.path.join("snapshots")
    }

    /// Where the history index is.
    pub fn history_dir(&self) -> PathBuf {
        self.path.join("history")
    }

    /// Where the node keeps what is its own.
    pub fn node_dir(&self) -> PathBuf {
        self.path.join("node")
    }

    fn lock(path: &Path, network: Network) -> Result<Self> {
        fs_util::create_dir(path)?;
        if let Format::Missing = read_format_or_newer(path)? {
            refuse_foreign(path)?;
        }
        let file = path.join(LOCK_FILE);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&file)
            .at("open", &file)?;
        let mut attempts_left = LOCK_ATTEMPTS;
        loop {
            attempts_left -= 1;
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempts_left > 0 => sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => {
                    let pid = read_pid(&mut lock);
                    return Err(StorageError::AlreadyInUse { path: path.to_path_buf(), pid });
                }
                Err(TryLockError::Error(source)) => return Err(source).at("lock", &file),
            }
        }
        lock.set_len(0).at("write", &file)?;
        writeln!(lock, "{}", std::process::id()).at("write", &file)?;
        Ok(Self { path: path.to_path_buf(), network, _lock: lock })
    }

    fn wipe(&self) -> Result<()> {
        for folder in FOLDERS {
            fs_util::remove(&self.path.join(folder))?;
        }
        fs_util::sync_dir(&self.path)?;
        self.write_format()
    }

    fn write_format(&self) -> Result<()> {
        let text = format!("{FIRST_LINE}{FORMAT_VERSION}\nnetwork {}\n", hex(&self.network));
        fs_util::write_atomically(&self.path.join(FORMAT_FILE), text.as_bytes())
    }

    fn create_folders(&self) -> Result<()> {
        FOLDERS.iter().try_for_each(|folder| fs_util::create_dir(&self.path.join(folder)))
    }
}

impl DataDirView {
    /// Looks into an existing data folder without taking its lock.
    ///
    /// # Errors
    /// [`StorageError::NotADataDir`], [`StorageError::NewerFormat`], or an I/O error.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let reason = match read_format(&path)? {
            Format::Ready(network) => return Ok(Self { path, network }),
            Format::Missing => "it has no format file",
            Format::Resetting => "a reset of it was not finished",
        };
        Err(StorageError::NotADataDir { path, reason: reason.into() })
    }

    /// The network that the folder belongs to.
    pub fn network(&self) -> Network {
        self.network
    }

    /// Where the slot log is.
    pub fn log_dir(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Where the snapshots are.
    pub fn snapshot_dir(&self) -> PathBuf {
        self.path.join("snapshots")
    }

    /// Where the history index is. It can be opened only while no other process has it open.
    pub fn history_dir(&self) -> PathBuf {
        self.path.join("history")
    }

    /// Where the node keeps what is its own.
    pub fn node_dir(&self) -> PathBuf {
        self.path.join("node")
    }
}

fn read_pid(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.rewind().ok()?;
    lock.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// A folder without a format file may hold nothing but what an interrupted first start left.
fn refuse_foreign(path: &Path) -> Result<()> {
    for entry in std::fs::read_dir(path).at("list", path)? {
        let name = entry.at("list", path)?.file_name();
        let name = name.to_string_lossy();
        if name != LOCK_FILE && name != "format.tmp" {
            let reason = format!("it has no format file but holds '{name}'");
            return Err(StorageError::NotADataDir { path: path.to_path_buf(), reason });
        }
    }
    Ok(())
}

/// A newer format is no foreign folder: whether it is an error is decided under the lock.
fn read_format_or_newer(path: &Path) -> Result<Format> {
    match read_format(path) {
        Err(StorageError::NewerFormat { .. }) => Ok(Format::Resetting),
        other => other,
    }
}

fn read_format(dir: &Path) -> Result<Format> {
    let file = dir.join(FORMAT_FILE);
    let bytes = match fs_util::read_bounded(&file, FORMAT_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Format::Missing),
        Err(error) => return Err(error).at("read", &file),
    };
    let refuse = |reason: &str| StorageError::NotADataDir {
        path: dir.to_path_buf(),
        reason: format!("its format file {reason}"),
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| refuse("is not text"))?;
    let mut lines = text.lines();
    let found: u32 = lines
        .next()
        .and_then(|line| line.strip_prefix(FIRST_LINE)?.parse().ok())
        .ok_or_else(|| refuse("is not one of Atoll"))?;
    if found > FORMAT_VERSION {
        let path = dir.to_path_buf();
        return Err(StorageError::NewerFormat { path, found, supported: FORMAT_VERSION });
    }
    match lines.next() {
        Some("resetting") => Ok(Format::Resetting),
        Some(line) => line
            .strip_prefix("network ")
            .and_then(parse_network)
            .map(Format::Ready)
            .ok_or_else(|| refuse("names no network")),
        None => Err(refuse("is cut short")),
    }
}

fn parse_network(text: &str) -> Option<Network> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut network = Network::default();
    for (byte, pair) in network.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(network)
}

#[cfg(test)]
#[path = "data_dir_tests.rs"]
mod tests;
