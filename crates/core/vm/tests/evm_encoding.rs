//! Golden bytes of what is stored, proven and published, and the rules of the spec.

mod evm_common;

use atoll_state::Object;
use atoll_state::object::{self, LoadError};
use atoll_types::codec::CodecError;
use atoll_types::{Address, B256, Decode, Encode, EnvironmentId, U256, sha256};
use atoll_vm::evm::objects::{Account, Block, Code, Flows, Ledger, StorageSlot};
use atoll_vm::evm::{
    BRIDGE_ADDRESS, BaseFee, BridgedTokenSpec, DELIVERY_KIND, EXCHANGE_PORT_ADDRESS, EvmBridge,
    EvmExchange, EvmLog, EvmReceipt, EvmSpec, EvmVm, FeeToken, Hardfork, Precompile, PrecompileSet,
    SYSTEM_ADDRESS, Status,
};
use evm_common::*;
use std::fmt::Debug;

fn golden<T: Encode + Decode + PartialEq + Debug>(value: &T, bytes: &str) {
    assert_eq!(value.to_bytes(), hex(bytes), "{value:?}");
    assert_eq!(T::from_bytes(&hex(bytes)).as_ref(), Ok(value));
}

fn bridge() -> EvmBridge {
    let token = Address::repeat_byte(0x11);
    let token = BridgedTokenSpec { token, name: "A b".into(), symbol: "X1".into(), decimals: 18 };
    EvmBridge { code: hex("6000").into(), tokens: vec![token] }
}

fn receipt() -> EvmReceipt {
    EvmReceipt {
        status: Status::Success,
        kind: 2,
        transaction_hash: B256::repeat_byte(1),
        transaction_index: 3,
        from: Address::repeat_byte(4),
        to: None,
        contract_address: Some(Address::repeat_byte(5)),
        gas_used: 21_000,
        cumulative_gas_used: 42_000,
        effective_gas_price: 1 << 70,
        first_log_index: 6,
        logs: vec![EvmLog {
            address: Address::repeat_byte(7),
            topics: vec![B256::repeat_byte(8)],
            data: vec![9].into(),
        }],
        output: vec![10, 11].into(),
    }
}

#[test]
fn objects_have_golden_bytes() {
    let account = Account { nonce: 300, balance: U256::from(0x1234), ..Account::default() };
    golden(&account, "ac02021234");
    let code_hash = B256::repeat_byte(0xaa);
    golden(&Account { code_hash, ..account }, &format!("ac02021234{}", "aa".repeat(32)));
    golden(&StorageSlot(U256::from(255)), "01ff");
    golden(&StorageSlot(U256::MAX), &format!("20{}", "ff".repeat(32)));
    let block =
        Block { number: 1, timestamp: 2, base_fee: 3, gas_used: 300, transactions: 5, logs: 6 };
    golden(&block, "010203ac020506");
    let [genesis, burned, destroyed] = [1, 0, 5].map(U256::from);
    golden(&Ledger { genesis, burned, destroyed }, "0101000105");
    let [deposits, inbound, outbound, withdrawals] = [1, 0, 0x300, 4].map(U256::from);
    golden(&Flows { deposits, inbound, outbound, withdrawals }, "0101000203000104");
    golden(&Code::from_bytes(&hex("0360005b")).unwrap(), "0360005b");
    let delegation = format!("17ef0100{}", "11".repeat(20));
    golden(&Code::from_bytes(&hex(&delegation)).unwrap(), &delegation);
}

#[test]
fn one_value_has_one_encoding() {
    assert!(StorageSlot::from_bytes(&hex("0200ff")).is_err());
    assert!(StorageSlot::from_bytes(&[33; 34]).is_err());
    let empty_hash = hex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    let explicit = [hex("ac0200"), empty_hash].concat();
    assert_eq!(Account::from_bytes(&explicit), Err(CodecError::Invalid("code hash")));
    // Neither a delegation nor code: nothing of the kind can be deployed (EIP-3541).
    assert!(Code::from_bytes(&hex("04ef010000")).is_err());
    assert!(Code::from_bytes(&[&hex("818003")[..], &[0; 0xc001]].concat()).is_err());
}

