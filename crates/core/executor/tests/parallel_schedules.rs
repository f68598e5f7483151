//! The code of the parallel scheduler under a model checker (loom): all interleavings of two threads, up to
//! a number of preemptions, on small batches in which everything meets. The sources are the crate's own,
//! with loom's locks and atomics.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::disallowed_types,
    reason = "the sources are those of a module of the crate"
)]

extern crate alloc;

#[path = "../src/parallel/known.rs"]
mod known;
#[path = "../src/parallel/line.rs"]
mod line;
#[path = "../src/parallel/memory.rs"]
mod memory;
#[path = "../src/parallel/report.rs"]
mod report;
#[path = "../src/parallel/run.rs"]
mod run;
#[path = "../src/parallel/schedule.rs"]
mod schedule;
#[path = "../src/parallel/settled.rs"]
mod settled;

mod parallel_common;

use atoll_vm::parallel::{Aspect, Batch, Change, Version};
use known::Known;
use memory::Memory;
use parallel_common::{Cell, Op, Programs};
use run::Run;
use settled::{Each, Ended, Limits, Outcome, Settled};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

mod sync {
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
    pub(super) use loom::sync::{Mutex, MutexGuard};

    #[derive(Debug)]
    pub(super) struct Apart<T>(pub(super) T);

    /// Seen as soon as a flag is, which the model checker knows.
    #[derive(Debug)]
    pub(super) struct Once<T> {
        is_set: AtomicBool,
        value: std::sync::OnceLock<T>,
    }

    impl<T> Once<T> {
        pub(super) fn new() -> Self {
            Self { is_set: AtomicBool::new(false), value: std::sync::OnceLock::new() }
        }

        pub(super) fn set(&self, value: T) -> Result<(), T> {
            let set = self.value.set(value);
            self.is_set.store(true, Ordering::Release);
            set
        }

        pub(super) fn get(&self) -> Option<&T> {
            self.is_set.load(Ordering::Acquire).then(|| self.value.get()).flatten()
        }

        pub(super) fn into_inner(self) -> Option<T> {
            self.value.into_inner()
        }
    }

    pub(super) fn pause(_: u32) {
        loom::thread::yield_now();
    }
}

/// Explores the schedules of two threads, with versions of their own and with shared ones.
fn explore(programs: Programs) {
    let programs: &'static Programs = Box::leak(Box::new(programs));
    let limits = || Limits { clashes_max: 0, ..Limits::always() };
    explore_by(programs, move |tell| {
        let run = Arc::new(line::Run::new(programs, limits(), None, tell));
        let other = Arc::clone(&run);
        let thread = loom::thread::spawn(move || other.work(1, &mut Known::new(1)));
        run.work(0, &mut Known::new(1));
        thread.join().unwrap();
        let run = Arc::into_inner(run).expect("the other thread has ended");
        run.into_done().expect("nothing panics")
    });
    explore_by(programs, move |tell| {
        let run = Arc::new(Run::new(programs, Arc::new(Memory::new(2, 1)), limits(), None, tell));
        let other = Arc::clone(&run);
        let thread = loom::thread::spawn(move || other.work());
        run.work();
        thread.join().unwrap();
        let run = Arc::into_inner(run).expect("the other thread has ended");
        run.into_done().expect("nothing panics")
    });
}

fn explore_by(
    programs: &'static Programs,
    run: impl Fn(Each<'static, Programs>) -> Outcome<Programs> + Send + Sync + 'static,
) {
    let (outputs, cells) = programs.serial();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.max_branches = 20_000;
    // Exhausted or not, a test must end.
    builder.max_duration = Some(Duration::from_secs(15));
    let schedules = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&schedules);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        let told = Arc::new(std::sync::Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let (settled, ended, _) =
            run(Box::new(move |index, _: &u64| tell.lock().unwrap().push(index)));
        assert_eq!(ended, Ended::All);
        let mut found = programs.cells.clone();
        let mut results = Vec::new();
        for settled in &settled {
            let Settled::Executed { output, access } = settled else {
                results.push(None);
                continue;
            };
            results.push(Some(*output));
            let before: BTreeMap<u16, u64> = found.clone();
            for (cell, change) in &access.writes {
                let value = match change {
                    atoll_vm::parallel::Change::Set((value, _)) => *value,
                    atoll_vm::parallel::Change::Add((more, _)) => {
                        before.get(cell).copied().unwrap_or_default() + more
                    }
                };
                found.insert(*cell, value);
            }
        }
        assert_eq!((&results, &found), (&outputs, &cells));
        let executed = results.iter().enumerate().filter_map(|(at, out)| out.map(|_| at));
        assert_eq!(*told.lock().unwrap(), executed.collect::<Vec<_>>());
    });
    // Seen to be explored, not run once.
    assert!(schedules.load(Ordering::Relaxed) > 100, "{schedules:?}");
}

fn of(list: Vec<Vec<Op>>) -> Programs {
    let list = list.into_iter().map(|ops| (ops, 0)).collect();
    Programs { list, budget: 1 << 40, ..Programs::default() }
}

#[test]
fn one_reads_what_the_one_before_writes() {
    explore(of(vec![vec![Op::Read(0), Op::Write(0, 1)], vec![Op::Read(0), Op::Write(0, 2)]]));
}

#[test]
fn a_write_that_comes_and_goes() {
    // The second writes to another cell once it has seen what the first wrote, and the third reads both.
    explore(of(vec![vec![Op::Write(0, 1)], vec![Op::Read(0), Op::WriteAt(3)], vec![Op::Read(1)]]));
}

#[test]
fn additions_and_who_looks_at_the_sum() {
    explore(of(vec![vec![Op::Add(0, 1)], vec![Op::Add(0, 2)], vec![Op::Read(0), Op::Write(1, 0)]]));
}

