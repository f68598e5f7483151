//! Orders, fills, money: the rules one by one.

use crate::common::*;
use atoll_exchange::*;
use atoll_types::{Address, RejectCode};

fn fills(events: &[Event]) -> Vec<Fill> {
    let fill = |event: &Event| if let Event::Filled(fill) = event { Some(*fill) } else { None };
    events.iter().filter_map(fill).collect()
}

#[test]
fn orders_trade_by_price_then_time() {
    let mut h = Harness::funded(spec(), 4);
    h.leave_out = true;
    let late = h.place(0, sell(1010, 100));
    let first = h.place(1, sell(1005, 100));
    let second = h.place(2, sell(1005, 100));
    let (answer, events) = h.one(3, Command::Place(buy(1010, 250)));
    let Ok(Outcome::Placed(placed)) = answer else { panic!("{answer:?}") };
    assert_eq!((placed.filled, placed.resting), (250, 0));
    assert_eq!(placed.notional, 200 * 1005 + 50 * 1010);
    let makers: Vec<_> = fills(&events).iter().map(|f| (f.maker.order, f.size)).collect();
    assert_eq!(makers, [(first.order, 100), (second.order, 100), (late.order, 50)]);
    assert_eq!(h.full.peek_order(AccountId(0), late.order).unwrap().remaining, 50);
    let levels = h.full.peek_levels(BTC, Side::Sell, 10);
    assert_eq!(levels, [LevelView { price: 1010, size: 50, count: 1 }]);
}

#[test]
fn a_fill_moves_cost_fees_and_profit() {
    let mut h = Harness::funded(spec(), 3);
    h.place(0, sell(1000, 1000));
    let (_, events) = h.one(1, Command::Place(buy(1000, 1000)));
    let fill = fills(&events)[0];
    // 0.035 % of a million, a rebate of 0.005 %.
    assert_eq!((fill.notional, fill.taker.fee, fill.maker.fee), (1_000_000, 350, -50));
    assert_eq!((fill.taker.start_position, fill.taker.closed_pnl), (0, 0));
    h.mark(BTC, 1100);
    let margin = h.full.peek_margin(AccountId(1));
    assert_eq!(margin.unrealised, 100_000);
    assert_eq!(margin.equity(), 1_000_000_000_000 - 350 + 100_000);
    assert_eq!((margin.initial(), margin.maintenance()), (55_000, 27_500));

    // The third account takes it over at 1100: the second realises its profit.
    h.place(2, buy(1100, 400));
    let (_, events) = h.one(1, Command::Place(sell(1100, 400)));
    let fill = fills(&events)[0];
    assert_eq!((fill.taker.start_position, fill.taker.closed_pnl), (1000, 40_000));
    let views = h.full.peek_positions(AccountId(1));
    assert_eq!((views[0].position.size, views[0].position.cost), (600, 600_000));
    assert_eq!(h.full.peek_top(BTC).open_interest, 1000);
}

#[test]
fn fees_round_against_the_payer_and_into_the_rounding_ledger() {
    let mut h = Harness::funded(spec(), 2);
    h.place(0, sell(1001, 3));
    let (_, events) = h.one(1, Command::Place(buy(1001, 3)));
    let fill = fills(&events)[0];
    // 3003 × 350 ppm = 1.05; 3003 × 50 ppm = 0.15.
    assert_eq!((fill.taker.fee, fill.maker.fee), (2, 0));
    let (_, ledger) = h.full.state().ledgers.local_iter().find(|(k, _)| k.0 == USDC).unwrap();
    assert_eq!((ledger.fees, ledger.rounding), (1, 1));
}

