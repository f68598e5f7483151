//! The order flow against a venue that matches by itself: a naive book, every command applied as
//! it comes, every fill told.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::event::Level;
use venue::Venue;

#[path = "../../tests/venue/mod.rs"]
mod venue;

struct Rig {
    flow: OrderFlow,
    venue: Venue,
    time_ns: u64,
}

impl Rig {
    fn new(grace_events: u32) -> Self {
        let config = FlowConfig { grace_events, oracle_interval_ns: 0, ..FlowConfig::default() };
        Self { flow: OrderFlow::new(config), venue: Venue::default(), time_ns: 0 }
    }

    fn apply(&mut self, kind: EventKind) -> Vec<Action> {
        self.time_ns += 1;
        let mut out = Vec::new();
        self.flow.apply(&Event { time_ns: self.time_ns, kind }, &mut out);
        self.venue.run(&out);
        self.venue.tell(&mut self.flow);
        out.into_iter().map(|c| c.action).filter(|a| !matches!(a, Action::Oracle { .. })).collect()
    }
}

fn add(id: u64, side: Side, price: u64, size: u64) -> EventKind {
    EventKind::Add { id, side, price, size }
}

fn remove(id: u64, size: u64) -> EventKind {
    EventKind::Remove { id, side: Side::Bid, price: 1, size }
}

fn level(price: u64, size: u64) -> Level {
    Level { price, size }
}

#[test]
fn a_recorded_fill_that_the_venue_made_is_not_applied_again() {
    let mut rig = Rig::new(2);
    rig.apply(add(1, Side::Ask, 100, 5));
    rig.apply(add(2, Side::Bid, 101, 8));
    assert_eq!(rig.venue.book(Side::Bid), BTreeMap::from([(101, 3)]));
    assert!(rig.apply(remove(1, 0)).is_empty());
    let change = EventKind::Change { id: 2, side: Side::Bid, price: 101, size: 3 };
    assert!(rig.apply(change).is_empty());
    assert_eq!(rig.apply(remove(2, 3)).len(), 1);
    assert!(rig.venue.orders.is_empty());
    assert_eq!(rig.flow.report().unreproduced_fills, 0);
    assert_eq!((rig.flow.report().fills, rig.venue.missed_cancels), (2, 0));
}

#[test]
fn a_fill_that_the_venue_did_not_make_is_cut_after_the_grace() {
    let mut rig = Rig::new(2);
    rig.apply(add(1, Side::Bid, 100, 5));
    let change = EventKind::Change { id: 1, side: Side::Bid, price: 100, size: 2 };
    assert!(rig.apply(change).is_empty());
    assert_eq!(rig.apply(add(2, Side::Bid, 90, 1)).len(), 1);
    let cut = rig.apply(add(3, Side::Bid, 90, 1));
    assert!(matches!(cut[..], [Action::Modify { size: 2, .. }, Action::Place { .. }]), "{cut:?}");
    assert_eq!(rig.venue.book(Side::Bid), BTreeMap::from([(90, 2), (100, 2)]));
    assert_eq!(rig.flow.report().unreproduced_size, 3);
    assert!(rig.apply(remove(1, 0)).is_empty());
    let mut out = Vec::new();
    rig.flow.finish(9, &mut out);
    assert!(matches!(out[..], [FlowCommand { action: Action::Cancel { .. }, .. }]), "{out:?}");
    assert_eq!(rig.flow.report().unreproduced_size, 5);
}

#[test]
fn a_late_fill_of_a_replaced_order_is_told_apart() {
    let mut flow = OrderFlow::new(FlowConfig::default());
    let mut out = Vec::new();
    let event = |kind| Event { time_ns: 1, kind };
    flow.apply(&event(add(1, Side::Bid, 100, 10)), &mut out);
    let reduce = EventKind::Reduce { id: 1, side: Side::Bid, price: 100, by: 4 };
    flow.apply(&event(reduce), &mut out);
    let [Action::Place { client_id, .. }, Action::Modify { client_id: old, new_client_id, .. }] =
        [out[0].action.clone(), out[1].action.clone()]
    else {
        panic!("{out:?}");
    };
    assert_eq!(client_id, old);
    flow.on_fill(old, 10);
    assert_eq!(flow.resting(new_client_id), 6);
    flow.on_fill(new_client_id, 2);
    assert_eq!(flow.resting(new_client_id), 4);
    flow.on_gone(new_client_id);
    assert_eq!(flow.resting(new_client_id), 0);
}

