//! The mix market by market, on several threads or in turn.

use super::flow::{Flow, Step};
use super::{Run, ThreadTime, execute};
use crate::bench::median;
use crate::cli::ExchangeArgs;
use anyhow::{Context, Result};
use atoll_exchange::parallel::{Counts, Shards};
use atoll_exchange::{AccountId, Command, Exchange, Input};
use atoll_executor::workers::Pool;
use atoll_state::{Resident, Workers, WriteSet, object};
use serde_json::{Value, json};
use std::time::Instant;

/// Parts in turn; how long all of them took, and the longest of each batch.
struct InTurn {
    count: usize,
    work: f64,
    span: f64,
}

impl Workers for InTurn {
    fn count(&self) -> usize {
        self.count
    }

    fn each<T: Send>(&mut self, items: &mut [T], work: &(impl Fn(usize, &mut T) + Sync)) {
        let mut longest: f64 = 0.0;
        for (n, item) in items.iter_mut().enumerate() {
            let time = ThreadTime::start();
            work(n, item);
            let seconds = time.seconds();
            self.work += seconds;
            longest = longest.max(seconds);
        }
        self.span += longest;
    }
}

/// What is measured of a number of threads.
struct Row {
    threads: usize,
    in_turn: bool,
    /// By the clock on the wall; in turn: by the work and the span.
    rates: Vec<f64>,
    /// Seconds of the last run: parts of batches together, the longest part of each, the rest.
    work_span_rest: Option<(f64, f64, f64)>,
    counts: Counts,
}

/// Runs the flow with each number of threads in turns.
pub(super) fn compare(args: &ExchangeArgs, flow: &Flow) -> Result<Vec<Value>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut rows: Vec<_> = args
        .threads
        .iter()
        .map(|threads| Row {
            threads: *threads,
            in_turn: *threads > 1 && (args.in_turn || *threads > cores),
            rates: Vec::new(),
            work_span_rest: None,
            counts: Counts::default(),
        })
        .collect();
    for n in 0..args.runs {
        let mut told = String::new();
        for row in &mut rows {
            let mut exchange = Exchange::new(flow.rules.clone(), 1);
            execute(&mut exchange, &flow.set_up);
            row.run(&mut exchange, flow)?;
            told += &format!(", {} thread(s) {:.0}", row.threads, row.rates[n]);
        }
        eprintln!("  run {}{told} commands/s", n + 1);
    }
    let first = median(rows.first().context("a number of threads")?.rates.clone());
    Ok(rows.iter().map(|row| row.tell(first)).collect())
}

impl Row {
    fn run(&mut self, exchange: &mut Exchange<Resident>, flow: &Flow) -> Result<()> {
        let run = if self.threads == 1 {
            let start = Instant::now();
            let mut run = execute(exchange, &flow.timed);
            run.seconds = start.elapsed().as_secs_f64();
            self.counts.serial = run.commands;
            run
        } else {
            let mut shards = Shards::new(self.threads, 1);
            let run = if self.in_turn {
                let mut workers = InTurn { count: self.threads, work: 0.0, span: 0.0 };
                let time = ThreadTime::start();
                let mut run = execute_all(exchange, &flow.timed, &mut shards, &mut workers);
                let rest = time.seconds() - workers.work;
                run.seconds = rest + workers.span;
                self.work_span_rest = Some((workers.work, workers.span, rest));
                run
            } else {
                let mut pool = Pool::new(self.threads)?;
                let start = Instant::now();
                let mut run = execute_all(exchange, &flow.timed, &mut shards, &mut pool);
                run.seconds = start.elapsed().as_secs_f64();
                run
            };
            self.counts = shards.counts();
            run
        };
        self.rates.push(run.commands as f64 / run.seconds);
        Ok(())
    }

    fn tell(&self, first: f64) -> Value {
        let Counts { parallel, serial, batches, undone } = self.counts;
        let rate = median(self.rates.clone());
        let how = if self.in_turn { " by work and span" } else { "" };
        let share = parallel as f64 / (parallel + serial).max(1) as f64;
        println!(
            "    {} thread(s){how}: {rate:.0} commands/s, {:.2} × the first; {:.1} % in batches of \
             {:.0}, {:.1} % of batches undone",
            self.threads,
            rate / first,
            share * 100.0,
            parallel as f64 / batches.max(1) as f64,
            undone as f64 * 100.0 / (batches + undone).max(1) as f64,
        );
        let mut row = json!({
            "threads": self.threads,
            "in_turn": self.in_turn,
            "commands_per_s": rate,
            "runs_per_s": self.rates,
            "ratio": rate / first,
            "in_batches": share,
            "batches": batches,
            "undone": undone,
        });
        if let Some((work, span, rest)) = self.work_span_rest {
            println!(
                "        parts {work:.3} s, the longest of each batch {span:.3} s, the rest {rest:.3} s"
            );
            row["work_s"] = json!(work);
            row["span_s"] = json!(span);
            row["rest_s"] = json!(rest);
        }
        row
    }
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
                    run.seal_all(exchange, shards, workers, &mut writes);
                    object::begin_unwitnessed(exchange);
                }
            }
            step => waiting.extend(step.command()),
        }
    }
    run.execute_all(exchange, shards, workers, &mut waiting);
    run.seal_all(exchange, shards, workers, &mut writes);
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
        self.commands += waiting.len() as u64;
        exchange.execute_all(shards, workers, waiting, |_, done, events| {
            self.events += events.len() as u64;
            if let Err(refusal) = done {
                *self.refused.entry(refusal.code.label()).or_default() += 1;
            }
        });
        waiting.clear();
    }

    fn seal_all(
        &mut self,
        exchange: &mut Exchange<Resident>,
        shards: &mut Shards,
        workers: &mut impl Workers,
        writes: &mut WriteSet,
    ) {
        exchange.seal_all(shards, workers, writes);
        self.sealed_objects += writes.len() as u64;
        self.sealed_bytes += writes.byte_count() as u64;
        writes.clear();
    }
}
