//! The exchange core on one thread: commands per second with margin checks, object tracking,
//! events and seal encoding, and beside it peers' books on the same orders.
//!
//! | workload | |
//! | --- | --- |
//! | [`mix`] | the exchange in full, many accounts and markets ([`flow`] says what the commands are) |
//! | [`streams`] | one market's orders ([`stream`]): uniform inserts, and exchange-core's mix |
//! | [`memory`] | what a million accounts take, and what a slot writes |
//!
//! What changed is sealed and encoded at each tick. Only fresh runs of recorded commands are timed,
//! by the time that the thread runs; runs of ours and of peers take turns, so that what disturbs
//! the machine disturbs all.

mod flow;
mod memory;
mod mix;
#[cfg(feature = "bench-peers")]
mod peer;
mod program;
mod stream;
mod streams;
mod venue;

use crate::cli::{ExchangeArgs, Workload};
use anyhow::Result;
use atoll_exchange::{Exchange, Input};
use atoll_state::{Resident, WriteSet, object};
use flow::Step;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Time that the calling thread runs, so that other load on the machine counts less; the clock's
/// where the system does not tell.
struct ThreadTime {
    clock: Instant,
    start: Option<Duration>,
}

impl ThreadTime {
    fn now() -> Option<Duration> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    }

    fn start() -> Self {
        Self { clock: Instant::now(), start: Self::now() }
    }

    fn seconds(&self) -> f64 {
        let ran = Self::now().zip(self.start).map(|(now, start)| now - start);
        ran.unwrap_or_else(|| self.clock.elapsed()).as_secs_f64()
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
    object::begin(exchange);
    let time = ThreadTime::start();
    for step in steps {
        match step {
            Step::Command(account, command) => {
                run.commands += 1;
                if let Err(refusal) = exchange.execute(*account, command, &mut events) {
                    *run.refused.entry(refusal.code.label()).or_default() += 1;
                }
            }
            Step::Input(input) => {
                // Inputs of the benchmark's own spec are valid.
                let _ = exchange.apply(input, &mut events);
                if matches!(input, Input::Tick { .. }) {
                    run.seal(exchange, &mut writes);
                    object::begin(exchange);
                }
            }
        }
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
        }
    }
    if args.json {
        println!("{}", json!({ "bench": "exchange", "results": results }));
    }
    Ok(())
}
