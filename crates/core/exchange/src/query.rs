//! Queries of a node: they look without recording, so they are no part of a state transition.

use crate::event::Order;
use crate::exchange::Exchange;
use crate::ids::{AccountId, Amount, AssetId, ClientId, MarketId, OrderId, Price, Side, Size};
use crate::margin::{Margin, MarginSum};
use crate::objects::{
    Account, AccountKey, AddressKey, BalanceKey, BookId, BookTop, ChunkKey, ClientKey, Directory,
    DirectoryKey, Global, GlobalKey, GroupKey, LevelKey, MarketKey, MarketPrices, OrderExtra,
    OrderKey, OrderPage, OrderPageKey, OrderRef, Position, PositionGroup, SpotBalance,
};
use alloc::vec::Vec;
use atoll_state::ordered::PageKey;
use atoll_state::{Page, Source, Table};
use atoll_types::{Address, Encode};

/// A price level as the public sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelView {
    /// Price in ticks.
    pub price: Price,
    /// Open size in lots.
    pub size: u128,
    /// Orders.
    pub count: u32,
}

/// A position as its owner sees it. An entry price is `cost / size`, for display only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionView {
    /// The market.
    pub market: MarketId,
    /// Size, cost and open orders.
    pub position: Position,
    /// The mark in ticks.
    pub mark: Price,
    /// Signed value at the mark, in quote units.
    pub value: Amount,
    /// Value less cost.
    pub unrealised: Amount,
    /// The position's own part of the initial requirement, reserves included.
    pub initial: Amount,
    /// The position's own part of the maintenance requirement.
    pub maintenance: Amount,
    /// The leverage in force.
    pub leverage: u8,
}

impl<S: Source> Exchange<S> {
    /// The account of an address.
    pub fn peek_account(&self, address: &Address) -> Option<AccountId> {
        let entry = self.state.addresses.peek(&AddressKey(*address))?;
        entry.number.checked_sub(1).map(AccountId)
    }

    /// An account's address and collateral.
    pub fn peek_owner(&self, account: AccountId) -> Option<&Account> {
        self.state.accounts.peek(&AccountKey(account))
    }

    /// Counters and time.
    pub fn peek_global(&self) -> Global {
        self.state.global.peek(&GlobalKey).copied().unwrap_or_default()
    }

    /// Best prices, last trade and open interest of a market.
    pub fn peek_top(&self, market: MarketId) -> BookTop {
        self.state.tops.peek(&MarketKey(market)).copied().unwrap_or_default()
    }

    /// Mark and oracle of a market.
    pub fn peek_prices(&self, market: MarketId) -> MarketPrices {
        self.state.prices.peek(&MarketKey(market)).copied().unwrap_or_default()
    }

    /// A spot balance.
    pub fn peek_balance(&self, account: AccountId, asset: AssetId) -> SpotBalance {
        let key = BalanceKey { account, asset };
        self.state.balances.peek(&key).copied().unwrap_or_default()
    }

    /// The best `most` levels of a side, best first.
    pub fn peek_levels(&self, market: MarketId, side: Side, most: usize) -> Vec<LevelView> {
        let book = BookId::new(market, side);
        let mut views = Vec::new();
        let mut next = self.peek_top(market).best(side);
        while let Some(price) = next.filter(|_| views.len() < most) {
            if let Some(level) = self.state.levels.peek(&LevelKey { book, price }) {
                views.push(LevelView { price, size: level.size, count: level.count });
            }
            next = neighbour(&self.state.pages, book, side, price);
        }
        views
    }

    /// All orders of a level, oldest first, at most `most` (an L3 view).
    pub fn peek_queue(
        &self,
        market: MarketId,
        side: Side,
        price: Price,
        most: usize,
    ) -> Vec<(AccountId, OrderId, Size)> {
        let book = BookId::new(market, side);
        let mut queue = Vec::new();
        let mut next = self.state.levels.peek(&LevelKey { book, price }).map_or(0, |l| l.head);
        while let Some(chunk) = next.checked_sub(1).filter(|_| queue.len() < most) {
            let Some(found) = self.state.chunks.peek(&ChunkKey { book, price, chunk }) else {
                break;
            };
            let orders = found.iter().map(|(_, o)| (o.account, o.order, o.size));
            queue.extend(orders.take(most - queue.len()));
            next = found.next;
        }
        queue
    }

    /// The open orders of an account, in order of slots, at most `most`.
    pub fn peek_orders(&self, account: AccountId, most: usize) -> Vec<Order> {
        let limit = self.rules.spec().limits.orders_per_account;
        let pages = (0..Directory::stretches(limit)).flat_map(|stretch| {
            let found = self.state.directories.peek(&DirectoryKey { account, stretch });
            found.into_iter().flat_map(move |directory| directory.pages(stretch))
        });
        let pages =
            pages.filter_map(|page| self.state.orders.peek(&OrderPageKey { account, page }));
        pages.flat_map(OrderPage::iter).take(most).map(|o| self.told(account, o)).collect()
    }

