//! Liquidation a second time: each step from its words, every list made by a scan of all accounts
//! and sorted anew.

mod estate;

use super::margin::{Change, Pos, notional, paid, worth};
use super::*;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Stage {
    #[default]
    Idle,
    Ranking,
    Ready,
    Clearing,
}

/// What bankrupt accounts left on a side of a market, and who is to take it over.
#[derive(Clone, Default)]
struct Left {
    size: i64,
    cost: i128,
    funding: i128,
    stage: Stage,
    next: usize,
    begun_us: u64,
    /// Lots that are split by profit, and the profit that they are split by.
    open: i128,
    profit: i128,
    /// Score and account.
    list: Vec<(u64, usize)>,
    /// Lots that accounts gave, and the profit they had before.
    gave: BTreeMap<usize, (i128, i128)>,
}

#[derive(Clone, Default)]
pub(crate) struct Ladder {
    /// By asset.
    pub insurance: [i128; 2],
    pub shortfall: [i128; 2],
    /// By market and whether long.
    left: BTreeMap<(u16, bool), Left>,
    cool_until: BTreeMap<usize, u64>,
    /// The latest window of 100 ms in which there was work, and how much.
    work: (u64, u64),
    /// How often what events do not tell happened.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Ladder {
    /// Lots that nobody has taken over.
    pub(crate) fn left(&self, market: MarketId, side: Side) -> i64 {
        self.left.get(&(market.0, side == Side::Buy)).map_or(0, |left| left.size)
    }

