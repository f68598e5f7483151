//! Decimal numbers of the API, exactly.

use alloc::string::String;

/// Longest decimal accepted, in characters.
pub const DECIMAL_CHARS_MAX: usize = 48;

/// A non-negative decimal number: `mantissa / 10^scale`, without trailing zeros after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    mantissa: u128,
    scale: u32,
}

/// Why a decimal is no number of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepError {
    /// It lies between two steps.
    Off,
    /// It is too large.
    Overflow,
}

impl Decimal {
    /// `units / 10^scale`.
    pub fn fixed(units: u64, scale: u32) -> Self {
        let mut decimal = Self { mantissa: units.into(), scale };
        while decimal.scale > 0 && decimal.mantissa.is_multiple_of(10) {
            decimal.mantissa /= 10;
            decimal.scale -= 1;
        }
        decimal
    }

    /// Reads digits with at most one point between them. `None` for anything else: signs,
    /// exponents, spaces, a missing digit before or after the point, or more than 38 digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > DECIMAL_CHARS_MAX {
            return None;
        }
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (text, ""),
        };
        if whole.is_empty() {
            return None;
        }
        let fraction_digits = fraction.trim_end_matches('0');
        let mut mantissa = 0u128;
        for digit in whole.bytes().chain(fraction_digits.bytes()) {
            if !digit.is_ascii_digit() {
                return None;
            }
            mantissa = mantissa.checked_mul(10)?.checked_add(u128::from(digit - b'0'))?;
        }
        Some(Self { mantissa, scale: fraction_digits.len() as u32 })
    }

    /// The number as a count of steps of `step / 10^decimals` each.
    pub fn steps(self, decimals: u8, step: u64) -> Result<u64, StepError> {
        let units = self.units(decimals)?;
        let step = u128::from(step);
        if step == 0 || units % step != 0 {
            return Err(StepError::Off);
        }
        u64::try_from(units / step).map_err(|_| StepError::Overflow)
    }

    /// The number as a count of units of `1 / 10^decimals` each.
    pub fn units(self, decimals: u8) -> Result<u128, StepError> {
        let decimals = u32::from(decimals);
        if self.mantissa == 0 {
            return Ok(0);
        }
        // No trailing zeros: a finer scale than the unit's is between two units.
        let Some(up) = decimals.checked_sub(self.scale) else { return Err(StepError::Off) };
        let factor = 10u128.checked_pow(up).ok_or(StepError::Overflow)?;
        self.mantissa.checked_mul(factor).ok_or(StepError::Overflow)
    }
}

/// `units / 10^decimals` as the wire writes it: no exponent, no trailing zeros.
pub fn format_units(units: u128, decimals: u8) -> String {
    let mut text = alloc::format!("{units:0>width$}", width = usize::from(decimals) + 1);
    if decimals > 0 {
        text.insert(text.len() - usize::from(decimals), '.');
        let kept = text.trim_end_matches('0').trim_end_matches('.').len();
        text.truncate(kept);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn steps(text: &str, decimals: u8, step: u64) -> Option<Result<u64, StepError>> {
        Decimal::parse(text).map(|decimal| decimal.steps(decimals, step))
    }

    #[test]
    fn decimals_are_read_exactly_or_not_at_all() {
        assert_eq!(steps("100", 1, 1), Some(Ok(1000)));
        assert_eq!(steps("100.50", 1, 5), Some(Ok(201)));
        assert_eq!(steps("0100.5", 1, 5), Some(Ok(201)));
        assert_eq!(steps("0", 8, 1), Some(Ok(0)));
        assert_eq!(steps("0.00000001", 8, 1), Some(Ok(1)));
        assert_eq!(steps("0.000000001", 8, 1), Some(Err(StepError::Off)));
        assert_eq!(steps("100.3", 1, 5), Some(Err(StepError::Off)));
        assert_eq!(steps("18446744073709551616", 0, 1), Some(Err(StepError::Overflow)));
        assert_eq!(
            steps("99999999999999999999999999999999999999", 8, 1),
            Some(Err(StepError::Overflow))
        );
        for bad in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e5",
            "1_0",
            " 1",
            "1 ",
            "NaN",
            "inf",
            "1,5",
            "1.2.3",
            "0x10",
            "999999999999999999999999999999999999999999",
            "１",
        ] {
            assert_eq!(Decimal::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(units: u64, decimals in 0..=18u8) {
            let text = format_units(units.into(), decimals);
            prop_assert_eq!(steps(&text, decimals, 1), Some(Ok(units)));
            prop_assert_eq!(Decimal::parse(&text), Some(Decimal::fixed(units, decimals.into())));
            prop_assert!(!text.contains('.') || !text.ends_with('0'));
        }
    }
}
