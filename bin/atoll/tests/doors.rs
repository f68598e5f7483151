//! Bad input at every door of a running node: each case has its own stable code and a sentence, in
//! the convention of the door it came through, and the node trades on.
//!
//! Clients that are slow, idle or many are in `crates/io/rpc/tests/gateway/bounds.rs`.

mod common;

use atoll_exchange::Side;
use atoll_rpc::hyperliquid::to_msgpack;
use atoll_types::crypto::SigningKey;
use atoll_types::{B256, Decode, Encode, EnvironmentId, NetworkId, Signature};
use atoll_vm::exchange::domain::Source;
use atoll_vm::exchange::sign::{sign_l1_action, sign_message};
use atoll_vm::exchange::{AtollMessage, ExchangeReceipt, ExchangeTransaction, Status};
use atoll_vm::{Identity, Receipt};
use common::{Node, http, now_ms};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::net::TcpStream;
use tokio_tungstenite::tungstenite::stream::MaybeTlsStream;
use tokio_tungstenite::tungstenite::{Message, WebSocket, connect};

/// A node and an account of its genesis.
struct World {
    node: Node,
    socket: RefCell<WebSocket<MaybeTlsStream<TcpStream>>>,
    key: SigningKey,
    nonce: Cell<u64>,
    mark: u64,
}

/// The doors of the exchange.
#[derive(Clone, Copy, Debug)]
enum Door {
    /// `POST /exchange`.
    Exchange,
    /// `post` on the WebSocket.
    Socket,
    /// Raw bytes at `POST /atoll/transactions`.
    Bytes,
}

const DOORS: [Door; 3] = [Door::Exchange, Door::Socket, Door::Bytes];

impl World {
    fn new(data: &std::path::Path) -> Self {
        let node = Node::start(data, &["--rate", "0"]);
        let ready = |mids: &Value| mids["BTC"].is_string();
        let mids = node.eventually_post("/info", &json!({ "type": "allMids" }), ready);
        let mark = mids["BTC"].as_str().unwrap().parse::<f64>().unwrap() as u64;
        let (socket, _) = connect(format!("ws://{}/ws", node.address)).unwrap();
        let key = SigningKey::from_label("agent-3");
        let (socket, nonce) = (RefCell::new(socket), Cell::new(now_ms()));
        Self { node, socket, key, nonce, mark }
    }

    fn nonce(&self) -> u64 {
        self.nonce.set(now_ms().max(self.nonce.get() + 1));
        self.nonce.get()
    }

