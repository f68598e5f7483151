//! Worked examples of prices: funding, the robust mark, glitches and crashes, auctions.

use crate::common::*;
use atoll_exchange::*;
use atoll_types::RejectCode;

const SECOND: u64 = 1_000_000;
const HOUR: u64 = 3600 * SECOND;
/// A time that no test begins before: an hour of the calendar.
const START: u64 = 500_000 * HOUR;

fn sanity() -> SanitySpec {
    SanitySpec {
        jump_ppm: 50_000,
        confirm_us: 10 * SECOND,
        rate_ppm: 2_000,
        hold_us: 30 * SECOND,
        limit_us: 600 * SECOND,
        auction_us: 10 * SECOND,
        wide_us: 300 * SECOND,
    }
}

fn with(prices: PriceSpec) -> ExchangeSpec {
    let mut spec = spec();
    spec.markets[0].prices = prices;
    if let Product::Perpetual { mark_band_ppm, .. } = &mut spec.markets[0].product {
        *mark_band_ppm = 999_999;
    }
    spec
}

fn robust() -> PriceSpec {
    PriceSpec { mark: MarkRule::Robust { interval_us: SECOND }, ..PriceSpec::default() }
}

fn begin(spec: ExchangeSpec, accounts: u32, price: Price) -> Harness {
    let mut h = Harness::new(spec);
    let mut ops = funding(accounts);
    ops.retain(|op| matches!(op, Op::In(Input::Credit { .. })));
    for answer in h.range(&ops) {
        answer.0.unwrap();
    }
    tell(&mut h, START, price);
    h
}

fn tick(h: &mut Harness, time_us: u64) -> Vec<Event> {
    h.input(Input::Tick { time_us }).1
}

/// The source tells a price, a tick follows.
fn tell(h: &mut Harness, time_us: u64, price: Price) -> Vec<Event> {
    h.input(Input::Oracle(OracleReport::sole(BTC, price))).0.unwrap();
    tick(h, time_us)
}

fn status(h: &Harness) -> MarketStatus {
    h.full.peek_prices(BTC).status
}

/// Account 0 long and account 1 short, both at nearly 20x, at 60,000 dollars.
fn leveraged() -> Harness {
    let mut spec = with(PriceSpec { sanity: Some(sanity()), ..robust() });
    spec.markets[0].price_band_ppm = 100_000_000;
    let mut h = begin(spec, 3, 600_000);
    h.place(1, sell(600_000, 32_500_000));
    h.place(0, buy(600_000, 32_500_000));
    for account in [0, 1] {
        let margin = h.full.peek_margin(AccountId(account));
        assert!(margin.equity() * 100 < margin.initial() * 103 && !margin.is_liquidatable());
    }
    h
}

fn liquidatable(h: &Harness, account: u32) -> bool {
    h.full.peek_margin(AccountId(account)).is_liquidatable()
}

/// docs/exchange/prices.md, "Funding": 10 BTC long, oracle 10,000, impact bid 10,100.
#[test]
fn a_premium_of_one_percent_is_paid_by_the_hour() {
    // 20,000 dollars at 10,100 are 1.98 BTC; the bid is for two.
    let funding = Some(FundingSpec::hyperliquid(20_000_000_000));
    let mut h = begin(with(PriceSpec { funding, ..PriceSpec::default() }), 2, 100_000);
    h.place(1, buy(101_000, 200_000));
    tick(&mut h, START + SECOND);
    let mut paid = Vec::new();
    for n in 1..=720 {
        paid.extend(tick(&mut h, START + n * 5 * SECOND));
    }
    paid.retain(|event| matches!(event, Event::FundingAccrued { .. }));
    // The first sample was taken before there was a bid, the 719 others say 1 %.
    let premium = 10_000_000 * 719 / 720;
    let rate = (premium - 500_000) / 8;
    let index = Amount::from(rate) * 100_000;
    let told = Event::FundingAccrued { market: BTC, rate, premium, oracle: 100_000, index };
    assert_eq!(paid, [told]);
    // 10 BTC are a million lots; an index × 10⁹ of 118,576.4 units a lot: 118.58 dollars.
    assert_eq!(index * 1_000_000 / 1_000_000_000, 118_576_300);
    assert_eq!(h.full.peek_prices(BTC).funding, index);

    // Three days of silence: the hour that ran pays once more, the others nothing.
    let events = tick(&mut h, START + 73 * HOUR);
    let count = events.iter().filter(|event| matches!(event, Event::FundingAccrued { .. })).count();
    assert_eq!(count, 1);
    let events = tick(&mut h, START + 80 * HOUR + 7);
    assert!(events.iter().any(|event| matches!(event, Event::FundingAccrued { .. })));
}

