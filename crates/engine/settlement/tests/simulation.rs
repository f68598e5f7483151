//! The engine against a hub that misbehaves in every way a hub can, killed at any step. The
//! checkers know the hub's blocks, what was sent and what was delivered, and nothing of how the
//! engine does it.

mod common;

use atoll_settlement::*;
use atoll_types::B256;
use common::*;
use std::collections::BTreeMap;

struct World {
    random: Random,
    hub: Hub,
    config: Config,
    engine: Engine<TestWallet>,
    /// What the engine has persisted.
    disk: Option<Vec<u8>>,
    now_ms: u64,
    answers: Vec<(u64, Event)>,
    faults: bool,
    /// Somebody else uses the same key.
    strangers: bool,
    ready: u64,
    /// Entries that the node has taken and made durable, and where it would start again.
    taken: Vec<QueueEntry>,
    start: Cursor,
    /// Between a deep reorg and the halt nobody can know that what is delivered is wrong.
    blind: bool,
    halts: Vec<Halt>,
    stats: Stats,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stats {
    restarts: u64,
    reorged_commits: u64,
    bumps: u64,
    lost_answers: u64,
    strangers: u64,
    fills: u64,
    delivered: u64,
}

fn config(random: &mut Random, in_flight_max: u32) -> Config {
    Config {
        observe_interval_ms: 500 + random.below(2_000),
        request_timeout_ms: 3_000,
        retry_ms_min: 200,
        retry_ms_max: 5_000,
        head_age_ms_max: 60_000,
        in_flight_max,
        unfinal_max: 64,
        bump_blocks: 1 + random.below(4),
        bump_ms: 5_000 + random.below(20_000),
        bump_permille: 125,
        max_fee_cap_wei: 100_000,
        tip_min_wei: 1,
        stranger_wait_ms: random.below(8_000),
        reverts_max: 1_000,
        log_blocks_max: 1 + random.below(20),
        buffer_entries_max: 1 + random.below(30) as u32,
        buffer_bytes_max: 1 << 16,
        contradictions_max: 3,
    }
}

impl World {
    fn new(seed: u64, in_flight_max: u32) -> Self {
        let mut random = Random(seed);
        let config = config(&mut random, in_flight_max);
        let now_ms = 1_700_000_000_000;
        let hub = Hub::new(now_ms / 1_000);
        let start = Cursor { block: hub.head().at, ..Cursor::default() };
        let mut engine = Engine::new(config.clone(), TestWallet, None, start).unwrap();
        engine.on_event(now_ms, Event::Ready { last: 0 });
        Self {
            random,
            hub,
            config,
            engine,
            disk: None,
            now_ms,
            answers: Vec::new(),
            faults: true,
            strangers: false,
            ready: 0,
            taken: Vec::new(),
            start,
            blind: false,
            halts: Vec::new(),
            stats: Stats::default(),
        }
    }

    fn cursor(&self) -> Cursor {
        self.taken.last().map_or(self.start, |last| Cursor {
            index: last.entry.index + 1,
            queue_hash: last.queue_hash,
            block: last.block,
        })
    }

    fn restart(&mut self) {
        self.stats.restarts += 1;
        let (config, disk) = (self.config.clone(), self.disk.as_deref());
        self.engine = Engine::new(config, TestWallet, disk, self.cursor()).unwrap();
        self.answers.clear();
        self.engine.on_event(self.now_ms, Event::Ready { last: self.ready });
    }

