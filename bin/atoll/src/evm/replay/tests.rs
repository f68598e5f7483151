//! Tests of the harness on blocks of our own: what is equal passes, and each thing that can differ or
//! be missing is found and named.

use super::execute::{self, Replayed, Ways};
use super::format::Recorded;
use super::{replay, report};
use crate::evm::input::Document;
use alloy_primitives::{Bloom, BloomInput};
use serde_json::{Value, json};

const SENDER: &str = "0x5151515151515151515151515151515151515151";
/// Logs the hash of the block whose number is its call data.
const CONTRACT: &str = "0xc0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0";
const CODE: &str = "0x6000354060005260206000a000";
const PARENT: &str = "0x2929292929292929292929292929292929292929292929292929292929292929";

fn transaction(index: u64, asks_for: u64) -> Value {
    json!({
        "type": "0x2", "chainId": "0x1", "nonce": format!("{index:#x}"), "from": SENDER,
        "to": CONTRACT, "value": "0x0", "gas": "0x186a0", "input": format!("0x{asks_for:064x}"),
        "gasPrice": "0xb", "maxFeePerGas": "0x14", "maxPriorityFeePerGas": "0x1",
        "accessList": [{ "address": CONTRACT, "storageKeys": [PARENT] }], "v": "0x0"
    })
}

/// A block of the time of Cancun.
fn cancun() -> Value {
    json!({
        "block": {
            "number": "0x1312d00", "timestamp": "0x6669b1ff", "parentHash": PARENT,
            "miner": "0x3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e", "difficulty": "0x0",
            "gasLimit": "0x1c9c380", "gasUsed": "0xcc48", "mixHash": PARENT,
            "baseFeePerGas": "0xa", "excessBlobGas": "0x0", "blobGasUsed": "0x0",
            "parentBeaconBlockRoot": PARENT,
            "receiptsRoot": "0xd51f3ed5e6d440a8c5e3234a4e6ddd24292f1bde3beaa0901646a3d347b03cd5",
            "logsBloom": logs_bloom(),
            "withdrawals": [{ "index": "0x1", "validatorIndex": "0x1", "address": SENDER, "amount": "0x1" }],
            "transactions": [transaction(0, 19_999_999), transaction(1, 19_999_999)]
        },
        "pre_state": {
            SENDER: { "balance": "0x3b9aca00", "nonce": 0, "storage": {} },
            CONTRACT: { "balance": "0x0", "nonce": 1, "code": CODE, "storage": {} }
        }
    })
}

/// The bloom filter of a log without topics: of the contract's address.
fn logs_bloom() -> String {
    let contract = [0xc0; 20];
    Bloom::from(BloomInput::Raw(&contract)).to_string()
}

fn run(record: &Value) -> anyhow::Result<Replayed> {
    run_with(record, Ways { runs: 3, ..Ways::default() })
}

fn run_with(record: &Value, mut ways: Ways) -> anyhow::Result<Replayed> {
    let bytes = record.to_string().into_bytes();
    replay(&Document { name: "blocks/own.json".into(), bytes }, &mut ways)
}

#[test]
fn gas_and_roots_of_a_block_are_those_of_its_header() {
    let replayed = run(&cancun()).expect("executed");
    assert_eq!(replayed.differences, Vec::<String>::new());
    assert_eq!((replayed.receipts_root_equal, replayed.times.len()), (Some(true), 3));
    let line = report::line(&replayed);
    assert!(line.contains("Cancun") && line.contains("equal     equal"), "{line}");
    let json = report::json(&[replayed], &[], None);
    assert_eq!((&json["equal"], &json["differ"]), (&json!(1), &json!(0)));
    assert_eq!(json["blocks"][0]["gas_used"], json!(0xcc48));
}

#[test]
fn what_differs_from_the_header_is_named() {
    let cases = [
        ("gasUsed", json!("0x5209"), "gas used 52296, the header has 21001"),
        ("receiptsRoot", json!(PARENT), "the header has 0x2929"),
        ("logsBloom", json!(format!("0x{}", "0".repeat(512))), "logs bloom with hash 0x"),
        ("blobGasUsed", json!("0x20000"), "blob gas used 0, the header has 131072"),
    ];
    for (field, value, expected) in cases {
        let mut record = cancun();
        record["block"][field] = value;
        let replayed = run(&record).expect("executed");
        assert_eq!(replayed.differences.len(), 1, "{:?}", replayed.differences);
        assert!(replayed.differences[0].contains(expected), "{:?}", replayed.differences);
    }
}

