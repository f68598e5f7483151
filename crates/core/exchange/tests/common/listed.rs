//! Markets to be listed, in the few numbers that tests vary, and who may list them.

use super::*;

/// What anyone may list who leaves a bond of 1,000; account 0 governs, if anybody.
pub(crate) fn rules(authority: bool, anyone: bool, markets_max: u32) -> ListingSpec {
    let open = Permissionless {
        bond: 1_000,
        leverage_max: 10,
        jump_ppm_max: 100_000,
        open_interest_max: 1_000_000_000_000,
    };
    ListingSpec {
        authorities: authority.then(|| address(0)).into_iter().collect(),
        markets_max,
        permissionless: anyone.then_some(open),
    }
}

/// Bounds within which a listed market's mark may jump.
pub(crate) fn sanity(jump_ppm: u32) -> SanitySpec {
    SanitySpec {
        jump_ppm,
        confirm_us: 1_000_000,
        rate_ppm: 20_000,
        hold_us: 5_000_000,
        limit_us: 60_000_000,
        auction_us: 5_000_000,
        wide_us: 30_000_000,
    }
}

/// A linear perpetual, of the sizes that the twin knows.
pub(crate) fn market(name: &str, initial_margin_ppm: u32, prices: PriceSpec) -> MarketSpec {
    let product = Product::Perpetual {
        contract: Contract::Linear,
        initial_margin_ppm,
        maintenance_margin_ppm: initial_margin_ppm / 2,
        mark_band_ppm: 30_000,
    };
    MarketSpec { product, prices, ..perpetual(name) }
}

/// The market with sources of its own, if it has any, a key for each weight.
pub(crate) fn listing(market: MarketSpec, oracle: Option<OracleSpec>, bond: u64) -> Listing {
    let oracle = oracle.map(|rules| {
        let keys = (0..rules.weights.len() as u32).map(|n| address(100 + n)).collect();
        ListedOracle { keys, rules }
    });
    Listing { market, oracle, bond }
}
