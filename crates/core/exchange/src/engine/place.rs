//! Placing an order: every check, then matching, then what remains rests or is cancelled.

use super::{Engine, directory::told};
use crate::command::OrderRequest;
use crate::event::{CancelReason, Event, Placed, Refusal};
use crate::ids::{AccountId, Amount, OrderId, PPM, Price, Size, Tif};
use crate::objects::{
    AccountKey, BookId, ClientKey, DirectoryKey, GroupKey, LevelKey, MarketKey, MarketPrices,
    OrderFlags, OrderPageKey, OrderRef, PositionGroup, RestingOrder,
};
use crate::rules::MarketRules;
use crate::spec::SelfTrade;
use atoll_state::Source;
use atoll_types::RejectCode;

/// An order on its way into the book.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) rules: &'a MarketRules,
    pub(crate) account: AccountId,
    /// As it will be listed if it rests; its sequence is not known yet.
    pub(crate) order: OrderRef,
    pub(crate) remaining: Size,
    pub(crate) filled: Size,
    pub(crate) notional: Amount,
}

impl<S: Source> Engine<'_, S> {
    pub(crate) fn place(
        &mut self,
        account: AccountId,
        request: &OrderRequest,
    ) -> Result<Placed, Refusal> {
        self.place_as(account, request, None)
    }

    /// Places an order; `known` is the number, whose slot is free, and the flags of one that had
    /// waited for a trigger.
    pub(crate) fn place_as(
        &mut self,
        account: AccountId,
        request: &OrderRequest,
        known: Option<(OrderId, OrderFlags)>,
    ) -> Result<Placed, Refusal> {
        let rules = self.market(request.market)?;
        self.prefetch_place(account, request);
        let prices = *self.state.prices.get(&MarketKey(request.market));
        check_form(rules, request, &prices)?;
        if let Some(client_id) = request.client_id
            && self.state.clients.get(&ClientKey { account, client_id }).order.0 != 0
        {
            return Err(Refusal::new(
                RejectCode::DuplicateClientId,
                "an open order has this client id; use another one or cancel that order",
            ));
        }
        // An order that never rests takes no slot; its number is unique by the command's.
        let immediate = request.tif == Tif::Ioc;
        let slot = if immediate || known.is_some() { 0 } else { self.free_slot(account)? };
        let fresh = (OrderId::new(self.command, slot), OrderFlags::default());
        let (order, flags) = known.unwrap_or(fresh);
        let mut incoming = Incoming {
            rules,
            account,
            order: OrderRef {
                order,
                market: request.market,
                side: request.side,
                tif: request.tif,
                reduce_only: request.reduce_only,
                flags,
                position: 0,
                price: request.price,
                sequence: 0,
                size: request.size,
                time_us: self.time_us,
                client_id: request.client_id,
            },
            remaining: request.size,
            filled: 0,
            notional: 0,
        };
        let crosses = self.check_crossing(account, request)?;
        let entry = self.admit(&mut incoming, crosses, prices.mark)?;

        // From here on the command succeeds.
        self.enter(&mut incoming, entry);
        let accepted = told(account, &incoming.order, incoming.remaining);
        self.events.push(Event::Accepted(accepted));
        let stopped = if crosses { self.take(&mut incoming) } else { None };
        let stopped = stopped.or(immediate.then_some(CancelReason::Immediate));
        let mut resting = 0;
        if incoming.remaining > 0 {
            match stopped {
                Some(reason) => {
                    let order = told(account, &incoming.order, incoming.remaining);
                    self.events.push(Event::Cancelled { order, reason });
                }
                None => {
                    self.rest(&mut incoming);
                    resting = incoming.remaining;
                }
            }
        }
        Ok(Placed {
            order: incoming.order.order,
            filled: incoming.filled,
            notional: incoming.notional,
            resting,
        })
    }

    /// Looks up ahead what placing an order touches; see [`atoll_state::Table::prefetch`].
    fn prefetch_place(&self, account: AccountId, request: &OrderRequest) {
        let state = &*self.state;
        let book = BookId::new(request.market, request.side);
        state.levels.prefetch(&LevelKey { book, price: request.price });
        book.prices().prefetch(&state.pages, request.price);
        state.directories.prefetch(&DirectoryKey { account, stretch: 0 });
        state.orders.prefetch(&OrderPageKey { account, page: 0 });
        let Some(owner) = state.accounts.peek(&AccountKey(account)) else { return };
        for group in 0..owner.markets().len().div_ceil(PositionGroup::SLOTS as usize) {
            state.positions.prefetch(&GroupKey { account, group: group as u8 });
        }
    }

    fn rest(&mut self, incoming: &mut Incoming<'_>) {
        let order = &mut incoming.order;
        let resting = RestingOrder {
            order: order.order,
            account: incoming.account,
            size: incoming.remaining,
            reduce_only: order.reduce_only,
        };
        order.sequence = self.insert(order.market, order.side, order.price, resting);
        self.reserve(incoming);
        self.list(incoming.account, incoming.order);
        let told = told(incoming.account, &incoming.order, incoming.remaining);
        self.events.push(Event::Rested(told));
    }

    /// Whether the order trades at once; refuses it where it must or must not.
    fn check_crossing(
        &mut self,
        account: AccountId,
        request: &OrderRequest,
    ) -> Result<bool, Refusal> {
        let (market, side) = (request.market, request.side);
        let best = self.state.tops.get(&MarketKey(market)).best(side.opposite());
        let Some(price) = best.filter(|best| side.crosses(request.price, *best)) else {
            if request.tif == Tif::Ioc {
                return Err(Refusal::new(
                    RejectCode::NoLiquidity,
                    "there is nothing to trade with at this price; ask for a worse price",
                ));
            }
            return Ok(false);
        };
        if request.tif == Tif::PostOnly {
            return Err(Refusal::new(
                RejectCode::WouldCross,
                "a post-only order would trade at once; place it behind the best price",
            ));
        }
        if self.rules.spec().self_trade == SelfTrade::CancelTaker {
            let front = self.front(market, side.opposite(), price);
            if front.is_some_and(|front| front.order.account == account) {
                return Err(Refusal::new(
                    RejectCode::SelfTrade,
                    "the order would trade with the account's own; cancel that one first",
                ));
            }
        }
        Ok(true)
    }
}

