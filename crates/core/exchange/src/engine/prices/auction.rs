//! Auctions: orders rest without trading until one price uncrosses them.
//!
//! When the call ends, the price is the one at which most trades; of several, one that leaves the
//! smallest imbalance; of those, the nearest to the mark (the lower of two equally near). Then bids
//! at or above it trade with asks at or below it, all at that price: best price first, then oldest;
//! of two orders that meet, the newer counts as the taker. An account's own orders do not trade
//! with one another: the newer is cancelled. What a level holds, hidden or not, counts for the
//! price; what then turns out to be expired, not to reduce or not to be covered is cancelled, and
//! if the book is still crossed in the end, the same begins again with what is left.
//!
//! Finding the price takes one step a level that trades, uncrossing one a pair of orders. A tick
//! takes as many steps as a command may, in all markets together; where they do not suffice, the
//! market takes cancels only until the following ticks have finished.

use crate::engine::{Engine, Incoming, Resting, invariant};
use crate::event::{CancelReason, Event};
use crate::ids::{AccountId, MarketId, MarketStatus, Price, Side, Size};
use crate::objects::{
    Auction, BookId, BookTop, LevelKey, MarketKey, MarketPrices, OrderExtra, OrderRef, State, Walk,
};
use crate::rules::MarketRules;
use atoll_state::Source;

/// Whether a book is crossed: only one that rests without trading can be.
pub(crate) fn is_crossed(top: &BookTop) -> bool {
    top.bid != 0 && top.ask != 0 && top.bid >= top.ask
}

/// Whether orders trade in this status.
pub(crate) fn trades(status: MarketStatus) -> bool {
    matches!(status, MarketStatus::Open | MarketStatus::PostOnly | MarketStatus::ReduceOnly)
}

/// The range of prices in which a number of lots is left over.
#[derive(Clone, Copy)]
struct Choice {
    low: Price,
    high: Price,
    left: u128,
}

/// The uncrossing price of a finished walk; `below` and `above` are the next levels behind those
/// it stands at, 0 for none.
fn price_of(walk: &Walk, below: Price, above: Price, reference: Price) -> Price {
    let Walk { low, high, bid, ask, .. } = *walk;
    let nearest = |choice: &Choice| reference.clamp(choice.low, choice.high);
    // Between what is left on both sides nothing is left over.
    let even_low = low.max(if bid == 0 { 0 } else { bid + 1 });
    let even_high = if ask == 0 { high } else { high.min(ask - 1) };
    if even_low <= even_high {
        return nearest(&Choice { low: even_low, high: even_high, left: 0 });
    }
    let bids = Choice { low: low.max(below + 1), high: high.min(bid), left: walk.bid_left };
    let top = if above == 0 { high } else { high.min(above - 1) };
    let asks = Choice { low: low.max(ask), high: top, left: walk.ask_left };
    let bids = (bid >= low && bid != 0).then_some(bids);
    let asks = (ask <= high && ask != 0).then_some(asks);
    let distance = |choice: &Choice| nearest(choice).abs_diff(reference);
    match (bids, asks) {
        (Some(bids), Some(asks)) => {
            let better = (asks.left, distance(&asks)) < (bids.left, distance(&bids));
            nearest(if better { &asks } else { &bids })
        }
        (Some(one), None) | (None, Some(one)) => nearest(&one),
        // Not reached: one of the sides ends the walk inside the range.
        (None, None) => low,
    }
}

/// One side of two orders that meet.
#[derive(Clone, Copy)]
struct Meeting {
    resting: Resting,
    listed: OrderRef,
    extra: OrderExtra,
}

impl Meeting {
    fn account(&self) -> AccountId {
        self.resting.order.account
    }

    /// Open size, shown or not.
    fn whole(&self) -> Size {
        self.resting.order.size + self.extra.hidden
    }

    /// The order as if its limit were the price of the auction.
    fn listed_at(&self, price: Price) -> OrderRef {
        OrderRef { price, ..self.listed }
    }
}

