//! Ethereum JSON-RPC on a running node: one block per slot, blocks from history, state at the head.

use super::{blocking, internal};
use crate::node::Shared;
use crate::node::archive::SlotRecord;
use crate::node::environment::{IndexEntry, Live, Observer, SlotResult};
use crate::stats::Stats;
use alloy_primitives::{Bloom, BloomInput};
use atoll_executor::Step;
use atoll_executor::machine::receipts_root;
use atoll_rpc::port::{
    self, AccessListItem, BlockId, BlockPlace, BlockTransactions, EvmAuthorization, EvmBlock,
    EvmHead, EvmLog, EvmPort, EvmReceipt, EvmTransaction, FeeHistory, LogBlocks, LogFilter,
    Pending, QueryError,
};
use atoll_state::Resident;
use atoll_types::{Address, B256, Decode, EntryKind, SlotHeader, U256, merkle_root};
use atoll_vm::evm::{self, BaseFee, Bytes, EvmVm, Status, prev_randao};
use atoll_vm::{Checked, Receipt};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::broadcast;

type LiveEvm = Arc<Live<EvmVm<Resident>>>;

/// One EVM environment for the gateway.
pub(crate) struct EvmAdapter {
    pub(crate) shared: Arc<Shared>,
    pub(crate) live: LiveEvm,
    pub(crate) heads: broadcast::Sender<Arc<EvmHead>>,
}

/// Counts what an EVM environment executes and tells subscribers of sealed blocks.
pub(crate) struct EvmObserver {
    pub(crate) stats: Arc<Stats>,
    pub(crate) spec: evm::EvmSpec,
    pub(crate) identity: atoll_vm::Identity,
    pub(crate) heads: broadcast::Sender<Arc<EvmHead>>,
}

impl Observer for EvmObserver {
    fn executed(&self, _: u64, receipts: &[Receipt]) {
        let executed = receipts.iter().filter(|receipt| !receipt.payload.is_empty()).count();
        Stats::add(&self.stats.evm_transactions, executed as u64);
    }

    fn sealed(&self, result: &SlotResult, _: u64) -> Vec<IndexEntry> {
        if self.heads.receiver_count() == 0 {
            return Vec::new();
        }
        let record = SlotRecord {
            range: result.batch.whole(),
            receipts: result.receipts.clone(),
            places: Vec::new(),
        };
        let noted = result.index.first().and_then(|(_, value)| noted_base_fee(value));
        let base_fee = noted.unwrap_or(self.spec.base_fee.initial());
        let chain = Chain { spec: &self.spec, identity: self.identity };
        let block = chain.assemble(&result.header, Some(&record), base_fee, B256::ZERO);
        let logs = block.receipts.iter().flat_map(|receipt| receipt.logs.clone()).collect();
        let head = EvmHead { block: block.with(false), logs };
        let _ = self.heads.send(Arc::new(head));
        Vec::new()
    }
}

/// What is kept of each block beside its batch: the base fee, where it changes, by slot.
pub(crate) fn index(vm: &EvmVm<Resident>, slot: u64) -> Vec<IndexEntry> {
    match vm.spec().base_fee {
        BaseFee::Fixed(_) => Vec::new(),
        BaseFee::Eip1559 { .. } => {
            vec![(slot.to_be_bytes().to_vec(), vm.block().base_fee.to_le_bytes().to_vec())]
        }
    }
}

fn noted_base_fee(value: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(value.try_into().ok()?))
}

/// A block with everything in it.
struct Assembled {
    block: EvmBlock,
    transactions: Vec<EvmTransaction>,
    receipts: Vec<EvmReceipt>,
}

impl Assembled {
    fn with(mut self, full: bool) -> EvmBlock {
        self.block.transactions = match full {
            true => BlockTransactions::Full(self.transactions),
            false => BlockTransactions::Hashes(self.transactions.iter().map(|t| t.hash).collect()),
        };
        self.block
    }
}

struct Chain<'a> {
    spec: &'a evm::EvmSpec,
    identity: atoll_vm::Identity,
}

impl Chain<'_> {
    fn assemble(
        &self,
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
            let Ok(checked) = check(&self.identity, self.spec, bytes) else { continue };
            size += bytes.len() as u64;
            let price = executed.effective_gas_price;
            transactions.push(transaction(&checked, self.spec, Some((place, price))));
        }
        let hashes: Vec<B256> = transactions.iter().map(|t| t.hash).collect();
        let block = EvmBlock {
            number: header.slot,
            hash,
            parent_hash: header.parent,
            timestamp,
            beneficiary: self.spec.fee_recipient,
            state_root,
            transactions_root: merkle_root(hashes.iter().map(|hash| hash.as_slice())),
            receipts_root: receipts_root(outcomes),
            logs_bloom: bloom,
            gas_limit: self.spec.block_gas_limit,
            gas_used,
            base_fee_per_gas: u128::from(base_fee),
            prev_randao: prev_randao(header.parent),
            extra_data: Bytes::new(),
            size,
            transactions: BlockTransactions::default(),
        };
        Assembled { block, transactions, receipts }
    }
}

