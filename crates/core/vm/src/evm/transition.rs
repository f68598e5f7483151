//! What executes below an environment's own rules: a transaction, a system call or a block of
//! transactions on the tables, with the hardfork and the block as parameters.
//!
//! An environment gives its one hardfork and the block that its slot makes
//! ([`super::execute`]). Whoever runs recorded Ethereum gives what the record says. Before Cancun a
//! contract that destroys itself may leave storage behind, which is looked for among all slots
//! without recording it: ranges under those rules have no witness.

use super::changes;
use super::database::{self, Recorded};
use super::fees::{FeeHandler, FeeToken};
use super::interpreter;
use super::keccak::Hashes;
use super::objects::{
    AHEAD, Account, AccountKey, Code, CodeKey, EvmTables, STORAGE_ONLY, SlotKey, StorageSlot,
};
use super::payment::Payment;
use super::precompiles::{PrecompileRules, Provider};
use alloc::vec::Vec;
use atoll_state::{Resident, Source};
use atoll_types::{Address, B256, U256, keccak256};
use core::fmt;
use revm::ExecuteEvm;
use revm::bytecode::Bytecode;
use revm::context::result::{EVMError, ExecutionResult, InvalidTransaction};
use revm::database_interface::DBErrorMarker;
use revm::handler::{EthFrame, Handler, MainnetHandler, SystemCallTx};
use revm::interpreter::interpreter::EthInterpreter;
use revm::primitives::Bytes;

pub use revm::context::{BlockEnv, CfgEnv, TxEnv};
pub use revm::context_interface::block::BlobExcessGasAndPrice;
pub use revm::context_interface::either::Either;
pub use revm::context_interface::transaction::{
    AccessList, AccessListItem, Authorization, RecoveredAuthority, RecoveredAuthorization,
    SignedAuthorization,
};
pub use revm::primitives::hardfork::SpecId;
pub use revm::primitives::{Log, TxKind};

/// The hash of a block that was asked for is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hash of block {0} is asked for and not known")]
pub struct MissingBlockHash(pub u64);

impl DBErrorMarker for MissingBlockHash {}

/// Why a transaction or a system call was not executed.
pub type TransitionError = EVMError<MissingBlockHash>;

type Outcome = Result<ExecutionResult, TransitionError>;

type Mainnet<EVM> = MainnetHandler<EVM, TransitionError, EthFrame<EthInterpreter>>;

/// Where the opcode BLOCKHASH takes its answers from.
#[derive(Clone, Copy)]
pub enum BlockHashes<'a> {
    /// The storage of EIP-2935's contract, which an environment writes at each slot.
    History,
    /// What this knows; asking for another one is an error.
    Known(&'a (dyn Fn(u64) -> Option<B256> + Sync)),
}

impl fmt::Debug for BlockHashes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::History => "History",
            Self::Known(_) => "Known",
        })
    }
}

/// What a transaction executes under.
#[derive(Clone, Copy, Debug)]
pub struct TransitionContext<'a> {
    /// Hardfork, chain id and what else is configured.
    pub config: &'a CfgEnv,
    /// The block.
    pub block: &'a BlockEnv,
    /// Hashes of the blocks before.
    pub hashes: BlockHashes<'a>,
    /// Precompiles on top of the hardfork's, and what any of them cost.
    pub precompiles: PrecompileRules,
    /// Tokens that fees may be paid in; none on Ethereum.
    pub fee_tokens: &'a [FeeToken],
}

impl<'a> TransitionContext<'a> {
    /// As on Ethereum: no precompiles but the hardfork's, at its prices, and fees in native currency.
    pub fn ethereum(config: &'a CfgEnv, block: &'a BlockEnv, hashes: BlockHashes<'a>) -> Self {
        let precompiles = PrecompileRules::default();
        Self { config, block, hashes, precompiles, fee_tokens: &[] }
    }
}

/// A transaction that was executed.
#[derive(Clone, Debug)]
pub struct Executed {
    /// How it ended.
    pub result: ExecutionResult,
    /// By how much the sum of all balances fell, if a contract destroyed itself: base fees and what
    /// was destroyed with it.
    pub lost: Option<U256>,
    /// The token that the fee was paid in; none for native currency.
    pub fee_token: Option<Address>,
}

type Evm<'a, S> = interpreter::Evm<Recorded<'a, S>>;

/// revm over tables, for one transaction or many.
struct Engine<'a, S: Source> {
    evm: Evm<'a, S>,
    fee_tokens: &'a [FeeToken],
}

