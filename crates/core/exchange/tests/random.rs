//! Random histories against the naive twin: the same answers, the same events, the same books and
//! margins, on full state and on every range's witness alone.

mod common;

use atoll_exchange::*;
use common::twin::Twin;
use common::*;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

/// A command whose targets are chosen when it runs.
#[derive(Clone, Debug)]
enum Plan {
    Place(u32, OrderRequest),
    Cancel(u32, usize),
    CancelClient(u32, u8),
    CancelAll(u32, Option<MarketId>),
    Modify(u32, usize, OrderRequest),
    /// Asks for a part of an order, in parts of 256.
    Shrink(u32, usize, u8),
    Input(Input),
    Other(u32, Command),
    ModifyTrigger(u32, usize, TriggerRequest),
    CancelTwap(u32, usize),
    /// A scheduled cancel so many milliseconds from now; none takes it back.
    Schedule(u32, Option<u64>),
    /// A tick so much later.
    Later(u64),
}

/// What histories are made of.
#[derive(Clone, Copy)]
struct Shape {
    accounts: u32,
    ranges: usize,
    /// Whether sizes, prices and money come near the bounds of the types, and orders are often
    /// modified and often only reduce.
    extreme: bool,
}

const USUAL: Shape = Shape { accounts: 4, ranges: 15, extreme: false };
const DEEP: Shape = Shape { accounts: 8, ranges: 60, extreme: true };
/// What a lot of an account's perpetuals may come to, and a little less.
const LOTS: u64 = 1 << 40;
/// The perpetuals' highest price.
const TOP: u64 = 10_000_000;

fn market() -> impl Strategy<Value = MarketId> {
    prop_oneof![5 => Just(BTC), 2 => Just(ETH), 3 => Just(SPOT), 3 => Just(INV)]
}

fn request(shape: Shape) -> impl Strategy<Value = OrderRequest> {
    let extreme = u32::from(shape.extreme);
    let price = prop_oneof![
        40 => 994..1007u64, 6 => 850..1150u64, 1 => Just(0), 1 => 700..2000u64,
        12 * extreme => TOP - 6..TOP + 2, 3 * extreme => TOP * 4 / 5 - 2..TOP,
    ];
    // A thousand dollars' worth, or enough to run out of margin or of coins.
    let size = prop_oneof![
        30 => 1..40u64, 1 => Just(0), 8 => 1..9_000_000_000u64, 8 => 1..60_000_000u64,
        4 * extreme => LOTS / 2 - 3..LOTS / 2 + 3, 2 * extreme => LOTS - 50..LOTS + 1,
        4 * extreme => 1..LOTS,
    ];
    let tif = prop_oneof![
        6 => Just(Tif::Gtc), 2 => Just(Tif::Ioc), 2 => Just(Tif::PostOnly), 1 => Just(Tif::Fok),
    ];
    let expires = prop_oneof![12 => Just(0), 1 => 0..9000u64];
    let display = prop_oneof![9 => Just(0), 2 => 1..30u64, 1 => 1..40_000_000u64];
    let client_id = prop::option::weighted(0.2, (0..9u8).prop_map(|n| [n; 16]));
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let reduces = prop::bool::weighted(if shape.extreme { 0.3 } else { 0.12 });
    (market(), side, price, size, tif, reduces, client_id, expires, display).prop_map(
        |(market, side, price, size, tif, reduce_only, client_id, expires_us, display)| {
            OrderRequest {
                market,
                side,
                price,
                size,
                tif,
                reduce_only,
                client_id,
                expires_us,
                display,
            }
        },
    )
}

fn trigger(shape: Shape) -> BoxedStrategy<TriggerRequest> {
    let price = prop_oneof![30 => 990..1011u64, 5 => 900..1100u64, 1 => Just(0)];
    let limit = prop::option::weighted(0.5, prop_oneof![9 => 990..1011u64, 1 => 0..2000u64]);
    let kind = prop_oneof![Just(TriggerKind::Stop), Just(TriggerKind::TakeProfit)];
    (request(shape), price, limit, kind, any::<bool>())
        .prop_map(|(order, trigger_price, limit, kind, reduce_only)| TriggerRequest {
            market: order.market,
            side: order.side,
            trigger_price,
            kind,
            limit,
            size: order.size,
            reduce_only: reduce_only && order.market != SPOT,
            client_id: order.client_id,
        })
        .boxed()
}

