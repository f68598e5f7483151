//! The real contracts on a real node: deployed, cut off, verified, paid into.

mod common;

use alloy_sol_types::SolCall;
use atoll_ethereum::abi::*;
use atoll_ethereum::deploy::{DeployError, DeployOptions, deploy};
use atoll_ethereum::hub_deploy::{HubBytecode, HubConfig, HubPlan, register, verify};
use atoll_ethereum::{BlockId, CallRequest, Transaction, hub};
use atoll_settlement::{Entry as SettlementEntry, EntryKind, queue};
use atoll_types::{Address, B256, EnvironmentId, U256};
use common::*;
use serde_json::json;

fn artifact(name: &str) -> Option<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../contracts/artifacts");
    std::fs::read_to_string(format!("{folder}/{name}.json")).ok()
}

const BOND: u64 = 1_000;

fn version(kind: VmKind) -> Version {
    Version {
        activationSlot: 1,
        vmVersion: 1,
        vmKind: kind,
        specHash: B256::repeat_byte(1),
        programId: B256::repeat_byte(2),
        policy: Policy { challengeWindow: 60, verifier: Address::ZERO },
    }
}

fn registration(name: &str, kind: VmKind, tokens: Vec<TokenUnit>) -> Registration {
    let root = B256::repeat_byte(3);
    Registration { name: name.into(), version: version(kind), genesisRoot: root, tokens }
}

fn config(network: u8) -> HubConfig {
    let owner = account(0).address();
    HubConfig {
        guardian: owner,
        timelock_delay_s: 60,
        proposers: vec![owner],
        executors: vec![Address::ZERO],
        registry: RegistryConfig {
            bond: U256::from(BOND).to(),
            minChallengeWindow: 1,
            maxChallengeWindow: 1_000_000,
            upgradeDelaySlots: 10,
        },
        router: registration("router", VmKind::Router, Vec::new()),
        anchor: AnchorConfig {
            network: B256::repeat_byte(network),
            sequencer: account(1).address(),
            committee: vec![account(2).address()],
            threshold: 1,
            blobs: false,
            inclusionDeadline: 3_600,
            silence: 7_200,
            derivation: 7_200,
            maxFreeze: 86_400,
            challengeBond: U256::from(1_000u64).to(),
            derivedBond: U256::from(1_000u64).to(),
        },
        bridge: BridgeConfig { maxPause: 3_600, pauseCooldown: 3_600 },
    }
}

fn options() -> DeployOptions {
    DeployOptions { wait_ms: 10_000, poll_ms: 20, ..DeployOptions::default() }
}

