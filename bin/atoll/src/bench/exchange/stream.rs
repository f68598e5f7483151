//! Orders for one market's book that any engine can be given: [`uniform`] inserts and
//! [`exchange_core`]'s mix.
//!
//! Made beforehand, by a dry run on the node's own book where a step depends on what is open. The
//! numbers come from a 32-bit linear congruential generator (a = 1,664,525, c = 1,013,904,223,
//! seed 12,345; u = state / 2³²), so that anyone can make the same stream in any language.

use atoll_exchange::{
    AccountId, BareBook, BareOrder, Exchange, MarketId, OrderId, Place, Side, Trade,
};
use atoll_state::{Resident, object};
use std::io::Write;

const SEED: u32 = 12_345;
/// Orders that the mix keeps open.
const LIVE: usize = 1_000;

/// One step. Orders are named by their number among those placed, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Trades what crosses; the rest rests, unless it is immediate.
    Place { side: Side, price: u64, size: u64, immediate: bool },
    /// Takes an order out.
    Cancel { order: u32 },
    /// Gives an order another price, behind all that are there; `size` is what is open of it.
    Move { order: u32, price: u64, size: u64 },
}

/// A stream of steps.
pub(super) struct Stream {
    pub(super) name: &'static str,
    pub(super) steps: Vec<Step>,
    /// So many steps at the start fill the book and are not timed.
    pub(super) untimed: usize,
    /// The middle of the prices.
    pub(super) middle: u64,
}

/// The generator.
struct Random(u32);

impl Random {
    /// Uniform in [0, 1).
    fn u(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(self.0) / 4_294_967_296.0
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.u() * n as f64) as u64
    }

    fn side(&mut self) -> Side {
        if self.u() < 0.5 { Side::Buy } else { Side::Sell }
    }
}

/// Uniform inserts, the flow of liquibook's own performance test: buys and sells in turns, at
/// ⌊10u⌋ + 1880 and ⌊10u⌋ + 1884, of size ⌊10u⌋ + 1. Half of them trade at once, half rest.
pub(super) fn uniform(orders: u64) -> Stream {
    let mut random = Random(SEED);
    let steps = (0..orders).map(|n| {
        let (side, base) = if n % 2 == 0 { (Side::Buy, 1_880) } else { (Side::Sell, 1_884) };
        let price = random.below(10) + base;
        Step::Place { side, price, size: random.below(10) + 1, immediate: false }
    });
    Stream { name: "uniform", steps: steps.collect(), untimed: 0, middle: 1_887 }
}

/// The mix that exchange-core publishes its figures for: of every 100 commands, in random order, 9
/// place an order that rests, 3 are immediate-or-cancel, 6 cancel and 82 move, with some
/// [`LIVE`] open orders.
///
/// Orders rest 1 to 200 ticks from a middle that walks a tick every 100 commands, never across
/// what is there: those that would are put behind it. An immediate order takes one resting order
/// in the mean, more where the book has grown and less where it has shrunk.
pub(super) fn exchange_core(rules: atoll_exchange::Rules, commands: u64) -> Stream {
    let mut exchange = Exchange::new(rules, 1);
    object::begin_unwitnessed(&mut exchange);
    let mut events = Vec::new();
    let mut maker = Maker {
        book: exchange.bare_book(MarketId(0), &mut events),
        random: Random(SEED),
        steps: Vec::new(),
        trades: Vec::new(),
        places: Vec::new(),
        live: Vec::new(),
        index: Vec::new(),
        middle: MIDDLE,
    };
    for _ in 0..LIVE {
        maker.place();
    }
    let untimed = maker.steps.len();
    let mut kinds = [Kind::Move; 100];
    kinds[..9].fill(Kind::Place);
    kinds[9..12].fill(Kind::Immediate);
    kinds[12..18].fill(Kind::Cancel);
    for n in 0..commands as usize {
        let at = n % kinds.len();
        if at == 0 {
            for i in (1..kinds.len()).rev() {
                kinds.swap(i, maker.random.below(i as u64 + 1) as usize);
            }
            maker.walk();
        }
        match kinds[at] {
            Kind::Place => maker.place(),
            Kind::Immediate => maker.immediate(),
            Kind::Cancel => maker.cancel(),
            Kind::Move => maker.shift(),
        }
    }
    Stream { name: "exchange-core", steps: maker.steps, untimed, middle: MIDDLE }
}

const MIDDLE: u64 = 10_000;
/// How far the middle walks.
const WALK: u64 = 1_000;
const AWAY: u64 = 200;
const SIZE: u64 = 1_000;

