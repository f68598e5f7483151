//! A recorded block, executed.

use super::format::{Block, HashesByNumber, Recorded, Transaction};
use crate::evm::forks;
use crate::evm::json::Small;
use crate::evm::mpt::{self, TrieReceipt};
use crate::evm::runs::{Run, Work, median, turns};
use crate::evm::{plain, record};
use alloy_primitives::{B256, Bloom, Bytes, U256, address, keccak256};
use anyhow::{Context, anyhow};
use atoll_executor::parallel::{BlockReport, Conflicts, EvmParallel};
use atoll_state::{Resident, WriteSet, object};
use atoll_types::Address;
use atoll_vm::evm::objects::EvmTables;
use atoll_vm::evm::parallel::EvmKey;
use atoll_vm::evm::transition::{
    self, AccessList, AccessListItem, BlobExcessGasAndPrice, BlockEnv, BlockHashes, CfgEnv,
    Executed, Log, SpecId, TransitionContext, TxEnv, TxKind,
};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::time::Duration;

/// The contract that keeps the beacon chain's roots (EIP-4788).
const BEACON_ROOTS: Address = address!("000F3df6D732807Ef1319fB7B8bB8522d0Beac02");
/// The contract that keeps block hashes (EIP-2935).
const HISTORY: Address = atoll_vm::evm::history::HISTORY_ADDRESS;
/// Gas of a blob (EIP-4844).
const GAS_PER_BLOB: u64 = 1 << 17;
const WEI_PER_GWEI: u64 = 1_000_000_000;

/// What came of a block.
#[derive(Clone, Debug)]
pub(super) struct Replayed {
    pub(super) number: u64,
    pub(super) spec: SpecId,
    pub(super) transactions: usize,
    pub(super) gas_used: u64,
    pub(super) gas_used_header: u64,
    /// None before Byzantium, whose receipts hold state roots that a part of the state cannot give.
    pub(super) receipts_root_equal: Option<bool>,
    /// What differs from the header.
    pub(super) differences: Vec<String>,
    /// Blocks whose hashes were asked for and are not in the record: something else stood for them.
    pub(super) hashes_left_out: Vec<u64>,
    /// Time of the transactions, of each run.
    pub(super) times: Vec<Duration>,
    /// If it was executed in parallel too.
    pub(super) parallel: Option<InParallel>,
    pub(super) conflicts: Option<Conflicts<EvmKey>>,
}

impl Replayed {
    /// The middle of the runs.
    pub(super) fn median(&self) -> Duration {
        median(&self.times)
    }
}

/// What a block is executed with.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// How often, from the same state.
    pub(super) runs: usize,
    /// Threads, if it is to be executed in parallel too, and by revm on a state of its own.
    pub(super) parallel: Option<EvmParallel>,
    /// Threads to find out who depends on whom.
    pub(super) conflicts: Option<EvmParallel>,
    /// Hashes that records leave out.
    pub(super) hashes: HashesByNumber,
}

/// A recorded block, ready to be executed.
struct Ready<'a> {
    recorded: &'a Recorded,
    context: TransitionContext<'a>,
    transactions: Vec<TxEnv>,
}

impl Ready<'_> {
    /// The state before the transactions, in a range of its own.
    fn tables(&self) -> anyhow::Result<EvmTables<Resident>> {
        let mut tables = record::load(&self.recorded.pre_state, self.context.config.spec);
        open(&mut tables, &self.context, &self.recorded.block)?;
        object::seal(&mut tables, &mut WriteSet::default(), None);
        object::begin(&mut tables);
        Ok(tables)
    }

    /// Everything after the transactions.
    fn close(&self, tables: &mut EvmTables<Resident>) {
        for withdrawal in &self.recorded.block.withdrawals {
            let amount = U256::from(withdrawal.amount.0) * U256::from(WEI_PER_GWEI);
            let spec = self.context.config.spec;
            transition::credit(tables, spec, withdrawal.address.0, amount);
        }
    }

    /// Has it executed.
    fn with<R>(&self, run: impl FnOnce(&Work<'_>) -> R) -> R {
        let after = |tables: &mut EvmTables<Resident>| self.close(tables);
        let (context, transactions) = (&self.context, &self.transactions);
        run(&Work { context, transactions, after: &after })
    }

    fn serial(&self) -> anyhow::Result<Run> {
        let tables = self.tables()?;
        self.with(|work| work.serial(tables)).map_err(refused)
    }

    fn parallel(&self, threads: &mut EvmParallel) -> anyhow::Result<(Run, BlockReport)> {
        let tables = self.tables()?;
        self.with(|work| work.parallel(tables, threads, false)).map_err(refused)
    }

    fn conflicts(&self, threads: &mut EvmParallel) -> anyhow::Result<Conflicts<EvmKey>> {
        let tables = self.tables()?;
        self.with(|work| work.conflicts(tables, threads)).map_err(refused)
    }
}

