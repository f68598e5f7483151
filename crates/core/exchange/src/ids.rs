//! Identifiers and quantities.

use crate::field::{Field, Run, Short, codec, enumeration};
use alloc::vec::Vec;
use atoll_types::codec::{CodecError, Reader};

/// A price in ticks of its market.
pub type Price = u64;
/// A size in lots of its market.
pub type Size = u64;
/// An amount in the smallest unit of its asset.
pub type Amount = i128;
/// A client's own identifier for an order, unique among the account's open orders.
pub type ClientId = [u8; 16];

/// Parts per million.
pub const PPM: u32 = 1_000_000;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub $inner);

        impl Field for $name {
            #[inline]
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }
            fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
                Ok(Self(Field::get(r)?))
            }
        }
        codec!($name);

        impl Short for $name {
            const BYTES_MAX: usize = <$inner as Short>::BYTES_MAX;
            #[inline(always)]
            fn write(&self, run: &mut Run<'_>) {
                self.0.write(run);
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// An account's number, assigned when it is first credited, from 0.
    AccountId(u32)
}
id! {
    /// A market's number: its place in the spec.
    MarketId(u16)
}
id! {
    /// An asset's number: its place in the spec.
    AssetId(u16)
}
id! {
    /// An order's number: `command number << 12 | slot in the account's directory`, so that it is
    /// unique in the environment and finds its place without an index. It stays below 2⁵³ (exact
    /// in JSON numbers) for 2⁴¹ commands.
    OrderId(u64)
}

impl OrderId {
    /// Bits of the directory slot.
    pub const SLOT_BITS: u32 = 12;

    pub(crate) fn new(command: u64, slot: u32) -> Self {
        Self((command << Self::SLOT_BITS) | u64::from(slot))
    }

    /// The number of the command that placed it.
    pub fn command(self) -> u64 {
        self.0 >> Self::SLOT_BITS
    }

    /// The slot in the account's order directory.
    pub fn slot(self) -> u32 {
        (self.0 & ((1 << Self::SLOT_BITS) - 1)) as u32
    }
}

/// Which side of the book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Side {
    /// Buys; rests among the bids.
    #[default]
    Buy = 0,
    /// Sells; rests among the asks.
    Sell = 1,
}
enumeration!(Side: "side" { Buy = 0, Sell = 1 });

impl Side {
    /// The other side.
    pub fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// `size` with the sign of the position that a fill on this side adds.
    pub fn signed(self, size: Size) -> i64 {
        match self {
            Self::Buy => size as i64,
            Self::Sell => -(size as i64),
        }
    }

    /// Whether a taker on this side with this limit trades at `price`.
    pub fn crosses(self, limit: Price, price: Price) -> bool {
        match self {
            Self::Buy => price <= limit,
            Self::Sell => price >= limit,
        }
    }
}

/// How long an order lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Tif {
    /// Good until cancelled: what does not trade at once rests.
    #[default]
    Gtc = 0,
    /// Immediate or cancel: what does not trade at once is cancelled. A market order is one with
    /// an aggressive price.
    Ioc = 1,
    /// Add liquidity only: refused if it would trade at once.
    PostOnly = 2,
    /// Fill or kill: trades in full at once, or is refused.
    Fok = 3,
}
enumeration!(Tif: "time in force" { Gtc = 0, Ioc = 1, PostOnly = 2, Fok = 3 });

impl Tif {
    /// Whether what does not trade at once may rest in the book.
    #[inline]
    pub fn rests(self) -> bool {
        matches!(self, Self::Gtc | Self::PostOnly)
    }
}

/// What a market is doing. Cancels are possible in every status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MarketStatus {
    /// Everything.
    #[default]
    Open = 0,
    /// New orders must be post-only.
    PostOnly = 1,
    /// New orders must be reduce-only.
    ReduceOnly = 2,
    /// No new orders; marks and funding go on.
    CancelOnly = 3,
    /// Orders rest without trading until one price uncrosses them.
    Auction = 4,
    /// No new orders; mark and funding stand still.
    Halted = 5,
    /// Over: the mark is the settlement price, and positions are closed at it.
    Settled = 6,
}
enumeration!(MarketStatus: "market status" {
    Open = 0, PostOnly = 1, ReduceOnly = 2, CancelOnly = 3, Auction = 4, Halted = 5, Settled = 6,
});

/// Where an account keeps an asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Wallet {
    /// Collateral of perpetual positions; the spec's collateral asset only.
    #[default]
    Collateral = 0,
    /// Spot balances, any asset.
    Spot = 1,
}
enumeration!(Wallet: "wallet" { Collateral = 0, Spot = 1 });
