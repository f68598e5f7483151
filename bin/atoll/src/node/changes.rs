//! What an environment's objects changed to: since the last snapshot, and which of it since the
//! last root.
//!
//! A hot object changes many times between two roots and more often between two snapshots. Only
//! what it is in the end is kept, hashed and written; finding it costs one lookup by hash. Order
//! is made when a snapshot needs it, on the snapshot's thread.

use atoll_state::WriteSet;
use atoll_state::db;
use atoll_state::trie::KeyPath;
use std::collections::HashMap;

/// The last change of an object.
struct Change {
    path: KeyPath,
    /// The key, then the value.
    bytes: Vec<u8>,
    key_length: u32,
    /// Whether there is a value; without one the object is absent.
    present: bool,
    /// Whether the trie has yet to learn of it.
    pending: bool,
}

impl Change {
    fn new(path: KeyPath) -> Self {
        Self { path, bytes: Vec::new(), key_length: 0, present: false, pending: false }
    }

    fn set(&mut self, key: &[u8], value: Option<&[u8]>) {
        let value_or_none = value.unwrap_or_default();
        self.bytes.clear();
        self.bytes.reserve_exact(key.len() + value_or_none.len());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value_or_none);
        // Keys are bounded far below this by the storage layer.
        self.key_length = key.len() as u32;
        self.present = value.is_some();
    }

    fn parts(&self) -> (&[u8], Option<&[u8]>) {
        let (key, value) = self.bytes.split_at(self.key_length as usize);
        (key, self.present.then_some(value))
    }
}

/// Changed objects by path.
#[derive(Default)]
pub(crate) struct Changes {
    list: Vec<Change>,
    /// Where in the list an object's change is.
    places: HashMap<KeyPath, u32>,
    /// Places of changes that the trie has yet to learn of, each once.
    pending: Vec<u32>,
}

impl Changes {
    /// Takes in what a slot wrote.
    pub(crate) fn record(&mut self, writes: &WriteSet) {
        for (key, value) in writes.iter() {
            let place = self.place(db::key_path(key));
            let change = &mut self.list[place as usize];
            change.set(key, value);
            if !change.pending {
                change.pending = true;
                self.pending.push(place);
            }
        }
    }

    fn place(&mut self, path: KeyPath) -> u32 {
        *self.places.entry(path).or_insert_with(|| {
            self.list.push(Change::new(path));
            // Memory ends before four billion changed objects do.
            (self.list.len() - 1) as u32
        })
    }

    /// What the trie has yet to learn, each path once; it counts as learned.
    pub(crate) fn operations(&mut self) -> Vec<(KeyPath, Option<[u8; 32]>)> {
        let mut operations = Vec::with_capacity(self.pending.len());
        for place in self.pending.drain(..) {
            let change = &mut self.list[place as usize];
            change.pending = false;
            operations.push((change.path, change.parts().1.map(db::value_hash)));
        }
        operations
    }

    /// Puts changes back that were taken before these were made.
    pub(crate) fn restore(&mut self, older: Self) {
        for change in older.list {
            if !self.places.contains_key(&change.path) {
                let place = self.place(change.path);
                self.list[place as usize] = change;
            }
        }
    }

    /// Paths, keys and values in path order: what a snapshot merges.
    pub(crate) fn sorted<'a>(&'a self) -> Vec<(KeyPath, &'a [u8], Option<&'a [u8]>)> {
        let entry = |change: &'a Change| {
            let (key, value) = change.parts();
            (change.path, key, value)
        };
        let mut sorted: Vec<_> = self.list.iter().map(entry).collect();
        sorted.sort_unstable_by_key(|(path, ..)| *path);
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes(list: &[(&[u8], Option<&[u8]>)]) -> WriteSet {
        let mut writes = WriteSet::default();
        list.iter().for_each(|(key, value)| writes.push(key, *value));
        writes
    }

    fn contents(changes: &Changes) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let sorted = changes.sorted();
        assert!(sorted.is_sorted_by(|a, b| a.0 < b.0));
        let own = |(_, key, value): &(KeyPath, &[u8], Option<&[u8]>)| {
            (key.to_vec(), value.map(<[u8]>::to_vec))
        };
        let mut contents: Vec<_> = sorted.iter().map(own).collect();
        contents.sort();
        contents
    }

    #[test]
    fn the_last_change_counts_and_the_trie_learns_it_once() {
        let mut changes = Changes::default();
        changes.record(&writes(&[(b"a", Some(b"1")), (b"b", Some(b""))]));
        changes.record(&writes(&[(b"a", None), (b"c", Some(b"333"))]));
        let mut operations = changes.operations();
        operations.sort_unstable();
        let mut expected = vec![
            (db::key_path(b"a"), None),
            (db::key_path(b"b"), Some(db::value_hash(b""))),
            (db::key_path(b"c"), Some(db::value_hash(b"333"))),
        ];
        expected.sort_unstable();
        assert_eq!(operations, expected);
        assert!(changes.operations().is_empty());
        changes.record(&writes(&[(b"c", Some(b"4"))]));
        assert_eq!(changes.operations(), [(db::key_path(b"c"), Some(db::value_hash(b"4")))]);
        let all = [("a", None), ("b", Some("")), ("c", Some("4"))];
        let all = all.map(|(k, v)| (k.as_bytes().to_vec(), v.map(|v| v.as_bytes().to_vec())));
        assert_eq!(contents(&changes), all);
    }

    #[test]
    fn what_a_failed_snapshot_gives_back_lies_below_what_came_later() {
        let mut changes = Changes::default();
        changes.record(&writes(&[(b"a", Some(b"1")), (b"b", Some(b"2"))]));
        changes.operations();
        let taken = std::mem::take(&mut changes);
        changes.record(&writes(&[(b"b", None)]));
        changes.restore(taken);
        let all = [(b"a".to_vec(), Some(b"1".to_vec())), (b"b".to_vec(), None)];
        assert_eq!(contents(&changes), all);
        assert_eq!(changes.operations(), [(db::key_path(b"b"), None)]);
    }
}
