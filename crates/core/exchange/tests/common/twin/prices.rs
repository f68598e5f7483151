//! The twin's prices: every rule word by word, with lists where the engine keeps sums. What is
//! shared with the engine is the exponential and the logarithm, which have tests of their own.

mod auction;
mod rates;

use super::*;
use atoll_exchange::fixed::{decay, ln_ratio};

const SECOND: u64 = 1_000_000;
const HOUR: u64 = 3600 * SECOND;

/// An average: weighted sum and weight.
type Average = (i128, i128);

#[derive(Clone, PartialEq)]
struct Call {
    until: u64,
    then: MarketStatus,
    price: u64,
    traded_at: u64,
    volume: u128,
    walk: Option<Walk>,
}

#[derive(Clone, PartialEq)]
struct Walk {
    bid: Option<(u64, u128)>,
    ask: Option<(u64, u128)>,
    range: Option<(u64, u64)>,
    /// The book it began on.
    began: Vec<(u64, u128, Side)>,
}

#[derive(Clone)]
pub(super) struct Prices {
    /// Price, external mark and time by source.
    told: BTreeMap<u8, (u64, u64, u64)>,
    ignored: Vec<u8>,
    stale_since: u64,
    /// When there is something to do.
    pub(super) due: Vec<u64>,
    basis: Average,
    book: Average,
    seen: u64,
    hour: u64,
    samples: Vec<i64>,
    next_sample: u64,
    pub(super) index: i128,
    variance: u128,
    sampled: (u64, u64),
    next_return: u64,
    behind: u64,
    pub(super) scales: (u32, u32),
    /// Since when prices are not believed, and from when on they follow.
    guarded: Option<(u64, u64)>,
    imposed: Option<(GuardReason, u64, MarketStatus)>,
    wide_until: u64,
    call: Option<Call>,
}

impl Default for Prices {
    fn default() -> Self {
        Self {
            told: BTreeMap::new(),
            ignored: Vec::new(),
            stale_since: 0,
            due: Vec::new(),
            basis: (0, 0),
            book: (0, 0),
            seen: 0,
            hour: 0,
            samples: Vec::new(),
            next_sample: 0,
            index: 0,
            variance: 0,
            sampled: (0, 0),
            next_return: 0,
            behind: 0,
            scales: (1_000_000, 1_000_000),
            guarded: None,
            imposed: None,
            wide_until: 0,
            call: None,
        }
    }
}

fn trades(status: MarketStatus) -> bool {
    [MarketStatus::Open, MarketStatus::PostOnly, MarketStatus::ReduceOnly].contains(&status)
}

/// The middle of a list in which each price stands as often as its weight says.
fn weighted_median(votes: &[(u64, u32, u8)]) -> Option<u64> {
    let each = votes.iter().flat_map(|vote| std::iter::repeat_n(vote.0, vote.1 as usize));
    let mut list: Vec<u64> = each.collect();
    list.sort();
    let half = list.len() / 2;
    match list.len() {
        0 => None,
        n if n % 2 == 1 => Some(list[half]),
        _ => Some((list[half - 1] + list[half]) / 2),
    }
}

fn far(a: u64, b: u64, ppm: u32) -> bool {
    u128::from(a.max(b) - a.min(b)) * 1_000_000 > u128::from(a.min(b)) * u128::from(ppm)
}

fn average(average: &mut Average, sample: i128, elapsed: u64, tau: u64) {
    // Nineteen hours and more are alike.
    let elapsed = elapsed.min(1 << 36);
    let left = i128::from(decay(elapsed, tau));
    average.0 = average.0 * left / (1 << 32) + sample * i128::from(elapsed);
    average.1 = average.1 * left / (1 << 32) + i128::from(elapsed);
}

fn toward(price: u64, to: u64, rate_ppm: u32, elapsed: u64) -> u64 {
    let step = u128::from(price) * u128::from(rate_ppm) * u128::from(elapsed) / 1_000_000_000_000;
    let step = step.min(u128::from(price.abs_diff(to))) as u64;
    if to > price { price + step } else { price - step }
}

fn middle(mut three: [u64; 3]) -> u64 {
    three.sort();
    three[1]
}

impl Twin {
    pub(super) fn report(&mut self, r: &OracleReport) -> Reply {
        let n = usize::from(r.market.0);
        for (wrong, code) in [
            (n >= self.spec.markets.len(), RejectCode::UnknownMarket),
            (n == 2, RejectCode::Unsupported),
            (usize::from(r.source) >= self.judges(n).weights.len(), RejectCode::NotAllowed),
            (r.price == 0, RejectCode::OffTick),
        ] {
            if wrong {
                return Err(code);
            }
        }
        if r.price.max(r.external) > self.spec.markets[n].price_max {
            return Err(RejectCode::Overflow);
        }
        let prices = &mut self.venues[n].prices;
        prices.told.insert(r.source, (r.price, r.external, r.time_us));
        prices.due = vec![0];
        Ok(Outcome::Done)
    }

