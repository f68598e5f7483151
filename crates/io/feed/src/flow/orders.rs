//! Recordings order by order.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::{Action, Class, Desk, FlowCommand, OrderKind};
use crate::event::{Event, EventKind, Side};

/// Removed orders remembered, so that an event that comes late does not bring one back.
const REMOVED_MAX: usize = 4_096;

/// One recorded order that is open, or waits for the venue to have filled it too.
#[derive(Debug, Clone)]
struct Tracked {
    client_id: u64,
    actor: u32,
    side: Side,
    price: u64,
    /// Open size by the record.
    recorded: u64,
    /// Open size in the venue, as far as it has told.
    resting: u64,
}

/// All recorded orders that are open.
#[derive(Default)]
pub(super) struct Orders {
    /// By the record's id.
    open: HashMap<u64, Tracked>,
    /// Record's id by client id, of orders that rest in the venue.
    clients: HashMap<u64, u64>,
    /// Orders to look at again, and the number of the event after which.
    waiting: VecDeque<(u64, u64)>,
    removed: VecDeque<u64>,
    removed_ids: HashSet<u64>,
    bids: BTreeMap<u64, u64>,
    asks: BTreeMap<u64, u64>,
}

impl Orders {
    pub(super) fn apply(&mut self, desk: &mut Desk, event: &Event, out: &mut Vec<FlowCommand>) {
        let time = event.time_ns;
        match event.kind {
            EventKind::Add { id, side, price, size } => {
                if self.removed_ids.contains(&id) {
                    desk.report.stale_events += 1;
                    return;
                }
                if let Some(old) = self.forget(id) {
                    desk.report.duplicate_orders += 1;
                    cancel(desk, &old, time, out);
                }
                self.place(desk, time, id, (side, price, size), out);
            }
            EventKind::Change { id, side, price, size } => {
                self.change(desk, time, id, (side, price, size), out);
            }
            EventKind::Reduce { id, by, .. } => match self.open.get(&id).map(|o| o.recorded) {
                None => self.count_unknown(desk, id),
                Some(recorded) if by >= recorded => self.remove(desk, time, id, recorded, out),
                Some(recorded) => self.cut(desk, time, id, recorded - by, out),
            },
            EventKind::Remove { id, size, .. } if self.open.contains_key(&id) => {
                if size == 0 {
                    self.filled(desk, id, 0);
                } else {
                    self.remove(desk, time, id, size, out);
                }
            }
            EventKind::Remove { id, .. } => self.count_unknown(desk, id),
            EventKind::Execute { id: None, .. } => desk.report.unbooked_trades += 1,
            EventKind::Execute { id: Some(id), price, size, .. } => {
                let Some(order) = self.open.get(&id) else {
                    self.count_unknown(desk, id);
                    return;
                };
                let (recorded, taken) = (order.recorded, size.min(order.resting));
                let aggressor = order.side.opposite();
                if taken > 0 {
                    let actor = desk.side_actor(aggressor, desk.next_id);
                    desk.take(time, (actor, aggressor), (price, taken), out);
                }
                self.filled(desk, id, recorded.saturating_sub(size));
            }
            _ => {}
        }
        let best = self.bids.last_key_value().zip(self.asks.first_key_value());
        desk.oracle(time, best.map(|((&bid, _), (&ask, _))| (bid, ask)), out);
    }

    fn count_unknown(&self, desk: &mut Desk, id: u64) {
        if self.removed_ids.contains(&id) {
            desk.report.stale_events += 1;
        } else {
            desk.report.unknown_orders += 1;
        }
    }

    fn place(
        &mut self,
        desk: &mut Desk,
        time_ns: u64,
        id: u64,
        (side, price, size): (Side, u64, u64),
        out: &mut Vec<FlowCommand>,
    ) {
        if self.open.len() >= desk.config.orders_max {
            desk.report.left_out += 1;
            return;
        }
        let client_id = desk.new_id(Class::Order);
        let actor = desk.side_actor(side, id);
        let order = Tracked { client_id, actor, side, price, recorded: size, resting: size };
        self.book(side, price, true);
        self.clients.insert(client_id, id);
        self.open.insert(id, order);
        desk.report.placed += 1;
        let kind = OrderKind::Limit;
        let action = Action::Place { actor, client_id, side, price, size, kind };
        out.push(FlowCommand { time_ns, action });
    }

