//! `atoll market show`.

use super::list::{leverage, status};
use super::table::{NONE, ago, cell, number, pairs, percent, short, table, text as words, time};
use serde_json::Value;
use std::fmt::Write as _;

/// Levels of a side in the picture of the book.
const LEVELS: usize = 8;
/// Columns of its longest bar.
const BAR: f64 = 40.0;
/// Hours of funding that are shown.
const HOURS: usize = 8;

pub(super) fn text(answer: &Value) -> String {
    let name = cell(&answer["name"]);
    let mut out =
        format!("{name}, {} on {}\n", cell(&answer["product"]), cell(&answer["environment"]));
    let listing = &answer["listing"];
    if !listing.is_null() {
        let (lister, bond) = (cell(&listing["lister"]), cell(&listing["bond"]));
        let _ = writeln!(out, "listed by {lister}, who left a bond of which {bond} is there");
    }
    out += &parameters(&name, &answer["parameters"]);
    out += &live(answer);
    out += &book(&answer["book"]);
    if answer["leverage_max"].is_null() {
        return out;
    }
    out += &funding(answer);
    out += &safety(answer);
    out
}

fn fields(value: &Value) -> Vec<(&'static str, String)> {
    let of = |key: &str| cell(&value[key]);
    let part = |key: &str| percent(&value[key]);
    let quote = of("quote");
    let size = match (value["settle"].is_null(), value["base"].is_null()) {
        (false, _) => format!("contracts of {} units of the quote currency", of("face")),
        (true, false) => of("base"),
        (true, true) => "of the base".into(),
    };
    let unit = if value["settle"].is_null() { quote.as_str() } else { "quote currency" };
    let mut rows = vec![
        ("tick", format!("{} {unit}", of("tick"))),
        ("lot", format!("{} {size}", of("lot"))),
        ("highest price", format!("{} {unit}", of("price_max"))),
        ("largest order", format!("{} {size}", of("order_size_max"))),
        (
            "smallest order",
            format!("{} {quote}; orders that only reduce are exempt", of("notional_min")),
        ),
        ("price band", format!("± {} of the mark", part("price_band"))),
        ("maker fee, taker fee", format!("{}, {}", part("maker_fee"), part("taker_fee"))),
    ];
    if value["leverage_max"].is_null() {
        return rows;
    }
    let most = |key: &str, what: &str| match &value[key] {
        Value::Null => "no cap".into(),
        cap => format!("{} {what}", cell(cap)),
    };
    rows.extend([
        ("settled in", quote.clone()),
        ("highest leverage", leverage(&value["leverage_max"])),
        ("initial margin", format!("{} of the value", part("initial_margin"))),
        ("maintenance margin", format!("{} of the value", part("maintenance_margin"))),
        ("open interest", most("open_interest_max", &size)),
        ("one account", most("position_max", &size)),
    ]);
    if value["isolated_only"] == true {
        rows.push(("margin", "isolated only: each position has its own".into()));
    }
    rows
}

/// Every parameter of a market, under its headings.
pub(super) fn parameters(name: &str, value: &Value) -> String {
    let mut out = format!("\nParameters of {name}\n");
    out += &pairs(&fields(value));
    if value["leverage_max"].is_null() {
        return out;
    }
    let tiers = value["tiers"].as_array().map_or(&[][..], Vec::as_slice);
    if !tiers.is_empty() {
        let quote = cell(&value["quote"]);
        let _ = writeln!(out, "\nMargin tiers, by the value of the position in {quote}");
        let columns = [
            number("FROM"),
            number("INITIAL"),
            number("MAINTENANCE"),
            number("DEDUCTION"),
            number("LEVERAGE"),
        ];
        let row = |tier: &Value| {
            vec![
                cell(&tier["lower_bound"]),
                percent(&tier["initial_margin"]),
                percent(&tier["maintenance_margin"]),
                cell(&tier["deduction"]),
                leverage(&tier["leverage_max"]),
            ]
        };
        out += &table(&columns, &tiers.iter().map(row).collect::<Vec<_>>());
    }
    let _ = writeln!(out, "\nPrice rules of {name}");
    out += &pairs(&price_rules(value));
    if !value["liquidation"].is_null() {
        out += "\nLiquidation, in every market alike\n";
        out += &pairs(&liquidation(&value["liquidation"]));
    }
    out
}

