//! Messages on a state that is otherwise, blocks that are only thought of, and traces.
#![cfg(feature = "trace")]

mod evm_common;

use atoll_state::Resident;
use atoll_types::{Address, B256, RejectCode, U256};
use atoll_vm::evm::simulate::blocks::{
    BlockRequest, Failure, SIMULATED_BLOCKS_MAX, SimulateError, SimulateOptions,
};
use atoll_vm::evm::simulate::{AccountOverride, BlockOverride, Simulation, StorageOverride};
use atoll_vm::evm::trace::{Exceeded, GethTrace, TraceError, TraceLimits, TracedPlace, Tracer};
use atoll_vm::evm::{At, CallError, CallRequest, Precompile};
use evm_common::*;
use serde_json::{Value, json};

/// Returns the storage slot that its argument names.
const READ: &str = "5f35545f5260205ff3";
/// Returns number, time, fee recipient, PREVRANDAO, gas limit, base fee and blob base fee.
const BLOCK: &str = "435f5242602052416040524460605245608052486 0a0524a60c05260e05ff3";
/// Goes round and round.
const LOOP: &str = "5b5f56";
/// Calls 0x5151…51 with a word of 7, then reverts with what that returned.
const CALL_AND_REVERT: &str =
    "60075f5260205f60205f5f7351515151515151515151515151515151515151515af15060205ffd";

fn at(byte: u8) -> Address {
    Address::repeat_byte(byte)
}

fn call(to: u8, input: Vec<u8>) -> CallRequest {
    CallRequest {
        from: key("a").address(),
        to: Some(at(to)),
        input: input.into(),
        ..CallRequest::default()
    }
}

fn code(text: &str) -> AccountOverride {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    AccountOverride { code: Some(hex(&text).into()), ..AccountOverride::default() }
}

fn read(simulation: &mut Simulation<'_, Resident>, to: u8, argument: u64) -> U256 {
    let outcome = simulation.call(&call(to, word(argument))).unwrap();
    U256::from_be_slice(&outcome.output)
}

#[test]
fn accounts_are_otherwise() {
    let chain = Chain::new(spec());
    let reader = |storage| AccountOverride { storage, ..code(READ) };
    let mut simulation = chain.vm.simulation(At::Open);
    let slots = vec![(U256::from(5), U256::from(7))];
    let changed = StorageOverride::Change(slots.clone());
    simulation.override_state(&vec![(at(0x51), reader(changed))]).unwrap();
    assert_eq!(
        (read(&mut simulation, 0x51, 5), read(&mut simulation, 0x51, 9)),
        (U256::from(7), U256::from(10))
    );
    let replaced = StorageOverride::Replace(slots);
    simulation.override_state(&vec![(at(0x51), reader(replaced))]).unwrap();
    assert_eq!(
        (read(&mut simulation, 0x51, 5), read(&mut simulation, 0x51, 9)),
        (U256::from(7), U256::ZERO)
    );
    // An account that is not there, with code and money; a message from one that has none.
    let rich = AccountOverride { balance: Some(U256::from(1_000)), ..AccountOverride::default() };
    let pays = CallRequest { from: at(0x99), value: U256::from(1_000), ..call(0x98, vec![]) };
    assert!(matches!(simulation.call(&pays), Err(CallError::Invalid(_))));
    simulation.override_state(&vec![(at(0x99), rich), (at(0x98), code(READ))]).unwrap();
    assert_eq!(simulation.balance(at(0x99)), U256::from(1_000));
    simulation.call(&pays).unwrap();
    assert_eq!(simulation.estimate_gas(&pays).unwrap() / 1_000, 23);
    // A delegation that is not one.
    let broken = simulation.override_state(&vec![(at(0x97), code("ef0100"))]).unwrap_err();
    assert_eq!(broken.code, RejectCode::Malformed);
    // Nothing of it is in the state.
    assert_eq!(chain.vm.balance(at(0x99)), U256::ZERO);
    assert_eq!(chain.vm.storage(at(0x51), U256::from(9)), U256::from(10));
}

