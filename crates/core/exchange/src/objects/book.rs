//! Price levels and the orders that rest in them.

use crate::field::{Field, Run, Short, append, short};
use crate::ids::{AccountId, MarketId, OrderId, Price, Side, Size};
use alloc::vec::Vec;
use atoll_state::{Key, Object, OrderedSet, Page, Source, Table, prefetch};
use atoll_types::codec::{CodecError, Decode, Encode, Reader};

/// One side of a market's book: market × 2 + side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BookId(pub u32);

impl BookId {
    /// The side of a market's book.
    #[inline]
    pub fn new(market: MarketId, side: Side) -> Self {
        Self(u32::from(market.0) << 1 | side as u32)
    }

    /// The prices that have orders.
    #[inline]
    pub fn prices(self) -> OrderedSet {
        OrderedSet(u64::from(self.0))
    }

    /// The next price behind one, on the side that this is.
    #[inline]
    pub fn behind<S: Source>(
        self,
        pages: &mut Table<Page, S>,
        side: Side,
        price: Price,
    ) -> Option<Price> {
        match side {
            Side::Sell => self.prices().first_from(pages, price + 1),
            Side::Buy => price.checked_sub(1).and_then(|at| self.prices().last_to(pages, at)),
        }
    }

    /// As [`Self::behind`], read as [`Table::peek`] does.
    pub fn peek_behind<S: Source>(
        self,
        pages: &Table<Page, S>,
        side: Side,
        price: Price,
    ) -> Option<Price> {
        match side {
            Side::Sell => self.prices().peek_first_from(pages, price + 1),
            Side::Buy => price.checked_sub(1).and_then(|at| self.prices().peek_last_to(pages, at)),
        }
    }
}

impl Field for BookId {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self(Field::get(r)?))
    }
}

impl Short for BookId {
    const BYTES_MAX: usize = u32::BYTES_MAX;
    #[inline(always)]
    fn write(&self, run: &mut Run<'_>) {
        self.0.write(run);
    }
}

/// Finds a price level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LevelKey {
    /// Market and side.
    pub book: BookId,
    /// Price in ticks.
    pub price: Price,
}
short!(LevelKey { book: BookId, price: u64 });
impl Key for LevelKey {}

/// A price level. Its orders lie in chunks by their sequence in the level; the chunks that are
/// not empty are linked in order, so an emptied stretch costs nothing to skip.
///
/// Orders are numbered from 0 as they come; one that leaves, by whatever way, leaves its number
/// unused, and an iceberg that shows its next part leaves and comes again. When the last order leaves,
/// the level is gone with its numbers: the next order begins another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Open size of all orders, in lots, as far as the book shows it.
    pub size: u128,
    /// Open size that icebergs do not show, in lots.
    pub hidden: u128,
    /// Orders.
    pub count: u32,
    /// Sequence of the next order.
    pub next: u64,
    /// First chunk that holds an order, plus one.
    pub head: u64,
    /// Last chunk that holds an order, plus one.
    pub tail: u64,
}
short!(Level {
    size: u128,
    hidden: u128,
    count: u32 as small,
    next: u64 as small,
    head: u64 as small,
    tail: u64 as small,
});
impl Object for Level {
    const TAG: u8 = 13;
    const NAME: &'static str = "price level";
    type Key = LevelKey;
}

/// Finds a chunk of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkKey {
    /// Market and side.
    pub book: BookId,
    /// Price in ticks.
    pub price: Price,
    /// Sequence ≫ 3.
    pub chunk: u64,
}
short!(ChunkKey { book: BookId, price: u64, chunk: u64 as small });
impl Key for ChunkKey {}

impl ChunkKey {
    /// The chunk and the place in it of an order.
    #[inline]
    pub fn of(book: BookId, price: Price, sequence: u64) -> (Self, usize) {
        (Self { book, price, chunk: sequence >> 3 }, (sequence & 7) as usize)
    }
}

/// A resting order, as matching needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestingOrder {
    /// Its number.
    pub order: OrderId,
    /// Whose.
    pub account: AccountId,
    /// Open size in lots, as far as the book shows it; above zero.
    pub size: Size,
    /// Whether it may only make a position smaller.
    pub reduce_only: bool,
}

/// Up to 8 resting orders of one price, oldest first.
///
/// Encoded as a byte with a bit for each place taken (an order's place is its sequence mod 8), the
/// neighbours, and the orders by place: number, account × 2 + whether it only reduces, size shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderChunk {
    /// Which places are taken.
    taken: u8,
    /// The chunk before that holds an order, plus one; 0 for none.
    pub prev: u64,
    /// The chunk after that holds an order, plus one; 0 for none.
    pub next: u64,
    orders: [RestingOrder; 8],
}

impl OrderChunk {
    /// Whether no order is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// The place of the oldest order.
    #[inline]
    pub fn first(&self) -> Option<usize> {
        (self.taken != 0).then(|| self.taken.trailing_zeros() as usize)
    }

    /// The order at a place.
    #[inline]
    pub fn get(&self, place: usize) -> Option<&RestingOrder> {
        self.orders.get(place).filter(|_| self.taken >> place & 1 == 1)
    }

    /// The orders with their places, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &RestingOrder)> {
        (0..8).filter_map(|place| self.get(place).map(|order| (place, order)))
    }

    pub(crate) fn put(&mut self, place: usize, order: RestingOrder) {
        self.taken |= 1 << place;
        self.orders[place] = order;
    }

    pub(crate) fn get_mut(&mut self, place: usize) -> &mut RestingOrder {
        &mut self.orders[place]
    }

    pub(crate) fn clear(&mut self, place: usize) {
        self.taken &= !(1 << place);
        self.orders[place] = RestingOrder::default();
    }
}

impl Encode for OrderChunk {
    fn encode(&self, out: &mut Vec<u8>) {
        append::<{ 1 + 2 * u64::BYTES_MAX }>(out, |run| {
            run.byte(self.taken);
            run.small(self.prev);
            run.small(self.next);
        });
        for (_, order) in self.iter() {
            append::<{ 3 * u64::BYTES_MAX }>(out, |run| {
                order.order.write(run);
                // The flag shares the account's varint.
                run.number(u64::from(order.account.0) << 1 | u64::from(order.reduce_only));
                order.size.write(run);
            });
        }
    }
}

impl Decode for OrderChunk {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut chunk = Self { taken: r.u8()?, ..Self::default() };
        chunk.prev = Field::get(r)?;
        chunk.next = Field::get(r)?;
        for place in 0..8 {
            if chunk.taken >> place & 1 == 1 {
                let order = Field::get(r)?;
                let packed: u64 = Field::get(r)?;
                let account = u32::try_from(packed >> 1).map(AccountId);
                chunk.orders[place] = RestingOrder {
                    order,
                    account: account.map_err(|_| CodecError::Invalid("account number"))?,
                    size: Field::get(r)?,
                    reduce_only: packed & 1 == 1,
                };
            }
        }
        Ok(chunk)
    }
}

impl Object for OrderChunk {
    const TAG: u8 = 14;
    const NAME: &'static str = "order chunk";
    type Key = ChunkKey;

    #[inline]
    fn prefetch(&self) {
        self.orders.iter().step_by(2).for_each(prefetch::line);
    }
}
