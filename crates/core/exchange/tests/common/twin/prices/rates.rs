//! Impact prices, funding and volatility.

use super::*;

impl Twin {
    /// The average price, in 1/256 ticks, of so much money's worth of a side.
    fn impact(&self, n: usize, side: Side, notional: u64) -> Option<i128> {
        let (mut missing, mut lots) = (u128::from(notional), 0u128);
        let mut levels: BTreeMap<u64, u128> = BTreeMap::new();
        for o in self.orders.iter().filter(|o| o.market.0 as usize == n && o.side == side) {
            *levels.entry(o.price).or_default() += u128::from(self.shown(o));
        }
        let mut levels: Vec<_> = levels.into_iter().collect();
        if side == Side::Buy {
            levels.reverse();
        }
        for (price, size) in levels.into_iter().take(32) {
            let price = u128::from(price);
            if n == 3 {
                // Lots are worth so much of a coin: lots × lot value over the coin they cost.
                let coin = size * margin::LOT_VALUE as u128 / price;
                if coin >= missing {
                    let whole = lots * margin::LOT_VALUE as u128 + missing * price;
                    return Some((whole * 256 / u128::from(notional)) as i128);
                }
                missing -= coin;
                lots += size;
                continue;
            }
            if size * price >= missing {
                let whole = u128::from(notional) * price * 256;
                return Some((whole / (lots * price + missing)) as i128);
            }
            missing -= size * price;
            lots += size;
        }
        None
    }

    pub(super) fn funding(&mut self, n: usize) {
        let Some(spec) = self.spec.markets[n].prices.funding else { return };
        let (now, oracle) = (self.time_us, self.venues[n].oracle);
        let hour = now / HOUR;
        let prices = &mut self.venues[n].prices;
        if hour > prices.hour {
            let samples = std::mem::take(&mut prices.samples);
            let ended = std::mem::replace(&mut prices.hour, hour);
            if ended != 0 && !samples.is_empty() {
                let premium = samples.iter().sum::<i64>() / samples.len() as i64;
                let pull = (i64::from(spec.interest_ppb) - premium)
                    .max(-i64::from(spec.clamp_ppb))
                    .min(spec.clamp_ppb.into());
                let cap = i64::from(spec.cap_ppb);
                let rate = ((premium + pull) / 8).max(-cap).min(cap);
                prices.index += match n {
                    3 => margin::LOT_VALUE * i128::from(rate) / i128::from(oracle),
                    _ => i128::from(oracle) * i128::from(rate),
                };
                prices.index = prices.index.clamp(-(1 << 77), 1 << 77);
                let (market, index) = (MarketId(n as u16), prices.index);
                self.events.push(Event::FundingAccrued { market, rate, premium, oracle, index });
            }
        }
        if now >= self.venues[n].prices.next_sample {
            let at = i128::from(oracle) * 256;
            let bid = self.impact(n, Side::Buy, spec.impact_notional).unwrap_or(0);
            let ask = self.impact(n, Side::Sell, spec.impact_notional).unwrap_or(i128::MAX);
            let difference = (bid - at).max(0) - (at - ask).max(0);
            let premium = difference * 1_000_000_000 / at;
            let premium = premium.clamp(-1_000_000_000, 1_000_000_000) as i64;
            let prices = &mut self.venues[n].prices;
            prices.samples.push(premium);
            prices.next_sample = (now / (5 * SECOND) + 1) * 5 * SECOND;
        }
        let next = self.venues[n].prices.next_sample;
        self.remind(n, next);
        self.remind(n, (hour + 1) * HOUR);
    }

    pub(super) fn volatility(&mut self, n: usize) {
        let Some(spec) = self.spec.markets[n].prices.volatility else { return };
        let (now, mark) = (self.time_us, self.venues[n].mark);
        let prices = &mut self.venues[n].prices;
        if now >= prices.next_return {
            let usual = (u128::from(spec.reference_ppm) << 32) / 1_000_000;
            let (before, since) = std::mem::replace(&mut prices.sampled, (mark, now));
            if before == 0 {
                prices.variance = usual * usual;
            } else {
                let intervals = ((now - since) / spec.interval_us).max(1);
                let r = u128::from(ln_ratio(before, mark).unsigned_abs());
                let square = r * r / u128::from(intervals);
                let (old, new, rest) = match spec.model {
                    VolatilityModel::Ewma { lambda_ppm } => (lambda_ppm, 1_000_000 - lambda_ppm, 0),
                    VolatilityModel::Garch { alpha_ppm, beta_ppm } => {
                        (beta_ppm, alpha_ppm, 1_000_000 - alpha_ppm - beta_ppm)
                    }
                };
                let sum = prices.variance * u128::from(old)
                    + square * u128::from(new)
                    + usual * usual * u128::from(rest);
                prices.variance = sum / 1_000_000;
            }
            prices.next_return = (now / spec.interval_us + 1) * spec.interval_us;
            let scale = prices.variance.isqrt() * 1_000_000 / usual.max(1);
            let asked = scale.max(1_000_000).min(spec.scale_max_ppm.into()) as u32;
            let before = prices.scales;
            prices.scales.0 = asked;
            if asked <= before.1 {
                (prices.scales.1, prices.behind) = (asked, 0);
            } else {
                if prices.behind == 0 {
                    prices.behind = now.max(1);
                }
                let from = (prices.behind + spec.grace_us).max(since);
                let rise = u128::from(now.saturating_sub(from)) * u128::from(spec.rise_ppm);
                let most = u128::from(before.1) + rise / 1_000_000;
                prices.scales.1 = most.min(asked.into()) as u32;
            }
            let (initial_ppm, maintenance_ppm) = prices.scales;
            if prices.scales != before {
                let market = MarketId(n as u16);
                self.events.push(Event::MarginScaled { market, initial_ppm, maintenance_ppm });
            }
        }
        let next = self.venues[n].prices.next_return;
        self.remind(n, next);
    }
}
