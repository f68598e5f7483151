//! What a spec file says of prices: oracle sources, mark, funding, volatility, sanity bounds.

use super::{ExchangeTable, MarketTable, account, narrow, ppm, units, wrong};
use anyhow::{Result, anyhow, bail};
use atoll_exchange::{
    FundingSpec, MarkRule, OracleSpec, PriceSpec, SanitySpec, VolatilityModel, VolatilitySpec,
};
use atoll_types::Address;
use serde::Deserialize;

/// Decimals of a rate in parts per billion.
const PPB_DECIMALS: u32 = 9;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceTable {
    pub(super) key: String,
    pub(super) weight: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OracleTable {
    #[serde(default)]
    stale_ms: u64,
    deviation: Option<String>,
    quorum: u32,
    #[serde(default)]
    reduce_only_after_ms: u64,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum MarkKey {
    Book,
    Robust,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FundingTable {
    impact_notional: String,
    interest: Option<String>,
    clamp: Option<String>,
    cap: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VolatilityTable {
    model: Option<ModelKey>,
    lambda: Option<String>,
    alpha: Option<String>,
    beta: Option<String>,
    interval_s: u64,
    reference: String,
    scale_max: String,
    grace_s: u64,
    rise: String,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ModelKey {
    Ewma,
    Garch,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SanityTable {
    jump: String,
    confirm_s: u64,
    rate: String,
    hold_s: u64,
    limit_s: u64,
    auction_s: u64,
    wide_s: u64,
}

fn micros(key: &str, count: u64, unit: u64) -> Result<u64> {
    count.checked_mul(unit).ok_or_else(|| wrong(key, &count.to_string(), "a smaller number"))
}

/// The keys of the oracle's sources, and what is believed of them.
pub(super) fn oracle(table: &ExchangeTable) -> Result<(Vec<Address>, OracleSpec)> {
    let sources: Vec<(String, &str, u32)> = match (&table.oracle, &table.oracles[..]) {
        (Some(key), []) => vec![("exchange.oracle".into(), key, 1)],
        (None, []) => bail!("exchange.oracle is missing; expected it or exchange.oracles"),
        (None, sources) => {
            let name = |at: usize| format!("exchange.oracles[{at}].key");
            let sources = sources.iter().enumerate();
            sources.map(|(at, source)| (name(at), &*source.key, source.weight)).collect()
        }
        (Some(_), _) => {
            bail!("exchange.oracle and exchange.oracles are both set; expected one of them")
        }
    };
    let keys = sources.iter().map(|(name, key, _)| account(name, key));
    let keys = keys.collect::<Result<Vec<_>>>()?;
    let weights: Vec<u32> = sources.iter().map(|(.., weight)| *weight).collect();
    let Some(rules) = &table.oracle_rules else {
        if weights.len() > 1 {
            bail!("exchange.oracle_rules is missing; expected it where there are several oracles");
        }
        return Ok((keys, OracleSpec { quorum: weights[0], weights, ..OracleSpec::default() }));
    };
    Ok((keys, self::rules("exchange.oracle_rules", weights, rules)?))
}

/// What is believed of sources of these weights.
pub(super) fn rules(table: &str, weights: Vec<u32>, rules: &OracleTable) -> Result<OracleSpec> {
    let key = |name: &str| format!("{table}.{name}");
    let deviation = rules.deviation.as_deref().map(|text| ppm(&key("deviation"), text));
    Ok(OracleSpec {
        weights,
        stale_us: micros(&key("stale_ms"), rules.stale_ms, 1_000)?,
        deviation_ppm: deviation.transpose()?.unwrap_or(0),
        quorum: rules.quorum,
        reduce_only_after_us: micros(
            &key("reduce_only_after_ms"),
            rules.reduce_only_after_ms,
            1_000,
        )?,
    })
}

/// The price rules of a market.
pub(super) fn market(
    key: &impl Fn(&str) -> String,
    table: &MarketTable,
    quote_decimals: u32,
) -> Result<PriceSpec> {
    let mark = match (table.mark, table.mark_interval_ms) {
        (Some(MarkKey::Robust), interval) => {
            let name = key("mark_interval_ms");
            MarkRule::Robust { interval_us: micros(&name, interval.unwrap_or(1_000), 1_000)? }
        }
        (_, None) => MarkRule::Book,
        (_, Some(_)) => {
            bail!("{} is set; expected it only with mark = \"robust\"", key("mark_interval_ms"))
        }
    };
    let funding = table.funding.as_ref().map(|funding| {
        let key = |name: &str| key(&format!("funding.{name}"));
        let rate = |name: &str, text: &Option<String>, usual: u32| match text {
            None => Ok(usual),
            Some(text) => narrow(&key(name), text, units(&key(name), text, PPB_DECIMALS)?),
        };
        let (name, text) = (key("impact_notional"), &funding.impact_notional);
        let usual =
            FundingSpec::hyperliquid(narrow(&name, text, units(&name, text, quote_decimals)?)?);
        anyhow::Ok(FundingSpec {
            interest_ppb: rate("interest", &funding.interest, usual.interest_ppb)?,
            clamp_ppb: rate("clamp", &funding.clamp, usual.clamp_ppb)?,
            cap_ppb: rate("cap", &funding.cap, usual.cap_ppb)?,
            ..usual
        })
    });
    let volatility = table.volatility.as_ref().map(|volatility| self::volatility(key, volatility));
    let sanity = table.sanity.as_ref().map(|sanity| self::sanity(key, sanity));
    Ok(PriceSpec {
        mark,
        funding: funding.transpose()?,
        volatility: volatility.transpose()?,
        sanity: sanity.transpose()?,
    })
}

fn volatility(key: &impl Fn(&str) -> String, table: &VolatilityTable) -> Result<VolatilitySpec> {
    let key = |name: &str| key(&format!("volatility.{name}"));
    let fraction = |name: &str, text: &Option<String>, usual: Option<u32>| match (text, usual) {
        (Some(text), _) => ppm(&key(name), text),
        (None, Some(usual)) => Ok(usual),
        (None, None) => Err(anyhow!("{} is missing", key(name))),
    };
    let model = match table.model.unwrap_or(ModelKey::Ewma) {
        ModelKey::Ewma => {
            VolatilityModel::Ewma { lambda_ppm: fraction("lambda", &table.lambda, Some(940_000))? }
        }
        ModelKey::Garch => VolatilityModel::Garch {
            alpha_ppm: fraction("alpha", &table.alpha, None)?,
            beta_ppm: fraction("beta", &table.beta, None)?,
        },
    };
    // A multiple of the requirements counts in parts per million as well.
    Ok(VolatilitySpec {
        model,
        interval_us: micros(&key("interval_s"), table.interval_s, 1_000_000)?,
        reference_ppm: ppm(&key("reference"), &table.reference)?,
        scale_max_ppm: ppm(&key("scale_max"), &table.scale_max)?,
        grace_us: micros(&key("grace_s"), table.grace_s, 1_000_000)?,
        rise_ppm: ppm(&key("rise"), &table.rise)?,
    })
}

fn sanity(key: &impl Fn(&str) -> String, table: &SanityTable) -> Result<SanitySpec> {
    let key = |name: &str| key(&format!("sanity.{name}"));
    let seconds = |name: &str, count: u64| micros(&key(name), count, 1_000_000);
    Ok(SanitySpec {
        jump_ppm: ppm(&key("jump"), &table.jump)?,
        confirm_us: seconds("confirm_s", table.confirm_s)?,
        rate_ppm: ppm(&key("rate"), &table.rate)?,
        hold_us: seconds("hold_s", table.hold_s)?,
        limit_us: seconds("limit_s", table.limit_s)?,
        auction_us: seconds("auction_s", table.auction_s)?,
        wide_us: seconds("wide_s", table.wide_s)?,
    })
}
