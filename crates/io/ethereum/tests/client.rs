//! The client against nodes that misbehave: a socket that answers whatever the test says.

use atoll_ethereum::deploy::{self, DeployOptions};
use atoll_ethereum::{BlockId, CallRequest, Client, ClientError, Limits, LogFilter, SendRefusal};
use atoll_types::crypto::SigningKey;
use atoll_types::{Address, B256, U256};
use std::io::{Read, Write};
use std::net::TcpListener;

/// Answers one connection after the other with these bytes; `{id}` becomes the request's id.
fn node(answers: Vec<(u16, String)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            // Until the JSON object of the body is complete.
            while !request.ends_with(b"}") {
                let n = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..n]);
                if n == 0 {
                    break;
                }
            }
            let text = String::from_utf8(request).unwrap();
            let id = text.split("\"id\":").nth(1).unwrap();
            let id: String = id.chars().take_while(char::is_ascii_digit).collect();
            let body = body.replace("{id}", &id);
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    url
}

fn client(answer: &str) -> Client {
    answering(200, answer)
}

fn answering(status: u16, answer: &str) -> Client {
    let url = node(vec![(status, answer.to_string())]);
    let limits = Limits { response_bytes_max: 2_000, request_ms: 1_000, ..Limits::default() };
    Client::new(&url, limits).unwrap()
}

#[test]
fn good_answers_are_read() {
    let result =
        |text: &str| client(&format!(r#"{{"jsonrpc":"2.0","id":{{id}},"result":{text}}}"#));
    assert_eq!(result("\"0x7a69\"").chain_id(), Ok(31_337));
    assert_eq!(result("null").block(BlockId::Finalized), Ok(None));
    assert_eq!(result("\"0x\"").code(Address::ZERO, BlockId::Latest), Ok(Vec::new()));
    let hash = B256::repeat_byte(1);
    let block = result(&format!(
        r#"{{"number":"0x10","hash":"{hash}","parentHash":"{hash}","timestamp":"0x65",
            "gasLimit":"0x1c9c380","baseFeePerGas":"0x7","transactions":["{hash}"]}}"#
    ));
    let block = block.block(BlockId::Latest).unwrap().unwrap();
    assert_eq!((block.number, block.base_fee_wei, block.transactions), (16, 7, vec![hash]));
}

#[test]
fn errors_say_what_to_do_with_them() {
    // Nobody listens.
    let dead = Client::new("http://127.0.0.1:1", Limits::default()).unwrap();
    assert!(dead.chain_id().unwrap_err().is_temporary());
    // HTTP.
    let overloaded = answering(503, "try later").chain_id().unwrap_err();
    assert!(overloaded.is_temporary(), "{overloaded}");
    let unauthorised = answering(401, "who are you").chain_id().unwrap_err();
    assert!(!unauthorised.is_temporary());
    assert!(unauthorised.to_string().contains("who are you"));
    // Too long.
    let long = format!(r#"{{"id":{{id}},"result":"{}"}}"#, "x".repeat(3_000));
    let error = client(&long).chain_id().unwrap_err();
    assert!(matches!(error, ClientError::TooLong { .. }), "{error:?}");
    // What is not JSON-RPC, or another request's answer.
    for bad in [
        "<html>",
        "[]",
        r#"{"jsonrpc":"2.0","id":{id}}"#,
        r#"{"jsonrpc":"2.0","id":999999,"result":"0x1"}"#,
        r#"{"jsonrpc":"2.0","id":{id},"result":1}"#,
        r#"{"jsonrpc":"2.0","id":{id},"result":"1"}"#,
        r#"{"jsonrpc":"2.0","id":{id},"result":"0xzz"}"#,
        r#"{"jsonrpc":"2.0","id":{id},"result":"0x10000000000000000"}"#,
    ] {
        let error = client(bad).chain_id().unwrap_err();
        assert!(matches!(error, ClientError::Decode { .. }), "{bad}: {error:?}");
        assert!(!error.is_temporary());
    }
    for url in ["ftp://x", "localhost:8545", ""] {
        assert!(matches!(Client::new(url, Limits::default()), Err(ClientError::Url { .. })));
    }
}

#[test]
fn a_node_that_never_answers_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let limits = Limits { request_ms: 200, ..Limits::default() };
    let started = std::time::Instant::now();
    let error = Client::new(&url, limits).unwrap().chain_id().unwrap_err();
    assert!(error.is_temporary() && started.elapsed().as_secs() < 5, "{error}");
}