fn price_rules(value: &Value) -> Vec<(&'static str, String)> {
    let band = percent(&value["mark_band"]);
    let mark = match value["mark"]["rule"].as_str() {
        Some("robust") => {
            let every = cell(&value["mark"]["interval_ms"]);
            format!("oracle, averaged basis, book, other venues; every {every} ms at least")
        }
        _ => "median of best bid, best ask and last trade".into(),
    };
    let mut rows = vec![("mark", mark), ("mark band", format!("± {band} of the oracle"))];
    let oracle = &value["oracle"];
    if !oracle.is_null() {
        let sources = oracle["weights"].as_array().map_or(0, Vec::len);
        let limit = |key: &str, unit: &str| match oracle[key].as_u64() {
            Some(0) | None => "never".into(),
            Some(value) => format!("after {value} {unit}"),
        };
        let far = match oracle["deviation"].as_str() {
            Some("0") | None => "however far from the others".into(),
            Some(_) => format!("within {} of the others", percent(&oracle["deviation"])),
        };
        rows.extend([
            ("oracle", format!("{sources} sources, weight {} needed, {far}", oracle["quorum"])),
            ("a source is stale", limit("stale_ms", "ms")),
            ("reduce-only without quorum", limit("reduce_only_after_ms", "ms")),
        ]);
    }
    match &value["funding"] {
        Value::Null => rows.push(("funding", "none".into())),
        rules => {
            let impact = format!("{} {}", cell(&rules["impact_notional"]), cell(&value["quote"]));
            let [interest, clamp, cap] =
                ["interest", "clamp", "cap"].map(|key| percent(&rules[key]));
            let rate = format!("interest {interest}, clamp {clamp} per 8 h; cap {cap} per h");
            rows.extend([
                ("funding", format!("every hour, by impact prices of {impact}")),
                ("funding rate", rate),
            ]);
        }
    }
    match &value["volatility"] {
        Value::Null => rows.push(("volatility margin", "none: requirements do not move".into())),
        rules => {
            let [interval, most, grace] =
                ["interval_s", "scale_max", "grace_s"].map(|key| cell(&rules[key]));
            let [above, rise] = ["reference", "rise"].map(|key| percent(&rules[key]));
            let model = model(&rules["model"]);
            rows.extend([
                ("volatility margin", format!("{model}, a sample every {interval} s")),
                (
                    "requirements rise",
                    format!(
                        "above {above}, × {most} at most; maintenance after {grace} s, {rise} per s"
                    ),
                ),
            ]);
        }
    }
    match &value["sanity"] {
        Value::Null => rows.push(("sanity bounds", "none".into())),
        rules => rows.extend([
            (
                "sanity bounds",
                format!(
                    "steps above {} wait {} s, then the mark follows by {} per s",
                    percent(&rules["jump"]),
                    cell(&rules["confirm_s"]),
                    percent(&rules["rate"]),
                ),
            ),
            (
                "outside of them",
                format!(
                    "reduce-only for {} to {} s, auction of {} s, twice as wide for {} s",
                    cell(&rules["hold_s"]),
                    cell(&rules["limit_s"]),
                    cell(&rules["auction_s"]),
                    cell(&rules["wide_s"]),
                ),
            ),
        ]),
    }
    rows
}

fn model(model: &Value) -> String {
    match model["name"].as_str() {
        Some("garch") => format!("GARCH α {} β {}", cell(&model["alpha"]), cell(&model["beta"])),
        _ => format!("EWMA λ {}", cell(&model["lambda"])),
    }
}

fn liquidation(value: &Value) -> Vec<(&'static str, String)> {
    let ms = |key: &str| value[key].as_u64().map_or(NONE.into(), |ms| format!("{} s", ms / 1_000));
    vec![
        (
            "first",
            format!(
                "{} of a position above {}, then all for {}",
                percent(&value["partial"]),
                cell(&value["partial_above"]),
                ms("cooldown_ms"),
            ),
        ),
        (
            "backstop vault",
            match &value["backstop"] {
                Value::Null => "none".into(),
                vault => {
                    format!(
                        "{}, below {} of maintenance",
                        cell(vault),
                        percent(&value["backstop_below"])
                    )
                }
            },
        ),
        (
            "deleveraging",
            format!(
                "{}, a ranking is good for {}",
                cell(&value["deleveraging"]),
                ms("ranking_valid_ms")
            ),
        ),
        ("insurance fund", format!("{} of takers' fees", percent(&value["insurance"]))),
    ]
}

fn live(answer: &Value) -> String {
    let now = &answer["time_ms"];
    let mut out = format!("\nNow ({} UTC)\n", time(now));
    let of = |key: &str| cell(&answer[key]);
    let mut rows = vec![
        ("status", status(&answer["status"], now)),
        ("mark, oracle", format!("{}, {}", of("mark"), of("oracle"))),
        ("best bid, best ask", format!("{}, {}", of("bid"), of("ask"))),
        ("last trade, trades", format!("{}, {}", of("last"), of("trades"))),
    ];
    if !answer["open_interest"].is_null() {
        let scale = &answer["margin_scale"];
        rows.push(("open interest", of("open_interest")));
        let [initial, maintenance] = ["initial", "maintenance"].map(|key| cell(&scale[key]));
        rows.push(("margin scale", format!("initial × {initial}, maintenance × {maintenance}")));
    }
    out += &pairs(&rows);
    let sources = answer["oracle_sources"].as_array().map_or(&[][..], Vec::as_slice);
    if sources.is_empty() {
        return out;
    }
    out += "\nOracle sources\n";
    let columns =
        [words("KEY"), number("WEIGHT"), number("PRICE"), number("EXTERNAL"), words("TOLD")];
    let row = |source: &Value| {
        let mut told = ago(&source["told_ms"], now);
        if source["ignored"] == true {
            told += ", ignored: too far from the others";
        }
        ["key", "weight", "price", "external"]
            .map(|key| cell(&source[key]))
            .into_iter()
            .chain([told])
            .collect()
    };
    out += &table(&columns, &sources.iter().map(row).collect::<Vec<_>>());
    out
}

