//! Markets in full, for `/atoll/markets`.

mod account;

use super::{ExchangeAdapter, internal, shape};
use crate::markets::parameters::{self, ppm, product};
use atoll_exchange::objects::{BookId, EstateKey, Imposed, MarketKey};
use atoll_exchange::{AssetSpec, MarketId, MarketStatus, Side};
use atoll_rpc::hyperliquid::VenueQuery;
use atoll_rpc::port::QueryError;
use atoll_vm::exchange::asset_of_market;
use serde_json::{Value, json};

/// Levels of a side.
const LEVELS: usize = 20;
/// Hours of funding.
const FUNDING_HOURS: u64 = 24;
const HOUR_US: u64 = 3_600_000_000;

fn status_text(status: MarketStatus) -> &'static str {
    match status {
        MarketStatus::Open => "open",
        MarketStatus::PostOnly => "post-only",
        MarketStatus::ReduceOnly => "reduce-only",
        MarketStatus::CancelOnly => "cancel-only",
        MarketStatus::Auction => "auction",
        MarketStatus::Halted => "halted",
        MarketStatus::Settled => "settled",
    }
}

impl ExchangeAdapter {
    pub(super) fn answer_view(&self, query: &VenueQuery) -> Result<Value, QueryError> {
        self.live.gate.readable()?;
        let mut answer = match query {
            VenueQuery::Markets => {
                let list: Vec<Value> = self.markets().map(|market| self.row(market)).collect();
                let rules = self.rules();
                let asset = |asset: &AssetSpec| json!({ "symbol": asset.symbol, "decimals": asset.decimals });
                let assets: Vec<Value> = rules.spec().assets.iter().map(asset).collect();
                json!({ "markets": list, "assets": assets })
            }
            VenueQuery::Market(name) => {
                let unknown = |error: QueryError| QueryError::NotFound(error.to_string());
                self.market_view(self.market(name).map_err(unknown)?)?
            }
            VenueQuery::Account(address) => self.account_view(address)?,
        };
        answer["environment"] = self.live.spec.name.as_str().into();
        answer["time_ms"] = self.time_ms().into();
        Ok(answer)
    }

    fn price(&self, market: MarketId, ticks: u64) -> Option<String> {
        (ticks != 0).then(|| self.px(market, ticks))
    }

    /// A market in a list of all.
    fn row(&self, market: MarketId) -> Value {
        let status = self.status_view(market);
        let machine = self.live.machine.read();
        let exchange = machine.vm().exchange();
        let (prices, top) = (exchange.peek_prices(market), exchange.peek_top(market));
        let funding = exchange.peek_funding(market).map(|funding| {
            let hour = exchange.state().funding.peek(&MarketKey(market)).copied();
            json!({
                "last": shape::rate(hour.unwrap_or_default().rate),
                "predicted": shape::rate(funding.rate),
                "premium": shape::rate(funding.premium),
                "next_ms": funding.next_us / 1_000,
            })
        });
        drop(machine);
        let rules = &*self.rules();
        let leverage = parameters::leverage_max(rules, market);
        let open = u64::try_from(top.open_interest).unwrap_or(u64::MAX);
        json!({
            "name": self.coin(market),
            "asset": asset_of_market(rules, market),
            "product": rules.market_spec(market).map(product),
            "quote": parameters::quote(rules, market).1,
            "status": status,
            "mark": self.price(market, prices.mark),
            "oracle": self.price(market, prices.oracle),
            "bid": self.price(market, top.bid),
            "ask": self.price(market, top.ask),
            "last": self.price(market, top.last),
            "trades": top.trades,
            "open_interest": leverage.map(|_| self.sz(market, open)),
            "leverage_max": leverage,
            "funding": funding,
            "listing": self.listing_view(market),
        })
    }

    /// Who listed a market, and what is left of its bond; null for a market of the spec.
    fn listing_view(&self, market: MarketId) -> Value {
        let machine = self.live.machine.read();
        let Some(listed) = machine.vm().exchange().peek_listing(market) else { return Value::Null };
        let (lister, bond) = (format!("{:#x}", listed.lister), listed.listing.bond);
        drop(machine);
        json!({ "lister": lister, "bond": self.usd(bond.into()) })
    }

    /// What a market does, why, and since or until when, as far as the state knows.
    fn status_view(&self, market: MarketId) -> Value {
        let machine = self.live.machine.read();
        let exchange = machine.vm().exchange();
        let prices = exchange.peek_prices(market);
        let state = exchange.state();
        let guard = state.guards.peek(&MarketKey(market)).copied().unwrap_or_default();
        let auction = state.auctions.peek(&MarketKey(market)).copied().unwrap_or_default();
        drop(machine);
        let perpetual = parameters::leverage_max(&self.rules(), market).is_some();
        let (mut since_us, mut until_us) = (0, 0);
        let reason = match (prices.status, guard.imposed) {
            (MarketStatus::Auction, _) => {
                until_us = auction.until_us;
                "orders gather until one price uncrosses them"
            }
            (MarketStatus::Open | MarketStatus::PostOnly, Imposed::No) => match guard.since_us {
                _ if prices.mark == 0 && perpetual => "no mark price yet: no oracle price came",
                0 => "",
                since => {
                    since_us = since;
                    "a price step beyond the sanity bounds is being confirmed"
                }
            },
            (_, Imposed::No) => "set by the operator",
            (_, Imposed::Sanity) => {
                since_us = guard.imposed_us;
                "prices left the sanity bounds; it reopens by auction"
            }
            (_, Imposed::Stale) => {
                since_us = guard.imposed_us;
                "too few oracle sources are fresh and agree"
            }
        };
        let at = |us: u64| (us != 0 && us != u64::MAX).then_some(us / 1_000);
        json!({
            "status": status_text(prices.status),
            "reason": (!reason.is_empty()).then_some(reason),
            "since_ms": at(since_us),
            "until_ms": at(until_us),
        })
    }

