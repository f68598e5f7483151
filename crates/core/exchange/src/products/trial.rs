//! What an order of a perpetual market would lead to.

use crate::engine::Incoming;
use crate::ids::{Amount, Side, Size};
use crate::margin::MarginPrices;
use crate::math::{parts, per_million};
use crate::objects::Position;
use crate::rules::{MarketRules, ProductRules, scaled_up};

/// What an order would lead to.
pub(super) struct Trial {
    /// What trades at once, and what rests.
    pub(super) filled: Size,
    pub(super) notional: Amount,
    pub(super) rest: Size,
    /// The position once the order has traded what it can and rests with the remainder; what it
    /// has to pay and what it realises is in its cost.
    pub(super) after: Position,
    /// What trading at once loses against the mark; negative for a gain.
    pub(super) loss: Amount,
    /// What the remainder loses against the mark when it trades.
    pub(super) rest_loss: Amount,
    /// The fee of trading at once.
    pub(super) fee: Amount,
    /// The maintenance margin that is freed if the order only reduces.
    pub(super) freed: Amount,
}

impl Trial {
    pub(super) fn new(
        before: &Position,
        incoming: &Incoming<'_>,
        filled: Size,
        notional: Amount,
        rest: Size,
        prices: &MarginPrices,
    ) -> Self {
        let (rules, order) = (incoming.rules, &incoming.order);
        // Funding is settled before the size changes: what is due counts as paid for the position.
        let mut after = *before;
        after.cost += after.settle_funding(prices.funding).amount;
        let (bids, asks) = match (order.reduce_only, order.side) {
            (true, _) => (0, 0),
            (false, Side::Buy) => (rest, 0),
            (false, Side::Sell) => (0, rest),
        };
        after.size += order.side.signed(filled);
        after.bids += bids;
        after.asks += asks;
        after.bid_notional += rules.reserved(order.price, bids);
        after.ask_notional += rules.reserved(order.price, asks);
        let mark = prices.mark;
        let lost = |notional: Amount, size: Size| {
            rules.paid(order.side, notional) - rules.value(mark, order.side.signed(size))
        };
        after.cost += rules.paid(order.side, notional);
        after.owes_from(prices.funding);
        Self {
            filled,
            notional,
            rest,
            after,
            loss: lost(notional, filled),
            rest_loss: lost(rules.notional(order.price, rest), rest).max(0),
            fee: parts(notional, rules.taker_fee_ppm).1,
            freed: freed(rules, before, filled + rest, prices),
        }
    }
}

/// The maintenance margin that closing so many lots of a position frees.
fn freed(rules: &MarketRules, before: &Position, lots: Size, prices: &MarginPrices) -> Amount {
    let ProductRules::Perpetual { maintenance_margin_ppm, .. } = rules.kind else { return 0 };
    let scale = prices.scale_ppm.1;
    if rules.tiers.is_empty() {
        return per_million(scaled_up(
            rules.weighted(prices.mark, lots, maintenance_margin_ppm),
            scale,
        ));
    }
    let held = before.size.unsigned_abs();
    let weighted = |lots: Size| {
        scaled_up(rules.maintenance_weighted(rules.exposure(prices.mark, lots)), scale)
    };
    per_million((weighted(held) - weighted(held.saturating_sub(lots))).max(0))
}
