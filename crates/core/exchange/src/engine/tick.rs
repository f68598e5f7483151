//! Ticks: the barrier at which time, oracle prices and marks move.
//!
//! A perpetual's mark is `clamp(median(best bid, best ask, last trade), oracle ± band)`, where a
//! side of the book or a last trade that is missing counts as the oracle. It is the book term of
//! Hyperliquid's mark price (documentation, "Robust price indices") bounded by a band around the
//! oracle in place of its averages over time, which a pure function of the state need not keep:
//! whoever moves the book moves the mark by the band at most.
//!
//! A spot market has no oracle: its mark, which only serves the price band, is the median of best
//! bid, best ask and last trade; before the first trade the middle of the book; before that none.

use super::Engine;
use crate::event::{Event, Refusal};
use crate::ids::{MarketId, MarketStatus, PPM, Price};
use crate::math::median;
use crate::objects::{BookTop, GlobalKey, MarketKey};
use crate::rules::{MarketRules, ProductRules};
use atoll_state::Source;
use atoll_types::RejectCode;

impl<S: Source> Engine<'_, S> {
    /// A tick. A time before the last one counts as the last one.
    pub(crate) fn tick(&mut self, time_us: u64) {
        let before_us = self.state.global.get(&GlobalKey).time_us;
        self.accrue_interest(before_us, time_us);
        if time_us > before_us {
            self.state.global.get_mut(&GlobalKey).time_us = time_us;
        }
        for rules in &self.rules.markets {
            let key = MarketKey(rules.market);
            let top = *self.state.tops.get(&key);
            let before = *self.state.prices.get(&key);
            if matches!(before.status, MarketStatus::Halted | MarketStatus::Settled) {
                continue;
            }
            let mut after = before;
            if after.next_oracle != 0 {
                (after.oracle, after.next_oracle) = (after.next_oracle, 0);
            }
            after.mark = mark(rules, &top, after.oracle);
            if after == before {
                continue;
            }
            *self.state.prices.get_mut(&key) = after;
            if (after.mark, after.oracle) != (before.mark, before.oracle) {
                let (mark, oracle) = (after.mark, after.oracle);
                self.events.push(Event::MarkChanged { market: rules.market, mark, oracle });
            }
        }
        self.run_conditional();
    }

    pub(crate) fn oracle(&mut self, market: MarketId, price: Price) -> Result<(), Refusal> {
        let rules = self.market(market)?;
        if !rules.is_perpetual() {
            let message = "spot markets take no oracle price";
            return Err(Refusal::new(RejectCode::Unsupported, message));
        }
        if price == 0 {
            let message = "an oracle price must be at least one tick";
            return Err(Refusal::new(RejectCode::OffTick, message));
        }
        if price > rules.price_max {
            let message = "an oracle price must not be above the market's maximum; see the spec";
            return Err(Refusal::new(RejectCode::Overflow, message));
        }
        self.state.prices.get_mut(&MarketKey(market)).next_oracle = price;
        Ok(())
    }
}

impl<S: Source> Engine<'_, S> {
    /// Moves a market's cumulative funding.
    pub(crate) fn add_funding(&mut self, market: MarketId, change: i128) -> Result<(), Refusal> {
        let rules = self.market(market)?;
        if !rules.is_perpetual() {
            let message = "spot markets have no funding";
            return Err(Refusal::new(RejectCode::Unsupported, message));
        }
        if self.state.prices.get(&MarketKey(market)).status == MarketStatus::Settled {
            let message = "the market is settled: its positions pay no more funding";
            return Err(Refusal::new(RejectCode::MarketPaused, message));
        }
        let prices = self.state.prices.get_mut(&MarketKey(market));
        let bound = crate::spec::FUNDING_BOUND;
        prices.funding = prices.funding.saturating_add(change).clamp(-bound, bound);
        Ok(())
    }

    /// Sets what a market's requirements are multiplied by.
    pub(crate) fn set_margin_scale(
        &mut self,
        market: MarketId,
        scale_ppm: (u32, u32),
    ) -> Result<(), Refusal> {
        self.market(market)?;
        let prices = self.state.prices.get_mut(&MarketKey(market));
        (prices.initial_scale_ppm, prices.maintenance_scale_ppm) = scale_ppm;
        Ok(())
    }
}

fn mark(rules: &MarketRules, top: &BookTop, oracle: Price) -> Price {
    let or = |price: Price, other: Price| if price == 0 { other } else { price };
    match rules.kind {
        ProductRules::Perpetual { .. } if oracle == 0 => 0,
        ProductRules::Perpetual { mark_band_ppm, .. } => {
            let book = median(or(top.bid, oracle), or(top.ask, oracle), or(top.last, oracle));
            // Below 2⁴⁰ × 2²⁰.
            let band = oracle * u64::from(mark_band_ppm) / u64::from(PPM);
            book.clamp(oracle - band, (oracle + band).min(rules.price_max)).max(1)
        }
        ProductRules::Spot { .. } if top.last != 0 => {
            median(or(top.bid, top.last), or(top.ask, top.last), top.last)
        }
        ProductRules::Spot { .. } if top.bid != 0 && top.ask != 0 => (top.bid + top.ask) / 2,
        ProductRules::Spot { .. } => 0,
    }
}
