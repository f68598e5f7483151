//! What users ask about later: fills, trades and orders that are gone outlive the process, and
//! what was open when it died is still followed.

mod common;

use atoll_vm::exchange::build;
use common::{Node, Trader, now_ms};
use serde_json::{Value, json};

impl Trader {
    fn ask(&self, node: &Node, kind: &str) -> Value {
        let (status, answer) = node.post("/info", &json!({ "type": kind, "user": self.user() }));
        assert_eq!(status, 200, "{answer}");
        answer
    }

    fn status(&self, node: &Node, oid: &Value) -> Value {
        let body = json!({ "type": "orderStatus", "user": self.user(), "oid": oid });
        node.post("/info", &body).1
    }
}

#[test]
fn fills_and_ended_orders_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let args = ["--rate", "0", "--snapshot-interval", "10"];
    let mut node = Node::start(&data, &args);
    let (mut alice, mut bob) = (Trader::new("agent-0"), Trader::new("agent-1"));
    let started = now_ms();
    let mids =
        node.eventually_post("/info", &json!({ "type": "allMids" }), |v| v["BTC"].is_string());
    let mid = mids["BTC"].as_str().unwrap().parse::<f64>().unwrap() as u64;
    let btc = json!({ "type": "recentTrades", "coin": "BTC" });

    // Filled in two parts, cancelled after a part, cancelled by its client id, and left open.
    alice.order(&node, true, mid, "0.5", Some(1));
    bob.order(&node, false, mid, "0.2", None);
    bob.order(&node, false, mid, "0.3", None);
    alice.order(&node, true, mid, "0.4", Some(2));
    bob.order(&node, false, mid, "0.1", None);
    alice.act(&node, build::cancels_by_client_id(&[(0, [2; 16])]));
    alice.order(&node, true, mid - 10, "0.7", Some(3));
    bob.order(&node, false, mid - 10, "0.2", None);

    let open = alice.ask(&node, "openOrders");
    let left = open[0]["oid"].clone();
    assert_eq!((open.as_array().unwrap().len(), &open[0]["sz"]), (1, &json!("0.5")), "{open}");
    let told = |node: &Node, alice: &Trader, bob: &Trader| {
        let by_client =
            |n: u8| alice.status(node, &json!(format!("0x{}", format!("{n:02x}").repeat(16))));
        json!([
            alice.ask(node, "userFills"),
            bob.ask(node, "userFills"),
            alice.ask(node, "historicalOrders"),
            bob.ask(node, "historicalOrders"),
            node.post("/info", &btc).1,
            [by_client(1), by_client(2), by_client(3)],
        ])
    };
    let before = told(&node, &alice, &bob);
    let sizes = |fills: &Value| -> Vec<String> {
        fills.as_array().unwrap().iter().map(|f| f["sz"].as_str().unwrap().into()).collect()
    };
    assert_eq!(sizes(&before[0]), ["0.2", "0.1", "0.3", "0.2"]);
    assert_eq!(sizes(&before[1]), sizes(&before[0]));
    assert_eq!(sizes(&before[4]), sizes(&before[0]));
    let statuses: Vec<_> = (0..3).map(|n| before[5][n]["order"]["status"].clone()).collect();
    assert_eq!(statuses, ["filled", "canceled", "open"]);
    assert_eq!(before[2].as_array().unwrap().len(), 2);

    // Past a snapshot, so that recovery does not execute any of it again.
    let slot = node.get("/atoll/status").1["finalised_slot"].as_u64().unwrap();
    let behind = |v: &Value| v["finalised_slot"].as_u64().unwrap() > slot + 25;
    node.eventually_get("/atoll/status", behind);
    assert_eq!(told(&node, &alice, &bob), before, "from history alone");
    node.kill();
    let node = Node::start(&data, &args);
    assert_eq!(told(&node, &alice, &bob), before, "after a restart");

    // The order that was open all the while.
    bob.order(&node, false, mid - 10, "0.5", None);
    assert_eq!(alice.status(&node, &left)["order"]["status"], "filled");
    assert_eq!(alice.ask(&node, "historicalOrders")[0]["order"]["oid"], left);
    assert_eq!(sizes(&alice.ask(&node, "userFills")), ["0.5", "0.2", "0.1", "0.3", "0.2"]);

    // By time, oldest first.
    let by_time = json!({ "type": "userFillsByTime", "user": alice.user(), "startTime": started });
    assert_eq!(sizes(&node.post("/info", &by_time).1), ["0.2", "0.3", "0.1", "0.2", "0.5"]);
    let none =
        json!({ "type": "userFillsByTime", "user": alice.user(), "startTime": now_ms() + 9_000 });
    assert_eq!(node.post("/info", &none).1, json!([]));
}
