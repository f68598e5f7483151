//! A market listed on a running venue, through its doors: listed and traded by signed actions, seen
//! by every query, there again after a kill from snapshot and log and from the log alone, settled,
//! and its bond claimed.

mod common;

use atoll_exchange::{MarketId, Tif, Wallet};
use atoll_types::crypto::SigningKey;
use atoll_types::{Encode, EnvironmentId, NetworkId};
use atoll_vm::Identity;
use atoll_vm::exchange::build::{self, OrderWire};
use atoll_vm::exchange::sign::{sign_action, sign_message, sign_oracle};
use atoll_vm::exchange::{AtollMessage, OraclePrices};
use common::{Node, atoll, last_json, now_ms};
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::Path;
use std::process::Output;

const SPEC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../environments/perps.toml");
const LISTER: &str = "development:agent-1";
const MARKET: &str = r#"name = "DOGE"
product = "perpetual"
tick = "0.00001"
lot = "1"
price_max = "1"
order_size_max = "1000000"
notional_min = "1"
price_band = "0.5"
initial_margin = "0.1"
mark_band = "0.005"
maker_fee = "0"
taker_fee = "0.0005"
open_interest_max = "1000000"
isolated_only = true
mark = "robust"
[sanity]
jump = "0.05"
confirm_s = 10
rate = "0.01"
hold_s = 10
limit_s = 60
auction_s = 5
wide_s = 60
[[oracles]]
key = "development:doge-oracle"
weight = 1
"#;

struct World {
    node: Node,
    identity: Identity,
    nonce: Cell<u64>,
}

impl World {
    fn start(data: &Path, specs: &Path) -> Self {
        let specs = specs.to_str().unwrap();
        let args = ["--environments", specs, "--rate", "0", "--hub", "none", "--keep-log"];
        let node = Node::start(data, &[&args[..], &["--snapshot-interval", "20"]].concat());
        let network = node.eventually("/atoll/status")["network"].as_str().unwrap().to_string();
        let network = NetworkId(network.parse().unwrap());
        let identity = Identity { network, environment: EnvironmentId(1) };
        Self { node, identity, nonce: Cell::new(now_ms()) }
    }

    fn nonce(&self) -> u64 {
        self.nonce.set(now_ms().max(self.nonce.get() + 1));
        self.nonce.get()
    }

    /// Submits and gives the receipt's bytes; it must have reached the exchange.
    fn submit(&self, bytes: &[u8]) -> Value {
        let (status, answer) = self.node.submit("perps", bytes).unwrap();
        assert_eq!(status, 200, "{answer}");
        answer
    }

    fn act(&self, who: &str, action: Vec<u8>) {
        self.submit(&sign_action(&SigningKey::from_label(who), action, self.nonce()).to_bytes());
    }

    fn order(&self, who: &str, asset: u64, buy: bool, size: &str) {
        let (price, tif) = ("0.2".to_string(), Tif::Gtc);
        let order = OrderWire { asset, buy, price, size: size.into(), tif, ..OrderWire::default() };
        self.act(who, build::orders(&[order]));
    }

    /// The market's own source tells a price, and the market follows it.
    fn tell(&self, market: MarketId, ticks: u64, price: &str) {
        let prices = OraclePrices { prices: vec![(market, ticks)], marks: Vec::new() };
        let key = SigningKey::from_label("doge-oracle");
        self.submit(&sign_oracle(&key, &self.identity, now_ms(), &prices).to_bytes());
        self.node.eventually_get("/atoll/markets/DOGE", |doge| doge["oracle"] == price);
    }

    fn cli(&self, args: &[&str]) -> Output {
        let url = format!("http://{}", self.node.address);
        atoll().args(args).args(["--url", &url]).output().expect("the binary runs")
    }

    fn slot(&self) -> u64 {
        self.node.get("/atoll/status").1["finalised_slot"].as_u64().unwrap()
    }

    fn position(&self, who: &str) -> Value {
        let address = SigningKey::from_label(who).address();
        let path = format!("/atoll/accounts/{address:#x}?environment=perps");
        self.node.get(&path).1["positions"][0].clone()
    }
}

fn refused(output: &Output, needle: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains(needle), "{needle}: {error}");
}