/// One or two trigger orders that mostly suit a market and a side.
fn members(
    shape: Shape,
) -> impl Strategy<Value = (bool, MarketId, Side, [Option<TriggerRequest>; 2])> {
    let market = prop_oneof![6 => Just(BTC), 2 => Just(ETH), 1 => Just(SPOT)];
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let one = || (trigger(shape), prop::bool::weighted(0.03));
    let two = (one(), prop::option::weighted(0.8, one()));
    (market, side, two, prop::bool::weighted(0.5)).prop_map(
        |(market, side, (first, second), whole)| {
            let suit = |(mut order, astray): (TriggerRequest, bool)| {
                if !astray {
                    (order.market, order.side, order.reduce_only) = (market, side, true);
                }
                if whole {
                    order.size = 0;
                }
                order
            };
            (whole, market, side, [Some(suit(first)), second.map(suit)])
        },
    )
}

fn conditional(shape: Shape) -> impl Strategy<Value = Plan> {
    let who = || 0..shape.accounts;
    let group = (who(), request(shape), members(shape)).prop_map(
        |(who, mut parent, (whole, market, side, children))| {
            (parent.market, parent.side) = (market, side.opposite());
            let sized = |mut child: TriggerRequest| {
                child.size = if whole { parent.size } else { child.size };
                child
            };
            let children = children.map(|child| child.map(sized));
            Plan::Other(who, Command::PlaceGroup { parent, children })
        },
    );
    let twap = (who(), request(shape), 4..9u16).prop_map(|(who, order, minutes)| {
        let OrderRequest { market, side, size, reduce_only, .. } = order;
        let twap = TwapRequest { market, side, size, reduce_only, minutes };
        Plan::Other(who, Command::PlaceTwap(twap))
    });
    prop_oneof![
        20 => (who(), trigger(shape)).prop_map(|(who, t)| Plan::Other(who, Command::PlaceTrigger(t))),
        10 => group.boxed(),
        10 => (who(), members(shape))
            .prop_map(|(who, (_, _, _, t))| Plan::Other(who, Command::AttachTriggers(t))),
        6 => (who(), any::<usize>(), trigger(shape))
            .prop_map(|(who, nth, t)| Plan::ModifyTrigger(who, nth, t)),
        5 => twap,
        1 => (who(), any::<usize>()).prop_map(|(who, nth)| Plan::CancelTwap(who, nth)),
        3 => (who(), prop::option::weighted(0.8, 4_000..40_000u64))
            .prop_map(|(who, at)| Plan::Schedule(who, at)),
    ]
}

fn other(shape: Shape) -> impl Strategy<Value = Command> {
    let wallet = prop_oneof![Just(Wallet::Collateral), Just(Wallet::Spot)];
    let asset = prop_oneof![4 => Just(USDC), 2 => Just(COIN), 1 => Just(AssetId(7))];
    let amount = prop_oneof![0..1000i128, 0..1_500_000_000_000i128, Just(-3)];
    prop_oneof![
        (0..shape.accounts + 1, asset, wallet.clone(), amount.clone()).prop_map(
            |(to, asset, wallet, amount)| {
                Command::Transfer { to: address(to), asset, wallet, amount }
            }
        ),
        (wallet, amount.clone(), any::<bool>()).prop_map(|(to, amount, coin)| {
            Command::Move { asset: if coin { COIN } else { USDC }, to, amount }
        }),
        (market(), 0..22u8, any::<bool>()).prop_map(|(market, leverage, isolated)| {
            Command::SetLeverage { market, leverage, isolated }
        }),
        (market(), amount, any::<bool>()).prop_map(|(market, amount, out)| {
            let amount = amount / 100;
            Command::AdjustMargin { market, amount: if out { -amount } else { amount } }
        }),
        (0..shape.accounts + 1, market()).prop_map(|(owner, market)| {
            Command::SettlePosition { owner: address(owner), market }
        }),
        (request(shape), 0..250_000u32).prop_map(|(r, slippage_ppm)| {
            Command::PlaceMarket(MarketOrderRequest {
                market: r.market,
                side: r.side,
                size: r.size,
                slippage_ppm,
                reduce_only: r.reduce_only,
                client_id: r.client_id,
            })
        }),
    ]
}

