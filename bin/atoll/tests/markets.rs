//! `atoll market` and `atoll account` as their users run them, against a venue that trades.

mod common;

use common::{Node, atoll, free_address, last_json};
use serde_json::{Value, json};
use std::process::Output;
use std::time::{Duration, Instant};

const SPEC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../environments/perps.toml");
const AGENT: &str = "development:agent-1";

fn ask(node: &Node, args: &[&str]) -> Output {
    let url = format!("http://{}", node.address);
    atoll().args(args).args(["--url", &url]).output().expect("the binary runs")
}

fn said(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn refused(output: &Output, needles: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{needles:?}");
    for needle in needles {
        assert!(error.contains(needle), "{needle}: {error}");
    }
}

/// A decimal number in units of 10⁻¹⁸.
fn units(value: &Value) -> i128 {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no decimal number"));
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    sign * format!("{whole}{rest:0<18}").parse::<i128>().expect("a decimal number")
}

fn sum(list: &Value, key: &str) -> i128 {
    list.as_array().expect("a list").iter().map(|entry| units(&entry[key])).sum()
}

/// The perps of the repository with every price rule that its file shows.
fn venue(folder: &std::path::Path) -> Node {
    let specs = folder.join("specs");
    std::fs::create_dir(&specs).unwrap();
    let text = std::fs::read_to_string(SPEC).unwrap().replace("#~ ", "");
    std::fs::write(specs.join("perps.toml"), text).unwrap();
    let specs = specs.to_str().unwrap();
    let args = ["--environments", specs, "--hub", "none", "--rate", "100"];
    Node::start(&folder.join("data"), &args)
}

#[test]
fn markets_and_accounts_of_a_trading_venue() {
    let folder = tempfile::tempdir().unwrap();
    let node = venue(folder.path());
    // Until an agent has a position and every perpetual a book.
    let agent = atoll_types::crypto::SigningKey::from_label("agent-1").address();
    let path = format!("/atoll/accounts/{agent:#x}?environment=perps");
    node.eventually_get(&path, |answer| {
        answer["positions"].as_array().is_some_and(|list| !list.is_empty())
    });
    node.eventually_get("/atoll/markets", |answer| {
        let mut markets = answer["markets"].as_array().unwrap().iter().take(3);
        markets.all(|of| !of["bid"].is_null() && !of["ask"].is_null())
    });

    lists(&node);
    shows(&node);
    account(&node, &format!("{agent:#x}"));
    empty_accounts_say_so(&node);
    what_is_not_there_is_told(&node);
}

fn lists(node: &Node) {
    let list = last_json(&ask(node, &["market", "list", "--json"]));
    let markets = list["markets"].as_array().unwrap();
    let (_, meta) = node.post("/info", &json!({ "type": "meta" }));
    let perpetuals = meta["universe"].as_array().unwrap();
    for (market, meta) in markets.iter().zip(perpetuals) {
        assert_eq!(market["name"], meta["name"]);
        assert_eq!(market["leverage_max"], meta["maxLeverage"]);
        assert_eq!(market["product"], "linear perpetual");
        assert_eq!(market["status"]["status"], "open");
        assert!(units(&market["bid"]) < units(&market["ask"]), "{market}");
        assert!(units(&market["mark"]) > 0 && units(&market["oracle"]) > 0, "{market}");
    }
    assert_eq!(markets.last().unwrap()["product"], "spot");
    assert!(markets[0]["funding"]["predicted"].is_string(), "{list}");
    let text = said(&ask(node, &["market", "list"]));
    for market in markets {
        let name = market["name"].as_str().unwrap();
        assert!(text.lines().any(|line| line.trim().starts_with(name)), "{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours in a pipe");
}

fn shows(node: &Node) {
    let market = last_json(&ask(node, &["market", "show", "BTC", "--json"]));
    let of = &market["parameters"];
    for (key, value) in [
        ("tick", "0.1"),
        ("lot", "0.00001"),
        ("price_max", "10000000"),
        ("notional_min", "10"),
        ("initial_margin", "0.025"),
        ("taker_fee", "0.00045"),
    ] {
        assert_eq!(of[key], value, "{key}");
    }
    assert_eq!(of["funding"]["impact_notional"], "20000");
    assert_eq!(of["sanity"]["hold_s"], 30);
    assert_eq!(of["liquidation"]["deleveraging"], "risk-aware");
    let (bids, asks) = (&market["book"]["bids"], &market["book"]["asks"]);
    assert!(units(&bids[0]["price"]) < units(&asks[0]["price"]), "{market}");
    assert_eq!(market["oracle_sources"].as_array().unwrap().len(), 1);
    assert_eq!(units(&market["insurance"]["shortfall"]), 0);
    let text = said(&ask(node, &["market", "show", "BTC"]));
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    for needle in ["tick", "0.1 USDC", "EWMA λ 0.94", "Book", "█", "Funding per hour", "Safety"]
    {
        assert!(text.contains(needle), "{needle}: {text}");
    }
    let spot = said(&ask(node, &["market", "show", "ATOLL/USDC"]));
    assert!(spot.contains("0.01 ATOLL") && !spot.contains("Liquidation"), "{spot}");
}

fn account(node: &Node, agent: &str) {
    let info = |kind: &str| node.post("/info", &json!({ "type": kind, "user": agent })).1;
    // Two questions are of two moments: until nothing changed between them.
    let end = Instant::now() + Duration::from_secs(20);
    let (view, state) = loop {
        let before = info("clearinghouseState");
        let view = last_json(&ask(node, &["account", "show", AGENT, "--json"]));
        let after = info("clearinghouseState");
        if ["marginSummary", "assetPositions"].iter().all(|key| before[key] == after[key]) {
            break (view, after);
        }
        assert!(Instant::now() < end, "the venue never stands still");
    };
    let margin = &view["margin"];
    assert_eq!(margin["equity"], state["marginSummary"]["accountValue"], "{view} {state}");
    assert_eq!(margin["initial"], state["marginSummary"]["totalMarginUsed"]);
    assert_eq!(margin["maintenance"], state["crossMaintenanceMarginUsed"]);
    assert_eq!(margin["withdrawable"], state["withdrawable"]);
    let told = state["assetPositions"].as_array().unwrap();
    let positions = view["positions"].as_array().unwrap();
    assert!(!positions.is_empty() && positions.len() == told.len(), "{view}");
    for (position, told) in positions.iter().zip(told) {
        let told = &told["position"];
        assert_eq!(position["market"], told["coin"]);
        assert_eq!(position["liquidation"], told["liquidationPx"]);
        assert_eq!(position["entry"], told["entryPx"]);
        assert_eq!(units(&position["value"]).abs(), units(&told["positionValue"]));
        let own = units(&position["value"]) - units(&position["cost"]);
        assert_eq!(units(&position["unrealised"]), own - units(&position["funding_due"]));
    }
    // The parts are the whole.
    let unrealised = sum(&view["positions"], "unrealised");
    assert_eq!(units(&margin["unrealised"]), unrealised);
    assert_eq!(sum(&view["collateral"], "value") + unrealised, units(&margin["equity"]));
    let cushion = units(&margin["equity"]) - units(&margin["maintenance"]);
    assert_eq!(units(&margin["cushion"]), cushion);

    let text = said(&ask(node, &["account", "show", agent]));
    for needle in ["Margin of the cross account", "Positions", "cross", "Spot wallet", "ATOLL"] {
        assert!(text.contains(needle), "{needle}: {text}");
    }
}

fn empty_accounts_say_so(node: &Node) {
    let rich = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    let text = said(&ask(node, &["account", "show", rich]));
    for needle in ["no positions", "no open orders", "no agents", "1000000 USDC"] {
        assert!(text.contains(needle), "{needle}: {text}");
    }
    let view = last_json(&ask(node, &["account", "show", rich, "--json"]));
    let body = json!({ "type": "spotClearinghouseState", "user": rich });
    let (_, spot) = node.post("/info", &body);
    assert_eq!(view["spot"][0]["total"], spot["balances"][0]["total"]);
    assert_eq!(view["margin"]["ratio"], "0");
}

fn what_is_not_there_is_told(node: &Node) {
    refused(&ask(node, &["market", "show", "DOGE"]), &["no coin DOGE", "BTC, ETH, SOL"]);
    refused(&ask(node, &["market", "show", "a b?c/d"]), &["no coin a b?c/d"]);
    let other = ["market", "list", "--environment", "perp"];
    refused(&ask(node, &other), &["no environment 'perp'", "perps"]);
    refused(&ask(node, &["account", "show", "0x12"]), &["40 hex digits", "development:NAME"]);
    let nobody = "development:nobody-at-all";
    refused(&ask(node, &["account", "show", nobody]), &["the first deposit opens one"]);
    let (status, answer) = node.get("/atoll/accounts/12");
    assert_eq!((status, &answer["error"]["label"]), (400, &json!("malformed")));
    assert_eq!(node.get("/atoll/markets/DOGE").0, 404);
    assert_eq!(node.get("/atoll/markets?colour=red").0, 400);
    let nowhere = format!("http://{}", free_address());
    let silent = atoll().args(["market", "list", "--url", &nowhere]).output().unwrap();
    refused(&silent, &["start one with `atoll dev`", "--url"]);
}

#[test]
fn a_new_market_is_data() {
    let folder = tempfile::tempdir().unwrap();
    let (spec, from) = (folder.path().join("perps.toml"), folder.path().join("market.toml"));
    let before = std::fs::read_to_string(SPEC).unwrap();
    std::fs::write(&spec, &before).unwrap();
    let market = "name = \"DOGE\"\nproduct = \"perpetual\"\ntick = \"0.00001\"\nlot = \"1\"\n\
        price_max = \"1000\"\norder_size_max = \"50000000\"\nnotional_min = \"10\"\n\
        price_band = \"0.5\"\ninitial_margin = \"0.1\"\nmark_band = \"0.005\"\n\
        maker_fee = \"0.00015\"\ntaker_fee = \"0.00045\"\n";
    std::fs::write(&from, market).unwrap();
    let open = |more: &[&str]| {
        let mut command = atoll();
        command.args(["market", "open", "--spec"]).arg(&spec).arg("--from").arg(&from);
        command.args(more).output().expect("the binary runs")
    };
    let dry = said(&open(&["--dry-run"]));
    for needle in ["[[exchange.markets]]", "Nothing overflows", "Not written", "--reset", "10x"] {
        assert!(dry.contains(needle), "{needle}: {dry}");
    }
    assert_eq!(std::fs::read_to_string(&spec).unwrap(), before, "a dry run writes nothing");

    let done = last_json(&open(&["--json"]));
    assert_eq!((&done["market"], &done["written"]), (&json!("DOGE"), &json!(true)));
    for bound in done["bounds"].as_array().unwrap() {
        assert!(bound["bits"].as_u64() <= bound["bits_max"].as_u64(), "{bound}");
    }
    // The node's own check of the file agrees, hash included.
    let checked = said(&atoll().arg("spec").arg(&spec).output().unwrap());
    assert!(checked.contains(done["spec_hash"].as_str().unwrap()), "{checked} {done}");
    assert_ne!(done["spec_hash"], done["spec_hash_before"]);

    refused(&open(&[]), &["market.toml is not a valid market", "name is DOGE", "unique"]);
    std::fs::write(&from, market.replace("lot = \"1\"", "lot = \"0.01\"").replace("DOGE", "SHIB"))
        .unwrap();
    refused(&open(&[]), &["market.toml", "tick is 1 with lot 1", "whole number"]);
    std::fs::remove_file(&from).unwrap();
    refused(&open(&[]), &["cannot read", "market.toml"]);
}