#[test]
fn a_sum_that_does_not_fit() {
    let mut programs = of(vec![vec![Op::Add(0, 3)], vec![Op::Add(0, 3)]]);
    programs.sums_fit_below = Some(5);
    explore(programs);
}

#[test]
fn one_that_is_refused_and_one_that_had_seen_its_writes() {
    let mut programs = of(vec![vec![Op::Read(1)], vec![Op::Write(0, 5)], vec![Op::Read(0)]]);
    programs.budget = 10;
    programs.list[1].1 = 11;
    explore(programs);
}

#[test]
fn chains_wait_and_are_woken() {
    let link = || vec![Op::Read(0), Op::Write(0, 1)];
    let mut programs = of(vec![link(), link()]);
    programs.chains = true;
    explore(programs);
}

/// What the memory keeps, as plain lists, looked through from end to end.
#[derive(Default)]
struct Twin {
    entries: BTreeMap<u16, BTreeMap<usize, Change<Cell>>>,
    readers: Vec<(u16, Version, Aspect)>,
    /// Of which keys with entries somebody has asked what was there before.
    asked: BTreeSet<u16>,
}

impl Twin {
    /// Whether the view of a transaction begins with what was there before.
    fn needs_base(&self, key: u16, index: usize) -> bool {
        let entries = self.entries.get(&key);
        let mut below = entries.into_iter().flat_map(|all| all.range(..index));
        !below.any(|(_, change)| matches!(change, Change::Set(_)))
    }

    fn view(&self, programs: &Programs, key: u16, index: usize) -> Cell {
        let mut value = programs.base(&key);
        for (_, change) in self.entries.get(&key).into_iter().flat_map(|all| all.range(..index)) {
            value = match change {
                Change::Set(set) => *set,
                Change::Add(more) => Programs::sum(&value, more).unwrap_or(value),
            };
        }
        value
    }

    fn read(&mut self, key: u16, by: Version, aspect: Aspect) {
        if self.entries.contains_key(&key) && self.needs_base(key, by.index) {
            self.asked.insert(key);
        }
        let known = |(of, reader, _): &&mut (u16, Version, Aspect)| (*of, *reader) == (key, by);
        if let Some((_, _, most)) = self.readers.iter_mut().find(known) {
            *most = aspect.max(*most);
        } else if self.entries.contains_key(&key) && aspect > Aspect::Nothing {
            self.readers.retain(|(of, reader, _)| (*of, reader.index) != (key, by.index));
            self.readers.push((key, by, aspect));
        }
    }

    /// Whose reads are wrong by a change.
    fn change(
        &mut self,
        programs: &Programs,
        (key, index): (u16, usize),
        change: Option<Change<Cell>>,
    ) -> Vec<(usize, u32)> {
        let before = self.view(programs, key, index + 1);
        let entries = self.entries.entry(key).or_default();
        match change {
            Some(change) => entries.insert(index, change),
            None => entries.remove(&index),
        };
        let mut later = entries.range(index + 1..);
        let next = later.find(|(_, change)| matches!(change, Change::Set(_)));
        let until = next.map_or(usize::MAX, |(next, _)| *next);
        let after = self.view(programs, key, index + 1);
        let unknown = self.needs_base(key, index + 1) && !self.asked.contains(&key);
        let wrong = |(of, reader, aspect): &mut (u16, Version, Aspect)| {
            let sees = *of == key && reader.index > index && reader.index <= until;
            sees && (unknown || !Programs::same(*aspect, &before, &after))
        };
        let mut told: Vec<_> = self.readers.extract_if(.., wrong).map(|(_, v, _)| v).collect();
        told.sort_by_key(|reader| reader.index);
        told.iter().map(|reader| (reader.index, reader.incarnation)).collect()
    }
}

/// One step of a random history of a memory and its twin.
fn step(
    memory: &Memory<u16, Cell>,
    twin: &mut Twin,
    programs: &Programs,
    dice: &mut impl FnMut(u64) -> u64,
) {
    let (key, index) = (dice(3) as u16, dice(12) as usize);
    let by = Version { index, incarnation: dice(2) as u32 };
    if dice(2) == 0 {
        let aspect = [Aspect::Nothing, Aspect::Presence, Aspect::Whole][dice(3) as usize];
        let seen = memory.see(programs, by, &key, aspect).expect("nothing is an estimate");
        assert_eq!(seen, twin.view(programs, key, index));
        return twin.read(key, by, aspect);
    }
    let bound = programs.base(&key).1;
    let change = match dice(5) {
        0 => None,
        1 | 2 => Some(Change::Add((dice(2), bound))),
        _ => Some(Change::Set((dice(2), bound))),
    };
    let wrong = match &change {
        Some(change) => memory.publish::<Programs>(by, &[], &[(key, change.clone())]),
        None => memory.withdraw::<Programs>(index, &[key]),
    };
    let wrong: Vec<_> =
        wrong.iter().map(|found| (found.reader.index, found.reader.incarnation)).collect();
    assert_eq!(wrong, twin.change(programs, (key, index), change));
}

#[test]
fn a_write_names_once_whose_reads_it_makes_wrong() {
    for seed in 0..40_u64 {
        let mut builder = loom::model::Builder::new();
        builder.max_branches = 100_000;
        builder.check(move || {
            let programs = Programs::default();
            let (memory, mut twin) = (Memory::new(1, seed), Twin::default());
            let mut random = seed;
            // Knuth's generator (MMIX); its upper bits.
            let mut dice = |sides: u64| {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (random >> 33) % sides
            };
            (0..300).for_each(|_| step(&memory, &mut twin, &programs, &mut dice));
        });
    }
}
