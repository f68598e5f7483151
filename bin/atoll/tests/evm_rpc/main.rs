//! What Ethereum's tools ask of an EVM environment, on a running node.

#[path = "../common/mod.rs"]
mod common;
mod conflicts;
mod contracts;
mod exchange_port;
mod fees;
mod shapes;
mod sign;

use atoll_types::crypto::SigningKey;
use common::Node;
use serde_json::{Value, json};
use sign::{Draft, authorize};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::{Message, connect};

/// Adds one to slot 0, logs the new value under topic 0x2a and returns it.
const COUNTER: &str = "60148060095f395ff35f54600101805f555f52602a60205fa160205ff3";
/// Reverts with nothing.
const REVERTS: &str = "60048060095f395ff35f5ffd";

struct Chain<'a> {
    node: &'a Node,
    key: SigningKey,
    nonce: std::cell::Cell<u64>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_string(), |text, byte| text + &format!("{byte:02x}"))
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.trim_start_matches("0x");
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn number(value: &Value) -> u64 {
    let text = value.as_str().unwrap_or_else(|| panic!("a quantity: {value}"));
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}

fn slot(value: u64) -> String {
    format!("0x{value:064x}")
}

impl<'a> Chain<'a> {
    /// The second known account of development tools.
    fn new(node: &'a Node) -> Self {
        let key = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
        Self::of_hex(node, key)
    }

    fn of_hex(node: &'a Node, key: &str) -> Self {
        let key = unhex(key).try_into().unwrap();
        Self::of(node, SigningKey::from_bytes(key).unwrap())
    }

    fn of(node: &'a Node, key: SigningKey) -> Self {
        let chain = Self { node, key, nonce: 0.into() };
        let nonce = chain.ask("eth_getTransactionCount", json!([chain.from(), "latest"]));
        chain.nonce.set(number(&nonce));
        chain
    }

    fn from(&self) -> String {
        format!("{:#x}", self.key.address())
    }

    fn answer(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let (status, answer) = self.node.post("/evm/evm", &body);
        assert_eq!(status, 200, "{method}: {answer}");
        answer
    }

    fn ask(&self, method: &str, params: Value) -> Value {
        let mut answer = self.answer(method, params.clone());
        assert!(answer.get("error").is_none(), "{method} {params}: {answer}");
        answer["result"].take()
    }

    fn refused(&self, method: &str, params: Value) -> Value {
        let mut answer = self.answer(method, params.clone());
        assert!(answer.get("error").is_some(), "{method} {params}: {answer}");
        answer["error"].take()
    }

    /// Asks until the answer is as wanted.
    fn until(&self, method: &str, params: Value, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = self.ask(method, params.clone());
            if wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < end, "{method} {params}: {answer}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signed(&self, draft: Draft) -> String {
        let nonce = self.nonce.get();
        self.nonce.set(nonce + 1);
        hex(&Draft { nonce, ..draft }.sign(&self.key))
    }

    /// Sends a transaction and waits for its receipt.
    fn send(&self, draft: Draft) -> Value {
        self.ask("eth_sendRawTransactionSync", json!([self.signed(draft), 20_000]))
    }

    fn deploy(&self, code: &str) -> String {
        let receipt = self.send(Draft { input: unhex(code), ..Draft::default() });
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        receipt["contractAddress"].as_str().unwrap().to_owned()
    }

    fn calls(&self, contract: &str) -> Value {
        self.send(Draft { to: Some(contract.parse().unwrap()), ..Draft::default() })
    }
}

fn start(folder: &tempfile::TempDir) -> Node {
    let args = ["--rate", "0", "--hub", "none", "--snapshot-interval", "100"];
    Node::start(&folder.path().join("data"), &args)
}