#[test]
fn precompiled_contracts_are_elsewhere() {
    let mut spec = spec();
    spec.gas = spec.gas.with_factor("identity", 5).unwrap();
    let chain = Chain::new(spec);
    let identity = Address::with_last_byte(4);
    let moved = |to| AccountOverride { precompile_to: Some(to), ..AccountOverride::default() };
    let asks = |to| CallRequest { to: Some(to), ..call(0, word(7)) };
    let mut simulation = chain.vm.simulation(At::Open);
    let at_home = simulation.call(&asks(identity)).unwrap();
    assert_eq!(at_home.output[..], word(7));
    simulation.override_state(&vec![(identity, moved(at(0x51)))]).unwrap();
    let elsewhere = simulation.call(&asks(at(0x51))).unwrap();
    assert_eq!(elsewhere, at_home, "what it does and what it costs, though a contract was there");
    assert!(simulation.call(&asks(identity)).unwrap().output.is_empty());
    // One that only has code is a contract from then on, and the other is back.
    let sha256 = Address::with_last_byte(2);
    simulation.override_state(&vec![(sha256, code(READ))]).unwrap();
    assert_eq!(simulation.call(&asks(sha256)).unwrap().output[..], word(0));
    assert_eq!(simulation.call(&asks(identity)).unwrap(), at_home);
    // Both may change places only by way of somewhere else.
    for (wanted, why) in [
        (vec![(at(0x51), moved(at(0x52)))], "is not a precompile"),
        (vec![(identity, moved(identity))], "is already overridden"),
        (vec![(identity, moved(sha256)), (sha256, moved(at(0x51)))], "is already overridden"),
        (vec![(identity, moved(at(0x51))), (sha256, moved(at(0x51)))], "two precompiles"),
    ] {
        let refused = simulation.override_state(&wanted).unwrap_err();
        assert_eq!(refused.code, RejectCode::Malformed);
        assert!(refused.to_string().contains(why), "{why}: {refused}");
    }
}

#[test]
fn the_block_is_otherwise() {
    let chain = Chain::new(spec());
    let mut simulation = chain.vm.simulation(At::Open);
    simulation.override_state(&vec![(at(0x51), code(BLOCK))]).unwrap();
    simulation.override_block(&BlockOverride {
        number: Some(U256::from(77)),
        timestamp: Some(78),
        gas_limit: Some(79),
        beneficiary: Some(at(0x80)),
        prev_randao: Some(B256::repeat_byte(0x81)),
        base_fee: Some(82),
        blob_base_fee: Some(83),
    });
    let priced = CallRequest { max_fee_per_gas: Some(100), ..call(0x51, vec![]) };
    let output = simulation.call(&priced).unwrap().output;
    let words: Vec<U256> = output.chunks(32).map(U256::from_be_slice).collect();
    let most = U256::from(u64::MAX);
    let address = U256::from_be_slice(at(0x80).as_slice());
    let randao = U256::from_be_bytes(B256::repeat_byte(0x81).0);
    let n = |number: u64| U256::from(number);
    // Calls are not held to the block's gas limit.
    assert_eq!(words, [n(77), n(78), address, randao, most, n(82), n(83)]);
    // What offers no price is asked for none.
    let output = simulation.call(&call(0x51, vec![])).unwrap().output;
    assert_eq!(U256::from_be_slice(&output[160..192]), U256::ZERO);
}

#[test]
fn an_access_list_names_what_is_touched() {
    let chain = Chain::new(spec());
    let mut simulation = chain.vm.simulation(At::Open);
    let stores = call(0x51, word(3));
    let touched = simulation.access_list(&stores).unwrap();
    assert_eq!(touched.list, [(at(0x51), vec![B256::ZERO])]);
    assert_eq!(touched.error, None);
    let with = CallRequest { access_list: touched.list.clone(), ..stores.clone() };
    assert_eq!(simulation.call(&with).unwrap().gas_used, touched.gas_used);
    assert_ne!(simulation.call(&stores).unwrap().gas_used, touched.gas_used);
    // One that fails has one all the same.
    let fails = simulation.access_list(&call(0x51, word(0))).unwrap();
    assert_eq!(fails.error, Some(CallError::Revert(word(99).into())));
    // Sender, callee and precompiled contracts are warm anyhow.
    let plain = simulation.access_list(&call(0x77, vec![])).unwrap();
    assert_eq!(plain.list, []);
}

fn block(calls: Vec<CallRequest>) -> BlockRequest {
    BlockRequest { calls, ..BlockRequest::default() }
}

