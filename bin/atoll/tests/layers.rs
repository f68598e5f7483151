//! A network that publishes its spans to another layer as well: Ethereum's blobs, on a real anvil.
#![cfg(feature = "layer-blobs")]

mod common;

use common::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

struct Anvil(Child, String);

impl Anvil {
    fn start() -> Option<Self> {
        let Some(program) = std::env::var_os("ATOLL_ANVIL") else {
            println!("skipped: ATOLL_ANVIL does not name an anvil");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--silent"])
            .args(["--block-time", "1", "--slots-in-an-epoch", "1"])
            .stdout(Stdio::null())
            .spawn()
            .expect("anvil starts");
        let anvil = Self(child, format!("127.0.0.1:{port}"));
        let end = Instant::now() + Duration::from_secs(20);
        while anvil.try_ask("eth_chainId", json!([])).is_none() {
            assert!(Instant::now() < end, "anvil does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        anvil.ask("anvil_setBalance", json!([payer(), "0x56bc75e2d63100000"]));
        Some(anvil)
    }

    fn try_ask(&self, method: &str, params: Value) -> Option<Value> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        Some(http(&self.1, "POST", "/", &body.to_string())?.1["result"].clone())
    }

    fn ask(&self, method: &str, params: Value) -> Value {
        self.try_ask(method, params).expect("anvil answers")
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Who pays for blobs if no key is given.
fn payer() -> String {
    atoll_types::crypto::SigningKey::from_label("blobs").address().to_string()
}

fn fetch(node: &Node, layer: &str, slot: u64) -> Output {
    let (url, slot) = (format!("http://{}", node.address), slot.to_string());
    let args = ["da", "fetch", "--json", "--url", &url, "--slot", &slot, "--from", layer];
    atoll().args(args).output().unwrap()
}

fn wait(node: &Node, wanted: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let settlement = node.get("/atoll/settlement").1;
        if wanted(&settlement["layers"][0]) {
            return settlement;
        }
        assert!(Instant::now() < end, "{settlement}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn spans_go_to_blobs_once_and_come_back_as_committed() {
    let Some(anvil) = Anvil::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let layer = format!("blobs:http://{}", anvil.1);
    let args = ["--rate", "200", "--also-publish", &layer];
    let mut node = Node::start(&data, &args);
    wait(&node, |layer| layer["published"].as_u64() >= Some(1));
    // Killed while it publishes: goes on, and pays for nothing twice.
    node.kill();
    let node = Node::start(&data, &args);
    wait(&node, |layer| layer["finalised"].as_u64() >= Some(3));

    let output = fetch(&node, &layer, 20);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let value: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!((value["first_slot"].as_u64(), value["last_slot"].as_u64()), (Some(1), Some(50)));
    assert_eq!((&value["finalised"], &value["read"]["slots"]), (&json!(true), &json!(50)));
    assert!(value["read"]["steps"].as_u64() > Some(300), "{value}");

    // A span that is not there yet, and a chain that does not have it.
    let late = fetch(&node, &layer, 1_000_000);
    assert!(!late.status.success());
    let other = Anvil::start().unwrap();
    let elsewhere = fetch(&node, &format!("blobs:http://{}", other.1), 20);
    let said = String::from_utf8_lossy(&elsewhere.stderr);
    assert!(!elsewhere.status.success() && said.contains("blobs"), "{said}");

    // Everything was paid for once: as many transactions as receipts, and perhaps one on its way.
    let sent = || {
        let nonce = anvil.ask("eth_getTransactionCount", json!([payer(), "latest"]));
        usize::from_str_radix(nonce.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    };
    let before = sent();
    let published = wait(&node, |_| true)["layers"][0]["published"].as_u64().unwrap();
    let receipts: BTreeSet<String> = (0..published)
        .map(|n| {
            node.get(&format!("/atoll/da/{}", 50 * n + 1)).1["layers"][0]["receipt"].to_string()
        })
        .collect();
    assert!(!receipts.contains("null"), "a published span has no receipt");
    assert!(before <= receipts.len() + 1 && receipts.len() <= sent(), "{before}: {receipts:?}");

    // The layer is gone: everything else goes on, and it is told.
    let settled = wait(&node, |_| true)["settled"].as_u64().unwrap();
    drop(anvil);
    let settlement = wait(&node, |layer| layer["problem"].is_string());
    assert!(settlement["layers"][0]["failures"].as_u64() >= Some(1));
    node.eventually_get("/atoll/settlement", |now| now["settled"].as_u64() > Some(settled));
    let metrics = text(&node.address, "/metrics");
    assert!(metrics.contains("atoll_layer_commitment{layer=\"blobs\",stage=\"published\"}"));
}
