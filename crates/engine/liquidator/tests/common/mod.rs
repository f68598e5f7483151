//! A venue with all that margin knows: tiers, an inverse perpetual, coins as collateral with a
//! haircut, interest on both.
#![allow(dead_code, missing_docs)]

#[path = "../../../../core/exchange/tests/common/mod.rs"]
pub(crate) mod exchange;

use atoll_exchange::*;
use atoll_state::{Resident, WriteSet, object};
pub(crate) use exchange::{BTC, COIN, ETH, USDC, address};

pub(crate) const INV: MarketId = MarketId(2);
pub(crate) const SOL: MarketId = MarketId(3);
/// Marks to begin with, in ticks.
const BEGIN: Price = 100_000;

fn perpetual(name: &str, contract: Contract) -> MarketSpec {
    MarketSpec {
        product: Product::Perpetual {
            contract,
            initial_margin_ppm: 50_000,
            maintenance_margin_ppm: 25_000,
            mark_band_ppm: 0,
        },
        notional_min: 0,
        price_band_ppm: 2_000_000,
        ..exchange::perpetual(name)
    }
}

fn spec() -> ExchangeSpec {
    let tier = |lower_bound, initial_margin_ppm| MarginTier {
        lower_bound,
        initial_margin_ppm,
        maintenance_margin_ppm: initial_margin_ppm / 2,
    };
    let mut btc = perpetual("BTC", Contract::Linear);
    btc.risk.tiers = vec![tier(400_000_000_000, 100_000), tier(5_000_000_000_000, 333_334)];
    let mut inverse = perpetual("COIN-INV", Contract::Inverse { settle: COIN, face: 100 });
    inverse.size_decimals = 0;
    let mut spec = exchange::spec();
    (spec.assets[0].borrow_ppm, spec.assets[1].borrow_ppm) = (9_000_000, 2_000_000);
    spec.assets[1].pledge = Some(Pledge { market: BTC, haircut_ppm: 100_000, cap: 0 });
    spec.markets = vec![
        btc,
        MarketSpec { maker_fee_ppm: 100, ..perpetual("ETH", Contract::Linear) },
        inverse,
        perpetual("SOL", Contract::Linear),
    ];
    spec
}

pub(crate) struct Venue {
    pub(crate) exchange: Exchange<Resident>,
    accounts: u32,
    oracles: [Price; 4],
}

impl Venue {
    /// Accounts with a hundred thousand dollars and up to ten coins each, and one with plenty.
    pub(crate) fn new(accounts: u32) -> Self {
        let exchange = Exchange::new(Rules::new(spec()).unwrap(), 7);
        let mut venue = Self { exchange, accounts, oracles: [BEGIN; 4] };
        let mut events = Vec::new();
        for n in 0..accounts {
            let much = if n == 0 { 1_000 } else { 1 };
            for (asset, wallet, amount) in [
                (USDC, Wallet::Collateral, 100_000_000_000 * much),
                (USDC, Wallet::Spot, 100_000_000_000),
                (COIN, Wallet::Spot, 1_000_000_000 * much),
            ] {
                let input = Input::Credit { address: address(n), asset, wallet, amount };
                venue.input(input, &mut events);
            }
        }
        [BTC, ETH, INV, SOL].iter().for_each(|market| venue.shift(*market, 0, &mut events));
        venue.tick(1_000_000, &mut events);
        venue
    }

    pub(crate) fn input(&mut self, input: Input, events: &mut Vec<Event>) {
        object::begin(&mut self.exchange);
        self.exchange.apply(&input, events).unwrap();
        object::seal(&mut self.exchange, &mut WriteSet::default(), None);
    }

    pub(crate) fn command(&mut self, who: u32, command: Command, events: &mut Vec<Event>) -> bool {
        object::begin(&mut self.exchange);
        let done = self.exchange.execute(AccountId(who), &command, events).is_ok();
        object::seal(&mut self.exchange, &mut WriteSet::default(), None);
        done
    }

    /// Moves a market's oracle price by parts per thousand.
    pub(crate) fn shift(&mut self, market: MarketId, by: i64, events: &mut Vec<Event>) {
        let oracle = &mut self.oracles[usize::from(market.0)];
        *oracle = (*oracle as i64 * (1000 + by) / 1000).clamp(1_000, 1_000_000) as u64;
        let price = *oracle;
        self.input(Input::Oracle(OracleReport::sole(market, price)), events);
    }

    pub(crate) fn tick(&mut self, later: u64, events: &mut Vec<Event>) {
        let time_us = self.exchange.peek_global().time_us + later;
        self.input(Input::Tick { time_us }, events);
    }

    /// `a` trades with `b` at the mark: parts per thousand of what its margin carries twenty times.
    pub(crate) fn trade(
        &mut self,
        a: u32,
        b: u32,
        market: MarketId,
        buys: bool,
        part: u64,
        events: &mut Vec<Event>,
    ) {
        let mark = self.exchange.peek_prices(market).mark;
        let free = self.exchange.peek_margin(AccountId(a)).withdrawable() as u128;
        let lot = if market == INV { 100_000_000 } else { u128::from(mark) };
        let size = (free * 20 * u128::from(part) / 1000 / lot).min(50_000_000_000) as u64;
        let (side, other) = if buys { (Side::Buy, Side::Sell) } else { (Side::Sell, Side::Buy) };
        let order = |side, tif| OrderRequest {
            market,
            side,
            price: mark,
            size,
            tif,
            ..OrderRequest::default()
        };
        if a != b && self.command(b, Command::Place(order(other, Tif::Gtc)), events) {
            self.command(a, Command::Place(order(side, Tif::Ioc)), events);
            self.command(b, Command::CancelAll { market: Some(market) }, events);
        }
        debug_assert!(b < self.accounts);
    }
}
