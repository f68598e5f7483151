//! LOBSTER message files: `time,type,order id,size,price,direction`, without a header.
//!
//! Time is seconds after midnight with up to nine decimals, price an integer of 10⁻⁴ dollars,
//! direction the side of the *resting* order (1 buys, −1 sells). Types: 1 submission, 2 partial
//! cancellation, 3 deletion, 4 execution of a visible order, 5 of a hidden one, 6 auction trade,
//! 7 trading halt (price −1) or resumption (0: quoting, 1: trading). The public definition is at
//! lobsterdata.com, "Data structure".
//!
//! A marketable order has no line of its own: only its executions and what rests of it show.
//! Midnight is taken from the date in the file's name, without a time zone.

use super::{
    Decimal, DecimalError, Decoded, Units, any_size, fields, number, positive_price, positive_size,
};
use crate::event::{Event, EventKind, Side};
use crate::report::DamageReason;

const PRICE_DECIMALS: u8 = 4;
const DAY_NS: u64 = 86_400_000_000_000;
const SECOND_DECIMALS: u8 = 9;

pub(super) fn decode(
    line: &[u8],
    midnight_ns: u64,
    units: &mut dyn Units,
) -> Result<Decoded, DamageReason> {
    let [time, kind, id, size, price, direction] = fields(line)?;
    let time_ns = match Decimal::parse(time).map(|seconds| seconds.to_units(SECOND_DECIMALS)) {
        Ok(Some(ns)) if ns <= DAY_NS => midnight_ns.checked_add(ns),
        _ => None,
    };
    let time_ns = time_ns.ok_or(DamageReason::BadTime)?;
    let side = match direction {
        b"1" => Side::Bid,
        b"-1" => Side::Ask,
        _ => return Err(DamageReason::BadSide),
    };
    let event = |kind| Ok(Decoded::Event(Event { time_ns, kind }));
    if kind == b"7" {
        return match price {
            b"-1" => event(EventKind::Halt { halted: true }),
            b"0" | b"1" => event(EventKind::Halt { halted: price == b"0" }),
            _ => Err(DamageReason::BadPrice),
        };
    }
    let order_id = number(id, DamageReason::BadId);
    let price = positive_price(Decimal::parse_scaled(price, PRICE_DECIMALS))?;
    let whole_size: fn(_) -> Result<Decimal, DecimalError> = |text| Decimal::parse_scaled(text, 0);
    let size =
        if kind == b"3" { any_size(whole_size(size))? } else { positive_size(whole_size(size))? };
    let (price, size) = (units.price(price)?, units.size(size)?);
    event(match kind {
        b"1" => EventKind::Add { id: order_id?, side, price, size },
        b"2" => EventKind::Reduce { id: order_id?, side, price, by: size },
        b"3" => EventKind::Remove { id: order_id?, side, price, size },
        b"4" => EventKind::Execute { id: Some(order_id?), aggressor: side.opposite(), price, size },
        b"5" => EventKind::Execute { id: None, aggressor: side.opposite(), price, size },
        b"6" => EventKind::Trade { price, size, aggressor: None },
        _ => return Err(DamageReason::BadAction),
    })
}

/// Midnight of the date `YYYY-MM-DD` in a file name, in nanoseconds since the epoch.
pub(crate) fn day_from_name(name: &str) -> Option<u64> {
    name.as_bytes().windows(10).find_map(|window| {
        if window[4] != b'-' || window[7] != b'-' {
            return None;
        }
        let part = |text| number(text, DamageReason::BadTime).ok();
        let (year, month, day) = (part(&window[..4])?, part(&window[5..7])?, part(&window[8..])?);
        if !(1970..=2200).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day)
        {
            return None;
        }
        days_since_epoch(year, month, day).checked_mul(DAY_NS)
    })
}

/// Days of the Gregorian calendar from 1970-01-01, with the year beginning in March so that the
/// leap day comes last.
fn days_since_epoch(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year / 4 - year / 100 + year / 400;
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}
