//! The oracle price: the weighted median of the sources that are fresh and agree.
//!
//! As Hyperliquid's oracle (documentation, "Oracle": the weighted median of what the validators
//! submit), with two rules of ours:
//! * a source whose price is [`OracleSpec::stale_us`] old or older does not count;
//! * of the lowest and the highest price, the one that is farther from the weighted median of the
//!   *others* is left out if it is farther than [`OracleSpec::deviation_ppm`], and so on with what
//!   remains. How far two prices are from one another is the larger over the smaller, less one: so
//!   zero is infinitely far, and one wrong source among three drags no honest one out. Whatever it
//!   says, that is about twice as far from the honest ones' median as they are from a median that
//!   it moves. Of two equally far the higher is left out.
//!
//! Where what is left weighs less than the quorum, there is no price: the oracle stays.
//!
//! The weighted median of prices in ascending order is the first one up to which more than half of
//! the weight lies; where exactly half of it lies up to a price, the mean of that one and the next,
//! rounded down.

use crate::ids::{PPM, Price};
use crate::objects::OracleSources;
use crate::spec::prices::OracleSpec;
use alloc::vec::Vec;

/// What the sources of a market say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Consensus {
    /// The oracle price, if there is a quorum.
    pub(crate) price: Option<Price>,
    /// The weighted median of the external marks that the same sources told, if any did.
    pub(crate) external: Option<Price>,
    /// Bit by source: fresh, but too far from the others.
    pub(crate) ignored: u16,
    /// When the first of the fresh sources is no longer; 0 for never.
    pub(crate) until_us: u64,
    /// The median of those that count, whatever their weight; 0 if none does.
    pub(crate) median: Price,
}

/// A price with its weight and source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Vote {
    price: Price,
    weight: u32,
    source: u8,
}

/// The weighted median of votes in ascending order of prices.
fn median(votes: &[Vote]) -> Option<Price> {
    let total: u64 = votes.iter().map(|vote| u64::from(vote.weight)).sum();
    let mut below = 0;
    for (at, vote) in votes.iter().enumerate() {
        below += u64::from(vote.weight);
        if 2 * below == total
            && let Some(next) = votes.get(at + 1)
        {
            return Some((vote.price + next.price) / 2);
        }
        if 2 * below >= total {
            return Some(vote.price);
        }
    }
    None
}

/// How far two prices are from one another: a fraction.
fn apart(a: Price, b: Price) -> (u128, u128) {
    (a.abs_diff(b).into(), a.min(b).max(1).into())
}

/// Leaves out what is too far from the others; gives the sources left out.
fn leave_out(votes: &mut Vec<Vote>, deviation_ppm: u32) -> u16 {
    let mut ignored = 0;
    while deviation_ppm != 0 && votes.len() > 1 {
        // The farthest is the lowest or the highest.
        let last = votes.len() - 1;
        let (Some(low), Some(high)) = (median(&votes[1..]), median(&votes[..last])) else { break };
        let (lowest, highest) = (apart(votes[0].price, low), apart(votes[last].price, high));
        let drop_lowest = lowest.0 * highest.1 > highest.0 * lowest.1;
        let far = if drop_lowest { lowest } else { highest };
        if far.0 * u128::from(PPM) <= far.1 * u128::from(deviation_ppm) {
            break;
        }
        let dropped = votes.remove(if drop_lowest { 0 } else { last });
        ignored |= 1 << dropped.source;
    }
    ignored
}

