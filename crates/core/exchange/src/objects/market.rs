//! Markets: what matching moves, and what ticks move, kept apart.

use crate::field::{Field, record};
use crate::ids::{Amount, MarketId, MarketStatus, PPM, Price, Side};
use alloc::vec::Vec;
use atoll_state::{Key, Object, Sharing};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarketPrices {
    /// The mark in ticks; 0 before there is one.
    pub mark: Price,
    /// The oracle price in ticks; 0 before there is one.
    pub oracle: Price,
    /// Time from which the next tick has more to do here than to look at the book: an oracle told
    /// a price, an average, a sample, a payment or a deadline is due. 0 for never.
    pub due_us: u64,
    /// What the market is doing.
    pub status: MarketStatus,
    /// Cumulative funding of a lot held long, in quote units × 10⁹: what a position pays is its
    /// size times how far this rose since it last paid. Longs pay when it rises.
    pub funding: i128,
    /// What initial and maintenance requirements are multiplied by, parts per million: at least
    /// 1000000 each, the second never above the first.
    pub margin_scale_ppm: (u32, u32),
}

impl Default for MarketPrices {
    fn default() -> Self {
        Self {
            mark: 0,
            oracle: 0,
            due_us: 0,
            status: MarketStatus::Open,
            funding: 0,
            margin_scale_ppm: (PPM, PPM),
        }
    }
}
record!(MarketPrices { mark, oracle, due_us, status, funding, margin_scale_ppm });

impl MarketPrices {
    /// [`MarketPrices::due_us`] of what the very next tick does.
    pub(crate) const AT_ONCE: u64 = 1;

    /// Whether a tick at this time has more to do than to look at the book.
    #[inline]
    pub fn is_due(&self, now_us: u64) -> bool {
        self.due_us != 0 && self.due_us <= now_us
    }
}

impl Object for MarketPrices {
    const TAG: u8 = 12;
    const NAME: &'static str = "market prices";
    type Key = MarketKey;
    const SHARING: Sharing = Sharing::Frozen;
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
