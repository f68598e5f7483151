//! The Hyperliquid API on a running node: what its answers say.
//!
//! State comes from the environment's tables, peeked at; trades, fills and orders that are gone come
//! from history, and what history does not have yet from the observer of the events.

mod book;
mod observer;
mod records;
mod shape;
mod user;
mod view;

pub(crate) use observer::ExchangeObserver;

use super::{LiveExchange, blocking, internal};
use crate::node::Shared;
use atoll_exchange::{Amount, MarketId, MarketSpec, Product, Rules};
use atoll_rpc::hyperliquid::{ActionParts, Subscription, Topic, Venue, VenueEvent, VenueQuery};
use atoll_rpc::port::{Pending, QueryError};
use atoll_types::{Address, Decode, Encode, EnvironmentId, Reject, RejectCode};
use atoll_vm::Receipt;
use atoll_vm::exchange::build::{price_text, size_text};
use atoll_vm::exchange::{ExchangeReceipt, ExchangeTransaction, Status};
use records::RecordView;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio::task::block_in_place;

/// Trades in an answer.
const TRADES_MAX: usize = 100;
/// Fills in an answer, as Hyperliquid's.
const FILLS_MAX: usize = 2_000;
/// Orders that are gone in an answer, as Hyperliquid's.
const ORDERS_MAX: usize = 2_000;

/// The venue for the gateway.
#[derive(Clone)]
pub(crate) struct ExchangeAdapter {
    shared: Arc<Shared>,
    live: LiveExchange,
    observer: Arc<ExchangeObserver>,
}

fn invalid(sentence: impl Into<String>) -> QueryError {
    QueryError::Invalid(sentence.into())
}

/// Ids of margin tables of several tiers begin here; below, an id is a leverage.
const MARGIN_TABLES_FROM: usize = 256;

impl ExchangeAdapter {
    pub(crate) fn new(
        shared: Arc<Shared>,
        live: LiveExchange,
        observer: Arc<ExchangeObserver>,
    ) -> Arc<Self> {
        let adapter = Arc::new(Self { shared, live, observer });
        tokio::spawn(book::publish(adapter.clone()));
        adapter
    }

