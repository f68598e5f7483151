//! `atoll bench exchange` through the binary: every workload small, with every documented key.

mod common;

use common::atoll;
use serde_json::Value;
use std::process::Output;

fn run(args: &[&str]) -> Output {
    atoll().args(["bench", "exchange", "--json"]).args(args).output().expect("the binary runs")
}

fn results(args: &[&str]) -> Vec<Value> {
    let output = run(args);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(text.lines().last().expect("a last line")).unwrap();
    assert_eq!(report["bench"], "exchange");
    report["results"].as_array().expect("results").clone()
}

#[track_caller]
fn positive(value: &Value, keys: &[&str]) {
    for key in keys {
        let found = value.pointer(key).and_then(Value::as_f64);
        assert!(found.is_some_and(|n| n > 0.0), "{key} is {found:?} in {value}");
    }
}

#[test]
fn the_mix_succeeds_nearly_always() {
    let results = results(&[
        "--commands",
        "4000",
        "--accounts",
        "200",
        "--orders",
        "500",
        "--markets",
        "1",
        "--markets",
        "20",
        "--runs",
        "1",
    ]);
    assert_eq!(results.len(), 2);
    for (result, markets) in results.iter().zip([1, 20]) {
        assert_eq!(result["workload"], "mix");
        assert_eq!((&result["markets"], &result["accounts"]), (&markets.into(), &200.into()));
        assert_eq!(result["commands"], 4000);
        let keys = [
            "/commands_per_s",
            "/runs_per_s/0",
            "/positions_per_account",
            "/markets_per_account",
            "/objects_per_command",
            "/bytes_per_command",
        ];
        positive(result, &keys);
        assert!(result["succeeded"].as_f64().unwrap() >= 0.95, "{result}");
        assert!(result["refused"].is_object(), "{result}");
    }
}

#[test]
fn streams_end_the_same_in_the_book_alone_and_in_the_whole_exchange() {
    let results = results(&[
        "--workload",
        "uniform",
        "--workload",
        "exchange-core",
        "--commands",
        "20000",
        "--runs",
        "1",
    ]);
    let names: Vec<&Value> = results.iter().map(|result| &result["workload"]).collect();
    assert_eq!(names, ["uniform", "exchange-core"]);
    for result in &results {
        assert_eq!(result["steps"], 20_000);
        positive(result, &["/resting", "/open_lots", "/trades"]);
        for (engine, name) in [(0, "book"), (1, "exchange")] {
            assert_eq!(result["engines"][engine]["name"], name);
            let keys = ["steps_per_s", "runs_per_s/0", "book_ratio"];
            let keys = keys.map(|key| format!("/engines/{engine}/{key}"));
            positive(result, &keys.each_ref().map(String::as_str));
        }
    }
    // Some thousand orders stay open in the mix, and half of the uniform ones rest.
    assert!((8_000..12_000).contains(&results[0]["resting"].as_u64().unwrap()), "{}", results[0]);
    assert!((800..1_300).contains(&results[1]["resting"].as_u64().unwrap()), "{}", results[1]);
}

#[test]
fn memory_says_what_a_slot_writes() {
    let results = results(&[
        "--workload",
        "memory",
        "--accounts",
        "300",
        "--orders",
        "1000",
        "--markets",
        "10",
        "--commands",
        "500",
    ]);
    let result = &results[0];
    assert_eq!(result["workload"], "memory");
    assert_eq!((&result["accounts"], &result["positions"]), (&300.into(), &900.into()));
    assert_eq!((&result["resting"], &result["commands_per_slot"]), (&1_000.into(), &500.into()));
    let keys = [
        "/objects",
        "/trie_bytes",
        "/built_peak_bytes",
        "/peak_bytes",
        "/objects_per_slot",
        "/bytes_per_slot",
        "/commit_s",
    ];
    positive(result, &keys);
}

#[test]
fn a_peer_that_is_no_peer_is_named() {
    let args = ["--workload", "uniform", "--commands", "100", "--runs", "1", "--peer"];
    for (peer, why) in [("/nowhere/book", "cannot start"), ("/bin/true", "true")] {
        let output = run(&[&args[..], &[peer]].concat());
        assert!(!output.status.success(), "{peer}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(why), "{errors}");
    }
}

#[test]
fn who_can_be_liquidated_is_found_with_few_looks() {
    let args = ["--workload", "marks", "--accounts", "2000", "--markets", "20", "--runs", "1"];
    let results = results(&[&args[..], &["--threads", "2"]].concat());
    let result = &results[0];
    assert_eq!(result["workload"], "marks");
    positive(result, &["/three/bytes", "/many/bytes_per_position", "/fills/fills", "/bytes_after"]);
    for moved in result["moves"].as_array().expect("moves") {
        positive(moved, &["/detect_ms", "/liquidatable", "/looked_at", "/bounds_read"]);
        positive(moved, &["/on_threads/detect_ms"]);
    }
    let one = &result["moves"][0];
    let looks = one["looked_at"].as_f64().unwrap() / one["liquidatable"].as_f64().unwrap();
    assert!(looks <= 4.0, "{one}");
}
