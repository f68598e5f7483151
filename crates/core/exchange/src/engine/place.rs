//! Placing an order: every check, then matching, then what remains rests or is cancelled.

use super::{Engine, directory::told, status};
use crate::command::{MarketOrderRequest, OrderRequest};
use crate::event::{CancelReason, Event, Placed, Refusal};
use crate::ids::{AccountId, Amount, MarketStatus, OrderId, PPM, Price, Side, Size, Tif};
use crate::objects::{
    ClientKey, DueEntry, DueKind, MarketKey, MarketPrices, OrderExtra, OrderFlags, OrderKey,
    OrderRef, RestingOrder,
};
use crate::rules::MarketRules;
use crate::spec::SelfTrade;
use atoll_state::{Source, object};
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
    /// When what rests is cancelled; 0 for never.
    pub(crate) expires_us: u64,
    /// How much of what rests the book shows at a time; 0 for all of it.
    pub(crate) display: Size,
    /// Whether it is a liquidation's: no margin is asked for it.
    pub(crate) forced: bool,
    /// Whether the account's [`crate::headroom`] counts what rests already.
    pub(crate) counted: bool,
}

const NOT_IN_FULL: Refusal = Refusal::new(
    RejectCode::NoLiquidity,
    "not all of a fill-or-kill order can trade at once; ask for less or for a worse price",
);

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
        let prices = *self.state.prices.get(&MarketKey(request.market));
        check_form(rules, request, &prices, self.time_us)?;
        if let Some(client_id) = request.client_id
            && self.state.clients.get(&ClientKey { account, client_id }).order.0 != 0
        {
            return Err(Refusal::new(
                RejectCode::DuplicateClientId,
                "an open order has this client id; use another one or cancel that order",
            ));
        }
        // An order that never rests takes no slot; its number is unique by the command's.
        let immediate = !request.tif.rests();
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
            expires_us: request.expires_us,
            display: request.display,
            forced: false,
            counted: false,
        };
        // In an auction nothing trades before its end.
        let crosses =
            prices.status != MarketStatus::Auction && self.check_crossing(account, request)?;
        let entry = self.admit(&mut incoming, crosses, prices.mark)?;
        let all_or_none = match request.tif {
            Tif::Fok => Some((self.check_liquidity(&incoming)?, self.events.len())),
            _ => None,
        };

        // From here on the command succeeds, unless it is all or none.
        self.enter(&mut incoming, entry);
        let accepted = told(account, &incoming.order, incoming.remaining);
        self.events.push(Event::Accepted(accepted));
        let stopped = if crosses { self.take(&mut incoming) } else { None };
        if let Some((point, events)) = all_or_none {
            if incoming.remaining > 0 {
                object::rollback(&mut *self.state, point);
                self.events.truncate(events);
                return Err(NOT_IN_FULL);
            }
            object::release(&mut *self.state, point);
        }
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

    /// Places an order that takes what the market gives up to so much from the mark.
    pub(crate) fn place_market(
        &mut self,
        account: AccountId,
        request: &MarketOrderRequest,
    ) -> Result<Placed, Refusal> {
        let rules = self.market(request.market)?;
        let mark = self.state.prices.get(&MarketKey(request.market)).mark;
        if mark == 0 {
            let message = "the market has no mark price yet; place a limit order";
            return Err(Refusal::new(RejectCode::NoMark, message));
        }
        let MarketOrderRequest { market, side, size, reduce_only, client_id, .. } = *request;
        let price = slipped(rules, side, mark, request.slippage_ppm);
        let tif = Tif::Ioc;
        let plain = OrderRequest::default();
        self.place(
            account,
            &OrderRequest { market, side, price, size, tif, reduce_only, client_id, ..plain },
        )
    }

    /// Refuses what cannot trade in full by the totals of the levels; else marks where to return to
    /// if it turns out that not all of that may trade with this order.
    fn check_liquidity(&mut self, incoming: &Incoming<'_>) -> Result<object::Savepoint, Refusal> {
        let OrderRef { side, price, .. } = incoming.order;
        if self.plan(incoming.rules, side, price, incoming.remaining).filled < incoming.remaining {
            return Err(NOT_IN_FULL);
        }
        Ok(object::savepoint(&mut *self.state))
    }

    fn rest(&mut self, incoming: &mut Incoming<'_>) {
        let order = &mut incoming.order;
        let shown = match incoming.display {
            0 => incoming.remaining,
            display => display.min(incoming.remaining),
        };
        let hidden = incoming.remaining - shown;
        if hidden > 0 || incoming.expires_us != 0 {
            order.flags = order.flags.with(OrderFlags::EXTRA, true);
            let display = if hidden > 0 { incoming.display } else { 0 };
            let extra = OrderExtra { expires_us: incoming.expires_us, display, hidden };
            self.state.extras.set(&OrderKey(order.order), extra);
        }
        if incoming.expires_us != 0 {
            order.flags = order.flags.with(OrderFlags::EXPIRES, true);
            let at_ms = incoming.expires_us.div_ceil(1000);
            let entry = DueEntry { account: incoming.account, kind: DueKind::Expire, at_ms };
            self.enqueue(order.order, entry);
        }
        let resting = RestingOrder {
            order: order.order,
            account: incoming.account,
            size: shown,
            reduce_only: order.reduce_only,
        };
        order.sequence = self.insert(order.market, order.side, order.price, resting, hidden);
        self.reserve(incoming);
        self.list(incoming.account, incoming.order);
        let told = told(incoming.account, &incoming.order, incoming.remaining);
        self.events.push(Event::Rested(told));
        if hidden > 0 {
            self.displayed(&incoming.order, shown);
        }
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
            if !request.tif.rests() {
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
            let maker = self.front(market, side.opposite(), price).map(|front| front.order.account);
            if let Some(maker) = maker {
                self.state.prefetch_margin(maker);
            }
            if maker == Some(account) {
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
    now_us: u64,
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
    if !request.tif.rests() && (request.expires_us != 0 || request.display != 0) {
        let message = "an order that never rests has no expiry and hides nothing; leave them out";
        return refuse(RejectCode::Unsupported, message);
    }
    if request.expires_us != 0 && request.expires_us <= now_us {
        return refuse(RejectCode::Expired, "the order's expiry has passed");
    }
    if request.reduce_only && !rules.is_perpetual() {
        let message = "spot markets have no positions to reduce; leave out reduce-only";
        return refuse(RejectCode::Unsupported, message);
    }
    if let Some(refusal) = status::refused(rules, prices.status, request.tif, request.reduce_only) {
        return Err(refusal);
    }
    if prices.mark == 0 && rules.is_perpetual() {
        let message = "the market has no mark price before its first oracle price; wait for it";
        return refuse(RejectCode::NoMark, message);
    }
    // Around the oracle, which no order can move; a spot market's mark is the best there is.
    let reference = if prices.oracle == 0 { prices.mark } else { prices.oracle };
    if reference != 0 && outside(rules, price, reference) {
        let message = "the price is too far from the oracle's; see the market's price band";
        return refuse(RejectCode::PriceBand, message);
    }
    let notional = rules.notional(price, size);
    if notional < rules.notional_min && !request.reduce_only {
        let message = "the order is worth less than the market's minimum; make it larger";
        return Err(Refusal::money(RejectCode::Dust, message, notional, rules.notional_min));
    }
    if request.display != 0 && rules.notional(price, request.display.min(size)) < rules.notional_min
    {
        let message = "what the iceberg shows is worth less than the market's minimum";
        return refuse(RejectCode::Dust, message);
    }
    Ok(())
}

/// Whether a price is outside of the band around a reference.
fn outside(rules: &MarketRules, price: Price, reference: Price) -> bool {
    // Both factors are below 2⁴⁰ and 2²⁷.
    let distance = u128::from(price.abs_diff(reference)) * u128::from(PPM);
    distance > u128::from(reference) * u128::from(rules.price_band_ppm)
}

/// The worst price at so much slippage from the mark: rounded toward the mark, at least a tick and
/// at most the market's highest.
pub(crate) fn slipped(rules: &MarketRules, side: Side, mark: Price, slippage_ppm: u32) -> Price {
    // Below 2⁴⁰ × 2³².
    let slip = u128::from(mark) * u128::from(slippage_ppm) / u128::from(PPM);
    let slip = u64::try_from(slip).unwrap_or(u64::MAX);
    match side {
        Side::Buy => mark.saturating_add(slip).min(rules.price_max),
        Side::Sell => mark.saturating_sub(slip).max(1),
    }
}
