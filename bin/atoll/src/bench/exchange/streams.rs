//! One market's orders through the book alone, through the whole exchange, and through peers, in
//! turns.
//!
//! * *The book alone* is the one that the exchange runs on ([`atoll_exchange::BareBook`]): its
//!   objects are tracked, and what changed is sealed and encoded every 1,000 steps, as in a node.
//!   It has no accounts, margin or directories, and neither have the peers; where each order rests
//!   is in a list of the caller's, as callers of the peers keep a pointer or a number.
//! * *The whole exchange* gets the same orders as commands of many accounts with margin, fees,
//!   positions, directories and events; the mark moves every 1,000 commands.
//!
//! All must end with as many orders, as much open and as many trades.

use super::flow::{self, COMMANDS_PER_TICK};
use super::program::Program;
use super::stream::{self, Step, Stream};
use super::{ThreadTime, execute, venue};
use crate::bench::median;
use crate::cli::ExchangeArgs;
use anyhow::{Result, ensure};
use atoll_exchange::{
    AccountId, BareBook, BareOrder, Command, Exchange, Input, Limits, MarketId, OrderId,
    OrderSelector, Outcome, Place, Rules, Side, Tif, Trade,
};
use atoll_state::{Resident, WriteSet, object};
use serde_json::{Value, json};

/// Accounts of the whole exchange.
const ACCOUNTS: u32 = 10_000;
/// A billion dollars each: no order of a stream is refused.
const COLLATERAL: i128 = 1_000_000_000_000_000;

/// Where an engine stands at the end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Orders that rest.
    pub(super) resting: u64,
    /// What is open of them, in lots.
    pub(super) open: u128,
    /// Trades; `None` where an engine does not count them.
    pub(super) trades: Option<u64>,
}

impl End {
    fn of(exchange: &Exchange<Resident>) -> Self {
        let levels = || exchange.state().levels.local_iter().map(|(_, level)| level);
        Self {
            resting: levels().map(|level| u64::from(level.count)).sum(),
            open: levels().map(|level| level.size).sum(),
            trades: Some(exchange.peek_top(MarketId(0)).trades),
        }
    }

    fn agrees(&self, other: &Self) -> bool {
        let trades = self.trades.zip(other.trades).is_none_or(|(a, b)| a == b);
        (self.resting, self.open) == (other.resting, other.open) && trades
    }
}

/// Something that a stream can be given to; each run is a fresh one.
trait Engine {
    fn name(&self) -> &str;
    /// Seconds of the timed steps, and where it ended.
    fn run(&mut self, stream: &Stream) -> Result<(f64, End)>;
}

struct Alone {
    rules: Rules,
}

/// The caller of a bare book.
struct Caller {
    /// Where each order rests, as far as it was told.
    places: Vec<Option<Place>>,
    trades: Vec<Trade>,
}

impl Caller {
    fn add(&mut self, book: &mut BareBook<'_, Resident>, order: BareOrder) -> Option<Place> {
        let place = book.add(&order, &mut self.trades);
        std::hint::black_box(&self.trades);
        self.trades.clear();
        place
    }

    fn step(&mut self, book: &mut BareBook<'_, Resident>, step: &Step) {
        let number = |order: u32| OrderId(order.into());
        let account = AccountId(0);
        match *step {
            Step::Place { side, price, size, immediate } => {
                let order = number(self.places.len() as u32);
                let order = BareOrder { order, account, side, price, size, immediate };
                let place = self.add(book, order);
                self.places.push(place);
            }
            Step::Cancel { order } => {
                if let Some(place) = self.places[order as usize].take() {
                    book.cancel(number(order), place);
                }
            }
            Step::Move { order: n, price, .. } => {
                let Some(place) = self.places[n as usize].take() else { return };
                let Some(old) = book.cancel(number(n), place) else { return };
                let (order, side, size) = (number(n), place.side, old.size);
                let order = BareOrder { order, account, side, price, size, immediate: false };
                self.places[n as usize] = self.add(book, order);
            }
        }
    }
}

impl Engine for Alone {
    fn name(&self) -> &str {
        "book"
    }

