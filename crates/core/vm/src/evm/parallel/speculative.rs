//! revm on a [`View`].
//!
//! revm loads an account as a whole, so what it looks at has to be found out otherwise. A balance is
//! looked at by who pays for the transaction, and by the opcodes that show one (BALANCE, SELFBALANCE) or
//! take from the contract's own (SELFDESTRUCT; CALL, CALLCODE, CREATE and CREATE2 with value): these
//! opcodes say so here before they run. Everything else only adds to balances.
//!
//! Whether more fits into a balance is a look at it, too, where that can be a question at all: a payment
//! fails that would make a balance 2²⁵⁶ or more. So a balance of [`LARGE`] or more is looked at when it is
//! loaded, and all are once so much is moved. Below that it takes 2³² payments of one transaction.

use super::{BlockHashes, EvmBatch, EvmKey, EvmValue, MissingBlockHash, Outcome, history};
use crate::evm::changes::{self, Touched};
use crate::evm::database::{account_of, after_touch, info};
use crate::evm::fees::{self, Credit, Fee};
use crate::evm::interpreter::{self, EvmContext};
use crate::evm::objects::Account;
use crate::evm::payment::Payment;
use crate::evm::precompiles::Provider;
use crate::evm::transition::SpecId;
use crate::parallel::{Aspect, Interrupted, ReadId, Version, Versions, View};
use alloc::vec::Vec;
use atoll_types::{Address, B256, U256};
use core::fmt;
use core::marker::PhantomData;
use revm::bytecode::{Bytecode, opcode};
use revm::context::result::{EVMError, HaltReason};
use revm::context_interface::{Block, Cfg, Transaction};
use revm::database_interface::DBErrorMarker;
use revm::handler::{FrameResult, Handler, post_execution};
use revm::interpreter::InitialAndFloorGas;
use revm::interpreter::instructions::{contract, host};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::{Instruction, InstructionContext, InstructionExecResult};
use revm::primitives::AddressMap;
use revm::state::AccountInfo;
use revm::{Database, ExecuteEvm};

/// 2¹⁹²; see the [module](self).
const LARGE: U256 = U256::from_limbs([0, 0, 0, 1]);

type Context<'a, 's> = EvmContext<Speculative<'a, 's>>;
type Evm<'a, 's> = interpreter::Evm<Speculative<'a, 's>>;

/// revm, kept by a thread.
pub struct Worker<'a, 's> {
    evm: Evm<'a, 's>,
}

impl fmt::Debug for Worker<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker")
    }
}

/// Why a read has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Missing(#[from] MissingBlockHash),
    #[error("the execution is to end")]
    Interrupted,
}

impl DBErrorMarker for ReadError {}

impl From<Interrupted> for ReadError {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}

/// An account that the transaction has loaded.
#[derive(Debug)]
struct Loaded {
    /// As it was given to revm.
    account: Account,
    since: u32,
    balance: ReadId,
    /// Whether the balance was looked at.
    looked: bool,
}

/// The state as revm sees it.
pub(super) struct Speculative<'a, 's> {
    batch: &'a EvmBatch<'s>,
    view: View<'a, EvmBatch<'s>>,
    loaded: AddressMap<Loaded>,
    sender: Address,
    /// Whether every balance is looked at: [`LARGE`] amounts are moved.
    looks_at_all: bool,
    /// What the fee recipient gets, where it is not loaded.
    fee: Option<U256>,
    /// What it gets of a token, where that is not loaded.
    credit: Option<Credit>,
}

impl fmt::Debug for Speculative<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Speculative").field("view", &self.view).finish_non_exhaustive()
    }
}

impl Speculative<'_, '_> {
    /// Somebody looks at the balance of an account. That what is there has changed shows at the next read
    /// and at the end.
    fn look(&mut self, address: Address) {
        if let Some(loaded) = self.loaded.get_mut(&address)
            && !loaded.looked
        {
            loaded.looked = true;
            let _ = self.view.look(loaded.balance, Aspect::Whole);
        }
    }

