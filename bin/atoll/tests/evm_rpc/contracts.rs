//! What tests of contracts share: calls, and money that the exchange sends.

use super::common::{Node, Trader};
use super::{Chain, hex};
use atoll_types::{Address, Encode, EnvironmentId, NetworkId, U256, keccak256};
use atoll_vm::Identity;
use atoll_vm::evm::BRIDGE_ADDRESS;
use atoll_vm::exchange::{AtollMessage, sign};
use serde_json::json;
use std::time::{Duration, Instant};

const EXCHANGE: EnvironmentId = EnvironmentId(1);
pub(super) const EVM: EnvironmentId = EnvironmentId(2);

pub(super) fn call(signature: &str, words: &[U256]) -> Vec<u8> {
    let mut data = keccak256(signature.as_bytes())[..4].to_vec();
    words.iter().for_each(|word| data.extend(word.to_be_bytes::<32>()));
    data
}

pub(super) fn word(number: u64) -> U256 {
    U256::from(number)
}

pub(super) fn word_of(address: Address) -> U256 {
    U256::from_be_bytes(address.into_word().0)
}

/// USDC on the hub.
pub(super) fn usdc(node: &Node) -> Address {
    let settlement = node.eventually("/atoll/settlement");
    let tokens = settlement["tokens"].as_array().unwrap();
    let usdc = tokens.iter().find(|token| token["symbol"] == "USDC").unwrap();
    usdc["token"].as_str().unwrap().parse().unwrap()
}

impl Chain<'_> {
    /// What a call returns; nothing if it reverts.
    pub(super) fn call(&self, to: Address, data: &[u8]) -> Option<Vec<U256>> {
        let to = format!("{to:#x}");
        let answer = self.answer("eth_call", json!([{ "to": to, "data": hex(data) }, "latest"]));
        let output = super::unhex(answer["result"].as_str()?);
        Some(output.chunks(32).map(U256::from_be_slice).collect())
    }

    /// Calls until what it returns is as wanted.
    pub(super) fn seen_at(
        &self,
        to: Address,
        data: &[u8],
        wanted: impl Fn(&[U256]) -> bool,
    ) -> Vec<U256> {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let found = self.call(to, data);
            match found {
                Some(words) if wanted(&words) => return words,
                found => assert!(Instant::now() < end, "{found:?}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where a token of the hub is here.
    pub(super) fn bridged(&self, token: Address) -> Address {
        let asked = call("tokenOf(address)", &[word_of(token)]);
        Address::from_word(self.call(BRIDGE_ADDRESS, &asked).unwrap()[0].into())
    }
}

impl Trader {
    /// Sends USDC into the EVM environment.
    pub(super) fn send(&mut self, node: &Node, to: Address, amount: u128) {
        let network = node.eventually("/atoll/status")["network"].as_str().unwrap().to_string();
        let identity =
            Identity { network: NetworkId(network.parse().unwrap()), environment: EXCHANGE };
        let (asset, wallet) = ("USDC".to_string(), atoll_exchange::Wallet::Collateral);
        let message = AtollMessage::Send { destination: EVM, to, asset, wallet, amount };
        let nonce = self.nonce();
        let signed = sign::sign_message(&self.key, &identity, 3001, &message, nonce);
        assert_eq!(node.submit("perps", &signed.to_bytes()).unwrap().0, 200);
    }
}
