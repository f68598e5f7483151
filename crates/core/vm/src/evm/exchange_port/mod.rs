//! The port of an EVM environment to an exchange environment.
//!
//! * **Out.** Every `ActionSent` that the port's contract logs in a transaction that succeeded is a
//!   message of its receipt, in order with those that carry money. It is done there in the name of
//!   [`Message::account`]. A log of any other contract says nothing.
//! * **In.** What the exchange shows comes as messages, and is handed to the contract by a call of
//!   the system. It is accepted from the environment that the spec names, and from no other.
//!
//! Neither moves money: that goes by [`super::bridge`]. A delivery pays no gas. Who asks for one has
//! used its gas before, in the contract; the rest comes by the router's clock.
//! `docs/evm/exchange.md` is for those who write contracts.

mod spec;

pub use spec::EvmExchange;

use super::abi::{self, address_of};
use super::objects::{EvmTables, SlotKey, StorageSlot};
use super::{EvmLog, EvmVm, system};
use crate::Receipt;
use alloc::vec::Vec;
use atoll_state::Source;
use atoll_types::hub::{MESSAGE_DATA_BYTES_MAX, MessageKind};
use atoll_types::{Address, B256, Encode, EnvironmentId, Message, RejectCode, U256, keccak256};
use revm::primitives::{Bytes, address};

/// Where the contract stands.
pub const EXCHANGE_PORT_ADDRESS: Address = address!("A701100000000000000000000000000000000004");
/// Most gas that the arrival of an observation may use: 50 markets that were never seen before take
/// less than half of it.
pub const OBSERVATION_GAS: u64 = 3_000_000;

/// Puts the contract into the genesis state, with the numbers of both environments in its first
/// storage slot.
pub(super) fn deploy<S: Source>(
    tables: &mut EvmTables<S>,
    own: EnvironmentId,
    exchange: &EvmExchange,
) {
    if !system::deploy(tables, EXCHANGE_PORT_ADDRESS, &exchange.code) {
        return;
    }
    let numbers = u64::from(exchange.environment.0) << 32 | u64::from(own.0);
    let key = SlotKey { address: EXCHANGE_PORT_ADDRESS, slot: U256::ZERO };
    tables.storage.set(&key, StorageSlot(U256::from(numbers)));
}

/// The message that a log of the port stands for.
pub(super) fn action_sent(log: &EvmLog, source: EnvironmentId) -> Option<Message> {
    let [signature, destination, from] = log.topics.as_slice() else { return None };
    if *signature != keccak256(b"ActionSent(uint32,address,bytes)") {
        return None;
    }
    let destination = u32::try_from(U256::from_be_bytes(destination.0)).ok()?;
    Some(Message {
        kind: MessageKind::Action,
        number: 0,
        source,
        destination: EnvironmentId(destination),
        from: address_of(from.as_slice())?,
        to: Address::ZERO,
        token: Address::ZERO,
        amount: U256::ZERO,
        data: abi::sole_bytes(&log.data, MESSAGE_DATA_BYTES_MAX as usize)?.to_vec(),
    })
}

/// Call data of `receiveObservation`.
fn receive_observation(data: &[u8]) -> Bytes {
    let mut input = abi::selector("receiveObservation(bytes)").to_vec();
    abi::put_word(&mut input, U256::from(32));
    abi::put_bytes(&mut input, data);
    input.into()
}

impl<S: Source> EvmVm<S> {
    /// Hands what another environment says to the contract, if it is what the exchange shows.
    pub(super) fn receive_data(&mut self, hash: B256, message: &Message) -> Receipt {
        match self.observed(message) {
            Ok(logs) => {
                let payload = self.delivered(hash, EXCHANGE_PORT_ADDRESS, logs).to_bytes();
                Receipt { hash, payload, ..Receipt::default() }
            }
            Err(code) => Receipt { hash, code: code.number(), ..Receipt::default() },
        }
    }

    fn observed(&mut self, message: &Message) -> Result<Vec<EvmLog>, RejectCode> {
        let Some(exchange) = &self.spec.exchange else { return Err(RejectCode::Unsupported) };
        if message.kind != MessageKind::Observation {
            return Err(RejectCode::Unsupported);
        }
        if message.source != exchange.environment {
            return Err(RejectCode::NotAllowed);
        }
        let input = receive_observation(&message.data);
        self.call_as_system(EXCHANGE_PORT_ADDRESS, input, OBSERVATION_GAS)
    }
}