#[test]
fn reverts_are_told_in_words() {
    let cases = [
        // Error(string): "not today"
        (
            concat!(
                "0x08c379a0",
                "0000000000000000000000000000000000000000000000000000000000000020",
                "0000000000000000000000000000000000000000000000000000000000000009",
                "6e6f7420746f6461790000000000000000000000000000000000000000000000"
            ),
            "not today",
        ),
        // Panic(0x11)
        ("0x4e487b710000000000000000000000000000000000000000000000000000000000000011", "panicked"),
        ("0xdeadbeef", "0xdeadbeef"),
    ];
    for (data, expected) in cases {
        for error in [
            format!(r#"{{"code":3,"message":"execution reverted","data":"{data}"}}"#),
            format!(r#"{{"code":-32000,"message":"reverted","data":{{"data":"{data}"}}}}"#),
        ] {
            let answer = format!(r#"{{"jsonrpc":"2.0","id":{{id}},"error":{error}}}"#);
            let call = CallRequest::read(Address::ZERO, Vec::new());
            let error = client(&answer).call(&call, BlockId::Latest).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.revert_data().is_some() && !error.is_temporary());
        }
    }
}

#[test]
fn what_became_of_a_transaction_is_read_from_the_words_nodes_use() {
    for (message, refusal) in [
        ("already known", SendRefusal::AlreadyKnown),
        ("transaction already imported", SendRefusal::AlreadyKnown),
        ("nonce too low: next nonce 5, tx nonce 4", SendRefusal::NonceTooLow),
        ("replacement transaction underpriced", SendRefusal::Underpriced),
        ("insufficient funds for gas * price + value", SendRefusal::InsufficientFunds),
        ("intrinsic gas too low", SendRefusal::Other),
    ] {
        let answer = format!(r#"{{"id":{{id}},"error":{{"code":-32000,"message":"{message}"}}}}"#);
        let error = client(&answer).send_raw(&[2]).unwrap_err();
        assert_eq!(error.send_refusal(), refusal, "{message}");
    }
}

#[test]
fn who_is_overtaken_takes_the_next_nonce() {
    let hash = B256::repeat_byte(7);
    let result = |text: &str| format!(r#"{{"jsonrpc":"2.0","id":{{id}},"result":{text}}}"#);
    let block = format!(
        r#"{{"number":"0x10","hash":"{hash}","parentHash":"{hash}","timestamp":"0x65",
            "gasLimit":"0x1c9c380","baseFeePerGas":"0x7","transactions":[]}}"#
    );
    let receipt = format!(
        r#"{{"transactionHash":"{hash}","blockNumber":"0x11","blockHash":"{hash}","status":"0x1",
            "gasUsed":"0x5208","logs":[]}}"#
    );
    let refused = r#"{"id":{id},"error":{"code":-32000,"message":"nonce too low"}}"#.to_string();
    // Nonce, gas, block, tip, balance; then what is said of the transaction.
    let before =
        |nonce: &str| [nonce, "\"0x5208\"", &block, "\"0x1\"", "\"0xffffffffffff\""].map(&result);
    let once = |nonce: &str| [&before(nonce)[..], &[refused.clone(), result("null")]].concat();
    let done =
        [&before("\"0x4\"")[..], &[result(&format!("\"{hash}\"")), result(&receipt)]].concat();
    let send = |answers: Vec<Vec<String>>| {
        // The chain; that nothing waits.
        let first = ["\"0x1\"", "\"0x3\"", "\"0x3\""].map(&result);
        let answers = first.into_iter().chain(answers.into_iter().flatten());
        let url = node(answers.map(|answer| (200, answer)).collect());
        let client = Client::new(&url, Limits::default()).unwrap();
        let key = SigningKey::from_label("overtaken");
        let options = DeployOptions::default();
        deploy::call(&client, &key, "pay", Address::ZERO, U256::ONE, Vec::new(), options)
    };
    let (_, sent) = send(vec![once("\"0x3\""), done]).unwrap();
    assert_eq!(sent.transaction, hash);
    // Not for ever.
    let error = send(vec![once("\"0x3\""); 6]).unwrap_err();
    assert!(error.to_string().contains("nonce too low"), "{error}");
}

#[test]
fn logs_that_were_not_asked_for_are_refused() {
    let (address, hash) = (Address::repeat_byte(1), B256::repeat_byte(2));
    let log = |address: Address, block: u64, removed: bool| {
        format!(
            r#"{{"address":"{address}","topics":["{hash}"],"data":"0x","blockNumber":"{block:#x}",
                "blockHash":"{hash}","transactionHash":"{hash}","logIndex":"0x0",
                "removed":{removed}}}"#
        )
    };
    let ask = |logs: String| {
        let filter = LogFilter { address, topics: vec![Some(hash), None], from: 5, to: 9 };
        client(&format!(r#"{{"jsonrpc":"2.0","id":{{id}},"result":[{logs}]}}"#)).logs(&filter)
    };
    let logs = ask(log(address, 9, false) + "," + &log(address, 5, false)).unwrap();
    assert_eq!(logs.iter().map(|log| log.block).collect::<Vec<_>>(), [5, 9]);
    assert!(ask(log(address, 10, false)).is_err());
    assert!(ask(log(address, 6, true)).is_err());
    assert!(ask(log(Address::ZERO, 6, false)).is_err());
}
