//! Sanity bounds and statuses at work: what [`super::sanity`] decides, in the state.

use super::auction::{is_crossed, trades};
use super::oracle::Consensus;
use super::sanity::{self, Trip};
use super::{Due, mark};
use crate::engine::Engine;
use crate::event::{Event, GuardReason};
use crate::ids::{MarketId, MarketStatus};
use crate::objects::{Auction, BookTop, Guard, Imposed, MarketKey, MarketPrices};
use crate::rules::MarketRules;
use crate::spec::prices::SanitySpec;
use atoll_state::Source;

impl<S: Source> Engine<'_, S> {
    /// Oracle and mark of a market with a robust mark.
    pub(super) fn work_robust(
        &mut self,
        rules: &MarketRules,
        spec: Option<&SanitySpec>,
        found: &Consensus,
        top: &BookTop,
        prices: &mut MarketPrices,
        due: &mut Due,
    ) {
        let (key, now) = (MarketKey(rules.market), self.time_us);
        let before = *self.state.guards.get(&key);
        let mut guard = before;
        let first = prices.oracle == 0;
        let mut trip = None;
        match (spec, found.price) {
            (Some(spec), Some(told)) if !first => {
                trip = sanity::accept(spec, &mut guard, prices, told, now);
            }
            (_, Some(told)) => prices.oracle = told,
            (_, None) => {}
        }
        if prices.oracle == 0 {
            return;
        }
        let closed = guard.imposed != Imposed::No || prices.status == MarketStatus::Auction;
        if guard.since_us == 0 && !closed {
            let averages = self.state.averages.get_mut(&key);
            mark::observe(averages, top, prices.oracle, now);
            let made = mark::robust(averages, top, prices.oracle, found.external);
            let made = mark::banded(rules, made, prices.oracle);
            match spec {
                Some(spec) => trip = sanity::accept_mark(spec, &mut guard, prices, made, now),
                None => prices.mark = made,
            }
        } else if guard.since_us == 0 {
            // As long as the market is not open, its book makes no price.
            prices.mark = prices.oracle;
        }
        if guard.since_us != 0 {
            due.at(now.saturating_add(sanity::STEP_US));
        }
        if let Some(Trip { reason, from, to }) = trip {
            let market = rules.market;
            self.events.push(Event::Guarded { market, reason, from, to });
            self.state.averages.remove(&key);
            if guard.imposed == Imposed::No && sanity::may_impose(prices.status) {
                self.impose(market, &mut guard, prices, Imposed::Sanity);
            }
        }
        if guard != before {
            *self.state.guards.get_mut(&key) = guard;
        }
    }

    /// Makes a market take only orders that reduce.
    fn impose(
        &mut self,
        market: MarketId,
        guard: &mut Guard,
        prices: &mut MarketPrices,
        imposed: Imposed,
    ) {
        (guard.imposed, guard.imposed_us, guard.before) = (imposed, self.time_us, prices.status);
        self.change_status(market, prices, MarketStatus::ReduceOnly);
    }

    /// Statuses that the guard imposes and lifts.
    pub(super) fn work_status(
        &mut self,
        market: MarketId,
        spec: Option<&SanitySpec>,
        stale_since_us: u64,
        prices: &mut MarketPrices,
        due: &mut Due,
    ) {
        let (now, after_us) = (self.time_us, self.rules.oracle(market).reduce_only_after_us);
        if spec.is_none() && after_us == 0 {
            return;
        }
        let key = MarketKey(market);
        let before = *self.state.guards.get(&key);
        let mut guard = before;
        let deadline = stale_since_us.saturating_add(after_us);
        let stale = stale_since_us != 0 && after_us != 0;
        match guard.imposed {
            Imposed::No if stale && sanity::may_impose(prices.status) => {
                if deadline <= now {
                    let (reason, from, to) =
                        (GuardReason::OracleStale, prices.oracle, prices.oracle);
                    self.events.push(Event::Guarded { market, reason, from, to });
                    self.impose(market, &mut guard, prices, Imposed::Stale);
                } else {
                    due.at(deadline);
                }
            }
            Imposed::Stale if stale_since_us == 0 && guard.since_us == 0 => {
                guard.imposed = Imposed::No;
                self.state.averages.remove(&key);
                self.change_status(market, prices, guard.before);
            }
            // It came back with a price that is not believed.
            Imposed::Stale if stale_since_us == 0 => {
                (guard.imposed, guard.imposed_us) = (Imposed::Sanity, now);
                due.at(now.saturating_add(sanity::STEP_US));
            }
            _ => {}
        }
        if let (Imposed::Sanity, Some(spec)) = (guard.imposed, spec) {
            match sanity::may_reopen(spec, &guard, now) {
                Err(again_us) => due.at(again_us),
                Ok(()) => {
                    let until_us = now.saturating_add(spec.auction_us);
                    guard.imposed = Imposed::No;
                    due.at(until_us);
                    self.call_auction(market, prices, until_us, guard.before);
                }
            }
        }
        if guard != before {
            *self.state.guards.get_mut(&key) = guard;
        }
    }

    /// What begins anew after an auction.
    pub(super) fn reopened(&mut self, market: MarketId, spec: Option<&SanitySpec>) {
        let key = MarketKey(market);
        self.state.averages.remove(&key);
        if let Some(spec) = spec {
            let wide_until_us = self.time_us.saturating_add(spec.wide_us);
            self.state.guards.get_mut(&key).wide_until_us = wide_until_us;
        }
    }

    /// A market enters a status by its operator's word, which goes before the guard's. A book that
    /// is crossed is uncrossed first, at the next tick.
    pub(crate) fn enter_status(
        &mut self,
        market: MarketId,
        prices: &mut MarketPrices,
        status: MarketStatus,
    ) {
        let key = MarketKey(market);
        if self.state.guards.get(&key).imposed != Imposed::No {
            self.state.guards.get_mut(&key).imposed = Imposed::No;
        }
        if status == MarketStatus::Auction {
            return self.call_auction(market, prices, u64::MAX, MarketStatus::Open);
        }
        let top = *self.state.tops.get(&key);
        if trades(status) && is_crossed(&top) {
            self.call_auction(market, prices, self.time_us, status);
            prices.due_us = MarketPrices::AT_ONCE;
            return;
        }
        if *self.state.auctions.get(&key) != Auction::default() {
            self.state.auctions.remove(&key);
        }
        self.change_status(market, prices, status);
    }
}
