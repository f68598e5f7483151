//! What a client does with confirmations: check the signature, and that they form one chain.

use crate::evidence::follows;
use crate::running::{begin_tick, open};
use crate::{Evidence, Leaders, evidence};
use atoll_types::confirmation::extend_running;
use atoll_types::{
    Address, B256, Confirmation, NetworkId, SignatureError, SlotOpening, TickConfirmation,
};
use std::collections::BTreeMap;

/// How a confirmation is tied to what was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It follows from the tick, or the opening, before it.
    Proven,
    /// The first one seen, or the first of a slot whose opening was not shown: signed, and tied
    /// to nothing yet.
    Start,
    /// It was seen before.
    Again,
}

/// Why a confirmation is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The signature names nobody.
    #[error("tick {tick} of slot {slot}: {error}")]
    Signature {
        /// The slot.
        slot: u64,
        /// The tick.
        tick: u32,
        /// Why.
        error: SignatureError,
    },
    /// Somebody else's signature.
    #[error("tick {tick} of slot {slot} is signed by {signer}, the leader is {leader:?}")]
    Signer {
        /// The slot.
        slot: u64,
        /// The tick.
        tick: u32,
        /// Who signed.
        signer: Address,
        /// Who leads in that term, if anybody does.
        leader: Option<Address>,
    },
    /// Something between was not shown: fetch it and go on.
    #[error("slot {slot} goes on with {got}, expected {expected}: fetch what is missing")]
    Gap {
        /// The slot.
        slot: u64,
        /// What came: a tick's index, or a slot's number.
        got: u64,
        /// What should have.
        expected: u64,
    },
    /// It is older than the window of what is remembered, or of an earlier term.
    #[error("tick {tick} of slot {slot} is too old to be compared")]
    Stale {
        /// The slot.
        slot: u64,
        /// The tick.
        tick: u32,
    },
    /// It does not follow from what was shown before it: the opening or the promise is false, or
    /// the last ticks of the slot before were left out ([`ConfirmationChain::skip`]).
    #[error("tick {tick} of slot {slot} does not follow from what was shown before it")]
    Unlinked {
        /// The slot.
        slot: u64,
        /// The tick.
        tick: u32,
    },
    /// An opening is on another parent, of an earlier term, or turns time back.
    #[error("the opening of slot {slot} does not follow from the slot before")]
    Opening {
        /// The slot.
        slot: u64,
    },
    /// The leader has contradicted itself.
    #[error("the leader contradicts itself in slot {}: keep both promises", .0.second.slot)]
    Fork(Box<Evidence>),
}

/// A client's check of the confirmations it is shown.
///
/// Fed with confirmations alone it proves the chain inside each slot; fed with the openings too,
/// from slot to slot. After an error it stands where it stood before.
#[derive(Clone, Debug)]
pub struct ConfirmationChain {
    network: NetworkId,
    leaders: Leaders,
    window: usize,
    seen: BTreeMap<(u64, u64, u32), TickConfirmation>,
    /// Slot, term, time and running hash of the last opening shown, while no later tick is known.
    opening: Option<Opened>,
}

#[derive(Clone, Copy, Debug)]
struct Opened {
    slot: u64,
    term: u64,
    time_us: u64,
    running: B256,
}

impl ConfirmationChain {
    /// Starts with nothing seen, and remembers the last `window` confirmations (at least one) to
    /// find contradictions.
    pub fn new(network: NetworkId, leaders: Leaders, window: usize) -> Self {
        let (window, seen) = (window.max(1), BTreeMap::new());
        Self { network, leaders, window, seen, opening: None }
    }

    /// The last confirmation accepted.
    pub fn last(&self) -> Option<&TickConfirmation> {
        self.seen.last_key_value().map(|(_, last)| last)
    }

    /// Takes a slot's opening, after all ticks of the slot before. An opening is not signed: a
    /// false one shows when the next tick does not follow from it.
    ///
    /// # Errors
    /// When it is not that of the next slot, or turns back term or time.
    pub fn opening(&mut self, opening: &SlotOpening) -> Result<(), ChainError> {
        let &SlotOpening { slot, term, time_us, .. } = opening;
        // Where the chain stands: the last opening and, if later, the last tick.
        let from_tick = self.last().map(|last| Opened {
            slot: last.slot,
            term: last.term,
            time_us: last.time_us,
            running: last.after,
        });
        let latest = match (self.opening, from_tick) {
            (Some(opening), Some(tick)) if opening.slot > tick.slot => Some(opening),
            (opening, tick) => tick.or(opening),
        };
        let Some(before) = latest else {
            // The first thing seen: nothing to tie it to, and so nothing to prove from it.
            return Ok(());
        };
        let expected = before.slot.saturating_add(1);
        if slot != expected {
            return Err(ChainError::Gap { slot, got: slot, expected });
        }
        if term < before.term || time_us < before.time_us {
            return Err(ChainError::Opening { slot });
        }
        let running = open(&before.running, opening);
        self.opening = Some(Opened { slot, term, time_us, running });
        Ok(())
    }

