//! What prices are made from: rare objects of a market, touched only by ticks that have something
//! to do there, never by an order.

use super::MarketKey;
use crate::field::{Field, enumeration, record};
use crate::fixed::{ELAPSED_MAX_US, ONE, decay};
use crate::ids::{MarketStatus, Price};
use crate::spec::prices::SOURCES_BOUND;
use alloc::vec::Vec;
use atoll_state::Object;
use atoll_types::codec::{CodecError, Decode, Encode, Reader};

/// What a source told last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourcePrice {
    /// The price of the underlying in ticks; 0 if it told none yet.
    pub price: Price,
    /// The mark of the perpetual elsewhere in ticks; 0 for none.
    pub external: Price,
    /// When that was so, microseconds.
    pub time_us: u64,
}
record!(SourcePrice { price, external, time_us });

/// What the oracle's sources told of a market.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OracleSources {
    /// By the number of the source, as far as any told.
    pub told: Vec<SourcePrice>,
    /// Bit by source: those that were too far from the others at the latest look.
    pub ignored: u16,
    /// Since when there was no quorum, microseconds; 0 if there is one.
    pub stale_since_us: u64,
}

impl Encode for OracleSources {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.told.len() as u64).put(out);
        self.told.iter().for_each(|told| told.put(out));
        self.ignored.put(out);
        self.stale_since_us.put(out);
    }
}

impl Decode for OracleSources {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let count = r.length("oracle sources", SOURCES_BOUND)?;
        Ok(Self {
            told: (0..count).map(|_| Field::get(r)).collect::<Result<_, _>>()?,
            ignored: Field::get(r)?,
            stale_since_us: Field::get(r)?,
        })
    }
}

impl Object for OracleSources {
    const TAG: u8 = 30;
    const NAME: &'static str = "oracle sources";
    type Key = MarketKey;
}

/// An exponential moving average over time, as Hyperliquid defines it ("Robust price indices"): a
/// sample that held for a time t makes `sum ← sum × e^(−t/τ) + sample × t` and
/// `weight ← weight × e^(−t/τ) + t`; the average is `sum / weight`. Products with the exponential
/// are rounded toward zero, and so is the quotient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Average {
    /// Σ sample × µs, faded.
    pub sum: i128,
    /// Σ µs, faded.
    pub weight: u64,
}
record!(Average { sum, weight });

impl Average {
    /// Takes in a sample, below 2⁴⁹, that held for so long.
    pub fn update(&mut self, sample: i64, elapsed_us: u64, tau_us: u64) {
        let elapsed = elapsed_us.min(ELAPSED_MAX_US);
        let left = decay(elapsed, tau_us);
        self.sum = self.sum * i128::from(left) / i128::from(ONE);
        self.sum += i128::from(sample) * i128::from(elapsed);
        self.weight = ((u128::from(self.weight) * u128::from(left)) >> 32) as u64 + elapsed;
    }

    /// The average; none before the first sample.
    pub fn value(&self) -> Option<i64> {
        (self.weight != 0).then(|| (self.sum / i128::from(self.weight)) as i64)
    }
}

/// Averages of a market, of prices in 1/256 ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Averages {
    /// The middle of the book less the oracle, over 150 s.
    pub basis: Average,
    /// The median of best bid, best ask and last trade, over 30 s.
    pub book: Average,
    /// When they were updated last, microseconds; 0 for never.
    pub time_us: u64,
}
record!(Averages { basis, book, time_us });
impl Object for Averages {
    const TAG: u8 = 31;
    const NAME: &'static str = "price averages";
    type Key = MarketKey;
}

/// Funding of the hour that runs, and what the last one paid. Rates are parts per billion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FundingHour {
    /// The hour: microseconds since the Unix epoch / 3.6 × 10⁹, rounded down; 0 for none yet.
    pub hour: u64,
    /// Σ of its premium samples.
    pub sum: i64,
    /// Samples in it.
    pub count: u32,
    /// When the next sample is due, microseconds.
    pub next_us: u64,
    /// The latest sample.
    pub premium: i64,
    /// The rate of the latest hour that paid.
    pub rate: i64,
}
record!(FundingHour { hour, sum, count, next_us, premium, rate });
impl Object for FundingHour {
    const TAG: u8 = 32;
    const NAME: &'static str = "funding hour";
    type Key = MarketKey;
}

/// Realised volatility of a market's mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volatility {
    /// Variance of the logarithmic return of one interval, in units of 2⁻⁶⁴.
    pub variance: u128,
    /// The mark at the latest sample; 0 before the first.
    pub mark: Price,
    /// When that was, microseconds.
    pub time_us: u64,
    /// When the next sample is due, microseconds.
    pub next_us: u64,
    /// Since when the maintenance scale is below what volatility asks for; 0 if it is not.
    pub behind_since_us: u64,
}
record!(Volatility { variance, mark, time_us, next_us, behind_since_us });
impl Object for Volatility {
    const TAG: u8 = 33;
    const NAME: &'static str = "volatility";
    type Key = MarketKey;
}

/// Who made a market take only orders that reduce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Imposed {
    /// Nobody but the operator.
    #[default]
    No = 0,
    /// The sanity bounds.
    Sanity = 1,
    /// The oracle has no quorum.
    Stale = 2,
}
enumeration!(Imposed: "imposed status" { No = 0, Sanity = 1, Stale = 2 });

/// The sanity bounds of a market at work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// Since when what the sources say is not simply believed; 0 while it is.
    pub since_us: u64,
    /// From when on, or since when, the prices follow it.
    pub moved_us: u64,
    /// Why the market takes only orders that reduce.
    pub imposed: Imposed,
    /// Since when.
    pub imposed_us: u64,
    /// What it did before.
    pub before: MarketStatus,
    /// Until when the bounds are twice as wide.
    pub wide_until_us: u64,
}
record!(Guard { since_us, moved_us, imposed, imposed_us, before, wide_until_us });
impl Object for Guard {
    const TAG: u8 = 34;
    const NAME: &'static str = "price guard";
    type Key = MarketKey;
}

/// How far the search for an auction's price has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// The highest bid not matched in full, in ticks; 0 for none.
    pub bid: Price,
    /// Lots of its level not matched.
    pub bid_left: u128,
    /// The lowest ask not matched in full, in ticks; 0 for none.
    pub ask: Price,
    /// Lots of its level not matched.
    pub ask_left: u128,
    /// The highest ask matched.
    pub low: Price,
    /// The lowest bid matched.
    pub high: Price,
}
record!(Walk { bid, bid_left, ask, ask_left, low, high });

/// An auction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Auction {
    /// End of the call phase, microseconds; the largest number until somebody ends it, 0 for no
    /// auction.
    pub until_us: u64,
    /// What the market does afterwards.
    pub then: MarketStatus,
    /// The price at which it uncrosses; 0 before it is found.
    pub price: Price,
    /// The price of the latest trade in it; 0 before the first.
    pub traded_at: Price,
    /// Lots traded.
    pub volume: u128,
    /// The search for the price.
    pub walk: Walk,
}
record!(Auction { until_us, then, price, traded_at, volume, walk });
impl Object for Auction {
    const TAG: u8 = 35;
    const NAME: &'static str = "auction";
    type Key = MarketKey;
}
