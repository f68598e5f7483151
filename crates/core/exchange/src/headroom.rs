//! Headroom: what accounts have above their initial requirements, at least.
//!
//! A margin check walks over all of an account's positions, and an account's positions lie all over
//! a memory that no cache holds. But most checks are not close. So a node keeps for each account a
//! lower bound of `equity − initial requirement`, and an upper bound of how much of that a move of
//! the prices can take away (*swing*: what changes by no more than the factor by which a price
//! changes). An order that the bound covers is accepted without a look at the other positions; any
//! other is decided by the whole sum, which begins the bound anew.
//!
//! * The bound is node-local, in no state root and no witness, and decides nothing by itself: where
//!   it says yes, the whole sum says yes too. A re-execution on a witness never has one.
//! * Whatever changes a cross position or a balance changes the bound by exactly as much
//!   (`Engine::change_position`, `Engine::pay`); what is rare (other collateral, isolated positions,
//!   inverse contracts) ends it, and so does a rollback.
//! * Prices change between commands, not in them. `drift` is the sum, over all changes so far, of
//!   the largest relative change of any market (of the mark, of the cumulative funding against the
//!   mark, of the margin scale). After a drift of `s` since a bound was set, nothing in it has
//!   changed by more than the factor `eˢ − 1 ≤ s + s²` (for s ≤ 1), so the bound is lowered by
//!   that part of the swing.
//! * Where a read set is wanted, what the whole sum would have read is recorded before the range is
//!   sealed: read sets do not depend on what a node remembers.

mod rooms;

use crate::ids::{AccountId, Amount, PPM};
use crate::margin::funding::FUNDING_SCALE;
use crate::margin::{Margin, MarginPrices};
use crate::objects::{
    AccountKey, GroupKey, MarketKey, MarketPrices, Position, PositionGroup, State,
};
use crate::rules::{MarketRules, Rules};
use alloc::vec::Vec;
use atoll_state::{Purpose, Source, Table};
use rooms::Rooms;

/// One in units of drift.
const ONE: u64 = 1 << 32;
/// What rounding may take from a bound while prices change: a unit for each of a few roundings of
/// each of 64 positions.
const ROUNDING: Amount = 512;

/// What is known of an account.
#[derive(Clone, Copy, Debug)]
struct Room {
    /// Quote units above the initial requirement, × 10⁶; may be below zero.
    free_ppm: Amount,
    /// Quote units.
    swing: i64,
    /// When; [`Room::NONE`] if nothing is known.
    drift: u64,
    /// Whether requirements may jump as prices move (tiers).
    jumps: bool,
    /// The range in which it decided last ([`Table::range`]).
    used: u32,
}

impl Default for Room {
    fn default() -> Self {
        Self::NONE
    }
}

impl Room {
    const NONE: Self = Self { free_ppm: 0, swing: 0, drift: u64::MAX, jumps: false, used: 0 };

    #[inline]
    fn is_known(&self) -> bool {
        self.drift != u64::MAX
    }

    /// The same account with another bound; unknown if it does not fit.
    #[inline]
    fn with(self, free_ppm: Amount, swing: Amount, drift: u64) -> Self {
        match i64::try_from(swing) {
            Ok(swing) => Self { free_ppm, swing, drift, ..self },
            Err(_) => self.forgotten(),
        }
    }

    fn forgotten(self) -> Self {
        Self { used: self.used, ..Self::NONE }
    }

    /// The same at a later drift.
    #[inline]
    fn at(self, now: u64) -> Self {
        if self.drift == now || !self.is_known() { self } else { self.later(now) }
    }

    fn later(self, now: u64) -> Self {
        let s = now - self.drift;
        if self.jumps || s > ONE {
            return self.forgotten();
        }
        let growth = Amount::from(s) + ((Amount::from(s) * Amount::from(s)) >> 32) + 1;
        let part = ((Amount::from(self.swing) * growth) >> 32) + 1;
        let free_ppm = self.free_ppm - (part + ROUNDING) * Amount::from(PPM);
        self.with(free_ppm, Amount::from(self.swing) + part, now)
    }
}

/// A position's part of its account's headroom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// What it adds to equity less what it asks for, in quote units × 10⁶.
    pub(crate) free_ppm: Amount,
    /// Quote units.
    pub(crate) swing: Amount,
}

