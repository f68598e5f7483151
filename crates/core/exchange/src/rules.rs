//! A validated spec with what the engine derives from it.

mod listing;
mod risk;
mod value;

pub(crate) use value::{initial_fraction, scaled as scaled_up};

use crate::ids::{Amount, AssetId, MarketId, PPM, Price, Size};
use crate::spec::prices::{self, MarkRule};
use crate::spec::{
    Contract, DUE_BOUND, ExchangeSpec, FILLS_BOUND, LOT_COST_BOUND, LOT_UNITS_BOUND, MARKETS_BOUND,
    MarketSpec, ORDERS_BOUND, POSITIONS_BOUND, PRICE_BOUND, Product, SIZE_BOUND, SpecError,
};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use atoll_types::codec::{CodecError, Decode, Encode, Reader};

/// A market as the engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketRules {
    /// The market.
    pub market: MarketId,
    /// What it trades.
    pub kind: ProductRules,
    /// Whether it is an inverse perpetual.
    pub inverse: bool,
    /// Linear: quote units per tick and lot, notional = price × size × multiplier, exactly.
    /// Inverse: what a lot is worth at one tick, notional = multiplier × size / price.
    pub multiplier: u64,
    /// The asset of notionals: what a perpetual settles in.
    pub quote: AssetId,
    /// Highest price, in ticks.
    pub price_max: Price,
    /// Largest order, in lots.
    pub order_size_max: Size,
    /// Smallest value of an order.
    pub notional_min: Amount,
    /// How far from the mark a price may be.
    pub price_band_ppm: u32,
    /// Fee of resting orders.
    pub maker_fee_ppm: i32,
    /// Fee of incoming orders.
    pub taker_fee_ppm: u32,
    /// The margin table, of which the first tier is [`ProductRules::Perpetual`]'s; empty where that
    /// is all.
    pub tiers: Vec<Tier>,
    /// Open interest from which on orders may only reduce; 0 for no cap.
    pub open_interest_max: u64,
    /// Most lots of an account's position and open orders; 0 for no such limit.
    pub position_max: Size,
    /// Whether the mark follows [`crate::spec::prices::MarkRule::Robust`].
    pub robust_mark: bool,
    /// Whether each position has a margin of its own.
    pub isolated_only: bool,
}

/// A tier of a margin table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// The value of a position from which on it applies, in quote units.
    pub lower_bound: Amount,
    /// Initial margin of the whole value.
    pub initial_ppm: u32,
    /// Maintenance margin of the value.
    pub maintenance_ppm: u32,
    /// What is taken off the maintenance margin, × 10⁶.
    pub deduction: Amount,
}

/// An asset that is collateral besides the collateral asset, as the engine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PledgeRules {
    /// The asset.
    pub asset: AssetId,
    /// The market whose oracle prices it.
    pub market: MarketId,
    /// That market's highest price.
    pub price_max: Price,
    /// A unit is worth price × numerator / divisor units of the collateral asset.
    pub numerator: u64,
    /// See `numerator`; at most 10¹⁸.
    pub divisor: Amount,
    /// What is taken off its value.
    pub haircut_ppm: u32,
    /// Most that may be moved into collateral wallets; 0 for no cap.
    pub cap: Amount,
}

/// A product as the engine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProductRules {
    /// Linear perpetual.
    Perpetual {
        /// Initial margin at the highest leverage.
        initial_margin_ppm: u32,
        /// Maintenance margin.
        maintenance_margin_ppm: u32,
        /// Bound between mark and oracle.
        mark_band_ppm: u32,
        /// Highest leverage: the inverse of the initial margin, rounded down.
        leverage_max: u8,
    },
    /// Spot.
    Spot {
        /// The asset bought and sold.
        base: AssetId,
        /// Base units per lot.
        lot_units: u64,
    },
}

impl MarketRules {
    /// Whether it is a perpetual.
    #[inline]
    pub fn is_perpetual(&self) -> bool {
        matches!(self.kind, ProductRules::Perpetual { .. })
    }

    /// The leverage that a position's initial margin allows.
    pub fn leverage(&self, position: &crate::objects::Position) -> u8 {
        match (self.kind, position.leverage) {
            (ProductRules::Perpetual { leverage_max, .. }, 0) => leverage_max,
            (ProductRules::Perpetual { leverage_max, .. }, chosen) => chosen.min(leverage_max),
            (ProductRules::Spot { .. }, _) => 1,
        }
    }
}

