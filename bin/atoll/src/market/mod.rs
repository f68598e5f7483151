//! The order flow of `dev`: built-in agents, or a recorded market. Both sign real transactions and
//! hand them to the same admission as everyone.

pub(crate) mod agents;
pub(crate) mod builtin;
pub(crate) mod liquidator;
pub(crate) mod replay;

use crate::node::Shared;
use crate::node::driver::{Outcome, Wait, now_us};
use crate::node::ports::LiveExchange;
use atoll_exchange::{Command, MarketId, Price, Side};
use atoll_types::crypto::SigningKey;
use atoll_types::{Address, Encode, Reject};
use atoll_vm::exchange::build::{self, OrderWire};
use atoll_vm::exchange::{OraclePrices, asset_of_market, sign};
use std::sync::Arc;
use tokio::sync::oneshot::Receiver;

/// A trader: a key and its nonces.
pub(crate) struct Trader {
    pub(crate) key: SigningKey,
    last_nonce: u64,
}

impl Trader {
    pub(crate) fn new(key: SigningKey) -> Self {
        Self { key, last_nonce: 0 }
    }

    /// Milliseconds now, or one more than the last: unique and rising.
    fn nonce(&mut self) -> u64 {
        self.last_nonce = (now_us() / 1_000).max(self.last_nonce + 1);
        self.last_nonce
    }
}

/// The way from traders into the exchange.
#[derive(Clone)]
pub(crate) struct Venue {
    pub(crate) shared: Arc<Shared>,
    pub(crate) live: LiveExchange,
}

impl Venue {
    /// Signs a command as a Hyperliquid action and submits it. `market` is that of the order a
    /// cancel names.
    pub(crate) fn send(
        &self,
        trader: &mut Trader,
        market: MarketId,
        command: &Command,
    ) -> Result<Receiver<Outcome>, Reject> {
        let rules = &self.live.vm_spec.exchange;
        let wire = |order| OrderWire::of(rules, order).expect("the market is of this venue's spec");
        let action = match command {
            Command::Place(order) => build::orders(&[wire(order)]),
            Command::Modify { target, order } => build::modify(target, &wire(order)),
            Command::Cancel(atoll_exchange::OrderSelector::Order(order)) => {
                build::cancels(&[(asset_of_market(rules, market), *order)])
            }
            Command::Cancel(atoll_exchange::OrderSelector::Client(id)) => {
                build::cancels_by_client_id(&[(asset_of_market(rules, market), *id)])
            }
            _ => build::noop(),
        };
        self.act(trader, action)
    }

    /// Signs the next step of a liquidation and submits it.
    pub(crate) fn liquidate(
        &self,
        trader: &mut Trader,
        owner: &Address,
        market: Option<MarketId>,
    ) -> Result<Receiver<Outcome>, Reject> {
        let asset = market.map(|market| self.asset(market));
        self.act(trader, build::liquidate(owner, asset))
    }

    /// Signs the next step of what bankrupt accounts left on a side of a market and submits it.
    pub(crate) fn deleverage(
        &self,
        trader: &mut Trader,
        market: MarketId,
        side: Side,
    ) -> Result<Receiver<Outcome>, Reject> {
        let asset = self.asset(market);
        self.act(trader, build::deleverage(asset, side == Side::Buy))
    }

    /// The asset number of a market, listed ones included.
    fn asset(&self, market: MarketId) -> u64 {
        asset_of_market(self.live.machine.read().vm().exchange().rules(), market)
    }

    fn act(&self, trader: &mut Trader, action: Vec<u8>) -> Result<Receiver<Outcome>, Reject> {
        let nonce = trader.nonce();
        let transaction = sign::sign_action(&trader.key, action, nonce);
        self.shared.submit(self.live.spec.id, transaction.to_bytes(), Wait::Execution)
    }

    /// Signs oracle prices and submits them; they take effect with the next slot.
    pub(crate) fn oracle(
        &self,
        oracle: &mut Trader,
        prices: Vec<(MarketId, Price)>,
    ) -> Result<Receiver<Outcome>, Reject> {
        let time_ms = oracle.nonce();
        let prices = OraclePrices { prices, marks: Vec::new() };
        let transaction = sign::sign_oracle(&oracle.key, &self.live.identity, time_ms, &prices);
        self.shared.submit(self.live.spec.id, transaction.to_bytes(), Wait::Execution)
    }
}
