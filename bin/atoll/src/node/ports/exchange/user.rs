//! What a user asks about: orders, fills, margin.

use super::records::EndedOrder;
use super::{ExchangeAdapter, FILLS_MAX, ORDERS_MAX, internal, invalid, shape};
use atoll_exchange::{ClientId, MarketId, Order, OrderId, OrderSelector, Side, Tif};
use atoll_rpc::port::QueryError;
use atoll_types::Address;
use atoll_vm::exchange::Status;
use atoll_vm::exchange::build::client_id_text;
use atoll_vm::exchange::decimal::format_units;
use serde_json::{Value, json};

pub(super) fn side_text(side: Side) -> &'static str {
    match side {
        Side::Buy => "B",
        Side::Sell => "A",
    }
}

fn tif_text(tif: Tif) -> &'static str {
    match tif {
        Tif::Gtc => "Gtc",
        Tif::Ioc => "Ioc",
        Tif::PostOnly => "Alo",
        Tif::Fok => "Fok",
    }
}

fn client_text(client_id: Option<ClientId>) -> Value {
    client_id.map(|id| client_id_text(&id)).into()
}

/// `value / size` with `digits` more decimals than the price has, truncated towards zero.
fn quotient(value: i128, size: i128, digits: u32) -> Option<i128> {
    value.checked_mul(10i128.checked_pow(digits)?)?.checked_div(size)
}

impl ExchangeAdapter {
    /// The price at which `notional` buys `size` lots.
    fn average(&self, market: MarketId, notional: i128, size: i128) -> String {
        let Some(spec) = self.rules().market_spec(market) else { return String::new() };
        let collateral = self.rules().spec().collateral;
        let quote = match spec.product {
            atoll_exchange::Product::Spot { quote, .. } => quote,
            atoll_exchange::Product::Perpetual { .. } => collateral,
        };
        let asset = u32::from(self.rules().spec().assets[usize::from(quote.0)].decimals);
        // notional / 10^asset ÷ (size × lot / 10^size_decimals), with two decimals more than
        // prices have.
        let decimals = u32::from(spec.price_decimals) + 2;
        let up = decimals + u32::from(spec.size_decimals);
        let size = size.saturating_mul(i128::from(spec.lot));
        let found = match up.checked_sub(asset) {
            Some(digits) => quotient(notional, size, digits),
            None => quotient(notional, size, 0).map(|v| v / 10i128.pow((asset - up).min(38))),
        };
        match found {
            Some(v) => format_units(v.unsigned_abs(), decimals as u8),
            None => String::new(),
        }
    }

    pub(super) fn status(&self, status: &Status, market: Option<MarketId>) -> Value {
        match status {
            Status::Resting { order, client_id } => match client_id {
                Some(id) => json!({ "resting": { "oid": order.0, "cloid": client_id_text(id) } }),
                None => json!({ "resting": { "oid": order.0 } }),
            },
            Status::Filled { order, client_id, size, notional, .. } => {
                let market = market.unwrap_or_default();
                let mut filled = json!({
                    "totalSz": self.sz(market, *size),
                    "avgPx": self.average(market, *notional, i128::from(*size)),
                    "oid": order.0,
                });
                if let Some(id) = client_id {
                    filled["cloid"] = client_id_text(id).into();
                }
                json!({ "filled": filled })
            }
            Status::Success => json!("success"),
            Status::Rejected { code, detail } => {
                json!({ "error": detail, "code": code.number(), "label": code.label() })
            }
        }
    }

    pub(super) fn order_json(&self, order: &Order) -> Value {
        json!({
            "coin": self.coin(order.market),
            "side": side_text(order.side),
            "limitPx": self.px(order.market, order.price),
            "sz": self.sz(order.market, order.remaining),
            "oid": order.order.0,
            "timestamp": order.time_us / 1000,
            "origSz": self.sz(order.market, order.size),
            "cloid": client_text(order.client_id),
            "reduceOnly": order.reduce_only,
        })
    }

