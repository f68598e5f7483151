//! A book alone, twice: one trait, a list of orders that is searched in full for each step, and the
//! book that the exchange runs on.

use super::bytes::{Resting, Traded, books};
use super::queues::Queues;
use super::*;

/// The market that a book alone is of.
pub(crate) const MARKET: MarketId = MarketId(0);

/// What every implementation of a book does. `tests/books.rs` says how.
pub(crate) trait Book {
    fn new() -> Self;
    /// Trades an order, price by price and oldest first; whether what is left of it rests.
    fn add(&mut self, order: &BareOrder) -> (Vec<Trade>, bool);
    /// Takes an order out; gives what was open of it, if it is there.
    fn cancel(&mut self, order: OrderId) -> Option<Size>;
    fn best(&mut self, side: Side) -> Option<Price>;
    /// Best first.
    fn levels(&mut self, side: Side) -> Vec<LevelView>;
    /// Oldest first.
    fn queue(&mut self, side: Side, price: Price) -> Vec<(AccountId, OrderId, Size)>;
    /// All of it as the state has it.
    fn objects(&mut self) -> Objects;
}

#[derive(Clone, Copy, Debug)]
struct Open {
    order: OrderId,
    account: AccountId,
    side: Side,
    price: Price,
    left: Size,
}

/// Open orders in order of arrival.
#[derive(Clone, Default)]
pub(crate) struct Naive {
    orders: Vec<Open>,
    pub(crate) queues: Queues,
    pub(crate) traded: Traded,
}

impl Naive {
    /// Whether an order would trade at once.
    pub(crate) fn crosses(&self, side: Side, limit: Price) -> bool {
        self.orders.iter().any(|open| meets(side, limit, open))
    }

    /// Whose an order is.
    pub(crate) fn owner(&self, order: OrderId) -> Option<AccountId> {
        self.orders.iter().find(|open| open.order == order).map(|open| open.account)
    }

    fn side(&self, side: Side) -> impl Iterator<Item = &Open> {
        self.orders.iter().filter(move |open| open.side == side)
    }
}

fn meets(side: Side, limit: Price, open: &Open) -> bool {
    open.side != side && if side == Side::Buy { open.price <= limit } else { open.price >= limit }
}

/// Less is better.
fn rank(side: Side, price: Price) -> u64 {
    if side == Side::Buy { u64::MAX - price } else { price }
}

impl Book for Naive {
    fn new() -> Self {
        Self::default()
    }

    fn add(&mut self, order: &BareOrder) -> (Vec<Trade>, bool) {
        let BareOrder { side, price, account, order: taker, .. } = *order;
        let (mut trades, mut left) = (Vec::new(), order.size);
        while left > 0 {
            // The first of the best price: `min_by_key` gives the first of equals.
            let there = self.orders.iter_mut().filter(|open| meets(side, price, open));
            let Some(best) = there.min_by_key(|open| rank(open.side, open.price)) else { break };
            let size = left.min(best.left);
            best.left -= size;
            left -= size;
            let Open { order: maker, price, left: remaining, .. } = *best;
            trades.push(Trade { maker, taker, price, size, remaining });
            self.traded.trades += 1;
            self.traded.last = price;
            if remaining == 0 {
                self.orders.retain(|open| open.left > 0);
                self.queues.leave(maker);
            }
        }
        let rests = left > 0 && !order.immediate;
        if rests {
            self.orders.push(Open { order: taker, account, side, price, left });
            self.queues.arrive(taker, MARKET, side, price);
        }
        (trades, rests)
    }

    fn cancel(&mut self, order: OrderId) -> Option<Size> {
        let at = self.orders.iter().position(|open| open.order == order)?;
        self.queues.leave(order);
        Some(self.orders.remove(at).left)
    }

    fn best(&mut self, side: Side) -> Option<Price> {
        self.side(side).map(|open| open.price).min_by_key(|price| rank(side, *price))
    }

    fn levels(&mut self, side: Side) -> Vec<LevelView> {
        let mut levels: BTreeMap<u64, LevelView> = BTreeMap::new();
        for Open { price, left, .. } in self.side(side) {
            let new = LevelView { price: *price, size: 0, count: 0 };
            let level = levels.entry(rank(side, *price)).or_insert(new);
            level.size += u128::from(*left);
            level.count += 1;
        }
        levels.into_values().collect()
    }

    fn queue(&mut self, side: Side, price: Price) -> Vec<(AccountId, OrderId, Size)> {
        let there = self.side(side).filter(|open| open.price == price);
        there.map(|open| (open.account, open.order, open.left)).collect()
    }

    fn objects(&mut self) -> Objects {
        let resting = self.orders.iter().map(|open| Resting {
            order: open.order,
            account: open.account,
            market: MARKET,
            side: open.side,
            price: open.price,
            shown: open.left,
            hidden: 0,
            reduce_only: false,
        });
        let (resting, mut objects) = (resting.collect::<Vec<_>>(), Objects::new());
        books(&resting, &self.queues, &[self.traded], &mut objects);
        objects
    }
}

/// The exchange's own book.
pub(crate) struct Fast {
    exchange: Exchange<Resident>,
    places: BTreeMap<OrderId, Place>,
    events: Vec<Event>,
}

impl Fast {
    fn book(&mut self) -> BareBook<'_, Resident> {
        self.exchange.bare_book(MARKET, &mut self.events)
    }
}

impl Book for Fast {
    fn new() -> Self {
        let mut exchange = Exchange::new(Rules::new(spec()).unwrap(), 7);
        object::begin(&mut exchange);
        Self { exchange, places: BTreeMap::new(), events: Vec::new() }
    }

    fn add(&mut self, order: &BareOrder) -> (Vec<Trade>, bool) {
        let mut trades = Vec::new();
        let place = self.book().add(order, &mut trades);
        assert!(self.events.is_empty(), "a book alone tells nothing");
        if let Some(place) = place {
            self.places.insert(order.order, place);
        }
        (trades, place.is_some())
    }

    fn cancel(&mut self, order: OrderId) -> Option<Size> {
        // Where it came to rest; another order may be there by now.
        let place = *self.places.get(&order)?;
        self.book().cancel(order, place).map(|found| found.size)
    }

    fn best(&mut self, side: Side) -> Option<Price> {
        self.book().best(side)
    }

    fn levels(&mut self, side: Side) -> Vec<LevelView> {
        self.exchange.peek_levels(MARKET, side, usize::MAX)
    }

    fn queue(&mut self, side: Side, price: Price) -> Vec<(AccountId, OrderId, Size)> {
        self.exchange.peek_queue(MARKET, side, price, usize::MAX)
    }

    /// Ends the range and begins another one: what a table remembers of a range changes nothing.
    fn objects(&mut self) -> Objects {
        object::seal(&mut self.exchange, &mut WriteSet::default(), None);
        object::begin(&mut self.exchange);
        exported(&mut self.exchange)
    }
}
