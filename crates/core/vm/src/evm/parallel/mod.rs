//! EVM transactions as a [`Batch`]: what they read and write, and how that goes into the tables.
//!
//! * **An account is two values**: nonce and code, and the balance. Who calls a contract does not
//!   depend on what it is paid.
//! * **A balance is read where it is looked at**: by who pays, and by the opcodes that show it or move
//!   it ([`speculative`]). Who is paid is added to. For an account that may be empty, whether there is
//!   any balance is looked at too, because gas and existence depend on that (EIP-161).
//! * **The fee recipient is added to** behind the transaction, and is not read at all by one that has
//!   nothing else to do with it: its balance, or that of the token which pays.
//! * **A contract that is destroyed** before Cancun leaves no storage: an account's value says since
//!   which transaction its storage counts, and a slot's value which one has written it.
//!
//! [`apply`] then does to the tables what serial execution does, read by read and write by write.

mod speculative;

use super::changes::{self, Touched};
use super::history;
use super::objects::{
    Account, AccountKey, CodeKey, EvmTables, STORAGE_ONLY, SlotKey, hash_address, hash_word,
};
use super::transition::{
    BlockHashes, Executed, MissingBlockHash, SpecId, TransitionContext, TransitionError, TxEnv,
    TxKind,
};
use crate::parallel::{Admission, Aspect, Batch, Interrupted, Read, Versions, View};
use alloc::vec::Vec;
use atoll_state::{Resident, Source};
use atoll_types::{Address, B256, U256};
use core::hash::{Hash, Hasher};
use revm::bytecode::Bytecode;
use revm::context::result::ExecutionResult;
use revm::primitives::AddressMap;
use speculative::Worker;

/// Gas that is executed in a microsecond, about.
const GAS_PER_MICROSECOND: u64 = 1_500;
/// Of the gas of a payment so much is not work: what is left takes about as long as so much gas of a call.
const GAS_WITHOUT_WORK: u64 = 18_000;
/// Gas limits say little about what is used: no more than this is expected.
const GAS_EXPECTED_MAX: u64 = 150_000;

/// About how many nanoseconds it takes to execute a transaction ([`Batch::weight`]).
pub(super) fn weight(tables: &EvmTables<Resident>, kind: TxKind, gas_limit: u64) -> u64 {
    let pays = match kind {
        TxKind::Call(to) => {
            let found = tables.accounts.peek(&AccountKey(to));
            !found.is_some_and(Account::has_code)
        }
        TxKind::Create => false,
    };
    // A payment takes no longer than it takes to schedule it: nothing is gained by that.
    if pays {
        return 0;
    }
    gas_limit.saturating_sub(21_000).min(GAS_EXPECTED_MAX) * 1_000 / GAS_PER_MICROSECOND
}

/// The work of so many transactions that used so much gas ([`Batch::work`]).
pub fn work(gas_used: u64, transactions: usize) -> u64 {
    gas_used.saturating_sub(GAS_WITHOUT_WORK.saturating_mul(transactions as u64))
}

/// What finds a value of an EVM state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvmKey {
    /// Nonce and code hash of an account.
    Account(Address),
    /// Balance of an account.
    Balance(Address),
    /// A storage slot.
    Slot(Address, U256),
    /// Code by its hash.
    Code(B256),
}

impl Hash for EvmKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Account(address) => {
                state.write_u8(0);
                hash_address(address, state);
            }
            Self::Balance(address) => {
                state.write_u8(1);
                hash_address(address, state);
            }
            Self::Slot(address, slot) => {
                state.write_u8(2);
                hash_address(address, state);
                hash_word(slot, state);
            }
            Self::Code(hash) => {
                state.write_u8(3);
                hash_word(&(*hash).into(), state);
            }
        }
    }
}

impl core::fmt::Display for EvmKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Account(address) => write!(f, "{address} nonce and code"),
            Self::Balance(address) => write!(f, "{address} balance"),
            Self::Slot(address, slot) => write!(f, "{address} slot {slot:#x}"),
            Self::Code(hash) => write!(f, "code {hash}"),
        }
    }
}

/// A value of an EVM state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvmValue {
    /// Of an account.
    Account {
        /// Its nonce.
        nonce: u64,
        /// Its code hash, or a mark ([`Account::code_hash`]).
        code_hash: B256,
        /// Storage written by transactions before this one does not count.
        since: u32,
    },
    /// An amount of wei.
    Balance(U256),
    /// What a slot holds, and who has written it: the transaction's index plus one; zero if nobody has
    /// since the block began, or if it does not matter because storage ends with no contract (EIP-6780).
    /// Where it matters the same number by somebody else is another value: before or after the end.
    Slot(U256, u32),
    /// A contract's code.
    Code(Bytecode),
}