    fn run(&mut self, stream: &Stream) -> Result<(f64, End)> {
        let mut exchange = Exchange::new(self.rules.clone(), 1);
        let mut caller = Caller {
            places: Vec::with_capacity(stream.steps.len()),
            trades: Vec::with_capacity(1024),
        };
        let (mut events, mut writes) = (Vec::new(), WriteSet::default());
        let (untimed, timed) = stream.steps.split_at(stream.untimed);
        let mut apply = |exchange: &mut Exchange<Resident>, steps: &[Step]| {
            for steps in steps.chunks(COMMANDS_PER_TICK) {
                object::begin_unwitnessed(exchange);
                let mut book = exchange.bare_book(MarketId(0), &mut events);
                steps.iter().for_each(|step| caller.step(&mut book, step));
                object::seal(exchange, &mut writes, None);
                std::hint::black_box(&writes);
                writes.clear();
            }
        };
        apply(&mut exchange, untimed);
        let time = ThreadTime::start();
        apply(&mut exchange, timed);
        Ok((time.seconds(), End::of(&exchange)))
    }
}

/// The whole exchange, with the commands that the stream comes to.
struct Whole {
    rules: Rules,
    set_up: Vec<flow::Step>,
    timed: Vec<flow::Step>,
}

impl Whole {
    /// Translates by a dry run, since a cancel names the number that the exchange gave.
    fn new(rules: Rules, stream: &Stream) -> Result<Self> {
        let mut exchange: Exchange<Resident> = Exchange::new(rules.clone(), 1);
        let mut events = Vec::new();
        // Sides, or resting and immediate orders, are of different accounts: nobody trades with
        // himself.
        let by_side = stream.untimed == 0;
        let mut orders: Vec<(AccountId, OrderId, Side)> = Vec::new();
        let (mut set_up, mut timed) = (Vec::new(), Vec::new());
        object::begin_unwitnessed(&mut exchange);
        for n in 0..ACCOUNTS {
            let input = venue::deposit(n, COLLATERAL);
            let _ = exchange.apply(&input, &mut events);
            set_up.push(flow::Step::Input(input));
        }
        for (n, step) in stream.steps.iter().enumerate() {
            let steps = if n < stream.untimed { &mut set_up } else { &mut timed };
            if n.is_multiple_of(COMMANDS_PER_TICK) || n == stream.untimed {
                object::seal(&mut exchange, &mut WriteSet::default(), None);
                object::begin_unwitnessed(&mut exchange);
                let price = stream.middle + (n / COMMANDS_PER_TICK % 2) as u64;
                let time_us = 1_700_000_000_000_000 + 100 * n as u64;
                let oracle = venue::oracle(0, price);
                for input in [oracle, Input::Tick { time_us }] {
                    exchange.apply(&input, &mut events)?;
                    steps.push(flow::Step::Input(input));
                }
            }
            let (account, command) = match *step {
                Step::Place { side, price, size, immediate } => {
                    let other = if by_side { side == Side::Sell } else { immediate };
                    let account = 2 * (orders.len() as u32 % (ACCOUNTS / 2)) + u32::from(other);
                    let tif = if immediate { Tif::Ioc } else { Tif::Gtc };
                    orders.push((AccountId(account), OrderId(0), side));
                    (AccountId(account), venue::order(0, side, price, size, tif))
                }
                Step::Cancel { order } => {
                    let (account, order, _) = orders[order as usize];
                    (account, Command::Cancel(OrderSelector::Order(order)))
                }
                Step::Move { order, price, size } => {
                    let (account, order, side) = orders[order as usize];
                    let target = OrderSelector::Order(order);
                    let order = venue::request(0, side, price, size, Tif::Gtc);
                    (account, Command::Modify { target, order })
                }
            };
            events.clear();
            if let Outcome::Placed(placed) = exchange.execute(account, &command, &mut events)? {
                match *step {
                    Step::Move { order, .. } => orders[order as usize].1 = placed.order,
                    _ => orders.last_mut().into_iter().for_each(|last| last.1 = placed.order),
                }
            }
            steps.push(flow::Step::new(account, &command));
        }
        Ok(Self { rules, set_up, timed })
    }
}

impl Engine for Whole {
    fn name(&self) -> &str {
        "exchange"
    }

    fn run(&mut self, _stream: &Stream) -> Result<(f64, End)> {
        let mut exchange = Exchange::new(self.rules.clone(), 1);
        execute(&mut exchange, &self.set_up);
        let run = execute(&mut exchange, &self.timed);
        ensure!(run.refused.is_empty(), "the exchange refused {:?}", run.refused);
        Ok((run.seconds, End::of(&exchange)))
    }
}

#[cfg(feature = "bench-peers")]
struct OrderbookRs;

#[cfg(feature = "bench-peers")]
impl Engine for OrderbookRs {
    fn name(&self) -> &str {
        "orderbook-rs"
    }

