//! Fees that are paid in a token.
//!
//! * **Who pays in what.** A sender whose native balance covers the value and the largest fee pays in
//!   native currency, as on Ethereum. For one whose balance covers the value alone, the first of the
//!   spec's tokens of which there is enough for the largest fee pays. So nothing has to be said in a
//!   transaction, and any wallet can send one.
//! * **How much.** The fee in wei, times what one whole native coin costs in the token, rounded up.
//!   All of it goes to the fee recipient; nothing is burned.
//! * **How.** As native currency: what is owed at most is taken before execution, what was not used is
//!   given back behind it. The token's code does not run; its balances are a `mapping(address =>
//!   uint256)` at a slot that is known. The receipt has a `Transfer` as last log, however the
//!   transaction ended. To the transaction, the balance without the largest fee is what it was before:
//!   EIP-2200 counts from there. The sender's slot is warm, as the sender is.

use super::interpreter::{self, EvmContext};
use super::spec::{SpecError, expect};
use alloc::vec;
use alloc::vec::Vec;
use atoll_types::codec::{CodecError, put_varint128};
use atoll_types::{Address, B256, Decode, Encode, Reader, U256, keccak256};
use core::cell::Cell;
use core::marker::PhantomData;
use revm::Database;
use revm::context::result::{EVMError, HaltReason};
use revm::context_interface::journaled_state::account::JournaledAccountTr;
use revm::context_interface::{Block, Cfg, JournalTr, Transaction};
use revm::handler::{FrameResult, Handler, post_execution, pre_execution};
use revm::inspector::{Inspector, InspectorHandler};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::{Gas, InitialAndFloorGas};
use revm::primitives::{Log, LogData};

/// Most tokens that fees may be paid in.
pub const FEE_TOKENS_MAX: u32 = 16;
/// Wei in one whole native coin.
pub const WEI_PER_COIN: u64 = 1_000_000_000_000_000_000;

/// A token that fees may be paid in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeToken {
    /// Its contract.
    pub token: Address,
    /// The slot of its `mapping(address => uint256)` of balances.
    pub balances_slot: U256,
    /// What one whole native coin (10^18 wei) costs, in the token's smallest units.
    pub price: u128,
}

impl FeeToken {
    /// What a fee in wei is in the token's smallest units, rounded up; none if it is out of range.
    pub fn amount(&self, wei: U256) -> Option<U256> {
        let product = wei.checked_mul(U256::from(self.price))?;
        Some(product.div_ceil(U256::from(WEI_PER_COIN)))
    }

    /// How many wei of fee so much of the token is good for.
    pub fn worth(&self, amount: U256) -> U256 {
        amount.saturating_mul(U256::from(WEI_PER_COIN)) / U256::from(self.price.max(1))
    }

    /// The storage slot of somebody's balance.
    pub fn slot_of(&self, holder: Address) -> U256 {
        let mut preimage = [0; 64];
        preimage[12..32].copy_from_slice(holder.as_slice());
        preimage[32..].copy_from_slice(&self.balances_slot.to_be_bytes::<32>());
        keccak256(preimage).into()
    }

    fn transfer(&self, from: Address, to: Address, amount: U256) -> Log {
        let topics =
            vec![keccak256(b"Transfer(address,address,uint256)"), from.into_word(), to.into_word()];
        let data = LogData::new_unchecked(topics, B256::from(amount).into());
        Log { address: self.token, data }
    }
}

pub(super) fn validate(tokens: &[FeeToken]) -> Result<(), SpecError> {
    expect(
        tokens.len() <= FEE_TOKENS_MAX as usize,
        "fee_tokens",
        tokens.len(),
        alloc::format!("at most {FEE_TOKENS_MAX} tokens"),
    )?;
    for (at, token) in tokens.iter().enumerate() {
        let key = |name: &str| alloc::format!("fee_tokens[{at}].{name}");
        let twice = tokens[..at].iter().any(|other| other.token == token.token);
        expect(
            !token.token.is_zero() && !twice,
            key("token"),
            token.token,
            "the address of a contract, each once",
        )?;
        expect(token.price > 0, key("price"), token.price, "more than zero")?;
    }
    Ok(())
}

