//! Trigger orders: place, arm, cancel.
//!
//! A trigger order takes a slot of its owner's directory like any open order, and holds neither
//! margin nor balance: it is checked in full when it fires.

use super::refused;
use crate::conditional::{Direction, Trigger, TriggerRequest, TriggerState};
use crate::engine::{Engine, directory::told, less};
use crate::event::{CancelReason, Event, Order, Refusal};
use crate::ids::{AccountId, ClientId, MarketId, OrderId, Price, Size, Tif};
use crate::objects::conditional::{trigger_prices, triggers_at};
use crate::objects::{
    AttachedKey, ClientKey, Front, GlobalKey, MarketKey, OrderFlags, OrderKey, OrderPage, OrderRef,
    TriggerOrder,
};
use crate::rules::MarketRules;
use atoll_state::Source;
use atoll_types::RejectCode;

/// What kind of trigger order is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// By itself.
    Alone,
    /// Armed by a parent that has filled so much, for all of what was asked if that is more.
    Child(Size),
    /// Attached to a position.
    Attached,
}

impl<S: Source> Engine<'_, S> {
    pub(crate) fn place_trigger(
        &mut self,
        account: AccountId,
        request: &TriggerRequest,
    ) -> Result<OrderId, Refusal> {
        self.check_trigger(request, Kind::Alone)?;
        self.check_client_id(account, request.client_id)?;
        let slot = self.free_slot(account)?;
        let order = OrderId::new(self.command, slot);
        self.set_trigger(account, request, order, Kind::Alone, OrderFlags::default());
        Ok(order)
    }

    /// All that needs no look at the account.
    pub(super) fn check_trigger(
        &mut self,
        request: &TriggerRequest,
        kind: Kind,
    ) -> Result<&MarketRules, Refusal> {
        let rules = self.market(request.market)?;
        let prices = *self.state.prices.get(&MarketKey(request.market));
        let refuse = |code, message| Err(Refusal::new(code, message));
        let TriggerRequest { trigger_price, limit, size, reduce_only, .. } = *request;
        if trigger_price == 0 || limit == Some(0) {
            let message = "a price is zero; it must be at least one tick";
            return refuse(RejectCode::OffTick, message);
        }
        if size == 0 && kind != Kind::Attached {
            return refuse(RejectCode::OffLot, "the size is zero; it must be at least one lot");
        }
        if trigger_price.max(limit.unwrap_or(0)) > rules.price_max || size > rules.order_size_max {
            let message = "a price or the size is above the market's maximum; see the spec";
            return refuse(RejectCode::Overflow, message);
        }
        if reduce_only && !rules.is_perpetual() {
            let message = "spot markets have no positions to reduce; leave out reduce-only";
            return refuse(RejectCode::Unsupported, message);
        }
        if let Some(refusal) = refused(rules, prices.status, reduce_only) {
            return Err(refusal);
        }
        if prices.mark == 0 {
            let message = "the market has no mark price yet to trigger on; wait for it";
            return refuse(RejectCode::NoMark, message);
        }
        let notional = rules.notional(limit.unwrap_or(trigger_price), size);
        if notional < rules.notional_min && !reduce_only {
            let message = "the order is worth less than the market's minimum; make it larger";
            return Err(Refusal::money(RejectCode::Dust, message, notional, rules.notional_min));
        }
        let waits = matches!(kind, Kind::Child(_));
        if !waits && request.direction().reached(prices.mark, trigger_price) {
            let message = "the mark is at the trigger price or beyond it; place a plain order";
            return refuse(RejectCode::TriggerCrossed, message);
        }
        Ok(rules)
    }

    pub(super) fn check_client_id(
        &mut self,
        account: AccountId,
        client_id: Option<ClientId>,
    ) -> Result<(), Refusal> {
        if let Some(client_id) = client_id
            && self.state.clients.get(&ClientKey { account, client_id }).order.0 != 0
        {
            return Err(Refusal::new(
                RejectCode::DuplicateClientId,
                "an open order has this client id; use another one or cancel that order",
            ));
        }
        Ok(())
    }

    /// Enters a trigger order that passed every check.
    pub(super) fn set_trigger(
        &mut self,
        account: AccountId,
        request: &TriggerRequest,
        order: OrderId,
        kind: Kind,
        flags: OrderFlags,
    ) {
        let (open, state) = match kind {
            Kind::Child(0) => (0, TriggerState::Waiting),
            Kind::Child(filled) => (filled.min(request.size), TriggerState::Armed),
            Kind::Alone | Kind::Attached => (request.size, TriggerState::Armed),
        };
        let trigger = Trigger {
            price: request.trigger_price,
            kind: request.kind,
            limit: request.limit,
            state,
            position: kind == Kind::Attached,
        };
        let listed = OrderRef {
            order,
            market: request.market,
            side: request.side,
            tif: if request.limit.is_some() { Tif::Gtc } else { Tif::Ioc },
            reduce_only: request.reduce_only,
            flags: flags.with(OrderFlags::TRIGGER, true),
            position: 0,
            price: request.limit.unwrap_or(request.trigger_price),
            sequence: 0,
            size: request.size,
            time_us: self.time_us,
            client_id: request.client_id,
        };
        self.list(account, listed);
        let waits = TriggerOrder { account, trigger, open, armed: self.command };
        self.state.triggers.set(&OrderKey(order), waits);
        if state == TriggerState::Armed {
            self.arm(request.market, request.direction(), trigger.price, order);
        }
        self.events.push(Event::TriggerSet(told_trigger(account, &listed, &waits)));
    }

    /// Enters a trigger into its market's index.
    pub(super) fn arm(
        &mut self,
        market: MarketId,
        direction: Direction,
        price: Price,
        order: OrderId,
    ) {
        let pages = &mut self.state.pages;
        triggers_at(market, direction, price).insert(pages, order.0);
        trigger_prices(market, direction).insert(pages, price);
        self.state.due_head.get_mut(&GlobalKey).armed += 1;
        let nearest = self.state.trigger_tops.get(&MarketKey(market)).nearest[direction as usize];
        // The mark comes to the nearest one first.
        if nearest == 0 || (nearest != price && direction.reached(nearest, price)) {
            let top = self.state.trigger_tops.get_mut(&MarketKey(market));
            top.nearest[direction as usize] = price;
        }
    }

    /// Takes a trigger out of its market's index.
    pub(super) fn disarm(
        &mut self,
        market: MarketId,
        direction: Direction,
        price: Price,
        order: OrderId,
    ) {
        let armed = &mut self.state.due_head.get_mut(&GlobalKey).armed;
        *armed = less::<S>(*armed, 1);
        let pages = &mut self.state.pages;
        let here = triggers_at(market, direction, price);
        here.remove(pages, order.0);
        if here.first(pages).is_some() {
            return;
        }
        let prices = trigger_prices(market, direction);
        prices.remove(pages, price);
        let at = direction as usize;
        if self.state.trigger_tops.get(&MarketKey(market)).nearest[at] == price {
            let nearest = match direction {
                Direction::Above => prices.first(pages),
                Direction::Below => prices.last(pages),
            };
            let top = self.state.trigger_tops.get_mut(&MarketKey(market));
            top.nearest[at] = nearest.unwrap_or(0);
            if nearest.is_none() {
                // It has nothing to go on to, and is not to hold up what is armed later.
                top.fronts[at] = Front::default();
            }
        }
    }

    /// Cancels a trigger order, if it is still there.
    pub(crate) fn cancel_trigger(
        &mut self,
        account: AccountId,
        listed: &OrderRef,
        reason: CancelReason,
    ) {
        // Its parent may have taken it along since the caller looked.
        let Some(listed) = self.listed(account, listed.order) else { return };
        let order = self.take_trigger(account, &listed);
        let order = told_trigger(account, &listed, &order);
        self.events.push(Event::Cancelled { order, reason });
        self.ended(account, &listed);
    }

    /// Takes a trigger order out of everything but its group.
    pub(super) fn take_trigger(&mut self, account: AccountId, listed: &OrderRef) -> TriggerOrder {
        let found = self.state.triggers.remove(&OrderKey(listed.order));
        let Trigger { price, kind, state, position, .. } = found.trigger;
        match state {
            TriggerState::Waiting => {}
            TriggerState::Armed => {
                self.disarm(listed.market, kind.direction(listed.side), price, listed.order);
            }
            TriggerState::Due => {
                self.dequeue(listed.order);
            }
        }
        self.unlist(account, listed);
        if position {
            self.detach(account, listed.market, listed.order);
        }
        found
    }

    /// Takes an order off the list of those that end with a position.
    fn detach(&mut self, account: AccountId, market: MarketId, order: OrderId) {
        let key = AttachedKey { account, market };
        let attached = self.state.attached.get_mut(&key);
        attached.0.retain(|other| *other != order);
        if attached.0.is_empty()
            && let Some(slot) = self.slot_of(account, market)
        {
            self.set_attached(account, slot, false);
        }
    }

    /// A position was closed or turned round: what is attached to it ends. Whatever changes a
    /// position's sign other than by a fill has to call this.
    pub(crate) fn position_closed(&mut self, account: AccountId, market: MarketId) {
        let attached = self.state.attached.get(&AttachedKey { account, market }).clone();
        for order in attached.0 {
            if let Some(listed) = self.listed(account, order) {
                self.cancel_trigger(account, &listed, CancelReason::PositionClosed);
            }
        }
    }

    /// Sets or takes away a flag of a listed order.
    pub(super) fn set_flag(
        &mut self,
        account: AccountId,
        order: OrderId,
        flag: OrderFlags,
        set: bool,
    ) {
        let (key, place) = OrderPage::of(account, order.slot());
        if let Some(listed) = self.state.orders.get_mut(&key).get_mut(place, order) {
            listed.flags = listed.flags.with(flag, set);
        }
    }
}

/// A trigger order as events tell it.
pub(crate) fn told_trigger(account: AccountId, listed: &OrderRef, found: &TriggerOrder) -> Order {
    Order { trigger: Some(found.trigger), ..told(account, listed, found.open) }
}
