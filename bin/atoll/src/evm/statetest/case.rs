//! One test under one fork: state, transaction, what must come of it.

use super::format::{Post, SignedAuthorization, StateTest, Transaction};
use crate::evm::forks::{self, Fork};
use crate::evm::json::{HexAddress, number};
use crate::evm::mpt::{self, Expected};
use crate::evm::record::{self, PreAccount};
use alloy_primitives::{Address, B256, U256, keccak256};
use atoll_executor::parallel::{BlockError, EvmParallel};
use atoll_state::Resident;
use atoll_types::crypto::SigningKey;
use atoll_vm::evm::objects::EvmTables;
use atoll_vm::evm::transition::{
    self, AccessList, AccessListItem, BlobExcessGasAndPrice, BlockEnv, BlockHashes, CfgEnv, Either,
    Executed, Log, RecoveredAuthorization, SpecId, TransitionContext, TransitionError, TxEnv,
    TxKind,
};

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    /// The sentence says what differs.
    Failed(String),
    /// The sentence says why it was not run.
    LeftOut(&'static str),
}

/// Runs a test under a fork.
pub(super) fn run(
    test: &StateTest,
    fork: &str,
    post: &Post,
    parallel: Option<&mut EvmParallel>,
) -> Outcome {
    let spec = match forks::named(fork) {
        Fork::LeftOut(why) => return Outcome::LeftOut(why),
        Fork::Known(spec) => spec,
    };
    match compare(test, (fork, spec), post, parallel) {
        Ok(()) => Outcome::Passed,
        Err(what) => Outcome::Failed(what),
    }
}

fn compare(
    test: &StateTest,
    (fork, spec): (&str, SpecId),
    post: &Post,
    parallel: Option<&mut EvmParallel>,
) -> Result<(), String> {
    let chain_id = test.config.chain_id.map_or(1, |id| id.0);
    let mut config = forks::config(spec, chain_id);
    if let Some(schedule) = test.config.blob_schedule.get(fork) {
        config.blob_base_fee_update_fraction = Some(schedule.base_fee_update_fraction.0);
    }
    let mut tables = record::load(&test.pre, spec);
    let block = block(test, &config)?;
    let context = TransitionContext::ethereum(&config, &block, BlockHashes::Known(&block_hash));
    let outcome = match transaction(test, post, chain_id) {
        Ok(transaction) => match execute(&mut tables, &context, transaction, parallel) {
            Ok(Executed { result, .. }) => Ok(result),
            Err(TransitionError::Transaction(error)) => Err(error.to_string()),
            Err(error) => return Err(format!("was not executed: {error}")),
        },
        Err(error) => Err(error),
    };
    // The tests were filled with a block reward of nothing, which touches its receiver.
    transition::credit(&mut tables, spec, block.beneficiary, U256::ZERO);
    let logs: &[Log] = match &outcome {
        Ok(result) if result.is_success() => result.logs(),
        _ => &[],
    };
    match (&outcome, &post.expect_exception) {
        (Ok(_), Some(expected)) => {
            return Err(format!("was executed, must be refused: {expected}"));
        }
        (Err(error), None) => return Err(format!("was refused: {error}")),
        _ => {}
    }
    let logs = mpt::logs_hash(logs);
    if logs != post.logs.0 {
        return Err(format!("logs hash {logs}, expected {}", post.logs.0));
    }
    let root = mpt::state_root(&tables);
    if root == post.hash.0 {
        return Ok(());
    }
    let differs = post
        .state
        .as_ref()
        .and_then(|state| mpt::first_difference(&tables, &state.iter().map(expected).collect()));
    let differs = differs.map_or_else(String::new, |what| format!(": {what}"));
    Err(format!("state root {root}, expected {}{differs}", post.hash.0))
}

/// Executes the transaction, serially or on a block of its own in parallel.
fn execute(
    tables: &mut EvmTables<Resident>,
    context: &TransitionContext<'_>,
    transaction: TxEnv,
    parallel: Option<&mut EvmParallel>,
) -> Result<Executed, TransitionError> {
    let Some(parallel) = parallel else {
        return transition::transact(tables, context, transaction);
    };
    match parallel.execute_block(tables, context, &[transaction], false, &mut |_| {}) {
        Ok((mut executed, _)) => Ok(executed.remove(0)),
        Err(BlockError::Invalid(invalid)) => Err(invalid.error),
        Err(BlockError::Panicked(panicked)) => panic!("{panicked}"),
    }
}

fn expected((address, account): (&HexAddress, &PreAccount)) -> (Address, Expected) {
    let storage = account.slots();
    let code_hash = keccak256(&account.code.0);
    let (nonce, balance) = (account.nonce.0, account.balance.0);
    (address.0, Expected { nonce, balance, code_hash, storage: storage.collect() })
}

/// The hash of a block, as the tests have it.
fn block_hash(number: u64) -> Option<B256> {
    Some(keccak256(number.to_string()))
}

