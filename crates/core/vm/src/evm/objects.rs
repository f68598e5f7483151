//! The objects of an EVM state.

use alloc::vec::Vec;
use atoll_state::object::Key;
use atoll_state::{Object, Source, Table, TableVisitor, Tables};
use atoll_types::codec::{CodecError, put_bytes, put_varint};
use atoll_types::{Address, B256, Decode, Encode, Reader, U256};
use core::hash::{Hash, Hasher};
use revm::bytecode::Bytecode;
use revm::primitives::{Bytes, KECCAK_EMPTY};

use super::spec::CODE_BYTES_MAX;

/// Writes an amount: its big-endian bytes without leading zeros, with their number in front.
fn put_amount(out: &mut Vec<u8>, amount: &U256) {
    let bytes = amount.to_be_bytes::<32>();
    put_bytes(out, &bytes[amount.leading_zeros() / 8..]);
}

fn amount(r: &mut Reader<'_>) -> Result<U256, CodecError> {
    let bytes = r.bytes("amount", 32)?;
    if bytes.first() == Some(&0) {
        return Err(CodecError::Invalid("amount"));
    }
    Ok(U256::from_be_slice(bytes))
}

/// Feeds a hasher with an address. Keys are looked up so often that it counts whether a hasher takes whole
/// words or goes through bytes of some number.
pub(super) fn hash_address(address: &Address, hasher: &mut impl Hasher) {
    let (mut low, mut high) = ([0; 16], [0; 4]);
    low.copy_from_slice(&address[..16]);
    high.copy_from_slice(&address[16..]);
    hasher.write_u128(u128::from_le_bytes(low));
    hasher.write_u32(u32::from_le_bytes(high));
}

/// The same with a word.
pub(super) fn hash_word(word: &U256, hasher: &mut impl Hasher) {
    let [a, b, c, d] = *word.as_limbs();
    hasher.write_u128(u128::from(a) | u128::from(b) << 64);
    hasher.write_u128(u128::from(c) | u128::from(d) << 64);
}

/// Key of an account: its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountKey(pub Address);

impl Hash for AccountKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_address(&self.0, state);
    }
}

/// An account. One without balance, nonce and code does not exist (EIP-161), unless it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Transactions sent, or contracts created.
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// Keccak-256 of the code. Recorded states hold two kinds of account that an environment never
    /// has, and which are marked here: zero for an empty account that exists, as those of Ethereum's
    /// first years did, and [`STORAGE_ONLY`].
    pub code_hash: B256,
}

/// In place of a code's hash: no code, nonce 0, and storage all the same. No transaction leaves such
/// an account, and no contract may be created over one (EIP-7610).
pub const STORAGE_ONLY: B256 = B256::with_last_byte(1);

impl Account {
    /// Whether it has code.
    pub fn has_code(&self) -> bool {
        ![KECCAK_EMPTY, B256::ZERO, STORAGE_ONLY].contains(&self.code_hash)
    }

    /// Keccak-256 of the code, as Ethereum's state has it.
    pub fn code_hash_or_empty(&self) -> B256 {
        if self.has_code() { self.code_hash } else { KECCAK_EMPTY }
    }

    /// It, marked as one that exists where nothing else tells so.
    pub(super) fn existing(self) -> Self {
        if self == Self::default() { Self { code_hash: B256::ZERO, ..self } } else { self }
    }
}

impl Default for Account {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK_EMPTY }
    }
}

/// Key of a storage slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotKey {
    /// Whose storage.
    pub address: Address,
    /// Which slot.
    pub slot: U256,
}

impl Hash for SlotKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_address(&self.address, state);
        hash_word(&self.slot, state);
    }
}

/// A storage slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageSlot(pub U256);

/// Key of a contract's code: its Keccak-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeKey(pub B256);

/// A contract's code with its jump table, which is derived from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code(pub Bytecode);

/// Key of the two objects there is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Singleton;

