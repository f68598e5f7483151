//! How the results of a transaction go into the tables.

use super::database::{account_of, after_touch};
use super::objects::{Account, AccountKey, Code, CodeKey, EvmTables, SlotKey, StorageSlot};
use super::transition::SpecId;
use alloc::vec::Vec;
use atoll_state::Source;
use atoll_state::object::Handle;
use atoll_types::{Address, U256};
use revm::state::{AccountInfo, EvmState};

/// Room for so many accounts is kept from one transaction to the next.
const ACCOUNTS_KEPT_MAX: usize = 2048;

/// An account that a transaction touched.
#[derive(Clone, Debug)]
pub(super) struct Touched {
    pub(super) address: Address,
    /// Whether it is gone with all of its storage.
    pub(super) destroyed: bool,
    /// Its balance is more by this than it was; else it is that of `info`.
    pub(super) added: Option<U256>,
    /// As revm left it; `None` if its balance alone changed.
    pub(super) info: Option<AccountInfo>,
    /// Slots that changed, in order, with their new values.
    pub(super) slots: Vec<(U256, U256)>,
    /// A slot that is more by so much than it was, and none of those.
    pub(super) added_slot: Option<(U256, U256)>,
}

impl Touched {
    /// An account without code, of which nothing else has changed.
    pub(super) fn account((address, after): (Address, Account)) -> Self {
        let Account { nonce, balance, code_hash } = after;
        let info = AccountInfo { balance, nonce, code_hash, account_id: None, code: None };
        let (added, slots, added_slot) = (None, Vec::new(), None);
        Self { address, destroyed: false, added, info: Some(info), slots, added_slot }
    }
}

/// The accounts that a transaction touched, in the order of addresses: revm's map has an order that depends
/// on a hasher, and the order of writes must not.
fn in_order<T>(touched: impl Iterator<Item = (Address, T)>, at_most: usize) -> Vec<(Address, T)> {
    let mut ordered = Vec::with_capacity(at_most);
    ordered.extend(touched);
    // Eight bytes nearly always say it: twice as fast as all twenty.
    let first = |address: &Address| address.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
    ordered.sort_unstable_by(|(one, _), (other, _)| {
        first(one).cmp(&first(other)).then_with(|| one.cmp(other))
    });
    ordered
}

/// Adds the slots that changed, in order, with their new values.
fn changed_slots(account: &revm::state::Account, slots: &mut Vec<(U256, U256)>) {
    let changed = account.storage.iter().filter(|(_, slot)| slot.is_changed());
    slots.extend(changed.map(|(at, slot)| (*at, slot.present_value)));
    slots.sort_unstable();
}

/// A state that was written, without its accounts: its memory serves the next transaction, unless there is so
/// much of it that clearing it takes longer than making some.
pub(super) fn emptied(mut state: EvmState) -> EvmState {
    if state.capacity() > ACCOUNTS_KEPT_MAX {
        return EvmState::default();
    }
    state.clear();
    state
}

/// Takes what a transaction touched out of the state, in the order of addresses.
pub(super) fn touched(state: &mut EvmState) -> Vec<Touched> {
    let at_most = state.len();
    let accounts = state.drain().filter(|(_, account)| account.is_touched());
    let touched = |(address, account): (Address, revm::state::Account)| {
        let destroyed = account.is_selfdestructed();
        let mut slots = Vec::new();
        if !destroyed {
            changed_slots(&account, &mut slots);
        }
        let (added, info, added_slot) = (None, Some(account.info), None);
        Touched { address, destroyed, added, info, slots, added_slot }
    };
    in_order(accounts, at_most).into_iter().map(touched).collect()
}

/// Makes the storage of an account zero.
fn clear_storage<S: Source>(tables: &mut EvmTables<S>, address: Address) {
    let slots = tables.storage.local_iter().map(|(key, _)| *key);
    let mut slots: Vec<_> = slots.filter(|key| key.address == address).collect();
    // The order of writes must not depend on where slots lie.
    slots.sort_unstable_by_key(|key| key.slot);
    for key in slots {
        tables.storage.remove(&key);
    }
}

