//! Every bound of the server, from the outside.

use crate::client::{Client, get, header, post, post_bytes};
use crate::node::{quick, start};
use atoll_rpc::{Config, Gateway, Limits};
use serde_json::json;
use std::time::{Duration, Instant};

const CHAIN_ID: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
const MS: fn(u64) -> Duration = Duration::from_millis;

#[tokio::test]
async fn an_oversized_body_is_refused_in_each_door_s_convention() {
    let node = start(Limits { body_bytes_max: 10_000, ..quick() }).await;
    let body = "x".repeat(10_001);
    let answer = post(node.address, "/evm/evm", &body).await;
    assert_eq!(answer.status, 413);
    let expected = json!({
        "jsonrpc": "2.0", "id": null, "error": {
            "code": -32600,
            "message": "the body is larger than 10000 bytes; send less in one request",
            "data": { "code": 101, "label": "oversized" },
        },
    });
    assert_eq!(answer.json(), expected);
    let answer = post(node.address, "/exchange", &body).await;
    assert_eq!((answer.status, answer.json()["status"].clone()), (413, json!("err")));
    let answer = post(node.address, "/atoll/transactions", &body).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (413, json!(101)));
    // One byte less is read.
    let answer = post(node.address, "/evm/evm", &body[1..]).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (200, json!(-32700)));
    // A length far beyond the bound, and chunks that tell theirs only as they come.
    let mut client = Client::connect(node.address).await;
    client
        .send(
            "POST /evm/evm HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n\
               content-length: 99999999999\r\n\r\n",
        )
        .await;
    assert_eq!(client.read().await.map(|answer| answer.status), Some(413));
    let mut client = Client::connect(node.address).await;
    client.send("POST /evm/evm HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let chunk = format!("1000\r\n{}\r\n", "y".repeat(4096));
    for _ in 0..15 {
        client.send(&chunk).await;
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.read().await.map(|answer| answer.status), Some(413));
    // Chunks that never end are read over for a while, and then not.
    let mut client = Client::connect(node.address).await;
    client.send("POST /evm/evm HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for _ in 0..20_000 {
        if tokio::io::AsyncWriteExt::write_all(&mut client.0, chunk.as_bytes()).await.is_err() {
            return;
        }
    }
    panic!("80 MB were taken");
}

#[tokio::test]
async fn slow_clients_are_cut_and_others_are_not() {
    let node = start(quick()).await;
    let begun = Instant::now();
    let mut silent = Client::connect(node.address).await;
    let mut slow_head = Client::connect(node.address).await;
    slow_head.send("POST /evm/evm HT").await;
    let mut dripping = Client::connect(node.address).await;
    let mut slow_body = Client::connect(node.address).await;
    slow_body.send("POST /evm/evm HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{").await;
    let drip = tokio::spawn(async move {
        for byte in "POST /evm/evm HTTP/1.1\r\n".bytes() {
            if tokio::io::AsyncWriteExt::write_all(&mut dripping.0, &[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(MS(50)).await;
        }
        dripping.closes_within(MS(10)).await
    });
    // A client that keeps asking stays, past all of those timeouts.
    let mut lively = Client::connect(node.address).await;
    for _ in 0..6 {
        lively.send(post_bytes("/evm/evm", CHAIN_ID)).await;
        assert_eq!(lively.read().await.expect("an answer").json()["result"], "0x1092");
        tokio::time::sleep(MS(200)).await;
    }
    assert!(silent.closes_within(MS(10)).await && slow_head.closes_within(MS(10)).await);
    assert!(drip.await.expect("no panic"));
    let answer = slow_body.read().await.expect("an answer");
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (408, json!(-32600)));
    assert!(begun.elapsed() < Duration::from_secs(5));
    // And once it is silent for the idle timeout, it goes too.
    assert!(lively.closes_within(MS(1500)).await);
    assert!(node.metric("atoll_gateway_connections_cut_total{reason=\"slow_head\"}").await >= 2.0);
}

#[tokio::test]
async fn a_full_table_makes_room_by_dropping_the_silent() {
    let limits = Limits { connections_max: 64, head_timeout: Duration::from_secs(60), ..quick() };
    let node = start(limits).await;
    let mut working = Client::connect(node.address).await;
    working.send(post_bytes("/evm/evm", CHAIN_ID)).await;
    assert!(working.read().await.is_some());
    let mut flood = Vec::new();
    for _ in 0..500 {
        flood.push(Client::connect(node.address).await);
    }
    // The one that had asked before still can, and so can a newcomer.
    working.send(post_bytes("/evm/evm", CHAIN_ID)).await;
    assert!(working.read().await.is_some());
    assert_eq!(post(node.address, "/evm/evm", CHAIN_ID).await.status, 200);
    assert!(node.metric("atoll_gateway_connections_cut_total{reason=\"evicted\"}").await > 400.0);
    assert!(node.metric("atoll_gateway_connections ").await <= 66.0);
}

#[tokio::test]
async fn when_everyone_is_busy_a_newcomer_is_told_so() {
    let limits = Limits { connections_max: 8, handler_timeout: MS(3000), ..quick() };
    let node = start(limits).await;
    let mut busy = Vec::new();
    for _ in 0..8 {
        let mut client = Client::connect(node.address).await;
        let never = r#"{"environment":"evm","bytes":"0xdd00"}"#;
        client.send(post_bytes("/atoll/transactions", never)).await;
        busy.push(client);
    }
    tokio::time::sleep(MS(100)).await;
    let mut late = Client::connect(node.address).await;
    let answer = late.read().await.expect("an answer");
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (503, json!(601)));
    assert_eq!(header(&answer.head, "connection"), Some("close"));
}

