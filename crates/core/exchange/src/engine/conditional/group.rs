//! Groups: a parent with children, and orders attached to a position.

use super::trigger::Kind;
use crate::command::OrderRequest;
use crate::conditional::{ATTACHED_MAX, TriggerRequest};
use crate::engine::{Engine, reducible};
use crate::event::{Grouped, Refusal};
use crate::ids::{AccountId, OrderId};
use crate::objects::{AttachedKey, OrderFlags};
use atoll_state::Source;
use atoll_types::RejectCode;

/// The members of a group.
type Members = [Option<TriggerRequest>; 2];

const EMPTY: Refusal = Refusal::new(
    RejectCode::Unsupported,
    "a group needs one or two trigger orders: a stop, a take-profit or both",
);
const NOT_REDUCING: Refusal = Refusal::new(
    RejectCode::NotReducing,
    "trigger orders of a group only reduce: set reduce-only, and the side against the position",
);
const OTHER_MARKET: Refusal = Refusal::new(
    RejectCode::Unsupported,
    "all orders of a group are in one market, and that is a perpetual",
);

impl<S: Source> Engine<'_, S> {
    /// Places an order with children.
    pub(crate) fn place_group(
        &mut self,
        account: AccountId,
        parent: &OrderRequest,
        children: &Members,
    ) -> Result<Grouped, Refusal> {
        // The children's numbers are those of a second command: an order that never rests takes
        // no slot of the directory, and a child may take slot 0 after it.
        let (own, second) = (self.command, self.command + 1);
        self.take_number();
        self.command = own;
        self.all_or_nothing(|engine| {
            if !engine.market(parent.market)?.is_perpetual() {
                return Err(OTHER_MARKET);
            }
            if children.iter().flatten().count() == 0 {
                return Err(EMPTY);
            }
            for child in children.iter().flatten() {
                if child.market != parent.market {
                    return Err(OTHER_MARKET);
                }
                if child.side == parent.side || !child.reduce_only {
                    return Err(NOT_REDUCING);
                }
                engine.check_trigger(child, Kind::Child(0))?;
            }
            let placed = engine.place(account, parent)?;
            engine.command = second;
            let mut grouped = Grouped {
                parent: Some(placed),
                children: children.map(|child| child.map(|_| OrderId(0))),
                waiting: placed.filled == 0,
            };
            if placed.filled == 0 && placed.resting == 0 {
                return Ok(grouped);
            }
            let parent = (placed.resting > 0).then_some((placed.order, placed.filled));
            let kind = Kind::Child(placed.filled);
            grouped.children = engine.set_members(account, children, kind, parent.is_some())?;
            engine.tie(account, parent, grouped.children);
            Ok(grouped)
        })
    }

    /// Attaches trigger orders to a position.
    pub(crate) fn attach_triggers(
        &mut self,
        account: AccountId,
        orders: &Members,
    ) -> Result<Grouped, Refusal> {
        self.all_or_nothing(|engine| {
            let market = orders.iter().flatten().next().ok_or(EMPTY)?.market;
            if !engine.market(market)?.is_perpetual() {
                return Err(OTHER_MARKET);
            }
            let slot = engine.slot_of(account, market).ok_or(NOT_REDUCING)?;
            let position = engine.position(account, slot);
            for order in orders.iter().flatten() {
                if order.market != market {
                    return Err(OTHER_MARKET);
                }
                if !order.reduce_only || reducible(position.size, order.side) == 0 {
                    return Err(NOT_REDUCING);
                }
                engine.check_trigger(order, Kind::Attached)?;
            }
            let key = AttachedKey { account, market };
            let there = engine.state.attached.get(&key).0.len();
            if there + orders.iter().flatten().count() > ATTACHED_MAX {
                return Err(Refusal::new(
                    RejectCode::TooManyOrders,
                    "the position has as many orders attached as it may; cancel one first",
                ));
            }
            let children = engine.set_members(account, orders, Kind::Attached, false)?;
            engine.state.attached.get_mut(&key).0.extend(children.iter().flatten());
            engine.set_attached(account, slot, true);
            engine.tie(account, None, children);
            Ok(Grouped { parent: None, children, waiting: false })
        })
    }

    fn set_members(
        &mut self,
        account: AccountId,
        members: &Members,
        kind: Kind,
        parent: bool,
    ) -> Result<[Option<OrderId>; 2], Refusal> {
        let tied = parent || members.iter().flatten().count() == 2;
        let flags = OrderFlags::default().with(OrderFlags::LINKED, tied);
        let mut numbers = [None; 2];
        for (number, member) in numbers.iter_mut().zip(members) {
            let Some(member) = member else { continue };
            self.check_client_id(account, member.client_id)?;
            let order = OrderId::new(self.command, self.free_slot(account)?);
            self.set_trigger(account, member, order, kind, flags);
            *number = Some(order);
        }
        Ok(numbers)
    }
}
