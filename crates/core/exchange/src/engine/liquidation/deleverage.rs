//! Deleveraging: winners take over what bankrupt accounts left, in the order of an authenticated
//! list that is made and worked off in bounded chunks.

use super::estate::side_of;
use super::score::Ratio;
use super::turns::{self, Turn};
use crate::engine::{Engine, reducible};
use crate::event::{Event, Refusal};
use crate::ids::{AccountId, Amount, MarketId, MarketStatus, Side, Size};
use crate::margin::MarginPrices;
use crate::margin::isolated::IsolatedView;
use crate::objects::{AccountKey, BookId, EstateKey, MarketKey, Phase, Position, holders, ranking};
use crate::rules::MarketRules;
use crate::spec::Deleveraging;
use atoll_state::Source;
use atoll_types::RejectCode;

impl<'a, S: Source> Engine<'a, S> {
    /// Goes on with an estate: ranks counterparties, or has them take over.
    pub(crate) fn deleverage(&mut self, market: MarketId, held: Side) -> Result<(), Refusal> {
        let rules = self.market(market)?;
        let key = EstateKey(BookId::new(market, held));
        let estate = *self.state.estates.get(&key);
        if estate.size == 0 && estate.phase == Phase::None {
            let message = "no bankrupt account has left anything on this side of the market";
            return Err(Refusal::new(RejectCode::NotReducing, message));
        }
        let settled = self.state.prices.get(&MarketKey(market)).status == MarketStatus::Settled;
        if !settled && !self.trades(market) {
            let message = "the market does not trade for now; nobody can take anything over";
            return Err(Refusal::new(RejectCode::MarketPaused, message));
        }
        self.check_work()?;
        if settled && estate.size != 0 {
            self.spend_work(1);
            self.settle_left(rules, &key);
            return Ok(());
        }
        self.net_estates(rules, held);
        let mut estate = *self.state.estates.get(&key);
        let valid_us = self.liquidation_spec().ranking_valid_us;
        let expired = self.time_us >= estate.begun_us.saturating_add(valid_us);
        let idle = estate.size == 0;
        match estate.phase {
            Phase::None if idle => {}
            Phase::Ranking | Phase::Ready if idle || expired => estate.phase = Phase::Clearing,
            Phase::None => {
                estate.phase = Phase::Ranking;
                (estate.cursor, estate.begun_us) = (0, self.time_us);
                (estate.open, estate.profit, estate.waiting) = (0, 0, 0);
            }
            Phase::Ranking | Phase::Ready | Phase::Clearing => {}
        }
        self.state.estates.set(&key, estate);
        match estate.phase {
            Phase::None => {}
            Phase::Ranking => self.rank(rules, held, &key),
            Phase::Ready => self.hand_to_winners(rules, held, &key),
            Phase::Clearing => self.clear_ranking(market, held, &key),
        }
        Ok(())
    }

    fn rank(&mut self, rules: &'a MarketRules, held: Side, key: &EstateKey) {
        let market = rules.market;
        let from = holders(market, held.opposite());
        let prices = self.margin_prices(market);
        let mut estate = *self.state.estates.get(key);
        let mut ranked = 0;
        while ranked < self.rules.spec().limits.ranked_per_command {
            let Some(next) = from.first_from(&mut self.state.pages, estate.cursor) else {
                estate.phase = Phase::Ready;
                estate.open = estate.size.unsigned_abs();
                break;
            };
            estate.cursor = next + 1;
            ranked += 1;
            let account = AccountId(next as u32);
            let Some(winner) = self.winner(rules, account, held, &prices) else { continue };
            estate.profit += winner.profit.max(0);
            let score = self.score(rules, account, &winner);
            self.enlist(rules, held, account, score);
        }
        self.state.estates.set(key, estate);
        self.spend_work(ranked.max(1));
        let done = estate.phase == Phase::Ready;
        self.events.push(Event::Ranked { market, side: held, count: ranked, done });
    }

    fn hand_to_winners(&mut self, rules: &'a MarketRules, held: Side, key: &EstateKey) {
        let market = rules.market;
        let list = ranking(market, held.opposite());
        let prices = self.margin_prices(market);
        self.settle_estate(rules, key, &prices);
        let mode = self.liquidation_spec().deleveraging;
        let mut steps = 0;
        while steps < self.rules.spec().limits.fills_per_command {
            let estate = *self.state.estates.get(key);
            if estate.size == 0 {
                break;
            }
            let Some(member) = list.last(&mut self.state.pages) else {
                // Used up: those who are left are ranked anew.
                self.state.estates.get_mut(key).phase = Phase::None;
                break;
            };
            let (turn, account) = Turn::of_member(member, mode);
            // At the mark or better nobody gives anything up: then as few as can are disturbed.
            let free = rules.value(prices.mark, estate.size) >= estate.cost;
            if turn == Turn::Second && !free && estate.size.unsigned_abs() >= estate.waiting {
                // More than rounding leaves: profits have changed, or the estate has grown.
                self.state.estates.get_mut(key).phase = Phase::Clearing;
                break;
            }
            steps += 1;
            list.remove(&mut self.state.pages, member);
            let share = self.share_of(key, account, turn);
            let Some(winner) = self.winner(rules, account, held, &prices) else { continue };
            if turn != Turn::Last && winner.profit <= 0 {
                let score = self.queue_score(rules, account, &winner, 16);
                self.enlist(rules, held, account, score);
                continue;
            }
            let (left, own) = (estate.size.unsigned_abs(), winner.position.size.unsigned_abs());
            let lots = match turn {
                _ if free => own,
                Turn::Last => own,
                Turn::Second => 1,
                Turn::First => self.split(key, &winner),
            };
            let lots = lots.min(own).min(left);
            if lots > 0 {
                self.take_over(rules, held, key, account, &winner, lots, &prices);
            }
            if turn != Turn::Last && lots < own && lots < left {
                self.await_second(rules, held, key, account, share, &winner, lots);
            }
        }
        self.spend_work(steps.max(1));
    }

