//! Blocks that are only thought of, one after the other: `eth_simulateV1`.
//!
//! Each block may have another state, other properties, and calls, which see what those before them
//! changed. Blocks between the numbers that are named are empty. Gas and blocks are bounded
//! altogether, as those of one call are.

use super::{BlockOverride, Simulation, StateOverride};
use crate::evm::execute::{log, refusal};
use crate::evm::history::{HISTORY_ADDRESS, slot_of};
use crate::evm::query::{CALL_GAS_MAX, CallRequest};
use crate::evm::{EvmLog, Hardfork};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloy_rlp::Encodable;
use atoll_state::Source;
use atoll_types::{Address, B256, Reject, RejectCode, U256, keccak256, sha256};
use revm::context::result::{EVMError, ExecutionResult, InvalidTransaction};
use revm::inspector::NoOpInspector;
use revm::primitives::Bytes;
use revm_inspectors::transfer::TransferInspector;

/// Most blocks of one simulation, empty ones included.
pub const SIMULATED_BLOCKS_MAX: u64 = 256;
/// Most calls of one simulation.
pub const SIMULATED_CALLS_MAX: usize = 1_000;

/// A block to think of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockRequest {
    /// What is otherwise in it than it would be.
    pub block: BlockOverride,
    /// What is otherwise in the state before it.
    pub state: StateOverride,
    /// What is called in it.
    pub calls: Vec<CallRequest>,
}

/// How to simulate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimulateOptions {
    /// Whether transfers of the native currency are shown as logs.
    pub transfers: bool,
    /// Whether calls have to fulfil what transactions have to: nonce, fees, funds.
    pub validate: bool,
}

/// A call that was simulated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimulatedCall {
    /// The call as it ran: gas limit, nonce and price filled in.
    pub request: CallRequest,
    /// Stands for a transaction's hash.
    pub hash: B256,
    /// What it returned, or reverted with.
    pub output: Bytes,
    /// Gas it used.
    pub gas_used: u64,
    /// Its logs; none where it failed.
    pub logs: Vec<EvmLog>,
    /// How it failed.
    pub failure: Option<Failure>,
}

/// How a simulated call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It reverted.
    Reverted,
    /// It halted; the sentence says why.
    Halted(String),
}

/// A block that was simulated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimulatedBlock {
    /// Number.
    pub number: u64,
    /// Stands for the block's hash: what BLOCKHASH gives later calls.
    pub hash: B256,
    /// That of the block before.
    pub parent_hash: B256,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// Gas limit.
    pub gas_limit: u64,
    /// Gas used.
    pub gas_used: u64,
    /// Wei per gas.
    pub base_fee: u64,
    /// Fee recipient.
    pub beneficiary: Address,
    /// What PREVRANDAO gave.
    pub prev_randao: B256,
    /// Its calls.
    pub calls: Vec<SimulatedCall>,
}

/// Why there is no simulation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulateError {
    /// Numbers of blocks do not ascend.
    #[error("block numbers must be in order: {next} <= {last}")]
    Number {
        /// The last block's.
        last: u64,
        /// What was to follow.
        next: U256,
    },
    /// Times of blocks do not ascend.
    #[error("block timestamps must be in order: {next} <= {last}")]
    Timestamp {
        /// The last block's.
        last: u64,
        /// What was to follow.
        next: u64,
    },
    /// More than one simulation may ask for.
    #[error("{0}")]
    TooMuch(String),
    /// A call asks for more gas than is left in its block.
    #[error("block gas limit reached: {asked} >= {left}")]
    BlockGas {
        /// What it asks for.
        asked: u64,
        /// What is left.
        left: u64,
    },
    /// A call that is to be as valid as a transaction is not, or something cannot be otherwise.
    #[error("{0}")]
    Invalid(Reject),
    /// The base fee is above what a call offers.
    #[error("max fee per gas less than block base fee: {offered} is offered, {base_fee} is asked")]
    BaseFee {
        /// What it offers.
        offered: u128,
        /// What is asked.
        base_fee: u64,
    },
}

