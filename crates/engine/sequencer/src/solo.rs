//! The sequencer with one validator.
//!
//! Finality is durability: a slot is final when the only validator has it on disk.
//!
//! # Time
//! Slots start on a grid of `slot_us` from the first one. A clock that jumps ahead (a machine
//! that slept) leaves cells of the grid empty: the next slot has the next number and a later
//! time. A clock that is set back never turns the chain's time back: it slows to half speed until
//! the clock has caught up. A slot's ticks are always earlier than its start plus `slot_us`.
//!
//! # Back-pressure
//! When `unfinalised_slots_max` sealed slots await durability, no tick closes and no slot is
//! sealed until the disk has caught up; transactions wait in the mempool.

use crate::clock::Clock;
use crate::lanes::order;
use crate::port::{
    ClosedTick, Finalised, Finality, Pending, Place, Sequencer, SequencerEvent, Supply,
};
use crate::{ConfigError, LanePolicy, SoloConfig, Tip};
use atoll_types::crypto::SigningKey;
use atoll_types::hub::{SLOT_ENTRIES_BYTES_MAX, SLOT_ENTRIES_MAX};
use atoll_types::slot::TRANSACTION_BYTES_MAX;
use atoll_types::{
    B256, HubEntry, Reject, RejectCode, SignedHeader, SlotOpening, Tick, TickConfirmation,
    Transaction,
};
use std::collections::VecDeque;

/// The sequencer with one validator.
#[derive(Debug)]
pub struct Solo {
    config: SoloConfig,
    key: SigningKey,
    tip: Tip,
    clock: Clock,
    /// Pulled and not yet ordered, in order of arrival. As long as the supply keeps to what was
    /// asked of it, never more than one tick holds.
    buffer: VecDeque<Pending>,
    buffer_bytes: u64,
    /// Arrival of the first in the buffer, on the caller's clock.
    first_us: u64,
    /// The last tick was full, so the supply may hold more.
    more: bool,
    /// Sealed and not durable: slot and header hash.
    unfinalised: VecDeque<(u64, B256)>,
    /// Durable and not yet told.
    finalised: Option<Finalised>,
}

impl Solo {
    /// Goes on from `tip`, whose records must be on disk already (a caller that recovers a log
    /// syncs it first).
    ///
    /// # Errors
    /// When a setting is out of range, or the term is below one that the chain has seen.
    pub fn new(config: SoloConfig, key: SigningKey, tip: Tip) -> Result<Self, ConfigError> {
        config.check()?;
        if config.term < tip.term {
            return Err(ConfigError::Term { term: config.term, seen: tip.term });
        }
        Ok(Self {
            clock: Clock::new(tip.time_us),
            config,
            key,
            tip,
            buffer: VecDeque::new(),
            buffer_bytes: 0,
            first_us: 0,
            more: false,
            unfinalised: VecDeque::new(),
            finalised: None,
        })
    }

    /// Whether the sequencer waits for the disk.
    pub fn is_stalled(&self) -> bool {
        self.unfinalised.len() as u64 >= u64::from(self.config.unfinalised_slots_max)
    }

    /// When the open slot ends, or the next may begin, on the chain's clock.
    fn slot_ends_us(&self) -> u64 {
        match self.tip.open {
            Some(open) if open.term != self.config.term => 0,
            Some(open) => open.time_us.saturating_add(self.config.slot_us),
            None if self.tip.slot == 0 => 0,
            None => self.tip.slot_time_us.saturating_add(self.config.slot_us),
        }
    }

    fn seal(&mut self, events: &mut Vec<SequencerEvent>) {
        let Some(header) = self.tip.header() else { return };
        self.tip.apply_header(&header);
        self.unfinalised.push_back((self.tip.slot, self.tip.parent));
        let signature = self.key.sign(&header.digest(&self.config.network));
        events.push(SequencerEvent::SlotSealed(SignedHeader { header, signature }));
    }

