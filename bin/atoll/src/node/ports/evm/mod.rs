//! Ethereum JSON-RPC on a running node: one block per slot, blocks from history, and the state that any
//! of them left, as far as it can be made again.

mod block;
mod conflicts;
mod logs;
mod observer;
mod ordered;
mod past;
mod simulate;
mod trace;

pub(crate) use observer::{EvmFeeds, EvmObserver};
pub(crate) use past::Workshop;

use super::{blocking, internal};
use crate::node::Shared;
use crate::node::environment::{IndexEntry, Live};
use atoll_rpc::port::{
    self, AccessListView, BlockId, EvmBlock, EvmHead, EvmLog, EvmPort, EvmReceipt, EvmTransaction,
    FeeHistory, LogFilter, On, OrderedPlace, Pending, QueryError, TraceOptions,
};
use atoll_state::{Object, Resident};
use atoll_types::{Address, B256, Encode, SlotHeader, U256};
use atoll_vm::Vm;
use atoll_vm::evm::objects::{Account, AccountKey, SlotKey, StorageSlot};
use atoll_vm::evm::{self, BaseFee, Bytes, EvmVm};
use block::{Assembled, assemble};
use serde_json::Value;
use simulate::{call_error, call_request};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::broadcast;

/// Blocks that are kept as the gateway shows them.
const BLOCKS_KEPT: usize = 8;

type LiveEvm = Arc<Live<EvmVm<Resident>>>;

/// One EVM environment for the gateway.
pub(crate) struct EvmAdapter {
    pub(crate) shared: Arc<Shared>,
    pub(crate) live: LiveEvm,
    pub(crate) feeds: Arc<EvmFeeds>,
    pub(crate) workshop: Arc<Workshop>,
}

impl EvmAdapter {
    fn inner(&self) -> Inner {
        let (shared, live) = (self.shared.clone(), self.live.clone());
        Inner { shared, live, feeds: self.feeds.clone(), workshop: self.workshop.clone() }
    }
}

/// What a query on the blocking pool needs.
#[derive(Clone)]
struct Inner {
    shared: Arc<Shared>,
    live: LiveEvm,
    feeds: Arc<EvmFeeds>,
    workshop: Arc<Workshop>,
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

/// The key of an object as the state has it.
fn encoded(tag: u8, key: &impl Encode) -> Bytes {
    let mut bytes = vec![tag];
    key.encode(&mut bytes);
    bytes.into()
}

fn noted_base_fee(value: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(value.try_into().ok()?))
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
        Ok(Some(assemble(spec, &header, record.as_ref(), base_fee, root)))
    }

    /// The base fee of the block after one.
    fn base_fee_after(&self, block: u64) -> Result<u64, QueryError> {
        let key = (block + 1).to_be_bytes();
        let noted = self.shared.archive.indexed(self.live.spec.id, &key).map_err(internal)?;
        Ok(match noted.as_deref().and_then(noted_base_fee) {
            Some(base_fee) => base_fee,
            // It is being made, or sealed and on its way into history.
            None => self.live.machine.read().vm().block().base_fee,
        })
    }

    /// Reads the state that a block left; the latest is that of the one which is being made, with all that
    /// has been executed. States of the last blocks are at hand, older ones are made again.
    fn state<T>(
        &self,
        block: BlockId,
        read: impl FnOnce(&EvmVm<Resident>, evm::At) -> T,
    ) -> Result<T, QueryError> {
        self.live.gate.readable()?;
        let number = self.number_of_state(block)?;
        {
            let machine = self.live.machine.read();
            if let Some(at) = at(machine.vm(), number) {
                return Ok(read(machine.vm(), at));
            }
        }
        self.past_state(number.unwrap_or_default(), |vm| read(vm, evm::At::Open))
    }

    /// The block that left a state; none for the state as it is.
    fn number_of_state(&self, block: BlockId) -> Result<Option<u64>, QueryError> {
        if let BlockId::Latest | BlockId::Pending = block {
            return Ok(None);
        }
        let missing = || QueryError::NotFound("there is no such block".into());
        Ok(Some(self.number(block)?.ok_or_else(missing)?))
    }

    /// Whether a state need not be made again.
    fn at_hand(&self, block: BlockId) -> Result<bool, QueryError> {
        let number = self.number_of_state(block)?;
        Ok(at(self.live.machine.read().vm(), number).is_some())
    }

    /// A block's transactions and receipts. Who sent some wait for the same block, and ask for it
    /// together: it is put together once. What the block itself says of the state may not be known yet,
    /// so it is not for who asks for that.
    fn executed(&self, number: u64) -> Result<Option<Arc<Assembled>>, QueryError> {
        let mut blocks = self.feeds.blocks.lock();
        if let Some((_, block)) = blocks.iter().find(|(kept, _)| *kept == number) {
            return Ok(Some(block.clone()));
        }
        let Some(block) = self.assembled(BlockId::Number(number))?.map(Arc::new) else {
            return Ok(None);
        };
        if blocks.len() == BLOCKS_KEPT {
            blocks.pop_front();
        }
        blocks.push_back((number, block.clone()));
        Ok(Some(block))
    }

    fn located(&self, hash: B256) -> Result<Option<(u64, Arc<Assembled>)>, QueryError> {
        let Some(at) = self.shared.archive.locate(&hash).map_err(internal)? else {
            return Ok(None);
        };
        if at.environment != self.live.spec.id {
            return Ok(None);
        }
        Ok(self.executed(at.slot)?.map(|block| (at.slot, block)))
    }
}