fn refused(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("{error}; is the record's \"pre_state\" complete?")
}

/// How a block was executed in parallel.
#[derive(Clone, Debug)]
pub(super) struct InParallel {
    /// Of each run.
    pub(super) times: Vec<Duration>,
    /// Of each run of revm on a state of its own, serially.
    pub(super) revm: Vec<Duration>,
    /// Of the last run: transactions that were executed in parallel, and executions.
    pub(super) settled: usize,
    pub(super) executions: usize,
}

/// Executes a recorded block in all ways that are asked for.
pub(super) fn replay(recorded: &Recorded, ways: &mut Ways) -> anyhow::Result<Replayed> {
    let block = &recorded.block;
    let (number, timestamp) = (block.number.0, block.timestamp.0);
    let config = forks::mainnet(number, timestamp);
    let environment = environment(block, &config)?;
    let parent = number.checked_sub(1);
    let stood_in = Mutex::new(BTreeSet::new());
    let hashes = [&recorded.block_hashes, &ways.hashes];
    let given = |asked: u64| match hashes.iter().find_map(|known| known.get(&Small(asked))) {
        Some(hash) => Some(hash.0),
        None if Some(asked) == parent => Some(block.parent_hash.0),
        None => None,
    };
    let known = |asked: u64| {
        given(asked).or_else(|| {
            stood_in.lock().insert(asked);
            Some(stand_in(asked))
        })
    };
    // What is executed ahead of its turn may ask for what nobody asks for in the end.
    let silent = |asked: u64| given(asked).or_else(|| Some(stand_in(asked)));
    let transactions = block.transactions.iter().enumerate().map(|(index, transaction)| {
        env(transaction).with_context(|| format!("transaction {index}"))
    });
    let transactions: Vec<TxEnv> = transactions.collect::<anyhow::Result<_>>()?;
    let context = |hashes| TransitionContext::ethereum(&config, &environment, hashes);
    let mut ready = Ready { recorded, context: context(BlockHashes::Known(&known)), transactions };
    let mut serial = ready.serial()?;
    ready.context = context(BlockHashes::Known(&silent));
    let (mut times, mut differ) = (Vec::with_capacity(ways.runs), None);
    let mut parallel = ways.parallel.as_ref().map(|_| InParallel::new(ways.runs));
    for run in 0..ways.runs {
        for way in turns(run, 3) {
            match (way, &mut parallel, &mut ways.parallel) {
                (0, None, _) if run == 0 => times.push(serial.time),
                (0, _, _) => {
                    serial = ready.serial()?;
                    times.push(serial.time);
                }
                (1, Some(found), Some(threads)) => {
                    let (run, report) = ready.parallel(threads)?;
                    differ = differ.or_else(|| run.against(&serial));
                    found.times.push(run.time);
                    (found.settled, found.executions) =
                        (report.report.settled, report.report.executions);
                }
                (2, Some(found), _) => found.revm.push(plain::execute(
                    &recorded.pre_state,
                    (&config, &environment),
                    &silent,
                    &ready.transactions,
                )?),
                _ => {}
            }
        }
    }
    let conflicts = ways.conflicts.as_mut().map(|threads| ready.conflicts(threads)).transpose()?;
    let executed = &serial.executed;
    let (gas_used, receipts_root_equal, mut differences) = compare(block, config.spec, executed);
    let transactions = ready.transactions.len();
    let hashes_left_out: Vec<u64> = stood_in.into_inner().into_iter().collect();
    if !differences.is_empty() && !hashes_left_out.is_empty() {
        differences.push(format!(
            "which may be because the record leaves out the hashes of blocks {hashes_left_out:?}, which \
             a contract asks for: add them to its \"block_hashes\", or give a file of them by --hashes"
        ));
    }
    differences.extend(differ);
    Ok(Replayed {
        number,
        spec: config.spec,
        transactions,
        gas_used,
        gas_used_header: block.gas_used.0,
        receipts_root_equal,
        differences,
        hashes_left_out,
        times,
        parallel,
        conflicts,
    })
}

