//! Shards: several threads at work on one state, each object in the hands of one.
//!
//! A *batch* is what shards do at once. In it every shard executes its own part of a list of
//! commands, in the order of the list, on tables that stand on those of the state. The first shard
//! that touches an object owns it until the end of the batch. As long as no shard touches what is
//! another's, every object has been through the same commands in the same order as if the whole list
//! had been executed one by one, so every answer and every object is the same. Where shards meet, the
//! batch is undone as a whole, and the caller tries a shorter one or goes one by one.
//!
//! Objects that only ticks write are read by all ([`Sharing::Frozen`]); sums to which every command
//! adds are apart ([`Sharing::Apart`]): a shard begins one at its default, and the caller adds up
//! what [`Table::local_iter`] gives after the batch.
//!
//! Batches are for unwitnessed ranges: a witness comes from a range that is executed again, one by
//! one.
#![allow(unsafe_code)]

use super::place::{Base, OWN};
use super::{Object, Resident, Source, Table, TableVisitor, Tables, Undo, WriteSet};
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

/// Who does several things at once.
pub trait Workers {
    /// Does something with each item, and waits for all. Panics if one of them does.
    fn each<T: Send>(&mut self, items: &mut [T], work: &(impl Fn(usize, &mut T) + Sync));
}

/// One type's table in a state and in its shards. Tables know nothing of each other, so what is to be
/// done with them before and after a batch is done with several at once.
struct Column {
    of: TypeId,
    below: NonNull<()>,
    shards: Vec<NonNull<()>>,
    /// For tables of this type.
    steps: Steps,
    /// Whether shards have met in it.
    met: bool,
}

/// What is done with a column.
///
/// # Safety
/// Each leads to tables of one type, which nobody else uses meanwhile.
#[derive(Clone, Copy)]
struct Steps {
    meet: unsafe fn(&Column) -> bool,
    end: unsafe fn(&Column, bool),
    forget: unsafe fn(&Column),
    discard: unsafe fn(&Column),
}

// SAFETY: whoever has the column has its tables, which are data that may be sent.
unsafe impl Send for Column {}

impl Column {
    fn new<O: Object>(below: &mut Table<O, Resident>) -> Self {
        Self {
            of: TypeId::of::<O>(),
            below: NonNull::from(below).cast(),
            shards: Vec::new(),
            steps: Steps {
                // SAFETY: as the steps say.
                meet: |column| unsafe { column.meet::<O>() },
                // SAFETY: as the steps say.
                end: |column, kept| unsafe { column.end::<O>(kept) },
                // SAFETY: as the steps say.
                forget: |column| unsafe { column.below::<O>() }.forget_all_absent(),
                // SAFETY: as the steps say.
                discard: |column| unsafe { column.discard::<O>() },
            },
            met: false,
        }
    }

    /// # Safety
    /// It is a table of this type, which nobody else uses.
    #[allow(clippy::mut_from_ref)]
    unsafe fn below<O: Object>(&self) -> &mut Table<O, Resident> {
        // SAFETY: as the caller says.
        unsafe { self.below.cast().as_mut() }
    }

    /// # Safety
    /// They are tables of this type, which nobody else uses.
    unsafe fn shards<O: Object>(&self) -> impl Iterator<Item = &mut Table<O, Shard>> {
        // SAFETY: as the caller says; no two are the same.
        self.shards.iter().map(|table| unsafe { table.cast().as_mut() })
    }

    /// Finds out whether two shards looked for the same and did not find it: then they have met. By
    /// the hash alone: to meet once in four thousand million times without need costs nothing.
    ///
    /// # Safety
    /// As [`Steps`] say.
    unsafe fn meet<O: Object>(&self) -> bool {
        if O::SHARING == Sharing::Apart {
            return false;
        }
        // SAFETY: as the caller says.
        let (below, mut shards) = unsafe { (self.below::<O>(), self.shards::<O>()) };
        if O::SHARING == Sharing::Frozen {
            // That all see nothing there is no meeting, if it stays so.
            let absent = O::default();
            return shards.any(|table| {
                let spare = table.fresh.iter().map(|at| &below.slab[*at as usize]);
                table.slab.iter().chain(spare).any(|entry| entry.value != absent)
            });
        }
        let mut looked_for = core::mem::take(&mut below.base.fresh);
        for table in shards {
            let (own, spare) = (table.slab.iter(), table.fresh.iter());
            let spare = spare.map(|at| below.slab[*at as usize].key);
            for key in own.map(|entry| entry.key).chain(spare) {
                let hash = below.hash(&key);
                if looked_for.find(hash, |_| true).is_some() {
                    below.base.fresh = looked_for;
                    return true;
                }
                looked_for.insert(hash, 0);
                below.foresee(&key);
            }
        }
        below.base.fresh = looked_for;
        false
    }

