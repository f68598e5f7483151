//! Tests of the harness on state tests of our own: what is equal passes, and each thing that can
//! differ is found and named.

use super::args_for;
use super::report::{self, Tally};
use super::run_document;
use crate::evm::input::Document;
use serde_json::{Value, json};

/// Logs its call data, stores 1 into slot 0 and clears slot 2.
const CODE: &str = "0x366000600037366000a06001600055600060025500";
const SENDER: &str = "0x5151515151515151515151515151515151515151";
const CONTRACT: &str = "0xc0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0";

fn example() -> Value {
    json!({ "own": {
        "env": {
            "currentCoinbase": "0x3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e",
            "currentDifficulty": "0x020000",
            "currentRandom": "0x020000",
            "currentGasLimit": "0x0f4240",
            "currentNumber": "0x01",
            "currentTimestamp": "0x03e8",
            "currentBaseFee": "0x0a",
            "currentExcessBlobGas": "0x00"
        },
        "pre": {
            SENDER: { "balance": "0x3b9aca00", "nonce": "0x00", "code": "0x", "storage": {} },
            CONTRACT: {
                "balance": "0x00", "nonce": "0x01", "code": CODE,
                "storage": { "0x02": "0x02", "0x03": "0x03" }
            }
        },
        "transaction": {
            "data": ["0x", "0x0102"],
            "gasLimit": ["0x0186a0", "0x10"],
            "value": ["0x00", "0x:bigint 0x10000000000000000000000000000000000000000000000000000000000000000"],
            "gasPrice": "0x0a",
            "nonce": "0x00",
            "to": CONTRACT,
            "sender": SENDER
        },
        "post": {}
    } })
}

fn post(root: &str, logs: &str, [data, gas, value]: [u32; 3]) -> Value {
    json!({ "hash": root, "logs": logs, "indexes": { "data": data, "gas": gas, "value": value } })
}

fn run(tests: &Value) -> Tally {
    let bytes = tests.to_string().into_bytes();
    let document = Document { name: "folder/own.json".into(), bytes };
    run_document(&document, &args_for(None), None).expect("a file of state tests")
}

/// What is said about one post section.
fn outcome(fork: &str, post: Value) -> Result<(), String> {
    let mut tests = example();
    tests["own"]["post"][fork] = json!([post]);
    let mut tally = run(&tests);
    match tally.failures.pop() {
        Some(failure) => Err(failure.what),
        None => {
            assert_eq!(tally.total().passed, 1);
            Ok(())
        }
    }
}

const LOGS: &str = "0xfbdd8d4afb701c61be1c72fa2d4293390cb7ebfeb71a144f5a5da25cb41c2f2b";
const NO_LOGS: &str = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347";
const FRONTIER: &str = "0xdeeea13f111534080b67c527f724c7a2bb26a3a70d1871f939a76c94c51fe22e";
const BERLIN: &str = "0x0b457d42a15474cc27ef2e4742ffb9775f96f27dcb7b3af931dbedbaa86ecf3c";
const CANCUN: &str = "0x603f64abfba8c1973d90681031671ece55b5a7d08f97f52ac3252f54aec47c67";
const UNTOUCHED: &str = "0x3e8be232756274b5984fb4dfab4a6baa1dd562d25f97cb4525890e61b569a60b";

#[test]
fn roots_and_logs_of_every_fork_are_those_of_the_file() {
    for (fork, root) in [("Frontier", FRONTIER), ("Berlin", BERLIN), ("Cancun", CANCUN)] {
        outcome(fork, post(root, LOGS, [1, 0, 0])).expect(fork);
    }
}

