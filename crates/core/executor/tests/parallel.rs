//! The parallel scheduler on a toy VM: random programs and adversarial ones give what they give one after
//! the other, at any number of threads.

mod parallel_common;

use atoll_executor::parallel::{Done, Ended, Limits, Panicked, Parallel, Settled};
use atoll_vm::parallel::Change;
use parallel_common::{Cell, Op, Programs};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// How many threads, and up to how many have versions of their own: all by either way.
const WAYS: [(usize, usize); 8] = [(1, 9), (2, 9), (3, 9), (8, 9), (1, 0), (2, 0), (3, 0), (8, 0)];

/// One pool of each size for all tests: threads are dear.
fn with_threads<R>(way: (usize, usize), run: impl FnOnce(&mut Parallel<u16, Cell>) -> R) -> R {
    let (threads, few_threads) = way;
    static POOLS: Mutex<BTreeMap<usize, Parallel<u16, Cell>>> = Mutex::new(BTreeMap::new());
    let taken = POOLS.lock().unwrap().remove(&threads);
    let mut pool = taken.unwrap_or_else(|| Parallel::new(threads, 7).expect("threads"));
    pool.limits = Limits { few_threads, ..Limits::always() };
    let result = run(&mut pool);
    POOLS.lock().unwrap().insert(threads, pool);
    result
}

/// What each program gave and what the cells are in the end, by what settled programs wrote.
fn outcome(programs: &Programs, done: &Done<Programs>) -> (Vec<Option<u64>>, BTreeMap<u16, u64>) {
    let (mut outputs, mut cells) = (Vec::new(), programs.cells.clone());
    for settled in &done.settled {
        match settled {
            Settled::Refused => outputs.push(None),
            Settled::Executed { output, access } => {
                outputs.push(Some(*output));
                let before = cells.clone();
                for (cell, change) in &access.writes {
                    let value = match change {
                        Change::Set((value, _)) => *value,
                        Change::Add((more, _)) => {
                            before.get(cell).copied().unwrap_or_default() + more
                        }
                    };
                    cells.insert(*cell, value);
                }
            }
        }
    }
    (outputs, cells)
}

fn run(programs: &Programs, way: (usize, usize)) -> Result<Done<Programs>, Panicked> {
    with_threads(way, |parallel| {
        let mut seen = Vec::new();
        let done = parallel.run(programs, &mut |index, output| seen.push((index, *output)));
        if let Ok(done) = &done {
            let outputs =
                done.settled.iter().enumerate().filter_map(|(index, settled)| match settled {
                    Settled::Executed { output, .. } => Some((index, *output)),
                    Settled::Refused => None,
                });
            assert_eq!(seen, outputs.collect::<Vec<_>>(), "told in order, once");
        }
        done
    })
}

fn check(programs: &Programs) {
    let serial = programs.serial();
    for way in WAYS {
        let done = run(programs, way).expect("nothing panics");
        assert_eq!(outcome(programs, &done), serial, "{way:?}");
        let ends_early = serial.0.len() < programs.list.len();
        assert_eq!(done.ended, if ends_early { Ended::Early } else { Ended::All });
    }
}

fn of(list: Vec<Vec<Op>>) -> Programs {
    let list = list.into_iter().map(|ops| (ops, 0)).collect();
    Programs { list, budget: 1 << 40, ..Programs::default() }
}

fn op(cells: u16) -> impl Strategy<Value = Op> {
    let cell = 0..cells;
    prop_oneof![
        3 => cell.clone().prop_map(Op::Read),
        1 => cell.clone().prop_map(Op::IsZero),
        2 => (cell.clone(), 0..50u64).prop_map(|(cell, n)| Op::Write(cell, n)),
        2 => (cell.clone(), 0..5u64).prop_map(|(cell, n)| Op::Add(cell, n)),
        1 => (1..=cells).prop_map(Op::ReadAt),
        1 => (1..=cells).prop_map(Op::WriteAt),
        1 => Just(Op::StopIfOdd),
        1 => (0..2000u16).prop_map(Op::Spin),
    ]
}

