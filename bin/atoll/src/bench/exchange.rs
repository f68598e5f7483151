//! The exchange core on one thread: commands per second with margin checks, object tracking,
//! events and seal encoding.
//!
//! 45 % new orders, 45 % cancels, 10 % crossing orders; 10,000 accounts with 1 to 20 positions;
//! oracle prices and marks move every 1,000 commands, and what changed is sealed and encoded then.
//! The stream is made by a dry run, so that cancels name live orders; only fresh runs of it are
//! timed.

use super::median;
use crate::cli::BenchArgs;
use anyhow::{Context, Result};
use atoll_exchange::{
    AccountId, AssetId, AssetSpec, Command, Event, Exchange, ExchangeSpec, Input, Limits, MarketId,
    MarketSpec, OrderId, OrderRequest, OrderSelector, Outcome, Product, Rules, SelfTrade, Side,
    Tif, Wallet,
};
use atoll_state::{Resident, WriteSet, object};
use atoll_types::Address;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::time::Instant;

const ACCOUNTS: u32 = 10_000;
const POSITIONS_MAX: u16 = 20;
const COMMANDS_PER_TICK: usize = 1_000;
const MID: u64 = 600_000;
const RUNS: usize = 5;

fn rules(markets: u16) -> Result<Rules> {
    let market = |n: u16| MarketSpec {
        name: format!("M{n}"),
        product: Product::Perpetual {
            initial_margin_ppm: 25_000,
            maintenance_margin_ppm: 12_500,
            mark_band_ppm: 5_000,
        },
        price_decimals: 1,
        size_decimals: 5,
        tick: 1,
        lot: 1,
        price_max: 100_000_000,
        order_size_max: 100_000_000,
        notional_min: 10_000_000,
        price_band_ppm: 500_000,
        maker_fee_ppm: 150,
        taker_fee_ppm: 450,
    };
    let spec = ExchangeSpec {
        assets: vec![AssetSpec { symbol: "USDC".into(), decimals: 6 }],
        collateral: AssetId(0),
        markets: (0..markets).map(market).collect(),
        self_trade: SelfTrade::CancelTaker,
        limits: Limits::default(),
    };
    Rules::new(spec).context("the benchmark's spec")
}

enum Step {
    Command(AccountId, Command),
    Input(Input),
}

fn order(market: u16, side: Side, price: u64, size: u64, tif: Tif) -> Command {
    let market = MarketId(market);
    let (reduce_only, client_id) = (false, None);
    Command::Place(OrderRequest { market, side, price, size, tif, reduce_only, client_id })
}

struct Maker {
    exchange: Exchange<Resident>,
    rng: SmallRng,
    events: Vec<Event>,
    live: Vec<(AccountId, OrderId)>,
    time_us: u64,
    markets: u16,
}

impl Maker {
    fn input(&mut self, steps: &mut Vec<Step>, input: Input) {
        // Inputs of the benchmark's own spec are valid.
        let _ = self.exchange.apply(&input, &mut self.events);
        self.events.clear();
        steps.push(Step::Input(input));
    }

    fn command(&mut self, steps: &mut Vec<Step>, account: AccountId, command: Command) {
        let rests = !matches!(command, Command::Place(OrderRequest { tif: Tif::Ioc, .. }));
        match self.exchange.execute(account, &command, &mut self.events) {
            Ok(Outcome::Placed(placed)) if rests => self.live.push((account, placed.order)),
            _ => {}
        }
        self.events.clear();
        steps.push(Step::Command(account, command));
    }

    fn tick(&mut self, steps: &mut Vec<Step>) {
        for market in 0..self.markets {
            let price = MID + self.rng.random_range(0..200) - 100;
            self.input(steps, Input::Oracle { market: MarketId(market), price });
        }
        self.time_us += 100_000;
        self.input(steps, Input::Tick { time_us: self.time_us });
    }

    /// Accounts, collateral and positions; not timed.
    fn set_up(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        for n in 0..ACCOUNTS {
            let mut bytes = [0; 20];
            bytes[16..].copy_from_slice(&(n + 1).to_be_bytes());
            self.input(
                &mut steps,
                Input::Credit {
                    address: Address::from(bytes),
                    asset: AssetId(0),
                    wallet: Wallet::Collateral,
                    amount: 1 << 50,
                },
            );
        }
        self.tick(&mut steps);
        for pair in 0..ACCOUNTS / 2 {
            let (long, short) = (AccountId(pair * 2), AccountId(pair * 2 + 1));
            let positions = self.rng.random_range(1..=POSITIONS_MAX.min(self.markets));
            let first = self.rng.random_range(0..self.markets);
            for i in 0..positions {
                let market = (first + i) % self.markets;
                self.command(&mut steps, short, order(market, Side::Sell, MID, 1_000, Tif::Gtc));
                self.command(&mut steps, long, order(market, Side::Buy, MID, 1_000, Tif::Ioc));
            }
        }
        self.live.clear();
        steps
    }

