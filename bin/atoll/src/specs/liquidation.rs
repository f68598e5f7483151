//! Liquidation in specs.

use super::{account, ppm, units, wrong};
use anyhow::Result;
use atoll_exchange::{Deleveraging, LiquidationSpec};
use serde::Deserialize;

/// `[exchange.liquidation]`; what is left out is as on Hyperliquid.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LiquidationTable {
    partial_above: Option<String>,
    partial: Option<String>,
    cooldown_ms: Option<u64>,
    backstop_below: Option<String>,
    backstop: Option<String>,
    backstop_margin: Option<String>,
    deleveraging: DeleveragingKey,
    ranking_valid_ms: Option<u64>,
    insurance: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DeleveragingKey {
    #[default]
    Queue,
    RiskAware,
}

pub(super) fn liquidation(table: &LiquidationTable, decimals: u32) -> Result<LiquidationSpec> {
    let usual = LiquidationSpec::default();
    let key = |name: &str| format!("exchange.liquidation.{name}");
    let part = |name: &str, given: &Option<String>, usual: u32| {
        given.as_ref().map_or(Ok(usual), |text| ppm(&key(name), text))
    };
    let above = match &table.partial_above {
        Some(text) => units(&key("partial_above"), text, decimals)?,
        None => 100_000 * 10u128.pow(decimals),
    };
    let above = u64::try_from(above);
    let us = |ms: u64| ms.saturating_mul(1000);
    Ok(LiquidationSpec {
        partial_above: above
            .map_err(|_| wrong(&key("partial_above"), "that much", "below 2^64 units"))?,
        partial_ppm: part("partial", &table.partial, usual.partial_ppm)?,
        cooldown_us: table.cooldown_ms.map_or(usual.cooldown_us, us),
        backstop_ppm: part("backstop_below", &table.backstop_below, usual.backstop_ppm)?,
        backstop: match &table.backstop {
            Some(text) => Some(account(&key("backstop"), text)?),
            None => None,
        },
        backstop_margin_ppm: part(
            "backstop_margin",
            &table.backstop_margin,
            usual.backstop_margin_ppm,
        )?,
        deleveraging: match table.deleveraging {
            DeleveragingKey::Queue => Deleveraging::Queue,
            DeleveragingKey::RiskAware => Deleveraging::RiskAware,
        },
        ranking_valid_us: table.ranking_valid_ms.map_or(usual.ranking_valid_us, us),
        insurance_ppm: part("insurance", &table.insurance, usual.insurance_ppm)?,
    })
}
