//! Precompiles as an environment has them: Ethereum's by official vectors, this project's by their
//! documentation, in transactions, calls, estimates and traces.

#[allow(dead_code)] // the benchmark uses the rest
mod ed25519_common;
mod evm_common;

use atoll_types::{Address, U256};
use atoll_vm::evm::precompiles::{BATCH_GAS, SINGLE_GAS};
use atoll_vm::evm::{
    CallError, CallOutcome, CallRequest, EvmSpec, GenesisAccount, Precompile, PrecompileSet, Status,
};
use ed25519_common::{Signer, batch_input, single_input};
use evm_common::*;

/// Passes its input on to the address with STATICCALL, keeps how much came back in slot 0 and
/// returns it; reverts where the call fails.
fn asker(to: Address) -> Vec<u8> {
    let to = hex(&format!("{to:x}"));
    let (head, tail) = (hex("365f5f375f5f365f73"), hex("5afa6025575f5ffd5b3d5f553d5f5f3e3d5ff3"));
    [head, to, tail].concat()
}

const ASKS_SINGLE: Address = Address::repeat_byte(0xe1);
const ASKS_BATCH: Address = Address::repeat_byte(0xe2);

fn with_askers(precompiles: PrecompileSet) -> EvmSpec {
    let mut spec = EvmSpec { precompiles, ..spec() };
    for (address, precompile) in
        [(ASKS_SINGLE, Precompile::Ed25519), (ASKS_BATCH, Precompile::Ed25519Batch)]
    {
        let code = asker(precompile.address()).into();
        spec.genesis.push(GenesisAccount { address, nonce: 1, code, ..GenesisAccount::default() });
    }
    spec
}

fn ask(chain: &Chain, to: Address, input: &[u8], gas: u64) -> Result<CallOutcome, CallError> {
    let request = CallRequest {
        to: Some(to),
        input: input.to_vec().into(),
        gas: Some(gas),
        ..CallRequest::default()
    };
    chain.vm.call(&request)
}

/// What the call alone costs: without what any transaction with this input costs, and below the
/// price of EIP-7623 only where that is not the higher one.
fn precompile_gas(chain: &Chain, to: Address, input: &[u8]) -> (Vec<u8>, u64) {
    let intrinsic = 21_000 + input.iter().map(|b| if *b == 0 { 4 } else { 16 }).sum::<u64>();
    // Least gas limit with which it does not halt.
    let (mut low, mut high) = (intrinsic - 1, 16_000_000);
    let output = ask(chain, to, input, high).unwrap().output.to_vec();
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        match ask(chain, to, input, middle) {
            Ok(_) => high = middle,
            Err(_) => low = middle,
        }
    }
    (output, high - intrinsic)
}

fn one() -> Vec<u8> {
    word(1)
}

fn at(number: u64) -> Address {
    Address::from_word(U256::from(number).into())
}

/// "sample", signed with P-256 and SHA-256 in RFC 6979, A.2.5: hash, r, s, x, y.
const SAMPLE: &str = "af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf\
                      efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
                      f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8\
                      60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
                      7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";

#[test]
fn p_256_is_that_of_eip_7951() {
    let chain = Chain::new(spec());
    let input = hex(SAMPLE);
    assert_eq!(precompile_gas(&chain, at(0x100), &input), (one(), 6_900));
    for byte in [0, 32, 64, 159] {
        let mut other = input.clone();
        other[byte] ^= 1;
        assert_eq!(precompile_gas(&chain, at(0x100), &other), (vec![], 6_900));
    }
    let outcome = ask(&chain, at(0x100), &input[..159], 100_000).unwrap();
    assert!(outcome.output.is_empty(), "too short");
    // Before Osaka there is no contract at that address: an account without code answers nothing.
    let prague = EvmSpec { hardfork: atoll_vm::evm::Hardfork::Prague, ..spec() };
    let outcome = ask(&Chain::new(prague), at(0x100), &input, 100_000).unwrap();
    assert!(outcome.output.is_empty());
}

const G1: [&str; 2] = [
    "17f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb",
    "08b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1",
];
/// Twice the generator.
const G1_2: [&str; 2] = [
    "0572cbea904d67468808c8eb50a9450c9721db309128012543902d0ac358a62ae28f75bb8f1c7c42c39a8c5529bf0f4e",
    "166a9d8cabc673a322fda673779d8e3822ba3ecb8670e461f73bb9021d5fd76a4c56d9d4cd16bd1bba86881979749d28",
];
const MINUS_Y: &str = "114d1d6855d545a8aa7d76c8cf2e21f267816aef1db507c96655b9d5caac42364e6f38ba0ecb751bad54dcd6b939c2ca";
const G2: [&str; 4] = [
    "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8",
    "13e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e",
    "0ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a76d429a695160d12c923ac9cc3baca289e193548608b82801",
    "0606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be",
];

