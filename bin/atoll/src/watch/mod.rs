//! `atoll watch`: executes everything again that the operator publishes, compares it with what the
//! operator, or anyone in its place, commits to on the hub, and challenges what is not so.

mod challenge;
mod derived;
mod report;

use crate::cli::WatchArgs;
use crate::hub::assemble::Assembled;
use crate::hub::certificate::{Certificate, data_of};
use crate::hub::derivation::{Deriver, Unfit};
use crate::hub::follower::Disorder;
use crate::hub::onchain::OnChain;
use crate::hub::outside::outside;
use crate::hub::published::Published;
use crate::hub::source::{Folder, Source, Sources};
use crate::money::parse_key;
use anyhow::{Context, Result, bail, ensure};
use atoll_ethereum::BlockId;
use atoll_ethereum::abi::{IAnchor, Record, Status};
use atoll_types::crypto::SigningKey;
use atoll_types::{B256, U256};
use report::Report;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Commitments that may be executed ahead of the hub.
const AHEAD_MAX: usize = 256;
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// What the watch makes of a commitment.
struct Judged {
    number: u64,
    /// As the operator published it, if it did.
    published: Option<Published>,
    /// What it must be, or why there can be no right one about this data.
    expected: Result<Assembled, String>,
    /// The commitment of the hub that this was found out about, where it was not before.
    against: Option<B256>,
    /// Whether that was derived from the hub's queue.
    of_queue: bool,
    /// What a derived commitment had to take and did not.
    left_out: Option<Certificate>,
}

impl Judged {
    /// Whether that is what the operator published, or what the hub has.
    fn is_right(&self) -> bool {
        let hash = self.published.as_ref().map(|published| published.commitment.hash());
        let hash = hash.or(self.against);
        self.expected.as_ref().is_ok_and(|right| Some(right.commitment.hash()) == hash)
    }
}

/// What a look at the hub gave.
#[derive(PartialEq)]
enum Look {
    Progress,
    Nothing,
}

struct Watch<'a> {
    chain: Deriver,
    key: Option<SigningKey>,
    /// What is published and, as far as is known, not on the hub yet.
    judged: VecDeque<Judged>,
    /// The last slot of all spans that are kept without a gap.
    kept_slot: u64,
    /// Since when something cannot be had that is needed.
    missing: Option<Instant>,
    withheld: bool,
    /// When a derived commitment is looked at again that could not be judged, and why it could not.
    retry: Option<(Instant, String)>,
    /// Whether it was said that the gateway is away.
    away: bool,
    /// The last commitment that agreed, from the first one derived on, until it is settled.
    base: Option<(u64, B256)>,
    /// Since when a commitment is known to be wrong whose challenge is not on the hub yet.
    unchallenged: Option<Instant>,
    /// The commitment that is wrong, and whether it could be gone on from.
    disputed: Option<(u64, bool)>,
    report: Report,
    args: &'a WatchArgs,
}

