//! What a spec says of prices: oracle sources, mark, funding, volatility and sanity bounds.
//!
//! Times are microseconds of chain time, fractions parts per million (ppm) or per billion (ppb).

use crate::field::{Field, codec, record};
use crate::ids::PPM;
use alloc::vec::Vec;
use atoll_types::codec::{CodecError, Reader};

/// Most oracle sources.
pub const SOURCES_BOUND: u32 = 16;
/// Bound of times in a price spec: what [`crate::fixed::decay`] tells apart.
pub const TIME_BOUND_US: u64 = crate::fixed::ELAPSED_MAX_US;
/// Parts per billion.
pub const PPB: u32 = 1_000_000_000;

/// Who tells oracle prices, and what is believed of it. The keys that sign are the environment's;
/// here a source is its place in [`OracleSpec::weights`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OracleSpec {
    /// Weight of each source in the median.
    pub weights: Vec<u32>,
    /// Age from which on a source's price counts no longer; 0 for never.
    pub stale_us: u64,
    /// How far a source may be from the median of the others before it is ignored; 0 for any far.
    pub deviation_ppm: u32,
    /// Weight that fresh sources which agree need together; below it the oracle stays as it is.
    pub quorum: u32,
    /// How long a market may be without a quorum before it only takes orders that reduce; 0 for
    /// ever.
    pub reduce_only_after_us: u64,
}

impl Default for OracleSpec {
    /// One source that is always believed.
    fn default() -> Self {
        let weights = Vec::from([1]);
        Self { weights, stale_us: 0, deviation_ppm: 0, quorum: 1, reduce_only_after_us: 0 }
    }
}

impl Field for OracleSpec {
    fn put(&self, out: &mut Vec<u8>) {
        (self.weights.len() as u64).put(out);
        self.weights.iter().for_each(|weight| weight.put(out));
        self.stale_us.put(out);
        self.deviation_ppm.put(out);
        self.quorum.put(out);
        self.reduce_only_after_us.put(out);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let count = r.length("oracle sources", SOURCES_BOUND)?;
        Ok(Self {
            weights: (0..count).map(|_| Field::get(r)).collect::<Result<_, _>>()?,
            stale_us: Field::get(r)?,
            deviation_ppm: Field::get(r)?,
            quorum: Field::get(r)?,
            reduce_only_after_us: Field::get(r)?,
        })
    }
}
codec!(OracleSpec);

/// How a perpetual's mark is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MarkRule {
    /// At each tick: the median of best bid, best ask and last trade, within the mark band.
    #[default]
    Book,
    /// As Hyperliquid's, within the mark band: see [`crate::MarketPrices`].
    Robust {
        /// Shortest time between two updates without a new oracle price.
        interval_us: u64,
    },
}

impl Field for MarkRule {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Book => out.push(0),
            Self::Robust { interval_us } => {
                out.push(1);
                interval_us.put(out);
            }
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        match r.u8()? {
            0 => Ok(Self::Book),
            1 => Ok(Self::Robust { interval_us: Field::get(r)? }),
            _ => Err(CodecError::Invalid("mark rule")),
        }
    }
}

/// Funding of a perpetual. Rates are per 8 hours unless said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FundingSpec {
    /// What the impact prices are prices of, in quote units.
    pub impact_notional: u64,
    /// The interest rate, ppb.
    pub interest_ppb: u32,
    /// How far the interest may pull the rate from the premium, ppb.
    pub clamp_ppb: u32,
    /// Bound of the rate of one hour, ppb.
    pub cap_ppb: u32,
}
record!(FundingSpec { impact_notional, interest_ppb, clamp_ppb, cap_ppb });

impl FundingSpec {
    /// Hyperliquid's rates (documentation, "Funding"): interest 0.01 % and clamp 0.05 % per 8
    /// hours, cap 4 % per hour.
    pub fn hyperliquid(impact_notional: u64) -> Self {
        let (interest_ppb, clamp_ppb, cap_ppb) = (100_000, 500_000, 40_000_000);
        Self { impact_notional, interest_ppb, clamp_ppb, cap_ppb }
    }
}

