//! Shards: several threads at work on one state, each object in the hands of one.
//!
//! A *batch* is what shards do at once. In it every shard executes its own part of a list of
//! commands, in the order of the list, on tables that stand on those of the state. The first shard
//! that touches an object owns it until the end of the batch. As long as no shard touches what is
//! another's, every object has been through the same commands in the same order as if the whole list
//! had been executed one by one, so every answer and every object is the same. Where shards meet, the
//! batch is undone as a whole, and the caller executes it one by one.
//!
//! Objects that only ticks write are read by all ([`Sharing::Frozen`]); sums to which every command
//! adds are apart ([`Sharing::Apart`]): a shard begins one at its default, and the caller adds up
//! what [`Table::local_iter`] gives after the batch.
//!
//! Batches are for unwitnessed ranges: a witness comes from a range that is executed again, one by
//! one.
#![allow(unsafe_code)]

use super::place::OWN;
use super::{Object, Resident, SEAL_AHEAD, Source, Table, TableVisitor, Tables, Undo, WriteSet};
use alloc::vec::Vec;
use core::any::TypeId;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};

/// A part of a resident state.
#[derive(Debug, Default)]
pub struct Shard;

impl Source for Shard {
    const COMPLETE: bool = true;
    const SHARD: bool = true;

    /// Shards may have met: ends the shard's part without a word. If it was not that, the same
    /// happens again when the batch is executed one by one.
    fn broken(what: &str) {
        #[cfg(feature = "std")]
        std::panic::resume_unwind(std::boxed::Box::new(alloc::string::String::from(what)));
        #[cfg(not(feature = "std"))]
        panic!("{what}");
    }
}

/// What shards have of a type of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Each object is the shard's that touches it first.
    Claimed,
    /// All read it; who writes it has met the others.
    Frozen,
    /// Each shard has its own, which begins at its default.
    Apart,
    /// It is no shard's.
    Outside,
}

impl Sharing {
    /// Whether the state has what a shard has of it.
    fn is_merged(self) -> bool {
        self != Self::Apart
    }
}

/// Who does several things at once.
pub trait Workers {
    /// How many at once.
    fn count(&self) -> usize;

    /// Does something with each item, and waits for all. Panics if one of them does.
    fn each<T: Send>(&mut self, items: &mut [T], work: &(impl Fn(usize, &mut T) + Sync));
}

/// The tables of a state, to stand on.
struct Below(Vec<(TypeId, NonNull<()>)>);

impl Below {
    fn new(state: &mut impl Tables<Resident>) -> Self {
        struct Collect(Below);
        impl TableVisitor<Resident> for Collect {
            fn visit<O: Object>(&mut self, table: &mut Table<O, Resident>) {
                self.0.0.push((TypeId::of::<O>(), NonNull::from(table).cast()));
            }
        }
        let mut collect = Collect(Self(Vec::new()));
        state.visit(&mut collect);
        collect.0
    }

    /// Lets every shard stand on them.
    ///
    /// # Safety
    /// Until the shards are detached, the state is valid and nobody else uses it, and `conflict` is
    /// valid.
    unsafe fn attach(&self, shards: &mut [impl Tables<Shard>], conflict: &AtomicBool) {
        struct Attach<'a> {
            tables: core::slice::Iter<'a, (TypeId, NonNull<()>)>,
            conflict: &'a AtomicBool,
            number: u32,
            shards: u32,
        }
        impl TableVisitor<Shard> for Attach<'_> {
            fn visit<O: Object>(&mut self, table: &mut Table<O, Shard>) {
                let (of, below) = *self.tables.next().expect("a shard has the state's tables");
                assert_eq!(of, TypeId::of::<O>(), "a shard has the state's tables");
                let conflict = NonNull::from(self.conflict);
                // SAFETY: it is a table of this type, and the rest is what our caller says.
                unsafe { table.attach(below.cast(), conflict, self.number, self.shards) };
            }
        }
        let count = shards.len() as u32;
        for (number, shard) in (0..).zip(shards) {
            let tables = self.0.iter();
            shard.visit(&mut Attach { tables, conflict, number, shards: count });
        }
    }
}

/// Detaches shards when it is dropped, whatever happens.
struct Attached<'a, W: Tables<Shard>>(&'a mut [W]);

impl<W: Tables<Shard>> Drop for Attached<'_, W> {
    fn drop(&mut self) {
        struct Detach;
        impl TableVisitor<Shard> for Detach {
            fn visit<O: Object>(&mut self, table: &mut Table<O, Shard>) {
                table.detach();
            }
        }
        self.0.iter_mut().for_each(|shard| shard.visit(&mut Detach));
    }
}

/// Lets shards work on a state. `work` is done when all of them are; it may stop as soon as the flag
/// that it is given is set, and may set it. Then all that was written is undone; gives whether it was
/// kept.
///
/// # Safety
/// `work` leaves every shard in its place.
pub unsafe fn batch<W: Tables<Shard>>(
    state: &mut impl Tables<Resident>,
    shards: &mut [W],
    work: impl FnOnce(&mut [W], &AtomicBool),
) -> bool {
    let conflict = AtomicBool::new(false);
    let below = Below::new(state);
    // SAFETY: the state is borrowed until we return, and then nothing is attached any more.
    unsafe { below.attach(shards, &conflict) };
    let attached = Attached(shards);
    work(attached.0, &conflict);
    let kept = !conflict.load(Ordering::Relaxed) && {
        let mut fresh = Fresh { met: false };
        attached.0.iter_mut().for_each(|shard| shard.visit(&mut fresh));
        !fresh.met
    };
    attached.0.iter_mut().for_each(|shard| shard.visit(&mut End { kept }));
    kept
}

