//! What bankrupt accounts leave, and who takes it over.

use super::*;

/// `a × b / c` rounded down, for what is not negative: long division, bit by bit.
fn mul_div(a: i128, b: i128, c: i128) -> (i128, bool) {
    let (mut quotient, mut rest) = (0i128, 0i128);
    for bit in (0..127).rev() {
        (quotient, rest) = (quotient * 2, rest * 2);
        if a >> bit & 1 == 1 {
            rest += b % c;
        }
        quotient += rest / c;
        rest %= c;
    }
    (quotient + a * (b / c), rest > 0)
}

/// A number of 63 significant bits, lower ones dropped: mantissa and exponent.
fn float(mut mantissa: u128, mut exponent: i32) -> (u128, i32) {
    while mantissa >= 1 << 63 {
        (mantissa, exponent) = (mantissa / 2, exponent + 1);
    }
    while mantissa < 1 << 62 {
        (mantissa, exponent) = (mantissa * 2, exponent - 1);
    }
    (mantissa, exponent)
}

fn whole(amount: i128) -> (u128, i32) {
    float(amount.max(1) as u128, 0)
}

fn over(a: (u128, i32), b: (u128, i32)) -> (u128, i32) {
    float((a.0 << 64) / b.0, a.1 - b.1 - 64)
}

fn product(a: (u128, i32), b: (u128, i32)) -> (u128, i32) {
    float(a.0 * b.0, a.1 + b.1)
}

/// Exponent in so many bits, the lowest standing for 2^-`lowest`, and mantissa in so many.
fn small(number: (u128, i32), lowest: i32, powers: u32, bits: u32) -> u64 {
    let power = number.1 + 62;
    if power < -lowest {
        return 0;
    }
    if power >= (1 << powers) - lowest {
        return (1 << (powers + bits)) - 1;
    }
    let fraction = (number.0 - (1 << 62)) >> (62 - bits);
    ((power + lowest) as u64) * (1 << bits) + fraction as u64
}

/// Who has a profit comes by what it is per lot; then, by what it would be per lot given; then the
/// others.
fn first(profit: i128, lots: i128) -> u64 {
    (1 << 23) + small(over(whole(profit), whole(lots)), 20, 6, 17)
}

fn second(profit: i128, given: i128) -> u64 {
    (1 << 22) + small(over(whole(profit), whole(given + 1)), 20, 7, 15)
}

impl Twin {
    pub(super) fn bankrupt(&mut self, case: &Case) -> Reply {
        let positions = self.positions(case);
        if positions.iter().any(|(market, _)| !self.open_for_trade(*market)) {
            return Err(RejectCode::NoLiquidity);
        }
        let step = match positions.len() {
            0 => LiquidationStep::Insurance,
            _ => LiquidationStep::Deleveraging,
        };
        self.step(case, step);
        self.worked(positions.len() + 1);
        // The fund buys coins, less their haircut, as far as it has dollars.
        let coins = self.of_asset(case, COIN);
        if case.isolated.is_none() && coins > 0 {
            let oracle = i128::from(self.venues[0].oracle);
            let value = coins * oracle / 1_000;
            let keep = 1_000_000 - self.haircut();
            let bid = mul_div(value, keep, 1_000_000).0;
            let paid = self.fund_pays(case.at, USDC, bid);
            self.favour(case, USDC, paid);
            self.ladder.count("coins bought");
        }
        for asset in [USDC, COIN] {
            let missing = -self.of_asset(case, asset);
            if missing > 0 {
                let paid = self.fund_pays(case.at, asset, missing);
                self.favour(case, asset, paid);
                self.leave(case, asset, missing - paid);
            }
        }
        for asset in [USDC, COIN] {
            if self.of_asset(case, asset) >= 0 {
                self.leave(case, asset, 0);
            }
        }
        if case.isolated.is_some() {
            return Ok(Outcome::Done);
        }
        // What is left is the fund's.
        for asset in [COIN, USDC] {
            if asset == COIN && self.owners[case.at].coins == 0 {
                continue;
            }
            self.purse(case.at, asset, 0);
            let all = self.balance(case.at, asset);
            self.moved(case.at, asset, -all);
            if asset == COIN {
                self.pledged -= all;
            }
            if all >= 0 {
                self.fund_bears(usize::from(asset.0), all);
            } else {
                let paid = self.fund_pays(case.at, asset, -all);
                self.booked(case.at, asset, -all - paid);
            }
        }
        Ok(Outcome::Done)
    }

