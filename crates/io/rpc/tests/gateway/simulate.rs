//! Overrides, access lists and simulated blocks as JSON.

use crate::evm::{A, block, h, log, refuses, rpc, transaction};
use crate::node::{quick, start};
use serde_json::{Value, json};

fn text(bytes: &Value) -> String {
    let digits = bytes.as_str().and_then(|text| text.strip_prefix("0x")).expect("bytes");
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex");
    String::from_utf8((0..digits.len()).step_by(2).map(byte).collect()).expect("text")
}

#[tokio::test]
async fn overrides_are_read() {
    let node = start(quick()).await;
    let state = json!({ A: {
        "nonce": "0x7", "balance": "0x8", "code": "0x6001", "stateDiff": { h("00"): h("02") },
    } });
    let block = json!({ "number": "0x9", "time": "0xa", "gasLimit": "0xb", "feeRecipient": A,
        "prevRandao": h("0c"), "baseFeePerGas": "0xd", "blobBaseFee": "0xe", "withdrawals": [] });
    let read = text(&rpc(&node, "eth_call", json!([{ "to": A }, "latest", state, block])).await);
    for part in [
        "nonce: Some(7)",
        "balance: Some(8)",
        "code: Some(0x6001)",
        "Change([(0, ",
        "number: Some(9)",
        "timestamp: Some(10)",
        "gas_limit: Some(11)",
        "beneficiary: Some(0x0101",
        "prev_randao: Some(0x0c0c",
        "base_fee: Some(13)",
        "blob_base_fee: Some(14)",
    ] {
        assert!(read.contains(part), "{part}: {read}");
    }
    // The names of older clients, and all of an account's storage.
    let state = json!({ A: { "state": { "0x1": h("02") } } });
    let block = json!({ "coinbase": A, "random": "0x1", "baseFee": "0x2" });
    let read = text(&rpc(&node, "eth_call", json!([{ "to": A }, "latest", state, block])).await);
    for part in ["Replace([(1, ", "beneficiary: Some", "prev_randao: Some", "base_fee: Some(2)"] {
        assert!(read.contains(part), "{part}: {read}");
    }
    let gas = rpc(&node, "eth_estimateGas", json!([{ "to": A }, "latest", { A: {} }])).await;
    assert_eq!(gas, "0x5209");
}

#[tokio::test]
async fn malformed_overrides_are_refused() {
    let node = start(quick()).await;
    let many: serde_json::Map<String, Value> =
        (0..1025).map(|n| (format!("0x{n:040x}"), json!({}))).collect();
    let cases = [
        (json!([1]), "invalid argument 2: expected an object, got an array"),
        (json!({ "0x1": {} }), "invalid argument 2: hex string has length 1, want 40"),
        (
            json!({ A: { "nonce": "7" } }),
            "invalid argument 2: 0x0101010101010101010101010101010101010101: nonce: hex",
        ),
        (
            json!({ A: { "state": {}, "stateDiff": {} } }),
            "invalid argument 2: 0x0101010101010101010101010101010101010101: has both",
        ),
        (
            json!({ A: { "movePrecompileToAddress": "0x1" } }),
            "invalid argument 2: 0x0101010101010101010101010101010101010101: movePrecompileToAddress: hex",
        ),
        (Value::Object(many), "invalid argument 2: at most 1024 accounts"),
    ];
    for (state, begins) in cases {
        let params = json!([{ "to": A }, "latest", state]);
        refuses(&node, "eth_call", params, -32602, begins).await;
    }
    let error = rpc(&node, "eth_call", json!([{}, "latest", {}, { "beaconRoot": h("01") }])).await;
    assert_eq!(error["message"], "invalid argument 3: beaconRoot: there is no beacon chain here");
}

#[tokio::test]
async fn access_lists_have_their_shape() {
    let node = start(quick()).await;
    let list = transaction()["accessList"].clone();
    let answer = rpc(&node, "eth_createAccessList", json!([{ "to": A }, "latest"])).await;
    assert_eq!(answer, json!({ "accessList": list, "gasUsed": "0x7530" }));
    let answer = rpc(&node, "eth_createAccessList", json!([{ "to": A, "data": "0x01" }])).await;
    let failed = json!({ "accessList": list, "gasUsed": "0x7530", "error": "execution reverted" });
    assert_eq!(answer, failed);
}

