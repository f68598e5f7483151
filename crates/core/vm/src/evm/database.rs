//! revm's view of the tables; how its results go back into them is in [`super::changes`].
//!
//! Reads cannot fail: on a witness that leaves out an object, the table remembers the fault and
//! the object reads as absent; who re-executes asks [`atoll_state::object::fault`] before
//! believing the result.

use super::history;
use super::objects::{
    Account, AccountKey, Block, CodeKey, EvmTables, STORAGE_ONLY, Singleton, SlotKey,
};
use super::query::At;
use super::recent::{Kept, Recent};
use super::transition::{BlockHashes, MissingBlockHash, SpecId};
use atoll_state::{Object, Source, Table};
use atoll_types::{Address, B256, U256};
use core::convert::Infallible;
use revm::bytecode::Bytecode;
use revm::primitives::KECCAK_EMPTY;
use revm::state::{AccountId, AccountInfo};
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
        let accounts = &mut self.tables.accounts;
        let handle = accounts.handle(&AccountKey(address));
        let mut info = info(accounts.at(handle), address == self.sender);
        if let Some(info) = &mut info {
            info.account_id = AccountId::new(handle.number() as usize);
        }
        Ok(info)
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

/// The tables as they are, or were, read without recording.
#[derive(Debug)]
pub struct Peek<'a, S: Source> {
    pub(super) tables: &'a EvmTables<S>,
    pub(super) recent: &'a Recent,
    pub(super) at: At,
}

impl<S: Source> Clone for Peek<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Source> Copy for Peek<'_, S> {}

impl<'a, S: Source> Peek<'a, S> {
    fn read<O: Object>(
        &self,
        table: &'a Table<O, S>,
        key: &O::Key,
        before: impl FnOnce(Kept) -> Option<&'a O>,
    ) -> Option<&'a O> {
        match self.at {
            At::Open => table.peek(key),
            At::Sealed => table.peek_before(key),
            At::After(kept) => before(kept).or_else(|| table.peek_before(key)),
        }
    }

    pub(super) fn account(&self, address: Address) -> Option<&'a Account> {
        let (recent, key) = (self.recent, AccountKey(address));
        self.read(&self.tables.accounts, &key, |kept| recent.account(kept, &key))
    }

    pub(super) fn slot(&self, key: &SlotKey) -> U256 {
        let recent = self.recent;
        let found = self.read(&self.tables.storage, key, |kept| recent.slot(kept, key));
        found.map(|slot| slot.0).unwrap_or_default()
    }

    pub(super) fn block_hash(&self, number: u64) -> B256 {
        B256::from(self.slot(&history::slot_of(number)))
    }

    pub(super) fn block(&self) -> Block {
        let recent = self.recent;
        let found = self.read(&self.tables.block, &Singleton, |kept| recent.block(kept));
        found.copied().unwrap_or_default()
    }
}

impl<S: Source> DatabaseRef for Peek<'_, S> {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        Ok(self.account(address).and_then(|account| info(account, false)))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self
            .tables
            .code
            .peek(&CodeKey(code_hash))
            .map(|code| code.0.clone())
            .unwrap_or_default())
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Infallible> {
        Ok(self.slot(&SlotKey { address, slot }))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        Ok(self.block_hash(number))
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
