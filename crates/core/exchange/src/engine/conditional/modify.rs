//! A trigger order in the place of another: in the same slot, group and position.

use super::trigger::Kind;
use crate::command::OrderSelector;
use crate::conditional::{TriggerRequest, TriggerState};
use crate::engine::{Engine, told_trigger};
use crate::event::{CancelReason, Event, Refusal};
use crate::ids::{AccountId, OrderId};
use crate::objects::{AttachedKey, OrderFlags, OrderKey};
use atoll_state::Source;
use atoll_types::RejectCode;

impl<S: Source> Engine<'_, S> {
    pub(crate) fn modify_trigger(
        &mut self,
        account: AccountId,
        target: &OrderSelector,
        request: &TriggerRequest,
    ) -> Result<OrderId, Refusal> {
        let old = self.find(account, target)?;
        if !old.flags.has(OrderFlags::TRIGGER) {
            return Err(Refusal::new(
                RejectCode::Unsupported,
                "the order is no trigger order; cancel it and place a trigger order",
            ));
        }
        if (old.market, old.side) != (request.market, request.side) {
            return Err(Refusal::new(
                RejectCode::Unsupported,
                "a trigger order keeps its market and side; cancel it and place another one",
            ));
        }
        let found = *self.state.triggers.get(&OrderKey(old.order));
        let linked = old.flags.has(OrderFlags::LINKED);
        if (linked || found.trigger.position) && !request.reduce_only {
            return Err(Refusal::new(
                RejectCode::NotReducing,
                "trigger orders of a group only reduce: set reduce-only",
            ));
        }
        let link = *self.state.links.get(&OrderKey(old.order));
        let kind = match found.trigger.state {
            _ if found.trigger.position => Kind::Attached,
            _ if link.parent.0 != 0 => {
                Kind::Child(self.state.links.get(&OrderKey(link.parent)).filled)
            }
            TriggerState::Waiting | TriggerState::Armed | TriggerState::Due => Kind::Alone,
        };
        self.check_trigger(request, kind)?;
        if request.client_id != old.client_id {
            self.check_client_id(account, request.client_id)?;
        }

        // From here on the command succeeds.
        let new = OrderId::new(self.command, old.order.slot());
        if found.trigger.position {
            // First onto the list, so that the position keeps its flag.
            let key = AttachedKey { account, market: old.market };
            let attached = self.state.attached.get_mut(&key);
            attached.0.iter_mut().filter(|o| **o == old.order).for_each(|o| *o = new);
        }
        self.take_trigger(account, &old);
        let order = told_trigger(account, &old, &found);
        self.events.push(Event::Cancelled { order, reason: CancelReason::Modified });
        let flags = OrderFlags::default().with(OrderFlags::LINKED, linked);
        self.set_trigger(account, request, new, kind, flags);
        if linked {
            self.retie(old.order, new);
        }
        self.events.push(Event::Modified { old: old.order, new });
        Ok(new)
    }

    /// Puts an order in the place of another one in its group.
    fn retie(&mut self, old: OrderId, new: OrderId) {
        let link = self.state.links.remove(&OrderKey(old));
        self.state.links.set(&OrderKey(new), link);
        if link.parent.0 != 0 {
            let parent = self.state.links.get_mut(&OrderKey(link.parent));
            parent.children.iter_mut().filter(|o| **o == old).for_each(|o| *o = new);
        }
        if link.sibling.0 != 0 {
            self.state.links.get_mut(&OrderKey(link.sibling)).sibling = new;
        }
    }
}
