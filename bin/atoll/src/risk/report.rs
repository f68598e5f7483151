//! The report: one HTML file with inline plots, without scripts, readable in light and dark.

use super::outcome::Outcome;
use super::plot::{Band, Frame, Line, Unit, bars, escape, lines, peaks, short};
use super::record::{RUNGS, Sample};
use super::scenario::Catalogue;
use super::tables::{bounds, calibration, deleveraging};
use atoll_exchange::MarketStatus;
use std::fmt::Write;

/// Names a source by its number at the end of the page.
pub(super) struct Cited<'a> {
    catalogue: &'a Catalogue,
    keys: Vec<&'a str>,
}

impl<'a> Cited<'a> {
    fn new(catalogue: &'a Catalogue, outcomes: &[Outcome<'a>]) -> Self {
        let venue = &catalogue.venue;
        let mut keys: Vec<&str> =
            vec![&venue.vault_source, &venue.cover_source, &venue.leverage_source];
        for outcome in outcomes {
            keys.extend(outcome.scenario.sources().into_iter().map(String::as_str));
        }
        keys.sort_unstable();
        keys.dedup();
        Self { catalogue, keys }
    }

    fn mark(&self, key: &str) -> String {
        let number = self.keys.iter().position(|known| *known == key).map_or(0, |n| n + 1);
        format!("<sup><a href=\"#source-{number}\">[{number}]</a></sup>")
    }

    pub(super) fn marks<'k>(&self, keys: impl IntoIterator<Item = &'k String>) -> String {
        keys.into_iter().map(|key| self.mark(key)).collect()
    }

    fn list(&self) -> String {
        let mut html = String::from("<h2 id=\"sources\">Sources</h2><ol>");
        for (number, key) in (1..).zip(&self.keys) {
            if let Some(source) = self.catalogue.sources.get(*key) {
                let (title, url) = (escape(&source.title), escape(&source.url));
                let _ = write!(
                    html,
                    "<li id=\"source-{number}\">{title}: <a href=\"{url}\">{url}</a></li>"
                );
            }
        }
        html + "</ol>"
    }
}

pub(super) fn dollars(value: f64) -> String {
    short(value, Unit::Dollars)
}

pub(super) fn percent(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}

fn ms(microseconds: f64) -> String {
    format!("{:.2}", microseconds / 1e3)
}

/// A table row: what, then figures.
pub(super) fn row(what: &str, figures: impl IntoIterator<Item = String>) -> String {
    let cells: String = figures.into_iter().map(|f| format!("<td>{f}</td>")).collect();
    format!("<tr><th scope=\"row\">{what}</th>{cells}</tr>")
}

pub(super) fn table(caption: &str, head: &[String], rows: &str) -> String {
    let head: String = head.iter().map(|h| format!("<th scope=\"col\">{h}</th>")).collect();
    format!(
        "<div class=\"wide\"><table><caption>{caption}</caption><thead><tr>{head}</tr></thead>\
         <tbody>{rows}</tbody></table></div>"
    )
}

/// The page.
pub(super) fn html(catalogue: &Catalogue, outcomes: &[Outcome<'_>]) -> String {
    let cited = Cited::new(catalogue, outcomes);
    let style = include_str!("report.css");
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>Crash report</title><style>{style}\
         </style></head><body><h1>What crashes do to the venue</h1>"
    );
    html += &summary(&cited, outcomes);
    for (n, outcome) in outcomes.iter().enumerate() {
        html += &scenario(n, &cited, outcome);
    }
    html += &cited.list();
    html + "</body></html>\n"
}

