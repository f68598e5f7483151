//! Leverage, margin modes, and the margin of isolated positions.

use super::Engine;
use super::money::Purse;
use crate::event::{Event, Refusal};
use crate::ids::{AccountId, Amount, MarketId, Wallet};
use crate::margin::isolated::IsolatedView;
use crate::objects::{AccountKey, Position};
use crate::rules::{MarketRules, ProductRules, initial_fraction};
use crate::spec::SUPPLY_MAX;
use atoll_state::Source;
use atoll_types::RejectCode;

/// Why an order of a cross position is refused.
pub(crate) const ISOLATED_ONLY: Refusal = Refusal::new(
    RejectCode::Unsupported,
    "positions of this market have a margin of their own; choose isolated margin first",
);

impl<S: Source> Engine<'_, S> {
    pub(crate) fn set_leverage(
        &mut self,
        account: AccountId,
        market: MarketId,
        leverage: u8,
        isolated: bool,
    ) -> Result<(), Refusal> {
        let rules = self.market(market)?;
        let ProductRules::Perpetual { leverage_max, .. } = rules.kind else {
            let message = "spot markets have no leverage";
            return Err(Refusal::new(RejectCode::Unsupported, message));
        };
        if leverage == 0 || leverage > leverage_max {
            let message = "the leverage is not between 1 and the market's maximum; see the spec";
            return Err(Refusal::new(RejectCode::InsufficientMargin, message));
        }
        if rules.isolated_only && !isolated {
            return Err(ISOLATED_ONLY);
        }
        let (slot, fresh) = self.slot_for(account, market)?;
        let mut position = if fresh { Default::default() } else { self.position(account, slot) };
        let switches = position.isolated != isolated;
        if switches && position.size != 0 {
            let message = "the margin mode changes only without a position; close it first";
            return Err(Refusal::new(RejectCode::PositionOpen, message));
        }
        let before = initial_fraction(0, position.leverage);
        let tightens = before == 0 || initial_fraction(0, leverage) > before;
        (position.leverage, position.isolated) = (leverage, isolated);
        if tightens && isolated && position.size != 0 {
            self.check_isolated_leverage(rules, account, slot, &position)?;
        }
        let carries = position.size != 0 || position.bids != 0 || position.asks != 0;
        if (tightens || switches) && carries {
            let margin = self.margin(account, Some((slot, rules, &position)));
            let (have, need) = (margin.equity(), margin.initial());
            if have < need {
                let message = "not enough free collateral for a lower leverage; deposit or reduce";
                return Err(Refusal::money(RejectCode::InsufficientMargin, message, have, need));
            }
        }
        if fresh {
            self.state.accounts.get_mut(&AccountKey(account)).set_slot(slot, market);
        }
        let position = self.position_mut(account, slot);
        (position.leverage, position.isolated) = (leverage, isolated);
        self.events.push(Event::LeverageSet { account, market, leverage, isolated });
        Ok(())
    }

    /// A lower leverage asks for more margin in the position.
    fn check_isolated_leverage(
        &mut self,
        rules: &MarketRules,
        account: AccountId,
        slot: u32,
        position: &Position,
    ) -> Result<(), Refusal> {
        let view = self.isolated_view(rules, account, slot, position);
        if view.equity >= view.initial {
            return Ok(());
        }
        let message = "the isolated position has not the margin for a lower leverage; add to it";
        let (have, need) = (view.equity, view.initial);
        Err(Refusal::money(RejectCode::InsufficientMargin, message, have, need))
    }

    fn isolated_view(
        &mut self,
        rules: &MarketRules,
        account: AccountId,
        slot: u32,
        position: &Position,
    ) -> IsolatedView {
        let margin = self.isolated_margin(account, slot);
        let prices = self.margin_prices(rules.market);
        IsolatedView::new(rules, position, margin, &prices)
    }

    /// Moves money between the cross account and an isolated position: into it if above zero.
    pub(crate) fn adjust_margin(
        &mut self,
        account: AccountId,
        market: MarketId,
        amount: Amount,
    ) -> Result<(), Refusal> {
        let rules = self.market(market)?;
        if amount == 0 || amount.unsigned_abs() > SUPPLY_MAX as u128 {
            let message = "the amount must not be zero, and at most 2^96";
            return Err(Refusal::new(RejectCode::Overflow, message));
        }
        let slot = self.state.accounts.get(&AccountKey(account)).slot(market);
        let found = slot.map(|slot| (slot, self.position(account, slot)));
        let Some((slot, position)) = found.filter(|(_, p)| p.isolated && p.size != 0) else {
            let message = "there is no isolated position in this market to change the margin of";
            return Err(Refusal::new(RejectCode::Unsupported, message));
        };
        if amount > 0 {
            let (asset, wallet) = (rules.quote, Wallet::Collateral);
            self.check_free(Purse { account, asset, wallet }, amount)?;
        } else {
            let view = self.isolated_view(rules, account, slot, &position);
            let mark = self.margin_prices(market).mark;
            let have = view.removable(rules, &position, mark);
            if have < -amount {
                let message = "what would remain does not cover the position's initial margin and \
                               a tenth of its value; take less";
                let code = RejectCode::InsufficientMargin;
                return Err(Refusal::money(code, message, have, -amount));
            }
        }
        self.pay(account, rules.quote, -amount);
        self.set_isolated_margin(rules, account, slot, amount);
        Ok(())
    }
}
