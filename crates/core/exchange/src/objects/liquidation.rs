//! Liquidation: cool-downs, the work of a window, who holds what, and estates.

use super::{AccountKey, BookId, GlobalKey, Position};
use crate::field::{Field, enumeration, record};
use crate::ids::{AccountId, Amount, MarketId, Side, Size};
use alloc::vec::Vec;
use atoll_state::{Key, Object, OrderedSet};
use atoll_types::codec::{CodecError, Decode, Encode, Reader};

/// The accounts that hold a position of a market on a side, by number (sets of kind 5).
pub(crate) fn holders(market: MarketId, side: Side) -> OrderedSet {
    OrderedSet(5 << 60 | u64::from(BookId::new(market, side).0))
}

/// The ranking of those accounts: score (24 bits) × 2³² + (2³² − 1 − account) (sets of kind 6).
pub(crate) fn ranking(market: MarketId, side: Side) -> OrderedSet {
    OrderedSet(6 << 60 | u64::from(BookId::new(market, side).0))
}

/// Until when an account that was liquidated in part is liquidated in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cooldown {
    /// Chain time, microseconds.
    pub until_us: u64,
}
record!(Cooldown { until_us });
impl Object for Cooldown {
    const TAG: u8 = 50;
    const NAME: &'static str = "liquidation cool-down";
    type Key = AccountKey;
}

/// The work that liquidations did in the latest window of chain time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiquidationWindow {
    /// Its number: chain time in windows of 100 ms.
    pub window: u64,
    /// Units of work done in it.
    pub used: u32,
}
record!(LiquidationWindow { window, used });
impl Object for LiquidationWindow {
    const TAG: u8 = 51;
    const NAME: &'static str = "liquidation window";
    type Key = GlobalKey;
}

/// Finds an estate, by the market and the side of what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EstateKey(pub BookId);
impl Encode for EstateKey {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
}
impl Decode for EstateKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self(Field::get(r)?))
    }
}
impl Key for EstateKey {
    fn dense(&self) -> Option<u32> {
        Some(self.0.0)
    }
}

/// How far the ranking of an estate's counterparties is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// There is none.
    #[default]
    None = 0,
    /// Holders are being ranked.
    Ranking = 1,
    /// The list is complete and is worked off.
    Ready = 2,
    /// The list has expired or is not needed, and is taken apart.
    Clearing = 3,
}
enumeration!(Phase: "ranking phase" { None = 0, Ranking = 1, Ready = 2, Clearing = 3 });

/// What bankrupt accounts left of a market on one side, and the ranking of those who take it over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estate {
    /// Lots, negative for short; at a cost that leaves those accounts with nothing.
    pub size: i64,
    /// Signed quote paid.
    pub cost: Amount,
    /// The market's cumulative funding when it was last settled.
    pub funding: i128,
    /// How far the ranking is.
    pub phase: Phase,
    /// The next account to rank.
    pub cursor: u64,
    /// When the ranking began, chain time in microseconds.
    pub begun_us: u64,
    /// Risk-aware: lots that are split by profit; those of whoever gives its whole position are out.
    pub open: Size,
    /// Unrealised profit that they are split by.
    pub profit: Amount,
    /// How many in the list had their first turn, and may give one lot more.
    pub waiting: u64,
}
record!(Estate { size, cost, funding, phase, cursor, begun_us, open, profit, waiting });
impl Object for Estate {
    const TAG: u8 = 52;
    const NAME: &'static str = "estate";
    type Key = EstateKey;
}

/// Finds what a winner gave to an estate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShareKey {
    /// The estate.
    pub estate: BookId,
    /// The winner.
    pub account: AccountId,
}
record!(ShareKey { estate, account });
impl Key for ShareKey {}

/// What a winner in the risk-aware list of an estate gave so far, while it may have to give more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Lots.
    pub lots: Size,
    /// Its unrealised profit before the first of them.
    pub profit: Amount,
}
record!(Share { lots, profit });
impl Object for Share {
    const TAG: u8 = 53;
    const NAME: &'static str = "share of an estate";
    type Key = ShareKey;
}

impl Estate {
    /// What it holds, as a position.
    pub fn position(&self) -> Position {
        Position { size: self.size, cost: self.cost, funding: self.funding, ..Position::default() }
    }
}
