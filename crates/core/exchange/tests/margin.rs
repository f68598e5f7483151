//! Margin by worked examples: funding, tiers, isolated positions, inverse contracts, collateral of
//! several assets, caps and the prices at which positions give way. Sources beside each.

use crate::common::*;
use atoll_exchange::margin::MarginPrices;
use atoll_exchange::margin::funding::{YEAR_US, interest};
use atoll_exchange::margin::price::{self, Threshold};
use atoll_exchange::objects::{LedgerKey, Position};
use atoll_exchange::*;
use atoll_types::RejectCode;
use proptest::prelude::*;

const DOLLAR: i128 = 1_000_000;

fn isolate(market: MarketId, leverage: u8) -> Command {
    Command::SetLeverage { market, leverage, isolated: true }
}

fn view(h: &Harness, account: u32) -> PositionView {
    h.full.peek_positions(AccountId(account))[0]
}

fn collateral(h: &Harness, account: u32) -> i128 {
    h.full.peek_owner(AccountId(account)).unwrap().collateral
}

fn ledger(h: &Harness, asset: AssetId) -> objects::Ledger {
    h.full.state().ledgers.peek(&LedgerKey(asset)).copied().unwrap_or_default()
}

fn funding(h: &mut Harness, market: MarketId, change: i128) {
    h.input(Input::Funding { market, change }).0.unwrap();
}

/// dYdX, "Funding": at 1,001,999 parts per million over eight hours and a price of 1000, a short of
/// one is paid 1001 (the fraction is cut), and a long pays 1002 here, where what is paid is rounded
/// up: the difference is booked.
#[test]
fn funding_is_rounded_against_each_account_and_the_rest_is_booked() {
    let mut small = spec();
    small.markets[0].notional_min = 1;
    let mut h = Harness::funded(small, 2);
    h.leave_out = true;
    h.place(0, sell(1000, 1));
    h.place(1, buy(1000, 1));
    // 1000 quote units a lot × 1.001999 = 1001.999.
    let (_, events) = h.input(Input::Funding { market: BTC, change: 1_001_999_000_000 });
    assert!(events.is_empty(), "an hourly payment touches no account");
    assert_eq!(h.written.1, 2, "the market's prices and the count of commands");
    // It counts at once, as it will be paid.
    assert_eq!((view(&h, 0).funding_due, view(&h, 1).funding_due), (-1001, 1002));
    assert_eq!((view(&h, 0).unrealised, view(&h, 1).unrealised), (1001, -1002));
    let before = [collateral(&h, 0), collateral(&h, 1)];
    h.place(0, buy(999, 1));
    let sold = sell(999, 1);
    let (_, events) = h.one(1, Command::Place(sold));
    let paid = |account, size, amount| Event::FundingPaid {
        account: AccountId(account),
        market: BTC,
        size,
        amount,
        change: 1_001_999_000_000,
    };
    assert_eq!(events[1..3], [paid(0, -1, -1001), paid(1, 1, 1002)]);
    // 999 out, 1000 in; the taker's fee is a unit.
    assert_eq!(collateral(&h, 0) - before[0], 1001 + 1);
    assert_eq!(collateral(&h, 1) - before[1], -1002 - 1 - 1);
    let ledger = ledger(&h, USDC);
    assert_eq!((ledger.funding, ledger.funding_dust), (0, 0));
    assert_eq!(ledger.rounding, 1 + 2, "a unit of funding and two of fees");
}