    fn open(&mut self, now_us: u64, supply: &mut dyn Supply, events: &mut Vec<SequencerEvent>) {
        let Some(slot) = self.tip.slot.checked_add(1) else { return };
        let time_us = if self.tip.slot == 0 {
            now_us
        } else {
            let since = now_us.saturating_sub(self.tip.slot_time_us);
            // On the grid, but never before what is on the chain: `slot_us` may have been
            // shortened since.
            (now_us - since % self.config.slot_us).max(self.tip.time_us)
        };
        let inputs = self.accept_inputs(supply.inputs(slot, time_us), events);
        let hub_cursor = self.tip.hub_cursor;
        let mut queue = supply.hub(hub_cursor);
        accept_entries(hub_cursor, &mut queue.entries);
        let opening = SlotOpening {
            slot,
            term: self.config.term,
            time_us,
            parent: self.tip.parent,
            hub_block: queue.block.max(self.tip.hub_block),
            hub_cursor,
            entries: queue.entries,
            inputs,
        };
        self.tip.apply_opening(&opening);
        events.push(SequencerEvent::SlotOpened(opening));
    }

    fn accept_inputs(
        &self,
        inputs: Vec<Transaction>,
        events: &mut Vec<SequencerEvent>,
    ) -> Vec<Transaction> {
        let (mut count, mut bytes) = (0u64, 0u64);
        let mut fits = |input: &Transaction| {
            let size = input.bytes.len() as u64;
            let fits = size <= u64::from(TRANSACTION_BYTES_MAX)
                && count < u64::from(self.config.inputs_max)
                && bytes + size <= u64::from(self.config.inputs_bytes_max);
            if fits {
                (count, bytes) = (count + 1, bytes + size);
            }
            fits
        };
        let (accepted, refused) = inputs.into_iter().partition::<Vec<_>, _>(|i| fits(i));
        let message = "the opening holds as many inputs as it may, or the input is too large";
        events.extend(refused.into_iter().map(|input| SequencerEvent::Refused {
            ticket: None,
            hash: input.hash(),
            reject: Reject::new(RejectCode::Oversized, message),
        }));
        accepted
    }

    /// Fills the buffer up to one tick.
    fn pull(&mut self, now_us: u64, supply: &mut dyn Supply, events: &mut Vec<SequencerEvent>) {
        if self.is_full() {
            return;
        }
        let transactions = self.config.tick_transactions_max - self.buffer.len() as u32;
        let bytes = self.config.tick_bytes_max - self.buffer_bytes as u32;
        for pending in supply.pending(transactions, bytes) {
            debug_assert_eq!(pending.hash, pending.transaction.hash());
            let size = pending.transaction.bytes.len() as u64;
            if size > u64::from(TRANSACTION_BYTES_MAX) {
                let message = format!("the transaction has {size} bytes: split it");
                events.push(SequencerEvent::Refused {
                    ticket: Some(pending.ticket),
                    hash: pending.hash,
                    reject: Reject::new(RejectCode::Oversized, message),
                });
                continue;
            }
            let arrived_us = pending.received_us.min(now_us);
            let first = self.buffer.is_empty();
            self.first_us = if first { arrived_us } else { self.first_us.min(arrived_us) };
            self.buffer_bytes += size;
            self.buffer.push_back(pending);
        }
    }

    /// Whether the buffer holds a whole tick.
    fn is_full(&self) -> bool {
        self.buffer.len() as u64 >= u64::from(self.config.tick_transactions_max)
            || self.buffer_bytes + u64::from(TRANSACTION_BYTES_MAX)
                > u64::from(self.config.tick_bytes_max)
                && !self.buffer.is_empty()
    }

    fn may_tick(&self) -> bool {
        self.tip.open.is_some_and(|open| open.ticks < self.config.slot_ticks_max)
    }

    fn is_due(&self, now_us: u64) -> bool {
        let waited = now_us.saturating_sub(self.first_us);
        !self.buffer.is_empty() && (self.is_full() || waited >= self.config.tick_us)
    }

    /// Takes one tick's worth from the front of the buffer.
    fn take(&mut self, now_us: u64) -> Vec<Pending> {
        let (mut count, mut bytes) = (0usize, 0u64);
        for pending in &self.buffer {
            let after = bytes + pending.transaction.bytes.len() as u64;
            if count as u64 >= u64::from(self.config.tick_transactions_max)
                || after > u64::from(self.config.tick_bytes_max)
            {
                break;
            }
            (count, bytes) = (count + 1, after);
        }
        self.buffer_bytes -= bytes;
        let taken = self.buffer.drain(..count).collect();
        let first = self.buffer.iter().map(|pending| pending.received_us).min();
        self.first_us = first.unwrap_or(now_us).min(now_us);
        taken
    }

