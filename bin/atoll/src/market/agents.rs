//! The built-in market: seeded agents that trade with one another.
//!
//! Arrivals are self-exciting (a Hawkes process with an exponential kernel, simulated by Ogata's
//! thinning): trades come in bursts, as on real venues. Four kinds of agent act: *makers* quote
//! both sides around the oracle price, *takers* cross the spread, *momentum* traders follow the
//! last moves, *noise* traders leave and withdraw small limit orders. Everything is a function of
//! the seed and of what the venue answers.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Buy or sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Buys.
    Bid,
    /// Sells.
    Ask,
}

/// How long an order works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Rests until cancelled.
    Limit,
    /// Rests or is refused.
    PostOnly,
    /// Trades at once, the rest is dropped.
    Immediate,
}

/// What an agent wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// A new order.
    Place {
        /// Buy or sell.
        side: Side,
        /// Limit price, in ticks.
        price: u64,
        /// Size, in lots.
        size: u64,
        /// How long it works.
        kind: Kind,
    },
    /// Withdraw the agent's order that has rested longest.
    CancelOldest,
}

/// A market as the agents see it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct View {
    /// Best bid, in ticks.
    pub(crate) best_bid: Option<u64>,
    /// Best ask, in ticks.
    pub(crate) best_ask: Option<u64>,
    /// Oracle price, in ticks.
    pub(crate) oracle: u64,
}

/// What kind of trader an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Maker,
    Taker,
    Momentum,
    Noise,
}

/// Rates of the arrival process, per second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrivals {
    /// Arrivals that nothing provokes.
    pub(crate) base_per_s: f64,
    /// Arrivals that one arrival provokes on average; below 1, or the process explodes.
    pub(crate) branching: f64,
    /// How fast excitement fades, per second.
    pub(crate) decay_per_s: f64,
}

impl Arrivals {
    /// A process with this mean rate, of which `branching` is provoked.
    pub(crate) fn with_mean(rate_per_s: f64, branching: f64) -> Self {
        // A burst lasts a few gaps: excitement that fades slower averages out.
        let decay_per_s = rate_per_s.max(1.0);
        Self { base_per_s: rate_per_s * (1.0 - branching), branching, decay_per_s }
    }
}

/// A self-exciting point process.
#[derive(Debug)]
struct Hawkes {
    arrivals: Arrivals,
    excitement: f64,
}

impl Hawkes {
    /// Seconds until the next arrival.
    fn next(&mut self, rng: &mut SmallRng) -> f64 {
        let mut waited = 0.0;
        loop {
            let bound = self.arrivals.base_per_s + self.excitement;
            let step = -(1.0 - rng.random::<f64>()).ln() / bound;
            waited += step;
            self.excitement *= (-self.arrivals.decay_per_s * step).exp();
            let rate = self.arrivals.base_per_s + self.excitement;
            if rng.random::<f64>() * bound <= rate {
                self.excitement += self.arrivals.branching * self.arrivals.decay_per_s;
                return waited;
            }
        }
    }
}

/// How orders are sized and spread in one market.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// A usual order, in lots.
    pub(crate) lot: u64,
    /// The maker's half-spread, in ticks.
    pub(crate) half_spread: u64,
    /// Standard deviation of the oracle price's step, in ticks.
    pub(crate) volatility: f64,
    /// The price the oracle is drawn back to, in ticks.
    pub(crate) anchor: u64,
}

/// The crowd in one market.
#[derive(Debug)]
pub(crate) struct Crowd {
    rng: SmallRng,
    arrivals: Hawkes,
    styles: Vec<Style>,
    scale: Scale,
    oracle: f64,
    /// Exponential average of the last moves, in ticks.
    momentum: f64,
}

/// One arrival: who acts, when, and what they want.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Seconds since the previous arrival.
    pub(crate) after_s: f64,
    /// The agent's number.
    pub(crate) agent: usize,
}

impl Crowd {
    /// `agents` traders with this seed; of ten, four make, two take, two follow, two are noise.
    pub(crate) fn new(seed: u64, agents: usize, arrivals: Arrivals, scale: Scale) -> Self {
        let styles = (0..agents)
            .map(|i| match i % 10 {
                0..=3 => Style::Maker,
                4 | 5 => Style::Taker,
                6 | 7 => Style::Momentum,
                _ => Style::Noise,
            })
            .collect();
        Self {
            rng: SmallRng::seed_from_u64(seed),
            arrivals: Hawkes { arrivals, excitement: 0.0 },
            styles,
            scale,
            oracle: scale.anchor as f64,
            momentum: 0.0,
        }
    }

