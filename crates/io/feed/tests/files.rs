//! Whole recordings: detection, compression, damage, units, and the two real files.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use atoll_feed::{
    Action, Compression, DamageReason, Event, EventKind, Feed, FeedError, FlowCommand, FlowConfig,
    FlowReport, Format, IgnoredReason, Options, OrderFlow, OrderKind, Side,
};
use proptest::prelude::*;
use venue::Venue;

mod venue;

const BITSTAMP: &str = "id,timestamp,exchange.timestamp,price,volume,action,direction\r
1,1000,999,236.47,200000000,created,bid\r
2,1001,999,236.5,150000000,created,ask\r
garbage\r
1,1002,999,236.47,50000000,changed,bid\r
2,990,999,236.50,150000000,deleted,ask\r
";
const LOBSTER: &str = "34200.1,1,10,100,5853300,1
34200.2,4,10,40,5853300,1
34200.3,2,10,10,5853300,1
34200.4,3,10,50,5853300,1
";
const BINANCE: &str = r#"10 {"lastUpdateId":4,"E":6,"T":5,"bids":[["2.10","1"]],"asks":[["3","1.500"]]}
11 {"stream":"x","data":{"e":"trade","E":6,"s":"BTCUSDT","t":1,"p":"3","q":"0.5","X":"MARKET","m":false}}

12 {"e":"trade","E":6,"s":"ETHUSDT","t":1,"p":"3.12345","q":"0.5","X":"MARKET","m":false}
"#;

fn open(name: &str, bytes: impl Into<Vec<u8>>) -> Result<Feed, FeedError> {
    Feed::from_bytes(name, Arc::from(bytes.into()), &Options::default())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).expect("options are valid");
    writer.write_all(bytes).expect("in memory");
    writer.finish().expect("in memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn units_fit_all_lines_and_damage_is_counted() {
    let mut feed = open("bitstamp-btcusd-2015.csv", BITSTAMP).expect("a sound file");
    let instrument = feed.instrument().clone();
    assert_eq!((feed.format(), feed.compression()), (Format::BitstampL3, Compression::Plain));
    assert_eq!(
        (&*instrument.symbol, &*instrument.base, &*instrument.quote),
        ("BTCUSD", "BTC", "USD")
    );
    assert_eq!((instrument.price_decimals, instrument.size_decimals), (2, 1));
    assert_eq!((instrument.tick, instrument.lot, instrument.whole_file), (1, 5, true));
    let events: Vec<Event> = feed.by_ref().collect();
    let add = EventKind::Add { id: 1, side: Side::Bid, price: 23_647, size: 20 };
    assert_eq!(events[0], Event { time_ns: 1_000_000_000, kind: add });
    let report = feed.report();
    assert_eq!((report.lines, report.events, report.out_of_order), (6, 4, 1));
    assert_eq!(report.ignored.get(&IgnoredReason::Header), Some(&1));
    assert_eq!(report.damaged.get(&DamageReason::FieldCount), Some(&1));
    assert_eq!((report.samples[0].line, &*report.samples[0].text), (4, "garbage"));
    assert_eq!(
        (report.first_time_ns, report.last_time_ns),
        (Some(1_000_000_000), Some(1_002_000_000))
    );
    assert!(feed.next().is_none());
}

#[test]
fn every_compression_gives_the_same_events() {
    for (name, text) in
        [("AAPL_2012-06-21_x_message.csv", LOBSTER), ("b.jsonl", BINANCE), ("c", BITSTAMP)]
    {
        let plain: Vec<Event> = open(name, text).expect("plain").collect();
        assert!(!plain.is_empty());
        let twice = |pack: fn(&[u8]) -> Vec<u8>| {
            let (head, tail) = text.as_bytes().split_at(text.len() / 2);
            [pack(head), pack(tail)].concat()
        };
        for (kind, bytes) in [
            (Compression::Gzip, gzip(text.as_bytes())),
            (Compression::Gzip, twice(gzip)),
            (Compression::Xz, xz(text.as_bytes())),
            (Compression::Xz, twice(xz)),
            (Compression::Zstd, zstd(text.as_bytes())),
            (Compression::Zstd, twice(zstd)),
        ] {
            let mut feed = open(name, bytes).expect("compressed");
            assert_eq!(feed.compression(), kind);
            assert_eq!(feed.by_ref().collect::<Vec<_>>(), plain, "{kind:?}");
            assert_eq!(feed.report().damaged.get(&DamageReason::BrokenStream), None);
        }
    }
}

