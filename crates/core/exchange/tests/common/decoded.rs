//! Bytes that came from anywhere, read as each thing the exchange reads: what is read is written
//! back as the same bytes.

use super::*;
use atoll_types::{Decode, Encode};

fn canonical<T: Decode + Encode + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(value.to_bytes(), bytes, "not canonical: {value:?}");
    }
}

/// The first byte says what the rest is; above the known kinds, a key's length and an object.
pub(crate) fn check(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    match kind % 16 {
        0 | 1 => canonical::<Command>(rest),
        2 => canonical::<Input>(rest),
        3 | 4 => canonical::<Event>(rest),
        5 => rules(rest),
        6 => canonical::<OracleSpec>(rest),
        7 => canonical::<MarketSpec>(rest),
        8 => canonical::<TwapView>(rest),
        _ => {
            let length = usize::from(kind >> 4) + 1;
            if length <= rest.len() {
                let (key, value) = rest.split_at(length);
                object(key, value);
            }
        }
    }
}

/// A spec from anywhere is refused or can be run.
fn rules(bytes: &[u8]) {
    canonical::<ExchangeSpec>(bytes);
    if let Ok(rules) = Rules::from_bytes(bytes) {
        assert_eq!(rules.to_bytes(), bytes);
        let mut exchange: Exchange<Resident> = Exchange::new(rules, 1);
        object::begin(&mut exchange);
        let mut events = Vec::new();
        exchange.apply(&Input::Tick { time_us: 1 }, &mut events).unwrap();
    }
}

/// An object as a snapshot or a witness has it.
fn object(key: &[u8], value: &[u8]) {
    let mut exchange: Exchange<Resident> = Exchange::new(Rules::new(venue()).unwrap(), 1);
    if object::load(&mut exchange, key, Some(value)).is_ok() {
        let all = object::export(&mut exchange);
        let all: Vec<_> = all.iter().collect();
        assert_eq!(all, [(key, Some(value))], "not canonical");
    }
}
