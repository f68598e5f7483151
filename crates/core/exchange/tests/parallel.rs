//! Commands in shards: the same as one after another, whoever meets whom.
#![allow(missing_docs)]

use crate::common::sharded::{Crew, LastFirst, Sharded, Threads};
use crate::common::*;
use atoll_exchange::*;
use proptest::prelude::*;

const MARKETS: u16 = 8;

/// Perpetuals of several sorts and a spot market.
fn many_markets() -> ExchangeSpec {
    let mut spec = spec();
    let spot = spec.markets[2].clone();
    spec.markets.truncate(1);
    for n in 1..MARKETS - 1 {
        spec.markets.push(perpetual(&format!("M{n}")));
    }
    spec.markets.push(spot);
    spec.limits.orders_per_account = 20;
    spec.liquidation.insurance_ppm = 100_000;
    spec
}

fn funded(accounts: u32) -> Vec<Op> {
    let mut ops = funding(accounts);
    let tick = ops.pop().unwrap();
    ops.retain(|op| !matches!(op, Op::In(Input::Oracle(_))));
    for market in 0..MARKETS - 1 {
        ops.push(Op::In(Input::Oracle(OracleReport::sole(MarketId(market), 1000))));
    }
    ops.push(tick);
    ops
}

/// One by one and in shards, side by side.
struct Sides {
    harness: Harness,
    open: Vec<(AccountId, OrderId)>,
    time_us: u64,
}

impl Sides {
    fn new(spec: ExchangeSpec, accounts: u32, sharded: impl Fn(Rules) -> Vec<Sharded>) -> Self {
        let mut harness = Harness::new(spec.clone());
        harness.sharded = sharded(Rules::new(spec).unwrap());
        let answers = harness.range(&funded(accounts));
        assert!(answers.iter().all(|answer| answer.0.is_ok()));
        Self { harness, open: Vec::new(), time_us: 1 }
    }

    fn range(&mut self, ops: &[Op]) -> Vec<Answer> {
        let answers = self.harness.range(ops);
        for (op, (answer, _)) in ops.iter().zip(&answers) {
            if let (Op::Do(account, _), Ok(Outcome::Placed(placed))) = (op, answer)
                && placed.resting > 0
            {
                self.open.push((*account, placed.order));
            }
        }
        answers
    }
}

/// A step whose targets are chosen when it runs.
#[derive(Clone, Debug)]
enum Step {
    Place(u32, OrderRequest),
    Market(u32, MarketOrderRequest),
    Cancel(usize),
    CancelOf(u32, usize),
    Modify(usize, OrderRequest),
    CancelAll(u32, Option<MarketId>),
    Transfer(u32, u32),
    Tick,
}

fn request() -> impl Strategy<Value = OrderRequest> {
    let tif = prop_oneof![
        6 => Just(Tif::Gtc),
        2 => Just(Tif::Ioc),
        1 => Just(Tif::Fok),
        1 => Just(Tif::PostOnly),
    ];
    (
        (0..MARKETS, any::<bool>(), 985u64..1016, 1u64..60_000, tif),
        (0u8..40, prop::option::weighted(0.2, 0u8..30), prop::bool::weighted(0.1)),
    )
        .prop_map(|((market, buy, price, size, tif), (extra, client, reduce_only))| {
            let side = if buy { Side::Buy } else { Side::Sell };
            let rests = matches!(tif, Tif::Gtc | Tif::PostOnly);
            OrderRequest {
                tif,
                expires_us: if extra == 0 && rests { 2_000_000 } else { 0 },
                display: if extra == 1 && rests { 2_000 } else { 0 },
                client_id: client.map(|id| [id; 16]),
                reduce_only: reduce_only && market != MARKETS - 1,
                ..order(MarketId(market), side, price, size * 10)
            }
        })
}

fn step(accounts: u32) -> impl Strategy<Value = Step> {
    let taken = (0..MARKETS, any::<bool>(), 1u64..100_000);
    prop_oneof![
        30 => (0..accounts, request()).prop_map(|(who, order)| Step::Place(who, order)),
        4 => (0..accounts, taken).prop_map(|(who, (market, buy, size))| {
            let side = if buy { Side::Buy } else { Side::Sell };
            Step::Market(who, MarketOrderRequest {
                market: MarketId(market), side, size, slippage_ppm: 10_000,
                reduce_only: false,
                client_id: None,
            })
        }),
        15 => any::<usize>().prop_map(Step::Cancel),
        1 => (0..accounts, any::<usize>()).prop_map(|(who, n)| Step::CancelOf(who, n)),
        4 => (any::<usize>(), request()).prop_map(|(n, order)| Step::Modify(n, order)),
        1 => (0..accounts, prop::option::of((0..MARKETS).prop_map(MarketId)))
            .prop_map(|(who, market)| Step::CancelAll(who, market)),
        1 => (0..accounts, 0..accounts).prop_map(|(from, to)| Step::Transfer(from, to)),
        1 => Just(Step::Tick),
    ]
}