impl<S: Source> Engine<'_, S> {
    /// Begins the call phase of an auction.
    pub(crate) fn call_auction(
        &mut self,
        market: MarketId,
        prices: &mut MarketPrices,
        until_us: u64,
        then: MarketStatus,
    ) {
        let auction = Auction { until_us: until_us.max(1), then, ..Auction::default() };
        self.state.auctions.set(&MarketKey(market), auction);
        self.change_status(market, prices, MarketStatus::Auction);
    }

    /// Changes a market's status and says so.
    pub(crate) fn change_status(
        &mut self,
        market: MarketId,
        prices: &mut MarketPrices,
        status: MarketStatus,
    ) {
        if prices.status != status {
            prices.status = status;
            self.events.push(Event::StatusChanged { market, status });
        }
    }

    /// Goes on with an auction, if there is one: true once it is over, with the status after it set.
    pub(crate) fn work_auction(
        &mut self,
        rules: &MarketRules,
        prices: &mut MarketPrices,
        steps: &mut u32,
        due: &mut super::Due,
    ) -> bool {
        let key = MarketKey(rules.market);
        let mut auction = *self.state.auctions.get(&key);
        if auction.until_us == 0 {
            return false;
        }
        if auction.until_us > self.time_us {
            if auction.until_us != u64::MAX {
                due.at(auction.until_us);
            }
            return false;
        }
        let over = self.uncross(rules, &mut auction, prices.mark, steps);
        if !over {
            due.at(MarketPrices::AT_ONCE);
            self.change_status(rules.market, prices, MarketStatus::CancelOnly);
            self.state.auctions.set(&key, auction);
            return false;
        }
        self.state.auctions.remove(&key);
        let (market, price, volume) = (rules.market, auction.traded_at, auction.volume);
        self.events.push(Event::Uncrossed { market, price, volume });
        self.change_status(market, prices, auction.then);
        true
    }

    /// Uncrosses the book as far as the steps suffice; whether it is done.
    fn uncross(
        &mut self,
        rules: &MarketRules,
        auction: &mut Auction,
        reference: Price,
        steps: &mut u32,
    ) -> bool {
        let key = MarketKey(rules.market);
        loop {
            if auction.price == 0 {
                let top = *self.state.tops.get(&key);
                if !is_crossed(&top) {
                    return true;
                }
                let Some(price) = self.walk(rules, &mut auction.walk, &top, reference, steps)
                else {
                    return false;
                };
                (auction.price, auction.walk) = (price, Walk::default());
            }
            loop {
                let top = *self.state.tops.get(&key);
                if top.bid < auction.price || top.ask > auction.price || top.ask == 0 {
                    auction.price = 0;
                    break;
                }
                if *steps == 0 {
                    return false;
                }
                *steps -= 1;
                let traded = self.meet(rules, &top, auction.price);
                if traded > 0 {
                    auction.volume += u128::from(traded);
                    auction.traded_at = auction.price;
                }
            }
        }
    }

    /// Looks for the price, from the best levels inwards; none if the steps did not suffice.
    fn walk(
        &mut self,
        rules: &MarketRules,
        walk: &mut Walk,
        top: &BookTop,
        reference: Price,
        steps: &mut u32,
    ) -> Option<Price> {
        let market = rules.market;
        if *walk == Walk::default() {
            (walk.bid, walk.bid_left) = (top.bid, self.lots_at(market, Side::Buy, top.bid));
            (walk.ask, walk.ask_left) = (top.ask, self.lots_at(market, Side::Sell, top.ask));
        }
        while walk.bid != 0 && walk.ask != 0 && walk.bid >= walk.ask {
            *steps = steps.checked_sub(1)?;
            let lots = walk.bid_left.min(walk.ask_left);
            if lots > 0 {
                (walk.high, walk.low) = (walk.bid, walk.ask);
            }
            walk.bid_left -= lots;
            walk.ask_left -= lots;
            if walk.bid_left == 0 {
                walk.bid = self.behind(market, Side::Buy, walk.bid);
                walk.bid_left = self.lots_at(market, Side::Buy, walk.bid);
            }
            if walk.ask_left == 0 {
                walk.ask = self.behind(market, Side::Sell, walk.ask);
                walk.ask_left = self.lots_at(market, Side::Sell, walk.ask);
            }
        }
        if walk.high == 0 {
            // Cancels between ticks left nothing of what it had seen: begin again.
            *walk = Walk::default();
            return None;
        }
        let below = if walk.bid == 0 { 0 } else { self.behind(market, Side::Buy, walk.bid) };
        let above = if walk.ask == 0 { 0 } else { self.behind(market, Side::Sell, walk.ask) };
        Some(price_of(walk, below, above, reference))
    }

    /// The next price level behind one; 0 for none.
    fn behind(&mut self, market: MarketId, side: Side, price: Price) -> Price {
        let prices = BookId::new(market, side).prices();
        let State { pages, .. } = &mut *self.state;
        let found = match side {
            Side::Buy => price.checked_sub(1).and_then(|at| prices.last_to(pages, at)),
            Side::Sell => prices.first_from(pages, price + 1),
        };
        found.unwrap_or(0)
    }

    fn lots_at(&mut self, market: MarketId, side: Side, price: Price) -> u128 {
        if price == 0 {
            return 0;
        }
        let level = self.state.levels.get(&LevelKey { book: BookId::new(market, side), price });
        level.size + level.hidden
    }

    fn meeting(&mut self, market: MarketId, side: Side, price: Price) -> Option<Meeting> {
        let resting = self.front(market, side, price)?;
        let listed = self.listed(resting.order.account, resting.order.order)?;
        let extra = self.extra(&listed);
        Some(Meeting { resting, listed, extra })
    }

    /// The oldest orders of both best levels meet at the auction's price; what trades.
    fn meet(&mut self, rules: &MarketRules, top: &BookTop, price: Price) -> Size {
        let market = rules.market;
        let bid = self.meeting(market, Side::Buy, top.bid);
        let (Some(bid), Some(ask)) = (bid, self.meeting(market, Side::Sell, top.ask)) else {
            invariant::<S>(false, "the best level has no order");
            return 0;
        };
        let (maker, taker) =
            if bid.listed.order < ask.listed.order { (bid, ask) } else { (ask, bid) };
        for one in [&maker, &taker] {
            let expires_us = one.extra.expires_us;
            if expires_us != 0 && expires_us <= self.time_us {
                self.close(one.account(), &one.listed, &one.resting, CancelReason::Expired);
                return 0;
            }
        }
        if maker.account() == taker.account() {
            let reason = CancelReason::SelfTrade;
            self.close(taker.account(), &taker.listed, &taker.resting, reason);
            return 0;
        }
        let mut size = Size::MAX;
        for one in [&maker, &taker] {
            let open = self.fillable(&one.resting, &one.listed);
            if open == 0 {
                self.close(one.account(), &one.listed, &one.resting, CancelReason::ReduceOnly);
                return 0;
            }
            size = size.min(open);
        }
        for one in [&maker, &taker] {
            self.reprice(rules, one, size, one.listed.price, price);
            let at_price = one.resting.at(price);
            if !self.maker_covered(&at_price, &one.listed_at(price), size) {
                self.reprice(rules, one, size, price, one.listed.price);
                if one.listed.order == taker.listed.order {
                    self.reprice(rules, &maker, size, price, maker.listed.price);
                }
                self.close(one.account(), &one.listed, &one.resting, CancelReason::Margin);
                return 0;
            }
        }
        self.trade_resting(rules, &maker, &taker, size, price);
        size
    }

    /// Reserves a part of a resting order at another price than before.
    fn reprice(&mut self, rules: &MarketRules, one: &Meeting, size: Size, from: Price, to: Price) {
        self.release(one.account(), &one.listed_at(from), size);
        let incoming = incoming(rules, one, to, size);
        self.reserve(&incoming);
    }

    /// Two resting orders trade, what they trade being reserved at the price.
    fn trade_resting(
        &mut self,
        rules: &MarketRules,
        maker: &Meeting,
        taker: &Meeting,
        size: Size,
        price: Price,
    ) {
        let (account, whole) = (taker.account(), taker.whole());
        let shown = self.take_out(&taker.resting, &taker.listed, &taker.extra, size);
        let listed = taker.listed_at(price);
        if whole == size {
            self.release(account, &listed, size);
        } else {
            self.ease(account, &listed, size);
        }
        let mut incoming = incoming(rules, taker, taker.listed.price, whole);
        self.fill(&mut incoming, &maker.resting, &maker.listed, &maker.extra, size, price);
        if let Some(shown) = shown {
            self.displayed(&taker.listed, shown);
        }
        if !taker.listed.flags.is_plain() {
            self.rested_filled(account, &taker.listed, size, whole == size);
        }
    }
}

/// A resting order as if it were on its way into the book.
fn incoming<'a>(
    rules: &'a MarketRules,
    one: &Meeting,
    price: Price,
    remaining: Size,
) -> Incoming<'a> {
    Incoming {
        forced: false,
        counted: false,
        rules,
        account: one.account(),
        order: one.listed_at(price),
        remaining,
        filled: 0,
        notional: 0,
        expires_us: one.extra.expires_us,
        display: one.extra.display,
    }
}