/// Hyperliquid, "Funding": the baseline of 0.01 % for eight hours is 0.00125 % an hour. A long of
/// 10,000 dollars pays 12.5 cents.
#[test]
fn the_baseline_hour_costs_an_eighth_of_a_basis_point() {
    let mut h = Harness::funded(spec(), 2);
    h.place(0, sell(1000, 10_000_000));
    h.place(1, buy(1000, 10_000_000));
    // 0.0000125 × 1000 units a lot.
    funding(&mut h, BTC, 12_500_000);
    assert_eq!(view(&h, 1).funding_due, DOLLAR / 8);
    // Funding is settled before the size changes: the half closed owes its hour in full, the
    // next hour is for what is left.
    h.place(0, buy(1000, 5_000_000));
    h.place(1, sell(1000, 5_000_000));
    assert_eq!(view(&h, 1).funding_due, 0);
    funding(&mut h, BTC, 12_500_000);
    assert_eq!(view(&h, 1).funding_due, DOLLAR / 16);
    assert_eq!(h.full.peek_margin(AccountId(1)).equity(), {
        let fees = 2 * (10_000_000_000 + 5_000_000_000) * 350 / 2 / 1_000_000;
        1_000_000 * DOLLAR - fees - DOLLAR / 8 - DOLLAR / 16
    });
}

/// A perpetual of dollars, lots of a ten-thousandth and ticks of a dollar, with these tiers.
fn tiered(tiers: &[(u64, u32)]) -> ExchangeSpec {
    let mut spec = spec();
    let ppm = |leverage: u32| 1_000_000_u32.div_ceil(leverage);
    let market = &mut spec.markets[0];
    (market.price_decimals, market.size_decimals, market.lot) = (0, 4, 1);
    market.price_max = 1_000_000;
    market.order_size_max = 1 << 39;
    let leverage = tiers[0].1;
    market.product = Product::Perpetual {
        contract: Contract::Linear,
        initial_margin_ppm: ppm(leverage),
        maintenance_margin_ppm: ppm(2 * leverage),
        mark_band_ppm: 10_000,
    };
    let further = tiers[1..].iter().map(|(bound, leverage)| MarginTier {
        lower_bound: bound * DOLLAR as u64,
        initial_margin_ppm: ppm(*leverage),
        maintenance_margin_ppm: ppm(2 * leverage),
    });
    market.risk.tiers = further.collect();
    spec
}

/// Hyperliquid, "Margin tiers": BTC has 40x up to 150 million dollars and 20x above. The rates of
/// maintenance are half: 1.25 % and 2.5 %, the deduction 150 million × 1.25 % = 1,875,000.
#[test]
fn hyperliquids_tiers_with_their_maintenance_deductions() {
    let rules = Rules::new(tiered(&[(0, 40), (150_000_000, 20)])).unwrap();
    let market = rules.market(BTC).unwrap();
    let tiers: Vec<_> = market.tiers.iter().map(|t| (t.maintenance_ppm, t.deduction)).collect();
    assert_eq!(tiers, [(12_500, 0), (25_000, 1_875_000 * DOLLAR * 1_000_000)]);
    let maintenance =
        |dollars: i128| market.maintenance_weighted(dollars * DOLLAR) / (DOLLAR * 1_000_000);
    assert_eq!(maintenance(100_000_000), 1_250_000);
    assert_eq!(maintenance(150_000_000), 1_875_000);
    // Each part of the value at its own rate: no step at the bound.
    assert_eq!(maintenance(200_000_000), 1_875_000 + 1_250_000);
    for (value, leverage, ppm) in [
        (149_999_999, 0, 25_000),
        (150_000_000, 0, 50_000),
        (1, 10, 100_000),
        (150_000_000, 30, 50_000),
    ] {
        assert_eq!(market.initial_ppm(value * DOLLAR, leverage), ppm, "{value} at {leverage}");
    }
    // Of three tiers, with numbers of our own (Hyperliquid publishes tables of two): the deduction of
    // the third builds on that of the second, as the formula has it.
    let rules = Rules::new(tiered(&[(0, 10), (3_000_000, 5), (20_000_000, 4)])).unwrap();
    let third = rules.market(BTC).unwrap().tiers[2].deduction / 1_000_000;
    assert_eq!(third, (3_000_000 * 5 + 20_000_000 * 5 / 2) * DOLLAR / 100);
}

