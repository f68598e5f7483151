//! What a spec says of a market, as JSON with the keys of the spec file; and how far the numbers
//! that follow from it are from overflowing.

use atoll_exchange::spec::{
    LOT_COST_BOUND, LOT_UNITS_BOUND, MARGIN_SCALE_BOUND, PRICE_BOUND, SIZE_BOUND,
};
use atoll_exchange::{
    Contract, Deleveraging, ExchangeSpec, MarkRule, MarketId, MarketSpec, OracleSpec, Product,
    ProductRules, Rules, VolatilityModel,
};
use atoll_vm::exchange::build::{price_text, size_text};
use atoll_vm::exchange::decimal::format_units;
use serde_json::{Value, json};

/// Decimals of parts per million and of parts per billion.
const PPM_DECIMALS: u8 = 6;
const PPB_DECIMALS: u8 = 9;
/// Bound of a notional of an order or a position: see `atoll_exchange::spec`.
const NOTIONAL_BITS: u32 = 88;

/// An amount of units, with its sign.
pub(crate) fn money(amount: i128, decimals: u8) -> String {
    let sign = if amount < 0 { "-" } else { "" };
    format!("{sign}{}", format_units(amount.unsigned_abs(), decimals))
}

pub(crate) fn ppm(value: impl Into<i128>) -> String {
    money(value.into(), PPM_DECIMALS)
}

/// What a market is, in a word.
pub(crate) fn product(market: &MarketSpec) -> &'static str {
    match market.product {
        Product::Perpetual { contract: Contract::Linear, .. } => "linear perpetual",
        Product::Perpetual { contract: Contract::Inverse { .. }, .. } => "inverse perpetual",
        Product::Spot { .. } => "spot",
    }
}

/// The highest leverage of a perpetual.
pub(crate) fn leverage_max(rules: &Rules, market: MarketId) -> Option<u8> {
    match rules.market(market)?.kind {
        ProductRules::Perpetual { leverage_max, .. } => Some(leverage_max),
        ProductRules::Spot { .. } => None,
    }
}

/// Decimals of what a market's notionals are in, and its symbol.
pub(crate) fn quote(rules: &Rules, market: MarketId) -> (u8, &str) {
    let spec = rules.spec();
    let asset = rules.market(market).map_or(spec.collateral, |market| market.quote);
    let asset = &spec.assets[usize::from(asset.0)];
    (asset.decimals, &asset.symbol)
}

/// Every parameter of a market. Fractions are decimal numbers, times end in their unit.
pub(crate) fn parameters(rules: &Rules, market: MarketId) -> Value {
    let (Some(spec), Some(derived)) = (rules.market_spec(market), rules.market(market)) else {
        return Value::Null;
    };
    let (decimals, symbol) = quote(rules, market);
    let symbol_of = |asset: atoll_exchange::AssetId| {
        rules.spec().assets.get(usize::from(asset.0)).map(|asset| asset.symbol.clone())
    };
    let lots = |lots: u64| size_text(rules, market, lots);
    let cap = |most: u64| (most != 0).then(|| lots(most));
    let mut value = json!({
        "product": product(spec),
        "quote": symbol,
        "tick": format_units(spec.tick.into(), spec.price_decimals),
        "lot": format_units(spec.lot.into(), spec.size_decimals),
        "price_max": price_text(rules, market, spec.price_max),
        "order_size_max": lots(spec.order_size_max),
        "notional_min": format_units(spec.notional_min.into(), decimals),
        "price_band": ppm(spec.price_band_ppm),
        "maker_fee": ppm(spec.maker_fee_ppm),
        "taker_fee": ppm(spec.taker_fee_ppm),
    });
    let (contract, initial, maintenance, band) = match spec.product {
        Product::Spot { base, .. } => {
            value["base"] = symbol_of(base).into();
            return value;
        }
        Product::Perpetual {
            contract,
            initial_margin_ppm,
            maintenance_margin_ppm,
            mark_band_ppm,
        } => (contract, initial_margin_ppm, maintenance_margin_ppm, mark_band_ppm),
    };
    if let Contract::Inverse { settle, face } = contract {
        value["settle"] = symbol_of(settle).into();
        value["face"] = face.into();
    }
    value["initial_margin"] = ppm(initial).into();
    value["maintenance_margin"] = ppm(maintenance).into();
    value["mark_band"] = ppm(band).into();
    value["leverage_max"] = leverage_max(rules, market).into();
    let tier = |tier: &atoll_exchange::rules::Tier| {
        json!({
            "lower_bound": money(tier.lower_bound, decimals),
            "initial_margin": ppm(tier.initial_ppm),
            "maintenance_margin": ppm(tier.maintenance_ppm),
            "deduction": money(tier.deduction, decimals + PPM_DECIMALS),
            "leverage_max": 1_000_000 / tier.initial_ppm.max(1),
        })
    };
    value["tiers"] = derived.tiers.iter().map(tier).collect();
    value["open_interest_max"] = cap(spec.risk.open_interest_max).into();
    value["concentration"] =
        (spec.risk.concentration_ppm != 0).then(|| ppm(spec.risk.concentration_ppm)).into();
    value["isolated_only"] = spec.risk.isolated_only.into();
    value["position_max"] = cap(derived.position_max).into();
    prices(&mut value, spec, decimals);
    value
}

