//! The one-validator sequencer: when slots and ticks begin and end, and each of its bounds.

mod common;

use atoll_sequencer::{
    ConfigError, Finality, Leaders, LogRecord, Recovery, Sequencer, SequencerEvent, Signatures,
    Solo, SoloConfig, Tip,
};
use atoll_types::confirmation::running_hashes;
use atoll_types::slot::TRANSACTION_BYTES_MAX;
use atoll_types::{Address, B256, EntryKind, HubEntry, Lane, RejectCode, U256};
use common::*;

/// Some moment; slots start on a grid from it.
const T: u64 = 1_700_000_000_000_000;

#[test]
fn empty_slots_are_sealed_every_hundred_milliseconds_and_ticks_are_not_made() {
    let mut solo = solo(config());
    assert_eq!(solo.next_deadline_us(), Some(0));
    let outcome = drive(&mut solo, &mut Queue::default(), T, T + 1_000_000);
    let headers = outcome.headers();
    assert_eq!(headers.len(), 10);
    assert!(outcome.ticks.is_empty());
    for (i, header) in headers.iter().enumerate() {
        assert_eq!((header.slot, header.time_us), (i as u64 + 1, T + i as u64 * 100_000));
        assert_eq!(header.parent, if i == 0 { B256::ZERO } else { headers[i - 1].hash() });
        assert_eq!(header.ticks, 0);
    }
}

