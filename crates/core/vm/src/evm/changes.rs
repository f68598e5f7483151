//! How the results of a transaction go into the tables.

use super::database::{account_of, after_touch};
use super::objects::{Account, AccountKey, Code, CodeKey, EvmTables, SlotKey, StorageSlot};
use super::transition::SpecId;
use alloc::vec::Vec;
use atoll_state::Source;
use atoll_types::{Address, U256};
use revm::state::{AccountInfo, EvmState};

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

/// What a transaction touched, in the order of addresses: revm's map has an order that depends on a
/// hasher, and the order of writes must not.
pub(super) fn touched(state: EvmState) -> Vec<Touched> {
    let accounts = state.into_iter().filter(|(_, account)| account.is_touched());
    let mut touched: Vec<_> = accounts
        .map(|(address, account)| {
            let destroyed = account.is_selfdestructed();
            let changed = account.storage.iter().filter(|(_, s)| s.is_changed() && !destroyed);
            let mut slots: Vec<_> = changed.map(|(at, slot)| (*at, slot.present_value)).collect();
            slots.sort_unstable();
            let (added, info, added_slot) = (None, Some(account.info), None);
            Touched { address, destroyed, added, info, slots, added_slot }
        })
        .collect();
    touched.sort_unstable_by_key(|touched| touched.address);
    touched
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
pub(super) fn apply<S: Source>(
    tables: &mut EvmTables<S>,
    spec: SpecId,
    touched: Vec<Touched>,
) -> Option<U256> {
    let destroys_old = !spec.is_enabled_in(SpecId::CANCUN);
    let mut any_destroyed = false;
    // Modulo 2^256: only the difference matters, and that is not negative.
    let mut lost = U256::ZERO;
    for Touched { address, destroyed, added, info, mut slots, added_slot } in touched {
        let key = AccountKey(address);
        let before = *tables.accounts.get(&key);
        lost = lost.wrapping_add(before.balance);
        if destroyed {
            // Since EIP-6780 it was created in this very transaction, so nothing of its storage
            // and code was ever written here.
            any_destroyed = true;
            if destroys_old {
                clear_storage(tables, address);
            }
            tables.accounts.remove(&key);
            continue;
        }
        let mut left = info.as_ref().map_or(before, |info| account_of(&before, info));
        if let Some(added) = added {
            left.balance = before.balance.saturating_add(added);
        }
        lost = lost.wrapping_sub(left.balance);
        let after: Account = after_touch(spec, left);
        if after != before {
            tables.accounts.set(&key, after);
        }
        if after.code_hash != before.code_hash
            && after.has_code()
            && let Some(code) = info.and_then(|info| info.code)
        {
            tables.code.set(&CodeKey(after.code_hash), Code(code));
        }
        if let Some((slot, more)) = added_slot {
            // Read in any case, as who executes one after the other does.
            let before = tables.storage.get(&SlotKey { address, slot }).0;
            let at = slots.partition_point(|(other, _)| *other < slot);
            if !more.is_zero() {
                slots.insert(at, (slot, before.saturating_add(more)));
            }
        }
        for (slot, value) in slots {
            tables.storage.set(&SlotKey { address, slot }, StorageSlot(value));
        }
    }
    any_destroyed.then_some(lost)
}
