//! Recorded markets through both books: a recording becomes orders of a few participants
//! (`atoll-feed`), and every command of it runs on the exchange and on a naive market beside it. What
//! is compared: each answer and each event of the book; after each range all resting orders, and the
//! bytes of books and directories in the state, and so their root. Each range runs on its witness
//! alone as well, and money is counted.
//!
//! `ATOLL_MARKETS` names a folder of recordings, all of which are replayed in full; see
//! `.ci/replay`. Without it, a small recording that is made here is all there is.

use crate::common::history::Reply;
use crate::common::naive::book::Book;
use crate::common::naive::market::{Market, of_book};
use crate::common::naive::{self, assert_same};
use crate::common::*;
use atoll_exchange::*;
use atoll_feed::{
    Action, Feed, FlowCommand, FlowConfig, Instrument, Options, OrderFlow, OrderKind,
};
use atoll_types::B256;
use std::path::{Path, PathBuf};

/// Commands after which everything is compared.
const RANGE: usize = 4_000;
/// A slot's time: a tick begins each.
const SLOT_NS: u64 = 100_000_000;

/// The recording's own ticks and lots; a tick × lot is a quote unit, and money never shapes the flow.
fn recorded(instrument: &Instrument) -> ExchangeSpec {
    let market = MarketSpec {
        price_decimals: instrument.price_decimals,
        size_decimals: instrument.size_decimals,
        price_max: (1 << 40) - 1,
        order_size_max: (1 << 39) - 1,
        notional_min: 1,
        price_band_ppm: 100_000_000,
        maker_fee_ppm: 0,
        taker_fee_ppm: 0,
        ..perpetual("RECORDED")
    };
    let decimals = instrument.price_decimals + instrument.size_decimals;
    ExchangeSpec {
        assets: vec![asset("USD", decimals), asset("COIN", 8)],
        markets: vec![market],
        self_trade: SelfTrade::CancelMaker,
        limits: Limits { orders_per_account: 4096, ..Limits::default() },
        ..spec()
    }
}

#[derive(Debug, Default)]
struct Counts {
    events: u64,
    commands: u64,
    refused: u64,
    fills: u64,
    ranges: u64,
    most_resting: usize,
}

/// Both, side by side: the naive market is a range ahead at most, and is whom the order flow hears.
struct Replay {
    harness: Harness,
    market: Market,
    flow: OrderFlow,
    ops: Vec<Op>,
    expected: Vec<Reply>,
    /// Time of the latest tick in the recording.
    ticked_ns: u64,
    has_mark: bool,
    counts: Counts,
    root: B256,
}

impl Replay {
    fn new(instrument: &Instrument) -> Self {
        let spec = recorded(instrument);
        let flow =
            FlowConfig { participants_per_group: 32, grace_events: 512, ..FlowConfig::default() };
        let mut replay = Self {
            market: Market::new(spec.limits),
            harness: Harness::new(spec),
            flow: OrderFlow::new(flow),
            ops: Vec::new(),
            expected: Vec::new(),
            ticked_ns: 0,
            has_mark: false,
            counts: Counts::default(),
            root: B256::ZERO,
        };
        for n in 0..replay.flow.participants() {
            let (asset, wallet, amount) = (USDC, Wallet::Collateral, 1 << 88);
            replay.push(Op::In(Input::Credit { address: address(n), asset, wallet, amount }));
        }
        replay
    }

    fn push(&mut self, op: Op) {
        let reply = self.market.run(&op);
        if matches!(op, Op::Do(..)) {
            self.counts.commands += 1;
        }
        self.learn(&op, &reply);
        self.ops.push(op);
        self.expected.push(reply);
        self.counts.most_resting = self.counts.most_resting.max(self.market.open());
        if self.ops.len() == RANGE {
            self.seal();
        }
    }

