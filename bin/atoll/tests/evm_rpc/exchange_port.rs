//! The exchange from a transaction of the EVM, on a running node: an account of the exchange that no
//! key signs for is given money, trades, and is seen; what it did is there after a crash.

use super::common::{Node, Trader};
use super::contracts::{EVM, call, usdc, word, word_of};
use super::{Chain, Draft};
use atoll_types::hub::account_of;
use atoll_types::{Address, U256};
use atoll_vm::evm::{BRIDGE_ADDRESS, EXCHANGE_PORT_ADDRESS};
use serde_json::{Value, json};

const BTC: u64 = 0;
/// 10^8, the unit of prices and sizes.
const ONE: u64 = 100_000_000;

impl Chain<'_> {
    fn view(&self, data: &[u8]) -> Option<Vec<U256>> {
        self.call(EXCHANGE_PORT_ADDRESS, data)
    }

    fn seen(&self, data: &[u8], wanted: impl Fn(&[U256]) -> bool) -> Vec<U256> {
        self.seen_at(EXCHANGE_PORT_ADDRESS, data, wanted)
    }

    fn to(&self, to: Address, input: Vec<u8>) {
        let receipt = self.send(Draft { to: Some(to), input, ..Draft::default() });
        assert_eq!(receipt["status"], "0x1", "{receipt}");
    }

    fn port(&self, input: Vec<u8>) {
        self.to(EXCHANGE_PORT_ADDRESS, input);
    }

    fn observe(&self, who: Address) {
        // Two arrays: BTC, and no token.
        let words = [word_of(who), word(0x60), word(0xa0), word(1), word(BTC), word(0)];
        self.port(call("observe(address,uint32[],address[])", &words));
    }
}

fn info(node: &Node, kind: &str, user: Address) -> Value {
    node.post("/info", &json!({ "type": kind, "user": format!("{user:#x}") })).1
}

#[test]
fn an_account_without_a_key_trades_by_messages_and_is_observed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // With a hub, which says what token USDC is.
    let args = ["--rate", "0", "--snapshot-interval", "100"];
    let mut node = Node::start(&data, &args);
    let usdc = usdc(&node);
    let account = {
        let chain = Chain::new(&node);
        let sender: Address = chain.from().parse().unwrap();
        let account = account_of(EVM, sender);
        let found = chain.view(&call("accountOf(address)", &[word_of(sender)])).unwrap();
        assert_eq!(found, [word_of(account)]);
        assert_eq!(chain.view(&call("environments()", &[])).unwrap(), [word(2), word(1)]);

        // Markets come by themselves: what the exchange says of them, as prices times 10^8.
        let market = chain.seen(&call("market(uint32)", &[word(BTC)]), |found| !found[0].is_zero());
        let (oracle, mark, slot) = (market[0].to::<u64>(), market[1], market[3].to::<u64>());
        assert!(!mark.is_zero() && slot > 0, "{market:?}");
        let known: f64 =
            node.post("/info", &json!({ "type": "metaAndAssetCtxs" })).1[1][0]["oraclePx"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
        assert!((oracle as f64 / ONE as f64 / known - 1.0).abs() < 0.05, "{oracle}, {known}");

        // Nobody has given it money: what it wants to do is refused over there, and nothing comes of it.
        let price = oracle / ONE / 10 * 10;
        let buy = |size: u64, client: u64| {
            let words = [BTC, 1, price * ONE, size, 0, 2, client].map(word);
            call("placeLimitOrder(uint32,bool,uint64,uint64,bool,uint8,uint128)", &words)
        };
        chain.port(buy(ONE / 10, 7));
        let mut trader = Trader::new("agent-7");
        trader.send(&node, sender, 50_000_000_000);
        let token = chain.bridged(usdc);
        let balance = call("balanceOf(address)", &[word_of(sender)]);
        chain.seen_at(token, &balance, |found| found == [word(50_000_000_000)]);
        let words = [word(1), word_of(usdc), word_of(account), word(50_000_000_000)];
        chain.to(BRIDGE_ADDRESS, call("send(uint32,address,address,uint256)", &words));
        chain.observe(account);
        let view = call("account(address)", &[word_of(account)]);
        let seen = chain.seen(&view, |found| found[1] == word(50_000_000_000));
        assert_eq!((seen[0], seen[2]), (word(1), word(50_000_000_000)), "{seen:?}");
        assert_eq!(info(&node, "openOrders", account), json!([]));

        // An order that rests, one that is cancelled, and somebody with a key who sells to the first.
        chain.port(buy(ONE / 10, 8));
        chain.port(buy(ONE / 5, 9));
        let cancel = call("cancelByClientId(uint32,uint128)", &[word(BTC), word(9)]);
        chain.port(cancel);
        let open = node.eventually_post(
            "/info",
            &json!({ "type": "openOrders", "user": format!("{account:#x}") }),
            |orders| orders.as_array().is_some_and(|orders| orders.len() == 1),
        );
        assert_eq!(open[0]["cloid"], format!("0x{:032x}", 8), "{open}");
        trader.order(&node, false, price, "0.1", None);
        let state = json!({ "type": "clearinghouseState", "user": format!("{account:#x}") });
        node.eventually_post("/info", &state, |state| {
            state["assetPositions"][0]["position"]["szi"] == "0.1"
        });

        // The EVM sees the position after it asked.
        chain.observe(account);
        let view = call("position(address,uint32)", &[word_of(account), word(BTC)]);
        let seen = chain.seen(&view, |found| found[0] == word(ONE / 10));
        assert_eq!(seen[1], word(price * 100_000), "a tenth at that price, in millionths");

        // Money comes back as the token that the bridge mints.
        let sending = call(
            "send(uint32,address,address,bool,uint128)",
            &[word(2), word_of(sender), word_of(usdc), word(0), word(1_250_000)],
        );
        chain.port(sending);
        chain.seen_at(token, &balance, |found| found == [word(1_250_000)]);
        account
    };
    let positions = info(&node, "clearinghouseState", account)["assetPositions"].clone();
    node.kill();
    let node = Node::start(&data, &args);
    let state = json!({ "type": "clearinghouseState", "user": format!("{account:#x}") });
    let back = node.eventually_post("/info", &state, |state| {
        state["assetPositions"][0]["position"]["szi"] == "0.1"
    });
    assert_eq!(back["assetPositions"][0]["position"]["szi"], positions[0]["position"]["szi"]);
    let chain = Chain::new(&node);
    let view = call("position(address,uint32)", &[word_of(account), word(BTC)]);
    chain.seen(&view, |found| found[0] == word(ONE / 10));
}
