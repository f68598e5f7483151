//! Accounts in full, for `/atoll/accounts`.

use super::super::{ExchangeAdapter, shape, user};
use crate::markets::parameters::{self, ppm};
use atoll_exchange::margin::funding::interest;
use atoll_exchange::objects::{Holding, OrderExtra};
use atoll_exchange::{
    AccountId, AssetId, Exchange, Margin, Order, PositionView, Side, TriggerKind, TriggerState,
    TwapView,
};
use atoll_rpc::port::QueryError;
use atoll_state::Resident;
use atoll_types::Address;
use atoll_vm::exchange::build::client_id_text;
use serde_json::{Value, json};

/// Orders in an answer: as many as an account can have by the usual limits.
const ORDERS_MAX: usize = 4_096;

fn side_word(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

/// `part / whole` in parts per million, if that is a number.
fn fraction(part: i128, whole: i128) -> Option<String> {
    let found = part.checked_mul(1_000_000)?.checked_div(whole)?;
    Some(ppm(found))
}

impl ExchangeAdapter {
    pub(super) fn account_view(&self, address: &Address) -> Result<Value, QueryError> {
        let machine = self.live.machine.read();
        let exchange = machine.vm().exchange();
        let unknown = || {
            let sentence = "has no account here: the first deposit opens one";
            QueryError::NotFound(format!("{address:#x} {sentence}"))
        };
        let account = exchange.peek_account(address).ok_or_else(unknown)?;
        // One lock: all of it is of one moment.
        let margin = exchange.peek_margin(account);
        let positions = exchange.peek_positions(account);
        let orders = exchange.peek_orders(account, ORDERS_MAX);
        let orders = orders.into_iter().map(|order| (order, exchange.peek_extra(order.order)));
        let orders: Vec<(Order, OrderExtra)> = orders.collect();
        let twaps = exchange.peek_twaps(account);
        let schedule = exchange.peek_schedule(account);
        let collateral = self.collateral(exchange, account, &margin);
        let rules = self.rules();
        let assets = rules.spec().assets.iter();
        let spot = (0u16..).zip(assets).filter_map(|(id, asset)| {
            let found = exchange.peek_balance(account, AssetId(id));
            let money = |amount: i128| shape::money(amount, asset.decimals);
            (found.total != 0).then(|| {
                json!({
                    "asset": asset.symbol,
                    "total": money(found.total),
                    "hold": money(found.hold),
                    "available": money(found.available()),
                })
            })
        });
        let spot: Value = spot.collect();
        drop(machine);
        let agents = self.agents(address);
        let agent = |agent: &Value| {
            json!({
                "name": agent["name"],
                "address": agent["address"],
                "valid_until_ms": agent["validUntil"],
            })
        };
        let open = positions.iter().filter(|view| view.position.size != 0);
        Ok(json!({
            "address": format!("{address:#x}"),
            "account": account.0,
            "margin": self.margin_view(&margin),
            "collateral": collateral,
            "positions": open.map(|view| self.position_view(view)).collect::<Value>(),
            "orders": orders.iter().map(|(o, extra)| self.order_view(o, extra)).collect::<Value>(),
            "twaps": twaps.iter().map(|twap| self.twap_view(twap)).collect::<Value>(),
            "scheduled_cancel_ms": schedule,
            "spot": spot,
            "agents": agents.as_array().into_iter().flatten().map(agent).collect::<Value>(),
        }))
    }

    /// Of the cross account, in the collateral asset.
    fn margin_view(&self, margin: &Margin) -> Value {
        let rules = self.rules();
        let spec = rules.spec();
        let (equity, maintenance) = (margin.equity(), margin.maintenance());
        json!({
            "asset": spec.assets[usize::from(spec.collateral.0)].symbol,
            "equity": self.usd(equity),
            "collateral": self.usd(margin.collateral),
            "unrealised": self.usd(margin.unrealised),
            "other": self.usd(margin.other),
            "notional": self.usd(margin.notional),
            "initial": self.usd(margin.initial()),
            "maintenance": self.usd(maintenance),
            "withdrawable": self.usd(margin.withdrawable()),
            "ratio": fraction(maintenance, equity).filter(|_| equity > 0),
            "cushion": self.usd(equity.saturating_sub(maintenance)),
            "liquidatable": margin.is_liquidatable(),
        })
    }

    /// The collateral asset first, then the others in their order.
    fn collateral(
        &self,
        exchange: &Exchange<Resident>,
        account: AccountId,
        margin: &Margin,
    ) -> Value {
        let rules = self.rules();
        let spec = rules.spec();
        let base = &spec.assets[usize::from(spec.collateral.0)];
        let settled = exchange.peek_owner(account).map_or(0, |owner| owner.collateral);
        let mut list = vec![json!({
            "asset": base.symbol,
            "amount": self.usd(settled),
            "interest_due": self.usd(settled.saturating_sub(margin.collateral)),
            "borrow_rate": ppm(base.borrow_ppm),
            "haircut": ppm(0),
            "price": "1",
            "value": self.usd(margin.collateral),
        })];
        let holdings = exchange.peek_holdings(account);
        let entry = |holding: &Holding| {
            let pledge = rules.pledge(holding.asset)?;
            let asset = spec.assets.get(usize::from(holding.asset.0))?;
            let index = exchange.peek_interest(holding.asset);
            let due = interest(-holding.amount, index.saturating_sub(holding.index));
            let oracle = exchange.peek_prices(pledge.market).oracle;
            let worth = pledge.collateral(holding.amount - due, oracle);
            let money = |amount: i128| shape::money(amount, asset.decimals);
            Some(json!({
                "asset": asset.symbol,
                "amount": money(holding.amount),
                "interest_due": money(due),
                "borrow_rate": ppm(asset.borrow_ppm),
                "haircut": ppm(pledge.haircut_ppm),
                "price": self.price(pledge.market, oracle),
                "value": self.usd(worth),
            }))
        };
        list.extend(holdings.list().iter().filter_map(entry));
        list.into()
    }

    fn position_view(&self, view: &PositionView) -> Value {
        let rules = &*self.rules();
        let (decimals, symbol) = parameters::quote(rules, view.market);
        let money = |amount: i128| shape::money(amount, decimals);
        let long = view.position.size > 0;
        let mark = i128::from(view.mark);
        let distance = view.liquidation.and_then(|price| {
            let price = i128::from(price);
            fraction(if long { mark - price } else { price - mark }, mark)
        });
        json!({
            "market": self.coin(view.market),
            "side": if long { "long" } else { "short" },
            "size": self.sz(view.market, view.position.size.unsigned_abs()),
            "asset": symbol,
            "cost": money(view.position.cost),
            "entry": self.entry(view),
            "mark": self.price(view.market, view.mark),
            "value": money(view.value),
            "unrealised": money(view.unrealised),
            "funding_due": money(view.funding_due),
            "leverage": view.leverage,
            "mode": if view.isolated.is_some() { "isolated" } else { "cross" },
            "margin": view.isolated.map(|own| money(own.margin)),
            "equity": view.isolated.map(|own| money(own.equity)),
            "initial": money(view.isolated.map_or(view.initial, |own| own.initial)),
            "maintenance": money(view.isolated.map_or(view.maintenance, |own| own.maintenance)),
            "liquidation": view.liquidation.map(|price| self.px(view.market, price)),
            "bankruptcy": view.bankruptcy.map(|price| self.px(view.market, price)),
            "distance": distance,
        })
    }

    fn order_view(&self, order: &Order, extra: &OrderExtra) -> Value {
        let market = order.market;
        let kind = match order.trigger.map(|trigger| (trigger.kind, trigger.limit)) {
            None => "limit",
            Some((TriggerKind::Stop, None)) => "stop market",
            Some((TriggerKind::Stop, Some(_))) => "stop limit",
            Some((TriggerKind::TakeProfit, None)) => "take-profit market",
            Some((TriggerKind::TakeProfit, Some(_))) => "take-profit limit",
        };
        let price = match order.trigger {
            None => Some(order.price),
            Some(trigger) => trigger.limit,
        };
        json!({
            "order": order.order.0.to_string(),
            "client_id": order.client_id.map(|id| client_id_text(&id)),
            "market": self.coin(market),
            "side": side_word(order.side),
            "type": kind,
            "price": price.map(|price| self.px(market, price)),
            "trigger": order.trigger.map(|trigger| json!({
                "price": self.px(market, trigger.price),
                "state": match trigger.state {
                    TriggerState::Waiting => "waits for its parent",
                    TriggerState::Armed => "armed",
                    TriggerState::Due => "due",
                },
                "position": trigger.position,
            })),
            "size": self.sz(market, order.size),
            "remaining": self.sz(market, order.remaining),
            "hidden": (extra.hidden != 0).then(|| self.sz(market, extra.hidden)),
            "tif": user::tif_text(order.tif),
            "reduce_only": order.reduce_only,
            "placed_ms": order.time_us / 1_000,
            "expires_ms": (extra.expires_us != 0).then_some(extra.expires_us / 1_000),
        })
    }

    fn twap_view(&self, twap: &TwapView) -> Value {
        let request = &twap.request;
        let ends_us = twap.time_us + u64::from(request.minutes) * 60_000_000;
        json!({
            "twap": twap.twap.0.to_string(),
            "market": self.coin(request.market),
            "side": side_word(request.side),
            "size": self.sz(request.market, request.size),
            "filled": self.sz(request.market, twap.filled),
            "average": self.average(request.market, twap.notional, i128::from(twap.filled)),
            "reduce_only": request.reduce_only,
            "placed_ms": twap.time_us / 1_000,
            "ends_ms": ends_us / 1_000,
        })
    }
}