    fn frontend_json(&self, order: &Order) -> Value {
        let mut json = self.order_json(order);
        json["triggerCondition"] = "N/A".into();
        json["isTrigger"] = false.into();
        json["triggerPx"] = "0.0".into();
        json["children"] = json!([]);
        json["isPositionTpsl"] = false.into();
        json["orderType"] = "Limit".into();
        json["tif"] = tif_text(order.tif).into();
        json
    }

    pub(super) fn open_orders(&self, user: &Address, frontend: bool) -> Value {
        let machine = self.live.machine.read();
        let exchange = machine.vm().exchange();
        let orders = exchange.peek_account(user).map(|a| exchange.peek_orders(a, 4096));
        drop(machine);
        let json = |order: &Order| match frontend {
            true => self.frontend_json(order),
            false => self.order_json(order),
        };
        orders.unwrap_or_default().iter().map(json).collect::<Vec<_>>().into()
    }

    pub(super) fn order_status(&self, user: &Address, id: &Value) -> Result<Value, QueryError> {
        let selector = match (id.as_u64(), id.as_str()) {
            (Some(number), _) => OrderSelector::Order(OrderId(number)),
            (None, Some(text)) => {
                let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 32);
                let value = digits.and_then(|digits| u128::from_str_radix(digits, 16).ok());
                let value = value.ok_or_else(|| invalid("a client id is 32 hex digits with 0x"))?;
                OrderSelector::Client(value.to_be_bytes())
            }
            _ => return Err(invalid("oid must be an order's number or a client id")),
        };
        let unknown = json!({ "status": "unknownOid" });
        let machine = self.live.machine.read();
        let exchange = machine.vm().exchange();
        let Some(account) = exchange.peek_account(user) else { return Ok(unknown) };
        let open = match selector {
            OrderSelector::Order(order) => exchange.peek_order(account, order),
            OrderSelector::Client(id) => exchange.peek_client_order(account, id),
        };
        drop(machine);
        let found = match (open, selector) {
            (Some(order), _) => Some(EndedOrder { order, status: "open", time_us: order.time_us }),
            (None, OrderSelector::Order(order)) => {
                self.records().order(account, order).map_err(internal)?
            }
            (None, OrderSelector::Client(id)) => {
                self.records().client_order(account, id).map_err(internal)?
            }
        };
        Ok(match found {
            Some(found) => json!({ "status": "order", "order": self.status_json(&found) }),
            None => unknown,
        })
    }

    fn status_json(&self, found: &EndedOrder) -> Value {
        json!({
            "order": self.frontend_json(&found.order),
            "status": found.status,
            "statusTimestamp": found.time_us / 1000,
        })
    }

    pub(super) fn historical_orders(&self, user: &Address) -> Result<Value, QueryError> {
        let Some(account) = self.live.machine.read().vm().account_of(user) else {
            return Ok(json!([]));
        };
        let orders = self.records().ended(account, ORDERS_MAX).map_err(internal)?;
        Ok(orders.iter().map(|order| self.status_json(order)).collect())
    }

    /// The latest fills, newest first.
    pub(super) fn fills(&self, user: &Address) -> Result<Value, QueryError> {
        self.fills_in(user, (0, u64::MAX), true)
    }

    /// Fills from a time on, oldest first: the time of the last one is where to go on.
    pub(super) fn fills_by_time(
        &self,
        user: &Address,
        from_ms: u64,
        to_ms: u64,
    ) -> Result<Value, QueryError> {
        let to_us = to_ms.saturating_mul(1000).saturating_add(999);
        self.fills_in(user, (from_ms.saturating_mul(1000), to_us), false)
    }

    fn fills_in(
        &self,
        user: &Address,
        times_us: (u64, u64),
        newest_first: bool,
    ) -> Result<Value, QueryError> {
        let Some(account) = self.live.machine.read().vm().account_of(user) else {
            return Ok(json!([]));
        };
        let fills = self.records().fills(account, times_us, FILLS_MAX, newest_first);
        let fills = fills.map_err(internal)?;
        Ok(fills.iter().map(|record| shape::fill(self.rules(), record, account)).collect())
    }

    pub(super) fn clearinghouse(&self, user: &Address) -> Value {
        let machine = self.live.machine.read();
        let exchange = machine.vm().exchange();
        let (margin, positions) = match exchange.peek_account(user) {
            Some(account) => (exchange.peek_margin(account), exchange.peek_positions(account)),
            None => Default::default(),
        };
        drop(machine);
        let mut list = Vec::new();
        for view in positions.iter().filter(|view| view.position.size != 0) {
            let (size, cost) = (view.position.size, view.position.cost);
            let lots = self.sz(view.market, size.unsigned_abs());
            let max = self.rules().market_spec(view.market).map_or(1, |spec| match spec.product {
                atoll_exchange::Product::Perpetual { initial_margin_ppm, .. } => {
                    1_000_000 / initial_margin_ppm.max(1)
                }
                atoll_exchange::Product::Spot { .. } => 1,
            });
            let roe = quotient(view.unrealised, view.initial.max(1), 6).unwrap_or(0);
            let roe_sign = if roe < 0 { "-" } else { "" };
            list.push(json!({
                "type": "oneWay",
                "position": {
                    "coin": self.coin(view.market),
                    "szi": if size < 0 { format!("-{lots}") } else { lots },
                    "leverage": { "type": "cross", "value": view.leverage },
                    "entryPx": self.average(view.market, cost, i128::from(size)),
                    "positionValue": self.usd(view.value.abs()),
                    "unrealizedPnl": self.usd(view.unrealised),
                    "returnOnEquity": format!("{roe_sign}{}", format_units(roe.unsigned_abs(), 6)),
                    "liquidationPx": null,
                    "marginUsed": self.usd(view.initial),
                    "maxLeverage": max,
                    "cumFunding": { "allTime": "0.0", "sinceOpen": "0.0", "sinceChange": "0.0" },
                },
            }));
        }
        let summary = json!({
            "accountValue": self.usd(margin.equity()),
            "totalNtlPos": self.usd(margin.notional),
            "totalRawUsd": self.usd(margin.collateral),
            "totalMarginUsed": self.usd(margin.initial()),
        });
        json!({
            "marginSummary": summary,
            "crossMarginSummary": summary,
            "crossMaintenanceMarginUsed": self.usd(margin.maintenance()),
            "withdrawable": self.usd(margin.withdrawable()),
            "assetPositions": list,
            "time": self.time_ms(),
        })
    }

    pub(super) fn spot_balances(&self, user: &Address) -> Value {
        let machine = self.live.machine.read();
        let exchange = machine.vm().exchange();
        let Some(account) = exchange.peek_account(user) else { return json!({ "balances": [] }) };
        let assets = &self.rules().spec().assets;
        let balance = |(index, asset): (usize, &atoll_exchange::AssetSpec)| {
            let found = exchange.peek_balance(account, atoll_exchange::AssetId(index as u16));
            let text = |amount: i128| format_units(amount.unsigned_abs(), asset.decimals);
            (found.total != 0).then(|| {
                json!({
                    "coin": asset.symbol,
                    "token": index,
                    "total": text(found.total),
                    "hold": text(found.hold),
                    "entryNtl": "0.0",
                })
            })
        };
        let balances: Vec<Value> = assets.iter().enumerate().filter_map(balance).collect();
        json!({ "balances": balances })
    }

    pub(super) fn agents(&self, user: &Address) -> Value {
        let machine = self.live.machine.read();
        let agent = |(address, agent): (Address, &atoll_vm::exchange::objects::Agent)| {
            json!({
                "name": agent.name,
                "address": format!("{address:#x}"),
                "validUntil": agent.valid_until_ms,
            })
        };
        machine.vm().agents_of(user).map(agent).collect::<Vec<_>>().into()
    }
}
