//! Who is there before a crash: leveraged accounts, the desks on their other side, makers, the
//! vault and the insurance fund.
//!
//! * What an account has is lognormal: the median 1,500 dollars, the mean some 5,400. Its effective
//!   leverage is drawn from the table of `crashes.toml`; who has more uses less.
//! * Positions were opened over the last ten hours, while prices rose by a tenth, so that entries
//!   differ; then money moved in or out until leverage at the present marks was as drawn (more is
//!   not taken out than may be, so that who gained has less leverage). Isolated positions were opened last,
//!   with leverage as drawn.
//! * Each account trades with one of forty desks, which end up short of what longs are long in
//!   excess, with half of that in collateral: hedged basis traders. (Of the accounts that
//!   Hyperliquid deleveraged on 10 October 2025 the median had a leverage of 0.2.)

use super::path::normal;
use super::scenario::Crowding;
use super::venue::{DOLLAR, USDC, address};
use super::world::World;
use anyhow::{Result, ensure};
use atoll_exchange::{AccountId, Command, Input, MarketId, OrderRequest, Side, Tif, Wallet};
use rand::Rng;

const DESKS: u32 = 40;
/// Makers of each market.
const MAKERS: u32 = 3;
const ROUNDS: u32 = 10;
/// Ticks between two rounds, a minute each.
const TICKS_PER_ROUND: u32 = 60;
/// How far below the first price of the scenario the first positions were opened.
const RISE: f64 = 0.1;

/// The accounts by their parts, in order of their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Crowd {
    /// Leveraged accounts: 0 up to this.
    pub(super) traders: u32,
    /// Each is in all markets.
    pub(super) desks: Vec<AccountId>,
    /// Each with its market.
    pub(super) makers: Vec<(AccountId, MarketId)>,
    pub(super) vault: AccountId,
    /// Who sends liquidations.
    pub(super) agent: AccountId,
    /// Open interest by market before the crash, in dollars.
    pub(super) open_interest: Vec<f64>,
    /// Open interest by market in lots.
    pub(super) lots: Vec<f64>,
    /// Mean effective leverage of the leveraged accounts.
    pub(super) leverage: f64,
    /// How many are long of all that hold anything.
    pub(super) long: f64,
    pub(super) isolated: u32,
    pub(super) collateral: f64,
}

impl Crowd {
    /// The numbers of everybody.
    pub(super) fn number(traders: u32, markets: usize) -> Self {
        let desks: Vec<AccountId> = (traders..traders + DESKS).map(AccountId).collect();
        let first = traders + DESKS;
        let makers = (0..markets as u32 * MAKERS)
            .map(|n| (AccountId(first + n), MarketId((n / MAKERS) as u16)));
        let makers: Vec<_> = makers.collect();
        let vault = AccountId(first + makers.len() as u32);
        let agent = AccountId(vault.0 + 1);
        Self { traders, desks, makers, vault, agent, ..Self::default() }
    }
}

/// What an account is going to have.
struct Plan {
    equity: f64,
    leverage: f64,
    isolated: bool,
    round: u32,
    /// Market, side and value in dollars.
    legs: Vec<(usize, Side, f64)>,
}

/// Dollars in smallest units.
pub(super) fn units(dollars: f64) -> i128 {
    (dollars * DOLLAR) as i128
}

fn credit(account: AccountId, amount: i128) -> Input {
    let (asset, wallet) = (USDC, Wallet::Collateral);
    Input::Credit { address: address(account.0), asset, wallet, amount }
}