/// Where the VM has the state that a block left, or none for the state as it is.
fn at(vm: &EvmVm<Resident>, number: Option<u64>) -> Option<evm::At> {
    number.map_or(Some(evm::At::Open), |number| vm.at(number))
}

/// Reads a little of a state: at once where it is at hand, else on the pool for what takes long.
async fn reading<T: Send + 'static>(
    inner: Inner,
    block: BlockId,
    read: impl FnOnce(&EvmVm<Resident>, evm::At) -> T + Send + 'static,
) -> Result<T, QueryError> {
    if inner.at_hand(block)? {
        return inner.state(block, read);
    }
    blocking(move || inner.state(block, read)).await
}

/// Runs work that holds a thread for long on the pool that is there for it.
async fn working<T: Send + 'static, E: From<QueryError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    blocking(move || Ok(work())).await?
}

impl EvmPort for EvmAdapter {
    fn chain_id(&self) -> u64 {
        self.live.vm_spec.chain_id
    }

    fn symbol(&self) -> String {
        self.live.vm_spec.symbol.clone()
    }

    fn fee_tokens(&self) -> Vec<(Address, u128)> {
        self.live.vm_spec.fee_tokens.iter().map(|token| (token.token, token.price)).collect()
    }

    fn object_keys(&self, address: Address, slots: &[U256]) -> (Bytes, Vec<Bytes>) {
        let slot = |slot: &U256| encoded(StorageSlot::TAG, &SlotKey { address, slot: *slot });
        let account = encoded(Account::TAG, &AccountKey(address));
        (account, slots.iter().map(slot).collect())
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
        Box::pin(reading(self.inner(), block, move |vm, at| vm.balance_at(address, at)))
    }