/// What the sources say together at a time.
pub(crate) fn consensus(spec: &OracleSpec, sources: &OracleSources, now_us: u64) -> Consensus {
    let mut votes = Vec::with_capacity(sources.told.len());
    let mut found = Consensus::default();
    for ((source, told), weight) in (0u8..).zip(&sources.told).zip(&spec.weights) {
        let until_us = told.time_us.saturating_add(spec.stale_us);
        if told.price == 0 || (spec.stale_us != 0 && until_us <= now_us) {
            continue;
        }
        if spec.stale_us != 0 && (found.until_us == 0 || until_us < found.until_us) {
            found.until_us = until_us;
        }
        votes.push(Vote { price: told.price, weight: *weight, source });
    }
    votes.sort_unstable();
    found.ignored = leave_out(&mut votes, spec.deviation_ppm);
    let weight: u64 = votes.iter().map(|vote| u64::from(vote.weight)).sum();
    found.median = median(&votes).unwrap_or(0);
    if weight < u64::from(spec.quorum) {
        return found;
    }
    found.price = median(&votes);
    let external = |vote: &Vote| {
        let price = sources.told.get(usize::from(vote.source))?.external;
        (price != 0).then_some(Vote { price, ..*vote })
    };
    let mut marks: Vec<Vote> = votes.iter().filter_map(external).collect();
    marks.sort_unstable();
    found.external = median(&marks);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::SourcePrice;

    fn told(prices: &[Price]) -> OracleSources {
        let told =
            prices.iter().map(|price| SourcePrice { price: *price, external: 0, time_us: 10 });
        OracleSources { told: told.collect(), ..OracleSources::default() }
    }

    fn spec(weights: &[u32], deviation_ppm: u32, quorum: u32) -> OracleSpec {
        let (weights, stale_us) = (weights.to_vec(), 100);
        OracleSpec { weights, stale_us, deviation_ppm, quorum, reduce_only_after_us: 0 }
    }

    #[test]
    fn the_median_is_weighted() {
        // Hyperliquid's weights of spot venues: Binance 3, OKX 2, Bybit 2, four of 1.
        let spec = spec(&[3, 2, 2, 1, 1, 1, 1], 0, 1);
        let sources = told(&[1000, 1002, 1004, 900, 901, 1100, 1101]);
        // In order: 900 901 1000×3 1002×2 …: the sixth of eleven is 1002.
        assert_eq!(consensus(&spec, &sources, 10).price, Some(1002));
        // Without the last, half of ten lies up to 1000: the mean of 1000 and 1002.
        let sources = told(&[1000, 1002, 1004, 900, 901, 1100]);
        assert_eq!(consensus(&spec, &sources, 10).price, Some(1001));
    }

    #[test]
    fn a_wrong_source_is_left_out_however_wrong() {
        let spec = spec(&[1, 1, 1], 20_000, 2);
        for wrong in [1, 500, 979, 1021, 1_000_000, 1 << 39] {
            let found = consensus(&spec, &told(&[1000, wrong, 1001]), 10);
            assert_eq!((found.price, found.ignored), (Some(1000), 0b10), "{wrong}");
        }
        let found = consensus(&spec, &told(&[1000, 985, 1001]), 10);
        assert_eq!((found.price, found.ignored), (Some(1000), 0));
        // Two that disagree: one of them is left out, and what is left is no quorum.
        let found = consensus(&spec, &told(&[1000, 2000]), 10);
        assert_eq!((found.price, found.median), (None, 1000));
    }

    #[test]
    fn what_is_stale_does_not_count() {
        let spec = spec(&[1, 1, 1], 0, 2);
        let mut sources = told(&[1000, 1010, 1020]);
        sources.told[2].time_us = 60;
        let found = consensus(&spec, &sources, 109);
        assert_eq!((found.price, found.until_us), (Some(1010), 110));
        let found = consensus(&spec, &sources, 110);
        assert_eq!((found.price, found.median, found.until_us), (None, 1020, 160));
    }

    #[test]
    fn external_marks_have_the_weights_of_who_told_them() {
        let spec = spec(&[1, 3, 1], 0, 1);
        let mut sources = told(&[1000, 1000, 1000]);
        assert_eq!(consensus(&spec, &sources, 10).external, None);
        for (told, external) in sources.told.iter_mut().zip([990, 1003, 0]) {
            told.external = external;
        }
        assert_eq!(consensus(&spec, &sources, 10).external, Some(1003));
    }
}
