//! Funding: what keeps a perpetual near its underlying.
//!
//! As Hyperliquid's (documentation, "Funding"). Rates are parts per billion (ppb), positive where
//! longs pay.
//! * The premium is sampled every 5 s of chain time, at the first tick at or after each multiple
//!   of 5 s: `(max(impact bid − oracle, 0) − max(oracle − impact ask, 0)) / oracle`, rounded toward
//!   zero and held to ±100 %. An impact price is the average price of trading the impact notional
//!   at once against that side; a side that cannot fill it within [`IMPACT_LEVELS`] price levels
//!   counts for nothing.
//! * At the first tick of an hour, the hour before pays. With P the mean of its samples (rounded
//!   toward zero), the rate of 8 hours is `P + clamp(interest − P, −clamp, +clamp)`, that of the
//!   hour an eighth of it, rounded toward zero, held to ±cap.
//! * A position pays `size × oracle price × rate`, an inverse one `size × K / oracle price × rate`
//!   of its coin. So the index rises by `price of a lot at the oracle × rate`, exactly: quote units per lot × 10⁹. (At ±2⁷⁷ it stays:
//!   2⁵¹ hours of a baseline rate where a lot costs a dollar.)
//! * An hour without a sample pays nothing. So after a pause of the chain, or of the market, the
//!   hours that were missed cost one comparison and nobody anything: nobody could have closed a
//!   position in them.
//!
//! dYdX reckons an index per base quantum, in parts per million, of 8-hour rates for any time; its
//! vectors hold for this arithmetic too (see the tests).

use crate::ids::{Amount, Price};
use crate::objects::FundingHour;
use crate::rules::MarketRules;
use crate::spec::prices::{FundingSpec, PPB};

/// Time between premium samples.
pub(crate) const SAMPLE_US: u64 = 5_000_000;
/// Time between payments.
pub(crate) const HOUR_US: u64 = 3_600_000_000;
/// Most price levels that an impact price looks at.
pub(crate) const IMPACT_LEVELS: u32 = 32;
/// Payments in the time that rates are for.
const HOURS_PER_RATE: i64 = 8;

/// An impact price in parts of a tick.
pub(crate) type ImpactPrice = u64;
/// Parts of a tick that impact prices count in.
pub(crate) const IMPACT_PARTS: u64 = 256;

/// Adds up levels, best first, until the notional is filled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Impact<'a> {
    rules: &'a MarketRules,
    notional: u64,
    /// Quote units and lots of the levels taken so far.
    paid: u128,
    lots: u128,
}

impl<'a> Impact<'a> {
    pub(crate) fn new(rules: &'a MarketRules, notional: u64) -> Self {
        Self { rules, notional, paid: 0, lots: 0 }
    }

    /// Takes a level; gives the average price, rounded down, once it fills what is missing.
    pub(crate) fn take(&mut self, price: Price, size: u128) -> Option<ImpactPrice> {
        if self.rules.inverse {
            return self.take_inverse(price, size);
        }
        let lot = u128::from(price * self.rules.multiplier);
        let missing = u128::from(self.notional) - self.paid;
        // Sizes of a level: below 2⁷² (2³² orders of 2⁴⁰), so their value stays below 2¹²⁰.
        let value = size * lot;
        if value < missing {
            self.paid += value;
            self.lots += size;
            return None;
        }
        // N / (lots + missing / lot), in ticks: N × price / (lots × lot + missing). Both products
        // are below 2¹¹²: the lots taken cost less than N < 2⁶² at one quote unit or more each.
        let whole = u128::from(self.notional) * u128::from(price) * u128::from(IMPACT_PARTS);
        u64::try_from(whole / (self.lots * lot + missing)).ok()
    }

    /// The same for a lot that is worth K / price of a coin: lots × K over the coin they cost.
    fn take_inverse(&mut self, price: Price, size: u128) -> Option<ImpactPrice> {
        let lot = u128::from(self.rules.multiplier);
        let missing = u128::from(self.notional) - self.paid;
        // Below 2⁷² × 2⁴⁸.
        let value = (size * lot).checked_div(u128::from(price)).unwrap_or(0);
        if value < missing {
            self.paid += value;
            self.lots += size;
            return None;
        }
        // The lots taken cost less than N < 2⁶² of coin at prices below 2⁴⁰: below 2¹⁰², × 2⁸.
        let whole = self.lots * lot + missing * u128::from(price);
        let price = (whole * u128::from(IMPACT_PARTS)).checked_div(u128::from(self.notional));
        u64::try_from(price.unwrap_or(0)).ok()
    }
}

/// A premium sample.
pub(crate) fn premium(bid: Option<ImpactPrice>, ask: Option<ImpactPrice>, oracle: Price) -> i64 {
    let oracle = i128::from(oracle) * i128::from(IMPACT_PARTS);
    if oracle == 0 {
        return 0;
    }
    let above = bid.map_or(0, |bid| (i128::from(bid) - oracle).max(0));
    let below = ask.map_or(0, |ask| (oracle - i128::from(ask)).max(0));
    let ppb = (above - below) * i128::from(PPB) / oracle;
    ppb.clamp(-i128::from(PPB), i128::from(PPB)) as i64
}