/// The current block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Number: that of the slot.
    pub number: u64,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// Wei per gas.
    pub base_fee: u64,
    /// Gas used so far.
    pub gas_used: u64,
    /// Transactions executed so far, refused ones not counted.
    pub transactions: u32,
    /// Logs emitted so far.
    pub logs: u32,
}

/// The money of the environment, in wei, counted apart from the accounts that hold it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Credited by the genesis state.
    pub genesis: U256,
    /// Base fees burned.
    pub burned: U256,
    /// Balances that went with contracts that destroyed themselves in their own creation.
    pub destroyed: U256,
}

/// Key of a token: its address on the hub; zero is the native currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenKey(pub Address);

/// What came and went of a token, all of it ever. A message that comes back counts as one that
/// comes: what the hub returns as a deposit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flows {
    /// Came in from the hub.
    pub deposits: U256,
    /// Came in from other environments.
    pub inbound: U256,
    /// Went out to other environments.
    pub outbound: U256,
    /// Went out to the hub.
    pub withdrawals: U256,
}

impl Flows {
    /// What came and did not go, on top of what was there before; none out of range.
    pub fn balance(&self, before: U256) -> Option<U256> {
        let came = before.checked_add(self.deposits)?.checked_add(self.inbound)?;
        came.checked_sub(self.outbound)?.checked_sub(self.withdrawals)
    }
}

impl Encode for AccountKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_slice());
    }
}

impl Decode for AccountKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        r.address().map(Self)
    }
}

impl Encode for SlotKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.address.as_slice());
        out.extend_from_slice(&self.slot.to_be_bytes::<32>());
    }
}

impl Decode for SlotKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { address: r.address()?, slot: r.u256()? })
    }
}

impl Encode for CodeKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_slice());
    }
}

impl Decode for CodeKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        r.b256().map(Self)
    }
}

impl Encode for Singleton {
    fn encode(&self, _: &mut Vec<u8>) {}
}

impl Decode for Singleton {
    fn decode(_: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self)
    }
}

impl Encode for Account {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.nonce);
        put_amount(out, &self.balance);
        if self.code_hash != KECCAK_EMPTY {
            out.extend_from_slice(self.code_hash.as_slice());
        }
    }
}

impl Decode for Account {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (nonce, balance) = (r.varint()?, amount(r)?);
        if r.rest().is_empty() {
            return Ok(Self { nonce, balance, code_hash: KECCAK_EMPTY });
        }
        match r.b256()? {
            KECCAK_EMPTY => Err(CodecError::Invalid("code hash")),
            code_hash => Ok(Self { nonce, balance, code_hash }),
        }
    }
}

impl Encode for StorageSlot {
    fn encode(&self, out: &mut Vec<u8>) {
        put_amount(out, &self.0);
    }
}

impl Decode for StorageSlot {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        amount(r).map(Self)
    }
}

impl Encode for Code {
    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.0.original_byte_slice());
    }
}

impl Decode for Code {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let bytes = r.bytes("code", CODE_BYTES_MAX)?;
        Bytecode::new_raw_checked(Bytes::copy_from_slice(bytes))
            .map(Self)
            .map_err(|_| CodecError::Invalid("code"))
    }
}

impl Encode for Block {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.number);
        put_varint(out, self.timestamp);
        put_varint(out, self.base_fee);
        put_varint(out, self.gas_used);
        put_varint(out, u64::from(self.transactions));
        put_varint(out, u64::from(self.logs));
    }
}

impl Decode for Block {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            number: r.varint()?,
            timestamp: r.varint()?,
            base_fee: r.varint()?,
            gas_used: r.varint()?,
            transactions: r.length("transactions", u32::MAX)?,
            logs: r.length("logs", u32::MAX)?,
        })
    }
}

impl Encode for Ledger {
    fn encode(&self, out: &mut Vec<u8>) {
        for part in [self.genesis, self.burned, self.destroyed] {
            put_amount(out, &part);
        }
    }
}

impl Decode for Ledger {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { genesis: amount(r)?, burned: amount(r)?, destroyed: amount(r)? })
    }
}

impl Encode for TokenKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_slice());
    }
}

impl Decode for TokenKey {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        r.address().map(Self)
    }
}

