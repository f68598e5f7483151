//! Client, transactions and deployment against a real node.

mod common;

use alloy_primitives::hex;
use atoll_ethereum::deploy::{Bytecode, DeployError, DeployOptions, Plan, Step, deploy, verify};
use atoll_ethereum::{BlockId, CallRequest, SendRefusal, Transaction, create};
use atoll_types::{Address, B256, U256};
use common::*;

/// A contract that answers `answer`; whatever follows its code are arguments.
fn bytecode(answer: u8) -> Bytecode {
    let code = [&hex!("60")[..], &[answer], &hex!("60005260206000f3")].concat();
    let init_code = [&hex!("600a80600b6000396000f3")[..], &code].concat();
    Bytecode { init_code, code }
}

fn plan(salt: u8) -> Plan {
    let mut plan = Plan::default();
    plan.add("shared", B256::ZERO, &bytecode(1), &[]);
    let first = plan.add("first", B256::repeat_byte(salt), &bytecode(2), &[]);
    plan.add("second", B256::repeat_byte(salt), &bytecode(3), first.into_word().as_slice());
    plan
}

fn options() -> DeployOptions {
    DeployOptions { wait_ms: 10_000, poll_ms: 20, ..DeployOptions::default() }
}

fn skipped(steps: &[Step]) -> Vec<bool> {
    steps.iter().map(|step| step.skipped).collect()
}

#[test]
fn a_transaction_is_sent_mined_and_found() {
    let Some(anvil) = Anvil::start(&[]) else { return };
    let client = &anvil.client;
    assert_eq!(client.chain_id(), Ok(31_337));
    let (key, to) = (account(1), Address::repeat_byte(0x77));
    let transfer = Transaction {
        chain_id: 31_337,
        nonce: client.nonce(key.address(), BlockId::Pending).unwrap(),
        tip_wei: client.suggested_tip_wei().unwrap(),
        max_fee_wei: 10_000_000_000,
        gas_limit: 21_000,
        to: Some(to),
        value: U256::from(5),
        input: Vec::new(),
    };
    let signed = transfer.sign(&key);
    assert_eq!(client.receipt(signed.hash), Ok(None));
    assert_eq!(client.send_raw(&signed.raw), Ok(signed.hash));
    let receipt = anvil.receipt(signed.hash);
    assert!(receipt.success && receipt.gas_used == 21_000);
    // For a moment a mined transaction is still told from the pool.
    let view = (0..100).find_map(|_| {
        let view = client.transaction(signed.hash).unwrap().unwrap();
        view.block.is_some().then_some(view).or_else(|| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            None
        })
    });
    let view = view.expect("the transaction has a block");
    assert_eq!((view.from, view.to, view.block), (key.address(), Some(to), Some(receipt.block)));
    assert_eq!(client.balance(to, BlockId::Latest), Ok(U256::from(5)));
    let block = client.block(BlockId::Number(receipt.block)).unwrap().unwrap();
    assert_eq!((block.hash, block.transactions), (receipt.block_hash, vec![signed.hash]));
    assert_eq!(client.block(BlockId::Hash(block.hash)).unwrap().unwrap().number, block.number);
    assert_eq!(client.balance(to, BlockId::Hash(block.parent)), Ok(U256::ZERO));
    assert_eq!(client.block(BlockId::Number(1 << 40)), Ok(None));
    assert_eq!(client.block_number(), Ok(block.number));
    // The same again, and one with a nonce in use.
    let again = client.send(&signed).unwrap_err();
    assert!(
        matches!(again.send_refusal(), SendRefusal::NonceTooLow | SendRefusal::AlreadyKnown),
        "{again}"
    );
    anvil.automine(false);
    let waiting = Transaction { nonce: 1, ..transfer.clone() };
    client.send(&waiting.sign(&key)).unwrap();
    let cheaper = Transaction { nonce: 1, value: U256::from(6), ..transfer.clone() };
    let refused = client.send(&cheaper.sign(&key)).unwrap_err();
    assert_eq!(refused.send_refusal(), SendRefusal::Underpriced, "{refused}");
    let poor = Transaction { nonce: 2, value: U256::from(10).pow(U256::from(30)), ..transfer };
    let refused = client.send(&poor.sign(&key)).unwrap_err();
    assert_eq!(refused.send_refusal(), SendRefusal::InsufficientFunds, "{refused}");
    assert_eq!(client.nonce(key.address(), BlockId::Latest), Ok(1));
    assert_eq!(client.nonce(key.address(), BlockId::Pending), Ok(2));
}

#[test]
fn a_deployment_is_done_once_and_verified() {
    let Some(anvil) = Anvil::start(&["--disable-default-create2-deployer"]) else { return };
    let (client, key) = (&anvil.client, account(0));
    let plan = plan(1);
    assert!(matches!(verify(client, &plan, BlockId::Latest), Err(DeployError::Mismatch { .. })));
    let mut told = Vec::new();
    let first = deploy(client, &key, &plan, options(), |step| told.push(step.clone())).unwrap();
    assert_eq!(told, first);
    assert!(skipped(&first).iter().all(|skipped| !skipped));
    assert!(first.iter().all(|step| step.gas_used > 0 && step.cost_wei > U256::ZERO));
    assert_eq!(client.code(create::DEPLOYER, BlockId::Latest).unwrap(), create::DEPLOYER_CODE);
    verify(client, &plan, BlockId::Latest).unwrap();
    let second = plan.contracts().last().unwrap().1;
    let answer = client.call(&CallRequest::read(second, Vec::new()), BlockId::Latest);
    assert_eq!(answer.unwrap().last(), Some(&3));

    let again = deploy(client, &key, &plan, options(), |_| {}).unwrap();
    assert!(skipped(&again).iter().all(|skipped| *skipped));
    // Another network on the same chain: what has no state is shared, the rest is its own.
    let other = self::plan(2);
    let steps = deploy(client, &key, &other, options(), |_| {}).unwrap();
    assert_eq!(skipped(&steps), [true, true, false, false]);
    verify(client, &other, BlockId::Latest).unwrap();
    verify(client, &plan, BlockId::Latest).unwrap();
}

#[test]
fn a_deployment_that_was_cut_off_goes_on_and_sends_nothing_twice() {
    let Some(anvil) = Anvil::start(&[]) else { return };
    let (client, key) = (&anvil.client, account(0));
    let plan = plan(1);
    let hasty = DeployOptions { wait_ms: 100, poll_ms: 20, ..options() };
    anvil.automine(false);
    let mut runs = 0;
    loop {
        runs += 1;
        assert!(runs < 30, "it goes on for ever");
        match deploy(client, &key, &plan, hasty, |_| {}) {
            Ok(steps) => {
                assert!(skipped(&steps).iter().all(|skipped| *skipped));
                break;
            }
            // Given up with a transaction on its way; the next run finds it still waiting, or
            // mined.
            Err(DeployError::Waiting { .. }) if runs % 2 == 0 => anvil.mine(1),
            Err(DeployError::Waiting { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    verify(client, &plan, BlockId::Latest).unwrap();
    let nonce = client.nonce(key.address(), BlockId::Latest).unwrap();
    assert_eq!(nonce, plan.transactions() as u64, "one transaction each");
}
