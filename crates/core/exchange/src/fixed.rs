//! Exponential and logarithm in fixed point: deterministic, with stated error.
//!
//! Fractions are in units of 2⁻³² ([`ONE`] is 1). No floats, no tables that a platform could round
//! otherwise: 31 constants, multiplications and shifts.

/// One, in units of 2⁻³².
pub const ONE: u64 = 1 << 32;
/// Longest time of [`decay`], in microseconds: what exceeds it counts as it (some 19 hours).
pub const ELAPSED_MAX_US: u64 = 1 << 36;

/// log₂ e in units of 2⁻⁶², rounded down.
const LOG2_E: u64 = 0x5c55_1d94_ae0b_f85d;
/// ln 2 in units of 2⁻⁶², rounded down.
const LN_2: u64 = 0x2c5c_85fd_f473_de6a;
/// 2^(−2⁻ᵏ) for k = 1 … 31, in units of 2⁻⁶⁴, rounded down.
const ROOTS: [u64; 31] = [
    0xb504_f333_f9de_6484,
    0xd744_fcca_d69d_6af4,
    0xeac0_c6e7_dd24_392e,
    0xf525_7d15_2486_cc2c,
    0xfa83_b2db_722a_033a,
    0xfd3e_0c0c_f486_c174,
    0xfe9e_115c_7b8f_884b,
    0xff4e_cb59_511e_c8a5,
    0xffa7_5652_1c8d_aed1,
    0xffd3_a751_c0f7_e10b,
    0xffe9_d2b2_f7db_2755,
    0xfff4_e91b_ff1b_8c3d,
    0xfffa_747e_a004_0664,
    0xfffd_3a3b_7814_eb53,
    0xfffe_9d1c_c60d_dab1,
    0xffff_4e8e_2587_9bfa,
    0xffff_a747_0363_f451,
    0xffff_d3a3_7dda_0313,
    0xffff_e9d1_bdf7_03ae,
    0xffff_f4e8_debe_025e,
    0xffff_fa74_6f4f_a150,
    0xffff_fd3a_37a3_f8b0,
    0xffff_fe9d_1bd1_065a,
    0xffff_ff4e_8de8_45ad,
    0xffff_ffa7_46f4_1376,
    0xffff_ffd3_a37a_05e3,
    0xffff_ffe9_d1bd_01fb,
    0xffff_fff4_e8de_80c0,
    0xffff_fffa_746f_4050,
    0xffff_fffd_3a37_a024,
    0xffff_fffe_9d1b_d011,
];

/// e^(−elapsed / tau) in units of 2⁻³², rounded down: the weight that is left of an average of time
/// constant `tau` after `elapsed`. Off by less than 2⁻³². A `tau` of zero counts as one.
pub fn decay(elapsed_us: u64, tau_us: u64) -> u64 {
    let elapsed = u128::from(elapsed_us.min(ELAPSED_MAX_US));
    // The power of two, in units of 2⁻⁶²: below 2³⁶ × 2⁶³.
    let power = elapsed * u128::from(LOG2_E) / u128::from(tau_us.max(1));
    let whole = (power >> 62) as u64;
    if whole > 32 {
        return 0;
    }
    let fraction = power as u64 & ((1 << 62) - 1);
    let mut value = 1u64 << 63;
    for (k, root) in (1u32..).zip(&ROOTS) {
        if fraction >> (62 - k) & 1 == 1 {
            value = ((u128::from(value) * u128::from(*root)) >> 64) as u64;
        }
    }
    // What is left of the fraction is z < 2⁻³¹: 2^−z = 1 − z ln 2, off by less than 2⁻⁶³.
    let rest = fraction & ((1 << 31) - 1);
    let slope = ((u128::from(rest) * u128::from(LN_2)) >> 62) as u64;
    value -= ((u128::from(value) * u128::from(slope)) >> 62) as u64;
    value >> (31 + whole)
}

/// log₂ of a number above zero, in units of 2⁻³², rounded down. Of zero it is zero.
pub fn log2(number: u64) -> u64 {
    if number == 0 {
        return 0;
    }
    let whole = number.ilog2();
    // In units of 2⁻⁶³: 1 to below 2.
    let mut mantissa = number << (63 - whole);
    let mut bits = u64::from(whole);
    for _ in 0..32 {
        // Squaring doubles the logarithm; what exceeds 2 is its next bit.
        let square = (u128::from(mantissa) * u128::from(mantissa)) >> 63;
        let bit = (square >> 64) as u64;
        mantissa = (square >> bit) as u64;
        bits = bits << 1 | bit;
    }
    bits
}

/// ln(to / from) in units of 2⁻³², off by less than 2⁻³¹; both above zero.
pub fn ln_ratio(from: u64, to: u64) -> i64 {
    let difference = i128::from(log2(to)) - i128::from(log2(from));
    // Below 2³⁸ × 2⁶².
    (difference * i128::from(LN_2) / (1 << 62)) as i64
}

#[cfg(test)]
#[allow(clippy::float_arithmetic, reason = "what the fixed point is held against")]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_off_by_less_than_one_unit() {
        let tau = 150_000_000;
        for elapsed in (0..4_000_000_000u64).step_by(1_234_567).chain([1, 500, 3_000_000, tau]) {
            let exact = (-(elapsed as f64) / tau as f64).exp() * ONE as f64;
            let found = decay(elapsed, tau) as f64;
            assert!(found <= exact + 1e-5 && found > exact - 1.0 - 1e-5, "{elapsed}: {found}");
        }
        assert_eq!((decay(0, tau), decay(0, 0), decay(u64::MAX, 1)), (ONE, ONE, 0));
        // 3 s of 150 s: e^−0.02 = 0.98019867330675…
        assert_eq!(decay(3_000_000, tau), 4_209_921_245);
        // As much time as there is, of as long a constant as there is.
        assert_eq!(decay(u64::MAX, ELAPSED_MAX_US), (0.367_879_441_171_442_33 * ONE as f64) as u64);
    }

    #[test]
    fn the_exponential_of_a_sum_is_the_product() {
        for (a, b) in [(1_000_000, 2_000_000), (7, 11), (149_999_999, 1), (40_000_000, 90_000_000)]
        {
            let product =
                (u128::from(decay(a, 30_000_000)) * u128::from(decay(b, 30_000_000))) >> 32;
            let sum = u128::from(decay(a + b, 30_000_000));
            assert!(sum.abs_diff(product) <= 2, "{a} {b}: {sum} {product}");
        }
    }

    #[test]
    fn the_logarithm_is_off_by_less_than_stated() {
        assert_eq!((log2(0), log2(1), log2(2), log2(1 << 40)), (0, 0, ONE, 40 * ONE));
        for (from, to) in
            [(1000, 1001), (1, 1 << 39), (600_000, 599_999), (7, 7), (1000, 1), (3, 2)]
        {
            let exact = (to as f64 / from as f64).ln() * ONE as f64;
            let found = ln_ratio(from, to) as f64;
            assert!((found - exact).abs() < 2.0, "{from} {to}: {found} {exact}");
        }
    }
}
