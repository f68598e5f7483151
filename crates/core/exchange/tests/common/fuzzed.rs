//! Histories out of bytes: every string of bytes is one, and a small change of it is a small
//! change of the history. What plans are made of is what `random.rs` and `random_liquidation.rs`
//! draw at random.

mod listing;

use super::history::{Both, LOTS, Plan, TOP, concrete, tight};
use super::twin::Twin;
use super::*;

/// Commands and inputs of one history at most.
const OPS: usize = 512;
const SECOND: u64 = 1_000_000;
/// The markets after those of the spec, and one that never is: the first more often.
const LISTED: [MarketId; 5] = [MarketId(4), MarketId(5), MarketId(4), MarketId(4), MarketId(6)];

/// Bytes, then zeros for ever.
struct Bytes<'a> {
    rest: &'a [u8],
    /// Whether every other market is one after those of the spec.
    lists: bool,
}

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.rest.split_first().unwrap_or((&0, &[]));
        self.rest = rest;
        *first
    }

    /// A number below `end`, out of as few bytes as that takes.
    fn below(&mut self, end: u64) -> u64 {
        let mut value = 0;
        let mut reach = end - 1;
        while reach > 0 {
            value = value << 8 | u64::from(self.byte());
            reach >>= 8;
        }
        value % end
    }

    fn between(&mut self, first: u64, end: u64) -> u64 {
        first + self.below(end - first)
    }

    fn signed(&mut self, bound: u64) -> i128 {
        i128::from(self.below(2 * bound)) - i128::from(bound)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()]
    }

    /// True this often in 256 times.
    fn often(&mut self, times: u8) -> bool {
        // Zeros, the end of the bytes, are no.
        let byte = self.byte();
        byte != 0 && byte <= times
    }

    fn maybe<T>(&mut self, times: u8, then: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.often(times).then(|| then(self))
    }

    fn market(&mut self) -> MarketId {
        self.market_of(&[BTC, BTC, ETH, SPOT, INV, BTC, ETH, INV])
    }

    /// One of these, or one that is or may be listed.
    fn market_of(&mut self, usual: &[MarketId]) -> MarketId {
        let byte = self.byte();
        if self.lists && byte >= 128 {
            return LISTED[usize::from(byte) % LISTED.len()];
        }
        usual[usize::from(byte) % usual.len()]
    }

    fn side(&mut self) -> Side {
        self.pick(&[Side::Buy, Side::Sell])
    }
}

/// What a history's plans may come to.
struct Shape {
    accounts: u32,
    extreme: bool,
}

impl Shape {
    fn who(&self, b: &mut Bytes<'_>) -> u32 {
        u32::from(b.byte()) % self.accounts
    }

    fn order(&self, b: &mut Bytes<'_>) -> OrderRequest {
        let (first, more) = (b.byte(), b.byte());
        let price = b.byte();
        let price = match price {
            0..=199 => 994 + u64::from(price) % 13,
            200..=219 => b.between(850, 1150),
            220..=223 => b.between(700, 2000),
            224 => 0,
            225..=240 if self.extreme => TOP - 6 + u64::from(price) % 8,
            241..=244 if self.extreme => b.between(TOP * 4 / 5 - 2, TOP),
            _ => 985 + u64::from(price) % 31,
        };
        let size = b.byte();
        let size = match size {
            0 => 0,
            1..=119 => u64::from(size) % 40 + 1,
            120..=159 => b.between(1, 60_000_000),
            160..=199 => b.between(1, 9_000_000_000),
            200..=219 => b.between(1_000, 20_000),
            220..=231 if self.extreme => LOTS / 2 - 3 + u64::from(size) % 6,
            232..=239 if self.extreme => b.between(LOTS - 50, LOTS + 1),
            240..=251 if self.extreme => b.between(1, LOTS),
            _ => u64::from(size) * 10,
        };
        let mut order = OrderRequest {
            market: match first & 7 {
                n if b.lists && first & 128 != 0 => LISTED[usize::from(n & 3)],
                n => [BTC, BTC, ETH, SPOT, INV, BTC, ETH, INV][usize::from(n)],
            },
            side: if first & 8 == 0 { Side::Buy } else { Side::Sell },
            price,
            size,
            tif: [
                Tif::Gtc,
                Tif::Gtc,
                Tif::Gtc,
                Tif::Ioc,
                Tif::PostOnly,
                Tif::Fok,
                Tif::Gtc,
                Tif::Ioc,
            ][usize::from(first >> 4 & 7)],
            ..OrderRequest::default()
        };
        // The upper half says that there is something else to say.
        if more >= 128 {
            order.reduce_only = more & 3 == 1;
            if more & 12 == 4 {
                order.client_id = Some([b.byte() % 9; 16]);
            }
            if more & 48 == 16 {
                order.expires_us = b.below(9_000);
            }
            if more & 64 != 0 {
                order.display =
                    if more & 12 == 8 { b.between(1, 40_000_000) } else { b.between(1, 30) };
            }
        }
        order
    }

