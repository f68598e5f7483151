//! `atoll escape`: out of a network whose operator has vanished, with nothing but the hub and the
//! published data that somebody has kept.

mod derive;
mod exit;

use crate::cli::{EscapeArgs, EscapeCommand};
use crate::hub::assemble::Assembled;
use crate::hub::calls;
use crate::hub::derivation::Deriver;
use crate::hub::outside::outside;
use crate::hub::source::{Folder, Source, Sources};
use crate::money::{parse_key, wait_options};
use alloy_sol_types::SolCall;
use anyhow::{Context, Result, ensure};
use atoll_ethereum::abi::{self, IAnchor, Record, Status};
use atoll_ethereum::{BlockId, Receipt};
use atoll_types::crypto::SigningKey;
use atoll_types::{Address, EntryKind, U256};
use serde_json::{Value, json};
use std::time::Duration;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) fn run(command: &EscapeCommand) -> Result<()> {
    match command {
        EscapeCommand::Status(args) => Leaving::open(args)?.status(),
        EscapeCommand::Derive(args) => Leaving::open(args)?.derive(),
        EscapeCommand::Exit(args) => Leaving::open(args)?.exit(),
    }
}

/// Somebody who leaves.
struct Leaving<'a> {
    args: &'a EscapeArgs,
    chain: Deriver,
    key: SigningKey,
    account: Address,
    /// The last commitment executed.
    last: Option<Assembled>,
    transactions: Vec<Value>,
}

/// How the hub stands, in its own seconds.
struct Silence {
    /// Since the sequencer last anchored, freezes not counted.
    sequencer_s: u64,
    /// Since anyone last anchored.
    anyone_s: u64,
    /// After so much of the first, anyone may anchor.
    derive_after_s: u64,
    /// After so much of the second, anyone may open the exit.
    exit_after_s: u64,
}

impl<'a> Leaving<'a> {
    fn open(args: &'a EscapeArgs) -> Result<Self> {
        let folder = Folder::place(&args.from);
        ensure!(
            folder.is_dir() || args.outside.url.is_some(),
            "{} does not exist: name a folder of published data with --from, or a gateway that \
             still answers with --url",
            folder.display()
        );
        let (outside, gateway) = outside(&args.outside, Some(&folder))?;
        let key = parse_key(&args.key)?;
        let own = Folder::open(outside.network, &folder)?;
        let sources = Sources::new(outside.network, own, gateway);
        Ok(Self {
            account: args.account.unwrap_or_else(|| key.address()),
            chain: Deriver::new(outside, sources, args.outside.from_block)?,
            last: None,
            transactions: Vec::new(),
            args,
            key,
        })
    }

    fn say(&self, text: &str) {
        if !self.args.json {
            println!("{text}");
        }
    }

    fn record(&self, number: u64) -> Result<Record> {
        self.chain.record(number)
    }

    /// Executes on until commitment `number`, all of which the hub has.
    fn follow_to(&mut self, number: u64) -> Result<()> {
        while self.chain.follower.number() < number {
            let next = self.chain.follower.number() + 1;
            let record = self.record(next)?;
            self.last = Some(self.chain.follow_hub(&record)?);
            if next.is_multiple_of(100) {
                self.say(&format!("executed again: commitment {next} of {number}"));
            }
        }
        Ok(())
    }

    /// Sends a transaction to the hub and waits for its block.
    fn send(&mut self, step: &str, to: Address, value: U256, data: Vec<u8>) -> Result<Receipt> {
        let client = &self.chain.outside.on.client;
        let sent =
            atoll_ethereum::deploy::call(client, &self.key, step, to, value, data, wait_options());
        let (done, receipt) = sent?;
        self.say(&format!("{step:<22} {} ({} gas)", receipt.transaction, done.gas_used));
        self.transactions.push(json!({
            "step": step,
            "transaction": receipt.transaction.to_string(),
            "gas_used": done.gas_used,
        }));
        Ok(receipt)
    }

    fn silence(&self) -> Result<Silence> {
        let on = &self.chain.outside.on;
        let sequencer_s = on.anchor(&IAnchor::silentForCall {})?.saturating_to::<u64>();
        let heard = on.anchor(&IAnchor::sequencerClockCall {})?;
        let anchored = on.anchor(&IAnchor::anchorClockCall {})?;
        let silence = u64::from(on.anchor(&IAnchor::silenceCall {})?);
        let derivation = u64::from(on.anchor(&IAnchor::derivationCall {})?);
        Ok(Silence {
            sequencer_s,
            anyone_s: (sequencer_s + heard).saturating_sub(anchored),
            derive_after_s: silence,
            exit_after_s: silence + derivation,
        })
    }

    /// The hub's time, seconds.
    fn hub_time_s(&self) -> Result<u64> {
        let block = self.chain.outside.on.client.block(BlockId::Latest)?;
        Ok(block.context("the hub has no block")?.time_s)
    }

