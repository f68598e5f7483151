//! An account's open orders: where in the books they are.

use crate::field::{Field, Short, append, record, short};
use crate::ids::{AccountId, ClientId, MarketId, OrderId, Price, Side, Size, Tif};
use crate::objects::OrderFlags;
use crate::spec::ORDERS_BOUND;
use alloc::vec::Vec;
use atoll_state::{Key, Object, prefetch};
use atoll_types::codec::{CodecError, Decode, Encode, Reader};

/// Directory slots that one [`Directory`] object tells of.
pub(crate) const SLOTS: u32 = 64 * OrderPage::SLOTS;

/// Finds a stretch of an account's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DirectoryKey {
    /// Whose.
    pub account: AccountId,
    /// Page ≫ 6.
    pub stretch: u8,
}
short!(DirectoryKey { account: AccountId, stretch: u8 });
impl Key for DirectoryKey {
    #[inline]
    fn dense(&self) -> Option<u32> {
        // Beyond 256 open orders an account's stretches are found by hash.
        (self.stretch == 0).then_some(self.account.0)
    }
}

/// Which of 64 neighbouring pages of an account's directory hold orders, and which have no free
/// slot. Rewritten only when a page becomes empty or full or stops being so. Encoded as two masks:
/// bit n of the first is set if page n of the stretch holds an order, of the second if it holds four.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    used: u64,
    full: u64,
}
short!(Directory { used: u64, full: u64 });

impl Directory {
    /// Stretches that hold so many slots.
    pub fn stretches(slots: u32) -> u8 {
        slots.min(ORDERS_BOUND).div_ceil(SLOTS) as u8
    }

    /// The lowest page with a free slot.
    pub fn free_page(&self, stretch: u8) -> Option<u32> {
        (self.full != u64::MAX).then(|| u32::from(stretch) * 64 + self.full.trailing_ones())
    }

    /// The pages that hold orders, in order.
    pub fn pages(&self, stretch: u8) -> impl Iterator<Item = u32> + use<> {
        let (used, first) = (self.used, u32::from(stretch) * 64);
        (0..64).filter(move |bit| used >> bit & 1 == 1).map(move |bit| first + bit)
    }

    pub(crate) fn get(&self, page: u32) -> (bool, bool) {
        (self.used >> (page % 64) & 1 == 1, self.full >> (page % 64) & 1 == 1)
    }

    pub(crate) fn set(&mut self, page: u32, used: bool, full: bool) {
        let mask = 1u64 << (page % 64);
        self.used = self.used & !mask | if used { mask } else { 0 };
        self.full = self.full & !mask | if full { mask } else { 0 };
    }
}

impl Object for Directory {
    const TAG: u8 = 8;
    const NAME: &'static str = "order directory";
    type Key = DirectoryKey;
}

/// Finds a page of an account's order directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OrderPageKey {
    /// Whose.
    pub account: AccountId,
    /// Slot ≫ 2.
    pub page: u32,
}
short!(OrderPageKey { account: AccountId, page: u32 });
impl Key for OrderPageKey {
    #[inline]
    fn dense(&self) -> Option<u32> {
        // The first pages hold nearly all orders; the rest are found by hash.
        if self.page >= 4 {
            return None;
        }
        self.account.0.checked_mul(4)?.checked_add(self.page)
    }
}

/// An open order, as its owner's directory keeps it. What is still open of it is in the book.
///
/// Encoded as its number; a byte of flags (bits 0 to 3), side (4), whether it only reduces (5) and
/// time in force (6, 7); a byte of position slot and, in the highest bit, whether it has a client id;
/// market, price, sequence, size, time; and the client id if it has one.
///
/// A trigger order, which is in no book, has sequence and position 0, and for a price its limit or
/// else its trigger price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderRef {
    /// Its number; 0 in an empty slot (command numbers begin at 1).
    pub order: OrderId,
    /// The market.
    pub market: MarketId,
    /// Buy or sell.
    pub side: Side,
    /// How long it lives.
    pub tif: Tif,
    /// Whether it may only make a position smaller.
    pub reduce_only: bool,
    /// What it is besides an order in a book.
    pub flags: OrderFlags,
    /// Slot of the position in its market; 0 for spot. A market without one gets the lowest whose
    /// market has no position, no order in a book, no chosen leverage and no isolated margin, or else
    /// a new one; it keeps it until another market takes it over in the same way.
    pub position: u8,
    /// Limit price in ticks.
    pub price: Price,
    /// Sequence in the price level.
    pub sequence: u64,
    /// Size as accepted, in lots.
    pub size: Size,
    /// Time of the tick in which it was placed, microseconds.
    pub time_us: u64,
    /// The client's own identifier.
    pub client_id: Option<ClientId>,
}

impl OrderRef {
    /// What of its encoding has two bytes: its small fields, and whether it has a client id.
    fn packed(&self) -> [u8; 2] {
        let first = self.flags.bits() | (self.side as u8) << 4 | (self.tif as u8) << 6;
        let client = u8::from(self.client_id.is_some()) << 7;
        [first | u8::from(self.reduce_only) << 5, self.position | client]
    }

