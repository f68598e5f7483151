//! Ethereum's roots: Merkle-Patricia tries over accounts, storage and receipts (Yellow Paper,
//! appendix D), with crate `alloy-trie`.

use alloy_primitives::{Address, B256, Bloom, Log, U256, keccak256};
use alloy_rlp::{Encodable, Header};
use alloy_trie::root::ordered_trie_root_encoded;
use alloy_trie::{EMPTY_ROOT_HASH, HashBuilder, Nibbles, TrieAccount};
use atoll_state::Resident;
use atoll_vm::evm::objects::EvmTables;
use std::collections::BTreeMap;

/// The root over pairs of hashed key and value.
fn root(leaves: BTreeMap<B256, Vec<u8>>) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, value) in leaves {
        builder.add_leaf(Nibbles::unpack(key), &value);
    }
    builder.root()
}

/// The state root.
pub(super) fn state_root(tables: &EvmTables<Resident>) -> B256 {
    let mut storage: BTreeMap<Address, BTreeMap<B256, Vec<u8>>> = BTreeMap::new();
    for (key, value) in tables.storage() {
        let slots = storage.entry(key.address).or_default();
        slots.insert(keccak256(key.slot.to_be_bytes::<32>()), alloy_rlp::encode(value));
    }
    let leaf = |(address, account): (Address, &atoll_vm::evm::objects::Account)| {
        let storage_root = storage.remove(&address).map_or(EMPTY_ROOT_HASH, root);
        let code_hash = account.code_hash_or_empty();
        let leaf = TrieAccount::new(account.nonce, account.balance, storage_root, code_hash);
        (keccak256(address), alloy_rlp::encode(leaf))
    };
    root(tables.accounts().map(leaf).collect())
}

/// Keccak-256 of the logs' RLP: what state tests compare.
pub(super) fn logs_hash(logs: &[Log]) -> B256 {
    keccak256(alloy_rlp::encode(logs.to_vec()))
}

/// A receipt, as far as its root since Byzantium says it (EIP-658, EIP-2718).
#[derive(Clone, Debug)]
pub(super) struct TrieReceipt<'a> {
    pub(super) kind: u8,
    pub(super) success: bool,
    pub(super) cumulative_gas_used: u64,
    pub(super) logs: &'a [Log],
}

impl TrieReceipt<'_> {
    fn encoded(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        self.success.encode(&mut payload);
        self.cumulative_gas_used.encode(&mut payload);
        bloom(self.logs).encode(&mut payload);
        self.logs.to_vec().encode(&mut payload);
        let mut out = Vec::new();
        if self.kind != 0 {
            out.push(self.kind);
        }
        Header { list: true, payload_length: payload.len() }.encode(&mut out);
        out.extend_from_slice(&payload);
        out
    }
}

/// The bloom filter of logs.
pub(super) fn bloom(logs: &[Log]) -> Bloom {
    let mut bloom = Bloom::ZERO;
    logs.iter().for_each(|log| bloom.accrue_log(log));
    bloom
}

/// The root over a block's receipts.
pub(super) fn receipts_root(receipts: &[TrieReceipt<'_>]) -> B256 {
    let encoded: Vec<_> = receipts.iter().map(TrieReceipt::encoded).collect();
    ordered_trie_root_encoded(&encoded)
}

/// What differs between a state and what a file says it must be, in words.
pub(super) fn first_difference(
    tables: &EvmTables<Resident>,
    expected: &BTreeMap<Address, Expected>,
) -> Option<String> {
    let mut found: BTreeMap<Address, Expected> = BTreeMap::new();
    for (address, account) in tables.accounts() {
        let entry = found.entry(address).or_default();
        (entry.nonce, entry.balance) = (account.nonce, account.balance);
        entry.code_hash = account.code_hash_or_empty();
    }
    for (key, value) in tables.storage() {
        found.entry(key.address).or_default().storage.insert(key.slot, value);
    }
    let addresses = expected.keys().chain(found.keys());
    addresses.into_iter().find_map(|address| match (found.get(address), expected.get(address)) {
        (Some(found), Some(expected)) if found == expected => None,
        (Some(_), None) => Some(format!("account {address} exists and should not")),
        (None, Some(_)) => Some(format!("account {address} is missing")),
        (None, None) => None,
        (Some(found), Some(expected)) => {
            Some(format!("account {address}: {}", found.against(expected)))
        }
    })
}

/// An account to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) nonce: u64,
    pub(super) balance: U256,
    pub(super) code_hash: B256,
    pub(super) storage: BTreeMap<U256, U256>,
}

impl Default for Expected {
    fn default() -> Self {
        let (nonce, balance, storage) = (0, U256::ZERO, BTreeMap::new());
        Self { nonce, balance, code_hash: alloy_primitives::KECCAK256_EMPTY, storage }
    }
}

impl Expected {
    fn against(&self, expected: &Self) -> String {
        if self.nonce != expected.nonce {
            return format!("nonce {}, expected {}", self.nonce, expected.nonce);
        }
        if self.balance != expected.balance {
            return format!("balance {}, expected {}", self.balance, expected.balance);
        }
        if self.code_hash != expected.code_hash {
            return format!("code hash {}, expected {}", self.code_hash, expected.code_hash);
        }
        let slots = self.storage.keys().chain(expected.storage.keys());
        let at =
            |storage: &BTreeMap<U256, U256>, slot| storage.get(slot).copied().unwrap_or_default();
        slots
            .map(|slot| (slot, at(&self.storage, slot), at(&expected.storage, slot)))
            .find(|(_, found, expected)| found != expected)
            .map(|(slot, found, expected)| {
                format!("slot {slot:#x} is {found:#x}, expected {expected:#x}")
            })
            .unwrap_or_default()
    }
}
