//! Orders that wait for a price, a parent or a time: what is asked for, and how it is told.
//!
//! Prices and rules are those of Hyperliquid's documentation ("Order types", "Take profit and stop
//! loss orders", "TWAP details", API "Schedule cancel"); where this venue decides more than the
//! documentation says, `docs/exchange/conditional.md` says so.

use crate::field::{enumeration, record};
use crate::ids::{Amount, ClientId, MarketId, OrderId, Price, Side, Size};

/// How far from the mark a market trigger trades at worst, parts per million.
pub const TRIGGER_SLIPPAGE_PPM: u32 = 100_000;
/// How far from the mark a slice of a TWAP trades at worst, parts per million.
pub const TWAP_SLIPPAGE_PPM: u32 = 30_000;
/// Milliseconds between slices of a TWAP.
pub const TWAP_INTERVAL_MS: u64 = 30_000;
/// A late TWAP catches up by at most so many times the usual slice.
pub const TWAP_CATCH_UP: u64 = 3;
/// Shortest TWAP, in minutes.
pub const TWAP_MINUTES_MIN: u16 = 5;
/// Longest TWAP, in minutes.
pub const TWAP_MINUTES_MAX: u16 = 1440;
/// Most TWAPs that an account runs at once.
pub const TWAPS_MAX: usize = 16;
/// Most orders attached to one position.
pub const ATTACHED_MAX: usize = 8;
/// A scheduled cancel is at least so far ahead, in milliseconds.
pub const SCHEDULE_AHEAD_MS: u64 = 5_000;
/// Most scheduled cancels of an account that fire in a day (UTC).
pub const SCHEDULES_PER_DAY: u8 = 10;
/// Bound of times that users name, in milliseconds.
pub const TIME_BOUND_MS: u64 = 1 << 53;

/// What a trigger order is for; with its side it says on which side of the mark it waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TriggerKind {
    /// Fires when the mark moves against a position: a stop to sell below the mark, one to buy
    /// above it.
    #[default]
    Stop = 0,
    /// Fires when the mark moves with a position: to sell above the mark, to buy below it.
    TakeProfit = 1,
}
enumeration!(TriggerKind: "trigger kind" { Stop = 0, TakeProfit = 1 });

impl TriggerKind {
    /// Which way the mark has to move.
    pub fn direction(self, side: Side) -> Direction {
        match (self, side) {
            (Self::Stop, Side::Buy) | (Self::TakeProfit, Side::Sell) => Direction::Above,
            (Self::Stop, Side::Sell) | (Self::TakeProfit, Side::Buy) => Direction::Below,
        }
    }
}

/// Where the mark has to be for a trigger to fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Direction {
    /// At the trigger price or above it.
    Above = 0,
    /// At the trigger price or below it.
    Below = 1,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Above, Self::Below];

    /// Whether a mark has reached a price.
    pub fn reached(self, mark: Price, price: Price) -> bool {
        match self {
            Self::Above => mark >= price,
            Self::Below => mark <= price,
        }
    }
}

/// How a trigger order waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TriggerState {
    /// For its parent to fill.
    #[default]
    Waiting = 0,
    /// For the mark.
    Armed = 1,
    /// It was reached and waits for its turn.
    Due = 2,
}
enumeration!(TriggerState: "trigger state" { Waiting = 0, Armed = 1, Due = 2 });

/// What makes an order a trigger order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trigger {
    /// The mark at which it fires, in ticks.
    pub price: Price,
    /// Stop or take-profit.
    pub kind: TriggerKind,
    /// The limit once it fired; none for a market order.
    pub limit: Option<Price>,
    /// How it waits.
    pub state: TriggerState,
    /// Whether it belongs to the position and ends with it. A size of zero then means all of it.
    pub position: bool,
}
record!(Trigger { price, kind, limit, state, position });

/// A new trigger order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TriggerRequest {
    /// The market.
    pub market: MarketId,
    /// Buy or sell.
    pub side: Side,
    /// The mark at which it fires, in ticks.
    pub trigger_price: Price,
    /// Stop or take-profit.
    pub kind: TriggerKind,
    /// The limit once it fired, in ticks; none for a market order, which trades at most
    /// [`TRIGGER_SLIPPAGE_PPM`] from the mark.
    pub limit: Option<Price>,
    /// Size in lots. Zero, for orders attached to a position, is all of the position.
    pub size: Size,
    /// Whether it may only make a position smaller. Perpetuals only.
    pub reduce_only: bool,
    /// The client's own identifier.
    pub client_id: Option<ClientId>,
}
record!(TriggerRequest { market, side, trigger_price, kind, limit, size, reduce_only, client_id });

impl TriggerRequest {
    /// Which way the mark has to move.
    pub fn direction(&self) -> Direction {
        self.kind.direction(self.side)
    }
}

/// A new TWAP: a size traded in slices over a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwapRequest {
    /// The market.
    pub market: MarketId,
    /// Buy or sell.
    pub side: Side,
    /// Size in lots, all slices together.
    pub size: Size,
    /// Whether it may only make a position smaller. Perpetuals only.
    pub reduce_only: bool,
    /// How long it runs, in minutes.
    pub minutes: u16,
}
record!(TwapRequest { market, side, size, reduce_only, minutes });

/// Why a TWAP ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TwapEnd {
    /// Its size has traded.
    Filled = 0,
    /// Its time is over.
    Elapsed = 1,
    /// Its owner asked.
    Cancelled = 2,
}
enumeration!(TwapEnd: "end of a TWAP" { Filled = 0, Elapsed = 1, Cancelled = 2 });

/// All there is to tell of a TWAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwapView {
    /// Its number; its slices are orders of their own.
    pub twap: OrderId,
    /// Whose.
    pub account: crate::ids::AccountId,
    /// What was asked for.
    pub request: TwapRequest,
    /// Lots traded.
    pub filled: Size,
    /// What that cost or brought, in quote units.
    pub notional: Amount,
    /// Time of the tick in which it was placed, microseconds.
    pub time_us: u64,
}
record!(TwapView { twap, account, request, filled, notional, time_us });
