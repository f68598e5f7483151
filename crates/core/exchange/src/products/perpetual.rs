//! Linear perpetuals, cross-margined in the collateral asset. See [`crate::margin`] for the rules.

use super::{Entry, Settled, SettledParty};
use crate::engine::{Engine, Incoming, Resting, less, less_amount, less_count, reducible};
use crate::event::Refusal;
use crate::ids::{AccountId, Amount, MarketId, Price, Side, Size};
use crate::math::{parts, per_million};
use crate::objects::{AccountKey, GroupKey, MarketKey, Position, PositionGroup};
use crate::rules::{MarketRules, ProductRules};
use crate::spec::SIZE_BOUND;
use atoll_state::Source;
use atoll_types::RejectCode;

impl<S: Source> Engine<'_, S> {
    pub(crate) fn position(&mut self, account: AccountId, slot: u32) -> Position {
        let key = GroupKey { account, group: (slot / PositionGroup::SLOTS) as u8 };
        self.state.positions.get(&key).0[(slot % PositionGroup::SLOTS) as usize]
    }

    pub(crate) fn position_mut(&mut self, account: AccountId, slot: u32) -> &mut Position {
        let key = GroupKey { account, group: (slot / PositionGroup::SLOTS) as u8 };
        &mut self.state.positions.get_mut(&key).0[(slot % PositionGroup::SLOTS) as usize]
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
        let trial = Trial::new(&before, incoming, plan.filled, plan.notional, rest, mark);
        self.check_margin(incoming, &trial, slot, reduces)?;
        Ok(Entry { fresh_slot: fresh.then_some(slot) })
    }

    fn check_margin(
        &mut self,
        incoming: &Incoming<'_>,
        trial: &Trial,
        slot: u32,
        reduces: bool,
    ) -> Result<(), Refusal> {
        if reduces && trial.loss + trial.rest_loss + trial.fee <= trial.freed {
            return Ok(());
        }
        let rules = incoming.rules;
        let margin = self.margin(incoming.account, Some((slot, rules, &trial.after)));
        // What rests and only reduces is in no reserve.
        let need = trial.fee
            + if reduces { margin.maintenance() + trial.rest_loss } else { margin.initial() };
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
        let account = self.state.accounts.get_mut(&AccountKey(incoming.account));
        account.set_slot(slot, incoming.rules.market);
    }

    pub(super) fn reserve_perpetual(&mut self, incoming: &Incoming<'_>) {
        let order = &incoming.order;
        let notional = incoming.rules.notional(order.price, incoming.remaining);
        let position = self.position_mut(incoming.account, order.position.into());
        position.orders += 1;
        if order.reduce_only {
            return;
        }
        match order.side {
            Side::Buy => {
                position.bids += incoming.remaining;
                position.bid_notional += notional;
            }
            Side::Sell => {
                position.asks += incoming.remaining;
                position.ask_notional += notional;
            }
        }
    }

    pub(super) fn release_perpetual(
        &mut self,
        rules: &MarketRules,
        account: AccountId,
        order: &crate::objects::OrderRef,
        size: Size,
    ) {
        let position = self.position_mut(account, order.position.into());
        position.orders = less_count::<S>(position.orders, 1);
        self.ease_perpetual(rules, account, order, size);
    }

    pub(super) fn ease_perpetual(
        &mut self,
        rules: &MarketRules,
        account: AccountId,
        order: &crate::objects::OrderRef,
        by: Size,
    ) {
        if !order.reduce_only {
            let position = self.position_mut(account, order.position.into());
            free::<S>(position, order.side, by, rules.notional(order.price, by));
        }
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
        let mut after = self.position(account, slot);
        if reducible(after.size, resting.side) >= size {
            return true;
        }
        let notional = rules.notional(resting.price, size);
        if !resting.order.reduce_only {
            free::<S>(&mut after, resting.side, size, notional);
        }
        let fee = parts(notional, rules.maker_fee_ppm.max(0).unsigned_abs()).1;
        let closed = trade(&mut after, resting.side, size, notional).pnl;
        let margin = self.margin(account, Some((slot, rules, &after)));
        margin.equity() + closed - fee >= margin.initial()
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

        let position = self.position_mut(maker, listed.position.into());
        if !resting.order.reduce_only {
            free::<S>(position, resting.side, size, notional);
        }
        if size == resting.order.size {
            position.orders = less_count::<S>(position.orders, 1);
        }
        let maker_side = trade(position, resting.side, size, notional);
        let position = self.position_mut(taker, incoming.order.position.into());
        let taker_side = trade(position, incoming.order.side, size, notional);

        let accounts = &mut self.state.accounts;
        accounts.get_mut(&AccountKey(maker)).collateral += maker_side.pnl - fees.0;
        accounts.get_mut(&AccountKey(taker)).collateral += taker_side.pnl - fees.1;
        let party = |side: &Traded, fee| SettledParty {
            fee,
            fee_asset: asset,
            closed_pnl: side.pnl,
            start_position: side.start,
        };
        Settled {
            maker: party(&maker_side, fees.0),
            taker: party(&taker_side, fees.1),
            open_interest: maker_side.long + taker_side.long,
        }
    }

    /// Whether what remains could trade at its limit, the worst there is.
    pub(super) fn covered_perpetual(&mut self, incoming: &Incoming<'_>) -> bool {
        let (rules, account, order) = (incoming.rules, incoming.account, &incoming.order);
        let slot = u32::from(order.position);
        let before = self.position(account, slot);
        let left = incoming.remaining;
        let notional = rules.notional(order.price, left);
        let open = match order.side {
            Side::Buy => before.bids,
            Side::Sell => before.asks,
        };
        let reduces = order.reduce_only || open + left <= reducible(before.size, order.side);
        let mark = self.state.prices.get(&MarketKey(rules.market)).mark;
        let trial = Trial::new(&before, incoming, left, notional, 0, mark);
        self.check_margin(incoming, &trial, slot, reduces).is_ok()
    }
}

