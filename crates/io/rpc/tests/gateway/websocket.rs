//! WebSockets: subscriptions and bounds.

use crate::node::{Running, block, log, quick, start};
use atoll_rpc::Limits;
use atoll_rpc::port::EvmHead;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) async fn connect(node: &Running) -> Socket {
    connect_async(format!("ws://{}/evm/evm", node.address)).await.expect("upgrade").0
}

async fn next(socket: &mut Socket) -> Message {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(10), socket.next()).await;
        match next.expect("in time").expect("open").expect("a frame") {
            Message::Ping(_) | Message::Pong(_) => {}
            message => return message,
        }
    }
}

pub(crate) async fn json_of(socket: &mut Socket) -> Value {
    serde_json::from_str(next(socket).await.to_text().expect("text")).expect("JSON")
}

pub(crate) async fn call(socket: &mut Socket, method: &str, params: Value) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    socket.send(Message::text(request.to_string())).await.expect("send");
    json_of(socket).await
}

async fn closed(socket: &mut Socket) -> (u16, String) {
    loop {
        if let Message::Close(Some(frame)) = next(socket).await {
            return (frame.code.into(), frame.reason.to_string());
        }
    }
}

fn head() -> Arc<EvmHead> {
    Arc::new(EvmHead { block: block(), logs: vec![log()] })
}

#[tokio::test]
async fn heads_and_logs_are_subscribed_to() {
    let node = start(Limits { ws_subscriptions_max: 2, ..quick() }).await;
    let mut socket = connect(&node).await;
    assert_eq!(call(&mut socket, "eth_chainId", json!([])).await["result"], "0x1092");
    assert_eq!(call(&mut socket, "eth_subscribe", json!(["newHeads"])).await["result"], "0x1");
    let filter = json!({ "address": log().address });
    let answer = call(&mut socket, "eth_subscribe", json!(["logs", filter])).await;
    assert_eq!(answer["result"], "0x2");
    let error = call(&mut socket, "eth_subscribe", json!(["newHeads"])).await["error"].take();
    assert_eq!((&error["code"], &error["data"]["code"]), (&json!(-32005), &json!(600)));
    node.feeds.heads.send(head()).expect("subscribed");
    let mut events = [json_of(&mut socket).await, json_of(&mut socket).await];
    events.sort_by_key(|event| event["params"]["subscription"].to_string());
    assert_eq!(events[0]["method"], "eth_subscription");
    assert_eq!(events[0]["params"]["result"], crate::evm::header());
    assert_eq!(events[1]["params"]["result"]["logIndex"], "0x0");
    assert_eq!(call(&mut socket, "eth_unsubscribe", json!(["0x1"])).await["result"], true);
    let again = call(&mut socket, "eth_unsubscribe", json!(["0x1"])).await;
    assert_eq!(again["error"]["message"], "subscription not found");
    let unknown = call(&mut socket, "eth_subscribe", json!(["syncing"])).await;
    assert_eq!(unknown["error"]["code"], -32602);
    node.feeds.heads.send(head()).expect("subscribed");
    assert_eq!(json_of(&mut socket).await["params"]["subscription"], "0x2");
}

#[tokio::test]
async fn messages_are_bounded() {
    let node = start(Limits { ws_message_bytes_max: 5000, ..quick() }).await;
    let mut socket = connect(&node).await;
    socket.send(Message::text("x".repeat(4000))).await.expect("send");
    assert_eq!(json_of(&mut socket).await["error"]["code"], -32700);
    socket.send(Message::text("x".repeat(6000))).await.expect("send");
    assert_eq!(closed(&mut socket).await.0, 1009);
    let mut socket = connect(&node).await;
    // Bytes are taken for text, if they are.
    let asked = br#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    socket.send(Message::binary(asked.to_vec())).await.expect("send");
    assert!(json_of(&mut socket).await["result"].is_string());
    socket.send(Message::binary(vec![0xff])).await.expect("send");
    assert_eq!(closed(&mut socket).await.0, 1003);
}

