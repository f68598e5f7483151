//! Price sanity bounds: what no price may do to anybody at once.
//!
//! On 19 January 2026 a database migration made Paradex's Bitcoin price zero; its engine liquidated
//! thousands of positions within seconds, and the chain was rolled back. Here a price like that
//! moves nothing, and one that is true is followed:
//! * A step of the oracle, or of the mark that the market makes, that is larger than
//!   [`SanitySpec::jump_ppm`] is not believed: oracle and mark stay where they are. How large a
//!   step is: the higher price over the lower one, less one, so that zero is infinitely far.
//! * If the oracle is back inside the bound before [`SanitySpec::confirm_us`] have passed, that was
//!   all. Else oracle and mark move toward what the sources say, by at most
//!   [`SanitySpec::rate_ppm`] of themselves a second, until they are there. So a wrong price of
//!   some seconds liquidates nobody, and in a crash the mark reaches whoever is truly insolvent in
//!   a time that follows from the spec.
//! * Meanwhile the market takes only orders that reduce: for [`SanitySpec::hold_us`] at least, then
//!   until the prices have arrived, but for [`SanitySpec::limit_us`] at most. Then an auction of
//!   [`SanitySpec::auction_us`] reopens it ([`super::auction`]). As long as it is not open, its
//!   book makes no price: the mark is the oracle, and the averages begin anew afterwards.
//! * For [`SanitySpec::wide_us`] after that the bounds are twice as wide.
//!
//! Independent of this, a market without a quorum of sources for the spec's time takes only orders
//! that reduce until there is one again.

use crate::event::GuardReason;
use crate::ids::{MarketStatus, PPM, Price};
use crate::objects::{Guard, Imposed, MarketPrices};
use crate::spec::prices::SanitySpec;

/// Time between two steps of prices that are on their way.
pub(crate) const STEP_US: u64 = 1_000_000;

/// A step that is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trip {
    pub(crate) reason: GuardReason,
    pub(crate) from: Price,
    pub(crate) to: Price,
}

/// Whether prices are farther apart than a bound.
pub(crate) fn is_far(a: Price, b: Price, bound_ppm: u32) -> bool {
    // Below 2⁴⁰ × 2²⁰.
    u128::from(a.abs_diff(b)) * u128::from(PPM) > u128::from(a.min(b)) * u128::from(bound_ppm)
}

/// The bound in force.
pub(crate) fn bound(spec: &SanitySpec, guard: &Guard, now_us: u64) -> u32 {
    if now_us < guard.wide_until_us { 2 * spec.jump_ppm } else { spec.jump_ppm }
}

/// A price on its way to a target, after a time.
fn toward(price: Price, target: Price, rate_ppm: u32, elapsed_us: u64) -> Price {
    // Below 2⁴⁰ × 2¹⁷ × 2⁶⁴.
    let step = u128::from(price) * u128::from(rate_ppm) * u128::from(elapsed_us);
    let step = step / (u128::from(PPM) * 1_000_000);
    let step = u64::try_from(step).unwrap_or(u64::MAX);
    if price < target {
        price.saturating_add(step).min(target)
    } else {
        price.saturating_sub(step).max(target)
    }
}

/// Takes in what the sources say, while there is an oracle price already: believes it, or stops, or
/// goes on toward it.
pub(crate) fn accept(
    spec: &SanitySpec,
    guard: &mut Guard,
    prices: &mut MarketPrices,
    told: Price,
    now_us: u64,
) -> Option<Trip> {
    let bound = bound(spec, guard, now_us);
    let far = is_far(told, prices.oracle, bound);
    if guard.since_us == 0 {
        if !far {
            prices.oracle = told;
            return None;
        }
        let (reason, from) = (GuardReason::OracleJump, prices.oracle);
        stop(spec, guard, now_us);
        return Some(Trip { reason, from, to: told });
    }
    if now_us <= guard.moved_us {
        // Nothing has moved yet. What is back is believed as if it had never been away.
        if !far && !is_far(told, prices.mark, bound) {
            guard.since_us = 0;
            prices.oracle = told;
        }
        return None;
    }
    let elapsed = now_us - guard.moved_us;
    let oracle = toward(prices.oracle, told, spec.rate_ppm, elapsed);
    let mark = toward(prices.mark, told, spec.rate_ppm, elapsed);
    let arrived = oracle == told && mark == told;
    // A step of less than a tick is not lost: the next one is as much longer.
    if arrived || (oracle, mark) != (prices.oracle, prices.mark) {
        guard.moved_us = now_us;
    }
    (prices.oracle, prices.mark) = (oracle, mark);
    if arrived {
        guard.since_us = 0;
    }
    None
}

