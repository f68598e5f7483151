//! Margin: what an account is worth, and what must be covered.
//!
//! Cross margin: one balance carries all of an account's positions that are not isolated. With
//! `value(x) = x × mark × multiplier`, per market:
//! * equity = collateral + Σ (value(size) − cost − funding due);
//! * exposure = max(|size + bids|, |size − asks|), the worst that open orders can lead to (orders
//!   that only reduce can lead to nothing and are not in `bids` and `asks`);
//! * initial requirement = Σ value(exposure) × initial fraction, plus what resting orders would
//!   lose against the mark if they filled, max(0, bid notional − value(bids)) and
//!   max(0, value(asks) − ask notional) (gains and losses of one side's orders are netted), plus
//!   what filling them costs, maker fee × (bid notional + ask notional);
//! * maintenance requirement = Σ value(|size|) × maintenance fraction − deduction of the tier;
//! * a market's part of both is multiplied by what volatility asks for
//!   ([`crate::objects::MarketPrices::margin_scale_ppm`]).
//!
//! An order that can enlarge exposure is accepted only if equity covers the initial requirement as
//! it will be after the order has traded what it can and rests with the remainder; an order that
//! only reduces a position, only if it loses no more against the mark than the maintenance margin
//! it frees, or equity covers what maintenance remains: else an account could hand its margin, and
//! more, to a friend by closing at a bad price. A maker's margin is reserved when its order is
//! placed, and checked again at the marks of the moment when it is met.
//!
//! What settles in another asset (inverse perpetuals, [`crate::rules`]) is summed up in that asset
//! and then converted at its oracle price: what there is, balance and unrealised profit together,
//! less its haircut; what is owed and what is required, in full ([`crate::rules::PledgeRules`]).
//!
//! An isolated position has a balance of its own and is in none of these sums; its open orders ask
//! the cross account for what they would give it: the larger side's value × initial fraction, and
//! fees. See [`isolated`].
//!
//! The formulas are those of a cross-margined linear contract (as in Hyperliquid's documentation,
//! "Margining", "Margin tiers"); the reserve for order losses is ours.
//!
//! Liquidation and portfolio margin build on [`Margin`]: a product adds its terms in
//! [`Margin::add`]; [`price`] says at which price an account or a position is liquidatable, and at
//! which one it is bankrupt.

pub mod funding;
pub mod isolated;
pub mod pledge;
pub mod price;

use crate::headroom;
use crate::ids::{Amount, AssetId, MarketId, PPM, Price};
use crate::math::per_million_up;
use crate::objects::{Holdings, MarketPrices, Position, PositionGroup};
use crate::rules::{MarketRules, ProductRules, Rules, initial_fraction, scaled_up};
use alloc::vec::Vec;

/// What margin needs to know of a market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarginPrices {
    /// The mark in ticks.
    pub mark: Price,
    /// Cumulative funding.
    pub funding: i128,
    /// What initial and maintenance requirements are multiplied by.
    pub scale_ppm: (u32, u32),
}

impl MarketPrices {
    /// What margin needs to know of them.
    #[inline]
    pub fn margin(&self) -> MarginPrices {
        let MarketPrices { mark, funding, margin_scale_ppm: scale_ppm, .. } = *self;
        MarginPrices { mark, funding, scale_ppm }
    }
}

/// An account's margin at the marks of the latest tick, in the collateral asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Margin {
    /// Settled collateral, less interest due.
    pub collateral: Amount,
    /// Σ (value − cost − funding due) of what settles in the collateral asset.
    pub unrealised: Amount,
    /// What other collateral counts for, with what settles in it.
    pub other: Amount,
    /// Σ |value|.
    pub notional: Amount,
    /// What must be covered to enlarge exposure or withdraw, in parts per million, and reserves.
    initial_ppm: Amount,
    reserves: Amount,
    /// What must be covered not to be liquidated, in parts per million.
    maintenance_ppm: Amount,
    /// The same in the collateral asset for what settles in others.
    other_initial: Amount,
    other_maintenance: Amount,
}

impl Margin {
    /// What the account is worth: collateral and unrealised profit.
    #[inline]
    pub fn equity(&self) -> Amount {
        (self.collateral + self.unrealised).saturating_add(self.other)
    }

    /// What must be covered to enlarge exposure or to withdraw.
    #[inline]
    pub fn initial(&self) -> Amount {
        per_million_up(self.initial_ppm) + self.reserves + self.other_initial
    }

    /// What must be covered not to be liquidated.
    #[inline]
    pub fn maintenance(&self) -> Amount {
        per_million_up(self.maintenance_ppm) + self.other_maintenance
    }

    /// Equity less the initial requirement, × 10⁶ and not rounded, of what settles in the collateral
    /// asset.
    #[inline]
    pub(crate) fn free_ppm(&self) -> Amount {
        (self.collateral + self.unrealised - self.reserves) * Amount::from(PPM) - self.initial_ppm
    }

