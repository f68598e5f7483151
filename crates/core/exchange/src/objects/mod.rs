//! The objects of the state. Small and local: a place or a cancel rewrites a few of some hundred
//! bytes, never a level, a book or an account's history.
//!
//! | tag | object | key |
//! | --- | --- | --- |
//! | 1 | page of an ordered set (see [`conditional`] for the sets' numbers) | set, level, prefix |
//! | 2 | [`Global`] counters and time | – |
//! | 3 | [`AccountEntry`]: address → number | address |
//! | 4 | [`Account`]: collateral, list of markets | account |
//! | 5 | [`PositionGroup`]: 2 positions | account, group |
//! | 6 | [`SpotBalance`] | account, asset |
//! | 7 | [`Ledger`] | asset |
//! | 8 | [`Directory`]: which of 64 order pages are taken | account, page ≫ 6 |
//! | 9 | [`OrderPage`]: 4 open orders | account, slot ≫ 2 |
//! | 10 | [`ClientOrder`] | account, client id |
//! | 11 | [`BookTop`]: best prices, last trade, open interest | market |
//! | 12 | [`MarketPrices`]: mark and oracle | market |
//! | 13 | [`Level`] | market, side, price |
//! | 14 | [`OrderChunk`]: 8 resting orders | market, side, price, sequence ≫ 3 |
//! | 15 | [`OrderExtra`]: expiry, iceberg | order |
//! | 16 | [`Settlement`]: closed positions of a settled market | market |
//! | 60 | [`ListingHead`]: how many markets were listed | – |
//! | 61 | [`ListedMarket`] | market |
//! | 50 | [`Cooldown`] after a liquidation in part | account |
//! | 51 | [`LiquidationWindow`]: work of liquidations | – |
//! | 52 | [`Estate`]: what bankrupt accounts left | market, side |
//! | 53 | [`Share`]: what a winner gave to an estate | market, side, account |
//! | 20 | [`TriggerOrder`] | order |
//! | 21 | [`Link`]: parent, children and sibling of an order | order |
//! | 22 | [`TriggerTop`]: nearest triggers and fronts | market |
//! | 23 | [`DueEntry`] | order, TWAP or command |
//! | 24 | [`DueHead`]: when something is due next | – |
//! | 25 | [`Twap`] | TWAP |
//! | 26 | [`CancelSchedule`] | account |
//! | 27 | [`Attached`]: triggers that end with a position | account, market |
//! | 28 | [`TwapList`] | account |
//! | 40 | [`Holdings`]: collateral besides the collateral asset | account |
//! | 41 | [`IsolatedMargin`] | account, position slot |
//! | 42 | [`BorrowIndex`]: interest of an asset | asset |
//! | 30 | [`OracleSources`]: what each source told last | market |
//! | 31 | [`Averages`] of basis and book | market |
//! | 32 | [`FundingHour`]: premium samples of the running hour | market |
//! | 33 | [`Volatility`] of the mark | market |
//! | 34 | [`Guard`]: sanity bounds at work | market |
//! | 35 | [`Auction`] | market |
//!
//! # Bytes
//! A key is its object's tag, a byte, and the fields of the key in the order given. A value is the
//! object's fields in the order given, where the object does not say otherwise. Numbers are varints
//! (groups of seven bits, lowest first, all but the last with the eighth bit set) in their shortest
//! form, signed ones zigzag; 8-bit numbers, booleans and enums are a byte; addresses and client ids
//! stand as they are. An object that equals its default has no leaf.
//!
//! The objects of books and directories are a function of the open orders, of the numbers that
//! orders got in their levels ([`Level::next`]), of what was traded ([`BookTop`]) and of position
//! slots ([`OrderRef::position`]). `tests/common/naive` writes them a second time from this page and
//! compares the bytes.
//!
//! An order page holds 4 references, a position group 2 positions and an order chunk 8 orders: the
//! largest objects that a place rewrites. Their size is what a first write copies, what a seal
//! encodes and what the trie hashes, and most accounts and levels have few orders.

mod account;
mod book;
mod collateral;
pub mod conditional;
mod directory;
mod ledger;
mod liquidation;
mod listing;
mod market;
mod prices;

pub use account::{
    Account, AccountEntry, AccountKey, AddressKey, BalanceKey, Global, GlobalKey, GroupKey,
    Position, PositionGroup, SpotBalance,
};
pub use book::{BookId, ChunkKey, Level, LevelKey, OrderChunk, RestingOrder};
pub use collateral::{BorrowIndex, BorrowKey, Holding, Holdings, IsolatedKey, IsolatedMargin};
pub use conditional::{
    Attached, AttachedKey, CancelSchedule, DueEntry, DueHead, DueKind, Front, Link, OrderFlags,
    TriggerOrder, TriggerTop, Twap, TwapList,
};
pub use directory::{
    ClientKey, ClientOrder, Directory, DirectoryKey, OrderExtra, OrderKey, OrderPage, OrderPageKey,
    OrderRef,
};
pub use ledger::{Ledger, LedgerKey};
pub use liquidation::{Cooldown, Estate, EstateKey, LiquidationWindow, Phase, Share, ShareKey};
pub(crate) use liquidation::{holders, ranking};
pub use listing::{Listed, ListedMarket, ListingHead};
pub use market::{BookTop, MarketKey, MarketPrices, Settlement};
pub use prices::{
    Auction, Average, Averages, FundingHour, Guard, Imposed, OracleSources, SourcePrice,
    Volatility, Walk,
};

