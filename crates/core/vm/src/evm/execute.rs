//! Execution of a transaction.

use super::objects::{AccountKey, Block, Singleton, SlotKey};
use super::parallel::{self, EvmBatch, EvmKey, EvmValue, Invalid, Outcome};
use super::receipt::OUTPUT_BYTES_MAX;
use super::transaction::too_little_gas;
use super::transition::{self, BlockHashes, Executed, TransitionContext, TransitionError};
use super::{EvmLog, EvmReceipt, EvmSpec, EvmTransaction, EvmVm, Status};
use crate::parallel::Read;
use crate::{Checked, Receipt};
use alloc::string::String;
use alloc::vec::Vec;
use atoll_state::{Resident, Source};
use atoll_types::{B256, Encode, Reject, RejectCode, U256, sha256};
use revm::context::result::{EVMError, ExecutionResult, InvalidTransaction, Output};
use revm::context::{BlockEnv, CfgEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::primitives::{Bytes, Log, TxKind};

/// PREVRANDAO of the block after the slot whose header has this hash.
pub fn prev_randao(parent: B256) -> B256 {
    sha256(&[b"atoll prevrandao", parent.as_slice()])
}

pub(super) fn config(spec: &EvmSpec) -> CfgEnv {
    let mut config = CfgEnv::new_with_spec(spec.hardfork.spec_id());
    config.chain_id = spec.chain_id;
    config.set_gas_params(spec.gas.table(spec.hardfork.spec_id()));
    config
}

pub(super) fn log(log: Log) -> EvmLog {
    let (topics, data) = log.data.split();
    EvmLog { address: log.address, topics, data }
}

fn shortened(output: Bytes) -> Bytes {
    let kept = output.len().min(OUTPUT_BYTES_MAX as usize);
    output.slice(..kept)
}

/// What Ethereum's nodes say of it, where tools know it by their words.
fn sentence(invalid: &InvalidTransaction) -> String {
    match invalid {
        InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
        | InvalidTransaction::GasFloorMoreThanGasLimit { .. } => too_little_gas(invalid),
        InvalidTransaction::RejectCallerWithCode => "sender not an eoa".into(),
        InvalidTransaction::CreateInitCodeSizeLimit => "max initcode size exceeded".into(),
        InvalidTransaction::GasPriceLessThanBasefee => {
            "max fee per gas less than block base fee".into()
        }
        other => alloc::format!("{other}"),
    }
}

/// The code and the sentence for a transaction that cannot be executed on this state.
pub(super) fn refusal<E: core::fmt::Display>(error: &EVMError<E>) -> Reject {
    use InvalidTransaction as Invalid;
    let EVMError::Transaction(invalid) = error else {
        return Reject::new(RejectCode::Unsupported, alloc::format!("{error}"));
    };
    let code = match invalid {
        Invalid::NonceTooLow { .. } => RejectCode::NonceTooLow,
        Invalid::NonceTooHigh { .. } | Invalid::NonceOverflowInTransaction => {
            RejectCode::NonceTooHigh
        }
        Invalid::LackOfFundForMaxFee { .. } => RejectCode::InsufficientBalance,
        Invalid::OverflowPaymentInTransaction => RejectCode::Overflow,
        Invalid::GasPriceLessThanBasefee | Invalid::PriorityFeeGreaterThanMaxFee => {
            RejectCode::FeeTooLow
        }
        Invalid::CallerGasLimitMoreThanBlock
        | Invalid::CallGasCostMoreThanGasLimit { .. }
        | Invalid::GasFloorMoreThanGasLimit { .. }
        | Invalid::TxGasLimitGreaterThanCap { .. } => RejectCode::GasLimit,
        Invalid::RejectCallerWithCode => RejectCode::NotAllowed,
        Invalid::CreateInitCodeSizeLimit => RejectCode::Oversized,
        Invalid::InvalidChainId | Invalid::MissingChainId => RejectCode::WrongChain,
        _ => RejectCode::Unsupported,
    };
    Reject::new(code, sentence(invalid))
}

/// The receipt of a transaction that had no effect.
fn refused(checked: &Checked<EvmTransaction>, code: RejectCode) -> Receipt {
    Receipt { hash: checked.hash, code: code.number(), payload: Vec::new(), messages: Vec::new() }
}

impl EvmVm<Resident> {
    /// About how many nanoseconds it takes to execute a transaction; nothing but how threads are used follows
    /// from it.
    pub fn weight(&self, transaction: &EvmTransaction) -> u64 {
        let kind = transaction.to.map_or(TxKind::Create, TxKind::Call);
        parallel::weight(&self.tables, kind, transaction.gas_limit)
    }

    /// Has transactions of the current block executed as a batch, on the state as it is; what comes of
    /// them is for [`Self::settle`]. `None` if one of them has authorizations: those are recovered only for
    /// who pays, which is not known before its turn.
    pub fn with_batch<R>(
        &self,
        transactions: &[&Checked<EvmTransaction>],
        run: impl FnOnce(&mut EvmBatch<'_>) -> R,
    ) -> Option<R> {
        if transactions.iter().any(|checked| !checked.transaction.authorizations.is_empty()) {
            return None;
        }
        let env = |checked: &&Checked<EvmTransaction>| {
            checked.transaction.env(checked.signer, self.spec.chain_id, true)
        };
        let environments: Vec<_> = transactions.iter().map(env).collect();
        let block = self.tables.block.peek(&Singleton).copied().unwrap_or_default();
        let block_env = self.block_env(&block);
        let context = TransitionContext {
            config: &self.config,
            block: &block_env,
            hashes: BlockHashes::History,
            precompiles: self.spec.precompile_rules(),
            fee_tokens: &self.spec.fee_tokens,
        };
        let gas_left = self.spec.block_gas_limit.saturating_sub(block.gas_used);
        let tables = &self.tables;
        Some(run(&mut EvmBatch::new(tables, &context, &environments, gas_left, Invalid::Refused)))
    }

    /// Does what [`Vm::execute`](crate::Vm::execute) does, with what came of a batch. `None` is for a
    /// transaction that had no room.
    pub fn settle(
        &mut self,
        checked: &Checked<EvmTransaction>,
        outcome: Option<(Outcome, &[Read<EvmKey, EvmValue>])>,
    ) -> Receipt {
        let block = *self.tables.block.get(&Singleton);
        let Some((outcome, reads)) =
            outcome.filter(|_| self.has_room(&checked.transaction, &block))
        else {
            return refused(checked, RejectCode::Busy);
        };
        self.tables.accounts.get(&AccountKey(checked.signer));
        let executed = parallel::apply(&mut self.tables, self.config.spec, outcome, reads);
        self.receipt_of(checked, block, executed)
    }
}

impl<S: Source> EvmVm<S> {
    pub(super) fn base_fee_after(&self, block: &Block) -> u64 {
        match block.number {
            0 => self.spec.base_fee.initial(),
            _ => {
                let limit = self.spec.block_gas_limit;
                self.spec.base_fee.next(block.base_fee, block.gas_used, limit)
            }
        }
    }

    pub(super) fn block_env(&self, block: &Block) -> BlockEnv {
        BlockEnv {
            number: U256::from(block.number),
            beneficiary: self.spec.fee_recipient,
            timestamp: U256::from(block.timestamp),
            gas_limit: self.spec.block_gas_limit,
            basefee: block.base_fee,
            difficulty: U256::ZERO,
            prevrandao: Some(self.prev_randao),
            // No blob was ever published through this chain.
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice {
                excess_blob_gas: 0,
                blob_gasprice: 1,
            }),
            slot_num: block.number,
        }
    }

    pub(super) fn execute_checked(&mut self, checked: &Checked<EvmTransaction>) -> Receipt {
        let transaction = &checked.transaction;
        let block = *self.tables.block.get(&Singleton);
        if !self.has_room(transaction, &block) {
            return refused(checked, RejectCode::Busy);
        }
        // Authorities are recovered only for a transaction that will not be refused.
        let sender = *self.tables.accounts.get(&AccountKey(checked.signer));
        let pays = !transaction.authorizations.is_empty()
            && sender.nonce == transaction.nonce
            && transaction.max_fee_per_gas >= u128::from(block.base_fee)
            && self.pays(checked, sender.balance);
        let environment = transaction.env(checked.signer, self.spec.chain_id, pays);
        let block_env = self.block_env(&block);
        let context = TransitionContext {
            config: &self.config,
            block: &block_env,
            hashes: BlockHashes::History,
            precompiles: self.spec.precompile_rules(),
            fee_tokens: &self.spec.fee_tokens,
        };
        let (tables, hashes) = (&mut self.tables, &mut self.hashes);
        let executed = transition::transact_after(tables, &context, environment, hashes);
        self.receipt_of(checked, block, executed)
    }

    /// Whether the sender has the largest cost, in native currency or with a token for the fee.
    fn pays(&mut self, checked: &Checked<EvmTransaction>, balance: U256) -> bool {
        let storage = &mut self.tables.storage;
        checked.transaction.payable(balance, &self.spec.fee_tokens, |token| {
            let slot = token.slot_of(checked.signer);
            storage.get(&SlotKey { address: token.token, slot }).0
        })
    }

    /// Whether there is room left in the block; if not, the sender may offer the transaction again to
    /// the next.
    fn has_room(&self, transaction: &EvmTransaction, block: &Block) -> bool {
        transaction.gas_limit <= self.spec.block_gas_limit.saturating_sub(block.gas_used)
    }

    /// The receipt of a transaction that was executed, and which is counted; or that of its refusal.
    fn receipt_of(
        &mut self,
        checked: &Checked<EvmTransaction>,
        block: Block,
        executed: Result<Executed, TransitionError>,
    ) -> Receipt {
        match executed {
            Ok(executed) => {
                let receipt = self.account_for(checked, block, executed);
                let code = match receipt.status {
                    Status::Success => 0,
                    Status::Halted | Status::Reverted => RejectCode::Reverted.number(),
                };
                // What did not succeed has at most the log of its fee.
                let messages = self.messages_sent(&receipt.logs);
                Receipt { hash: checked.hash, code, payload: receipt.to_bytes(), messages }
            }
            Err(error) => refused(checked, refusal(&error).code),
        }
    }

    /// Counts an executed transaction in block and ledger, and writes its receipt.
    fn account_for(
        &mut self,
        checked: &Checked<EvmTransaction>,
        block: Block,
        Executed { result, lost, fee_token }: Executed,
    ) -> EvmReceipt {
        let transaction = &checked.transaction;
        let gas_used = result.tx_gas_used();
        let burned = match fee_token {
            Some(_) => U256::ZERO,
            None => U256::from(u128::from(block.base_fee) * u128::from(gas_used)),
        };
        let destroyed = lost.and_then(|lost| lost.checked_sub(burned)).unwrap_or(U256::ZERO);
        if !burned.is_zero() || !destroyed.is_zero() {
            let ledger = self.tables.ledger.get_mut(&Singleton);
            ledger.burned = ledger.burned.saturating_add(burned);
            ledger.destroyed = ledger.destroyed.saturating_add(destroyed);
        }
        let (status, logs, output, contract_address) = match result {
            ExecutionResult::Success { logs, output: Output::Call(output), .. } => {
                (Status::Success, logs, shortened(output), None)
            }
            ExecutionResult::Success { logs, output: Output::Create(_, address), .. } => {
                (Status::Success, logs, Bytes::new(), address)
            }
            ExecutionResult::Revert { output, logs, .. } => {
                (Status::Reverted, logs, shortened(output), None)
            }
            ExecutionResult::Halt { logs, .. } => (Status::Halted, logs, Bytes::new(), None),
        };
        let logs: Vec<EvmLog> = logs.into_iter().map(log).collect();
        let cumulative_gas_used = block.gas_used.saturating_add(gas_used);
        let after = Block {
            gas_used: cumulative_gas_used,
            transactions: block.transactions.saturating_add(1),
            logs: block.logs.saturating_add(logs.len() as u32),
            ..block
        };
        self.tables.block.set(&Singleton, after);
        EvmReceipt {
            status,
            kind: transaction.kind,
            transaction_hash: transaction.hash,
            transaction_index: block.transactions,
            from: checked.signer,
            to: transaction.to,
            contract_address,
            gas_used,
            cumulative_gas_used,
            effective_gas_price: transaction.effective_gas_price(block.base_fee),
            first_log_index: block.logs,
            logs,
            output,
        }
    }
}