    fn trigger(&self, b: &mut Bytes<'_>) -> TriggerRequest {
        let order = self.order(b);
        let (first, price) = (b.byte(), b.byte());
        TriggerRequest {
            market: order.market,
            side: order.side,
            trigger_price: match price {
                0 => 0,
                1..=220 => 990 + u64::from(price) % 21,
                _ => b.between(900, 1100),
            },
            kind: if first & 1 == 0 { TriggerKind::Stop } else { TriggerKind::TakeProfit },
            limit: (first & 2 != 0).then(|| b.between(985, 1016)),
            size: if first & 12 == 12 { 0 } else { order.size },
            reduce_only: first & 16 != 0 && order.market != SPOT,
            client_id: order.client_id,
        }
    }

    /// One or two trigger orders that mostly suit a market and a side.
    fn members(&self, b: &mut Bytes<'_>, suit: (MarketId, Side)) -> [Option<TriggerRequest>; 2] {
        let first = b.byte();
        [0, 1].map(|n| {
            if n == 1 && first & 3 == 3 {
                return None;
            }
            let mut order = self.trigger(b);
            if first >> n & 0x44 != 0x44 {
                (order.market, order.side, order.reduce_only) = (suit.0, suit.1, true);
            }
            if first & 8 != 0 {
                order.size = 0;
            }
            Some(order)
        })
    }

    fn conditional(&self, b: &mut Bytes<'_>) -> Plan {
        let (kind, who) = (b.byte(), self.who(b));
        let command = match kind % 16 {
            0..=4 => Command::PlaceTrigger(self.trigger(b)),
            5..=7 => {
                let parent = self.order(b);
                let mut children = self.members(b, (parent.market, parent.side.opposite()));
                for child in children.iter_mut().flatten() {
                    // As large as the parent, mostly.
                    if kind & 0x30 != 0 {
                        child.size = parent.size;
                    }
                }
                Command::PlaceGroup { parent, children }
            }
            8 | 9 => {
                let suit = (b.market_of(&[BTC, BTC, BTC, ETH, INV, SPOT]), b.side());
                Command::AttachTriggers(self.members(b, suit))
            }
            10 | 11 => return Plan::ModifyTrigger(who, b.byte().into(), self.trigger(b)),
            12 | 13 => {
                let OrderRequest { market, side, size, reduce_only, .. } = self.order(b);
                let minutes = b.between(4, 9) as u16;
                Command::PlaceTwap(TwapRequest { market, side, size, reduce_only, minutes })
            }
            14 => return Plan::CancelTwap(who, b.byte().into()),
            _ => return Plan::Schedule(who, b.maybe(200, |b| b.between(4_000, 40_000))),
        };
        Plan::Other(who, command)
    }