#[test]
fn filters_and_subscriptions_miss_nothing_and_tell_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(&folder);
    let chain = Chain::new(&node);
    let contract = chain.deploy(COUNTER);
    let logs = chain.ask("eth_newFilter", json!([{ "address": contract }]));
    let other = chain.ask("eth_newFilter", json!([{ "topics": [slot(7)] }]));
    let blocks = chain.ask("eth_newBlockFilter", json!([]));
    let pending = chain.ask("eth_newPendingTransactionFilter", json!([]));
    let (mut socket, _) = connect(format!("ws://{}/evm/evm", node.address)).unwrap();
    for (id, params) in
        [json!(["newHeads"]), json!(["newPendingTransactions", true])].into_iter().enumerate()
    {
        let request =
            json!({ "jsonrpc": "2.0", "id": id, "method": "eth_subscribe", "params": params });
        socket.send(Message::text(request.to_string())).unwrap();
        // The answer, and perhaps a block before it.
        while !socket.read().unwrap().to_text().unwrap().contains("\"id\"") {}
    }
    let receipts: Vec<Value> = (0..3).map(|_| chain.calls(&contract)).collect();
    let hashes: Vec<&Value> = receipts.iter().map(|receipt| &receipt["transactionHash"]).collect();
    // Polled now and then until everything is there.
    let gather = |filter: &Value, count: usize| {
        let mut found = Vec::new();
        let end = Instant::now() + Duration::from_secs(20);
        while found.len() < count && Instant::now() < end {
            let part = chain.ask("eth_getFilterChanges", json!([filter]));
            found.extend(part.as_array().expect("a list").clone());
            std::thread::sleep(Duration::from_millis(30));
        }
        found
    };
    let found = gather(&logs, 3);
    let values: Vec<&Value> = found.iter().map(|log| &log["data"]).collect();
    assert_eq!(values, [&json!(slot(1)), &json!(slot(2)), &json!(slot(3))]);
    assert_eq!(gather(&pending, 3).iter().collect::<Vec<_>>(), hashes);
    let sealed = gather(&blocks, 1);
    let block = chain.ask("eth_getBlockByHash", json!([sealed[0], false]));
    assert_eq!(block["hash"], sealed[0]);
    assert_eq!(chain.ask("eth_getFilterChanges", json!([logs])), json!([]));
    assert_eq!(chain.ask("eth_getFilterChanges", json!([pending])), json!([]));
    assert_eq!(chain.ask("eth_getFilterChanges", json!([other])), json!([]));
    let from = json!([{ "address": contract, "fromBlock": receipts[0]["blockNumber"] }]);
    let all = chain.ask("eth_newFilter", from.clone());
    assert_eq!(chain.ask("eth_getFilterLogs", json!([all])), json!(found));
    assert_eq!(chain.ask("eth_getLogs", from), json!(found));
    assert_eq!(chain.ask("eth_uninstallFilter", json!([logs])), true);
    let gone = chain.refused("eth_getFilterChanges", json!([logs]));
    assert_eq!(gone, json!({ "code": -32000, "message": "filter not found" }));

    // Who hears of a block finds it, and its logs.
    let (mut announced, mut heads) = (Vec::new(), 0);
    while announced.len() < 3 || heads == 0 {
        let event: Value = serde_json::from_str(socket.read().unwrap().to_text().unwrap()).unwrap();
        let result = &event["params"]["result"];
        if event["params"]["subscription"] == "0x2" {
            assert_eq!(result["blockHash"], Value::Null, "{event}");
            announced.push(result["hash"].clone());
            continue;
        }
        heads += 1;
        let at = json!([{ "blockHash": result["hash"] }]);
        let logs = chain.ask("eth_getLogs", at);
        let has = receipts.iter().filter(|receipt| receipt["blockHash"] == result["hash"]).count();
        assert_eq!(logs.as_array().map(Vec::len), Some(has), "{event}");
    }
    assert_eq!(announced.iter().collect::<Vec<_>>(), hashes);
}

