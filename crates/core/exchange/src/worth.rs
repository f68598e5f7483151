//! Recorded queries: what an account has and is worth, for state transitions.

use crate::engine::margin_sum;
use crate::exchange::Exchange;
use crate::ids::{AccountId, Amount, AssetId, MarketId};
use crate::margin::Margin;
use crate::margin::isolated::IsolatedView;
use crate::margin::pledge::share_up;
use crate::objects::{
    AccountKey, BalanceKey, GroupKey, IsolatedKey, MarketKey, MarketPrices, Position,
    PositionGroup, State,
};
use crate::rules::Rules;
use atoll_state::Source;

impl<S: Source> Exchange<S> {
    /// What an account has of an asset outside of the collateral wallet, held or not, as a
    /// recorded read.
    pub fn spot_total(&mut self, account: AccountId, asset: AssetId) -> Amount {
        self.state.balances.get(&BalanceKey { account, asset }).total
    }

    /// An account's margin at the current marks, as a recorded read.
    pub fn margin(&mut self, account: AccountId) -> Margin {
        let sum = margin_sum(&self.rules, &mut self.state, account, None);
        let prices = &mut self.state.prices;
        sum.finish(|market| prices.get(&MarketKey(market)).oracle)
    }

    /// What ticks move of a market, as a recorded read.
    pub fn prices(&mut self, market: MarketId) -> MarketPrices {
        *self.state.prices.get(&MarketKey(market))
    }

    /// An account's position in a market with its open orders there, as a recorded read; empty if
    /// there is none.
    pub fn position(&mut self, account: AccountId, market: MarketId) -> Position {
        let Some(slot) = self.state.accounts.get(&AccountKey(account)).slot(market) else {
            return Position::default();
        };
        let (group, place) = (slot / PositionGroup::SLOTS, slot % PositionGroup::SLOTS);
        self.state.positions.get(&GroupKey { account, group: group as u8 }).0[place as usize]
    }

    /// What an account would have of an asset if its positions were closed at the marks, as a
    /// recorded read; negative if it owes more than it has.
    ///
    /// What it owes of one asset is taken from what it has of others, at oracle prices without
    /// haircuts, in order of the assets; an isolated position gives what it is worth, and never
    /// takes. So the sum over all assets is what the account is worth.
    pub fn worth(&mut self, account: AccountId, asset: AssetId) -> Amount {
        let spot = self.spot_total(account, asset);
        let base = self.rules.spec().collateral;
        if asset != base && self.rules.pledge(asset).is_none() {
            return spot;
        }
        let mut list = margin_sum(&self.rules, &mut self.state, account, None).by_asset();
        if list.len() > 1 {
            net(&self.rules, &mut self.state, &mut list);
        }
        let cross = list.iter().find(|(other, _)| *other == asset).map_or(0, |(_, worth)| *worth);
        spot + cross + self.isolated_worth(account, asset)
    }

    /// What the isolated positions that settle in an asset are worth with their margin, as far as that
    /// is positive, as a recorded read.
    pub fn isolated_worth(&mut self, account: AccountId, asset: AssetId) -> Amount {
        let State { accounts, positions, prices, isolated, .. } = &mut self.state;
        let owner = accounts.get(&AccountKey(account));
        let mut worth = 0;
        for (slot, market) in (0u8..).zip(owner.markets()) {
            let group = slot / PositionGroup::SLOTS as u8;
            let found = positions.get(&GroupKey { account, group });
            let position = &found.0[usize::from(slot) % PositionGroup::SLOTS as usize];
            let Some(rules) = self.rules.market(*market) else { continue };
            if !position.isolated || position.size == 0 || rules.quote != asset {
                continue;
            }
            let margin = isolated.get(&IsolatedKey { account, slot }).margin;
            let prices = prices.get(&MarketKey(*market)).margin();
            worth += IsolatedView::new(rules, position, margin, &prices).equity.max(0);
        }
        worth
    }
}

/// Takes what is owed of some assets from what there is of others.
fn net<S: Source>(rules: &Rules, state: &mut State<S>, list: &mut [(AssetId, Amount)]) {
    // The collateral asset first, then in order.
    list[1..].sort_unstable_by_key(|(asset, _)| *asset);
    let mut debt: Amount = 0;
    let mut price = |asset: AssetId| {
        let pledge = rules.pledge(asset)?;
        Some((pledge, state.prices.get(&MarketKey(pledge.market)).oracle))
    };
    for (asset, worth) in list.iter_mut().filter(|(_, worth)| *worth < 0) {
        debt = debt.saturating_add(match price(*asset) {
            Some((pledge, oracle)) => pledge.requirement(-*worth, oracle),
            None => -*worth,
        });
        *worth = 0;
    }
    for (asset, worth) in list.iter_mut().filter(|(_, worth)| *worth > 0) {
        let value = match price(*asset) {
            Some((pledge, oracle)) => pledge.convert(*worth, oracle, false),
            None => *worth,
        };
        let taken = value.min(debt);
        if taken > 0 {
            debt -= taken;
            *worth -= share_up(*worth, taken, value);
        }
    }
    list[0].1 -= debt;
}