/// Hyperliquid, "Liquidations": liquidation price = price − side × margin available / size /
/// (1 − l × side), margin available = equity (cross) or isolated margin less maintenance.
#[allow(clippy::field_reassign_with_default, reason = "its other fields are private")]
#[test]
fn the_liquidation_price_is_hyperliquids_formula() {
    let rules = Rules::new(tiered(&[(0, 20)])).unwrap();
    let market = rules.market(BTC).unwrap();
    let prices = MarginPrices { mark: 100_000, ..MarginPrices::default() };
    // A hundred coins at 100,000 dollars with 600,000 behind them; maintenance is 2.5 %.
    for side in [1i64, -1] {
        let size = side * 1_000_000;
        let cost = market.value(100_000, size);
        let position = Position { size, cost, isolated: true, ..Position::default() };
        let margin = 600_000 * DOLLAR;
        let got = |threshold| price::isolated(market, &position, margin, &prices, threshold);
        // 350,000 of margin available; / 100 / (1 ∓ 0.025): 3589.74… below, 3414.63… above.
        let liquidation = if side > 0 { 96_410 } else { 103_415 };
        assert_eq!(got(Threshold::Liquidation), Some(liquidation));
        // Bankrupt once 6000 dollars a coin are lost.
        assert_eq!(got(Threshold::Bankruptcy), Some(if side > 0 { 93_999 } else { 106_001 }));
        let mut others = Margin::default();
        others.collateral = margin;
        let threshold = Threshold::Liquidation;
        let cross = price::cross(market, &position, &others, &prices, threshold);
        assert_eq!(cross, Some(liquidation));
    }
    // Nothing that a price can do: a long of one coin with all of its value behind it.
    let position = Position { size: 10_000, cost: 100_000 * DOLLAR, ..Position::default() };
    let got = |margin| price::isolated(market, &position, margin, &prices, Threshold::Bankruptcy);
    assert_eq!(got(100_000 * DOLLAR), None);
    assert_eq!(got(-DOLLAR), Some(100_000), "bankrupt already");
}