    /// What those cost.
    pub(crate) fn cost(&self, market: MarketId, side: Side) -> i128 {
        self.left.get(&(market.0, side == Side::Buy)).map_or(0, |left| left.cost)
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

/// What is being liquidated: the cross account, or the isolated position of a market.
#[derive(Clone, Copy)]
struct Case {
    at: usize,
    isolated: Option<MarketId>,
    equity: i128,
    maintenance: i128,
}

fn asset_of(market: MarketId) -> AssetId {
    if market == INV { COIN } else { USDC }
}

fn side_of(size: i64) -> Side {
    if size > 0 { Side::Buy } else { Side::Sell }
}

impl Twin {
    fn known(&self, who: &Address) -> Option<usize> {
        (0..self.owners.len()).find(|at| address(*at as u32) == *who)
    }

    pub(super) fn fund_gets(&mut self, asset: usize, amount: i128) {
        let ladder = &mut self.ladder;
        let repaid = amount.min(ladder.shortfall[asset]);
        ladder.shortfall[asset] -= repaid;
        ladder.insurance[asset] += amount - repaid;
    }

    /// The fund's part of a taker's fee.
    pub(super) fn insure_fee(&mut self, asset: usize, fee: i128) {
        self.fund_gets(asset, fee * i128::from(self.spec.liquidation.insurance_ppm) / 1_000_000);
    }

    /// Gain or loss that is nobody's but the fund's.
    fn fund_bears(&mut self, asset: usize, gain: i128) {
        if gain != 0 {
            let asset = AssetId(asset as u16);
            self.events.push(Event::InsuranceChanged { asset, amount: gain });
        }
        if gain >= 0 {
            return self.fund_gets(asset, gain);
        }
        let ladder = &mut self.ladder;
        let pays = ladder.insurance[asset].min(-gain);
        ladder.insurance[asset] -= pays;
        ladder.shortfall[asset] += -gain - pays;
    }

    /// The fund pays for an account, as far as it has.
    fn fund_pays(&mut self, at: usize, asset: AssetId, amount: i128) -> i128 {
        let has = &mut self.ladder.insurance[usize::from(asset.0)];
        let amount = amount.min(*has);
        if amount > 0 {
            *has -= amount;
            let account = AccountId(at as u32);
            self.events.push(Event::InsurancePaid { account, asset, amount });
        }
        amount
    }

    pub(super) fn fund_insurance(&mut self, at: usize, asset: AssetId, amount: i128) -> Reply {
        self.check_money(asset, Wallet::Collateral, amount)?;
        self.give(at, asset, Wallet::Collateral, -amount, BalanceCause::Insurance)?;
        self.fund_gets(usize::from(asset.0), amount);
        Ok(Outcome::Done)
    }

    fn worked(&mut self, units: usize) {
        let window = self.time_us / 100_000;
        if self.ladder.work.0 != window {
            self.ladder.work = (window, 0);
        }
        self.ladder.work.1 += units as u64;
    }

    fn busy(&self) -> Result<(), RejectCode> {
        let (window, done) = self.ladder.work;
        let most = self.spec.limits.liquidation_per_slot;
        let full = window == self.time_us / 100_000 && done >= u64::from(most);
        if full { Err(RejectCode::LiquidationsBusy) } else { Ok(()) }
    }

    fn open_for_trade(&self, market: MarketId) -> bool {
        use MarketStatus::{Auction, Halted, Settled};
        ![Auction, Halted, Settled].contains(&self.venues[usize::from(market.0)].status)
    }

    fn case(&self, at: usize, isolated: Option<MarketId>) -> Option<Case> {
        let (equity, maintenance) = match isolated {
            None => {
                let (equity, _, maintenance) = self.account(at);
                (equity, maintenance)
            }
            Some(market) => {
                let pos = self.owners[at].positions[usize::from(market.0)];
                if !pos.isolated || pos.size == 0 {
                    return None;
                }
                let (equity, _, maintenance) = self.isolated(market, &pos);
                (equity, maintenance)
            }
        };
        Some(Case { at, isolated, equity, maintenance })
    }

    /// All that may be liquidated now, for tests to choose from.
    pub(crate) fn due_now(&self) -> Vec<(u32, Option<MarketId>)> {
        let mut all = Vec::new();
        for at in 0..self.owners.len() {
            let markets = (0..self.spec.markets.len() as u16).map(|n| Some(MarketId(n)));
            for market in std::iter::once(None).chain(markets) {
                let case = self.case(at, market);
                if case.is_some_and(|case| case.equity < case.maintenance) {
                    all.push((at as u32, market));
                }
            }
        }
        all
    }

    /// Estates with something left to do.
    pub(crate) fn unfinished(&self) -> Vec<(MarketId, Side)> {
        let left = self.ladder.left.iter();
        let left = left.filter(|(_, left)| left.size != 0 || left.stage != Stage::Idle);
        let key = |(market, long): &(u16, bool)| {
            (MarketId(*market), if *long { Side::Buy } else { Side::Sell })
        };
        left.map(|(found, _)| key(found)).collect()
    }

    /// Collateral, coins, and the positions that are not isolated, of an account.
    pub(crate) fn estate_of(&self, n: u32) -> (i128, i128, Vec<(MarketId, i64)>) {
        let owner = &self.owners[n as usize];
        let all = (0u16..).map(MarketId).zip(&owner.positions);
        let held = all.filter(|(_, pos)| pos.size != 0 && !pos.isolated);
        (owner.collateral, owner.coins, held.map(|(market, pos)| (market, pos.size)).collect())
    }

    /// Size, margin and worth of an isolated position.
    pub(crate) fn isolated_of(&self, n: u32, market: MarketId) -> (i64, i128) {
        let pos = self.owners[n as usize].positions[usize::from(market.0)];
        if pos.isolated { (pos.size, self.isolated(market, &pos).0) } else { (0, 0) }
    }

    pub(crate) fn mark(&self, market: MarketId) -> u64 {
        self.venues[usize::from(market.0)].mark
    }

    pub(crate) fn accounts(&self) -> usize {
        self.owners.len()
    }

    pub(crate) fn markets_count(&self) -> usize {
        self.venues.len()
    }

    /// Coins and what settles in them, of a cross account.
    pub(crate) fn coins_of(&self, n: u32) -> i128 {
        let case = Case { at: n as usize, isolated: None, equity: 0, maintenance: 0 };
        self.of_asset(&case, COIN)
    }

    /// Size of a position, isolated or not.
    pub(crate) fn size_of(&self, n: u32, market: MarketId) -> i64 {
        self.owners[n as usize].positions[usize::from(market.0)].size
    }

    /// What so many lots settle at the mark.
    pub(crate) fn at_mark(&self, market: MarketId, lots: u64) -> i128 {
        notional(market, self.venues[usize::from(market.0)].mark, lots)
    }

    fn positions(&self, case: &Case) -> Vec<(MarketId, Pos)> {
        let all = (0u16..).map(MarketId).zip(self.owners[case.at].positions);
        let mine = all.filter(|(market, pos)| {
            pos.size != 0
                && match case.isolated {
                    Some(only) => only == *market,
                    None => !pos.isolated,
                }
        });
        mine.collect()
    }

    fn step(&mut self, case: &Case, step: LiquidationStep) {
        let Case { at, isolated: market, equity, maintenance } = *case;
        let account = AccountId(at as u32);
        self.events.push(Event::Liquidated { account, market, step, equity, maintenance });
    }

    pub(super) fn liquidate(&mut self, owner: &Address, market: Option<MarketId>) -> Reply {
        let at = self.known(owner).ok_or(RejectCode::UnknownAccount)?;
        if market.is_some_and(|m| usize::from(m.0) >= self.spec.markets.len()) {
            return Err(RejectCode::UnknownMarket);
        }
        let case = self.case(at, market).ok_or(RejectCode::NotLiquidatable)?;
        self.busy()?;
        if case.equity >= case.maintenance {
            return Err(RejectCode::NotLiquidatable);
        }
        // 1: orders.
        let mut orders = self.mine(AccountId(at as u32));
        orders.retain(|o| market.is_none_or(|m| m == o.market));
        orders.sort_by_key(|o| o.order.slot());
        orders.truncate(self.spec.limits.fills_per_command as usize);
        if !orders.is_empty() {
            self.step(&case, LiquidationStep::Orders);
            self.worked(orders.len());
            for order in &orders {
                // As it is by now, if it still is.
                let now = self.mine(AccountId(at as u32));
                if let Some(order) = now.iter().find(|o| o.order == order.order) {
                    self.drop_any(order, CancelReason::Liquidation);
                }
            }
            return Ok(Outcome::Done);
        }
        // 3 and 4: the vault.
        let third = i128::from(self.spec.liquidation.backstop_ppm);
        if case.equity * 1_000_000 < case.maintenance * third {
            let before = self.clone();
            if self.backstop(&case) {
                return Ok(Outcome::Done);
            }
            *self = before;
            self.ladder.count("vault could not");
        }
        // 5, or on with 2.
        if case.equity < 0 { self.bankrupt(&case) } else { self.by_book(&case) }
    }

    fn in_base(&self, market: MarketId, amount: i128) -> i128 {
        if market != INV {
            return amount;
        }
        let oracle = self.venues[0].oracle;
        let dear = if oracle == 0 { self.spec.markets[0].price_max } else { oracle };
        let product = amount * i128::from(dear);
        product / 1_000 + i128::from(product % 1_000 != 0)
    }

    /// What closes all of a position, its price still to be found.
    fn closing(&self, case: &Case, market: MarketId, pos: &Pos) -> Option<Order> {
        let size = pos.size.unsigned_abs();
        (size > 0).then(|| Order {
            order: OrderId(self.commands << 12),
            account: AccountId(case.at as u32),
            market,
            side: side_of(-pos.size),
            price: 0,
            size,
            remaining: size,
            tif: Tif::Ioc,
            reduce_only: true,
            client_id: None,
            time_us: self.time_us,
            trigger: None,
        })
    }

    /// The price furthest from the mark, against a position, at which all of it is closed, with the
    /// fee and each fill rounded, and nothing is owed.
    fn bankruptcy_price(&self, case: &Case, market: MarketId, pos: &Pos) -> Option<u64> {
        let (n, lots) = (usize::from(market.0), pos.size.unsigned_abs());
        let fills = lots.min(self.spec.limits.fills_per_command.into());
        let rounding = i128::from(fills) * if market == INV { 2 } else { 1 };
        let due = self.due(market, pos);
        let solvent = |price: u64| {
            let fee = i128::from(self.spec.markets[n].taker_fee_ppm);
            let costs = ceil(notional(market, price, lots) * fee) + rounding;
            let gain = worth(market, price, pos.size.into()) - pos.cost - due - costs;
            if case.isolated.is_some() {
                return pos.margin + gain >= 0;
            }
            let gone = Some((market, Pos::default(), (0, 0, 0, 0)));
            let (base, coin) = if market == INV { (0, gain) } else { (gain, 0) };
            self.margin(case.at, Change { market: gone, base, coin }).0 >= 0
        };
        let (mark, most) = (self.venues[n].mark, self.spec.markets[n].price_max);
        if !solvent(mark) {
            return None;
        }
        // The furthest from the mark, by ever smaller steps.
        let (mut limit, mut step) = (mark, 1u64 << 40);
        while step > 0 {
            let next = if pos.size > 0 { limit.saturating_sub(step) } else { limit + step };
            if next >= 1 && next <= most && solvent(next) {
                limit = next;
            } else {
                step /= 2;
            }
        }
        Some(limit)
    }

    fn by_book(&mut self, case: &Case) -> Reply {
        // The largest requirement first, of equals the lower market.
        let mut candidates = self.positions(case);
        candidates.retain(|(market, _)| self.open_for_trade(*market));
        candidates.sort_by_key(|(market, pos)| {
            let (_, _, maintenance) = self.isolated(*market, pos);
            std::cmp::Reverse(self.in_base(*market, maintenance))
        });
        let tried = candidates.iter().enumerate().find_map(|(n, (market, pos))| {
            let mut order = self.closing(case, *market, pos)?;
            order.price = self.bankruptcy_price(case, *market, pos)?;
            (!self.queue(&order).is_empty()).then_some((n, *market, *pos, order))
        });
        let (nth, market, pos, mut order) = tried.ok_or(RejectCode::NoLiquidity)?;
        if nth > 0 {
            self.ladder.count("not the largest");
        }
        let spec = self.spec.liquidation;
        let lots = pos.size.unsigned_abs();
        let value = self.in_base(market, self.magnitude(market, lots.into()));
        let cooling = self.ladder.cool_until.get(&case.at).is_some_and(|at| *at > self.time_us);
        let part = spec.partial_ppm > 0 && value > spec.partial_above.into() && !cooling;
        let size = match part {
            true => (u128::from(lots) * u128::from(spec.partial_ppm)).div_ceil(1_000_000) as u64,
            false => lots,
        };
        (order.size, order.remaining) = (size, size);
        self.step(case, LiquidationStep::Book);
        let before = self.events.len();
        self.events.push(Event::Accepted(order));
        let (filled, _, stopped) = self.meet(&mut order, true);
        self.worked(self.events.len() - before);
        if order.remaining > 0 {
            let reason = stopped.unwrap_or(CancelReason::Immediate);
            self.events.push(Event::Cancelled { order, reason });
        }
        if part && filled > 0 {
            self.ladder.count("in part");
            self.ladder.cool_until.insert(case.at, self.time_us + spec.cooldown_us);
        }
        Ok(Outcome::Done)
    }

    /// Changes an account's collateral for a liquidation, and tells of it.
    fn moved(&mut self, at: usize, asset: AssetId, change: i128) {
        if change == 0 {
            return;
        }
        let balance = self.purse(at, asset, change);
        let (account, wallet) = (AccountId(at as u32), Wallet::Collateral);
        let cause = BalanceCause::Liquidation;
        let event = Event::BalanceChanged { account, asset, wallet, change, balance, cause };
        self.events.push(event);
    }

    /// Money for what is being liquidated.
    fn favour(&mut self, case: &Case, asset: AssetId, change: i128) {
        self.moved(case.at, asset, change);
        let Some(market) = case.isolated.filter(|_| change != 0) else { return };
        self.purse(case.at, asset, -change);
        let pos = &mut self.owners[case.at].positions[usize::from(market.0)];
        pos.margin += change;
        let (account, margin) = (AccountId(case.at as u32), pos.margin);
        self.events.push(Event::IsolatedMargin { account, market, change, margin });
    }

    fn balance(&self, at: usize, asset: AssetId) -> i128 {
        if asset == USDC { self.owners[at].collateral } else { self.owners[at].coins }
    }

    fn backstop(&mut self, case: &Case) -> bool {
        let address = self.spec.liquidation.backstop;
        let Some(vault) = address.and_then(|address| self.known(&address)) else { return false };
        let positions = self.positions(case);
        let frozen = positions.iter().any(|(market, _)| !self.open_for_trade(*market));
        if vault == case.at || frozen || positions.is_empty() {
            return false;
        }
        self.step(case, LiquidationStep::Backstop);
        if case.equity < 0 {
            let asset = case.isolated.map_or(USDC, asset_of);
            if self.fund_pays(case.at, asset, -case.equity) < -case.equity {
                return false;
            }
            self.favour(case, asset, -case.equity);
        }
        for (market, pos) in &positions {
            let (n, at) = (usize::from(market.0), case.at);
            let lots = pos.size.unsigned_abs();
            self.enter_slot(vault, *market);
            let own = self.owners[vault].positions[n];
            let (bids, asks, ..) = self.open(AccountId(vault as u32), *market);
            let much = i128::from(own.size.abs()) + bids + asks + i128::from(lots);
            if own.isolated || much >= 1 << 40 {
                self.ladder.count("vault is isolated");
                return false;
            }
            let asset = asset_of(*market);
            let value = self.at_mark(*market, lots);
            self.purse(at, asset, 0);
            let before = self.balance(at, asset);
            let side = side_of(pos.size);
            let closed = self.fill_and_pay(at, *market, side.opposite(), lots, value, 0);
            let came = self.balance(at, asset) - before;
            let taken = self.fill_and_pay(vault, *market, side, lots, value, 0);
            let (from, to) = (Some(AccountId(at as u32)), Some(AccountId(vault as u32)));
            self.events.push(Event::PositionTaken {
                market: *market,
                from,
                to,
                size: pos.size,
                value: paid(*market, pos.size.signum().into(), value),
                closed_pnl: closed,
                taker_pnl: taken,
            });
            if pos.isolated {
                self.moved(at, asset, -came);
                self.moved(vault, asset, came);
            }
            if own.size != 0 && (own.size + pos.size).signum() != own.size.signum() {
                self.ladder.count("vault closed");
                self.position_ended(AccountId(vault as u32), *market);
            }
        }
        if case.isolated.is_none() {
            self.purse(case.at, USDC, 0);
            for asset in [COIN, USDC] {
                if asset == COIN && self.owners[case.at].coins == 0 {
                    continue;
                }
                self.purse(case.at, asset, 0);
                let all = self.balance(case.at, asset);
                self.moved(case.at, asset, -all);
                self.moved(vault, asset, all);
            }
        }
        self.worked(positions.len());
        let (equity, initial, _) = self.account(vault);
        let factor = i128::from(self.spec.liquidation.backstop_margin_ppm);
        equity * 1_000_000 >= initial * factor
    }

    /// What there is of an asset, with what settles in it.
    fn of_asset(&self, case: &Case, asset: AssetId) -> i128 {
        if let Some(market) = case.isolated {
            let pos = self.owners[case.at].positions[usize::from(market.0)];
            let is = asset == asset_of(market) && pos.size != 0;
            return if is { self.isolated(market, &pos).0 } else { 0 };
        }
        let owner = &self.owners[case.at];
        let mut sum = self.owed_less_interest(case.at, asset);
        for (market, pos) in (0u16..).map(MarketId).zip(owner.positions) {
            if pos.size != 0 && !pos.isolated && asset_of(market) == asset {
                let mark = self.venues[usize::from(market.0)].mark;
                sum += worth(market, mark, pos.size.into()) - pos.cost - self.due(market, &pos);
            }
        }
        sum
    }
}
