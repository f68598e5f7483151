//! `atoll evm replay`: recorded blocks of Ethereum's mainnet.
//!
//! What comes after the transactions changes no receipt. Withdrawals are credited; rewards of mined
//! blocks are not, because a record does not have its uncles' headers, and the requests of EIP-7685
//! are not taken. A record is a part of the state, so there is no state root to compare.
//! The irregular change of the state at block 1,920,000 is not made.

mod execute;
mod format;
mod report;

use super::args::ReplayArgs;
use super::input::{self, Document};
use crate::evm::runs::finding_clashes;
use anyhow::{Context, bail, ensure};
use atoll_executor::parallel::EvmParallel;
use execute::{Replayed, Ways};
use format::{HashesByNumber, Recorded};
use std::num::NonZeroUsize;
use std::path::Path;

fn replay(document: &Document, ways: &mut Ways) -> anyhow::Result<Replayed> {
    let recorded: Recorded = serde_json::from_slice(&document.bytes).with_context(|| {
        format!(
            "{}: is not a recorded block, {{\"block\": …, \"pre_state\": …}} with full transactions",
            document.name
        )
    })?;
    let number = recorded.block.number.0;
    let replayed = execute::replay(&recorded, ways);
    replayed.with_context(|| format!("{}: block {number} cannot be executed", document.name))
}

fn ways(args: &ReplayArgs) -> anyhow::Result<Ways> {
    let start = |threads: NonZeroUsize| {
        EvmParallel::new(threads.get(), 0).context("a thread cannot be started")
    };
    let parallel = args.threads.map(start).transpose()?;
    let two = NonZeroUsize::MIN.saturating_add(1);
    let conflicts = args.conflicts.then(|| start(args.threads.unwrap_or(two))).transpose()?;
    let conflicts = conflicts.map(|threads| threads.with_limits(finding_clashes()));
    let hashes = args.hashes.as_deref().map(hashes).transpose()?.unwrap_or_default();
    Ok(Ways { runs: args.runs.get(), parallel, conflicts, hashes })
}

fn hashes(path: &Path) -> anyhow::Result<HashesByNumber> {
    let file = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("{file} cannot be read"))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{file} is not {{\"NUMBER\": \"HASH\", …}}"))
}

pub(super) fn run(args: &ReplayArgs) -> anyhow::Result<()> {
    let mut ways = ways(args)?;
    let (mut blocks, mut broken) = (Vec::new(), Vec::new());
    println!("{}", report::header(ways.parallel.is_some()));
    input::each(&args.paths, &mut |document| {
        match replay(&document, &mut ways) {
            Ok(block) => {
                println!("{}", report::line(&block));
                report::remarks(&block).iter().for_each(|remark| println!("  {remark}"));
                block.conflicts.iter().for_each(|found| print!("{}", report::conflicts(found)));
                blocks.push(block);
            }
            Err(error) => {
                println!("  {error:#}");
                broken.push(format!("{error:#}"));
            }
        }
        Ok(true)
    })?;
    println!("{}", report::total(&blocks, broken.len()));
    if args.json {
        let threads = args.threads.map(NonZeroUsize::get);
        println!("{}", report::json(&blocks, &broken, threads));
    }
    if blocks.is_empty() && broken.is_empty() {
        bail!(
            "no recorded block was found; a PATH is a .json, .json.gz or .json.xz file, a folder of them, or an archive"
        );
    }
    let differ = report::differ(&blocks);
    ensure!(
        differ + broken.len() == 0,
        "{differ} blocks differ from their headers, {} could not be executed",
        broken.len()
    );
    Ok(())
}

#[cfg(test)]
mod tests;