    fn records(&self) -> RecordView<'_> {
        RecordView {
            records: &self.observer.records,
            archive: &self.shared.archive,
            environment: self.live.spec.id,
        }
    }

    /// The latest trades of a market, newest first.
    fn trades(&self, market: MarketId) -> Result<Value, QueryError> {
        let trades = self.records().trades(market, TRADES_MAX).map_err(internal)?;
        Ok(trades.iter().map(|record| shape::trade(&self.rules(), record)).collect())
    }

    /// With the markets that are listed so far.
    fn rules(&self) -> Arc<Rules> {
        self.observer.rules()
    }

    /// A coin's market: by name, or by `@index` for spot as Hyperliquid writes it.
    fn market(&self, coin: &str) -> Result<MarketId, QueryError> {
        if let Some(market) = self.rules().market_named(coin) {
            return Ok(market);
        }
        let spot = coin.strip_prefix('@').and_then(|index| index.parse::<u64>().ok());
        let found =
            spot.and_then(|i| atoll_vm::exchange::market_of_asset(&self.rules(), 10_000 + i));
        found.ok_or_else(|| {
            let rules = self.rules();
            let markets = &rules.spec().markets;
            let known: Vec<_> = markets.iter().map(|market| market.name.as_str()).collect();
            invalid(format!("no coin {coin}; there are {}", known.join(", ")))
        })
    }

    fn coin(&self, market: MarketId) -> String {
        shape::coin(&self.rules(), market)
    }

    fn px(&self, market: MarketId, ticks: u64) -> String {
        price_text(&self.rules(), market, ticks).unwrap_or_default()
    }

    fn sz(&self, market: MarketId, lots: u64) -> String {
        size_text(&self.rules(), market, lots).unwrap_or_default()
    }

    /// An amount of the collateral asset.
    fn usd(&self, amount: Amount) -> String {
        let rules = self.rules();
        let spec = rules.spec();
        shape::money(amount, spec.assets[usize::from(spec.collateral.0)].decimals)
    }

    fn time_ms(&self) -> u64 {
        self.shared.head.read().time_us / 1000
    }

    /// A market's margin tiers, the first one included.
    fn margin_table(&self, market: &MarketSpec, leverage: u32) -> Value {
        let tier = |bound: u64, leverage: u32| json!({ "lowerBound": self.usd(bound.into()), "maxLeverage": leverage });
        let further = market
            .risk
            .tiers
            .iter()
            .map(|t| tier(t.lower_bound, 1_000_000 / t.initial_margin_ppm.max(1)));
        let tiers: Vec<Value> = std::iter::once(tier(0, leverage)).chain(further).collect();
        json!({ "description": format!("tiered {leverage}x"), "marginTiers": tiers })
    }

    fn meta(&self) -> Value {
        let mut tables = Vec::new();
        let rules = self.rules();
        let perpetuals = rules.spec().markets.iter().filter_map(|market| {
            let Product::Perpetual { initial_margin_ppm, .. } = market.product else { return None };
            let leverage = 1_000_000 / initial_margin_ppm.max(1);
            // A table of one tier is not listed: its id is the leverage, as on Hyperliquid.
            let mut table = leverage as usize;
            if !market.risk.tiers.is_empty() {
                table = MARGIN_TABLES_FROM + tables.len();
                tables.push(json!([table, self.margin_table(market, leverage)]));
            }
            let mut entry = json!({
                "name": market.name,
                "szDecimals": market.size_decimals,
                "maxLeverage": leverage,
                "marginTableId": table,
            });
            if market.risk.isolated_only {
                entry["onlyIsolated"] = true.into();
            }
            Some(entry)
        });
        let universe: Vec<Value> = perpetuals.collect();
        json!({ "universe": universe, "marginTables": tables, "collateralToken": 0 })
    }

    fn spot_meta(&self) -> Value {
        let rules = self.rules();
        let spec = rules.spec();
        let token = |(index, asset): (usize, &atoll_exchange::AssetSpec)| {
            json!({
                "name": asset.symbol,
                "szDecimals": asset.decimals.min(8),
                "weiDecimals": asset.decimals,
                "index": index,
                "tokenId": format!("0x{index:032x}"),
                "isCanonical": true,
                "evmContract": null,
                "fullName": null,
            })
        };
        let tokens: Vec<Value> = spec.assets.iter().enumerate().map(token).collect();
        let mut universe = Vec::new();
        for market in &spec.markets {
            if let Product::Spot { base, quote } = market.product {
                universe.push(json!({
                    "name": market.name,
                    "tokens": [base.0, quote.0],
                    "index": universe.len(),
                    "isCanonical": true,
                }));
            }
        }
        json!({ "tokens": tokens, "universe": universe })
    }

    fn address(request: &Value) -> Result<Address, QueryError> {
        let text = request["user"].as_str().unwrap_or_default();
        text.parse().map_err(|_| invalid("user must be an address of 40 hex digits with 0x"))
    }

    fn answer_info(&self, request: &Value) -> Result<Value, QueryError> {
        self.live.gate.readable()?;
        let kind = request["type"].as_str().unwrap_or_default();
        let coin = || self.market(request["coin"].as_str().unwrap_or_default());
        Ok(match kind {
            "meta" => self.meta(),
            "spotMeta" => self.spot_meta(),
            "metaAndAssetCtxs" => json!([self.meta(), self.contexts(true)]),
            "spotMetaAndAssetCtxs" => json!([self.spot_meta(), self.contexts(false)]),
            "perpDexs" => json!([null]),
            "fundingHistory" => {
                let millis = |key: &str| request[key].as_u64().map(|ms| ms.saturating_mul(1000));
                let from = millis("startTime").unwrap_or(0);
                self.funding_history(coin()?, (from, millis("endTime").unwrap_or(u64::MAX)))?
            }
            "predictedFundings" => self.predicted_fundings(),
            "allMids" => self.mids(),
            "l2Book" => self.l2_book(coin()?),
            "recentTrades" => self.trades(coin()?)?,
            "openOrders" => self.open_orders(&Self::address(request)?, false),
            "frontendOpenOrders" => self.open_orders(&Self::address(request)?, true),
            "orderStatus" => self.order_status(&Self::address(request)?, &request["oid"])?,
            "userFills" => self.fills(&Self::address(request)?)?,
            "userFillsByTime" => {
                let start = request["startTime"].as_u64().unwrap_or(0);
                let end = request["endTime"].as_u64().unwrap_or(u64::MAX);
                self.fills_by_time(&Self::address(request)?, start, end)?
            }
            "historicalOrders" => self.historical_orders(&Self::address(request)?)?,
            "clearinghouseState" => self.clearinghouse(&Self::address(request)?),
            "spotClearinghouseState" => self.spot_balances(&Self::address(request)?),
            "userRole" => {
                let known = self.live.machine.read();
                let account = known.vm().account_of(&Self::address(request)?);
                json!({ "role": if account.is_some() { "user" } else { "missing" } })
            }
            "extraAgents" => self.agents(&Self::address(request)?),
            "exchangeStatus" => json!({ "time": self.time_ms(), "specialStatuses": null }),
            _ => {
                return Err(invalid(format!(
                    "info requests of type \"{kind}\" are not answered here; there are meta, \
                     spotMeta, metaAndAssetCtxs, fundingHistory, predictedFundings, allMids, l2Book, recentTrades, openOrders, \
                     frontendOpenOrders, orderStatus, userFills, userFillsByTime, \
                     historicalOrders, clearinghouseState, spotClearinghouseState, userRole, \
                     extraAgents, exchangeStatus"
                )));
            }
        })
    }
}

impl Venue for ExchangeAdapter {
    fn environment(&self) -> EnvironmentId {
        self.live.spec.id
    }

