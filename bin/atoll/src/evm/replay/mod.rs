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
use anyhow::{Context, bail, ensure};
use execute::Replayed;
use format::Recorded;

fn replay(document: &Document, runs: usize) -> anyhow::Result<Replayed> {
    let recorded: Recorded = serde_json::from_slice(&document.bytes).with_context(|| {
        format!(
            "{}: is not a recorded block, {{\"block\": …, \"pre_state\": …}} with full transactions",
            document.name
        )
    })?;
    let number = recorded.block.number.0;
    let replayed = execute::replay(&recorded, runs);
    replayed.with_context(|| format!("{}: block {number} cannot be executed", document.name))
}

pub(super) fn run(args: &ReplayArgs) -> anyhow::Result<()> {
    let (mut blocks, mut broken) = (Vec::new(), Vec::new());
    println!("{}", report::header());
    input::each(&args.paths, &mut |document| {
        match replay(&document, args.runs.get()) {
            Ok(block) => {
                println!("{}", report::line(&block));
                report::remarks(&block).iter().for_each(|remark| println!("  {remark}"));
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
        println!("{}", report::json(&blocks, &broken));
    }
    if blocks.is_empty() && broken.is_empty() {
        bail!(
            "no recorded block was found; a PATH is a .json, .json.gz or .json.xz file, a folder of them, or an archive"
        );
    }
    let differ = blocks.iter().filter(|block| !block.differences.is_empty()).count();
    ensure!(
        differ + broken.len() == 0,
        "{differ} blocks differ from their headers, {} could not be executed",
        broken.len()
    );
    Ok(())
}

#[cfg(test)]
mod tests;
