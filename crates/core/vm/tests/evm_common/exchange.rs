//! An EVM chain with a port to an exchange, and what the exchange would show it, encoded by hand.

use super::bridge::{artifact, bridged_spec, call_data, padded};
use super::*;
use atoll_types::hub::{MessageKind, account_of};
use atoll_vm::evm::{CallRequest, EXCHANGE_PORT_ADDRESS, EvmExchange, EvmLog};

pub(crate) const EXCHANGE: EnvironmentId = EnvironmentId(1);

pub(crate) fn exchange_spec() -> EvmSpec {
    let mut spec = bridged_spec();
    let code = hex(artifact("ExchangePort")["deployedBytecode"].as_str().unwrap()).into();
    spec.exchange = Some(EvmExchange { code, environment: EXCHANGE, every_slots: 5 });
    spec
}

pub(crate) fn own_account(address: Address) -> Address {
    account_of(identity().environment, address)
}

/// A word of a signed number.
pub(crate) fn signed(value: i128) -> Vec<u8> {
    let fill = if value < 0 { 0xff } else { 0 };
    [vec![fill; 16], value.to_be_bytes().to_vec()].concat()
}

pub(crate) fn wide(value: u128) -> Vec<u8> {
    U256::from(value).to_be_bytes::<32>().to_vec()
}

#[derive(Clone, Debug)]
pub(crate) struct Market {
    pub(crate) asset: u32,
    pub(crate) oracle: u128,
    pub(crate) mark: u128,
    pub(crate) state: u64,
}

/// An observation of markets.
pub(crate) fn markets_of(slot: u64, time_us: u64, markets: &[Market]) -> Vec<u8> {
    let mut words = vec![word(slot), word(time_us), word(96), word(markets.len() as u64)];
    for market in markets {
        words.push(word(u64::from(market.asset)));
        words.extend([wide(market.oracle), wide(market.mark), word(market.state)]);
    }
    [vec![1], words.concat()].concat()
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) slot: u64,
    pub(crate) time_us: u64,
    pub(crate) account: Address,
    pub(crate) exists: bool,
    pub(crate) value: i128,
    pub(crate) free: i128,
    /// Asset, size, what was paid.
    pub(crate) positions: Vec<(u32, i128, i128)>,
    pub(crate) balances: Vec<(Address, u128)>,
}

/// An observation of an account.
pub(crate) fn account_shown(shown: &Shown) -> Vec<u8> {
    let second = 256 + 32 + 96 * shown.positions.len() as u64;
    let mut words = vec![
        word(shown.slot),
        word(shown.time_us),
        padded(shown.account),
        word(u64::from(shown.exists)),
        signed(shown.value),
        signed(shown.free),
        word(256),
        word(second),
        word(shown.positions.len() as u64),
    ];
    for (asset, size, paid) in &shown.positions {
        words.extend([word(u64::from(*asset)), signed(*size), signed(*paid)]);
    }
    words.push(word(shown.balances.len() as u64));
    for (token, amount) in &shown.balances {
        words.extend([padded(*token), wide(*amount)]);
    }
    [vec![2], words.concat()].concat()
}

/// A message from the exchange that shows this.
pub(crate) fn observation(data: Vec<u8>) -> Message {
    Message {
        kind: MessageKind::Observation,
        number: 3,
        source: EXCHANGE,
        destination: identity().environment,
        from: Address::ZERO,
        to: Address::ZERO,
        token: Address::ZERO,
        amount: U256::ZERO,
        data,
    }
}

/// Call data of `receiveObservation`.
pub(crate) fn receive_observation(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    let words = [word(32), word(data.len() as u64), bytes];
    call_data("receiveObservation(bytes)", &words)
}

/// Call data of `observe`.
pub(crate) fn observe(account: Address, assets: &[u32], tokens: &[Address]) -> Vec<u8> {
    let mut words = vec![padded(account), word(96), word(128 + 32 * assets.len() as u64)];
    words.push(word(assets.len() as u64));
    words.extend(assets.iter().map(|asset| word(u64::from(*asset))));
    words.push(word(tokens.len() as u64));
    words.extend(tokens.iter().map(|token| padded(*token)));
    call_data("observe(address,uint32[],address[])", &words)
}

/// A log as the port makes it.
pub(crate) fn action_log(from: Address, data: &[u8]) -> EvmLog {
    let mut bytes = [word(32), word(data.len() as u64), data.to_vec()].concat();
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    let signature = keccak256(b"ActionSent(uint32,address,bytes)");
    let topics = vec![signature, B256::with_last_byte(EXCHANGE.0 as u8), from.into_word()];
    EvmLog { address: EXCHANGE_PORT_ADDRESS, topics, data: bytes.into() }
}

impl Chain {
    /// Asks the port, or another contract; the words of the answer, or `None` if it reverts.
    pub(crate) fn ask(&self, to: Address, signature: &str, words: &[Vec<u8>]) -> Option<Vec<U256>> {
        let input = call_data(signature, words).into();
        let call = CallRequest { to: Some(to), input, ..CallRequest::default() };
        let output = self.vm.call(&call).ok()?.output;
        Some(output.chunks(32).map(U256::from_be_slice).collect())
    }

    /// The same of the port.
    pub(crate) fn port(&self, signature: &str, words: &[Vec<u8>]) -> Option<Vec<U256>> {
        self.ask(EXCHANGE_PORT_ADDRESS, signature, words)
    }
}
