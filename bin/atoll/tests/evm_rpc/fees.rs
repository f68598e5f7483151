//! Fees in a token, on a running node: an account that never had any native currency is sent USDC by the
//! exchange, and pays with it for what it does.

use super::common::{Node, Trader};
use super::contracts::{call, usdc, word, word_of};
use super::{Chain, Draft, hex, number};
use atoll_types::crypto::SigningKey;
use atoll_types::{Address, U256};
use serde_json::{Value, json};

/// Whole USDC for a whole coin, in millionths: `environments/evm.toml`.
const PRICE: u128 = 3_000_000_000;

fn balance(who: Address) -> Vec<u8> {
    call("balanceOf(address)", &[word_of(who)])
}

fn fee(receipt: &Value) -> U256 {
    let wei = u128::from(number(&receipt["gasUsed"]) * number(&receipt["effectiveGasPrice"]));
    U256::from((wei * PRICE).div_ceil(10u128.pow(18)))
}

#[test]
fn an_account_that_has_only_usdc_sends_transactions() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let args = ["--rate", "0", "--snapshot-interval", "100"];
    let mut node = Node::start(&data, &args);
    let hub_token = usdc(&node);
    let key = || SigningKey::from_label("only-usdc");
    let (from, friend) = (key().address(), Address::repeat_byte(0x99));
    let token = {
        let chain = Chain::of(&node, key());
        let token = chain.bridged(hub_token);
        let listed = chain.ask("atoll_getFeeTokens", json!([]));
        let listed = listed.as_array().unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0]["token"].as_str().unwrap().parse::<Address>().unwrap(), token);
        assert_eq!(u128::from(number(&listed[0]["price"])), PRICE);

        // With nothing at all nobody sends anything.
        let pay = |units: u64| Draft {
            to: Some(token),
            input: call("transfer(address,uint256)", &[word_of(friend), word(units)]),
            ..Draft::default()
        };
        let unsent = json!([chain.signed(pay(1))]);
        let refused = chain.refused("eth_sendRawTransaction", unsent);
        let said = refused["message"].as_str().unwrap();
        assert!(said.contains("no token that fees may be paid in"), "{said}");
        chain.nonce.set(0);

        Trader::new("agent-8").send(&node, from, 5_000_000);
        chain.seen_at(token, &balance(from), |found| found == [word(5_000_000)]);
        let recipient =
            chain.ask("eth_getBlockByNumber", json!(["latest", false]))["miner"].clone();
        let recipient: Address = recipient.as_str().unwrap().parse().unwrap();
        let request = json!({
            "from": format!("{from:#x}"),
            "to": format!("{token:#x}"),
            "data": hex(&pay(1_000_000).input),
            "maxFeePerGas": "0x1dcd6500",
        });
        let estimate = number(&chain.ask("eth_estimateGas", json!([request])));
        assert!((30_000..500_000).contains(&estimate), "{estimate}");

        let receipt = chain.send(pay(1_000_000));
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        let paid = fee(&receipt);
        assert!(!paid.is_zero());
        let logs = receipt["logs"].as_array().unwrap();
        let last = logs.last().unwrap();
        assert_eq!(logs.len(), 2, "its transfer, and the fee's: {receipt}");
        assert_eq!(last["topics"][2].as_str().unwrap(), format!("{:#x}", recipient.into_word()));
        assert_eq!(last["data"].as_str().unwrap().parse::<U256>().unwrap(), paid);
        let left = word(4_000_000) - paid;
        chain.seen_at(token, &balance(from), |found| found == [left]);
        chain.seen_at(token, &balance(recipient), |found| found == [paid]);
        chain.seen_at(token, &balance(friend), |found| found == [word(1_000_000)]);
        assert_eq!(chain.ask("eth_getBalance", json!([format!("{from:#x}"), "latest"])), "0x0");

        // A trace shows the same execution.
        let hash = &receipt["transactionHash"];
        let options = json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } });
        let trace = chain.ask("debug_traceTransaction", json!([hash, options]));
        let storage = &trace["post"][format!("{token:#x}")]["storage"];
        assert_eq!(storage.as_object().map(|slots| slots.len()), Some(3), "{trace}");
        token
    };
    let held = |chain: &Chain<'_>| chain.call(token, &balance(from)).unwrap()[0];
    let before = held(&Chain::of(&node, key()));
    node.kill();
    let node = Node::start(&data, &args);
    let chain = Chain::of(&node, key());
    assert_eq!((held(&chain), chain.nonce.get()), (before, 1));
    let receipt = chain.send(Draft { to: Some(friend), ..Draft::default() });
    assert_eq!(receipt["status"], "0x1");
    chain.seen_at(token, &balance(from), |found| found == [before - fee(&receipt)]);
}