    fn flow(&mut self, commands: u64) -> Vec<Step> {
        let mut steps = Vec::new();
        for n in 0..commands as usize {
            if n.is_multiple_of(COMMANDS_PER_TICK) {
                self.tick(&mut steps);
            }
            let account = AccountId(self.rng.random_range(0..ACCOUNTS));
            let market = self.rng.random_range(0..self.markets);
            let side = if self.rng.random_bool(0.5) { Side::Buy } else { Side::Sell };
            let size = self.rng.random_range(100..2_000);
            let draw = self.rng.random_range(0..100);
            if draw < 45 && !self.live.is_empty() {
                let at = self.rng.random_range(0..self.live.len());
                let (owner, target) = self.live.swap_remove(at);
                self.command(&mut steps, owner, Command::Cancel(OrderSelector::Order(target)));
            } else if draw < 90 {
                let away = self.rng.random_range(150..2_000);
                let price = if side == Side::Buy { MID - away } else { MID + away };
                self.command(&mut steps, account, order(market, side, price, size, Tif::Gtc));
            } else {
                let price = if side == Side::Buy { MID + 2_500 } else { MID - 2_500 };
                self.command(&mut steps, account, order(market, side, price, size, Tif::Ioc));
            }
        }
        steps
    }
}

struct Run {
    seconds: f64,
    succeeded: u64,
    commands: u64,
    events: u64,
    sealed_objects: u64,
}

fn execute(exchange: &mut Exchange<Resident>, steps: &[Step]) -> Run {
    let mut events = Vec::with_capacity(1024);
    let mut writes = WriteSet::default();
    let mut run = Run { seconds: 0.0, succeeded: 0, commands: 0, events: 0, sealed_objects: 0 };
    object::begin(exchange);
    let begin = Instant::now();
    for step in steps {
        match step {
            Step::Command(account, command) => {
                run.commands += 1;
                run.succeeded +=
                    u64::from(exchange.execute(*account, command, &mut events).is_ok());
            }
            Step::Input(input) => {
                if matches!(input, Input::Tick { .. }) {
                    object::seal(exchange, &mut writes, None);
                    run.sealed_objects += writes.len() as u64;
                    writes.clear();
                    object::begin(exchange);
                }
                let _ = exchange.apply(input, &mut events);
            }
        }
        run.events += events.len() as u64;
        events.clear();
    }
    object::seal(exchange, &mut writes, None);
    run.sealed_objects += writes.len() as u64;
    run.seconds = begin.elapsed().as_secs_f64();
    run
}

/// Runs the benchmark.
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    let mut results = Vec::new();
    for markets in [1u16, 100] {
        eprintln!("{markets} market(s): making {} commands …", args.commands);
        let rules = rules(markets)?;
        let mut maker = Maker {
            exchange: Exchange::new(rules.clone(), 1),
            rng: SmallRng::seed_from_u64(1),
            events: Vec::new(),
            live: Vec::new(),
            time_us: 1_700_000_000_000_000,
            markets,
        };
        let set_up = maker.set_up();
        let flow = maker.flow(args.commands);
        drop(maker);
        let mut rates = Vec::new();
        let mut last = None;
        for n in 0..RUNS {
            let mut exchange = Exchange::new(rules.clone(), 1);
            execute(&mut exchange, &set_up);
            let run = execute(&mut exchange, &flow);
            let rate = run.commands as f64 / run.seconds;
            eprintln!("  run {}: {rate:.0} commands/s", n + 1);
            rates.push(rate);
            last = Some(run);
        }
        let run = last.context("at least one run")?;
        let rate = median(rates.clone());
        let succeeded = run.succeeded as f64 / run.commands as f64;
        println!(
            "{markets:>3} market(s): {rate:.0} commands/s (median of {RUNS}); {:.1} % succeed, \
             {:.2} events and {:.2} sealed objects a command",
            succeeded * 100.0,
            run.events as f64 / run.commands as f64,
            run.sealed_objects as f64 / run.commands as f64,
        );
        results.push(serde_json::json!({
            "markets": markets,
            "commands": run.commands,
            "commands_per_s": rate,
            "runs_per_s": rates,
            "succeeded": succeeded,
        }));
    }
    if args.json {
        println!("{}", serde_json::json!({ "bench": "exchange", "results": results }));
    }
    Ok(())
}
