//! A network in which nobody sends anything: what is due happens all the same, and what is not
//! costs nothing.

use crate::common::{ETH, IDENTITY, START_MS, Venue, key, marks, order, spec};
use atoll_exchange::{Event, FundingSpec, MarkRule, Rules, SanitySpec, Side, Tif};
use atoll_state::{WriteSet, object};
use atoll_types::Encode;
use atoll_vm::exchange::sign::sign_oracle;
use atoll_vm::exchange::{ExchangeVm, ExchangeVmSpec};
use atoll_vm::{SlotContext, Vm};

/// A venue whose claims are renewed all at once: where they are renewed in turn, each slot writes
/// whose turn it is.
fn quiet() -> ExchangeVmSpec {
    ExchangeVmSpec { claims_per_slot: 3, ..spec(true) }
}

/// Hyperliquid's funding, its mark, and sanity bounds.
fn with_prices() -> ExchangeVmSpec {
    let mut vm = quiet();
    let mut exchange = vm.exchange.spec().clone();
    let prices = &mut exchange.markets[0].prices;
    prices.mark = MarkRule::Robust { interval_us: 3_000_000 };
    prices.funding = Some(FundingSpec::hyperliquid(1_000_000));
    prices.sanity = Some(SanitySpec {
        jump_ppm: 50_000,
        confirm_us: 10_000_000,
        rate_ppm: 2_000,
        hold_us: 30_000_000,
        limit_us: 900_000_000,
        auction_us: 10_000_000,
        wide_us: 300_000_000,
    });
    vm.exchange = Rules::new(exchange).unwrap();
    vm
}

/// Opens a slot at a time; gives what that wrote, and what its tick did.
fn slot(vm: &mut ExchangeVm<atoll_state::Resident>, at_us: u64) -> (usize, Vec<Event>) {
    vm.open_slot(&SlotContext { slot: 9, time_us: at_us, ..crate::common::context() });
    let events = vm.tick_events().to_vec();
    let mut writes = WriteSet::default();
    object::seal(vm, &mut writes, None);
    object::begin_unwitnessed(vm);
    (writes.iter().count(), events)
}

#[test]
fn funding_is_paid_while_nobody_trades() {
    let mut venue = Venue::of(with_prices());
    venue.place("bob", order(Side::Sell, 200_000, 10_000, Tif::Gtc));
    venue.place("alice", order(Side::Buy, 200_000, 10_000, Tif::Gtc));
    let alice = venue.vm.account_of(&key("alice").address()).unwrap();
    let before = venue.vm.exchange().peek_margin(alice).equity();
    let start_us = START_MS * 1000;
    let (mut wrote, mut written, mut payments) = (0, 0, 0);
    // Two hours in slots of a tenth of a second.
    for at in 1..=7_200 * 10 {
        let (keys, events) = slot(&mut venue.vm, start_us + at * 100_000);
        wrote += u64::from(keys != 0);
        written += keys;
        payments += events.iter().filter(|e| matches!(e, Event::FundingAccrued { .. })).count();
    }
    assert_eq!(payments, 2);
    println!("{wrote} of 72000 slots wrote {written} objects");
    // A contract of 2000 dollars for two hours at 0.0000125 an hour: 0.05 dollars.
    let paid = before - venue.vm.exchange().peek_margin(alice).equity();
    assert_eq!(paid, 50_000);
    // The mark is made anew every 3 s, a premium is sampled every 5 s: of 150 slots of a tenth of
    // a second at most 8 write, and none more than a few objects.
    assert!(wrote <= 72_000 * 8 / 150, "{wrote}");
    assert!(written as u64 <= wrote * 4, "{written} in {wrote}");
    assert_eq!(venue.vm.inconsistencies(), Vec::<String>::new());
}

#[test]
fn an_auction_ends_while_nobody_trades() {
    let mut venue = Venue::of(with_prices());
    let mut at_us = START_MS * 1000;
    let tell = |venue: &mut Venue, at_us: u64, eth: u64| {
        let oracle = sign_oracle(&key("oracle"), &IDENTITY, at_us / 1000, &marks(eth, 60_000));
        let checked = venue.check(&oracle.to_bytes()).unwrap();
        venue.vm.execute_input(&checked);
    };
    at_us += 1_000_000;
    slot(&mut venue.vm, at_us);
    // A price of a tenth, for one second.
    tell(&mut venue, at_us, 20_000);
    at_us += 1_000_000;
    slot(&mut venue.vm, at_us);
    tell(&mut venue, at_us, 200_000);
    let mut seen = Vec::new();
    for _ in 0..60 {
        at_us += 1_000_000;
        let (_, events) = slot(&mut venue.vm, at_us);
        seen.extend(events.into_iter().filter_map(|event| match event {
            Event::StatusChanged { status, .. } => Some(status),
            _ => None,
        }));
    }
    use atoll_exchange::MarketStatus::{Auction, Open};
    assert_eq!(seen, [Auction, Open]);
    let prices = venue.vm.exchange().peek_prices(ETH);
    assert_eq!((prices.status, prices.oracle), (Open, 200_000));
}

#[test]
fn a_mark_by_the_book_follows_it_once_and_a_slot_without_news_writes_nothing() {
    let mut venue = Venue::of(quiet());
    object::seal(&mut venue.vm, &mut WriteSet::default(), None);
    object::begin_unwitnessed(&mut venue.vm);
    let at = |n: u64| START_MS * 1000 + n * 100_000;
    // What genesis left to do is done.
    for n in 1..10 {
        slot(&mut venue.vm, at(n));
    }
    assert_eq!(slot(&mut venue.vm, at(10)), (0, Vec::new()));
    venue.place("bob", order(Side::Sell, 199_000, 1_000, Tif::Gtc));
    venue.place("alice", order(Side::Buy, 198_900, 1_000, Tif::Gtc));
    let (_, events) = slot(&mut venue.vm, at(11));
    assert!(matches!(events[..], [Event::MarkChanged { market: ETH, mark: 199_000, .. }]));
    for n in 12..16 {
        slot(&mut venue.vm, at(n));
    }
    assert_eq!(slot(&mut venue.vm, at(16)), (0, Vec::new()));
    // An order that ends in an hour does not make slots work before.
    let mut bid = order(Side::Buy, 198_000, 1_000, Tif::Gtc);
    bid.expires_us = at(36_000);
    venue.place("alice", bid);
    slot(&mut venue.vm, at(17));
    for n in 18..22 {
        assert_eq!(slot(&mut venue.vm, at(n)).0, 0);
    }
    let (_, events) = slot(&mut venue.vm, at(36_000));
    assert!(matches!(events[..], [Event::Cancelled { .. }]), "{events:?}");
}
