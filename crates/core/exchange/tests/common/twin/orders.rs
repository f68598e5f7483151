//! The twin's orders: placed, found, changed and cancelled.

use super::margin::notional;
use super::*;

impl Twin {
    pub(super) fn best(&self, market: MarketId, side: Side) -> Option<u64> {
        let there = self.orders.iter().filter(|o| o.market == market && o.side == side);
        let prices = there.map(|o| o.price);
        if side == Side::Buy { prices.max() } else { prices.min() }
    }

    pub(super) fn cancel(
        &mut self,
        account: AccountId,
        target: &OrderSelector,
        reason: CancelReason,
    ) -> Result<Order, RejectCode> {
        let order = self.find(account, target)?;
        self.drop_any(&order, reason);
        Ok(order)
    }

    pub(super) fn find(
        &self,
        account: AccountId,
        target: &OrderSelector,
    ) -> Result<Order, RejectCode> {
        let is = |o: &&Order| {
            o.account == account
                && match target {
                    OrderSelector::Order(order) => o.order == *order,
                    OrderSelector::Client(client) => o.client_id == Some(*client),
                }
        };
        self.mine(account).iter().find(is).copied().ok_or(RejectCode::UnknownOrder)
    }

    /// What the book shows of an order.
    pub(super) fn shown(&self, order: &Order) -> u64 {
        match self.extras.get(&order.order) {
            Some((_, display, shown)) if *display > 0 => *shown,
            _ => order.remaining,
        }
    }

    /// Takes so much off a resting order without a trade.
    pub(super) fn lessen(&mut self, order: &Order, by: u64, reason: ResizeReason) {
        let found = self.orders.iter_mut().find(|o| o.order == order.order).unwrap();
        found.size -= by;
        found.remaining -= by;
        if let Some(extra) = self.extras.get_mut(&order.order) {
            extra.2 = extra.2.saturating_sub(by);
        }
        self.events.push(Event::Resized { order: *found, reason });
    }

    pub(super) fn modify_in_place(
        &mut self,
        account: AccountId,
        target: &OrderSelector,
        r: &OrderRequest,
    ) -> Result<Option<Placed>, RejectCode> {
        let o = self.find(account, target)?;
        let same = o.market == r.market
            && o.side == r.side
            && o.price == r.price
            && o.tif == r.tif
            && o.reduce_only == r.reduce_only
            && (r.client_id.is_none() || r.client_id == o.client_id)
            && (r.expires_us, r.display) == (0, 0)
            && o.trigger.is_none()
            && !self.extras.contains_key(&o.order);
        if !same || r.size == 0 || r.size >= o.remaining {
            return Ok(None);
        }
        let least = self.spec.markets[usize::from(o.market.0)].notional_min;
        if !o.reduce_only && notional(o.market, o.price, r.size) < least.into() {
            return Err(RejectCode::Dust);
        }
        self.lessen(&o, o.remaining - r.size, ResizeReason::Modified);
        self.events.push(Event::Modified { old: o.order, new: o.order });
        Ok(Some(Placed { order: o.order, filled: 0, notional: 0, resting: r.size }))
    }

    pub(super) fn place_market(&mut self, account: AccountId, r: &MarketOrderRequest) -> Reply {
        let venue = self.venues.get(usize::from(r.market.0)).ok_or(RejectCode::UnknownMarket)?;
        if venue.mark == 0 {
            return Err(RejectCode::NoMark);
        }
        let slip = u128::from(venue.mark) * u128::from(r.slippage_ppm) / 1_000_000;
        let most = self.spec.markets[usize::from(r.market.0)].price_max;
        let price = match r.side {
            Side::Buy => (u128::from(venue.mark) + slip).min(most.into()) as u64,
            Side::Sell => u128::from(venue.mark).saturating_sub(slip).max(1) as u64,
        };
        let request = OrderRequest {
            market: r.market,
            side: r.side,
            price,
            size: r.size,
            tif: Tif::Ioc,
            reduce_only: r.reduce_only,
            client_id: r.client_id,
            ..OrderRequest::default()
        };
        self.place(account, &request, None).map(Outcome::Placed)
    }

    pub(super) fn drop_order(&mut self, order: &Order, reason: CancelReason) {
        self.orders.retain(|o| o.order != order.order);
        self.queues.leave(order.order);
        self.extras.remove(&order.order);
        self.events.push(Event::Cancelled { order: *order, reason });
        self.untie(order.order.0);
    }

