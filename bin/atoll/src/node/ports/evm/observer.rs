//! What an EVM environment tells while it executes: counts, events for subscribers, the log index.

use super::block::{Assembled, assemble, transaction};
use super::logs;
use super::noted_base_fee;
use crate::node::archive::SlotRecord;
use crate::node::environment::{AnyChecked, IndexEntry, Item, Observer, SlotResult};
use crate::stats::Stats;
use atoll_rpc::port::{EvmHead, EvmTransaction};
use atoll_types::B256;
use atoll_vm::{Receipt, evm};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::broadcast;

/// Ticks that a slow subscriber to transactions may lag behind.
const ARRIVALS_BUFFER: usize = 1_024;

/// What goes from an environment's execution to its queries.
pub(crate) struct EvmFeeds {
    pub(super) heads: broadcast::Sender<Arc<EvmHead>>,
    pub(super) arrivals: broadcast::Sender<Arc<Vec<EvmTransaction>>>,
    pub(super) open: Mutex<Open>,
    /// The blocks asked for last, by number.
    pub(super) blocks: Mutex<VecDeque<(u64, Arc<Assembled>)>>,
}

impl EvmFeeds {
    /// Feeds of which a slow subscriber may lag so many blocks behind.
    pub(crate) fn new(blocks: usize) -> Arc<Self> {
        Arc::new(Self {
            heads: broadcast::channel(blocks).0,
            arrivals: broadcast::channel(ARRIVALS_BUFFER).0,
            open: Mutex::default(),
            blocks: Mutex::default(),
        })
    }
}

/// Transactions that are executed, and that history does not have yet.
#[derive(Default)]
pub(super) struct Open {
    /// Those of sealed slots, by slot; slots without any are left out.
    pub(super) sealed: VecDeque<(u64, Vec<EvmTransaction>)>,
    /// Those of the slot that is being made.
    pub(super) making: Vec<EvmTransaction>,
    /// The last slot sealed since the start.
    pub(super) last: u64,
}

impl Open {
    /// In the order of execution.
    pub(super) fn transactions(&self) -> impl Iterator<Item = &EvmTransaction> {
        self.sealed.iter().flat_map(|(_, list)| list).chain(&self.making)
    }

    fn seal(&mut self, slot: u64, indexed: u64) {
        let made = std::mem::take(&mut self.making);
        if !made.is_empty() {
            self.sealed.push_back((slot, made));
        }
        self.last = slot;
        while self.sealed.front().is_some_and(|(slot, _)| *slot <= indexed) {
            self.sealed.pop_front();
        }
    }
}

/// Counts what an EVM environment executes, and tells of it.
pub(crate) struct EvmObserver {
    pub(crate) stats: Arc<Stats>,
    pub(crate) spec: evm::EvmSpec,
    pub(crate) feeds: Arc<EvmFeeds>,
}

impl Observer for EvmObserver {
    fn ordered(&self, items: &[Item], receipts: &[Receipt]) {
        // What was refused had no effect and will be in no block.
        let executed = items.iter().zip(receipts).filter(|(_, r)| !r.payload.is_empty());
        let shown = executed.filter_map(|(item, _)| match &item.prepared {
            Ok(AnyChecked::Evm(checked)) => {
                Some(transaction(&checked.transaction, checked.signer, &self.spec, None))
            }
            _ => None,
        });
        let shown: Vec<EvmTransaction> = shown.collect();
        if self.feeds.arrivals.receiver_count() > 0 && !shown.is_empty() {
            let _ = self.feeds.arrivals.send(Arc::new(shown.clone()));
        }
        self.feeds.open.lock().making.extend(shown);
    }

    fn executed(&self, _: u64, receipts: &[Receipt]) {
        let executed = receipts.iter().filter(|receipt| !receipt.payload.is_empty()).count();
        Stats::add(&self.stats.evm_transactions, executed as u64);
    }

    fn sealed(&self, result: &SlotResult, indexed: u64) -> Vec<IndexEntry> {
        self.feeds.open.lock().seal(result.header.slot, indexed);
        let index = logs::index(result);
        if self.feeds.heads.receiver_count() == 0 {
            return index;
        }
        let record = SlotRecord {
            range: result.batch.whole(),
            receipts: result.receipts.clone(),
            places: Vec::new(),
        };
        let noted = result.index.first().and_then(|(_, value)| noted_base_fee(value));
        let base_fee = noted.unwrap_or(self.spec.base_fee.initial());
        let block = assemble(&self.spec, &result.header, Some(&record), base_fee, B256::ZERO);
        let logs = block.receipts.iter().flat_map(|receipt| receipt.logs.clone()).collect();
        let head = EvmHead { block: block.with(false), logs };
        let _ = self.feeds.heads.send(Arc::new(head));
        index
    }
}
