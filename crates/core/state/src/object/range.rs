//! Ranges of commands: where they begin and end, and points in them to return to.

use super::{
    MissingObject, Object, Purpose, ReadSet, SEAL_AHEAD, Source, Table, TableVisitor, Tables, Undo,
    WriteSet, place,
};
use alloc::vec::Vec;

/// Begins a range: forgets what the previous one touched.
pub fn begin<S: Source>(tables: &mut impl Tables<S>) {
    tables.visit(&mut Begin { witnessed: true });
}

/// Begins a range of which no read set will be asked: [`seal`] then gives all that was written, and
/// what has the value that it had before may be among it.
///
/// On proven objects alone it is the same as [`begin`].
pub fn begin_unwitnessed<S: Source>(tables: &mut impl Tables<S>) {
    tables.visit(&mut Begin { witnessed: !S::COMPLETE });
}

struct Begin {
    witnessed: bool,
}

impl<S: Source> TableVisitor<S> for Begin {
    fn purpose(&self) -> Purpose {
        Purpose::Begin
    }

    fn visit<O: Object>(&mut self, table: &mut Table<O, S>) {
        debug_assert!(table.touched.is_empty(), "the previous range was not sealed");
        if table.save > u32::MAX / 2 {
            for entry in &mut table.slab {
                (entry.touched, entry.written) = (0, 0);
            }
            table.save = 0;
        }
        table.save += 1;
        table.range = table.save;
        table.keepers = u32::from(self.witnessed);
        table.touched.clear();
        table.fresh.clear();
        table.written.clear();
        table.undo.clear();
    }
}

/// A point inside a range to which [`rollback`] returns.
#[derive(Clone, Debug, Default)]
#[must_use = "it is rolled back or released"]
pub struct Savepoint(Vec<Mark>);

/// How far a table was.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    keepers: u32,
    written: u32,
    undo: u32,
}

/// Marks a point to return to. Savepoints nest; an inner one ends with an outer one.
pub fn savepoint<S: Source>(tables: &mut impl Tables<S>) -> Savepoint {
    struct Marks(Vec<Mark>);
    impl<S: Source> TableVisitor<S> for Marks {
        fn visit<O: Object>(&mut self, table: &mut Table<O, S>) {
            let (written, undo) = (table.written.len() as u32, table.undo.len() as u32);
            self.0.push(Mark { keepers: table.keepers, written, undo });
            table.save += 1;
            table.keepers += 1;
        }
    }
    let mut marks = Marks(Vec::new());
    tables.visit(&mut marks);
    Savepoint(marks.0)
}

/// Ends a savepoint and keeps what was written since.
pub fn release<S: Source>(tables: &mut impl Tables<S>, point: Savepoint) {
    struct Release(alloc::vec::IntoIter<Mark>);
    impl<S: Source> TableVisitor<S> for Release {
        fn visit<O: Object>(&mut self, table: &mut Table<O, S>) {
            table.keepers = self.0.next().unwrap_or_default().keepers;
            if table.keepers == 0 {
                table.undo.clear();
            }
        }
    }
    tables.visit(&mut Release(point.0.into_iter()));
}

/// Undoes every write since `point`. What was read stays recorded: the decision to undo may rest
/// on it.
pub fn rollback<S: Source>(tables: &mut impl Tables<S>, point: Savepoint) {
    struct Rollback(alloc::vec::IntoIter<Mark>);
    impl<S: Source> TableVisitor<S> for Rollback {
        fn purpose(&self) -> Purpose {
            Purpose::Rollback
        }

        fn visit<O: Object>(&mut self, table: &mut Table<O, S>) {
            let mark = self.0.next().unwrap_or_default();
            while table.undo.len() > mark.undo as usize {
                table.undo_last();
            }
            table.written.truncate(mark.written as usize);
            table.keepers = mark.keepers;
            // The next write must keep a pre-image for the outer savepoint again.
            table.save += 1;
        }
    }
    tables.visit(&mut Rollback(point.0.into_iter()));
}

/// Ends a range: appends what changed to `writes` and, if asked, what was touched to `reads`, which
/// a range that began with [`begin_unwitnessed`] cannot tell.
pub fn seal<S: Source>(
    tables: &mut impl Tables<S>,
    writes: &mut WriteSet,
    reads: Option<&mut ReadSet>,
) {
    struct Seal<'a> {
        writes: &'a mut WriteSet,
        reads: Option<&'a mut ReadSet>,
    }
    impl<S: Source> TableVisitor<S> for Seal<'_> {
        fn purpose(&self) -> Purpose {
            Purpose::Seal { reads: self.reads.is_some() }
        }

        fn visit<O: Object>(&mut self, table: &mut Table<O, S>) {
            let absent = O::default();
            if let Some(reads) = &mut self.reads {
                assert!(table.keepers > 0, "a range that began without a witness is asked for one");
                table.record(reads, &absent);
            }
            table.forget_absent(&absent);
            table.push_written(self.writes);
            table.touched.clear();
        }
    }
    tables.visit(&mut Seal { writes, reads });
}

