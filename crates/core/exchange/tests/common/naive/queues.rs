//! The numbers that orders get in their price levels.
//!
//! A level numbers its orders from 0 as they come. When its last order leaves, the level is gone:
//! the next one begins anew. An iceberg that shows its next part leaves and comes again.

use super::*;

/// Market, side and price.
pub(crate) type Place = (u16, bool, u64);

#[derive(Clone, Default)]
pub(crate) struct Queues {
    /// How many came to each level that has orders.
    pub came: BTreeMap<Place, u64>,
    /// The level and the number there of each order in a book.
    pub orders: BTreeMap<OrderId, (Place, u64)>,
}

impl Queues {
    pub(crate) fn arrive(&mut self, order: OrderId, market: MarketId, side: Side, price: Price) {
        let place = (market.0, side == Side::Sell, price);
        let next = self.came.entry(place).or_default();
        let before = self.orders.insert(order, (place, *next));
        assert!(before.is_none(), "{order} comes twice");
        *next += 1;
    }

    pub(crate) fn leave(&mut self, order: OrderId) {
        let (place, _) = self.orders.remove(&order).unwrap();
        if self.orders.values().all(|(other, _)| *other != place) {
            self.came.remove(&place);
        }
    }

    /// The order's number in its level.
    pub(crate) fn number(&self, order: OrderId) -> u64 {
        self.orders[&order].1
    }
}