#[test]
fn spot_holds_what_it_gives_and_charges_what_it_gets() {
    let mut h = Harness::funded(spec(), 2);
    h.leave_out = true;
    let bid = h.place(0, order(SPOT, Side::Buy, 5000, 10_000));
    // One tick × lot is one unit of USDC.
    let usdc = h.full.peek_balance(AccountId(0), USDC);
    assert_eq!((usdc.hold, usdc.total), (50_000_000, 1_000_000_000_000));
    let (_, events) = h.one(1, Command::Place(order(SPOT, Side::Sell, 4900, 4_000)));
    let fill = fills(&events)[0];
    assert_eq!((fill.price, fill.maker.order), (5000, bid.order));
    assert_eq!((fill.maker.fee_asset, fill.taker.fee_asset), (COIN, USDC));
    // 4000 lots are 0.4 COIN = 40,000,000 units; 0.02 % of it, and 0.07 % of 20 dollars.
    assert_eq!((fill.maker.fee, fill.taker.fee), (8_000, 14_000));
    let usdc = h.full.peek_balance(AccountId(0), USDC);
    assert_eq!((usdc.hold, usdc.total), (30_000_000, 1_000_000_000_000 - 20_000_000));
    let coin = h.full.peek_balance(AccountId(0), COIN);
    assert_eq!(coin.total, 1_000_000_000_000 + 40_000_000 - 8_000);
    h.one(0, Command::Cancel(OrderSelector::Order(bid.order))).0.unwrap();
    assert_eq!(h.full.peek_balance(AccountId(0), USDC).hold, 0);
    let broke = order(SPOT, Side::Buy, 5000, 1_000_000_000);
    h.refused(1, Command::Place(broke), RejectCode::InsufficientBalance);
}

#[test]
fn a_modification_is_all_or_nothing() {
    let mut h = Harness::funded(spec(), 2);
    h.leave_out = true;
    let client_id = Some([7; 16]);
    let old = h.place(0, OrderRequest { client_id, ..buy(990, 100) });
    h.place(1, sell(1000, 100));
    let target = OrderSelector::Client([7; 16]);
    let crossing = OrderRequest { tif: Tif::PostOnly, client_id, ..buy(1000, 10) };
    let (answer, _) = h.one(0, Command::Modify { target, order: crossing });
    assert_eq!(answer.unwrap_err().code, RejectCode::WouldCross);
    assert_eq!(h.full.peek_order(AccountId(0), old.order).unwrap().remaining, 100);

    let better = OrderRequest { client_id, ..buy(995, 60) };
    let (answer, events) = h.one(0, Command::Modify { target, order: better });
    let Ok(Outcome::Placed(new)) = answer else { panic!("{answer:?}") };
    assert_eq!(events.last(), Some(&Event::Modified { old: old.order, new: new.order }));
    assert_eq!(h.full.peek_orders(AccountId(0), 9).len(), 1);
    let found = h.full.peek_client_order(AccountId(0), [7; 16]).unwrap();
    assert_eq!((found.order, found.price, found.remaining), (new.order, 995, 60));
}

#[test]
fn reduce_only_never_enlarges() {
    let mut h = Harness::funded(spec(), 3);
    let reduce = |order| OrderRequest { reduce_only: true, ..order };
    h.refused(0, Command::Place(reduce(sell(1000, 5))), RejectCode::NotReducing);
    h.place(1, sell(1000, 100));
    h.place(0, buy(1000, 100));
    h.refused(0, Command::Place(reduce(buy(1000, 5))), RejectCode::NotReducing);
    // Cut to the position, twice over; the second finds nothing left when its turn comes.
    let first = h.place(0, reduce(sell(1010, 500)));
    let second = h.place(0, reduce(sell(1010, 500)));
    assert_eq!((first.resting, second.resting), (100, 100));
    let (answer, events) = h.one(2, Command::Place(buy(1010, 150)));
    let Ok(Outcome::Placed(placed)) = answer else { panic!("{answer:?}") };
    assert_eq!((placed.filled, placed.resting), (100, 50));
    let reason = CancelReason::ReduceOnly;
    let gone = |e: &Event| {
        matches!(e, Event::Cancelled { order, reason: r }
        if *r == reason && order.order == second.order)
    };
    assert!(events.iter().any(gone));
    assert!(h.full.peek_positions(AccountId(0)).is_empty());
}

