//! From the records of a log back to where the chain stands.

use crate::{LogRecord, Tip};
use atoll_types::slot::SLOT_TICKS_MAX;
use atoll_types::{
    Address, B256, EnvironmentId, NetworkId, SignatureError, SignedHeader, SlotOpening, Tick,
    TickConfirmation,
};

/// Who leads in which term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaders(Vec<(u64, Address)>);

impl Leaders {
    /// One leader for all terms.
    pub fn solo(leader: Address) -> Self {
        Self(vec![(0, leader)])
    }

    /// Leaders by the first term of each.
    pub fn schedule(mut by_first_term: Vec<(u64, Address)>) -> Self {
        by_first_term.sort_by_key(|(term, _)| *term);
        Self(by_first_term)
    }

    /// Who leads in `term`.
    pub fn of(&self, term: u64) -> Option<Address> {
        let after = self.0.partition_point(|(first, _)| *first <= term);
        Some(self.0[after.checked_sub(1)?].1)
    }
}

/// Whether recovery checks signatures: some 40 µs for each tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// Every confirmation must be signed by its term's leader.
    Verify(Leaders),
    /// The log is this node's own and its checksums held.
    Trust,
}

/// Why a log is not that of the chain. It names the record's place, so that the log can be cut
/// there or restored from elsewhere; nothing is repaired by guessing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// An opening is not that of the next slot.
    #[error("log: slot {slot} opens where slot {expected} must: records are missing or doubled")]
    SlotNumber {
        /// The slot that opens.
        slot: u64,
        /// The slot that should.
        expected: u64,
    },
    /// A slot opens before the last one was sealed.
    #[error("log: slot {slot} opens while slot {open} is open: its header is missing")]
    StillOpen {
        /// The slot that opens.
        slot: u64,
        /// The slot that is open.
        open: u64,
    },
    /// A tick or a header is outside its slot.
    #[error("log: a {what} of slot {slot} stands where slot {open:?} is open: records are missing")]
    NotOpen {
        /// What the record is.
        what: &'static str,
        /// The slot it names.
        slot: u64,
        /// The slot that is open.
        open: Option<u64>,
    },
    /// An opening names another parent.
    #[error("log: slot {slot} opens on another parent than the header before it: a fork")]
    Parent {
        /// The slot that opens.
        slot: u64,
    },
    /// A term is below an earlier one.
    #[error("log: slot {slot} has term {term}, after term {seen}")]
    Term {
        /// The slot.
        slot: u64,
        /// Its term.
        term: u64,
        /// The highest before.
        seen: u64,
    },
    /// Time goes backwards.
    #[error("log: time goes back in slot {slot}: {time_us} µs after {seen_us} µs")]
    Time {
        /// The slot.
        slot: u64,
        /// The record's time.
        time_us: u64,
        /// The latest before.
        seen_us: u64,
    },
    /// A tick is not the next of its slot.
    #[error("log: slot {slot} has tick {tick} where tick {expected} must be")]
    TickIndex {
        /// The slot.
        slot: u64,
        /// The tick's index.
        tick: u32,
        /// The index that should be.
        expected: u32,
    },
    /// A tick holds nothing, or is one too many.
    #[error("log: tick {tick} of slot {slot} is empty or above the limit of ticks")]
    TickShape {
        /// The slot.
        slot: u64,
        /// The tick.
        tick: u32,
    },
    /// A confirmation does not fit its tick.
    #[error("log: the confirmation of tick {tick} in slot {slot} has another {field}")]
    Confirmation {
        /// The slot.
        slot: u64,
        /// The tick.
        tick: u32,
        /// What differs.
        field: &'static str,
    },
    /// A confirmation's signature names nobody.
    #[error("log: the confirmation of tick {tick} in slot {slot}: {error}")]
    Signature {
        /// The slot.
        slot: u64,
        /// The tick.
        tick: u32,
        /// Why.
        error: SignatureError,
    },
    /// A confirmation is not the leader's.
    #[error("log: tick {tick} of slot {slot} is signed by {signer}, the leader is {leader:?}")]
    Signer {
        /// The slot.
        slot: u64,
        /// The tick.
        tick: u32,
        /// Who signed.
        signer: Address,
        /// Who should have; `None` when nobody leads in that term.
        leader: Option<Address>,
    },
    /// An opening does not go on where the hub's queue was read up to.
    #[error("log: slot {slot} has another {field} than the slot before it leads to")]
    Hub {
        /// The slot.
        slot: u64,
        /// What differs.
        field: &'static str,
    },
    /// A header is not signed by the leader.
    #[error("log: the header of slot {slot} is not signed by the leader {leader:?}")]
    HeaderSigner {
        /// The slot.
        slot: u64,
        /// Who should have; `None` when nobody leads in that term.
        leader: Option<Address>,
    },
    /// A header does not seal what was ordered.
    #[error("log: the header of slot {slot} has another {field} than its records give")]
    Header {
        /// The slot.
        slot: u64,
        /// What differs.
        field: &'static str,
    },
}

/// Re-verifies the records of a log one by one: links, numbers, times, hashes, signatures.
#[derive(Clone, Debug)]
pub struct Recovery {
    network: NetworkId,
    signatures: Signatures,
    tip: Tip,
}

impl Recovery {
    /// Starts from `tip`: [`Tip::genesis`], or [`Tip::after`] the header of a snapshot.
    pub fn new(network: NetworkId, signatures: Signatures, tip: Tip) -> Self {
        Self { network, signatures, tip }
    }

