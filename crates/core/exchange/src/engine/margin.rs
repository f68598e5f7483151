//! Margin of accounts, and the money of their collateral wallets.

use super::Engine;
use crate::event::Event;
use crate::headroom::{Change, Share};
use crate::ids::{AccountId, Amount, AssetId, MarketId};
use crate::margin::{Margin, MarginPrices, MarginSum, funding::interest};
use crate::objects::{
    AccountKey, BorrowKey, GroupKey, Holding, Holdings, LedgerKey, MarketKey, Position,
    PositionGroup, State,
};
use crate::rules::{MarketRules, Rules};
use atoll_state::Source;

/// Adds up an account's margin as recorded reads.
pub(crate) fn margin_sum<'a, S: Source>(
    rules: &'a Rules,
    state: &mut State<S>,
    account: AccountId,
    replace: Option<(u32, &MarketRules, &Position)>,
) -> MarginSum<'a> {
    let State { accounts, positions, prices, holdings, borrow, .. } = state;
    let owner = accounts.get(&AccountKey(account));
    let mut of = |market| prices.get(&MarketKey(market)).margin();
    let mut sum = MarginSum::new(rules, owner.collateral, replace.map(|(slot, ..)| slot));
    let groups = owner.markets().chunks(PositionGroup::SLOTS as usize);
    for (group, markets) in (0u8..).zip(groups) {
        let found = positions.get(&GroupKey { account, group });
        sum.group(group.into(), markets, found, &mut of);
    }
    if let Some((_, rules, position)) = replace {
        sum.add(rules, position, &of(rules.market));
    }
    if owner.has_holdings() {
        let held = holdings.get(&AccountKey(account));
        sum.hold(held, |asset| borrow.get(&BorrowKey(asset)).index);
    }
    sum
}

