//! Fees that are paid in a token: who pays in what, how much, and what everybody has afterwards. Every
//! block runs again from its witness alone.

mod evm_common;

use atoll_state::Resident;
use atoll_types::{Address, Decode, Encode, RejectCode, U256, keccak256};
use atoll_vm::evm::fees::FEE_TOKENS_MAX;
use atoll_vm::evm::{Bytes, CallError, CallRequest, EvmReceipt, EvmSpec, EvmVm, FeeToken, Status};
use atoll_vm::{Receipt, Vm};
use evm_common::bridge::{USD, arriving, bridged_spec, call_data, padded};
use evm_common::*;
use proptest::prelude::*;

/// Contracts that keep balances and do nothing with them.
const GOLD: Address = Address::repeat_byte(0x61);
const DUST: Address = Address::repeat_byte(0x62);
const RECIPIENT: Address = Address::repeat_byte(0xfe);
/// In every transaction: base fee and tip.
const PRICE: u64 = 2_000_000_000;

fn gold() -> FeeToken {
    FeeToken { token: GOLD, balances_slot: U256::from(5), price: 3_000_000_000 }
}

fn dust() -> FeeToken {
    FeeToken { token: DUST, balances_slot: U256::ZERO, price: 7 }
}

/// With tokens of "poor", who has so much native currency.
fn spec_with(native: U256, gold_held: u64, dust_held: u64) -> EvmSpec {
    let mut spec = spec();
    spec.fee_tokens = vec![gold(), dust()];
    let poor = key("poor").address();
    for (token, held) in [(gold(), gold_held), (dust(), dust_held)] {
        spec.genesis.push(atoll_vm::evm::GenesisAccount {
            address: token.token,
            nonce: 1,
            code: Bytes::from(hex(STORE)),
            storage: vec![(token.slot_of(poor), U256::from(held))],
            ..Default::default()
        });
    }
    spec.genesis.push(atoll_vm::evm::GenesisAccount {
        address: poor,
        balance: native,
        ..Default::default()
    });
    spec
}

fn held(chain: &Chain, token: FeeToken, holder: Address) -> U256 {
    chain.vm.storage(token.token, token.slot_of(holder))
}

fn native(chain: &Chain, holder: Address) -> U256 {
    chain.vm.balance(holder)
}

/// The naive twin of the formula: whole coins times the price, in the smallest units, rounded up.
fn due(gas: u64, price: u64, token: FeeToken) -> U256 {
    let exact = u128::from(gas) * u128::from(price) * token.price;
    U256::from(exact.div_ceil(10u128.pow(18)))
}

fn transfer_log(receipt: &EvmReceipt, token: FeeToken, from: Address, amount: U256) {
    let log = receipt.logs.last().unwrap();
    assert_eq!(log.address, token.token);
    let signature = keccak256(b"Transfer(address,address,uint256)");
    assert_eq!(log.topics, [signature, from.into_word(), RECIPIENT.into_word()]);
    assert_eq!(log.data[..], amount.to_be_bytes::<32>());
}

fn refusal(receipt: &Receipt) -> RejectCode {
    assert!(receipt.payload.is_empty());
    RejectCode::from_number(receipt.code).unwrap()
}

#[test]
fn who_has_no_native_currency_pays_in_a_token() {
    let mut chain = Chain::new(spec_with(U256::ZERO, 100_000_000, 0));
    let poor = key("poor").address();
    let receipt = chain.send(Draft { gas: 50_000, ..Draft::default() }, "poor");
    assert_eq!((receipt.status, receipt.gas_used), (Status::Success, 21_000));
    // 21,000 gas at 2 gwei are 0.000042 ETH; at 3,000 a whole one that is 0.126 of the token.
    let fee = U256::from(126_000);
    assert_eq!(due(21_000, PRICE, gold()), fee);
    assert_eq!(held(&chain, gold(), poor), U256::from(100_000_000) - fee);
    assert_eq!(held(&chain, gold(), RECIPIENT), fee);
    assert_eq!((native(&chain, poor), native(&chain, RECIPIENT)), (U256::ZERO, U256::ZERO));
    assert_eq!(receipt.logs.len(), 1);
    transfer_log(&receipt, gold(), poor, fee);
    assert_eq!(chain.vm.nonce(poor), 1);
}