fn prices(value: &mut Value, spec: &MarketSpec, decimals: u8) {
    let rules = &spec.prices;
    let ppb = |rate: u32| money(rate.into(), PPB_DECIMALS);
    value["mark"] = match rules.mark {
        MarkRule::Book => json!({ "rule": "book" }),
        MarkRule::Robust { interval_us } => {
            json!({ "rule": "robust", "interval_ms": interval_us / 1_000 })
        }
    };
    value["funding"] = rules.funding.map_or(Value::Null, |funding| {
        json!({
            "impact_notional": format_units(funding.impact_notional.into(), decimals),
            "interest": ppb(funding.interest_ppb),
            "clamp": ppb(funding.clamp_ppb),
            "cap": ppb(funding.cap_ppb),
        })
    });
    value["volatility"] = rules.volatility.map_or(Value::Null, |volatility| {
        let model = match volatility.model {
            VolatilityModel::Ewma { lambda_ppm } => {
                json!({ "name": "ewma", "lambda": ppm(lambda_ppm) })
            }
            VolatilityModel::Garch { alpha_ppm, beta_ppm } => {
                json!({ "name": "garch", "alpha": ppm(alpha_ppm), "beta": ppm(beta_ppm) })
            }
        };
        json!({
            "model": model,
            "interval_s": volatility.interval_us / 1_000_000,
            "reference": ppm(volatility.reference_ppm),
            "scale_max": ppm(volatility.scale_max_ppm),
            "grace_s": volatility.grace_us / 1_000_000,
            "rise": ppm(volatility.rise_ppm),
        })
    });
    value["sanity"] = rules.sanity.map_or(Value::Null, |sanity| {
        json!({
            "jump": ppm(sanity.jump_ppm),
            "confirm_s": sanity.confirm_us / 1_000_000,
            "rate": ppm(sanity.rate_ppm),
            "hold_s": sanity.hold_us / 1_000_000,
            "limit_s": sanity.limit_us / 1_000_000,
            "auction_s": sanity.auction_us / 1_000_000,
            "wide_s": sanity.wide_us / 1_000_000,
        })
    });
}

/// How accounts are liquidated, in every market alike.
pub(crate) fn liquidation(spec: &ExchangeSpec) -> Value {
    let of = &spec.liquidation;
    let decimals = spec.assets[usize::from(spec.collateral.0)].decimals;
    json!({
        "partial_above": format_units(of.partial_above.into(), decimals),
        "partial": ppm(of.partial_ppm),
        "cooldown_ms": of.cooldown_us / 1_000,
        "backstop_below": ppm(of.backstop_ppm),
        "backstop": of.backstop.map(|address| format!("{address:#x}")),
        "backstop_margin": ppm(of.backstop_margin_ppm),
        "deleveraging": match of.deleveraging {
            Deleveraging::Queue => "queue",
            Deleveraging::RiskAware => "risk-aware",
        },
        "ranking_valid_ms": of.ranking_valid_us / 1_000,
        "insurance": ppm(of.insurance_ppm),
    })
}

/// What the oracle believes, in every market alike.
pub(crate) fn oracle(of: &OracleSpec) -> Value {
    json!({
        "weights": of.weights,
        "stale_ms": of.stale_us / 1_000,
        "deviation": ppm(of.deviation_ppm),
        "quorum": of.quorum,
        "reduce_only_after_ms": of.reduce_only_after_us / 1_000,
    })
}

/// The largest numbers that a market can make, each with the power of two that it stays below: the
/// bounds that `atoll_exchange::spec` proves sums, products and balances from.
pub(crate) fn bounds(rules: &Rules, market: MarketId) -> Vec<Value> {
    let (Some(spec), Some(derived)) = (rules.market_spec(market), rules.market(market)) else {
        return Vec::new();
    };
    let (_, symbol) = quote(rules, market);
    let bound = |what: String, value: u128, bits: u32| {
        let needs = u128::BITS - value.leading_zeros();
        json!({ "what": what, "value": value.to_string(), "bits": needs, "bits_max": bits })
    };
    let bits = |bound: u128| bound.ilog2();
    let (ticks, lots) = (u128::from(spec.price_max), u128::from(spec.order_size_max));
    let unit = u128::from(derived.multiplier);
    // An inverse lot is worth most at a price of one tick.
    let (lot, at) = match derived.inverse {
        true => (unit, "the lowest price"),
        false => (unit * ticks, "the highest price"),
    };
    let largest = u128::from(match derived.position_max {
        0 => SIZE_BOUND - 1,
        most => most.min(SIZE_BOUND - 1),
    });
    let mut found = vec![
        bound("highest price, ticks".into(), ticks, bits(PRICE_BOUND.into())),
        bound("largest order, lots".into(), lots, bits(SIZE_BOUND.into())),
        bound(format!("a lot at {at}, units of {symbol}"), lot, bits(LOT_COST_BOUND)),
        bound(format!("largest order at it, units of {symbol}"), lot * lots, NOTIONAL_BITS),
    ];
    match derived.kind {
        ProductRules::Spot { lot_units, .. } => {
            let most = bits(LOT_UNITS_BOUND);
            found.push(bound("a lot, units of the base".into(), lot_units.into(), most));
        }
        ProductRules::Perpetual { .. } => {
            let what = format!("largest position at it, units of {symbol}");
            found.push(bound(what, lot * largest, NOTIONAL_BITS));
            let scale = spec.prices.volatility.map_or(1_000_000, |rules| rules.scale_max_ppm);
            let (scale, most) = (u128::from(scale), u128::from(MARGIN_SCALE_BOUND));
            let what = "requirements rise by a factor, millionths".into();
            found.push(bound(what, scale, most.ilog2() + 1));
        }
    }
    found
}
