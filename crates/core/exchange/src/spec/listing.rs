//! Who may list markets while an exchange runs, and what a market needs that anyone may list.
//!
//! Listed markets come after those of the spec; each is held to the very rules that those are held
//! to, so its products cannot overflow either.

use crate::field::{Field, codec, record};
use crate::ids::{Amount, AssetId, PPM};
use crate::spec::prices::{OracleSpec, SOURCES_BOUND, Wrong};
use crate::spec::{Contract, ExchangeSpec, MarketSpec, Product};
use alloc::vec::Vec;
use atoll_types::Address;
use atoll_types::codec::{CodecError, Reader};

/// Most addresses that list without a bond.
pub const AUTHORITIES_BOUND: u32 = 16;
/// Bound of a bond, in the smallest unit of the collateral asset.
pub const BOND_BOUND: u64 = 1 << 62;

/// Who may list markets; nobody by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListingSpec {
    /// Who lists markets without a bond, sets the status of every market and takes bonds for the
    /// insurance fund.
    pub authorities: Vec<Address>,
    /// Most markets that are ever listed beside those of the spec.
    pub markets_max: u32,
    /// What anyone else may list; none: nothing.
    pub permissionless: Option<Permissionless>,
}

impl Field for ListingSpec {
    fn put(&self, out: &mut Vec<u8>) {
        put_list(&self.authorities, out);
        self.markets_max.put(out);
        self.permissionless.put(out);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            authorities: get_list(r, "listing authorities", AUTHORITIES_BOUND)?,
            markets_max: Field::get(r)?,
            permissionless: Field::get(r)?,
        })
    }
}
codec!(ListingSpec);

/// What anyone may list who leaves a bond: spot markets, and linear perpetuals with isolated margin
/// only, sanity bounds, an open-interest cap and oracle sources of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissionless {
    /// The least bond, in the smallest unit of the collateral asset.
    pub bond: u64,
    /// Highest leverage of a perpetual.
    pub leverage_max: u8,
    /// Largest [`crate::SanitySpec::jump_ppm`] of a perpetual.
    pub jump_ppm_max: u32,
    /// Most that a perpetual's open interest may come to at its highest price, in the smallest
    /// unit of the collateral asset.
    pub open_interest_max: u128,
}
record!(Permissionless { bond, leverage_max, jump_ppm_max, open_interest_max });

/// Oracle sources that a listed market has for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedOracle {
    /// The keys that sign, as many as there are weights; a source's number is its place in both.
    pub keys: Vec<Address>,
    /// What is believed of them.
    pub rules: OracleSpec,
}

impl Field for ListedOracle {
    fn put(&self, out: &mut Vec<u8>) {
        put_list(&self.keys, out);
        self.rules.put(out);
    }
    fn get(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let keys = get_list(r, "oracle keys", SOURCES_BOUND)?;
        Ok(Self { keys, rules: Field::get(r)? })
    }
}
codec!(ListedOracle);

/// A market to be listed: all there is to say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The market, as a spec has it.
    pub market: MarketSpec,
    /// Its own oracle sources; none: those of the venue.
    pub oracle: Option<ListedOracle>,
    /// What its lister leaves as a bond, in the smallest unit of the collateral asset.
    pub bond: u64,
}
record!(Listing { market, oracle, bond });

fn put_list(list: &[Address], out: &mut Vec<u8>) {
    (list.len() as u64).put(out);
    list.iter().for_each(|address| address.put(out));
}

fn get_list(r: &mut Reader<'_>, what: &'static str, most: u32) -> Result<Vec<Address>, CodecError> {
    let count = r.length(what, most)?;
    (0..count).map(|_| r.address()).collect()
}

fn distinct(list: &[Address]) -> bool {
    let fresh = |(at, key): (usize, &Address)| !key.is_zero() && !list[..at].contains(key);
    list.iter().enumerate().all(fresh)
}

fn ensure(ok: bool, key: &'static str, found: u64, expected: &'static str) -> Result<(), Wrong> {
    if ok { Ok(()) } else { Err((key, found, expected)) }
}