#[test]
fn a_symbol_is_chosen_and_the_others_are_ignored() {
    let mut feed = open("x.jsonl", BINANCE).expect("a sound file");
    assert_eq!((&*feed.instrument().base, &*feed.instrument().quote), ("BTC", "USDT"));
    assert_eq!((feed.instrument().price_decimals, feed.instrument().size_decimals), (1, 1));
    assert_eq!(feed.by_ref().count(), 2);
    assert_eq!(feed.report().ignored.get(&IgnoredReason::OtherSymbol), Some(&1));
    assert_eq!(feed.report().ignored.get(&IgnoredReason::Blank), Some(&1));
    let options = Options { symbol: Some("ethusdt".to_owned()), ..Options::default() };
    let bytes: Arc<[u8]> = Arc::from(BINANCE.as_bytes());
    let feed = Feed::from_bytes("x.jsonl", bytes, &options).expect("a sound file");
    assert_eq!((&*feed.instrument().symbol, feed.instrument().price_decimals), ("ETHUSDT", 5));
}

#[test]
fn lobster_units() {
    let feed = open("AAPL_2012-06-21_x_message.csv", LOBSTER).expect("a sound file");
    let instrument = feed.instrument();
    assert_eq!(
        (&*instrument.symbol, instrument.price_decimals, instrument.tick),
        ("AAPL", 2, 58_533)
    );
    assert_eq!((instrument.size_decimals, instrument.lot), (0, 10));
}

#[test]
fn a_file_cut_short_ends_with_damage() {
    let text: String = (1..2_000u64)
        .map(|i| format!("34200.{i},1,{},{},5853300,1\n", i * 7_919 % 100_003, i * 31 % 997 + 1))
        .collect();
    for pack in [gzip, xz, zstd] {
        let mut bytes = pack(text.as_bytes());
        bytes.truncate(bytes.len() * 2 / 3);
        match open("x", bytes) {
            Ok(mut feed) => {
                let events = feed.by_ref().count() as u64;
                let report = feed.report();
                assert!(events < 1_999);
                assert_eq!(report.damaged.get(&DamageReason::BrokenStream), Some(&1));
                assert_eq!((report.damaged_total(), report.lines), (1, events + 1));
            }
            // One block for all: nothing of it can be read.
            Err(error) => assert!(matches!(error, FeedError::Empty { cause: Some(_), .. })),
        }
    }
}

#[test]
fn a_wrong_checksum_is_damage() {
    // Where each format keeps a checksum, counted from its end.
    let text = LOBSTER.as_bytes();
    for (mut bytes, from_end) in [(gzip(text), 8), (xz(text), 12), (zstd(text), 1)] {
        let at = bytes.len() - from_end;
        bytes[at] ^= 1;
        let mut feed = open("x", bytes).expect("its lines are sound");
        assert_eq!(feed.by_ref().count(), 4);
        assert_eq!(feed.report().damaged.get(&DamageReason::BrokenStream), Some(&1));
    }
}

#[test]
fn too_long_lines_and_bombs_are_bounded() {
    let mut text = BITSTAMP.as_bytes().to_vec();
    text.extend(std::iter::repeat_n(b'7', 3 << 20));
    text.extend_from_slice(b"\n3,1003,999,236.47,5,created,bid\n");
    let mut feed = open("x", gzip(&text)).expect("a sound file");
    assert_eq!(feed.by_ref().count(), 5);
    assert_eq!(feed.report().damaged.get(&DamageReason::LineTooLong), Some(&1));
    text.extend(std::iter::repeat_n(0, 65 << 20));
    let mut feed = open("x", gzip(&text)).expect("a sound file");
    assert_eq!(feed.by_ref().count(), 5);
    assert_eq!(feed.report().damaged.get(&DamageReason::BrokenStream), Some(&1));
}

#[test]
fn refusals_say_what_to_do() {
    let error = |name: &str, text: &str| open(name, text).expect_err("refused").to_string();
    let unknown = error("x.csv", "time;price\n1;2\n");
    for part in ["x.csv", "time;price", "Bitstamp", "Binance", "LOBSTER"] {
        assert!(unknown.contains(part), "{unknown}");
    }
    assert!(error("x.csv", "").contains("no readable line"));
    assert!(error("x.csv", BITSTAMP.lines().next().unwrap_or("")).contains("no event"));
    let missing = Feed::open("/nonexistent/x.csv", &Options::default()).expect_err("refused");
    assert!(missing.to_string().contains("/nonexistent/x.csv"));
    let folder = tempfile::tempdir().expect("a folder");
    let refused = Feed::open(folder.path(), &Options::default()).expect_err("refused");
    assert!(matches!(refused, FeedError::NotAFile { .. }));
    let path = folder.path().join("a.csv");
    std::fs::write(&path, LOBSTER).expect("written");
    assert_eq!(Feed::open(&path, &Options::default()).expect("opened").count(), 4);
}

