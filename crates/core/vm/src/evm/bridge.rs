//! Money that comes in and goes out.
//!
//! A contract at a fixed address, part of the genesis state, is the way out: what it logs as
//! `MessageSent` leaves the environment with the transaction that did it. The native currency that
//! was sent to it is taken from its balance; bridged tokens it burns itself. What comes in is
//! credited (native) or minted by that contract (tokens), called by nobody but the VM, as
//! [`revm::handler::system_call::SYSTEM_ADDRESS`].

use super::database::{self, Recorded};
use super::execute::log;
use super::objects::{Account, AccountKey, Singleton};
use super::{EvmLog, EvmReceipt, EvmVm, Status};
use crate::Receipt;
use alloc::string::String;
use alloc::vec::Vec;
use atoll_state::Source;
use atoll_types::codec::{CodecError, put_bytes, put_varint};
use atoll_types::hub::ROUTER;
use atoll_types::{
    Address, B256, Decode, Encode, EnvironmentId, Message, MessageKind, Reader, RejectCode, U256,
    keccak256,
};
use revm::MainBuilder;
use revm::context::result::{ExecResultAndState, ExecutionResult};
use revm::handler::{MainnetContext, SystemCallEvm};
use revm::primitives::{Bytes, address};

/// Where the contract is in every environment that has a bridge.
pub const BRIDGE_ADDRESS: Address = address!("0xa701100000000000000000000000000000000001");
/// Transaction type that receipts of deliveries show.
pub const DELIVERY_KIND: u8 = 0x7e;
/// Most tokens that an environment lists.
pub const TOKENS_MAX: u32 = 256;
/// Longest name or symbol of a token, in bytes.
pub const TOKEN_TEXT_BYTES_MAX: u32 = 64;
/// Most wei that may come in at once: the sum of all balances stays far below 2²⁵⁶.
const AMOUNT_BITS_MAX: usize = 128;

const SENT: &[u8] = b"MessageSent(uint32,address,address,address,uint256)";
const RECEIVE: &[u8] = b"receiveToken(address,string,string,uint8,address,uint256)";

/// A token of the hub that may be in the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgedToken {
    /// Its address on the hub.
    pub token: Address,
    /// Its name here.
    pub name: String,
    /// Its symbol here.
    pub symbol: String,
    /// Its decimals, the same as on the hub.
    pub decimals: u8,
}

/// An environment's way in and out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvmBridge {
    /// Runtime code of the contract at [`BRIDGE_ADDRESS`].
    pub code: Bytes,
    /// Tokens that may come in, besides the hub's native currency.
    pub tokens: Vec<BridgedToken>,
}

impl EvmBridge {
    fn token(&self, token: &Address) -> Option<&BridgedToken> {
        self.tokens.iter().find(|listed| listed.token == *token)
    }
}

/// The messages that logs of the bridge contract stand for.
fn messages(source: EnvironmentId, logs: &[EvmLog]) -> Vec<Message> {
    let topic = keccak256(SENT);
    let message = |log: &EvmLog| {
        let [first, destination, token, from] = log.topics.as_slice() else { return None };
        if log.address != BRIDGE_ADDRESS || *first != topic || log.data.len() != 64 {
            return None;
        }
        let destination = u32::from_be_bytes(destination[28..].try_into().ok()?);
        Some(Message {
            kind: MessageKind::Transfer,
            number: 0,
            source,
            destination: EnvironmentId(destination),
            from: Address::from_word(*from),
            to: Address::from_slice(&log.data[12..32]),
            token: Address::from_word(*token),
            amount: U256::from_be_slice(&log.data[32..]),
        })
    };
    logs.iter().filter_map(message).filter(|message| !message.amount.is_zero()).collect()
}

/// The call that mints a token.
fn receive_call(token: &BridgedToken, to: Address, amount: U256) -> Vec<u8> {
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend_from_slice(&U256::from(text.len()).to_be_bytes::<32>());
        out.extend_from_slice(text.as_bytes());
        out.resize(out.len().next_multiple_of(32), 0);
    };
    let mut tail = Vec::new();
    text(&mut tail, &token.name);
    let (name_at, symbol_at) = (6 * 32, 6 * 32 + tail.len());
    text(&mut tail, &token.symbol);
    let mut out = keccak256(RECEIVE)[..4].to_vec();
    for word in [
        token.token.into_word(),
        U256::from(name_at).into(),
        U256::from(symbol_at).into(),
        U256::from(token.decimals).into(),
        to.into_word(),
        amount.into(),
    ] {
        out.extend_from_slice(word.as_slice());
    }
    out.extend_from_slice(&tail);
    out
}

