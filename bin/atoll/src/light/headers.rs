//! The chain of slot headers: each signed by the sequencer, each naming the one before.
//!
//! Headers that no commitment covers yet are kept, because a commitment is held against the header
//! of its last slot: at most [`AHEAD_MAX`] of some 300 bytes. Then the chain waits for a commitment.

use super::refusal::{Kind, Refusal};
use atoll_types::{Address, B256, Encode, NetworkId, SignedHeader};
use std::collections::VecDeque;

/// Most headers that are followed before a commitment covers them: almost two hours at ten a second.
pub(crate) const AHEAD_MAX: usize = 1 << 16;

/// What was followed.
#[derive(Clone, Debug)]
pub(crate) struct HeaderChain {
    network: NetworkId,
    sequencer: Address,
    /// The header that the last commitment ends with; none before the first slot.
    base: Option<SignedHeader>,
    /// Those after it.
    ahead: VecDeque<SignedHeader>,
    /// A header of an earlier run, not come by again yet.
    promised: Option<SignedHeader>,
}

fn refuse(slot: u64, why: impl Into<String>) -> Refusal {
    Refusal::new(Kind::BadHeader, format!("the header of slot {slot}: {}", why.into())).slot(slot)
}

/// Two headers that the same key signed for one slot.
pub(crate) fn two_headers(one: &SignedHeader, other: &SignedHeader) -> Refusal {
    let slot = one.header.slot;
    let (a, b) = (one.header.hash(), other.header.hash());
    let message = format!("the sequencer signed two headers of slot {slot}: {a} and {b}");
    Refusal::new(Kind::Equivocation, message)
        .slot(slot)
        .evidence("header", one.to_bytes())
        .evidence("other", other.to_bytes())
}

impl HeaderChain {
    /// A chain that goes on after a header; from the first slot if there is none. `promised` is a
    /// header followed before, which must come again.
    pub(crate) fn new(
        network: NetworkId,
        sequencer: Address,
        base: Option<SignedHeader>,
        promised: Option<SignedHeader>,
    ) -> Self {
        Self { network, sequencer, base, ahead: VecDeque::new(), promised }
    }

    /// The last header.
    pub(crate) fn last(&self) -> Option<&SignedHeader> {
        self.ahead.back().or(self.base.as_ref())
    }

    /// The header that the last commitment ends with.
    pub(crate) fn base(&self) -> Option<&SignedHeader> {
        self.base.as_ref()
    }

    pub(crate) fn next_slot(&self) -> u64 {
        self.last().map_or(1, |last| last.header.slot + 1)
    }

    /// How many more headers it takes before a commitment has to cover some.
    pub(crate) fn room(&self) -> usize {
        AHEAD_MAX - self.ahead.len()
    }

    /// A header from the last commitment's on.
    pub(crate) fn at(&self, slot: u64) -> Option<&SignedHeader> {
        let base = self.base.as_ref().map_or(0, |base| base.header.slot);
        match slot.checked_sub(base)? {
            0 => self.base.as_ref(),
            n => self.ahead.get(usize::try_from(n - 1).ok()?),
        }
    }

    /// Forgets what a commitment up to this slot covers.
    pub(crate) fn cover(&mut self, slot: u64) {
        while self.ahead.front().is_some_and(|front| front.header.slot <= slot) {
            self.base = self.ahead.pop_front();
        }
    }

    /// Whether the sequencer signed a header.
    pub(crate) fn is_signed(&self, sealed: &SignedHeader) -> bool {
        sealed.signature.recover(&sealed.header.digest(&self.network)) == Ok(self.sequencer)
    }

