//! A sequencer that is killed again and again. The checker knows only the records that were
//! written, what was let out, and the rules of the chain.

mod common;

use atoll_sequencer::{
    ConfirmationChain, Leaders, LogRecord, Recovery, Sequencer, SequencerEvent, Signatures, Solo,
    SoloConfig, Tip,
};
use atoll_types::{Decode, EnvironmentId, SignedHeader, TickConfirmation, Transaction};
use common::*;
use std::collections::{BTreeMap, BTreeSet};

struct World {
    random: Random,
    /// The records on disk, encoded.
    disk: Vec<Vec<u8>>,
    /// Every promise let out, by place.
    promised: BTreeMap<(u64, u64, u32), TickConfirmation>,
    finalised: BTreeMap<u64, atoll_types::B256>,
    supplied: u64,
    now_us: u64,
    queue: Queue,
}

impl World {
    fn records(&self) -> Vec<LogRecord> {
        self.disk.iter().map(|bytes| LogRecord::from_bytes(bytes).unwrap()).collect()
    }

    /// Runs until the process is killed: in the middle of writing a poll's events, so that only
    /// a prefix of its records is on disk and nothing after that prefix was let out.
    fn live(&mut self, config: &SoloConfig) {
        let signatures = Signatures::Verify(Leaders::solo(key().address()));
        let genesis = Tip::genesis(&network());
        let tip = Recovery::replay(network(), signatures, genesis, &self.records()).unwrap();
        let mut solo = Solo::new(config.clone(), key(), tip).unwrap();
        let polls = 1 + self.random.below(150);
        for poll in 0..polls {
            self.step_clock();
            for _ in 0..self.random.below(4) {
                let (environment, lane) = (self.random.below(2), self.random.below(3));
                let environment = EnvironmentId(environment as u32 + 1);
                let lane = LANES[lane as usize];
                let pending = pending(self.supplied, environment, lane, self.now_us);
                self.queue.pending.push_back(pending);
                self.supplied += 1;
            }
            let events = solo.poll(self.now_us, &mut self.queue);
            let keep = match poll + 1 == polls {
                true => self.random.below(events.len() as u64 + 1) as usize,
                false => events.len(),
            };
            for event in events.into_iter().take(keep) {
                self.write_and_let_out(event, &mut solo);
            }
        }
        self.queue = Queue::default();
    }

    /// Mostly forward by up to a few ticks; now and then it sleeps or is set back.
    fn step_clock(&mut self) {
        match self.random.below(100) {
            0 => self.now_us += self.random.below(2_000_000),
            1 => self.now_us -= self.random.below(300_000),
            _ => self.now_us += self.random.below(3_000),
        }
    }

    fn write_and_let_out(&mut self, event: SequencerEvent, solo: &mut Solo) {
        let mut bytes = Vec::new();
        if event.encode_record(&mut bytes) {
            self.disk.push(bytes);
        }
        match event {
            SequencerEvent::TickClosed(closed) => {
                let promise = closed.confirmation;
                let place = (promise.term, promise.slot, promise.tick);
                let before = self.promised.insert(place, promise);
                assert_eq!(before, None, "promised twice: {place:?}");
            }
            SequencerEvent::SlotSealed(sealed) if self.random.below(3) > 0 => {
                solo.on_durable(sealed.header.slot);
            }
            SequencerEvent::Finalised(finalised) => {
                self.finalised.insert(finalised.slot, finalised.header_hash);
            }
            _ => {}
        }
    }

    /// The log from the beginning, by the rules alone.
    fn check(&self, config: &SoloConfig) {
        let mut chain =
            ConfirmationChain::new(network(), Leaders::solo(key().address()), usize::MAX);
        let (mut parent, mut slot, mut time_us) = (atoll_types::B256::ZERO, 0, 0);
        let mut ticks = 0;
        let (mut promised, mut ordered) = (BTreeSet::new(), BTreeSet::new());
        for record in self.records() {
            match record {
                LogRecord::Opened(opening) => {
                    assert_eq!((opening.slot, opening.parent), (slot + 1, parent));
                    assert!(opening.time_us >= time_us);
                    chain.opening(&opening).unwrap();
                    (slot, ticks, time_us) = (opening.slot, 0, opening.time_us);
                }
                LogRecord::Tick(tick, promise) => {
                    assert_eq!((tick.slot, tick.index), (slot, ticks));
                    assert!(tick.time_us >= time_us && !tick.transactions.is_empty());
                    chain.tick(&promise).unwrap();
                    for hash in tick.transactions.iter().map(Transaction::hash) {
                        assert!(ordered.insert(hash), "ordered twice");
                    }
                    let place = (promise.term, promise.slot, promise.tick);
                    if let Some(said) = self.promised.get(&place) {
                        assert_eq!(said, &promise, "a promise was changed");
                        promised.insert(place);
                    }
                    (ticks, time_us) = (ticks + 1, tick.time_us);
                }
                LogRecord::Sealed(SignedHeader { header, .. }) => {
                    assert_eq!((header.slot, header.ticks), (slot, ticks));
                    assert!(time_us < header.time_us + config.slot_us);
                    parent = header.hash();
                    if let Some(said) = self.finalised.get(&slot) {
                        assert_eq!(said, &parent, "a final slot was changed");
                    }
                }
            }
        }
        assert_eq!(promised.len(), self.promised.len(), "a promise was lost");
        assert!(self.finalised.keys().all(|last| *last <= slot), "a final slot was lost");
    }
}

#[test]
fn killed_at_any_moment_the_chain_goes_on_and_no_promise_changes() {
    let (mut crashes_inside_a_slot, mut ticks) = (0, 0);
    for seed in 0..12 {
        let mut random = Random(seed);
        let config = SoloConfig {
            slot_us: 20_000,
            tick_us: [0, 500, 2_000][random.below(3) as usize],
            tick_transactions_max: 1 + random.below(5) as u32,
            slot_ticks_max: 1 + random.below(12) as u32,
            ..config()
        };
        let mut world = World {
            random,
            disk: Vec::new(),
            promised: BTreeMap::new(),
            finalised: BTreeMap::new(),
            supplied: 0,
            now_us: 1_000_000_000,
            queue: Queue::default(),
        };
        for _ in 0..10 {
            world.live(&config);
            world.check(&config);
            crashes_inside_a_slot +=
                u32::from(!matches!(world.records().last(), Some(LogRecord::Sealed(_)) | None));
        }
        ticks += world.promised.len();
    }
    // The run is worth something only if it went where the difficulties are.
    assert!(crashes_inside_a_slot > 50 && ticks > 1_000, "{crashes_inside_a_slot} {ticks}");
}

#[test]
fn the_same_arrivals_give_the_same_chain() {
    let run = || {
        let mut solo = solo(config());
        let (mut queue, mut random) = (Queue::default(), Random(7));
        let mut outcome = Outcome::default();
        let mut now_us = 1_000_000;
        for i in 0..500 {
            now_us += random.below(2_000);
            let lane = LANES[random.below(3) as usize];
            queue.pending.push_back(pending(i, EXCHANGE, lane, now_us));
            outcome.take(solo.poll(now_us, &mut queue));
        }
        outcome.log
    };
    assert_eq!(run(), run());
}
