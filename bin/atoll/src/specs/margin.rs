//! Margin in specs: tiers and caps of markets, inverse contracts, collateral of several assets.

use super::{asset_id, narrow, number, ppm, units, wrong};
use anyhow::{Result, anyhow};
use atoll_exchange::{AssetSpec, Contract, MarginTier, MarketId, MarketRisk, Pledge};
use serde::Deserialize;

/// How an asset besides the collateral asset serves as collateral.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PledgeTable {
    /// The name of the market whose oracle prices it.
    market: String,
    haircut: String,
    cap: Option<String>,
}

/// A tier of a margin table above the first one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TierTable {
    lower_bound: String,
    initial_margin: String,
    maintenance_margin: Option<String>,
}

/// The maintenance margin of a tier: as given, or half of the initial one (Hyperliquid).
pub(super) fn maintenance(key: &str, given: Option<&String>, initial_ppm: u32) -> Result<u32> {
    given.map_or(Ok(initial_ppm.div_ceil(2)), |text| ppm(key, text))
}

/// What a perpetual settles in besides the collateral asset.
pub(super) fn contract(
    key: &dyn Fn(&str) -> String,
    (settle, face): (&Option<String>, Option<u32>),
    assets: &[AssetSpec],
) -> Result<Contract> {
    match (settle, face) {
        (None, None) => Ok(Contract::Linear),
        (Some(settle), Some(face)) => {
            Ok(Contract::Inverse { settle: asset_id(&key("settle"), settle, assets)?, face })
        }
        _ => {
            Err(anyhow!("{} and {} come together: an inverse contract", key("settle"), key("face")))
        }
    }
}

/// Tiers and caps.
pub(super) fn risk(
    key: &dyn Fn(&str) -> String,
    tiers: &[TierTable],
    (open_interest_max, concentration): (&Option<String>, &Option<String>),
    isolated_only: bool,
    quote_decimals: u32,
    lot: (u32, u128),
) -> Result<MarketRisk> {
    let tier = |(at, tier): (usize, &TierTable)| {
        let key = |name: &str| key(&format!("tiers[{at}].{name}"));
        let (name, text) = (key("lower_bound"), &tier.lower_bound);
        let initial_margin_ppm = ppm(&key("initial_margin"), &tier.initial_margin)?;
        let given = tier.maintenance_margin.as_ref();
        Ok(MarginTier {
            lower_bound: narrow(&name, text, units(&name, text, quote_decimals)?)?,
            initial_margin_ppm,
            maintenance_margin_ppm: maintenance(
                &key("maintenance_margin"),
                given,
                initial_margin_ppm,
            )?,
        })
    };
    let lots = |name: &str, text: &String| {
        let value = units(&key(name), text, lot.0)?;
        if value % lot.1 != 0 {
            return Err(wrong(&key(name), text, "a multiple of the lot"));
        }
        narrow(&key(name), text, value / lot.1)
    };
    let cap = open_interest_max.as_ref().map(|text| lots("open_interest_max", text));
    let part = concentration.as_ref().map(|text| ppm(&key("concentration"), text));
    Ok(MarketRisk {
        tiers: tiers.iter().enumerate().map(tier).collect::<Result<_>>()?,
        open_interest_max: cap.transpose()?.unwrap_or(0),
        concentration_ppm: part.transpose()?.unwrap_or(0),
        isolated_only,
    })
}

/// How an asset serves as collateral; `markets` are the names of all markets in order.
pub(super) fn pledge(
    key: &str,
    table: &PledgeTable,
    decimals: u8,
    markets: &[&str],
) -> Result<Pledge> {
    let found = markets.iter().position(|name| *name == table.market);
    let name = format!("{key}.market");
    let market = found.ok_or_else(|| wrong(&name, &table.market, "the name of a market"))?;
    let cap = match &table.cap {
        Some(text) => {
            let name = format!("{key}.cap");
            narrow(&name, text, units(&name, text, decimals.into())?)?
        }
        None => 0,
    };
    number(&format!("{key}.haircut"), &table.haircut)?;
    Ok(Pledge {
        market: MarketId(narrow(&name, &table.market, market as u128)?),
        haircut_ppm: ppm(&format!("{key}.haircut"), &table.haircut)?,
        cap,
    })
}
