//! The naive twin: one list of orders in order of arrival, every sum taken anew from it, every
//! rule word by word. Assumes what [`super::spec`] says: one quote unit per tick and lot, account
//! numbers from 0, two perpetuals and a spot market of 10,000 base units a lot; and, where there is
//! a fourth market, what [`super::venue`] says of that.

mod margin;

#[path = "twin/conditional.rs"]
mod conditional;

#[path = "twin/listing.rs"]
mod listing;

#[path = "twin/liquidation.rs"]
pub(crate) mod liquidation;
mod prices;

use super::*;
use margin::{Pos, notional};
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

    fn best(&self, market: MarketId, side: Side) -> Option<u64> {
        let there = self.orders.iter().filter(|o| o.market == market && o.side == side);
        let prices = there.map(|o| o.price);
        if side == Side::Buy { prices.max() } else { prices.min() }
    }

    fn cancel(
        &mut self,
        account: AccountId,
        target: &OrderSelector,
        reason: CancelReason,
    ) -> Result<Order, RejectCode> {
        let order = self.find(account, target)?;
        self.drop_any(&order, reason);
        Ok(order)
    }

    fn find(&self, account: AccountId, target: &OrderSelector) -> Result<Order, RejectCode> {
        let is = |o: &&Order| {
            o.account == account
                && match target {
                    OrderSelector::Order(order) => o.order == *order,
                    OrderSelector::Client(client) => o.client_id == Some(*client),
                }
        };
        self.mine(account).iter().find(is).copied().ok_or(RejectCode::UnknownOrder)
    }

    /// What the book shows of an order.
    fn shown(&self, order: &Order) -> u64 {
        match self.extras.get(&order.order) {
            Some((_, display, shown)) if *display > 0 => *shown,
            _ => order.remaining,
        }
    }

    /// Takes so much off a resting order without a trade.
    fn lessen(&mut self, order: &Order, by: u64, reason: ResizeReason) {
        let found = self.orders.iter_mut().find(|o| o.order == order.order).unwrap();
        found.size -= by;
        found.remaining -= by;
        if let Some(extra) = self.extras.get_mut(&order.order) {
            extra.2 = extra.2.saturating_sub(by);
        }
        self.events.push(Event::Resized { order: *found, reason });
    }

    fn modify_in_place(
        &mut self,
        account: AccountId,
        target: &OrderSelector,
        r: &OrderRequest,
    ) -> Result<Option<Placed>, RejectCode> {
        let o = self.find(account, target)?;
        let same = o.market == r.market
            && o.side == r.side
            && o.price == r.price
            && o.tif == r.tif
            && o.reduce_only == r.reduce_only
            && (r.client_id.is_none() || r.client_id == o.client_id)
            && (r.expires_us, r.display) == (0, 0)
            && o.trigger.is_none()
            && !self.extras.contains_key(&o.order);
        if !same || r.size == 0 || r.size >= o.remaining {
            return Ok(None);
        }
        let least = self.spec.markets[usize::from(o.market.0)].notional_min;
        if !o.reduce_only && notional(o.market, o.price, r.size) < least.into() {
            return Err(RejectCode::Dust);
        }
        self.lessen(&o, o.remaining - r.size, ResizeReason::Modified);
        self.events.push(Event::Modified { old: o.order, new: o.order });
        Ok(Some(Placed { order: o.order, filled: 0, notional: 0, resting: r.size }))
    }

    fn place_market(&mut self, account: AccountId, r: &MarketOrderRequest) -> Reply {
        let venue = self.venues.get(usize::from(r.market.0)).ok_or(RejectCode::UnknownMarket)?;
        if venue.mark == 0 {
            return Err(RejectCode::NoMark);
        }
        let slip = u128::from(venue.mark) * u128::from(r.slippage_ppm) / 1_000_000;
        let most = self.spec.markets[usize::from(r.market.0)].price_max;
        let price = match r.side {
            Side::Buy => (u128::from(venue.mark) + slip).min(most.into()) as u64,
            Side::Sell => u128::from(venue.mark).saturating_sub(slip).max(1) as u64,
        };
        let request = OrderRequest {
            market: r.market,
            side: r.side,
            price,
            size: r.size,
            tif: Tif::Ioc,
            reduce_only: r.reduce_only,
            client_id: r.client_id,
            ..OrderRequest::default()
        };
        self.place(account, &request, None).map(Outcome::Placed)
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
        let mut result = closed_pnl - due + if isolated { margin } else { 0 };
        if isolated && result < 0 {
            self.fund_or_nobody(at, asset, -result);
            result = 0;
        }
        self.purse(at, asset, result);
        let account = AccountId(at as u32);
        self.events.push(Event::PositionSettled { account, market, size, price, closed_pnl });
        self.position_ended(account, market);
        Ok(Outcome::Done)
    }

    fn drop_order(&mut self, order: &Order, reason: CancelReason) {
        self.orders.retain(|o| o.order != order.order);
        self.extras.remove(&order.order);
        self.events.push(Event::Cancelled { order: *order, reason });
        self.untie(order.order.0);
    }

    /// What a taker meets, best price first, then oldest.
    fn queue(&self, order: &Order) -> Vec<Order> {
        let meets = |o: &&Order| {
            o.market == order.market
                && o.side != order.side
                && match order.side {
                    Side::Buy => o.price <= order.price,
                    Side::Sell => o.price >= order.price,
                }
        };
        let mut queue: Vec<Order> = self.orders.iter().filter(meets).copied().collect();
        queue.sort_by_key(|o| if order.side == Side::Buy { o.price } else { u64::MAX - o.price });
        queue
    }

    fn place(
        &mut self,
        account: AccountId,
        r: &OrderRequest,
        known: Option<u64>,
    ) -> Result<Placed, RejectCode> {
        let n = usize::from(r.market.0);
        let rules = self.spec.markets.get(n).ok_or(RejectCode::UnknownMarket)?.clone();
        let perpetual = self.perpetual(r.market);
        let mark = self.venues[n].mark;
        let worth = notional(r.market, r.price, r.size);
        let oracle = self.venues[n].oracle;
        let near = if oracle == 0 { mark } else { oracle };
        let off = u128::from(near.abs_diff(r.price)) * 1_000_000 > u128::from(near) * 200_000;
        let mine = self.mine(account);
        let slot = self.free_slot(account);
        let limits = self.spec.limits;
        let mut order = Order {
            order: OrderId(self.commands << 12 | u64::from(slot)),
            account,
            market: r.market,
            side: r.side,
            price: r.price,
            size: r.size,
            remaining: r.size,
            tif: r.tif,
            reduce_only: r.reduce_only,
            client_id: r.client_id,
            time_us: self.time_us,
            trigger: None,
        };
        let ioc = r.tif == Tif::Ioc || r.tif == Tif::Fok;
        let refused = match self.venues[n].status {
            MarketStatus::Open => false,
            MarketStatus::Auction => r.tif != Tif::Gtc,
            MarketStatus::PostOnly => r.tif != Tif::PostOnly,
            MarketStatus::ReduceOnly => !r.reduce_only || !perpetual,
            MarketStatus::CancelOnly | MarketStatus::Halted | MarketStatus::Settled => true,
        };
        let shows = notional(r.market, r.price, r.display.min(r.size));
        if ioc {
            order.order = OrderId(self.commands << 12);
        }
        order.order = known.map_or(order.order, OrderId);
        let auction = self.venues[n].status == MarketStatus::Auction;
        let queue = if auction { Vec::new() } else { self.queue(&order) };
        let own_first = queue.first().is_some_and(|o| o.account == account);
        for (wrong, code) in [
            (r.price == 0, RejectCode::OffTick),
            (r.size == 0, RejectCode::OffLot),
            (r.price > rules.price_max, RejectCode::Overflow),
            (r.size > rules.order_size_max, RejectCode::Overflow),
            (ioc && (r.expires_us, r.display) != (0, 0), RejectCode::Unsupported),
            (r.expires_us != 0 && r.expires_us <= self.time_us, RejectCode::Expired),
            (r.reduce_only && !perpetual, RejectCode::Unsupported),
            (refused, RejectCode::MarketPaused),
            (perpetual && mark == 0, RejectCode::NoMark),
            (near != 0 && off, RejectCode::PriceBand),
            (worth < rules.notional_min.into() && !r.reduce_only, RejectCode::Dust),
            (r.display != 0 && shows < rules.notional_min.into(), RejectCode::Dust),
            (
                r.client_id.is_some() && mine.iter().any(|o| o.client_id == r.client_id),
                RejectCode::DuplicateClientId,
            ),
            (
                !ioc && known.is_none() && slot >= limits.orders_per_account,
                RejectCode::TooManyOrders,
            ),
            (ioc && queue.is_empty(), RejectCode::NoLiquidity),
            (r.tif == Tif::PostOnly && !queue.is_empty(), RejectCode::WouldCross),
            (own_first && self.spec.self_trade == SelfTrade::CancelTaker, RejectCode::SelfTrade),
        ] {
            if wrong {
                return Err(code);
            }
        }
        if r.reduce_only {
            let most = self.reducible(&order);
            if most == 0 {
                return Err(RejectCode::NotReducing);
            }
            order.size = order.size.min(most);
            order.remaining = order.size;
        }
        if perpetual && !r.reduce_only {
            let (bids, asks, ..) = self.open(account, r.market);
            let held = self.owners[account.0 as usize].positions[n].size;
            if i128::from(held.abs()) + bids + asks + i128::from(r.size) >= 1 << 40 {
                return Err(RejectCode::Overflow);
            }
        }
        if perpetual && self.at_cap(&order) {
            return Err(RejectCode::AtCap);
        }
        // What it would trade at once if every order it meets were real; as many levels are
        // looked at as a command may have steps.
        let (mut left, mut pays) = (order.remaining, 0);
        let mut prices: Vec<u64> = queue.iter().map(|o| o.price).collect();
        prices.dedup();
        prices.truncate(limits.fills_per_command as usize);
        for price in prices {
            let there = queue.iter().filter(|o| o.price == price);
            let take = left.min(there.map(|o| o.remaining).sum());
            pays += notional(r.market, price, take);
            left -= take;
        }
        let rest = if ioc { 0 } else { left };
        let filled = order.remaining - left;
        if perpetual {
            if self.lacks_isolation(&order) {
                return Err(RejectCode::Unsupported);
            }
            if !self.covered(&order, filled, pays, rest) {
                return Err(RejectCode::InsufficientMargin);
            }
        } else if !self.affords(&order, pays, rest) {
            return Err(RejectCode::InsufficientBalance);
        }
        if r.tif == Tif::Fok && left > 0 {
            return Err(RejectCode::NoLiquidity);
        }
        self.events.push(Event::Accepted(order));
        let (traded, spent, stopped) = self.meet(&mut order, false);
        if r.tif == Tif::Fok && order.remaining > 0 {
            return Err(RejectCode::NoLiquidity);
        }
        let stopped = stopped.or(ioc.then_some(CancelReason::Immediate));
        let mut resting = 0;
        match stopped {
            _ if order.remaining == 0 => {}
            Some(reason) => self.events.push(Event::Cancelled { order, reason }),
            None => {
                let display = if r.display < order.remaining { r.display } else { 0 };
                if display != 0 || r.expires_us != 0 {
                    self.extras.insert(order.order, (r.expires_us, display, display));
                }
                self.orders.push(order);
                self.events.push(Event::Rested(order));
                resting = order.remaining;
            }
        }
        Ok(Placed { order: order.order, filled: traded, notional: spent, resting })
    }

    /// Trades an order with what it meets: lots, their value, and what stopped it before its end.
    /// Nobody asks for the margin of an order that is forced.
    fn meet(&mut self, order: &mut Order, forced: bool) -> (u64, i128, Option<CancelReason>) {
        let (account, limits) = (order.account, self.spec.limits);
        let perpetual = self.perpetual(order.market);
        let (mut traded, mut spent, mut stopped) = (0, 0, None);
        let mut steps = 0;
        while let Some(maker) = self.queue(order).first().copied() {
            let status = self.venues[usize::from(order.market.0)].status;
            if order.remaining == 0 || status == MarketStatus::Auction {
                break;
            }
            if steps == limits.fills_per_command {
                stopped = Some(CancelReason::TooManyFills);
                break;
            }
            steps += 1;
            let shown = self.shown(&maker);
            let cap = if maker.reduce_only { self.reducible(&maker) } else { u64::MAX };
            let size = order.remaining.min(shown).min(cap);
            let expires = self.extras.get(&maker.order).map_or(0, |extra| extra.0);
            let mut decremented = false;
            let skip = if expires != 0 && expires <= self.time_us {
                Some(CancelReason::Expired)
            } else if maker.account == account {
                match self.spec.self_trade {
                    SelfTrade::CancelTaker => {
                        stopped = Some(CancelReason::SelfTrade);
                        break;
                    }
                    SelfTrade::CancelMaker => {}
                    SelfTrade::Decrement => {
                        let by = order.remaining.min(shown);
                        order.remaining -= by;
                        let reason = CancelReason::SelfTrade;
                        if order.remaining == 0 {
                            let order = Order { remaining: by, ..*order };
                            self.events.push(Event::Cancelled { order, reason });
                        } else {
                            let (order, reason) = (*order, ResizeReason::SelfTrade);
                            self.events.push(Event::Resized { order, reason });
                        }
                        if by < shown {
                            self.lessen(&maker, by, ResizeReason::SelfTrade);
                            decremented = true;
                        }
                    }
                }
                Some(CancelReason::SelfTrade)
            } else if size == 0 {
                Some(CancelReason::ReduceOnly)
            } else if perpetual && !self.maker_covered(&maker, size) {
                Some(CancelReason::Margin)
            } else {
                None
            };
            if let Some(reason) = skip {
                if !decremented {
                    self.drop_order(&maker, reason);
                }
                if order.remaining == 0 {
                    break;
                }
                if forced {
                    continue;
                }
                let worst = notional(order.market, order.price, order.remaining);
                let goes_on = if perpetual {
                    self.covered(order, order.remaining, worst, 0)
                } else {
                    self.affords(order, worst, 0)
                };
                if !goes_on {
                    stopped = Some(CancelReason::Margin);
                    break;
                }
                continue;
            }
            traded += size;
            spent += self.trade(order, &maker, size);
        }
        if steps == limits.fills_per_command && order.remaining > 0 {
            stopped = stopped.or(Some(CancelReason::TooManyFills));
        }
        (traded, spent, stopped)
    }

    fn reducible(&self, order: &Order) -> u64 {
        let at = order.account.0 as usize;
        let size = self.owners[at].positions[usize::from(order.market.0)].size;
        let against = if order.side == Side::Buy { -size } else { size };
        against.max(0) as u64
    }

    fn affords(&self, order: &Order, pays: i128, rest: u64) -> bool {
        let at = order.account.0 as usize;
        match order.side {
            Side::Buy => self.free(at, USDC) >= pays + value(order.price, rest.into()),
            Side::Sell => self.free(at, COIN) >= LOT_UNITS * i128::from(order.remaining),
        }
    }

    /// Whether the maker's account has the initial margin for what this fill leads to.
    fn maker_covered(&self, maker: &Order, size: u64) -> bool {
        if self.reducible(maker) >= size || maker.market == SPOT {
            return true;
        }
        let (at, market) = (maker.account.0 as usize, maker.market);
        let n = usize::from(market.0);
        let mut after = self.clone();
        let found = after.orders.iter_mut().find(|o| o.order == maker.order).unwrap();
        found.remaining -= size;
        let worth = notional(market, maker.price, size);
        let fee = ceil(worth * i128::from(self.spec.markets[n].maker_fee_ppm.max(0)));
        after.fill_and_pay(at, market, maker.side, size, worth, 0);
        let (coin, base) = if n == 3 { (-fee, 0) } else { (0, -fee) };
        let pos = after.owners[at].positions[n];
        let (own, _, needs) = after.isolated(market, &pos);
        let (equity, initial, _) =
            after.margin(at, margin::Change { base, coin, ..Default::default() });
        equity >= initial && (!pos.isolated || own >= needs)
    }

    /// Takes what trades of a resting order off it; gives what is left.
    fn take_resting(&mut self, maker: &Order, size: u64) -> u64 {
        let found = self.orders.iter_mut().find(|o| o.order == maker.order).unwrap();
        found.remaining -= size;
        let maker_left = found.remaining;
        let again = *found;
        if let Some((_, display, shown)) = self.extras.get_mut(&maker.order)
            && *display > 0
        {
            *shown -= size;
            if *shown == 0 && maker_left > 0 {
                // The next part comes to the end of the queue.
                *shown = maker_left.min(*display);
                self.orders.retain(|o| o.order != maker.order);
                self.orders.push(again);
            }
        }
        if maker_left == 0 {
            self.extras.remove(&maker.order);
        }
        self.orders.retain(|o| o.remaining > 0);
        maker_left
    }

    fn trade(&mut self, taker: &mut Order, maker: &Order, size: u64) -> i128 {
        let n = usize::from(maker.market.0);
        let notional = notional(maker.market, maker.price, size);
        taker.remaining -= size;
        let maker_left = self.take_resting(maker, size);
        let rules = &self.spec.markets[n];
        let (maker_ppm, taker_ppm) =
            (i128::from(rules.maker_fee_ppm), i128::from(rules.taker_fee_ppm));
        // Floored towards the fund when it pays, up when it is paid.
        let fee = |ppm: i128, base: i128| {
            if ppm < 0 { -(base * -ppm / 1_000_000) } else { ceil(base * ppm) }
        };
        let mut party = |order: &Order, remaining: u64, ppm: i128| {
            let at = order.account.0 as usize;
            let mut party = Party {
                account: order.account,
                order: order.order,
                client_id: order.client_id,
                size: order.size,
                remaining,
                fee: 0,
                fee_asset: USDC,
                closed_pnl: 0,
                start_position: 0,
            };
            let buys = order.side == Side::Buy;
            if n == 2 {
                let owner = &mut self.owners[at];
                let units = LOT_UNITS * i128::from(size);
                let got = if buys { units } else { notional };
                party.fee_asset = if buys { COIN } else { USDC };
                party.fee = fee(ppm, got);
                owner.spot[0] += if buys { -notional } else { notional - party.fee };
                owner.spot[1] += if buys { units - party.fee } else { -units };
                return party;
            }
            let market = maker.market;
            party.start_position = self.owners[at].positions[n].size;
            party.fee_asset = if n == 3 { COIN } else { USDC };
            party.fee = fee(ppm, notional);
            party.closed_pnl = self.fill_and_pay(at, market, order.side, size, notional, party.fee);
            party
        };
        let maker_party = party(maker, maker_left, maker_ppm);
        let got =
            if n == 2 && taker.side == Side::Buy { LOT_UNITS * i128::from(size) } else { notional };
        let taker_party = party(taker, taker.remaining, taker_ppm);
        self.insure_fee(usize::from(taker_party.fee_asset.0), got * taker_ppm / 1_000_000);
        let venue = &mut self.venues[n];
        venue.last = maker.price;
        venue.trades += 1;
        self.events.push(Event::Filled(Fill {
            market: maker.market,
            trade: venue.trades,
            taker_side: taker.side,
            price: maker.price,
            size,
            notional,
            maker: maker_party,
            taker: taker_party,
        }));
        let held = [maker_party.start_position, taker_party.start_position];
        self.traded(maker, taker, size, held);
        notional
    }

    /// Open size by price, best first.
    pub(crate) fn levels(&self, market: MarketId, side: Side) -> Vec<LevelView> {
        let mut views: Vec<LevelView> = Vec::new();
        let mut orders = self.orders.clone();
        orders.retain(|o| o.market == market && o.side == side);
        orders.sort_by_key(|o| if side == Side::Sell { o.price } else { u64::MAX - o.price });
        for o in orders {
            match views.last_mut().filter(|view| view.price == o.price) {
                Some(view) => {
                    view.size += u128::from(self.shown(&o));
                    view.count += 1;
                }
                None => {
                    let size = self.shown(&o).into();
                    views.push(LevelView { price: o.price, size, count: 1 });
                }
            }
        }
        views
    }

    /// Mark, oracle, status, funding index and margin scales of a market.
    pub(crate) fn prices(&self, n: usize) -> (u64, u64, MarketStatus, i128, (u32, u32)) {
        let Venue { mark, oracle, status, prices, .. } = &self.venues[n];
        (*mark, *oracle, *status, prices.index, prices.scales)
    }
}
