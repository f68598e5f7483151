//! Orders that wait: triggers, groups, TWAPs, scheduled cancels, expiry. Prices are in ticks, sizes
//! in lots, a tick × lot is one quote unit; marks begin at 1000.

use crate::common::*;
use atoll_exchange::*;
use atoll_types::RejectCode;

const SECOND: u64 = 1_000_000;

fn stop(side: Side, trigger_price: Price, size: Size) -> TriggerRequest {
    TriggerRequest {
        market: BTC,
        side,
        trigger_price,
        kind: TriggerKind::Stop,
        limit: None,
        size,
        reduce_only: true,
        client_id: None,
    }
}

fn profit(side: Side, trigger_price: Price, size: Size) -> TriggerRequest {
    TriggerRequest { kind: TriggerKind::TakeProfit, ..stop(side, trigger_price, size) }
}

fn waiting(answer: &Answer) -> OrderId {
    match answer.0 {
        Ok(Outcome::Waiting(order)) => order,
        other => panic!("{other:?}"),
    }
}

fn grouped(answer: &Answer) -> (Option<Placed>, Vec<OrderId>) {
    match answer.0 {
        Ok(Outcome::Grouped(group)) => {
            (group.parent, group.children.into_iter().flatten().collect())
        }
        other => panic!("{other:?}"),
    }
}

/// A tick so much later; what it did by itself.
fn later(h: &mut Harness, by_us: u64) -> Vec<Event> {
    let time_us = h.full.peek_global().time_us + by_us;
    h.input(Input::Tick { time_us }).1
}

/// Oracle and tick; what the tick did by itself.
fn marked(h: &mut Harness, price: Price) -> Vec<Event> {
    h.input(Input::Oracle(OracleReport::sole(BTC, price))).0.unwrap();
    later(h, 1_000)
}

fn fills(events: &[Event]) -> Vec<(AccountId, OrderId, Price, Size)> {
    let fill = |event: &Event| match event {
        Event::Filled(f) => Some((f.taker.account, f.taker.order, f.price, f.size)),
        _ => None,
    };
    events.iter().filter_map(fill).collect()
}

fn cancelled(events: &[Event]) -> Vec<(OrderId, CancelReason)> {
    let cancel = |event: &Event| match event {
        Event::Cancelled { order, reason } => Some((order.order, *reason)),
        _ => None,
    };
    events.iter().filter_map(cancel).collect()
}

fn size(h: &Harness, account: u32) -> i64 {
    let views = h.full.peek_positions(AccountId(account));
    views.iter().find(|v| v.market == BTC).map_or(0, |v| v.position.size)
}

/// Account 0 is long 1000 lots from account 1, which quotes around it.
fn long() -> Harness {
    let mut h = Harness::funded(spec(), 4);
    h.leave_out = true;
    h.place(1, sell(1000, 1000));
    h.place(0, buy(1000, 1000));
    h
}

#[test]
fn a_stop_sells_at_up_to_ten_percent_below_the_mark() {
    let mut h = long();
    let order = waiting(&h.one(0, Command::PlaceTrigger(stop(Side::Sell, 980, 600))));
    let told = h.full.peek_order(AccountId(0), order).unwrap();
    assert_eq!((told.remaining, told.trigger.unwrap().state), (600, TriggerState::Armed));
    // The mark stays above: nothing. It holds no margin either.
    assert_eq!(marked(&mut h, 981).len(), 1);
    let margin = h.full.peek_margin(AccountId(0));
    assert_eq!(margin.initial(), 981 * 1000 / 20);

    // 980 × 0.9 = 882 is the worst price: the bid at 881 is out of reach, the one at 882 is not.
    h.place(2, buy(882, 100));
    h.place(2, buy(881, 1000));
    let events = marked(&mut h, 980);
    assert_eq!(fills(&events), [(AccountId(0), order, 882, 100)]);
    assert_eq!(cancelled(&events), [(order, CancelReason::Immediate)]);
    assert!(matches!(events[1], Event::TriggerFired(o) if o.order == order && o.remaining == 600));
    assert_eq!(size(&h, 0), 900);
    assert!(h.full.peek_order(AccountId(0), order).is_none());
    // Its fill cannot move the mark before the next tick.
    assert_eq!(h.full.peek_prices(BTC).mark, 980);
}

