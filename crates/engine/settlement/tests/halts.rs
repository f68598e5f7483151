//! What makes the engine stop, what it says, and how it goes on.

mod common;

use atoll_settlement::*;
use atoll_types::B256;
use common::*;
use std::rc::Rc;

/// An engine before an honest hub that answers at once and mines one block per turn.
struct Fixture {
    hub: Hub,
    engine: Engine<TestWallet>,
    random: Random,
    now_ms: u64,
    disk: Option<Vec<u8>>,
    halts: Vec<Halt>,
    sent: Vec<Tx>,
    /// What the node gives as content; by default [`content`].
    content: fn(Purpose) -> Prepared,
    /// Commits revert.
    revert: bool,
}

impl Fixture {
    fn new(config: Config) -> Self {
        let now_ms = 1_700_000_000_000;
        let hub = Hub::new(now_ms / 1_000);
        let cursor = Cursor { block: hub.head().at, ..Cursor::default() };
        let engine = Engine::new(config, TestWallet, None, cursor).unwrap();
        let random = Random(1);
        let (disk, halts, sent) = (None, Vec::new(), Vec::new());
        Self { hub, engine, random, now_ms, disk, halts, sent, content, revert: false }
    }

    fn ready(&mut self, last: u64) {
        self.engine.on_event(self.now_ms, Event::Ready { last });
    }

    fn turn(&mut self) {
        self.now_ms += 2_000;
        self.hub.mine(&mut self.random, self.now_ms / 1_000, 0, false);
        // Twice: what an observation lets the engine do is asked for by the poll after it.
        for _ in 0..4 {
            for action in self.engine.poll(self.now_ms) {
                let event = match action {
                    Action::Persist(bytes) => {
                        self.disk = Some(bytes);
                        continue;
                    }
                    Action::Halted(halt) => {
                        self.halts.push(halt);
                        continue;
                    }
                    Action::Observe { id, blocks, transactions } => {
                        let observation = self.hub.observe(&self.hub.chain, &blocks, &transactions);
                        Event::Observed { id, observation: Box::new(observation) }
                    }
                    Action::Prepare { id, purpose } => {
                        Event::Prepared { id, prepared: (self.content)(purpose) }
                    }
                    Action::Broadcast { id, transaction, .. } => {
                        let mut tx = decode(&transaction);
                        self.sent.push(tx.clone());
                        if self.revert && matches!(carried(&tx), Some(Purpose::Commit(_))) {
                            // A commitment that the model refuses: of a number not due.
                            tx.request.call.data[8] = 99;
                        }
                        Event::Sent { id, sent: self.hub.send(tx) }
                    }
                    Action::Logs { id, from, to } => Event::Logs {
                        id,
                        last_hash: self.hub.chain[to as usize].at.hash,
                        entries: Hub::logs(&self.hub.chain, from, to),
                    },
                };
                self.engine.on_event(self.now_ms, event);
            }
        }
    }

    fn turns(&mut self, count: usize) {
        for _ in 0..count {
            self.turn();
        }
    }

    fn edit_head(&mut self, edit: impl FnOnce(&mut Block)) {
        edit(Rc::make_mut(&mut self.hub.chain).last_mut().unwrap());
    }

    fn commits_sent(&self) -> Vec<u64> {
        let numbers = self.sent.iter().filter_map(|tx| match carried(tx) {
            Some(Purpose::Commit(number)) => Some(number),
            _ => None,
        });
        numbers.collect()
    }

    fn status(&self) -> Status {
        self.engine.status()
    }
}

fn config() -> Config {
    Config { observe_interval_ms: 1_000, reverts_max: 2, bump_ms: 20_000, ..Config::default() }
}

#[test]
fn without_trouble_commitments_are_anchored_and_settled_when_their_window_is_over() {
    let mut fixture = Fixture::new(config());
    fixture.ready(3);
    fixture.turns(10);
    let status = fixture.status();
    assert_eq!((status.anchored_number, status.anchored_slot), (3, 30));
    assert_eq!(status.settled_number, 0, "the window is open");
    fixture.turns(60);
    let status = fixture.status();
    assert_eq!((status.settled_number, status.settled_slot), (3, 30));
    assert_eq!((status.anchored_final_number, status.unfinal), (3, 0));
    assert_eq!(fixture.halts, []);
    assert!(fixture.commits_sent().len() == 3 && status.waiting.is_empty());
}

