//! Every bound of admission, one by one.

use atoll_mempool::{Limits, LimitsError, Mempool, PendingTransaction, Queueing, RateLimit};
use atoll_types::{Address, EnvironmentId, Lane, RejectCode, Transaction};

const EXCHANGE: EnvironmentId = EnvironmentId(1);
const EVM: EnvironmentId = EnvironmentId(2);

fn limits() -> Limits {
    Limits {
        transactions_max: 20,
        bytes_max: 2_000,
        transaction_bytes_max: 200,
        per_sender_max: 100,
        per_environment_max: 20,
        cancel_reserve_percent: 0,
        seen_max: 20,
        senders_max: 16,
        rate: None,
    }
}

fn pool(limits: Limits) -> Mempool {
    let environments = [(EXCHANGE, Queueing::Lanes), (EVM, Queueing::Arrival)];
    Mempool::new(limits, environments).unwrap()
}

fn pending(number: u64, environment: EnvironmentId, lane: Lane, len: usize) -> PendingTransaction {
    let mut bytes = vec![0; len.max(8)];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    let transaction = Transaction { environment, lane, bytes };
    PendingTransaction {
        hash: transaction.hash(),
        transaction,
        sender: Address::repeat_byte((number % 7) as u8),
        received_us: number,
        ticket: number,
    }
}

fn code(result: Result<(), atoll_types::Reject>) -> Option<RejectCode> {
    result.err().map(|reject| reject.code)
}

fn tickets(taken: &[PendingTransaction]) -> Vec<u64> {
    taken.iter().map(|pending| pending.ticket).collect()
}

#[test]
fn unknown_oversized_and_known_transactions_are_refused() {
    let mut pool = pool(limits());
    let stranger = pending(0, EnvironmentId(3), Lane::Rest, 8);
    assert_eq!(code(pool.admit(stranger)), Some(RejectCode::UnknownEnvironment));
    assert_eq!(code(pool.admit(pending(1, EVM, Lane::Rest, 201))), Some(RejectCode::Oversized));
    assert_eq!(code(pool.admit(pending(2, EVM, Lane::Rest, 200))), None);
    assert_eq!(code(pool.admit(pending(2, EVM, Lane::Rest, 200))), Some(RejectCode::AlreadyKnown));
    // Ordered, it is still known, until it is forgotten on purpose.
    let taken = pool.drain(10, 1_000);
    assert_eq!(tickets(&taken), [2]);
    assert_eq!(code(pool.admit(taken[0].clone())), Some(RejectCode::AlreadyKnown));
    pool.forget(&taken[0].hash);
    assert_eq!(code(pool.admit(taken[0].clone())), None);
}

#[test]
fn the_pool_is_bounded_in_transactions_bytes_and_per_environment() {
    let mut full = pool(limits());
    for i in 0..20 {
        assert_eq!(code(full.admit(pending(i, EVM, Lane::Rest, 8))), None);
    }
    assert_eq!(code(full.admit(pending(20, EXCHANGE, Lane::Rest, 8))), Some(RejectCode::Busy));

    let mut heavy = pool(limits());
    for i in 0..10 {
        assert_eq!(code(heavy.admit(pending(i, EVM, Lane::Rest, 200))), None);
    }
    assert_eq!(code(heavy.admit(pending(10, EVM, Lane::Rest, 8))), Some(RejectCode::Busy));
    assert_eq!(heavy.fill().bytes, 2_000);
    assert_eq!(heavy.drain(1, 200).len(), 1);
    assert_eq!(code(heavy.admit(pending(10, EVM, Lane::Rest, 8))), None);

    let mut narrow = pool(Limits { per_environment_max: 5, ..limits() });
    for i in 0..5 {
        assert_eq!(code(narrow.admit(pending(i, EVM, Lane::Rest, 8))), None);
    }
    assert_eq!(code(narrow.admit(pending(5, EVM, Lane::Rest, 8))), Some(RejectCode::Busy));
    assert_eq!(code(narrow.admit(pending(6, EXCHANGE, Lane::Rest, 8))), None);
}

#[test]
fn a_part_of_a_full_pool_is_left_to_cancels() {
    let limits = Limits {
        transactions_max: 100,
        per_environment_max: 100,
        seen_max: 100,
        cancel_reserve_percent: 10,
        ..limits()
    };
    let mut pool = pool(limits);
    for i in 0..90 {
        assert_eq!(code(pool.admit(pending(i, EXCHANGE, Lane::Rest, 8))), None);
    }
    let late = |i, lane| pending(i, EXCHANGE, lane, 8);
    assert_eq!(code(pool.admit(late(90, Lane::Rest))), Some(RejectCode::Busy));
    assert_eq!(code(pool.admit(late(90, Lane::PostOnly))), Some(RejectCode::Busy));
    for i in 90..100 {
        assert_eq!(code(pool.admit(late(i, Lane::Cancel))), None);
    }
    assert_eq!(code(pool.admit(late(100, Lane::Cancel))), Some(RejectCode::Busy));
}

