//! Where the chain stands.

use crate::running;
use atoll_types::confirmation::extend_running;
use atoll_types::slot::Parts;
use atoll_types::{B256, EnvironmentId, NetworkId, SlotHeader, SlotOpening};

/// A slot that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenSlot {
    /// The slot's number.
    pub slot: u64,
    /// The term that opened it.
    pub term: u64,
    /// Its start, microseconds since the Unix epoch.
    pub time_us: u64,
    /// Ticks closed in it so far.
    pub ticks: u32,
}

/// Where the chain stands: all that a sequencer needs to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The last sealed slot; 0 is genesis.
    pub slot: u64,
    /// Hash of its header; zero for genesis.
    pub parent: B256,
    /// Its start, microseconds since the Unix epoch; 0 for genesis.
    pub slot_time_us: u64,
    /// The highest term seen; 0 for genesis.
    pub term: u64,
    /// Running hash after everything ordered so far.
    pub running: B256,
    /// The latest time on the chain, microseconds since the Unix epoch.
    pub time_us: u64,
    /// The hub block up to which the hub's queue was read.
    pub hub_block: u64,
    /// Entries of the hub's queue taken so far, those of the open slot included.
    pub hub_cursor: u64,
    /// The slot that is open.
    pub open: Option<OpenSlot>,
    /// What the open slot has given each environment so far.
    pub parts: Parts,
}

impl Tip {
    /// Before the first slot.
    pub fn genesis(network: &NetworkId) -> Self {
        Self {
            slot: 0,
            parent: B256::ZERO,
            slot_time_us: 0,
            term: 0,
            running: running::genesis(network),
            time_us: 0,
            hub_block: 0,
            hub_cursor: 0,
            open: None,
            parts: Parts::default(),
        }
    }

    /// After a sealed slot that is trusted: that of the snapshot from which a log is replayed.
    pub fn after(header: &SlotHeader) -> Self {
        Self {
            slot: header.slot,
            parent: header.hash(),
            slot_time_us: header.time_us,
            term: header.term,
            running: header.running,
            time_us: header.time_us,
            hub_block: header.hub_block,
            hub_cursor: header.hub_cursor,
            open: None,
            parts: Parts::default(),
        }
    }

    /// The header that seals the open slot.
    pub fn header(&self) -> Option<SlotHeader> {
        let open = self.open?;
        Some(SlotHeader {
            slot: open.slot,
            term: open.term,
            time_us: open.time_us,
            parent: self.parent,
            ticks: open.ticks,
            running: self.running,
            batches: self.parts.root(),
            hub_block: self.hub_block,
            hub_cursor: self.hub_cursor,
        })
    }

    pub(crate) fn apply_opening(&mut self, opening: &SlotOpening) {
        self.running = running::open(&self.running, opening);
        self.term = opening.term;
        self.time_us = opening.time_us;
        self.hub_block = opening.hub_block;
        self.hub_cursor = opening.hub_cursor_after();
        self.parts = Parts::open(opening);
        self.open = Some(OpenSlot {
            slot: opening.slot,
            term: opening.term,
            time_us: opening.time_us,
            ticks: 0,
        });
    }

    /// Applies a tick of the open slot. Returns the running hash before its first transaction and
    /// the one after each.
    pub(crate) fn apply_tick(
        &mut self,
        time_us: u64,
        transactions: impl Iterator<Item = (EnvironmentId, B256)> + Clone,
    ) -> (B256, Vec<B256>) {
        let Some(open) = &mut self.open else { return (self.running, Vec::new()) };
        self.parts.tick(time_us, transactions.clone());
        let before = running::begin_tick(&self.running, open.slot, open.ticks, time_us);
        open.ticks += 1;
        self.time_us = time_us;
        self.running = before;
        let step = |(_, hash)| {
            self.running = extend_running(&self.running, &hash);
            self.running
        };
        (before, transactions.map(step).collect())
    }

    pub(crate) fn apply_header(&mut self, header: &SlotHeader) {
        self.slot = header.slot;
        self.parent = header.hash();
        self.slot_time_us = header.time_us;
        self.open = None;
    }
}
