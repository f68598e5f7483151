//! Ethereum JSON-RPC against golden JSON.

use crate::client::{get, post};
use crate::node::{Running, quick, start};
use atoll_rpc::Limits;
use atoll_types::RejectCode;
use serde_json::{Value, json};

pub(crate) async fn rpc(node: &Running, method: &str, params: Value) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut answer = post(node.address, "/evm/evm", &request.to_string()).await.json();
    assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(1)), "{answer}");
    match answer.get("error") {
        Some(_) => answer["error"].take(),
        None => answer["result"].take(),
    }
}

/// A call is refused with this code and a message that begins so.
pub(crate) async fn refuses(node: &Running, method: &str, params: Value, code: i64, begins: &str) {
    let error = rpc(node, method, params.clone()).await;
    assert_eq!(error["code"], code, "{method} {params}: {error}");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.starts_with(begins), "{method} {params}: {message}");
}

pub(crate) const A: &str = "0x0101010101010101010101010101010101010101";

pub(crate) fn h(byte: &str) -> String {
    format!("0x{}", byte.repeat(32))
}

pub(crate) fn transaction() -> Value {
    json!({
        "hash": h("aa"), "blockHash": h("07"), "blockNumber": "0x7",
        "blockTimestamp": "0x6553f100", "transactionIndex": "0x0",
        "type": "0x2", "chainId": "0x1092", "nonce": "0x3",
        "from": A, "to": "0x0202020202020202020202020202020202020202",
        "value": "0x3e8", "gas": "0x5208", "gasPrice": "0x3b9aca00",
        "maxFeePerGas": "0x77359400", "maxPriorityFeePerGas": "0x1", "input": "0x0102",
        "accessList": [{
            "address": "0x0303030303030303030303030303030303030303", "storageKeys": [h("00")],
        }],
        "r": "0x11", "s": "0x12", "v": "0x1", "yParity": "0x1",
    })
}

pub(crate) fn log() -> Value {
    json!({
        "address": "0x0909090909090909090909090909090909090909",
        "topics": [h("01"), h("02")], "data": "0xff",
        "blockNumber": "0x7", "blockHash": h("07"), "blockTimestamp": "0x6553f100",
        "transactionHash": h("aa"), "transactionIndex": "0x0", "logIndex": "0x0",
        "removed": false,
    })
}

fn receipt() -> Value {
    json!({
        "transactionHash": h("aa"), "transactionIndex": "0x0",
        "blockHash": h("07"), "blockNumber": "0x7", "type": "0x2",
        "from": A, "to": "0x0202020202020202020202020202020202020202",
        "contractAddress": null, "status": "0x1",
        "gasUsed": "0x5208", "cumulativeGasUsed": "0x5208", "effectiveGasPrice": "0x3b9aca00",
        "logsBloom": format!("0x{}", "00".repeat(256)), "logs": [log()],
    })
}

pub(crate) fn header() -> Value {
    json!({
        "number": "0x7", "hash": h("07"), "parentHash": h("06"),
        "nonce": "0x0000000000000000",
        "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
        "logsBloom": format!("0x{}", "00".repeat(256)),
        "transactionsRoot": h("00"), "stateRoot": h("00"), "receiptsRoot": h("00"),
        "miner": "0x0000000000000000000000000000000000000000",
        "difficulty": "0x0", "totalDifficulty": "0x0", "extraData": "0x",
        "gasLimit": "0x1c9c380", "gasUsed": "0x5208", "timestamp": "0x6553f100",
        "baseFeePerGas": "0x3b9aca00", "mixHash": h("00"),
    })
}

pub(crate) fn block(transactions: &Value) -> Value {
    let mut value = header();
    value["size"] = json!("0x258");
    value["uncles"] = json!([]);
    value["transactions"] = transactions.clone();
    value
}

