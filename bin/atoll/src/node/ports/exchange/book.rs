//! Books, mids and market contexts.

use super::records::FundingRecord;
use super::{ExchangeAdapter, internal, shape};
use atoll_exchange::{LevelView, MarketId, Product, Side};
use atoll_rpc::hyperliquid::{Topic, VenueEvent};
use atoll_rpc::port::QueryError;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Levels of a side in `l2Book`.
const LEVELS: usize = 20;
/// Payments in an answer, as Hyperliquid's.
const FUNDINGS_MAX: usize = 500;
/// How often subscribers are told of a book that changed.
const BOOK_INTERVAL: Duration = Duration::from_millis(100);

impl ExchangeAdapter {
    fn level(&self, market: MarketId, level: &LevelView) -> Value {
        let size = u64::try_from(level.size).unwrap_or(u64::MAX);
        json!({ "px": self.px(market, level.price), "sz": self.sz(market, size), "n": level.count })
    }

    fn side(&self, market: MarketId, side: Side, most: usize) -> Vec<Value> {
        let levels = self.live.machine.read().vm().exchange().peek_levels(market, side, most);
        levels.iter().map(|level| self.level(market, level)).collect()
    }

    pub(super) fn l2_book(&self, market: MarketId) -> Value {
        let levels = [self.side(market, Side::Buy, LEVELS), self.side(market, Side::Sell, LEVELS)];
        json!({ "coin": self.coin(market), "time": self.time_ms(), "levels": levels })
    }

    pub(super) fn bbo(&self, market: MarketId) -> Value {
        let best = |side| self.side(market, side, 1).pop().unwrap_or(Value::Null);
        let both = [best(Side::Buy), best(Side::Sell)];
        json!({ "coin": self.coin(market), "time": self.time_ms(), "bbo": both })
    }

    /// The middle of the book, or the mark where a side is empty; none before there is a mark.
    fn mid(&self, market: MarketId) -> Option<String> {
        let machine = self.live.machine.read();
        let exchange = machine.vm().exchange();
        let top = exchange.peek_top(market);
        match (top.best(Side::Buy), top.best(Side::Sell)) {
            (Some(bid), Some(ask)) => {
                let rules = self.rules();
                let spec = rules.market_spec(market)?;
                // Twice the mid, in units of half a tick: one more decimal writes it exactly.
                let tenths = u128::from(bid + ask) * 5 * u128::from(spec.tick);
                Some(atoll_vm::exchange::decimal::format_units(tenths, spec.price_decimals + 1))
            }
            _ => match exchange.peek_prices(market).mark {
                0 => None,
                mark => Some(self.px(market, mark)),
            },
        }
    }

    pub(super) fn markets(&self) -> impl Iterator<Item = MarketId> {
        (0..self.rules().spec().markets.len() as u16).map(MarketId)
    }

    pub(super) fn mids(&self) -> Value {
        let mid = |market| Some((self.coin(market), Value::from(self.mid(market)?)));
        self.markets().filter_map(mid).collect::<Map<_, _>>().into()
    }

    pub(super) fn contexts(&self, perpetuals: bool) -> Vec<Value> {
        let wanted = |market: &MarketId| {
            let rules = self.rules();
            let spec = rules.market_spec(*market);
            spec.is_some_and(|s| matches!(s.product, Product::Perpetual { .. }) == perpetuals)
        };
        self.markets().filter(wanted).map(|market| self.context(market)).collect()
    }

