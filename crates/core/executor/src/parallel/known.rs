//! What one thread knows of a batch's values: which write of the line was the last of each, and what its own
//! executions wrote that are not final yet.
//!
//! No other thread looks at it, so there are no locks and no cache lines that go from core to core. What
//! others have written comes from the line of final results, in order. Values stay where they were written; here
//! is only where that is, so that what is known of some thousand keys fits a core's cache.

use super::sync::Once;
use alloc::boxed::Box;
use alloc::vec::Vec;
use atoll_state::index::Index;
use atoll_vm::parallel::{Access, Aspect, Batch, Change, Read};
use core::fmt::Debug;
use core::hash::BuildHasher;
use core::hash::Hash;
use core::time::Duration;
use smallvec::SmallVec;

/// Keys of which memory is kept for the next batch.
const KEYS_KEPT_MAX: usize = 1 << 14;

/// An execution.
pub(super) struct Kept<B: Batch> {
    pub(super) access: Access<B>,
    /// Where the keys of its writes are found.
    pub(super) places: Places,
    pub(super) output: B::Output,
    pub(super) time: Duration,
    /// Whether all before was final, and known, when it began.
    pub(super) holds: bool,
}

/// A final result.
pub(super) struct Final<B: Batch> {
    /// None if it was refused.
    pub(super) kept: Option<Box<Kept<B>>>,
    /// What its additions come to, one after the other.
    pub(super) sums: Vec<B::Value>,
}

/// What was written by transactions, by index.
pub(super) struct Written<'a, B: Batch> {
    /// Final results.
    pub(super) line: &'a [Once<Final<B>>],
    /// Own executions that are not final.
    pub(super) own: &'a [Option<Box<Kept<B>>>],
}

/// Where a write lies.
#[derive(Clone, Copy, Debug)]
struct At {
    /// Index of the transaction.
    by: u32,
    /// The so-manieth of its writes, or with [`SUM`] of its sums.
    place: u32,
}

const SUM: u32 = 1 << 31;

/// Where a key that was written is found, by each thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its hash, which is the same for all threads.
    hash: u32,
    /// The so-manieth entry of the thread that wrote it.
    entry: u32,
}

/// Those of a transaction's writes, in their order.
pub(super) type Places = SmallVec<[Place; 12]>;

/// A key that somebody has written.
#[derive(Debug)]
struct Entry<K> {
    key: K,
    /// What is final; none if nobody's write is.
    last: Option<At>,
    /// Writes of own executions that are not final, by index.
    ahead: SmallVec<[At; 2]>,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Known<K> {
    index: Index,
    entries: Vec<Entry<K>>,
    hasher: foldhash::fast::FixedState,
}

impl<B: Batch> Kept<B> {
    /// Where the final values of its writes lie, in their order.
    fn finals(&self, index: usize) -> impl Iterator<Item = At> {
        let (by, mut sums) = (index as u32, 0);
        self.access.writes.iter().enumerate().map(move |(place, (_, change))| match change {
            Change::Set(_) => At { by, place: place as u32 },
            Change::Add(_) => {
                sums += 1;
                At { by, place: SUM | (sums - 1) }
            }
        })
    }
}

impl<B: Batch> Written<'_, B> {
    /// A final value.
    fn last(&self, at: At) -> &B::Value {
        let result = self.line[at.by as usize].get().expect("what is known is final");
        if at.place & SUM > 0 {
            return &result.sums[(at.place & !SUM) as usize];
        }
        let kept = result.kept.as_ref().expect("what was refused wrote nothing");
        match &kept.access.writes[at.place as usize].1 {
            Change::Set(value) => value,
            Change::Add(_) => unreachable!("of an addition the sum is known"),
        }
    }

    /// A write of an own execution.
    fn ahead(&self, at: At) -> &Change<B::Value> {
        let kept = self.own[at.by as usize].as_ref().expect("what it wrote ahead is there");
        &kept.access.writes[at.place as usize].1
    }
}

impl<K: Copy + Eq + Hash + Ord + Debug> Known<K> {
    /// `seed` keys the index, so that keys chosen by an attacker do not collide. It is the same for all threads.
    pub(super) fn new(seed: u64) -> Self {
        let hasher = foldhash::fast::FixedState::with_seed(seed);
        Self { index: Index::default(), entries: Vec::new(), hasher }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        if self.entries.capacity() > KEYS_KEPT_MAX {
            (self.index, self.entries) = (Index::default(), Vec::new());
        }
        self.index.clear();
        self.entries.clear();
    }

    fn hash(&self, key: &K) -> u32 {
        self.hasher.hash_one(key) as u32
    }

    fn find(&self, key: &K) -> Option<&Entry<K>> {
        let same = |at: u32| self.entries[at as usize].key == *key;
        self.index.find(self.hash(key), same).map(|at| &self.entries[at as usize])
    }

    /// The entry of a key with this hash, which is made if there is none.
    fn enter(&mut self, hash: u32, key: &K) -> usize {
        let same = |at: u32| self.entries[at as usize].key == *key;
        if let Some(at) = self.index.find(hash, same) {
            return at as usize;
        }
        let at = self.entries.len();
        self.index.insert(hash, at as u32);
        self.entries.push(Entry { key: *key, last: None, ahead: SmallVec::new() });
        at
    }

