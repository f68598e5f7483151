//! What histories at random seldom come to.

mod common;

use atoll_exchange::*;
use atoll_liquidator::{Found, Liquidator};
use common::*;

/// A venue whose account 1 is in debt or short of coins, as the case says, and its index.
fn venue(prepare: impl Fn(&mut Venue, &mut Vec<Event>)) -> (Venue, Liquidator) {
    let mut venue = Venue::new(3);
    prepare(&mut venue, &mut Vec::new());
    let index = Liquidator::new(&venue.exchange);
    assert_eq!(index.liquidatable().count(), 0);
    assert_eq!(index.size().watched, 0, "a case without slack shows nothing");
    (venue, index)
}

fn tick(venue: &mut Venue, index: &mut Liquidator, later: u64) -> Found {
    let mut events = Vec::new();
    venue.tick(later, &mut events);
    events.iter().for_each(|event| index.observe(event));
    let found = index.advance(&venue.exchange);
    let one = venue.exchange.peek_margin(AccountId(1)).is_liquidatable();
    assert_eq!(index.liquidatable().any(|unit| unit.account.0 == 1), one);
    while index.settle(&venue.exchange, 2) > 0 {}
    found
}

/// Coins as collateral, and a long that has lost more dollars than there are.
fn borrower(venue: &mut Venue, events: &mut Vec<Event>) {
    let out = Command::Move { asset: USDC, to: Wallet::Spot, amount: 90_000_000_000 };
    let coins = Command::Move { asset: COIN, to: Wallet::Collateral, amount: 1_000_000_000 };
    assert!(venue.command(1, coins, events) && venue.command(1, out, events));
    venue.trade(1, 0, ETH, true, 900, events);
    venue.shift(ETH, -120, events);
    venue.tick(500, events);
    // Closed at a loss: dollars are owed, coins stand for them.
    let held = venue.exchange.peek_positions(AccountId(1))[0].position.size.unsigned_abs();
    let mark = venue.exchange.peek_prices(ETH).mark;
    let order = |side| {
        let order =
            OrderRequest { market: ETH, side, price: mark, size: held, ..Default::default() };
        Command::Place(order)
    };
    assert!(venue.command(0, order(Side::Buy), events));
    assert!(venue.command(1, order(Side::Sell), events));
}

#[test]
fn interest_alone_brings_an_account_down_and_it_is_found_in_time() {
    let (mut venue, mut index) = venue(|venue, events| {
        borrower(venue, events);
        let owed = -venue.exchange.peek_owner(AccountId(1)).unwrap().collateral;
        assert!(owed > 0, "{owed}");
    });
    let mut looked_at = 0;
    // Nothing moves but time; ten hours a tick.
    for hours in 1..2_000 {
        looked_at += tick(&mut venue, &mut index, 36_000_000_000).looked_at;
        if index.liquidatable().next().is_some() {
            assert!(hours > 1 && looked_at <= hours + 1, "{hours} {looked_at}");
            return;
        }
    }
    panic!("interest never counted");
}

#[test]
fn a_coin_that_stands_for_a_debt_is_followed_as_it_falls() {
    let (mut venue, mut index) = venue(borrower);
    let mut events = Vec::new();
    for _ in 0..400 {
        // The coin's oracle is BTC's.
        venue.shift(BTC, -10, &mut events);
        tick(&mut venue, &mut index, 500);
        if index.liquidatable().next().is_some() {
            return;
        }
    }
    panic!("the debt was always covered");
}

#[test]
fn coins_owed_are_followed_as_the_coin_rises() {
    let (mut venue, mut index) = venue(|venue, events| {
        // A long in an inverse contract that lost coins which the account has not.
        venue.trade(1, 0, INV, true, 500, events);
        venue.shift(INV, -30, events);
        venue.tick(500, events);
        venue.trade(1, 0, ETH, true, 10, events);
        assert!(venue.exchange.peek_margin(AccountId(1)).other < 0);
    });
    let mut events = Vec::new();
    for by in [5, 20, 260, 300, 300, 400, 400, 400, 400] {
        venue.shift(BTC, by, &mut events);
        tick(&mut venue, &mut index, 500);
        if index.liquidatable().next().is_some() {
            return;
        }
    }
    panic!("the coins owed were always covered");
}

#[test]
fn small_moves_look_at_nobody_and_hourly_funding_neither() {
    let (mut venue, mut index) = venue(|venue, events| {
        venue.trade(1, 0, ETH, true, 300, events);
        venue.trade(1, 0, SOL, false, 300, events);
    });
    let mut events = Vec::new();
    for n in 0..100i64 {
        venue.shift(ETH, n % 3 - 1, &mut events);
        venue.shift(SOL, (n + 1) % 3 - 1, &mut events);
        // A hundredth of a percent of the price, hourly, one way and the other.
        let change = if n % 4 < 2 { 10_000_000_000 } else { -10_000_000_000 };
        venue.input(Input::Funding { market: ETH, change }, &mut events);
        let found = tick(&mut venue, &mut index, 3_600_000_000);
        assert_eq!((found.looked_at, found.waiting), (0, 0), "{n}");
    }
}
