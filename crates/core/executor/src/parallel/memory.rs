//! The memory of a batch that is being executed: each value with its versions.
//!
//! A key has what it was before the batch, and for each transaction that wrote it what that wrote, in
//! the order of the transactions. A transaction sees the highest version below its own index, and what
//! was added to it since. The keys are spread over shards, each with a lock that is held for one key at a
//! time.
//!
//! * Who looked at a value that somebody has written is kept beside it. A write says at once whose reads it
//!   makes wrong, so nobody has to look for that again and again. Values that nobody has written, most of
//!   them, are not kept here: who read one before its first write is found out when its turn comes.
//! * The writes of an execution that was found wrong stay as *estimates*: whoever would read one
//!   waits for that transaction instead.

use super::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use alloc::boxed::Box;
use alloc::vec::Vec;
use atoll_vm::parallel::{Aspect, Batch, Change, Read, Version};
use core::fmt::Debug;
use core::hash::{BuildHasher, Hash};
use core::ops::Range;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::PoisonError;

/// Words of the bits of written keys, for each shard.
const WORDS_PER_SHARD: usize = 8;
/// Cells of which a shard keeps the memory for the next batch.
const CELLS_KEPT_MAX: usize = 1 << 12;

/// One version of a value.
#[derive(Debug)]
struct Entry<V> {
    index: u32,
    incarnation: u32,
    estimate: bool,
    change: Change<V>,
}

/// Who looked at a value.
#[derive(Debug)]
struct Reader {
    index: u32,
    incarnation: u32,
    aspect: Aspect,
}

#[derive(Debug)]
struct Cell<V> {
    /// Before the batch; `None` as long as nobody has read it.
    base: Option<V>,
    /// By index.
    entries: Entries<V>,
    /// By index. Not whose reads are known to be wrong.
    readers: SmallVec<[Reader; 2]>,
}

/// Most values are written once in a batch: that takes no memory of its own.
type Entries<V> = SmallVec<[Entry<V>; 1]>;

impl<V> Default for Cell<V> {
    fn default() -> Self {
        Self { base: None, entries: SmallVec::new(), readers: SmallVec::new() }
    }
}

type Cells<K, V> = HashMap<K, Cell<V>, foldhash::fast::FixedState>;

/// Versions of all values; see the [module](self).
#[derive(Debug)]
pub(super) struct Memory<K, V> {
    shards: Box<[Mutex<Cells<K, V>>]>,
    /// A bit for the hash of each key that was written: most keys are not, and need no lock. A write that
    /// a reader has not seen here yet is found when the reader's turn comes, like any other.
    written: Box<[AtomicU64]>,
    hasher: foldhash::fast::FixedState,
}

/// Why a value is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Awaited {
    /// The transaction whose version is an estimate.
    pub(super) index: usize,
}

/// An execution that read what is no longer there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outdated<K> {
    pub(super) reader: Version,
    pub(super) key: K,
}

impl<V: Clone> Cell<V> {
    /// How many entries are by transactions before `index`.
    fn below(&self, index: u32) -> usize {
        self.entries.partition_point(|entry| entry.index < index)
    }

    /// What a transaction sees. `None` as long as the base is needed and not known.
    fn see<B>(&self, index: u32, aspect: Aspect) -> Option<Result<V, Awaited>>
    where
        B: Batch<Value = V> + ?Sized,
    {
        let below = &self.entries[..self.below(index)];
        let mut from = below.len();
        let mut start = None;
        while from > 0 && start.is_none() {
            let entry = &below[from - 1];
            if entry.estimate && aspect == Aspect::Whole {
                return Some(Err(Awaited { index: entry.index as usize }));
            }
            if let Change::Set(value) = &entry.change {
                start = Some(value.clone());
            } else {
                from -= 1;
            }
        }
        let mut value = match start {
            Some(start) => start,
            None => self.base.clone()?,
        };
        for entry in &below[from..] {
            if let Change::Add(addend) = &entry.change {
                // What does not fit is found in serial order.
                value = B::sum(&value, addend).unwrap_or(value);
            }
        }
        Some(Ok(value))
    }

    /// From then on a transaction is told when what it looked at changes.
    fn register(&mut self, reader: Reader) {
        match self.readers.binary_search_by_key(&reader.index, |known| known.index) {
            Ok(at) => {
                let known = &mut self.readers[at];
                let again = known.incarnation == reader.incarnation;
                let before = if again { known.aspect } else { Aspect::Nothing };
                *known = Reader { aspect: reader.aspect.max(before), ..reader };
            }
            Err(at) => self.readers.insert(at, reader),
        }
    }

    /// Which readers see a change by this transaction: those after it, up to the next that replaces the
    /// value.
    fn readers_of(&self, index: u32) -> Range<usize> {
        let from = self.readers.partition_point(|reader| reader.index <= index);
        if from == self.readers.len() {
            return from..from;
        }
        let above = &self.entries[self.below(index + 1)..];
        let next = above.iter().find(|entry| matches!(entry.change, Change::Set(_)));
        let until = next.map_or(u32::MAX, |entry| entry.index);
        from..self.readers.partition_point(|reader| reader.index <= until)
    }

