//! Commands in parallel, market by market; every answer and every object as if they had been executed
//! one after another.
//!
//! Between two ticks prices stand still, and most commands are about one account and one market. So
//! a list of commands is cut into *batches*, and a batch into parts that share no market and no
//! caller ([`plan`]). Each part is a shard's ([`atoll_state::object::shard`]), which executes it in
//! the order of the list. Whose orders will be met the plan can only expect; where two shards touch
//! the same account after all, the batch is undone and planned anew at half its length; one that is
//! short is executed one by one. The length follows from how often that happens, and decides nothing else.
//!
//! * A command's number is its place in the list, so order numbers are known to every shard.
//! * Margin is checked against what the account has in all its markets: an account is one shard's as
//!   a whole, and its bound ([`crate::headroom`]) with it.
//! * Ledgers are sums. Each shard adds up its own; there is no batch while a shortfall waits for what
//!   the insurance fund receives.
//! * What is about more than one market (transfers, liquidations, cancels everywhere, triggers, TWAPs,
//!   listings) is executed between batches. Orders that expire wait in one queue for all markets: they
//!   are one part.

mod about;
mod plan;
mod worker;

use crate::AHEAD;
use crate::command::Command;
use crate::event::{Event, Outcome, Refusal};
use crate::exchange::Exchange;
use crate::ids::{AccountId, AssetId};
use crate::objects::{GlobalKey, LedgerKey};
use crate::rules::Rules;
use alloc::vec::Vec;
use atoll_state::object::shard;
use atoll_state::{Resident, Workers, WriteSet};
use plan::Plan;
use worker::{Job, Worker};

/// A batch of fewer commands is not worth the workers' meeting.
const SHORTEST: usize = 32;
/// Of so many commands for each shard a batch is made at most: what undoes it should stay in the
/// core's cache, and the workers meet four times a batch.
const LENGTH_EACH: usize = 128;

/// What shards need between batches.
#[derive(Debug)]
pub struct Shards {
    workers: Vec<Worker>,
    plan: Plan,
    writes: Vec<WriteSet>,
    /// How many commands the next batch has at most, and any batch at least.
    length: usize,
    shortest: usize,
    counts: Counts,
}

/// What became of commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Executed in batches.
    pub parallel: u64,
    /// Executed one by one.
    pub serial: u64,
    /// Batches that were kept.
    pub batches: u64,
    /// Batches that were undone.
    pub undone: u64,
}

impl Shards {
    /// So many shards. `seed` is the exchange's.
    pub fn new(shards: usize, seed: u64) -> Self {
        let shards = shards.clamp(1, plan::SHARDS_MAX);
        Self {
            workers: (0..shards).map(|_| Worker::new(seed)).collect(),
            plan: Plan::default(),
            writes: (0..shards).map(|_| WriteSet::default()).collect(),
            length: shards * LENGTH_EACH,
            shortest: SHORTEST,
            counts: Counts::default(),
        }
    }

    /// Lets batches be as short as this: for tests, whose lists are. Results do not depend on it.
    pub fn set_shortest(&mut self, commands: usize) {
        self.shortest = commands.max(1);
    }

    /// What became of commands so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn grow(&mut self) {
        self.length = (self.length + self.length / 16 + 4).min(self.workers.len() * LENGTH_EACH);
    }
}

impl Exchange<Resident> {
    /// Executes commands as [`Self::execute`] does, one after another or so that it makes no
    /// difference; `answer` is given each one's number in the list, answer and events, in order.
    ///
    /// The range is an unwitnessed one.
    pub fn execute_all(
        &mut self,
        shards: &mut Shards,
        workers: &mut impl Workers,
        commands: &[(AccountId, Command)],
        mut answer: impl FnMut(usize, Result<Outcome, Refusal>, &[Event]),
    ) {
        let mut events = Vec::new();
        let mut from = 0;
        self.follow();
        while from < commands.len() {
            let to = commands.len().min(from + shards.length);
            let planned = if shards.workers.len() > 1 && self.adds_up() {
                shards.plan.make(self, &commands[from..to], shards.workers.len(), workers)
            } else {
                0
            };
            if planned >= shards.shortest && shards.plan.is_split() {
                if self.batch(shards, workers, &commands[from..from + planned]) {
                    shards.tell(from, &mut answer);
                    from += planned;
                    shards.grow();
                    continue;
                }
                shards.length = (planned / 2).max(shards.shortest);
                if planned > shards.shortest {
                    continue;
                }
            }
            // The one that ended the plan with it.
            let to = to.min(from + planned + 1);
            self.one_by_one(commands, from..to, &mut events, &mut answer);
            shards.counts.serial += (to - from) as u64;
            from = to;
        }
    }

