//! Perpetuals, linear and inverse: see [`crate::margin`] for the rules of margin, and
//! [`crate::rules`] for what lots are worth.

use super::fill::{Traded, trade};
use super::trial::Trial;
use super::{Entry, Settled, SettledParty};
use crate::engine::{Engine, Incoming, Resting, less, less_amount, less_count, reducible};
use crate::event::Refusal;
use crate::headroom::{Change, Verdict};
use crate::ids::{AccountId, Amount, MarketId, Price, Side, Size};
use crate::margin::{
    MarginPrices,
    isolated::{self, IsolatedView},
};
use crate::math::parts;
use crate::objects::{AccountKey, GroupKey, MarketKey, Position, PositionGroup};
use crate::rules::MarketRules;
use crate::spec::SIZE_BOUND;
use atoll_state::Source;
use atoll_types::RejectCode;

impl<S: Source> Engine<'_, S> {
    pub(crate) fn position(&mut self, account: AccountId, slot: u32) -> Position {
        let key = GroupKey { account, group: (slot / PositionGroup::SLOTS) as u8 };
        self.state.positions.get(&key).0[(slot % PositionGroup::SLOTS) as usize]
    }

    fn position_mut(&mut self, account: AccountId, slot: u32) -> &mut Position {
        let key = GroupKey { account, group: (slot / PositionGroup::SLOTS) as u8 };
        &mut self.state.positions.get_mut(&key).0[(slot % PositionGroup::SLOTS) as usize]
    }

    /// Changes a position; what that does to margin goes to the account's
    /// [`crate::headroom`] as well.
    #[inline]
    pub(crate) fn change_position<T>(
        &mut self,
        rules: &MarketRules,
        account: AccountId,
        slot: u32,
        change: impl FnOnce(&mut Position) -> T,
    ) -> T {
        let position = self.position_mut(account, slot);
        let before = *position;
        let done = change(position);
        let after = *position;
        let of = Change { rules, before: &before, after: &after, paid: 0 };
        self.state.position_changed(self.rules, account, &of);
        done
    }

    /// Notes whether orders are attached to a position; margin does not depend on it.
    pub(crate) fn set_attached(&mut self, account: AccountId, slot: u32, attached: bool) {
        self.position_mut(account, slot).attached = attached;
    }

    /// The account's slot for a market and whether it has to be given to it first.
    pub(crate) fn slot_for(
        &mut self,
        account: AccountId,
        market: MarketId,
    ) -> Result<(u32, bool), Refusal> {
        let owner = self.state.accounts.get(&AccountKey(account));
        if let Some(slot) = owner.slot(market) {
            return Ok((slot, false));
        }
        // An idle slot first: an account has no more slots than markets it was in at once, which
        // is what every margin check walks over.
        let slots = owner.markets().len() as u32;
        if let Some(idle) = (0..slots).find(|slot| self.position(account, *slot).is_idle()) {
            return Ok((idle, true));
        }
        if slots < self.rules.spec().limits.positions_per_account {
            return Ok((slots, true));
        }
        Err(Refusal::new(
            RejectCode::TooManyPositions,
            "the account is in as many markets as it may; close a position first",
        ))
    }

    pub(super) fn admit_perpetual(
        &mut self,
        incoming: &mut Incoming<'_>,
        crosses: bool,
        mark: Price,
    ) -> Result<Entry, Refusal> {
        let (rules, account, side) = (incoming.rules, incoming.account, incoming.order.side);
        let (slot, fresh) = self.slot_for(account, rules.market)?;
        let before = if fresh { Position::default() } else { self.position(account, slot) };
        let most = reducible(before.size, side);
        if incoming.order.reduce_only {
            if most == 0 {
                return Err(Refusal::new(
                    RejectCode::NotReducing,
                    "a reduce-only order needs a position on the other side to reduce",
                ));
            }
            incoming.order.size = incoming.order.size.min(most);
            incoming.remaining = incoming.order.size;
        }
        if fresh {
            // What a slot held before is in no share.
            self.state.headroom.forget(account);
        }
        let size = incoming.remaining;
        // Each is below the bound, so the sum is in range.
        let held = before.size.unsigned_abs() + before.bids + before.asks;
        if !incoming.order.reduce_only && held + size >= SIZE_BOUND {
            return Err(Refusal::new(
                RejectCode::Overflow,
                "position and open orders in the market would be above 2^40 lots",
            ));
        }
        incoming.order.position = slot as u8;
        let plan = if crosses {
            self.plan(rules, side, incoming.order.price, size)
        } else {
            Default::default()
        };
        let rest = if incoming.order.tif.rests() { size - plan.filled } else { 0 };
        let open = match side {
            Side::Buy => before.bids,
            Side::Sell => before.asks,
        };
        let reduces = incoming.order.reduce_only || open + size <= most;
        if !reduces && rules.open_interest_max != 0 {
            self.check_caps(rules, &before, side, size)?;
        }
        let prices = self.margin_prices(rules.market);
        debug_assert_eq!(prices.mark, mark, "one mark for all checks of a command");
        let trial = Trial::new(&before, incoming, plan.filled, plan.notional, rest, &prices);
        self.check_margin(incoming, &before, &trial, slot, reduces, &prices)?;
        Ok(Entry { fresh_slot: fresh.then_some(slot) })
    }

    /// Whether the caps on open interest and on one account's part of it leave room for an order
    /// that can enlarge the position.
    #[cold]
    fn check_caps(
        &mut self,
        rules: &MarketRules,
        before: &Position,
        side: Side,
        size: Size,
    ) -> Result<(), Refusal> {
        let interest = self.state.tops.get(&MarketKey(rules.market)).open_interest;
        let opens = size - reducible(before.size, side).min(size);
        if interest + u128::from(opens) > u128::from(rules.open_interest_max) {
            let message = "the market's open interest is at its cap; orders may only reduce";
            return Err(Refusal::new(RejectCode::AtCap, message));
        }
        let after = match side {
            Side::Buy => before.size + before.bids as i64 + size as i64,
            Side::Sell => before.size - before.asks as i64 - size as i64,
        };
        if rules.position_max != 0 && after.unsigned_abs() > rules.position_max {
            let message = "position and open orders would be above what one account may have of \
                           the market's open interest";
            return Err(Refusal::new(RejectCode::AtCap, message));
        }
        Ok(())
    }

    fn check_margin(
        &mut self,
        incoming: &mut Incoming<'_>,
        before: &Position,
        trial: &Trial,
        slot: u32,
        reduces: bool,
        prices: &MarginPrices,
    ) -> Result<(), Refusal> {
        if before.isolated {
            return self.check_isolated(incoming, before, trial, slot, reduces, prices);
        }
        if incoming.rules.isolated_only && !reduces {
            return Err(crate::engine::ISOLATED_ONLY);
        }
        if reduces && trial.loss + trial.rest_loss + trial.fee <= trial.freed {
            return Ok(());
        }
        let (rules, account) = (incoming.rules, incoming.account);
        // What rests and only reduces is in no reserve.
        let charge = trial.fee + if reduces { trial.rest_loss } else { 0 };
        let change = Change { rules, before, after: &trial.after, paid: -charge };
        if !reduces {
            // What trades nothing at once and has passed its last check rests as a whole.
            let sure = trial.filled == 0 && trial.rest == incoming.remaining && !incoming.forced;
            match self.state.ask_headroom(self.rules, account, &change, sure) {
                Verdict::Counted => {
                    incoming.counted = true;
                    return Ok(());
                }
                Verdict::Covered => return Ok(()),
                Verdict::Unknown => {}
            }
        }
        // What is paid in another asset is converted with it.
        let (paid, charge) = if rules.inverse { (-charge, 0) } else { (0, charge) };
        let margin = self.margin_after(account, slot, &change, (rules.quote, paid));
        let need = charge + if reduces { margin.maintenance() } else { margin.initial() };
        if margin.equity() >= need {
            return Ok(());
        }
        Err(Refusal::money(
            RejectCode::InsufficientMargin,
            "not enough free collateral for this order; make it smaller or deposit",
            margin.equity(),
            need,
        ))
    }

    pub(super) fn enter_perpetual(&mut self, incoming: &Incoming<'_>, slot: u32) {
        self.give_slot(incoming.account, slot, incoming.rules.market);
    }

    pub(super) fn reserve_perpetual(&mut self, incoming: &Incoming<'_>) {
        let order = &incoming.order;
        let notional = incoming.rules.reserved(order.price, incoming.remaining);
        let (account, slot) = (incoming.account, order.position.into());
        let reserve = |position: &mut Position| {
            position.orders += 1;
            match (order.reduce_only, order.side) {
                (true, _) => {}
                (false, Side::Buy) => {
                    position.bids += incoming.remaining;
                    position.bid_notional += notional;
                }
                (false, Side::Sell) => {
                    position.asks += incoming.remaining;
                    position.ask_notional += notional;
                }
            }
        };
        if incoming.counted {
            reserve(self.position_mut(account, slot));
        } else {
            self.change_position(incoming.rules, account, slot, reserve);
        }
    }

    pub(super) fn free_perpetual(
        &mut self,
        rules: &MarketRules,
        account: AccountId,
        order: &crate::objects::OrderRef,
        by: Size,
        orders: u32,
    ) {
        self.change_position(rules, account, order.position.into(), |position| {
            position.orders = less_count::<S>(position.orders, orders);
            if !order.reduce_only {
                free::<S>(position, order.side, by, rules.reserved(order.price, by));
            }
        });
    }

    /// Whether a maker can carry what a fill leads to. Its margin was reserved when the order was
    /// placed, but marks have moved since: as on Hyperliquid (documentation, "Margining"), it is
    /// checked again when the order is met. A fill that only reduces needs no margin.
    pub(super) fn maker_covered_perpetual(
        &mut self,
        rules: &MarketRules,
        resting: &Resting,
        listed: &crate::objects::OrderRef,
        size: Size,
    ) -> bool {
        let (account, slot) = (resting.order.account, u32::from(listed.position));
        let before = self.position(account, slot);
        let mut after = before;
        if reducible(after.size, resting.side) >= size {
            return true;
        }
        let notional = rules.notional(resting.price, size);
        if !resting.order.reduce_only {
            let reserved = rules.reserved(resting.price, size);
            free::<S>(&mut after, resting.side, size, reserved);
        }
        let fee = parts(notional, rules.maker_fee_ppm.max(0).unsigned_abs()).1;
        let prices = self.margin_prices(rules.market);
        let due = after.settle_funding(prices.funding).amount;
        let (to_cross, holds) = if after.isolated {
            let mut margin = self.isolated_margin(account, slot) - due;
            let (at, scale) = ((resting.side, size), prices.scale_ppm.0);
            let fill = isolated::fill(rules, &mut after, &mut margin, at, notional, scale);
            after.owes_from(prices.funding);
            let view = IsolatedView::new(rules, &after, margin, &prices);
            (fill.to_cross, view.equity >= view.maintenance)
        } else {
            (trade(rules, &mut after, resting.side, size, notional).pnl - due, true)
        };
        after.owes_from(prices.funding);
        let paid = to_cross - fee;
        let change = Change { rules, before: &before, after: &after, paid };
        if self.state.ask_headroom(self.rules, account, &change, false) == Verdict::Covered {
            return true;
        }
        let margin = self.margin_after(account, slot, &change, (rules.quote, paid));
        holds && margin.equity() >= margin.initial()
    }

    pub(super) fn settle_perpetual(
        &mut self,
        incoming: &Incoming<'_>,
        resting: &Resting,
        listed: &crate::objects::OrderRef,
        size: Size,
        notional: Amount,
    ) -> Settled {
        let rules = incoming.rules;
        let (maker, taker) = (resting.order.account, incoming.account);
        let asset = rules.quote;
        let fees = self.charge(rules, (asset, notional), (asset, notional));

        let prices = self.margin_prices(rules.market);
        self.change_position(rules, maker, listed.position.into(), |position| {
            if !resting.order.reduce_only {
                free::<S>(position, resting.side, size, rules.reserved(resting.price, size));
            }
            if size == resting.order.size {
                position.orders = less_count::<S>(position.orders, 1);
            }
        });
        let fill = (resting.side, size, notional);
        let maker_side = self.fill_position(rules, maker, listed.position, fill, fees.0, &prices);
        let fill = (incoming.order.side, size, notional);
        let slot = incoming.order.position;
        let taker_side = self.fill_position(rules, taker, slot, fill, fees.1, &prices);
        let party = |side: &Traded, fee| SettledParty {
            fee,
            fee_asset: asset,
            closed_pnl: side.pnl,
            start_position: side.start,
            attached: side.attached,
        };
        Settled {
            maker: party(&maker_side, fees.0),
            taker: party(&taker_side, fees.1),
            open_interest: maker_side.long + taker_side.long,
        }
    }

    /// Applies a fill to a position, after its funding, and pays what that realises.
    #[inline]
    pub(crate) fn fill_position(
        &mut self,
        rules: &MarketRules,
        account: AccountId,
        slot: u8,
        fill: (Side, Size, Amount),
        fee: Amount,
        prices: &MarginPrices,
    ) -> Traded {
        let traded = self.trade_position(rules, account, slot, fill, fee, prices);
        let after = traded.start + fill.0.signed(fill.1);
        self.holds(rules.market, account, traded.start, after);
        traded
    }

    #[inline]
    fn trade_position(
        &mut self,
        rules: &MarketRules,
        account: AccountId,
        slot: u8,
        (side, size, notional): (Side, Size, Amount),
        fee: Amount,
        prices: &MarginPrices,
    ) -> Traded {
        let traded = self.change_position(rules, account, slot.into(), |position| {
            if position.isolated {
                return None;
            }
            let due = position.settle_funding(prices.funding);
            let traded = trade(rules, position, side, size, notional);
            position.owes_from(prices.funding);
            Some((due, traded))
        });
        let Some((due, traded)) = traded else {
            return self.fill_isolated(rules, account, slot, (side, size, notional), fee, prices);
        };
        self.book_funding(account, rules, &due);
        self.pay(account, rules.quote, traded.pnl - fee - due.amount);
        traded
    }

    /// Whether what remains could trade at its limit, the worst there is.
    pub(super) fn covered_perpetual(&mut self, incoming: &mut Incoming<'_>) -> bool {
        let (rules, account, order) = (incoming.rules, incoming.account, incoming.order);
        let slot = u32::from(order.position);
        let before = self.position(account, slot);
        let left = incoming.remaining;
        let notional = rules.notional(order.price, left);
        let open = match order.side {
            Side::Buy => before.bids,
            Side::Sell => before.asks,
        };
        let reduces = order.reduce_only || open + left <= reducible(before.size, order.side);
        let prices = self.margin_prices(rules.market);
        let trial = Trial::new(&before, incoming, left, notional, 0, &prices);
        self.check_margin(incoming, &before, &trial, slot, reduces, &prices).is_ok()
    }
}

/// Takes a part of an open order out of the position's reserves.
fn free<S: Source>(position: &mut Position, side: Side, size: Size, notional: Amount) {
    match side {
        Side::Buy => {
            position.bids = less::<S>(position.bids, size);
            position.bid_notional = less_amount::<S>(position.bid_notional, notional);
        }
        Side::Sell => {
            position.asks = less::<S>(position.asks, size);
            position.ask_notional = less_amount::<S>(position.ask_notional, notional);
        }
    }
}
