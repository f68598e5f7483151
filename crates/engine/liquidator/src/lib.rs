//! Finds accounts and isolated positions that can be liquidated, without looking at the others.
mod index;
mod ladder;
mod motion;
mod split;

use atoll_exchange::{AccountId, MarketId};

pub use index::Liquidator;

/// What can be liquidated: an account's cross margin, or one of its isolated positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit {
    /// Whose.
    pub account: AccountId,
    /// The market of the isolated position; none for the cross account.
    pub market: Option<MarketId>,
}

/// What a look at the exchange came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Units that can be liquidated.
    pub liquidatable: usize,
    /// How many were known before.
    pub before: usize,
    /// Accounts that were looked at exactly.
    pub looked_at: usize,
    /// Accounts that commands had touched, among them.
    pub touched: usize,
    /// Bounds read, in a row, to find the others.
    pub read: usize,
    /// Accounts beyond an inner bound that have enough left, and may wait for new ones.
    pub waiting: usize,
}

/// What the index holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Accounts.
    pub accounts: usize,
    /// Bounds, those no longer in force included.
    pub entries: usize,
    /// Accounts that are looked at at every tick.
    pub watched: usize,
    /// Memory, in bytes.
    pub bytes: usize,
}
