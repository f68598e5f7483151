//! A liquidation as its user sees it: a leveraged position, an oracle that moves against it, and the
//! node's own liquidator, all through the doors of `atoll dev`.

mod common;

use atoll_exchange::MarketId;
use atoll_rpc::hyperliquid::to_msgpack;
use atoll_types::crypto::SigningKey;
use atoll_types::{Encode, EnvironmentId, NetworkId};
use atoll_vm::Identity;
use atoll_vm::exchange::domain::Source;
use atoll_vm::exchange::sign::{sign_l1_action, sign_oracle};
use atoll_vm::exchange::{ExchangeTransaction, OraclePrices};
use common::{Node, last_json, now_ms, run};
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::Path;

/// The built-in specs, but with an oracle that is ours and a user of little collateral; with the
/// backstop vault or without one.
fn specs(folder: &Path, vault: bool) {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../environments");
    std::fs::create_dir_all(folder).unwrap();
    std::fs::copy(built_in.join("evm.toml"), folder.join("evm.toml")).unwrap();
    let perps = std::fs::read_to_string(built_in.join("perps.toml")).unwrap();
    let perps = perps.replace("development:oracle", "development:judge");
    let named = "\nbackstop = \"development:backstop\"";
    assert!(perps.contains(named));
    let perps = if vault { perps } else { perps.replace(named, "\n") };
    let user = "\n[[genesis]]\naccount = \"development:alice\"\nbalances = { USDC = \"2000\" }\n";
    std::fs::write(folder.join("perps.toml"), perps + user).unwrap();
}

struct World {
    node: Node,
    network: NetworkId,
    nonce: Cell<u64>,
}

impl World {
    fn start(folder: &Path, vault: bool) -> Self {
        specs(&folder.join("specs"), vault);
        let specs = folder.join("specs").display().to_string();
        let node = Node::start(&folder.join("data"), &["--rate", "0", "--environments", &specs]);
        let network = node.eventually("/atoll/status")["network"].as_str().unwrap().to_string();
        let network = NetworkId(network.parse().unwrap());
        Self { node, network, nonce: Cell::new(now_ms()) }
    }

    fn nonce(&self) -> u64 {
        self.nonce.set(now_ms().max(self.nonce.get() + 1));
        self.nonce.get()
    }

    fn info(&self, kind: &str, who: &str) -> Value {
        let user = format!("{:#x}", SigningKey::from_label(who).address());
        self.node.post("/info", &json!({ "type": kind, "user": user })).1
    }

    /// Tells an oracle price of BTC, in dollars, and waits until it is the oracle's.
    fn oracle(&self, dollars: u64) {
        let identity = Identity { network: self.network, environment: EnvironmentId(1) };
        let prices = OraclePrices { prices: vec![(MarketId(0), dollars * 10)], marks: Vec::new() };
        let key = SigningKey::from_label("judge");
        let bytes = sign_oracle(&key, &identity, now_ms(), &prices).to_bytes();
        assert_eq!(self.node.submit("perps", &bytes).unwrap().0, 200);
        let told = |answer: &Value| answer[1][0]["oraclePx"] == format!("{dollars}");
        self.node.eventually_post("/info", &json!({ "type": "metaAndAssetCtxs" }), told);
    }

    /// Signs an action as Hyperliquid's clients do, and sends it as they do.
    fn act(&self, who: &str, action: &str) -> Value {
        let key = SigningKey::from_label(who);
        let bytes = to_msgpack(action).unwrap();
        let nonce = self.nonce();
        let signed = sign_l1_action(&key, Source::Testnet, bytes, nonce, None, None);
        let ExchangeTransaction { signature, .. } = signed;
        let hex = |bytes: &[u8]| {
            bytes.iter().fold("0x".to_string(), |text, byte| text + &format!("{byte:02x}"))
        };
        let (r, s, v) = (hex(&signature.r), hex(&signature.s), 27 + u64::from(signature.y_parity));
        // The order of the action's keys is part of what is signed: it goes as it is.
        let body = format!(
            r#"{{"action":{action},"nonce":{nonce},"signature":{{"r":"{r}","s":"{s}","v":{v}}}}}"#
        );
        let (_, answer) = common::http(&self.node.address, "POST", "/exchange", &body).unwrap();
        assert_eq!(answer["status"], "ok", "{answer}");
        answer["response"]["data"]["statuses"][0].clone()
    }

    fn order(&self, who: &str, buy: bool, dollars: u64, size: &str, tif: &str) -> Value {
        self.act(
            who,
            &format!(
                r#"{{"type":"order","orders":[{{"a":0,"b":{buy},"p":"{dollars}","s":"{size}","r":false,"t":{{"limit":{{"tif":"{tif}"}}}}}}],"grouping":"na"}}"#
            ),
        )
    }
}

#[test]
fn funding_is_sampled_while_nobody_trades() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), true);
    world.oracle(60_000);
    // Nothing but that price was ever sent: Hyperliquid's baseline, per hour.
    let sampled = |answer: &Value| {
        let found = &answer[0][1][0][1];
        answer[0][0] == "BTC" && found["fundingRate"] == "0.0000125"
    };
    world.node.eventually_post("/info", &json!({ "type": "predictedFundings" }), sampled);
    let status = world.node.get("/atoll/status").1;
    assert!(status["head_slot"].as_u64().unwrap() > 1, "{status}");
}

