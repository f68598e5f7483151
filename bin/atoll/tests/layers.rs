//! A network that publishes its spans to another layer as well: Ethereum's blobs, on a real anvil.
#![cfg(feature = "layer-blobs")]

mod common;

use common::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Output;
use std::time::{Duration, Instant};

/// An anvil on which the payer has money.
fn anvil() -> Option<Anvil> {
    let anvil = Anvil::start()?;
    rpc(&anvil.1, "/", "anvil_setBalance", json!([payer(), "0x56bc75e2d63100000"]));
    Some(anvil)
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
    wait_for(node, |settlement| wanted(&settlement["layers"][0]))
}

fn wait_for(node: &Node, wanted: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let settlement = node.get("/atoll/settlement").1;
        if wanted(&settlement) {
            return settlement;
        }
        assert!(Instant::now() < end, "{settlement}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn spans_go_to_blobs_once_and_come_back_as_committed() {
    let Some(anvil) = anvil() else { return };
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
        let nonce =
            rpc(&anvil.1, "/", "eth_getTransactionCount", json!([payer(), "latest"])).unwrap();
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
    wait_for(&node, |now| now["settled"].as_u64() > Some(settled));
    let metrics = text(&node.address, "/metrics");
    assert!(metrics.contains("atoll_layer_commitment{layer=\"blobs\",stage=\"published\"}"));
}
