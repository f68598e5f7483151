//! Ticks: the barrier at which time, oracle prices, marks and what follows from them move. See
//! [`super::prices`] for the rules.

use super::{Engine, prices};
use crate::event::Refusal;
use crate::ids::{MarketId, MarketStatus, PPM};
use crate::objects::{GlobalKey, MarketKey};
use alloc::vec::Vec;
use atoll_state::Source;
use atoll_types::RejectCode;

impl<S: Source> Engine<'_, S> {
    /// A tick. A time before the last one counts as the last one.
    pub(crate) fn tick(&mut self, time_us: u64) {
        let before_us = self.state.global.get(&GlobalKey).time_us;
        self.accrue_interest(before_us, time_us);
        if time_us > before_us {
            self.state.global.get_mut(&GlobalKey).time_us = time_us;
            self.time_us = time_us;
        }
        let mut calls = Vec::new();
        for rules in &self.rules.markets {
            let key = MarketKey(rules.market);
            let before = *self.state.prices.get(&key);
            if matches!(before.status, MarketStatus::Halted | MarketStatus::Settled) {
                continue;
            }
            let mut after = before;
            if before.is_due(self.time_us) {
                self.work_prices(rules, &mut after);
                if matches!(after.status, MarketStatus::Auction | MarketStatus::CancelOnly) {
                    calls.push(rules.market);
                }
            } else if rules.robust_mark {
                continue;
            } else {
                let top = self.state.tops.get(&key);
                after.mark = prices::book_mark(rules, top, after.oracle);
                self.tell_mark(rules.market, &before, &after);
            }
            if after != before {
                *self.state.prices_mut(&key) = after;
            }
        }
        // All marks have moved.
        let mut steps = self.rules.spec().limits.fills_per_command;
        for market in calls {
            self.work_call(market, &mut steps);
        }
        self.run_conditional();
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
        let prices = self.state.prices_mut(&MarketKey(market));
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
        let prices = self.state.prices_mut(&MarketKey(market));
        let initial = scale_ppm.0.max(PPM);
        prices.margin_scale_ppm = (initial, scale_ppm.1.clamp(PPM, initial));
        Ok(())
    }
}
