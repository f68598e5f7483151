//! What a market is doing, and how it ends.
//!
//! A market that is settled keeps its last mark as the settlement price for good. Its positions
//! are closed at that price one by one, by whoever asks for it: until then they count in every
//! margin check as before, with a mark that no longer moves.

use super::Engine;
use crate::event::{Event, Refusal};
use crate::ids::{Amount, MarketId, MarketStatus, Tif};
use crate::objects::{AccountKey, LedgerKey, MarketKey, MarketPrices};
use crate::rules::MarketRules;
use atoll_state::Source;
use atoll_types::{Address, RejectCode};

impl<S: Source> Engine<'_, S> {
    pub(crate) fn set_status(
        &mut self,
        market: MarketId,
        status: MarketStatus,
    ) -> Result<(), Refusal> {
        let rules = self.market(market)?;
        let prices = *self.state.prices.get(&MarketKey(market));
        if prices.status == MarketStatus::Settled {
            let message = "the market is settled, which is for good";
            return Err(Refusal::new(RejectCode::MarketPaused, message));
        }
        if status == MarketStatus::Settled && rules.is_perpetual() && prices.mark == 0 {
            let message = "the market has no mark to settle at; wait for its first oracle price";
            return Err(Refusal::new(RejectCode::NoMark, message));
        }
        if prices.status != status {
            let mut after = prices;
            self.enter_status(market, &mut after, status);
            *self.state.prices_mut(&MarketKey(market)) = after;
        }
        Ok(())
    }

    /// Closes a position in a settled market at the settlement price.
    pub(crate) fn settle_position(
        &mut self,
        owner: &Address,
        market: MarketId,
    ) -> Result<(), Refusal> {
        let rules = self.market(market)?;
        let MarketPrices { mark: price, status, .. } = *self.state.prices.get(&MarketKey(market));
        if status != MarketStatus::Settled || !rules.is_perpetual() {
            let message = "the market is not settled; a position is closed by trading";
            return Err(Refusal::new(RejectCode::Unsupported, message));
        }
        let unknown = Refusal::new(RejectCode::UnknownAccount, "this address has no account here");
        let account = self.account(owner).ok_or(unknown)?;
        let nothing = Refusal::new(RejectCode::NotReducing, "there is no position to settle");
        let slot = self.state.accounts.get(&AccountKey(account)).slot(market).ok_or(nothing)?;
        let position = self.position(account, slot);
        if position.size == 0 {
            return Err(nothing);
        }
        let value = rules.value(price, position.size);
        let closed_pnl: Amount = value - position.cost;
        let prices = self.margin_prices(market);
        let due = self.change_position(rules, account, slot, |closed| {
            let due = closed.settle_funding(prices.funding);
            (closed.size, closed.cost, closed.funding) = (0, 0, 0);
            due
        });
        self.book_funding(account, rules, &due);
        let mut paid = closed_pnl - due.amount;
        if position.isolated {
            let margin = self.isolated_margin(account, slot);
            self.set_isolated_margin(rules, account, slot, -margin);
            paid += margin;
        }
        self.pay(account, rules.quote, paid);
        self.holds(market, account, position.size, 0);
        self.settled(rules, position.size, value);
        let size = position.size;
        self.events.push(Event::PositionSettled { account, market, size, price, closed_pnl });
        if position.isolated && paid < 0 {
            // An isolated position takes nothing else with it.
            let insured = self.insure(account, rules.quote, -paid);
            self.book_shortfall(account, rules.quote, -paid - insured);
            self.liquidation_pay(account, rules.quote, -paid);
        }
        if position.attached {
            self.position_closed(account, market);
        }
        self.end_bankrupt(account)
    }
}

impl<S: Source> Engine<'_, S> {
    /// Books lots of a settled market that were closed at its last mark.
    pub(crate) fn settled(&mut self, rules: &MarketRules, size: i64, value: Amount) {
        let key = MarketKey(rules.market);
        let settlement = self.state.settlements.get_mut(&key);
        settlement.size += i128::from(size);
        settlement.cost += value;
        if settlement.size == 0 {
            // All are closed: what rounding their values left over.
            let left = -core::mem::take(&mut settlement.cost);
            if left != 0 {
                self.state.ledgers.get_mut(&LedgerKey(rules.quote)).rounding += left;
            }
        }
        let top = self.state.tops.get_mut(&key);
        let long = size.max(0).unsigned_abs();
        top.open_interest = super::less_wide::<S>(top.open_interest, long.into());
    }
}

/// Why a market's status refuses a new order, if it does.
pub(crate) fn refused(
    rules: &MarketRules,
    status: MarketStatus,
    tif: Tif,
    reduce_only: bool,
) -> Option<Refusal> {
    let message = match status {
        MarketStatus::Open => return None,
        MarketStatus::Auction if tif == Tif::Gtc => return None,
        MarketStatus::Auction => {
            "the market is in an auction: only orders that rest, whoever takes"
        }
        MarketStatus::PostOnly if tif == Tif::PostOnly => return None,
        // On a spot market nothing reduces.
        MarketStatus::ReduceOnly if reduce_only && rules.is_perpetual() => return None,
        MarketStatus::PostOnly => "the market takes post-only orders for now",
        MarketStatus::ReduceOnly => "the market takes reduce-only orders for now",
        MarketStatus::CancelOnly => "the market takes no new orders for now; cancels are possible",
        MarketStatus::Halted => "the market is halted; cancels are possible",
        MarketStatus::Settled => "the market is settled; anyone may settle its positions",
    };
    Some(Refusal::new(RejectCode::MarketPaused, message))
}
