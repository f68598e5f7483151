//! Order types: what a newcomer would try, with numbers to follow by hand.

use crate::common::*;
use atoll_exchange::*;
use atoll_types::RejectCode;

fn filled(events: &[Event]) -> Vec<(u32, Price, Size)> {
    let fills = events.iter().filter_map(|event| match event {
        Event::Filled(fill) => Some((fill.maker.account.0, fill.price, fill.size)),
        _ => None,
    });
    fills.collect()
}

fn cancelled(events: &[Event]) -> Vec<(OrderId, Size, CancelReason)> {
    let cancels = events.iter().filter_map(|event| match event {
        Event::Cancelled { order, reason } => Some((order.order, order.remaining, *reason)),
        _ => None,
    });
    cancels.collect()
}

fn level(h: &Harness, side: Side) -> Vec<(Price, u128, u32)> {
    h.full.peek_levels(BTC, side, 9).iter().map(|l| (l.price, l.size, l.count)).collect()
}

#[test]
fn fill_or_kill_is_all_or_nothing() {
    let mut h = Harness::funded(spec(), 3);
    h.leave_out = true;
    h.place(1, sell(1000, 10));
    h.place(2, sell(1001, 10));
    let fok = |price, size| OrderRequest { tif: Tif::Fok, ..buy(price, size) };
    // Not there; there, but above the limit.
    h.refused(0, Command::Place(fok(1001, 21)), RejectCode::NoLiquidity);
    h.refused(0, Command::Place(fok(1000, 11)), RejectCode::NoLiquidity);
    h.refused(0, Command::Place(fok(990, 10)), RejectCode::NoLiquidity);
    assert_eq!(level(&h, Side::Sell), [(1000, 10, 1), (1001, 10, 1)]);
    let placed = h.place(0, fok(1001, 20));
    assert_eq!((placed.filled, placed.notional, placed.resting), (20, 20_010, 0));
    assert_eq!(level(&h, Side::Sell), []);
}

#[test]
fn a_full_plan_that_falls_apart_is_undone() {
    let mut h = Harness::funded(spec(), 3);
    h.leave_out = true;
    // Account 1 is short 10, and two asks would each take back all of a long that is only 10.
    h.place(1, buy(1000, 10));
    h.place(2, sell(1000, 10));
    let reduce = |price| OrderRequest { reduce_only: true, ..sell(price, 10) };
    h.place(1, reduce(1005));
    h.place(1, reduce(1006));
    // By the totals 20 are there; the second one has nothing to reduce once the first has traded.
    let fok = OrderRequest { tif: Tif::Fok, ..buy(1006, 20) };
    h.refused(0, Command::Place(fok), RejectCode::NoLiquidity);
    assert_eq!(level(&h, Side::Sell), [(1005, 10, 1), (1006, 10, 1)]);
    let (_, events) = h.one(0, Command::Place(OrderRequest { tif: Tif::Ioc, ..fok }));
    assert_eq!(filled(&events), [(1, 1005, 10)]);
}

#[test]
fn an_order_expires_at_its_time() {
    let mut h = Harness::funded(spec(), 2);
    h.leave_out = true;
    let until = |expires_us| OrderRequest { expires_us, ..sell(1000, 10) };
    let ask = h.place(1, until(100));
    h.input(Input::Tick { time_us: 99 }).0.unwrap();
    assert_eq!(h.place(0, OrderRequest { tif: Tif::Ioc, ..buy(1000, 4) }).filled, 4);
    h.input(Input::Tick { time_us: 100 }).0.unwrap();
    let (answer, events) = h.one(0, Command::Place(buy(1000, 4)));
    assert!(matches!(answer, Ok(Outcome::Placed(Placed { filled: 0, resting: 4, .. }))));
    assert_eq!(cancelled(&events), [(ask.order, 6, CancelReason::Expired)]);
    h.refused(1, Command::Place(until(100)), RejectCode::Expired);
    let immediate = OrderRequest { tif: Tif::Ioc, ..until(200) };
    h.refused(1, Command::Place(immediate), RejectCode::Unsupported);
}