#[test]
fn an_isolated_position_has_its_own_margin_and_its_own_end() {
    let mut h = Harness::funded(spec(), 3);
    h.leave_out = true;
    h.one(1, isolate(BTC, 10)).0.unwrap();
    h.place(0, sell(1000, 10_000_000));
    let before = h.full.peek_margin(AccountId(1));
    // An open order reserves its margin and what it may cost, and no more.
    h.place(1, buy(990, 1_000_000));
    let reserved = h.full.peek_margin(AccountId(1));
    assert_eq!(reserved.initial() - before.initial(), 99 * DOLLAR);
    h.one(1, Command::CancelAll { market: None }).0.unwrap();
    // Ten thousand dollars at ten times: a thousand of margin; the fee is the account's.
    let (_, events) = h.one(1, Command::Place(buy(1000, 10_000_000)));
    let (account, change, margin) = (AccountId(1), 1000 * DOLLAR, 1000 * DOLLAR);
    assert!(events.contains(&Event::IsolatedMargin { account, market: BTC, change, margin }));
    let fee = 10_000 * DOLLAR * 350 / 1_000_000;
    assert_eq!(collateral(&h, 1), 1_000_000 * DOLLAR - 1000 * DOLLAR - fee);
    let margin = h.full.peek_margin(AccountId(1));
    assert_eq!((margin.equity(), margin.initial()), (collateral(&h, 1), 0));
    let own = view(&h, 1).isolated.unwrap();
    let expected = (1000 * DOLLAR, 1000 * DOLLAR, 1000 * DOLLAR, 250 * DOLLAR);
    assert_eq!((own.margin, own.equity, own.initial, own.maintenance), expected);
    // The mode changes only without a position; leverage falls as far as the margin allows.
    h.refused(1, leverage(BTC, 10), RejectCode::PositionOpen);
    h.refused(1, isolate(BTC, 9), RejectCode::InsufficientMargin);
    h.one(1, isolate(BTC, 20)).0.unwrap();
    h.one(1, isolate(BTC, 10)).0.unwrap();
    // Margin goes in and comes out, down to the initial requirement.
    let adjust = |dollars: i128| Command::AdjustMargin { market: BTC, amount: dollars * DOLLAR };
    h.one(1, adjust(500)).0.unwrap();
    h.refused(1, adjust(-501), RejectCode::InsufficientMargin);
    h.one(1, adjust(-500)).0.unwrap();
    h.refused(1, adjust(2_000_000), RejectCode::InsufficientBalance);
    h.refused(2, adjust(1), RejectCode::Unsupported);
    // The price falls: the account is as it was, the position gives way by itself. 750 dollars
    // over maintenance; / 100 / 0.975 is 76.9 ticks of a tenth of a dollar.
    assert_eq!(view(&h, 1).liquidation, Some(923));
    assert_eq!(view(&h, 1).bankruptcy, Some(899));
    let cross = h.full.peek_margin(AccountId(1));
    h.mark(BTC, 950);
    assert_eq!(h.full.peek_margin(AccountId(1)), cross);
    assert_eq!(view(&h, 1).isolated.unwrap().equity, 500 * DOLLAR);
    h.refused(1, isolate(BTC, 9), RejectCode::InsufficientMargin);
    // Half is closed at 950: half of the margin comes back with its loss.
    let before = collateral(&h, 1);
    h.place(0, buy(950, 5_000_000));
    h.place(1, OrderRequest { tif: Tif::Ioc, ..sell(950, 5_000_000) });
    let fee = 4750 * DOLLAR * 350 / 1_000_000;
    assert_eq!(collateral(&h, 1) - before, (500 - 250) * DOLLAR - fee);
    assert_eq!(view(&h, 1).isolated.unwrap().margin, 500 * DOLLAR);
    // Funding is paid out of the margin.
    funding(&mut h, BTC, 20_000_000_000);
    assert_eq!(view(&h, 1).isolated.unwrap().equity, 150 * DOLLAR);
    h.place(0, buy(950, 5_000_000));
    h.place(1, OrderRequest { tif: Tif::Ioc, ..sell(950, 5_000_000) });
    assert!(h.full.peek_positions(AccountId(1))[0].isolated.unwrap() == IsolatedView::default());
    assert_eq!(h.full.state().isolated.local_iter().count(), 0);
}

/// A hundred thousand dollars in a market of coins, priced at 100 dollars: marks of both.
fn coins(accounts: u32) -> Harness {
    let mut h = Harness::funded(venue(), accounts);
    h.mark(INV, 1000);
    h.leave_out = true;
    h
}

fn inverse(side: Side, price: Price, size: Size) -> Command {
    Command::Place(order(INV, side, price, size))
}

fn pledge(h: &mut Harness, account: u32, amount: i128) {
    let to = Wallet::Collateral;
    h.one(account, Command::Move { asset: COIN, to, amount }).0.unwrap();
}

/// BitMEX, "Inverse perpetual": profit in coin = contracts × multiplier × (1 / entry − 1 / exit).
#[test]
fn an_inverse_contract_gains_in_coin() {
    let mut h = coins(3);
    pledge(&mut h, 1, 100_000_000_000);
    h.one(0, inverse(Side::Sell, 1000, 50)).0.unwrap();
    h.one(1, inverse(Side::Buy, 1000, 50)).0.unwrap();
    // 5000 dollars at 100 dollars: 50 coins, and fees of 0.035 % in coin.
    let fee = 50 * 100_000_000 * 350 / 1_000_000;
    assert_eq!(h.full.peek_holdings(AccountId(1)).of(COIN).amount, 100_000_000_000 - fee);
    h.mark(INV, 1250);
    // 5000 × (1 / 100 − 1 / 125) = 10 coins.
    assert_eq!(view(&h, 1).unrealised, 1_000_000_000);
    assert_eq!(view(&h, 0).unrealised, -1_000_000_000);
    h.one(2, inverse(Side::Buy, 1250, 50)).0.unwrap();
    h.one(1, inverse(Side::Sell, 1250, 50)).0.unwrap();
    let fees = fee + 40 * 100_000_000 * 350 / 1_000_000;
    let held = h.full.peek_holdings(AccountId(1)).of(COIN).amount;
    assert_eq!(held, 100_000_000_000 + 1_000_000_000 - fees);
    // The maker of the first trade has no coins: it owes what its orders cost, against dollars.
    assert!(h.full.peek_owner(AccountId(0)).unwrap().has_holdings());
    assert!(h.full.peek_holdings(AccountId(0)).of(COIN).amount < 0);
}

