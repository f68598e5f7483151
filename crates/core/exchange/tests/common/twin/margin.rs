//! The twin's margin: every rule of funding, tiers, isolated positions, inverse contracts, other
//! collateral and interest, word by word. The inverse market's contract is 100 dollars in coins of
//! 10⁻⁸ and ticks of a tenth of a dollar: 10¹¹ / price units a lot.

use super::*;

pub(super) const LOT_VALUE: i128 = 100_000_000_000;
const NANO: i128 = 1_000_000_000;
const YEAR_US: u128 = 31_536_000_000_000;

#[derive(Clone, Copy, Default)]
pub(crate) struct Pos {
    pub size: i64,
    pub cost: i128,
    pub leverage: u8,
    pub isolated: bool,
    /// Cumulative funding when it was settled.
    pub funding: i128,
    /// Its own margin.
    pub margin: i128,
}

/// Bids, asks and their notionals that can enlarge a position.
pub(super) type Open = (i128, i128, i128, i128);

/// What would be: a position with its open orders, and changes of balances.
#[derive(Clone, Copy, Default)]
pub(super) struct Change {
    pub market: Option<(MarketId, Pos, Open)>,
    pub base: i128,
    pub coin: i128,
}

fn up(product: i128, divisor: i128) -> i128 {
    -(-product).div_euclid(divisor)
}

/// `a × b / c` rounded up, bit by bit.
fn mul_div_up(a: u128, b: u128, c: u128) -> i128 {
    let (mut quotient, mut rest) = (0u128, 0u128);
    for bit in (0..128).rev() {
        quotient *= 2;
        rest *= 2;
        if a >> bit & 1 == 1 {
            rest += b;
        }
        quotient += rest / c;
        rest %= c;
    }
    (quotient + u128::from(rest > 0)) as i128
}

fn times(weighted: i128, scale: u32) -> i128 {
    mul_div_up(weighted as u128, scale.max(1_000_000).into(), 1_000_000)
}

/// What both sides of a fill book.
pub(super) fn notional(market: MarketId, price: u64, size: u64) -> i128 {
    match market.0 {
        3 if price == 0 => 0,
        3 => LOT_VALUE * i128::from(size) / i128::from(price),
        _ => i128::from(price) * i128::from(size),
    }
}

/// What holding so many lots is worth, rounded down.
pub(super) fn worth(market: MarketId, price: u64, size: i128) -> i128 {
    match market.0 {
        3 if price == 0 => 0,
        3 => (-LOT_VALUE * size).div_euclid(price.into()),
        _ => i128::from(price) * size,
    }
}

/// What a buy (sign 1) or a sell (−1) adds to a cost basis.
pub(super) fn paid(market: MarketId, sign: i128, notional: i128) -> i128 {
    if market.0 == 3 { -sign * notional } else { sign * notional }
}

impl Twin {
    pub(super) fn perpetual(&self, market: MarketId) -> bool {
        market.0 != 2
    }

    fn markets(&self) -> impl Iterator<Item = MarketId> + use<> {
        let count = self.spec.markets.len() as u16;
        (0..count).map(MarketId).filter(|m| *m != SPOT)
    }

    /// The tiers from a value on: bound, initial and maintenance.
    fn tiers(&self, market: MarketId) -> Vec<(i128, i128, i128)> {
        let spec = &self.spec.markets[usize::from(market.0)];
        let Product::Perpetual { initial_margin_ppm, maintenance_margin_ppm, .. } = spec.product
        else {
            unreachable!()
        };
        let mut tiers = vec![(0, i128::from(initial_margin_ppm), maintenance_margin_ppm.into())];
        for tier in &spec.risk.tiers {
            tiers.push((
                tier.lower_bound.into(),
                tier.initial_margin_ppm.into(),
                tier.maintenance_margin_ppm.into(),
            ));
        }
        tiers
    }

    fn initial_ppm(&self, market: MarketId, value: i128, leverage: u8) -> i128 {
        let of_tier = self.tiers(market).iter().filter(|t| t.0 <= value).map(|t| t.1).max();
        let chosen = if leverage == 0 { 0 } else { up(1_000_000, leverage.into()) };
        of_tier.unwrap().max(chosen)
    }

