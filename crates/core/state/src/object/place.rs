//! Where objects are: in a table's own slab, or, for a [shard](super::shard), in the table that it
//! stands on.
//!
//! All unsafe code of shards is here and in `shard.rs`. What it rests on:
//!
//! * While a shard's table is attached, nothing else uses the table below: `shard::batch` holds it
//!   by a mutable reference, and the shards only change fields of its entries. The slab, the index
//!   and the keys do not change.
//! * An entry's `value` and `written` are used by the one shard whose stamp is in its `touched`,
//!   which is set by an atomic exchange from a stamp of before the batch. Objects that are
//!   [`Sharing::Frozen`] are read by all and written by none.
//! * Threads meet before and after: what one batch writes is seen by the next because the workers
//!   are waited for in between, so the stamps need no ordering of their own.
#![allow(unsafe_code)]

use super::shard::{Shard, Sharing};
use super::{DENSE_MAX, Entry, Index, Key, Object, Resident, Source, Table};
use crate::prefetch;
use alloc::vec::Vec;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Places from here on are a shard's own.
pub(super) const OWN: u32 = 1 << 31;

/// What a shard's table stands on; nothing for any other, and between batches.
#[derive(Debug)]
pub(super) struct Base<O: Object> {
    on: Option<On<O>>,
    /// Where the shard goes on after it met what is another's, until the batch is undone.
    lost: Option<u32>,
    /// In the table below: the hashes of what the shards of a batch looked for and did not find.
    pub(super) fresh: Index,
    /// Free places below, which are this shard's: for what it looks for and does not find.
    pub(super) spare: Vec<u32>,
    /// How many of them were needed of late.
    pub(super) need: usize,
    /// What the shard was the first to write in this range: it encodes that, as it has it at hand.
    pub(super) first: Vec<u32>,
    /// What of it has become absent.
    pub(super) gone: Vec<u32>,
    /// In the table below: how many writes the shards know of and it does not.
    pub(super) owed: usize,
    /// The shard's epoch before any savepoint.
    start: u32,
}

#[derive(Debug)]
struct On<O: Object> {
    table: NonNull<Table<O, Resident>>,
    /// Its entries.
    slab: NonNull<Entry<O>>,
    len: usize,
    /// The batch's first stamp, and this shard's.
    first: u32,
    own: u32,
    /// Set where shards meet.
    conflict: NonNull<AtomicBool>,
}

// SAFETY: the pointers lead to tables of objects and to an atomic, which other threads may use; which
// thread uses what is said above.
unsafe impl<O: Object> Send for Base<O> {}
// SAFETY: by reference an entry is only read if it is this shard's or frozen.
unsafe impl<O: Object> Sync for Base<O> {}

impl<O: Object> Default for Base<O> {
    fn default() -> Self {
        let (fresh, spare) = (Index::default(), Vec::new());
        let (need, first, gone, owed) = (0, Vec::new(), Vec::new(), 0);
        Self { on: None, lost: None, fresh, spare, need, first, gone, owed, start: 0 }
    }
}

impl<O: Object> On<O> {
    #[inline]
    fn entry(&self, at: u32) -> *mut Entry<O> {
        assert!((at as usize) < self.len, "a place of another batch");
        // SAFETY: inside of the slab.
        unsafe { self.slab.as_ptr().add(at as usize) }
    }

    #[inline]
    fn stamp(&self, at: u32) -> &AtomicU32 {
        // SAFETY: during a batch the field is used as an atomic alone; aligned as it is a u32.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.entry(at)).touched) }
    }

    #[inline]
    fn is_own(&self, at: u32) -> bool {
        self.stamp(at).load(Ordering::Relaxed) == self.own
    }

    /// Makes an object the shard's, unless it is another's.
    #[inline]
    fn claim(&self, at: u32) -> bool {
        let stamp = self.stamp(at);
        let found = stamp.load(Ordering::Relaxed);
        if found == self.own {
            return true;
        }
        let relaxed = Ordering::Relaxed;
        found < self.first && stamp.compare_exchange(found, self.own, relaxed, relaxed).is_ok()
    }

