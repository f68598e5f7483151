//! `atoll bench`: measures this machine. Figures are medians over runs; compare ratios, not days.

mod da;
mod e2e;
mod evm;
mod exchange;
mod load;
mod settle;
mod state;
mod work;

pub(crate) use evm::EvmBenchArgs;
pub(crate) use state::resident_peak_bytes;

use crate::cli::BenchCommand;
use anyhow::Result;

/// Runs a benchmark.
pub(crate) fn run(command: &BenchCommand) -> Result<()> {
    match command {
        BenchCommand::Exchange(args) => exchange::run(args),
        BenchCommand::E2e(args) => e2e::run(args),
        BenchCommand::Evm(args) => evm::run(args),
        BenchCommand::Settle(args) => settle::run(args),
        BenchCommand::State(args) => state::run(args),
        BenchCommand::Da(args) => da::run(args),
    }
}

/// The median; the list is not empty.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
