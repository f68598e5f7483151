//! Who can be liquidated after a mark has moved, among a million accounts that hold positions in
//! several markets: how long the index takes to find them, and at how many it has to look.
//!
//! * Accounts are in 1 to 20 markets each, or in three, half of them long or short in all, the
//!   others long in some and short in some. Sizes differ fourfold. What an account had above its
//!   maintenance requirement was between 1.3 % and 30 % of what its positions were worth, evenly;
//!   then each mark has moved by up to 5 %, so that some are close, and who fell below has paid in.
//! * Moves are made as large as it takes for a thousand accounts: of one market, of all markets
//!   together, of each its own way. Before the next one marks go back.
//! * Each time, what was found is compared with a look at every account.
//! * With several threads each move is made twice: for one, whose time is what it ran, and for all, whose time
//!   is what passed.
//! * Small moves: all marks at random, by up to 0.02 % a tick.

use super::ThreadTime;
use super::venue::{self, order};
use crate::bench::median;
use crate::cli::ExchangeArgs;
use anyhow::{Context, Result, ensure};
use atoll_exchange::objects::{GroupKey, PositionGroup};
use atoll_exchange::{AccountId, Event, Exchange, Input, Limits, Side, Tif};
use atoll_executor::workers::Pool;
use atoll_liquidator::{Found, Liquidator};
use atoll_state::{Resident, WriteSet, object};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::time::Instant;

const ACCOUNTS: u32 = 1_000_000;
const MARKETS: u16 = 100;
const MID: u64 = 600_000;
const POSITIONS_MAX: usize = 20;
const TICK_US: u64 = 100_000;
/// How many a large move makes liquidatable, where there are a hundred times as many accounts.
const LIQUIDATABLE: usize = 1_000;
const SMALL_TICKS: usize = 200;
const FILLS: usize = 20_000;
/// Fills between two ticks.
const FILLS_PER_TICK: usize = 250;
/// Accounts that may wait whose bounds are set anew after a tick.
const SETTLED: usize = 2_000;

/// Accounts with positions, and their index.
struct Bench {
    exchange: Exchange<Resident>,
    index: Liquidator,
    rng: SmallRng,
    markets: u16,
    accounts: u32,
    /// Marks that moves begin at.
    base: Vec<u64>,
    time_us: u64,
    events: Vec<Event>,
    positions: u64,
    rebuild_s: f64,
    /// If more than one is asked for.
    threads: Option<(Pool, usize)>,
}

/// What the calling thread has run, in milliseconds: finer than [`ThreadTime`].
fn thread_ms() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// What a move came to.
struct Moved {
    found: Found,
    detect_ms: f64,
    settle_ms: f64,
}

impl Bench {
    fn new(
        accounts: u32,
        markets: u16,
        positions: std::ops::RangeInclusive<usize>,
    ) -> Result<Self> {
        let rules = venue::rules(markets, Limits::default())?;
        let exchange = Exchange::new(rules, 1);
        let mut bench = Self {
            index: Liquidator::new(&exchange),
            exchange,
            rng: SmallRng::seed_from_u64(7),
            markets,
            accounts,
            base: vec![MID; usize::from(markets)],
            time_us: 1_700_000_000_000_000,
            events: Vec::new(),
            positions: 0,
            rebuild_s: 0.0,
            threads: None,
        };
        object::begin_unwitnessed(&mut bench.exchange);
        bench.marks(|_, base| base)?;
        let mut all: Vec<u16> = (0..markets).collect();
        for pair in 0..accounts / 2 {
            bench.open(pair, &mut all, positions.clone())?;
            if pair % 1_000 == 999 {
                bench.seal();
            }
        }
        bench.seal();
        bench.age()?;
        bench.rebuild()?;
        Ok(bench)
    }

    /// Moves marks to where they are from then on; who can be liquidated pays in.
    fn age(&mut self) -> Result<()> {
        let base: Vec<u64> = (0..self.markets)
            .map(|_| self.rng.random_range(MID * 95 / 100..=MID * 105 / 100))
            .collect();
        self.base = base;
        self.marks(|_, base| base)?;
        for account in 0..self.accounts {
            let margin = self.exchange.peek_margin(AccountId(account));
            if margin.is_liquidatable() {
                let missing = margin.maintenance() - margin.equity();
                let amount = missing + margin.notional * self.rng.random_range(0..3_000) / 10_000;
                self.exchange.apply(&venue::deposit(account, amount + 1), &mut self.events)?;
            }
        }
        self.seal();
        Ok(())
    }