pub(crate) fn run(args: &WatchArgs) -> Result<()> {
    let mut reached = args.outside.clone();
    reached.url.get_or_insert_with(|| "http://127.0.0.1:3001".into());
    let (outside, gateway) = outside(&reached, Some(&args.data_dir))?;
    let key = args.key.as_deref().map(parse_key).transpose()?;
    warn_of_missing_bond(&outside.on, key.as_ref())?;
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    ctrlc(move || seen.store(true, Relaxed))?;
    let own = Folder::open(outside.network, &args.data_dir)?;
    let sources = Sources::new(outside.network, own, gateway).keeping(&args.from)?;
    let mut watch = Watch {
        chain: Deriver::new(outside, sources, args.outside.from_block)?,
        key,
        judged: VecDeque::new(),
        kept_slot: 0,
        missing: None,
        withheld: false,
        retry: None,
        away: false,
        base: None,
        unchallenged: None,
        disputed: None,
        report: Report::default(),
        args,
    };
    watch.catch_up()?;
    let end = args.run_for.map(|time| Instant::now() + time);
    let ended = |watch: &Watch<'_>| {
        let report = &watch.report;
        let given_up = |since: Instant| since.elapsed() >= args.patience;
        stop.load(Relaxed)
            || end.is_some_and(|end| Instant::now() >= end)
            || args.slots.is_some_and(|slots| report.slots >= slots)
            || (args.exit_on_alarm
                && !report.alarms.is_empty()
                && watch.unchallenged.is_none_or(given_up))
    };
    while !ended(&watch) {
        let looked = watch.step();
        if looked.is_ok() {
            (watch.missing, watch.withheld) = (None, false);
        }
        match looked {
            Ok(Look::Progress) => {}
            Ok(Look::Nothing) => std::thread::sleep(LOOK),
            Err(error) => {
                // The hub or the gateway may be away for a while.
                watch.missing(&format!("{error:#}"));
                std::thread::sleep(10 * LOOK);
            }
        }
    }
    watch.report.finish(args.json)
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
    /// Executes what the hub has settled and what an earlier watch has kept. A commitment names the
    /// one before it, so only what is not settled yet needs to be compared.
    fn catch_up(&mut self) -> Result<()> {
        let settled = self.chain.outside.on.anchor(&IAnchor::lastSettledCall {})?;
        loop {
            let number = self.chain.follower.number() + 1;
            let record = self.chain.record(number)?;
            if is_there(&record) && record.derived {
                if number > settled {
                    return Ok(());
                }
                if self.chain.follow_hub(&record).is_err() {
                    // Why is found out when it is judged.
                    return self.chain.start_over(number - 1);
                }
                continue;
            }
            let (own, previous) = (self.chain.sources.own(), self.chain.follower.hash());
            let published = own.commitment(number)?;
            let Some(published) = published.filter(|p| p.commitment.previous == previous) else {
                return Ok(());
            };
            let right = self.chain.follow(&published.spans)?;
            ensure!(
                right.commitment == published.commitment,
                "{} holds another commitment {number}; remove the folder to start over",
                self.args.data_dir.display()
            );
            if number >= settled {
                self.judged.push_back(Judged {
                    number,
                    published: Some(published),
                    expected: Ok(right),
                    against: None,
                    of_queue: false,
                    left_out: None,
                });
            }
            if number.is_multiple_of(100) {
                self.say(&format!("executed again what was kept: commitment {number}"));
            }
        }
    }

    /// Goes back to what the hub has settled and to what is kept, and judges from there on.
    fn rebase(&mut self, why: &str) -> Result<Look> {
        self.say(&format!("executing again: {why}"));
        self.judged.clear();
        (self.base, self.disputed, self.retry) = (None, None, None);
        self.unchallenged = None;
        self.chain.reset();
        self.catch_up()?;
        Ok(Look::Progress)
    }

    fn step(&mut self) -> Result<Look> {
        if let Some((number, can_go_on)) = self.disputed {
            return self.look_at_dispute(number, can_go_on);
        }
        match self.compare()? {
            Look::Progress => Ok(Look::Progress),
            Look::Nothing => match self.judge()? {
                Look::Progress => Ok(Look::Progress),
                Look::Nothing => self.keep(),
            },
        }
    }

    /// What the gateway answers; nothing where it does not.
    fn ask<T>(&mut self, answer: Result<Option<T>>) -> Option<T> {
        match answer {
            Ok(found) => {
                self.away = false;
                found
            }
            Err(error) => {
                if !std::mem::replace(&mut self.away, true) {
                    let places = self.chain.sources.places();
                    self.say(&format!("going on with the hub and {places}: {error:#}"));
                }
                None
            }
        }
    }

    /// Keeps what is published and in no commitment yet, with its certificate: should the operator
    /// vanish before that commitment, anyone can derive it.
    fn keep(&mut self) -> Result<Look> {
        self.kept_slot = self.kept_slot.max(self.chain.follower.slot());
        while let Some(kept) = self.chain.sources.own().certificate(self.kept_slot + 1)? {
            self.kept_slot = kept.span.slots.1;
        }
        let next = self.kept_slot + 1;
        let Some(gateway) = &self.chain.sources.gateway else { return Ok(Look::Nothing) };
        let answer = gateway.certificate(next);
        let Some(certificate) = self.ask(answer) else { return Ok(Look::Nothing) };
        let (sources, outside) = (&self.chain.sources, &self.chain.outside);
        let mut spans = sources.own().store.run(certificate.first_slot)?.spans;
        spans.push(certificate.span.clone());
        certificate.check(&outside.network, &spans, |signer| outside.on.is_committee(signer))?;
        let (first, last) = certificate.span.slots;
        let (_, sound) = self.chain.read(std::slice::from_ref(&certificate.span))?;
        ensure!(
            sound,
            "the data of slots {first} to {last} is not encoded as it is certified to be"
        );
        sources.own().store.certify(certificate)?;
        self.note(first)?;
        Ok(Look::Progress)
    }

    /// Notes that the certificate of the span that begins with a slot is published by now.
    fn note(&self, first_slot: u64) -> Result<()> {
        let now = self.chain.outside.on.client.block(BlockId::Latest)?;
        let now = now.context("the hub has no block")?.time_s;
        self.chain.sources.own().store.note(first_slot, now)
    }

    /// Executes the next commitment as soon as it is published, mostly before it is on the hub.
    fn judge(&mut self) -> Result<Look> {
        let stuck = self.judged.back().is_some_and(|judged| !judged.is_right());
        if stuck || self.judged.len() >= AHEAD_MAX {
            return Ok(Look::Nothing);
        }
        let number = self.chain.follower.number() + 1;
        let record = self.chain.record(number)?;
        let anchored = is_there(&record);
        if anchored && record.derived {
            if let Some((at, why)) = &self.retry
                && Instant::now() < *at
            {
                bail!("{why}");
            }
            let began = Instant::now();
            let judged = self.judge_derived(&record);
            // That it cannot be judged may take long to find out.
            let again = |error| (Instant::now() + 5 * began.elapsed(), format!("{error:#}"));
            self.retry = judged.as_ref().err().map(again);
            return judged;
        }
        let answer = self.chain.sources.commitment(number, self.chain.follower.hash());
        // The hub's word is what is judged, once it is there.
        let published = self.ask(answer);
        let published = published.filter(|p| !anchored || p.commitment.hash() == record.hash);
        let spans = match &published {
            None if !anchored => return Ok(Look::Nothing),
            None => {
                let data = self.chain.outside.on.commitment(number, record.hash)?.data;
                let spans = self.chain.spans_of(data, record.lastSlot)?;
                spans.ok_or_else(|| self.chain.not_kept(number, record.lastSlot))?
            }
            Some(published) => {
                ensure!(
                    published.commitment.number == number
                        && published.commitment.data == data_of(&published.spans),
                    "the commitment {number} that is published is not of its own spans"
                );
                published.spans.clone()
            }
        };
        // Kept before it is judged: it is what is needed to leave.
        let (read, sound) = self.chain.read(&spans)?;
        let expected = match sound {
            false => Err("its data is not encoded as the data root says".into()),
            true => match self.chain.execute(&spans, &read) {
                Ok(right) => Ok(right),
                Err(Unfit::Wrong(_, error)) => Err(format!("{error:#}")),
                Err(unfit) => return Err(unfit.into()),
            },
        };
        let Disorder { ticks, first } = self.chain.follower.take_disorder();
        if let Some((slot, time_us, name)) = first {
            self.report.alarm(format!(
                "commitment {number}: {ticks} ticks do NOT stand in the order that the spec of \
                 their environment names, the first in slot {slot} of {name}, at {time_us} µs"
            ));
        }
        let against = published.is_none().then_some(record.hash);
        let judged =
            Judged { number, published, expected, against, of_queue: false, left_out: None };
        if let (Some(published), Ok(right)) = (&judged.published, &judged.expected)
            && judged.is_right()
        {
            let store = &self.chain.sources.own().store;
            store.add(published.clone(), &right.withdrawals)?;
            if let Some(last) = published.spans.last() {
                self.note(last.slots.0)?;
            }
        }
        self.judged.push_back(judged);
        Ok(Look::Progress)
    }

    /// Compares the oldest commitment judged with what the hub has.
    fn compare(&mut self) -> Result<Look> {
        let Some(judged) = self.judged.front() else { return self.look_at_base() };
        let number = judged.number;
        let record = self.chain.record(number)?;
        if !is_there(&record) {
            return self.look_at_base();
        }
        if judged.left_out.is_none()
            && judged.expected.as_ref().is_ok_and(|right| right.commitment.hash() == record.hash)
        {
            return self.agree(&record);
        }
        if judged.against.is_some_and(|against| against != record.hash) {
            return self.rebase(&format!("commitment {number} was replaced on the hub"));
        }
        if let Ok(right) = &judged.expected
            && self.chain.record(number - 1)?.hash != right.commitment.previous
        {
            return self.rebase(&format!("commitment {} was replaced on the hub", number - 1));
        }
        let Some(mut judged) = self.judged.pop_front() else { return Ok(Look::Nothing) };
        let disputed = self.dispute(&mut judged, &record);
        if disputed.is_err() {
            self.judged.push_front(judged);
        }
        disputed
    }

    /// Says what is wrong with a commitment of the hub, and challenges it.
    fn dispute(&mut self, judged: &mut Judged, record: &Record) -> Result<Look> {
        let (number, seen) = (judged.number, Instant::now());
        let other = |published: &&Published| published.commitment.hash() != record.hash;
        if let Some(published) = judged.published.as_ref().filter(other) {
            let known = match (judged.is_right(), record.derived) {
                (true, true) => self.against_published(published, record)?,
                (true, false) => Some((false, None)),
                // What was published is wrong, but the hub has something else.
                (false, _) => None,
            };
            let Some((of_queue, left_out)) = known else {
                return self.rebase(&format!("commitment {number} is not as it was published"));
            };
            (judged.of_queue, judged.left_out) = (of_queue, left_out);
        }
        let why = self.difference(judged, record);
        self.alarm_once(format!("commitment {number} is WRONG: {why}"));
        self.unchallenged.get_or_insert_with(Instant::now);
        match record.status {
            Status::Anchored => self.challenge(judged, record, seen)?,
            Status::Challenged => self.say(&format!("commitment {number} is challenged already")),
            _ => self.settled_wrong(number),
        }
        self.unchallenged = None;
        // What leaves something out, or is about nothing, can be followed all the same.
        let about_nothing = judged.of_queue && judged.expected.is_err();
        self.disputed = Some((number, judged.left_out.is_some() || about_nothing));
        Ok(Look::Progress)
    }

    fn settled_wrong(&mut self, number: u64) {
        self.alarm_once(format!("commitment {number} is settled: no one challenged in time"));
    }

    fn agree(&mut self, record: &Record) -> Result<Look> {
        let Some(Judged { number, published, expected: Ok(right), .. }) = self.judged.pop_front()
        else {
            bail!("a commitment that was judged is gone")
        };
        let slots = right.commitment.slots;
        let (withdrawn, moved) = (right.withdrawals.len(), right.transfers.len());
        if published.is_some_and(|published| published.commitment != right.commitment) {
            self.report
                .alarm(format!("the gateway shows another commitment {number} than the hub has"));
        }
        self.report.agree(number, slots, record.derived);
        let settled = record.status == Status::Settled;
        if record.derived || self.base.is_some() {
            self.base = (!settled).then_some((number, record.hash));
        }
        let what = match record.status {
            Status::Settled => "settled",
            Status::Challenged => "challenged by another, and right",
            _ => "anchored",
        };
        let derived = if record.derived { ", derived without the sequencer" } else { "" };
        self.say(&format!(
            "commitment {number}: slots {} to {} agree, {withdrawn} withdrawals, {moved} net \
             transfers; {what}{derived}",
            slots.0, slots.1,
        ));
        Ok(Look::Progress)
    }

    /// What was derived is made again, and maybe otherwise, once it is rejected or the hub's chain
    /// goes back.
    fn look_at_base(&mut self) -> Result<Look> {
        let Some((number, hash)) = self.base else { return Ok(Look::Nothing) };
        let record = self.chain.record(number)?;
        if !is_there(&record) || record.hash != hash {
            return self.rebase(&format!("commitment {number} was taken back on the hub"));
        }
        if record.status == Status::Settled {
            self.base = None;
        }
        Ok(Look::Nothing)
    }

    fn look_at_dispute(&mut self, number: u64, can_go_on: bool) -> Result<Look> {
        match self.chain.record(number)?.status {
            Status::Rejected | Status::None => {
                self.say(&format!("commitment {number} was rejected; waiting for a right one"));
                self.rebase("what was executed of it is taken back")
            }
            Status::Settled if can_go_on => {
                self.settled_wrong(number);
                self.rebase("it is what the rest is judged by")
            }
            _ => Ok(Look::Nothing),
        }
    }

    /// Something could not be read that is needed: an alarm after a while.
    fn missing(&mut self, why: &str) {
        let since = *self.missing.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.args.patience && !self.withheld {
            self.withheld = true;
            let number = self.chain.follower.number() + 1;
            let what = format!("commitment {number} is WITHHELD or cannot be checked: {why}");
            self.report.alarm(what);
        }
    }

    /// An alarm that stays true when a commitment is judged again.
    fn alarm_once(&mut self, what: String) {
        if !self.report.alarms.contains(&what) {
            self.report.alarm(what);
        }
    }

    fn say(&self, text: &str) {
        if !self.args.json {
            println!("{text}");
        }
    }
}

/// Whether the hub has a commitment that counts.
fn is_there(record: &Record) -> bool {
    !matches!(record.status, Status::None | Status::Rejected)
}