    fn put(&self, out: &mut Vec<u8>) {
        append::<{ 2 + u16::BYTES_MAX + 5 * u64::BYTES_MAX }>(out, |run| {
            self.order.write(run);
            run.pair(self.packed());
            self.market.write(run);
            self.price.write(run);
            run.small(self.sequence);
            self.size.write(run);
            self.time_us.write(run);
        });
        if let Some(client_id) = &self.client_id {
            out.extend_from_slice(client_id);
        }
    }

    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let order = Field::get(r)?;
        let [first, second] = r.array()?;
        Ok(Self {
            order,
            side: part(first >> 4 & 1)?,
            reduce_only: part(first >> 5 & 1)?,
            tif: part(first >> 6)?,
            flags: part(first & 15)?,
            position: second & 0x7f,
            market: Field::get(r)?,
            price: Field::get(r)?,
            sequence: Field::get(r)?,
            size: Field::get(r)?,
            time_us: Field::get(r)?,
            client_id: if second >> 7 == 1 { Some(r.array()?) } else { None },
        })
    }
}

/// A small field by its bits.
fn part<T: Field>(bits: u8) -> Result<T, CodecError> {
    T::get(&mut Reader::new(&[bits]))
}

/// The key of what is found by an order's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OrderKey(pub OrderId);
impl Encode for OrderKey {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
}
impl Decode for OrderKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self(Field::get(r)?))
    }
}
impl Key for OrderKey {}

/// What few resting orders have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderExtra {
    /// When it is cancelled, microseconds; 0 for never.
    pub expires_us: u64,
    /// Iceberg: how much the book shows at a time, in lots; 0 for all of it.
    pub display: Size,
    /// Iceberg: what is open and not shown, in lots.
    pub hidden: Size,
}
record!(OrderExtra { expires_us, display, hidden });
impl Object for OrderExtra {
    const TAG: u8 = 15;
    const NAME: &'static str = "order extra";
    type Key = OrderKey;
}

/// Neighbouring slots of an account's order directory. A new order gets the account's lowest free
/// slot, which is part of its number, and keeps it while it is open.
///
/// Encoded as a byte with a bit for each slot taken, and the orders by slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderPage {
    taken: u8,
    refs: [OrderRef; OrderPage::SLOTS as usize],
}

impl OrderPage {
    /// Slots in a page.
    pub const SLOTS: u32 = 4;
    const FULL: u8 = (1 << Self::SLOTS) - 1;

    /// Page and place of a directory slot.
    #[inline]
    pub fn of(account: AccountId, slot: u32) -> (OrderPageKey, usize) {
        (OrderPageKey { account, page: slot / Self::SLOTS }, (slot % Self::SLOTS) as usize)
    }

    /// The order with this number, if it is at this place.
    #[inline]
    pub fn get(&self, place: usize, order: OrderId) -> Option<&OrderRef> {
        self.refs.get(place).filter(|found| self.taken >> place & 1 == 1 && found.order == order)
    }

    /// The orders, in order of slots.
    pub fn iter(&self) -> impl Iterator<Item = &OrderRef> {
        self.refs.iter().enumerate().filter(|(i, _)| self.taken >> i & 1 == 1).map(|(_, r)| r)
    }

    /// The lowest free place.
    #[inline]
    pub fn free(&self) -> Option<usize> {
        (self.taken != Self::FULL).then(|| self.taken.trailing_ones() as usize)
    }

    /// Whether no order is left, and whether no slot is.
    #[inline]
    pub fn used_and_full(&self) -> (bool, bool) {
        (self.taken != 0, self.taken == Self::FULL)
    }

    pub(crate) fn put(&mut self, place: usize, order: OrderRef) {
        self.taken |= 1 << place;
        self.refs[place] = order;
    }

    /// The order with this number, to change it.
    pub(crate) fn get_mut(&mut self, place: usize, order: OrderId) -> Option<&mut OrderRef> {
        let taken = self.taken;
        self.refs.get_mut(place).filter(|found| taken >> place & 1 == 1 && found.order == order)
    }

    pub(crate) fn clear(&mut self, place: usize) {
        self.taken &= !(1 << place);
        self.refs[place] = OrderRef::default();
    }
}

impl Encode for OrderPage {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.taken);
        self.iter().for_each(|order| order.put(out));
    }
}

impl Decode for OrderPage {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut page = Self { taken: r.u8()?, ..Self::default() };
        if page.taken > Self::FULL {
            return Err(CodecError::Invalid("order page mask"));
        }
        for place in 0..Self::SLOTS as usize {
            if page.taken >> place & 1 == 1 {
                page.refs[place] = OrderRef::get(r)?;
            }
        }
        Ok(page)
    }
}

impl Object for OrderPage {
    const TAG: u8 = 9;
    const NAME: &'static str = "order page";
    type Key = OrderPageKey;

    #[inline]
    fn prefetch(&self) {
        self.refs.iter().for_each(prefetch::line);
    }
}

/// Finds an open order by the client's identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientKey {
    /// Whose.
    pub account: AccountId,
    /// The client's identifier.
    pub client_id: ClientId,
}
record!(ClientKey { account, client_id });
impl Key for ClientKey {}

/// The open order with a client's identifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientOrder {
    /// Its number; 0 for none.
    pub order: OrderId,
}
record!(ClientOrder { order });
impl Object for ClientOrder {
    const TAG: u8 = 10;
    const NAME: &'static str = "client order id";
    type Key = ClientKey;
}