#[test]
fn side_and_kind_say_where_a_trigger_waits() {
    let mut h = long();
    use {RejectCode::TriggerCrossed, Side::*};
    for (request, ok) in [
        (stop(Sell, 999, 10), true),
        (stop(Sell, 1000, 10), false),
        (stop(Buy, 1001, 10), true),
        (stop(Buy, 1000, 10), false),
        (profit(Sell, 1001, 10), true),
        (profit(Sell, 1000, 10), false),
        (profit(Buy, 999, 10), true),
        (profit(Buy, 1000, 10), false),
    ] {
        if ok {
            waiting(&h.one(0, Command::PlaceTrigger(request)));
        } else {
            h.refused(0, Command::PlaceTrigger(request), TriggerCrossed);
        }
    }
    let (answer, _) = h.one(0, Command::CancelAll { market: None });
    assert_eq!(answer, Ok(Outcome::Cancelled(4)));
}

#[test]
fn a_limit_trigger_rests_under_its_own_number() {
    let mut h = long();
    let request = TriggerRequest { limit: Some(1010), ..profit(Side::Sell, 1005, 400) };
    let client_id = Some([7; 16]);
    let order = waiting(&h.one(0, Command::PlaceTrigger(TriggerRequest { client_id, ..request })));
    h.refused(
        0,
        Command::Place(OrderRequest { client_id, ..buy(900, 10) }),
        RejectCode::DuplicateClientId,
    );
    let events = marked(&mut h, 1006);
    assert!(matches!(events.last(), Some(Event::Rested(o)) if o.order == order && o.price == 1010));
    assert_eq!(h.full.peek_client_order(AccountId(0), [7; 16]).unwrap().trigger, None);
    let (answer, _) = h.one(0, Command::Cancel(OrderSelector::Client([7; 16])));
    assert_eq!(answer, Ok(Outcome::Cancelled(1)));
}

#[test]
fn a_refused_trigger_says_why() {
    let mut h = long();
    // Nobody bids: the stop finds nothing. And one that would enlarge a position without margin.
    let order = waiting(&h.one(0, Command::PlaceTrigger(stop(Side::Sell, 980, 600))));
    let events = marked(&mut h, 970);
    assert!(matches!(
        events.last(),
        Some(Event::TriggerRefused { order: o, code: RejectCode::NoLiquidity }) if o.order == order
    ));
    h.place(2, buy(900, 100));
    let none = waiting(&h.one(3, Command::PlaceTrigger(stop(Side::Sell, 960, 10))));
    let events = marked(&mut h, 950);
    assert!(matches!(
        events.last(),
        Some(Event::TriggerRefused { order: o, code: RejectCode::NotReducing }) if o.order == none
    ));
}

#[test]
fn what_a_mark_reached_fires_in_order_of_time_and_number_some_at_a_tick() {
    let mut limited = spec();
    (limited.limits.triggers_per_tick, limited.limits.due_per_tick) = (2, 1);
    let mut h = Harness::funded(limited, 4);
    h.leave_out = true;
    h.place(1, sell(1000, 1000));
    h.place(0, buy(1000, 1000));
    h.place(2, buy(900, 1000));
    let place = |h: &mut Harness, price| {
        waiting(&h.one(0, Command::PlaceTrigger(stop(Side::Sell, price, 100))))
    };
    let (a, b, c) = (place(&mut h, 970), place(&mut h, 990), place(&mut h, 980));
    // 990 and 980 are nearest: both become due, the older of them has its turn.
    let first = marked(&mut h, 960);
    assert_eq!(fills(&first), [(AccountId(0), b, 900, 100)]);
    // The mark comes back, and what it reached goes on; what is placed behind it does not fire.
    let late = place(&mut h, 955);
    let events = marked(&mut h, 1000);
    assert_eq!(fills(&events), [(AccountId(0), a, 900, 100)]);
    let later_one = place(&mut h, 975);
    assert_eq!(fills(&later(&mut h, 1_000)), [(AccountId(0), c, 900, 100)]);
    assert_eq!(fills(&later(&mut h, 1_000)), []);
    let open: Vec<_> = h.full.peek_orders(AccountId(0), 9).iter().map(|o| o.order).collect();
    assert_eq!(open.len(), 2);
    assert!(open.contains(&late) && open.contains(&later_one));
}