/// Writes what a transaction changed. Returns by how much the sum of all balances fell if a
/// contract destroyed itself: base fees and what was destroyed with it.
pub(super) fn write<S: Source>(
    tables: &mut EvmTables<S>,
    spec: SpecId,
    state: &EvmState,
) -> Option<U256> {
    let accounts = state.iter().filter(|(_, account)| account.is_touched());
    let accounts = accounts.map(|(address, account)| (*address, account));
    let mut writing = Writing::new(tables, spec);
    let mut slots = Vec::new();
    for (address, account) in in_order(accounts, state.len()) {
        if account.is_selfdestructed() {
            writing.destroy(address);
            continue;
        }
        let at = account.info.account_id.map(|id| Handle::from_number(id.get() as u32));
        let at = at.unwrap_or_else(|| writing.tables.accounts.handle(&AccountKey(address)));
        writing.account(at, Some(&account.info), None);
        changed_slots(account, &mut slots);
        writing.slots(address, &slots);
        slots.clear();
    }
    writing.lost()
}

/// The same, in the form in which it is kept.
pub(super) fn apply<S: Source>(
    tables: &mut EvmTables<S>,
    spec: SpecId,
    touched: &[Touched],
) -> Option<U256> {
    let mut writing = Writing::new(tables, spec);
    for Touched { address, destroyed, added, info, slots, added_slot } in touched {
        if *destroyed {
            writing.destroy(*address);
            continue;
        }
        let at = writing.tables.accounts.handle(&AccountKey(*address));
        writing.account(at, info.as_ref(), *added);
        match *added_slot {
            None => writing.slots(*address, slots),
            Some((slot, more)) => {
                // Read in any case, as who executes one after the other does.
                let key = SlotKey { address: *address, slot };
                let before = writing.tables.storage.get(&key).0;
                let (first, last) = slots.split_at(slots.partition_point(|(at, _)| *at < slot));
                writing.slots(*address, first);
                if !more.is_zero() {
                    writing.slots(*address, &[(slot, before.saturating_add(more))]);
                }
                writing.slots(*address, last);
            }
        }
    }
    writing.lost()
}

/// What a transaction changed, being written account by account.
struct Writing<'a, S: Source> {
    tables: &'a mut EvmTables<S>,
    spec: SpecId,
    any_destroyed: bool,
    /// Modulo 2^256: only the difference matters, and that is not negative.
    lost: U256,
}

impl<'a, S: Source> Writing<'a, S> {
    fn new(tables: &'a mut EvmTables<S>, spec: SpecId) -> Self {
        Self { tables, spec, any_destroyed: false, lost: U256::ZERO }
    }

    /// A contract destroyed itself.
    fn destroy(&mut self, address: Address) {
        // Since EIP-6780 it was created in this very transaction, so nothing of its storage
        // and code was ever written here.
        self.any_destroyed = true;
        if !self.spec.is_enabled_in(SpecId::CANCUN) {
            clear_storage(self.tables, address);
        }
        let before = self.tables.accounts.remove(&AccountKey(address));
        self.lost = self.lost.wrapping_add(before.balance);
    }

    /// An account is as revm left it, but that its balance is more by `added` than it was, if that is said.
    fn account(&mut self, at: Handle, info: Option<&AccountInfo>, added: Option<U256>) {
        let before = *self.tables.accounts.at(at);
        let mut left = info.map_or(before, |info| account_of(&before, info));
        if let Some(added) = added {
            left.balance = before.balance.saturating_add(added);
        }
        self.lost = self.lost.wrapping_add(before.balance).wrapping_sub(left.balance);
        let after: Account = after_touch(self.spec, left);
        if after != before {
            *self.tables.accounts.at_mut(at) = after;
        }
        if after.code_hash != before.code_hash
            && after.has_code()
            && let Some(code) = info.and_then(|info| info.code.clone())
        {
            self.tables.code.set(&CodeKey(after.code_hash), Code(code));
        }
    }

    fn slots(&mut self, address: Address, slots: &[(U256, U256)]) {
        for (slot, value) in slots {
            self.tables.storage.set(&SlotKey { address, slot: *slot }, StorageSlot(*value));
        }
    }

    /// By how much the sum of all balances fell, if a contract destroyed itself.
    fn lost(self) -> Option<U256> {
        self.any_destroyed.then_some(self.lost)
    }
}