#[test]
fn states_are_otherwise_and_blocks_are_thought_of() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(&folder);
    let chain = Chain::new(&node);
    let contract = chain.deploy(COUNTER);
    let call = json!({ "from": chain.from(), "to": contract });
    assert_eq!(chain.ask("eth_call", json!([call, "latest"])), slot(1));
    let state = json!({ &contract: { "stateDiff": { slot(0): slot(41) } } });
    assert_eq!(chain.ask("eth_call", json!([call, "latest", state])), slot(42));
    // Where the contract is, there is the precompile that returns what it is given.
    let identity = format!("0x{:040x}", 4);
    let state = json!({ &identity: { "movePrecompileToAddress": contract } });
    let echo = json!({ "to": contract, "data": "0x1234" });
    assert_eq!(chain.ask("eth_call", json!([echo, "latest", state])), "0x1234");
    let state = json!({ &contract: { "movePrecompileToAddress": identity } });
    let refused = chain.refused("eth_call", json!([echo, "latest", state]));
    assert!(refused["message"].as_str().unwrap().contains("is not a precompile"), "{refused}");
    let later = json!({ "number": "0x1234" });
    let tells = json!({ &contract: { "code": "0x435f5260205ff3" } });
    assert_eq!(chain.ask("eth_call", json!([call, "latest", tells, later])), slot(0x1234));
    let poor = json!({ "from": format!("0x{:040x}", 9), "to": contract, "value": "0x1" });
    let error = chain.refused("eth_estimateGas", json!([poor]));
    assert_eq!(error["data"]["label"], "insufficient_balance", "{error}");
    let rich = json!({ poor["from"].as_str().unwrap(): { "balance": "0x1" } });
    let gas = number(&chain.ask("eth_estimateGas", json!([poor, "latest", rich])));
    assert!((21_000..80_000).contains(&gas), "{gas}");

    let touched = chain.ask("eth_createAccessList", json!([call]));
    let list = json!([{ "address": contract, "storageKeys": [slot(0)] }]);
    assert_eq!(touched["accessList"], list, "{touched}");

    let payload = json!({
        "blockStateCalls": [{ "calls": [call, call] }, { "calls": [call] }],
        "traceTransfers": true,
    });
    let done = chain.ask("eth_simulateV1", json!([payload, "latest"]));
    let returned = |block: usize, at: usize| done[block]["calls"][at]["returnData"].clone();
    assert_eq!([returned(0, 0), returned(0, 1), returned(1, 0)], [slot(1), slot(2), slot(3)]);
    let parent = json!([done[0]["parentHash"], false]);
    let parent = chain.until("eth_getBlockByHash", parent, Value::is_object);
    assert_eq!(number(&done[0]["number"]), number(&parent["number"]) + 1);
    assert_eq!(done[1]["parentHash"], done[0]["hash"]);
    shapes::block(&done[0]);
    let nonce = json!({ "from": chain.from(), "to": contract, "nonce": "0x0",
        "maxFeePerGas": "0x77359400" });
    let strict = json!({ "blockStateCalls": [{ "calls": [nonce] }], "validation": true });
    let error = chain.refused("eth_simulateV1", json!([strict]));
    assert_eq!(error["code"], -38010, "{error}");
    // Nothing of it happened.
    assert_eq!(chain.ask("eth_call", json!([call, "latest"])), slot(1));
}

#[test]
fn what_was_executed_is_traced_from_snapshots_and_history() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = start(&folder);
    let calls = json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } });
    let diff = json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } });
    let (contract, first, last) = {
        let chain = Chain::new(&node);
        let contract = chain.deploy(COUNTER);
        // Behind a snapshot, so that what is traced begins there. Two of them are kept.
        chain.until("eth_blockNumber", json!([]), |head| number(head) > 105);
        (contract.clone(), chain.calls(&contract), chain.calls(&contract))
    };
    let check = |node: &Node| {
        let chain = Chain::new(node);
        for (receipt, value) in [(&last, 2), (&first, 1)] {
            let hash = &receipt["transactionHash"];
            let traced = chain.ask("debug_traceTransaction", json!([hash, calls]));
            assert_eq!(traced["gasUsed"], receipt["gasUsed"], "{traced}");
            assert_eq!(traced["to"], contract, "{traced}");
            assert_eq!(traced["output"], slot(value));
            assert_eq!(traced["logs"][0]["data"], slot(value));
            let changed = chain.ask("debug_traceTransaction", json!([hash, diff]));
            assert_eq!(changed["post"][&contract]["storage"][slot(0)], slot(value), "{changed}");
            let steps = chain.ask("debug_traceTransaction", json!([hash]));
            assert_eq!(steps["failed"], false);
            assert_eq!(steps["structLogs"][1]["op"], "SLOAD", "{steps}");
            let block = json!([receipt["blockNumber"], calls]);
            let whole = chain.ask("debug_traceBlockByNumber", block);
            assert_eq!(whole, json!([{ "txHash": hash, "result": traced }]));
            let same = json!([receipt["blockHash"], calls]);
            assert_eq!(chain.ask("debug_traceBlockByHash", same), whole);
        }
        let call = json!([{ "to": contract }, "latest", calls]);
        assert_eq!(chain.ask("debug_traceCall", call)["output"], slot(3));
        let loops = json!([{ "to": contract }, "latest", {
            "stateOverrides": { &contract: { "code": "0x5b5f56" } } }]);
        let error = chain.refused("debug_traceCall", loops);
        assert_eq!(error["code"], -32005, "{error}");
        assert!(error["message"].as_str().unwrap().starts_with("trace too large: more than"));
        let none = chain.refused("debug_traceTransaction", json!([slot(1)]));
        assert_eq!(none["message"], "transaction not found");
    };
    check(&node);
    node.kill();
    let node = start(&folder);
    check(&node);
}

