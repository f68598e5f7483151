//! Watches what an exchange executes: counts it, records it for history, tells subscribers.

use super::records::{EndedOrder, FillRecord, FundingRecord, Records};
use super::shape;
use super::user::side_text;
use crate::node::Hosted;
use crate::node::environment::{IndexEntry, Observer, SlotResult};
use crate::node::liquidations::Liquidations;
use crate::node::ports::LiveExchange;
use crate::stats::Stats;
use atoll_exchange::{
    AccountId, CancelReason, Event, MarketId, Order, OrderId, Party, Price, Product, Rules,
};
use atoll_rpc::hyperliquid::{Topic, VenueEvent};
use atoll_types::{Address, B256, RejectCode};
use atoll_vm::Receipt;
use atoll_vm::exchange::build::{client_id_text, price_text, size_text};
use atoll_vm::exchange::{ExchangeReceipt, ExchangeVmSpec};
use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use tokio::sync::broadcast;

/// Events that a subscriber may lag behind.
const EVENTS_BUFFER: usize = 16_384;

/// What the state holds and events name only by number; as large as the state's own.
#[derive(Default)]
struct Known {
    addresses: HashMap<AccountId, Address>,
    open: HashMap<(AccountId, OrderId), Order>,
    marks: HashMap<MarketId, Price>,
}

/// Watches an exchange environment.
pub(crate) struct ExchangeObserver {
    stats: Arc<Stats>,
    /// With the markets that are listed so far.
    rules: RwLock<Arc<Rules>>,
    live: OnceLock<LiveExchange>,
    known: Mutex<Known>,
    pub(super) records: Records,
    pub(super) events: broadcast::Sender<Arc<VenueEvent>>,
    pub(crate) liquidations: Arc<Liquidations>,
}

impl Drop for ExchangeObserver {
    fn drop(&mut self) {
        self.liquidations.close();
    }
}

impl ExchangeObserver {
    pub(crate) fn new(stats: Arc<Stats>, spec: &ExchangeVmSpec) -> Arc<Self> {
        let (events, _) = broadcast::channel(EVENTS_BUFFER);
        Arc::new(Self {
            stats,
            rules: RwLock::new(Arc::new(spec.exchange.clone())),
            live: OnceLock::new(),
            known: Mutex::default(),
            records: Records::default(),
            events,
            liquidations: Arc::default(),
        })
    }