    /// Replays all of `records`.
    ///
    /// # Errors
    /// The first record that is not the chain's.
    pub fn replay<'a>(
        network: NetworkId,
        signatures: Signatures,
        tip: Tip,
        records: impl IntoIterator<Item = &'a LogRecord>,
    ) -> Result<Tip, RecoveryError> {
        let mut recovery = Self::new(network, signatures, tip);
        for record in records {
            recovery.push(record)?;
        }
        Ok(recovery.finish())
    }

    /// Takes the next record. After an error the recovery stands where it stood before.
    ///
    /// # Errors
    /// When the record is not the chain's next.
    pub fn push(&mut self, record: &LogRecord) -> Result<(), RecoveryError> {
        match record {
            LogRecord::Opened(opening) => self.opening(opening),
            LogRecord::Tick(tick, confirmation) => self.tick(tick, confirmation),
            LogRecord::Sealed(header) => self.sealed(header),
        }
    }

    /// Where the chain stands now.
    pub fn tip(&self) -> &Tip {
        &self.tip
    }

    /// Where the chain stands, to go on from.
    pub fn finish(self) -> Tip {
        self.tip
    }

    fn opening(&mut self, opening: &SlotOpening) -> Result<(), RecoveryError> {
        let (slot, tip) = (opening.slot, &self.tip);
        if let Some(open) = tip.open {
            return Err(RecoveryError::StillOpen { slot, open: open.slot });
        }
        let expected = tip.slot.saturating_add(1);
        if slot != expected {
            return Err(RecoveryError::SlotNumber { slot, expected });
        }
        if opening.parent != tip.parent {
            return Err(RecoveryError::Parent { slot });
        }
        if opening.term < tip.term {
            return Err(RecoveryError::Term { slot, term: opening.term, seen: tip.term });
        }
        self.check_time(slot, opening.time_us)?;
        let places = (opening.hub_cursor..).zip(&opening.entries);
        for (field, fits) in [
            ("hub block", opening.hub_block >= tip.hub_block),
            ("hub cursor", opening.hub_cursor == tip.hub_cursor),
            ("place in the hub's queue", places.into_iter().all(|(at, e)| e.index == at)),
        ] {
            if !fits {
                return Err(RecoveryError::Hub { slot, field });
            }
        }
        self.tip.apply_opening(opening);
        Ok(())
    }

    fn tick(&mut self, tick: &Tick, confirmation: &TickConfirmation) -> Result<(), RecoveryError> {
        let open = self.tip.open.filter(|open| open.slot == tick.slot);
        let Some(open) = open else {
            let open = self.tip.open.map(|open| open.slot);
            return Err(RecoveryError::NotOpen { what: "tick", slot: tick.slot, open });
        };
        let (slot, expected) = (tick.slot, open.ticks);
        if tick.index != expected {
            return Err(RecoveryError::TickIndex { slot, tick: tick.index, expected });
        }
        if tick.transactions.is_empty() || tick.index >= SLOT_TICKS_MAX {
            return Err(RecoveryError::TickShape { slot, tick: tick.index });
        }
        self.check_time(slot, tick.time_us)?;
        let mut after = self.tip.clone();
        let hashes = tick.transactions.iter().map(|t| (t.environment, t.hash()));
        let hashes: Vec<(EnvironmentId, B256)> = hashes.collect();
        let (before, _) = after.apply_tick(tick.time_us, hashes.into_iter());
        for (field, equal) in [
            ("term", confirmation.term == open.term),
            ("slot", confirmation.slot == slot),
            ("tick", confirmation.tick == tick.index),
            ("time", confirmation.time_us == tick.time_us),
            ("running hash before", confirmation.before == before),
            ("running hash after", confirmation.after == after.running),
        ] {
            if !equal {
                return Err(RecoveryError::Confirmation { slot, tick: tick.index, field });
            }
        }
        self.check_signature(confirmation)?;
        self.tip = after;
        Ok(())
    }

    fn check_signature(&self, confirmation: &TickConfirmation) -> Result<(), RecoveryError> {
        let Signatures::Verify(leaders) = &self.signatures else { return Ok(()) };
        let &TickConfirmation { slot, tick, term, .. } = confirmation;
        let signer = confirmation
            .signer(&self.network)
            .map_err(|error| RecoveryError::Signature { slot, tick, error })?;
        let leader = leaders.of(term);
        if leader != Some(signer) {
            return Err(RecoveryError::Signer { slot, tick, signer, leader });
        }
        Ok(())
    }

    fn sealed(&mut self, sealed: &SignedHeader) -> Result<(), RecoveryError> {
        let header = &sealed.header;
        let slot = header.slot;
        let Some(expected) = self.tip.header().filter(|expected| expected.slot == slot) else {
            let open = self.tip.open.map(|open| open.slot);
            return Err(RecoveryError::NotOpen { what: "header", slot, open });
        };
        for (field, equal) in [
            ("term", header.term == expected.term),
            ("time", header.time_us == expected.time_us),
            ("parent", header.parent == expected.parent),
            ("number of ticks", header.ticks == expected.ticks),
            ("running hash", header.running == expected.running),
            ("batches", header.batches == expected.batches),
            ("hub block", header.hub_block == expected.hub_block),
            ("hub cursor", header.hub_cursor == expected.hub_cursor),
        ] {
            if !equal {
                return Err(RecoveryError::Header { slot, field });
            }
        }
        if let Signatures::Verify(leaders) = &self.signatures {
            let leader = leaders.of(header.term);
            let signer = sealed.signature.recover(&header.digest(&self.network)).ok();
            if leader.is_none() || signer != leader {
                return Err(RecoveryError::HeaderSigner { slot, leader });
            }
        }
        self.tip.apply_header(header);
        Ok(())
    }

    fn check_time(&self, slot: u64, time_us: u64) -> Result<(), RecoveryError> {
        let seen_us = self.tip.time_us;
        if time_us < seen_us {
            return Err(RecoveryError::Time { slot, time_us, seen_us });
        }
        Ok(())
    }
}
