//! Blocks that call an environment's own precompiles, in parallel, give what they give one after the
//! other.

use atoll_executor::parallel::{EvmParallel, Limits};
use atoll_state::{Resident, WriteSet, object};
use atoll_types::{Address, B256, U256};
use atoll_vm::evm::objects::EvmTables;
use atoll_vm::evm::transition::{
    self, BlockEnv, BlockHashes, CfgEnv, Executed, SpecId, TransitionContext, TxEnv, TxKind,
};
use atoll_vm::evm::{Bytes, GasOverrides, Precompile, PrecompileRules, PrecompileSet};

/// Ask one of the precompiles each, and count in slot 0 how much came back.
const COUNTERS: [(Address, Precompile); 2] = [
    (Address::repeat_byte(0xc0), Precompile::Ed25519),
    (Address::repeat_byte(0xc1), Precompile::Ed25519Batch),
];
const SENDERS: u8 = 6;
/// RFC 8032, 7.1, test 2: public key, signature, message.
const SIGNED: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c\
                      92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                      085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00\
                      72";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn tables() -> EvmTables<Resident> {
    let mut tables = EvmTables::new(3);
    let mut put = |address, balance, code: Vec<u8>| {
        let held = (0, U256::from(balance));
        transition::put_account(&mut tables, SpecId::OSAKA, address, held, code.into(), []);
    };
    for n in 0..SENDERS {
        put(Address::repeat_byte(n + 1), 1u128 << 100, vec![]);
    }
    for (address, precompile) in COUNTERS {
        // STATICCALL with the input; slot 0 += RETURNDATASIZE.
        let call = [hex("365f5f375f5f365f73"), precompile.address().to_vec(), hex("5afa50")];
        put(address, 0, [&call.concat()[..], &hex("3d5f54015f5500")].concat());
    }
    object::seal(&mut tables, &mut WriteSet::default(), None);
    object::begin(&mut tables);
    tables
}

fn transactions() -> Vec<TxEnv> {
    let single = hex(SIGNED);
    let entry = [&1u32.to_be_bytes()[..], &single].concat();
    let mut nonces = [0; SENDERS as usize];
    let one = |n: u64| {
        let from = (n * 5 % u64::from(SENDERS)) as u8;
        let at = (n % 2) as usize;
        let mut data = if at == 0 { single.clone() } else { entry.repeat(1 + n as usize % 4) };
        if n % 7 == 3 {
            // A wrong signature.
            data[50] ^= 1;
        }
        let (address, precompile) = COUNTERS[at];
        let to = if n % 11 == 5 { precompile.address() } else { address };
        let nonce = nonces[usize::from(from)];
        nonces[usize::from(from)] += 1;
        TxEnv {
            tx_type: 2,
            caller: Address::repeat_byte(from + 1),
            // Some have too little for the precompile.
            gas_limit: if at == 0 && n % 13 == 6 { 26_000 } else { 200_000 },
            gas_price: 3,
            kind: TxKind::Call(to),
            data: data.into(),
            nonce,
            chain_id: Some(1),
            gas_priority_fee: Some(1),
            ..TxEnv::default()
        }
    };
    (0..80).map(one).collect()
}

fn block() -> BlockEnv {
    BlockEnv {
        number: U256::from(300),
        beneficiary: Address::repeat_byte(0x3e),
        timestamp: U256::from(1000),
        gas_limit: 30_000_000,
        basefee: 1,
        ..BlockEnv::default()
    }
}

type Seen = (Vec<String>, WriteSet, WriteSet, [U256; 2]);

fn seen(executed: Vec<Executed>, mut tables: EvmTables<Resident>) -> Seen {
    let counted = COUNTERS.map(|(address, _)| {
        let found = tables.storage().find(|(key, _)| key.address == address);
        found.map(|(_, value)| value).unwrap_or_default()
    });
    let (mut writes, mut reads) = (WriteSet::default(), WriteSet::default());
    object::seal(&mut tables, &mut writes, Some(&mut reads));
    (executed.iter().map(|one| format!("{one:?}")).collect(), writes, reads, counted)
}

#[test]
fn precompiles_in_parallel_are_precompiles_one_by_one() {
    let config = CfgEnv::new_with_spec(SpecId::OSAKA);
    let (block, transactions) = (block(), transactions());
    let raised = GasOverrides::default().with_factor("ed25519", 6).expect("a precompile");
    let raised = PrecompileRules { set: PrecompileSet::ALL, factors: raised.factors() };
    for precompiles in [PrecompileSet::ALL.into(), PrecompileSet::NONE.into(), raised] {
        let hashes = BlockHashes::History;
        let context = TransitionContext {
            config: &config,
            block: &block,
            hashes,
            precompiles,
            fee_tokens: &[],
        };
        let mut serial = tables();
        let executed = transition::execute_block(&mut serial, &context, &transactions).unwrap();
        let serial = seen(executed, serial);
        let answered = serial.3.iter().all(|count| *count > U256::from(32 * 20));
        assert_eq!(answered, precompiles.set == PrecompileSet::ALL, "{:?}", serial.3);
        for (threads, few_threads) in [(1, 9), (2, 9), (3, 9), (8, 9), (2, 0), (8, 0)] {
            let limits = Limits { few_threads, ..Limits::always() };
            let mut parallel = EvmParallel::new(threads, 5).expect("threads").with_limits(limits);
            let mut found = tables();
            let (executed, _) = parallel
                .execute_block(&mut found, &context, &transactions, true, &mut |_| {})
                .expect("valid");
            assert!(seen(executed, found) == serial, "{threads} threads, {precompiles:?}");
        }
    }
}

#[test]
fn gas_of_a_precompile_is_checked_in_a_transaction_to_it() {
    let config = CfgEnv::new_with_spec(SpecId::OSAKA);
    let block = block();
    let precompiles = PrecompileSet::ALL.into();
    let hashes = BlockHashes::History;
    let context =
        TransitionContext { config: &config, block: &block, hashes, precompiles, fee_tokens: &[] };
    let ask = |gas_limit| {
        let transaction = TxEnv {
            caller: Address::repeat_byte(1),
            gas_limit,
            gas_price: 3,
            kind: TxKind::Call(Precompile::Ed25519.address()),
            data: Bytes::from(hex(SIGNED)),
            chain_id: Some(1),
            ..TxEnv::default()
        };
        transition::transact(&mut tables(), &context, transaction).unwrap().result
    };
    let enough = ask(100_000);
    assert_eq!(enough.output().unwrap()[..], B256::with_last_byte(1)[..]);
    let used = enough.tx_gas_used();
    assert!(ask(used).is_success());
    let halted = ask(used - 1);
    assert!(halted.is_halt() && halted.tx_gas_used() == used - 1);
}
