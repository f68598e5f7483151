//! What a VM says so that transactions of a batch may be executed at once.
//!
//! A [`Batch`] is transactions in their order on a state that stays as it is meanwhile. Whoever
//! schedules it (`atoll_executor::parallel`) executes transactions in any order and more than once, each
//! on a [`View`]: the state as the transactions before it leave it, as far as that is known. An
//! execution reads and writes through its view alone; in the end every result is that of an
//! execution that saw what serial order shows it.
//!
//! * **Values are read by [`Aspect`].** What an execution does not look at need not be as it saw it:
//!   a balance that is only added to is read by nothing, or by whether there is one.
//! * **Additions commute.** [`View::add`] writes what is added; who reads the sum depends on all that
//!   were added before, who adds depends on nobody. An addition that does not fit is found in serial
//!   order, and then the transaction is executed again [without additions](View::is_exact).
//! * **The block's counters are kept in order.** [`Batch::admit`] and [`Batch::count`] are called for one
//!   transaction after the other, once its result is final.

use alloc::vec::Vec;
use core::fmt::Debug;
use core::hash::Hash;

/// What of a value an execution depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// Nothing: it was read, and nothing followed from it.
    Nothing,
    /// Whether there is anything ([`Batch::is_absent`]).
    Presence,
    /// The value.
    Whole,
}

/// Something written to the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<V> {
    /// The value is this.
    Set(V),
    /// The value is more by this.
    Add(V),
}

/// A read of an execution.
#[derive(Clone, Debug)]
pub struct Read<K, V> {
    /// What was read.
    pub key: K,
    /// What it was.
    pub value: V,
    /// What of it was looked at.
    pub aspect: Aspect,
}

/// The number of a read inside its execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadId(usize);

/// The execution is of no use: what it saw is not what it would see now, or it waits for a transaction
/// before it. It must end, and is executed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

/// An execution of a transaction, among those of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Index of the transaction.
    pub index: usize,
    /// How often it was executed before.
    pub incarnation: u32,
}

/// The state under a batch that is being executed: what versions there are of each value.
pub trait Versions<B: Batch + ?Sized> {
    /// The value that a transaction sees.
    ///
    /// # Errors
    /// The execution is to be interrupted.
    fn see(&self, by: Version, key: &B::Key, aspect: Aspect) -> Result<B::Value, Interrupted>;
}

/// Room for so many reads is made at once.
const READS_EXPECTED: usize = 32;

/// The state as one execution of a transaction sees it, and what it reads and writes.
pub struct View<'a, B: Batch + ?Sized> {
    versions: &'a dyn Versions<B>,
    by: Version,
    exact: bool,
    reads: Vec<Read<B::Key, B::Value>>,
    writes: Vec<(B::Key, Change<B::Value>)>,
    interrupted: bool,
}

impl<B: Batch + ?Sized> Debug for View<'_, B> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("View").field("by", &self.by).finish_non_exhaustive()
    }
}

/// What an execution read and wrote, each in the order in which it did.
#[derive(Clone, Debug)]
pub struct Access<B: Batch + ?Sized> {
    /// Reads.
    pub reads: Vec<Read<B::Key, B::Value>>,
    /// Writes; the last one of a key counts.
    pub writes: Vec<(B::Key, Change<B::Value>)>,
}

impl<B: Batch + ?Sized> Default for Access<B> {
    fn default() -> Self {
        Self { reads: Vec::new(), writes: Vec::new() }
    }
}

impl<'a, B: Batch + ?Sized> View<'a, B> {
    /// A view for an execution. `exact` is what [`Self::is_exact`] will say.
    pub fn new(versions: &'a dyn Versions<B>, by: Version, exact: bool) -> Self {
        let (reads, writes) = (Vec::with_capacity(READS_EXPECTED), Vec::new());
        Self { versions, by, exact, reads, writes, interrupted: false }
    }

    /// Index of the transaction.
    pub fn index(&self) -> usize {
        self.by.index
    }

    /// Whether this execution must make no additions but read what they add to: an addition did not
    /// fit.
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// Whether the execution is to end.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Reads a value.
    ///
    /// # Errors
    /// The execution is to end.
    pub fn read(&mut self, key: B::Key, aspect: Aspect) -> Result<(B::Value, ReadId), Interrupted> {
        if self.interrupted {
            return Err(Interrupted);
        }
        let seen = self.versions.see(self.by, &key, aspect);
        let seen = seen.inspect_err(|_| self.interrupted = true)?;
        self.reads.push(Read { key, value: seen.clone(), aspect });
        Ok((seen, ReadId(self.reads.len() - 1)))
    }