    fn amount(&self, b: &mut Bytes<'_>) -> Amount {
        match b.byte() {
            0 => 0,
            1 => -3,
            2..=80 => b.below(1_000).into(),
            81..=160 => b.below(1_500_000_000_000).into(),
            161..=200 => b.below(3_000_000).into(),
            201..=210 if self.extreme => (1 << 96) - 3 + i128::from(b.below(5)),
            211..=225 if self.extreme => i128::from(b.below(1 << 50)) << 16,
            _ => b.below(2_000_000_000).into(),
        }
    }

    fn other(&self, b: &mut Bytes<'_>) -> Plan {
        let (kind, who) = (b.byte(), self.who(b));
        let anybody = |b: &mut Bytes<'_>| address(u32::from(b.byte()) % (self.accounts + 1));
        let command = match kind % 20 {
            0 | 1 => Command::Transfer {
                to: anybody(b),
                asset: b.pick(&[USDC, USDC, COIN, COIN, AssetId(7)]),
                wallet: b.pick(&[Wallet::Collateral, Wallet::Spot]),
                amount: self.amount(b),
            },
            2..=4 => Command::Move {
                asset: b.pick(&[USDC, COIN]),
                to: b.pick(&[Wallet::Collateral, Wallet::Spot]),
                amount: self.amount(b),
            },
            5..=7 => {
                let (market, leverage) = (b.market(), b.byte());
                let isolated = leverage >= 128;
                Command::SetLeverage { market, leverage: leverage % 22, isolated }
            }
            8 | 9 => {
                let (market, amount) = (b.market(), self.amount(b) / 100);
                let out = b.often(128);
                Command::AdjustMargin { market, amount: if out { -amount } else { amount } }
            }
            10 => Command::SettlePosition { owner: anybody(b), market: b.market() },
            11 | 12 => {
                let owner = anybody(b);
                Command::Liquidate { owner, market: b.maybe(80, Bytes::market) }
            }
            13 => Command::Deleverage { market: b.market(), side: b.side() },
            14 => {
                let asset = b.pick(&[USDC, COIN]);
                Command::FundInsurance { asset, amount: self.amount(b) / 300 }
            }
            _ => {
                let r = self.order(b);
                Command::PlaceMarket(MarketOrderRequest {
                    market: r.market,
                    side: r.side,
                    size: r.size,
                    slippage_ppm: b.below(250_000) as u32,
                    reduce_only: r.reduce_only,
                    client_id: r.client_id,
                })
            }
        };
        Plan::Other(who, command)
    }

    fn status(b: &mut Bytes<'_>) -> MarketStatus {
        match b.byte() {
            0..=11 => MarketStatus::PostOnly,
            12..=23 => MarketStatus::ReduceOnly,
            24..=35 => MarketStatus::CancelOnly,
            36..=45 => MarketStatus::Halted,
            46..=49 => MarketStatus::Settled,
            50..=110 => MarketStatus::Auction,
            _ => MarketStatus::Open,
        }
    }

