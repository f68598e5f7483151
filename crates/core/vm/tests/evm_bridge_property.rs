//! Random money in, around and out: what is inside is what came in less what went out, counted by
//! a twin that knows only deliveries and messages; and every piece runs from its witness.

mod evm_common;

use atoll_types::hub::MessageKind;
use atoll_types::{Address, Message, U256, keccak256};
use atoll_vm::evm::BRIDGE_ADDRESS;
use atoll_vm::{AssetAudit, Vm};
use evm_common::bridge::*;
use evm_common::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const NAMES: [&str; 3] = ["a", "b", "c"];
const TOKENS: [Address; 4] = [Address::ZERO, USD, BTC, UNLISTED];

#[derive(Clone, Debug)]
struct Op {
    what: u8,
    who: usize,
    other: usize,
    token: usize,
    amount: u64,
    destination: u32,
    cut: bool,
}

fn op() -> impl Strategy<Value = Op> {
    let cut = prop::bool::weighted(0.2);
    let parts = (0..9u8, 0..3usize, 0..3usize, 0..4usize, 0..40u64, 0..4u32, cut);
    parts.prop_map(|(what, who, other, token, amount, destination, cut)| Op {
        what,
        who,
        other,
        token,
        amount,
        destination,
        cut,
    })
}

fn delivery(op: &Op, bounce: bool) -> Message {
    let to = match op.amount {
        13 => Address::ZERO,
        _ => key(NAMES[op.other]).address(),
    };
    let amount = if op.amount == 39 { U256::MAX - U256::from(30) } else { U256::from(op.amount) };
    let kind = if bounce { MessageKind::Bounce } else { MessageKind::Transfer };
    Message { kind, ..arriving(op.destination, TOKENS[op.token], to, amount) }
}

fn draft(op: &Op, nonce: u64, contracts: &BTreeMap<Address, Address>) -> Draft {
    let (token, amount) = (TOKENS[op.token], U256::from(op.amount));
    let base = Draft { nonce, ..Draft::default() };
    let value = if token.is_zero() { amount } else { U256::ZERO };
    let there = key(NAMES[op.other]).address();
    let input = send(op.destination, token, there, amount);
    let through = |to| Draft { to: Some(to), value, input: input.clone(), ..base.clone() };
    match op.what {
        2 | 3 => through(BRIDGE_ADDRESS),
        4 => through(PROXY),
        5 => through(REVERTER),
        6 => through(IMPOSTOR),
        7 => {
            let signature = keccak256(b"MessageSent(uint32,address,address,address,uint256)");
            let words = [word(1), padded(token), padded(there), padded(there), word(op.amount)];
            let input = [signature.to_vec(), words.concat()].concat();
            Draft { to: Some(FORGER), input, ..base }
        }
        // Inside: to another account, or to the proxy, which may send it out later.
        _ => {
            let to = if op.destination == 0 { PROXY } else { there };
            match contracts.get(&token) {
                None => Draft { to: Some(there), value: amount, ..base },
                Some(contract) => {
                    let words = [padded(to), word(op.amount)];
                    let input = call_data("transfer(address,uint256)", &words);
                    Draft { to: Some(*contract), input, ..base }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn what_is_inside_is_what_came_in_less_what_went_out(
        blocks in prop::collection::vec(prop::collection::vec(op(), 0..10), 1..5)
    ) {
        let mut chain = Chain::new(bridged_spec());
        chain.thorough = false;
        let contracts: BTreeMap<_, _> =
            [USD, BTC].map(|token| (token, chain.vm.bridged_token(token).unwrap())).into();
        let genesis: U256 = chain.spec.genesis.iter().map(|account| account.balance).sum();
        let mut inside: BTreeMap<Address, U256> = [(Address::ZERO, genesis)].into();
        for ops in &blocks {
            let context = chain.next();
            let mut nonces = NAMES.map(|name| chain.nonce(name));
            let mut pieces = vec![vec![Step::Open(context)]];
            for op in ops {
                if op.cut {
                    pieces.push(vec![Step::Resume(context)]);
                }
                pieces.last_mut().unwrap().push(match op.what {
                    0 | 1 => Step::Receive(delivery(op, op.what == 1)),
                    _ => {
                        nonces[op.who] += 1;
                        let draft = draft(op, nonces[op.who] - 1, &contracts);
                        Step::Send(draft.sign(&key(NAMES[op.who])))
                    }
                });
            }
            for piece in &pieces {
                let receipts = chain.run(piece);
                let steps = piece.iter().filter(|s| matches!(s, Step::Receive(_) | Step::Send(_)));
                for (step, receipt) in steps.zip(&receipts) {
                    if let Step::Receive(message) = step {
                        prop_assert_eq!(receipt.messages.len(), usize::from(receipt.code != 0));
                        let sum = inside.entry(message.token).or_default();
                        *sum = sum.wrapping_add(message.amount);
                    } else if receipt.code != 0 {
                        prop_assert!(receipt.messages.is_empty());
                    }
                    for message in &receipt.messages {
                        prop_assert!(!message.amount.is_zero() || receipt.code != 0);
                        prop_assert_eq!(message.source, identity().environment);
                        let sum = inside.entry(message.token).or_default();
                        *sum = sum.wrapping_sub(message.amount);
                    }
                }
            }
        }
        let held = |token: Address| inside.get(&token).copied().unwrap_or_default();
        prop_assert_eq!(held(UNLISTED), U256::ZERO);
        let audits: Vec<AssetAudit> = chain.vm.audit();
        for (token, audit) in TOKENS.iter().zip(&audits) {
            prop_assert!(audit.conserved);
            prop_assert_eq!(&audit.owed, &held(*token).to_string());
        }
        for token in [USD, BTC] {
            let holders = NAMES.map(|name| key(name).address());
            let sum = holders.iter().chain(&[PROXY, IMPOSTOR, REVERTER, BRIDGE_ADDRESS]);
            let sum: U256 = sum.map(|holder| chain.token_balance(token, *holder)).sum();
            prop_assert_eq!(sum, held(token));
        }
        prop_assert_eq!(chain.vm.balance(BRIDGE_ADDRESS), U256::ZERO);
    }
}