#[test]
fn an_iceberg_shows_a_part_and_queues_again_for_the_next() {
    let mut h = Harness::funded(spec(), 3);
    h.leave_out = true;
    let iceberg = h.place(1, OrderRequest { display: 10, ..sell(1000, 25) });
    let plain = h.place(2, sell(1000, 10));
    assert_eq!(level(&h, Side::Sell), [(1000, 20, 2)]);
    assert_eq!(h.full.peek_order(AccountId(1), iceberg.order).unwrap().remaining, 25);
    // 10 of the iceberg, then 5 of the other one: the next part is behind it.
    let (_, events) = h.one(0, Command::Place(buy(1000, 15)));
    assert_eq!(filled(&events), [(1, 1000, 10), (2, 1000, 5)]);
    assert_eq!(level(&h, Side::Sell), [(1000, 15, 2)]);
    // A fill-or-kill order counts on what is hidden.
    let (_, events) = h.one(0, Command::Place(OrderRequest { tif: Tif::Fok, ..buy(1000, 18) }));
    assert_eq!(filled(&events), [(2, 1000, 5), (1, 1000, 10), (1, 1000, 3)]);
    let selector = OrderSelector::Order(iceberg.order);
    let (_, events) = h.one(1, Command::Cancel(selector));
    assert_eq!(cancelled(&events), [(iceberg.order, 2, CancelReason::Requested)]);
    assert!(h.full.peek_order(AccountId(2), plain.order).is_none());
    // Dust shows nothing worth trading with.
    let dust = OrderRequest { display: 1, ..sell(990, 25) };
    h.refused(1, Command::Place(dust), RejectCode::Dust);
}

#[test]
fn hidden_size_is_margined_as_what_shows() {
    let mut h = Harness::funded(spec(), 2);
    let before = h.full.peek_margin(AccountId(0)).initial();
    h.place(0, OrderRequest { display: 10, ..buy(1000, 1_000_000) });
    // 1,000 ticks × 1,000,000 lots at 5 %.
    assert_eq!(h.full.peek_margin(AccountId(0)).initial() - before, 50_000_000);
}

#[test]
fn orders_that_meet_their_own_both_shrink() {
    let decrement = ExchangeSpec { self_trade: SelfTrade::Decrement, ..spec() };
    let mut h = Harness::funded(decrement, 2);
    h.leave_out = true;
    let own = h.place(0, sell(1000, 10));
    h.place(1, sell(1000, 10));
    let (answer, events) = h.one(0, Command::Place(buy(1000, 4)));
    assert!(matches!(answer, Ok(Outcome::Placed(Placed { filled: 0, resting: 0, .. }))));
    let resized = events.iter().find_map(|event| match event {
        Event::Resized { order, reason } => {
            Some((order.order, order.size, order.remaining, *reason))
        }
        _ => None,
    });
    assert_eq!(resized, Some((own.order, 6, 6, ResizeReason::SelfTrade)));
    // It kept its place: 6 of it meet the next order first, and leave 2 for the other one.
    let (_, events) = h.one(0, Command::Place(buy(1000, 8)));
    assert_eq!(cancelled(&events), [(own.order, 6, CancelReason::SelfTrade)]);
    assert_eq!(filled(&events), [(1, 1000, 2)]);
}

#[test]
fn less_of_the_same_keeps_its_place() {
    let mut h = Harness::funded(spec(), 3);
    h.leave_out = true;
    let first = h.place(1, sell(1000, 10));
    h.place(2, sell(1000, 10));
    let modify = |order| Command::Modify { target: OrderSelector::Order(first.order), order };
    let (answer, _) = h.one(1, modify(sell(1000, 7)));
    let Ok(Outcome::Placed(placed)) = answer else { panic!("{answer:?}") };
    assert_eq!((placed.order, placed.resting), (first.order, 7));
    let (_, events) = h.one(0, Command::Place(buy(1000, 3)));
    assert_eq!(filled(&events), [(1, 1000, 3)]);
    // More, or another price, goes to the end under a new number.
    let (answer, _) = h.one(1, modify(sell(1000, 8)));
    let Ok(Outcome::Placed(placed)) = answer else { panic!("{answer:?}") };
    assert_ne!(placed.order, first.order);
    let (_, events) = h.one(0, Command::Place(buy(1000, 3)));
    assert_eq!(filled(&events), [(2, 1000, 3)]);
}

#[test]
fn a_maker_without_margin_is_taken_out_of_the_way() {
    let mut h = Harness::funded(spec(), 3);
    // A million dollars at 5 %: 19 million dollars' worth of a position, and one more to come.
    h.place(2, sell(1000, 19_000_000_000));
    h.place(1, buy(1000, 19_000_000_000));
    let bid = h.place(1, buy(990, 500_000_000));
    // The position loses 5 %: what is left covers the maintenance margin and no further buying.
    h.mark(BTC, 970);
    assert!(!h.full.peek_margin(AccountId(1)).is_liquidatable());
    let dump = OrderRequest { tif: Tif::Ioc, ..sell(985, 1_000) };
    let (_, events) = h.one(0, Command::Place(dump));
    assert_eq!(filled(&events), []);
    let expected = (bid.order, 500_000_000, CancelReason::Margin);
    assert!(cancelled(&events).contains(&expected), "{events:?}");
}