    /// Forgets the openings shown: the next slot starts anew, unproven, with its first tick.
    /// For a client that has missed something and does not fetch it; contradictions are still
    /// found.
    pub fn skip(&mut self) {
        self.opening = None;
    }

    /// Takes a confirmation.
    ///
    /// # Errors
    /// When it is not the leader's, leaves a gap, or contradicts an earlier one.
    pub fn tick(&mut self, tick: &TickConfirmation) -> Result<Link, ChainError> {
        let leader = self.check_signer(tick)?;
        let link = self.link(tick, &leader)?;
        if link != Link::Again {
            if self.opening.is_some_and(|opening| opening.slot < tick.slot) {
                self.opening = None;
            }
            self.seen.insert(place(tick), tick.clone());
            if self.seen.len() > self.window {
                self.seen.pop_first();
            }
        }
        Ok(link)
    }

    fn check_signer(&self, tick: &TickConfirmation) -> Result<Address, ChainError> {
        let (slot, index) = (tick.slot, tick.tick);
        let signer = tick.signer(&self.network).map_err(|error| ChainError::Signature {
            slot,
            tick: index,
            error,
        })?;
        let leader = self.leaders.of(tick.term);
        if leader != Some(signer) {
            return Err(ChainError::Signer { slot, tick: index, signer, leader });
        }
        Ok(signer)
    }

    fn link(&self, tick: &TickConfirmation, leader: &Address) -> Result<Link, ChainError> {
        let fork = |other: &TickConfirmation| match evidence(other, tick, &self.network, leader) {
            Some(found) => Err(ChainError::Fork(Box::new(found))),
            None => Ok(()),
        };
        if let Some(same) = self.seen.get(&place(tick)) {
            return fork(same).map(|()| Link::Again);
        }
        let (slot, index) = (tick.slot, tick.tick);
        let last = self.last();
        if last.is_some_and(|last| place(tick) < place(last) || tick.slot < last.slot) {
            return Err(ChainError::Stale { slot, tick: index });
        }
        let opening = self.opening.filter(|opening| opening.slot == slot);
        match (last.filter(|last| last.slot == slot), opening) {
            (Some(last), _) => {
                let expected = u64::from(last.tick) + 1;
                if u64::from(index) != expected {
                    return Err(ChainError::Gap { slot, got: index.into(), expected });
                }
                fork(last)?;
                // A new term inside a slot is no evidence against one leader, and no link either.
                let linked = last.term == tick.term && follows(last, tick);
                if linked { Ok(Link::Proven) } else { Err(unlinked(tick)) }
            }
            (None, Some(opening)) => {
                if index != 0 {
                    return Err(ChainError::Gap { slot, got: index.into(), expected: 0 });
                }
                let before = begin_tick(&opening.running, slot, 0, tick.time_us);
                let linked = tick.before == before
                    && tick.term == opening.term
                    && tick.time_us >= opening.time_us;
                if linked { Ok(Link::Proven) } else { Err(unlinked(tick)) }
            }
            (None, None) => match last {
                Some(last) if index != 0 || tick.time_us < last.time_us => {
                    Err(ChainError::Gap { slot, got: index.into(), expected: 0 })
                }
                _ => Ok(Link::Start),
            },
        }
    }
}

fn unlinked(tick: &TickConfirmation) -> ChainError {
    ChainError::Unlinked { slot: tick.slot, tick: tick.tick }
}

fn place(tick: &TickConfirmation) -> (u64, u64, u32) {
    (tick.term, tick.slot, tick.tick)
}

/// Whether a confirmation is about the transaction with `hash`: its running hash follows from
/// `previous`, the one before the transaction, and with the hashes of the tick's later
/// transactions leads to what the leader signed.
pub fn includes(
    confirmation: &Confirmation,
    previous: &B256,
    hash: &B256,
    following: &[B256],
) -> bool {
    let first = confirmation.index != 0 || *previous == confirmation.tick.before;
    let own = extend_running(previous, hash) == confirmation.running;
    let after = following.iter().fold(confirmation.running, |r, hash| extend_running(&r, hash));
    first && own && after == confirmation.tick.after
}