    /// Whoever has no position left and owes more than it has is done.
    pub(crate) fn end_if_bankrupt(&mut self, at: usize) {
        let case = self.case(at, None).unwrap();
        if self.positions(&case).is_empty() && case.equity < 0 {
            self.ladder.count("settled below nothing");
            self.bankrupt(&case).unwrap();
        }
    }

    /// The fund pays, and what it cannot is booked.
    pub(crate) fn fund_or_nobody(&mut self, at: usize, asset: AssetId, amount: i128) {
        self.ladder.count("isolated and settled below nothing");
        let paid = self.fund_pays(at, asset, amount);
        self.booked(at, asset, amount - paid);
        self.moved(at, asset, amount);
    }

    fn booked(&mut self, at: usize, asset: AssetId, amount: i128) {
        if amount > 0 {
            self.ladder.shortfall[usize::from(asset.0)] += amount;
            let account = AccountId(at as u32);
            self.events.push(Event::ShortfallBooked { account, asset, amount });
        }
    }

    /// All positions that settle in an asset go to nobody, `missing` above their value.
    fn leave(&mut self, case: &Case, asset: AssetId, missing: i128) {
        let mut mine = self.positions(case);
        mine.retain(|(market, _)| asset_of(*market) == asset);
        let values = mine.iter().map(|(m, pos)| self.at_mark(*m, pos.size.unsigned_abs()));
        let values: Vec<i128> = values.collect();
        let mut left = missing;
        for (n, (market, pos)) in mine.iter().enumerate() {
            let (value, rest) = (values[n], values[n..].iter().sum::<i128>());
            let part = if value == rest { left } else { mul_div(left, value, rest).0 };
            let part = part.min(value);
            left -= part;
            self.favour(case, asset, part);
            let (side, lots) = (side_of(pos.size), pos.size.unsigned_abs());
            let pnl = self.fill_and_pay(case.at, *market, side.opposite(), lots, value, 0);
            self.pay_funding_left(*market, side);
            let now = self.venues[usize::from(market.0)].prices.index;
            let estate = self.ladder.left.entry((market.0, side == Side::Buy)).or_default();
            let cost = paid(*market, pos.size.signum().into(), value) + part;
            (estate.size, estate.cost) = (estate.size + pos.size, estate.cost + cost);
            estate.funding = now;
            self.taken(*market, Some(case.at), None, pos.size, cost, pnl, 0);
        }
        if left > 0 {
            self.booked(case.at, asset, left);
            self.moved(case.at, asset, left);
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn taken(
        &mut self,
        market: MarketId,
        from: Option<usize>,
        to: Option<usize>,
        size: i64,
        value: i128,
        closed_pnl: i128,
        taker_pnl: i128,
    ) {
        let account = |at: Option<usize>| at.map(|at| AccountId(at as u32));
        let (from, to) = (account(from), account(to));
        let event = Event::PositionTaken { market, from, to, size, value, closed_pnl, taker_pnl };
        self.events.push(event);
    }

    /// Funding of what is nobody's.
    fn pay_funding_left(&mut self, market: MarketId, side: Side) {
        let key = (market.0, side == Side::Buy);
        let Some(left) = self.ladder.left.get(&key).filter(|left| left.size != 0) else { return };
        let pos = Pos { size: left.size, funding: left.funding, ..Pos::default() };
        let due = self.due(market, &pos);
        let now = self.venues[usize::from(market.0)].prices.index;
        self.ladder.left.get_mut(&key).unwrap().funding = now;
        if due != 0 {
            self.ladder.count("funding of an estate");
        }
        self.fund_bears(usize::from(asset_of(market).0), -due);
    }

    /// Takes lots of an estate with their part of its cost, toward zero.
    fn take_left(&mut self, market: MarketId, side: Side, lots: u64) -> i128 {
        let left = self.ladder.left.get_mut(&(market.0, side == Side::Buy)).unwrap();
        let all = i128::from(left.size.abs());
        let cost = left.cost.signum() * mul_div(left.cost.abs(), lots.into(), all).0;
        left.cost -= cost;
        left.size -= left.size.signum() * lots as i64;
        cost
    }

    pub(crate) fn deleverage(&mut self, market: MarketId, side: Side) -> Reply {
        let n = usize::from(market.0);
        if n >= self.spec.markets.len() {
            return Err(RejectCode::UnknownMarket);
        }
        let key = (market.0, side == Side::Buy);
        let found = self.ladder.left.get(&key).cloned().unwrap_or_default();
        if found.size == 0 && found.stage == Stage::Idle {
            return Err(RejectCode::NotReducing);
        }
        let settled = self.venues[n].status == MarketStatus::Settled;
        if !settled && !self.open_for_trade(market) {
            return Err(RejectCode::MarketPaused);
        }
        self.busy()?;
        let asset = usize::from(asset_of(market).0);
        if settled && found.size != 0 {
            self.worked(1);
            self.pay_funding_left(market, side);
            let value = worth(market, self.venues[n].mark, found.size.into());
            let cost = self.take_left(market, side, found.size.unsigned_abs());
            self.taken(market, None, None, found.size, cost, 0, 0);
            self.fund_bears(asset, value - cost);
            self.ladder.count("settled");
            return Ok(Outcome::Done);
        }
        // Two estates close each other.
        let both = [side, side.opposite()];
        let net = both.map(|side| self.ladder.left(market, side).unsigned_abs());
        let net = net[0].min(net[1]);
        if net > 0 {
            let mut gain = 0;
            for side in both {
                self.pay_funding_left(market, side);
                let cost = self.take_left(market, side, net);
                self.taken(market, None, None, side.signed(net), cost, 0, 0);
                gain -= cost;
            }
            self.fund_bears(asset, gain);
            self.ladder.count("netted");
        }
        let (now, valid) = (self.time_us, self.spec.liquidation.ranking_valid_us);
        let left = self.ladder.left.get_mut(&key).unwrap();
        let useless = left.size == 0 || now - left.begun_us >= valid;
        match left.stage {
            Stage::Idle if left.size != 0 => {
                left.stage = Stage::Ranking;
                (left.next, left.begun_us, left.profit) = (0, now, 0);
                left.gave.clear();
            }
            Stage::Ranking | Stage::Ready if useless => left.stage = Stage::Clearing,
            _ => {}
        }
        match left.stage {
            Stage::Idle => {}
            Stage::Ranking => self.rank_more(market, side),
            Stage::Ready => self.take_more(market, side),
            Stage::Clearing => {
                let many = left.list.len().min(self.spec.limits.ranked_per_command as usize);
                left.list.sort_by_key(|(score, at)| (std::cmp::Reverse(*score), *at));
                left.list.drain(..many);
                if many < self.spec.limits.ranked_per_command as usize {
                    left.stage = Stage::Idle;
                }
                self.worked(many.max(1));
                self.ladder.count("cleared");
            }
        }
        Ok(Outcome::Done)
    }

    /// Unrealised profit of who is on the other side, funding included.
    fn profit(&self, at: usize, market: MarketId, side: Side) -> Option<i128> {
        let pos = self.owners[at].positions[usize::from(market.0)];
        let against = if side == Side::Buy { pos.size < 0 } else { pos.size > 0 };
        let value = worth(market, self.venues[usize::from(market.0)].mark, pos.size.into());
        against.then(|| value - pos.cost - self.due(market, &pos))
    }

    fn rank_more(&mut self, market: MarketId, side: Side) {
        let key = (market.0, side == Side::Buy);
        let from = self.ladder.left[&key].next;
        let holders =
            (from..self.owners.len()).filter(|at| self.profit(*at, market, side).is_some());
        let holders: Vec<usize> = holders.collect();
        let most = self.spec.limits.ranked_per_command as usize;
        let (count, done) = (holders.len().min(most), holders.len() < most);
        for at in holders.into_iter().take(most) {
            let profit = self.profit(at, market, side).unwrap();
            let score = self.rank_of(at, market, profit);
            let left = self.ladder.left.get_mut(&key).unwrap();
            left.next = at + 1;
            left.profit += profit.max(0);
            left.list.push((score, at));
        }
        if done {
            let left = self.ladder.left.get_mut(&key).unwrap();
            (left.stage, left.open) = (Stage::Ready, left.size.abs().into());
        }
        self.worked(count.max(1));
        self.events.push(Event::Ranked { market, side, count: count as u32, done });
    }

    fn rank_of(&self, at: usize, market: MarketId, profit: i128) -> u64 {
        let pos = self.owners[at].positions[usize::from(market.0)];
        let aware = self.spec.liquidation.deleveraging == Deleveraging::RiskAware;
        if aware && profit > 0 {
            return first(profit, pos.size.abs().into());
        }
        let bits = if aware { 16 } else { 18 };
        let value = self.magnitude(market, pos.size.abs().into());
        let (carried, equity) = if pos.isolated {
            (value, self.isolated(market, &pos).0)
        } else {
            (self.in_base(market, value), self.account(at).0)
        };
        if equity <= 0 {
            return (1 << (6 + bits)) - 1;
        }
        let leverage = over(whole(carried), whole(equity));
        // The larger of mark and entry over the other where it gains: a coin's worth is the
        // inverse of a price.
        let (now, then) = (whole(value), whole(pos.cost.abs()));
        let mark_over_entry = if market == INV { over(then, now) } else { over(now, then) };
        let entry_over_mark = if market == INV { over(now, then) } else { over(then, now) };
        let gain = if pos.size > 0 { mark_over_entry } else { entry_over_mark };
        small(product(gain, leverage), 32, 6, bits)
    }

    fn take_more(&mut self, market: MarketId, side: Side) {
        let key = (market.0, side == Side::Buy);
        self.pay_funding_left(market, side);
        let (mut steps, most) = (0, self.spec.limits.fills_per_command as usize);
        while steps < most {
            let left = self.ladder.left.get_mut(&key).unwrap();
            if left.size == 0 {
                break;
            }
            left.list.sort_by_key(|(score, at)| (std::cmp::Reverse(*score), *at));
            if left.list.is_empty() {
                left.stage = Stage::Idle;
                self.ladder.count("list used up");
                break;
            }
            let (score, at) = left.list[0];
            let aware = self.spec.liquidation.deleveraging == Deleveraging::RiskAware;
            let (again, waits) = (|score: &u64| aware && score >> 22 == 1, left.list.iter());
            let waits = waits.filter(|(score, _)| again(score)).count() as i128;
            let mark = self.venues[usize::from(market.0)].mark;
            let free = worth(market, mark, left.size.into()) >= left.cost;
            let open = i128::from(left.size.abs());
            if again(&score) && !free && open >= waits {
                left.stage = Stage::Clearing;
                self.ladder.count("more than rounding left");
                break;
            }
            steps += 1;
            left.list.remove(0);
            let gave = if again(&score) { left.gave.remove(&at) } else { None };
            let Some(profit) = self.profit(at, market, side) else {
                self.ladder.count("winner was gone");
                continue;
            };
            let own = i128::from(self.owners[at].positions[usize::from(market.0)].size.abs());
            let once = aware && score >> 23 == 1;
            if (once || again(&score)) && profit <= 0 {
                let score = self.rank_of(at, market, profit);
                self.ladder.left.get_mut(&key).unwrap().list.push((score, at));
                self.ladder.count("profit was gone");
                continue;
            }
            let left = self.ladder.left.get_mut(&key).unwrap();
            let lots = match (once, again(&score)) {
                (true, _) if !free => {
                    let (part, rest) = mul_div(left.open, profit, left.profit.max(profit));
                    part + i128::from(rest && part >= 32_768)
                }
                (_, true) if !free => 1,
                _ => own,
            };
            if once && !free && lots >= own {
                left.open -= own;
                left.profit = (left.profit - profit).max(0);
            }
            let lots = lots.min(own).min(open) as u64;
            let (mine, rest) = (own - i128::from(lots), open - i128::from(lots));
            if (once || again(&score)) && mine > 0 && rest > 0 {
                let (given, profit) = gave.unwrap_or((0, profit));
                let given = given + i128::from(lots);
                left.list.push((second(profit, given), at));
                if given > 0 {
                    left.gave.insert(at, (given, profit));
                }
                self.ladder.count(if again(&score) { "and again" } else { "may give more" });
            }
            if lots == 0 {
                continue;
            }
            let cost = self.take_left(market, side, lots);
            let pnl = self.fill_and_pay(at, market, side, lots, cost.abs(), 0);
            self.taken(market, None, Some(at), side.signed(lots), cost, 0, pnl);
            if mine == 0 {
                self.position_ended(AccountId(at as u32), market);
            }
        }
        self.worked(steps.max(1));
    }
}
