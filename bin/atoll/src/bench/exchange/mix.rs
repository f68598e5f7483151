//! The spine's mix: the exchange in full ([`super::flow`]).

use super::execute;
use super::flow::{Flow, Size};
#[cfg(feature = "bench-peers")]
use super::peer;
use super::threads;
use crate::bench::median;
use crate::cli::ExchangeArgs;
use anyhow::{Context, Result};
use atoll_exchange::Exchange;
use serde_json::{Value, json};

/// Measures it with each number of markets.
pub(super) fn run(args: &ExchangeArgs) -> Result<Vec<Value>> {
    let mut results = Vec::new();
    let markets = if args.markets.is_empty() { &[1, 100][..] } else { &args.markets };
    for markets in markets {
        let size = Size {
            markets: *markets,
            accounts: args.accounts.unwrap_or(100_000),
            orders: args.orders.unwrap_or(30_000),
            commands: args.commands.unwrap_or(500_000),
        };
        eprintln!("mix, {markets} market(s): making {} commands …", size.commands);
        results.push(measure(args, &size)?);
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
    Ok(results)
}

fn measure(args: &ExchangeArgs, size: &Size) -> Result<Value> {
    let (markets, flow) = (size.markets, Flow::make(size)?);
    let runs = args.runs;
    #[cfg(feature = "bench-peers")]
    let orders = peer::Orders::of(&flow);
    let mut rates = Vec::new();
    #[cfg_attr(not(feature = "bench-peers"), allow(unused_mut))]
    let mut peer_rates: Vec<f64> = Vec::new();
    let mut last = None;
    for n in 0..runs {
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
        "{markets:>3} market(s): {rate:.0} commands/s (median of {runs}); {:.2} % succeed; {:.2} \
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
        "workload": "mix",
        "markets": markets,
        "accounts": size.accounts,
        "commands": run.commands,
        "commands_per_s": rate,
        "runs_per_s": rates,
        "succeeded": succeeded,
        "refused": run.refused,
        "objects_per_command": run.per_command(run.sealed_objects),
        "bytes_per_command": run.per_command(run.sealed_bytes),
        "positions_per_account": flow.positions_mean,
        "markets_per_account": flow.markets_mean,
    });
    if args.threads.iter().any(|threads| *threads > 1) {
        result["threads"] = threads::compare(args, &flow)?.into();
    }
    if !peer_rates.is_empty() {
        let peer = median(peer_rates.clone());
        println!(
            "    orderbook-rs on the same orders: {peer:.0} orders/s (median of {runs}); atoll / \
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