#[test]
fn a_market_order_takes_what_is_within_its_slippage() {
    let mut h = Harness::funded(spec(), 2);
    h.leave_out = true;
    h.place(1, sell(1004, 10));
    h.place(1, sell(1006, 10));
    let market = |slippage_ppm| {
        Command::PlaceMarket(MarketOrderRequest {
            market: BTC,
            side: Side::Buy,
            size: 15,
            slippage_ppm,
            reduce_only: false,
            client_id: None,
        })
    };
    h.refused(0, market(3_999), RejectCode::NoLiquidity);
    let (_, events) = h.one(0, market(5_000));
    assert_eq!(filled(&events), [(1, 1004, 10)]);
    assert_eq!(cancelled(&events)[0].1, 5);
    let mut fresh = Harness::new(spec());
    fresh.range(&funding(1)[..3]);
    fresh.refused(0, market(5_000), RejectCode::NoMark);
}

#[test]
fn a_market_does_what_its_status_says() {
    let mut h = Harness::funded(spec(), 3);
    h.place(1, buy(1000, 10));
    h.place(2, sell(1000, 10));
    let resting = h.place(0, buy(990, 10));
    let set = |h: &mut Harness, status| h.input(Input::SetStatus { market: BTC, status }).0;
    let place = Command::Place;
    let post = OrderRequest { tif: Tif::PostOnly, ..buy(980, 10) };
    let reduce = OrderRequest { reduce_only: true, ..sell(1010, 5) };
    for (status, plain, posted, reduced) in [
        (MarketStatus::Open, true, true, true),
        (MarketStatus::PostOnly, false, true, false),
        (MarketStatus::ReduceOnly, false, false, true),
        (MarketStatus::CancelOnly, false, false, false),
        (MarketStatus::Halted, false, false, false),
        (MarketStatus::Settled, false, false, false),
    ] {
        set(&mut h, status).unwrap();
        for (account, order, accepted) in
            [(0, buy(980, 10), plain), (0, post, posted), (1, reduce, reduced)]
        {
            let answer = h.one(account, place(order)).0;
            let expected = if accepted { None } else { Some(RejectCode::MarketPaused) };
            assert_eq!(answer.err().map(|r| r.code), expected, "{status:?} {order:?}");
        }
    }
    // Whatever the status: cancels.
    let (answer, _) = h.one(0, Command::Cancel(OrderSelector::Order(resting.order)));
    assert!(answer.is_ok());
    // For good.
    assert_eq!(set(&mut h, MarketStatus::Open).unwrap_err().code, RejectCode::MarketPaused);
}

#[test]
fn a_settled_market_pays_out_at_its_last_mark() {
    let mut h = Harness::funded(spec(), 3);
    h.place(1, buy(1000, 1_000));
    h.place(2, sell(1000, 1_000));
    h.mark(BTC, 1050);
    let paid = h.full.peek_owner(AccountId(1)).unwrap().collateral;
    let settle = |owner| Command::SettlePosition { owner: address(owner), market: BTC };
    h.refused(0, settle(1), RejectCode::Unsupported);
    h.input(Input::SetStatus { market: BTC, status: MarketStatus::Settled }).0.unwrap();
    // The mark stands still.
    h.mark(BTC, 1200);
    let mark = h.full.peek_prices(BTC).mark;
    let equity = h.full.peek_margin(AccountId(1)).equity();
    let (_, events) = h.one(0, settle(1));
    let closed_pnl = i128::from(mark - 1000) * 1_000;
    let (account, market, size) = (AccountId(1), BTC, 1_000);
    assert_eq!(events, [Event::PositionSettled { account, market, size, price: mark, closed_pnl }]);
    assert_eq!(h.full.peek_owner(AccountId(1)).unwrap().collateral, paid + closed_pnl);
    assert_eq!(h.full.peek_margin(AccountId(1)).equity(), equity);
    h.refused(0, settle(1), RejectCode::NotReducing);
    h.refused(0, settle(0), RejectCode::NotReducing);
    h.one(0, settle(2)).0.unwrap();
    assert_eq!(h.full.peek_top(BTC).open_interest, 0);
}
