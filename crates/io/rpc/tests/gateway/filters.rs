//! Filters that are polled, and the subscription to transactions.

use crate::client::post;
use crate::evm::{refuses, rpc};
use crate::node::{Running, hash_of, quick, start, transaction};
use crate::websocket::{call, connect, json_of};
use atoll_rpc::Limits;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

async fn made(node: &Running, method: &str, params: Value) -> Value {
    let id = rpc(node, method, params).await;
    assert!(id.as_str().is_some_and(|id| id.starts_with("0x") && id.len() > 2), "{id}");
    id
}

async fn changes(node: &Running, id: &Value) -> Value {
    rpc(node, "eth_getFilterChanges", json!([id])).await
}

fn numbers(logs: &Value) -> Vec<&str> {
    let logs = logs.as_array().unwrap_or_else(|| panic!("logs: {logs}"));
    logs.iter().map(|log| log["blockNumber"].as_str().expect("a number")).collect()
}

#[tokio::test]
async fn blocks_and_transactions_come_once() {
    let node = start(quick()).await;
    for method in ["eth_newBlockFilter", "eth_newPendingTransactionFilter"] {
        node.feeds.head.store(7, Relaxed);
        let id = made(&node, method, json!([])).await;
        assert_eq!(changes(&node, &id).await, json!([]), "{method}");
        node.feeds.head.store(9, Relaxed);
        assert_eq!(changes(&node, &id).await, json!([hash_of(8), hash_of(9)]), "{method}");
        assert_eq!(changes(&node, &id).await, json!([]), "{method}");
        node.feeds.head.store(10, Relaxed);
        assert_eq!(changes(&node, &id).await, json!([hash_of(10)]), "{method}");
        // Only a log filter has logs.
        let error = rpc(&node, "eth_getFilterLogs", json!([id])).await;
        assert_eq!(error, json!({ "code": -32000, "message": "filter not found" }));
    }
}

#[tokio::test]
async fn logs_come_once_and_of_the_blocks_asked_for() {
    let node = start(quick()).await;
    let every = made(&node, "eth_newFilter", json!([{}])).await;
    let some =
        made(&node, "eth_newFilter", json!([{ "fromBlock": "0x9", "toBlock": "0xa" }])).await;
    let other = json!([{ "topics": [format!("0x{}", "55".repeat(32))] }]);
    let other = made(&node, "eth_newFilter", other).await;
    let past =
        made(&node, "eth_newFilter", json!([{ "fromBlock": "0x6", "toBlock": "0x7" }])).await;
    node.feeds.head.store(11, Relaxed);
    assert_eq!(numbers(&changes(&node, &every).await), ["0x8", "0x9", "0xa", "0xb"]);
    assert_eq!(numbers(&changes(&node, &some).await), ["0x9", "0xa"]);
    assert_eq!(changes(&node, &other).await, json!([]));
    // What was there before the filter is asked for with eth_getFilterLogs.
    assert_eq!(changes(&node, &past).await, json!([]));
    assert_eq!(rpc(&node, "eth_getFilterLogs", json!([past])).await, json!([crate::evm::log()]));
    node.feeds.head.store(12, Relaxed);
    assert_eq!(numbers(&changes(&node, &every).await), ["0xc"]);
    assert_eq!(numbers(&changes(&node, &some).await), [""; 0]);
}

#[tokio::test]
async fn an_answer_is_bounded_and_the_next_one_gives_the_rest() {
    let limits = Limits { filter_changes_max: 3, logs_max: 3, log_blocks_max: 8, ..quick() };
    let node = start(limits).await;
    let blocks = made(&node, "eth_newBlockFilter", json!([])).await;
    let transactions = made(&node, "eth_newPendingTransactionFilter", json!([])).await;
    let logs = made(&node, "eth_newFilter", json!([{}])).await;
    node.feeds.head.store(12, Relaxed);
    for id in [blocks, transactions] {
        let hashes = json!([hash_of(8), hash_of(9), hash_of(10)]);
        assert_eq!(changes(&node, &id).await, hashes);
        assert_eq!(changes(&node, &id).await, json!([hash_of(11), hash_of(12)]));
    }
    let mut found = Vec::new();
    for _ in 0..4 {
        let part = changes(&node, &logs).await;
        assert!(part.as_array().is_some_and(|part| part.len() <= 3), "{part}");
        found.extend(numbers(&part).into_iter().map(str::to_owned));
    }
    assert_eq!(found, ["0x8", "0x9", "0xa", "0xb", "0xc"]);
}

