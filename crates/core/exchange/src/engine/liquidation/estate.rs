//! What a bankrupt account leaves: its positions, at a price at which it has exactly nothing.

use super::{NOTHING, Subject};
use crate::engine::{Engine, margin_sum};
use crate::event::{BalanceCause, Event, LiquidationStep, Refusal};
use crate::ids::{AccountId, Amount, AssetId, Side, Wallet};
use crate::margin::MarginPrices;
use crate::math::mul_div;
use crate::objects::{AccountKey, BookId, EstateKey, LedgerKey, MarketKey, Position};
use crate::products::fill::part_of;
use crate::rules::MarketRules;
use alloc::vec::Vec;
use atoll_state::Source;

impl<'a, S: Source> Engine<'a, S> {
    /// Ends a bankrupt account, or an isolated position that is worth less than nothing.
    pub(super) fn leave_to_estates(&mut self, subject: &Subject<'a>) -> Result<(), Refusal> {
        let positions = self.subject_positions(subject);
        if positions.iter().any(|(_, rules, _)| !self.trades(rules.market)) {
            return Err(NOTHING);
        }
        let step = match positions.is_empty() {
            true => LiquidationStep::Insurance,
            false => LiquidationStep::Deleveraging,
        };
        self.told_step(subject, step);
        self.spend_work(positions.len() as u32 + 1);
        self.buy_collateral(subject);
        for (asset, equity) in self.equities(subject) {
            let missing = -equity;
            if missing <= 0 {
                continue;
            }
            let paid = self.insure(subject.account, asset, missing);
            self.credit_subject(subject, asset, paid);
            self.leave(subject, asset, missing - paid, &positions);
        }
        // What settles where nothing is missing goes at its mark.
        for (asset, equity) in self.equities(subject) {
            if equity >= 0 {
                self.leave(subject, asset, 0, &positions);
            }
        }
        self.sweep(subject);
        Ok(())
    }

    /// An account whose last position was settled and that is worth less than nothing: the fund pays
    /// what it owes, or that is booked, and nobody has to ask for it.
    pub(crate) fn end_bankrupt(&mut self, account: AccountId) -> Result<(), Refusal> {
        let subject = self.subject(account, None)?;
        if subject.equity < 0 && self.subject_positions(&subject).is_empty() {
            self.leave_to_estates(&subject)?;
        }
        Ok(())
    }

    /// The fund buys what there is of other collateral, less its haircut, as far as it has the
    /// collateral asset; the sweep brings it what it bought.
    fn buy_collateral(&mut self, subject: &Subject<'a>) {
        let base = self.rules.spec().collateral;
        if subject.isolated.is_some() {
            return;
        }
        for (asset, equity) in self.equities(subject) {
            let Some(pledge) = self.rules.pledge(asset).filter(|_| equity > 0) else { continue };
            let oracle = self.state.prices.get(&MarketKey(pledge.market)).oracle;
            let paid = self.insure(subject.account, base, pledge.collateral(equity, oracle));
            self.credit_subject(subject, base, paid);
        }
    }

    /// What there is of each asset, positions that settle in it included.
    fn equities(&mut self, subject: &Subject<'a>) -> Vec<(AssetId, Amount)> {
        if let Some((_, rules)) = subject.isolated {
            return match self.subject(subject.account, Some(rules.market)) {
                Ok(now) => alloc::vec![(rules.quote, now.equity)],
                // Gone already.
                Err(_) => Vec::new(),
            };
        }
        margin_sum(self.rules, self.state, subject.account, None).by_asset()
    }

    /// Money for the account, or for the margin of the isolated position.
    fn credit_subject(&mut self, subject: &Subject<'_>, asset: AssetId, amount: Amount) {
        if amount == 0 {
            return;
        }
        match subject.isolated {
            Some((slot, rules)) => self.pay_into_margin(subject.account, slot, rules, amount),
            None => self.liquidation_pay(subject.account, asset, amount),
        }
    }

