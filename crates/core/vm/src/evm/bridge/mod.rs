//! Money in and out of an EVM environment.
//!
//! * **In.** Native currency is credited to the receiver by the VM. A listed token is minted by a
//!   call of the bridge contract in the name of the system address, which nobody has a key for.
//!   Either is a transaction of the block without a sender's signature: type [`DELIVERY_KIND`],
//!   the delivery's hash as its hash, no gas. What cannot be credited goes back.
//! * **Out.** Every `MessageSent` that the contract logs in a transaction that succeeded is a
//!   message of its receipt. The contract has burned the tokens by then; native currency is left
//!   with the contract and burned here. A log of any other contract says nothing.

mod spec;

pub use revm::handler::SYSTEM_ADDRESS;
pub use spec::{
    BridgedTokenSpec, EvmBridge, TOKEN_DECIMALS_MAX, TOKEN_NAME_BYTES_MAX, TOKEN_SYMBOL_BYTES_MAX,
    TOKENS_MAX,
};

use super::abi::{address_of, put_bytes, put_word, selector, word_of};
use super::exchange_port::{self, EXCHANGE_PORT_ADDRESS};
use super::objects::{AccountKey, Flows, Singleton, TokenKey};
use super::{CallRequest, EvmLog, EvmReceipt, EvmVm};
use crate::Receipt;
use alloc::vec::Vec;
use atoll_state::Source;
use atoll_types::hub::{MessageKind, ROUTER};
use atoll_types::{Address, B256, Encode, EnvironmentId, Message, RejectCode, U256, keccak256};
use revm::primitives::{Bytes, address};

/// Where the bridge contract stands.
pub const BRIDGE_ADDRESS: Address = address!("A701100000000000000000000000000000000001");
/// Type of the transaction that a delivery is in its block.
pub const DELIVERY_KIND: u8 = 0x7e;
/// Most gas that the arrival of a token may use; its creation takes less than half of it.
pub const RECEIVE_GAS: u64 = 2_000_000;

/// Call data of `receiveToken`.
fn receive_token(spec: &BridgedTokenSpec, to: Address, amount: U256) -> Bytes {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    const HEAD_BYTES: usize = 6 * 32;
    put_word(&mut head, word_of(spec.token));
    for text in [&spec.name, &spec.symbol] {
        put_word(&mut head, U256::from(HEAD_BYTES + tail.len()));
        put_bytes(&mut tail, text.as_bytes());
    }
    put_word(&mut head, U256::from(spec.decimals));
    put_word(&mut head, word_of(to));
    put_word(&mut head, amount);
    let signature = "receiveToken(address,string,string,uint8,address,uint256)";
    [&selector(signature)[..], &head, &tail].concat().into()
}

/// The message that a log of the bridge contract stands for.
fn message_sent(log: &EvmLog, source: EnvironmentId) -> Option<Message> {
    let [signature, destination, token, from] = log.topics.as_slice() else { return None };
    if *signature != keccak256(b"MessageSent(uint32,address,address,address,uint256)") {
        return None;
    }
    let (to, amount) = log.data.split_at_checked(32)?;
    let amount = U256::from_be_bytes(<[u8; 32]>::try_from(amount).ok()?);
    let destination = u32::try_from(U256::from_be_bytes(destination.0)).ok()?;
    (!amount.is_zero()).then_some(Message {
        kind: MessageKind::Transfer,
        number: 0,
        source,
        destination: EnvironmentId(destination),
        from: address_of(from.as_slice())?,
        to: address_of(to)?,
        token: address_of(token.as_slice())?,
        amount,
        data: Vec::new(),
    })
}

/// What came in by the message, on top of what came before it.
fn came_in(mut flows: Flows, message: &Message) -> Option<Flows> {
    let sum = match message.source {
        ROUTER => &mut flows.deposits,
        _ => &mut flows.inbound,
    };
    *sum = sum.checked_add(message.amount)?;
    flows.deposits.checked_add(flows.inbound)?;
    Some(flows)
}

impl<S: Source> EvmVm<S> {
    /// Credits what a message brings, or sends it back.
    pub(super) fn receive_money(&mut self, hash: B256, message: &Message) -> Receipt {
        match self.credit(hash, message) {
            Ok(receipt) => Receipt { hash, payload: receipt.to_bytes(), ..Receipt::default() },
            Err(code) => Receipt {
                hash,
                code: code.number(),
                payload: Vec::new(),
                messages: alloc::vec![self.returned(message)],
            },
        }
    }

    /// Back to where it came from; out to the hub if it was on its way back already.
    fn returned(&self, message: &Message) -> Message {
        match message.kind {
            MessageKind::Bounce => Message {
                kind: MessageKind::Transfer,
                number: 0,
                source: self.environment,
                destination: ROUTER,
                from: message.to,
                to: message.to,
                token: message.token,
                amount: message.amount,
                data: Vec::new(),
            },
            _ => message.bounced(),
        }
    }