/// A recording that lives outside the repository, run through order flow and a venue.
struct Run {
    feed: Feed,
    venue: Venue,
    flow: FlowReport,
    resting_bids: BTreeMap<u64, u64>,
    resting_asks: BTreeMap<u64, u64>,
}

/// `None` when the recording is not there.
fn real(name: &str) -> Option<Run> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data/market");
    let path = folder.join(name);
    if !path.exists() {
        println!("skipped: {name} is not present");
        return None;
    }
    let begun = Instant::now();
    let mut feed = Feed::open(&path, &Options::default()).expect("a real recording");
    println!("{name}: {:?}", feed.instrument());
    let mut flow = OrderFlow::new(FlowConfig::default());
    let mut venue = Venue::default();
    let (mut commands, mut total) = (Vec::new(), 0);
    for event in feed.by_ref() {
        flow.apply(&event, &mut commands);
        total += commands.len();
        venue.run(&commands);
        venue.tell(&mut flow);
        commands.clear();
    }
    flow.finish(0, &mut commands);
    venue.run(&commands);
    let (resting_bids, resting_asks) = (venue.book(Side::Bid), venue.book(Side::Ask));
    println!("{:?}\n{total} commands, {:?}\n{:?}", feed.report(), begun.elapsed(), flow.report());
    println!("{} bid and {} ask prices rest", resting_bids.len(), resting_asks.len());
    let report = flow.report().clone();
    commands.clear();
    flow.withdraw(0, &mut commands);
    venue.run(&commands);
    Some(Run { feed, venue, flow: report, resting_bids, resting_asks })
}

#[test]
fn the_real_bitstamp_file() {
    let Some(run) = real("bitstamp-btcusd-2015-05-01-l3.csv.xz") else { return };
    let report = run.feed.report();
    assert_eq!((report.lines, report.events, report.damaged_total()), (50_415, 50_414, 0));
    let kinds = ["add", "change", "remove"].map(|kind| report.by_kind.get(kind).copied());
    assert_eq!(kinds, [Some(24_894), Some(602), Some(24_918)]);
    assert!(run.venue.orders.is_empty());
    assert_eq!((run.venue.self_trades, run.venue.missed_cancels), (0, 0));
    assert!(run.flow.fills > 1_000, "{:?}", run.flow);
    assert!(run.flow.unreproduced_fills * 10 < run.flow.fills, "{:?}", run.flow);
}

#[test]
fn the_real_binance_file() {
    let Some(run) = real("binance-usdm-btcusdt-2024-08-08.jsonl.gz") else { return };
    let report = run.feed.report();
    assert_eq!((report.events, report.damaged_total()), (93_954, 0));
    let kinds = ["quote", "trade", "depth", "snapshot"].map(|k| report.by_kind.get(k).copied());
    assert_eq!(kinds, [Some(66_089), Some(21_313), Some(6_551), Some(1)]);
    let instrument = run.feed.instrument();
    assert_eq!((instrument.price_decimals, instrument.size_decimals), (1, 3));
    assert!(run.venue.orders.is_empty());
    assert_eq!((run.venue.self_trades, run.venue.missed_cancels), (0, 0));
    assert_eq!((run.flow.taken, run.flow.depth_gaps), (21_313, 0));
    assert!(run.flow.fills > 30_000, "{:?}", run.flow);
    let best = (run.resting_bids.last_key_value(), run.resting_asks.first_key_value());
    assert!(matches!(best, (Some((bid, _)), Some((ask, _))) if bid < ask), "{best:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever the bytes are, and wherever a sound file is broken: an error or a report.
    #[test]
    fn no_bytes_panic(
        noise in proptest::collection::vec(any::<u8>(), 0..600),
        which in 0usize..3,
        pack in 0usize..4,
        at in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let text = [BITSTAMP, LOBSTER, BINANCE][which].repeat(20).into_bytes();
        let mut bytes = match pack {
            0 => text,
            1 => gzip(&text),
            2 => xz(&text),
            _ => zstd(&text),
        };
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
            bytes.extend_from_slice(&noise);
        } else {
            for (byte, noise) in bytes[at..].iter_mut().zip(noise.iter().take(4)) {
                *byte ^= noise;
            }
        }
        for bytes in [bytes, noise] {
            if let Ok(mut feed) = open("x_2020-01-01", bytes) {
                let mut flow = OrderFlow::new(FlowConfig::default());
                let mut out = Vec::new();
                let events = feed.by_ref().map(|event| flow.apply(&event, &mut out)).count() as u64;
                let report = feed.report();
                let ignored: u64 = report.ignored.values().sum();
                prop_assert_eq!(report.lines, events + ignored + report.damaged_total());
            }
        }
    }
}