/// A valid spec, and what follows from it; extended by the markets that were listed since. Encoded as
/// its spec; decoding validates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    spec: ExchangeSpec,
    pub(crate) markets: Vec<MarketRules>,
    pub(crate) pledges: Vec<PledgeRules>,
    pub(crate) listed: listing::ListedRules,
}

impl Rules {
    /// Validates a spec.
    pub fn new(spec: ExchangeSpec) -> Result<Self, SpecError> {
        let (markets, pledges) = validate(&spec)?;
        Ok(Self { spec, markets, pledges, listed: listing::ListedRules::default() })
    }

    /// The spec, its markets followed by those that were listed.
    pub fn spec(&self) -> &ExchangeSpec {
        &self.spec
    }

    /// A market's rules.
    pub fn market(&self, market: MarketId) -> Option<&MarketRules> {
        self.markets.get(usize::from(market.0))
    }

    /// A market's spec.
    pub fn market_spec(&self, market: MarketId) -> Option<&MarketSpec> {
        self.spec.markets.get(usize::from(market.0))
    }

    /// The market with this name.
    pub fn market_named(&self, name: &str) -> Option<MarketId> {
        self.spec.markets.iter().position(|m| m.name == name).map(|i| MarketId(i as u16))
    }

    /// The asset with this symbol.
    pub fn asset_named(&self, symbol: &str) -> Option<AssetId> {
        self.spec.assets.iter().position(|a| a.symbol == symbol).map(|i| AssetId(i as u16))
    }

    /// How an asset is collateral besides the collateral asset, if it is.
    pub fn pledge(&self, asset: AssetId) -> Option<&PledgeRules> {
        self.pledges.iter().find(|pledge| pledge.asset == asset)
    }

    /// Whether there is such an asset.
    pub fn has_asset(&self, asset: AssetId) -> bool {
        usize::from(asset.0) < self.spec.assets.len()
    }
}

impl Encode for Rules {
    fn encode(&self, out: &mut Vec<u8>) {
        listing::spec_of(self).encode(out);
    }
}

impl Decode for Rules {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let spec = ExchangeSpec::decode(r)?;
        Self::new(spec).map_err(|_| CodecError::Invalid("exchange spec"))
    }
}

impl ExchangeSpec {
    /// Whether the spec is one that an exchange can run.
    pub fn validate(&self) -> Result<(), SpecError> {
        validate(self).map(drop)
    }
}

fn ensure(ok: bool, key: &str, found: impl ToString, expected: &str) -> Result<(), SpecError> {
    if ok {
        return Ok(());
    }
    Err(SpecError { key: key.into(), found: found.to_string(), expected: expected.into() })
}

fn price_error(table: &str, (key, found, expected): prices::Wrong) -> SpecError {
    let (key, found) = (format!("{table}.{key}"), found.to_string());
    SpecError { key, found, expected: expected.into() }
}

fn name_ok(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '/' | '@');
    (1..=16).contains(&name.len()) && name.chars().all(good)
}

const NAME_EXPECTED: &str = "1 to 16 letters, digits, '-', '.', '_', '/' or '@', and unique";

/// Whether a market's name is one, and no market before it has it.
fn validate_name(all: &[MarketSpec], index: usize, market: &MarketSpec) -> Result<(), SpecError> {
    let unique = all.iter().take(index).all(|other| other.name != market.name);
    let key = format!("markets[{index}].name");
    ensure(name_ok(&market.name) && unique, &key, &market.name, NAME_EXPECTED)
}

