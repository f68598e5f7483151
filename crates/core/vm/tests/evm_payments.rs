//! Plain payments, which are made without revm's frames and journal, against revm alone: results, balances,
//! nonces, and what was read. Among them are all that only look like payments.

use atoll_state::{Resident, WriteSet, object};
use atoll_types::{Address, B256, U256};
use atoll_vm::evm::Bytes;
use atoll_vm::evm::objects::EvmTables;
use atoll_vm::evm::transition::{
    self, BlockEnv, BlockHashes, CfgEnv, SpecId, TransitionContext, TxEnv, TxKind,
};
use proptest::prelude::*;
use revm::bytecode::Bytecode;
use revm::database::{CacheDB, EmptyDB};
use revm::handler::MainnetContext;
use revm::state::{AccountInfo, EvmState};
use revm::{Database, DatabaseCommit, ExecuteCommitEvm, MainBuilder};
use std::collections::BTreeSet;
use std::convert::Infallible;

const BASE_FEE: u64 = 7;
const RICH: Address = Address::repeat_byte(0x51);
const POOR: Address = Address::repeat_byte(0x0e);
/// It has a code that does nothing.
const CONTRACT: Address = Address::repeat_byte(0xc0);
/// It runs that of [`CONTRACT`], where there is EIP-7702.
const DELEGATED: Address = Address::repeat_byte(0xd1);
const NOBODY: Address = Address::repeat_byte(0x99);
const FULL: Address = Address::repeat_byte(0xff);
const PRECOMPILE: Address = Address::with_last_byte(2);
const MINER: Address = Address::repeat_byte(0x3e);
const ALL: [Address; 8] = [RICH, POOR, CONTRACT, DELEGATED, NOBODY, FULL, PRECOMPILE, MINER];

const SPECS: [SpecId; 9] = [
    SpecId::FRONTIER,
    SpecId::HOMESTEAD,
    SpecId::SPURIOUS_DRAGON,
    SpecId::BERLIN,
    SpecId::LONDON,
    SpecId::SHANGHAI,
    SpecId::CANCUN,
    SpecId::PRAGUE,
    SpecId::OSAKA,
];

/// An account before: nonce, balance, code.
fn before(at: Address, spec: SpecId) -> (u64, U256, Bytes) {
    let delegation = [&[0xef, 0x01, 0x00], CONTRACT.as_slice()].concat();
    match at {
        RICH => (3, U256::from(1_000_000_000), Bytes::new()),
        POOR => (0, U256::from(500_000), Bytes::new()),
        CONTRACT => (1, U256::ZERO, Bytes::from_static(&[0])),
        DELEGATED if spec.is_enabled_in(SpecId::PRAGUE) => {
            (1, U256::from(900_000), delegation.into())
        }
        FULL => (u64::MAX, U256::MAX - U256::from(1_000), Bytes::new()),
        _ => (0, U256::ZERO, Bytes::new()),
    }
}

/// A state in revm's form that notes what it is asked for.
#[derive(Debug)]
struct Twin {
    db: CacheDB<EmptyDB>,
    asked: BTreeSet<Vec<u8>>,
}