    /// What finds entries.
    #[inline]
    fn finders(&self) -> (&Index, &[u32]) {
        let table = self.table.as_ptr();
        // SAFETY: neither field changes during a batch.
        unsafe { (&(*table).index, &(*table).dense) }
    }

    /// The place of a key; if it need not be sure, of one with the same hash.
    #[inline]
    fn find(&self, key: &O::Key, hash: impl FnOnce() -> u32, sure: bool) -> Option<u32> {
        let (index, dense) = self.finders();
        if let Some(number) = key.dense().filter(|number| *number < DENSE_MAX) {
            return dense.get(number as usize)?.checked_sub(1);
        }
        // SAFETY: keys do not change during a batch.
        index.find(hash(), |at| !sure || unsafe { (*self.entry(at)).key == *key })
    }
}

impl<O: Object> Table<O, Shard> {
    /// Stands on a table until [`Self::detach`], with the stamps of the `number`-th of so many
    /// shards.
    ///
    /// # Safety
    /// Until then `below` is valid and used by shards with other numbers alone, and `conflict` is
    /// valid.
    pub(super) unsafe fn attach(
        &mut self,
        below: NonNull<Table<O, Resident>>,
        conflict: NonNull<AtomicBool>,
        number: u32,
        shards: u32,
    ) {
        // SAFETY: valid, and no shard is at work yet.
        let table = unsafe { &mut *below.as_ptr() };
        assert!(table.keepers == 0, "in a witnessed range, or behind a savepoint");
        assert!(table.slab.len() < OWN as usize && number < shards, "too many objects or shards");
        // What is apart stays apart: the caller adds up what lies in the shard's own slab.
        while O::SHARING != Sharing::Apart && self.base.spare.len() < self.base.need * 2 {
            let Some(at) = table.free.pop() else { break };
            self.base.spare.push(at);
        }
        let first = table.save + 1;
        let len = table.slab.len();
        // SAFETY: the pointer of a vector is not null.
        let slab = unsafe { NonNull::new_unchecked(table.slab.as_mut_ptr()) };
        self.base.on = Some(On { table: below, slab, len, first, own: first + number, conflict });
        self.base.lost = None;
        (self.range, self.save, self.keepers) = (table.range, first + shards, 1);
        self.base.start = self.save;
        self.forget_own();
    }

    /// Forgets what the shard itself keeps.
    pub(super) fn forget_own(&mut self) {
        self.slab.clear();
        self.index.clear();
        self.fresh.clear();
        self.written.clear();
        self.undo.clear();
    }

    /// Stands on nothing any more.
    pub(super) fn detach(&mut self) {
        self.base.on = None;
    }
}

impl<O: Object> Base<O> {
    /// What the table stands on, for reading all of it.
    ///
    /// # Safety
    /// Nothing writes to it meanwhile.
    pub(super) unsafe fn below(&self) -> Option<&Table<O, Resident>> {
        // SAFETY: valid while it is attached, and as the caller says.
        self.on.as_ref().map(|on| unsafe { on.table.as_ref() })
    }
}

impl<O: Object, S: Source> Table<O, S> {
    #[inline]
    pub(super) fn find_below(&self, key: &O::Key) -> Option<u32> {
        if O::SHARING != Sharing::Apart
            && let Some(on) = &self.base.on
            && let Some(at) = on.find(key, || self.hash(key), true)
        {
            return Some(at);
        }
        if self.slab.is_empty() && self.fresh.is_empty() {
            return None;
        }
        self.index.find(self.hash(key), |at| self.own_key(at) == *key)
    }

    /// The key of what the shard has added.
    fn own_key(&self, at: u32) -> O::Key {
        if at & OWN != 0 {
            return self.slab[(at & !OWN) as usize].key;
        }
        // SAFETY: the shard has put it there.
        unsafe { (*on(&self.base).entry(at)).key }
    }

    /// Adds an absent object, in a spare place if there is one.
    pub(super) fn insert_own(&mut self, key: O::Key) -> u32 {
        let place = self.base.on.as_ref().zip(self.base.spare.pop());
        let at = if let Some((on, at)) = place {
            let entry = on.entry(at);
            // SAFETY: nobody else finds a free place.
            unsafe { ((*entry).key, (*entry).written) = (key, self.base.start) };
            on.stamp(at).store(on.own, Ordering::Relaxed);
            self.fresh.push(at);
            at
        } else {
            self.slab.push(Entry { key, touched: 0, written: 0, value: O::default() });
            (self.slab.len() - 1) as u32 | OWN
        };
        self.index.insert(self.hash(&key), at);
        at
    }

