//! Blocks and ticks of EVM transactions in parallel.

use super::probe::Probe;
use super::{Clash, Conflicts, Done, Ended, Limits, Panicked, Parallel, Report, Settled, Weights};
use crate::machine::{Machine, Refused};
use alloc::sync::Arc;
use alloc::vec::Vec;
use atoll_state::{Resident, prefetch};
use atoll_types::Decode;
use atoll_vm::evm::objects::EvmTables;
use atoll_vm::evm::parallel::{EvmBatch, EvmKey, EvmValue, Fetch, Invalid, Outcome, apply};
use atoll_vm::evm::transition::{
    Executed, InvalidInBlock, TransitionContext, TxEnv, continue_block,
};
use atoll_vm::evm::{EvmReceipt, EvmTransaction, EvmVm};
use atoll_vm::parallel::{Access, Batch, Change, Read};
use atoll_vm::{Checked, Receipt};

/// Threads and memory for blocks of EVM transactions.
#[derive(Debug)]
pub struct EvmParallel {
    parallel: Parallel<EvmKey, EvmValue>,
    fetch: Option<Arc<dyn Fetch>>,
}

/// Why a block was not executed to its end.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BlockError {
    /// A transaction cannot be executed; those before it have been.
    #[error(transparent)]
    Invalid(#[from] InvalidInBlock),
    /// The executor broke on a transaction; some of those before it have been executed.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

/// How the execution of a block went.
#[derive(Debug)]
pub struct BlockReport {
    /// Where parallel execution ended; serial execution did the rest.
    pub ended: Ended,
    /// How it went.
    pub report: Report<EvmKey>,
    /// What each transaction that was executed in parallel read and wrote, if that was asked for.
    pub accesses: Vec<Access<EvmBatch<'static>>>,
}

impl EvmParallel {
    /// So many threads, the caller's included.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn new(threads: usize, seed: u64) -> std::io::Result<Self> {
        Ok(Self { parallel: Parallel::new(threads, seed)?, fetch: None })
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.parallel.limits = limits;
        self
    }

    /// The same for blocks on a state that is not in memory: what they read from below is asked for.
    #[must_use]
    pub fn with_fetch(mut self, fetch: Arc<dyn Fetch>) -> Self {
        self.fetch = Some(fetch);
        self
    }

    /// Executes a block like [`atoll_vm::evm::transition::execute_block`]: same results, same errors, same
    /// state, same reads. `each` is told of one transaction after the other, as soon as its result is
    /// final. `accesses` says whether the report has what each transaction read and wrote.
    ///
    /// # Errors
    /// A transaction cannot be executed, or broke the executor.
    pub fn execute_block(
        &mut self,
        tables: &mut EvmTables<Resident>,
        context: &TransitionContext<'_>,
        transactions: &[TxEnv],
        accesses: bool,
        each: &mut (dyn FnMut(usize) + Send),
    ) -> Result<(Vec<Executed>, BlockReport), BlockError> {
        let batch = EvmBatch::new(tables, context, transactions, 0, Invalid::Ends);
        let weights = Weights::of(batch.len(), |index| batch.weight(index));
        let is_worth = self.parallel.may_pay(&weights, |index| transactions[index].caller);
        let mut done = Vec::with_capacity(transactions.len());
        let is_probed = is_worth && self.fetch.is_none();
        let mut probe = is_probed.then(|| Probe::new(&self.parallel, &weights)).flatten();
        if !is_worth || probe.as_ref().is_some_and(|probe| !probe.is_over(&self.parallel)) {
            continue_block(tables, context, transactions, &mut done, &mut |executed| {
                each(executed.len() - 1);
                let (Some(probe), Some(last)) = (&mut probe, executed.last()) else { return true };
                probe.note(last.result.tx_gas_used(), &self.parallel);
                !probe.is_over(&self.parallel)
            })?;
        }
        let gas_used = |done: &[Executed]| done.iter().map(|done| done.result.tx_gas_used()).sum();
        let pace = probe.and_then(|probe| probe.pace(done.len(), gas_used(&done)));
        let (report, accesses_of) = (Report::default(), Vec::new());
        let mut report = BlockReport { ended: Ended::Serial, report, accesses: accesses_of };
        while done.len() < transactions.len() {
            let first = done.len();
            let until = first.saturating_add(self.parallel.limits.batch_max.max(1));
            let next = &transactions[first..until.min(transactions.len())];
            let gas_left = context.block.gas_limit.saturating_sub(gas_used(&done));
            let mut batch = EvmBatch::new(tables, context, next, gas_left, Invalid::Ends);
            if let Some(fetch) = &self.fetch {
                batch.fetching(fetch.as_ref());
            }
            batch.chain();
            let each_of = &mut |index: usize, _: &Outcome| each(first + index);
            let ended = self.parallel.go_on(&batch, pace, each_of);
            let Done { settled, ended, report: found } = ended.map_err(|panicked| {
                let Panicked { index, what } = panicked;
                Panicked { index: first + index, what }
            })?;
            let settled: Vec<_> = settled.into_iter().filter_map(executed).collect();
            drop(batch);
            report.ended = ended;
            report.report.add(found, first);
            let mut settled = settled.into_iter();
            while let Some((outcome, reads, writes)) = settled.next() {
                // Half of them lie in another core's cache.
                for (_, reads, _) in settled.as_slice().iter().take(1) {
                    reads.iter().for_each(prefetch::line);
                }
                let applied = apply(tables, context.config.spec, outcome, &reads);
                let index = done.len();
                done.push(applied.map_err(|error| InvalidInBlock { index, error })?);
                if accesses {
                    report.accesses.push(Access { reads, writes });
                }
            }
            if ended != Ended::All {
                continue_block(tables, context, transactions, &mut done, &mut |executed| {
                    each(executed.len() - 1);
                    true
                })?;
            }
        }
        Ok((done, report))
    }

    /// Has all threads wake up for a block that is about to come, and waits until they have, if there is something
    /// for them in it. What finds them asleep is executed serially until they are awake.
    pub fn wake(
        &self,
        tables: &EvmTables<Resident>,
        context: &TransitionContext<'_>,
        transactions: &[TxEnv],
    ) {
        let batch = EvmBatch::new(tables, context, transactions, 0, Invalid::Ends);
        let weights = Weights::of(batch.len(), |index| batch.weight(index));
        if self.parallel.may_pay(&weights, |index| transactions[index].caller) {
            self.parallel.wake();
        }
    }
}

