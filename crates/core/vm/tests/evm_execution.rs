//! The EVM through its objects: what transactions do, and that any range runs from its witness.

mod evm_common;

use atoll_types::{Address, B256, RejectCode, U256, keccak256};
use atoll_vm::evm::history::HISTORY_ADDRESS;
use atoll_vm::evm::{BaseFee, CallError, CallRequest, Status, prev_randao};
use evm_common::*;

#[test]
fn a_transfer_moves_value_pays_the_tip_and_burns_the_base_fee() {
    let mut chain = Chain::new(spec());
    let (to, before) = (Address::repeat_byte(0x77), chain.vm.balance(key("a").address()));
    let value = U256::from(ETHER);
    for (nonce, kind) in [0, 1, 2].into_iter().enumerate() {
        let draft = Draft { kind, nonce: nonce as u64, value, gas: 21_000, ..Draft::default() };
        let bytes = draft.sign(&key("a"));
        let receipts = chain.block(std::slice::from_ref(&bytes));
        assert_eq!(receipts[0].code, 0);
        let receipt = payload(&receipts[0]);
        assert_eq!(receipt.status, Status::Success);
        assert_eq!((receipt.kind, receipt.gas_used), (kind, 21_000));
        assert_eq!(receipt.transaction_hash, keccak256(&bytes));
        assert_eq!((receipt.from, receipt.to), (key("a").address(), Some(to)));
        let price = if kind == 2 { 2 * GWEI } else { 3 * GWEI };
        assert_eq!(receipt.effective_gas_price, price);
    }
    assert_eq!(chain.vm.balance(to), value * U256::from(3));
    let fees = U256::from(21_000 * (3 + 3 + 2) * GWEI);
    assert_eq!(chain.vm.balance(key("a").address()), before - fees - value * U256::from(3));
    assert_eq!(chain.vm.balance(chain.spec.fee_recipient), U256::from(21_000 * 5 * GWEI));
    assert_eq!(chain.nonce("a"), 3);
}

#[test]
fn contracts_are_deployed_called_logged_and_reverted() {
    let mut chain = Chain::new(spec());
    let deploy = Draft { to: None, input: init_code(STORE), ..Draft::default() };
    let contract = chain.send(deploy, "a").contract_address.unwrap();
    assert_eq!(contract, key("a").address().create(0));
    assert_eq!(chain.vm.code(contract).to_vec(), hex(STORE));

    let call = |nonce, input| Draft { to: Some(contract), nonce, input, ..Draft::default() };
    let ok = chain.send(call(1, word(5)), "a");
    assert_eq!(ok.output.to_vec(), word(5));
    assert_eq!(ok.logs.len(), 1);
    assert_eq!((ok.logs[0].address, &ok.logs[0].data.to_vec()), (contract, &word(5)));
    assert_eq!(ok.logs[0].topics, [B256::with_last_byte(0x2a)]);
    assert_eq!(chain.vm.storage(contract, U256::ZERO), U256::from(5));

    let reverted = chain.block(&[call(2, word(0)).sign(&key("a"))]);
    assert_eq!(reverted[0].rejection(), Some(RejectCode::Reverted));
    let receipt = payload(&reverted[0]);
    assert_eq!((receipt.status, receipt.output.to_vec()), (Status::Reverted, word(99)));
    assert!(receipt.logs.is_empty());
    assert_eq!(chain.vm.storage(contract, U256::ZERO), U256::from(5));
    assert_eq!(chain.nonce("a"), 3);

    let halted = chain.block(&[Draft { gas: 23_000, ..call(3, word(6)) }.sign(&key("a"))]);
    let receipt = payload(&halted[0]);
    assert_eq!((receipt.status, receipt.gas_used), (Status::Halted, 23_000));
}

#[test]
fn counters_run_over_a_block_and_across_a_range_boundary() {
    let mut chain = Chain::new(spec());
    let store = Some(Address::repeat_byte(0x51));
    let send = |nonce, value: u64| {
        Step::Send(
            Draft { to: store, nonce, input: word(value), ..Draft::default() }.sign(&key("a")),
        )
    };
    let context = chain.next();
    let first = chain.run(&[Step::Open(context), send(0, 1), send(1, 2)]);
    let second = chain.run(&[Step::Resume(context), send(2, 0), send(3, 4)]);
    let all: Vec<_> = first.iter().chain(&second).map(payload).collect();
    let mut gas = 0;
    for (index, receipt) in all.iter().enumerate() {
        gas += receipt.gas_used;
        assert_eq!(receipt.transaction_index, index as u32);
        assert_eq!(receipt.cumulative_gas_used, gas);
    }
    let logs: Vec<_> = all.iter().map(|r| (r.first_log_index, r.logs.len())).collect();
    assert_eq!(logs, [(0, 1), (1, 1), (2, 0), (2, 1)]);
    assert_eq!(chain.vm.block().gas_used, gas);
    chain.block(&[]);
    assert_eq!((chain.vm.block().gas_used, chain.vm.block().transactions), (0, 0));
}

