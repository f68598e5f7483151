//! KECCAK256, which remembers what was hashed, against revm alone: results, gas and storage of programs that
//! hash what they and others have hashed before, at any place and of any length, with and without enough gas.

use atoll_state::Resident;
use atoll_types::{Address, B256, U256};
use atoll_vm::evm::Bytes;
use atoll_vm::evm::objects::EvmTables;
use atoll_vm::evm::transition::{
    self, BlockEnv, BlockHashes, CfgEnv, SpecId, TransitionContext, TxEnv, TxKind,
};
use proptest::prelude::*;
use revm::bytecode::{Bytecode, opcode};
use revm::database::{CacheDB, EmptyDB};
use revm::handler::MainnetContext;
use revm::state::AccountInfo;
use revm::{ExecuteCommitEvm, MainBuilder};

const SENDER: Address = Address::repeat_byte(0x51);
const CONTRACTS: u8 = 3;
const SPEC: SpecId = SpecId::OSAKA;

/// What a program does next.
#[derive(Clone, Debug)]
enum Step {
    /// A word goes to memory.
    Store { at: u64, word: U256 },
    /// Memory is hashed, and the hash goes into the slot of this number.
    Hash { from: U256, bytes: U256, slot: u64 },
    /// Too little is on the stack.
    Underflow,
}

impl Step {
    fn code(&self) -> Vec<u8> {
        let push = |word: &U256| [&[opcode::PUSH32], &word.to_be_bytes::<32>()[..]].concat();
        let number = |number: u64| push(&U256::from(number));
        match self {
            Self::Store { at, word } => [push(word), number(*at), vec![opcode::MSTORE]].concat(),
            Self::Hash { from, bytes, slot } => [
                push(bytes),
                push(from),
                vec![opcode::KECCAK256],
                number(*slot),
                vec![opcode::SSTORE],
            ]
            .concat(),
            Self::Underflow => [number(64), vec![opcode::KECCAK256]].concat(),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let place = prop::sample::select(&[0_u64, 0, 0, 32, 32, 1, 40, 64, 96, 500][..]);
    // Few words, so that the same is hashed again; two that differ in the last byte or the first alone.
    let word = prop::sample::select(&[0_u8, 0, 1, 2, 0x80][..]).prop_map(|word| match word {
        0x80 => U256::from(1) << 248_usize,
        word => U256::from(word),
    });
    let far = prop::sample::select(vec![U256::MAX, U256::from(u64::MAX), U256::from(1_u64 << 40)]);
    let from = prop_oneof![30 => place.clone().prop_map(U256::from), 1 => far];
    let bytes = prop::sample::select(&[64_u64, 64, 64, 64, 64, 64, 0, 1, 32, 63, 65, 128][..]);
    let bytes = prop_oneof![60 => bytes.prop_map(U256::from), 1 => Just(U256::MAX)];
    prop_oneof![
        40 => (place, word).prop_map(|(at, word)| Step::Store { at, word }),
        60 => (from, bytes, 0..20_u64).prop_map(|(from, bytes, slot)| Step::Hash { from, bytes, slot }),
        1 => Just(Step::Underflow),
    ]
}

fn contract(number: u8) -> Address {
    Address::repeat_byte(0xc0 + number)
}

/// Calls contracts with such code, each with so much gas, here and by revm alone.
fn compare(codes: &[Vec<u8>], calls: &[(u8, u64)]) -> Result<(), TestCaseError> {
    let block = BlockEnv { prevrandao: Some(B256::ZERO), ..BlockEnv::default() };
    let config = CfgEnv::new_with_spec(SPEC);
    let mut tables = EvmTables::<Resident>::new(0);
    let mut db = CacheDB::new(EmptyDB::default());
    let coins = U256::from(1_u64 << 60);
    transition::put_account(&mut tables, SPEC, SENDER, (0, coins), Bytes::new(), []);
    db.insert_account_info(SENDER, AccountInfo::default().with_balance(coins));
    for (number, code) in codes.iter().enumerate() {
        let (at, code) = (contract(number as u8), Bytes::copy_from_slice(code));
        transition::put_account(&mut tables, SPEC, at, (1, U256::ZERO), code.clone(), []);
        let info = AccountInfo::from_bytecode(Bytecode::new_raw(code)).with_nonce(1);
        db.insert_account_info(at, info);
    }
    let mut revm = MainnetContext::new(db, SPEC)
        .with_cfg(config.clone())
        .with_block(block.clone())
        .build_mainnet();
    let call = |(nonce, (to, gas_limit)): (u64, &(u8, u64))| TxEnv {
        caller: SENDER,
        gas_limit: *gas_limit,
        kind: TxKind::Call(contract(*to)),
        nonce,
        ..TxEnv::default()
    };
    let transactions: Vec<TxEnv> = (0..).zip(calls).map(call).collect();
    let known = |_: u64| None;
    let context = TransitionContext::ethereum(&config, &block, BlockHashes::Known(&known));
    let found = transition::execute_block(&mut tables, &context, &transactions).unwrap();
    for (found, transaction) in found.iter().zip(transactions) {
        let expected = revm.transact_commit(transaction.clone()).unwrap();
        prop_assert_eq!(&found.result, &expected, "{:?}", transaction);
    }
    let accounts = &revm.ctx.journaled_state.database.cache.accounts;
    let values = accounts.values().flat_map(|account| account.storage.values());
    let expected = values.filter(|value| !value.is_zero()).count();
    prop_assert_eq!(tables.storage().count(), expected);
    for (key, value) in tables.storage() {
        prop_assert_eq!(accounts[&key.address].storage[&key.slot], value);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn hashes_are_what_revm_makes_of_them(
        programs in prop::collection::vec(prop::collection::vec(step(), 0..24), CONTRACTS as usize),
        calls in prop::collection::vec(
            (0..CONTRACTS, prop_oneof![1 => 21_000..80_000_u64, 1 => Just(1_000_000)]),
            1..12,
        ),
    ) {
        let code = |steps: &Vec<Step>| steps.iter().flat_map(Step::code).collect();
        compare(&programs.iter().map(code).collect::<Vec<_>>(), &calls)?;
    }
}

#[test]
fn gas_ends_where_it_does_for_revm() {
    let word = U256::from(7);
    let hash = [opcode::PUSH1, 64, opcode::PUSH0, opcode::KECCAK256];
    // What is hashed is known the second time, and nothing comes behind it.
    let code = [Step::Store { at: 32, word }.code(), hash.to_vec(), hash.to_vec()].concat();
    let calls: Vec<_> = (21_000..21_150).map(|gas| (0, gas)).collect();
    compare(&[code], &calls).unwrap();
}
