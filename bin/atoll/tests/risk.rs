//! `atoll risk crash` through the binary: small crashes, their report and their figures.

mod common;

use common::atoll;
use serde_json::Value;
use std::path::Path;
use std::process::Output;

fn run(scenario: &str, out: &Path, args: &[&str]) -> Output {
    let mut command = atoll();
    command.args(["risk", "crash", "--scenario", scenario, "--json", "--out"]).arg(out);
    command.args(args).output().expect("the binary runs")
}

/// The report's page and the scenarios' figures.
fn crash(scenario: &str, args: &[&str]) -> (String, Vec<Value>) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("crash.html");
    let output = run(scenario, &out, args);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(text.lines().last().expect("a last line")).unwrap();
    assert_eq!(report["risk"], "crash");
    let scenarios = report["scenarios"].as_array().expect("scenarios").clone();
    (std::fs::read_to_string(&out).unwrap(), scenarios)
}

fn number(value: &Value, key: &str) -> f64 {
    value.pointer(key).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {key} in {value}"))
}

#[test]
fn a_crash_liquidates_balances_and_is_told_in_full() {
    let (page, scenarios) = crash("2025-10-10", &["--accounts", "1000"]);
    let figures = &scenarios[0];
    assert_eq!(figures["scenario"], "2025-10-10");
    // Everyone insolvent is out, nobody is below zero without it being booked, after every slot.
    assert_eq!(number(figures, "/outstanding"), 0.0);
    assert_eq!(number(figures, "/negative"), 0.0);
    assert_eq!(number(figures, "/audits"), number(figures, "/slots"));
    assert!(number(figures, "/accounts_liquidated") > 300.0, "{figures}");
    for rung in ["book, in part", "book, all", "backstop", "deleveraging"] {
        let steps = &figures["liquidations"][rung]["steps"];
        assert!(steps.as_u64().is_some_and(|steps| steps > 10), "{rung}: {steps}");
    }
    assert!(number(figures, "/fund_paid") > 0.0 && number(figures, "/fund/least") >= 0.0);
    assert!(number(figures, "/bad_debt_booked") >= number(figures, "/bad_debt"));
    // The wicks of altcoins are not believed at once.
    assert!(number(figures, "/halts") >= 1.0 && number(figures, "/auctions") >= 1.0);
    let sui = &figures["markets"][5];
    assert!(number(sui, "/lowest_mark") > number(sui, "/low"), "{sui}");
    // What the engine promises of its risk-aware mode.
    let share = |mode: &str| number(&figures["adl"][mode], "/largest_share");
    assert!(share("risk-aware") <= share("queue"), "{}", figures["adl"]);

    for section in [
        "What crashes do to the venue",
        "Prices",
        "Liquidations, fund and bad debt",
        "Time per slot",
        "Markets and sanity bounds",
        "Deleveraging: queue and risk-aware",
        "Calibration",
        "Sources",
    ] {
        assert!(page.contains(&format!(">{section}</h")), "no section {section:?}");
    }
    assert_eq!(page.matches("<svg").count(), 12, "six markets, five of the ladder, one of time");
    assert_eq!(page.matches("<svg").count(), page.matches("<desc").count());
    assert!(!page.contains("<script") && !page.contains("NaN") && !page.contains("inf"), "plots");
    assert!(page.contains(figures["state_root"].as_str().unwrap()));
}

#[test]
fn the_other_crashes_end_in_order_too() {
    for scenario in ["2020-03-12", "2021-05-19"] {
        let (page, scenarios) = crash(scenario, &["--accounts", "200"]);
        let figures = &scenarios[0];
        assert_eq!(figures["scenario"], scenario);
        assert_eq!(number(figures, "/outstanding"), 0.0, "{figures}");
        assert_eq!(number(figures, "/negative"), 0.0, "{figures}");
        assert_eq!(number(figures, "/audits"), number(figures, "/slots"));
        assert!(number(figures, "/accounts_liquidated") > 50.0, "{figures}");
        assert!(number(figures, "/bad_debt_booked") >= number(figures, "/bad_debt"));
        assert!(page.contains(figures["state_root"].as_str().unwrap()));
    }
}

#[test]
fn the_same_seed_is_the_same_crash() {
    let root = |seed: &str| {
        let (_, scenarios) = crash("2025-10-10", &["--accounts", "200", "--seed", seed]);
        (scenarios[0]["state_root"].clone(), scenarios[0]["queue_state_root"].clone())
    };
    let first = root("5");
    assert_eq!(first, root("5"));
    assert_ne!(first, root("6"));
}

#[test]
fn a_price_of_zero_liquidates_nobody() {
    let (_, scenarios) = crash("glitch", &["--accounts", "1000"]);
    let figures = &scenarios[0];
    assert_eq!(number(figures, "/accounts_liquidated"), 0.0, "{figures}");
    assert_eq!(number(figures, "/outstanding_most"), 0.0);
    // It did happen: zeros were refused, one source was ignored, then both markets stopped.
    assert!(number(figures, "/zero_prices_refused") > 10.0);
    assert_eq!(number(figures, "/sources_ignored"), 2.0);
    assert_eq!(number(figures, "/halts"), 2.0);
    for market in figures["markets"].as_array().unwrap() {
        assert_eq!(number(market, "/not_believed"), 1.0);
        assert!(number(market, "/lowest_mark") > 0.99 * number(market, "/low"), "{market}");
    }
}

#[test]
fn what_cannot_be_done_is_said_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("crash.html");
    let refused = |scenario: &str, out: &Path, args: &[&str], why: &[&str]| {
        let output = run(scenario, out, args);
        assert!(!output.status.success() && output.stdout.is_empty(), "{scenario} {args:?}");
        let errors = String::from_utf8_lossy(&output.stderr);
        why.iter().for_each(|why| assert!(errors.contains(why), "{errors}"));
        // No work was begun.
        assert!(!errors.contains("oracle prices"), "{errors}");
    };
    refused("2008-09-15", &out, &[], &["2008-09-15", "2020-03-12", "glitch", "all"]);
    refused("glitch", &dir.path().join("none/crash.html"), &[], &["none/crash.html", "--out"]);
    refused("glitch", &out, &["--accounts", "99"], &["100"]);
    refused("glitch", &out, &["--accounts", "many"], &["--accounts"]);
    assert!(!out.exists());
}