#[test]
fn native_currency_pays_first_and_always_for_the_value() {
    // Enough for a value of 5 and the largest fee of 50,000 gas at 3 gwei.
    let enough = U256::from(5 + 50_000 * 3 * 1_000_000_000u64);
    let draft = || Draft { gas: 50_000, value: U256::from(5), ..Draft::default() };
    let mut chain = Chain::new(spec_with(enough, 100_000_000, 0));
    let poor = key("poor").address();
    let receipt = chain.send(draft(), "poor");
    assert!(receipt.logs.is_empty());
    assert_eq!(held(&chain, gold(), poor), U256::from(100_000_000));
    assert_eq!(native(&chain, poor), enough - U256::from(5 + 21_000 * PRICE));

    // One wei less, and the token pays for all of the fee.
    let less = enough - U256::ONE;
    let mut chain = Chain::new(spec_with(less, 100_000_000, 0));
    let receipt = chain.send(draft(), "poor");
    let fee = due(receipt.gas_used, PRICE, gold());
    transfer_log(&receipt, gold(), poor, fee);
    assert_eq!(native(&chain, poor), less - U256::from(5));
    assert_eq!(native(&chain, Address::repeat_byte(0x77)), U256::from(5));

    // The value is never paid in a token.
    let mut chain = Chain::new(spec_with(U256::from(4), 100_000_000, 0));
    let receipts = chain.block(&[draft().sign(&key("poor"))]);
    assert_eq!(refusal(&receipts[0]), RejectCode::InsufficientBalance);
    assert_eq!(held(&chain, gold(), poor), U256::from(100_000_000));
}

#[test]
fn the_first_token_with_enough_for_the_largest_fee_pays() {
    let draft = || Draft { gas: 50_000, ..Draft::default() };
    // 50,000 gas at the largest price of 3 gwei.
    let most = 450_000;
    assert_eq!(due(50_000, 3_000_000_000, gold()), U256::from(most));
    let poor = key("poor").address();
    for (gold_held, dust_held, payer) in [
        (most, 1_000, Some(gold())),
        (most - 1, 1_000, Some(dust())),
        (most - 1, 1, Some(dust())),
        (most - 1, 0, None),
    ] {
        let mut chain = Chain::new(spec_with(U256::ZERO, gold_held, dust_held));
        let signed = draft().sign(&key("poor"));
        let checked = check(&chain.spec, &signed).unwrap();
        let expected = chain.vm.precheck(&checked);
        let receipts = chain.block(&[signed]);
        let Some(payer) = payer else {
            assert_eq!(refusal(&receipts[0]), RejectCode::InsufficientBalance);
            let refused = expected.unwrap_err();
            assert_eq!(refused.code, RejectCode::InsufficientBalance);
            assert!(refused.to_string().contains("no token that fees may be paid in"), "{refused}");
            assert_eq!(chain.vm.nonce(poor), 0);
            continue;
        };
        expected.unwrap();
        let receipt = payload(&receipts[0]);
        let fee = due(21_000, PRICE, payer);
        transfer_log(&receipt, payer, poor, fee);
        assert_eq!(held(&chain, payer, RECIPIENT), fee);
    }
    // 0.000042 ETH at 7 units a whole one are less than one unit: rounded up, never free.
    assert_eq!(due(21_000, PRICE, dust()), U256::ONE);
}