    /// Changes what a transaction wrote, and says whose reads are wrong by that: who sees it, and does not
    /// take it for the same. The change is given all entries, and where the transaction's is or would be.
    fn change<B>(
        &mut self,
        index: u32,
        change: impl FnOnce(&mut Entries<V>, Result<usize, usize>),
    ) -> Vec<Version>
    where
        B: Batch<Value = V> + ?Sized,
    {
        let change = |cell: &mut Self| {
            let at = cell.entries.binary_search_by_key(&index, |entry| entry.index);
            change(&mut cell.entries, at);
        };
        let seeing = self.readers_of(index);
        if seeing.is_empty() {
            change(self);
            return Vec::new();
        }
        let see = |cell: &Self| cell.see::<B>(index + 1, Aspect::Nothing).and_then(Result::ok);
        let before = see(self);
        change(self);
        let after = see(self);
        let same = |reader: &Reader| match (&before, &after) {
            (Some(before), Some(after)) => B::same(reader.aspect, before, after),
            // Nobody has asked what was there before the batch: who looked saw something else.
            (before, _) => before.is_none(),
        };
        let (mut wrong, mut at) = (Vec::new(), seeing.start);
        for _ in seeing {
            if same(&self.readers[at]) {
                at += 1;
            } else {
                let Reader { index, incarnation, .. } = self.readers.remove(at);
                wrong.push(Version { index: index as usize, incarnation });
            }
        }
        wrong
    }
}

impl<K: Copy + Eq + Hash + Ord + Debug, V: Clone> Memory<K, V> {
    /// `seed` keys the index, so that keys chosen by an attacker do not collide.
    pub(super) fn new(shards: usize, seed: u64) -> Self {
        let hasher = foldhash::fast::FixedState::with_seed(seed);
        let hasher_of_shard = foldhash::fast::FixedState::with_seed(!seed);
        let shard = |_| Mutex::new(HashMap::with_hasher(hasher_of_shard.clone()));
        let shards = shards.next_power_of_two();
        let written = (0..shards * WORDS_PER_SHARD).map(|_| AtomicU64::new(0)).collect();
        Self { shards: (0..shards).map(shard).collect(), written, hasher }
    }

    fn hash(&self, key: &K) -> usize {
        self.hasher.hash_one(key) as usize
    }

    fn shard(&self, hash: usize) -> MutexGuard<'_, Cells<K, V>> {
        let at = hash & (self.shards.len() - 1);
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The word of a key's bit, and the bit.
    fn bit(&self, hash: usize) -> (&AtomicU64, u64) {
        let word = &self.written[(hash >> 16) & (self.written.len() - 1)];
        (word, 1 << ((hash >> 10) & 63))
    }

    /// Whether a key may have been written.
    fn may_be_written(&self, hash: usize) -> bool {
        let (word, bit) = self.bit(hash);
        word.load(Ordering::Acquire) & bit != 0
    }

    /// Forgets everything, or one part of so many.
    pub(super) fn clear(&self, part: usize, parts: usize) {
        for shard in self.shards.iter().skip(part).step_by(parts) {
            let mut cells = shard.lock().unwrap_or_else(PoisonError::into_inner);
            cells.clear();
            cells.shrink_to(CELLS_KEPT_MAX);
        }
        let words = self.written.iter().skip(part).step_by(parts);
        words.for_each(|word| word.store(0, Ordering::Release));
    }

    /// What a transaction sees. If somebody has written it, the transaction is among the readers from then
    /// on, unless it looks at nothing; what nobody has written is not kept here at all.
    pub(super) fn see<B>(
        &self,
        batch: &B,
        by: Version,
        key: &K,
        aspect: Aspect,
    ) -> Result<V, Awaited>
    where
        B: Batch<Key = K, Value = V> + ?Sized,
    {
        let (index, hash) = (by.index as u32, self.hash(key));
        let mut base = None;
        if !self.may_be_written(hash) {
            return Ok(batch.base(key));
        }
        loop {
            let mut cells = self.shard(hash);
            let Some(cell) = cells.get_mut(key) else {
                // The state may be slow: nobody else waits for it.
                drop(cells);
                return Ok(base.unwrap_or_else(|| batch.base(key)));
            };
            if let Some(base) = base.take() {
                cell.base.get_or_insert(base);
            }
            match cell.see::<B>(index, aspect) {
                Some(seen) => {
                    if aspect > Aspect::Nothing && seen.is_ok() {
                        cell.register(Reader { index, incarnation: by.incarnation, aspect });
                    }
                    return seen;
                }
                None => {
                    drop(cells);
                    base = Some(batch.base(key));
                }
            }
        }
    }

    /// The transaction whose estimate would have to be awaited by who reads this now.
    pub(super) fn awaited(&self, index: usize, key: &K) -> Option<usize> {
        let hash = self.hash(key);
        if !self.may_be_written(hash) {
            return None;
        }
        let cells = self.shard(hash);
        let cell = cells.get(key)?;
        let last = cell.entries[..cell.below(index as u32)].last()?;
        last.estimate.then_some(last.index as usize)
    }

