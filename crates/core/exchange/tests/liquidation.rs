//! Liquidation and deleveraging, with the numbers of `docs/exchange/liquidation.md`.

use crate::common::*;
use atoll_exchange::*;
use atoll_types::RejectCode;

/// A venue where accounts have what they are given, in the order of their numbers, marks at 1000.
fn venue_of(spec: ExchangeSpec, collateral: &[Amount]) -> Harness {
    let mut h = Harness::new(spec);
    let mut ops = Vec::new();
    for (n, amount) in (0..).zip(collateral) {
        let (asset, wallet, amount) = (USDC, Wallet::Collateral, *amount);
        ops.push(Op::In(Input::Credit { address: address(n), asset, wallet, amount }));
    }
    for market in [BTC, ETH] {
        ops.push(Op::In(Input::Oracle(OracleReport::sole(market, 1000))));
    }
    ops.push(Op::In(Input::Tick { time_us: 1_000_000 }));
    h.range(&ops).into_iter().for_each(|answer| {
        answer.0.unwrap();
    });
    h
}

fn with(liquidation: LiquidationSpec) -> ExchangeSpec {
    ExchangeSpec { liquidation, ..spec() }
}

fn liquidate(owner: u32) -> Command {
    Command::Liquidate { owner: address(owner), market: None }
}

fn collateral(h: &Harness, n: u32) -> Amount {
    h.full.peek_owner(AccountId(n)).unwrap().collateral
}

fn size(h: &Harness, n: u32) -> i64 {
    let positions = h.full.peek_positions(AccountId(n));
    positions.iter().find(|p| p.market == BTC).map_or(0, |p| p.position.size)
}

fn at(h: &mut Harness, time_us: u64) {
    h.input(Input::Tick { time_us }).0.unwrap();
}

/// Account 1 is long 10,000 lots at 1000 with 600,000 of collateral (500 of it a maker's rebate);
/// account 2 is short as much.
fn example(spec: ExchangeSpec) -> Harness {
    let mut h = venue_of(spec, &[1_000_000_000, 599_500, 1_000_000_000, 1_000_000_000]);
    h.place(1, buy(1000, 10_000));
    h.place(2, sell(1000, 10_000));
    assert_eq!((collateral(&h, 1), size(&h, 1)), (600_000, 10_000));
    h
}

fn steps(events: &[Event]) -> Vec<LiquidationStep> {
    let steps = events.iter().filter_map(|event| match event {
        Event::Liquidated { step, .. } => Some(*step),
        _ => None,
    });
    steps.collect()
}

#[test]
fn the_worked_example_of_the_book() {
    let mut h = example(spec());
    h.leave_out = true;
    h.place(0, buy(940, 10_000));
    h.mark(BTC, 970);
    h.refused(3, liquidate(1), RejectCode::NotLiquidatable);
    h.mark(BTC, 960);
    let margin = h.full.peek_margin(AccountId(1));
    assert_eq!((margin.equity(), margin.maintenance()), (200_000, 240_000));
    // 940 is below bankruptcy: nobody is sold there.
    h.refused(3, liquidate(1), RejectCode::NoLiquidity);
    h.place(0, buy(941, 4_000));
    h.place(0, buy(955, 5_000));
    // What it has resting goes first.
    h.place(1, OrderRequest { reduce_only: true, ..sell(990, 100) });
    let (answer, events) = h.one(3, liquidate(1));
    assert_eq!((answer, steps(&events)), (Ok(Outcome::Done), vec![LiquidationStep::Orders]));
    let (answer, events) = h.one(3, liquidate(1));
    assert_eq!((answer, steps(&events)), (Ok(Outcome::Done), vec![LiquidationStep::Book]));
    let limit = events.iter().find_map(|event| match event {
        Event::Accepted(order) => Some((order.price, order.size, order.reduce_only)),
        _ => None,
    });
    assert_eq!(limit, Some((941, 10_000, true)));
    assert_eq!(size(&h, 1), 1_000);
    // Whoever closes at the limit is left with nothing, and never with less.
    h.place(0, buy(941, 1_000));
    while h.one(3, liquidate(1)).0.is_ok() {}
    assert!(h.full.peek_margin(AccountId(1)).equity() >= 0);
}

