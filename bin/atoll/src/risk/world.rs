//! A venue during a crash: the exchange with its authenticated state, the liquidation index and
//! everybody in it, driven slot by slot.
//!
//! A slot is 100 ms. With each oracle price there is one; more follow, up to [`SLOTS_MAX`] for each
//! price, while liquidations get anywhere. Slots in which nothing could happen are left out: chain
//! time goes on to the next oracle price. So an hour at a price each minute is sixty slots, and what
//! liquidations may do in a slot is bounded as on a node.
//!
//! In a slot: oracle reports, tick, everybody's orders, the index, liquidations in order of account
//! numbers, deleveraging, seal, root. What is timed is the time that the thread runs; audits and
//! records are not.

use super::books::Books;
use super::crowd::Crowd;
use super::path::{self, Step};
use super::record::{Record, Took};
use super::scenario::{Catalogue, Glitch, Scenario};
use super::venue::{self, SOURCES, USDC};
use anyhow::{Context, Result, ensure};
use atoll_exchange::objects::{GroupKey, PositionGroup};
use atoll_exchange::{
    AccountId, Command, Deleveraging, Event, Exchange, Input, MarketId, OracleReport, Outcome,
    Refusal,
};
use atoll_liquidator::{Liquidator, Unit};
use atoll_state::db::{MemoryDb, StateDb};
use atoll_state::{Resident, WriteSet, object};
use atoll_types::B256;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rustix::time::{ClockId, clock_gettime};

/// A slot's length.
const SLOT_US: u64 = 100_000;
/// Most slots for one oracle price.
const SLOTS_MAX: u64 = 10;
/// How often the index is asked again within a slot for whom liquidations have touched.
const PASSES: usize = 4;
/// Accounts whose bounds are set anew after a slot.
const SETTLED: usize = 2_000;
/// Time before the crash, for positions to be opened.
const BEFORE_US: u64 = 36_000_000_000;

/// What the thread has run, in microseconds.
pub(super) fn thread_us() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// The venue.
pub(super) struct World<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) scenario: &'a Scenario,
    pub(super) exchange: Exchange<Resident>,
    pub(super) rng: SmallRng,
    pub(super) time_us: u64,
    /// Prices outside, in ticks.
    pub(super) prices: Vec<u64>,
    pub(super) crowd: Crowd,
    pub(super) record: Record,
    index: Liquidator,
    books: Books,
    db: MemoryDb,
    writes: WriteSet,
    pub(super) events: Vec<Event>,
}

/// Whom to run, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) accounts: u32,
    pub(super) seed: u64,
    pub(super) deleveraging: Deleveraging,
}

/// Runs a crash from its beginning to its end.
pub(super) fn run<'a>(
    catalogue: &'a Catalogue,
    scenario: &'a Scenario,
    setting: &Setting,
    mut progress: impl FnMut(&str),
) -> Result<World<'a>> {
    let crowd = Crowd::number(setting.accounts, scenario.markets.len());
    let vault = (venue::address(crowd.vault.0), catalogue.venue.vault_margin);
    let rules = venue::rules(scenario, setting.deleveraging, vault)?;
    let exchange = Exchange::new(rules, 1);
    let mut world = World {
        index: Liquidator::new(&exchange),
        books: Books::default(),
        exchange,
        catalogue,
        scenario,
        rng: SmallRng::seed_from_u64(setting.seed),
        time_us: scenario.start_s * 1_000_000 - BEFORE_US,
        prices: Vec::new(),
        crowd,
        record: Record::default(),
        db: MemoryDb::default(),
        writes: WriteSet::default(),
        events: Vec::new(),
    };
    object::begin_unwitnessed(&mut world.exchange);
    progress("opening accounts and positions");
    world.gather()?;
    world.index = Liquidator::new(&world.exchange);
    world.books = Books::new(&world.exchange);
    world.record = Record::new(scenario.markets.len());
    let steps = path::path(scenario, setting.seed);
    for (n, step) in steps.iter().enumerate() {
        world.step(n, step).with_context(|| format!("{} s into the crash", step.at_s))?;
        if n % (steps.len() / 10).max(1) == 0 {
            progress(&world.line(n, steps.len()));
        }
    }
    world.finish()?;
    progress(&world.line(steps.len(), steps.len()));
    Ok(world)
}

