//! Random blocks and random code: cutting a block into ranges changes nothing, and every range runs
//! from its witness alone.

mod evm_common;

use atoll_state::{Object, Resident, object};
use atoll_types::{Address, B256, Decode, U256};
use atoll_vm::Vm;
use atoll_vm::evm::objects::{Account, AccountKey, SlotKey, StorageSlot};
use atoll_vm::evm::{At, CallRequest, EvmVm, prev_randao};
use evm_common::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
struct Op {
    from: usize,
    what: u8,
    argument: u64,
    nonce_off: bool,
    cut: bool,
}

fn op() -> impl Strategy<Value = Op> {
    let parts = (0..3usize, 0..8u8, 0..4u64, prop::bool::weighted(0.1), prop::bool::weighted(0.3));
    parts.prop_map(|(from, what, argument, nonce_off, cut)| Op {
        from,
        what,
        argument,
        nonce_off,
        cut,
    })
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn draft(op: &Op, nonce: u64) -> Draft {
    let nonce = nonce + u64::from(op.nonce_off);
    let base = Draft { nonce, value: U256::from(op.argument), ..Draft::default() };
    let to = |byte| Some(Address::repeat_byte(byte));
    match op.what {
        0 => base,
        1 => Draft { to: to(0x51), input: word(op.argument), ..base },
        2 => Draft { to: to(0x52), input: init_code(STORE), ..base },
        3 => Draft { to: to(0x53), ..base },
        4 => Draft { to: to(0x54), input: word(op.argument), ..base },
        5 => Draft { to: None, input: hex("30ff"), ..base },
        6 => {
            let store = Address::repeat_byte(0x51);
            let authorizations = vec![authorize(&key("b"), CHAIN_ID, store, op.argument)];
            let to = Some(key("b").address());
            Draft { kind: 4, to, input: word(op.argument), authorizations, ..base }
        }
        _ => Draft { to: None, input: init_code(SUICIDE), gas: 60_000, ..base },
    }
}

fn sorted(chain: &mut Chain) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let all = object::export(&mut chain.vm);
    let mut all: Vec<_> = all.iter().map(|(k, v)| (k.to_vec(), v.map(<[u8]>::to_vec))).collect();
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn ranges_are_functions_of_their_witness(
        blocks in prop::collection::vec(prop::collection::vec(op(), 0..8), 1..5)
    ) {
        let mut whole = Chain::new(spec());
        let mut cut = Chain::new(spec());
        for ops in &blocks {
            let context = whole.next();
            cut.next();
            let mut nonces = NAMES.map(|name| whole.nonce(name));
            let mut all = vec![Step::Open(context)];
            let mut pieces = vec![vec![Step::Open(context)]];
            for op in ops {
                let bytes = draft(op, nonces[op.from]).sign(&key(NAMES[op.from]));
                if !op.nonce_off {
                    nonces[op.from] += 1;
                }
                all.push(Step::Send(bytes.clone()));
                if op.cut {
                    pieces.push(vec![Step::Resume(context)]);
                }
                pieces.last_mut().unwrap().push(Step::Send(bytes));
            }
            let receipts = whole.run(&all);
            let in_pieces: Vec<_> = pieces.iter().flat_map(|piece| cut.run(piece)).collect();
            prop_assert_eq!(receipts, in_pieces);
        }
        prop_assert_eq!(sorted(&mut whole), sorted(&mut cut));
    }

    #[test]
    fn any_code_runs_from_its_witness(
        code in prop::collection::vec(prop_oneof![
            Just(0x5f), Just(0x60), Just(0x35), Just(0x5b), 0u8..=255, 0x30u8..=0x5f, 0xf0u8..=0xff
        ], 1..80),
        input in prop::collection::vec(any::<u8>(), 0..64),
        create in any::<bool>(),
    ) {
        let mut spec = spec();
        if code[0] != 0xef {
            spec.genesis[3].code = code.clone().into();
        }
        let mut chain = Chain::new(spec);
        let (to, input) = match create {
            true => (None, code),
            false => (Some(Address::repeat_byte(0x51)), input),
        };
        let draft = Draft { to, input, gas: 200_000, value: U256::from(7), ..Draft::default() };
        let bytes = [0, 1].map(|nonce| Draft { nonce, ..draft.clone() }.sign(&key("a")));
        let receipts = chain.block(&bytes);
        prop_assert!(receipts.iter().all(|receipt| !receipt.payload.is_empty()));
    }
}