/// Mostly open, so that a history goes on; an auction has tests of its own.
fn status() -> impl Strategy<Value = MarketStatus> {
    prop_oneof![
        40 => Just(MarketStatus::Open), 2 => Just(MarketStatus::PostOnly),
        2 => Just(MarketStatus::ReduceOnly), 2 => Just(MarketStatus::CancelOnly),
        2 => Just(MarketStatus::Halted), 1 => Just(MarketStatus::Settled),
    ]
}

fn input(shape: Shape) -> impl Strategy<Value = Input> {
    let extreme = u32::from(shape.extreme);
    let amount = prop_oneof![
        4 => 0..1000i128, 4 => 0..1_500_000_000_000i128, extreme => 1i128 << 50..1 << 66,
        extreme => (1i128 << 96) - 3..(1 << 96) + 2,
    ];
    prop_oneof![
        6 => prop_oneof![20 => 0..9000u64, 1 => 0..1u64 << 46].prop_map(|time_us| Input::Tick { time_us }),
        3 => (market(), prop_oneof![
            4 => -30_000_000_000..30_000_000_000i128, 1 => -7..7i128,
            extreme => -(1i128 << 76)..1 << 76,
        ]).prop_map(|(market, change)| Input::Funding { market, change }),
        1 => (market(), 900_000..3_000_000u32, 900_000..2_000_000u32).prop_map(
            |(market, initial, maintenance)| {
                Input::MarginScale { market, scale_ppm: (initial, maintenance) }
            }
        ),
        5 => (market(), prop_oneof![
            4 => 950..1050u64, 4 => 900..1100u64, 2 * extreme => TOP - 9..TOP + 2,
        ])
            .prop_map(|(market, price)| Input::Oracle { market, price }),
        1 + extreme => (market(), status())
            .prop_map(|(market, status)| Input::SetStatus { market, status }),
        1 => (0..shape.accounts, amount.clone()).prop_map(|(n, amount)| Input::Credit {
            address: address(n), asset: USDC, wallet: Wallet::Collateral, amount,
        }),
        2 => (0..shape.accounts + 1, amount.clone()).prop_map(|(n, amount)| Input::Debit {
            address: address(n), asset: USDC, wallet: Wallet::Collateral, amount,
        }),
        2 => (0..shape.accounts + 1, 0..3u8, amount, any::<bool>()).prop_map(
            |(n, kind, amount, hub)| {
                let (address, asset, wallet) = (address(n), USDC, Wallet::Collateral);
                let outside = if hub { Outside::Hub } else { Outside::Environment };
                match kind {
                    0 => Input::Receive { address, asset, wallet, amount },
                    1 => Input::Send { address, asset, wallet, amount },
                    _ => Input::Return { outside, address, asset, wallet, amount },
                }
            }
        ),
    ]
}

fn plan(shape: Shape) -> impl Strategy<Value = Plan> {
    let who = || 0..shape.accounts;
    let modified = if shape.extreme { 35 } else { 10 };
    prop_oneof![
        50 => (who(), request(shape)).prop_map(|(who, order)| Plan::Place(who, order)),
        12 => (who(), any::<usize>()).prop_map(|(who, nth)| Plan::Cancel(who, nth)),
        3 => (who(), 0..6u8).prop_map(|(who, id)| Plan::CancelClient(who, id)),
        2 => (who(), prop::option::of(market())).prop_map(|(who, m)| Plan::CancelAll(who, m)),
        modified => (who(), any::<usize>(), request(shape))
            .prop_map(|(who, nth, order)| Plan::Modify(who, nth, order)),
        6 => (who(), any::<usize>(), any::<u8>()).prop_map(|(who, n, part)| Plan::Shrink(who, n, part)),
        12 => input(shape).prop_map(Plan::Input),
        5 => (0..shape.accounts + 1, other(shape)).prop_map(|(who, command)| Plan::Other(who, command)),
        30 => conditional(shape).boxed(),
        8 => prop_oneof![4 => 0..9_000u64, 2 => 0..61_000_000u64, 1 => 0..400_000_000_000u64]
            .prop_map(Plan::Later),
    ]
}

