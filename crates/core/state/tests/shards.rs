//! Shards of a small state: what is claimed, what is apart, what meets, what is undone and sealed.
#![allow(unsafe_code)]

use atoll_state::object::{self, TableVisitor, Tables, shard};
use atoll_state::{Key, Object, Resident, Shard, Sharing, Source, Table, Workers, WriteSet};
use atoll_types::codec::{CodecError, Decode, Encode, Reader, put_varint};

macro_rules! number {
    ($name:ident, $tag:literal, $sharing:ident) => {
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        struct $name(u64);

        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                put_varint(out, self.0);
            }
        }

        impl Decode for $name {
            fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
                Ok(Self(r.varint()?))
            }
        }

        impl Object for $name {
            const TAG: u8 = $tag;
            const NAME: &'static str = stringify!($name);
            type Key = At;
            const SHARING: Sharing = Sharing::$sharing;
        }
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct At(u64);

impl Encode for At {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0);
    }
}

impl Decode for At {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self(r.varint()?))
    }
}

impl Key for At {}

number!(Count, 1, Claimed);
number!(Price, 2, Frozen);
number!(Sum, 3, Apart);

#[derive(Debug, Default)]
struct State<S: Source> {
    counts: Table<Count, S>,
    prices: Table<Price, S>,
    sums: Table<Sum, S>,
}

impl<S: Source> Tables<S> for State<S> {
    fn visit(&mut self, visitor: &mut impl TableVisitor<S>) {
        visitor.visit(&mut self.counts);
        visitor.visit(&mut self.prices);
        visitor.visit(&mut self.sums);
    }
}

struct InTurn;

impl Workers for InTurn {
    fn each<T: Send>(&mut self, items: &mut [T], work: &(impl Fn(usize, &mut T) + Sync)) {
        items.iter_mut().enumerate().for_each(|(n, item)| work(n, item));
    }
}

struct Sides {
    state: State<Resident>,
    shards: [State<Shard>; 2],
}

impl Sides {
    /// With a price, ten counts, and a place in every table that was used and is free.
    fn new() -> Self {
        let mut sides = Self { state: State::default(), shards: Default::default() };
        object::begin_unwitnessed(&mut sides.state);
        sides.state.prices.set(&At(0), Price(7));
        (0..10).for_each(|n| sides.state.counts.set(&At(n), Count(n + 1)));
        sides.state.counts.get(&At(99));
        sides.state.sums.get(&At(99));
        object::seal(&mut sides.state, &mut WriteSet::default(), None);
        object::begin_unwitnessed(&mut sides.state);
        sides
    }

    fn batch(
        &mut self,
        first: impl Fn(&mut State<Shard>) + Sync,
        second: impl Fn(&mut State<Shard>) + Sync,
    ) -> bool {
        // SAFETY: the shards stay where they are.
        unsafe {
            shard::batch(&mut self.state, &mut self.shards, &mut InTurn, &|n, shard, _| match n {
                0 => first(shard),
                _ => second(shard),
            })
        }
    }

    fn count(&self, n: u64) -> Option<u64> {
        self.state.counts.peek(&At(n)).map(|count| count.0).filter(|count| *count != 0)
    }

    fn sums(&self) -> u64 {
        self.shards.iter().flat_map(|shard| shard.sums.local_iter()).map(|(_, sum)| sum.0).sum()
    }

    fn sealed(&mut self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let mut parts = [WriteSet::default(), WriteSet::default()];
        // SAFETY: as above.
        unsafe { shard::seal(&mut self.state, &mut self.shards, &mut InTurn, &mut parts) };
        let all = parts.iter().flat_map(WriteSet::iter);
        let mut all: Vec<_> = all.map(|(k, v)| (k.to_vec(), v.map(<[u8]>::to_vec))).collect();
        all.sort();
        all
    }
}

