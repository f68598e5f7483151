//! Threads for the parallel paths of executors.
//!
//! A batch of commands takes some hundred microseconds, which is as long as an operating system may
//! need to wake a thread. So a thread that has nothing to do looks for work for a while before it
//! sleeps. An item is done by the thread of its number if that has time, so that what it works on is in
//! that core's cache still.
#![allow(
    unsafe_code,
    clippy::disallowed_methods,
    reason = "threads decide nothing: what they are given to do gives the same in any order"
)]

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use atoll_state::Workers;
use core::hint::spin_loop;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// How often a thread looks for work before it sleeps: some 100 µs.
const LOOKS: u32 = 20_000;
/// The same if it was roused, because there will be some: some 2 ms.
const LOOKS_ROUSED: u32 = 20 * LOOKS;
/// How often one that waits longer looks before it lets others run.
const LOOKS_BEFORE_YIELD: u32 = 2_000;
const ITEMS_MAX: usize = 32;

/// A few threads, the caller's being one of them.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What to do with the item of a number.
struct Job<'a>(&'a (dyn Fn(usize) + Sync));

#[derive(Debug, Default)]
struct Shared {
    /// The round (32 bits), and a bit for each of its items that nobody has taken. Whoever takes one may
    /// use `job`, which stays until all that were taken are done.
    tickets: AtomicU64,
    /// The round's [`Job`], on the caller's stack.
    job: AtomicPtr<()>,
    done: AtomicUsize,
    panicked: AtomicBool,
    stop: AtomicBool,
    /// How many threads sleep.
    asleep: Mutex<usize>,
    /// The same for a look without the lock.
    asleep_now: AtomicUsize,
    /// How often the threads were roused.
    roused: AtomicUsize,
    wake: Condvar,
}

impl Shared {
    /// Takes items and does them, its own first, until there are none.
    fn work(&self, own: u32) -> bool {
        let mut worked = false;
        let mut tickets = self.tickets.load(Ordering::Acquire);
        loop {
            let free = tickets as u32;
            if free == 0 {
                return worked;
            }
            let item = if free >> own & 1 == 1 { own } else { free.ilog2() };
            let (acquired, acquire) = (Ordering::AcqRel, Ordering::Acquire);
            let less = tickets & !(1 << item);
            match self.tickets.compare_exchange(tickets, less, acquired, acquire) {
                Err(now) => tickets = now,
                Ok(_) => {
                    worked = true;
                    let job = self.job.load(Ordering::Relaxed).cast::<Job<'_>>();
                    // SAFETY: the caller waits until the item that we have taken is done.
                    let job = unsafe { &*job };
                    if catch_unwind(AssertUnwindSafe(|| (job.0)(item as usize))).is_err() {
                        self.panicked.store(true, Ordering::Relaxed);
                    }
                    self.done.fetch_add(1, Ordering::Release);
                    tickets = self.tickets.load(Ordering::Acquire);
                }
            }
        }
    }

    fn has_work(&self) -> bool {
        self.tickets.load(Ordering::Acquire) as u32 != 0
    }

    fn live(&self, own: u32) {
        let (mut looks, mut roused) = (LOOKS, 0);
        while !self.stop.load(Ordering::Relaxed) {
            if self.work(own) {
                looks = LOOKS;
            } else if looks > 0 {
                looks -= 1;
                if looks > LOOKS && looks.is_multiple_of(LOOKS_BEFORE_YIELD) {
                    std::thread::yield_now();
                } else {
                    spin_loop();
                }
            } else {
                looks = match self.sleep(&mut roused) {
                    true => LOOKS_ROUSED,
                    false => LOOKS,
                };
            }
        }
    }

    /// Until there is work, or says that there will be.
    fn sleep(&self, roused: &mut usize) -> bool {
        let mut asleep = self.asleep.lock().unwrap_or_else(PoisonError::into_inner);
        *asleep += 1;
        self.asleep_now.store(*asleep, Ordering::Relaxed);
        let is_roused = |roused: usize| self.roused.load(Ordering::Relaxed) != roused;
        while !self.has_work() && !is_roused(*roused) && !self.stop.load(Ordering::Relaxed) {
            asleep = self.wake.wait(asleep).unwrap_or_else(PoisonError::into_inner);
        }
        *asleep -= 1;
        self.asleep_now.store(*asleep, Ordering::Relaxed);
        let now = self.roused.load(Ordering::Relaxed);
        core::mem::replace(roused, now) != now
    }

    fn wake_all(&self) {
        let asleep = self.asleep.lock().unwrap_or_else(PoisonError::into_inner);
        if *asleep > 0 {
            self.wake.notify_all();
        }
    }

