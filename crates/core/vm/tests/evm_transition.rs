//! The state transition below an environment: hardforks before those that an environment may run,
//! block hashes from outside, blocks.

use atoll_state::Resident;
use atoll_types::{Address, B256, U256};
use atoll_vm::evm::Bytes;
use atoll_vm::evm::objects::EvmTables;
use atoll_vm::evm::transition::{
    self, BlockEnv, BlockHashes, CfgEnv, Executed, MissingBlockHash, SpecId, TransitionContext,
    TransitionError, TxEnv, TxKind,
};

const SENDER: Address = Address::repeat_byte(0x51);
const CONTRACT: Address = Address::repeat_byte(0xc0);
const NOBODY: Address = Address::repeat_byte(0x99);
const MINER: Address = Address::repeat_byte(0x3e);

struct Chain {
    tables: EvmTables<Resident>,
    config: CfgEnv,
    block: BlockEnv,
}

impl Chain {
    /// A sender with money, and a contract with this code and one used slot.
    fn new(spec: SpecId, code: &[u8]) -> Self {
        let mut tables = EvmTables::new(0);
        let rich = (0, U256::from(1_000_000_000));
        transition::put_account(&mut tables, spec, SENDER, rich, Bytes::new(), []);
        let (code, slot) = (Bytes::copy_from_slice(code), (U256::from(7), U256::from(8)));
        transition::put_account(&mut tables, spec, CONTRACT, (1, U256::ZERO), code, [slot]);
        let block = BlockEnv {
            number: U256::from(300),
            beneficiary: MINER,
            timestamp: U256::from(1000),
            gas_limit: 1_000_000,
            basefee: 0,
            ..BlockEnv::default()
        };
        Self { tables, config: CfgEnv::new_with_spec(spec), block }
    }

    fn run(&mut self, transactions: &[TxEnv]) -> Result<Vec<Executed>, transition::InvalidInBlock> {
        let known = |number: u64| (number == 299).then(|| B256::repeat_byte(0x29));
        let (config, block) = (&self.config, &self.block);
        let context = TransitionContext::ethereum(config, block, BlockHashes::Known(&known));
        transition::execute_block(&mut self.tables, &context, transactions)
    }

    fn exists(&self, address: Address) -> bool {
        self.tables.accounts().any(|(at, _)| at == address)
    }

    fn slots(&self) -> Vec<(u64, U256)> {
        self.tables.storage().map(|(key, value)| (key.slot.to(), value)).collect()
    }
}

fn call(to: Address, nonce: u64) -> TxEnv {
    TxEnv {
        tx_type: 0,
        caller: SENDER,
        gas_limit: 100_000,
        gas_price: 0,
        kind: TxKind::Call(to),
        value: U256::ZERO,
        data: Bytes::new(),
        nonce,
        chain_id: Some(1),
        access_list: Default::default(),
        gas_priority_fee: None,
        blob_hashes: vec![],
        max_fee_per_blob_gas: 0,
        authorization_list: vec![],
    }
}

#[test]
fn what_is_touched_and_empty_exists_before_spurious_dragon_alone() {
    for (spec, exists) in [(SpecId::FRONTIER, true), (SpecId::SPURIOUS_DRAGON, false)] {
        let mut chain = Chain::new(spec, &[]);
        chain.run(&[call(NOBODY, 0)]).expect("executed");
        assert_eq!(chain.exists(NOBODY), exists, "{spec:?}");
        // The miner got nothing and is as empty.
        assert_eq!(chain.exists(MINER), exists, "{spec:?}");
        let account = chain.tables.accounts().find(|(at, _)| *at == NOBODY).map(|(_, a)| *a);
        assert!(account.is_none_or(|account| !account.has_code() && account.balance.is_zero()));
    }
}

#[test]
fn a_recorded_empty_account_lives_until_it_is_touched() {
    for (spec, exists) in [(SpecId::HOMESTEAD, true), (SpecId::CANCUN, false)] {
        let mut chain = Chain::new(spec, &[]);
        let nothing = (0, U256::ZERO);
        transition::put_account(&mut chain.tables, spec, NOBODY, nothing, Bytes::new(), []);
        chain.run(&[call(CONTRACT, 0)]).expect("executed");
        assert!(chain.exists(NOBODY), "{spec:?}");
        transition::credit(&mut chain.tables, spec, NOBODY, U256::ZERO);
        assert_eq!(chain.exists(NOBODY), exists, "{spec:?}");
        transition::credit(&mut chain.tables, spec, NOBODY, U256::from(5));
        assert!(chain.exists(NOBODY), "{spec:?}");
    }
}