#[test]
fn a_sender_is_bounded_in_waiting_transactions_and_in_rate() {
    let mut crowded = pool(Limits { per_sender_max: 2, ..limits() });
    let of = |number: u64, sender: u8| PendingTransaction {
        sender: Address::repeat_byte(sender),
        received_us: 0,
        ..pending(number, EVM, Lane::Rest, 8)
    };
    assert_eq!(code(crowded.admit(of(0, 1))), None);
    assert_eq!(code(crowded.admit(of(1, 1))), None);
    assert_eq!(code(crowded.admit(of(2, 1))), Some(RejectCode::RateLimited));
    assert_eq!(code(crowded.admit(of(3, 2))), None);
    crowded.drain(1, 1_000);
    assert_eq!(code(crowded.admit(of(2, 1))), None);

    let rate = RateLimit { units_per_s: 1_000, burst_units: 2, lane_units: [1, 2, 2] };
    let mut rated = pool(Limits { rate: Some(rate), ..limits() });
    assert_eq!(code(rated.admit(of(0, 1))), None);
    let refused = rated.admit(of(1, 1)).unwrap_err();
    assert_eq!(refused.code, RejectCode::RateLimited);
    assert!(refused.message.ends_with("in 2 ms"), "{}", refused.message);
    assert_eq!(code(rated.admit(PendingTransaction { received_us: 2_000, ..of(1, 1) })), None);
}

#[test]
fn a_shut_gate_answers_busy_and_still_drains() {
    let mut pool = pool(limits());
    assert_eq!(code(pool.admit(pending(0, EXCHANGE, Lane::Rest, 8))), None);
    assert!(pool.set_admitting(EXCHANGE, false));
    assert!(!pool.set_admitting(EnvironmentId(9), false));
    assert_eq!(code(pool.admit(pending(1, EXCHANGE, Lane::Cancel, 8))), Some(RejectCode::Busy));
    assert_eq!(code(pool.admit(pending(2, EVM, Lane::Rest, 8))), None);
    assert_eq!(tickets(&pool.drain(10, 1_000)), [0, 2]);
    pool.set_admitting(EXCHANGE, true);
    assert_eq!(code(pool.admit(pending(1, EXCHANGE, Lane::Cancel, 8))), None);
}

#[test]
fn a_refused_transaction_leaves_no_trace() {
    let rate = RateLimit { units_per_s: 1, burst_units: 2, lane_units: [1, 2, 2] };
    let mut pool = pool(Limits { rate: Some(rate), ..limits() });
    pool.set_admitting(EVM, false);
    for _ in 0..5 {
        assert_eq!(code(pool.admit(pending(0, EVM, Lane::Rest, 8))), Some(RejectCode::Busy));
    }
    pool.set_admitting(EVM, true);
    assert_eq!(code(pool.admit(pending(0, EVM, Lane::Rest, 8))), None);
}

#[test]
fn a_halted_environment_is_cleared_and_its_transactions_may_come_again() {
    let mut pool = pool(limits());
    for i in 0..4 {
        let environment = if i % 2 == 0 { EXCHANGE } else { EVM };
        pool.admit(pending(i, environment, Lane::Rest, 8)).unwrap();
    }
    assert_eq!(tickets(&pool.clear(EXCHANGE)), [0, 2]);
    assert_eq!((pool.waiting_for(EXCHANGE), pool.waiting_for(EVM)), (0, 2));
    assert_eq!(code(pool.admit(pending(0, EXCHANGE, Lane::Rest, 8))), None);
    assert_eq!(tickets(&pool.drain(10, 1_000)), [1, 3, 0]);
    assert!(pool.is_empty() && pool.fill().bytes == 0);
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    let refused = |limits| Mempool::new(limits, []).unwrap_err();
    let zero = Limits { transactions_max: 0, ..limits() };
    assert_eq!(refused(zero), LimitsError::Zero("transactions_max"));
    let short = refused(Limits { seen_max: 19, ..limits() });
    assert_eq!(short, LimitsError::TooSmall { what: "seen_max", value: 19, least: 20 });
    let small = refused(Limits { bytes_max: 399, ..limits() });
    assert_eq!(small, LimitsError::TooSmall { what: "bytes_max", value: 399, least: 400 });
    let rate = RateLimit { units_per_s: 1, burst_units: 1, lane_units: [1, 2, 2] };
    assert!(matches!(
        refused(Limits { rate: Some(rate), ..limits() }),
        LimitsError::TooSmall { what: "rate.burst_units", .. }
    ));
    let twice = Mempool::new(limits(), [(EVM, Queueing::Lanes), (EVM, Queueing::Lanes)]);
    assert_eq!(twice.unwrap_err(), LimitsError::Twice(EVM));
    Mempool::new(Limits::default(), []).unwrap().drain(0, 0);
}