#[test]
fn self_trade_follows_the_policy() {
    for policy in [SelfTrade::CancelTaker, SelfTrade::CancelMaker, SelfTrade::Decrement] {
        let mut h = Harness::funded(ExchangeSpec { self_trade: policy, ..spec() }, 2);
        h.leave_out = true;
        h.place(1, sell(1000, 10));
        let own = h.place(0, sell(1001, 10));
        h.place(1, sell(1002, 10));
        let (answer, events) = h.one(0, Command::Place(buy(1002, 30)));
        let Ok(Outcome::Placed(placed)) = answer else { panic!("{answer:?}") };
        let kept = h.full.peek_order(AccountId(0), own.order).is_some();
        let cancelled =
            |e: &Event| matches!(e, Event::Cancelled { reason: CancelReason::SelfTrade, .. });
        assert!(events.iter().any(cancelled));
        match policy {
            SelfTrade::CancelTaker => {
                assert_eq!((placed.filled, placed.resting, kept), (10, 0, true));
                h.refused(0, Command::Place(buy(1001, 5)), RejectCode::SelfTrade);
            }
            SelfTrade::CancelMaker => {
                assert_eq!((placed.filled, placed.resting, kept), (20, 10, false));
            }
            SelfTrade::Decrement => {
                assert_eq!((placed.filled, placed.resting, kept), (20, 0, false));
            }
        }
    }
}

#[test]
fn each_refusal_has_its_code() {
    use RejectCode::*;
    let mut limited = spec();
    limited.limits = Limits {
        orders_per_account: 10,
        positions_per_account: 1,
        fills_per_command: 4,
        ..Limits::default()
    };
    let mut h = Harness::funded(limited, 3);
    let place = |order| Command::Place(order);
    h.refused(0, place(buy(0, 10)), OffTick);
    h.refused(0, place(buy(1000, 0)), OffLot);
    h.refused(0, place(buy(990, 1)), Dust);
    h.refused(0, place(buy(10_000_001, 10)), Overflow);
    h.refused(0, place(buy(1000, 100_000_000_001)), Overflow);
    h.refused(0, place(buy(1201, 10)), PriceBand);
    h.refused(0, place(sell(799, 10)), PriceBand);
    for at_the_edge in [buy(1200, 10), sell(800, 10)] {
        h.place(0, at_the_edge);
        h.one(0, Command::CancelAll { market: None }).0.unwrap();
    }
    h.refused(0, place(order(MarketId(9), Side::Buy, 1000, 10)), UnknownMarket);
    h.refused(0, Command::CancelAll { market: Some(MarketId(9)) }, UnknownMarket);
    // A million dollars carry twenty million.
    h.refused(0, place(buy(1000, 20_000_000_001)), InsufficientMargin);
    h.place(0, buy(1000, 19_999_999_000));
    h.one(0, Command::CancelAll { market: None }).0.unwrap();
    h.refused(0, place(OrderRequest { tif: Tif::Ioc, ..buy(1000, 10) }), NoLiquidity);
    h.place(1, sell(1000, 10));
    h.refused(0, place(OrderRequest { tif: Tif::PostOnly, ..buy(1000, 10) }), WouldCross);
    h.refused(1, place(buy(1000, 10)), SelfTrade);
    h.refused(0, Command::Cancel(OrderSelector::Order(OrderId(77 << 12))), UnknownOrder);
    h.refused(0, Command::Cancel(OrderSelector::Client([1; 16])), UnknownOrder);
    let foreign = h.full.peek_orders(AccountId(1), 1)[0].order;
    h.refused(0, Command::Cancel(OrderSelector::Order(foreign)), UnknownOrder);
    let named = OrderRequest { client_id: Some([1; 16]), ..buy(990, 10) };
    h.place(0, named);
    h.refused(0, place(named), DuplicateClientId);
    h.refused(0, place(order(ETH, Side::Buy, 990, 10)), TooManyPositions);
    for _ in 0..9 {
        h.place(0, buy(980, 10));
    }
    h.refused(0, place(buy(980, 10)), TooManyOrders);
    h.refused(9, place(buy(980, 10)), UnknownAccount);
    let reduce = OrderRequest { reduce_only: true, ..order(SPOT, Side::Sell, 1000, 10) };
    h.refused(0, place(reduce), Unsupported);
    h.refused(0, leverage(BTC, 21), InsufficientMargin);
    h.refused(0, leverage(SPOT, 1), Unsupported);
    h.refused(0, Command::Move { asset: USDC, to: Wallet::Spot, amount: 0 }, Overflow);
    let much = 1_000_000_000_001;
    h.refused(
        0,
        Command::Move { asset: USDC, to: Wallet::Spot, amount: much },
        InsufficientBalance,
    );
    let to = address(88);
    let transfer = |to, amount| Command::Transfer { to, asset: COIN, wallet: Wallet::Spot, amount };
    h.refused(0, transfer(to, 1), UnknownAccount);
    h.refused(0, transfer(address(1), much), InsufficientBalance);

    // More steps than one command may take: the rest is cancelled, and says why.
    for _ in 0..5 {
        h.place(1, sell(1010, 10));
    }
    let (answer, events) = h.one(2, Command::Place(buy(1010, 60)));
    assert!(matches!(answer, Ok(Outcome::Placed(Placed { filled: 40, resting: 0, .. }))));
    let cut = Event::Cancelled {
        order: match events.last() {
            Some(Event::Cancelled { order, .. }) => *order,
            other => panic!("{other:?}"),
        },
        reason: CancelReason::TooManyFills,
    };
    assert_eq!(events.last(), Some(&cut));

    h.input(Input::SetStatus { market: BTC, status: MarketStatus::CancelOnly }).0.unwrap();
    h.refused(0, place(buy(990, 10)), MarketPaused);
    h.one(0, Command::Cancel(OrderSelector::Client([1; 16]))).0.unwrap();

    let mut h = Harness::new(spec());
    let credit = |amount| Input::Credit {
        address: address(0),
        asset: USDC,
        wallet: Wallet::Collateral,
        amount,
    };
    h.input(credit(1_000_000)).0.unwrap();
    h.refused(0, place(buy(1000, 10)), NoMark);
    let code = |answer: Answer| answer.0.unwrap_err().code;
    assert_eq!(code(h.input(credit(1 << 96))), Overflow);
    assert_eq!(code(h.input(credit(-5))), Overflow);
    assert_eq!(code(h.input(Input::Oracle(OracleReport::sole(BTC, 0)))), OffTick);
    assert_eq!(code(h.input(Input::Oracle(OracleReport::sole(SPOT, 5)))), Unsupported);
}