    /// An open order by its number.
    pub fn peek_order(&self, account: AccountId, order: OrderId) -> Option<Order> {
        let (key, place) = OrderPage::of(account, order.slot());
        let listed = self.state.orders.peek(&key)?.get(place, order)?;
        Some(self.told(account, listed))
    }

    /// An open order by the client's identifier.
    pub fn peek_client_order(&self, account: AccountId, client_id: ClientId) -> Option<Order> {
        let found = self.state.clients.peek(&ClientKey { account, client_id })?;
        self.peek_order(account, found.order)
    }

    /// Expiry and hidden part of an open order.
    pub fn peek_extra(&self, order: OrderId) -> OrderExtra {
        self.state.extras.peek(&OrderKey(order)).copied().unwrap_or_default()
    }

    fn told(&self, account: AccountId, listed: &OrderRef) -> Order {
        let book = BookId::new(listed.market, listed.side);
        let (key, place) = ChunkKey::of(book, listed.price, listed.sequence);
        let resting = self.state.chunks.peek(&key).and_then(|chunk| chunk.get(place));
        let hidden = if listed.extra { self.peek_extra(listed.order).hidden } else { 0 };
        crate::engine::told(account, listed, resting.map_or(0, |resting| resting.size + hidden))
    }

    /// An account's margin at the current marks.
    pub fn peek_margin(&self, account: AccountId) -> Margin {
        let Some(owner) = self.peek_owner(account) else { return Margin::default() };
        let mut sum = MarginSum::new(&self.rules, owner.collateral, None);
        let groups = owner.markets().chunks(PositionGroup::SLOTS as usize);
        for (group, markets) in (0u8..).zip(groups) {
            let found = self.peek_group(account, group);
            sum.group(group.into(), markets, &found, |market| self.peek_prices(market).mark);
        }
        sum.margin
    }

    fn peek_group(&self, account: AccountId, group: u8) -> PositionGroup {
        let key = GroupKey { account, group };
        self.state.positions.peek(&key).copied().unwrap_or_default()
    }

    /// An account's positions and the markets it has orders in.
    pub fn peek_positions(&self, account: AccountId) -> Vec<PositionView> {
        let Some(owner) = self.peek_owner(account) else { return Vec::new() };
        let mut views = Vec::new();
        for (slot, market) in owner.markets().iter().enumerate() {
            let slots = PositionGroup::SLOTS as usize;
            let position = self.peek_group(account, (slot / slots) as u8).0[slot % slots];
            let Some(rules) = self.rules.market(*market).filter(|_| !position.is_idle()) else {
                continue;
            };
            let mark = self.peek_prices(*market).mark;
            let mut own = Margin::default();
            own.add(rules, &position, mark);
            views.push(PositionView {
                market: *market,
                position,
                mark,
                value: rules.value(mark, position.size),
                unrealised: own.unrealised,
                initial: own.initial(),
                maintenance: own.maintenance(),
                leverage: rules.leverage(&position),
            });
        }
        views
    }
}

/// The next price behind `price` on a side.
fn neighbour<S: Source>(
    pages: &Table<Page, S>,
    book: BookId,
    side: Side,
    price: Price,
) -> Option<Price> {
    let set = book.prices().0;
    let bits = |level: u8, prefix: u64| -> Option<[u64; 4]> {
        pages.peek(&PageKey { set, level, prefix }).map(words)
    };
    let pick = |bits: &[u64; 4], beyond: Option<u8>| -> Option<u8> {
        let has = |bit: &u8| bits[usize::from(*bit >> 6)] >> (*bit & 63) & 1 == 1;
        match (side, beyond) {
            (Side::Sell, None) => (0..=255).find(has),
            (Side::Sell, Some(at)) => (at.checked_add(1)?..=255).find(has),
            (Side::Buy, None) => (0..=255).rev().find(has),
            (Side::Buy, Some(at)) => (0..at).rev().find(has),
        }
    };
    // Up to the first page with a bit behind ours, then down along the nearest bits.
    for level in 0..6u8 {
        let shift = 8 * u32::from(level);
        let prefix = price >> (shift + 8);
        let at = (price >> shift) as u8;
        let Some(bit) = bits(level, prefix).and_then(|bits| pick(&bits, Some(at))) else {
            continue;
        };
        let mut found = prefix << 8 | u64::from(bit);
        for below in (0..level).rev() {
            found = found << 8 | u64::from(pick(&bits(below, found)?, None)?);
        }
        return Some(found);
    }
    None
}

/// A page's bits, read from its encoding: a mask of the words that are not zero, then those.
fn words(page: &Page) -> [u64; 4] {
    let bytes = page.to_bytes();
    let (mask, mut rest) = (bytes[0], &bytes[1..]);
    core::array::from_fn(|word| {
        if mask >> word & 1 == 0 {
            return 0;
        }
        let (head, tail) = rest.split_at(8);
        rest = tail;
        head.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    })
}