    fn seal(&mut self) {
        object::seal(&mut self.exchange, &mut WriteSet::default(), None);
        object::begin_unwitnessed(&mut self.exchange);
    }

    fn rebuild(&mut self) -> Result<()> {
        self.index = Liquidator::default();
        let time = ThreadTime::start();
        self.index = Liquidator::new(&self.exchange);
        self.rebuild_s = time.seconds();
        ensure!(self.index.liquidatable().next().is_none(), "accounts begin liquidatable");
        Ok(())
    }

    /// Two accounts that are each other's counterparty.
    fn open(
        &mut self,
        pair: u32,
        all: &mut [u16],
        positions: std::ops::RangeInclusive<usize>,
    ) -> Result<()> {
        let (one, two) = (pair * 2, pair * 2 + 1);
        let count = self.rng.random_range(positions).min(all.len());
        let chosen = all.partial_shuffle(&mut self.rng, count).0;
        let sizes: Vec<u64> = chosen.iter().map(|_| self.rng.random_range(500..2_000)).collect();
        let value: u64 = sizes.iter().map(|size| size * MID).sum();
        for account in [one, two] {
            // Above the maintenance requirement of 1.25 %, in hundredths of a percent.
            let share = 125 + self.rng.random_range(130..3_000);
            let amount = i128::from(value) * share / 10_000 + i128::from(value) / 1_000;
            self.exchange.apply(&venue::deposit(account, amount), &mut self.events)?;
        }
        let one_sided = self.rng.random_bool(0.5);
        for (market, size) in chosen.iter().zip(sizes) {
            let turned = !one_sided && self.rng.random_bool(0.5);
            let (long, short) = if turned { (two, one) } else { (one, two) };
            for (account, side, tif) in [(short, Side::Sell, Tif::Gtc), (long, Side::Buy, Tif::Ioc)]
            {
                let command = order(*market, side, MID, size, tif);
                self.exchange.execute(AccountId(account), &command, &mut self.events)?;
            }
            self.events.clear();
            self.positions += 2;
        }
        Ok(())
    }

    /// Moves all marks, without telling the index.
    fn marks(&mut self, mark: impl Fn(u16, u64) -> u64) -> Result<()> {
        for (market, base) in (0..self.markets).zip(&self.base) {
            let oracle = venue::oracle(market, mark(market, *base));
            self.exchange.apply(&oracle, &mut self.events)?;
        }
        self.time_us += TICK_US;
        self.exchange.apply(&Input::Tick { time_us: self.time_us }, &mut self.events)?;
        self.events.clear();
        Ok(())
    }

    fn follow(&mut self) -> Moved {
        let time = thread_ms();
        let found = self.index.advance(&self.exchange);
        let detected = thread_ms();
        self.index.settle(&self.exchange, SETTLED);
        Moved { found, detect_ms: detected - time, settle_ms: thread_ms() - detected }
    }

    /// By how much marks have to move, in the proportions given, for so many accounts.
    fn needed(&self, direction: &[f64], count: usize) -> Result<f64> {
        let mut needed = Vec::new();
        for account in (0..self.accounts).map(AccountId) {
            let Some(owner) = self.exchange.peek_owner(account) else { continue };
            let (mut lost, mut equity, mut maintenance) = (0.0, owner.collateral as f64, 0.0);
            for (slot, market) in (0u32..).zip(owner.markets()) {
                let group = (slot / PositionGroup::SLOTS) as u8;
                let key = GroupKey { account, group };
                let Some(found) = self.exchange.state().positions.peek(&key) else { continue };
                let position = &found.0[(slot % PositionGroup::SLOTS) as usize];
                let mark = self.exchange.peek_prices(*market).mark as f64;
                let value = position.size as f64 * mark;
                let moved = direction[usize::from(market.0)];
                equity += value - position.cost as f64;
                maintenance += value.abs() * 0.0125;
                lost -= value * moved - value.abs() * 0.0125 * moved;
            }
            if lost > 0.0 {
                needed.push((equity - maintenance) / lost);
            }
        }
        ensure!(needed.len() > count, "not enough accounts for {count} liquidations");
        let (_, nth, _) = needed.select_nth_unstable_by(count, f64::total_cmp);
        Ok(*nth)
    }

    /// The same by several threads, if they are asked for: how long it took.
    fn follow_on_threads(&mut self) -> Option<f64> {
        let (pool, threads) = self.threads.as_mut()?;
        let time = Instant::now();
        self.index.advance_on(&self.exchange, pool, *threads);
        let took = time.elapsed().as_secs_f64() * 1e3;
        self.index.settle(&self.exchange, SETTLED);
        Some(took)
    }

