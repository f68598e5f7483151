//! The client's side: one chain of promises, and proof against a leader that breaks it.

mod common;

use atoll_sequencer::{
    ChainError, ClosedTick, ConfirmationChain, Contradiction, Leaders, Link, LogRecord, Sequencer,
    SoloConfig, evidence, includes,
};
use atoll_types::{B256, Lane, SlotOpening, TickConfirmation};
use common::*;

const T: u64 = 9_000_000;

/// A run over some slots: openings and closed ticks in order.
fn run(salt: u64) -> (Vec<SlotOpening>, Vec<ClosedTick>) {
    let mut solo = solo(SoloConfig { tick_us: 0, ..config() });
    let mut queue = Queue::default();
    let mut outcome = Outcome::default();
    for i in 0..12 {
        for j in 0..3 {
            queue.pending.push_back(pending(salt + i * 3 + j, EVM, Lane::Rest, T));
        }
        outcome.take(solo.poll(T + i * 30_000, &mut queue));
    }
    let opened = |record: LogRecord| match record {
        LogRecord::Opened(opening) => Some(opening),
        _ => None,
    };
    (outcome.log.into_iter().filter_map(opened).collect(), outcome.ticks)
}

fn signed(tick: &TickConfirmation) -> TickConfirmation {
    let place = (tick.term, tick.slot, tick.tick);
    let (before, after) = (&tick.before, &tick.after);
    let digest = TickConfirmation::digest(&network(), place, tick.time_us, before, after);
    TickConfirmation { signature: key().sign(&digest), ..tick.clone() }
}

fn chain() -> ConfirmationChain {
    ConfirmationChain::new(network(), Leaders::solo(key().address()), 64)
}

#[test]
fn with_the_openings_every_promise_is_tied_to_the_one_before() {
    let (openings, ticks) = run(0);
    let mut chain = chain();
    for tick in &ticks {
        let promise = &tick.confirmation;
        if promise.tick == 0 {
            let opening = openings.iter().find(|o| o.slot == promise.slot).unwrap();
            chain.opening(opening).unwrap();
        }
        let link = chain.tick(promise).unwrap();
        assert_eq!(link == Link::Start, promise.slot == 1 && promise.tick == 0);
        assert_eq!(chain.tick(promise), Ok(Link::Again));
    }
    assert_eq!(chain.last(), Some(&ticks.last().unwrap().confirmation));
}

#[test]
fn without_openings_each_slot_starts_anew_and_gaps_show() {
    let (_, ticks) = run(0);
    let mut chain = chain();
    for tick in &ticks {
        let first = tick.confirmation.tick == 0;
        let link = chain.tick(&tick.confirmation).unwrap();
        assert_eq!(link, if first { Link::Start } else { Link::Proven });
    }
    let mut chain = self::chain();
    chain.tick(&ticks[0].confirmation).unwrap();
    let gap = chain.tick(&ticks[2].confirmation).unwrap_err();
    assert_eq!(gap, ChainError::Gap { slot: 1, got: 2, expected: 1 });
    chain.tick(&ticks[1].confirmation).unwrap();
}

#[test]
fn a_false_opening_shows_in_the_next_promise() {
    let (openings, ticks) = run(0);
    let mut chain = chain();
    let of_first = ticks.iter().take_while(|t| t.confirmation.slot == 1).count();
    for tick in &ticks[..of_first] {
        chain.tick(&tick.confirmation).unwrap();
    }
    let mut honest = chain.clone();
    let mut skipping = chain.clone();
    chain.opening(&SlotOpening { parent: B256::ZERO, ..openings[1].clone() }).unwrap();
    let unlinked = chain.tick(&ticks[of_first].confirmation).unwrap_err();
    assert_eq!(unlinked, ChainError::Unlinked { slot: 2, tick: 0 });
    chain.skip();
    assert_eq!(chain.tick(&ticks[of_first].confirmation), Ok(Link::Start));
    honest.opening(&openings[1]).unwrap();
    assert_eq!(honest.tick(&ticks[of_first].confirmation), Ok(Link::Proven));
    let gap = skipping.opening(&openings[2]).unwrap_err();
    assert_eq!(gap, ChainError::Gap { slot: 3, got: 3, expected: 2 });
    let early = SlotOpening { time_us: T, ..openings[1].clone() };
    assert_eq!(skipping.opening(&early), Err(ChainError::Opening { slot: 2 }));
}

