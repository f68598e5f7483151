//! An account's open orders: where in the books they are.

use super::account::AccountKey;
use crate::field::{Field, record};
use crate::ids::{AccountId, ClientId, MarketId, OrderId, Price, Side, Size, Tif};
use crate::spec::ORDERS_BOUND;
use alloc::vec::Vec;
use atoll_state::{Key, Object};
use atoll_types::codec::{CodecError, Decode, Encode, Reader};

/// Pages an account's directory can have.
pub(crate) const PAGES: u32 = ORDERS_BOUND / OrderPage::SLOTS;
const WORDS: usize = PAGES as usize / 64;

/// Which pages of an account's directory hold orders, and which have no free slot. Rewritten only
/// when a page becomes empty or full or stops being so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    used: [u64; WORDS],
    full: [u64; WORDS],
}

impl Directory {
    /// The lowest page with a free slot.
    pub fn free_page(&self) -> Option<u32> {
        let word = self.full.iter().position(|word| *word != u64::MAX)?;
        Some(word as u32 * 64 + self.full[word].trailing_ones())
    }

    /// The pages that hold orders, in order.
    pub fn pages(&self) -> impl Iterator<Item = u32> + use<> {
        let used = self.used;
        (0..PAGES).filter(move |page| used[*page as usize / 64] >> (page % 64) & 1 == 1)
    }

    pub(crate) fn get(&self, page: u32) -> (bool, bool) {
        let bit = |words: &[u64; WORDS]| words[page as usize / 64] >> (page % 64) & 1 == 1;
        (bit(&self.used), bit(&self.full))
    }

    pub(crate) fn set(&mut self, page: u32, used: bool, full: bool) {
        let at = page as usize / 64;
        let mask = 1u64 << (page % 64);
        self.used[at] = self.used[at] & !mask | if used { mask } else { 0 };
        self.full[at] = self.full[at] & !mask | if full { mask } else { 0 };
    }
}

impl Encode for Directory {
    fn encode(&self, out: &mut Vec<u8>) {
        let words = || self.used.iter().chain(&self.full);
        let mask = words().enumerate().fold(0, |m, (i, w)| m | u16::from(*w != 0) << i);
        out.extend_from_slice(&mask.to_le_bytes());
        for word in words().filter(|word| **word != 0) {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
}

impl Decode for Directory {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mask = r.u16()?;
        let mut directory = Self::default();
        let words = directory.used.iter_mut().chain(&mut directory.full);
        for (i, word) in words.enumerate() {
            if mask >> i & 1 == 1 {
                *word = r.u64()?;
                if *word == 0 {
                    return Err(CodecError::Invalid("directory word"));
                }
            }
        }
        Ok(directory)
    }
}

impl Object for Directory {
    const TAG: u8 = 8;
    const NAME: &'static str = "order directory";
    type Key = AccountKey;
}

/// Finds a page of an account's order directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OrderPageKey {
    /// Whose.
    pub account: AccountId,
    /// Slot ≫ 3.
    pub page: u32,
}
record!(OrderPageKey { account, page });
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
    /// Slot of the position in its market; 0 for spot.
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
record!(OrderRef {
    order,
    market,
    side,
    tif,
    reduce_only,
    position,
    price,
    sequence,
    size,
    time_us,
    client_id,
});

/// Neighbouring slots of an account's order directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderPage {
    taken: u8,
    refs: [OrderRef; OrderPage::SLOTS as usize],
}

impl OrderPage {
    /// Slots in a page.
    pub const SLOTS: u32 = 8;

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
        (self.taken != u8::MAX).then(|| self.taken.trailing_ones() as usize)
    }

    /// Whether no order is left, and whether no slot is.
    #[inline]
    pub fn used_and_full(&self) -> (bool, bool) {
        (self.taken != 0, self.taken == u8::MAX)
    }

    pub(crate) fn put(&mut self, place: usize, order: OrderRef) {
        self.taken |= 1 << place;
        self.refs[place] = order;
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
        for place in 0..Self::SLOTS as usize {
            if page.taken >> place & 1 == 1 {
                page.refs[place] = Field::get(r)?;
            }
        }
        Ok(page)
    }
}

impl Object for OrderPage {
    const TAG: u8 = 9;
    const NAME: &'static str = "order page";
    type Key = OrderPageKey;
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