impl Sides {
    fn concrete(&mut self, step: &Step) -> Op {
        let target = |n: usize| {
            let none = (AccountId(0), OrderId(1 << 12));
            let (who, order) = self.open.get(n % self.open.len().max(1)).copied().unwrap_or(none);
            (who, OrderSelector::Order(order))
        };
        let (who, command) = match *step {
            Step::Place(who, order) => (AccountId(who), Command::Place(order)),
            Step::Market(who, order) => (AccountId(who), Command::PlaceMarket(order)),
            Step::Cancel(n) => {
                let (who, order) = target(n);
                (who, Command::Cancel(order))
            }
            Step::CancelOf(who, n) => (AccountId(who), Command::Cancel(target(n).1)),
            Step::Modify(n, order) => {
                let (who, target) = target(n);
                (who, Command::Modify { target, order })
            }
            Step::CancelAll(who, market) => (AccountId(who), Command::CancelAll { market }),
            Step::Transfer(from, to) => {
                let (to, asset, wallet) = (address(to), USDC, Wallet::Collateral);
                (AccountId(from), Command::Transfer { to, asset, wallet, amount: 1_000_000 })
            }
            Step::Tick => {
                self.time_us += 500_000;
                return Op::In(Input::Tick { time_us: self.time_us });
            }
        };
        Op::Do(who, command)
    }
}

fn crews(rules: Rules) -> Vec<Sharded> {
    let of = |shards, shortest, crew| Sharded::new(rules.clone(), shards, shortest, crew);
    vec![
        of(1, 1, Crew::LastFirst(LastFirst)),
        of(2, 8, Crew::Threads(Threads)),
        of(3, 2, Crew::LastFirst(LastFirst)),
        of(8, 4, Crew::Threads(Threads)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(24), ..ProptestConfig::default() })]

    /// Few accounts: shards meet all the time.
    #[test]
    fn crowded_markets_are_the_same(
        ranges in prop::collection::vec(prop::collection::vec(step(12), 1..160), 1..5),
    ) {
        run(&ranges, 12);
    }

    /// Many: most batches are kept.
    #[test]
    fn wide_markets_are_the_same(
        ranges in prop::collection::vec(prop::collection::vec(step(400), 100..400), 1..4),
    ) {
        let sides = run(&ranges, 400);
        for sharded in &sides.harness.sharded[1..] {
            prop_assert!(sharded.counts().parallel > 0, "{:?}", sharded.counts());
        }
    }
}

fn run(ranges: &[Vec<Step>], accounts: u32) -> Sides {
    let mut sides = Sides::new(many_markets(), accounts, crews);
    for steps in ranges {
        let ops: Vec<_> = steps.iter().map(|step| sides.concrete(step)).collect();
        sides.range(&ops);
    }
    sides
}

fn limit(market: u16, side: Side, price: Price, size: Size) -> Command {
    Command::Place(order(MarketId(market), side, price, size))
}

fn does(who: u32, command: Command) -> Op {
    Op::Do(AccountId(who), command)
}

/// Of the second range, in two shards one after the other: what was counted.
fn meets(first: &[Op], second: &[Op]) -> parallel::Counts {
    let mut sides = Sides::new(many_markets(), 40, |rules| {
        vec![Sharded::new(rules, 2, 2, Crew::LastFirst(LastFirst))]
    });
    sides.range(first);
    let before = sides.harness.sharded[0].counts();
    sides.range(second);
    let after = sides.harness.sharded[0].counts();
    parallel::Counts {
        parallel: after.parallel - before.parallel,
        serial: after.serial - before.serial,
        batches: after.batches - before.batches,
        undone: after.undone - before.undone,
    }
}

#[test]
fn what_shares_nothing_is_kept() {
    let second: Vec<_> =
        (0..20).map(|n| does(n, limit((n % 2) as u16, Side::Buy, 990, 5_000))).collect();
    let counts = meets(&[], &second);
    assert_eq!((counts.parallel, counts.batches, counts.undone), (20, 1, 0));
}