    /// Each part of the value at the rate of its tier, × 10⁶.
    fn maintenance_weighted(&self, market: MarketId, value: i128) -> i128 {
        let tiers = self.tiers(market);
        let mut sum = 0;
        for (n, (from, _, rate)) in tiers.iter().enumerate() {
            let to = tiers.get(n + 1).map_or(value, |next| next.0.min(value));
            sum += (to - from).max(0) * rate;
        }
        sum
    }

    pub(super) fn due(&self, market: MarketId, pos: &Pos) -> i128 {
        let now = self.venues[usize::from(market.0)].prices.index;
        up(i128::from(pos.size) * (now - pos.funding), NANO)
    }

    /// Interest on what is owed.
    fn interest(&self, balance: i128, asset: usize, since: u128) -> i128 {
        if balance >= 0 {
            return 0;
        }
        let change = self.borrow[asset] - since;
        mul_div_up(balance.unsigned_abs(), change, 1_000_000 * YEAR_US)
    }

    /// Bids, asks and their notionals that can enlarge a position.
    pub(super) fn open(&self, account: AccountId, market: MarketId) -> Open {
        let mut sums = (0, 0, 0, 0);
        for o in self.orders.iter().filter(|o| o.account == account && o.market == market) {
            let size = i128::from(o.remaining);
            // What an inverse order reserves is counted lot by lot, with 16 bits more.
            let reserved = match market.0 {
                3 => (LOT_VALUE << 16) / i128::from(o.price) * size,
                _ => i128::from(o.price) * size,
            };
            match (o.reduce_only, o.side) {
                (true, _) => {}
                (_, Side::Buy) => sums = (sums.0 + size, sums.1, sums.2 + reserved, sums.3),
                (_, Side::Sell) => sums = (sums.0, sums.1 + size, sums.2, sums.3 + reserved),
            }
        }
        sums
    }

    fn in_units(&self, market: MarketId, reserved: i128) -> i128 {
        if market.0 == 3 { reserved >> 16 } else { reserved }
    }

    /// What the open orders of an isolated position would ask for, × 10⁶.
    fn isolated_reserve(&self, market: MarketId, pos: &Pos, open: Open) -> i128 {
        let scale = self.venues[usize::from(market.0)].prices.scales.0;
        let size = i128::from(pos.size);
        let side = |lots: i128, notional: i128, against: i128| {
            let closes = against.max(0);
            let opens = (lots - closes).max(0);
            if opens == 0 {
                return 0;
            }
            let value = if opens == lots { notional } else { mul_floor(notional, opens, lots) + 1 };
            let whole = value + if closes == 0 { pos.cost.abs() } else { 0 };
            times(value * self.initial_ppm(market, whole, pos.leverage), scale)
        };
        let bids = side(open.0, self.in_units(market, open.2), -size);
        bids.max(side(open.1, self.in_units(market, open.3), size))
    }