/// How the variance of a market's returns is estimated from one sample to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolatilityModel {
    /// v ← λ v + (1 − λ) r².
    Ewma {
        /// λ, ppm.
        lambda_ppm: u32,
    },
    /// GARCH(1,1): v ← (1 − α − β) v₀ + α r² + β v, where √v₀ is the reference.
    Garch {
        /// α, ppm.
        alpha_ppm: u32,
        /// β, ppm.
        beta_ppm: u32,
    },
}

impl Default for VolatilityModel {
    /// RiskMetrics' λ = 0.94.
    fn default() -> Self {
        Self::Ewma { lambda_ppm: 940_000 }
    }
}

impl Field for VolatilityModel {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ewma { lambda_ppm } => {
                out.push(0);
                lambda_ppm.put(out);
            }
            Self::Garch { alpha_ppm, beta_ppm } => {
                out.push(1);
                alpha_ppm.put(out);
                beta_ppm.put(out);
            }
        }
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        match r.u8()? {
            0 => Ok(Self::Ewma { lambda_ppm: Field::get(r)? }),
            1 => Ok(Self::Garch { alpha_ppm: Field::get(r)?, beta_ppm: Field::get(r)? }),
            _ => Err(CodecError::Invalid("volatility model")),
        }
    }
}

/// Dynamic margin: requirements that rise with realised volatility.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolatilitySpec {
    /// The estimator.
    pub model: VolatilityModel,
    /// Time between two samples of the mark.
    pub interval_us: u64,
    /// Standard deviation of the return of one interval that the margins of the spec are made for,
    /// ppm: volatility below it changes nothing.
    pub reference_ppm: u32,
    /// The most that requirements are multiplied by, ppm.
    pub scale_max_ppm: u32,
    /// How long the maintenance margin of open positions stays where it is when volatility rises.
    pub grace_us: u64,
    /// How fast it may rise after that, ppm per second.
    pub rise_ppm: u32,
}
record!(VolatilitySpec { model, interval_us, reference_ppm, scale_max_ppm, grace_us, rise_ppm });

/// Price sanity bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SanitySpec {
    /// The largest step of oracle or mark that is believed at once, ppm of the price before.
    pub jump_ppm: u32,
    /// How long a larger one must last before the mark follows at all.
    pub confirm_us: u64,
    /// How fast oracle and mark then follow, ppm per second.
    pub rate_ppm: u32,
    /// Shortest time for which the market only takes orders that reduce.
    pub hold_us: u64,
    /// Longest time for which it does.
    pub limit_us: u64,
    /// Call phase of the auction that reopens it.
    pub auction_us: u64,
    /// How long after reopening the bounds are twice as wide.
    pub wide_us: u64,
}
record!(SanitySpec { jump_ppm, confirm_us, rate_ppm, hold_us, limit_us, auction_us, wide_us });

/// The prices of a perpetual market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriceSpec {
    /// How the mark is made.
    pub mark: MarkRule,
    /// Funding; none if left out.
    pub funding: Option<FundingSpec>,
    /// Dynamic margin; none if left out.
    pub volatility: Option<VolatilitySpec>,
    /// Sanity bounds; none if left out. They need [`MarkRule::Robust`].
    pub sanity: Option<SanitySpec>,
}
record!(PriceSpec { mark, funding, volatility, sanity });

/// A rule of a spec that does not hold: key under the table, what was found, what was expected.
pub(crate) type Wrong = (&'static str, u64, &'static str);

impl OracleSpec {
    /// What an environment cannot run with.
    pub(crate) fn check(&self) -> Result<(), Wrong> {
        let total: u64 = self.weights.iter().map(|weight| u64::from(*weight)).sum();
        let count = self.weights.len();
        let expected = "1 to 16 sources, each of a weight of 1 to 1000000";
        let ok = (1..=SOURCES_BOUND as usize).contains(&count)
            && self.weights.iter().all(|weight| (1..=PPM).contains(weight));
        ensure(ok, "weights", count as u64, expected)?;
        time("stale_us", self.stale_us)?;
        time("reduce_only_after_us", self.reduce_only_after_us)?;
        let expected = "below 1000000";
        ensure(self.deviation_ppm < PPM, "deviation_ppm", self.deviation_ppm.into(), expected)?;
        let quorum = u64::from(self.quorum);
        let expected = "above zero and at most the sum of the weights";
        ensure((1..=total).contains(&quorum), "quorum", quorum, expected)
    }
}

