//! What one thread knows of a batch's values: what is final, and what its own executions wrote that are
//! not final yet.
//!
//! No other thread looks at it, so there are no locks and no cache lines that go from core to core. What
//! others have written comes from the line of final results, in order.

use alloc::vec::Vec;
use atoll_vm::parallel::{Aspect, Batch, Change, Read};
use core::fmt::Debug;
use core::hash::Hash;
use smallvec::SmallVec;
use std::collections::HashMap;

/// Values of which memory is kept for the next batch.
const VALUES_KEPT_MAX: usize = 1 << 16;

#[derive(Debug)]
struct Value<V> {
    /// What is final, and whose it is; none if nobody has written it.
    last: Option<(u32, V)>,
    /// What own executions wrote that are not final, by index.
    ahead: SmallVec<[(u32, Change<V>); 1]>,
}

impl<V> Default for Value<V> {
    fn default() -> Self {
        Self { last: None, ahead: SmallVec::new() }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Known<K, V> {
    values: HashMap<K, Value<V>, foldhash::fast::FixedState>,
}

impl<K: Copy + Eq + Hash + Ord + Debug, V: Clone> Known<K, V> {
    /// `seed` keys the index, so that keys chosen by an attacker do not collide.
    pub(super) fn new(seed: u64) -> Self {
        Self { values: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(seed)) }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.values.shrink_to(VALUES_KEPT_MAX);
    }

    /// What a transaction sees.
    pub(super) fn see<B>(&self, batch: &B, index: usize, key: &K) -> V
    where
        B: Batch<Key = K, Value = V> + ?Sized,
    {
        let Some(value) = self.values.get(key) else { return batch.base(key) };
        let ahead = &value.ahead[..value.ahead.partition_point(|(by, _)| (*by as usize) < index)];
        let is_set = |(_, change): &(u32, Change<V>)| matches!(change, Change::Set(_));
        let from = ahead.iter().rposition(is_set);
        let mut seen = match (from.map(|from| &ahead[from].1), &value.last) {
            (Some(Change::Set(value)), _) | (_, Some((_, value))) => value.clone(),
            _ => batch.base(key),
        };
        for (_, change) in &ahead[from.map_or(0, |from| from + 1)..] {
            if let Change::Add(addend) = change {
                // What does not fit is found when its turn comes.
                seen = B::sum(&seen, addend).unwrap_or(seen);
            }
        }
        seen
    }

    /// Whether what a transaction looked at is what is final, all before it being so.
    pub(super) fn holds<B>(&self, batch: &B, read: &Read<K, V>) -> bool
    where
        B: Batch<Key = K, Value = V> + ?Sized,
    {
        if read.aspect == Aspect::Nothing {
            return true;
        }
        // Of what is not here nobody has written anything, this thread included.
        self.values.get(&read.key).is_none_or(|value| match &value.last {
            Some((_, last)) => B::same(read.aspect, last, &read.value),
            None => B::same(read.aspect, &batch.base(&read.key), &read.value),
        })
    }

    /// Who has written a value last, of those that are final.
    pub(super) fn writer(&self, key: &K) -> Option<usize> {
        self.values.get(key)?.last.as_ref().map(|(by, _)| *by as usize)
    }

    /// What an own execution wrote, whose turn has not come.
    pub(super) fn write_ahead(&mut self, index: usize, writes: &[(K, Change<V>)]) {
        let by = index as u32;
        for (key, change) in writes {
            let ahead = &mut self.values.entry(*key).or_default().ahead;
            match ahead.binary_search_by_key(&by, |(by, _)| *by) {
                Ok(at) => ahead[at].1 = change.clone(),
                Err(at) => ahead.insert(at, (by, change.clone())),
            }
        }
    }

    /// Takes that back.
    pub(super) fn take_back(&mut self, index: usize, writes: &[(K, Change<V>)]) {
        for (key, _) in writes {
            if let Some(value) = self.values.get_mut(key) {
                value.ahead.retain(|(by, _)| *by as usize != index);
            }
        }
    }

    /// What additions come to, each in its turn, all before being final; none if one does not fit.
    pub(super) fn sums<B>(&self, batch: &B, writes: &[(K, Change<V>)]) -> Option<Vec<V>>
    where
        B: Batch<Key = K, Value = V> + ?Sized,
    {
        let mut sums = Vec::new();
        for (key, change) in writes {
            if let Change::Add(addend) = change {
                let last = self.values.get(key).and_then(|value| value.last.as_ref());
                let sum = match last {
                    Some((_, last)) => B::sum(last, addend),
                    None => B::sum(&batch.base(key), addend),
                };
                sums.push(sum?);
            }
        }
        Some(sums)
    }

    /// What a transaction wrote is final: its values, and in place of additions what they come to.
    pub(super) fn write(&mut self, index: usize, writes: &[(K, Change<V>)], sums: &[V]) {
        let mut sums = sums.iter();
        for (key, change) in writes {
            let value = match change {
                Change::Set(value) => Some(value),
                Change::Add(_) => sums.next(),
            };
            if let Some(value) = value {
                self.values.entry(*key).or_default().last = Some((index as u32, value.clone()));
            }
        }
    }
}