    /// Equity, initial and maintenance requirement of the cross account, as it would be.
    pub(super) fn margin(&self, at: usize, change: Change) -> (i128, i128, i128) {
        let owner = &self.owners[at];
        let has_coins = owner.coins != 0;
        let mut base = owner.collateral + change.base;
        if has_coins {
            base -= self.interest(owner.collateral, 0, owner.base_index);
        }
        let mut coins = owner.coins - self.interest(owner.coins, 1, owner.coin_index);
        coins += change.coin;
        // By what they settle in: requirement × 10⁶, reserves, maintenance × 10⁶.
        let mut sums = [(0, 0, 0); 2];
        for market in self.markets() {
            let n = usize::from(market.0);
            let mut it = (owner.positions[n], self.open(AccountId(at as u32), market));
            if let Some((_, pos, open)) = change.market.filter(|(m, ..)| *m == market) {
                it = (pos, open);
            }
            let (pos, open) = it;
            let venue = &self.venues[n];
            let sum = &mut sums[usize::from(n == 3)];
            let (bid_notional, ask_notional) =
                (self.in_units(market, open.2), self.in_units(market, open.3));
            let fee = i128::from(self.spec.markets[n].maker_fee_ppm.max(0));
            if pos.isolated {
                sum.0 += self.isolated_reserve(market, &pos, open);
                sum.0 += self.in_units(market, open.2 + open.3) * fee;
                continue;
            }
            let size = i128::from(pos.size);
            let gain = worth(market, venue.mark, size) - pos.cost - self.due(market, &pos);
            if n == 3 {
                coins += gain;
            } else {
                base += gain;
            }
            let magnitude = |lots: i128| self.magnitude(market, lots);
            let worst = magnitude((size + open.0).abs().max((size - open.1).abs()));
            sum.0 +=
                times(worst * self.initial_ppm(market, worst, pos.leverage), venue.prices.scales.0);
            sum.2 +=
                times(self.maintenance_weighted(market, magnitude(size)), venue.prices.scales.1);
            sum.1 += (paid(market, 1, bid_notional) - worth(market, venue.mark, open.0)).max(0);
            sum.1 += (paid(market, -1, ask_notional) - worth(market, venue.mark, -open.1)).max(0);
            sum.0 += (bid_notional + ask_notional) * fee;
        }
        let oracle = self.venues[0].oracle;
        let dear = i128::from(if oracle == 0 { self.spec.markets[0].price_max } else { oracle });
        let equity = base
            + if coins >= 0 {
                let value = coins * i128::from(oracle) / 1_000;
                let keep = 1_000_000 - self.haircut();
                value / 1_000_000 * keep + value % 1_000_000 * keep / 1_000_000
            } else {
                -up(-coins * dear, 1_000)
            };
        let convert = |coins: i128| up(coins * dear, 1_000);
        (
            equity,
            ceil(sums[0].0) + sums[0].1 + convert(ceil(sums[1].0) + sums[1].1),
            ceil(sums[0].2) + convert(ceil(sums[1].2)),
        )
    }

    /// What an account has of an asset in its collateral wallet, less the interest that it owes.
    pub(super) fn owed_less_interest(&self, at: usize, asset: AssetId) -> i128 {
        let owner = &self.owners[at];
        match asset {
            USDC if owner.coins == 0 => owner.collateral,
            USDC => owner.collateral - self.interest(owner.collateral, 0, owner.base_index),
            _ => owner.coins - self.interest(owner.coins, 1, owner.coin_index),
        }
    }

    pub(super) fn haircut(&self) -> i128 {
        self.spec.assets[1].pledge.map_or(0, |pledge| pledge.haircut_ppm.into())
    }

    /// What an isolated position is worth, and its initial and maintenance requirement.
    pub(super) fn isolated(&self, market: MarketId, pos: &Pos) -> (i128, i128, i128) {
        let venue = &self.venues[usize::from(market.0)];
        let size = i128::from(pos.size);
        let magnitude = self.magnitude(market, size);
        let initial = magnitude * self.initial_ppm(market, magnitude, pos.leverage);
        let equity =
            pos.margin + worth(market, venue.mark, size) - pos.cost - self.due(market, pos);
        (
            equity,
            ceil(times(initial, venue.prices.scales.0)),
            ceil(times(self.maintenance_weighted(market, magnitude), venue.prices.scales.1)),
        )
    }

    pub(super) fn magnitude(&self, market: MarketId, lots: i128) -> i128 {
        let mark = self.venues[usize::from(market.0)].mark;
        // For an inverse contract rounded up, which is what a long owes.
        if market.0 == 3 {
            -worth(market, mark, lots.abs())
        } else {
            worth(market, mark, lots.abs())
        }
    }

    /// Applies a fill to a position: what it realised, and what the cross account gets or gives.
    pub(super) fn filled(
        &self,
        market: MarketId,
        pos: &mut Pos,
        sign: i64,
        size: u64,
        notional: i128,
    ) -> (i128, i128) {
        let held = pos.size;
        let closes = (-sign * held).max(0).min(size as i64);
        let opens = size as i64 - closes;
        let (mut pnl, mut back) = (0, 0);
        let total = paid(market, sign.into(), notional);
        let mut closing = 0;
        if closes > 0 {
            let released = mul_trunc(pos.cost, closes.into(), held.abs().into());
            closing = mul_trunc(total, closes.into(), size.into());
            pnl = -released - closing;
            pos.cost -= released;
            back = mul_trunc(pos.margin, closes.into(), held.abs().into());
        }
        pos.cost += total - closing;
        pos.size += sign * size as i64;
        if !pos.isolated {
            return (pnl, pnl);
        }
        let mut moved = 0;
        if opens > 0 {
            let value = notional - mul_trunc(notional, closes.into(), size.into());
            let ppm = self.initial_ppm(market, pos.cost.abs(), pos.leverage);
            moved = ceil(times(value * ppm, self.venues[usize::from(market.0)].prices.scales.0));
        }
        pos.margin += moved - back;
        (pnl, pnl + back - moved)
    }

