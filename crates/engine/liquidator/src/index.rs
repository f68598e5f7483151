//! The index: what it keeps, and what it does at each tick.

use crate::ladder::{Entry, Ladder, Seat, code};
use crate::motion::{Line, Motion};
use crate::reach::{Reached, Side, bounds, reached};
use crate::split::{INTEREST_US, Look, Split, Splitter, prefetch};
use crate::{Found, Size, Unit};
use atoll_exchange::{AccountId, AssetId, Event, Exchange, MarketId, Wallet};
use atoll_state::{Source, Workers};
use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;

/// Known units that are looked at again at each tick; beyond these, in turns.
const RECHECKS_MAX: usize = 4096;

/// From how many on several threads share what there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedFrom {
    /// Bounds to read.
    pub bounds: usize,
    /// Accounts to look at.
    pub accounts: usize,
}

impl Default for SharedFrom {
    /// Some 300 µs of reading, some 500 µs of looking.
    fn default() -> Self {
        Self { bounds: 1 << 14, accounts: 256 }
    }
}

/// One after the other.
struct Alone;

impl Workers for Alone {
    fn each<T: Send>(&mut self, items: &mut [T], work: &(impl Fn(usize, &mut T) + Sync)) {
        items.iter_mut().enumerate().for_each(|(nth, item)| work(nth, item));
    }
}

/// The index.
#[derive(Debug, Default)]
pub struct Liquidator {
    motions: Vec<Motion>,
    /// One for each market, then one for each oracle price.
    lines: Vec<Line>,
    oracles: Vec<AssetId>,
    /// By account.
    seats: Vec<Seat>,
    /// Accounts whose bounds are to be set anew.
    queue: Vec<u32>,
    /// Accounts without bounds that hold.
    watched: BTreeSet<u32>,
    /// Accounts that owe, by when they are to be looked at.
    owing: VecDeque<(u64, u32, u32)>,
    /// What can be liquidated.
    found: BTreeSet<Unit>,
    /// Where looking at known units goes on.
    turn: Option<Unit>,
    /// Accounts beyond inner bounds that have enough left, and may wait for new ones.
    waiting: Vec<u32>,
    /// The sides of their bounds.
    pending: BTreeSet<(usize, usize)>,
    /// Sides of which entries were reached since they were last cleaned.
    reached: BTreeSet<(usize, usize)>,
    scratch: Split,
    /// When [`Liquidator::advance_on`] is by several threads.
    pub shared_from: SharedFrom,
}

impl Liquidator {
    /// Looks at every account.
    pub fn new<S: Source>(exchange: &Exchange<S>) -> Self {
        let rules = exchange.rules();
        let markets = (0..rules.spec().markets.len()).map(|n| MarketId(n as u16));
        let assets = (0..rules.spec().assets.len()).map(|n| AssetId(n as u16));
        let motions: Vec<Motion> =
            markets.filter_map(|market| rules.market(market)).map(Motion::new).collect();
        let oracles: Vec<AssetId> = assets.filter(|a| rules.pledge(*a).is_some()).collect();
        let blind = || Line { blind: true, ..Line::default() };
        let lines = (0..motions.len() + oracles.len()).map(|_| blind()).collect();
        let mut index = Self { motions, lines, oracles, ..Self::default() };
        index.follow(exchange);
        let accounts = exchange.peek_global().accounts;
        index.seats.resize(accounts as usize, Seat::default());
        for account in 0..accounts {
            let list = |nth: usize| Some(nth as u32).filter(|account| *account < accounts);
            prefetch(exchange, account as usize, list);
            index.examine(exchange, account);
        }
        let ladders = index.lines.iter_mut().flat_map(|line| &mut line.ladders);
        ladders.for_each(Ladder::shrink);
        index.lines.iter_mut().for_each(|line| line.worse = [false; 2]);
        index
    }

    /// Takes note of what happened: accounts whose slack an event changed ([`touched`]) are looked
    /// at by the next [`Liquidator::advance`].
    pub fn observe(&mut self, event: &Event) {
        touched(event).into_iter().flatten().for_each(|account| self.touch(account));
    }

    /// Has an account looked at by the next [`Liquidator::advance`].
    pub fn touch(&mut self, account: AccountId) {
        if self.queue.last() != Some(&account.0) {
            self.queue.push(account.0);
        }
    }

    /// Follows the exchange to its present state: after each tick, and after whatever else moved
    /// prices, at the latest before the next one. Afterwards [`Liquidator::liquidatable`] is exact
    /// (while no more than 4,096 are known; of more, some may be no longer so).
    ///
    /// Bounds are set anew by [`Liquidator::settle`], which need not run before what was found
    /// is used.
    pub fn advance<S: Source>(&mut self, exchange: &Exchange<S>) -> Found
    where
        Exchange<S>: Sync,
    {
        self.advance_on(exchange, &mut Alone, 1)
    }