#[test]
fn what_shards_write_apart_from_each_other_is_kept_and_sealed_once() {
    let mut sides = Sides::new();
    let kept = sides.batch(
        |shard| {
            assert_eq!(*shard.prices.get(&At(0)), Price(7));
            // Both see that it is not there.
            shard.prices.get(&At(1));
            shard.counts.get_mut(&At(1)).0 += 100;
            shard.counts.set(&At(20), Count(5));
            shard.counts.get(&At(30));
        },
        |shard| {
            assert_eq!(*shard.prices.get(&At(0)), Price(7));
            shard.prices.get(&At(1));
            shard.counts.remove(&At(2));
            shard.counts.set(&At(21), Count(6));
        },
    );
    assert!(kept);
    // Another shard, and one by one, in the same range.
    assert!(sides.batch(|_| {}, |shard| shard.counts.get_mut(&At(1)).0 += 1000));
    sides.state.counts.get_mut(&At(3)).0 = 77;
    assert_eq!(
        [1, 2, 3, 20, 21].map(|n| sides.count(n)),
        [Some(1102), None, Some(77), Some(5), Some(6)]
    );
    let told: Vec<_> = sides.sealed().into_iter().map(|(key, value)| (key[1], value)).collect();
    let value = |n: u64| Some(Count(n).to_bytes());
    let expected =
        vec![(1, value(1102)), (2, None), (3, value(77)), (20, value(5)), (21, value(6))];
    assert_eq!(told, expected);
}

#[test]
fn shards_that_meet_are_undone() {
    type Step = fn(&mut State<Shard>);
    let cases: [(Step, Step); 6] = [
        (|s| s.counts.get_mut(&At(1)).0 = 50, |s| s.counts.get_mut(&At(1)).0 = 60),
        (
            |s| s.counts.get_mut(&At(1)).0 = 50,
            |s| {
                s.counts.get(&At(1));
            },
        ),
        // What is not there: one writes it, the other has seen that it is not.
        (
            |s| s.counts.set(&At(40), Count(1)),
            |s| {
                s.counts.get(&At(40));
            },
        ),
        (|s| s.counts.set(&At(40), Count(1)), |s| s.counts.set(&At(40), Count(2))),
        // Only ticks write it.
        (|s| s.prices.get_mut(&At(0)).0 = 8, |_| {}),
        (|s| s.prices.set(&At(1), Price(8)), |_| {}),
    ];
    for (n, (first, second)) in cases.into_iter().enumerate() {
        let mut sides = Sides::new();
        let kept = sides.batch(
            |shard| {
                shard.counts.set(&At(41), Count(9));
                shard.counts.get_mut(&At(5)).0 = 0;
                first(shard);
            },
            second,
        );
        assert!(!kept, "case {n}");
        assert_eq!([1, 5, 40, 41].map(|n| sides.count(n)), [Some(2), Some(6), None, None]);
        assert_eq!(*sides.state.prices.get(&At(0)), Price(7));
        assert_eq!(sides.state.prices.peek(&At(1)), None);
        assert!(sides.sealed().is_empty(), "case {n}");
    }
}

#[test]
fn sums_are_apart_after_an_undone_batch_too() {
    let mut sides = Sides::new();
    let add = |shard: &mut State<Shard>| shard.sums.get_mut(&At(0)).0 += 3;
    for _ in 0..3 {
        let undone = sides.batch(
            |shard| {
                add(shard);
                shard.counts.get(&At(1));
            },
            |shard| {
                add(shard);
                shard.counts.get(&At(1));
            },
        );
        assert!(!undone);
        // There is a free place below, and it is not for sums.
        assert!(sides.batch(add, add));
        assert_eq!(sides.sums(), 6);
        assert_eq!(sides.state.sums.peek(&At(0)), None);
    }
}

#[test]
fn a_savepoint_inside_of_a_shard_undoes_what_came_after_it() {
    let mut sides = Sides::new();
    assert!(sides.batch(
        |shard| {
            shard.counts.set(&At(50), Count(1));
            shard.counts.get_mut(&At(1)).0 = 10;
            let point = object::savepoint(shard);
            shard.counts.set(&At(50), Count(2));
            shard.counts.set(&At(51), Count(2));
            shard.counts.get_mut(&At(1)).0 = 20;
            shard.counts.get_mut(&At(2)).0 = 20;
            object::rollback(shard, point);
        },
        |_| {},
    ));
    assert_eq!([1, 2, 50, 51].map(|n| sides.count(n)), [Some(10), Some(3), Some(1), None]);
    let keys: Vec<_> = sides.sealed().into_iter().map(|(key, _)| key[1]).collect();
    assert_eq!(keys, [1, 50]);
}

#[test]
#[should_panic(expected = "ends by shard::seal")]
fn a_range_with_batches_cannot_lose_what_shards_wrote() {
    let mut sides = Sides::new();
    sides.batch(|shard| shard.counts.get_mut(&At(1)).0 = 0, |_| {});
    object::seal(&mut sides.state, &mut WriteSet::default(), None);
}
