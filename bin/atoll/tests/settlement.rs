//! Money in and out through the binary: the tour, any EVM chain as the hub, and a node that is
//! killed again and again meanwhile.

mod common;

use common::*;
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::{Duration, Instant};

fn check_tour(tour: &Value) {
    assert_eq!(tour["complete"], true, "{tour}");
    let titles: Vec<&str> =
        tour["steps"].as_array().unwrap().iter().filter_map(|s| s["title"].as_str()).collect();
    assert_eq!(titles.len(), 9, "{titles:?}");
    let twice: Vec<&str> = tour["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|step| step["facts"]["claimed again"].as_str())
        .collect();
    assert_eq!(twice.len(), 2);
    assert!(twice.iter().all(|said| said.contains("AlreadyClaimed")), "{twice:?}");
}

#[test]
fn the_tour_walks_the_whole_way_on_a_node_of_its_own() {
    let url = format!("http://{}", free_address());
    let tour = atoll().args(["tour", "--json", "--url", &url]).output().unwrap();
    check_tour(&last_json(&tour));
}

#[test]
fn any_evm_chain_is_a_hub_and_deployment_is_idempotent() {
    let Some(anvil) = Anvil::start() else { return };
    let url = anvil.url();
    let hub = |what: &str| {
        let args = ["hub", what, "--rpc-url", &url, "--key", ANVIL_KEY, "--json"];
        last_json(&atoll().args(args).output().unwrap())
    };
    let first = hub("deploy");
    assert_eq!(first["verified"], true);
    let steps = first["steps"].as_array().unwrap();
    assert!(
        steps.iter().all(|step| step["gas_used"].as_u64() > Some(0) || step["skipped"] == true)
    );
    assert!(steps.len() > 10, "{first}");
    let again = hub("deploy");
    assert_eq!(again["gas_used"], 0, "{again}");
    assert_eq!(again["contracts"], first["contracts"]);
    assert_eq!(hub("status")["settled"], 0);

    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let node = Node::start(&data, &["--rate", "50", "--hub", &url, "--hub-key", ANVIL_KEY]);
    let gateway = format!("http://{}", node.address);
    // The faucet's key has nothing on a chain that is not ours.
    let operator = atoll_types::crypto::SigningKey::from_label("operator").address();
    let fund = json!([operator.to_string(), "0x56bc75e2d63100000"]);
    rpc(&anvil.1, "/", "anvil_setBalance", fund);
    let tour = atoll().args(["tour", "--json", "--url", &gateway]).output().unwrap();
    check_tour(&last_json(&tour));
    let status = hub("status");
    assert!(status["settled"].as_u64() > Some(0), "{status}");
}

fn crash_rounds() -> u64 {
    let rounds = std::env::var("ATOLL_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok());
    rounds.unwrap_or(4)
}

fn word(data: &str, at: usize) -> String {
    data.trim_start_matches("0x").chars().skip(64 * at).take(64).collect()
}

fn number(word: &str) -> u128 {
    u128::from_str_radix(word.trim_start_matches("0x").trim_start_matches('0'), 16).unwrap_or(0)
}

/// Logs of a contract on the node's own hub.
fn logs(node: &Node, address: &Value) -> Vec<Value> {
    let filter = json!([{"address": address, "fromBlock": "0x0", "toBlock": "latest"}]);
    rpc(&node.address, "/hub", "eth_getLogs", filter).unwrap().as_array().unwrap().clone()
}

#[test]
fn killed_at_any_moment_no_deposit_is_lost_or_credited_twice() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let me = atoll_types::crypto::SigningKey::from_label("killed").address();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut pause = |most_ms: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        Duration::from_millis(random % most_ms)
    };
    let money = |node: &Node, command: &str, amount: &str, more: &[&str]| {
        let url = format!("http://{}", node.address);
        let mut child = atoll();
        child.args([command, "--url", &url, "--key", "development:killed", "--json"]);
        child.args(["--environment", "perps", "--token", "USDC", "--amount", amount]).args(more);
        child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    for round in 0..crash_rounds() {
        let mut node = Node::start(&data, &["--rate", "0"]);
        let amount = format!("{}.{round:02}", 10 + round);
        let mut children = vec![money(&node, "deposit", &amount, &["--fund"])];
        if round % 2 == 1 {
            children.push(money(&node, "withdraw", "1", &["--no-wait"]));
        }
        // The first round deploys the contracts and is killed in the middle of that, too.
        std::thread::sleep(Duration::from_millis(300) + pause(2_500));
        node.kill();
        for mut child in children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    let node = Node::start(&data, &["--rate", "0"]);
    let url = format!("http://{}", node.address);
    // One more, to its end: everything before it in the queue is credited then.
    let last = atoll()
        .args(["deposit", "--url", &url, "--key", "development:killed", "--json", "--fund"])
        .args(["--environment", "perps", "--token", "USDC", "--amount", "7"])
        .output()
        .unwrap();
    assert_eq!(last_json(&last)["credited"], true);
    let settlement = node.get("/atoll/settlement").1;
    let contracts = &settlement["contracts"];
    let suffix = me.to_string().trim_start_matches("0x").to_lowercase();
    let (mut deposited, mut indexes) = (0u128, Vec::new());
    for log in logs(&node, &contracts["queue"]) {
        let data = log["data"].as_str().unwrap_or_default();
        if log["topics"].as_array().is_some_and(|topics| topics.len() == 3) {
            indexes.push(number(log["topics"][1].as_str().unwrap()));
            if word(data, 2).ends_with(&suffix) {
                deposited += number(&word(data, 4));
            }
        }
    }
    assert_eq!(indexes, (0..indexes.len() as u128).collect::<Vec<_>>());
    // What left is in the tree of withdrawals, or on its way into it.
    let user = json!({"type": "clearinghouseState", "user": me.to_string()});
    let state = node.post("/info", &user).1;
    let value = state["withdrawable"].as_str().unwrap();
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let inside: u128 = format!("{whole}{fraction:0<6}").parse().unwrap();
    let withdrawn = deposited - inside;
    assert_eq!(withdrawn % 1_000_000, 0, "deposited {deposited}, inside {inside}");
    let path = format!("/atoll/withdrawals?to={me}");
    node.eventually_get(&path, |found| {
        let list = found["withdrawals"].as_array().unwrap();
        let sum: u128 =
            list.iter().map(|w| w["amount"].as_str().unwrap().parse::<u128>().unwrap()).sum();
        sum == withdrawn
    });
    // Each commitment is on the hub once, in order, and settlement goes on.
    let settled = settlement["settled"].as_u64().unwrap();
    node.eventually_get("/atoll/settlement", |now| now["settled"].as_u64() > Some(settled));
    let anchored = logs(&node, &contracts["anchor"]).into_iter().filter_map(|log| {
        let topics = log["topics"].as_array()?;
        // `Anchored` has two indexed values and a body; `Settled` has no body.
        let body = log["data"].as_str().is_some_and(|data| data.len() > 600);
        (topics.len() == 3 && body).then(|| number(topics[1].as_str().unwrap_or_default()))
    });
    let anchored: Vec<u128> = anchored.collect();
    assert_eq!(anchored, (1..=anchored.len() as u128).collect::<Vec<_>>());
    assert!(!anchored.is_empty());
    let engine = &node.get("/atoll/settlement").1["engine"];
    assert!(engine["posting_halted"].is_null() && engine["queue_halted"].is_null(), "{engine}");
}

#[test]
fn a_reorganisation_of_final_blocks_is_gone_on_from_if_the_queue_is_the_same() {
    let Some(anvil) = Anvil::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let args = ["--rate", "0", "--hub", &anvil.url(), "--hub-key", ANVIL_KEY];
    let node = Node::start(&folder.path().join("data"), &args);
    let gateway = format!("http://{}", node.address);
    let operator = atoll_types::crypto::SigningKey::from_label("operator").address();
    let fund = json!([operator.to_string(), "0x56bc75e2d63100000"]);
    rpc(&anvil.1, "/", "anvil_setBalance", fund);
    let deposit = |amount: &str| {
        let args = ["deposit", "--url", &gateway, "--json", "--fund", "--environment", "evm"];
        atoll().args(args).args(["--token", "ETH", "--amount", amount]).output().unwrap()
    };
    assert_eq!(last_json(&deposit("1"))["credited"], true);
    // What the reorganisation took is posted again once the nonces before it are used up, which is
    // given a minute.
    let settled = |more: u64| {
        let status = || node.get("/atoll/settlement").1;
        let wanted = status()["settled"].as_u64().unwrap() + more;
        let end = Instant::now() + Duration::from_secs(180);
        while status()["settled"].as_u64() < Some(wanted) {
            assert!(Instant::now() < end, "{}", status());
            std::thread::sleep(Duration::from_millis(200));
        }
        status()
    };
    let head = || {
        let head = rpc(&anvil.1, "/", "eth_blockNumber", json!([])).unwrap();
        u64::from_str_radix(head.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    };
    let deposited = head();
    while head() < deposited + 12 {
        std::thread::sleep(Duration::from_millis(200));
    }
    // Eight blocks, where two make a block final: commitments go, the deposit stays.
    let before = node.get("/atoll/settlement").1;
    rpc(&anvil.1, "/", "anvil_reorg", json!([8, []]));
    let after = settled(3);
    assert!(after["engine"]["queue_halted"].is_null(), "{after}");
    assert!(after["engine"]["posting_halted"].is_null(), "{after}");
    assert!(after["anchored"].as_u64() > before["anchored"].as_u64(), "{after}");
    assert_eq!(last_json(&deposit("2"))["credited"], true);

    // Now the deposit itself goes: what is confirmed stands on it, and nothing more is done.
    rpc(&anvil.1, "/", "anvil_reorg", json!([8, []]));
    let gone = node.eventually_get("/atoll/settlement", |status| {
        status["queue_replaced"].is_string() && status["engine"]["queue_halted"].is_string()
    });
    let why = gone["queue_replaced"].as_str().unwrap();
    assert!(why.contains("1 final entries; 2 were ordered"), "{gone}");
}
