//! Reads the hub queue up to the finalised block.
//!
//! Entries come in stretches of blocks. A stretch counts once the hash of its last block is that
//! of an observation (a node on another fork is found there), and its indices follow one another.
//! At the finalised block, count and running hash are compared with what the queue contract says:
//! an answer that left something out is found there, or by the gap it makes, and asked for again.

use crate::config::Config;
use crate::halt::Halt;
use crate::port::{Action, BlockRef, Class, Cursor, LoggedEntry, QueueEntry, QueueView, RequestId};
use crate::queue;
use crate::retry::{Ids, Retry};
use atoll_types::B256;
use std::collections::VecDeque;

/// Verified places that are remembered, to find how deep a reorg went.
const MARKS_MAX: usize = 24;

#[derive(Clone, Debug)]
struct Stretch {
    last: BlockRef,
    found: Vec<QueueEntry>,
    next: Cursor,
}

#[derive(Clone, Debug)]
pub(crate) struct Follower {
    /// Where the next entry is expected; `block` is where reading begins again if it must.
    next: Cursor,
    /// First block not read yet.
    unread: u64,
    target: Option<(BlockRef, QueueView)>,
    /// A stretch whose last block is not known to be on the chain yet.
    unconfirmed: Option<Stretch>,
    /// Length of the next request; halves with failures.
    stretch: u64,
    asked: (u64, u64),
    request: Retry,
    contradictions: u32,
    buffer: VecDeque<QueueEntry>,
    buffered_bytes: usize,
    /// Places at which the hub's own count and hash agreed, oldest first.
    marks: VecDeque<Cursor>,
}

impl Follower {
    pub(crate) fn new(cursor: Cursor, config: &Config) -> Self {
        Self {
            next: cursor,
            unread: cursor.block.number,
            target: None,
            unconfirmed: None,
            stretch: config.log_blocks_max,
            asked: (0, 0),
            request: Retry::default(),
            contradictions: 0,
            buffer: VecDeque::new(),
            buffered_bytes: 0,
            marks: VecDeque::from([cursor]),
        }
    }

    pub(crate) fn marks(&self) -> impl DoubleEndedIterator<Item = &Cursor> {
        self.marks.iter()
    }

    pub(crate) fn next(&self) -> Cursor {
        self.next
    }

    pub(crate) fn buffered(&self) -> usize {
        self.buffer.len()
    }

    pub(crate) fn unread(&self) -> u64 {
        self.unread
    }

    pub(crate) fn problem(&self) -> bool {
        self.request.failures() > 0
    }

    /// The block whose canonical hash is needed to go on.
    pub(crate) fn unconfirmed(&self) -> Option<u64> {
        self.unconfirmed.as_ref().map(|stretch| stretch.last.number)
    }

    /// Canonical blocks, as an observation gives them.
    pub(crate) fn on_blocks(&mut self, blocks: &[BlockRef], now_ms: u64, config: &Config) {
        let Some(stretch) = &self.unconfirmed else { return };
        match blocks.iter().find(|block| block.number == stretch.last.number) {
            None => {}
            Some(block) if *block == stretch.last => {
                if let Some(stretch) = self.unconfirmed.take() {
                    self.accept(stretch, config);
                }
            }
            Some(_) => {
                self.unconfirmed = None;
                self.again(now_ms, config);
            }
        }
    }

    fn accept(&mut self, stretch: Stretch, config: &Config) {
        self.buffered_bytes += stretch.found.iter().map(|e| e.entry.data.len()).sum::<usize>();
        self.buffer.extend(stretch.found);
        self.next = stretch.next;
        self.unread = stretch.last.number + 1;
        self.stretch = self.stretch.saturating_mul(2).min(config.log_blocks_max);
    }

    pub(crate) fn is(&self, id: RequestId) -> bool {
        self.request.is(id)
    }