#[test]
fn what_differs_is_said() {
    let said = |fork, post| outcome(fork, post).expect_err("differs");
    let text = said("Cancun", post(BERLIN, LOGS, [1, 0, 0]));
    assert_eq!(text, format!("state root {CANCUN}, expected {BERLIN}"));
    let text = said("Cancun", post(CANCUN, NO_LOGS, [1, 0, 0]));
    assert_eq!(text, format!("logs hash {LOGS}, expected {NO_LOGS}"));
    let text = said("Cancun", post(CANCUN, NO_LOGS, [1, 1, 0]));
    assert!(text.starts_with("was refused: "), "{text}");
    let mut expecting = post(CANCUN, LOGS, [1, 0, 0]);
    expecting["expectException"] = "TransactionException.INTRINSIC_GAS_TOO_LOW".into();
    let text = said("Cancun", expecting);
    assert!(text.starts_with("was executed, must be refused: TransactionException"), "{text}");
    let text = said("Cancun", post(CANCUN, LOGS, [2, 0, 0]));
    assert!(text.ends_with("no data 2"), "{text}");
}

#[test]
fn with_the_whole_state_at_hand_the_first_account_that_differs_is_named() {
    let mut expected = post(BERLIN, LOGS, [1, 0, 0]);
    expected["state"] = json!({
        CONTRACT: {
            "balance": "0x00", "nonce": "0x01", "code": CODE,
            "storage": { "0x00": "0x05", "0x03": "0x03" }
        }
    });
    let text = outcome("Cancun", expected.clone()).expect_err("differs");
    assert!(text.contains("slot 0x0 is 0x1, expected 0x5"), "{text}");
    expected["state"][CONTRACT]["storage"]["0x00"] = "0x01".into();
    let text = outcome("Cancun", expected).expect_err("differs");
    assert!(text.contains(&format!("account {SENDER} exists and should not")), "{text}");
}

#[test]
fn what_must_be_refused_is_refused_and_changes_nothing() {
    for indexes in [[1, 1, 0], [1, 0, 1]] {
        let mut expecting = post(UNTOUCHED, NO_LOGS, indexes);
        expecting["expectException"] = "TransactionException.ANY".into();
        outcome("Cancun", expecting).expect("refused");
    }
}

#[test]
fn forks_are_counted_apart_and_those_not_known_left_out() {
    let mut tests = example();
    for (fork, root) in [("Cancun", CANCUN), ("Berlin", CANCUN), ("Constantinople", CANCUN)] {
        tests["own"]["post"][fork] = json!([post(root, LOGS, [1, 0, 0])]);
    }
    let tally = run(&tests);
    let total = tally.total();
    assert_eq!((total.passed, total.failed, total.left_out), (1, 1, 1));
    let text = report::text(&tally, 1.0, 20);
    for part in [
        "failed: folder/own.json own under Berlin, data 1, gas 0, value 0: state root",
        "left out, 1: Constantinople",
        "1 files, 1 tests: 1 passed, 1 failed, 1 left out",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let json = report::json(&tally, 1.0);
    assert_eq!(json["forks"]["Berlin"], json!({ "passed": 0, "failed": 1, "left_out": 0 }));
    assert_eq!(json["folders"]["folder"]["passed"], 1);
    assert_eq!(json["failures"][0]["indexes"], json!([1, 0, 0]));
}

#[test]
fn what_is_no_state_test_is_an_error_that_names_the_file() {
    let document = Document { name: "a/b.json".into(), bytes: b"{\"x\": {}}".to_vec() };
    let error = run_document(&document, &args_for(None), None).expect_err("no state test");
    let error = format!("{error:#}");
    assert!(error.contains("a/b.json: is not a file of state tests: missing field"), "{error}");
}

#[test]
fn only_what_is_asked_for_is_run() {
    let mut tests = example();
    tests["own"]["post"]["Cancun"] = json!([post(CANCUN, LOGS, [1, 0, 0])]);
    let bytes = tests.to_string().into_bytes();
    let document = Document { name: "folder/own.json".into(), bytes };
    for (only, passed) in [("own.json/ow", 1), ("other", 0)] {
        let tally =
            run_document(&document, &args_for(Some(only)), None).expect("a file of state tests");
        assert_eq!(tally.total().passed, passed);
    }
}
