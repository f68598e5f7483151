//! A naive matching venue: the twin that order flow is tested against. Compiled into the unit tests
//! and the integration test, which import the names it uses.

use super::{Action, BTreeMap, FlowCommand, OrderFlow, OrderKind, Side};

/// Price-time priority on a plain list of orders in order of arrival.
#[derive(Default)]
pub(crate) struct Venue {
    /// client id, actor, side, price, size.
    pub(crate) orders: Vec<(u64, u32, Side, u64, u64)>,
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
                } => match self.orders.iter().position(|o| o.0 == client_id) {
                    Some(at) => {
                        self.orders.remove(at);
                        self.place(new_client_id, actor, side, price, size, kind);
                    }
                    None => self.refused.push(new_client_id),
                },
                Action::Cancel { client_id, .. } => {
                    match self.orders.iter().position(|o| o.0 == client_id) {
                        Some(at) => drop(self.orders.remove(at)),
                        None => self.missed_cancels += 1,
                    }
                }
                Action::Oracle { price } => self.oracle = Some(price),
            }
        }
    }

    fn place(&mut self, id: u64, actor: u32, side: Side, price: u64, size: u64, kind: OrderKind) {
        assert!(size > 0 && price > 0);
        let mut left = size;
        loop {
            let crossing = self.orders.iter().enumerate().filter(|(_, o)| {
                o.2 != side && if side == Side::Bid { o.3 <= price } else { o.3 >= price }
            });
            let best = crossing
                .min_by_key(|(at, o)| (if side == Side::Bid { o.3 } else { u64::MAX - o.3 }, *at));
            let Some((at, _)) = best.filter(|_| left > 0) else { break };
            if kind == OrderKind::PostOnly {
                self.refused.push(id);
                return;
            }
            let maker = &mut self.orders[at];
            self.self_trades += u64::from(maker.1 == actor);
            let traded = left.min(maker.4);
            self.fills.push((maker.0, traded));
            self.fills.push((id, traded));
            maker.4 -= traded;
            left -= traded;
            if maker.4 == 0 {
                self.orders.remove(at);
            }
        }
        if left > 0 && kind != OrderKind::Ioc {
            self.orders.push((id, actor, side, price, left));
        }
    }

    pub(crate) fn tell(&mut self, flow: &mut OrderFlow) {
        self.fills.drain(..).for_each(|(id, size)| flow.on_fill(id, size));
        self.refused.drain(..).for_each(|id| flow.on_gone(id));
    }

    pub(crate) fn book(&self, side: Side) -> BTreeMap<u64, u64> {
        let mut book = BTreeMap::new();
        for order in self.orders.iter().filter(|o| o.2 == side) {
            *book.entry(order.3).or_default() += order.4;
        }
        book
    }
}
