//! SIGKILL at random moments while trading: what was confirmed is there, what was final is
//! unchanged, and the state is that of a clean replay of the log.
//!
//! `ATOLL_CRASH_ROUNDS` sets the number of kills (5 when not set; CI runs 50).

mod common;

use atoll_types::crypto::SigningKey;
use common::{Node, noop, now_ms, run};
use serde_json::Value;
use std::time::{Duration, Instant};

/// A small generator, so that a failure can be repeated from its seed.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn nothing_confirmed_is_lost_and_nothing_final_changes() {
    let rounds = std::env::var("ATOLL_CRASH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(5);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let args = ["--keep-log", "--rate", "300", "--snapshot-interval", "20"];
    let key = SigningKey::from_label("agent-59");
    let mut seed = 20_261_120u64;
    let mut confirmed: Vec<(String, Value)> = Vec::new();
    let mut finals: Vec<(u64, Value)> = Vec::new();
    let mut nonce = now_ms();
    for round in 0..rounds {
        let mut node = Node::start(&data, &args);
        // What the last round was told.
        for (hash, confirmation) in confirmed.iter().rev().take(60) {
            let found = node.eventually(&format!("/atoll/transactions/{hash}"));
            assert_eq!(&found["confirmation"], confirmation, "round {round}, {hash}");
        }
        for (slot, header) in finals.iter().rev().take(5) {
            let found = node.eventually(&format!("/atoll/slots/{slot}"));
            assert_eq!(&found["hash"], header, "round {round}, slot {slot}");
        }
        let end = Instant::now() + Duration::from_millis(150 + next(&mut seed) % 700);
        while Instant::now() < end {
            nonce = now_ms().max(nonce + 1);
            let (status, answer) = node.submit("perps", &noop(&key, nonce)).unwrap();
            assert_eq!(status, 200, "{answer}");
            let hash = answer["hash"].as_str().unwrap().to_string();
            assert!(answer["confirmation"].is_object(), "{answer}");
            confirmed.push((hash, answer["confirmation"].clone()));
        }
        let slot = node.get("/atoll/status").1["finalised_slot"].as_u64().unwrap();
        if slot > 0 {
            let header = node.eventually(&format!("/atoll/slots/{slot}"))["hash"].clone();
            assert!(header.is_string());
            finals.push((slot, header));
        }
        node.kill();
    }
    assert!(confirmed.len() > rounds * 5, "{} confirmations", confirmed.len());

    // Every confirmation of every round, and the roots against a clean replay.
    let clean = folder.path().join("clean");
    let copied =
        std::process::Command::new("cp").arg("-r").arg(&data).arg(&clean).status().unwrap();
    assert!(copied.success());
    for derived in ["snapshots", "history"] {
        std::fs::remove_dir_all(clean.join(derived)).unwrap();
    }
    let node = Node::start(&data, &["--keep-log", "--rate", "0"]);
    let replayed = Node::start(&clean, &["--keep-log", "--rate", "0"]);
    for (hash, confirmation) in &confirmed {
        let found = node.eventually(&format!("/atoll/transactions/{hash}"));
        assert_eq!(&found["confirmation"], confirmation, "{hash}");
    }
    let last = finals.last().map_or(0, |(slot, _)| slot / 10 * 10);
    assert!(last > 0);
    for slot in (10..=last).step_by(10) {
        for environment in ["perps", "evm"] {
            let path = format!("/atoll/roots?environment={environment}&slot={slot}");
            let (kept, clean) = (node.eventually(&path), replayed.eventually(&path));
            assert_eq!(kept, clean, "slot {slot}");
            assert!(kept.to_string().contains("0x"), "{kept}");
        }
    }
    drop((node, replayed));
    let verified = run(&["verify", "--slot", &last.to_string()], &data);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

/// Signed no-ops until a slot is well on its way, then SIGKILL: the end of the log is not synced.
fn unsynced_tail(data: &std::path::Path) -> u64 {
    let key = SigningKey::from_label("agent-59");
    let mut node = Node::start(data, &["--rate", "0"]);
    let slot = |node: &Node| node.get("/atoll/status").1["finalised_slot"].as_u64().unwrap();
    let start = slot(&node);
    while slot(&node) == start {}
    let mut nonce = now_ms();
    for _ in 0..12 {
        nonce = now_ms().max(nonce + 1);
        assert_eq!(node.submit("perps", &noop(&key, nonce)).unwrap().0, 200);
    }
    let finalised = slot(&node);
    node.kill();
    finalised
}

#[test]
fn damage_that_a_loss_of_power_leaves_is_cut_only_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    // A sync may come between the last orders and the kill; then there is no unsynced tail.
    for attempt in 0..10 {
        let data = folder.path().join(format!("data-{attempt}"));
        let finalised = unsynced_tail(&data);
        let mut logs: Vec<_> = std::fs::read_dir(data.join("log")).unwrap().flatten().collect();
        logs.sort_by_key(std::fs::DirEntry::file_name);
        let last = logs.last().unwrap().path();
        let mut bytes = std::fs::read(&last).unwrap();
        let at = bytes.len() - 1_500;
        bytes[at] ^= 1;
        std::fs::write(&last, bytes).unwrap();

        let dev = ["dev", "--rate", "0", "--slots", "2", "--listen", "127.0.0.1:0", "--json"];
        let refused = run(&dev, &data);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success(), "{said}");
        if !said.contains("--accept-log-damage") {
            assert!(said.contains("damaged"), "{said}");
            continue;
        }
        let accepted = run(&[&dev[..], &["--accept-log-damage"]].concat(), &data);
        let said = String::from_utf8_lossy(&accepted.stderr).into_owned();
        assert!(accepted.status.success(), "{said}");
        assert!(said.contains("what was confirmed behind it is lost"), "{said}");
        let node = Node::start(&data, &["--rate", "0"]);
        assert!(node.get("/atoll/status").1["finalised_slot"].as_u64().unwrap() >= finalised);
        return;
    }
    panic!("no run left an unsynced tail");
}
