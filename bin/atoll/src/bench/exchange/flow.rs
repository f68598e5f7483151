//! The flow of the exchange benchmark, made by a dry run on the engine itself, so that cancels name
//! orders that are open.
//!
//! * Of every 20 commands, in random order, 9 place an order that rests, 9 cancel one and 2 cross.
//! * Each account is in 1 to 20 markets (all there are, if fewer), has a position in each, and
//!   trades in those alone.
//! * Orders rest 150 to 2,000 ticks from the middle. Crossing orders are immediate-or-cancel and
//!   smaller than what rests, against the account's position where it has grown large.
//! * The books begin with so many orders (30,000 unless told otherwise) and what the crossing
//!   orders will take out of them: with as many cancels as orders placed, nothing else puts it
//!   back.
//! * Before every 1,000 commands oracle prices and marks move, in all markets.

use super::venue::{self, order};
use anyhow::Result;
use atoll_exchange::{
    AccountId, Command, Event, Exchange, Input, Limits, OrderId, OrderRequest, OrderSelector,
    Outcome, Rules, Side, Tif,
};
use atoll_state::{Resident, WriteSet, object};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::collections::HashMap;

/// Commands between two ticks.
pub(super) const COMMANDS_PER_TICK: usize = 1_000;
const POSITIONS_MAX: usize = 20;
const POSITION_LOTS: u64 = 1_000;
const POSITION_LOTS_MAX: i64 = 5_000;
/// Of pairs of accounts that open their positions, before what changed is sealed.
const PAIRS_PER_TICK: u32 = 100;
const MID: u64 = 600_000;
/// Fifty thousand dollars each; twenty positions are worth twelve thousand.
const COLLATERAL: i128 = 50_000_000_000;

/// How large a flow is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) markets: u16,
    pub(super) accounts: u32,
    /// Orders that rest at least, over all books.
    pub(super) orders: u64,
    pub(super) commands: u64,
}

/// One step of the benchmark. Small, because the recording runs through the caches that the
/// exchange works in: where a node executes, a command has just been decoded.
pub(super) enum Step {
    Place(AccountId, OrderRequest),
    Cancel(AccountId, OrderId),
    Modify(AccountId, OrderId, OrderRequest),
    Input(Input),
}

impl Step {
    pub(super) fn new(account: AccountId, command: &Command) -> Self {
        use OrderSelector::Order;
        match *command {
            Command::Place(order) => Self::Place(account, order),
            Command::Cancel(Order(order)) => Self::Cancel(account, order),
            Command::Modify { target: Order(target), order } => {
                Self::Modify(account, target, order)
            }
            _ => unreachable!("the benchmark's flows place, cancel and modify by number"),
        }
    }

    /// Who asks for what; none for an input.
    pub(super) fn command(&self) -> Option<(AccountId, Command)> {
        use OrderSelector::Order;
        Some(match *self {
            Self::Place(account, order) => (account, Command::Place(order)),
            Self::Cancel(account, order) => (account, Command::Cancel(Order(order))),
            Self::Modify(account, target, order) => {
                (account, Command::Modify { target: Order(target), order })
            }
            Self::Input(_) => return None,
        })
    }
}

/// What the benchmark runs.
pub(super) struct Flow {
    pub(super) rules: Rules,
    /// Opens accounts, positions and books; not timed.
    pub(super) set_up: Vec<Step>,
    pub(super) timed: Vec<Step>,
    /// Markets an account is in, and open positions an account has at the end: means.
    pub(super) markets_mean: f64,
    pub(super) positions_mean: f64,
}

#[derive(Clone, Copy)]
enum Kind {
    Place,
    Cancel,
    Cross,
}

impl Flow {
    pub(super) fn make(size: &Size) -> Result<Self> {
        let rules = venue::rules(size.markets, Limits::default())?;
        let mut exchange = Exchange::new(rules.clone(), 1);
        object::begin_unwitnessed(&mut exchange);
        let mut maker = Maker {
            exchange,
            rng: SmallRng::seed_from_u64(1),
            events: Vec::new(),
            open: OpenOrders::default(),
            members: Vec::new(),
            time_us: 1_700_000_000_000_000,
            size: *size,
            steps: Vec::new(),
        };
        maker.set_up();
        let set_up = std::mem::take(&mut maker.steps);
        maker.trade();
        let accounts = f64::from(size.accounts);
        let in_markets: usize = maker.members.iter().map(Vec::len).sum();
        let open = (0..size.accounts).map(|n| venue::open_positions(&maker.exchange, n));
        let open: usize = open.sum();
        Ok(Self {
            rules,
            set_up,
            timed: maker.steps,
            markets_mean: in_markets as f64 / accounts,
            positions_mean: open as f64 / accounts,
        })
    }
}

/// Orders that rest, to choose one from.
#[derive(Default)]
struct OpenOrders {
    list: Vec<(AccountId, OrderId)>,
    places: HashMap<OrderId, usize>,
}

impl OpenOrders {
    fn add(&mut self, account: AccountId, order: OrderId) {
        self.places.insert(order, self.list.len());
        self.list.push((account, order));
    }

