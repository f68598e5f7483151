//! Matching: price-time priority, one resting order at a time.

use super::{Engine, Incoming, Resting, directory::told, invariant};
use crate::event::{CancelReason, Event, Fill, Party};
use crate::ids::Side;
use crate::objects::{MarketKey, OrderRef};
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
            let Some(listed) = self.listed(maker, resting.order.order) else {
                invariant::<S>(false, "a resting order is not in its owner's directory");
                return None;
            };
            let skipped = if maker != incoming.account {
                let open = self.fillable(&resting, &listed);
                if open > 0 {
                    let size = open.min(incoming.remaining);
                    self.fill(incoming, &resting, &listed, size);
                    continue;
                }
                CancelReason::ReduceOnly
            } else if self.rules.spec().self_trade == SelfTrade::CancelTaker {
                return Some(CancelReason::SelfTrade);
            } else {
                CancelReason::SelfTrade
            };
            self.close(maker, &listed, &resting, skipped);
            // The margin check counted on this order's price; what comes next may be worse.
            if !self.still_covered(incoming) {
                return Some(CancelReason::Margin);
            }
        }
        (incoming.remaining > 0).then_some(CancelReason::TooManyFills)
    }

    fn fill(
        &mut self,
        incoming: &mut Incoming<'_>,
        resting: &Resting,
        listed: &OrderRef,
        size: u64,
    ) {
        let rules = incoming.rules;
        let notional = rules.notional(resting.price, size);
        let done = size == resting.order.size;
        if done {
            self.remove(resting);
            self.unlist(resting.order.account, listed);
        } else {
            self.shrink(resting, size);
        }
        incoming.remaining -= size;
        incoming.filled += size;
        incoming.notional += notional;
        let settled = self.settle(incoming, resting, listed, size, notional);
        let top = self.state.tops.get_mut(&MarketKey(rules.market));
        top.trades += 1;
        top.last = resting.price;
        top.open_interest = top.open_interest.saturating_add_signed(settled.open_interest);
        let order = &incoming.order;
        self.events.push(Event::Filled(Fill {
            market: rules.market,
            trade: top.trades,
            taker_side: order.side,
            price: resting.price,
            size,
            notional,
            maker: Party {
                account: resting.order.account,
                order: listed.order,
                client_id: listed.client_id,
                size: listed.size,
                remaining: resting.order.size - size,
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
        if !listed.flags.is_plain() | settled.maker.attached | settled.taker.attached {
            self.filled(resting, listed, incoming, size, &settled);
        }
    }

    /// Takes a resting order out of book, reserves and directory.
    pub(crate) fn close(
        &mut self,
        account: crate::ids::AccountId,
        listed: &OrderRef,
        resting: &Resting,
        reason: CancelReason,
    ) {
        self.remove(resting);
        self.release(account, listed, resting.order.size);
        self.unlist(account, listed);
        let order = told(account, listed, resting.order.size);
        self.events.push(Event::Cancelled { order, reason });
        if !listed.flags.is_plain() {
            self.ended(account, listed);
        }
    }
}

/// Whether a position of this sign gets smaller by a fill on `side`, and by how much at most.
pub(crate) fn reducible(position: i64, side: Side) -> u64 {
    match side {
        Side::Buy => (-position).max(0) as u64,
        Side::Sell => position.max(0) as u64,
    }
}