#[test]
fn a_large_position_is_closed_in_part_first() {
    let small = LiquidationSpec { partial_above: 1_000_000, ..LiquidationSpec::default() };
    let mut h = example(with(small));
    h.mark(BTC, 960);
    h.place(0, buy(959, 50_000));
    let (_, events) = h.one(3, liquidate(1));
    assert_eq!(steps(&events), [LiquidationStep::Book]);
    assert_eq!(size(&h, 1), 8_000);
    // 600,000 − 320,000 − 82,000 realised − the fee of 1,918,000 × 350 ppm.
    assert_eq!(h.full.peek_margin(AccountId(1)).equity(), 600_000 - 320_000 - 82_000 - 672);
    // Still due: within the cool-down, all of it.
    h.mark(BTC, 958);
    let now = h.full.peek_global().time_us;
    at(&mut h, now + 29_000_000);
    let mut later = LiquidationSpec { partial_above: 1_000_000, ..LiquidationSpec::default() };
    later.cooldown_us = 1;
    h.one(3, liquidate(1)).0.unwrap();
    assert_eq!(size(&h, 1), 0);
    // Without one, a fifth again.
    let mut h = example(with(later));
    h.mark(BTC, 960);
    h.place(0, buy(959, 50_000));
    h.one(3, liquidate(1)).0.unwrap();
    h.mark(BTC, 957);
    h.one(3, liquidate(1)).0.unwrap();
    assert_eq!(size(&h, 1), 6_400);
}

#[test]
fn the_vault_takes_what_the_book_could_not_close_in_time() {
    let backstop = Some(address(3));
    let mut h = example(with(LiquidationSpec { backstop, ..LiquidationSpec::default() }));
    h.leave_out = true;
    // 600,000 − 450,000 is below 2/3 of 238,750.
    h.mark(BTC, 955);
    let (answer, events) = h.one(0, liquidate(1));
    assert_eq!((answer, steps(&events)), (Ok(Outcome::Done), vec![LiquidationStep::Backstop]));
    assert_eq!((size(&h, 1), collateral(&h, 1)), (0, 0));
    assert_eq!((size(&h, 3), collateral(&h, 3)), (10_000, 1_000_000_000 + 150_000));
    assert_eq!(h.full.peek_positions(AccountId(3))[0].position.cost, 9_550_000);
    h.refused(0, liquidate(1), RejectCode::NotLiquidatable);
}

#[test]
fn a_vault_without_the_margin_takes_nothing() {
    let backstop = Some(address(4));
    let spec = with(LiquidationSpec { backstop, ..LiquidationSpec::default() });
    let mut h = venue_of(spec, &[1_000_000_000, 599_500, 1_000_000_000, 1_000_000_000, 100_000]);
    h.place(1, buy(1000, 10_000));
    h.place(2, sell(1000, 10_000));
    h.mark(BTC, 955);
    h.refused(0, liquidate(1), RejectCode::NoLiquidity);
    // The book goes on instead.
    h.place(0, buy(950, 10_000));
    let (_, events) = h.one(3, liquidate(1));
    assert_eq!(steps(&events), [LiquidationStep::Book]);
}

#[test]
fn the_fund_pays_for_the_bankrupt_and_the_vault_takes_over() {
    let backstop = Some(address(3));
    let mut h = example(with(LiquidationSpec { backstop, ..LiquidationSpec::default() }));
    let fund = |amount| Command::FundInsurance { asset: USDC, amount };
    h.refused(0, fund(0), RejectCode::Overflow);
    h.refused(1, fund(600_000), RejectCode::InsufficientMargin);
    h.one(0, fund(250_000)).0.unwrap();
    h.mark(BTC, 930);
    let (_, events) = h.one(0, liquidate(1));
    assert_eq!(steps(&events), [LiquidationStep::Backstop]);
    let (account, asset) = (AccountId(1), USDC);
    assert!(events.contains(&Event::InsurancePaid { account, asset, amount: 100_000 }));
    assert_eq!((size(&h, 1), collateral(&h, 1)), (0, 0));
    assert_eq!((size(&h, 3), collateral(&h, 3)), (10_000, 1_000_000_000));
}

/// Winners short 4,000, 5,000 and 1,000 lots with different leverage and entry; account 1 is long
/// 10,000 and bankrupt by 100,000 at 930.
fn bankruptcy(deleveraging: Deleveraging) -> Harness {
    let liquidation = LiquidationSpec { deleveraging, ..LiquidationSpec::default() };
    let limits = Limits { ranked_per_command: 2, fills_per_command: 50, ..Limits::default() };
    let spec = ExchangeSpec { limits, ..with(liquidation) };
    let mut h = venue_of(spec, &[1_000_000_000, 599_500, 100_000_000, 3_000_000, 400_000]);
    h.place(1, buy(1000, 10_000));
    h.place(2, sell(1000, 4_000));
    h.place(3, sell(1000, 5_000));
    h.place(4, sell(1000, 1_000));
    h.mark(BTC, 930);
    assert_eq!(h.full.peek_margin(AccountId(1)).equity(), -100_000);
    h
}

fn deleverage(h: &mut Harness) -> Vec<Event> {
    let mut all = Vec::new();
    for _ in 0..20 {
        let command = Command::Deleverage { market: BTC, side: Side::Buy };
        let (answer, events) = h.one(0, command);
        all.extend(events);
        if answer.is_err() {
            return all;
        }
    }
    panic!("deleveraging does not end");
}

