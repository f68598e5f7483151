//! Ways of prices: from one stated price to the next, by diffusion and jumps, from a seed.
//!
//! Within a phase the logarithm of a market's price goes from where it was to where the phase ends.
//! A part of the way is made in a few jumps at random times, of random sizes, the same for all
//! markets; the rest evenly, or faster toward the end where the end is a low. To that comes a
//! Brownian bridge of the market's volatility, seven tenths of whose variance all markets share. So
//! every stated price is met exactly; and none is below the lowest one that is stated.

use super::scenario::{Phase, Scenario};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Part of the variance of returns that all markets have in common.
const COMMON: f64 = 0.7;
/// Steps of a phase for each jump.
const STEPS_PER_JUMP: usize = 40;

/// Prices at a time.
pub(super) struct Step {
    /// Since the beginning.
    pub(super) at_s: u64,
    /// Until the next one.
    pub(super) for_s: u64,
    /// By market, in ticks.
    pub(super) prices: Vec<u64>,
    /// How deep the makers' books are, of usual.
    pub(super) depth: f64,
}

/// The way of a scenario's prices.
pub(super) fn path(scenario: &Scenario, seed: u64) -> Vec<Step> {
    let mut rng = SmallRng::seed_from_u64(seed ^ 0x5eed_0001);
    let mut from: Vec<f64> = scenario.markets.iter().map(|market| market.price.ln()).collect();
    let (mut steps, mut at_s) = (Vec::new(), 0);
    for phase in &scenario.phases {
        let count = (phase.minutes * 60 / phase.step_s) as usize;
        let way = way(&mut rng, phase, count);
        let common = bridge(&mut rng, count);
        let by_market: Vec<Vec<u64>> = scenario
            .markets
            .iter()
            .zip(&mut from)
            .map(|(market, from)| {
                let to = phase.to[&market.name].ln();
                let own = bridge(&mut rng, count);
                let noise = phase.noise.unwrap_or(if phase.jump > 0.0 { 3.0 } else { 1.0 });
                let sigma = noise * market.volatility * (phase.step_s as f64 / 60.0).sqrt();
                let floor = market.ticks(scenario.low(market));
                let price = |i: usize| {
                    let z = COMMON.sqrt() * common[i] + (1.0 - COMMON).sqrt() * own[i];
                    let log = *from + (to - *from) * way[i] + sigma * z;
                    let ticks = market.ticks(log.exp());
                    if phase.noise.is_none() { ticks.max(floor) } else { ticks }
                };
                let prices = (0..count).map(price).collect();
                *from = to;
                prices
            })
            .collect();
        for i in 0..count {
            let prices = by_market.iter().map(|prices| prices[i]).collect();
            steps.push(Step { at_s, for_s: phase.step_s, prices, depth: phase.depth });
            at_s += phase.step_s;
        }
    }
    steps
}

/// How much of a phase's way is behind after each step; 1 after the last.
fn way(rng: &mut SmallRng, phase: &Phase, count: usize) -> Vec<f64> {
    let even = |i: usize| if phase.wick { (i + 1) as f64 } else { 1.0 };
    let total: f64 = (0..count).map(even).sum();
    let mut parts: Vec<f64> = (0..count).map(|i| even(i) / total * (1.0 - phase.jump)).collect();
    if phase.jump > 0.0 {
        let jumps: Vec<(usize, f64)> = (0..(count / STEPS_PER_JUMP).max(1))
            .map(|_| {
                // The latest of two draws where prices get faster.
                let one = rng.random_range(0..count);
                let other = rng.random_range(0..count);
                let at = if phase.wick { one.max(other) } else { one };
                (at, -(1.0 - rng.random::<f64>()).ln())
            })
            .collect();
        let total: f64 = jumps.iter().map(|(_, size)| size).sum();
        jumps.iter().for_each(|(at, size)| parts[*at] += phase.jump * size / total);
    }
    let mut behind = 0.0;
    for part in &mut parts {
        behind += *part;
        *part = behind;
    }
    parts[count - 1] = 1.0;
    parts
}

/// A Brownian bridge of unit steps: zero after the last one.
fn bridge(rng: &mut SmallRng, count: usize) -> Vec<f64> {
    let mut at = 0.0;
    let walk: Vec<f64> = (0..count)
        .map(|_| {
            at += normal(rng);
            at
        })
        .collect();
    let end = at;
    walk.iter().enumerate().map(|(i, z)| z - end * (i + 1) as f64 / count as f64).collect()
}

/// A standard normal number.
pub(super) fn normal(rng: &mut SmallRng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

#[cfg(test)]
mod tests {
    use super::super::scenario::catalogue;
    use super::*;

    #[test]
    fn every_stated_price_is_met_and_none_is_below_the_stated_low() {
        let catalogue = catalogue().unwrap();
        for scenario in &catalogue.scenarios {
            for seed in 1..4 {
                let steps = path(scenario, seed);
                let mut at = 0;
                for phase in &scenario.phases {
                    at += (phase.minutes * 60 / phase.step_s) as usize;
                    for (market, price) in scenario.markets.iter().zip(&steps[at - 1].prices) {
                        assert_eq!(*price, market.ticks(phase.to[&market.name]), "{}", phase.note);
                    }
                }
                assert_eq!(at, steps.len());
                if scenario.glitch.is_some() {
                    continue;
                }
                for (n, market) in scenario.markets.iter().enumerate() {
                    let lowest = steps.iter().map(|step| step.prices[n]).min().unwrap();
                    assert_eq!(lowest, market.ticks(scenario.low(market)), "{}", market.name);
                }
            }
        }
    }

    #[test]
    fn another_seed_is_another_path_and_the_same_seed_the_same() {
        let catalogue = catalogue().unwrap();
        let prices = |seed| -> Vec<Vec<u64>> {
            path(&catalogue.scenarios[0], seed).into_iter().map(|step| step.prices).collect()
        };
        assert_eq!(prices(1), prices(1));
        assert_ne!(prices(1), prices(2));
    }
}
