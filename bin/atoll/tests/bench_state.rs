//! `atoll bench state` through the binary: small, and with every documented key.

mod common;

use common::atoll;
use serde_json::Value;

fn bench(args: &[&str]) -> Value {
    let output = atoll().args(["bench", "state", "--json"]).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(text.trim().lines().last().unwrap()).unwrap()
}

#[track_caller]
fn positive(value: &Value, pointers: &[&str]) {
    for pointer in pointers {
        let found = value.pointer(pointer).and_then(Value::as_f64);
        assert!(found.is_some_and(|n| n > 0.0), "{pointer} is {found:?} in {value}");
    }
}

#[test]
fn every_part_reports_its_keys() {
    let report = bench(&["--keys", "20000", "--batch", "1000", "--root-lag", "2500ms"]);
    assert_eq!(report["bench"], "state");
    positive(
        &report["updates"][0],
        &[
            "/keys",
            "/batch",
            "/updates_per_s",
            "/stores/0/updates_per_s",
            "/stores/0/atoll_ratio",
            "/stores/0/runs_per_s/0",
            "/stores/0/build_s",
            "/stores/0/computed_bytes_per_key",
        ],
    );
    positive(
        &report["snapshots"][0],
        &[
            "/keys",
            "/write_s",
            "/merge_s",
            "/merge_changed",
            "/bytes",
            "/bytes_per_key",
            "/restart_s",
            "/restart/verify_s",
            "/restart/read_s",
            "/restart/build_s",
        ],
    );
    positive(
        &report["root_lag"],
        &[
            "/seconds",
            "/accounts",
            "/commands",
            "/orders_per_s",
            "/fills_per_s",
            "/lag_s/p50",
            "/lag_s/p99",
            "/lag_s/max",
            "/lag_s/count",
            "/commit_s/max",
            "/objects",
            "/trie_bytes",
            "/disk_bytes/log",
            "/disk_bytes/snapshots",
            "/disk_bytes/history",
            "/restart_s",
            "/restart_slots",
            "/root_slot",
        ],
    );
    for key in ["held", "held_s"] {
        assert!(report["root_lag"][key].is_number(), "{key} in {report}");
    }
    assert_eq!(report["root_lag"]["refused"], serde_json::json!({}));
}

#[test]
fn one_part_alone_and_a_peer_that_fails() {
    let report = bench(&[
        "--keys",
        "3000",
        "--batch",
        "100",
        "--only",
        "updates",
        "--peer",
        "/nowhere/store",
    ]);
    assert!(report.get("snapshots").is_none() && report.get("root_lag").is_none());
    let stores = report["updates"][0]["stores"].as_array().unwrap();
    let peer = stores.iter().find(|store| store["name"] == "store").unwrap();
    assert!(peer["error"].as_str().unwrap().contains("cannot start"), "{peer}");
}