    /// Makes a large move for one thread, and for several if they are asked for.
    fn large(&mut self, direction: &[f64]) -> Result<(Moved, Option<f64>)> {
        let by = self.needed(direction, LIQUIDATABLE.min(self.accounts as usize / 100))?;
        let moved = self.moved(direction, by, Self::follow)?;
        let threads = match self.threads {
            Some(_) => self.moved(direction, by, Self::follow_on_threads)?,
            None => None,
        };
        Ok((moved, threads))
    }

    /// Makes a move, has it followed, holds what was found against a look at every account, and goes back.
    fn moved<R>(
        &mut self,
        direction: &[f64],
        by: f64,
        follow: impl FnOnce(&mut Self) -> R,
    ) -> Result<R> {
        let mark = |market: u16, base: u64| {
            (base as f64 * (1.0 + by * direction[usize::from(market)])) as u64
        };
        self.marks(mark)?;
        let moved = follow(self);
        let found: Vec<AccountId> = self.index.liquidatable().map(|unit| unit.account).collect();
        let mut naive = (0..self.accounts).map(AccountId);
        naive.by_ref().try_fold(0, |nth, account| {
            let is = self.exchange.peek_margin(account).is_liquidatable();
            ensure!(is == (found.get(nth) == Some(&account)), "account {account} is missed");
            Ok(nth + usize::from(is))
        })?;
        self.marks(|_, base| base)?;
        while self.follow().found.waiting > 0 {}
        Ok(moved)
    }

    fn larges(
        &mut self,
        what: &str,
        runs: usize,
        direction: impl Fn(&mut SmallRng, u16) -> Vec<f64>,
    ) -> Result<Value> {
        let (mut moved, mut on_threads) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            let direction = direction(&mut self.rng, self.markets);
            let (one, threads) = self.large(&direction)?;
            moved.push(one);
            on_threads.extend(threads);
        }
        let of = |figure: &dyn Fn(&Moved) -> f64| {
            let figures: Vec<f64> = moved.iter().map(figure).collect();
            let most = figures.iter().copied().fold(0.0, f64::max);
            (median(figures), most)
        };
        let (detect, detect_max) = of(&|m| m.detect_ms);
        let (settle, _) = of(&|m| m.settle_ms);
        let (liquidatable, _) = of(&|m| m.found.liquidatable as f64);
        let (looked, looked_max) = of(&|m| m.found.looked_at as f64);
        let (read, _) = of(&|m| m.found.read as f64);
        let (waiting, _) = of(&|m| m.found.waiting as f64);
        println!(
            "  {what}: {liquidatable:.0} found in {detect:.2} ms (at most {detect_max:.2}); \
             looked at {looked:.0} accounts (at most {looked_max:.0}), read {read:.0} bounds, \
             {waiting:.0} may wait; bounds anew in {settle:.1} ms"
        );
        let threads = self.threads.as_ref().map(|(_, threads)| {
            let most = on_threads.iter().copied().fold(0.0, f64::max);
            let time = median(on_threads);
            println!(
                "    by {threads} threads in {time:.2} ms that passed (at most {most:.2}): {:.2} × as fast",
                detect / time
            );
            json!({ "threads": threads, "detect_ms": time, "detect_ms_max": most })
        });
        Ok(json!({
            "move": what, "runs": runs, "liquidatable": liquidatable, "detect_ms": detect,
            "detect_ms_max": detect_max, "on_threads": threads, "looked_at": looked,
            "looked_at_max": looked_max, "bounds_read": read, "waiting": waiting, "settle_ms": settle,
        }))
    }

    /// Ticks in which all marks move a little.
    fn small(&mut self) -> Result<Value> {
        let mut marks = self.base.clone();
        let (mut looked, mut detect, mut settle) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..SMALL_TICKS {
            for mark in &mut marks {
                *mark = *mark + self.rng.random_range(0..=240) - 120;
            }
            self.marks(|market, _| marks[usize::from(market)])?;
            let moved = self.follow();
            looked.push(moved.found.looked_at as f64);
            detect.push(moved.detect_ms);
            settle.push(moved.settle_ms);
        }
        let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
        let (looked, detect_mean) = (mean(&looked), mean(&detect));
        let settle = mean(&settle);
        let most = detect.iter().copied().fold(0.0, f64::max);
        println!(
            "  all marks by up to 0.02 %, {SMALL_TICKS} ticks: {looked:.1} accounts looked at a \
             tick, {detect_mean:.3} ms (at most {most:.3}); bounds anew in {settle:.3} ms"
        );
        Ok(json!({
            "ticks": SMALL_TICKS, "looked_at": looked, "detect_ms": detect_mean,
            "detect_ms_max": most, "settle_ms": settle,
        }))
    }

    /// Fills of accounts chosen at random.
    fn fills(&mut self) -> Result<Value> {
        let (mut trading, mut following, mut fills) = (0.0, 0.0, 0u64);
        for _ in 0..FILLS / FILLS_PER_TICK {
            let time = ThreadTime::start();
            for _ in 0..FILLS_PER_TICK {
                let [one, two] = [0; 2].map(|_| AccountId(self.rng.random_range(0..self.accounts)));
                let markets = self.exchange.peek_owner(one).map(|o| o.markets()).unwrap_or(&[]);
                let market = *markets.first().context("an account without a market")?;
                let mark = self.exchange.peek_prices(market).mark;
                for (account, side, tif) in
                    [(one, Side::Sell, Tif::Gtc), (two, Side::Buy, Tif::Ioc)]
                {
                    // One that has no margin left for it is refused.
                    let command = order(market.0, side, mark, 10, tif);
                    let _ = self.exchange.execute(account, &command, &mut self.events);
                }
            }
            self.seal();
            trading += time.seconds();
            let time = ThreadTime::start();
            for event in self.events.drain(..) {
                fills += u64::from(matches!(event, Event::Filled(_)));
                self.index.observe(&event);
            }
            self.index.advance(&self.exchange);
            self.index.settle(&self.exchange, SETTLED);
            following += time.seconds();
        }
        let [trading, following] = [trading, following].map(|s| s * 1e6 / fills.max(1) as f64);
        println!(
            "  {fills} fills: {following:.1} µs each to follow, beside {trading:.1} µs to trade"
        );
        Ok(json!({ "fills": fills, "follow_us": following, "trade_us": trading }))
    }

    fn memory(&self) -> Value {
        let size = self.index.size();
        let per_position = size.bytes as f64 / self.positions as f64;
        println!(
            "  {} accounts, {:.1} positions each: index built in {:.2} s, {:.0} MB, {per_position:.1} \
             bytes a position",
            self.accounts,
            self.positions as f64 / f64::from(self.accounts),
            self.rebuild_s,
            size.bytes as f64 / 1e6,
        );
        json!({
            "accounts": self.accounts, "positions": self.positions, "rebuild_s": self.rebuild_s,
            "bytes": size.bytes, "bytes_per_position": per_position,
        })
    }
}

