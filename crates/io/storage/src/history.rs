//! The index of receipts and history: ordered tables in an embedded database.
//!
//! Everything in it derives from the log. A batch is committed whole, together with the slot it
//! brings the index to; after a crash the index stands at the last durable commit or later, and is
//! brought up by indexing again from [`History::indexed_slot`] on.
//!
//! Readers see the state of one commit and never wait for the writer, nor the writer for them;
//! but as long as a view lives, the pages it sees cannot be used again.
//!
//! # Durability
//! A commit without `durable` stays in this process (its pages in the cache, past that in the
//! file) and is lost with it. A durable one costs two syncs and also records the allocator state,
//! so that opening after a crash does not walk the whole file. Committing a durable batch every
//! few seconds bounds both the pages that wait and the slots that are indexed again.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};

use redb::{ReadableDatabase, TableDefinition, TableHandle};

use crate::error::{Result, StorageError, io_error};
use crate::fs_util;

/// The longest key.
pub const KEY_BYTES_MAX: usize = 1024;
/// The longest value.
pub const VALUE_BYTES_MAX: usize = 64 << 20;
/// The most entries that one [`HistoryView::range`] returns.
pub const RANGE_ENTRIES_MAX: usize = 10_000;
/// A [`HistoryView::range`] ends with the entry that brings it past this many bytes.
pub const RANGE_BYTES_MAX: usize = 64 << 20;

const FILE: &str = "index.redb";
const META: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("_meta");
const INDEXED_SLOT: &[u8] = b"indexed_slot";

/// The name of an ordered table; what is in it is the business of the layer that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table(&'static str);

impl Table {
    /// Names a table. Made for constants.
    ///
    /// # Panics
    /// (At compile time, in a constant.) If the name is empty or begins with `_`, which marks the
    /// index's own tables.
    pub const fn new(name: &'static str) -> Self {
        assert!(
            !name.is_empty() && name.as_bytes()[0] != b'_',
            "a table name begins with a letter"
        );
        Self(name)
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        self.0
    }

    fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(self.0)
    }
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// What a slot adds to the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryBatch {
    /// The slot that the index has reached with this batch.
    pub slot: u64,
    /// Removed before anything is put.
    pub deletes: Vec<(Table, Vec<u8>)>,
    /// Put in order: of two values for a key the later one stays.
    pub puts: Vec<(Table, Vec<u8>, Vec<u8>)>,
}

impl HistoryBatch {
    /// An empty batch.
    pub fn new(slot: u64) -> Self {
        Self { slot, ..Self::default() }
    }

    /// Adds or replaces an entry.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.puts.push((table, key.into(), value.into()));
    }

    /// Removes an entry that was there before this batch.
    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.deletes.push((table, key.into()));
    }
}

/// How the index is kept.
#[derive(Clone, Copy, Debug)]
pub struct HistoryOptions {
    /// Memory for cached and not yet durable pages.
    pub cache_bytes: usize,
}

impl Default for HistoryOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20 }
    }
}

/// The history index. Shared by reference: reading and committing take `&self`; commits wait for
/// one another.
#[derive(Debug)]
pub struct History {
    file: PathBuf,
    database: redb::Database,
}

impl History {
    /// Opens or creates the index in a folder. It can be open in one process only.
    ///
    /// # Errors
    /// [`StorageError::History`], [`StorageError::DiskFull`].
    pub fn open(dir: impl AsRef<Path>, options: HistoryOptions) -> Result<Self> {
        fs_util::create_dir(dir.as_ref())?;
        let file = dir.as_ref().join(FILE);
        let database = redb::Builder::new()
            .set_cache_size(options.cache_bytes)
            .create(&file)
            .map_err(|error| failed("open", &file, error))?;
        Ok(Self { file, database })
    }

