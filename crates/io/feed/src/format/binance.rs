//! Binance messages, one JSON object a line, with or without a receive time in front
//! (nanoseconds since the epoch) and with or without the combined stream's wrapper.
//!
//! Understood: `bookTicker`, `trade`, `depthUpdate` and the REST book snapshot. The time of an
//! event is the receive time where there is one, otherwise the transaction time `T`, otherwise
//! the event time `E`, both milliseconds.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Decimal, DecimalError, Decoded, Units, any_size, nanoseconds, number, positive_price,
    positive_size,
};
use crate::event::{Event, EventKind, Level, Side};
use crate::report::{DamageReason, IgnoredReason};

/// What tells the messages apart.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    e: Option<&'a str>,
    #[serde(borrow)]
    s: Option<&'a str>,
    #[serde(rename = "lastUpdateId")]
    last_update_id: Option<u64>,
    #[serde(rename = "T")]
    transaction_ms: Option<u64>,
    #[serde(rename = "E")]
    event_ms: Option<u64>,
}

#[derive(Deserialize)]
struct BookTicker<'a> {
    u: u64,
    #[serde(borrow)]
    b: &'a str,
    #[serde(borrow, rename = "B")]
    bid_size: &'a str,
    #[serde(borrow)]
    a: &'a str,
    #[serde(borrow, rename = "A")]
    ask_size: &'a str,
}

#[derive(Deserialize)]
struct Trade<'a> {
    #[serde(borrow)]
    p: &'a str,
    #[serde(borrow)]
    q: &'a str,
    m: bool,
    #[serde(borrow, rename = "X")]
    kind: Option<&'a str>,
}

type RawLevels<'a> = Vec<(&'a str, &'a str)>;

#[derive(Deserialize)]
struct DepthUpdate<'a> {
    #[serde(rename = "U")]
    first: u64,
    u: u64,
    pu: Option<u64>,
    #[serde(borrow)]
    b: RawLevels<'a>,
    #[serde(borrow)]
    a: RawLevels<'a>,
}

#[derive(Deserialize)]
struct Snapshot<'a> {
    #[serde(borrow)]
    bids: RawLevels<'a>,
    #[serde(borrow)]
    asks: RawLevels<'a>,
}

/// A line taken apart as far as its envelope.
struct Message<'a> {
    received_ns: Option<u64>,
    body: &'a [u8],
    envelope: Envelope<'a>,
}

/// Parses a JSON object; a missing field is told apart from anything else that is wrong.
fn json<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, DamageReason> {
    serde_json::from_slice(text).map_err(|error| {
        let missing = error.is_data() && error.to_string().starts_with("missing field");
        if missing { DamageReason::MissingField } else { DamageReason::BadJson }
    })
}

fn open(line: &[u8]) -> Result<Message<'_>, DamageReason> {
    let line = line.trim_ascii();
    let start = line.iter().position(|&b| b == b'{').ok_or(DamageReason::BadJson)?;
    let (prefix, mut body) = line.split_at(start);
    let prefix = prefix.trim_ascii_end();
    let received_ns = match prefix {
        [] => None,
        _ => Some(number(prefix, DamageReason::BadTime)?),
    };
    let mut envelope: Envelope<'_> = json(body)?;
    if let Some(data) = envelope.data {
        body = data.get().as_bytes();
        envelope = json(body)?;
    }
    Ok(Message { received_ns, body, envelope })
}

pub(super) fn symbol_of(line: &[u8]) -> Option<String> {
    open(line).ok()?.envelope.s.map(str::to_ascii_uppercase)
}