/// What becomes of a transaction that cannot be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// The block ends there: no block contains it.
    Ends,
    /// It is refused, and the block goes on.
    Refused,
}

/// What came of an execution, before it is applied to the tables.
#[derive(Debug)]
pub struct Outcome {
    result: Result<ExecutionResult, TransitionError>,
    fee_token: Option<Address>,
    touched: Vec<Touched>,
}

impl Outcome {
    /// How the transaction ended, or why it was not executed.
    pub fn result(&self) -> Result<&ExecutionResult, &TransitionError> {
        self.result.as_ref()
    }
}

/// Where the state before a block comes from, if that takes time.
pub trait Fetch: core::fmt::Debug + Send + Sync {
    /// Returns when a value can be read. Any thread asks, before each look below the block, also for what
    /// another one has asked for.
    fn fetch(&self, key: &EvmKey);
}

/// The transactions of a block on the tables as they are before it.
#[derive(Debug)]
pub struct EvmBatch<'a> {
    tables: &'a EvmTables<Resident>,
    /// None where everything is in memory.
    fetch: Option<&'a dyn Fetch>,
    context: &'a TransitionContext<'a>,
    transactions: &'a [TxEnv],
    gas_left: u64,
    invalid: Invalid,
    /// Index of the sender's transaction before; its own if there is none. Empty if that was not asked for.
    follows: Vec<u32>,
    /// What each weighs, if that was asked for.
    weights: Vec<u64>,
    /// Of all weights, and of those of the sender with the most.
    chained: (u64, u64),
    /// Whether the fee recipient may be added to without being read.
    fee_apart: bool,
}

impl<'a> EvmBatch<'a> {
    /// Transactions that may use so much gas together.
    pub fn new(
        tables: &'a EvmTables<Resident>,
        context: &'a TransitionContext<'a>,
        transactions: &'a [TxEnv],
        gas_left: u64,
        invalid: Invalid,
    ) -> Self {
        let recipient = tables.accounts.peek(&AccountKey(context.block.beneficiary));
        // Touching a marked account changes more than its balance, and before EIP-161 any may be marked.
        let marked = recipient.is_some_and(|a| [B256::ZERO, STORAGE_ONLY].contains(&a.code_hash));
        let fee_apart = context.config.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON) && !marked;
        let (follows, weights, chained, fetch) = (Vec::new(), Vec::new(), (0, 0), None);
        Self {
            tables,
            fetch,
            context,
            transactions,
            gas_left,
            invalid,
            follows,
            weights,
            chained,
            fee_apart,
        }
    }

    /// Asks for each value from below the block before it reads it.
    pub fn fetching(&mut self, fetch: &'a dyn Fetch) {
        self.fetch = Some(fetch);
    }

    /// Knows from then on which transactions have the same sender.
    pub fn chain(&mut self) {
        let count = self.transactions.len();
        let weights: Vec<u64> = (0..count).map(|index| self.weight(index)).collect();
        let mut senders = AddressMap::default();
        self.follows.reserve(count);
        for (index, (transaction, weight)) in self.transactions.iter().zip(&weights).enumerate() {
            let (last, sum) = senders.entry(transaction.caller).or_insert((index as u32, 0_u64));
            self.follows.push(core::mem::replace(last, index as u32));
            *sum += weight;
            let (all, most) = self.chained;
            self.chained = (all + weight, most.max(*sum));
        }
        self.weights = weights;
    }

    fn account(&self, address: Address) -> Account {
        self.tables.accounts.peek(&AccountKey(address)).copied().unwrap_or_default()
    }
}

impl<'s> Batch for EvmBatch<'s> {
    type Key = EvmKey;
    type Value = EvmValue;
    type Output = Outcome;
    type Worker<'a>
        = Worker<'a, 's>
    where
        Self: 'a;
    /// Gas that is left of the block.
    type Ledger = u64;

    fn len(&self) -> usize {
        self.transactions.len()
    }

    fn ledger(&self) -> u64 {
        self.gas_left
    }

