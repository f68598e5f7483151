//! The exchange core on one thread: commands per second with margin checks, object tracking,
//! events and seal encoding, and beside it a peer's books on the same orders.
//!
//! [`flow`] says what the commands are. What changed is sealed and encoded at each tick. Only
//! fresh runs of the recorded flow are timed, by the time that the thread runs; runs of engine and
//! peer alternate, so that what disturbs the machine disturbs both.

mod flow;
#[cfg(feature = "bench-peers")]
mod peer;

use super::median;
use crate::cli::BenchArgs;
use anyhow::{Context, Result};
use atoll_exchange::{Exchange, Input};
use atoll_state::{Resident, WriteSet, object};
use flow::{Flow, Step};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const RUNS: usize = 5;

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
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    let mut results = Vec::new();
    for markets in [1u16, 100] {
        eprintln!("{markets} market(s): making {} commands …", args.commands);
        results.push(measure(&Flow::make(markets, args.commands)?, markets)?);
    }
    if cfg!(feature = "bench-peers") {
        println!(
            "orderbook-rs keeps one book a market and has no accounts, margin, position, fee or \
             state commitment; it gets the orders that the engine accepted."
        );
    } else {
        println!(
            "beside orderbook-rs: cargo run --release --features bench-peers -- bench exchange"
        );
    }
    if args.json {
        println!("{}", json!({ "bench": "exchange", "results": results }));
    }
    Ok(())
}

fn measure(flow: &Flow, markets: u16) -> Result<serde_json::Value> {
    #[cfg(feature = "bench-peers")]
    let orders = peer::Orders::of(flow);
    let mut rates = Vec::new();
    #[cfg_attr(not(feature = "bench-peers"), allow(unused_mut))]
    let mut peer_rates: Vec<f64> = Vec::new();
    let mut last = None;
    for n in 0..RUNS {
        let mut exchange = Exchange::new(flow.rules.clone(), 1);
        execute(&mut exchange, &flow.set_up);
        let run = execute(&mut exchange, &flow.timed);
        rates.push(run.commands as f64 / run.seconds);
        last = Some(run);
        #[cfg(feature = "bench-peers")]
        peer_rates.push(orders.run(&exchange)?);
        let peer = peer_rates.last();
        let peer = peer.map_or(String::new(), |rate| format!(", orderbook-rs {rate:.0}"));
        eprintln!("  run {}: {:.0} commands/s{peer}", n + 1, rates[n]);
    }
    let run = last.context("at least one run")?;
    let rate = median(rates.clone());
    let refused: u64 = run.refused.values().sum();
    let succeeded = 1.0 - run.per_command(refused);
    println!(
        "{markets:>3} market(s): {rate:.0} commands/s (median of {RUNS}); {:.2} % succeed; {:.2} \
         events, {:.2} sealed objects and {:.0} sealed bytes a command; an account has {:.1} \
         positions",
        succeeded * 100.0,
        run.per_command(run.events),
        run.per_command(run.sealed_objects),
        run.per_command(run.sealed_bytes),
        flow.positions_mean,
    );
    for (code, count) in &run.refused {
        println!("    refused: {count} {code}");
    }
    let mut result = json!({
        "markets": markets,
        "commands": run.commands,
        "commands_per_s": rate,
        "runs_per_s": rates,
        "succeeded": succeeded,
        "refused": run.refused,
        "positions_per_account": flow.positions_mean,
        "markets_per_account": flow.markets_mean,
    });
    if !peer_rates.is_empty() {
        let peer = median(peer_rates.clone());
        println!(
            "    orderbook-rs on the same orders: {peer:.0} orders/s (median of {RUNS}); atoll / \
             orderbook-rs = {:.2}",
            rate / peer
        );
        result["orderbook_rs"] = json!({
            "orders_per_s": peer,
            "runs_per_s": peer_rates,
            "ratio": rate / peer,
        });
    }
    Ok(result)
}
