//! Figures of a run.

use super::record::{Forgone, RUNGS, Sample, Totals};
use super::scenario::Scenario;
use super::venue::DOLLAR;
use super::world::World;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a scenario came to.
pub(super) struct Outcome<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) seed: u64,
    pub(super) accounts: u32,
    pub(super) leverage: f64,
    pub(super) long: f64,
    pub(super) isolated: u32,
    pub(super) collateral: f64,
    /// By market, in dollars, before the crash.
    pub(super) open_interest: Vec<f64>,
    pub(super) samples: Vec<Sample>,
    pub(super) totals: Totals,
    pub(super) commands: u64,
    pub(super) refused: BTreeMap<&'static str, u64>,
    pub(super) zeros: u64,
    pub(super) negative: u64,
    pub(super) root: String,
    pub(super) risk_aware: Forgone,
    pub(super) queue: Option<(Forgone, Totals, String)>,
}

/// Of many figures.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quantiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Quantiles {
    pub(super) fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let last = sorted.len().saturating_sub(1);
            sorted.get((last as f64 * part).round() as usize).copied().unwrap_or(0.0)
        };
        Self { p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }

    fn json(&self) -> Value {
        json!({ "p50": self.p50, "p99": self.p99, "max": self.max })
    }
}

impl<'a> Outcome<'a> {
    pub(super) fn new(seed: u64, main: World<'a>, queue: Option<World<'a>>) -> Self {
        let root = main.root().to_string();
        let queue = queue.map(|world| {
            let root = world.root().to_string();
            (Forgone::of(&world.record), world.record.totals, root)
        });
        let World { scenario, crowd, record, .. } = main;
        Self {
            scenario,
            seed,
            accounts: crowd.traders,
            leverage: crowd.leverage,
            long: crowd.long,
            isolated: crowd.isolated,
            collateral: crowd.collateral,
            open_interest: crowd.open_interest,
            risk_aware: Forgone::of(&record),
            samples: record.samples,
            totals: record.totals,
            commands: record.commands,
            refused: record.refused,
            zeros: record.zeros,
            negative: record.negative,
            root,
            queue,
        }
    }

    /// Leveraged accounts that were liquidated, and others: desks, makers, the vault.
    pub(super) fn liquidated(&self) -> (usize, usize) {
        let leveraged = self.totals.accounts.range(..self.accounts).count();
        (leveraged, self.totals.accounts.len() - leveraged)
    }

    fn last(&self) -> Option<&Sample> {
        self.samples.last()
    }

    /// The fund, the vault: before, least, after.
    pub(super) fn course(&self, of: impl Fn(&Sample) -> f64) -> [f64; 3] {
        let least = self.samples.iter().map(&of).fold(f64::INFINITY, f64::min);
        let ends = [self.samples.first(), self.last()].map(|s| s.map_or(0.0, &of));
        [ends[0], least, ends[1]]
    }

    pub(super) fn most_outstanding(&self) -> u64 {
        self.samples.iter().map(|sample| sample.outstanding).max().unwrap_or(0)
    }

    pub(super) fn outstanding(&self) -> u64 {
        self.last().map_or(0, |sample| sample.outstanding)
    }

    /// What is booked and not repaid in the end, in dollars.
    pub(super) fn shortfall(&self) -> f64 {
        self.last().map_or(0.0, |sample| sample.shortfall)
    }

    /// Time per slot without the root, in microseconds.
    pub(super) fn slots(&self) -> Quantiles {
        Quantiles::of(self.samples.iter().map(|sample| sample.took.total()))
    }

    pub(super) fn roots(&self) -> Quantiles {
        Quantiles::of(self.samples.iter().map(|sample| sample.took.root))
    }

    /// Slots in which liquidations did all that they may.
    pub(super) fn full(&self) -> usize {
        self.samples.iter().filter(|sample| sample.full).count()
    }

    /// Everything that was liquidated, in dollars.
    pub(super) fn value(&self) -> f64 {
        self.totals.values.iter().sum()
    }

    /// The lowest mark of a market, as a price.
    pub(super) fn lowest_mark(&self, market: usize) -> f64 {
        let marks = self.samples.iter().map(|sample| sample.markets[market].mark);
        self.scenario.markets[market].price_of(marks.min().unwrap_or(0))
    }

