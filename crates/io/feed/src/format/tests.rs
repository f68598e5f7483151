//! Each line of each format: what it means, and every way it can be damaged.

use super::*;
use crate::event::{EventKind, Level, Side};

const UNITS: FixedUnits = FixedUnits { price_decimals: 4, size_decimals: 8 };

fn decode(decoder: &Decoder, line: &str) -> Result<Decoded, DamageReason> {
    decoder.decode(line.as_bytes(), &mut UNITS.clone())
}

fn event(time_ns: u64, kind: EventKind) -> Result<Decoded, DamageReason> {
    Ok(Decoded::Event(Event { time_ns, kind }))
}

#[test]
fn bitstamp_lines() {
    let decode = |line: &str| decode(&Decoder::Bitstamp, line);
    let (id, side, price) = (7, Side::Bid, 2_364_700);
    let time = 1_430_438_404_518_000_000;
    assert_eq!(
        decode("7,1430438404518,1430438404000,236.47,200000000,created,bid"),
        event(time, EventKind::Add { id, side, price, size: 200_000_000 })
    );
    assert_eq!(
        decode("\"7\",1430438404518,1430438404000,236.470,5,\"changed\",\"bid\""),
        event(time, EventKind::Change { id, side, price, size: 5 })
    );
    assert_eq!(
        decode("7,1430438404518,1430438404000,236.47,0,deleted,bid"),
        event(time, EventKind::Remove { id, side, price, size: 0 })
    );
    assert_eq!(
        decode("id,timestamp,exchange.timestamp,price,volume,action,direction"),
        Ok(Decoded::Ignored(IgnoredReason::Header))
    );
    for (line, reason) in [
        ("7,1,1,2,3,created", DamageReason::FieldCount),
        ("7,1,1,2,3,created,bid,", DamageReason::FieldCount),
        ("-7,1,1,2,3,created,bid", DamageReason::BadId),
        ("18446744073709551616,1,1,2,3,created,bid", DamageReason::BadId),
        ("7,x,1,2,3,created,bid", DamageReason::BadTime),
        ("7,18446744073709551615,1,2,3,created,bid", DamageReason::BadTime),
        ("7,1,,2,3,created,bid", DamageReason::BadTime),
        ("7,1,1,2e3,3,created,bid", DamageReason::BadPrice),
        ("7,1,1,0.00,3,created,bid", DamageReason::BadPrice),
        ("7,1,1,99999999999999999999,3,created,bid", DamageReason::Overflow),
        ("7,1,1,18446744073709551615,3,created,bid", DamageReason::Overflow),
        ("7,1,1,1.00001,3,created,bid", DamageReason::TooPrecise),
        ("7,1,1,2,3.5,created,bid", DamageReason::BadSize),
        ("7,1,1,2,0,created,bid", DamageReason::BadSize),
        ("7,1,1,2,0,changed,bid", DamageReason::BadSize),
        ("7,1,1,2,3,created,buy", DamageReason::BadSide),
        ("7,1,1,2,3,moved,bid", DamageReason::BadAction),
    ] {
        assert_eq!(decode(line), Err(reason), "{line}");
    }
}

#[test]
fn lobster_lines() {
    let midnight_ns = day_from_name("AAPL_2012-06-21_34200000_57600000_message_10.csv");
    assert_eq!(midnight_ns, Some(1_340_236_800_000_000_000));
    assert_eq!(day_from_name("x-2024-02-29"), Some(1_709_164_800_000_000_000));
    assert_eq!(day_from_name("message.csv"), None);
    let decoder = Decoder::Lobster { midnight_ns: 1_000 };
    let decode = |line: &str| decode(&decoder, line);
    let (time, id, price) = (34_200_017_460_617, 16_113_575, 5_853_300);
    let size = 1_800_000_000;
    let of = |kind| event(time, kind);
    assert_eq!(
        decode("34200.017459617,1,16113575,18,5853300,1"),
        of(EventKind::Add { id, side: Side::Bid, price, size })
    );
    assert_eq!(
        decode("34200.017459617,2,16113575,18,5853300,-1"),
        of(EventKind::Reduce { id, side: Side::Ask, price, by: size })
    );
    assert_eq!(
        decode("34200.017459617,3,16113575,18,5853300,1"),
        of(EventKind::Remove { id, side: Side::Bid, price, size })
    );
    let aggressor = Side::Ask;
    assert_eq!(
        decode("34200.017459617,4,16113575,18,5853300,1"),
        of(EventKind::Execute { id: Some(id), aggressor, price, size })
    );
    assert_eq!(
        decode("34200.017459617,5,0,18,5853300,1"),
        of(EventKind::Execute { id: None, aggressor, price, size })
    );
    assert_eq!(
        decode("34200.017459617,6,-1,18,5853300,-1"),
        of(EventKind::Trade { price, size, aggressor: None })
    );
    for (line, halted) in [("-1", true), ("0", true), ("1", false)] {
        let line = format!("34200.017459617,7,0,0,{line},-1");
        assert_eq!(decode(&line), of(EventKind::Halt { halted }));
    }
    for (line, reason) in [
        ("1,1,1,1,1", DamageReason::FieldCount),
        ("1,1,1,1,1,1,1", DamageReason::FieldCount),
        ("-1,1,1,1,1,1", DamageReason::BadTime),
        ("86401,1,1,1,1,1", DamageReason::BadTime),
        ("1.0000000001,1,1,1,1,1", DamageReason::BadTime),
        ("1,8,1,1,1,1", DamageReason::BadAction),
        ("1,1,x,1,1,1", DamageReason::BadId),
        ("1,1,1,0,1,1", DamageReason::BadSize),
        ("1,1,1,-1,1,1", DamageReason::BadSize),
        ("1,1,1,1,1.5,1", DamageReason::BadPrice),
        ("1,1,1,1,0,1", DamageReason::BadPrice),
        ("1,7,0,0,5,-1", DamageReason::BadPrice),
        ("1,1,1,1,1,0", DamageReason::BadSide),
        ("1,1,1,18446744073709551615,1,1", DamageReason::Overflow),
    ] {
        assert_eq!(decode(line), Err(reason), "{line}");
    }
}

