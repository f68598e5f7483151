//! Which thread executes which transaction, and when again.
//!
//! A transaction is ready, being executed, executed, or waiting. Whoever has nothing to do takes the
//! first that is ready, so the first that is not final is always being worked on, and work far ahead is
//! what is left over. All that decides is under the lock of one transaction, and no thread holds two.
//!
//! * An execution is known by its [`Version`]: what concerns an earlier one is passed over.
//! * A transaction that waits is woken by the one it waits for when that has been executed.
//! * There is no queue to lose something from: what is ready is a bit, set after the state under the
//!   lock says so and cleared by whoever takes it.

use super::sync::{Apart, AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering};
use alloc::vec::Vec;
use atoll_vm::parallel::Version;
use std::sync::PoisonError;

/// What is being done about a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It can be executed.
    Ready,
    /// It is being executed; `outdated` if in vain.
    Executing { outdated: bool },
    /// It was executed, and its writes are visible.
    Executed,
    /// It was found to have read what is no longer there; its writes are being made estimates.
    Revoking,
    /// It waits for another one.
    Waiting,
    /// Its execution broke off; it is executed again when its turn comes.
    Broken,
    /// It is final.
    Final,
}

#[derive(Debug)]
struct Slot<T> {
    stage: Stage,
    incarnation: u32,
    /// Who waits for it.
    waiting: Vec<u32>,
    /// What the last execution left.
    kept: T,
}

/// The transactions of a batch, and what an execution leaves of each (`T`).
#[derive(Debug)]
pub(super) struct Schedule<T> {
    slots: Vec<Mutex<Slot<T>>>,
    /// A bit for each that is ready.
    ready: Vec<AtomicU64>,
    /// How many are final, from the first on.
    settled: Apart<AtomicUsize>,
    /// How often an execution was found to be in vain: as long as this stays, none was.
    outdated: AtomicUsize,
}

impl<T: Default> Schedule<T> {
    /// All are ready but those that follow another one, which wait for it.
    pub(super) fn new(len: usize, follows: impl Fn(usize) -> Option<usize>) -> Self {
        let slot = |_| {
            let (stage, waiting) = (Stage::Ready, Vec::new());
            Slot { stage, incarnation: 0, waiting, kept: T::default() }
        };
        let mut slots: Vec<Slot<T>> = (0..len).map(slot).collect();
        let mut ready = alloc::vec![0_u64; len.div_ceil(64)];
        for index in 0..len {
            match follows(index).filter(|before| *before < index) {
                Some(before) => {
                    slots[before].waiting.push(index as u32);
                    slots[index].stage = Stage::Waiting;
                }
                None => ready[index / 64] |= 1 << (index % 64),
            }
        }
        let slots = slots.into_iter().map(Mutex::new).collect();
        let ready = ready.into_iter().map(AtomicU64::new).collect();
        Self { slots, ready, settled: Apart(AtomicUsize::new(0)), outdated: AtomicUsize::new(0) }
    }

    fn slot(&self, index: usize) -> MutexGuard<'_, Slot<T>> {
        self.slots[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are final, from the first on.
    pub(super) fn settled(&self) -> usize {
        self.settled.0.load(Ordering::Acquire)
    }

    fn set_ready(&self, index: usize) {
        self.ready[index / 64].fetch_or(1 << (index % 64), Ordering::Release);
    }

    /// Takes the first that is ready.
    pub(super) fn take(&self) -> Option<Version> {
        let first = self.settled();
        for (word, bits) in self.ready.iter().enumerate().skip(first / 64) {
            let mut ready = bits.load(Ordering::Acquire);
            while ready != 0 {
                let bit = ready & ready.wrapping_neg();
                let before = bits.fetch_and(!bit, Ordering::AcqRel);
                if before & bit != 0 {
                    let index = word * 64 + bit.trailing_zeros() as usize;
                    let mut slot = self.slot(index);
                    if slot.stage == Stage::Ready {
                        slot.stage = Stage::Executing { outdated: false };
                        return Some(Version { index, incarnation: slot.incarnation });
                    }
                }
                ready = bits.load(Ordering::Acquire);
            }
        }
        None
    }

    /// How many executions were found to be in vain while they ran.
    pub(super) fn outdated(&self) -> usize {
        self.outdated.load(Ordering::Acquire)
    }

    /// Whether an execution is in vain.
    pub(super) fn is_outdated(&self, version: Version) -> bool {
        let slot = self.slot(version.index);
        slot.incarnation == version.incarnation && slot.stage == Stage::Executing { outdated: true }
    }

    /// What the execution before this one left.
    pub(super) fn kept<R>(&self, index: usize, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut self.slot(index).kept)
    }

