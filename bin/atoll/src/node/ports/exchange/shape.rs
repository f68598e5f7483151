//! Fills and trades as Hyperliquid writes them.

use super::records::FillRecord;
use super::user::side_text;
pub(super) use crate::markets::parameters::money;
use atoll_exchange::{AccountId, MarketId, Product, Rules, Side};
use atoll_vm::exchange::build::{client_id_text, price_text, size_text};
use serde_json::{Value, json};

/// A market's name.
pub(super) fn coin(rules: &Rules, market: MarketId) -> String {
    rules.market_spec(market).map(|spec| spec.name.clone()).unwrap_or_default()
}

/// A rate in parts per billion.
pub(super) fn rate(ppb: i64) -> String {
    money(ppb.into(), 9)
}

/// A trade of a market.
pub(super) fn trade(rules: &Rules, record: &FillRecord) -> Value {
    let fill = &record.fill;
    json!({
        "coin": coin(rules, fill.market),
        "side": side_text(fill.taker_side),
        "px": price_text(rules, fill.market, fill.price),
        "sz": size_text(rules, fill.market, fill.size),
        "time": record.time_us / 1000,
        "hash": record.hash.to_string(),
        "tid": fill.trade,
    })
}

/// A fill as an account sees it.
pub(super) fn fill(rules: &Rules, record: &FillRecord, account: AccountId) -> Value {
    let fill = &record.fill;
    let (party, side, crossed) = record.of(account);
    let spec = rules.spec();
    let fee_asset = &spec.assets[usize::from(party.fee_asset.0)];
    let collateral = spec.assets[usize::from(spec.collateral.0)].decimals;
    let perpetual = rules
        .market_spec(fill.market)
        .is_some_and(|spec| matches!(spec.product, Product::Perpetual { .. }));
    let start = size_text(rules, fill.market, party.start_position.unsigned_abs());
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
        "coin": coin(rules, fill.market),
        "px": price_text(rules, fill.market, fill.price),
        "sz": size_text(rules, fill.market, fill.size),
        "side": side_text(side),
        "time": record.time_us / 1000,
        "startPosition": if party.start_position < 0 { format!("-{start}") } else { start },
        "dir": direction,
        "closedPnl": money(party.closed_pnl, collateral),
        "hash": record.hash.to_string(),
        "oid": party.order.0,
        "crossed": crossed,
        "fee": money(party.fee, fee_asset.decimals),
        "tid": fill.trade,
        "feeToken": fee_asset.symbol,
    });
    if let Some(id) = party.client_id {
        entry["cloid"] = client_id_text(&id).into();
    }
    if let Some((user, mark)) = record.liquidation {
        entry["liquidation"] = json!({
            "liquidatedUser": format!("{user:#x}"),
            "markPx": price_text(rules, fill.market, mark),
            "method": "market",
        });
    }
    entry
}
