//! What a book does, said once and held against both implementations: the naive list of orders and
//! the book that the exchange runs on. Then both go through random streams side by side: the same
//! trades, the same orders, the same bytes in the state and the same root.

use crate::common::naive::book::{Book, Fast, Naive};
use crate::common::naive::{assert_same, root};
use atoll_exchange::{AccountId, BareOrder, LevelView, OrderId, Price, Side, Size, Trade};
use proptest::prelude::*;

fn order(number: u64, side: Side, price: Price, size: Size) -> BareOrder {
    let account = AccountId(number as u32 % 7);
    BareOrder { order: OrderId(number), account, side, price, size, immediate: false }
}

fn bid(number: u64, price: Price, size: Size) -> BareOrder {
    order(number, Side::Buy, price, size)
}

fn ask(number: u64, price: Price, size: Size) -> BareOrder {
    order(number, Side::Sell, price, size)
}

/// Adds orders that rest.
fn rest(book: &mut impl Book, orders: &[BareOrder]) {
    for order in orders {
        assert_eq!(book.add(order), (Vec::new(), true), "{order:?}");
    }
}

/// Maker, price, size, what is left of the maker.
fn short(trades: &[Trade]) -> Vec<(u64, Price, Size, Size)> {
    trades.iter().map(|t| (t.maker.0, t.price, t.size, t.remaining)).collect()
}

fn queue(book: &mut impl Book, side: Side, price: Price) -> Vec<(u64, Size)> {
    book.queue(side, price).into_iter().map(|(_, order, size)| (order.0, size)).collect()
}

fn better_prices_trade_first_and_older_orders_before_younger<B: Book>() {
    let mut book = B::new();
    rest(&mut book, &[ask(1, 101, 5), ask(2, 100, 5), ask(3, 100, 5), ask(4, 99, 5)]);
    let (trades, rests) = book.add(&bid(5, 100, 12));
    assert_eq!(short(&trades), [(4, 99, 5, 0), (2, 100, 5, 0), (3, 100, 2, 3)]);
    assert!(!rests && trades.iter().all(|trade| trade.taker == OrderId(5)));
    let mut book = B::new();
    rest(&mut book, &[bid(1, 99, 5), bid(2, 100, 5), bid(3, 100, 5), bid(4, 101, 5)]);
    let (trades, rests) = book.add(&ask(5, 100, 12));
    assert_eq!(short(&trades), [(4, 101, 5, 0), (2, 100, 5, 0), (3, 100, 2, 3)]);
    assert!(!rests);
}

fn what_is_left_rests_unless_it_is_immediate<B: Book>() {
    let mut book = B::new();
    rest(&mut book, &[ask(1, 100, 5)]);
    let (trades, rests) = book.add(&bid(2, 100, 8));
    assert_eq!((short(&trades), rests), (vec![(1, 100, 5, 0)], true));
    assert_eq!(queue(&mut book, Side::Buy, 100), [(2, 3)]);
    let (trades, rests) = book.add(&BareOrder { immediate: true, ..ask(3, 99, 8) });
    assert_eq!((short(&trades), rests), (vec![(2, 100, 3, 0)], false));
    assert_eq!((book.best(Side::Buy), book.best(Side::Sell)), (None, None));
    let (trades, rests) = book.add(&BareOrder { immediate: true, ..ask(4, 99, 8) });
    assert!(trades.is_empty() && !rests);
}

fn an_order_that_trades_in_part_keeps_its_place<B: Book>() {
    let mut book = B::new();
    rest(&mut book, &[bid(1, 100, 9), bid(2, 100, 9)]);
    book.add(&ask(3, 100, 4));
    rest(&mut book, &[bid(4, 100, 9)]);
    assert_eq!(queue(&mut book, Side::Buy, 100), [(1, 5), (2, 9), (4, 9)]);
}

fn a_cancel_takes_what_is_open_once<B: Book>() {
    let mut book = B::new();
    rest(&mut book, &[bid(1, 100, 9), bid(2, 100, 7)]);
    book.add(&ask(3, 100, 4));
    assert_eq!(book.cancel(OrderId(1)), Some(5));
    assert_eq!(book.cancel(OrderId(1)), None, "it is gone");
    assert_eq!(book.cancel(OrderId(9)), None, "it never was");
    book.add(&ask(4, 100, 7));
    assert_eq!(book.cancel(OrderId(2)), None, "it traded");
    // Another order in the same place is not it.
    rest(&mut book, &[bid(5, 100, 1)]);
    assert_eq!(book.cancel(OrderId(1)), None);
    assert_eq!(book.cancel(OrderId(5)), Some(1));
}

fn the_best_price_follows_and_levels_are_sums<B: Book>() {
    let mut book = B::new();
    rest(&mut book, &[bid(1, 97, 1), bid(2, 99, 2), bid(3, 99, 3), ask(4, 105, 4), ask(5, 101, 5)]);
    assert_eq!((book.best(Side::Buy), book.best(Side::Sell)), (Some(99), Some(101)));
    let level = |price, size, count| LevelView { price, size, count };
    assert_eq!(book.levels(Side::Buy), [level(99, 5, 2), level(97, 1, 1)]);
    assert_eq!(book.levels(Side::Sell), [level(101, 5, 1), level(105, 4, 1)]);
    book.cancel(OrderId(5));
    book.cancel(OrderId(2));
    book.cancel(OrderId(3));
    assert_eq!((book.best(Side::Buy), book.best(Side::Sell)), (Some(97), Some(105)));
}