impl Share {
    /// Of a linear cross position with the open orders of its market.
    #[inline]
    pub(crate) fn new(rules: &MarketRules, position: &Position, prices: &MarginPrices) -> Self {
        let mut margin = Margin::default();
        margin.add_held(rules, position, prices);
        let orders = Self::of_orders(rules, position, prices);
        Self { free_ppm: margin.free_ppm() + orders.free_ppm, ..orders }
    }

    /// What of it depends on the open orders.
    #[inline]
    fn of_orders(rules: &MarketRules, position: &Position, prices: &MarginPrices) -> Self {
        let mut margin = Margin::default();
        margin.add_orders(rules, position, prices);
        let swing = swing(rules, position, prices) + margin.initial_swing();
        Self { free_ppm: margin.free_ppm(), swing }
    }

    /// What a change of a position changes.
    #[inline]
    fn change(
        rules: &MarketRules,
        before: &Position,
        after: &Position,
        prices: &MarginPrices,
    ) -> Self {
        let held = |position: &Position| (position.size, position.cost, position.funding);
        let (before, after) = if held(before) == held(after) {
            let of = |position| Self::of_orders(rules, position, prices);
            (of(before), of(after))
        } else {
            let of = |position| Self::new(rules, position, prices);
            (of(before), of(after))
        };
        Self { free_ppm: after.free_ppm - before.free_ppm, swing: after.swing - before.swing }
    }
}

/// What of a position and its orders moves as the mark moves, requirements apart.
#[inline]
pub(crate) fn swing(rules: &MarketRules, position: &Position, prices: &MarginPrices) -> Amount {
    rules.notional(prices.mark, position.size.unsigned_abs() + position.bids + position.asks)
}

/// What is known of all accounts.
#[derive(Debug)]
pub(crate) struct Headroom {
    rooms: Rooms,
    /// The sum of all changes of prices so far.
    drift: u64,
    /// Prices that this sum is up to.
    seen: Vec<MarginPrices>,
    /// How often they have changed.
    version: u64,
    /// Whether they may have changed since.
    stale: bool,
    /// Accounts whose bounds changed in this range: what a rollback ends.
    changed: Vec<AccountId>,
    /// Accounts whose bounds decided in this range: what a read set has to tell.
    used: Vec<AccountId>,
    /// Accounts with no more positions are summed up each time.
    pub(crate) at_once: usize,
}

impl Default for Headroom {
    fn default() -> Self {
        Self {
            rooms: Rooms::default(),
            drift: 0,
            seen: Vec::new(),
            version: 0,
            stale: true,
            changed: Vec::new(),
            used: Vec::new(),
            // As quick as keeping a bound.
            at_once: 2,
        }
    }
}

impl Headroom {
    /// Nothing is known of an account any more.
    pub(crate) fn forget(&mut self, account: AccountId) {
        if let Some(room) = self.rooms.get_mut(account) {
            *room = room.forgotten();
        }
    }

    /// Asks the memory for an account's bound.
    #[inline]
    pub(crate) fn prefetch(&self, account: AccountId) {
        self.rooms.prefetch(account);
    }

    /// Whether something is known of an account; for what to ask the memory for.
    #[inline]
    pub(crate) fn knows(&self, account: AccountId) -> bool {
        self.rooms.get(account).is_some_and(Room::is_known)
    }

    fn room(&self, account: AccountId) -> Room {
        self.rooms.get(account).map_or(Room::NONE, |room| room.at(self.drift))
    }

    fn set(&mut self, account: AccountId, room: Room) {
        self.rooms.set(account, room);
        self.changed.push(account);
    }

    /// An account's share of headroom, or its balance, has changed.
    #[inline]
    fn change(&mut self, account: AccountId, by: Share, jumps: bool) {
        let room = self.room(account);
        if room.is_known() {
            let swing = (Amount::from(room.swing) + by.swing).max(0);
            let room = room.with(room.free_ppm + by.free_ppm, swing, self.drift);
            self.set(account, Room { jumps: room.jumps || jumps, ..room });
        }
    }