impl ListingSpec {
    /// What an exchange cannot run with.
    pub(crate) fn check(&self, markets: usize) -> Result<(), Wrong> {
        let count = self.authorities.len();
        let ok = count <= AUTHORITIES_BOUND as usize && distinct(&self.authorities);
        ensure(ok, "authorities", count as u64, "at most 16 addresses, each once and not zero")?;
        let most = u64::from(self.markets_max);
        let ok = markets as u64 + most <= u64::from(crate::spec::MARKETS_BOUND);
        ensure(ok, "markets_max", most, "at most 4096 with the markets of the spec")?;
        let Some(open) = &self.permissionless else { return Ok(()) };
        let ok = (1..BOND_BOUND).contains(&open.bond);
        ensure(ok, "permissionless.bond", open.bond, "1 to 2^62 - 1 units of the collateral")?;
        let key = "permissionless.leverage_max";
        ensure(open.leverage_max > 0, key, 0, "1 to 255")?;
        let ok = (1..=PPM / 2).contains(&open.jump_ppm_max);
        let key = "permissionless.jump_ppm_max";
        ensure(ok, key, open.jump_ppm_max.into(), "1 to 500000")?;
        let ok = (1..1 << 88).contains(&open.open_interest_max);
        let found = open.open_interest_max as u64;
        ensure(ok, "permissionless.open_interest_max", found, "1 to 2^88 - 1")
    }
}

impl Listing {
    /// What no lister may list, whoever it is; the market itself is validated as those of the spec.
    pub(crate) fn check(&self) -> Result<(), Wrong> {
        ensure(self.bond < BOND_BOUND, "bond", self.bond, "below 2^62 units of the collateral")?;
        let Some(oracle) = &self.oracle else { return Ok(()) };
        let perpetual = matches!(self.market.product, Product::Perpetual { .. });
        ensure(perpetual, "oracle", 1, "no sources: a spot market has no oracle")?;
        let (keys, weights) = (oracle.keys.len(), oracle.rules.weights.len());
        let ok = keys == weights && distinct(&oracle.keys);
        ensure(ok, "oracle.keys", keys as u64, "one key a weight, each once and not zero")?;
        oracle.rules.check()
    }

    /// What only an authority may list.
    pub(crate) fn check_permissionless(
        &self,
        open: &Permissionless,
        collateral: AssetId,
        lot_value: Amount,
    ) -> Result<(), Wrong> {
        let market = &self.market;
        let Product::Perpetual { contract, initial_margin_ppm, .. } = market.product else {
            return Ok(());
        };
        let linear = contract == Contract::Linear;
        ensure(linear, "product.settle", collateral.0.into(), "a linear perpetual")?;
        let least = PPM.div_ceil(u32::from(open.leverage_max).max(1));
        let ok = initial_margin_ppm >= least;
        let key = "product.initial_margin_ppm";
        let expected = "at least 1 / listing.permissionless.leverage_max";
        ensure(ok, key, initial_margin_ppm.into(), expected)?;
        ensure(market.risk.isolated_only, "risk.isolated_only", 0, "true")?;
        let jump = market.prices.sanity.map_or(u32::MAX, |sanity| sanity.jump_ppm);
        let expected = "sanity bounds, at most listing.permissionless.jump_ppm_max";
        ensure(jump <= open.jump_ppm_max, "prices.sanity.jump_ppm", jump.into(), expected)?;
        let cap = market.risk.open_interest_max;
        let value = u128::from(cap).saturating_mul(lot_value.unsigned_abs());
        let expected = "above zero, and a value of at most listing.permissionless.\
                        open_interest_max at price_max";
        let ok = cap > 0 && value <= open.open_interest_max;
        ensure(ok, "risk.open_interest_max", cap, expected)?;
        let expected = "oracle sources of its own";
        ensure(self.oracle.is_some(), "oracle", 0, expected)
    }
}

impl ExchangeSpec {
    /// Whether an address lists without a bond and sets every market's status.
    pub fn is_authority(&self, address: &Address) -> bool {
        self.listing.authorities.contains(address)
    }
}