    fn change(
        &mut self,
        desk: &mut Desk,
        time_ns: u64,
        id: u64,
        (side, price, size): (Side, u64, u64),
        out: &mut Vec<FlowCommand>,
    ) {
        let Some(order) = self.open.get(&id) else {
            if self.removed_ids.contains(&id) {
                desk.report.stale_events += 1;
            } else {
                desk.report.adopted += 1;
                self.place(desk, time_ns, id, (side, price, size), out);
            }
            return;
        };
        let (old_price, recorded, resting) = (order.price, order.recorded, order.resting);
        if order.recorded == 0 {
            // Filled by the record before: the line is out of order.
            desk.report.stale_events += 1;
            return;
        }
        if price != old_price {
            self.book(order.side, old_price, false);
            self.book(side, price, true);
        }
        let grown = size.saturating_sub(recorded);
        // What the venue shall hold: never more than the record, never topped up but by growth.
        let target = resting.saturating_add(grown).min(size);
        if price == old_price && grown == 0 {
            self.filled(desk, id, size);
            return;
        }
        if let Some(order) = self.open.get_mut(&id) {
            order.price = price;
            order.recorded = size;
        }
        self.resize(desk, time_ns, id, target, out);
    }

    /// The record says that the order was filled down to `size`.
    fn filled(&mut self, desk: &Desk, id: u64, size: u64) {
        let Some(order) = self.open.get_mut(&id) else { return };
        let was_open = order.recorded > 0;
        let (side, price, resting) = (order.side, order.price, order.resting);
        order.recorded = size;
        if size == 0 && was_open {
            self.book(side, price, false);
        }
        if resting > size {
            let due = desk.report.events + u64::from(desk.config.grace_events);
            self.waiting.push_back((due, id));
        } else if size == 0 {
            self.forget(id);
            self.remember_removed(id);
        }
    }

    /// Part of the order was cancelled in the record: `size` is left.
    fn cut(
        &mut self,
        desk: &mut Desk,
        time_ns: u64,
        id: u64,
        size: u64,
        out: &mut Vec<FlowCommand>,
    ) {
        let Some(order) = self.open.get_mut(&id) else { return };
        order.recorded = size;
        let target = order.resting.min(size);
        if target < order.resting {
            self.resize(desk, time_ns, id, target, out);
        }
    }

    /// Gives the order in the venue its price of the record and this size.
    fn resize(
        &mut self,
        desk: &mut Desk,
        time_ns: u64,
        id: u64,
        size: u64,
        out: &mut Vec<FlowCommand>,
    ) {
        let Some(order) = self.open.get_mut(&id) else { return };
        if size == 0 {
            // Nothing rests: filled by the venue, and nothing has come to it since.
            return;
        }
        let (client_id, was_resting) = (order.client_id, order.resting);
        let new_client_id = desk.new_id(Class::Order);
        order.client_id = new_client_id;
        order.resting = size;
        let (actor, side, price) = (order.actor, order.side, order.price);
        self.clients.remove(&client_id);
        self.clients.insert(new_client_id, id);
        let kind = OrderKind::Limit;
        let action = if was_resting == 0 {
            desk.report.placed += 1;
            Action::Place { actor, client_id: new_client_id, side, price, size, kind }
        } else {
            desk.report.modified += 1;
            Action::Modify { actor, client_id, new_client_id, side, price, size, kind }
        };
        out.push(FlowCommand { time_ns, action });
    }

    /// The order was cancelled in the record with `left` open.
    fn remove(
        &mut self,
        desk: &mut Desk,
        time_ns: u64,
        id: u64,
        left: u64,
        out: &mut Vec<FlowCommand>,
    ) {
        self.remember_removed(id);
        let Some(order) = self.forget(id) else { return };
        if order.resting == 0 && left > 0 {
            desk.report.filled_instead_of_cancelled += 1;
        }
        cancel(desk, &order, time_ns, out);
    }

