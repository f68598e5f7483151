//! Prices of a spec that are not its hardfork's: operation by operation, and precompile by precompile.

mod evm_common;

use atoll_types::codec::CodecError;
use atoll_types::{Address, B256, Decode, Encode, U256};
use atoll_vm::evm::gas::{FACTOR_MAX, PRICE_MAX, precompile_names};
use atoll_vm::evm::{
    CallRequest, EvmReceipt, EvmSpec, GasOverrides, GenesisAccount, Hardfork, Operation,
    Precompile, Status,
};
use evm_common::*;

const PROGRAM: Address = Address::repeat_byte(0xe5);

/// Code that does something so many times, and what it costs each time in the hardfork.
fn programs() -> Vec<(Operation, u64, Vec<u8>, u64)> {
    let existing = format!("{:x}", key("b").address());
    let absent = "ab".repeat(20);
    let call = |value: u8, to: &str| hex(&format!("5f5f5f5f60{value:02x}73{to}5af150"));
    vec![
        // EXP with an exponent of two bytes.
        (Operation::ExpByte, 50, hex("61010060020a50"), 2),
        (Operation::Keccak256Word, 6, hex("60415f2050"), 3),
        (Operation::CopyWord, 3, hex("60405f5f37"), 2),
        (Operation::CopyWord, 3, hex("60405f5f39"), 2),
        (Operation::CopyWord, 3, hex("60405f5f5e"), 2),
        (Operation::CopyWord, 3, [hex("60405f5f73"), hex(&existing), hex("3c")].concat(), 2),
        // MSTORE of the second word.
        (Operation::MemoryWord, 3, hex("5f602052"), 2),
        // LOG2, LOG0 with three bytes.
        (Operation::LogTopic, 375, hex("5f5f5f5fa2"), 2),
        (Operation::LogByte, 8, hex("60035fa0"), 3),
        (Operation::Create, 32_000, hex("5f5f5ff0505f5f5f5ff550"), 2),
        // Init code that returns 32 bytes of memory.
        (Operation::CodeByte, 200, hex("6360205ff35f526004601c5ff050"), 32),
        (Operation::CallValue, 9_000, call(1, &existing), 1),
        (Operation::NewAccount, 25_000, call(1, &absent), 1),
        (Operation::NewAccount, 25_000, hex(&format!("73{absent}ff")), 1),
        // BALANCE, EXTCODESIZE of the same, then a call of another.
        (Operation::ColdAccount, 2_600, hex(&format!("73{absent}3173{absent}3b")), 1),
        (Operation::ColdAccount, 2_600, call(0, &"ac".repeat(20)), 1),
        (Operation::ColdAccount, 2_600, hex(&format!("73{existing}ff")), 1),
        (Operation::ColdSlot, 2_100, hex("5f545060015450"), 2),
        (Operation::ColdSlot, 2_100, hex("60055f55"), 1),
        (Operation::NewSlot, 20_000, hex("6001607055"), 1),
        // Slot 9 has 10.
        (Operation::ChangedSlot, 2_900, hex("600b600955"), 1),
    ]
}

fn with_program(code: &[u8], gas: GasOverrides) -> EvmSpec {
    let mut spec = EvmSpec { gas, ..spec() };
    spec.genesis.push(GenesisAccount {
        address: PROGRAM,
        balance: U256::from(100),
        nonce: 1,
        code: code.to_vec().into(),
        storage: vec![(U256::from(9), U256::from(10)), (U256::ZERO, U256::from(3))],
    });
    spec
}

fn run(code: &[u8], gas: GasOverrides) -> EvmReceipt {
    let draft = Draft { to: Some(PROGRAM), ..Draft::default() };
    let receipt = Chain::new(with_program(code, gas)).send(draft, "a");
    assert_eq!(receipt.status, Status::Success);
    receipt
}

