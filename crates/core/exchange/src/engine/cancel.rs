//! Cancels and modifications.

use super::{Engine, invariant};
use crate::command::{OrderRequest, OrderSelector};
use crate::event::{CancelReason, Event, Placed, Refusal, ResizeReason};
use crate::ids::{AccountId, MarketId};
use crate::objects::{Directory, DirectoryKey, OrderFlags, OrderPageKey, OrderRef};
use atoll_state::Source;
use atoll_types::RejectCode;

impl<S: Source> Engine<'_, S> {
    /// Cancels one order.
    pub(crate) fn cancel(
        &mut self,
        account: AccountId,
        target: &OrderSelector,
        reason: CancelReason,
    ) -> Result<OrderRef, Refusal> {
        let listed = self.find(account, target)?;
        self.cancel_listed(account, &listed, reason);
        Ok(listed)
    }

    pub(crate) fn cancel_listed(
        &mut self,
        account: AccountId,
        listed: &OrderRef,
        reason: CancelReason,
    ) {
        if listed.flags.has(OrderFlags::TRIGGER) {
            self.cancel_trigger(account, listed, reason);
            return;
        }
        let OrderRef { market, side, price, sequence, .. } = *listed;
        match self.resting(market, side, price, sequence) {
            Some(resting) => self.close(account, listed, &resting, reason),
            None => invariant::<S>(false, "a listed order is not in its book"),
        }
    }

    /// Cancels all orders, or those of one market.
    pub(crate) fn cancel_all(
        &mut self,
        account: AccountId,
        market: Option<MarketId>,
    ) -> Result<u32, Refusal> {
        if let Some(market) = market {
            self.market(market)?;
        }
        let before = self.events.len();
        for stretch in 0..Directory::stretches(self.rules.spec().limits.orders_per_account) {
            let key = DirectoryKey { account, stretch };
            let directory = *self.state.directories.get(&key);
            for page in directory.pages(stretch) {
                let orders = *self.state.orders.get(&OrderPageKey { account, page });
                orders.iter().for_each(|listed| self.state.prefetch_resting(account, listed));
                for listed in orders.iter().filter(|o| market.is_none_or(|m| m == o.market)) {
                    self.cancel_listed(account, listed, CancelReason::Requested);
                }
            }
        }
        // An order may take others along: what was cancelled is what was told.
        let cancelled = |event: &&Event| matches!(event, Event::Cancelled { .. });
        Ok(self.events[before..].iter().filter(cancelled).count() as u32)
    }

    /// Replaces an order by a new one, or does nothing. An order of which only less is asked for
    /// keeps its number and its place in the queue.
    pub(crate) fn modify(
        &mut self,
        account: AccountId,
        target: &OrderSelector,
        request: &OrderRequest,
    ) -> Result<Placed, Refusal> {
        if let Some(placed) = self.modify_in_place(account, target, request)? {
            return Ok(placed);
        }
        self.all_or_nothing(|engine| {
            let old = engine.cancel(account, target, CancelReason::Modified)?;
            let placed = engine.place(account, request)?;
            engine.events.push(Event::Modified { old: old.order, new: placed.order });
            Ok(placed)
        })
    }

    /// Makes an order smaller where nothing else changes. The size asked for is what is to be open.
    fn modify_in_place(
        &mut self,
        account: AccountId,
        target: &OrderSelector,
        request: &OrderRequest,
    ) -> Result<Option<Placed>, Refusal> {
        let listed = self.find(account, target)?;
        let OrderRef { market, side, price, sequence, tif, reduce_only, .. } = listed;
        let plain = !listed.flags.has(OrderFlags::TRIGGER)
            && !listed.flags.has(OrderFlags::EXTRA)
            && request.expires_us == 0
            && request.display == 0;
        let same = (market, side, price, tif, reduce_only)
            == (request.market, request.side, request.price, request.tif, request.reduce_only);
        let renamed = request.client_id.is_some() && request.client_id != listed.client_id;
        if !plain || !same || renamed || request.size == 0 {
            return Ok(None);
        }
        let rules = self.market(market)?;
        let Some(resting) = self.resting(market, side, price, sequence) else {
            invariant::<S>(false, "a listed order is not in its book");
            return Ok(None);
        };
        let Some(by) = resting.order.size.checked_sub(request.size).filter(|by| *by > 0) else {
            return Ok(None);
        };
        let notional = rules.notional(price, request.size);
        if notional < rules.notional_min && !reduce_only {
            let message = "the order is worth less than the market's minimum; make it larger";
            return Err(Refusal::money(RejectCode::Dust, message, notional, rules.notional_min));
        }
        self.reduce(account, &listed, &resting, by, ResizeReason::Modified);
        let order = listed.order;
        self.events.push(Event::Modified { old: order, new: order });
        Ok(Some(Placed { order, filled: 0, notional: 0, resting: request.size }))
    }
}