#[test]
fn blocks_follow_one_another() {
    let mut chain = Chain::new(spec());
    chain.block(&[]);
    let head = chain.context.slot;
    let parent = B256::repeat_byte(0xaa);
    let pays = CallRequest { value: U256::from(5), ..call(0x77, vec![]) };
    let ahead = BlockOverride { number: Some(U256::from(head + 4)), ..BlockOverride::default() };
    let asks = |number: u64| call(0x54, word(number));
    let requests = [
        block(vec![call(0x51, word(3)), pays.clone(), call(0x51, word(0))]),
        BlockRequest { block: ahead, ..block(vec![asks(head), asks(head + 1), asks(head + 3)]) },
    ];
    let mut simulation = chain.vm.simulation(At::Open);
    let done = simulation.blocks(&requests, SimulateOptions::default(), parent).unwrap();
    let numbers: Vec<u64> = done.iter().map(|block| block.number).collect();
    assert_eq!(numbers, [head + 1, head + 2, head + 3, head + 4]);
    assert!(
        done.windows(2).all(
            |two| two[1].parent_hash == two[0].hash && two[1].timestamp == two[0].timestamp + 1
        )
    );
    assert_eq!(done[0].parent_hash, parent);
    let [stored, paid, reverted] = &done[0].calls[..] else { panic!("three calls") };
    assert_eq!((stored.output.to_vec(), stored.logs.len()), (word(3), 1));
    assert_eq!((paid.gas_used, paid.failure.clone()), (21_000, None));
    assert_eq!(
        (reverted.output.to_vec(), reverted.failure.clone()),
        (word(99), Some(Failure::Reverted))
    );
    assert_eq!(done[0].gas_used, stored.gas_used + 21_000 + reverted.gas_used);
    let nonces = done[0].calls.iter().map(|call| call.request.nonce);
    assert_eq!(nonces.collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);
    // What BLOCKHASH gives is what the answer says.
    let hashes: Vec<B256> = done[3].calls.iter().map(|c| B256::from_slice(&c.output)).collect();
    assert_eq!(hashes, [parent, done[0].hash, done[2].hash]);
    // It is deterministic, and leaves nothing behind.
    let again = chain.vm.simulation(At::Open).blocks(&requests, SimulateOptions::default(), parent);
    assert_eq!(again.unwrap(), done);
    assert_eq!(chain.vm.balance(at(0x77)), U256::ZERO);
}

#[test]
fn transfers_are_shown_as_logs() {
    let chain = Chain::new(spec());
    let options = SimulateOptions { transfers: true, validate: false };
    let pays = CallRequest { value: U256::from(5), ..call(0x77, vec![]) };
    let done = chain.vm.simulation(At::Open).blocks(&[block(vec![pays])], options, B256::ZERO);
    let log = &done.unwrap()[0].calls[0].logs[0];
    assert_eq!(log.address, at(0xee));
    assert_eq!(log.topics[1], key("a").address().into_word());
    assert_eq!(log.topics[2], at(0x77).into_word());
    assert_eq!(log.data.to_vec(), word(5));
}

#[test]
fn simulations_are_validated_and_bounded() {
    let chain = Chain::new(spec());
    let run = |requests: &[BlockRequest], validate| {
        let options = SimulateOptions { transfers: false, validate };
        chain.vm.simulation(At::Open).blocks(requests, options, B256::ZERO).unwrap_err()
    };
    let plain = CallRequest { max_fee_per_gas: Some(2 * GWEI), ..call(0x77, vec![]) };
    let early = CallRequest { nonce: Some(1), ..plain.clone() };
    let refused = |error: SimulateError| error.reject().expect("a refusal");
    assert_eq!(refused(run(&[block(vec![early])], true)), RejectCode::NonceTooHigh);
    let cheap = CallRequest { max_fee_per_gas: Some(1), ..plain.clone() };
    assert!(matches!(run(&[block(vec![cheap])], true), SimulateError::BaseFee { offered: 1, .. }));
    let poor = CallRequest { from: at(0x99), ..plain.clone() };
    assert_eq!(refused(run(&[block(vec![poor])], true)), RejectCode::InsufficientBalance);
    let little = CallRequest { gas: Some(20_999), ..plain.clone() };
    assert_eq!(refused(run(&[block(vec![little])], true)), RejectCode::GasLimit);
    let numbered = |number: u64| BlockRequest {
        block: BlockOverride { number: Some(U256::from(number)), ..BlockOverride::default() },
        ..BlockRequest::default()
    };
    assert!(matches!(
        run(&[numbered(2), numbered(2)], false),
        SimulateError::Number { last: 2, .. }
    ));
    assert!(matches!(run(&[numbered(SIMULATED_BLOCKS_MAX + 1)], false), SimulateError::TooMuch(_)));
    let timed = BlockRequest {
        block: BlockOverride { timestamp: Some(0), ..BlockOverride::default() },
        ..BlockRequest::default()
    };
    assert!(matches!(run(&[timed], false), SimulateError::Timestamp { .. }));
    let large = CallRequest { gas: Some(30_000_001), ..plain.clone() };
    assert!(matches!(run(&[block(vec![large])], false), SimulateError::BlockGas { .. }));
    assert!(matches!(run(&[block(vec![plain; 1_001])], false), SimulateError::TooMuch(_)));
    // Each of these burns a block's gas: the second has what is left, the third nothing.
    let burns = BlockRequest {
        state: vec![(at(0x51), code(LOOP))],
        calls: vec![call(0x51, vec![])],
        ..BlockRequest::default()
    };
    assert!(matches!(
        run(&[burns.clone(), burns.clone(), burns], false),
        SimulateError::TooMuch(_)
    ));
}

