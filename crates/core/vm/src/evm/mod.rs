//! An EVM chain (revm) as an environment: one block per slot.
//!
//! * **Blocks.** Number = slot, timestamp = the slot's time in whole seconds (monotone, not
//!   strictly), PREVRANDAO derives from the previous slot's header hash and is therefore known
//!   one slot ahead: it is no source of secrets. BLOCKHASH and EIP-2935's contract give slot
//!   header hashes. There is no beacon chain: no EIP-4788 root and no contract that serves it, no
//!   deposit and withdrawal requests, and blob transactions are refused.
//! * **State.** [`objects::Account`], [`objects::StorageSlot`], [`objects::Code`], one
//!   [`objects::Block`] with the counters of the current block, one [`objects::Ledger`], and
//!   [`objects::Flows`] for each token. Every read goes through the tables, so any range of
//!   commands runs again from its witness.
//! * **Refusals.** A transaction that cannot be executed (nonce, funds, fee, no room in the
//!   block) has a receipt with a code, no payload and no effect. One that ran has an
//!   [`EvmReceipt`] as payload, whatever its outcome.
//! * **Money.** Σ balances + burned + destroyed = genesis + what came in − what went out; the
//!   supply of a bridged token = what came in − what went out. [`bridge`] says how it moves. Fees may
//!   be paid in tokens ([`fees`]), which burns nothing.
//! * **The exchange.** Contracts trade on an exchange environment and read it through
//!   [`exchange_port`], by messages.
//!
//! Known limitations: code of a contract whose creation succeeded stays for ever, that of an
//! EIP-7702 delegation included (it is shared by all who delegate to the same address).

mod abi;
pub mod bridge;
mod changes;
mod database;
pub mod exchange_port;
mod execute;
pub mod fees;
pub mod gas;
pub mod history;
mod interpreter;
mod keccak;
pub mod objects;
pub mod parallel;
mod payment;
pub mod precompiles;
pub mod query;
pub mod receipt;
mod recent;
mod rlp;
pub mod simulate;
pub mod spec;
mod system;
#[cfg(feature = "trace")]
pub mod trace;
pub mod transaction;
pub mod transition;

pub use bridge::{BRIDGE_ADDRESS, BridgedTokenSpec, DELIVERY_KIND, EvmBridge, SYSTEM_ADDRESS};
pub use exchange_port::{EXCHANGE_PORT_ADDRESS, EvmExchange};
pub use execute::prev_randao;
pub use fees::FeeToken;
pub use gas::{GasOverrides, Operation};
pub use precompiles::{Precompile, PrecompileRules, PrecompileSet};
pub use query::{At, CallError, CallOutcome, CallRequest};
pub use receipt::{EvmLog, EvmReceipt, Status};
pub use recent::{Kept, RECENT_BLOCKS_MAX};
pub use revm::primitives::Bytes;
pub use spec::{BaseFee, EvmSpec, GenesisAccount, Hardfork, SpecError};
pub use transaction::{EvmTransaction, SignedAuthorization, decode_checked};

use crate::{AssetAudit, Checked, Identity, Receipt, SlotContext, Vm};
use alloc::string::ToString;
use alloc::vec::Vec;
use atoll_state::{Source, TableVisitor, Tables};
use atoll_types::{Address, B256, EnvironmentId, Message, Reject, U256, keccak256};
use keccak::Hashes;
use objects::{
    Account, AccountKey, Block, Code, CodeKey, EvmTables, Singleton, SlotKey, StorageSlot, TokenKey,
};
use recent::Recent;
use revm::bytecode::Bytecode;
use revm::context::CfgEnv;
use revm::primitives::KECCAK_EMPTY;

/// The EVM over its objects.
#[derive(Debug)]
pub struct EvmVm<S: Source> {
    environment: EnvironmentId,
    spec: EvmSpec,
    config: CfgEnv,
    prev_randao: B256,
    tables: EvmTables<S>,
    recent: Recent,
    hashes: Hashes,
}

impl<S: Source> Tables<S> for EvmVm<S> {
    fn visit(&mut self, visitor: &mut impl TableVisitor<S>) {
        self.tables.visit(visitor);
    }
}

impl<S: Source> EvmVm<S> {
    /// The spec it runs.
    pub fn spec(&self) -> &EvmSpec {
        &self.spec
    }
}

impl<S: Source> Vm<S> for EvmVm<S> {
    type Spec = EvmSpec;
    type Transaction = EvmTransaction;
    const PROGRAM: &'static str = "evm 5 (revm 43.0.3)";
    const PEEKS_BEFORE: bool = true;

    fn new(identity: Identity, spec: EvmSpec, seed: u64) -> Self {
        let (environment, config) = (identity.environment, execute::config(&spec));
        let tables = EvmTables::new(seed);
        let (prev_randao, recent) = (B256::ZERO, Recent::default());
        let hashes = Hashes::default();
        Self { environment, spec, config, prev_randao, tables, recent, hashes }
    }