    /// A fill's position, funding and margin; the cross account gets what it gets less the fee.
    pub(super) fn fill_and_pay(
        &mut self,
        at: usize,
        market: MarketId,
        side: Side,
        size: u64,
        notional: i128,
        fee: i128,
    ) -> i128 {
        let n = usize::from(market.0);
        let due = self.settle(at, market);
        let mut pos = self.owners[at].positions[n];
        let before = pos.margin;
        if pos.isolated {
            pos.margin -= due;
        }
        let sign = if side == Side::Buy { 1 } else { -1 };
        let (pnl, to_cross) = self.filled(market, &mut pos, sign, size, notional);
        pos.funding = if pos.size == 0 { 0 } else { self.venues[n].prices.index };
        self.owners[at].positions[n] = pos;
        let cross_due = if pos.isolated { 0 } else { due };
        let asset = if n == 3 { COIN } else { USDC };
        self.purse(at, asset, to_cross - fee - cross_due);
        if pos.isolated {
            let (account, margin, change) = (AccountId(at as u32), pos.margin, pos.margin - before);
            self.events.push(Event::IsolatedMargin { account, market, change, margin });
        }
        pnl
    }

    /// Settles a position's funding: it pays, from its own margin if it is isolated.
    pub(super) fn settle(&mut self, at: usize, market: MarketId) -> i128 {
        let n = usize::from(market.0);
        let pos = self.owners[at].positions[n];
        let now = self.venues[n].prices.index;
        if pos.size == 0 || now == pos.funding {
            return 0;
        }
        let amount = self.due(market, &pos);
        let change = now - pos.funding;
        self.owners[at].positions[n].funding = now;
        let account = AccountId(at as u32);
        self.events.push(Event::FundingPaid { account, market, size: pos.size, amount, change });
        amount
    }

    /// Changes what an account has of an asset in its collateral wallet.
    pub(super) fn purse(&mut self, at: usize, asset: AssetId, change: i128) -> i128 {
        let account = AccountId(at as u32);
        let owner = &self.owners[at];
        let had = owner.coins != 0;
        if asset == USDC && !had {
            self.owners[at].collateral += change;
            return self.owners[at].collateral;
        }
        let base_due = if had { self.interest(owner.collateral, 0, owner.base_index) } else { 0 };
        let coin_due = match asset {
            COIN => self.interest(owner.coins, 1, owner.coin_index),
            _ => 0,
        };
        for (asset, amount) in [(USDC, base_due), (COIN, coin_due)] {
            if amount != 0 {
                self.fund_gets(usize::from(asset.0), amount);
                self.events.push(Event::InterestPaid { account, asset, amount });
            }
        }
        let borrow = self.borrow;
        let owner = &mut self.owners[at];
        owner.collateral -= base_due;
        if asset == USDC {
            owner.collateral += change;
        } else {
            owner.coins += change - coin_due;
            owner.coin_index = borrow[1];
        }
        owner.base_index = borrow[0];
        if asset == USDC { owner.collateral } else { owner.coins }
    }

