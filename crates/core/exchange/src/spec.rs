//! The spec of an exchange: all that never changes within a version, and its bounds.
//!
//! # Nothing overflows
//! [`ExchangeSpec::validate`] holds a spec to the bounds below; the engine holds inputs to them.
//! * prices < 2⁴⁰ ticks, sizes of orders, positions and open orders of a market < 2⁴⁰ lots;
//! * price_max × multiplier < 2⁴⁸ quote units: what one lot can cost. So any notional of an order,
//!   a position or an account's open orders in a market is below 2⁸⁸, and its product with parts
//!   per million below 2¹⁰⁸;
//! * an account is in at most 64 perpetual markets: sums over them stay below 2⁹⁴ (2¹¹⁴ in parts
//!   per million);
//! * a spot market's lot is below 2⁵⁶ base units: a spot amount is below 2⁹⁶;
//! * what came in of an asset less what left stays below 2⁹⁶ ([`SUPPLY_MAX`]), so the sum of all
//!   collateral less the sum of all costs does; with at most 2³² accounts of |cost| < 2⁹⁴ each, a
//!   collateral balance stays inside ±2¹²⁷. (It cannot go further below zero than the account's
//!   positions lost, which is below 2⁹⁵: a position is only opened on positive equity.)
//! * averages count at most 2³⁶ µs of time constant and of elapsed time each, so an average's weight
//!   stays below 2³⁷, its sum (of prices in 1/256 ticks) below 2⁸⁶, and that times a weight in 2⁻³²
//!   below 2¹¹⁸;
//! * the rate of an hour is at most 2³⁰ parts per billion, so the funding index moves by less than
//!   2⁷⁸ an hour; it is held inside ±2⁷⁷ ([`prices::INDEX_BOUND`]).

use crate::field::{Field, codec, enumeration, record};
use crate::ids::{AssetId, Price, Size};
use alloc::string::String;
use alloc::vec::Vec;
use atoll_types::codec::{CodecError, Reader};

pub mod prices;

use prices::{OracleSpec, PriceSpec};

/// Bound of prices, in ticks.
pub const PRICE_BOUND: Price = 1 << 40;
/// Bound of sizes of orders, positions and open orders in a market, in lots.
pub const SIZE_BOUND: Size = 1 << 40;
/// Bound of what one lot may cost at the highest price, in quote units.
pub const LOT_COST_BOUND: u128 = 1 << 48;
/// Bound of a spot lot, in base units.
pub const LOT_UNITS_BOUND: u128 = 1 << 56;
/// Bound of what came in of an asset less what left, in its smallest unit.
pub const SUPPLY_MAX: i128 = 1 << 96;
/// Most open orders an account may have, whatever the spec says.
pub const ORDERS_BOUND: u32 = 1 << crate::ids::OrderId::SLOT_BITS;
/// Most perpetual markets an account may be in, whatever the spec says.
pub const POSITIONS_BOUND: u32 = 64;
/// Most matching steps of one command, whatever the spec says.
pub const FILLS_BOUND: u32 = 10_000;
/// Most assets.
pub const ASSETS_BOUND: u32 = 1024;
/// Most markets.
pub const MARKETS_BOUND: u32 = 4096;

/// An asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetSpec {
    /// Its symbol, unique; 1 to 16 letters, digits, `-`, `.`, `_` or `/`.
    pub symbol: String,
    /// Decimals of its smallest unit, at most 18.
    pub decimals: u8,
}
record!(AssetSpec { symbol, decimals });

/// What a market trades.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Product {
    /// Linear perpetual: margined, quoted and settled in the collateral asset.
    Perpetual {
        /// Initial margin, parts per million of the value; leverage is its inverse.
        initial_margin_ppm: u32,
        /// Maintenance margin, parts per million of the value; below the initial one.
        maintenance_margin_ppm: u32,
        /// How far the book may pull the mark from the oracle, parts per million.
        mark_band_ppm: u32,
    },
    /// Spot: base against quote, both held in full.
    Spot {
        /// What is bought and sold.
        base: AssetId,
        /// What it is paid in.
        quote: AssetId,
    },
}

impl Field for Product {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Perpetual { initial_margin_ppm, maintenance_margin_ppm, mark_band_ppm } => {
                out.push(0);
                initial_margin_ppm.put(out);
                maintenance_margin_ppm.put(out);
                mark_band_ppm.put(out);
            }
            Self::Spot { base, quote } => {
                out.push(1);
                base.put(out);
                quote.put(out);
            }
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        match r.u8()? {
            0 => Ok(Self::Perpetual {
                initial_margin_ppm: Field::get(r)?,
                maintenance_margin_ppm: Field::get(r)?,
                mark_band_ppm: Field::get(r)?,
            }),
            1 => Ok(Self::Spot { base: Field::get(r)?, quote: Field::get(r)? }),
            _ => Err(CodecError::Invalid("product")),
        }
    }
}
codec!(Product);

