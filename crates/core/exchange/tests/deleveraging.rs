//! Who gives how much when winners take over what a bankrupt account left: the risk-aware list
//! against the queue and against what whole lots allow, and published examples of rankings.

use crate::common::*;
use atoll_exchange::objects::Estate;
use atoll_exchange::*;
use proptest::prelude::*;

/// A winner: entry, lots, and how many times the initial margin it brings.
type Long = (Price, Size, u64);

#[derive(Clone, Debug)]
struct Case {
    winners: Vec<Long>,
    /// Lots that the bankrupt account is short from 1000, and what it has for each.
    short: Size,
    each: Amount,
    mark: Price,
    ranked: u32,
    steps: u32,
}

/// What a winner gave: lots, its profit before, and money.
#[derive(Clone, Copy, Debug, Default)]
struct Gave {
    lots: Size,
    profit: Amount,
    money: Amount,
    /// In how many parts.
    times: usize,
    /// What rankings are made of: wallet balance, account value, value and cost of the position, and
    /// its maintenance margin.
    wallet: Amount,
    equity: Amount,
    value: Amount,
    cost: Amount,
    maintenance: Amount,
}

fn run(case: &Case, deleveraging: Deleveraging) -> (Amount, Vec<Gave>) {
    let mut spec = spec();
    spec.liquidation.deleveraging = deleveraging;
    spec.limits.ranked_per_command = case.ranked;
    spec.limits.fills_per_command = case.steps;
    for market in &mut spec.markets {
        (market.notional_min, market.maker_fee_ppm, market.taker_fee_ppm) = (1, 0, 0);
    }
    let mut h = Harness::new(spec.clone());
    let short = i128::from(case.short);
    let mut money = vec![1 << 50, short * case.each];
    money.extend(case.winners.iter().map(|(entry, lots, times)| {
        let (entry, lots, times) = (i128::from(*entry), i128::from(*lots), i128::from(*times));
        lots * (entry - 1000).max(0) + lots * (entry.max(1000) / 20 + 2) * times
    }));
    let mut ops = Vec::new();
    for (n, amount) in (0..).zip(money) {
        let (asset, wallet) = (USDC, Wallet::Collateral);
        ops.push(Op::In(Input::Credit { address: address(n), asset, wallet, amount }));
    }
    ops.push(Op::In(Input::Oracle(OracleReport::sole(BTC, 1000))));
    ops.push(Op::In(Input::Tick { time_us: 1_000_000 }));
    let mut pair = |buyer, seller, price, size| {
        let place = |n, request| Op::Do(AccountId(n), Command::Place(request));
        ops.extend([place(seller, sell(price, size)), place(buyer, buy(price, size))]);
    };
    pair(0, 1, 1000, case.short);
    for (n, (entry, lots, _)) in (2..).zip(&case.winners) {
        pair(n, 0, *entry, *lots);
    }
    for (answer, _) in h.range(&ops) {
        answer.unwrap();
    }
    h.mark(BTC, case.mark);
    let margin = h.full.peek_margin(AccountId(1));
    assert!(margin.equity() < 0, "{margin:?}");
    h.one(0, Command::Liquidate { owner: address(1), market: None }).0.unwrap();
    let view = |h: &Harness, n: u32| {
        let margin = h.full.peek_margin(AccountId(n));
        let found = h.full.peek_positions(AccountId(n)).into_iter().find(|p| p.market == BTC);
        let equity = margin.equity();
        let none = Gave { equity, ..Gave::default() };
        found.map_or(none, |p| Gave {
            lots: p.position.size.unsigned_abs(),
            profit: p.unrealised,
            money: 0,
            times: 0,
            wallet: margin.collateral,
            equity,
            value: p.value,
            cost: p.position.cost,
            maintenance: margin.maintenance(),
        })
    };
    let all = 2..2 + case.winners.len() as u32;
    let before: Vec<Gave> = all.clone().map(|n| view(&h, n)).collect();
    let deleverage = Command::Deleverage { market: BTC, side: Side::Sell };
    let mut takers = Vec::new();
    for n in 0.. {
        assert!(n < 1000, "deleveraging does not end");
        let (answer, events) = h.one(0, deleverage.clone());
        let before = takers.len();
        takers.extend(events.iter().filter_map(|event| match event {
            Event::PositionTaken { to, .. } => *to,
            _ => None,
        }));
        assert!(takers.len() - before <= case.steps as usize);
        if answer.is_err() {
            break;
        }
    }
    assert_eq!(h.full.peek_estate(BTC, Side::Sell), Estate::default());
    let gave = all.zip(before).map(|(n, before)| {
        let now = view(&h, n);
        let times = takers.iter().filter(|to| to.0 == n).count();
        let (lots, money) = (before.lots - now.lots, before.equity - now.equity);
        Gave { lots, money, times, ..before }
    });
    (-margin.equity(), gave.collect())
}