/// Who took how many lots, and for what.
fn taken(events: &[Event]) -> Vec<(u32, i64, Amount)> {
    let taken = events.iter().filter_map(|event| match event {
        Event::PositionTaken { from: None, to: Some(to), size, value, .. } => {
            Some((to.0, *size, *value))
        }
        _ => None,
    });
    taken.collect()
}

#[test]
fn winners_take_over_at_the_bankruptcy_price_the_most_leveraged_first() {
    let mut h = bankruptcy(Deleveraging::Queue);
    h.leave_out = true;
    let (answer, events) = h.one(0, liquidate(1));
    assert_eq!((answer, steps(&events)), (Ok(Outcome::Done), vec![LiquidationStep::Deleveraging]));
    assert_eq!((size(&h, 1), collateral(&h, 1)), (0, 0));
    h.refused(0, liquidate(1), RejectCode::NotLiquidatable);
    let before: Vec<Amount> = (2..5).map(|n| h.full.peek_margin(AccountId(n)).equity()).collect();
    let events = deleverage(&mut h);
    // Three holders, two a command.
    let ranked = events.iter().filter(|event| matches!(event, Event::Ranked { .. })).count();
    assert_eq!(ranked, 2);
    // Leverage at the mark: 4,650,000 / 3.35 M, 930,000 / 0.47 M, 3,720,000 / 100 M.
    let expected = [(4, 1_000, 940_000), (3, 5_000, 4_700_000), (2, 4_000, 3_760_000)];
    assert_eq!(taken(&events), expected);
    // Each gave up ten ticks a lot: the shortfall and no more.
    for (n, lots) in [(2, 4_000), (3, 5_000), (4, 1_000)] {
        let now = h.full.peek_margin(AccountId(n)).equity();
        assert_eq!(before[n as usize - 2] - now, 10 * lots);
    }
    assert_eq!(h.full.peek_top(BTC).open_interest, 0);
    h.refused(0, Command::Deleverage { market: BTC, side: Side::Buy }, RejectCode::NotReducing);
}

/// Two of ten shorts go bankrupt by a rise; what the longs give up, by mode.
fn shares(deleveraging: Deleveraging, entries: &[(u64, u64)]) -> (Amount, Vec<(Amount, Amount)>) {
    let liquidation = LiquidationSpec { deleveraging, ..LiquidationSpec::default() };
    let mut money = vec![1_000_000_000_000, 30_000_000];
    money.extend(entries.iter().map(|_| 50_000_000));
    let mut h = venue_of(with(liquidation), &money);
    let mut short = 0;
    for (n, (price, lots)) in (2..).zip(entries) {
        h.mark(BTC, *price);
        h.place(n, buy(*price, *lots));
        // The first half to the account that fails, the rest to one that does not.
        let seller = if short + lots <= 400_000 { 1 } else { 0 };
        short += if seller == 1 { *lots } else { 0 };
        h.place(seller, sell(*price, *lots));
    }
    h.mark(BTC, 1090);
    h.mark(BTC, 1170);
    let margin = h.full.peek_margin(AccountId(1));
    assert!(margin.equity() < 0, "{margin:?}");
    let shortfall = -margin.equity();
    h.one(0, liquidate(1)).0.unwrap();
    let mut views = Vec::new();
    for n in 2..2 + entries.len() as u32 {
        let position = h.full.peek_positions(AccountId(n))[0];
        views.push((h.full.peek_margin(AccountId(n)).equity(), position.unrealised));
    }
    loop {
        let command = Command::Deleverage { market: BTC, side: Side::Sell };
        if h.one(0, command).0.is_err() {
            break;
        }
    }
    let forgone = (2..)
        .zip(&views)
        .map(|(n, (before, profit))| (before - h.full.peek_margin(AccountId(n)).equity(), *profit));
    (shortfall, forgone.take(entries.len()).collect())
}

#[test]
fn the_risk_aware_mode_is_never_worse_than_the_queue() {
    for entries in [
        &[(1000, 100_000), (1010, 200_000), (990, 300_000), (1000, 250_000)][..],
        &[(1000, 400_000), (1000, 400_000), (1050, 400_000)],
        &[(995, 10_000), (1000, 390_000), (1060, 900_000), (1080, 50_000), (1000, 7)],
    ] {
        let (shortfall, queue) = shares(Deleveraging::Queue, entries);
        let (same, aware) = shares(Deleveraging::RiskAware, entries);
        assert_eq!(shortfall, same);
        let total = |list: &[(Amount, Amount)]| list.iter().map(|(lost, _)| *lost).sum::<Amount>();
        // Nothing above the shortfall: the first objective.
        assert_eq!(total(&queue), shortfall);
        assert_eq!(total(&aware), shortfall);
        // The largest part of a profit that anybody gives up: the second one.
        let largest = |list: &[(Amount, Amount)]| {
            let share = |(lost, profit): &(Amount, Amount)| {
                if *profit > 0 { lost * 1_000_000 / profit } else { lost.signum() * Amount::MAX }
            };
            list.iter().map(share).max().unwrap()
        };
        assert!(largest(&aware) <= largest(&queue), "{aware:?} {queue:?}");
    }
}