    fn credit(&mut self, hash: B256, message: &Message) -> Result<EvmReceipt, RejectCode> {
        let Message { to, token, amount, .. } = *message;
        let bridge = self.spec.bridge.as_ref().ok_or(RejectCode::Unsupported)?;
        let mint = match token.is_zero() {
            true => None,
            false => {
                let listed = bridge.token(token).ok_or(RejectCode::Unsupported)?;
                Some(receive_token(listed, to, amount))
            }
        };
        if to.is_zero() || to == BRIDGE_ADDRESS {
            // Nobody could ever take it out again.
            return Err(RejectCode::NotAllowed);
        }
        let key = TokenKey(token);
        let flows = came_in(*self.tables.flows.get(&key), message).ok_or(RejectCode::Overflow)?;
        let (callee, logs) = match mint {
            Some(data) => (BRIDGE_ADDRESS, self.call_as_system(BRIDGE_ADDRESS, data, RECEIVE_GAS)?),
            None => {
                self.credit_native(&flows, to, amount)?;
                (to, Vec::new())
            }
        };
        if !amount.is_zero() {
            self.tables.flows.set(&key, flows);
        }
        Ok(self.delivered(hash, callee, logs))
    }

    fn credit_native(
        &mut self,
        flows: &Flows,
        to: Address,
        amount: U256,
    ) -> Result<(), RejectCode> {
        // Who bounds the sum of all balances bounds each of them.
        let genesis = self.tables.ledger.get(&Singleton).genesis;
        let total = genesis.checked_add(flows.deposits);
        let total = total.and_then(|total| total.checked_add(flows.inbound));
        let account = *self.tables.accounts.get(&AccountKey(to));
        let balance = account.balance.checked_add(amount);
        let (Some(_), Some(balance)) = (total, balance) else { return Err(RejectCode::Overflow) };
        if !amount.is_zero() {
            self.tables.accounts.get_mut(&AccountKey(to)).balance = balance;
        }
        Ok(())
    }

    /// The messages of a transaction that succeeded, in order; burns the native currency they take
    /// along.
    pub(super) fn messages_sent(&mut self, logs: &[EvmLog]) -> Vec<Message> {
        let (bridge, port) = (self.spec.bridge.is_some(), self.spec.exchange.is_some());
        let mut messages = Vec::new();
        for log in logs {
            match log.address {
                BRIDGE_ADDRESS if bridge => messages.extend(self.money_sent(log)),
                EXCHANGE_PORT_ADDRESS if port => {
                    messages.extend(exchange_port::action_sent(log, self.environment));
                }
                _ => {}
            }
        }
        messages
    }

    fn money_sent(&mut self, log: &EvmLog) -> Option<Message> {
        let message = message_sent(log, self.environment)?;
        if message.token.is_zero() {
            let account = self.tables.accounts.get(&AccountKey(BRIDGE_ADDRESS));
            // A contract that promises what it was not given has sent nothing.
            let rest = account.balance.checked_sub(message.amount)?;
            self.tables.accounts.get_mut(&AccountKey(BRIDGE_ADDRESS)).balance = rest;
        }
        let flows = self.tables.flows.get_mut(&TokenKey(message.token));
        let sum = match message.destination {
            ROUTER => &mut flows.withdrawals,
            _ => &mut flows.outbound,
        };
        // Never above what came in and the genesis state, whose sum is in range.
        *sum = sum.saturating_add(message.amount);
        Some(message)
    }

    /// Where a token of the hub is, or will be, in this environment. For queries.
    pub fn bridged_token(&self, token: Address) -> Option<Address> {
        self.spec.bridge.as_ref()?.token(token)?;
        let mut input = selector("tokenOf(address)").to_vec();
        put_word(&mut input, word_of(token));
        address_of(&self.ask(BRIDGE_ADDRESS, input)?)
    }

    /// What there is of a token of the hub in this environment; none if it cannot be told.
    pub(super) fn bridged_supply(&self, token: Address) -> Option<U256> {
        let contract = self.bridged_token(token)?;
        if self.code(contract).is_empty() {
            return Some(U256::ZERO);
        }
        let output = self.ask(contract, selector("totalSupply()").to_vec())?;
        Some(U256::from_be_bytes(<[u8; 32]>::try_from(&output[..]).ok()?))
    }

    fn ask(&self, to: Address, input: Vec<u8>) -> Option<Bytes> {
        let request = CallRequest { to: Some(to), input: input.into(), ..CallRequest::default() };
        self.call(&request).ok().map(|outcome| outcome.output)
    }
}
