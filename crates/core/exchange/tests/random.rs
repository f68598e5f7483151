//! Random histories against the naive twin: the same answers, the same events, the same books and
//! margins, on full state and on every range's witness alone.

use crate::common::history::{History, LOTS, Plan, TOP, check, tight};
use crate::common::*;
use atoll_exchange::*;
use proptest::prelude::*;

/// What histories are made of.
#[derive(Clone, Copy)]
struct Shape {
    accounts: u32,
    ranges: usize,
    /// Whether sizes, prices and money come near the bounds of the types, and orders are often
    /// modified and often only reduce.
    extreme: bool,
    /// 1 if time goes on by more than microseconds and prices have rules that need it.
    timed: u32,
}

const USUAL: Shape = Shape { accounts: 4, ranges: 15, extreme: false, timed: 0 };
const DEEP: Shape = Shape { accounts: 8, ranges: 60, extreme: true, timed: 0 };
const TIMED: Shape = Shape { accounts: 4, ranges: 20, extreme: false, timed: 1 };
const DEEP_TIMED: Shape = Shape { timed: 1, ..DEEP };
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
        (0..shape.accounts + 1, prop::option::of(market()))
            .prop_map(|(owner, market)| Command::Liquidate { owner: address(owner), market }),
        (0..shape.accounts + 1, prop::option::weighted(0.2, market()))
            .prop_map(|(owner, market)| Command::Liquidate { owner: address(owner), market }),
        (market(), any::<bool>()).prop_map(|(market, long)| Command::Deleverage {
            market,
            side: if long { Side::Buy } else { Side::Sell },
        }),
        (any::<bool>(), 1..9_000_000_000i128).prop_map(|(coin, amount)| Command::FundInsurance {
            asset: if coin { COIN } else { USDC },
            amount,
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

/// Mostly open, so that a history goes on.
fn status() -> impl Strategy<Value = MarketStatus> {
    prop_oneof![
        40 => Just(MarketStatus::Open), 2 => Just(MarketStatus::PostOnly),
        2 => Just(MarketStatus::ReduceOnly), 2 => Just(MarketStatus::CancelOnly),
        2 => Just(MarketStatus::Halted), 1 => Just(MarketStatus::Settled),
        12 => Just(MarketStatus::Auction),
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
            .prop_map(|(market, price)| Input::Oracle(OracleReport::sole(market, price))),
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

const SECOND: u64 = 1_000_000;

fn advance() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..2000u64, 8 => 0..3 * SECOND, 4 => 0..40 * SECOND, 1 => 0..5000 * SECOND,
        1 => 0..30_000 * SECOND,
    ]
}

fn report(shape: Shape) -> impl Strategy<Value = Plan> {
    let extreme = u32::from(shape.extreme);
    let price = || {
        prop_oneof![
            20 => 990..1010u64, 3 => 900..1100u64, 1 => 1..20_000u64, 1 => Just(1),
            2 * extreme => TOP - 9..TOP + 2,
        ]
    };
    let external = prop_oneof![3 => Just(0), 2 => price()];
    let ago = prop_oneof![8 => Just(0), 1 => 0..10 * SECOND];
    (market(), 0..4u8, price(), external, ago).prop_map(|(market, source, price, external, ago)| {
        Plan::Report(market, source, price, external, ago)
    })
}

/// Price rules of all kinds, with times and bounds that a short history meets.
fn price_spec() -> impl Strategy<Value = PriceSpec> {
    let mark = prop_oneof![
        1 => Just(MarkRule::Book), 3 => Just(MarkRule::Robust { interval_us: SECOND }),
    ];
    let funding =
        prop_oneof![Just(1u64), Just(20_000), Just(1 << 40)].prop_map(FundingSpec::hyperliquid);
    let model = prop_oneof![
        Just(VolatilityModel::default()),
        Just(VolatilityModel::Garch { alpha_ppm: 100_000, beta_ppm: 800_000 }),
    ];
    let volatility = (model, 0..60 * SECOND).prop_map(|(model, grace_us)| VolatilitySpec {
        model,
        interval_us: 10 * SECOND,
        reference_ppm: 500,
        scale_max_ppm: 5_000_000,
        grace_us,
        rise_ppm: 3_000,
    });
    let sanity = (1..300_000u32, 0..8 * SECOND, 0..20 * SECOND).prop_map(
        |(jump_ppm, confirm_us, hold_us)| SanitySpec {
            jump_ppm,
            confirm_us,
            rate_ppm: 20_000,
            hold_us,
            limit_us: 60 * SECOND,
            auction_us: 5 * SECOND,
            wide_us: 30 * SECOND,
        },
    );
    let funding = prop::option::weighted(0.8, funding);
    let volatility = prop::option::weighted(0.7, volatility);
    let sanity = prop::option::weighted(0.8, sanity);
    (mark, funding, volatility, sanity).prop_map(|(mark, funding, volatility, sanity)| PriceSpec {
        mark,
        funding,
        volatility,
        sanity: sanity.filter(|_| mark != MarkRule::Book),
    })
}

fn oracle_spec() -> impl Strategy<Value = OracleSpec> {
    let weights = prop_oneof![Just(vec![1]), Just(vec![1, 1, 1]), Just(vec![3, 2, 2, 1])];
    let stale_us = prop_oneof![Just(0), Just(8 * SECOND), Just(60 * SECOND)];
    (weights, stale_us, any::<bool>(), 0..30 * SECOND).prop_map(
        |(weights, stale_us, strict, reduce_only_after_us)| OracleSpec {
            quorum: if strict { weights.iter().sum::<u32>() / 2 + 1 } else { 1 },
            deviation_ppm: if strict { 20_000 } else { 0 },
            weights,
            stale_us,
            reduce_only_after_us,
        },
    )
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
        9 => (0..shape.accounts + 1, other(shape)).prop_map(|(who, command)| Plan::Other(who, command)),
        30 => conditional(shape).boxed(),
        8 + shape.timed * 22 => prop_oneof![
            8 => prop_oneof![4 => 0..9_000u64, 2 => 0..61_000_000u64, 1 => 0..400_000_000_000u64]
                .prop_map(Plan::Later),
            shape.timed * 12 => advance().prop_map(Plan::Advance),
            shape.timed * 10 => report(shape),
        ],
    ]
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
    let rich = prop::bool::weighted(if shape.timed == 1 { 0.3 } else { 0.7 });
    let prices = (price_spec(), price_spec(), oracle_spec(), prop_oneof![Just(3), Just(10_000u64)]);
    let ladder = (any::<bool>(), any::<bool>(), prop_oneof![Just(0u32), Just(300_000)], 1..9u32);
    (ranges, policy, fills, orders, leave_out, (per_tick, rich), prices, ladder).prop_map(
        move |(ranges, policy, fills, orders, leave_out, (per_tick, rich), prices, ladder)| {
            let mut spec = tight(policy, fills, orders);
            let (vault, aware, insurance_ppm, ranked) = ladder;
            spec.limits.ranked_per_command = ranked;
            spec.liquidation.insurance_ppm = insurance_ppm;
            spec.liquidation.backstop = vault.then(|| address(2));
            spec.liquidation.backstop_margin_ppm += insurance_ppm * 5;
            if aware {
                spec.liquidation.deleveraging = Deleveraging::RiskAware;
            }
            (spec.limits.due_per_tick, spec.limits.triggers_per_tick) = per_tick;
            if rich {
                let full = venue();
                (spec.assets, spec.markets) = (full.assets, full.markets);
            }
            if shape.timed == 1 {
                (spec.markets[0].prices, spec.markets[1].prices) = (prices.0, prices.1);
                spec.markets.iter_mut().skip(3).for_each(|inverse| inverse.prices = prices.1);
                spec.oracle = prices.2;
                if let Product::Perpetual { mark_band_ppm, .. } = &mut spec.markets[0].product {
                    *mark_band_ppm = (prices.3 * 10_000 % 999_999) as u32;
                }
            }
            if shape.extreme {
                spec.markets.iter_mut().for_each(|market| market.order_size_max = LOTS - 1);
            }
            History { ranges, spec, leave_out }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(120),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn the_engine_does_what_the_rules_say(history in history(USUAL)) {
        check(&history, USUAL.accounts);
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
        check(&history, DEEP.accounts);
    }

    #[test]
    fn prices_of_deep_and_extreme_histories_as_well(history in history(DEEP_TIMED)) {
        check(&history, DEEP_TIMED.accounts);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(100),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    /// Time goes on, several sources tell prices, markets are guarded and auctioned.
    #[test]
    fn prices_move_as_the_rules_say(history in history(TIMED)) {
        check(&history, TIMED.accounts);
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
