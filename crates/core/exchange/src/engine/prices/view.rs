//! Funding as a node shows it: looked at without recording.

use super::funding::{self, IMPACT_LEVELS, Impact, ImpactPrice};
use crate::exchange::Exchange;
use crate::ids::{MarketId, Side};
use crate::objects::{FundingHour, MarketKey};
use atoll_state::Source;

/// Funding of a market as it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FundingView {
    /// The rate that the running hour would pay with the samples so far; without one, the rate of
    /// the latest hour that paid. Parts per billion.
    pub rate: i64,
    /// The latest premium sample, parts per billion.
    pub premium: i64,
    /// Impact prices of bids and asks now, in 1/256 ticks; none where a side is too thin.
    pub impact: Option<(ImpactPrice, ImpactPrice)>,
    /// When the running hour is over, microseconds.
    pub next_us: u64,
}

impl<S: Source> Exchange<S> {
    /// Funding of a market; none if it has none.
    pub fn peek_funding(&self, market: MarketId) -> Option<FundingView> {
        let spec = self.rules.market_spec(market)?.prices.funding?;
        let rules = self.rules.market(market)?;
        let FundingHour { hour, sum, count, premium, rate, .. } =
            self.state.funding.peek(&MarketKey(market)).copied().unwrap_or_default();
        let rate = if count == 0 { rate } else { funding::rate(&spec, sum, count) };
        let impact = |side| {
            let mut impact = Impact::new(rules, spec.impact_notional);
            let levels = self.peek_levels(market, side, IMPACT_LEVELS as usize);
            levels.iter().find_map(|level| impact.take(level.price, level.size))
        };
        let impact = impact(Side::Buy).zip(impact(Side::Sell));
        let next_us = (hour + 1).saturating_mul(funding::HOUR_US);
        Some(FundingView { rate, premium, impact, next_us })
    }
}