    /// Whether what a transaction read is what it would see now.
    pub(super) fn holds<B>(&self, batch: &B, index: usize, read: &Read<K, V>) -> bool
    where
        B: Batch<Key = K, Value = V> + ?Sized,
    {
        let hash = self.hash(&read.key);
        if read.aspect == Aspect::Nothing || !self.may_be_written(hash) {
            return true;
        }
        let mut base = None;
        loop {
            let mut cells = self.shard(hash);
            // What nobody has written yet is what it was.
            let Some(cell) = cells.get_mut(&read.key) else { return true };
            if let Some(base) = base.take() {
                cell.base.get_or_insert(base);
            }
            match cell.see::<B>(index as u32, read.aspect) {
                Some(Ok(seen)) => return B::same(read.aspect, &seen, &read.value),
                Some(Err(_)) => return false,
                None => {
                    drop(cells);
                    base = Some(batch.base(&read.key));
                }
            }
        }
    }

    /// Changes what a transaction wrote to a key ([`Cell::change`]).
    fn change<B>(
        &self,
        index: u32,
        key: &K,
        found: &mut Vec<Outdated<K>>,
        change: impl FnOnce(&mut Entries<V>, Result<usize, usize>),
    ) where
        B: Batch<Key = K, Value = V> + ?Sized,
    {
        let hash = self.hash(key);
        let (word, bit) = self.bit(hash);
        word.fetch_or(bit, Ordering::AcqRel);
        let mut cells = self.shard(hash);
        let cell = cells.entry(*key).or_default();
        let wrong = cell.change::<B>(index, change);
        found.extend(wrong.into_iter().map(|reader| Outdated { reader, key: *key }));
    }

    /// Makes the writes of an execution visible in place of those of the one before, whose keys are
    /// `old`. Says whose reads are wrong by that.
    pub(super) fn publish<B>(
        &self,
        by: Version,
        old: &[K],
        writes: &[(K, Change<V>)],
    ) -> Vec<Outdated<K>>
    where
        B: Batch<Key = K, Value = V> + ?Sized,
    {
        let mut found = Vec::new();
        let (index, incarnation) = (by.index as u32, by.incarnation);
        for (key, change) in writes {
            let new = Entry { index, incarnation, estimate: false, change: change.clone() };
            self.change::<B>(index, key, &mut found, |entries, at| match at {
                Ok(at) => entries[at] = new,
                Err(at) => entries.insert(at, new),
            });
        }
        if !old.is_empty() {
            let mut new: Vec<K> = writes.iter().map(|(key, _)| *key).collect();
            new.sort_unstable();
            for key in old.iter().filter(|key| new.binary_search(key).is_err()) {
                self.remove::<B>(index, key, &mut found);
            }
        }
        found
    }

    fn remove<B>(&self, index: u32, key: &K, found: &mut Vec<Outdated<K>>)
    where
        B: Batch<Key = K, Value = V> + ?Sized,
    {
        self.change::<B>(index, key, found, |entries, at| {
            if let Ok(at) = at {
                entries.remove(at);
            }
        });
    }

    /// Takes back the writes of a transaction. Says whose reads are wrong by that.
    pub(super) fn withdraw<B>(&self, index: usize, keys: &[K]) -> Vec<Outdated<K>>
    where
        B: Batch<Key = K, Value = V> + ?Sized,
    {
        let mut found = Vec::new();
        keys.iter().for_each(|key| self.remove::<B>(index as u32, key, &mut found));
        found
    }

    /// Makes estimates of the writes of an execution.
    pub(super) fn estimate(&self, by: Version, keys: &[K]) {
        for key in keys {
            let mut cells = self.shard(self.hash(key));
            let entries = cells.get_mut(key).map(|cell| &mut cell.entries);
            let mut entries = entries.into_iter().flatten();
            let own =
                entries.find(|e| e.index as usize == by.index && e.incarnation == by.incarnation);
            if let Some(entry) = own {
                entry.estimate = true;
            }
        }
    }

    /// Puts the sum in place of what a transaction adds, all before it being final. False if it does not
    /// fit.
    pub(super) fn settle<B>(&self, batch: &B, index: usize, key: &K) -> bool
    where
        B: Batch<Key = K, Value = V> + ?Sized,
    {
        let mut base = None;
        loop {
            let mut cells = self.shard(self.hash(key));
            let Some(cell) = cells.get_mut(key) else { return true };
            if let Some(base) = base.take() {
                cell.base.get_or_insert(base);
            }
            let own = cell.entries.binary_search_by_key(&(index as u32), |entry| entry.index);
            let Ok(own) = own else { return true };
            let Change::Add(addend) = &cell.entries[own].change else { return true };
            match cell.see::<B>(index as u32, Aspect::Nothing) {
                Some(Ok(seen)) => {
                    let sum = B::sum(&seen, addend);
                    let fits = sum.is_some();
                    if let Some(sum) = sum {
                        cell.entries[own].change = Change::Set(sum);
                    }
                    return fits;
                }
                Some(Err(_)) => return false,
                None => {
                    drop(cells);
                    base = Some(batch.base(key));
                }
            }
        }
    }
}