    /// The venue's rules, with the markets that are listed so far.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.rules.read().clone()
    }

    /// Takes the rules of the state over: a market was listed.
    fn relist(&self) {
        let Some(live) = self.live.get() else { return };
        let rules = Arc::new(live.machine.read().vm().exchange().rules().clone());
        *self.rules.write() = rules;
    }

    fn heard(&self) -> bool {
        self.events.receiver_count() > 0
    }

    fn tell(&self, topic: Topic, data: Value) {
        // Without a subscriber left, nobody misses it.
        let _ = self.events.send(Arc::new(VenueEvent { topic, data }));
    }

    fn update(&self, known: &mut Known, order: &Order, status: &'static str, time_us: u64) {
        if status == "open" {
            known.open.insert((order.account, order.order), *order);
        } else {
            known.open.remove(&(order.account, order.order));
            self.records.ended(&EndedOrder { order: *order, status, time_us });
        }
        self.tell_update(known, order, status, time_us);
    }

    fn tell_update(&self, known: &Known, order: &Order, status: &'static str, time_us: u64) {
        let user = known.addresses.get(&order.account).filter(|_| self.heard());
        let Some(user) = user.copied() else { return };
        let rules = &*self.rules();
        let mut json = json!({
            "coin": shape::coin(rules, order.market),
            "side": side_text(order.side),
            "limitPx": price_text(rules, order.market, order.price),
            "sz": size_text(rules, order.market, order.remaining),
            "oid": order.order.0,
            "timestamp": order.time_us / 1000,
            "origSz": size_text(rules, order.market, order.size),
        });
        if let Some(id) = order.client_id {
            json["cloid"] = client_id_text(&id).into();
        }
        let update =
            json!([{ "order": json, "status": status, "statusTimestamp": time_us / 1000 }]);
        self.tell(Topic::OrderUpdates(user), update);
    }

    fn fill(&self, known: &mut Known, record: &FillRecord) {
        self.records.fill(record);
        if self.heard() {
            let trade = shape::trade(&self.rules(), record);
            let coin = shape::coin(&self.rules(), record.fill.market);
            self.tell(Topic::Trades(coin), json!([trade]));
        }
        for party in [&record.fill.maker, &record.fill.taker] {
            self.party(known, record, party);
        }
    }

    fn party(&self, known: &mut Known, record: &FillRecord, party: &Party) {
        let order = known.open.get_mut(&(party.account, party.order)).map(|order| {
            order.remaining = party.remaining;
            *order
        });
        if let Some(order) = order {
            let status = if party.remaining == 0 { "filled" } else { "open" };
            self.update(known, &order, status, record.time_us);
        }
        let user = known.addresses.get(&party.account).filter(|_| self.heard());
        if let Some(user) = user {
            let entry = shape::fill(&self.rules(), record, party.account);
            let data = json!({ "user": format!("{user:#x}"), "fills": [entry] });
            self.tell(Topic::UserFills(*user), data);
        }
    }

    /// What a transaction or a tick did; fills of ticks are in no transaction.
    fn observe(&self, known: &mut Known, time_us: u64, hash: B256, events: &[Event]) {
        // What a liquidation takes follows its announcement.
        let mut liquidated = None;
        for event in events {
            match event {
                Event::Liquidated { account, .. } => liquidated = Some(*account),
                Event::MarkChanged { market, mark, .. } => {
                    known.marks.insert(*market, *mark);
                }
                Event::AccountOpened { account, address } => {
                    known.addresses.insert(*account, *address);
                }
                Event::Accepted(order) => {
                    known.open.insert((order.account, order.order), *order);
                }
                Event::Rested(order) | Event::Resized { order, .. } | Event::TriggerSet(order) => {
                    self.update(known, order, "open", time_us);
                }
                Event::TriggerFired(order) => self.tell_update(known, order, "triggered", time_us),
                Event::TriggerRefused { order, code } => {
                    self.update(known, order, refused_status(*code), time_us);
                }
                Event::Filled(fill) => {
                    Stats::add(&self.stats.fills, 1);
                    self.stats.trade(&self.quote(fill.market), fill.notional.unsigned_abs());
                    let user = known.addresses.get(&fill.taker.account).copied();
                    let user = user.filter(|_| liquidated == Some(fill.taker.account));
                    let mark = known.marks.get(&fill.market).copied().unwrap_or_default();
                    let liquidation = user.map(|user| (user, mark));
                    self.fill(known, &FillRecord { time_us, hash, fill: *fill, liquidation });
                }
                Event::Cancelled { order, reason } => {
                    let status = match reason {
                        CancelReason::Margin => "marginCanceled",
                        CancelReason::ReduceOnly => "reduceOnlyCanceled",
                        CancelReason::SelfTrade => "selfTradeCanceled",
                        CancelReason::Expired => "expired",
                        CancelReason::Sibling => "siblingFilledCanceled",
                        CancelReason::Scheduled => "scheduledCancel",
                        CancelReason::Liquidation => "liquidatedCanceled",
                        _ => "canceled",
                    };
                    self.update(known, order, status, time_us);
                }
                Event::FundingAccrued { market, rate, premium, .. } => {
                    let (rate, premium) = (*rate, *premium);
                    self.records.funding(*market, &FundingRecord { time_us, rate, premium });
                }
                _ => {}
            }
        }
    }

    fn quote(&self, market: MarketId) -> String {
        let rules = self.rules();
        let spec = rules.spec();
        let quote = match rules.market_spec(market).map(|market| &market.product) {
            Some(Product::Spot { quote, .. }) => *quote,
            _ => spec.collateral,
        };
        spec.assets[usize::from(quote.0)].symbol.clone()
    }
}

/// How Hyperliquid names the refusal of an order that fired.
fn refused_status(code: RejectCode) -> &'static str {
    match code {
        RejectCode::InsufficientMargin => "perpMarginRejected",
        RejectCode::NotReducing => "reduceOnlyRejected",
        RejectCode::NoLiquidity => "marketOrderNoLiquidityRejected",
        RejectCode::Dust => "minTradeNtlRejected",
        _ => "rejected",
    }
}

