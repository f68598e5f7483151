//! Dynamic margin: requirements that rise with the realised volatility of the mark.
//!
//! * At the first tick at or after each multiple of the interval, the mark is sampled. With r the
//!   logarithm of its change ([`crate::fixed::ln_ratio`], off by less than 2⁻³¹), the variance of
//!   one interval becomes, rounded down,
//!   `λ v + (1 − λ) r²` (exponentially weighted; RiskMetrics, 1996: λ = 0.94), or
//!   `(1 − α − β) v₀ + α r² + β v` (GARCH(1,1); Bollerslev, 1986), where √v₀ is the reference.
//!   It begins at v₀. A sample after k intervals counts r² / k, once.
//! * Volatility asks for a scale of √v / √v₀, at least 1 and at most the spec's maximum.
//! * The initial scale is that, at once. The maintenance scale falls with it at once; it rises
//!   only when it was below for the grace period, and then by at most the spec's rate: nobody who
//!   is in a position finds it under water from one tick to the next for volatility alone.

use crate::fixed::ln_ratio;
use crate::ids::{PPM, Price};
use crate::objects::{MarketPrices, Volatility};
use crate::spec::prices::{VolatilityModel, VolatilitySpec};

/// The variance that margins are made for, in units of 2⁻⁶⁴.
fn reference(spec: &VolatilitySpec) -> u128 {
    let deviation = (u128::from(spec.reference_ppm) << 32) / u128::from(PPM);
    deviation * deviation
}

/// The variance after a return whose square, for one interval, is this.
fn next(spec: &VolatilitySpec, variance: u128, square: u128) -> u128 {
    let ppm = u128::from(PPM);
    // Squares are below 2⁷⁴ (no price is 2⁴⁰ times another), so products stay below 2⁹⁴.
    match spec.model {
        VolatilityModel::Ewma { lambda_ppm } => {
            let lambda = u128::from(lambda_ppm);
            (variance * lambda + square * (ppm - lambda)) / ppm
        }
        VolatilityModel::Garch { alpha_ppm, beta_ppm } => {
            let (alpha, beta) = (u128::from(alpha_ppm), u128::from(beta_ppm));
            let rest = ppm - alpha - beta;
            (reference(spec) * rest + square * alpha + variance * beta) / ppm
        }
    }
}

/// The scale that a variance asks for, ppm.
fn target(spec: &VolatilitySpec, variance: u128) -> u32 {
    let reference = reference(spec).isqrt().max(1);
    let scale = variance.isqrt() * u128::from(PPM) / reference;
    scale.clamp(u128::from(PPM), u128::from(spec.scale_max_ppm)) as u32
}

/// Whether a sample is due.
pub(crate) fn is_due(state: &Volatility, now_us: u64) -> bool {
    state.next_us <= now_us
}

/// Samples the mark; sets the scales of the prices.
pub(crate) fn sample(
    spec: &VolatilitySpec,
    state: &mut Volatility,
    prices: &mut MarketPrices,
    now_us: u64,
) {
    let since = state.time_us;
    let before: Price = state.mark;
    if before == 0 {
        state.variance = reference(spec);
    } else {
        let intervals = u128::from((now_us.saturating_sub(since) / spec.interval_us).max(1));
        let change = u128::from(ln_ratio(before, prices.mark).unsigned_abs());
        state.variance = next(spec, state.variance, change * change / intervals);
    }
    (state.mark, state.time_us) = (prices.mark, now_us);
    state.next_us = now_us - now_us % spec.interval_us + spec.interval_us;

    let asked = target(spec, state.variance);
    prices.margin_scale_ppm.0 = asked;
    if asked <= prices.margin_scale_ppm.1 {
        prices.margin_scale_ppm.1 = asked;
        state.behind_since_us = 0;
        return;
    }
    if state.behind_since_us == 0 {
        state.behind_since_us = now_us.max(1);
    }
    let from = state.behind_since_us.saturating_add(spec.grace_us).max(since);
    let rise = u128::from(now_us.saturating_sub(from)) * u128::from(spec.rise_ppm) / 1_000_000;
    let most = u128::from(prices.margin_scale_ppm.1) + rise;
    prices.margin_scale_ppm.1 = most.min(u128::from(asked)) as u32;
}