impl Encode for Flows {
    fn encode(&self, out: &mut Vec<u8>) {
        for part in [self.deposits, self.inbound, self.outbound, self.withdrawals] {
            put_amount(out, &part);
        }
    }
}

impl Decode for Flows {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            deposits: amount(r)?,
            inbound: amount(r)?,
            outbound: amount(r)?,
            withdrawals: amount(r)?,
        })
    }
}

impl Key for AccountKey {}
impl Key for SlotKey {}
impl Key for CodeKey {}
impl Key for TokenKey {}
impl Key for Singleton {
    fn dense(&self) -> Option<u32> {
        Some(0)
    }
}

macro_rules! objects {
    ($($object:ident($key:ident) = $tag:literal, $name:literal;)*) => {
        $(impl Object for $object {
            const TAG: u8 = $tag;
            const NAME: &'static str = $name;
            type Key = $key;
        })*
    };
}

objects! {
    Account(AccountKey) = 1, "account";
    StorageSlot(SlotKey) = 2, "storage slot";
    Code(CodeKey) = 3, "code";
    Block(Singleton) = 4, "block";
    Ledger(Singleton) = 5, "ledger";
    Flows(TokenKey) = 6, "flows";
}

/// How many transactions ahead [`EvmTables::prefetch`] is of use.
pub(super) const AHEAD: usize = 4;
/// So many accounts, 2 MiB of them, are not worth it.
const ACCOUNTS_IN_CACHE: usize = 1 << 14;
/// When what finds an account is there.
const AHEAD_FOUND: usize = 2;

/// The state of an EVM environment.
#[derive(Debug)]
pub struct EvmTables<S: Source> {
    pub(super) accounts: Table<Account, S>,
    pub(super) storage: Table<StorageSlot, S>,
    pub(super) code: Table<Code, S>,
    pub(super) block: Table<Block, S>,
    pub(super) ledger: Table<Ledger, S>,
    pub(super) flows: Table<Flows, S>,
}

impl<S: Source> EvmTables<S> {
    /// An empty state. `seed` keys in-memory indexes and never changes results.
    pub fn new(seed: u64) -> Self {
        Self {
            accounts: Table::new(seed),
            storage: Table::new(seed),
            code: Table::new(seed),
            block: Table::new(seed),
            ledger: Table::new(seed),
            flows: Table::new(seed),
        }
    }

    /// Whether there are so few accounts that a cache holds them.
    #[inline]
    pub(super) fn is_in_cache(&self) -> bool {
        self.accounts.len() < ACCOUNTS_IN_CACHE
    }

    /// Asks the memory for an account of a transaction that runs so many transactions later, from
    /// [`AHEAD`] down to 1: first for what finds it, then for itself. What there is little of is in a cache.
    #[inline]
    pub(super) fn prefetch(&self, address: Address, ahead: usize) {
        match ahead {
            _ if self.is_in_cache() => {}
            AHEAD => self.accounts.foresee(&AccountKey(address)),
            AHEAD_FOUND => {
                self.accounts.prefetch(&AccountKey(address));
            }
            _ => {}
        }
    }

    /// All accounts, in no meaningful order: for who compares a state, never for a state transition.
    pub fn accounts(&self) -> impl Iterator<Item = (Address, &Account)> {
        self.accounts.local_iter().map(|(key, account)| (key.0, account))
    }

    /// All storage slots that are not zero, in no meaningful order, like [`Self::accounts`].
    pub fn storage(&self) -> impl Iterator<Item = (&SlotKey, U256)> {
        self.storage.local_iter().map(|(key, slot)| (key, slot.0))
    }
}

impl<S: Source> Tables<S> for EvmTables<S> {
    fn visit(&mut self, visitor: &mut impl TableVisitor<S>) {
        visitor.visit(&mut self.accounts);
        visitor.visit(&mut self.storage);
        visitor.visit(&mut self.code);
        visitor.visit(&mut self.block);
        visitor.visit(&mut self.ledger);
        visitor.visit(&mut self.flows);
    }
}
