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

/// Bytes of keys and values are taken from chunks of this size: a million small allocations less.
const CHUNK_BYTES: usize = 1 << 20;

/// The last change of an object.
struct Change {
    path: KeyPath,
    /// Where its room is, and how much of it.
    chunk: u32,
    at: u32,
    capacity: u32,
    /// The key comes first, then the value. Both are bounded by the storage layer.
    key_length: u32,
    length: u32,
    /// Whether there is a value; without one the object is absent.
    present: bool,
    /// Whether the trie has yet to learn of it.
    pending: bool,
}

impl Change {
    fn new(path: KeyPath) -> Self {
        let (chunk, at, capacity, key_length, length) = (0, 0, 0, 0, 0);
        let (present, pending) = (false, false);
        Self { path, chunk, at, capacity, key_length, length, present, pending }
    }
}

/// A changed object's path, key and value; no value for one that is absent.
pub(crate) type Changed<'a> = (KeyPath, &'a [u8], Option<&'a [u8]>);

/// Changed objects by path.
#[derive(Default)]
pub(crate) struct Changes {
    list: Vec<Change>,
    chunks: Vec<Vec<u8>>,
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
            self.set(place, key, value);
            let change = &mut self.list[place as usize];
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

    fn set(&mut self, place: u32, key: &[u8], value: Option<&[u8]>) {
        let change = &mut self.list[place as usize];
        change.present = value.is_some();
        let value = value.unwrap_or_default();
        let length = key.len() + value.len();
        if length > change.capacity as usize {
            // Some room to grow, so that one that grows does not leave a trail.
            let capacity = (length + length / 4).next_multiple_of(32);
            let left = |chunk: &Vec<u8>| chunk.capacity() - chunk.len();
            if self.chunks.last().is_none_or(|chunk| left(chunk) < capacity) {
                self.chunks.push(Vec::with_capacity(capacity.max(CHUNK_BYTES)));
            }
            let last = self.chunks.len() - 1;
            let chunk = &mut self.chunks[last];
            (change.chunk, change.at) = (last as u32, chunk.len() as u32);
            change.capacity = capacity as u32;
            chunk.resize(chunk.len() + capacity, 0);
        }
        (change.key_length, change.length) = (key.len() as u32, length as u32);
        let room = &mut self.chunks[change.chunk as usize][change.at as usize..];
        room[..key.len()].copy_from_slice(key);
        room[key.len()..length].copy_from_slice(value);
    }

    fn parts(&self, change: &Change) -> (&[u8], Option<&[u8]>) {
        let bytes = match change.length {
            0 => &[],
            length => &self.chunks[change.chunk as usize][change.at as usize..][..length as usize],
        };
        let (key, value) = bytes.split_at(change.key_length as usize);
        (key, change.present.then_some(value))
    }

    /// What the trie has yet to learn, each path once; it counts as learned.
    pub(crate) fn operations(&mut self) -> Vec<(KeyPath, Option<[u8; 32]>)> {
        let mut operations = Vec::with_capacity(self.pending.len());
        for place in std::mem::take(&mut self.pending) {
            let change = &self.list[place as usize];
            operations.push((change.path, self.parts(change).1.map(db::value_hash)));
            self.list[place as usize].pending = false;
        }
        operations
    }

    /// Puts changes back that were taken before these were made.
    pub(crate) fn restore(&mut self, older: &Self) {
        for change in &older.list {
            if !self.places.contains_key(&change.path) {
                let place = self.place(change.path);
                let (key, value) = older.parts(change);
                self.set(place, key, value);
            }
        }
    }

    /// Paths, keys and values in path order: what a snapshot merges.
    pub(crate) fn sorted(&self) -> Vec<Changed<'_>> {
        let mut sorted = Vec::with_capacity(self.list.len());
        for change in &self.list {
            let (key, value) = self.parts(change);
            sorted.push((change.path, key, value));
        }
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
        let own = |(_, key, value): &Changed<'_>| (key.to_vec(), value.map(<[u8]>::to_vec));
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
        changes.restore(&taken);
        let all = [(b"a".to_vec(), Some(b"1".to_vec())), (b"b".to_vec(), None)];
        assert_eq!(contents(&changes), all);
        assert_eq!(changes.operations(), [(db::key_path(b"b"), None)]);
    }

    #[test]
    fn values_of_any_length_come_back_as_a_map_has_them() {
        let mut changes = Changes::default();
        let mut twin = std::collections::BTreeMap::new();
        for round in 0..200u32 {
            let key = (round * 7 % 13).to_le_bytes();
            let length = [0, 1, 40, 300, 2 << 20][round as usize * 11 % 5];
            let value = vec![round as u8; if round % 40 == 0 { length } else { length % 1_000 }];
            let value = (round % 6 != 0).then_some(&value[..]);
            changes.record(&writes(&[(&key, value)]));
            twin.insert(key.to_vec(), value.map(<[u8]>::to_vec));
            if round % 50 == 0 {
                changes.operations();
            }
        }
        assert_eq!(contents(&changes), twin.into_iter().collect::<Vec<_>>());
    }
}
