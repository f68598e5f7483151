//! Runs the built-in agents on every market, and a few transfers on every EVM chain.

use super::agents::{Arrivals, Crowd, Intent, Kind, Scale, Side, View};
use super::{Trader, Venue};
use crate::node::Shared;
use crate::node::driver::Wait;
use crate::node::environment::Live;
use alloy_rlp::Encodable;
use atoll_exchange::{
    Command, MarketId, MarketSpec, OrderRequest, OrderSelector, Product, Side as BookSide, Tif,
};
use atoll_state::Resident;
use atoll_types::crypto::SigningKey;
use atoll_types::{Address, U256, keccak256};
use atoll_vm::evm::EvmVm;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Agents of each market.
const AGENTS_PER_MARKET: usize = 15;
/// Genesis accounts of the agents.
const AGENTS: usize = 60;
/// How often the oracle speaks.
const ORACLE_INTERVAL: Duration = Duration::from_millis(100);
/// How often an agent of an EVM chain sends something.
const EVM_INTERVAL: Duration = Duration::from_millis(250);

/// Where a market's oracle starts, in whole quote units, by the name of its base.
fn anchor(name: &str) -> u64 {
    match name.split('/').next().unwrap_or(name) {
        "BTC" => 61_800,
        "ETH" => 2_650,
        "SOL" => 155,
        _ => 10,
    }
}

struct Market {
    id: MarketId,
    crowd: Crowd,
    traders: Vec<Trader>,
    oracle: u64,
    due: Instant,
}

/// Trades until told to stop. `rate_per_s` is shared by the markets, the first getting most.
pub(crate) async fn run(venue: Venue, seed: u64, rate_per_s: u32, mut stop: watch::Receiver<bool>) {
    let mut markets = markets(&venue, seed, rate_per_s);
    let mut oracle = Trader::new(SigningKey::from_label("oracle"));
    let mut oracle_due = Instant::now();
    loop {
        let next = markets.iter().map(|market| market.due).min().unwrap_or(oracle_due);
        let next = next.min(oracle_due);
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let now = Instant::now();
        if oracle_due <= now {
            oracle_due = now + ORACLE_INTERVAL;
            let price = |market: &mut Market| {
                market.oracle = market.crowd.next_oracle();
                (market.id, market.oracle)
            };
            let prices = markets.iter_mut().map(price).collect();
            // A refusal (the node is busy) is counted where it happens; the next update follows.
            let _ = venue.oracle(&mut oracle, prices);
        }
        for market in markets.iter_mut().filter(|market| market.due <= now) {
            // A machine that cannot keep up trades slower: arrivals do not pile up.
            while market.due <= now {
                let arrival = market.crowd.next_arrival();
                market.due += Duration::from_secs_f64(arrival.after_s);
                act(&venue, market, arrival.agent);
                if now.duration_since(market.due.min(now)) > Duration::from_millis(200) {
                    market.due = now;
                    break;
                }
            }
        }
    }
}

/// How orders are sized and spread in a market, and where its oracle starts.
pub(crate) fn scale(spec: &MarketSpec) -> Scale {
    let unit = 10u64.pow(u32::from(spec.price_decimals)) / spec.tick.max(1);
    let anchor = (anchor(&spec.name) * unit).clamp(1_000, spec.price_max / 4);
    // A usual order is worth some 2,000 quote units.
    let per_lot =
        anchor as f64 / unit as f64 * spec.lot as f64 / 10f64.powi(i32::from(spec.size_decimals));
    Scale {
        lot: ((2_000.0 / per_lot) as u64).clamp(1, spec.order_size_max / 100),
        half_spread: (anchor / 20_000).max(2),
        volatility: anchor as f64 / 40_000.0,
        anchor,
    }
}

fn markets(venue: &Venue, seed: u64, rate_per_s: u32) -> Vec<Market> {
    let specs = &venue.live.vm_spec.exchange.spec().markets;
    let weight = |i: usize| 1.0 / (1 << i.min(4)) as f64;
    let total: f64 = (0..specs.len()).map(weight).sum();
    let market = |(i, spec): (usize, &MarketSpec)| {
        let scale = scale(spec);
        let rate = (f64::from(rate_per_s) * weight(i) / total).max(0.1);
        let traders = (0..AGENTS_PER_MARKET).map(|agent| {
            let number = (i * AGENTS_PER_MARKET + agent) % AGENTS;
            Trader::new(SigningKey::from_label(&format!("agent-{number}")))
        });
        let arrivals = Arrivals::with_mean(rate, 0.6);
        Market {
            id: MarketId(i as u16),
            crowd: Crowd::new(seed.wrapping_add(i as u64), AGENTS_PER_MARKET, arrivals, scale),
            traders: traders.collect(),
            oracle: scale.anchor,
            due: match rate_per_s {
                // Nobody trades; the oracle speaks all the same.
                0 => Instant::now() + Duration::from_secs(u64::from(u32::MAX)),
                // The oracle's first price comes before the first order.
                _ => Instant::now() + Duration::from_millis(350),
            },
        }
    };
    specs.iter().enumerate().map(market).collect()
}