    /// Where the keys of an own execution's writes are found.
    pub(super) fn places<V>(&mut self, writes: &[(K, Change<V>)]) -> Places {
        let place = |(key, _): &(K, Change<V>)| {
            let hash = self.hash(key);
            Place { hash, entry: self.enter(hash, key) as u32 }
        };
        writes.iter().map(place).collect()
    }

    /// What a transaction sees.
    pub(super) fn see<B>(
        &self,
        batch: &B,
        written: &Written<'_, B>,
        index: usize,
        key: &K,
    ) -> B::Value
    where
        B: Batch<Key = K>,
    {
        let Some(Entry { last, ahead, .. }) = self.find(key) else { return batch.base(key) };
        let before = ahead.partition_point(|at| (at.by as usize) < index);
        let ahead = ahead[..before].iter().map(|at| written.ahead(*at));
        let from = ahead.clone().rposition(|change| matches!(change, Change::Set(_)));
        let mut ahead = ahead.skip(from.unwrap_or_default());
        let mut seen = match (from.and_then(|_| ahead.next()), last) {
            (Some(Change::Set(value)), _) => value.clone(),
            (_, Some(at)) => written.last(*at).clone(),
            (_, None) => batch.base(key),
        };
        for change in ahead {
            if let Change::Add(addend) = change {
                // What does not fit is found when its turn comes.
                seen = B::sum(&seen, addend).unwrap_or(seen);
            }
        }
        seen
    }

    /// Whether what a transaction looked at is what is final, all before it being so.
    pub(super) fn holds<B>(
        &self,
        batch: &B,
        written: &Written<'_, B>,
        read: &Read<K, B::Value>,
    ) -> bool
    where
        B: Batch<Key = K>,
    {
        if read.aspect == Aspect::Nothing {
            return true;
        }
        // Of what is not here nobody has written anything, this thread included.
        self.find(&read.key).is_none_or(|entry| match entry.last {
            Some(at) => B::same(read.aspect, written.last(at), &read.value),
            None => B::same(read.aspect, &batch.base(&read.key), &read.value),
        })
    }

    /// Who has written a value last, of those that are final.
    pub(super) fn writer(&self, key: &K) -> Option<usize> {
        self.find(key)?.last.map(|at| at.by as usize)
    }

    /// An own execution wrote there, whose turn has not come.
    pub(super) fn write_ahead(&mut self, index: usize, places: &[Place]) {
        let by = index as u32;
        for (place, Place { entry, .. }) in places.iter().enumerate() {
            let ahead = &mut self.entries[*entry as usize].ahead;
            let at = At { by, place: place as u32 };
            match ahead.binary_search_by_key(&by, |at| at.by) {
                Ok(found) => ahead[found] = at,
                Err(found) => ahead.insert(found, at),
            }
        }
    }

    /// Takes that back.
    pub(super) fn take_back(&mut self, index: usize, places: &[Place]) {
        for Place { entry, .. } in places {
            self.entries[*entry as usize].ahead.retain(|at| at.by as usize != index);
        }
    }

    /// What additions come to, each in its turn, all before being final; none if one does not fit.
    pub(super) fn sums<B>(
        &self,
        batch: &B,
        written: &Written<'_, B>,
        kept: &Kept<B>,
    ) -> Option<Vec<B::Value>>
    where
        B: Batch<Key = K>,
    {
        let mut sums = Vec::new();
        for ((key, change), place) in kept.access.writes.iter().zip(&kept.places) {
            if let Change::Add(addend) = change {
                let sum = match self.entries[place.entry as usize].last {
                    Some(at) => B::sum(written.last(at), addend),
                    None => B::sum(&batch.base(key), addend),
                };
                sums.push(sum?);
            }
        }
        Some(sums)
    }

    /// What an own execution wrote is final: its values, and in place of additions what they come to.
    pub(super) fn write<B: Batch<Key = K>>(&mut self, index: usize, kept: &Kept<B>) {
        for (at, place) in kept.finals(index).zip(&kept.places) {
            let entry = &mut self.entries[place.entry as usize];
            entry.last = Some(at);
            entry.ahead.retain(|other| other.by != at.by);
        }
    }

    /// The same of another thread's.
    pub(super) fn learn<B: Batch<Key = K>>(&mut self, index: usize, kept: &Kept<B>) {
        let keys = kept.access.writes.iter().zip(&kept.places);
        for (at, ((key, _), place)) in kept.finals(index).zip(keys) {
            let entry = self.enter(place.hash, key);
            self.entries[entry].last = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn keys_of_one_hash_are_told_apart() {
        let mut known = Known::new(7);
        let mut seen = HashMap::new();
        let twins = (0_u64..).find_map(|key| Some((seen.insert(known.hash(&key), key)?, key)));
        let (one, other) = twins.expect("of some hundred thousand keys two have the same hash");
        let hash = known.hash(&one);
        assert_eq!(known.enter(hash, &one), 0);
        assert!(known.find(&other).is_none());
        assert_eq!(known.enter(hash, &other), 1);
        assert_eq!(known.enter(hash, &one), 0);
        assert_eq!(known.find(&other).map(|entry| entry.key), Some(other));
        known.clear();
        assert!(known.find(&one).is_none());
    }
}