impl PriceSpec {
    /// What an exchange cannot run with.
    pub(crate) fn check(&self, perpetual: bool) -> Result<(), Wrong> {
        if !perpetual {
            let ok = *self == Self::default();
            return ensure(ok, "prices", 1, "no price rules: a spot market has no oracle");
        }
        if let MarkRule::Robust { interval_us } = self.mark {
            positive_time("prices.mark.interval_us", interval_us)?;
        }
        if let Some(funding) = &self.funding {
            let FundingSpec { impact_notional, interest_ppb, clamp_ppb, cap_ppb } = *funding;
            let ok = (1..1 << 62).contains(&impact_notional);
            let expected = "1 to 2^62 - 1 quote units";
            ensure(ok, "prices.funding.impact_notional", impact_notional, expected)?;
            for (key, found) in [
                ("prices.funding.interest_ppb", interest_ppb),
                ("prices.funding.clamp_ppb", clamp_ppb),
                ("prices.funding.cap_ppb", cap_ppb),
            ] {
                ensure(found <= PPB, key, found.into(), "at most 1000000000 (100 %)")?;
            }
        }
        self.volatility.map_or(Ok(()), |volatility| volatility.check())?;
        self.sanity.map_or(Ok(()), |sanity| sanity.check(self.mark))
    }
}

impl VolatilitySpec {
    fn check(&self) -> Result<(), Wrong> {
        positive_time("prices.volatility.interval_us", self.interval_us)?;
        time("prices.volatility.grace_us", self.grace_us)?;
        let (key, found) = match self.model {
            VolatilityModel::Ewma { lambda_ppm } => ("prices.volatility.lambda_ppm", lambda_ppm),
            VolatilityModel::Garch { alpha_ppm, beta_ppm } => {
                ("prices.volatility.alpha_ppm", alpha_ppm.saturating_add(beta_ppm))
            }
        };
        ensure(found < PPM, key, found.into(), "below 1000000 (in sum with beta_ppm)")?;
        let ok = (1..=PPM).contains(&self.reference_ppm);
        let key = "prices.volatility.reference_ppm";
        ensure(ok, key, self.reference_ppm.into(), "1 to 1000000")?;
        let ok = (PPM..=10 * PPM).contains(&self.scale_max_ppm);
        let key = "prices.volatility.scale_max_ppm";
        ensure(ok, key, self.scale_max_ppm.into(), "1000000 to 10000000")?;
        let ok = (1..=PPM).contains(&self.rise_ppm);
        ensure(ok, "prices.volatility.rise_ppm", self.rise_ppm.into(), "1 to 1000000")
    }
}

impl SanitySpec {
    fn check(&self, mark: MarkRule) -> Result<(), Wrong> {
        let robust = matches!(mark, MarkRule::Robust { .. });
        ensure(robust, "prices.sanity", 1, "no sanity bounds, or the robust mark with them")?;
        let ok = (1..=PPM / 2).contains(&self.jump_ppm);
        ensure(ok, "prices.sanity.jump_ppm", self.jump_ppm.into(), "1 to 500000")?;
        let ok = (1..=PPM / 10).contains(&self.rate_ppm);
        ensure(ok, "prices.sanity.rate_ppm", self.rate_ppm.into(), "1 to 100000")?;
        time("prices.sanity.confirm_us", self.confirm_us)?;
        time("prices.sanity.wide_us", self.wide_us)?;
        positive_time("prices.sanity.auction_us", self.auction_us)?;
        positive_time("prices.sanity.limit_us", self.limit_us)?;
        let ok = self.hold_us <= self.limit_us;
        ensure(ok, "prices.sanity.hold_us", self.hold_us, "at most limit_us")
    }
}

fn ensure(ok: bool, key: &'static str, found: u64, expected: &'static str) -> Result<(), Wrong> {
    if ok { Ok(()) } else { Err((key, found, expected)) }
}

fn time(key: &'static str, found: u64) -> Result<(), Wrong> {
    ensure(found < TIME_BOUND_US, key, found, "below 2^36 microseconds (19 hours)")
}

fn positive_time(key: &'static str, found: u64) -> Result<(), Wrong> {
    ensure(found > 0, key, found, "above zero")?;
    time(key, found)
}
