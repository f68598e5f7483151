//! Rounding, in one place.

use crate::ids::{Amount, PPM};

/// `amount × ppm / 10⁶` rounded down and up, for amounts that are not negative.
#[inline]
pub(crate) fn parts(amount: Amount, ppm: u32) -> (Amount, Amount) {
    let product = amount * Amount::from(ppm);
    let floor = per_million(product);
    let exact = floor * Amount::from(PPM) == product;
    (floor, if exact { floor } else { floor + 1 })
}

/// `product / 10⁶` rounded down, for products that are not negative.
#[inline]
pub(crate) fn per_million(product: Amount) -> Amount {
    match u64::try_from(product) {
        // A 128-bit division costs ten times a 64-bit one, and nearly all values are small.
        Ok(small) => Amount::from(small / u64::from(PPM)),
        Err(_) => product / Amount::from(PPM),
    }
}

/// `product / 10⁶` rounded up, for products that are not negative.
#[inline]
pub(crate) fn per_million_up(product: Amount) -> Amount {
    per_million(product + Amount::from(PPM - 1))
}

/// `a × b / c` rounded down, and whether that is exact, for what is not negative, b ≤ c and c below
/// 2¹²⁵: the product may be wider than 128 bits.
pub(crate) fn mul_div(a: Amount, b: Amount, c: Amount) -> (Amount, bool) {
    let c = c.max(1);
    let b = b.min(c);
    if let Some(product) = a.checked_mul(b) {
        return (product / c, product % c == 0);
    }
    // Bit by bit of `a`: quotient and remainder double, and `b` comes in.
    let (mut quotient, mut rest) = (0, 0);
    for bit in (0..127).rev() {
        let sum = 2 * rest + if a >> bit & 1 == 1 { b } else { 0 };
        // Below 3 × c.
        quotient = 2 * quotient + sum / c;
        rest = sum % c;
    }
    (quotient, rest == 0)
}

/// The middle one of three.
pub(crate) fn median(a: u64, b: u64, c: u64) -> u64 {
    a.max(b).min(a.min(b).max(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_exact_on_both_sides_of_64_bits() {
        for amount in [0, 1, 3, 999_999, 1_000_000, 1 << 50, (1 << 87) + 12_345] {
            for ppm in [0, 1, 350, 999_999, 1_000_000] {
                let (floor, ceil) = parts(amount, ppm);
                let product = amount * Amount::from(ppm);
                assert!(floor * 1_000_000 <= product && product <= ceil * 1_000_000);
                assert_eq!(ceil - floor, Amount::from(product % 1_000_000 != 0));
                assert_eq!(per_million_up(product), ceil);
            }
        }
    }

    #[test]
    fn wide_products_are_divided_exactly() {
        assert_eq!(mul_div(10, 1, 3), (3, false));
        assert_eq!(mul_div(9, 2, 3), (6, true));
        assert_eq!(mul_div(0, 5, 9), (0, true));
        // (2¹⁰⁰ + 1) × 2⁹⁰ / 2⁹¹ = 2⁹⁹ and a half.
        assert_eq!(mul_div((1 << 100) + 1, 1 << 90, 1 << 91), (1 << 99, false));
        assert_eq!(mul_div(1 << 100, 3 << 90, 1 << 92), (3 << 98, true));
        assert_eq!(mul_div(Amount::MAX, 1 << 124, 1 << 125), (Amount::MAX / 2, false));
    }

    #[test]
    fn the_median_is_the_middle_one() {
        for (a, b, c) in [(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)] {
            assert_eq!(median(a, b, c), 2);
        }
        assert_eq!(median(1, 1, 5), 1);
    }
}
