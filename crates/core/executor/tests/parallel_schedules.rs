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

use memory::Memory;
use parallel_common::{Op, Programs};
use run::Run;
use settled::{Ended, Limits, Settled};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

mod sync {
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
    pub(super) use loom::sync::{Mutex, MutexGuard};

    pub(super) fn pause(_: u32) {
        loom::thread::yield_now();
    }
}

/// Explores the schedules of two threads.
fn explore(programs: Programs) {
    let (outputs, cells) = programs.serial();
    let programs: &'static Programs = Box::leak(Box::new(programs));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.max_branches = 20_000;
    // Exhausted or not, a test must end.
    builder.max_duration = Some(Duration::from_secs(15));
    let schedules = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&schedules);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        let memory = Arc::new(Memory::new(2, 1));
        let told = Arc::new(std::sync::Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let run = Arc::new(Run::new(
            programs,
            Arc::clone(&memory),
            Limits { clashes_max: 0, ..Limits::always() },
            Box::new(move |index, _: &u64| tell.lock().unwrap().push(index)),
        ));
        let other = Arc::clone(&run);
        let thread = loom::thread::spawn(move || other.work());
        run.work();
        thread.join().unwrap();
        let run = Arc::into_inner(run).expect("the other thread has ended");
        let (settled, ended, _) = run.into_done().expect("nothing panics");
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
