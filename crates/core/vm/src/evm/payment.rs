//! Plain payments: value for an account without code, and nothing else.
//!
//! A third of mainnet's transactions run no code at all. revm takes a microsecond for one, of frames, journal
//! and maps; here its own checks and prices are asked, and three accounts are changed. What is not plain
//! (no value, an account that pays itself, an access list, a precompiled contract, an account marked in some
//! way) and what fails is left to revm. Both ways give the same results, state and reads, so which one it is shows
//! nowhere.

use super::database;
use super::interpreter::EvmContext;
use super::objects::{Account, AccountKey, EvmTables};
use super::precompiles::Provider;
use super::transition::SpecId;
use atoll_state::Source;
use atoll_types::{Address, U256};
use revm::Database;
use revm::context::result::{
    ExecutionResult, InvalidHeader, InvalidTransaction, Output, ResultGas, SuccessReason,
};
use revm::context_interface::{Cfg, Transaction};
use revm::handler::{PrecompileProvider, validation};
use revm::primitives::{Bytes, KECCAK_EMPTY, TxKind};

/// Transactions of types up to this one (EIP-1559) carry neither blobs nor authorizations.
const TYPE_MAX: u8 = 2;

/// What a payment does, as far as that follows from the transaction and the block alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payment {
    pub(super) from: Address,
    pub(super) to: Address,
    pub(super) value: U256,
    pub(super) fee_recipient: Address,
    /// What the fee recipient gets.
    pub(super) reward: U256,
    nonce: u64,
    /// What the sender must have.
    at_most: U256,
    /// What it pays for gas.
    fee: U256,
    gas: ResultGas,
}

/// Why revm refuses a transaction without a look at the state; what it is does not matter here.
struct Refused;

impl From<InvalidTransaction> for Refused {
    fn from(_: InvalidTransaction) -> Self {
        Self
    }
}

impl From<InvalidHeader> for Refused {
    fn from(_: InvalidHeader) -> Self {
        Self
    }
}

impl Payment {
    /// The context's transaction, if it may be a payment.
    ///
    /// What has code by `has_code` is no payment; it may say no where the state is not known.
    pub(super) fn of<DB>(
        context: &mut EvmContext<DB>,
        precompiles: &Provider,
        has_code: impl FnOnce(&DB, Address) -> bool,
    ) -> Option<Self>
    where
        DB: Database,
    {
        let EvmContext { tx, cfg, .. } = &*context;
        let TxKind::Call(to) = tx.kind else { return None };
        let (from, value) = (tx.caller, tx.value);
        let is_plain = tx.tx_type <= TYPE_MAX && tx.access_list.0.is_empty();
        let is_known = !cfg.spec.is_enabled_in(SpecId::AMSTERDAM) && !cfg.is_fee_charge_disabled();
        if value.is_zero() || from == to || !is_plain || !is_known {
            return None;
        }
        if has_code(&context.journaled_state.database, to) {
            return None;
        }
        let is_precompile =
            <Provider as PrecompileProvider<EvmContext<DB>>>::contains(precompiles, &to);
        if is_precompile {
            return None;
        }
        let found: Result<(), Refused> = validation::validate_env(&mut *context);
        found.ok()?;
        let EvmContext { tx, block, cfg, .. } = &*context;
        let (limit, cap) = (tx.gas_limit, cfg.tx_gas_limit_cap());
        let initial = validation::validate_initial_tx_gas_with_gas_params(
            tx,
            cfg.spec,
            cfg.gas_params(),
            cfg.is_eip7623_disabled(),
            false,
            cap,
            None,
        );
        let initial = initial.ok()?;
        let (left, reservoir) = initial.initial_gas_and_reservoir(limit, cap);
        if reservoir != 0 {
            return None;
        }
        let spent = limit.checked_sub(left)?;
        let used = spent.max(initial.floor_gas());
        let base_fee = u128::from(block.basefee);
        let price = tx.effective_gas_price(base_fee);
        // Nothing behind it overflows, as nothing costs more.
        price.checked_mul(u128::from(limit))?;
        let tip = match cfg.spec.is_enabled_in(SpecId::LONDON) {
            true => price.saturating_sub(base_fee),
            false => price,
        };
        let gas =
            ResultGas::default().with_total_gas_spent(spent).with_floor_gas(initial.floor_gas());
        Some(Self {
            from,
            to,
            value,
            fee_recipient: block.beneficiary,
            reward: U256::from(tip * u128::from(used)),
            nonce: tx.nonce,
            at_most: tx.max_balance_spending().ok()?,
            fee: U256::from(price * u128::from(used)),
            gas,
        })
    }

    /// The sender when it has paid. `None`: that is not for here.
    pub(super) fn sender(&self, before: &Account) -> Option<Account> {
        let pays = before.nonce == self.nonce && before.balance >= self.at_most;
        if !pays || before.code_hash != KECCAK_EMPTY {
            return None;
        }
        let nonce = before.nonce.checked_add(1)?;
        let balance = before.balance.checked_sub(self.value)?.checked_sub(self.fee)?;
        self.with_reward(self.from, Account { nonce, balance, ..*before })
    }

    /// Who is paid, then.
    pub(super) fn receiver(&self, before: &Account) -> Option<Account> {
        let has_no_code = before.code_hash == KECCAK_EMPTY;
        let balance = before.balance.checked_add(self.value).filter(|_| has_no_code)?;
        self.with_reward(self.to, Account { balance, ..*before })
    }

    /// An account that may be the fee recipient's.
    fn with_reward(&self, address: Address, account: Account) -> Option<Account> {
        if address != self.fee_recipient {
            return Some(account);
        }
        Some(Account { balance: account.balance.checked_add(self.reward)?, ..account })
    }

    /// The fee recipient, if it is neither.
    fn rewarded(&self, spec: SpecId, before: &Account) -> Option<Account> {
        let balance = before.balance.checked_add(self.reward)?;
        Some(database::after_touch(spec, Account { balance, ..*before }))
    }

    /// Makes it, unless that is not for here. What has been read then is what revm reads first, too.
    // Left to itself, the compiler decides otherwise in another crate, and payments take a twentieth longer there.
    #[inline(always)]
    pub(super) fn make<S: Source>(
        &self,
        tables: &mut EvmTables<S>,
        spec: SpecId,
    ) -> Option<ExecutionResult> {
        let accounts = &mut tables.accounts;
        if accounts.peek(&AccountKey(self.to)).is_some_and(Account::has_code) {
            return None;
        }
        let mut touch = |address, after: &dyn Fn(&Account) -> Option<Account>| {
            let at = accounts.handle(&AccountKey(address));
            let before = *accounts.at(at);
            Some((address, at, before, after(&before)?))
        };
        let from = touch(self.from, &|before| self.sender(before))?;
        let to = touch(self.to, &|before| self.receiver(before))?;
        let recipient = match [self.from, self.to].contains(&self.fee_recipient) {
            true => None,
            false => Some(touch(self.fee_recipient, &|before| self.rewarded(spec, before))?),
        };
        // The order in which what a transaction touched is written.
        let mut changes = [Some(from), Some(to), recipient];
        changes.sort_unstable_by_key(|change| change.map(|(address, ..)| address));
        for (_, at, before, after) in changes.into_iter().flatten() {
            if after != before {
                *accounts.at_mut(at) = after;
            }
        }
        Some(self.result())
    }

    pub(super) fn result(&self) -> ExecutionResult {
        ExecutionResult::Success {
            reason: SuccessReason::Stop,
            gas: self.gas,
            logs: alloc::vec::Vec::new(),
            output: Output::Call(Bytes::new()),
        }
    }
}