/// As many idle sockets as the process may open, up to ten thousand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_idle_sockets_do_not_hurt_the_rest() {
    let files = atoll_rpc::raise_open_files_limit().unwrap_or(20_000);
    let wanted = (usize::try_from(files).unwrap_or(usize::MAX) / 2).saturating_sub(500).min(10_000);
    let node = start(Limits { head_timeout: Duration::from_secs(120), ..Limits::default() }).await;
    let mut idle = Vec::new();
    for n in 0..wanted {
        idle.push(Client::connect(node.address).await);
        if n % 500 == 0 {
            let begun = Instant::now();
            assert_eq!(post(node.address, "/evm/evm", CHAIN_ID).await.status, 200, "after {n}");
            assert!(begun.elapsed() < Duration::from_secs(2), "after {n}: {:?}", begun.elapsed());
        }
    }
    assert_eq!(post(node.address, "/evm/evm", CHAIN_ID).await.status, 200);
    assert!(node.metric("atoll_gateway_connections ").await <= 4098.0);
}

#[tokio::test]
async fn requests_in_flight_are_bounded_and_time_out() {
    let node = start(Limits { in_flight_max: 2, ..quick() }).await;
    let never = post_bytes("/atoll/transactions", r#"{"environment":"evm","bytes":"0xdd00"}"#);
    let (mut a, mut b) = (Client::connect(node.address).await, Client::connect(node.address).await);
    a.send(&never).await;
    b.send(&never).await;
    tokio::time::sleep(MS(100)).await;
    let answer = post(node.address, "/evm/evm", CHAIN_ID).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (503, json!(-32002)));
    assert_eq!(answer.json()["error"]["data"]["label"], "busy");
    assert_eq!(a.read().await.expect("an answer").status, 504);
    assert_eq!(b.read().await.expect("an answer").status, 504);
    assert_eq!(post(node.address, "/evm/evm", CHAIN_ID).await.status, 200);
}

#[tokio::test]
async fn a_panic_is_answered_and_counted() {
    let node = start(quick()).await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"data":"0xee"}]}"#;
    let mut client = Client::connect(node.address).await;
    client.send(post_bytes("/evm/evm", call)).await;
    let answer = client.read().await.expect("an answer");
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (500, json!(-32603)));
    client.send(post_bytes("/evm/evm", CHAIN_ID)).await;
    assert_eq!(client.read().await.expect("an answer").status, 200);
    assert_eq!(node.metric("atoll_gateway_panics_total").await, 1.0);
}