impl Encode for FeeToken {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.token.as_slice());
        out.extend_from_slice(&self.balances_slot.to_be_bytes::<32>());
        put_varint128(out, self.price);
    }
}

impl Decode for FeeToken {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { token: r.address()?, balances_slot: r.u256()?, price: r.varint128()? })
    }
}

/// What was taken of a token before execution.
#[derive(Clone, Copy, Debug)]
struct Taken {
    token: FeeToken,
    slot: U256,
    before: U256,
    amount: U256,
}

/// What is to be added to the fee recipient's balance of a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credit {
    pub(super) token: Address,
    pub(super) slot: U256,
    pub(super) amount: U256,
}

/// The fee of a transaction, in what it is paid.
#[derive(Debug)]
pub(super) struct Fee<'t> {
    tokens: &'t [FeeToken],
    taken: Cell<Option<Taken>>,
}

impl<'t> Fee<'t> {
    pub(super) fn new(tokens: &'t [FeeToken]) -> Self {
        Self { tokens, taken: Cell::new(None) }
    }

    /// The token it was paid in; none for native currency.
    pub(super) fn token(&self) -> Option<Address> {
        self.taken.get().map(|taken| taken.token.token)
    }

    /// Checks the sender and takes the largest fee.
    pub(super) fn take<DB: Database>(
        &self,
        context: &mut EvmContext<DB>,
    ) -> Result<(), EVMError<DB::Error>> {
        self.taken.set(self.take_token(context)?);
        match self.taken.get() {
            Some(_) => Ok(()),
            None => pre_execution::validate_against_state_and_deduct_caller(context),
        }
    }

    /// None if it is native currency that has to pay.
    fn take_token<DB: Database>(
        &self,
        context: &mut EvmContext<DB>,
    ) -> Result<Option<Taken>, EVMError<DB::Error>> {
        let EvmContext { tx, cfg, block, journaled_state: journal, .. } = context;
        let limit = U256::from(tx.gas_limit);
        let max_fee = limit.saturating_mul(U256::from(tx.max_fee_per_gas()));
        if self.tokens.is_empty() || max_fee.is_zero() || cfg.is_fee_charge_disabled() {
            return Ok(None);
        }
        let caller = journal.load_account_with_code_mut(tx.caller)?.data;
        let info = &caller.account().info;
        pre_execution::validate_account_nonce_and_code_with_components(info, &*tx, &*cfg)?;
        let pays_all = info.balance.checked_sub(tx.value).map(|left| left >= max_fee);
        if pays_all != Some(false) {
            return Ok(None);
        }
        let price = U256::from(tx.effective_gas_price(u128::from(block.basefee())));
        for token in self.tokens {
            let (address, slot) = (token.token, token.slot_of(tx.caller));
            journal.load_account(address)?;
            let before = journal.sload(address, slot)?.data;
            let (max, due) = (token.amount(max_fee), token.amount(limit.saturating_mul(price)));
            let Some(amount) = due.filter(|_| max.is_some_and(|max| max <= before)) else {
                continue;
            };
            let after = before.saturating_sub(amount);
            journal.sstore(address, slot, after)?;
            journal.touch_account(address);
            set_original(journal, address, slot, after);
            let mut caller = journal.load_account_with_code_mut(tx.caller)?.data;
            caller.touch();
            if tx.kind.is_call() {
                caller.bump_nonce();
            }
            return Ok(Some(Taken { token: *token, slot, before, amount }));
        }
        Ok(None)
    }