    pub(super) fn place(
        &mut self,
        account: AccountId,
        r: &OrderRequest,
        known: Option<u64>,
    ) -> Result<Placed, RejectCode> {
        let n = usize::from(r.market.0);
        let rules = self.spec.markets.get(n).ok_or(RejectCode::UnknownMarket)?.clone();
        let perpetual = self.perpetual(r.market);
        let mark = self.venues[n].mark;
        let worth = notional(r.market, r.price, r.size);
        let oracle = self.venues[n].oracle;
        let near = if oracle == 0 { mark } else { oracle };
        let off = u128::from(near.abs_diff(r.price)) * 1_000_000 > u128::from(near) * 200_000;
        let mine = self.mine(account);
        let slot = self.free_slot(account);
        let limits = self.spec.limits;
        let mut order = Order {
            order: OrderId(self.commands << 12 | u64::from(slot)),
            account,
            market: r.market,
            side: r.side,
            price: r.price,
            size: r.size,
            remaining: r.size,
            tif: r.tif,
            reduce_only: r.reduce_only,
            client_id: r.client_id,
            time_us: self.time_us,
            trigger: None,
        };
        let ioc = r.tif == Tif::Ioc || r.tif == Tif::Fok;
        let refused = match self.venues[n].status {
            MarketStatus::Open => false,
            MarketStatus::Auction => r.tif != Tif::Gtc,
            MarketStatus::PostOnly => r.tif != Tif::PostOnly,
            MarketStatus::ReduceOnly => !r.reduce_only || !perpetual,
            MarketStatus::CancelOnly | MarketStatus::Halted | MarketStatus::Settled => true,
        };
        let shows = notional(r.market, r.price, r.display.min(r.size));
        if ioc {
            order.order = OrderId(self.commands << 12);
        }
        order.order = known.map_or(order.order, OrderId);
        let auction = self.venues[n].status == MarketStatus::Auction;
        let queue = if auction { Vec::new() } else { self.queue(&order) };
        let own_first = queue.first().is_some_and(|o| o.account == account);
        for (wrong, code) in [
            (r.price == 0, RejectCode::OffTick),
            (r.size == 0, RejectCode::OffLot),
            (r.price > rules.price_max, RejectCode::Overflow),
            (r.size > rules.order_size_max, RejectCode::Overflow),
            (ioc && (r.expires_us, r.display) != (0, 0), RejectCode::Unsupported),
            (r.expires_us != 0 && r.expires_us <= self.time_us, RejectCode::Expired),
            (r.reduce_only && !perpetual, RejectCode::Unsupported),
            (refused, RejectCode::MarketPaused),
            (perpetual && mark == 0, RejectCode::NoMark),
            (near != 0 && off, RejectCode::PriceBand),
            (worth < rules.notional_min.into() && !r.reduce_only, RejectCode::Dust),
            (r.display != 0 && shows < rules.notional_min.into(), RejectCode::Dust),
            (
                r.client_id.is_some() && mine.iter().any(|o| o.client_id == r.client_id),
                RejectCode::DuplicateClientId,
            ),
            (
                !ioc && known.is_none() && slot >= limits.orders_per_account,
                RejectCode::TooManyOrders,
            ),
            (ioc && queue.is_empty(), RejectCode::NoLiquidity),
            (r.tif == Tif::PostOnly && !queue.is_empty(), RejectCode::WouldCross),
            (own_first && self.spec.self_trade == SelfTrade::CancelTaker, RejectCode::SelfTrade),
        ] {
            if wrong {
                return Err(code);
            }
        }
        if r.reduce_only {
            let most = self.reducible(&order);
            if most == 0 {
                return Err(RejectCode::NotReducing);
            }
            order.size = order.size.min(most);
            order.remaining = order.size;
        }
        if perpetual && !r.reduce_only {
            let (bids, asks, ..) = self.open(account, r.market);
            let held = self.owners[account.0 as usize].positions[n].size;
            if i128::from(held.abs()) + bids + asks + i128::from(r.size) >= 1 << 40 {
                return Err(RejectCode::Overflow);
            }
        }
        if perpetual && self.at_cap(&order) {
            return Err(RejectCode::AtCap);
        }
        // What it would trade at once if every order it meets were real; as many levels are
        // looked at as a command may have steps.
        let (mut left, mut pays) = (order.remaining, 0);
        let mut prices: Vec<u64> = queue.iter().map(|o| o.price).collect();
        prices.dedup();
        prices.truncate(limits.fills_per_command as usize);
        for price in prices {
            let there = queue.iter().filter(|o| o.price == price);
            let take = left.min(there.map(|o| o.remaining).sum());
            pays += notional(r.market, price, take);
            left -= take;
        }
        let rest = if ioc { 0 } else { left };
        let filled = order.remaining - left;
        if perpetual {
            if self.lacks_isolation(&order) {
                return Err(RejectCode::Unsupported);
            }
            if !self.covered(&order, filled, pays, rest) {
                return Err(RejectCode::InsufficientMargin);
            }
        } else if !self.affords(&order, pays, rest) {
            return Err(RejectCode::InsufficientBalance);
        }
        if r.tif == Tif::Fok && left > 0 {
            return Err(RejectCode::NoLiquidity);
        }
        if perpetual {
            self.enter_slot(account.0 as usize, r.market);
        }
        self.events.push(Event::Accepted(order));
        let (traded, spent, stopped) = self.meet(&mut order, false);
        if r.tif == Tif::Fok && order.remaining > 0 {
            return Err(RejectCode::NoLiquidity);
        }
        let stopped = stopped.or(ioc.then_some(CancelReason::Immediate));
        let mut resting = 0;
        match stopped {
            _ if order.remaining == 0 => {}
            Some(reason) => self.events.push(Event::Cancelled { order, reason }),
            None => {
                let display = if r.display < order.remaining { r.display } else { 0 };
                if display != 0 || r.expires_us != 0 {
                    self.extras.insert(order.order, (r.expires_us, display, display));
                }
                self.orders.push(order);
                self.queues.arrive(order.order, order.market, order.side, order.price);
                self.events.push(Event::Rested(order));
                if display != 0 {
                    let (market, order) = (order.market, order.order);
                    self.events.push(Event::Displayed { market, order, displayed: display });
                }
                resting = order.remaining;
            }
        }
        Ok(Placed { order: order.order, filled: traded, notional: spent, resting })
    }
}