#[test]
fn receipts_and_specs_have_golden_bytes() {
    let bytes = receipt().to_bytes();
    assert_eq!(EvmReceipt::from_bytes(&bytes), Ok(receipt()));
    let delivery = EvmReceipt { kind: DELIVERY_KIND, ..receipt() };
    assert_eq!(EvmReceipt::from_bytes(&delivery.to_bytes()), Ok(delivery));
    for kind in [3, 5, 0x7d, 0x7f] {
        assert!(EvmReceipt::from_bytes(&EvmReceipt { kind, ..receipt() }.to_bytes()).is_err());
    }
    for cut in 0..bytes.len() {
        assert!(EvmReceipt::from_bytes(&bytes[..cut]).is_err());
    }
    let expected = [
        &format!("0102{}03{}", "01".repeat(32), "04".repeat(20)),
        &format!("0001{}88a40190c802", "05".repeat(20)),
        "808080808080808080800106",
        &format!("01{}01{}0109", "07".repeat(20), "08".repeat(32)),
        "020a0b",
    ];
    assert_eq!(bytes, hex(&expected.concat()));

    let spec = spec();
    assert_eq!(EvmSpec::from_bytes(&spec.to_bytes()), Ok(spec.clone()));
    let eip1559 = BaseFee::Eip1559 { initial: 5, change_denominator: 80 };
    let other = EvmSpec { base_fee: eip1559, hardfork: Hardfork::Prague, ..spec.clone() };
    assert_eq!(EvmSpec::from_bytes(&other.to_bytes()), Ok(other.clone()));
    assert_ne!(sha256(&[&spec.to_bytes()]), sha256(&[&other.to_bytes()]));
    let small = EvmSpec { genesis: vec![], ..other };
    let expected = "591b000000000000010345544880c3c9010000000001050000000000000050";
    let until_tokens = format!("{expected}00000000000000{}", "fe".repeat(20));
    let head = format!("{until_tokens}00");
    let expected = format!("{head}03000000");
    assert_eq!(small.to_bytes(), hex(&format!("{expected}0000")));
    let plain = EvmSpec { precompiles: PrecompileSet::NONE, ..small.clone() };
    golden(&plain, &format!("{head}000000000000"));
    let unknown = EvmSpec::from_bytes(&hex(&format!("{head}040000000000")));
    assert_eq!(unknown, Err(CodecError::Invalid("precompiles")));
    let bridged = EvmSpec { bridge: Some(bridge()), ..small.clone() };
    let token = format!("{}0341206202583112", "11".repeat(20));
    assert_eq!(bridged.to_bytes(), hex(&format!("{expected}0102600001{token}00")));
    assert_eq!(EvmSpec::from_bytes(&bridged.to_bytes()), Ok(bridged));
    let fee_token = FeeToken {
        token: Address::repeat_byte(0x11),
        balances_slot: U256::from(2),
        price: 3_000_000_000,
    };
    let charging = EvmSpec { fee_tokens: vec![fee_token], ..small.clone() };
    let token = format!("01{}{:064x}80bcc1960b", "11".repeat(20), 2);
    golden(&charging, &format!("{until_tokens}{token}030000000000"));
    let trading = EvmSpec { exchange: Some(port()), ..small };
    assert_eq!(trading.to_bytes(), hex(&format!("{expected}000103600001070000000a000000")));
    assert_eq!(EvmSpec::from_bytes(&trading.to_bytes()), Ok(trading));
}

#[test]
fn a_snapshot_holds_the_whole_state() {
    let mut chain = Chain::new(spec());
    chain.block(&[Draft::default().sign(&key("a"))]);
    let all = object::export(&mut chain.vm);
    let mut copy = EvmVm::<atoll_state::Resident>::new_empty(spec());
    for (key, value) in all.iter() {
        object::load(&mut copy, key, value).unwrap();
    }
    let sorted = |vm: &mut EvmVm<atoll_state::Resident>| {
        let all = object::export(vm);
        let mut all: Vec<_> =
            all.iter().map(|(k, v)| (k.to_vec(), v.map(<[u8]>::to_vec))).collect();
        all.sort();
        all
    };
    assert_eq!(sorted(&mut copy), sorted(&mut chain.vm));
    // An account that does not exist must be given as absent.
    let key = [&[Account::TAG][..], &[0xdd; 20]].concat();
    assert_eq!(object::load(&mut copy, &key, Some(&[0, 0])), Err(LoadError::Default("account")));
}

trait Empty {
    fn new_empty(spec: EvmSpec) -> Self;
}

impl Empty for EvmVm<atoll_state::Resident> {
    fn new_empty(spec: EvmSpec) -> Self {
        <Self as atoll_vm::Vm<_>>::new(identity(), spec, 3)
    }
}

fn port() -> EvmExchange {
    EvmExchange { code: vec![0x60, 0, 1].into(), environment: EnvironmentId(7), every_slots: 10 }
}

fn port_of(spec: &mut EvmSpec) -> &mut EvmExchange {
    spec.exchange.as_mut().unwrap()
}

fn bridge_of(spec: &mut EvmSpec) -> &mut EvmBridge {
    spec.bridge.as_mut().unwrap()
}