#[test]
fn another_content_at_the_same_place_convicts_the_leader() {
    let (ours, theirs) = (run(0).1, run(1_000).1);
    let (a, b) = (&ours[2].confirmation, &theirs[2].confirmation);
    let leader = key().address();
    let found = evidence(a, b, &network(), &leader).unwrap();
    assert_eq!(found.contradiction, Contradiction::SamePlace);
    assert!(found.convicts(&network(), &leader));
    assert!(!found.convicts(&network(), &atoll_types::Address::ZERO));
    assert_eq!(evidence(a, a, &network(), &leader), None);
    // A promise that somebody else made up convicts nobody.
    let made_up = TickConfirmation { after: B256::ZERO, ..a.clone() };
    assert_eq!(evidence(a, &made_up, &network(), &leader), None);

    let mut chain = chain();
    for tick in &ours {
        chain.tick(&tick.confirmation).unwrap();
    }
    assert_eq!(chain.tick(b), Err(ChainError::Fork(Box::new(found))));
}

#[test]
fn neighbours_that_do_not_follow_convict_the_leader() {
    let ticks = run(0).1;
    let (a, b) = (&ticks[0].confirmation, &ticks[1].confirmation);
    let leader = key().address();
    assert_eq!(evidence(a, b, &network(), &leader), None);
    let broken = signed(&TickConfirmation { before: B256::repeat_byte(1), ..b.clone() });
    let found = evidence(&broken, a, &network(), &leader).unwrap();
    assert_eq!(found.contradiction, Contradiction::BrokenLink);
    assert_eq!((&found.first, &found.second), (a, &broken));
    assert!(found.convicts(&network(), &leader));
    let mut chain = chain();
    chain.tick(a).unwrap();
    assert_eq!(chain.tick(&broken), Err(ChainError::Fork(Box::new(found))));
    assert_eq!(chain.tick(b), Ok(Link::Proven));
}

#[test]
fn strangers_and_old_promises_are_refused() {
    let ticks = run(0).1;
    let leaders = Leaders::solo(atoll_types::Address::ZERO);
    let mut strange = ConfirmationChain::new(network(), leaders, 1);
    assert!(matches!(strange.tick(&ticks[0].confirmation), Err(ChainError::Signer { .. })));
    let mut short = ConfirmationChain::new(network(), Leaders::solo(key().address()), 1);
    for tick in &ticks[..3] {
        short.tick(&tick.confirmation).unwrap();
    }
    let stale = short.tick(&ticks[0].confirmation).unwrap_err();
    assert_eq!(stale, ChainError::Stale { slot: 1, tick: 0 });
}

#[test]
fn a_transactions_place_in_its_tick_can_be_proven() {
    let closed = &run(0).1[1];
    let hashes: Vec<B256> = closed.places.iter().map(|place| place.hash).collect();
    for index in 0..3usize {
        let promise = closed.confirmation_of(index as u32).unwrap();
        let previous = match index {
            0 => promise.tick.before,
            _ => closed.places[index - 1].running,
        };
        let following = &hashes[index + 1..];
        assert!(includes(&promise, &previous, &hashes[index], following));
        assert!(!includes(&promise, &previous, &B256::ZERO, following));
        assert!(!includes(&promise, &B256::ZERO, &hashes[index], following));
        assert!(!includes(&promise, &previous, &hashes[index], &hashes[..0]) || index == 2);
    }
}
