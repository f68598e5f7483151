//! Nanoseconds of thread time that single operations of the exchange take while everything they
//! touch is in the cache; `atoll bench exchange` measures a whole flow.

#![allow(clippy::disallowed_types, reason = "a benchmark needs a clock")]

use atoll_exchange::{
    AccountId, AssetId, AssetSpec, Command, Contract, Event, Exchange, ExchangeSpec, Input, Limits,
    ListingSpec, MarkRule, MarketId, MarketRisk, MarketSpec, OracleReport, OracleSpec,
    OrderRequest, OrderSelector, Outcome, PriceSpec, Product, Rules, SelfTrade, Side, Tif, Wallet,
};
use atoll_state::{Resident, WriteSet, object};
use atoll_types::Address;
use std::hint::black_box;
use std::time::{Duration, Instant};

const MARKETS: u16 = 20;
const MID: u64 = 600_000;
const RUNS: usize = 5;
const ROUNDS: u32 = 200;
/// Of each operation, before what changed is sealed; the seal is in the time.
const BATCH: u32 = 1_000;

fn market(n: u16, mark: MarkRule) -> MarketSpec {
    MarketSpec {
        name: format!("M{n}"),
        product: Product::Perpetual {
            contract: Contract::Linear,
            initial_margin_ppm: 25_000,
            maintenance_margin_ppm: 12_500,
            mark_band_ppm: 5_000,
        },
        price_decimals: 1,
        size_decimals: 5,
        tick: 1,
        lot: 1,
        price_max: 100_000_000,
        order_size_max: 100_000_000,
        notional_min: 10_000_000,
        price_band_ppm: 500_000,
        maker_fee_ppm: 150,
        taker_fee_ppm: 450,
        risk: MarketRisk::default(),
        prices: PriceSpec { mark, ..PriceSpec::default() },
    }
}

fn order(market: u16, side: Side, price: u64, size: u64, tif: Tif) -> Command {
    let market = MarketId(market);
    let (reduce_only, client_id) = (false, None);
    Command::Place(OrderRequest {
        market,
        side,
        price,
        size,
        tif,
        reduce_only,
        client_id,
        ..OrderRequest::default()
    })
}

struct Bench {
    exchange: Exchange<Resident>,
    events: Vec<Event>,
}

impl Bench {
    /// Account 0 has a position in every market, account 1 in the first alone, account 2 the
    /// other sides.
    fn new(mark: MarkRule) -> Self {
        let spec = ExchangeSpec {
            assets: vec![AssetSpec {
                symbol: "USDC".into(),
                decimals: 6,
                pledge: None,
                borrow_ppm: 0,
            }],
            collateral: AssetId(0),
            markets: (0..MARKETS).map(|n| market(n, mark)).collect(),
            self_trade: SelfTrade::CancelTaker,
            limits: Limits::default(),
            liquidation: atoll_exchange::LiquidationSpec::default(),
            oracle: OracleSpec::default(),
            listing: ListingSpec::default(),
        };
        let rules = Rules::new(spec).expect("a valid spec");
        let mut bench = Self { exchange: Exchange::new(rules, 1), events: Vec::new() };
        object::begin_unwitnessed(&mut bench.exchange);
        for n in 0..3u8 {
            bench.input(Input::Credit {
                address: Address::repeat_byte(n + 1),
                asset: AssetId(0),
                wallet: Wallet::Collateral,
                amount: 1 << 60,
            });
        }
        for market in (0..MARKETS).map(MarketId) {
            bench.input(Input::Oracle(OracleReport::sole(market, MID)));
        }
        bench.input(Input::Tick { time_us: 1 });
        for market in 0..MARKETS {
            let size = if market == 0 { 2_000 } else { 1_000 };
            bench.run(2, order(market, Side::Sell, MID, size, Tif::Gtc));
            bench.run(0, order(market, Side::Buy, MID, 1_000, Tif::Ioc));
        }
        bench.run(1, order(0, Side::Buy, MID, 1_000, Tif::Ioc));
        bench.seal();
        bench
    }

    fn input(&mut self, input: Input) {
        self.exchange.apply(&input, &mut self.events).expect("a valid input");
        self.events.clear();
    }

    fn run(&mut self, account: u32, command: Command) -> Outcome {
        let outcome = self.exchange.execute(AccountId(account), &command, &mut self.events);
        self.events.clear();
        outcome.expect("an accepted command")
    }

    fn seal(&mut self) {
        let mut writes = WriteSet::default();
        object::seal(&mut self.exchange, &mut writes, None);
        black_box(&writes);
        object::begin_unwitnessed(&mut self.exchange);
    }

    fn place_and_cancel(&mut self, account: u32) {
        let placed = self.run(account, order(0, Side::Buy, MID - 500, 300, Tif::Gtc));
        if let Outcome::Placed(placed) = placed {
            self.run(account, Command::Cancel(OrderSelector::Order(placed.order)));
        }
    }

    fn cross(&mut self) {
        self.run(2, order(0, Side::Sell, MID + 100, 300, Tif::Gtc));
        self.run(0, order(0, Side::Buy, MID + 200, 300, Tif::Ioc));
        self.run(0, order(0, Side::Sell, MID + 100, 300, Tif::Gtc));
        self.run(2, order(0, Side::Buy, MID + 200, 300, Tif::Ioc));
    }
}

/// Time this thread has run, so that other load on the machine does not count; the clock's time
/// where the system does not tell.
fn thread_time(start: Instant) -> Duration {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok())
        .map_or_else(|| start.elapsed(), Duration::from_nanos)
}

fn measure(what: &str, operations: u32, run: impl FnMut(&mut Bench)) {
    measure_with(MarkRule::Book, what, operations, run);
}

fn measure_with(mark: MarkRule, what: &str, operations: u32, mut run: impl FnMut(&mut Bench)) {
    let (zero, mut bench) = (Instant::now(), Bench::new(mark));
    let mut runs: Vec<u128> = (0..RUNS)
        .map(|_| {
            // The system counts in steps of a few milliseconds: one reading for many rounds.
            let start = thread_time(zero);
            for _ in 0..ROUNDS {
                (0..BATCH).for_each(|_| run(&mut bench));
                bench.seal();
            }
            (thread_time(zero) - start).as_nanos() / u128::from(ROUNDS * BATCH * operations)
        })
        .collect();
    runs.sort_unstable();
    println!("{what}: {} ns (median of {RUNS} runs)", runs[runs.len() / 2]);
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return; // `cargo test --benches` must stay quick
    }
    measure("place or cancel, 1 position", 2, |bench| bench.place_and_cancel(1));
    measure("place or cancel, 20 positions", 2, |bench| bench.place_and_cancel(0));
    measure("maker or crossing order, one fill", 4, Bench::cross);
    measure("margin of 20 positions", 1, |bench| {
        black_box(bench.exchange.peek_margin(AccountId(0)));
    });
    // Nothing is due within the second after the first tick.
    let tick = |bench: &mut Bench| bench.input(Input::Tick { time_us: 2 });
    measure("a market's part of a tick, mark by the book", MARKETS.into(), tick);
    let robust = MarkRule::Robust { interval_us: 1_000_000 };
    measure_with(robust, "a market's part of a quiet tick, robust mark", MARKETS.into(), tick);
}
