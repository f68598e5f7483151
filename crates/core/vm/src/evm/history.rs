//! Hashes of past blocks, kept where EIP-2935's contract keeps them.
//!
//! The hash of block `n` is the hash of slot `n`'s header, so it derives from the order and never
//! from a lagging state root. It is written directly at the opening of the next slot, which is
//! what the contract's system call would do.

use super::objects::{Account, AccountKey, Code, CodeKey, EvmTables, SlotKey, StorageSlot};
use atoll_state::Source;
use atoll_types::{Address, B256, U256, keccak256};
use revm::bytecode::Bytecode;
use revm::primitives::{Bytes, address, hex};

/// Address of the contract.
pub const HISTORY_ADDRESS: Address = address!("0000F90827F1C53a10cb7A02335B175320002935");
/// How many hashes it keeps.
pub const HISTORY_BLOCKS: u64 = 8191;
/// Its code, as the EIP gives it.
const HISTORY_CODE: &[u8] = &hex!(
    "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257"
    "611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500"
);

/// Deploys the contract.
pub(super) fn deploy<S: Source>(tables: &mut EvmTables<S>) {
    let code_hash = keccak256(HISTORY_CODE);
    let code = Bytecode::new_legacy(Bytes::from_static(HISTORY_CODE));
    tables.code.set(&CodeKey(code_hash), Code(code));
    let account = Account { nonce: 1, balance: U256::ZERO, code_hash };
    tables.accounts.set(&AccountKey(HISTORY_ADDRESS), account);
}

/// Where the hash of a block is kept.
pub(super) fn slot_of(number: u64) -> SlotKey {
    SlotKey { address: HISTORY_ADDRESS, slot: U256::from(number % HISTORY_BLOCKS) }
}

/// Keeps the hash of a block.
pub(super) fn record<S: Source>(tables: &mut EvmTables<S>, number: u64, hash: B256) {
    tables.storage.set(&slot_of(number), StorageSlot(U256::from_be_bytes(hash.0)));
}