    /// Whether an order's consequences are covered.
    pub(super) fn covered(&self, order: &Order, filled: u64, pays: i128, rest: u64) -> bool {
        let (at, market) = (order.account.0 as usize, order.market);
        let n = usize::from(market.0);
        let venue = &self.venues[n];
        let before = self.owners[at].positions[n];
        let sign: i64 = if order.side == Side::Buy { 1 } else { -1 };
        let mut open = self.open(order.account, market);
        let same_side = if sign == 1 { open.0 } else { open.1 };
        let reduces = order.reduce_only
            || same_side + i128::from(order.remaining) <= i128::from(self.reducible(order));
        if !order.reduce_only {
            let lots = i128::from(rest);
            let reserved = match n {
                3 => (LOT_VALUE << 16) / i128::from(order.price) * lots,
                _ => i128::from(order.price) * lots,
            };
            match order.side {
                Side::Buy => open = (open.0 + lots, open.1, open.2 + reserved, open.3),
                Side::Sell => open = (open.0, open.1 + lots, open.2, open.3 + reserved),
            }
        }
        let fee = ceil(pays * i128::from(self.spec.markets[n].taker_fee_ppm));
        let loss = |notional: i128, size: u64| {
            paid(market, sign.into(), notional)
                - worth(market, venue.mark, i128::from(sign) * i128::from(size))
        };
        let resting = notional(market, order.price, rest);
        let (lost, rest_lost) = (loss(pays, filled), loss(resting, rest).max(0));
        // What maintenance closing frees.
        let held = i128::from(before.size.abs());
        let lots = i128::from(filled) + i128::from(rest);
        let freed = if self.spec.markets[n].risk.tiers.is_empty() {
            let rate = self.tiers(market)[0].2;
            times(self.magnitude(market, lots) * rate, venue.prices.scales.1) / 1_000_000
        } else {
            let of = |lots: i128| {
                let value = self.magnitude(market, lots);
                times(self.maintenance_weighted(market, value), venue.prices.scales.1)
            };
            (of(held) - of((held - lots).max(0))).max(0) / 1_000_000
        };
        // Funding is settled first.
        let mut pos = before;
        let due = self.due(market, &pos);
        pos.funding = venue.prices.index;
        if before.isolated {
            pos.margin -= due;
            let (_, mut to_cross) = self.filled(market, &mut pos, sign, filled, pays);
            to_cross -= fee;
            let cross = pos;
            self.filled(market, &mut pos, sign, rest, resting);
            let (equity, _, maintenance) = self.isolated(market, &pos);
            if equity < maintenance && !(reduces && lost + rest_lost <= freed) {
                return false;
            }
            if reduces && to_cross >= 0 {
                return true;
            }
            let mut after = before;
            after.size = cross.size;
            after.cost = if filled == 0 { before.cost + due } else { cross.cost };
            let mut change = Change { market: Some((market, after, open)), ..Change::default() };
            if n == 3 {
                change.coin = to_cross
            } else {
                change.base = to_cross
            }
            let (equity, initial, maintenance) = self.margin(at, change);
            return equity >= if reduces { maintenance } else { initial };
        }
        if reduces && lost + rest_lost + fee <= freed {
            return true;
        }
        pos.size += sign * filled as i64;
        pos.cost += due + paid(market, sign.into(), pays);
        let charge = fee + if reduces { rest_lost } else { 0 };
        let mut change = Change { market: Some((market, pos, open)), ..Change::default() };
        if n == 3 {
            change.coin = -charge
        } else {
            change.base = -charge
        }
        let (equity, initial, maintenance) = self.margin(at, change);
        equity >= if reduces { maintenance } else { initial }
    }

    pub(super) fn set_leverage(
        &mut self,
        at: usize,
        market: MarketId,
        leverage: u8,
        isolated: bool,
    ) -> Reply {
        let n = usize::from(market.0);
        if n >= self.spec.markets.len() {
            return Err(RejectCode::UnknownMarket);
        }
        if market == SPOT {
            return Err(RejectCode::Unsupported);
        }
        let most = 1_000_000 / self.tiers(market)[0].1;
        if !(1..=most).contains(&i128::from(leverage)) {
            return Err(RejectCode::InsufficientMargin);
        }
        if self.spec.markets[n].risk.isolated_only && !isolated {
            return Err(RejectCode::Unsupported);
        }
        let old = self.owners[at].positions[n];
        let switches = old.isolated != isolated;
        if switches && old.size != 0 {
            return Err(RejectCode::PositionOpen);
        }
        let pos = &mut self.owners[at].positions[n];
        (pos.leverage, pos.isolated) = (leverage, isolated);
        let pos = *pos;
        let tightens = old.leverage == 0 || leverage < old.leverage;
        if tightens && isolated && pos.size != 0 {
            let (equity, initial, _) = self.isolated(market, &pos);
            if equity < initial {
                return Err(RejectCode::InsufficientMargin);
            }
        }
        self.enter_slot(at, market);
        let account = AccountId(at as u32);
        let (bids, asks, ..) = self.open(account, market);
        let carries = pos.size != 0 || bids != 0 || asks != 0;
        let (equity, initial, _) = self.margin(at, Change::default());
        if (tightens || switches) && carries && equity < initial {
            return Err(RejectCode::InsufficientMargin);
        }
        self.events.push(Event::LeverageSet { account, market, leverage, isolated });
        Ok(Outcome::Done)
    }