#[test]
fn an_operation_costs_what_the_spec_says() {
    let mut tried = Vec::new();
    for (operation, price, code, count) in programs() {
        let usual = run(&code, GasOverrides::default());
        let same = run(&code, GasOverrides::default().with(operation, price));
        assert_eq!(same, usual, "{} at the hardfork's price", operation.name());
        let raised = run(&code, GasOverrides::default().with(operation, price + 1_000));
        let more = raised.gas_used - usual.gas_used;
        assert_eq!(more, 1_000 * count, "{} in {code:02x?}", operation.name());
        // No other program pays for it.
        for (other, _, code, _) in programs().into_iter().filter(|(o, ..)| *o == Operation::ExpByte)
        {
            let expected = run(&code, GasOverrides::default()).gas_used;
            let found = run(&code, GasOverrides::default().with(operation, price + 1_000)).gas_used;
            assert!(other == operation || found == expected, "{} costs more", other.name());
        }
        tried.push(operation);
    }
    assert!(Operation::ALL.into_iter().all(|operation| tried.contains(&operation)));
}

#[test]
fn access_lists_follow_the_prices_they_are_paid_instead_of() {
    let absent = Address::repeat_byte(0xab);
    let code = hex(&format!("73{absent:x}31505f5450"));
    let used = |gas: &GasOverrides, listed: bool| {
        let list = vec![(absent, vec![]), (PROGRAM, vec![B256::ZERO])];
        let access_list = if listed { list } else { vec![] };
        let draft = Draft { to: Some(PROGRAM), access_list, ..Draft::default() };
        Chain::new(with_program(&code, gas.clone())).send(draft, "a").gas_used
    };
    let raised = GasOverrides::default()
        .with(Operation::ColdAccount, 9_600)
        .with(Operation::ColdSlot, 7_100);
    for gas in [GasOverrides::default(), raised.clone()] {
        // An entry for the account and one for the slot make each 100 cheaper than asking for the
        // first time; the contract is warm without its entry.
        let entry = if gas == raised { 9_400 } else { 2_400 };
        assert_eq!(used(&gas, true), used(&gas, false) - 200 + entry, "{gas:?}");
    }
    assert_eq!(used(&raised, false), used(&GasOverrides::default(), false) + 7_000 + 5_000);
    // What a transaction cannot pay for before it runs is refused without any state.
    let access_list = vec![(absent, vec![])];
    let draft = Draft { gas: 30_399, access_list, to: Some(absent), ..Draft::default() };
    let spec = with_program(&code, raised);
    let reject = check(&spec, &draft.sign(&key("a"))).unwrap_err();
    assert!(reject.message.contains("30399 is the limit, 30400 is needed"), "{reject}");
    assert!(check(&spec, &Draft { gas: 30_400, ..draft }.sign(&key("a"))).is_ok());
}

/// Gas of a STATICCALL to the address with no input: what GAS says before it and after.
fn call_gas(to: Address, gas: &GasOverrides) -> u64 {
    let code = [hex("5a5f5f5f5f73"), to.to_vec(), hex("5afa505a90035f5260205ff3")].concat();
    let chain = Chain::new(with_program(&code, gas.clone()));
    let gas = Some(1_000_000);
    let request = CallRequest { to: Some(PROGRAM), gas, ..CallRequest::default() };
    U256::from_be_slice(&chain.vm.call(&request).unwrap().output).to()
}

fn factor(name: &str, factor: u64) -> GasOverrides {
    GasOverrides::default().with_factor(name, factor).unwrap()
}

#[test]
fn a_precompile_costs_so_many_times_what_it_costs_elsewhere() {
    // With no input: base prices, and what has none fails and takes all it was given.
    let at = |number: u64| Address::from_word(U256::from(number).into());
    let base = [
        ("ecrecover", at(1), 3_000),
        ("sha256", at(2), 60),
        ("ripemd160", at(3), 600),
        ("identity", at(4), 15),
        ("modexp", at(5), 500),
        ("bn254-add", at(6), 150),
        ("bn254-mul", at(7), 6_000),
        ("bn254-pairing", at(8), 45_000),
        ("p256verify", at(0x100), 6_900),
        ("ed25519", Precompile::Ed25519.address(), 4_000),
        ("ed25519-batch", Precompile::Ed25519Batch.address(), 6_000),
    ];
    for (name, to, price) in base {
        let usual = call_gas(to, &GasOverrides::default());
        let seven = call_gas(to, &factor(name, 7));
        assert_eq!(seven, usual + 6 * price, "{name}");
        for (other, ..) in base.into_iter().filter(|(other, ..)| *other != name) {
            assert_eq!(call_gas(to, &factor(other, 7)), usual, "{name} with a raised {other}");
        }
    }
    let priced: Vec<_> = base.iter().map(|(name, ..)| *name).collect();
    for name in precompile_names().filter(|name| !priced.contains(name)) {
        // They take input of a certain length; without it all gas is gone, whatever the factor.
        let to = at(9 + precompile_names().position(|known| known == name).unwrap() as u64 - 8);
        assert!(call_gas(to, &factor(name, 7)) > 900_000, "{name}");
    }
}

