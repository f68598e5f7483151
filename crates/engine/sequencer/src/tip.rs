//! Where the chain stands.

use crate::running;
use atoll_types::confirmation::extend_running;
use atoll_types::{B256, NetworkId, SlotHeader, SlotOpening};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The slot that is open.
    pub open: Option<OpenSlot>,
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
            open: None,
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
            open: None,
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
            hub_block: 0,
            hub_cursor: 0,
        })
    }

    pub(crate) fn apply_opening(&mut self, opening: &SlotOpening) {
        self.running = running::open(&self.running, opening);
        self.term = opening.term;
        self.time_us = opening.time_us;
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
        hashes: impl Iterator<Item = B256>,
    ) -> (B256, Vec<B256>) {
        let Some(open) = &mut self.open else { return (self.running, Vec::new()) };
        let before = running::begin_tick(&self.running, open.slot, open.ticks, time_us);
        open.ticks += 1;
        self.time_us = time_us;
        self.running = before;
        let step = |hash| {
            self.running = extend_running(&self.running, &hash);
            self.running
        };
        (before, hashes.map(step).collect())
    }

    pub(crate) fn apply_header(&mut self, header: &SlotHeader) {
        self.slot = header.slot;
        self.parent = header.hash();
        self.slot_time_us = header.time_us;
        self.open = None;
    }
}