#[test]
fn a_front_with_nothing_armed_is_over() {
    let mut limited = spec();
    limited.limits.triggers_per_tick = 1;
    let mut h = Harness::funded(limited, 4);
    h.place(1, sell(1000, 1000));
    h.place(0, buy(1000, 1000));
    let stops = [988, 986]
        .map(|price| waiting(&h.one(0, Command::PlaceTrigger(stop(Side::Sell, price, 100)))));
    // One is looked at, for the other the front waits; then that one is cancelled.
    h.place(2, buy(900, 1000));
    assert_eq!(fills(&marked(&mut h, 985)).len(), 1);
    h.one(0, Command::Cancel(OrderSelector::Order(stops[1]))).0.unwrap();
    // What is armed now, behind where the front was, waits for its mark and not for a second one.
    marked(&mut h, 1000);
    let order = waiting(&h.one(0, Command::PlaceTrigger(stop(Side::Sell, 987, 100))));
    assert_eq!(fills(&marked(&mut h, 996)), [(AccountId(0), order, 900, 100)]);
}

#[test]
fn a_halted_market_keeps_its_stops() {
    let mut h = long();
    h.place(2, buy(900, 1000));
    let order = waiting(&h.one(0, Command::PlaceTrigger(stop(Side::Sell, 980, 100))));
    let status = |h: &mut Harness, status| {
        h.input(Input::SetStatus { market: BTC, status }).0.unwrap();
    };
    status(&mut h, MarketStatus::CancelOnly);
    assert_eq!(fills(&marked(&mut h, 970)), []);
    status(&mut h, MarketStatus::Open);
    assert_eq!(fills(&later(&mut h, 1_000)), [(AccountId(0), order, 900, 100)]);
}

fn group(parent: OrderRequest, tp: Price, sl: Price) -> Command {
    let children =
        [Some(profit(Side::Sell, tp, parent.size)), Some(stop(Side::Sell, sl, parent.size))];
    Command::PlaceGroup { parent, children }
}

#[test]
fn children_wait_for_their_parent_and_shrink_one_another() {
    let mut h = Harness::funded(spec(), 4);
    h.leave_out = true;
    let answer = h.one(0, group(buy(990, 1000), 1004, 980));
    let (parent, children) = grouped(&answer);
    let (parent, tp, sl) = (parent.unwrap().order, children[0], children[1]);
    let open = |h: &Harness, order| h.full.peek_order(AccountId(0), order).map(|o| o.remaining);
    assert_eq!(h.full.peek_children(AccountId(0), parent).len(), 2);
    assert_eq!((open(&h, tp), open(&h, sl)), (Some(0), Some(0)));

    // 300 fill: 300 are armed in each.
    h.place(1, sell(990, 300));
    assert_eq!((open(&h, tp), open(&h, sl)), (Some(300), Some(300)));
    // The take-profit fires: what is left of the parent is cancelled. It fills 100 of its 300, and
    // its sibling shrinks by as much.
    h.place(2, buy(1005, 100));
    h.place(2, buy(900, 1000));
    let limit = h.one(
        0,
        Command::ModifyTrigger {
            target: OrderSelector::Order(tp),
            order: TriggerRequest { limit: Some(1005), ..profit(Side::Sell, 1004, 1000) },
        },
    );
    let tp = waiting(&limit);
    let events = marked(&mut h, 1005);
    assert_eq!(cancelled(&events), [(parent, CancelReason::ChildFired)]);
    assert_eq!(fills(&events), [(AccountId(0), tp, 1005, 100)]);
    let resized = Event::Resized {
        order: h.full.peek_order(AccountId(0), sl).unwrap(),
        reason: ResizeReason::Sibling,
    };
    assert_eq!(events.last(), Some(&resized));
    assert_eq!((open(&h, tp), open(&h, sl)), (Some(200), Some(200)));

    // Resting, it is hit for 50: the same. Then the stop fires, and takes the rest along.
    let (_, events) = h.one(3, Command::Place(buy(1005, 50)));
    assert!(events.iter().any(|e| matches!(e, Event::Resized { order, .. } if order.order == sl)));
    let events = marked(&mut h, 965);
    assert_eq!(fills(&events), [(AccountId(0), sl, 900, 150)]);
    assert_eq!(cancelled(&events), [(tp, CancelReason::Sibling)]);
    assert_eq!((size(&h, 0), h.full.peek_orders(AccountId(0), 9).len()), (0, 0));
}

