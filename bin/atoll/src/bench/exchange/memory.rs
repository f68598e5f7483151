//! What a large venue takes: accounts with three positions each and resting orders, under an
//! authenticated state as a node holds it; then slots of mixed commands, what they write, and how
//! long their roots take.

use super::flow::COMMANDS_PER_TICK;
use super::venue::{self, order};
use crate::bench::{median, resident_peak_bytes};
use crate::cli::ExchangeArgs;
use anyhow::{Result, ensure};
use atoll_exchange::{
    AccountId, Command, Event, Exchange, Input, Limits, OrderId, OrderSelector, Outcome, Side, Tif,
};
use atoll_state::db::{MemoryDb, StateDb};
use atoll_state::{Resident, WriteSet, object};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::time::Instant;

const POSITIONS: u16 = 3;
const POSITION_LOTS: u64 = 1_000;
const MID: u64 = 600_000;
const COLLATERAL: i128 = 50_000_000_000;
/// Slots that are measured.
const SLOTS: u64 = 10;
/// Orders rest this far from the middle, in ticks.
const AWAY: std::ops::Range<u64> = 150..2_000;

/// A venue as a node holds it, its trie included.
struct Venue {
    exchange: Exchange<Resident>,
    db: MemoryDb,
    events: Vec<Event>,
    writes: WriteSet,
    rng: SmallRng,
    accounts: u32,
    markets: u16,
    time_us: u64,
    /// Some of the open orders, to cancel.
    open: Vec<(AccountId, OrderId)>,
}

/// What a stretch of commands changed.
#[derive(Default)]
struct Sealed {
    objects: u64,
    bytes: u64,
    commit_s: f64,
}

impl Venue {
    /// Ends a range; the trie takes what changed.
    fn seal(&mut self) -> Sealed {
        object::seal(&mut self.exchange, &mut self.writes, None);
        object::begin_unwitnessed(&mut self.exchange);
        let start = Instant::now();
        StateDb::commit(&mut self.db, &self.writes);
        let (objects, bytes) = (self.writes.len() as u64, self.writes.byte_count() as u64);
        self.writes.clear();
        Sealed { objects, bytes, commit_s: start.elapsed().as_secs_f64() }
    }

    fn input(&mut self, input: &Input) -> Result<()> {
        self.exchange.apply(input, &mut self.events)?;
        self.events.clear();
        Ok(())
    }

    fn tick(&mut self) -> Result<()> {
        for market in 0..self.markets {
            let price = MID + self.rng.random_range(0..200) - 100;
            self.input(&venue::oracle(market, price))?;
        }
        self.time_us += 100_000;
        self.input(&Input::Tick { time_us: self.time_us })
    }

    fn command(&mut self, account: AccountId, command: &Command) -> Option<Outcome> {
        let outcome = self.exchange.execute(account, command, &mut self.events);
        self.events.clear();
        outcome.ok()
    }

    fn market(&self, account: u32, n: u16) -> u16 {
        // Pairs share their markets; neighbours are spread over all of them.
        ((account / 2 * 7 + u32::from(n)) % u32::from(self.markets)) as u16
    }

    fn build(&mut self, orders: u64) -> Result<()> {
        self.tick()?;
        for n in 0..self.accounts {
            self.input(&venue::deposit(n, COLLATERAL))?;
            if n % 2 == 1 {
                let (long, short) = (AccountId(n - 1), AccountId(n));
                for slot in 0..POSITIONS {
                    let market = self.market(n, slot);
                    let order = |side, tif| order(market, side, MID, POSITION_LOTS, tif);
                    self.command(short, &order(Side::Sell, Tif::Gtc));
                    self.command(long, &order(Side::Buy, Tif::Ioc));
                }
            }
            if n.is_multiple_of(10_000) {
                self.seal();
            }
        }
        for n in 0..orders {
            self.place((n % u64::from(self.accounts)) as u32);
            if n.is_multiple_of(10_000) {
                self.seal();
            }
        }
        self.seal();
        Ok(())
    }

