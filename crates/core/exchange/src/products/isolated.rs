//! Orders and fills of isolated positions. See [`crate::margin::isolated`] for the rules.

use super::fill::Traded;
use super::trial::Trial;
use crate::engine::{Engine, Incoming};
use crate::event::{Event, Refusal};
use crate::ids::{AccountId, Amount, Side, Size};
use crate::margin::MarginPrices;
use crate::margin::isolated::{self, IsolatedView};
use crate::objects::{IsolatedKey, IsolatedMargin, Position};
use crate::rules::MarketRules;
use atoll_state::Source;
use atoll_types::RejectCode;

impl<S: Source> Engine<'_, S> {
    /// The margin of an isolated position.
    pub(crate) fn isolated_margin(&mut self, account: AccountId, slot: u32) -> Amount {
        self.state.isolated.get(&IsolatedKey { account, slot: slot as u8 }).margin
    }

    /// Writes the margin of an isolated position, and tells of it.
    pub(crate) fn set_isolated_margin(
        &mut self,
        rules: &MarketRules,
        account: AccountId,
        slot: u32,
        change: Amount,
    ) {
        let key = IsolatedKey { account, slot: slot as u8 };
        let margin = self.state.isolated.get(&key).margin + change;
        self.state.isolated.set(&key, IsolatedMargin { margin });
        let market = rules.market;
        self.events.push(Event::IsolatedMargin { account, market, change, margin });
    }

    /// Whether an order of an isolated position's market may be placed: the position must cover its
    /// maintenance at whatever the order leads to (one that only reduces may lose as much as it
    /// frees), and the cross account what the order moves into the position and the fee.
    pub(super) fn check_isolated(
        &mut self,
        incoming: &Incoming<'_>,
        before: &Position,
        trial: &Trial,
        slot: u32,
        reduces: bool,
        prices: &MarginPrices,
    ) -> Result<(), Refusal> {
        let (rules, order, account) = (incoming.rules, &incoming.order, incoming.account);
        let mut position = *before;
        let mut margin = self.isolated_margin(account, slot);
        margin -= position.settle_funding(prices.funding).amount;
        position.owes_from(prices.funding);
        let scale = prices.scale_ppm.0;
        let mut to_cross = -trial.fee;
        let mut after = trial.after;
        for (size, notional, now) in [
            (trial.filled, trial.notional, true),
            (trial.rest, rules.notional(order.price, trial.rest), false),
        ] {
            if size == 0 {
                continue;
            }
            let at = (order.side, size);
            let fill = isolated::fill(rules, &mut position, &mut margin, at, notional, scale);
            position.owes_from(prices.funding);
            if now {
                to_cross += fill.to_cross;
                after.cost = position.cost;
            }
        }
        let view = IsolatedView::new(rules, &position, margin, prices);
        let eases = reduces && trial.loss + trial.rest_loss <= trial.freed;
        if view.equity < view.maintenance && !eases {
            return Err(Refusal::money(
                RejectCode::InsufficientMargin,
                "the isolated position would not cover its maintenance; add margin to it",
                view.equity,
                view.maintenance,
            ));
        }
        if reduces && to_cross >= 0 {
            return Ok(());
        }
        let replace = Some((slot, rules, &after));
        let cross = self.margin_if(account, replace, (rules.quote, to_cross));
        let need = if reduces { cross.maintenance() } else { cross.initial() };
        if cross.equity() >= need {
            return Ok(());
        }
        Err(Refusal::money(
            RejectCode::InsufficientMargin,
            "not enough free collateral for this order; make it smaller or deposit",
            cross.equity(),
            need,
        ))
    }

    pub(super) fn fill_isolated(
        &mut self,
        rules: &MarketRules,
        account: AccountId,
        slot: u8,
        (side, size, notional): (Side, Size, Amount),
        fee: Amount,
        prices: &MarginPrices,
    ) -> Traded {
        let mut position = self.position(account, slot.into());
        let due = position.settle_funding(prices.funding);
        self.book_funding(account, rules, &due);
        let mut margin = self.isolated_margin(account, slot.into()) - due.amount;
        let scale = prices.scale_ppm.0;
        let at = (side, size);
        let fill = isolated::fill(rules, &mut position, &mut margin, at, notional, scale);
        position.owes_from(prices.funding);
        self.change_position(rules, account, slot.into(), |own| *own = position);
        self.pay(account, rules.quote, fill.to_cross - fee);
        self.set_isolated_margin(rules, account, slot.into(), fill.change - due.amount);
        fill.traded
    }
}