fn shown(trace: GethTrace) -> Value {
    serde_json::to_value(trace).unwrap()
}

fn traced(
    simulation: &mut Simulation<'_, Resident>,
    request: &CallRequest,
    tracer: &Tracer,
) -> Value {
    let mut late = || false;
    let mut limits = TraceLimits::new(1 << 20, &mut late);
    shown(simulation.trace(request, tracer, &mut limits).unwrap().trace)
}

#[test]
fn messages_are_traced() {
    let chain = Chain::new(spec());
    let mut simulation = chain.vm.simulation(At::Open);
    simulation.override_state(&vec![(at(0x60), code(CALL_AND_REVERT))]).unwrap();
    let request = call(0x60, vec![]);

    let calls = traced(&mut simulation, &request, &Tracer::Calls { only_top: false, logs: true });
    assert_eq!((&calls["type"], &calls["to"]), (&json!("CALL"), &json!(at(0x60))));
    assert_eq!(calls["error"], "execution reverted");
    let inner = &calls["calls"][0];
    assert_eq!((&inner["to"], &inner["from"]), (&json!(at(0x51)), &json!(at(0x60))));
    assert_eq!(inner["input"], format!("0x{:064x}", 7));
    assert_eq!(inner["output"], format!("0x{:064x}", 7));
    // Logs of what was reverted are not shown; those of what stays are.
    assert_eq!(inner["logs"], Value::Null);
    let store = call(0x51, word(3));
    let stored = traced(&mut simulation, &store, &Tracer::Calls { only_top: true, logs: true });
    assert_eq!(stored["logs"][0]["topics"][0], format!("0x{:064x}", 42));
    let top = traced(&mut simulation, &request, &Tracer::Calls { only_top: true, logs: false });
    assert_eq!(top["calls"], Value::Null);

    let flat = traced(&mut simulation, &request, &Tracer::FlatCalls { precompiles: false });
    assert_eq!(flat.as_array().map(Vec::len), Some(2), "{flat}");
    assert_eq!(flat[1]["traceAddress"], json!([0]));

    let steps = traced(&mut simulation, &store, &Tracer::default());
    let logs = steps["structLogs"].as_array().expect("steps");
    assert_eq!(
        (&logs[0]["op"], &logs[0]["pc"], &logs[0]["depth"]),
        (&json!("PUSH0"), &json!(0), &json!(1))
    );
    assert_eq!(logs.last().expect("a step")["op"], "RETURN");
    assert_eq!((&steps["failed"], &logs[1]["stack"]), (&json!(false), &json!(["0x0"])));
    let three = Tracer::Steps {
        memory: false,
        stack: false,
        storage: false,
        return_data: false,
        limit: Some(3),
    };
    let few = traced(&mut simulation, &store, &three);
    assert_eq!(few["structLogs"].as_array().map(Vec::len), Some(3));
    assert_eq!(few["structLogs"][1]["stack"], Value::Null);

    let before = traced(
        &mut simulation,
        &store,
        &Tracer::Prestate { diff: false, code: true, storage: true },
    );
    let contract = &before[at(0x51).to_string().to_lowercase()];
    assert_eq!(contract["code"], format!("0x{STORE}"));
    let zero = format!("0x{:064x}", 0);
    assert_eq!(contract["storage"][&zero], zero);
    let diff = traced(
        &mut simulation,
        &store,
        &Tracer::Prestate { diff: true, code: false, storage: true },
    );
    let contract = at(0x51).to_string().to_lowercase();
    assert_eq!(diff["post"][&contract]["storage"][&zero], format!("0x{:064x}", 3), "{diff}");
    assert_eq!(diff["pre"][&contract]["code"], Value::Null);

    let selectors = traced(&mut simulation, &request, &Tracer::FourByte);
    assert_eq!(selectors, json!({ "0x00000000-28": 1 }));
}

