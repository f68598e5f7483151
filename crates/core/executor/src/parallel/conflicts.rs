//! Which keys made transactions of a batch depend on one another, by what they read and wrote.
//!
//! A transaction depends on those whose writes it looked at. Which that are follows from the order alone:
//! it is the same at any number of threads. How often somebody had to wait or was executed again is of one
//! run.

use super::Clash;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use atoll_vm::parallel::{Access, Aspect, Batch, Change};

/// A key that one transaction wrote and a later one looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict<K> {
    /// The key.
    pub key: K,
    /// Transactions that wrote it and were looked at.
    pub writers: Vec<usize>,
    /// Transactions that looked at what others in the batch had written.
    pub readers: Vec<usize>,
    /// How often somebody waited or was executed again because of it.
    pub clashes: usize,
}

/// What made transactions of a batch depend on one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflicts<K> {
    /// The keys, those with most readers first.
    pub keys: Vec<Conflict<K>>,
    /// Work of each transaction (gas).
    pub work: Vec<u64>,
    /// The transactions that have to be executed one after the other and make up most work.
    pub chain: Vec<usize>,
}

/// Who wrote a key so far.
#[derive(Default)]
struct Writers {
    set: Option<usize>,
    added: Vec<usize>,
}

impl<K: Copy + Ord> Conflicts<K> {
    /// Of transactions in their order, with the work of each.
    pub fn of<B>(accesses: &[Access<B>], work: Vec<u64>, clashes: &[Clash<K>]) -> Self
    where
        B: Batch<Key = K>,
    {
        let mut written: BTreeMap<K, Writers> = BTreeMap::new();
        let mut met: BTreeMap<K, (BTreeSet<usize>, BTreeSet<usize>)> = BTreeMap::new();
        // The most work that ends with each, and who is before it there.
        let mut ends: Vec<(u64, Option<usize>)> = Vec::with_capacity(accesses.len());
        for (index, access) in accesses.iter().enumerate() {
            let mut before: Option<usize> = None;
            for read in access.reads.iter().filter(|read| read.aspect > Aspect::Nothing) {
                let Some(writers) = written.get(&read.key) else { continue };
                let (by, of) = met.entry(read.key).or_default();
                of.insert(index);
                for writer in writers.set.iter().chain(&writers.added) {
                    by.insert(*writer);
                    if before.is_none_or(|before| ends[before].0 < ends[*writer].0) {
                        before = Some(*writer);
                    }
                }
            }
            let own = work.get(index).copied().unwrap_or_default();
            ends.push((before.map_or(0, |before| ends[before].0) + own, before));
            for (key, change) in &access.writes {
                let writers = written.entry(*key).or_default();
                match change {
                    Change::Set(_) => *writers = Writers { set: Some(index), added: Vec::new() },
                    Change::Add(_) => writers.added.push(index),
                }
            }
        }
        let mut keys: Vec<_> = met
            .into_iter()
            .map(|(key, (by, of))| Conflict {
                key,
                writers: by.into_iter().collect(),
                readers: of.into_iter().collect(),
                clashes: clashes.iter().filter(|clash| clash.key == key).count(),
            })
            .collect();
        keys.sort_by_key(|conflict| core::cmp::Reverse(conflict.readers.len()));
        let mut chain = Vec::new();
        let mut at = (0..ends.len()).max_by_key(|index| ends[*index].0);
        while let Some(index) = at {
            chain.push(index);
            at = ends[index].1;
        }
        chain.reverse();
        Self { keys, work, chain }
    }

    /// How many times as fast any number of threads could be at most.
    pub fn speedup_max(&self) -> f64 {
        let chain: u64 = self.chain.iter().map(|index| self.work[*index]).sum();
        let all: u64 = self.work.iter().sum();
        ratio(all, chain)
    }
}

#[allow(clippy::float_arithmetic, reason = "for people to read")]
fn ratio(all: u64, part: u64) -> f64 {
    if part == 0 { 1.0 } else { all as f64 / part as f64 }
}
