//! A naive matching venue: the twin that order flow is tested against. Compiled into the unit tests
//! and the integration test, which import the names it uses.

use super::{Action, BTreeMap, FlowCommand, OrderFlow, OrderKind, Side};

/// One resting order.
pub(crate) struct Resting {
    actor: u32,
    side: Side,
    price: u64,
    arrival: u64,
    pub(crate) size: u64,
}

impl Resting {
    /// Better prices first, then the earlier arrival.
    fn key(&self) -> (u64, u64) {
        let rank = if self.side == Side::Ask { self.price } else { u64::MAX - self.price };
        (rank, self.arrival)
    }
}

/// Price-time priority: all orders by client id, and a queue of them per side.
#[derive(Default)]
pub(crate) struct Venue {
    pub(crate) orders: BTreeMap<u64, Resting>,
    queues: [BTreeMap<(u64, u64), u64>; 2],
    arrivals: u64,
    pub(crate) oracle: Option<u64>,
    pub(crate) self_trades: u64,
    pub(crate) missed_cancels: u64,
    pub(crate) fills: Vec<(u64, u64)>,
    pub(crate) refused: Vec<u64>,
}

impl Venue {
    pub(crate) fn run(&mut self, commands: &[FlowCommand]) {
        for command in commands {
            match command.action {
                Action::Place { actor, client_id, side, price, size, kind } => {
                    self.place(client_id, actor, side, price, size, kind);
                }
                Action::Modify {
                    actor, client_id, new_client_id, side, price, size, kind, ..
                } => {
                    if self.take_out(client_id) {
                        self.place(new_client_id, actor, side, price, size, kind);
                    } else {
                        self.refused.push(new_client_id);
                    }
                }
                Action::Cancel { client_id, .. } => {
                    self.missed_cancels += u64::from(!self.take_out(client_id));
                }
                Action::Oracle { price } => self.oracle = Some(price),
            }
        }
    }

    fn take_out(&mut self, id: u64) -> bool {
        let Some(order) = self.orders.remove(&id) else { return false };
        self.queues[order.side as usize].remove(&order.key());
        true
    }

    fn place(&mut self, id: u64, actor: u32, side: Side, price: u64, size: u64, kind: OrderKind) {
        assert!(size > 0 && price > 0);
        let mut left = size;
        while left > 0 {
            let first = self.queues[side.opposite() as usize].first_key_value();
            let Some((_, &maker_id)) = first else { break };
            let Some(maker) = self.orders.get_mut(&maker_id) else { break };
            if if side == Side::Bid { maker.price > price } else { maker.price < price } {
                break;
            }
            if kind == OrderKind::PostOnly {
                self.refused.push(id);
                return;
            }
            self.self_trades += u64::from(maker.actor == actor);
            let traded = left.min(maker.size);
            self.fills.push((maker_id, traded));
            self.fills.push((id, traded));
            maker.size -= traded;
            left -= traded;
            if maker.size == 0 {
                self.take_out(maker_id);
            }
        }
        if left > 0 && kind != OrderKind::Ioc {
            self.arrivals += 1;
            let order = Resting { actor, side, price, arrival: self.arrivals, size: left };
            self.queues[side as usize].insert(order.key(), id);
            self.orders.insert(id, order);
        }
    }

    pub(crate) fn tell(&mut self, flow: &mut OrderFlow) {
        self.fills.drain(..).for_each(|(id, size)| flow.on_fill(id, size));
        self.refused.drain(..).for_each(|id| flow.on_gone(id));
    }

    pub(crate) fn book(&self, side: Side) -> BTreeMap<u64, u64> {
        let mut book = BTreeMap::new();
        for order in self.orders.values().filter(|order| order.side == side) {
            *book.entry(order.price).or_default() += order.size;
        }
        book
    }
}
