//! Validation of tiers, caps, contracts and other collateral.

use super::{PledgeRules, Tier, ensure, scaled};
use crate::ids::{Amount, AssetId, PPM};
use crate::spec::{
    BORROW_RATE_BOUND, COLLATERAL_UNIT_BOUND, COLLATERALS_BOUND, Contract, ExchangeSpec,
    LOT_COST_BOUND, MarketSpec, Product, SIZE_BOUND, SUPPLY_MAX, SpecError, TIERS_BOUND,
};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The tiers of a market's margin table with their deductions; none for a market of one tier.
pub(super) fn tiers(
    market: &MarketSpec,
    key: &impl Fn(&str) -> String,
) -> Result<Vec<Tier>, SpecError> {
    let Product::Perpetual { initial_margin_ppm, maintenance_margin_ppm, .. } = market.product
    else {
        let plain = market.risk == crate::spec::MarketRisk::default();
        let expected = "nothing: a spot market has no margin";
        return ensure(plain, &key("risk"), "tiers or caps", expected).map(|()| Vec::new());
    };
    let further = &market.risk.tiers;
    if further.is_empty() {
        return Ok(Vec::new());
    }
    let most = TIERS_BOUND as usize - 1;
    let expected = format!("at most {most} tiers above the first one");
    ensure(further.len() <= most, &key("risk.tiers"), further.len(), &expected)?;
    let mut tiers = Vec::with_capacity(further.len() + 1);
    tiers.push(Tier {
        lower_bound: 0,
        initial_ppm: initial_margin_ppm,
        maintenance_ppm: maintenance_margin_ppm,
        deduction: 0,
    });
    for (i, tier) in further.iter().enumerate() {
        let key = |name: &str| key(&format!("risk.tiers[{i}].{name}"));
        let last = tiers[i];
        let bound = Amount::from(tier.lower_bound);
        let ok = last.lower_bound < bound;
        ensure(ok, &key("lower_bound"), tier.lower_bound, "above that of the tier before")?;
        let (initial, maintenance) = (tier.initial_margin_ppm, tier.maintenance_margin_ppm);
        let ok = (last.initial_ppm + 1..=PPM).contains(&initial);
        let expected = "above that of the tier before, at most 1000000";
        ensure(ok, &key("initial_margin_ppm"), initial, expected)?;
        let ok = (last.maintenance_ppm..initial).contains(&maintenance);
        let expected = "at least that of the tier before and below initial_margin_ppm";
        ensure(ok, &key("maintenance_margin_ppm"), maintenance, expected)?;
        let more = Amount::from(maintenance - last.maintenance_ppm);
        tiers.push(Tier {
            lower_bound: bound,
            initial_ppm: initial,
            maintenance_ppm: maintenance,
            deduction: last.deduction + bound * more,
        });
    }
    Ok(tiers)
}

/// The most lots one account may come to, 0 for no such limit.
pub(super) fn position_max(
    market: &MarketSpec,
    key: &impl Fn(&str) -> String,
) -> Result<u64, SpecError> {
    let (cap, part) = (market.risk.open_interest_max, market.risk.concentration_ppm);
    // Lots of all accounts together.
    let ok = cap < SIZE_BOUND << 16;
    ensure(ok, &key("risk.open_interest_max"), cap, "below 2^56 lots, 0 for no cap")?;
    let ok = part <= PPM && (part == 0 || cap > 0);
    let expected = "at most 1000000, and 0 without open_interest_max";
    ensure(ok, &key("risk.concentration_ppm"), part, expected)?;
    let most = u128::from(cap) * u128::from(part) / u128::from(PPM);
    Ok(if part == 0 { 0 } else { (most as u64).max(1) })
}

