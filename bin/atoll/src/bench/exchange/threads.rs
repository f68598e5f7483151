//! The mix market by market, on several threads or in turn, beside one by one.

use super::flow::{Flow, Step};
use super::{Run, execute};
use crate::bench::median;
use crate::cli::ExchangeArgs;
use anyhow::Result;
use atoll_exchange::parallel::{Counts, Shards};
use atoll_exchange::{AccountId, Command, Exchange, Input};
use atoll_executor::workers::Pool;
use atoll_state::{Resident, Workers, WriteSet, object};
use serde_json::{Value, json};
use std::time::Instant;

/// Items in turn; how long all of them took, and how long so many threads would have had to wait for
/// them, each taking the next one as soon as it has done one.
struct InTurn {
    threads: Vec<f64>,
    work: f64,
    span: f64,
}

impl Workers for InTurn {
    fn each<T: Send>(&mut self, items: &mut [T], work: &(impl Fn(usize, &mut T) + Sync)) {
        self.threads.fill(0.0);
        for (n, item) in items.iter_mut().enumerate() {
            let start = Instant::now();
            work(n, item);
            let seconds = start.elapsed().as_secs_f64();
            self.work += seconds;
            if let Some(free) = self.threads.iter_mut().min_by(|a, b| a.total_cmp(b)) {
                *free += seconds;
            }
        }
        self.span += self.threads.iter().copied().fold(0.0, f64::max);
    }
}

/// Seconds of a run.
#[derive(Clone, Copy, Default)]
struct Times {
    /// One by one.
    serial: f64,
    /// In shards.
    sharded: f64,
    /// In turn: all items, what threads would wait for them, and what is no item.
    work: f64,
    span: f64,
    rest: f64,
}

/// Measures each number of threads above one, against one by one in turns, tick by tick: so what
/// disturbs the machine disturbs both.
pub(super) fn compare(args: &ExchangeArgs, flow: &Flow) -> Result<Vec<Value>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut rows = Vec::new();
    for threads in args.threads.iter().copied().filter(|threads| *threads > 1) {
        let in_turn = args.in_turn || threads > cores;
        let (mut runs, mut counts) = (Vec::new(), Counts::default());
        for n in 0..args.runs {
            let mut shards = Shards::new(threads, 1);
            let times = if in_turn {
                in_turn_run(flow, threads, &mut shards)
            } else {
                threads_run(flow, &mut Pool::new(threads)?, &mut shards)
            };
            counts = shards.counts();
            let ratio = times.serial / times.sharded;
            eprintln!("  {threads} threads, run {}: {ratio:.2} × one by one", n + 1);
            runs.push(times);
        }
        rows.push(tell(threads, in_turn, &runs, counts));
    }
    Ok(rows)
}

fn threads_run(flow: &Flow, pool: &mut Pool, shards: &mut Shards) -> Times {
    let mut times = Times::default();
    side_by_side(flow, |exchange, beside, steps| {
        let start = Instant::now();
        let one_by_one = execute(exchange, steps);
        times.serial += start.elapsed().as_secs_f64();
        let start = Instant::now();
        let in_shards = execute_all(beside, steps, shards, pool);
        times.sharded += start.elapsed().as_secs_f64();
        [one_by_one, in_shards]
    });
    times
}

fn in_turn_run(flow: &Flow, threads: usize, shards: &mut Shards) -> Times {
    let mut times = Times::default();
    let mut workers = InTurn { threads: vec![0.0; threads], work: 0.0, span: 0.0 };
    let mut all = 0.0;
    side_by_side(flow, |exchange, beside, steps| {
        let start = Instant::now();
        let one_by_one = execute(exchange, steps);
        times.serial += start.elapsed().as_secs_f64();
        let start = Instant::now();
        let in_shards = execute_all(beside, steps, shards, &mut workers);
        all += start.elapsed().as_secs_f64();
        [one_by_one, in_shards]
    });
    let rest = all - workers.work;
    Times { work: workers.work, span: workers.span, rest, sharded: rest + workers.span, ..times }
}

