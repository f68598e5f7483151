//! Messages on a copy of the state: calls, estimates, and what a caller wants to be otherwise.
//!
//! A [`Simulation`] reads an environment's tables and keeps what changes to itself. It may be told
//! that accounts or the block are other than they are ([`overrides`]), run one message after the
//! other, and be inspected. Nothing of it is ordered, paid for or kept.
//!
//! The gas of a message is bounded by [`CALL_GAS_MAX`], whoever asks.

#[cfg(feature = "trace")]
pub mod blocks;
pub mod overrides;

pub use overrides::{AccountOverride, BlockOverride, StateOverride, StorageOverride};

pub use super::database::Peek;
use super::execute::{prev_randao, refusal};
use super::fees::FeeHandler;
use super::interpreter::{self, EvmContext};
use super::precompiles::{self, Moves, Provider};
use super::query::{At, CALL_GAS_MAX, CallError, CallOutcome, CallRequest, outcome};
use super::{EvmSpec, EvmVm, FeeToken};
use alloc::string::ToString;
use alloc::vec::Vec;
use atoll_state::Source;
use atoll_types::{Address, B256, Reject, RejectCode, U256};
use core::convert::Infallible;
use revm::context::result::{EVMError, ExecResultAndState, ExecutionResult};
use revm::context::{BlockEnv, CfgEnv, TxEnv};
use revm::context_interface::transaction::AccessList;
use revm::database::CacheDB;
use revm::handler::Handler;
use revm::inspector::InspectorHandler;
use revm::primitives::{KECCAK_EMPTY, TxKind};
use revm::state::EvmState;
use revm::{Database, DatabaseRef, ExecuteEvm, Inspector};

/// A state with what is otherwise in it.
pub type Overlay<'a, S> = CacheDB<Peek<'a, S>>;
/// What an inspector of a simulation sees.
pub type SimulationContext<'a, S> = EvmContext<Overlay<'a, S>>;
/// How a message ended, and what it changed.
pub type Simulated = ExecResultAndState<ExecutionResult, EvmState>;

/// A copy of the state that forgets what it is not told to keep.
#[derive(Debug)]
pub struct Simulation<'a, S: Source> {
    db: Overlay<'a, S>,
    spec: &'a EvmSpec,
    config: CfgEnv,
    block: BlockEnv,
    moves: Moves,
    /// Gas used in that block.
    #[cfg_attr(not(feature = "trace"), expect(dead_code))]
    gas_used: u64,
}

impl<S: Source> EvmVm<S> {
    /// Number of the last sealed block, and its hash if the next one has been begun.
    pub fn sealed_block(&self) -> (u64, Option<B256>) {
        let number = self.block_at(At::Sealed).number;
        let begun = self.block().number > number;
        (number, begun.then(|| self.peek(At::Open).block_hash(number)))
    }

    /// A simulation on a state, in that state's block.
    pub fn simulation(&self, at: At) -> Simulation<'_, S> {
        let (peek, block) = (self.peek(at), self.block_at(at));
        let mut env = self.block_env(&block);
        if at != At::Open {
            // The VM knows that of the block in the making alone.
            let parent = block.number.checked_sub(1).map(|parent| peek.block_hash(parent));
            env.prevrandao = Some(parent.map_or(B256::ZERO, prev_randao));
        }
        Simulation {
            db: CacheDB::new(peek),
            spec: &self.spec,
            config: self.config.clone(),
            block: env,
            moves: Moves::new(),
            gas_used: block.gas_used,
        }
    }
}

impl<'a, S: Source> Simulation<'a, S> {
    /// The block it runs in.
    pub fn block(&self) -> &BlockEnv {
        &self.block
    }

