//! Bitstamp order by order: `id,timestamp,exchange.timestamp,price,volume,action,direction`.
//!
//! Times are milliseconds since the epoch (the receive time is used), prices decimals of the
//! quote currency, volumes integers of 10⁻⁸ of the base currency: what is still open after the
//! event. `deleted` with volume zero is a complete fill, with another volume a cancellation.

use super::{Decimal, Decoded, Units, any_size, fields, nanoseconds, number, positive_price};
use crate::event::{Event, EventKind, Side};
use crate::report::{DamageReason, IgnoredReason};

const VOLUME_DECIMALS: u8 = 8;
const HEADER: [&str; 7] =
    ["id", "timestamp", "exchange.timestamp", "price", "volume", "action", "direction"];

pub(super) fn decode(line: &[u8], units: &mut dyn Units) -> Result<Decoded, DamageReason> {
    let fields: [&[u8]; 7] = fields(line)?;
    let unquoted = fields.map(|field| {
        let inner = field.strip_prefix(b"\"").and_then(|f| f.strip_suffix(b"\""));
        inner.unwrap_or(field)
    });
    if unquoted.iter().zip(HEADER).all(|(f, name)| f.eq_ignore_ascii_case(name.as_bytes())) {
        return Ok(Decoded::Ignored(IgnoredReason::Header));
    }
    let [id, received, at_exchange, price, volume, action, direction] = unquoted;
    let id = number(id, DamageReason::BadId)?;
    let time_ns = nanoseconds(number(received, DamageReason::BadTime)?)?;
    number(at_exchange, DamageReason::BadTime)?;
    let price = positive_price(Decimal::parse(price))?;
    let size = any_size(Decimal::parse_scaled(volume, VOLUME_DECIMALS))?;
    let side = match direction {
        b"bid" => Side::Bid,
        b"ask" => Side::Ask,
        _ => return Err(DamageReason::BadSide),
    };
    if size.is_zero() && action != b"deleted" {
        return Err(DamageReason::BadSize);
    }
    let (price, size) = (units.price(price)?, units.size(size)?);
    let kind = match action {
        b"created" => EventKind::Add { id, side, price, size },
        b"changed" => EventKind::Change { id, side, price, size },
        b"deleted" => EventKind::Remove { id, side, price, size },
        _ => return Err(DamageReason::BadAction),
    };
    Ok(Decoded::Event(Event { time_ns, kind }))
}