    /// Commits a batch whole, together with its slot.
    ///
    /// # Errors
    /// [`StorageError::HistoryOrder`], [`StorageError::TooLarge`], [`StorageError::DiskFull`],
    /// [`StorageError::History`]. Nothing of the batch is in the index then.
    pub fn commit(&self, batch: &HistoryBatch, durable: bool) -> Result<()> {
        for (_, key, value) in &batch.puts {
            limit("a history key", key.len(), KEY_BYTES_MAX)?;
            limit("a history value", value.len(), VALUE_BYTES_MAX)?;
        }
        if let Some(indexed) = self.indexed_slot()?.filter(|indexed| batch.slot < *indexed) {
            return Err(StorageError::HistoryOrder { slot: batch.slot, indexed });
        }
        self.write("commit to", durable, |transaction| {
            let mut tables: BTreeMap<Table, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
            for (index, (table, _)) in batch.deletes.iter().enumerate() {
                tables.entry(*table).or_default().0.push(index);
            }
            for (index, (table, _, _)) in batch.puts.iter().enumerate() {
                tables.entry(*table).or_default().1.push(index);
            }
            for (table, (deletes, mut puts)) in tables {
                // Neighbours one after the other touch a page once. Of two for a key, the later
                // one stays the later one.
                puts.sort_by(|a, b| batch.puts[*a].1.cmp(&batch.puts[*b].1));
                let mut table = transaction.open_table(table.definition())?;
                for index in deletes {
                    table.remove(&batch.deletes[index].1[..])?;
                }
                for index in puts {
                    let (_, key, value) = &batch.puts[index];
                    table.insert(&key[..], &value[..])?;
                }
            }
            let mut meta = transaction.open_table(META)?;
            meta.insert(INDEXED_SLOT, &batch.slot.to_be_bytes()[..])?;
            Ok(())
        })
    }

    /// Makes everything committed so far survive the death of process and machine.
    ///
    /// # Errors
    /// [`StorageError::DiskFull`], [`StorageError::History`].
    pub fn sync(&self) -> Result<()> {
        self.write("sync", true, |_| Ok(()))
    }

    /// Removes up to `max` entries in a range of keys, lowest first, and returns how many. They
    /// are gone for good with the next durable commit.
    ///
    /// # Errors
    /// [`StorageError::DiskFull`], [`StorageError::History`].
    pub fn delete_range<'a>(
        &self,
        table: Table,
        range: impl RangeBounds<&'a [u8]>,
        max: usize,
    ) -> Result<usize> {
        let bounds = (range.start_bound().cloned(), range.end_bound().cloned());
        if max == 0 || is_empty(bounds) {
            return Ok(0);
        }
        let mut removed = 0;
        self.write("prune", false, |transaction| {
            let mut table = transaction.open_table(table.definition())?;
            for entry in table.extract_from_if::<&[u8], _>(bounds, |_, _| true)?.take(max) {
                entry?;
                removed += 1;
            }
            Ok(())
        })?;
        Ok(removed)
    }

    /// Removes everything, so that the index can be built again from the first slot.
    ///
    /// # Errors
    /// [`StorageError::DiskFull`], [`StorageError::History`].
    pub fn clear(&self) -> Result<()> {
        self.write("clear", true, |transaction| {
            let names: Vec<_> =
                transaction.list_tables()?.map(|table| table.name().to_owned()).collect();
            for name in names {
                let table: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(&name);
                transaction.delete_table(table)?;
            }
            Ok(())
        })
    }

    /// The state as of the last commit, for several reads that must agree.
    ///
    /// # Errors
    /// [`StorageError::History`].
    pub fn view(&self) -> Result<HistoryView<'_>> {
        let transaction =
            self.database.begin_read().map_err(|error| failed("read", &self.file, error))?;
        Ok(HistoryView { file: &self.file, transaction })
    }

    /// The slot that the index has reached; `None` in an empty one.
    ///
    /// # Errors
    /// [`StorageError::History`].
    pub fn indexed_slot(&self) -> Result<Option<u64>> {
        self.view()?.indexed_slot()
    }

    /// See [`HistoryView::get`].
    ///
    /// # Errors
    /// [`StorageError::History`].
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.view()?.get(table, key)
    }

    /// See [`HistoryView::range`].
    ///
    /// # Errors
    /// [`StorageError::History`].
    pub fn range<'a>(
        &self,
        table: Table,
        range: impl RangeBounds<&'a [u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Entry>> {
        self.view()?.range(table, range, limit, reverse)
    }

    /// See [`HistoryView::keys`].
    ///
    /// # Errors
    /// [`StorageError::History`].
    pub fn keys<'a>(
        &self,
        table: Table,
        range: impl RangeBounds<&'a [u8]>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>> {
        self.view()?.keys(table, range, limit)
    }

    fn write(
        &self,
        action: &'static str,
        durable: bool,
        change: impl FnOnce(&redb::WriteTransaction) -> std::result::Result<(), redb::Error>,
    ) -> Result<()> {
        let run = || {
            let mut transaction = self.database.begin_write()?;
            if durable {
                transaction.set_quick_repair(true);
            } else {
                transaction.set_durability(redb::Durability::None)?;
            }
            change(&transaction)?;
            transaction.commit()?;
            Ok(())
        };
        run().map_err(|error: redb::Error| failed(action, &self.file, error))
    }
}