    /// So much is about to be moved.
    fn moves(&mut self, amount: U256) {
        if amount >= LARGE && !self.looks_at_all {
            self.looks_at_all = true;
            let loaded: Vec<Address> = self.loaded.keys().copied().collect();
            loaded.into_iter().for_each(|address| self.look(address));
        }
    }

    /// Who pays and who is paid, as a payment leaves them.
    fn changes_of(&mut self, payment: &Payment) -> Option<[(Address, Account); 2]> {
        self.basic(payment.from).ok()?;
        let from = payment.sender(&self.loaded[&payment.from].account)?;
        self.basic(payment.to).ok()?;
        let to = payment.receiver(&self.loaded[&payment.to].account)?;
        Some([(payment.from, from), (payment.to, to)])
    }

    fn slot(&mut self, address: Address, slot: U256) -> Result<EvmValue, Interrupted> {
        Ok(self.view.read(EvmKey::Slot(address, slot), Aspect::Whole)?.0)
    }

    fn destroys_old(&self) -> bool {
        !self.batch.context.config.spec.is_enabled_in(SpecId::CANCUN)
    }
}

impl Database for Speculative<'_, '_> {
    type Error = ReadError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ReadError> {
        let (seen, _) = self.view.read(EvmKey::Account(address), Aspect::Whole)?;
        let EvmValue::Account { nonce, code_hash, since } = seen else {
            return Err(ReadError::Interrupted);
        };
        let mut account = Account { nonce, balance: U256::ZERO, code_hash };
        let mut looked = self.view.is_exact() || self.looks_at_all || address == self.sender;
        let aspect = match nonce == 0 && !account.has_code() {
            _ if looked => Aspect::Whole,
            true => Aspect::Presence,
            false => Aspect::Nothing,
        };
        let (seen, balance) = self.view.read(EvmKey::Balance(address), aspect)?;
        let EvmValue::Balance(amount) = seen else {
            return Err(ReadError::Interrupted);
        };
        account.balance = amount;
        if amount >= LARGE && !looked {
            looked = true;
            self.view.look(balance, Aspect::Whole)?;
        }
        self.loaded.insert(address, Loaded { account, since, balance, looked });
        Ok(info(&account, address == self.sender))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, ReadError> {
        let (seen, _) = self.view.read(EvmKey::Code(code_hash), Aspect::Whole)?;
        match seen {
            EvmValue::Code(code) => Ok(code),
            _ => Err(ReadError::Interrupted),
        }
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, ReadError> {
        let seen = self.slot(address, slot)?;
        let EvmValue::Slot(value, written) = seen else {
            return Err(ReadError::Interrupted);
        };
        let since = self.loaded.get(&address).map_or(0, |loaded| loaded.since);
        Ok(if since == 0 || written > since { value } else { U256::ZERO })
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ReadError> {
        match self.batch.context.hashes {
            BlockHashes::History => {
                let key = history::slot_of(number);
                match self.slot(key.address, key.slot)? {
                    EvmValue::Slot(hash, _) => Ok(B256::from(hash)),
                    _ => Err(ReadError::Interrupted),
                }
            }
            BlockHashes::Known(known) => {
                known(number).ok_or(ReadError::Missing(MissingBlockHash(number)))
            }
        }
    }
}

type Opcode<'c, 'a, 's> = InstructionContext<'c, Context<'a, 's>, EthInterpreter>;

/// The contract that is being executed looks at its own balance.
fn look_at_own(context: &mut Opcode<'_, '_, '_>) {
    let own = context.interpreter.input.target_address;
    context.host.journaled_state.database.look(own);
}

/// As [`look_at_own`], if the value at this depth of the stack is not zero, which is then moved.
fn pays(context: &mut Opcode<'_, '_, '_>, depth: usize) {
    let value = context.interpreter.stack.peek(depth).unwrap_or_default();
    if !value.is_zero() {
        look_at_own(context);
        context.host.journaled_state.database.moves(value);
    }
}

fn balance(context: Opcode<'_, '_, '_>) -> InstructionExecResult {
    let address = context.interpreter.stack.peek(0).unwrap_or_default();
    let address = Address::from_word(B256::from(address));
    let Opcode { interpreter, host } = context;
    let result = host::balance(InstructionContext { interpreter, host: &mut *host });
    host.journaled_state.database.look(address);
    result
}

fn self_balance(mut context: Opcode<'_, '_, '_>) -> InstructionExecResult {
    look_at_own(&mut context);
    host::selfbalance(context)
}

fn self_destruct(mut context: Opcode<'_, '_, '_>) -> InstructionExecResult {
    look_at_own(&mut context);
    let own = context.interpreter.input.target_address;
    let journal = &mut context.host.journaled_state;
    let balance = journal.inner.state.get(&own).map(|account| account.info.balance);
    journal.database.moves(balance.unwrap_or_default());
    host::selfdestruct(context)
}

fn call<const KIND: u8>(mut context: Opcode<'_, '_, '_>) -> InstructionExecResult {
    pays(&mut context, 2);
    contract::call::<KIND, _, _>(context)
}

fn create<const IS_CREATE2: bool>(mut context: Opcode<'_, '_, '_>) -> InstructionExecResult {
    pays(&mut context, 0);
    contract::create::<IS_CREATE2, _, _>(context)
}

/// Execution as on mainnet, but that the fee recipient need not be loaded.
struct FeeApart<'a, 's> {
    fee: Fee<'s>,
    marker: PhantomData<&'a ()>,
}

impl<'a, 's: 'a> Handler for FeeApart<'a, 's> {
    type Evm = Evm<'a, 's>;
    type Error = EVMError<ReadError>;
    type HaltReason = HaltReason;

    fn validate_against_state_and_deduct_caller(
        &self,
        evm: &mut Evm<'a, 's>,
        _: &mut InitialAndFloorGas,
    ) -> Result<(), EVMError<ReadError>> {
        self.fee.take(&mut evm.ctx)
    }

    fn reimburse_caller(
        &self,
        evm: &mut Evm<'a, 's>,
        executed: &mut FrameResult,
    ) -> Result<(), EVMError<ReadError>> {
        let Some(credit) = self.fee.settle(&mut evm.ctx, executed.gas())? else { return Ok(()) };
        let journal = &mut evm.ctx.journaled_state;
        let token = journal.inner.state.get(&credit.token);
        let is_loaded = token.is_some_and(|token| token.storage.contains_key(&credit.slot));
        if is_loaded || journal.database.view.is_exact() {
            return Ok(fees::credit(&mut evm.ctx, credit)?);
        }
        journal.database.credit = Some(credit);
        Ok(())
    }

    fn reward_beneficiary(
        &self,
        evm: &mut Evm<'a, 's>,
        executed: &mut FrameResult,
    ) -> Result<(), EVMError<ReadError>> {
        if self.fee.token().is_some() {
            return Ok(());
        }
        let Context { block, tx, cfg, journaled_state, .. } = &mut evm.ctx;
        let database = &mut journaled_state.database;
        let is_loaded = journaled_state.inner.state.contains_key(&block.beneficiary);
        if is_loaded || !database.batch.fee_apart || database.view.is_exact() {
            return Ok(post_execution::reward_beneficiary(&mut evm.ctx, executed.gas())?);
        }
        let base_fee = u128::from(block.basefee());
        let price = tx.effective_gas_price(base_fee);
        let tip = match cfg.spec().is_enabled_in(SpecId::LONDON) {
            true => price.saturating_sub(base_fee),
            false => price,
        };
        let gas = executed.gas();
        let used = gas.used().saturating_sub(gas.reservoir());
        database.fee = Some(U256::from(tip * u128::from(used)));
        Ok(())
    }
}

impl<'a, 's> Worker<'a, 's> {
    pub(super) fn new(batch: &'a EvmBatch<'s>, versions: &'a dyn Versions<EvmBatch<'s>>) -> Self {
        let view = View::new(versions, Version { index: 0, incarnation: 0 }, false);
        let (loaded, sender) = (AddressMap::default(), Address::ZERO);
        let (looks_at_all, fee, credit) = (false, None, None);
        let database = Speculative { batch, view, loaded, sender, looks_at_all, fee, credit };
        let spec = batch.context.config.spec;
        let around = (batch.context.config.clone(), batch.context.block.clone());
        let precompiles = Provider::new(spec, batch.context.precompiles);
        let mut evm: Evm<'a, 's> = interpreter::evm(database, around, (), precompiles);
        let table = evm.instruction.instruction_table_mut();
        table[opcode::BALANCE as usize] = Instruction::new(balance);
        table[opcode::SELFBALANCE as usize] = Instruction::new(self_balance);
        table[opcode::SELFDESTRUCT as usize] = Instruction::new(self_destruct);
        table[opcode::CALL as usize] = Instruction::new(call::<{ opcode::CALL }>);
        table[opcode::CALLCODE as usize] = Instruction::new(call::<{ opcode::CALLCODE }>);
        table[opcode::CREATE as usize] = Instruction::new(create::<false>);
        table[opcode::CREATE2 as usize] = Instruction::new(create::<true>);
        Self { evm }
    }

    pub(super) fn execute(
        &mut self,
        view: &mut View<'a, EvmBatch<'s>>,
    ) -> Result<Outcome, Interrupted> {
        let database = &mut self.evm.ctx.journaled_state.database;
        let transaction = database.batch.transactions[view.index()].clone();
        core::mem::swap(&mut database.view, view);
        database.loaded.clear();
        (database.fee, database.credit) = (None, None);
        database.sender = transaction.caller;
        database.looks_at_all = transaction.value >= LARGE;
        let fee = Fee::new(database.batch.context.fee_tokens);
        self.evm.ctx.tx = transaction;
        if let Some(outcome) = self.pay() {
            core::mem::swap(&mut self.evm.ctx.journaled_state.database.view, view);
            return outcome;
        }
        let mut handler = FeeApart { fee, marker: PhantomData };
        let result = handler.run(&mut self.evm);
        let fee_token = handler.fee.token();
        let mut state = self.evm.finalize();
        self.evm.ctx.error = Ok(());
        let outcome = match result {
            _ if self.evm.ctx.journaled_state.database.view.is_interrupted() => Err(Interrupted),
            Err(EVMError::Database(ReadError::Interrupted)) => Err(Interrupted),
            Ok(result) => {
                let touched = self.write(changes::touched(&mut state));
                match self.evm.ctx.journaled_state.database.view.is_interrupted() {
                    true => Err(Interrupted),
                    false => Ok(Outcome { result: Ok(result), fee_token, touched }),
                }
            }
            Err(error) => {
                let error = error.map_db_err(|error| match error {
                    ReadError::Missing(missing) => missing,
                    ReadError::Interrupted => MissingBlockHash(0),
                });
                Ok(Outcome { result: Err(error), fee_token: None, touched: Vec::new() })
            }
        };
        let journal = &mut self.evm.ctx.journaled_state;
        journal.inner.state = changes::emptied(state);
        core::mem::swap(&mut journal.database.view, view);
        outcome
    }

    /// Makes the context's transaction if it is a plain payment.
    fn pay(&mut self) -> Option<Result<Outcome, Interrupted>> {
        let database = &self.evm.ctx.journaled_state.database;
        if !database.batch.fee_apart || database.view.is_exact() || self.evm.ctx.tx.value >= LARGE {
            return None;
        }
        // That there was code before is reason enough to ask revm; it is no read.
        let has_code = |state: &Speculative<'_, '_>, to| state.batch.account(to).has_code();
        let payment = Payment::of(&mut self.evm.ctx, &self.evm.precompiles, has_code)?;
        let database = &mut self.evm.ctx.journaled_state.database;
        let Some(changes) = database.changes_of(&payment) else {
            // Nothing came of it: revm begins anew.
            database.view.restart();
            database.loaded.clear();
            return None;
        };
        if ![payment.from, payment.to].contains(&payment.fee_recipient) {
            database.fee = Some(payment.reward);
        }
        let mut touched: Vec<_> = changes.into_iter().map(Touched::account).collect();
        touched.sort_unstable_by_key(|touched| touched.address);
        let touched = self.write(touched);
        Some(match self.evm.ctx.journaled_state.database.view.is_interrupted() {
            true => Err(Interrupted),
            false => Ok(Outcome { result: Ok(payment.result()), fee_token: None, touched }),
        })
    }

    /// Writes what the transaction changed to its view.
    fn write(&mut self, mut touched: Vec<Touched>) -> Vec<Touched> {
        let database = &mut self.evm.ctx.journaled_state.database;
        if let Some(fee) = database.fee {
            let address = database.batch.context.block.beneficiary;
            let value = EvmValue::Account { nonce: 0, code_hash: B256::ZERO, since: 0 };
            database.view.note(EvmKey::Account(address), value);
            let at = touched.partition_point(|touched| touched.address < address);
            let (destroyed, added, info, slots) = (false, Some(fee), None, Vec::new());
            let added_slot = None;
            touched.insert(at, Touched { address, destroyed, added, info, slots, added_slot });
        }
        // The token is touched: its sender's balance is.
        if let Some(Credit { token, slot, amount }) = database.credit
            && let Some(touched) = touched.iter_mut().find(|touched| touched.address == token)
        {
            touched.added_slot = Some((slot, amount));
        }
        touched.iter_mut().for_each(|touched| database.write(touched));
        touched
    }
}

impl Speculative<'_, '_> {
    fn write(&mut self, touched: &mut Touched) {
        let Touched { address, destroyed, added, info, slots, added_slot } = touched;
        let (account, balance) = (EvmKey::Account(*address), EvmKey::Balance(*address));
        let Some((info, loaded)) = info.as_ref().zip(self.loaded.get(address)) else {
            // The fee recipient.
            if let Some(fee) = added.filter(|fee| !fee.is_zero()) {
                self.view.add(balance, EvmValue::Balance(fee));
            }
            return;
        };
        let (before, mut since, looked) = (loaded.account, loaded.since, loaded.looked);
        if *destroyed {
            if self.destroys_old() {
                since = self.view.index() as u32 + 1;
            }
            let Account { nonce, code_hash, .. } = Account::default();
            self.view.set(account, EvmValue::Account { nonce, code_hash, since });
            self.view.set(balance, EvmValue::Balance(U256::ZERO));
            return;
        }
        let after = after_touch(self.batch.context.config.spec, account_of(&before, info));
        *added = match info.balance.checked_sub(before.balance) {
            more @ Some(_) if !looked => more,
            // Nothing takes from a balance without having looked at it, but what a destroyed contract
            // leaves is added without a look at whether it fits.
            _ => {
                self.look(*address);
                None
            }
        };
        match *added {
            Some(more) if more.is_zero() => {}
            Some(more) => self.view.add(balance, EvmValue::Balance(more)),
            None if after.balance == before.balance => {}
            None => self.view.set(balance, EvmValue::Balance(after.balance)),
        }
        let (nonce, code_hash) = (after.nonce, after.code_hash);
        if (nonce, code_hash) != (before.nonce, before.code_hash) {
            self.view.set(account, EvmValue::Account { nonce, code_hash, since });
        }
        if code_hash != before.code_hash
            && after.has_code()
            && let Some(code) = &info.code
        {
            self.view.set(EvmKey::Code(code_hash), EvmValue::Code(code.clone()));
        }
        let written = if self.destroys_old() { self.view.index() as u32 + 1 } else { 0 };
        for (slot, value) in slots {
            self.view.set(EvmKey::Slot(*address, *slot), EvmValue::Slot(*value, written));
        }
        if let Some((slot, amount)) = added_slot.filter(|(_, amount)| !amount.is_zero()) {
            self.view.add(EvmKey::Slot(*address, slot), EvmValue::Slot(amount, written));
        }
    }
}
