//! What becomes of actions: orders, cancels, modifications, leverage, money, oracle, batches.

use crate::common::{BTC, ETH, IDENTITY, START_MS, Venue, key, marks, order, wire};
use atoll_exchange::{CancelReason, Event, OrderRequest, OrderSelector, Side, Tif, Wallet};
use atoll_types::{Encode, Lane, RejectCode};
use atoll_vm::exchange::sign::{sign_action, sign_message, sign_oracle};
use atoll_vm::exchange::{AtollMessage, ExchangeReceipt, Status, build};
use atoll_vm::{SlotContext, Vm};

fn resting(status: &Status) -> atoll_exchange::OrderId {
    match status {
        Status::Resting { order, .. } => *order,
        other => panic!("{other:?}"),
    }
}

fn code(status: &Status) -> RejectCode {
    match status {
        Status::Rejected { code, detail } => {
            assert!(detail.len() > 10, "{detail}");
            *code
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn orders_rest_fill_and_say_so() {
    let mut venue = Venue::new(true);
    let client_id = Some([9; 16]);
    let ask = OrderRequest { client_id, ..order(Side::Sell, 200_000, 10, Tif::PostOnly) };
    let status = venue.place("alice", ask);
    assert!(matches!(status, Status::Resting { client_id: Some(id), .. } if id == [9; 16]));
    let taken = venue.place("bob", order(Side::Buy, 200_100, 25, Tif::Gtc));
    let Status::Filled { size, notional, resting, .. } = taken else { panic!("{taken:?}") };
    assert_eq!((size, notional, resting), (10, 2_000_000, 15));
    let cross = venue.place("alice", order(Side::Sell, 200_000, 10, Tif::PostOnly));
    assert_eq!(code(&cross), RejectCode::WouldCross);
    let nothing = venue.place("carol", order(Side::Buy, 200_000, 10, Tif::Ioc));
    assert_eq!(code(&nothing), RejectCode::NoLiquidity);
}

#[test]
fn a_batch_goes_on_past_refused_orders() {
    let mut venue = Venue::new(true);
    let good = wire(&venue.spec, &order(Side::Buy, 199_000, 10, Tif::Gtc));
    let with = |change: fn(&mut build::OrderWire)| {
        let mut wire = good.clone();
        change(&mut wire);
        wire
    };
    let orders = [
        good.clone(),
        with(|o| o.price = "1990.001".into()),
        with(|o| o.size = "0.00101".into()),
        with(|o| o.asset = 2),
        with(|o| o.asset = 10_001),
        with(|o| o.size = "99999999999999999999999999999".into()),
        with(|o| o.size = "0.0001".into()),
        with(|o| o.size = "99999".into()),
        with(|o| o.price = "19.9".into()),
        good.clone(),
    ];
    let receipt = venue.act("alice", build::orders(&orders)).unwrap();
    let codes: Vec<_> = receipt.statuses[1..9].iter().map(code).collect();
    let expected = [
        RejectCode::OffTick,
        RejectCode::OffLot,
        RejectCode::UnknownMarket,
        RejectCode::UnknownMarket,
        RejectCode::Overflow,
        RejectCode::Dust,
        RejectCode::InsufficientMargin,
        RejectCode::PriceBand,
    ];
    assert_eq!(codes, expected);
    assert_ne!(resting(&receipt.statuses[0]), resting(&receipt.statuses[9]));
}

#[test]
fn cancels_name_their_market() {
    let mut venue = Venue::new(true);
    let place = |venue: &mut Venue, client_id| {
        let bid = OrderRequest { client_id, ..order(Side::Buy, 199_000, 10, Tif::Gtc) };
        resting(&venue.place("alice", bid))
    };
    let (first, second) = (place(&mut venue, None), place(&mut venue, Some([7; 16])));
    // In another market, of another account, and once more after it is gone.
    let wrong = venue.act("alice", build::cancels(&[(1, first)])).unwrap();
    assert_eq!(code(&wrong.statuses[0]), RejectCode::UnknownOrder);
    assert_eq!(wrong.events, []);
    let foreign = venue.act("bob", build::cancels(&[(0, first)])).unwrap();
    assert_eq!(code(&foreign.statuses[0]), RejectCode::UnknownOrder);
    let cancels = build::cancels(&[(0, first), (0, first), (77, first)]);
    let receipt = venue.act("alice", cancels).unwrap();
    assert_eq!(receipt.statuses[0], Status::Success);
    assert_eq!(code(&receipt.statuses[1]), RejectCode::UnknownOrder);
    assert_eq!(code(&receipt.statuses[2]), RejectCode::UnknownMarket);
    let by_client = venue.act("alice", build::cancels_by_client_id(&[(0, [7; 16])])).unwrap();
    assert_eq!(by_client.statuses, [Status::Success]);
    let cancelled = |event: &Event| {
        matches!(event, Event::Cancelled { order, reason: CancelReason::Requested }
            if order.order == second)
    };
    assert!(by_client.events.iter().any(cancelled));
}

#[test]
fn modifications_replace_or_do_nothing() {
    let mut venue = Venue::new(true);
    let bid = order(Side::Buy, 199_000, 10, Tif::Gtc);
    let old = resting(&venue.place("alice", bid));
    let better = wire(&venue.spec, &OrderRequest { price: 199_100, ..bid });
    let elsewhere = wire(&venue.spec, &OrderRequest { market: BTC, price: 59_000, ..bid });
    let target = OrderSelector::Order(old);
    let wrong = venue.act("alice", build::modify(&target, &elsewhere)).unwrap();
    assert_eq!(code(&wrong.statuses[0]), RejectCode::UnknownOrder);
    let receipt = venue.act("alice", build::modify(&target, &better)).unwrap();
    let new = resting(&receipt.statuses[0]);
    assert!(receipt.events.contains(&Event::Modified { old, new }));
    let twice = [(target, better.clone()), (OrderSelector::Order(new), better)];
    let receipt = venue.act("alice", build::modifies(&twice)).unwrap();
    assert_eq!(code(&receipt.statuses[0]), RejectCode::UnknownOrder);
    assert_ne!(resting(&receipt.statuses[1]), new);
}

#[test]
fn leverage_money_and_noop() {
    let mut venue = Venue::new(true);
    let set = |venue: &mut Venue, leverage| {
        venue.act("alice", build::update_leverage(1, true, leverage)).unwrap().statuses
    };
    assert_eq!(set(&mut venue, 5), [Status::Success]);
    for out in [0, 21, 256, u64::MAX] {
        assert_eq!(code(&set(&mut venue, out)[0]), RejectCode::InsufficientMargin);
    }
    let isolated = venue.act("alice", build::update_leverage(1, false, 5)).unwrap().statuses;
    assert_eq!(isolated, [Status::Success]);
    // There is no position yet to give margin to.
    let given = venue.act("alice", build::update_isolated_margin(1, -5)).unwrap().statuses;
    assert_eq!(code(&given[0]), RejectCode::Unsupported);
    assert_eq!(set(&mut venue, 5), [Status::Success]);
    assert_eq!(venue.act("alice", build::noop()).unwrap().statuses, [Status::Success]);

    let send = |venue: &mut Venue, message: AtollMessage| {
        let nonce = venue.next_nonce();
        let signed = sign_message(&key("alice"), &IDENTITY, 4242, &message, nonce);
        venue.send(&signed).unwrap().statuses.remove(0)
    };
    let to = key("bob").address();
    let transfer = |asset: &str, amount| AtollMessage::Transfer {
        to,
        asset: asset.into(),
        wallet: Wallet::Collateral,
        amount,
    };
    assert_eq!(send(&mut venue, transfer("USDC", 400_000)), Status::Success);
    for (message, expected) in [
        (transfer("USDC", 1_000_000_000_000), RejectCode::InsufficientBalance),
        (transfer("USDC", u128::MAX), RejectCode::Overflow),
        (transfer("USDC", 0), RejectCode::Overflow),
        (transfer("UBTC", 1), RejectCode::Unsupported),
        (transfer("DOGE", 1), RejectCode::Unsupported),
    ] {
        assert_eq!(code(&send(&mut venue, message)), expected);
    }
    let moved = AtollMessage::Move { to: Wallet::Spot, amount: 5_000_000 };
    assert_eq!(send(&mut venue, moved), Status::Success);
    let account = venue.vm.account_of(&key("alice").address()).unwrap();
    let balance = venue.vm.exchange().peek_balance(account, atoll_exchange::AssetId(0));
    assert_eq!(balance.total, 5_000_000);
}

#[test]
fn lanes_are_those_of_what_an_action_can_do() {
    let venue = Venue::new(true);
    let lane = |action| {
        let signed = sign_action(&key("alice"), action, START_MS);
        venue.check(&signed.to_bytes()).unwrap().lane
    };
    let post = wire(&venue.spec, &order(Side::Buy, 199_000, 10, Tif::PostOnly));
    let rest = wire(&venue.spec, &order(Side::Buy, 199_000, 10, Tif::Gtc));
    let id = atoll_exchange::OrderId(1);
    assert_eq!(lane(build::cancels(&[(0, id), (99, id)])), Lane::Cancel);
    assert_eq!(lane(build::cancels_by_client_id(&[(0, [1; 16])])), Lane::Cancel);
    assert_eq!(lane(build::orders(&[post.clone(), post.clone()])), Lane::PostOnly);
    assert_eq!(lane(build::orders(&[post.clone(), rest])), Lane::Rest);
    assert_eq!(lane(build::modify(&OrderSelector::Order(id), &post)), Lane::PostOnly);
    assert_eq!(lane(build::noop()), Lane::Aside);
}

#[test]
fn oracle_prices_take_effect_at_the_next_tick_and_never_go_back_in_time() {
    let mut venue = Venue::new(true);
    let mark = |venue: &Venue| venue.vm.exchange().peek_prices(ETH).mark;
    assert_eq!(mark(&venue), 200_000);
    let update = |time_ms, price| {
        sign_oracle(&key("oracle"), &IDENTITY, time_ms, &marks(price, 60_000)).to_bytes()
    };
    venue.submit(&update(START_MS + 5, 201_000)).unwrap();
    assert_eq!(mark(&venue), 200_000);
    venue.vm.open_tick(START_MS * 1000 + 500);
    assert_eq!(mark(&venue), 201_000);
    let again = venue.submit(&update(START_MS + 5, 202_000)).unwrap_err();
    assert_eq!(again.code, RejectCode::NonceUsed);
    let old = venue.submit(&update(START_MS + 4, 202_000)).unwrap_err();
    assert_eq!(old.code, RejectCode::NonceTooLow);
    let future = venue.submit(&update(START_MS + 25 * 3_600_000, 202_000)).unwrap_err();
    assert_eq!(future.code, RejectCode::NonceTooHigh);
    // A trader's action is no input of a slot.
    let signed = sign_action(&key("alice"), build::noop(), START_MS + 1);
    let checked = venue.check(&signed.to_bytes()).unwrap();
    venue.vm.open_slot(&SlotContext {
        slot: 2,
        time_us: START_MS * 1000 + 600,
        ..crate::common::context()
    });
    let refused = ExchangeReceipt::of(&venue.vm.execute_input(&checked)).unwrap_err();
    assert_eq!(refused.code, RejectCode::NotAllowed);
    assert!(ExchangeReceipt::of(&venue.vm.execute(&checked)).is_ok());
}