/// The index as of one commit.
pub struct HistoryView<'a> {
    file: &'a Path,
    transaction: redb::ReadTransaction,
}

type ReadTable = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;

impl HistoryView<'_> {
    /// The slot of that commit; `None` in an empty index.
    ///
    /// # Errors
    /// [`StorageError::History`].
    pub fn indexed_slot(&self) -> Result<Option<u64>> {
        let value =
            self.read(META, |table| Ok(table.get(INDEXED_SLOT)?.map(|v| v.value().to_vec())))?;
        match value.flatten().map(<[u8; 8]>::try_from) {
            None => Ok(None),
            Some(Ok(slot)) => Ok(Some(u64::from_be_bytes(slot))),
            Some(Err(_)) => Err(StorageError::History {
                action: "read",
                file: self.file.to_path_buf(),
                reason: "the indexed slot is not a number".into(),
            }),
        }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`StorageError::History`].
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let read = |table: ReadTable| Ok(table.get(key)?.map(|value| value.value().to_vec()));
        Ok(self.read(table.definition(), read)?.flatten())
    }

    /// Entries of a range of keys, ascending or (`reverse`) descending: up to `limit`,
    /// [`RANGE_ENTRIES_MAX`] and about [`RANGE_BYTES_MAX`]. To go on, ask again from behind the
    /// last key.
    ///
    /// # Errors
    /// [`StorageError::History`].
    pub fn range<'a>(
        &self,
        table: Table,
        range: impl RangeBounds<&'a [u8]>,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Entry>> {
        let bounds = (range.start_bound().cloned(), range.end_bound().cloned());
        let limit = limit.min(RANGE_ENTRIES_MAX);
        if limit == 0 || is_empty(bounds) {
            return Ok(Vec::new());
        }
        let found = self.read(table.definition(), |table| {
            let mut entries = Vec::new();
            let mut bytes = 0;
            let mut range = table.range::<&[u8]>(bounds)?;
            while let Some(entry) = if reverse { range.next_back() } else { range.next() } {
                let (key, value) = entry?;
                let entry = (key.value().to_vec(), value.value().to_vec());
                bytes += entry.0.len() + entry.1.len();
                entries.push(entry);
                if entries.len() == limit || bytes > RANGE_BYTES_MAX {
                    break;
                }
            }
            Ok(entries)
        })?;
        Ok(found.unwrap_or_default())
    }

    /// Keys of a range, ascending, without their values: up to `limit` and [`RANGE_ENTRIES_MAX`].
    ///
    /// # Errors
    /// [`StorageError::History`].
    pub fn keys<'a>(
        &self,
        table: Table,
        range: impl RangeBounds<&'a [u8]>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>> {
        let bounds = (range.start_bound().cloned(), range.end_bound().cloned());
        if is_empty(bounds) {
            return Ok(Vec::new());
        }
        let found = self.read(table.definition(), |table| {
            let mut keys = Vec::new();
            for entry in table.range::<&[u8]>(bounds)?.take(limit.min(RANGE_ENTRIES_MAX)) {
                keys.push(entry?.0.value().to_vec());
            }
            Ok(keys)
        })?;
        Ok(found.unwrap_or_default())
    }

    /// Reads a table; `None` where it has never been written to.
    fn read<T>(
        &self,
        table: TableDefinition<'_, &'static [u8], &'static [u8]>,
        read: impl FnOnce(ReadTable) -> std::result::Result<T, redb::Error>,
    ) -> Result<Option<T>> {
        match self.transaction.open_table(table) {
            Ok(table) => read(table).map(Some),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
        .map_err(|error| failed("read", self.file, error))
    }
}

/// The database takes only ranges that are not upside down.
fn is_empty((start, end): (Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    match (start, end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Included(end) | Bound::Excluded(end),
        ) => start >= end,
    }
}

fn limit(what: &'static str, bytes: usize, limit: usize) -> Result<()> {
    if bytes > limit {
        let (bytes, limit) = (bytes as u64, limit as u64);
        return Err(StorageError::TooLarge { what, bytes, limit });
    }
    Ok(())
}

fn failed(action: &'static str, file: &Path, error: impl Into<redb::Error>) -> StorageError {
    match error.into() {
        redb::Error::Io(source) => match io_error(action, file, source) {
            full @ StorageError::DiskFull { .. } => full,
            other => history_error(action, file, other.to_string()),
        },
        other => history_error(action, file, other.to_string()),
    }
}

fn history_error(action: &'static str, file: &Path, reason: String) -> StorageError {
    StorageError::History { action, file: file.to_path_buf(), reason }
}

#[cfg(test)]
mod tests;