#[test]
fn a_block_runs_under_the_rules_of_its_height() {
    let mut record = cancun();
    record["block"]["number"] = "0xb443".into();
    record["block"]["transactions"] = json!([{
        "nonce": "0x0", "from": SENDER, "to": CONTRACT, "value": "0x0", "gas": "0x186a0",
        "gasPrice": "0x1", "input": format!("0x{:064x}", 0xb442)
    }]);
    let replayed = run(&record).expect("executed");
    // No base fee, cheap opcodes, and receipts that hold state roots.
    assert_eq!((replayed.gas_used, replayed.receipts_root_equal), (FRONTIER_GAS, None));
    record["block"]["transactions"] = json!([transaction(0, 1)]);
    let error = format!("{:#}", run(&record).expect_err("type 2 on Frontier"));
    assert!(error.contains("transaction 0: ") && error.contains("1559"), "{error}");
}

/// 21,000; 30 zero bytes at 4 and two others at 68; BLOCKHASH at 20; a log of 32 bytes at 375 and 8 a
/// byte; what else there is at 3 each.
const FRONTIER_GAS: u64 = 21_000 + 256 + 20 + 631 + 21;

#[test]
fn a_hash_that_the_record_leaves_out_is_stood_in_for_and_named() {
    let mut record = cancun();
    record["block"]["transactions"][1] = transaction(1, 19_999_998);
    let replayed = run(&record).expect("executed");
    assert_eq!(replayed.hashes_left_out, [19_999_998]);
    // The contract logs the hash, so the receipts cannot be the header's.
    let last = replayed.differences.last().expect("the receipts differ");
    assert!(last.contains("[19999998]") && last.contains("block_hashes"), "{last}");
    // Given the same hash for it as the parent's, everything is as if that had been asked for.
    record["block_hashes"] = json!({ "19999998": PARENT });
    let replayed = run(&record).expect("executed");
    assert_eq!((replayed.differences.len(), replayed.hashes_left_out.len()), (0, 0));
    // In a file beside the record it does as well.
    record["block_hashes"] = json!({});
    let hashes = json!({ "19999998": PARENT });
    let hashes = serde_json::from_value(hashes).expect("hashes");
    let replayed = run_with(&record, Ways { runs: 1, hashes, ..Ways::default() });
    let replayed = replayed.expect("executed");
    assert_eq!((replayed.differences.len(), replayed.hashes_left_out.len()), (0, 0));
    // What nothing depends on only needs saying.
    record["block_hashes"] = json!({});
    record["pre_state"][CONTRACT]["code"] = "0x6000354050".into();
    let gas = run(&record).expect("executed").gas_used;
    record["block"]["gasUsed"] = gas.into();
    record["block"]["logsBloom"] = format!("0x{}", "0".repeat(512)).into();
    record["block"]["receiptsRoot"] =
        "0x86da02632dac7af143d1f554aca1327df8ce5df7e11ffa60b6ad74f8cee14bbb".into();
    let replayed = run(&record).expect("executed");
    assert_eq!(replayed.differences, Vec::<String>::new());
    let remarks = report::remarks(&replayed);
    assert!(remarks.len() == 1 && remarks[0].contains("[19999998]"), "{remarks:?}");
}

#[test]
fn what_is_missing_in_a_record_is_named() {
    for (field, expected) in [
        ("parentBeaconBlockRoot", "parentBeaconBlockRoot is missing"),
        ("excessBlobGas", "excessBlobGas is missing"),
        ("baseFeePerGas", "baseFeePerGas is missing"),
        ("mixHash", "mixHash is missing"),
        ("receiptsRoot", "missing field `receiptsRoot`"),
    ] {
        let mut record = cancun();
        record["block"].as_object_mut().expect("an object").remove(field);
        let error = format!("{:#}", run(&record).expect_err(field));
        assert!(error.starts_with("blocks/own.json: "), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    let mut record = cancun();
    record["pre_state"].as_object_mut().expect("an object").remove(SENDER);
    let error = format!("{:#}", run(&record).expect_err("no money"));
    assert!(error.contains("is the record's \"pre_state\" complete?"), "{error}");
    record["block"]["transactions"] = json!([PARENT]);
    let error = format!("{:#}", run(&record).expect_err("hashes alone"));
    assert!(error.contains("with full transactions"), "{error}");
}

#[test]
fn system_calls_write_where_the_contract_is() {
    // Stores its call data into slot 0; anybody may call it.
    let roots = "0x000f3df6d732807ef1319fb7b8bb8522d0beac02";
    let mut record = cancun();
    record["pre_state"][roots] = json!({ "balance": "0x0", "nonce": 1, "code": "0x600035600055" });
    let recorded: Recorded = serde_json::from_value(record).expect("a record");
    let slots = execute::opened(&recorded).expect("opened");
    assert_eq!(slots.len(), 1, "{slots:?}");
    assert_eq!(format!("{:#066x}", slots[0]), PARENT);
    let recorded: Recorded = serde_json::from_value(cancun()).expect("a record");
    assert!(execute::opened(&recorded).expect("opened").is_empty());
}
