//! Transactions from one key: which nonce carries what, what to send again and at what price.
//!
//! # Why nothing is posted twice
//! A commitment keeps its nonce until that nonce is used up in a *final* block; every attempt and
//! replacement has it, so the chain takes at most one of them. What was about to be sent is
//! persisted first. Only when the nonce is final and the Anchor, at that same block, does not have
//! the commitment, does it get another nonce.

use crate::checkpoint::Post;
use crate::config::Config;
use crate::fees;
use crate::halt::Halt;
use crate::live::{Live, digest};
use crate::port::{
    Action, Class, Fees, Next, Observation, Prepared, Purpose, RequestId, Sent, Wallet,
};
use crate::retry::{Ids, Retry};
use atoll_types::B256;
use std::collections::{BTreeMap, VecDeque};

/// Nonces filled at a time.
const FILLS_MAX: usize = 16;
/// Commitments whose hashes are remembered beyond those of transactions.
const KNOWN_MAX: usize = 64;

#[derive(Clone, Debug, Default)]
pub(crate) struct Sender {
    /// By nonce.
    lives: VecDeque<Live>,
    pub(crate) ready: Option<u64>,
    prepare: Retry,
    asked: Option<Purpose>,
    offered: Option<(Purpose, Prepared)>,
    /// The last few commitments of ours that content was asked of: number and hash.
    known: BTreeMap<u64, B256>,
    reverts: Option<(Purpose, u32)>,
    gap_since_ms: Option<u64>,
    stranger_since_ms: Option<u64>,
    pub(crate) problem: Option<String>,
}

/// What a poll of the sender has for the engine.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) persist: bool,
    pub(crate) actions: Vec<Action>,
}

impl Sender {
    pub(crate) fn new(posts: Vec<Post>) -> Self {
        let lives = posts.into_iter().map(|post| Live::new(post, None)).collect();
        Self { lives, ..Self::default() }
    }

    pub(crate) fn posts(&self) -> impl Iterator<Item = &Post> {
        self.lives.iter().map(|live| &live.post)
    }

    /// Transactions whose receipts are wanted: those whose nonce is gone without effect.
    pub(crate) fn hashes(&mut self, view: &Observation) -> Vec<B256> {
        let mut hashes = Vec::new();
        for live in &mut self.lives {
            if live.mined && live.post.purpose.is_missing_in(&view.anchor) {
                live.looked = true;
                hashes.extend_from_slice(&live.post.hashes);
            }
        }
        hashes
    }

    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Post> {
        self.lives.iter().filter(|live| !live.mined).map(|live| &live.post)
    }

    fn carrying(&self, purpose: Purpose) -> Option<&Live> {
        self.lives.iter().find(|live| live.post.purpose == purpose)
    }

    /// Takes note of where the hub stands.
    pub(crate) fn on_observed(&mut self, view: &Observation, config: &Config) -> Option<Halt> {
        for live in &mut self.lives {
            let mined = live.post.nonce < view.nonce;
            if live.mined && !mined {
                // A reorg took it out: the same bytes again, at once.
                live.sent = None;
                live.retry = Retry::default();
            }
            live.mined = mined;
            live.reverted = live.reverted && mined
                || (view.receipts.iter())
                    .any(|(hash, receipt)| !receipt.success && live.post.hashes.contains(hash));
        }
        while let Some(live) = self.lives.front() {
            let (purpose, final_now) = (live.post.purpose, live.post.nonce < view.nonce_finalized);
            let missing = purpose.is_missing_in(&view.anchor_finalized);
            if !final_now || (missing && !live.looked) {
                break;
            }
            if missing && live.reverted {
                let before = self.reverts.filter(|reverts| reverts.0 == purpose);
                let times = before.map_or(0, |reverts| reverts.1) + 1;
                self.reverts = Some((purpose, times));
                if times >= config.reverts_max {
                    self.lives.pop_front();
                    return Some(Halt::Reverted { purpose, times });
                }
            }
            self.lives.pop_front();
        }
        self.foreign(view)
    }

    fn foreign(&self, view: &Observation) -> Option<Halt> {
        let (number, found) = (view.anchor.last_number, view.anchor.last_hash);
        let carried = self.carrying(Purpose::Commit(number)).map(|live| live.post.commitment);
        let ours = carried.or(self.known.get(&number).copied());
        let beyond = self.ready.is_some_and(|ready| number > ready);
        (number > 0 && ours.map_or(beyond, |hash| hash != found)).then_some(Halt::Foreign {
            number,
            found,
            ours,
        })
    }

