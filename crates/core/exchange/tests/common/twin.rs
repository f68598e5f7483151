//! The naive twin: one list of orders in order of arrival, every sum taken anew from it, every
//! rule word by word. Assumes what [`super::spec`] says: one quote unit per tick and lot, account
//! numbers from 0, two perpetuals and a spot market of 10,000 base units a lot; and, where there is
//! a fourth market, what [`super::venue`] says of that.

mod conditional;
pub(crate) mod liquidation;
mod listing;
mod margin;
mod matching;
mod objects;
mod orders;
mod prices;

use super::*;
use margin::Pos;
use naive::queues::Queues;
use std::collections::BTreeMap;

const LOT_UNITS: i128 = 10_000;

#[derive(Clone, Default)]
struct Owner {
    collateral: i128,
    spot: [i128; 2],
    /// Coins in the collateral wallet.
    coins: i128,
    /// What had accrued on debts when they were last charged.
    base_index: u128,
    coin_index: u128,
    positions: [Pos; 6],
    /// The market of each position slot.
    slots: Vec<MarketId>,
}

#[derive(Clone, Default)]
struct Venue {
    mark: u64,
    oracle: u64,
    last: u64,
    trades: u64,
    status: MarketStatus,
    prices: prices::Prices,
}

#[derive(Clone)]
pub(crate) struct Twin {
    spec: ExchangeSpec,
    commands: u64,
    time_us: u64,
    owners: Vec<Owner>,
    venues: Vec<Venue>,
    /// What came in less what left, by asset.
    supply: [i128; 2],
    /// What left and did not come back, by asset and place outside.
    left: BTreeMap<(u16, u8), i128>,
    /// Interest so far, by asset, in parts per million × microseconds.
    borrow: [u128; 2],
    /// Coins moved into collateral wallets less moved out.
    pledged: i128,
    /// Open orders in order of arrival.
    pub orders: Vec<Order>,
    pub waits: conditional::Waits,
    pub ladder: liquidation::Ladder,
    /// Where in their levels they came.
    queues: Queues,
    pub listed: listing::Listed,
    /// Of some: when they expire, how much of them the book shows at a time, and now.
    extras: BTreeMap<OrderId, (u64, u64, u64)>,
    events: Vec<Event>,
}

type Reply = Result<Outcome, RejectCode>;

fn ceil(product: i128) -> i128 {
    (product + 999_999).div_euclid(1_000_000)
}

fn value(price: u64, size: i128) -> i128 {
    i128::from(price) * size
}