/// The rate of an hour with these samples.
pub(crate) fn rate(spec: &FundingSpec, sum: i64, count: u32) -> i64 {
    let premium = sum / i64::from(count.max(1));
    let clamp = i64::from(spec.clamp_ppb);
    let rate = premium + (i64::from(spec.interest_ppb) - premium).clamp(-clamp, clamp);
    let cap = i64::from(spec.cap_ppb);
    (rate / HOURS_PER_RATE).clamp(-cap, cap)
}

/// By how much an hour at this rate moves the index.
pub(crate) fn index_change(rules: &MarketRules, oracle: Price, rate: i64) -> Amount {
    if rules.inverse {
        // A lot is worth K / price: rounded toward zero, less than 10⁻⁹ of a unit a lot.
        let lot = Amount::from(rules.multiplier) * Amount::from(rate);
        return lot.checked_div(Amount::from(oracle)).unwrap_or(0);
    }
    // Below 2⁴⁸ × 2³⁰.
    rules.value(oracle, 1) * Amount::from(rate)
}

/// Moves on to the hour of a time; gives rate and mean premium of the hour that ended, if it pays.
pub(crate) fn turn(spec: &FundingSpec, state: &mut FundingHour, now_us: u64) -> Option<(i64, i64)> {
    let hour = now_us / HOUR_US;
    if hour <= state.hour {
        return None;
    }
    let ended = core::mem::replace(&mut state.hour, hour);
    let (sum, count) = (core::mem::take(&mut state.sum), core::mem::take(&mut state.count));
    if ended == 0 || count == 0 {
        return None;
    }
    state.rate = rate(spec, sum, count);
    Some((state.rate, sum / i64::from(count)))
}

