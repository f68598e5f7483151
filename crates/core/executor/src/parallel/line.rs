//! One batch, executed by a few threads that each have versions of their own.
//!
//! A thread takes what is next, executes it on what it knows, and goes on. Results become final in a
//! line, each by the thread that has executed it: when all before are final, what it looked at is
//! compared with what is final now. If that is the same, so is what the execution did; if not, it is
//! executed again there and then, and nothing changes under it any more. So whatever happens ahead, the
//! line goes on as fast as one thread alone would make it.
//!
//! Threads meet in the line alone: one number says how far it is, and what was written lies behind it in
//! order, to be read once by every other thread. That is a few cache lines for a transaction, where threads
//! that share versions ([`super::run`]) take some ninety from one another.

use super::known::{Final, Kept, Known, Written};
use super::report::{Clash, Clashes, Report};
use super::settled::{
    Each, Ended, Limits, Outcome, Pace, Panicked, SetOnPanic, Settled, SoFar, text,
};
use super::sync::{Apart, AtomicBool, AtomicUsize, Mutex, Once, Ordering, pause};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use atoll_vm::parallel::{Admission, Aspect, Batch, Interrupted, Version, Versions, View};
use core::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::PoisonError;
use std::time::Instant;

/// How many executions of one thread may wait for their turn. One long transaction must not keep the others
/// from going on, and they are as good as they were when it ends.
const DONE_MAX: usize = 1 << 9;
/// How many may wait to be executed.
const TO_DO_MAX: usize = 1 << 6;
/// A thread takes so much at once, in nanoseconds ([`Batch::weight`]): short ones in a row need not be
/// handed from thread to thread.
const TAKEN_AT_ONCE: u64 = 50_000;
/// And so many transactions at most.
const TAKEN_AT_ONCE_MAX: usize = 8;

/// What follows the line.
struct Settling<'a, B: Batch> {
    ledger: B::Ledger,
    each: Each<'a, B>,
    so_far: SoFar,
    ended: Option<Ended>,
}

/// A batch being executed.
pub(super) struct Run<'a, B: Batch> {
    batch: &'a B,
    /// The next that nobody has taken.
    next: Apart<AtomicUsize>,
    /// Who has taken each; `usize::MAX` if nobody has.
    takers: Vec<AtomicUsize>,
    /// What was left to the thread that has taken the one before, by that thread: a sender's transactions
    /// wait for one another, and where one is known the next can go on at once.
    left: Mutex<Vec<(usize, ToDo)>>,
    /// How many those are.
    left_count: Apart<AtomicUsize>,
    /// How many are final, from the first on.
    settled: Apart<AtomicUsize>,
    over: Apart<AtomicBool>,
    line: Vec<Once<Final<B>>>,
    settling: Apart<Mutex<Settling<'a, B>>>,
    limits: Limits,
    pace: Option<Pace>,
    started: Instant,
    /// A transaction's panic.
    panicked: Mutex<Option<Panicked>>,
    /// Whether there was a panic that is no transaction's.
    broken: AtomicBool,
    clashes: Clashes<B::Key>,
    executions: AtomicUsize,
}

/// A transaction that its thread has not executed.
#[derive(Clone, Copy, Debug)]
struct ToDo {
    index: usize,
    /// It follows this one.
    after: Option<usize>,
    /// It is executed without additions.
    exact: bool,
    /// Its execution broke off: not before its turn.
    alone: bool,
}

/// What one thread has.
struct Own<'k, B: Batch> {
    /// Its number.
    thread: usize,
    known: &'k mut Known<B::Key>,
    /// So many of the line are known.
    read: usize,
    /// What it has taken, by index.
    to_do: Vec<ToDo>,
    /// Which it has executed that are not final, in order.
    done: VecDeque<usize>,
    /// Those executions, by index.
    kept: Vec<Option<Box<Kept<B>>>>,
}

/// What a thread sees the versions by.
struct Port<'r, 'a, B: Batch> {
    run: &'r Run<'a, B>,
    own: RefCell<Own<'r, B>>,
}

impl<B: Batch> Versions<B> for Port<'_, '_, B> {
    fn see(&self, by: Version, key: &B::Key, _: Aspect) -> Result<B::Value, Interrupted> {
        // Who is left over when a batch ends must not keep it waiting.
        if self.run.over.0.load(Ordering::Relaxed) {
            return Err(Interrupted);
        }
        let own = &mut *self.own.borrow_mut();
        // Others may wait for what this thread has done already.
        self.run.settle_done(own);
        let written = self.run.written(&own.kept);
        Ok(own.known.see(self.run.batch, &written, by.index, key))
    }
}