/// Runs the workload.
pub(super) fn run(args: &ExchangeArgs) -> Result<Value> {
    let accounts = args.accounts.unwrap_or(ACCOUNTS);
    let markets = args.markets.first().copied().unwrap_or(MARKETS);
    println!("marks: {accounts} accounts, {markets} markets");
    eprintln!("opening accounts with three positions each …");
    let small = Bench::new(accounts, markets, 3..=3)?.memory();
    eprintln!("opening accounts with 1 to {POSITIONS_MAX} positions each …");
    let mut bench = Bench::new(accounts, markets, 1..=POSITIONS_MAX)?;
    let large = bench.memory();
    if let Some(threads) = args.threads.iter().copied().max().filter(|threads| *threads > 1) {
        bench.threads = Some((Pool::new(threads)?, threads));
    }
    let runs = args.runs;
    let one = bench.larges("one market falls", runs, |rng, markets| {
        let mut direction = vec![0.0; usize::from(markets)];
        direction[rng.random_range(0..usize::from(markets))] = -1.0;
        direction
    })?;
    let fall = |_: &mut SmallRng, markets: u16| vec![-1.0; usize::from(markets)];
    let all = bench.larges("all markets fall together", runs, fall)?;
    let each = bench.larges("each market its own way", runs, |rng, markets| {
        (0..markets).map(|_| rng.random_range(-1.0..1.0)).collect()
    })?;
    let (ticks, fills) = (bench.small()?, bench.fills()?);
    let after = bench.index.size().bytes;
    println!("  index after all that: {:.0} MB", after as f64 / 1e6);
    Ok(json!({
        "workload": "marks", "accounts": accounts, "markets": markets, "three": small,
        "many": large, "moves": [one, all, each], "small_moves": ticks, "fills": fills,
        "bytes_after": after,
    }))
}
