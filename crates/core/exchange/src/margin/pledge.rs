//! What other collateral is worth in the collateral asset.

use crate::ids::{Amount, PPM, Price};
use crate::math::per_million;
use crate::rules::PledgeRules;

impl PledgeRules {
    /// What an amount that is not negative is worth in the collateral asset, rounded down or up.
    /// Quotient and remainder apart: a unit is worth below 2²⁰, so 2⁹⁸ of them below 2¹¹⁸.
    pub fn convert(&self, amount: Amount, price: Price, up: bool) -> Amount {
        let price = Amount::from(u128::from(price) as i128 * i128::from(self.numerator));
        let (whole, rest) = (amount / self.divisor, amount % self.divisor);
        let part = rest * price;
        let exact = part % self.divisor == 0;
        whole * price + part / self.divisor + Amount::from(up && !exact)
    }

    /// What having or owing an amount counts for: less the haircut where it is had, in full where
    /// it is owed, rounded down both times. What has no oracle price yet counts for nothing where it
    /// is had, and at the highest price where it is owed.
    pub fn collateral(&self, amount: Amount, oracle: Price) -> Amount {
        if amount >= 0 {
            let worth = self.convert(amount, oracle, false);
            return kept(worth, self.haircut_ppm);
        }
        -self.requirement(-amount, oracle)
    }

    /// What a requirement in the asset asks for in the collateral asset.
    pub fn requirement(&self, amount: Amount, oracle: Price) -> Amount {
        self.convert(amount, if oracle == 0 { self.price_max } else { oracle }, true)
    }
}

/// An amount less its haircut, rounded down: quotient and remainder apart, below 2¹¹⁸.
fn kept(worth: Amount, haircut_ppm: u32) -> Amount {
    let keep = Amount::from(PPM - haircut_ppm.min(PPM));
    let whole = per_million(worth);
    whole * keep + per_million((worth - whole * Amount::from(PPM)) * keep)
}

/// `amount × part / whole` of what is not negative, rounded up, for part ≤ whole: what a share of
/// an amount comes to where all three can be large.
pub(crate) fn share_up(amount: Amount, part: Amount, whole: Amount) -> Amount {
    if part >= whole {
        return amount;
    }
    // Both scaled down until the product fits: a share rounded up is all that is promised.
    let bits = 128 - (whole as u128).leading_zeros();
    let shift = bits.saturating_sub(60);
    let (part, whole) = ((part >> shift) + 1, (whole >> shift).max(1));
    let (q, r) = (amount / whole, amount % whole);
    (q * part + (r * part) / whole + 1).min(amount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AssetId, MarketId};

    const BTC: PledgeRules = PledgeRules {
        asset: AssetId(1),
        market: MarketId(0),
        price_max: 10_000_000,
        // A price of a tenth of a dollar in millionths of one, for 10⁻⁸ coin: 1000 / 10⁶ × 10.
        numerator: 1,
        divisor: 1_000,
        haircut_ppm: 100_000,
        cap: 0,
    };

    #[test]
    fn a_coin_counts_less_its_haircut_and_in_full_where_it_is_owed() {
        // 1 BTC at 60,000.0 dollars.
        assert_eq!(BTC.convert(100_000_000, 600_000, false), 60_000_000_000);
        assert_eq!(BTC.collateral(100_000_000, 600_000), 54_000_000_000);
        assert_eq!(BTC.collateral(-100_000_000, 600_000), -60_000_000_000);
        assert_eq!((BTC.convert(1, 600_001, false), BTC.convert(1, 600_001, true)), (600, 601));
        assert_eq!((BTC.collateral(5, 0), BTC.collateral(-1_000, 0)), (0, -10_000_000));
    }

    #[test]
    fn shares_never_fall_short() {
        for (amount, part, whole) in [(10, 1, 3), (1 << 100, 1, 3), (7, 0, 9), (5, 9, 9)] {
            let share = share_up(amount, part, whole);
            assert!(share <= amount && share >= amount / whole * part, "{share}");
        }
    }
}
