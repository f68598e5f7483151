//! Markets that were listed while the exchange runs: the rules of a market that is not in the spec
//! are what its object says, and nothing else.

use super::{GlobalKey, MarketKey};
use crate::field::{Field, record};
use crate::spec::MarketSpec;
use crate::spec::listing::{ListedOracle, Listing};
use alloc::boxed::Box;
use alloc::vec::Vec;
use atoll_state::Object;
use atoll_types::codec::{CodecError, Decode, Encode, Reader};
use atoll_types::{Address, B256, sha256};

/// What was listed; absent while nothing was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListingHead {
    /// How many markets.
    pub count: u16,
    /// Running hash over what was listed: [`ListingHead::then`].
    pub hash: B256,
}

impl ListingHead {
    /// The head after one more market: SHA-256 of the hash so far and the listing's encoding
    /// without its bond.
    pub fn then(&self, market: &MarketSpec, oracle: Option<&ListedOracle>, by: &Address) -> Self {
        let mut bytes = Vec::new();
        market.put(&mut bytes);
        oracle.cloned().put(&mut bytes);
        by.put(&mut bytes);
        Self { count: self.count + 1, hash: sha256(&[self.hash.as_slice(), &bytes]) }
    }
}

impl Encode for ListingHead {
    fn encode(&self, out: &mut Vec<u8>) {
        self.count.put(out);
        out.extend_from_slice(self.hash.as_slice());
    }
}

impl Decode for ListingHead {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { count: Field::get(r)?, hash: r.b256()? })
    }
}

impl Object for ListingHead {
    const TAG: u8 = 60;
    const NAME: &'static str = "listing head";
    type Key = GlobalKey;
}

/// A listed market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Who listed it.
    pub lister: Address,
    /// What was listed; of the bond, what is still there.
    pub listing: Listing,
}
record!(Listed { lister, listing });

/// A listed market, by its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedMarket(pub Option<Box<Listed>>);

impl Encode for ListedMarket {
    fn encode(&self, out: &mut Vec<u8>) {
        if let Some(listed) = &self.0 {
            listed.put(out);
        }
    }
}

impl Decode for ListedMarket {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self(Some(Box::new(Field::get(r)?))))
    }
}

impl Object for ListedMarket {
    const TAG: u8 = 61;
    const NAME: &'static str = "listed market";
    type Key = MarketKey;
}
