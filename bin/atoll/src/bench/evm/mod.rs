//! Blocks of EVM transactions: what the executor of an EVM environment makes of them on its tables, serially
//! and in parallel, beside revm alone on a state in its own form.
//!
//! Signatures are not part of it: a transaction comes with its sender, as from admission. With `--rpc`
//! they are ([`rpc`]).

mod args;
mod code;
mod cold;
mod input;
mod measure;
mod rpc;
mod state;
mod table;
mod workload;
mod worst;

pub(crate) use args::EvmBenchArgs;

use anyhow::{Result, ensure};
use args::EvmWorkload;
use atoll_vm::evm::GasOverrides;
use measure::{Rules, Threads};
use serde_json::{Value, json};
use std::time::Duration;

/// Million gas of a block.
const MGAS: u64 = 1_000;
/// A block on a cold state is so many times smaller: its waits are long.
const COLD_PART: u64 = 10;
const COLD_RUNS_MAX: usize = 3;
const GAS_PER_MGAS: u64 = 1_000_000;

/// Runs the benchmark.
pub(crate) fn run(args: &EvmBenchArgs) -> Result<()> {
    let report = match (args.worst, args.rpc) {
        (true, _) => worst_cases(args)?,
        (_, true) => rpc::run(args)?,
        _ => workloads(args)?,
    };
    if args.json {
        println!("{report}");
    }
    Ok(())
}

fn chosen(args: &EvmBenchArgs) -> Vec<EvmWorkload> {
    match args.workload.as_slice() {
        [] => EvmWorkload::ALL.to_vec(),
        some => some.to_vec(),
    }
}

fn workloads(args: &EvmBenchArgs) -> Result<Value> {
    let gas = args.mgas.unwrap_or(MGAS) * GAS_PER_MGAS;
    let wait = Duration::from_micros(args.cold);
    let ways = args.threads.iter().map(|count| Threads::new(*count, wait));
    let mut ways = ways.collect::<Result<Vec<_>>>()?;
    let (mut warm, mut cold) = (Vec::new(), Vec::new());
    println!("{}", table::header());
    for workload in chosen(args) {
        let block = workload.block(gas, args.accounts, args.seed)?;
        let found = measure::warm(&block, &mut ways, args.runs, None)?;
        print!("{}", table::lines(&found));
        warm.push(table::describe(&found));
    }
    if args.cold > 0 {
        println!("\neach first read of an account or a slot waits {} µs", args.cold);
        println!("{}", table::cold_header());
        for workload in chosen(args) {
            let block = workload.block(gas / COLD_PART, args.accounts, args.seed)?;
            let found = measure::cold(&block, &mut ways, (wait, args.runs.min(COLD_RUNS_MAX)))?;
            print!("{}", table::cold_lines(&found));
            cold.push(table::describe(&found));
        }
    }
    Ok(json!({
        "bench": "evm",
        "mgas": gas / GAS_PER_MGAS,
        "accounts": args.accounts,
        "seed": args.seed,
        "runs": args.runs,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "workloads": warm,
        "cold_us": args.cold,
        "cold": cold,
    }))
}

/// Part of a block's gas that a worst case has to use, in hundredths: less is not the case that it says.
const USED_MIN: u64 = 85;

fn worst_cases(args: &EvmBenchArgs) -> Result<Value> {
    let (block_gas, transaction_gas, own) = worst::built_in()?;
    let rules = match args.ethereum_prices {
        true => Rules { gas: GasOverrides::default(), ..own },
        false => own,
    };
    let gas = args.mgas.map_or(block_gas, |mgas| mgas * GAS_PER_MGAS);
    let slot = Duration::from_micros(crate::node::SLOT_US);
    let ways = args.threads.iter().map(|count| Threads::new(*count, Duration::ZERO));
    let mut ways = ways.collect::<Result<Vec<_>>>()?;
    let prices = if args.ethereum_prices { "Ethereum's" } else { "the built-in environment's" };
    println!(
        "blocks of {} Mgas at {prices} prices, slots of {} ms",
        gas / GAS_PER_MGAS,
        slot.as_millis()
    );
    println!("{}", table::worst_header());
    let mut cases = Vec::new();
    for block in worst::blocks(gas, transaction_gas, &rules) {
        let found = measure::warm(&block, &mut ways, args.runs, Some(&rules))?;
        let used = found.gas * 100 / gas;
        ensure!(used >= USED_MIN, "{} uses {used} % of the block's gas", found.name);
        print!("{}", table::worst_lines(&found, slot));
        cases.push(table::describe_worst(&found, slot));
    }
    Ok(json!({
        "bench": "evm-worst",
        "ethereum_prices": args.ethereum_prices,
        "mgas": gas / GAS_PER_MGAS,
        "slot_s": slot.as_secs_f64(),
        "runs": args.runs,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "cases": cases,
    }))
}