    fn worker<'a>(&'a self, versions: &'a dyn Versions<Self>) -> Worker<'a, 's> {
        Worker::new(self, versions)
    }

    fn base(&self, key: &EvmKey) -> EvmValue {
        if let Some(fetch) = self.fetch {
            fetch.fetch(key);
        }
        match *key {
            EvmKey::Account(address) => {
                let Account { nonce, code_hash, .. } = self.account(address);
                EvmValue::Account { nonce, code_hash, since: 0 }
            }
            EvmKey::Balance(address) => EvmValue::Balance(self.account(address).balance),
            EvmKey::Slot(address, slot) => {
                let found = self.tables.storage.peek(&SlotKey { address, slot });
                EvmValue::Slot(found.map(|slot| slot.0).unwrap_or_default(), 0)
            }
            EvmKey::Code(hash) => {
                let found = self.tables.code.peek(&CodeKey(hash));
                EvmValue::Code(found.map(|code| code.0.clone()).unwrap_or_default())
            }
        }
    }

    fn same(aspect: Aspect, one: &EvmValue, other: &EvmValue) -> bool {
        match (aspect, one, other) {
            (Aspect::Nothing, _, _) => true,
            (Aspect::Presence, EvmValue::Balance(one), EvmValue::Balance(other)) => {
                one.is_zero() == other.is_zero()
            }
            // Found by its own hash.
            (_, EvmValue::Code(one), EvmValue::Code(other)) => one.is_empty() == other.is_empty(),
            _ => one == other,
        }
    }

    fn sum(value: &EvmValue, addend: &EvmValue) -> Option<EvmValue> {
        match (value, addend) {
            (EvmValue::Balance(one), EvmValue::Balance(other)) => {
                one.checked_add(*other).map(EvmValue::Balance)
            }
            // A fee in a token.
            (EvmValue::Slot(one, _), EvmValue::Slot(other, written)) => {
                one.checked_add(*other).map(|sum| EvmValue::Slot(sum, *written))
            }
            _ => None,
        }
    }

    fn follows(&self, index: usize) -> Option<usize> {
        let before = *self.follows.get(index)? as usize;
        (before != index).then_some(before)
    }

    fn declared(&self, index: usize) -> Vec<EvmKey> {
        let items = self.transactions[index].access_list.0.iter();
        let slots = items.flat_map(|item| {
            let slot = |key: &B256| EvmKey::Slot(item.address, U256::from_be_bytes(key.0));
            item.storage_keys.iter().map(slot)
        });
        slots.collect()
    }

    fn chained(&self) -> u64 {
        let (all, most) = self.chained;
        most * 100 / all.max(1)
    }

    fn weight(&self, index: usize) -> u64 {
        if let Some(weight) = self.weights.get(index) {
            return *weight;
        }
        let TxEnv { kind, gas_limit, .. } = self.transactions[index];
        weight(self.tables, kind, gas_limit)
    }

    fn work(&self, outcome: &Outcome) -> u64 {
        outcome.result.as_ref().map_or(0, |result| work(result.tx_gas_used(), 1))
    }

    fn execute<'a>(
        &'a self,
        worker: &mut Worker<'a, 's>,
        view: &mut View<'a, Self>,
    ) -> Result<Outcome, Interrupted> {
        worker.execute(view)
    }

    fn admit(&self, gas_left: &u64, index: usize) -> Admission {
        match (self.transactions[index].gas_limit > *gas_left, self.invalid) {
            (false, _) => Admission::Admitted,
            (true, Invalid::Ends) => Admission::End,
            (true, Invalid::Refused) => Admission::Refused,
        }
    }

    fn count(&self, gas_left: &mut u64, _: usize, outcome: &Outcome) -> bool {
        match &outcome.result {
            Ok(result) => {
                *gas_left = gas_left.saturating_sub(result.tx_gas_used());
                true
            }
            Err(_) => self.invalid == Invalid::Refused,
        }
    }
}

/// Does to the tables what the serial execution of a transaction does.
///
/// # Errors
/// It was not executed; what it read is recorded.
pub fn apply<S: Source>(
    tables: &mut EvmTables<S>,
    spec: SpecId,
    outcome: Outcome,
    reads: &[Read<EvmKey, EvmValue>],
) -> Result<Executed, TransitionError> {
    for read in reads {
        match read.key {
            EvmKey::Account(address) => {
                tables.accounts.get(&AccountKey(address));
            }
            EvmKey::Slot(address, slot) => {
                tables.storage.get(&SlotKey { address, slot });
            }
            EvmKey::Code(hash) => {
                tables.code.get(&CodeKey(hash));
            }
            // With its account.
            EvmKey::Balance(_) => {}
        }
    }
    let Outcome { result, fee_token, touched } = outcome;
    let result = result?;
    let lost = changes::apply(tables, spec, &touched);
    Ok(Executed { result, lost, fee_token })
}
