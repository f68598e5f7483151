//! `atoll bench`: measures this machine. Figures are medians over runs; compare ratios, not days.

mod e2e;
mod exchange;
mod settle;
mod state;
mod work;

use crate::cli::BenchCommand;
use anyhow::Result;

/// Runs a benchmark.
pub(crate) fn run(command: &BenchCommand) -> Result<()> {
    match command {
        BenchCommand::Exchange(args) => exchange::run(args),
        BenchCommand::E2e(args) => e2e::run(args),
        BenchCommand::Settle(args) => settle::run(args),
        BenchCommand::State(args) => state::run(args),
    }
}

/// The median; the list is not empty.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