    /// An account's balance has changed.
    #[inline]
    pub(crate) fn paid(&mut self, account: AccountId, change: Amount) {
        let by = Share { free_ppm: change * Amount::from(PPM), swing: 0 };
        self.change(account, by, false);
    }

    /// Takes note of prices that have changed.
    #[inline]
    fn follow<S: Source>(&mut self, rules: &Rules, prices: &Table<MarketPrices, S>) {
        if self.stale || self.seen.len() != rules.markets.len() {
            self.follow_all(rules, prices);
        }
    }

    #[cold]
    fn follow_all<S: Source>(&mut self, rules: &Rules, prices: &Table<MarketPrices, S>) {
        self.drift += self.moved(rules, prices);
        self.stale = false;
        self.version += 1;
        self.seen.clear();
        self.seen.extend(rules.markets.iter().map(|rules| now(rules, prices)));
        if self.drift > u64::MAX / 2 {
            self.drift = 0;
            self.rooms.clear();
        }
    }

    /// The largest change of any market since the prices that were seen.
    fn moved<S: Source>(&self, rules: &Rules, prices: &Table<MarketPrices, S>) -> u64 {
        let pairs = rules.markets.iter().zip(&self.seen);
        let changes = pairs.map(|(rules, seen)| match now(rules, prices) {
            now if now == *seen => 0,
            now => relative_change(rules, seen, &now),
        });
        changes.max().unwrap_or(0)
    }
}

fn now<S: Source>(rules: &MarketRules, prices: &Table<MarketPrices, S>) -> MarginPrices {
    prices.peek(&MarketKey(rules.market)).copied().unwrap_or_default().margin()
}

/// By which part of itself anything that depends on a market's prices may have changed, in units of
/// drift, rounded up; more than one where there is no telling.
fn relative_change(rules: &MarketRules, before: &MarginPrices, now: &MarginPrices) -> u64 {
    // Inverse contracts are in no bound, and without a mark there are no positions.
    if !rules.is_perpetual() || rules.inverse || before.mark == 0 {
        return 0;
    }
    let part = |change: u128, of: u128| match of {
        0 => 2 * u128::from(ONE),
        // Below 2⁷⁸ × 2³².
        _ => ((change.min(1 << 78) << 32) / of + 1).min(2 * u128::from(ONE)),
    };
    let lot = rules.notional(before.mark, 1).unsigned_abs();
    let mark = part(now.mark.abs_diff(before.mark).into(), before.mark.into());
    let funding = match now.funding.abs_diff(before.funding) {
        0 => 0,
        change => part(change, lot * FUNDING_SCALE.unsigned_abs()),
    };
    let scale = match now.scale_ppm.0.abs_diff(before.scale_ppm.0) {
        0 => 0,
        change => part(change.into(), PPM.into()),
    };
    (mark + funding + scale) as u64
}

/// What a check is about: a position becomes another one, and so much is paid to the account.
#[derive(Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) rules: &'a MarketRules,
    pub(crate) before: &'a Position,
    pub(crate) after: &'a Position,
    pub(crate) paid: Amount,
}

impl Change<'_> {
    /// Whether it is about a linear cross position: nothing else is in a bound.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        !self.rules.inverse && !self.before.isolated && !self.after.isolated
    }
}

/// What an account's bound says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It covers the initial requirement as it will be.
    Covered,
    /// The same, and the bound counts the change already.
    Counted,
    /// Nothing.
    Unknown,
}

impl<S: Source> State<S> {
    /// Opens a market's prices for writing.
    pub(crate) fn prices_mut(&mut self, market: &MarketKey) -> &mut MarketPrices {
        self.headroom.stale = true;
        self.prices.get_mut(market)
    }