    /// Makes an object the shard's; where it cannot be, the shard goes on with another one, which is
    /// absent, until it is stopped and undone.
    #[inline]
    pub(super) fn claim(&mut self, at: u32, write: bool) -> u32 {
        let Some(on) = self.base.on.as_ref().filter(|_| at & OWN == 0) else { return at };
        let may = match O::SHARING {
            Sharing::Claimed | Sharing::Apart => on.claim(at),
            Sharing::Frozen => !write,
            Sharing::Outside => false,
        };
        if may { at } else { self.lose(at) }
    }

    #[cold]
    #[inline(never)]
    fn lose(&mut self, at: u32) -> u32 {
        let Some(on) = &self.base.on else { return at };
        // SAFETY: valid while it is attached.
        unsafe { on.conflict.as_ref() }.store(true, Ordering::Relaxed);
        if let Some(lost) = self.base.lost {
            return lost;
        }
        // SAFETY: keys do not change during a batch.
        let key = unsafe { (*on.entry(at)).key };
        self.slab.push(Entry { key, touched: 0, written: 0, value: O::default() });
        let lost = (self.slab.len() - 1) as u32 | OWN;
        self.base.lost = Some(lost);
        lost
    }

    /// An object that was touched.
    #[inline]
    pub(super) fn value(&self, at: u32) -> &O {
        if !S::SHARD || at & OWN != 0 {
            return &self.slab[(at & !OWN) as usize].value;
        }
        let on = on(&self.base);
        assert!(O::SHARING == Sharing::Frozen || on.is_own(at), "not this shard's object");
        // SAFETY: it is this shard's, or nobody writes to it.
        unsafe { &(*on.entry(at)).value }
    }

    #[inline]
    pub(super) fn peek_below(&self, at: u32) -> Option<&O> {
        let may = match (O::SHARING, &self.base.on) {
            (Sharing::Frozen, _) => true,
            (Sharing::Claimed | Sharing::Apart, Some(on)) => at & OWN != 0 || on.claim(at),
            _ => at & OWN != 0,
        };
        may.then(|| self.value(at))
    }

    #[inline]
    pub(super) fn foresee_below(&self, key: &O::Key) {
        if let Some(on) = &self.base.on {
            let (index, dense) = on.finders();
            match key.dense().filter(|number| *number < DENSE_MAX) {
                Some(number) => dense.get(number as usize).into_iter().for_each(prefetch::line),
                None => index.prefetch(self.hash(key)),
            }
        }
    }

    /// By addresses alone: the object may be another shard's.
    #[inline]
    pub(super) fn prefetch_below(&self, key: &O::Key) -> bool {
        let Some(on) = &self.base.on else { return false };
        let at = on.find(key, || self.hash(key), false);
        if let Some(at) = at {
            prefetch::all(on.entry(at).cast_const());
        }
        at.is_some()
    }
}

fn on<O: Object>(base: &Base<O>) -> &On<O> {
    base.on.as_ref().expect("a shard's place is used after its batch")
}

/// An object that was touched, and its epoch of writing.
#[inline]
pub(super) fn parts_mut<'a, O: Object, S: Source>(
    slab: &'a mut [Entry<O>],
    base: &'a mut Base<O>,
    at: u32,
) -> (&'a mut O, &'a mut u32) {
    if !S::SHARD || at & OWN != 0 {
        let entry = &mut slab[(at & !OWN) as usize];
        return (&mut entry.value, &mut entry.written);
    }
    let on = on(base);
    assert!(O::SHARING != Sharing::Frozen && on.is_own(at), "not this shard's object");
    let entry = on.entry(at);
    // SAFETY: it is this shard's, which is borrowed for as long.
    unsafe { (&mut *ptr::addr_of_mut!((*entry).value), &mut *ptr::addr_of_mut!((*entry).written)) }
}
