//! The twin's matching: what a taker meets is sorted anew at each step.

use super::margin::{self, notional};
use super::*;

impl Twin {
    /// What a taker meets, best price first, then oldest.
    pub(super) fn queue(&self, order: &Order) -> Vec<Order> {
        let meets = |o: &&Order| {
            o.market == order.market
                && o.side != order.side
                && match order.side {
                    Side::Buy => o.price <= order.price,
                    Side::Sell => o.price >= order.price,
                }
        };
        let mut queue: Vec<Order> = self.orders.iter().filter(meets).copied().collect();
        queue.sort_by_key(|o| if order.side == Side::Buy { o.price } else { u64::MAX - o.price });
        queue
    }

    /// Trades an order with what it meets: lots, their value, and what stopped it before its end.
    /// Nobody asks for the margin of an order that is forced.
    pub(super) fn meet(
        &mut self,
        order: &mut Order,
        forced: bool,
    ) -> (u64, i128, Option<CancelReason>) {
        let (account, limits) = (order.account, self.spec.limits);
        let perpetual = self.perpetual(order.market);
        let (mut traded, mut spent, mut stopped) = (0, 0, None);
        let mut steps = 0;
        while let Some(maker) = self.queue(order).first().copied() {
            let status = self.venues[usize::from(order.market.0)].status;
            if order.remaining == 0 || status == MarketStatus::Auction {
                break;
            }
            if steps == limits.fills_per_command {
                stopped = Some(CancelReason::TooManyFills);
                break;
            }
            steps += 1;
            let shown = self.shown(&maker);
            let cap = if maker.reduce_only { self.reducible(&maker) } else { u64::MAX };
            let size = order.remaining.min(shown).min(cap);
            let expires = self.extras.get(&maker.order).map_or(0, |extra| extra.0);
            let mut decremented = false;
            let skip = if expires != 0 && expires <= self.time_us {
                Some(CancelReason::Expired)
            } else if maker.account == account {
                match self.spec.self_trade {
                    SelfTrade::CancelTaker => {
                        stopped = Some(CancelReason::SelfTrade);
                        break;
                    }
                    SelfTrade::CancelMaker => {}
                    SelfTrade::Decrement => {
                        let by = order.remaining.min(shown);
                        order.remaining -= by;
                        let reason = CancelReason::SelfTrade;
                        if order.remaining == 0 {
                            let order = Order { remaining: by, ..*order };
                            self.events.push(Event::Cancelled { order, reason });
                        } else {
                            let (order, reason) = (*order, ResizeReason::SelfTrade);
                            self.events.push(Event::Resized { order, reason });
                        }
                        if by < shown {
                            self.lessen(&maker, by, ResizeReason::SelfTrade);
                            decremented = true;
                        }
                    }
                }
                Some(CancelReason::SelfTrade)
            } else if size == 0 {
                Some(CancelReason::ReduceOnly)
            } else if perpetual && !self.maker_covered(&maker, size) {
                Some(CancelReason::Margin)
            } else {
                None
            };
            if let Some(reason) = skip {
                if !decremented {
                    self.drop_order(&maker, reason);
                }
                if order.remaining == 0 {
                    break;
                }
                if forced {
                    continue;
                }
                let worst = notional(order.market, order.price, order.remaining);
                let goes_on = if perpetual {
                    self.covered(order, order.remaining, worst, 0)
                } else {
                    self.affords(order, worst, 0)
                };
                if !goes_on {
                    stopped = Some(CancelReason::Margin);
                    break;
                }
                continue;
            }
            traded += size;
            spent += self.trade(order, &maker, size);
        }
        if steps == limits.fills_per_command && order.remaining > 0 {
            stopped = stopped.or(Some(CancelReason::TooManyFills));
        }
        (traded, spent, stopped)
    }

    pub(super) fn reducible(&self, order: &Order) -> u64 {
        let at = order.account.0 as usize;
        let size = self.owners[at].positions[usize::from(order.market.0)].size;
        let against = if order.side == Side::Buy { -size } else { size };
        against.max(0) as u64
    }

    pub(super) fn affords(&self, order: &Order, pays: i128, rest: u64) -> bool {
        let at = order.account.0 as usize;
        match order.side {
            Side::Buy => self.free(at, USDC) >= pays + value(order.price, rest.into()),
            Side::Sell => self.free(at, COIN) >= LOT_UNITS * i128::from(order.remaining),
        }
    }

    /// Whether the maker's account has the initial margin for what this fill leads to.
    pub(super) fn maker_covered(&self, maker: &Order, size: u64) -> bool {
        if self.reducible(maker) >= size || maker.market == SPOT {
            return true;
        }
        let (at, market) = (maker.account.0 as usize, maker.market);
        let n = usize::from(market.0);
        let mut after = self.clone();
        let found = after.orders.iter_mut().find(|o| o.order == maker.order).unwrap();
        found.remaining -= size;
        let worth = notional(market, maker.price, size);
        let fee = ceil(worth * i128::from(self.spec.markets[n].maker_fee_ppm.max(0)));
        after.fill_and_pay(at, market, maker.side, size, worth, 0);
        let (coin, base) = if n == 3 { (-fee, 0) } else { (0, -fee) };
        let pos = after.owners[at].positions[n];
        let (own, _, needs) = after.isolated(market, &pos);
        let (equity, initial, _) =
            after.margin(at, margin::Change { base, coin, ..Default::default() });
        equity >= initial && (!pos.isolated || own >= needs)
    }