    fn close_tick(&mut self, chain_us: u64, taken: Vec<Pending>) -> Option<ClosedTick> {
        let open = self.tip.open?;
        let policies = &self.config.policies;
        let arrived: Vec<_> =
            taken.iter().map(|p| (p.transaction.environment, p.transaction.lane)).collect();
        let sources =
            order(&arrived, |id| policies.get(&id).copied().unwrap_or(LanePolicy::Arrival));
        let mut taken: Vec<Option<Pending>> = taken.into_iter().map(Some).collect();
        let ordered: Vec<Pending> =
            sources.into_iter().filter_map(|source| taken[source].take()).collect();

        let hashes = ordered.iter().map(|pending| (pending.transaction.environment, pending.hash));
        let (before, running) = self.tip.apply_tick(chain_us, hashes);
        let after = self.tip.running;
        let place = (open.term, open.slot, open.ticks);
        let digest =
            TickConfirmation::digest(&self.config.network, place, chain_us, &before, &after);
        let confirmation = TickConfirmation {
            term: open.term,
            slot: open.slot,
            tick: open.ticks,
            time_us: chain_us,
            before,
            after,
            signature: self.key.sign(&digest),
        };
        let mut transactions = Vec::with_capacity(ordered.len());
        let mut places = Vec::with_capacity(ordered.len());
        for (pending, running) in ordered.into_iter().zip(running) {
            let Pending { transaction, hash, received_us, ticket } = pending;
            transactions.push(transaction);
            places.push(Place { ticket, received_us, hash, running });
        }
        let tick = Tick { slot: open.slot, index: open.ticks, time_us: chain_us, transactions };
        Some(ClosedTick { tick, confirmation, places })
    }
}

/// Keeps what one slot may hold of the entries that follow `cursor` without a gap.
fn accept_entries(cursor: u64, entries: &mut Vec<HubEntry>) {
    let mut bytes = 0;
    let mut expected = cursor;
    let fits = |entry: &&HubEntry| {
        bytes += entry.data.len();
        let next = entry.index == expected;
        expected += 1;
        next && bytes <= SLOT_ENTRIES_BYTES_MAX as usize
    };
    let kept = entries.iter().take(SLOT_ENTRIES_MAX as usize).take_while(fits).count();
    entries.truncate(kept);
}

impl Sequencer for Solo {
    fn poll(&mut self, now_us: u64, supply: &mut dyn Supply) -> Vec<SequencerEvent> {
        // The age of the buffer is taken on the caller's clock; set back, it starts from there.
        self.first_us = self.first_us.min(now_us);
        let chain_us = self.clock.advance(now_us);
        self.more = false;
        let mut events: Vec<_> =
            self.finalised.take().into_iter().map(SequencerEvent::Finalised).collect();
        if self.is_stalled() {
            return events;
        }
        if self.tip.open.is_some() && chain_us >= self.slot_ends_us() {
            self.seal(&mut events);
            if self.is_stalled() {
                return events;
            }
        }
        if self.tip.open.is_none() && chain_us >= self.slot_ends_us() {
            self.open(chain_us, supply, &mut events);
        }
        if self.may_tick() {
            self.pull(now_us, supply, &mut events);
            if self.is_due(now_us) {
                self.more = self.is_full();
                let taken = self.take(now_us);
                events.extend(self.close_tick(chain_us, taken).map(SequencerEvent::TickClosed));
            }
        }
        events
    }

    fn next_deadline_us(&self) -> Option<u64> {
        let Some(given_us) = self.clock.given_us() else { return Some(0) };
        if self.finalised.is_some() {
            return Some(given_us);
        }
        if self.is_stalled() {
            return None;
        }
        let slot_us = self.clock.given_at(self.slot_ends_us());
        if !self.may_tick() {
            return Some(slot_us);
        }
        let tick_us = match self.buffer.is_empty() {
            _ if self.more || self.is_full() => given_us,
            true => u64::MAX,
            false => self.first_us.saturating_add(self.config.tick_us),
        };
        Some(slot_us.min(tick_us))
    }

    fn on_durable(&mut self, slot: u64) {
        while let Some(&(sealed, header_hash)) = self.unfinalised.front()
            && sealed <= slot
        {
            self.unfinalised.pop_front();
            // Only the latest is told: it says the same of all earlier ones.
            let finality = Finality::Durable;
            self.finalised = Some(Finalised { slot: sealed, header_hash, finality });
        }
    }

    fn tip(&self) -> &Tip {
        &self.tip
    }
}