    /// # Safety
    /// As [`Steps`] say.
    unsafe fn end<O: Object>(&self, kept: bool) {
        // SAFETY: as the caller says.
        let (below, shards) = unsafe { (self.below::<O>(), self.shards::<O>()) };
        below.base.fresh.clear();
        for table in shards {
            below.save = below.save.max(table.save);
            match O::SHARING {
                _ if !kept => table.give_up(below),
                Sharing::Apart => {}
                Sharing::Claimed | Sharing::Frozen | Sharing::Outside => table.merge(below),
            }
        }
    }

    /// # Safety
    /// As [`Steps`] say.
    unsafe fn discard<O: Object>(&self) {
        // SAFETY: as the caller says.
        let (below, shards) = unsafe { (self.below::<O>(), self.shards::<O>()) };
        for table in shards {
            below.discard_all(&mut table.base.gone);
            below.free.append(&mut table.base.spare);
            below.base.owed -= table.base.first.len();
            table.base.first.clear();
        }
    }
}

/// The tables of a state, and of its shards.
struct Columns(Vec<Column>);

impl Columns {
    fn new(state: &mut impl Tables<Resident>) -> Self {
        let mut columns = Self(Vec::new());
        state.visit(&mut columns);
        columns
    }

    /// Lets every shard stand on the state.
    ///
    /// # Safety
    /// Until the shards are detached, the state is valid and nobody else uses it, and `conflict` is
    /// valid.
    unsafe fn attach(&self, shards: &mut [impl Tables<Shard>], conflict: &AtomicBool) {
        struct Attach<'a> {
            columns: core::slice::Iter<'a, Column>,
            conflict: &'a AtomicBool,
            number: u32,
            shards: u32,
        }
        impl TableVisitor<Shard> for Attach<'_> {
            fn visit<O: Object>(&mut self, table: &mut Table<O, Shard>) {
                let column = self.columns.next().expect("a shard has the state's tables");
                assert_eq!(column.of, TypeId::of::<O>(), "a shard has the state's tables");
                let conflict = NonNull::from(self.conflict);
                // SAFETY: it is a table of this type, and the rest is what our caller says.
                unsafe { table.attach(column.below.cast(), conflict, self.number, self.shards) };
            }
        }
        let count = shards.len() as u32;
        for (number, shard) in (0..).zip(shards) {
            let columns = self.0.iter();
            shard.visit(&mut Attach { columns, conflict, number, shards: count });
        }
    }

    /// Takes in the tables of the shards, which have ended.
    fn collect(&mut self, shards: &mut [impl Tables<Shard>]) {
        struct Collect<'a>(core::slice::IterMut<'a, Column>);
        impl TableVisitor<Shard> for Collect<'_> {
            fn visit<O: Object>(&mut self, table: &mut Table<O, Shard>) {
                let column = self.0.next().expect("a shard has the state's tables");
                assert_eq!(column.of, TypeId::of::<O>(), "a shard has the state's tables");
                column.shards.push(NonNull::from(table).cast());
            }
        }
        shards.iter_mut().for_each(|shard| shard.visit(&mut Collect(self.0.iter_mut())));
    }
}

