//! Prices that an environment may have instead of its hardfork's.
//!
//! Ethereum's prices were found for its own block time and its nodes. Where a block is a hundred
//! milliseconds long, the cheapest second of work decides what anybody can do to it, so a spec may
//! raise prices: those of operations to another number, those of precompiled contracts by a factor.
//! None can be lowered below the hardfork's, which bounds what a block may hold. What a transaction
//! costs before it runs stays as it is, but for entries of its access list, which follow the prices
//! that they are paid instead of.

use super::precompiles::Precompile;
use super::spec::{SpecError, expect};
use alloc::vec::Vec;
use atoll_types::codec::{CodecError, put_varint};
use atoll_types::{Address, Decode, Encode, Reader};
use revm::context_interface::cfg::gas_params::{GasId, GasParams};
use revm::primitives::hardfork::SpecId;

/// Largest price of an operation, in gas.
pub const PRICE_MAX: u64 = 10_000_000;
/// Largest factor of a precompiled contract.
pub const FACTOR_MAX: u64 = 1_000;
/// What an access list takes off a cold access (EIP-2929, EIP-2930).
const LISTED_DISCOUNT: u64 = 200;

/// An operation with a price of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Operation {
    /// A byte of EXP's exponent.
    ExpByte = 0,
    /// A word that KECCAK256 hashes.
    Keccak256Word = 1,
    /// A word that CALLDATACOPY, CODECOPY, EXTCODECOPY, RETURNDATACOPY or MCOPY copies.
    CopyWord = 2,
    /// A word by which memory grows, before the part that grows with its square.
    MemoryWord = 3,
    /// A topic of a log.
    LogTopic = 4,
    /// A byte of a log's data.
    LogByte = 5,
    /// CREATE or CREATE2, before it runs.
    Create = 6,
    /// A byte of code that a contract is left with.
    CodeByte = 7,
    /// A call that comes with value.
    CallValue = 8,
    /// A call or SELFDESTRUCT that brings an account into being.
    NewAccount = 9,
    /// The first access of a transaction to an account, in all.
    ColdAccount = 10,
    /// The first access of a transaction to a slot, in all.
    ColdSlot = 11,
    /// SSTORE that makes a slot from nothing, before the access.
    NewSlot = 12,
    /// SSTORE that changes a slot, before the access.
    ChangedSlot = 13,
}

impl Operation {
    /// All there are.
    pub const ALL: [Self; 14] = [
        Self::ExpByte,
        Self::Keccak256Word,
        Self::CopyWord,
        Self::MemoryWord,
        Self::LogTopic,
        Self::LogByte,
        Self::Create,
        Self::CodeByte,
        Self::CallValue,
        Self::NewAccount,
        Self::ColdAccount,
        Self::ColdSlot,
        Self::NewSlot,
        Self::ChangedSlot,
    ];