#[tokio::test]
async fn every_method_has_its_shape() {
    let node = start(quick()).await;
    let raw = "0xff01";
    let raw_hash = alloy_primitives::keccak256([0xff, 0x01]).to_string();
    let filter = json!({ "fromBlock": "0x5", "toBlock": "latest",
        "address": "0x0909090909090909090909090909090909090909",
        "topics": [null, [h("02"), h("03")]] });
    let other = json!({ "blockHash": h("07"), "topics": [h("02")] });
    let cases: Vec<(&str, Value, Value)> = vec![
        ("web3_clientVersion", json!([]), json!("atoll/test")),
        (
            "web3_sha3",
            json!(["0x68656c6c6f20776f726c64"]),
            json!("0x47173285a8d7341e5e972fc677286384f802f8ef42a5ec5f03bbfa254cb01fad"),
        ),
        ("net_version", json!([]), json!("4242")),
        ("net_listening", json!([]), json!(true)),
        ("net_peerCount", json!([]), json!("0x0")),
        ("eth_chainId", json!([]), json!("0x1092")),
        ("eth_syncing", json!([]), json!(false)),
        ("eth_accounts", json!([]), json!([])),
        ("eth_blockNumber", json!([]), json!("0x7")),
        ("eth_gasPrice", json!([]), json!("0x3b9aca01")),
        ("eth_maxPriorityFeePerGas", json!([]), json!("0x1")),
        (
            "eth_feeHistory",
            json!(["0x2", "latest", [10, 50.5]]),
            json!({
                "oldestBlock": "0x6",
                "baseFeePerGas": ["0x3b9aca00", "0x3b9aca00", "0x3b9aca00"],
                "gasUsedRatio": [0.5, 0.5], "reward": [["0x1", "0x1"], ["0x1", "0x1"]],
            }),
        ),
        (
            "eth_feeHistory",
            json!([0, "latest", []]),
            json!({ "oldestBlock": "0x0", "gasUsedRatio": [] }),
        ),
        ("eth_getBalance", json!([A, "latest"]), json!("0xff")),
        ("eth_getBalance", json!([A]), json!("0xff")),
        ("eth_getBalance", json!([A, { "blockNumber": "0x7" }]), json!("0xff")),
        ("eth_getTransactionCount", json!([A, "latest"]), json!("0x3")),
        ("eth_getTransactionCount", json!([A, "pending"]), json!("0x4")),
        ("eth_getCode", json!([A, "latest"]), json!("0x6001")),
        (
            "eth_getStorageAt",
            json!([A, "0x0f", "latest"]),
            json!(format!("0x{}0f", "00".repeat(31))),
        ),
        ("eth_call", json!([{ "to": A, "data": "0x0203" }, "latest"]), json!("0x0203")),
        ("eth_call", json!([{ "to": A, "input": "0x02" }, "latest", {}]), json!("0x02")),
        ("eth_estimateGas", json!([{ "from": A, "to": A, "value": "0x1" }]), json!("0x5208")),
        ("eth_sendRawTransaction", json!([raw]), json!(raw_hash)),
        ("eth_sendRawTransactionSync", json!([raw, 1000]), receipt()),
        ("eth_getTransactionByHash", json!([h("aa")]), transaction()),
        ("eth_getTransactionByHash", json!([h("00")]), json!(null)),
        ("eth_getTransactionReceipt", json!([h("aa")]), receipt()),
        ("eth_getTransactionReceipt", json!([h("00")]), json!(null)),
        ("eth_getTransactionByBlockNumberAndIndex", json!(["0x7", "0x0"]), transaction()),
        ("eth_getTransactionByBlockNumberAndIndex", json!(["0x7", "0x1"]), json!(null)),
        ("eth_getTransactionByBlockHashAndIndex", json!([h("07"), "0x0"]), transaction()),
        ("eth_getBlockByNumber", json!(["latest", false]), block(&json!([h("aa")]))),
        ("eth_getBlockByNumber", json!(["finalized", true]), block(&json!([transaction()]))),
        ("eth_getBlockByNumber", json!(["0x63", false]), json!(null)),
        ("eth_getBlockByHash", json!([h("07"), false]), block(&json!([h("aa")]))),
        ("eth_getBlockReceipts", json!(["latest"]), json!([receipt()])),
        ("eth_getBlockTransactionCountByNumber", json!(["0x7"]), json!("0x1")),
        ("eth_getBlockTransactionCountByHash", json!([h("07")]), json!("0x1")),
        ("eth_getUncleCountByBlockNumber", json!(["0x7"]), json!("0x0")),
        ("eth_getUncleCountByBlockHash", json!([h("07")]), json!("0x0")),
        ("eth_getLogs", json!([filter]), json!([log()])),
        ("eth_getLogs", json!([other]), json!([])),
    ];
    for (method, params, expected) in cases {
        assert_eq!(rpc(&node, method, params.clone()).await, expected, "{method} {params}");
    }
}

