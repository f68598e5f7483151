//! Commands that measure.

use super::parse_duration;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// The exchange core on one thread, margin checks and object tracking included
    Exchange(ExchangeArgs),
    /// Signed orders over loopback HTTP and WebSocket through a whole node
    E2e(E2eArgs),
    /// Authenticated state: object updates per second with root
    State(StateArgs),
    /// Data availability: extend, sample, rebuild a full square; bytes of data an order
    Da(DaBenchArgs),
    /// EVM transactions serially, in parallel and by revm alone; through JSON-RPC; worst cases
    Evm(crate::bench::EvmBenchArgs),
    /// Settlement: gas of every call on the hub, time until settled, gas per order
    Settle(SettleArgs),
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  atoll bench settle
  atoll bench settle --commitments 10 --rate 2000 --json")]
pub(crate) struct SettleArgs {
    /// Commitments to follow until they are settled
    #[arg(long, default_value_t = 4, value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) commitments: u64,
    /// Orders per second of the built-in agents meanwhile
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub(crate) rate: u32,
    /// Folder for the network, removed in the end [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  atoll bench exchange                        the mix: 1 and 100 markets, 100,000 accounts
  atoll bench exchange --workload uniform --workload exchange-core
  atoll bench exchange --workload uniform --peer $(.ci/liquibook)
  atoll bench exchange --workload memory --json
  atoll bench exchange --markets 100 --threads 2 --threads 16
  cargo run --release --features bench-peers -- bench exchange --workload uniform")]
pub(crate) struct ExchangeArgs {
    /// What to run; may be given several times
    #[arg(long, value_enum, default_values_t = [Workload::Mix], value_name = "NAME")]
    pub(crate) workload: Vec<Workload>,
    /// Commands to run [default: mix 500,000; uniform and exchange-core 2,000,000; memory 100,000
    /// in each slot]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) commands: Option<u64>,
    /// Accounts of mix, memory and marks [default: 100,000; 1,000,000; 1,000,000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    pub(crate) accounts: Option<u32>,
    /// Markets of mix, memory and marks; several times for mix [default: 1 and 100; 100; 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) markets: Vec<u16>,
    /// Threads of mix, market by market, beside one by one on one thread; may be given several times.
    /// For more than the machine has the parts of a batch run in turn, and the longest counts. Of marks
    /// the largest number, beside one
    #[arg(long, value_name = "N", default_values_t = [1],
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=64))]
    pub(crate) threads: Vec<usize>,
    /// Run the parts of batches in turn, whatever the machine has
    #[arg(long)]
    pub(crate) in_turn: bool,
    /// Orders that rest when the commands begin, in mix and memory [default: 30,000; 1,000,000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=100_000_000))]
    pub(crate) orders: Option<u64>,
    /// Runs, of which the median counts
    #[arg(long, default_value_t = 7, value_name = "N",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000))]
    pub(crate) runs: usize,
    /// A program with another book, which gets the orders of uniform and exchange-core in turns
    /// with ours (see docs/CLI.md); may be given several times
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) peer: Vec<PathBuf>,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

/// A workload of `atoll bench exchange`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// 45 % place, 45 % cancel, 10 % cross, in many markets with full margin checks
    Mix,
    /// Alternating buys and sells around one price, beside other people's books
    Uniform,
    /// 9 % GTC, 3 % IOC, 6 % cancel, 82 % move with a thousand open orders, beside other books
    ExchangeCore,
    /// Peak memory with a million accounts; what a slot writes, and how long its root takes
    Memory,
    /// Who can be liquidated after marks moved, among a million accounts
    Marks,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  atoll bench state                           everything, in a few minutes
  atoll bench state --only root-lag --root-lag 10m
  atoll bench state --keys 1000000 --only updates --json
  cargo run --release --features bench-peers -- bench state --only updates")]
