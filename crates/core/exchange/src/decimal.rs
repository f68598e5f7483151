//! Decimal numbers at the edge: prices, sizes and amounts of an API to and from integers.
//!
//! A decimal is digits with at most one point, nothing else: no sign, exponent or spaces. Zeros
//! at either end are accepted, other digits than the market's are not: nothing is rounded.

use crate::event::Refusal;
use crate::ids::{Amount, Price, Size};
use crate::spec::{AssetSpec, MarketSpec};
use alloc::format;
use alloc::string::String;
use atoll_types::RejectCode;

/// Why a text is not a decimal number of so many decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// It is no decimal number at all.
    #[error("not a decimal number: expected digits with at most one point")]
    Malformed,
    /// It has digits behind the last decimal.
    #[error("more decimals than there are")]
    TooFine,
    /// It is out of range.
    #[error("out of range")]
    Overflow,
}

/// Longest decimal text.
const TEXT_BYTES_MAX: usize = 80;

/// Reads a decimal as an integer of `10^-decimals`.
pub fn parse(text: &str, decimals: u8) -> Result<u128, DecimalError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if text.len() > TEXT_BYTES_MAX || !digits(whole) || !digits(fraction) {
        return Err(DecimalError::Malformed);
    }
    if whole.is_empty() && fraction.is_empty() {
        return Err(DecimalError::Malformed);
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = usize::from(decimals).checked_sub(fraction.len()).ok_or(DecimalError::TooFine)?;
    let zeros = core::iter::repeat_n(b'0', missing);
    let mut value = 0u128;
    for digit in whole.bytes().chain(fraction.bytes()).chain(zeros) {
        let next = value.checked_mul(10).and_then(|v| v.checked_add(u128::from(digit - b'0')));
        value = next.ok_or(DecimalError::Overflow)?;
    }
    Ok(value)
}

/// Writes an integer of `10^-decimals` as a decimal, without zeros at its end.
pub fn format(value: Amount, decimals: u8) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0>1$}", value.unsigned_abs(), usize::from(decimals) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(decimals));
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

impl MarketSpec {
    /// Reads a price as ticks.
    pub fn parse_price(&self, text: &str) -> Result<Price, Refusal> {
        let message = "the price is not a multiple of the market's tick; see the spec";
        steps(text, self.price_decimals, self.tick, Refusal::new(RejectCode::OffTick, message))
    }

    /// Reads a size as lots.
    pub fn parse_size(&self, text: &str) -> Result<Size, Refusal> {
        let message = "the size is not a multiple of the market's lot; see the spec";
        steps(text, self.size_decimals, self.lot, Refusal::new(RejectCode::OffLot, message))
    }

    /// Writes a price given in ticks.
    pub fn format_price(&self, price: Price) -> String {
        format(Amount::from(price) * Amount::from(self.tick), self.price_decimals)
    }

    /// Writes a size or a position given in lots; lots are below 2⁷³ even summed over a book.
    pub fn format_size(&self, lots: Amount) -> String {
        format(lots.saturating_mul(Amount::from(self.lot)), self.size_decimals)
    }
}

impl AssetSpec {
    /// Reads an amount as units.
    pub fn parse_amount(&self, text: &str) -> Result<Amount, Refusal> {
        let message = "the amount has more decimals than the asset; see the spec";
        let fine = Refusal::new(RejectCode::OffLot, message);
        let value = parse(text, self.decimals).map_err(|error| refusal(error, fine))?;
        Amount::try_from(value).map_err(|_| refusal(DecimalError::Overflow, fine))
    }

    /// Writes an amount given in units.
    pub fn format_amount(&self, amount: Amount) -> String {
        format(amount, self.decimals)
    }
}

fn refusal(error: DecimalError, fine: Refusal) -> Refusal {
    match error {
        DecimalError::Malformed => Refusal::new(
            RejectCode::Malformed,
            "not a decimal number; expected digits with at most one point",
        ),
        DecimalError::TooFine => fine,
        DecimalError::Overflow => {
            Refusal::new(RejectCode::Overflow, "the number is out of range; see the spec")
        }
    }
}

fn steps(text: &str, decimals: u8, step: u64, off: Refusal) -> Result<u64, Refusal> {
    let value = parse(text, decimals).map_err(|error| refusal(error, off))?;
    if value % u128::from(step) != 0 {
        return Err(off);
    }
    u64::try_from(value / u128::from(step)).map_err(|_| refusal(DecimalError::Overflow, off))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly_or_not_at_all() {
        for (text, value) in
            [("1", 1000), ("1.5", 1500), ("0.001", 1), (".5", 500), ("7.", 7000), ("1.5000", 1500)]
        {
            assert_eq!(parse(text, 3), Ok(value), "{text}");
        }
        for text in ["", ".", "-1", "+1", "1e5", " 1", "1.2.3", "0x1", "１", &"0".repeat(81)] {
            assert_eq!(parse(text, 3), Err(DecimalError::Malformed), "{text}");
        }
        assert_eq!(parse("0.0001", 3), Err(DecimalError::TooFine));
        assert_eq!(parse(&"9".repeat(39), 3), Err(DecimalError::Overflow));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (value, decimals, text) in
            [(0, 3, "0"), (1500, 3, "1.5"), (-1, 3, "-0.001"), (42, 0, "42"), (10, 1, "1")]
        {
            assert_eq!(format(value, decimals), text);
            if value >= 0 {
                assert_eq!(parse(text, decimals), Ok(value as u128));
            }
        }
    }
}