impl<S: Source> EvmVm<S> {
    /// What leaves with a transaction that succeeded. Takes what is native from the bridge
    /// contract's balance.
    pub(super) fn take_out(&mut self, logs: &[EvmLog]) -> Vec<Message> {
        if self.spec.bridge.is_none() || !logs.iter().any(|log| log.address == BRIDGE_ADDRESS) {
            return Vec::new();
        }
        let mut sent = messages(self.identity.environment, logs);
        sent.retain(|message| {
            if !message.token.is_zero() {
                return true;
            }
            let key = AccountKey(BRIDGE_ADDRESS);
            let account = *self.tables.accounts.get(&key);
            // The contract logs what it was sent, no more: a message without its money is void.
            let Some(balance) = account.balance.checked_sub(message.amount) else { return false };
            self.tables.accounts.set(&key, Account { balance, ..account });
            let ledger = self.tables.ledger.get_mut(&Singleton);
            ledger.withdrawals = ledger.withdrawals.saturating_add(message.amount);
            true
        });
        sent
    }

    pub(super) fn receive_message(&mut self, hash: B256, message: &Message) -> Receipt {
        let outcome = match &self.spec.bridge {
            None => Err(RejectCode::Unsupported),
            Some(_) if message.to.is_zero() || message.amount.is_zero() => {
                Err(RejectCode::NotAllowed)
            }
            Some(_) if message.amount.bit_len() > AMOUNT_BITS_MAX => Err(RejectCode::Overflow),
            Some(_) if message.token.is_zero() => {
                self.credit(message);
                Ok(Vec::new())
            }
            Some(bridge) => match bridge.token(&message.token).cloned() {
                Some(token) => self.mint(&token, message),
                None => Err(RejectCode::Unsupported),
            },
        };
        match outcome {
            Ok(logs) => {
                let payload = self.delivery_receipt(hash, message, logs).to_bytes();
                Receipt { hash, code: 0, payload, messages: Vec::new() }
            }
            Err(code) => {
                let messages = match message.kind {
                    _ if message.amount.is_zero() => Vec::new(),
                    MessageKind::Transfer => alloc::vec![message.bounced()],
                    // What came back and cannot be taken goes out to the hub.
                    MessageKind::Bounce => alloc::vec![Message {
                        kind: MessageKind::Transfer,
                        number: 0,
                        source: self.identity.environment,
                        destination: ROUTER,
                        from: message.to,
                        ..message.clone()
                    }],
                };
                Receipt { hash, code: code.number(), payload: Vec::new(), messages }
            }
        }
    }

    fn credit(&mut self, message: &Message) {
        let account = self.tables.accounts.get_mut(&AccountKey(message.to));
        account.balance = account.balance.saturating_add(message.amount);
        let ledger = self.tables.ledger.get_mut(&Singleton);
        ledger.deposits = ledger.deposits.saturating_add(message.amount);
    }

    fn mint(&mut self, token: &BridgedToken, message: &Message) -> Result<Vec<EvmLog>, RejectCode> {
        let block = *self.tables.block.get(&Singleton);
        let block_env = self.block_env(&block);
        let mut evm = MainnetContext::new(Recorded(&mut self.tables), self.spec.hardfork.spec_id())
            .with_cfg(self.config.clone())
            .with_block(block_env)
            .build_mainnet();
        let call = receive_call(token, message.to, message.amount);
        let outcome = evm.system_call(BRIDGE_ADDRESS, Bytes::from(call));
        drop(evm);
        match outcome {
            Ok(ExecResultAndState { result: ExecutionResult::Success { logs, .. }, state }) => {
                database::commit(&mut self.tables, state);
                Ok(logs.into_iter().map(log).collect())
            }
            Ok(_) => Err(RejectCode::Reverted),
            Err(_) => Err(RejectCode::Unsupported),
        }
    }

    fn delivery_receipt(&mut self, hash: B256, message: &Message, logs: Vec<EvmLog>) -> EvmReceipt {
        let block = self.tables.block.get_mut(&Singleton);
        let first_log_index = block.logs;
        block.logs = block.logs.saturating_add(logs.len() as u32);
        EvmReceipt {
            status: Status::Success,
            kind: DELIVERY_KIND,
            transaction_hash: hash,
            transaction_index: block.transactions,
            from: message.from,
            to: Some(message.to),
            contract_address: None,
            gas_used: 0,
            cumulative_gas_used: block.gas_used,
            effective_gas_price: 0,
            first_log_index,
            logs,
            output: Bytes::new(),
        }
    }
}

impl Encode for EvmBridge {
    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.code);
        put_varint(out, self.tokens.len() as u64);
        for token in &self.tokens {
            out.extend_from_slice(token.token.as_slice());
            put_bytes(out, token.name.as_bytes());
            put_bytes(out, token.symbol.as_bytes());
            out.push(token.decimals);
        }
    }
}

impl Decode for EvmBridge {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let code = Bytes::copy_from_slice(r.bytes("bridge code", super::spec::CODE_BYTES_MAX)?);
        let mut tokens = Vec::new();
        for _ in 0..r.length("bridged tokens", TOKENS_MAX)? {
            let token = r.address()?;
            let mut text = |what| {
                let bytes = r.bytes(what, TOKEN_TEXT_BYTES_MAX)?;
                let text = core::str::from_utf8(bytes).map_err(|_| CodecError::Invalid(what))?;
                Ok::<String, CodecError>(text.into())
            };
            let (name, symbol) = (text("token name")?, text("token symbol")?);
            tokens.push(BridgedToken { token, name, symbol, decimals: r.u8()? });
        }
        Ok(Self { code, tokens })
    }
}