#[test]
fn the_state_that_any_block_left_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = start(&folder);
    let (contract, receipts) = {
        let chain = Chain::new(&node);
        // Behind a snapshot, so that what is made again begins there. Two of them are kept.
        chain.until("eth_blockNumber", json!([]), |head| number(head) > 105);
        let contract = chain.deploy(COUNTER);
        let receipts: Vec<_> = (0..3).map(|_| chain.calls(&contract)).collect();
        (contract, receipts)
    };
    let check = |node: &Node| {
        let chain = Chain::new(node);
        // Forwards and back, so that what is at hand and what is made again take turns.
        let left: Vec<_> = receipts.iter().zip(1..).collect();
        for &(receipt, value) in left.iter().chain(left.iter().rev()) {
            let at = &receipt["blockNumber"];
            let before = json!(format!("{:#x}", number(at) - 1));
            let hash = json!({ "blockHash": receipt["blockHash"] });
            let stored = |at: &Value| chain.ask("eth_getStorageAt", json!([contract, "0x0", at]));
            assert_eq!([stored(at), stored(&hash)], [slot(value), slot(value)]);
            assert_eq!(stored(&before), slot(value - 1));
            let call = json!([{ "to": contract }, at]);
            assert_eq!(chain.ask("eth_call", call), slot(value + 1));
            let tells = json!({ &contract: { "code": "0x435f5260205ff3" } });
            let block = chain.ask("eth_call", json!([{ "to": contract }, at, tells]));
            assert_eq!(block, slot(number(at)), "in that block");
            let nonce = |at: &Value| {
                number(&chain.ask("eth_getTransactionCount", json!([chain.from(), at])))
            };
            assert_eq!(nonce(at), nonce(&before) + 1);
            let calls = json!([{ "calls": [{ "to": contract }] }]);
            let done = chain.ask("eth_simulateV1", json!([{ "blockStateCalls": calls }, at]));
            assert_eq!(done[0]["calls"][0]["returnData"], slot(value + 1));
            assert_eq!(done[0]["parentHash"], receipt["blockHash"]);
        }
        let none = chain.refused("eth_getBalance", json!([contract, "0xffffffff"]));
        assert_eq!(none["message"], "there is no such block");
    };
    check(&node);
    node.kill();
    let node = start(&folder);
    check(&node);
}