    /// Whether an account's bound covers the initial requirement as it will be. The bound counts the
    /// change at once if it is sure to happen.
    #[inline]
    pub(crate) fn ask_headroom(
        &mut self,
        rules: &Rules,
        account: AccountId,
        of: &Change<'_>,
        sure: bool,
    ) -> Verdict {
        if !S::COMPLETE || !of.is_plain() {
            return Verdict::Unknown;
        }
        self.claim_room(account);
        let range = self.accounts.range();
        let headroom = &mut self.headroom;
        headroom.follow(rules, &self.prices);
        let room = headroom.room(account);
        if !room.is_known() {
            return Verdict::Unknown;
        }
        let prices = &headroom.seen[usize::from(of.rules.market.0)];
        let by = Share::change(of.rules, of.before, of.after, prices);
        if room.free_ppm + by.free_ppm + of.paid * Amount::from(PPM) < 0 {
            return Verdict::Unknown;
        }
        if room.used != range
            && let Some(room) = headroom.rooms.get_mut(account)
        {
            room.used = range;
            headroom.used.push(account);
        }
        if !sure {
            return Verdict::Covered;
        }
        headroom.change(account, by, !of.rules.tiers.is_empty());
        Verdict::Counted
    }

    /// Keeps what a whole sum has shown: `free_ppm` and `swing` of the account as it is.
    pub(crate) fn keep_headroom(
        &mut self,
        rules: &Rules,
        account: AccountId,
        free_ppm: Amount,
        swing: Amount,
        jumps: bool,
    ) {
        if S::COMPLETE {
            let headroom = &mut self.headroom;
            headroom.follow(rules, &self.prices);
            let room = headroom.room(account).with(free_ppm, swing, headroom.drift);
            headroom.set(account, Room { jumps, ..room });
        }
    }

    /// Takes note of a position that has changed.
    #[inline]
    pub(crate) fn position_changed(&mut self, rules: &Rules, account: AccountId, of: &Change<'_>) {
        self.claim_room(account);
        let headroom = &mut self.headroom;
        if !S::COMPLETE || !headroom.knows(account) {
            return;
        }
        if !of.is_plain() {
            headroom.forget(account);
            return;
        }
        headroom.follow(rules, &self.prices);
        let prices = &headroom.seen[usize::from(of.rules.market.0)];
        let by = Share::change(of.rules, of.before, of.after, prices);
        headroom.change(account, by, !of.rules.tiers.is_empty());
    }

    /// A bound is the shard's whose account it is.
    #[inline]
    fn claim_room(&mut self, account: AccountId) {
        if S::SHARD {
            self.accounts.get(&AccountKey(account));
        }
    }

    /// What headroom has to do with a visit of all tables.
    #[inline]
    pub(crate) fn visit_headroom(&mut self, purpose: Purpose) {
        if !S::COMPLETE {
            return;
        }
        match purpose {
            Purpose::Begin => {
                self.headroom.changed.clear();
                self.headroom.used.clear();
            }
            Purpose::Seal { reads: true } => self.record_used(),
            Purpose::Rollback => {
                let headroom = &mut self.headroom;
                while let Some(account) = headroom.changed.pop() {
                    headroom.forget(account);
                }
                // In shards prices stand still.
                headroom.stale = !S::SHARD;
            }
            _ => {}
        }
    }

    /// Records what the whole sum would have read, if the account's bound decided in this range: for
    /// before what it reads changes.
    pub(crate) fn record_if_used(&mut self, account: AccountId) {
        let range = self.accounts.range();
        let Headroom { rooms, used, .. } = &mut self.headroom;
        let room = rooms.get_mut(account);
        if let Some(room) = room.filter(|room| room.used == range) {
            room.used = range.wrapping_sub(1);
            used.retain(|other| *other != account);
            self.record(account);
        }
    }

    fn record_used(&mut self) {
        for account in core::mem::take(&mut self.headroom.used) {
            self.record(account);
        }
    }

    /// Records what the whole sum of an account reads.
    fn record(&mut self, account: AccountId) {
        let owner = *self.accounts.get(&AccountKey(account));
        let groups = owner.markets().chunks(PositionGroup::SLOTS as usize);
        for (group, markets) in (0u8..).zip(groups) {
            self.positions.get(&GroupKey { account, group });
            for market in markets {
                self.prices.get(&MarketKey(*market));
            }
        }
    }

    /// An account's bound × 10⁶, if there is one: for audits.
    pub(crate) fn peek_room(&self, rules: &Rules, account: AccountId) -> Option<Amount> {
        let headroom = &self.headroom;
        let now = headroom.drift + headroom.moved(rules, &self.prices);
        let room = headroom.rooms.get(account)?.at(now);
        room.is_known().then_some(room.free_ppm)
    }
}