    fn one_by_one(
        &mut self,
        commands: &[(AccountId, Command)],
        range: core::ops::Range<usize>,
        events: &mut Vec<Event>,
        answer: &mut impl FnMut(usize, Result<Outcome, Refusal>, &[Event]),
    ) {
        for n in range {
            for ahead in 1..=AHEAD {
                if let Some((caller, command)) = commands.get(n + ahead) {
                    self.prefetch(*caller, command, ahead);
                }
            }
            let (caller, command) = &commands[n];
            let done = self.execute(*caller, command, events);
            answer(n, done, events);
            events.clear();
        }
    }

    /// Whether ledgers are sums: insurance repays a shortfall first, whoever comes first.
    fn adds_up(&self) -> bool {
        let assets = self.rules.spec().assets.len() as u16;
        (0..assets).all(|asset| self.peek_ledger(AssetId(asset)).shortfall == 0)
    }

    /// Executes commands in shards, as planned; gives whether that was kept.
    #[allow(unsafe_code)]
    fn batch(
        &mut self,
        shards: &mut Shards,
        workers: &mut impl Workers,
        commands: &[(AccountId, Command)],
    ) -> bool {
        let global = *self.state.global.get(&GlobalKey);
        let Self { rules, state, .. } = self;
        let Shards { workers: parts, plan, counts, .. } = shards;
        parts.iter_mut().for_each(|worker| worker.part.clear());
        for (n, shard) in (0..).zip(plan.shards()) {
            parts[shard].part.push(n);
        }
        let rooms = parts.iter_mut().map(|worker| &mut worker.state.headroom);
        state.headroom.split(rules, &state.prices, rooms);
        let rules: &Rules = rules;
        // SAFETY: each worker leaves its shard where it is.
        let kept = unsafe {
            shard::batch(state, parts, workers, &|_, worker: &mut Worker, conflict| {
                worker.run(&Job { rules, commands, global, conflict });
            })
        };
        let rooms = parts.iter_mut().map(|worker| &mut worker.state.headroom);
        state.headroom.join(rooms, kept);
        if !kept {
            counts.undone += 1;
            return false;
        }
        for worker in parts {
            for (LedgerKey(asset), apart) in worker.state.ledgers.local_iter() {
                state.ledgers.get_mut(&LedgerKey(*asset)).absorb(apart);
            }
        }
        state.global.get_mut(&GlobalKey).commands += commands.len() as u64;
        counts.parallel += commands.len() as u64;
        counts.batches += 1;
        true
    }

    /// Ends the range as [`atoll_state::object::seal`] does, with the workers encoding what changed;
    /// the objects are the same, in another order.
    #[allow(unsafe_code)]
    pub fn seal_all(
        &mut self,
        shards: &mut Shards,
        workers: &mut impl Workers,
        writes: &mut WriteSet,
    ) {
        // SAFETY: as in `batch`.
        unsafe { shard::seal(self, &mut shards.workers, workers, &mut shards.writes) };
        for part in &mut shards.writes {
            writes.append(part);
            part.clear();
        }
    }
}

impl Shards {
    /// Gives the answers of a batch in the order of its commands.
    fn tell(
        &mut self,
        from: usize,
        answer: &mut impl FnMut(usize, Result<Outcome, Refusal>, &[Event]),
    ) {
        for (n, shard) in (from..).zip(self.plan.shards()) {
            if let Some((done, events)) = self.workers[shard].next_answer() {
                answer(n, done, events);
            }
        }
    }
}
