//! A position is closed by the book, never below bankruptcy.

use super::{NOTHING, Subject, lots_up};
use crate::engine::{Engine, Incoming, directory::told};
use crate::event::{CancelReason, Event, LiquidationStep, Refusal};
use crate::ids::{Amount, OrderId, Price, Side, Tif};
use crate::margin::isolated::IsolatedView;
use crate::margin::{Margin, MarginPrices, price};
use crate::math::parts;
use crate::objects::{AccountKey, Cooldown, MarketKey, OrderRef, Position};
use crate::rules::MarketRules;
use atoll_state::Source;

impl<'a, S: Source> Engine<'a, S> {
    pub(super) fn by_book(&mut self, subject: &Subject<'a>) -> Result<(), Refusal> {
        let Some((slot, rules, position)) = self.choose(subject) else { return Err(NOTHING) };
        let account = subject.account;
        let prices = self.margin_prices(rules.market);
        let lots = position.size.unsigned_abs();
        let spec = self.liquidation_spec();
        let worth = self.in_base(rules, rules.exposure(prices.mark, lots));
        let cooling = self.state.cooldowns.get(&AccountKey(account)).until_us > self.time_us;
        let partial = worth > spec.partial_above.into() && !cooling && spec.partial_ppm > 0;
        let size = if partial { lots_up(lots, spec.partial_ppm) } else { lots };
        let limit = self.bankruptcy(subject, slot, rules, &position, &prices).ok_or(NOTHING)?;
        let side = if position.size > 0 { Side::Sell } else { Side::Buy };
        let mut incoming = Incoming {
            rules,
            account,
            order: OrderRef {
                order: OrderId::new(self.command, 0),
                market: rules.market,
                side,
                tif: Tif::Ioc,
                reduce_only: true,
                position: slot as u8,
                price: limit,
                size,
                time_us: self.time_us,
                ..OrderRef::default()
            },
            remaining: size,
            filled: 0,
            notional: 0,
            expires_us: 0,
            display: 0,
            forced: true,
            counted: false,
        };
        self.told_step(subject, LiquidationStep::Book);
        let before = self.events.len();
        self.events.push(Event::Accepted(told(account, &incoming.order, size)));
        let stopped = self.take(&mut incoming).unwrap_or(CancelReason::Immediate);
        // What was met and taken out of the way is work as well, and stays done.
        self.spend_work((self.events.len() - before) as u32);
        if incoming.remaining > 0 {
            let order = told(account, &incoming.order, incoming.remaining);
            self.events.push(Event::Cancelled { order, reason: stopped });
        }
        if partial && incoming.filled > 0 {
            let until_us = self.time_us.saturating_add(spec.cooldown_us);
            self.state.cooldowns.set(&AccountKey(account), Cooldown { until_us });
        }
        Ok(())
    }

    /// The position with the largest requirement of those whose market trades and has somebody who
    /// takes it at a price that leaves nobody with less than nothing.
    fn choose(&mut self, subject: &Subject<'a>) -> Option<(u32, &'a MarketRules, Position)> {
        let mut best: Option<(Amount, (u32, &'a MarketRules, Position))> = None;
        for (slot, rules, position) in self.subject_positions(subject) {
            if !self.trades(rules.market) {
                continue;
            }
            let prices = self.margin_prices(rules.market);
            let mut own = Margin::default();
            own.add(rules, &position, &prices);
            let need = self.in_base(rules, own.maintenance());
            if best.as_ref().is_none_or(|(most, _)| need > *most)
                && self.sells(subject, slot, rules, &position, &prices)
            {
                best = Some((need, (slot, rules, position)));
            }
        }
        best.map(|(_, found)| found)
    }

    /// Whether the best price of the other side is one at which all of a position may be closed.
    fn sells(
        &mut self,
        subject: &Subject<'a>,
        slot: u32,
        rules: &MarketRules,
        position: &Position,
        prices: &MarginPrices,
    ) -> bool {
        let long = position.size > 0;
        let against = if long { Side::Buy } else { Side::Sell };
        let Some(best) = self.state.tops.get(&MarketKey(rules.market)).best(against) else {
            return false;
        };
        let mark = if long { best.min(prices.mark) } else { best.max(prices.mark) };
        !self.ruined(subject, slot, rules, position, &MarginPrices { mark, ..*prices })
    }

    /// Whether closing all of a position at a price leaves less than nothing, fees included.
    fn ruined(
        &mut self,
        subject: &Subject<'a>,
        slot: u32,
        rules: &MarketRules,
        position: &Position,
        at: &MarginPrices,
    ) -> bool {
        let lots = position.size.unsigned_abs();
        // Each fill is rounded by itself: its fee, and its value where that is a fraction.
        let fills = lots.min(self.rules.spec().limits.fills_per_command.into());
        let rounding = Amount::from(fills) * if rules.inverse { 2 } else { 1 };
        let fee = parts(rules.notional(at.mark, lots), rules.taker_fee_ppm).1 + rounding;
        if subject.isolated.is_some() {
            let margin = self.isolated_margin(subject.account, slot);
            return IsolatedView::new(rules, position, margin, at).equity < fee;
        }
        let mut own = Margin::default();
        own.add(rules, position, at);
        let own = (rules.quote, own.equity() - fee);
        let none = Position::default();
        self.margin_if(subject.account, Some((slot, rules, &none)), own).equity() < 0
    }

    /// The worst price at which closing all of a position leaves nobody with less than nothing.
    fn bankruptcy(
        &mut self,
        subject: &Subject<'a>,
        slot: u32,
        rules: &MarketRules,
        position: &Position,
        prices: &MarginPrices,
    ) -> Option<Price> {
        let found = price::search(rules, position, prices, |at| {
            self.ruined(subject, slot, rules, position, at)
        });
        match (found, position.size > 0) {
            (None, true) => Some(1),
            (None, false) => Some(rules.price_max),
            // At the mark itself it would be below zero already.
            (Some(first), _) if first == prices.mark => None,
            (Some(first), true) => Some(first + 1),
            (Some(first), false) => Some(first - 1),
        }
    }
}