#[test]
fn what_comes_early_waits_for_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(&folder);
    let chain = Chain::new(&node);
    let contract = chain.deploy(COUNTER);
    let to = Some(contract.parse().unwrap());
    let signed: Vec<_> = (0..6).map(|_| chain.signed(Draft { to, ..Draft::default() })).collect();
    let send = |raw: &str| {
        let params = json!([raw]);
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction",
            "params": params });
        node.post("/evm/evm", &body).1
    };
    // The last one first.
    let sent: Vec<Value> = std::thread::scope(|scope| {
        let one = |raw| {
            let thread = scope.spawn(move || send(raw));
            std::thread::sleep(Duration::from_millis(20));
            thread
        };
        let threads: Vec<_> = signed.iter().rev().map(|raw| one(raw)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for answer in &sent {
        let receipt = json!([answer["result"]]);
        let receipt = chain.until("eth_getTransactionReceipt", receipt, Value::is_object);
        assert_eq!(receipt["status"], "0x1", "{answer}");
    }
    assert_eq!(chain.ask("eth_call", json!([{ "to": contract }, "latest"])), slot(7));
    // One whose turn does not come.
    chain.nonce.set(chain.nonce.get() + 1);
    let begun = Instant::now();
    let refused = send(&chain.signed(Draft { to, ..Draft::default() }));
    assert_eq!(refused["error"]["data"]["label"], "nonce_too_high", "{refused}");
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn answers_have_the_shapes_of_the_execution_apis() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(&folder);
    let chain = Chain::new(&node);
    let contract = chain.deploy(COUNTER);
    let to = Some(contract.parse().unwrap());
    let authority = atoll_types::crypto::SigningKey::from_label("an authority");
    let access = vec![(contract.parse().unwrap(), vec![atoll_types::B256::ZERO])];
    let delegates = authorize(&authority, 3002, contract.parse().unwrap(), 0);
    for kind in [0, 1, 2, 4] {
        let access_list = if kind == 0 { vec![] } else { access.clone() };
        let authorizations = if kind == 4 { vec![delegates.clone()] } else { vec![] };
        let raw = chain.signed(Draft { kind, to, access_list, authorizations, ..Draft::default() });
        let hash = chain.ask("eth_sendRawTransaction", json!([raw]));
        // It is known from the first moment on.
        let waiting = chain.ask("eth_getTransactionByHash", json!([hash]));
        assert_eq!(waiting["hash"], hash, "{waiting}");
        let placed =
            chain.until("eth_getTransactionByHash", json!([hash]), |t| t["blockHash"].is_string());
        shapes::transaction(&placed);
        assert_eq!(placed["type"], format!("{kind:#x}"));
        let receipt = chain.ask("eth_getTransactionReceipt", json!([hash]));
        shapes::receipt(&receipt);
        assert_eq!(receipt["logs"].as_array().map(Vec::len), Some(1), "{receipt}");
        shapes::log(&receipt["logs"][0]);
        let block = chain.ask("eth_getBlockByNumber", json!([receipt["blockNumber"], true]));
        shapes::block(&block);
        shapes::transaction(&block["transactions"][0]);
        let receipts = chain.ask("eth_getBlockReceipts", json!([receipt["blockHash"]]));
        assert!(receipts.as_array().unwrap().contains(&receipt));
    }
    let code = chain.ask("eth_getCode", json!([format!("{:#x}", authority.address()), "latest"]));
    assert_eq!(code, format!("0xef0100{}", contract.trim_start_matches("0x")));
    shapes::block(&chain.ask("eth_getBlockByNumber", json!(["latest", false])));
    let history = chain.ask("eth_feeHistory", json!(["0x4", "latest", [0, 50, 100]]));
    shapes::fee_history(&history, 4, 3);
    let status = chain.ask("txpool_status", json!([]));
    shapes::quantity(&status["pending"]);
    shapes::quantity(&status["queued"]);
    assert!(chain.ask("txpool_content", json!([]))["queued"].is_object());

    // What ran and failed has its hash and its receipt.
    let reverts = chain.deploy(REVERTS);
    let failing = Draft { to: Some(reverts.parse().unwrap()), ..Draft::default() };
    let hash = chain.ask("eth_sendRawTransaction", json!([chain.signed(failing)]));
    let receipt = chain.until("eth_getTransactionReceipt", json!([hash]), Value::is_object);
    assert_eq!((&receipt["status"], &receipt["logs"]), (&json!("0x0"), &json!([])));
    shapes::receipt(&receipt);

    let (status, parameters) = node.get("/evm/evm/chain.json");
    assert_eq!((status, &parameters["chainId"]), (200, &json!("0xbba")), "{parameters}");
    assert_eq!(parameters["rpcUrls"][0], format!("http://{}/evm/evm", node.address));
    let symbol = json!({ "name": "ETH", "symbol": "ETH", "decimals": 18 });
    assert_eq!(parameters["nativeCurrency"], symbol);
    let error = chain.refused("eth_getProof", json!([contract, [], "latest"]));
    assert!(error["message"].as_str().unwrap().contains("atoll_getProof"), "{error}");
}