impl World<'_> {
    fn line(&self, done: usize, of: usize) -> String {
        format!(
            "{done} of {of} oracle prices, {} slots ({} full), {} liquidations, {} outstanding",
            self.record.samples.len(),
            self.record.samples.iter().filter(|sample| sample.full).count(),
            self.record.totals.liquidated(),
            self.index.liquidatable().count(),
        )
    }

    /// The state root.
    pub(super) fn root(&self) -> B256 {
        self.db.root()
    }

    /// Applies an input that must be taken.
    pub(super) fn apply(&mut self, input: &Input) -> Result<()> {
        let applied = self.exchange.apply(input, &mut self.events);
        for event in &self.events {
            self.index.observe(event);
            self.books.note(event);
        }
        self.record.note(&self.events);
        self.events.clear();
        applied.map(|_| ()).with_context(|| format!("{input:?}"))
    }

    /// Executes a command; gives what it came to.
    pub(super) fn execute(
        &mut self,
        account: AccountId,
        command: &Command,
    ) -> Result<Outcome, Refusal> {
        self.events.clear();
        let done = self.exchange.execute(account, command, &mut self.events);
        for event in &self.events {
            self.index.observe(event);
            self.books.note(event);
        }
        done
    }

    /// Executes a command that must succeed.
    pub(super) fn must(&mut self, account: AccountId, command: &Command) -> Result<()> {
        let done = self.execute(account, command);
        done.map(|_| ()).with_context(|| format!("account {account}: {command:?}"))
    }

    /// Executes a command that may be refused; counts refusals.
    pub(super) fn try_do(&mut self, account: AccountId, command: &Command) {
        match self.execute(account, command) {
            Ok(_) => self.record.commands += 1,
            Err(refusal) => {
                self.record.commands += 1;
                *self.record.refused.entry(refusal.code.label()).or_default() += 1;
            }
        }
    }

    /// Lots that an account holds in a market.
    pub(super) fn position(&self, account: AccountId, market: MarketId) -> i64 {
        self.held(account, market).map_or(0, |held| held.0)
    }

    /// Lots and unrealised profit of a position.
    pub(super) fn held(&self, account: AccountId, market: MarketId) -> Option<(i64, i128)> {
        let slot = self.exchange.peek_owner(account)?.slot(market)?;
        let group = (slot / PositionGroup::SLOTS) as u8;
        let found = self.exchange.state().positions.peek(&GroupKey { account, group })?;
        let position = &found.0[(slot % PositionGroup::SLOTS) as usize];
        let prices = self.exchange.peek_prices(market);
        let rules = self.exchange.rules().market(market)?;
        let value = rules.value(prices.mark, position.size);
        let due = position.funding_due(prices.funding).0;
        Some((position.size, value - position.cost - due))
    }

    /// Each oracle source tells what prices are outside, within two hundredths of a percent.
    pub(super) fn tell(&mut self) -> Result<()> {
        for n in 0..self.prices.len() {
            for source in 0..SOURCES {
                let off = 1.0 + 2e-4 * (self.rng.random::<f64>() - 0.5);
                let price = (self.prices[n] as f64 * off).round().max(1.0) as u64;
                self.report(n, source, price)?;
            }
        }
        Ok(())
    }

    fn report(&mut self, market: usize, source: u8, price: u64) -> Result<()> {
        let (market, time_us) = (MarketId(market as u16), u64::MAX);
        let report = OracleReport { market, source, price, external: 0, time_us };
        self.apply(&Input::Oracle(report))
    }

    /// Sources that tell nonsense do so after all have told the truth.
    fn mislead(&mut self, glitch: &Glitch, at_s: u64) -> Result<()> {
        let during = |from: u64, length: u64| (from..from + length).contains(&at_s);
        let liars = match () {
            () if during(glitch.all_s, glitch.all_for_s) => 0..SOURCES,
            () if during(glitch.one_s, glitch.one_for_s) => 0..1,
            () => return Ok(()),
        };
        for source in liars {
            for market in 0..self.prices.len() {
                // A price of zero is refused; one tick is the least that can be told.
                ensure!(self.report(market, source, 0).is_err(), "a price of zero was taken");
                self.record.zeros += 1;
                self.report(market, source, 1)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, turn: usize, step: &Step) -> Result<()> {
        let start_us = self.scenario.start_s * 1_000_000 + step.at_s * 1_000_000;
        let slots = (step.for_s * 1_000_000 / SLOT_US).min(SLOTS_MAX);
        for slot in 0..slots {
            self.time_us = start_us + slot * SLOT_US;
            let done = self.slot(turn, step, slot == 0)?;
            if done == 0 {
                break;
            }
        }
        Ok(())
    }

    /// A slot; gives how many liquidations and deleveragings got anywhere.
    fn slot(&mut self, turn: usize, step: &Step, told: bool) -> Result<u64> {
        let mut took = Took::default();
        let start = thread_us();
        if told {
            self.prices.clone_from(&step.prices);
            self.tell()?;
            if let Some(glitch) = self.scenario.glitch {
                self.mislead(&glitch, step.at_s)?;
            }
        }
        self.apply(&Input::Tick { time_us: self.time_us })?;
        let ticked = thread_us();
        if told {
            self.trade(turn, step);
        }
        let traded = thread_us();
        let (mut done, mut busy, mut stale) = (0, false, false);
        for _ in 0..PASSES {
            let before = thread_us();
            let found = self.index.advance(&self.exchange);
            let units: Vec<Unit> = self.index.liquidatable().collect();
            took.index += thread_us() - before;
            took.looked_at += found.looked_at as u64;
            let before = thread_us();
            let (mut moved, mut noted) = (0, 0.0);
            for unit in units {
                let (steps, full, notes) = self.liquidate(unit)?;
                (moved, noted) = (moved + steps, noted + notes);
                if full {
                    busy = true;
                    break;
                }
            }
            let (steps, notes) = self.deleverage()?;
            (moved, noted) = (moved + steps, noted + notes);
            took.liquidate += thread_us() - before - noted;
            done += moved;
            stale = moved > 0;
            if !stale || busy {
                break;
            }
        }
        let before = thread_us();
        if stale {
            self.index.advance(&self.exchange);
        }
        self.index.settle(&self.exchange, SETTLED);
        took.index += thread_us() - before;
        took.tick = ticked - start;
        took.trade = traded - ticked;
        let before = thread_us();
        object::seal(&mut self.exchange, &mut self.writes, None);
        object::begin_unwitnessed(&mut self.exchange);
        took.seal = thread_us() - before;
        let before = thread_us();
        self.db.commit(&self.writes);
        took.root = thread_us() - before;
        took.objects = self.writes.len() as u64;
        self.writes.clear();
        self.sample(took, busy)?;
        Ok(done)
    }

    fn sample(&mut self, took: Took, busy: bool) -> Result<()> {
        self.books.balance(&self.exchange)?;
        let ledger = self.exchange.peek_ledger(USDC);
        let vault = self.exchange.peek_margin(self.crowd.vault).equity();
        let outstanding = self.index.liquidatable().count() as u64;
        let seconds = self.time_us as f64 / 1e6 - self.scenario.start_s as f64;
        let markets = (0..self.prices.len()).map(|n| {
            let market = MarketId(n as u16);
            (self.prices[n], self.exchange.peek_prices(market), self.exchange.peek_top(market))
        });
        let markets: Vec<_> = markets.collect();
        let money = (ledger.insurance, vault, ledger.shortfall);
        self.record.sample(seconds, &markets, money, outstanding, took, busy);
        Ok(())
    }

    /// What holds at the end.
    fn finish(&mut self) -> Result<()> {
        Books::everything(&self.exchange)?;
        let wrong = self.exchange.inconsistencies();
        ensure!(wrong.is_empty(), "the state contradicts itself: {}", wrong.join("; "));
        self.index.advance(&self.exchange);
        let known: Vec<Unit> = self.index.liquidatable().collect();
        for n in 0..=self.crowd.agent.0 {
            let account = AccountId(n);
            let margin = self.exchange.peek_margin(account);
            let due = known.contains(&Unit { account, market: None });
            ensure!(margin.is_liquidatable() == due, "the index is wrong about account {account}");
            self.record.negative += u64::from(margin.equity() < 0);
        }
        Ok(())
    }

    /// Ends a stretch of commands of the setting up.
    pub(super) fn seal(&mut self) {
        object::seal(&mut self.exchange, &mut self.writes, None);
        object::begin_unwitnessed(&mut self.exchange);
        self.db.commit(&self.writes);
        self.writes.clear();
    }
}