impl Database for Twin {
    type Error = Infallible;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        self.asked.insert([&[1], address.as_slice()].concat());
        let info = self.db.basic(address)?;
        // Code is asked for apart.
        let apart =
            |info: AccountInfo| AccountInfo { code: info.code.filter(|c| c.is_empty()), ..info };
        Ok(info.map(apart))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, Infallible> {
        self.asked.insert([&[3], hash.as_slice()].concat());
        self.db.code_by_hash(hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Infallible> {
        self.db.storage(address, slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Infallible> {
        self.db.block_hash(number)
    }
}

impl DatabaseCommit for Twin {
    fn commit(&mut self, changes: EvmState) {
        self.db.commit(changes);
    }
}

fn payment() -> impl Strategy<Value = TxEnv> {
    let some = |all: &'static [u64]| prop::sample::select(all);
    let fees = (
        some(&[0, 6, 7, 7, 9, 50]),
        some(&[0, 1, 2, 50]),
        prop::sample::select(&[0_u8, 0, 1, 2][..]),
    );
    let data = prop::collection::vec(prop::sample::select(&[0_u8, 1][..]), 0..60);
    let data = prop_oneof![3 => Just(Vec::new()), 1 => data];
    let gas_limit = some(&[20_999, 21_000, 21_000, 21_001, 22_000, 40_000, 900_000]);
    let value = some(&[0, 1, 1, 1_000, 77_777, 353_000, 499_999, 2_000_000_000]);
    let nonce = prop_oneof![8 => Just(None), 1 => some(&[0, 1, 4, u64::MAX]).prop_map(Some)];
    let sender =
        prop::sample::select(&[RICH, RICH, POOR, POOR, DELEGATED, FULL, NOBODY, MINER][..]);
    let to = prop_oneof![15 => prop::sample::select(&ALL[..]).prop_map(TxKind::Call), 1 => Just(TxKind::Create)];
    let chain = prop::sample::select(&[Some(1), Some(1), Some(1), None, Some(2)][..]);
    (fees, data, gas_limit, value, nonce, sender, to, chain).prop_map(
        |((price, tip, tx_type), data, gas_limit, value, nonce, caller, kind, chain_id)| TxEnv {
            tx_type,
            caller,
            gas_limit,
            gas_price: price.into(),
            kind,
            value: U256::from(value),
            data: data.into(),
            // None: the next of the sender.
            nonce: nonce.unwrap_or(u64::MAX - 1),
            chain_id,
            access_list: Default::default(),
            gas_priority_fee: (tx_type == 2).then_some(tip.into()),
            blob_hashes: vec![],
            max_fee_per_blob_gas: 0,
            authorization_list: vec![],
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn payments_are_what_revm_makes_of_them(
        spec in prop::sample::select(&SPECS[..]),
        miner in prop::sample::select(&[MINER, MINER, RICH, NOBODY, CONTRACT, FULL][..]),
        payments in prop::collection::vec(payment(), 1..24),
    ) {
        let basefee = if spec.is_enabled_in(SpecId::LONDON) { BASE_FEE } else { 0 };
        let block = BlockEnv {
            number: U256::from(300),
            beneficiary: miner,
            gas_limit: 1_000_000,
            basefee,
            prevrandao: Some(B256::ZERO),
            ..BlockEnv::default()
        };
        let config = CfgEnv::new_with_spec(spec);
        let mut tables = EvmTables::<Resident>::new(0);
        let mut db = CacheDB::new(EmptyDB::default());
        for at in ALL {
            let (nonce, balance, code) = before(at, spec);
            // Of Ethereum's first years there are empty accounts.
            let is_recorded = at == NOBODY && !spec.is_enabled_in(SpecId::SPURIOUS_DRAGON);
            if is_recorded || (nonce, balance) != (0, U256::ZERO) {
                transition::put_account(&mut tables, spec, at, (nonce, balance), code.clone(), []);
                let info = AccountInfo::from_bytecode(Bytecode::new_raw(code));
                db.insert_account_info(at, info.with_balance(balance).with_nonce(nonce));
            }
        }
        object::seal(&mut tables, &mut WriteSet::default(), None);
        object::begin(&mut tables);
        let twin = Twin { db, asked: BTreeSet::new() };
        let mut revm = MainnetContext::new(twin, spec)
            .with_cfg(config.clone())
            .with_block(block.clone())
            .build_mainnet();
        let known = |_: u64| None;
        let context = TransitionContext::ethereum(&config, &block, BlockHashes::Known(&known));
        for mut payment in payments {
            if payment.nonce == u64::MAX - 1 {
                let info = revm.ctx.journaled_state.database.db.basic(payment.caller).unwrap();
                payment.nonce = info.map_or(0, |info| info.nonce);
            }
            let expected = revm.transact_commit(payment.clone()).map_err(|error| error.to_string());
            let found = transition::transact(&mut tables, &context, payment.clone());
            let found = found.map(|found| found.result).map_err(|error| error.to_string());
            prop_assert_eq!(found, expected, "{:?}", payment);
        }
        let twin = &mut revm.ctx.journaled_state.database;
        for at in ALL {
            let found = tables.accounts().find(|(address, _)| *address == at).map(|(_, found)| *found);
            let expected = twin.db.basic(at).unwrap();
            if !spec.is_enabled_in(SpecId::SPURIOUS_DRAGON) {
                prop_assert_eq!(found.is_some(), expected.is_some(), "{}", at);
            }
            let (found, expected) = (found.unwrap_or_default(), expected.unwrap_or_default());
            let AccountInfo { nonce, balance, code_hash, .. } = expected;
            prop_assert_eq!((found.nonce, found.balance), (nonce, balance), "{}", at);
            if (nonce, balance) != (0, U256::ZERO) {
                // Nothing but code is in its place.
                prop_assert_eq!(found.code_hash, code_hash, "{}", at);
            }
        }
        let mut reads = WriteSet::default();
        object::seal(&mut tables, &mut WriteSet::default(), Some(&mut reads));
        let read: BTreeSet<Vec<u8>> = reads.iter().map(|(key, _)| key.to_vec()).collect();
        prop_assert_eq!(read, std::mem::take(&mut twin.asked));
    }
}
