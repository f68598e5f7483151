//! The command line of `atoll bench evm`.

use crate::cli::{Door, parse_duration};
use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// A workload of `atoll bench evm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EvmWorkload {
    /// Payments, no two of which share an account
    Transfers,
    /// Transfers of one ERC-20 token between random accounts
    Erc20,
    /// Swaps on one constant-product pool
    OnePool,
    /// Swaps on a thousand pools
    ManyPools,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  atoll bench evm                             the workloads, serially, on two threads, by revm alone
  atoll bench evm --threads 2 --threads 8 --workload many-pools
  atoll bench evm --cold 100                  with state that takes 100 µs to read
  atoll bench evm --worst                     blocks of what costs most time for its gas
  atoll bench evm --rpc --rate 10000          payments through a node's JSON-RPC")]
pub(crate) struct EvmBenchArgs {
    /// What to execute; may be given several times [default: all]
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) workload: Vec<EvmWorkload>,
    /// Million gas of a block [default: 1,000; with --worst the gas limit of the built-in environment]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) mgas: Option<u64>,
    /// Accounts that ERC-20 transfers and swaps are made among
    #[arg(long, default_value_t = 100_000, value_name = "N",
        value_parser = clap::value_parser!(u64).range(2..=10_000_000))]
    pub(crate) accounts: u64,
    /// Threads of parallel execution; may be given several times
    #[arg(long, default_values_t = [2], value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=64))]
    pub(crate) threads: Vec<usize>,
    /// Runs, of which the median counts
    #[arg(long, default_value_t = 5, value_name = "N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000))]
    pub(crate) runs: usize,
    /// What accounts, pools and directions are chosen from
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
    /// Once more with a state that is not in memory: microseconds that each first read of an account or
    /// a slot waits, in blocks of a tenth; 0 for not at all
    #[arg(long, default_value_t = 50, value_name = "MICROS",
        value_parser = clap::value_parser!(u64).range(0..=100_000))]
    pub(crate) cold: u64,
    /// Blocks of what costs most time for its gas instead
    #[arg(long, conflicts_with_all = ["rpc", "workload", "cold"])]
    pub(crate) worst: bool,
    /// With --worst: Ethereum's prices in place of the built-in environment's
    #[arg(long, requires = "worst")]
    pub(crate) ethereum_prices: bool,
    /// Payments through a whole node's JSON-RPC over loopback instead
    #[arg(long, conflicts_with_all = ["workload", "mgas", "threads", "runs", "cold"])]
    pub(crate) rpc: bool,
    /// With --rpc: transactions per second offered
    #[arg(long, default_value_t = 10_000, value_name = "N", requires = "rpc",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: u32,
    /// With --rpc: how long to offer them
    #[arg(long = "for", default_value = "10s", value_name = "TIME", requires = "rpc",
        value_parser = parse_duration)]
    pub(crate) run_for: Duration,
    /// With --rpc: connections
    #[arg(long, default_value_t = 1_000, value_name = "N", requires = "rpc",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub(crate) connections: usize,
    /// With --rpc: how they come in; over HTTP each waits for its receipt, over a WebSocket until it is
    /// executed
    #[arg(long, value_enum, default_value = "http", value_name = "DOOR", requires = "rpc")]
    pub(crate) door: Door,
    /// With --rpc: folder for the network, removed in the end [default: the system's temporary folder]
    #[arg(long, value_name = "DIR", requires = "rpc")]
    pub(crate) dir: Option<PathBuf>,
    /// Print one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}
