//! What waits: triggers with their index, groups, the due queue, TWAPs and scheduled cancels.
//!
//! # Sets
//! The ordered sets of the exchange share one table of pages. The four highest bits of a set's
//! number say what it is of:
//!
//! | kind | rest of the number | members |
//! | --- | --- | --- |
//! | 0 | market × 2 + side | prices of a book |
//! | 1 | market × 2 + direction | trigger prices |
//! | 2 | (market × 2 + direction) × 2⁴⁰ + trigger price | orders armed at that price |
//! | 3 | 0 | times at which something is due, milliseconds |
//! | 4 | a time | what is due then |
//!
//! So everything that waits for a mark is found in order of price and number, and everything that
//! waits for a time in order of time and number, and a witness proves that nothing comes before.

use crate::conditional::{ATTACHED_MAX, Direction, TWAPS_MAX, Trigger, TwapRequest};
use crate::field::{Field, codec, enumeration, record};
use crate::ids::{AccountId, Amount, MarketId, OrderId, Price, Size};
use crate::objects::{AccountKey, GlobalKey, MarketKey, OrderKey};
use alloc::vec::Vec;
use atoll_state::{Key, Object, OrderedSet};
use atoll_types::codec::{CodecError, Reader};

const KIND: u32 = 60;

/// The prices at which triggers of a market wait.
pub(crate) fn trigger_prices(market: MarketId, direction: Direction) -> OrderedSet {
    OrderedSet(1 << KIND | u64::from(market.0) << 1 | direction as u64)
}

/// The triggers that wait at a price below 2⁴⁰.
pub(crate) fn triggers_at(market: MarketId, direction: Direction, price: Price) -> OrderedSet {
    let book = u64::from(market.0) << 1 | direction as u64;
    OrderedSet(2 << KIND | book << 40 | price & ((1 << 40) - 1))
}

/// The times at which something is due.
pub(crate) const DUE_TIMES: OrderedSet = OrderedSet(3 << KIND);

/// What is due at a time, in milliseconds.
pub(crate) fn due_at(at_ms: u64) -> OrderedSet {
    OrderedSet(4 << KIND | at_ms & ((1 << KIND) - 1))
}

/// What an order of the directory is besides an order in a book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderFlags(u8);

impl OrderFlags {
    /// It waits for a price ([`TriggerOrder`]) and is in no book.
    pub const TRIGGER: Self = Self(1);
    /// It has a parent, children or a sibling ([`Link`]).
    pub const LINKED: Self = Self(2);
    /// It has an entry in the due queue ([`DueEntry`]) that ends it.
    pub const EXPIRES: Self = Self(4);
    /// There is an [`OrderExtra`](crate::objects::OrderExtra) about it.
    pub const EXTRA: Self = Self(8);
    const ALL: u8 = 15;

    /// As four bits.
    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    /// Whether it is an order in a book and no more.
    #[inline]
    pub fn is_plain(self) -> bool {
        self.0 == 0
    }

    /// Whether it has a flag.
    #[inline]
    pub fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    /// With a flag, or without it.
    #[must_use]
    pub fn with(self, flag: Self, set: bool) -> Self {
        if set { Self(self.0 | flag.0) } else { Self(self.0 & !flag.0) }
    }
}

impl Field for OrderFlags {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        out.push(self.0);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let bits = r.u8()?;
        if bits > Self::ALL {
            return Err(CodecError::Invalid("order flags"));
        }
        Ok(Self(bits))
    }
}

/// A trigger order; market, side, size and identifiers are in its owner's directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TriggerOrder {
    /// Whose.
    pub account: AccountId,
    /// When it fires, and as what.
    pub trigger: Trigger,
    /// The part of its size that trades when it fires: less than all while its parent is filling,
    /// and when a sibling filled.
    pub open: Size,
    /// The command in which it was armed.
    pub armed: u64,
}
record!(TriggerOrder { account, trigger, open, armed });
impl Object for TriggerOrder {
    const TAG: u8 = 20;
    const NAME: &'static str = "trigger order";
    type Key = OrderKey;
}

/// What ties an order to others. Numbers are zero for none, and each link is told at both ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The order whose fills arm this one.
    pub parent: OrderId,
    /// The orders that this one's fills arm.
    pub children: [OrderId; 2],
    /// The order that shrinks by what this one fills.
    pub sibling: OrderId,
    /// What a parent has filled, in lots.
    pub filled: Size,
}

impl Link {
    /// Whether it ties the order to nothing any more.
    pub fn is_loose(&self) -> bool {
        let none = OrderId(0);
        self.parent == none && self.sibling == none && self.children == [none; 2]
    }
}

impl Field for Link {
    fn put(&self, out: &mut Vec<u8>) {
        self.parent.put(out);
        self.children.iter().for_each(|child| child.put(out));
        self.sibling.put(out);
        self.filled.put(out);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            parent: Field::get(r)?,
            children: [Field::get(r)?, Field::get(r)?],
            sibling: Field::get(r)?,
            filled: Field::get(r)?,
        })
    }
}
codec!(Link);
impl Object for Link {
    const TAG: u8 = 21;
    const NAME: &'static str = "order link";
    type Key = OrderKey;
}