/// Gives what is timed, tick by tick, to two exchanges, and compares what came of it.
fn side_by_side(
    flow: &Flow,
    mut step: impl FnMut(&mut Exchange<Resident>, &mut Exchange<Resident>, &[Step]) -> [Run; 2],
) {
    let [mut exchange, mut beside] = [(); 2].map(|()| {
        let mut exchange = Exchange::new(flow.rules.clone(), 1);
        execute(&mut exchange, &flow.set_up);
        exchange
    });
    for steps in flow.timed.split_inclusive(|step| matches!(step, Step::Input(Input::Tick { .. })))
    {
        let [one_by_one, in_shards] = step(&mut exchange, &mut beside, steps);
        assert_eq!(one_by_one.commands, in_shards.commands);
        assert_eq!(one_by_one.events, in_shards.events);
        assert_eq!(one_by_one.refused, in_shards.refused);
    }
    let commands = |exchange: &Exchange<Resident>| exchange.peek_global().commands;
    assert_eq!(commands(&exchange), commands(&beside));
}

fn tell(threads: usize, in_turn: bool, runs: &[Times], counts: Counts) -> Value {
    let of = |value: fn(&Times) -> f64| median(runs.iter().map(value).collect());
    let ratio = of(|times| times.serial / times.sharded);
    let Counts { parallel, serial, batches, undone } = counts;
    let share = parallel as f64 / (parallel + serial).max(1) as f64;
    let how = if in_turn { ", by work and span" } else { "" };
    println!(
        "    {threads} threads{how}: {ratio:.2} × one by one (median of {}); {:.1} % in batches of \
         {:.0}, {:.1} % of batches undone",
        runs.len(),
        share * 100.0,
        parallel as f64 / batches.max(1) as f64,
        undone as f64 * 100.0 / (batches + undone).max(1) as f64,
    );
    let mut row = json!({
        "threads": threads,
        "in_turn": in_turn,
        "ratio": ratio,
        "ratio_of_runs": runs.iter().map(|times| times.serial / times.sharded).collect::<Vec<_>>(),
        "in_batches": share,
        "batches": batches,
        "undone": undone,
    });
    if in_turn {
        let work = of(|times| times.work / times.serial);
        let span = of(|times| times.span / times.serial);
        let rest = of(|times| times.rest / times.serial);
        println!(
            "        of the time of one by one: all parts {work:.2}, waiting for them {span:.2}, \
             what is no part {rest:.2}"
        );
        row["work"] = json!(work);
        row["span"] = json!(span);
        row["rest"] = json!(rest);
    }
    row
}

/// As [`execute`], market by market.
fn execute_all(
    exchange: &mut Exchange<Resident>,
    steps: &[Step],
    shards: &mut Shards,
    workers: &mut impl Workers,
) -> Run {
    let mut writes = WriteSet::default();
    let mut run = Run::default();
    let mut waiting: Vec<(AccountId, Command)> = Vec::new();
    let mut events = Vec::new();
    object::begin_unwitnessed(exchange);
    for step in steps {
        match step {
            Step::Input(input) => {
                run.execute_all(exchange, shards, workers, &mut waiting);
                // Inputs of the benchmark's own spec are valid.
                let _ = exchange.apply(input, &mut events);
                run.events += events.len() as u64;
                events.clear();
                if matches!(input, Input::Tick { .. }) {
                    exchange.seal_all(shards, workers, &mut writes);
                    writes.clear();
                    object::begin_unwitnessed(exchange);
                }
            }
            step => waiting.extend(step.command()),
        }
    }
    run.execute_all(exchange, shards, workers, &mut waiting);
    exchange.seal_all(shards, workers, &mut writes);
    writes.clear();
    run
}

impl Run {
    fn execute_all(
        &mut self,
        exchange: &mut Exchange<Resident>,
        shards: &mut Shards,
        workers: &mut impl Workers,
        waiting: &mut Vec<(AccountId, Command)>,
    ) {
        if waiting.is_empty() {
            return;
        }
        self.commands += waiting.len() as u64;
        exchange.execute_all(shards, workers, waiting, |_, done, events| {
            self.events += events.len() as u64;
            if let Err(refusal) = done {
                *self.refused.entry(refusal.code.label()).or_default() += 1;
            }
        });
        waiting.clear();
    }
}
