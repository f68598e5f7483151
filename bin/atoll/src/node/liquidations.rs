//! What of an exchange can be liquidated, followed beside its execution.
//!
//! The thread that executes only notes whom events touched. A thread of its own follows the state
//! under the lock that queries share, at most every few milliseconds and in short stretches.

use super::environment::Live;
use atoll_exchange::{AccountId, MarketId};
use atoll_executor::workers::Pool;
use atoll_liquidator::Liquidator;
use atoll_state::Resident;
use atoll_types::Address;
use atoll_vm::exchange::ExchangeVm;
use parking_lot::{Condvar, Mutex, RwLock};
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

/// The least time between two looks.
const INTERVAL: Duration = Duration::from_millis(5);
/// Accounts whose bounds are set anew while the lock is held.
const STRETCH: usize = 100;
/// Accounts noted before the index is built anew instead.
const NOTED_MAX: usize = 1 << 20;
/// What is told of at most.
const TOLD_MAX: usize = 10_000;
/// Threads that look where much has moved at once, as many as there are cores and no more than this.
const THREADS_MAX: usize = 4;

/// An account, or one of its isolated positions, that can be liquidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Liquidatable {
    pub(crate) owner: Address,
    /// The isolated position's market; none for the cross account.
    pub(crate) market: Option<MarketId>,
}

#[derive(Default)]
struct Noted {
    touched: Vec<AccountId>,
    /// Whether anything was executed that was not looked at.
    news: bool,
    /// Whether more was touched than could be noted.
    lost: bool,
    closed: bool,
}

/// What can be liquidated in an exchange environment.
#[derive(Default)]
pub(crate) struct Liquidations {
    noted: Mutex<Noted>,
    news: Condvar,
    found: RwLock<Arc<Vec<Liquidatable>>>,
}

impl Liquidations {
    /// Notes that something was executed, and whom it touched.
    pub(crate) fn note(&self, touched: Vec<AccountId>) {
        let mut noted = self.noted.lock();
        noted.touched.extend(touched);
        if noted.touched.len() > NOTED_MAX {
            noted.touched.clear();
            noted.lost = true;
        }
        noted.news = true;
        self.news.notify_one();
    }

    /// What can be liquidated, as of the latest look; at most ten thousand.
    pub(crate) fn found(&self) -> Arc<Vec<Liquidatable>> {
        self.found.read().clone()
    }

    /// Builds the index of a state that nobody executes on yet, and follows it from then on.
    pub(crate) fn start(self: &Arc<Self>, live: &Arc<Live<ExchangeVm<Resident>>>) {
        let index = Liquidator::new(live.machine.read().vm().exchange());
        let (this, live) = (self.clone(), live.clone());
        let spawned = std::thread::Builder::new()
            .name("liquidations".into())
            .spawn(move || this.follow(&live, index));
        if let Err(error) = spawned {
            tracing::error!(%error, "nobody follows what can be liquidated: no thread for it");
        }
    }

    /// Ends the thread.
    pub(crate) fn close(&self) {
        self.noted.lock().closed = true;
        self.news.notify_one();
    }

    fn next(&self) -> Noted {
        let mut noted = self.noted.lock();
        self.news.wait_while(&mut noted, |noted| !noted.news && !noted.closed);
        std::mem::take(&mut *noted)
    }

    fn follow(&self, live: &Live<ExchangeVm<Resident>>, mut index: Liquidator) {
        let (mut pool, threads) = crew();
        loop {
            let noted = self.next();
            // In a halted environment a command broke off in the middle of the state.
            if noted.closed || live.gate.halted().is_some() {
                return;
            }
            if noted.lost {
                index = Liquidator::new(live.machine.read().vm().exchange());
            }
            noted.touched.iter().for_each(|account| index.touch(*account));
            let found = {
                let machine = live.machine.read();
                let exchange = machine.vm().exchange();
                // Who executes waits for this.
                index.advance_on(exchange, &mut pool, threads);
                index.settle(exchange, STRETCH);
                let told = index.liquidatable().take(TOLD_MAX).filter_map(|unit| {
                    let owner = exchange.peek_owner(unit.account)?.address;
                    Some(Liquidatable { owner, market: unit.market })
                });
                Arc::new(told.collect::<Vec<_>>())
            };
            *self.found.write() = found;
            // What is left when there is news, or prices have moved, is left for the next turn.
            loop {
                let machine = live.machine.read();
                let exchange = machine.vm().exchange();
                if !index.is_current(exchange) || index.settle(exchange, STRETCH) == 0 {
                    break;
                }
                drop(machine);
                let noted = self.noted.lock();
                if noted.news || noted.closed {
                    break;
                }
            }
            std::thread::sleep(INTERVAL);
        }
    }
}

/// The threads that look, the caller's included.
fn crew() -> (Pool, usize) {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(THREADS_MAX);
    match Pool::new(threads) {
        Ok(pool) => (pool, threads),
        Err(error) => {
            tracing::warn!(%error, "one thread alone looks for what can be liquidated");
            (Pool::alone(), 1)
        }
    }
}
