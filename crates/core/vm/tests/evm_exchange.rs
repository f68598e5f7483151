//! The port to an exchange, with the contract that is committed: what contracts send, and what they
//! are shown. Every range runs on full state and again from its witness.

mod evm_common;

use atoll_types::hub::{MESSAGE_DATA_BYTES_MAX, MessageKind};
use atoll_types::{Address, EnvironmentId, Message, RejectCode, U256, keccak256};
use atoll_vm::Receipt;
use atoll_vm::evm::exchange_port::OBSERVATION_GAS;
use atoll_vm::evm::{
    BRIDGE_ADDRESS, CallRequest, DELIVERY_KIND, EXCHANGE_PORT_ADDRESS, EvmSpec, SYSTEM_ADDRESS,
    Status,
};
use evm_common::bridge::*;
use evm_common::exchange::*;
use evm_common::*;

const WHO: Address = Address::repeat_byte(0x77);
const TIME_US: u64 = 1_800_000_000_123_456;

fn a() -> Address {
    key("a").address()
}

fn run(chain: &mut Chain, to: Address, input: Vec<u8>) -> Receipt {
    let nonce = chain.nonce("a");
    let bytes = Draft { to: Some(to), nonce, input, ..Draft::default() }.sign(&key("a"));
    chain.block(&[bytes]).remove(0)
}

fn port(chain: &mut Chain, signature: &str, words: &[Vec<u8>]) -> Receipt {
    run(chain, EXCHANGE_PORT_ADDRESS, call_data(signature, words))
}

/// An argument of type `bytes`, alone.
fn sole(data: &[u8]) -> Vec<Vec<u8>> {
    let mut bytes = data.to_vec();
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    vec![word(32), word(data.len() as u64), bytes]
}

fn action(from: Address, data: Vec<u8>) -> Message {
    let (source, destination) = (identity().environment, EXCHANGE);
    let kind = MessageKind::Action;
    Message { kind, number: 0, source, destination, from, ..observation(data) }
}

fn numbers(values: &[u64]) -> Vec<U256> {
    values.iter().copied().map(U256::from).collect()
}

