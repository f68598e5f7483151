//! How a market's prices become the danger of its two sides; see the crate's documentation for
//! why this is safe.

use crate::ladder::{Ladder, Seat};
use atoll_exchange::margin::{MarginPrices, funding::FUNDING_SCALE};
use atoll_exchange::spec::MARGIN_SCALE_BOUND;
use atoll_exchange::{MarketRules, PPM, Price, ProductRules};

/// Scale × highest maintenance rate from which on a market's bounds are not trusted.
const STEEP_PPM: i128 = 750_000;

/// Something whose movement makes accounts unsafe: a market's mark, or an asset's oracle price.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Of those who lose when the price falls, and of those who lose when it rises.
    pub(crate) danger: [i128; 2],
    pub(crate) ladders: [Ladder; 2],
    /// Sides whose danger rose since they were last looked at.
    pub(crate) worse: [bool; 2],
    /// Whether nothing can be said, so that accounts must be looked at whenever anything moves.
    pub(crate) blind: bool,
}

impl Line {
    /// Moves; true if what was there can no longer be trusted.
    pub(crate) fn set(&mut self, danger: [i128; 2], blind: bool) -> bool {
        for (worse, (now, before)) in self.worse.iter_mut().zip(danger.iter().zip(&self.danger)) {
            *worse |= now > before;
        }
        self.danger = danger;
        let lost = blind && !self.blind;
        self.blind = blind;
        lost
    }

    /// The accounts that have a bound here.
    pub(crate) fn own(&self, seats: &[Seat]) -> impl Iterator<Item = u32> {
        self.ladders.iter().flat_map(|ladder| ladder.accounts(seats))
    }
}

/// A market on its way.
#[derive(Debug)]
pub(crate) struct Motion {
    pub(crate) prices: MarginPrices,
    /// What a lot is worth, × 10⁹; negative for an inverse contract.
    value: i128,
    /// What positions may have lost that their own value does not show, per lot, × 10⁹.
    penalty: i128,
    /// At least what a lot is worth at any bound of the market that is not reached, × 10⁹.
    ceiling: i128,
    /// The highest maintenance rate.
    rate_ppm: i128,
}

/// What a lot is worth, × 10⁹.
fn value(rules: &MarketRules, mark: Price) -> i128 {
    if rules.inverse {
        let lot = i128::from(rules.multiplier) * FUNDING_SCALE;
        return -lot.checked_div(i128::from(mark)).unwrap_or(0);
    }
    // Below 2⁴⁸ × 2³⁰.
    rules.value(mark, 1) * FUNDING_SCALE
}

/// The scale of maintenance requirements in force, parts per million.
pub(crate) fn scale(prices: &MarginPrices) -> i128 {
    i128::from(prices.scale_ppm.1.clamp(PPM, MARGIN_SCALE_BOUND))
}

impl Motion {
    pub(crate) fn new(rules: &MarketRules) -> Self {
        let rate_ppm = match (rules.tiers.last(), rules.kind) {
            (Some(tier), _) => tier.maintenance_ppm,
            (None, ProductRules::Perpetual { maintenance_margin_ppm, .. }) => {
                maintenance_margin_ppm
            }
            (None, ProductRules::Spot { .. }) => 0,
        };
        Self {
            prices: MarginPrices::default(),
            value: 0,
            penalty: 0,
            ceiling: 0,
            rate_ppm: rate_ppm.into(),
        }
    }

    /// What a lot is worth, × 10⁹.
    pub(crate) fn lot(&self) -> i128 {
        self.value.abs()
    }

    /// Whether requirements are multiplied by more than they were.
    pub(crate) fn is_scaled_up(&self, prices: &MarginPrices) -> bool {
        scale(prices) > scale(&self.prices)
    }

    /// Follows the market to new prices; false if its bounds can not be trusted there.
    pub(crate) fn follow(&mut self, rules: &MarketRules, prices: MarginPrices) -> bool {
        let before = std::mem::replace(&mut self.prices, prices);
        self.value = value(rules, prices.mark);
        let million = i128::from(PPM);
        let steep = scale(&prices) * self.rate_ppm / million + 1;
        if prices.mark == 0 || steep > STEEP_PPM {
            return false;
        }
        let left = million - steep;
        let funding = (prices.funding - before.funding).abs();
        let mut penalty = if funding == 0 { 0 } else { (funding / left + 1) * steep };
        let scaled = scale(&prices) - scale(&before);
        if scaled > 0 {
            let more = scaled * self.rate_ppm / million + 1;
            penalty += ((self.ceiling + funding + penalty) / left + 1) * more;
        }
        self.penalty += penalty;
        self.ceiling = (self.ceiling + funding).max(2 * self.value.abs());
        true
    }

    /// The danger of long and of short positions.
    pub(crate) fn danger(&self) -> [i128; 2] {
        let key = self.value - self.prices.funding;
        [self.penalty - key, self.penalty + key]
    }
}
