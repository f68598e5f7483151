//! Contracts that are part of an environment, and deliveries to them: what comes into the environment by
//! a message is a transaction of the block in the name of the system address, which nobody has a key
//! for. It has no signature and pays no gas.

use super::objects::{Account, AccountKey, Block, Code, CodeKey, EvmTables, Singleton};
use super::spec::{CODE_BYTES_MAX, SpecError, expect};
use super::transition::{self, BlockHashes, TransitionContext};
use super::{DELIVERY_KIND, EvmLog, EvmReceipt, EvmVm, SYSTEM_ADDRESS, Status};
use alloc::vec::Vec;
use atoll_state::Source;
use atoll_types::{Address, B256, RejectCode, U256, keccak256};
use revm::bytecode::Bytecode;
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;
use revm::primitives::{Bytes, TxKind};

/// Checks the code of a contract of the spec's table `key`, and that no genesis account stands where
/// it does or where the system does; else `found` is there, and `harm` is what would come of it.
pub(super) fn validate(
    key: &str,
    (address, code): (Address, &Bytes),
    genesis: impl Iterator<Item = Address>,
    (found, harm): (&str, &str),
) -> Result<(), SpecError> {
    for account in genesis {
        expect(
            account != address && account != SYSTEM_ADDRESS,
            alloc::format!("genesis.{account}.address"),
            found,
            alloc::format!("another address: {harm}"),
        )?;
    }
    let runs = !code.is_empty()
        && code.len() <= CODE_BYTES_MAX as usize
        && Bytecode::new_raw_checked(code.clone()).is_ok();
    expect(
        runs,
        alloc::format!("{key}.code"),
        alloc::format!("{} bytes", code.len()),
        alloc::format!("EVM code of 1 to {CODE_BYTES_MAX} bytes"),
    )
}

/// Puts a contract into the genesis state. Code that [`validate`] refuses is left out; says whether it
/// is there.
pub(super) fn deploy<S: Source>(tables: &mut EvmTables<S>, address: Address, code: &Bytes) -> bool {
    let Ok(bytecode) = Bytecode::new_raw_checked(code.clone()) else { return false };
    let code_hash = keccak256(code);
    tables.code.set(&CodeKey(code_hash), Code(bytecode));
    let account = Account { nonce: 1, balance: U256::ZERO, code_hash };
    tables.accounts.set(&AccountKey(address), account);
    true
}

impl<S: Source> EvmVm<S> {
    /// Calls a contract in the name of the system with so much gas. Nothing is kept of a call that
    /// fails.
    pub(super) fn call_as_system(
        &mut self,
        callee: Address,
        data: Bytes,
        gas_limit: u64,
    ) -> Result<Vec<EvmLog>, RejectCode> {
        let block = *self.tables.block.get(&Singleton);
        let block_env = self.block_env(&block);
        let transaction = TxEnv {
            caller: SYSTEM_ADDRESS,
            gas_limit,
            kind: TxKind::Call(callee),
            data,
            chain_id: Some(self.spec.chain_id),
            ..TxEnv::default()
        };
        let context = TransitionContext {
            config: &self.config,
            block: &block_env,
            hashes: BlockHashes::History,
            precompiles: self.spec.precompile_rules(),
            fee_tokens: &[],
        };
        match transition::call_as_system(&mut self.tables, &context, transaction) {
            Ok(ExecutionResult::Success { logs, .. }) => {
                Ok(logs.into_iter().map(super::execute::log).collect())
            }
            Ok(_) | Err(_) => Err(RejectCode::Reverted),
        }
    }

    /// Counts a delivery in the block and writes its receipt.
    pub(super) fn delivered(
        &mut self,
        hash: B256,
        callee: Address,
        logs: Vec<EvmLog>,
    ) -> EvmReceipt {
        let block = *self.tables.block.get(&Singleton);
        let after = Block {
            transactions: block.transactions.saturating_add(1),
            logs: block.logs.saturating_add(logs.len() as u32),
            ..block
        };
        self.tables.block.set(&Singleton, after);
        EvmReceipt {
            status: Status::Success,
            kind: DELIVERY_KIND,
            transaction_hash: hash,
            transaction_index: block.transactions,
            from: SYSTEM_ADDRESS,
            to: Some(callee),
            contract_address: None,
            gas_used: 0,
            cumulative_gas_used: block.gas_used,
            effective_gas_price: 0,
            first_log_index: block.logs,
            logs,
            output: Bytes::new(),
        }
    }
}
