//! Specs: what is refused, by key, and the encoding that goes into the spec hash.

use crate::common::*;
use atoll_exchange::*;
use atoll_types::{Decode, Encode, RejectCode, sha256};

#[test]
fn a_spec_that_cannot_run_is_refused_by_key() {
    type Change = fn(&mut ExchangeSpec);
    let cases: &[(&str, Change)] = &[
        ("assets", |s| s.assets.clear()),
        ("assets[1].symbol", |s| s.assets[1].symbol = "USDC".into()),
        ("assets[0].decimals", |s| s.assets[0].decimals = 19),
        ("collateral", |s| s.collateral = AssetId(2)),
        ("limits.orders_per_account", |s| s.limits.orders_per_account = 4097),
        ("limits.positions_per_account", |s| s.limits.positions_per_account = 0),
        ("limits.fills_per_command", |s| s.limits.fills_per_command = 0),
        ("limits.due_per_tick", |s| s.limits.due_per_tick = 0),
        ("limits.triggers_per_tick", |s| s.limits.triggers_per_tick = 10_001),
        ("markets", |s| s.markets.clear()),
        ("markets[1].name", |s| s.markets[1].name = "BTC".into()),
        ("markets[0].name", |s| s.markets[0].name = "a b".into()),
        ("markets[0].tick", |s| s.markets[0].tick = 0),
        ("markets[0].lot", |s| s.markets[0].lot = 0),
        // 10⁻⁷ dollars are no whole number of millionths.
        ("markets[0].tick", |s| s.markets[0].price_decimals = 2),
        ("markets[0].price_max", |s| s.markets[0].price_max = 1 << 40),
        ("markets[0].price_max", |s| s.markets[0].tick = 1 << 30),
        ("markets[0].order_size_max", |s| s.markets[0].order_size_max = 0),
        ("markets[0].price_band_ppm", |s| s.markets[0].price_band_ppm = 0),
        ("markets[0].taker_fee_ppm", |s| s.markets[0].taker_fee_ppm = 100_001),
        ("markets[0].maker_fee_ppm", |s| s.markets[0].maker_fee_ppm = -351),
        ("markets[2].maker_fee_ppm", |s| s.markets[2].maker_fee_ppm = -1),
        ("markets[2].lot", |s| s.assets[1].decimals = 3),
        ("markets[2].product.base", |s| {
            s.markets[2].product = Product::Spot { base: AssetId(7), quote: USDC };
        }),
        ("markets[2].product.quote", |s| {
            s.markets[2].product = Product::Spot { base: USDC, quote: USDC };
        }),
        ("markets[0].product.maintenance_margin_ppm", |s| {
            s.markets[0].product = Product::Perpetual {
                contract: Contract::Linear,
                initial_margin_ppm: 50_000,
                maintenance_margin_ppm: 50_000,
                mark_band_ppm: 1,
            };
        }),
    ];
    assert_eq!(spec().validate(), Ok(()));
    for (key, change) in cases {
        let mut broken = spec();
        change(&mut broken);
        let error = broken.validate().expect_err(key);
        assert_eq!(error.key, *key, "{error}");
        assert!(Rules::from_bytes(&broken.to_bytes()).is_err());
    }
}

#[test]
fn the_edge_reads_decimals_into_ticks_and_lots() {
    let market = &spec().markets[0];
    assert_eq!(market.parse_price("100.5"), Ok(1005));
    assert_eq!(market.parse_size("0.00010"), Ok(10));
    let code = |result: Result<u64, Refusal>| result.unwrap_err().code;
    assert_eq!(code(market.parse_price("100.55")), RejectCode::OffTick);
    assert_eq!(code(market.parse_size("0.000001")), RejectCode::OffLot);
    assert_eq!(code(market.parse_size("-1")), RejectCode::Malformed);
    assert_eq!(code(market.parse_price("99999999999999999999")), RejectCode::Overflow);
    let coarse = MarketSpec { tick: 5, ..market.clone() };
    assert_eq!(coarse.parse_price("100.5"), Ok(201));
    assert_eq!(code(coarse.parse_price("100.4")), RejectCode::OffTick);
    assert_eq!(
        (coarse.format_price(201), coarse.format_size(-10)),
        ("100.5".into(), "-0.0001".into())
    );
}