use crate::headroom::Headroom;
use atoll_state::{Page, Source, Table, TableVisitor, Tables};

/// The state of an exchange: its tables.
#[derive(Debug, Default)]
pub struct State<S: Source> {
    /// Price levels, as ordered sets.
    pub pages: Table<Page, S>,
    /// Counters and time.
    pub global: Table<Global, S>,
    /// Address → account number.
    pub addresses: Table<AccountEntry, S>,
    /// Accounts.
    pub accounts: Table<Account, S>,
    /// Positions.
    pub positions: Table<PositionGroup, S>,
    /// Spot balances.
    pub balances: Table<SpotBalance, S>,
    /// What came in, went out, was charged and rounded.
    pub ledgers: Table<Ledger, S>,
    /// Which directory slots are taken.
    pub directories: Table<Directory, S>,
    /// Open orders by account.
    pub orders: Table<OrderPage, S>,
    /// Client ids of open orders.
    pub clients: Table<ClientOrder, S>,
    /// Tops of books.
    pub tops: Table<BookTop, S>,
    /// Marks and oracle prices.
    pub prices: Table<MarketPrices, S>,
    /// Price levels.
    pub levels: Table<Level, S>,
    /// Resting orders.
    pub chunks: Table<OrderChunk, S>,
    /// What few resting orders have.
    pub extras: Table<OrderExtra, S>,
    /// Closed positions of settled markets.
    pub settlements: Table<Settlement, S>,
    /// Cool-downs after liquidations in part.
    pub cooldowns: Table<Cooldown, S>,
    /// The work of liquidations.
    pub liquidations: Table<LiquidationWindow, S>,
    /// What bankrupt accounts left.
    pub estates: Table<Estate, S>,
    /// What winners gave to them.
    pub shares: Table<Share, S>,
    /// Trigger orders.
    pub triggers: Table<TriggerOrder, S>,
    /// What ties orders to others.
    pub links: Table<Link, S>,
    /// Nearest triggers and fronts.
    pub trigger_tops: Table<TriggerTop, S>,
    /// The due queue.
    pub due: Table<DueEntry, S>,
    /// When something is due next.
    pub due_head: Table<DueHead, S>,
    /// TWAPs.
    pub twaps: Table<Twap, S>,
    /// Scheduled cancels.
    pub schedules: Table<CancelSchedule, S>,
    /// Triggers that end with a position.
    pub attached: Table<Attached, S>,
    /// TWAPs by account.
    pub twap_lists: Table<TwapList, S>,
    /// Collateral besides the collateral asset.
    pub holdings: Table<Holdings, S>,
    /// Margin of isolated positions.
    pub isolated: Table<IsolatedMargin, S>,
    /// Interest by asset.
    pub borrow: Table<BorrowIndex, S>,
    /// What oracle sources told last.
    pub sources: Table<OracleSources, S>,
    /// Averages of basis and book.
    pub averages: Table<Averages, S>,
    /// Premium samples of the running hour.
    pub funding: Table<FundingHour, S>,
    /// Volatility of marks.
    pub volatility: Table<Volatility, S>,
    /// Sanity bounds at work.
    pub guards: Table<Guard, S>,
    /// Auctions.
    pub auctions: Table<Auction, S>,
    /// What this node remembers of accounts' margins; in no root and in no witness.
    pub(crate) headroom: Headroom,
    /// What was listed.
    pub listing_head: Table<ListingHead, S>,
    /// Markets that were listed.
    pub listings: Table<ListedMarket, S>,
}

impl<S: Source> State<S> {
    /// An empty state; `seed` keys the in-memory indexes and never changes results.
    pub fn new(seed: u64) -> Self {
        Self {
            pages: Table::new(seed),
            global: Table::new(seed),
            addresses: Table::new(seed),
            accounts: Table::new(seed),
            positions: Table::new(seed),
            balances: Table::new(seed),
            ledgers: Table::new(seed),
            directories: Table::new(seed),
            orders: Table::new(seed),
            clients: Table::new(seed),
            tops: Table::new(seed),
            prices: Table::new(seed),
            levels: Table::new(seed),
            chunks: Table::new(seed),
            extras: Table::new(seed),
            settlements: Table::new(seed),
            cooldowns: Table::new(seed),
            liquidations: Table::new(seed),
            estates: Table::new(seed),
            shares: Table::new(seed),
            triggers: Table::new(seed),
            links: Table::new(seed),
            trigger_tops: Table::new(seed),
            due: Table::new(seed),
            due_head: Table::new(seed),
            twaps: Table::new(seed),
            schedules: Table::new(seed),
            attached: Table::new(seed),
            twap_lists: Table::new(seed),
            holdings: Table::new(seed),
            isolated: Table::new(seed),
            borrow: Table::new(seed),
            sources: Table::new(seed),
            averages: Table::new(seed),
            funding: Table::new(seed),
            volatility: Table::new(seed),
            guards: Table::new(seed),
            auctions: Table::new(seed),
            headroom: Headroom::default(),
            listing_head: Table::new(seed),
            listings: Table::new(seed),
        }
    }
}

