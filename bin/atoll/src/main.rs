//! Atoll: one binary that boots, runs, verifies and measures a network of execution environments.

mod bench;
mod cli;
mod da;
mod dev;
mod escape;
mod evm;
#[cfg(test)]
mod fuzz;
mod gateway;
mod hub;
mod layers;
mod light;
mod market;
mod markets;
mod money;
mod node;
mod pages;
mod risk;
mod specs;
mod stats;
mod status;
mod summary;
mod trace;
mod verify;
mod watch;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if matches!(
        cli.command,
        Command::Dev(_) | Command::Watch(_) | Command::Bench(_) | Command::Risk(_)
    ) {
        pages::huge();
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .with_target(false)
        .init();
    let result = match &cli.command {
        Command::Dev(args) => dev::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Tour(args) => money::tour(args),
        Command::Deposit(args) => money::deposit(args),
        Command::Withdraw(args) => money::withdraw(args),
        Command::Claim(args) => money::claim(args),
        Command::Proof(args) => money::proof(args),
        Command::Watch(args) => watch::run(args),
        Command::Escape(command) => escape::run(command),
        Command::Da(command) => da::run(command),
        Command::Hub(command) => hub::command::run(command),
        Command::Bench(command) => bench::run(command),
        Command::Risk(command) => risk::run(command),
        Command::Evm(command) => evm::run(command),
        Command::Spec(args) => spec(args),
        Command::Market(command) => markets::market(command),
        Command::Account(command) => markets::account(command),
        Command::Light(args) => light::run(args),
        Command::Trace(args) => trace::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("atoll: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn spec(args: &cli::SpecArgs) -> anyhow::Result<()> {
    let specs = match args.files.is_empty() {
        true => specs::load_all(None)?,
        false => args.files.iter().map(|file| specs::load(file)).collect::<anyhow::Result<_>>()?,
    };
    for spec in specs {
        println!("{} (id {}, {}): spec hash {}", spec.name, spec.id, spec.vm.kind(), spec.hash());
    }
    Ok(())
}