#[tokio::test]
async fn heads_are_bounded() {
    let node = start(quick()).await;
    let mut client = Client::connect(node.address).await;
    let many: String = (0..100).map(|n| format!("h{n}: x\r\n")).collect();
    client.send(format!("GET /atoll HTTP/1.1\r\n{many}\r\n")).await;
    assert_eq!(client.read().await.map(|answer| answer.status), Some(431));
    let mut client = Client::connect(node.address).await;
    let long = "y".repeat(60_000);
    client.send(format!("GET /atoll HTTP/1.1\r\nlong: {long}\r\n\r\n")).await;
    assert_eq!(client.read().await.map(|answer| answer.status), Some(431));
    let mut client = Client::connect(node.address).await;
    client.send("\x16\x03\x01 this is not HTTP\r\n\r\n").await;
    assert_eq!(client.read().await.map(|answer| answer.status), Some(400));
}

#[tokio::test]
async fn a_rate_per_address_can_be_set() {
    let node = start(Limits { requests_per_s_max: Some(5), ..quick() }).await;
    let mut client = Client::connect(node.address).await;
    let mut refused = 0;
    for _ in 0..10 {
        client.send(post_bytes("/evm/evm", CHAIN_ID)).await;
        let answer = client.read().await.expect("an answer");
        if answer.status == 429 {
            refused += 1;
            assert_eq!(answer.json()["error"]["code"], -32005);
            assert_eq!(header(&answer.head, "retry-after"), Some("1"));
        }
    }
    assert!((4..=5).contains(&refused), "{refused}");
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_cut() {
    let node = start(quick()).await;
    let mut client = Client::connect(node.address).await;
    let path = "/atoll/witnesses?environment=evm&slot=1000000&commands=0..2000";
    client.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    tokio::time::sleep(MS(1500)).await;
    assert_eq!(
        node.metric("atoll_gateway_connections_cut_total{reason=\"slow_reader\"}").await,
        1.0
    );
}

#[tokio::test]
async fn shutdown_lets_requests_end_and_waits_for_nobody_forever() {
    let mut node = start(Limits { handler_timeout: MS(200), ..quick() }).await;
    let mut idle = Client::connect(node.address).await;
    idle.send(post_bytes("/evm/evm", CHAIN_ID)).await;
    assert!(idle.read().await.is_some());
    let mut slow = Client::connect(node.address).await;
    let never = r#"{"environment":"evm","bytes":"0xdd00"}"#;
    slow.send(post_bytes("/atoll/transactions", never)).await;
    tokio::time::sleep(MS(50)).await;
    node.stop.take().expect("running").send(()).expect("serving");
    assert_eq!(slow.read().await.map(|answer| answer.status), Some(504));
    assert!(idle.closes_within(MS(400)).await);
    tokio::time::timeout(Duration::from_secs(2), node.served).await.expect("ends").expect("ended");
}

#[tokio::test]
async fn a_taken_port_names_who_has_it() {
    let node = start(quick()).await;
    let ports = crate::node::ports();
    let config = Config { listen: node.address, ..Config::default() };
    let Err(error) = Gateway::bind(config, ports).await else { panic!("bound twice") };
    let text = error.to_string();
    assert!(text.contains(&node.address.to_string()) && text.contains("--listen"), "{text}");
    if cfg!(target_os = "linux") {
        assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    }
}

#[tokio::test]
async fn browsers_may_ask_from_anywhere_without_credentials() {
    let node = start(quick()).await;
    let mut client = Client::connect(node.address).await;
    client.send("OPTIONS /evm/evm HTTP/1.1\r\nhost: x\r\norigin: http://a\r\n\r\n").await;
    let answer = client.read().await.expect("an answer");
    assert_eq!(answer.status, 204);
    for answer in [answer, get(node.address, "/atoll").await] {
        assert_eq!(header(&answer.head, "access-control-allow-origin"), Some("*"));
        assert_eq!(header(&answer.head, "access-control-allow-credentials"), None);
    }
}