    fn market_view(&self, market: MarketId) -> Result<Value, QueryError> {
        let rules = &*self.rules();
        let mut value = self.row(market);
        value["parameters"] = parameters::parameters(rules, market);
        let book = self.l2_book(market);
        let side = |levels: &Value| -> Value {
            let level = |level: &Value| json!({ "price": level["px"], "size": level["sz"], "orders": level["n"] });
            levels.as_array().into_iter().flatten().take(LEVELS).map(level).collect()
        };
        value["book"] =
            json!({ "bids": side(&book["levels"][0]), "asks": side(&book["levels"][1]) });
        if parameters::leverage_max(rules, market).is_none() {
            return Ok(value);
        }
        value["parameters"]["oracle"] = parameters::oracle(rules.oracle(market));
        value["parameters"]["liquidation"] = parameters::liquidation(rules.spec());
        value["oracle_sources"] = self.sources(market);
        let machine = self.live.machine.read();
        let exchange = machine.vm().exchange();
        let (initial, maintenance) = exchange.peek_prices(market).margin_scale_ppm;
        let estates = [Side::Buy, Side::Sell].map(|side| {
            let key = EstateKey(BookId::new(market, side));
            exchange.state().estates.peek(&key).copied().unwrap_or_default()
        });
        let quote = rules.market(market).map_or(rules.spec().collateral, |market| market.quote);
        let ledger = exchange.peek_ledger(quote);
        let backstop = rules.spec().liquidation.backstop;
        let backstop =
            backstop.and_then(|address| Some((address, exchange.peek_account(&address)?)));
        let backstop = backstop.map(|(address, account)| (address, exchange.peek_margin(account)));
        drop(machine);
        let (decimals, symbol) = parameters::quote(rules, market);
        value["margin_scale"] = json!({ "initial": ppm(initial), "maintenance": ppm(maintenance) });
        let estates = estates.iter().filter(|estate| estate.size != 0).map(|estate| {
            json!({
                "side": if estate.size > 0 { "long" } else { "short" },
                "size": self.sz(market, estate.size.unsigned_abs()),
                "cost": shape::money(estate.cost, decimals),
            })
        });
        value["estates"] = estates.collect();
        value["insurance"] = json!({
            "asset": symbol,
            "fund": shape::money(ledger.insurance, decimals),
            "shortfall": shape::money(ledger.shortfall, decimals),
        });
        value["backstop"] = backstop.map_or(Value::Null, |(address, margin)| {
            json!({
                "address": format!("{address:#x}"),
                "equity": self.usd(margin.equity()),
                "maintenance": self.usd(margin.maintenance()),
            })
        });
        value["funding_history"] = self.recent_funding(market)?;
        Ok(value)
    }

    /// What each source told last.
    fn sources(&self, market: MarketId) -> Value {
        let machine = self.live.machine.read();
        let exchange = machine.vm().exchange();
        let found = exchange.state().sources.peek(&MarketKey(market)).cloned();
        drop(machine);
        let found = found.unwrap_or_default();
        let rules = self.rules();
        let own = rules.own_oracle(market);
        let keys = own.map_or(&self.live.vm_spec.oracles, |own| &own.keys);
        let sources = keys.iter().zip(&rules.oracle(market).weights).enumerate();
        let source = |(at, (key, weight)): (usize, (&atoll_types::Address, &u32))| {
            let told = found.told.get(at).copied().unwrap_or_default();
            json!({
                "key": format!("{key:#x}"),
                "weight": weight,
                "price": self.price(market, told.price),
                "external": self.price(market, told.external),
                "told_ms": (told.time_us != 0).then_some(told.time_us / 1_000),
                "ignored": found.ignored >> at & 1 == 1,
            })
        };
        sources.map(source).collect()
    }

    /// What the latest hours paid, newest first.
    fn recent_funding(&self, market: MarketId) -> Result<Value, QueryError> {
        let now_us = self.time_ms().saturating_mul(1_000);
        let times_us = (now_us.saturating_sub(FUNDING_HOURS * HOUR_US), u64::MAX);
        let found = self.records().funding(market, times_us, FUNDING_HOURS as usize + 1);
        let entry = |record: &super::records::FundingRecord| {
            json!({
                "time_ms": record.time_us / 1_000,
                "rate": shape::rate(record.rate),
                "premium": shape::rate(record.premium),
            })
        };
        Ok(found.map_err(internal)?.iter().rev().map(entry).collect())
    }
}
