//! Ordered sets against `BTreeSet`, and every run twice: on full state and on its witness alone.

use atoll_state::object::{self, ReadSet, TableVisitor, Tables};
use atoll_state::ordered::MEMBER_MAX;
use atoll_state::{OrderedSet, Page, Resident, Source, Table, Witnessed, WriteSet};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Default)]
struct Pages<S: Source>(Table<Page, S>);

impl<S: Source> Tables<S> for Pages<S> {
    fn visit(&mut self, visitor: &mut impl TableVisitor<S>) {
        visitor.visit(&mut self.0);
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u64),
    Remove(u64),
    From(u64),
    To(u64),
    Contains(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let member = prop_oneof![0..600u64, 0..=MEMBER_MAX, (MEMBER_MAX - 300)..=MEMBER_MAX];
    (0..5u8, member).prop_map(|(kind, m)| match kind {
        0 => Op::Insert(m),
        1 => Op::Remove(m),
        2 => Op::From(m),
        3 => Op::To(m),
        _ => Op::Contains(m),
    })
}

fn run<S: Source>(pages: &mut Table<Page, S>, ops: &[Op]) -> Vec<Option<u64>> {
    let set = OrderedSet(3);
    let mut step = |op: &Op| match *op {
        Op::Insert(m) => {
            set.insert(pages, m);
            None
        }
        Op::Remove(m) => {
            set.remove(pages, m);
            None
        }
        Op::From(m) => set.first_from(pages, m),
        Op::To(m) => set.last_to(pages, m),
        Op::Contains(m) => set.contains(pages, m).then_some(m),
    };
    ops.iter().map(&mut step).collect()
}

fn naive(set: &mut BTreeSet<u64>, ops: &[Op]) -> Vec<Option<u64>> {
    let mut step = |op: &Op| match *op {
        Op::Insert(m) => set.insert(m).then_some(m).filter(|_| false),
        Op::Remove(m) => set.remove(&m).then_some(m).filter(|_| false),
        Op::From(m) => set.range(m..).next().copied(),
        Op::To(m) => set.range(..=m).next_back().copied(),
        Op::Contains(m) => set.contains(&m).then_some(m),
    };
    ops.iter().map(&mut step).collect()
}

fn sorted(set: &WriteSet) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut all: Vec<_> = set.iter().map(|(k, v)| (k.to_vec(), v.map(<[u8]>::to_vec))).collect();
    all.sort();
    all
}

fn from_witness(reads: &ReadSet, leave_out: Option<usize>) -> Pages<Witnessed> {
    let mut alone = Pages::default();
    for (i, (key, value)) in reads.iter().enumerate() {
        if Some(i) != leave_out {
            object::load(&mut alone, key, value).unwrap();
        }
    }
    object::begin(&mut alone);
    alone
}

proptest! {
    #[test]
    fn ordered_sets_are_btree_sets_on_full_state_and_on_the_witness(
        ranges in prop::collection::vec(prop::collection::vec(op(), 0..40), 1..6)
    ) {
        let mut full = Pages::<Resident>::default();
        let mut twin = BTreeSet::new();
        for ops in &ranges {
            object::begin(&mut full);
            let got = run(&mut full.0, ops);
            prop_assert_eq!(&got, &naive(&mut twin, ops));
            let (mut writes, mut reads) = (WriteSet::default(), ReadSet::default());
            object::seal(&mut full, &mut writes, Some(&mut reads));

            let mut alone = from_witness(&reads, None);
            prop_assert_eq!(&run(&mut alone.0, ops), &got);
            prop_assert_eq!(object::fault(&mut alone), None);
            let (mut writes_alone, mut reads_alone) = (WriteSet::default(), ReadSet::default());
            object::seal(&mut alone, &mut writes_alone, Some(&mut reads_alone));
            prop_assert_eq!(&writes_alone, &writes);
            prop_assert_eq!(&reads_alone, &reads);

            // Leave out any one object that was read: the run must notice.
            for leave_out in 0..reads.len() {
                let mut alone = from_witness(&reads, Some(leave_out));
                run(&mut alone.0, ops);
                prop_assert!(object::fault(&mut alone).is_some());
            }
        }
        // The state is a function of the members alone.
        let mut fresh = Pages::<Resident>::default();
        for member in &twin {
            OrderedSet(3).insert(&mut fresh.0, *member);
        }
        let all = sorted(&object::export(&mut full));
        prop_assert_eq!(sorted(&object::export(&mut fresh)), all);
    }

    #[test]
    fn rollback_restores_exactly_and_keeps_the_pre_images(
        before in prop::collection::vec(op(), 0..20),
        kept in prop::collection::vec(op(), 0..20),
        undone in prop::collection::vec(op(), 0..20),
        after in prop::collection::vec(op(), 0..20),
    ) {
        let mut with = Pages::<Resident>::default();
        let mut without = Pages::<Resident>::default();
        for pages in [&mut with, &mut without] {
            object::begin(pages);
            run(&mut pages.0, &before);
            object::seal(pages, &mut WriteSet::default(), None);
            object::begin(pages);
            run(&mut pages.0, &kept);
        }
        let outer = object::savepoint(&mut with);
        run(&mut with.0, &undone);
        let inner = object::savepoint(&mut with);
        run(&mut with.0, &kept);
        object::rollback(&mut with, inner);
        run(&mut with.0, &after);
        object::rollback(&mut with, outer);
        run(&mut with.0, &after);
        run(&mut without.0, &after);
        let (mut left, mut right) = (WriteSet::default(), WriteSet::default());
        object::seal(&mut with, &mut left, None);
        object::seal(&mut without, &mut right, None);
        prop_assert_eq!(sorted(&left), sorted(&right));
    }

    /// A range without a witness gives the same answers and the same state. It tells all that a
    /// witnessed one tells, each object once, and what else it tells has the value of before.
    #[test]
    fn an_unwitnessed_range_does_the_same(
        ranges in prop::collection::vec(prop::collection::vec(part(), 0..8), 1..6),
    ) {
        let (mut full, mut plain) = (Pages::<Resident>::default(), Pages::<Resident>::default());
        for parts in &ranges {
            object::begin(&mut full);
            object::begin_unwitnessed(&mut plain);
            for part in parts {
                prop_assert_eq!(part.run(&mut full), part.run(&mut plain));
            }
            let (mut writes, mut reads) = (WriteSet::default(), ReadSet::default());
            object::seal(&mut full, &mut writes, Some(&mut reads));
            let mut told = WriteSet::default();
            object::seal(&mut plain, &mut told, None);
            let (changed, told, before) = (sorted(&writes), sorted(&told), sorted(&reads));
            for both in told.windows(2) {
                prop_assert!(both[0].0 != both[1].0, "an object is told twice");
            }
            prop_assert!(changed.iter().all(|object| told.contains(object)));
            for object in told.iter().filter(|object| !changed.contains(object)) {
                prop_assert!(before.contains(object) && object.1.is_some());
            }
            prop_assert_eq!(full.0.len(), plain.0.len());
            prop_assert_eq!(sorted(&object::export(&mut plain)), sorted(&object::export(&mut full)));
        }
    }
}

