//! Asking the memory for what the next commands will touch.
//!
//! Accounts and books are larger than any cache, and a command waits for some ten objects that lie
//! all over them. Whoever knows the commands that follow calls [`Exchange::prefetch`] on each three,
//! two and one commands before it runs: for what finds the objects that its own words name, for
//! these objects, and for those that they lead to. So the waiting passes meanwhile, and no step
//! waits for what the one before it asked for. It records nothing and changes nothing: see
//! [`atoll_state::prefetch`].

use crate::command::{Command, OrderRequest, OrderSelector};
use crate::exchange::Exchange;
use crate::ids::{AccountId, OrderId};
use crate::objects::{
    AccountKey, BookId, ChunkKey, DirectoryKey, GroupKey, LevelKey, OrderPage, OrderPageKey,
    OrderRef, PositionGroup, State,
};
use atoll_state::Source;

/// How many commands ahead [`Exchange::prefetch`] looks at most.
pub const AHEAD: usize = 3;

impl<S: Source> Exchange<S> {
    /// Asks the memory for what a command will touch; `ahead` is how many commands before it runs,
    /// from [`AHEAD`] down to 1.
    #[inline]
    pub fn prefetch(&self, caller: AccountId, command: &Command, ahead: usize) {
        self.state.prefetch(caller, command, ahead);
    }
}

impl<S: Source> State<S> {
    /// [`Exchange::prefetch`].
    #[inline]
    pub(crate) fn prefetch(&self, caller: AccountId, command: &Command, ahead: usize) {
        match command {
            Command::Place(order) => self.prefetch_place(caller, order, ahead),
            Command::Cancel(OrderSelector::Order(order)) => {
                self.prefetch_cancel(caller, *order, ahead);
            }
            Command::Modify { target: OrderSelector::Order(target), order } => {
                self.prefetch_cancel(caller, *target, ahead);
                self.prefetch_place(caller, order, ahead);
            }
            _ => {}
        }
    }

    fn prefetch_cancel(&self, account: AccountId, order: OrderId, ahead: usize) {
        let (key, place) = OrderPage::of(account, order.slot());
        let directory = DirectoryKey { account, stretch: 0 };
        match ahead {
            1 => {
                let page = self.orders.peek(&key);
                if let Some(listed) = page.and_then(|page| page.get(place, order)) {
                    self.prefetch_resting(account, listed);
                }
            }
            2 => {
                self.orders.prefetch(&key);
                self.directories.prefetch(&directory);
            }
            _ => {
                self.orders.foresee(&key);
                self.directories.foresee(&directory);
                self.positions.foresee(&GroupKey { account, group: 0 });
                self.headroom.prefetch(account);
            }
        }
    }

    /// What a cancel of a listed order touches.
    pub(crate) fn prefetch_resting(&self, account: AccountId, listed: &OrderRef) {
        let OrderRef { market, side, price, sequence, .. } = *listed;
        let book = BookId::new(market, side);
        self.chunks.prefetch(&ChunkKey::of(book, price, sequence).0);
        self.levels.prefetch(&LevelKey { book, price });
        let group = listed.position / PositionGroup::SLOTS as u8;
        self.positions.prefetch(&GroupKey { account, group });
        book.prices().prefetch(&self.pages, price);
    }

    fn prefetch_place(&self, account: AccountId, order: &OrderRequest, ahead: usize) {
        let (book, price) = (BookId::new(order.market, order.side), order.price);
        let level = LevelKey { book, price };
        let directory = DirectoryKey { account, stretch: 0 };
        let page = OrderPageKey { account, page: 0 };
        match ahead {
            1 => {
                if let Some(level) = self.levels.peek(&level) {
                    self.chunks.prefetch(&ChunkKey::of(book, price, level.next).0);
                }
                if !self.headroom.knows(account) {
                    return self.prefetch_margin(account);
                }
                let owner = self.accounts.peek(&AccountKey(account));
                if let Some(slot) = owner.and_then(|owner| owner.slot(order.market)) {
                    let group = (slot / PositionGroup::SLOTS) as u8;
                    self.positions.prefetch(&GroupKey { account, group });
                }
            }
            2 => {
                self.accounts.prefetch(&AccountKey(account));
                self.directories.prefetch(&directory);
                self.orders.prefetch(&page);
                self.levels.prefetch(&level);
                book.prices().prefetch(&self.pages, price);
            }
            _ => {
                self.accounts.foresee(&AccountKey(account));
                self.directories.foresee(&directory);
                self.orders.foresee(&page);
                self.levels.foresee(&level);
                self.positions.foresee(&GroupKey { account, group: 0 });
                self.headroom.prefetch(account);
            }
        }
    }

    /// What an account's margin is the sum of, where its headroom is not known.
    pub(crate) fn prefetch_margin(&self, account: AccountId) {
        self.accounts.prefetch(&AccountKey(account));
        if self.headroom.knows(account) {
            return;
        }
        let there = |group: &u8| self.positions.prefetch(&GroupKey { account, group: *group });
        (0..GroupKey::PER_ACCOUNT).take_while(there).count();
    }
}