#[test]
fn destroyed_contracts_take_their_storage_along_before_cancun_alone() {
    // Stores 1 into slot 1 and destroys itself in favour of its caller.
    let code = [0x60, 1, 0x60, 1, 0x55, 0x33, 0xff];
    let mut chain = Chain::new(SpecId::SHANGHAI, &code);
    chain.run(&[call(CONTRACT, 0)]).expect("executed");
    assert_eq!((chain.exists(CONTRACT), chain.slots()), (false, vec![]));
    let mut chain = Chain::new(SpecId::CANCUN, &code);
    chain.run(&[call(CONTRACT, 0)]).expect("executed");
    let mut slots = chain.slots();
    slots.sort_unstable();
    let kept = vec![(1, U256::from(1)), (7, U256::from(8))];
    assert_eq!((chain.exists(CONTRACT), slots), (true, kept));
}

#[test]
fn a_block_hash_that_nobody_knows_is_an_error_and_no_zero() {
    // Stores the hash of block `n` into slot 0.
    let code = |n: u16| {
        let [high, low] = n.to_be_bytes();
        [0x61, high, low, 0x40, 0x60, 0, 0x55]
    };
    let mut chain = Chain::new(SpecId::BERLIN, &code(299));
    chain.run(&[call(CONTRACT, 0)]).expect("executed");
    let hash = U256::from_be_bytes(B256::repeat_byte(0x29).0);
    assert!(chain.slots().contains(&(0, hash)), "{:?}", chain.slots());
    let mut chain = Chain::new(SpecId::BERLIN, &code(298));
    let error = chain.run(&[call(CONTRACT, 0)]).expect_err("unknown");
    assert_eq!(error.error, TransitionError::Database(MissingBlockHash(298)));
    assert!(error.to_string().contains("the hash of block 298"), "{error}");
}

#[test]
fn a_block_takes_no_more_gas_than_its_limit() {
    let mut chain = Chain::new(SpecId::BERLIN, &[]);
    chain.block.gas_limit = 121_000;
    chain.run(&[call(NOBODY, 0), call(NOBODY, 1)]).expect("21,000 and room for 100,000");
    chain.block.gas_limit = 120_999;
    let error = chain.run(&[call(NOBODY, 2), call(NOBODY, 3)]).expect_err("no room");
    assert_eq!(error.index, 1);
}

#[test]
fn a_delegation_is_code_like_any_other_before_prague() {
    let delegation = [&[0xef, 0x01, 0x00][..], NOBODY.as_slice()].concat();
    for (spec, succeeds) in [(SpecId::CANCUN, false), (SpecId::PRAGUE, true)] {
        let mut chain = Chain::new(spec, &delegation);
        let executed = chain.run(&[call(CONTRACT, 0)]).expect("executed");
        assert_eq!(executed[0].result.is_success(), succeeds, "{spec:?}");
    }
}

#[test]
fn nothing_is_created_over_storage() {
    for (slots, created) in [(vec![], true), (vec![(U256::from(1), U256::from(2))], false)] {
        let mut chain = Chain::new(SpecId::CANCUN, &[]);
        // Where the sender's first contract comes to be.
        let address = SENDER.create(0);
        let balance = (0, U256::from(5));
        let code = Bytes::new();
        transition::put_account(&mut chain.tables, SpecId::CANCUN, address, balance, code, slots);
        let create = TxEnv { kind: TxKind::Create, ..call(address, 0) };
        let executed = chain.run(&[create]).expect("executed");
        assert_eq!(executed[0].result.is_success(), created);
        // It keeps what it has, takes money, and is as closed as before.
        transition::credit(&mut chain.tables, SpecId::CANCUN, address, U256::from(1));
        let mut pay = call(address, 1);
        pay.value = U256::from(1);
        chain.run(&[pay]).expect("executed");
        let account = chain.tables.accounts().find(|(at, _)| *at == address);
        let (_, account) = account.expect("it exists");
        assert_eq!((account.balance, account.has_code()), (U256::from(7), false));
        assert_eq!(chain.slots().len(), if created { 1 } else { 2 });
    }
}

#[test]
fn who_holds_storage_and_no_code_may_send_and_looks_like_anybody_without_code() {
    // Stores the code hash of the address in the call data into slot 0.
    let mut chain = Chain::new(SpecId::CANCUN, &[0x60, 0, 0x35, 0x3f, 0x60, 0, 0x55]);
    let (spec, slots) = (SpecId::CANCUN, [(U256::from(1), U256::from(2))]);
    let money = (0, U256::from(5));
    transition::put_account(&mut chain.tables, spec, NOBODY, money, Bytes::new(), slots);
    let data = Bytes::copy_from_slice(NOBODY.into_word().as_slice());
    chain.run(&[TxEnv { data, ..call(CONTRACT, 0) }]).expect("executed");
    let empty = U256::from_be_bytes(atoll_types::keccak256([]).0);
    assert!(chain.slots().contains(&(0, empty)), "{:?}", chain.slots());
    chain.run(&[TxEnv { caller: NOBODY, ..call(SENDER, 0) }]).expect("its nonce is 0");
    let account = chain.tables.accounts().find(|(at, _)| *at == NOBODY).expect("it exists").1;
    assert_eq!((account.nonce, account.balance), (1, U256::from(5)));
}