    /// Not less than the initial requirement without reserves, of what settles in the collateral
    /// asset, and less than twice that; without a division.
    #[inline]
    pub(crate) fn initial_swing(&self) -> Amount {
        (self.initial_ppm >> 19) + 1
    }

    /// What may leave: equity above the initial requirement, but no unrealised profit.
    pub fn withdrawable(&self) -> Amount {
        (self.equity() - self.initial()).min(self.collateral).max(0)
    }

    /// Whether the account may be liquidated.
    pub fn is_liquidatable(&self) -> bool {
        self.equity() < self.maintenance()
    }

    /// Adds a position at a mark, with the open orders of its market.
    #[inline]
    pub fn add(&mut self, rules: &MarketRules, position: &Position, prices: &MarginPrices) {
        self.add_held(rules, position, prices);
        self.add_orders(rules, position, prices);
    }

    /// What the position itself is worth and asks for.
    #[inline]
    pub(crate) fn add_held(
        &mut self,
        rules: &MarketRules,
        position: &Position,
        prices: &MarginPrices,
    ) {
        let ProductRules::Perpetual { maintenance_margin_ppm, .. } = rules.kind else { return };
        let mark = prices.mark;
        let value = rules.value(mark, position.size);
        self.unrealised += value - position.cost;
        if position.funding != prices.funding {
            self.unrealised -= position.funding_due(prices.funding).0;
        }
        self.notional += value.abs();
        let lots = position.size.unsigned_abs();
        let maintenance = if rules.tiers.is_empty() {
            rules.weighted(mark, lots, maintenance_margin_ppm)
        } else {
            rules.maintenance_weighted(rules.exposure(mark, lots))
        };
        self.maintenance_ppm += scaled_up(maintenance, prices.scale_ppm.1);
    }

    /// What the position asks for as it may become when its orders fill, and what they would lose.
    #[inline]
    pub(crate) fn add_orders(
        &mut self,
        rules: &MarketRules,
        position: &Position,
        prices: &MarginPrices,
    ) {
        let ProductRules::Perpetual { initial_margin_ppm, .. } = rules.kind else { return };
        let mark = prices.mark;
        let (longest, shortest) =
            (position.size + position.bids as i64, position.size - position.asks as i64);
        let exposure = longest.unsigned_abs().max(shortest.unsigned_abs());
        let initial = if rules.tiers.is_empty() {
            let fraction = initial_fraction(initial_margin_ppm, position.leverage);
            rules.weighted(mark, exposure, fraction)
        } else {
            let worst = rules.exposure(mark, exposure);
            worst * Amount::from(rules.initial_ppm(worst, position.leverage))
        };
        self.initial_ppm += scaled_up(initial, prices.scale_ppm.0);
        // Zero where there are none: which positions have open orders, nobody can predict.
        let bids = rules.reserves(position.bid_notional);
        let asks = rules.reserves(position.ask_notional);
        // What the orders' fills would lose against the mark.
        let lost = |paid: Amount, size: i64| (paid - rules.value(mark, size)).max(0);
        self.reserves += lost(rules.paid(crate::Side::Buy, bids), position.bids as i64);
        self.reserves += lost(rules.paid(crate::Side::Sell, asks), -(position.asks as i64));
        self.add_fees(rules, bids + asks);
    }

    /// Adds what the open orders of an isolated position's market may ask of the cross account.
    fn add_isolated(&mut self, rules: &MarketRules, position: &Position, prices: &MarginPrices) {
        if position.bids == 0 && position.asks == 0 {
            return;
        }
        self.initial_ppm += isolated::reserve(rules, position, prices);
        let orders = position.bid_notional + position.ask_notional;
        self.add_fees(rules, rules.reserves(orders));
    }

    #[inline]
    fn add_fees(&mut self, rules: &MarketRules, notional: Amount) {
        if rules.maker_fee_ppm > 0 {
            self.initial_ppm += notional * Amount::from(rules.maker_fee_ppm);
        }
    }
}

impl Position {
    /// What the position has to pay for funding since it was last settled, rounded up, and how much
    /// that is above what it owes exactly, × 10⁹.
    #[inline]
    pub fn funding_due(&self, funding: i128) -> (Amount, u32) {
        self::funding::payment(self.size, funding - self.funding)
    }
}

/// Adds up an account's margin, group by group.
///
/// `replace` puts a position in the place of a slot's own: what would be if.
pub(crate) struct MarginSum<'a> {
    margin: Margin,
    rules: &'a Rules,
    replaced: Option<u32>,
    /// What settles in other assets, in these; empty for nearly all accounts.
    others: Vec<(AssetId, Margin)>,
    /// For [`crate::headroom`]: what moves with the marks, requirements apart; whether those may
    /// jump; whether there are orders in markets of isolated positions.
    swing: Amount,
    jumps: bool,
    isolated: bool,
    slots: usize,
}

