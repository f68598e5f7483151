//! A state that is not in memory: each first read of an account or a slot takes a while.
//!
//! A code is read with its account. Who reads what another thread is fetching waits for that to end.

use atoll_types::{Address, U256};
use atoll_vm::evm::parallel::{EvmKey, Fetch};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

const SHARDS: usize = 64;

type Key = (Address, Option<U256>);

/// Waits, and lets others run meanwhile: a sleep would take twice as long at this scale.
pub(crate) fn wait(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::thread::yield_now();
    }
}

/// Reads that take a while, once each.
#[derive(Debug)]
pub(crate) struct Cold {
    time: Duration,
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<Key, Arc<OnceLock<()>>>>>,
}

impl Cold {
    pub(crate) fn new(time: Duration) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { time, hasher: RandomState::new(), shards }
    }

    /// Everything is cold again.
    pub(crate) fn forget(&self) {
        self.shards.iter().for_each(|shard| shard.lock().clear());
    }

    /// How many were read.
    pub(crate) fn reads(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

impl Fetch for Cold {
    fn fetch(&self, key: &EvmKey) {
        let key = match *key {
            EvmKey::Account(address) | EvmKey::Balance(address) => (address, None),
            EvmKey::Slot(address, slot) => (address, Some(slot)),
            EvmKey::Code(_) => return,
        };
        let shard = &self.shards[self.hasher.hash_one(key) as usize % SHARDS];
        let read = Arc::clone(shard.lock().entry(key).or_default());
        read.get_or_init(|| wait(self.time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_for_the_first_time_waits_and_nothing_else() {
        let time = Duration::from_millis(5);
        let cold = Cold::new(time);
        let (account, slot) = (Address::repeat_byte(1), U256::ONE);
        let took = |key: EvmKey| {
            let started = Instant::now();
            cold.fetch(&key);
            started.elapsed()
        };
        assert!(took(EvmKey::Account(account)) >= time);
        assert!(took(EvmKey::Balance(account)) < time, "read with its account");
        assert!(took(EvmKey::Slot(account, slot)) >= time);
        assert!(took(EvmKey::Slot(account, slot)) < time, "read before");
        assert_eq!(cold.reads(), 2);
        cold.forget();
        assert!(took(EvmKey::Account(account)) >= time);
    }

    #[test]
    fn who_reads_what_is_being_fetched_waits_for_the_same() {
        let time = Duration::from_millis(20);
        let cold = Cold::new(time);
        let key = EvmKey::Account(Address::ZERO);
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    cold.fetch(&key);
                    assert!(started.elapsed() >= time, "gone on without the value");
                });
            }
        });
        assert!(started.elapsed() < time * 3, "one after the other");
    }
}