/// The mark that the market makes: believed, or not.
pub(crate) fn accept_mark(
    spec: &SanitySpec,
    guard: &mut Guard,
    prices: &mut MarketPrices,
    mark: Price,
    now_us: u64,
) -> Option<Trip> {
    if prices.mark == 0 || !is_far(mark, prices.mark, bound(spec, guard, now_us)) {
        prices.mark = mark;
        return None;
    }
    stop(spec, guard, now_us);
    Some(Trip { reason: GuardReason::MarkJump, from: prices.mark, to: mark })
}

fn stop(spec: &SanitySpec, guard: &mut Guard, now_us: u64) {
    guard.since_us = now_us.max(1);
    guard.moved_us = now_us.saturating_add(spec.confirm_us);
}

/// Whether the guard may take a market out of this status.
pub(crate) fn may_impose(status: MarketStatus) -> bool {
    matches!(status, MarketStatus::Open | MarketStatus::PostOnly)
}

/// Whether a market that only takes orders that reduce may reopen; and else when to look again.
pub(crate) fn may_reopen(spec: &SanitySpec, guard: &Guard, now_us: u64) -> Result<(), u64> {
    debug_assert_eq!(guard.imposed, Imposed::Sanity);
    let held = guard.imposed_us.saturating_add(spec.hold_us);
    let limit = guard.imposed_us.saturating_add(spec.limit_us);
    if now_us >= limit || (now_us >= held && guard.since_us == 0) {
        return Ok(());
    }
    Err(if now_us < held { held } else { limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    const SPEC: SanitySpec = SanitySpec {
        jump_ppm: 50_000,
        confirm_us: 10 * SECOND,
        rate_ppm: 2_000,
        hold_us: 30 * SECOND,
        limit_us: 300 * SECOND,
        auction_us: 10 * SECOND,
        wide_us: 600 * SECOND,
    };

    fn run(seconds: std::ops::Range<u64>, guard: &mut Guard, prices: &mut MarketPrices, to: Price) {
        for second in seconds {
            accept(&SPEC, guard, prices, to, second * SECOND);
        }
    }

    fn prices() -> MarketPrices {
        MarketPrices { mark: 600_000, oracle: 600_000, ..MarketPrices::default() }
    }

    #[test]
    fn a_glitch_shorter_than_the_confirmation_moves_nothing() {
        for glitch in [1, 600, 569_999, 630_001, 600_000_000, 1 << 39] {
            let (mut guard, mut prices) = (Guard::default(), prices());
            let trip = accept(&SPEC, &mut guard, &mut prices, glitch, 100 * SECOND);
            let reason = GuardReason::OracleJump;
            assert_eq!(trip, Some(Trip { reason, from: 600_000, to: glitch }));
            run(101..111, &mut guard, &mut prices, glitch);
            assert_eq!((prices.oracle, prices.mark), (600_000, 600_000), "{glitch}");
            run(110..111, &mut guard, &mut prices, 601_000);
            assert_eq!((prices.oracle, prices.mark, guard.since_us), (601_000, 600_000, 0));
        }
        let (mut guard, mut prices) = (Guard::default(), prices());
        assert_eq!(
            accept(&SPEC, &mut guard, &mut prices, 571_429, SECOND),
            None,
            "5 % is believed"
        );
    }

    #[test]
    fn a_crash_is_followed_at_the_capped_rate() {
        let (mut guard, mut prices) = (Guard::default(), prices());
        accept(&SPEC, &mut guard, &mut prices, 300_000, 100 * SECOND);
        let mut last = 600_000;
        for second in 101..600 {
            accept(&SPEC, &mut guard, &mut prices, 300_000, second * SECOND);
            assert!(prices.mark >= last - last * 2 / 1000, "{second}");
            last = prices.mark;
            // e^(−0.002 × 346) = ½, after 10 s of doubt.
            assert_eq!(guard.since_us == 0, second >= 457, "{second} {}", prices.mark);
        }
        assert_eq!((prices.oracle, prices.mark), (300_000, 300_000));
    }

    #[test]
    fn small_steps_add_up() {
        let (mut guard, mut prices) = (Guard::default(), prices());
        (prices.oracle, prices.mark) = (100, 100);
        accept(&SPEC, &mut guard, &mut prices, 50, 0);
        // 0.2 a second: a tick each five.
        run(1..11, &mut guard, &mut prices, 50);
        run(11..15, &mut guard, &mut prices, 50);
        assert_eq!(prices.mark, 100);
        run(15..16, &mut guard, &mut prices, 50);
        assert_eq!(prices.mark, 99);
    }
}
