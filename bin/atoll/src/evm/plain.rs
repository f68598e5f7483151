//! Blocks by revm alone, on a state in its own form: what ours is measured against.

use super::json::HexAddress;
use super::record::PreAccount;
use alloy_primitives::B256;
use anyhow::anyhow;
use atoll_vm::evm::transition::{BlockEnv, CfgEnv, SpecId, TxEnv};
use revm::bytecode::Bytecode;
use revm::database::{CacheDB, DatabaseRef, EmptyDB};
use revm::handler::MainnetContext;
use revm::primitives::{Address, StorageKey, StorageValue};
use revm::state::AccountInfo;
use revm::{ExecuteCommitEvm, MainBuilder};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::time::{Duration, Instant};

/// Nothing but block hashes.
#[derive(Clone, Copy)]
struct Hashes<'a>(&'a (dyn Fn(u64) -> Option<B256> + Sync));

impl fmt::Debug for Hashes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hashes")
    }
}

impl DatabaseRef for Hashes<'_> {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        EmptyDB::default().basic_ref(address)
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, Infallible> {
        EmptyDB::default().code_by_hash_ref(hash)
    }

    fn storage_ref(&self, at: Address, key: StorageKey) -> Result<StorageValue, Infallible> {
        EmptyDB::default().storage_ref(at, key)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        Ok((self.0)(number).unwrap_or_default())
    }
}

/// The time of a block's transactions, one after the other.
pub(crate) fn execute(
    accounts: &BTreeMap<HexAddress, PreAccount>,
    (config, block): (&CfgEnv, &BlockEnv),
    hashes: &(dyn Fn(u64) -> Option<B256> + Sync),
    transactions: &[TxEnv],
) -> anyhow::Result<Duration> {
    let mut state = CacheDB::new(Hashes(hashes));
    for (address, account) in accounts {
        let code = account.code.0.clone();
        // What looks like a delegation is one since EIP-7702.
        let code = match config.spec.is_enabled_in(SpecId::PRAGUE) {
            true => Bytecode::new_raw_checked(code.clone())
                .unwrap_or_else(|_| Bytecode::new_legacy(code)),
            false => Bytecode::new_legacy(code),
        };
        let info = AccountInfo::from_bytecode(code)
            .with_balance(account.balance.0)
            .with_nonce(account.nonce.0);
        state.insert_account_info(address.0, info);
        for (slot, value) in account.slots() {
            state.insert_account_storage(address.0, slot, value)?;
        }
    }
    let mut evm = MainnetContext::new(state, config.spec)
        .with_cfg(config.clone())
        .with_block(block.clone())
        .build_mainnet();
    let started = Instant::now();
    for (index, transaction) in transactions.iter().enumerate() {
        let executed = evm.transact_commit(transaction.clone());
        executed.map_err(|error| anyhow!("revm alone: transaction {index}: {error}"))?;
    }
    Ok(started.elapsed())
}