impl<'a> MarginSum<'a> {
    #[inline]
    pub(crate) fn new(rules: &'a Rules, collateral: Amount, replaced: Option<u32>) -> Self {
        let margin = Margin { collateral, ..Margin::default() };
        Self {
            margin,
            rules,
            replaced,
            others: Vec::new(),
            swing: 0,
            jumps: false,
            isolated: false,
            slots: 0,
        }
    }

    /// Adds a group; `markets` are those of its slots.
    #[inline]
    pub(crate) fn group(
        &mut self,
        group: u32,
        markets: &[MarketId],
        positions: &PositionGroup,
        mut prices: impl FnMut(MarketId) -> MarginPrices,
    ) {
        self.slots += markets.len();
        let first = group * PositionGroup::SLOTS;
        for (slot, (market, position)) in (first..).zip(markets.iter().zip(&positions.0)) {
            // Read whether they count or not: what is read must not depend on what a node remembers.
            let prices = prices(*market);
            let idle = position.size == 0 && position.bids == 0 && position.asks == 0;
            if idle || Some(slot) == self.replaced {
                continue;
            }
            if let Some(rules) = self.rules.market(*market) {
                self.add(rules, position, &prices);
            }
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, rules: &MarketRules, position: &Position, prices: &MarginPrices) {
        if position.isolated {
            self.isolated |= position.bids != 0 || position.asks != 0;
        } else if !rules.inverse {
            self.swing += headroom::swing(rules, position, prices);
            self.jumps |= !rules.tiers.is_empty();
        }
        let sum = if rules.inverse { self.other(rules.quote) } else { &mut self.margin };
        if position.isolated {
            sum.add_isolated(rules, position, prices);
        } else {
            sum.add(rules, position, prices);
        }
    }

    /// The account's headroom × 10⁶, its swing, and whether requirements may jump; none where other
    /// things count than linear cross positions and the collateral asset, or where there are no more
    /// than so many positions.
    #[inline]
    pub(crate) fn headroom(&self, at_once: usize) -> Option<(Amount, Amount, bool)> {
        let plain = self.others.is_empty() && !self.isolated && self.slots > at_once;
        // One for each share that is taken out of it.
        let swing = self.swing + self.margin.initial_swing() + 1;
        plain.then(|| (self.margin.free_ppm(), swing, self.jumps))
    }

    /// What settles in another asset.
    #[cold]
    fn other(&mut self, asset: AssetId) -> &mut Margin {
        let found = self.others.iter().position(|(other, _)| *other == asset);
        let at = found.unwrap_or_else(|| {
            self.others.push((asset, Margin::default()));
            self.others.len() - 1
        });
        &mut self.others[at].1
    }

    /// Changes what there is of an asset.
    pub(crate) fn change(&mut self, asset: AssetId, change: Amount) {
        if asset == self.rules.spec().collateral {
            self.margin.collateral += change;
        } else {
            self.other(asset).collateral += change;
        }
    }

    /// Adds what an account has besides the collateral asset, less the interest that it owes.
    pub(crate) fn hold(&mut self, holdings: &Holdings, mut index: impl FnMut(AssetId) -> u128) {
        let base = self.rules.spec().collateral;
        let due =
            funding::interest(-self.margin.collateral, index(base).saturating_sub(holdings.index));
        self.margin.collateral -= due;
        for holding in holdings.list() {
            let due = funding::interest(
                -holding.amount,
                index(holding.asset).saturating_sub(holding.index),
            );
            self.other(holding.asset).collateral += holding.amount - due;
        }
    }

    /// The sum, with what settles in other assets converted.
    #[inline]
    pub(crate) fn finish(self, oracle: impl FnMut(MarketId) -> Price) -> Margin {
        if self.others.is_empty() {
            return self.margin;
        }
        self.finish_others(oracle)
    }

    #[cold]
    fn finish_others(mut self, mut oracle: impl FnMut(MarketId) -> Price) -> Margin {
        for (asset, own) in &self.others {
            let Some(pledge) = self.rules.pledge(*asset) else { continue };
            let price = oracle(pledge.market);
            let sum = &mut self.margin;
            let had = pledge.collateral(own.equity(), price);
            sum.other = sum.other.saturating_add(had);
            sum.notional = sum.notional.saturating_add(pledge.convert(own.notional, price, false));
            sum.other_initial += pledge.requirement(own.initial(), price);
            sum.other_maintenance += pledge.requirement(own.maintenance(), price);
        }
        self.margin
    }

    /// What there is of each asset with what settles in it, not converted.
    pub(crate) fn by_asset(self) -> Vec<(AssetId, Amount)> {
        let base = (self.rules.spec().collateral, self.margin.equity());
        let others = self.others.iter().map(|(asset, own)| (*asset, own.equity()));
        core::iter::once(base).chain(others).collect()
    }
}
