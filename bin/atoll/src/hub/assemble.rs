//! Makes the next commitment out of its slots, a range of them at a time: a commitment may cover
//! hours.

use super::certificate::data_of;
use super::published::{Published, SpanRoot};
use crate::node::Shared;
use crate::node::archive::SlotRecord;
use anyhow::{Context, Result, bail};
use atoll_executor::machine::outbox_root;
use atoll_executor::{Batch, EnvironmentSpec, Step};
use atoll_types::hub::{ROUTER, WithdrawalTree};
use atoll_types::statement::{PROTOCOL_VERSION, router_outbox, statements_root, transfers_hash};
use atoll_types::{
    Address, B256, Commitment, Decode, EnvironmentId, NetTransfer, NetworkId, SlotHeader,
    Statement, Withdrawal, merkle_root,
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

/// A commitment in the making.
pub(crate) struct Draft {
    network: NetworkId,
    before: Before,
    /// First and last header so far.
    ends: Option<(SlotHeader, SlotHeader)>,
    cursor_before: u64,
    parts: Vec<DraftPart>,
    queue_hash: B256,
    withdrawals: Vec<Withdrawal>,
    moved: BTreeMap<(EnvironmentId, Address), i128>,
}

/// What a statement says of each slot.
struct DraftPart {
    spec: EnvironmentSpec,
    batches: Vec<B256>,
    inboxes: Vec<B256>,
    outboxes: Vec<B256>,
    receipts: Vec<B256>,
    end_us: u64,
}

fn root(values: &[B256]) -> B256 {
    merkle_root(values.iter().map(|value| value.as_slice()))
}

impl Draft {
    /// What comes after a commitment, without a slot yet.
    pub(crate) fn new(network: NetworkId, before: Before) -> Self {
        Self {
            network,
            before,
            ends: None,
            cursor_before: 0,
            parts: Vec::new(),
            queue_hash: before.queue_hash,
            withdrawals: Vec::new(),
            moved: BTreeMap::new(),
        }
    }

    /// The last slot so far.
    pub(crate) fn last_slot(&self) -> u64 {
        self.ends.as_ref().map_or(self.before.last_slot, |(_, last)| last.slot)
    }

    /// Adds the slots that follow.
    pub(crate) fn extend(&mut self, slots: &Slots) -> Result<()> {
        let Some((first, last)) = slots.headers.first().zip(slots.headers.last()) else {
            bail!("a range without slots")
        };
        if first.slot != self.last_slot() + 1 {
            bail!("slot {} does not follow slot {}", first.slot, self.last_slot());
        }
        match &mut self.ends {
            Some((_, end)) => *end = last.clone(),
            None => {
                self.ends = Some((first.clone(), last.clone()));
                self.cursor_before = slots.cursor_before;
                self.parts = slots.parts.iter().map(|part| DraftPart::new(&part.spec)).collect();
            }
        }
        for (draft, part) in self.parts.iter_mut().zip(&slots.parts) {
            draft.extend(slots, part);
        }
        let router = slots.parts.iter().find(|part| part.spec.id == ROUTER);
        let records = || router.into_iter().flat_map(|part| part.records.values());
        for step in records().flat_map(|record| &record.range.steps) {
            if let Step::Entry(entry) = step {
                self.queue_hash = entry.extend(&self.queue_hash);
            }
        }
        let receipts = || records().flat_map(|record| &record.receipts);
        self.withdrawals
            .extend(receipts().filter_map(|receipt| Withdrawal::from_bytes(&receipt.payload).ok()));
        for moved in net_transfers(receipts()) {
            *self.moved.entry((moved.environment, moved.token)).or_default() += moved.delta;
        }
        Ok(())
    }

    /// The commitment. `tree` is the tree of withdrawals before, and grows.
    pub(crate) fn finish(
        self,
        roots: &Roots<'_>,
        tree: &mut WithdrawalTree,
        spans: &[SpanRoot],
    ) -> Result<Assembled> {
        let Self { network, before, cursor_before, queue_hash, withdrawals, .. } = self;
        let Some((first, last)) = &self.ends else {
            bail!("a commitment covers at least one slot")
        };
        for withdrawal in &withdrawals {
            if tree.push(withdrawal.leaf()) != Some(withdrawal.index) {
                bail!("withdrawal {} is not the next of the tree", withdrawal.index);
            }
        }
        let moved = self.moved.into_iter().filter(|(_, delta)| *delta != 0);
        let moved =
            moved.map(|((environment, token), delta)| NetTransfer { environment, token, delta });
        let transfers: Vec<NetTransfer> = moved.collect();
        let mut statements = Vec::new();
        for part in &self.parts {
            let id = part.spec.id;
            let of = |roots: &BTreeMap<u32, B256>, when: &str| {
                let root = roots.get(&id.0).copied();
                root.with_context(|| {
                    format!("{} has no state root {when} the range", part.spec.name)
                })
            };
            let outbox = match id {
                ROUTER => router_outbox(tree.root(), tree.count(), transfers_hash(&transfers)),
                _ => root(&part.outboxes),
            };
            statements.push(Statement {
                protocol_version: PROTOCOL_VERSION,
                network,
                environment: id,
                spec_hash: part.spec.hash(),
                program_id: part.spec.vm.program_id(),
                slots: (first.slot, last.slot),
                times_us: (first.time_us, part.end_us),
                pre_root: of(roots.pre, "before")?,
                post_root: of(roots.post, "after")?,
                batch: root(&part.batches),
                hub_cursor: (cursor_before, last.hub_cursor),
                inbox: root(&part.inboxes),
                outbox,
                receipts: root(&part.receipts),
                foreign_roots: B256::ZERO,
            });
        }
        let commitment = Commitment {
            network,
            previous: before.hash,
            number: before.number + 1,
            slots: (first.slot, last.slot),
            slot_hash: last.hash(),
            cursor: last.hub_cursor,
            queue_hash,
            statements: statements_root(&statements),
            withdrawals_root: tree.root(),
            withdrawals_count: tree.count(),
            transfers: transfers_hash(&transfers),
            data: data_of(spans),
        };
        Ok(Assembled { commitment, statements, transfers, withdrawals })
    }
}

impl DraftPart {
    fn new(spec: &EnvironmentSpec) -> Self {
        Self {
            spec: spec.clone(),
            batches: Vec::new(),
            inboxes: Vec::new(),
            outboxes: Vec::new(),
            receipts: Vec::new(),
            end_us: 0,
        }
    }

    fn extend(&mut self, slots: &Slots, part: &Part) {
        for (at, header) in slots.headers.iter().enumerate() {
            let record = part.records.get(&header.slot);
            let of = |value: &dyn Fn(&SlotRecord) -> B256| record.map_or(B256::ZERO, value);
            self.inboxes.push(of(&|record| record.range.inbox_root()));
            self.outboxes.push(of(&|record| outbox_root(&record.receipts)));
            self.receipts.push(of(&SlotRecord::receipts_root));
            let empty = || slots.empty(at, part);
            self.batches.push(record.map_or_else(empty, |record| record.range.hash()));
            self.end_us = record.map_or(header.time_us, |record| record.range.last_time_us());
        }
    }
}
