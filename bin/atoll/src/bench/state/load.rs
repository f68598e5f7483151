//! Full load on an exchange: signed actions of many orders each, so that signatures do not limit
//! how much reaches the state.
//!
//! Accounts take turns. At its turn an account withdraws what still rests of its last one and
//! places a full action: most orders rest around a wandering price, some cross it. With many
//! accounts some 800,000 orders rest at any time, and every turn touches objects that nobody has
//! touched for a while.

use anyhow::{Context, Result};
use atoll_exchange::{AssetId, ClientId, MarketId, OrderRequest, Product, Side, Tif, Wallet};
use atoll_executor::EnvironmentSpec;
use atoll_executor::spec::VmSpec;
use atoll_types::Encode;
use atoll_types::crypto::SigningKey;
use atoll_vm::Identity;
use atoll_vm::exchange::build::{self, OrderWire};
use atoll_vm::exchange::{ExchangeVmSpec, GenesisBalance, OraclePrices, asset_of_market, sign};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// What an order is worth, in quote units.
const NOTIONAL: f64 = 200.0;
/// Of a hundred orders this many cross.
const CROSSING_PERCENT: u32 = 18;
/// A genesis balance that no run uses up.
const COLLATERAL: i128 = 1 << 44;

/// The built-in exchange, with these accounts in place of its own.
pub(super) fn spec(accounts: u32) -> Result<EnvironmentSpec> {
    let specs = crate::specs::load_all(None)?;
    let exchange = |spec: &EnvironmentSpec| matches!(spec.vm, VmSpec::Exchange(_));
    let mut spec = specs.into_iter().find(exchange).context("a built-in exchange")?;
    if let VmSpec::Exchange(vm) = &mut spec.vm {
        let balance = |n| GenesisBalance {
            address: key(n).address(),
            asset: AssetId(0),
            wallet: Wallet::Collateral,
            amount: COLLATERAL,
        };
        vm.genesis = (0..accounts).map(balance).collect();
    }
    Ok(spec)
}

fn key(account: u32) -> SigningKey {
    SigningKey::from_label(&format!("bench-{account}"))
}

struct Market {
    id: MarketId,
    asset: u64,
    /// Where the price wanders around, in ticks.
    anchor: u64,
    mid: u64,
    /// Lots of a usual order.
    lots: u64,
}

/// Makes the load, one signed action after the other.
pub(super) struct Load {
    spec: ExchangeVmSpec,
    oracle: SigningKey,
    keys: Vec<SigningKey>,
    /// What may still rest of each account's last turn.
    resting: Vec<Vec<(u64, ClientId)>>,
    markets: Vec<Market>,
    rng: SmallRng,
    turn: usize,
    client_id: u128,
    nonce: u64,
}

/// A signed transaction and the commands in it.
pub(super) struct Signed {
    pub(super) bytes: Vec<u8>,
    pub(super) commands: u64,
}

impl Load {
    pub(super) fn new(spec: &ExchangeVmSpec, accounts: u32) -> Self {
        let rules = &spec.exchange;
        let decimals = |n: u8| 10f64.powi(i32::from(n));
        let perpetuals = rules.spec().markets.iter().enumerate().filter_map(|(at, market)| {
            matches!(market.product, Product::Perpetual { .. }).then_some(())?;
            let id = MarketId(at as u16);
            let anchor = market.price_max / 160;
            let price = anchor as f64 * market.tick as f64 / decimals(market.price_decimals);
            let lot = market.lot as f64 / decimals(market.size_decimals);
            let lots = ((NOTIONAL / (price * lot)) as u64).max(1);
            Some(Market { id, asset: asset_of_market(rules, id), anchor, mid: anchor, lots })
        });
        Self {
            oracle: SigningKey::from_label("oracle"),
            keys: (0..accounts).map(key).collect(),
            resting: vec![Vec::new(); accounts as usize],
            markets: perpetuals.collect(),
            rng: SmallRng::seed_from_u64(11),
            turn: 0,
            client_id: 0,
            nonce: 0,
            spec: spec.clone(),
        }
    }

    fn nonce(&mut self) -> u64 {
        self.nonce = (crate::node::driver::now_us() / 1_000).max(self.nonce + 1);
        self.nonce
    }

    /// Moves every price by a little and signs them.
    pub(super) fn oracle(&mut self, identity: &Identity) -> Vec<u8> {
        for market in &mut self.markets {
            let step = market.anchor / 10_000;
            let low = (market.mid - step).max(market.anchor - 20 * step);
            let high = (market.mid + step).min(market.anchor + 20 * step);
            market.mid = self.rng.random_range(low..=high);
        }
        let prices = self.markets.iter().map(|market| (market.id, market.mid)).collect();
        let time_ms = self.nonce();
        sign::sign_oracle(&self.oracle, identity, time_ms, &OraclePrices { prices }).to_bytes()
    }

    /// The next account's turn: its cancels, if it has any, and its orders.
    pub(super) fn turn(&mut self) -> Vec<Signed> {
        let account = self.turn;
        self.turn = (self.turn + 1) % self.keys.len();
        let mut out = Vec::with_capacity(2);
        let old = std::mem::take(&mut self.resting[account]);
        if !old.is_empty() {
            out.push(self.sign(account, build::cancels_by_client_id(&old), old.len()));
        }
        let count = self.spec.commands_per_action_max as usize;
        let orders: Vec<OrderWire> = (0..count).map(|_| self.order(account)).collect();
        out.push(self.sign(account, build::orders(&orders), count));
        out
    }

    fn sign(&mut self, account: usize, action: Vec<u8>, commands: usize) -> Signed {
        let nonce = self.nonce();
        let bytes = sign::sign_action(&self.keys[account], action, nonce).to_bytes();
        Signed { bytes, commands: commands as u64 }
    }

    fn order(&mut self, account: usize) -> OrderWire {
        let market = &self.markets[self.rng.random_range(0..self.markets.len())];
        let side = if self.rng.random_bool(0.5) { Side::Buy } else { Side::Sell };
        let crosses = self.rng.random_range(0..100) < CROSSING_PERCENT;
        // Resting orders stand from a half to three hundredths behind the price; crossing ones
        // reach as far into the other side.
        let away = self.rng.random_range(market.mid / 200..market.mid / 33);
        let below = (side == Side::Buy) != crosses;
        self.client_id += 1;
        let client_id = (!crosses).then(|| self.client_id.to_be_bytes());
        let order = OrderRequest {
            market: market.id,
            side,
            price: if below { market.mid - away } else { market.mid + away },
            size: self.rng.random_range(market.lots / 2 + 1..=market.lots * 2),
            tif: if crosses { Tif::Ioc } else { Tif::Gtc },
            reduce_only: false,
            client_id,
            ..OrderRequest::default()
        };
        if let Some(id) = client_id {
            self.resting[account].push((market.asset, id));
        }
        OrderWire::of(&self.spec.exchange, &order).expect("the market is of this spec")
    }
}
