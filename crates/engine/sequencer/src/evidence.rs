//! Two promises that cannot both be kept.

use crate::running::begin_tick;
use atoll_types::{Address, NetworkId, TickConfirmation};

/// How two promises contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// The same place of the same term, and another content.
    SamePlace,
    /// Neighbours in a slot that do not follow from one another, in hash or in time.
    BrokenLink,
}

/// Proof that a leader has promised what cannot both be kept. Anybody can check it with nothing
/// but the network's id and the leader's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// How they contradict each other.
    pub contradiction: Contradiction,
    /// The one promise; for a broken link the earlier.
    pub first: TickConfirmation,
    /// The other.
    pub second: TickConfirmation,
}

impl Evidence {
    /// Whether it convicts `leader`.
    pub fn convicts(&self, network: &NetworkId, leader: &Address) -> bool {
        evidence(&self.first, &self.second, network, leader).as_ref() == Some(self)
    }
}

/// What the two promises prove against `leader`, if anything: both must bear its signature.
pub fn evidence(
    a: &TickConfirmation,
    b: &TickConfirmation,
    network: &NetworkId,
    leader: &Address,
) -> Option<Evidence> {
    let (first, second, contradiction) = if a.contradicts(b) {
        (a, b, Contradiction::SamePlace)
    } else if breaks_link(a, b) {
        (a, b, Contradiction::BrokenLink)
    } else if breaks_link(b, a) {
        (b, a, Contradiction::BrokenLink)
    } else {
        return None;
    };
    let signed = [a, b].iter().all(|promise| promise.signer(network).as_ref() == Ok(leader));
    let (first, second) = (first.clone(), second.clone());
    signed.then_some(Evidence { contradiction, first, second })
}

/// Whether `second` claims the tick after `first` and does not follow from it.
fn breaks_link(first: &TickConfirmation, second: &TickConfirmation) -> bool {
    let neighbours = (first.term, first.slot) == (second.term, second.slot)
        && first.tick.checked_add(1) == Some(second.tick);
    neighbours && !follows(first, second)
}

/// Whether `second`, the next tick of the same slot, continues `first`.
pub(crate) fn follows(first: &TickConfirmation, second: &TickConfirmation) -> bool {
    let before = begin_tick(&first.after, second.slot, second.tick, second.time_us);
    second.before == before && second.time_us >= first.time_us
}