    pub(super) fn settle_due(&mut self, desk: &mut Desk, time_ns: u64, out: &mut Vec<FlowCommand>) {
        while let Some(&(due, id)) = self.waiting.front() {
            if due > desk.report.events {
                return;
            }
            self.waiting.pop_front();
            self.settle(desk, time_ns, id, out);
        }
    }

    pub(super) fn settle_all(&mut self, desk: &mut Desk, time_ns: u64, out: &mut Vec<FlowCommand>) {
        while let Some((_, id)) = self.waiting.pop_front() {
            self.settle(desk, time_ns, id, out);
        }
    }

    /// The grace is over: the venue keeps no more than the record.
    fn settle(&mut self, desk: &mut Desk, time_ns: u64, id: u64, out: &mut Vec<FlowCommand>) {
        let Some(order) = self.open.get(&id) else { return };
        let (recorded, resting) = (order.recorded, order.resting);
        if resting > recorded {
            desk.report.unreproduced_fills += 1;
            desk.report.unreproduced_size += u128::from(resting - recorded);
            if recorded > 0 {
                self.resize(desk, time_ns, id, recorded, out);
            }
        }
        if recorded == 0 {
            self.remember_removed(id);
            if let Some(order) = self.forget(id) {
                cancel(desk, &order, time_ns, out);
            }
        }
    }

    pub(super) fn on_fill(&mut self, client_id: u64, size: u64) {
        let Some(&id) = self.clients.get(&client_id) else { return };
        let Some(order) = self.open.get_mut(&id) else { return };
        order.resting = order.resting.saturating_sub(size);
        if order.resting == 0 && order.recorded == 0 {
            self.forget(id);
            self.remember_removed(id);
        }
    }

    pub(super) fn resting(&self, client_id: u64) -> Option<u64> {
        self.open.get(self.clients.get(&client_id)?).map(|order| order.resting)
    }

    /// Client id and owner of everything that rests.
    pub(super) fn drain(&mut self) -> Vec<(u64, u32)> {
        let all = std::mem::take(self);
        let resting = all.open.into_values().filter(|order| order.resting > 0);
        resting.map(|order| (order.client_id, order.actor)).collect()
    }

    /// Recorded size by client id.
    #[cfg(test)]
    pub(super) fn recorded_by_client(&self) -> BTreeMap<u64, u64> {
        self.open.values().map(|order| (order.client_id, order.recorded)).collect()
    }

    fn forget(&mut self, id: u64) -> Option<Tracked> {
        let order = self.open.remove(&id)?;
        self.clients.remove(&order.client_id);
        if order.recorded > 0 {
            self.book(order.side, order.price, false);
        }
        Some(order)
    }

    fn remember_removed(&mut self, id: u64) {
        if !self.removed_ids.insert(id) {
            return;
        }
        self.removed.push_back(id);
        if self.removed.len() > REMOVED_MAX
            && let Some(oldest) = self.removed.pop_front()
        {
            self.removed_ids.remove(&oldest);
        }
    }

    /// Counts an order in or out of the recorded prices.
    fn book(&mut self, side: Side, price: u64, enters: bool) {
        let prices = if side == Side::Bid { &mut self.bids } else { &mut self.asks };
        if enters {
            *prices.entry(price).or_default() += 1;
        } else if let Some(count) = prices.get_mut(&price) {
            *count -= 1;
            if *count == 0 {
                prices.remove(&price);
            }
        }
    }
}

fn cancel(desk: &mut Desk, order: &Tracked, time_ns: u64, out: &mut Vec<FlowCommand>) {
    if order.resting == 0 {
        return;
    }
    desk.report.cancelled += 1;
    let action = Action::Cancel { actor: order.actor, client_id: order.client_id };
    out.push(FlowCommand { time_ns, action });
}