    fn input(&self, b: &mut Bytes<'_>) -> Input {
        let (asset, wallet) = (USDC, Wallet::Collateral);
        let kind = b.byte() % 24;
        let who = |b: &mut Bytes<'_>| address(u32::from(b.byte()) % (self.accounts + 1));
        match kind {
            0..=3 => Input::Tick { time_us: b.below(9_000) },
            4 => Input::Tick { time_us: b.below(1 << 46) },
            5..=7 => {
                let market = b.market();
                let change = match b.byte() {
                    0..=40 => b.signed(7),
                    41..=60 if self.extreme => b.signed(1 << 60) << 16,
                    _ => b.signed(30_000_000_000),
                };
                Input::Funding { market, change }
            }
            8 => {
                let market = b.market();
                let initial = b.between(900_000, 3_000_000) as u32;
                let maintenance = b.between(900_000, 2_000_000) as u32;
                Input::MarginScale { market, scale_ppm: (initial, maintenance) }
            }
            9..=13 => {
                let market = b.market();
                let price = match b.byte() {
                    far @ 0..=60 if self.extreme => TOP - 9 + u64::from(far) % 11,
                    0..=100 => b.between(900, 1100),
                    near => 950 + u64::from(near) % 101,
                };
                Input::Oracle(OracleReport::sole(market, price))
            }
            14 | 15 => Input::SetStatus { market: b.market(), status: Self::status(b) },
            16 | 17 => Input::Credit { address: who(b), asset, wallet, amount: self.amount(b) },
            18..=20 => Input::Debit { address: who(b), asset, wallet, amount: self.amount(b) },
            21 => Input::Receive { address: who(b), asset, wallet, amount: self.amount(b) },
            22 => Input::Send { address: who(b), asset, wallet, amount: self.amount(b) },
            _ => {
                let outside = b.pick(&[Outside::Hub, Outside::Environment]);
                Input::Return { outside, address: who(b), asset, wallet, amount: self.amount(b) }
            }
        }
    }

    fn report(&self, b: &mut Bytes<'_>) -> Plan {
        let (market, source) = (b.market(), b.byte());
        let price = |b: &mut Bytes<'_>| match b.byte() {
            near @ 0..=200 => 990 + u64::from(near) % 20,
            201..=225 => b.between(900, 1100),
            226..=235 => b.between(1, 20_000),
            236 => 1,
            far @ 237..=245 if self.extreme => TOP - 254 + u64::from(far),
            _ => 1000,
        };
        let told = price(b);
        let external = if source & 4 == 0 { 0 } else { price(b) };
        let ago = if source & 24 == 24 { b.below(10 * SECOND) } else { 0 };
        Plan::Report(market, source & 3, told, external, ago)
    }

    /// One command or input; `kind` is below 201.
    fn plan(&self, kind: u8, b: &mut Bytes<'_>) -> Plan {
        match kind {
            0..=69 => {
                let who = self.who(b);
                Plan::Place(who, self.order(b))
            }
            70..=83 => Plan::Cancel(self.who(b), b.byte().into()),
            84..=87 => Plan::CancelClient(self.who(b), b.byte() % 9),
            88 | 89 => Plan::CancelAll(self.who(b), b.maybe(128, Bytes::market)),
            90..=105 => {
                let who = self.who(b);
                Plan::Modify(who, b.byte().into(), self.order(b))
            }
            106..=114 => {
                let who = self.who(b);
                Plan::Shrink(who, b.byte().into(), b.byte())
            }
            115..=129 => Plan::Input(self.input(b)),
            130..=146 => self.other(b),
            147..=178 => self.conditional(b),
            179..=190 => Plan::Later(later(b)),
            _ => self.report(b),
        }
    }

    fn crash(&self, kind: u8, b: &mut Bytes<'_>) -> crash::Plan {
        use crash::Plan;
        let size = |b: &mut Bytes<'_>| match b.byte() {
            0..=127 => b.between(1, 3_000),
            128..=223 => b.between(1_000, 20_000),
            _ => b.between(1, 200_000),
        };
        let market = |b: &mut Bytes<'_>| b.market_of(&[BTC, BTC, ETH, INV]);
        match kind {
            0..=10 => {
                let (one, two) = (self.who(b), self.who(b));
                Plan::Pair(one, two, market(b), size(b))
            }
            11..=17 => {
                let (who, market, side) = (self.who(b), market(b), b.side());
                Plan::Rest(who, market, side, b.below(60), size(b), b.often(40))
            }
            18..=24 => Plan::Jump(market(b), b.signed(200) as i64),
            25..=30 => Plan::Liquidate(b.byte().into()),
            31..=35 => Plan::Deleverage(b.byte().into()),
            36..=38 => Plan::Storm(b.between(1, 8) as usize),
            39..=42 => Plan::Crash(market(b), b.signed(300) as i64, b.between(1, 6) as usize),
            _ => Plan::End(market(b), b.signed(400) as i64, b.below(4) as usize),
        }
    }
}