    /// Takes what trades of a resting order off it; gives what is left, and what to tell of it behind
    /// the fill.
    pub(super) fn take_resting(&mut self, maker: &Order, size: u64) -> (u64, Option<Event>) {
        let mut next = None;
        let found = self.orders.iter_mut().find(|o| o.order == maker.order).unwrap();
        found.remaining -= size;
        let maker_left = found.remaining;
        let again = *found;
        if let Some((_, display, shown)) = self.extras.get_mut(&maker.order)
            && *display > 0
        {
            *shown -= size;
            if *shown == 0 && maker_left > 0 {
                // The next part comes to the end of the queue.
                *shown = maker_left.min(*display);
                self.orders.retain(|o| o.order != maker.order);
                let (market, order, displayed) = (again.market, again.order, *shown);
                next = Some(Event::Displayed { market, order, displayed });
                self.orders.push(again);
                self.queues.leave(maker.order);
                self.queues.arrive(again.order, again.market, again.side, again.price);
            }
        }
        if maker_left == 0 {
            self.queues.leave(maker.order);
            self.extras.remove(&maker.order);
        }
        self.orders.retain(|o| o.remaining > 0);
        (maker_left, next)
    }

    pub(super) fn trade(&mut self, taker: &mut Order, maker: &Order, size: u64) -> i128 {
        let n = usize::from(maker.market.0);
        let notional = notional(maker.market, maker.price, size);
        taker.remaining -= size;
        let (maker_left, next) = self.take_resting(maker, size);
        let rules = &self.spec.markets[n];
        let (maker_ppm, taker_ppm) =
            (i128::from(rules.maker_fee_ppm), i128::from(rules.taker_fee_ppm));
        // Floored towards the fund when it pays, up when it is paid.
        let fee = |ppm: i128, base: i128| {
            if ppm < 0 { -(base * -ppm / 1_000_000) } else { ceil(base * ppm) }
        };
        let mut party = |order: &Order, remaining: u64, ppm: i128| {
            let at = order.account.0 as usize;
            let mut party = Party {
                account: order.account,
                order: order.order,
                client_id: order.client_id,
                size: order.size,
                remaining,
                fee: 0,
                fee_asset: USDC,
                closed_pnl: 0,
                start_position: 0,
            };
            let buys = order.side == Side::Buy;
            if n == 2 {
                let owner = &mut self.owners[at];
                let units = LOT_UNITS * i128::from(size);
                let got = if buys { units } else { notional };
                party.fee_asset = if buys { COIN } else { USDC };
                party.fee = fee(ppm, got);
                owner.spot[0] += if buys { -notional } else { notional - party.fee };
                owner.spot[1] += if buys { units - party.fee } else { -units };
                return party;
            }
            let market = maker.market;
            party.start_position = self.owners[at].positions[n].size;
            party.fee_asset = if n == 3 { COIN } else { USDC };
            party.fee = fee(ppm, notional);
            party.closed_pnl = self.fill_and_pay(at, market, order.side, size, notional, party.fee);
            party
        };
        let maker_party = party(maker, maker_left, maker_ppm);
        let got =
            if n == 2 && taker.side == Side::Buy { LOT_UNITS * i128::from(size) } else { notional };
        let taker_party = party(taker, taker.remaining, taker_ppm);
        self.insure_fee(usize::from(taker_party.fee_asset.0), got * taker_ppm / 1_000_000);
        let venue = &mut self.venues[n];
        venue.last = maker.price;
        venue.trades += 1;
        self.events.push(Event::Filled(Fill {
            market: maker.market,
            trade: venue.trades,
            taker_side: taker.side,
            price: maker.price,
            size,
            notional,
            maker: maker_party,
            taker: taker_party,
        }));
        self.events.extend(next);
        let held = [maker_party.start_position, taker_party.start_position];
        self.traded(maker, taker, size, held);
        notional
    }

    /// Open size by price, best first.
    pub(crate) fn levels(&self, market: MarketId, side: Side) -> Vec<LevelView> {
        let mut views: Vec<LevelView> = Vec::new();
        let mut orders = self.orders.clone();
        orders.retain(|o| o.market == market && o.side == side);
        orders.sort_by_key(|o| if side == Side::Sell { o.price } else { u64::MAX - o.price });
        for o in orders {
            match views.last_mut().filter(|view| view.price == o.price) {
                Some(view) => {
                    view.size += u128::from(self.shown(&o));
                    view.count += 1;
                }
                None => {
                    let size = self.shown(&o).into();
                    views.push(LevelView { price: o.price, size, count: 1 });
                }
            }
        }
        views
    }
}
