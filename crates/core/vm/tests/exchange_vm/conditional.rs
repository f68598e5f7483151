//! Hyperliquid's actions around orders that wait, from msgpack to statuses.

use crate::common::{BTC, START_MS, Venue, key, marks, order};
use atoll_exchange::{Event, OrderId, Side, Tif, TriggerState, TwapRequest};
use atoll_types::{Encode, Lane, RejectCode};
use atoll_vm::exchange::msgpack::MsgpackWriter;
use atoll_vm::exchange::sign::{sign_action, sign_oracle};
use atoll_vm::exchange::{ExchangeReceipt, Status};
use atoll_vm::{SlotContext, Vm};

fn limit(w: &mut MsgpackWriter, buy: bool, price: &str, size: &str, tif: &str) {
    w.map(6).string("a").unsigned(0).string("b").bool(buy);
    w.string("p").string(price).string("s").string(size).string("r").bool(false);
    w.string("t").map(1).string("limit").map(1).string("tif").string(tif);
}

fn trigger(w: &mut MsgpackWriter, buy: bool, price: &str, size: &str, tpsl: &str) {
    w.map(6).string("a").unsigned(0).string("b").bool(buy);
    w.string("p").string(price).string("s").string(size).string("r").bool(true);
    w.string("t").map(1).string("trigger").map(3).string("isMarket").bool(true);
    w.string("triggerPx").string(price).string("tpsl").string(tpsl);
}

fn orders(grouping: &str, count: usize, write: impl FnOnce(&mut MsgpackWriter)) -> Vec<u8> {
    let mut w = MsgpackWriter::new();
    w.map(3).string("type").string("order").string("orders").array(count);
    write(&mut w);
    w.string("grouping").string(grouping);
    w.into_bytes()
}

fn code(status: &Status) -> RejectCode {
    match status {
        Status::Rejected { code, .. } => *code,
        other => panic!("{other:?}"),
    }
}

/// Opens a slot with these oracle prices; the next one begins with what they set off.
fn slot(venue: &mut Venue, number: u64, eth: u64) {
    let time_ms = START_MS + number * 100;
    let context =
        SlotContext { slot: 1 + number, time_us: time_ms * 1000, ..crate::common::context() };
    venue.vm.open_slot(&context);
    let oracle =
        sign_oracle(&key("oracle"), &crate::common::IDENTITY, time_ms, &marks(eth, 60_000));
    let checked = venue.check(&oracle.to_bytes()).unwrap();
    ExchangeReceipt::of(&venue.vm.execute_input(&checked)).unwrap();
}

#[test]
fn a_group_answers_for_each_of_its_orders_and_fires_without_anybody_trading() {
    let mut venue = Venue::new(true);
    // A mark of 2000: a bid of 0.1 at 1990 with a take-profit and a stop.
    let group = orders("normalTpsl", 3, |w| {
        limit(w, true, "1990", "0.1", "Gtc");
        trigger(w, false, "2100", "0.1", "tp");
        trigger(w, false, "1900", "0.1", "sl");
    });
    let statuses = venue.act("alice", group).unwrap().statuses;
    assert!(matches!(statuses[0], Status::Resting { .. }));
    for status in &statuses[1..] {
        assert!(matches!(status, Status::Waiting { parent: true, order, .. } if order.0 != 0));
    }
    let Status::Waiting { order: stop, .. } = statuses[2] else { panic!() };
    venue.place("bob", order(Side::Sell, 199_000, 1_000, Tif::Gtc));
    let alice = venue.vm.account_of(&key("alice").address()).unwrap();
    let told = venue.vm.exchange().peek_order(alice, stop).unwrap();
    assert_eq!(told.trigger.unwrap().state, TriggerState::Armed);

    // The oracle falls while nobody trades: the slots' openings are enough.
    venue.place("carol", order(Side::Buy, 180_000, 5_000, Tif::Gtc));
    slot(&mut venue, 1, 185_000);
    assert!(venue.vm.exchange().peek_order(alice, stop).is_some());
    slot(&mut venue, 2, 185_000);
    let fired = |event: &Event| matches!(event, Event::Filled(f) if f.taker.order == stop);
    assert!(venue.vm.tick_events().iter().any(fired), "{:?}", venue.vm.tick_events());
    assert!(venue.vm.exchange().peek_orders(alice, 9).is_empty());
    assert_eq!(venue.vm.inconsistencies(), Vec::<String>::new());
}