fn check(
    identity: &atoll_vm::Identity,
    spec: &evm::EvmSpec,
    bytes: &[u8],
) -> Result<Checked<evm::EvmTransaction>, atoll_types::Reject> {
    <EvmVm<Resident> as atoll_vm::Vm<Resident>>::check(identity, spec, bytes)
}

fn receipt(executed: &evm::EvmReceipt, place: BlockPlace) -> EvmReceipt {
    let mut bloom = Bloom::default();
    let mut logs = Vec::new();
    for (i, log) in executed.logs.iter().enumerate() {
        bloom.accrue(BloomInput::Raw(log.address.as_slice()));
        log.topics.iter().for_each(|topic| bloom.accrue(BloomInput::Raw(topic.as_slice())));
        logs.push(EvmLog {
            address: log.address,
            topics: log.topics.clone(),
            data: log.data.clone(),
            place,
            transaction_hash: executed.transaction_hash,
            log_index: u64::from(executed.first_log_index) + i as u64,
        });
    }
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
        logs_bloom: bloom,
        logs,
    }
}

fn transaction(
    checked: &Checked<evm::EvmTransaction>,
    spec: &evm::EvmSpec,
    placed: Option<(BlockPlace, u128)>,
) -> EvmTransaction {
    let t = &checked.transaction;
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
        from: checked.signer,
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

impl EvmAdapter {
    fn inner(&self) -> Inner {
        Inner { shared: self.shared.clone(), live: self.live.clone() }
    }
}

/// What a query on the blocking pool needs.
#[derive(Clone)]
struct Inner {
    shared: Arc<Shared>,
    live: LiveEvm,
}

impl Inner {
    /// The last sealed block that history holds, so that what is found can be read.
    fn latest(&self) -> u64 {
        let indexed = self.shared.archive.history.indexed_slot().ok().flatten().unwrap_or(0);
        indexed.min(self.shared.head.read().slot)
    }

    fn number(&self, block: BlockId) -> Result<Option<u64>, QueryError> {
        Ok(match block {
            BlockId::Earliest => Some(0),
            BlockId::Finalized => Some(self.shared.finalised.load(Relaxed).min(self.latest())),
            BlockId::Latest | BlockId::Pending => Some(self.latest()),
            BlockId::Number(number) => (number <= self.latest()).then_some(number),
            BlockId::Hash(hash) => self.shared.archive.slot_by_hash(&hash).map_err(internal)?,
        })
    }

    fn assembled(&self, block: BlockId) -> Result<Option<Assembled>, QueryError> {
        let Some(number) = self.number(block)? else { return Ok(None) };
        let archive = &self.shared.archive;
        let header = match archive.header(number).map_err(internal)? {
            Some(header) => header,
            None if number == 0 => SlotHeader::default(),
            None => return Ok(None),
        };
        let id = self.live.spec.id;
        let record = archive.record(id, number).map_err(internal)?;
        let noted = archive.indexed(id, &number.to_be_bytes()).map_err(internal)?;
        let spec = &self.live.vm_spec;
        let noted = noted.as_deref().and_then(noted_base_fee);
        let base_fee = noted.unwrap_or(spec.base_fee.initial());
        let interval = u64::from(self.live.spec.commit_interval_slots);
        let committed = number - number % interval;
        let root = archive.root(id, committed).map_err(internal)?.unwrap_or_default();
        let chain = Chain { spec, identity: self.live.identity };
        Ok(Some(chain.assemble(&header, record.as_ref(), base_fee, root)))
    }

    /// Reads the state of a block. Two are kept, that of the last sealed block and the one that is
    /// being made; who names a block by its hash gets exactly that one's or an error.
    fn state<T>(
        &self,
        block: BlockId,
        read: impl FnOnce(&EvmVm<Resident>, evm::At) -> T,
    ) -> Result<T, QueryError> {
        self.at_head(block)?;
        let at = match block {
            BlockId::Hash(_) => evm::At::Sealed,
            _ => evm::At::Open,
        };
        // The slot is sealed under this lock: while it is held, the last sealed one stays the last.
        let machine = self.live.machine.read();
        if let BlockId::Hash(_) = block {
            let sealed = self.live.gate.executed_slot.load(Relaxed);
            match self.number(block)? {
                Some(number) if number == sealed => {}
                _ => {
                    return Err(QueryError::NotKept(format!(
                        "the state of that block has just been replaced by that of block {sealed}; \
                         ask for the latest block again"
                    )));
                }
            }
        }
        Ok(read(machine.vm(), at))
    }

    /// Only the state at the head is kept; older states can be regenerated as witnesses.
    fn at_head(&self, block: BlockId) -> Result<(), QueryError> {
        self.live.gate.readable()?;
        let head = self.latest();
        let near = |number: u64| number <= head && number + 1 >= head;
        match block {
            BlockId::Latest | BlockId::Pending => Ok(()),
            BlockId::Finalized => Ok(()),
            BlockId::Number(number) if near(number) => Ok(()),
            _ => match self.number(block)? {
                Some(number) if near(number) => Ok(()),
                Some(number) => Err(QueryError::NotKept(format!(
                    "the state of block {number} is not kept, only that of the head, {head}; ask \
                     for \"latest\""
                ))),
                None => Err(QueryError::NotFound("there is no such block".into())),
            },
        }
    }

    fn located(&self, hash: B256) -> Result<Option<(u64, Assembled)>, QueryError> {
        let Some(at) = self.shared.archive.locate(&hash).map_err(internal)? else {
            return Ok(None);
        };
        if at.environment != self.live.spec.id {
            return Ok(None);
        }
        Ok(self.assembled(BlockId::Number(at.slot))?.map(|block| (at.slot, block)))
    }

    fn logs(&self, filter: &LogFilter, limit: usize) -> Result<Vec<EvmLog>, QueryError> {
        let (from, to) = match filter.blocks {
            LogBlocks::Range(from, to) => (from, to.min(self.latest())),
            LogBlocks::Hash(hash) => match self.number(BlockId::Hash(hash))? {
                Some(number) => (number, number),
                None => return Err(QueryError::NotFound(format!("no block has hash {hash}"))),
            },
        };
        let mut found = Vec::new();
        let slots = self.shared.archive.record_slots(self.live.spec.id, from, to);
        for slot in slots.map_err(internal)? {
            let Some(block) = self.assembled(BlockId::Number(slot))? else { continue };
            let logs = block.receipts.into_iter().flat_map(|receipt| receipt.logs);
            found.extend(logs.filter(|log| filter.matches(log)));
            if found.len() > limit {
                return Err(QueryError::TooLarge(format!(
                    "more than {limit} logs match; ask for fewer blocks or a narrower filter"
                )));
            }
        }
        Ok(found)
    }
}

fn call_request(request: port::CallRequest) -> evm::CallRequest {
    let list = |item: AccessListItem| (item.address, item.storage_keys);
    evm::CallRequest {
        from: request.from.unwrap_or_default(),
        to: request.to,
        gas: request.gas,
        max_fee_per_gas: request.max_fee_per_gas.or(request.gas_price),
        max_priority_fee_per_gas: request.max_priority_fee_per_gas,
        value: request.value,
        input: request.data,
        access_list: request.access_list.into_iter().map(list).collect(),
    }
}

fn call_error(error: evm::CallError) -> port::CallError {
    match error {
        evm::CallError::Revert(data) => port::CallError::Reverted(data),
        evm::CallError::Halt(why) => port::CallError::Halted(why),
        evm::CallError::Invalid(reject) => port::CallError::Rejected(reject),
    }
}

impl EvmPort for EvmAdapter {
    fn chain_id(&self) -> u64 {
        self.live.vm_spec.chain_id
    }

    fn block_number(&self) -> u64 {
        self.inner().latest()
    }

    fn gas_price(&self) -> u128 {
        u128::from(self.live.machine.read().vm().next_base_fee()) + self.max_priority_fee()
    }

    fn max_priority_fee(&self) -> u128 {
        // Nothing is ordered by tips: none is worth offering.
        0
    }

    fn balance(&self, address: Address, block: BlockId) -> Pending<'_, Result<U256, QueryError>> {
        Box::pin(async move { self.inner().state(block, |vm, at| vm.balance_at(address, at)) })
    }

    fn nonce(&self, address: Address, block: BlockId) -> Pending<'_, Result<u64, QueryError>> {
        Box::pin(async move { self.inner().state(block, |vm, at| vm.nonce_at(address, at)) })
    }

    fn code(&self, address: Address, block: BlockId) -> Pending<'_, Result<Bytes, QueryError>> {
        Box::pin(async move { self.inner().state(block, |vm, at| vm.code_at(address, at)) })
    }

    fn storage(
        &self,
        address: Address,
        key: U256,
        block: BlockId,
    ) -> Pending<'_, Result<B256, QueryError>> {
        Box::pin(async move {
            self.inner().state(block, |vm, at| B256::from(vm.storage_at(address, key, at)))
        })
    }

    fn call(
        &self,
        request: port::CallRequest,
        block: BlockId,
    ) -> Pending<'_, Result<Bytes, port::CallError>> {
        let inner = self.inner();
        Box::pin(async move {
            let request = call_request(request);
            let outcome =
                blocking(move || inner.state(block, |vm, at| vm.call_at(&request, at))).await?;
            outcome.map(|outcome| outcome.output).map_err(call_error)
        })
    }

    fn estimate_gas(
        &self,
        request: port::CallRequest,
        block: BlockId,
    ) -> Pending<'_, Result<u64, port::CallError>> {
        let inner = self.inner();
        Box::pin(async move {
            inner.at_head(block)?;
            let work =
                move || Ok(inner.live.machine.read().vm().estimate_gas(&call_request(request)));
            blocking(work).await?.map_err(call_error)
        })
    }

    fn block(
        &self,
        block: BlockId,
        full: bool,
    ) -> Pending<'_, Result<Option<EvmBlock>, QueryError>> {
        let inner = self.inner();
        Box::pin(blocking(move || Ok(inner.assembled(block)?.map(|block| block.with(full)))))
    }

    fn block_receipts(
        &self,
        block: BlockId,
    ) -> Pending<'_, Result<Option<Vec<EvmReceipt>>, QueryError>> {
        let inner = self.inner();
        Box::pin(blocking(move || Ok(inner.assembled(block)?.map(|block| block.receipts))))
    }

    fn transaction(&self, hash: B256) -> Pending<'_, Result<Option<EvmTransaction>, QueryError>> {
        let inner = self.inner();
        Box::pin(blocking(move || {
            let found = inner.located(hash)?;
            Ok(found.and_then(|(_, b)| b.transactions.into_iter().find(|t| t.hash == hash)))
        }))
    }

    fn receipt(&self, hash: B256) -> Pending<'_, Result<Option<EvmReceipt>, QueryError>> {
        let inner = self.inner();
        Box::pin(blocking(move || {
            let found = inner.located(hash)?;
            Ok(found.and_then(|(_, b)| b.receipts.into_iter().find(|r| r.transaction_hash == hash)))
        }))
    }

    fn logs(
        &self,
        filter: LogFilter,
        limit: usize,
    ) -> Pending<'_, Result<Vec<EvmLog>, QueryError>> {
        let inner = self.inner();
        Box::pin(blocking(move || inner.logs(&filter, limit)))
    }

    fn fee_history(
        &self,
        count: u64,
        newest: BlockId,
        percentiles: Vec<f64>,
    ) -> Pending<'_, Result<FeeHistory, QueryError>> {
        let inner = self.inner();
        Box::pin(blocking(move || {
            let missing = || QueryError::NotFound("there is no such block".into());
            let newest = inner.number(newest)?.ok_or_else(missing)?;
            let oldest = newest.saturating_sub(count.saturating_sub(1));
            let mut history = FeeHistory { oldest_block: oldest, ..FeeHistory::default() };
            let mut rewards = Vec::new();
            for number in oldest..=newest {
                let block = inner.assembled(BlockId::Number(number))?.ok_or_else(missing)?;
                let base_fee = block.block.base_fee_per_gas;
                history.base_fee_per_gas.push(base_fee);
                history.gas_used.push((block.block.gas_used, block.block.gas_limit));
                rewards.push(tips(&block, base_fee, &percentiles));
            }
            let next = inner.live.machine.read().vm().next_base_fee();
            history.base_fee_per_gas.push(u128::from(next));
            history.reward = (!percentiles.is_empty()).then_some(rewards);
            Ok(history)
        }))
    }

    fn heads(&self) -> broadcast::Receiver<Arc<EvmHead>> {
        self.heads.subscribe()
    }
}

/// Tips paid in a block at percentiles of its gas, as `eth_feeHistory` defines them.
fn tips(block: &Assembled, base_fee: u128, percentiles: &[f64]) -> Vec<u128> {
    let tip = |r: &EvmReceipt| (r.effective_gas_price.saturating_sub(base_fee), r.gas_used);
    let mut paid: Vec<(u128, u64)> = block.receipts.iter().map(tip).collect();
    paid.sort_unstable();
    let total: u64 = paid.iter().map(|(_, gas)| gas).sum();
    let at = |percentile: &f64| {
        let threshold = (total as f64 * percentile / 100.0) as u64;
        let mut used = 0;
        let found = paid.iter().find(|(_, gas)| {
            used += gas;
            used >= threshold
        });
        found.or(paid.last()).map_or(0, |(tip, _)| *tip)
    };
    percentiles.iter().map(at).collect()
}