#[tokio::test]
async fn a_slow_consumer_is_disconnected_with_a_reason() {
    let node = start(Limits { write_timeout: Duration::from_secs(30), ..quick() }).await;
    let mut slow = connect(&node).await;
    let mut quick = connect(&node).await;
    call(&mut slow, "eth_subscribe", json!(["newHeads"])).await;
    call(&mut quick, "eth_subscribe", json!(["newHeads"])).await;
    let mut large = block();
    large.extra_data = vec![7; 20_000].into();
    let large = Arc::new(EvmHead { block: large, logs: Vec::new() });
    for _ in 0..15 {
        for _ in 0..100 {
            node.feeds.heads.send(large.clone()).expect("subscribed");
        }
        // The quick one takes everything while the slow one takes nothing.
        for _ in 0..100 {
            next(&mut quick).await;
        }
    }
    // The farewell to one that does not read takes its second.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let reason = "atoll_gateway_websockets_ended_total{reason=\"slow consumer";
    assert_eq!(node.metric(reason).await, 1.0);
    assert!(call(&mut quick, "eth_chainId", json!([])).await["result"].is_string());
}

#[tokio::test]
async fn silent_websockets_are_closed_and_answering_ones_are_not() {
    let limits = Limits {
        ws_ping_interval: Duration::from_millis(100),
        ws_idle_timeout: Duration::from_millis(400),
        ..quick()
    };
    let node = start(limits).await;
    let mut alive = connect(&node).await;
    let mut dead = connect(&node).await;
    let kept = tokio::spawn(async move {
        // Reading is what makes the client answer pings.
        let quiet = tokio::time::timeout(Duration::from_millis(1500), next(&mut alive)).await;
        assert!(quiet.is_err(), "{quiet:?}");
        call(&mut alive, "eth_chainId", json!([])).await
    });
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(closed(&mut dead).await.0, 1008);
    assert_eq!(kept.await.expect("no panic")["result"], "0x1092");
}

#[tokio::test]
async fn websockets_are_bounded_in_number_and_end_at_shutdown() {
    let mut node = start(Limits { websockets_max: 1, ..quick() }).await;
    let mut first = connect(&node).await;
    let second = connect_async(format!("ws://{}/evm/evm", node.address)).await;
    let Err(tokio_tungstenite::tungstenite::Error::Http(answer)) = second else {
        panic!("{second:?}");
    };
    assert_eq!(answer.status(), 503);
    node.stop.take().expect("running").send(()).expect("serving");
    assert_eq!(closed(&mut first).await.0, 1001);
    drop(first);
    tokio::time::timeout(Duration::from_secs(2), node.served).await.expect("ends").expect("ended");
}

#[tokio::test]
async fn a_panic_ends_only_its_own_socket() {
    let node = start(quick()).await;
    let mut socket = connect(&node).await;
    let call_of = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_call",
        "params": [{ "data": "0xee" }] });
    socket.send(Message::text(call_of.to_string())).await.expect("send");
    assert_eq!(closed(&mut socket).await.0, 1011);
    assert_eq!(node.metric("atoll_gateway_panics_total").await, 1.0);
}

#[tokio::test]
async fn a_rate_slows_a_socket_down_and_a_handler_that_hangs_ends_it() {
    let node = start(Limits { requests_per_s_max: Some(10), ..quick() }).await;
    let mut socket = connect(&node).await;
    let begun = std::time::Instant::now();
    for _ in 0..15 {
        assert_eq!(call(&mut socket, "eth_chainId", json!([])).await["result"], "0x1092");
    }
    assert!(begun.elapsed() > Duration::from_millis(400), "{:?}", begun.elapsed());
    let hangs = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction",
        "params": ["0xdd00"] });
    socket.send(Message::text(hangs.to_string())).await.expect("send");
    assert_eq!(closed(&mut socket).await, (1011, "no answer in time".to_owned()));
}