#[test]
fn a_trace_ends_at_its_limits() {
    let chain = Chain::new(spec());
    let mut simulation = chain.vm.simulation(At::Open);
    simulation.override_state(&vec![(at(0x60), code(LOOP))]).unwrap();
    let request = call(0x60, vec![]);
    let mut late = || false;
    let mut limits = TraceLimits::new(100_000, &mut late);
    let error = simulation.trace(&request, &Tracer::default(), &mut limits).unwrap_err();
    assert_eq!(error, TraceError::Exceeded(Exceeded::Bytes(100_000)));
    // The same with little to show runs to the end of its gas.
    let few = Tracer::Steps {
        memory: false,
        stack: true,
        storage: false,
        return_data: false,
        limit: Some(9),
    };
    let small = CallRequest { gas: Some(1_000_000), ..request.clone() };
    let mut limits = TraceLimits::new(100_000, &mut late);
    let traced = simulation.trace(&small, &few, &mut limits).unwrap();
    assert_eq!((traced.success, traced.gas_used), (false, 1_000_000));
    let mut looks = 0;
    let mut late = || {
        looks += 1;
        looks > 3
    };
    let mut limits = TraceLimits::new(usize::MAX, &mut late);
    let tracer = Tracer::Calls { only_top: false, logs: false };
    let error = simulation.trace(&request, &tracer, &mut limits).unwrap_err();
    assert_eq!(error, TraceError::Exceeded(Exceeded::Time));
    // Accounts that were loaded are counted before they are shown.
    let mut late = || false;
    let mut limits = TraceLimits::new(1_000, &mut late);
    let tracer = Tracer::Prestate { diff: false, code: true, storage: true };
    let error = simulation.trace(&call(0x51, word(3)), &tracer, &mut limits).unwrap_err();
    assert_eq!(error, TraceError::Exceeded(Exceeded::Bytes(1_000)));
}

#[test]
fn an_environments_precompiles_are_precompiles_to_tracers() {
    let chain = Chain::new(spec());
    let mut simulation = chain.vm.simulation(At::Open);
    let precompile = Precompile::Ed25519.address();
    let asks = format!("365f5f375f5f365f73{precompile:x}5afa503d5f5f3e3d5ff3");
    simulation.override_state(&vec![(at(0x60), code(&asks.replace("0x", "")))]).unwrap();
    // RFC 8032, 7.1, test 2.
    let input = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c\
                 92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                 085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c0072";
    let request = call(0x60, hex(input));
    let calls = traced(&mut simulation, &request, &Tracer::Calls { only_top: false, logs: false });
    let inner = &calls["calls"][0];
    assert_eq!((&inner["type"], &inner["to"]), (&json!("STATICCALL"), &json!(precompile)));
    assert_eq!(inner["output"], format!("0x{:064x}", 1));
    for (precompiles, shown) in [(false, 1), (true, 2)] {
        let flat = traced(&mut simulation, &request, &Tracer::FlatCalls { precompiles });
        assert_eq!(flat.as_array().map(Vec::len), Some(shown), "{flat}");
    }
    assert_eq!(simulation.access_list(&request).unwrap().list, []);
}

#[test]
fn what_is_traced_is_what_is_executed() {
    let mut chain = Chain::new(spec());
    chain.block(&[]);
    let draft = Draft { to: Some(at(0x51)), input: word(3), ..Draft::default() };
    let bytes = draft.sign(&key("a"));
    let checked = check(&chain.spec, &bytes).unwrap();
    chain.next();
    let mut late = || false;
    let mut limits = TraceLimits::new(1 << 20, &mut late);
    let tracer = Tracer::Calls { only_top: false, logs: false };
    let traced = chain.vm.trace_ordered(&checked, &tracer, TracedPlace::default(), &mut limits);
    let traced = traced.unwrap();
    let executed = payload(&chain.run(&[Step::Send(bytes)])[0]);
    assert_eq!((traced.gas_used, traced.success), (executed.gas_used, true));
    assert_eq!(shown(traced.trace)["gasUsed"], format!("{:#x}", executed.gas_used));
}
