//! Price levels: insert and remove in a constant number of small objects.

use super::{Engine, invariant, less_count, less_wide};
use crate::ids::{MarketId, Price, Side, Size};
use crate::objects::{BookId, ChunkKey, LevelKey, MarketKey, RestingOrder, State};
use atoll_state::{Handle, Source};

/// The oldest order of the best level of a side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resting {
    pub(crate) market: MarketId,
    pub(crate) side: Side,
    pub(crate) price: Price,
    pub(crate) sequence: u64,
    pub(crate) order: RestingOrder,
    level: Handle,
    chunk: Handle,
}

impl Resting {
    /// The order as if it rested at another price.
    pub(crate) fn at(self, price: Price) -> Self {
        Self { price, ..self }
    }
}

/// What a taker could trade at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) filled: Size,
    pub(crate) notional: i128,
}

impl<S: Source> Engine<'_, S> {
    /// Adds an order at the end of its level, `hidden` of which it does not show; gives its sequence
    /// there.
    pub(crate) fn insert(
        &mut self,
        market: MarketId,
        side: Side,
        price: Price,
        order: RestingOrder,
        hidden: Size,
    ) -> u64 {
        let book = BookId::new(market, side);
        let State { levels, chunks, pages, tops, .. } = &mut *self.state;
        let level = levels.get_mut(&LevelKey { book, price });
        let (sequence, tail) = (level.next, level.tail);
        let (key, place) = ChunkKey::of(book, price, sequence);
        let here = key.chunk + 1;
        let first = level.count == 0;
        level.next += 1;
        level.count += 1;
        level.size += u128::from(order.size);
        level.hidden += u128::from(hidden);
        let chunk = chunks.get_mut(&key);
        chunk.put(place, order);
        if tail != here {
            chunk.prev = tail;
            level.tail = here;
            if tail == 0 {
                level.head = here;
            } else {
                chunks.get_mut(&ChunkKey { chunk: tail - 1, ..key }).next = here;
            }
        }
        if first {
            book.prices().insert(pages, price);
            let top = tops.get(&MarketKey(market));
            if top.best(side).is_none_or(|best| best != price && side.crosses(price, best)) {
                tops.get_mut(&MarketKey(market)).set_best(side, Some(price));
            }
        }
        sequence
    }

    /// The oldest order of the best level, if there is one.
    pub(crate) fn front(&mut self, market: MarketId, side: Side, price: Price) -> Option<Resting> {
        let book = BookId::new(market, side);
        let State { levels, chunks, .. } = &mut *self.state;
        let level = levels.handle(&LevelKey { book, price });
        let number = levels.at(level).head.checked_sub(1)?;
        let chunk = chunks.handle(&ChunkKey { book, price, chunk: number });
        let found = chunks.at(chunk);
        let place = found.first()?;
        let order = *found.get(place)?;
        let sequence = number << 3 | place as u64;
        Some(Resting { market, side, price, sequence, order, level, chunk })
    }

    /// Finds a resting order by its place.
    pub(crate) fn resting(
        &mut self,
        market: MarketId,
        side: Side,
        price: Price,
        sequence: u64,
    ) -> Option<Resting> {
        let book = BookId::new(market, side);
        let (key, place) = ChunkKey::of(book, price, sequence);
        let State { levels, chunks, .. } = &mut *self.state;
        // Both lookups before the first read: their latencies pass together.
        let chunk = chunks.handle(&key);
        let level = levels.handle(&LevelKey { book, price });
        let order = *chunks.at(chunk).get(place)?;
        // What was looked up counts as read, whatever becomes of it.
        levels.at(level);
        Some(Resting { market, side, price, sequence, order, level, chunk })
    }

    /// Takes part of an order out of its level.
    pub(crate) fn shrink(&mut self, resting: &Resting, by: Size) {
        let place = (resting.sequence & 7) as usize;
        let order = self.state.chunks.at_mut(resting.chunk).get_mut(place);
        order.size = super::less::<S>(order.size, by);
        let level = self.state.levels.at_mut(resting.level);
        level.size = less_wide::<S>(level.size, by.into());
    }

    /// Takes an order, `hidden` of which it does not show, out of its level, and the level out of the
    /// book if it was the last.
    pub(crate) fn remove(&mut self, resting: &Resting, hidden: Size) {
        let Resting { market, side, price, .. } = *resting;
        let book = BookId::new(market, side);
        let (key, place) = ChunkKey::of(book, price, resting.sequence);
        let State { levels, chunks, pages, tops, .. } = &mut *self.state;
        let chunk = chunks.at_mut(resting.chunk);
        chunk.clear(place);
        let emptied = chunk.is_empty();
        let (prev, next) = (chunk.prev, chunk.next);
        let level = levels.at_mut(resting.level);
        level.count = less_count::<S>(level.count, 1);
        level.size = less_wide::<S>(level.size, resting.order.size.into());
        level.hidden = less_wide::<S>(level.hidden, hidden.into());
        if !emptied {
            return;
        }
        (chunk.prev, chunk.next) = (0, 0);
        if level.count == 0 {
            invariant::<S>(prev == 0 && next == 0, "an empty level has other chunks");
            *level = crate::objects::Level::default();
            let prices = book.prices();
            prices.remove(pages, price);
            if tops.get(&MarketKey(market)).best(side) == Some(price) {
                let best = match side {
                    Side::Buy => price.checked_sub(1).and_then(|at| prices.last_to(pages, at)),
                    Side::Sell => prices.first_from(pages, price + 1),
                };
                tops.get_mut(&MarketKey(market)).set_best(side, best);
            }
            return;
        }
        if prev == 0 {
            level.head = next;
        } else {
            chunks.get_mut(&ChunkKey { chunk: prev - 1, ..key }).next = next;
        }
        if next == 0 {
            level.tail = prev;
        } else {
            chunks.get_mut(&ChunkKey { chunk: next - 1, ..key }).prev = prev;
        }
    }

    /// What a taker on `side` could trade at once, by the totals of the levels it crosses; at most
    /// as many levels as the command may have steps (what lies behind them counts as resting at
    /// the limit, which asks for more, never for less).
    pub(crate) fn plan(
        &mut self,
        rules: &crate::rules::MarketRules,
        side: Side,
        limit: Price,
        size: Size,
    ) -> Plan {
        let market = rules.market;
        let book = BookId::new(market, side.opposite());
        let State { levels, pages, tops, .. } = &mut *self.state;
        let mut plan = Plan::default();
        let mut best = tops.get(&MarketKey(market)).best(side.opposite());
        for _ in 0..self.rules.spec().limits.fills_per_command {
            let Some(price) = best.filter(|price| side.crosses(limit, *price)) else { break };
            let level = levels.get(&LevelKey { book, price });
            let there = level.size + level.hidden;
            let left = size - plan.filled;
            let take = u64::try_from(there).map_or(left, |there| there.min(left));
            plan.filled += take;
            plan.notional += rules.notional(price, take);
            if plan.filled == size {
                break;
            }
            best = book.behind(pages, side.opposite(), price);
        }
        plan
    }
}