impl<S: Source> Tables<S> for State<S> {
    fn visit(&mut self, visitor: &mut impl TableVisitor<S>) {
        self.visit_headroom(visitor.purpose());
        visitor.visit(&mut self.pages);
        visitor.visit(&mut self.global);
        visitor.visit(&mut self.addresses);
        visitor.visit(&mut self.accounts);
        visitor.visit(&mut self.positions);
        visitor.visit(&mut self.balances);
        visitor.visit(&mut self.ledgers);
        visitor.visit(&mut self.directories);
        visitor.visit(&mut self.orders);
        visitor.visit(&mut self.clients);
        visitor.visit(&mut self.tops);
        visitor.visit(&mut self.prices);
        visitor.visit(&mut self.levels);
        visitor.visit(&mut self.chunks);
        visitor.visit(&mut self.extras);
        visitor.visit(&mut self.settlements);
        visitor.visit(&mut self.cooldowns);
        visitor.visit(&mut self.liquidations);
        visitor.visit(&mut self.estates);
        visitor.visit(&mut self.shares);
        visitor.visit(&mut self.triggers);
        visitor.visit(&mut self.links);
        visitor.visit(&mut self.trigger_tops);
        visitor.visit(&mut self.due);
        visitor.visit(&mut self.due_head);
        visitor.visit(&mut self.twaps);
        visitor.visit(&mut self.schedules);
        visitor.visit(&mut self.attached);
        visitor.visit(&mut self.twap_lists);
        visitor.visit(&mut self.holdings);
        visitor.visit(&mut self.isolated);
        visitor.visit(&mut self.borrow);
        visitor.visit(&mut self.sources);
        visitor.visit(&mut self.averages);
        visitor.visit(&mut self.funding);
        visitor.visit(&mut self.volatility);
        visitor.visit(&mut self.guards);
        visitor.visit(&mut self.auctions);
        visitor.visit(&mut self.listing_head);
        visitor.visit(&mut self.listings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AccountId, MarketId, OrderId};
    use atoll_types::{Decode, Encode};
    use core::fmt::Debug;

    fn round_trip<T: Encode + Decode + PartialEq + Debug>(value: T) {
        assert_eq!(T::from_bytes(&value.to_bytes()), Ok(value));
    }

    /// What is written in a run of bounded length fits, whatever it is.
    #[test]
    fn the_largest_values_are_encoded() {
        let (account, order) = (AccountId(u32::MAX), OrderId(u64::MAX));
        round_trip(DirectoryKey { account, stretch: u8::MAX });
        round_trip(OrderPageKey { account, page: u32::MAX });
        round_trip(GroupKey { account, group: u8::MAX });
        let book = BookId(u32::MAX);
        round_trip(LevelKey { book, price: u64::MAX });
        round_trip(ChunkKey { book, price: u64::MAX, chunk: u64::MAX });
        let mut directory = Directory::default();
        (0..64).for_each(|page| directory.set(page, true, true));
        round_trip(directory);
        let (count, next, head, tail) = (u32::MAX, u64::MAX, u64::MAX, u64::MAX);
        round_trip(Level { size: u128::MAX, hidden: u128::MAX, count, next, head, tail });
        let mut chunk = OrderChunk::default();
        (chunk.prev, chunk.next) = (u64::MAX, u64::MAX);
        let mut page = OrderPage::default();
        for place in 0..8 {
            let resting = RestingOrder { order, account, size: u64::MAX, reduce_only: true };
            chunk.put(place, resting);
        }
        for place in 0..OrderPage::SLOTS as usize {
            page.put(
                place,
                OrderRef {
                    order,
                    market: MarketId(u16::MAX),
                    position: 127,
                    price: u64::MAX,
                    sequence: u64::MAX,
                    size: u64::MAX,
                    time_us: u64::MAX,
                    client_id: Some([255; 16]),
                    ..OrderRef::default()
                },
            );
        }
        round_trip(chunk);
        round_trip(page);
        for amount in [i128::MAX, i128::MIN] {
            let position = Position {
                size: i64::MIN,
                bids: u64::MAX,
                asks: u64::MAX,
                orders: u32::MAX,
                leverage: u8::MAX,
                isolated: true,
                attached: true,
                cost: amount,
                funding: amount,
                bid_notional: amount,
                ask_notional: amount,
            };
            round_trip(PositionGroup([position; PositionGroup::SLOTS as usize]));
        }
    }
}