fn concrete(plan: &Plan, twin: &Twin) -> Op {
    // Mostly the account's own orders, now and then somebody else's.
    let nth = |who: u32, nth: usize| {
        let open = twin.numbers();
        let own: Vec<_> = open.iter().filter(|o| o.0.0 == who || nth.is_multiple_of(16)).collect();
        own.get(nth % own.len().max(1)).map_or(OrderId(1 << 12), |o| o.1)
    };
    let (who, command) = match *plan {
        Plan::Place(who, order) => (who, Command::Place(order)),
        Plan::Cancel(who, n) => (who, Command::Cancel(OrderSelector::Order(nth(who, n)))),
        Plan::CancelClient(who, id) => (who, Command::Cancel(OrderSelector::Client([id; 16]))),
        Plan::CancelAll(who, market) => (who, Command::CancelAll { market }),
        Plan::Modify(who, n, order) => {
            (who, Command::Modify { target: OrderSelector::Order(nth(who, n)), order })
        }
        Plan::Shrink(who, n, part) => {
            let id = nth(who, n);
            let found = twin.orders.iter().find(|o| o.order == id);
            let order = found.map_or(OrderRequest::default(), |o| OrderRequest {
                market: o.market,
                side: o.side,
                price: o.price,
                size: (u128::from(o.remaining) * u128::from(part) / 250) as u64,
                tif: o.tif,
                reduce_only: o.reduce_only,
                client_id: if part % 3 == 0 { o.client_id } else { None },
                ..OrderRequest::default()
            });
            (who, Command::Modify { target: OrderSelector::Order(id), order })
        }
        Plan::Input(input) => return Op::In(input),
        Plan::Other(who, command) => (who, command),
        Plan::ModifyTrigger(who, n, order) => {
            (who, Command::ModifyTrigger { target: OrderSelector::Order(nth(who, n)), order })
        }
        Plan::CancelTwap(who, nth) => {
            let twaps = twin.twaps();
            let twap = twaps.get(nth % twaps.len().max(1)).map_or(OrderId(5 << 12), |t| t.1);
            (who, Command::CancelTwap(twap))
        }
        Plan::Schedule(who, at) => {
            let at_ms = at.map(|at| twin.time_us() / 1000 + at);
            (who, Command::ScheduleCancel { at_ms })
        }
        Plan::Later(by) => return Op::In(Input::Tick { time_us: twin.time_us() + by }),
    };
    Op::Do(AccountId(who), command)
}

/// How many cases to run: more by `PROPTEST_CASES`.
#[allow(clippy::disallowed_methods, reason = "a test may be asked for more")]
fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// A spec whose limits are met often.
fn tight(policy: SelfTrade, fills: u32, orders: u32) -> ExchangeSpec {
    let limits =
        Limits { orders_per_account: orders, fills_per_command: fills, ..Limits::default() };
    ExchangeSpec { self_trade: policy, limits, ..spec() }
}

#[derive(Clone, Debug)]
struct History {
    ranges: Vec<Vec<Plan>>,
    spec: ExchangeSpec,
    leave_out: bool,
}

fn history(shape: Shape) -> impl Strategy<Value = History> {
    let plans = prop::collection::vec(plan(shape), 1..60);
    let fills = prop_oneof![Just(3u32), Just(1000)];
    let orders = prop_oneof![Just(9u32), Just(1024)];
    let per_tick =
        (prop_oneof![Just(1u32), Just(3), Just(100)], prop_oneof![Just(2u32), Just(400)]);
    let leave_out = prop::bool::weighted(if shape.extreme { 0.01 } else { 0.1 });
    let ranges = prop::collection::vec(plans, 1..shape.ranges);
    let policy = prop_oneof![
        Just(SelfTrade::CancelMaker),
        Just(SelfTrade::CancelTaker),
        Just(SelfTrade::Decrement),
    ];
    let rich = prop::bool::weighted(0.7);
    (ranges, policy, fills, orders, leave_out, per_tick, rich).prop_map(
        move |(ranges, policy, fills, orders, leave_out, per_tick, rich)| {
            let mut spec = tight(policy, fills, orders);
            (spec.limits.due_per_tick, spec.limits.triggers_per_tick) = per_tick;
            if rich {
                let full = venue();
                (spec.assets, spec.markets) = (full.assets, full.markets);
            }
            if shape.extreme {
                spec.markets.iter_mut().for_each(|market| market.order_size_max = LOTS - 1);
            }
            History { ranges, spec, leave_out }
        },
    )
}