impl<'a, S: Source> Engine<'a, S> {
    fn new(tables: &'a mut EvmTables<S>, context: &TransitionContext<'a>) -> Self {
        let (spec, hashes) = (context.config.spec, context.hashes);
        let precompiles = Provider::new(spec, context.precompiles);
        let recorded = Recorded { tables, hashes, sender: Address::ZERO };
        let fee_tokens = context.fee_tokens;
        let around = (context.config.clone(), context.block.clone());
        Self { evm: interpreter::evm(recorded, around, (), precompiles), fee_tokens }
    }

    /// Executes the context's message, and writes what it changed if that is to be.
    fn execute(
        &mut self,
        run: impl FnOnce(&mut Evm<'a, S>) -> Outcome,
        keep: impl FnOnce(&ExecutionResult) -> bool,
    ) -> Result<Executed, TransitionError> {
        self.evm.ctx.journaled_state.database.sender = self.evm.ctx.tx.caller;
        let outcome = run(&mut self.evm);
        let state = self.evm.finalize();
        let result = outcome?;
        let journal = &mut self.evm.ctx.journaled_state;
        let tables = &mut *journal.database.tables;
        let write = || changes::write(tables, self.evm.ctx.cfg.spec, &state);
        let lost = keep(&result).then(write).flatten();
        journal.inner.state = changes::emptied(state);
        Ok(Executed { result, lost, fee_token: None })
    }

    /// Asks the memory for what the next transactions surely touch.
    fn prefetch(&self, next: &[TxEnv]) {
        let tables = &*self.evm.ctx.journaled_state.database.tables;
        if tables.is_in_cache() {
            return;
        }
        for (n, transaction) in next.iter().take(AHEAD).enumerate() {
            let accounts = [Some(&transaction.caller), transaction.kind.to()];
            accounts.into_iter().flatten().for_each(|account| tables.prefetch(*account, n + 1));
        }
    }

    fn transact(&mut self, transaction: TxEnv) -> Result<Executed, TransitionError> {
        self.evm.ctx.tx = transaction;
        // No read: what comes of it is the same without.
        let has_code = |state: &Recorded<'_, S>, address| {
            state.tables.accounts.peek(&AccountKey(address)).is_some_and(Account::has_code)
        };
        if let Some(payment) = Payment::of(&mut self.evm.ctx, &self.evm.precompiles, has_code) {
            let spec = self.evm.ctx.cfg.spec;
            let tables = &mut *self.evm.ctx.journaled_state.database.tables;
            if let Some(result) = payment.make(tables, spec) {
                return Ok(Executed { result, lost: None, fee_token: None });
            }
        }
        let mut handler = FeeHandler::new(self.fee_tokens);
        let executed = self.execute(|evm| handler.run(evm), |_| true)?;
        Ok(Executed { fee_token: handler.fee.token(), ..executed })
    }
}

/// Executes a transaction and writes what it changed.
///
/// # Errors
/// It cannot be executed on this state and in this block; nothing has changed.
pub fn transact<S: Source>(
    tables: &mut EvmTables<S>,
    context: &TransitionContext<'_>,
    transaction: TxEnv,
) -> Result<Executed, TransitionError> {
    Engine::new(tables, context).transact(transaction)
}

/// The same with hashes that transactions before have left.
pub(super) fn transact_after<S: Source>(
    tables: &mut EvmTables<S>,
    context: &TransitionContext<'_>,
    transaction: TxEnv,
    hashes: &mut Hashes,
) -> Result<Executed, TransitionError> {
    let mut engine = Engine::new(tables, context);
    core::mem::swap(&mut engine.evm.ctx.chain, hashes);
    let executed = engine.transact(transaction);
    core::mem::swap(&mut engine.evm.ctx.chain, hashes);
    executed
}

/// Executes a message in the name of the system, which pays for nothing. What it changed is written
/// if it succeeded.
///
/// # Errors
/// Nothing was executed.
pub fn call_as_system<S: Source>(
    tables: &mut EvmTables<S>,
    context: &TransitionContext<'_>,
    message: TxEnv,
) -> Result<ExecutionResult, TransitionError> {
    let run = |evm: &mut _| Mainnet::default().run_system_call(evm);
    let mut engine = Engine::new(tables, context);
    engine.evm.ctx.tx = message;
    engine.execute(run, ExecutionResult::is_success).map(|executed| executed.result)
}

