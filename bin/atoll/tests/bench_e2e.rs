//! `atoll bench e2e` through the binary, with the keys that docs/CLI.md names.

mod common;

use common::atoll;
use serde_json::Value;

fn run(args: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let output = atoll()
        .args(["bench", "e2e", "--json", "--dir"])
        .arg(folder.path())
        .args(args)
        .output()
        .expect("the binary runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "the network's folder is left behind");
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().expect("a last line");
    serde_json::from_str(last).expect("one JSON object on the last line")
}

#[test]
fn orders_go_through_both_doors() {
    let report = run(&["--rate", "200", "--for", "2s", "--connections", "8"]);
    assert_eq!(report["bench"], "e2e");
    assert_eq!(report["rate"], 200);
    assert_eq!(report["connections"], 8);
    assert!(report["accounts"].as_u64().unwrap() > 0 && report["cores"].as_u64().unwrap() > 0);
    for door in ["http", "websocket"] {
        let door = &report["doors"][door];
        let count = |key: &str| door[key].as_u64().unwrap_or_else(|| panic!("{key} in {door}"));
        assert_eq!(count("offered"), 400, "{door}");
        assert_eq!(count("answered"), 400, "{door}");
        assert_eq!(count("unanswered"), 0, "{door}");
        assert!(count("accepted") >= 380, "{door}");
        let rate = |key: &str| door[key].as_f64().unwrap_or_else(|| panic!("{key} in {door}"));
        assert!((100.0..400.0).contains(&rate("offered_per_s")), "{door}");
        assert!(rate("answered_per_s") > 20.0, "{door}");
        // The last answer comes after the last send.
        assert!(rate("answered_per_s") < rate("offered_per_s"), "{door}");
        assert!(door["refused"].is_object(), "{door}");
        let latency = |key: &str| door["latency_us"][key].as_u64().unwrap();
        // Nothing is confirmed before it was sent, nor without a look at its signature.
        assert!(latency("p50") > 20, "{door}");
        assert!(latency("p50") <= latency("p99") && latency("p99") <= latency("p999"), "{door}");
        assert!(latency("p999") <= latency("max"), "{door}");
        for key in ["p50", "p99", "max"] {
            assert!(door["late_us"][key].is_u64(), "{door}");
        }
        assert!(door["cores"]["generator"].as_f64().unwrap() > 0.0, "{door}");
        assert!(door["cores"]["node"].as_f64().unwrap() > 0.0, "{door}");
    }
}

#[test]
fn a_rate_that_makes_no_sense_is_refused_with_what_was_expected() {
    let output = atoll().args(["bench", "e2e", "--rate", "0"]).output().expect("the binary runs");
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("or max"), "{errors}");
}
