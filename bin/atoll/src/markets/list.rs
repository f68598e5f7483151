//! `atoll market list`.

use super::table::{NONE, ago, cell, number, percent, table, text as words};
use serde_json::Value;
use std::fmt::Write as _;

pub(super) fn text(answer: &Value) -> String {
    let markets = answer["markets"].as_array().map_or(&[][..], Vec::as_slice);
    let mut out = format!(
        "{}: {} markets; prices in each market's quote, funding per hour\n\n",
        cell(&answer["environment"]),
        markets.len(),
    );
    let columns = [
        words("MARKET"),
        words("PRODUCT"),
        words("STATUS"),
        number("MARK"),
        number("ORACLE"),
        number("BID"),
        number("ASK"),
        number("OPEN INT"),
        number("PAID"),
        number("NEXT"),
        number("LEV"),
        words("LISTED BY"),
    ];
    let row = |market: &Value| {
        let rate = |key: &str| percent(&market["funding"][key]).replace(' ', "");
        vec![
            cell(&market["name"]),
            cell(&market["product"]).replace(" perpetual", ""),
            cell(&market["status"]["status"]),
            cell(&market["mark"]),
            cell(&market["oracle"]),
            cell(&market["bid"]),
            cell(&market["ask"]),
            cell(&market["open_interest"]),
            rate("last"),
            rate("predicted"),
            leverage(&market["leverage_max"]),
            cell(&market["listing"]["lister"]),
        ]
    };
    let rows: Vec<_> = markets.iter().map(row).collect();
    out += &table(&columns, &rows);
    let now = &answer["time_ms"];
    for market in markets.iter().filter(|market| !market["status"]["reason"].is_null()) {
        // Writing to a string does not fail.
        let _ = writeln!(out, "\n  {}: {}", cell(&market["name"]), status(&market["status"], now));
    }
    out
}

/// A status with its reason and its times.
pub(super) fn status(status: &Value, now: &Value) -> String {
    let mut out = cell(&status["status"]);
    for (key, before) in [("reason", ": "), ("since_ms", ", since "), ("until_ms", ", until ")] {
        let value = &status[key];
        if !value.is_null() {
            out += before;
            out += &if key == "reason" { cell(value) } else { ago(value, now) };
        }
    }
    out
}

pub(super) fn leverage(value: &Value) -> String {
    if value.is_null() { NONE.into() } else { format!("{value}x") }
}