    fn hub_turn(&mut self) {
        let faults = self.faults;
        if self.random.once_in(4) {
            let entries = if faults { self.random.below(6).saturating_sub(2) } else { 0 };
            let foreign = faults && self.strangers && self.random.once_in(25);
            self.stats.strangers += u64::from(foreign);
            let time_s = self.now_ms / 1_000;
            self.hub.mine(&mut self.random, time_s, entries, foreign);
        }
        if !faults {
            (self.hub.base_fee, self.hub.stranger_pending) = (100, false);
            self.hub.stale.clear();
            return;
        }
        match self.random.below(80) {
            0 => {
                let depth = 1 + self.random.below(FINALITY - 1);
                let length = self.hub.head().at.number;
                if length > self.hub.finalized {
                    let depth = depth.min(length - self.hub.finalized);
                    let before = self.hub.head().anchor.last_number;
                    self.hub.reorg(&mut self.random, depth);
                    self.stats.reorged_commits += before - self.hub.head().anchor.last_number;
                }
            }
            1 => self.hub.base_fee = 50 + self.random.below(40_000) as u128,
            2 => self.hub.base_fee = 100,
            // Nodes forget transactions that wait.
            3 => self.hub.pool.clear(),
            4 if self.strangers => self.hub.stranger_pending = !self.hub.stranger_pending,
            5..=9 => self.hub.remember_stale(),
            _ => {}
        }
    }

    /// Does what the engine asks, as far as the hub's nodes let it.
    fn perform(&mut self, action: Action) {
        let delay_ms = self.random.below(if self.faults { 2_500 } else { 300 });
        let fault = if self.faults { self.random.below(10) } else { 9 };
        let failure = Failure { class: Class::Temporary, what: "timed out".into() };
        let lost = fault == 0;
        let (id, event) = match action {
            Action::Persist(bytes) => {
                self.disk = Some(bytes);
                return;
            }
            Action::Halted(halt) => {
                self.halts.push(halt);
                return;
            }
            Action::Observe { id, blocks, transactions } => {
                let chain = match fault {
                    1 | 2 if !self.hub.stale.is_empty() => {
                        let which = self.random.below(self.hub.stale.len() as u64) as usize;
                        self.hub.stale[which].clone()
                    }
                    _ => self.hub.chain.clone(),
                };
                let mut observation = self.hub.observe(&chain, &blocks, &transactions);
                if fault == 3 {
                    // A node that answers from an empty state.
                    observation = Observation {
                        head: observation.head,
                        head_time_s: observation.head_time_s,
                        finalized: observation.finalized,
                        blocks: observation.blocks,
                        ..Observation::default()
                    };
                }
                (id, Event::Observed { id, observation: Box::new(observation) })
            }
            Action::Prepare { id, purpose } => {
                (id, Event::Prepared { id, prepared: content(purpose) })
            }
            Action::Broadcast { id, purpose, transaction, nonce } => {
                let tx = decode(&transaction);
                self.check_sent(&tx, purpose, nonce);
                // Whatever is answered, it may have got in.
                let sent = match fault < 3 && self.random.once_in(2) {
                    true => Sent::Accepted,
                    false => self.hub.send(tx),
                };
                match fault {
                    0..=2 => (id, Event::Failed { id, failure: failure.clone() }),
                    _ => (id, Event::Sent { id, sent }),
                }
            }
            Action::Logs { id, from, to } => {
                let stale = fault == 1 && !self.hub.stale.is_empty();
                let chain = if stale { &self.hub.stale[0] } else { &self.hub.chain };
                let mut entries = Hub::logs(chain, from, to);
                let last_hash = chain.get(to as usize).map(|block| block.at.hash);
                let last_hash = last_hash.unwrap_or_default();
                match fault {
                    2 => entries.clear(),
                    3 if !entries.is_empty() => {
                        entries.remove(self.random.below(entries.len() as u64) as usize);
                    }
                    _ => {}
                }
                (id, Event::Logs { id, last_hash, entries })
            }
        };
        if lost {
            self.stats.lost_answers += 1;
            if self.random.once_in(2) {
                self.answers.push((self.now_ms + delay_ms, Event::Failed { id, failure }));
            }
            return;
        }
        self.answers.push((self.now_ms + delay_ms, event));
    }