#[test]
fn a_commitment_of_somebody_else_stops_posting() {
    let mut fixture = Fixture::new(config());
    fixture.ready(1);
    fixture.turns(5);
    let theirs = B256::repeat_byte(0xee);
    fixture.edit_head(|head| (head.anchor.last_number, head.anchor.last_hash) = (2, theirs));
    fixture.turns(3);
    assert_eq!(fixture.halts, [Halt::Foreign { number: 2, found: theirs, ours: None }]);
    fixture.ready(3);
    fixture.turns(10);
    assert_eq!(fixture.commits_sent(), [1]);
    assert_eq!(fixture.status().posting_halted.as_ref(), fixture.halts.first());
    // Resumed with another commitment 2 of our own, it stops again.
    fixture.engine.resume();
    fixture.turns(20);
    let ours = Some(commitment(2));
    assert_eq!(fixture.halts[1..], [Halt::Foreign { number: 2, found: theirs, ours }]);
    assert_eq!(fixture.commits_sent(), [1]);
}

#[test]
fn without_a_checkpoint_what_is_anchored_is_recognised_and_not_posted_again() {
    let mut fixture = Fixture::new(config());
    fixture.ready(3);
    fixture.turns(10);
    let cursor = Cursor { block: fixture.hub.chain[0].at, ..Cursor::default() };
    fixture.engine = Engine::new(config(), TestWallet, None, cursor).unwrap();
    fixture.turns(3);
    fixture.ready(4);
    fixture.turns(10);
    assert_eq!(fixture.commits_sent(), [1, 2, 3, 4]);
    assert_eq!(fixture.halts, []);
}

#[test]
fn a_rejection_stops_posting_until_a_person_resumes() {
    let mut fixture = Fixture::new(config());
    fixture.ready(3);
    fixture.turns(10);
    fixture.edit_head(|head| {
        head.anchor.rejections = 1;
        (head.anchor.last_number, head.anchor.last_slot) = (1, 10);
        head.anchor.last_hash = commitment(1);
    });
    fixture.turns(20);
    assert_eq!(fixture.halts, [Halt::Rejected { last_number: 1, last_slot: 10 }]);
    assert_eq!(fixture.commits_sent(), [1, 2, 3]);
    fixture.engine.resume();
    fixture.turns(20);
    assert_eq!(fixture.commits_sent(), [1, 2, 3, 2, 3]);
    assert_eq!((fixture.status().anchored_number, fixture.halts.len()), (3, 1));
}

#[test]
fn the_escape_hatch_stops_posting() {
    let mut fixture = Fixture::new(config());
    fixture.ready(1);
    fixture.turns(5);
    fixture.edit_head(|head| head.anchor.escaped = true);
    fixture.ready(2);
    fixture.turns(5);
    assert_eq!(fixture.halts, [Halt::Escaped { last_number: 1 }]);
    assert_eq!(fixture.commits_sent(), [1]);
}

#[test]
fn a_commitment_that_reverts_is_tried_again_when_that_is_final_and_not_for_ever() {
    let mut fixture = Fixture::new(config());
    fixture.revert = true;
    fixture.ready(1);
    fixture.turns(8);
    assert_eq!(fixture.commits_sent(), [1], "its nonce is used up, and that is not final");
    fixture.turns(60);
    assert_eq!(fixture.commits_sent(), [1, 1]);
    let nonces: Vec<u64> = fixture.sent.iter().map(|tx| tx.request.nonce).collect();
    assert_eq!(nonces, [0, 1]);
    assert_eq!(fixture.halts, [Halt::Reverted { purpose: Purpose::Commit(1), times: 2 }]);
    fixture.revert = false;
    fixture.engine.resume();
    fixture.turns(5);
    assert_eq!(fixture.status().anchored_number, 1);
}

#[test]
fn on_a_hub_where_everything_is_final_at_once_a_revert_is_noticed_all_the_same() {
    let mut fixture = Fixture::new(config());
    (fixture.revert, fixture.hub.finality) = (true, 0);
    fixture.ready(1);
    fixture.turns(40);
    assert_eq!(fixture.commits_sent(), [1, 1]);
    assert_eq!(fixture.halts, [Halt::Reverted { purpose: Purpose::Commit(1), times: 2 }]);
}

