//! A block of transactions on tables, one after the other and in parallel, with the time that takes.

use atoll_executor::parallel::{BlockError, BlockReport, Conflicts, EvmParallel, Limits};
use atoll_state::{Resident, WriteSet, object};
use atoll_vm::evm::objects::EvmTables;
use atoll_vm::evm::parallel::EvmKey;
use atoll_vm::evm::transition::{self, Executed, InvalidInBlock, TransitionContext, TxEnv};
use std::time::{Duration, Instant};

/// One execution of a block.
pub(crate) struct Run {
    /// Of its transactions.
    pub(crate) time: Duration,
    pub(crate) executed: Vec<Executed>,
    /// What it wrote.
    pub(crate) writes: WriteSet,
    /// What it read, with the values before.
    pub(crate) reads: WriteSet,
}

impl Run {
    fn new(time: Duration, executed: Vec<Executed>, mut tables: EvmTables<Resident>) -> Self {
        let (mut writes, mut reads) = (WriteSet::default(), WriteSet::default());
        object::seal(&mut tables, &mut writes, Some(&mut reads));
        Self { time, executed, writes, reads }
    }

    /// Gas that its transactions used.
    pub(crate) fn gas_used(&self) -> u64 {
        self.executed.iter().map(|executed| executed.result.tx_gas_used()).sum()
    }

    /// What differs from serial execution.
    pub(crate) fn against(&self, serial: &Self) -> Option<String> {
        let results = self.executed.iter().zip(&serial.executed);
        let differs = |(one, other): (&Executed, &Executed)| {
            one.result != other.result || one.lost != other.lost
        };
        let what = match results.map(differs).position(|differs| differs) {
            Some(index) => format!("the result of transaction {index}"),
            None if self.executed.len() != serial.executed.len() => "the number of results".into(),
            None if self.writes != serial.writes => "the state".into(),
            None if self.reads != serial.reads => "what was read".into(),
            None => return None,
        };
        Some(format!("{what} in parallel differs from serial execution"))
    }
}

/// What a block is made of, and what comes after its transactions.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    pub(crate) context: &'a TransitionContext<'a>,
    pub(crate) transactions: &'a [TxEnv],
    pub(crate) after: &'a dyn Fn(&mut EvmTables<Resident>),
}

impl Work<'_> {
    /// On tables whose range begins with the block.
    pub(crate) fn serial(&self, mut tables: EvmTables<Resident>) -> Result<Run, InvalidInBlock> {
        let started = Instant::now();
        let executed = transition::execute_block(&mut tables, self.context, self.transactions);
        let time = started.elapsed();
        let executed = executed?;
        (self.after)(&mut tables);
        Ok(Run::new(time, executed, tables))
    }

    /// The same on several threads. `accesses` says whether the report has what each transaction read and
    /// wrote.
    pub(crate) fn parallel(
        &self,
        mut tables: EvmTables<Resident>,
        threads: &mut EvmParallel,
        accesses: bool,
    ) -> Result<(Run, BlockReport), BlockError> {
        let (context, transactions) = (self.context, self.transactions);
        // As under load: serial execution does not wait for a core to wake either.
        threads.wake(&tables, context, transactions);
        let started = Instant::now();
        let executed =
            threads.execute_block(&mut tables, context, transactions, accesses, &mut |_| {});
        let time = started.elapsed();
        let (executed, report) = executed?;
        (self.after)(&mut tables);
        Ok((Run::new(time, executed, tables), report))
    }

    /// What depends on what, found out by executing it on threads that have [`finding_clashes`].
    pub(crate) fn conflicts(
        &self,
        tables: EvmTables<Resident>,
        threads: &mut EvmParallel,
    ) -> Result<Conflicts<EvmKey>, BlockError> {
        let (run, report) = self.parallel(tables, threads, true)?;
        let gas = run.executed.iter().map(|executed| executed.result.tx_gas_used()).collect();
        Ok(Conflicts::of(&report.accesses, gas, &report.report.clashes))
    }
}

/// Most clashes that are remembered of a block.
const CLASHES_MAX: usize = 1 << 16;

/// Limits under which everything is executed in parallel, and clashes are remembered.
pub(crate) fn finding_clashes() -> Limits {
    Limits { clashes_max: CLASHES_MAX, ..Limits::always() }
}

/// The order in which so many ways have their turns in a run. Who begins changes, and who comes behind whom:
/// what else the machine does, and what one leaves in memory and caches, meets all of them.
pub(crate) fn turns(run: usize, count: usize) -> impl Iterator<Item = usize> {
    let turn = move |way| (way + run / 2) % count;
    (0..count).map(move |way| turn(if run.is_multiple_of(2) { way } else { count - 1 - way }))
}

/// The middle of some times.
pub(crate) fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
