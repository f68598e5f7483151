//! The Hyperliquid API on a running node.

use crate::node::Shared;
use crate::node::environment::{Live, Observer, SlotResult};
use crate::stats::Stats;
use atoll_exchange::Event;
use atoll_rpc::hyperliquid::Venue;
use atoll_state::Resident;
use atoll_types::EnvironmentId;
use atoll_vm::Receipt;
use atoll_vm::exchange::{ExchangeReceipt, ExchangeVm, ExchangeVmSpec};
use std::sync::Arc;

/// Counts what an exchange environment executes.
pub(crate) struct ExchangeObserver {
    stats: Arc<Stats>,
    quotes: Vec<String>,
}

impl ExchangeObserver {
    pub(crate) fn new(stats: Arc<Stats>, spec: &ExchangeVmSpec) -> Arc<Self> {
        let exchange = spec.exchange.spec();
        let symbol =
            |id: atoll_exchange::AssetId| exchange.assets[usize::from(id.0)].symbol.clone();
        let quote = |market: &atoll_exchange::MarketSpec| match market.product {
            atoll_exchange::Product::Spot { quote, .. } => symbol(quote),
            atoll_exchange::Product::Perpetual { .. } => symbol(exchange.collateral),
        };
        Arc::new(Self { stats, quotes: exchange.markets.iter().map(quote).collect() })
    }
}

impl Observer for ExchangeObserver {
    fn executed(&self, _: u64, receipts: &[Receipt]) {
        for receipt in receipts {
            let Ok(done) = ExchangeReceipt::of(receipt) else { continue };
            Stats::add(&self.stats.orders, done.statuses.len() as u64);
            for event in &done.events {
                if let Event::Filled(fill) = event {
                    Stats::add(&self.stats.fills, 1);
                    let quote = &self.quotes[usize::from(fill.market.0)];
                    self.stats.trade(quote, fill.notional.unsigned_abs());
                }
            }
        }
    }

    fn sealed(&self, _: &SlotResult) {}
}

/// The venue for the gateway.
pub(crate) struct ExchangeAdapter {
    live: Arc<Live<ExchangeVm<Resident>>>,
}

impl ExchangeAdapter {
    pub(crate) fn new(
        _shared: Arc<Shared>,
        live: Arc<Live<ExchangeVm<Resident>>>,
        _observer: Arc<ExchangeObserver>,
    ) -> Arc<Self> {
        Arc::new(Self { live })
    }
}

impl Venue for ExchangeAdapter {
    fn environment(&self) -> EnvironmentId {
        self.live.spec.id
    }
}