    /// Does `job` for so many items, and waits for all.
    fn run(&self, items: usize, job: &Job<'_>) {
        assert!(items <= ITEMS_MAX, "too many items at once");
        self.done.store(0, Ordering::Relaxed);
        self.job.store(ptr::from_ref(job).cast_mut().cast(), Ordering::Relaxed);
        let round = (self.tickets.load(Ordering::Relaxed) >> 32) + 1;
        let all = u64::from(u32::MAX) >> (ITEMS_MAX - items);
        self.tickets.store(round << 32 | all, Ordering::Release);
        self.wake_all();
        self.work(0);
        let mut looks = 0;
        while self.done.load(Ordering::Acquire) < items {
            looks += 1;
            if looks % LOOKS_BEFORE_YIELD == 0 {
                std::thread::yield_now();
            } else {
                spin_loop();
            }
        }
        assert!(!self.panicked.swap(false, Ordering::Relaxed), "a worker panicked; see above");
    }
}

impl Pool {
    /// The caller's thread alone.
    pub fn alone() -> Self {
        Self { shared: Arc::default(), threads: Vec::new() }
    }

    /// So many threads, the caller's included.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let mut pool = Self::alone();
        for n in 1..threads.clamp(1, ITEMS_MAX) as u32 {
            let shared = Arc::clone(&pool.shared);
            let builder = std::thread::Builder::new().name(format!("worker-{n}"));
            pool.threads.push(builder.spawn(move || shared.live(n))?);
        }
        Ok(pool)
    }
}

impl Pool {
    /// Has those who sleep look for work, which will come: waking takes 50 µs, and on a machine whose cores
    /// sleep as well some milliseconds. Does not wait for them.
    pub fn rouse(&self) {
        if self.asleep() > 0 {
            let _asleep = self.shared.asleep.lock().unwrap_or_else(PoisonError::into_inner);
            self.shared.roused.fetch_add(1, Ordering::Relaxed);
            self.shared.wake.notify_all();
        }
    }

    /// How many threads sleep, or are not awake yet.
    pub fn asleep(&self) -> usize {
        self.shared.asleep_now.load(Ordering::Relaxed)
    }
}

impl Workers for Pool {
    fn each<T: Send>(&mut self, items: &mut [T], work: &(impl Fn(usize, &mut T) + Sync)) {
        struct Items<T>(*mut T);
        // SAFETY: each item is used by the one thread that has taken its number.
        unsafe impl<T: Send> Sync for Items<T> {}
        impl<T> Items<T> {
            /// # Safety
            /// The number is that of an item which nobody else uses.
            #[allow(clippy::mut_from_ref)]
            unsafe fn get(&self, n: usize) -> &mut T {
                // SAFETY: inside of the slice, and as the caller says.
                unsafe { &mut *self.0.add(n) }
            }
        }
        for (round, items) in items.chunks_mut(ITEMS_MAX).enumerate() {
            let (first, count) = (round * ITEMS_MAX, items.len());
            let items = Items(items.as_mut_ptr());
            // SAFETY: each number below the count is taken once.
            self.shared.run(count, &Job(&|n| work(first + n, unsafe { items.get(n) })));
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.wake_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn every_item_is_done_once_by_any_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            let mut pool = Pool::new(threads).unwrap();
            for round in 0..2_000_usize {
                // More than are done at once, too.
                let mut items = vec![0_usize; round % 71];
                pool.each(&mut items, &|n, item| *item += n + round);
                let expected: Vec<_> = (0..round % 71).map(|n| n + round).collect();
                assert_eq!(items, expected);
                if round % 500 == 0 {
                    std::thread::sleep(core::time::Duration::from_millis(5));
                }
            }
        }
    }

    #[test]
    fn items_are_done_at_once() {
        let barrier = std::sync::Barrier::new(3);
        let mut pool = Pool::new(3).unwrap();
        // Nobody passes alone.
        pool.each(&mut [(); 3], &|_, ()| {
            barrier.wait();
        });
    }

    #[test]
    fn who_is_roused_is_awake_for_work_and_sleeps_without() {
        let mut pool = Pool::new(3).unwrap();
        let fall_asleep = |pool: &Pool| {
            let is_so = |_| {
                std::thread::sleep(core::time::Duration::from_millis(1));
                pool.asleep() == 2
            };
            assert!((0..20_000).any(is_so), "they fall asleep");
        };
        for _ in 0..3 {
            fall_asleep(&pool);
            let wakes = |_| {
                pool.rouse();
                std::thread::yield_now();
                pool.asleep() == 0
            };
            assert!((0..100_000_000_u32).any(wakes), "they wake");
            fall_asleep(&pool);
            pool.each(&mut [(); 3], &|_, ()| {});
        }
    }

    #[test]
    fn a_panic_is_the_callers_once_all_are_done() {
        let mut pool = Pool::new(2).unwrap();
        let done = AtomicUsize::new(0);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            pool.each(&mut [(); 8], &|n, ()| {
                assert!(n != 3, "planted");
                done.fetch_add(1, Ordering::Relaxed);
            });
        }));
        assert!(panicked.is_err());
        assert_eq!(done.load(Ordering::Relaxed), 7);
        pool.each(&mut [(); 8], &|_, ()| {});
    }
}
