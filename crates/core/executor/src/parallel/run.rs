//! One batch, executed by some threads at once.

use super::memory::{Memory, Outdated};
use super::report::{Clash, Clashes, Report};
use super::schedule::Schedule;
use super::settled::{
    Each, Ended, Limits, Outcome, Pace, Panicked, SetOnPanic, Settled, SoFar, text,
};
use super::sync::{Apart, AtomicBool, AtomicUsize, Mutex, Ordering, pause};
use alloc::sync::Arc;
use alloc::vec::Vec;
use atoll_vm::parallel::{
    Access, Admission, Aspect, Batch, Change, Interrupted, Version, Versions, View,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// Nobody is waited for.
const NOBODY: usize = usize::MAX;

/// What an execution leaves.
struct Kept<B: Batch> {
    access: Access<B>,
    output: Option<B::Output>,
    /// Whether it is to be executed without additions.
    must_be_exact: bool,
    time: Duration,
}

impl<B: Batch> Default for Kept<B> {
    fn default() -> Self {
        let (access, output) = (Access::default(), None);
        Self { access, output, must_be_exact: false, time: Duration::ZERO }
    }
}

impl<B: Batch> Kept<B> {
    fn keys(&self) -> Vec<B::Key> {
        self.access.writes.iter().map(|(key, _)| *key).collect()
    }
}

/// Settles one transaction after the other.
struct Settling<'a, B: Batch> {
    ledger: B::Ledger,
    each: Each<'a, B>,
    refused: Vec<bool>,
    so_far: SoFar,
    report: Report<B::Key>,
    ended: Option<Ended>,
}

/// A batch being executed.
pub(super) struct Run<'a, B: Batch> {
    batch: &'a B,
    memory: Arc<Memory<B::Key, B::Value>>,
    schedule: Schedule<Kept<B>>,
    settling: Apart<Mutex<Settling<'a, B>>>,
    limits: Limits,
    pace: Option<Pace>,
    started: Instant,
    over: AtomicBool,
    panicked: Mutex<Option<Panicked>>,
    clashes: Clashes<B::Key>,
    executions: AtomicUsize,
}

/// What a thread sees the versions by.
struct Port<'r, 'a, B: Batch> {
    run: &'r Run<'a, B>,
    /// Whom the execution has to wait for.
    awaited: AtomicUsize,
    /// How many executions were in vain when this one was last known not to be.
    outdated: AtomicUsize,
}

impl<B: Batch> Versions<B> for Port<'_, '_, B> {
    fn see(&self, by: Version, key: &B::Key, aspect: Aspect) -> Result<B::Value, Interrupted> {
        // Who is left over when a batch ends must not keep it waiting.
        if self.run.over.load(Ordering::Relaxed) {
            return Err(Interrupted);
        }
        let schedule = &self.run.schedule;
        let outdated = schedule.outdated();
        let known = self.outdated.swap(outdated, Ordering::Relaxed) == outdated;
        if !known && schedule.is_outdated(by) {
            return Err(Interrupted);
        }
        self.run.memory.see(self.run.batch, by, key, aspect).map_err(|awaited| {
            self.run.clashes.note(|| Clash {
                key: *key,
                by: awaited.index,
                of: by.index,
                waited: true,
            });
            self.awaited.store(awaited.index, Ordering::Relaxed);
            Interrupted
        })
    }
}

impl<'a, B: Batch> Run<'a, B> {
    pub(super) fn new(
        batch: &'a B,
        memory: Arc<Memory<B::Key, B::Value>>,
        limits: Limits,
        pace: Option<Pace>,
        each: Each<'a, B>,
    ) -> Self {
        let settling = Settling {
            ledger: batch.ledger(),
            each,
            refused: Vec::with_capacity(batch.len()),
            so_far: SoFar::default(),
            report: Report::default(),
            ended: None,
        };
        Self {
            batch,
            memory,
            schedule: Schedule::new(batch.len(), |index| batch.follows(index)),
            settling: Apart(Mutex::new(settling)),
            limits,
            pace,
            started: Instant::now(),
            over: AtomicBool::new(batch.is_empty()),
            panicked: Mutex::new(None),
            clashes: Clashes::new(limits.clashes_max),
            executions: AtomicUsize::new(0),
        }
    }

