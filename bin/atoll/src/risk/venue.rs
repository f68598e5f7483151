//! The venue: every rule of the exchange that concerns risk is on, with the figures of
//! `environments/perps.toml`.

use super::scenario::Scenario;
use anyhow::{Context, Result};
use atoll_exchange::{
    AssetId, AssetSpec, Contract, Deleveraging, ExchangeSpec, FundingSpec, Limits, LiquidationSpec,
    MarkRule, MarketRisk, MarketSpec, OracleSpec, PPM, PriceSpec, Product, Rules, SanitySpec,
    SelfTrade, VolatilityModel, VolatilitySpec,
};
use atoll_types::Address;

/// The collateral asset; six decimals.
pub(super) const USDC: AssetId = AssetId(0);
/// Oracle sources, each of weight 1.
pub(super) const SOURCES: u8 = 3;
/// Smallest units of a dollar.
pub(super) const DOLLAR: f64 = 1e6;

const SECOND: u64 = 1_000_000;

/// Whose account it is that has this number.
pub(super) fn address(account: u32) -> Address {
    let mut bytes = [0; 20];
    bytes[16..].copy_from_slice(&(account + 1).to_be_bytes());
    Address::from(bytes)
}

/// The rules of a scenario's venue.
pub(super) fn rules(
    scenario: &Scenario,
    deleveraging: Deleveraging,
    (vault, vault_margin): (Address, u32),
) -> Result<Rules> {
    let market = |market: &super::scenario::Market| MarketSpec {
        name: market.name.clone(),
        product: Product::Perpetual {
            contract: Contract::Linear,
            initial_margin_ppm: PPM / market.leverage,
            maintenance_margin_ppm: PPM / market.leverage / 2,
            mark_band_ppm: 5_000,
        },
        price_decimals: market.decimals,
        size_decimals: 6 - market.decimals,
        tick: 1,
        lot: 1,
        price_max: market.ticks(market.price) * 10,
        order_size_max: 1 << 38,
        notional_min: 1_000_000,
        price_band_ppm: 500_000,
        maker_fee_ppm: 150,
        taker_fee_ppm: 450,
        risk: MarketRisk::default(),
        prices: PriceSpec {
            mark: MarkRule::Robust { interval_us: SECOND },
            funding: Some(FundingSpec::hyperliquid(20_000 * 1_000_000)),
            volatility: Some(VolatilitySpec {
                model: VolatilityModel::default(),
                interval_us: 60 * SECOND,
                reference_ppm: (market.volatility * f64::from(PPM)) as u32,
                scale_max_ppm: 3 * PPM,
                grace_us: 600 * SECOND,
                rise_ppm: 500,
            }),
            sanity: Some(SanitySpec {
                jump_ppm: 50_000,
                confirm_us: 10 * SECOND,
                rate_ppm: 2_000,
                hold_us: 30 * SECOND,
                limit_us: 900 * SECOND,
                auction_us: 10 * SECOND,
                wide_us: 300 * SECOND,
            }),
        },
    };
    let spec = ExchangeSpec {
        assets: vec![AssetSpec { symbol: "USDC".into(), decimals: 6, pledge: None, borrow_ppm: 0 }],
        collateral: USDC,
        markets: scenario.markets.iter().map(market).collect(),
        self_trade: SelfTrade::CancelTaker,
        limits: Limits::default(),
        liquidation: LiquidationSpec {
            backstop: Some(vault),
            backstop_margin_ppm: vault_margin * PPM,
            deleveraging,
            insurance_ppm: 100_000,
            ..LiquidationSpec::default()
        },
        listing: Default::default(),
        oracle: OracleSpec {
            weights: vec![1; usize::from(SOURCES)],
            stale_us: 150 * SECOND,
            deviation_ppm: 20_000,
            quorum: 2,
            reduce_only_after_us: 600 * SECOND,
        },
    };
    Rules::new(spec).context("the venue's rules")
}