    fn check_sent(&mut self, tx: &Tx, purpose: Purpose, nonce: u64) {
        assert_eq!(tx.request.nonce, nonce);
        assert!(tx.request.fees.max_fee_wei <= self.config.max_fee_cap_wei);
        match carried(tx) {
            Some(carried) => {
                assert_eq!(carried, purpose);
                assert_eq!(tx.request.call, content(carried).call, "content changed");
            }
            None => self.stats.fills += 1,
        }
        self.stats.bumps += u64::from(self.hub.pool.get(&nonce).is_some_and(|old| old != tx));
        // What was sent must be on disk already.
        let disk = self.disk.as_ref().expect("persisted before it is sent");
        let disk = <Checkpoint as atoll_types::Decode>::from_bytes(disk).unwrap();
        let post = disk.posts.iter().find(|post| post.nonce == nonce).expect("persisted");
        assert!(post.hashes.contains(&tx.hash), "sent before it was persisted");
    }

    fn take_entries(&mut self) {
        let entries = self.engine.next_entries(1 + self.random.below(5) as usize, 400);
        let durable = if self.faults && self.random.once_in(10) { 0 } else { entries.len() };
        for entry in &entries[..durable] {
            assert_eq!(entry.entry.index, self.taken.len() as u64, "gap or twice");
            if !self.blind {
                assert!(entry.block.number <= self.hub.finalized, "not final");
                let block = &self.hub.chain[entry.block.number as usize];
                assert_eq!(block.at, entry.block);
                assert!(block.entries.contains(&entry.entry), "not in the hub");
            }
            self.taken.push(entry.clone());
            self.stats.delivered += 1;
        }
        if durable < entries.len() {
            // They were handed over, and the process died before they were in its log.
            self.restart();
        }
    }

    fn step(&mut self) {
        self.now_ms += self.random.below(1_000);
        self.hub_turn();
        let now_ms = self.now_ms;
        let (due, later) =
            std::mem::take(&mut self.answers).into_iter().partition(|a| a.0 <= now_ms);
        self.answers = later;
        let due: Vec<(u64, Event)> = due;
        for (_, event) in due {
            self.engine.on_event(now_ms, event);
        }
        let actions = self.engine.poll(now_ms);
        let killed = self.faults && self.random.once_in(60);
        let done = match killed {
            true => self.random.below(actions.len() as u64 + 1) as usize,
            false => actions.len(),
        };
        for action in actions.into_iter().take(done) {
            self.perform(action);
        }
        if killed {
            self.restart();
        }
        self.take_entries();
    }

    /// By the hub's blocks alone.
    fn check_chain(&self, reverts_allowed: bool) {
        let mut mined: BTreeMap<u64, u32> = BTreeMap::new();
        let mut last = 0;
        for (tx, success) in self.hub.chain.iter().flat_map(|block| &block.txs) {
            let Some(Purpose::Commit(number)) = carried(tx) else { continue };
            if *success || !reverts_allowed {
                let times = mined.entry(number).or_default();
                *times += 1;
                assert_eq!(*times, 1, "commitment {number} mined twice");
                assert_eq!(number, last + 1, "out of order");
                assert!(success);
                last = number;
            }
        }
        assert_eq!(last, self.hub.head().anchor.last_number);
    }

    fn finish(&mut self, commitments: u64) {
        self.faults = false;
        for _ in 0..6_000 {
            self.ready = commitments;
            self.engine.on_event(self.now_ms, Event::Ready { last: commitments });
            self.step();
            let done = self.hub.head().anchor.settled_number == commitments
                && self.taken.len() as u64 == self.hub.head().queue.count
                && self.hub.finalized > 0
                && self.engine.status().unfinal == 0;
            if done {
                return;
            }
        }
        panic!("stuck: {:#?}\n{:#?}\n{:?}", self.engine, self.hub.head(), self.answers);
    }

    fn faulty(&mut self, steps: u64, commitments: u64) {
        for _ in 0..steps {
            if self.ready < commitments && self.random.once_in(12) {
                self.ready += 1;
                self.engine.on_event(self.now_ms, Event::Ready { last: self.ready });
            }
            self.step();
        }
    }

