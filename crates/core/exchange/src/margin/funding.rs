//! Funding as positions pay it, and interest as debts do.
//!
//! A market's cumulative funding says what one lot held long has paid since the beginning, in
//! quote units × 10⁻⁹ (Hyperliquid, documentation, "Funding": longs pay shorts while the premium
//! is positive). A position owes `size × (now − when it was last settled)`. It is settled before
//! its size changes, and what it owes is part of every check before that, so an hourly payment
//! touches no account.

use crate::ids::{Amount, PPM};
use crate::objects::Ledger;

/// Parts of a quote unit in which funding is counted.
pub const FUNDING_SCALE: i128 = 1_000_000_000;
/// Microseconds of a year of 365 days: what an interest rate is for.
pub const YEAR_US: u128 = 365 * 24 * 3600 * 1_000_000;

/// What a position pays for a change of the cumulative funding, rounded up (a receiver gets its
/// due rounded down), and how much that is above what it owes exactly, × 10⁹.
#[inline]
pub fn payment(size: i64, change: i128) -> (Amount, u32) {
    if size == 0 || change == 0 {
        return (0, 0);
    }
    slow_payment(size, change)
}

fn slow_payment(size: i64, change: i128) -> (Amount, u32) {
    let size = Amount::from(size);
    // |change| < 2⁷⁸ and |size| < 2⁴⁰: quotient and remainder apart.
    let (whole, rest) = (change.div_euclid(FUNDING_SCALE), change.rem_euclid(FUNDING_SCALE));
    let part = size * rest;
    let up = -(-part).div_euclid(FUNDING_SCALE);
    (size * whole + up, (up * FUNDING_SCALE - part) as u32)
}

impl Ledger {
    /// Books what an account paid for funding, and by how much that was rounded.
    pub(crate) fn book_funding(&mut self, paid: Amount, above: u32) {
        self.funding += paid;
        self.funding_dust += above;
        if Amount::from(self.funding_dust) >= FUNDING_SCALE {
            self.funding_dust -= FUNDING_SCALE as u32;
            self.funding -= 1;
            self.rounding += 1;
        }
    }
}

/// What is due on a debt for a change of its asset's interest index, rounded up.
pub fn interest(debt: Amount, change: u128) -> Amount {
    if debt <= 0 || change == 0 {
        return 0;
    }
    // The debt is below 2⁹⁸ and the change below 2⁷⁵: two limbs, below 2¹²⁵ each.
    let (debt, change) = (debt.unsigned_abs(), change.min(1 << 75));
    let divisor = u128::from(PPM) * YEAR_US;
    let high = (debt >> 48) * change;
    let low = ((high % divisor) << 48) + (debt & 0xffff_ffff_ffff) * change;
    (((high / divisor) << 48) + low.div_ceil(divisor)) as Amount
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payments_are_rounded_against_the_account_and_say_by_how_much() {
        for change in [1, -1, 999_999_999, 1_000_000_001, -3_500_000_000, (1 << 77) + 5] {
            for size in [1, -1, 7, -7, (1 << 40) - 1, 1 - (1 << 40)] {
                let (paid, above) = payment(size, change);
                let exact = i128::from(size) * (change % (1 << 60));
                let whole = i128::from(size) * (change - change % (1 << 60));
                // In 10⁻⁹ units, where that fits; the rest is a multiple of 2⁶⁰.
                let lhs = paid.wrapping_mul(FUNDING_SCALE).wrapping_sub(i128::from(above));
                assert_eq!(lhs, exact.wrapping_add(whole), "{size} × {change}");
                assert!(i128::from(above) < FUNDING_SCALE);
            }
        }
        assert_eq!((payment(3, 500_000_000), payment(-3, 500_000_000)).0, (2, 500_000_000));
        assert_eq!(payment(-3, 500_000_000), (-1, 500_000_000));
    }

    #[test]
    fn interest_is_exact_and_rounded_up() {
        let year = 50_000 * YEAR_US;
        assert_eq!(interest(1_000_000, year), 50_000);
        assert_eq!(interest(1_000_000, year / 2), 25_000);
        assert_eq!(interest(1, 1), 1);
        assert_eq!(interest(-5, year), 0);
        // Across the limbs: 5 % of 2⁹⁰ + 1, up.
        let debt = (1i128 << 90) + 1;
        assert_eq!(interest(debt, year), (debt * 5 + 99) / 100);
    }
}
