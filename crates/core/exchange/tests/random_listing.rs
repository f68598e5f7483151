//! Random histories of markets that are listed, traded, halted, settled and undone, against the
//! naive twin: the same answers, events, books, margins and bonds, on full state and on every
//! range's witness alone.

use crate::common::history::{History, Plan, check};
use crate::common::*;
use atoll_exchange::*;
use proptest::prelude::*;

const ACCOUNTS: u32 = 4;
const SECOND: u64 = 1_000_000;

/// A market of the spec, or one that is or may be listed.
fn market() -> impl Strategy<Value = MarketId> {
    prop_oneof![2 => Just(BTC), 1 => Just(SPOT), 8 => Just(MarketId(4)), 5 => Just(MarketId(5))]
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Buy), Just(Side::Sell)]
}

fn prices(jump_ppm: u32, robust: bool, funded: bool) -> PriceSpec {
    PriceSpec {
        mark: if robust { MarkRule::Robust { interval_us: SECOND } } else { MarkRule::Book },
        funding: funded.then(|| FundingSpec::hyperliquid(20_000)),
        volatility: None,
        sanity: (jump_ppm != 0).then(|| listed::sanity(jump_ppm)),
    }
}

/// Mostly what anyone may list, with something wrong now and then.
fn listing() -> impl Strategy<Value = Listing> {
    let name = prop_oneof![
        8 => "[A-Z]{3}", 1 => Just("BTC".to_string()), 1 => Just(String::new()),
        1 => Just("with space".to_string()),
    ];
    let initial = prop_oneof![
        8 => 100_000..1_000_001u32, 1 => 3_000..100_000u32, 1 => Just(1_000_001u32),
    ];
    let jump = prop_oneof![6 => 50_000..100_001u32, 1 => Just(0), 1 => 100_000..600_000u32];
    let cap = prop_oneof![6 => 1..100_000u64, 1 => Just(0u64), 1 => 1..1_000_000_000_000u64];
    let weights = prop_oneof![
        6 => Just(vec![1u32]), 3 => Just(vec![2, 1, 1]), 1 => Just(vec![]),
    ];
    let flaw = (0..24u8, 0..12u8, 0..20u8);
    let bond = prop_oneof![6 => 1_000..2_000u64, 1 => 0..1_000u64, 1 => Just(1 << 61)];
    (name, initial, jump, cap, weights, bond, flaw, any::<bool>()).prop_map(
        |(name, initial, jump_ppm, cap, weights, bond, (cross, venue, fee), funded)| {
            let prices = prices(jump_ppm, fee != 1, funded);
            let mut market = listed::market(&name, initial, prices);
            market.taker_fee_ppm = if fee == 0 { 100_001 } else { 350 };
            market.risk.open_interest_max = cap;
            market.risk.isolated_only = cross != 0;
            let quorum = weights.iter().sum::<u32>() / 2 + u32::from(venue != 1);
            let rules = OracleSpec { weights, quorum, ..OracleSpec::default() };
            listed::listing(market, (venue != 0).then_some(rules), bond)
        },
    )
}

fn command() -> impl Strategy<Value = Command> {
    let status = prop_oneof![
        6 => Just(MarketStatus::Open), 1 => Just(MarketStatus::PostOnly),
        1 => Just(MarketStatus::ReduceOnly), 1 => Just(MarketStatus::CancelOnly),
        1 => Just(MarketStatus::Auction), 1 => Just(MarketStatus::Halted),
        3 => Just(MarketStatus::Settled),
    ];
    prop_oneof![
        10 => listing().prop_map(|listing| Command::ListMarket(Box::new(listing))),
        10 => (market(), status).prop_map(|(market, status)| Command::SetStatus { market, status }),
        8 => market().prop_map(|market| Command::ClaimBond { market }),
        3 => market().prop_map(|market| Command::ForfeitBond { market }),
        8 => (market(), prop_oneof![5 => 1..11u8, 1 => 0..30u8], prop::bool::weighted(0.8))
            .prop_map(|(market, leverage, isolated)| {
                Command::SetLeverage { market, leverage, isolated }
            }),
        6 => (market(), 0..ACCOUNTS).prop_map(|(market, n)| {
            Command::SettlePosition { market, owner: address(n) }
        }),
        3 => (market(), 0..ACCOUNTS).prop_map(|(market, n)| {
            Command::Liquidate { owner: address(n), market: Some(market) }
        }),
        3 => (market(), -9_000..9_000i128)
            .prop_map(|(market, amount)| Command::AdjustMargin { market, amount }),
    ]
}

fn request() -> impl Strategy<Value = OrderRequest> {
    let price = prop_oneof![20 => 990..1011u64, 2 => 850..1150u64];
    let size = prop_oneof![8 => 1..40u64, 2 => 1..60_000u64];
    let tif = prop_oneof![6 => Just(Tif::Gtc), 2 => Just(Tif::Ioc), 1 => Just(Tif::PostOnly)];
    (market(), side(), price, size, tif, prop::bool::weighted(0.1)).prop_map(
        |(market, side, price, size, tif, reduce_only)| OrderRequest {
            market,
            side,
            price,
            size,
            tif,
            reduce_only,
            ..OrderRequest::default()
        },
    )
}

fn plan() -> impl Strategy<Value = Plan> {
    let who = || 0..ACCOUNTS;
    prop_oneof![
        40 => (who(), request()).prop_map(|(who, order)| Plan::Place(who, order)),
        4 => (who(), any::<usize>()).prop_map(|(who, nth)| Plan::Cancel(who, nth)),
        30 => (who(), command()).prop_map(|(who, command)| Plan::Other(who, command)),
        14 => (market(), 0..3u8, prop_oneof![6 => 980..1020u64, 1 => 700..1400u64])
            .prop_map(|(market, source, price)| Plan::Report(market, source, price, 0, 0)),
        10 => prop_oneof![0..2_000u64, 0..3 * SECOND, 0..40 * SECOND].prop_map(Plan::Later),
        1 => (market(), Just(MarketStatus::Open))
            .prop_map(|(market, status)| Plan::Input(Input::SetStatus { market, status })),
    ]
}

fn history() -> impl Strategy<Value = History> {
    let plans = prop::collection::vec(plan(), 1..40);
    let ranges = prop::collection::vec(plans, 1..16);
    let limits = (prop_oneof![4 => Just(2u32), 1 => Just(1), 1 => Just(0)], 0..8u8);
    (ranges, prop::bool::weighted(0.1), limits).prop_map(|(ranges, leave_out, (most, who))| {
        let mut spec = venue();
        spec.listing = listed::rules(who != 0, who != 1, most);
        History { ranges, spec, leave_out }
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(120),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn listed_markets_are_as_those_of_the_spec(history in history()) {
        check(&history, ACCOUNTS);
    }
}