#[test]
fn what_does_not_succeed_pays_as_well_and_says_so() {
    for (to, gas, status) in [
        (Address::repeat_byte(0x51), 100_000, Status::Reverted),
        (Address::repeat_byte(0x52), 30_000, Status::Halted),
    ] {
        let mut chain = Chain::new(spec_with(U256::ZERO, 100_000_000, 0));
        // The factory creates a contract from code that burns everything.
        let input = if status == Status::Halted { hex("fe") } else { word(0) };
        let draft = Draft { to: Some(to), gas, input, ..Draft::default() };
        let receipt = chain.send(draft, "poor");
        assert_eq!(receipt.status, status, "{receipt:?}");
        let fee = due(receipt.gas_used, PRICE, gold());
        assert_eq!(receipt.logs.len(), 1);
        transfer_log(&receipt, gold(), key("poor").address(), fee);
        assert_eq!(held(&chain, gold(), RECIPIENT), fee);
        assert_eq!(chain.nonce("poor"), 1);
    }
}

/// An environment whose fees may be paid in a token of its bridge.
fn bridged_chain() -> (Chain, FeeToken) {
    let mut spec = bridged_spec();
    let mut vm = EvmVm::<Resident>::new(identity(), spec.clone(), 0);
    vm.genesis();
    let token = vm.bridged_token(USD).unwrap();
    let fee_token = FeeToken { token, balances_slot: U256::ZERO, price: 3_000_000_000 };
    spec.fee_tokens = vec![fee_token];
    let mut chain = Chain::new(spec);
    // What must not be needed is tried in the other tests: a token is large.
    chain.thorough = false;
    (chain, fee_token)
}

/// A transfer of a token.
fn pay(token: Address, amount: U256) -> Draft {
    let words = [padded(Address::repeat_byte(0x88)), amount.to_be_bytes::<32>().to_vec()];
    let input = call_data("transfer(address,uint256)", &words);
    Draft { to: Some(token), gas: 100_000, input, ..Draft::default() }
}

#[test]
fn a_bridged_token_pays_for_its_own_transfer_at_the_price_of_any_other() {
    let (mut chain, fee_token) = bridged_chain();
    let pay = |amount| pay(fee_token.token, amount);
    let (poor, rich) = (key("poor").address(), key("a").address());
    let million = U256::from(1_000_000_000_000u64);
    let open = Step::Open(chain.next());
    chain.run(&[
        open,
        Step::Receive(arriving(0, USD, poor, million)),
        Step::Receive(arriving(0, USD, rich, million)),
        Step::Receive(arriving(0, USD, RECIPIENT, U256::ONE)),
    ]);
    let natively = chain.send(pay(U256::ONE), "a");
    let start = held(&chain, fee_token, RECIPIENT);
    // So that the receiver's slot is written by the second as by the first.
    let first = chain.send(pay(U256::ONE), "b");
    assert_eq!(first.status, Status::Reverted, "nothing to pay with");
    let receipt = chain.send(pay(U256::ONE), "poor");
    assert_eq!((natively.status, receipt.status), (Status::Success, Status::Success));
    // The receiver's slot is new in the first. The sender's is warm in the second, which makes one SLOAD
    // cheaper, and nothing else of what a transfer costs is any different.
    let new_slot = 20_000 - 2_900;
    assert_eq!(natively.gas_used - new_slot - receipt.gas_used, 2_100 - 100);
    let fee = due(receipt.gas_used, PRICE, fee_token);
    assert_eq!(receipt.logs.len(), 2);
    transfer_log(&receipt, fee_token, poor, fee);
    assert_eq!(held(&chain, fee_token, poor), million - U256::ONE - fee);
    assert_eq!(held(&chain, fee_token, RECIPIENT), start + fee);

    // All that is left but the largest fee may be sent, and no unit more.
    let left = held(&chain, fee_token, poor);
    let taken = due(100_000, PRICE, fee_token);
    let too_much = Draft { nonce: 1, ..pay(left - taken + U256::ONE) };
    let receipt = chain.send(too_much, "poor");
    assert_eq!(receipt.status, Status::Reverted);
    let left = left - due(receipt.gas_used, PRICE, fee_token);
    let receipt = chain.send(Draft { nonce: 2, ..pay(left - taken) }, "poor");
    assert_eq!(receipt.status, Status::Success);
    let fee = due(receipt.gas_used, PRICE, fee_token);
    assert_eq!(held(&chain, fee_token, poor), taken - fee);
}

