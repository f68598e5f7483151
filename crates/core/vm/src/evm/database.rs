//! revm's view of the tables; how its results go back into them is in [`super::changes`].
//!
//! Reads cannot fail: on a witness that leaves out an object, the table remembers the fault and
//! the object reads as absent; who re-executes asks [`atoll_state::object::fault`] before
//! believing the result.

use super::history;
use super::objects::{Account, AccountKey, CodeKey, EvmTables, STORAGE_ONLY, SlotKey};
use super::query::{At, read};
use super::transition::{BlockHashes, MissingBlockHash, SpecId};
use atoll_state::Source;
use atoll_types::{Address, B256, U256};
use core::convert::Infallible;
use revm::bytecode::Bytecode;
use revm::primitives::KECCAK_EMPTY;
use revm::state::AccountInfo;
use revm::{Database, DatabaseRef};

/// The nonce under which revm sees an account that has money, storage and neither nonce nor code.
/// Nothing that executes can read the nonce of another account.
const NONCE_ABOVE_STORAGE: u64 = 1 << 63;

/// An account in revm's form.
pub(super) fn info(account: &Account, sends: bool) -> Option<AccountInfo> {
    if *account == Account::default() {
        return None;
    }
    let (nonce, code_hash) = match account.code_hash {
        // revm asks nonce and code hash alone before it creates a contract, so one of them must say
        // that there is something: the one that leaves an account as empty as it is.
        // Who sends has a nonce before long, and its own is asked for.
        STORAGE_ONLY if account.nonce > 0 || sends => (account.nonce, KECCAK_EMPTY),
        STORAGE_ONLY if account.balance.is_zero() => (0, B256::ZERO),
        STORAGE_ONLY => (NONCE_ABOVE_STORAGE, KECCAK_EMPTY),
        _ => (account.nonce, account.code_hash_or_empty()),
    };
    let code = (!account.has_code()).then(Bytecode::default);
    Some(AccountInfo { balance: account.balance, nonce, code_hash, account_id: None, code })
}

/// The account that revm left, in the form of the tables.
pub(super) fn account_of(before: &Account, info: &AccountInfo) -> Account {
    let (balance, mut nonce, mut code_hash) = (info.balance, info.nonce, info.code_hash);
    if before.code_hash == STORAGE_ONLY {
        nonce = if nonce == NONCE_ABOVE_STORAGE { 0 } else { nonce };
        if [KECCAK_EMPTY, B256::ZERO].contains(&code_hash) {
            code_hash = STORAGE_ONLY;
        }
    }
    Account { nonce, balance, code_hash }
}

/// The tables, every read recorded.
#[derive(Debug)]
pub(super) struct Recorded<'a, S: Source> {
    pub(super) tables: &'a mut EvmTables<S>,
    pub(super) hashes: BlockHashes<'a>,
    /// Who sends the transaction.
    pub(super) sender: Address,
}

impl<S: Source> Database for Recorded<'_, S> {
    type Error = MissingBlockHash;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, MissingBlockHash> {
        let sends = address == self.sender;
        Ok(info(self.tables.accounts.get(&AccountKey(address)), sends))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, MissingBlockHash> {
        Ok(self.tables.code.get(&CodeKey(code_hash)).0.clone())
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, MissingBlockHash> {
        Ok(self.tables.storage.get(&SlotKey { address, slot }).0)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, MissingBlockHash> {
        match self.hashes {
            BlockHashes::History => {
                Ok(B256::from(self.tables.storage.get(&history::slot_of(number)).0))
            }
            BlockHashes::Known(known) => known(number).ok_or(MissingBlockHash(number)),
        }
    }
}

/// The tables, read without recording.
#[derive(Debug)]
pub struct Peek<'a, S: Source>(pub(super) &'a EvmTables<S>, pub(super) At);

impl<S: Source> Clone for Peek<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Source> Copy for Peek<'_, S> {}

impl<S: Source> DatabaseRef for Peek<'_, S> {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        Ok(read(&self.0.accounts, &AccountKey(address), self.1)
            .and_then(|account| info(account, false)))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self.0.code.peek(&CodeKey(code_hash)).map(|code| code.0.clone()).unwrap_or_default())
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Infallible> {
        let found = read(&self.0.storage, &SlotKey { address, slot }, self.1);
        Ok(found.map(|slot| slot.0).unwrap_or_default())
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        let slot = read(&self.0.storage, &history::slot_of(number), self.1);
        Ok(slot.map(|slot| B256::from(slot.0)).unwrap_or_default())
    }
}

/// An account as a transaction that touched it leaves it: what is empty is gone since EIP-161, and
/// exists before.
pub(super) fn after_touch(spec: SpecId, account: Account) -> Account {
    let bare = Account { code_hash: account.code_hash_or_empty(), ..account };
    let bare = if spec.is_enabled_in(SpecId::SPURIOUS_DRAGON) { bare } else { bare.existing() };
    match account.code_hash {
        STORAGE_ONLY if bare != Account::default() => account,
        _ => bare,
    }
}