impl InParallel {
    fn new(runs: usize) -> Self {
        let times = || Vec::with_capacity(runs);
        Self { times: times(), revm: times(), settled: 0, executions: 0 }
    }
}

/// Stands for a hash that the record leaves out. Where the receipts come out as the header says, what it
/// was did not matter to them.
fn stand_in(number: u64) -> B256 {
    keccak256(number.to_be_bytes())
}

/// The system calls at the beginning of a block.
fn open(
    tables: &mut EvmTables<Resident>,
    context: &TransitionContext<'_>,
    block: &Block,
) -> anyhow::Result<()> {
    let spec = context.config.spec;
    if spec.is_enabled_in(SpecId::CANCUN) {
        let root = block.parent_beacon_block_root.context("parentBeaconBlockRoot is missing")?;
        system_call(tables, context, BEACON_ROOTS, root.0)?;
    }
    if spec.is_enabled_in(SpecId::PRAGUE) {
        system_call(tables, context, HISTORY, block.parent_hash.0)?;
    }
    Ok(())
}

fn system_call(
    tables: &mut EvmTables<Resident>,
    context: &TransitionContext<'_>,
    contract: Address,
    word: B256,
) -> anyhow::Result<()> {
    transition::system_call(tables, context, contract, Bytes::from(word.0))
        .map_err(|error| anyhow!("the system call of {contract}: {error}"))
}

fn environment(block: &Block, config: &CfgEnv) -> anyhow::Result<BlockEnv> {
    let since = |fork| config.spec.is_enabled_in(fork);
    let missing = |name: &str| format!("{name} is missing, which a block of its time has");
    let prevrandao = match since(SpecId::MERGE) {
        true => Some(block.mix_hash.with_context(|| missing("mixHash"))?.0),
        false => None,
    };
    let blob_excess_gas_and_price = match since(SpecId::CANCUN) {
        true => {
            let excess = block.excess_blob_gas.with_context(|| missing("excessBlobGas"))?.0;
            Some(BlobExcessGasAndPrice::new(excess, config.blob_base_fee_update_fraction()))
        }
        false => None,
    };
    Ok(BlockEnv {
        number: U256::from(block.number.0),
        beneficiary: block.miner.0,
        timestamp: U256::from(block.timestamp.0),
        gas_limit: block.gas_limit.0,
        basefee: match since(SpecId::LONDON) {
            true => block.base_fee_per_gas.with_context(|| missing("baseFeePerGas"))?.0,
            false => 0,
        },
        difficulty: block.difficulty.0,
        prevrandao,
        blob_excess_gas_and_price,
        slot_num: 0,
    })
}

fn wei(name: &str, amount: U256) -> anyhow::Result<u128> {
    u128::try_from(amount).map_err(|_| anyhow!("the {name} {amount} is out of range"))
}

