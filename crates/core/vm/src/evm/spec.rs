//! The spec of an EVM environment.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use atoll_types::codec::{CodecError, put_bytes, put_varint};
use atoll_types::{Address, Decode, Encode, Reader, U256};
use revm::bytecode::Bytecode;
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Bytes, eip7825};

use super::bridge::EvmBridge;
use super::exchange_port::EvmExchange;
use super::fees::{self, FEE_TOKENS_MAX, FeeToken};
use super::gas::GasOverrides;
use super::history::HISTORY_ADDRESS;
use super::precompiles::{PrecompileRules, PrecompileSet};

/// Most accounts in a genesis state.
pub const GENESIS_ACCOUNTS_MAX: u32 = 1 << 20;
/// Most storage slots of one genesis account.
pub const GENESIS_SLOTS_MAX: u32 = 1 << 20;
/// Largest code of a contract, in bytes (EIP-170).
pub const CODE_BYTES_MAX: u32 = 0x6000;
/// Longest symbol of the native currency.
pub const SYMBOL_BYTES_MAX: u32 = 16;
/// Smallest gas limit of a block: one plain transfer.
pub const BLOCK_GAS_LIMIT_MIN: u64 = 21_000;
/// Largest gas limit of a block where transactions have a limit of their own (EIP-7825).
pub const BLOCK_GAS_LIMIT_MAX: u64 = 1_000_000_000;
/// Largest gas limit of a block where one transaction may fill it: keeps receipts inside
/// [`crate::Receipt::PAYLOAD_BYTES_MAX`], a byte of log data costing 8 gas.
pub const BLOCK_GAS_LIMIT_UNCAPPED_MAX: u64 = 100_000_000;
/// Largest chain id (EIP-2294).
pub const CHAIN_ID_MAX: u64 = u64::MAX / 2 - 36;

/// The rules of the EVM: the hardforks that this version of the VM can run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Hardfork {
    /// March 2024.
    Cancun = 0,
    /// May 2025.
    Prague = 1,
    /// December 2025: what Ethereum's mainnet runs.
    #[default]
    Osaka = 2,
}

impl Hardfork {
    /// The name, as spec files write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cancun => "cancun",
            Self::Prague => "prague",
            Self::Osaka => "osaka",
        }
    }

    /// The hardfork with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Cancun, Self::Prague, Self::Osaka].into_iter().find(|fork| fork.name() == name)
    }

    pub(super) fn spec_id(self) -> SpecId {
        match self {
            Self::Cancun => SpecId::CANCUN,
            Self::Prague => SpecId::PRAGUE,
            Self::Osaka => SpecId::OSAKA,
        }
    }

    /// Largest gas limit of a transaction, where there is one (EIP-7825).
    pub fn transaction_gas_limit(self) -> Option<u64> {
        (self >= Self::Osaka).then_some(eip7825::TX_GAS_LIMIT_CAP)
    }
}

impl PartialOrd for Hardfork {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some((*self as u8).cmp(&(*other as u8)))
    }
}

/// How the base fee of a block comes about, in wei per gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseFee {
    /// Always the same.
    Fixed(u64),
    /// By EIP-1559 from the gas used in the block before, with half the gas limit as target.
    Eip1559 {
        /// Base fee of block 1.
        initial: u64,
        /// Largest change from block to block is one part in this many: 8 on Ethereum, where a
        /// block takes 12 s; more where blocks are shorter.
        change_denominator: u64,
    },
}

impl BaseFee {
    /// Base fee of block 1.
    pub fn initial(&self) -> u64 {
        match self {
            Self::Fixed(fee) => *fee,
            Self::Eip1559 { initial, .. } => *initial,
        }
    }

    /// Base fee of the block after one with this base fee that used this much gas.
    pub fn next(&self, base_fee: u64, gas_used: u64, gas_limit: u64) -> u64 {
        let Self::Eip1559 { change_denominator, .. } = *self else { return self.initial() };
        let target = gas_limit / 2;
        if gas_used == target || target == 0 || change_denominator == 0 {
            return base_fee;
        }
        // Below 2^128: both factors are below 2^64.
        let part = |gas: u64| {
            let product = u128::from(base_fee) * u128::from(gas);
            product / u128::from(target) / u128::from(change_denominator)
        };
        let narrow = |wide: u128| u64::try_from(wide).unwrap_or(u64::MAX);
        if gas_used > target {
            base_fee.saturating_add(narrow(part(gas_used - target)).max(1))
        } else {
            base_fee.saturating_sub(narrow(part(target - gas_used)))
        }
    }
}

/// An account of the genesis state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenesisAccount {
    /// Its address.
    pub address: Address,
    /// Its balance, in wei.
    pub balance: U256,
    /// Its nonce.
    pub nonce: u64,
    /// Its code; empty for none.
    pub code: Bytes,
    /// Its storage.
    pub storage: Vec<(U256, U256)>,
}