    /// The name, as spec files write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ExpByte => "exp-byte",
            Self::Keccak256Word => "keccak256-word",
            Self::CopyWord => "copy-word",
            Self::MemoryWord => "memory-word",
            Self::LogTopic => "log-topic",
            Self::LogByte => "log-byte",
            Self::Create => "create",
            Self::CodeByte => "code-byte",
            Self::CallValue => "call-value",
            Self::NewAccount => "new-account",
            Self::ColdAccount => "cold-account",
            Self::ColdSlot => "cold-slot",
            Self::NewSlot => "new-slot",
            Self::ChangedSlot => "changed-slot",
        }
    }

    /// The operation with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// The price in a table of revm's.
    fn price(self, table: &GasParams) -> u64 {
        let warm = table.get(GasId::warm_storage_read_cost());
        match self {
            Self::ExpByte => table.get(GasId::exp_byte_gas()),
            Self::Keccak256Word => table.get(GasId::keccak256_per_word()),
            Self::CopyWord => table.get(GasId::copy_per_word()),
            Self::MemoryWord => table.get(GasId::memory_linear_cost()),
            Self::LogTopic => table.get(GasId::logtopic()),
            Self::LogByte => table.get(GasId::logdata()),
            Self::Create => table.get(GasId::create()),
            Self::CodeByte => table.get(GasId::code_deposit_cost()),
            Self::CallValue => table.get(GasId::transfer_value_cost()),
            Self::NewAccount => table.get(GasId::new_account_cost()),
            Self::ColdAccount => table.get(GasId::cold_account_additional_cost()) + warm,
            Self::ColdSlot => table.get(GasId::cold_storage_cost()),
            Self::NewSlot => table.get(GasId::sstore_set_without_load_cost()) + warm,
            Self::ChangedSlot => table.get(GasId::sstore_reset_without_cold_load_cost()) + warm,
        }
    }

    /// Where revm's table has to say so.
    fn entries(self, price: u64, table: &GasParams) -> Vec<(GasId, u64)> {
        let additional = price.saturating_sub(table.get(GasId::warm_storage_read_cost()));
        let listed = price.saturating_sub(LISTED_DISCOUNT);
        match self {
            Self::ExpByte => alloc::vec![(GasId::exp_byte_gas(), price)],
            Self::Keccak256Word => alloc::vec![(GasId::keccak256_per_word(), price)],
            Self::CopyWord => alloc::vec![
                (GasId::copy_per_word(), price),
                (GasId::mcopy_per_word(), price),
                (GasId::extcodecopy_per_word(), price),
            ],
            Self::MemoryWord => alloc::vec![(GasId::memory_linear_cost(), price)],
            Self::LogTopic => alloc::vec![(GasId::logtopic(), price)],
            Self::LogByte => alloc::vec![(GasId::logdata(), price)],
            Self::Create => alloc::vec![(GasId::create(), price)],
            Self::CodeByte => alloc::vec![(GasId::code_deposit_cost(), price)],
            Self::CallValue => alloc::vec![(GasId::transfer_value_cost(), price)],
            Self::NewAccount => alloc::vec![
                (GasId::new_account_cost(), price),
                (GasId::new_account_cost_for_selfdestruct(), price),
            ],
            Self::ColdAccount => alloc::vec![
                (GasId::cold_account_additional_cost(), additional),
                (GasId::tx_access_list_address_cost(), listed),
            ],
            Self::ColdSlot => alloc::vec![
                (GasId::cold_storage_cost(), price),
                (GasId::cold_storage_additional_cost(), additional),
                (GasId::tx_access_list_storage_key_cost(), listed),
            ],
            Self::NewSlot => alloc::vec![(GasId::sstore_set_without_load_cost(), additional)],
            Self::ChangedSlot => {
                alloc::vec![(GasId::sstore_reset_without_cold_load_cost(), additional)]
            }
        }
    }
}

/// A precompiled contract: names as in EIP-7910, and where each stands.
const CONTRACTS: [(&str, u16); 18] = [
    ("ecrecover", 0x01),
    ("sha256", 0x02),
    ("ripemd160", 0x03),
    ("identity", 0x04),
    ("modexp", 0x05),
    ("bn254-add", 0x06),
    ("bn254-mul", 0x07),
    ("bn254-pairing", 0x08),
    ("blake2f", 0x09),
    ("kzg-point-evaluation", 0x0a),
    ("bls12-g1add", 0x0b),
    ("bls12-g1msm", 0x0c),
    ("bls12-g2add", 0x0d),
    ("bls12-g2msm", 0x0e),
    ("bls12-pairing-check", 0x0f),
    ("bls12-map-fp-to-g1", 0x10),
    ("bls12-map-fp2-to-g2", 0x11),
    ("p256verify", 0x0100),
];
/// How many precompiled contracts there can be, this project's behind those of the hardfork.
const COUNT: usize = CONTRACTS.len() + Precompile::ALL.len();

/// Names of all precompiled contracts, as spec files write them.
pub fn precompile_names() -> impl Iterator<Item = &'static str> {
    CONTRACTS.iter().map(|(name, _)| *name).chain(Precompile::ALL.map(Precompile::name))
}

fn index_of(address: &Address) -> Option<usize> {
    let (zeros, low) = address.0.split_at(18);
    if zeros.iter().all(|byte| *byte == 0) {
        let low = u16::from_be_bytes([low[0], low[1]]);
        return CONTRACTS.iter().position(|(_, at)| *at == low);
    }
    let own = Precompile::ALL.iter().position(|own| own.address() == *address)?;
    Some(CONTRACTS.len() + own)
}