#[test]
fn an_unfilled_parent_takes_its_children_along() {
    let mut h = Harness::funded(spec(), 3);
    h.leave_out = true;
    let (parent, children) = grouped(&h.one(0, group(buy(990, 100), 1010, 980)));
    let parent = parent.unwrap().order;
    let (_, events) = h.one(0, Command::Cancel(OrderSelector::Order(parent)));
    let expected: Vec<_> = children.iter().map(|c| (*c, CancelReason::Parent)).collect();
    assert_eq!(cancelled(&events)[1..], expected);
    // Filled in part, it leaves them behind with what it filled.
    let (parent, children) = grouped(&h.one(0, group(buy(990, 100), 1010, 980)));
    h.place(1, sell(990, 40));
    h.one(0, Command::Cancel(OrderSelector::Order(parent.unwrap().order))).0.unwrap();
    let left = h.full.peek_orders(AccountId(0), 9);
    assert_eq!(
        left.iter().map(|o| (o.order, o.remaining)).collect::<Vec<_>>(),
        [(children[0], 40), (children[1], 40)]
    );
    // An immediate parent that fills nothing has none.
    let parent = OrderRequest { tif: Tif::Ioc, ..buy(985, 100) };
    h.refused(1, group(parent, 1010, 980), RejectCode::NoLiquidity);
}

#[test]
fn what_is_attached_follows_the_position_and_ends_with_it() {
    let mut h = long();
    h.refused(
        2,
        Command::AttachTriggers([Some(stop(Side::Sell, 980, 0)), None]),
        RejectCode::NotReducing,
    );
    h.refused(
        0,
        Command::AttachTriggers([Some(stop(Side::Buy, 1020, 0)), None]),
        RejectCode::NotReducing,
    );
    let both = [Some(profit(Side::Sell, 1020, 0)), Some(stop(Side::Sell, 980, 0))];
    let (_, orders) = grouped(&h.one(0, Command::AttachTriggers(both)));
    // The position grows, and is sold whole: its take-profit goes with it.
    h.place(1, sell(1000, 500));
    h.place(0, buy(1000, 500));
    h.place(2, buy(900, 2000));
    let events = marked(&mut h, 979);
    assert_eq!(fills(&events), [(AccountId(0), orders[1], 900, 1500)]);
    assert_eq!(cancelled(&events), [(orders[0], CancelReason::PositionClosed)]);
    assert_eq!(size(&h, 0), 0);

    // Turned round by hand, it takes them along as well.
    h.mark(BTC, 1000);
    h.place(2, buy(1000, 600));
    h.place(1, sell(1000, 600));
    let (_, orders) =
        grouped(&h.one(2, Command::AttachTriggers([Some(stop(Side::Sell, 900, 50)), None])));
    h.place(1, buy(1000, 5000));
    let (_, events) = h.one(2, Command::Place(sell(1000, 5000)));
    assert_eq!(cancelled(&events), [(orders[0], CancelReason::PositionClosed)]);
}

