//! A recorded block, executed.

use super::format::{Block, Recorded, Transaction};
use crate::evm::forks;
use crate::evm::json::Small;
use crate::evm::mpt::{self, TrieReceipt};
use alloy_primitives::{B256, Bloom, Bytes, U256, address, keccak256};
use anyhow::{Context, anyhow};
use atoll_state::Resident;
use atoll_types::Address;
use atoll_vm::evm::objects::EvmTables;
use atoll_vm::evm::transition::{
    self, AccessList, AccessListItem, Authorization, BlobExcessGasAndPrice, BlockEnv, BlockHashes,
    CfgEnv, Either, Executed, Log, RecoveredAuthority, RecoveredAuthorization, SpecId,
    TransitionContext, TxEnv, TxKind,
};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

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
}

impl Replayed {
    /// The middle of the runs.
    pub(super) fn median(&self) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }
}

/// Executes a recorded block so many times, each from the recorded state.
pub(super) fn replay(recorded: &Recorded, runs: usize) -> anyhow::Result<Replayed> {
    let block = &recorded.block;
    let (number, timestamp) = (block.number.0, block.timestamp.0);
    let config = forks::mainnet(number, timestamp);
    let environment = environment(block, &config)?;
    let parent = number.checked_sub(1);
    let stood_in = Mutex::new(BTreeSet::new());
    let known = |asked: u64| match recorded.block_hashes.get(&Small(asked)) {
        Some(hash) => Some(hash.0),
        None if Some(asked) == parent => Some(block.parent_hash.0),
        None => {
            stood_in.lock().insert(asked);
            Some(stand_in(asked))
        }
    };
    let hashes = BlockHashes::Known(&known);
    let context = TransitionContext { config: &config, block: &environment, hashes };
    let transactions = block.transactions.iter().enumerate().map(|(index, transaction)| {
        env(transaction).with_context(|| format!("transaction {index}"))
    });
    let transactions: Vec<TxEnv> = transactions.collect::<anyhow::Result<_>>()?;
    let (mut times, mut executed) = (Vec::with_capacity(runs), Vec::new());
    for _ in 0..runs {
        let mut tables = load(recorded, config.spec);
        open(&mut tables, &context, block)?;
        let started = Instant::now();
        executed = transition::execute_block(&mut tables, &context, &transactions)
            .map_err(|error| anyhow!("{error}; is the record's \"pre_state\" complete?"))?;
        times.push(started.elapsed());
        for withdrawal in &block.withdrawals {
            let amount = U256::from(withdrawal.amount.0) * U256::from(WEI_PER_GWEI);
            transition::credit(&mut tables, config.spec, withdrawal.address.0, amount);
        }
    }
    let (gas_used, receipts_root_equal, mut differences) = compare(block, config.spec, &executed);
    let hashes_left_out: Vec<u64> = stood_in.into_inner().into_iter().collect();
    if !differences.is_empty() && !hashes_left_out.is_empty() {
        differences.push(format!(
            "which may be because the record leaves out the hashes of blocks {hashes_left_out:?}, which \
             a contract asks for: add them to its \"block_hashes\""
        ));
    }
    Ok(Replayed {
        number,
        spec: config.spec,
        transactions: transactions.len(),
        gas_used,
        gas_used_header: block.gas_used.0,
        receipts_root_equal,
        differences,
        hashes_left_out,
        times,
    })
}

/// Stands for a hash that the record leaves out. Where the receipts come out as the header says, what it
/// was did not matter to them.
fn stand_in(number: u64) -> B256 {
    keccak256(number.to_be_bytes())
}

fn load(recorded: &Recorded, spec: SpecId) -> EvmTables<Resident> {
    let mut tables = EvmTables::new(0);
    for (address, account) in &recorded.pre_state {
        transition::put_account(
            &mut tables,
            spec,
            address.0,
            (account.nonce.0, account.balance.0),
            account.code.0.clone(),
            account.storage.iter().map(|(slot, value)| (slot.0, value.0)),
        );
    }
    tables
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
        let authority =
            signed.authority().map_or(RecoveredAuthority::Invalid, RecoveredAuthority::Valid);
        let inner = Authorization { chain_id, address, nonce };
        Either::Right(RecoveredAuthorization::new_unchecked(inner, authority))
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
    let context =
        TransitionContext { config: &config, block: &environment, hashes: BlockHashes::History };
    let mut tables = load(recorded, config.spec);
    open(&mut tables, &context, block)?;
    Ok(tables.storage().map(|(_, value)| value).collect())
}
