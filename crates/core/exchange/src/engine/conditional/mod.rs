//! Orders that wait: for a mark, for a parent, for a time.
//!
//! A tick calls [`Engine::run_conditional`] once, after marks have moved: triggers that the marks
//! reached become due ([`front`]), then the due queue is worked off ([`due`]), each bounded by the
//! spec. What fires trades there and then, but marks have moved already: its fills reach them at
//! the next tick.
//!
//! Matching and cancelling tell of orders that have flags by one call each, [`Engine::filled`] and
//! [`Engine::ended`]; orders without flags cost them one predicted branch.

mod due;
mod fire;
mod front;
mod group;
mod link;
mod modify;
mod schedule;
mod trigger;
mod twap;

use super::{Engine, Incoming, Resting};
use crate::event::Refusal;
use crate::ids::{AccountId, MarketId, MarketStatus, PPM, Price, Side, Size, Tif};
use crate::objects::{AccountKey, GlobalKey, MarketPrices, OrderFlags, OrderRef};
use crate::products::{Settled, SettledParty};
use crate::rules::MarketRules;
use atoll_state::Source;

pub(crate) use trigger::told_trigger;

impl<S: Source> Engine<'_, S> {
    /// What waits and has its turn now. Marks have moved.
    pub(crate) fn run_conditional(&mut self) {
        self.time_us = self.state.global.get(&GlobalKey).time_us;
        if self.state.due_head.get(&GlobalKey).armed != 0 {
            self.advance_fronts();
        }
        self.run_due();
    }

    /// A fill of which a party has flags or a position with attached orders.
    pub(crate) fn filled(
        &mut self,
        resting: &Resting,
        listed: &OrderRef,
        incoming: &Incoming<'_>,
        size: Size,
        settled: &Settled,
    ) {
        let maker = resting.order.account;
        self.rested_filled(maker, listed, size, size == resting.order.size);
        let market = listed.market;
        self.position_filled(maker, market, listed.side, size, &settled.maker);
        self.position_filled(incoming.account, market, incoming.order.side, size, &settled.taker);
    }

    /// What a fill is to an order that rested; `all` if nothing of it is left.
    pub(crate) fn rested_filled(
        &mut self,
        account: AccountId,
        listed: &OrderRef,
        size: Size,
        all: bool,
    ) {
        if listed.flags.has(OrderFlags::LINKED) {
            self.link_filled(account, listed.order, size);
        }
        if all {
            self.ended(account, listed);
        }
    }

    /// An order with flags is gone from the book: it filled, or was cancelled.
    pub(crate) fn ended(&mut self, account: AccountId, listed: &OrderRef) {
        if listed.flags.has(OrderFlags::EXPIRES) {
            self.dequeue(listed.order);
        }
        if listed.flags.has(OrderFlags::LINKED) {
            self.loosen(account, listed.order);
        }
    }

    fn position_filled(
        &mut self,
        account: AccountId,
        market: MarketId,
        side: Side,
        size: Size,
        party: &SettledParty,
    ) {
        let after = party.start_position + side.signed(size);
        if party.attached && after.signum() != party.start_position.signum() {
            self.position_closed(account, market);
        }
    }

    /// The account's slot for a market's position, if there is one.
    fn slot_of(&mut self, account: AccountId, market: MarketId) -> Option<u32> {
        self.state.accounts.get(&AccountKey(account)).slot(market)
    }

    /// Milliseconds of the latest tick.
    fn now_ms(&self) -> u64 {
        self.time_us / 1000
    }

    /// Numbers one more order than the command has by itself.
    fn take_number(&mut self) {
        let global = self.state.global.get_mut(&GlobalKey);
        global.commands += 1;
        self.command = global.commands;
    }
}

/// Why a market's status refuses to take an order that will trade later, if it does. A market that
/// is post-only for a while takes it.
fn refused(rules: &MarketRules, status: MarketStatus, reduce_only: bool) -> Option<Refusal> {
    let tif = if status == MarketStatus::Auction { Tif::Gtc } else { Tif::PostOnly };
    super::status::refused(rules, status, tif, reduce_only)
}

/// The worst price of an order that may trade so far from the mark, inside the market's price band.
fn worst_price(rules: &MarketRules, prices: &MarketPrices, side: Side, ppm: u32) -> Price {
    let slipped = super::place::slipped(rules, side, prices.mark, ppm);
    let reference = if prices.oracle == 0 { prices.mark } else { prices.oracle };
    // Below 2⁴⁰ × 2²⁷.
    let band = u128::from(reference) * u128::from(rules.price_band_ppm) / u128::from(PPM);
    let band = u64::try_from(band).unwrap_or(u64::MAX);
    match side {
        Side::Buy => slipped.min(reference.saturating_add(band)),
        Side::Sell => slipped.max(reference.saturating_sub(band)),
    }
}
