//! Why transactions of a block had to follow one another, over JSON-RPC and by `atoll trace`.

use super::common::{Node, atoll, last_json};
use super::{COUNTER, Chain, Draft, number, start};
use atoll_types::Address;
use serde_json::{Value, json};
use std::process::Output;

/// The other known accounts of development tools that hold money here.
const OTHERS: [&str; 2] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
];

fn trace(node: &Node, args: &[&str]) -> Output {
    let url = format!("http://{}", node.address);
    atoll().arg("trace").args(args).args(["--url", &url]).output().unwrap()
}

/// A block with transactions of every sender to where they say, and nothing else.
fn block_of(chains: &[Chain<'_>], to: impl Fn(usize) -> Address) -> String {
    for _ in 0..20 {
        let sent: Vec<Value> = chains
            .iter()
            .enumerate()
            .map(|(at, chain)| {
                let draft = Draft { to: Some(to(at)), ..Draft::default() };
                chain.ask("eth_sendRawTransaction", json!([chain.signed(draft)]))
            })
            .collect();
        let blocks: Vec<Value> = sent
            .iter()
            .map(|hash| {
                let params = json!([hash]);
                let receipt = chains[0].until("eth_getTransactionReceipt", params, |r| {
                    !r.is_null() && !r["blockNumber"].is_null()
                });
                assert_eq!(receipt["status"], "0x1", "{receipt}");
                receipt["blockNumber"].clone()
            })
            .collect();
        if blocks.iter().all(|block| *block == blocks[0]) {
            return blocks[0].as_str().unwrap().to_owned();
        }
    }
    panic!("three transactions sent at once are never in one block");
}

#[test]
fn conflicts_of_a_block_are_the_keys_that_its_transactions_share() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(&folder);
    let first = Chain::new(&node);
    let counter: Address = first.deploy(COUNTER).parse().unwrap();
    let chains = [first, Chain::of_hex(&node, OTHERS[0]), Chain::of_hex(&node, OTHERS[1])];

    // All count in the same slot.
    let block = block_of(&chains, |_| counter);
    let found = chains[0].ask("atoll_getConflicts", json!([block]));
    let whole = chains[0].ask("eth_getBlockByNumber", json!([block, false]));
    assert_eq!((&found["block"], &found["transactions"]), (&json!(block), &whole["transactions"]));
    let gas: u64 = found["gas"].as_array().unwrap().iter().map(|gas| gas.as_u64().unwrap()).sum();
    assert_eq!(gas, number(&whole["gasUsed"]));
    assert_eq!((&found["chain"], &found["keysLeftOut"]), (&json!([0, 1, 2]), &json!(0)));
    assert_eq!(found["speedupMax"], 1.0);
    let keys = found["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let slot = format!("{counter} slot 0x0");
    assert_eq!(keys[0]["key"].as_str().unwrap().to_lowercase(), slot.to_lowercase());
    assert_eq!((&keys[0]["writers"], &keys[0]["readers"]), (&json!([0, 1]), &json!([1, 2])));

    let decimal = number(&json!(block)).to_string();
    let told = trace(&node, &[&decimal, "--conflicts"]);
    let text = String::from_utf8(told.stdout).unwrap();
    for part in ["at most 1.00 times", "3 must follow one another (0, 1, 2)", "slot 0x0", "1, 2"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let told = last_json(&trace(&node, &[&decimal, "--conflicts", "--json"]));
    assert_eq!(told["keys"][0]["key"], keys[0]["key"]);

    // Nobody meets anybody: what all pay into, fees, is added up.
    let block = block_of(&chains, |at| Address::repeat_byte(0x90 + at as u8));
    let found = chains[0].ask("atoll_getConflicts", json!([block]));
    assert_eq!((&found["keys"], &found["speedupMax"]), (&json!([]), &json!(3.0)), "{found}");

    // A transaction's calls, and what cannot be.
    let receipt = chains[0].calls(&format!("{counter}"));
    let hash = receipt["transactionHash"].as_str().unwrap();
    let text = String::from_utf8(trace(&node, &[hash]).stdout).unwrap().to_lowercase();
    for part in [format!("call {counter}"), format!("log {counter}")] {
        assert!(text.contains(&part.to_lowercase()), "{part} in {text}");
    }
    assert_eq!(chains[0].ask("atoll_getConflicts", json!(["0xffffff"])), Value::Null);
    for (args, why) in [
        (&["16777215", "--conflicts"][..], "there is no such block"),
        (&[&decimal], "add --conflicts"),
        (&[hash, "--conflicts"], "are a block's"),
        (&["0x12", "--conflicts"], "expected a block's number"),
        (&["latest", "--conflicts", "--environment", "perps"], "evm/perps"),
    ] {
        let refused = trace(&node, args);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(why), "{args:?}: {said}");
    }
}
