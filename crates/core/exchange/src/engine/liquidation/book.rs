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
        let Some((slot, rules, position)) = self.largest(subject) else { return Err(NOTHING) };
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
        let best = self.state.tops.get(&MarketKey(rules.market)).best(side.opposite());
        if best.is_none_or(|best| !side.crosses(limit, best)) {
            return Err(NOTHING);
        }
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

    /// The position with the largest requirement whose market trades.
    fn largest(&mut self, subject: &Subject<'a>) -> Option<(u32, &'a MarketRules, Position)> {
        let mut best: Option<(Amount, (u32, &'a MarketRules, Position))> = None;
        for (slot, rules, position) in self.subject_positions(subject) {
            if !self.trades(rules.market) {
                continue;
            }
            let prices = self.margin_prices(rules.market);
            let mut own = Margin::default();
            own.add(rules, &position, &prices);
            let need = self.in_base(rules, own.maintenance());
            if best.as_ref().is_none_or(|(most, _)| need > *most) {
                best = Some((need, (slot, rules, position)));
            }
        }
        best.map(|(_, found)| found)
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
        let lots = position.size.unsigned_abs();
        let fee = |mark: Price| parts(rules.notional(mark, lots), rules.taker_fee_ppm).1;
        let found = if subject.isolated.is_some() {
            let margin = self.isolated_margin(subject.account, slot);
            price::search(rules, position, prices, |at| {
                IsolatedView::new(rules, position, margin, at).equity < fee(at.mark)
            })
        } else {
            let others = self.margin(subject.account, Some((slot, rules, &Position::default())));
            let pledge = self.rules.pledge(rules.quote).filter(|_| rules.inverse);
            let pledge = pledge.map(|p| (p, self.state.prices.get(&MarketKey(p.market)).oracle));
            price::search(rules, position, prices, |at| {
                let mut own = Margin::default();
                own.add(rules, position, at);
                let own = own.equity() - fee(at.mark);
                // What settles in coin may also be covered by coin, without its haircut: so much
                // more careful is this.
                let own = pledge.map_or(own, |(pledge, oracle)| pledge.collateral(own, oracle));
                others.equity().saturating_add(own) < 0
            })
        };
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