    /// Gives back what was not used. What is to be added for the recipient is returned; none if native
    /// currency pays.
    pub(super) fn settle<DB: Database>(
        &self,
        context: &mut EvmContext<DB>,
        gas: &Gas,
    ) -> Result<Option<Credit>, DB::Error> {
        let Some(Taken { token, slot, before, amount }) = self.taken.get() else {
            post_execution::reimburse_caller(context, gas, U256::ZERO)?;
            return Ok(None);
        };
        let EvmContext { tx, block, journaled_state: journal, .. } = context;
        let unused = gas.remaining().saturating_add(gas.reservoir());
        let unused = unused.saturating_add_signed(gas.refunded());
        let used = U256::from(tx.gas_limit.saturating_sub(unused));
        let price = U256::from(tx.effective_gas_price(u128::from(block.basefee())));
        // Less gas than was taken for, so in range.
        let fee = token.amount(used.saturating_mul(price)).map_or(amount, |fee| fee.min(amount));
        let left = journal.sload(token.token, slot)?.data;
        journal.sstore(token.token, slot, left.saturating_add(amount - fee))?;
        set_original(journal, token.token, slot, before);
        if !fee.is_zero() {
            journal.log(token.transfer(tx.caller, block.beneficiary, fee));
        }
        let slot = token.slot_of(block.beneficiary);
        Ok(Some(Credit { token: token.token, slot, amount: fee }))
    }
}

/// Adds to a balance of a token whose account is loaded.
pub(super) fn credit<DB: Database>(
    context: &mut EvmContext<DB>,
    credit: Credit,
) -> Result<(), DB::Error> {
    let Credit { token, slot, amount } = credit;
    let journal = &mut context.journaled_state;
    let before = journal.sload(token, slot)?.data;
    journal.sstore(token, slot, before.saturating_add(amount))?;
    Ok(())
}

/// What revm takes for the value of a slot before the transaction.
fn set_original<DB: Database>(
    journal: &mut revm::context::Journal<DB>,
    address: Address,
    slot: U256,
    value: U256,
) {
    let account = journal.inner.state.get_mut(&address);
    if let Some(stored) = account.and_then(|account| account.storage.get_mut(&slot)) {
        stored.original_value = value;
    }
}

/// revm as it is executed and inspected here.
type Evm<DB, I> = interpreter::Evm<DB, I>;

/// Ethereum's way to execute a transaction, but for what the fee is paid in.
#[derive(Debug)]
pub(super) struct FeeHandler<'t, DB, I> {
    pub(super) fee: Fee<'t>,
    marker: PhantomData<fn(DB, I)>,
}

impl<'t, DB, I> FeeHandler<'t, DB, I> {
    pub(super) fn new(tokens: &'t [FeeToken]) -> Self {
        Self { fee: Fee::new(tokens), marker: PhantomData }
    }
}

impl<DB: Database, I> Handler for FeeHandler<'_, DB, I> {
    type Evm = Evm<DB, I>;
    type Error = EVMError<DB::Error>;
    type HaltReason = HaltReason;

    fn validate_against_state_and_deduct_caller(
        &self,
        evm: &mut Evm<DB, I>,
        _: &mut InitialAndFloorGas,
    ) -> Result<(), Self::Error> {
        self.fee.take(&mut evm.ctx)
    }

    fn reimburse_caller(
        &self,
        evm: &mut Evm<DB, I>,
        executed: &mut FrameResult,
    ) -> Result<(), Self::Error> {
        match self.fee.settle(&mut evm.ctx, executed.gas())? {
            Some(to_recipient) => Ok(credit(&mut evm.ctx, to_recipient)?),
            None => Ok(()),
        }
    }

    fn reward_beneficiary(
        &self,
        evm: &mut Evm<DB, I>,
        executed: &mut FrameResult,
    ) -> Result<(), Self::Error> {
        match self.fee.token() {
            Some(_) => Ok(()),
            None => Ok(post_execution::reward_beneficiary(&mut evm.ctx, executed.gas())?),
        }
    }
}

impl<DB, I> InspectorHandler for FeeHandler<'_, DB, I>
where
    DB: Database,
    I: Inspector<EvmContext<DB>, EthInterpreter>,
{
    type IT = EthInterpreter;
}
