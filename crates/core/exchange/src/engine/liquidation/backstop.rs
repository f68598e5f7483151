//! The backstop vault takes over what the book could not close in time.

use super::Subject;
use crate::engine::Engine;
use crate::event::{Event, LiquidationStep};
use crate::ids::{AccountId, Amount, AssetId, Side};
use crate::objects::{AccountKey, MarketKey, Position};
use crate::rules::{MarketRules, scaled_up};
use crate::spec::SIZE_BOUND;
use atoll_state::Source;

impl<'a, S: Source> Engine<'a, S> {
    /// Moves everything to the vault, if it can carry it; the fund pays what is missing first.
    pub(super) fn hand_to_backstop(&mut self, subject: &Subject<'a>) -> bool {
        let Some(address) = self.liquidation_spec().backstop else { return false };
        let Some(vault) = self.account(&address) else { return false };
        if vault == subject.account {
            return false;
        }
        let positions = self.subject_positions(subject);
        let frozen = positions.iter().any(|(_, rules, _)| !self.trades(rules.market));
        if frozen || positions.is_empty() {
            return false;
        }
        let taken = self.all_or_nothing(|engine| {
            engine.told_step(subject, LiquidationStep::Backstop);
            if subject.equity < 0 && !engine.insure_subject(subject) {
                return Err(());
            }
            for (slot, rules, position) in &positions {
                if !engine.hand_over(subject.account, *slot, vault, rules, position) {
                    return Err(());
                }
            }
            if subject.isolated.is_none() {
                engine.hand_over_collateral(subject.account, vault);
            }
            engine.spend_work(positions.len() as u32);
            let margin = engine.margin(vault, None);
            // Requirements are below 2¹¹⁰ and the factor below 2²⁷: quotient and remainder apart.
            let need = scaled_up(margin.initial(), engine.liquidation_spec().backstop_margin_ppm);
            if margin.equity() >= need { Ok(()) } else { Err(()) }
        });
        taken.is_ok()
    }

    /// The fund pays what a bankrupt account or isolated position is short of, or does not.
    fn insure_subject(&mut self, subject: &Subject<'_>) -> bool {
        let missing = -subject.equity;
        let base = self.rules.spec().collateral;
        let asset = subject.isolated.map_or(base, |(_, rules)| rules.quote);
        if self.insure(subject.account, asset, missing) < missing {
            return false;
        }
        match subject.isolated {
            Some((slot, rules)) => {
                self.pay_into_margin(subject.account, slot, rules, missing);
            }
            None => self.liquidation_pay(subject.account, asset, missing),
        }
        true
    }

    /// One position changes hands at the mark. An isolated one brings its margin along.
    fn hand_over(
        &mut self,
        from: AccountId,
        slot: u32,
        vault: AccountId,
        rules: &'a MarketRules,
        position: &Position,
    ) -> bool {
        let Ok((place, fresh)) = self.slot_for(vault, rules.market) else { return false };
        if fresh {
            self.give_slot(vault, place, rules.market);
        }
        let own = self.position(vault, place);
        let lots = position.size.unsigned_abs();
        // As for orders: what margin can count.
        let most = own.size.unsigned_abs() + own.bids + own.asks + lots;
        if own.isolated || most >= SIZE_BOUND {
            return false;
        }
        let prices = self.margin_prices(rules.market);
        let value = rules.notional(prices.mark, lots);
        let (closes, opens) = match position.size > 0 {
            true => (Side::Sell, Side::Buy),
            false => (Side::Buy, Side::Sell),
        };
        // Interest that is due is the account's own.
        self.pay(from, rules.quote, 0);
        let before = self.state_balance(from, rules.quote);
        let closed = self.fill_position(rules, from, slot as u8, (closes, lots, value), 0, &prices);
        // What was the position's own came back to the account, and goes on with it.
        let came = self.state_balance(from, rules.quote) - before;
        let opened =
            self.fill_position(rules, vault, place as u8, (opens, lots, value), 0, &prices);
        let top = self.state.tops.get_mut(&MarketKey(rules.market));
        top.open_interest = top.open_interest.saturating_add_signed(closed.long + opened.long);
        self.events.push(Event::PositionTaken {
            market: rules.market,
            from: Some(from),
            to: Some(vault),
            size: position.size,
            value: rules.paid(opens, value),
            closed_pnl: closed.pnl,
            taker_pnl: opened.pnl,
        });
        if position.isolated {
            self.move_collateral_to(from, vault, rules.quote, came);
        }
        let after = own.size + position.size;
        if opened.attached && after.signum() != own.size.signum() {
            self.position_closed(vault, rules.market);
        }
        true
    }

    /// What an account has of an asset in its collateral wallet, interest apart.
    pub(super) fn state_balance(&mut self, account: AccountId, asset: AssetId) -> Amount {
        if asset == self.rules.spec().collateral {
            return self.state.accounts.get(&AccountKey(account)).collateral;
        }
        self.state.holdings.get(&AccountKey(account)).of(asset).amount
    }

    /// All of an account's collateral, debts included.
    fn hand_over_collateral(&mut self, from: AccountId, to: AccountId) {
        let base = self.rules.spec().collateral;
        // Interest that is due is charged by the first payment.
        self.pay(from, base, 0);
        let held = self.state.holdings.get(&AccountKey(from)).clone();
        for asset in held.list().iter().map(|holding| holding.asset) {
            self.pay(from, asset, 0);
            let amount = self.state_balance(from, asset);
            self.move_collateral_to(from, to, asset, amount);
        }
        let amount = self.state_balance(from, base);
        self.move_collateral_to(from, to, base, amount);
    }

    fn move_collateral_to(
        &mut self,
        from: AccountId,
        to: AccountId,
        asset: AssetId,
        amount: Amount,
    ) {
        self.liquidation_pay(from, asset, -amount);
        self.liquidation_pay(to, asset, amount);
    }
}