#[test]
fn triggers_by_themselves_and_on_positions() {
    let mut venue = Venue::new(true);
    venue.place("bob", order(Side::Sell, 200_000, 1_000, Tif::Gtc));
    venue.place("alice", order(Side::Buy, 200_000, 1_000, Tif::Gtc));
    let alone = orders("na", 2, |w| {
        trigger(w, false, "1900", "0.1", "sl");
        trigger(w, false, "1900", "0.1", "tp");
    });
    let checked = venue.check(&sign_action(&key("alice"), alone.clone(), 1).to_bytes()).unwrap();
    assert_eq!(checked.lane, Lane::Rest);
    let statuses = venue.act("alice", alone).unwrap().statuses;
    assert!(matches!(statuses[0], Status::Resting { .. }));
    assert_eq!(code(&statuses[1]), RejectCode::TriggerCrossed);
    let attached = orders("positionTpsl", 2, |w| {
        trigger(w, false, "2100", "0", "tp");
        trigger(w, false, "1900", "0", "sl");
    });
    let statuses = venue.act("alice", attached.clone()).unwrap().statuses;
    assert!(statuses.iter().all(|s| matches!(s, Status::Waiting { parent: false, .. })));
    // All of a group, or nothing: a status for each order all the same.
    let statuses = venue.act("carol", attached).unwrap().statuses;
    assert_eq!(statuses.iter().map(code).collect::<Vec<_>>(), [RejectCode::NotReducing; 2]);
    let wrong = orders("normalTpsl", 2, |w| {
        limit(w, true, "1990", "0.1", "Gtc");
        limit(w, false, "2100", "0.1", "Gtc");
    });
    let statuses = venue.act("carol", wrong).unwrap().statuses;
    assert_eq!(statuses.iter().map(code).collect::<Vec<_>>(), [RejectCode::Unsupported; 2]);
}

fn twap(minutes: u64, random: bool) -> Vec<u8> {
    let mut w = MsgpackWriter::new();
    w.map(2).string("type").string("twapOrder").string("twap").map(6);
    w.string("a").unsigned(1).string("b").bool(true).string("s").string("0.1");
    w.string("r").bool(false).string("m").unsigned(minutes).string("t").bool(random);
    w.into_bytes()
}

#[test]
fn twaps_and_scheduled_cancels() {
    let mut venue = Venue::new(true);
    let refused = venue.act("alice", twap(30, true)).unwrap_err();
    assert_eq!(refused.code, RejectCode::Unsupported);
    let statuses = venue.act("alice", twap(3, false)).unwrap().statuses;
    assert_eq!(code(&statuses[0]), RejectCode::TimeOutOfRange);
    let done = venue.act("alice", twap(30, false)).unwrap();
    let Status::Resting { order: number, .. } = done.statuses[0] else { panic!("{done:?}") };
    // 0.1 at a lot of 0.001.
    let expected =
        TwapRequest { market: BTC, side: Side::Buy, size: 100, reduce_only: false, minutes: 30 };
    assert!(matches!(done.events[..], [Event::TwapStarted(t)] if t.request == expected));
    let cancel = |number: OrderId| {
        let mut w = MsgpackWriter::new();
        w.map(3).string("type").string("twapCancel").string("a").unsigned(1);
        w.string("t").unsigned(number.0);
        w.into_bytes()
    };
    assert_eq!(venue.act("alice", cancel(number)).unwrap().statuses, [Status::Success]);
    let again = venue.act("alice", cancel(number)).unwrap().statuses;
    assert_eq!(code(&again[0]), RejectCode::UnknownOrder);

    let schedule = |time: Option<u64>| {
        let mut w = MsgpackWriter::new();
        w.map(1 + usize::from(time.is_some())).string("type").string("scheduleCancel");
        if let Some(time) = time {
            w.string("time").unsigned(time);
        }
        w.into_bytes()
    };
    let early = venue.act("alice", schedule(Some(START_MS + 1_000))).unwrap().statuses;
    assert_eq!(code(&early[0]), RejectCode::TimeOutOfRange);
    let set = venue.act("alice", schedule(Some(START_MS + 6_000))).unwrap().statuses;
    assert_eq!(set, [Status::Success]);
    let alice = venue.vm.account_of(&key("alice").address()).unwrap();
    assert_eq!(venue.vm.exchange().peek_schedule(alice), Some(START_MS + 6_000));
    assert_eq!(venue.act("alice", schedule(None)).unwrap().statuses, [Status::Success]);
    assert_eq!(venue.vm.exchange().peek_schedule(alice), None);
}