    fn nonce(&self, address: Address, block: BlockId) -> Pending<'_, Result<u64, QueryError>> {
        Box::pin(reading(self.inner(), block, move |vm, at| vm.nonce_at(address, at)))
    }

    fn code(&self, address: Address, block: BlockId) -> Pending<'_, Result<Bytes, QueryError>> {
        Box::pin(reading(self.inner(), block, move |vm, at| vm.code_at(address, at)))
    }

    fn storage(
        &self,
        address: Address,
        key: U256,
        block: BlockId,
    ) -> Pending<'_, Result<B256, QueryError>> {
        let read = move |vm: &EvmVm<Resident>, at| B256::from(vm.storage_at(address, key, at));
        Box::pin(reading(self.inner(), block, read))
    }

    fn call(
        &self,
        on: On,
        request: port::CallRequest,
    ) -> Pending<'_, Result<Bytes, port::CallError>> {
        let inner = self.inner();
        Box::pin(async move {
            let request = call_request(request);
            let outcome = working(move || {
                inner.simulated(on, |simulation| simulation.call(&request).map_err(call_error))
            });
            outcome.await.map(|outcome| outcome.output)
        })
    }

    fn estimate_gas(
        &self,
        on: On,
        request: port::CallRequest,
    ) -> Pending<'_, Result<u64, port::CallError>> {
        let inner = self.inner();
        Box::pin(working(move || {
            let request = call_request(request);
            inner.simulated(on, |simulation| simulation.estimate_gas(&request).map_err(call_error))
        }))
    }

    fn access_list(
        &self,
        on: On,
        request: port::CallRequest,
    ) -> Pending<'_, Result<AccessListView, port::CallError>> {
        let inner = self.inner();
        Box::pin(working(move || inner.access_list(on, &call_request(request))))
    }

    fn simulate(
        &self,
        block: BlockId,
        request: port::SimulateRequest,
    ) -> Pending<'_, Result<Vec<port::SimulatedBlock>, port::SimulateError>> {
        let inner = self.inner();
        Box::pin(working(move || inner.simulate(block, request)))
    }

    fn trace_call(
        &self,
        on: On,
        request: port::CallRequest,
        options: TraceOptions,
    ) -> Pending<'_, Result<Value, port::CallError>> {
        let inner = self.inner();
        Box::pin(working(move || inner.trace_call(on, request, &options)))
    }

    fn trace_transaction(
        &self,
        hash: B256,
        options: TraceOptions,
    ) -> Pending<'_, Result<Option<Value>, QueryError>> {
        let inner = self.inner();
        Box::pin(blocking(move || inner.trace_transaction(hash, &options)))
    }

    fn trace_block(
        &self,
        block: BlockId,
        options: TraceOptions,
    ) -> Pending<'_, Result<Option<port::BlockTraces>, QueryError>> {
        let inner = self.inner();
        Box::pin(blocking(move || inner.trace_block(block, &options)))
    }

    fn conflicts(
        &self,
        block: BlockId,
    ) -> Pending<'_, Result<Option<port::BlockConflicts>, QueryError>> {
        let inner = self.inner();
        Box::pin(blocking(move || inner.conflicts(block)))
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
        Box::pin(blocking(move || {
            let Some(number) = inner.number(block)? else { return Ok(None) };
            Ok(inner.executed(number)?.map(|block| block.receipts.clone()))
        }))
    }

    fn transaction(&self, hash: B256) -> Pending<'_, Result<Option<EvmTransaction>, QueryError>> {
        let inner = self.inner();
        Box::pin(blocking(move || {
            // In this order: what leaves those waiting is in history by then.
            let waiting = inner.feeds.open.lock().transactions().find(|t| t.hash == hash).cloned();
            let found = inner.located(hash)?;
            let found = found.and_then(|(_, block)| {
                block.transactions.iter().find(|transaction| transaction.hash == hash).cloned()
            });
            Ok(found.or(waiting))
        }))
    }

    fn receipt(&self, hash: B256) -> Pending<'_, Result<Option<EvmReceipt>, QueryError>> {
        let inner = self.inner();
        Box::pin(blocking(move || {
            let found = inner.located(hash)?;
            Ok(found.and_then(|(_, block)| {
                block.receipts.iter().find(|receipt| receipt.transaction_hash == hash).cloned()
            }))
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
            let newest = inner.number(newest)?.ok_or_else(|| {
                let head = inner.latest();
                QueryError::NotFound(format!("request beyond head block: head is {head}"))
            })?;
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
            history.base_fee_per_gas.push(u128::from(inner.base_fee_after(newest)?));
            history.reward = (!percentiles.is_empty()).then_some(rewards);
            Ok(history)
        }))
    }

    fn block_hashes(&self, from: u64, to: u64) -> Pending<'_, Result<Vec<B256>, QueryError>> {
        let inner = self.inner();
        Box::pin(blocking(move || {
            let missing = || QueryError::NotFound("there is no such block".into());
            let hash = |number| {
                let header = inner.shared.archive.header(number).map_err(internal)?;
                Ok(header.ok_or_else(missing)?.hash())
            };
            (from..=to.min(inner.latest())).map(hash).collect()
        }))
    }

    fn sender(&self, raw: &[u8]) -> Option<(Address, u64)> {
        type Evm = EvmVm<Resident>;
        let checked = Evm::check(&self.live.identity, &self.live.vm_spec, raw).ok()?;
        Some((checked.signer, checked.transaction.nonce))
    }

    fn pending(&self) -> Vec<EvmTransaction> {
        self.inner().pending()
    }

    fn ordered_end(&self) -> OrderedPlace {
        self.inner().ordered_end()
    }

    fn ordered_since(
        &self,
        place: OrderedPlace,
        limit: usize,
    ) -> Pending<'_, Result<(Vec<B256>, OrderedPlace), QueryError>> {
        let inner = self.inner();
        Box::pin(blocking(move || inner.ordered_since(place, limit)))
    }

    fn arrivals(&self) -> broadcast::Receiver<Arc<Vec<EvmTransaction>>> {
        self.feeds.arrivals.subscribe()
    }

    fn heads(&self) -> broadcast::Receiver<Arc<EvmHead>> {
        self.feeds.heads.subscribe()
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