    pub(crate) fn take(&mut self, entries_max: usize, bytes_max: usize) -> Vec<QueueEntry> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(front) = self.buffer.front() {
            bytes += front.entry.data.len();
            if taken.len() == entries_max || bytes > bytes_max {
                break;
            }
            self.buffered_bytes -= front.entry.data.len();
            taken.extend(self.buffer.pop_front());
        }
        taken
    }

    /// The hub's finalised block has moved on. Whoever calls has compared what came before.
    pub(crate) fn on_finalized(
        &mut self,
        block: BlockRef,
        view: QueueView,
        now_ms: u64,
        config: &Config,
    ) -> Option<Halt> {
        if self.target.is_none() && block.number >= self.next.block.number {
            self.target = Some((block, view));
        }
        self.arrive(now_ms, config)
    }

    pub(crate) fn poll(
        &mut self,
        now_ms: u64,
        config: &Config,
        ids: &mut Ids,
        actions: &mut Vec<Action>,
    ) {
        let room = self.buffer.len() < config.buffer_entries_max as usize
            && self.buffered_bytes < config.buffer_bytes_max as usize;
        let Some((target, _)) = self.target else { return };
        if !room
            || self.unconfirmed.is_some()
            || self.unread > target.number
            || !self.request.due(now_ms, config)
        {
            return;
        }
        if self.request.failures() > 0 {
            // An answer may have been too long for the node or for us.
            self.stretch = (self.stretch / 2).max(1);
        }
        let id = ids.next();
        let to = target.number.min(self.unread.saturating_add(self.stretch - 1));
        self.asked = (self.unread, to);
        self.request.begin(id, now_ms, config);
        actions.push(Action::Logs { id, from: self.unread, to });
    }

    pub(crate) fn on_failed(&mut self, now_ms: u64, config: &Config, class: Class) {
        self.request.fail(now_ms, config, class);
    }

    /// Logs have come from a node that has `hash` at the last block asked for.
    pub(crate) fn on_logs(
        &mut self,
        logs: Vec<LoggedEntry>,
        hash: B256,
        now_ms: u64,
        config: &Config,
    ) -> Option<Halt> {
        let (from, to) = self.asked;
        let (target, view) = self.target?;
        let Some((found, next)) = self.check(logs, from, to).filter(|c| c.1.index <= view.count)
        else {
            // Something was left out: whatever else is in the answer is not used either.
            self.again(now_ms, config);
            return None;
        };
        let stretch = Stretch { last: BlockRef { number: to, hash }, found, next };
        if to < target.number {
            self.request.succeed(now_ms, 0);
            self.unconfirmed = Some(stretch);
            return None;
        }
        if stretch.last != target {
            self.again(now_ms, config);
            return None;
        }
        self.request.succeed(now_ms, 0);
        self.accept(stretch, config);
        self.arrive(now_ms, config)
    }

    /// The entries of an answer that are new, and where they lead; `None` if something is missing.
    fn check(
        &self,
        logs: Vec<LoggedEntry>,
        from: u64,
        to: u64,
    ) -> Option<(Vec<QueueEntry>, Cursor)> {
        let (mut next, mut found) = (self.next, Vec::new());
        for LoggedEntry { entry, block } in logs {
            if entry.index < next.index {
                continue;
            }
            let in_order = block.number >= next.block.number && (from..=to).contains(&block.number);
            if entry.index > next.index || !in_order {
                return None;
            }
            let queue_hash = queue::extend(next.queue_hash, entry.hash());
            next = Cursor { index: next.index + 1, queue_hash, block };
            found.push(QueueEntry { entry, queue_hash, block });
        }
        Some((found, next))
    }

    /// Reads again from the last entry that is certain.
    fn again(&mut self, now_ms: u64, config: &Config) {
        self.unread = self.next.block.number;
        self.request.fail(now_ms, config, Class::Temporary);
    }

    /// Compares with the hub's count and hash when all up to the target is known.
    fn arrive(&mut self, now_ms: u64, config: &Config) -> Option<Halt> {
        let (block, view) = self.target?;
        if view.count > self.next.index {
            if self.unread > block.number {
                self.again(now_ms, config);
            }
            return None;
        }
        if view.count < self.next.index || view.hash != self.next.queue_hash {
            self.target = None;
            self.contradictions += 1;
            let halt = Halt::Queue {
                block,
                count: view.count,
                found: view.hash,
                ours: self.next.queue_hash,
            };
            return (self.contradictions >= config.contradictions_max).then_some(halt);
        }
        // All is here: the blocks in between need not be read.
        self.contradictions = 0;
        self.target = None;
        self.unread = block.number + 1;
        self.next.block = block;
        self.marks.push_back(self.next);
        if self.marks.len() > MARKS_MAX {
            // The oldest stays: it is where everything began.
            self.marks.remove(1);
        }
        None
    }

    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        self.target.map(|_| self.request.deadline_ms())
    }
}