    /// The same by several threads where there is enough to do, in so many parts.
    pub fn advance_on<S: Source>(
        &mut self,
        exchange: &Exchange<S>,
        workers: &mut impl Workers,
        parts: usize,
    ) -> Found
    where
        Exchange<S>: Sync,
    {
        if !self.fits(exchange) {
            *self = Self { shared_from: self.shared_from, ..Self::new(exchange) };
        }
        let mut found = Found::default();
        let mut candidates = std::mem::take(&mut self.queue);
        found.touched = candidates.len();
        self.follow_and_collect(exchange, (&mut *workers, parts), &mut candidates, &mut found);
        let now_us = exchange.peek_global().time_us;
        while let Some((due_us, account, version)) = self.owing.front().copied() {
            if due_us > now_us {
                break;
            }
            self.owing.pop_front();
            if self.seats[account as usize].version == version {
                candidates.push(account);
            }
        }
        candidates.extend(&self.watched);
        self.collect_known(&mut candidates);
        candidates.sort_unstable();
        candidates.dedup();
        found.looked_at = candidates.len();
        let before = self.found.len();
        for (account, look) in self.looks(exchange, &candidates, (workers, parts)) {
            self.know(AccountId(account), &look);
        }
        found.liquidatable = self.found.len();
        found.before = before;
        self.queue = candidates;
        found
    }

    /// Sets bounds anew, of at most `most` accounts: first those that were looked at (which are
    /// looked at at every tick until this has been done), then those that may wait. Gives how many
    /// are left. It does nothing where prices have moved since [`Liquidator::advance`]: bounds go
    /// with the prices that were followed.
    pub fn settle<S: Source>(&mut self, exchange: &Exchange<S>, most: usize) -> usize {
        if !self.is_current(exchange) {
            return self.queue.len() + self.waiting.len();
        }
        self.queue.sort_unstable();
        self.queue.dedup();
        let from = self.queue.len().saturating_sub(most);
        let mut next = self.queue.split_off(from);
        let rest = self.waiting.len().saturating_sub(most - next.len());
        next.extend(self.waiting.drain(rest..));
        for (nth, account) in next.iter().enumerate() {
            prefetch(exchange, nth, |nth| next.get(nth).copied());
            self.examine(exchange, *account);
        }
        for (line, side) in std::mem::take(&mut self.reached) {
            let line = &mut self.lines[line];
            line.ladders[side].clean(line.danger[side], &self.seats);
        }
        self.queue.len() + self.waiting.len()
    }

    /// What can be liquidated, in order of accounts.
    pub fn liquidatable(&self) -> impl Iterator<Item = Unit> {
        self.found.iter().copied()
    }

    /// What the index holds.
    pub fn size(&self) -> Size {
        let mut size = Size { accounts: self.seats.len(), ..Size::default() };
        for ladder in self.lines.iter().flat_map(|line| &line.ladders) {
            let (entries, bytes) = ladder.size();
            size.entries += entries;
            size.bytes += bytes;
        }
        size.watched = self.watched.len();
        size.bytes += self.seats.capacity() * size_of::<Seat>()
            + self.queue.capacity() * size_of::<u32>()
            + self.owing.capacity() * size_of::<(u64, u32, u32)>();
        size
    }

    /// Whether the markets are those that the index was built for: listing adds to them.
    fn fits<S: Source>(&self, exchange: &Exchange<S>) -> bool {
        self.motions.len() == exchange.rules().spec().markets.len()
    }

    fn splitter<'a, S: Source>(&'a self, exchange: &'a Exchange<S>) -> Splitter<'a, S> {
        Splitter { exchange, motions: &self.motions, oracles: &self.oracles }
    }

    /// Whether prices are those that were followed.
    pub fn is_current<S: Source>(&self, exchange: &Exchange<S>) -> bool {
        let mut markets = (0u16..).map(MarketId).zip(&self.motions);
        let mut oracles = self.oracles.iter().zip(&self.lines[self.motions.len()..]);
        self.fits(exchange)
            && markets
                .all(|(market, motion)| exchange.peek_prices(market).margin() == motion.prices)
            && oracles.all(|(asset, line)| {
                let pledge = exchange.rules().pledge(*asset);
                pledge.is_none_or(|pledge| {
                    line.danger[1] == i128::from(exchange.peek_prices(pledge.market).oracle)
                })
            })
    }

