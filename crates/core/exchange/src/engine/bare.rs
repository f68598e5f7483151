//! Matching alone: the book that the exchange runs on, without what stands around it.
//!
//! The same objects, the same insert, take and remove as an exchange's own commands; no accounts,
//! margin, directories, fees or market rules. For measuring the book beside other people's books,
//! and for histories that compare books: an exchange never runs on it.
//!
//! What the caller keeps in place of the directory is the [`Place`] of each order that rests.

use super::Engine;
use crate::event::Event;
use crate::ids::{AccountId, MarketId, OrderId, Price, Side, Size};
use crate::objects::{MarketKey, RestingOrder, State};
use crate::rules::Rules;
use alloc::vec::Vec;
use atoll_state::Source;

/// Where an order rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its side.
    pub side: Side,
    /// Its price.
    pub price: Price,
    /// Its sequence in the price level.
    pub sequence: u64,
}

/// Two orders traded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    /// The order that rested.
    pub maker: OrderId,
    /// The order that came in.
    pub taker: OrderId,
    /// Price of the resting order.
    pub price: Price,
    /// Size in lots.
    pub size: Size,
    /// What is still open of the resting order.
    pub remaining: Size,
}

/// An order for a [`BareBook`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BareOrder {
    /// Its number, the caller's choice.
    pub order: OrderId,
    /// Whose, the caller's choice.
    pub account: AccountId,
    /// Buy or sell.
    pub side: Side,
    /// Limit price in ticks, at least 1.
    pub price: Price,
    /// Size in lots, at least 1.
    pub size: Size,
    /// Whether what does not trade at once is dropped.
    pub immediate: bool,
}

/// One market's book, alone.
pub struct BareBook<'a, S: Source> {
    engine: Engine<'a, S>,
    market: MarketId,
}

impl<'a, S: Source> BareBook<'a, S> {
    pub(crate) fn new(
        rules: &'a Rules,
        state: &'a mut State<S>,
        events: &'a mut Vec<Event>,
        market: MarketId,
    ) -> Self {
        Self { engine: Engine { rules, state, events, command: 0, time_us: 0 }, market }
    }

    /// Trades an order against the other side, price by price and oldest first; what remains
    /// rests, unless it is immediate. Gives where.
    pub fn add(&mut self, order: &BareOrder, trades: &mut Vec<Trade>) -> Option<Place> {
        let BareOrder { side, price, .. } = *order;
        let mut remaining = order.size;
        while remaining > 0 {
            let best = self.best(side.opposite());
            let Some(best) = best.filter(|best| side.crosses(price, *best)) else { break };
            let Some(resting) = self.engine.front(self.market, side.opposite(), best) else {
                break;
            };
            let size = remaining.min(resting.order.size);
            if size == resting.order.size {
                self.engine.remove(&resting, 0);
            } else {
                self.engine.shrink(&resting, size);
            }
            remaining -= size;
            let top = self.engine.state.tops.get_mut(&MarketKey(self.market));
            top.trades += 1;
            top.last = best;
            trades.push(Trade {
                maker: resting.order.order,
                taker: order.order,
                price: best,
                size,
                remaining: resting.order.size - size,
            });
        }
        (remaining > 0 && !order.immediate).then(|| {
            let resting = RestingOrder {
                order: order.order,
                account: order.account,
                size: remaining,
                ..RestingOrder::default()
            };
            Place {
                side,
                price,
                sequence: self.engine.insert(self.market, side, price, resting, 0),
            }
        })
    }

    /// Takes an order out of the book; gives it as it was, `None` if it does not rest any more.
    pub fn cancel(&mut self, order: OrderId, place: Place) -> Option<RestingOrder> {
        let Place { side, price, sequence } = place;
        let resting = self.engine.resting(self.market, side, price, sequence)?;
        (resting.order.order == order).then(|| {
            self.engine.remove(&resting, 0);
            resting.order
        })
    }

    /// The best price of a side.
    pub fn best(&mut self, side: Side) -> Option<Price> {
        self.engine.state.tops.get(&MarketKey(self.market)).best(side)
    }
}
