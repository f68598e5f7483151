//! A block executed in every way, in turns.

use super::cold::{self, Cold};
use super::state::randao;
use super::workload::{BASE_FEE, CHAIN_ID, Workload};
use crate::evm::runs::{Run, Work, finding_clashes, median, turns};
use crate::evm::{forks, plain, record};
use alloy_primitives::{Address, B256, U256};
use anyhow::{Result, anyhow, ensure};
use atoll_executor::parallel::{BlockReport, EvmParallel, Limits};
use atoll_state::{Object, Resident, WriteSet, object};
use atoll_vm::evm::objects::{Account, EvmTables, StorageSlot};
use atoll_vm::evm::transition::{
    BlobExcessGasAndPrice, BlockEnv, BlockHashes, CfgEnv, SpecId, TransitionContext,
};
use atoll_vm::evm::{GasOverrides, PrecompileRules, PrecompileSet};
use std::sync::Arc;
use std::time::Duration;

/// When the blocks are, in seconds since the Unix epoch.
pub(super) const TIMESTAMP: u64 = 1_800_000_000;
pub(super) const SPEC: SpecId = SpecId::OSAKA;

/// What a block is executed under, beside the hardfork. The default is Ethereum's.
#[derive(Default)]
pub(super) struct Rules {
    pub(super) gas: GasOverrides,
    pub(super) precompiles: PrecompileSet,
}

/// A way to execute blocks in parallel.
pub(super) struct Threads {
    pub(super) count: usize,
    parallel: EvmParallel,
    /// Also what does not pay, to find out what depends on what.
    always: EvmParallel,
    /// The same on a cold state: the scheduler's estimate of what pays knows nothing of waits.
    on_cold: EvmParallel,
    cold: Arc<Cold>,
}

impl Threads {
    pub(super) fn new(count: usize, wait: Duration) -> Result<Self> {
        let cold = Arc::new(Cold::new(wait));
        let parallel = EvmParallel::new(count, 0)?;
        let always = EvmParallel::new(count, 0)?.with_limits(finding_clashes());
        let on_cold = EvmParallel::new(count, 0)?.with_limits(Limits::always());
        let on_cold = on_cold.with_fetch(cold.clone());
        Ok(Self { count, parallel, always, on_cold, cold })
    }
}

/// Times of a block on some threads.
pub(super) struct InParallel {
    pub(super) threads: usize,
    pub(super) times: Vec<Duration>,
    /// Of the last run; no executions for one that was executed serially, because parallel execution does
    /// not pay.
    pub(super) settled: usize,
    pub(super) executions: usize,
}

impl InParallel {
    fn add(&mut self, (run, BlockReport { report, .. }): (Run, BlockReport)) {
        self.times.push(run.time);
        (self.settled, self.executions) = (report.settled, report.executions);
    }
}

/// What a block took.
pub(super) struct Measured {
    pub(super) name: &'static str,
    pub(super) transactions: usize,
    pub(super) gas: u64,
    pub(super) serial: Vec<Duration>,
    /// Revm alone, where that was asked for.
    pub(super) revm: Vec<Duration>,
    pub(super) parallel: Vec<InParallel>,
    /// How many times as fast any number of threads could be.
    pub(super) speedup_max: f64,
    /// Accounts and slots that were read for the first time.
    pub(super) reads: usize,
}

struct Block<'a> {
    workload: &'a Workload,
    context: TransitionContext<'a>,
}

impl Block<'_> {
    fn tables(&self) -> EvmTables<Resident> {
        let mut tables = record::load(&self.workload.state.0, SPEC);
        object::seal(&mut tables, &mut WriteSet::default(), None);
        object::begin(&mut tables);
        tables
    }

    fn work(&self) -> Work<'_> {
        let transactions = &self.workload.transactions;
        Work { context: &self.context, transactions, after: &|_| {} }
    }

    fn serial(&self) -> Result<Run> {
        let name = self.workload.name;
        let run = self.work().serial(self.tables()).map_err(|error| anyhow!("{name}: {error}"))?;
        let failed = run.executed.iter().position(|executed| !executed.result.is_success());
        match failed.map(|index| (index, &run.executed[index].result)) {
            None => Ok(run),
            Some((index, result)) => Err(anyhow!("{name}: transaction {index} fails: {result:?}")),
        }
    }

    /// In parallel; an error if it differs from serial execution.
    fn parallel(&self, threads: &mut EvmParallel, serial: &Run) -> Result<(Run, BlockReport)> {
        let name = self.workload.name;
        let (run, report) = self.work().parallel(self.tables(), threads, false)?;
        match run.against(serial) {
            None => Ok((run, report)),
            Some(what) => Err(anyhow!("{name}: {what}")),
        }
    }
}

fn environment(gas_limit: u64, config: &CfgEnv) -> BlockEnv {
    let update = config.blob_base_fee_update_fraction();
    BlockEnv {
        number: U256::from(1),
        beneficiary: Address::repeat_byte(0xfe),
        timestamp: U256::from(TIMESTAMP),
        gas_limit,
        basefee: BASE_FEE,
        difficulty: U256::ZERO,
        prevrandao: Some(randao()),
        blob_excess_gas_and_price: Some(BlobExcessGasAndPrice::new(0, update)),
        slot_num: 0,
    }
}