#[tokio::test]
async fn simulated_blocks_have_their_shape() {
    let node = start(quick()).await;
    let payload = json!({
        "blockStateCalls": [
            { "calls": [{ "from": A, "to": A, "data": "0x0a" }, { "data": "0x08" }] },
            { "blockOverrides": { "number": "0xa" }, "stateOverrides": { A: { "balance": "0x1" } },
              "calls": [{ "data": "0x01" }] },
        ],
        "traceTransfers": true, "validation": false,
    });
    let done = rpc(&node, "eth_simulateV1", json!([payload, "latest"])).await;
    let call = |data: &str, status: &str| json!({ "returnData": data, "logs": [log()], "gasUsed": "0x5208", "status": status });
    let mut reverted = call("0x08", "0x0");
    reverted["error"] = json!({ "code": 3, "message": "execution reverted", "data": "0x08" });
    let mut halted = call("0x01", "0x0");
    halted["error"] = json!({ "code": -32015, "message": "out of gas" });
    let mut first = block(&json!([h("aa"), h("aa")]));
    first["number"] = json!("0x8");
    first["calls"] = json!([call("0x0a", "0x1"), reverted]);
    let mut second = block(&json!([h("aa")]));
    second["number"] = json!("0xa");
    second["calls"] = json!([halted]);
    assert_eq!(done, json!([first, second]));
    let full = json!({ "blockStateCalls": [{ "calls": [{}] }], "returnFullTransactions": true });
    let done = rpc(&node, "eth_simulateV1", json!([full])).await;
    assert_eq!(done[0]["transactions"], json!([transaction()]));
    assert_eq!(done[0]["calls"][0]["logs"], json!([]));
}

#[tokio::test]
async fn simulations_that_cannot_be_have_the_specified_codes() {
    let node = start(quick()).await;
    let one = |data: &str| json!([{ "blockStateCalls": [{ "calls": [{ "data": data }] }] }]);
    let cases = [
        (one("0xff012d"), -38010, "nonce too low: the sentence"),
        (one("0xff012e"), -38011, "nonce too high: the sentence"),
        (one("0xff0193"), -38012, "transaction underpriced: the sentence"),
        (one("0xff02bd"), -38013, "gas limit out of range: the sentence"),
        (one("0xff0191"), -38014, "insufficient funds"),
        (one("0xff00cc"), -38024, "the sentence"),
        (one("0xff0065"), -38025, "oversized data: the sentence"),
        (one("0x02"), -38015, "gas"),
        (one("0x03"), -38026, "much"),
        (json!([{ "blockStateCalls": [{}] }, "0x3"]), -32000, "not kept"),
        (json!([{}]), -32602, "invalid argument 0: blockStateCalls is missing"),
        (json!([{ "blockStateCalls": [] }]), -32602, "invalid argument 0: blockStateCalls: empty"),
        (
            json!([{ "blockStateCalls": vec![json!({}); 257] }]),
            -32602,
            "invalid argument 0: blockStateCalls: too many blocks: 257, at most 256",
        ),
        (
            json!([{ "blockStateCalls": [{ "calls": [{ "gas": "1" }] }] }]),
            -32602,
            "invalid argument 0: blockStateCalls: [0].calls: gas: hex string without 0x prefix",
        ),
    ];
    for (params, code, begins) in cases {
        refuses(&node, "eth_simulateV1", params, code, begins).await;
    }
}

#[tokio::test]
async fn authorizations_are_read() {
    let node = start(quick()).await;
    let signed = json!({ "chainId": "0x0", "address": A, "nonce": "0x1", "yParity": "0x1",
        "r": "0x2", "s": "0x3" });
    let gas = rpc(&node, "eth_estimateGas", json!([{ "authorizationList": [signed] }])).await;
    assert_eq!(gas, "0x5208");
    for (name, value, begins) in [
        ("yParity", json!("0x2"), "invalid argument 0: authorizationList: yParity is neither"),
        ("r", json!(null), "invalid argument 0: authorizationList: r is missing"),
        ("address", json!("0x"), "invalid argument 0: authorizationList: address: hex string has"),
    ] {
        let mut broken = signed.clone();
        broken[name] = value;
        let params = json!([{ "authorizationList": [broken] }]);
        refuses(&node, "eth_call", params, -32602, begins).await;
    }
}
