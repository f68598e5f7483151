//! A new market in a spec file: checked with all of the file, put where it belongs, and nothing
//! else changed.

use super::{ExchangeTable, File, MarketTable, ProductKey, parse};
use anyhow::{Context, Result, anyhow, bail};
use atoll_exchange::MarketId;
use atoll_executor::EnvironmentSpec;
use atoll_executor::spec::VmSpec;

/// The table of a market in a spec file.
const TABLE: &str = "exchange.markets";

/// A spec file with a new market.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The spec before.
    pub(crate) before: EnvironmentSpec,
    /// The spec with the market.
    pub(crate) after: EnvironmentSpec,
    /// The market's place in it.
    pub(crate) market: MarketId,
    /// What was put into the file.
    pub(crate) section: String,
    /// All of the file with it.
    pub(crate) text: String,
}

/// Puts the market in `from` into the spec in `file`. Both are given as name and text.
pub(crate) fn list((file, spec): (&str, &str), (from, market): (&str, &str)) -> Result<Listing> {
    let before = parse(file, spec)?;
    let old: File = toml::from_str(spec)?;
    let Some(exchange) = &old.exchange else {
        bail!("{file} is no exchange: vm is \"{}\"; expected \"exchange\"", before.vm.kind());
    };
    let invalid = || format!("{from} is not a valid market");
    let table: MarketTable = toml::from_str(market).with_context(invalid)?;
    let place = place(exchange, &table);
    let section = section(market);
    let text = insert(spec, &section, place, exchange.markets.len()).with_context(|| {
        format!("{file}: expected its markets as [[{TABLE}]] tables, to put one more among them")
    })?;
    let after = parse(file, &text).map_err(|error| {
        // The keys of a market alone, as in its own file.
        let said = error.root_cause().to_string();
        let own = format!("{TABLE}[{place}].");
        match said.strip_prefix(&own) {
            Some(rest) => anyhow!("{rest}"),
            None => anyhow!("{said} (in {file} with the market in it)"),
        }
        .context(invalid())
    })?;
    // The text was put together by hand: what it says is compared with what was meant.
    let markets = |text: &str| -> Result<Vec<toml::Value>> {
        let value: toml::Value = toml::from_str(text)?;
        let found = value.get("exchange").and_then(|exchange| exchange.get("markets"));
        Ok(found.and_then(|markets| markets.as_array()).cloned().unwrap_or_default())
    };
    let mut wanted = markets(spec)?;
    wanted.insert(place, toml::from_str(market)?);
    if markets(&text)? != wanted {
        bail!("{from}: expected plain keys, [tables] and [[tables]] at the beginnings of lines");
    }
    Ok(Listing { before, after, market: MarketId(place as u16), section, text })
}

/// Perpetuals stand before spot markets, because their numbers in the API are their places.
fn place(exchange: &ExchangeTable, new: &MarketTable) -> usize {
    match new.product {
        ProductKey::Spot => exchange.markets.len(),
        ProductKey::Perpetual => {
            let spot = |market: &MarketTable| matches!(market.product, ProductKey::Spot);
            exchange.markets.iter().position(spot).unwrap_or(exchange.markets.len())
        }
    }
}

/// A market's own file as a table of the spec file: its tables get the name of where they stand.
fn section(market: &str) -> String {
    let mut section = format!("[[{TABLE}]]\n");
    for line in market.trim().lines() {
        let (brackets, rest) = match line.trim_start() {
            rest if rest.starts_with("[[") => ("[[", &rest[2..]),
            rest if rest.starts_with('[') => ("[", &rest[1..]),
            _ => ("", line),
        };
        match brackets {
            "" => section += line,
            _ => section += &format!("{brackets}{TABLE}.{}", rest.trim_start()),
        }
        section.push('\n');
    }
    section
}

/// The name in a line like `[name]` or `[[name]]`.
fn header(line: &str) -> Option<&str> {
    let line = line.trim_start().strip_prefix('[')?;
    let name = line.strip_prefix('[').unwrap_or(line).split(']').next()?;
    Some(name.trim())
}

/// Puts a section before the market of this place, or behind the last one.
fn insert(spec: &str, section: &str, place: usize, count: usize) -> Option<String> {
    let lines: Vec<&str> = spec.lines().collect();
    let is = |line: &str, name: &str| header(line) == Some(name);
    let starts = lines.iter().enumerate().filter(|(_, line)| is(line, TABLE));
    let starts: Vec<usize> = starts.map(|(at, _)| at).collect();
    if starts.len() != count {
        return None;
    }
    let mut at = match starts.get(place) {
        Some(start) => *start,
        None => {
            let last = *starts.last()?;
            let inside = format!("{TABLE}.");
            let behind = |line: &&str| header(line).is_some_and(|name| !name.starts_with(&inside));
            let next = lines[last + 1..].iter().position(behind);
            next.map_or(lines.len(), |next| last + 1 + next)
        }
    };
    // Comments right above a table are about it.
    while at > 0 && lines[at - 1].trim_start().starts_with('#') {
        at -= 1;
    }
    let mut out = Vec::from(&lines[..at]);
    if at > 0 && !lines[at - 1].trim().is_empty() {
        out.push("");
    }
    out.extend(section.lines());
    if at < lines.len() {
        out.push("");
    }
    out.extend(&lines[at..]);
    Some(out.join("\n") + "\n")
}

