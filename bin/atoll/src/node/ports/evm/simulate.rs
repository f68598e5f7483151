//! Messages on the state that a block left, with what is otherwise: the gateway's words and the VM's.

use super::logs::accrue;
use super::{Inner, internal};
use alloy_primitives::Bloom;
use atoll_rpc::port::{
    self, AccessListItem, AccessListView, BlockId, BlockPlace, BlockTransactions, CallError,
    EvmAuthorization, EvmBlock, EvmLog, EvmTransaction, On, QueryError,
};
use atoll_state::Resident;
use atoll_types::{Address, B256, Reject, merkle_root};
use atoll_vm::evm::simulate::{self, Simulation, blocks};
use atoll_vm::evm::{self, At, Bytes};

/// A message, in the VM's words.
pub(super) fn call_request(request: port::CallRequest) -> evm::CallRequest {
    let list = |item: AccessListItem| (item.address, item.storage_keys);
    let authorization = |signed: EvmAuthorization| evm::SignedAuthorization {
        chain_id: signed.chain_id,
        address: signed.address,
        nonce: signed.nonce,
        y_parity: u8::from(signed.signature.2),
        r: signed.signature.0,
        s: signed.signature.1,
    };
    evm::CallRequest {
        from: request.from.unwrap_or_default(),
        to: request.to,
        gas: request.gas,
        max_fee_per_gas: request.max_fee_per_gas.or(request.gas_price),
        max_priority_fee_per_gas: request.max_priority_fee_per_gas,
        value: request.value,
        input: request.data,
        access_list: request.access_list.into_iter().map(list).collect(),
        authorizations: request.authorization_list.into_iter().map(authorization).collect(),
        nonce: request.nonce,
    }
}

pub(super) fn call_error(error: evm::CallError) -> CallError {
    match error {
        evm::CallError::Revert(data) => CallError::Reverted(data),
        evm::CallError::Halt(why) => CallError::Halted(why),
        evm::CallError::Invalid(reject) => CallError::Rejected(reject),
    }
}

fn state_override(wanted: port::StateOverride) -> simulate::StateOverride {
    let account = |(address, wanted): (Address, port::AccountOverride)| {
        let storage = match wanted.storage {
            port::StorageOverride::Keep => simulate::StorageOverride::Keep,
            port::StorageOverride::Replace(slots) => simulate::StorageOverride::Replace(slots),
            port::StorageOverride::Change(slots) => simulate::StorageOverride::Change(slots),
        };
        let port::AccountOverride { nonce, balance, code, precompile_to, .. } = wanted;
        (address, simulate::AccountOverride { nonce, balance, code, storage, precompile_to })
    };
    wanted.into_iter().map(account).collect()
}

fn block_override(wanted: &port::BlockOverride) -> simulate::BlockOverride {
    simulate::BlockOverride {
        number: wanted.number,
        timestamp: wanted.timestamp,
        gas_limit: wanted.gas_limit,
        beneficiary: wanted.beneficiary,
        prev_randao: wanted.prev_randao,
        base_fee: wanted.base_fee,
        blob_base_fee: wanted.blob_base_fee,
    }
}

