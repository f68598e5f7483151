//! Tables of the report: markets, deleveraging, calibration.

use super::outcome::Outcome;
use super::plot::{Unit, clock, escape, short};
use super::record::Forgone;
use super::report::{Cited, dollars, percent, row, table};
use std::fmt::Write;

pub(super) fn bounds(outcome: &Outcome<'_>) -> String {
    let rows: String = outcome
        .scenario
        .markets
        .iter()
        .enumerate()
        .map(|(n, market)| {
            let price = |price: f64| short(price, Unit::Price);
            row(
                &escape(&market.name),
                [
                    price(market.price),
                    price(outcome.scenario.low(market)),
                    price(outcome.lowest_mark(n)),
                    price(outcome.scenario.end(market)),
                    dollars(outcome.open_interest[n]),
                    percent(outcome.left_open(n)),
                    outcome.totals.guarded.get(n).map_or(String::new(), u64::to_string),
                    format!("{:.2} ×", outcome.scale(n).1),
                ],
            )
        })
        .collect();
    let head = [
        "market",
        "start",
        "low",
        "lowest mark",
        "end",
        "open interest",
        "of it left",
        "prices not believed",
        "maintenance, most",
    ];
    let mut html = String::from("<h3>Markets and sanity bounds</h3>");
    html += &table("", &head.map(String::from), &rows);
    let _ = write!(
        html,
        "<p>Markets were made to take only orders that reduce {} times, {} auctions traded or \
         closed, oracle sources were ignored {} times, {} reports of a price of zero were \
         refused.</p>",
        outcome.totals.halts, outcome.totals.auctions, outcome.totals.ignored, outcome.zeros,
    );
    html
}

pub(super) fn deleveraging(outcome: &Outcome<'_>) -> String {
    let mut html = String::from("<h3>Deleveraging: queue and risk-aware</h3>");
    let Some((queue, totals, root)) = &outcome.queue else {
        return html + "<p>Nobody was to be deleveraged; the queue was not run.</p>";
    };
    let both = |what: &str, figure: &dyn Fn(&Forgone) -> String| {
        row(what, [figure(queue), figure(&outcome.risk_aware)])
    };
    let mut rows = [
        both("positions taken from", &|f| f.winners.to_string()),
        both("taken, at the mark", &|f| dollars(f.value)),
        both("profit they had", &|f| dollars(f.profit)),
        both("forgone", &|f| dollars(f.forgone)),
        both("forgone, of profit", &|f| percent(f.forgone / f.profit.max(1.0))),
        both("largest share of one's profit", &|f| percent(f.largest_share)),
        both("largest sum", &|f| dollars(f.largest)),
    ]
    .concat();
    rows += &row("bad debt booked", [dollars(totals.booked), dollars(outcome.totals.booked)]);
    let head = ["", "queue", "risk-aware"].map(String::from);
    html += &table("The same crash, run in either mode", &head, &rows);
    let _ =
        write!(html, "<p class=\"soft\">State root of the queue's run: <code>{root}</code>.</p>");
    html
}

pub(super) fn calibration(cited: &Cited<'_>, outcome: &Outcome<'_>) -> String {
    let s = outcome.scenario;
    let mut at_s = s.start_s % 86_400;
    let mut rows = String::new();
    for phase in &s.phases {
        let from = clock(at_s as f64);
        at_s += phase.minutes * 60;
        let prices = s.markets.iter().map(|m| short(phase.to[&m.name], Unit::Price));
        let shape = match (phase.wick, phase.jump > 0.0) {
            (true, _) => format!("{} in jumps, faster to the end", percent(phase.jump)),
            (false, true) => format!("{} in jumps", percent(phase.jump)),
            (false, false) => "diffusion".into(),
        };
        let step = format!("{} s", phase.step_s);
        let cells: Vec<String> = prices.chain([step, percent(phase.depth), shape]).collect();
        let note = format!("{}{}", escape(&phase.note), cited.marks(&phase.sources));
        let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{from} to {}</th>{cells}<td class=\"text\">{note}</td></tr>",
            clock(at_s as f64),
        );
    }
    let mut head = vec!["UTC".to_string()];
    head.extend(s.markets.iter().map(|market| escape(&market.name)));
    head.extend(["price every", "depth", "way", "what the prices are from"].map(String::from));
    let caption = "Prices at the end of each stretch; how deep the makers' books are, of usual.";
    format!("<h3>Calibration</h3>{}", table(caption, &head, &rows))
}
