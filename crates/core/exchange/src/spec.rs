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
//!
//! For what margin adds:
//! * inverse perpetuals: one lot is worth `lot_value / price` of the settle asset, `lot_value` <
//!   2⁴⁸ ([`LOT_COST_BOUND`]) and prices ≥ 1, so its notionals are below 2⁸⁸ as well; what open
//!   orders reserve is kept with 16 bits more, below 2¹⁰⁵;
//! * cumulative funding of a market stays inside ±2⁷⁷ ([`FUNDING_BOUND`]) quote units × 10⁻⁹ a
//!   lot: a payment is below 2⁸⁹, and the division by 10⁹ is of quotient and remainder apart;
//! * requirements are multiplied by at most 100 ([`MARGIN_SCALE_BOUND`]): below 2¹¹⁵ a market in
//!   parts per million, 2¹²¹ an account;
//! * other collateral: one smallest unit is worth below 2²⁰ of the collateral asset's, so what an
//!   account has or owes of it, below 2⁹⁸, is worth below 2¹¹⁸; at most 8 such assets. Equity is
//!   then summed by saturating additions;
//! * a debt's interest over at most 2⁷⁵ parts per million × microseconds is divided in two limbs.
//! * markets listed while it runs ([`listing`]) are held to the same bounds, with the spec's at most
//!   4096 in all; a bond is below 2⁶² and part of what came in;
//! * averages count at most 2³⁶ µs of time constant and of elapsed time each, so an average's weight
//!   stays below 2³⁷, its sum (of prices in 1/256 ticks) below 2⁸⁶, and that times a weight in 2⁻³²
//!   below 2¹¹⁸;
//! * the rate of an hour is at most 2³⁰ parts per billion, so the funding index moves by less than
//!   2⁷⁸ an hour; it is held inside ±2⁷⁷ ([`FUNDING_BOUND`]).

use crate::field::{Field, codec, enumeration, record};
use crate::ids::{Amount, AssetId, MarketId, Price, Size};
use alloc::string::String;
use alloc::vec::Vec;
use atoll_types::Address;
use atoll_types::codec::{CodecError, Reader};

pub mod listing;
pub mod prices;

use listing::ListingSpec;
use prices::{OracleSpec, PriceSpec};

/// Bound of prices, in ticks.
pub const PRICE_BOUND: Price = 1 << 40;
/// Bound of sizes of orders, positions and open orders in a market, in lots.
pub const SIZE_BOUND: Size = 1 << 40;
/// Bound of what one lot may cost at the highest price, in quote units.
pub const LOT_COST_BOUND: u128 = 1 << 48;
/// Bound of a market's cumulative funding per lot, in quote units × 10⁻⁹, either way.
pub const FUNDING_BOUND: i128 = 1 << 77;
/// Bound of what a market's requirements are multiplied by, parts per million.
pub const MARGIN_SCALE_BOUND: u32 = 100 * crate::ids::PPM;
/// Most tiers of a market's margin table.
pub const TIERS_BOUND: u32 = 8;
/// Most assets besides the collateral asset that can be collateral.
pub const COLLATERALS_BOUND: u32 = 8;
/// Bound of what one smallest unit of another collateral asset is worth at its highest price, in
/// smallest units of the collateral asset.
pub const COLLATERAL_UNIT_BOUND: u128 = 1 << 20;
/// Highest yearly interest rate of a debt, parts per million.
pub const BORROW_RATE_BOUND: u32 = 10 * crate::ids::PPM;
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
/// Most of what waits that one tick takes up, whatever the spec says.
pub const DUE_BOUND: u32 = 10_000;
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
    /// How it serves as collateral besides the collateral asset; none: it does not.
    pub pledge: Option<Pledge>,
    /// What an account with other collateral pays a year for owing it, parts per million.
    pub borrow_ppm: u32,
}
record!(AssetSpec { symbol, decimals, pledge, borrow_ppm });

