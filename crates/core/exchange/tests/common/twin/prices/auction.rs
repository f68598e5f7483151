//! Auctions: every price at which anything changes is tried.

use super::*;

impl Twin {
    /// Lots by price and side.
    fn lots(&self, n: usize) -> Vec<(u64, u128, Side)> {
        let mut lots: BTreeMap<(u64, bool), u128> = BTreeMap::new();
        for o in self.orders.iter().filter(|o| o.market.0 as usize == n) {
            *lots.entry((o.price, o.side == Side::Buy)).or_default() += u128::from(o.remaining);
        }
        let side = |buy| if buy { Side::Buy } else { Side::Sell };
        lots.into_iter().map(|((price, buy), lots)| (price, lots, side(buy))).collect()
    }

    pub(crate) fn auction(&mut self, n: usize, steps: &mut u32) {
        let status = self.venues[n].status;
        if ![MarketStatus::Auction, MarketStatus::CancelOnly].contains(&status) {
            return;
        }
        let Some(mut call) = self.venues[n].prices.call.clone() else { return };
        if call.until > self.time_us {
            return self.remind(n, call.until);
        }
        if !self.uncross(n, &mut call, steps) {
            self.venues[n].prices.call = Some(call);
            self.remind(n, 0);
            return self.change(n, MarketStatus::CancelOnly);
        }
        self.venues[n].prices.call = None;
        let (market, price, volume) = (MarketId(n as u16), call.traded_at, call.volume);
        self.events.push(Event::Uncrossed { market, price, volume });
        self.change(n, call.then);
        self.forget(n);
        if let Some(s) = self.spec.markets[n].prices.sanity {
            self.venues[n].prices.wide_until = self.time_us + s.wide_us;
        }
    }

    fn uncross(&mut self, n: usize, call: &mut Call, steps: &mut u32) -> bool {
        let market = MarketId(n as u16);
        loop {
            if call.price == 0 {
                if !self.crossed(n) {
                    return true;
                }
                match self.walk(n, &mut call.walk, steps) {
                    Some(price) => (call.price, call.walk) = (price, None),
                    None => return false,
                }
            }
            let bid = self.best(market, Side::Buy).filter(|bid| *bid >= call.price);
            let ask = self.best(market, Side::Sell).filter(|ask| *ask <= call.price);
            let (Some(bid), Some(ask)) = (bid, ask) else {
                call.price = 0;
                continue;
            };
            if *steps == 0 {
                return false;
            }
            *steps -= 1;
            let size = self.meet_at(market, bid, ask, call.price);
            if size > 0 {
                call.volume += u128::from(size);
                call.traded_at = call.price;
            }
        }
    }

