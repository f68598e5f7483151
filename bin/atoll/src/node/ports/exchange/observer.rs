//! Watches what an exchange executes: counts it, keeps the latest of it, tells subscribers.
//!
//! Bounded: trades per market, fills and ended orders per account, and accounts. Older history is
//! in the slot records.

use super::user::side_text;
use crate::node::environment::{Observer, SlotResult};
use crate::stats::Stats;
use atoll_exchange::{
    AccountId, CancelReason, ClientId, Event, Fill, MarketId, Order, OrderId, Party, Product,
    Rules, Side,
};
use atoll_rpc::hyperliquid::{Topic, VenueEvent};
use atoll_types::{Address, B256};
use atoll_vm::Receipt;
use atoll_vm::exchange::build::{client_id_text, price_text, size_text};
use atoll_vm::exchange::decimal::format_units;
use atoll_vm::exchange::{ExchangeReceipt, ExchangeVmSpec};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::broadcast;

/// Trades kept of a market.
const TRADES_KEPT: usize = 100;
/// Fills kept of an account: what Hyperliquid's `userFills` gives at most.
const FILLS_KEPT: usize = 2_000;
/// Ended orders kept of an account.
const ORDERS_KEPT: usize = 2_000;
/// Accounts of which anything is kept.
const ACCOUNTS_KEPT: usize = 10_000;
/// Events that a subscriber may lag behind.
const EVENTS_BUFFER: usize = 16_384;