#[test]
fn an_isolated_position_takes_nothing_else_with_it() {
    let mut h = venue_of(spec(), &[1_000_000_000, 5_000_000, 1_000_000_000, 1_000_000]);
    h.leave_out = true;
    let isolate = Command::SetLeverage { market: BTC, leverage: 20, isolated: true };
    h.one(1, isolate).0.unwrap();
    h.place(1, buy(1000, 10_000));
    h.place(2, sell(1000, 10_000));
    h.place(0, buy(970, 4_000));
    let isolated = Command::Liquidate { owner: address(1), market: Some(BTC) };
    h.refused(3, isolated.clone(), RejectCode::NotLiquidatable);
    // 500,000 of margin less 300,000 lost, below 242,500; the cross account is fine.
    h.mark(BTC, 970);
    h.refused(3, liquidate(1), RejectCode::NotLiquidatable);
    h.refused(
        3,
        Command::Liquidate { owner: address(1), market: Some(ETH) },
        RejectCode::NotLiquidatable,
    );
    let (_, events) = h.one(3, isolated.clone());
    assert_eq!(steps(&events), [LiquidationStep::Book]);
    assert_eq!(size(&h, 1), 6_000);
    // Bankrupt: the rest goes to its estate, and the cross account keeps what it has.
    h.mark(BTC, 930);
    let before = collateral(&h, 1);
    let (_, events) = h.one(3, isolated);
    assert_eq!(steps(&events), [LiquidationStep::Deleveraging]);
    assert_eq!((size(&h, 1), collateral(&h, 1)), (0, before));
    deleverage(&mut h);
    assert_eq!(h.full.peek_top(BTC).open_interest, 4_000);
}

#[test]
fn a_debt_that_nobody_covers_is_booked_and_repaid_by_the_fund() {
    let mut h = example(spec());
    h.mark(BTC, 930);
    h.input(Input::SetStatus { market: BTC, status: MarketStatus::Settled }).0.unwrap();
    // Nothing trades in a settled market.
    h.refused(3, liquidate(1), RejectCode::NoLiquidity);
    h.one(0, Command::FundInsurance { asset: USDC, amount: 30_000 }).0.unwrap();
    // In the same command: nobody has to liquidate an account that has nothing but a debt.
    let settle = Command::SettlePosition { owner: address(1), market: BTC };
    let (_, events) = h.one(3, settle);
    assert_eq!(steps(&events), [LiquidationStep::Insurance]);
    let (account, asset) = (AccountId(1), USDC);
    assert!(events.contains(&Event::InsurancePaid { account, asset, amount: 30_000 }));
    assert!(events.contains(&Event::ShortfallBooked { account, asset, amount: 70_000 }));
    assert_eq!(collateral(&h, 1), 0);
    h.refused(3, liquidate(1), RejectCode::NotLiquidatable);
    let ledger = |h: &Harness| {
        let ledger = h.full.peek_ledger(USDC);
        (ledger.insurance, ledger.shortfall)
    };
    assert_eq!(ledger(&h), (0, 70_000));
    h.one(0, Command::FundInsurance { asset: USDC, amount: 100_000 }).0.unwrap();
    assert_eq!(ledger(&h), (30_000, 0));
}

#[test]
fn liquidations_of_a_slot_are_bounded() {
    let limits = Limits { liquidation_per_slot: 3, ..Limits::default() };
    let mut h = example(ExchangeSpec { limits, ..spec() });
    h.mark(BTC, 960);
    h.place(1, OrderRequest { reduce_only: true, ..sell(1100, 100) });
    h.place(0, buy(959, 1_000));
    h.place(0, buy(959, 1_000));
    h.place(0, buy(959, 1_000));
    h.one(3, liquidate(1)).0.unwrap();
    h.one(3, liquidate(1)).0.unwrap();
    h.refused(3, liquidate(1), RejectCode::LiquidationsBusy);
    let now = h.full.peek_global().time_us;
    at(&mut h, now + 100_000);
    // The last trade has pulled the mark up: nothing is due any more, but the door is open.
    h.refused(3, liquidate(1), RejectCode::NotLiquidatable);
    assert_eq!(size(&h, 1), 7_000);
}
