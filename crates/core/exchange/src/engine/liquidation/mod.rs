//! Liquidation: one command does the next step for an account that no longer covers maintenance.
//! `docs/exchange/liquidation.md` is the specification.

mod backstop;
mod book;
mod deleverage;
mod estate;
mod score;
mod turns;

pub(crate) use turns::Turn;

use super::Engine;
use crate::event::{CancelReason, Event, LiquidationStep, Refusal};
use crate::ids::{AccountId, Amount, AssetId, MarketId, MarketStatus, PPM};
use crate::margin::isolated::IsolatedView;
use crate::objects::{
    AccountKey, Directory, DirectoryKey, GlobalKey, LedgerKey, MarketKey, OrderPageKey, Position,
};
use crate::rules::MarketRules;
use crate::spec::LiquidationSpec;
use alloc::vec::Vec;
use atoll_state::Source;
use atoll_types::{Address, RejectCode};

/// A window in which liquidations may do so much, in microseconds of chain time.
const WINDOW_US: u64 = 100_000;

const BUSY: Refusal = Refusal::new(
    RejectCode::LiquidationsBusy,
    "liquidations have done what they may in this slot; send it again in the next one",
);

const NOTHING: Refusal = Refusal::new(
    RejectCode::NoLiquidity,
    "there is nothing in the book down to the bankruptcy price; send it again when there is",
);

/// Whom and what is being liquidated.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) account: AccountId,
    /// The isolated position, if it is not the cross account.
    pub(crate) isolated: Option<(u32, &'a MarketRules)>,
    pub(crate) equity: Amount,
    pub(crate) maintenance: Amount,
}