#[test]
fn money_that_crosses_the_border_is_booked_where_it_belongs() {
    let mut h = Harness::new(spec());
    h.leave_out = true;
    let (asset, wallet) = (COIN, Wallet::Spot);
    let moved = |h: &mut Harness, input: Input| {
        let (answer, events) = h.input(input);
        answer.map_err(|refusal| refusal.code)?;
        match events.last() {
            Some(Event::BalanceChanged { change, balance, cause, .. }) => {
                Ok((*change, *balance, *cause))
            }
            other => panic!("{other:?}"),
        }
    };
    let ledger = |h: &Harness| {
        let ledger = h.full.state().ledgers.peek(&objects::LedgerKey(COIN)).copied().unwrap();
        (ledger.deposits, ledger.withdrawals, ledger.inbound, ledger.outbound)
    };
    let address = address(0);
    let receive = |amount| Input::Receive { address, asset, wallet, amount };
    let send = |amount| Input::Send { address, asset, wallet, amount };
    let back = |outside, amount| Input::Return { outside, address, asset, wallet, amount };
    assert_eq!(moved(&mut h, receive(100)), Ok((100, 100, BalanceCause::Receive)));
    let credit = Input::Credit { address, asset, wallet, amount: 10 };
    assert_eq!(moved(&mut h, credit), Ok((10, 110, BalanceCause::Credit)));
    assert_eq!(moved(&mut h, send(60)), Ok((-60, 50, BalanceCause::Send)));
    let debit = Input::Debit { address, asset, wallet, amount: 20 };
    assert_eq!(moved(&mut h, debit), Ok((-20, 30, BalanceCause::Debit)));
    assert_eq!(ledger(&h), (10, 20, 100, 60));
    assert_eq!(moved(&mut h, send(31)), Err(RejectCode::InsufficientBalance));
    // No more comes back than left, to each side.
    assert_eq!(moved(&mut h, back(Outside::Hub, 21)), Err(RejectCode::Overflow));
    assert_eq!(moved(&mut h, back(Outside::Environment, 61)), Err(RejectCode::Overflow));
    let returned = BalanceCause::Return;
    assert_eq!(moved(&mut h, back(Outside::Hub, 20)), Ok((20, 50, returned)));
    assert_eq!(moved(&mut h, back(Outside::Environment, 60)), Ok((60, 110, returned)));
    assert_eq!(ledger(&h), (10, 0, 100, 0));
    // What came in from everywhere is bounded together.
    assert_eq!(moved(&mut h, receive((1 << 96) - 109)), Err(RejectCode::Overflow));
    assert_eq!(
        moved(&mut h, receive((1 << 96) - 110)).map(|(change, ..)| change + 110),
        Ok(1 << 96)
    );
    let zero = Input::Receive { address: Address::ZERO, asset: USDC, wallet, amount: 1 };
    assert_eq!(moved(&mut h, zero), Err(RejectCode::UnknownAccount));
}

