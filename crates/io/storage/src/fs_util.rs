//! Files that appear whole or not at all, and folders whose entries are on disk.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use crate::error::{At, Result};

/// Makes the entries of a folder durable (creations, renames, removals).
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    fault::step("sync folder", dir)?;
    // Only Unix lets a folder be opened and synced; elsewhere renames are ordered by the system.
    #[cfg(unix)]
    File::open(dir).and_then(|dir| dir.sync_all()).at("sync folder", dir)?;
    Ok(())
}

/// Creates a folder and its parents; the entry is durable.
pub(crate) fn create_dir(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).at("create folder", dir)?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => Ok(()),
    }
}

/// Writes a whole file beside its place, syncs it and renames it in; the entry is durable.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension("tmp");
    fault::step("create", &temporary)?;
    let mut file = File::create(&temporary).at("create", &temporary)?;
    fault::step("write", &temporary)?;
    file.write_all(bytes).at("write", &temporary)?;
    publish(file, &temporary, path)
}

/// Syncs a finished temporary file and renames it into its place; the entry is durable.
pub(crate) fn publish(file: File, temporary: &Path, path: &Path) -> Result<()> {
    fault::step("sync", temporary)?;
    file.sync_all().at("sync", temporary)?;
    drop(file);
    fault::step("rename", temporary)?;
    fs::rename(temporary, path).at("rename", temporary)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Reads a file that may not be longer than `limit`; longer ones come back cut to `limit + 1`.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Removes a file or folder tree that may be gone already.
pub(crate) fn remove(path: &Path) -> Result<()> {
    fault::step("remove", path)?;
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.at("remove", path),
    }
}

/// Steps at which tests make the disk fail.
pub(crate) mod fault {
    use std::path::Path;

    use crate::error::Result;

    #[cfg(not(test))]
    #[inline(always)]
    pub(crate) fn step(_action: &'static str, _path: &Path) -> Result<()> {
        Ok(())
    }

    #[cfg(test)]
    thread_local! {
        static LEFT: std::cell::Cell<Option<u32>> = const { std::cell::Cell::new(None) };
    }

    /// Lets `steps` steps of this thread pass; from then on every one fails (a dead process does
    /// nothing more either). `None` heals the disk.
    #[cfg(test)]
    pub(crate) fn fail_after(steps: Option<u32>) {
        LEFT.set(steps);
    }

    #[cfg(test)]
    pub(crate) fn step(action: &'static str, path: &Path) -> Result<()> {
        match LEFT.get() {
            None => Ok(()),
            Some(0) => {
                let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
                Err(crate::error::io_error(action, path, full))
            }
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }
}