#[test]
fn what_solidity_sends_is_what_the_design_says() {
    let mut chain = Chain::new(exchange_spec());
    let (agent, zero) = ("e9".repeat(20), "0".repeat(62));
    let pad = |text: &str| format!("{text:0>64}");
    let token = pad(&"d1".repeat(20));
    type Case = (&'static str, Vec<Vec<u8>>, String);
    let cases: [Case; 6] = [
        (
            "placeLimitOrder(uint32,bool,uint64,uint64,bool,uint8,uint128)",
            vec![
                word(3),
                word(1),
                word(6_512_340_000_000),
                word(25_000_000),
                word(0),
                word(3),
                wide(u128::MAX),
            ],
            format!(
                "01000001{zero}03{zero}01{}{}{zero}00{zero}03{}",
                pad("5ec45b65d00"),
                pad("17d7840"),
                pad(&"f".repeat(32))
            ),
        ),
        (
            "moveBetweenWallets(uint64,bool)",
            vec![word(7), word(1)],
            format!("01000007{zero}07{zero}01"),
        ),
        (
            "approveAgent(address,uint64)",
            vec![padded(Address::repeat_byte(0xe9)), word(0x1_0000)],
            format!("01000009{}{}", pad(&agent), pad("10000")),
        ),
        (
            "cancelOrder(uint32,uint64)",
            vec![word(10_000), word(255)],
            format!("0100000a{}{zero}ff", pad("2710")),
        ),
        (
            "cancelByClientId(uint32,uint128)",
            vec![word(0), wide(9)],
            format!("0100000b{zero}00{zero}09"),
        ),
        (
            "send(uint32,address,address,bool,uint128)",
            vec![word(2), padded(WHO), padded(USD), word(1), wide(1 << 100)],
            format!(
                "01000100{zero}02{}{token}{zero}01{}",
                pad(&"77".repeat(20)),
                pad("10000000000000000000000000")
            ),
        ),
    ];
    for (signature, words, expected) in cases {
        let receipt = port(&mut chain, signature, &words);
        assert_eq!(receipt.messages, [action(a(), hex(&expected))], "{signature}");
        assert_eq!(payload(&receipt).logs, [action_log(a(), &hex(&expected))], "{signature}");
        let message = &receipt.messages[0];
        assert_eq!(message.account(), own_account(a()));
        // Whoever encodes it by hand sends the same.
        let receipt = port(&mut chain, "act(bytes)", &sole(&hex(&expected)));
        assert_eq!(receipt.messages, [action(a(), hex(&expected))], "{signature}");
    }
    let receipt = run(&mut chain, EXCHANGE_PORT_ADDRESS, observe(WHO, &[0, 10_003], &[USD]));
    let expected =
        format!("01000101{}{zero}02{zero}00{}{zero}01{token}", pad(&"77".repeat(20)), pad("2713"));
    assert_eq!(receipt.messages, [action(a(), hex(&expected))]);
    let receipt = run(&mut chain, EXCHANGE_PORT_ADDRESS, observe(WHO, &[], &[]));
    let expected = format!("01000101{}{zero}00{zero}00", pad(&"77".repeat(20)));
    assert_eq!(receipt.messages, [action(a(), hex(&expected))]);
    // Solidity finds the same account as Rust.
    let account = chain.port("accountOf(address)", &[padded(WHO)]).unwrap();
    assert_eq!(account, [U256::from_be_slice(&padded(own_account(WHO)))]);
    assert_eq!(chain.port("environments()", &[]).unwrap(), numbers(&[2, 1]));
}

#[test]
fn what_is_too_much_is_refused() {
    let mut chain = Chain::new(exchange_spec());
    let most = MESSAGE_DATA_BYTES_MAX as usize;
    let receipt = port(&mut chain, "act(bytes)", &sole(&vec![7; most]));
    assert_eq!(receipt.messages[0].data.len(), most);
    let tokens = [USD; 9];
    let refused = [
        call_data("act(bytes)", &sole(&vec![7; most + 1])),
        observe(WHO, &[5; 9], &[]),
        observe(WHO, &[], &tokens),
        // The answer would be free.
        call_data("act(bytes)", &sole(&hex("01000101"))),
    ];
    for input in refused {
        let receipt = run(&mut chain, EXCHANGE_PORT_ADDRESS, input);
        assert_eq!(receipt.rejection(), Some(RejectCode::Reverted));
        assert_eq!(payload(&receipt).status, Status::Reverted);
        assert!(receipt.messages.is_empty());
    }
}

#[test]
fn money_and_actions_leave_in_the_order_of_their_logs() {
    let mut spec = exchange_spec();
    // Orders, pays, orders again.
    let sole = sole(&hex("01000007"));
    let act = call_data("act(bytes)", &sole);
    let pay = send(1, Address::ZERO, WHO, U256::from(5));
    let mut code = Vec::new();
    for (to, value, input) in [
        (EXCHANGE_PORT_ADDRESS, 0u8, &act),
        (BRIDGE_ADDRESS, 5, &pay),
        (EXCHANGE_PORT_ADDRESS, 0, &act),
    ] {
        for (at, part) in input.chunks(32).enumerate() {
            let mut part = part.to_vec();
            part.resize(32, 0);
            code.push(0x7f);
            code.extend(part);
            code.extend([0x61, (at * 32 / 256) as u8, (at * 32 % 256) as u8, 0x52]);
        }
        code.extend([0x5f, 0x5f, 0x61, (input.len() / 256) as u8, (input.len() % 256) as u8, 0x5f]);
        code.extend([0x60, value, 0x73]);
        code.extend(to.as_slice());
        code.extend([0x5a, 0xf1, 0x50]);
    }
    let trader = Address::repeat_byte(0xa7);
    spec.genesis.push(atoll_vm::evm::GenesisAccount {
        address: trader,
        nonce: 1,
        balance: U256::from(100),
        code: code.into(),
        ..Default::default()
    });
    let mut chain = Chain::new(spec);
    let receipt = run(&mut chain, trader, Vec::new());
    let kinds: Vec<_> = receipt.messages.iter().map(|message| message.kind).collect();
    assert_eq!(kinds, [MessageKind::Action, MessageKind::Transfer, MessageKind::Action]);
    assert!(receipt.messages.iter().all(|message| message.from == trader));
    assert_eq!(payload(&receipt).logs.len(), 3);
}

#[test]
fn only_the_port_itself_speaks_for_it() {
    let signature = keccak256(b"ActionSent(uint32,address,bytes)");
    // Topics: signature, destination, sender, and a fourth; then the data.
    let mut forged = [signature.to_vec(), word(1), padded(a()), word(0)].concat();
    forged.extend(sole(&hex("01000007")).concat());
    let mut chain = Chain::new(exchange_spec());
    let receipt = run(&mut chain, FORGER, forged);
    assert_eq!(payload(&receipt).logs[0].topics[0], signature);
    assert!(receipt.messages.is_empty());
    // Without a port there is nothing to listen to.
    let code = chain.spec.exchange.as_ref().unwrap().code.clone();
    let mut spec = EvmSpec { exchange: None, ..exchange_spec() };
    spec.genesis.push(atoll_vm::evm::GenesisAccount {
        address: EXCHANGE_PORT_ADDRESS,
        nonce: 1,
        code,
        ..Default::default()
    });
    let mut closed = Chain::new(spec);
    let receipt = port(&mut closed, "cancelOrder(uint32,uint64)", &[word(0), word(1)]);
    assert_eq!((receipt.code, payload(&receipt).logs.len()), (0, 1));
    assert!(receipt.messages.is_empty());
    let shown = observation(account_shown(&Shown { slot: 1, ..Shown::default() }));
    let receipt = closed.deliver(&[shown]).remove(0);
    assert_eq!(receipt.rejection(), Some(RejectCode::Unsupported));
}

fn market(asset: u32, oracle: u128, mark: u128, state: u64) -> Market {
    Market { asset, oracle, mark, state }
}

#[test]
fn markets_are_shown_and_shown_again() {
    let mut chain = Chain::new(exchange_spec());
    let ask = |chain: &Chain, asset| chain.port("market(uint32)", &[word(asset)]);
    assert_eq!(ask(&chain, 0), None);
    let shown = [market(0, 65_000, 65_001, 0), market(10_000, 3, 2, 5)];
    let message = observation(markets_of(11, TIME_US, &shown));
    let receipt = chain.deliver(std::slice::from_ref(&message)).remove(0);
    let seen = payload(&receipt);
    assert_eq!((receipt.code, receipt.hash), (0, message.hash()));
    assert_eq!(
        (seen.kind, seen.from, seen.to),
        (DELIVERY_KIND, SYSTEM_ADDRESS, Some(EXCHANGE_PORT_ADDRESS))
    );
    assert_eq!((seen.gas_used, seen.logs.len()), (0, 1));
    assert_eq!(seen.logs[0].topics, [keccak256(b"MarketsObserved(uint64,uint256)")]);
    assert_eq!(ask(&chain, 0), Some(numbers(&[65_000, 65_001, 0, 11, 1_800_000_000])));
    assert_eq!(ask(&chain, 10_000), Some(numbers(&[3, 2, 5, 11, 1_800_000_000])));
    // One of them moves.
    chain.deliver(&[observation(markets_of(
        16,
        TIME_US + 900_000,
        &[market(0, 70_000, 69_999, 1)],
    ))]);
    assert_eq!(ask(&chain, 0), Some(numbers(&[70_000, 69_999, 1, 16, 1_800_000_001])));
    assert_eq!(ask(&chain, 10_000).unwrap()[3], U256::from(11));
    assert_eq!(ask(&chain, 1), None);
    // A price beyond what a market's slot has room for is shown as the largest, and hides no other.
    let absurd = [market(1, 1 << 80, u128::MAX, 0), market(0, 3, 4, 0)];
    chain.deliver(&[observation(markets_of(20, TIME_US, &absurd))]);
    let largest: u128 = (1 << 80) - 1;
    assert_eq!(ask(&chain, 1).unwrap()[..2], [U256::from(largest), U256::from(largest)]);
    assert_eq!(ask(&chain, 0).unwrap()[..2], numbers(&[3, 4]));
}

fn shown() -> Shown {
    Shown {
        slot: 20,
        time_us: TIME_US,
        account: WHO,
        exists: true,
        value: -5_000_000,
        free: 7,
        positions: vec![(0, -150_000_000, -97_500_000), (4, 2, 1)],
        balances: vec![(USD, 12), (Address::ZERO, 1 << 96)],
    }
}

#[test]
fn an_account_is_shown_and_what_it_closed_is_gone() {
    let mut chain = Chain::new(exchange_spec());
    let account = |chain: &Chain| chain.port("account(address)", &[padded(WHO)]);
    let position =
        |chain: &Chain, asset| chain.port("position(address,uint32)", &[padded(WHO), word(asset)]);
    let balance = |chain: &Chain, token| {
        chain.port("balance(address,address)", &[padded(WHO), padded(token)])
    };
    let at = |values: &[Vec<u8>], slot: u64, time: u64| -> Option<Vec<U256>> {
        let all = values.iter().map(|value| U256::from_be_slice(value));
        Some(all.chain(numbers(&[slot, time])).collect())
    };
    assert_eq!((account(&chain), position(&chain, 0), balance(&chain, USD)), (None, None, None));
    let receipt = chain.deliver(&[observation(account_shown(&shown()))]).remove(0);
    let log = &payload(&receipt).logs[0];
    assert_eq!(log.topics, [keccak256(b"AccountObserved(address,uint64)"), WHO.into_word()]);
    let mut expected = at(&[word(1), signed(-5_000_000), word(7)], 20, 1_800_000_000).unwrap();
    // It arrived in block 1 of this chain.
    expected.push(U256::from(1));
    assert_eq!(account(&chain), Some(expected));
    assert_eq!(
        position(&chain, 0),
        at(&[signed(-150_000_000), signed(-97_500_000)], 20, 1_800_000_000)
    );
    assert_eq!(position(&chain, 4), at(&[word(2), word(1)], 20, 1_800_000_000));
    assert_eq!(balance(&chain, USD), at(&[word(12)], 20, 1_800_000_000));
    assert_eq!(balance(&chain, Address::ZERO), at(&[wide(1 << 96)], 20, 1_800_000_000));
    assert_eq!(position(&chain, 5), None);
    // Closed, and spent; what was not asked for stays as it was seen.
    let later = Shown {
        slot: 22,
        time_us: TIME_US + 1_000_000,
        value: 5,
        positions: vec![(0, 0, 0)],
        balances: vec![(USD, 0)],
        ..shown()
    };
    chain.deliver(&[observation(account_shown(&later))]);
    assert_eq!(position(&chain, 0), at(&[word(0), word(0)], 22, 1_800_000_001));
    assert_eq!(balance(&chain, USD), at(&[word(0)], 22, 1_800_000_001));
    assert_eq!(position(&chain, 4), at(&[word(2), word(1)], 20, 1_800_000_000));
    assert_eq!(account(&chain).unwrap()[1], U256::from(5));
}

#[test]
fn what_is_no_observation_of_the_exchange_has_no_effect() {
    let mut chain = Chain::new(exchange_spec());
    chain.deliver(&[observation(account_shown(&shown()))]);
    let good = account_shown(&Shown { slot: 30, value: 9, ..shown() });
    let with = |change: fn(&mut Shown)| {
        let mut shown = Shown { slot: 30, ..shown() };
        change(&mut shown);
        account_shown(&shown)
    };
    let (mut short, mut unknown, mut flag) = (good.clone(), good.clone(), good.clone());
    short.truncate(good.len() - 32);
    unknown[0] = 3;
    flag[1 + 4 * 32 - 1] = 2;
    let garbage = [
        vec![],
        vec![1],
        vec![2],
        vec![0xff; 700],
        short,
        unknown,
        flag,
        with(|s| s.slot = 0),
        with(|s| s.slot = 1 << 40),
        with(|s| s.free = -1),
        with(|s| s.positions[1].1 = 1 << 79),
        with(|s| s.positions[1].2 = -(1 << 95) - 1),
        markets_of(30, TIME_US, &[market(0, 1, 1, 256)]),
    ];
    let wrong =
        |source, kind| Message { source: EnvironmentId(source), kind, ..observation(good.clone()) };
    let mut refused: Vec<(Message, RejectCode)> =
        garbage.into_iter().map(|data| (observation(data), RejectCode::Reverted)).collect();
    refused.extend([
        (wrong(3, MessageKind::Observation), RejectCode::NotAllowed),
        (wrong(0, MessageKind::Observation), RejectCode::NotAllowed),
        (wrong(1, MessageKind::Action), RejectCode::Unsupported),
        (wrong(1, MessageKind::Observe), RejectCode::Unsupported),
    ]);
    let state = |chain: &Chain| {
        let slots = (0..5).map(|slot| chain.vm.storage(EXCHANGE_PORT_ADDRESS, U256::from(slot)));
        let account = chain.port("account(address)", &[padded(WHO)]);
        let position = chain.port("position(address,uint32)", &[padded(WHO), word(0)]);
        (slots.collect::<Vec<_>>(), account, position, chain.port("market(uint32)", &[word(0)]))
    };
    let before = state(&chain);
    for (message, code) in refused {
        let receipt = chain.deliver(std::slice::from_ref(&message)).remove(0);
        assert_eq!(receipt.rejection(), Some(code), "{message:?}");
        assert!(receipt.payload.is_empty() && receipt.messages.is_empty());
        assert_eq!(chain.vm.block().transactions, 0);
        assert_eq!(state(&chain), before);
    }
    // Nobody but the system may say it.
    let receipt = run(&mut chain, EXCHANGE_PORT_ADDRESS, receive_observation(&good));
    assert_eq!(payload(&receipt).output[..4], keccak256(b"NotSystem(address)")[..4]);
    assert_eq!(state(&chain), before);
    assert_eq!(chain.deliver(&[observation(good)]).remove(0).code, 0);
    assert_ne!(state(&chain), before);
}

/// Gas of the delivery, with what a transaction costs before it executes.
fn delivery_gas(chain: &Chain, data: &[u8]) -> u64 {
    let input = receive_observation(data).into();
    let to = Some(EXCHANGE_PORT_ADDRESS);
    let call = CallRequest { from: SYSTEM_ADDRESS, to, input, ..CallRequest::default() };
    chain.vm.call(&call).unwrap().gas_used
}

#[test]
fn who_asks_uses_at_least_the_gas_of_the_answer() {
    let mut chain = Chain::new(exchange_spec());
    chain.thorough = false;
    for assets in 0..=8u32 {
        for tokens in 0..=8u8 {
            // Nothing was ever seen of it, and no byte of it is zero.
            let positions =
                (0..assets).map(|n| (u32::MAX - n, -(1i128 << 78) - 1, -(1i128 << 94) - 1));
            let token = |n| Address::repeat_byte(0xe0 + n);
            let worst = Shown {
                slot: (1 << 40) - 1,
                time_us: u64::MAX >> 1,
                account: WHO,
                exists: true,
                value: -(1 << 126) - 1,
                free: i128::MAX,
                positions: positions.collect(),
                balances: (0..tokens).map(|n| (token(n), u128::MAX)).collect(),
            };
            let used = delivery_gas(&chain, &account_shown(&worst));
            let counts = [word(u64::from(assets)), word(u64::from(tokens))];
            let said = chain.port("observationGas(uint256,uint256)", &counts).unwrap()[0];
            assert!(said >= U256::from(used), "{assets} and {tokens}: {said} for {used}");
            assert!(
                said <= U256::from(used + used / 3),
                "{assets} and {tokens}: {said} for {used}"
            );
            let assets: Vec<u32> = (0..assets).collect();
            let tokens: Vec<Address> = (0..tokens).map(token).collect();
            let receipt = run(&mut chain, EXCHANGE_PORT_ADDRESS, observe(WHO, &assets, &tokens));
            let paid = payload(&receipt).gas_used;
            assert_eq!(receipt.code, 0);
            assert!(paid >= used + 21_000 + 25_000, "{paid} for {used}");
        }
    }
    // With whatever gas it is tried: all of it or nothing.
    let input = observe(WHO, &[1; 8], &[USD; 8]);
    for gas in (50_000..1_000_000).step_by(7_919) {
        let nonce = chain.nonce("a");
        let draft = Draft {
            to: Some(EXCHANGE_PORT_ADDRESS),
            nonce,
            gas,
            input: input.clone(),
            ..Draft::default()
        };
        let receipt = chain.block(&[draft.sign(&key("a"))]).remove(0);
        let (sent, used) = (receipt.messages.len(), receipt.payload.is_empty());
        assert!(used || sent == 0 || payload(&receipt).gas_used > 500_000, "{gas}");
    }
}

#[test]
fn the_gas_of_a_delivery_suffices_for_as_many_markets_as_one_brings() {
    let mut chain = Chain::new(exchange_spec());
    let most = (1u128 << 80) - 1;
    let all: Vec<Market> = (0..50).map(|n| market(u32::MAX - n, most, most, 255)).collect();
    let data = markets_of((1 << 40) - 1, u64::MAX >> 1, &all);
    assert!(data.len() <= MESSAGE_DATA_BYTES_MAX as usize);
    let used = delivery_gas(&chain, &data);
    assert!(used < OBSERVATION_GAS / 2, "{used}");
    chain.thorough = false;
    assert_eq!(chain.deliver(&[observation(data)]).remove(0).code, 0);
    let last = chain.port("market(uint32)", &[word(u64::from(u32::MAX - 49))]).unwrap();
    assert_eq!((last[0], last[2]), (U256::from(most), U256::from(255)));
}
