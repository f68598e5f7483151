//! Queries of a node: they read without recording and change nothing.

use super::database::Peek;
use super::objects::{AccountKey, Block, CodeKey, SlotKey};
use super::recent::Kept;
use super::{EvmLog, EvmTransaction, EvmVm, SignedAuthorization};
use crate::Checked;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use atoll_state::Source;
use atoll_types::{Address, B256, Reject, RejectCode, U256};
use revm::context::result::{ExecutionResult, Output};
use revm::primitives::{Bytes, KECCAK_EMPTY};

/// Most gas a call may use: the work that an unpaid question may cause.
pub const CALL_GAS_MAX: u64 = 50_000_000;
/// How far ahead of its account's nonce a transaction may wait.
pub const NONCE_AHEAD_MAX: u64 = 64;

/// Which state a query reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// With everything executed so far: the block that is being made.
    #[default]
    Open,
    /// As the last block left it.
    Sealed,
    /// As a block before that one left it.
    After(Kept),
}

/// A message to run on the current state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallRequest {
    /// Sender.
    pub from: Address,
    /// Callee; none creates a contract.
    pub to: Option<Address>,
    /// Gas limit; the most that is allowed where none is named.
    pub gas: Option<u64>,
    /// Most wei to pay per gas (the price, for a legacy call); a call without it is free.
    pub max_fee_per_gas: Option<u128>,
    /// Most wei to pay per gas as tip.
    pub max_priority_fee_per_gas: Option<u128>,
    /// Wei sent along.
    pub value: U256,
    /// Call data or init code.
    pub input: Bytes,
    /// EIP-2930 access list.
    pub access_list: Vec<(Address, Vec<B256>)>,
    /// EIP-7702 authorizations.
    pub authorizations: Vec<SignedAuthorization>,
    /// The sender's nonce, for those simulations that ask for it.
    pub nonce: Option<u64>,
}

impl CallRequest {
    /// Whether it offers no price for its gas.
    pub fn is_free(&self) -> bool {
        self.max_fee_per_gas.unwrap_or(0) == 0
    }
}

/// What a message yielded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOutcome {
    /// What it returned; the code of a created contract.
    pub output: Bytes,
    /// Gas it used.
    pub gas_used: u64,
    /// Logs it emitted.
    pub logs: Vec<EvmLog>,
}

/// Why a message yielded nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It reverted, with this output.
    #[error("execution reverted")]
    Revert(Bytes),
    /// It halted; the sentence says why.
    #[error("execution halted: {0}")]
    Halt(String),
    /// It could not be executed on this state.
    #[error("{0}")]
    Invalid(Reject),
}

impl<S: Source> EvmVm<S> {
    /// The state after a sealed block, if it is kept.
    pub fn at(&self, number: u64) -> Option<At> {
        if number == self.block_at(At::Sealed).number {
            return Some(At::Sealed);
        }
        self.recent.kept(number).map(At::After)
    }