/// A market. Prices and sizes of the API are decimal numbers; a price is a multiple of
/// `tick × 10^-price_decimals` quote, a size a multiple of `lot × 10^-size_decimals` base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketSpec {
    /// Its name, unique.
    pub name: String,
    /// What it trades.
    pub product: Product,
    /// Decimals of prices.
    pub price_decimals: u8,
    /// Decimals of sizes.
    pub size_decimals: u8,
    /// The price step, in units of `10^-price_decimals`.
    pub tick: u64,
    /// The size step, in units of `10^-size_decimals`.
    pub lot: u64,
    /// Highest price, in ticks.
    pub price_max: Price,
    /// Largest order, in lots.
    pub order_size_max: Size,
    /// Smallest value of an order, in quote units; orders that only reduce are exempt.
    pub notional_min: u64,
    /// How far from the mark an order's price may be, parts per million of the mark.
    pub price_band_ppm: u32,
    /// Fee of resting orders, parts per million; negative for a rebate (perpetuals only).
    pub maker_fee_ppm: i32,
    /// Fee of incoming orders, parts per million.
    pub taker_fee_ppm: u32,
    /// Mark, funding, volatility and sanity bounds of a perpetual.
    pub prices: PriceSpec,
}
record!(MarketSpec {
    name,
    product,
    price_decimals,
    size_decimals,
    tick,
    lot,
    price_max,
    order_size_max,
    notional_min,
    price_band_ppm,
    maker_fee_ppm,
    taker_fee_ppm,
    prices,
});

/// What happens when an order meets another one of its own account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelfTrade {
    /// What remains of the incoming order is cancelled.
    #[default]
    CancelTaker,
    /// The resting order is cancelled and matching goes on.
    CancelMaker,
    /// Both lose the size of the smaller one without trading, and matching goes on.
    Decrement,
}
enumeration!(SelfTrade: "self-trade policy" { CancelTaker = 0, CancelMaker = 1, Decrement = 2 });

/// Bounds on what accounts and commands may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most open orders of an account.
    pub orders_per_account: u32,
    /// Most perpetual markets an account is in.
    pub positions_per_account: u32,
    /// Most matching steps of a command; what remains of the order is then cancelled.
    pub fills_per_command: u32,
}
record!(Limits { orders_per_account, positions_per_account, fills_per_command });

impl Default for Limits {
    fn default() -> Self {
        Self { orders_per_account: 1024, positions_per_account: 64, fills_per_command: 1000 }
    }
}

/// The spec of an exchange. Part of the environment's spec hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeSpec {
    /// The assets; [`AssetId`] is the place in this list.
    pub assets: Vec<AssetSpec>,
    /// The asset that perpetuals are margined in.
    pub collateral: AssetId,
    /// The markets; [`crate::MarketId`] is the place in this list.
    pub markets: Vec<MarketSpec>,
    /// Self-trade policy.
    pub self_trade: SelfTrade,
    /// Bounds.
    pub limits: Limits,
    /// Oracle sources.
    pub oracle: OracleSpec,
}

impl Field for ExchangeSpec {
    fn put(&self, out: &mut Vec<u8>) {
        (self.assets.len() as u64).put(out);
        self.assets.iter().for_each(|asset| asset.put(out));
        self.collateral.put(out);
        (self.markets.len() as u64).put(out);
        self.markets.iter().for_each(|market| market.put(out));
        self.self_trade.put(out);
        self.limits.put(out);
        self.oracle.put(out);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut assets = Vec::new();
        for _ in 0..r.length("assets", ASSETS_BOUND)? {
            assets.push(Field::get(r)?);
        }
        let collateral = Field::get(r)?;
        let mut markets = Vec::new();
        for _ in 0..r.length("markets", MARKETS_BOUND)? {
            markets.push(Field::get(r)?);
        }
        Ok(Self {
            assets,
            collateral,
            markets,
            self_trade: Field::get(r)?,
            limits: Field::get(r)?,
            oracle: Field::get(r)?,
        })
    }
}
codec!(ExchangeSpec);

/// What is wrong with a spec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {found}; expected {expected}")]
pub struct SpecError {
    /// The key, as a path into the spec: `markets[2].tick`.
    pub key: String,
    /// What it is.
    pub found: String,
    /// What it should be.
    pub expected: String,
}