#[test]
fn a_recipient_who_pays_pays_to_itself() {
    let mut spec = spec_with(U256::ZERO, 100_000_000, 0);
    spec.fee_recipient = key("poor").address();
    let mut chain = Chain::new(spec);
    let receipt = chain.send(Draft::default(), "poor");
    assert_eq!(receipt.logs.len(), 1);
    assert_eq!(held(&chain, gold(), key("poor").address()), U256::from(100_000_000));
}

#[test]
fn authorizations_are_paid_for_in_a_token() {
    let mut chain = Chain::new(spec_with(U256::ZERO, 100_000_000, 0));
    let lent = authorize(&key("a"), CHAIN_ID, Address::repeat_byte(0x51), 0);
    let receipt =
        chain.send(Draft { kind: 4, authorizations: vec![lent], ..Draft::default() }, "poor");
    assert_eq!(receipt.status, Status::Success);
    transfer_log(&receipt, gold(), key("poor").address(), due(receipt.gas_used, PRICE, gold()));
    assert_eq!(chain.vm.nonce(key("a").address()), 1);
}

#[test]
fn calls_and_estimates_know_that_a_token_pays() {
    let chain = Chain::new(spec_with(U256::ZERO, 100_000_000, 0));
    let request = CallRequest {
        from: key("poor").address(),
        to: Some(Address::repeat_byte(0x51)),
        input: word(7).into(),
        max_fee_per_gas: Some(3 * GWEI),
        max_priority_fee_per_gas: Some(GWEI),
        ..CallRequest::default()
    };
    let outcome = chain.vm.call(&request).unwrap();
    assert_eq!((&outcome.output[..], outcome.logs.len()), (&word(7)[..], 1), "no fee's log");
    let estimate = chain.vm.estimate_gas(&request).unwrap();
    assert!((outcome.gas_used..outcome.gas_used * 102 / 100).contains(&estimate), "{estimate}");
    // Who has 30,000 gas worth of it has too little.
    let few = Chain::new(spec_with(U256::ZERO, 270_000, 0));
    assert!(few.vm.estimate_gas(&request).is_err());
    // Without a price nothing is paid in a token, and a value that nobody has is refused as ever.
    let sends = CallRequest { value: U256::ONE, max_fee_per_gas: None, ..request.clone() };
    let sends = CallRequest { max_priority_fee_per_gas: None, ..sends };
    let Err(CallError::Invalid(refused)) = chain.vm.call(&sends) else { panic!("no money") };
    assert_eq!(refused.code, RejectCode::InsufficientBalance);
    let free = CallRequest { max_fee_per_gas: None, max_priority_fee_per_gas: None, ..request };
    assert_eq!(few.vm.call(&free).unwrap().output[..], word(7));
}

#[test]
fn an_estimate_leaves_what_the_transaction_itself_sends() {
    let (mut chain, fee_token) = bridged_chain();
    let million = U256::from(1_000_000_000_000u64);
    let open = Step::Open(chain.next());
    chain.run(&[open, Step::Receive(arriving(0, USD, key("poor").address(), million))]);
    let request = |amount: U256| CallRequest {
        from: key("poor").address(),
        to: Some(fee_token.token),
        input: pay(fee_token.token, amount).input.into(),
        max_fee_per_gas: Some(3 * GWEI),
        ..CallRequest::default()
    };
    // A call has all of it to send, whatever the gas that it might use would cost.
    chain.vm.call(&request(million)).unwrap();
    // An amount of as many bytes that are not zero: these cost more.
    let estimate = chain.vm.estimate_gas(&request(million - U256::from(0x0011_1111))).unwrap();
    let most = million - due(estimate, 3_000_000_000, fee_token);
    assert_eq!(chain.vm.estimate_gas(&request(most)), Ok(estimate));
    assert!(chain.vm.estimate_gas(&request(most + U256::ONE)).is_err());
    let receipt = chain.send(Draft { gas: estimate, ..pay(fee_token.token, most) }, "poor");
    assert_eq!(receipt.status, Status::Success);
}

