//! Bytes: golden, round trip, and whatever else may arrive.

use crate::common::{self, IDENTITY, START_MS, key};
use atoll_exchange::{OrderId, Side, Tif, Wallet};
use atoll_types::{Address, Decode, Encode, EnvironmentId, RejectCode, Signature, sha256};
use atoll_vm::exchange::msgpack::{MsgpackReader, MsgpackWriter};
use atoll_vm::exchange::objects::{Agent, AgentList, Nonces};
use atoll_vm::exchange::sign::{sign_action, sign_l1_action, sign_message, sign_oracle};
use atoll_vm::exchange::{
    AtollMessage, ExchangeReceipt, ExchangeTransaction, ExchangeVmSpec, Kind, Status, build,
    domain::Source,
};
use proptest::prelude::*;

fn nonces(of: impl IntoIterator<Item = u64>) -> Nonces {
    let mut nonces = Nonces::default();
    of.into_iter().for_each(|nonce| nonces.insert(nonce));
    nonces
}

#[test]
fn the_encodings_are_golden() {
    let signature = Signature { r: [1; 32], s: [2; 32], y_parity: 1 };
    let transaction = ExchangeTransaction {
        kind: Kind::Hyperliquid,
        nonce: 0x0102,
        vault: Some(Address::repeat_byte(9)),
        expires_after: Some(3),
        body: vec![0x80],
        signature,
    };
    let bytes = transaction.to_bytes();
    assert_eq!(ExchangeTransaction::from_bytes(&bytes), Ok(transaction.clone()));
    assert_eq!(ExchangeTransaction::parse(&bytes), Ok(transaction));
    let mut expected = vec![1, 0, 2, 1, 0, 0, 0, 0, 0, 0, 1];
    expected.extend([9; 20]);
    expected.extend([1, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0x80]);
    expected.extend([1; 32]);
    expected.extend([2; 32]);
    expected.push(1);
    assert_eq!(bytes, expected);

    let client_id = Some([5; 16]);
    let receipt = ExchangeReceipt {
        statuses: vec![
            Status::Success,
            Status::Resting { order: OrderId(7), client_id },
            Status::Filled {
                order: OrderId(8),
                client_id: None,
                size: 3,
                notional: -4,
                resting: 1,
            },
            Status::Rejected { code: RejectCode::OffTick, detail: "no".into() },
        ],
        events: vec![],
    };
    assert_eq!(ExchangeReceipt::from_bytes(&receipt.to_bytes()), Ok(receipt.clone()));
    let messages = [
        AtollMessage::ApproveAgent {
            agent: Address::repeat_byte(1),
            name: "bot".into(),
            valid_until_ms: 2,
        },
        AtollMessage::Transfer {
            to: Address::repeat_byte(3),
            asset: "USDC".into(),
            wallet: Wallet::Spot,
            amount: u128::MAX,
        },
        AtollMessage::Move { to: Wallet::Collateral, amount: 1 },
        AtollMessage::Send {
            destination: EnvironmentId(0x0102),
            to: Address::repeat_byte(3),
            asset: "USDC".into(),
            wallet: Wallet::Spot,
            amount: 5,
        },
        AtollMessage::MoveAsset { to: Wallet::Spot, asset: "UBTC".into(), amount: 7 },
    ];
    let sent = [&[3, 2, 1, 0, 0][..], &[3; 20], &[4], b"USDC", &[1, 5]];
    assert_eq!(messages[3].to_bytes(), sent.concat());
    let mut all = receipt.to_bytes();
    for message in messages {
        assert_eq!(AtollMessage::from_bytes(&message.to_bytes()), Ok(message.clone()));
        message.encode(&mut all);
    }
    let prices = common::marks(1, 1 << 39);
    assert_eq!(Decode::from_bytes(&prices.to_bytes()), Ok(prices.clone()));
    prices.encode(&mut all);
    let agent = Agent { master: Address::repeat_byte(4), valid_until_ms: 5, name: "x".into() };
    agent.encode(&mut all);
    AgentList(vec![Address::repeat_byte(6)]).encode(&mut all);
    nonces([START_MS, START_MS + 2, 1]).encode(&mut all);
    common::spec(true).encode(&mut all);
    assert_eq!(sha256(&[&all]).to_string(), GOLDEN);
}

const GOLDEN: &str = "0x8e37aa4b882bfed205b26897402023f2c22a84ab902c2db20c8e69c8a571755a";