    fn change(&mut self, n: usize, status: MarketStatus) {
        if self.venues[n].status != status {
            self.venues[n].status = status;
            let market = MarketId(n as u16);
            self.events.push(Event::StatusChanged { market, status });
        }
    }

    fn call(&mut self, n: usize, until: u64, then: MarketStatus) {
        let (price, traded_at, volume, walk) = (0, 0, 0, None);
        let call = Call { until: until.max(1), then, price, traded_at, volume, walk };
        self.venues[n].prices.call = Some(call);
        self.change(n, MarketStatus::Auction);
    }

    fn crossed(&self, n: usize) -> bool {
        let market = MarketId(n as u16);
        match (self.best(market, Side::Buy), self.best(market, Side::Sell)) {
            (Some(bid), Some(ask)) => bid >= ask,
            _ => false,
        }
    }

    /// The operator's word.
    pub(super) fn ask_status(&mut self, n: usize, status: MarketStatus) {
        self.venues[n].prices.imposed = None;
        if status == MarketStatus::Auction {
            return self.call(n, u64::MAX, MarketStatus::Open);
        }
        if trades(status) && self.crossed(n) {
            self.call(n, self.time_us, status);
            self.venues[n].prices.due = vec![0];
            return;
        }
        self.venues[n].prices.call = None;
        self.change(n, status);
    }

    /// Whether there was anything to do.
    pub(super) fn tick_market(&mut self, n: usize) -> bool {
        let venue = &self.venues[n];
        if [MarketStatus::Halted, MarketStatus::Settled].contains(&venue.status) {
            return false;
        }
        let due = venue.prices.due.iter().any(|time| *time <= self.time_us);
        let robust = self.spec.markets[n].prices.mark != MarkRule::Book;
        let before = (venue.mark, venue.oracle);
        let mut told = None;
        if due {
            self.venues[n].prices.due.clear();
            told = Some(self.consult(n));
        }
        match told {
            None if robust => return false,
            Some((price, external)) if robust => self.robust(n, price, external),
            told => {
                let venue = &mut self.venues[n];
                venue.oracle = told.and_then(|told| told.0).unwrap_or(venue.oracle);
                self.venues[n].mark = self.book_mark(n);
            }
        }
        let (market, mark, oracle) =
            (MarketId(n as u16), self.venues[n].mark, self.venues[n].oracle);
        if (mark, oracle) != before {
            self.events.push(Event::MarkChanged { market, mark, oracle });
        }
        if !due {
            return false;
        }
        if mark != 0 {
            self.funding(n);
            self.volatility(n);
        }
        self.statuses(n);
        true
    }

    fn remind(&mut self, n: usize, time: u64) {
        self.venues[n].prices.due.push(time);
    }

    /// What the sources say: price and external mark.
    fn consult(&mut self, n: usize) -> (Option<u64>, Option<u64>) {
        let (spec, now) = (self.judges(n), self.time_us);
        let market = MarketId(n as u16);
        let oracle = self.venues[n].oracle;
        let prices = &mut self.venues[n].prices;
        let mut votes = Vec::new();
        for (source, (price, _, time)) in &mut prices.told {
            *time = (*time).min(now);
            let until = *time + spec.stale_us;
            if spec.stale_us == 0 || until > now {
                votes.push((*price, spec.weights[usize::from(*source)], *source));
                if spec.stale_us != 0 {
                    prices.due.push(until);
                }
            }
        }
        votes.sort();
        let mut ignored = Vec::new();
        while spec.deviation_ppm != 0 && votes.len() > 1 {
            let others = |at: usize| {
                let mut rest = votes.clone();
                rest.remove(at);
                weighted_median(&rest).unwrap()
            };
            let last = votes.len() - 1;
            let (low, high) = (others(0), others(last));
            // How far: a fraction, compared by the products of means and extremes.
            let part = |a: u64, b: u64| (u128::from(a.abs_diff(b)), u128::from(a.min(b)));
            let ((a, b), (c, d)) = (part(votes[0].0, low), part(votes[last].0, high));
            let (at, of) = if a * d > c * b { (0, low) } else { (last, high) };
            if !far(votes[at].0, of, spec.deviation_ppm) {
                break;
            }
            ignored.push(votes.remove(at).2);
        }
        let weight: u32 = votes.iter().map(|vote| vote.1).sum();
        let median = weighted_median(&votes);
        for source in 0..16u8 {
            let now_ignored = ignored.contains(&source);
            if now_ignored != prices.ignored.contains(&source) {
                let (price, _, time) = prices.told[&source];
                let stale = spec.stale_us != 0 && time + spec.stale_us <= now;
                self.events.push(Event::SourceIgnored {
                    market,
                    source,
                    price: if stale { 0 } else { price },
                    median: median.unwrap_or(0),
                    ignored: now_ignored,
                });
            }
        }
        prices.ignored = ignored;
        if weight < spec.quorum {
            if prices.stale_since == 0 && oracle != 0 {
                prices.stale_since = now.max(1);
                self.events.push(Event::OracleStale { market, stale: true });
            }
            return (None, None);
        }
        if std::mem::take(&mut prices.stale_since) != 0 {
            self.events.push(Event::OracleStale { market, stale: false });
        }
        let marks: Vec<_> = votes
            .iter()
            .map(|vote| (prices.told[&vote.2].1, vote.1, vote.2))
            .filter(|mark| mark.0 != 0)
            .collect();
        (median, weighted_median(&marks))
    }