    /// The next arrival.
    pub(crate) fn next_arrival(&mut self) -> Arrival {
        let after_s = self.arrivals.next(&mut self.rng);
        // Makers act most: they refresh quotes far more often than anyone trades.
        let mut agent = self.rng.random_range(0..self.styles.len());
        if self.styles[agent] != Style::Maker && self.rng.random_bool(0.4) {
            agent -= agent % 10;
            agent += self.rng.random_range(0..4usize).min(self.styles.len() - 1 - agent);
        }
        Arrival { after_s, agent }
    }

    /// Moves the oracle price by one step: a mean-reverting random walk.
    pub(crate) fn next_oracle(&mut self) -> u64 {
        let noise = (0..6).map(|_| self.rng.random::<f64>() - 0.5).sum::<f64>() * 1.4;
        let pull = (self.scale.anchor as f64 - self.oracle) * 0.0005;
        let step = noise * self.scale.volatility + pull;
        self.oracle = (self.oracle + step).max(self.scale.half_spread as f64 * 8.0 + 1.0);
        self.momentum = self.momentum * 0.9 + step * 0.1;
        self.oracle as u64
    }

    /// What an agent wants, given the market and how many of its orders rest.
    pub(crate) fn decide(&mut self, agent: usize, view: &View, resting: usize) -> Intent {
        let side = if self.rng.random_bool(0.5) { Side::Bid } else { Side::Ask };
        let size = self.size();
        let spread = self.scale.half_spread.max(1);
        match self.styles[agent] {
            Style::Maker => {
                // Cancels balance placements once the ladder is full: stale quotes leave first.
                if resting >= 12 || (resting >= 4 && self.rng.random_bool(0.45)) {
                    return Intent::CancelOldest;
                }
                let away = spread + self.rng.random_range(0..spread * 6);
                let price = shift(view.oracle, side, away);
                Intent::Place { side, price, size, kind: Kind::PostOnly }
            }
            Style::Taker => self.cross(view, side, size),
            Style::Momentum => {
                let side = if self.momentum >= 0.0 { Side::Bid } else { Side::Ask };
                self.cross(view, side, size / 2 + 1)
            }
            Style::Noise => {
                if resting >= 6 || (resting > 0 && self.rng.random_bool(0.4)) {
                    return Intent::CancelOldest;
                }
                let away = self.rng.random_range(0..spread * 10);
                let price = shift(view.oracle, side, away);
                Intent::Place { side, price, size: size / 4 + 1, kind: Kind::Limit }
            }
        }
    }

    fn cross(&mut self, view: &View, side: Side, size: u64) -> Intent {
        let touch = match side {
            Side::Bid => view.best_ask,
            Side::Ask => view.best_bid,
        };
        let slack = self.scale.half_spread * 2;
        let price = match (touch, side) {
            (Some(ask), Side::Bid) => ask + slack,
            (Some(bid), Side::Ask) => bid.saturating_sub(slack).max(1),
            (None, Side::Bid) => view.oracle + slack,
            (None, Side::Ask) => view.oracle.saturating_sub(slack).max(1),
        };
        Intent::Place { side, price, size, kind: Kind::Immediate }
    }

    /// Sizes are heavy-tailed: most near a quarter of the usual, some several times it.
    fn size(&mut self) -> u64 {
        let draw: f64 = self.rng.random::<f64>();
        let factor = 0.25 / (1.0 - draw * 0.95).powf(0.8);
        ((self.scale.lot as f64 * factor) as u64).max(1)
    }
}

/// A price `away` ticks behind `from`, seen from that side of the book.
fn shift(from: u64, side: Side, away: u64) -> u64 {
    match side {
        Side::Bid => from.saturating_sub(away).max(1),
        Side::Ask => from + away,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(seed: u64) -> Crowd {
        let scale = Scale { lot: 100, half_spread: 5, volatility: 3.0, anchor: 100_000 };
        Crowd::new(seed, 20, Arrivals::with_mean(1_000.0, 0.6), scale)
    }

    #[test]
    fn the_same_seed_makes_the_same_crowd() {
        let script = |mut c: Crowd| -> Vec<(usize, u64, Intent)> {
            (0..500)
                .map(|_| {
                    let arrival = c.next_arrival();
                    let oracle = c.next_oracle();
                    let view = View { best_bid: None, best_ask: None, oracle };
                    (arrival.agent, oracle, c.decide(arrival.agent, &view, 3))
                })
                .collect()
        };
        assert_eq!(script(crowd(7)), script(crowd(7)));
        assert_ne!(script(crowd(7)), script(crowd(8)));
    }

    #[test]
    fn arrivals_have_their_mean_and_cluster() {
        let mut c = crowd(1);
        let gaps: Vec<f64> = (0..40_000).map(|_| c.next_arrival().after_s).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean * 1_000.0 - 1.0).abs() < 0.2, "mean gap {mean}");
        // A Poisson process has a coefficient of variation of 1; bursts have more.
        assert!(variance.sqrt() / mean > 1.1, "{}", variance.sqrt() / mean);
    }
}
