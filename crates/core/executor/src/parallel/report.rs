//! What a parallel execution says about itself.

use super::sync::Mutex;
use alloc::vec::Vec;
use core::time::Duration;
use std::sync::PoisonError;

/// One transaction that had to wait for another one, or was executed again because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clash<K> {
    /// Over what.
    pub key: K,
    /// Index of the one that writes it.
    pub by: usize,
    /// Index of the one that reads it.
    pub of: usize,
    /// Whether it waited; else it had read what was replaced, and was executed again.
    pub waited: bool,
}

/// Clashes while a batch is executed, the first so many.
#[derive(Debug)]
pub(super) struct Clashes<K> {
    most: usize,
    found: Mutex<Vec<Clash<K>>>,
}

impl<K> Clashes<K> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, found: Mutex::new(Vec::new()) }
    }

    /// Notes one, if there is room.
    pub(super) fn note(&self, clash: impl FnOnce() -> Clash<K>) {
        if self.most > 0 {
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            if found.len() < self.most {
                found.push(clash());
            }
        }
    }

    pub(super) fn into_found(self) -> Vec<Clash<K>> {
        self.found.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a parallel execution says about itself: differs from run to run.
#[derive(Clone, Debug)]
pub struct Report<K> {
    /// How many transactions are final.
    pub settled: usize,
    /// How often a transaction was executed, in vain or not.
    pub executions: usize,
    /// Time of those executions that count, on all threads together.
    pub useful: Duration,
    /// Clashes, the first so many as [`super::Limits::clashes_max`] says.
    pub clashes: Vec<Clash<K>>,
}

impl<K> Default for Report<K> {
    fn default() -> Self {
        Self { settled: 0, executions: 0, useful: Duration::ZERO, clashes: Vec::new() }
    }
}

impl<K> Report<K> {
    /// Adds that of a batch which begins with this transaction.
    pub(super) fn add(&mut self, of: Self, first: usize) {
        self.settled += of.settled;
        self.executions += of.executions;
        self.useful += of.useful;
        let shifted = |clash: Clash<K>| {
            let (by, of) = (first + clash.by, first + clash.of);
            Clash { by, of, ..clash }
        };
        self.clashes.extend(of.clashes.into_iter().map(shifted));
    }

    /// How many executions were in vain.
    pub fn in_vain(&self) -> usize {
        self.executions.saturating_sub(self.settled)
    }
}
