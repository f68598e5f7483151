//! The engine: looks at the hub, and lets sender and follower do their part.

use crate::checkpoint::{Checkpoint, Floor};
use crate::config::{Config, ConfigError};
use crate::follower::Follower;
use crate::halt::Halt;
use crate::port::{
    Action, BlockRef, CHECKED_BLOCKS_MAX, Class, Cursor, Event, Observation, QueueEntry, RequestId,
    Wallet,
};
use crate::retry::{Ids, Retry};
use crate::sender::Sender;
use crate::status::Status;
use atoll_types::{B256, CodecError, Decode, Encode};

/// Why an engine cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// A setting is outside its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The checkpoint is damaged.
    #[error(
        "the settlement checkpoint cannot be read ({0}): restore it, or remove it once no \
         transaction of the sending key waits for a block"
    )]
    Checkpoint(#[from] CodecError),
}

/// The settlement engine. See [`crate::port`] for what it asks of its caller.
#[derive(Debug)]
pub struct Engine<W> {
    config: Config,
    wallet: W,
    ids: Ids,
    observe: Retry,
    view: Option<Observation>,
    observed_ms: Option<u64>,
    floor: Option<Floor>,
    contradictions: u32,
    ignored: u64,
    sender: Sender,
    follower: Follower,
    posting_halted: Option<Halt>,
    queue_halted: Option<Halt>,
    problem: Option<String>,
    /// Halts not told yet.
    untold: Vec<Halt>,
}

/// What an observation turned out to be.
enum Verdict {
    Good,
    /// Older than what is known, or not possible: asked again.
    Ignored(&'static str),
    /// A block that was final is another one now. Certain, if the other one is final too; else the
    /// node may be stuck on a fork, and output waits until one or the other shows.
    Contradiction {
        halt: Halt,
        certain: bool,
    },
}

impl<W: Wallet> Engine<W> {
    /// Starts, or goes on after a restart: `checkpoint` is what was persisted last, `cursor` is
    /// where the queue is to be read from, by the node's own slots.
    ///
    /// # Errors
    /// A setting out of range, a damaged checkpoint.
    pub fn new(
        config: Config,
        wallet: W,
        checkpoint: Option<&[u8]>,
        cursor: Cursor,
    ) -> Result<Self, StartError> {
        config.check()?;
        let checkpoint = match checkpoint {
            Some(bytes) => Checkpoint::from_bytes(bytes)?,
            None => Checkpoint::default(),
        };
        Ok(Self {
            follower: Follower::new(cursor, &config),
            config,
            wallet,
            ids: Ids::default(),
            observe: Retry::default(),
            view: None,
            observed_ms: None,
            floor: checkpoint.floor,
            contradictions: 0,
            ignored: 0,
            sender: Sender::new(checkpoint.posts),
            posting_halted: None,
            queue_halted: None,
            problem: None,
            untold: Vec::new(),
        })
    }

    /// Moves on to `now_ms`, milliseconds since the Unix epoch. To be called when
    /// [`Engine::next_deadline_ms`] has come and after events; at other times without harm.
    pub fn poll(&mut self, now_ms: u64) -> Vec<Action> {
        let mut actions: Vec<Action> = self.untold.drain(..).map(Action::Halted).collect();
        if self.observe.due(now_ms, &self.config) {
            let id = self.ids.next();
            self.observe.begin(id, now_ms, &self.config);
            // The newest vouches for those before it; the others show how deep a reorg went.
            let depth = if self.contradictions == 0 { 1 } else { CHECKED_BLOCKS_MAX };
            actions.push(Action::Observe {
                id,
                blocks: (self.follower.unconfirmed().into_iter())
                    .chain(self.checked_blocks().iter().map(|block| block.number).take(depth))
                    .collect(),
                transactions: (self.view.as_ref())
                    .map_or_else(Vec::new, |view| self.sender.hashes(view)),
            });
        }
        if self.contradictions > 0 {
            return actions;
        }
        if let (Some(view), None) = (&self.view, &self.posting_halted) {
            let (config, ids) = (&self.config, &mut self.ids);
            let out = self.sender.poll(now_ms, view, config, &self.wallet, ids);
            if out.persist {
                actions.push(Action::Persist(self.checkpoint().to_bytes()));
            }
            actions.extend(out.actions);
        }
        if self.queue_halted.is_none() {
            self.follower.poll(now_ms, &self.config, &mut self.ids, &mut actions);
        }
        actions
    }