    fn say(&self, text: &str) -> Value {
        let mut socket = self.socket.borrow_mut();
        socket.send(Message::text(text)).unwrap();
        loop {
            if let Message::Text(text) = socket.read().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Sends a body of `/exchange` through one of its two doors.
    fn body(&self, door: Door, body: &str) -> Value {
        if matches!(door, Door::Exchange) {
            let (status, answer) = http(&self.node.address, "POST", "/exchange", body).unwrap();
            assert_eq!(status, 200, "Hyperliquid answers refusals with 200: {answer}");
            return answer;
        }
        let request =
            format!(r#"{{"method":"post","id":7,"request":{{"type":"action","payload":{body}}}}}"#);
        let answer = self.say(&request);
        assert_eq!((&answer["channel"], &answer["data"]["id"]), (&json!("post"), &json!(7)));
        answer["data"]["response"]["payload"].clone()
    }

    /// Sends through a door; gives label and sentence of the refusal.
    fn send(&self, door: Door, signed: &Signed) -> Option<(String, String)> {
        if matches!(door, Door::Bytes) {
            return self.send_bytes(&signed.transaction.to_bytes());
        }
        of_exchange(&self.body(door, &signed.body()))
    }

    fn send_bytes(&self, bytes: &[u8]) -> Option<(String, String)> {
        let (status, answer) = self.node.submit("perps", bytes).unwrap();
        if status != 200 {
            return Some(of_atoll(&answer));
        }
        let receipt = answer["receipt"]["bytes"].as_str().unwrap();
        let receipt = Receipt::from_bytes(&unhex(receipt)).unwrap();
        match ExchangeReceipt::of(&receipt) {
            Err(reject) => Some((reject.code.label().into(), reject.message)),
            Ok(done) => match &done.statuses[0] {
                Status::Rejected { code, detail } => Some((code.label().into(), detail.clone())),
                _ => None,
            },
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.strip_prefix("0x").unwrap();
    (0..digits.len() / 2)
        .map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

/// The first account of "test test … junk", which is not among the richest.
fn known() -> SigningKey {
    let key = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    SigningKey::from_bytes(unhex(key).try_into().unwrap()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_string(), |text, byte| text + &format!("{byte:02x}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}")).to_string()
}

fn of_exchange(answer: &Value) -> Option<(String, String)> {
    if answer["status"] == "err" {
        assert!(answer["code"].is_u64(), "{answer}");
        return Some((text(&answer["label"]), text(&answer["response"])));
    }
    assert_eq!(answer["status"], "ok", "{answer}");
    let status = &answer["response"]["data"]["statuses"][0];
    status["error"].is_string().then(|| (text(&status["label"]), text(&status["error"])))
}

fn of_atoll(answer: &Value) -> (String, String) {
    let error = &answer["error"];
    assert!(error["code"].is_u64(), "{answer}");
    (text(&error["label"]), text(&error["message"]))
}

/// An action with its JSON, which the signed bytes are made of.
struct Signed {
    action: String,
    transaction: ExchangeTransaction,
    unsigned: bool,
}

impl Signed {
    fn body(&self) -> String {
        let ExchangeTransaction { nonce, expires_after, vault, signature, .. } = &self.transaction;
        let mut rest = json!({ "nonce": nonce });
        if !self.unsigned {
            let Signature { r, s, y_parity } = signature;
            rest["signature"] = json!({ "r": hex(r), "s": hex(s), "v": 27 + u64::from(*y_parity) });
        }
        if let Some(expires_after) = expires_after {
            rest["expiresAfter"] = (*expires_after).into();
        }
        if let Some(vault) = vault {
            rest["vaultAddress"] = vault.to_string().into();
        }
        format!(r#"{{"action":{},{}"#, self.action, &rest.to_string()[1..])
    }
}

/// An order, before it is wrong.
#[derive(Clone)]
struct Order {
    asset: u64,
    side: Side,
    price: String,
    size: String,
    reduce_only: bool,
    kind: &'static str,
    client: Option<&'static str>,
    many: usize,
    source: Source,
    signer: SigningKey,
    nonce: Option<u64>,
    expires_after: Option<u64>,
    vault: bool,
    spoil: fn(&mut Signed),
}

fn order(world: &World, change: impl Fn(&mut Order)) -> Signed {
    let mut order = Order {
        asset: 0,
        side: Side::Buy,
        price: (world.mark - 500).to_string(),
        size: "0.01".into(),
        reduce_only: false,
        kind: r#"{"limit":{"tif":"Gtc"}}"#,
        client: None,
        many: 1,
        source: Source::Testnet,
        signer: world.key.clone(),
        nonce: None,
        expires_after: None,
        vault: false,
        spoil: |_| {},
    };
    change(&mut order);
    let client = order.client.map_or(String::new(), |id| format!(r#","c":"{id}""#));
    let one = format!(
        r#"{{"a":{},"b":{},"p":"{}","s":"{}","r":{},"t":{}{client}}}"#,
        order.asset,
        order.side == Side::Buy,
        order.price,
        order.size,
        order.reduce_only,
        order.kind
    );
    let orders = vec![one; order.many].join(",");
    let action = format!(r#"{{"type":"order","orders":[{orders}],"grouping":"na"}}"#);
    sign(world, &order, action)
}

fn sign(world: &World, order: &Order, action: String) -> Signed {
    let nonce = order.nonce.unwrap_or_else(|| world.nonce());
    let vault = order.vault.then(|| world.key.address());
    let bytes = to_msgpack(&action).unwrap();
    let Order { signer, source, expires_after, .. } = order;
    let transaction = sign_l1_action(signer, *source, bytes, nonce, vault, *expires_after);
    let mut signed = Signed { action, transaction, unsigned: false };
    (order.spoil)(&mut signed);
    signed
}

type Change = Box<dyn Fn(&mut Order)>;

/// Name, label, a part of the sentence, and what is wrong with the order.
fn cases(world: &World) -> Vec<(&'static str, &'static str, &'static str, Change)> {
    let (mark, day) = (world.mark, 86_400_000u64);
    fn case(
        name: &'static str,
        label: &'static str,
        sentence: &'static str,
        change: impl Fn(&mut Order) + 'static,
    ) -> (&'static str, &'static str, &'static str, Change) {
        (name, label, sentence, Box::new(change))
    }
    vec![
        case("unsigned", "unsigned", "sign", |o| {
            o.spoil = |signed| {
                signed.unsigned = true;
                signed.transaction.signature = Signature { r: [0; 32], s: [0; 32], y_parity: 0 };
            };
        }),
        case("a signature that is none", "bad_signature", "signature", |o| {
            o.spoil = |signed| signed.transaction.signature.r = [0xff; 32];
        }),
        case("changed after signing", "unknown_account", "recovers to", |o| {
            o.spoil = |signed| {
                signed.action = signed.action.replace("0.01", "0.02");
                signed.transaction.body = to_msgpack(&signed.action).unwrap();
            };
        }),
        case("nobody's key", "unknown_account", "no account", |o| {
            o.signer = SigningKey::from_label("nobody here");
        }),
        case("for the real Hyperliquid", "wrong_domain", "mainnet", |o| o.source = Source::Mainnet),
        case("stale nonce", "nonce_too_low", "nonce", move |o| o.nonce = Some(now_ms() - 3 * day)),
        case("nonce of next week", "nonce_too_high", "nonce", move |o| {
            o.nonce = Some(now_ms() + 7 * day);
        }),
        case("expired", "expired", "void", |o| o.expires_after = Some(now_ms() - 1_000)),
        case("for a vault", "unsupported", "vault", |o| o.vault = true),
        case("too many orders in one action", "oversized", "commands", |o| o.many = 1_001),
        case("a trigger order behind the mark", "trigger_crossed", "trigger", |o| {
            o.kind = r#"{"trigger":{"isMarket":true,"triggerPx":"1","tpsl":"sl"}}"#;
            o.size = "20".into();
        }),
        case("a market that is none", "unknown_market", "market", |o| o.asset = 77),
        case("a price of letters", "malformed", "p", |o| o.price = "much".into()),
        case("insufficient margin", "insufficient_margin", "need 1", |o| {
            (o.size, o.signer) = ("900".into(), known());
        }),
        case("off tick", "off_tick", "tick", move |o| o.price = format!("{}.05", mark - 500)),
        case("off lot", "off_lot", "lot", |o| o.size = "0.0100001".into()),
        case("dust", "dust", "minimum", |o| o.size = "0.00001".into()),
        case("size overflow", "overflow", "size", |o| o.size = "99999999999".into()),
        case("price overflow", "overflow", "price", |o| o.price = "99999999999999".into()),
        case("number overflow", "overflow", "", |o| o.size = "9".repeat(30)),
        case("far from the mark", "price_band", "mark", move |o| o.price = (mark / 3).to_string()),
        case("nothing to reduce", "not_reducing", "reduce", |o| o.reduce_only = true),
        case("nobody to trade with", "no_liquidity", "", |o| o.kind = r#"{"limit":{"tif":"Ioc"}}"#),
        case("post-only that crosses", "would_cross", "post", move |o| {
            (o.side, o.price) = (Side::Sell, (mark - 400).to_string());
            o.kind = r#"{"limit":{"tif":"Alo"}}"#;
        }),
        case("trading with oneself", "self_trade", "own", move |o| {
            (o.side, o.price, o.kind) =
                (Side::Sell, (mark - 300).to_string(), r#"{"limit":{"tif":"Ioc"}}"#);
        }),
        case("a client id in use", "duplicate_client_id", "client", |o| {
            o.client = Some("0x000000000000000000000000000000aa");
        }),
    ]
}

#[test]
fn the_exchange_refuses_at_every_door() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(&folder.path().join("data"));
    let state = || {
        let user = format!("{:#x}", world.key.address());
        let ask = |kind: &str| world.node.post("/info", &json!({ "type": kind, "user": user })).1;
        // (What is used of it moves with the mark.)
        let money = ask("clearinghouseState")["marginSummary"]["accountValue"].clone();
        (money, ask("openOrders"), ask("spotClearinghouseState"))
    };
    // What some refusals need: an order of one's own, with a client id, and somebody else's bid.
    let client = Some("0x000000000000000000000000000000aa");
    let own = order(&world, |o| (o.price, o.client) = ((world.mark - 300).to_string(), client));
    assert_eq!(world.send(Door::Exchange, &own), None);
    let before = state();

    let mut wrong = Vec::new();
    for (name, label, sentence, change) in cases(&world) {
        for door in DOORS {
            let signed = order(&world, &change);
            match world.send(door, &signed) {
                None => wrong.push(format!("{name} at {door:?}: accepted")),
                Some((found, said)) => {
                    if found != label || !said.contains(sentence) || said.len() < 15 {
                        wrong.push(format!("{name} at {door:?}: {found}: {said}"));
                    }
                }
            }
        }
    }

    assert!(wrong.is_empty(), "{wrong:#?}");

    // The very same bytes again, through each door in turn.
    let cancel = |world: &World| {
        let action = r#"{"type":"cancel","cancels":[{"a":0,"o":4097}]}"#.to_string();
        let template = RefCell::new(None);
        order(world, |o| *template.borrow_mut() = Some(o.clone()));
        sign(world, &template.into_inner().unwrap(), action)
    };
    let unknown = cancel(&world);
    assert_eq!(world.send(Door::Bytes, &unknown).unwrap().0, "unknown_order");
    for door in DOORS {
        let (label, said) = world.send(door, &unknown).unwrap();
        assert!(["nonce_used", "already_known"].contains(&label.as_str()), "{door:?}: {said}");
    }
    assert_eq!(state(), before, "none of it had an effect");

    // Bodies that are no requests.
    for body in ["", "[]", "{}", r#"{"action":{},"nonce":1}"#, r#"{"action":1.5,"nonce":0}"#] {
        let (label, said) = of_exchange(&world.body(Door::Exchange, body)).unwrap();
        assert!(["malformed", "unsigned"].contains(&label.as_str()), "{body}: {said}");
    }
    let signature = r#"{"r":"0x1","s":"0x1","v":27}"#;
    let nested = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let deep = format!(r#"{{"action":{nested},"nonce":1,"signature":{signature}}}"#);
    assert_eq!(of_exchange(&world.body(Door::Exchange, &deep)).unwrap().0, "malformed");
    for text in ["", "hello", "[]", r#"{"method":"fly"}"#, r#"{"method":"post","id":1}"#] {
        assert_eq!(world.say(text)["channel"], "error", "{text}");
    }
    let wrong = r#"{"method":"subscribe","subscription":{"type":"l2Book","coin":"DOGE"}}"#;
    assert!(text(&world.say(wrong)["data"]).contains("DOGE"));
    assert_eq!(world.say(r#"{"method":"ping"}"#)["channel"], "pong");

    // Info that cannot be answered.
    for (request, needle) in [
        (json!({ "type": "fly" }), "fly"),
        (json!({}), "type"),
        (json!({ "type": "l2Book", "coin": "DOGE" }), "DOGE"),
        (json!({ "type": "openOrders", "user": "me" }), "address"),
        (json!({ "type": "orderStatus", "user": format!("{:#x}", world.key.address()) }), "oid"),
    ] {
        let (status, answer) = world.node.post("/info", &request);
        assert!((400..500).contains(&status), "{request}: {status} {answer}");
        assert!(answer.to_string().contains(needle), "{request}: {answer}");
    }
    still_trades(&world);
}

#[test]
fn transactions_as_bytes_are_checked_too() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(&folder.path().join("data"));
    let label = |bytes: &[u8]| world.send_bytes(bytes).map(|(label, _)| label);

    // Messages of Atoll's own, which name network, environment and chain.
    let environments = world.node.get("/atoll/environments").1;
    let status = world.node.get("/atoll/status").1;
    let network = NetworkId(text(&status["network"]).parse::<B256>().unwrap());
    let list = environments["environments"].as_array().expect("a list");
    let perps = list.iter().find(|e| e["name"] == "perps").unwrap();
    let id = EnvironmentId(perps["id"].as_u64().unwrap() as u32);
    let identity = Identity { network, environment: id };
    let wallet = atoll_exchange::Wallet::Spot;
    let message = AtollMessage::Move { to: wallet, amount: 1 };
    let sign = |identity: &Identity, chain_id| {
        sign_message(&world.key, identity, chain_id, &message, world.nonce()).to_bytes()
    };
    let elsewhere = Identity { environment: EnvironmentId(id.0 + 1), ..identity };
    let abroad = Identity { network: NetworkId(B256::repeat_byte(9)), ..identity };
    for (what, bytes) in [
        ("another environment", sign(&elsewhere, 3001)),
        ("another network", sign(&abroad, 3001)),
        ("another chain", sign(&identity, 1)),
    ] {
        let (label, said) = world.send_bytes(&bytes).unwrap();
        assert_eq!(label, "unknown_account", "{what}: {said}");
        assert!(said.contains("for which network, environment and chain"), "{what}: {said}");
    }
    let good = sign(&identity, 3001);
    assert_eq!(label(&good), None);
    assert_eq!(label(&good).as_deref(), Some("nonce_used"));

    assert_eq!(label(&[]).as_deref(), Some("malformed"));
    assert_eq!(label(&[0xff; 40]).as_deref(), Some("malformed"));
    let unsigned = &order(&world, |_| {}).transaction.to_bytes();
    assert_eq!(label(&unsigned[..unsigned.len() - 65]).as_deref(), Some("unsigned"));
    assert_eq!(label(&vec![1; 200_000]).as_deref(), Some("oversized"));

    let bad = |body: Value, status: u16, wanted: &str| {
        let (found, answer) = world.node.post("/atoll/transactions", &body);
        assert_eq!((found, of_atoll(&answer).0.as_str()), (status, wanted), "{body}: {answer}");
    };
    bad(json!({ "environment": "mars", "bytes": "0x00" }), 404, "unknown_environment");
    bad(json!({ "environment": 99, "bytes": "0x00" }), 404, "unknown_environment");
    bad(json!({ "environment": "perps", "bytes": "00" }), 400, "malformed");
    bad(json!({ "environment": "perps", "bytes": "0x00", "wait": "long" }), 400, "malformed");
    bad(json!({ "environment": "perps" }), 400, "malformed");
    bad(json!({ "environment": "perps", "bytes": "0x00", "more": 1 }), 400, "malformed");
    // An environment's transaction at another environment.
    bad(json!({ "environment": "evm", "bytes": hex(&good) }), 400, "malformed");
    still_trades(&world);
}

/// An EVM transaction, before it is wrong.
struct Evm {
    chain_id: u64,
    nonce: u64,
    tip: u128,
    fee: u128,
    gas: u64,
    value: [u8; 32],
    data: usize,
    kind: u8,
    spoil: fn(&mut Signature),
}

impl Evm {
    fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let fields = |signature: Option<&Signature>| {
            let mut items: Vec<Vec<u8>> = vec![
                number(&self.chain_id.to_be_bytes()),
                number(&self.nonce.to_be_bytes()),
                number(&self.tip.to_be_bytes()),
                number(&self.fee.to_be_bytes()),
                number(&self.gas.to_be_bytes()),
                string(&[0x77; 20]),
                number(&self.value),
                string(&vec![1; self.data]),
                vec![0xc0],
            ];
            if let Some(signature) = signature {
                items.push(number(&[signature.y_parity]));
                items.push(number(&signature.r));
                items.push(number(&signature.s));
            }
            let list = items.concat();
            let mut out = vec![self.kind];
            alloy_rlp::Header { list: true, payload_length: list.len() }.encode(&mut out);
            out.extend_from_slice(&list);
            out
        };
        let mut signature = key.sign(&atoll_types::keccak256(fields(None)));
        (self.spoil)(&mut signature);
        fields(Some(&signature))
    }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    alloy_rlp::Encodable::encode(bytes, &mut out);
    out
}

/// A big-endian integer without its leading zeros.
fn number(bytes: &[u8]) -> Vec<u8> {
    string(&bytes[bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len())..])
}

const INSUFFICIENT: &str = "insufficient funds for gas * price + value";

fn api_table() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/API.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_evm_refuses_as_ethereum_nodes_do() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(&folder.path().join("data"));
    let (socket, _) = connect(format!("ws://{}/evm/evm", world.node.address)).unwrap();
    let socket = RefCell::new(socket);
    let over_socket = |request: &Value| -> Value {
        let mut socket = socket.borrow_mut();
        socket.send(Message::text(request.to_string())).unwrap();
        serde_json::from_str(socket.read().unwrap().to_text().unwrap()).unwrap()
    };
    let request = |method: &str, params: Value| json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let raw = |bytes: &[u8]| request("eth_sendRawTransaction", json!([hex(bytes)]));
    let good = || Evm {
        chain_id: 3002,
        nonce: 0,
        tip: 0,
        fee: 5_000_000_000,
        gas: 21_000,
        value: [0; 32],
        data: 0,
        kind: 2,
        spoil: |_| {},
    };
    let key = SigningKey::from_label("agent-3");
    let mut rich = [0; 32];
    rich[0] = 0xff;
    let wrong: Vec<(&str, &str, &str, Vec<u8>)> = vec![
        ("garbage", "malformed", "", vec![2, 0xff, 0xff]),
        ("nothing", "malformed", "", vec![]),
        ("no signature", "unsigned", "invalid sender", {
            Evm { spoil: |s| (s.r, s.s) = ([0; 32], [0; 32]), ..good() }.sign(&key)
        }),
        ("a signature that fits no key", "bad_signature", "invalid sender", {
            Evm { spoil: |s| s.r = [0xff; 32], ..good() }.sign(&key)
        }),
        ("a signature with a high s", "bad_signature", "invalid sender", {
            Evm { spoil: |s| s.s = [0x80; 32], ..good() }.sign(&key)
        }),
        ("a sender without money", "insufficient_balance", INSUFFICIENT, {
            good().sign(&SigningKey::from_label("nobody here"))
        }),
        ("another chain id", "wrong_chain", "invalid chain id for signer", {
            Evm { chain_id: 1, ..good() }.sign(&key)
        }),
        ("a nonce far ahead", "nonce_too_high", "nonce too high", {
            Evm { nonce: 1_000, ..good() }.sign(&key)
        }),
        ("a nonce that leaves a gap", "nonce_too_high", "nonce too high", {
            Evm { nonce: 3, ..good() }.sign(&key)
        }),
        ("the nonce 2^64 - 1", "nonce_too_high", "nonce has max value", {
            Evm { nonce: u64::MAX, ..good() }.sign(&key)
        }),
        ("more than there is", "insufficient_balance", INSUFFICIENT, {
            Evm { value: rich, ..good() }.sign(&key)
        }),
        ("a fee above all money", "insufficient_balance", INSUFFICIENT, {
            Evm { fee: u128::MAX, gas: 16_000_000, ..good() }.sign(&key)
        }),
        ("a cost above 2^256", "overflow", INSUFFICIENT, {
            Evm { value: [0xff; 32], ..good() }.sign(&key)
        }),
        ("a fee below the base fee", "fee_too_low", "transaction underpriced", {
            Evm { fee: 1, ..good() }.sign(&key)
        }),
        ("a tip above the fee", "fee_too_low", "max priority fee per gas higher than max fee", {
            Evm { tip: 6_000_000_000, ..good() }.sign(&key)
        }),
        ("gas below the intrinsic cost", "gas_limit", "intrinsic gas too low", {
            Evm { gas: 20_000, ..good() }.sign(&key)
        }),
        (
            "gas below the floor of its data",
            "gas_limit",
            "insufficient gas for floor data gas cost",
            { Evm { gas: 40_000, data: 1_000, ..good() }.sign(&key) },
        ),
        ("more gas than one may have", "gas_limit", "transaction gas limit too high", {
            Evm { gas: 4_000_000_000, ..good() }.sign(&key)
        }),
        ("a blob transaction (type 3)", "unsupported", "transaction type not supported", {
            Evm { kind: 3, ..good() }.sign(&key)
        }),
        ("a type that there is not", "unsupported", "transaction type not supported", {
            Evm { kind: 9, ..good() }.sign(&key)
        }),
        ("more than 131,072 bytes", "oversized", "oversized data", {
            Evm { data: 140_000, gas: 16_000_000, ..good() }.sign(&key)
        }),
    ];
    let table = api_table();
    for (name, label, sentence, _) in &wrong {
        let words = if sentence.is_empty() { "—".into() } else { format!("`{sentence}`") };
        let row = format!("| {name} | {words} | `{label}` |");
        assert!(table.contains(&row), "docs/API.md has no row {row}");
    }
    let refused = |name: &str, answer: &Value, label: &str, sentence: &str| {
        let error = &answer["error"];
        assert_eq!(error["data"]["label"], label, "{name}: {answer}");
        let said = text(&error["message"]);
        assert!(said.starts_with(sentence) && said.len() > 10, "{name}: {answer}");
        assert_eq!(error["code"], -32000, "{name}: {answer}");
    };
    for (name, label, sentence, bytes) in &wrong {
        let (status, answer) = world.node.post("/evm/evm", &raw(bytes));
        assert_eq!(status, 200, "{answer}");
        refused(name, &answer, label, sentence);
        refused(name, &over_socket(&raw(bytes)), label, sentence);
        let (status, answer) = world.node.submit("evm", bytes).unwrap();
        let found = match status {
            // Ordered, and without effect.
            200 => text(&answer["receipt"]["label"]),
            _ => of_atoll(&answer).0,
        };
        assert_eq!(found, *label, "{name} as bytes: {answer}");
    }

    // Twice the same.
    let bytes = good().sign(&key);
    assert!(world.node.post("/evm/evm", &raw(&bytes)).1["result"].is_string());
    let again = over_socket(&raw(&bytes));
    match again["error"]["data"]["label"].as_str() {
        // Its block was not sealed yet.
        Some("already_known") => refused("again", &again, "already_known", "already known"),
        _ => refused("again", &again, "nonce_too_low", "nonce too low"),
    }
    let other = Evm { value: [0; 32], gas: 30_000, ..good() }.sign(&key);
    refused("stale", &over_socket(&raw(&other)), "nonce_too_low", "nonce too low");

    // Envelopes and methods.
    let code = |body: &Value| world.node.post("/evm/evm", body).1["error"]["code"].as_i64();
    assert_eq!(code(&request("eth_fly", json!([]))), Some(-32601));
    assert_eq!(code(&request("eth_getBalance", json!(["me", "latest"]))), Some(-32602));
    assert_eq!(code(&json!({ "hello": 1 })), Some(-32600));
    assert_eq!(
        code(&request("eth_call", json!([{ "to": hex(&[9; 20]), "gas": "1" }]))),
        Some(-32602)
    );
    let parse = http(&world.node.address, "POST", "/evm/evm", "{").unwrap().1;
    assert_eq!(parse["error"]["code"], -32700);
    let mars = world.node.post("/evm/mars", &request("eth_chainId", json!([])));
    assert_eq!(mars.0, 404, "{}", mars.1);
    assert!(mars.1.to_string().contains("unknown_environment"), "{}", mars.1);
    still_trades(&world);
}

#[test]
fn every_code_is_documented() {
    let table = api_table();
    for code in atoll_types::RejectCode::ALL {
        let row = format!("| {} | `{}` |", code.number(), code.label());
        assert!(table.contains(&row), "docs/API.md has no row {row}");
    }
}

/// After all that: an order rests, the chain goes on, refusals were counted, money is conserved.
fn still_trades(world: &World) {
    assert_eq!(world.send(Door::Exchange, &order(world, |_| {})), None);
    let slot = world.node.get("/atoll/status").1["finalised_slot"].as_u64().unwrap();
    let on = |status: &Value| status["finalised_slot"].as_u64().unwrap() > slot;
    let status = world.node.eventually_get("/atoll/status", on);
    assert!(status.is_object());
    let metrics = common::text(&world.node.address, "/metrics");
    let counted = metrics.lines().filter(|line| line.contains("reject") && !line.starts_with('#'));
    assert!(counted.count() > 3, "{metrics}");
}
