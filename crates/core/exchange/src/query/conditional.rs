//! Queries of what waits.

use crate::conditional::TwapView;
use crate::event::Order;
use crate::exchange::Exchange;
use crate::ids::{AccountId, OrderId};
use crate::objects::{AccountKey, OrderKey};
use alloc::vec::Vec;
use atoll_state::Source;

impl<S: Source> Exchange<S> {
    /// The trigger orders that an order's fills arm.
    pub fn peek_children(&self, account: AccountId, order: OrderId) -> Vec<Order> {
        let link = self.state.links.peek(&OrderKey(order)).copied().unwrap_or_default();
        let children = link.children.into_iter().filter(|child| child.0 != 0);
        children.filter_map(|child| self.peek_order(account, child)).collect()
    }

    /// The TWAPs that an account runs, in the order in which they were placed.
    pub fn peek_twaps(&self, account: AccountId) -> Vec<TwapView> {
        let list = self.state.twap_lists.peek(&AccountKey(account));
        let found = |twap: &OrderId| Some(self.state.twaps.peek(&OrderKey(*twap))?.told(*twap));
        list.into_iter().flat_map(|list| &list.0).filter_map(found).collect()
    }

    /// When all of an account's orders will be cancelled, in milliseconds.
    pub fn peek_schedule(&self, account: AccountId) -> Option<u64> {
        let entry = self.state.schedules.peek(&AccountKey(account))?.entry;
        self.state.due.peek(&OrderKey(entry)).map(|entry| entry.at_ms).filter(|at| *at != 0)
    }
}
