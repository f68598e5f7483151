//! What a market is doing, and how it ends.
//!
//! A market that is settled keeps its last mark as the settlement price for good. Its positions
//! are closed at that price one by one, by whoever asks for it: until then they count in every
//! margin check as before, with a mark that no longer moves.

use super::Engine;
use crate::event::{Event, Refusal};
use crate::ids::{Amount, MarketId, MarketStatus};
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
            *self.state.prices.get_mut(&MarketKey(market)) = MarketPrices { status, ..prices };
            self.events.push(Event::StatusChanged { market, status });
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
        let settlement = self.state.settlements.get_mut(&MarketKey(market));
        settlement.size += i128::from(position.size);
        settlement.cost += value;
        if settlement.size == 0 {
            // All are closed: what rounding their values left over.
            let left = -core::mem::take(&mut settlement.cost);
            if left != 0 {
                self.state.ledgers.get_mut(&LedgerKey(rules.quote)).rounding += left;
            }
        }
        let prices = self.margin_prices(market);
        let closed = self.position_mut(account, slot);
        let due = closed.settle_funding(prices.funding);
        (closed.size, closed.cost, closed.funding) = (0, 0, 0);
        self.book_funding(account, rules, &due);
        let mut paid = closed_pnl - due.amount;
        if position.isolated {
            let margin = self.isolated_margin(account, slot);
            self.set_isolated_margin(rules, account, slot, -margin);
            paid += margin;
        }
        self.pay(account, rules.quote, paid);
        self.holds(market, account, position.size, 0);
        let top = self.state.tops.get_mut(&MarketKey(market));
        let long = position.size.max(0).unsigned_abs();
        top.open_interest = super::less_wide::<S>(top.open_interest, long.into());
        let size = position.size;
        self.events.push(Event::PositionSettled { account, market, size, price, closed_pnl });
        if position.attached {
            self.position_closed(account, market);
        }
        Ok(())
    }
}

/// Why a market's status refuses a new order, if it does.
pub(crate) fn refused(
    rules: &MarketRules,
    status: MarketStatus,
    request: &crate::command::OrderRequest,
) -> Option<Refusal> {
    use crate::ids::Tif;
    let message = match status {
        MarketStatus::Open | MarketStatus::Auction => return None,
        MarketStatus::PostOnly if request.tif == Tif::PostOnly => return None,
        // On a spot market nothing reduces.
        MarketStatus::ReduceOnly if request.reduce_only && rules.is_perpetual() => return None,
        MarketStatus::PostOnly => "the market takes post-only orders for now",
        MarketStatus::ReduceOnly => "the market takes reduce-only orders for now",
        MarketStatus::CancelOnly => "the market takes no new orders for now; cancels are possible",
        MarketStatus::Halted => "the market is halted; cancels are possible",
        MarketStatus::Settled => "the market is settled; anyone may settle its positions",
    };
    Some(Refusal::new(RejectCode::MarketPaused, message))
}
