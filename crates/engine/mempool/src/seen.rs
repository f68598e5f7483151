//! The window of hashes seen lately.

use atoll_types::B256;
use std::collections::{HashMap, VecDeque};

/// Remembers the last hashes inserted, in order, and forgets the oldest.
#[derive(Debug)]
pub(crate) struct Seen {
    max: usize,
    next: u64,
    order: VecDeque<(u64, B256)>,
    /// Hash to its number: a hash that was removed and came again is not forgotten with its
    /// older entry in `order`.
    hashes: HashMap<B256, u64>,
}

impl Seen {
    pub(crate) fn new(max: u64) -> Self {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        Self { max, next: 0, order: VecDeque::new(), hashes: HashMap::new() }
    }

    pub(crate) fn contains(&self, hash: &B256) -> bool {
        self.hashes.contains_key(hash)
    }

    pub(crate) fn insert(&mut self, hash: B256) {
        if self.order.len() >= self.max
            && let Some((number, oldest)) = self.order.pop_front()
            && self.hashes.get(&oldest) == Some(&number)
        {
            self.hashes.remove(&oldest);
        }
        self.order.push_back((self.next, hash));
        self.hashes.insert(hash, self.next);
        self.next += 1;
    }

    pub(crate) fn remove(&mut self, hash: &B256) {
        self.hashes.remove(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_bounded_and_forgets_the_oldest_first() {
        let mut seen = Seen::new(4);
        let hash = |i: u8| B256::repeat_byte(i);
        for i in 0..4 {
            seen.insert(hash(i));
        }
        seen.remove(&hash(0));
        assert!(!seen.contains(&hash(0)));
        seen.insert(hash(0)); // pushes out its own stale entry, not itself
        assert!(seen.contains(&hash(0)) && seen.contains(&hash(1)));
        seen.insert(hash(9));
        assert!(seen.contains(&hash(0)) && !seen.contains(&hash(1)));
        assert!(seen.order.len() <= 4 && seen.hashes.len() <= 4);
    }
}