    /// Ends an execution whose writes are visible, and wakes who waits for it. If it was in vain, it is
    /// the caller's to revoke as by [`Self::outdate`].
    pub(super) fn executed(&self, version: Version, keep: impl FnOnce(&mut T)) -> bool {
        let mut slot = self.slot(version.index);
        keep(&mut slot.kept);
        let outdated = slot.stage == Stage::Executing { outdated: true };
        slot.stage = if outdated { Stage::Revoking } else { Stage::Executed };
        let waiting = core::mem::take(&mut slot.waiting);
        drop(slot);
        waiting.iter().for_each(|index| self.wake(*index as usize));
        outdated
    }

    /// Ends an execution that has nothing to show: it is ready again.
    pub(super) fn again(&self, version: Version) {
        let mut slot = self.slot(version.index);
        slot.incarnation += 1;
        slot.stage = Stage::Ready;
        drop(slot);
        self.set_ready(version.index);
    }

    /// Ends an execution that broke off.
    pub(super) fn broke(&self, version: Version) {
        let mut slot = self.slot(version.index);
        slot.incarnation += 1;
        slot.stage = Stage::Broken;
    }

    /// Ends an execution that waits for a transaction before it. False if there is nothing to wait for
    /// any more, and it is ready.
    pub(super) fn wait(&self, version: Version, on: usize) -> bool {
        let mut slot = self.slot(version.index);
        slot.incarnation += 1;
        slot.stage = Stage::Waiting;
        drop(slot);
        let mut before = self.slot(on);
        if !matches!(before.stage, Stage::Executed | Stage::Final) {
            before.waiting.push(version.index as u32);
            return true;
        }
        drop(before);
        self.wake(version.index);
        false
    }

    fn wake(&self, index: usize) {
        let mut slot = self.slot(index);
        if slot.stage == Stage::Waiting {
            slot.stage = Stage::Ready;
            drop(slot);
            self.set_ready(index);
        }
    }

    /// Says that an execution read what is no longer there. If its writes are visible, it is the
    /// caller's to make estimates of them and then call [`Self::again`].
    pub(super) fn outdate(&self, version: Version) -> bool {
        let mut slot = self.slot(version.index);
        if slot.incarnation != version.incarnation {
            return false;
        }
        match slot.stage {
            Stage::Executing { .. } => {
                slot.stage = Stage::Executing { outdated: true };
                self.outdated.fetch_add(1, Ordering::Release);
                false
            }
            Stage::Executed => {
                slot.stage = Stage::Revoking;
                true
            }
            _ => false,
        }
    }

    /// Whose turn has come is executed again if its execution broke off.
    pub(super) fn mend(&self, index: usize) {
        let mut slot = self.slot(index);
        if slot.stage == Stage::Broken {
            slot.stage = Stage::Ready;
            drop(slot);
            self.set_ready(index);
        }
    }

    /// The execution of the transaction whose turn has come; `None` if there is none yet. All before
    /// being final, nobody revokes it any more.
    pub(super) fn last(&self, index: usize) -> Option<Version> {
        let slot = self.slot(index);
        let incarnation = slot.incarnation;
        (slot.stage == Stage::Executed).then_some(Version { index, incarnation })
    }

    /// Makes the transaction whose turn has come final. Only the one thread that settles calls this.
    pub(super) fn settle(&self, index: usize) {
        let mut slot = self.slot(index);
        slot.stage = Stage::Final;
        let waiting = core::mem::take(&mut slot.waiting);
        drop(slot);
        self.settled.0.store(index + 1, Ordering::Release);
        // Nobody waits but for one that was refused and never executed.
        waiting.iter().for_each(|index| self.wake(*index as usize));
    }

    /// What was kept of each.
    pub(super) fn into_kept(self) -> impl Iterator<Item = T> {
        let slots = self.slots.into_iter();
        slots.map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner).kept)
    }
}