    /// Looks at more of a value that was read.
    ///
    /// # Errors
    /// The execution is to end: what was read is another by now.
    pub fn look(&mut self, id: ReadId, aspect: Aspect) -> Result<(), Interrupted> {
        let Some(read) = self.reads.get_mut(id.0).filter(|read| read.aspect < aspect) else {
            return Ok(());
        };
        let seen = self.versions.see(self.by, &read.key, aspect);
        read.aspect = aspect;
        match seen {
            Ok(seen) if B::same(aspect, &seen, &read.value) => Ok(()),
            _ => {
                self.interrupted = true;
                Err(Interrupted)
            }
        }
    }

    /// Forgets what was read, because nothing follows from it: the execution begins anew.
    pub fn restart(&mut self) {
        self.reads.clear();
        self.writes.clear();
    }

    /// Notes a read that nothing follows from: the state's read set has it.
    pub fn note(&mut self, key: B::Key, value: B::Value) {
        self.reads.push(Read { key, value, aspect: Aspect::Nothing });
    }

    /// Writes a value. The same execution does not see it.
    pub fn set(&mut self, key: B::Key, value: B::Value) {
        self.writes.push((key, Change::Set(value)));
    }

    /// Adds to a value.
    pub fn add(&mut self, key: B::Key, value: B::Value) {
        self.writes.push((key, Change::Add(value)));
    }

    /// What it read and wrote.
    pub fn into_access(self) -> Access<B> {
        Access { reads: self.reads, writes: self.writes }
    }
}

/// What becomes of a transaction when its turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It counts.
    Admitted,
    /// It is refused without being executed, and has no effect.
    Refused,
    /// The batch ends before it.
    End,
}

/// Transactions of a VM in their order, on a state that does not change while they are executed.
///
/// # Obligations
/// * [`Self::execute`] is a function of the transaction and of what it reads from its view. What it
///   reads may be of no serial order: then it may give anything and may panic, but must end.
/// * [`Self::base`] gives the same value at any time.
pub trait Batch: Sync {
    /// What finds a value.
    type Key: Copy + Eq + Hash + Ord + Debug + Send + Sync;
    /// A value.
    type Value: Clone + Debug + Send + Sync;
    /// What comes of a transaction.
    type Output: Debug + Send + Sync;
    /// What a thread keeps from one transaction to the next.
    type Worker<'a>
    where
        Self: 'a;
    /// Counters of the block.
    type Ledger: Send;

    /// How many transactions there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The counters before the first transaction.
    fn ledger(&self) -> Self::Ledger;

    /// What a thread needs to execute.
    fn worker<'a>(&'a self, versions: &'a dyn Versions<Self>) -> Self::Worker<'a>;

    /// A value before the batch.
    fn base(&self, key: &Self::Key) -> Self::Value;

    /// Whether two values are the same to who looks at this much of them.
    fn same(aspect: Aspect, one: &Self::Value, other: &Self::Value) -> bool;

    /// The sum of a value and what is added to it; `None` if it does not fit.
    fn sum(value: &Self::Value, addend: &Self::Value) -> Option<Self::Value>;

    /// A transaction before this one that it surely depends on: the one before by the same sender.
    fn follows(&self, _index: usize) -> Option<usize> {
        None
    }

    /// How many hundredths of the batch, by weight, is the longest chain of transactions of which each surely depends
    /// on the one before ([`Self::follows`]): other threads wait for the one that executes it.
    fn chained(&self) -> u64 {
        0
    }

    /// What the transaction is known to read before it is executed, such as its access list.
    fn declared(&self, _index: usize) -> Vec<Self::Key> {
        Vec::new()
    }

    /// About how many nanoseconds it takes to execute a transaction; only how threads are used follows
    /// from it.
    fn weight(&self, _index: usize) -> u64 {
        20_000
    }

    /// What a transaction was found to have done, in a unit that takes about the same time everywhere in the
    /// batch; only how threads are used follows from it.
    fn work(&self, _output: &Self::Output) -> u64 {
        1
    }

    /// Executes a transaction on a view.
    ///
    /// # Errors
    /// The view said so.
    fn execute<'a>(
        &'a self,
        worker: &mut Self::Worker<'a>,
        view: &mut View<'a, Self>,
    ) -> Result<Self::Output, Interrupted>;

    /// Says what becomes of a transaction, all before it counted.
    fn admit(&self, _ledger: &Self::Ledger, _index: usize) -> Admission {
        Admission::Admitted
    }

    /// Counts a transaction; false if the batch ends with it.
    fn count(&self, ledger: &mut Self::Ledger, index: usize, output: &Self::Output) -> bool;
}
