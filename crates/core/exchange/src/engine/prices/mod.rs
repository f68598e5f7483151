//! Prices: oracle, mark, funding, dynamic margin. All of it moves at ticks and nowhere else.
//!
//! A market's [`MarketPrices::due_us`] says when there is anything to do beside looking at the
//! book; until then a tick reads that one object of a market with a robust mark, and no more than
//! the top of the book of another one. What is due is done in a fixed order: oracle, mark, funding,
//! volatility, status; and when that is done in all markets, auctions. An order in between reads the
//! mark and the market's status as ever.

mod auction;
mod funding;
mod guard;
mod mark;
mod oracle;
mod sanity;
mod view;
mod volatility;

pub(crate) use auction::{is_crossed, trades};
pub(crate) use mark::book as book_mark;
pub use view::FundingView;

use super::Engine;
use crate::command::OracleReport;
use crate::event::{Event, Refusal};
use crate::ids::{MarketId, Price, Side};
use crate::objects::{BookId, BookTop, LevelKey, MarketKey, MarketPrices, State};
use crate::rules::MarketRules;
use crate::spec::FUNDING_BOUND;
use crate::spec::prices::{FundingSpec, MarkRule, VolatilitySpec};
use atoll_state::Source;
use atoll_types::RejectCode;
use funding::{Impact, ImpactPrice};
use oracle::{Consensus, consensus};

/// The earliest of what is due next.
#[derive(Clone, Copy, Default)]
pub(crate) struct Due(u64);

impl Due {
    pub(crate) fn at(&mut self, time_us: u64) {
        if time_us != 0 && (self.0 == 0 || time_us < self.0) {
            self.0 = time_us;
        }
    }
}

