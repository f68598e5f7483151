//! Builds Hyperliquid's actions as the venue's SDKs pack them: the same keys in the same order.

pub mod listing;

use super::action::asset_of_market;
use super::decimal::format_units;
use super::msgpack::MsgpackWriter;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use atoll_exchange::{ClientId, MarketId, OrderId, OrderRequest, OrderSelector, Rules, Side, Tif};
use atoll_types::Address;

/// An order as the wire has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderWire {
    /// The asset number of the market.
    pub asset: u64,
    /// Buy or sell.
    pub buy: bool,
    /// Limit price, a decimal without trailing zeros.
    pub price: String,
    /// Size, a decimal without trailing zeros.
    pub size: String,
    /// Whether it may only make a position smaller.
    pub reduce_only: bool,
    /// How long it lives.
    pub tif: Tif,
    /// The client's own identifier.
    pub client_id: Option<ClientId>,
    /// When what rests of it is cancelled, milliseconds; 0 for never.
    pub expires_ms: u64,
    /// How much of what rests the book shows at a time, a decimal; empty for all of it.
    pub display: String,
}

impl OrderWire {
    /// An order of the exchange in the decimals of its market; `None` if there is no such market.
    pub fn of(rules: &Rules, order: &OrderRequest) -> Option<Self> {
        Some(Self {
            asset: asset_of_market(rules, order.market),
            buy: order.side == Side::Buy,
            price: price_text(rules, order.market, order.price)?,
            size: size_text(rules, order.market, order.size)?,
            reduce_only: order.reduce_only,
            tif: order.tif,
            client_id: order.client_id,
            expires_ms: order.expires_us / 1000,
            display: match order.display {
                0 => String::new(),
                display => size_text(rules, order.market, display)?,
            },
        })
    }

    fn write(&self, w: &mut MsgpackWriter) {
        w.map(if self.client_id.is_some() { 7 } else { 6 });
        w.string("a").unsigned(self.asset).string("b").bool(self.buy);
        w.string("p").string(&self.price).string("s").string(&self.size);
        w.string("r").bool(self.reduce_only);
        let tif = match self.tif {
            Tif::Gtc => "Gtc",
            Tif::Ioc => "Ioc",
            Tif::PostOnly => "Alo",
            Tif::Fok => "Fok",
        };
        let (expires, display) = (self.expires_ms != 0, !self.display.is_empty());
        let keys = 1 + usize::from(expires) + usize::from(display);
        w.string("t").map(1).string("limit").map(keys);
        w.string("tif").string(tif);
        if expires {
            w.string("expires").unsigned(self.expires_ms);
        }
        if display {
            w.string("display").string(&self.display);
        }
        if let Some(client_id) = &self.client_id {
            w.string("c").string(&client_id_text(client_id));
        }
    }
}

/// A price in ticks as the wire writes it.
pub fn price_text(rules: &Rules, market: MarketId, ticks: u64) -> Option<String> {
    let spec = rules.market_spec(market)?;
    Some(format_units(u128::from(ticks) * u128::from(spec.tick), spec.price_decimals))
}

/// A size in lots as the wire writes it.
pub fn size_text(rules: &Rules, market: MarketId, lots: u64) -> Option<String> {
    let spec = rules.market_spec(market)?;
    Some(format_units(u128::from(lots) * u128::from(spec.lot), spec.size_decimals))
}

/// A client id as the wire writes it: `0x` and 32 hexadecimal digits.
pub fn client_id_text(client_id: &ClientId) -> String {
    alloc::format!("{:#034x}", u128::from_be_bytes(*client_id))
}

fn action(kind: &str, entries: usize) -> MsgpackWriter {
    let mut w = MsgpackWriter::new();
    w.map(1 + entries).string("type").string(kind);
    w
}

/// New orders.
pub fn orders(orders: &[OrderWire]) -> Vec<u8> {
    let mut w = action("order", 2);
    w.string("orders").array(orders.len());
    orders.iter().for_each(|order| order.write(&mut w));
    w.string("grouping").string("na");
    w.into_bytes()
}

/// Cancels by number, each with the asset number of its market.
pub fn cancels(cancels: &[(u64, OrderId)]) -> Vec<u8> {
    let mut w = action("cancel", 1);
    w.string("cancels").array(cancels.len());
    for (asset, order) in cancels {
        w.map(2).string("a").unsigned(*asset).string("o").unsigned(order.0);
    }
    w.into_bytes()
}

/// Cancels by client id, each with the asset number of its market.
pub fn cancels_by_client_id(cancels: &[(u64, ClientId)]) -> Vec<u8> {
    let mut w = action("cancelByCloid", 1);
    w.string("cancels").array(cancels.len());
    for (asset, client_id) in cancels {
        w.map(2).string("asset").unsigned(*asset);
        w.string("cloid").string(&client_id_text(client_id));
    }
    w.into_bytes()
}

fn modification(w: &mut MsgpackWriter, target: &OrderSelector, order: &OrderWire) {
    w.string("oid");
    match target {
        OrderSelector::Order(order) => w.unsigned(order.0),
        OrderSelector::Client(client_id) => w.string(&client_id_text(client_id)),
    };
    w.string("order");
    order.write(w);
}

/// One modification.
pub fn modify(target: &OrderSelector, order: &OrderWire) -> Vec<u8> {
    let mut w = action("modify", 2);
    modification(&mut w, target, order);
    w.into_bytes()
}

/// Several modifications.
pub fn modifies(modifies: &[(OrderSelector, OrderWire)]) -> Vec<u8> {
    let mut w = action("batchModify", 1);
    w.string("modifies").array(modifies.len());
    for (target, order) in modifies {
        w.map(2);
        modification(&mut w, target, order);
    }
    w.into_bytes()
}

/// The leverage of a market.
pub fn update_leverage(asset: u64, cross: bool, leverage: u64) -> Vec<u8> {
    let mut w = action("updateLeverage", 3);
    w.string("asset").unsigned(asset).string("isCross").bool(cross);
    w.string("leverage").unsigned(leverage);
    w.into_bytes()
}

/// Margin of an isolated position, in millionths: into it if above zero.
pub fn update_isolated_margin(asset: u64, ntli: i64) -> Vec<u8> {
    let mut w = action("updateIsolatedMargin", 3);
    w.string("asset").unsigned(asset).string("isBuy").bool(true);
    w.string("ntli").signed(ntli);
    w.into_bytes()
}

/// Does the next step of the liquidation of an account, or of its isolated position in the market
/// with this asset number.
pub fn liquidate(user: &Address, asset: Option<u64>) -> Vec<u8> {
    let mut w = action("liquidate", 2);
    w.string("user").string(&format!("{user:#x}")).string("asset");
    match asset {
        Some(asset) => w.unsigned(asset),
        None => w.nil(),
    };
    w.into_bytes()
}

/// Goes on with what bankrupt accounts left on a side of the market with this asset number.
pub fn deleverage(asset: u64, buy: bool) -> Vec<u8> {
    let mut w = action("deleverage", 2);
    w.string("asset").unsigned(asset).string("isBuy").bool(buy);
    w.into_bytes()
}

/// Uses a nonce and does nothing else.
pub fn noop() -> Vec<u8> {
    action("noop", 0).into_bytes()
}