    /// A market's prices and funding.
    pub(super) fn context(&self, market: MarketId) -> Value {
        let machine = self.live.machine.read();
        let exchange = machine.vm().exchange();
        let (prices, funding) = (exchange.peek_prices(market), exchange.peek_funding(market));
        let open = u64::try_from(exchange.peek_top(market).open_interest).unwrap_or(u64::MAX);
        drop(machine);
        let impact = funding.and_then(|funding| funding.impact);
        json!({
            "coin": self.coin(market),
            "markPx": self.px(market, prices.mark),
            "oraclePx": self.px(market, prices.oracle),
            "midPx": self.mid(market),
            "openInterest": self.sz(market, open),
            "funding": funding.map_or("0.0".into(), |funding| shape::rate(funding.rate)),
            "premium": funding.map(|funding| shape::rate(funding.premium)),
            "impactPxs": impact.map(|(bid, ask)| [self.impact(market, bid), self.impact(market, ask)]),
        })
    }

    /// An impact price, in 1/256 ticks, with one decimal more than prices have.
    fn impact(&self, market: MarketId, price: u64) -> String {
        let rules = self.rules();
        let Some(spec) = rules.market_spec(market) else { return String::new() };
        let tenths = u128::from(price) * 10 * u128::from(spec.tick) / 256;
        atoll_vm::exchange::decimal::format_units(tenths, spec.price_decimals + 1)
    }

    /// Payments of funding, at most so many, oldest first.
    pub(super) fn funding_history(
        &self,
        market: MarketId,
        times_us: (u64, u64),
    ) -> Result<Value, QueryError> {
        let found = self.records().funding(market, times_us, FUNDINGS_MAX).map_err(internal)?;
        let entry = |record: &FundingRecord| {
            json!({
                "coin": self.coin(market),
                "fundingRate": shape::rate(record.rate),
                "premium": shape::rate(record.premium),
                "time": record.time_us / 1000,
            })
        };
        Ok(found.iter().map(entry).collect())
    }

    /// The rates that the running hour would pay.
    pub(super) fn predicted_fundings(&self) -> Value {
        let of = |market| {
            let found = self.live.machine.read().vm().exchange().peek_funding(market)?;
            let predicted = json!({
                "fundingRate": shape::rate(found.rate),
                "nextFundingTime": found.next_us / 1000,
                "fundingIntervalHours": 1,
            });
            Some(json!([self.coin(market), [["HlPerp", predicted]]]))
        };
        self.markets().filter_map(of).collect()
    }
}

/// Tells subscribers of books and best prices that changed.
pub(super) async fn publish(adapter: Arc<ExchangeAdapter>) {
    let mut last: Vec<(Value, Value)> = Vec::new();
    let mut last_contexts: Vec<Value> = Vec::new();
    let mut last_mids = Value::Null;
    let mut interval = tokio::time::interval(BOOK_INTERVAL);
    loop {
        interval.tick().await;
        let events = &adapter.observer.events;
        if events.receiver_count() == 0 {
            continue;
        }
        // A send without subscribers is nobody's loss.
        let tell = |topic, data| {
            let _ = events.send(Arc::new(VenueEvent { topic, data }));
        };
        for (i, market) in adapter.markets().enumerate() {
            let (book, bbo) = (adapter.l2_book(market), adapter.bbo(market));
            if last.len() <= i {
                last.push((Value::Null, Value::Null));
            }
            let coin = adapter.coin(market);
            if book["levels"] != last[i].0 {
                last[i].0 = book["levels"].clone();
                tell(Topic::L2Book(coin.clone()), book);
            }
            if bbo["bbo"] != last[i].1 {
                last[i].1 = bbo["bbo"].clone();
                tell(Topic::Bbo(coin), bbo);
            }
        }
        let contexts: Vec<Value> =
            adapter.markets().map(|market| adapter.context(market)).collect();
        for (i, context) in contexts.iter().enumerate() {
            if last_contexts.get(i) != Some(context) {
                let coin = adapter.coin(MarketId(i as u16));
                let data = json!({ "coin": coin, "ctx": context });
                tell(Topic::ActiveAssetCtx(coin), data);
            }
        }
        last_contexts = contexts;
        let mids = adapter.mids();
        if mids != last_mids {
            last_mids = mids.clone();
            tell(Topic::AllMids, json!({ "mids": mids }));
        }
    }
}
