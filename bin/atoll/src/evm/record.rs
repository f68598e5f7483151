//! What state tests and recorded blocks have in common.

use super::json::{Data, HexAddress, Number, Small};
use alloy_primitives::{Address, U256};
use atoll_state::Resident;
use atoll_vm::evm::objects::EvmTables;
use atoll_vm::evm::transition::{
    self, Authorization, Either, RecoveredAuthority, RecoveredAuthorization, SpecId,
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// An account of a recorded state.
#[derive(Debug, Deserialize)]
pub(crate) struct PreAccount {
    pub(crate) balance: Number,
    pub(crate) nonce: Small,
    #[serde(default)]
    pub(crate) code: Data,
    #[serde(default)]
    pub(crate) storage: BTreeMap<Number, Number>,
}

impl PreAccount {
    /// Its storage slots with their values.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (U256, U256)> {
        self.storage.iter().map(|(slot, value)| (slot.0, value.0))
    }
}

/// Tables that hold a recorded state.
pub(crate) fn load(
    accounts: &BTreeMap<HexAddress, PreAccount>,
    spec: SpecId,
) -> EvmTables<Resident> {
    let mut tables = EvmTables::new(0);
    for (address, account) in accounts {
        let (nonce, balance) = (account.nonce.0, account.balance.0);
        let code = account.code.0.clone();
        transition::put_account(
            &mut tables,
            spec,
            address.0,
            (nonce, balance),
            code,
            account.slots(),
        );
    }
    tables
}

/// The authorization (EIP-7702) of whom a signature gives; one that fits no key has no effect.
pub(crate) fn authorization(
    (chain_id, address, nonce): (U256, Address, u64),
    authority: Option<Address>,
) -> Either<transition::SignedAuthorization, RecoveredAuthorization> {
    let authority = authority.map_or(RecoveredAuthority::Invalid, RecoveredAuthority::Valid);
    let inner = Authorization { chain_id, address, nonce };
    Either::Right(RecoveredAuthorization::new_unchecked(inner, authority))
}