impl TableVisitor<Resident> for Columns {
    fn visit<O: Object>(&mut self, table: &mut Table<O, Resident>) {
        self.0.push(Column::new(table));
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

/// Lets shards work on a state, each with its number. `work` may stop as soon as the flag that it is
/// given is set, and may set it. Then all that was written is undone; gives whether it was kept.
///
/// # Safety
/// `work` leaves every shard in its place.
pub unsafe fn batch<W: Tables<Shard> + Send>(
    state: &mut impl Tables<Resident>,
    shards: &mut [W],
    workers: &mut impl Workers,
    work: &(impl Fn(usize, &mut W, &AtomicBool) + Sync),
) -> bool {
    let conflict = AtomicBool::new(false);
    let mut columns = Columns::new(state);
    // SAFETY: the state is borrowed until we return, and then nothing is attached any more.
    unsafe { columns.attach(shards, &conflict) };
    let attached = Attached(shards);
    workers.each(attached.0, &|number, shard| work(number, shard, &conflict));
    columns.collect(attached.0);
    let mut met = conflict.load(Ordering::Relaxed);
    if !met {
        workers.each(&mut columns.0, &|_, column: &mut Column| {
            // SAFETY: the shards have ended, and each column is used by one.
            column.met = unsafe { (column.steps.meet)(column) };
        });
        met = columns.0.iter().any(|column| column.met);
    }
    workers.each(&mut columns.0, &|_, column: &mut Column| {
        // SAFETY: as above.
        unsafe { (column.steps.end)(column, !met) };
    });
    !met
}

impl<O: Object> Table<O, Shard> {
    /// Hands over what the shard has written.
    fn merge(&mut self, below: &mut Table<O, Resident>) {
        self.count_need();
        let Self { base: Base { first, spare, .. }, .. } = self;
        let before = first.len();
        first.extend(self.written.iter().filter(|at| **at & OWN == 0));
        let absent = O::default();
        for at in self.fresh.drain(..) {
            let entry = &below.slab[at as usize];
            if entry.value != absent {
                let key = entry.key;
                below.enter(&key, at);
                first.push(at);
            } else {
                spare.push(at);
            }
        }
        for entry in self.slab.drain(..).filter(|entry| entry.value != absent) {
            let at = below.insert(entry.key);
            let place = &mut below.slab[at as usize];
            (place.value, place.written) = (entry.value, below.save);
            first.push(at);
        }
        below.base.owed += first.len() - before;
        self.forget_own();
    }

    /// Undoes what the shard has written.
    fn give_up(&mut self, below: &mut Table<O, Resident>) {
        while let Some(Undo { at, written, value }) = self.undo.pop() {
            if at & OWN == 0 {
                let entry = &mut below.slab[at as usize];
                (entry.value, entry.written) = (value, written);
            }
        }
        self.count_need();
        for at in self.fresh.drain(..) {
            below.slab[at as usize].value = O::default();
            self.base.spare.push(at);
        }
        self.forget_own();
    }

    fn count_need(&mut self) {
        let need = self.fresh.len() + self.slab.len();
        self.base.need = need.max(self.base.need - self.base.need / 8);
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
    let mut columns = Columns::new(state);
    workers.each(&mut columns.0, &|_, column: &mut Column| {
        // SAFETY: the state is borrowed, and each column is used by one.
        unsafe { (column.steps.forget)(column) };
    });
    let conflict = AtomicBool::new(false);
    // SAFETY: as in `batch`.
    unsafe { columns.attach(shards, &conflict) };
    let attached = Attached(shards);
    let parts = attached.0.len();
    let mut items: Vec<_> = attached.0.iter_mut().zip(writes).collect();
    workers.each(&mut items, &|part, (shard, writes)| {
        // The sets lie side by side, and each push changes one: not in the line that others write to.
        let mut own = core::mem::take(&mut **writes);
        shard.visit(&mut EncodePart { part, parts, writes: &mut own });
        **writes = own;
    });
    drop(items);
    columns.collect(attached.0);
    workers.each(&mut columns.0, &|_, column: &mut Column| {
        // SAFETY: the shards have ended, and each column is used by one.
        unsafe { (column.steps.discard)(column) };
    });
}

struct EncodePart<'a> {
    part: usize,
    parts: usize,
    writes: &'a mut WriteSet,
}

impl TableVisitor<Shard> for EncodePart<'_> {
    fn visit<O: Object>(&mut self, table: &mut Table<O, Shard>) {
        let gone = &mut core::mem::take(&mut table.base.gone);
        // SAFETY: all of them read.
        let Some(below) = (unsafe { table.base.below() }) else { return };
        below.encode_written(&table.base.first, |_, _| false, self.writes, gone);
        let all = below.written.len();
        let [from, to] = [self.part, self.part + 1].map(|part| all * part / self.parts);
        below.encode_written(&below.written[from..to], |_, _| false, self.writes, gone);
        table.base.gone = core::mem::take(gone);
    }
}

impl<O: Object> Table<O, Resident> {
    /// What comes before the parts.
    fn forget_all_absent(&mut self) {
        assert!(self.keepers == 0, "shards seal unwitnessed ranges");
        self.forget_absent(&O::default());
        self.touched.clear();
    }
}