#[test]
fn specs_round_trip_and_invalid_ones_name_the_key() {
    let spec = common::spec(false);
    assert_eq!(spec.validate(), Ok(()));
    assert_eq!(ExchangeVmSpec::from_bytes(&spec.to_bytes()), Ok(spec.clone()));
    let broken = |change: fn(&mut ExchangeVmSpec)| {
        let mut spec = common::spec(false);
        change(&mut spec);
        assert!(ExchangeVmSpec::from_bytes(&spec.to_bytes()).is_err());
        spec.validate().unwrap_err().key
    };
    assert_eq!(broken(|s| s.chain_id = 0), "chain_id");
    assert_eq!(broken(|s| s.oracles[0] = Address::ZERO), "oracles[0]");
    assert_eq!(broken(|s| s.oracles.clear()), "oracles");
    assert_eq!(broken(|s| s.commands_per_action_max = 0), "commands_per_action_max");
    assert_eq!(broken(|s| s.agents_per_account_max = 33), "agents_per_account_max");
    assert_eq!(broken(|s| s.claims_per_slot = 0), "claims_per_slot");
    assert_eq!(broken(|s| s.claims_per_slot = 10_001), "claims_per_slot");
    assert_eq!(broken(|s| s.hub_assets[1].asset.0 = 0), "hub_assets[1].asset");
    assert_eq!(broken(|s| s.hub_assets[1].asset.0 = 3), "hub_assets[1].asset");
    assert_eq!(broken(|s| s.hub_assets[1].token = s.hub_assets[0].token), "hub_assets[1].token");
    let many = |s: &mut ExchangeVmSpec| {
        s.hub_assets = vec![s.hub_assets[0]; 11];
        s.claims_per_slot = 10_000;
    };
    assert_eq!(broken(many), "claims_per_slot");
    for unit in [0, 2, 11, 10u128.pow(19)] {
        let mut spec = common::spec(false);
        spec.hub_assets[0].unit = unit;
        assert!(ExchangeVmSpec::from_bytes(&spec.to_bytes()).is_err());
        assert_eq!(spec.validate().unwrap_err().key, "hub_assets[0].unit");
    }
    let funded = spec.funded();
    assert_eq!(funded.len(), 1);
    let amount = atoll_types::U256::from(3_000_000_000_000u64);
    assert_eq!((funded[0].token, funded[0].amount), (common::USDC_TOKEN, amount));
    assert_eq!(broken(|s| s.genesis[1].amount = 0), "genesis[1].amount");
    assert_eq!(broken(|s| s.genesis[1].amount = 1 << 96), "genesis[1].amount");
    assert_eq!(broken(|s| s.genesis[2].asset.0 = 3), "genesis[2].asset");
    assert_eq!(broken(|s| s.genesis[0].asset.0 = 1), "genesis[0].wallet");
    let first_spot = |s: &mut ExchangeVmSpec| {
        let mut exchange = s.exchange.spec().clone();
        exchange.markets.swap(0, 2);
        s.exchange = atoll_exchange::Rules::new(exchange).unwrap();
    };
    assert_eq!(broken(first_spot), "exchange.markets");
    assert_eq!(broken(|s| s.genesis[0].address = Address::ZERO), "genesis[0].address");
}

/// Any MessagePack without floats, extensions and binary strings.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let write = |f: &dyn Fn(&mut MsgpackWriter) -> &mut MsgpackWriter| {
        let mut w = MsgpackWriter::new();
        f(&mut w);
        w.into_bytes()
    };
    let leaf = prop_oneof![
        any::<u64>().prop_map(move |n| write(&|w| w.unsigned(n))),
        any::<i64>().prop_map(move |n| write(&|w| w.signed(n))),
        any::<bool>().prop_map(move |b| write(&|w| w.bool(b))),
        ".{0,40}".prop_map(move |s| write(&|w| w.string(&s))),
        Just(vec![0xc0]),
    ];
    leaf.prop_recursive(6, 64, 20, move |inner| {
        let list = prop::collection::vec(inner, 0..20);
        (list, any::<bool>()).prop_map(move |(list, map)| {
            let mut w = MsgpackWriter::new();
            if map {
                w.map(list.len())
            } else {
                w.array(list.len())
            };
            let mut bytes = w.into_bytes();
            for (i, value) in list.iter().enumerate() {
                if map {
                    let mut key = MsgpackWriter::new();
                    key.string(&format!("k{i}"));
                    bytes.extend(key.into_bytes());
                }
                bytes.extend(value);
            }
            bytes
        })
    })
}

/// Actions that are nearly right: a valid one with a few bytes changed.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let wire = common::wire(&common::spec(true), &common::order(Side::Buy, 200_000, 10, Tif::Gtc));
    let target = atoll_exchange::OrderSelector::Client([3; 16]);
    let actions = vec![
        build::orders(&[wire.clone(), wire.clone()]),
        build::cancels(&[(0, OrderId(1))]),
        build::modify(&target, &wire),
        build::update_leverage(0, true, 3),
    ];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (prop::sample::select(actions), changes, any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(mut bytes, changes, cut, whole)| {
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if !whole {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes
        },
    )
}