pub(super) fn decode(
    line: &[u8],
    symbol: Option<&str>,
    units: &mut dyn Units,
) -> Result<Decoded, DamageReason> {
    let Message { received_ns, body, envelope } = open(line)?;
    if let (Some(wanted), Some(found)) = (symbol, envelope.s)
        && !wanted.eq_ignore_ascii_case(found)
    {
        return Ok(Decoded::Ignored(IgnoredReason::OtherSymbol));
    }
    let kind = match envelope.e {
        Some("bookTicker") => quote(body, units)?,
        Some("trade") => trade(body, units)?,
        Some("depthUpdate") => depth(body, units)?,
        Some(_) => return Ok(Decoded::Ignored(IgnoredReason::OtherMessage)),
        None => match envelope.last_update_id {
            Some(update) => snapshot(body, update, units)?,
            // The spot market's bookTicker does not name its type.
            None => quote(body, units)?,
        },
    };
    let kind = match kind {
        Ok(kind) => kind,
        Err(ignored) => return Ok(Decoded::Ignored(ignored)),
    };
    let sent_ms = envelope.transaction_ms.or(envelope.event_ms);
    let time_ns = match (received_ns, sent_ms) {
        (Some(ns), _) => ns,
        (None, Some(ms)) => nanoseconds(ms)?,
        (None, None) => return Err(DamageReason::MissingField),
    };
    Ok(Decoded::Event(Event { time_ns, kind }))
}

type Outcome = Result<Result<EventKind, IgnoredReason>, DamageReason>;

fn quote(body: &[u8], units: &mut dyn Units) -> Outcome {
    let message: BookTicker<'_> = json(body)?;
    let bid_size = any_size(Decimal::parse(message.bid_size.as_bytes()))?;
    let ask_size = any_size(Decimal::parse(message.ask_size.as_bytes()))?;
    if bid_size.is_zero() || ask_size.is_zero() {
        return Ok(Err(IgnoredReason::OneSidedQuote));
    }
    let bid = positive_price(Decimal::parse(message.b.as_bytes()))?;
    let ask = positive_price(Decimal::parse(message.a.as_bytes()))?;
    if bid.compare(ask).is_ge() {
        return Err(DamageReason::CrossedQuote);
    }
    let bid = Level { price: units.price(bid)?, size: units.size(bid_size)? };
    let ask = Level { price: units.price(ask)?, size: units.size(ask_size)? };
    Ok(Ok(EventKind::Quote { update: message.u, bid, ask }))
}

fn trade(body: &[u8], units: &mut dyn Units) -> Outcome {
    let message: Trade<'_> = json(body)?;
    if message.kind.is_some_and(|kind| kind != "MARKET") {
        return Ok(Err(IgnoredReason::OffBookTrade));
    }
    let price = units.price(positive_price(Decimal::parse(message.p.as_bytes()))?)?;
    let size = units.size(positive_size(Decimal::parse(message.q.as_bytes()))?)?;
    // `m`: the buyer was the maker, so the seller took.
    let aggressor = Some(if message.m { Side::Ask } else { Side::Bid });
    Ok(Ok(EventKind::Trade { price, size, aggressor }))
}

fn depth(body: &[u8], units: &mut dyn Units) -> Outcome {
    let message: DepthUpdate<'_> = json(body)?;
    Ok(Ok(EventKind::Depth {
        first_update: message.first,
        last_update: message.u,
        previous_update: message.pu,
        bids: levels(&message.b, any_size, units)?,
        asks: levels(&message.a, any_size, units)?,
    }))
}

fn snapshot(body: &[u8], update: u64, units: &mut dyn Units) -> Outcome {
    let message: Snapshot<'_> = json(body)?;
    let bids = levels(&message.bids, positive_size, units)?;
    let asks = levels(&message.asks, positive_size, units)?;
    Ok(Ok(EventKind::Snapshot { update, bids, asks }))
}

type SizeRule = fn(Result<Decimal, DecimalError>) -> Result<Decimal, DamageReason>;

fn levels(
    raw: &[(&str, &str)],
    size_rule: SizeRule,
    units: &mut dyn Units,
) -> Result<Vec<Level>, DamageReason> {
    raw.iter()
        .map(|(price, size)| {
            let price = units.price(positive_price(Decimal::parse(price.as_bytes()))?)?;
            let size = units.size(size_rule(Decimal::parse(size.as_bytes()))?)?;
            Ok(Level { price, size })
        })
        .collect()
}
