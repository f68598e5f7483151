//! The peer: crate `orderbook-rs`, one book a market, on the orders that the engine accepted.
//!
//! Set up for speed as its documentation says: no self-trade prevention (`STPMode::None`, "zero
//! overhead"), no listeners, no order state tracker, no risk layer, sequential order numbers, and
//! a counter for a clock, since the engine reads none either. Orders carry their owner, because
//! the crate keeps a list of orders by owner and its cancels are slower on long ones.

use super::ThreadTime;
use super::flow::{Flow, Step};
use super::stream::{self, Stream};
use super::streams::End;
use anyhow::{Result, ensure};
use atoll_exchange::{Command, Exchange, MarketId, OrderRequest, OrderSelector, Outcome, Tif};
use atoll_state::{Resident, object};
use orderbook_rs::prelude::{Id, OrderBook, Side, StubClock, TimeInForce};
use pricelevel::{Hash32, OrderUpdate, Price};
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

enum Order {
    Place {
        book: usize,
        id: Id,
        price: u128,
        size: u64,
        side: Side,
        tif: TimeInForce,
        owner: Hash32,
    },
    Cancel {
        book: usize,
        id: Id,
    },
}

/// The flow as the peer's calls.
pub(super) struct Orders {
    markets: usize,
    set_up: Vec<Order>,
    timed: Vec<Order>,
}

impl Orders {
    /// Translates what the engine accepts.
    pub(super) fn of(flow: &Flow) -> Self {
        let mut exchange: Exchange<Resident> = Exchange::new(flow.rules.clone(), 1);
        object::begin_unwitnessed(&mut exchange);
        let (mut events, mut books) = (Vec::new(), HashMap::new());
        let mut translate = |steps: &[Step]| {
            let mut orders = Vec::with_capacity(steps.len());
            for step in steps {
                events.clear();
                if let Step::Input(input) = step {
                    let _ = exchange.apply(input, &mut events);
                }
                let Some((account, command)) = step.command() else { continue };
                match (&command, exchange.execute(account, &command, &mut events)) {
                    (Command::Place(order), Ok(Outcome::Placed(placed))) => {
                        books.insert(placed.order, order.market);
                        let mut owner = [0; 32];
                        owner[..4].copy_from_slice(&(account.0 + 1).to_le_bytes());
                        orders.push(place(order, placed.order.0, Hash32::new(owner)));
                    }
                    (Command::Cancel(OrderSelector::Order(target)), Ok(_)) => {
                        let book = books.remove(target).unwrap_or_default();
                        let id = Id::from_u64(target.0);
                        orders.push(Order::Cancel { book: usize::from(book.0), id });
                    }
                    _ => {}
                }
            }
            orders
        };
        let (set_up, timed) = (translate(&flow.set_up), translate(&flow.timed));
        Self { markets: flow.rules.spec().markets.len(), set_up, timed }
    }

    /// Orders a second on fresh books, which must end with the same best prices as the engine's.
    pub(super) fn run(&self, engine: &Exchange<Resident>) -> Result<f64> {
        let book = |n| OrderBook::with_clock(&format!("M{n}"), Arc::new(StubClock::new()));
        let books: Vec<OrderBook<()>> = (0..self.markets).map(book).collect();
        apply(&books, &self.set_up);
        let time = ThreadTime::start();
        apply(&books, &self.timed);
        let seconds = time.seconds();
        for (n, book) in (0..).zip(&books) {
            let top = engine.peek_top(MarketId(n));
            let theirs = [book.best_bid(), book.best_ask()].map(Option::unwrap_or_default);
            let ours = [top.bid, top.ask].map(u128::from);
            ensure!(theirs == ours, "market {n}: orderbook-rs ends at {theirs:?}, not {ours:?}");
        }
        Ok(self.timed.len() as f64 / seconds)
    }
}

fn place(order: &OrderRequest, number: u64, owner: Hash32) -> Order {
    Order::Place {
        book: usize::from(order.market.0),
        id: Id::from_u64(number),
        price: order.price.into(),
        size: order.size,
        side: match order.side {
            atoll_exchange::Side::Buy => Side::Buy,
            atoll_exchange::Side::Sell => Side::Sell,
        },
        tif: if order.tif == Tif::Ioc { TimeInForce::Ioc } else { TimeInForce::Gtc },
        owner,
    }
}

fn apply(books: &[OrderBook<()>], orders: &[Order]) {
    for order in orders {
        match order {
            Order::Place { book, id, price, size, side, tif, owner } => {
                let placed = books[*book]
                    .add_limit_order_with_user(*id, *price, *size, *side, *tif, *owner, None);
                // Errs where an immediate order was not filled in full, which is no failure.
                let _ = black_box(placed);
            }
            Order::Cancel { book, id } => {
                let _ = black_box(books[*book].cancel_order(*id));
            }
        }
    }
}

/// One run of a stream on a fresh book: seconds of the timed steps, and where it ended.
pub(super) fn run_stream(stream: &Stream) -> Result<(f64, End)> {
    let book: OrderBook<()> = OrderBook::with_clock("M0", Arc::new(StubClock::new()));
    let owner = Hash32::new([1; 32]);
    let mut placed = 0;
    let mut apply = |steps: &[stream::Step]| {
        for step in steps {
            match *step {
                stream::Step::Place { side, price, size, immediate } => {
                    let id = Id::from_u64(placed);
                    placed += 1;
                    let side = match side {
                        atoll_exchange::Side::Buy => Side::Buy,
                        atoll_exchange::Side::Sell => Side::Sell,
                    };
                    let tif = if immediate { TimeInForce::Ioc } else { TimeInForce::Gtc };
                    let price = price.into();
                    // Errs where an immediate order was not filled in full, which is no failure.
                    let _ = black_box(
                        book.add_limit_order_with_user(id, price, size, side, tif, owner, None),
                    );
                }
                stream::Step::Cancel { order } => {
                    let _ = black_box(book.cancel_order(Id::from_u64(order.into())));
                }
                stream::Step::Move { order, price, .. } => {
                    let order_id = Id::from_u64(order.into());
                    let new_price = Price::new(price.into());
                    let moved = OrderUpdate::UpdatePrice { order_id, new_price };
                    let _ = black_box(book.update_order(moved));
                }
            }
        }
    };
    let (untimed, timed) = stream.steps.split_at(stream.untimed);
    apply(untimed);
    let time = ThreadTime::start();
    apply(timed);
    let seconds = time.seconds();
    let orders = book.get_all_orders();
    let open = orders.iter().map(|order| u128::from(order.visible_quantity().as_u64())).sum();
    Ok((seconds, End { resting: orders.len() as u64, open, trades: None }))
}