/// How far a mark has gone and which of the triggers it passed are not due yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Front {
    /// The farthest mark; 0 for no front.
    pub mark: Price,
    /// When it was reached, milliseconds.
    pub at_ms: u64,
    /// The number of the tick that reached it: what is armed later is not the front's.
    pub command: u64,
    /// The price to go on from.
    pub price: Price,
    /// The number to go on from at that price; 0 for the first.
    pub order: OrderId,
}
record!(Front { mark, at_ms, command, price, order });

/// A market's triggers, as a tick needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TriggerTop {
    /// The nearest trigger price in each direction; 0 for none.
    pub nearest: [Price; 2],
    /// The fronts in each direction.
    pub fronts: [Front; 2],
}
impl Field for TriggerTop {
    fn put(&self, out: &mut Vec<u8>) {
        for direction in 0..2 {
            self.nearest[direction].put(out);
            self.fronts[direction].put(out);
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut top = Self::default();
        for direction in 0..2 {
            top.nearest[direction] = Field::get(r)?;
            top.fronts[direction] = Field::get(r)?;
        }
        Ok(top)
    }
}
codec!(TriggerTop);
impl Object for TriggerTop {
    const TAG: u8 = 22;
    const NAME: &'static str = "trigger top";
    type Key = MarketKey;
}

/// What is to be done when something is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum DueKind {
    /// An order in a book ends.
    #[default]
    Expire = 0,
    /// A trigger that was reached is placed.
    Trigger = 1,
    /// A slice of a TWAP is placed.
    Slice = 2,
    /// All orders of an account are cancelled.
    Cancel = 3,
}
enumeration!(DueKind: "due kind" { Expire = 0, Trigger = 1, Slice = 2, Cancel = 3 });

/// An entry of the due queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DueEntry {
    /// Whose.
    pub account: AccountId,
    /// What is to be done.
    pub kind: DueKind,
    /// When, in milliseconds; above zero.
    pub at_ms: u64,
}
record!(DueEntry { account, kind, at_ms });
impl Object for DueEntry {
    const TAG: u8 = 23;
    const NAME: &'static str = "due entry";
    type Key = OrderKey;
}

/// The beginning of the due queue, and whether anything waits for a mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DueHead {
    /// When something is due next, in milliseconds; 0 for never.
    pub next_ms: u64,
    /// Triggers that wait for a mark, in all markets.
    pub armed: u64,
}
record!(DueHead { next_ms, armed });
impl Object for DueHead {
    const TAG: u8 = 24;
    const NAME: &'static str = "due head";
    type Key = GlobalKey;
}

/// A TWAP that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twap {
    /// Whose.
    pub account: AccountId,
    /// What was asked for.
    pub request: TwapRequest,
    /// Lots traded.
    pub filled: Size,
    /// What that cost or brought, in quote units.
    pub notional: Amount,
    /// Time of the tick in which it was placed, microseconds.
    pub time_us: u64,
}
record!(Twap { account, request, filled, notional, time_us });
impl Default for Twap {
    fn default() -> Self {
        let request = TwapRequest {
            market: MarketId(0),
            side: Default::default(),
            size: 0,
            reduce_only: false,
            minutes: 0,
        };
        Self { account: AccountId(0), request, filled: 0, notional: 0, time_us: 0 }
    }
}
impl Object for Twap {
    const TAG: u8 = 25;
    const NAME: &'static str = "twap";
    type Key = OrderKey;
}

/// When all orders of an account are to be cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CancelSchedule {
    /// Its entry in the due queue; 0 for none.
    pub entry: OrderId,
    /// Once it has fired, the tick's number: orders placed later stay.
    pub fired: u64,
    /// Once it has fired, the slot of the directory to go on from.
    pub slot: u32,
    /// Day (UTC) of the latest firing, from the Unix epoch.
    pub day: u64,
    /// Firings on that day.
    pub count: u8,
}
record!(CancelSchedule { entry, fired, slot, day, count });
impl Object for CancelSchedule {
    const TAG: u8 = 26;
    const NAME: &'static str = "cancel schedule";
    type Key = AccountKey;
}

macro_rules! list {
    ($(#[$doc:meta])* $name:ident: $key:ident, $tag:literal, $what:literal, $most:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name(pub Vec<OrderId>);
        impl Field for $name {
            fn put(&self, out: &mut Vec<u8>) {
                (self.0.len() as u64).put(out);
                self.0.iter().for_each(|order| order.put(out));
            }
            fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
                let count = r.length($what, $most as u32)?;
                (0..count).map(|_| Field::get(r)).collect::<Result<_, _>>().map(Self)
            }
        }
        codec!($name);
        impl Object for $name {
            const TAG: u8 = $tag;
            const NAME: &'static str = $what;
            type Key = $key;
        }
    };
}

/// Finds what is attached to a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttachedKey {
    /// Whose.
    pub account: AccountId,
    /// The position's market.
    pub market: MarketId,
}
record!(AttachedKey { account, market });
impl Key for AttachedKey {}

list! {
    /// The trigger orders that end with a position, in the order in which they were placed.
    Attached: AttachedKey, 27, "attached orders", ATTACHED_MAX
}
list! {
    /// An account's TWAPs, in the order in which they were placed.
    TwapList: AccountKey, 28, "list of twaps", TWAPS_MAX
}