/// A system call at the beginning of a block (EIP-4788, EIP-2935), which has no effect where the
/// contract is not deployed.
///
/// # Errors
/// Nothing was executed.
pub fn system_call<S: Source>(
    tables: &mut EvmTables<S>,
    context: &TransitionContext<'_>,
    contract: Address,
    data: Bytes,
) -> Result<(), TransitionError> {
    if tables.accounts.get(&AccountKey(contract)).has_code() {
        call_as_system(tables, context, TxEnv::new_system_tx(contract, data))?;
    }
    Ok(())
}

/// A transaction that a block cannot contain.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("transaction {index}: {error}")]
pub struct InvalidInBlock {
    /// Its index.
    pub index: usize,
    /// Why.
    pub error: TransitionError,
}

/// Executes the transactions of a block one after the other. This is the specification of any other
/// way to execute them.
///
/// # Errors
/// A transaction cannot be executed; those before it have been.
pub fn execute_block(
    tables: &mut EvmTables<Resident>,
    context: &TransitionContext<'_>,
    transactions: &[TxEnv],
) -> Result<Vec<Executed>, InvalidInBlock> {
    let mut executed = Vec::with_capacity(transactions.len());
    continue_block(tables, context, transactions, &mut executed, &mut |_| true)?;
    Ok(executed)
}

/// The same for a block of which so many transactions have been executed. `goes_on` is told of one after
/// the other, and says whether to go on.
///
/// # Errors
/// As [`execute_block`].
pub fn continue_block(
    tables: &mut EvmTables<Resident>,
    context: &TransitionContext<'_>,
    transactions: &[TxEnv],
    executed: &mut Vec<Executed>,
    goes_on: &mut dyn FnMut(&[Executed]) -> bool,
) -> Result<(), InvalidInBlock> {
    let used = executed.iter().map(|executed| executed.result.tx_gas_used());
    let mut gas_left = used.fold(context.block.gas_limit, u64::saturating_sub);
    let mut engine = Engine::new(tables, context);
    for (index, transaction) in transactions.iter().enumerate().skip(executed.len()) {
        engine.prefetch(&transactions[index + 1..]);
        let outcome = match transaction.gas_limit > gas_left {
            true => Err(EVMError::Transaction(InvalidTransaction::CallerGasLimitMoreThanBlock)),
            false => engine.transact(transaction.clone()),
        };
        let outcome = outcome.map_err(|error| InvalidInBlock { index, error })?;
        gas_left = gas_left.saturating_sub(outcome.result.tx_gas_used());
        executed.push(outcome);
        if !goes_on(executed) {
            break;
        }
    }
    Ok(())
}

/// Puts an account into the state as it is recorded, an empty one too.
pub fn put_account<S: Source>(
    tables: &mut EvmTables<S>,
    spec: SpecId,
    address: Address,
    (nonce, balance): (u64, U256),
    code: Bytes,
    storage: impl IntoIterator<Item = (U256, U256)>,
) {
    let mut account = Account { nonce, balance, ..Account::default() };
    if !code.is_empty() {
        account.code_hash = keccak256(&code);
        // What looks like a delegation is one since EIP-7702; before, and where it is malformed, it
        // is code like any other.
        let delegation = spec.is_enabled_in(SpecId::PRAGUE);
        let bytecode = match delegation.then(|| Bytecode::new_raw_checked(code.clone())) {
            Some(Ok(bytecode)) => bytecode,
            Some(Err(_)) | None => Bytecode::new_legacy(code),
        };
        tables.code.set(&CodeKey(account.code_hash), Code(bytecode));
    }
    let mut stored = false;
    for (slot, value) in storage {
        stored |= !value.is_zero();
        tables.storage.set(&SlotKey { address, slot }, StorageSlot(value));
    }
    let account = match stored && nonce == 0 && !account.has_code() {
        true => Account { code_hash: STORAGE_ONLY, ..account },
        false => account.existing(),
    };
    tables.accounts.set(&AccountKey(address), account);
}

/// Adds to a balance outside of any transaction (a withdrawal, a reward) and touches the account:
/// left empty, it exists afterwards before EIP-161 and does not since.
pub fn credit<S: Source>(tables: &mut EvmTables<S>, spec: SpecId, address: Address, amount: U256) {
    let before = *tables.accounts.get(&AccountKey(address));
    let balance = before.balance.saturating_add(amount);
    let after = database::after_touch(spec, Account { balance, ..before });
    if after != before {
        tables.accounts.set(&AccountKey(address), after);
    }
}