fn later(b: &mut Bytes<'_>) -> u64 {
    match b.byte() {
        0..=60 => b.below(9_000),
        61..=150 => b.below(3 * SECOND),
        151..=200 => b.below(61 * SECOND),
        201..=225 => b.below(5_000 * SECOND),
        226..=240 => b.below(30_000 * SECOND),
        _ => b.below(400_000 * SECOND),
    }
}

fn price_spec(b: &mut Bytes<'_>) -> PriceSpec {
    let flags = b.byte();
    let robust = flags & 1 != 0;
    let mark = if robust { MarkRule::Robust { interval_us: SECOND } } else { MarkRule::Book };
    let model = if flags & 2 == 0 {
        VolatilityModel::default()
    } else {
        VolatilityModel::Garch { alpha_ppm: 100_000, beta_ppm: 800_000 }
    };
    let funding = b.pick(&[1, 20_000, 1 << 40]);
    let volatility = VolatilitySpec {
        model,
        interval_us: 10 * SECOND,
        reference_ppm: 500,
        scale_max_ppm: 5_000_000,
        grace_us: b.below(60 * SECOND),
        rise_ppm: 3_000,
    };
    let sanity = SanitySpec {
        jump_ppm: b.between(1, 300_000) as u32,
        confirm_us: b.below(8 * SECOND),
        rate_ppm: 20_000,
        hold_us: b.below(20 * SECOND),
        limit_us: 60 * SECOND,
        auction_us: 5 * SECOND,
        wide_us: 30 * SECOND,
    };
    PriceSpec {
        mark,
        funding: (flags & 12 != 0).then(|| FundingSpec::hyperliquid(funding)),
        volatility: (flags & 48 != 0).then_some(volatility),
        sanity: (flags & 192 != 0 && robust).then_some(sanity),
    }
}

fn oracle_spec(b: &mut Bytes<'_>) -> OracleSpec {
    let flags = b.byte();
    let weights =
        [vec![1], vec![1, 1, 1], vec![3, 2, 2, 1], vec![1]][usize::from(flags & 3)].clone();
    let strict = flags & 4 != 0;
    OracleSpec {
        quorum: if strict { weights.iter().sum::<u32>() / 2 + 1 } else { 1 },
        deviation_ppm: if strict { 20_000 } else { 0 },
        weights,
        stale_us: [0, 8 * SECOND, 60 * SECOND, 0][usize::from(flags >> 3 & 3)],
        reduce_only_after_us: if flags & 32 != 0 { b.below(30 * SECOND) } else { 0 },
    }
}

