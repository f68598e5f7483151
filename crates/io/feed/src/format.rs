//! One line of a recording to one event: what the three formats share.

mod binance;
mod bitstamp;
mod lobster;

use std::collections::VecDeque;

use crate::decimal::{Decimal, DecimalError};
use crate::event::{Event, Format};
use crate::report::{DamageReason, IgnoredReason};

pub(crate) use lobster::day_from_name;

/// What a sound line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decoded {
    Event(Event),
    Ignored(IgnoredReason),
}

/// Turns exact decimals into the instrument's units, or only looks at them (the scan).
pub(crate) trait Units {
    fn price(&mut self, price: Decimal) -> Result<u64, DamageReason>;
    fn size(&mut self, size: Decimal) -> Result<u64, DamageReason>;
}

/// Units that are settled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FixedUnits {
    pub(crate) price_decimals: u8,
    pub(crate) size_decimals: u8,
}

impl FixedUnits {
    fn convert(value: Decimal, decimals: u8) -> Result<u64, DamageReason> {
        if value.decimals() > decimals {
            return Err(DamageReason::TooPrecise);
        }
        value.to_units(decimals).ok_or(DamageReason::Overflow)
    }
}

impl Units for FixedUnits {
    fn price(&mut self, price: Decimal) -> Result<u64, DamageReason> {
        Self::convert(price, self.price_decimals)
    }

    fn size(&mut self, size: Decimal) -> Result<u64, DamageReason> {
        Self::convert(size, self.size_decimals)
    }
}

/// The decoder of a format, with what it must know about the file.
#[derive(Debug, Clone)]
pub(crate) enum Decoder {
    Bitstamp,
    /// Only messages of this symbol; of any when `None`.
    Binance {
        symbol: Option<String>,
    },
    /// Midnight of the recorded day.
    Lobster {
        midnight_ns: u64,
    },
}

impl Decoder {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Bitstamp => Format::BitstampL3,
            Self::Binance { .. } => Format::Binance,
            Self::Lobster { .. } => Format::Lobster,
        }
    }

    pub(crate) fn decode(
        &self,
        line: &[u8],
        units: &mut dyn Units,
    ) -> Result<Decoded, DamageReason> {
        if line.trim_ascii().is_empty() {
            return Ok(Decoded::Ignored(IgnoredReason::Blank));
        }
        match self {
            Self::Bitstamp => bitstamp::decode(line, units),
            Self::Binance { symbol } => binance::decode(line, symbol.as_deref(), units),
            Self::Lobster { midnight_ns } => lobster::decode(line, *midnight_ns, units),
        }
    }

    /// Symbol named by a line, where the format names it.
    pub(crate) fn symbol_of(&self, line: &[u8]) -> Option<String> {
        match self {
            Self::Binance { .. } => binance::symbol_of(line),
            Self::Bitstamp | Self::Lobster { .. } => None,
        }
    }

    /// The format of a file by its first lines: the first line that some format understands
    /// decides.
    pub(crate) fn detect(lines: &VecDeque<Vec<u8>>, midnight_ns: u64) -> Option<Self> {
        let candidates =
            [Self::Bitstamp, Self::Binance { symbol: None }, Self::Lobster { midnight_ns }];
        lines.iter().find_map(|line| {
            candidates.iter().find(|c| c.decode(line, &mut AnyUnits).is_ok()).cloned()
        })
    }
}

/// Takes every number: only the shape of a line is asked about.
struct AnyUnits;

impl Units for AnyUnits {
    fn price(&mut self, _: Decimal) -> Result<u64, DamageReason> {
        Ok(1)
    }

    fn size(&mut self, _: Decimal) -> Result<u64, DamageReason> {
        Ok(1)
    }
}

/// The comma-separated fields of a line, when there are exactly `N`.
fn fields<const N: usize>(line: &[u8]) -> Result<[&[u8]; N], DamageReason> {
    let mut out: [&[u8]; N] = [&[]; N];
    let mut parts = line.split(|&b| b == b',');
    for slot in &mut out {
        *slot = parts.next().ok_or(DamageReason::FieldCount)?.trim_ascii();
    }
    if parts.next().is_some() { Err(DamageReason::FieldCount) } else { Ok(out) }
}

/// An unsigned number in decimal digits.
fn number(text: &[u8], reason: DamageReason) -> Result<u64, DamageReason> {
    match Decimal::parse(text) {
        Ok(value) if !text.contains(&b'.') => value.to_units(0).ok_or(reason),
        _ => Err(reason),
    }
}

fn nanoseconds(milliseconds: u64) -> Result<u64, DamageReason> {
    milliseconds.checked_mul(1_000_000).ok_or(DamageReason::BadTime)
}

/// A price that is not zero.
fn positive_price(parsed: Result<Decimal, DecimalError>) -> Result<Decimal, DamageReason> {
    match parsed {
        Ok(price) if !price.is_zero() => Ok(price),
        Err(DecimalError::Overflow) => Err(DamageReason::Overflow),
        Ok(_) | Err(DecimalError::Malformed) => Err(DamageReason::BadPrice),
    }
}

/// A size that may be zero.
fn any_size(parsed: Result<Decimal, DecimalError>) -> Result<Decimal, DamageReason> {
    match parsed {
        Ok(size) => Ok(size),
        Err(DecimalError::Overflow) => Err(DamageReason::Overflow),
        Err(DecimalError::Malformed) => Err(DamageReason::BadSize),
    }
}

/// A size that is not zero.
fn positive_size(parsed: Result<Decimal, DecimalError>) -> Result<Decimal, DamageReason> {
    any_size(parsed)
        .and_then(|size| if size.is_zero() { Err(DamageReason::BadSize) } else { Ok(size) })
}

#[cfg(test)]
mod tests;