#[test]
fn coins_count_less_their_haircut_and_debts_in_full() {
    let mut h = coins(2);
    let all = 1_000_000_000_000;
    let to = Wallet::Spot;
    h.one(1, Command::Move { asset: USDC, to, amount: all }).0.unwrap();
    assert_eq!(h.full.peek_margin(AccountId(1)).equity(), 0);
    // Ten coins at 100 dollars, less a tenth: 900 dollars to trade with.
    pledge(&mut h, 1, 1_000_000_000);
    assert_eq!(h.full.peek_margin(AccountId(1)).equity(), 900 * DOLLAR);
    h.mark(BTC, 1100);
    assert_eq!(h.full.peek_margin(AccountId(1)).equity(), 990 * DOLLAR);
    h.place(0, order(ETH, Side::Sell, 1000, 18_000_000));
    let long = order(ETH, Side::Buy, 1000, 18_000_000);
    h.place(1, long);
    // The fee is owed in dollars, of which there are none.
    let fee = 18_000 * DOLLAR * 350 / 1_000_000;
    assert_eq!(collateral(&h, 1), -fee);
    let margin = h.full.peek_margin(AccountId(1));
    assert_eq!((margin.equity(), margin.initial()), (990 * DOLLAR - fee, 900 * DOLLAR));
    let take = |amount| Command::Move { asset: COIN, to: Wallet::Spot, amount };
    h.refused(1, take(1_000_000_001), RejectCode::InsufficientBalance);
    h.refused(1, take(900_000_000), RejectCode::InsufficientMargin);
    h.one(1, take(800_000)).0.unwrap();
    // A year at 8 % on what is owed, charged when the balance is next touched.
    let before = h.full.peek_margin(AccountId(1)).equity();
    let time_us = h.full.peek_global().time_us + YEAR_US as u64;
    h.input(Input::Tick { time_us }).0.unwrap();
    let due = interest(fee, 80_000 * YEAR_US);
    assert_eq!(due, (fee * 8 + 99) / 100);
    assert_eq!(h.full.peek_margin(AccountId(1)).equity(), before - due);
    assert_eq!(ledger(&h, USDC).insurance, 0);
    let (account, asset, amount) = (AccountId(1), USDC, due);
    let (_, events) = h.one(1, Command::Move { asset: USDC, to: Wallet::Collateral, amount: 5 });
    assert!(events.contains(&Event::InterestPaid { account, asset, amount }));
    assert_eq!(ledger(&h, USDC).insurance, due);
    assert_eq!(collateral(&h, 1), 5 - fee - due);
    // What one asset is owed comes out of the other: 126 … of a thousand dollars.
    object_worth(&mut h);
}

/// Claims: coins less what is owed in dollars, at the oracle's price without a haircut.
fn object_worth(h: &mut Harness) {
    atoll_state::object::begin(&mut h.full);
    let account = AccountId(1);
    let spot = [USDC, COIN].map(|asset| h.full.spot_total(account, asset));
    let dollars = h.full.worth(account, USDC) - spot[0];
    let coins = h.full.worth(account, COIN) - spot[1];
    let held = h.full.peek_holdings(account).of(COIN).amount;
    let owed = -collateral(h, 1);
    assert_eq!(dollars, 0);
    // 110 dollars a coin: 1.1 units of dollars for a unit of coin.
    let expected = held - owed * 10 / 11;
    assert!((expected - 3..=expected).contains(&coins), "{coins}, {expected}");
    atoll_state::object::seal(&mut h.full, &mut atoll_state::WriteSet::default(), None);
}