/// Field elements as EIP-2537 has them: 64 bytes each.
fn elements(elements: &[&str]) -> Vec<u8> {
    elements.iter().flat_map(|element| [vec![0; 16], hex(element)].concat()).collect()
}

#[test]
fn bls12_381_is_that_of_eip_2537() {
    let chain = Chain::new(spec());
    let twice = [elements(&G1), elements(&G1)].concat();
    assert_eq!(ask(&chain, at(0x0b), &twice, 1_000_000).unwrap().output.to_vec(), elements(&G1_2));
    let product = [elements(&G1), word(2)].concat();
    let (output, gas) = precompile_gas(&chain, at(0x0c), &product);
    assert_eq!((output, gas), (elements(&G1_2), 12_000));
    let pairs = |y| [elements(&G1), elements(&G2), elements(&[G1[0], y]), elements(&G2)].concat();
    let (output, gas) = precompile_gas(&chain, at(0x0f), &pairs(MINUS_Y));
    assert_eq!((output, gas), (one(), 37_700 + 2 * 32_600));
    assert_eq!(ask(&chain, at(0x0f), &pairs(G1[1]), 1_000_000).unwrap().output.to_vec(), word(0));
    // Not on the curve: the call fails and takes all its gas.
    assert!(matches!(ask(&chain, at(0x0f), &pairs(G2[2]), 1_000_000), Err(CallError::Halt(_))));
}

#[test]
fn ed25519_answers_one_or_nothing_and_costs_by_length() {
    let chain = Chain::new(spec());
    let to = Precompile::Ed25519.address();
    for bytes in [0, 1, 64, 65, 1_000] {
        let signed = Signer::new(3).claim(&vec![bytes as u8; bytes]);
        let input = single_input(&signed);
        let words = input.len().div_ceil(32) as u64;
        let cost = SINGLE_GAS.signature + SINGLE_GAS.word * words;
        if bytes < 100 {
            assert_eq!(precompile_gas(&chain, to, &input), (one(), cost));
        }
        assert_eq!(ask(&chain, to, &input, 1_000_000).unwrap().output.to_vec(), one());
        let mut other = input.clone();
        other[95] ^= 0x20;
        assert!(ask(&chain, to, &other, 1_000_000).unwrap().output.is_empty());
        for cut in [0, 1, 32, 95] {
            assert!(ask(&chain, to, &input[..cut], 1_000_000).unwrap().output.is_empty());
        }
    }
}

#[test]
fn a_batch_is_one_or_more_whole_entries() {
    let chain = Chain::new(spec());
    let to = Precompile::Ed25519Batch.address();
    let all: Vec<_> = (0..5).map(|n| Signer::new(n).claim(&vec![9; 7 * n as usize])).collect();
    let yes = |input: &[u8]| ask(&chain, to, input, 1_000_000).unwrap().output.to_vec() == one();
    for count in 1..=5 {
        let input = batch_input(&all[..count]);
        assert!(yes(&input));
        let words = input.len().div_ceil(32) as u64;
        let cost = BATCH_GAS.base + BATCH_GAS.signature * count as u64 + BATCH_GAS.word * words;
        assert_eq!(BATCH_GAS.cost(count, input.len()), cost);
        if count < 3 {
            assert_eq!(precompile_gas(&chain, to, &input), (one(), cost));
        }
        for cut in 0..input.len() {
            // What is cut between two entries is a smaller batch.
            let whole = (1..count).any(|less| batch_input(&all[..less]).len() == cut);
            assert_eq!(yes(&input[..cut]), whole, "{count}, cut at {cut}");
        }
        assert!(!yes(&[&input[..], &[0]].concat()));
        for wrong in 0..count {
            let mut other = all[..count].to_vec();
            other[wrong].message.push(0);
            assert!(!yes(&batch_input(&other)));
        }
    }
    let huge = [&[0xff; 4][..], &[1; 200]].concat();
    assert!(!yes(&huge) && !yes(&[]));
}

#[test]
fn a_batch_is_bounded_by_its_gas() {
    let chain = Chain::new(spec());
    let entry = batch_input(&[Signer::new(1).claim(b"")]);
    let input = entry.repeat(40);
    let cost = BATCH_GAS.cost(40, input.len());
    let request = |gas| CallRequest {
        to: Some(ASKS_BATCH),
        input: input.clone().into(),
        gas: Some(gas),
        ..CallRequest::default()
    };
    // 63 of 64 parts of what is left are passed on.
    let chain_with = Chain::new(with_askers(PrecompileSet::ALL));
    let enough = chain_with.vm.estimate_gas(&request(5_000_000)).unwrap();
    assert!(enough > cost + 21_000 && enough < cost + 200_000, "{enough}, {cost}");
    assert!(ask(&chain, Precompile::Ed25519Batch.address(), &input, cost + 20_000).is_err());
}

