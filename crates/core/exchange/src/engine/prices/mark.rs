//! The mark: what margins are reckoned at.
//!
//! # Robust
//! As Hyperliquid's (documentation, "Robust price indices"): the median of
//! 1. oracle + the average over 150 s of (middle of the book − oracle);
//! 2. the median of best bid, best ask and last trade;
//! 3. the weighted median of marks of the same perpetual elsewhere.
//!
//! If exactly two of them exist, the average over 30 s of the second counts as the third. Where
//! Hyperliquid is silent: the first exists once there is an oracle price, without an average it is
//! the oracle; in the second what is missing counts as the oracle, and it exists once anything was
//! quoted or traded; of two prices without a third the mean counts, rounded down. Averages are of
//! prices in 1/256 ticks ([`crate::objects::Average`]) and rounded toward zero to ticks.
//!
//! It is made anew when an oracle price came in, and at least every
//! [`crate::MarkRule::Robust::interval_us`] (Hyperliquid: some 3 s, with the oracle).
//!
//! # Book
//! The second term alone, at every tick.
//!
//! Either way it stays within the mark band around the oracle. A spot market has no oracle: its
//! mark, which only serves the price band, is the median of best bid, best ask and last trade;
//! before the first trade the middle of the book; before that none.

use crate::ids::{PPM, Price};
use crate::math::median;
use crate::objects::{Averages, BookTop};
use crate::rules::{MarketRules, ProductRules};

/// Parts of a tick that averages count in.
pub(crate) const PARTS: i64 = 256;
/// Time constant of the basis' average.
const BASIS_US: u64 = 150_000_000;
/// Time constant of the book's average.
const BOOK_US: u64 = 30_000_000;

/// The median of best bid, best ask and last trade; what is missing counts as `other`.
fn book_median(top: &BookTop, other: Price) -> Price {
    let or = |price: Price| if price == 0 { other } else { price };
    median(or(top.bid), or(top.ask), or(top.last))
}

/// The mark by the book.
pub(crate) fn book(rules: &MarketRules, top: &BookTop, oracle: Price) -> Price {
    match rules.kind {
        ProductRules::Perpetual { .. } if oracle == 0 => 0,
        ProductRules::Perpetual { .. } => banded(rules, book_median(top, oracle), oracle),
        ProductRules::Spot { .. } if top.last != 0 => book_median(top, top.last),
        ProductRules::Spot { .. } if top.bid != 0 && top.ask != 0 => (top.bid + top.ask) / 2,
        ProductRules::Spot { .. } => 0,
    }
}

/// A price held to the mark band.
pub(crate) fn banded(rules: &MarketRules, price: Price, oracle: Price) -> Price {
    let ProductRules::Perpetual { mark_band_ppm, .. } = rules.kind else { return price };
    // Below 2⁴⁰ × 2²⁰.
    let band = oracle * u64::from(mark_band_ppm) / u64::from(PPM);
    price.clamp(oracle - band, (oracle + band).min(rules.price_max)).max(1)
}

/// Takes the book into the averages, as it was since they last took it. They begin with nothing:
/// the first look only starts the clock.
pub(crate) fn observe(averages: &mut Averages, top: &BookTop, oracle: Price, now_us: u64) {
    let since = core::mem::replace(&mut averages.time_us, now_us);
    if since == 0 || since >= now_us {
        return;
    }
    let elapsed = now_us - since;
    if top.bid != 0 && top.ask != 0 {
        let middle = (top.bid + top.ask) as i64 * (PARTS / 2);
        averages.basis.update(middle - oracle as i64 * PARTS, elapsed, BASIS_US);
    }
    if is_there(top) {
        let sample = book_median(top, oracle) as i64 * PARTS;
        averages.book.update(sample, elapsed, BOOK_US);
    }
}

fn is_there(top: &BookTop) -> bool {
    top.bid != 0 || top.ask != 0 || top.last != 0
}

/// The robust mark, not held to the band.
pub(crate) fn robust(
    averages: &Averages,
    top: &BookTop,
    oracle: Price,
    external: Option<Price>,
) -> Price {
    let basis = averages.basis.value().unwrap_or(0);
    let first = (oracle as i64 * PARTS + basis).max(0) as u64 / PARTS as u64;
    let second = is_there(top).then(|| book_median(top, oracle));
    let average = || averages.book.value().map(|value| value.max(0) as u64 / PARTS as u64);
    let (second, third) = match (second, external) {
        (None, None) => return first,
        (Some(second), Some(third)) => (second, third),
        (Some(one), None) | (None, Some(one)) => match average() {
            Some(average) => (one, average),
            None => return u64::midpoint(first, one),
        },
    };
    median(first, second, third)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(bid: Price, ask: Price, last: Price) -> BookTop {
        BookTop { bid, ask, last, ..BookTop::default() }
    }

    #[test]
    fn the_three_components_are_hyperliquids() {
        let mut averages = Averages::default();
        let book = top(1010, 1014, 1013);
        assert_eq!(robust(&averages, &top(0, 0, 0), 1000, None), 1000);
        assert_eq!(robust(&averages, &top(0, 0, 0), 1000, Some(1007)), 1003, "the mean of two");
        assert_eq!(robust(&averages, &book, 1000, Some(1007)), 1007);
        // A basis of 12 that held for 3 s, then one of 6 for 3 s: with d = e^(−3/150),
        // (12 × 3d + 6 × 3) / (3d + 3) = 8.97.
        observe(&mut averages, &book, 1000, 1_000_000);
        assert_eq!(averages.basis.value(), None, "the first look starts the clock");
        observe(&mut averages, &book, 1000, 4_000_000);
        assert_eq!(averages.basis.value(), Some(12 * PARTS));
        observe(&mut averages, &top(1004, 1008, 1013), 1000, 7_000_000);
        let basis = averages.basis.value().unwrap();
        assert_eq!((basis * 100 / PARTS, basis), (896, 2296));
        // First 1008, second 1013, third the 30 s average of 1013 and 1008:
        // (1013 × 3 × e^−0.1 + 1008 × 3) / (3 × e^−0.1 + 3) = 1010.4.
        assert_eq!(averages.book.value().map(|value| value * 10 / PARTS), Some(10_103));
        assert_eq!(robust(&averages, &book, 1000, None), 1010);
        assert_eq!(robust(&averages, &book, 1000, Some(1001)), 1008);
    }

    #[test]
    fn an_average_forgets() {
        let mut averages = Averages::default();
        observe(&mut averages, &top(900, 900, 900), 1000, 1);
        observe(&mut averages, &top(900, 900, 900), 1000, 60_000_001);
        assert_eq!(averages.basis.value(), Some(-100 * PARTS));
        // After 150 s of no basis, 60 s × e^−1 of −100 against 150 s: −100 × 22.07 / 172.07.
        observe(&mut averages, &top(1000, 1000, 1000), 1000, 210_000_001);
        assert_eq!(averages.basis.value().map(|value| value * 100 / PARTS), Some(-1282));
        // A day later nothing of it is left.
        observe(&mut averages, &top(1000, 1000, 1000), 1000, 90_000_000_000);
        assert_eq!(averages.basis.value(), Some(0));
    }
}