type Objects = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// The state `at` is that of a VM which was given these objects alone.
fn assert_left(vm: &EvmVm<Resident>, at: At, objects: &Objects, keys: &BTreeSet<Vec<u8>>) {
    let mut alone = EvmVm::<Resident>::new(identity(), vm.spec().clone(), 3);
    for (key, value) in objects {
        object::load(&mut alone, key, value.as_deref()).unwrap();
    }
    let number = alone.block().number;
    for key in keys {
        if key[0] == Account::TAG {
            let AccountKey(address) = AccountKey::from_bytes(&key[1..]).unwrap();
            let found = (vm.balance_at(address, at), vm.nonce_at(address, at));
            assert_eq!(found, (alone.balance(address), alone.nonce(address)), "{address} {number}");
            assert_eq!(vm.code_at(address, at), alone.code(address), "{address} {number}");
        }
        if key[0] == StorageSlot::TAG {
            let SlotKey { address, slot } = SlotKey::from_bytes(&key[1..]).unwrap();
            let found = vm.storage_at(address, slot, at);
            assert_eq!(found, alone.storage(address, slot), "{address} {slot} {number}");
        }
    }
    // Through revm, in that block.
    let (to, parent) = (Some(Address::repeat_byte(0x54)), number.saturating_sub(1));
    let call = CallRequest { to, input: word(parent).into(), ..CallRequest::default() };
    assert_eq!(vm.call_at(&call, at), alone.call(&call));
    let mut block = alone.simulation(At::Open).block().clone();
    let randao = if number == 0 { B256::ZERO } else { prev_randao(header_hash(parent)) };
    block.prevrandao = Some(randao);
    assert_eq!(*vm.simulation(at).block(), block);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn recent_blocks_have_the_states_that_they_left(
        blocks in prop::collection::vec(prop::collection::vec(op(), 0..6), 1..9),
        bytes_max in prop_oneof![Just(usize::MAX), 200..4_000usize],
    ) {
        let mut chain = Chain::new(spec());
        chain.vm.keep_recent(bytes_max);
        let mut left = vec![sorted(&mut chain)];
        let mut keys: BTreeSet<_> = left[0].iter().map(|(key, _)| key.clone()).collect();
        let assert_all = |vm: &EvmVm<Resident>, left: &[Objects], keys: &BTreeSet<Vec<u8>>| {
            for (number, objects) in left.iter().enumerate() {
                match vm.at(number as u64) {
                    Some(at) => assert_left(vm, at, objects, keys),
                    None => assert!(bytes_max < usize::MAX && number + 1 < left.len()),
                }
            }
            assert!(vm.at(left.len() as u64).is_none(), "a block that is not sealed");
        };
        for ops in &blocks {
            let context = chain.next();
            chain.vm.open_slot(&context);
            for op in ops {
                let bytes = draft(op, chain.nonce(NAMES[op.from])).sign(&key(NAMES[op.from]));
                chain.vm.execute(&check(&chain.spec, &bytes).unwrap());
            }
            assert_all(&chain.vm, &left, &keys);
            seal(&mut chain.vm);
            left.push(sorted(&mut chain));
            keys.extend(left[left.len() - 1].iter().map(|(key, _)| key.clone()));
            assert_all(&chain.vm, &left, &keys);
        }
    }
}