fn block(test: &StateTest, config: &CfgEnv) -> Result<BlockEnv, String> {
    let (env, spec) = (&test.env, config.spec);
    let since = |fork| spec.is_enabled_in(fork);
    let random = env.current_random.unwrap_or(env.current_difficulty).0;
    let excess = env.current_excess_blob_gas.map_or(0, |gas| gas.0);
    Ok(BlockEnv {
        number: env.current_number.0,
        beneficiary: env.current_coinbase.0,
        timestamp: env.current_timestamp.0,
        gas_limit: u64::try_from(env.current_gas_limit.0).unwrap_or(u64::MAX),
        basefee: match since(SpecId::LONDON) {
            true => env.current_base_fee.ok_or("currentBaseFee is missing")?.0,
            false => 0,
        },
        difficulty: env.current_difficulty.0,
        prevrandao: since(SpecId::MERGE).then(|| B256::from(random)),
        blob_excess_gas_and_price: since(SpecId::CANCUN)
            .then(|| BlobExcessGasAndPrice::new(excess, config.blob_base_fee_update_fraction())),
        slot_num: 0,
    })
}

fn field<T: TryFrom<U256>>(name: &str, text: &str) -> Result<T, String> {
    let out_of_range = || format!("the {name} {text} is out of range");
    T::try_from(number(text).map_err(|_| out_of_range())?).map_err(|_| out_of_range())
}

fn optional(name: &str, text: &Option<String>) -> Result<Option<u128>, String> {
    text.as_deref().map(|text| field(name, text)).transpose()
}

fn chosen<'a, T>(name: &str, list: &'a [T], index: usize) -> Result<&'a T, String> {
    list.get(index).ok_or_else(|| format!("the transaction has no {name} {index}"))
}

/// The transaction that the indexes choose; an error is why no block could contain it.
fn transaction(test: &StateTest, post: &Post, chain_id: u64) -> Result<TxEnv, String> {
    let parts = &test.transaction;
    let (indexes, access_list) = (post.indexes, access_list(parts, post.indexes.data));
    let authorizations = parts.authorization_list.as_deref();
    let tx_type = match parts {
        _ if authorizations.is_some() => 4,
        Transaction { blob_versioned_hashes: Some(_), .. }
        | Transaction { max_fee_per_blob_gas: Some(_), .. } => 3,
        Transaction { max_fee_per_gas: Some(_), .. } => 2,
        _ if access_list.is_some() => 1,
        _ => 0,
    };
    let kind = match parts.to.as_deref() {
        None | Some("" | "0x") => TxKind::Create,
        Some(to) => TxKind::Call(to.parse().map_err(|error| format!("to {to}: {error}"))?),
    };
    let price = optional("gas price", &parts.gas_price)?;
    let max_fee = optional("max fee per gas", &parts.max_fee_per_gas)?;
    let blobs = parts.blob_versioned_hashes.iter().flatten().map(|hash| hash.0);
    if tx_type == 3 && kind == TxKind::Create {
        return Err("a blob transaction cannot create a contract".into());
    }
    if tx_type == 4 && kind == TxKind::Create {
        return Err("a transaction with authorizations cannot create a contract".into());
    }
    Ok(TxEnv {
        tx_type,
        caller: sender(parts)?,
        gas_limit: field("gas limit", chosen("gas limit", &parts.gas_limit, indexes.gas)?)?,
        gas_price: max_fee.or(price).ok_or("it has neither gasPrice nor maxFeePerGas")?,
        kind,
        value: field("value", chosen("value", &parts.value, indexes.value)?)?,
        data: chosen("data", &parts.data, indexes.data)?.0.clone(),
        nonce: field("nonce", &parts.nonce)?,
        chain_id: Some(parts.chain_id.map_or(chain_id, |id| id.0)),
        access_list: access_list.unwrap_or_default(),
        gas_priority_fee: optional("max priority fee", &parts.max_priority_fee_per_gas)?,
        blob_hashes: blobs.collect(),
        max_fee_per_blob_gas: optional("max fee per blob gas", &parts.max_fee_per_blob_gas)?
            .unwrap_or_default(),
        authorization_list: authorizations.unwrap_or_default().iter().map(authorization).collect(),
    })
}

fn access_list(parts: &Transaction, index: usize) -> Option<AccessList> {
    let list = parts.access_lists.as_ref()?.get(index)?.as_ref()?;
    let items = list.iter().map(|item| AccessListItem {
        address: item.address.0,
        storage_keys: item.storage_keys.iter().map(|key| B256::from(key.0)).collect(),
    });
    Some(AccessList(items.collect()))
}

fn sender(parts: &Transaction) -> Result<Address, String> {
    if let Some(sender) = parts.sender {
        return Ok(sender.0);
    }
    let key = parts.secret_key.ok_or("it has neither sender nor secretKey")?;
    let key = SigningKey::from_bytes(key.0.0).ok_or("its secretKey is not one")?;
    Ok(key.address())
}

fn authorization(
    signed: &SignedAuthorization,
) -> Either<transition::SignedAuthorization, RecoveredAuthorization> {
    let (chain_id, address) = (signed.chain_id.0, signed.address.0);
    let nonce = u64::try_from(signed.nonce.0);
    let parity = signed.y_parity.or(signed.v).map(|parity| parity.0).unwrap_or_default();
    // What does not fit its field has no effect, like a signature that fits no key.
    let recovered = nonce.ok().zip(u8::try_from(parity).ok()).and_then(|(nonce, y_parity)| {
        let (r, s) = (signed.r.0, signed.s.0);
        atoll_vm::evm::SignedAuthorization { chain_id, address, nonce, y_parity, r, s }.authority()
    });
    record::authorization((chain_id, address, nonce.unwrap_or(u64::MAX)), recovered)
}