#[tokio::test]
async fn errors_follow_the_conventions() {
    let node = start(quick()).await;
    let cases: Vec<(&str, Value, i64, &str)> = vec![
        ("eth_foo", json!([]), -32601, "the method eth_foo does not exist/is not available"),
        ("eth_subscribe", json!(["newHeads"]), -32601, "the method eth_subscribe does not exist"),
        ("eth_getBalance", json!([]), -32602, "missing value for required argument 0"),
        ("eth_getBalance", json!({}), -32602, "non-array args"),
        ("eth_chainId", json!([1]), -32602, "too many arguments, want at most 0"),
        (
            "eth_getBalance",
            json!(["0x01", "latest"]),
            -32602,
            "invalid argument 0: hex string has length 2, want 40 for an address",
        ),
        (
            "eth_getBalance",
            json!([A, "0x01"]),
            -32602,
            "invalid argument 1: hex number with leading zero digits",
        ),
        ("eth_getBalance", json!([A, "0x3"]), -32000, "state of block 3 is not kept"),
        ("eth_getBlockByNumber", json!(["latest", 1]), -32602, "invalid argument 1"),
        ("eth_call", json!([{ "to": A, "gas": "100" }]), -32602, "invalid argument 0: gas: hex"),
        ("eth_call", json!([{ "to": A, "data": "0x1" }]), -32602, "invalid argument 0: data: hex"),
        (
            "eth_call",
            json!([{ "gasPrice": "0x1", "maxFeePerGas": "0x1" }]),
            -32602,
            "invalid argument 0: both gasPrice and",
        ),
        ("eth_call", json!([{ "data": "0x01" }]), -32000, "out of gas"),
        ("eth_call", json!([{ "chainId": "0x1" }]), -32602, "invalid argument 0: chainId does not"),
        ("eth_getLogs", json!([{ "fromBlock": "earliest" }]), -32005, "query returned more than"),
        (
            "eth_getLogs",
            json!([{ "fromBlock": "0x7", "toBlock": "0x6" }]),
            -32602,
            "invalid block range",
        ),
        (
            "eth_getLogs",
            json!([{ "blockHash": h("07"), "toBlock": "0x6" }]),
            -32602,
            "invalid argument 0: cannot specify both",
        ),
        ("eth_feeHistory", json!(["0x1", "latest", [50, 10]]), -32602, "invalid argument 2"),
        ("eth_sendRawTransaction", json!(["ff"]), -32602, "invalid argument 0: hex string without"),
    ];
    for (method, params, code, begins) in cases {
        refuses(&node, method, params, code, begins).await;
    }
}

#[tokio::test]
async fn a_revert_is_error_3_with_its_data() {
    let node = start(quick()).await;
    let reason = "4e6f7065";
    let data = format!("0x08c379a0{:064x}{:064x}{reason:0<64}", 32, 4);
    let error = rpc(&node, "eth_call", json!([{ "to": A, "data": data }])).await;
    let expected = json!({ "code": 3, "message": "execution reverted: Nope", "data": data });
    assert_eq!(error, expected);
    let error = rpc(&node, "eth_call", json!([{ "to": A, "data": "0x08" }])).await;
    assert_eq!(error, json!({ "code": 3, "message": "execution reverted", "data": "0x08" }));
}

