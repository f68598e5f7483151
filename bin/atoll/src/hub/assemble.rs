//! Makes the next commitment from what history keeps of a range of slots.

use super::published::{Published, SpanRoot};
use crate::node::Shared;
use crate::node::archive::SlotRecord;
use anyhow::{Context, Result, bail};
use atoll_executor::machine::outbox_root;
use atoll_executor::{Batch, EnvironmentSpec, Step};
use atoll_types::hub::{ROUTER, WithdrawalTree};
use atoll_types::statement::{
    PROTOCOL_VERSION, router_outbox, span_leaf, statements_root, transfers_hash,
};
use atoll_types::{
    B256, Commitment, Decode, NetTransfer, NetworkId, SlotHeader, Statement, Withdrawal,
    merkle_root,
};
use atoll_vm::SlotContext;
use atoll_vm::router::net_transfers;
use std::collections::BTreeMap;

/// One environment's part of a range of slots.
pub(crate) struct Part {
    pub(crate) spec: EnvironmentSpec,
    /// The slots that hold something for it.
    pub(crate) records: BTreeMap<u64, SlotRecord>,
}

/// A range of slots, as history has it.
pub(crate) struct Slots {
    pub(crate) headers: Vec<SlotHeader>,
    pub(crate) parts: Vec<Part>,
    /// Hub queue cursor before the range.
    pub(crate) cursor_before: u64,
}

/// What goes before the first commitment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Before {
    pub(crate) hash: B256,
    pub(crate) number: u64,
    pub(crate) last_slot: u64,
    pub(crate) queue_hash: B256,
}

impl Before {
    pub(crate) fn of(published: Option<&Published>) -> Self {
        published.map_or(Self::default(), |published| Self {
            hash: published.commitment.hash(),
            number: published.commitment.number,
            last_slot: published.commitment.slots.1,
            queue_hash: published.commitment.queue_hash,
        })
    }
}

impl Slots {
    /// Reads a range; the environments in ascending order, the router first.
    pub(crate) fn read(shared: &Shared, slots: (u64, u64)) -> Result<Self> {
        let missing = |slot: u64| format!("history has no slot {slot}, which was indexed");
        let header = |slot: u64| shared.archive.header(slot)?.with_context(|| missing(slot));
        let cursor_before = match slots.0 {
            1 => 0,
            first => header(first - 1)?.hub_cursor,
        };
        let headers = (slots.0..=slots.1).map(header).collect::<Result<_>>()?;
        let mut parts = Vec::new();
        for hosted in &shared.environments {
            let spec = hosted.environment().spec().clone();
            let mut records = BTreeMap::new();
            for slot in shared.archive.record_slots(spec.id, slots.0, slots.1)? {
                let record = shared.archive.record(spec.id, slot)?;
                records.insert(slot, record.with_context(|| missing(slot))?);
            }
            parts.push(Part { spec, records });
        }
        parts.sort_by_key(|part| part.spec.id);
        Ok(Self { headers, parts, cursor_before })
    }

    fn router(&self) -> Option<&Part> {
        self.parts.iter().find(|part| part.spec.id == ROUTER)
    }

    /// The queue's running hash after the range.
    pub(crate) fn queue_hash(&self, before: B256) -> B256 {
        let steps = self.router().into_iter().flat_map(|part| part.records.values());
        let steps = steps.flat_map(|record| &record.range.steps);
        steps.fold(before, |hash, step| match step {
            Step::Entry(entry) => entry.extend(&hash),
            _ => hash,
        })
    }

    /// The withdrawals of the range, in order.
    pub(crate) fn withdrawals(&self) -> Vec<Withdrawal> {
        let records = self.router().into_iter().flat_map(|part| part.records.values());
        let receipts = records.flat_map(|record| &record.receipts);
        receipts.filter_map(|receipt| Withdrawal::from_bytes(&receipt.payload).ok()).collect()
    }

    fn transfers(&self) -> Vec<NetTransfer> {
        let records = self.router().into_iter().flat_map(|part| part.records.values());
        net_transfers(records.flat_map(|record| &record.receipts))
    }

    /// An environment's batch in a slot that holds nothing for it.
    fn empty(&self, at: usize, part: &Part) -> B256 {
        let header = &self.headers[at];
        let context =
            SlotContext { slot: header.slot, time_us: header.time_us, parent: header.parent };
        let before = at.checked_sub(1).map_or(self.cursor_before, |at| self.headers[at].hub_cursor);
        let hub_cursor = (before, header.hub_cursor);
        let batch = Batch { environment: part.spec.id, context, hub_cursor, steps: Vec::new() };
        batch.whole().hash()
    }