    /// Best bid, best ask and last trade, as far as there are any.
    fn three(&self, n: usize) -> [Option<u64>; 3] {
        let market = MarketId(n as u16);
        let last = self.venues[n].last;
        let (bid, ask) = (self.best(market, Side::Buy), self.best(market, Side::Sell));
        [bid, ask, (last != 0).then_some(last)]
    }

    fn banded(&self, n: usize, price: u64) -> u64 {
        let Product::Perpetual { mark_band_ppm, .. } = self.spec.markets[n].product else {
            unreachable!()
        };
        let oracle = self.venues[n].oracle;
        let band = oracle * u64::from(mark_band_ppm) / 1_000_000;
        let highest = (oracle + band).min(self.spec.markets[n].price_max);
        price.clamp(oracle - band, highest).max(1)
    }

    fn book_mark(&self, n: usize) -> u64 {
        let (three, oracle) = (self.three(n), self.venues[n].oracle);
        match three {
            _ if n != 2 && oracle == 0 => 0,
            _ if n != 2 => self.banded(n, middle(three.map(|price| price.unwrap_or(oracle)))),
            [bid, ask, Some(last)] => middle([bid.unwrap_or(last), ask.unwrap_or(last), last]),
            [Some(bid), Some(ask), None] => (bid + ask) / 2,
            _ => 0,
        }
    }

    fn robust(&mut self, n: usize, told: Option<u64>, external: Option<u64>) {
        let now = self.time_us;
        let spec = self.spec.markets[n].prices;
        let MarkRule::Robust { interval_us } = spec.mark else { unreachable!() };
        self.remind(n, now + interval_us);
        let mut tripped = None;
        let oracle = self.venues[n].oracle;
        match (told, spec.sanity) {
            (None, _) => {}
            (Some(told), Some(sanity)) if oracle != 0 => tripped = self.accept(n, &sanity, told),
            (Some(told), _) => self.venues[n].oracle = told,
        }
        let oracle = self.venues[n].oracle;
        if oracle == 0 {
            return;
        }
        let prices = &self.venues[n].prices;
        let closed = prices.imposed.is_some() || self.venues[n].status == MarketStatus::Auction;
        if prices.guarded.is_some() {
        } else if closed {
            self.venues[n].mark = oracle;
        } else {
            let made = self.make_mark(n, external);
            let (mark, wide) = (self.venues[n].mark, now < self.venues[n].prices.wide_until);
            match spec.sanity {
                Some(s) if mark != 0 && far(made, mark, s.jump_ppm * (1 + u32::from(wide))) => {
                    self.venues[n].prices.guarded = Some((now.max(1), now + s.confirm_us));
                    tripped = Some((GuardReason::MarkJump, mark, made));
                }
                _ => self.venues[n].mark = made,
            }
        }
        if self.venues[n].prices.guarded.is_some() {
            self.remind(n, now + SECOND);
        }
        if let Some((reason, from, to)) = tripped {
            self.events.push(Event::Guarded { market: MarketId(n as u16), reason, from, to });
            self.forget(n);
            let status = self.venues[n].status;
            let open = [MarketStatus::Open, MarketStatus::PostOnly].contains(&status);
            if self.venues[n].prices.imposed.is_none() && open {
                self.venues[n].prices.imposed = Some((GuardReason::OracleJump, now, status));
                self.change(n, MarketStatus::ReduceOnly);
            }
        }
    }

    fn forget(&mut self, n: usize) {
        let prices = &mut self.venues[n].prices;
        (prices.basis, prices.book, prices.seen) = ((0, 0), (0, 0), 0);
    }

