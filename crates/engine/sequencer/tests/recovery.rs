//! A log that is not the chain's is refused at the very record, and the error says what differs.

mod common;

use atoll_sequencer::{Leaders, LogRecord, Recovery, RecoveryError, Signatures, Tip};
use atoll_types::{B256, Decode, Encode, Lane, SlotHeader, SlotOpening, Tick, TickConfirmation};
use common::*;

const T: u64 = 5_000_000;

/// Three sealed slots with two ticks each, and a fourth left open after a tick.
fn log() -> Vec<LogRecord> {
    let mut solo = solo(config());
    let mut queue = Queue::default();
    let mut log = Vec::new();
    for slot in 0..4 {
        queue.inputs.push(transaction(slot, EXCHANGE, Lane::Rest, 8));
        for part in 0..2 {
            let now_us = T + slot * 100_000 + part * 1_000;
            queue.pending.push_back(pending(slot * 2 + part, EVM, Lane::Rest, now_us));
            let until_us = if slot == 3 && part == 1 { now_us } else { now_us + 500 };
            log.extend(drive(&mut solo, &mut queue, now_us, until_us).log);
        }
    }
    log
}

fn verify() -> Signatures {
    Signatures::Verify(Leaders::solo(key().address()))
}

fn replay(log: &[LogRecord]) -> Result<Tip, RecoveryError> {
    Recovery::replay(network(), verify(), Tip::genesis(&network()), log)
}

fn opening(log: &mut [LogRecord], nth: usize) -> &mut SlotOpening {
    let mut all = log.iter_mut().filter_map(|record| match record {
        LogRecord::Opened(opening) => Some(opening),
        _ => None,
    });
    all.nth(nth).unwrap()
}

fn tick(log: &mut [LogRecord], nth: usize) -> (&mut Tick, &mut TickConfirmation) {
    let mut all = log.iter_mut().filter_map(|record| match record {
        LogRecord::Tick(tick, confirmation) => Some((tick, confirmation)),
        _ => None,
    });
    all.nth(nth).unwrap()
}

fn header(log: &mut [LogRecord], nth: usize) -> &mut SlotHeader {
    let mut all = log.iter_mut().filter_map(|record| match record {
        LogRecord::Sealed(sealed) => Some(&mut sealed.header),
        _ => None,
    });
    all.nth(nth).unwrap()
}

/// What replaying the log says after `change`.
fn after(change: impl FnOnce(&mut Vec<LogRecord>)) -> RecoveryError {
    let mut log = log();
    change(&mut log);
    replay(&log).unwrap_err()
}

#[test]
fn every_prefix_replays_and_a_snapshot_is_as_good_as_genesis() {
    let mut log = log();
    assert_eq!(log.len(), 3 * 4 + 2);
    for cut in 0..=log.len() {
        replay(&log[..cut]).unwrap();
    }
    let tip = replay(&log).unwrap();
    assert_eq!((tip.slot, tip.open.unwrap().slot, tip.open.unwrap().ticks), (3, 4, 1));
    let second = header(&mut log, 1).clone();
    let from = Recovery::replay(network(), verify(), Tip::after(&second), &log[8..]);
    assert_eq!(from, Ok(tip));
    assert_eq!(log[1].slot(), 1);
}

#[test]
fn missing_doubled_and_exchanged_records_are_found() {
    use RecoveryError as E;
    let open = Some(1);
    assert_eq!(after(|l| drop(l.remove(0))), E::NotOpen { what: "tick", slot: 1, open: None });
    assert_eq!(after(|l| drop(l.remove(1))), E::TickIndex { slot: 1, tick: 1, expected: 0 });
    assert_eq!(after(|l| drop(l.remove(3))), E::StillOpen { slot: 2, open: 1 });
    assert_eq!(after(|l| drop(l.drain(4..8))), E::SlotNumber { slot: 3, expected: 2 });
    assert_eq!(
        after(|l| l.insert(2, l[1].clone())),
        E::TickIndex { slot: 1, tick: 0, expected: 1 }
    );
    assert_eq!(after(|l| l.insert(2, l[7].clone())), E::NotOpen { what: "header", slot: 2, open });
    assert_eq!(after(|l| l.swap(1, 5)), E::NotOpen { what: "tick", slot: 2, open });
}

#[test]
fn changed_openings_are_found() {
    use RecoveryError as E;
    let fork = after(|l| opening(l, 1).parent = B256::ZERO);
    assert_eq!(fork, E::Parent { slot: 2 });
    let back = after(|l| opening(l, 1).time_us = T);
    assert_eq!(back, E::Time { slot: 2, time_us: T, seen_us: T + 1_500 });
    assert_eq!(after(|l| opening(l, 1).term = 0), E::Term { slot: 2, term: 0, seen: 1 });
    // What is inside an opening shows in the running hash of the next promise.
    let before = E::Confirmation { slot: 2, tick: 0, field: "running hash before" };
    assert_eq!(after(|l| opening(l, 1).inputs.clear()), before);
    assert_eq!(after(|l| opening(l, 1).inputs[0].bytes[0] ^= 1), before);
    assert_eq!(after(|l| opening(l, 1).time_us += 1), before);
}

