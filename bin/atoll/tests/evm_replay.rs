//! `atoll evm replay` through the binary, in parallel and with what depends on what, on a block of our own.

mod common;

use common::atoll;
use serde_json::{Value, json};
use std::process::Output;

/// Adds one to slot 0 if there is call data, else to the slot that has the caller's number.
const CODE: &str = "0x36153302805460010190550000";
const CONTRACT: &str = "0xc0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0";
const SENDERS: u64 = 40;
/// What a call uses without call data and without the write: 21,000, and the instructions before it.
const CALL_GAS: u64 = 21_000 + 2 + 3 + 2 + 5 + 3 + 200 + 3 + 3 + 3;
/// A byte of call data that is not zero.
const DATA_GAS: u64 = 68;
/// A write to an empty slot, and to another one.
const FILL_GAS: u64 = 20_000;
const CHANGE_GAS: u64 = 5_000;
/// Every other sender counts in slot 0.
const COUNTERS: u64 = SENDERS / 2;
const COUNTERS_GAS: u64 = COUNTERS * (CALL_GAS + DATA_GAS) + FILL_GAS + (COUNTERS - 1) * CHANGE_GAS;
const GAS: u64 = COUNTERS_GAS + (SENDERS - COUNTERS) * (CALL_GAS + FILL_GAS);

fn sender(index: u64) -> String {
    format!("0x51515151515151515151515151515151{:08x}", index + 1)
}

/// A block from before Byzantium, whose receipts have no root that a record could be held against.
fn record(gas_used: u64) -> Value {
    let zero = format!("0x{}", "0".repeat(64));
    let transaction = |index: u64| {
        json!({
            "nonce": 0, "from": sender(index), "to": CONTRACT, "value": 0, "gas": 200_000,
            "gasPrice": 1, "input": if index.is_multiple_of(2) { "0x01" } else { "0x" },
        })
    };
    let mut state = json!({ CONTRACT: { "balance": 0, "nonce": 0, "code": CODE } });
    for index in 0..SENDERS {
        state[sender(index)] = json!({ "balance": "1000000000", "nonce": 0 });
    }
    json!({
        "block": {
            "number": 3_000_000, "timestamp": 1_484_475_035, "parentHash": zero, "difficulty": 1,
            "miner": "0x3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e", "gasLimit": 10_000_000,
            "gasUsed": gas_used, "receiptsRoot": zero,
            "logsBloom": format!("0x{}", "0".repeat(512)),
            "transactions": (0..SENDERS).map(transaction).collect::<Vec<_>>(),
        },
        "pre_state": state,
    })
}

fn replay(record: &Value, args: &[&str]) -> (Output, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.json");
    std::fs::write(&file, record.to_string()).unwrap();
    let output = atoll().args(["evm", "replay", "--json"]).arg(&file).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().last().unwrap_or_else(|| panic!("nothing is said: {errors}"));
    let report = serde_json::from_str(last).unwrap_or_else(|_| panic!("{text}{errors}"));
    (output, report)
}

#[test]
fn a_block_is_executed_in_parallel_and_by_revm_alone() {
    let (output, report) = replay(&record(GAS), &["--threads", "2", "--runs", "3"]);
    assert!(output.status.success(), "{report}");
    let block = &report["blocks"][0];
    assert_eq!((&block["gas_used"], &block["differences"]), (&GAS.into(), &json!([])));
    let parallel = &block["parallel"];
    for runs in ["runs_s", "revm_runs_s"] {
        assert_eq!(parallel[runs].as_array().unwrap().len(), 3, "{runs} in {parallel}");
    }
    let count = |key: &str| parallel[key].as_u64().unwrap();
    assert!((1..=SENDERS).contains(&count("settled")), "{parallel}");
    assert!(count("executions") >= count("settled"), "{parallel}");
    let ratio = |key: &str| parallel[key].as_f64().unwrap();
    let median = ratio("execute_s");
    assert!((ratio("speedup_revm") - ratio("revm_s") / median).abs() < 1e-9, "{parallel}");
    let serial = block["execute_s"].as_f64().unwrap();
    assert!((ratio("speedup") - serial / median).abs() < 1e-9, "{parallel}");
    assert_eq!(report["parallel"]["threads"], 2);
    let (_, serially) = replay(&record(GAS), &[]);
    assert_eq!(serially["blocks"][0]["parallel"], Value::Null);
}

#[test]
fn conflicts_name_the_slot_and_the_chain() {
    let (output, report) = replay(&record(GAS), &["--conflicts"]);
    assert!(output.status.success(), "{report}");
    let found = &report["blocks"][0]["conflicts"];
    let counters: Vec<u64> = (0..SENDERS).filter(|index| index.is_multiple_of(2)).collect();
    assert_eq!(found["chain"], json!(counters));
    let most = GAS as f64 / COUNTERS_GAS as f64;
    assert!((found["speedup_max"].as_f64().unwrap() - most).abs() < 1e-9, "{found}");
    let keys = found["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1, "{found}");
    let key = keys[0]["key"].as_str().unwrap().to_lowercase();
    assert_eq!(key, format!("{CONTRACT} slot 0x0"));
    assert_eq!(keys[0]["readers"], json!(counters[1..]));
    assert_eq!(keys[0]["writers"], json!(counters[..counters.len() - 1]));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("20 of 40 transactions must follow one another"), "{text}");
}

#[test]
fn a_header_that_says_something_else_fails_the_command() {
    let (output, report) = replay(&record(GAS + 1), &["--threads", "2"]);
    assert!(!output.status.success());
    let said = report["blocks"][0]["differences"][0].as_str().unwrap();
    assert!(said.contains(&GAS.to_string()) && said.contains("gas used"), "{said}");
}
