//! Scores: ratios of amounts as small floating numbers in integers, so that they can be members of
//! an ordered set and compare the same everywhere.

use crate::ids::Amount;

/// A number above zero: mantissa in [2⁶², 2⁶³), times 2^exponent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio {
    mantissa: u64,
    exponent: i32,
}

impl Ratio {
    /// An amount above zero.
    pub(super) fn of(amount: Amount) -> Self {
        let amount = amount.max(1).unsigned_abs();
        let shift = 65 - amount.leading_zeros() as i32;
        let mantissa = match u32::try_from(shift) {
            Ok(right) => amount >> right,
            Err(_) => amount << shift.unsigned_abs(),
        };
        Self { mantissa: mantissa as u64, exponent: shift }
    }

    pub(super) fn times(self, other: Self) -> Self {
        let product = u128::from(self.mantissa) * u128::from(other.mantissa);
        Self::of((product >> 1) as Amount).scaled(1 + self.exponent + other.exponent)
    }

    pub(super) fn over(self, other: Self) -> Self {
        let quotient = (u128::from(self.mantissa) << 64) / u128::from(other.mantissa);
        Self::of((quotient >> 1) as Amount).scaled(1 - 64 + self.exponent - other.exponent)
    }

    fn scaled(self, by: i32) -> Self {
        Self { exponent: self.exponent + by, ..self }
    }

    /// As a member: `powers` bits of exponent, of which 2^-`bias` is the lowest, and `bits` of
    /// mantissa. What is below or above that range is the lowest or the highest number.
    pub(super) fn quantised(self, bias: i32, powers: u32, bits: u32) -> u64 {
        // The number is mantissa × 2^exponent = 1.… × 2^(exponent + 62).
        let exponent = self.exponent + 62 + bias;
        if exponent < 0 {
            return 0;
        }
        if exponent >= 1 << powers {
            return (1 << (powers + bits)) - 1;
        }
        let fraction = self.mantissa & ((1 << 62) - 1);
        (exponent as u64) << bits | fraction >> (62 - bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_monotone() {
        let mut last = 0;
        for n in 1..5000i128 {
            let score = Ratio::of(n * n).over(Ratio::of(1000)).quantised(32, 6, 18);
            assert!(score >= last, "{n}");
            last = score;
        }
        let score = |a: i128, b: i128, c: i128| {
            Ratio::of(a).times(Ratio::of(b)).over(Ratio::of(c)).quantised(32, 6, 18)
        };
        // 3 × 5 / 15 is one: exponent 32, no fraction.
        assert_eq!(score(3, 5, 15), 32 << 18);
        assert_eq!(score(1 << 90, 1 << 80, 1 << 100), (64 << 18) - 1);
        assert_eq!(score(1, 1, 1 << 100), 0);
        assert_eq!(score(6, 1, 4), 32 << 18 | 1 << 17);
    }
}