fn spec_of(b: &mut Bytes<'_>, extreme: bool) -> ExchangeSpec {
    let (flags, limits) = (b.byte(), b.byte());
    let policy = [SelfTrade::CancelMaker, SelfTrade::CancelTaker, SelfTrade::Decrement];
    let policy = policy[usize::from(flags & 3) % 3];
    b.lists = flags & 3 == 3;
    let fills = if limits & 1 == 0 { 1000 } else { 3 };
    let orders = if limits & 2 == 0 { 1024 } else { 9 };
    let mut spec = tight(policy, fills, orders);
    spec.limits.due_per_tick = [100, 1, 3, 100][usize::from(limits >> 2 & 3)];
    spec.limits.triggers_per_tick = if limits & 16 == 0 { 400 } else { 2 };
    spec.limits.ranked_per_command = [1000, 1, 2, 3][usize::from(limits >> 5 & 3)];
    if limits & 128 != 0 {
        spec.limits.liquidation_per_slot = b.between(1, 50) as u32;
    }
    // The twin takes the fourth market for an inverse one, so listed ones come after four.
    if flags & 4 == 0 || b.lists {
        let full = venue();
        (spec.assets, spec.markets) = (full.assets, full.markets);
    }
    let ladder = if flags & 8 == 0 { 0 } else { b.byte() };
    let liquidation = &mut spec.liquidation;
    liquidation.deleveraging =
        if flags & 16 == 0 { Deleveraging::Queue } else { Deleveraging::RiskAware };
    liquidation.backstop = (flags & 32 != 0).then(|| address(3));
    if flags & 8 != 0 {
        liquidation.partial_above =
            [1_000, 5_000_000, 30_000_000, 1 << 36][usize::from(ladder & 3)];
        liquidation.partial_ppm = [200_000, 0, 500_000, 1_000_000][usize::from(ladder >> 2 & 3)];
        liquidation.backstop_ppm = [666_667, 0, 900_000, 1_000_000][usize::from(ladder >> 4 & 3)];
        liquidation.insurance_ppm = [0, 300_000, 1_000_000, 300_000][usize::from(ladder >> 6)];
        liquidation.cooldown_us = b.pick(&[10 * SECOND, 1, 300_000]);
        liquidation.ranking_valid_us = b.pick(&[10 * SECOND, 1, 300_000]);
    }
    if flags & 64 != 0 {
        let prices = [price_spec(b), price_spec(b)];
        spec.markets.iter_mut().enumerate().filter(|(n, _)| *n != 2).for_each(|(n, market)| {
            market.prices = prices[n.min(1)];
        });
        spec.oracle = oracle_spec(b);
        if let Product::Perpetual { mark_band_ppm, .. } = &mut spec.markets[0].product {
            *mark_band_ppm = b.pick(&[10_000, 30_000, 900_000]);
        }
    }
    for market in &mut spec.markets {
        if flags & 128 != 0 {
            market.notional_min = market.notional_min.min(1_000);
        }
        if extreme {
            market.order_size_max = LOTS - 1;
        }
    }
    if b.lists {
        spec.listing = listing::rules(b);
    }
    spec
}

/// Runs the history that these bytes are, on engine and twin.
pub(crate) fn check(bytes: &[u8]) {
    let mut b = Bytes { rest: bytes, lists: false };
    let first = b.byte();
    let (accounts, extreme) = (4 + u32::from(first & 3) * 4 / 3, first & 12 == 12);
    let shape = Shape { accounts, extreme };
    let spec = spec_of(&mut b, extreme);
    let markets = spec.markets.len();
    let mut both = Both::new(&spec);
    // Either rich, or thin and partly on isolated margin at twenty times, the last one less so.
    if first & 16 == 0 {
        both.range(&funding(accounts));
    } else {
        let mut money: Vec<Amount> = (0..accounts)
            .map(|_| match b.byte() {
                0..=100 => b.between(1_000, 1_000_000).into(),
                101..=220 => b.between(100_000, 5_000_000).into(),
                _ => b.between(1_000_000, 900_000_000).into(),
            })
            .collect();
        money[accounts as usize - 1] *= 50;
        let isolated: Vec<_> = (0..first >> 5)
            .map(|_| (u32::from(b.byte()) % (accounts - 1), b.pick(&[BTC, ETH, INV])))
            .collect();
        both.range(&crash::begin(markets, &money, &isolated));
    }
    let mut left = OPS;
    while left > 0 && !b.rest.is_empty() {
        let kind = b.byte();
        let ops = match kind {
            56..=69 | 246..=252 if b.lists => shape.listing(&mut b, &both.twin),
            201..=245 => crash::concrete(&shape.crash(kind - 201, &mut b), &both.twin),
            246.. => {
                both.seal();
                continue;
            }
            _ => vec![concrete(&shape.plan(kind, &mut b), &both.twin)],
        };
        for op in ops.into_iter().take(left) {
            both.push(op);
            left -= 1;
        }
    }
    both.seal();
}
