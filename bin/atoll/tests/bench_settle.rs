//! `atoll bench settle` through the binary, with the keys that docs/CLI.md names.

mod common;

use common::{atoll, last_json};

#[test]
fn settlement_is_timed_and_its_gas_counted() {
    let folder = tempfile::tempdir().unwrap();
    let output = atoll()
        .args(["bench", "settle", "--json", "--commitments", "1", "--rate", "50", "--dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    let report = last_json(&output);
    assert_eq!(report["bench"], "settle");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let times = &report["times_ms"];
    let time = |name: &str| times[name].as_f64().unwrap();
    assert!(time("made") < time("anchored") && time("anchored") < time("settled"), "{times}");
    // The contracts' clock counts whole seconds, so the first second of the window may be a short one.
    assert!(time("settled") > time("challenge_window") - 1_000.0, "{times}");
    for call in ["deposit_eth", "deposit_erc20", "claim_eth", "claim_erc20", "force"] {
        let gas = report["calls"][call].as_u64().unwrap();
        assert!((50_000..400_000).contains(&gas), "{call}: {gas}");
    }
    let commitments = &report["commitments"];
    let gas = |name: &str| commitments[name].as_u64().unwrap();
    assert!(gas("anchor") < gas("anchor_with_transfers"), "{commitments}");
    assert!(gas("settle") < gas("settle_with_transfers"), "{commitments}");
    let rows = report["per_order"].as_array().unwrap();
    let total = gas("anchor_with_transfers") + gas("settle_with_transfers");
    assert_eq!(rows[0]["gas"], total);
    assert_eq!(rows[0]["gas_per_order"].as_f64().unwrap(), total as f64 / 5_000.0);
}