    pub(super) fn enlist(
        &mut self,
        rules: &MarketRules,
        held: Side,
        account: AccountId,
        score: u64,
    ) {
        let list = ranking(rules.market, held.opposite());
        list.insert(&mut self.state.pages, turns::member(score, account));
    }

    #[allow(clippy::too_many_arguments)]
    fn take_over(
        &mut self,
        rules: &'a MarketRules,
        held: Side,
        key: &EstateKey,
        account: AccountId,
        winner: &Winner,
        lots: Size,
        prices: &MarginPrices,
    ) {
        let cost = self.take_from_estate(key, lots);
        // The winner trades on the side of the estate: a long one is bought from by who is short.
        let fill = (held, lots, cost.abs());
        let slot = winner.slot as u8;
        let closed = self.fill_position(rules, account, slot, fill, 0, prices);
        let top = self.state.tops.get_mut(&MarketKey(rules.market));
        top.open_interest = super::super::less_wide::<S>(top.open_interest, lots.into());
        self.events.push(Event::PositionTaken {
            market: rules.market,
            from: None,
            to: Some(account),
            size: held.signed(lots),
            value: cost,
            closed_pnl: 0,
            taker_pnl: closed.pnl,
        });
        if closed.attached && lots == winner.position.size.unsigned_abs() {
            self.position_closed(account, rules.market);
        }
    }

    fn clear_ranking(&mut self, market: MarketId, held: Side, key: &EstateKey) {
        let list = ranking(market, held.opposite());
        let mode = self.liquidation_spec().deleveraging;
        let mut cleared = 0;
        while cleared < self.rules.spec().limits.ranked_per_command {
            let Some(member) = list.last(&mut self.state.pages) else {
                let estate = self.state.estates.get_mut(key);
                (estate.phase, estate.cursor) = (Phase::None, 0);
                (estate.begun_us, estate.profit) = (0, 0);
                (estate.open, estate.waiting) = (0, 0);
                break;
            };
            list.remove(&mut self.state.pages, member);
            let (turn, account) = Turn::of_member(member, mode);
            self.share_of(key, account, turn);
            cleared += 1;
        }
        self.spend_work(cleared.max(1));
    }

    /// An account's position on the other side of an estate, if it still has one.
    fn winner(
        &mut self,
        rules: &MarketRules,
        account: AccountId,
        held: Side,
        prices: &MarginPrices,
    ) -> Option<Winner> {
        let slot = self.state.accounts.get(&AccountKey(account)).slot(rules.market)?;
        let position = self.position(account, slot);
        if reducible(position.size, held) == 0 {
            return None;
        }
        let value = rules.value(prices.mark, position.size);
        let due = position.funding_due(prices.funding).0;
        Some(Winner { slot, position, profit: value - position.cost - due })
    }

    fn score(&mut self, rules: &MarketRules, account: AccountId, winner: &Winner) -> u64 {
        let (position, profit) = (&winner.position, winner.profit);
        match self.liquidation_spec().deleveraging {
            Deleveraging::Queue => self.queue_score(rules, account, winner, 18),
            Deleveraging::RiskAware if profit > 0 => {
                turns::first(profit, position.size.unsigned_abs())
            }
            Deleveraging::RiskAware => self.queue_score(rules, account, winner, 16),
        }
    }

    /// Profit ratio × leverage.
    pub(super) fn queue_score(
        &mut self,
        rules: &MarketRules,
        account: AccountId,
        winner: &Winner,
        bits: u32,
    ) -> u64 {
        let (position, prices) = (&winner.position, self.margin_prices(rules.market));
        let value = rules.exposure(prices.mark, position.size.unsigned_abs());
        let (worth, equity) = if position.isolated {
            let margin = self.isolated_margin(account, winner.slot);
            (value, IsolatedView::new(rules, position, margin, &prices).equity)
        } else {
            (self.in_base(rules, value), self.margin(account, None).equity())
        };
        if equity <= 0 {
            return (1 << (6 + bits)) - 1;
        }
        let leverage = Ratio::of(worth).over(Ratio::of(equity));
        let cost = Ratio::of(position.cost.abs());
        let value = Ratio::of(value);
        // Mark over entry for a long, entry over mark for a short; a coin's cost is its inverse.
        let rises = (side_of(position.size) == Side::Buy) != rules.inverse;
        let gain = if rises { value.over(cost) } else { cost.over(value) };
        gain.times(leverage).quantised(32, 6, bits)
    }

    /// Keeps the sets of who holds what: called with each position's size before and after.
    #[inline]
    pub(crate) fn holds(&mut self, market: MarketId, account: AccountId, before: i64, after: i64) {
        if before.signum() != after.signum() {
            self.change_holder(market, account, before, after);
        }
    }

    fn change_holder(&mut self, market: MarketId, account: AccountId, before: i64, after: i64) {
        let member = u64::from(account.0);
        if before != 0 {
            holders(market, side_of(before)).remove(&mut self.state.pages, member);
        }
        if after != 0 {
            holders(market, side_of(after)).insert(&mut self.state.pages, member);
        }
    }
}

/// A position that can take over lots.
pub(super) struct Winner {
    pub(super) slot: u32,
    pub(super) position: Position,
    /// Unrealised, funding included.
    pub(super) profit: Amount,
}
