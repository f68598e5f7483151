//! Who may list markets while an exchange runs, and a market's own file as what is listed.

use super::prices::{OracleTable, SourceTable};
use super::{MarketTable, account, narrow, ppm, units};
use anyhow::{Context, Result, anyhow, bail};
use atoll_exchange::{AssetSpec, ListedOracle, Listing, ListingSpec, OracleSpec, Permissionless};
use serde::Deserialize;

/// `[exchange.listing]`; nobody lists where it is left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListingTable {
    #[serde(default)]
    authorities: Vec<String>,
    markets_max: u32,
    permissionless: Option<PermissionlessTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PermissionlessTable {
    bond: String,
    leverage_max: u8,
    jump_max: String,
    open_interest_max: String,
}

pub(super) fn listing(table: Option<&ListingTable>, decimals: u32) -> Result<ListingSpec> {
    let Some(table) = table else { return Ok(ListingSpec::default()) };
    let authority = |(at, text): (usize, &String)| {
        account(&format!("exchange.listing.authorities[{at}]"), text)
    };
    let key = |name: &str| format!("exchange.listing.permissionless.{name}");
    let money = |name: &str, text: &str| units(&key(name), text, decimals);
    let open = |open: &PermissionlessTable| -> Result<Permissionless> {
        Ok(Permissionless {
            bond: narrow(&key("bond"), &open.bond, money("bond", &open.bond)?)?,
            leverage_max: open.leverage_max,
            jump_ppm_max: ppm(&key("jump_max"), &open.jump_max)?,
            open_interest_max: money("open_interest_max", &open.open_interest_max)?,
        })
    };
    Ok(ListingSpec {
        authorities: table.authorities.iter().enumerate().map(authority).collect::<Result<_>>()?,
        markets_max: table.markets_max,
        permissionless: table.permissionless.as_ref().map(open).transpose()?,
    })
}

/// A market's own file as what is listed: the keys of a market of a spec file, and with
/// `[[oracles]]` and `[oracle_rules]` sources of its own. The first asset is the collateral.
pub(crate) fn listed(
    (from, text): (&str, &str),
    assets: &[AssetSpec],
    bond: Option<&str>,
) -> Result<Listing> {
    let invalid = || format!("{from} is not a valid market");
    let mut table: toml::Table = toml::from_str(text).with_context(invalid)?;
    let sources = table.remove("oracles");
    let rules = table.remove("oracle_rules");
    let market: MarketTable = toml::Value::Table(table).try_into().with_context(invalid)?;
    let market = super::market(0, &market, assets).map_err(|error| {
        let said = error.to_string();
        anyhow!("{}", said.strip_prefix("exchange.markets[0].").unwrap_or(&said)).context(invalid())
    })?;
    let oracle = match (sources, rules) {
        (None, None) => None,
        (None, Some(_)) => bail!("{from}: oracle_rules is set; expected it only with oracles"),
        (Some(sources), rules) => {
            let sources: Vec<SourceTable> = sources.try_into().with_context(invalid)?;
            let rules = rules.map(toml::Value::try_into::<OracleTable>);
            Some(oracle(&sources, rules.transpose().with_context(invalid)?.as_ref())?)
        }
    };
    let decimals = assets.first().map_or(0, |asset| u32::from(asset.decimals));
    let bond = bond.unwrap_or("0");
    let bond = narrow("--bond", bond, units("--bond", bond, decimals)?)?;
    Ok(Listing { market, oracle, bond })
}

fn oracle(sources: &[SourceTable], rules: Option<&OracleTable>) -> Result<ListedOracle> {
    let key =
        |(at, source): (usize, &SourceTable)| account(&format!("oracles[{at}].key"), &source.key);
    let keys = sources.iter().enumerate().map(key).collect::<Result<_>>()?;
    let weights: Vec<u32> = sources.iter().map(|source| source.weight).collect();
    let rules = match rules {
        Some(rules) => super::prices::rules("oracle_rules", weights, rules)?,
        None if weights.len() > 1 => {
            bail!("oracle_rules is missing; expected it where there are several oracles")
        }
        None => OracleSpec {
            quorum: weights.first().copied().unwrap_or(1),
            weights,
            ..OracleSpec::default()
        },
    };
    Ok(ListedOracle { keys, rules })
}
