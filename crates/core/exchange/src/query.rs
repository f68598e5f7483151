//! Queries of a node: they look without recording, so they are no part of a state transition.

mod conditional;

use crate::event::Order;
use crate::exchange::Exchange;
use crate::ids::{AccountId, Amount, AssetId, ClientId, MarketId, OrderId, Price, Side, Size};
use crate::margin::isolated::IsolatedView;
use crate::margin::price::{self, Threshold};
use crate::margin::{Margin, MarginPrices, MarginSum};
use crate::objects::{
    Account, AccountKey, AddressKey, BalanceKey, BookId, BookTop, BorrowKey, ChunkKey, ClientKey,
    Directory, DirectoryKey, Estate, EstateKey, Global, GlobalKey, GroupKey, Holdings, IsolatedKey,
    Ledger, LedgerKey, LevelKey, MarketKey, MarketPrices, OrderExtra, OrderFlags, OrderKey,
    OrderPage, OrderPageKey, OrderRef, Position, PositionGroup, SpotBalance,
};
use alloc::vec::Vec;
use atoll_state::Source;
use atoll_types::Address;

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
    /// Value less cost and the funding due.
    pub unrealised: Amount,
    /// The funding due: what the position pays when it is next touched.
    pub funding_due: Amount,
    /// The position's own part of the initial requirement, reserves included.
    pub initial: Amount,
    /// The position's own part of the maintenance requirement.
    pub maintenance: Amount,
    /// The leverage in force.
    pub leverage: u8,
    /// What the position is worth with its own margin, where it is isolated.
    pub isolated: Option<IsolatedView>,
    /// The mark at which it may be liquidated while all else stays as it is; none if there is none.
    pub liquidation: Option<Price>,
    /// The mark below or above which what stands behind the position is used up.
    pub bankruptcy: Option<Price>,
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

    /// What came in, went out, was charged and rounded, and what the insurance fund has.
    pub fn peek_ledger(&self, asset: AssetId) -> Ledger {
        self.state.ledgers.peek(&LedgerKey(asset)).copied().unwrap_or_default()
    }

    /// What bankrupt accounts left of a market on one side.
    pub fn peek_estate(&self, market: MarketId, side: Side) -> Estate {
        let key = EstateKey(BookId::new(market, side));
        self.state.estates.peek(&key).copied().unwrap_or_default()
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
            next = book.peek_behind(&self.state.pages, side, price);
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
        if listed.flags.has(OrderFlags::TRIGGER) {
            let found = self.state.triggers.peek(&OrderKey(listed.order)).copied();
            return crate::engine::told_trigger(account, listed, &found.unwrap_or_default());
        }
        let book = BookId::new(listed.market, listed.side);
        let (key, place) = ChunkKey::of(book, listed.price, listed.sequence);
        let resting = self.state.chunks.peek(&key).and_then(|chunk| chunk.get(place));
        let hidden = if listed.flags.has(OrderFlags::EXTRA) {
            self.peek_extra(listed.order).hidden
        } else {
            0
        };
        crate::engine::told(account, listed, resting.map_or(0, |resting| resting.size + hidden))
    }

    /// An account's margin at the current marks.
    pub fn peek_margin(&self, account: AccountId) -> Margin {
        self.peek_margin_without(account, None)
    }

    fn peek_margin_without(&self, account: AccountId, slot: Option<u32>) -> Margin {
        let Some(owner) = self.peek_owner(account) else { return Margin::default() };
        let mut sum = MarginSum::new(&self.rules, owner.collateral, slot);
        let groups = owner.markets().chunks(PositionGroup::SLOTS as usize);
        for (group, markets) in (0u8..).zip(groups) {
            let found = self.peek_group(account, group);
            sum.group(group.into(), markets, &found, |market| self.peek_prices(market).margin());
        }
        if owner.has_holdings() {
            sum.hold(&self.peek_holdings(account), |asset| self.peek_interest(asset));
        }
        sum.finish(|market| self.peek_prices(market).oracle)
    }

    /// An account's collateral besides the collateral asset.
    pub fn peek_holdings(&self, account: AccountId) -> Holdings {
        self.state.holdings.peek(&AccountKey(account)).cloned().unwrap_or_default()
    }

    /// What has accrued on a debt of an asset so far.
    pub fn peek_interest(&self, asset: AssetId) -> u128 {
        self.state.borrow.peek(&BorrowKey(asset)).copied().unwrap_or_default().index
    }

    /// The margin of an isolated position, by its slot.
    pub fn peek_isolated_margin(&self, account: AccountId, slot: u8) -> Amount {
        let found = self.state.isolated.peek(&IsolatedKey { account, slot });
        found.copied().unwrap_or_default().margin
    }

    fn peek_group(&self, account: AccountId, group: u8) -> PositionGroup {
        let key = GroupKey { account, group };
        self.state.positions.peek(&key).copied().unwrap_or_default()
    }

    /// An account's positions and the markets it has orders in.
    pub fn peek_positions(&self, account: AccountId) -> Vec<PositionView> {
        let Some(owner) = self.peek_owner(account) else { return Vec::new() };
        let mut views = Vec::new();
        for (slot, market) in (0u8..).zip(owner.markets()) {
            let slots = PositionGroup::SLOTS as u8;
            let position = self.peek_group(account, slot / slots).0[usize::from(slot % slots)];
            let Some(rules) = self.rules.market(*market).filter(|_| !position.is_idle()) else {
                continue;
            };
            let prices = self.peek_prices(*market).margin();
            let mut own = Margin::default();
            own.add(rules, &position, &prices);
            let margin = self.peek_isolated_margin(account, slot);
            let isolated =
                position.isolated.then(|| IsolatedView::new(rules, &position, margin, &prices));
            let [liquidation, bankruptcy] = [Threshold::Liquidation, Threshold::Bankruptcy]
                .map(|threshold| self.threshold(account, slot, &position, &prices, threshold));
            views.push(PositionView {
                market: *market,
                position,
                mark: prices.mark,
                value: rules.value(prices.mark, position.size),
                unrealised: own.unrealised,
                funding_due: position.funding_due(prices.funding).0,
                initial: own.initial(),
                maintenance: own.maintenance(),
                leverage: rules.leverage(&position),
                isolated,
                liquidation,
                bankruptcy,
            });
        }
        views
    }

    /// The mark at which a position reaches a threshold while all else stays as it is.
    fn threshold(
        &self,
        account: AccountId,
        slot: u8,
        position: &Position,
        prices: &MarginPrices,
        threshold: Threshold,
    ) -> Option<Price> {
        let market = *self.peek_owner(account)?.markets().get(usize::from(slot))?;
        let rules = self.rules.market(market)?;
        if position.size == 0 {
            return None;
        }
        if position.isolated {
            let margin = self.peek_isolated_margin(account, slot);
            return price::isolated(rules, position, margin, prices, threshold);
        }
        let reached = |prices: &MarginPrices| {
            let margin = self.peek_margin_at(account, market, prices);
            match threshold {
                Threshold::Liquidation => margin.is_liquidatable(),
                Threshold::Bankruptcy => margin.equity() < 0,
            }
        };
        if rules.inverse {
            return price::search(rules, position, prices, reached);
        }
        let others = self.peek_margin_without(account, Some(slot.into()));
        price::cross(rules, position, &others, prices, threshold)
    }

    /// An account's margin as if a market's prices were others; its oracle price moves with its
    /// mark, because what settles in coin is priced by it.
    fn peek_margin_at(
        &self,
        account: AccountId,
        market: MarketId,
        prices: &MarginPrices,
    ) -> Margin {
        let Some(owner) = self.peek_owner(account) else { return Margin::default() };
        let mut sum = MarginSum::new(&self.rules, owner.collateral, None);
        let groups = owner.markets().chunks(PositionGroup::SLOTS as usize);
        for (group, markets) in (0u8..).zip(groups) {
            let found = self.peek_group(account, group);
            sum.group(group.into(), markets, &found, |other| match other == market {
                true => *prices,
                false => self.peek_prices(other).margin(),
            });
        }
        if owner.has_holdings() {
            sum.hold(&self.peek_holdings(account), |asset| self.peek_interest(asset));
        }
        sum.finish(|other| match other == market {
            true => prices.mark,
            false => self.peek_prices(other).oracle,
        })
    }
}