/// The spec of an EVM environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvmSpec {
    /// Chain id; transactions bind it (EIP-155).
    pub chain_id: u64,
    /// The rules.
    pub hardfork: Hardfork,
    /// Symbol of the native currency, for audits and wallets.
    pub symbol: String,
    /// Most gas in one block.
    pub block_gas_limit: u64,
    /// The base fee. It is burned.
    pub base_fee: BaseFee,
    /// Who receives the tips, and all of what is paid in tokens.
    pub fee_recipient: Address,
    /// Tokens that fees may be paid in, in the order in which they are tried.
    pub fee_tokens: Vec<FeeToken>,
    /// Precompiles on top of the hardfork's.
    pub precompiles: PrecompileSet,
    /// Prices that are not the hardfork's.
    pub gas: GasOverrides,
    /// The genesis state.
    pub genesis: Vec<GenesisAccount>,
    /// What lets money in and out; none for an environment without a hub.
    pub bridge: Option<EvmBridge>,
    /// The exchange that contracts trade on and read; none for an environment that has none.
    pub exchange: Option<EvmExchange>,
}

/// A value of a spec that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {found}, expected {expected}")]
pub struct SpecError {
    /// Which key, as the spec file names it.
    pub key: String,
    /// What it is.
    pub found: String,
    /// What it should be.
    pub expected: String,
}

pub(super) fn expect(
    ok: bool,
    key: impl Into<String>,
    found: impl ToString,
    expected: impl Into<String>,
) -> Result<(), SpecError> {
    if ok {
        return Ok(());
    }
    Err(SpecError { key: key.into(), found: found.to_string(), expected: expected.into() })
}

impl EvmSpec {
    /// Checks every value; the error names the key and what was expected.
    pub fn validate(&self) -> Result<(), SpecError> {
        expect(
            (1..=CHAIN_ID_MAX).contains(&self.chain_id),
            "chain_id",
            self.chain_id,
            alloc::format!("1 to {CHAIN_ID_MAX}"),
        )?;
        let symbol = !self.symbol.is_empty()
            && self.symbol.len() <= SYMBOL_BYTES_MAX as usize
            && self.symbol.bytes().all(|b| b.is_ascii_alphanumeric());
        expect(symbol, "symbol", &self.symbol, "1 to 16 letters and digits")?;
        let gas_max = match self.hardfork.transaction_gas_limit() {
            Some(_) => BLOCK_GAS_LIMIT_MAX,
            None => BLOCK_GAS_LIMIT_UNCAPPED_MAX,
        };
        expect(
            (BLOCK_GAS_LIMIT_MIN..=gas_max).contains(&self.block_gas_limit),
            "block_gas_limit",
            self.block_gas_limit,
            alloc::format!("{BLOCK_GAS_LIMIT_MIN} to {gas_max} with {}", self.hardfork.name()),
        )?;
        if let BaseFee::Eip1559 { initial, change_denominator } = self.base_fee {
            expect(initial > 0, "base_fee.initial", initial, "at least 1 wei")?;
            expect(
                (2..=10_000).contains(&change_denominator),
                "base_fee.change_denominator",
                change_denominator,
                "2 to 10000",
            )?;
        }
        fees::validate(&self.fee_tokens)?;
        self.gas.validate(self.hardfork.spec_id())?;
        self.validate_genesis()?;
        let genesis = || self.genesis.iter().map(|account| account.address);
        self.bridge.as_ref().map_or(Ok(()), |bridge| bridge.validate(genesis()))?;
        self.exchange.as_ref().map_or(Ok(()), |exchange| exchange.validate(genesis()))
    }

    /// The precompiled contracts and what they cost.
    pub(super) fn precompile_rules(&self) -> PrecompileRules {
        PrecompileRules { set: self.precompiles, factors: self.gas.factors() }
    }

    fn validate_genesis(&self) -> Result<(), SpecError> {
        expect(
            self.genesis.len() <= GENESIS_ACCOUNTS_MAX as usize,
            "genesis",
            self.genesis.len(),
            alloc::format!("at most {GENESIS_ACCOUNTS_MAX} accounts"),
        )?;
        let mut addresses: Vec<Address> = self.genesis.iter().map(|a| a.address).collect();
        addresses.sort_unstable();
        if let Some(twice) = addresses.windows(2).find(|pair| pair[0] == pair[1]) {
            let key = alloc::format!("genesis.{}", twice[0]);
            return expect(false, key, "given twice", "one entry per address");
        }
        let mut total = U256::ZERO;
        for account in &self.genesis {
            let key = |name: &str| alloc::format!("genesis.{}.{name}", account.address);
            expect(
                account.address != HISTORY_ADDRESS,
                key("address"),
                "the block hash contract of EIP-2935",
                "another address: this contract is part of every genesis state",
            )?;
            if let Some(taken) = self.precompiles.iter().find(|p| p.address() == account.address) {
                let found = alloc::format!("the precompile {}", taken.name());
                let expected = "another address: the code of an account there would never run";
                return expect(false, key("address"), found, expected);
            }
            let code = account.code.len() <= CODE_BYTES_MAX as usize
                && Bytecode::new_raw_checked(account.code.clone()).is_ok();
            expect(
                code,
                key("code"),
                alloc::format!("{} bytes", account.code.len()),
                alloc::format!("EVM code of at most {CODE_BYTES_MAX} bytes"),
            )?;
            expect(account.nonce < u64::MAX, key("nonce"), account.nonce, "less than 2^64 - 1")?;
            let mut slots: Vec<U256> = account.storage.iter().map(|(slot, _)| *slot).collect();
            slots.sort_unstable();
            slots.dedup();
            expect(
                slots.len() == account.storage.len()
                    && slots.len() <= GENESIS_SLOTS_MAX as usize
                    && (slots.is_empty() || !account.code.is_empty()),
                key("storage"),
                alloc::format!("{} entries", account.storage.len()),
                "each slot once, at most 1048576 of them, and only where there is code",
            )?;
            total = total.saturating_add(account.balance);
            expect(
                total <= U256::from(u128::MAX),
                key("balance"),
                account.balance,
                "balances that add up to less than 2^128 wei",
            )?;
        }
        Ok(())
    }
}

