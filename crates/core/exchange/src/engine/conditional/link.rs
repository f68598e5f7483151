//! Ties between orders: a parent arms its children by what it fills, siblings shrink by what the
//! other one fills. Each tie is told at both ends, and the orders at its ends have the flag.

use crate::conditional::TriggerState;
use crate::engine::{Engine, invariant};
use crate::event::{CancelReason, Event, ResizeReason};
use crate::ids::{AccountId, OrderId, Size};
use crate::objects::{Link, OrderFlags, OrderKey};
use atoll_state::Source;

use super::told_trigger;

const NONE: OrderId = OrderId(0);

impl<S: Source> Engine<'_, S> {
    /// Ties children to one another and, if it still has an open part, to their parent.
    pub(super) fn tie(
        &mut self,
        account: AccountId,
        parent: Option<(OrderId, Size)>,
        children: [Option<OrderId>; 2],
    ) {
        let [first, second] = children.map(|child| child.unwrap_or(NONE));
        let number = parent.map_or(NONE, |parent| parent.0);
        for (child, sibling) in [(first, second), (second, first)] {
            let link = Link { parent: number, sibling, ..Link::default() };
            if child != NONE && !link.is_loose() {
                self.state.links.set(&OrderKey(child), link);
            }
        }
        if let Some((parent, filled)) = parent {
            let link = Link { children: [first, second], filled, ..Link::default() };
            self.state.links.set(&OrderKey(parent), link);
            self.set_flag(account, parent, OrderFlags::LINKED, true);
        }
    }

    /// A tied order filled in part or in full.
    pub(super) fn link_filled(&mut self, account: AccountId, order: OrderId, size: Size) {
        let mut link = *self.state.links.get(&OrderKey(order));
        if link.children != [NONE; 2] {
            link.filled += size;
            self.state.links.set(&OrderKey(order), link);
            for child in link.children.into_iter().filter(|child| *child != NONE) {
                self.grow_child(account, child, link.filled);
            }
        }
        if link.sibling != NONE {
            self.shrink_sibling(account, link.sibling, size);
        }
    }

    /// A child's parent has filled so much by now.
    fn grow_child(&mut self, account: AccountId, child: OrderId, filled: Size) {
        let Some(listed) = self.listed(account, child) else {
            invariant::<S>(false, "a child is not listed");
            return;
        };
        let mut order = *self.state.triggers.get(&OrderKey(child));
        let open = filled.min(listed.size);
        if open == order.open {
            return;
        }
        order.open = open;
        let arms = order.trigger.state == TriggerState::Waiting;
        if arms {
            (order.trigger.state, order.armed) = (TriggerState::Armed, self.command);
        }
        self.state.triggers.set(&OrderKey(child), order);
        if arms {
            let direction = order.trigger.kind.direction(listed.side);
            self.arm(listed.market, direction, order.trigger.price, child);
        }
        self.events.push(Event::TriggerSet(told_trigger(account, &listed, &order)));
    }

    /// An order's sibling filled so much.
    pub(super) fn shrink_sibling(&mut self, account: AccountId, order: OrderId, by: Size) {
        let Some(listed) = self.listed(account, order) else {
            invariant::<S>(false, "a sibling is not listed");
            return;
        };
        let reason = ResizeReason::Sibling;
        if listed.flags.has(OrderFlags::TRIGGER) {
            let found = self.state.triggers.get(&OrderKey(order));
            if found.trigger.position && listed.size == 0 {
                // It is as large as the position, whatever that is.
            } else if found.open <= by {
                self.cancel_trigger(account, &listed, CancelReason::Sibling);
            } else {
                let found = self.state.triggers.get_mut(&OrderKey(order));
                found.open -= by;
                let order = told_trigger(account, &listed, found);
                self.events.push(Event::Resized { order, reason });
            }
            return;
        }
        let resting = self.resting(listed.market, listed.side, listed.price, listed.sequence);
        let Some(resting) = resting else {
            invariant::<S>(false, "a sibling is not in its book");
            return;
        };
        if resting.order.size <= by {
            self.close(account, &listed, &resting, CancelReason::Sibling);
        } else {
            self.reduce(account, &listed, &resting, by, reason);
        }
    }

    /// An order is gone: its ties end. Children of a parent that filled nothing go with it.
    pub(super) fn loosen(&mut self, account: AccountId, order: OrderId) {
        let link = self.state.links.remove(&OrderKey(order));
        for child in link.children.into_iter().filter(|child| *child != NONE) {
            if link.filled > 0 {
                self.relax(account, child, |link| link.parent = NONE);
            } else if let Some(listed) = self.listed(account, child) {
                self.cancel_trigger(account, &listed, CancelReason::Parent);
            }
        }
        if link.parent != NONE {
            self.relax(account, link.parent, |link| {
                let mine = link.children.iter_mut().filter(|child| **child == order);
                mine.for_each(|child| *child = NONE);
            });
        }
        if link.sibling != NONE {
            self.relax(account, link.sibling, |link| link.sibling = NONE);
        }
    }

    /// Changes the other end of a tie; an order that is tied to nothing any more loses its flag.
    fn relax(&mut self, account: AccountId, order: OrderId, change: impl FnOnce(&mut Link)) {
        let mut link = *self.state.links.get(&OrderKey(order));
        if link.is_loose() {
            return;
        }
        change(&mut link);
        if link.is_loose() {
            self.state.links.remove(&OrderKey(order));
            self.set_flag(account, order, OrderFlags::LINKED, false);
        } else {
            self.state.links.set(&OrderKey(order), link);
        }
    }
}
