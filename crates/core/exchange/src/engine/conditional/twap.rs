//! TWAPs: a size in equal slices every 30 s, each immediate-or-cancel near the mark.
//!
//! Slice k of n is to bring what has traded to ⌊size × k / n⌋; what earlier ones left behind is
//! made up for by at most three times the usual slice.

use super::{refused, worst_price};
use crate::command::OrderRequest;
use crate::conditional::{
    TWAP_CATCH_UP, TWAP_INTERVAL_MS, TWAP_MINUTES_MAX, TWAP_MINUTES_MIN, TWAP_SLIPPAGE_PPM,
    TWAPS_MAX, TwapEnd, TwapRequest, TwapView,
};
use crate::engine::Engine;
use crate::event::{Event, Refusal};
use crate::ids::{AccountId, OrderId, Size, Tif};
use crate::objects::{AccountKey, DueEntry, DueKind, MarketKey, OrderKey, Twap};
use crate::rules::MarketRules;
use crate::spec::SIZE_BOUND;
use atoll_state::Source;
use atoll_types::RejectCode;

impl Twap {
    /// How many slices it has.
    fn slices(request: &TwapRequest) -> u64 {
        u64::from(request.minutes) * 60_000 / TWAP_INTERVAL_MS
    }

    /// The usual slice, rounded up.
    fn usual(request: &TwapRequest) -> Size {
        request.size.div_ceil(Self::slices(request).max(1))
    }

    /// As events and queries tell it.
    pub(crate) fn told(&self, twap: OrderId) -> TwapView {
        let Self { account, request, filled, notional, time_us } = *self;
        TwapView { twap, account, request, filled, notional, time_us }
    }
}

impl<S: Source> Engine<'_, S> {
    pub(crate) fn place_twap(
        &mut self,
        account: AccountId,
        request: &TwapRequest,
    ) -> Result<OrderId, Refusal> {
        let rules = self.market(request.market)?;
        self.check_twap(rules, request)?;
        let list = self.state.twap_lists.get_mut(&AccountKey(account));
        if list.0.len() >= TWAPS_MAX {
            return Err(Refusal::new(
                RejectCode::TooManyOrders,
                "the account runs as many TWAPs as it may; cancel one first",
            ));
        }
        let number = OrderId::new(self.command, 0);
        list.0.push(number);
        let time_us = self.time_us;
        let twap = Twap { account, request: *request, filled: 0, notional: 0, time_us };
        self.state.twaps.set(&OrderKey(number), twap);
        self.enqueue(number, DueEntry { account, kind: DueKind::Slice, at_ms: self.now_ms() });
        self.events.push(Event::TwapStarted(twap.told(number)));
        Ok(number)
    }

    fn check_twap(&mut self, rules: &MarketRules, request: &TwapRequest) -> Result<(), Refusal> {
        let refuse = |code, message| Err(Refusal::new(code, message));
        let TwapRequest { size, minutes, reduce_only, .. } = *request;
        if size == 0 {
            return refuse(RejectCode::OffLot, "the size is zero; it must be at least one lot");
        }
        if size >= SIZE_BOUND {
            return refuse(RejectCode::Overflow, "the size is 2^40 lots or more");
        }
        if !(TWAP_MINUTES_MIN..=TWAP_MINUTES_MAX).contains(&minutes) {
            let message = "a TWAP runs for 5 to 1440 minutes";
            return refuse(RejectCode::TimeOutOfRange, message);
        }
        if reduce_only && !rules.is_perpetual() {
            let message = "spot markets have no positions to reduce; leave out reduce-only";
            return refuse(RejectCode::Unsupported, message);
        }
        let prices = self.state.prices.get(&MarketKey(rules.market));
        if let Some(refusal) = refused(rules, prices.status, reduce_only) {
            return Err(refusal);
        }
        if prices.mark == 0 {
            return refuse(RejectCode::NoMark, "the market has no mark price yet; wait for it");
        }
        let value = rules.notional(prices.mark, Twap::usual(request));
        if value < rules.notional_min && !reduce_only {
            let message = "a slice is worth less than the market's minimum; trade more, or faster";
            return Err(Refusal::money(RejectCode::Dust, message, value, rules.notional_min));
        }
        Ok(())
    }

    pub(crate) fn cancel_twap(
        &mut self,
        account: AccountId,
        number: OrderId,
    ) -> Result<(), Refusal> {
        let twap = *self.state.twaps.get(&OrderKey(number));
        if twap.request.size == 0 || twap.account != account {
            return Err(Refusal::new(
                RejectCode::UnknownOrder,
                "this account runs no such TWAP: it was never placed, was cancelled or is over",
            ));
        }
        self.dequeue(number);
        self.end_twap(number, &twap, TwapEnd::Cancelled);
        Ok(())
    }

    fn end_twap(&mut self, number: OrderId, twap: &Twap, reason: TwapEnd) {
        self.state.twaps.remove(&OrderKey(number));
        let list = self.state.twap_lists.get_mut(&AccountKey(twap.account));
        list.0.retain(|other| *other != number);
        self.events.push(Event::TwapEnded { twap: twap.told(number), reason });
    }

    /// Places the slice that is due. A tick that comes late makes no more than one of it.
    pub(super) fn slice(&mut self, account: AccountId, number: OrderId) {
        let mut twap = *self.state.twaps.get(&OrderKey(number));
        let request = twap.request;
        let Some(rules) = self.rules.market(request.market) else { return };
        let (begun_ms, slices) = (twap.time_us / 1000, Twap::slices(&request));
        let passed = self.now_ms().saturating_sub(begun_ms) / TWAP_INTERVAL_MS;
        let by_now = (passed + 1).min(slices);
        // Below 2⁴⁰ × 2¹².
        let target = request.size * by_now / slices.max(1);
        let most = (TWAP_CATCH_UP * Twap::usual(&request)).min(rules.order_size_max);
        let size = target.saturating_sub(twap.filled).min(most);
        if size > 0 {
            let prices = self.state.prices.get(&MarketKey(request.market));
            let price = worst_price(rules, prices, request.side, TWAP_SLIPPAGE_PPM);
            let order = OrderRequest {
                market: request.market,
                side: request.side,
                price,
                size,
                tif: Tif::Ioc,
                reduce_only: request.reduce_only,
                ..OrderRequest::default()
            };
            self.take_number();
            let placed = self.place(account, &order);
            if let Ok(placed) = &placed {
                twap.filled += placed.filled;
                twap.notional += placed.notional;
                self.state.twaps.set(&OrderKey(number), twap);
            }
            let refused = placed.err().map(|refusal| refusal.code);
            self.events.push(Event::TwapSlice { twap: twap.told(number), size, refused });
        }
        if twap.filled >= request.size {
            self.end_twap(number, &twap, TwapEnd::Filled);
        } else if by_now >= slices {
            self.end_twap(number, &twap, TwapEnd::Elapsed);
        } else {
            let at_ms = begun_ms + by_now * TWAP_INTERVAL_MS;
            self.enqueue(number, DueEntry { account, kind: DueKind::Slice, at_ms });
        }
    }
}