impl<'a, S: Source> Engine<'a, S> {
    pub(crate) fn liquidation_spec(&self) -> &'a LiquidationSpec {
        let rules = self.rules;
        &rules.spec().liquidation
    }

    /// Takes so much from what liquidations may do in this window of time.
    pub(crate) fn spend_work(&mut self, units: u32) {
        let window = self.time_us / WINDOW_US;
        let state = self.state.liquidations.get_mut(&GlobalKey);
        if state.window != window {
            (state.window, state.used) = (window, 0);
        }
        state.used = state.used.saturating_add(units);
    }

    pub(crate) fn check_work(&mut self) -> Result<(), Refusal> {
        let window = self.time_us / WINDOW_US;
        let state = self.state.liquidations.get(&GlobalKey);
        let most = self.rules.spec().limits.liquidation_per_slot;
        if state.window == window && state.used >= most { Err(BUSY) } else { Ok(()) }
    }

    /// Does the next step of a liquidation.
    pub(crate) fn liquidate(
        &mut self,
        owner: &Address,
        market: Option<MarketId>,
    ) -> Result<(), Refusal> {
        let unknown = Refusal::new(RejectCode::UnknownAccount, "this address has no account here");
        let account = self.account(owner).ok_or(unknown)?;
        let subject = self.subject(account, market)?;
        self.check_work()?;
        if subject.equity >= subject.maintenance {
            return Err(Refusal::money(
                RejectCode::NotLiquidatable,
                "the account covers its maintenance margin",
                subject.equity,
                subject.maintenance,
            ));
        }
        if self.cancel_orders(&subject) {
            return Ok(());
        }
        let spec = self.liquidation_spec();
        let floor = crate::math::per_million_up(
            // Below 2¹²¹: see the spec's bounds.
            subject.maintenance * Amount::from(spec.backstop_ppm),
        );
        if subject.equity < floor && self.hand_to_backstop(&subject) {
            return Ok(());
        }
        if subject.equity < 0 {
            return self.leave_to_estates(&subject);
        }
        self.by_book(&subject)
    }

    /// Looks at what is to be liquidated.
    fn subject(
        &mut self,
        account: AccountId,
        market: Option<MarketId>,
    ) -> Result<Subject<'a>, Refusal> {
        let Some(market) = market else {
            let margin = self.margin(account, None);
            let (equity, maintenance) = (margin.equity(), margin.maintenance());
            return Ok(Subject { account, isolated: None, equity, maintenance });
        };
        let rules = self.market(market)?;
        let slot = self.state.accounts.get(&AccountKey(account)).slot(market);
        let found = slot.map(|slot| (slot, self.position(account, slot)));
        let Some((slot, position)) = found.filter(|(_, p)| p.isolated && p.size != 0) else {
            let message = "there is no isolated position in this market; leave the market out";
            return Err(Refusal::new(RejectCode::NotLiquidatable, message));
        };
        let margin = self.isolated_margin(account, slot);
        let prices = self.margin_prices(market);
        let view = IsolatedView::new(rules, &position, margin, &prices);
        let (equity, maintenance) = (view.equity, view.maintenance);
        Ok(Subject { account, isolated: Some((slot, rules)), equity, maintenance })
    }

    pub(crate) fn told_step(&mut self, subject: &Subject<'_>, step: LiquidationStep) {
        let &Subject { account, isolated, equity, maintenance } = subject;
        let market = isolated.map(|(_, rules)| rules.market);
        self.events.push(Event::Liquidated { account, market, step, equity, maintenance });
    }

    /// Cancels open orders, those of the isolated position's market only if there is one; at most
    /// as many as a command may have steps. Gives whether there were any.
    fn cancel_orders(&mut self, subject: &Subject<'_>) -> bool {
        let limits = &self.rules.spec().limits;
        let account = subject.account;
        let only = subject.isolated.map(|(_, rules)| rules.market);
        let mut found = Vec::new();
        'all: for stretch in 0..Directory::stretches(limits.orders_per_account) {
            let directory = *self.state.directories.get(&DirectoryKey { account, stretch });
            for page in directory.pages(stretch) {
                let orders = *self.state.orders.get(&OrderPageKey { account, page });
                for order in orders.iter().filter(|o| only.is_none_or(|m| m == o.market)) {
                    if found.len() as u32 == limits.fills_per_command {
                        break 'all;
                    }
                    found.push(*order);
                }
            }
        }
        if found.is_empty() {
            return false;
        }
        self.told_step(subject, LiquidationStep::Orders);
        self.spend_work(found.len() as u32);
        for order in &found {
            // One may have taken others along.
            if let Some(order) = self.listed(account, order.order) {
                self.cancel_listed(account, &order, CancelReason::Liquidation);
            }
        }
        true
    }

    /// The positions that are being liquidated, with their slots, in order of the markets.
    pub(crate) fn subject_positions(
        &mut self,
        subject: &Subject<'a>,
    ) -> Vec<(u32, &'a MarketRules, Position)> {
        let account = subject.account;
        if let Some((slot, rules)) = subject.isolated {
            return alloc::vec![(slot, rules, self.position(account, slot))];
        }
        let owner = *self.state.accounts.get(&AccountKey(account));
        let rules = self.rules;
        let found = (0u32..).zip(owner.markets()).filter_map(|(slot, market)| {
            let position = self.position(account, slot);
            let held = position.size != 0 && !position.isolated;
            Some((slot, rules.market(*market)?, position)).filter(|_| held)
        });
        let mut found: Vec<_> = found.collect();
        found.sort_unstable_by_key(|(_, rules, _)| rules.market);
        found
    }

    /// Whether a market trades, as far as liquidations are concerned.
    pub(crate) fn trades(&mut self, market: MarketId) -> bool {
        use MarketStatus::{Auction, Halted, Settled};
        let status = self.state.prices.get(&MarketKey(market)).status;
        !matches!(status, Auction | Halted | Settled)
    }

    /// What an amount that settles in a market's asset is worth in the collateral asset.
    pub(crate) fn in_base(&mut self, rules: &MarketRules, amount: Amount) -> Amount {
        if !rules.inverse {
            return amount;
        }
        let Some(pledge) = self.rules.pledge(rules.quote) else { return amount };
        let oracle = self.state.prices.get(&MarketKey(pledge.market)).oracle;
        pledge.requirement(amount, oracle)
    }

    /// The fund pays so much of an asset, as far as it has; gives how much it did.
    pub(crate) fn insure(&mut self, account: AccountId, asset: AssetId, missing: Amount) -> Amount {
        let ledger = self.state.ledgers.get(&LedgerKey(asset));
        let amount = missing.min(ledger.insurance).max(0);
        if amount > 0 {
            self.state.ledgers.get_mut(&LedgerKey(asset)).insurance -= amount;
            self.events.push(Event::InsurancePaid { account, asset, amount });
        }
        amount
    }

    /// Books what nobody covers.
    pub(crate) fn book_shortfall(&mut self, account: AccountId, asset: AssetId, amount: Amount) {
        if amount > 0 {
            self.state.ledgers.get_mut(&LedgerKey(asset)).shortfall += amount;
            self.events.push(Event::ShortfallBooked { account, asset, amount });
        }
    }

    /// Money of the caller's for the insurance fund: what was booked as missing is repaid first.
    pub(crate) fn fund_insurance(
        &mut self,
        account: AccountId,
        asset: AssetId,
        amount: Amount,
    ) -> Result<(), Refusal> {
        self.give_to_insurance(account, asset, amount)?;
        self.insured(asset, amount);
        Ok(())
    }

    /// The fund receives so much, or pays it, as far as it has; the rest is booked.
    pub(crate) fn insured_or_booked(&mut self, asset: AssetId, amount: Amount) {
        if amount != 0 {
            self.events.push(Event::InsuranceChanged { asset, amount });
        }
        if amount >= 0 {
            return self.insured(asset, amount);
        }
        let ledger = self.state.ledgers.get_mut(&LedgerKey(asset));
        let paid = (-amount).min(ledger.insurance);
        ledger.insurance -= paid;
        ledger.shortfall += -amount - paid;
    }

    /// The fund receives so much.
    pub(crate) fn insured(&mut self, asset: AssetId, amount: Amount) {
        let ledger = self.state.ledgers.get_mut(&LedgerKey(asset));
        let repaid = amount.min(ledger.shortfall).max(0);
        ledger.shortfall -= repaid;
        ledger.insurance += amount - repaid;
    }
}

/// `ppm` of some lots, rounded up.
pub(crate) fn lots_up(lots: u64, ppm: u32) -> u64 {
    // Below 2⁴⁰ × 2²⁰.
    (lots * u64::from(ppm)).div_ceil(u64::from(PPM))
}