#[test]
fn without_a_book_longs_pay_the_interest() {
    let funding = Some(FundingSpec::hyperliquid(20_000_000_000));
    let mut h = begin(with(PriceSpec { funding, ..robust() }), 1, 600_000);
    tick(&mut h, START + 5 * SECOND);
    let events = tick(&mut h, START + HOUR);
    let (rate, oracle, index) = (12_500, 600_000, 12_500 * 600_000);
    let told = Event::FundingAccrued { market: BTC, rate, premium: 0, oracle, index };
    assert!(events.contains(&told), "{events:?}");
}

/// docs/exchange/prices.md, "Sanity bounds": what happened at Paradex on 19 January 2026, and its
/// mirror image.
#[test]
fn a_price_of_nothing_or_of_a_thousand_times_liquidates_nobody() {
    for glitch in [1, 600, 6_000_000] {
        let mut h = leveraged();
        let mut events = Vec::new();
        for second in 1..=9 {
            events.extend(tell(&mut h, START + second * SECOND, glitch));
            for account in [0, 1] {
                assert!(!liquidatable(&h, account), "{glitch} after {second} s");
            }
        }
        let reason = GuardReason::OracleJump;
        let guarded = Event::Guarded { market: BTC, reason, from: 600_000, to: glitch };
        let reduce_only = Event::StatusChanged { market: BTC, status: MarketStatus::ReduceOnly };
        assert_eq!(events, [guarded, reduce_only], "nothing else moved");
        h.refused(2, Command::Place(buy(600_000, 10)), RejectCode::MarketPaused);
        let close = OrderRequest { reduce_only: true, ..buy(590_000, 10) };
        h.place(1, close);
        // The price is back; after 30 s an auction is called, 10 s later the market is open.
        let mut seen = Vec::new();
        for second in 10..=60 {
            tell(&mut h, START + second * SECOND, 600_100);
            assert!(!liquidatable(&h, 0) && !liquidatable(&h, 1));
            seen.push(status(&h));
        }
        let at = |status| seen.iter().position(|s| *s == status).map(|place| place + 10);
        assert_eq!(at(MarketStatus::Auction), Some(31));
        assert_eq!(at(MarketStatus::Open), Some(41));
        // For five minutes the bounds are 10 %; then 5 % again.
        assert_eq!(tell(&mut h, START + 70 * SECOND, 650_000).len(), 1);
        assert_eq!(status(&h), MarketStatus::Open);
        tell(&mut h, START + 345 * SECOND, 650_000);
        let events = tell(&mut h, START + 346 * SECOND, 700_000);
        let guarded = Event::Guarded { market: BTC, reason, from: 650_000, to: 700_000 };
        assert!(events.contains(&guarded), "{events:?}");
        assert_eq!(status(&h), MarketStatus::ReduceOnly);
    }
}

/// 30 % at once, and it stays: the mark follows at 0.2 % a second after 10 s, and the long can be
/// liquidated long before it is bankrupt.
#[test]
fn in_a_crash_whoever_is_insolvent_can_be_liquidated() {
    let mut h = leveraged();
    let mut mark = 600_000;
    let (mut first, mut arrived) = (None, None);
    let mut left = Vec::new();
    for second in 1..=300u64 {
        tell(&mut h, START + second * SECOND, 420_000);
        let now = h.full.peek_prices(BTC).mark;
        assert!(now <= mark && now >= mark - mark / 500 - 1, "{second}: {mark} to {now}");
        mark = now;
        if liquidatable(&h, 0) {
            first = first.or(Some(second));
            let margin = h.full.peek_margin(AccountId(0));
            assert!(margin.equity() > 0, "{margin:?}");
            // The market takes what reduces: the winner bids for what it is short.
            assert_eq!(status(&h), MarketStatus::ReduceOnly);
            h.place(1, OrderRequest { reduce_only: true, ..buy(now, 32_500_000) });
            let liquidate = Command::Liquidate { owner: address(0), market: None };
            h.one(2, liquidate).0.unwrap();
            h.one(1, Command::CancelAll { market: None }).0.unwrap();
            let held = h.full.peek_positions(AccountId(0));
            left.push(held.first().map_or(0, |view| view.position.size));
        }
        if now == 420_000 && arrived.is_none() {
            arrived = Some(second);
        }
        assert!(!liquidatable(&h, 1));
    }
    // The fall was at second 1: 10 s of doubt, then ln(1/0.973) and ln(1/0.7) / 0.002 seconds.
    assert_eq!(first.zip(arrived), Some((25, 190)));
    // A fifth, and seconds later the rest; something is left of its money.
    assert_eq!(left, [26_000_000, 0]);
    assert!(h.full.peek_margin(AccountId(0)).equity() > 0);
    assert_eq!(status(&h), MarketStatus::Open, "reopened by auction once the mark arrived");
}