#[test]
fn create2_gives_the_address_of_the_formula() {
    let mut chain = Chain::new(spec());
    let factory = Address::repeat_byte(0x52);
    let input = init_code(STORE);
    let expected = factory.create2(B256::ZERO, keccak256(&input));
    let draft = Draft { to: Some(factory), input, ..Draft::default() };
    let receipt = chain.send(draft.clone(), "a");
    assert_eq!(receipt.output[12..], expected[..]);
    assert_eq!(chain.vm.code(expected).to_vec(), hex(STORE));
    // Again: the address is taken.
    let receipt = chain.send(Draft { nonce: 1, gas: 200_000, ..draft }, "a");
    assert_eq!(receipt.status, Status::Reverted);
}

#[test]
fn self_destruction_keeps_contracts_that_existed_and_counts_what_is_destroyed() {
    let mut chain = Chain::new(spec());
    let old = Address::repeat_byte(0x53);
    let receipt = chain.send(Draft { to: Some(old), ..Draft::default() }, "a");
    assert_eq!(receipt.status, Status::Success);
    assert_eq!(chain.vm.balance(old), U256::ZERO);
    assert_eq!(chain.vm.code(old).to_vec(), hex(SUICIDE));
    // Born and destroyed in one transaction, in its own favour: the money is gone (EIP-6780).
    let value = U256::from(12_345);
    let draft = Draft { to: None, nonce: 1, value, input: hex("30ff"), ..Draft::default() };
    let born = key("a").address().create(1);
    let owed = chain.vm.audit_held();
    chain.send(draft, "a");
    assert_eq!((chain.vm.balance(born), chain.vm.nonce(born)), (U256::ZERO, 0));
    assert_eq!(chain.vm.audit_held(), owed);
}

#[test]
fn block_hashes_are_slot_header_hashes() {
    let mut chain = Chain::new(spec());
    let ask = |chain: &mut Chain, to, number| {
        let nonce = chain.nonce("a");
        let draft = Draft { to: Some(to), nonce, input: word(number), ..Draft::default() };
        let receipt = chain.send(draft, "a");
        B256::from_slice(&receipt.output)
    };
    let opcode = Address::repeat_byte(0x54);
    for number in 0..4 {
        assert_eq!(ask(&mut chain, opcode, number), header_hash(number));
    }
    // The contract of EIP-2935 serves them, too.
    assert_eq!(ask(&mut chain, HISTORY_ADDRESS, 2), header_hash(2));
    // Neither the current block nor one beyond the window.
    let now = chain.context.slot + 1;
    assert_eq!(ask(&mut chain, opcode, now), B256::ZERO);
    chain.thorough = false;
    for _ in 0..300 {
        chain.block(&[]);
    }
    assert_eq!(ask(&mut chain, opcode, 2), B256::ZERO);
    assert_eq!(ask(&mut chain, HISTORY_ADDRESS, 2), header_hash(2));
}

#[test]
fn randomness_and_time_come_from_the_slot() {
    let mut spec = spec();
    // PREVRANDAO, TIMESTAMP, NUMBER, BASEFEE, CHAINID as five words.
    let code = "445f5242602052436040524860605246608052".to_string() + "60a05ff3";
    spec.genesis[3].code = hex(&code).into();
    let mut chain = Chain::new(spec);
    let to = Some(Address::repeat_byte(0x51));
    let receipt = chain.send(Draft { to, ..Draft::default() }, "a");
    let words: Vec<U256> = receipt.output.chunks(32).map(U256::from_be_slice).collect();
    let randao = U256::from_be_bytes(prev_randao(header_hash(0)).0);
    let time = U256::from(chain.context.time_us / 1_000_000);
    let rest = [U256::from(1), U256::from(GWEI), U256::from(CHAIN_ID)];
    assert_eq!(words, [&[randao, time][..], &rest[..]].concat());
}