    fn run(&mut self, stream: &Stream) -> Result<(f64, End)> {
        super::peer::run_stream(stream)
    }
}

impl Engine for Program {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, _stream: &Stream) -> Result<(f64, End)> {
        self.once()
    }
}

/// Uniform inserts.
pub(super) fn uniform(args: &ExchangeArgs) -> Result<Value> {
    let orders = args.commands.unwrap_or(2_000_000);
    measure(args, &stream::uniform(orders), venue::rules(1, limits())?)
}

/// exchange-core's mix.
pub(super) fn exchange_core(args: &ExchangeArgs) -> Result<Value> {
    let rules = venue::rules(1, limits())?;
    let stream = stream::exchange_core(rules.clone(), args.commands.unwrap_or(2_000_000));
    measure(args, &stream, rules)
}

fn limits() -> Limits {
    Limits { orders_per_account: 4_096, ..Limits::default() }
}

fn measure(args: &ExchangeArgs, stream: &Stream, rules: Rules) -> Result<Value> {
    let name = stream.name;
    let steps = stream.steps.len() - stream.untimed;
    eprintln!("{name}: {steps} steps, {} before them", stream.untimed);
    let mut engines: Vec<Box<dyn Engine>> =
        vec![Box::new(Alone { rules: rules.clone() }), Box::new(Whole::new(rules, stream)?)];
    #[cfg(feature = "bench-peers")]
    engines.push(Box::new(OrderbookRs));
    for path in &args.peer {
        engines.push(Box::new(Program::start(path, stream)?));
    }
    let mut rates = vec![Vec::new(); engines.len()];
    let mut end: Option<End> = None;
    for n in 0..args.runs {
        let mut line = format!("  run {}:", n + 1);
        for (engine, rates) in engines.iter_mut().zip(&mut rates) {
            let (seconds, found) = engine.run(stream)?;
            let expected = end.get_or_insert(found);
            let who = engine.name();
            ensure!(found.agrees(expected), "{who} ends with {found:?}, not with {expected:?}");
            rates.push(steps as f64 / seconds);
            line += &format!(" {who} {:.0}/s", steps as f64 / seconds);
        }
        eprintln!("{line}");
    }
    let medians: Vec<f64> = rates.iter().map(|rates| median(rates.clone())).collect();
    let end = end.unwrap_or(End { resting: 0, open: 0, trades: None });
    let trades = end.trades.unwrap_or(0);
    println!(
        "{name}: {steps} steps; {} orders rest in the end, {trades} trades; medians of {} runs in \
         turns",
        end.resting, args.runs
    );
    let mut list = Vec::new();
    for ((engine, rate), runs) in engines.iter().zip(&medians).zip(&rates) {
        let ratio = medians[0] / rate;
        println!("    {:<14} {rate:>10.0} steps/s; book / {0} = {ratio:.2}", engine.name());
        list.push(json!({
            "name": engine.name(),
            "steps_per_s": rate,
            "runs_per_s": runs,
            "book_ratio": ratio,
        }));
    }
    Ok(json!({
        "workload": name,
        "steps": steps,
        "resting": end.resting,
        "open_lots": end.open as f64,
        "trades": trades,
        "engines": list,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uniform_stream_ends_with_as_many_orders_as_liquibook_keeps_of_it() {
        let mut alone = Alone { rules: venue::rules(1, limits()).unwrap() };
        let (_, end) = alone.run(&stream::uniform(2_000_000)).unwrap();
        assert_eq!((end.resting, end.open, end.trades), (984_326, 5_414_436, Some(920_693)));
    }

    #[test]
    fn the_mix_has_its_shares_and_keeps_its_thousand_orders() {
        let rules = venue::rules(1, limits()).unwrap();
        let stream = stream::exchange_core(rules.clone(), 100_000);
        let timed = &stream.steps[stream.untimed..];
        let share = |is: fn(&Step) -> bool| timed.iter().filter(|step| is(step)).count();
        assert_eq!(share(|step| matches!(step, Step::Place { immediate: false, .. })), 9_000);
        assert_eq!(share(|step| matches!(step, Step::Place { immediate: true, .. })), 3_000);
        assert_eq!(share(|step| matches!(step, Step::Cancel { .. })), 6_000);
        assert_eq!(share(|step| matches!(step, Step::Move { .. })), 82_000);
        let (_, end) = Alone { rules }.run(&stream).unwrap();
        assert!((900..1_100).contains(&end.resting), "{end:?}");
    }
}
