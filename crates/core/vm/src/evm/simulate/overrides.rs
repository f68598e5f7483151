//! What a caller wants to be otherwise: accounts, and the block.

use crate::evm::precompiles::Moves;
use alloc::vec::Vec;
use atoll_types::{Address, B256, Reject, RejectCode, U256};
use revm::bytecode::Bytecode;
use revm::context::BlockEnv;
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::primitives::Bytes;

/// Accounts that are otherwise.
pub type StateOverride = Vec<(Address, AccountOverride)>;

/// An account that is otherwise; what is not named stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountOverride {
    /// Its nonce.
    pub nonce: Option<u64>,
    /// Its balance, in wei.
    pub balance: Option<U256>,
    /// Its code; empty for none.
    pub code: Option<Bytes>,
    /// Its storage.
    pub storage: StorageOverride,
    /// Where its precompiled contract is instead; one that is overridden in any way and not moved is
    /// nowhere.
    pub precompile_to: Option<Address>,
}

/// Storage that is otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StorageOverride {
    /// It stays as it is.
    #[default]
    Keep,
    /// These slots and no others.
    Replace(Vec<(U256, U256)>),
    /// These slots, and the others as they are.
    Change(Vec<(U256, U256)>),
}

/// A block that is otherwise; what is not named stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockOverride {
    /// Number.
    pub number: Option<U256>,
    /// Seconds since the Unix epoch.
    pub timestamp: Option<u64>,
    /// Gas limit.
    pub gas_limit: Option<u64>,
    /// Fee recipient.
    pub beneficiary: Option<Address>,
    /// What the opcode PREVRANDAO gives.
    pub prev_randao: Option<B256>,
    /// Wei per gas.
    pub base_fee: Option<u64>,
    /// Wei per gas of blobs.
    pub blob_base_fee: Option<u128>,
}

impl BlockOverride {
    pub(super) fn apply(&self, block: &mut BlockEnv) {
        if let Some(number) = self.number {
            block.number = number;
        }
        if let Some(timestamp) = self.timestamp {
            block.timestamp = U256::from(timestamp);
        }
        block.gas_limit = self.gas_limit.unwrap_or(block.gas_limit);
        block.beneficiary = self.beneficiary.unwrap_or(block.beneficiary);
        block.prevrandao = self.prev_randao.or(block.prevrandao);
        block.basefee = self.base_fee.unwrap_or(block.basefee);
        if let Some(blob_gasprice) = self.blob_base_fee {
            let excess_blob_gas = 0;
            block.blob_excess_gas_and_price =
                Some(BlobExcessGasAndPrice { excess_blob_gas, blob_gasprice });
        }
    }
}

/// Where precompiled contracts are by these overrides.
pub(super) fn moves(
    wanted: &StateOverride,
    is_precompile: impl Fn(&Address) -> bool,
) -> Result<Moves, Reject> {
    let refuse = |sentence| Err(Reject::new(RejectCode::Malformed, sentence));
    let mut moves = Moves::new();
    for (address, account) in wanted {
        if is_precompile(address) {
            moves.insert(*address, None);
        }
        let Some(to) = account.precompile_to else { continue };
        if !is_precompile(address) {
            return refuse(alloc::format!("account {address} is not a precompile"));
        }
        if wanted.iter().any(|(other, _)| *other == to) {
            return refuse(alloc::format!("account {to} is already overridden"));
        }
        if moves.insert(to, Some(*address)).is_some() {
            return refuse(alloc::format!("two precompiles cannot be moved to {to}"));
        }
    }
    Ok(moves)
}

/// Code as an account would have it.
pub(super) fn bytecode(address: Address, code: &Bytes) -> Result<Bytecode, Reject> {
    if code.is_empty() {
        return Ok(Bytecode::default());
    }
    Bytecode::new_raw_checked(code.clone()).map_err(|error| {
        let message = alloc::format!("the code of {address} is not EVM code: {error}");
        Reject::new(RejectCode::Malformed, message)
    })
}
