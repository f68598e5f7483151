//! What to offer for gas (EIP-1559), and what a replacement must offer.

use crate::config::Config;
use crate::port::Fees;

/// The first offer: room for the base fee to double, capped.
pub(crate) fn suggest(base_fee_wei: u128, tip_wei: u128, config: &Config) -> Fees {
    let tip_wei = tip_wei.max(config.tip_min_wei).min(config.max_fee_cap_wei);
    let max_fee_wei = base_fee_wei.saturating_mul(2).saturating_add(tip_wei);
    Fees { max_fee_wei: max_fee_wei.min(config.max_fee_cap_wei), tip_wei }
}

/// What replaces `old`: both fees raised by the configured part and at least to `suggested`;
/// `None` when the cap does not allow it.
pub(crate) fn bump(old: Fees, suggested: Fees, config: &Config) -> Option<Fees> {
    let cap = config.max_fee_cap_wei;
    let permille = 1_000 + u128::from(config.bump_permille);
    let raised = |wei: u128| wei.saturating_mul(permille).div_ceil(1_000).max(wei + 1);
    let least = Fees { max_fee_wei: raised(old.max_fee_wei), tip_wei: raised(old.tip_wei) };
    if least.max_fee_wei > cap || least.tip_wei > cap {
        return None;
    }
    let tip_wei = least.tip_wei.max(suggested.tip_wei).min(cap);
    let max_fee_wei = least.max_fee_wei.max(suggested.max_fee_wei).max(tip_wei).min(cap);
    Some(Fees { max_fee_wei, tip_wei })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_replacement_is_one_that_nodes_take_and_the_cap_holds(
            max_fee_wei in 0u128..1 << 60, tip_wei in 0u128..1 << 50,
            base in 0u128..1 << 60, tip in 0u128..1 << 60, cap in 1u128..1 << 60,
        ) {
            let config = Config { max_fee_cap_wei: cap, tip_min_wei: 0, ..Config::default() };
            let first = suggest(base, tip, &config);
            prop_assert!(first.max_fee_wei <= cap && first.tip_wei <= first.max_fee_wei);
            let old = Fees { max_fee_wei: max_fee_wei.max(tip_wei), tip_wei };
            match bump(old, first, &config) {
                Some(new) => {
                    prop_assert!(new.max_fee_wei * 1_000 >= old.max_fee_wei * 1_125);
                    prop_assert!(new.tip_wei * 1_000 >= old.tip_wei * 1_125);
                    prop_assert!(new.tip_wei <= new.max_fee_wei && new.max_fee_wei <= cap);
                }
                None => prop_assert!(old.max_fee_wei * 1_125 / 1_000 + 1 >= cap),
            }
        }
    }
}