fn validate(spec: &ExchangeSpec) -> Result<(Vec<MarketRules>, Vec<PledgeRules>), SpecError> {
    let asset_count = spec.assets.len();
    ensure((1..=1024).contains(&asset_count), "assets", asset_count, "1 to 1024 assets")?;
    for (i, asset) in spec.assets.iter().enumerate() {
        let unique = spec.assets[..i].iter().all(|other| other.symbol != asset.symbol);
        let key = format!("assets[{i}]");
        let symbol = &asset.symbol;
        ensure(name_ok(symbol) && unique, &format!("{key}.symbol"), symbol, NAME_EXPECTED)?;
        ensure(asset.decimals <= 18, &format!("{key}.decimals"), asset.decimals, "at most 18")?;
    }
    let collateral = usize::from(spec.collateral.0);
    ensure(collateral < asset_count, "collateral", collateral, "the number of an asset")?;
    let limits = &spec.limits;
    for (key, found, bound) in [
        ("limits.orders_per_account", limits.orders_per_account, ORDERS_BOUND),
        ("limits.positions_per_account", limits.positions_per_account, POSITIONS_BOUND),
        ("limits.fills_per_command", limits.fills_per_command, FILLS_BOUND),
        ("limits.ranked_per_command", limits.ranked_per_command, FILLS_BOUND),
        ("limits.liquidation_per_slot", limits.liquidation_per_slot, u32::MAX),
        ("limits.due_per_tick", limits.due_per_tick, DUE_BOUND),
        ("limits.triggers_per_tick", limits.triggers_per_tick, DUE_BOUND),
    ] {
        ensure((1..=bound).contains(&found), key, found, &format!("1 to {bound}"))?;
    }
    let of = &spec.liquidation;
    for (key, found) in [
        ("liquidation.partial_ppm", of.partial_ppm),
        ("liquidation.backstop_ppm", of.backstop_ppm),
        ("liquidation.insurance_ppm", of.insurance_ppm),
    ] {
        ensure(found <= PPM, key, found, "at most 1000000")?;
    }
    let (key, found) = ("liquidation.backstop_margin_ppm", of.backstop_margin_ppm);
    ensure((PPM..=100 * PPM).contains(&found), key, found, "1000000 to 100000000")?;
    spec.oracle.check().map_err(|wrong| price_error("oracle", wrong))?;
    let count = spec.markets.len();
    spec.listing.check(count).map_err(|wrong| price_error("listing", wrong))?;
    let expected = format!("1 to {MARKETS_BOUND} markets");
    ensure((1..=MARKETS_BOUND as usize).contains(&count), "markets", count, &expected)?;
    let mut markets = Vec::with_capacity(count);
    for (i, market) in spec.markets.iter().enumerate() {
        validate_name(&spec.markets, i, market)?;
        markets.push(validate_market(spec, i, market)?);
    }
    let pledges = risk::pledges(spec)?;
    Ok((markets, pledges))
}

fn validate_market(
    spec: &ExchangeSpec,
    index: usize,
    market: &MarketSpec,
) -> Result<MarketRules, SpecError> {
    let key = |name: &str| -> String { format!("markets[{index}].{name}") };
    let check =
        |ok: bool, name: &str, found: u128, expected: &str| ensure(ok, &key(name), found, expected);
    let (quote, kind) = validate_product(spec, market, &key)?;
    let m = market;
    check(m.price_decimals <= 18, "price_decimals", m.price_decimals.into(), "at most 18")?;
    check(m.size_decimals <= 18, "size_decimals", m.size_decimals.into(), "at most 18")?;
    check((1..1 << 40).contains(&m.tick), "tick", m.tick.into(), "1 to 2^40 - 1")?;
    check((1..1 << 40).contains(&m.lot), "lot", m.lot.into(), "1 to 2^40 - 1")?;
    let price_ok = (1..PRICE_BOUND).contains(&m.price_max);
    check(price_ok, "price_max", m.price_max.into(), "1 to 2^40 - 1 ticks")?;
    let size_ok = (1..SIZE_BOUND).contains(&m.order_size_max);
    check(size_ok, "order_size_max", m.order_size_max.into(), "1 to 2^40 - 1 lots")?;
    let taker = m.taker_fee_ppm;
    check(taker <= PPM / 10, "taker_fee_ppm", taker.into(), "at most 100000 (10 %)")?;
    let lowest = match kind {
        ProductRules::Perpetual { .. } => -i64::from(taker),
        ProductRules::Spot { .. } => 0,
    };
    let maker_ok = (lowest..=i64::from(PPM / 10)).contains(&i64::from(m.maker_fee_ppm));
    let expected = format!("{lowest} to 100000: a rebate is paid out of the taker's fee");
    ensure(maker_ok, &key("maker_fee_ppm"), m.maker_fee_ppm, &expected)?;
    let band = m.price_band_ppm;
    check((1..=100 * PPM).contains(&band), "price_band_ppm", band.into(), "1 to 100000000")?;

    let perpetual = matches!(kind, ProductRules::Perpetual { .. });
    let checked = m.prices.check(perpetual);
    checked.map_err(|wrong| price_error(&format!("markets[{index}]"), wrong))?;

    let decimals = |asset: AssetId| u32::from(spec.assets[usize::from(asset.0)].decimals);
    let scale = u32::from(m.price_decimals) + u32::from(m.size_decimals);
    let step = u128::from(m.tick) * u128::from(m.lot);
    let inverse = risk::lot_value(spec, market, &key)?;
    let multiplier = if let Some(value) = inverse {
        u128::from(value)
    } else {
        let expected = "a tick × lot that is a whole number of the quote asset's smallest unit";
        let units = scaled(step, decimals(quote), scale);
        let multiplier = units.filter(|units| *units < LOT_COST_BOUND).unwrap_or(0);
        ensure(multiplier > 0, &key("tick"), format!("{} with lot {}", m.tick, m.lot), expected)?;
        let lot_cost = multiplier * u128::from(m.price_max);
        let expected = "less than 2^48 quote units for one lot at the highest price";
        check(lot_cost < LOT_COST_BOUND, "price_max", m.price_max.into(), expected)?;
        multiplier
    };
    let kind = match kind {
        ProductRules::Spot { base, .. } => {
            let units = scaled(m.lot.into(), decimals(base), m.size_decimals.into());
            let lot_units = units.filter(|units| *units < LOT_UNITS_BOUND).unwrap_or(0) as u64;
            let expected = "a whole number, below 2^56, of the base asset's smallest unit";
            check(lot_units > 0, "lot", m.lot.into(), expected)?;
            ProductRules::Spot { base, lot_units }
        }
        perpetual => perpetual,
    };
    Ok(MarketRules {
        market: MarketId(index as u16),
        kind,
        inverse: inverse.is_some(),
        multiplier: multiplier as u64,
        quote,
        price_max: m.price_max,
        order_size_max: m.order_size_max,
        notional_min: m.notional_min.into(),
        price_band_ppm: band,
        maker_fee_ppm: m.maker_fee_ppm,
        taker_fee_ppm: taker,
        tiers: risk::tiers(market, &key)?,
        open_interest_max: m.risk.open_interest_max,
        position_max: risk::position_max(market, &key)?,
        robust_mark: matches!(m.prices.mark, MarkRule::Robust { .. }),
        isolated_only: m.risk.isolated_only,
    })
}