impl Encode for GenesisAccount {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.address.as_slice());
        out.extend_from_slice(&self.balance.to_be_bytes::<32>());
        out.extend_from_slice(&self.nonce.to_le_bytes());
        put_bytes(out, &self.code);
        put_varint(out, self.storage.len() as u64);
        for (slot, value) in &self.storage {
            out.extend_from_slice(&slot.to_be_bytes::<32>());
            out.extend_from_slice(&value.to_be_bytes::<32>());
        }
    }
}

impl Decode for GenesisAccount {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (address, balance, nonce) = (r.address()?, r.u256()?, r.u64()?);
        let code = Bytes::copy_from_slice(r.bytes("genesis code", CODE_BYTES_MAX)?);
        let mut storage = Vec::new();
        for _ in 0..r.length("genesis storage", GENESIS_SLOTS_MAX)? {
            storage.push((r.u256()?, r.u256()?));
        }
        Ok(Self { address, balance, nonce, code, storage })
    }
}

impl Encode for EvmSpec {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.chain_id.to_le_bytes());
        out.push(self.hardfork as u8);
        put_bytes(out, self.symbol.as_bytes());
        out.extend_from_slice(&self.block_gas_limit.to_le_bytes());
        match self.base_fee {
            BaseFee::Fixed(fee) => {
                out.push(0);
                out.extend_from_slice(&fee.to_le_bytes());
            }
            BaseFee::Eip1559 { initial, change_denominator } => {
                out.push(1);
                out.extend_from_slice(&initial.to_le_bytes());
                out.extend_from_slice(&change_denominator.to_le_bytes());
            }
        }
        out.extend_from_slice(self.fee_recipient.as_slice());
        put_varint(out, self.fee_tokens.len() as u64);
        self.fee_tokens.iter().for_each(|token| token.encode(out));
        out.push(self.precompiles.bits());
        self.gas.encode(out);
        put_varint(out, self.genesis.len() as u64);
        for account in &self.genesis {
            account.encode(out);
        }
        out.push(u8::from(self.bridge.is_some()));
        if let Some(bridge) = &self.bridge {
            bridge.encode(out);
        }
        out.push(u8::from(self.exchange.is_some()));
        if let Some(exchange) = &self.exchange {
            exchange.encode(out);
        }
    }
}

impl Decode for EvmSpec {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let chain_id = r.u64()?;
        let hardfork = match r.u8()? {
            0 => Hardfork::Cancun,
            1 => Hardfork::Prague,
            2 => Hardfork::Osaka,
            _ => return Err(CodecError::Invalid("hardfork")),
        };
        let symbol = core::str::from_utf8(r.bytes("symbol", SYMBOL_BYTES_MAX)?)
            .map_err(|_| CodecError::Invalid("symbol"))?
            .to_string();
        let block_gas_limit = r.u64()?;
        let base_fee = match r.u8()? {
            0 => BaseFee::Fixed(r.u64()?),
            1 => BaseFee::Eip1559 { initial: r.u64()?, change_denominator: r.u64()? },
            _ => return Err(CodecError::Invalid("base fee")),
        };
        let fee_recipient = r.address()?;
        let mut fee_tokens = Vec::new();
        for _ in 0..r.length("fee tokens", FEE_TOKENS_MAX)? {
            fee_tokens.push(FeeToken::decode(r)?);
        }
        let precompiles = PrecompileSet::from_bits(r.u8()?)?;
        let gas = GasOverrides::decode(r)?;
        let mut genesis = Vec::new();
        for _ in 0..r.length("genesis accounts", GENESIS_ACCOUNTS_MAX)? {
            genesis.push(GenesisAccount::decode(r)?);
        }
        let bridge = if r.bool()? { Some(EvmBridge::decode(r)?) } else { None };
        let exchange = if r.bool()? { Some(EvmExchange::decode(r)?) } else { None };
        Ok(Self {
            chain_id,
            hardfork,
            symbol,
            block_gas_limit,
            base_fee,
            fee_recipient,
            fee_tokens,
            precompiles,
            gas,
            genesis,
            bridge,
            exchange,
        })
    }
}