    /// Asks for less than an ordered transaction would have to fulfil: any gas limit, any sender,
    /// any nonce. The base fee is asked of who offers a price.
    fn lenient(&self, free: bool) -> (CfgEnv, BlockEnv) {
        let (mut config, mut block) = (self.config.clone(), self.block.clone());
        block.gas_limit = u64::MAX;
        if free {
            block.basefee = 0;
        }
        config.tx_gas_limit_cap = Some(u64::MAX);
        config.disable_eip3607 = true;
        // A call is a question about the state as it is; Ethereum's nodes do not ask for its nonce.
        config.disable_nonce_check = true;
        (config, block)
    }

    fn nonce(&self, address: Address) -> u64 {
        let found: Result<_, Infallible> = self.db.basic_ref(address);
        found.unwrap_or_default().map_or(0, |info| info.nonce)
    }

    /// An account's balance, in wei.
    pub fn balance(&self, address: Address) -> U256 {
        let found: Result<_, Infallible> = self.db.basic_ref(address);
        found.unwrap_or_default().map_or(U256::ZERO, |info| info.balance)
    }

    fn token_balance(&self, token: &FeeToken, holder: Address) -> U256 {
        let found: Result<_, Infallible> = self.db.storage_ref(token.token, token.slot_of(holder));
        found.unwrap_or_default()
    }

    /// revm's form of a message.
    fn env(&self, request: &CallRequest, gas: u64, nonce: u64) -> TxEnv {
        let tip = request.max_priority_fee_per_gas;
        let authorizations = super::transaction::authorizations(&request.authorizations, true);
        let tx_type = match (&authorizations[..], tip) {
            ([], None) => 1,
            ([], Some(_)) => 2,
            _ => 4,
        };
        TxEnv {
            tx_type,
            caller: request.from,
            gas_limit: gas,
            gas_price: request.max_fee_per_gas.unwrap_or(0),
            kind: request.to.map_or(TxKind::Create, TxKind::Call),
            value: request.value,
            data: request.input.clone(),
            nonce,
            chain_id: Some(self.spec.chain_id),
            access_list: AccessList(super::transaction::access_list(&request.access_list)),
            gas_priority_fee: tip,
            blob_hashes: Vec::new(),
            max_fee_per_blob_gas: 0,
            authorization_list: authorizations,
        }
    }

    /// The gas a message may use: what it asks for, what the node allows, what its sender can pay.
    fn gas_allowed(&self, request: &CallRequest, cap: u64) -> Result<u64, CallError> {
        let gas = request.gas.unwrap_or(cap).min(cap);
        let price = U256::from(request.max_fee_per_gas.unwrap_or(0));
        if price.is_zero() {
            return Ok(gas);
        }
        let Some(left) = self.balance(request.from).checked_sub(request.value) else {
            let message = "insufficient funds for transfer".to_string();
            let reject = Reject::new(RejectCode::InsufficientBalance, message);
            return Err(CallError::Invalid(reject));
        };
        // Any token that pays has to pay for all of it.
        let tokens = self.spec.fee_tokens.iter();
        let worth = tokens.map(|token| token.worth(self.token_balance(token, request.from)));
        let payable = worth.chain([left]).max().unwrap_or(left) / price;
        Ok(gas.min(u64::try_from(payable).unwrap_or(u64::MAX)))
    }

    /// Whether it is a token that would pay for a message with so much gas: native currency pays for its
    /// value and not for its fee.
    fn is_paid_in_token(&self, request: &CallRequest, gas: u64) -> bool {
        let price = U256::from(request.max_fee_per_gas.unwrap_or(0));
        let left = self.balance(request.from).checked_sub(request.value);
        let covers = |left| price.saturating_mul(U256::from(gas)) <= left;
        !self.spec.fee_tokens.is_empty() && left.is_some_and(|left| !covers(left))
    }

    /// As [`Self::lenient`] for a call. What is asked with a price and all the gas that a token can pay for
    /// is not asked of an account that has nothing left of it: a fee in a token is not charged.
    fn as_call(&self, request: &CallRequest, gas: u64) -> (CfgEnv, BlockEnv) {
        let (mut config, block) = self.lenient(request.is_free());
        config.disable_fee_charge = self.is_paid_in_token(request, gas);
        (config, block)
    }