#[test]
fn a_wrong_spec_is_told_by_key_and_expectation() {
    type Change = fn(&mut EvmSpec);
    fn token(s: &mut EvmSpec) -> &mut BridgedTokenSpec {
        &mut bridge_of(s).tokens[0]
    }
    let cases: [(&str, Change); 32] = [
        ("chain_id", |s| s.chain_id = 0),
        ("chain_id", |s| s.chain_id = u64::MAX),
        ("symbol", |s| s.symbol.clear()),
        ("symbol", |s| s.symbol = "E T".into()),
        ("block_gas_limit", |s| s.block_gas_limit = 20_999),
        ("block_gas_limit", |s| s.block_gas_limit = 1_000_000_001),
        ("base_fee.initial", |s| {
            s.base_fee = BaseFee::Eip1559 { initial: 0, change_denominator: 8 }
        }),
        ("base_fee.change_denominator", |s| {
            s.base_fee = BaseFee::Eip1559 { initial: 1, change_denominator: 1 }
        }),
        ("genesis.0x", |s| s.genesis[1].address = s.genesis[0].address),
        (".address", |s| s.genesis[0].address = atoll_vm::evm::history::HISTORY_ADDRESS),
        (".address", |s| s.genesis[0].address = Precompile::Ed25519Batch.address()),
        (".code", |s| s.genesis[3].code = vec![0; 0x6001].into()),
        (".storage", |s| s.genesis[0].storage = vec![(U256::ZERO, U256::from(1))]),
        (".storage", |s| s.genesis[3].storage = vec![(U256::ZERO, U256::from(1)); 2]),
        (".balance", |s| s.genesis[0].balance = U256::from(1) << 128),
        (".address", |s| s.genesis[0].address = BRIDGE_ADDRESS),
        (".address", |s| s.genesis[0].address = SYSTEM_ADDRESS),
        ("bridge.code", |s| bridge_of(s).code = vec![].into()),
        ("bridge.code", |s| bridge_of(s).code = vec![0; 0x6001].into()),
        ("bridge.tokens", |s| bridge_of(s).tokens = vec![bridge().tokens[0].clone(); 257]),
        ("bridge.tokens[1].hub_token", |s| bridge_of(s).tokens.extend(bridge().tokens)),
        ("bridge.tokens[0].hub_token", |s| token(s).token = Address::ZERO),
        ("bridge.tokens[0].name", |s| token(s).name = "a".repeat(65)),
        ("bridge.tokens[0].symbol", |s| token(s).symbol.clear()),
        ("bridge.tokens[0].symbol", |s| token(s).symbol = "A\n".into()),
        ("bridge.tokens[0].decimals", |s| token(s).decimals = 37),
        (".address", |s| s.genesis[0].address = EXCHANGE_PORT_ADDRESS),
        ("exchange.code", |s| port_of(s).code = vec![].into()),
        ("exchange.code", |s| port_of(s).code = vec![0; 0x6001].into()),
        ("exchange.environment", |s| port_of(s).environment = EnvironmentId(0)),
        ("exchange.every_slots", |s| port_of(s).every_slots = 0),
        ("exchange.every_slots", |s| port_of(s).every_slots = 10_001),
    ];
    let good = || EvmSpec { bridge: Some(bridge()), exchange: Some(port()), ..spec() };
    assert_eq!(good().validate(), Ok(()));
    for (key, change) in cases {
        let mut wrong = good();
        change(&mut wrong);
        let error = wrong.validate().unwrap_err();
        assert!(error.key.contains(key), "{error}");
        assert!(error.to_string().contains(", expected "), "{error}");
    }
}

#[test]
fn the_base_fee_moves_as_eip_1559_says() {
    let fee = BaseFee::Eip1559 { initial: 1, change_denominator: 8 };
    // Base fee, gas used, gas limit, base fee after.
    for (base_fee, used, limit, after) in [
        (1_000_000_000, 10_000_000, 10_000_000, 1_125_000_000),
        (1_000_000_000, 10_000_000, 12_000_000, 1_083_333_333),
        (1_000_000_000, 10_000_000, 14_000_000, 1_053_571_428),
        (1_072_671_875, 9_000_000, 10_000_000, 1_179_939_062),
        (1_059_263_476, 10_001_000, 14_000_000, 1_116_028_649),
        (1_049_238_967, 0, 2_000_000, 918_084_097),
        (1_049_238_967, 10_000_000, 18_000_000, 1_063_811_730),
    ] {
        assert_eq!(fee.next(base_fee, used, limit), after);
    }
    // At least 1 wei up, and never below zero.
    assert_eq!(fee.next(1, 30_000_000, 30_000_000), 2);
    assert_eq!(fee.next(0, 0, 30_000_000), 0);
    assert_eq!(fee.next(u64::MAX, 30_000_000, 30_000_000), u64::MAX);
    assert_eq!(BaseFee::Fixed(7).next(7, 1, 2), 7);
}