    fn run(&mut self, strangers: bool, reverts_allowed: bool) {
        self.strangers = strangers;
        for _ in 0..4 {
            self.faulty(150, 20);
            self.check_chain(reverts_allowed);
        }
        assert_eq!(self.halts, [], "nothing happened that asks for a person");
        self.finish(20);
        assert_eq!(self.halts, []);
        self.check_chain(reverts_allowed);
    }
}

fn seeds() -> std::ops::Range<u64> {
    let count = std::env::var("ATOLL_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(800);
    0..count
}

#[test]
fn whatever_the_hub_does_each_commitment_is_mined_once_and_each_entry_delivered_once() {
    let mut total = Stats::default();
    for seed in seeds() {
        let mut world = World::new(seed, 1);
        // When somebody else takes a nonce and a reorg mixes the order, what stood behind it may
        // revert; among our own transactions nothing ever does.
        let strangers = seed % 3 == 0;
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            world.run(strangers, strangers);
        }));
        if let Err(panic) = outcome {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
        let stats = world.stats;
        total.restarts += stats.restarts;
        total.reorged_commits += stats.reorged_commits;
        total.bumps += stats.bumps;
        total.lost_answers += stats.lost_answers;
        total.strangers += stats.strangers;
        total.fills += stats.fills;
        total.delivered += stats.delivered;
    }
    eprintln!("{total:?}");
    // The run is worth something only if it went where the difficulties are.
    let seeds = seeds().end;
    assert!(total.restarts > seeds && total.reorged_commits > seeds && total.bumps > seeds);
    assert!(total.lost_answers > seeds && total.strangers > seeds && total.fills > 0);
    assert!(total.delivered > 50 * seeds);
}

#[test]
fn with_several_in_flight_those_behind_a_failed_one_are_posted_again() {
    for seed in seeds().take(60) {
        let in_flight_max = 2 + (seed % 4) as u32;
        let mut world = World::new(1_000 + seed, in_flight_max);
        let outcome =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run(true, true)));
        if let Err(panic) = outcome {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn a_reorg_deeper_than_finality_halts_until_derived_again() {
    let mut precise = 0;
    for seed in 0..40 {
        let mut world = World::new(2_000 + seed, 1);
        world.faulty(400, 20);
        world.faults = false;
        for _ in 0..40 {
            world.step();
        }
        assert_eq!(world.halts, [], "{seed}");
        let depth = (FINALITY + 4 + world.random.below(30)).min(world.hub.head().at.number);
        world.blind = true;
        world.hub.reorg(&mut world.random, depth);
        world.hub.stale.clear();
        for _ in 0..3_000 {
            world.step();
            if !world.halts.is_empty() {
                break;
            }
        }
        let [Halt::DeepReorg { from, .. }] = world.halts[..] else {
            panic!("{seed}: {:?}", world.halts);
        };
        assert_eq!(world.halts[0].class(), Class::Reset);
        // Nothing comes out and nothing is posted until somebody has derived again.
        let (taken, sent) = (world.taken.len(), world.hub.ever.len());
        for _ in 0..200 {
            world.step();
        }
        assert_eq!((taken, sent), (world.taken.len(), world.hub.ever.len()));
        // All before the place named is still on the hub; the rest is derived again.
        let canonical = |entry: &QueueEntry| {
            let block = world.hub.chain.get(entry.block.number as usize);
            block.is_some_and(|block| block.at == entry.block)
        };
        let good = world.taken.iter().take_while(|entry| canonical(entry)).count();
        let named = from.index as usize;
        assert!(named <= good, "{seed}: entries from {good} on are gone, halt says {named}");
        precise += u32::from(from.block.number > 0);
        world.taken.truncate(named);
        (world.blind, world.halts) = (false, Vec::new());
        if from.block.hash != B256::ZERO {
            world.start = from;
        }
        let cursor = if from.block.hash == B256::ZERO { world.start } else { from };
        world.engine.rederive(cursor);
        world.finish(20);
        assert_eq!(world.halts, [], "{seed}");
        world.check_chain(true);
    }
    // Not everything is thrown away.
    assert!(precise > 20, "{precise}");
}