#[test]
fn caps_leave_only_what_reduces() {
    let mut capped = venue();
    capped.markets[0].risk =
        MarketRisk { open_interest_max: 1000, concentration_ppm: 600_000, ..Default::default() };
    capped.assets[1].pledge.as_mut().unwrap().cap = 500;
    let mut h = Harness::funded(capped, 3);
    h.place(0, sell(1000, 600));
    let at_cap = RejectCode::AtCap;
    h.refused(0, Command::Place(sell(1001, 1)), at_cap);
    h.refused(1, Command::Place(buy(1000, 601)), at_cap);
    h.place(1, buy(1000, 600));
    h.place(2, sell(1000, 400));
    h.refused(2, Command::Place(sell(1000, 201)), at_cap);
    h.place(0, OrderRequest { reduce_only: true, ..buy(1000, 100) });
    h.one(2, Command::CancelAll { market: None }).0.unwrap();
    h.refused(2, Command::Place(sell(1000, 501)), at_cap);
    let into = |amount| Command::Move { asset: COIN, to: Wallet::Collateral, amount };
    h.one(2, into(500)).0.unwrap();
    h.refused(0, into(1), at_cap);
    h.one(2, Command::Move { asset: COIN, to: Wallet::Spot, amount: 1 }).0.unwrap();
    h.one(0, into(1)).0.unwrap();
}

#[test]
fn requirements_rise_with_the_markets_scale() {
    let mut h = Harness::funded(spec(), 2);
    h.place(0, sell(1000, 10_000_000));
    h.place(1, buy(1000, 10_000_000));
    let needs = |h: &Harness| {
        let margin = h.full.peek_margin(AccountId(1));
        (margin.initial() / DOLLAR, margin.maintenance() / DOLLAR)
    };
    assert_eq!(needs(&h), (500, 250));
    h.input(Input::MarginScale { market: BTC, scale_ppm: (3_000_000, 1_500_000) }).0.unwrap();
    assert_eq!(needs(&h), (1500, 375));
    // Less than one is one.
    h.input(Input::MarginScale { market: BTC, scale_ppm: (500_000, 0) }).0.unwrap();
    assert_eq!(needs(&h), (500, 250));
}

#[test]
fn what_margin_adds_to_a_spec_is_refused_by_key() {
    type Change = fn(&mut ExchangeSpec);
    let cases: &[(&str, Change)] = &[
        ("assets[1].pledge.market", |s| s.assets[1].pledge.as_mut().unwrap().market = SPOT),
        ("assets[1].pledge.market", |s| s.markets[0].price_max = 1 << 31),
        ("assets[1].pledge.haircut_ppm", |s| {
            s.assets[1].pledge.as_mut().unwrap().haircut_ppm = 1_000_001;
        }),
        ("assets[1].pledge.cap", |s| s.assets[1].pledge.as_mut().unwrap().cap = -1),
        ("assets[0].pledge", |s| s.assets[0].pledge = s.assets[1].pledge),
        ("assets[0].borrow_ppm", |s| s.assets[0].borrow_ppm = 10_000_001),
        ("markets[3].product.contract.settle", |s| s.assets[1].pledge = None),
        ("markets[0].risk.tiers[1].lower_bound", |s| s.markets[0].risk.tiers[1].lower_bound = 5),
        ("markets[0].risk.tiers[0].initial_margin_ppm", |s| {
            s.markets[0].risk.tiers[0].initial_margin_ppm = 50_000;
        }),
        ("markets[0].risk.tiers[0].maintenance_margin_ppm", |s| {
            s.markets[0].risk.tiers[0].maintenance_margin_ppm = 1;
        }),
        ("markets[0].risk.open_interest_max", |s| {
            s.markets[0].risk.open_interest_max = 1 << 56;
        }),
        ("markets[0].risk.concentration_ppm", |s| s.markets[0].risk.open_interest_max = 0),
        ("markets[2].risk", |s| s.markets[2].risk.open_interest_max = 1),
        ("markets[3].price_max", |s| s.markets[3].price_max = 200_000_000_000),
    ];
    assert_eq!(venue().validate(), Ok(()));
    for (key, change) in cases {
        let mut broken = venue();
        change(&mut broken);
        let error = broken.validate().expect_err(key);
        assert_eq!(error.key, *key, "{error}");
    }
}

