//! A trigger that was reached has its turn.

use super::{told_trigger, worst_price};
use crate::command::OrderRequest;
use crate::conditional::TRIGGER_SLIPPAGE_PPM;
use crate::engine::{Engine, invariant, reducible};
use crate::event::{CancelReason, Event, Order};
use crate::ids::{AccountId, OrderId, Size, Tif};
use crate::objects::{MarketKey, OrderFlags, OrderKey, OrderRef, TriggerOrder};
use atoll_state::Source;

impl<S: Source> Engine<'_, S> {
    /// Places a trigger order under its own number, as any order is placed. What is still open of
    /// its parent is cancelled first: the position it protects is to get no larger.
    pub(super) fn fire(&mut self, account: AccountId, order: OrderId) {
        let parent = self.state.links.get(&OrderKey(order)).parent;
        if parent.0 != 0
            && let Some(parent) = self.listed(account, parent)
        {
            self.cancel_listed(account, &parent, CancelReason::ChildFired);
        }
        let Some(listed) = self.listed(account, order) else {
            invariant::<S>(false, "a trigger that is due is not listed");
            return;
        };
        let Some(rules) = self.rules.market(listed.market) else { return };
        let found = self.state.triggers.get(&OrderKey(order));
        let told = told_trigger(account, &listed, found);
        let found = *found;
        let size = self.size_to_fire(account, &listed, &found).min(rules.order_size_max);
        let prices = self.state.prices.get(&MarketKey(listed.market));
        let slipped = worst_price(rules, prices, listed.side, TRIGGER_SLIPPAGE_PPM);
        let request = OrderRequest {
            market: listed.market,
            side: listed.side,
            price: found.trigger.limit.unwrap_or(slipped),
            size,
            tif: if found.trigger.limit.is_some() { Tif::Gtc } else { Tif::Ioc },
            reduce_only: listed.reduce_only,
            client_id: listed.client_id,
            ..OrderRequest::default()
        };
        self.take_trigger(account, &listed);
        let fired = Order { remaining: size, ..told };
        self.events.push(Event::TriggerFired(fired));
        let linked = listed.flags.has(OrderFlags::LINKED);
        let flags = OrderFlags::default().with(OrderFlags::LINKED, linked);
        let placed = self.place_as(account, &request, Some((order, flags)));
        if let Err(refusal) = &placed {
            self.events.push(Event::TriggerRefused { order: fired, code: refusal.code });
        }
        if linked {
            let (filled, resting) = placed.map_or((0, 0), |p| (p.filled, p.resting));
            self.fired_linked(account, order, filled, resting);
        }
    }

    fn size_to_fire(
        &mut self,
        account: AccountId,
        listed: &OrderRef,
        found: &TriggerOrder,
    ) -> Size {
        if !found.trigger.position || listed.size > 0 {
            return found.open;
        }
        let slot = self.slot_of(account, listed.market);
        slot.map_or(0, |slot| reducible(self.position(account, slot).size, listed.side))
    }

    /// A tied order fired, traded so much at once and rests with so much.
    fn fired_linked(&mut self, account: AccountId, order: OrderId, filled: Size, resting: Size) {
        // Its own fills may have closed the position that its sibling was attached to.
        let sibling = self.state.links.get(&OrderKey(order)).sibling;
        if sibling.0 != 0 && filled > 0 {
            self.shrink_sibling(account, sibling, filled);
        }
        // What rests is tied still, or lost its flag when its sibling went just now: earlier it can
        // only go with the whole position, of which a tied order leaves nothing to rest, for all
        // of them only reduce.
        if resting == 0 {
            self.loosen(account, order);
        }
    }
}