fn check(history: &History, accounts: u32) -> Result<(), TestCaseError> {
    let mut harness = Harness::new(history.spec.clone());
    let mut twin = Twin::new(history.spec.clone());
    harness.leave_out = history.leave_out;
    let mut begin = Some(funding(accounts));
    for plans in std::iter::once(&Vec::new()).chain(&history.ranges) {
        let mut expected = Vec::new();
        let ops: Vec<Op> = if let Some(ops) = begin.take() {
            expected.extend(ops.iter().map(|op| twin.run(op)));
            ops
        } else {
            let run = |plan| {
                let op = concrete(plan, &twin);
                expected.push(twin.run(&op));
                op
            };
            plans.iter().map(run).collect()
        };
        let answers = harness.range(&ops);
        for ((op, (answer, events)), (reply, told)) in ops.iter().zip(answers).zip(expected) {
            prop_assert_eq!(&answer.map_err(|refusal| refusal.code), &reply, "{:?}", op);
            prop_assert_eq!(&events, &told, "{:?}", op);
        }
        for market in [BTC, ETH, SPOT] {
            for side in [Side::Buy, Side::Sell] {
                let levels = harness.full.peek_levels(market, side, 1000);
                prop_assert_eq!(levels, twin.levels(market, side));
            }
        }
        for n in 0..accounts {
            let margin = harness.full.peek_margin(AccountId(n));
            let found = (margin.equity(), margin.initial(), margin.maintenance());
            prop_assert_eq!(found, twin.account(n as usize));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(120),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn the_engine_does_what_the_rules_say(history in history(USUAL)) {
        check(&history, USUAL.accounts)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(4),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    })]
    /// Few by default; a long run finds what needs a long history.
    #[test]
    fn deep_and_extreme_histories_as_well(history in history(DEEP)) {
        check(&history, DEEP.accounts)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    /// One level, many chunks: orders come at its end, leave anywhere, and are taken at its front.
    #[test]
    fn a_deep_level_is_a_queue(
        ranges in prop::collection::vec(
            prop::collection::vec((0..20u8, any::<prop::sample::Index>()), 1..80), 1..8,
        ),
        bias in 8..17u8,
    ) {
        let mut harness = Harness::funded(spec(), 3);
        let mut queue: Vec<OrderId> = Vec::new();
        // Numbers of commands so far; each place below is one command, as is each funding step.
        let mut commands = harness.full.peek_global().commands;
        let mut slots = std::collections::BTreeSet::new();
        for range in &ranges {
            let mut ops = Vec::new();
            for (kind, index) in range {
                commands += 1;
                let maker = AccountId(0);
                ops.push(if *kind < bias || queue.is_empty() {
                    let slot = (0..).find(|slot| !slots.contains(slot)).unwrap();
                    slots.insert(slot);
                    queue.push(OrderId(commands << 12 | slot));
                    Op::Do(maker, Command::Place(buy(990, 10)))
                } else if *kind == 19 {
                    let taken = queue.len().min(3);
                    let taker = OrderRequest { tif: Tif::Ioc, ..sell(990, 10 * taken as u64) };
                    for order in queue.drain(..taken) {
                        slots.remove(&(order.0 & 4095));
                    }
                    Op::Do(AccountId(1), Command::Place(taker))
                } else {
                    // Mostly from the end, so that last chunks empty as well as first ones.
                    let at = match kind % 3 {
                        0 => index.index(queue.len()),
                        _ => queue.len() - 1,
                    };
                    let order = queue.remove(at);
                    slots.remove(&(order.0 & 4095));
                    Op::Do(maker, Command::Cancel(OrderSelector::Order(order)))
                });
            }
            for (answer, _) in harness.range(&ops) {
                prop_assert!(answer.is_ok(), "{answer:?}");
            }
            let found = harness.full.peek_queue(BTC, Side::Buy, 990, usize::MAX);
            let found: Vec<OrderId> = found.into_iter().map(|(_, order, _)| order).collect();
            prop_assert_eq!(&found, &queue);
        }
    }
}