#[test]
fn the_encodings_are_golden() {
    let bytes = spec().to_bytes();
    assert_eq!(ExchangeSpec::from_bytes(&bytes), Ok(spec()));
    for cut in 0..bytes.len() {
        assert!(ExchangeSpec::from_bytes(&bytes[..cut]).is_err());
    }
    let request = OrderRequest {
        client_id: Some([9; 16]),
        reduce_only: true,
        expires_us: 1_700_000_000_000_001,
        display: 5,
        ..buy(1005, 300)
    };
    let trigger = TriggerRequest {
        market: ETH,
        side: Side::Sell,
        trigger_price: 990,
        kind: TriggerKind::Stop,
        limit: Some(985),
        size: 40,
        reduce_only: true,
        client_id: Some([6; 16]),
    };
    let (market, side) = (BTC, Side::Buy);
    let twap = TwapRequest { market, side, size: 1 << 30, reduce_only: false, minutes: 30 };
    let commands = [
        Command::Place(request),
        Command::Cancel(OrderSelector::Order(OrderId(5 << 12 | 3))),
        Command::Cancel(OrderSelector::Client([8; 16])),
        Command::CancelAll { market: None },
        Command::CancelAll { market: Some(ETH) },
        Command::Modify { target: OrderSelector::Order(OrderId(1 << 12)), order: request },
        Command::Transfer { to: address(1), asset: COIN, wallet: Wallet::Spot, amount: 1 << 70 },
        Command::Move { asset: USDC, to: Wallet::Collateral, amount: 5 },
        leverage(BTC, 7),
        Command::PlaceMarket(MarketOrderRequest {
            market: ETH,
            side: Side::Sell,
            size: 77,
            slippage_ppm: 10_000,
            reduce_only: false,
            client_id: None,
        }),
        Command::SettlePosition { owner: address(2), market: BTC },
        Command::PlaceTrigger(trigger),
        Command::ModifyTrigger { target: OrderSelector::Client([8; 16]), order: trigger },
        Command::PlaceGroup { parent: request, children: [Some(trigger), None] },
        Command::AttachTriggers([None, Some(trigger)]),
        Command::PlaceTwap(twap),
        Command::CancelTwap(OrderId(9 << 12)),
        Command::ScheduleCancel { at_ms: None },
        Command::ScheduleCancel { at_ms: Some(1_700_000_005_000) },
        Command::SetLeverage { market: ETH, leverage: 3, isolated: true },
        Command::AdjustMargin { market: ETH, amount: -5 },
        Command::ListMarket(Box::new(Listing {
            market: perpetual("DOGE"),
            oracle: Some(ListedOracle {
                keys: vec![address(7)],
                rules: OracleSpec { stale_us: 9, ..OracleSpec::default() },
            }),
            bond: 1 << 40,
        })),
        Command::ListMarket(Box::new(Listing {
            market: venue().markets[3].clone(),
            oracle: None,
            bond: 0,
        })),
        Command::SetStatus { market: BTC, status: MarketStatus::Settled },
        Command::ClaimBond { market: ETH },
        Command::ForfeitBond { market: BTC },
    ];
    let credit = (address(0), USDC, Wallet::Collateral, 300);
    let (address, asset, wallet, amount) = credit;
    let inputs = [
        Input::Credit { address, asset, wallet, amount },
        Input::Debit { address, asset, wallet, amount },
        Input::Oracle(OracleReport {
            source: 3,
            external: 998,
            time_us: 7,
            ..OracleReport::sole(ETH, 999)
        }),
        Input::SetStatus { market: BTC, status: MarketStatus::CancelOnly },
        Input::Tick { time_us: 1_700_000_000_000_000 },
        Input::Receive { address, asset, wallet, amount },
        Input::Send { address, asset, wallet, amount },
        Input::Return { outside: Outside::Environment, address, asset, wallet, amount },
        Input::Funding { market: ETH, change: -12_500 },
        Input::MarginScale { market: ETH, scale_ppm: (2_000_000, 1_500_000) },
    ];
    let mut all = bytes;
    for command in &commands {
        assert_eq!(Command::from_bytes(&command.to_bytes()).as_ref(), Ok(command));
        command.encode(&mut all);
    }
    for input in &inputs {
        assert_eq!(Input::from_bytes(&input.to_bytes()).as_ref(), Ok(input));
        input.encode(&mut all);
    }
    assert_eq!(sha256(&[&all]).to_string(), GOLDEN_INPUTS);
}

/// A small history: its events, and every object of the state it leads to.
#[test]
fn the_state_is_golden() {
    let mut h = Harness::funded(spec(), 3);
    let mut events = Vec::new();
    let mut keep = |answer: Answer| events.extend(answer.1);
    for n in 0..20 {
        let client_id = (n % 3 == 0).then_some([n as u8 + 1; 16]);
        keep(h.one(0, Command::Place(OrderRequest { client_id, ..buy(990 - n % 4, 10 + n) })));
        keep(h.one(1, Command::Place(sell(1000 + n % 4, 10 + n))));
    }
    keep(h.one(2, Command::Place(buy(1002, 140))));
    keep(h.one(0, Command::Place(order(SPOT, Side::Sell, 500, 7000))));
    keep(h.one(2, Command::Place(order(SPOT, Side::Buy, 500, 5000))));
    keep(h.one(2, leverage(ETH, 3)));
    keep(h.one(0, Command::CancelAll { market: Some(BTC) }));
    let mut bytes = Vec::new();
    events.iter().for_each(|event| event.encode(&mut bytes));
    let all = atoll_state::object::export(&mut h.full);
    let mut objects: Vec<_> = all.iter().collect();
    objects.sort();
    for (key, value) in objects {
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value.unwrap());
    }
    assert_eq!(sha256(&[&bytes]).to_string(), GOLDEN_STATE);
}

const GOLDEN_INPUTS: &str = "0x3ff7dd6d8ce6c258d606da7da220ff5a37068774e8396812cce6d6ee68d20a1f";
const GOLDEN_STATE: &str = "0x6cc12df46f4d293efa8c952f96d144cbbf705fa156748d3015740c74c02f86e6";