    /// Works until the batch has ended.
    pub(super) fn work(&self) {
        // Others must not be left waiting.
        let _over = SetOnPanic(&self.over);
        let port =
            Port { run: self, awaited: AtomicUsize::new(NOBODY), outdated: AtomicUsize::new(0) };
        let mut worker = self.batch.worker(&port);
        let (mut looks, mut executions) = (0_u32, 0);
        while !self.over.load(Ordering::Acquire) {
            self.settle_some();
            let Some(version) = self.schedule.take() else {
                looks += 1;
                pause(looks);
                continue;
            };
            looks = 0;
            if let Some(on) = self.awaited(version.index) {
                self.schedule.wait(version, on);
                continue;
            }
            // Nothing changes any more that this execution sees.
            let exact = self.schedule.settled() == version.index;
            let must_be_exact = exact && self.schedule.kept(version.index, |k| k.must_be_exact);
            let mut view = View::new(&port, version, must_be_exact);
            port.awaited.store(NOBODY, Ordering::Relaxed);
            executions += 1;
            let started = Instant::now();
            let outcome =
                catch_unwind(AssertUnwindSafe(|| self.batch.execute(&mut worker, &mut view)));
            let time = started.elapsed();
            match outcome {
                Ok(Ok(output)) if !view.is_interrupted() => {
                    let access = view.into_access();
                    let must_be_exact = false;
                    let output = Some(output);
                    self.publish(version, Kept { access, output, must_be_exact, time });
                }
                Ok(_) => self.interrupted(version, port.awaited.load(Ordering::Relaxed)),
                Err(panic) => {
                    worker = self.batch.worker(&port);
                    if exact {
                        let what = text(&*panic);
                        let mut first =
                            self.panicked.lock().unwrap_or_else(PoisonError::into_inner);
                        first.get_or_insert(Panicked { index: version.index, what });
                        self.over.store(true, Ordering::Release);
                    } else {
                        // What it saw may never have been: it has its turn alone.
                        self.schedule.broke(version);
                    }
                }
            }
        }
        self.executions.fetch_add(executions, Ordering::Relaxed);
    }

    /// Whom a transaction has to wait for by what it is known to read.
    fn awaited(&self, index: usize) -> Option<usize> {
        let declared = self.batch.declared(index);
        declared.iter().find_map(|key| self.memory.awaited(index, key))
    }

    fn interrupted(&self, version: Version, awaited: usize) {
        if awaited == NOBODY {
            self.schedule.again(version);
        } else {
            self.schedule.wait(version, awaited);
        }
    }

    fn publish(&self, version: Version, kept: Kept<B>) {
        if self.schedule.is_outdated(version) {
            return self.schedule.again(version);
        }
        let old = self.schedule.kept(version.index, |kept| kept.keys());
        let outdated = self.memory.publish::<B>(version, &old, &kept.access.writes);
        self.revoke_readers(version.index, outdated);
        if self.schedule.executed(version, |place| *place = kept) {
            self.revoke(version);
        }
    }

    fn revoke_readers(&self, by: usize, outdated: Vec<Outdated<B::Key>>) {
        for Outdated { reader, key } in outdated {
            self.clashes.note(|| Clash { key, by, of: reader.index, waited: false });
            if self.schedule.outdate(reader) {
                self.revoke(reader);
            }
        }
    }

    /// Makes estimates of the writes of an execution that was found wrong.
    fn revoke(&self, version: Version) {
        let keys = self.schedule.kept(version.index, |kept| kept.keys());
        self.memory.estimate(version, &keys);
        self.schedule.again(version);
    }