/// What an order would lead to.
struct Trial {
    /// The position once the order has traded what it can and rests with the remainder.
    after: Position,
    /// What trading at once loses against the mark; negative for a gain.
    loss: Amount,
    /// What the remainder loses against the mark when it trades.
    rest_loss: Amount,
    /// The fee of trading at once.
    fee: Amount,
    /// The maintenance margin that is freed if the order only reduces.
    freed: Amount,
}

impl Trial {
    fn new(
        before: &Position,
        incoming: &Incoming<'_>,
        filled: Size,
        notional: Amount,
        rest: Size,
        mark: Price,
    ) -> Self {
        let (rules, order) = (incoming.rules, &incoming.order);
        let mut after = *before;
        let resting = rules.notional(order.price, rest);
        let (bids, asks) = match (order.reduce_only, order.side) {
            (true, _) => (0, 0),
            (false, Side::Buy) => (rest, 0),
            (false, Side::Sell) => (0, rest),
        };
        after.size += order.side.signed(filled);
        after.bids += bids;
        after.asks += asks;
        after.bid_notional += rules.notional(order.price, bids);
        after.ask_notional += rules.notional(order.price, asks);
        let (at_mark, rest_at_mark) = (rules.notional(mark, filled), rules.notional(mark, rest));
        let (loss, rest_loss) = match order.side {
            Side::Buy => (notional - at_mark, resting - rest_at_mark),
            Side::Sell => (at_mark - notional, rest_at_mark - resting),
        };
        match order.side {
            Side::Buy => after.cost += notional,
            Side::Sell => after.cost -= notional,
        }
        let maintenance_ppm = match rules.kind {
            ProductRules::Perpetual { maintenance_margin_ppm, .. } => maintenance_margin_ppm,
            ProductRules::Spot { .. } => 0,
        };
        Self {
            after,
            loss,
            rest_loss: rest_loss.max(0),
            fee: parts(notional, rules.taker_fee_ppm).1,
            freed: per_million((at_mark + rest_at_mark) * Amount::from(maintenance_ppm)),
        }
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

/// What a fill did to a position.
struct Traded {
    pnl: Amount,
    start: i64,
    /// Change of the lots held long.
    long: i128,
}

/// Applies a fill to a position. The cost basis is signed quote paid; what is closed takes its
/// share of the cost with it (rounded toward zero: what one realises less now, one realises more
/// later, so this rounding moves no money), and the difference to the proceeds is realised.
fn trade(position: &mut Position, side: Side, size: Size, notional: Amount) -> Traded {
    let start = position.size;
    let change = side.signed(size);
    let paid = match side {
        Side::Buy => notional,
        Side::Sell => -notional,
    };
    let closed = reducible(start, side).min(size);
    position.size = start + change;
    let mut pnl = 0;
    if closed == 0 {
        position.cost += paid;
    } else {
        // Shares of cost and of proceeds that belong to what is closed.
        let share = |amount: Amount, of: Amount| part_of(amount, Amount::from(closed), of);
        let released = share(position.cost, Amount::from(start.unsigned_abs()));
        let proceeds = share(paid, Amount::from(size));
        pnl = -(released + proceeds);
        position.cost += paid + pnl;
    }
    let long = |size: i64| i128::from(size.max(0));
    Traded { pnl, start, long: long(position.size) - long(start) }
}

/// `amount × part / whole` rounded toward zero, without a product that could overflow:
/// `amount = q × whole + r` gives `q × part + r × part / whole`, with |r| < whole < 2⁴¹.
#[inline]
fn part_of(amount: Amount, part: Amount, whole: Amount) -> Amount {
    if part == whole {
        return amount;
    }
    if let (Ok(amount), Ok(part), Ok(whole)) =
        (i64::try_from(amount), i64::try_from(part), i64::try_from(whole))
    {
        let (q, r) = (amount / whole, amount % whole);
        if let (Some(high), Some(low)) = (q.checked_mul(part), r.checked_mul(part)) {
            return Amount::from(high) + Amount::from(low / whole);
        }
    }
    amount / whole * part + amount % whole * part / whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_exact_whatever_the_width() {
        for amount in [0, 7, -7, 1 << 62, -(1 << 62), 1 << 80, (1 << 87) - 1, 3 - (1 << 87)] {
            for (part, whole) in [(1, 3), (2, 3), (3, 3), ((1 << 39) + 1, (1 << 40) - 1)] {
                let got = part_of(amount, part, whole);
                // |amount × part / whole − got| < 1, toward zero.
                let (q, r) = (amount / whole, amount % whole);
                assert_eq!(got, q * part + r * part / whole);
                assert!(got.abs() <= amount.abs() && got.signum() * amount.signum() >= 0);
            }
        }
    }

    #[test]
    fn a_position_that_flips_realises_what_it_closes_and_keeps_the_rest() {
        let mut position = Position { size: 10, cost: 1000, ..Position::default() };
        let traded = trade(&mut position, Side::Sell, 15, 15 * 110);
        assert_eq!((traded.pnl, traded.start, traded.long), (100, 10, -10));
        assert_eq!((position.size, position.cost), (-5, -550));
    }

    #[test]
    fn realising_moves_no_money() {
        let mut position = Position { size: -7, cost: -1000, ..Position::default() };
        let paid = 333;
        let before = -position.cost;
        let traded = trade(&mut position, Side::Buy, 3, paid);
        // What the account has besides the mark: collateral − cost, less what was paid.
        assert_eq!(before - paid, traded.pnl - position.cost);
    }
}
