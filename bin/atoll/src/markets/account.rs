//! `atoll account show`.

use super::table::{Column, ago, cell, number, pairs, percent, short, table, text as words};
use serde_json::Value;

/// Decimals of money in tables; the summary has all of them.
const CENTS: usize = 2;

pub(super) fn text(answer: &Value) -> String {
    let mut out = format!(
        "{} on {}, account {}\n",
        cell(&answer["address"]),
        cell(&answer["environment"]),
        cell(&answer["account"]),
    );
    let now = &answer["time_ms"];
    out += &margin(answer);
    out += &collateral(answer);
    out += &positions(answer);
    out += &orders(answer, now);
    out += &twaps(answer, now);
    let columns = [words("ASSET"), number("TOTAL"), number("HELD BY ORDERS"), number("FREE")];
    out += &section(answer, "spot", "Spot wallet", "no balances", &columns, |of| {
        ["asset", "total", "hold", "available"].map(|key| cell(&of[key])).to_vec()
    });
    let columns = [words("AGENT"), words("ADDRESS"), words("VALID")];
    out +=
        &section(answer, "agents", "Agents", "no agents: only its own key signs", &columns, |of| {
            let valid = match of["valid_until_ms"].as_u64() {
                None | Some(0 | u64::MAX) => "for ever".into(),
                Some(_) => format!("until {}", ago(&of["valid_until_ms"], now)),
            };
            vec![cell(&of["name"]), cell(&of["address"]), valid]
        });
    out
}

/// A list under its heading, or a sentence that it is empty.
fn section(
    answer: &Value,
    key: &str,
    heading: &str,
    empty: &str,
    columns: &[Column],
    row: impl Fn(&Value) -> Vec<String>,
) -> String {
    let list = answer[key].as_array().map_or(&[][..], Vec::as_slice);
    let body = match list {
        [] => format!("  {empty}\n"),
        list => table(columns, &list.iter().map(row).collect::<Vec<_>>()),
    };
    format!("\n{heading}\n{body}")
}

fn margin(answer: &Value) -> String {
    let of = &answer["margin"];
    let asset = cell(&of["asset"]);
    let money = |key: &str| format!("{} {asset}", cell(&of[key]));
    let distances = answer["positions"].as_array().into_iter().flatten();
    // Decimal numbers: only which one is smallest is asked here.
    let number = |of: &Value| of["distance"].as_str().and_then(|text| text.parse::<f64>().ok());
    let nearest = distances
        .filter_map(|of| Some((number(of)?, of)))
        .min_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, of)| {
            format!("{} of the mark, in {}", percent(&of["distance"]), cell(&of["market"]))
        });
    let mut cushion = format!("{} above maintenance", money("cushion"));
    if of["liquidatable"] == true {
        cushion = format!("{}: it can be liquidated", money("cushion"));
    }
    let rows = [
        ("equity", money("equity")),
        ("of it unrealised", money("unrealised")),
        ("positions", money("notional")),
        ("initial requirement", money("initial")),
        ("maintenance requirement", money("maintenance")),
        ("margin ratio", format!("{} (maintenance / equity)", percent(&of["ratio"]))),
        ("withdrawable", money("withdrawable")),
        ("cushion", cushion),
        ("nearest liquidation", nearest.unwrap_or("no price of a single market reaches it".into())),
    ];
    format!("\nMargin of the cross account\n{}", pairs(&rows))
}

fn collateral(answer: &Value) -> String {
    let columns = [
        words("ASSET"),
        number("AMOUNT"),
        number("INTEREST DUE"),
        number("RATE/YEAR"),
        number("HAIRCUT"),
        number("PRICE"),
        number("COUNTS FOR"),
    ];
    section(answer, "collateral", "Collateral", "none", &columns, |of| {
        vec![
            cell(&of["asset"]),
            cell(&of["amount"]),
            cell(&of["interest_due"]),
            percent(&of["borrow_rate"]),
            percent(&of["haircut"]),
            cell(&of["price"]),
            cell(&of["value"]),
        ]
    })
}

fn positions(answer: &Value) -> String {
    let columns = [
        words("MARKET"),
        words("SIDE"),
        number("SIZE"),
        number("ENTRY"),
        number("MARK"),
        number("VALUE"),
        number("PROFIT"),
        number("FUNDING"),
        words("LEVERAGE"),
        number("LIQUID."),
        number("BANKRUPT"),
    ];
    section(answer, "positions", "Positions", "no positions", &columns, |of| {
        vec![
            cell(&of["market"]),
            cell(&of["side"]),
            cell(&of["size"]),
            cell(&of["entry"]),
            cell(&of["mark"]),
            short(&of["value"], CENTS),
            short(&of["unrealised"], CENTS),
            short(&of["funding_due"], CENTS),
            format!("{}x {}", cell(&of["leverage"]), cell(&of["mode"])),
            cell(&of["liquidation"]),
            cell(&of["bankruptcy"]),
        ]
    })
}

fn orders(answer: &Value, now: &Value) -> String {
    let columns = [
        number("ORDER"),
        words("MARKET"),
        words("SIDE"),
        words("TYPE"),
        number("PRICE"),
        number("TRIGGER"),
        number("OPEN"),
        number("OF"),
        words("NOTES"),
    ];
    let mut out = section(answer, "orders", "Open orders", "no open orders", &columns, |of| {
        let mut notes = Vec::new();
        if of["type"] == "limit" && of["tif"] != "Gtc" {
            notes.push(cell(&of["tif"]));
        }
        if of["reduce_only"] == true {
            notes.push("reduce-only".into());
        }
        if of["trigger"]["position"] == true {
            notes.push("of the position".into());
        }
        if of["trigger"]["state"].as_str().is_some_and(|state| state != "armed") {
            notes.push(cell(&of["trigger"]["state"]));
        }
        if !of["hidden"].is_null() {
            notes.push(format!("{} hidden", cell(&of["hidden"])));
        }
        if !of["expires_ms"].is_null() {
            notes.push(format!("expires {}", ago(&of["expires_ms"], now)));
        }
        vec![
            cell(&of["order"]),
            cell(&of["market"]),
            cell(&of["side"]),
            cell(&of["type"]),
            cell(&of["price"]),
            cell(&of["trigger"]["price"]),
            cell(&of["remaining"]),
            cell(&of["size"]),
            notes.join(", "),
        ]
    });
    if !answer["scheduled_cancel_ms"].is_null() {
        out += &format!("  all are cancelled {}\n", ago(&answer["scheduled_cancel_ms"], now));
    }
    out
}

fn twaps(answer: &Value, now: &Value) -> String {
    if answer["twaps"].as_array().is_none_or(Vec::is_empty) {
        return String::new();
    }
    let columns = [
        number("TWAP"),
        words("MARKET"),
        words("SIDE"),
        number("SIZE"),
        number("FILLED"),
        number("AVERAGE"),
        words("ENDS"),
    ];
    section(answer, "twaps", "TWAPs", "none", &columns, |of| {
        let mut row: Vec<String> = ["twap", "market", "side", "size", "filled", "average"]
            .map(|key| cell(&of[key]))
            .to_vec();
        row.push(ago(&of["ends_ms"], now));
        row
    })
}