impl<B: Batch> Own<'_, B> {
    /// Where an execution that is not final lies, or would.
    fn done_at(&self, index: usize) -> Result<usize, usize> {
        self.done.binary_search(&index)
    }

    fn put_off(&mut self, to_do: ToDo) {
        let at = self.to_do.partition_point(|other| other.index < to_do.index);
        self.to_do.insert(at, to_do);
    }

    /// What can be executed.
    fn take_ready(&mut self, settled: usize) -> Option<ToDo> {
        let is_known = |on: usize| on < settled || self.done_at(on).is_ok();
        let is_ready = |to_do: &ToDo| {
            to_do.index == settled || !to_do.alone && to_do.after.is_none_or(is_known)
        };
        let at = self.to_do.iter().position(is_ready)?;
        Some(self.to_do.remove(at))
    }
}

impl<'a, B: Batch> Run<'a, B> {
    pub(super) fn new(batch: &'a B, limits: Limits, pace: Option<Pace>, each: Each<'a, B>) -> Self {
        let (ledger, so_far) = (batch.ledger(), SoFar::default());
        let settling = Settling { ledger, each, so_far, ended: None };
        Self {
            batch,
            next: Apart(AtomicUsize::new(0)),
            takers: (0..batch.len()).map(|_| AtomicUsize::new(usize::MAX)).collect(),
            left: Mutex::new(Vec::new()),
            left_count: Apart(AtomicUsize::new(0)),
            settled: Apart(AtomicUsize::new(0)),
            over: Apart(AtomicBool::new(batch.is_empty())),
            line: (0..batch.len()).map(|_| Once::new()).collect(),
            settling: Apart(Mutex::new(settling)),
            limits,
            pace,
            started: Instant::now(),
            panicked: Mutex::new(None),
            broken: AtomicBool::new(false),
            clashes: Clashes::new(limits.clashes_max),
            executions: AtomicUsize::new(0),
        }
    }

    /// What was written, by others and by own executions.
    fn written<'w>(&'w self, own: &'w [Option<Box<Kept<B>>>]) -> Written<'w, B> {
        Written { line: &self.line, own }
    }

    fn settled(&self) -> usize {
        self.settled.0.load(Ordering::Acquire)
    }

    fn is_over(&self) -> bool {
        self.over.0.load(Ordering::Acquire)
    }

    /// Works until the batch has ended, as the thread of this number, with what it keeps from one batch to the
    /// next: memory alone.
    pub(super) fn work(&self, thread: usize, known: &mut Known<B::Key>) {
        // Others must not be left waiting.
        let _over = SetOnPanic(&self.over.0);
        // A panic may have left something.
        known.clear();
        let (to_do, done) = (Vec::new(), VecDeque::new());
        let kept = (0..self.batch.len()).map(|_| None).collect();
        let own = Own { thread, known, read: 0, to_do, done, kept };
        let port = Port { run: self, own: RefCell::new(own) };
        let mut worker = self.batch.worker(&port);
        let (mut looks, mut executions) = (0_u32, 0);
        while !self.is_over() {
            let Some((to_do, holds)) = self.choose(&mut port.own.borrow_mut()) else {
                looks += 1;
                pause(looks);
                continue;
            };
            let ToDo { index, exact, .. } = to_do;
            looks = 0;
            executions += 1;
            let mut view = View::new(&port, Version { index, incarnation: 0 }, exact);
            let started = Instant::now();
            let outcome =
                catch_unwind(AssertUnwindSafe(|| self.batch.execute(&mut worker, &mut view)));
            let time = started.elapsed();
            let own = &mut *port.own.borrow_mut();
            match outcome {
                Ok(Ok(output)) if !view.is_interrupted() => {
                    let mut access = view.into_access();
                    // It lies about until the block has ended.
                    access.reads.shrink_to_fit();
                    let places = own.known.places(&access.writes);
                    if !holds {
                        own.known.write_ahead(index, &places);
                    }
                    let kept = Box::new(Kept { access, places, output, time, holds });
                    let at = own.done_at(index).unwrap_or_else(|at| at);
                    own.done.insert(at, index);
                    own.kept[index] = Some(kept);
                }
                // What it looked at has changed meanwhile, or the batch is over.
                Ok(_) => own.put_off(to_do),
                Err(panic) if self.broken.load(Ordering::Acquire) => resume_unwind(panic),
                Err(panic) if holds => {
                    let what = text(&*panic);
                    let mut first = self.panicked.lock().unwrap_or_else(PoisonError::into_inner);
                    first.get_or_insert(Panicked { index, what });
                    self.over.0.store(true, Ordering::Release);
                }
                // What it saw may never have been: it has its turn alone.
                Err(_) => {
                    own.put_off(ToDo { alone: true, ..to_do });
                    worker = self.batch.worker(&port);
                }
            }
        }
        self.executions.fetch_add(executions, Ordering::Relaxed);
        drop(worker);
        port.own.into_inner().known.clear();
    }

