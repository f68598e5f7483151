//! Scenarios: what happened, with the source of every figure (`crashes.toml`).

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The scenarios that are built in, and who trades in them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Catalogue {
    pub(super) sources: BTreeMap<String, Source>,
    pub(super) venue: Crowding,
    #[serde(rename = "scenario")]
    pub(super) scenarios: Vec<Scenario>,
}

/// Where a figure is from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    pub(super) title: String,
    pub(super) url: String,
}

/// Who trades: the same in every scenario. Parts are of the markets' open interest unless said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Crowding {
    /// The backstop vault's money.
    pub(super) vault: f64,
    pub(super) vault_source: String,
    /// It takes over only while it has so many times its initial margin.
    pub(super) vault_margin: u32,
    /// The insurance fund.
    pub(super) insurance: f64,
    /// Accounts that are long, of all.
    pub(super) long: f64,
    /// Accounts with one market that hold it isolated.
    pub(super) isolated: f64,
    /// What the makers of a market may hold of it together.
    pub(super) maker_limit: f64,
    /// What they show on a side within 2 % of the middle in usual times.
    pub(super) maker_depth: f64,
    /// What shorts buy back an hour, of what they have, while the price is 5 % below its start.
    pub(super) cover_per_hour: f64,
    pub(super) cover_source: String,
    /// Effective leverage: from, to, part of the accounts.
    pub(super) leverage: Vec<(f64, f64, f64)>,
    pub(super) leverage_source: String,
}

/// A crash.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) title: String,
    /// When it begins, seconds since the Unix epoch.
    pub(super) start_s: u64,
    /// What prices did.
    pub(super) what: String,
    /// What it did to venues then.
    pub(super) happened: String,
    pub(super) happened_sources: Vec<String>,
    pub(super) glitch: Option<Glitch>,
    pub(super) markets: Vec<Market>,
    pub(super) phases: Vec<Phase>,
}

/// Oracle sources that tell nonsense; times from the beginning.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Glitch {
    /// When the first source begins to, and for how long.
    pub(super) one_s: u64,
    pub(super) one_for_s: u64,
    /// When all begin to, and for how long.
    pub(super) all_s: u64,
    pub(super) all_for_s: u64,
}

/// A market of a scenario.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Market {
    pub(super) name: String,
    /// At the beginning.
    pub(super) price: f64,
    /// Of prices; sizes have six less, so that a lot of a tick is a millionth.
    pub(super) decimals: u8,
    /// The highest.
    pub(super) leverage: u32,
    /// Of all that is traded.
    pub(super) weight: f64,
    /// Standard deviation of a minute's return in usual times.
    pub(super) volatility: f64,
}

impl Market {
    /// A price in ticks.
    pub(super) fn ticks(&self, price: f64) -> u64 {
        ((price * 10f64.powi(i32::from(self.decimals))).round() as u64).max(1)
    }

    /// A price from ticks.
    pub(super) fn price_of(&self, ticks: u64) -> f64 {
        ticks as f64 / 10f64.powi(i32::from(self.decimals))
    }
}

/// A stretch of the way of prices.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Phase {
    pub(super) minutes: u64,
    /// Time between two oracle prices.
    pub(super) step_s: u64,
    /// How deep the makers' books are, of usual.
    pub(super) depth: f64,
    /// The part of the way that is made in jumps.
    #[serde(default)]
    pub(super) jump: f64,
    /// Whether prices get faster toward the end of it, which is a low.
    #[serde(default)]
    pub(super) wick: bool,
    /// What volatility is multiplied by; 1 if left out, 3 where there are jumps.
    pub(super) noise: Option<f64>,
    /// Where each market is at its end.
    pub(super) to: BTreeMap<String, f64>,
    pub(super) sources: Vec<String>,
    pub(super) note: String,
}

/// Everything that is built in, checked.
pub(super) fn catalogue() -> Result<Catalogue> {
    let catalogue: Catalogue =
        toml::from_str(include_str!("crashes.toml")).context("the scenarios that are built in")?;
    for scenario in &catalogue.scenarios {
        catalogue.check(scenario).with_context(|| format!("scenario {}", scenario.name))?;
    }
    Ok(catalogue)
}

impl Catalogue {
    /// The scenarios that a name stands for.
    pub(super) fn named(&self, name: &str) -> Result<Vec<&Scenario>> {
        if name == "all" {
            return Ok(self.scenarios.iter().collect());
        }
        let found = self.scenarios.iter().find(|scenario| scenario.name == name);
        let known = || {
            let names = self.scenarios.iter().map(|scenario| scenario.name.as_str());
            names.chain(["all"]).collect::<Vec<_>>().join(", ")
        };
        let found = found.with_context(|| {
            format!("there is no scenario {name:?}; --scenario takes one of {}", known())
        })?;
        Ok(vec![found])
    }

    fn check(&self, scenario: &Scenario) -> Result<()> {
        let most = super::books::MARKETS_MAX;
        ensure!(scenario.markets.len() <= most, "there are more than {most} markets");
        let phases = scenario.phases.iter().flat_map(|phase| &phase.sources);
        for source in phases.chain(&scenario.happened_sources) {
            ensure!(self.sources.contains_key(source), "there is no source {source:?}");
        }
        for phase in &scenario.phases {
            let names: Vec<&String> = phase.to.keys().collect();
            let mut markets: Vec<&String> = scenario.markets.iter().map(|m| &m.name).collect();
            markets.sort();
            ensure!(names == markets, "a phase goes to {names:?}, the markets are {markets:?}");
            ensure!(!phase.sources.is_empty(), "a phase has no source: {}", phase.note);
        }
        Ok(())
    }
}

impl Scenario {
    /// The lowest price that a market is stated to reach.
    pub(super) fn low(&self, market: &Market) -> f64 {
        let ends = self.phases.iter().map(|phase| phase.to[&market.name]);
        ends.fold(market.price, f64::min)
    }

    /// Where a market ends.
    pub(super) fn end(&self, market: &Market) -> f64 {
        self.phases.last().map_or(market.price, |phase| phase.to[&market.name])
    }

    /// Sources that it names, in order.
    pub(super) fn sources(&self) -> Vec<&String> {
        let phases = self.phases.iter().flat_map(|phase| &phase.sources);
        let mut all: Vec<&String> = phases.chain(&self.happened_sources).collect();
        all.sort();
        all.dedup();
        all
    }
}
