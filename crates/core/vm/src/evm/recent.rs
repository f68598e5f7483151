//! States of the last blocks, for questions about them: what each block changed, as it was before.
//!
//! Beside the objects and never part of a result. An environment keeps nothing unless it is told to
//! ([`crate::Vm::keep_recent`]): replicas and proof guests answer no questions. After a restart it is
//! empty and fills again.

use super::objects::{Account, AccountKey, Block, EvmTables, Singleton, SlotKey, StorageSlot};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use atoll_state::{Object, Source, Table};
use core::mem::size_of;

/// Most blocks that are kept, however little they change: a question looks through all of them.
pub const RECENT_BLOCKS_MAX: usize = 1024;

/// What a block changed, as it was before it.
#[derive(Debug)]
pub(super) struct Changed {
    number: u64,
    /// The counters of the block before.
    before: Block,
    /// By key.
    accounts: Vec<(AccountKey, Account)>,
    /// By key.
    storage: Vec<(SlotKey, StorageSlot)>,
}

impl Changed {
    /// In the range that is about to be sealed.
    fn of<S: Source>(tables: &EvmTables<S>) -> Option<Self> {
        let number = tables.block.peek(&Singleton)?.number;
        let before = tables.block.peek_before(&Singleton).copied().unwrap_or_default();
        (number > before.number).then(|| Self {
            number,
            before,
            accounts: by_key(&tables.accounts),
            storage: by_key(&tables.storage),
        })
    }

    /// What it takes in memory, about.
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.accounts.len() * size_of::<(AccountKey, Account)>()
            + self.storage.len() * size_of::<(SlotKey, StorageSlot)>()
    }
}

fn by_key<O: Object<Key: Copy + Ord>, S: Source>(table: &Table<O, S>) -> Vec<(O::Key, O)> {
    let mut list: Vec<_> = table.changed().map(|(key, before)| (*key, before.clone())).collect();
    list.sort_unstable_by_key(|(key, _)| *key);
    list
}

fn find<'a, K: Ord, O>(list: &'a [(K, O)], key: &K) -> Option<&'a O> {
    let at = list.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
    list.get(at).map(|(_, before)| before)
}

/// The last blocks, oldest first.
#[derive(Debug, Default)]
pub(super) struct Recent {
    bytes_max: usize,
    bytes: usize,
    blocks: VecDeque<Changed>,
}

/// A block whose state is kept; valid until the next one is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Place of the block after it.
    next: usize,
}

impl Recent {
    /// Keeps about so many bytes of changes; none of them for 0.
    pub(super) fn keep(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
        self.shrink();
    }

    /// Notes what the range changed that is about to be sealed.
    pub(super) fn note<S: Source>(&mut self, tables: &EvmTables<S>) {
        if self.bytes_max == 0 {
            return;
        }
        let Some(changed) = Changed::of(tables) else { return };
        self.bytes += changed.bytes();
        self.blocks.push_back(changed);
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.bytes > self.bytes_max || self.blocks.len() > RECENT_BLOCKS_MAX {
            let Some(oldest) = self.blocks.pop_front() else { break };
            self.bytes -= oldest.bytes();
        }
    }

    /// The state after a block that is before the last sealed one, if it is kept.
    pub(super) fn kept(&self, number: u64) -> Option<Kept> {
        let next = self.blocks.partition_point(|changed| changed.number <= number);
        let before = self.blocks.get(next)?.before.number;
        (before <= number).then_some(Kept { next })
    }

    /// The first block that changed something after one.
    fn first<'a, T>(
        &'a self,
        kept: Kept,
        find: impl Fn(&'a Changed) -> Option<&'a T>,
    ) -> Option<&'a T> {
        self.blocks.range(kept.next.min(self.blocks.len())..).find_map(find)
    }

    pub(super) fn account(&self, kept: Kept, key: &AccountKey) -> Option<&Account> {
        self.first(kept, |changed| find(&changed.accounts, key))
    }

    pub(super) fn slot(&self, kept: Kept, key: &SlotKey) -> Option<&StorageSlot> {
        self.first(kept, |changed| find(&changed.storage, key))
    }

    pub(super) fn block(&self, kept: Kept) -> Option<&Block> {
        self.first(kept, |changed| Some(&changed.before))
    }
}