    /// Tells the order flow what became of its commands.
    fn learn(&mut self, op: &Op, (answer, events): &Reply) {
        if answer.is_err() {
            self.counts.refused += 1;
            if let Op::Do(_, Command::Place(order) | Command::Modify { order, .. }) = op {
                self.flow.on_gone(number_of(order.client_id));
            }
        }
        for event in events {
            if let Event::Filled(fill) = event {
                self.counts.fills += 1;
                self.flow.on_fill(number_of(fill.maker.client_id), fill.size);
                self.flow.on_fill(number_of(fill.taker.client_id), fill.size);
            }
        }
    }

    fn command(&mut self, command: FlowCommand) {
        if command.time_ns >= self.ticked_ns + SLOT_NS {
            self.ticked_ns = command.time_ns;
            self.push(Op::In(Input::Tick { time_us: command.time_ns / 1000 }));
        }
        let target = |client_id| OrderSelector::Client(name(client_id));
        let (actor, command) = match command.action {
            Action::Oracle { price } => return self.oracle(price),
            Action::Place { actor, client_id, side, price, size, kind } => {
                (actor, Command::Place(request(client_id, side, price, size, kind)))
            }
            Action::Modify { actor, client_id, new_client_id, side, price, size, kind } => {
                let order = request(new_client_id, side, price, size, kind);
                (actor, Command::Modify { target: target(client_id), order })
            }
            Action::Cancel { actor, client_id } => (actor, Command::Cancel(target(client_id))),
        };
        self.push(Op::Do(AccountId(actor), command));
    }

    fn oracle(&mut self, price: u64) {
        self.push(Op::In(Input::Oracle(OracleReport::sole(BTC, price))));
        if !self.has_mark {
            // The recorded market had one before its first line.
            self.push(Op::In(Input::Tick { time_us: self.ticked_ns / 1000 + 1 }));
            self.has_mark = true;
        }
    }

    /// Runs the range on the exchange and compares all there is.
    fn seal(&mut self) {
        let answers = self.harness.range(&self.ops);
        let replies = self.expected.drain(..);
        for ((op, (answer, events)), (reply, told)) in self.ops.iter().zip(answers).zip(replies) {
            assert_eq!(answer.map_err(|refusal| refusal.code), reply, "{op:?}");
            let events: Vec<Event> = events.iter().filter_map(of_book).collect();
            assert_eq!(events, told, "{op:?}");
        }
        let last = self.ops.pop();
        self.ops.clear();
        for side in [Side::Buy, Side::Sell] {
            let levels = self.harness.full.peek_levels(BTC, side, usize::MAX);
            assert_eq!(levels, self.market.book.levels(side), "{side:?}");
        }
        let (naive, fast) = (self.market.objects(), naive::exported(&mut self.harness.full));
        assert_same(&naive, &fast, &last);
        self.root = naive::root(&naive);
        assert_eq!(self.root, naive::root(&fast));
        self.counts.ranges += 1;
    }
}

/// The order flow's number of an order as a client id, and back.
fn name(number: u64) -> ClientId {
    u128::from(number).to_be_bytes()
}

fn number_of(client_id: Option<ClientId>) -> u64 {
    client_id.map_or(0, u128::from_be_bytes) as u64
}

fn request(
    client_id: u64,
    side: atoll_feed::Side,
    price: u64,
    size: u64,
    kind: OrderKind,
) -> OrderRequest {
    let side = if side == atoll_feed::Side::Bid { Side::Buy } else { Side::Sell };
    let tif = match kind {
        OrderKind::Limit => Tif::Gtc,
        OrderKind::PostOnly => Tif::PostOnly,
        OrderKind::Ioc => Tif::Ioc,
    };
    OrderRequest { tif, client_id: Some(name(client_id)), ..order(BTC, side, price, size) }
}

