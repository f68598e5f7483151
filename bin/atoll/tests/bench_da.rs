//! `atoll bench da` through the binary: small, and with every documented key.

mod common;

use common::atoll;
use serde_json::Value;

#[test]
fn every_part_reports_its_keys() {
    let small = ["--width", "16", "--runs", "1", "--rate", "1000", "--orders", "1500"];
    let output = atoll().args(["bench", "da", "--json"]).args(small).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(text.trim().lines().last().unwrap()).unwrap();
    assert_eq!(report["bench"], "da");
    for pointer in [
        "/squares/width",
        "/squares/bytes",
        "/squares/extend_s",
        "/squares/extend_runs_s/0",
        "/squares/extend_two_threads_s",
        "/squares/samples_verified_per_s",
        "/squares/sample_bytes",
        "/squares/rebuild_s/scattered",
        "/squares/rebuild_s/quadrant",
        "/squares/namespace/prove_s",
        "/squares/namespace/verify_s",
        "/squares/namespace/bytes",
        "/orders/0/rate_per_s",
        "/orders/0/orders",
        "/orders/0/slots",
        "/orders/0/spans",
        "/orders/0/bytes_per_order/transaction",
        "/orders/0/bytes_per_order/published",
        "/orders/0/bytes_per_order/headers",
        "/orders/0/bytes_per_order/compressed",
        "/orders/0/bytes_per_s",
        "/orders/0/squares_per_s",
        "/orders/0/blobs_per_s",
        "/orders/0/blobs_per_ethereum_block",
    ] {
        let found = report.pointer(pointer).and_then(Value::as_f64);
        assert!(found.is_some_and(|n| n > 0.0), "{pointer} is {found:?} in {report}");
    }
    let bytes = &report["orders"][0]["bytes_per_order"];
    let of = |name: &str| bytes[name].as_f64().unwrap();
    // A signature alone is 65 bytes, and nothing compresses it.
    assert!(of("compressed") > 65.0 && of("compressed") < of("transaction"), "{bytes}");
    assert!(of("transaction") < of("published"), "{bytes}");
}