proptest! {
    #[test]
    fn msgpack_is_skipped_exactly(value in value(), tail in prop::collection::vec(any::<u8>(), 0..4)) {
        let bytes = [&value[..], &tail].concat();
        let mut reader = MsgpackReader::new(&bytes);
        prop_assert_eq!(reader.skip(), Ok(&value[..]));
        prop_assert_eq!(reader.finish().is_ok(), tail.is_empty());
        for cut in 0..value.len() {
            prop_assert!(MsgpackReader::new(&value[..cut]).skip().is_err());
        }
    }

    #[test]
    fn integers_are_read_as_written(n: u64) {
        let mut w = MsgpackWriter::new();
        w.unsigned(n);
        prop_assert_eq!(MsgpackReader::new(&w.into_bytes()).unsigned(), Ok(n));
    }

    #[test]
    fn random_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let code = common::check(&common::spec(true), &bytes).unwrap_err().code;
        prop_assert!(matches!(code, RejectCode::Malformed | RejectCode::Unsigned));
    }

    #[test]
    fn random_actions_are_answered(action in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300), value(), nearly(),
    ]) {
        let signed = sign_action(&key("alice"), action, START_MS);
        let _ = common::check(&common::spec(true), &signed.to_bytes());
        for kind in [Kind::Atoll, Kind::Oracle] {
            let other = ExchangeTransaction { kind, ..signed.clone() };
            let _ = common::check(&common::spec(true), &other.to_bytes());
        }
    }

    #[test]
    fn a_changed_byte_never_keeps_the_signer(at: prop::sample::Index, bit in 0..8u8) {
        let spec = common::spec(true);
        let wire = common::wire(&spec, &common::order(Side::Buy, 200_000, 10, Tif::Gtc));
        let message = AtollMessage::Move { to: Wallet::Spot, amount: 77 };
        let (alice, oracle) = (key("alice"), key("oracle"));
        for (signer, good) in [
            (&alice, sign_l1_action(
                &alice, Source::Testnet, build::orders(&[wire]), START_MS, None, Some(START_MS),
            )),
            (&alice, sign_message(&alice, &IDENTITY, common::CHAIN_ID, &message, START_MS)),
            (&oracle, sign_oracle(&oracle, &IDENTITY, START_MS, &common::marks(1, 2))),
        ] {
            let mut bytes = good.to_bytes();
            prop_assert_eq!(common::check(&spec, &bytes).unwrap().signer, signer.address());
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(checked) = common::check(&spec, &bytes) {
                prop_assert_ne!(checked.signer, signer.address());
            }
        }
    }

    #[test]
    fn nonces_are_those_of_a_naive_set(
        steps in prop::collection::vec((0..400u64, 0..3u64), 0..300),
    ) {
        let (mut nonces, mut kept, mut now) = (Nonces::default(), Vec::<u64>::new(), START_MS);
        let mut ever = std::collections::BTreeSet::new();
        for (offset, passed) in steps {
            now += passed;
            let nonce = START_MS - 200 + offset;
            let fresh = !kept.contains(&nonce);
            let expected = match nonce {
                _ if !fresh => Err(RejectCode::NonceUsed),
                _ if kept.len() == 100 && nonce < kept[0] => Err(RejectCode::NonceTooLow),
                _ => Ok(()),
            };
            let checked = nonces.check(nonce, now).map_err(|reject| reject.code);
            prop_assert_eq!(checked, expected);
            if checked.is_ok() {
                prop_assert!(ever.insert(nonce), "accepted twice");
                nonces.insert(nonce);
                kept.push(nonce);
                kept.sort_unstable();
                if kept.len() > 100 {
                    kept.remove(0);
                }
            }
            prop_assert_eq!(nonces.kept(), &kept[..]);
        }
        prop_assert_eq!(Nonces::from_bytes(&nonces.to_bytes()), Ok(nonces));
    }
}

#[test]
fn depth_and_lengths_do_not_matter() {
    let spec = common::spec(true);
    let deep = |byte: u8| vec![byte; 100_000];
    for body in [deep(0x91), deep(0x81), deep(0x9f), vec![0xdd, 0xff, 0xff, 0xff, 0xff]] {
        let mut w = MsgpackWriter::new();
        w.map(2).string("type").string("order").string("orders");
        let action = [w.into_bytes(), body].concat();
        let signed = sign_action(&key("alice"), action, START_MS);
        let refused = common::check(&spec, &signed.to_bytes()).unwrap_err();
        assert_eq!(refused.code, RejectCode::Malformed);
    }
}