/// Lots given by whoever had no profit to give of, and the largest share of a profit as lots and
/// profit.
fn largest(gave: &[Gave]) -> (Size, (i128, i128)) {
    let (with, without): (Vec<&Gave>, Vec<&Gave>) = gave.iter().partition(|g| g.profit > 0);
    let shares = with.iter().map(|g| (i128::from(g.lots), g.profit));
    let largest = shares.max_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1)));
    (without.iter().map(|g| g.lots).sum(), largest.unwrap_or((0, 1)))
}

/// The smallest largest share that whole lots allow: each lot from whoever's share is then the
/// smallest.
fn smallest(case: &Case) -> (Size, (i128, i128)) {
    let mark = i128::from(case.mark);
    let mut all: Vec<Gave> = Vec::new();
    for (entry, lots, _) in &case.winners {
        let profit = (mark - i128::from(*entry)) * i128::from(*lots);
        all.push(Gave { profit, ..Gave::default() });
    }
    for _ in 0..case.short {
        let next = |n: &usize| (i128::from(all[*n].lots) + 1, all[*n].profit);
        let able = (0..all.len()).filter(|n| all[*n].lots < case.winners[*n].1);
        let with = able.clone().filter(|n| all[*n].profit > 0);
        let least = with.min_by(|a, b| {
            let (a, b) = (next(a), next(b));
            (a.0 * b.1).cmp(&(b.0 * a.1))
        });
        let chosen = least.or_else(|| able.clone().next()).unwrap();
        all[chosen].lots += 1;
    }
    largest(&all)
}

/// Shares are compared to a part in 2¹⁵: so many bits of one are in a list.
fn not_above(found: (Size, (i128, i128)), other: (Size, (i128, i128))) -> bool {
    let ((lots, (a, b)), (others, (c, d))) = (found, other);
    lots < others || lots == others && (a * d) << 15 <= ((c * b) << 15) + c * b
}

fn compare(case: &Case) -> Result<(Vec<Gave>, Vec<Gave>), TestCaseError> {
    let (shortfall, queue) = run(case, Deleveraging::Queue);
    let (same, aware) = run(case, Deleveraging::RiskAware);
    prop_assert_eq!(shortfall, same);
    for gave in [&queue, &aware] {
        prop_assert_eq!(gave.iter().map(|g| g.lots).sum::<Size>(), case.short);
        // The first objective: nothing is given up above the shortfall.
        prop_assert_eq!(gave.iter().map(|g| g.money).sum::<Amount>(), shortfall);
    }
    // The second one: the largest share.
    let (found, least, by_queue) = (largest(&aware), smallest(case), largest(&queue));
    prop_assert!(not_above(found, least), "{:?}, at best {:?}: {:?}", found, least, aware);
    prop_assert!(not_above(found, by_queue), "{:?} {:?}", aware, queue);
    Ok((queue, aware))
}

