//! Markets: what matching moves, and what ticks move, kept apart.

use crate::field::{Field, record};
use crate::ids::{Amount, MarketId, MarketStatus, Price, Side};
use alloc::vec::Vec;
use atoll_state::{Key, Object};
use atoll_types::codec::{CodecError, Decode, Encode, Reader};

/// The key of what a market has one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MarketKey(pub MarketId);
impl Encode for MarketKey {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
}
impl Decode for MarketKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self(Field::get(r)?))
    }
}
impl Key for MarketKey {
    #[inline]
    fn dense(&self) -> Option<u32> {
        Some(u32::from(self.0.0))
    }
}

/// What matching moves: rewritten by a place only when it improves a best price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BookTop {
    /// Highest bid in ticks; 0 for none.
    pub bid: Price,
    /// Lowest ask in ticks; 0 for none.
    pub ask: Price,
    /// Price of the last trade in ticks; 0 before the first.
    pub last: Price,
    /// Trades so far.
    pub trades: u64,
    /// Lots held long, which is the lots held short; zero for spot.
    pub open_interest: u128,
}
record!(BookTop { bid, ask, last, trades, open_interest });

impl BookTop {
    /// The best price of a side.
    #[inline]
    pub fn best(&self, side: Side) -> Option<Price> {
        let best = match side {
            Side::Buy => self.bid,
            Side::Sell => self.ask,
        };
        (best != 0).then_some(best)
    }

    pub(crate) fn set_best(&mut self, side: Side, price: Option<Price>) {
        *match side {
            Side::Buy => &mut self.bid,
            Side::Sell => &mut self.ask,
        } = price.unwrap_or(0);
    }
}

impl Object for BookTop {
    const TAG: u8 = 11;
    const NAME: &'static str = "book top";
    type Key = MarketKey;
}

/// What ticks move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarketPrices {
    /// The mark in ticks; 0 before there is one.
    pub mark: Price,
    /// The oracle price in ticks; 0 before there is one.
    pub oracle: Price,
    /// The oracle price from the next tick on; 0 for no news.
    pub next_oracle: Price,
    /// What the market is doing.
    pub status: MarketStatus,
    /// Cumulative funding: what one lot held long has paid so far, in quote units × 10⁻⁹; inside
    /// ±[`crate::spec::FUNDING_BOUND`].
    pub funding: i128,
    /// What initial requirements are multiplied by, parts per million; less than a million counts
    /// as a million.
    pub initial_scale_ppm: u32,
    /// What maintenance requirements are multiplied by.
    pub maintenance_scale_ppm: u32,
}
record!(MarketPrices {
    mark,
    oracle,
    next_oracle,
    status,
    funding,
    initial_scale_ppm,
    maintenance_scale_ppm,
});
impl Object for MarketPrices {
    const TAG: u8 = 12;
    const NAME: &'static str = "market prices";
    type Key = MarketKey;
}

/// The positions of a settled market that were closed, taken together: what those that are still
/// open stand against. Zero once all are closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// Lots, negative for short.
    pub size: i128,
    /// What they were closed at, in quote units.
    pub cost: Amount,
}
record!(Settlement { size, cost });
impl Object for Settlement {
    const TAG: u8 = 16;
    const NAME: &'static str = "settlement";
    type Key = MarketKey;
}
