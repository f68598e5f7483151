//! The state that a benchmark's blocks begin with.

use crate::evm::json::{Hex, HexAddress, Number, Small};
use crate::evm::record::PreAccount;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use std::collections::BTreeMap;

/// Wei that whoever sends has.
const FUNDS: u128 = 1_000_000_000_000_000_000_000;

/// Accounts with what they hold.
#[derive(Debug, Default)]
pub(super) struct State(pub(super) BTreeMap<HexAddress, PreAccount>);

/// The so-many-th address of a kind.
pub(super) fn address(kind: &str, index: u64) -> Address {
    Address::from_word(keccak256([kind.as_bytes(), &index.to_be_bytes()].concat()))
}

/// A word that holds an address.
pub(super) fn word(address: Address) -> U256 {
    U256::from_be_bytes(address.into_word().0)
}

/// Where Solidity keeps what a mapping has for a key.
pub(super) fn mapped(key: U256, mapping: U256) -> U256 {
    let both = [key.to_be_bytes::<32>(), mapping.to_be_bytes()].concat();
    U256::from_be_bytes(keccak256(both).0)
}

impl State {
    fn account(&mut self, address: Address) -> &mut PreAccount {
        self.0.entry(Hex(address)).or_insert_with(|| PreAccount {
            balance: Number(U256::ZERO),
            nonce: Small(0),
            code: Hex(Bytes::new()),
            storage: BTreeMap::new(),
        })
    }

    /// An account with money.
    pub(super) fn fund(&mut self, address: Address) {
        self.account(address).balance = Number(U256::from(FUNDS));
    }

    /// A contract.
    pub(super) fn put_code(&mut self, address: Address, code: &Bytes) {
        let account = self.account(address);
        (account.nonce, account.code) = (Small(1), Hex(code.clone()));
    }

    /// What a slot holds.
    pub(super) fn put_slot(&mut self, address: Address, slot: U256, value: U256) {
        self.account(address).storage.insert(Number(slot), Number(value));
    }
}

/// A hash for what has to have one.
pub(super) fn randao() -> B256 {
    B256::repeat_byte(0x29)
}
