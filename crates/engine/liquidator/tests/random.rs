//! Random exchanges: after every tick the index has found what a look at every account finds.

mod common;

use atoll_exchange::*;
use atoll_liquidator::{Liquidator, SharedFrom};
use atoll_state::Workers;
use common::exchange::cases;
use common::*;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

/// A step; what it is about is chosen when it runs.
#[derive(Clone, Debug)]
enum Step {
    /// Two accounts trade at a market's mark: so many parts per thousand of what the first could.
    Trade(u32, u32, MarketId, bool, u64),
    /// A mark moves by parts per thousand.
    Move(MarketId, i64),
    /// All marks do.
    Crash(i64),
    Funding(MarketId, i128),
    Scale(MarketId, u32),
    Leverage(u32, MarketId, u8, bool),
    Adjust(u32, MarketId, i128),
    /// Coins, if so, or dollars in and out of the collateral wallet.
    Money(u32, bool, i128),
    /// A tick, after so many microseconds; then bounds are set anew for at most so many.
    Tick(u64, Option<usize>),
    /// The index is thrown away.
    Restart,
}

const ACCOUNTS: u32 = 14;
const PARTS: usize = 3;

/// The last part first: no part may need what another one does.
struct LastFirst;

impl Workers for LastFirst {
    fn each<T: Send>(&mut self, items: &mut [T], work: &(impl Fn(usize, &mut T) + Sync)) {
        items.iter_mut().enumerate().rev().for_each(|(nth, item)| work(nth, item));
    }
}

/// An index that shares out all that there is to do.
fn in_parts(venue: &Venue) -> Liquidator {
    let mut index = Liquidator::new(&venue.exchange);
    index.shared_from = SharedFrom { bounds: 0, accounts: 0 };
    index
}

fn market() -> impl Strategy<Value = MarketId> {
    prop_oneof![3 => Just(BTC), 2 => Just(ETH), 2 => Just(INV), 1 => Just(SOL)]
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..ACCOUNTS;
    let small = prop_oneof![6 => -9..10i64, 2 => -60..61i64, 1 => -300..400i64];
    let later = prop_oneof![9 => 500..100_000u64, 1 => 600_000_000..90_000_000_000u64];
    let settled =
        prop_oneof![5 => Just(Some(1000usize)), 3 => (0..4usize).prop_map(Some), 2 => Just(None)];
    prop_oneof![
        14 => (who(), who(), market(), any::<bool>(), 1..1300u64)
            .prop_map(|(a, b, market, buys, part)| Step::Trade(a, b, market, buys, part)),
        10 => (market(), small.clone()).prop_map(|(market, by)| Step::Move(market, by)),
        2 => small.prop_map(Step::Crash),
        2 => (market(), -3_000_000_000_000i128..3_000_000_000_000)
            .prop_map(|(market, change)| Step::Funding(market, change)),
        1 => (market(), prop_oneof![Just(1_000_000u32), 900_000..3_000_000u32, 1..60_000_000u32])
            .prop_map(|(market, scale)| Step::Scale(market, scale)),
        2 => (who(), market(), 1..21u8, any::<bool>())
            .prop_map(|(who, market, leverage, own)| Step::Leverage(who, market, leverage, own)),
        1 => (who(), market(), -40_000_000_000i128..40_000_000_000)
            .prop_map(|(who, market, by)| Step::Adjust(who, market, by)),
        2 => (who(), any::<bool>(), -300_000_000_000i128..300_000_000_000)
            .prop_map(|(who, coin, by)| Step::Money(who, coin, by)),
        16 => (later, settled).prop_map(|(later, settled)| Step::Tick(later, settled)),
        1 => Just(Step::Restart),
    ]
}

/// What looking at everybody finds.
fn naive(venue: &Venue) -> Vec<(u32, Option<MarketId>)> {
    let mut found = Vec::new();
    for account in 0..venue.exchange.peek_global().accounts {
        let id = AccountId(account);
        if venue.exchange.peek_margin(id).is_liquidatable() {
            found.push((account, None));
        }
        let mut own: Vec<MarketId> = venue
            .exchange
            .peek_positions(id)
            .iter()
            .filter(|view| view.position.size != 0)
            .filter(|view| view.isolated.is_some_and(|view| view.equity < view.maintenance))
            .map(|view| view.market)
            .collect();
        own.sort_unstable();
        found.extend(own.into_iter().map(|market| (account, Some(market))));
    }
    found
}

