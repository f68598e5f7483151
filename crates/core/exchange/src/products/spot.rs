//! Spot: base against quote, both held in full while an order rests.
//!
//! Fees are taken from what is received: base for the buyer, quote for the seller. So a bid holds
//! price × size of quote, an ask its size of base, and neither can run short.

use super::{Settled, SettledParty};
use crate::engine::{Engine, Incoming, Resting, less_amount};
use crate::event::Refusal;
use crate::ids::{AccountId, Amount, AssetId, Side, Size};
use crate::objects::{BalanceKey, OrderRef};
use crate::rules::MarketRules;
use atoll_state::Source;
use atoll_types::RejectCode;

/// What an order has to have: of which asset, how much. `plan` is what trades at once and what
/// that costs; without it, all of the rest at the limit.
pub(super) fn need(
    incoming: &Incoming<'_>,
    base: AssetId,
    lot_units: u64,
    plan: Option<(Size, Amount)>,
) -> (AssetId, Amount) {
    let (rules, order) = (incoming.rules, &incoming.order);
    match order.side {
        Side::Sell => (base, Amount::from(lot_units) * Amount::from(incoming.remaining)),
        Side::Buy => {
            let (filled, notional) = plan.unwrap_or((0, 0));
            let stays = plan.is_none() || order.tif.rests();
            let rest = if stays { incoming.remaining - filled } else { 0 };
            (rules.quote, notional + rules.notional(order.price, rest))
        }
    }
}

impl<S: Source> Engine<'_, S> {
    pub(crate) fn available(&mut self, account: AccountId, asset: AssetId) -> Amount {
        self.state.balances.get(&BalanceKey { account, asset }).available()
    }

    pub(super) fn admit_spot(
        &mut self,
        incoming: &mut Incoming<'_>,
        crosses: bool,
        base: AssetId,
        lot_units: u64,
    ) -> Result<(), Refusal> {
        let order = &incoming.order;
        let plan = if crosses && order.side == Side::Buy {
            self.plan(incoming.rules, order.side, order.price, incoming.remaining)
        } else {
            Default::default()
        };
        let (asset, need) = need(incoming, base, lot_units, Some((plan.filled, plan.notional)));
        let have = self.available(incoming.account, asset);
        if have >= need {
            return Ok(());
        }
        Err(Refusal::money(
            RejectCode::InsufficientBalance,
            "not enough of the asset that the order gives; make it smaller or deposit",
            have,
            need,
        ))
    }

    /// Holds (`sign` 1) or frees (−1) what an order of this size gives.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn hold_spot(
        &mut self,
        rules: &MarketRules,
        account: AccountId,
        order: &OrderRef,
        base: AssetId,
        lot_units: u64,
        size: Size,
        sign: Amount,
    ) {
        let (asset, amount) = match order.side {
            Side::Buy => (rules.quote, rules.notional(order.price, size)),
            Side::Sell => (base, Amount::from(lot_units) * Amount::from(size)),
        };
        let balance = self.state.balances.get_mut(&BalanceKey { account, asset });
        balance.hold = less_amount::<S>(balance.hold + sign * amount, 0);
    }

    pub(super) fn settle_spot(
        &mut self,
        incoming: &Incoming<'_>,
        resting: &Resting,
        base: AssetId,
        units: Amount,
        notional: Amount,
    ) -> Settled {
        let rules = incoming.rules;
        let quote = rules.quote;
        let (maker, taker) = (resting.order.account, incoming.account);
        // What the maker and the taker give and get.
        let ((gives, given), (gets, got)) = match resting.side {
            Side::Buy => ((quote, notional), (base, units)),
            Side::Sell => ((base, units), (quote, notional)),
        };
        let (maker_fee, taker_fee) = self.charge(rules, (gets, got), (gives, given));
        let balances = &mut self.state.balances;
        let held = balances.get_mut(&BalanceKey { account: maker, asset: gives });
        held.hold = less_amount::<S>(held.hold, given);
        held.total = less_amount::<S>(held.total, given);
        balances.get_mut(&BalanceKey { account: maker, asset: gets }).total += got - maker_fee;
        let paid = balances.get_mut(&BalanceKey { account: taker, asset: gets });
        paid.total = less_amount::<S>(paid.total, got);
        balances.get_mut(&BalanceKey { account: taker, asset: gives }).total += given - taker_fee;
        let party = |fee, fee_asset| SettledParty { fee, fee_asset, ..SettledParty::default() };
        Settled { maker: party(maker_fee, gets), taker: party(taker_fee, gives), open_interest: 0 }
    }
}
