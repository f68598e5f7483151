//! Listing markets, and what becomes of them and of their bonds.

use super::Engine;
use super::money::Purse;
use crate::event::{BalanceCause, Event, Refusal};
use crate::ids::{AccountId, MarketId, MarketStatus, Side, Wallet};
use crate::objects::{AccountKey, BookId, EstateKey, GlobalKey, Listed, ListedMarket, MarketKey};
use crate::spec::listing::Listing;
use alloc::boxed::Box;
use atoll_state::Source;
use atoll_types::{Address, RejectCode};

impl<S: Source> Engine<'_, S> {
    /// Whether the caller is one of the listing's authorities, and its address.
    fn authority(&mut self, caller: AccountId) -> (bool, Address) {
        let address = self.state.accounts.get(&AccountKey(caller)).address;
        (self.rules.spec().is_authority(&address), address)
    }

    /// Lists a market: its number and who listed it. The caller extends the rules by it.
    pub(crate) fn list_market(
        &mut self,
        caller: AccountId,
        listing: &Listing,
    ) -> Result<Address, Refusal> {
        let spec = self.rules.spec();
        let refuse = |code, message| Err(Refusal::new(code, message));
        let (authority, lister) = self.authority(caller);
        if !authority && spec.listing.permissionless.is_none() {
            let message = "only the spec's authorities list markets here";
            return refuse(RejectCode::NotAllowed, message);
        }
        let head = *self.state.listing_head.get(&GlobalKey);
        if u32::from(head.count) >= spec.listing.markets_max {
            let message =
                "as many markets were listed as the spec lets be; see listing.markets_max";
            return refuse(RejectCode::AtCap, message);
        }
        if self.rules.check_listing(listing, authority).is_err() {
            let message = "a parameter of the market is not valid; see the rules for listing";
            return refuse(RejectCode::InvalidMarket, message);
        }
        if listing.bond > 0 {
            let purse = self.bond_purse(caller);
            let bond = listing.bond.into();
            self.check_free(purse, bond)?;
            self.add(purse, -bond, BalanceCause::Bond);
        }
        let market = MarketId(self.rules.spec().markets.len() as u16);
        let head = head.then(&listing.market, listing.oracle.as_ref(), &lister);
        self.state.listing_head.set(&GlobalKey, head);
        let listed = Listed { lister, listing: listing.clone() };
        self.state.listings.set(&MarketKey(market), ListedMarket(Some(Box::new(listed))));
        let bond = listing.bond.into();
        self.events.push(Event::MarketListed { market, account: caller, bond });
        Ok(lister)
    }

    fn bond_purse(&self, account: AccountId) -> Purse {
        Purse { account, asset: self.rules.spec().collateral, wallet: Wallet::Spot }
    }

    /// Changes what a market is doing, where the caller may.
    pub(crate) fn ask_status(
        &mut self,
        caller: AccountId,
        market: MarketId,
        status: MarketStatus,
    ) -> Result<(), Refusal> {
        self.market(market)?;
        let (authority, address) = self.authority(caller);
        if !authority && self.rules.lister(market) != Some(&address) {
            let message = "only the venue's authorities and who listed the market set its status";
            return Err(Refusal::new(RejectCode::NotAllowed, message));
        }
        self.set_status(market, status)
    }

    /// What is still there of a listed market's bond.
    fn bonded(&mut self, market: MarketId) -> Result<Box<Listed>, Refusal> {
        self.market(market)?;
        let listed = self.state.listings.get(&MarketKey(market)).0.clone();
        let nothing = "the market has no bond: it is the spec's, was listed without one, or the \
                       bond is gone";
        let nothing = Refusal::new(RejectCode::Unsupported, nothing);
        listed.filter(|listed| listed.listing.bond > 0).ok_or(nothing)
    }

    fn take_bond(&mut self, market: MarketId, mut listed: Box<Listed>) -> i128 {
        let bond = core::mem::take(&mut listed.listing.bond);
        self.state.listings.set(&MarketKey(market), ListedMarket(Some(listed)));
        bond.into()
    }

    /// Gives a bond back to who listed the market, once it is settled and holds no position.
    pub(crate) fn claim_bond(
        &mut self,
        caller: AccountId,
        market: MarketId,
    ) -> Result<(), Refusal> {
        let listed = self.bonded(market)?;
        let address = self.state.accounts.get(&AccountKey(caller)).address;
        if listed.lister != address {
            let message = "the bond goes back to who listed the market, and nobody else";
            return Err(Refusal::new(RejectCode::NotAllowed, message));
        }
        if self.state.prices.get(&MarketKey(market)).status != MarketStatus::Settled {
            let message = "the market is not settled; set its status to settled first";
            return Err(Refusal::new(RejectCode::PositionOpen, message));
        }
        if !self.is_flat(market) {
            let message = "the market still holds positions; settle them first, anyone may";
            return Err(Refusal::new(RejectCode::PositionOpen, message));
        }
        let amount = self.take_bond(market, listed);
        self.add(self.bond_purse(caller), amount, BalanceCause::Bond);
        let event = Event::BondReleased { market, account: caller, amount, forfeited: false };
        self.events.push(event);
        Ok(())
    }

    /// Whether nobody has a position in a market and none is left of the bankrupt.
    fn is_flat(&mut self, market: MarketId) -> bool {
        let key = MarketKey(market);
        let estate = |side| EstateKey(BookId::new(market, side));
        self.state.tops.get(&key).open_interest == 0
            && self.state.settlements.get(&key).size == 0
            && self.state.estates.get(&estate(Side::Buy)).size == 0
            && self.state.estates.get(&estate(Side::Sell)).size == 0
    }

    /// Takes a bond for the insurance fund.
    pub(crate) fn forfeit_bond(
        &mut self,
        caller: AccountId,
        market: MarketId,
    ) -> Result<(), Refusal> {
        let listed = self.bonded(market)?;
        if !self.authority(caller).0 {
            let message = "only the venue's authorities take a bond";
            return Err(Refusal::new(RejectCode::NotAllowed, message));
        }
        let lister = listed.lister;
        let amount = self.take_bond(market, listed);
        self.insured(self.rules.spec().collateral, amount);
        // Who listed had an account, and accounts stay.
        if let Some(account) = self.account(&lister) {
            let event = Event::BondReleased { market, account, amount, forfeited: true };
            self.events.push(event);
        }
        Ok(())
    }
}