impl<S: Source> Engine<'_, S> {
    /// Margin of an account at the current marks; `replace` puts a position in the place of a
    /// slot's own.
    #[inline]
    pub(crate) fn margin(
        &mut self,
        account: AccountId,
        replace: Option<(u32, &MarketRules, &Position)>,
    ) -> Margin {
        let sum = margin_sum(self.rules, self.state, account, replace);
        let prices = &mut self.state.prices;
        sum.finish(|market| prices.get(&MarketKey(market)).oracle)
    }

    /// The same as if the account had so much more of an asset.
    pub(crate) fn margin_if(
        &mut self,
        account: AccountId,
        replace: Option<(u32, &MarketRules, &Position)>,
        (asset, change): (AssetId, Amount),
    ) -> Margin {
        let mut sum = margin_sum(self.rules, self.state, account, replace);
        sum.change(asset, change);
        let prices = &mut self.state.prices;
        sum.finish(|market| prices.get(&MarketKey(market)).oracle)
    }

    /// [`Self::margin_if`] once a position is another one; begins the account's
    /// [`crate::headroom`] anew.
    pub(crate) fn margin_after(
        &mut self,
        account: AccountId,
        slot: u32,
        of: &Change<'_>,
        paid: (AssetId, Amount),
    ) -> Margin {
        let replace = Some((slot, of.rules, of.after));
        let mut sum = margin_sum(self.rules, self.state, account, replace);
        if of.is_plain()
            && let Some((free_ppm, swing, jumps)) = sum.headroom(self.state.headroom.at_once)
        {
            let prices = self.margin_prices(of.rules.market);
            let share = |position| Share::new(of.rules, position, &prices);
            let (before, after) = (share(of.before), share(of.after));
            self.state.keep_headroom(
                self.rules,
                account,
                free_ppm - after.free_ppm + before.free_ppm,
                swing - after.swing + before.swing,
                jumps,
            );
        }
        if paid.1 != 0 {
            sum.change(paid.0, paid.1);
        }
        let prices = &mut self.state.prices;
        sum.finish(|market| prices.get(&MarketKey(market)).oracle)
    }

    /// Gives a position slot to a market.
    pub(crate) fn give_slot(&mut self, account: AccountId, slot: u32, market: MarketId) {
        self.state.record_if_used(account);
        self.state.accounts.get_mut(&AccountKey(account)).set_slot(slot, market);
    }

    /// What margin needs to know of a market.
    #[inline]
    pub(crate) fn margin_prices(&mut self, market: MarketId) -> MarginPrices {
        self.state.prices.get(&MarketKey(market)).margin()
    }

    /// Changes what an account has of an asset in its collateral wallet; gives what it has then.
    #[inline]
    pub(crate) fn pay(&mut self, account: AccountId, asset: AssetId, change: Amount) -> Amount {
        let owner = self.state.accounts.get_mut(&AccountKey(account));
        if asset == self.rules.spec().collateral && !owner.has_holdings() {
            owner.collateral += change;
            let collateral = owner.collateral;
            self.state.headroom.paid(account, change);
            return collateral;
        }
        self.pay_other(account, asset, change)
    }

    /// [`Self::pay`] where other collateral is about: interest is charged first, on what was owed
    /// until now.
    #[cold]
    fn pay_other(&mut self, account: AccountId, asset: AssetId, change: Amount) -> Amount {
        self.state.headroom.forget(account);
        let base = self.rules.spec().collateral;
        let key = AccountKey(account);
        let mut owner = *self.state.accounts.get(&key);
        let mut held = if owner.has_holdings() {
            self.state.holdings.get(&key).clone()
        } else {
            Holdings::default()
        };
        let now = self.state.borrow.get(&BorrowKey(base)).index;
        if owner.has_holdings() {
            let due = interest(-owner.collateral, now.saturating_sub(held.index));
            owner.collateral -= due;
            self.charge_interest(account, base, due);
        }
        let balance = if asset == base {
            owner.collateral += change;
            owner.collateral
        } else {
            let now = self.state.borrow.get(&BorrowKey(asset)).index;
            let before = held.of(asset);
            let due = interest(-before.amount, now.saturating_sub(before.index));
            self.charge_interest(account, asset, due);
            let amount = before.amount + change - due;
            held.set(Holding { asset, amount, index: if amount < 0 { now } else { 0 } });
            amount
        };
        let some = !held.list().is_empty();
        held.index = if some && owner.collateral < 0 { now } else { 0 };
        owner.set_holdings(some);
        self.state.accounts.set(&key, owner);
        self.state.holdings.set(&key, held);
        balance
    }

    /// Books interest that was taken from an account.
    fn charge_interest(&mut self, account: AccountId, asset: AssetId, amount: Amount) {
        if amount != 0 {
            self.insured(asset, amount);
            self.events.push(Event::InterestPaid { account, asset, amount });
        }
    }

    /// [`Self::book_funding`] for what no account holds.
    pub(crate) fn book_estate_funding(&mut self, rules: &MarketRules, due: &FundingDue) {
        let ledger = self.state.ledgers.get_mut(&LedgerKey(rules.quote));
        ledger.book_funding(due.amount, due.above);
    }

    /// What an account has of an asset in its collateral wallet, less the interest that it owes.
    pub(crate) fn pledged(&mut self, account: AccountId, asset: AssetId) -> Amount {
        let key = AccountKey(account);
        if !self.state.accounts.get(&key).has_holdings() {
            return 0;
        }
        let holding = self.state.holdings.get(&key).of(asset);
        let now = self.state.borrow.get(&BorrowKey(asset)).index;
        holding.amount - interest(-holding.amount, now.saturating_sub(holding.index))
    }

    /// Lets interest accrue over the time between two ticks.
    pub(crate) fn accrue_interest(&mut self, from_us: u64, to_us: u64) {
        // The first tick begins the count.
        if from_us == 0 || to_us <= from_us {
            return;
        }
        for (asset, spec) in (0u16..).zip(&self.rules.spec().assets) {
            if spec.borrow_ppm != 0 {
                let accrued = u128::from(spec.borrow_ppm) * u128::from(to_us - from_us);
                self.state.borrow.get_mut(&BorrowKey(AssetId(asset))).index += accrued;
            }
        }
    }

    /// Settles a position's funding: what it pays now belongs to nobody until a receiver settles.
    pub(crate) fn book_funding(
        &mut self,
        account: AccountId,
        rules: &MarketRules,
        due: &FundingDue,
    ) {
        if due.change == 0 {
            return;
        }
        let ledger = self.state.ledgers.get_mut(&LedgerKey(rules.quote));
        ledger.book_funding(due.amount, due.above);
        self.events.push(Event::FundingPaid {
            account,
            market: rules.market,
            size: due.size,
            amount: due.amount,
            change: due.change,
        });
    }
}

/// What a position owed for funding when it was settled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FundingDue {
    /// Lots.
    size: i64,
    /// What it pays, rounded up.
    pub(crate) amount: Amount,
    /// By how much that is above what it owed exactly, × 10⁹.
    above: u32,
    /// Change of the cumulative funding since it was settled last; 0 for nothing to settle.
    change: i128,
}

impl Position {
    /// Takes note that funding is settled up to now; the caller pays.
    #[inline]
    pub(crate) fn settle_funding(&mut self, funding: i128) -> FundingDue {
        let change = funding - self.funding;
        if self.size == 0 || change == 0 {
            return FundingDue::default();
        }
        let (amount, above) = self.funding_due(funding);
        self.funding = funding;
        FundingDue { size: self.size, amount, above, change }
    }

    /// A position that was opened now owes from now on; one that was closed owes no more.
    #[inline]
    pub(crate) fn owes_from(&mut self, funding: i128) {
        self.funding = if self.size == 0 { 0 } else { funding };
    }
}