fn check_form(
    rules: &MarketRules,
    request: &OrderRequest,
    prices: &MarketPrices,
) -> Result<(), Refusal> {
    let refuse = |code, message| Err(Refusal::new(code, message));
    let OrderRequest { price, size, .. } = *request;
    if price == 0 {
        return refuse(RejectCode::OffTick, "the price is zero; it must be at least one tick");
    }
    if size == 0 {
        return refuse(RejectCode::OffLot, "the size is zero; it must be at least one lot");
    }
    if price > rules.price_max || size > rules.order_size_max {
        let message = "the price or the size is above the market's maximum; see the spec";
        return refuse(RejectCode::Overflow, message);
    }
    if request.reduce_only && !rules.is_perpetual() {
        let message = "spot markets have no positions to reduce; leave out reduce-only";
        return refuse(RejectCode::Unsupported, message);
    }
    if prices.paused {
        let message = "the market takes no new orders for now; cancels are possible";
        return refuse(RejectCode::MarketPaused, message);
    }
    if prices.mark == 0 {
        if rules.is_perpetual() {
            let message = "the market has no mark price before its first oracle price; wait for it";
            return refuse(RejectCode::NoMark, message);
        }
    } else if outside(rules, price, prices.mark) {
        let message = "the price is too far from the mark; see the market's price band";
        return refuse(RejectCode::PriceBand, message);
    }
    let notional = rules.notional(price, size);
    if notional < rules.notional_min && !request.reduce_only {
        let message = "the order is worth less than the market's minimum; make it larger";
        return Err(Refusal::money(RejectCode::Dust, message, notional, rules.notional_min));
    }
    Ok(())
}

/// Whether a price is outside of the band around the mark.
fn outside(rules: &MarketRules, price: Price, mark: Price) -> bool {
    // Both factors are below 2⁴⁰ and 2²⁷.
    let distance = u128::from(price.abs_diff(mark)) * u128::from(PPM);
    distance > u128::from(mark) * u128::from(rules.price_band_ppm)
}