fn act(venue: &Venue, market: &mut Market, agent: usize) {
    let trader = &mut market.traders[agent];
    let (view, resting) = {
        let machine = venue.live.machine.read();
        let book = machine.vm().exchange();
        let top = book.peek_top(market.id);
        let account = book.peek_account(&trader.key.address());
        let mut orders = account.map(|a| book.peek_orders(a, 64)).unwrap_or_default();
        orders.retain(|order| order.market == market.id);
        let view = View {
            best_bid: top.best(BookSide::Buy),
            best_ask: top.best(BookSide::Sell),
            oracle: market.oracle,
        };
        (view, orders)
    };
    let command = match market.crowd.decide(agent, &view, resting.len()) {
        Intent::CancelOldest => match resting.iter().min_by_key(|order| order.order) {
            Some(oldest) => Command::Cancel(OrderSelector::Order(oldest.order)),
            None => return,
        },
        Intent::Place { side, price, size, kind } => Command::Place(OrderRequest {
            market: market.id,
            side: match side {
                Side::Bid => BookSide::Buy,
                Side::Ask => BookSide::Sell,
            },
            price,
            size,
            tif: match kind {
                Kind::Limit => Tif::Gtc,
                Kind::PostOnly => Tif::PostOnly,
                Kind::Immediate => Tif::Ioc,
            },
            reduce_only: false,
            client_id: None,
            ..OrderRequest::default()
        }),
    };
    // The agents look at the book for what became of an order; nobody waits for the answer.
    let _ = venue.send(trader, market.id, &command);
}

/// Whether every market is one that the agents know how to trade.
pub(crate) fn can_trade(venue: &Venue) -> bool {
    let markets = &venue.live.vm_spec.exchange.spec().markets;
    markets.iter().any(|market| matches!(market.product, Product::Perpetual { .. }))
}

/// Sends a little money around on an EVM chain until told to stop.
pub(crate) async fn run_evm(
    shared: Arc<Shared>,
    live: Arc<Live<EvmVm<Resident>>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut turn = 0u64;
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVM_INTERVAL) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let from = SigningKey::from_label(&format!("agent-{}", turn % AGENTS as u64));
        let to = SigningKey::from_label(&format!("agent-{}", (turn + 7) % AGENTS as u64));
        turn += 1;
        let (nonce, base_fee) = {
            let machine = live.machine.read();
            (machine.vm().nonce(from.address()), machine.vm().next_base_fee())
        };
        let value = U256::from(1_000_000_000_000u64 * (1 + turn % 9));
        let bytes = transfer(&from, live.vm_spec.chain_id, nonce, base_fee, to.address(), value);
        let _ = shared.submit(live.spec.id, bytes, Wait::Execution);
    }
}

/// A signed EIP-1559 transfer that offers twice the base fee and no tip.
pub(crate) fn transfer(
    key: &SigningKey,
    chain_id: u64,
    nonce: u64,
    base_fee: u64,
    to: Address,
    value: U256,
) -> Vec<u8> {
    let (tip, fee, gas) = (0u64, base_fee.saturating_mul(2), 21_000u64);
    let payload = |signature: Option<&atoll_types::Signature>| {
        let mut fields = Vec::new();
        chain_id.encode(&mut fields);
        nonce.encode(&mut fields);
        tip.encode(&mut fields);
        fee.encode(&mut fields);
        gas.encode(&mut fields);
        to.encode(&mut fields);
        value.encode(&mut fields);
        fields.extend_from_slice(&[0x80, 0xc0]); // no data, no access list
        if let Some(signature) = signature {
            u64::from(signature.y_parity).encode(&mut fields);
            U256::from_be_bytes(signature.r).encode(&mut fields);
            U256::from_be_bytes(signature.s).encode(&mut fields);
        }
        let mut out = vec![2];
        alloy_rlp::Header { list: true, payload_length: fields.len() }.encode(&mut out);
        out.extend_from_slice(&fields);
        out
    };
    let signature = key.sign(&keccak256(payload(None)));
    payload(Some(&signature))
}