    /// Makes final what can be, and says what to execute next, and whether all before is final and known.
    fn choose(&self, own: &mut Own<'_, B>) -> Option<(ToDo, bool)> {
        self.settle_done(own);
        let settled = self.settled();
        self.read_line(own, settled);
        let mine = own.thread;
        self.take_left(own, |thread, _| thread == mine);
        let ready = own.take_ready(settled).or_else(|| {
            self.take(own, settled);
            own.take_ready(settled)
        });
        // Rather than wait, what another was to go on with.
        let ready = ready.or_else(|| {
            let waits = |to_do: &ToDo| to_do.after.is_some_and(|on| on >= settled);
            self.take_left(own, |_, to_do| !waits(to_do));
            own.take_ready(settled)
        })?;
        Some((ready, ready.index == settled))
    }

    /// Takes what was left, as far as it is wanted.
    fn take_left(&self, own: &mut Own<'_, B>, wanted: impl Fn(usize, &ToDo) -> bool) {
        if self.left_count.0.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let is_wanted = |(thread, to_do): &(usize, ToDo)| wanted(*thread, to_do);
        let (taken, others): (Vec<_>, Vec<_>) = left.drain(..).partition(is_wanted);
        *left = others;
        self.left_count.0.store(left.len(), Ordering::Relaxed);
        for (_, to_do) in taken {
            self.takers[to_do.index].store(own.thread, Ordering::Relaxed);
            own.put_off(to_do);
        }
    }

    /// Takes what is next, unless there is enough.
    fn take(&self, own: &mut Own<'_, B>, settled: usize) {
        let len = self.batch.len();
        if own.done.len() >= DONE_MAX || own.to_do.len() >= TO_DO_MAX {
            return;
        }
        let mut from = self.next.0.load(Ordering::Relaxed);
        while from < len {
            let (mut until, mut weight) = (from, 0);
            while until < len && until - from < TAKEN_AT_ONCE_MAX && weight < TAKEN_AT_ONCE {
                weight += self.batch.weight(until);
                until += 1;
            }
            let order = (Ordering::Relaxed, Ordering::Relaxed);
            match self.next.0.compare_exchange(from, until, order.0, order.1) {
                Err(now) => from = now,
                Ok(_) => {
                    (from..until).for_each(|index| self.take_one(own, index, settled));
                    return;
                }
            }
        }
    }

    /// Takes one, or leaves it to who has taken the one before.
    fn take_one(&self, own: &mut Own<'_, B>, index: usize, settled: usize) {
        let after = self.batch.follows(index);
        let to_do = ToDo { index, after, exact: false, alone: false };
        let waits_for = after.filter(|on| *on >= settled);
        let taker = waits_for.map(|on| self.takers[on].load(Ordering::Relaxed));
        match taker.filter(|taker| ![own.thread, usize::MAX].contains(taker)) {
            None => {
                self.takers[index].store(own.thread, Ordering::Relaxed);
                own.to_do.push(to_do);
            }
            Some(other) => {
                self.takers[index].store(other, Ordering::Relaxed);
                let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
                left.push((other, to_do));
                self.left_count.0.store(left.len(), Ordering::Relaxed);
            }
        }
    }

    /// Learns what is final.
    fn read_line(&self, own: &mut Own<'_, B>, settled: usize) {
        for index in own.read..settled {
            if let Some(Final { kept: Some(kept), .. }) = self.line[index].get() {
                own.known.learn(index, kept);
            }
        }
        own.read = settled;
    }