#[test]
fn transactions_estimates_and_witnesses_know_them() {
    let mut chain = Chain::new(with_askers(PrecompileSet::ALL));
    let signed = [Signer::new(1).claim(b"yes"), Signer::new(2).claim(b"and yes")];
    for (nonce, to, input) in
        [(0, ASKS_SINGLE, single_input(&signed[0])), (1, ASKS_BATCH, batch_input(&signed))]
    {
        let draft = Draft { to: Some(to), nonce, input: input.clone(), ..Draft::default() };
        // The chain runs every block again on nothing but its witness.
        let receipt = chain.send(draft, "a");
        assert_eq!((receipt.status, receipt.output.to_vec()), (Status::Success, one()));
        assert_eq!(chain.vm.storage(to, U256::ZERO), U256::from(32));
        let called = ask(&chain, to, &input, 1_000_000).unwrap();
        assert_eq!(called.output.to_vec(), one());
        let request = CallRequest { to: Some(to), input: input.into(), ..CallRequest::default() };
        assert!(chain.vm.estimate_gas(&request).unwrap() >= called.gas_used);
    }
    let wrong =
        Draft { to: Some(ASKS_SINGLE), nonce: 2, input: batch_input(&signed), ..Draft::default() };
    let receipt = chain.send(wrong, "a");
    assert_eq!((receipt.status, receipt.output.to_vec()), (Status::Success, vec![]));
    assert_eq!(chain.vm.storage(ASKS_SINGLE, U256::ZERO), U256::ZERO);
}

#[test]
fn an_environment_has_those_of_its_spec_alone() {
    let input = single_input(&Signer::new(1).claim(b""));
    let batch = batch_input(&[Signer::new(1).claim(b"")]);
    for set in [
        PrecompileSet::NONE,
        PrecompileSet::NONE.with(Precompile::Ed25519),
        PrecompileSet::NONE.with(Precompile::Ed25519Batch),
        PrecompileSet::ALL,
    ] {
        let mut chain = Chain::new(with_askers(set));
        for (precompile, asker, input) in [
            (Precompile::Ed25519, ASKS_SINGLE, &input),
            (Precompile::Ed25519Batch, ASKS_BATCH, &batch),
        ] {
            let expected = if set.contains(precompile) { one() } else { vec![] };
            let called = ask(&chain, precompile.address(), input, 1_000_000).unwrap();
            assert_eq!(called.output.to_vec(), expected);
            let nonce = chain.nonce("a");
            let draft = Draft { to: Some(asker), nonce, input: input.clone(), ..Draft::default() };
            assert_eq!(chain.send(draft, "a").output.to_vec(), expected, "{set:?}");
        }
    }
}

#[test]
fn they_are_warm_like_those_of_ethereum() {
    // BALANCE of the address, and what it costs.
    let gas_of_balance = |set, address: Address| {
        let mut spec = EvmSpec { precompiles: set, ..spec() };
        let code = [hex("5a73"), address.to_vec(), hex("31505a90035f5260205ff3")].concat();
        let at = Address::repeat_byte(0xe3);
        let code = code.into();
        let account = GenesisAccount { address: at, nonce: 1, code, ..GenesisAccount::default() };
        spec.genesis.push(account);
        let output = ask(&Chain::new(spec), at, &[], 1_000_000).unwrap().output;
        U256::from_be_slice(&output)
    };
    for precompile in Precompile::ALL {
        let cold = gas_of_balance(PrecompileSet::NONE, precompile.address());
        let warm = gas_of_balance(PrecompileSet::ALL, precompile.address());
        assert_eq!(cold - warm, U256::from(2_500), "{}", precompile.name());
        assert_eq!(warm, gas_of_balance(PrecompileSet::NONE, at(1)));
    }
}

#[test]
fn names_and_addresses_are_those_of_the_documentation() {
    let table = [
        ("ed25519", "a701100000000000000000000000000000000002"),
        ("ed25519-batch", "a701100000000000000000000000000000000003"),
    ];
    assert_eq!(table.len(), Precompile::ALL.len());
    for (name, address) in table {
        let precompile = Precompile::from_name(name).unwrap();
        assert_eq!(precompile.address().to_vec(), hex(address));
    }
    assert_eq!(Precompile::from_name("ED25519"), None);
}