/// Has something done with a workload as a block.
fn with_block<R>(workload: &Workload, rules: &Rules, run: impl FnOnce(&Block<'_>) -> R) -> R {
    let config = forks::config(SPEC, CHAIN_ID).with_gas_params(rules.gas.table(SPEC));
    let limit = workload.transactions.iter().map(|transaction| transaction.gas_limit).sum();
    let block = environment(limit, &config);
    let context = TransitionContext {
        config: &config,
        block: &block,
        hashes: BlockHashes::History,
        precompiles: PrecompileRules { set: rules.precompiles, factors: rules.gas.factors() },
        fee_tokens: &[],
    };
    run(&Block { workload, context })
}

fn in_parallel(ways: &[Threads]) -> Vec<InParallel> {
    let new = |way: &Threads| InParallel {
        threads: way.count,
        times: Vec::new(),
        settled: 0,
        executions: 0,
    };
    ways.iter().map(new).collect()
}

/// Executes a block `runs` times in each way, in turns. In parallel it must come out as serially. Revm
/// alone is among the ways only under Ethereum's rules.
pub(super) fn warm(
    workload: &Workload,
    ways: &mut [Threads],
    runs: usize,
    rules: Option<&Rules>,
) -> Result<Measured> {
    let with_revm = rules.is_none();
    with_block(workload, rules.unwrap_or(&Rules::default()), |block| {
        let (mut serial_times, mut revm) = (Vec::new(), Vec::new());
        let mut parallel = in_parallel(ways);
        let mut serial = block.serial()?;
        for run in 0..runs {
            let count = ways.len() + 2;
            for way in turns(run, count) {
                match way {
                    0 => {
                        serial = block.serial()?;
                        serial_times.push(serial.time);
                    }
                    1 if !with_revm => {}
                    1 => revm.push(revm_alone(block)?),
                    _ => {
                        let (found, way) = (&mut parallel[way - 2], &mut ways[way - 2]);
                        found.add(block.parallel(&mut way.parallel, &serial)?);
                    }
                }
            }
        }
        let asked = ways.first_mut().filter(|_| with_revm);
        let speedup_max = asked.map_or(Ok(1.0), |way| speedup_max(block, way))?;
        Ok(measured(block, &serial, (serial_times, revm), parallel, speedup_max))
    })
}

/// The same with a state of which each first read waits.
pub(super) fn cold(
    workload: &Workload,
    ways: &mut [Threads],
    (wait, runs): (Duration, usize),
) -> Result<Measured> {
    with_block(workload, &Rules::default(), |block| {
        let mut times = Vec::new();
        let mut parallel = in_parallel(ways);
        let mut serial = block.serial()?;
        for run in 0..runs {
            let count = ways.len() + 1;
            for way in turns(run, count) {
                let Some(at) = way.checked_sub(1) else {
                    serial = block.serial()?;
                    times.push(serial.time + waits(reads(&serial), wait));
                    continue;
                };
                ways[at].cold.forget();
                parallel[at].add(block.parallel(&mut ways[at].on_cold, &serial)?);
                let fetched = ways[at].cold.reads();
                // What is executed in vain may read more; the fee recipient is not read at all.
                let needed = reads(&serial).saturating_sub(1);
                ensure!(fetched >= needed, "{fetched} cold reads of {needed}");
            }
        }
        Ok(measured(block, &serial, (times, Vec::new()), parallel, 1.0))
    })
}

/// Accounts and slots that a block reads.
fn reads(run: &Run) -> usize {
    let tags = [Account::TAG, StorageSlot::TAG];
    run.reads.iter().filter(|(key, _)| key.first().is_some_and(|tag| tags.contains(tag))).count()
}

/// Waits as often as a serial execution would: one after the other, so at which read does not matter.
fn waits(reads: usize, wait: Duration) -> Duration {
    let started = std::time::Instant::now();
    (0..reads).for_each(|_| cold::wait(wait));
    started.elapsed()
}

fn measured(
    block: &Block<'_>,
    last: &Run,
    (serial, revm): (Vec<Duration>, Vec<Duration>),
    parallel: Vec<InParallel>,
    speedup_max: f64,
) -> Measured {
    let (name, transactions) = (block.workload.name, block.workload.transactions.len());
    let (gas, reads) = (last.gas_used(), reads(last));
    Measured { name, transactions, gas, serial, revm, parallel, speedup_max, reads }
}

fn revm_alone(block: &Block<'_>) -> Result<Duration> {
    let TransitionContext { config, block: environment, .. } = block.context;
    let hashes = |_| Some(B256::ZERO);
    let Workload { state, transactions, .. } = block.workload;
    plain::execute(&state.0, (config, environment), &hashes, transactions)
}

/// How many times as fast as serially the block could be at most, by what depends on what.
fn speedup_max(block: &Block<'_>, way: &mut Threads) -> Result<f64> {
    Ok(block.work().conflicts(block.tables(), &mut way.always)?.speedup_max())
}

/// How many times as long one takes as the other, by medians.
pub(super) fn ratio(one: &[Duration], other: &[Duration]) -> f64 {
    median(one).as_secs_f64() / median(other).as_secs_f64().max(f64::EPSILON)
}