fn env(transaction: &Transaction) -> anyhow::Result<TxEnv> {
    let tx_type = u8::try_from(transaction.kind.0).ok().filter(|kind| *kind <= 4);
    let tx_type = tx_type.with_context(|| format!("type {} is unknown", transaction.kind.0))?;
    let max_fee = transaction.max_fee_per_gas.or(transaction.gas_price);
    let max_fee = max_fee.context("it has neither gasPrice nor maxFeePerGas")?;
    let tip = transaction.max_priority_fee_per_gas.filter(|_| tx_type >= 2);
    let blob_fee = transaction.max_fee_per_blob_gas.unwrap_or_default();
    let access_list = transaction.access_list.iter().map(|item| AccessListItem {
        address: item.address.0,
        storage_keys: item.storage_keys.iter().map(|key| key.0).collect(),
    });
    let authorizations = transaction.authorization_list.iter().map(|signed| {
        let (chain_id, address, nonce) = (signed.chain_id.0, signed.address.0, signed.nonce.0);
        let y_parity = u8::try_from(signed.y_parity.0).unwrap_or(u8::MAX);
        let (r, s) = (signed.r.0, signed.s.0);
        let signed =
            atoll_vm::evm::SignedAuthorization { chain_id, address, nonce, y_parity, r, s };
        record::authorization((chain_id, address, nonce), signed.authority())
    });
    Ok(TxEnv {
        tx_type,
        caller: transaction.from.0,
        gas_limit: transaction.gas.0,
        gas_price: wei("gas price", max_fee.0)?,
        kind: transaction.to.map_or(TxKind::Create, TxKind::Call),
        value: transaction.value.0,
        data: transaction.input.0.clone(),
        nonce: transaction.nonce.0,
        chain_id: transaction.chain_id.map(|id| id.0),
        access_list: AccessList(access_list.collect()),
        gas_priority_fee: tip.map(|tip| wei("max priority fee", tip.0)).transpose()?,
        blob_hashes: transaction.blob_versioned_hashes.iter().map(|hash| hash.0).collect(),
        max_fee_per_blob_gas: wei("max fee per blob gas", blob_fee.0)?,
        authorization_list: authorizations.collect(),
    })
}

/// Gas used, whether the receipts root is the header's, and everything that differs.
fn compare(block: &Block, spec: SpecId, executed: &[Executed]) -> (u64, Option<bool>, Vec<String>) {
    let mut differences = Vec::new();
    let (mut gas_used, mut bloom) = (0, Bloom::ZERO);
    let mut receipts = Vec::with_capacity(executed.len());
    for (transaction, Executed { result, .. }) in block.transactions.iter().zip(executed) {
        gas_used += result.tx_gas_used();
        let logs: &[Log] = if result.is_success() { result.logs() } else { &[] };
        bloom |= mpt::bloom(logs);
        receipts.push(TrieReceipt {
            kind: u8::try_from(transaction.kind.0).unwrap_or_default(),
            success: result.is_success(),
            cumulative_gas_used: gas_used,
            logs,
        });
    }
    let mut differ = |what: &str, found: String, header: String| {
        if found != header {
            differences.push(format!("{what} {found}, the header has {header}"));
        }
    };
    differ("gas used", gas_used.to_string(), block.gas_used.0.to_string());
    if bloom != block.logs_bloom.0 {
        let short = |bloom: Bloom| alloy_primitives::keccak256(bloom).to_string();
        differ("logs bloom with hash", short(bloom), short(block.logs_bloom.0));
    }
    if let Some(header) = block.blob_gas_used {
        let blobs = block.transactions.iter().map(|t| t.blob_versioned_hashes.len() as u64);
        let used = blobs.sum::<u64>() * GAS_PER_BLOB;
        differ("blob gas used", used.to_string(), header.0.to_string());
    }
    let receipts_root_equal = spec.is_enabled_in(SpecId::BYZANTIUM).then(|| {
        let root = mpt::receipts_root(&receipts);
        differ("receipts root", root.to_string(), block.receipts_root.0.to_string());
        root == block.receipts_root.0
    });
    (gas_used, receipts_root_equal, differences)
}

/// What is in the storage after the system calls.
#[cfg(test)]
pub(super) fn opened(recorded: &Recorded) -> anyhow::Result<Vec<U256>> {
    let block = &recorded.block;
    let config = forks::mainnet(block.number.0, block.timestamp.0);
    let environment = environment(block, &config)?;
    let context = TransitionContext::ethereum(&config, &environment, BlockHashes::History);
    let mut tables = record::load(&recorded.pre_state, config.spec);
    open(&mut tables, &context, block)?;
    Ok(tables.storage().map(|(_, value)| value).collect())
}