    fn remove(&mut self, order: OrderId) {
        let Some(place) = self.places.remove(&order) else { return };
        self.list.swap_remove(place);
        if let Some((_, moved)) = self.list.get(place) {
            self.places.insert(*moved, place);
        }
    }
}

struct Maker {
    exchange: Exchange<Resident>,
    rng: SmallRng,
    events: Vec<Event>,
    open: OpenOrders,
    /// The markets of each account.
    members: Vec<Vec<u16>>,
    time_us: u64,
    size: Size,
    steps: Vec<Step>,
}

impl Maker {
    fn input(&mut self, input: Input) {
        // Inputs of the benchmark's own spec are valid.
        let _ = self.exchange.apply(&input, &mut self.events);
        self.events.clear();
        self.steps.push(Step::Input(input));
    }

    fn command(&mut self, account: AccountId, command: Command) {
        let outcome = self.exchange.execute(account, &command, &mut self.events);
        for event in self.events.drain(..) {
            match event {
                Event::Filled(fill) if fill.maker.remaining == 0 => {
                    self.open.remove(fill.maker.order);
                }
                Event::Cancelled { order, .. } => self.open.remove(order.order),
                _ => {}
            }
        }
        if let Ok(Outcome::Placed(placed)) = outcome
            && placed.resting > 0
        {
            self.open.add(account, placed.order);
        }
        self.steps.push(Step::new(account, &command));
    }

    fn tick(&mut self) {
        object::seal(&mut self.exchange, &mut WriteSet::default(), None);
        object::begin_unwitnessed(&mut self.exchange);
        for market in 0..self.size.markets {
            let price = MID + self.rng.random_range(0..200) - 100;
            self.input(venue::oracle(market, price));
        }
        self.time_us += 100_000;
        self.input(Input::Tick { time_us: self.time_us });
    }

    fn set_up(&mut self) {
        for n in 0..self.size.accounts {
            self.input(venue::deposit(n, COLLATERAL));
        }
        let mut all: Vec<u16> = (0..self.size.markets).collect();
        for pair in 0..self.size.accounts / 2 {
            if pair.is_multiple_of(PAIRS_PER_TICK) {
                self.tick();
            }
            let (long, short) = (AccountId(pair * 2), AccountId(pair * 2 + 1));
            let positions = self.rng.random_range(1..=POSITIONS_MAX).min(all.len());
            let chosen = all.partial_shuffle(&mut self.rng, positions).0.to_vec();
            for market in &chosen {
                let order = |side, tif| order(*market, side, MID, POSITION_LOTS, tif);
                self.command(short, order(Side::Sell, Tif::Gtc));
                self.command(long, order(Side::Buy, Tif::Ioc));
            }
            self.members.extend([chosen.clone(), chosen]);
        }
        // A crossing order takes a quarter of a resting one, in the mean.
        for _ in 0..self.size.orders + self.size.commands / 10 / 4 {
            self.place();
        }
    }

    fn trade(&mut self) {
        let mut kinds = [Kind::Place; 20];
        kinds[9..18].fill(Kind::Cancel);
        kinds[18..].fill(Kind::Cross);
        for n in 0..self.size.commands as usize {
            if n.is_multiple_of(COMMANDS_PER_TICK) {
                self.tick();
            }
            if n.is_multiple_of(kinds.len()) {
                kinds.shuffle(&mut self.rng);
            }
            match kinds[n % kinds.len()] {
                Kind::Place => self.place(),
                Kind::Cancel => self.cancel(),
                Kind::Cross => self.cross(),
            }
        }
    }

    fn somebody(&mut self) -> (AccountId, u16, Side) {
        let account = self.rng.random_range(0..self.members.len() as u32);
        let markets = &self.members[account as usize];
        let market = markets[self.rng.random_range(0..markets.len())];
        let side = if self.rng.random_bool(0.5) { Side::Buy } else { Side::Sell };
        (AccountId(account), market, side)
    }

    fn place(&mut self) {
        let (account, market, side) = self.somebody();
        let away = self.rng.random_range(150..2_000);
        let price = if side == Side::Buy { MID - away } else { MID + away };
        let size = self.rng.random_range(100..2_000);
        self.command(account, order(market, side, price, size, Tif::Gtc));
    }

    fn cancel(&mut self) {
        let at = self.rng.random_range(0..self.open.list.len().max(1));
        let (owner, target) = self.open.list.get(at).copied().unwrap_or_default();
        self.command(owner, Command::Cancel(OrderSelector::Order(target)));
    }

    fn cross(&mut self) {
        let (account, market, mut side) = self.somebody();
        let views = self.exchange.peek_positions(account);
        let held = views.iter().find(|view| view.market.0 == market);
        let lots = held.map_or(0, |view| view.position.size);
        if lots.abs() > POSITION_LOTS_MAX {
            side = if lots > 0 { Side::Sell } else { Side::Buy };
        }
        let price = if side == Side::Buy { MID + 2_500 } else { MID - 2_500 };
        let size = self.rng.random_range(50..475);
        self.command(account, order(market, side, price, size, Tif::Ioc));
    }
}