/// 50 % in five minutes, no single step above the bound: the mark follows step by step, and the
/// market stays open.
#[test]
fn a_steep_fall_without_a_jump_is_followed_at_once() {
    let mut h = leveraged();
    let mut price = 600_000u64;
    let mut first = None;
    for second in 1..=300u64 {
        price = price * 99_769 / 100_000;
        tell(&mut h, START + second * SECOND, price);
        assert_eq!(h.full.peek_prices(BTC).mark, price);
        first = first.or(liquidatable(&h, 0).then_some(second));
        assert_eq!(status(&h), MarketStatus::Open);
    }
    assert!(price < 301_000);
    assert_eq!(first, Some(12));
}

/// docs/exchange/prices.md, "Auctions".
#[test]
fn an_auction_trades_at_one_price() {
    let mut h = begin(with(robust()), 6, 1000);
    let auction = Input::SetStatus { market: BTC, status: MarketStatus::Auction };
    h.input(auction).0.unwrap();
    let bids = [(1002, 10), (1001, 10), (1000, 5)];
    let asks = [(998, 8), (1000, 10), (1001, 10)];
    for (account, (price, size)) in (0..).zip(bids) {
        h.place(account, buy(price, size));
    }
    for (account, (price, size)) in (3..).zip(asks) {
        h.place(account, sell(price, size));
    }
    let ioc = OrderRequest { tif: Tif::Ioc, ..buy(1002, 10) };
    h.refused(0, Command::Place(ioc), RejectCode::MarketPaused);
    assert!(tick(&mut h, START + SECOND).is_empty(), "nothing trades during the call");
    h.input(Input::SetStatus { market: BTC, status: MarketStatus::Open }).0.unwrap();
    let events = tick(&mut h, START + 2 * SECOND);
    let fills: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Filled(f) => Some((f.maker.account.0, f.taker.account.0, f.price, f.size)),
            _ => None,
        })
        .collect();
    assert_eq!(fills, [(0, 3, 1001, 8), (0, 4, 1001, 2), (1, 4, 1001, 8), (1, 5, 1001, 2)]);
    let over = [
        Event::Uncrossed { market: BTC, price: 1001, volume: 20 },
        Event::StatusChanged { market: BTC, status: MarketStatus::Open },
    ];
    assert_eq!(events[events.len() - 2..], over);
    let top = h.full.peek_top(BTC);
    assert_eq!((top.bid, top.ask, top.last, top.open_interest), (1000, 1001, 1001, 20));
}

/// Of several prices with the most trades: the smallest imbalance, then the nearest to the mark.
#[test]
fn ties_go_to_the_smallest_imbalance_then_to_the_mark() {
    type Orders<'a> = &'a [(Price, Size)];
    let cases: [(Price, Orders<'_>, Orders<'_>, Price); 8] = [
        (1004, &[(1010, 10)], &[(1000, 10)], 1004),
        (1020, &[(1010, 10)], &[(1000, 10)], 1010),
        (990, &[(1010, 15)], &[(1000, 10)], 1000),
        // At 1003 and below five more would buy: above it nobody is left.
        (1000, &[(1010, 10), (1003, 5)], &[(1000, 10)], 1004),
        // Five would buy at 1004, three would sell at 1005: the smaller imbalance.
        (1000, &[(1010, 10), (1004, 5)], &[(1000, 10), (1005, 3)], 1005),
        (1000, &[(1010, 10), (1004, 3)], &[(1000, 10), (1005, 3)], 1000),
        (1004, &[(1010, 10), (1004, 3)], &[(1000, 10), (1005, 3)], 1004),
        (1008, &[(1010, 10), (1004, 3)], &[(1000, 10), (1005, 3)], 1008),
    ];
    for (mark, bids, asks, price) in cases {
        let mut h = begin(with(robust()), 4, mark);
        h.input(Input::SetStatus { market: BTC, status: MarketStatus::Auction }).0.unwrap();
        for (price, size) in bids {
            h.place(0, buy(*price, *size));
        }
        for (price, size) in asks {
            h.place(1, sell(*price, *size));
        }
        h.input(Input::SetStatus { market: BTC, status: MarketStatus::Open }).0.unwrap();
        let events = tick(&mut h, START + SECOND);
        let told = Event::Uncrossed { market: BTC, price, volume: 10 };
        assert!(events.contains(&told), "{mark} {bids:?} {asks:?}: {events:?}");
    }
}