    pub(super) fn adjust_margin(&mut self, at: usize, market: MarketId, amount: i128) -> Reply {
        let n = usize::from(market.0);
        if n >= self.spec.markets.len() {
            return Err(RejectCode::UnknownMarket);
        }
        if amount == 0 || amount.abs() > 1 << 96 {
            return Err(RejectCode::Overflow);
        }
        let pos = self.owners[at].positions[n];
        if !pos.isolated || pos.size == 0 {
            return Err(RejectCode::Unsupported);
        }
        let asset = if n == 3 { COIN } else { USDC };
        if amount > 0 {
            self.may_leave(at, asset, amount)?;
        } else {
            let (equity, initial, _) = self.isolated(market, &pos);
            let tenth = ceil(self.magnitude(market, pos.size.into()) * 100_000);
            if equity - initial.max(tenth) < -amount {
                return Err(RejectCode::InsufficientMargin);
            }
        }
        self.purse(at, asset, -amount);
        self.owners[at].positions[n].margin += amount;
        let (account, margin) = (AccountId(at as u32), pos.margin + amount);
        self.events.push(Event::IsolatedMargin { account, market, change: amount, margin });
        Ok(Outcome::Done)
    }

    /// Whether so much may leave a collateral wallet.
    pub(super) fn may_leave(
        &self,
        at: usize,
        asset: AssetId,
        amount: i128,
    ) -> Result<(), RejectCode> {
        let owner = &self.owners[at];
        let due = match asset {
            USDC if owner.coins == 0 => 0,
            USDC => self.interest(owner.collateral, 0, owner.base_index),
            _ => self.interest(owner.coins, 1, owner.coin_index),
        };
        let have = if asset == USDC { owner.collateral } else { owner.coins } - due;
        if have < amount {
            return Err(RejectCode::InsufficientBalance);
        }
        let mut change = Change::default();
        if asset == USDC {
            change.base = -amount
        } else {
            change.coin = -amount
        }
        let (equity, initial, _) = self.margin(at, change);
        if equity < initial { Err(RejectCode::InsufficientMargin) } else { Ok(()) }
    }

    /// Whether the caps leave room for an order that can enlarge the position.
    pub(super) fn at_cap(&self, order: &Order) -> bool {
        let n = usize::from(order.market.0);
        let risk = &self.spec.markets[n].risk;
        let cap = u128::from(risk.open_interest_max);
        let same = self.open(order.account, order.market);
        let reducible = self.reducible(order);
        let reduces = order.reduce_only
            || if order.side == Side::Buy { same.0 } else { same.1 } + i128::from(order.size)
                <= i128::from(reducible);
        if cap == 0 || reduces {
            return false;
        }
        let long: u128 = self.owners.iter().map(|o| o.positions[n].size.max(0) as u128).sum();
        let long = long + self.ladder.left(order.market, Side::Buy) as u128;
        let opens = order.size.saturating_sub(reducible);
        let held = i128::from(self.owners[order.account.0 as usize].positions[n].size);
        let after = match order.side {
            Side::Buy => held + same.0 + i128::from(order.size),
            Side::Sell => held - same.1 - i128::from(order.size),
        };
        let most = cap * u128::from(risk.concentration_ppm) / 1_000_000;
        long + u128::from(opens) > cap
            || risk.concentration_ppm != 0 && after.unsigned_abs() > most.max(1)
    }

    /// Equity, initial and maintenance requirement of an account.
    pub(crate) fn account(&self, at: usize) -> (i128, i128, i128) {
        self.margin(at, Change::default())
    }
}

/// `a × b / c` toward zero.
fn mul_trunc(a: i128, b: i128, c: i128) -> i128 {
    a.signum() * mul_floor(a.abs(), b, c)
}

fn mul_floor(a: i128, b: i128, c: i128) -> i128 {
    // c < 2⁴¹: the rest times b fits.
    a / c * b + a % c * b / c
}