impl<S: Source> Simulation<'_, S> {
    /// Simulates blocks on top of the one that this simulation is in, whose hash is given.
    ///
    /// # Errors
    /// [`SimulateError`]: no block is simulated then. A call that reverts or halts is no error.
    pub fn blocks(
        &mut self,
        requests: &[BlockRequest],
        options: SimulateOptions,
        parent: B256,
    ) -> Result<Vec<SimulatedBlock>, SimulateError> {
        let calls: usize = requests.iter().map(|request| request.calls.len()).sum();
        if calls > SIMULATED_CALLS_MAX {
            let sentence = alloc::format!("too many calls: {calls}, at most {SIMULATED_CALLS_MAX}");
            return Err(SimulateError::TooMuch(sentence));
        }
        let base = u64::try_from(self.block.number).unwrap_or(u64::MAX);
        let (first, mut parent) = (base, parent);
        self.remember(base, parent);
        let mut gas_left = CALL_GAS_MAX;
        let mut done: Vec<SimulatedBlock> = Vec::new();
        for request in requests {
            let last = done.last().map_or(first, |block| block.number);
            let wanted = request.block.number.unwrap_or_else(|| U256::from(last) + U256::from(1));
            if wanted <= U256::from(last) {
                return Err(SimulateError::Number { last, next: wanted });
            }
            let number = match u64::try_from(wanted) {
                Ok(number) if number - first <= SIMULATED_BLOCKS_MAX => number,
                _ => {
                    return Err(SimulateError::TooMuch(alloc::format!(
                        "too many blocks: {wanted} is more than {SIMULATED_BLOCKS_MAX} behind \
                         block {first}"
                    )));
                }
            };
            for number in last + 1..number {
                let empty = BlockRequest::default();
                done.push(self.one_block(number, &empty, options, parent, &mut gas_left)?);
                parent = done.last().map_or(parent, |block| block.hash);
            }
            done.push(self.one_block(number, request, options, parent, &mut gas_left)?);
            parent = done.last().map_or(parent, |block| block.hash);
        }
        Ok(done)
    }

    fn one_block(
        &mut self,
        number: u64,
        request: &BlockRequest,
        options: SimulateOptions,
        parent_hash: B256,
        gas_left: &mut u64,
    ) -> Result<SimulatedBlock, SimulateError> {
        let last = u64::try_from(self.block.timestamp).unwrap_or(u64::MAX);
        let timestamp = request.block.timestamp.unwrap_or_else(|| last.saturating_add(1));
        if timestamp <= last {
            return Err(SimulateError::Timestamp { last, next: timestamp });
        }
        let wanted = BlockOverride {
            number: Some(U256::from(number)),
            timestamp: Some(timestamp),
            // What asks for no valid fees has none to pay.
            base_fee: Some(match (request.block.base_fee, options.validate) {
                (Some(wanted), _) => wanted,
                (None, false) => 0,
                (None, true) => {
                    let (last, limit) = (self.block.basefee, self.block.gas_limit);
                    self.spec.base_fee.next(last, self.gas_used, limit)
                }
            }),
            ..request.block.clone()
        };
        self.override_block(&wanted);
        self.override_state(&request.state).map_err(SimulateError::Invalid)?;
        let mut block = SimulatedBlock {
            number,
            parent_hash,
            timestamp,
            gas_limit: self.block.gas_limit,
            base_fee: self.block.basefee,
            beneficiary: self.block.beneficiary,
            prev_randao: self.block.prevrandao.unwrap_or_default(),
            ..SimulatedBlock::default()
        };
        for call in &request.calls {
            let left = block.gas_limit.saturating_sub(block.gas_used);
            let call = self.one_call(call, options, left, gas_left)?;
            block.gas_used = block.gas_used.saturating_add(call.gas_used);
            block.calls.push(call);
        }
        self.gas_used = block.gas_used;
        block.hash = hash_of(&block);
        self.remember(number, block.hash);
        Ok(block)
    }

    fn one_call(
        &mut self,
        request: &CallRequest,
        options: SimulateOptions,
        block_gas_left: u64,
        gas_left: &mut u64,
    ) -> Result<SimulatedCall, SimulateError> {
        if let Some(asked) = request.gas.filter(|asked| *asked > block_gas_left) {
            return Err(SimulateError::BlockGas { asked, left: block_gas_left });
        }
        if *gas_left == 0 {
            return Err(SimulateError::TooMuch(alloc::format!(
                "the simulation uses more than {CALL_GAS_MAX} gas"
            )));
        }
        let gas = request.gas.unwrap_or(block_gas_left).min(*gas_left);
        // Without a limit of its own a call gets what one transaction may have.
        let cap = self.spec.hardfork.transaction_gas_limit().unwrap_or(u64::MAX);
        let gas = if request.gas.is_none() && options.validate { gas.min(cap) } else { gas };
        let nonce = request.nonce.unwrap_or_else(|| self.nonce(request.from));
        let ran = CallRequest { gas: Some(gas), nonce: Some(nonce), ..request.clone() };
        let transaction = self.env(&ran, gas, nonce);
        let rules = match options.validate {
            true => (self.config.clone(), self.block.clone()),
            false => {
                let (config, mut block) = self.lenient(false);
                block.basefee = if ran.is_free() { 0 } else { block.basefee };
                (config, block)
            }
        };
        let base_fee = rules.1.basefee;
        let ended = match options.transfers {
            true => {
                let inspector = TransferInspector::new(false).with_logs(true);
                self.execute(rules, transaction, inspector).map(|(ended, _)| ended)
            }
            false => self.execute(rules, transaction, NoOpInspector).map(|(ended, _)| ended),
        };
        let ended = ended.map_err(|error| match &error {
            EVMError::Transaction(InvalidTransaction::GasPriceLessThanBasefee) => {
                let offered = ran.max_fee_per_gas.unwrap_or(0);
                SimulateError::BaseFee { offered, base_fee }
            }
            _ => SimulateError::Invalid(refusal(&error)),
        })?;
        self.keep(ended.state);
        let gas_used = ended.result.tx_gas_used();
        *gas_left = gas_left.saturating_sub(gas_used);
        let hash = hash_of_call(self.spec.chain_id, &ran);
        let mut done = SimulatedCall { request: ran, hash, gas_used, ..SimulatedCall::default() };
        match ended.result {
            ExecutionResult::Success { logs, output, .. } => {
                done.logs = logs.into_iter().map(log).collect();
                done.output = output.into_data();
            }
            ExecutionResult::Revert { output, .. } => {
                done.output = output;
                done.failure = Some(Failure::Reverted);
            }
            ExecutionResult::Halt { reason, .. } => {
                done.failure = Some(Failure::Halted(reason.to_string()));
            }
        }
        Ok(done)
    }

    /// Lets later blocks know the hash of one.
    fn remember(&mut self, number: u64, hash: B256) {
        self.db.cache.block_hashes.insert(U256::from(number), hash);
        if self.spec.hardfork >= Hardfork::Prague {
            let (slot, value) = (slot_of(number).slot, U256::from_be_bytes(hash.0));
            // Nothing can fail here: the error has no values.
            let _ = self.db.insert_account_storage(HISTORY_ADDRESS, slot, value);
        }
    }
}

