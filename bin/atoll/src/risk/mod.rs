//! `atoll risk`: what crashes do to a venue.
//!
//! | module | |
//! | --- | --- |
//! | [`scenario`] | what happened, with sources: `crashes.toml` |
//! | [`path`] | ways of prices that meet what happened |
//! | [`venue`], [`crowd`], [`traders`] | the rules, who is there, who trades |
//! | [`world`], [`agent`], [`record`] | the run, who liquidates, and what is written down of it |
//! | [`books`] | whether money is conserved, after every slot |
//! | [`outcome`] | figures of a run, and as JSON |
//! | [`report`], [`tables`], [`plot`] | the report, one HTML file |

mod agent;
mod books;
mod crowd;
mod outcome;
mod path;
mod plot;
mod record;
mod report;
mod scenario;
mod tables;
mod traders;
mod venue;
mod world;

use crate::cli::{CrashArgs, RiskCommand};
use anyhow::{Context, Result};
use atoll_exchange::Deleveraging;
use outcome::Outcome;
use scenario::{Catalogue, Scenario};
use serde_json::json;
use std::fs::OpenOptions;
use std::path::Path;
use std::time::Instant;
use world::Setting;

/// Runs a subcommand.
pub(crate) fn run(command: &RiskCommand) -> Result<()> {
    match command {
        RiskCommand::Crash(args) => crash(args),
    }
}

fn crash(args: &CrashArgs) -> Result<()> {
    let catalogue = scenario::catalogue()?;
    let scenarios = catalogue.named(&args.scenario)?;
    writable(&args.out)?;
    let mut outcomes = Vec::new();
    for scenario in scenarios {
        let outcome = one(&catalogue, scenario, args)?;
        println!("{}", outcome.line());
        outcomes.push(outcome);
    }
    let html = report::html(&catalogue, &outcomes);
    std::fs::write(&args.out, html)
        .with_context(|| format!("cannot write the report to {}", args.out.display()))?;
    eprintln!("report: {}", args.out.display());
    if args.json {
        let scenarios: Vec<_> = outcomes.iter().map(Outcome::json).collect();
        println!("{}", json!({ "risk": "crash", "scenarios": scenarios }));
    }
    Ok(())
}

/// Both modes of deleveraging; a scenario in which nobody is to be liquidated needs one.
fn one<'a>(
    catalogue: &'a Catalogue,
    scenario: &'a Scenario,
    args: &CrashArgs,
) -> Result<Outcome<'a>> {
    let setting = |deleveraging| Setting { accounts: args.accounts, seed: args.seed, deleveraging };
    let start = Instant::now();
    let run = |mode: &str, deleveraging| {
        let progress = |what: &str| {
            let seconds = start.elapsed().as_secs_f64();
            eprintln!("{} ({mode}, {seconds:.0} s): {what}", scenario.name);
        };
        world::run(catalogue, scenario, &setting(deleveraging), progress)
            .with_context(|| format!("scenario {} ({mode})", scenario.name))
    };
    let main = run("risk-aware", Deleveraging::RiskAware)?;
    let queue = match scenario.glitch {
        Some(_) => None,
        None => Some(run("queue", Deleveraging::Queue)?),
    };
    Ok(Outcome::new(args.seed, main, queue))
}

/// Whether the report can be written, before the work begins.
fn writable(path: &Path) -> Result<()> {
    let existed = path.exists();
    let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    opened.with_context(|| {
        format!("cannot write the report to {}; --out says where", path.display())
    })?;
    if !existed {
        // What cannot be removed is overwritten in the end.
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}