#[test]
fn the_least_gas_of_a_raised_precompile_is_its_price() {
    // A transaction to the identity: 18 gas for a word, 90 with a factor of five.
    let spec = EvmSpec { gas: factor("identity", 5), ..spec() };
    let to = Some(Address::with_last_byte(4));
    let price = 21_000 + 16 + 5 * 18;
    for (gas, status) in [(price, Status::Success), (price - 1, Status::Halted)] {
        let draft = Draft { to, gas, input: vec![1], ..Draft::default() };
        let receipt = Chain::new(spec.clone()).send(draft, "a");
        assert_eq!((receipt.status, receipt.gas_used), (status, gas));
        if status == Status::Success {
            assert_eq!(receipt.output.to_vec(), [1]);
        }
    }
    let request = CallRequest { to, input: vec![1].into(), ..CallRequest::default() };
    assert_eq!(Chain::new(spec).vm.estimate_gas(&request), Ok(price));
}

#[test]
fn prices_are_never_below_the_hardforks() {
    let refused = |gas: GasOverrides| EvmSpec { gas, ..spec() }.validate().unwrap_err().to_string();
    for (operation, price, _, _) in programs() {
        let (name, with) =
            (operation.name(), |price| GasOverrides::default().with(operation, price));
        let error = refused(with(price - 1));
        let expected = format!("expected {price}, as in the hardfork, to {PRICE_MAX}");
        assert!(error.starts_with(&format!("gas.operations.{name} is {}", price - 1)), "{error}");
        assert!(error.ends_with(&expected), "{error}");
        assert!(refused(with(PRICE_MAX + 1)).contains(name));
        assert_eq!(Operation::from_name(name), Some(operation));
    }
    for (wrong, shown) in [(0, "is 0"), (FACTOR_MAX + 1, "is 1001"), (u64::MAX, "is 65535")] {
        let error = refused(factor("modexp", wrong));
        assert!(error.starts_with(&format!("gas.precompiles.modexp {shown}")), "{error}");
    }
    assert_eq!(GasOverrides::default().with_factor("P256VERIFY", 2), None);
}

#[test]
fn overrides_are_part_of_the_spec() {
    let gas = factor("p256verify", 300)
        .with_factor("ed25519", 2)
        .unwrap()
        .with(Operation::NewSlot, 40_000)
        .with(Operation::Keccak256Word, 60);
    let encoded = gas.to_bytes();
    assert_eq!(encoded, hex("02013c0cc0b8020211ac021202"));
    assert_eq!(GasOverrides::from_bytes(&encoded), Ok(gas.clone()));
    let osaka = EvmSpec { gas, ..spec() };
    assert_eq!(EvmSpec::from_bytes(&osaka.to_bytes()), Ok(osaka.clone()));
    let cancun = EvmSpec { hardfork: Hardfork::Cancun, ..osaka };
    assert!(cancun.validate().is_ok());
    // Twice the same, out of order, unknown, a factor of one.
    for wrong in ["020105010500", "020c050105", "010e0500", "00021101", "000114020a", "00021202"] {
        let found = GasOverrides::from_bytes(&hex(wrong));
        assert!(found.is_err(), "{wrong}: {found:?}");
    }
    assert_eq!(
        GasOverrides::from_bytes(&hex("00011101")),
        Err(CodecError::Invalid("gas schedule"))
    );
}