    /// Follows marks, funding, scales and oracle prices. Gives accounts whose bounds are lost.
    fn follow<S: Source>(&mut self, exchange: &Exchange<S>) -> Vec<u32> {
        let mut lost = Vec::new();
        let rules = exchange.rules();
        for (nth, motion) in self.motions.iter_mut().enumerate() {
            let market = MarketId(nth as u16);
            let prices = exchange.peek_prices(market).margin();
            let Some(rules) = rules.market(market) else { continue };
            if prices == motion.prices {
                continue;
            }
            let line = &mut self.lines[nth];
            let seen = motion.follow(rules, prices);
            if line.set(motion.danger(), !seen) {
                lost.extend(line.own(&self.seats));
            }
        }
        for (nth, asset) in self.oracles.iter().enumerate() {
            let Some(pledge) = rules.pledge(*asset) else { continue };
            let oracle = i128::from(exchange.peek_prices(pledge.market).oracle);
            let line = &mut self.lines[self.motions.len() + nth];
            if line.set([-oracle, oracle], oracle == 0) {
                lost.extend(line.own(&self.seats));
            }
        }
        lost
    }

    /// Looks at accounts. Gives those of which something changes, or may.
    fn looks<S: Source>(
        &self,
        exchange: &Exchange<S>,
        candidates: &[u32],
        (workers, parts): (&mut impl Workers, usize),
    ) -> Vec<(u32, Look)>
    where
        Exchange<S>: Sync,
    {
        let is_shared = candidates.len() >= self.shared_from.accounts;
        let parts = if is_shared { parts.max(1) } else { 1 };
        let parts = candidates.chunks(candidates.len().div_ceil(parts).max(1));
        let mut parts: Vec<_> = parts.map(|accounts| (accounts, Vec::new())).collect();
        workers.each(&mut parts, &|_, (accounts, looks)| {
            for (nth, account) in accounts.iter().enumerate() {
                prefetch(exchange, nth, |nth| accounts.get(nth).copied());
                let look = self.splitter(exchange).look(AccountId(*account));
                if !look.is_quiet() || self.is_known(AccountId(*account)) {
                    looks.push((*account, look));
                }
            }
        });
        parts.into_iter().flat_map(|(_, looks)| looks).collect()
    }

    /// Follows prices, and collects whose bounds they have reached.
    fn follow_and_collect<S: Source>(
        &mut self,
        exchange: &Exchange<S>,
        crew: (&mut impl Workers, usize),
        candidates: &mut Vec<u32>,
        found: &mut Found,
    ) {
        // Where scales rise, what is said of bounds holds for those not reached before.
        for (line, side) in self.pending.clone() {
            let Some(motion) = self.motions.get(line) else { continue };
            if motion.is_scaled_up(&exchange.peek_prices(MarketId(line as u16)).margin()) {
                let Line { danger, ladders, .. } = &self.lines[line];
                ladders[side].reached(danger[side], |entry| {
                    if entry.is_own(&self.seats) {
                        candidates.push(entry.account);
                    }
                });
            }
        }
        candidates.extend(self.follow(exchange));
        let mut sides = std::mem::take(&mut self.pending);
        for (nth, line) in self.lines.iter_mut().enumerate() {
            for side in 0..2 {
                if std::mem::take(&mut line.worse[side]) {
                    sides.insert((nth, side));
                }
            }
        }
        let sides: Vec<(usize, usize)> = sides.into_iter().collect();
        let of = |(line, side): &(usize, usize)| {
            let Line { danger, ladders, .. } = &self.lines[*line];
            Side { ladder: &ladders[*side], danger: danger[*side] }
        };
        let of_sides: Vec<Side<'_>> = sides.iter().map(of).collect();
        let (workers, parts) = crew;
        let is_shared = parts > 1 && bounds(&of_sides) >= self.shared_from.bounds;
        let workers = (workers, if is_shared { parts } else { 1 });
        let Reached { spent, waiting, sides: came } = reached(&of_sides, &mut self.seats, workers);
        for (side, (read, own)) in sides.into_iter().zip(came) {
            found.read += read;
            if read > 0 {
                self.reached.insert(side);
            }
            if own {
                self.pending.insert(side);
            }
        }
        candidates.extend(spent);
        found.waiting = waiting.len();
        self.waiting = waiting;
    }

    /// Known units are looked at again.
    fn collect_known(&mut self, candidates: &mut Vec<u32>) {
        if self.found.len() <= RECHECKS_MAX {
            candidates.extend(self.found.iter().map(|unit| unit.account.0));
            return;
        }
        use std::ops::Bound::{Excluded, Unbounded};
        let from = self.turn.map_or(Unbounded, Excluded);
        let next: Vec<Unit> =
            self.found.range((from, Unbounded)).take(RECHECKS_MAX).copied().collect();
        self.turn = next.last().copied().filter(|_| next.len() == RECHECKS_MAX);
        candidates.extend(next.iter().map(|unit| unit.account.0));
    }