/// The harness holds flags and ties to one another in both directions after each command.
#[test]
fn a_tied_order_rests_with_its_sibling_or_without_a_tie() {
    let sold = |profit_size, stop_size, bid| {
        let mut h = long();
        let first = TriggerRequest { limit: Some(1005), ..profit(Side::Sell, 1004, profit_size) };
        let both = [Some(first), Some(stop(Side::Sell, 980, stop_size))];
        let (_, orders) = grouped(&h.one(0, Command::AttachTriggers(both)));
        h.place(2, buy(1005, bid));
        let events = marked(&mut h, 1005);
        let filled = bid.min(1_000);
        assert_eq!(fills(&events), [(AccountId(0), orders[0], 1005, filled)]);
        let open: Vec<_> = orders
            .iter()
            .map(|order| h.full.peek_order(AccountId(0), *order).map(|order| order.remaining))
            .collect();
        (h, open, cancelled(&events).into_iter().map(|(_, reason)| reason).collect::<Vec<_>>())
    };
    // It fires, trades a part and rests; what it sells later shrinks its sibling as well.
    let (mut h, open, gone) = sold(600, 500, 200);
    assert_eq!((open, gone), (vec![Some(400), Some(300)], vec![]));
    h.place(2, buy(1005, 100));
    let left = h.full.peek_orders(AccountId(0), 9);
    assert_eq!(left.iter().map(|order| order.remaining).collect::<Vec<_>>(), [300, 200]);
    // What traded at once was all of its sibling: it rests, tied to nothing.
    let (_, open, gone) = sold(600, 200, 200);
    assert_eq!((open, gone), (vec![Some(400), None], vec![CancelReason::Sibling]));
    // Its sibling goes while it still trades only with the whole position, and then nothing of it
    // rests: it only reduces, so it was cut to the position.
    let (h, open, gone) = sold(5_000, 5_000, 3_000);
    assert_eq!((open, gone), (vec![None, None], vec![CancelReason::PositionClosed]));
    assert_eq!(size(&h, 0), 0);
}

fn twap(size: Size, minutes: u16) -> TwapRequest {
    TwapRequest { market: BTC, side: Side::Buy, size, reduce_only: false, minutes }
}

#[test]
fn a_twap_keeps_its_pace_and_catches_up_by_three() {
    let mut h = Harness::funded(spec(), 3);
    h.leave_out = true;
    // 1000 lots in 5 minutes: ten slices of 100.
    let number = waiting(&h.one(0, Command::PlaceTwap(twap(1000, 5))));
    h.place(1, sell(1030, 100));
    // 3 % above the mark of 1000 is 1030. The first slice is due at once.
    let slices = |events: &[Event]| -> Vec<(Size, Size, Option<RejectCode>)> {
        let slice = |event: &Event| match event {
            Event::TwapSlice { twap, size, refused } => Some((*size, twap.filled, *refused)),
            _ => None,
        };
        events.iter().filter_map(slice).collect()
    };
    assert_eq!(slices(&later(&mut h, 1_000)), [(100, 100, None)]);
    assert_eq!(slices(&later(&mut h, 29 * SECOND)), []);
    // Nobody sells for four slices: what was to be traded grows, but no slice above 300.
    for due in [100, 200, 300, 300] {
        let empty = slices(&later(&mut h, 30 * SECOND));
        assert_eq!(empty, [(due, 100, Some(RejectCode::NoLiquidity))]);
    }
    h.place(1, sell(1000, 5000));
    let sizes = [(300, 400), (300, 700), (100, 800), (100, 900)];
    for (size, filled) in sizes {
        assert_eq!(slices(&later(&mut h, 30 * SECOND)), [(size, filled, None)]);
    }
    let events = later(&mut h, 30 * SECOND);
    assert_eq!(slices(&events), [(100, 1000, None)]);
    assert!(matches!(
        events.last(),
        Some(Event::TwapEnded { twap, reason: TwapEnd::Filled }) if twap.twap == number
    ));
    assert_eq!((size(&h, 0), h.full.peek_twaps(AccountId(0)).len()), (1000, 0));
}