    /// Takes what has happened, at `now_ms`. [`Engine::poll`] next.
    pub fn on_event(&mut self, now_ms: u64, event: Event) {
        let halt = match event {
            Event::Ready { last } => {
                self.sender.ready = Some(last);
                None
            }
            Event::Observed { id, observation } => self.on_observed(id, *observation, now_ms),
            Event::Prepared { id, prepared } => self.sender.on_prepared(id, prepared, now_ms),
            Event::Sent { id, sent } => {
                let head = self.view.as_ref().map_or(0, |view| view.head.number);
                if self.sender.on_sent(id, &sent, now_ms, head, &self.config) {
                    self.observe.hurry();
                }
                None
            }
            Event::Logs { id, last_hash, entries } if self.follower.is(id) => {
                let halt = self.follower.on_logs(entries, last_hash, now_ms, &self.config);
                if self.follower.unconfirmed().is_some() {
                    self.observe.hurry();
                }
                halt
            }
            Event::Logs { .. } => None,
            Event::Failed { id, failure } => {
                if self.observe.is(id) {
                    self.observe.fail(now_ms, &self.config, failure.class);
                } else if self.follower.is(id) {
                    self.follower.on_failed(now_ms, &self.config, failure.class);
                } else if !self.sender.on_failed(id, now_ms, &self.config, failure.class) {
                    return;
                }
                self.problem = Some(failure.what);
                None
            }
        };
        if let Some(halt) = halt {
            self.halt(halt);
        }
    }

    /// The next entries of the hub queue, in order, each of them once: at most so many, of at
    /// most so many bytes of data together.
    pub fn next_entries(&mut self, entries_max: usize, bytes_max: usize) -> Vec<QueueEntry> {
        if self.contradictions > 0 || self.queue_halted.is_some() {
            return Vec::new();
        }
        self.follower.take(entries_max, bytes_max)
    }

    /// A person has seen why posting stopped, and it may go on. Commitments that wait for a block
    /// are withdrawn, and asked for again once their nonces are final.
    pub fn resume(&mut self) {
        self.posting_halted = None;
        self.sender.resume();
        if let (Some(view), Some(floor)) = (&self.view, &mut self.floor) {
            floor.rejections = floor.rejections.max(view.anchor.rejections);
        }
    }

    /// What was taken from the hub has been derived again, up to `cursor`: everything goes on
    /// from there, and nothing that was thought final before counts.
    pub fn rederive(&mut self, cursor: Cursor) {
        self.queue_halted = None;
        self.follower = Follower::new(cursor, &self.config);
        let rejections = self.floor.map_or(0, |floor| floor.rejections);
        self.floor = None;
        self.view = None;
        self.contradictions = 0;
        self.observe = Retry::default();
        if rejections > 0 {
            self.floor = Some(Floor { rejections, ..Floor::default() });
        }
        self.resume();
    }

    /// When to poll next if nothing happens before, on the caller's clock.
    pub fn next_deadline_ms(&self) -> u64 {
        let mut deadline_ms = self.observe.deadline_ms();
        if self.posting_halted.is_none() && self.view.is_some() {
            deadline_ms =
                deadline_ms.min(self.sender.deadline_ms(&self.config).unwrap_or(u64::MAX));
        }
        if self.queue_halted.is_none() {
            deadline_ms = deadline_ms.min(self.follower.deadline_ms().unwrap_or(u64::MAX));
        }
        deadline_ms
    }

    /// What metrics and people see.
    pub fn status(&self) -> Status {
        let view = self.view.clone().unwrap_or_default();
        let next = self.follower.next();
        Status {
            observed_ms: self.observed_ms,
            head: view.head,
            finalized: view.finalized,
            ready_number: self.sender.ready.unwrap_or(0),
            anchored_number: view.anchor.last_number,
            anchored_slot: view.anchor.last_slot,
            anchored_final_number: view.anchor_finalized.last_number,
            settled_number: view.anchor.settled_number,
            settled_slot: view.anchor.settled_slot,
            next: view.next,
            waiting: (self.sender.waiting())
                .map(|post| (post.nonce, post.purpose, post.fees.max_fee_wei))
                .collect(),
            unfinal: self.sender.posts().count(),
            balance_wei: view.balance_wei,
            queue_count: view.queue_finalized.count,
            queue_read: next.index,
            queue_buffered: self.follower.buffered(),
            queue_lag_blocks: (view.finalized.number + 1).saturating_sub(self.follower.unread()),
            observations_ignored: self.ignored,
            posting_halted: self.posting_halted.clone(),
            queue_halted: self.queue_halted.clone(),
            problem: self.sender.problem.clone().or_else(|| self.problem.clone()),
        }
    }

    /// What would be persisted now.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { floor: self.floor, posts: self.sender.posts().cloned().collect() }
    }

