//! What lots are worth, and what margin their value asks for.
//!
//! | | linear | inverse |
//! | --- | --- | --- |
//! | notional of `size` at `price` | price × size × multiplier, exact | ⌊lot value × size / price⌋ |
//! | signed value of a position | the same with its sign | −lot value × size / price, rounded down |
//! | what a buy adds to the cost | + notional | − notional |
//!
//! An inverse contract is a promise of a fixed sum in the quote currency, counted in coin: a long
//! owes K / p coin a contract and gains as p rises (BitMEX, "Inverse perpetual contracts":
//! contracts × multiplier × (1 / entry − 1 / exit)). Both sides of a fill book the same rounded
//! notional, so fills move no money; a position's value is rounded against its account.

use super::{MarketRules, ProductRules, Tier};
use crate::ids::{Amount, PPM, Price, Side, Size};
use crate::math::{per_million, per_million_up};
use crate::spec::MARGIN_SCALE_BOUND;

/// Bits behind the unit in which inverse orders are reserved.
const RESERVE_BITS: u32 = 16;

impl MarketRules {
    /// What a lot costs at `price`, in quote units: below 2⁴⁸ by the spec. Linear.
    #[inline]
    fn lot_cost(&self, price: Price) -> i64 {
        (price * self.multiplier) as i64
    }

    /// The value of `size` at `price` as both sides of a fill book it, in quote units. Both are
    /// inside the bounds of [`crate::spec`], so it is below 2⁸⁸.
    #[inline]
    pub fn notional(&self, price: Price, size: Size) -> Amount {
        if self.inverse {
            return self.coins(price, size);
        }
        // Of two signed 64-bit factors, so that the compiler sees that nothing can overflow.
        Amount::from(self.lot_cost(price)) * Amount::from(size as i64)
    }

    /// The signed value of a position at `price`, in quote units.
    #[inline]
    pub fn value(&self, price: Price, size: i64) -> Amount {
        if self.inverse {
            return self.coin_value(price, size);
        }
        Amount::from(self.lot_cost(price)) * Amount::from(size)
    }

    /// What `size` at `price` is worth to requirements: never less than its value.
    #[inline]
    pub fn exposure(&self, price: Price, size: Size) -> Amount {
        if self.inverse {
            return -self.coin_value(price, size as i64);
        }
        self.notional(price, size)
    }

    #[cold]
    fn coins(&self, price: Price, size: Size) -> Amount {
        let lots = Amount::from(self.multiplier) * Amount::from(size);
        lots.checked_div(Amount::from(price)).unwrap_or(0)
    }

    #[cold]
    fn coin_value(&self, price: Price, size: i64) -> Amount {
        let lots = Amount::from(self.multiplier) * Amount::from(size);
        (-lots).checked_div_euclid(Amount::from(price)).unwrap_or(0)
    }

    /// What a fill of this notional adds to the cost basis.
    #[inline]
    pub fn paid(&self, side: Side, notional: Amount) -> Amount {
        if (side == Side::Buy) != self.inverse { notional } else { -notional }
    }

    /// What an open order of `size` at `price` adds to a position's reserves. It is exact in the
    /// size, so that an order leaves in parts as it came: quote units, and for an inverse contract
    /// parts of them.
    #[inline]
    pub fn reserved(&self, price: Price, size: Size) -> Amount {
        if self.inverse {
            let lot = u128::from(self.multiplier) << RESERVE_BITS;
            let lot = lot.checked_div(u128::from(price)).unwrap_or(0);
            // Below 2⁶⁴ × 2⁴⁰.
            return lot as Amount * Amount::from(size);
        }
        self.notional(price, size)
    }

    /// Reserves in quote units.
    #[inline]
    pub fn reserves(&self, sum: Amount) -> Amount {
        if self.inverse { sum >> RESERVE_BITS } else { sum }
    }

    /// `exposure × ppm`, for sizes below 2⁴²: their product with parts per million is below 2⁶².
    #[inline]
    pub(crate) fn weighted(&self, price: Price, size: Size, ppm: u32) -> Amount {
        if self.inverse {
            return self.exposure(price, size) * Amount::from(ppm);
        }
        Amount::from(self.lot_cost(price)) * Amount::from((size * u64::from(ppm)) as i64)
    }

    /// The tier of a position worth so much.
    pub fn tier(&self, value: Amount) -> Option<&Tier> {
        self.tiers.iter().rev().find(|tier| tier.lower_bound <= value)
    }

    /// The initial margin that a position worth so much asks for at a leverage, in parts per
    /// million of its value. Hyperliquid (documentation, "Margin tiers"): leverage is bounded by
    /// the tier of the whole position.
    pub fn initial_ppm(&self, value: Amount, leverage: u8) -> u32 {
        let market = match (self.tier(value), self.kind) {
            (Some(tier), _) => tier.initial_ppm,
            (None, ProductRules::Perpetual { initial_margin_ppm, .. }) => initial_margin_ppm,
            (None, ProductRules::Spot { .. }) => 0,
        };
        initial_fraction(market, leverage)
    }

    /// The maintenance margin of a position worth so much, × 10⁶, and not scaled.
    ///
    /// Hyperliquid (documentation, "Margin tiers"): value × rate − deduction, where deduction(0) =
    /// 0 and deduction(n) = deduction(n − 1) + lower bound(n) × (rate(n) − rate(n − 1)): each part
    /// of the value pays the rate of its own tier.
    pub fn maintenance_weighted(&self, value: Amount) -> Amount {
        match (self.tier(value), self.kind) {
            (Some(tier), _) => value * Amount::from(tier.maintenance_ppm) - tier.deduction,
            (None, ProductRules::Perpetual { maintenance_margin_ppm, .. }) => {
                value * Amount::from(maintenance_margin_ppm)
            }
            (None, ProductRules::Spot { .. }) => 0,
        }
    }
}

/// The initial fraction at the leverage chosen.
#[inline]
pub(crate) fn initial_fraction(market_ppm: u32, leverage: u8) -> u32 {
    if leverage == 0 { market_ppm } else { market_ppm.max(PPM.div_ceil(u32::from(leverage))) }
}

/// `weighted × scale / 10⁶` rounded up, where a scale below a million counts as one: quotient and
/// remainder apart, so below 2⁸⁸ × 2²⁷.
#[inline]
pub(crate) fn scaled(weighted: Amount, scale_ppm: u32) -> Amount {
    if scale_ppm <= PPM {
        return weighted;
    }
    let scale = Amount::from(scale_ppm.min(MARGIN_SCALE_BOUND));
    let whole = per_million(weighted);
    let rest = weighted - whole * Amount::from(PPM);
    whole * scale + per_million_up(rest * scale)
}
