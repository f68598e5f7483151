//! Configuration of the one-validator sequencer.

use crate::LanePolicy;
use atoll_types::slot::{SLOT_TICKS_MAX, TICK_TRANSACTIONS_MAX, TRANSACTION_BYTES_MAX};
use atoll_types::{EnvironmentId, NetworkId};
use std::collections::BTreeMap;

/// Configuration of [`crate::Solo`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoloConfig {
    /// The network; signatures bind it.
    pub network: NetworkId,
    /// Leader term, from 1. The same after a restart, so that the chain of confirmations goes on;
    /// a higher one when the leader's key changes.
    pub term: u64,
    /// Length of a slot, microseconds.
    pub slot_us: u64,
    /// Longest time between a transaction's arrival and the end of its tick, microseconds. 0
    /// closes a tick at each poll that finds transactions.
    pub tick_us: u64,
    /// Most transactions in a tick.
    pub tick_transactions_max: u32,
    /// Most bytes of transactions in a tick. A tick is full when the largest transaction would
    /// no longer fit.
    pub tick_bytes_max: u32,
    /// Most ticks in a slot; then transactions wait for the next slot.
    pub slot_ticks_max: u32,
    /// Most inputs in an opening.
    pub inputs_max: u32,
    /// Most bytes of inputs in an opening.
    pub inputs_bytes_max: u32,
    /// Sealed slots that may await durability; then the sequencer waits for the disk.
    pub unfinalised_slots_max: u32,
    /// Order inside a tick. An environment not named has [`LanePolicy::Arrival`].
    pub policies: BTreeMap<EnvironmentId, LanePolicy>,
}

/// Why a configuration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value is outside its range.
    #[error("sequencer setting `{what}` is {value}: give it a value from {least} to {most}")]
    Range {
        /// Which setting.
        what: &'static str,
        /// What it was.
        value: u64,
        /// What it must be at least.
        least: u64,
        /// What it may be at most.
        most: u64,
    },
    /// The chain has seen a higher term.
    #[error("term {term} is below {seen}, which the log has seen: use {seen} or a higher one")]
    Term {
        /// The term configured.
        term: u64,
        /// The highest on the chain.
        seen: u64,
    },
}

impl SoloConfig {
    /// Slots of 100 ms, ticks of 0.5 ms.
    pub fn new(network: NetworkId, term: u64) -> Self {
        Self {
            network,
            term,
            slot_us: 100_000,
            tick_us: 500,
            tick_transactions_max: 4_096,
            tick_bytes_max: 4 << 20,
            slot_ticks_max: 1_024,
            inputs_max: 1_024,
            inputs_bytes_max: 1 << 20,
            unfinalised_slots_max: 50,
            policies: BTreeMap::new(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let transaction = u64::from(TRANSACTION_BYTES_MAX);
        for (what, value, least, most) in [
            ("term", self.term, 1, u64::MAX),
            ("slot_us", self.slot_us, 1_000, 60_000_000),
            ("tick_us", self.tick_us, 0, self.slot_us),
            (
                "tick_transactions_max",
                self.tick_transactions_max.into(),
                1,
                TICK_TRANSACTIONS_MAX.into(),
            ),
            ("tick_bytes_max", self.tick_bytes_max.into(), transaction, 1 << 30),
            ("slot_ticks_max", self.slot_ticks_max.into(), 1, SLOT_TICKS_MAX.into()),
            ("inputs_max", self.inputs_max.into(), 0, TICK_TRANSACTIONS_MAX.into()),
            ("inputs_bytes_max", self.inputs_bytes_max.into(), transaction, 1 << 30),
            ("unfinalised_slots_max", self.unfinalised_slots_max.into(), 1, 1 << 20),
        ] {
            if value < least || value > most {
                return Err(ConfigError::Range { what, value, least, most });
            }
        }
        Ok(())
    }
}