#[test]
fn a_market_listed_on_a_running_venue_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let (data, specs) = (folder.path().join("data"), folder.path().join("specs"));
    std::fs::create_dir(&specs).unwrap();
    let text = std::fs::read_to_string(SPEC).unwrap().replace("#~ ", "");
    std::fs::write(specs.join("perps.toml"), text).unwrap();
    let from = folder.path().join("doge.toml");
    std::fs::write(&from, MARKET).unwrap();
    let file = from.to_str().unwrap();

    let mut world = World::start(&data, &specs);
    let before = world.node.eventually("/atoll/markets")["markets"].as_array().unwrap().len();
    let market = MarketId(before as u16);
    let open = ["market", "open", "--list", "--from", file, "--json", "--key"];
    // Bonds come out of the spot wallet.
    let bond = [&open[..], &[LISTER, "--bond", "10000"]].concat();
    refused(&world.cli(&bond), "insufficient_balance");
    let message = AtollMessage::Move { to: Wallet::Spot, amount: 10_000_000_000 };
    let key = SigningKey::from_label("agent-1");
    let moved = sign_message(&key, &world.identity, 3001, &message, world.nonce());
    world.submit(&moved.to_bytes());
    let low = [&open[..], &[LISTER, "--bond", "9999.5"]].concat();
    refused(&world.cli(&low), "listing.bond is 9999500000; expected at least 10000000000");
    let listed = last_json(&world.cli(&bond));
    let doge = &listed["market"];
    let asset = doge["asset"].as_u64().unwrap();
    let lister = format!("{:#x}", key.address());
    assert_eq!(doge["listing"], json!({ "lister": lister, "bond": "10000" }));
    refused(&world.cli(&bond), "name is DOGE; expected 1 to 16 letters");

    // Every query shows it at once: perpetuals are numbered by place.
    let meta = world.node.post("/info", &json!({ "type": "meta" })).1;
    let universe = meta["universe"].as_array().unwrap();
    assert_eq!(universe.len() as u64, asset + 1);
    let last = &universe[asset as usize];
    assert_eq!((&last["name"], &last["onlyIsolated"]), (&json!("DOGE"), &json!(true)));
    world.tell(market, 20_000, "0.2");
    let both = json!({ "type": "metaAndAssetCtxs" });
    let told = |answer: &Value| answer[1][asset as usize]["oraclePx"] == "0.2";
    world.node.eventually_post("/info", &both, told);
    let mids = json!({ "type": "allMids" });
    world.node.eventually_post("/info", &mids, |mids| mids["DOGE"] == "0.2");
    let table = String::from_utf8(world.cli(&["market", "list"]).stdout).unwrap();
    assert!(table.contains("DOGE") && table.contains(&lister), "{table}");
    let shown = String::from_utf8(world.cli(&["market", "show", "DOGE"]).stdout).unwrap();
    assert!(shown.contains("listed by") && shown.contains("isolated only"), "{shown}");

    // It is traded, with isolated margin.
    for who in ["agent-2", "agent-3"] {
        world.act(who, build::update_leverage(asset, false, 5));
    }
    world.order("agent-2", asset, false, "1000");
    world.order("agent-3", asset, true, "600");
    assert_eq!(world.position("agent-3")["size"], "600");
    let position = world.position("agent-2");
    assert_eq!((&position["market"], &position["side"]), (&json!("DOGE"), &json!("short")));
    let book = json!({ "type": "l2Book", "coin": "DOGE" });
    let asks = |book: &Value| book["levels"][1][0]["sz"] == "400";
    world.node.eventually_post("/info", &book, asks);

    // Until a snapshot has it and the log goes on behind.
    let traded = world.slot();
    while world.slot() < traded + 45 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let (last, listed_at) = (world.slot() / 10 * 10, traded / 10 * 10);
    let root = |world: &World, slot: u64| {
        world.node.eventually(&format!("/atoll/roots?environment=perps&slot={slot}"))
    };
    let slots: Vec<u64> = (listed_at..=last).step_by(10).collect();
    let roots: Vec<Value> = slots.iter().map(|slot| root(&world, *slot)).collect();
    world.node.kill();

    // From the log alone the same roots come out; and from the snapshot it goes on.
    let clean = folder.path().join("clean");
    let copied = std::process::Command::new("cp").arg("-r").arg(&data).arg(&clean).status();
    assert!(copied.unwrap().success());
    for derived in ["snapshots", "history"] {
        std::fs::remove_dir_all(clean.join(derived)).unwrap();
    }
    let replayed = World::start(&clean, &specs);
    let again: Vec<Value> = slots.iter().map(|slot| root(&replayed, *slot)).collect();
    assert_eq!(again, roots);
    drop(replayed);
    let world = World::start(&data, &specs);
    assert_eq!(root(&world, last), roots[roots.len() - 1]);
    world.node.eventually_post("/info", &book, asks);
    world.order("agent-3", asset, true, "400");
    assert_eq!(world.position("agent-3")["size"], "1000");

    // Its end: nobody else's to choose.
    let status = |status, key| world.cli(&["market", "status", "DOGE", status, "--key", key]);
    refused(&status("halted", "development:agent-5"), "not_allowed");
    assert!(status("halted", "development:agent-0").status.success());
    assert!(status("settled", LISTER).status.success());
    let claim = ["market", "bond", "claim", "DOGE", "--key", LISTER];
    refused(&world.cli(&claim), "position_open");
    for who in ["agent-2", "agent-3"] {
        let user = format!("{:#x}", SigningKey::from_label(who).address());
        let action = json!({ "type": "settlePosition", "user": user, "asset": asset });
        let action = atoll_rpc::hyperliquid::to_msgpack(&action.to_string()).unwrap();
        world.act("agent-4", action);
    }
    assert!(world.cli(&claim).status.success());
    let doge = world.node.get("/atoll/markets/DOGE").1;
    assert_eq!(
        (&doge["listing"]["bond"], &doge["status"]["status"]),
        (&json!("0"), &json!("settled"))
    );
}