#[tokio::test]
async fn filters_end() {
    let limits = Limits { filter_idle_timeout: Duration::from_millis(800), ..quick() };
    let node = start(limits).await;
    let missing = json!({ "code": -32000, "message": "filter not found" });
    let id = made(&node, "eth_newBlockFilter", json!([])).await;
    assert_eq!(changes(&node, &json!("0x1")).await, missing);
    assert_eq!(rpc(&node, "eth_uninstallFilter", json!([id])).await, json!(true));
    assert_eq!(rpc(&node, "eth_uninstallFilter", json!([id])).await, json!(false));
    assert_eq!(changes(&node, &id).await, missing);
    // Polled, it lives; left alone, it ends.
    let id = made(&node, "eth_newBlockFilter", json!([])).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(changes(&node, &id).await, json!([]));
    }
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(changes(&node, &id).await, missing);
    // Another chain knows nothing of it.
    let id = made(&node, "eth_newBlockFilter", json!([])).await;
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getFilterChanges",
        "params": [id] });
    let answer = post(node.address, "/hub", &request.to_string()).await.json();
    assert_eq!(answer["error"], missing, "{answer}");
    assert_eq!(changes(&node, &id).await, json!([]));
}

#[tokio::test]
async fn filters_are_bounded_and_make_room() {
    let limits = Limits {
        filters_per_address_max: 2,
        filter_bytes_max: 2000,
        filter_idle_timeout: Duration::from_millis(300),
        ..quick()
    };
    let node = start(limits).await;
    let heavy = json!([{ "address": vec![crate::node::log().address; 100] }]);
    let error = rpc(&node, "eth_newFilter", heavy.clone()).await;
    assert_eq!((&error["code"], &error["data"]["code"]), (&json!(-32005), &json!(600)));
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("too many filters: they look for more than 2000"), "{message}");
    let mut socket = connect(&node).await;
    let refused = call(&mut socket, "eth_subscribe", json!(["logs", heavy[0]])).await;
    assert_eq!(refused["error"]["code"], -32005, "{refused}");
    let id = made(&node, "eth_newBlockFilter", json!([])).await;
    made(&node, "eth_newBlockFilter", json!([])).await;
    let error = rpc(&node, "eth_newFilter", json!([{}])).await;
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("too many filters: at most 2 of one address"), "{message}");
    rpc(&node, "eth_uninstallFilter", json!([id])).await;
    made(&node, "eth_newFilter", json!([{}])).await;
    // What nobody polls makes room.
    tokio::time::sleep(Duration::from_millis(350)).await;
    made(&node, "eth_newFilter", json!([{}])).await;
    made(&node, "eth_newFilter", json!([{}])).await;
}

#[tokio::test]
async fn malformed_filters_are_refused() {
    let node = start(quick()).await;
    let cases = [
        ("eth_newFilter", json!([]), "missing value for required argument 0"),
        ("eth_newFilter", json!([{ "fromBlock": "0x9", "toBlock": "0x8" }]), "invalid block range"),
        (
            "eth_newFilter",
            json!([{ "topics": [[], [], [], [], []] }]),
            "invalid argument 0: topics",
        ),
        ("eth_newBlockFilter", json!([1]), "too many arguments"),
        ("eth_getFilterChanges", json!(["0x01"]), "invalid argument 0: hex number with leading"),
        ("eth_getFilterLogs", json!([1]), "invalid argument 0: expected a hex string"),
    ];
    for (method, params, begins) in cases {
        refuses(&node, method, params, -32602, begins).await;
    }
}

#[tokio::test]
async fn transactions_are_announced_as_they_are_ordered() {
    let node = start(quick()).await;
    let mut socket = connect(&node).await;
    let hashes = json!(["newPendingTransactions"]);
    assert_eq!(call(&mut socket, "eth_subscribe", hashes).await["result"], "0x1");
    let full = json!(["newPendingTransactions", true]);
    assert_eq!(call(&mut socket, "eth_subscribe", full).await["result"], "0x2");
    let ordered = atoll_rpc::port::EvmTransaction { place: None, ..transaction() };
    node.feeds.arrivals.send(Arc::new(vec![ordered])).expect("subscribed");
    let mut events = [json_of(&mut socket).await, json_of(&mut socket).await];
    events.sort_by_key(|event| event["params"]["subscription"].to_string());
    assert_eq!(events[0]["params"]["result"], json!(transaction().hash));
    let mut expected = crate::evm::transaction();
    for absent in ["blockHash", "blockNumber", "blockTimestamp", "transactionIndex"] {
        expected[absent] = Value::Null;
    }
    assert_eq!(events[1]["params"]["result"], expected);
    let refused = call(&mut socket, "eth_subscribe", json!(["newPendingTransactions", 1])).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
}