/// By how much each precompiled contract costs more than elsewhere. The default is by nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factors([u16; COUNT]);

impl Default for Factors {
    fn default() -> Self {
        Self([1; COUNT])
    }
}

impl Factors {
    /// The factor of the contract at an address.
    pub fn of(&self, address: &Address) -> u64 {
        index_of(address).map_or(1, |index| u64::from(self.0[index]))
    }
}

/// Prices of an environment that are not its hardfork's. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GasOverrides {
    /// Sorted, each at most once.
    operations: Vec<(Operation, u64)>,
    factors: Factors,
}

impl GasOverrides {
    /// The same with another price for an operation.
    #[must_use]
    pub fn with(mut self, operation: Operation, price: u64) -> Self {
        self.operations.retain(|(other, _)| *other != operation);
        self.operations.push((operation, price));
        self.operations.sort_unstable();
        self
    }

    /// The same with a precompiled contract that costs so many times what it costs elsewhere; none if
    /// no contract has that name. Above [`FACTOR_MAX`], it counts as more than that, which no spec may have.
    pub fn with_factor(mut self, name: &str, factor: u64) -> Option<Self> {
        let index = precompile_names().position(|known| known == name)?;
        self.factors.0[index] = u16::try_from(factor).unwrap_or(u16::MAX);
        Some(self)
    }

    /// The factors of precompiled contracts.
    pub fn factors(&self) -> Factors {
        self.factors
    }

    /// revm's table of prices with these in it.
    pub fn table(&self, spec: SpecId) -> GasParams {
        let mut table = GasParams::new_spec(spec);
        if !self.operations.is_empty() {
            let priced = self.operations.iter();
            let entries = priced.flat_map(|(operation, price)| operation.entries(*price, &table));
            let entries: Vec<_> = entries.collect();
            table.override_gas(entries);
        }
        table
    }

    pub(super) fn validate(&self, spec: SpecId) -> Result<(), SpecError> {
        let hardfork = GasParams::new_spec(spec);
        for (operation, price) in &self.operations {
            let least = operation.price(&hardfork);
            expect(
                (least..=PRICE_MAX).contains(price),
                alloc::format!("gas.operations.{}", operation.name()),
                price,
                alloc::format!("{least}, as in the hardfork, to {PRICE_MAX}"),
            )?;
        }
        for (name, factor) in precompile_names().zip(self.factors.0) {
            expect(
                (1..=FACTOR_MAX).contains(&u64::from(factor)),
                alloc::format!("gas.precompiles.{name}"),
                factor,
                alloc::format!("1 to {FACTOR_MAX} times the price it has elsewhere"),
            )?;
        }
        Ok(())
    }
}

impl Encode for GasOverrides {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.operations.len() as u64);
        for (operation, price) in &self.operations {
            out.push(*operation as u8);
            put_varint(out, *price);
        }
        let raised = || self.factors.0.iter().enumerate().filter(|(_, factor)| **factor != 1);
        put_varint(out, raised().count() as u64);
        for (index, factor) in raised() {
            out.push(index as u8);
            put_varint(out, u64::from(*factor));
        }
    }
}

impl Decode for GasOverrides {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        const WRONG: CodecError = CodecError::Invalid("gas schedule");
        let mut overrides = Self::default();
        for _ in 0..r.length("prices of operations", Operation::ALL.len() as u32)? {
            let operation = *Operation::ALL.get(usize::from(r.u8()?)).ok_or(WRONG)?;
            if overrides.operations.last().is_some_and(|(last, _)| *last >= operation) {
                return Err(WRONG);
            }
            overrides.operations.push((operation, r.varint()?));
        }
        let mut next = 0;
        for _ in 0..r.length("factors of precompiles", COUNT as u32)? {
            let index = usize::from(r.u8()?);
            let factor = u16::try_from(r.varint()?).map_err(|_| WRONG)?;
            if index < next || index >= COUNT || factor == 1 {
                return Err(WRONG);
            }
            overrides.factors.0[index] = factor;
            next = index + 1;
        }
        Ok(overrides)
    }
}