fn summary(cited: &Cited<'_>, outcomes: &[Outcome<'_>]) -> String {
    let venue = &cited.catalogue.venue;
    let mut html = format!(
        "<p>Prices go from one published price to the next, at random in between. Leveraged \
         accounts, makers, an insurance fund and a backstop vault meet them on the exchange that a \
         node runs; funding, dynamic margin, sanity bounds and every step of liquidation are on. \
         The vault has {} of open interest{}, the insurance fund {}. Books were balanced after \
         every slot; runs can be repeated: the same seed gives the same state root.</p>",
        percent(venue.vault),
        cited.mark(&venue.vault_source),
        format_args!("{:.2} %", venue.insurance * 100.0),
    );
    let mut head = vec![String::new()];
    head.extend(outcomes.iter().map(|o| escape(&o.scenario.name)));
    let each = |what: &str, figure: &dyn Fn(&Outcome<'_>) -> String| {
        row(what, outcomes.iter().map(figure))
    };
    let lowest = |o: &Outcome<'_>| {
        let falls = o.scenario.markets.iter().map(|m| 1.0 - o.scenario.low(m) / m.price);
        let falls: Vec<f64> = falls.collect();
        format!("{} / {}", percent(falls[0]), percent(falls.iter().copied().fold(0.0, f64::max)))
    };
    let queue = |o: &Outcome<'_>| {
        o.queue.as_ref().map_or("–".into(), |(queue, ..)| percent(queue.largest_share))
    };
    let rows = [
        each("leveraged accounts", &|o| o.accounts.to_string()),
        each("open interest before", &|o| dollars(o.open_interest.iter().sum())),
        each("deepest fall, first market / any", &lowest),
        each("accounts liquidated", &|o| {
            let (count, _) = o.liquidated();
            format!("{count} ({})", percent(count as f64 / f64::from(o.accounts)))
        }),
        each("value liquidated", &|o| dollars(o.value())),
        each("of it by deleveraging", &|o| percent(o.totals.values[4] / o.value().max(1.0))),
        each("paid by the insurance fund", &|o| dollars(o.totals.insured)),
        each("forgone by winners", &|o| dollars(o.risk_aware.forgone)),
        each("bad debt booked / left", &|o| {
            format!("{} / {}", dollars(o.totals.booked), dollars(o.shortfall()))
        }),
        each("below maintenance at once: most / at the end", &|o| {
            format!("{} / {}", o.most_outstanding(), o.outstanding())
        }),
        each("largest share of a winner's profit: risk-aware", &|o| {
            percent(o.risk_aware.largest_share)
        }),
        each("the same by the queue", &queue),
        each("slot, ms: p50 / p99 / most", &|o| {
            let slots = o.slots();
            format!("{} / {} / {}", ms(slots.p50), ms(slots.p99), ms(slots.max))
        }),
    ];
    html += &table("All runs. Deleveraging is risk-aware unless said.", &head, &rows.concat());
    html
}

fn frame<'a>(
    n: usize,
    name: &str,
    outcome: &Outcome<'_>,
    title: String,
    text: &'a str,
    unit: Unit,
) -> Frame<'a> {
    let until_s = outcome.samples.last().map_or(1.0, |sample| sample.at_s);
    let (id, start_s) = (format!("p{n}-{name}"), outcome.scenario.start_s);
    Frame { id, title, text, start_s, until_s, unit, log: false }
}

fn line(
    name: &'static str,
    colour: usize,
    outcome: &Outcome<'_>,
    of: impl Fn(&Sample) -> f64,
) -> Line {
    let points = outcome.samples.iter().map(|sample| (sample.at_s, of(sample)));
    Line { name, colour, points: points.collect() }
}

/// When a market was not open.
fn bands(outcome: &Outcome<'_>, market: usize) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    let mut before = MarketStatus::Open;
    for sample in &outcome.samples {
        let status = sample.markets[market].status;
        if before != MarketStatus::Open
            && let Some(band) = bands.last_mut()
        {
            band.to = sample.at_s;
        }
        if status != before && status != MarketStatus::Open {
            let class = if status == MarketStatus::Auction { "auction" } else { "reduce" };
            bands.push(Band { from: sample.at_s, to: sample.at_s, class });
        }
        before = status;
    }
    bands
}

fn scenario(n: usize, cited: &Cited<'_>, outcome: &Outcome<'_>) -> String {
    let s = outcome.scenario;
    let mut html = format!(
        "<h2 id=\"{name}\">{name}: {title}</h2><p>{}</p><p>Then: {}{}</p><p class=\"soft\">{} \
         leveraged accounts with {} and a mean leverage of {:.1}; {} of them long, {} isolated. \
         Seed {}; {} slots, {} orders and cancels; state root <code>{}</code>.</p>",
        escape(&s.what),
        escape(&s.happened),
        cited.marks(&s.happened_sources),
        outcome.accounts,
        dollars(outcome.collateral),
        outcome.leverage,
        percent(outcome.long),
        outcome.isolated,
        outcome.seed,
        outcome.samples.len(),
        outcome.commands,
        outcome.root,
        name = escape(&s.name),
        title = escape(&s.title),
    );
    html += &prices(n, outcome);
    html += &ladder(n, outcome);
    html += &slots(n, outcome);
    html += &bounds(outcome);
    html += &deleveraging(outcome);
    html + &calibration(cited, outcome)
}

fn prices(n: usize, outcome: &Outcome<'_>) -> String {
    let mut html = String::from(
        "<h3>Prices</h3><ul class=\"legend\"><li><span class=\"key kreduce\"></span>only orders \
         that reduce</li><li><span class=\"key kauction\"></span>auction</li></ul>\
         <div class=\"plots\">",
    );
    for (m, market) in outcome.scenario.markets.iter().enumerate() {
        let text = "Price outside, oracle, mark and middle of the book over time. Behind them, \
                    when the market took only orders that reduce, and auctions.";
        let price = |ticks: u64| market.price_of(ticks);
        let unit = 10f64.powi(i32::from(market.decimals));
        let frame = frame(n, &format!("price{m}"), outcome, market.name.clone(), text, Unit::Price);
        let drawn = [
            line("middle of the book", 5, outcome, |sample| {
                sample.markets[m].mid.map_or(f64::NAN, |mid| mid / unit)
            }),
            line("outside", 1, outcome, |sample| price(sample.markets[m].outside)),
            line("oracle", 2, outcome, |sample| price(sample.markets[m].oracle)),
            line("mark", 0, outcome, |sample| price(sample.markets[m].mark)),
        ];
        html += &lines(&frame, &drawn, &bands(outcome, m));
    }
    html + "</div>"
}