impl Observer for ExchangeObserver {
    fn restored(&self, hosted: &Hosted) {
        let Hosted::Exchange(live) = hosted else { return };
        // Set once: a node has one state.
        let _ = self.live.set(live.clone());
        self.relist();
        let machine = live.machine.read();
        let exchange = machine.vm().exchange();
        self.liquidations.start(live);
        let mut known = self.known.lock();
        for market in 0..self.rules().spec().markets.len() as u16 {
            let mark = exchange.peek_prices(MarketId(market)).mark;
            known.marks.insert(MarketId(market), mark);
        }
        for (key, account) in exchange.state().accounts.local_iter() {
            known.addresses.insert(key.0, account.address);
            for order in exchange.peek_orders(key.0, usize::MAX) {
                known.open.insert((key.0, order.order), order);
            }
        }
    }

    fn executed(&self, time_us: u64, receipts: &[Receipt]) {
        let known = &mut *self.known.lock();
        let mut touched = Vec::new();
        for receipt in receipts {
            let Ok(done) = ExchangeReceipt::of(receipt) else { continue };
            Stats::add(&self.stats.orders, done.statuses.len() as u64);
            if done.events.iter().any(|event| matches!(event, Event::MarketListed { .. })) {
                self.relist();
            }
            self.observe(known, time_us, receipt.hash, &done.events);
            touched.extend(done.events.iter().flat_map(atoll_liquidator::touched).flatten());
        }
        self.liquidations.note(touched);
    }

    fn sealed(&self, result: &SlotResult, indexed: u64) -> Vec<IndexEntry> {
        // What the slot's opening did: ticks were told of one by one.
        let opening = result.receipts.len().saturating_sub(result.places.len());
        let mut touched = Vec::new();
        for receipt in &result.receipts[..opening] {
            let Ok(done) = ExchangeReceipt::of(receipt) else { continue };
            if done.events.iter().any(|event| matches!(event, Event::MarketListed { .. })) {
                // By a forced transaction.
                self.relist();
            }
            touched.extend(done.events.iter().flat_map(atoll_liquidator::touched).flatten());
        }
        self.liquidations.note(touched);
        self.records.seal(result.header.slot, indexed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::environment::{Live, Runner};
    use crate::specs;
    use atoll_executor::VmSpec;
    use atoll_types::crypto::SigningKey;
    use atoll_types::{Decode, Encode, EnvironmentId, Lane, SlotHeader, SlotOpening, Transaction};
    use atoll_vm::Identity;
    use atoll_vm::exchange::{ExchangeVm, OraclePrices, sign};

    /// One slot a minute, and one oracle price; nobody else sends anything.
    #[test]
    fn what_an_idle_network_pays_is_in_its_history() {
        let specs = specs::load_all(None).unwrap();
        let network = specs::network("test", &specs);
        let VmSpec::Exchange(vm) = &specs[0].vm else { panic!("an exchange") };
        let live: Live<ExchangeVm<_>> = Live::new(network, &specs[0], 0).unwrap();
        let live = Arc::new(live);
        let observer = ExchangeObserver::new(Arc::new(Stats::new()), vm);
        observer.restored(&Hosted::Exchange(live.clone()));
        let mut runner = Runner::new(live.clone(), Some(observer));
        runner.environment().genesis();
        let minute_us = 60_000_000;
        let begin_us = 500_000 * 60 * minute_us + minute_us;
        let identity = Identity { network, environment: EnvironmentId(1) };
        let mut payments = Vec::new();
        for slot in 1..=150 {
            let time_us = begin_us + slot * minute_us;
            let prices = OraclePrices { prices: vec![(MarketId(0), 600_000)], marks: Vec::new() };
            let key = SigningKey::from_label("oracle");
            let bytes = sign::sign_oracle(&key, &identity, time_us / 1_000, &prices).to_bytes();
            let input = Transaction { environment: EnvironmentId(1), lane: Lane::Rest, bytes };
            let opening = SlotOpening {
                slot,
                term: 1,
                time_us,
                parent: B256::ZERO,
                hub_block: 0,
                hub_cursor: 0,
                entries: Vec::new(),
                inputs: if slot == 1 { vec![input] } else { Vec::new() },
            };
            runner.open(&opening, &[]);
            let header = SlotHeader { slot, time_us, ..SlotHeader::default() };
            let result = runner.seal(&header).unwrap();
            let funding = result.index.iter().filter(|(key, _)| key[0] == 4);
            payments.extend(funding.map(|(_, value)| FundingRecord::from_bytes(value).unwrap()));
        }
        // The hours end with the 59th and the 119th slot.
        let paid = |slot: u64| {
            let time_us = begin_us + slot * minute_us;
            FundingRecord { time_us, rate: 12_500, premium: 0 }
        };
        assert_eq!(payments, [paid(59), paid(119)]);
    }
}
