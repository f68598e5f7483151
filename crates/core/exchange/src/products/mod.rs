//! What differs between products: what an order must have behind it, what it holds while it
//! rests, and who owes whom when it fills. Matching knows none of it.
//!
//! | step | when |
//! | --- | --- |
//! | `admit` | before the first write: cuts reduce-only orders, checks margin or balance |
//! | `enter` | the order is accepted: takes what the order needs besides money |
//! | `reserve` | what remains rests |
//! | `release` | a resting order is cancelled |
//! | `ease` | a resting order gets smaller |
//! | `fillable` | how much of a resting order may trade now |
//! | `maker_covered` | whether a resting order's account has the margin for a fill |
//! | `settle` | two orders trade |
//! | `still_covered` | matching left the plan that `admit` checked: may it go on? |

pub(crate) mod fill;
mod isolated;
mod perpetual;
mod spot;
mod trial;

use crate::engine::{Engine, Incoming, Resting};
use crate::event::Refusal;
use crate::ids::{AccountId, Amount, AssetId, Price, Size};
use crate::math::parts;
use crate::objects::{LedgerKey, OrderRef};
use crate::rules::{MarketRules, ProductRules};
use atoll_state::Source;

/// What `admit` found and `enter` writes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Entry {
    /// The market gets this position slot.
    fresh_slot: Option<u32>,
}

/// What a fill did to one party.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SettledParty {
    pub(crate) fee: Amount,
    pub(crate) fee_asset: AssetId,
    pub(crate) closed_pnl: Amount,
    pub(crate) start_position: i64,
    /// Whether orders are attached to the position.
    pub(crate) attached: bool,
}

/// What a fill did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settled {
    pub(crate) maker: SettledParty,
    pub(crate) taker: SettledParty,
    /// Change of the lots held long.
    pub(crate) open_interest: i128,
}

impl<S: Source> Engine<'_, S> {
    pub(crate) fn admit(
        &mut self,
        incoming: &mut Incoming<'_>,
        crosses: bool,
        mark: Price,
    ) -> Result<Entry, Refusal> {
        match incoming.rules.kind {
            ProductRules::Perpetual { .. } => self.admit_perpetual(incoming, crosses, mark),
            ProductRules::Spot { base, lot_units } => {
                self.admit_spot(incoming, crosses, base, lot_units).map(|()| Entry::default())
            }
        }
    }

    pub(crate) fn enter(&mut self, incoming: &mut Incoming<'_>, entry: Entry) {
        if let Some(slot) = entry.fresh_slot {
            self.enter_perpetual(incoming, slot);
        }
    }

    pub(crate) fn reserve(&mut self, incoming: &Incoming<'_>) {
        match incoming.rules.kind {
            ProductRules::Perpetual { .. } => self.reserve_perpetual(incoming),
            ProductRules::Spot { base, lot_units } => {
                let (account, order) = (incoming.account, &incoming.order);
                let size = incoming.remaining;
                self.hold_spot(incoming.rules, account, order, base, lot_units, size, 1);
            }
        }
    }

    pub(crate) fn release(&mut self, account: AccountId, order: &OrderRef, size: Size) {
        self.free(account, order, size, 1);
    }

    pub(crate) fn ease(&mut self, account: AccountId, order: &OrderRef, by: Size) {
        self.free(account, order, by, 0);
    }

    /// So much of an order, or the last of so many orders, needs nothing behind it any more.
    fn free(&mut self, account: AccountId, order: &OrderRef, by: Size, orders: u32) {
        let Some(rules) = self.rules.market(order.market) else { return };
        match rules.kind {
            ProductRules::Perpetual { .. } => {
                self.free_perpetual(rules, account, order, by, orders);
            }
            ProductRules::Spot { base, lot_units } => {
                self.hold_spot(rules, account, order, base, lot_units, by, -1);
            }
        }
    }

    /// A spot order holds what it gives.
    pub(crate) fn maker_covered(
        &mut self,
        resting: &Resting,
        listed: &OrderRef,
        size: Size,
    ) -> bool {
        match self.rules.market(listed.market) {
            Some(rules) if rules.is_perpetual() => {
                self.maker_covered_perpetual(rules, resting, listed, size)
            }
            _ => true,
        }
    }

    pub(crate) fn fillable(&mut self, resting: &Resting, listed: &OrderRef) -> Size {
        if resting.order.reduce_only {
            let position = self.position(resting.order.account, listed.position.into());
            let most = crate::engine::reducible(position.size, resting.side);
            resting.order.size.min(most)
        } else {
            resting.order.size
        }
    }

    pub(crate) fn settle(
        &mut self,
        incoming: &Incoming<'_>,
        resting: &Resting,
        listed: &OrderRef,
        size: Size,
        notional: Amount,
    ) -> Settled {
        match incoming.rules.kind {
            ProductRules::Perpetual { .. } => {
                self.settle_perpetual(incoming, resting, listed, size, notional)
            }
            ProductRules::Spot { base, lot_units } => {
                let units = Amount::from(lot_units) * Amount::from(size);
                self.settle_spot(incoming, resting, base, units, notional)
            }
        }
    }

    pub(crate) fn still_covered(&mut self, incoming: &mut Incoming<'_>) -> bool {
        match incoming.rules.kind {
            ProductRules::Perpetual { .. } => self.covered_perpetual(incoming),
            ProductRules::Spot { base, lot_units } => {
                let need = spot::need(incoming, base, lot_units, None);
                self.available(incoming.account, need.0) >= need.1
            }
        }
    }

    /// Books fees: the payer pays them rounded up, the fund gets them rounded down, the rest goes
    /// to the rounding ledger. A rebate is paid by the fund, rounded down. The insurance fund has its
    /// part of what takers pay. Gives what each pays.
    fn charge(
        &mut self,
        rules: &MarketRules,
        (maker_asset, maker_amount): (AssetId, Amount),
        (taker_asset, taker_amount): (AssetId, Amount),
    ) -> (Amount, Amount) {
        let (floor, taker_fee) = parts(taker_amount, rules.taker_fee_ppm);
        let insured = match self.rules.spec().liquidation.insurance_ppm {
            0 => 0,
            ppm => parts(floor, ppm).0,
        };
        let ledger = self.state.ledgers.get_mut(&LedgerKey(taker_asset));
        ledger.fees += floor - insured;
        ledger.rounding += taker_fee - floor;
        if insured != 0 {
            self.insured(taker_asset, insured);
        }
        let (floor, ceil) = parts(maker_amount, rules.maker_fee_ppm.unsigned_abs());
        let ledger = self.state.ledgers.get_mut(&LedgerKey(maker_asset));
        if rules.maker_fee_ppm < 0 {
            ledger.fees -= floor;
            return (-floor, taker_fee);
        }
        ledger.fees += floor;
        ledger.rounding += ceil - floor;
        (ceil, taker_fee)
    }
}
