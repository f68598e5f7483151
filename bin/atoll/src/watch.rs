//! `atoll watch`: executes everything again that the operator publishes, compares it with what the
//! operator commits to on the hub, and challenges what is not so.

use crate::cli::{OutsideArgs, WatchArgs};
use crate::gateway::Gateway;
use crate::hub::assemble::Assembled;
use crate::hub::calls;
use crate::hub::certificate::data_of;
use crate::hub::follower::{Disorder, Follower};
use crate::hub::onchain::{Entries, OnChain};
use crate::hub::published::{Published, SpanRoot};
use crate::hub::source::{Folder, Source};
use crate::money::{parse_key, wait_options};
use crate::specs;
use alloy_sol_types::SolCall;
use anyhow::{Context, Result, bail, ensure};
use atoll_da::SpanData;
use atoll_ethereum::abi::{self, IAnchor, Record, Status};
use atoll_ethereum::{BlockId, Client, Limits};
use atoll_executor::EnvironmentSpec;
use atoll_types::crypto::SigningKey;
use atoll_types::{B256, Encode, NetworkId, Statement, U256, merkle_proof};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Commitments that may be executed ahead of the hub.
const AHEAD_MAX: usize = 256;
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A network as somebody outside of it knows it: by its spec files, and by its contracts.
pub(crate) struct Outside {
    pub(crate) network: NetworkId,
    pub(crate) specs: Vec<EnvironmentSpec>,
    pub(crate) on: OnChain,
    pub(crate) gateway: Option<Gateway>,
}

/// Reaches a network. What is not given is taken from the gateway's word, and from what `remembered`
/// has of an earlier time.
pub(crate) fn outside(args: &OutsideArgs, remembered: Option<&Path>) -> Result<Outside> {
    let mut specs = specs::load_all(args.environments.as_deref())?;
    specs.push(specs::router(&specs));
    let network = specs::network(&args.network, &specs);
    let kept: Value = remembered
        .and_then(|folder| std::fs::read(folder.join("hub.json")).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let gateway = args.url.as_deref().map(Gateway::new).transpose()?;
    let mut word = "the gateway's word";
    let said = match &gateway {
        Some(gateway) if args.hub_rpc.is_none() || args.anchor.is_none() => match said(gateway) {
            Ok(said) => said,
            Err(error) if !kept.is_object() => return Err(error),
            Err(_) => {
                word = EARLIER;
                kept
            }
        },
        _ => {
            word = EARLIER;
            kept
        }
    };
    let rpc_url = args.hub_rpc.as_deref().or(said["rpc_url"].as_str());
    let rpc_url = rpc_url.context("where is the hub? name a node of its chain with --hub-rpc")?;
    let anchor = match (args.anchor, said["contracts"]["anchor"].as_str()) {
        (Some(anchor), _) => anchor,
        (None, Some(anchor)) => {
            eprintln!("believing {word}: the Anchor is {anchor} (name it with --anchor)");
            anchor.parse()?
        }
        (None, None) => bail!("which Anchor is the network's? name it with --anchor"),
    };
    let client = Client::new(rpc_url, Limits::default())?;
    let on = OnChain::open(client, anchor, network)?;
    if let Some(folder) = remembered {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let facts = json!({ "rpc_url": rpc_url, "contracts": { "anchor": anchor.to_string() } });
        std::fs::write(folder.join("hub.json"), facts.to_string())?;
    }
    Ok(Outside { network, specs, on, gateway })
}

/// Whom an address is believed from.
const EARLIER: &str = "what an earlier run was told";

/// What the gateway says of settlement, once the contracts are there.
fn said(gateway: &Gateway) -> Result<Value> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let settlement = gateway.get("/atoll/settlement")?;
        if settlement["contracts"].is_object() {
            return Ok(settlement);
        }
        ensure!(Instant::now() < until, "the network's contracts are not deployed yet");
        std::thread::sleep(LOOK);
    }
}

/// What the watch makes of a commitment.
struct Judged {
    published: Published,
    /// What it must be, or why there can be no right one about this data.
    expected: Result<Assembled, String>,
}

/// What a look at the hub gave.
#[derive(PartialEq)]
enum Look {
    Progress,
    Nothing,
}