/// Gives what the shards looked for and did not find its place below: where two looked for the same,
/// they have met.
struct Fresh {
    met: bool,
}

impl TableVisitor<Shard> for Fresh {
    fn visit<O: Object>(&mut self, table: &mut Table<O, Shard>) {
        // SAFETY: the shards have ended, and one after another comes here.
        let Some(below) = unsafe { table.base.below_mut() }.filter(|_| O::SHARING.is_merged())
        else {
            return;
        };
        for entry in &mut table.slab {
            if below.find(&entry.key).is_some() {
                self.met = true;
                return;
            }
            entry.touched = below.insert(entry.key) + 1;
        }
    }
}

struct End {
    kept: bool,
}

impl TableVisitor<Shard> for End {
    fn visit<O: Object>(&mut self, table: &mut Table<O, Shard>) {
        // SAFETY: as for `Fresh`.
        let Some(below) = (unsafe { table.base.below_mut() }) else { return };
        below.save = below.save.max(table.save);
        if !self.kept {
            while let Some(Undo { at, written, value }) = table.undo.pop() {
                if at & OWN == 0 {
                    let entry = &mut below.slab[at as usize];
                    (entry.value, entry.written) = (value, written);
                }
            }
        }
        if !self.kept || O::SHARING.is_merged() {
            table.merge(below, self.kept);
        }
        table.detach();
    }
}

impl<O: Object> Table<O, Shard> {
    /// Hands over what the shard has written, or forgets it.
    fn merge(&mut self, below: &mut Table<O, Resident>, kept: bool) {
        if kept {
            below.written.extend(self.written.iter().filter(|at| **at & OWN == 0));
        }
        let absent = O::default();
        for entry in self.slab.drain(..) {
            let Some(at) = entry.touched.checked_sub(1) else { continue };
            if kept && entry.value != absent {
                let place = &mut below.slab[at as usize];
                (place.value, place.written) = (entry.value, below.save);
                below.written.push(at);
            } else {
                below.discard(at);
            }
        }
        self.forget_own();
    }
}

/// Ends an unwitnessed range as [`super::seal`] does, with as many workers at the encoding as there
/// are shards; in which order the objects are is another.
///
/// # Safety
/// As for [`batch`].
pub unsafe fn seal<W: Tables<Shard> + Send>(
    state: &mut impl Tables<Resident>,
    shards: &mut [W],
    workers: &mut impl Workers,
    writes: &mut [WriteSet],
) {
    assert_eq!(shards.len(), writes.len(), "a write set for each shard");
    state.visit(&mut ForgetAbsent);
    let conflict = AtomicBool::new(false);
    let below = Below::new(state);
    // SAFETY: as in `batch`.
    unsafe { below.attach(shards, &conflict) };
    let attached = Attached(shards);
    let parts = attached.0.len();
    let mut items: Vec<_> = attached.0.iter_mut().zip(writes).collect();
    workers.each(&mut items, &|part, (shard, writes)| {
        shard.visit(&mut EncodePart { part, parts, writes });
    });
    drop(items);
    for shard in attached.0.iter_mut() {
        shard.visit(&mut DiscardGone);
    }
}

/// What comes before the parts.
struct ForgetAbsent;

impl TableVisitor<Resident> for ForgetAbsent {
    fn visit<O: Object>(&mut self, table: &mut Table<O, Resident>) {
        assert!(table.keepers == 0, "shards seal unwitnessed ranges");
        table.forget_absent(&O::default());
        table.touched.clear();
    }
}

struct EncodePart<'a> {
    part: usize,
    parts: usize,
    writes: &'a mut WriteSet,
}

impl TableVisitor<Shard> for EncodePart<'_> {
    fn visit<O: Object>(&mut self, table: &mut Table<O, Shard>) {
        let mut gone = core::mem::take(&mut table.touched);
        // SAFETY: all of them read.
        if let Some(below) = unsafe { table.base.below() } {
            let all = below.written.len();
            let [from, to] = [self.part, self.part + 1].map(|part| all * part / self.parts);
            below.encode_written(from..to, self.writes, &mut gone);
        }
        table.touched = gone;
    }
}

struct DiscardGone;

impl TableVisitor<Shard> for DiscardGone {
    fn visit<O: Object>(&mut self, table: &mut Table<O, Shard>) {
        // SAFETY: the workers have ended, and one after another comes here.
        if let Some(below) = unsafe { table.base.below_mut() } {
            below.discard_all(&mut table.touched);
        }
    }
}

impl<O: Object> Table<O, Resident> {
    /// Encodes a part of what an unwitnessed range has written, and adds to `gone` what became
    /// absent.
    fn encode_written(
        &self,
        part: core::ops::Range<usize>,
        writes: &mut WriteSet,
        gone: &mut Vec<u32>,
    ) {
        let absent = O::default();
        for n in part {
            if let Some(ahead) = self.written.get(n + SEAL_AHEAD) {
                self.slab[*ahead as usize].prefetch();
            }
            let at = self.written[n];
            let entry = &self.slab[at as usize];
            if entry.written < self.range {
                continue;
            }
            let left = entry.value != absent;
            writes.push_typed::<O>(&entry.key, left.then_some(&entry.value));
            if !left {
                gone.push(at);
            }
        }
    }
}
