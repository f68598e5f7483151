//! Traces and the pool, as JSON.

use crate::evm::{A, h, refuses, rpc, transaction};
use crate::node::{quick, start};
use serde_json::{Value, json};

#[tokio::test]
async fn options_are_read() {
    let node = start(quick()).await;
    let steps = "Steps(StepOptions { memory: false, stack: true, storage: true, \
                 return_data: false, limit: None })";
    let others = "Steps(StepOptions { memory: true, stack: false, storage: false, \
                  return_data: true, limit: Some(5) })";
    let cases = [
        (Value::Null, steps),
        (json!({}), steps),
        (json!({ "tracer": "", "reexec": 128 }), steps),
        (
            json!({ "enableMemory": true, "disableStack": true, "disableStorage": true,
                "enableReturnData": true, "limit": 5 }),
            others,
        ),
        (json!({ "tracer": "callTracer" }), "Calls { only_top: false, logs: false }"),
        (
            json!({ "tracer": "callTracer",
                "tracerConfig": { "onlyTopCall": true, "withLog": true } }),
            "Calls { only_top: true, logs: true }",
        ),
        (json!({ "tracer": "flatCallTracer" }), "FlatCalls { precompiles: false }"),
        (
            json!({ "tracer": "prestateTracer" }),
            "Prestate { diff: false, code: true, storage: true }",
        ),
        (
            json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true,
                "disableCode": true, "disableStorage": true } }),
            "Prestate { diff: true, code: false, storage: false }",
        ),
        (json!({ "tracer": "4byteTracer" }), "FourByte"),
    ];
    for (options, expected) in cases {
        let answer = rpc(&node, "debug_traceTransaction", json!([h("aa"), options])).await;
        assert_eq!(answer, expected, "{options}");
    }
}

#[tokio::test]
async fn traces_have_their_shape() {
    let node = start(quick()).await;
    let one = json!([{ "txHash": h("aa"), "result": { "type": "CALL" } }]);
    let options = json!({ "tracer": "callTracer" });
    for (method, at) in
        [("debug_traceBlockByNumber", json!("latest")), ("debug_traceBlockByHash", json!(h("07")))]
    {
        assert_eq!(rpc(&node, method, json!([at, options])).await, one, "{method}");
    }
    let options = json!({ "tracer": "4byteTracer", "timeout": "300ms",
        "stateOverrides": { A: { "balance": "0x1" } } });
    let answer = rpc(&node, "debug_traceCall", json!([{ "to": A }, "0x7", options])).await;
    let expected = "TraceOptions { tracer: FourByte, timeout: Some(300ms) }";
    assert_eq!(answer, json!([expected, 1, "Number(7)"]));
    let answer = rpc(&node, "debug_traceCall", json!([{ "to": A }, "0x7"])).await;
    assert_eq!((&answer[1], &answer[2]), (&json!(0), &json!("Number(7)")));
}

#[tokio::test]
async fn traces_that_cannot_be_say_why() {
    let node = start(quick()).await;
    let cases = [
        ("debug_traceTransaction", json!([h("00")]), -32000, "transaction not found"),
        ("debug_traceTransaction", json!([]), -32602, "missing value for required argument 0"),
        ("debug_traceBlockByNumber", json!(["0x63"]), -32000, "block #99 not found"),
        ("debug_traceBlockByNumber", json!(["0x62"]), -32005, "trace too large"),
        (
            "debug_traceTransaction",
            json!([h("aa"), { "tracer": "{step: function() {}}" }]),
            -32602,
            "invalid argument 1: no tracer \"{step: function() {}}\"; there are: callTracer, ",
        ),
        (
            "debug_traceTransaction",
            json!([h("aa"), { "timeout": "soon" }]),
            -32602,
            "invalid argument 1: timeout: expected a time",
        ),
        (
            "debug_traceTransaction",
            json!([h("aa"), { "tracer": "callTracer", "tracerConfig": [] }]),
            -32602,
            "invalid argument 1: tracerConfig: expected an object",
        ),
        (
            "debug_traceTransaction",
            json!([h("aa"), { "enableMemory": "yes" }]),
            -32602,
            "invalid argument 1: enableMemory: expected a boolean",
        ),
        (
            "debug_traceCall",
            json!([{}, "latest", { "txIndex": "0x0" }]),
            -32602,
            "invalid argument 2: txIndex is not supported",
        ),
        (
            "debug_traceCall",
            json!([{}, "latest", { "stateOverrides": { "0x1": {} } }]),
            -32602,
            "invalid argument 2: stateOverrides: hex string has length 1",
        ),
    ];
    for (method, params, code, begins) in cases {
        refuses(&node, method, params, code, begins).await;
    }
}

#[tokio::test]
async fn the_pool_shows_what_is_in_no_block_yet() {
    let node = start(quick()).await;
    let mut waiting = transaction();
    for absent in ["blockHash", "blockNumber", "blockTimestamp", "transactionIndex"] {
        waiting[absent] = Value::Null;
    }
    let status = rpc(&node, "txpool_status", json!([])).await;
    assert_eq!(status, json!({ "pending": "0x1", "queued": "0x0" }));
    let content = rpc(&node, "txpool_content", json!([])).await;
    assert_eq!(content, json!({ "pending": { A: { "3": waiting } }, "queued": {} }));
    let own = rpc(&node, "txpool_contentFrom", json!([A])).await;
    assert_eq!(own, json!({ "pending": { "3": waiting }, "queued": {} }));
    let none = rpc(&node, "txpool_contentFrom", json!([A.replace('1', "2")])).await;
    assert_eq!(none, json!({ "pending": {}, "queued": {} }));
    let inspect = rpc(&node, "txpool_inspect", json!([])).await;
    let summary =
        "0x0202020202020202020202020202020202020202: 1000 wei + 21000 gas × 1000000000 wei";
    assert_eq!(inspect, json!({ "pending": { A: { "3": summary } }, "queued": {} }));
}