#[test]
fn executions_without_an_aggressor_bring_one() {
    let mut rig = Rig::new(4);
    rig.apply(add(1, Side::Ask, 100, 5));
    let hit = |id| EventKind::Execute { id, aggressor: Side::Bid, price: 100, size: 3 };
    let commands = rig.apply(hit(Some(1)));
    assert!(
        matches!(commands[..], [Action::Place { size: 3, kind: OrderKind::Ioc, .. }]),
        "{commands:?}"
    );
    assert_eq!(rig.venue.book(Side::Ask), BTreeMap::from([(100, 2)]));
    assert!(rig.apply(hit(None)).is_empty());
    assert!(rig.apply(hit(Some(77))).is_empty());
    assert_eq!(rig.flow.report().unknown_orders, 1);
    assert_eq!(rig.flow.report().unbooked_trades, 1);
}

#[test]
fn unknown_late_and_duplicate_orders() {
    let mut rig = Rig::new(1);
    let change = |id, size| EventKind::Change { id, side: Side::Bid, price: 50, size };
    assert!(matches!(rig.apply(change(1, 4))[..], [Action::Place { size: 4, .. }]));
    assert!(matches!(rig.apply(change(1, 9))[..], [Action::Modify { size: 9, .. }]));
    rig.apply(remove(1, 9));
    assert!(rig.apply(change(1, 4)).is_empty());
    assert!(rig.apply(add(1, Side::Bid, 50, 1)).is_empty());
    assert!(rig.apply(remove(5, 9)).is_empty());
    rig.apply(add(2, Side::Bid, 40, 1));
    let twice = rig.apply(add(2, Side::Bid, 41, 1));
    assert!(matches!(twice[..], [Action::Cancel { .. }, Action::Place { .. }]), "{twice:?}");
    let report = rig.flow.report();
    assert_eq!((report.adopted, report.stale_events), (1, 2));
    assert_eq!((report.unknown_orders, report.duplicate_orders), (1, 1));
    let mut out = Vec::new();
    rig.flow.withdraw(1, &mut out);
    rig.venue.run(&out);
    assert!(rig.venue.orders.is_empty() && out.len() == 1);
}

#[test]
fn levels_follow_the_record_and_old_messages_do_not() {
    let mut rig = Rig::new(1);
    let depth = |update, bids: &[Level], asks: &[Level]| EventKind::Depth {
        first_update: update,
        last_update: update,
        previous_update: None,
        bids: bids.to_vec(),
        asks: asks.to_vec(),
    };
    let quote = |update, bid, ask| EventKind::Quote { update, bid, ask };
    let snapshot = |update| EventKind::Snapshot {
        update,
        bids: vec![level(99, 5), level(98, 7)],
        asks: vec![level(101, 5)],
    };
    rig.apply(depth(9, &[level(99, 4), level(97, 0)], &[]));
    rig.apply(snapshot(8));
    assert_eq!(rig.venue.book(Side::Bid), BTreeMap::from([(98, 7), (99, 4)]));
    // A trade, then a depth message that reflects it: nothing is left to do.
    let trade = EventKind::Trade { price: 99, size: 3, aggressor: Some(Side::Ask) };
    rig.apply(trade.clone());
    assert!(rig.apply(depth(10, &[level(99, 1)], &[])).is_empty());
    // A trade that the next message does not reflect is restored by it.
    rig.apply(trade);
    rig.apply(depth(11, &[], &[level(102, 2)]));
    assert_eq!(rig.venue.book(Side::Bid), BTreeMap::from([(98, 7), (99, 1)]));
    assert_eq!(rig.flow.report().restored_levels, 1);
    // The price moves through the asks; an older message does not bring them back.
    rig.apply(quote(20, level(101, 3), level(103, 9)));
    assert_eq!(rig.venue.book(Side::Ask), BTreeMap::from([(103, 9)]));
    assert_eq!(rig.venue.oracle, Some(102));
    rig.apply(depth(15, &[level(98, 1)], &[level(102, 5), level(103, 1), level(105, 1)]));
    assert_eq!(rig.venue.book(Side::Ask), BTreeMap::from([(103, 9), (105, 1)]));
    assert_eq!(rig.venue.book(Side::Bid), BTreeMap::from([(98, 1), (99, 1), (101, 3)]));
    rig.apply(quote(14, level(90, 3), level(91, 9)));
    assert_eq!((rig.flow.report().stale_events, rig.venue.oracle), (1, Some(90)));
    assert_eq!(rig.flow.report().depth_gaps, 1);
    assert_eq!((rig.venue.self_trades, rig.venue.missed_cancels), (0, 0));
}

