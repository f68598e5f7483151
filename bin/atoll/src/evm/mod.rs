//! `atoll evm`: recorded Ethereum through the executor and the tables of an EVM environment.
//!
//! State tests and blocks say what Ethereum's state, logs and receipts must be; what runs them here is
//! [`atoll_vm::evm::transition`], which executes every EVM environment too. An environment has none
//! of Ethereum's tries, so the roots to compare are computed here, out of its tables.

mod args;
pub(crate) mod forks;
mod input;
pub(crate) mod json;
mod mpt;
pub(crate) mod plain;
pub(crate) mod record;
mod replay;
pub(crate) mod runs;
mod statetest;

pub(crate) use args::EvmCommand;

pub(crate) fn run(command: &EvmCommand) -> anyhow::Result<()> {
    match command {
        EvmCommand::Statetest(args) => statetest::run(args),
        EvmCommand::Replay(args) => replay::run(args),
    }
}
