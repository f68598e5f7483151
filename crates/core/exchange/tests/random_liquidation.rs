//! Random crashes against the naive twin: thin accounts, high leverage, violent marks. The same
//! answers, events, books, margins and funds, and what a liquidation promises to everybody.

use crate::common::crash::{ACCOUNTS, Plan, VAULT, begin, concrete};
use crate::common::history::Both;
use crate::common::twin::Twin;
use crate::common::*;
use atoll_exchange::*;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
struct History {
    spec: ExchangeSpec,
    money: Vec<Amount>,
    /// Who begins with isolated positions at twenty times, and in which markets.
    isolated: Vec<(u32, MarketId)>,
    ranges: Vec<Vec<Plan>>,
    leave_out: bool,
}

fn market() -> impl Strategy<Value = MarketId> {
    prop_oneof![5 => Just(BTC), 3 => Just(ETH), 3 => Just(INV)]
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Buy), Just(Side::Sell)]
}

fn other() -> impl Strategy<Value = Plan> {
    let who = || 0..ACCOUNTS;
    let command = prop_oneof![
        4 => (0..2u16, prop_oneof![1..200_000i128, 1..3_000_000i128]).prop_map(|(asset, amount)| {
            Command::FundInsurance { asset: AssetId(asset), amount }
        }),
        6 => (market(), 1..21u8, prop::bool::weighted(0.6))
            .prop_map(|(market, leverage, isolated)| Command::SetLeverage {
                market, leverage, isolated,
            }),
        5 => prop_oneof![1..2_000_000i128, 1..2_000_000_000i128].prop_map(|amount| Command::Move {
            asset: COIN, to: Wallet::Collateral, amount,
        }),
        2 => (0..5_000_000i128).prop_map(|amount| Command::Move {
            asset: USDC, to: Wallet::Spot, amount,
        }),
        3 => (market(), -200_000..200_000i128)
            .prop_map(|(market, amount)| Command::AdjustMargin { market, amount }),
        3 => (0..ACCOUNTS + 1, market()).prop_map(|(n, market)| Command::SettlePosition {
            owner: address(n), market,
        }),
        3 => (0..ACCOUNTS + 1, prop::option::of((0..5u16).prop_map(MarketId))).prop_map(
            |(n, market)| Command::Liquidate { owner: address(n), market }
        ),
        2 => ((0..5u16).prop_map(MarketId), side())
            .prop_map(|(market, side)| Command::Deleverage { market, side }),
        4 => (market(), side(), 900..1100u64, prop::bool::ANY).prop_map(
            |(market, side, trigger_price, takes)| Command::AttachTriggers([Some(TriggerRequest {
                market, side, trigger_price, limit: None, size: 0, reduce_only: true,
                kind: if takes { TriggerKind::TakeProfit } else { TriggerKind::Stop },
                client_id: None,
            }), None])
        ),
    ];
    let status = prop_oneof![
        16 => Just(MarketStatus::Open), 1 => Just(MarketStatus::Halted),
        1 => Just(MarketStatus::Auction), 2 => Just(MarketStatus::Settled),
        1 => Just(MarketStatus::ReduceOnly),
    ];
    let input = prop_oneof![
        4 => (market(), -30_000_000_000..30_000_000_000i128)
            .prop_map(|(market, change)| Input::Funding { market, change }),
        1 => (market(), 1_000_000..2_000_000u32).prop_map(|(market, scale)| Input::MarginScale {
            market, scale_ppm: (scale, scale),
        }),
        2 => (market(), status).prop_map(|(market, status)| Input::SetStatus { market, status }),
        2 => (0..ACCOUNTS, 1..9_000_000i128).prop_map(|(n, amount)| Input::Debit {
            address: address(n), asset: USDC, wallet: Wallet::Collateral, amount,
        }),
        1 => (0..ACCOUNTS, 1..3_000_000i128).prop_map(|(n, amount)| Input::Credit {
            address: address(n), asset: USDC, wallet: Wallet::Collateral, amount,
        }),
    ];
    prop_oneof![
        3 => (who(), command).prop_map(|(n, command)| Plan::Op(Op::Do(AccountId(n), command))),
        1 => input.prop_map(|input| Plan::Op(Op::In(input))),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let who = || 0..ACCOUNTS;
    let size = || prop_oneof![3 => 1..3_000u64, 3 => 1_000..20_000u64, 1 => 1..200_000u64];
    let thousandths = prop_oneof![3 => -30..30i64, 3 => -90..90i64, 2 => -220..220i64];
    let later = prop_oneof![
        4 => 0..200_000u64, 2 => 0..12_000_000u64, 1 => 0..400_000_000_000u64,
    ];
    prop_oneof![
        14 => (who(), who(), market(), size()).prop_map(|(a, b, m, size)| Plan::Pair(a, b, m, size)),
        10 => (who(), market(), side(), 0..60u64, size(), prop::bool::weighted(0.15))
            .prop_map(|(n, m, side, off, size, only)| Plan::Rest(n, m, side, off, size, only)),
        8 => (market(), thousandths).prop_map(|(market, by)| Plan::Jump(market, by)),
        3 => later.prop_map(Plan::Later),
        12 => any::<usize>().prop_map(Plan::Liquidate),
        10 => any::<usize>().prop_map(Plan::Deleverage),
        4 => (1..8usize).prop_map(Plan::Storm),
        5 => (market(), prop_oneof![-250..-30i64, 30..300i64], 1..6usize)
            .prop_map(|(market, by, n)| Plan::Crash(market, by, n)),
        8 => other(),
    ]
}

fn history() -> impl Strategy<Value = History> {
    let liquidation = (
        prop_oneof![Just(1_000u64), 1_000..30_000_000u64, Just(100_000_000_000)],
        prop_oneof![3 => Just(200_000u32), 1 => 0..1_000_001u32],
        prop_oneof![2 => Just(666_667u32), 1 => 0..1_000_001u32],
        prop::bool::weighted(0.6),
        any::<bool>(),
        prop_oneof![Just(10_000_000u64), 1..1_000_000u64],
        prop_oneof![Just(0u32), Just(300_000), Just(1_000_000)],
    );
    let limits = (
        prop_oneof![Just(1u32), Just(2), Just(3), Just(1000)],
        prop_oneof![Just(1u32), Just(3), Just(1000)],
        prop_oneof![1 => 1..9u32, 1 => Just(50u32), 6 => Just(20_000)],
    );
    let policy = prop_oneof![
        Just(SelfTrade::CancelMaker),
        Just(SelfTrade::CancelTaker),
        Just(SelfTrade::Decrement)
    ];
    let amount = prop_oneof![
        3 => 1_000..1_000_000i128, 4 => 100_000..5_000_000i128, 1 => 1_000_000..900_000_000i128,
    ];
    let money = prop::collection::vec(amount, ACCOUNTS as usize);
    let ranges = prop::collection::vec(prop::collection::vec(plan(), 1..60), 1..14);
    let isolated = prop::collection::vec((0..VAULT, market()), 0..9);
    let ending =
        prop::option::weighted(0.6, (market(), prop_oneof![-300..-60i64, 60..400i64], 0..4usize));
    let leave_out = prop::bool::weighted(0.02);
    let rich = prop::bool::weighted(0.6);
    (ranges, (money, isolated, ending), liquidation, limits, policy, leave_out, rich).prop_map(
        |(
            ranges,
            (money, isolated, ending),
            (above, ppm, floor, vault, aware, valid, part),
            limits,
            policy,
            leave_out,
            rich,
        )| {
            let mut spec = if rich { venue() } else { spec() };
            spec.self_trade = policy;
            spec.liquidation = LiquidationSpec {
                partial_above: above,
                partial_ppm: ppm,
                cooldown_us: valid,
                backstop_ppm: floor,
                backstop: vault.then(|| address(VAULT)),
                backstop_margin_ppm: 1_000_000 + ppm,
                deleveraging: if aware { Deleveraging::RiskAware } else { Deleveraging::Queue },
                ranking_valid_us: valid,
                insurance_ppm: part,
            };
            spec.limits.ranked_per_command = limits.0;
            spec.limits.fills_per_command = limits.1;
            spec.limits.liquidation_per_slot = limits.2;
            let mut money = money;
            money[VAULT as usize] *= 50;
            let mut ranges = ranges;
            ranges
                .push(ending.map(|(market, by, n)| Plan::End(market, by, n)).into_iter().collect());
            for market in &mut spec.markets {
                market.notional_min = market.notional_min.min(1_000);
            }
            History { spec, money, isolated, ranges, leave_out }
        },
    )
}

type Counts = BTreeMap<String, u64>;

/// What must hold after a liquidation, whatever it was; counts what happened.
fn promises(
    op: &Op,
    before: &Twin,
    after: &Twin,
    events: &[Event],
    left: &mut BTreeMap<(u16, bool), i128>,
    counts: &mut Counts,
) -> Result<(), TestCaseError> {
    let mut count = |what: &str| *counts.entry(what.into()).or_default() += 1;
    let mut forgone: Amount = 0;
    let (mut insured, mut booked) = ([0; 2], [0; 2]);
    for event in events {
        match event {
            Event::PositionTaken { market, from, to, size, value, .. } => {
                let key = (market.0, *size > 0);
                match (from, to) {
                    (Some(_), None) => {
                        *left.entry(key).or_default() += value;
                        let inverse = *market == INV;
                        let mark = before.at_mark(*market, size.unsigned_abs());
                        let at_mark = if (*size > 0) != inverse { mark } else { -mark };
                        forgone += value - at_mark;
                        prop_assert!(*value >= at_mark, "worse than the mark for the bankrupt");
                    }
                    (None, to) => {
                        *left.entry(key).or_default() -= value;
                        if let Some(to) = to {
                            count("deleveraged");
                            let had = before.size_of(to.0, *market);
                            prop_assert!(had.signum() == -size.signum());
                            prop_assert!(had.abs() >= size.abs(), "more than it had");
                        }
                    }
                    _ => count("handed over"),
                }
            }
            Event::InsurancePaid { asset, amount, .. } => {
                insured[usize::from(asset.0)] += amount;
                count("insured");
            }
            Event::ShortfallBooked { asset, amount, .. } => {
                booked[usize::from(asset.0)] += amount;
                count("shortfall booked");
            }
            Event::Ranked { .. } => count("ranked"),
            _ => {}
        }
    }
    for ((market, long), cost) in left.iter() {
        let side = if *long { Side::Buy } else { Side::Sell };
        // To the unit: what was left was taken over, or is still there.
        prop_assert_eq!(after.ladder.cost(MarketId(*market), side), *cost);
    }
    if let Op::Do(_, Command::SettlePosition { owner, .. }) = op {
        let at = (0..after.accounts() as u32).find(|n| address(*n) == *owner);
        let Some(n) = at.filter(|_| !events.is_empty()) else { return Ok(()) };
        let (collateral, coins, held) = after.estate_of(n);
        let done = events.iter().any(|e| matches!(e, Event::Liquidated { .. }));
        if done {
            count("Insurance");
            prop_assert_eq!((collateral, coins), (0, 0), "not exactly nothing");
        }
        prop_assert!(
            !held.is_empty() || after.account(n as usize).0 >= 0,
            "owes and is not booked"
        );
        return Ok(());
    }
    let Some(Event::Liquidated { account, market, step, equity, maintenance }) = events.first()
    else {
        return Ok(());
    };
    let Op::Do(_, Command::Liquidate { owner, .. }) = op else {
        return Err(TestCaseError::fail("liquidated by something else"));
    };
    let n = account.0;
    prop_assert_eq!(*owner, address(n));
    prop_assert!(equity < maintenance, "it covers its maintenance");
    let due = before.due_now();
    prop_assert!(due.contains(&(n, *market)));
    count(&format!("{step:?}{}", if market.is_some() { ", isolated" } else { "" }));
    let (collateral, coins, held) = after.estate_of(n);
    let (had, had_coins, _) = before.estate_of(n);
    match (step, market) {
        (LiquidationStep::Orders, _) => prop_assert!(events.len() > 1),
        (LiquidationStep::Book, None) => {
            let (equity, ..) = after.account(n as usize);
            prop_assert!(equity >= 0, "the book left {}", equity);
        }
        (LiquidationStep::Book, Some(market)) => {
            let (size, equity) = after.isolated_of(n, *market);
            prop_assert!(size == 0 || equity >= 0, "the book left {}", equity);
            // Fees are the cross account's, and come back with what was closed.
            let (was, now) = (before.account(n as usize).0, after.account(n as usize).0);
            prop_assert!(now >= was, "an isolated position cost its account {}", was - now);
        }
        (_, None) => {
            prop_assert_eq!((collateral, coins, held), (0, 0, vec![]), "not exactly nothing");
        }
        (_, Some(market)) => {
            prop_assert_eq!(after.isolated_of(n, *market).0, 0);
            // A unit of a coin is what rounding a position's value for its account comes to.
            let rest = (collateral - had).abs().max((coins - had_coins).abs());
            let interest = events.iter().any(|e| matches!(e, Event::InterestPaid { .. }));
            prop_assert!(interest || rest <= i128::from(*market == INV), "{} is left", rest);
        }
    }
    let plain = had_coins == 0 && *market != Some(INV) && before.coins_of(n) == 0;
    if matches!(step, LiquidationStep::Deleveraging | LiquidationStep::Insurance) && plain {
        // The shortfall, and not a unit more, is what others give.
        prop_assert_eq!(forgone + insured[0] + booked[0], -*equity);
    }
    Ok(())
}

fn check(history: &History, counts: &mut Counts) -> Result<(), TestCaseError> {
    let mut both = Both::new(&history.spec);
    both.harness.leave_out = history.leave_out;
    both.each_step = true;
    let mut left = BTreeMap::new();
    let begin = begin(history.spec.markets.len(), &history.money, &history.isolated);
    let start = [begin.into_iter().map(Plan::Op).collect()];
    for plans in start.iter().chain(&history.ranges) {
        for plan in plans {
            // One after the other: what is due changes with each.
            for op in concrete(plan, &both.twin) {
                let before = both.twin.clone();
                let (reply, told) = both.push(op.clone()).clone();
                promises(&op, &before, &both.twin, &told, &mut left, counts)?;
                if let Err(code) = reply
                    && matches!(
                        op,
                        Op::Do(_, Command::Liquidate { .. } | Command::Deleverage { .. })
                    )
                {
                    *counts.entry(format!("refused: {code:?}")).or_default() += 1;
                }
            }
        }
        both.seal();
    }
    for (what, times) in &both.twin.ladder.counts {
        *counts.entry((*what).into()).or_default() += times;
    }
    Ok(())
}

#[test]
fn liquidations_do_what_the_rules_say_and_every_step_is_reached() {
    let cases = cases(250);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let counts = RefCell::new(Counts::new());
    let result = TestRunner::new(config)
        .run(&history(), |history| check(&history, &mut counts.borrow_mut()));
    let counts = counts.into_inner();
    for (what, times) in &counts {
        println!("{times:8} {what}");
    }
    if let Err(failure) = result {
        panic!("{failure}");
    }
    let often = [
        "Orders",
        "Orders, isolated",
        "Book",
        "Book, isolated",
        "Backstop",
        "Backstop, isolated",
        "Deleveraging",
        "Deleveraging, isolated",
        "insured",
        "ranked",
        "deleveraged",
        "handed over",
        "cleared",
        "in part",
        "vault could not",
        "vault closed",
        "coins bought",
        "may give more",
    ];
    // A run of the usual length reaches these about ten times: too few to count on.
    let seldom = [
        "Insurance",
        "shortfall booked",
        "netted",
        "not the largest",
        "list used up",
        "settled",
        "isolated and settled below nothing",
        "settled below nothing",
        "and again",
    ];
    let seldom = seldom.iter().filter(|_| cases >= 1000);
    for what in often.iter().chain(seldom) {
        let times = counts.get(*what).copied().unwrap_or(0);
        assert!(times >= 1, "{what} was not reached; see the counts above");
    }
}