/// What an exchange's spec says of its venue.
pub(crate) fn rules(spec: &EnvironmentSpec) -> Result<&atoll_exchange::Rules> {
    match &spec.vm {
        VmSpec::Exchange(exchange) => Ok(&exchange.exchange),
        _ => bail!("{} is no exchange", spec.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specs::BUILT_IN;

    const DOGE: &str = "# Dogs.\nname = \"DOGE\"\nproduct = \"perpetual\"\ntick = \"0.00001\"\n\
        lot = \"1\"\nprice_max = \"1000\"\norder_size_max = \"50000000\"\nnotional_min = \"10\"\n\
        price_band = \"0.5\"\ninitial_margin = \"0.1\"\nmark_band = \"0.005\"\n\
        maker_fee = \"0.00015\"\ntaker_fee = \"0.00045\"\n\n[funding]\nimpact_notional = \"6000\"\n\n\
        [[tiers]]\nlower_bound = \"100000\"\ninitial_margin = \"0.2\"\n";

    fn listed(market: &str) -> Result<Listing> {
        list(("perps.toml", BUILT_IN[0].1), ("market.toml", market))
    }

    #[test]
    fn a_perpetual_goes_before_the_spot_markets_and_nothing_else_changes() {
        let found = listed(DOGE).unwrap();
        let (before, after) = (rules(&found.before).unwrap(), rules(&found.after).unwrap());
        assert_eq!(found.market, after.market_named("DOGE").unwrap());
        let mut markets = after.spec().markets.clone();
        let doge = markets.remove(usize::from(found.market.0));
        assert_eq!((doge.risk.tiers.len(), doge.prices.funding.is_some()), (1, true));
        assert_eq!(markets, before.spec().markets);
        // Taken out again, the file is what it was.
        let cut = found.text.replacen(&format!("{}\n", found.section), "", 1);
        assert_eq!(cut, BUILT_IN[0].1);
        assert!(found.section.contains("[[exchange.markets.tiers]]"), "{}", found.section);
    }

    #[test]
    fn a_spot_market_goes_behind_the_last_and_keeps_the_comments_of_what_follows() {
        let spot = "name = \"ATOLL/ETH\"\nproduct = \"spot\"\nbase = \"ATOLL\"\nquote = \"ETH\"\n\
            tick = \"0.000001\"\nlot = \"0.01\"\nprice_max = \"1\"\norder_size_max = \"10000000\"\n\
            notional_min = \"0.01\"\nprice_band = \"0.5\"\nmaker_fee = \"0\"\ntaker_fee = \"0\"\n";
        let found = listed(spot).unwrap();
        let markets = &rules(&found.after).unwrap().spec().markets;
        assert_eq!(usize::from(found.market.0), markets.len() - 1);
        let cut = found.text.replacen(&format!("{}\n", found.section), "", 1);
        assert_eq!(cut, BUILT_IN[0].1);
    }

    #[test]
    fn what_is_wrong_is_named_with_file_key_and_expectation() {
        for (from, to, expected) in [
            ("tick = \"0.00001\"", "tick = \"a\"", "tick is \"a\"; expected a decimal number"),
            ("initial_margin = \"0.1\"", "", "initial_margin is missing"),
            ("name = \"DOGE\"", "name = \"BTC\"", "name is BTC; expected 1 to 16"),
            ("name = \"DOGE\"", "colour = \"red\"", "unknown field `colour`"),
            ("price_max = \"1000\"", "price_max = \"100000000\"", "price_max is"),
            ("lot = \"1\"", "lot = \"0.01\"", "tick is 1 with lot 1; expected a tick × lot"),
            ("lower_bound = \"100000\"", "lower_bound = \"0\"", "tiers[0].lower_bound is 0"),
            ("[funding]", "[fundings]", "unknown field `fundings`"),
        ] {
            assert!(DOGE.contains(from), "{from}");
            let said = format!("{:#}", listed(&DOGE.replacen(from, to, 1)).unwrap_err());
            let named = said.starts_with("market.toml is not a valid market");
            assert!(named && said.contains(expected), "{to}: {said}");
        }
        let evm = list(("evm.toml", BUILT_IN[1].1), ("market.toml", DOGE)).unwrap_err();
        assert!(format!("{evm:#}").contains("evm.toml is no exchange"), "{evm:#}");
    }

    #[test]
    fn text_that_only_looks_like_tables_is_refused() {
        let odd = DOGE.replacen("# Dogs.\n", "base = \"\"\"\n[x]\"\"\"\n", 1);
        let said = format!("{:#}", listed(&odd).unwrap_err());
        assert!(said.contains("beginnings of lines"), "{said}");
    }
}