    fn accept(&mut self, n: usize, s: &SanitySpec, told: u64) -> Option<(GuardReason, u64, u64)> {
        let now = self.time_us;
        let venue = &mut self.venues[n];
        let ppm = s.jump_ppm * if now < venue.prices.wide_until { 2 } else { 1 };
        let jump = far(told, venue.oracle, ppm);
        match venue.prices.guarded {
            None if jump => {
                venue.prices.guarded = Some((now.max(1), now + s.confirm_us));
                return Some((GuardReason::OracleJump, venue.oracle, told));
            }
            None => venue.oracle = told,
            Some((_, from)) if now <= from => {
                if !jump && !far(told, venue.mark, ppm) {
                    venue.oracle = told;
                    venue.prices.guarded = None;
                }
            }
            Some((since, from)) => {
                let before = (venue.oracle, venue.mark);
                venue.oracle = toward(venue.oracle, told, s.rate_ppm, now - from);
                venue.mark = toward(venue.mark, told, s.rate_ppm, now - from);
                let after = (venue.oracle, venue.mark);
                venue.prices.guarded = match () {
                    () if after == (told, told) => None,
                    () if after != before => Some((since, now)),
                    () => Some((since, from)),
                };
            }
        }
        None
    }

    /// Takes the book into the averages and makes the mark.
    fn make_mark(&mut self, n: usize, external: Option<u64>) -> u64 {
        let (now, oracle, three) = (self.time_us, self.venues[n].oracle, self.three(n));
        let local = middle(three.map(|price| price.unwrap_or(oracle)));
        let there = three.iter().any(Option::is_some);
        let prices = &mut self.venues[n].prices;
        if prices.seen != 0 && prices.seen < now {
            let elapsed = now - prices.seen;
            if let [Some(bid), Some(ask), _] = three {
                let basis = i128::from(bid + ask) * 128 - i128::from(oracle) * 256;
                average(&mut prices.basis, basis, elapsed, 150 * SECOND);
            }
            if there {
                average(&mut prices.book, i128::from(local) * 256, elapsed, 30 * SECOND);
            }
        }
        prices.seen = now;
        let basis = if prices.basis.1 == 0 { 0 } else { prices.basis.0 / prices.basis.1 };
        let first = ((i128::from(oracle) * 256 + basis).max(0) / 256) as u64;
        let mut components = vec![first];
        components.extend(there.then_some(local));
        components.extend(external);
        if components.len() == 2 && prices.book.1 != 0 {
            components.push((prices.book.0 / prices.book.1 / 256) as u64);
        }
        components.sort();
        let mark = match components[..] {
            [one] => one,
            [one, two] => (one + two) / 2,
            _ => components[1],
        };
        self.banded(n, mark)
    }

    fn statuses(&mut self, n: usize) {
        let (now, market) = (self.time_us, MarketId(n as u16));
        let (after, sanity) =
            (self.judges(n).reduce_only_after_us, self.spec.markets[n].prices.sanity);
        let venue = &self.venues[n];
        let (stale_since, status) = (venue.prices.stale_since, venue.status);
        let doubtful = venue.prices.guarded.is_some();
        let open = [MarketStatus::Open, MarketStatus::PostOnly].contains(&status);
        match venue.prices.imposed {
            None if stale_since != 0 && after != 0 && open => {
                if stale_since + after > now {
                    self.remind(n, stale_since + after);
                } else {
                    let (reason, from) = (GuardReason::OracleStale, venue.oracle);
                    self.events.push(Event::Guarded { market, reason, from, to: from });
                    self.venues[n].prices.imposed = Some((reason, now, status));
                    self.change(n, MarketStatus::ReduceOnly);
                }
            }
            Some((GuardReason::OracleStale, _, before)) if stale_since == 0 => {
                if doubtful {
                    self.venues[n].prices.imposed = Some((GuardReason::OracleJump, now, before));
                    self.remind(n, now + SECOND);
                } else {
                    self.venues[n].prices.imposed = None;
                    self.forget(n);
                    self.change(n, before);
                }
            }
            _ => {}
        }
        let imposed = self.venues[n].prices.imposed;
        if let (Some((reason, since, before)), Some(s)) = (imposed, sanity)
            && reason != GuardReason::OracleStale
        {
            let (held, limit) = (now >= since + s.hold_us, now >= since + s.limit_us);
            if limit || (held && !doubtful) {
                self.venues[n].prices.imposed = None;
                self.remind(n, now + s.auction_us);
                self.call(n, now + s.auction_us, before);
            } else {
                self.remind(n, if held { since + s.limit_us } else { since + s.hold_us });
            }
        }
    }
}