    fn genesis(&mut self) {
        let mut total = U256::ZERO;
        for account in &self.spec.genesis {
            let mut code_hash = KECCAK_EMPTY;
            // Code that the spec's validation refuses is left out.
            if let Ok(code) = Bytecode::new_raw_checked(account.code.clone())
                && !account.code.is_empty()
            {
                code_hash = keccak256(&account.code);
                self.tables.code.set(&CodeKey(code_hash), Code(code));
            }
            let (nonce, balance) = (account.nonce, account.balance);
            self.tables
                .accounts
                .set(&AccountKey(account.address), Account { nonce, balance, code_hash });
            for (slot, value) in &account.storage {
                let key = SlotKey { address: account.address, slot: *slot };
                self.tables.storage.set(&key, StorageSlot(*value));
            }
            total = total.saturating_add(balance);
        }
        if self.spec.hardfork >= Hardfork::Prague {
            history::deploy(&mut self.tables);
        }
        if let Some(bridge) = &self.spec.bridge {
            system::deploy(&mut self.tables, BRIDGE_ADDRESS, &bridge.code);
        }
        if let Some(exchange) = &self.spec.exchange {
            exchange_port::deploy(&mut self.tables, self.environment, exchange);
        }
        self.tables.ledger.get_mut(&Singleton).genesis = total;
        let base_fee = self.spec.base_fee.initial();
        self.tables.block.set(&Singleton, Block { base_fee, ..Block::default() });
    }

    fn check(
        identity: &Identity,
        spec: &EvmSpec,
        bytes: &[u8],
    ) -> Result<Checked<EvmTransaction>, Reject> {
        transaction::check(identity, spec, bytes)
    }

    fn open_slot(&mut self, context: &SlotContext) {
        self.resume(context, None);
        let last = *self.tables.block.get(&Singleton);
        let block = Block {
            number: context.slot,
            timestamp: context.time_us / 1_000_000,
            base_fee: self.base_fee_after(&last),
            gas_used: 0,
            transactions: 0,
            logs: 0,
        };
        self.tables.block.set(&Singleton, block);
        if let Some(parent) = context.slot.checked_sub(1) {
            history::record(&mut self.tables, parent, context.parent);
        }
    }

    fn resume(&mut self, context: &SlotContext, _: Option<u64>) {
        self.prev_randao = prev_randao(context.parent);
    }

    fn open_tick(&mut self, _: u64) {}

    const AHEAD: usize = objects::AHEAD;

    fn prefetch(&self, checked: &Checked<EvmTransaction>, ahead: usize) {
        let accounts = [Some(checked.signer), checked.transaction.to];
        accounts.into_iter().flatten().for_each(|account| self.tables.prefetch(account, ahead));
    }

    fn execute(&mut self, transaction: &Checked<EvmTransaction>) -> Receipt {
        self.execute_checked(transaction)
    }

    fn receive(&mut self, hash: B256, message: &Message) -> Receipt {
        match message.kind.is_money() {
            true => self.receive_money(hash, message),
            false => self.receive_data(hash, message),
        }
    }

    fn keep_recent(&mut self, bytes_max: usize) {
        self.recent.keep(bytes_max);
    }

    fn sealing(&mut self) {
        self.recent.note(&self.tables);
    }

    fn audit(&self) -> Vec<AssetAudit> {
        let ledger = self.tables.ledger.peek(&Singleton).copied().unwrap_or_default();
        let balances = self.tables.accounts.local_iter().map(|(_, account)| account.balance);
        let mut held = [ledger.burned, ledger.destroyed].into_iter().chain(balances);
        let held = held.try_fold(U256::ZERO, U256::checked_add);
        let flows =
            |token: Address| self.tables.flows.peek(&TokenKey(token)).copied().unwrap_or_default();
        let owed = flows(Address::ZERO).balance(ledger.genesis);
        let mut audits = alloc::vec![asset_audit(&self.spec.symbol, owed, held)];
        for listed in self.spec.bridge.iter().flat_map(|bridge| &bridge.tokens) {
            let (owed, held) =
                (flows(listed.token).balance(U256::ZERO), self.bridged_supply(listed.token));
            audits.push(asset_audit(&listed.symbol, owed, held));
        }
        audits
    }
}

fn asset_audit(asset: &str, owed: Option<U256>, held: Option<U256>) -> AssetAudit {
    let text = |amount: Option<U256>| match amount {
        Some(amount) => amount.to_string(),
        None => "out of range".to_string(),
    };
    AssetAudit {
        asset: asset.to_string(),
        owed: text(owed),
        held: text(held),
        conserved: owed.is_some() && owed == held,
    }
}