#[test]
fn a_spec_says_what_is_wrong_with_its_tokens() {
    let refused = |tokens: Vec<FeeToken>| {
        EvmSpec { fee_tokens: tokens, ..spec() }.validate().unwrap_err().to_string()
    };
    assert!(refused(vec![gold(), gold()]).starts_with("fee_tokens[1].token is"));
    let nobody = FeeToken { token: Address::ZERO, ..gold() };
    assert!(refused(vec![nobody]).starts_with("fee_tokens[0].token is"));
    let free = FeeToken { price: 0, ..gold() };
    assert!(refused(vec![free]).starts_with("fee_tokens[0].price is 0, expected more than zero"));
    let many = (1..=FEE_TOKENS_MAX as u8 + 1)
        .map(|n| FeeToken { token: Address::repeat_byte(n), ..gold() });
    assert!(refused(many.collect()).starts_with("fee_tokens is 17, expected at most 16"));
    let spec = spec_with(U256::ZERO, 1, 2);
    assert_eq!(EvmSpec::from_bytes(&spec.to_bytes()).unwrap(), spec);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Tokens are conserved, nobody but payer and recipient is touched, and the fee is what the formula
    /// says, whatever is held and asked.
    #[test]
    fn tokens_are_conserved(
        native_held in prop_oneof![Just(0u64), 0..200_000_000_000_000u64],
        gold_held in prop_oneof![Just(0u64), 0..2_000_000u64],
        dust_held in 0..5u64,
        sent in prop::collection::vec((0..5u64, 22_000..120_000u64, 0..3u8, 1..4u64), 1..5),
    ) {
        let mut chain = Chain::new(spec_with(U256::from(native_held), gold_held, dust_held));
        chain.thorough = false;
        let poor = key("poor").address();
        for (value, gas, to, max_fee) in sent {
            let draft = Draft {
                nonce: chain.nonce("poor"),
                value: U256::from(value),
                gas,
                max_fee: u128::from(max_fee) * GWEI,
                tip: GWEI.min(u128::from(max_fee) * GWEI),
                to: Some([Address::repeat_byte(0x77), Address::repeat_byte(0x51), GOLD][usize::from(to)]),
                input: word(value),
                ..Draft::default()
            };
            let before = native(&chain, poor);
            let had = [gold(), dust()].map(|token| held(&chain, token, poor));
            let max_cost = U256::from(gas) * U256::from(draft.max_fee);
            let receipts = chain.block(&[draft.sign(&key("poor"))]);
            let now = [gold(), dust()].map(|token| held(&chain, token, poor));
            let price = 2.min(max_fee) * 1_000_000_000;
            if receipts[0].payload.is_empty() {
                prop_assert_eq!((before, had), (native(&chain, poor), now));
                continue;
            }
            let receipt = payload(&receipts[0]);
            let moved = match receipt.status {
                Status::Success => U256::from(value),
                _ => U256::ZERO,
            };
            if before >= U256::from(value) + max_cost {
                let cost = U256::from(receipt.gas_used * price);
                prop_assert_eq!((native(&chain, poor), now), (before - moved - cost, had));
                continue;
            }
            let gold_pays = had[0] >= due(gas, max_fee * 1_000_000_000, gold());
            let fee = due(receipt.gas_used, price, if gold_pays { gold() } else { dust() });
            let paid = if gold_pays { [fee, U256::ZERO] } else { [U256::ZERO, fee] };
            prop_assert_eq!(native(&chain, poor), before - moved);
            prop_assert_eq!(now, [had[0] - paid[0], had[1] - paid[1]]);
        }
        let all = |token| held(&chain, token, poor) + held(&chain, token, RECIPIENT);
        prop_assert_eq!((all(gold()), all(dust())), (U256::from(gold_held), U256::from(dust_held)));
    }
}
