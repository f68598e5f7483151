//! What few accounts have: other collateral than the collateral asset, and isolated margin.

use super::account::AccountKey;
use super::market::MarketKey;
use crate::field::{Field, record};
use crate::ids::{AccountId, Amount, AssetId, MarketId};
use crate::spec::COLLATERALS_BOUND;
use alloc::vec::Vec;
use atoll_state::{Key, Object, Sharing};
use atoll_types::codec::{CodecError, Decode, Encode, Reader};

/// What an account has in its collateral wallet of one asset besides the collateral asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// The asset.
    pub asset: AssetId,
    /// How much, never zero; negative for what is owed. Inverse positions settle here.
    pub amount: Amount,
    /// The asset's interest index at which what is owed was last charged; 0 where nothing is.
    pub index: u128,
}
record!(Holding { asset, amount, index });

/// An account's other collateral. An account that has some is flagged
/// ([`super::Account::has_holdings`]): no other account's commands look here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// The collateral asset's interest index at which a negative collateral balance was last
    /// charged; 0 where the balance is not negative.
    pub index: u128,
    /// By asset, ascending.
    list: Vec<Holding>,
}

impl Holdings {
    /// All of them, in order of assets.
    pub fn list(&self) -> &[Holding] {
        &self.list
    }

    /// What there is of an asset.
    pub fn of(&self, asset: AssetId) -> Holding {
        let found = self.list.iter().find(|holding| holding.asset == asset);
        found.copied().unwrap_or(Holding { asset, ..Holding::default() })
    }

    pub(crate) fn set(&mut self, holding: Holding) {
        match self.list.binary_search_by_key(&holding.asset, |found| found.asset) {
            Ok(at) if holding.amount == 0 => drop(self.list.remove(at)),
            Ok(at) => self.list[at] = holding,
            Err(_) if holding.amount == 0 => {}
            Err(at) => self.list.insert(at, holding),
        }
    }
}

impl Encode for Holdings {
    fn encode(&self, out: &mut Vec<u8>) {
        self.index.put(out);
        (self.list.len() as u64).put(out);
        self.list.iter().for_each(|holding| holding.put(out));
    }
}

impl Decode for Holdings {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let index = Field::get(r)?;
        let mut list: Vec<Holding> = Vec::new();
        for _ in 0..r.length("holdings", COLLATERALS_BOUND)? {
            let holding: Holding = Field::get(r)?;
            let follows = list.last().is_none_or(|last| last.asset < holding.asset);
            if !follows || holding.amount == 0 {
                return Err(CodecError::Invalid("holding"));
            }
            list.push(holding);
        }
        Ok(Self { index, list })
    }
}

impl Object for Holdings {
    const TAG: u8 = 40;
    const NAME: &'static str = "other collateral";
    type Key = AccountKey;
}

/// Finds the margin of an isolated position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IsolatedKey {
    /// Whose.
    pub account: AccountId,
    /// The position's slot.
    pub slot: u8,
}
record!(IsolatedKey { account, slot });
impl Key for IsolatedKey {}

/// The money of an isolated position, in the asset that it settles in: what the cross account gave
/// it less what it gave back. With the position's value less its cost, it is what the position is
/// worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IsolatedMargin {
    /// How much; negative where unrealised profit or funding was taken out of it.
    pub margin: Amount,
}
record!(IsolatedMargin { margin });
impl Object for IsolatedMargin {
    const TAG: u8 = 41;
    const NAME: &'static str = "isolated margin";
    type Key = IsolatedKey;
}

/// Finds the interest index of an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BorrowKey(pub AssetId);
impl Encode for BorrowKey {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
}
impl Decode for BorrowKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self(Field::get(r)?))
    }
}
impl Key for BorrowKey {
    fn dense(&self) -> Option<u32> {
        MarketKey(MarketId(self.0.0)).dense()
    }
}

/// What has accrued so far on a debt of the asset: Σ yearly rate in parts per million × time in
/// microseconds. It moves at ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BorrowIndex {
    /// The sum.
    pub index: u128,
}
record!(BorrowIndex { index });
impl Object for BorrowIndex {
    const TAG: u8 = 42;
    const NAME: &'static str = "interest index";
    type Key = BorrowKey;
    const SHARING: Sharing = Sharing::Frozen;
}