/// Operations, and what becomes of them.
#[derive(Clone, Debug)]
enum Part {
    Kept(Vec<Op>),
    /// Behind a savepoint that is released, or rolled back.
    Behind(Vec<Part>, bool),
}

fn part() -> impl Strategy<Value = Part> {
    let leaf = prop::collection::vec(op(), 0..8).prop_map(Part::Kept);
    leaf.prop_recursive(3, 12, 4, |inner| {
        (prop::collection::vec(inner, 0..4), any::<bool>())
            .prop_map(|(parts, released)| Part::Behind(parts, released))
    })
}

impl Part {
    fn run(&self, pages: &mut Pages<Resident>) -> Vec<Option<u64>> {
        match self {
            Self::Kept(ops) => run(&mut pages.0, ops),
            Self::Behind(parts, released) => {
                let point = object::savepoint(pages);
                let answers = parts.iter().flat_map(|part| part.run(pages)).collect();
                if *released {
                    object::release(pages, point);
                } else {
                    object::rollback(pages, point);
                }
                answers
            }
        }
    }
}

#[test]
#[should_panic(expected = "began without a witness")]
fn an_unwitnessed_range_has_no_witness() {
    let mut full = Pages::<Resident>::default();
    object::begin_unwitnessed(&mut full);
    object::seal(&mut full, &mut WriteSet::default(), Some(&mut ReadSet::default()));
}

/// What was only looked for, and what was written and undone, is gone when the range ends; what
/// was written on both sides of a savepoint is told once, with the value before the range.
#[test]
fn a_sealed_range_leaves_nothing_absent_behind() {
    let (set, mut full) = (OrderedSet(3), Pages::<Resident>::default());
    object::begin(&mut full);
    set.insert(&mut full.0, 7);
    object::seal(&mut full, &mut WriteSet::default(), None);
    let kept = full.0.len();

    object::begin(&mut full);
    assert_eq!(set.first_from(&mut full.0, 1 << 30), None);
    set.insert(&mut full.0, 8);
    let point = object::savepoint(&mut full);
    set.insert(&mut full.0, 9);
    set.insert(&mut full.0, 1 << 40);
    object::rollback(&mut full, point);
    set.insert(&mut full.0, 10);
    let (mut writes, mut reads) = (WriteSet::default(), ReadSet::default());
    object::seal(&mut full, &mut writes, Some(&mut reads));
    assert_eq!(full.0.len(), kept);
    assert_eq!(writes.len(), 1);
    let told: BTreeSet<_> = reads.iter().map(|(key, _)| key.to_vec()).collect();
    assert_eq!(told.len(), reads.len(), "an object is told twice");
    let before = reads.iter().find(|(key, _)| writes.iter().any(|(wrote, _)| wrote == *key));
    let (_, now) = writes.iter().next().unwrap();
    assert_ne!(before.unwrap().1, now);

    object::begin(&mut full);
    let members: Vec<_> = (0..20).filter(|member| set.contains(&mut full.0, *member)).collect();
    object::seal(&mut full, &mut WriteSet::default(), None);
    assert_eq!(members, [7, 8, 10]);
}
