//! Decimals as recorded, parsed exactly: no floats, no rounding.

use std::cmp::Ordering;

/// The most decimals any recorded number may carry.
pub(crate) const DECIMALS_MAX: u8 = 18;

/// A non-negative decimal number `mantissa / 10^decimals` without trailing zero decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    mantissa: u64,
    decimals: u8,
}

/// Why a text is not a usable decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecimalError {
    /// Not `digits[.digits]`.
    Malformed,
    /// More digits than 64 bits or [`DECIMALS_MAX`] hold.
    Overflow,
}

impl Decimal {
    /// Parses `digits[.digits]`; no sign, no exponent, no blanks.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, DecimalError> {
        let mut parts = text.splitn(2, |&b| b == b'.');
        let whole = parts.next().unwrap_or_default();
        let fraction = parts.next();
        let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
        if !digits(whole) || !fraction.is_none_or(digits) {
            return Err(DecimalError::Malformed);
        }
        let fraction = fraction.unwrap_or_default();
        let significant = fraction.iter().rposition(|&b| b != b'0').map_or(0, |last| last + 1);
        let decimals = u8::try_from(significant).map_err(|_| DecimalError::Overflow)?;
        if decimals > DECIMALS_MAX {
            return Err(DecimalError::Overflow);
        }
        let mut mantissa = 0u64;
        for &digit in whole.iter().chain(&fraction[..significant]) {
            mantissa = mantissa
                .checked_mul(10)
                .and_then(|m| m.checked_add(u64::from(digit - b'0')))
                .ok_or(DecimalError::Overflow)?;
        }
        Ok(Self { mantissa, decimals })
    }

    /// An integer that counts units of `10^-decimals`, as Bitstamp and LOBSTER record them.
    pub(crate) fn parse_scaled(text: &[u8], decimals: u8) -> Result<Self, DecimalError> {
        let whole = Self::parse(text)?;
        if whole.decimals != 0 || text.contains(&b'.') {
            return Err(DecimalError::Malformed);
        }
        let mut scaled = Self { mantissa: whole.mantissa, decimals };
        while scaled.decimals > 0 && scaled.mantissa.is_multiple_of(10) {
            scaled.mantissa /= 10;
            scaled.decimals -= 1;
        }
        Ok(scaled)
    }

    /// Decimals that are needed to write the number exactly.
    pub(crate) const fn decimals(self) -> u8 {
        self.decimals
    }

    /// Whether the number is zero.
    pub(crate) const fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// The number in units of `10^-decimals`; `None` when it does not fit exactly.
    pub(crate) fn to_units(self, decimals: u8) -> Option<u64> {
        let missing = decimals.checked_sub(self.decimals)?;
        self.mantissa.checked_mul(10u64.checked_pow(u32::from(missing))?)
    }

    /// The order of two numbers, exact.
    pub(crate) fn compare(self, other: Self) -> Ordering {
        let scale =
            |d: Self| u128::from(d.mantissa) * 10u128.pow(u32::from(DECIMALS_MAX - d.decimals));
        scale(self).cmp(&scale(other))
    }
}

/// Writes `units` of `10^-decimals` as a decimal text, e.g. `(23647, 2)` as `236.47`.
///
/// Any number of decimals is written out; a reader of feeds accepts at most 18.
pub fn format_units(units: u64, decimals: u8) -> String {
    if decimals == 0 {
        return units.to_string();
    }
    let width = usize::from(decimals) + 1;
    let digits = format!("{units:0>width$}");
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(decimals));
    format!("{whole}.{fraction}")
}

/// Converts between units of `10^-from` and `10^-to`.
///
/// Returns the value rounded down and whether that was exact; `None` on overflow of 64 bits.
pub fn rescale(units: u64, from: u8, to: u8) -> Option<(u64, bool)> {
    if to >= from {
        let factor = 10u64.checked_pow(u32::from(to - from))?;
        return Some((units.checked_mul(factor)?, true));
    }
    match 10u64.checked_pow(u32::from(from - to)) {
        Some(factor) => Some((units / factor, units.is_multiple_of(factor))),
        None => Some((0, units == 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_exactly() {
        let parse = |t: &str| Decimal::parse(t.as_bytes());
        assert_eq!(parse("236.470"), Ok(Decimal { mantissa: 23647, decimals: 2 }));
        assert_eq!(parse("0.00"), Ok(Decimal { mantissa: 0, decimals: 0 }));
        assert_eq!(parse("100"), Ok(Decimal { mantissa: 100, decimals: 0 }));
        assert_eq!(parse("18446744073709551615").map(|d| d.mantissa), Ok(u64::MAX));
        assert_eq!(parse("18446744073709551616"), Err(DecimalError::Overflow));
        assert_eq!(parse("0.0000000000000000001"), Err(DecimalError::Overflow));
        for bad in ["", ".", "1.", ".5", "-1", "+1", "1e5", "1.2.3", " 1", "1,0", "NaN"] {
            assert_eq!(parse(bad), Err(DecimalError::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn scaled_integers_lose_only_zeros() {
        let scaled = Decimal::parse_scaled(b"200000000", 8);
        assert_eq!(scaled, Ok(Decimal { mantissa: 2, decimals: 0 }));
        assert_eq!(scaled.ok().and_then(|d| d.to_units(8)), Some(200_000_000));
        assert_eq!(Decimal::parse_scaled(b"1.0", 8), Err(DecimalError::Malformed));
    }

    #[test]
    fn units_are_exact_or_refused() {
        let price = Decimal::parse(b"236.47").unwrap_or(Decimal { mantissa: 0, decimals: 0 });
        assert_eq!(price.to_units(2), Some(23_647));
        assert_eq!(price.to_units(4), Some(2_364_700));
        assert_eq!(price.to_units(1), None);
        assert_eq!(price.to_units(18), None);
    }

    #[test]
    fn formats_and_rescales() {
        assert_eq!(format_units(23_647, 2), "236.47");
        assert_eq!(format_units(5, 3), "0.005");
        assert_eq!(format_units(5, 0), "5");
        assert_eq!(rescale(123, 2, 4), Some((12_300, true)));
        assert_eq!(rescale(123, 2, 1), Some((12, false)));
        assert_eq!(rescale(120, 2, 1), Some((12, true)));
        assert_eq!(rescale(u64::MAX, 0, 1), None);
        assert_eq!(rescale(7, 40, 0), Some((0, false)));
    }
}