struct Watch<'a> {
    outside: &'a Outside,
    gateway: &'a Gateway,
    key: Option<SigningKey>,
    folder: Folder,
    follower: Follower,
    entries: Entries,
    /// What is published and, as far as is known, not on the hub yet.
    judged: VecDeque<Judged>,
    /// The last slot of all spans that are kept without a gap.
    kept_slot: u64,
    /// Since when the hub has the next commitment and its data cannot be had.
    missing: Option<Instant>,
    withheld: bool,
    /// The commitment under challenge.
    disputed: Option<u64>,
    report: Report,
    args: &'a WatchArgs,
}

#[derive(Default)]
struct Report {
    agreed: u64,
    slots: u64,
    last_slot: u64,
    alarms: Vec<String>,
    challenges: Vec<Value>,
}

pub(crate) fn run(args: &WatchArgs) -> Result<()> {
    let mut reached = args.outside.clone();
    reached.url.get_or_insert_with(|| "http://127.0.0.1:3001".into());
    let outside = outside(&reached, Some(&args.data_dir))?;
    let gateway = outside.gateway.as_ref();
    let gateway = gateway.context("what is published is read from a gateway: --url")?;
    let key = args.key.as_deref().map(parse_key).transpose()?;
    warn_of_missing_bond(&outside.on, key.as_ref())?;
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    ctrlc(move || seen.store(true, Relaxed))?;
    let mut watch = Watch {
        gateway,
        key,
        folder: Folder::open(outside.network, &args.data_dir)?,
        follower: Follower::new(outside.network, &outside.specs),
        entries: Entries::new(outside.on.first_block(args.outside.from_block)?),
        judged: VecDeque::new(),
        kept_slot: 0,
        missing: None,
        withheld: false,
        disputed: None,
        report: Report::default(),
        args,
        outside: &outside,
    };
    watch.catch_up()?;
    let end = args.run_for.map(|time| Instant::now() + time);
    let ended = |report: &Report| {
        stop.load(Relaxed)
            || end.is_some_and(|end| Instant::now() >= end)
            || args.slots.is_some_and(|slots| report.slots >= slots)
            || (args.exit_on_alarm && !report.alarms.is_empty())
    };
    while !ended(&watch.report) {
        match watch.step() {
            Ok(Look::Progress) => {}
            Ok(Look::Nothing) => std::thread::sleep(LOOK),
            Err(error) => {
                // The hub or the gateway may be away for a while.
                watch.missing(&format!("{error:#}"))?;
                std::thread::sleep(10 * LOOK);
            }
        }
    }
    watch.finish()
}

fn ctrlc(on_signal: impl FnOnce() + Send + 'static) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            on_signal();
        }
    })?;
    Ok(())
}

fn warn_of_missing_bond(on: &OnChain, key: Option<&SigningKey>) -> Result<()> {
    let Some(key) = key else {
        eprintln!("without --key nothing is challenged: what is wrong is only reported");
        return Ok(());
    };
    let bond = U256::from(on.anchor(&IAnchor::challengeBondCall {})?);
    let balance = on.client.balance(key.address(), BlockId::Latest)?;
    if balance <= bond {
        eprintln!(
            "{} has {balance} wei on the hub; a challenge takes a bond of {bond} wei and gas",
            key.address()
        );
    }
    Ok(())
}