#[test]
fn changed_ticks_are_found() {
    use RecoveryError as E;
    let at = |field| E::Confirmation { slot: 1, tick: 1, field };
    let flipped = after(|l| tick(l, 1).0.transactions[0].bytes[0] ^= 1);
    assert_eq!(flipped, at("running hash after"));
    assert_eq!(after(|l| tick(l, 1).0.time_us += 1), at("time"));
    assert_eq!(after(|l| tick(l, 1).1.term = 2), at("term"));
    assert_eq!(after(|l| tick(l, 1).1.tick = 2), at("tick"));
    assert_eq!(after(|l| tick(l, 1).1.before = B256::ZERO), at("running hash before"));
    let empty = after(|l| tick(l, 1).0.transactions.clear());
    assert_eq!(empty, E::TickShape { slot: 1, tick: 1 });
    let back = after(|l| tick(l, 1).0.time_us = T);
    assert_eq!(back, E::Time { slot: 1, time_us: T, seen_us: T + 500 });
    // Time changed in tick and promise alike: the running hash commits to it.
    let both = after(|l| {
        let (tick, confirmation) = tick(l, 1);
        (tick.time_us, confirmation.time_us) = (tick.time_us + 1, tick.time_us + 1);
    });
    assert_eq!(both, at("running hash before"));
}

#[test]
fn changed_headers_are_found() {
    for (field, change) in [
        ("term", (|h| h.term += 1) as fn(&mut SlotHeader)),
        ("time", |h| h.time_us += 1),
        ("parent", |h| h.parent = B256::repeat_byte(9)),
        ("number of ticks", |h| h.ticks += 1),
        ("running hash", |h| h.running = B256::ZERO),
        ("batches", |h| h.batches = B256::ZERO),
        ("hub block", |h| h.hub_block = 1),
        ("hub cursor", |h| h.hub_cursor = 1),
    ] {
        let error = after(|l| change(header(l, 1)));
        assert_eq!(error, RecoveryError::Header { slot: 2, field });
    }
}

#[test]
fn signatures_are_checked_unless_the_log_is_trusted() {
    let forge = |l: &mut Vec<LogRecord>| tick(l, 0).1.signature.r[5] ^= 1;
    let forged = after(forge);
    assert!(matches!(
        forged,
        RecoveryError::Signer { slot: 1, tick: 0, .. } | RecoveryError::Signature { .. }
    ));
    let mut log = log();
    forge(&mut log);
    let genesis = Tip::genesis(&network());
    Recovery::replay(network(), Signatures::Trust, genesis.clone(), &log).unwrap();
    let nobody = Signatures::Verify(Leaders::schedule(vec![(2, key().address())]));
    assert!(matches!(
        Recovery::replay(network(), nobody, genesis, &self::log()).unwrap_err(),
        RecoveryError::Signer { leader: None, .. }
    ));
}

#[test]
fn a_header_is_signed_by_the_leader() {
    let error = after(|l| {
        let sealed = l.iter_mut().find_map(|record| match record {
            LogRecord::Sealed(sealed) => Some(sealed),
            _ => None,
        });
        sealed.unwrap().signature.r[5] ^= 1;
    });
    let leader = Some(key().address());
    assert_eq!(error, RecoveryError::HeaderSigner { slot: 1, leader });
}

#[test]
fn the_hubs_queue_is_read_without_a_gap() {
    for (field, change) in [
        ("hub block", (|o| o.hub_block = 0) as fn(&mut SlotOpening)),
        ("hub cursor", |o| o.hub_cursor += 1),
    ] {
        let error = after(|l| change(opening(l, 1)));
        assert_eq!(error, RecoveryError::Hub { slot: 2, field });
    }
}

#[test]
fn an_error_leaves_the_recovery_where_it_stood() {
    let good = log();
    let mut recovery = Recovery::new(network(), verify(), Tip::genesis(&network()));
    for record in &good {
        let mut bad = [record.clone()];
        match &mut bad[0] {
            LogRecord::Opened(opening) => opening.parent = B256::repeat_byte(1),
            LogRecord::Tick(_, confirmation) => confirmation.signature.s = [0xff; 32],
            LogRecord::Sealed(sealed) => sealed.header.running = B256::ZERO,
        }
        let before = recovery.tip().clone();
        recovery.push(&bad[0]).unwrap_err();
        assert_eq!(recovery.tip(), &before);
        recovery.push(record).unwrap();
    }
}

#[test]
fn records_round_trip_and_their_encoding_is_golden() {
    let mut all = Vec::new();
    for record in log() {
        let bytes = record.to_bytes();
        assert_eq!(LogRecord::from_bytes(&bytes), Ok(record));
        assert!(LogRecord::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        all.extend(bytes);
    }
    assert!(LogRecord::from_bytes(&[0]).is_err());
    assert_eq!(
        atoll_types::sha256(&[&all]).to_string(),
        "0x222c035521451146b73c3580f9fc2512b4ca7e6206b86c2fe7da4a32348ff682"
    );
}