#[test]
fn collateral_that_positions_need_cannot_leave() {
    let mut h = Harness::funded(spec(), 2);
    h.leave_out = true;
    h.place(0, sell(1000, 1_000_000_000));
    h.place(1, buy(1000, 1_000_000_000));
    // A trillion units of value need 5 %; fees are paid.
    let free = h.full.peek_margin(AccountId(1)).withdrawable();
    assert_eq!(free, 1_000_000_000_000 - 350_000_000 - 50_000_000_000);
    let debit = |amount| Input::Debit {
        address: address(1),
        asset: USDC,
        wallet: Wallet::Collateral,
        amount,
    };
    let refusal = h.input(debit(free + 1)).0.unwrap_err();
    assert_eq!(refusal.code, RejectCode::InsufficientMargin);
    assert_eq!(refusal.have_need, Some((free, free + 1)));
    h.input(debit(free)).0.unwrap();
    // The mark rises: profit may be traded on, but not withdrawn before it is realised.
    h.mark(BTC, 1100);
    let margin = h.full.peek_margin(AccountId(1));
    assert_eq!(margin.withdrawable(), margin.collateral.min(margin.equity() - margin.initial()));
    h.refused(
        1,
        Command::Move { asset: USDC, to: Wallet::Spot, amount: margin.collateral + 1 },
        RejectCode::InsufficientBalance,
    );
    // Leverage 2 asks for half of the value.
    h.refused(1, leverage(BTC, 2), RejectCode::InsufficientMargin);
    h.mark(BTC, 940);
    assert!(h.full.peek_margin(AccountId(1)).is_liquidatable());
    h.refused(1, Command::Place(buy(940, 10)), RejectCode::InsufficientMargin);
    // Closing near the mark is possible below maintenance; giving the rest away is not.
    h.place(0, buy(760, 1_000_000_000));
    let dump = OrderRequest { tif: Tif::Ioc, ..sell(760, 1_000_000_000) };
    h.refused(1, Command::Place(dump), RejectCode::InsufficientMargin);
    h.place(0, buy(939, 1_000_000_000));
    h.place(1, OrderRequest { reduce_only: true, ..sell(939, 1_000_000_000) });
    assert!(h.full.peek_positions(AccountId(1)).is_empty());
}

#[test]
fn marks_move_only_at_ticks_and_only_inside_the_band() {
    let mut h = Harness::funded(spec(), 2);
    h.place(0, buy(990, 10));
    h.place(1, sell(1008, 10));
    h.input(Input::Oracle(OracleReport::sole(BTC, 1002))).0.unwrap();
    assert_eq!(h.full.peek_prices(BTC).mark, 1000);
    let (_, events) = h.input(Input::Tick { time_us: 9 });
    assert_eq!(events, [Event::MarkChanged { market: BTC, mark: 1002, oracle: 1002 }]);
    // The book alone is pulled away: the mark follows by 1 % and no further.
    h.one(0, Command::CancelAll { market: None }).0.unwrap();
    h.one(1, Command::CancelAll { market: None }).0.unwrap();
    h.place(0, buy(1150, 10));
    h.place(1, sell(1160, 10));
    let (_, events) = h.input(Input::Tick { time_us: 10 });
    assert_eq!(events, [Event::MarkChanged { market: BTC, mark: 1012, oracle: 1002 }]);
    // Time does not go back.
    h.input(Input::Tick { time_us: 3 }).0.unwrap();
    assert_eq!(h.full.peek_global().time_us, 10);
}