    /// Settles every commitment whose window is over, none of which is not executed; with `wait` also
    /// those whose window still runs.
    fn settle(&mut self, wait: bool) -> Result<u64> {
        loop {
            let settled = self.chain.outside.on.anchor(&IAnchor::lastSettledCall {})?;
            let next = settled + 1;
            let record = self.record(next)?;
            if record.status != Status::Anchored {
                return Ok(settled);
            }
            let from = record.countedFrom + u64::from(record.challengeWindow);
            if self.hub_time_s()? < from {
                if !wait {
                    return Ok(settled);
                }
                std::thread::sleep(LOOK);
                continue;
            }
            self.follow_to(next)?;
            let call = IAnchor::settleCall { number: next, t: self.transfers(next, &record)? };
            let anchor = self.chain.outside.on.contracts.anchor;
            let sent = self.send(&format!("settle {next}"), anchor, U256::ZERO, call.abi_encode());
            // Anybody else may have done it.
            if let Err(error) = sent
                && self.chain.outside.on.anchor(&IAnchor::lastSettledCall {})? < next
            {
                return Err(error);
            }
        }
    }

    /// Entries of the hub's queue that no settled slot consumed: deposits of the account.
    fn unconsumed(&mut self) -> Result<Vec<atoll_types::HubEntry>> {
        let length = self.chain.queue_length(BlockId::Finalized)?;
        let entries = self.chain.entries(length)?;
        let own = |entry: &atoll_types::HubEntry| {
            entry.kind == EntryKind::Deposit && entry.from == self.account
        };
        Ok(entries.into_iter().filter(own).collect())
    }

    fn status(mut self) -> Result<()> {
        let on = &self.chain.outside.on;
        let (settled, last) =
            (on.anchor(&IAnchor::lastSettledCall {})?, on.anchor(&IAnchor::lastCall {})?);
        let closed = on.anchor(&IAnchor::closedCall {})?;
        let silence = self.silence()?;
        self.follow_to(settled)?;
        let holdings = self.holdings()?;
        let unconsumed = self.unconsumed()?;
        let published =
            self.chain.sources.own().store.latest().map_or(0, |last| last.commitment.number);
        let anchored_slot = self.record(last)?.lastSlot;
        let left = self.chain.sources.own().store.run(anchored_slot + 1)?;
        let kept_slots = left.last_slot().map_or(0, |last| last - anchored_slot);
        let next = match () {
            () if closed => "the exit is open: atoll escape exit".into(),
            () if silence.anyone_s >= silence.exit_after_s => {
                "the exit can be opened: atoll escape exit".into()
            }
            () if silence.sequencer_s >= silence.derive_after_s => format!(
                "anyone may anchor: atoll escape derive; the exit can be opened in {} s",
                silence.exit_after_s - silence.anyone_s
            ),
            () if published > last => {
                "signed commitments wait to be brought to the hub: atoll escape derive".into()
            }
            () => format!(
                "the operator was heard {} s ago; anyone may anchor after {} s of silence",
                silence.sequencer_s, silence.derive_after_s
            ),
        };
        let value = json!({
            "account": self.account.to_string(),
            "settled": settled, "anchored": last, "kept": published, "kept_slots": kept_slots,
            "closed": closed,
            "silent_s": silence.sequencer_s,
            "derive_after_s": silence.derive_after_s, "exit_after_s": silence.exit_after_s,
            "holdings": holdings.iter().map(|holding| holding.render()).collect::<Vec<_>>(),
            "unconsumed_deposits": unconsumed.iter().map(|entry| entry.index).collect::<Vec<_>>(),
            "next": next,
        });
        if self.args.json {
            println!("{}", serde_json::to_string(&value)?);
            return Ok(());
        }
        println!("account       {}", self.account);
        println!("commitments   {settled} settled, {last} on the hub, {published} kept here");
        println!("kept          {kept_slots} published slots that are not on the hub");
        println!(
            "silence       {} s; anyone may anchor after {} s, open the exit after {} s",
            silence.sequencer_s, silence.derive_after_s, silence.exit_after_s
        );
        for holding in &holdings {
            println!("holds         {}", holding.text());
        }
        println!("deposits      {} not consumed yet", unconsumed.len());
        println!("next          {next}");
        Ok(())
    }

    /// The net transfers of commitments, from `last` downward: what an unwinding has to take back.
    fn transfers_downward(&self, first: u64, last: u64) -> Result<Vec<Vec<abi::NetTransfer>>> {
        let mut lists = Vec::new();
        for number in (first..=last).rev() {
            let list = self.transfers(number, &self.record(number)?)?;
            if !list.is_empty() {
                lists.push(list);
            }
        }
        Ok(lists)
    }

    /// The net transfers of a commitment on the hub.
    fn transfers(&self, number: u64, record: &Record) -> Result<Vec<abi::NetTransfer>> {
        if record.transfersHash.is_zero() {
            return Ok(Vec::new());
        }
        let published = self.chain.sources.own().commitment(number)?;
        // What was derived is in no folder: its transfers are in its transaction.
        Ok(match published.filter(|p| p.commitment.hash() == record.hash) {
            Some(published) => calls::transfers(&published.transfers),
            None => self.chain.outside.on.anchored(number)?.t,
        })
    }
}
