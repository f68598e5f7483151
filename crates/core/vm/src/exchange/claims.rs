//! Claims: what each account could take out of the environment, as the hub pays it in a snapshot
//! exit (`docs/SETTLEMENT.md`, "Claims").
//!
//! A claim is recorded in the token's smallest unit on the hub: of an asset that is collateral what
//! the collateral wallet is worth at the current marks ([`Exchange::worth`]) and the spot balance
//! together, of another asset the spot balance, held or not. It is never negative, so what bankrupt accounts owe makes the total larger than what the
//! environment holds.
//!
//! * An account's claims are renewed when money enters or leaves it, and those of
//!   [`ExchangeVmSpec::claims_per_slot`] accounts at each slot's opening, in order of their numbers
//!   and from the beginning again. Trading renews none: a claim is at most accounts ÷
//!   `claims_per_slot` slots old.
//! * [`ClaimTotal`] is the exact sum of its token's claims at all times.

use super::ExchangeVmSpec;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use atoll_exchange::{AccountId, Exchange};
use atoll_state::{Key, Object, Source, Table, TableVisitor, Tables};
use atoll_types::codec::{CodecError, put_varint};
use atoll_types::{Address, Decode, Encode, Reader, U256};

/// Finds what an account may claim of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClaimKey {
    /// Whose.
    pub account: Address,
    /// The token, by its address on the hub.
    pub token: Address,
}

impl Encode for ClaimKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.account.as_slice());
        out.extend_from_slice(self.token.as_slice());
    }
}

impl Decode for ClaimKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { account: r.address()?, token: r.address()? })
    }
}

impl Key for ClaimKey {}

/// What an account may claim, in the token's smallest unit on the hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim(pub U256);

impl Encode for Claim {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes::<32>());
    }
}

impl Decode for Claim {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        r.u256().map(Self)
    }
}

impl Object for Claim {
    const TAG: u8 = 0x50;
    const NAME: &'static str = "claim";
    type Key = ClaimKey;
}

/// The key of what there is one of for each token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenKey(pub Address);

impl Encode for TokenKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_slice());
    }
}

impl Decode for TokenKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        r.address().map(Self)
    }
}

impl Key for TokenKey {}

/// The sum of all claims of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClaimTotal(pub U256);

impl Encode for ClaimTotal {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes::<32>());
    }
}

impl Decode for ClaimTotal {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        r.u256().map(Self)
    }
}

impl Object for ClaimTotal {
    const TAG: u8 = 0x51;
    const NAME: &'static str = "total of claims";
    type Key = TokenKey;
}

/// The key of the cursor, of which there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CursorKey;

impl Encode for CursorKey {
    fn encode(&self, _: &mut Vec<u8>) {}
}

impl Decode for CursorKey {
    fn decode(_: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self)
    }
}

impl Key for CursorKey {
    fn dense(&self) -> Option<u32> {
        Some(0)
    }
}

/// The account whose claims the next slot renews first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClaimCursor(pub u32);

impl Encode for ClaimCursor {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.into());
    }
}

impl Decode for ClaimCursor {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        r.length("account number", u32::MAX).map(Self)
    }
}

impl Object for ClaimCursor {
    const TAG: u8 = 0x52;
    const NAME: &'static str = "cursor of claims";
    type Key = CursorKey;
}

/// The claims of all accounts.
#[derive(Debug)]
pub(super) struct Claims<S: Source> {
    claims: Table<Claim, S>,
    totals: Table<ClaimTotal, S>,
    cursor: Table<ClaimCursor, S>,
}

impl<S: Source> Tables<S> for Claims<S> {
    fn visit(&mut self, visitor: &mut impl TableVisitor<S>) {
        visitor.visit(&mut self.claims);
        visitor.visit(&mut self.totals);
        visitor.visit(&mut self.cursor);
    }
}

impl<S: Source> Claims<S> {
    pub(super) fn new(seed: u64) -> Self {
        Self { claims: Table::new(seed), totals: Table::new(seed), cursor: Table::new(seed) }
    }

    pub(super) fn of(&self, account: Address, token: Address) -> U256 {
        self.claims.peek(&ClaimKey { account, token }).map_or(U256::ZERO, |claim| claim.0)
    }

    pub(super) fn total(&self, token: Address) -> U256 {
        self.totals.peek(&TokenKey(token)).map_or(U256::ZERO, |total| total.0)
    }

    /// Records what an account could take out now; writes only what changed.
    pub(super) fn renew(
        &mut self,
        spec: &ExchangeVmSpec,
        exchange: &mut Exchange<S>,
        account: AccountId,
    ) {
        let owner = exchange.owner(account);
        for hub in &spec.hub_assets {
            let worth = exchange.worth(account, hub.asset);
            let due = hub.to_hub(worth.max(0));
            let claim = self.claims.handle(&ClaimKey { account: owner, token: hub.token });
            let before = self.claims.at(claim).0;
            if due == before {
                continue;
            }
            self.claims.at_mut(claim).0 = due;
            let total = self.totals.get_mut(&TokenKey(hub.token));
            // Saturates only on a witness that leaves objects out, which nobody believes.
            total.0 = total.0.saturating_add(due).saturating_sub(before);
        }
    }

    /// Renews all accounts.
    pub(super) fn renew_all(&mut self, spec: &ExchangeVmSpec, exchange: &mut Exchange<S>) {
        if !spec.hub_assets.is_empty() {
            (0..exchange.accounts()).for_each(|n| self.renew(spec, exchange, AccountId(n)));
        }
    }

    /// Renews the next accounts in turn.
    pub(super) fn renew_next(&mut self, spec: &ExchangeVmSpec, exchange: &mut Exchange<S>) {
        let accounts = exchange.accounts();
        let count = spec.claims_per_slot.min(accounts);
        if spec.hub_assets.is_empty() || count == 0 {
            return;
        }
        let first = self.cursor.get(&CursorKey).0;
        let at = |n: u32| ((u64::from(first) + u64::from(n)) % u64::from(accounts)) as u32;
        for n in 0..count {
            self.renew(spec, exchange, AccountId(at(n)));
        }
        if at(count) != first {
            self.cursor.set(&CursorKey, ClaimCursor(at(count)));
        }
    }

    /// Tokens whose total is not the sum of their claims. Walks all claims.
    pub(super) fn mismatches(&self) -> Vec<(Address, String)> {
        let mut sums: BTreeMap<Address, U256> = BTreeMap::new();
        for (key, claim) in self.claims.local_iter() {
            let sum = sums.entry(key.token).or_default();
            *sum = sum.saturating_add(claim.0);
        }
        for (key, _) in self.totals.local_iter() {
            sums.entry(key.0).or_default();
        }
        let wrong = |(token, sum): (Address, U256)| {
            let total = self.total(token);
            let told = format!("claims of token {token} sum to {sum}, their total is {total}");
            (total != sum).then_some((token, told))
        };
        sums.into_iter().filter_map(wrong).collect()
    }
}