#[derive(Clone, Copy)]
enum Kind {
    Place,
    Immediate,
    Cancel,
    Move,
}

struct Maker<'a> {
    book: BareBook<'a, Resident>,
    random: Random,
    steps: Vec<Step>,
    trades: Vec<Trade>,
    /// Where each order rests, by number; `None` if it does not.
    places: Vec<Option<Place>>,
    /// Orders that rest, and where each is in that list.
    live: Vec<u32>,
    index: Vec<usize>,
    middle: u64,
}

impl Maker<'_> {
    fn walk(&mut self) {
        let up = self.random.u() < 0.5;
        let to = if up { self.middle + 1 } else { self.middle - 1 };
        if to.abs_diff(MIDDLE) <= WALK {
            self.middle = to;
        }
    }

    /// A price on this side that does not cross.
    fn price(&mut self, side: Side) -> u64 {
        let away = self.random.below(AWAY) + 1;
        let best = self.book.best(side.opposite());
        match side {
            Side::Buy => (self.middle - away).min(best.map_or(u64::MAX, |best| best - 1)),
            Side::Sell => (self.middle + away).max(best.map_or(0, |best| best + 1)),
        }
    }

    /// Gives the book an order, and keeps the list of those that rest.
    fn add(&mut self, number: u32, side: Side, price: u64, size: u64, immediate: bool) {
        let (order, account) = (OrderId(number.into()), AccountId(0));
        let order = BareOrder { order, account, side, price, size, immediate };
        let place = self.book.add(&order, &mut self.trades);
        self.places[number as usize] = place;
        if place.is_some() {
            self.index[number as usize] = self.live.len();
            self.live.push(number);
        }
        for trade in std::mem::take(&mut self.trades) {
            if trade.remaining == 0 {
                self.forget(trade.maker.0 as u32);
            }
        }
    }

    fn add_new(&mut self, side: Side, price: u64, size: u64, immediate: bool) {
        let number = self.places.len() as u32;
        self.places.push(None);
        self.index.push(0);
        self.add(number, side, price, size, immediate);
        self.steps.push(Step::Place { side, price, size, immediate });
    }

    fn forget(&mut self, order: u32) {
        let at = self.index[order as usize];
        self.places[order as usize] = None;
        self.live.swap_remove(at);
        if let Some(moved) = self.live.get(at) {
            self.index[*moved as usize] = at;
        }
    }

    fn place(&mut self) {
        let side = self.random.side();
        let price = self.price(side);
        let size = self.random.below(SIZE) + 1;
        self.add_new(side, price, size, false);
    }

    fn immediate(&mut self) {
        let side = self.random.side();
        let price = if side == Side::Buy { MIDDLE + 2 * WALK } else { MIDDLE - 2 * WALK };
        let most = if self.live.len() > LIVE { 2 * SIZE } else { SIZE };
        let size = self.random.below(most) + 1;
        self.add_new(side, price, size, true);
    }

    /// Takes an order out that rests; gives it with its side, price and open size.
    fn take(&mut self) -> Option<(u32, Place, u64)> {
        let order = *self.live.get(self.random.below(self.live.len() as u64) as usize)?;
        let place = self.places[order as usize]?;
        let resting = self.book.cancel(OrderId(order.into()), place)?;
        self.forget(order);
        Some((order, place, resting.size))
    }

    fn cancel(&mut self) {
        match self.take() {
            Some((order, ..)) => self.steps.push(Step::Cancel { order }),
            None => self.place(),
        }
    }

    fn shift(&mut self) {
        let Some((order, Place { side, price: old, .. }, size)) = self.take() else {
            return self.place();
        };
        let price = match self.price(side) {
            same if same == old && side == Side::Buy => old - 1,
            same if same == old => old + 1,
            other => other,
        };
        self.add(order, side, price, size, false);
        self.steps.push(Step::Move { order, price, size });
    }
}

/// Writes the steps as a peer program reads them; docs/CLI.md says how.
pub(super) fn write(stream: &Stream, out: &mut impl Write) -> std::io::Result<()> {
    for step in &stream.steps {
        let (kind, first, second) = match *step {
            Step::Place { side, price, size, immediate } => {
                (side as u8 | u8::from(immediate) << 2, price, size)
            }
            Step::Cancel { order } => (2, order.into(), 0),
            Step::Move { order, price, .. } => (3, order.into(), price),
        };
        out.write_all(&[kind, 0, 0, 0, 0, 0, 0, 0])?;
        out.write_all(&first.to_le_bytes())?;
        out.write_all(&second.to_le_bytes())?;
    }
    Ok(())
}