    fn info(&self, request: Value) -> Pending<'_, Result<Value, QueryError>> {
        // Peeking at state takes microseconds; history may have to be read from disk.
        let history = matches!(
            request["type"].as_str(),
            Some(
                "recentTrades"
                    | "orderStatus"
                    | "userFills"
                    | "userFillsByTime"
                    | "historicalOrders"
                    | "fundingHistory"
            )
        );
        if !history {
            return Box::pin(async move { self.answer_info(&request) });
        }
        let adapter = self.clone();
        Box::pin(blocking(move || adapter.answer_info(&request)))
    }

    fn view(&self, query: VenueQuery) -> Pending<'_, Result<Value, QueryError>> {
        // A market's funding history is read from disk; of an account, all is computed.
        let adapter = self.clone();
        Box::pin(blocking(move || adapter.answer_view(&query)))
    }

    fn assemble(&self, parts: ActionParts) -> Result<Vec<u8>, Reject> {
        let ActionParts { action, nonce, vault, expires_after, signature } = parts;
        let transaction =
            ExchangeTransaction::hyperliquid(action, nonce, vault, expires_after, signature)?;
        Ok(transaction.to_bytes())
    }

    fn answer(&self, action: &str, receipt: &[u8]) -> Result<Value, Reject> {
        #[derive(serde::Deserialize)]
        struct Named<'a> {
            #[serde(rename = "type", borrow)]
            kind: std::borrow::Cow<'a, str>,
        }
        let undecodable = |what: &str| Reject::new(RejectCode::Malformed, what.to_string());
        let named: Named<'_> =
            serde_json::from_str(action).map_err(|_| undecodable("the action names no type"))?;
        let receipt =
            Receipt::from_bytes(receipt).map_err(|_| undecodable("the receipt does not decode"))?;
        let done = ExchangeReceipt::of(&receipt)?;
        let kind = match &*named.kind {
            "order" | "modify" | "batchModify" => "order",
            "cancel" | "cancelByCloid" => "cancel",
            kind @ ("twapOrder" | "twapCancel") => {
                let status = match done.statuses.first() {
                    Some(Status::Resting { order, .. }) => {
                        json!({ "running": { "twapId": order.0 } })
                    }
                    Some(status) => self.status(status, None),
                    None => Value::Null,
                };
                return Ok(json!({ "type": kind, "data": { "status": status } }));
            }
            _ => {
                if let Some(Status::Rejected { code, detail }) =
                    done.statuses.iter().find(|s| matches!(s, Status::Rejected { .. }))
                {
                    return Err(Reject::new(*code, detail.clone()));
                }
                return Ok(json!({ "type": "default" }));
            }
        };
        let markets = done.events.iter().find_map(|event| match event {
            atoll_exchange::Event::Filled(fill) => Some(fill.market),
            _ => None,
        });
        let statuses: Vec<Value> =
            done.statuses.iter().map(|status| self.status(status, markets)).collect();
        Ok(json!({ "type": kind, "data": { "statuses": statuses } }))
    }

    fn subscription(&self, request: &Value) -> Result<Subscription, QueryError> {
        self.live.gate.readable()?;
        let coin = || -> Result<(MarketId, String), QueryError> {
            let market = self.market(request["coin"].as_str().unwrap_or_default())?;
            Ok((market, self.coin(market)))
        };
        let (topic, snapshot) = match request["type"].as_str().unwrap_or_default() {
            "l2Book" => {
                let (market, coin) = coin()?;
                (Topic::L2Book(coin), Some(self.l2_book(market)))
            }
            "bbo" => {
                let (market, coin) = coin()?;
                (Topic::Bbo(coin), Some(self.bbo(market)))
            }
            "trades" => {
                let (market, coin) = coin()?;
                let recent = block_in_place(|| self.trades(market))?;
                let some = recent.as_array().is_some_and(|recent| !recent.is_empty());
                (Topic::Trades(coin), some.then_some(recent))
            }
            "activeAssetCtx" => {
                let (market, coin) = coin()?;
                let data = json!({ "coin": coin, "ctx": self.context(market) });
                (Topic::ActiveAssetCtx(coin), Some(data))
            }
            "allMids" => (Topic::AllMids, Some(json!({ "mids": self.mids() }))),
            "userFills" => {
                let user = Self::address(request)?;
                let fills = block_in_place(|| self.fills(&user))?;
                let user_text = format!("{user:#x}");
                let data = json!({ "isSnapshot": true, "user": user_text, "fills": fills });
                (Topic::UserFills(user), Some(data))
            }
            "orderUpdates" => (Topic::OrderUpdates(Self::address(request)?), None),
            other => {
                return Err(invalid(format!(
                    "there is no subscription \"{other}\"; there are l2Book, bbo, trades, \
                     activeAssetCtx, allMids, userFills, orderUpdates"
                )));
            }
        };
        Ok(Subscription { topic, snapshot })
    }

    fn events(&self) -> broadcast::Receiver<Arc<VenueEvent>> {
        self.observer.events.subscribe()
    }
}