    /// Goes inwards level by level, as far as the steps suffice.
    fn walk(&self, n: usize, walk: &mut Option<Walk>, steps: &mut u32) -> Option<u64> {
        let lots = self.lots(n);
        let level = |side: Side, behind: Option<u64>| {
            let beyond = |price: u64| {
                behind.is_none_or(|at| if side == Side::Buy { price < at } else { price > at })
            };
            let there = lots.iter().filter(|level| level.2 == side && beyond(level.0));
            let found = if side == Side::Buy {
                there.max_by_key(|l| l.0)
            } else {
                there.min_by_key(|l| l.0)
            };
            found.map(|level| (level.0, level.1))
        };
        let w = walk.get_or_insert_with(|| Walk {
            bid: level(Side::Buy, None),
            ask: level(Side::Sell, None),
            range: None,
            began: lots.clone(),
        });
        while let (Some(bid), Some(ask)) = (w.bid, w.ask)
            && bid.0 >= ask.0
        {
            if *steps == 0 {
                return None;
            }
            *steps -= 1;
            let both = bid.1.min(ask.1);
            w.range = Some((ask.0, bid.0));
            let rest = |side, (price, left): (u64, u128)| {
                if left > both { Some((price, left - both)) } else { level(side, Some(price)) }
            };
            (w.bid, w.ask) = (rest(Side::Buy, bid), rest(Side::Sell, ask));
        }
        let reference = self.venues[n].mark;
        let (low, high) = w.range.unwrap();
        // Every price at which anything changes, and those next to it.
        let near = |price: u64| [price.saturating_sub(1), price, price + 1];
        let mut candidates: Vec<u64> = lots.iter().flat_map(|level| near(level.0)).collect();
        candidates.extend([reference, low, high]);
        candidates.extend([w.bid, w.ask].into_iter().flatten().flat_map(|level| near(level.0)));
        candidates.sort();
        candidates.retain(|price| (low..=high).contains(price));
        // What is left at a price, by what the walk has left and what lies behind it.
        let left = |side: Side, at: Option<(u64, u128)>, price: u64| -> u128 {
            let reaches = |p: u64| if side == Side::Buy { p >= price } else { p <= price };
            let Some((first, lots_left)) = at else { return 0 };
            let behind = lots.iter().filter(|level| {
                let beyond = if side == Side::Buy { level.0 < first } else { level.0 > first };
                level.2 == side && beyond && reaches(level.0)
            });
            let here = if reaches(first) { lots_left } else { 0 };
            here + behind.map(|level| level.1).sum::<u128>()
        };
        let imbalance =
            |price: u64| left(Side::Buy, w.bid, price).abs_diff(left(Side::Sell, w.ask, price));
        let best = candidates
            .into_iter()
            .min_by_key(|price| (imbalance(*price), price.abs_diff(reference), *price))
            .unwrap();
        if w.began == lots {
            // Nobody cancelled meanwhile: it is the best of all prices there are.
            let volume = |price: u64| {
                let sum = |side: Side, reaches: &dyn Fn(u64) -> bool| {
                    let of = lots.iter().filter(|level| level.2 == side && reaches(level.0));
                    of.map(|level| level.1).sum::<u128>()
                };
                let (bids, asks) =
                    (sum(Side::Buy, &|p| p >= price), sum(Side::Sell, &|p| p <= price));
                (bids.min(asks), bids.abs_diff(asks))
            };
            let near = lots.iter().flat_map(|level| near(level.0)).chain([reference]);
            let all = near.map(|price| {
                let (volume, imbalance) = volume(price);
                (u128::MAX - volume, imbalance, price.abs_diff(reference), price)
            });
            assert_eq!(all.min().unwrap().3, best, "not the auction's price");
        }
        Some(best)
    }

    /// The oldest orders of two levels meet.
    fn meet_at(&mut self, market: MarketId, bid: u64, ask: u64, price: u64) -> u64 {
        let oldest = |side: Side, at: u64| {
            let there = |o: &&Order| o.market == market && o.side == side && o.price == at;
            *self.orders.iter().find(there).unwrap()
        };
        let mut two = [oldest(Side::Buy, bid), oldest(Side::Sell, ask)];
        two.sort_by_key(|o| o.order);
        let [maker, mut taker] = two;
        for o in &two {
            let expires = self.extras.get(&o.order).map_or(0, |extra| extra.0);
            if expires != 0 && expires <= self.time_us {
                self.drop_order(o, CancelReason::Expired);
                return 0;
            }
        }
        if maker.account == taker.account {
            self.drop_order(&taker, CancelReason::SelfTrade);
            return 0;
        }
        let mut size = u64::MAX;
        for o in &two {
            let cap = if o.reduce_only { self.reducible(o) } else { u64::MAX };
            size = size.min(self.shown(o).min(cap));
            if cap == 0 {
                self.drop_order(o, CancelReason::ReduceOnly);
                return 0;
            }
        }
        for o in &two {
            if market.0 != 2 && !self.maker_covered(&Order { price, ..*o }, size) {
                self.drop_order(o, CancelReason::Margin);
                return 0;
            }
        }
        let (_, next) = self.take_resting(&taker, size);
        let left = taker.remaining - size;
        self.trade(&mut taker, &Order { price, ..maker }, size);
        self.events.extend(next);
        self.tied_filled(taker.order.0, size, left);
        size
    }
}