/// The commands of a recording's event; before the first oracle price there is no mark, so the first
/// one is looked for ahead.
fn first_price(path: &Path) -> Option<u64> {
    let mut flow = OrderFlow::new(FlowConfig::default());
    let mut commands = Vec::new();
    for event in Feed::open(path, &Options::default()).unwrap() {
        flow.apply(&event, &mut commands);
        for command in commands.drain(..) {
            if let Action::Oracle { price } = command.action {
                return Some(price);
            }
        }
    }
    None
}

fn replay(path: &Path) -> (Counts, B256) {
    let feed = Feed::open(path, &Options::default()).unwrap();
    let mut replay = Replay::new(feed.instrument());
    replay.oracle(first_price(path).expect("the recording has two sides"));
    let (mut commands, mut last_ns) = (Vec::new(), 0);
    for event in feed {
        replay.counts.events += 1;
        last_ns = event.time_ns;
        replay.flow.apply(&event, &mut commands);
        commands.drain(..).for_each(|command| replay.command(command));
    }
    replay.flow.finish(last_ns, &mut commands);
    commands.drain(..).for_each(|command| replay.command(command));
    replay.seal();
    (replay.counts, replay.root)
}

/// Orders around a wandering price that come, shrink, fill and go, as Bitstamp tells them.
fn made_up() -> String {
    let mut text = String::from("id,timestamp,exchange.timestamp,price,volume,action,direction\n");
    let mut seed = 7u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut open: Vec<(u64, u64, u64, bool)> = Vec::new();
    for n in 0..6_000u64 {
        let (time, kind) = (1_430_438_400_000 + n * 37, random(10));
        let (id, price, volume, bids, action) = if kind < 5 || open.is_empty() {
            let bids = random(2) == 0;
            let middle = 23_500 + (n / 40) % 50;
            // Now and then across the middle.
            let off = random(40);
            let price = if bids { middle + 4 - off } else { middle - 4 + off };
            let found = (n + 1, price, 1 + random(900_000_000), bids);
            open.push(found);
            (found.0, found.1, found.2, found.3, "created")
        } else {
            let at = random(open.len() as u64) as usize;
            let (id, price, volume, bids) = open[at];
            if kind == 5 && volume > 1 {
                open[at].2 = volume / 2;
                (id, price, volume / 2, bids, "changed")
            } else {
                open.swap_remove(at);
                (id, price, if kind == 6 { 0 } else { volume }, bids, "deleted")
            }
        };
        let side = if bids { "bid" } else { "ask" };
        let (whole, cents) = (price / 100, price % 100);
        text += &format!("{id},{time},{time},{whole}.{cents:02},{volume},{action},{side}\n");
    }
    text
}

#[test]
fn a_market_that_was_made_up_goes_through_both_books() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("made-up-l3.csv");
    std::fs::write(&path, made_up()).unwrap();
    let (counts, _) = replay(&path);
    println!("{counts:?}");
    assert!(
        counts.commands > 4_500 && counts.fills > 500 && counts.most_resting > 200,
        "{counts:?}"
    );
}

/// The recordings that there are, in order of their names.
#[allow(clippy::disallowed_methods, reason = "data that is in no checkout has to be named")]
fn recordings() -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("ATOLL_MARKETS") else { return Vec::new() };
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let compressed =
        |path: &PathBuf| path.extension().is_some_and(|end| end == "gz" || end == "xz");
    let mut files: Vec<PathBuf> = files.filter(compressed).collect();
    files.sort();
    assert!(!files.is_empty(), "ATOLL_MARKETS names a folder without recordings");
    files
}

#[test]
fn recorded_markets_go_through_both_books_in_full() {
    let files = recordings();
    if files.is_empty() {
        println!("skipped: ATOLL_MARKETS does not name a folder of recorded markets");
    }
    for path in files {
        let (counts, root) = replay(&path);
        assert!(counts.commands > 10_000 && counts.fills > 100, "{counts:?}");
        println!("{}: {counts:?}, no divergence, root of the books {root}", path.display());
    }
}