    fn statement(&self, network: NetworkId, part: &Part, pre: B256, post: B256) -> Statement {
        let (first, last) = (&self.headers[0], &self.headers[self.headers.len() - 1]);
        let record = |slot: &SlotHeader| part.records.get(&slot.slot);
        let roots = |value: &dyn Fn(&SlotRecord) -> B256| {
            let of = |header| record(header).map_or(B256::ZERO, value);
            let values: Vec<B256> = self.headers.iter().map(of).collect();
            merkle_root(values.iter().map(|value| value.as_slice()))
        };
        let batches = self.headers.iter().enumerate().map(|(at, header)| match record(header) {
            Some(record) => record.range.hash(),
            None => self.empty(at, part),
        });
        let batches: Vec<B256> = batches.collect();
        let end = record(last).map_or(last.time_us, |record| record.range.last_time_us());
        Statement {
            protocol_version: PROTOCOL_VERSION,
            network,
            environment: part.spec.id,
            spec_hash: part.spec.hash(),
            program_id: part.spec.vm.program_id(),
            slots: (first.slot, last.slot),
            times_us: (first.time_us, end),
            pre_root: pre,
            post_root: post,
            batch: merkle_root(batches.iter().map(|hash| hash.as_slice())),
            hub_cursor: (self.cursor_before, last.hub_cursor),
            inbox: roots(&|record| record.range.inbox_root()),
            outbox: roots(&|record| outbox_root(&record.receipts)),
            receipts: roots(&SlotRecord::receipts_root),
            foreign_roots: B256::ZERO,
        }
    }
}

/// A commitment and what it is about, not signed yet.
pub(crate) struct Assembled {
    pub(crate) commitment: Commitment,
    pub(crate) statements: Vec<Statement>,
    pub(crate) transfers: Vec<NetTransfer>,
    pub(crate) withdrawals: Vec<Withdrawal>,
}

/// State roots before and after a range, by environment.
pub(crate) struct Roots<'a> {
    pub(crate) pre: &'a BTreeMap<u32, B256>,
    pub(crate) post: &'a BTreeMap<u32, B256>,
}

/// The commitment over a range of slots. `tree` is the tree of withdrawals before, and grows.
pub(crate) fn assemble(
    network: NetworkId,
    slots: &Slots,
    before: Before,
    roots: &Roots<'_>,
    tree: &mut WithdrawalTree,
    spans: &[SpanRoot],
) -> Result<Assembled> {
    let (Some(first), Some(last)) = (slots.headers.first(), slots.headers.last()) else {
        bail!("a commitment covers at least one slot")
    };
    let withdrawals = slots.withdrawals();
    for withdrawal in &withdrawals {
        if tree.push(withdrawal.leaf()) != Some(withdrawal.index) {
            bail!("withdrawal {} is not the next of the tree", withdrawal.index);
        }
    }
    let transfers = slots.transfers();
    let mut statements = Vec::new();
    for part in &slots.parts {
        let id = part.spec.id;
        let root = |roots: &BTreeMap<u32, B256>, when: &str| {
            let root = roots.get(&id.0).copied();
            root.with_context(|| format!("{} has no state root {when} the range", part.spec.name))
        };
        let (pre, post) = (root(roots.pre, "before")?, root(roots.post, "after")?);
        let mut statement = slots.statement(network, part, pre, post);
        if id == ROUTER {
            statement.outbox = router_outbox(tree.root(), tree.count(), transfers_hash(&transfers));
        }
        statements.push(statement);
    }
    let leaves: Vec<B256> =
        spans.iter().map(|span| span_leaf(span.slots, span.data_root)).collect();
    let commitment = Commitment {
        network,
        previous: before.hash,
        number: before.number + 1,
        slots: (first.slot, last.slot),
        slot_hash: last.hash(),
        cursor: last.hub_cursor,
        queue_hash: slots.queue_hash(before.queue_hash),
        statements: statements_root(&statements),
        withdrawals_root: tree.root(),
        withdrawals_count: tree.count(),
        transfers: transfers_hash(&transfers),
        data: merkle_root(leaves.iter().map(|leaf| leaf.as_slice())),
    };
    Ok(Assembled { commitment, statements, transfers, withdrawals })
}