impl World<'_> {
    /// Opens all accounts and positions.
    pub(super) fn gather(&mut self) -> Result<()> {
        let venue = &self.catalogue.venue;
        let plans: Vec<Plan> = (0..self.crowd.traders).map(|_| self.plan(venue)).collect();
        for (n, plan) in (0u32..).zip(&plans) {
            let value: f64 = plan.legs.iter().map(|leg| leg.2).sum();
            let money = if plan.isolated { plan.equity * 1.1 } else { value * 0.5 };
            self.apply(&credit(AccountId(n), units(money + 20.0)))?;
        }
        // Numbers go up one by one; what they keep of it is decided when positions are open.
        let last = self.crowd.agent.0;
        for n in self.crowd.traders..=last {
            self.apply(&credit(AccountId(n), units(1e9)))?;
        }
        ensure!(self.exchange.peek_global().accounts == last + 1, "accounts are numbered wrongly");
        for round in 0..ROUNDS {
            self.drift(round)?;
            for (n, plan) in (0u32..).zip(&plans).filter(|(_, plan)| plan.round == round) {
                self.open(AccountId(n), plan)?;
                if n % 1_000 == 999 {
                    self.seal();
                }
            }
        }
        self.trim(&plans)?;
        self.endow()?;
        self.seal();
        Ok(())
    }

    fn plan(&mut self, venue: &Crowding) -> Plan {
        let equity = (1_500.0 * (1.6 * normal(&mut self.rng)).exp()).clamp(60.0, 3e6);
        let mut draw = self.rng.random::<f64>();
        let band = venue.leverage.iter().find(|(_, _, part)| {
            draw -= part;
            draw < 0.0
        });
        let (low, high, _) = band.copied().unwrap_or((1.0, 3.0, 0.0));
        let drawn = low + (high - low) * self.rng.random::<f64>();
        let cap = if equity > 1e6 {
            4.0
        } else if equity > 1e5 {
            10.0
        } else {
            40.0
        };
        let count = match self.rng.random_range(0..20) {
            0..12 => 1,
            12..17 => 2,
            _ => 3,
        };
        let mut markets: Vec<usize> = Vec::new();
        while markets.len() < count.min(self.scenario.markets.len()) {
            let market = self.some_market();
            if !markets.contains(&market) {
                markets.push(market);
            }
        }
        let most = markets.iter().map(|m| self.scenario.markets[*m].leverage).min().unwrap_or(1);
        let isolated = markets.len() == 1 && self.rng.random_bool(venue.isolated);
        let most = f64::from(most) * 0.95;
        let mut leverage = drawn.min(cap).min(most);
        if isolated {
            leverage = leverage.floor().max(1.0);
        }
        let long = self.rng.random_bool(venue.long);
        let value = equity * leverage / markets.len() as f64;
        let side = |turned: bool| if long != turned { Side::Buy } else { Side::Sell };
        let legs = markets.into_iter().enumerate();
        let legs = legs.map(|(n, m)| (m, side(n > 0 && self.rng.random_bool(0.15)), value));
        let legs = legs.collect();
        let round = if isolated { ROUNDS - 1 } else { self.rng.random_range(0..ROUNDS) };
        Plan { equity, leverage, isolated, round, legs }
    }

    /// A market, by weight.
    fn some_market(&mut self) -> usize {
        let markets = &self.scenario.markets;
        let mut draw = self.rng.random::<f64>() * markets.iter().map(|m| m.weight).sum::<f64>();
        let found = markets.iter().position(|market| {
            draw -= market.weight;
            draw < 0.0
        });
        found.unwrap_or(0)
    }

    /// Prices rise to where a round's positions are opened.
    fn drift(&mut self, round: u32) -> Result<()> {
        let of = |round: f64| 1.0 - RISE * (1.0 - round / f64::from(ROUNDS - 1));
        for tick in 1..=TICKS_PER_ROUND {
            let part = f64::from(tick) / f64::from(TICKS_PER_ROUND);
            let at = of((f64::from(round) - 1.0 + part).max(0.0));
            let prices = self.scenario.markets.iter().map(|m| m.ticks(m.price * at)).collect();
            self.time_us += 60_000_000;
            self.prices = prices;
            self.tell()?;
            self.apply(&Input::Tick { time_us: self.time_us })?;
        }
        self.seal();
        Ok(())
    }

    fn open(&mut self, account: AccountId, plan: &Plan) -> Result<()> {
        for (n, side, value) in &plan.legs {
            let market = MarketId(*n as u16);
            if plan.isolated {
                let leverage = plan.leverage as u8;
                let set = Command::SetLeverage { market, leverage, isolated: true };
                self.must(account, &set)?;
            }
            let price = self.prices[*n];
            // A lot at a price of one tick is worth one unit.
            let size = (units(*value) as u64 / price).max(1);
            let order = OrderRequest { market, price, size, ..OrderRequest::default() };
            let desk = self.crowd.desks[account.0 as usize % self.crowd.desks.len()];
            let other = side.opposite();
            self.must(desk, &Command::Place(OrderRequest { side: other, ..order }))?;
            let own = OrderRequest { side: *side, tif: Tif::Ioc, ..order };
            self.must(account, &Command::Place(own))?;
        }
        Ok(())
    }

    /// Everybody's leverage becomes what it is to be.
    fn trim(&mut self, plans: &[Plan]) -> Result<()> {
        for (n, plan) in (0u32..).zip(plans).filter(|(_, plan)| !plan.isolated) {
            self.lever(AccountId(n), plan.leverage)?;
            if n % 1_000 == 999 {
                self.seal();
            }
        }
        for desk in self.crowd.desks.clone() {
            self.lever(desk, 2.0)?;
        }
        let (mut long, mut held, mut value, mut equity) = (0, 0, 0.0, 0.0);
        for (n, plan) in (0u32..).zip(plans) {
            let account = AccountId(n);
            let views = self.exchange.peek_positions(account);
            let size: i128 = views.iter().map(|view| view.value).sum();
            held += u32::from(size != 0);
            long += u32::from(size > 0);
            value += views.iter().map(|view| view.value.abs() as f64 / DOLLAR).sum::<f64>();
            equity += match plan.isolated {
                true => views.iter().filter_map(|v| v.isolated).map(|i| i.equity as f64).sum(),
                false => self.exchange.peek_margin(account).equity() as f64,
            } / DOLLAR;
        }
        self.crowd.leverage = value / equity;
        self.crowd.long = f64::from(long) / f64::from(held.max(1));
        self.crowd.isolated = plans.iter().filter(|plan| plan.isolated).count() as u32;
        self.crowd.collateral = equity;
        Ok(())
    }

    fn lever(&mut self, account: AccountId, leverage: f64) -> Result<()> {
        let margin = self.exchange.peek_margin(account);
        let target = (margin.notional as f64 / leverage) as i128;
        let missing = target - margin.equity();
        if missing > 0 {
            return self.apply(&credit(account, missing));
        }
        let amount = (-missing).min(margin.withdrawable());
        if amount > 0 {
            let (asset, wallet) = (USDC, Wallet::Collateral);
            let address = address(account.0);
            self.apply(&Input::Debit { address, asset, wallet, amount })?;
        }
        Ok(())
    }

    /// Money of makers, vault and fund, by the open interest.
    fn endow(&mut self) -> Result<()> {
        for n in 0..self.scenario.markets.len() {
            let lots = self.exchange.peek_top(MarketId(n as u16)).open_interest as f64;
            self.crowd.lots.push(lots);
            self.crowd.open_interest.push(lots * self.prices[n] as f64 / DOLLAR);
        }
        let all: f64 = self.crowd.open_interest.iter().sum();
        let venue = &self.catalogue.venue;
        let keep = |world: &mut Self, account: AccountId, dollars: f64| {
            let change = units(dollars) - units(1e9);
            if change > 0 {
                return world.apply(&credit(account, change));
            }
            let (asset, wallet, address) = (USDC, Wallet::Collateral, address(account.0));
            let amount = -change;
            world.apply(&Input::Debit { address, asset, wallet, amount })
        };
        for (account, market) in self.crowd.makers.clone() {
            let held = self.crowd.open_interest[usize::from(market.0)] * venue.maker_limit;
            keep(self, account, held / f64::from(MAKERS) * 0.8)?;
        }
        keep(self, self.crowd.vault, all * venue.vault)?;
        let agent = self.crowd.agent;
        keep(self, agent, all * venue.insurance + 1.0)?;
        let amount = units(all * venue.insurance).max(1);
        self.must(agent, &Command::FundInsurance { asset: USDC, amount })
    }
}

/// What one of a market's makers may hold of it, in lots.
pub(super) fn maker_limit(crowd: &Crowd, venue: &Crowding, market: MarketId) -> f64 {
    crowd.lots[usize::from(market.0)] * venue.maker_limit / f64::from(MAKERS)
}