/// Anvil, the compiled contracts; `None`, and a line that says why, without them.
fn world(arguments: &[&str]) -> Option<(Anvil, HubBytecode)> {
    let anvil = Anvil::start(arguments)?;
    match HubBytecode::read(artifact) {
        Ok(bytecode) => Some((anvil, bytecode)),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

fn send(anvil: &Anvil, to: Address, value: u64, data: Vec<u8>) -> atoll_ethereum::Receipt {
    let key = account(0);
    let nonce = anvil.client.nonce(key.address(), BlockId::Pending).unwrap();
    let signed = Transaction {
        chain_id: 31_337,
        nonce,
        tip_wei: 1_000_000_000,
        max_fee_wei: 10_000_000_000,
        gas_limit: 2_000_000,
        to: Some(to),
        value: U256::from(value),
        input: data,
    }
    .sign(&key);
    anvil.client.send(&signed).unwrap();
    let receipt = anvil.receipt(signed.hash);
    assert!(receipt.success);
    receipt
}

#[test]
fn a_hub_is_deployed_once_verified_and_paid_into() {
    let Some((anvil, bytecode)) = world(&["--disable-default-create2-deployer"]) else { return };
    let (client, key) = (&anvil.client, account(0));
    let plan = HubPlan::new(&config(1), &bytecode);
    let steps = deploy(client, &key, &plan.plan, options(), |step| {
        println!(
            "{:28} {} {:>9} gas {:>18} wei",
            step.name, step.address, step.gas_used, step.cost_wei
        );
    });
    assert!(steps.unwrap().iter().all(|step| !step.skipped));
    verify(client, &plan, BlockId::Latest).unwrap();
    let again = deploy(client, &key, &plan.plan, options(), |_| {}).unwrap();
    assert!(again.iter().all(|step| step.skipped));
    // Another network beside it.
    let other = HubPlan::new(&config(2), &bytecode);
    let steps = deploy(client, &key, &other.plan, options(), |_| {}).unwrap();
    let implementations = steps.iter().filter(|step| step.skipped).count();
    assert_eq!(implementations, 1 + 5, "the deployer and the implementations are shared");
    verify(client, &other, BlockId::Latest).unwrap();
    assert_ne!(plan.addresses, other.addresses);
    let head = client.block_number().unwrap();
    let since = |plan: &HubPlan| hub::deployed_in(client, plan.addresses.registry, head).unwrap();
    assert!(since(&plan).is_some() && since(&plan) < since(&other), "{:?}", since(&plan));
    assert_eq!(hub::deployed_in(client, plan.addresses.bridge, head), Ok(None));

    // An environment, live (as the Anchor makes it with its first statement), and a deposit.
    let a = &plan.addresses;
    let eth = TokenUnit { token: Address::ZERO, unit: U256::from(10) };
    let exchange = registration("exchange", VmKind::Exchange, vec![eth]);
    let (environment, step) = register(client, &key, &plan, &exchange, 0, options()).unwrap();
    assert!(environment == 1 && step.cost_wei > U256::from(BOND) && !step.skipped);
    let (environment, step) = register(client, &key, &plan, &exchange, 0, options()).unwrap();
    assert!(environment == 1 && step.skipped);
    let live = IRegistry::setLiveCall { environment: 1, live: true }.abi_encode();
    client.request("anvil_setBalance", json!([a.anchor.to_string(), "0xde0b6b3a7640000"])).unwrap();
    client.request("anvil_impersonateAccount", json!([a.anchor.to_string()])).unwrap();
    let data = alloy_primitives::hex::encode_prefixed(live);
    let transaction =
        json!([{ "from": a.anchor.to_string(), "to": a.registry.to_string(), "data": data }]);
    let hash = client.request("eth_sendTransaction", transaction).unwrap();
    assert!(anvil.receipt(hash.as_str().unwrap().parse().unwrap()).success);
    let to = Address::repeat_byte(0x77);
    let deposit = |environment| IBridge::depositETHCall { environment, to }.abi_encode();
    let receipt = send(&anvil, a.bridge, 500, deposit(1));
    let forced = IHubQueue::forceCall { environment: 1, data: b"signed".to_vec().into() };
    send(&anvil, a.queue, 0, forced.abi_encode());

    let head = client.block(BlockId::Latest).unwrap().unwrap();
    let (entries, last) = hub::entries(client, a.queue, 0, head.number).unwrap();
    assert_eq!(last.hash, head.hash);
    assert_eq!((entries[0].block, entries[0].block_hash), (receipt.block, receipt.block_hash));
    let mut running = B256::ZERO;
    for (index, (enqueued, kind)) in
        entries.iter().zip([EntryKind::Deposit, EntryKind::Forced]).enumerate()
    {
        let entry = &enqueued.entry;
        let ours = SettlementEntry {
            index: index as u64,
            kind,
            environment: EnvironmentId(1),
            from: key.address(),
            to: if index == 0 { to } else { Address::ZERO },
            token: Address::ZERO,
            amount: U256::from(if index == 0 { 500 } else { 0 }),
            data: entry.data.to_vec(),
            time_s: client.block(BlockId::Number(enqueued.block)).unwrap().unwrap().time_s,
        };
        running = queue::extend(running, ours.hash());
        assert_eq!(enqueued.queue_hash, running, "entry {index}: {entry:?}");
    }
    assert_eq!(hub::queue_at(client, a.queue, head.hash).unwrap(), (2, running));
    let state = hub::anchor_at(client, a, head.hash).unwrap();
    assert_eq!((state.last, state.settled, state.closed, state.next), (0, 0, false, None));
    assert_eq!(hub::rejections(client, a.anchor, 0, head.number), Ok(0));

    // What the contracts refuse is told in words.
    for (environment, value, error) in [(1, 501, "NotAMultiple"), (9, 500, "UnknownEnvironment")] {
        let call = CallRequest {
            from: Some(key.address()),
            to: Some(a.bridge),
            value: U256::from(value),
            data: deposit(environment),
        };
        let refused = client.call(&call, BlockId::Latest).unwrap_err();
        assert!(refused.to_string().contains(error), "{refused}");
    }
}

#[test]
fn a_hub_whose_deployment_is_cut_off_again_and_again_is_the_same_hub() {
    let Some((anvil, bytecode)) = world(&[]) else { return };
    let (client, key) = (&anvil.client, account(0));
    let plan = HubPlan::new(&config(3), &bytecode);
    anvil.automine(false);
    let hasty = DeployOptions { wait_ms: 100, ..options() };
    for run in 0..100 {
        match deploy(client, &key, &plan.plan, hasty, |_| {}) {
            Ok(_) => {
                verify(client, &plan, BlockId::Latest).unwrap();
                let nonce = client.nonce(key.address(), BlockId::Latest).unwrap();
                assert_eq!(nonce, plan.plan.transactions() as u64, "one transaction each");
                return;
            }
            Err(DeployError::Waiting { .. }) if run % 2 == 0 => anvil.mine(1),
            Err(DeployError::Waiting { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("it goes on for ever");
}
