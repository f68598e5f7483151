//! Blocks, transactions and receipts as the gateway shows them, made from history.

use super::logs::bloom_of;
use crate::node::archive::SlotRecord;
use alloy_primitives::Bloom;
use atoll_executor::Step;
use atoll_executor::machine::receipts_root;
use atoll_rpc::port::{
    AccessListItem, BlockPlace, BlockTransactions, EvmAuthorization, EvmBlock, EvmLog, EvmReceipt,
    EvmTransaction,
};
use atoll_types::{Address, B256, Decode, EntryKind, SlotHeader, U256, merkle_root};
use atoll_vm::evm::{self, Bytes, Status, prev_randao};

/// A block with everything in it.
pub(super) struct Assembled {
    pub(super) block: EvmBlock,
    pub(super) transactions: Vec<EvmTransaction>,
    pub(super) receipts: Vec<EvmReceipt>,
}

impl Assembled {
    /// The block, its transactions in full or as hashes.
    pub(super) fn with(mut self, full: bool) -> EvmBlock {
        self.block.transactions = match full {
            true => BlockTransactions::Full(self.transactions),
            false => BlockTransactions::Hashes(self.transactions.iter().map(|t| t.hash).collect()),
        };
        self.block
    }
}

/// The block of a slot.
pub(super) fn assemble(
    spec: &evm::EvmSpec,
    header: &SlotHeader,
    record: Option<&SlotRecord>,
    base_fee: u64,
    state_root: B256,
) -> Assembled {
    let hash = header.hash();
    let timestamp = header.time_us / 1_000_000;
    let mut transactions = Vec::new();
    let mut receipts: Vec<EvmReceipt> = Vec::new();
    let mut bloom = Bloom::default();
    let mut size = 508;
    let mut gas_used = 0;
    let steps = record.map_or(&[][..], |record| &record.range.steps);
    let sent = steps.iter().filter(|step| !matches!(step, Step::Tick { .. }));
    let outcomes = record.map_or(&[][..], |record| &record.receipts);
    for (step, outcome) in sent.zip(outcomes) {
        let bytes = match step {
            Step::Transaction(bytes) | Step::Input(bytes) => Some(bytes),
            Step::Entry(entry) if entry.kind == EntryKind::Forced => Some(&entry.data),
            // Money that came in: a receipt with its logs, and no transaction.
            _ => None,
        };
        // What was refused had no effect and is in no block.
        let Ok(executed) = evm::EvmReceipt::from_bytes(&outcome.payload) else { continue };
        let place = BlockPlace {
            number: header.slot,
            hash,
            timestamp,
            index: u64::from(executed.transaction_index),
        };
        gas_used = executed.cumulative_gas_used;
        let receipt = receipt(&executed, place);
        bloom.accrue_bloom(&receipt.logs_bloom);
        receipts.push(receipt);
        let Some(bytes) = bytes else { continue };
        // Its signature was checked when it was executed, and the receipt says whose it is.
        let Ok(decoded) = evm::decode_checked(spec, bytes) else { continue };
        size += bytes.len() as u64;
        let price = executed.effective_gas_price;
        transactions.push(transaction(&decoded, executed.from, spec, Some((place, price))));
    }
    let hashes: Vec<B256> = transactions.iter().map(|t| t.hash).collect();
    let block = EvmBlock {
        number: header.slot,
        hash,
        parent_hash: header.parent,
        timestamp,
        beneficiary: spec.fee_recipient,
        state_root,
        transactions_root: merkle_root(hashes.iter().map(|hash| hash.as_slice())),
        receipts_root: receipts_root(outcomes),
        logs_bloom: bloom,
        gas_limit: spec.block_gas_limit,
        gas_used,
        base_fee_per_gas: u128::from(base_fee),
        prev_randao: prev_randao(header.parent),
        extra_data: Bytes::new(),
        size,
        transactions: BlockTransactions::default(),
    };
    Assembled { block, transactions, receipts }
}

/// A receipt, in its block.
pub(super) fn receipt(executed: &evm::EvmReceipt, place: BlockPlace) -> EvmReceipt {
    let logs = executed.logs.iter().zip(u64::from(executed.first_log_index)..);
    let logs = logs.map(|(log, log_index)| EvmLog {
        address: log.address,
        topics: log.topics.clone(),
        data: log.data.clone(),
        place,
        transaction_hash: executed.transaction_hash,
        log_index,
    });
    EvmReceipt {
        transaction_hash: executed.transaction_hash,
        place,
        kind: executed.kind,
        from: executed.from,
        to: executed.to,
        contract_address: executed.contract_address,
        success: executed.status == Status::Success,
        gas_used: executed.gas_used,
        cumulative_gas_used: executed.cumulative_gas_used,
        effective_gas_price: executed.effective_gas_price,
        logs_bloom: bloom_of(executed),
        logs: logs.collect(),
    }
}

/// A transaction; placed in its block with the price that it paid, or not in a block yet.
pub(super) fn transaction(
    t: &evm::EvmTransaction,
    signer: Address,
    spec: &evm::EvmSpec,
    placed: Option<(BlockPlace, u128)>,
) -> EvmTransaction {
    let item = |(address, keys): &(Address, Vec<B256>)| AccessListItem {
        address: *address,
        storage_keys: keys.clone(),
    };
    let authorization = |signed: &evm::SignedAuthorization| EvmAuthorization {
        chain_id: signed.chain_id,
        address: signed.address,
        nonce: signed.nonce,
        signature: (signed.r, signed.s, signed.y_parity == 1),
    };
    let signature = &t.signature;
    EvmTransaction {
        hash: t.hash,
        place: placed.map(|(place, _)| place),
        kind: t.kind,
        chain_id: Some(spec.chain_id),
        nonce: t.nonce,
        from: signer,
        to: t.to,
        value: t.value,
        gas: t.gas_limit,
        gas_price: placed.map_or(t.max_fee_per_gas, |(_, price)| price),
        dynamic_fees: t.max_priority_fee_per_gas.map(|tip| (t.max_fee_per_gas, tip)),
        input: t.input.clone(),
        access_list: (t.kind > 0).then(|| t.access_list.iter().map(item).collect()),
        authorization_list: (t.kind == 4)
            .then(|| t.authorizations.iter().map(authorization).collect()),
        signature: (
            U256::from_be_bytes(signature.r),
            U256::from_be_bytes(signature.s),
            signature.y_parity == 1,
        ),
    }
}