impl Twin {
    pub(crate) fn new(spec: ExchangeSpec) -> Self {
        let venues = vec![Venue::default(); spec.markets.len()];
        Self {
            spec,
            commands: 0,
            time_us: 0,
            owners: Vec::new(),
            venues,
            supply: [0; 2],
            left: BTreeMap::new(),
            borrow: [0; 2],
            pledged: 0,
            orders: Vec::new(),
            queues: Queues::default(),
            waits: conditional::Waits::default(),
            ladder: liquidation::Ladder::default(),
            listed: listing::Listed::default(),
            extras: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    pub(crate) fn run(&mut self, op: &Op) -> (Reply, Vec<Event>) {
        self.commands += 1;
        let before = self.clone();
        let reply = match op {
            Op::Do(account, command) => self.execute(*account, command),
            Op::In(input) => self.apply(input),
        };
        let events = std::mem::take(&mut self.events);
        if reply.is_err() {
            let commands = self.commands;
            *self = Self { commands, ..before };
            return (reply, Vec::new());
        }
        (reply, events)
    }

    fn execute(&mut self, account: AccountId, command: &Command) -> Reply {
        let at = account.0 as usize;
        if at >= self.owners.len() {
            return Err(RejectCode::UnknownAccount);
        }
        match command {
            Command::Place(request) => self.place(account, request, None).map(Outcome::Placed),
            Command::Cancel(target) => {
                self.cancel(account, target, CancelReason::Requested)?;
                Ok(Outcome::Cancelled(1))
            }
            Command::CancelAll { market } => {
                if market.is_some_and(|m| usize::from(m.0) >= self.spec.markets.len()) {
                    return Err(RejectCode::UnknownMarket);
                }
                let mut mine: Vec<Order> = self.mine(account);
                mine.retain(|o| market.is_none_or(|m| m == o.market));
                mine.sort_by_key(|o| o.order.slot());
                for order in &mine {
                    self.drop_any(order, CancelReason::Requested);
                }
                Ok(Outcome::Cancelled(mine.len() as u32))
            }
            Command::Liquidate { owner, market } => self.liquidate(owner, *market),
            Command::Deleverage { market, side } => self.deleverage(*market, *side),
            Command::FundInsurance { asset, amount } => self.fund_insurance(at, *asset, *amount),
            Command::PlaceMarket(request) => self.place_market(account, request),
            Command::SettlePosition { owner, market } => self.settle_position(owner, *market),
            Command::Modify { target, order } => {
                if let Some(placed) = self.modify_in_place(account, target, order)? {
                    return Ok(Outcome::Placed(placed));
                }
                let old = self.cancel(account, target, CancelReason::Modified)?;
                let placed = self.place(account, order, None)?;
                self.events.push(Event::Modified { old: old.order, new: placed.order });
                Ok(Outcome::Placed(placed))
            }
            Command::Transfer { to, asset, wallet, amount } => {
                self.check_money(*asset, *wallet, *amount)?;
                let to = (0..self.owners.len()).find(|n| address(*n as u32) == *to);
                let to = to.ok_or(RejectCode::UnknownAccount)?;
                self.give(at, *asset, *wallet, -amount, BalanceCause::Transfer)?;
                self.give(to, *asset, *wallet, *amount, BalanceCause::Transfer)
            }
            Command::Move { asset, to, amount } => {
                self.check_money(*asset, Wallet::Collateral, *amount)?;
                let from = if *to == Wallet::Spot { Wallet::Collateral } else { Wallet::Spot };
                if *to == Wallet::Collateral {
                    self.check_cap(*asset, *amount)?;
                }
                self.give(at, *asset, from, -amount, BalanceCause::Move)?;
                self.give(at, *asset, *to, *amount, BalanceCause::Move)
            }
            Command::SetLeverage { market, leverage, isolated } => {
                self.set_leverage(at, *market, *leverage, *isolated)
            }
            Command::AdjustMargin { market, amount } => self.adjust_margin(at, *market, *amount),
            Command::ListMarket(listing) => self.list_market(at, listing),
            Command::SetStatus { market, status } => self.ask_for_status(at, *market, *status),
            Command::ClaimBond { market } => self.claim_bond(at, *market),
            Command::ForfeitBond { market } => self.forfeit_bond(at, *market),
            other => self.conditional(account, other),
        }
    }

    fn arrive(
        &mut self,
        who: &Address,
        asset: AssetId,
        wallet: Wallet,
        amount: Amount,
        back: Option<Outside>,
        cause: BalanceCause,
    ) -> Reply {
        self.check_money(asset, wallet, amount)?;
        if who.is_zero() {
            return Err(RejectCode::UnknownAccount);
        }
        if let Some(outside) = back {
            let left = self.left.entry((asset.0, outside as u8)).or_default();
            *left -= amount;
            if *left < 0 {
                return Err(RejectCode::Overflow);
            }
        }
        let supply = &mut self.supply[usize::from(asset.0)];
        *supply += amount;
        if *supply > 1 << 96 {
            return Err(RejectCode::Overflow);
        }
        if wallet == Wallet::Collateral && back.is_none() {
            self.check_cap(asset, amount)?;
        }
        let known = (0..self.owners.len()).find(|n| address(*n as u32) == *who);
        let at = known.unwrap_or_else(|| {
            self.owners.push(Owner::default());
            let account = AccountId(self.owners.len() as u32 - 1);
            self.events.push(Event::AccountOpened { account, address: *who });
            account.0 as usize
        });
        self.give(at, asset, wallet, amount, cause)
    }

    fn depart(
        &mut self,
        who: &Address,
        asset: AssetId,
        wallet: Wallet,
        amount: Amount,
        outside: Outside,
    ) -> Reply {
        self.check_money(asset, wallet, amount)?;
        let known = (0..self.owners.len()).find(|n| address(*n as u32) == *who);
        let at = known.ok_or(RejectCode::UnknownAccount)?;
        self.supply[usize::from(asset.0)] -= amount;
        *self.left.entry((asset.0, outside as u8)).or_default() += amount;
        let cause = match outside {
            Outside::Hub => BalanceCause::Debit,
            Outside::Environment => BalanceCause::Send,
        };
        self.give(at, asset, wallet, -amount, cause)
    }

    fn apply(&mut self, input: &Input) -> Reply {
        match input {
            Input::Credit { address, asset, wallet, amount } => {
                self.arrive(address, *asset, *wallet, *amount, None, BalanceCause::Credit)
            }
            Input::Receive { address, asset, wallet, amount } => {
                self.arrive(address, *asset, *wallet, *amount, None, BalanceCause::Receive)
            }
            Input::Return { outside, address, asset, wallet, amount } => {
                let back = Some(*outside);
                self.arrive(address, *asset, *wallet, *amount, back, BalanceCause::Return)
            }
            Input::Debit { address, asset, wallet, amount } => {
                self.depart(address, *asset, *wallet, *amount, Outside::Hub)
            }
            Input::Send { address, asset, wallet, amount } => {
                self.depart(address, *asset, *wallet, *amount, Outside::Environment)
            }
            Input::Oracle(report) => self.report(report),
            Input::SetStatus { market, status } => self.told_status(*market, *status),
            Input::Tick { time_us } => {
                if self.time_us != 0 && *time_us > self.time_us {
                    for (asset, spec) in self.spec.assets.iter().enumerate() {
                        let time = u128::from(time_us - self.time_us);
                        self.borrow[asset] += time * u128::from(spec.borrow_ppm);
                    }
                }
                self.time_us = self.time_us.max(*time_us);
                let mut steps = self.spec.limits.fills_per_command;
                let markets = self.spec.markets.len();
                let due: Vec<usize> = (0..markets).filter(|n| self.tick_market(*n)).collect();
                for n in due {
                    self.auction(n, &mut steps);
                }
                self.work_off();
                Ok(Outcome::Done)
            }
            Input::Funding { market, change } => {
                if usize::from(market.0) >= self.spec.markets.len() {
                    return Err(RejectCode::UnknownMarket);
                }
                if *market == SPOT {
                    return Err(RejectCode::Unsupported);
                }
                let venue = &mut self.venues[usize::from(market.0)];
                if venue.status == MarketStatus::Settled {
                    return Err(RejectCode::MarketPaused);
                }
                venue.prices.index = (venue.prices.index + change).clamp(-(1 << 77), 1 << 77);
                Ok(Outcome::Done)
            }
            Input::MarginScale { market, scale_ppm } => {
                if usize::from(market.0) >= self.spec.markets.len() {
                    return Err(RejectCode::UnknownMarket);
                }
                let initial = scale_ppm.0.max(1_000_000);
                let scales = (initial, scale_ppm.1.max(1_000_000).min(initial));
                self.venues[usize::from(market.0)].prices.scales = scales;
                Ok(Outcome::Done)
            }
        }
    }

    fn told_status(&mut self, market: MarketId, status: MarketStatus) -> Reply {
        if usize::from(market.0) >= self.spec.markets.len() {
            return Err(RejectCode::UnknownMarket);
        }
        let venue = &mut self.venues[usize::from(market.0)];
        if venue.status == MarketStatus::Settled {
            return Err(RejectCode::MarketPaused);
        }
        if status == MarketStatus::Settled && market.0 != 2 && venue.mark == 0 {
            return Err(RejectCode::NoMark);
        }
        if venue.status != status {
            self.ask_status(usize::from(market.0), status);
        }
        Ok(Outcome::Done)
    }

    /// Whether collateral wallets may hold so much more.
    fn check_cap(&self, asset: AssetId, amount: i128) -> Result<(), RejectCode> {
        let cap = self.spec.assets[usize::from(asset.0)].pledge.map_or(0, |pledge| pledge.cap);
        if cap != 0 && self.pledged + amount > cap {
            return Err(RejectCode::AtCap);
        }
        Ok(())
    }

    fn check_money(&self, asset: AssetId, wallet: Wallet, amount: i128) -> Result<(), RejectCode> {
        match () {
            () if asset.0 > 1 => Err(RejectCode::Unsupported),
            () if wallet == Wallet::Collateral
                && asset != USDC
                && self.spec.assets[usize::from(asset.0)].pledge.is_none() =>
            {
                Err(RejectCode::Unsupported)
            }
            () if amount <= 0 || amount > 1 << 96 => Err(RejectCode::Overflow),
            () => Ok(()),
        }
    }

    fn give(
        &mut self,
        at: usize,
        asset: AssetId,
        wallet: Wallet,
        change: i128,
        cause: BalanceCause,
    ) -> Reply {
        if change < 0 {
            match wallet {
                Wallet::Spot if self.free(at, asset) < -change => {
                    return Err(RejectCode::InsufficientBalance);
                }
                Wallet::Spot => {}
                Wallet::Collateral => self.may_leave(at, asset, -change)?,
            }
        }
        let balance = match wallet {
            Wallet::Collateral => {
                if asset == COIN && cause != BalanceCause::Transfer {
                    self.pledged += change;
                }
                self.purse(at, asset, change)
            }
            Wallet::Spot => {
                let purse = &mut self.owners[at].spot[usize::from(asset.0)];
                *purse += change;
                *purse
            }
        };
        let account = AccountId(at as u32);
        let event = Event::BalanceChanged { account, asset, wallet, change, balance, cause };
        self.events.push(event);
        Ok(Outcome::Done)
    }

    /// Spot balance less what orders hold.
    fn free(&self, at: usize, asset: AssetId) -> i128 {
        let mine = self.orders.iter().filter(|o| o.account.0 as usize == at && o.market == SPOT);
        let held = mine.map(|o| match (o.side, asset) {
            (Side::Buy, USDC) => value(o.price, o.remaining.into()),
            (Side::Sell, COIN) => LOT_UNITS * i128::from(o.remaining),
            _ => 0,
        });
        self.owners[at].spot[usize::from(asset.0)] - held.sum::<i128>()
    }

    fn settle_position(&mut self, owner: &Address, market: MarketId) -> Reply {
        let n = usize::from(market.0);
        let venue = self.venues.get(n).ok_or(RejectCode::UnknownMarket)?;
        if n == 2 || venue.status != MarketStatus::Settled {
            return Err(RejectCode::Unsupported);
        }
        let at = (0..self.owners.len()).find(|at| address(*at as u32) == *owner);
        let at = at.ok_or(RejectCode::UnknownAccount)?;
        let Pos { size, cost, isolated, margin, .. } = self.owners[at].positions[n];
        if size == 0 {
            return Err(RejectCode::NotReducing);
        }
        let price = venue.mark;
        let closed_pnl = margin::worth(market, price, size.into()) - cost;
        let due = self.settle(at, market);
        let pos = &mut self.owners[at].positions[n];
        (pos.size, pos.cost, pos.funding, pos.margin) = (0, 0, 0, 0);
        if isolated {
            let (account, change) = (AccountId(at as u32), -margin);
            self.events.push(Event::IsolatedMargin { account, market, change, margin: 0 });
        }
        let asset = if n == 3 { COIN } else { USDC };
        let result = closed_pnl - due + if isolated { margin } else { 0 };
        self.purse(at, asset, result);
        let account = AccountId(at as u32);
        self.events.push(Event::PositionSettled { account, market, size, price, closed_pnl });
        if isolated && result < 0 {
            self.fund_or_nobody(at, asset, -result);
        }
        self.position_ended(account, market);
        self.end_if_bankrupt(at);
        Ok(Outcome::Done)
    }

    /// Mark, oracle, status, funding index and margin scales of a market.
    pub(crate) fn prices(&self, n: usize) -> (u64, u64, MarketStatus, i128, (u32, u32)) {
        let Venue { mark, oracle, status, prices, .. } = &self.venues[n];
        (*mark, *oracle, *status, prices.index, prices.scales)
    }
}
