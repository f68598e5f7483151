//! Ticks: the barrier at which time, oracle prices, marks and what follows from them move. See
//! [`super::prices`] for the rules.

use super::{Engine, prices};
use crate::ids::MarketStatus;
use crate::objects::{GlobalKey, MarketKey};
use alloc::vec::Vec;
use atoll_state::Source;

impl<S: Source> Engine<'_, S> {
    /// A tick. A time before the last one counts as the last one.
    pub(crate) fn tick(&mut self, time_us: u64) {
        let global = self.state.global.get(&GlobalKey);
        if time_us > global.time_us {
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
                *self.state.prices.get_mut(&key) = after;
            }
        }
        // All marks have moved.
        let mut steps = self.rules.spec().limits.fills_per_command;
        for market in calls {
            self.work_call(market, &mut steps);
        }
    }
}