/// What a lot of an inverse contract is worth at a price of one tick, in units of the coin.
pub(super) fn lot_value(
    spec: &ExchangeSpec,
    market: &MarketSpec,
    key: &impl Fn(&str) -> String,
) -> Result<Option<u64>, SpecError> {
    let Product::Perpetual { contract: Contract::Inverse { settle, face }, .. } = market.product
    else {
        return Ok(None);
    };
    let name = key("product.contract.settle");
    let asset = spec.assets.get(usize::from(settle.0)).filter(|asset| asset.pledge.is_some());
    let asset = asset.ok_or_else(|| SpecError {
        key: name,
        found: settle.to_string(),
        expected: "the number of an asset with a pledge".into(),
    })?;
    let name = key("product.contract.face");
    ensure(face > 0, &name, face, "above zero")?;
    // face × lot × 10^-size_decimals of the currency, over tick × 10^-price_decimals of it.
    let up = u32::from(asset.decimals) + u32::from(market.price_decimals);
    let units = scaled(u128::from(face) * u128::from(market.lot), up, market.size_decimals.into());
    let tick = u128::from(market.tick);
    let value = units.filter(|units| units.is_multiple_of(tick)).map(|units| units / tick);
    let value = value.filter(|value| (1..LOT_COST_BOUND).contains(value)).unwrap_or(0);
    let expected = "face × lot / tick that is a whole number, below 2^48, of the coin's units";
    ensure(value > 0, &name, face, expected)?;
    // A lot has to be worth something at every price.
    let ok = u128::from(market.price_max) <= value;
    let expected = "a price at which a lot is worth a unit of the coin at least";
    ensure(ok, &key("price_max"), market.price_max, expected)?;
    Ok(Some(value as u64))
}

/// What serves as collateral besides the collateral asset.
pub(super) fn pledges(spec: &ExchangeSpec) -> Result<Vec<PledgeRules>, SpecError> {
    let mut pledges = Vec::new();
    let decimals = |asset: AssetId| u32::from(spec.assets[usize::from(asset.0)].decimals);
    for (i, asset) in spec.assets.iter().enumerate() {
        let key = |name: &str| format!("assets[{i}].{name}");
        let rate = asset.borrow_ppm;
        let expected = format!("at most {BORROW_RATE_BOUND} (1000 % a year)");
        ensure(rate <= BORROW_RATE_BOUND, &key("borrow_ppm"), rate, &expected)?;
        let id = AssetId(i as u16);
        let Some(pledge) = asset.pledge else {
            let ok = rate == 0 || id == spec.collateral;
            let expected = "0: what is no collateral can not be owed";
            ensure(ok, &key("borrow_ppm"), rate, expected)?;
            continue;
        };
        let expected = "none: it is the collateral asset itself";
        ensure(id != spec.collateral, &key("pledge"), &asset.symbol, expected)?;
        let ok = pledge.haircut_ppm <= PPM;
        ensure(ok, &key("pledge.haircut_ppm"), pledge.haircut_ppm, "at most 1000000")?;
        let ok = (0..=SUPPLY_MAX).contains(&pledge.cap);
        ensure(ok, &key("pledge.cap"), pledge.cap, "0 for none, or at most 2^96")?;
        let market = spec.markets.get(usize::from(pledge.market.0)).filter(|market| {
            // The contract that prices it is either in the collateral asset or settles in it.
            match market.product {
                Product::Perpetual { contract: Contract::Linear, .. } => true,
                Product::Perpetual { contract: Contract::Inverse { settle, .. }, .. } => {
                    settle == id
                }
                Product::Spot { .. } => false,
            }
        });
        let market = market.ok_or_else(|| SpecError {
            key: key("pledge.market"),
            found: pledge.market.to_string(),
            expected: "a linear perpetual, or the inverse one that settles in this asset".into(),
        })?;
        let up = decimals(spec.collateral);
        let down = u32::from(market.price_decimals) + decimals(id);
        let numerator = u128::from(market.tick) * 10u128.pow(up.saturating_sub(down));
        let divisor = 10u128.checked_pow(down.saturating_sub(up)).unwrap_or(u128::MAX);
        let highest = numerator.saturating_mul(u128::from(market.price_max));
        let ok = divisor <= 10u128.pow(18)
            && highest < 1 << 64
            && highest / divisor < COLLATERAL_UNIT_BOUND;
        let expected = "a market in which one unit of the asset is worth less than 2^20 units of \
                        the collateral asset, to 18 decimals";
        ensure(ok, &key("pledge.market"), pledge.market, expected)?;
        pledges.push(PledgeRules {
            asset: id,
            market: pledge.market,
            price_max: market.price_max,
            numerator: numerator as u64,
            divisor: divisor as Amount,
            haircut_ppm: pledge.haircut_ppm,
            cap: pledge.cap,
        });
    }
    let bound = COLLATERALS_BOUND as usize;
    let expected = format!("at most {bound} assets with a pledge");
    ensure(pledges.len() <= bound, "assets", pledges.len(), &expected)?;
    Ok(pledges)
}