/// The best levels of both sides, asks above bids, with a bar for each size.
fn book(book: &Value) -> String {
    let side = |key: &str| book[key].as_array().map_or(&[][..], Vec::as_slice);
    let (asks, bids) = (side("asks"), side("bids"));
    let mut out = String::from("\nBook\n");
    if asks.is_empty() && bids.is_empty() {
        return out + "  no orders\n";
    }
    // For the length of bars alone.
    let size = |level: &&Value| level["size"].as_str().and_then(|s| s.parse::<f64>().ok());
    let shown = asks.iter().take(LEVELS).chain(bids.iter().take(LEVELS));
    let most = shown.clone().filter_map(|level| size(&level)).fold(0.0, f64::max);
    let width = |key: &str, least: usize| {
        shown.clone().map(|level| cell(&level[key]).len()).max().unwrap_or(0).max(least)
    };
    let (price, lots, count) = (width("price", 5), width("size", 4), width("orders", 6));
    let _ = writeln!(out, "        {:>price$}  {:>lots$}  {:>count$}", "PRICE", "SIZE", "ORDERS");
    let mut line = |name: &str, level: &Value| {
        let share = size(&level).unwrap_or(0.0) / most.max(f64::MIN_POSITIVE);
        let bar = "█".repeat(((share * BAR).round() as usize).max(1));
        let [a, b, c] = ["price", "size", "orders"].map(|key| cell(&level[key]));
        let _ = writeln!(out, "  {name:<4}  {a:>price$}  {b:>lots$}  {c:>count$}  {bar}");
    };
    for level in asks.iter().take(LEVELS).rev() {
        line("ask", level);
    }
    for level in bids.iter().take(LEVELS) {
        line("bid", level);
    }
    for (name, levels) in [("asks", asks), ("bids", bids)] {
        if levels.is_empty() {
            let _ = writeln!(out, "  no {name}");
        }
    }
    out
}

fn funding(answer: &Value) -> String {
    let (now, funding) = (&answer["time_ms"], &answer["funding"]);
    let mut out = String::from("\nFunding per hour\n");
    if funding.is_null() {
        return out + "  this market has none\n";
    }
    out += &pairs(&[
        ("paid last", percent(&funding["last"])),
        (
            "this hour so far",
            format!("{}, paid {}", percent(&funding["predicted"]), ago(&funding["next_ms"], now)),
        ),
        ("premium", percent(&funding["premium"])),
    ]);
    let paid = answer["funding_history"].as_array().map_or(&[][..], Vec::as_slice);
    if paid.is_empty() {
        return out + "  no payments yet\n";
    }
    out.push('\n');
    let row = |paid: &Value| {
        vec![time(&paid["time_ms"]), percent(&paid["rate"]), percent(&paid["premium"])]
    };
    let columns = [words("PAID (UTC)"), number("RATE"), number("PREMIUM")];
    out + &table(&columns, &paid.iter().take(HOURS).map(row).collect::<Vec<_>>())
}

fn safety(answer: &Value) -> String {
    let fund = &answer["insurance"];
    let asset = cell(&fund["asset"]);
    let mut rows = vec![(
        "insurance fund",
        format!(
            "{} {asset}, shortfall {} {asset}",
            short(&fund["fund"], 2),
            short(&fund["shortfall"], 2)
        ),
    )];
    let vault = &answer["backstop"];
    if !vault.is_null() {
        let [equity, maintenance] = ["equity", "maintenance"].map(|key| short(&vault[key], 2));
        rows.push(("backstop vault", format!("equity {equity}, maintenance {maintenance}")));
    }
    let estates = answer["estates"].as_array().map_or(&[][..], Vec::as_slice);
    if estates.is_empty() {
        rows.push(("estates", "none: no bankrupt position is left".into()));
    }
    for estate in estates {
        let [side, size, cost] = ["side", "size", "cost"].map(|key| cell(&estate[key]));
        rows.push(("estate", format!("{side} {size} at a cost of {cost} {asset}")));
    }
    format!("\nSafety\n{}", pairs(&rows))
}