#[tokio::test]
async fn a_reject_carries_its_stable_code() {
    let node = start(quick()).await;
    let words = |code: RejectCode| match code {
        RejectCode::NonceTooLow | RejectCode::NonceUsed => "nonce too low: ",
        RejectCode::NonceTooHigh => "nonce too high: ",
        RejectCode::InsufficientBalance => "insufficient funds for gas * price + value: ",
        RejectCode::AlreadyKnown => "already known: ",
        RejectCode::Underpriced => "replacement transaction underpriced: ",
        RejectCode::WrongChain => "invalid chain id for signer: ",
        _ => "",
    };
    for code in RejectCode::ALL {
        let raw = format!("0x{:04x}", code.number());
        let error = rpc(&node, "eth_sendRawTransaction", json!([raw])).await;
        let expected = json!({ "code": code.number(), "label": code.label() });
        assert_eq!(error["data"], expected, "{error}");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.starts_with(words(*code)) && message.ends_with("the sentence"));
        let number = match code {
            RejectCode::RateLimited => -32005,
            RejectCode::Busy | RejectCode::Halted => -32002,
            _ => -32000,
        };
        assert_eq!(error["code"], number);
    }
    let label = "atoll_gateway_rejects_total{reason=\"nonce_too_low\"}";
    assert_eq!(node.metric(label).await, 1.0);
}

#[tokio::test]
async fn what_ran_and_failed_has_its_hash() {
    let node = start(quick()).await;
    let hash = alloy_primitives::keccak256([0xfe, 0x01]).to_string();
    assert_eq!(rpc(&node, "eth_sendRawTransaction", json!(["0xfe01"])).await, json!(hash));
}

#[tokio::test]
async fn a_wallet_is_told_of_the_chain() {
    let node = start(quick()).await;
    for path in ["/evm/evm", "/hub"] {
        let answer = get(node.address, &format!("{path}/chain.json")).await;
        assert_eq!(answer.status, 200);
        let expected = json!({
            "chainId": "0x1092", "chainName": "Atoll evm",
            "nativeCurrency": { "name": "ETH", "symbol": "ETH", "decimals": 18 },
            "rpcUrls": [format!("http://x{path}"), format!("ws://x{path}")],
            "blockExplorerUrls": [],
        });
        assert_eq!(answer.json(), expected);
    }
    let asked = |head: &'static str| async move {
        let mut client = crate::client::Client::connect(node.address).await;
        let request = format!("GET /evm/evm/chain.json HTTP/1.1\r\n{head}\r\n\r\n");
        client.send(request).await;
        client.read().await.expect("an answer").json()["rpcUrls"][0].clone()
    };
    let secure = asked("host: chain.example:8443\r\nx-forwarded-proto: https").await;
    assert_eq!(secure, "https://chain.example:8443/evm/evm");
    // What is no host is not repeated.
    let strange = asked("host: <script>").await;
    assert!(strange.as_str().is_some_and(|url| url.starts_with("http://127.0.0.1")), "{strange}");
    let posted = post(node.address, "/evm/evm/chain.json", "{}").await;
    assert_eq!(posted.status, 405);
    let nowhere = get(node.address, "/evm/nowhere/chain.json").await;
    assert_eq!((nowhere.status, &nowhere.json()["error"]["data"]["code"]), (404, &json!(102)));
}

#[tokio::test]
async fn tokens_that_fees_may_be_paid_in_are_listed() {
    let node = start(quick()).await;
    let request =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "atoll_getFeeTokens", "params": [] });
    let answer = post(node.address, "/evm/evm", &request.to_string()).await.json();
    let token = json!("0xfefefefefefefefefefefefefefefefefefefefe");
    assert_eq!(answer["result"], json!([{ "token": token, "price": "0xb2d05e00" }]));
}

#[tokio::test]
async fn proofs_are_not_ethereum_s() {
    let node = start(quick()).await;
    let error = rpc(&node, "eth_getProof", json!([A, [], "latest"])).await;
    assert_eq!(error["code"], -32000);
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.contains("ask atoll_getProof"), "{message}");
    for (params, begins) in [
        (json!([A, vec!["0x0"; 65]]), "invalid argument 1: 65 storage keys, at most 64"),
        (json!([A, ["0xzz"]]), "invalid argument 1: invalid hex string"),
        (json!([A, [], "0x1"]), "invalid argument 2: only the last settled state"),
        (json!([A, ["0x0"]]), "nothing is proven here"),
    ] {
        let error = rpc(&node, "atoll_getProof", params).await;
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.starts_with(begins), "{message}");
    }
}