pub(crate) struct StateArgs {
    /// Keys in the state; may be given several times
    #[arg(long, default_values_t = [1_000_000, 5_000_000], value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) keys: Vec<u64>,
    /// Updates per commit
    #[arg(long, default_value_t = 10_000, value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) batch: u64,
    /// Measure only this; may be given several times [default: all]
    #[arg(long, value_enum, value_name = "PART")]
    pub(crate) only: Vec<StatePart>,
    /// How long a node is put under full load to see how far roots lag behind execution
    #[arg(long, default_value = "20s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) root_lag: Duration,
    /// Folder for files, removed in the end [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// A program that serves another store, measured in turns with ours (see docs/CLI.md); may be
    /// given several times
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) peer: Vec<PathBuf>,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
    /// Be the store of this name, told what to do over standard input
    #[arg(long, hide = true, value_name = "STORE")]
    pub(crate) serve: Option<String>,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  atoll bench da                              a full square of 8 MiB; 1,000 and 100,000 orders/s
  atoll bench da --rate 20000 --json
  cargo run --release --features bench-peers -- bench da")]
pub(crate) struct DaBenchArgs {
    /// Width of the square in shares of 512 bytes: a power of two
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = parse_width)]
    pub(crate) width: u16,
    /// Runs, of which the median counts
    #[arg(long, default_value_t = 9, value_name = "N",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000))]
    pub(crate) runs: usize,
    /// Orders per second whose data is counted; may be given several times
    #[arg(long, default_values_t = [1_000, 100_000], value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: Vec<u32>,
    /// Orders to make at each rate
    #[arg(long, default_value_t = 100_000, value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) orders: u64,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

/// A part of `atoll bench state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatePart {
    /// Updates per second with root, memory per key, other stores beside ours
    Updates,
    /// Snapshots: writing, merging, restarting from them
    Snapshots,
    /// How far roots lag behind execution in a node under full load
    RootLag,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  atoll bench e2e                             5,000 orders/s on each door for ten seconds
  atoll bench e2e --rate max                  the highest rate that each door sustains
  atoll bench e2e --rate 2000 --for 30s --json")]
pub(crate) struct E2eArgs {
    /// Orders per second offered, or max: steps upward to the highest rate that is sustained
    #[arg(long, default_value = "5000", value_name = "N", value_parser = parse_rate)]
    pub(crate) rate: Rate,
    /// How long to offer them on each door; with --rate max the length of a step, 3 s at most
    #[arg(long = "for", default_value = "10s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) run_for: Duration,
    /// Connections
    #[arg(long, default_value_t = 32, value_name = "N",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub(crate) connections: usize,
    /// Only one door [default: both]
    #[arg(long, value_enum, value_name = "DOOR")]
    pub(crate) door: Option<Door>,
    /// Folder for the network, removed in the end [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

/// How fast orders are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rate {
    /// So many a second.
    PerSecond(u32),
    /// As many as are answered in time.
    Max,
}

/// A door that takes orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Door {
    /// A request each on connections that are kept (`POST`); one at a time on each
    Http,
    /// WebSockets; requests on one are answered beside one another
    #[value(name = "websocket")]
    WebSocket,
}

fn parse_width(text: &str) -> Result<u16, String> {
    match text.parse::<u16>() {
        Ok(width) if width.is_power_of_two() && (4..=128).contains(&width) => Ok(width),
        _ => Err("expected a power of two from 4 to 128".into()),
    }
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    match (text, text.parse()) {
        ("max", _) => Ok(Rate::Max),
        (_, Ok(rate @ 1..=1_000_000)) => Ok(Rate::PerSecond(rate)),
        _ => Err("expected a number of orders per second up to 1000000, or max".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_parse_and_refusals_say_what_was_expected() {
        assert_eq!(parse_rate("5000"), Ok(Rate::PerSecond(5_000)));
        assert_eq!(parse_rate("max"), Ok(Rate::Max));
        assert!(parse_rate("0").is_err() && parse_rate("fast").is_err());
    }
}