    fn halt(&mut self, halt: Halt) {
        if halt.stops_queue() && self.queue_halted.is_none() {
            self.queue_halted = Some(halt.clone());
            self.untold.push(halt.clone());
        } else if self.posting_halted.is_none() {
            self.untold.push(halt.clone());
        }
        if self.posting_halted.is_none() {
            self.posting_halted = Some(halt);
        }
    }

    /// Blocks that were final, with the hashes they had; the newest first.
    fn checked_blocks(&self) -> Vec<BlockRef> {
        let floor = self.floor.map(|floor| floor.block);
        let marks = self.follower.marks().rev().map(|mark| mark.block);
        let mut blocks: Vec<BlockRef> =
            floor.into_iter().chain(marks).filter(|block| block.hash != B256::ZERO).collect();
        blocks.sort_unstable_by(|a, b| b.cmp(a));
        blocks.dedup();
        blocks.truncate(CHECKED_BLOCKS_MAX - 1);
        blocks
    }

    fn judge(&self, seen: &Observation) -> Verdict {
        let checked = self.checked_blocks();
        let canonical = |number| seen.blocks.iter().find(|block| block.number == number);
        for block in &checked {
            let Some(found) = canonical(block.number).filter(|found| found.hash != block.hash)
            else {
                continue;
            };
            let on_chain = |mark: &&Cursor| canonical(mark.block.number) == Some(&mark.block);
            let from = self.follower.marks().rev().find(on_chain).copied().unwrap_or_default();
            return Verdict::Contradiction {
                halt: Halt::DeepReorg { replaced: *block, found: found.hash, from },
                certain: seen.finalized.number >= block.number,
            };
        }
        if let Some(newest) = checked.first() {
            let same_height_other =
                seen.finalized.number == newest.number && seen.finalized != *newest;
            if seen.finalized.number < newest.number
                || canonical(newest.number).is_none()
                || same_height_other
            {
                return Verdict::Ignored("the hub node is behind what was already final");
            }
        }
        let floor = self.floor.unwrap_or_default();
        let settled_chain = seen.anchor_finalized.rejections > floor.rejections
            || seen.anchor_finalized.last_number >= floor.last_number;
        let ordered = seen.head.number >= seen.finalized.number
            && seen.nonce >= seen.nonce_finalized
            && seen.nonce_finalized >= floor.nonce
            && seen.queue_finalized.count >= self.follower.next().index
            && settled_chain;
        match ordered {
            true => Verdict::Good,
            false => Verdict::Ignored("the hub node forgot what was already final"),
        }
    }

    fn on_observed(&mut self, id: RequestId, seen: Observation, now_ms: u64) -> Option<Halt> {
        if !self.observe.is(id) {
            return None;
        }
        match self.judge(&seen) {
            Verdict::Good => {}
            Verdict::Ignored(why) => {
                self.ignored += 1;
                self.problem = Some(why.into());
                self.observe.fail(now_ms, &self.config, Class::Temporary);
                return None;
            }
            Verdict::Contradiction { halt, certain } => {
                self.contradictions = self.contradictions.saturating_add(1);
                self.problem = Some(format!("not acted upon yet: {halt}"));
                self.observe.fail(now_ms, &self.config, Class::Temporary);
                let enough = self.contradictions >= self.config.contradictions_max;
                return (certain && enough).then_some(halt);
            }
        }
        self.contradictions = 0;
        self.observe.succeed(now_ms, self.config.observe_interval_ms);
        self.observed_ms = Some(now_ms);
        if !self.follower.problem() {
            self.problem = None;
        }
        let rejections = self.floor.map_or(seen.anchor.rejections, |floor| floor.rejections);
        self.floor = Some(Floor {
            block: seen.finalized,
            nonce: seen.nonce_finalized,
            last_number: seen.anchor_finalized.last_number,
            rejections,
        });
        let (last_number, last_slot) = (seen.anchor.last_number, seen.anchor.last_slot);
        let mut halt = self.sender.on_observed(&seen, &self.config);
        if seen.anchor.rejections > rejections {
            halt = Some(Halt::Rejected { last_number, last_slot });
        } else if seen.anchor.escaped {
            halt = Some(Halt::Escaped { last_number });
        }
        let (finalized, queue) = (seen.finalized, seen.queue_finalized);
        self.follower.on_blocks(&seen.blocks, now_ms, &self.config);
        self.view = Some(seen);
        if let Some(halt) = halt {
            self.halt(halt);
        }
        if self.queue_halted.is_some() {
            return None;
        }
        self.follower.on_finalized(finalized, queue, now_ms, &self.config)
    }
}