/// How an asset other than the collateral asset serves as collateral.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pledge {
    /// The perpetual market whose oracle price is the asset's, in the collateral asset.
    pub market: MarketId,
    /// What is taken off its value, parts per million.
    pub haircut_ppm: u32,
    /// Most of it that may be in collateral wallets by what moved in less what moved out, in its
    /// smallest unit; 0 for no cap.
    pub cap: Amount,
}
record!(Pledge { market, haircut_ppm, cap });

/// What one contract of a perpetual is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contract {
    /// Linear: one of the base, margined and settled in the collateral asset.
    #[default]
    Linear,
    /// Inverse: so many units of the quote currency, margined and settled in a coin. A long
    /// gains face × (1 / entry − 1 / price) of the coin a contract.
    Inverse {
        /// The coin; it has a [`Pledge`].
        settle: AssetId,
        /// The face value of one contract, in whole units of the quote currency.
        face: u32,
    },
}

impl Field for Contract {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Linear => out.push(0),
            Self::Inverse { settle, face } => {
                out.push(1);
                settle.put(out);
                face.put(out);
            }
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        match r.u8()? {
            0 => Ok(Self::Linear),
            1 => Ok(Self::Inverse { settle: Field::get(r)?, face: Field::get(r)? }),
            _ => Err(CodecError::Invalid("contract")),
        }
    }
}
codec!(Contract);

/// A further tier of a market's margin table: from a value of the position on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarginTier {
    /// The value of the position from which on it applies, in quote units.
    pub lower_bound: u64,
    /// Initial margin, parts per million of the whole value.
    pub initial_margin_ppm: u32,
    /// Maintenance margin, parts per million of the value above the bound.
    pub maintenance_margin_ppm: u32,
}
record!(MarginTier { lower_bound, initial_margin_ppm, maintenance_margin_ppm });

/// Limits of a perpetual market that grow with positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarketRisk {
    /// The tiers above the first one, which the product names; ascending.
    pub tiers: Vec<MarginTier>,
    /// Open interest, in lots, above which orders may only reduce; 0 for no cap.
    pub open_interest_max: u64,
    /// Most that one account's position and open orders may come to, parts per million of that
    /// cap; 0 for no such limit.
    pub concentration_ppm: u32,
    /// Whether each position has a margin of its own (Hyperliquid's `onlyIsolated`).
    pub isolated_only: bool,
}

impl Field for MarketRisk {
    fn put(&self, out: &mut Vec<u8>) {
        (self.tiers.len() as u64).put(out);
        self.tiers.iter().for_each(|tier| tier.put(out));
        self.open_interest_max.put(out);
        self.concentration_ppm.put(out);
        self.isolated_only.put(out);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut tiers = Vec::new();
        for _ in 0..r.length("margin tiers", TIERS_BOUND)? {
            tiers.push(Field::get(r)?);
        }
        Ok(Self {
            tiers,
            open_interest_max: Field::get(r)?,
            concentration_ppm: Field::get(r)?,
            isolated_only: Field::get(r)?,
        })
    }
}
codec!(MarketRisk);

