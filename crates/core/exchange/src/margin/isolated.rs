//! Isolated positions: a balance of their own in place of the account's.
//!
//! As on Hyperliquid (documentation, "Margining"; API, `updateLeverage`, `updateIsolatedMargin`):
//! * opening lots moves `notional × initial fraction` at the fill's price from the cross account
//!   into the position; closing lots moves their share of the margin back, with what they realised;
//!   fees are the cross account's;
//! * what the position is worth is margin + value − cost − funding due; it is liquidatable when that
//!   is below its own maintenance requirement, and nothing else of the account is touched by it;
//! * margin can be added and removed; what remains must cover the initial requirement and a tenth of
//!   the position's value;
//! * the mode changes only without a position; leverage falls only as far as the margin covers it.

use super::MarginPrices;
use crate::ids::{Amount, PPM, Side};
use crate::math::per_million_up;
use crate::objects::Position;
use crate::products::fill::{Traded, part_of, trade};
use crate::rules::{MarketRules, scaled_up};

/// What an isolated position is worth, and what it must cover, in the asset that it settles in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IsolatedView {
    /// Its own margin.
    pub margin: Amount,
    /// Margin + value − cost − funding due.
    pub equity: Amount,
    /// What must be covered to remove margin or lower leverage.
    pub initial: Amount,
    /// What must be covered not to be liquidated.
    pub maintenance: Amount,
}

impl IsolatedView {
    /// Looks at a position.
    pub fn new(
        rules: &MarketRules,
        position: &Position,
        margin: Amount,
        prices: &MarginPrices,
    ) -> Self {
        let value = rules.value(prices.mark, position.size);
        let due = position.funding_due(prices.funding).0;
        let exposure = rules.exposure(prices.mark, position.size.unsigned_abs());
        let fraction = rules.initial_ppm(exposure, position.leverage);
        let initial = scaled_up(exposure * Amount::from(fraction), prices.scale_ppm.0);
        let maintenance = scaled_up(rules.maintenance_weighted(exposure), prices.scale_ppm.1);
        Self {
            margin,
            equity: margin + value - position.cost - due,
            initial: per_million_up(initial),
            maintenance: per_million_up(maintenance),
        }
    }

    /// What of its worth may be taken out: that above the initial requirement and above a tenth of
    /// the position's value (Hyperliquid: `max(initial margin, 0.1 × position value)`).
    pub fn removable(&self, rules: &MarketRules, position: &Position, mark: u64) -> Amount {
        let value = rules.exposure(mark, position.size.unsigned_abs());
        let tenth = per_million_up(value * Amount::from(PPM / 10));
        (self.equity - self.initial.max(tenth)).max(0)
    }
}

/// What a fill did to an isolated position.
pub(crate) struct IsolatedFill {
    pub(crate) traded: Traded,
    /// What the cross account gets; negative for what it gives.
    pub(crate) to_cross: Amount,
    /// How the position's own margin changed.
    pub(crate) change: Amount,
}

/// Applies a fill to an isolated position whose funding is settled.
pub(crate) fn fill(
    rules: &MarketRules,
    position: &mut Position,
    margin: &mut Amount,
    (side, size): (Side, u64),
    notional: Amount,
    scale_ppm: u32,
) -> IsolatedFill {
    let start = position.size;
    let closed = crate::engine::reducible(start, side).min(size);
    let opened = size - closed;
    let released = match closed {
        0 => 0,
        _ => part_of(*margin, closed.into(), start.unsigned_abs().into()),
    };
    let traded = trade(rules, position, side, size, notional);
    let mut moved = 0;
    if opened > 0 {
        let value = notional - part_of(notional, closed.into(), size.into());
        moved = opening(rules, position, value, scale_ppm);
    }
    *margin += moved - released;
    let to_cross = released + traded.pnl - moved;
    IsolatedFill { traded, to_cross, change: moved - released }
}

/// What opening lots for `value` moves into a position that is then worth its cost.
fn opening(rules: &MarketRules, position: &Position, value: Amount, scale_ppm: u32) -> Amount {
    let fraction = rules.initial_ppm(position.cost.abs(), position.leverage);
    per_million_up(scaled_up(value * Amount::from(fraction), scale_ppm))
}

/// What the open orders of an isolated position's market would move into it, × 10⁶: the larger
/// side, as far as it opens; what reduces comes first.
pub(crate) fn reserve(rules: &MarketRules, position: &Position, prices: &MarginPrices) -> Amount {
    let side = |side: Side, lots: u64, notional: Amount| {
        let closing = crate::engine::reducible(position.size, side);
        let opens = lots.saturating_sub(closing);
        if opens == 0 {
            return 0;
        }
        let value = match opens == lots {
            true => notional,
            false => part_of(notional, opens.into(), lots.into()) + 1,
        };
        // The position as it would be: what it costs now if it grows, nothing if it turns.
        let before = if closing == 0 { position.cost.abs() } else { 0 };
        let fraction = rules.initial_ppm(before + value, position.leverage);
        scaled_up(value * Amount::from(fraction), prices.scale_ppm.0)
    };
    let bids = rules.reserves(position.bid_notional);
    let asks = rules.reserves(position.ask_notional);
    side(Side::Buy, position.bids, bids).max(side(Side::Sell, position.asks, asks))
}