/// What stands for the hash of a simulated block: SHA-256 over all that tells it from others.
fn hash_of(block: &SimulatedBlock) -> B256 {
    let calls: Vec<u8> = block.calls.iter().flat_map(|call| call.hash.0).collect();
    sha256(&[
        b"atoll simulated block",
        block.parent_hash.as_slice(),
        &block.number.to_be_bytes(),
        &block.timestamp.to_be_bytes(),
        &block.gas_limit.to_be_bytes(),
        &block.gas_used.to_be_bytes(),
        &block.base_fee.to_be_bytes(),
        block.beneficiary.as_slice(),
        block.prev_randao.as_slice(),
        &calls,
    ])
}

/// What stands for the hash of a simulated call: Keccak-256 of the dynamic-fee transaction that it
/// would be, unsigned.
fn hash_of_call(chain_id: u64, call: &CallRequest) -> B256 {
    let mut fields = Vec::new();
    chain_id.encode(&mut fields);
    call.nonce.unwrap_or_default().encode(&mut fields);
    call.max_priority_fee_per_gas.unwrap_or_default().encode(&mut fields);
    call.max_fee_per_gas.unwrap_or_default().encode(&mut fields);
    call.gas.unwrap_or_default().encode(&mut fields);
    match call.to {
        Some(to) => to.encode(&mut fields),
        None => fields.push(0x80),
    }
    call.value.encode(&mut fields);
    call.input.encode(&mut fields);
    call.from.encode(&mut fields);
    let mut bytes = alloc::vec![2];
    alloy_rlp::Header { list: true, payload_length: fields.len() }.encode(&mut bytes);
    bytes.extend(fields);
    keccak256(&bytes)
}

impl SimulateError {
    /// The code of the gateway that the refusal of a call has.
    pub fn reject(&self) -> Option<RejectCode> {
        match self {
            Self::Invalid(reject) => Some(reject.code),
            Self::BaseFee { .. } => Some(RejectCode::FeeTooLow),
            _ => None,
        }
    }
}