    /// Takes the next header, if it is one.
    pub(crate) fn follow(&mut self, sealed: SignedHeader) -> Result<(), Refusal> {
        let header = &sealed.header;
        let (slot, expected) = (header.slot, self.next_slot());
        if slot != expected {
            return Err(refuse(expected, format!("the gateway gives slot {slot} in its place")));
        }
        if !self.is_signed(&sealed) {
            let who = self.sequencer;
            return Err(refuse(slot, format!("it is not signed by the sequencer {who}")));
        }
        match self.last() {
            None if header.parent != B256::ZERO => {
                return Err(refuse(slot, "the first slot has a parent"));
            }
            None => {}
            Some(last) if header.parent != last.header.hash() => {
                let message = format!(
                    "the sequencer signed slot {} with hash {} and a slot {slot} whose parent is {}",
                    last.header.slot,
                    last.header.hash(),
                    header.parent
                );
                return Err(Refusal::new(Kind::Equivocation, message)
                    .slot(slot)
                    .evidence("header", last.to_bytes())
                    .evidence("child", sealed.to_bytes()));
            }
            Some(last) => {
                let before = &last.header;
                let back = [
                    ("time", header.time_us < before.time_us),
                    ("leader term", header.term < before.term),
                    ("hub block", header.hub_block < before.hub_block),
                    ("hub cursor", header.hub_cursor < before.hub_cursor),
                ];
                if let Some((what, _)) = back.iter().find(|(_, back)| *back) {
                    let why = format!("its {what} goes back, though the sequencer signed it");
                    return Err(refuse(slot, why).evidence("header", sealed.to_bytes()));
                }
            }
        }
        if let Some(promised) = self.promised.take_if(|promised| promised.header.slot <= slot)
            && promised.header.slot == slot
            && promised.header != *header
        {
            return Err(two_headers(&promised, &sealed));
        }
        self.ahead.push_back(sealed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_types::SlotHeader;
    use atoll_types::crypto::SigningKey;

    const NETWORK: NetworkId = NetworkId(B256::repeat_byte(7));

    fn signed(header: SlotHeader) -> SignedHeader {
        let signature = SigningKey::from_label("sequencer").sign(&header.digest(&NETWORK));
        SignedHeader { header, signature }
    }

    fn after(last: Option<&SignedHeader>) -> SlotHeader {
        let (slot, parent) = last.map_or((0, B256::ZERO), |l| (l.header.slot, l.header.hash()));
        SlotHeader { slot: slot + 1, time_us: 1_000 * slot, parent, ..SlotHeader::default() }
    }

    fn chain(length: u64) -> HeaderChain {
        let sequencer = SigningKey::from_label("sequencer").address();
        let mut chain = HeaderChain::new(NETWORK, sequencer, None, None);
        (0..length).for_each(|_| chain.follow(signed(after(chain.last()))).unwrap());
        chain
    }

    #[test]
    fn a_chain_is_followed_and_what_breaks_it_refused() {
        let good = chain(10);
        assert_eq!(good.next_slot(), 11);
        let next = || after(good.last());
        let kind = |sealed| good.clone().follow(sealed).unwrap_err().kind;

        assert!(good.clone().follow(signed(next())).is_ok());
        let mut forged = signed(next());
        forged.header.running.0[3] ^= 1;
        assert_eq!(kind(forged), Kind::BadHeader);
        assert_eq!(kind(signed(SlotHeader { slot: 12, ..next() })), Kind::BadHeader);
        assert_eq!(kind(signed(SlotHeader { time_us: 0, ..next() })), Kind::BadHeader);
        let parent = B256::repeat_byte(1);
        let refusal = good.clone().follow(signed(SlotHeader { parent, ..next() })).unwrap_err();
        assert_eq!((refusal.kind, refusal.evidence.len()), (Kind::Equivocation, 2));
        let other = HeaderChain { network: NetworkId(B256::ZERO), ..good.clone() };
        assert_eq!(other.clone().follow(signed(next())).unwrap_err().kind, Kind::BadHeader);
    }

    #[test]
    fn commitments_cover_headers_and_an_earlier_run_is_remembered() {
        let mut chain = chain(10);
        assert_eq!(chain.at(4).unwrap().header.slot, 4);
        chain.cover(6);
        assert_eq!(chain.base().unwrap().header.slot, 6);
        assert_eq!(chain.at(6).unwrap().header.slot, 6);
        assert_eq!(chain.at(7).unwrap().header.slot, 7);
        assert!(chain.at(5).is_none() && chain.at(11).is_none());
        assert_eq!(chain.room(), AHEAD_MAX - 4);

        let next = signed(after(chain.last()));
        chain.promised = Some(next.clone());
        assert!(chain.clone().follow(next.clone()).is_ok());
        let other = SlotHeader { ticks: 9, ..next.header };
        let refusal = chain.follow(signed(other)).unwrap_err();
        assert_eq!((refusal.kind, refusal.evidence.len()), (Kind::Equivocation, 2));
    }
}