    /// Open interest of a market in the end, of what it was before, in lots.
    pub(super) fn left_open(&self, market: usize) -> f64 {
        let lots = |sample: Option<&Sample>| {
            sample.map_or(0.0, |sample| sample.markets[market].open_interest as f64)
        };
        lots(self.last()) / lots(self.samples.first()).max(1.0)
    }

    /// A market's requirements at their most, as a multiple.
    pub(super) fn scale(&self, market: usize) -> (f64, f64) {
        let scales = self.samples.iter().map(|sample| sample.markets[market].scale_ppm);
        let most = scales.fold((0, 0), |most, scale| (most.0.max(scale.0), most.1.max(scale.1)));
        (f64::from(most.0) / DOLLAR, f64::from(most.1) / DOLLAR)
    }

    /// One line for a terminal.
    pub(super) fn line(&self) -> String {
        let [_, _, fund] = self.course(|sample| sample.fund);
        let slots = self.slots();
        format!(
            "{}: {} of {} accounts liquidated ({:.1} M$), {} deleveraged, fund paid {:.2} M$ and \
             has {:.2}, bad debt {:.2} M$, {} outstanding; slot p50 {:.2} ms, p99 {:.2}, max \
             {:.1}; root {}",
            self.scenario.name,
            self.liquidated().0,
            self.accounts,
            self.value() / 1e6,
            self.risk_aware.winners,
            self.totals.insured / 1e6,
            fund / 1e6,
            self.shortfall() / 1e6,
            self.outstanding(),
            slots.p50 / 1e3,
            slots.p99 / 1e3,
            slots.max / 1e3,
            self.root,
        )
    }

    /// Everything, for machines. Money in dollars, times in microseconds unless said.
    pub(super) fn json(&self) -> Value {
        let course = |of: &dyn Fn(&Sample) -> f64| {
            let [before, least, after] = self.course(of);
            json!({ "before": before, "least": least, "after": after })
        };
        let markets = self.scenario.markets.iter().enumerate().map(|(n, market)| {
            json!({
                "name": market.name,
                "start": market.price,
                "low": self.scenario.low(market),
                "end": self.scenario.end(market),
                "lowest_mark": self.lowest_mark(n),
                "open_interest": self.open_interest[n],
                "left_open": self.left_open(n),
                "not_believed": self.totals.guarded.get(n),
                "scale_max": self.scale(n).1,
            })
        });
        let mut adl = Map::new();
        adl.insert("risk-aware".into(), forgone(&self.risk_aware));
        if let Some((queue, ..)) = &self.queue {
            adl.insert("queue".into(), forgone(queue));
        }
        json!({
            "scenario": self.scenario.name,
            "accounts": self.accounts,
            "seed": self.seed,
            "leverage_mean": self.leverage,
            "long": self.long,
            "isolated": self.isolated,
            "collateral": self.collateral,
            "markets": markets.collect::<Vec<_>>(),
            "slots": self.samples.len(),
            "commands": self.commands,
            "refused": self.refused,
            "liquidations": ladder(&self.totals),
            "accounts_liquidated": self.liquidated().0,
            "others_liquidated": self.liquidated().1,
            "orders_cancelled": self.totals.cancelled,
            "book_unfilled": self.totals.unfilled,
            "fund": course(&|sample| sample.fund),
            "fund_paid": self.totals.insured,
            "vault": course(&|sample| sample.vault),
            "bad_debt_booked": self.totals.booked,
            "bad_debt": self.shortfall(),
            "outstanding_most": self.most_outstanding(),
            "outstanding": self.outstanding(),
            "negative": self.negative,
            "full_slots": self.full(),
            "slot_us": self.slots().json(),
            "root_us": self.roots().json(),
            "halts": self.totals.halts,
            "auctions": self.totals.auctions,
            "sources_ignored": self.totals.ignored,
            "zero_prices_refused": self.zeros,
            "adl": adl,
            "audits": self.samples.len(),
            "conserved": true,
            "state_root": self.root,
            "queue_state_root": self.queue.as_ref().map(|queue| &queue.2),
        })
    }
}

fn ladder(totals: &Totals) -> Value {
    let rung = |n: usize| json!({ "steps": totals.steps[n], "value": totals.values[n] });
    RUNGS.iter().enumerate().map(|(n, name)| ((*name).to_string(), rung(n))).collect()
}

fn forgone(sums: &Forgone) -> Value {
    json!({
        "winners": sums.winners,
        "value": sums.value,
        "forgone": sums.forgone,
        "profit": sums.profit,
        "largest_share": sums.largest_share,
        "largest": sums.largest,
    })
}