prop_compose! {
    fn programs()(cells in prop_oneof![1..4u16, 1..12u16, 1..200u16])(
        list in prop::collection::vec((prop::collection::vec(op(cells), 0..8), 0..20u64), 0..60),
        start in prop::collection::btree_map(0..cells, 0..4u64, 0..8),
        budget in prop_oneof![Just(1 << 40), 0..400u64],
        ends in any::<bool>(),
        chains in any::<bool>(),
        sums_fit_below in prop::option::of(0..40u64),
    ) -> Programs {
        Programs { cells: start, list, budget, ends, chains, sums_fit_below }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn random_programs_give_what_they_give_one_after_the_other(programs in programs()) {
        check(&programs);
    }
}

#[test]
fn a_chain_of_dependencies() {
    let link = |n: u16| vec![Op::Read(n), Op::Spin(500), Op::Write(n + 1, 1)];
    check(&of((0..200).map(link).collect()));
}

#[test]
fn all_to_one() {
    let all = (0..300).map(|n| vec![Op::Read(0), Op::Spin(200), Op::Write(0, n)]);
    check(&of(all.collect()));
}

#[test]
fn a_hot_counter_that_is_only_added_to_makes_nobody_wait() {
    let programs = of((0..500).map(|n| vec![Op::Read(n + 1), Op::Add(0, 1)]).collect());
    check(&programs);
    for way in WAYS {
        let done = run(&programs, way).expect("nothing panics");
        assert_eq!((done.report.in_vain(), done.report.clashes.len()), (0, 0), "{way:?}");
    }
    // Who looks depends on all who add before; who adds after, on nobody.
    let mut programs = programs;
    for at in [100, 250, 499] {
        programs.list[at].0 = vec![Op::Read(0), Op::Write(1000 + at as u16, 0)];
    }
    check(&programs);
}

#[test]
fn a_storm_of_failing_validations() {
    // Each program, late, writes what all behind it have read by then.
    let storm = |n: u16| vec![Op::Read(n % 7), Op::Spin(800), Op::Write((n + 1) % 7, u64::from(n))];
    check(&of((0..300).map(storm).collect()));
    // What is written now and then depends on what was read, and so do the cells.
    let turns = |n: u16| vec![Op::ReadAt(5), Op::Read(n % 5), Op::StopIfOdd, Op::WriteAt(5)];
    check(&of((0..300).map(turns).collect()));
}

#[test]
fn a_sum_that_does_not_fit_is_found_in_order() {
    let mut programs = of((0..60).map(|_| vec![Op::Add(0, 3)]).collect());
    programs.sums_fit_below = Some(50);
    check(&programs);
    assert_eq!(programs.serial().1[&0], 48);
}

#[test]
fn a_panic_that_serial_order_has_ends_the_batch_and_others_do_not() {
    // Cell 0 counts. Who reads a count too low panics, and in serial order nobody does.
    let count =
        |n: u64| vec![Op::Read(0), Op::Spin(3000), Op::Write(0, 2), Op::PanicAt(1 << (40 + n % 3))];
    let programs = of((0..80).map(count).collect());
    check(&programs);
    let mut programs = of((0..40).map(|n| vec![Op::Read(n), Op::Write(n, 1)]).collect());
    programs.cells.insert(100, 1);
    programs.list[23].0 = vec![Op::Read(100), Op::PanicAt(2)];
    for way in WAYS {
        let panicked = run(&programs, way).expect_err("planted");
        assert_eq!(panicked, Panicked { index: 23, what: "planted".into() });
    }
    // The threads are there still.
    programs.list[23].0 = vec![];
    check(&programs);
    // A panic of what must not be seen: cells 1 and 2 are never different but in between.
    let both = |n: u64| vec![Op::Write(1, n), Op::Write(2, n), Op::Spin(2000)];
    let mut list: Vec<_> = (0..30).map(both).collect();
    for n in (1..60).step_by(2) {
        list.insert(n, vec![Op::Read(1), Op::Spin(500), Op::Read(2), Op::PanicAt(31 * 31 + 7)]);
    }
    check(&of(list));
}

#[test]
fn a_panic_of_who_is_told_is_the_callers_and_leaves_no_thread_waiting() {
    let programs = of((0..50).map(|n| vec![Op::Read(n)]).collect());
    for way in WAYS {
        let told = std::panic::catch_unwind(|| {
            with_threads(way, |parallel| {
                parallel.run(&programs, &mut |index, _| assert!(index != 20, "planted")).is_ok()
            })
        });
        assert!(told.is_err());
    }
    check(&programs);
}

#[test]
fn what_does_not_pay_is_left_to_serial_execution() {
    let all: Vec<_> =
        (0..200).map(|n| vec![Op::Read(0), Op::Spin(5000), Op::Write(0, n)]).collect();
    let programs = of(all);
    let serial = programs.serial();
    let gives_up = |parallel: &mut Parallel<u16, Cell>| {
        let few_threads = parallel.limits.few_threads;
        // Nothing takes so long that it pays.
        let (weight_min, give_up_mean) = (0, u64::MAX);
        let limits = Limits { weight_min, give_up_mean, few_threads, ..Limits::default() };
        parallel.limits = limits;
        let done = parallel.run(&programs, &mut |_, _| {}).expect("nothing panics");
        assert_eq!(done.ended, Ended::Serial);
        assert!(done.settled.len() < 200, "given up");
        let prefix = outcome(&programs, &done).0;
        assert_eq!(prefix[..], serial.0[..prefix.len()]);
        // And nothing begins that is too small.
        parallel.limits.weight_min = u64::MAX;
        let done = parallel.run(&programs, &mut |_, _| {}).expect("nothing panics");
        assert_eq!((done.ended, done.settled.len()), (Ended::Serial, 0));
    };
    with_threads((2, 9), gives_up);
    with_threads((2, 0), gives_up);
}

#[test]
fn clashes_name_the_cell_and_who_met_there() {
    let mut list: Vec<_> = (0..40).map(|n| vec![Op::Read(n + 10), Op::Spin(2000)]).collect();
    for n in [5, 15, 25] {
        list[n] = vec![Op::Read(3), Op::Spin(20_000), Op::Write(3, 1)];
    }
    let programs = of(list);
    for way in [(3, 9), (3, 0)] {
        let clashes = run(&programs, way).expect("nothing panics").report.clashes;
        let named = clashes.iter().all(|clash| {
            clash.key == 3 && [5, 15].contains(&clash.by) && [15, 25].contains(&clash.of)
        });
        assert!(named, "{clashes:?}");
    }
}