    fn precompiles(&self, config: &CfgEnv) -> Provider {
        Provider::new(config.spec, self.spec.precompile_rules()).with_moves(&self.moves)
    }

    fn execute<I>(
        &mut self,
        (config, block): (CfgEnv, BlockEnv),
        transaction: TxEnv,
        inspector: I,
    ) -> Result<(Simulated, I), EVMError<Infallible>>
    where
        I: Inspector<SimulationContext<'a, S>>,
    {
        // The state goes into the execution and comes back out of it.
        let empty = CacheDB::new(self.db.db);
        let db = core::mem::replace(&mut self.db, empty);
        let precompiles = self.precompiles(&config);
        let mut evm = interpreter::evm(db, (config, block), inspector, precompiles);
        evm.ctx.tx = transaction;
        let ended = FeeHandler::new(&self.spec.fee_tokens).inspect_run(&mut evm);
        let state = evm.finalize();
        self.db = evm.ctx.journaled_state.database;
        Ok((Simulated { result: ended?, state }, evm.inspector))
    }

    /// Runs a message with this much gas and forgets what it changed.
    fn run(&mut self, request: &CallRequest, gas: u64) -> Result<ExecutionResult, CallError> {
        self.run_by(self.as_call(request, gas), request, gas)
    }

    fn run_by(
        &mut self,
        (config, block): (CfgEnv, BlockEnv),
        request: &CallRequest,
        gas: u64,
    ) -> Result<ExecutionResult, CallError> {
        let transaction = self.env(request, gas, self.nonce(request.from));
        let precompiles = self.precompiles(&config);
        let db = &mut self.db;
        let mut evm = interpreter::evm(db, (config, block), (), precompiles);
        evm.ctx.tx = transaction;
        let ended = FeeHandler::new(&self.spec.fee_tokens).run(&mut evm);
        ended.map_err(|error| CallError::Invalid(refusal(&error)))
    }

    /// Runs a message under an inspector and forgets what it changed. The transaction is the form
    /// in which it ran.
    ///
    /// # Errors
    /// [`CallError::Invalid`]: it cannot be executed on this state. How it ended otherwise is in the
    /// result.
    pub fn inspect<I>(
        &mut self,
        request: &CallRequest,
        inspector: I,
    ) -> Result<(Simulated, I, TxEnv), CallError>
    where
        I: Inspector<SimulationContext<'a, S>>,
    {
        let gas = self.gas_allowed(request, CALL_GAS_MAX)?;
        let transaction = self.env(request, gas, self.nonce(request.from));
        let rules = self.as_call(request, gas);
        let (ended, inspector) = self
            .execute(rules, transaction.clone(), inspector)
            .map_err(|error| CallError::Invalid(refusal(&error)))?;
        Ok((ended, inspector, transaction))
    }

    /// Runs an ordered transaction under an inspector, by the rules that it was ordered under, and
    /// forgets what it changed.
    ///
    /// # Errors
    /// It cannot be executed on this state.
    pub fn inspect_ordered<I>(
        &mut self,
        transaction: TxEnv,
        inspector: I,
    ) -> Result<(Simulated, I), Reject>
    where
        I: Inspector<SimulationContext<'a, S>>,
    {
        let rules = (self.config.clone(), self.block.clone());
        self.execute(rules, transaction, inspector).map_err(|error| refusal(&error))
    }

    /// Runs a message and forgets what it changed.
    ///
    /// # Errors
    /// It yielded nothing; the error says why.
    pub fn call(&mut self, request: &CallRequest) -> Result<CallOutcome, CallError> {
        let gas = self.gas_allowed(request, CALL_GAS_MAX)?;
        outcome(self.run(request, gas)?)
    }