    /// The units of an account that are known.
    fn units(account: AccountId) -> RangeInclusive<Unit> {
        let last = Some(MarketId(u16::MAX));
        Unit { account, market: None }..=Unit { account, market: last }
    }

    fn is_known(&self, account: AccountId) -> bool {
        self.found.range(Self::units(account)).next().is_some()
    }

    /// Takes note of what a look found.
    fn know(&mut self, account: AccountId, look: &Look) {
        let old: Vec<Unit> = self.found.range(Self::units(account)).copied().collect();
        for unit in &old {
            self.found.remove(unit);
        }
        if look.cross {
            self.found.insert(Unit { account, market: None });
        }
        let isolated = look.isolated.iter();
        self.found.extend(isolated.map(|market| Unit { account, market: Some(*market) }));
    }

    /// Looks at an account, and sets its bounds.
    fn examine<S: Source>(&mut self, exchange: &Exchange<S>, account: u32) {
        let id = AccountId(account);
        let look = self.splitter(exchange).look(id);
        if !look.is_quiet() || self.is_known(id) {
            self.know(id, &look);
        }
        let mut split = std::mem::take(&mut self.scratch);
        self.splitter(exchange).split(id, &look, &mut split);
        let version = self.renew(account);
        for bound in &split.bounds {
            let line = &mut self.lines[bound.line];
            split.watch |= line.blind;
            let danger = line.danger[bound.side];
            let [inner, outer] = [bound.inner, bound.outer].map(|more| code(danger + more));
            let entry = Entry { inner, outer, account, version };
            line.ladders[bound.side].push(entry, &self.seats);
        }
        if split.watch {
            self.watched.insert(account);
        } else if !self.watched.is_empty() {
            self.watched.remove(&account);
        }
        if split.owes {
            let due_us = exchange.peek_global().time_us.saturating_add(INTEREST_US);
            self.owing.push_back((due_us, account, version));
        }
        self.scratch = split;
    }

    /// Makes an account's entries old.
    fn renew(&mut self, account: u32) -> u32 {
        let at = account as usize;
        if at >= self.seats.len() {
            self.seats.resize(at + 1, Seat::default());
        }
        if self.seats[at].version == u32::MAX {
            // None of its old entries may be taken for a new one.
            self.seats[at].version = 0;
            let ladders = self.lines.iter_mut().flat_map(|line| &mut line.ladders);
            ladders.for_each(|ladder| ladder.forget(account));
            self.owing.retain(|(_, owner, _)| *owner != account);
        }
        self.seats[at].version += 1;
        self.seats[at].version
    }
}

/// The accounts whose slack an event changed.
pub fn touched(event: &Event) -> [Option<AccountId>; 2] {
    match event {
        Event::Filled(fill) => [Some(fill.maker.account), Some(fill.taker.account)],
        Event::BalanceChanged { account, wallet: Wallet::Collateral, .. }
        | Event::LeverageSet { account, .. }
        | Event::FundingPaid { account, .. }
        | Event::InterestPaid { account, .. }
        | Event::IsolatedMargin { account, .. }
        | Event::PositionSettled { account, .. }
        | Event::Liquidated { account, .. }
        | Event::InsurancePaid { account, .. }
        | Event::ShortfallBooked { account, .. } => [Some(*account), None],
        Event::PositionTaken { from, to, .. } => [*from, *to],
        // Orders move nothing that maintenance is about, and prices are read from the state. All
        // are named, so that nobody adds an event without a thought for this.
        Event::Accepted(_)
        | Event::Rested(_)
        | Event::Resized { .. }
        | Event::Displayed { .. }
        | Event::Cancelled { .. }
        | Event::Modified { .. }
        | Event::AccountOpened { .. }
        | Event::BalanceChanged { .. }
        | Event::MarkChanged { .. }
        | Event::Ranked { .. }
        | Event::InsuranceChanged { .. }
        | Event::StatusChanged { .. }
        | Event::MarketListed { .. }
        | Event::BondReleased { .. }
        | Event::FundingAccrued { .. }
        | Event::MarginScaled { .. }
        | Event::SourceIgnored { .. }
        | Event::OracleStale { .. }
        | Event::Guarded { .. }
        | Event::Uncrossed { .. }
        | Event::TriggerSet(_)
        | Event::TriggerFired(_)
        | Event::TriggerRefused { .. }
        | Event::TwapStarted(_)
        | Event::TwapSlice { .. }
        | Event::TwapEnded { .. }
        | Event::CancelScheduled { .. }
        | Event::ScheduleDone { .. } => [None; 2],
    }
}
