//! The exchange core on one thread: commands per second with margin checks, object tracking,
//! events and seal encoding, and beside it peers' books on the same orders.
//!
//! | workload | |
//! | --- | --- |
//! | [`mix`] | the exchange in full, many accounts and markets ([`flow`] says what the commands are) |
//! | [`streams`] | one market's orders ([`stream`]): uniform inserts, and exchange-core's mix |
//! | [`memory`] | what a million accounts take, and what a slot writes |
//! | [`marks`] | who can be liquidated after marks moved, among a million accounts |
//!
//! What changed is sealed and encoded at each tick. Only fresh runs of recorded commands are timed,
//! by the time that the thread runs; runs of ours and of peers take turns, so that what disturbs
//! the machine disturbs all.

mod flow;
mod marks;
mod memory;
mod mix;
#[cfg(feature = "bench-peers")]
mod peer;
mod program;
mod stream;
mod streams;
mod threads;
mod venue;

use crate::cli::{ExchangeArgs, Workload};
use anyhow::Result;
use atoll_exchange::{AHEAD, Exchange, Input};
use atoll_state::{Resident, WriteSet, object};
use flow::Step;
use rustix::time::{ClockId, Timespec, clock_gettime};
use serde_json::json;
use std::array::from_fn;
use std::collections::BTreeMap;

/// Time that the calling thread runs, so that other load on the machine counts less.
struct ThreadTime {
    start: Timespec,
}

impl ThreadTime {
    fn start() -> Self {
        Self { start: clock_gettime(ClockId::ThreadCPUTime) }
    }

    fn seconds(&self) -> f64 {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        let seconds = (now.tv_sec - self.start.tv_sec) as f64;
        seconds + (now.tv_nsec - self.start.tv_nsec) as f64 * 1e-9
    }
}

#[derive(Default)]
struct Run {
    seconds: f64,
    commands: u64,
    /// Refusals by code.
    refused: BTreeMap<&'static str, u64>,
    events: u64,
    sealed_objects: u64,
    sealed_bytes: u64,
}

fn execute(exchange: &mut Exchange<Resident>, steps: &[Step]) -> Run {
    let mut events = Vec::with_capacity(1024);
    let mut writes = WriteSet::default();
    let mut run = Run::default();
    object::begin_unwitnessed(exchange);
    let time = ThreadTime::start();
    // The command at hand and those after it, as a node knows them inside a tick.
    let mut commands: [_; AHEAD + 1] = from_fn(|n| steps.get(n).and_then(Step::command));
    for (n, step) in steps.iter().enumerate() {
        for ahead in 1..=AHEAD {
            if let Some((account, command)) = &commands[(n + ahead) % (AHEAD + 1)] {
                exchange.prefetch(*account, command, ahead);
            }
        }
        if let Some((account, command)) = &commands[n % (AHEAD + 1)] {
            run.commands += 1;
            if let Err(refusal) = exchange.execute(*account, command, &mut events) {
                *run.refused.entry(refusal.code.label()).or_default() += 1;
            }
        } else if let Step::Input(input) = step {
            // Inputs of the benchmark's own spec are valid.
            let _ = exchange.apply(input, &mut events);
            if matches!(input, Input::Tick { .. }) {
                run.seal(exchange, &mut writes);
                object::begin_unwitnessed(exchange);
            }
        }
        commands[n % (AHEAD + 1)] = steps.get(n + AHEAD + 1).and_then(Step::command);
        run.events += events.len() as u64;
        events.clear();
    }
    run.seal(exchange, &mut writes);
    run.seconds = time.seconds();
    run
}

impl Run {
    fn seal(&mut self, exchange: &mut Exchange<Resident>, writes: &mut WriteSet) {
        object::seal(exchange, writes, None);
        self.sealed_objects += writes.len() as u64;
        self.sealed_bytes += writes.byte_count() as u64;
        writes.clear();
    }

    fn per_command(&self, count: u64) -> f64 {
        count as f64 / self.commands as f64
    }
}

/// Runs the benchmark.
pub(crate) fn run(args: &ExchangeArgs) -> Result<()> {
    let mut results = Vec::new();
    for workload in &args.workload {
        match workload {
            Workload::Mix => results.extend(mix::run(args)?),
            Workload::Uniform => results.push(streams::uniform(args)?),
            Workload::ExchangeCore => results.push(streams::exchange_core(args)?),
            Workload::Memory => results.push(memory::run(args)?),
            Workload::Marks => results.push(marks::run(args)?),
        }
    }
    if args.json {
        println!("{}", json!({ "bench": "exchange", "results": results }));
    }
    Ok(())
}