/// What a market trades.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Product {
    /// A perpetual.
    Perpetual {
        /// What one contract is.
        contract: Contract,
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
            Self::Perpetual {
                contract,
                initial_margin_ppm,
                maintenance_margin_ppm,
                mark_band_ppm,
            } => {
                out.push(0);
                contract.put(out);
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
                contract: Field::get(r)?,
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
    /// How far from the oracle price (of a spot market, from the mark) an order's price may be, parts
    /// per million of it.
    pub price_band_ppm: u32,
    /// Fee of resting orders, parts per million; negative for a rebate (perpetuals only).
    pub maker_fee_ppm: i32,
    /// Fee of incoming orders, parts per million.
    pub taker_fee_ppm: u32,
    /// Margin tiers and caps of a perpetual.
    pub risk: MarketRisk,
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
    risk,
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

/// Who takes over what bankrupt accounts left, and how much of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deleveraging {
    /// The highest profit ratio × leverage first, each its whole position (Hyperliquid).
    #[default]
    Queue,
    /// Each in proportion to its profit, so that the largest share is as small as can be.
    RiskAware,
}
enumeration!(Deleveraging: "deleveraging mode" { Queue = 0, RiskAware = 1 });

/// How accounts are liquidated; see `docs/exchange/liquidation.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiquidationSpec {
    /// Value of a position, in the collateral asset, above which only a part is closed at first.
    pub partial_above: u64,
    /// That part, parts per million.
    pub partial_ppm: u32,
    /// For how long after it all is closed at once, microseconds of chain time.
    pub cooldown_us: u64,
    /// Below this part of the maintenance margin the backstop takes over, parts per million.
    pub backstop_ppm: u32,
    /// The backstop vault's account; none: there is no vault.
    pub backstop: Option<Address>,
    /// What the vault must have after it took over, parts per million of its initial requirement.
    pub backstop_margin_ppm: u32,
    /// Who takes over from the bankrupt.
    pub deleveraging: Deleveraging,
    /// For how long a ranking is good, microseconds of chain time.
    pub ranking_valid_us: u64,
    /// The insurance fund's part of the fees, parts per million.
    pub insurance_ppm: u32,
}
record!(LiquidationSpec {
    partial_above,
    partial_ppm,
    cooldown_us,
    backstop_ppm,
    backstop,
    backstop_margin_ppm,
    deleveraging,
    ranking_valid_us,
    insurance_ppm,
});

impl Default for LiquidationSpec {
    /// Hyperliquid's figures, for a collateral asset of 6 decimals.
    fn default() -> Self {
        Self {
            partial_above: 100_000_000_000,
            partial_ppm: 200_000,
            cooldown_us: 30_000_000,
            backstop_ppm: 666_667,
            backstop: None,
            backstop_margin_ppm: crate::ids::PPM,
            deleveraging: Deleveraging::Queue,
            ranking_valid_us: 10_000_000,
            insurance_ppm: 0,
        }
    }
}

/// Bounds on what accounts and commands may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most open orders of an account.
    pub orders_per_account: u32,
    /// Most perpetual markets an account is in.
    pub positions_per_account: u32,
    /// Most matching steps of a command; what remains of the order is then cancelled.
    pub fills_per_command: u32,
    /// Most accounts that one command ranks for deleveraging.
    pub ranked_per_command: u32,
    /// Most units of work (orders, fills, positions, ranked accounts) of all liquidations in 100 ms
    /// of chain time; the command that passes it is the last.
    pub liquidation_per_slot: u32,
    /// Most entries of the due queue that a tick executes.
    pub due_per_tick: u32,
    /// Most triggers that a tick looks at to find those that its marks have reached.
    pub triggers_per_tick: u32,
}
record!(Limits {
    orders_per_account,
    positions_per_account,
    fills_per_command,
    ranked_per_command,
    liquidation_per_slot,
    due_per_tick,
    triggers_per_tick,
});

impl Default for Limits {
    fn default() -> Self {
        Self {
            orders_per_account: 1024,
            positions_per_account: 64,
            fills_per_command: 1000,
            ranked_per_command: 1000,
            liquidation_per_slot: 20_000,
            due_per_tick: 100,
            triggers_per_tick: 400,
        }
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
    /// How accounts are liquidated.
    pub liquidation: LiquidationSpec,
    /// Oracle sources.
    pub oracle: OracleSpec,
    /// Who may list markets while it runs.
    pub listing: ListingSpec,
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
        self.liquidation.put(out);
        self.oracle.put(out);
        self.listing.put(out);
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
            liquidation: Field::get(r)?,
            oracle: Field::get(r)?,
            listing: Field::get(r)?,
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