/// Takes in a sample; the next is due at the next multiple of the sampling time.
pub(crate) fn sample(state: &mut FundingHour, premium: i64, now_us: u64) {
    state.premium = premium;
    // An hour has 720 samples of at most 10⁹.
    state.sum = state.sum.saturating_add(premium);
    state.count = state.count.saturating_add(1);
    state.next_us = now_us - now_us % SAMPLE_US + SAMPLE_US;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AssetId, AssetSpec, ExchangeSpec, Limits, MarketSpec, PriceSpec, Product, Rules};

    /// BTC in tenths of a dollar and hundred-thousandths of a coin: one unit a tick and lot.
    fn rules(tick: u64, price_decimals: u8) -> MarketRules {
        let (initial_margin_ppm, maintenance_margin_ppm, mark_band_ppm) = (50_000, 25_000, 10_000);
        let market = MarketSpec {
            name: "BTC".into(),
            product: Product::Perpetual {
                contract: crate::Contract::Linear,
                initial_margin_ppm,
                maintenance_margin_ppm,
                mark_band_ppm,
            },
            price_decimals,
            size_decimals: 5,
            tick,
            lot: 1,
            price_max: 10_000_000,
            order_size_max: 1 << 39,
            notional_min: 1,
            price_band_ppm: 200_000,
            maker_fee_ppm: 0,
            taker_fee_ppm: 0,
            risk: crate::MarketRisk::default(),
            prices: PriceSpec::default(),
        };
        let spec = ExchangeSpec {
            assets: [AssetSpec { symbol: "USDC".into(), decimals: 6, pledge: None, borrow_ppm: 0 }]
                .into(),
            collateral: AssetId(0),
            markets: [market].into(),
            self_trade: Default::default(),
            limits: Limits::default(),
            liquidation: crate::LiquidationSpec::default(),
            oracle: Default::default(),
            listing: Default::default(),
        };
        Rules::new(spec).unwrap().market(crate::MarketId(0)).unwrap().clone()
    }

    const HYPERLIQUID: fn() -> FundingSpec = || FundingSpec::hyperliquid(20_000_000_000);

    /// Hyperliquid's baseline: no premium, interest of 0.01 % per 8 hours, 0.00125 % per hour.
    #[test]
    fn the_baseline_is_0_0000125_per_hour() {
        assert_eq!(rate(&HYPERLIQUID(), 0, 720), 12_500);
        // Premiums between −0.04 % and 0.06 % are all clamped to the interest rate.
        for premium in [-400_000, -1, 1, 600_000] {
            assert_eq!(rate(&HYPERLIQUID(), premium * 720, 720), 12_500);
        }
    }

    /// Hyperliquid's example: impact bid 10,100 at an oracle of 10,000 is a premium of 1 %; the
    /// rate is 1 % + clamp(0.01 % − 1 %, ±0.05 %) = 0.95 %, so 10 contracts pay 10 × 10,000 ×
    /// 0.95 % / 8 = 118.75 dollars an hour.
    #[test]
    fn the_example_of_a_premium_of_one_percent() {
        let impact = |dollars: u64| Some(dollars * 10 * IMPACT_PARTS);
        let premium = premium(impact(10_100), impact(10_200), 100_000);
        assert_eq!(premium, 10_000_000);
        let rate = rate(&HYPERLIQUID(), premium * 720, 720);
        assert_eq!(rate, 9_500_000 / 8);
        let index = index_change(&rules(1, 1), 100_000, rate);
        // 10 coins are a million lots; in millionths of a dollar.
        assert_eq!(index * 1_000_000 / 1_000_000_000, 118_750_000);
    }

    #[test]
    fn the_rate_is_capped_at_4_percent_an_hour() {
        assert_eq!(rate(&HYPERLIQUID(), 1_000_000_000, 1), 40_000_000);
        assert_eq!(rate(&HYPERLIQUID(), -1_000_000_000, 1), -40_000_000);
    }

    /// dYdX's `GetFundingIndexDelta` (protocol/x/perpetuals/funding): 8-hour rate in ppm × share
    /// of 8 hours × quote quanta a base quantum, rounded toward zero. Its index is per base
    /// quantum, ours per lot × 10⁹; with a lot of `quanta`, theirs is ours × 10⁶ / (10⁹ × quanta).
    /// A market here has at least one unit a lot, so its first vector, a price of 1000 where a unit
    /// is 10¹² quanta, is a lot of 10⁷ of them (size decimals 5) at 10,000 units.
    #[test]
    fn dydx_vectors_hold() {
        let dydx = |rules: &MarketRules, price, rate_ppm: i64, hours: i64, quanta: Amount| {
            let hourly = rate_ppm * 1_000 / HOURS_PER_RATE;
            let index: Amount = (0..hours).map(|_| index_change(rules, price, hourly)).sum();
            index / (1_000 * quanta)
        };
        // Price 1000, atomic resolution −12, 8 hours: 1001.999 → 1001.
        let market = rules(1, 1);
        let quanta = 10_000_000;
        assert_eq!(dydx(&market, 10_000, 1_001_999, 8, quanta), 1_001);
        assert_eq!(dydx(&market, 10_000, -1_001_999, 8, quanta), -1_001);
        // Price 100,000, atomic resolution −4 (10⁷ units a quantum), 4 hours. Our lot is 10⁻⁵ of a
        // unit, a tenth of a quantum.
        assert_eq!(dydx(&market, 1_000_000, -1_001_999, 4, 1), -5_009_995_000_000 / 10);
        // Price 0.001, atomic resolution 0 (1000 units a quantum), 1 hour, at a price 10⁵ as high:
        // the lot is 10⁻⁵ of a quantum.
        assert_eq!(dydx(&market, 1_000, -1_001_999, 1, 1), -125_249_875);
    }

    #[test]
    fn an_impact_price_is_the_average_of_what_it_fills() {
        let rules = rules(1, 1);
        // 20,000 units: 10 lots at 1000, and 10,000 units at 1100 are 9.0909 lots.
        let mut impact = Impact::new(&rules, 20_000);
        assert_eq!(impact.take(1000, 10), None);
        let found = impact.take(1100, 1_000_000).unwrap();
        assert_eq!(found, 20_000 * 1100 * 256 / (10 * 1100 + 10_000));
        assert_eq!(found / IMPACT_PARTS, 1047);
        assert_eq!(Impact::new(&rules, 20_000).take(1000, 20), Some(1000 * IMPACT_PARTS));
        // The bounds of everything.
        let mut impact = Impact::new(&rules, (1 << 62) - 1);
        assert_eq!(impact.take(1, (1 << 62) - 2), None);
        assert!(impact.take(10_000_000, 1 << 72).is_some());
    }

    #[test]
    fn a_premium_is_of_one_side_or_none() {
        let at = |price: u64| Some(price * IMPACT_PARTS);
        assert_eq!(premium(at(990), at(1010), 1000), 0);
        assert_eq!(premium(at(1010), at(1020), 1000), 10_000_000);
        assert_eq!(premium(at(980), at(990), 1000), -10_000_000);
        assert_eq!(premium(None, None, 1000), 0);
        assert_eq!(premium(at(5000), None, 1000), 1_000_000_000, "held to 100 %");
        assert_eq!(premium(at(1), None, 0), 0);
    }

    #[test]
    fn hours_that_were_missed_pay_nothing() {
        let spec = HYPERLIQUID();
        let mut state = FundingHour::default();
        assert_eq!(turn(&spec, &mut state, 5 * HOUR_US + 7), None, "the first look");
        sample(&mut state, 1_000_000, 5 * HOUR_US + 7);
        assert_eq!(state.next_us, 5 * HOUR_US + SAMPLE_US);
        sample(&mut state, 3_000_000, 5 * HOUR_US + SAMPLE_US);
        assert_eq!(turn(&spec, &mut state, 6 * HOUR_US - 1), None);
        // Three days later: hour 5 pays once, 71 hours pay nothing.
        let rate = (2_000_000 - 500_000) / 8;
        assert_eq!(turn(&spec, &mut state, 77 * HOUR_US), Some((rate, 2_000_000)));
        assert_eq!((state.hour, state.sum, state.count), (77, 0, 0));
        assert_eq!(turn(&spec, &mut state, 78 * HOUR_US), None, "no sample, no payment");
    }
}