/// Prices next to one another, and so far apart that they share no page of the set of prices.
fn neighbours_of_any_distance_are_found<B: Book>() {
    let prices = [1, 2, 255, 256, 257, 65_535, 65_536, 1 << 24, (1 << 32) + 1, (1 << 40) - 1];
    for side in [Side::Buy, Side::Sell] {
        let mut book = B::new();
        for (n, price) in (1..).zip(prices) {
            rest(&mut book, &[order(n, side, price, 1)]);
        }
        let mut expected = prices.to_vec();
        if side == Side::Buy {
            expected.reverse();
        }
        for price in expected {
            assert_eq!(book.best(side), Some(price));
            let number = 1 + prices.iter().position(|other| *other == price).unwrap() as u64;
            assert_eq!(book.cancel(OrderId(number)), Some(1));
        }
        assert_eq!(book.best(side), None);
        assert!(book.objects().is_empty(), "an empty book leaves nothing behind");
    }
}

/// Orders leave from the front, the middle and the end of a long level, and others come.
fn a_long_level_is_a_queue<B: Book>() {
    let mut book = B::new();
    let orders: Vec<BareOrder> = (1..=50).map(|n| bid(n, 100, 10)).collect();
    rest(&mut book, &orders);
    for n in (9..=24).chain([1, 33, 50, 49, 48, 47, 46, 45, 44, 43, 42]) {
        assert_eq!(book.cancel(OrderId(n)), Some(10), "{n}");
    }
    rest(&mut book, &[bid(51, 100, 10), bid(52, 100, 10)]);
    let left = (2..=8).chain(25..=32).chain(34..=41).chain([51, 52]);
    let left: Vec<(u64, Size)> = left.map(|n| (n, 10)).collect();
    assert_eq!(queue(&mut book, Side::Buy, 100), left);
    let (trades, rests) = book.add(&ask(53, 100, 1_000));
    let makers: Vec<(u64, Size)> = trades.iter().map(|t| (t.maker.0, t.size)).collect();
    assert_eq!((makers, rests), (left, true));
}

/// The root after a history that meets every rule of the layout: numbers in a level, a level that
/// begins anew, chunks that lost their neighbours.
fn the_state_is_this<B: Book>() {
    let mut book = B::new();
    let orders: Vec<BareOrder> = (1..=40).map(|n| ask(n, 1_000 + n % 3, n)).collect();
    rest(&mut book, &orders);
    for n in [3, 6, 9, 12, 15, 18, 21, 24, 40, 1] {
        book.cancel(OrderId(n));
    }
    book.add(&bid(41, 1_001, 100));
    rest(&mut book, &[bid(42, 90_000_000, 5)].map(|o| BareOrder { side: Side::Sell, ..o }));
    rest(&mut book, &[bid(43, 7, 5), bid(44, 7, 6)]);
    book.cancel(OrderId(43));
    book.cancel(OrderId(44));
    rest(&mut book, &[bid(45, 7, 8)]);
    let expected = "0x6b5b891e968e00af73c3245a344d441e46d786a546b46f33fbda63bb44ca0ded";
    assert_eq!(root(&book.objects()).to_string(), expected);
}

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        mod naive {
            $(#[test]
            fn $name() {
                super::$name::<super::Naive>();
            })*
        }
        mod fast {
            $(#[test]
            fn $name() {
                super::$name::<super::Fast>();
            })*
        }
    };
}

suite!(
    better_prices_trade_first_and_older_orders_before_younger,
    what_is_left_rests_unless_it_is_immediate,
    an_order_that_trades_in_part_keeps_its_place,
    a_cancel_takes_what_is_open_once,
    the_best_price_follows_and_levels_are_sums,
    neighbours_of_any_distance_are_found,
    a_long_level_is_a_queue,
    the_state_is_this,
);

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
}

/// Few prices, or prices of any distance; orders come more often than they leave.
fn step() -> impl Strategy<Value = Step> {
    let price = prop_oneof![
        12 => 96..105u64, 3 => 90..110u64, 1 => 200..300u64, 1 => 1..1u64 << 40,
    ];
    let add = (any::<bool>(), price, 1..30u64, 0..8u8);
    prop_oneof![
        6 => add.prop_map(|(buy, price, size, immediate)| {
            Step::Add { buy, price, size, immediate: immediate == 0 }
        }),
        3 => any::<prop::sample::Index>().prop_map(|n| Step::Cancel(n.index(300))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn both_books_go_through_random_streams_alike(
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let (mut naive, mut fast) = (Naive::new(), Fast::new());
        let mut orders = 0;
        for step in steps {
            match step {
                Step::Add { buy, price, size, immediate } => {
                    orders += 1;
                    let side = if buy { Side::Buy } else { Side::Sell };
                    let order = BareOrder { immediate, ..order(orders, side, price, size) };
                    prop_assert_eq!(fast.add(&order), naive.add(&order));
                }
                Step::Cancel(n) => {
                    let order = OrderId(n as u64 + 1);
                    prop_assert_eq!(fast.cancel(order), naive.cancel(order));
                }
            }
            let (of_naive, of_fast) = (naive.objects(), fast.objects());
            assert_same(&of_naive, &of_fast, &step);
            for side in [Side::Buy, Side::Sell] {
                prop_assert_eq!(fast.best(side), naive.best(side));
            }
        }
        for side in [Side::Buy, Side::Sell] {
            let levels = fast.levels(side);
            prop_assert_eq!(&levels, &naive.levels(side));
            for level in levels {
                let queues = [fast.queue(side, level.price), naive.queue(side, level.price)];
                prop_assert_eq!(&queues[0], &queues[1]);
            }
        }
        prop_assert_eq!(root(&fast.objects()), root(&naive.objects()));
    }
}