#[test]
fn a_tick_closes_half_a_millisecond_after_its_first_arrival() {
    let mut solo = solo(config());
    let mut queue = Queue::default();
    solo.poll(T, &mut queue);
    queue.pending.push_back(pending(1, EXCHANGE, Lane::Rest, T + 100));
    assert_eq!(solo.poll(T + 150, &mut queue), []);
    assert_eq!(solo.next_deadline_us(), Some(T + 600));
    queue.pending.push_back(pending(2, EXCHANGE, Lane::Cancel, T + 400));
    assert_eq!(solo.poll(T + 599, &mut queue), []);
    let events = solo.poll(T + 600, &mut queue);
    let [SequencerEvent::TickClosed(closed)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((closed.tick.slot, closed.tick.index, closed.tick.time_us), (1, 0, T + 600));
    let tickets: Vec<u64> = closed.places.iter().map(|place| place.ticket).collect();
    assert_eq!(tickets, [2, 1], "the cancel goes first");
    assert_eq!(solo.next_deadline_us(), Some(T + 100_000));

    let promise = &closed.confirmation;
    assert_eq!(promise.signer(&network()), Ok(key().address()));
    let running = running_hashes(&promise.before, &closed.tick.transactions);
    assert_eq!(running, closed.places.iter().map(|p| p.running).collect::<Vec<_>>());
    assert_eq!(running[1], promise.after);
    assert_eq!(closed.confirmation_of(1).unwrap().running, promise.after);
    assert_eq!(closed.confirmation_of(2), None);
}

#[test]
fn what_arrives_in_one_slot_and_is_due_in_the_next_belongs_to_the_next() {
    let mut solo = solo(config());
    let mut queue = Queue::default();
    solo.poll(T, &mut queue);
    queue.pending.push_back(pending(1, EVM, Lane::Rest, T + 99_900));
    assert_eq!(solo.poll(T + 99_900, &mut queue), []);
    assert_eq!(solo.next_deadline_us(), Some(T + 100_000));
    let events = solo.poll(T + 100_400, &mut queue);
    let [
        SequencerEvent::SlotSealed(header),
        SequencerEvent::SlotOpened(opening),
        SequencerEvent::TickClosed(closed),
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((header.header.ticks, opening.slot, opening.time_us), (0, 2, T + 100_000));
    assert_eq!((closed.tick.slot, closed.tick.index), (2, 0));
}

#[test]
fn a_full_tick_closes_at_once_and_the_rest_goes_on_to_the_next() {
    let mut solo = solo(SoloConfig { tick_transactions_max: 3, ..config() });
    let mut queue = Queue::default();
    solo.poll(T, &mut queue);
    queue.pending.extend((0..7).map(|i| pending(i, EVM, Lane::Rest, T + 10)));
    let outcome = drive(&mut solo, &mut queue, T + 10, T + 20);
    assert_eq!(outcome.tickets(), [vec![0, 1, 2], vec![3, 4, 5]]);
    let rest = drive(&mut solo, &mut queue, T + 20, T + 510);
    assert_eq!(rest.tickets(), [vec![6]]);
}

#[test]
fn bytes_fill_a_tick_too_and_a_lavish_supply_is_spread_over_ticks() {
    let half = TRANSACTION_BYTES_MAX as usize / 2;
    let config = SoloConfig { tick_bytes_max: TRANSACTION_BYTES_MAX, ..config() };
    let mut solo = solo(config);
    let mut queue = Queue { lavish: true, ..Queue::default() };
    solo.poll(T, &mut queue);
    queue.pending.extend((0..3).map(|i| sized(i, EVM, Lane::Rest, T, half)));
    let outcome = drive(&mut solo, &mut queue, T, T + 500);
    assert_eq!(outcome.tickets(), [vec![0, 1], vec![2]]);
}

#[test]
fn a_slot_holds_so_many_ticks_and_then_transactions_wait() {
    let mut solo = solo(SoloConfig { slot_ticks_max: 2, tick_us: 0, ..config() });
    let mut queue = Queue::default();
    solo.poll(T, &mut queue);
    let mut outcome = Outcome::default();
    for i in 0..5 {
        queue.pending.push_back(pending(i, EVM, Lane::Rest, T + i));
        outcome.take(solo.poll(T + i, &mut queue));
    }
    assert_eq!(outcome.tickets(), [[0], [1]]);
    assert_eq!((queue.pending.len(), solo.next_deadline_us()), (3, Some(T + 100_000)));
    outcome.take(solo.poll(T + 100_000, &mut queue));
    assert_eq!(outcome.tickets(), [vec![0], vec![1], vec![2, 3, 4]]);
}

#[test]
fn inputs_open_a_slot_within_their_bounds() {
    let mut solo = solo(SoloConfig { inputs_max: 2, ..config() });
    let mut queue = Queue::default();
    let input = |i, len| transaction(i, EXCHANGE, Lane::Rest, len);
    let too_large = TRANSACTION_BYTES_MAX as usize + 1;
    queue.inputs = vec![input(0, 8), input(1, too_large), input(2, 8), input(3, 8)];
    let mut outcome = Outcome::default();
    outcome.take(solo.poll(T, &mut queue));
    let LogRecord::Opened(opening) = &outcome.log[0] else { panic!() };
    assert_eq!(opening.inputs, [input(0, 8), input(2, 8)]);
    assert_eq!(outcome.refused.len(), 2);
    assert!(outcome.refused.iter().all(|(t, r)| t.is_none() && r.code == RejectCode::Oversized));
}

#[test]
fn an_oversized_transaction_never_reaches_the_log() {
    let mut solo = solo(SoloConfig { tick_us: 0, ..config() });
    let mut queue = Queue { lavish: true, ..Queue::default() };
    queue.pending.push_back(sized(7, EVM, Lane::Rest, T, TRANSACTION_BYTES_MAX as usize + 1));
    queue.pending.push_back(pending(8, EVM, Lane::Rest, T));
    let outcome = drive(&mut solo, &mut queue, T, T);
    assert_eq!(outcome.tickets(), [[8]]);
    assert_eq!(outcome.refused[0].0, Some(7));
    assert_eq!(outcome.refused[0].1.code, RejectCode::Oversized);
}

#[test]
fn a_slot_is_final_when_it_is_durable_and_the_disk_holds_the_chain_back() {
    let mut solo = solo(SoloConfig { unfinalised_slots_max: 3, ..config() });
    let mut queue = Queue::default();
    let outcome = drive(&mut solo, &mut queue, T, T + 2_000_000);
    let headers = outcome.headers();
    assert_eq!((headers.len(), solo.next_deadline_us()), (3, None));
    assert!(solo.is_stalled() && outcome.finalised.is_empty());
    queue.pending.push_back(pending(1, EVM, Lane::Rest, T + 2_000_000));
    assert_eq!(solo.poll(T + 2_000_000, &mut queue), []);
    assert_eq!(queue.pending.len(), 1, "left where the mempool's bounds are");

    solo.on_durable(2);
    assert_eq!(solo.next_deadline_us(), Some(T + 2_000_000));
    let outcome = drive(&mut solo, &mut queue, T + 2_000_001, T + 2_000_900);
    let finalised = &outcome.finalised[..];
    assert_eq!((finalised.len(), finalised[0].slot), (1, 2));
    assert_eq!(finalised[0].header_hash, headers[1].hash());
    assert_eq!(finalised[0].finality, Finality::Durable);
    assert_eq!(outcome.tickets(), [[1]]);
    // A report about what was never sealed, or long ago, says nothing.
    solo.on_durable(2);
    assert_eq!(drive(&mut solo, &mut queue, T + 2_001_000, T + 2_001_000).finalised, []);
}

#[test]
fn a_clock_that_jumps_ahead_leaves_no_slots_to_fill_in() {
    let mut solo = solo(config());
    let mut queue = Queue::default();
    solo.poll(T, &mut queue);
    let mut outcome = Outcome::default();
    outcome.take(solo.poll(T + 3_600_000_050_123, &mut queue));
    assert_eq!(outcome.headers().len(), 1);
    let LogRecord::Opened(opening) = &outcome.log[1] else { panic!() };
    assert_eq!((opening.slot, opening.time_us), (2, T + 3_600_000_000_000));
}

#[test]
fn a_clock_that_is_set_back_turns_no_time_back_and_stops_nothing() {
    let mut solo = solo(config());
    let mut queue = Queue::default();
    let mut outcome = drive(&mut solo, &mut queue, T, T + 250_000);
    let back = T - 3_600_000_000;
    // Pulled before the clock is set back, so that its age is counted across the step.
    queue.pending.push_back(pending(1, EVM, Lane::Rest, T + 250_000));
    assert_eq!(solo.poll(T + 250_000, &mut queue), []);
    outcome.take(solo.poll(back, &mut queue));
    let later = drive(&mut solo, &mut queue, back, back + 2_000_000);
    // Half speed: ten slots in two seconds, and the tick on the caller's clock.
    assert!((9..=11).contains(&later.headers().len()), "{}", later.headers().len());
    assert_eq!(later.tickets(), [[1]]);
    outcome.log.extend(later.log);
    let signatures = Signatures::Verify(Leaders::solo(key().address()));
    let genesis = Tip::genesis(&network());
    let tip = Recovery::replay(network(), signatures, genesis, &outcome.log).unwrap();
    assert_eq!(&tip, solo.tip());
}

#[test]
fn a_new_term_seals_the_open_slot_of_the_old_one_and_a_lower_one_is_refused() {
    let mut first = solo(config());
    let mut queue = Queue::default();
    first.poll(T, &mut queue);
    let other = SoloConfig { term: 2, ..config() };
    let mut second = Solo::new(other, key(), first.tip().clone()).unwrap();
    let outcome = drive(&mut second, &mut queue, T + 1_000, T + 150_000);
    assert_eq!(outcome.headers()[0].term, 1);
    let LogRecord::Opened(opening) = &outcome.log[1] else { panic!() };
    assert_eq!((opening.slot, opening.term, opening.time_us), (2, 2, T + 100_000));
    let refused = Solo::new(config(), key(), second.tip().clone()).unwrap_err();
    assert_eq!(refused, ConfigError::Term { term: 1, seen: 2 });
}

#[test]
fn settings_out_of_range_are_refused() {
    for (what, bad) in [
        ("term", SoloConfig { term: 0, ..config() }),
        ("slot_us", SoloConfig { slot_us: 999, ..config() }),
        ("tick_us", SoloConfig { tick_us: 100_001, ..config() }),
        ("tick_transactions_max", SoloConfig { tick_transactions_max: 65_537, ..config() }),
        ("tick_bytes_max", SoloConfig { tick_bytes_max: 1, ..config() }),
        ("slot_ticks_max", SoloConfig { slot_ticks_max: 0, ..config() }),
        ("inputs_max", SoloConfig { inputs_max: 65_537, ..config() }),
        ("inputs_bytes_max", SoloConfig { inputs_bytes_max: 0, ..config() }),
        ("unfinalised_slots_max", SoloConfig { unfinalised_slots_max: 0, ..config() }),
    ] {
        match Solo::new(bad, key(), Tip::genesis(&network())) {
            Err(ConfigError::Range { what: found, .. }) => assert_eq!(found, what),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn a_slot_takes_the_hubs_queue_in_order_and_within_its_bounds() {
    let entry = |index: u64, bytes: usize| HubEntry {
        index,
        kind: EntryKind::Forced,
        environment: EVM,
        from: Address::ZERO,
        to: Address::ZERO,
        token: Address::ZERO,
        amount: U256::ZERO,
        data: vec![1; bytes],
        time_s: 5,
    };
    let mut solo = solo(config());
    // 32 KiB each: eight fill a slot, the rest waits; then come more small ones than a slot takes.
    let hub = (0..10).map(|index| entry(index, 32 * 1024)).chain((10..100).map(|i| entry(i, 1)));
    let mut queue = Queue { hub: hub.collect(), ..Queue::default() };
    let outcome = drive(&mut solo, &mut queue, T, T + 350_000);
    let taken: Vec<(u64, usize)> = outcome
        .log
        .iter()
        .filter_map(|record| match record {
            LogRecord::Opened(opening) => Some((opening.hub_cursor, opening.entries.len())),
            _ => None,
        })
        .collect();
    assert_eq!(taken, [(0, 8), (8, 64), (72, 28), (100, 0)]);
    let cursors: Vec<u64> = outcome.headers().iter().map(|header| header.hub_cursor).collect();
    assert_eq!(cursors, [8, 72, 100]);
    // A queue with a hole is not read past it.
    queue.hub = vec![entry(101, 1)];
    let outcome = drive(&mut solo, &mut queue, T + 350_001, T + 500_000);
    assert!(outcome.headers().iter().all(|header| header.hub_cursor == 100));
}
