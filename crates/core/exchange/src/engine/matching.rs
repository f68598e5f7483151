//! Matching: price-time priority, one resting order at a time.
//!
//! A taker walks a bounded number of steps. At each it meets the oldest order of the best level,
//! which is, in this order: expired (cancelled), of the taker's own account (self-trade policy),
//! without anything left to reduce (cancelled), without the margin for this fill (cancelled), or
//! else its counterparty. Whatever was taken out of the way was part of the plan that the taker's
//! margin was checked for, so the rest is checked again, at its limit.

use super::{Engine, Incoming, Resting, directory::told, invariant};
use crate::event::{CancelReason, Event, Fill, Party, ResizeReason};
use crate::ids::{AccountId, Price, Side, Size};
use crate::objects::{MarketKey, OrderExtra, OrderFlags, OrderKey, OrderRef};
use crate::spec::SelfTrade;
use atoll_state::Source;

impl<S: Source> Engine<'_, S> {
    /// Trades an incoming order until it is done, nothing crosses, or something stops it; then
    /// gives why.
    pub(crate) fn take(&mut self, incoming: &mut Incoming<'_>) -> Option<CancelReason> {
        let (market, side) = (incoming.order.market, incoming.order.side);
        let limits = &self.rules.spec().limits;
        for _ in 0..limits.fills_per_command {
            if incoming.remaining == 0 {
                return None;
            }
            let best = self.state.tops.get(&MarketKey(market)).best(side.opposite());
            let price = best.filter(|best| side.crosses(incoming.order.price, *best))?;
            let Some(resting) = self.front(market, side.opposite(), price) else {
                invariant::<S>(false, "the best level has no order");
                return None;
            };
            let maker = resting.order.account;
            self.state.prefetch_margin(maker);
            let Some(listed) = self.listed(maker, resting.order.order) else {
                invariant::<S>(false, "a resting order is not in its owner's directory");
                return None;
            };
            let extra = self.extra(&listed);
            if extra.expires_us != 0 && extra.expires_us <= self.time_us {
                self.close(maker, &listed, &resting, CancelReason::Expired);
            } else if maker == incoming.account {
                match self.rules.spec().self_trade {
                    SelfTrade::CancelTaker => return Some(CancelReason::SelfTrade),
                    SelfTrade::CancelMaker => {
                        self.close(maker, &listed, &resting, CancelReason::SelfTrade);
                    }
                    SelfTrade::Decrement => self.decrement(incoming, &listed, &resting),
                }
            } else {
                let open = self.fillable(&resting, &listed);
                let size = open.min(incoming.remaining);
                if size == 0 {
                    self.close(maker, &listed, &resting, CancelReason::ReduceOnly);
                } else if self.maker_covered(&resting, &listed, size) {
                    self.fill(incoming, &resting, &listed, &extra, size, resting.price);
                    continue;
                } else {
                    self.close(maker, &listed, &resting, CancelReason::Margin);
                }
            }
            // The margin check counted on this order's price; what comes next may be worse.
            if incoming.remaining > 0 && !incoming.forced && !self.still_covered(incoming) {
                return Some(CancelReason::Margin);
            }
        }
        (incoming.remaining > 0).then_some(CancelReason::TooManyFills)
    }

    /// What few resting orders have.
    pub(crate) fn extra(&mut self, listed: &OrderRef) -> OrderExtra {
        if !listed.flags.has(OrderFlags::EXTRA) {
            return OrderExtra::default();
        }
        *self.state.extras.get(&OrderKey(listed.order))
    }

    /// Both of an account's orders that met lose the smaller one's size. An iceberg's counts as far
    /// as it shows.
    fn decrement(&mut self, incoming: &mut Incoming<'_>, listed: &OrderRef, resting: &Resting) {
        let by = incoming.remaining.min(resting.order.size);
        let (account, reason) = (incoming.account, CancelReason::SelfTrade);
        let order = &incoming.order;
        if by == incoming.remaining {
            self.events.push(Event::Cancelled { order: told(account, order, by), reason });
        } else {
            let order = told(account, order, incoming.remaining - by);
            self.events.push(Event::Resized { order, reason: ResizeReason::SelfTrade });
        }
        incoming.remaining -= by;
        if by == resting.order.size {
            self.close(account, listed, resting, reason);
        } else {
            self.reduce(account, listed, resting, by, ResizeReason::SelfTrade);
        }
    }

    /// Takes what trades of a resting order out of the book. Gives what an iceberg shows anew; it is
    /// told of behind the fill.
    pub(crate) fn take_out(
        &mut self,
        resting: &Resting,
        listed: &OrderRef,
        extra: &OrderExtra,
        size: Size,
    ) -> Option<Size> {
        if size < resting.order.size {
            self.shrink(resting, size);
        } else if extra.hidden > 0 {
            return Some(self.replenish(resting, listed, extra));
        } else {
            self.remove(resting, 0);
            self.unlist(resting.order.account, listed);
        }
        None
    }

    /// A resting order trades at a price, which is its own but in an auction.
    pub(crate) fn fill(
        &mut self,
        incoming: &mut Incoming<'_>,
        resting: &Resting,
        listed: &OrderRef,
        extra: &OrderExtra,
        size: Size,
        price: Price,
    ) {
        let rules = incoming.rules;
        let maker = resting.order.account;
        let notional = rules.notional(price, size);
        let shown = self.take_out(resting, listed, extra, size);
        incoming.remaining -= size;
        incoming.filled += size;
        incoming.notional += notional;
        // To whoever settles, an order is as large as it is, shown or not.
        let mut whole = resting.at(price);
        whole.order.size += extra.hidden;
        let settled = self.settle(incoming, &whole, listed, size, notional);
        let top = self.state.tops.get_mut(&MarketKey(rules.market));
        top.trades += 1;
        top.last = price;
        top.open_interest = top.open_interest.saturating_add_signed(settled.open_interest);
        let order = &incoming.order;
        self.events.push(Event::Filled(Fill {
            market: rules.market,
            trade: top.trades,
            taker_side: order.side,
            price,
            size,
            notional,
            maker: Party {
                account: maker,
                order: listed.order,
                client_id: listed.client_id,
                size: listed.size,
                remaining: whole.order.size - size,
                fee: settled.maker.fee,
                fee_asset: settled.maker.fee_asset,
                closed_pnl: settled.maker.closed_pnl,
                start_position: settled.maker.start_position,
            },
            taker: Party {
                account: incoming.account,
                order: order.order,
                client_id: order.client_id,
                size: order.size,
                remaining: incoming.remaining,
                fee: settled.taker.fee,
                fee_asset: settled.taker.fee_asset,
                closed_pnl: settled.taker.closed_pnl,
                start_position: settled.taker.start_position,
            },
        }));
        if let Some(shown) = shown {
            self.displayed(listed, shown);
        }
        if !listed.flags.is_plain() | settled.maker.attached | settled.taker.attached {
            self.filled(&whole, listed, incoming, size, &settled);
        }
    }

    /// An iceberg whose shown part has traded shows the next one, at the end of its level.
    fn replenish(&mut self, resting: &Resting, listed: &OrderRef, extra: &OrderExtra) -> Size {
        let shown = extra.display.min(extra.hidden);
        let hidden = extra.hidden - shown;
        self.remove(resting, extra.hidden);
        let order = crate::objects::RestingOrder { size: shown, ..resting.order };
        let sequence = self.insert(listed.market, listed.side, listed.price, order, hidden);
        self.relist(resting.order.account, OrderRef { sequence, ..*listed });
        self.state.extras.get_mut(&OrderKey(listed.order)).hidden = hidden;
        shown
    }

    pub(crate) fn displayed(&mut self, listed: &OrderRef, displayed: Size) {
        let (market, order) = (listed.market, listed.order);
        self.events.push(Event::Displayed { market, order, displayed });
    }

    /// Takes a resting order out of book, reserves and directory.
    pub(crate) fn close(
        &mut self,
        account: AccountId,
        listed: &OrderRef,
        resting: &Resting,
        reason: CancelReason,
    ) {
        let hidden = self.extra(listed).hidden;
        let open = resting.order.size + hidden;
        self.remove(resting, hidden);
        self.release(account, listed, open);
        self.unlist(account, listed);
        self.events.push(Event::Cancelled { order: told(account, listed, open), reason });
        if !listed.flags.is_plain() {
            self.ended(account, listed);
        }
    }

    /// Makes a resting order smaller by less than what it shows; it keeps its place.
    pub(crate) fn reduce(
        &mut self,
        account: AccountId,
        listed: &OrderRef,
        resting: &Resting,
        by: Size,
        reason: ResizeReason,
    ) {
        self.shrink(resting, by);
        self.ease(account, listed, by);
        let listed = OrderRef { size: super::less::<S>(listed.size, by), ..*listed };
        self.relist(account, listed);
        let open = resting.order.size - by + self.extra(&listed).hidden;
        self.events.push(Event::Resized { order: told(account, &listed, open), reason });
    }
}

/// Whether a position of this sign gets smaller by a fill on `side`, and by how much at most.
pub(crate) fn reducible(position: i64, side: Side) -> u64 {
    match side {
        Side::Buy => (-position).max(0) as u64,
        Side::Sell => position.max(0) as u64,
    }
}
