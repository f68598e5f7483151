//! Ticks of an EVM environment in parallel give the receipts, the state and the reads of serial execution:
//! with transactions that are refused, and with a block that fills up.

use atoll_executor::machine::{Machine, Refused};
use atoll_executor::parallel::{EvmParallel, Limits};
use atoll_state::Resident;
use atoll_state::object::ReadSet;
use atoll_types::hub::MessageKind;
use atoll_types::{
    Address, B256, EnvironmentId, Lane, NetworkId, Reject, RejectCode, U256, crypto::Signature,
    keccak256, sha256,
};
use atoll_vm::evm::{
    BaseFee, Bytes, EXCHANGE_PORT_ADDRESS, EvmExchange, EvmSpec, EvmTransaction, EvmVm,
    GasOverrides, GenesisAccount, Hardfork, PrecompileSet, SignedAuthorization,
};
use atoll_vm::{Checked, Identity, Receipt, SlotContext};
use proptest::prelude::*;

type EvmMachine = Machine<EvmVm<Resident>, Resident>;

const SENDERS: u8 = 5;
/// Counts its calls in slot 0, logs the count, and reverts where it is divisible by 8.
const COUNTER: &[u8] = &[
    0x5f, 0x54, 0x60, 1, 0x01, 0x80, 0x5f, 0x55, 0x80, 0x5f, 0x52, 0x60, 32, 0x5f, 0xa0, 0x60, 7,
    0x16, 0x60, 25, 0x57, 0x5f, 0x5f, 0xfd, 0x00, 0x5b, 0x00,
];

/// Stands where the port to the exchange does: sends its caller's action, which is how many there were.
fn port() -> Bytes {
    let count = [0x60, 1, 0x54, 0x60, 1, 0x01, 0x80, 0x60, 1, 0x55, 0x60, 0x40, 0x52];
    // The log's data: an argument of type bytes.
    let data = [0x60, 32, 0x5f, 0x52, 0x60, 32, 0x60, 32, 0x52, 0x33, 0x60, 1, 0x7f];
    let signature = keccak256(b"ActionSent(uint32,address,bytes)");
    [&count[..], &data, signature.as_slice(), &[0x60, 0x60, 0x5f, 0xa3, 0x00]].concat().into()
}

fn sender(n: u8) -> Address {
    Address::repeat_byte(0x10 + n)
}

fn machine(block_gas_limit: u64) -> EvmMachine {
    let rich = (0..SENDERS).map(|n| GenesisAccount {
        address: sender(n),
        // The last one cannot pay for long.
        balance: U256::from(if n + 1 == SENDERS { 900_000_000 } else { u128::MAX }),
        ..GenesisAccount::default()
    });
    let counter = |byte| GenesisAccount {
        address: Address::repeat_byte(byte),
        nonce: 1,
        code: Bytes::from_static(COUNTER),
        ..GenesisAccount::default()
    };
    let spec = EvmSpec {
        chain_id: 7,
        hardfork: Hardfork::Osaka,
        symbol: "ETH".into(),
        block_gas_limit,
        base_fee: BaseFee::Fixed(1_000),
        fee_tokens: vec![],
        fee_recipient: Address::repeat_byte(0xfe),
        precompiles: PrecompileSet::ALL,
        gas: GasOverrides::default(),
        bridge: None,
        exchange: Some(EvmExchange { code: port(), environment: EnvironmentId(1), every_slots: 5 }),
        genesis: rich.chain([counter(0xc0), counter(0xc1)]).collect(),
    };
    let network = NetworkId(B256::repeat_byte(1));
    let mut machine = Machine::new(Identity { network, environment: EnvironmentId(2) }, spec, 0);
    machine.genesis();
    machine.begin_witnessed();
    machine
}

#[derive(Clone, Debug)]
struct Sent {
    from: u8,
    to: u8,
    gas: u64,
    nonce_off: bool,
    /// Failed its static check.
    refused: bool,
    authorizes: bool,
}

fn checked(n: usize, sent: &Sent, nonces: &mut [u64]) -> Result<Checked<EvmTransaction>, Refused> {
    let hash = sha256(&[&n.to_le_bytes()]);
    if sent.refused {
        return Err(Refused { hash, reject: Reject::new(RejectCode::Malformed, "planted") });
    }
    let nonce = &mut nonces[usize::from(sent.from)];
    let authorization = SignedAuthorization {
        chain_id: U256::ZERO,
        address: Address::repeat_byte(0xc0),
        nonce: 0,
        y_parity: 0,
        r: U256::from(5),
        s: U256::from(6),
    };
    let transaction = EvmTransaction {
        hash,
        kind: if sent.authorizes { 4 } else { 2 },
        nonce: *nonce + u64::from(sent.nonce_off),
        gas_limit: sent.gas,
        max_fee_per_gas: 2_000,
        max_priority_fee_per_gas: Some(10),
        to: Some(match sent.to {
            4 => EXCHANGE_PORT_ADDRESS,
            to => Address::repeat_byte([0xc0, 0xc1, 0x77, 0xfe][usize::from(to)]),
        }),
        value: U256::from(u64::from(sent.to) * 3),
        input: Bytes::new(),
        access_list: vec![],
        authorizations: if sent.authorizes { vec![authorization] } else { vec![] },
        signature: Signature { r: [1; 32], s: [1; 32], y_parity: 0 },
    };
    // Money that a counter is sent along is kept by it.
    *nonce += u64::from(!sent.nonce_off);
    Ok(Checked { hash, signer: sender(sent.from), lane: Lane::Aside, transaction })
}