fn validate_product(
    spec: &ExchangeSpec,
    market: &MarketSpec,
    key: &impl Fn(&str) -> String,
) -> Result<(AssetId, ProductRules), SpecError> {
    match market.product {
        Product::Perpetual {
            contract,
            initial_margin_ppm,
            maintenance_margin_ppm,
            mark_band_ppm,
        } => {
            // Leverage is a byte: an initial margin below 1/255 would not be reachable.
            let ok = (PPM.div_ceil(255)..=PPM).contains(&initial_margin_ppm);
            let expected = "3922 to 1000000";
            ensure(ok, &key("product.initial_margin_ppm"), initial_margin_ppm, expected)?;
            let ok = (1..initial_margin_ppm).contains(&maintenance_margin_ppm);
            let expected = "above zero and below initial_margin_ppm";
            ensure(ok, &key("product.maintenance_margin_ppm"), maintenance_margin_ppm, expected)?;
            let ok = mark_band_ppm < PPM;
            ensure(ok, &key("product.mark_band_ppm"), mark_band_ppm, "below 1000000")?;
            let rules = ProductRules::Perpetual {
                initial_margin_ppm,
                maintenance_margin_ppm,
                mark_band_ppm,
                leverage_max: (PPM / initial_margin_ppm) as u8,
            };
            let quote = match contract {
                Contract::Linear => spec.collateral,
                Contract::Inverse { settle, .. } => settle,
            };
            Ok((quote, rules))
        }
        Product::Spot { base, quote } => {
            let known = |asset: AssetId| usize::from(asset.0) < spec.assets.len();
            ensure(known(base), &key("product.base"), base, "the number of an asset")?;
            ensure(known(quote), &key("product.quote"), quote, "the number of an asset")?;
            ensure(base != quote, &key("product.quote"), quote, "another asset than the base")?;
            Ok((quote, ProductRules::Spot { base, lot_units: 0 }))
        }
    }
}

/// `value × 10^up / 10^down`, if that is a whole number inside the type.
fn scaled(value: u128, up: u32, down: u32) -> Option<u128> {
    if up >= down {
        return value.checked_mul(10u128.checked_pow(up - down)?);
    }
    let divisor = 10u128.checked_pow(down - up)?;
    value.is_multiple_of(divisor).then(|| value / divisor)
}
