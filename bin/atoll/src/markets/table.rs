//! Plain tables for a terminal: aligned columns, no colour, readable at a hundred columns.

use serde_json::Value;
use std::fmt::Write as _;

/// Columns of a terminal that tables are made for.
const WIDTH: usize = 100;

/// What stands where there is nothing.
pub(crate) const NONE: &str = "-";

/// A column's heading, and whether it holds numbers.
pub(crate) type Column = (&'static str, bool);

/// A text column.
pub(crate) const fn text(heading: &'static str) -> Column {
    (heading, false)
}

/// A column of numbers, aligned right.
pub(crate) const fn number(heading: &'static str) -> Column {
    (heading, true)
}

/// Lays out rows under their headings: two spaces apart, one where that would be too wide.
pub(crate) fn table(columns: &[Column], rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain([columns[at].0.chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let wide = widths.iter().sum::<usize>() + 2 * widths.len() > WIDTH;
    let gap = if wide { " " } else { "  " };
    let headings = columns.iter().map(|(heading, _)| heading.to_string()).collect();
    let mut out = String::new();
    for row in std::iter::once(&headings).chain(rows) {
        let cells =
            row.iter().zip(&widths).zip(columns).map(|((cell, &width), (_, right))| match right {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            });
        let line = cells.collect::<Vec<_>>().join(gap);
        out += gap;
        out += line.trim_end();
        out.push('\n');
    }
    out
}

/// Names and values below one another.
pub(crate) fn pairs(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    rows.iter().fold(String::new(), |mut out, (name, value)| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "  {name:<width$}  {value}");
        out
    })
}

/// A field as it is told: text and numbers as they are, nothing as [`NONE`].
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => NONE.into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A decimal number cut to so many decimals, for display.
pub(crate) fn short(value: &Value, decimals: usize) -> String {
    let text = cell(value);
    let Some((whole, rest)) = text.split_once('.') else { return text };
    let rest: String = rest.chars().take(decimals).collect();
    let rest = rest.trim_end_matches('0');
    match (whole, rest) {
        ("-0", "") => "0".into(),
        (whole, "") => whole.into(),
        (whole, rest) => format!("{whole}.{rest}"),
    }
}

/// A fraction as a percentage, cut to five decimals.
pub(crate) fn percent(value: &Value) -> String {
    let Some(text) = value.as_str() else { return NONE.into() };
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = format!("{fraction:0<2}");
    let (up, rest) = fraction.split_at(2);
    let whole = format!("{whole}{up}");
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let shown = short(&format!("{sign}{whole}.{rest}").into(), 5);
    format!("{shown} %")
}

/// A time of chain, in UTC.
pub(crate) fn time(value: &Value) -> String {
    let Some(ms) = value.as_u64() else { return NONE.into() };
    let (days, second) = (ms / 86_400_000, ms / 1_000 % 86_400);
    // Days to a date: eras of 400 years from 1 March 0000 (Howard Hinnant, "chrono-Compatible
    // Low-Level Date Algorithms").
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + later;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// How long ago a time was, or how far ahead it is.
pub(crate) fn ago(value: &Value, now: &Value) -> String {
    let (Some(at), Some(now)) = (value.as_u64(), now.as_u64()) else { return NONE.into() };
    let seconds = at.abs_diff(now) / 1_000;
    let length = match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    };
    if at > now && seconds > 0 { format!("in {length}") } else { format!("{length} ago") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_cut_and_never_made_up() {
        assert_eq!(short(&json!("-0.001"), 2), "0");
        assert_eq!(short(&json!("12.3456"), 2), "12.34");
        assert_eq!(short(&json!("12.50"), 2), "12.5");
        assert_eq!(short(&Value::Null, 2), NONE);
        assert_eq!(percent(&json!("0.0000125")), "0.00125 %");
        assert_eq!(percent(&json!("0.5")), "50 %");
        assert_eq!(percent(&json!("-0.025")), "-2.5 %");
        assert_eq!(percent(&json!("12")), "1200 %");
    }

    #[test]
    fn times_are_dates() {
        assert_eq!(time(&json!(0)), "1970-01-01 00:00:00");
        assert_eq!(time(&json!(951_782_400_000u64)), "2000-02-29 00:00:00");
        assert_eq!(time(&json!(1_763_737_385_000u64)), "2025-11-21 15:03:05");
        assert_eq!(ago(&json!(1_000), &json!(61_000)), "60 s ago");
        assert_eq!(ago(&json!(7_300_000), &json!(100_000)), "in 2 h");
    }

    #[test]
    fn columns_are_aligned_and_squeezed_when_they_are_wide() {
        let rows = [vec!["BTC".into(), "1.5".into()], vec!["E".into(), "22".into()]];
        let plain = table(&[text("NAME"), number("SIZE")], &rows);
        assert_eq!(plain, "  NAME  SIZE\n  BTC    1.5\n  E       22\n");
        let rows = [vec!["x".repeat(60), "1".repeat(38)]];
        let wide = table(&[text("A"), number("B")], &rows);
        assert!(wide.lines().all(|line| line.len() <= 100), "{wide}");
    }
}
