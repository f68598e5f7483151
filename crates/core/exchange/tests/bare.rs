//! The book alone against a naive one: a list of orders, searched in full for each step.

mod common;

use atoll_exchange::objects::RestingOrder;
use atoll_exchange::{
    AccountId, BareOrder, Exchange, MarketId, OrderId, Place, Rules, Side, Trade,
};
use atoll_state::{Resident, WriteSet, object};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Add {
        buy: bool,
        price: u64,
        size: u64,
        immediate: bool,
    },
    /// Cancels one of the orders so far, open or not.
    Cancel(usize),
    Seal,
}

fn step() -> impl Strategy<Value = Step> {
    let add = (any::<bool>(), 90..110u64, 1..30u64, 0..8u8);
    prop_oneof![
        6 => add.prop_map(|(buy, price, size, immediate)| {
            Step::Add { buy, price, size, immediate: immediate == 0 }
        }),
        2 => any::<prop::sample::Index>().prop_map(|n| Step::Cancel(n.index(200))),
        1 => Just(Step::Seal),
    ]
}

/// Open orders in order of arrival.
#[derive(Default)]
struct Naive(Vec<(u64, Side, u64, u64)>);

impl Naive {
    fn add(&mut self, order: &BareOrder) -> (Vec<Trade>, bool) {
        let (mut trades, mut left) = (Vec::new(), order.size);
        while left > 0 {
            let crosses = |(_, side, price, _): &&mut (u64, Side, u64, u64)| {
                *side != order.side && order.side.crosses(order.price, *price)
            };
            // The first of the best price: `min_by_key` gives the first of equals.
            let best = self.0.iter_mut().filter(crosses).min_by_key(|(_, _, price, _)| {
                if order.side == Side::Buy { *price } else { u64::MAX - *price }
            });
            let Some((number, _, price, open)) = best else { break };
            let size = left.min(*open);
            *open -= size;
            left -= size;
            let (maker, taker) = (OrderId(*number), order.order);
            trades.push(Trade { maker, taker, price: *price, size, remaining: *open });
            self.0.retain(|(.., open)| *open > 0);
        }
        let rests = left > 0 && !order.immediate;
        if rests {
            self.0.push((order.order.0, order.side, order.price, left));
        }
        (trades, rests)
    }

    fn cancel(&mut self, number: u64) -> Option<u64> {
        let at = self.0.iter().position(|order| order.0 == number)?;
        Some(self.0.remove(at).3)
    }
}

proptest! {
    #[test]
    fn trades_and_cancels_like_a_naive_book(steps in prop::collection::vec(step(), 1..200)) {
        let rules = Rules::new(common::spec()).unwrap();
        let mut exchange: Exchange<Resident> = Exchange::new(rules, 7);
        let (mut naive, mut events) = (Naive::default(), Vec::new());
        let mut places: Vec<Option<Place>> = Vec::new();
        object::begin(&mut exchange);
        for step in steps {
            let mut book = exchange.bare_book(MarketId(0), &mut events);
            match step {
                Step::Add { buy, price, size, immediate } => {
                    let number = places.len() as u64 + 1;
                    let (order, account) = (OrderId(number), AccountId(3));
                    let side = if buy { Side::Buy } else { Side::Sell };
                    let order = BareOrder { order, account, side, price, size, immediate };
                    let mut trades = Vec::new();
                    let place = book.add(&order, &mut trades);
                    prop_assert_eq!((trades, place.is_some()), naive.add(&order));
                    places.push(place);
                }
                Step::Cancel(n) => {
                    let Some(Some(place)) = places.get(n) else { continue };
                    let number = n as u64 + 1;
                    // A place may have another order by now, never this one's number.
                    let found = book.cancel(OrderId(number), *place);
                    let size = found.map(|RestingOrder { size, .. }| size);
                    prop_assert_eq!(size, naive.cancel(number));
                }
                Step::Seal => {
                    object::seal(&mut exchange, &mut WriteSet::default(), None);
                    object::begin(&mut exchange);
                }
            }
            let mut book = exchange.bare_book(MarketId(0), &mut events);
            for side in [Side::Buy, Side::Sell] {
                let prices = naive.0.iter().filter(|order| order.1 == side).map(|order| order.2);
                let best = if side == Side::Buy { prices.max() } else { prices.min() };
                prop_assert_eq!(book.best(side), best);
            }
        }
        prop_assert!(events.is_empty());
    }
}
