//! `atoll bench evm` through the binary: small, with every key that docs/CLI.md names.

mod common;

use common::atoll;
use serde_json::Value;

fn run(args: &[&str]) -> Value {
    let output = atoll().args(["bench", "evm", "--json"]).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(text.trim().lines().last().unwrap()).unwrap()
}

fn positive(report: &Value, pointer: &str) {
    let found = report.pointer(pointer).and_then(Value::as_f64);
    assert!(found.is_some_and(|n| n > 0.0), "{pointer} is {found:?} in {report}");
}

/// What is chosen, and how much gas it uses, follows from the seed.
fn gas(report: &Value) -> Vec<(u64, u64)> {
    let block = |block: &Value| {
        (block["transactions"].as_u64().unwrap(), block["gas_used"].as_u64().unwrap())
    };
    report["workloads"].as_array().unwrap().iter().map(block).collect()
}

const SMALL: [&str; 10] =
    ["--mgas", "20", "--accounts", "200", "--runs", "2", "--threads", "2", "--threads", "3"];

#[test]
fn every_workload_is_measured_in_every_way() {
    let report = run(&[&SMALL[..], &["--cold", "20"]].concat());
    assert_eq!((&report["bench"], &report["mgas"]), (&"evm".into(), &20.into()));
    let names = ["transfers", "erc20", "one-pool", "many-pools"];
    for (part, threads) in [("workloads", [2, 3]), ("cold", [2, 3])] {
        for (at, name) in names.into_iter().enumerate() {
            let block = &report[part][at];
            assert_eq!(block["name"], name);
            for pointer in [
                "/transactions",
                "/gas_used",
                "/reads",
                "/speedup_max",
                "/serial/execute_s",
                "/serial/runs_s/0",
                "/serial/mgas_per_s",
                "/serial/tx_per_s",
                "/parallel/0/execute_s",
                "/parallel/1/runs_s/1",
                "/parallel/1/speedup",
            ] {
                positive(block, pointer);
            }
            for (way, threads) in threads.into_iter().enumerate() {
                assert_eq!(block["parallel"][way]["threads"], threads);
            }
            if part == "workloads" {
                positive(block, "/revm/execute_s");
                positive(block, "/parallel/0/speedup_revm");
            } else {
                // Everything waits for what it reads, one after the other.
                let (reads, serial) = (&block["reads"], &block["serial"]["execute_s"]);
                let waits = reads.as_f64().unwrap() * 20e-6;
                assert!(serial.as_f64().unwrap() > waits, "{block}");
                let executions = block["parallel"][0]["executions"].as_u64();
                assert!(executions >= block["transactions"].as_u64(), "not in parallel: {block}");
            }
        }
    }
    // Independent payments do not hold up one another, swaps on one pool do.
    let at_most = |at: usize| report["workloads"][at]["speedup_max"].as_f64().unwrap();
    assert_eq!(at_most(0).round() as u64, report["workloads"][0]["transactions"].as_u64().unwrap());
    assert!(at_most(2) < 1.5 && at_most(3) > 4.0, "{} {}", at_most(2), at_most(3));
}

#[test]
fn blocks_follow_from_the_seed() {
    let erc20 = ["--workload", "erc20", "--workload", "one-pool", "--cold", "0"];
    let of = |seed: &str| gas(&run(&[&SMALL[..], &erc20, &["--seed", seed]].concat()));
    let one = of("1");
    assert_eq!(one.len(), 2);
    assert_eq!(one, of("1"));
    assert_ne!(one, of("2"));
}

#[test]
fn worst_cases_fill_their_blocks() {
    let report = run(&["--worst", "--mgas", "8", "--runs", "1"]);
    assert_eq!(report["bench"], "evm-worst");
    positive(&report, "/slot_s");
    let cases = report["cases"].as_array().unwrap();
    let names: Vec<&str> = cases.iter().map(|case| case["name"].as_str().unwrap()).collect();
    for wanted in
        ["bn254", "bls12-381", "p256", "ed25519", "modexp", "keccak256", "EXTCODESIZE", "CREATE2"]
    {
        assert!(names.iter().any(|name| name.starts_with(wanted)), "{wanted} in {names:?}");
    }
    for case in cases {
        for pointer in ["/gas_used", "/slots", "/mgas_in_a_slot", "/serial/execute_s"] {
            positive(case, pointer);
        }
        assert!(case["gas_used"].as_u64().unwrap() >= 6_800_000, "{case}");
    }
}

#[test]
fn payments_go_through_json_rpc_into_blocks() {
    let folder = tempfile::tempdir().unwrap();
    for (door, connections) in [("http", "64"), ("websocket", "8")] {
        let report = run(&[
            "--rpc",
            "--rate",
            "100",
            "--for",
            "2s",
            "--connections",
            connections,
            "--door",
            door,
            "--dir",
            folder.path().to_str().unwrap(),
        ]);
        assert_eq!((&report["bench"], &report["door"]), (&"evm-rpc".into(), &door.into()));
        for key in ["offered", "accepted", "included", "accounts"] {
            assert_eq!(report[key], 200, "{key} in {report}");
        }
        for pointer in ["/latency_us/p50", "/latency_us/p99", "/cores/node", "/included_per_s"] {
            positive(&report, pointer);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "left behind");
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    for args in [["--worst", "--rpc"], ["--rate", "5"]] {
        let output = atoll().args(["bench", "evm"]).args(args).output().unwrap();
        assert!(!output.status.success(), "{args:?}");
    }
}
