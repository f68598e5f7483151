//! An account's directory of open orders, and its client ids.

use super::Engine;
use crate::command::OrderSelector;
use crate::event::{Order, Refusal};
use crate::ids::{AccountId, OrderId, Size};
use crate::objects::{
    ClientKey, ClientOrder, Directory, DirectoryKey, OrderFlags, OrderKey, OrderPage, OrderRef,
};
use atoll_state::Source;
use atoll_types::RejectCode;

const UNKNOWN: Refusal = Refusal::new(
    RejectCode::UnknownOrder,
    "this account has no such open order: it was never placed, was cancelled or filled",
);

impl<S: Source> Engine<'_, S> {
    /// The lowest free slot.
    pub(crate) fn free_slot(&mut self, account: AccountId) -> Result<u32, Refusal> {
        let full = Refusal::new(
            RejectCode::TooManyOrders,
            "the account has as many open orders as it may; cancel one first",
        );
        let limit = self.rules.spec().limits.orders_per_account;
        for stretch in 0..Directory::stretches(limit) {
            let directory = self.state.directories.get(&DirectoryKey { account, stretch });
            let Some(page) = directory.free_page(stretch) else { continue };
            let (key, _) = OrderPage::of(account, page * OrderPage::SLOTS);
            let place = self.state.orders.get(&key).free().unwrap_or(0) as u32;
            let slot = page * OrderPage::SLOTS + place;
            return if slot < limit { Ok(slot) } else { Err(full) };
        }
        Err(full)
    }

    /// Finds an open order of an account.
    pub(crate) fn find(
        &mut self,
        account: AccountId,
        target: &OrderSelector,
    ) -> Result<OrderRef, Refusal> {
        let order = match target {
            OrderSelector::Order(order) => *order,
            OrderSelector::Client(client_id) => {
                let key = ClientKey { account, client_id: *client_id };
                self.state.clients.get(&key).order
            }
        };
        if order.0 == 0 {
            return Err(UNKNOWN);
        }
        self.listed(account, order).ok_or(UNKNOWN)
    }

    /// An order by its number.
    pub(crate) fn listed(&mut self, account: AccountId, order: OrderId) -> Option<OrderRef> {
        let (key, place) = OrderPage::of(account, order.slot());
        self.state.orders.get(&key).get(place, order).copied()
    }

    /// Enters an order into its slot.
    pub(crate) fn list(&mut self, account: AccountId, order: OrderRef) {
        let (key, place) = OrderPage::of(account, order.order.slot());
        let page = self.state.orders.get_mut(&key);
        page.put(place, order);
        let now = page.used_and_full();
        self.mark(account, key.page, now);
        if let Some(client_id) = order.client_id {
            let key = ClientKey { account, client_id };
            self.state.clients.set(&key, ClientOrder { order: order.order });
        }
    }

    /// Changes what a slot says of its order.
    pub(crate) fn relist(&mut self, account: AccountId, order: OrderRef) {
        let (key, place) = OrderPage::of(account, order.order.slot());
        self.state.orders.get_mut(&key).put(place, order);
    }

    /// Takes an order out of its slot.
    pub(crate) fn unlist(&mut self, account: AccountId, order: &OrderRef) {
        let (key, place) = OrderPage::of(account, order.order.slot());
        let page = self.state.orders.get_mut(&key);
        page.clear(place);
        let now = page.used_and_full();
        self.mark(account, key.page, now);
        if let Some(client_id) = order.client_id {
            self.state.clients.remove(&ClientKey { account, client_id });
        }
        if order.flags.has(OrderFlags::EXTRA) {
            self.state.extras.remove(&OrderKey(order.order));
        }
    }

    fn mark(&mut self, account: AccountId, page: u32, now: (bool, bool)) {
        let directories = &mut self.state.directories;
        let handle = directories.handle(&DirectoryKey { account, stretch: (page / 64) as u8 });
        if directories.at(handle).get(page) != now {
            directories.at_mut(handle).set(page, now.0, now.1);
        }
    }
}

/// The order as events tell it.
pub(crate) fn told(account: AccountId, order: &OrderRef, remaining: Size) -> Order {
    Order {
        order: order.order,
        account,
        market: order.market,
        side: order.side,
        price: order.price,
        size: order.size,
        remaining,
        tif: order.tif,
        reduce_only: order.reduce_only,
        client_id: order.client_id,
        time_us: order.time_us,
        trigger: None,
    }
}