#[test]
fn a_twap_has_bounds_and_can_be_cancelled() {
    let mut h = Harness::funded(spec(), 2);
    for (request, code) in [
        (twap(0, 5), RejectCode::OffLot),
        (twap(1 << 40, 5), RejectCode::Overflow),
        (twap(1000, 4), RejectCode::TimeOutOfRange),
        (twap(1000, 1441), RejectCode::TimeOutOfRange),
        // A lot is worth 1000, which is the least there is: 10 slices of 1 are fine, none of 0.
        (TwapRequest { market: MarketId(9), ..twap(1000, 5) }, RejectCode::UnknownMarket),
        (TwapRequest { market: SPOT, ..twap(1000, 5) }, RejectCode::NoMark),
    ] {
        h.refused(0, Command::PlaceTwap(request), code);
    }
    let number = waiting(&h.one(0, Command::PlaceTwap(twap(1000, 5))));
    h.refused(1, Command::CancelTwap(number), RejectCode::UnknownOrder);
    let (_, events) = h.one(0, Command::CancelTwap(number));
    assert!(matches!(events[..], [Event::TwapEnded { reason: TwapEnd::Cancelled, .. }]));
    h.refused(0, Command::CancelTwap(number), RejectCode::UnknownOrder);
    // Nobody sells to it: it ends when its time is over.
    waiting(&h.one(0, Command::PlaceTwap(twap(1000, 5))));
    let ends = |events: &[Event]| events.iter().any(|e| matches!(e, Event::TwapEnded { .. }));
    assert!(!ends(&later(&mut h, 269 * SECOND)));
    assert!(ends(&later(&mut h, SECOND)));
}

#[test]
fn a_dead_mans_switch_cancels_what_was_open_when_it_fired() {
    let mut limited = spec();
    limited.limits.due_per_tick = 3;
    let mut h = Harness::funded(limited, 2);
    h.leave_out = true;
    let now_ms = 0;
    let schedule = |at_ms| Command::ScheduleCancel { at_ms };
    h.refused(0, schedule(Some(now_ms + 4_999)), RejectCode::TimeOutOfRange);
    let old: Vec<_> = (0..5).map(|n| h.place(0, buy(990 - n, 100)).order).collect();
    h.one(0, Command::PlaceTrigger(stop(Side::Sell, 900, 10))).0.unwrap();
    h.one(0, schedule(Some(now_ms + 5_000))).0.unwrap();
    assert_eq!(h.full.peek_schedule(AccountId(0)), Some(5_000));
    // Three a tick; what comes meanwhile stays.
    let first = cancelled(&later(&mut h, 5 * SECOND));
    assert_eq!(first, [0, 1, 2].map(|n| (old[n], CancelReason::Scheduled)));
    let young = h.place(0, buy(980, 100)).order;
    let last = later(&mut h, 500);
    assert_eq!(cancelled(&last).len(), 3);
    assert_eq!(last.last(), Some(&Event::ScheduleDone { account: AccountId(0) }));
    let open = h.full.peek_orders(AccountId(0), 9);
    assert_eq!(open.iter().map(|o| o.order).collect::<Vec<_>>(), [young]);
    assert_eq!(h.full.peek_schedule(AccountId(0)), None);

    // Ten a day, and it can be taken back.
    for n in 0..10 {
        let at_ms = h.full.peek_global().time_us / 1000 + 5_000;
        let (answer, _) = h.one(0, schedule(Some(at_ms)));
        assert_eq!(answer.is_ok(), n < 9, "{answer:?}");
        later(&mut h, 6 * SECOND);
    }
    let tomorrow = 86_400 * SECOND;
    later(&mut h, tomorrow);
    let at_ms = h.full.peek_global().time_us / 1000 + 5_000;
    h.one(0, schedule(Some(at_ms))).0.unwrap();
    h.one(0, schedule(None)).0.unwrap();
    h.place(0, buy(980, 100));
    assert_eq!(cancelled(&later(&mut h, 6 * SECOND)), []);
}

#[test]
fn an_order_that_expires_is_gone_at_the_tick() {
    let mut h = Harness::funded(spec(), 2);
    h.leave_out = true;
    let dated = OrderRequest { expires_us: 2 * SECOND + 1, ..buy(990, 100) };
    let (first, second) = (h.place(0, dated).order, h.place(0, dated).order);
    h.one(0, Command::Cancel(OrderSelector::Order(second))).0.unwrap();
    // Due in the first whole millisecond after it; the clock stood at 1 µs.
    assert_eq!(cancelled(&later(&mut h, 2 * SECOND)), []);
    assert_eq!(cancelled(&later(&mut h, 999)), [(first, CancelReason::Expired)]);
}