#[cfg(test)]
#[allow(clippy::float_arithmetic, reason = "what the integers are held against")]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn spec(model: VolatilityModel) -> VolatilitySpec {
        VolatilitySpec {
            model,
            interval_us: 60 * SECOND,
            reference_ppm: 1_000,
            scale_max_ppm: 4_000_000,
            grace_us: 600 * SECOND,
            rise_ppm: 1_000,
        }
    }

    fn at(mark: Price) -> MarketPrices {
        MarketPrices { mark, ..MarketPrices::default() }
    }

    #[test]
    fn variance_is_that_of_the_formulas() {
        let marks = [600_000u64, 601_000, 599_000, 599_500, 580_000, 581_000, 600_000, 600_000];
        for model in [
            VolatilityModel::default(),
            VolatilityModel::Garch { alpha_ppm: 100_000, beta_ppm: 850_000 },
        ] {
            let spec = spec(model);
            let (mut state, mut prices) = (Volatility::default(), at(0));
            let mut expected = 1e-6f64;
            for (n, mark) in marks.iter().enumerate() {
                prices.mark = *mark;
                sample(&spec, &mut state, &mut prices, n as u64 * 60 * SECOND);
                if n > 0 {
                    let r = (*mark as f64 / marks[n - 1] as f64).ln();
                    expected = match model {
                        VolatilityModel::Ewma { .. } => 0.94 * expected + 0.06 * r * r,
                        VolatilityModel::Garch { .. } => {
                            0.05 * 1e-6 + 0.1 * r * r + 0.85 * expected
                        }
                    };
                }
                let found = state.variance as f64 / 2f64.powi(64);
                assert!((found / expected - 1.0).abs() < 1e-5, "{n}: {found} {expected}");
                let scale = f64::from(prices.margin_scale_ppm.0) / 1e6;
                let asked = (expected.sqrt() / 1e-3).clamp(1.0, 4.0);
                assert!((scale - asked).abs() < 1e-4, "{n}: {scale} {asked}");
            }
        }
    }

    /// A return of 1 % where 0.1 % is usual: v = 0.94 × 10⁻⁶ + 0.06 × 10⁻⁴ = 6.94 × 10⁻⁶, whose
    /// root is 2.634 times the reference.
    #[test]
    fn initial_margin_rises_at_once_and_maintenance_after_a_grace() {
        let spec = spec(VolatilityModel::default());
        let (mut state, mut prices) = (Volatility::default(), at(1_000_000));
        sample(&spec, &mut state, &mut prices, 60 * SECOND);
        assert_eq!((prices.margin_scale_ppm.0, prices.margin_scale_ppm.1), (PPM, PPM));
        let mut history = Vec::new();
        for minute in 2..16u64 {
            // Up and down by 1 %, so that volatility stays.
            prices.mark = if minute % 2 == 0 { 1_010_050 } else { 1_000_000 };
            sample(&spec, &mut state, &mut prices, minute * 60 * SECOND);
            history.push((prices.margin_scale_ppm.0, prices.margin_scale_ppm.1));
            assert!(prices.margin_scale_ppm.1 <= prices.margin_scale_ppm.0);
        }
        assert_eq!(history[0], (2_634_350, PPM));
        assert_eq!(history.last().unwrap().0, 4_000_000, "the spec's maximum");
        // Behind since minute 2; grace until minute 12; then 0.1 % a second, 6 % a minute.
        let maintenance: Vec<u32> = history.iter().map(|(_, m)| *m).collect();
        assert_eq!(maintenance[..11], [PPM; 11]);
        assert_eq!(maintenance[11..], [1_060_000, 1_120_000, 1_180_000]);
        // Calm again: both fall at once, in the end to one.
        for minute in 16..120 {
            prices.mark = 1_000_000;
            sample(&spec, &mut state, &mut prices, minute * 60 * SECOND);
        }
        assert_eq!((prices.margin_scale_ppm.0, prices.margin_scale_ppm.1), (PPM, PPM));
        assert_eq!(state.behind_since_us, 0);
    }

    /// The same return under GARCH(1,1) with α = 0.1 and β = 0.85: v = 0.05 × 10⁻⁶ + 0.1 × 0.99998 ×
    /// 10⁻⁴ + 0.85 × 10⁻⁶ = 10.9 × 10⁻⁶, and after a minute without a move 0.05 × 10⁻⁶ + 0.85 v.
    #[test]
    fn the_worked_example_of_garch() {
        let model = VolatilityModel::Garch { alpha_ppm: 100_000, beta_ppm: 850_000 };
        let (mut state, mut prices) = (Volatility::default(), at(1_000_000));
        let mut scales = Vec::new();
        for (minute, mark) in [(1, 1_000_000), (2, 1_010_050), (3, 1_010_050)] {
            prices.mark = mark;
            sample(&spec(model), &mut state, &mut prices, minute * 60 * SECOND);
            scales.push(prices.margin_scale_ppm.0 / 1000);
        }
        assert_eq!(scales, [1000, 3301, 3052]);
    }

    #[test]
    fn a_pause_is_one_sample_spread_over_it() {
        let spec = spec(VolatilityModel::default());
        let (mut state, mut prices) = (Volatility::default(), at(1_000_000));
        sample(&spec, &mut state, &mut prices, 0);
        prices.mark = 1_010_050;
        sample(&spec, &mut state, &mut prices, 100 * 60 * SECOND);
        // r² / 100 is the reference again.
        assert!(prices.margin_scale_ppm.0 < 1_001_000, "{}", prices.margin_scale_ppm.0);
        assert_eq!(state.next_us, 101 * 60 * SECOND);
    }

    #[test]
    fn the_largest_move_there_is_overflows_nothing() {
        let spec = spec(VolatilityModel::default());
        let (mut state, mut prices) = (Volatility::default(), at(1));
        for n in 0..50 {
            prices.mark = if n % 2 == 0 { 1 } else { (1 << 40) - 1 };
            sample(&spec, &mut state, &mut prices, n * 60 * SECOND);
        }
        assert_eq!(prices.margin_scale_ppm.0, 4_000_000);
    }
}