    /// A state, read without recording.
    pub(super) fn peek(&self, at: At) -> Peek<'_, S> {
        Peek { tables: &self.tables, recent: &self.recent, at }
    }

    /// An account's balance in wei.
    pub fn balance(&self, address: Address) -> U256 {
        self.balance_at(address, At::Open)
    }

    /// An account's balance in wei.
    pub fn balance_at(&self, address: Address, at: At) -> U256 {
        self.peek(at).account(address).map(|account| account.balance).unwrap_or_default()
    }

    /// An account's nonce.
    pub fn nonce(&self, address: Address) -> u64 {
        self.nonce_at(address, At::Open)
    }

    /// An account's nonce.
    pub fn nonce_at(&self, address: Address, at: At) -> u64 {
        self.peek(at).account(address).map_or(0, |account| account.nonce)
    }

    /// An account's code; empty for none.
    pub fn code(&self, address: Address) -> Bytes {
        self.code_at(address, At::Open)
    }

    /// An account's code; empty for none.
    pub fn code_at(&self, address: Address, at: At) -> Bytes {
        let account = self.peek(at).account(address);
        // Code never changes under its hash.
        let code = account.and_then(|account| self.tables.code.peek(&CodeKey(account.code_hash)));
        code.map(|code| code.0.original_bytes()).unwrap_or_default()
    }

    /// A storage slot.
    pub fn storage(&self, address: Address, slot: U256) -> U256 {
        self.storage_at(address, slot, At::Open)
    }

    /// A storage slot.
    pub fn storage_at(&self, address: Address, slot: U256, at: At) -> U256 {
        self.peek(at).slot(&SlotKey { address, slot })
    }

    /// The current block, or the last one.
    pub fn block(&self) -> Block {
        self.block_at(At::Open)
    }

    pub(super) fn block_at(&self, at: At) -> Block {
        self.peek(at).block()
    }

    /// The base fee of the next block, as things stand.
    pub fn next_base_fee(&self) -> u64 {
        self.base_fee_after(&self.block())
    }

    /// Whether a checked transaction could be executed now or soon: nonce, funds, fee. For
    /// admission; execution decides for itself.
    pub fn precheck(&self, checked: &Checked<EvmTransaction>) -> Result<(), Reject> {
        let transaction = &checked.transaction;
        let refuse = |code, message| Err(Reject::new(code, message));
        let account = self.tables.accounts.peek(&AccountKey(checked.signer));
        let account = account.copied().unwrap_or_default();
        let (given, next) = (transaction.nonce, account.nonce);
        if given < next {
            let message = alloc::format!("nonce too low: {given} is used, the next is {next}");
            return refuse(RejectCode::NonceTooLow, message);
        }
        if given - next > NONCE_AHEAD_MAX {
            let message = alloc::format!(
                "nonce too high: {given} is more than {NONCE_AHEAD_MAX} ahead of the next, {next}"
            );
            return refuse(RejectCode::NonceTooHigh, message);
        }
        if account.code_hash != KECCAK_EMPTY {
            let code = self.tables.code.peek(&CodeKey(account.code_hash));
            if !code.is_some_and(|code| code.0.is_eip7702()) {
                let message = "sender not an eoa: it is a contract (EIP-3607)".to_string();
                return refuse(RejectCode::NotAllowed, message);
            }
        }
        let base_fee = self.block().base_fee;
        if transaction.max_fee_per_gas < u128::from(base_fee) {
            let message = alloc::format!(
                "max fee per gas less than block base fee: {} is offered, {base_fee} is asked",
                transaction.max_fee_per_gas
            );
            return refuse(RejectCode::FeeTooLow, message);
        }
        let tokens = &self.spec.fee_tokens;
        if transaction.payable(account.balance, tokens, |token| {
            self.storage(token.token, token.slot_of(checked.signer))
        }) {
            return Ok(());
        }
        let tokens = match tokens.is_empty() {
            true => "",
            false => ", and no token that fees may be paid in suffices",
        };
        let message = alloc::format!(
            "insufficient funds for gas * price + value: {} wei may be needed, the balance is \
             {}{tokens}",
            transaction.max_cost().unwrap_or(U256::MAX),
            account.balance
        );
        refuse(RejectCode::InsufficientBalance, message)
    }

    /// Runs a message on the current state and forgets what it changed.
    ///
    /// # Errors
    /// It yielded nothing; the error says why.
    pub fn call(&self, request: &CallRequest) -> Result<CallOutcome, CallError> {
        self.call_at(request, At::Open)
    }

    /// Runs a message on a state and forgets what it changed.
    ///
    /// # Errors
    /// It yielded nothing; the error says why.
    pub fn call_at(&self, request: &CallRequest, at: At) -> Result<CallOutcome, CallError> {
        self.simulation(at).call(request)
    }

    /// See [`super::simulate::Simulation::estimate_gas`].
    ///
    /// # Errors
    /// It succeeds with no gas limit; the error says why.
    pub fn estimate_gas(&self, request: &CallRequest) -> Result<u64, CallError> {
        self.simulation(At::Open).estimate_gas(request)
    }
}

pub(super) fn outcome(result: ExecutionResult) -> Result<CallOutcome, CallError> {
    let gas_used = result.tx_gas_used();
    match result {
        ExecutionResult::Success { logs, output, .. } => {
            let logs = logs.into_iter().map(super::execute::log).collect();
            let output = match output {
                Output::Call(output) | Output::Create(output, _) => output,
            };
            Ok(CallOutcome { output, gas_used, logs })
        }
        ExecutionResult::Revert { output, .. } => Err(CallError::Revert(output)),
        ExecutionResult::Halt { reason, .. } => Err(CallError::Halt(reason.to_string())),
    }
}
