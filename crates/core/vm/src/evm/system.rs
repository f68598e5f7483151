//! Deliveries: what comes into the environment by a message is a transaction of the block in the
//! name of the system address, which nobody has a key for. It has no signature and pays no gas.

use super::objects::{Block, Singleton};
use super::transition::{self, BlockHashes, TransitionContext};
use super::{DELIVERY_KIND, EvmLog, EvmReceipt, EvmVm, SYSTEM_ADDRESS, Status};
use alloc::vec::Vec;
use atoll_state::Source;
use atoll_types::{Address, B256, RejectCode};
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;
use revm::primitives::{Bytes, TxKind};

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