    /// Settles what is next, as far as it has been executed, unless another thread does.
    fn settle_some(&self) {
        let mut settling = match self.settling.0.try_lock() {
            Ok(settling) => settling,
            Err(TryLockError::Poisoned(lock)) => lock.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        while !self.over.load(Ordering::Acquire) {
            let index = self.schedule.settled();
            let Some(version) = self.schedule.last(index) else {
                return self.schedule.mend(index);
            };
            let ended = self.settle(&mut settling, version);
            if let Some(ended) = ended {
                settling.ended = Some(ended);
                self.over.store(true, Ordering::Release);
            }
            if self.schedule.settled() == index {
                return;
            }
        }
    }

    /// Settles a transaction whose turn has come, or has it executed again. Says why the batch ends if it
    /// does.
    fn settle(&self, settling: &mut Settling<'a, B>, version: Version) -> Option<Ended> {
        let index = version.index;
        match self.batch.admit(&settling.ledger, index) {
            Admission::End => return Some(Ended::Early),
            Admission::Refused => {
                let keys = self.schedule.kept(index, |kept| kept.keys());
                let outdated = self.memory.withdraw::<B>(index, &keys);
                self.revoke_readers(index, outdated);
                settling.refused.push(true);
                self.schedule.settle(index);
                return self.whether_all(index);
            }
            Admission::Admitted => {}
        }
        let (holds, fits, counts) = self.schedule.kept(index, |kept| {
            let mut reads = kept.access.reads.iter();
            if !reads.all(|read| self.memory.holds(self.batch, index, read)) {
                return (false, false, false);
            }
            let fits = kept.access.writes.iter().all(|(key, change)| match change {
                Change::Set(_) => true,
                Change::Add(_) => self.memory.settle(self.batch, index, key),
            });
            kept.must_be_exact |= !fits;
            let output = kept.output.as_ref().filter(|_| fits);
            settling.so_far.useful += kept.time;
            let counts = output.is_some_and(|output| {
                settling.so_far.work += self.batch.work(output);
                (settling.each)(index, output);
                self.batch.count(&mut settling.ledger, index, output)
            });
            (true, fits, counts)
        });
        if !holds || !fits {
            if self.schedule.outdate(version) {
                self.revoke(version);
            }
            return None;
        }
        settling.refused.push(false);
        self.schedule.settle(index);
        match counts {
            true => self.whether_all(index).or_else(|| self.whether_serial(settling, index)),
            false => Some(Ended::Early),
        }
    }

    fn whether_all(&self, index: usize) -> Option<Ended> {
        (index + 1 == self.batch.len()).then_some(Ended::All)
    }

    /// Whether one thread alone would be faster: if so much time has been spent on what counts.
    fn whether_serial(&self, settling: &Settling<'a, B>, index: usize) -> Option<Ended> {
        let so_far = SoFar { settled: index + 1, ..settling.so_far };
        let lost = self.limits.give_up_shared(so_far, self.pace, || self.started.elapsed());
        lost.then_some(Ended::Serial)
    }

    /// What came of it.
    pub(super) fn into_done(self) -> Result<Outcome<B>, Panicked> {
        if let Some(panicked) = self.panicked.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(panicked);
        }
        let settling = self.settling.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Settling { refused, mut report, ended, so_far, .. } = settling;
        let kept = self.schedule.into_kept();
        let settled =
            kept.zip(&refused).filter_map(|(kept, refused)| match (refused, kept.output) {
                (true, _) => Some(Settled::Refused),
                (false, Some(output)) => Some(Settled::Executed { output, access: kept.access }),
                (false, None) => None,
            });
        let settled: Vec<_> = settled.collect();
        assert!(settled.len() == refused.len(), "a transaction is final without a result");
        report.executions = self.executions.load(Ordering::Relaxed);
        report.settled = refused.len();
        report.useful = so_far.useful;
        report.clashes = self.clashes.into_found();
        Ok((settled, ended.unwrap_or(Ended::All), report))
    }
}