#[test]
fn other_content_for_what_was_sent_stops_posting() {
    let mut fixture = Fixture::new(config());
    fixture.ready(1);
    fixture.turns(1);
    fixture.hub.base_fee = 50_000_000;
    assert_eq!(fixture.commits_sent(), [1]);
    let cursor = Cursor { block: fixture.hub.chain[0].at, ..Cursor::default() };
    let disk = fixture.disk.clone();
    fixture.engine = Engine::new(config(), TestWallet, disk.as_deref(), cursor).unwrap();
    fixture.content = |purpose| {
        let mut prepared = content(purpose);
        prepared.call.gas_limit += 1;
        prepared
    };
    fixture.ready(1);
    fixture.turns(3);
    assert_eq!(fixture.halts, [Halt::ContentChanged { purpose: Purpose::Commit(1) }]);
    assert_eq!(fixture.commits_sent(), [1]);
    // After a person has decided: the waiting one is withdrawn by a transfer of nothing.
    fixture.engine.resume();
    fixture.turns(3);
    let last = fixture.sent.last().unwrap();
    assert_eq!((last.request.nonce, carried(last)), (0, None));
    fixture.turns(40);
    assert_eq!(fixture.commits_sent(), [1, 1]);
    assert_eq!(fixture.status().anchored_number, 1);
}

#[test]
fn a_transaction_that_waits_pays_more_up_to_the_cap_and_gets_in_when_fees_fall() {
    let mut fixture = Fixture::new(Config { max_fee_cap_wei: 10_000, tip_min_wei: 1, ..config() });
    fixture.ready(1);
    fixture.turn();
    fixture.hub.base_fee = 50_000;
    fixture.hub.pool.clear();
    fixture.sent.clear();
    fixture.engine.on_event(fixture.now_ms, Event::Ready { last: 3 });
    fixture.turns(200);
    let fees: Vec<u128> = fixture.sent.iter().map(|tx| tx.request.fees.max_fee_wei).collect();
    assert!(fees.windows(2).all(|pair| pair[0] <= pair[1]) && fees.last() <= Some(&10_000));
    let attempts: std::collections::BTreeSet<u128> = fees.iter().copied().collect();
    assert!(fees.len() > attempts.len(), "at the cap it is sent as it is, in case it was lost");
    fixture.hub.base_fee = 100;
    fixture.turns(10);
    assert_eq!(fixture.status().anchored_number, 3);
}

#[test]
fn a_queue_whose_hash_is_not_that_of_its_entries_stops_reading() {
    let mut fixture = Fixture::new(config());
    fixture.turns(3);
    fixture.edit_head(|head| head.queue.hash = B256::repeat_byte(1));
    fixture.turns(40);
    assert!(matches!(fixture.halts[..], [Halt::Queue { count: 0, .. }]), "{:?}", fixture.halts);
    assert_eq!(fixture.engine.next_entries(10, 1_000), []);
    // Reading has stopped for good, posting as well: the hub cannot be believed.
    fixture.ready(1);
    fixture.turns(5);
    assert_eq!(fixture.commits_sent(), Vec::<u64>::new());
}

#[test]
fn an_old_head_is_nothing_to_post_on() {
    let mut fixture = Fixture::new(Config { head_age_ms_max: 60_000, ..config() });
    fixture.turns(2);
    // The node stands still; our clock does not.
    let chain = fixture.hub.chain.clone();
    fixture.now_ms += 100_000;
    fixture.ready(1);
    for _ in 0..5 {
        fixture.now_ms += 2_000;
        for action in fixture.engine.poll(fixture.now_ms) {
            let Action::Observe { id, blocks, .. } = action else { panic!("{action:?}") };
            let observation = Box::new(fixture.hub.observe(&chain, &blocks, &[]));
            fixture.engine.on_event(fixture.now_ms, Event::Observed { id, observation });
        }
    }
    fixture.turns(3);
    assert_eq!(fixture.commits_sent(), [1], "the node has caught up");
}

#[test]
fn a_damaged_checkpoint_and_bad_settings_are_refused() {
    let start = |config, disk| Engine::new(config, TestWallet, disk, Cursor::default()).map(|_| ());
    assert_eq!(start(config(), None), Ok(()));
    assert!(matches!(start(config(), Some(&[9][..])), Err(StartError::Checkpoint(_))));
    let error = start(Config { in_flight_max: 0, ..config() }, None).unwrap_err();
    assert!(error.to_string().contains("in_flight_max"), "{error}");
}
