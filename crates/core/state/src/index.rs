//! Where objects are in a list, by the hash of their key.
//!
//! Open addressing with linear probing over pairs of 32 bits: eight of them share a cache line, so a
//! lookup waits for one line, and where that line is follows from the hash alone, so it can be asked
//! for ahead. The whole hash is kept: nearly all others are told apart without a look at the object,
//! and growing looks at no object at all.

use crate::prefetch;
use alloc::vec::Vec;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: u32,
    /// The object's place plus one; 0 for none.
    at: u32,
}

/// Places of objects by hash. At most five eighths of it are taken.
#[derive(Debug, Default)]
pub struct Index {
    /// A power of two of them, or none.
    slots: Vec<Slot>,
    len: usize,
}

impl Index {
    #[inline]
    fn home(&self, hash: u32) -> usize {
        hash as usize & self.slots.len().wrapping_sub(1)
    }

    #[inline]
    fn next(&self, place: usize) -> usize {
        (place + 1) & (self.slots.len() - 1)
    }

    /// Asks the memory for where a lookup begins.
    #[inline]
    pub fn prefetch(&self, hash: u32) {
        if let Some(slot) = self.slots.get(self.home(hash)) {
            prefetch::line(slot);
        }
    }

    /// The first object with this hash that is the one.
    #[inline]
    pub fn find(&self, hash: u32, same: impl Fn(u32) -> bool) -> Option<u32> {
        let mut place = self.home(hash);
        loop {
            let slot = self.slots.get(place)?;
            let at = slot.at.checked_sub(1)?;
            if slot.hash == hash && same(at) {
                return Some(at);
            }
            place = self.next(place);
        }
    }

    /// Adds an object that is not there.
    pub fn insert(&mut self, hash: u32, at: u32) {
        if (self.len + 1) * 8 > self.slots.len() * 5 {
            self.grow();
        }
        self.put(Slot { hash, at: at + 1 });
        self.len += 1;
    }

    /// Forgets all, keeps the memory.
    pub fn clear(&mut self) {
        if self.len > 0 {
            self.slots.fill(Slot::default());
            self.len = 0;
        }
    }

    fn put(&mut self, slot: Slot) {
        let mut place = self.home(slot.hash);
        while self.slots[place].at != 0 {
            place = self.next(place);
        }
        self.slots[place] = slot;
    }

    #[cold]
    fn grow(&mut self) {
        let larger = (self.slots.len() * 2).max(16);
        let slots = core::mem::replace(&mut self.slots, alloc::vec![Slot::default(); larger]);
        slots.into_iter().filter(|slot| slot.at != 0).for_each(|slot| self.put(slot));
    }

    /// Takes an object out; what follows it moves up, so that no lookup ends early.
    pub fn remove(&mut self, hash: u32, at: u32) {
        let mut place = self.home(hash);
        loop {
            match self.slots.get(place) {
                Some(slot) if slot.at == at + 1 => break,
                Some(slot) if slot.at != 0 => place = self.next(place),
                _ => return,
            }
        }
        self.len -= 1;
        let mut from = self.next(place);
        while self.slots[from].at != 0 {
            // It may move to the gap unless its home lies behind that.
            let mask = self.slots.len() - 1;
            let gone = from.wrapping_sub(self.home(self.slots[from].hash)) & mask;
            if gone >= (from.wrapping_sub(place) & mask) {
                self.slots[place] = self.slots[from];
                place = from;
            }
            from = self.next(from);
        }
        self.slots[place] = Slot::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        /// Hashes of few values, so that there are runs and clashes, around the end of the table.
        #[test]
        fn it_finds_what_a_map_finds(
            steps in prop::collection::vec((0u32..48, 0u32..6, any::<bool>()), 1..400),
        ) {
            let (mut index, mut twin) = (Index::default(), BTreeMap::new());
            for (at, hash, insert) in steps {
                let hash = hash.wrapping_sub(3).wrapping_mul(5);
                if insert && !twin.contains_key(&at) {
                    index.insert(hash, at);
                    twin.insert(at, hash);
                } else if let Some(hash) = twin.remove(&at) {
                    index.remove(hash, at);
                    prop_assert_eq!(index.find(hash, |other| other == at), None);
                }
                prop_assert_eq!(index.len, twin.len());
                for (at, hash) in &twin {
                    prop_assert_eq!(index.find(*hash, |other| other == *at), Some(*at));
                }
                prop_assert_eq!(index.find(77, |_| true), None);
            }
        }
    }
}
