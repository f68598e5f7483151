//! Asking the memory for what the next command will touch.
//!
//! Accounts and books are larger than any cache, and a command waits for some ten objects that lie
//! all over them. Whoever knows the next command calls [`Exchange::prefetch`] on it before the one
//! at hand runs, so that the waiting passes meanwhile. It records nothing and changes nothing: see
//! [`atoll_state::prefetch`].

use crate::command::{Command, OrderRequest, OrderSelector};
use crate::exchange::Exchange;
use crate::ids::AccountId;
use crate::objects::{
    AccountKey, BookId, DirectoryKey, GroupKey, LevelKey, OrderPage, OrderPageKey, State,
};
use atoll_state::Source;

impl<S: Source> Exchange<S> {
    /// Asks the memory for what a command will touch, as far as its own words tell.
    #[inline]
    pub fn prefetch(&self, caller: AccountId, command: &Command) {
        match command {
            Command::Place(order) => self.state.prefetch_place(caller, order),
            Command::Cancel(OrderSelector::Order(order)) => {
                self.state.orders.prefetch(&OrderPage::of(caller, order.slot()).0);
                self.state.directories.prefetch(&DirectoryKey { account: caller, stretch: 0 });
            }
            Command::Modify { target: OrderSelector::Order(target), order } => {
                self.state.orders.prefetch(&OrderPage::of(caller, target.slot()).0);
                self.state.prefetch_place(caller, order);
            }
            _ => {}
        }
    }
}

impl<S: Source> State<S> {
    fn prefetch_place(&self, account: AccountId, order: &OrderRequest) {
        let book = BookId::new(order.market, order.side);
        self.levels.prefetch(&LevelKey { book, price: order.price });
        book.prices().prefetch(&self.pages, order.price);
        self.directories.prefetch(&DirectoryKey { account, stretch: 0 });
        self.orders.prefetch(&OrderPageKey { account, page: 0 });
        self.prefetch_margin(account);
    }

    /// What an account's margin is the sum of.
    pub(crate) fn prefetch_margin(&self, account: AccountId) {
        self.accounts.prefetch(&AccountKey(account));
        let there = |group: &u8| self.positions.prefetch(&GroupKey { account, group: *group });
        (0..GroupKey::PER_ACCOUNT).take_while(there).count();
    }
}