    /// By way of the account: what an isolated margin gets comes from its account's collateral.
    pub(super) fn pay_into_margin(
        &mut self,
        account: AccountId,
        slot: u32,
        rules: &MarketRules,
        amount: Amount,
    ) {
        self.liquidation_pay(account, rules.quote, amount);
        self.pay(account, rules.quote, -amount);
        self.set_isolated_margin(rules, account, slot, amount);
    }

    pub(crate) fn liquidation_pay(&mut self, account: AccountId, asset: AssetId, change: Amount) {
        if change == 0 {
            return;
        }
        let balance = self.pay(account, asset, change);
        let (wallet, cause) = (Wallet::Collateral, BalanceCause::Liquidation);
        let changed = Event::BalanceChanged { account, asset, wallet, change, balance, cause };
        self.events.push(changed);
    }

    /// Leaves the positions that settle in an asset to their markets' estates. What is missing is
    /// split over them by value, at most all of it; the rest is booked.
    fn leave(
        &mut self,
        subject: &Subject<'a>,
        asset: AssetId,
        missing: Amount,
        positions: &[(u32, &'a MarketRules, Position)],
    ) {
        let mut own = Vec::new();
        for (slot, rules, _) in positions.iter().filter(|(_, rules, _)| rules.quote == asset) {
            let prices = self.margin_prices(rules.market);
            // As it is now: an asset is looked at twice.
            let position = self.position(subject.account, *slot);
            if position.size != 0 {
                let value = rules.notional(prices.mark, position.size.unsigned_abs());
                own.push((*slot, *rules, position, value, prices));
            }
        }
        let mut whole: Amount = own.iter().map(|(.., value, _)| *value).sum();
        let mut left = missing;
        for (slot, rules, position, value, prices) in own {
            let part = if value == whole { left } else { mul_div(left, value, whole).0 };
            let part = part.min(value);
            left -= part;
            whole -= value;
            self.bequeath(subject, slot, rules, &position, (value, part), &prices);
        }
        if left > 0 {
            self.book_shortfall(subject.account, asset, left);
            // Its position is gone: an isolated position's money is the account's now.
            self.liquidation_pay(subject.account, asset, left);
        }
    }

    /// One position goes to its estate, for its value at the mark and `part` in the account's
    /// favour.
    fn bequeath(
        &mut self,
        subject: &Subject<'_>,
        slot: u32,
        rules: &'a MarketRules,
        position: &Position,
        (value, part): (Amount, Amount),
        prices: &MarginPrices,
    ) {
        let account = subject.account;
        let (lots, held) = (position.size.unsigned_abs(), side_of(position.size));
        self.credit_subject(subject, rules.quote, part);
        let fill = (held.opposite(), lots, value);
        let closed = self.fill_position(rules, account, slot as u8, fill, 0, prices);
        let key = EstateKey(BookId::new(rules.market, held));
        self.settle_estate(rules, &key, prices);
        let estate = self.state.estates.get_mut(&key);
        estate.size += position.size;
        let cost = rules.paid(held, value) + part;
        estate.cost += cost;
        estate.funding = prices.funding;
        self.events.push(Event::PositionTaken {
            market: rules.market,
            from: Some(account),
            to: None,
            size: position.size,
            value: cost,
            closed_pnl: closed.pnl,
            taker_pnl: 0,
        });
    }

    /// An estate's funding is the fund's business.
    pub(super) fn settle_estate(
        &mut self,
        rules: &MarketRules,
        key: &EstateKey,
        prices: &MarginPrices,
    ) {
        let estate = *self.state.estates.get(key);
        let mut position = estate.position();
        let due = position.settle_funding(prices.funding);
        if due.amount == 0 && position.funding == estate.funding {
            return;
        }
        self.state.estates.get_mut(key).funding = position.funding;
        self.book_estate_funding(rules, &due);
        self.insured_or_booked(rules.quote, -due.amount);
    }

    /// What is left of a cross account goes to the fund, which pays what it still owes.
    fn sweep(&mut self, subject: &Subject<'_>) {
        // What rounding left of an isolated position is its account's.
        if subject.isolated.is_some() {
            return;
        }
        let account = subject.account;
        let base = self.rules.spec().collateral;
        let held = self.state.holdings.get(&AccountKey(account)).clone();
        let others = held.list().iter().map(|holding| holding.asset);
        for asset in others.chain(core::iter::once(base)) {
            self.pay(account, asset, 0);
            let amount = self.state_balance(account, asset);
            self.liquidation_pay(account, asset, -amount);
            if self.rules.pledge(asset).is_some_and(|pledge| pledge.cap != 0) {
                // It is no longer in a collateral wallet.
                self.state.ledgers.get_mut(&LedgerKey(asset)).pledged -= amount;
            }
            if amount > 0 {
                self.insured_or_booked(asset, amount);
            } else if amount < 0 {
                let paid = self.insure(account, asset, -amount);
                self.book_shortfall(account, asset, -amount - paid);
            }
        }
    }

    /// Two estates of a market that hold opposite sides close each other.
    pub(super) fn net_estates(&mut self, rules: &'a MarketRules, held: Side) {
        let keys = [held, held.opposite()].map(|side| EstateKey(BookId::new(rules.market, side)));
        let lots = keys.map(|key| self.state.estates.get(&key).size.unsigned_abs());
        let size = lots[0].min(lots[1]);
        if size == 0 {
            return;
        }
        let prices = self.margin_prices(rules.market);
        let mut left = 0;
        for (key, side) in keys.into_iter().zip([held, held.opposite()]) {
            self.settle_estate(rules, &key, &prices);
            let cost = self.take_from_estate(&key, size);
            left -= cost;
            self.gone(rules, side.signed(size), cost);
        }
        let top = self.state.tops.get_mut(&MarketKey(rules.market));
        top.open_interest = super::super::less_wide::<S>(top.open_interest, size.into());
        self.insured_or_booked(rules.quote, left);
    }

    /// An estate of a settled market ends as positions do: at the settlement price. Nobody is left
    /// to take it over, so what it is worth less than it cost is the fund's.
    pub(super) fn settle_left(&mut self, rules: &MarketRules, key: &EstateKey) {
        let prices = self.margin_prices(rules.market);
        self.settle_estate(rules, key, &prices);
        let estate = *self.state.estates.get(key);
        let lots = estate.size.unsigned_abs();
        let value = rules.value(prices.mark, estate.size);
        self.take_from_estate(key, lots);
        self.settled(rules, estate.size, value);
        self.gone(rules, estate.size, estate.cost);
        self.insured_or_booked(rules.quote, value - estate.cost);
    }

    /// Tells of a part of an estate that goes to nobody.
    fn gone(&mut self, rules: &MarketRules, size: i64, value: Amount) {
        let market = rules.market;
        let (from, to, closed_pnl, taker_pnl) = (None, None, 0, 0);
        let event = Event::PositionTaken { market, from, to, size, value, closed_pnl, taker_pnl };
        self.events.push(event);
    }

    /// Takes lots out of an estate, with their part of its cost.
    pub(super) fn take_from_estate(&mut self, key: &EstateKey, lots: u64) -> Amount {
        let estate = self.state.estates.get_mut(key);
        let whole = estate.size.unsigned_abs();
        let cost = part_of(estate.cost, lots.into(), whole.into());
        estate.cost -= cost;
        estate.size -= estate.size.signum() * lots as i64;
        if estate.size == 0 {
            estate.funding = 0;
        }
        cost
    }
}

pub(super) fn side_of(size: i64) -> Side {
    if size > 0 { Side::Buy } else { Side::Sell }
}