#[test]
fn callers_tie_their_markets_together() {
    // Account 0 is in both markets.
    let mut second: Vec<_> =
        (0..20).map(|n| does(n, limit((n % 2) as u16, Side::Buy, 990, 5_000))).collect();
    second.push(does(0, limit(1, Side::Buy, 990, 5_000)));
    let counts = meets(&[], &second);
    assert_eq!((counts.parallel, counts.serial, counts.undone), (0, 21, 0));
}

#[test]
fn expected_makers_tie_their_markets_together() {
    // Account 30 is the first to be met in both markets.
    let rests = |market| does(30, limit(market, Side::Sell, 1001, 5_000));
    let takes = |who, market| does(who, limit(market, Side::Buy, 1001, 5_000));
    let counts = meets(&[rests(0), rests(1)], &[takes(0, 0), takes(1, 1)]);
    assert_eq!((counts.parallel, counts.serial, counts.undone), (0, 2, 0));
    // And in one of them.
    let calm = does(1, limit(1, Side::Buy, 990, 5_000));
    let counts = meets(&[rests(0), rests(1)], &[takes(0, 0), calm]);
    assert_eq!((counts.parallel, counts.serial, counts.undone), (2, 0, 0));
}

#[test]
fn makers_behind_the_first_are_expected_too() {
    // Account 30 waits behind somebody else, at the same price or at the next.
    let rests = |who, market, price| does(who, limit(market, Side::Sell, price, 5_000));
    let takes = |who, market| does(who, limit(market, Side::Buy, 1002, 10_000));
    for price in [1001, 1002] {
        let first =
            [rests(31, 0, 1001), rests(30, 0, price), rests(32, 1, 1001), rests(30, 1, price)];
        let counts = meets(&first, &[takes(0, 0), takes(1, 1)]);
        assert_eq!((counts.parallel, counts.serial, counts.undone), (0, 2, 0));
    }
}

#[test]
fn makers_whom_nobody_expected_undo_a_batch() {
    // Account 30 waits behind more than are looked up, in both markets.
    let rests = |who, market| does(who, limit(market, Side::Sell, 1001, 5_000));
    let takes = |who, market| does(who, limit(market, Side::Buy, 1001, 45_000));
    let mut first: Vec<_> = (10..18).map(|n| rests(n, 0)).collect();
    first.extend((20..28).map(|n| rests(n, 1)));
    first.extend([rests(30, 0), rests(30, 1)]);
    let counts = meets(&first, &[takes(0, 0), takes(1, 1)]);
    assert_eq!((counts.parallel, counts.serial, counts.undone), (0, 2, 1));
}

#[test]
fn who_is_refused_in_one_shard_and_placed_in_another_is_noticed() {
    // Account 1 names an order that it will have: the cancel must find it, wherever it runs.
    let mut sides = Sides::new(many_markets(), 40, crews);
    let next = sides.harness.full.peek_global().commands + 1;
    let ops = [
        does(1, limit(0, Side::Buy, 990, 5_000)),
        does(2, limit(1, Side::Buy, 990, 5_000)),
        does(3, limit(2, Side::Buy, 990, 5_000)),
        does(1, Command::Cancel(OrderSelector::Order(OrderId(next << 12)))),
    ];
    assert!(sides.range(&ops).iter().all(|answer| answer.0.is_ok()));
}

#[test]
fn what_expires_is_one_part() {
    let timed = |who, market| {
        let order = order(MarketId(market), Side::Buy, 990, 5_000);
        does(who, Command::Place(OrderRequest { expires_us: 9_000_000, ..order }))
    };
    let counts = meets(&[], &[timed(0, 0), timed(1, 1), timed(2, 2), timed(3, 3)]);
    assert_eq!((counts.parallel, counts.serial, counts.undone), (0, 4, 0));
}

#[test]
fn what_is_about_more_than_a_market_stands_between_batches() {
    let calm = |n: u32| does(n, limit((n % 4) as u16, Side::Buy, 990, 5_000));
    let mut second: Vec<_> = (0..10).map(calm).collect();
    second.push(does(3, Command::CancelAll { market: None }));
    second.extend((10..20).map(calm));
    let counts = meets(&[], &second);
    assert_eq!((counts.parallel, counts.serial, counts.batches), (20, 1, 2));
}

#[test]
fn an_unknown_caller_is_refused_in_a_shard() {
    let second = [
        does(0, limit(0, Side::Buy, 990, 5_000)),
        does(999, limit(1, Side::Buy, 990, 5_000)),
        does(1, limit(99, Side::Buy, 990, 5_000)),
    ];
    let counts = meets(&[], &second);
    assert_eq!((counts.parallel, counts.undone), (3, 0));
}