#[test]
fn binance_lines() {
    let decoder = Decoder::Binance { symbol: Some("BTCUSDT".to_owned()) };
    let decode = |line: &str| decode(&decoder, line);
    let bid = Level { price: 618_002_000, size: 250_700_000 };
    let ask = Level { price: 618_003_000, size: 251_000_000 };
    let quote = r#"{"e":"bookTicker","u":9,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":5,"E":6}"#;
    let expected = EventKind::Quote { update: 9, bid, ask };
    assert_eq!(decode(quote), event(5_000_000, expected.clone()));
    let wrapped = format!(r#"77 {{"stream":"btcusdt@bookTicker","data":{quote}}}"#);
    assert_eq!(decode(&wrapped), event(77, expected.clone()));
    let spot = r#"8 {"u":9,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510"}"#;
    assert_eq!(decode(spot), event(8, expected));
    let trade =
        r#"{"e":"trade","E":6,"s":"btcusdt","t":1,"p":"1.5","q":"0.006","X":"MARKET","m":true}"#;
    let size = 600_000;
    assert_eq!(
        decode(trade),
        event(6_000_000, EventKind::Trade { price: 15_000, size, aggressor: Some(Side::Ask) })
    );
    let depth = r#"{"e":"depthUpdate","E":6,"T":5,"s":"BTCUSDT","U":1,"u":3,"pu":0,"b":[["2","0.000"]],"a":[]}"#;
    let gone = Level { price: 20_000, size: 0 };
    assert_eq!(
        decode(depth),
        event(
            5_000_000,
            EventKind::Depth {
                first_update: 1,
                last_update: 3,
                previous_update: Some(0),
                bids: vec![gone],
                asks: vec![]
            }
        )
    );
    let snapshot = r#"{"lastUpdateId":4,"E":6,"T":5,"bids":[["2","1"]],"asks":[["3","1"]]}"#;
    let level = |price| vec![Level { price, size: 100_000_000 }];
    assert_eq!(
        decode(snapshot),
        event(
            5_000_000,
            EventKind::Snapshot { update: 4, bids: level(20_000), asks: level(30_000) }
        )
    );
}

#[test]
fn binance_lines_without_an_event() {
    let decoder = Decoder::Binance { symbol: Some("BTCUSDT".to_owned()) };
    let trade =
        r#"{"e":"trade","E":6,"s":"BTCUSDT","t":1,"p":"1.5","q":"0.006","X":"MARKET","m":true}"#;
    let quote = r#"{"u":9,"s":"BTCUSDT","b":"1","B":"2","a":"3","A":"4","E":1}"#;
    let ignored = |line: &str| match decode(&decoder, line) {
        Ok(Decoded::Ignored(reason)) => Some(reason),
        _ => None,
    };
    assert_eq!(ignored(&trade.replace("BTCUSDT", "ETHUSDT")), Some(IgnoredReason::OtherSymbol));
    assert_eq!(
        ignored(&trade.replace("\"trade\"", "\"kline\"")),
        Some(IgnoredReason::OtherMessage)
    );
    assert_eq!(ignored(&trade.replace("MARKET", "ADL")), Some(IgnoredReason::OffBookTrade));
    assert_eq!(ignored(&quote.replace("\"2\"", "\"0\"")), Some(IgnoredReason::OneSidedQuote));
    assert_eq!(ignored("  "), Some(IgnoredReason::Blank));
    for (line, reason) in [
        ("nothing".to_owned(), DamageReason::BadJson),
        (trade[..trade.len() - 1].to_owned(), DamageReason::BadJson),
        (format!("{trade} {trade}"), DamageReason::BadJson),
        (format!("12x {trade}"), DamageReason::BadTime),
        (trade.replace("\"m\":true", "\"m\":1"), DamageReason::BadJson),
        (trade.replace("\"p\":\"1.5\",", ""), DamageReason::MissingField),
        (trade.replace("\"E\":6,", ""), DamageReason::MissingField),
        (trade.replace("\"E\":6,", "\"E\":18446744073709551615,"), DamageReason::BadTime),
        (trade.replace("1.5", "-1.5"), DamageReason::BadPrice),
        (trade.replace("1.5", "1.00005"), DamageReason::TooPrecise),
        (trade.replace("0.006", "0"), DamageReason::BadSize),
        (trade.replace("0.006", "184467440738"), DamageReason::Overflow),
        (quote.replace("\"3\"", "\"1.0\""), DamageReason::CrossedQuote),
    ] {
        assert_eq!(decode(&decoder, &line), Err(reason), "{line}");
    }
}
