//! What a node remembers of margins changes no answer, no event, no write and no read.

use crate::common::*;
use atoll_exchange::*;
use atoll_state::{Resident, WriteSet, object};
use atoll_types::RejectCode;
use std::collections::BTreeSet;

const MARKETS: u16 = 6;

/// Several linear markets, the last one with tiers; coins are collateral too.
fn wide() -> ExchangeSpec {
    let mut spec = spec();
    spec.assets[1].pledge = Some(Pledge { market: BTC, haircut_ppm: 100_000, cap: 0 });
    spec.markets.truncate(2);
    let names = ["SOL", "DOGE", "LINK", "XRP"];
    spec.markets.extend(names.map(|name| MarketSpec { notional_min: 1, ..perpetual(name) }));
    spec.markets[usize::from(MARKETS) - 1].risk.tiers = vec![MarginTier {
        lower_bound: 400_000,
        initial_margin_ppm: 200_000,
        maintenance_margin_ppm: 100_000,
    }];
    spec
}

fn place(market: u16, side: Side, price: Price, size: Size) -> Command {
    Command::Place(order(MarketId(market), side, price, size))
}

/// Coins that count as collateral are in no bound: it ends where they come in.
#[test]
fn other_collateral_ends_what_is_remembered() {
    let mut h = Harness::funded(wide(), 2);
    for market in 0..2 {
        h.one(0, place(market, Side::Buy, 990, 1_000)).0.unwrap();
    }
    let to = Wallet::Collateral;
    h.one(0, Command::Move { asset: COIN, to, amount: 1_000_000 }).0.unwrap();
    // Most dollars leave; a harness compares what is remembered with the sum after every range.
    let (to, amount) = (Wallet::Spot, 990_000_000_000);
    h.one(0, Command::Move { asset: USDC, to, amount }).0.unwrap();
    h.refused(0, place(0, Side::Buy, 990, 1_000_000_000), RejectCode::InsufficientMargin);
}

/// A bound decides, and then the account's idle slot is given to another market, in one range: what
/// the sum would have read of the market that was there is in the read set all the same.
#[test]
fn what_a_bound_decided_on_is_read_before_it_changes() {
    let mut h = Harness::funded(wide(), 2);
    h.leave_out = true;
    let of = AccountId(0);
    let Ok(Outcome::Placed(first)) = h.one(0, place(0, Side::Buy, 990, 1_000)).0 else { panic!() };
    h.one(0, place(1, Side::Buy, 990, 1_000)).0.unwrap();
    h.one(0, Command::Cancel(OrderSelector::Order(first.order))).0.unwrap();
    h.range(&[
        Op::Do(of, place(1, Side::Buy, 991, 1_000)),
        Op::Do(of, Command::SetLeverage { market: MarketId(2), leverage: 2, isolated: false }),
    ]);
}

/// Accounts that are always near their limits, in markets that move: whoever remembers answers as
/// whoever sums up each time, and both write the same.
#[test]
fn who_remembers_answers_as_who_sums_up() {
    let mut refused = BTreeSet::new();
    for seed in 1..=40 {
        let mut state: u64 = seed;
        let mut below = |n: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        let mut both: [Exchange<Resident>; 2] = [1, usize::MAX].map(|positions| {
            let mut exchange = Exchange::new(Rules::new(wide()).unwrap(), 7);
            exchange.remember_from(positions);
            object::begin(&mut exchange);
            exchange
        });
        let mut apply = |op: &Op| {
            let [one, other] = both.each_mut().map(|exchange| {
                let mut events = Vec::new();
                let answer = match op {
                    Op::Do(account, command) => exchange.execute(*account, command, &mut events),
                    Op::In(input) => exchange.apply(input, &mut events),
                };
                let mut writes = WriteSet::default();
                object::seal(exchange, &mut writes, None);
                object::begin(exchange);
                let wrong = exchange.inconsistencies();
                assert!(wrong.is_empty(), "{wrong:#?}");
                (answer, events, writes)
            });
            assert_eq!(one, other, "seed {seed}: {op:?}");
            one.0
        };
        for n in 0..4 {
            let (asset, wallet) = (USDC, Wallet::Collateral);
            let amount = 300_000 + i128::from(n) * 50_000;
            apply(&Op::In(Input::Credit { address: address(n), asset, wallet, amount })).unwrap();
        }
        let mut time_us = 0;
        for step in 0..400 {
            if step % 25 == 0 {
                for market in (0..MARKETS).map(MarketId) {
                    let price = 980 + below(40);
                    apply(&Op::In(Input::Oracle(OracleReport::sole(market, price)))).unwrap();
                    let change = i128::from(below(2_000_000_000)) - 1_000_000_000;
                    let _ = apply(&Op::In(Input::Funding { market, change }));
                }
                time_us += 100_000;
                apply(&Op::In(Input::Tick { time_us })).unwrap();
            }
            let side = if below(2) == 0 { Side::Buy } else { Side::Sell };
            let market = below(MARKETS.into()) as u16;
            let command = match below(10) {
                0 => Command::CancelAll { market: None },
                1 => Command::Move { asset: USDC, to: Wallet::Spot, amount: below(40_000).into() },
                _ => place(market, side, 985 + below(30), 1 + below(300)),
            };
            if let Err(refusal) = apply(&Op::Do(AccountId(below(4) as u32), command)) {
                refused.insert(refusal.code.label());
            }
        }
    }
    assert!(refused.contains(RejectCode::InsufficientMargin.label()), "{refused:?}");
}