#[test]
fn a_level_of_100_000_orders_is_not_rewritten() {
    let mut limits = spec();
    limits.limits.orders_per_account = 4096;
    let mut h = Harness::funded(limits, 32);
    let mut orders = Vec::new();
    // Straight through the engine: the harness would audit after each.
    atoll_state::object::begin(&mut h.full);
    let mut events = Vec::new();
    for n in 0..100_000u32 {
        let account = AccountId(n % 30);
        let answer = h.full.execute(account, &Command::Place(buy(990, 10)), &mut events);
        let Ok(Outcome::Placed(placed)) = answer else { panic!("{answer:?}") };
        orders.push((account, placed.order));
        h.observer.see(h.full.rules(), &events);
        events.clear();
    }
    let mut writes = atoll_state::WriteSet::default();
    atoll_state::object::seal(&mut h.full, &mut writes, None);
    assert_eq!(h.full.peek_levels(BTC, Side::Buy, 2)[0].count, 100_000);

    h.place(31, buy(990, 10));
    assert!(h.written.0 < 600 && h.written.1 <= 8, "an insert wrote {:?}", h.written);
    let mut most = (0, 0);
    for at in [0, 1, 50_000, 99_999] {
        let (account, order) = orders[at];
        h.one(account.0, Command::Cancel(OrderSelector::Order(order))).0.unwrap();
        most = (most.0.max(h.written.0), most.1.max(h.written.1));
    }
    assert!(most.0 < 1400 && most.1 <= 8, "a cancel wrote {most:?}");
    // Empty a long stretch in the middle: what comes after it is reached at once.
    atoll_state::object::begin(&mut h.full);
    for (account, order) in &orders[2..99_998] {
        if *order != orders[50_000].1 {
            let target = OrderSelector::Order(*order);
            h.full.execute(*account, &Command::Cancel(target), &mut events).unwrap();
            h.observer.see(h.full.rules(), &events);
            events.clear();
        }
    }
    atoll_state::object::seal(&mut h.full, &mut writes, None);
    h.place(30, OrderRequest { tif: Tif::Ioc, ..sell(990, 20) });
    assert!(h.read < 40, "taking two orders read {} objects", h.read);
}

#[test]
fn an_idle_slot_is_given_to_another_market() {
    let mut limited = spec();
    limited.limits.positions_per_account = 1;
    let mut h = Harness::funded(limited, 2);
    h.leave_out = true;
    let eth = order(ETH, Side::Buy, 990, 10);
    h.place(0, buy(990, 10));
    h.refused(0, Command::Place(eth), RejectCode::TooManyPositions);
    h.one(0, Command::CancelAll { market: None }).0.unwrap();
    h.place(0, eth);
    let markets: Vec<_> = h.full.peek_positions(AccountId(0)).iter().map(|v| v.market).collect();
    assert_eq!(markets, [ETH]);
    h.refused(0, Command::Place(buy(990, 10)), RejectCode::TooManyPositions);
}

#[test]
fn a_reduce_only_order_may_not_give_away_what_maintenance_needs() {
    let mut h = Harness::funded(spec(), 2);
    h.leave_out = true;
    h.place(0, sell(1000, 1_000_000_000));
    h.place(1, buy(1000, 1_000_000_000));
    let free = h.full.peek_margin(AccountId(1)).withdrawable();
    let debit =
        Input::Debit { address: address(1), asset: USDC, wallet: Wallet::Collateral, amount: free };
    h.input(debit).0.unwrap();
    // Equity is 5 % of the value. Half of the position rests at 10 % below the mark: it would
    // lose 5 % of the value, more than the maintenance margin it frees.
    let reduce = |price, size| OrderRequest { reduce_only: true, ..sell(price, size) };
    let code = RejectCode::InsufficientMargin;
    h.refused(1, Command::Place(reduce(900, 500_000_000)), code);
    h.refused(1, Command::Place(sell(900, 500_000_000)), code);
    // At 2 % below it frees more than it loses.
    h.place(1, reduce(980, 500_000_000));
}