fn ladder(n: usize, outcome: &Outcome<'_>) -> String {
    let mut html = String::from("<h3>Liquidations, fund and bad debt</h3><div class=\"plots\">");
    let text = "Value of liquidations in each stretch of time, by rung of the ladder.";
    let rungs = frame(n, "rungs", outcome, "Liquidated, by rung".into(), text, Unit::Dollars);
    let points: Vec<_> = outcome.samples.iter().map(|s| (s.at_s, s.values)).collect();
    html += &bars(&rungs, &RUNGS, &points);
    let text = "Steps of liquidations in each stretch of time, by rung of the ladder.";
    let steps = frame(n, "steps", outcome, "Steps, by rung".into(), text, Unit::Count);
    let points = outcome.samples.iter().map(|s| (s.at_s, s.rungs.map(|n| n as f64)));
    let points: Vec<_> = points.collect();
    html += &bars(&steps, &RUNGS, &points);
    let text = "Accounts and isolated positions below their maintenance margin after each slot.";
    let title = "Below maintenance after the slot".into();
    let below = frame(n, "below", outcome, title, text, Unit::Count);
    html += &lines(&below, &[line("units", 4, outcome, |s| s.outstanding as f64)], &[]);
    let text = "What the insurance fund has, and the bad debt that is booked and not repaid.";
    let title = "Insurance fund and bad debt".into();
    let fund = frame(n, "fund", outcome, title, text, Unit::Dollars);
    let drawn =
        [line("fund", 2, outcome, |s| s.fund), line("bad debt", 4, outcome, |s| s.shortfall)];
    html += &lines(&fund, &drawn, &[]);
    let text = "What the backstop vault is worth.";
    let vault = frame(n, "vault", outcome, "Backstop vault".into(), text, Unit::Dollars);
    html += &lines(&vault, &[line("equity", 3, outcome, |s| s.vault)], &[]);
    html += "</div>";
    let all = outcome.value().max(1.0);
    let rows: String = RUNGS
        .iter()
        .enumerate()
        .map(|(rung, name)| {
            let (steps, value) = (outcome.totals.steps[rung], outcome.totals.values[rung]);
            row(name, [steps.to_string(), dollars(value), percent(value / all)])
        })
        .collect();
    let [before, least, after] = outcome.course(|sample| sample.fund);
    let head = ["rung", "steps", "value", "of all"].map(String::from);
    html += &table("Steps of liquidations", &head, &rows);
    let vault = outcome.course(|sample| sample.vault);
    let _ = write!(
        html,
        "<p>Fund: {} before, {} at its least, {} after; it paid {}. Vault: {}, {}, {}. Booked \
         because nobody covered it: {}; accounts below zero at the end: {}. Desks, makers and \
         vault that were liquidated: {}. {} steps cancelled orders first; {} slots did all that a slot may.</p>",
        dollars(before),
        dollars(least),
        dollars(after),
        dollars(outcome.totals.insured),
        dollars(vault[0]),
        dollars(vault[1]),
        dollars(vault[2]),
        dollars(outcome.totals.booked),
        outcome.negative,
        outcome.liquidated().1,
        outcome.totals.cancelled,
        outcome.full(),
    );
    html
}

fn slots(n: usize, outcome: &Outcome<'_>) -> String {
    let text = "Time that the thread ran in the longest slot of each stretch, on a logarithmic \
                scale.";
    let title = "Longest slots".into();
    let mut time = frame(n, "time", outcome, title, text, Unit::Milliseconds);
    time.log = true;
    let mut drawn = [
        line("root", 5, outcome, |s| s.took.root / 1e3),
        line("all but the root", 0, outcome, |s| s.took.total() / 1e3),
    ];
    drawn.iter_mut().for_each(|line| line.points = peaks(&line.points));
    let mut html = format!("<h3>Time per slot</h3>{}", lines(&time, &drawn, &[]));
    type Part = fn(&Sample) -> f64;
    let parts: [(&str, Part); 7] = [
        ("oracle and tick", |s| s.took.tick),
        ("everybody's orders", |s| s.took.trade),
        ("finding who is due", |s| s.took.index),
        ("liquidations, deleveraging", |s| s.took.liquidate),
        ("seal", |s| s.took.seal),
        ("<b>together</b>", |s| s.took.total()),
        ("root (beside the next slots)", |s| s.took.root),
    ];
    let rows: String = parts
        .iter()
        .map(|(name, part)| {
            let q = super::outcome::Quantiles::of(outcome.samples.iter().map(part));
            row(name, [ms(q.p50), ms(q.p99), ms(q.max)])
        })
        .collect();
    let head = ["part", "p50, ms", "p99, ms", "most, ms"].map(String::from);
    html += &table("Of the 100 ms that a slot has", &head, &rows);
    html
}