#[tokio::test]
async fn envelopes_are_checked() {
    let node = start(Limits { batch_max: 3, ..quick() }).await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_params = format!(
        r#"{{"jsonrpc":"2.0","id":9,"method":"eth_call","params":{}1{}}}"#,
        "[".repeat(500),
        "]".repeat(500)
    );
    let one = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let four = format!("[{one},{one},{one},{one}]");
    let flood = format!("[{}1]", "1,".repeat(200_000));
    for (body, code, id) in [
        ("", -32700, json!(null)),
        ("{", -32700, json!(null)),
        ("nonsense", -32700, json!(null)),
        ("\u{1}\u{2}", -32700, json!(null)),
        (deep_params.as_str(), -32600, json!(9)),
        ("[]", -32600, json!(null)),
        ("5", -32600, json!(null)),
        (r#"{"id":3}"#, -32600, json!(3)),
        (r#"{"id":3,"method":"eth_chainId"}"#, -32600, json!(3)),
        (r#"{"jsonrpc":"1.0","id":3,"method":"eth_chainId"}"#, -32600, json!(3)),
        (r#"{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}"#, -32600, json!(null)),
        (four.as_str(), -32600, json!(null)),
        (flood.as_str(), -32600, json!(null)),
    ] {
        let answer = post(node.address, "/evm/evm", body).await;
        let value = answer.json();
        let shown: String = body.chars().take(60).collect();
        assert_eq!(value["error"]["code"], code, "{shown}: {value}");
        assert_eq!(value["id"], id, "{shown}: {value}");
    }
    // Depth alone costs nothing: what is no request is refused without being built.
    let answer = post(node.address, "/evm/evm", &deep).await.json();
    assert_eq!(answer[0]["error"]["code"], -32600, "{answer}");
    // Ids come back as they were; a notification is not answered; a null id is an id.
    let batch = r#"[{"jsonrpc":"2.0","id":18446744073709551617,"method":"eth_chainId"},
        {"jsonrpc":"2.0","method":"eth_chainId"},
        {"jsonrpc":"2.0","id":null,"method":"eth_no\u0077"}]"#;
    let text = post(node.address, "/evm/evm", batch).await.text();
    assert_eq!(
        text,
        "[{\"jsonrpc\":\"2.0\",\"id\":18446744073709551617,\"result\":\"0x1092\"},\
         {\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32601,\
         \"message\":\"the method eth_now does not exist/is not available\"}}]"
    );
    let silent =
        post(node.address, "/evm/evm", r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#).await;
    assert_eq!((silent.status, silent.body.len()), (200, 0));
}

#[tokio::test]
async fn other_environments_and_methods_are_refused() {
    let node = start(quick()).await;
    let answer = post(node.address, "/evm/nowhere", "{}").await;
    assert_eq!(answer.status, 404);
    let error = &answer.json()["error"];
    assert_eq!(error["data"], json!({ "code": 102, "label": "unknown_environment" }));
    assert_eq!(error["message"], "there is no EVM environment 'nowhere'; there are: evm");
    let answer = get(node.address, "/evm/evm").await;
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (405, json!(-32600)));
}

#[tokio::test]
async fn logs_are_bounded_in_blocks() {
    let node = start(Limits { log_blocks_max: 3, ..quick() }).await;
    let error = rpc(&node, "eth_getLogs", json!([{ "fromBlock": "0x4" }])).await;
    assert_eq!(
        error,
        json!({ "code": -32005,
            "message": "block range too large: 4 blocks, at most 3; ask in parts" })
    );
    assert!(rpc(&node, "eth_getLogs", json!([{ "fromBlock": "0x5" }])).await.is_array());
    // Far beyond the head there is nothing, and that is no error.
    let far = json!([{ "fromBlock": "0x6", "toBlock": "0xffffffffffffffff" }]);
    assert!(rpc(&node, "eth_getLogs", far).await.is_array());
}
