//! `atoll market open --list`, `market status` and `market bond`: signed actions for a running
//! venue.

use super::args::{BondArgs, BondStep, OpenArgs, StatusArgs, VenueArgs};
use super::table::cell;
use super::{ask, encoded};
use crate::gateway::Gateway;
use crate::money::{parse_key, submit_action};
use crate::specs::listers;
use anyhow::{Context, Result};
use atoll_exchange::{AssetId, AssetSpec, MarketStatus};
use atoll_vm::exchange::build::listing as build;
use atoll_vm::exchange::sign::sign_action;
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// Lists the market in a file on a running venue.
pub(super) fn list(args: &OpenArgs) -> Result<()> {
    let from = args.from.display().to_string();
    let text =
        std::fs::read_to_string(&args.from).with_context(|| format!("cannot read {from}"))?;
    let venue = ask(&args.venue, "/atoll/markets")?;
    let assets = assets(&venue)?;
    let listing = listers::listed((&from, &text), &assets, args.bond.as_deref())?;
    let key = args.key.as_deref().unwrap_or_default();
    let action = build::list_market(&assets, AssetId(0), &listing);
    let hash = act(&args.venue, key, action)?;
    let name = &listing.market.name;
    let market = ask(&args.venue, &format!("/atoll/markets/{}", encoded(name)))?;
    let report = json!({ "transaction": hash, "market": market });
    let perpetual = !market["leverage_max"].is_null();
    let trades = match perpetual {
        true => "It trades once its oracle sources tell a price of it.",
        false => "It trades.",
    };
    let said = format!(
        "{name} is listed on {}: asset {}, bond {} of {}.\n{trades}\n",
        cell(&market["environment"]),
        market["asset"],
        cell(&market["listing"]["bond"]),
        cell(&market["listing"]["lister"]),
    );
    tell(&args.venue, &report, &said)
}

/// Changes what a market is doing.
pub(super) fn status(args: &StatusArgs) -> Result<()> {
    let status: MarketStatus = args.status.into();
    let (path, asset) = asset(&args.venue, &args.name)?;
    let hash = act(&args.venue, &args.key, build::set_market_status(asset, status))?;
    let market = ask(&args.venue, &path)?;
    let said = format!("{} is {}.\n", args.name, cell(&market["status"]["status"]));
    tell(&args.venue, &json!({ "transaction": hash, "market": market }), &said)
}

/// Claims a bond, or takes it for the insurance fund.
pub(super) fn bond(args: &BondArgs) -> Result<()> {
    let (path, asset) = asset(&args.venue, &args.name)?;
    let before = ask(&args.venue, &path)?;
    let (action, to) = match args.step {
        BondStep::Claim => (build::claim_bond(asset), "back in its lister's spot wallet"),
        BondStep::Forfeit => (build::forfeit_bond(asset), "in the insurance fund"),
    };
    let hash = act(&args.venue, &args.key, action)?;
    let bond = &before["listing"]["bond"];
    let said = format!("The bond of {}, {}, is {to}.\n", args.name, cell(bond));
    tell(&args.venue, &json!({ "transaction": hash, "bond": bond }), &said)
}

/// A market's path, and its asset number.
fn asset(venue: &VenueArgs, name: &str) -> Result<(String, u64)> {
    let path = format!("/atoll/markets/{}", encoded(name));
    let market = ask(venue, &path)?;
    let asset = market["asset"].as_u64().context("the gateway gives no asset number")?;
    Ok((path, asset))
}

fn assets(venue: &Value) -> Result<Vec<AssetSpec>> {
    let list = venue["assets"].as_array().context("the gateway gives no assets of the venue")?;
    let asset = |asset: &Value| {
        let decimals = asset["decimals"].as_u64().and_then(|d| u8::try_from(d).ok())?;
        let symbol = asset["symbol"].as_str()?.to_string();
        Some(AssetSpec { symbol, decimals, pledge: None, borrow_ppm: 0 })
    };
    list.iter().map(asset).collect::<Option<_>>().context("the gateway's assets are damaged")
}

/// Signs an action and has it executed; gives the transaction's hash.
fn act(venue: &VenueArgs, key: &str, action: Vec<u8>) -> Result<String> {
    let key = parse_key(key)?;
    let nonce = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let signed = sign_action(&key, action, nonce);
    let gateway = Gateway::new(&venue.url)?;
    use atoll_types::Encode as _;
    Ok(submit_action(&gateway, &venue.environment, &signed.to_bytes())?.to_string())
}

fn tell(venue: &VenueArgs, report: &Value, said: &str) -> Result<()> {
    let text = if venue.json { format!("{report}\n") } else { said.to_string() };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
