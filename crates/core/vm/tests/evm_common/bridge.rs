//! What the tests of the bridge share: its committed code, contracts that use and abuse it.

use super::*;
use atoll_types::hub::MessageKind;
use atoll_vm::evm::{BRIDGE_ADDRESS, BridgedTokenSpec, EvmBridge};

/// The hub's tokens of the spec; [`UNLISTED`] is not.
pub(crate) const USD: Address = Address::repeat_byte(0xd1);
pub(crate) const BTC: Address = Address::repeat_byte(0xd2);
pub(crate) const UNLISTED: Address = Address::repeat_byte(0xd3);

/// Passes its input and value on to the bridge.
pub(crate) const PROXY: Address = Address::repeat_byte(0xa1);
/// Does the same and reverts.
pub(crate) const REVERTER: Address = Address::repeat_byte(0xa2);
/// Runs the bridge's code as its own.
pub(crate) const IMPOSTOR: Address = Address::repeat_byte(0xa3);
/// Logs what it is given: four topics, then the data.
pub(crate) const FORGER: Address = Address::repeat_byte(0xa4);

pub(crate) fn artifact(name: &str) -> serde_json::Value {
    let root = env!("CARGO_MANIFEST_DIR");
    let path = format!("{root}/../../../contracts/artifacts/{name}.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) fn bridged_spec() -> EvmSpec {
    let mut spec = spec();
    let code = hex(artifact("EnvironmentBridge")["deployedBytecode"].as_str().unwrap()).into();
    let token = |token, name: &str, symbol: &str, decimals| BridgedTokenSpec {
        token,
        name: name.into(),
        symbol: symbol.into(),
        decimals,
    };
    let tokens = vec![token(USD, "USD Coin", "USDC", 6), token(BTC, &"B".repeat(64), "BTC", 8)];
    spec.bridge = Some(EvmBridge { code, tokens });
    let bridge = format!("73{BRIDGE_ADDRESS:x}").replace("0x", "");
    for (address, code) in [
        (PROXY, format!("365f5f375f5f365f34{bridge}5af15000")),
        (REVERTER, format!("365f5f375f5f365f34{bridge}5af1505f5ffd")),
        (IMPOSTOR, format!("365f5f375f5f365f{bridge}5af45000")),
        (FORGER, "365f5f376060516040516020515f5160406080a400".into()),
    ] {
        let code = hex(&code).into();
        spec.genesis.push(GenesisAccount { address, nonce: 1, code, ..Default::default() });
    }
    spec
}

pub(crate) fn padded(address: Address) -> Vec<u8> {
    address.into_word().to_vec()
}

pub(crate) fn call_data(signature: &str, words: &[Vec<u8>]) -> Vec<u8> {
    [&keccak256(signature.as_bytes())[..4], &words.concat()].concat()
}

/// Call data of the bridge's `send`.
pub(crate) fn send(destination: u32, token: Address, to: Address, amount: U256) -> Vec<u8> {
    let words = [
        word(u64::from(destination)),
        padded(token),
        padded(to),
        amount.to_be_bytes::<32>().to_vec(),
    ];
    call_data("send(uint32,address,address,uint256)", &words)
}

/// Money that arrives.
pub(crate) fn arriving(source: u32, token: Address, to: Address, amount: U256) -> Message {
    Message {
        kind: MessageKind::Transfer,
        number: 9,
        source: EnvironmentId(source),
        destination: identity().environment,
        from: Address::repeat_byte(0xf0),
        to,
        token,
        amount,
        data: Vec::new(),
    }
}

impl Chain {
    /// Runs a block of deliveries.
    pub(crate) fn deliver(&mut self, messages: &[Message]) -> Vec<Receipt> {
        let mut steps = vec![Step::Open(self.next())];
        steps.extend(messages.iter().cloned().map(Step::Receive));
        self.run(&steps)
    }

    /// Balance of a bridged token, where a snapshot exit reads it.
    pub(crate) fn token_balance(&self, token: Address, holder: Address) -> U256 {
        let contract = self.vm.bridged_token(token).unwrap();
        let slot = keccak256([padded(holder), word(0)].concat());
        self.vm.storage(contract, U256::from_be_bytes(slot.0))
    }
}