fn any_side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Bid), Just(Side::Ask)]
}

/// A step of a random recording order by order; ids are few, so that all cases meet.
fn any_order_event() -> impl Strategy<Value = EventKind> {
    let step = (0u8..8, 0u64..40, any_side(), 90u64..110, 0u64..6);
    step.prop_map(|(kind, id, side, price, size)| match kind {
        0..=3 => EventKind::Add { id, side, price, size: size + 1 },
        4 => EventKind::Change { id, side, price, size: size + 1 },
        5 => EventKind::Reduce { id, side, price, by: size + 1 },
        6 => EventKind::Remove { id, side, price, size },
        _ => EventKind::Execute { id: Some(id), aggressor: side, price, size: size + 1 },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// With every fill told, the two books never differ in what they say of the venue, nobody
    /// trades with himself, no cancel misses, and the venue keeps no more than the record.
    #[test]
    fn order_flow_knows_the_venue(
        events in proptest::collection::vec(any_order_event(), 1..120),
        grace in 1u32..6,
    ) {
        let mut rig = Rig::new(grace);
        for kind in events {
            rig.apply(kind);
            for (id, order) in &rig.venue.orders {
                prop_assert_eq!(rig.flow.resting(*id), order.size);
            }
        }
        let mut out = Vec::new();
        rig.flow.finish(1, &mut out);
        rig.venue.run(&out);
        rig.venue.tell(&mut rig.flow);
        prop_assert_eq!((rig.venue.self_trades, rig.venue.missed_cancels), (0, 0));
        let open: BTreeMap<u64, u64> = rig.flow.orders.recorded_by_client();
        for (id, order) in &rig.venue.orders {
            prop_assert!(open.get(id).is_some_and(|&recorded| order.size <= recorded));
        }
        out.clear();
        rig.flow.withdraw(1, &mut out);
        rig.venue.run(&out);
        prop_assert!(rig.venue.orders.is_empty());
        prop_assert_eq!(rig.venue.missed_cancels, 0);
    }

    /// Reports that come late, in order, with any number of commands in flight: nothing is left
    /// behind in the venue when the record has ended.
    #[test]
    fn late_reports_leave_nothing_behind(
        events in proptest::collection::vec(any_order_event(), 1..120),
        delay in 0usize..20,
    ) {
        let mut rig = Rig::new(2);
        let mut in_flight = VecDeque::new();
        let mut out = Vec::new();
        for (time, kind) in (0u64..).zip(events) {
            out.clear();
            rig.flow.apply(&Event { time_ns: time, kind }, &mut out);
            rig.venue.run(&out);
            let fills = std::mem::take(&mut rig.venue.fills);
            in_flight.push_back((fills, std::mem::take(&mut rig.venue.refused)));
            if in_flight.len() > delay && let Some((fills, refused)) = in_flight.pop_front() {
                fills.into_iter().for_each(|(id, size)| rig.flow.on_fill(id, size));
                refused.into_iter().for_each(|id| rig.flow.on_gone(id));
            }
        }
        out.clear();
        rig.flow.withdraw(1, &mut out);
        rig.venue.run(&out);
        prop_assert!(rig.venue.orders.is_empty());
    }

    /// Levels against a plain map: after every depth message the venue's book is the record's.
    #[test]
    fn levels_are_the_record(
        steps in proptest::collection::vec(
            (any::<bool>(), any_side(), 90u64..110, 0u64..6), 1..150),
    ) {
        let mut rig = Rig::new(1);
        let mut twin = [BTreeMap::new(), BTreeMap::new()];
        for (update, (trades, side, price, size)) in (1u64..).zip(steps) {
            if trades {
                rig.apply(EventKind::Trade { price, size: size + 1, aggressor: Some(side) });
                continue;
            }
            // The recorded venue's book does not cross: bids below 100, asks from there.
            let side = if price < 100 { Side::Bid } else { Side::Ask };
            let changed = vec![level(price, size)];
            let (bids, asks) =
                if side == Side::Bid { (changed, vec![]) } else { (vec![], changed) };
            rig.apply(EventKind::Depth {
                first_update: update, last_update: update, previous_update: None, bids, asks,
            });
            let book = &mut twin[side as usize];
            book.insert(price, size);
            book.retain(|_, size| *size > 0);
            prop_assert_eq!(&rig.venue.book(Side::Bid), &twin[0]);
            prop_assert_eq!(&rig.venue.book(Side::Ask), &twin[1]);
        }
        prop_assert_eq!((rig.venue.self_trades, rig.venue.missed_cancels), (0, 0));
    }
}
