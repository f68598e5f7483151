//! `atoll market open`: a new market for an environment's next version.

use super::args::OpenArgs;
use super::parameters::{bounds, parameters};
use super::show;
use super::table::{cell, number, table, text as words};
use crate::specs::listing::{self, Listing};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;

pub(super) fn run(args: &OpenArgs) -> Result<()> {
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path);
        text.with_context(|| format!("cannot read {}", path.display()))
    };
    let path = args.spec.as_deref().context("--spec is missing")?;
    let (spec, from) = (path.display().to_string(), args.from.display().to_string());
    let (before, market) = (read(path)?, read(&args.from)?);
    let listing = listing::list((&spec, &before), (&from, &market))?;
    if !args.dry_run {
        write(path, &listing.text)?;
    }
    let rules = listing::rules(&listing.after)?;
    let report = json!({
        "market": rules.market_spec(listing.market).map(|market| market.name.clone()),
        "environment": listing.after.name,
        "spec": spec,
        "written": !args.dry_run,
        "spec_hash_before": listing.before.hash().to_string(),
        "spec_hash": listing.after.hash().to_string(),
        "parameters": parameters(rules, listing.market),
        "bounds": bounds(rules, listing.market),
    });
    let text = match args.venue.json {
        true => format!("{report}\n"),
        false => text(args, path, &listing, &report),
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Whole or not at all, whatever happens meanwhile.
fn write(path: &Path, text: &str) -> Result<()> {
    // Behind a link stands the file that is meant.
    let path = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
    let beside = path.with_extension("toml.new");
    let written = std::fs::write(&beside, text).and_then(|()| {
        std::fs::set_permissions(&beside, std::fs::metadata(&path)?.permissions())?;
        std::fs::rename(&beside, &path)
    });
    written.with_context(|| format!("cannot write {}; it is as it was", path.display()))
}

fn text(args: &OpenArgs, path: &Path, listing: &Listing, report: &Value) -> String {
    let name = cell(&report["market"]);
    let mut out = show::parameters(&name, &report["parameters"]).trim_start().to_string();
    out += "\nNothing overflows: the largest numbers, and the bits that are proven to suffice\n";
    let columns = [words("NUMBER"), number("AT MOST"), number("BITS"), number("BOUND")];
    let row = |of: &Value| ["what", "value", "bits", "bits_max"].map(|key| cell(&of[key])).to_vec();
    let found = report["bounds"].as_array().map_or(&[][..], Vec::as_slice);
    out += &table(&columns, &found.iter().map(row).collect::<Vec<_>>());
    let (spec, environment) = (cell(&report["spec"]), cell(&report["environment"]));
    out += &match args.dry_run {
        true => format!("\nNot written. {spec} would get:\n\n{}", listing.section),
        false => format!("\n{spec} has it now.\n"),
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    out += &format!(
        "
Spec hash of {environment}: {}
                  was: {}

A running network does not take it: the spec's hash is part of what the network is. It takes effect
* on a development network with a start from genesis:
    atoll dev --environments {} --reset
* on a deployed one with the environment's next version: its owner schedules it on the hub by
  Registry.upgrade, with this spec hash and a slot far enough ahead for everyone to leave first
  (contracts/README.md).
",
        cell(&report["spec_hash"]),
        cell(&report["spec_hash_before"]),
        folder.display(),
    );
    if !report["parameters"]["leverage_max"].is_null() {
        out += &format!("{name} trades once the oracle's sources tell a price of it.\n");
    }
    out
}