impl Watch<'_> {
    /// Executes what an earlier watch has kept. A commitment names the one before it, so only what
    /// is not settled yet needs to be compared.
    fn catch_up(&mut self) -> Result<()> {
        let settled = self.outside.on.anchor(&IAnchor::lastSettledCall {})?;
        let last = self.folder.store.latest().map_or(0, |last| last.commitment.number);
        for number in 1..=last {
            let published = self.folder.commitment(number)?.context("a commitment is missing")?;
            let (spans, _) = self.spans(&published)?;
            let right = self.execute(&published, &spans)?;
            ensure!(
                right.commitment == published.commitment,
                "{} holds another commitment {number}; remove the folder to start over",
                self.args.data_dir.display()
            );
            if number >= settled {
                self.judged.push_back(Judged { published, expected: Ok(right) });
            }
            if number % 100 == 0 && !self.args.json {
                println!("executed again what was kept: commitment {number} of {last}");
            }
        }
        Ok(())
    }

    /// A span that is kept, or else the gateway's, which is kept then; and whether it is encoded as
    /// its data root says.
    fn span(&self, root: &SpanRoot) -> Result<(SpanData, bool)> {
        let (network, owners) = (self.outside.network, self.follower.owners());
        if let Ok(kept) = self.folder.span(network, root, &owners) {
            return Ok((kept, true));
        }
        let span = self.gateway.span(network, root, &owners)?;
        let sound = self.folder.spans.add(&span)?.data_root() == root.data_root;
        Ok((span, sound))
    }

    /// The spans of a commitment, and whether all are encoded as they should be.
    fn spans(&self, published: &Published) -> Result<(Vec<SpanData>, bool)> {
        let read = published.spans.iter().map(|root| self.span(root));
        let (spans, sound): (Vec<_>, Vec<_>) =
            read.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        Ok((spans, sound.into_iter().all(|sound| sound)))
    }

    fn execute(&mut self, published: &Published, spans: &[SpanData]) -> Result<Assembled> {
        let (from, to) = (self.follower.cursor(), Follower::cursor_after(spans)?);
        let entries = self.entries.get(&self.outside.on, from, to)?;
        let assembled = self.follower.follow(&published.spans, spans, &entries)?;
        self.entries.forget_before(self.follower.cursor());
        Ok(assembled)
    }

    fn step(&mut self) -> Result<Look> {
        if let Some(number) = self.disputed {
            return self.look_at_dispute(number);
        }
        match self.compare()? {
            Look::Progress => Ok(Look::Progress),
            Look::Nothing => match self.judge()? {
                Look::Progress => Ok(Look::Progress),
                Look::Nothing => self.keep(),
            },
        }
    }

    /// Keeps what is published and in no commitment yet, with its certificate: should the operator
    /// vanish before that commitment, anyone can derive it.
    fn keep(&mut self) -> Result<Look> {
        let store = &self.folder.store;
        self.kept_slot = self.kept_slot.max(self.follower.slot());
        while let Some(kept) = self.folder.certificate(self.kept_slot + 1)? {
            self.kept_slot = kept.span.slots.1;
        }
        let next = self.kept_slot + 1;
        let Some(certificate) = self.gateway.certificate(next)? else { return Ok(Look::Nothing) };
        let mut spans = store.run(certificate.first_slot)?.spans;
        spans.push(certificate.span.clone());
        let on = &self.outside.on;
        certificate.check(&self.outside.network, &spans, |signer| on.is_committee(signer))?;
        let (first, last) = certificate.span.slots;
        let (_, sound) = self.span(&certificate.span)?;
        ensure!(
            sound,
            "the data of slots {first} to {last} is not encoded as it is certified to be"
        );
        store.certify(certificate)?;
        Ok(Look::Progress)
    }

    /// Executes the next commitment as soon as it is published, mostly before it is on the hub.
    fn judge(&mut self) -> Result<Look> {
        let wrong = |judged: &Judged| match &judged.expected {
            Ok(right) => right.commitment != judged.published.commitment,
            Err(_) => true,
        };
        let stuck = self.judged.back().is_some_and(wrong);
        if stuck || self.judged.len() >= AHEAD_MAX {
            return Ok(Look::Nothing);
        }
        let number = self.follower.number() + 1;
        let Some(published) = self.gateway.commitment(number)? else {
            if self.outside.on.anchor(&IAnchor::lastCall {})? >= number {
                bail!("commitment {number} is on the hub and not published");
            }
            return Ok(Look::Nothing);
        };
        ensure!(
            published.commitment.number == number
                && published.commitment.data == data_of(&published.spans),
            "the gateway's commitment {number} is not of its own spans"
        );
        // Kept before it is judged: it is what is needed to leave.
        let (spans, sound) = self.spans(&published)?;
        (self.missing, self.withheld) = (None, false);
        let expected = match sound {
            true => self.execute(&published, &spans).map_err(|error| format!("{error:#}")),
            false => Err("its data is not encoded as the data root says".into()),
        };
        let Disorder { ticks, first } = self.follower.take_disorder();
        if let Some((slot, time_us, name)) = first {
            self.alarm(format!(
                "commitment {number}: {ticks} ticks do NOT stand in the order that the spec of \
                 their environment names, the first in slot {slot} of {name}, at {time_us} µs"
            ));
        }
        if let Ok(right) = &expected
            && right.commitment == published.commitment
        {
            self.folder.store.add(published.clone(), &right.withdrawals)?;
        }
        self.judged.push_back(Judged { published, expected });
        Ok(Look::Progress)
    }

    /// Compares the oldest commitment judged with what the hub has.
    fn compare(&mut self) -> Result<Look> {
        let Some(judged) = self.judged.front() else { return Ok(Look::Nothing) };
        let number = judged.published.commitment.number;
        let record = self.outside.on.anchor(&IAnchor::recordCall { number })?;
        if record.status == Status::None {
            return Ok(Look::Nothing);
        }
        let seen = Instant::now();
        if judged.expected.as_ref().is_ok_and(|right| right.commitment.hash() == record.hash) {
            return self.agree(&record);
        }
        let why = match &judged.expected {
            Ok(right) => self.difference(&judged.published, right, &record),
            Err(why) => why.clone(),
        };
        self.alarm(format!("commitment {number} is WRONG: {why}"));
        match record.status {
            Status::Anchored => self.challenge(number, &record, seen)?,
            Status::Challenged => self.say(&format!("commitment {number} is challenged already")),
            Status::Settled => {
                self.alarm(format!("commitment {number} is settled: no one challenged in time"));
            }
            _ => self.say(&format!("commitment {number} is rejected already")),
        }
        self.disputed = Some(number);
        Ok(Look::Progress)
    }

    fn agree(&mut self, record: &Record) -> Result<Look> {
        let Some(Judged { published, expected: Ok(right) }) = self.judged.pop_front() else {
            bail!("a commitment that was judged is gone")
        };
        let (number, slots) = (right.commitment.number, right.commitment.slots);
        let (withdrawn, moved) = (right.withdrawals.len(), right.transfers.len());
        if published.commitment != right.commitment {
            self.alarm(format!("the gateway shows another commitment {number} than the hub has"));
        }
        self.report.agreed += 1;
        self.report.slots += slots.1 - slots.0 + 1;
        self.report.last_slot = slots.1;
        let what = match record.status {
            Status::Settled => "settled",
            Status::Challenged => "challenged by another, and right",
            _ => "anchored",
        };
        self.say(&format!(
            "commitment {number}: slots {} to {} agree, {withdrawn} withdrawals, {moved} net \
             transfers; {what}",
            slots.0, slots.1,
        ));
        Ok(Look::Progress)
    }

    /// What is wrong with the commitment that the hub has.
    fn difference(&self, published: &Published, right: &Assembled, record: &Record) -> String {
        if published.commitment.hash() != record.hash {
            return format!(
                "the hub has {}, execution gives {}",
                record.hash,
                right.commitment.hash()
            );
        }
        match first_difference(&published.statements, &right.statements) {
            Some(at) => {
                let (theirs, ours) = (&published.statements[at], &right.statements[at]);
                let id = ours.environment;
                let name = self.outside.specs.iter().find(|spec| spec.id == id);
                let name = name.map_or("?", |spec| spec.name.as_str());
                match theirs.post_root == ours.post_root {
                    true => format!("the statement of {name} is not what execution gives"),
                    false => format!(
                        "it says that {name} has state root {}, execution gives {}",
                        theirs.post_root, ours.post_root
                    ),
                }
            }
            None => "it does not follow from its statements".into(),
        }
    }

    /// Challenges a commitment on the hub.
    fn challenge(&mut self, number: u64, record: &Record, seen: Instant) -> Result<()> {
        let Some(key) = &self.key else {
            self.say("nothing is challenged without --key");
            return Ok(());
        };
        let on = &self.outside.on;
        let judged = self.judged.front().context("a commitment that was judged is gone")?;
        let ours = judged.expected.as_ref().ok().map(|right| &right.statements);
        let (theirs, hashes) = self.statements(number, record, &judged.published)?;
        let hash_of = |s: &Statement| s.hash();
        let differs =
            |at: &usize| ours.is_some_and(|o| o.get(*at).map(hash_of) != Some(hashes[*at]));
        let at = (0..hashes.len()).find(differs).unwrap_or(0);
        let leaves: Vec<&[u8]> = hashes.iter().map(|hash| hash.as_slice()).collect();
        // What it should have been, for whoever decides.
        let claim = ours.and_then(|ours| ours.get(at)).map(Encode::to_bytes).unwrap_or_default();
        let call = IAnchor::challengeCall {
            number,
            s: theirs[at].clone(),
            index: U256::from(at),
            proof: merkle_proof(&leaves, at).context("a statement without a place")?,
            claim: claim.into(),
        };
        let bond = U256::from(on.anchor(&IAnchor::challengeBondCall {})?);
        let anchor = on.contracts.anchor;
        let sent = atoll_ethereum::deploy::call(
            &on.client,
            key,
            "challenge",
            anchor,
            bond,
            call.abi_encode(),
            wait_options(),
        );
        let (step, receipt) = sent.context("the challenge did not get onto the hub")?;
        let after = seen.elapsed();
        let time_s = on.client.block(BlockId::Number(receipt.block))?.map(|block| block.time_s);
        self.report.challenges.push(json!({
            "commitment": number,
            "environment": theirs[at].environment,
            "transaction": receipt.transaction.to_string(),
            "gas_used": step.gas_used,
            "bond_wei": bond.to_string(),
            "after_ms": after.as_millis() as u64,
            "anchored_s": record.anchoredAt,
            "challenged_s": time_s,
        }));
        self.say(&format!(
            "challenged commitment {number} with {} ({} gas, bond {bond} wei), {} ms after it was \
             seen on the hub: it is frozen and so is everything after it",
            receipt.transaction,
            step.gas_used,
            after.as_millis()
        ));
        Ok(())
    }

    /// The statements of the commitment that the hub has, and their hashes: as published if that is
    /// what was anchored, or from the transaction that anchored it.
    fn statements(
        &self,
        number: u64,
        record: &Record,
        published: &Published,
    ) -> Result<(Vec<abi::Statement>, Vec<B256>)> {
        let on = &self.outside.on;
        let theirs: Vec<abi::Statement> = match published.commitment.hash() == record.hash {
            true => published.statements.iter().map(calls::statement).collect(),
            false => on.anchored(number)?.s,
        };
        let hash =
            |s: &abi::Statement| on.anchor(&IAnchor::statementHashCall { number, s: s.clone() });
        let hashes = theirs.iter().map(hash).collect::<Result<Vec<B256>>>()?;
        Ok((theirs, hashes))
    }

    fn look_at_dispute(&mut self, number: u64) -> Result<Look> {
        match self.outside.on.anchor(&IAnchor::statusOfCall { number })? {
            Status::Rejected | Status::None => {
                self.say(&format!("commitment {number} was rejected; waiting for a right one"));
                self.disputed = None;
                self.judged.clear();
                // What was executed of it is taken back by executing what was right again.
                self.follower = Follower::new(self.outside.network, &self.outside.specs);
                let first = self.outside.on.first_block(self.args.outside.from_block)?;
                self.entries = Entries::new(first);
                self.catch_up()?;
                Ok(Look::Progress)
            }
            _ => Ok(Look::Nothing),
        }
    }

    /// Something could not be read. Where it is data of a commitment on the hub, that is an alarm
    /// after a while.
    fn missing(&mut self, why: &str) -> Result<()> {
        let since = *self.missing.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.args.patience && !self.withheld {
            self.withheld = true;
            let number = self.follower.number() + 1;
            self.alarm(format!("commitment {number} is WITHHELD or cannot be checked: {why}"));
        }
        Ok(())
    }

    fn alarm(&mut self, what: String) {
        eprintln!("ALARM: {what}");
        self.report.alarms.push(what);
    }

    fn say(&self, text: &str) {
        if !self.args.json {
            println!("{text}");
        }
    }

    fn finish(self) -> Result<()> {
        let Report { agreed, slots, last_slot, alarms, challenges } = self.report;
        if self.args.json {
            let value = json!({
                "commitments": agreed, "slots": slots, "last_slot": last_slot,
                "alarms": alarms, "challenges": challenges, "agreed": alarms.is_empty(),
            });
            println!("{}", serde_json::to_string(&value)?);
        } else {
            println!("{agreed} commitments over {slots} slots agree, {} alarms", alarms.len());
        }
        ensure!(alarms.is_empty(), "{}", alarms.join("; "));
        Ok(())
    }
}

fn first_difference(theirs: &[Statement], ours: &[Statement]) -> Option<usize> {
    (0..theirs.len().min(ours.len())).find(|at| theirs[*at] != ours[*at])
}
