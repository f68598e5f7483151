//! The rules of listed markets follow the state.
//!
//! No hidden state crosses a command boundary: the first command of a range reads the listing head
//! and every listed market's object, so that they are in the range's witness, and builds the rules
//! anew where they are not what the head says. Within a range they can change only by a listing,
//! or by undoing one: from the first listing on each command looks at the head.

use crate::exchange::Exchange;
use crate::ids::MarketId;
use crate::objects::{GlobalKey, ListedMarket, ListingHead, MarketKey};
use crate::rules::Rules;
use crate::spec::listing::Listing;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use atoll_state::Source;
use atoll_types::Address;

impl<S: Source> Exchange<S> {
    /// Holds the rules against the state, as recorded reads. Commands do it themselves; needed
    /// before the rules are asked in a state transition outside of one.
    #[inline]
    pub fn follow(&mut self) {
        if self.followed != self.state.listing_head.range() || self.listed {
            self.follow_head();
        }
    }

    #[cold]
    #[inline(never)]
    fn follow_head(&mut self) {
        let range = self.state.listing_head.range();
        let first = self.followed != range;
        if first {
            (self.followed, self.listed) = (range, false);
        }
        let head = *self.state.listing_head.get(&GlobalKey);
        let same = head == self.rules.listed.head;
        if same && !first {
            return;
        }
        let own = self.rules.spec_markets() as u16;
        let mut found = Vec::new();
        for place in 0..head.count {
            let listed = self.state.listings.get(&MarketKey(MarketId(own.saturating_add(place))));
            if !same {
                found.push(listed.clone());
            }
        }
        if !same {
            self.rules.relist(&head, &found);
        }
    }

    /// Extends the rules by a market that was just listed.
    pub(crate) fn listed_now(&mut self, listing: &Listing, lister: &Address) {
        self.listed = true;
        // Refused is only what the command itself refuses.
        let _ = self.rules.list(listing, lister);
    }

    /// Builds the rules from a state that was loaded, without recording: for a node's queries
    /// before the first command.
    pub fn loaded(&mut self) {
        let head = self.peek_listing_head();
        let own = self.rules.spec_markets() as u16;
        let numbers = (0..head.count).map(|place| MarketId(own.saturating_add(place)));
        let of = |market| self.state.listings.peek(&MarketKey(market)).cloned();
        let found: Vec<_> = numbers.map(|market| of(market).unwrap_or_default()).collect();
        self.rules.relist(&head, &found);
    }

    /// How many markets were listed, without recording.
    pub fn peek_listing_head(&self) -> ListingHead {
        self.state.listing_head.peek(&GlobalKey).copied().unwrap_or_default()
    }

    /// A listed market, without recording; none for a market of the spec.
    pub fn peek_listing(&self, market: MarketId) -> Option<&crate::objects::Listed> {
        self.state.listings.peek(&MarketKey(market))?.0.as_deref()
    }

    /// Whether the rules are what the state says.
    pub(crate) fn check_listings(&self, wrong: &mut Vec<String>) {
        let mut rules = self.rules.unlisted();
        let (head, own) = (self.peek_listing_head(), rules.spec_markets() as u16);
        for market in (own..own.saturating_add(head.count)).map(MarketId) {
            match self.peek_listing(market) {
                Some(listed) if rules.list(&listed.listing, &listed.lister).is_ok() => {}
                other => wrong.push(format!("{market} is listed as {other:?}")),
            }
        }
        // What was undone leaves the rules with the next command.
        if rules != self.rules && !self.listed {
            wrong.push(format!("rules of {:?}, listed {head:?}", self.rules.listed.head));
        }
        let all = self.state.listings.local_iter().count();
        if all != usize::from(head.count) || rules.listed.head != head {
            wrong.push(format!("{all} markets are listed: {head:?}, {:?}", rules.listed.head));
        }
    }
}

impl Rules {
    /// The rules of the spec and of these listed markets, in order. What a witness leaves out ends
    /// them: nobody believes the result.
    fn relist(&mut self, head: &ListingHead, found: &[ListedMarket]) {
        if *head == self.listed.head {
            return;
        }
        self.forget_listings();
        for listed in found {
            let Some(listed) = &listed.0 else { return };
            if self.list(&listed.listing, &listed.lister).is_err() {
                return;
            }
        }
    }
}
