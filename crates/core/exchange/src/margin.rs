//! Cross margin: one collateral balance carries all of an account's perpetual positions.
//!
//! With `value(x) = x × mark × multiplier`, per market:
//! * equity = collateral + Σ (value(size) − cost);
//! * exposure = max(|size + bids|, |size − asks|), the worst that open orders can lead to (orders
//!   that only reduce can lead to nothing and are not in `bids` and `asks`);
//! * initial requirement = Σ value(exposure) × initial fraction, plus what resting orders would
//!   lose against the mark if they filled, max(0, bid notional − value(bids)) and
//!   max(0, value(asks) − ask notional) (gains and losses of one side's orders are netted), plus
//!   what filling them costs, maker fee × (bid notional + ask notional);
//! * maintenance requirement = Σ value(|size|) × maintenance fraction.
//!
//! An order that can enlarge exposure is accepted only if equity covers the initial requirement as
//! it will be after the order has traded what it can and rests with the remainder; an order that
//! only reduces a position, only if it loses no more against the mark than the maintenance margin
//! it frees, or equity covers what maintenance remains: else an account could hand its margin, and
//! more, to a friend by closing at a bad price. A maker's margin was reserved when its order was
//! placed, so a fill asks nothing of the maker.
//!
//! The formulas are those of a cross-margined linear contract (as in Hyperliquid's documentation,
//! "Margining"); the reserve for order losses is ours.
//!
//! Liquidation, portfolio margin and isolated positions build on [`Margin`]: a product adds its
//! terms in [`Margin::add`].

use crate::ids::{Amount, MarketId, PPM, Price};
use crate::math::per_million_up;
use crate::objects::{Position, PositionGroup};
use crate::rules::{MarketRules, ProductRules, Rules};

/// An account's margin at the marks of the latest tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Margin {
    /// Settled collateral.
    pub collateral: Amount,
    /// Σ (value − cost).
    pub unrealised: Amount,
    /// Σ |value|.
    pub notional: Amount,
    /// What must be covered to enlarge exposure or withdraw, in parts per million, and reserves.
    initial_ppm: Amount,
    reserves: Amount,
    /// What must be covered not to be liquidated, in parts per million.
    maintenance_ppm: Amount,
}

impl Margin {
    /// What the account is worth: collateral and unrealised profit.
    #[inline]
    pub fn equity(&self) -> Amount {
        self.collateral + self.unrealised
    }

    /// What must be covered to enlarge exposure or to withdraw.
    #[inline]
    pub fn initial(&self) -> Amount {
        per_million_up(self.initial_ppm) + self.reserves
    }

    /// What must be covered not to be liquidated.
    #[inline]
    pub fn maintenance(&self) -> Amount {
        per_million_up(self.maintenance_ppm)
    }

    /// What may leave: equity above the initial requirement, but no unrealised profit.
    pub fn withdrawable(&self) -> Amount {
        (self.equity() - self.initial()).min(self.collateral).max(0)
    }

    /// Whether the account may be liquidated.
    pub fn is_liquidatable(&self) -> bool {
        self.equity() < self.maintenance()
    }

    /// Adds a position at a mark.
    #[inline]
    pub fn add(&mut self, rules: &MarketRules, position: &Position, mark: Price) {
        let ProductRules::Perpetual { initial_margin_ppm, maintenance_margin_ppm, .. } = rules.kind
        else {
            return;
        };
        let value = rules.value(mark, position.size);
        self.unrealised += value - position.cost;
        self.notional += value.abs();
        let lots = position.size.unsigned_abs();
        self.maintenance_ppm += rules.weighted(mark, lots, maintenance_margin_ppm);
        let fraction = initial_fraction(initial_margin_ppm, position.leverage);
        if position.bids == 0 && position.asks == 0 {
            self.initial_ppm += rules.weighted(mark, lots, fraction);
            return;
        }
        let (longest, shortest) =
            (position.size + position.bids as i64, position.size - position.asks as i64);
        let exposure = longest.unsigned_abs().max(shortest.unsigned_abs());
        self.initial_ppm += rules.weighted(mark, exposure, fraction);
        self.reserves += (position.bid_notional - rules.notional(mark, position.bids)).max(0);
        self.reserves += (rules.notional(mark, position.asks) - position.ask_notional).max(0);
        if rules.maker_fee_ppm > 0 {
            let fee = Amount::from(rules.maker_fee_ppm);
            self.initial_ppm += (position.bid_notional + position.ask_notional) * fee;
        }
    }
}

/// The initial fraction at the leverage chosen.
#[inline]
pub(crate) fn initial_fraction(market_ppm: u32, leverage: u8) -> u32 {
    if leverage == 0 { market_ppm } else { market_ppm.max(PPM.div_ceil(u32::from(leverage))) }
}

/// Adds up an account's margin, group by group.
///
/// `replace` puts a position in the place of a slot's own: what would be if.
pub(crate) struct MarginSum<'a> {
    pub(crate) margin: Margin,
    rules: &'a Rules,
    replaced: Option<u32>,
}

impl<'a> MarginSum<'a> {
    #[inline]
    pub(crate) fn new(rules: &'a Rules, collateral: Amount, replaced: Option<u32>) -> Self {
        let margin = Margin { collateral, ..Margin::default() };
        Self { margin, rules, replaced }
    }

    /// Adds a group; `markets` are those of its slots.
    #[inline]
    pub(crate) fn group(
        &mut self,
        group: u32,
        markets: &[MarketId],
        positions: &PositionGroup,
        mut mark: impl FnMut(MarketId) -> Price,
    ) {
        let first = group * PositionGroup::SLOTS;
        for (slot, (market, position)) in (first..).zip(markets.iter().zip(&positions.0)) {
            let idle = position.size == 0 && position.bids == 0 && position.asks == 0;
            if idle || Some(slot) == self.replaced {
                continue;
            }
            if let Some(rules) = self.rules.market(*market) {
                self.margin.add(rules, position, mark(*market));
            }
        }
    }
}