fn case() -> impl Strategy<Value = Case> {
    let entry = prop_oneof![3 => 850..1190u64, 2 => 1080..1110u64, 1 => Just(1000)];
    let lots = prop_oneof![3 => 1..4u64, 3 => 1..100u64, 1 => Just(10)];
    let winners = prop::collection::vec((entry, lots, 1..40u64), 1..9);
    let short = prop_oneof![2 => 1..4u64, 3 => 1..300u64];
    (winners, short, 60..150i128, 1160..1190u64, 1..5u32, 2..9u32).prop_map(
        |(winners, short, each, mark, ranked, steps)| {
            let all: Size = winners.iter().map(|(_, lots, _)| lots).sum();
            Case { short: short.min(all), winners, each, mark, ranked, steps }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(150),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn the_largest_share_is_as_small_as_whole_lots_allow_and_never_above_the_queues(case in case()) {
        compare(&case)?;
    }
}

/// One lot, and two winners: the one with the higher profit per lot has one lot only.
#[test]
fn a_lot_that_cannot_be_split_is_given_by_whoever_feels_it_least() {
    let winners = vec![(1160, 100, 1), (1159, 1, 30)];
    let case = Case { winners, short: 1, each: 165, mark: 1170, ranked: 1, steps: 2 };
    let (shortfall, _) = run(&case, Deleveraging::Queue);
    assert_eq!(shortfall, 5);
    let (_, aware) = compare(&case).unwrap();
    let [many, one] = &aware[..] else { panic!() };
    assert_eq!((many.profit, many.lots, many.money), (1000, 1, 5));
    assert_eq!((one.profit, one.lots, one.money), (11, 0, 0));
}

/// The example of `docs/exchange/liquidation.md`: what is split, what rounding leaves, and who
/// gives that.
#[test]
fn what_rounding_leaves_may_all_be_the_same_winners() {
    let mut winners = vec![(1070, 10, 3)];
    winners.extend([(1115, 1, 30); 10]);
    let case = Case { winners, short: 9, each: 165, mark: 1170, ranked: 4, steps: 3 };
    let (_, aware) = compare(&case).unwrap();
    assert_eq!((aware[0].profit, aware[0].lots), (1000, 9));
    assert!(aware[1..].iter().all(|g| g.profit == 55 && g.lots == 0));
}

/// A lot is nothing among so many: nobody is disturbed twice for it.
#[test]
fn large_shares_are_given_at_once() {
    let winners = vec![(1000, 300_000, 3), (1010, 300_007, 2), (1003, 250_000, 9)];
    let case = Case { winners, short: 400_001, each: 100, mark: 1170, ranked: 4, steps: 3 };
    let (_, aware) = compare(&case).unwrap();
    assert!(aware.iter().all(|g| g.times == 1 && g.lots > 100_000), "{aware:?}");
}

/// Hyperliquid's score, for a long: mark / entry × value / account value, in millionths.
/// <https://hyperliquid.gitbook.io/hyperliquid-docs/trading/auto-deleveraging>
fn hyperliquid(of: &Gave) -> Amount {
    of.value * of.value * 1_000_000 / (of.cost * of.equity)
}

/// Binance's score, in millionths: unrealised profit / wallet balance × margin ratio, which is
/// maintenance margin / (wallet balance + unrealised profit).
/// <https://www.binance.com/en/support/faq/360033525471>
fn binance(profit: Amount, wallet: Amount, maintenance: Amount) -> Amount {
    profit * maintenance * 1_000_000 / (wallet * (wallet + profit))
}

/// The example of `docs/exchange/liquidation.md`: four longs at 1170.
#[test]
fn winners_are_ranked_as_hyperliquid_publishes_it() {
    // Entry, lots, and how much it brought.
    let winners = vec![(900, 100, 1), (1100, 300, 2), (1000, 50, 10), (1150, 200, 1)];
    let case = |short| {
        let winners = winners.clone();
        Case { winners, short, each: 100, mark: 1170, ranked: 2, steps: 3 }
    };
    let (_, gave) = run(&case(250), Deleveraging::Queue);
    let accounts: Vec<_> = gave.iter().map(|of| (of.wallet, of.equity, of.value)).collect();
    let expected = [
        (5_200, 32_200, 117_000),
        (64_200, 85_200, 351_000),
        (26_000, 34_500, 58_500),
        (41_800, 45_800, 234_000),
    ];
    assert_eq!(accounts, expected);
    let scores: Vec<_> = gave.iter().map(hyperliquid).collect();
    assert_eq!(scores, [4_723_602, 4_381_882, 1_983_913, 5_198_025]);
    // So the fourth comes first, then the first, the second and the third.
    let lots = |short| -> Vec<Size> {
        run(&case(short), Deleveraging::Queue).1.iter().map(|of| of.lots).collect()
    };
    assert_eq!(lots(250), [50, 0, 0, 200]);
    assert_eq!(lots(320), [100, 20, 0, 200]);
    assert_eq!(lots(610), [100, 300, 10, 200]);
    // Binance's score of the same accounts has the fourth last: its profit is small beside what it
    // brought, however much it carries.
    let of = |of: &Gave| binance(of.profit, of.wallet, of.maintenance);
    let scores: Vec<_> = gave.iter().map(of).collect();
    assert_eq!(scores, [471_661, 33_689, 13_863, 12_222]);
}

/// A trader's own numbers, worked through by Binance's formula on its developers' forum: a profit of
/// 40.20 on 4.27 is 9.41; with a margin ratio of 13.42 % that scores 1.26.
/// <https://dev.binance.vision/t/how-to-caculating-leverage-pnl-quantile/17801>
#[test]
fn binances_score_as_a_trader_worked_it_out() {
    // Cents; the maintenance margin that 13.42 % of 44.47 are, in millionths of a cent.
    let (profit, wallet, part) = (4_020, 427, 1_000_000);
    assert_eq!(profit * 100 / wallet, 941);
    let maintenance = 1_342 * (profit + wallet) * part / 10_000;
    assert_eq!(binance(profit, wallet, maintenance) / part / 10_000, 126);
}
