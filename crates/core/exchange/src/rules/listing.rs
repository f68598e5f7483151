//! Rules of markets that were listed while the exchange runs.
//!
//! They follow from the state alone: a spec's [`Rules`] are extended by what the listing head and
//! the listed markets' objects say, in order, and the head's running hash tells whether they are.

use super::{Rules, ensure, price_error, validate_market, validate_name};
use crate::ids::{Amount, MarketId};
use crate::objects::ListingHead;
use crate::spec::listing::{ListedOracle, Listing};
use crate::spec::prices::OracleSpec;
use crate::spec::{ExchangeSpec, Product, SpecError};
use alloc::format;
use alloc::vec::Vec;
use atoll_types::Address;

/// What rules know of the listed markets besides their parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListedRules {
    /// What the rules were extended by.
    pub(crate) head: ListingHead,
    /// By listed market: who listed it.
    listers: Vec<Address>,
    /// By listed market: its own sources.
    oracles: Vec<Option<ListedOracle>>,
    /// The listed perpetuals, ascending.
    perpetuals: Vec<MarketId>,
    /// The listed spot markets, ascending.
    spots: Vec<MarketId>,
}

impl Rules {
    /// How many markets the spec has: the first listed market's number.
    pub fn spec_markets(&self) -> usize {
        self.spec.markets.len() - usize::from(self.listed.head.count)
    }

    /// How many markets were listed.
    pub fn listed_markets(&self) -> usize {
        self.listed.head.count.into()
    }

    /// The listed perpetuals and the listed spot markets, ascending.
    pub fn listed_by_kind(&self) -> (&[MarketId], &[MarketId]) {
        (&self.listed.perpetuals, &self.listed.spots)
    }

    /// Who listed a market; none for a market of the spec.
    pub fn lister(&self, market: MarketId) -> Option<&Address> {
        self.listed.listers.get(self.listed_place(market)?)
    }

    /// The oracle sources that a listed market has for itself.
    pub fn own_oracle(&self, market: MarketId) -> Option<&ListedOracle> {
        self.listed.oracles.get(self.listed_place(market)?)?.as_ref()
    }

    /// What is believed of a market's oracle sources.
    pub fn oracle(&self, market: MarketId) -> &OracleSpec {
        self.own_oracle(market).map_or(&self.spec.oracle, |own| &own.rules)
    }

    /// Whether an address is a source of a listed market's own.
    pub fn is_listed_source(&self, address: &Address) -> bool {
        self.listed.oracles.iter().flatten().any(|own| own.keys.contains(address))
    }

    fn listed_place(&self, market: MarketId) -> Option<usize> {
        usize::from(market.0).checked_sub(self.spec_markets())
    }

    /// The same without the listed markets.
    pub fn unlisted(&self) -> Self {
        let mut rules = self.clone();
        rules.forget_listings();
        rules
    }

    pub(crate) fn forget_listings(&mut self) {
        let own = self.spec_markets();
        self.spec.markets.truncate(own);
        self.markets.truncate(own);
        self.listed = ListedRules::default();
    }

    /// Whether a market could be listed, by an authority or by anyone; the error names the key.
    pub fn check_listing(&self, listing: &Listing, authority: bool) -> Result<(), SpecError> {
        let wrong = |wrong| price_error("listing", wrong);
        listing.check().map_err(wrong)?;
        let index = self.spec.markets.len();
        let market = &listing.market;
        validate_name(&self.spec.markets, index, market)?;
        let rules = validate_market(&self.spec, index, market)?;
        if authority {
            return Ok(());
        }
        let Some(open) = &self.spec.listing.permissionless else { return Ok(()) };
        let lot_value = match market.product {
            Product::Perpetual { .. } => rules.notional(rules.price_max, 1),
            Product::Spot { .. } => 0 as Amount,
        };
        listing.check_permissionless(open, self.spec.collateral, lot_value).map_err(wrong)?;
        let found = listing.bond;
        let expected = format!("at least {}", open.bond);
        ensure(found >= open.bond, "listing.bond", found, &expected)
    }

    /// Adds a market that [`Rules::check_listing`] accepts.
    pub(crate) fn list(&mut self, listing: &Listing, lister: &Address) -> Result<(), SpecError> {
        let index = self.spec.markets.len();
        let rules = validate_market(&self.spec, index, &listing.market)?;
        let market = rules.market;
        let of_kind = match listing.market.product {
            Product::Perpetual { .. } => &mut self.listed.perpetuals,
            Product::Spot { .. } => &mut self.listed.spots,
        };
        of_kind.push(market);
        let oracle = listing.oracle.as_ref();
        self.listed.head = self.listed.head.then(&listing.market, oracle, lister);
        self.listed.listers.push(*lister);
        self.listed.oracles.push(oracle.cloned());
        self.markets.push(rules);
        self.spec.markets.push(listing.market.clone());
        Ok(())
    }
}

/// Encodes a spec with so many of its markets.
pub(super) fn spec_of(rules: &Rules) -> alloc::borrow::Cow<'_, ExchangeSpec> {
    if rules.listed.head.count == 0 {
        return alloc::borrow::Cow::Borrowed(&rules.spec);
    }
    alloc::borrow::Cow::Owned(rules.unlisted().spec)
}