    /// The commitment to post next, if it is time for one; or the one whose content must be known
    /// before.
    fn next_commit(&self, view: &Observation) -> Option<Purpose> {
        let (last, ready) = (view.anchor.last_number, self.ready?);
        let unsettled = self.lives.iter().any(|live| match live.post.purpose {
            // Its nonce is gone or given up, and what became of it is not final.
            Purpose::Commit(number) => number > last && (live.mined || live.post.withdrawn),
            _ => false,
        });
        if unsettled {
            return None;
        }
        let ours = |number| {
            let live = self.carrying(Purpose::Commit(number)).map(|live| live.post.commitment);
            live.or(self.known.get(&number).copied())
        };
        if last > 0 {
            match ours(last) {
                None => return (last <= ready).then_some(Purpose::Commit(last)),
                // Not ours: the next look at the hub halts.
                Some(hash) if hash != view.anchor.last_hash => return None,
                Some(_) => {}
            }
        }
        let mut next = last + 1;
        while self.carrying(Purpose::Commit(next)).is_some() {
            next += 1;
        }
        (next <= ready).then_some(Purpose::Commit(next))
    }

    fn next_settle(&self, view: &Observation) -> Option<Purpose> {
        let purpose = Purpose::Settle(view.anchor.settled_number + 1);
        match view.next {
            Some(Next::Window { settle_from_s }) if view.head_time_s >= settle_from_s => {
                self.carrying(purpose).is_none().then_some(purpose)
            }
            _ => None,
        }
    }

    fn next_nonce(&self, view: &Observation) -> u64 {
        self.lives.back().map_or(0, |live| live.post.nonce + 1).max(view.nonce)
    }

    pub(crate) fn poll(
        &mut self,
        now_ms: u64,
        view: &Observation,
        config: &Config,
        wallet: &dyn Wallet,
        ids: &mut Ids,
    ) -> Outgoing {
        let mut out = Outgoing::default();
        self.fill_gaps(now_ms, view, config);
        self.assign(now_ms, view, config);
        self.ask_for_content(now_ms, view, config, ids, &mut out);
        let mut first = true;
        for live in self.lives.iter_mut().filter(|live| live.post.nonce >= view.nonce) {
            let purpose = live.post.purpose;
            let fees = fees::suggest(view.base_fee_wei, view.tip_wei, config);
            if let Some((transaction, new)) =
                live.attempt(now_ms, view, fees, first, config, wallet)
            {
                let id = ids.next();
                live.retry.begin(id, now_ms, config);
                out.persist |= new;
                let nonce = live.post.nonce;
                out.actions.push(Action::Broadcast { id, nonce, purpose, transaction });
            }
            first = false;
        }
        out
    }

    /// A reorg may have taken a transaction of the same key that was not ours and stood before
    /// ours: if it does not come back, its nonce is used up by a transfer of nothing.
    fn fill_gaps(&mut self, now_ms: u64, view: &Observation, config: &Config) {
        let taken: Vec<u64> = self.lives.iter().map(|live| live.post.nonce).collect();
        let end = taken.last().copied().unwrap_or(0);
        let gaps: Vec<u64> = (view.nonce..end)
            .filter(|nonce| taken.binary_search(nonce).is_err())
            .take(FILLS_MAX)
            .collect();
        if gaps.is_empty() {
            self.gap_since_ms = None;
            return;
        }
        let since = *self.gap_since_ms.get_or_insert(now_ms);
        if now_ms.saturating_sub(since) < config.stranger_wait_ms {
            return;
        }
        for nonce in gaps {
            let place = self.lives.partition_point(|live| live.post.nonce < nonce);
            let post = Post {
                nonce,
                purpose: Purpose::Fill,
                withdrawn: false,
                digest: B256::ZERO,
                commitment: B256::ZERO,
                last_slot: 0,
                fees: Fees::default(),
                hashes: Vec::new(),
            };
            self.lives.insert(place, Live::new(post, None));
        }
    }

    /// Whether something new may take a nonce.
    fn open(&mut self, now_ms: u64, view: &Observation, config: &Config) -> bool {
        let fresh =
            now_ms.saturating_sub(view.head_time_s.saturating_mul(1_000)) <= config.head_age_ms_max;
        let waiting = self.lives.iter().filter(|live| live.post.nonce >= view.nonce).count();
        if !fresh
            || waiting >= config.in_flight_max as usize
            || self.lives.len() >= config.unfinal_max as usize
        {
            return false;
        }
        // Somebody with our key waits for a block (we ourselves, if a checkpoint was lost): what
        // it does will show.
        if view.nonce_pending > self.next_nonce(view) {
            let since = *self.stranger_since_ms.get_or_insert(now_ms);
            return now_ms.saturating_sub(since) >= config.stranger_wait_ms;
        }
        self.stranger_since_ms = None;
        true
    }

    fn wanted(&self, view: &Observation) -> Option<Purpose> {
        self.next_settle(view).or_else(|| self.next_commit(view))
    }