impl<S: Source> Engine<'_, S> {
    /// What an oracle source tells.
    pub(crate) fn report(&mut self, report: &OracleReport) -> Result<(), Refusal> {
        let rules = self.market(report.market)?;
        let refuse = |code, message| Err(Refusal::new(code, message));
        if !rules.is_perpetual() {
            let message = "spot markets take no oracle price";
            return refuse(RejectCode::Unsupported, message);
        }
        let sources = self.rules.oracle(report.market).weights.len();
        if usize::from(report.source) >= sources {
            let message = "the market has no oracle source with this number";
            return refuse(RejectCode::NotAllowed, message);
        }
        if report.price == 0 {
            let message = "an oracle price must be at least one tick";
            return refuse(RejectCode::OffTick, message);
        }
        if report.price > rules.price_max || report.external > rules.price_max {
            let message = "an oracle price must not be above the market's maximum; see the spec";
            return refuse(RejectCode::Overflow, message);
        }
        let key = MarketKey(report.market);
        let told = &mut self.state.sources.get_mut(&key).told;
        if told.len() < sources {
            told.resize(sources, Default::default());
        }
        // A witness that leaves the object out may hold fewer: nobody believes the result.
        if let Some(told) = told.get_mut(usize::from(report.source)) {
            (told.price, told.external) = (report.price, report.external);
            told.time_us = report.time_us;
        }
        self.state.prices_mut(&key).due_us = MarketPrices::AT_ONCE;
        Ok(())
    }

    /// Does what is due in a market, but for its auction.
    pub(crate) fn work_prices(&mut self, rules: &MarketRules, prices: &mut MarketPrices) {
        let Some(spec) = self.rules.market_spec(rules.market).map(|spec| spec.prices) else {
            return;
        };
        let (key, before) = (MarketKey(rules.market), *prices);
        let mut due = Due::default();
        let (found, stale_since_us) = self.consult(rules.market, before.oracle, &mut due);
        let top = *self.state.tops.get(&key);
        match spec.mark {
            MarkRule::Book => {
                prices.oracle = found.price.unwrap_or(before.oracle);
                prices.mark = mark::book(rules, &top, prices.oracle);
            }
            MarkRule::Robust { interval_us } => {
                due.at(self.time_us.saturating_add(interval_us));
                self.work_robust(rules, spec.sanity.as_ref(), &found, &top, prices, &mut due);
            }
        }
        self.tell_mark(rules.market, &before, prices);
        if prices.mark != 0 {
            if let Some(funding) = &spec.funding {
                self.work_funding(rules, funding, &top, prices, &mut due);
            }
            if let Some(volatility) = &spec.volatility {
                self.work_volatility(rules.market, volatility, prices, &mut due);
            }
        }
        self.work_status(rules.market, spec.sanity.as_ref(), stale_since_us, prices, &mut due);
        prices.due_us = due.0;
    }

    /// Goes on with a market's auction, if it has one. Auctions share the steps.
    pub(crate) fn work_call(&mut self, market: MarketId, steps: &mut u32) {
        let (Some(rules), key) = (self.rules.market(market), MarketKey(market)) else { return };
        let before = *self.state.prices.get(&key);
        let (mut after, mut due) = (before, Due(before.due_us));
        if self.work_auction(rules, &mut after, steps, &mut due) {
            let spec = self.rules.market_spec(market).and_then(|spec| spec.prices.sanity);
            self.reopened(market, spec.as_ref());
        }
        after.due_us = due.0;
        if after != before {
            *self.state.prices_mut(&key) = after;
        }
    }

    /// Says so if mark or oracle moved.
    pub(crate) fn tell_mark(
        &mut self,
        market: MarketId,
        before: &MarketPrices,
        after: &MarketPrices,
    ) {
        let (mark, oracle) = (after.mark, after.oracle);
        if (mark, oracle) != (before.mark, before.oracle) {
            self.events.push(Event::MarkChanged { market, mark, oracle });
        }
    }

    /// Asks the oracle's sources; gives also since when they were no quorum, 0 if they are.
    fn consult(&mut self, market: MarketId, oracle: Price, due: &mut Due) -> (Consensus, u64) {
        let (spec, now) = (self.rules.oracle(market), self.time_us);
        let before = self.state.sources.get(&MarketKey(market)).clone();
        let mut after = before.clone();
        // Nobody knows prices of the future, and a source that says so is heard now.
        after.told.iter_mut().for_each(|told| told.time_us = told.time_us.min(now));
        let found = consensus(spec, &after, now);
        after.ignored = found.ignored;
        let changed = before.ignored ^ after.ignored;
        for source in (0..u16::BITS as u8).filter(|source| changed >> source & 1 == 1) {
            let told = after.told.get(usize::from(source)).copied().unwrap_or_default();
            let until = told.time_us.saturating_add(spec.stale_us);
            let stale = spec.stale_us != 0 && until <= now;
            self.events.push(Event::SourceIgnored {
                market,
                source,
                price: if stale { 0 } else { told.price },
                median: found.median,
                ignored: found.ignored >> source & 1 == 1,
            });
        }
        let was_stale = before.stale_since_us != 0;
        match found.price {
            Some(_) => after.stale_since_us = 0,
            // Before the first price nothing is missing.
            None if !was_stale && oracle != 0 => after.stale_since_us = now.max(1),
            None => {}
        }
        let stale = after.stale_since_us != 0;
        if stale != was_stale {
            self.events.push(Event::OracleStale { market, stale });
        }
        due.at(found.until_us);
        let since_us = after.stale_since_us;
        if after != before {
            *self.state.sources.get_mut(&MarketKey(market)) = after;
        }
        (found, since_us)
    }

    fn work_funding(
        &mut self,
        rules: &MarketRules,
        spec: &FundingSpec,
        top: &BookTop,
        prices: &mut MarketPrices,
        due: &mut Due,
    ) {
        let (key, now) = (MarketKey(rules.market), self.time_us);
        let before = *self.state.funding.get(&key);
        let mut after = before;
        if let Some((rate, premium)) = funding::turn(spec, &mut after, now) {
            let oracle = prices.oracle;
            let index = prices.funding + funding::index_change(rules, oracle, rate);
            prices.funding = index.clamp(-FUNDING_BOUND, FUNDING_BOUND);
            let (market, index) = (rules.market, prices.funding);
            self.events.push(Event::FundingAccrued { market, rate, premium, oracle, index });
        }
        if after.next_us <= now {
            let bid = self.impact(rules, spec, Side::Buy, top);
            let ask = self.impact(rules, spec, Side::Sell, top);
            funding::sample(&mut after, funding::premium(bid, ask, prices.oracle), now);
        }
        due.at(after.next_us);
        due.at((after.hour + 1).saturating_mul(funding::HOUR_US));
        if after != before {
            *self.state.funding.get_mut(&key) = after;
        }
    }

    /// The average price of trading the impact notional against a side's orders.
    fn impact(
        &mut self,
        rules: &MarketRules,
        spec: &FundingSpec,
        side: Side,
        top: &BookTop,
    ) -> Option<ImpactPrice> {
        let book = BookId::new(rules.market, side);
        let State { levels, pages, .. } = &mut *self.state;
        let mut impact = Impact::new(rules, spec.impact_notional);
        let mut best = top.best(side);
        for _ in 0..funding::IMPACT_LEVELS {
            let price = best?;
            let size = levels.get(&LevelKey { book, price }).size;
            if let Some(found) = impact.take(price, size) {
                return Some(found);
            }
            best = book.behind(pages, side, price);
        }
        None
    }

    fn work_volatility(
        &mut self,
        market: MarketId,
        spec: &VolatilitySpec,
        prices: &mut MarketPrices,
        due: &mut Due,
    ) {
        let mut state = *self.state.volatility.get(&MarketKey(market));
        if volatility::is_due(&state, self.time_us) {
            let scales = (prices.margin_scale_ppm.0, prices.margin_scale_ppm.1);
            volatility::sample(spec, &mut state, prices, self.time_us);
            *self.state.volatility.get_mut(&MarketKey(market)) = state;
            let (initial_ppm, maintenance_ppm) =
                (prices.margin_scale_ppm.0, prices.margin_scale_ppm.1);
            if (initial_ppm, maintenance_ppm) != scales {
                self.events.push(Event::MarginScaled { market, initial_ppm, maintenance_ppm });
            }
        }
        due.at(state.next_us);
    }
}