/// Three steps a tick: finding the price and uncrossing take several, and cancels stay possible.
#[test]
fn a_long_auction_goes_on_tick_by_tick() {
    let mut spec = with(robust());
    spec.limits.fills_per_command = 3;
    let mut h = begin(spec, 2, 1000);
    h.input(Input::SetStatus { market: BTC, status: MarketStatus::Auction }).0.unwrap();
    for n in 0..8 {
        h.place(0, buy(1000 + n, 10));
        h.place(1, sell(1000 - n, 10));
    }
    h.input(Input::SetStatus { market: BTC, status: MarketStatus::PostOnly }).0.unwrap();
    let mut statuses = Vec::new();
    let mut volume = 0;
    for n in 1..20 {
        for event in tick(&mut h, START + n * 500) {
            if let Event::Filled(fill) = event {
                assert_eq!(fill.price, 1000);
                volume += fill.size;
            }
        }
        statuses.push(status(&h));
        if status(&h) == MarketStatus::PostOnly {
            break;
        }
        h.refused(0, Command::Place(buy(1000, 10)), RejectCode::MarketPaused);
    }
    // 8 steps find the price, 8 trade: six ticks.
    assert_eq!((statuses.len(), volume), (6, 80));
    assert_eq!(statuses[..5], [MarketStatus::CancelOnly; 5]);
}

#[test]
fn without_a_quorum_the_oracle_stays_and_the_market_becomes_reduce_only() {
    let mut spec = with(robust());
    spec.oracle = OracleSpec {
        weights: vec![1, 1, 1],
        stale_us: 10 * SECOND,
        deviation_ppm: 20_000,
        quorum: 2,
        reduce_only_after_us: 20 * SECOND,
    };
    let mut h = Harness::new(spec);
    let report = |h: &mut Harness, source, price, at| {
        let report =
            OracleReport { market: BTC, source, price, external: 0, time_us: START + at * SECOND };
        h.input(Input::Oracle(report)).0.unwrap();
        tick(h, START + at * SECOND)
    };
    assert_eq!(report(&mut h, 0, 1000, 0), []);
    let (mark, oracle) = (1001, 1001);
    assert_eq!(report(&mut h, 1, 1002, 1), [Event::MarkChanged { market: BTC, mark, oracle }]);
    // Ten seconds later the first is stale, and one is no quorum.
    assert_eq!(tick(&mut h, START + 9 * SECOND), []);
    let stale = tick(&mut h, START + 10 * SECOND);
    assert_eq!(stale, [Event::OracleStale { market: BTC, stale: true }]);
    assert_eq!(tick(&mut h, START + 29 * SECOND), []);
    let (reason, from) = (GuardReason::OracleStale, 1001);
    let told = [
        Event::Guarded { market: BTC, reason, from, to: from },
        Event::StatusChanged { market: BTC, status: MarketStatus::ReduceOnly },
    ];
    assert_eq!(tick(&mut h, START + 30 * SECOND), told);
    assert_eq!(report(&mut h, 2, 1010, 31), []);
    let again = report(&mut h, 0, 1012, 32);
    let (mark, oracle) = (1011, 1011);
    let told = [
        Event::OracleStale { market: BTC, stale: false },
        Event::MarkChanged { market: BTC, mark, oracle },
        Event::StatusChanged { market: BTC, status: MarketStatus::Open },
    ];
    assert_eq!(again, told);
    // One source goes astray: ignored, and said so once.
    let (source, price, median) = (1, 5, 1011);
    let told = Event::SourceIgnored { market: BTC, source, price, median, ignored: true };
    assert_eq!(report(&mut h, 1, 5, 33), [told]);
    assert_eq!(report(&mut h, 1, 5, 34), []);
    let code = |answer: Answer| answer.0.unwrap_err().code;
    let unknown = OracleReport { source: 3, ..OracleReport::sole(BTC, 5) };
    assert_eq!(code(h.input(Input::Oracle(unknown))), RejectCode::NotAllowed);
}

#[test]
fn a_quiet_tick_reads_one_object_a_market_and_writes_the_time() {
    let funding = Some(FundingSpec::hyperliquid(20_000_000_000));
    let volatility = Some(VolatilitySpec {
        model: VolatilityModel::default(),
        interval_us: 60 * SECOND,
        reference_ppm: 1_000,
        scale_max_ppm: 3_000_000,
        grace_us: 600 * SECOND,
        rise_ppm: 500,
    });
    let prices = PriceSpec { funding, volatility, sanity: Some(sanity()), ..robust() };
    let mut spec = with(prices);
    spec.markets[1].prices = prices;
    spec.markets.pop();
    let mut h = Harness::funded(spec, 2);
    tick(&mut h, START);
    h.place(0, buy(990, 100));
    tick(&mut h, START + 500);
    // The counters, what two markets' ticks move, whether anything waits and whether anything was
    // listed.
    assert_eq!((h.read, h.written.1), (5, 1));
    tick(&mut h, START + SECOND);
    assert!(h.written.1 > 1, "a second later the averages take the book in");
}
