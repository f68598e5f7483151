//! A small map by account that is emptied in no time: for what is needed for a moment.

use crate::ids::AccountId;
use alloc::vec::Vec;

#[derive(Clone, Copy, Debug, Default)]
struct Slot<V> {
    /// The round in which it was filled; of an earlier one it is free.
    round: u32,
    account: AccountId,
    value: V,
}

#[derive(Debug)]
pub(crate) struct ByAccount<V> {
    /// A power of two of them, at most half of them taken.
    slots: Vec<Slot<V>>,
    round: u32,
    accounts: Vec<AccountId>,
}

impl<V> Default for ByAccount<V> {
    fn default() -> Self {
        Self { slots: Vec::new(), round: 1, accounts: Vec::new() }
    }
}

impl<V: Copy + Default> ByAccount<V> {
    /// Where an account is, or would be.
    #[inline]
    fn place(&self, account: AccountId) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (account.0.wrapping_mul(0x9e37_79b1) >> 8) as usize & mask;
        loop {
            let slot = &self.slots[at];
            if slot.round != self.round || slot.account == account {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    #[inline]
    pub(crate) fn get(&self, account: AccountId) -> Option<&V> {
        if self.accounts.is_empty() {
            return None;
        }
        let slot = &self.slots[self.place(account)];
        (slot.round == self.round).then_some(&slot.value)
    }

    /// What there is of an account; if nothing, `value`.
    #[inline]
    pub(crate) fn get_or_insert(&mut self, account: AccountId, value: V) -> &mut V {
        if (self.accounts.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let at = self.place(account);
        let slot = &mut self.slots[at];
        if slot.round != self.round {
            *slot = Slot { round: self.round, account, value };
            self.accounts.push(account);
        }
        &mut slot.value
    }

    #[cold]
    fn grow(&mut self) {
        let larger = (self.slots.len() * 2).max(64);
        let slots = core::mem::replace(&mut self.slots, alloc::vec![Slot::default(); larger]);
        for slot in slots.into_iter().filter(|slot| slot.round == self.round) {
            let at = self.place(slot.account);
            self.slots[at] = slot;
        }
    }

    /// All there are, in the order in which they came.
    #[cfg(feature = "std")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (AccountId, &V)> {
        self.accounts.iter().map(|account| (*account, &self.slots[self.place(*account)].value))
    }

    #[cfg(feature = "std")]
    pub(crate) fn clear(&mut self) {
        self.accounts.clear();
        self.round = self.round.checked_add(1).unwrap_or_else(|| {
            self.slots.clear();
            1
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_map(rounds in prop::collection::vec(
            prop::collection::vec((0u32..500, any::<u8>()), 0..400), 1..6,
        )) {
            let mut map = ByAccount::default();
            for steps in rounds {
                let mut twin = BTreeMap::new();
                for (account, value) in steps {
                    let there = map.get_or_insert(AccountId(account), value);
                    prop_assert_eq!(*there, *twin.entry(account).or_insert(value));
                }
                for account in 0..500 {
                    prop_assert_eq!(map.get(AccountId(account)), twin.get(&account));
                }
                let all: BTreeMap<_, _> = map.iter().map(|(a, value)| (a.0, *value)).collect();
                prop_assert_eq!(all, twin);
                map.clear();
            }
        }
    }
}
