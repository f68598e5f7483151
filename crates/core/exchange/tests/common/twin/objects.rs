//! The twin's books and directories as the state has them.

use super::*;
use naive::Objects;
use naive::bytes::{Listed, Resting, Traded, books, directories};

impl Twin {
    /// Gives a market a position slot of an account, if it has none: the first one without position,
    /// orders and settings of its own, or a new one.
    pub(super) fn enter_slot(&mut self, at: usize, market: MarketId) {
        let owner = &self.owners[at];
        if owner.slots.contains(&market) {
            return;
        }
        let idle = |other: &MarketId| {
            let Pos { size, leverage, isolated, .. } = owner.positions[usize::from(other.0)];
            let mine = |o: &Order| o.account.0 as usize == at && o.market == *other;
            (size, leverage, isolated) == (0, 0, false) && !self.orders.iter().any(mine)
        };
        match owner.slots.iter().position(idle) {
            Some(slot) => self.owners[at].slots[slot] = market,
            None => self.owners[at].slots.push(market),
        }
    }

    /// Everything in the state that tells of open orders.
    pub(crate) fn objects(&self) -> Objects {
        let mut objects = Objects::new();
        let hidden = |o: &Order| o.remaining - self.shown(o);
        let resting = |o: &Order| Resting {
            order: o.order,
            account: o.account,
            market: o.market,
            side: o.side,
            price: o.price,
            shown: self.shown(o),
            hidden: hidden(o),
            reduce_only: o.reduce_only,
        };
        let resting: Vec<Resting> = self.orders.iter().map(resting).collect();
        let traded = |n: usize| Traded {
            last: self.venues[n].last,
            trades: self.venues[n].trades,
            open_interest: self.open_interest(n),
        };
        let traded: Vec<Traded> = (0..self.venues.len()).map(traded).collect();
        books(&resting, &self.queues, &traded, &mut objects);

        let in_books = self.orders.iter().map(|o| {
            let slots = &self.owners[o.account.0 as usize].slots;
            let slot = slots.iter().position(|market| *market == o.market);
            let extra =
                self.extras.get(&o.order).map(|(at, display, _)| (*at, *display, hidden(o)));
            Listed {
                order: *o,
                sequence: self.queues.number(o.order),
                position: slot.unwrap_or(0) as u8,
                linked: self.is_tied(o.order),
                extra,
            }
        });
        let waiting = self.waits.triggers.iter().map(|w| Listed {
            order: w.order,
            sequence: 0,
            position: 0,
            linked: self.is_tied(w.order.order),
            extra: None,
        });
        let listed: Vec<Listed> = in_books.chain(waiting).collect();
        directories(&listed, &mut objects);
        objects
    }

    /// Lots held long, by accounts and by what bankrupt ones left.
    fn open_interest(&self, n: usize) -> u128 {
        let held: u128 = self.owners.iter().map(|o| o.positions[n].size.max(0) as u128).sum();
        held + self.ladder.left(MarketId(n as u16), Side::Buy) as u128
    }
}