#[test]
fn an_account_takes_on_code_and_gives_it_back() {
    let mut chain = Chain::new(spec());
    let (store, b) = (Address::repeat_byte(0x51), key("b").address());
    let delegate = |nonce, authorization| Draft {
        kind: 4,
        nonce,
        to: Some(b),
        input: word(8),
        authorizations: vec![authorization],
        ..Draft::default()
    };
    let receipt = chain.send(delegate(0, authorize(&key("b"), CHAIN_ID, store, 0)), "a");
    assert_eq!((receipt.status, receipt.logs.len()), (Status::Success, 1));
    assert_eq!(receipt.logs[0].address, b);
    assert_eq!(chain.vm.code(b).to_vec(), [&hex("ef0100")[..], store.as_slice()].concat());
    assert_eq!((chain.vm.storage(b, U256::ZERO), chain.vm.nonce(b)), (U256::from(8), 1));
    // A delegated account still sends (EIP-3607 exempts it).
    let receipt = chain.send(Draft { nonce: 1, ..Draft::default() }, "b");
    assert_eq!(receipt.status, Status::Success);
    // An authorization for another chain, or with a wrong nonce, has no effect.
    for bad in [authorize(&key("c"), 1, store, 0), authorize(&key("c"), CHAIN_ID, store, 9)] {
        let nonce = chain.nonce("a");
        chain.send(delegate(nonce, bad), "a");
        assert!(chain.vm.code(key("c").address()).is_empty());
    }
    let nonce = chain.nonce("a");
    chain.send(delegate(nonce, authorize(&key("b"), 0, Address::ZERO, 2)), "a");
    assert!(chain.vm.code(b).is_empty());
}

#[test]
fn what_cannot_be_executed_leaves_no_trace() {
    let mut chain = Chain::new(spec());
    chain.block(&[Draft::default().sign(&key("a"))]);
    let transfer = Draft { nonce: 1, gas: 21_000, ..Draft::default() };
    let all = U256::from(10_000u64) * U256::from(ETHER);
    let cases = [
        (Draft { nonce: 0, ..transfer.clone() }, RejectCode::NonceTooLow),
        (Draft { nonce: 2, ..transfer.clone() }, RejectCode::NonceTooHigh),
        (Draft { value: all, ..transfer.clone() }, RejectCode::InsufficientBalance),
        (Draft { max_fee: GWEI - 1, tip: 0, ..transfer.clone() }, RejectCode::FeeTooLow),
    ];
    for (draft, code) in cases {
        let (block, balance) = (chain.vm.block(), chain.vm.balance(key("a").address()));
        let receipts = chain.block(&[draft.sign(&key("a"))]);
        assert_eq!(receipts[0].rejection(), Some(code));
        assert!(receipts[0].payload.is_empty());
        assert_eq!(chain.vm.balance(key("a").address()), balance);
        assert_eq!(chain.vm.block().gas_used, 0);
        assert_eq!(chain.vm.block().number, block.number + 1);
    }
    // Unknown accounts have nothing.
    let receipts = chain.block(&[transfer.sign(&key("nobody"))]);
    assert!(receipts[0].rejection().is_some());
}

#[test]
fn a_full_block_refuses_what_does_not_fit_any_more() {
    let mut spec = spec();
    spec.block_gas_limit = 50_000;
    let mut chain = Chain::new(spec);
    let send = |nonce| Draft { nonce, gas: 21_000, ..Draft::default() }.sign(&key("a"));
    let receipts = chain.block(&[send(0), send(1), send(2)]);
    let codes: Vec<_> = receipts.iter().map(|r| r.rejection()).collect();
    assert_eq!(codes, [None, None, Some(RejectCode::Busy)]);
    assert_eq!(chain.block(&[send(2)])[0].code, 0);
}

#[test]
fn the_base_fee_follows_demand() {
    let mut spec = spec();
    spec.block_gas_limit = 42_000;
    spec.base_fee = BaseFee::Eip1559 { initial: 1_000_000_000, change_denominator: 8 };
    let mut chain = Chain::new(spec);
    chain.block(&[Draft { gas: 21_000, ..Draft::default() }.sign(&key("a"))]);
    assert_eq!(chain.vm.block().base_fee, 1_000_000_000);
    // On target: the same again.
    chain.block(
        &[1, 2].map(|nonce| Draft { nonce, gas: 21_000, ..Draft::default() }.sign(&key("a"))),
    );
    assert_eq!(chain.vm.block().base_fee, 1_000_000_000);
    // Twice the target: an eighth more.
    assert_eq!(chain.vm.next_base_fee(), 1_125_000_000);
    chain.block(&[]);
    assert_eq!(chain.vm.block().base_fee, 1_125_000_000);
    chain.block(&[]);
    assert_eq!(chain.vm.block().base_fee, 984_375_000);
}