fn sent() -> impl Strategy<Value = Sent> {
    let rare = || prop::bool::weighted(0.03);
    let gas = prop_oneof![3 => Just(100_000u64), 1 => 21_000..60_000u64];
    (0..SENDERS, 0..5u8, gas, rare(), rare(), prop::bool::weighted(0.005)).prop_map(
        |(from, to, gas, nonce_off, refused, authorizes)| Sent {
            from,
            to,
            gas,
            nonce_off,
            refused,
            authorizes,
        },
    )
}

type Ticks = Vec<Vec<Result<Checked<EvmTransaction>, Refused>>>;

fn run(
    ticks: &Ticks,
    block_gas_limit: u64,
    mut execute: impl FnMut(
        &mut EvmMachine,
        &[Result<&Checked<EvmTransaction>, &Refused>],
    ) -> Vec<Receipt>,
) -> (Vec<Receipt>, atoll_state::WriteSet, ReadSet) {
    let mut machine = machine(block_gas_limit);
    machine.open_slot(&SlotContext { slot: 1, time_us: 1_000_000, parent: B256::ZERO });
    let mut receipts = Vec::new();
    for (n, tick) in (0..).zip(ticks) {
        machine.open_tick(1_000_000 + n * 500);
        let tick: Vec<_> = tick.iter().map(Result::as_ref).collect();
        receipts.extend(execute(&mut machine, &tick));
    }
    let mut reads = ReadSet::default();
    let writes = machine.seal(Some(&mut reads));
    (receipts, writes, reads)
}

/// How many threads, and up to how many have versions of their own.
const WAYS: [(usize, usize); 7] = [(1, 9), (2, 9), (3, 9), (8, 9), (2, 0), (8, 0), (2, NODE)];

/// Stands for limits of a node, but that everything is worth the while and long: some goes serially before
/// there are threads to share with, some after it was given up.
const NODE: usize = 5;

fn limits(few_threads: usize) -> Limits {
    match few_threads {
        NODE => {
            let (weight_min, give_up_mean, chained_max) = (0, 1, u64::MAX);
            Limits { weight_min, give_up_mean, chained_max, ..Limits::default() }
        }
        _ => Limits { few_threads, ..Limits::always() },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn ticks(
        ticks in prop::collection::vec(prop::collection::vec(sent(), 0..30), 1..4),
        block_gas_limit in prop_oneof![Just(30_000_000u64), 200_000..2_000_000u64],
    ) {
        let (mut nonces, mut n) = (vec![0; usize::from(SENDERS)], 0);
        let ticks: Ticks = ticks
            .iter()
            .map(|tick| {
                let one = |sent: &Sent| {
                    n += 1;
                    checked(n, sent, &mut nonces)
                };
                tick.iter().map(one).collect()
            })
            .collect();
        let serial = run(&ticks, block_gas_limit, |machine, tick| {
            machine.execute_all(tick.iter().copied())
        });
        for (threads, few_threads) in WAYS {
            let limits = limits(few_threads);
            let mut parallel = EvmParallel::new(threads, 5).expect("threads").with_limits(limits);
            let found = run(&ticks, block_gas_limit, |machine, tick| {
                parallel.execute_tick(machine, tick)
            });
            prop_assert!(found.0 == serial.0, "{threads} threads: other receipts");
            prop_assert!(found.1 == serial.1, "{threads} threads: another state");
            prop_assert!(found.2 == serial.2, "{threads} threads: other reads");
        }
    }
}

#[test]
fn actions_leave_in_the_order_of_the_tick() {
    let mut nonces = vec![0; usize::from(SENDERS)];
    let sent = |n: usize| Sent {
        from: (n % 3) as u8,
        to: 4,
        // Every seventh runs out of gas, and sends nothing.
        gas: if n % 7 == 6 { 27_000 } else { 100_000 },
        nonce_off: false,
        refused: false,
        authorizes: false,
    };
    let tick = (0..60).map(|n| checked(n, &sent(n), &mut nonces)).collect();
    let ticks: Ticks = vec![tick];
    let serial = run(&ticks, 30_000_000, |machine, tick| machine.execute_all(tick.iter().copied()));
    let actions: Vec<_> = serial.0.iter().flat_map(|receipt| &receipt.messages).collect();
    let counts = actions.iter().map(|action| U256::from_be_slice(&action.data));
    assert_eq!(counts.collect::<Vec<_>>(), (1..=52).map(U256::from).collect::<Vec<_>>());
    for (n, action) in (0..60).filter(|n| n % 7 != 6).zip(&actions) {
        assert_eq!(action.kind, MessageKind::Action);
        assert_eq!((action.from, action.destination), (sender((n % 3) as u8), EnvironmentId(1)));
    }
    for (threads, few_threads) in WAYS {
        let limits = limits(few_threads);
        let mut parallel = EvmParallel::new(threads, 5).expect("threads").with_limits(limits);
        let found = run(&ticks, 30_000_000, |machine, tick| parallel.execute_tick(machine, tick));
        assert!(found == serial, "{threads} threads");
    }
}