impl<O: Object, S: Source> Table<O, S> {
    /// Undoes the last first write.
    fn undo_last(&mut self) {
        if let Some(Undo { at, written, value }) = self.undo.pop() {
            let entry = place::parts_mut::<O, S>(&mut self.slab, &mut self.base, at);
            (*entry.0, *entry.1) = (value, written);
        }
    }

    /// What the range touched, as it was before.
    fn record(&self, reads: &mut ReadSet, absent: &O) {
        for (at, before) in self.first_pre_images() {
            reads.push_object(&self.slab[at as usize].key, before, absent);
        }
        let touched = self.touched.iter().map(|at| &self.slab[*at as usize]);
        for entry in touched.filter(|entry| entry.written < self.range) {
            reads.push_object(&entry.key, &entry.value, absent);
        }
    }

    /// Pre-images of the range, in the order of first writes; later ones belong to savepoints.
    fn first_pre_images(&self) -> impl Iterator<Item = (u32, &O)> {
        let first = self.undo.iter().filter(|undo| undo.written < self.range);
        first.map(|undo| (undo.at, &undo.value))
    }

    /// What a witnessed range has written so far and what differs now, as it was when the range began, in
    /// the order of first writes.
    pub fn changed(&self) -> impl Iterator<Item = (&O::Key, &O)> {
        self.first_pre_images().filter_map(|(at, before)| {
            let entry = &self.slab[at as usize];
            (entry.value != *before).then_some((&entry.key, before))
        })
    }

    /// Forgets what was not there and still is not.
    pub(super) fn forget_absent(&mut self, absent: &O) {
        let mut fresh = core::mem::take(&mut self.fresh);
        fresh.retain(|at| self.slab[*at as usize].value == *absent);
        self.discard_all(&mut fresh);
        self.fresh = fresh;
    }

    fn push_written(&mut self, writes: &mut WriteSet) {
        assert!(self.base.owed == 0, "a range with batches of shards ends by shard::seal");
        let mut gone = core::mem::take(&mut self.fresh);
        let mut before = self.first_pre_images().peekable();
        let same = |at, value: &O| before.next_if(|b| b.0 == at).is_some_and(|b| b.1 == value);
        self.encode_written(&self.written, same, writes, &mut gone);
        drop(before);
        self.discard_all(&mut gone);
        self.fresh = gone;
    }

    /// Encodes what the range has written at these places and has not the same value as before, and
    /// adds to `gone` what became absent.
    pub(super) fn encode_written(
        &self,
        written: &[u32],
        mut same: impl FnMut(u32, &O) -> bool,
        writes: &mut WriteSet,
        gone: &mut Vec<u32>,
    ) {
        let absent = O::default();
        for (n, at) in written.iter().enumerate() {
            if let Some(ahead) = written.get(n + SEAL_AHEAD) {
                self.slab[*ahead as usize].prefetch();
            }
            let entry = &self.slab[*at as usize];
            // What was rolled back is written no more.
            if same(*at, &entry.value) || entry.written < self.range {
                continue;
            }
            let left = entry.value != absent;
            writes.push_typed::<O>(&entry.key, left.then_some(&entry.value));
            if !left {
                gone.push(*at);
            }
        }
    }

    /// Forgets absent objects; one after another, so that their lookups wait together.
    pub(super) fn discard_all(&mut self, gone: &mut Vec<u32>) {
        for at in gone.drain(..) {
            if S::COMPLETE {
                self.discard(at);
            }
        }
    }
}

/// The first object that was touched but not proven, if any.
pub fn fault<S: Source>(tables: &mut impl Tables<S>) -> Option<MissingObject> {
    struct Fault(Option<MissingObject>);
    impl<S: Source> TableVisitor<S> for Fault {
        fn visit<O: Object>(&mut self, table: &mut Table<O, S>) {
            if let (None, Some(key)) = (&self.0, table.fault) {
                let key = Table::<O, S>::encoded_key(&key);
                self.0 = Some(MissingObject { name: O::NAME, key });
            }
        }
    }
    let mut first = Fault(None);
    tables.visit(&mut first);
    first.0
}