#[test]
fn calls_and_estimates_change_nothing() {
    let mut chain = Chain::new(spec());
    chain.block(&[]);
    let before = atoll_state::object::export(&mut chain.vm).len();
    let (from, store) = (key("a").address(), Some(Address::repeat_byte(0x51)));
    let call = CallRequest { from, to: store, input: word(3).into(), ..CallRequest::default() };
    let outcome = chain.vm.call(&call).unwrap();
    assert_eq!((outcome.output.to_vec(), outcome.logs.len()), (word(3), 1));
    let zero = CallRequest { input: word(0).into(), ..call.clone() };
    assert_eq!(chain.vm.call(&zero), Err(CallError::Revert(word(99).into())));
    assert_eq!(chain.vm.estimate_gas(&zero), Err(CallError::Revert(word(99).into())));
    let short = CallRequest { gas: Some(23_000), ..call.clone() };
    assert!(matches!(chain.vm.call(&short), Err(CallError::Halt(_))));
    let poor = CallRequest { from: Address::repeat_byte(9), value: U256::from(1), ..call.clone() };
    let Err(CallError::Invalid(reject)) = chain.vm.call(&poor) else { panic!("it went through") };
    assert_eq!(reject.code, RejectCode::InsufficientBalance);
    // A contract may be asked as if it called.
    let contract = CallRequest { from: Address::repeat_byte(0x52), ..call.clone() };
    assert!(chain.vm.call(&contract).is_ok());

    let plain = CallRequest { from, to: Some(Address::repeat_byte(9)), ..CallRequest::default() };
    assert_eq!(chain.vm.estimate_gas(&plain), Ok(21_000));
    let priced = CallRequest { max_fee_per_gas: Some(2 * GWEI), ..plain.clone() };
    assert_eq!(chain.vm.estimate_gas(&priced), Ok(21_000));
    assert_eq!(chain.vm.nonce(from), 0);
    let (hash, after) = (chain.vm.storage(Address::repeat_byte(0x51), U256::ZERO), before);
    assert_eq!((hash, atoll_state::object::export(&mut chain.vm).len()), (U256::ZERO, after));

    // What is estimated is enough, also where inner calls get only 63 of 64 parts.
    let input = init_code(STORE);
    let to = Some(Address::repeat_byte(0x52));
    let create = CallRequest { from, to, input: input.clone().into(), ..CallRequest::default() };
    let gas = chain.vm.estimate_gas(&create).unwrap();
    let receipt = chain.send(Draft { to, input, gas, ..Draft::default() }, "a");
    assert_eq!(receipt.status, Status::Success);
    assert!(gas > receipt.gas_used);
    assert!(gas < receipt.gas_used * 3 / 2, "{gas} for {}", receipt.gas_used);
}

#[test]
fn admission_foresees_what_execution_will_refuse() {
    let mut chain = Chain::new(spec());
    chain.block(&[Draft::default().sign(&key("a"))]);
    let precheck = |draft: Draft, from: &str| {
        let checked = check(&chain.spec, &draft.sign(&key(from))).unwrap();
        chain.vm.precheck(&checked).map_err(|reject| reject.code)
    };
    let draft = Draft { nonce: 1, ..Draft::default() };
    assert_eq!(precheck(draft.clone(), "a"), Ok(()));
    assert_eq!(precheck(Draft { nonce: 65, ..draft.clone() }, "a"), Ok(()));
    let cases = [
        (Draft { nonce: 0, ..draft.clone() }, "a", RejectCode::NonceTooLow),
        (Draft { nonce: 66, ..draft.clone() }, "a", RejectCode::NonceTooHigh),
        (Draft { max_fee: GWEI - 1, tip: 0, ..draft.clone() }, "a", RejectCode::FeeTooLow),
        (draft, "nobody", RejectCode::InsufficientBalance),
    ];
    for (draft, from, code) in cases {
        assert_eq!(precheck(draft, from), Err(code));
    }
}

trait Held {
    fn audit_held(&self) -> String;
}

impl Held for atoll_vm::evm::EvmVm<atoll_state::Resident> {
    fn audit_held(&self) -> String {
        use atoll_vm::Vm;
        self.audit()[0].held.clone()
    }
}