#[test]
fn a_position_that_is_not_covered_is_liquidated_before_its_owners_eyes() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::start(folder.path(), true);
    world.oracle(60_000);
    // A bitcoin on 2,000 dollars: thirty times, where forty are allowed.
    let resting = world.order("agent-1", false, 60_000, "1", "Gtc");
    assert!(resting["resting"]["oid"].is_u64(), "{resting}");
    let filled = world.order("alice", true, 60_000, "1", "Ioc");
    assert_eq!(filled["filled"]["totalSz"], "1", "{filled}");
    let state = world.info("clearinghouseState", "alice");
    let position = &state["assetPositions"][0]["position"];
    assert_eq!((&position["coin"], &position["szi"]), (&json!("BTC"), &json!("1")), "{state}");
    // 2,000 − 27 of fee + (p − 60,000) = 1.25 % of p, at 58,761.5.
    let at: f64 = position["liquidationPx"].as_str().unwrap().parse().unwrap();
    assert!((58_760.0..58_763.0).contains(&at), "{position}");
    let liquidatable = || world.node.get("/atoll/liquidatable?environment=perps").1;
    assert_eq!(liquidatable()["liquidatable"], json!([]));

    // Two per cent down, which is no step that nobody believes. There is nobody to sell to: the
    // index names her, and the liquidator can do nothing above the backstop.
    world.oracle(58_740);
    let alice = format!("{:#x}", SigningKey::from_label("alice").address());
    let named = world.node.eventually_get("/atoll/liquidatable?environment=perps", |a| {
        a["liquidatable"][0].is_object()
    });
    let user = named["liquidatable"][0]["user"].as_str().unwrap().to_lowercase();
    assert_eq!(user, alice, "{named}");
    assert_eq!(world.info("userFills", "alice").as_array().unwrap().len(), 1);

    // Somebody bids: the liquidator sells.
    world.order("agent-2", true, 58_700, "3", "Gtc");
    let request = json!({ "type": "userFills", "user": alice });
    let fills = world
        .node
        .eventually_post("/info", &request, |f| f.as_array().is_some_and(|f| f.len() > 1));
    let fill = &fills[0];
    assert_eq!(
        (&fill["dir"], &fill["px"], &fill["sz"], &fill["crossed"]),
        (&json!("Close Long"), &json!("58700"), &json!("1"), &json!(true)),
        "{fill}"
    );
    let liquidation = &fill["liquidation"];
    assert_eq!(liquidation["liquidatedUser"], alice, "{fill}");
    assert_eq!(liquidation["method"], "market");
    let mark: f64 = liquidation["markPx"].as_str().unwrap().parse().unwrap();
    assert!((mark - 58_740.0).abs() < 60.0, "{fill}");
    assert_eq!(fills[1]["liquidation"], Value::Null, "{fills}");
    // The one who bought sees whose it was.
    assert_eq!(world.info("userFills", "agent-2")[0]["liquidation"]["liquidatedUser"], alice);

    // She has no position, and what is left is hers: 2,000 − 27 − 1,300 − 26.415 (less 0.75 of
    // funding if an hour ended meanwhile).
    let state = world.info("clearinghouseState", "alice");
    assert_eq!(state["assetPositions"], json!([]), "{state}");
    let value: f64 = state["marginSummary"]["accountValue"].as_str().unwrap().parse().unwrap();
    assert!((645.8..=646.585).contains(&value), "{state}");
    world.node.eventually_get("/atoll/liquidatable?environment=perps", |a| {
        a["liquidatable"] == json!([])
    });

    // The slot verifies from its witness alone, and after a restart the books balance.
    let path = format!("/atoll/receipts/{}", fill["hash"].as_str().unwrap());
    let found = world.node.eventually(&path);
    let slot = found["slot"].to_string();
    let data = folder.path().join("data");
    world.node.kill();
    let specs = folder.path().join("specs").display().to_string();
    let again = ["dev", "--rate", "0", "--environments", &specs, "--listen", "127.0.0.1:0"];
    let again = [&again[..], &["--slots", "5", "--json"]].concat();
    assert_eq!(last_json(&run(&again, &data))["conserved"], true);
    let verified = run(&["verify", "--slot", &slot, "--environment", "perps", "--json"], &data);
    assert!(last_json(&verified)[0]["receipts"].as_u64().unwrap() > 0);
}

#[test]
fn what_a_bankrupt_account_leaves_is_taken_over_without_anybody_asking() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), false);
    world.oracle(60_000);
    world.order("agent-1", false, 60_000, "1", "Gtc");
    let filled = world.order("alice", true, 60_000, "1", "Ioc");
    assert_eq!(filled["filled"]["totalSz"], "1", "{filled}");
    // 1,973 of collateral against a loss of 2,500, and there is no vault: the one on the other side
    // gives up what is missing.
    world.oracle(57_500);
    for who in ["alice", "agent-1"] {
        let user = format!("{:#x}", SigningKey::from_label(who).address());
        let request = json!({ "type": "clearinghouseState", "user": user });
        let flat = |state: &Value| state["assetPositions"] == json!([]);
        world.node.eventually_post("/info", &request, flat);
    }
    let value = |who: &str| {
        let state = world.info("clearinghouseState", who);
        state["marginSummary"]["accountValue"].as_str().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(value("alice"), 0.0);
    // Less 9 of fee; the insurance fund has a tenth of what was paid in fees.
    let won = value("agent-1") - 10_000_000.0;
    assert!((1_960.0..1_975.0).contains(&won), "{won}");
}