    fn place(&mut self, account: u32) {
        let slot = self.rng.random_range(0..POSITIONS);
        let market = self.market(account, slot);
        let side = if self.rng.random_bool(0.5) { Side::Buy } else { Side::Sell };
        let away = self.rng.random_range(AWAY);
        let price = if side == Side::Buy { MID - away } else { MID + away };
        let size = self.rng.random_range(100..2_000);
        let account = AccountId(account);
        let placed = self.command(account, &order(market, side, price, size, Tif::Gtc));
        if let Some(Outcome::Placed(placed)) = placed {
            self.open.push((account, placed.order));
        }
    }

    /// A slot: 45 % place, 45 % cancel, 10 % cross.
    fn slot(&mut self, commands: u64) -> Result<Sealed> {
        for n in 0..commands as usize {
            if n.is_multiple_of(COMMANDS_PER_TICK) {
                self.tick()?;
            }
            let account = self.rng.random_range(0..self.accounts);
            match self.rng.random_range(0..20) {
                0..9 => self.place(account),
                9..18 => {
                    let at = self.rng.random_range(0..self.open.len().max(1));
                    if at < self.open.len() {
                        let (owner, order) = self.open.swap_remove(at);
                        self.command(owner, &Command::Cancel(OrderSelector::Order(order)));
                    }
                }
                _ => {
                    let market = self.market(account, 0);
                    let buys = self.rng.random_bool(0.5);
                    let side = if buys { Side::Buy } else { Side::Sell };
                    let price = if buys { MID + 2_500 } else { MID - 2_500 };
                    let size = self.rng.random_range(50..475);
                    self.command(AccountId(account), &order(market, side, price, size, Tif::Ioc));
                }
            }
        }
        Ok(self.seal())
    }
}

/// Builds the venue and runs its slots.
pub(super) fn run(args: &ExchangeArgs) -> Result<Value> {
    let markets = args.markets.first().copied().unwrap_or(100);
    let accounts = args.accounts.unwrap_or(1_000_000);
    let orders = args.orders.unwrap_or(1_000_000);
    let commands = args.commands.unwrap_or(100_000);
    eprintln!("memory: {accounts} accounts, {orders} orders …");
    let mut venue = Venue {
        exchange: Exchange::new(venue::rules(markets, Limits::default())?, 1),
        db: MemoryDb::default(),
        events: Vec::new(),
        writes: WriteSet::default(),
        rng: SmallRng::seed_from_u64(1),
        accounts,
        markets,
        time_us: 1_700_000_000_000_000,
        open: Vec::new(),
    };
    object::begin_unwitnessed(&mut venue.exchange);
    venue.build(orders)?;
    let (objects, trie) = (venue.db.len(), venue.db.memory_bytes());
    let built = resident_peak_bytes();
    let resting = venue::resting(&venue.exchange);
    let last = venue::open_positions(&venue.exchange, accounts / 2 * 2 - 1);
    ensure!(last == usize::from(POSITIONS.min(markets)), "an account has {last} positions");
    let mut slots = Vec::new();
    for _ in 0..SLOTS {
        slots.push(venue.slot(commands)?);
    }
    let peak = resident_peak_bytes();
    let mean = |total: u64| total as f64 / SLOTS as f64;
    let written = mean(slots.iter().map(|slot| slot.objects).sum());
    let bytes = mean(slots.iter().map(|slot| slot.bytes).sum());
    let commit = median(slots.iter().map(|slot| slot.commit_s).collect());
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    println!(
        "memory: {accounts} accounts with {last} positions each, {resting} orders resting, \
         {objects} objects: peak {:.2} GiB when built ({:.2} GiB of it the trie), {:.2} GiB after \
         {SLOTS} slots",
        gib(built),
        gib(trie as u64),
        gib(peak),
    );
    println!(
        "    a slot of {commands} commands writes {written:.0} objects ({:.2} a command), {:.1} \
         MB; its root takes {:.0} ms (median)",
        written / commands as f64,
        bytes / 1e6,
        commit * 1e3,
    );
    Ok(json!({
        "workload": "memory",
        "accounts": accounts,
        "positions": u64::from(accounts) * last as u64,
        "resting": resting,
        "objects": objects,
        "trie_bytes": trie,
        "built_peak_bytes": built,
        "peak_bytes": peak,
        "commands_per_slot": commands,
        "objects_per_slot": written,
        "bytes_per_slot": bytes,
        "commit_s": commit,
    }))
}