/// A position alone: equity, initial and maintenance requirement.
fn alone(rules: &MarketRules, size: i64, cost: i128, prices: &MarginPrices) -> [i128; 3] {
    let position = Position { size, cost, funding: prices.funding, ..Position::default() };
    let mut own = Margin::default();
    own.add(rules, &position, prices);
    [own.equity(), own.initial(), own.maintenance()]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(4000),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    /// Of a position without open orders, in a market with tiers and in an inverse one, everything
    /// else the same: a larger one never requires less, a higher scale never requires less, a mark
    /// that moves against it never raises its equity nor what is left above maintenance (to a unit
    /// of rounding), and a tier further up never requires a smaller part.
    #[test]
    fn requirements_rise_with_size_scale_tier_and_a_worse_mark(
        inverse in any::<bool>(), long in any::<bool>(), lots in 1..10_000_000_000i64,
        more in prop_oneof![0..10i64, 0..10_000_000_000i64], cost in 0..1i128 << 60,
        mark in prop_oneof![900..1100u64, 1..1_000_000u64],
        worse in prop_oneof![1..20u64, 1..1_000_000u64],
        scale in (1_000_000..3_000_000u32, 1_000_000..3_000_000u32), up in 0..2_000_000u32,
    ) {
        let all = Rules::new(venue()).unwrap();
        let rules = all.market(if inverse { INV } else { BTC }).unwrap();
        let sign = if long { 1 } else { -1 };
        let scale = (scale.0.max(scale.1), scale.0.min(scale.1));
        let at = |mark, scale_ppm| MarginPrices { mark, funding: 0, scale_ppm };
        let paid = rules.paid(if long { Side::Buy } else { Side::Sell }, cost);
        let [equity, initial, maintenance] = alone(rules, sign * lots, paid, &at(mark, scale));
        prop_assert!(initial >= maintenance && maintenance >= 0);
        let larger = alone(rules, sign * (lots + more), paid, &at(mark, scale));
        prop_assert!(larger[1] >= initial && larger[2] >= maintenance, "a larger one: {:?}", larger);
        let dearer = (scale.0 + up, scale.1 + up);
        let scaled = alone(rules, sign * lots, paid, &at(mark, dearer));
        prop_assert!(scaled[1] >= initial && scaled[2] >= maintenance, "scaled: {:?}", scaled);
        prop_assert_eq!(scaled[0], equity);
        let moved = if long { mark.saturating_sub(worse).max(1) } else { mark + worse };
        let against = alone(rules, sign * lots, paid, &at(moved, scale));
        prop_assert!(against[0] <= equity, "against it: {:?}", against);
        let above = (equity - maintenance, against[0] - against[2]);
        prop_assert!(above.1 <= above.0 + i128::from(inverse), "above maintenance: {:?}", above);
        // Where the move makes the position worth more, it requires more as well.
        let value = |mark| rules.exposure(mark, lots as u64);
        if value(moved) >= value(mark) {
            prop_assert!(against[1] >= initial && against[2] >= maintenance, "{:?}", against);
        }
        // Parts of the value, from tier to tier.
        let parts = |value: i128| (rules.initial_ppm(value, 20), rules.maintenance_weighted(value));
        let (here, there) = (value(mark), rules.exposure(mark, (lots + more) as u64));
        prop_assert!(parts(there).0 >= parts(here).0);
        // Values are below 2⁶², a requirement is at most the value.
        let required = |value| parts(value).1 / 1_000_000;
        prop_assert!(required(there) * here >= (required(here) - 1) * there);
    }
}