impl EvmParallel {
    /// Executes the transactions of a tick like [`Machine::execute_all`]: same receipts, same state,
    /// same reads.
    ///
    /// # Panics
    /// Where serial execution does.
    pub fn execute_tick(
        &mut self,
        machine: &mut Machine<EvmVm<Resident>, Resident>,
        transactions: &[Result<&Checked<EvmTransaction>, &Refused>],
    ) -> Vec<Receipt> {
        self.execute(machine, transactions).0
    }

    /// The same, and which keys made the transactions depend on one another. Of those that were not
    /// executed in parallel nothing is known: limits should be [`Limits::always`], with room for
    /// clashes.
    ///
    /// # Panics
    /// Where serial execution does.
    pub fn conflicts(
        &mut self,
        machine: &mut Machine<EvmVm<Resident>, Resident>,
        transactions: &[Result<&Checked<EvmTransaction>, &Refused>],
    ) -> (Vec<Receipt>, Conflicts<EvmKey>) {
        let (receipts, accesses, clashes) = self.execute(machine, transactions);
        let gas = |receipt: &Receipt| EvmReceipt::from_bytes(&receipt.payload).map(|r| r.gas_used);
        // What is refused used nothing.
        let work = receipts.iter().map(|receipt| gas(receipt).unwrap_or(0)).collect();
        let found = Conflicts::of(&accesses, work, &clashes);
        (receipts, found)
    }

    fn execute(
        &mut self,
        machine: &mut Machine<EvmVm<Resident>, Resident>,
        transactions: &[Result<&Checked<EvmTransaction>, &Refused>],
    ) -> (Vec<Receipt>, Vec<Access<EvmBatch<'static>>>, Vec<Clash<EvmKey>>) {
        let mut receipts = Vec::with_capacity(transactions.len());
        let mut accesses = Vec::with_capacity(transactions.len());
        let mut rest = transactions;
        let gas_before = machine.vm().block().gas_used;
        let weights = Weights::of(transactions.len(), |index| {
            transactions[index].map_or(0, |checked| machine.vm().weight(&checked.transaction))
        });
        let sender = |index: usize| transactions[index].map(|checked| checked.signer).ok();
        let is_worth = self.parallel.may_pay(&weights, sender);
        let mut probe = is_worth.then(|| Probe::new(&self.parallel, &weights)).flatten();
        while !is_worth || probe.as_ref().is_some_and(|probe| !probe.is_over(&self.parallel)) {
            let Some((first, others)) = rest.split_first() else { break };
            let used = machine.vm().block().gas_used;
            machine.prefetch(others);
            receipts.push(machine.execute(*first));
            accesses.push(Access { reads: Vec::new(), writes: Vec::new() });
            if let Some(probe) = &mut probe {
                let used = machine.vm().block().gas_used.saturating_sub(used);
                probe.note(used, &self.parallel);
            }
            rest = others;
        }
        let gas_used = machine.vm().block().gas_used.saturating_sub(gas_before);
        let pace = probe.and_then(|probe| probe.pace(receipts.len(), gas_used));
        let checked: Vec<_> = rest.iter().filter_map(|one| one.ok()).collect();
        let done = machine.vm().with_batch(&checked, |batch| {
            if self.parallel.is_worth(batch) {
                batch.chain();
            }
            let done = self.parallel.go_on(batch, pace, &mut |_, _: &Outcome| {})?;
            let settled: Vec<_> = done.settled.into_iter().map(executed).collect();
            Ok::<_, Panicked>((settled, done.report.clashes))
        });
        let (done, clashes) = match done {
            Some(Err(panicked)) => panic!("{panicked}"),
            Some(Ok(done)) => done,
            None => Default::default(),
        };
        let mut done = done.into_iter();
        let mut receipt = |transaction: &Result<&Checked<EvmTransaction>, &Refused>| {
            let mut access = Access { reads: Vec::new(), writes: Vec::new() };
            let receipt = match transaction.map(|checked| (checked, done.next())) {
                // What was not executed in parallel comes after what was.
                Err(_) | Ok((_, None)) => machine.execute(*transaction),
                Ok((checked, Some(None))) => machine.vm_mut().settle(checked, None),
                Ok((checked, Some(Some((outcome, reads, writes))))) => {
                    let receipt = machine.vm_mut().settle(checked, Some((outcome, &reads)));
                    access = Access { reads, writes };
                    receipt
                }
            };
            accesses.push(access);
            receipt
        };
        receipts.extend(rest.iter().map(&mut receipt));
        (receipts, accesses, clashes)
    }
}

type Parts = (Outcome, Vec<Read<EvmKey, EvmValue>>, Vec<(EvmKey, Change<EvmValue>)>);

/// A settled transaction without the batch that it was part of.
fn executed(settled: Settled<EvmBatch<'_>>) -> Option<Parts> {
    match settled {
        Settled::Executed { output, access } => Some((output, access.reads, access.writes)),
        // Where an invalid transaction ends a block, none is refused.
        Settled::Refused => None,
    }
}