impl Inner {
    /// Runs something on a state with what is otherwise in it, while the state stands still.
    pub(super) fn simulated<T>(
        &self,
        on: On,
        run: impl FnOnce(&mut Simulation<'_, Resident>) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let (state, block) = (state_override(on.state), block_override(&on.block_override));
        let ran = self.state(on.block, |vm, at| {
            let mut simulation = vm.simulation(at);
            simulation.override_block(&block);
            let refused = |reject: Reject| {
                CallError::Query(QueryError::Invalid(format!("state override: {}", reject.message)))
            };
            simulation.override_state(&state).map_err(refused)?;
            run(&mut simulation)
        });
        ran?
    }

    pub(super) fn access_list(
        &self,
        on: On,
        request: &evm::CallRequest,
    ) -> Result<AccessListView, CallError> {
        let touched =
            self.simulated(on, |simulation| simulation.access_list(request).map_err(call_error))?;
        let item = |(address, storage_keys)| AccessListItem { address, storage_keys };
        Ok(AccessListView {
            list: touched.list.into_iter().map(item).collect(),
            gas_used: touched.gas_used,
            error: touched.error.map(|error| error.to_string()),
        })
    }

    /// Blocks that are thought of on top of a sealed one; the latest is the last of them.
    pub(super) fn simulate(
        &self,
        at: BlockId,
        request: port::SimulateRequest,
    ) -> Result<Vec<port::SimulatedBlock>, port::SimulateError> {
        use port::SimulateError as E;
        let block = |block: port::SimulateBlock| blocks::BlockRequest {
            block: block_override(&block.block),
            state: state_override(block.state),
            calls: block.calls.into_iter().map(call_request).collect(),
        };
        let options =
            blocks::SimulateOptions { transfers: request.transfers, validate: request.validate };
        let requests: Vec<_> = request.blocks.into_iter().map(block).collect();
        let parent = match self.number_of_state(at)? {
            Some(number) => self.shared.archive.header(number).map_err(internal)?,
            None => None,
        };
        let done = self.state(at, |vm, at| {
            if let Some(parent) = parent {
                return vm.simulation(at).blocks(&requests, options, parent.hash());
            }
            let head = self.shared.head.read();
            let parent = match vm.sealed_block() {
                (number, _) if number == head.slot => head.hash(),
                (_, hash) => hash.unwrap_or_default(),
            };
            vm.simulation(At::Sealed).blocks(&requests, options, parent)
        })?;
        let done = done.map_err(|error| {
            let sentence = error.to_string();
            match error {
                blocks::SimulateError::Number { .. } => E::Number(sentence),
                blocks::SimulateError::Timestamp { .. } => E::Timestamp(sentence),
                blocks::SimulateError::BlockGas { .. } => E::BlockGas(sentence),
                blocks::SimulateError::BaseFee { .. } => E::BaseFee(sentence),
                blocks::SimulateError::TooMuch(_) => E::TooMuch(sentence),
                blocks::SimulateError::Invalid(reject) => E::Rejected(reject),
            }
        })?;
        let chain_id = self.live.vm_spec.chain_id;
        Ok(done.into_iter().map(|block| shown(block, chain_id)).collect())
    }
}

fn shown(done: blocks::SimulatedBlock, chain_id: u64) -> port::SimulatedBlock {
    let mut bloom = Bloom::default();
    let (mut transactions, mut calls, mut logs_before) = (Vec::new(), Vec::new(), 0);
    for (call, index) in done.calls.into_iter().zip(0..) {
        let (number, hash, timestamp) = (done.number, done.hash, done.timestamp);
        let place = BlockPlace { number, hash, timestamp, index };
        transactions.push(transaction(&call, chain_id, place, done.base_fee));
        let logs: Vec<EvmLog> = call
            .logs
            .into_iter()
            .zip(logs_before..)
            .map(|(log, log_index)| EvmLog {
                address: log.address,
                topics: log.topics,
                data: log.data,
                place,
                transaction_hash: call.hash,
                log_index,
            })
            .collect();
        logs_before += logs.len() as u64;
        logs.iter().for_each(|log| accrue(&mut bloom, log.address, &log.topics));
        let failure = call.failure.map(|failure| match failure {
            blocks::Failure::Reverted => port::SimulatedFailure::Reverted,
            blocks::Failure::Halted(why) => port::SimulatedFailure::Halted(why),
        });
        let (output, gas_used) = (call.output, call.gas_used);
        calls.push(port::SimulatedCall { output, gas_used, logs, failure });
    }
    let hashes: Vec<B256> = transactions.iter().map(|t| t.hash).collect();
    let block = EvmBlock {
        number: done.number,
        hash: done.hash,
        parent_hash: done.parent_hash,
        timestamp: done.timestamp,
        beneficiary: done.beneficiary,
        state_root: B256::ZERO,
        transactions_root: merkle_root(hashes.iter().map(|hash| hash.as_slice())),
        receipts_root: B256::ZERO,
        logs_bloom: bloom,
        gas_limit: done.gas_limit,
        gas_used: done.gas_used,
        base_fee_per_gas: u128::from(done.base_fee),
        prev_randao: done.prev_randao,
        extra_data: Bytes::new(),
        size: 0,
        transactions: BlockTransactions::Full(transactions),
    };
    port::SimulatedBlock { block, calls }
}

/// A call as the transaction that it would be; nobody has signed it.
fn transaction(
    call: &blocks::SimulatedCall,
    chain_id: u64,
    place: BlockPlace,
    base_fee: u64,
) -> EvmTransaction {
    let request = &call.request;
    let maximum = request.max_fee_per_gas.unwrap_or(0);
    let tip = request.max_priority_fee_per_gas.unwrap_or(0);
    let item = |(address, storage_keys): &(Address, Vec<B256>)| AccessListItem {
        address: *address,
        storage_keys: storage_keys.clone(),
    };
    EvmTransaction {
        hash: call.hash,
        place: Some(place),
        kind: 2,
        chain_id: Some(chain_id),
        nonce: request.nonce.unwrap_or_default(),
        from: request.from,
        to: request.to,
        value: request.value,
        gas: request.gas.unwrap_or_default(),
        gas_price: maximum.min(tip.saturating_add(u128::from(base_fee))),
        dynamic_fees: Some((maximum, tip)),
        input: request.input.clone(),
        access_list: Some(request.access_list.iter().map(item).collect()),
        ..EvmTransaction::default()
    }
}
