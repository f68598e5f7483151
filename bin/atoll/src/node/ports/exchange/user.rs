//! What a user asks about: orders, fills, margin.

use super::records::EndedOrder;
use super::{ExchangeAdapter, FILLS_MAX, ORDERS_MAX, internal, invalid, shape};
use atoll_exchange::{
    ClientId, Direction, MarketId, Order, OrderId, OrderSelector, PositionView, Side, Tif,
    TriggerKind, TriggerState,
};
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

pub(super) fn tif_text(tif: Tif) -> &'static str {
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
    pub(super) fn average(&self, market: MarketId, notional: i128, size: i128) -> String {
        let rules = self.rules();
        let Some(spec) = rules.market_spec(market) else { return String::new() };
        let collateral = rules.spec().collateral;
        let quote = match spec.product {
            atoll_exchange::Product::Spot { quote, .. } => quote,
            atoll_exchange::Product::Perpetual { .. } => collateral,
        };
        let asset = u32::from(rules.spec().assets[usize::from(quote.0)].decimals);
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
            // As on Hyperliquid, which names no number here.
            Status::Waiting { parent: true, .. } => json!("waitingForFill"),
            Status::Waiting { parent: false, .. } => json!("waitingForTrigger"),
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
        json["tif"] = tif_text(order.tif).into();
        json["children"] = json!([]);
        json["isTrigger"] = order.trigger.is_some().into();
        json["isPositionTpsl"] = order.trigger.is_some_and(|t| t.position).into();
        let Some(trigger) = order.trigger else {
            json["triggerCondition"] = "N/A".into();
            json["triggerPx"] = "0.0".into();
            json["orderType"] = "Limit".into();
            return json;
        };
        let price = self.px(order.market, trigger.price);
        let above = trigger.kind.direction(order.side) == Direction::Above;
        let condition = format!("Price {} {price}", if above { "above" } else { "below" });
        json["triggerCondition"] = condition.into();
        json["triggerPx"] = price.into();
        json["orderType"] = match (trigger.kind, trigger.limit) {
            (TriggerKind::Stop, None) => "Stop Market",
            (TriggerKind::Stop, Some(_)) => "Stop Limit",
            (TriggerKind::TakeProfit, None) => "Take Profit Market",
            (TriggerKind::TakeProfit, Some(_)) => "Take Profit Limit",
        }
        .into();
        json["tif"] = trigger.limit.map(|_| tif_text(order.tif)).into();
        if trigger.state == TriggerState::Waiting {
            json["sz"] = self.sz(order.market, order.size).into();
        }
        json
    }

    pub(super) fn open_orders(&self, user: &Address, frontend: bool) -> Value {
        let machine = self.live.machine.read();
        let exchange = machine.vm().exchange();
        let orders = exchange.peek_account(user).map(|a| exchange.peek_orders(a, 4096));
        // Children that wait are shown with their parent, as on Hyperliquid.
        let waits = |order: &Order| {
            order.trigger.is_some_and(|trigger| trigger.state == TriggerState::Waiting)
        };
        let listed = orders.unwrap_or_default().into_iter().filter(|order| !waits(order));
        let listed = listed.map(|order| {
            let children = if frontend && order.trigger.is_none() {
                exchange.peek_children(order.account, order.order)
            } else {
                Vec::new()
            };
            (order, children)
        });
        let listed: Vec<(Order, Vec<Order>)> = listed.collect();
        drop(machine);
        let json = |(order, children): &(Order, Vec<Order>)| {
            if !frontend {
                return self.order_json(order);
            }
            let mut json = self.frontend_json(order);
            json["children"] = children.iter().map(|child| self.frontend_json(child)).collect();
            json
        };
        listed.iter().map(json).collect::<Vec<_>>().into()
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
        Ok(fills.iter().map(|record| shape::fill(&self.rules(), record, account)).collect())
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
        // What isolated positions are worth, and what they are of; USDC-settled ones only.
        let (mut worth, mut notional, mut used, mut value) = (0, 0, 0, 0);
        for view in positions.iter().filter(|view| view.position.size != 0) {
            let linear = self.settles_in_collateral(view.market);
            value += if linear { view.value } else { 0 };
            if let Some(own) = view.isolated.filter(|_| linear) {
                worth += own.equity;
                notional += view.value.abs();
                used += own.equity.max(0);
            }
            list.push(self.position(view));
        }
        let summary = |worth: i128, notional: i128, used: i128, raw: i128| {
            json!({
                "accountValue": self.usd(worth),
                "totalNtlPos": self.usd(notional),
                "totalRawUsd": self.usd(raw),
                "totalMarginUsed": self.usd(used),
            })
        };
        let isolated: i128 = positions
            .iter()
            .filter(|view| view.isolated.is_some() && self.settles_in_collateral(view.market))
            .map(|view| view.value)
            .sum();
        let (equity, initial) = (margin.equity(), margin.initial());
        json!({
            "marginSummary": summary(
                equity + worth, margin.notional + notional, initial + used, equity + worth - value,
            ),
            "crossMarginSummary": summary(
                equity, margin.notional, initial, equity - (value - isolated),
            ),
            "crossMaintenanceMarginUsed": self.usd(margin.maintenance()),
            "withdrawable": self.usd(margin.withdrawable()),
            "assetPositions": list,
            "time": self.time_ms(),
        })
    }

    fn settles_in_collateral(&self, market: MarketId) -> bool {
        self.rules().market(market).is_none_or(|rules| !rules.inverse)
    }

    /// The price at which a position was entered, for display only.
    pub(super) fn entry(&self, view: &PositionView) -> String {
        let (size, cost) = (i128::from(view.position.size), view.position.cost);
        let rules = self.rules();
        match rules.market(view.market).filter(|rules| rules.inverse) {
            None => self.average(view.market, cost, size),
            Some(inverse) => {
                // A lot's worth at one tick over what a lot was entered for.
                let lots = i128::from(inverse.multiplier) * size.abs();
                let ticks = lots.checked_div(cost.abs()).unwrap_or(0);
                self.px(view.market, u64::try_from(ticks).unwrap_or(u64::MAX))
            }
        }
    }

    /// A position as `clearinghouseState` tells it, in what it settles in.
    fn position(&self, view: &PositionView) -> Value {
        let (size, cost) = (view.position.size, view.position.cost);
        let lots = self.sz(view.market, size.unsigned_abs());
        let rules = self.rules();
        let quote = rules.market(view.market).map_or(rules.spec().collateral, |rules| rules.quote);
        let decimals = rules.spec().assets[usize::from(quote.0)].decimals;
        let money = |amount: i128| shape::money(amount, decimals);
        let max = rules.market_spec(view.market).map_or(1, |spec| match spec.product {
            atoll_exchange::Product::Perpetual { initial_margin_ppm, .. } => {
                1_000_000 / initial_margin_ppm.max(1)
            }
            atoll_exchange::Product::Spot { .. } => 1,
        });
        let roe = quotient(view.unrealised, view.initial.max(1), 6).unwrap_or(0);
        let roe_sign = if roe < 0 { "-" } else { "" };
        let entry = self.entry(view);
        let mut leverage = json!({ "type": "cross", "value": view.leverage });
        let mut used = view.initial;
        if let Some(own) = view.isolated {
            let raw = money(own.margin - cost - view.funding_due);
            leverage = json!({ "type": "isolated", "value": view.leverage, "rawUsd": raw });
            used = own.equity;
        }
        // What was paid before is in the ledger of each settlement; here is what is due now.
        let due = money(view.funding_due);
        json!({
            "type": "oneWay",
            "position": {
                "coin": self.coin(view.market),
                "szi": if size < 0 { format!("-{lots}") } else { lots },
                "leverage": leverage,
                "entryPx": entry,
                "positionValue": money(view.value.abs()),
                "unrealizedPnl": money(view.unrealised),
                "returnOnEquity": format!("{roe_sign}{}", format_units(roe.unsigned_abs(), 6)),
                "liquidationPx": view.liquidation.map(|price| self.px(view.market, price)),
                "marginUsed": money(used),
                "maxLeverage": max,
                "cumFunding": { "allTime": due, "sinceOpen": due, "sinceChange": due },
            },
        })
    }

    pub(super) fn spot_balances(&self, user: &Address) -> Value {
        let machine = self.live.machine.read();
        let exchange = machine.vm().exchange();
        let Some(account) = exchange.peek_account(user) else { return json!({ "balances": [] }) };
        let rules = self.rules();
        let assets = &rules.spec().assets;
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
