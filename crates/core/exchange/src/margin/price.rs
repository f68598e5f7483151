//! The prices at which an account or a position gives way.
//!
//! Hyperliquid (documentation, "Liquidations"): for a position of one tier,
//! liquidation price = price − side × margin available / size / (1 − l × side), where margin
//! available is equity less the maintenance requirement, l the maintenance fraction, and side 1
//! for long and −1 for short. With tiers, inverse contracts and scaled requirements there is no
//! closed form: the first tick at which equity no longer covers what it must is searched, which
//! for the plain case is the formula's price, rounded away from the mark by less than a tick.

use super::{Margin, MarginPrices, isolated::IsolatedView};
use crate::ids::{Amount, Price};
use crate::objects::Position;
use crate::rules::MarketRules;

/// What a position's price has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// Equity no longer covers maintenance.
    Liquidation,
    /// Equity is below zero.
    Bankruptcy,
}

/// The nearest mark, from the present one on against the position, at which an isolated position
/// reaches a threshold; none if it never does.
pub fn isolated(
    rules: &MarketRules,
    position: &Position,
    margin: Amount,
    prices: &MarginPrices,
    threshold: Threshold,
) -> Option<Price> {
    search(rules, position, prices, |prices| {
        let view = IsolatedView::new(rules, position, margin, prices);
        match threshold {
            Threshold::Liquidation => view.equity < view.maintenance,
            Threshold::Bankruptcy => view.equity < 0,
        }
    })
}

/// The same for a linear position of a cross account whose other terms stay as they are: `others` is
/// the account's margin without this position. (A coin's price moves what settles in it: there the
/// whole account is looked at, by [`crate::Exchange::peek_positions`].)
pub fn cross(
    rules: &MarketRules,
    position: &Position,
    others: &Margin,
    prices: &MarginPrices,
    threshold: Threshold,
) -> Option<Price> {
    let (equity, maintenance) = (others.equity(), others.maintenance());
    search(rules, position, prices, |prices| {
        let mut own = Margin::default();
        own.add(rules, position, prices);
        match threshold {
            Threshold::Liquidation => equity + own.equity() < maintenance + own.maintenance(),
            Threshold::Bankruptcy => equity + own.equity() < 0,
        }
    })
}

/// The price nearest to the mark, against the position, at which `reached`; it is monotone there,
/// because a price tick moves a position's value by more than its maintenance requirement.
pub(crate) fn search(
    rules: &MarketRules,
    position: &Position,
    prices: &MarginPrices,
    mut reached: impl FnMut(&MarginPrices) -> bool,
) -> Option<Price> {
    let mut at = |mark: Price| reached(&MarginPrices { mark, ..*prices });
    let long = position.size > 0;
    let last = if long { 1 } else { rules.price_max };
    let mark = prices.mark;
    if position.size == 0 || mark == 0 {
        return None;
    }
    if at(mark) {
        return Some(mark);
    }
    if !at(last) {
        return None;
    }
    // Reached at `last`, not at `mark`: halve the distance.
    let (mut no, mut yes) = (mark, last);
    while no.abs_diff(yes) > 1 {
        let middle = no.midpoint(yes);
        if at(middle) { yes = middle } else { no = middle }
    }
    Some(yes)
}