    /// Makes own executions final as far as their turn has come.
    fn settle_done(&self, own: &mut Own<'_, B>) {
        while let Some(index) = own.done.front().copied()
            && index == self.settled()
            && !self.is_over()
        {
            self.read_line(own, index);
            own.done.pop_front();
            if let Some(kept) = own.kept[index].take() {
                self.settle(own, index, kept);
            }
        }
    }

    /// Makes the execution final whose turn has come, or has it executed again.
    fn settle(&self, own: &mut Own<'_, B>, index: usize, kept: Box<Kept<B>>) {
        // It may be in the midst of an execution that this is done, whose panic it would not be.
        let _broken = SetOnPanic(&self.broken);
        let mut settling = self.settling.0.lock().unwrap_or_else(PoisonError::into_inner);
        let settling = &mut *settling;
        let result = match self.batch.admit(&settling.ledger, index) {
            Admission::End => return self.end(settling, Ended::Early),
            Admission::Refused => {
                own.known.take_back(index, &kept.places);
                Final { kept: None, sums: Vec::new() }
            }
            Admission::Admitted => {
                let holds = kept.holds || self.holds(own, index, &kept);
                let written = self.written(&own.kept);
                let sums = || own.known.sums(self.batch, &written, &kept);
                let Some(sums) = holds.then(sums).flatten() else {
                    own.known.take_back(index, &kept.places);
                    settling.so_far.again += 1;
                    // An addition does not fit if it holds.
                    let (after, alone) = (None, false);
                    return own.put_off(ToDo { index, after, exact: holds, alone });
                };
                own.known.write(index, &kept);
                settling.so_far.useful += kept.time;
                settling.so_far.work += self.batch.work(&kept.output);
                (settling.each)(index, &kept.output);
                Final { kept: Some(kept), sums }
            }
        };
        let output = result.kept.as_ref().map(|kept| &kept.output);
        let counted = output.map(|output| self.batch.count(&mut settling.ledger, index, output));
        assert!(self.line[index].set(result).is_ok(), "a transaction is final once");
        own.read = index + 1;
        self.settled.0.store(index + 1, Ordering::Release);
        if counted == Some(false) {
            self.end(settling, Ended::Early);
        } else if index + 1 == self.batch.len() {
            self.end(settling, Ended::All);
        } else if self.gives_up(settling, index) {
            self.end(settling, Ended::Serial);
        }
    }

    /// Whether one thread alone would be faster.
    fn gives_up(&self, settling: &Settling<'a, B>, index: usize) -> bool {
        // What has been taken is as good as done.
        if self.next.0.load(Ordering::Relaxed) >= self.batch.len() {
            return false;
        }
        let so_far = SoFar { settled: index + 1, ..settling.so_far };
        self.limits.give_up_own(so_far, self.pace, || self.started.elapsed())
    }

    fn end(&self, settling: &mut Settling<'a, B>, ended: Ended) {
        settling.ended = Some(ended);
        self.over.0.store(true, Ordering::Release);
    }

    /// Whether what an execution looked at is what is final.
    fn holds(&self, own: &Own<'_, B>, index: usize, kept: &Kept<B>) -> bool {
        let (mut reads, written) = (kept.access.reads.iter(), self.written(&own.kept));
        let Some(read) = reads.find(|read| !own.known.holds(self.batch, &written, read)) else {
            return true;
        };
        if let Some(by) = own.known.writer(&read.key) {
            self.clashes.note(|| Clash { key: read.key, by, of: index, waited: false });
        }
        false
    }

    /// What came of it.
    pub(super) fn into_done(self) -> Result<Outcome<B>, Panicked> {
        if let Some(panicked) = self.panicked.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(panicked);
        }
        let Settling { so_far, ended, .. } =
            self.settling.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let count = self.settled.0.load(Ordering::Acquire);
        let settled = self.line.into_iter().take(count).map(|place| {
            match place.into_inner().expect("what is final has a result").kept.map(|kept| *kept) {
                Some(Kept { access, output, .. }) => Settled::Executed { output, access },
                None => Settled::Refused,
            }
        });
        let settled: Vec<_> = settled.collect();
        let executions = self.executions.load(Ordering::Relaxed);
        let clashes = self.clashes.into_found();
        let report = Report { settled: settled.len(), executions, useful: so_far.useful, clashes };
        Ok((settled, ended.unwrap_or(Ended::All), report))
    }
}