    fn assign(&mut self, now_ms: u64, view: &Observation, config: &Config) {
        let (Some((offered, _)), Some(wanted)) = (&self.offered, self.wanted(view)) else { return };
        let is_new = match wanted {
            Purpose::Commit(number) => number > view.anchor.last_number,
            _ => true,
        };
        if *offered != wanted || !is_new {
            // It was asked for to be compared, or something else has become due.
            self.offered = None;
        }
        if !self.open(now_ms, view, config) {
            return;
        }
        let Some((purpose, prepared)) = self.offered.take() else { return };
        let post = Post {
            nonce: self.next_nonce(view),
            purpose,
            withdrawn: false,
            digest: digest(&prepared.call),
            commitment: prepared.commitment,
            last_slot: prepared.last_slot,
            fees: Fees::default(),
            hashes: Vec::new(),
        };
        self.lives.push_back(Live::new(post, Some(prepared.call)));
    }

    fn ask_for_content(
        &mut self,
        now_ms: u64,
        view: &Observation,
        config: &Config,
        ids: &mut Ids,
        out: &mut Outgoing,
    ) {
        let missing = self.lives.iter().find(|live| {
            let blank = live.post.withdrawn || live.post.purpose == Purpose::Fill;
            live.post.nonce >= view.nonce && live.call.is_none() && !blank
        });
        let wanted = missing.map(|live| live.post.purpose).or_else(|| {
            let wanted = self.wanted(view)?;
            let offered = self.offered.as_ref().is_some_and(|offer| offer.0 == wanted);
            (!offered && self.open(now_ms, view, config)).then_some(wanted)
        });
        let Some(purpose) = wanted else { return };
        if !self.prepare.due(now_ms, config) {
            return;
        }
        let id = ids.next();
        self.prepare.begin(id, now_ms, config);
        self.asked = Some(purpose);
        out.actions.push(Action::Prepare { id, purpose });
    }

    /// Content has come.
    pub(crate) fn on_prepared(
        &mut self,
        id: RequestId,
        prepared: Prepared,
        now_ms: u64,
    ) -> Option<Halt> {
        if !self.prepare.is(id) {
            return None;
        }
        self.prepare.succeed(now_ms, 0);
        let purpose = self.asked.take()?;
        let (Purpose::Commit(number) | Purpose::Settle(number)) = purpose else { return None };
        if number != prepared.number {
            return Some(Halt::ContentChanged { purpose });
        }
        if let Purpose::Commit(number) = purpose {
            self.known.insert(number, prepared.commitment);
            if self.known.len() > KNOWN_MAX {
                self.known.pop_first();
            }
        }
        if let Some(live) =
            self.lives.iter_mut().find(|live| live.post.purpose == purpose && !live.post.withdrawn)
        {
            if live.post.digest != digest(&prepared.call) {
                return Some(Halt::ContentChanged { purpose });
            }
            live.call = Some(prepared.call);
        } else {
            self.offered = Some((purpose, prepared));
        }
        None
    }

    /// A node has answered a broadcast. Says whether the hub is to be looked at soon.
    pub(crate) fn on_sent(
        &mut self,
        id: RequestId,
        sent: &Sent,
        now_ms: u64,
        head: u64,
        config: &Config,
    ) -> bool {
        let Some(live) = self.lives.iter_mut().find(|live| live.retry.is(id)) else { return false };
        match sent {
            Sent::Accepted => {
                live.retry.succeed(now_ms, 0);
                live.sent = Some((now_ms, head));
                self.problem = None;
            }
            Sent::NonceTooLow => {
                live.retry.fail(now_ms, config, Class::Temporary);
                return true;
            }
            Sent::Underpriced => {
                live.retry.fail(now_ms, config, Class::Temporary);
                live.raise = true;
            }
            Sent::InsufficientFunds => {
                live.retry.fail(now_ms, config, Class::Critical);
                self.problem = Some(
                    "the sending account cannot pay for its transaction: fund it on the hub".into(),
                );
            }
        }
        false
    }

    /// A request has failed; says whether it was one of these.
    pub(crate) fn on_failed(
        &mut self,
        id: RequestId,
        now_ms: u64,
        config: &Config,
        class: Class,
    ) -> bool {
        if self.prepare.is(id) {
            self.prepare.fail(now_ms, config, class);
            return true;
        }
        match self.lives.iter_mut().find(|live| live.retry.is(id)) {
            Some(live) => live.retry.fail(now_ms, config, class),
            None => return false,
        }
        true
    }

    /// After a halt: what waits is withdrawn, and everything is looked at afresh.
    pub(crate) fn resume(&mut self) {
        for live in &mut self.lives {
            if !live.mined && matches!(live.post.purpose, Purpose::Commit(_)) {
                live.post.withdrawn = true;
                (live.raise, live.call, live.retry) = (true, None, Retry::default());
            }
        }
        (self.offered, self.reverts) = (None, None);
        self.known.clear();
        self.prepare = Retry::default();
    }

    pub(crate) fn deadline_ms(&self, config: &Config) -> Option<u64> {
        let lives = self.lives.iter().filter(|live| !live.mined).map(|live| match live.sent {
            Some((at_ms, _)) => at_ms.saturating_add(config.bump_ms),
            None => live.retry.deadline_ms(),
        });
        lives.chain(self.asked.map(|_| self.prepare.deadline_ms())).min()
    }
}