    /// The least gas limit with which a message succeeds, to within 1.5 %: gas that is forwarded
    /// to inner calls makes it more than the gas used.
    ///
    /// # Errors
    /// It succeeds with no gas limit; the error says why.
    pub fn estimate_gas(&mut self, request: &CallRequest) -> Result<u64, CallError> {
        let cap = self.spec.hardfork.transaction_gas_limit().unwrap_or(u64::MAX);
        let cap = cap.min(self.block.gas_limit);
        let mut high = self.gas_allowed(request, cap)?;
        let first = self.run(request, high)?;
        let (used, spent) = (first.tx_gas_used(), first.gas().total_gas_spent());
        outcome(first)?;
        let mut low = used.saturating_sub(1);
        // A call forwards at most 63 of 64 parts, and a value transfer wants a stipend of 2300.
        let likely = (u128::from(spent) + 2_300) * 64 / 63;
        let likely = u64::try_from(likely).unwrap_or(u64::MAX);
        for guess in [used, likely] {
            if guess > low && guess < high {
                if self.gas_suffices(request, guess)? {
                    high = guess;
                    break;
                }
                low = guess;
            }
        }
        while low + 1 < high && (high - low) > high / 64 {
            let middle = low + (high - low) / 2;
            if self.gas_suffices(request, middle)? { high = middle } else { low = middle }
        }
        if self.is_paid_in_token(request, high) {
            // With the largest fee taken, what is left has to do.
            outcome(self.run_by(self.lenient(request.is_free()), request, high)?)?;
        }
        Ok(high)
    }

    /// Below the intrinsic cost a message is invalid, which here means: not enough.
    fn gas_suffices(&mut self, request: &CallRequest, gas: u64) -> Result<bool, CallError> {
        match self.run(request, gas) {
            Err(CallError::Invalid(reject)) if reject.code == RejectCode::GasLimit => Ok(false),
            other => Ok(other?.is_success()),
        }
    }

    /// Keeps what a message changed: the next one sees it.
    #[cfg(feature = "trace")]
    fn keep(&mut self, state: EvmState) {
        revm::DatabaseCommit::commit(&mut self.db, state);
    }

    /// Adds to a state what is otherwise in it. Precompiled contracts are where they were but for what this
    /// says.
    ///
    /// # Errors
    /// Something cannot be as it is wanted.
    pub fn override_state(&mut self, wanted: &StateOverride) -> Result<(), Reject> {
        let known = precompiles::of(self.config.spec, self.spec.precompiles);
        self.moves = overrides::moves(wanted, |address| known.contains(address))?;
        for (address, account) in wanted {
            self.override_account(*address, account)?;
        }
        Ok(())
    }

    fn override_account(
        &mut self,
        address: Address,
        wanted: &AccountOverride,
    ) -> Result<(), Reject> {
        let found: Result<_, Infallible> = self.db.basic(address);
        let mut info = found.unwrap_or_default().unwrap_or_default();
        if let Some(nonce) = wanted.nonce {
            info.nonce = nonce;
        }
        if let Some(balance) = wanted.balance {
            info.balance = balance;
        }
        if let Some(code) = &wanted.code {
            let code = overrides::bytecode(address, code)?;
            info.code_hash = if code.is_empty() { KECCAK_EMPTY } else { code.hash_slow() };
            info.code = Some(code);
        }
        self.db.insert_account_info(address, info);
        let stored: Result<(), Infallible> = match &wanted.storage {
            StorageOverride::Keep => Ok(()),
            StorageOverride::Replace(slots) => {
                self.db.replace_account_storage(address, slots.iter().copied().collect())
            }
            StorageOverride::Change(slots) => slots.iter().try_for_each(|(slot, value)| {
                self.db.insert_account_storage(address, *slot, *value)
            }),
        };
        match stored {
            Ok(()) => Ok(()),
        }
    }

    /// The state that it runs on, for what is read after a run.
    #[cfg(feature = "trace")]
    pub(super) fn state_mut(&mut self) -> &mut Overlay<'a, S> {
        &mut self.db
    }

    /// Makes the block another one.
    pub fn override_block(&mut self, wanted: &BlockOverride) {
        wanted.apply(&mut self.block);
    }
}
