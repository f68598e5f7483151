use super::super::{BUILT_IN, parse};
use super::*;
use alloy_sol_types::{SolCall, sol};
use atoll_executor::spec::VmSpec;
use atoll_state::Resident;
use atoll_types::{EnvironmentId, NetworkId};
use atoll_vm::evm::{At, CallOutcome, CallRequest, EvmSpec, EvmVm};
use atoll_vm::{Identity, SlotContext, Vm};

sol! {
    struct Call3 { address target; bool allowFailure; bytes callData; }
    struct Answer { bool success; bytes returnData; }
    function aggregate3(Call3[] calls) returns (Answer[]);
    function getChainId() returns (uint256);
    function getBlockNumber() returns (uint256);
    function DOMAIN_SEPARATOR() returns (bytes32);
}

fn evm_spec(text: &str) -> Result<EvmSpec> {
    match parse("x.toml", text)?.vm {
        VmSpec::Evm(spec) => Ok(spec),
        _ => panic!("an EVM"),
    }
}

/// The built-in environment, with another chain id if that is wanted.
fn chain(chain_id: u64) -> EvmVm<Resident> {
    let text = BUILT_IN[1].1.replace("chain_id = 3002", &format!("chain_id = {chain_id}"));
    let spec = evm_spec(&text).unwrap();
    assert_eq!((spec.chain_id, spec.precompiles), (chain_id, PrecompileSet::ALL));
    let network = NetworkId(B256::repeat_byte(1));
    let identity = Identity { network, environment: EnvironmentId(2) };
    let mut vm = EvmVm::new(identity, spec, 7);
    atoll_state::object::begin(&mut vm);
    vm.genesis();
    vm.open_slot(&SlotContext { slot: 1, time_us: 1_000_000, parent: B256::ZERO });
    vm
}

fn address_of(name: &str) -> Address {
    let (_, json) = PREDEPLOYS.into_iter().find(|(known, _)| *known == name).unwrap();
    committed(json).unwrap().0
}

fn call(vm: &EvmVm<Resident>, to: Address, input: Vec<u8>) -> CallOutcome {
    let request = CallRequest { to: Some(to), input: input.into(), ..CallRequest::default() };
    vm.call(&request).unwrap()
}

#[test]
fn committed_code_is_that_of_mainnet() {
    for (name, json) in PREDEPLOYS {
        let file: Value = serde_json::from_str(json).unwrap();
        let (_, code) = committed(json).unwrap();
        assert_eq!(keccak256(&code).to_string(), file["mainnetCodeHash"], "{name}");
        assert!(["MIT", "Unlicense"].contains(&file["licence"].as_str().unwrap()));
    }
    // The places of the immutables are where mainnet's own values are.
    let (address, mainnet) = committed(PREDEPLOYS[2].1).unwrap();
    let mut code = mainnet.clone();
    set_permit2_immutables(&mut code, address, 1).unwrap();
    assert_eq!(code, mainnet);
}

#[test]
fn permit2_has_the_domain_separator_of_its_chain() {
    let permit2 = address_of(PERMIT2);
    for chain_id in [1, 3002, 1 << 40] {
        let vm = chain(chain_id);
        let answer = call(&vm, permit2, DOMAIN_SEPARATORCall {}.abi_encode());
        let separator = permit2_domain_separator(permit2, chain_id);
        assert_eq!(answer.output[..], separator[..]);
        // It is read, and not computed: hashing it anew would cost more.
        let mut mainnet = committed(PREDEPLOYS[2].1).unwrap().1;
        set_permit2_immutables(&mut mainnet, permit2, chain_id + 1).unwrap();
        let mut other = vm.simulation(At::Open);
        let code = atoll_vm::evm::simulate::AccountOverride {
            code: Some(mainnet.into()),
            ..Default::default()
        };
        other.override_state(&vec![(permit2, code)]).unwrap();
        let input = DOMAIN_SEPARATORCall {}.abi_encode().into();
        let request = CallRequest { to: Some(permit2), input, ..CallRequest::default() };
        let computed = other.call(&request).unwrap();
        assert_eq!(computed.output, answer.output);
        assert!(computed.gas_used > answer.gas_used + 200, "{chain_id}");
    }
    let mainnet = permit2_domain_separator(permit2, 1).to_string();
    assert_eq!(mainnet, "0x866a5aba21966af95d6c7ab78eb2b2fc913915c28be3b9aa07cc04ff903e3f28");
}