/// What a history came to, to see that histories are worth looking at.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    ticks: usize,
    found: usize,
    looked_at: usize,
    waiting: usize,
}

fn check(steps: &[Step]) -> Result<Tally, TestCaseError> {
    let mut venue = Venue::new(ACCOUNTS);
    let mut index = Liquidator::new(&venue.exchange);
    let mut shared = in_parts(&venue);
    let mut tally = Tally::default();
    for step in steps {
        let mut events = Vec::new();
        match *step {
            Step::Trade(a, b, market, buys, part) => {
                venue.trade(a, b, market, buys, part, &mut events);
            }
            Step::Move(market, by) => venue.shift(market, by, &mut events),
            Step::Crash(by) => {
                [BTC, ETH, INV, SOL].iter().for_each(|m| venue.shift(*m, by, &mut events));
            }
            Step::Funding(market, change) => {
                venue.input(Input::Funding { market, change }, &mut events);
            }
            Step::Scale(market, scale) => {
                let scale_ppm = (scale.max(1_000_000), scale);
                venue.input(Input::MarginScale { market, scale_ppm }, &mut events);
            }
            Step::Leverage(who, market, leverage, isolated) => {
                let command = Command::SetLeverage { market, leverage, isolated };
                venue.command(who, command, &mut events);
            }
            Step::Adjust(who, market, amount) => {
                venue.command(who, Command::AdjustMargin { market, amount }, &mut events);
            }
            Step::Money(who, coin, by) => {
                let to = if by > 0 { Wallet::Collateral } else { Wallet::Spot };
                let asset = if coin { COIN } else { USDC };
                let command = Command::Move { asset, to, amount: by.abs() };
                venue.command(who, command, &mut events);
            }
            Step::Tick(later, settled) => {
                venue.tick(later, &mut events);
                events.iter().for_each(|event| index.observe(event));
                events.iter().for_each(|event| shared.observe(event));
                let report = index.advance(&venue.exchange);
                shared.advance_on(&venue.exchange, &mut LastFirst, PARTS);
                let everybody = naive(&venue);
                for index in [&index, &shared] {
                    let found: Vec<_> =
                        index.liquidatable().map(|unit| (unit.account.0, unit.market)).collect();
                    prop_assert_eq!(&found, &everybody);
                }
                tally.ticks += 1;
                tally.found += report.liquidatable.saturating_sub(report.before);
                tally.looked_at += report.looked_at;
                tally.waiting += usize::from(report.waiting > 0);
                if let Some(most) = settled {
                    index.settle(&venue.exchange, most);
                    shared.settle(&venue.exchange, most);
                }
                continue;
            }
            Step::Restart => {
                index = Liquidator::new(&venue.exchange);
                shared = in_parts(&venue);
                continue;
            }
        }
        events.iter().for_each(|event| index.observe(event));
        events.iter().for_each(|event| shared.observe(event));
    }
    Ok(tally)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(400),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    })]
    #[test]
    fn what_is_found_is_what_looking_at_everybody_finds(
        steps in prop::collection::vec(step(), 1..400),
    ) {
        check(&steps)?;
    }
}

/// Histories have in them what the test above is about, and the index is of use in them.
#[test]
fn histories_are_worth_looking_at() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut sum = Tally::default();
    for _ in 0..40 {
        let steps = prop::collection::vec(step(), 300).new_tree(&mut runner).unwrap().current();
        let tally = check(&steps).unwrap();
        sum.ticks += tally.ticks;
        sum.found += tally.found;
        sum.looked_at += tally.looked_at;
        sum.waiting += tally.waiting;
    }
    assert!(sum.found > 100 && sum.waiting > 10, "{sum:?}");
    assert!(sum.looked_at < sum.ticks * ACCOUNTS as usize, "{sum:?}");
}