/// An order that is gone: as it was, what became of it, and when.
type Ended = (Order, &'static str, u64);

#[derive(Default)]
struct Recent {
    fills: VecDeque<Value>,
    ended: VecDeque<Ended>,
    /// Open orders, as events told of them: a fill names only the order's number.
    open: HashMap<OrderId, Order>,
}

#[derive(Default)]
struct Kept {
    trades: BTreeMap<MarketId, VecDeque<Value>>,
    accounts: HashMap<AccountId, Recent>,
    /// The order in which accounts were first seen, for forgetting.
    seen: VecDeque<AccountId>,
}

/// Watches an exchange environment.
pub(crate) struct ExchangeObserver {
    stats: Arc<Stats>,
    rules: Rules,
    addresses: Mutex<HashMap<AccountId, Address>>,
    kept: Mutex<Kept>,
    pub(super) events: broadcast::Sender<Arc<VenueEvent>>,
}

impl ExchangeObserver {
    pub(crate) fn new(stats: Arc<Stats>, spec: &ExchangeVmSpec) -> Arc<Self> {
        let (events, _) = broadcast::channel(EVENTS_BUFFER);
        Arc::new(Self {
            stats,
            rules: spec.exchange.clone(),
            addresses: Mutex::default(),
            kept: Mutex::default(),
            events,
        })
    }

    /// Tells the observer who is who: accounts of genesis and of a snapshot had no event.
    pub(crate) fn know(&self, accounts: impl Iterator<Item = (AccountId, Address)>) {
        self.addresses.lock().extend(accounts);
    }

    pub(super) fn trades(&self, market: MarketId) -> Vec<Value> {
        let kept = self.kept.lock();
        kept.trades.get(&market).map(|trades| trades.iter().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn fills(&self, account: AccountId) -> Vec<Value> {
        let kept = self.kept.lock();
        kept.accounts.get(&account).map(|r| r.fills.iter().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn orders(&self, account: AccountId) -> Vec<Ended> {
        let kept = self.kept.lock();
        kept.accounts.get(&account).map(|r| r.ended.iter().copied().collect()).unwrap_or_default()
    }

    pub(super) fn order(&self, account: AccountId, order: OrderId) -> Option<Ended> {
        let kept = self.kept.lock();
        kept.accounts.get(&account)?.ended.iter().find(|(o, ..)| o.order == order).copied()
    }

    pub(super) fn client_order(&self, account: AccountId, id: ClientId) -> Option<Ended> {
        let kept = self.kept.lock();
        kept.accounts.get(&account)?.ended.iter().find(|(o, ..)| o.client_id == Some(id)).copied()
    }

    fn tell(&self, topic: Topic, data: Value) {
        if self.events.receiver_count() > 0 {
            // Without a subscriber left, nobody misses it.
            let _ = self.events.send(Arc::new(VenueEvent { topic, data }));
        }
    }

    fn coin(&self, market: MarketId) -> String {
        self.rules.market_spec(market).map(|spec| spec.name.clone()).unwrap_or_default()
    }

    fn update(&self, kept: &mut Kept, order: &Order, status: &'static str, time_us: u64) {
        let recent = recent(kept, order.account);
        if status == "open" {
            recent.open.insert(order.order, *order);
        } else {
            recent.open.remove(&order.order);
            recent.ended.push_front((*order, status, time_us));
            recent.ended.truncate(ORDERS_KEPT);
        }
        if self.events.receiver_count() == 0 {
            return;
        }
        let Some(user) = self.addresses.lock().get(&order.account).copied() else { return };
        let mut json = json!({
            "coin": self.coin(order.market),
            "side": side_text(order.side),
            "limitPx": price_text(&self.rules, order.market, order.price),
            "sz": size_text(&self.rules, order.market, order.remaining),
            "oid": order.order.0,
            "timestamp": order.time_us / 1000,
            "origSz": size_text(&self.rules, order.market, order.size),
        });
        if let Some(id) = order.client_id {
            json["cloid"] = client_id_text(&id).into();
        }
        let update =
            json!([{ "order": json, "status": status, "statusTimestamp": time_us / 1000 }]);
        self.tell(Topic::OrderUpdates(user), update);
    }

    fn fill(&self, kept: &mut Kept, fill: &Fill, hash: &B256, time_us: u64) {
        let (px, sz) = (
            price_text(&self.rules, fill.market, fill.price),
            size_text(&self.rules, fill.market, fill.size),
        );
        let coin = self.coin(fill.market);
        let trade = json!({
            "coin": coin,
            "side": side_text(fill.taker_side),
            "px": px,
            "sz": sz,
            "time": time_us / 1000,
            "hash": hash.to_string(),
            "tid": fill.trade,
        });
        let trades = kept.trades.entry(fill.market).or_default();
        trades.push_front(trade.clone());
        trades.truncate(TRADES_KEPT);
        self.tell(Topic::Trades(coin.clone()), json!([trade]));
        let maker_side = match fill.taker_side {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        };
        for (party, side, crossed) in
            [(&fill.maker, maker_side, false), (&fill.taker, fill.taker_side, true)]
        {
            let entry = self.fill_entry(fill, party, side, crossed, (&coin, hash, time_us));
            let recent = recent(kept, party.account);
            recent.fills.push_front(entry.clone());
            recent.fills.truncate(FILLS_KEPT);
            let order = recent.open.get_mut(&party.order).map(|order| {
                order.remaining = party.remaining;
                *order
            });
            if let Some(order) = order {
                let status = if party.remaining == 0 { "filled" } else { "open" };
                self.update(kept, &order, status, time_us);
            }
            if self.events.receiver_count() > 0 {
                let user = self.addresses.lock().get(&party.account).copied();
                if let Some(user) = user {
                    let data = json!({ "user": format!("{user:#x}"), "fills": [entry] });
                    self.tell(Topic::UserFills(user), data);
                }
            }
        }
    }

    fn fill_entry(
        &self,
        fill: &Fill,
        party: &Party,
        side: Side,
        crossed: bool,
        (coin, hash, time_us): (&str, &B256, u64),
    ) -> Value {
        let spec = self.rules.spec();
        let fee_asset = &spec.assets[usize::from(party.fee_asset.0)];
        let money = |amount: i128, decimals: u8| {
            let sign = if amount < 0 { "-" } else { "" };
            format!("{sign}{}", format_units(amount.unsigned_abs(), decimals))
        };
        let collateral = spec.assets[usize::from(spec.collateral.0)].decimals;
        let perpetual = self
            .rules
            .market_spec(fill.market)
            .is_some_and(|spec| matches!(spec.product, Product::Perpetual { .. }));
        let start = size_text(&self.rules, fill.market, party.start_position.unsigned_abs());
        let start = start.unwrap_or_default();
        let direction = match (perpetual, side, party.start_position) {
            (false, Side::Buy, _) => "Buy",
            (false, Side::Sell, _) => "Sell",
            (true, Side::Buy, start) if start < 0 => "Close Short",
            (true, Side::Sell, start) if start > 0 => "Close Long",
            (true, Side::Buy, _) => "Open Long",
            (true, Side::Sell, _) => "Open Short",
        };
        let mut entry = json!({
            "coin": coin,
            "px": price_text(&self.rules, fill.market, fill.price),
            "sz": size_text(&self.rules, fill.market, fill.size),
            "side": side_text(side),
            "time": time_us / 1000,
            "startPosition": if party.start_position < 0 { format!("-{start}") } else { start },
            "dir": direction,
            "closedPnl": money(party.closed_pnl, collateral),
            "hash": hash.to_string(),
            "oid": party.order.0,
            "crossed": crossed,
            "fee": money(party.fee, fee_asset.decimals),
            "tid": fill.trade,
            "feeToken": fee_asset.symbol,
        });
        if let Some(id) = party.client_id {
            entry["cloid"] = client_id_text(&id).into();
        }
        entry
    }

    fn quote(&self, market: MarketId) -> &str {
        let spec = self.rules.spec();
        let quote = match self.rules.market_spec(market).map(|market| &market.product) {
            Some(Product::Spot { quote, .. }) => *quote,
            _ => spec.collateral,
        };
        &spec.assets[usize::from(quote.0)].symbol
    }
}

fn recent(kept: &mut Kept, account: AccountId) -> &mut Recent {
    if !kept.accounts.contains_key(&account) {
        kept.seen.push_back(account);
        let full = kept.seen.len() > ACCOUNTS_KEPT;
        if let Some(oldest) = kept.seen.pop_front_if(|_| full) {
            kept.accounts.remove(&oldest);
        }
    }
    kept.accounts.entry(account).or_default()
}

impl Observer for ExchangeObserver {
    fn executed(&self, time_us: u64, receipts: &[Receipt]) {
        let mut kept = self.kept.lock();
        for receipt in receipts {
            let Ok(done) = ExchangeReceipt::of(receipt) else { continue };
            Stats::add(&self.stats.orders, done.statuses.len() as u64);
            for event in &done.events {
                match event {
                    Event::AccountOpened { account, address } => {
                        self.addresses.lock().insert(*account, *address);
                    }
                    Event::Accepted(order) => {
                        recent(&mut kept, order.account).open.insert(order.order, *order);
                    }
                    Event::Rested(order) => self.update(&mut kept, order, "open", time_us),
                    Event::Filled(fill) => {
                        Stats::add(&self.stats.fills, 1);
                        self.stats.trade(self.quote(fill.market), fill.notional.unsigned_abs());
                        self.fill(&mut kept, fill, &receipt.hash, time_us);
                    }
                    Event::Cancelled { order, reason } => {
                        let status = match reason {
                            CancelReason::Margin => "marginCanceled",
                            CancelReason::ReduceOnly => "reduceOnlyCanceled",
                            CancelReason::SelfTrade => "selfTradeCanceled",
                            _ => "canceled",
                        };
                        self.update(&mut kept, order, status, time_us);
                    }
                    _ => {}
                }
            }
        }
    }

    fn sealed(&self, _: &SlotResult) {}
}