#[test]
fn multicall3_answers_many_calls_at_once() {
    let (vm, multicall) = (chain(3002), address_of("multicall3"));
    let asks = |target, call_data: Vec<u8>| Call3 {
        target,
        allowFailure: true,
        callData: call_data.into(),
    };
    let calls = vec![
        asks(multicall, getChainIdCall {}.abi_encode()),
        asks(multicall, getBlockNumberCall {}.abi_encode()),
        asks(multicall, vec![1, 2, 3, 4]),
        asks(address_of(PERMIT2), DOMAIN_SEPARATORCall {}.abi_encode()),
    ];
    let output = call(&vm, multicall, aggregate3Call { calls }.abi_encode()).output;
    let answers = aggregate3Call::abi_decode_returns(&output).unwrap();
    let number = |at: usize| U256::from_be_slice(&answers[at].returnData);
    assert_eq!((number(0), number(1)), (U256::from(3002), U256::from(1)));
    assert_eq!(answers.iter().map(|a| a.success).collect::<Vec<_>>(), [true, true, false, true]);
    assert_eq!(answers[3].returnData.len(), 32);
}

#[test]
fn the_create2_deployer_deploys_where_the_formula_says() {
    let (vm, deployer) = (chain(3002), address_of("create2-deployer"));
    // Init code of a contract that returns 42.
    let init_code = hex::decode("69602a5f5260205ff3000000600052600a6016f3").unwrap();
    for salt in [B256::ZERO, B256::repeat_byte(9)] {
        let input = [salt.as_slice(), &init_code].concat();
        let outcome = call(&vm, deployer, input);
        let expected = deployer.create2(salt, keccak256(&init_code));
        // The address alone, without padding.
        assert_eq!(outcome.output[..], expected[..]);
    }
}

#[test]
fn names_that_are_not_known_are_told_with_those_that_are() {
    let with = |key: &str, value: &str| {
        let text = BUILT_IN[1].1;
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        format!("{:#}", evm_spec(&text.replace(line, &format!("{key} = {value}"))).unwrap_err())
    };
    let error = with("precompiles", "[\"ed25519\", \"p256\"]");
    assert!(
        error.contains("evm.precompiles[1] is \"p256\"; expected one of: ed25519, ed25519-batch"),
        "{error}"
    );
    let error = with("predeploys", "[\"multicall2\"]");
    let known = "one of: create2-deployer, multicall3, permit2";
    assert!(
        error.contains(&format!("evm.predeploys[0] is \"multicall2\"; expected {known}")),
        "{error}"
    );
    let error = with("predeploys", "[\"permit2\", \"permit2\"]");
    assert!(error.contains("evm.predeploys[1]") && error.contains("each once"), "{error}");
}

#[test]
fn a_genesis_account_at_the_place_of_a_predeploy_is_refused() {
    let mut text = BUILT_IN[1].1.to_string();
    text += &format!("\n[[genesis]]\naccount = \"{}\"\nbalance = \"1\"\n", address_of(PERMIT2));
    let error = format!("{:#}", evm_spec(&text).unwrap_err());
    assert!(error.contains("given twice"), "{error}");
}

/// `ATOLL_ENTRY_POINT` is `artifacts/EntryPoint.json` of npm package `@account-abstraction/contracts`,
/// which is not part of this project.
#[test]
fn the_entry_point_of_erc_4337_can_be_deployed() {
    let Ok(path) = std::env::var("ATOLL_ENTRY_POINT") else {
        return eprintln!("skipped: ATOLL_ENTRY_POINT is not set");
    };
    let json: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let init_code = hex::decode(json["bytecode"].as_str().unwrap()).unwrap();
    let (vm, deployer) = (chain(3002), address_of("create2-deployer"));
    let input = [&[0; 32], &init_code[..]].concat();
    let request = CallRequest { to: Some(deployer), input: input.into(), ..CallRequest::default() };
    let gas = vm.estimate_gas(&request).unwrap();
    let expected = deployer.create2(B256::ZERO, keccak256(&init_code));
    assert_eq!(vm.call(&request).unwrap().output[..], expected[..]);
    println!("EntryPoint at {expected}, {gas} gas");
}

#[test]
fn prices_of_gas_are_checked_and_their_names_told() {
    let with = |line: &str, other: &str| {
        assert!(BUILT_IN[1].1.contains(line));
        format!("{:#}", evm_spec(&BUILT_IN[1].1.replace(line, other)).unwrap_err())
    };
    let error = with("p256verify = 10", "p256 = 10");
    assert!(
        error.contains("evm.gas.precompiles is \"p256\"; expected one of: ecrecover, sha256"),
        "{error}"
    );
    let error = with("p256verify = 10", "p256verify = 1001");
    assert!(
        error.contains("evm.gas.precompiles.p256verify is 1001, expected 1 to 1000"),
        "{error}"
    );
    let error = with("keccak256-word = 30", "sha3-word = 30");
    assert!(
        error.contains("evm.gas.operations is \"sha3-word\"; expected one of: exp-byte, keccak"),
        "{error}"
    );
    let error = with("keccak256-word = 30", "keccak256-word = 5");
    assert!(
        error.contains("evm.gas.operations.keccak256-word is 5, expected 6, as in the hardfork"),
        "{error}"
    );
}
