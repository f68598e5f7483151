//! What contracts of other environments ask for, held against the same signed by a user; what cannot
//! be read; whose accounts they are.

use crate::common::{
    CHAIN_ID, IDENTITY, START_MS, UBTC_TOKEN, UBTC_UNIT, USDC, USDC_TOKEN, Venue, key, naive_claim,
    order, transfer,
};
use atoll_exchange::{ClientId, OrderId, Side, Tif, Wallet, objects::LedgerKey};
use atoll_state::{Resident, object};
use atoll_types::hub::ROUTER;
use atoll_types::{
    Address, Decode, Encode, EnvironmentId, Message, MessageKind, RejectCode, U256, sha256,
};
use atoll_vm::exchange::sign::{sign_action, sign_message};
use atoll_vm::exchange::{
    AtollMessage, ContractAction, ExchangeReceipt, ExchangeVm, Status, build,
};
use atoll_vm::{Receipt, Vm};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The environment that the contract is in.
pub(crate) const EVM: u32 = 2;
pub(crate) const CONTRACT: Address = Address::repeat_byte(0xc0);

/// The account of an address of an environment, by the formula in the documents.
pub(crate) fn account_of(environment: u32, who: Address) -> Address {
    let mut bytes = [0; 96];
    bytes[..13].copy_from_slice(b"atoll account");
    bytes[60..64].copy_from_slice(&environment.to_be_bytes());
    bytes[76..].copy_from_slice(who.as_slice());
    Address::from_slice(&sha256(&[&bytes])[12..])
}

pub(crate) fn alias() -> Address {
    account_of(EVM, CONTRACT)
}

/// An action as Solidity packs it: `bytes.concat(hex"01…", abi.encode(words…))`.
pub(crate) fn raw(number: u32, words: &[U256]) -> Vec<u8> {
    let mut data = (1 << 24 | number).to_be_bytes().to_vec();
    words.iter().for_each(|word| data.extend(word.to_be_bytes::<32>()));
    data
}

pub(crate) fn n(number: u128) -> U256 {
    U256::from(number)
}

pub(crate) fn a(address: Address) -> U256 {
    U256::from_be_slice(address.as_slice())
}

pub(crate) fn asked_by(source: u32, from: Address, data: Vec<u8>) -> Message {
    let (to, token, amount) = (Address::ZERO, Address::ZERO, U256::ZERO);
    let message = transfer(source, to, token, amount);
    Message { kind: MessageKind::Action, from, data, ..message }
}

pub(crate) fn asked(data: Vec<u8>) -> Message {
    asked_by(EVM, CONTRACT, data)
}

/// 10⁸ × a decimal number.
fn e8(text: &str) -> U256 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    n(format!("{whole}{fraction:0<8}").parse().unwrap())
}

fn code(status: &Status) -> RejectCode {
    match status {
        Status::Rejected { code, detail } => {
            assert!(detail.len() > 20, "{detail}");
            *code
        }
        other => panic!("{other:?}"),
    }
}

fn told(venue: &mut Venue, message: &AtollMessage) -> ExchangeReceipt {
    let nonce = venue.next_nonce();
    venue.send(&sign_message(&key("dave"), &IDENTITY, CHAIN_ID, message, nonce)).unwrap()
}

/// All of a state but the nonces, with one address in the place of another.
fn state(vm: &mut ExchangeVm<Resident>, old: Address, new: Address) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let renamed = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        for at in 0..bytes.len().saturating_sub(19) {
            if bytes[at..at + 20] == old[..] {
                bytes[at..at + 20].copy_from_slice(new.as_slice());
            }
        }
        bytes
    };
    let all = object::export(vm);
    let kept = all.iter().filter(|(key, _)| key[0] != 66);
    kept.filter_map(|(key, value)| Some((renamed(key), renamed(value?)))).collect()
}

/// The same account twice: of a contract, and of a key.
struct Pair {
    asked: Venue,
    signed: Venue,
}

impl Pair {
    fn new() -> Self {
        let mut pair = Self { asked: Venue::new(true), signed: Venue::new(true) };
        let dave = key("dave").address();
        for (venue, who) in [(&mut pair.asked, alias()), (&mut pair.signed, dave)] {
            venue.receive(&transfer(EVM, who, USDC_TOKEN, n(100_000_000_000))).unwrap();
            venue.receive(&transfer(EVM, who, UBTC_TOKEN, n(50 * UBTC_UNIT))).unwrap();
        }
        pair
    }

    fn both(&mut self, each: impl Fn(&mut Venue)) {
        each(&mut self.asked);
        each(&mut self.signed);
    }

    /// The contract asks, the user signs: the same receipt, messages and state.
    fn same(
        &mut self,
        data: Vec<u8>,
        signed: impl FnOnce(&mut Venue) -> ExchangeReceipt,
    ) -> Status {
        let dave = key("dave").address();
        let receipt = self.asked.receive(&asked(data)).unwrap();
        assert_eq!(receipt, signed(&mut self.signed));
        for message in &mut self.asked.sent {
            assert_eq!(message.from, alias());
            message.from = dave;
        }
        assert_eq!(self.asked.sent, self.signed.sent);
        let found = state(&mut self.asked.vm, alias(), dave);
        assert_eq!(found, state(&mut self.signed.vm, dave, dave));
        assert_eq!(receipt.statuses.len(), 1);
        receipt.statuses[0].clone()
    }

    fn order(&mut self, (asset, buy): (u64, bool), price: &str, size: &str, how: How) -> Status {
        let How { tif, reduce_only, cloid } = how;
        let number = [2, 3, 1][tif as usize];
        let words = [n(asset.into()), n(buy.into()), e8(price), e8(size)];
        let data = raw(1, &[&words[..], &[n(reduce_only.into()), n(number), n(cloid)]].concat());
        let wire = build::OrderWire {
            asset,
            buy,
            price: price.into(),
            size: size.into(),
            reduce_only,
            tif,
            client_id: (cloid != 0).then_some(cloid.to_be_bytes()),
            ..Default::default()
        };
        self.same(data, |venue| venue.act("dave", build::orders(&[wire])).unwrap())
    }
}

#[derive(Clone, Copy, Default)]
struct How {
    tif: Tif,
    reduce_only: bool,
    cloid: u128,
}

const GTC: How = How { tif: Tif::Gtc, reduce_only: false, cloid: 0 };

fn resting(status: &Status) -> (OrderId, Option<ClientId>) {
    match status {
        Status::Resting { order, client_id } => (*order, *client_id),
        other => panic!("{other:?}"),
    }
}

#[test]
fn orders_are_what_a_user_would_have_signed() {
    let mut pair = Pair::new();
    let (alo, ioc) = (How { tif: Tif::PostOnly, ..GTC }, How { tif: Tif::Ioc, ..GTC });
    let buy = (0, true);
    resting(&pair.order(buy, "1999.5", "0.01", GTC));
    assert_eq!(code(&pair.order((0, false), "1999.5", "0.01", alo)), RejectCode::WouldCross);
    resting(&pair.order((1, true), "29999.5", "0.01", alo));
    let unpaid = pair.order((10_000, true), "29999.9", "0.01", GTC);
    assert_eq!(code(&unpaid), RejectCode::InsufficientBalance);
    assert_eq!(code(&pair.order(buy, "2000", "0.02", ioc)), RejectCode::NoLiquidity);
    pair.both(|venue| {
        venue.place("bob", order(Side::Sell, 200_000, 300, Tif::Gtc));
    });
    let filled = pair.order(buy, "2000", "0.02", ioc);
    assert!(matches!(filled, Status::Filled { size: 200, notional: 40_000_000, .. }), "{filled:?}");
    let reduces = How { reduce_only: true, ..GTC };
    assert_eq!(code(&pair.order(buy, "1999", "0.02", reduces)), RejectCode::NotReducing);
    resting(&pair.order((0, false), "2001", "0.02", reduces));

    for (market, price, size, expected) in [
        (buy, "1999.501", "0.01", RejectCode::OffTick),
        (buy, "1999.50000001", "0.01", RejectCode::OffTick),
        ((1, true), "29999.1", "0.01", RejectCode::OffTick),
        (buy, "184467440737.09551615", "0.01", RejectCode::OffTick),
        (buy, "1999.5", "0.01001", RejectCode::OffLot),
        ((1, true), "29999.5", "0.0101", RejectCode::OffLot),
        ((2, true), "1999.5", "0.01", RejectCode::UnknownMarket),
        ((10_001, true), "1999.5", "0.01", RejectCode::UnknownMarket),
        ((u32::MAX.into(), true), "1999.5", "0.01", RejectCode::UnknownMarket),
        (buy, "1999.5", "0.0001", RejectCode::Dust),
        (buy, "1999.5", "99999", RejectCode::InsufficientMargin),
        (buy, "19.9", "0.01", RejectCode::PriceBand),
    ] {
        assert_eq!(code(&pair.order(market, price, size, GTC)), expected, "{price} {size}");
    }
}

#[test]
fn cancels_are_what_a_user_would_have_signed() {
    let mut pair = Pair::new();
    let (first, none) = resting(&pair.order((0, true), "1999", "0.01", GTC));
    let named = How { cloid: u128::MAX, ..GTC };
    let (_, id) = resting(&pair.order((0, true), "1998", "0.01", named));
    assert_eq!((none, id), (None, Some([0xff; 16])));
    assert_eq!(code(&pair.order((0, true), "1998", "0.01", named)), RejectCode::DuplicateClientId);
    let mut by_order = |asset: u64, order: OrderId| {
        pair.same(raw(10, &[n(asset.into()), n(order.0.into())]), |venue| {
            venue.act("dave", build::cancels(&[(asset, order)])).unwrap()
        })
    };
    assert_eq!(code(&by_order(1, first)), RejectCode::UnknownOrder);
    assert_eq!(code(&by_order(77, first)), RejectCode::UnknownMarket);
    assert_eq!(code(&by_order(0, OrderId(u64::MAX))), RejectCode::UnknownOrder);
    assert_eq!(by_order(0, first), Status::Success);
    assert_eq!(code(&by_order(0, first)), RejectCode::UnknownOrder);
    let mut by_client = |asset: u64, cloid: u128| {
        pair.same(raw(11, &[n(asset.into()), n(cloid)]), |venue| {
            let action = build::cancels_by_client_id(&[(asset, cloid.to_be_bytes())]);
            venue.act("dave", action).unwrap()
        })
    };
    assert_eq!(code(&by_client(0, 0)), RejectCode::UnknownOrder);
    assert_eq!(code(&by_client(1, u128::MAX)), RejectCode::UnknownOrder);
    assert_eq!(by_client(0, u128::MAX), Status::Success);
    // Somebody else's.
    pair.both(|venue| {
        venue.place("bob", order(Side::Sell, 200_100, 300, Tif::Gtc));
    });
    let bob = pair.asked.vm.account_of(&key("bob").address()).unwrap();
    let other = pair.asked.vm.exchange().peek_orders(bob, 1)[0].order;
    let status = pair.same(raw(10, &[n(0), n(other.0.into())]), |venue| {
        venue.act("dave", build::cancels(&[(0, other)])).unwrap()
    });
    assert_eq!(code(&status), RejectCode::UnknownOrder);
}

#[test]
fn money_is_moved_and_sent_as_a_user_sends_it() {
    let mut pair = Pair::new();
    for (to_perp, amount, expected) in [
        (false, 40_000_000_000, None),
        (true, 1_000_000, None),
        (true, 40_000_000_000, Some(RejectCode::InsufficientBalance)),
        (false, 60_001_000_001, Some(RejectCode::InsufficientBalance)),
        (false, 0, Some(RejectCode::Overflow)),
        (true, u64::MAX, Some(RejectCode::InsufficientBalance)),
    ] {
        let to = if to_perp { Wallet::Collateral } else { Wallet::Spot };
        let status = pair.same(raw(7, &[n(amount.into()), n(to_perp.into())]), |venue| {
            told(venue, &AtollMessage::Move { to, amount: amount.into() })
        });
        match expected {
            None => assert_eq!(status, Status::Success),
            Some(expected) => assert_eq!(code(&status), expected, "{amount}"),
        }
    }
    let receiver = Address::repeat_byte(0xee);
    let own = IDENTITY.environment.0;
    let usdc = ("USDC", USDC_TOKEN, 1);
    let ubtc = ("UBTC", UBTC_TOKEN, UBTC_UNIT);
    for (destination, to, (asset, token, unit), spot, amount, expected) in [
        (0, receiver, usdc, false, 7_000_000, None),
        (EVM, CONTRACT, usdc, true, 9_000_000, None),
        (EVM, CONTRACT, ubtc, true, 30, None),
        (0, receiver, ubtc, true, 20, None),
        (0, receiver, ubtc, true, 1, Some(RejectCode::InsufficientBalance)),
        (0, receiver, ubtc, false, 1, Some(RejectCode::Unsupported)),
        (0, receiver, usdc, false, 0, Some(RejectCode::Overflow)),
        (0, receiver, usdc, false, 1 << 100, Some(RejectCode::Overflow)),
        (0, receiver, usdc, true, 1_000_000_000_000, Some(RejectCode::InsufficientBalance)),
        (0, Address::ZERO, usdc, false, 1, Some(RejectCode::NotAllowed)),
        (own, receiver, usdc, false, 1, Some(RejectCode::UnknownEnvironment)),
    ] {
        let words = [n(destination.into()), a(to), a(token), n(u128::from(spot))];
        let data = raw(0x100, &[&words[..], &[n(amount * unit)]].concat());
        let wallet = if spot { Wallet::Spot } else { Wallet::Collateral };
        let (destination, asset) = (EnvironmentId(destination), asset.into());
        let status = pair.same(data, |venue| {
            told(venue, &AtollMessage::Send { destination, to, asset, wallet, amount })
        });
        match expected {
            None => {
                assert_eq!(status, Status::Success);
                let [sent] = &pair.asked.sent[..] else { panic!("{:?}", pair.asked.sent) };
                assert_eq!((sent.kind, sent.amount), (MessageKind::Transfer, n(amount * unit)));
            }
            Some(expected) => assert_eq!(code(&status), expected, "{amount}"),
        }
        for token in [USDC_TOKEN, UBTC_TOKEN] {
            let vm = &pair.asked.vm;
            assert_eq!(vm.claim(alias(), token), naive_claim(vm, alias(), token));
        }
    }
    // What no user can say.
    let mut only = |token: Address, amount: u128| {
        let words = [n(0), a(receiver), a(token), n(1), n(amount)];
        code(&pair.asked.receive(&asked(raw(0x100, &words))).unwrap().statuses[0])
    };
    assert_eq!(only(Address::repeat_byte(0x77), 1), RejectCode::Unsupported);
    assert_eq!(only(UBTC_TOKEN, UBTC_UNIT + 1), RejectCode::OffLot);
    assert_eq!(only(USDC_TOKEN, u128::MAX), RejectCode::Overflow);
    assert!(pair.asked.vm.inconsistencies().is_empty());
}

#[test]
fn what_could_not_be_delivered_comes_back_to_the_contracts_account() {
    let mut venue = Venue::new(false);
    venue.receive(&transfer(EVM, alias(), USDC_TOKEN, n(50))).unwrap();
    let words = [n(55), a(CONTRACT), a(USDC_TOKEN), n(0), n(20)];
    venue.receive(&asked(raw(0x100, &words))).unwrap();
    let back = venue.sent.remove(0).bounced();
    assert_eq!(venue.vm.claim(alias(), USDC_TOKEN), n(30));
    venue.receive(&back).unwrap();
    assert_eq!(venue.vm.claim(alias(), USDC_TOKEN), n(50));
}

#[test]
fn a_contracts_agent_signs_orders_for_it() {
    let mut pair = Pair::new();
    let agent = key("agent").address();
    let mut approve = |agent: Address, valid_until_ms: u64| {
        pair.same(raw(9, &[a(agent), n(valid_until_ms.into())]), |venue| {
            let name = "contract".into();
            told(venue, &AtollMessage::ApproveAgent { agent, name, valid_until_ms })
        })
    };
    let later = START_MS + 3_600_000;
    assert_eq!(code(&approve(agent, 0)), RejectCode::UnknownAccount);
    assert_eq!(code(&approve(agent, START_MS - 1)), RejectCode::Expired);
    assert_eq!(code(&approve(key("alice").address(), later)), RejectCode::NotAllowed);
    assert_eq!(approve(agent, later), Status::Success);
    // With its key, in both: the agent of a contract is one like any other.
    let bid = order(Side::Buy, 199_900, 100, Tif::Gtc);
    let wire = crate::common::wire(&pair.asked.spec, &bid);
    for (venue, owner) in [(&mut pair.asked, alias()), (&mut pair.signed, key("dave").address())] {
        let action = build::orders(std::slice::from_ref(&wire));
        resting(&venue.act("agent", action).unwrap().statuses[0]);
        let account = venue.vm.account_of(&owner).unwrap();
        assert_eq!(venue.vm.exchange().peek_orders(account, 9).len(), 1);
        let refused = venue.tell("agent", &AtollMessage::Move { to: Wallet::Spot, amount: 1 });
        assert_eq!(refused.unwrap_err().code, RejectCode::NotAllowed);
    }
    // The key of another name takes the name's place; 0 revokes, whatever the key.
    let mut approve = |agent: Address, until: u64| {
        let words = [a(agent), n(until.into())];
        pair.asked.receive(&asked(raw(9, &words))).unwrap().statuses.remove(0)
    };
    assert_eq!(approve(key("another").address(), later), Status::Success);
    assert_eq!(approve(Address::ZERO, 0), Status::Success);
    let signed = sign_action(&key("another"), build::noop(), pair.asked.next_nonce());
    assert_eq!(pair.asked.send(&signed).unwrap_err().code, RejectCode::UnknownAccount);
}

#[test]
fn an_account_belongs_to_one_address_of_one_environment() {
    let mut venue = Venue::new(true);
    let alice = key("alice").address();
    let bid = |cloid: u128| raw(1, &[n(0), n(1), e8("1999"), e8("0.01"), n(0), n(2), n(cloid)]);
    assert_eq!(asked(bid(0)).account(), alias());
    // Without money there is no account, as for a user.
    for (source, from) in [(EVM, CONTRACT), (EVM, alice), (EVM, alias()), (0, alice)] {
        let before = state(&mut venue.vm, alice, alice);
        let reject = venue.receive(&asked_by(source, from, bid(1))).unwrap_err();
        assert_eq!(reject.code, RejectCode::UnknownAccount, "{from}");
        assert!(reject.message.contains(&account_of(source, from).to_string()), "{reject}");
        assert!(venue.sent.is_empty());
        assert_eq!(state(&mut venue.vm, alice, alice), before);
    }
    // The same address in two environments, and the key with that address: three accounts.
    for environment in [EVM, 7] {
        let to = account_of(environment, alice);
        venue.receive(&transfer(EVM, to, USDC_TOKEN, n(1_000_000_000))).unwrap();
        venue.receive(&asked_by(environment, alice, bid(environment.into()))).unwrap();
    }
    for (owner, cloid) in [(account_of(EVM, alice), 2u128), (account_of(7, alice), 7)] {
        let account = venue.vm.account_of(&owner).unwrap();
        let orders = venue.vm.exchange().peek_orders(account, 9);
        let ids: Vec<_> = orders.iter().map(|order| order.client_id).collect();
        assert_eq!(ids, [Some(cloid.to_be_bytes())]);
    }
    let account = venue.vm.account_of(&alice).unwrap();
    assert_eq!(venue.vm.exchange().peek_orders(account, 9), []);
}

#[test]
fn nobody_keeps_a_contracts_money_out_by_calling_it_an_agent() {
    let mut venue = Venue::new(true);
    let approve = AtollMessage::ApproveAgent {
        agent: alias(),
        name: "mine".into(),
        valid_until_ms: START_MS + 1_000,
    };
    assert_eq!(venue.tell("carol", &approve), Ok(Status::Success));
    // From somebody else it might be a key.
    let deposit = transfer(EVM, alias(), USDC_TOKEN, n(5));
    assert_eq!(venue.receive(&deposit).unwrap_err().code, RejectCode::NotAllowed);
    let elsewhere = Message { from: CONTRACT, source: EnvironmentId(7), ..deposit.clone() };
    assert_eq!(venue.receive(&elsewhere).unwrap_err().code, RejectCode::NotAllowed);
    let own = Message { from: CONTRACT, ..deposit.clone() };
    // What is refused for another reason leaves the approval as it was.
    let nothing = Message { amount: U256::ZERO, ..own.clone() };
    assert_eq!(venue.receive(&nothing).unwrap_err().code, RejectCode::Overflow);
    assert!(venue.vm.agent(&alias()).is_some());
    venue.receive(&own).unwrap();
    assert_eq!(venue.vm.claim(alias(), USDC_TOKEN), n(5));
    assert_eq!(venue.vm.agent(&alias()), None);
    assert_eq!(venue.vm.agents_of(&key("carol").address()).count(), 0);
    venue.receive(&deposit).unwrap();
}

#[test]
fn what_cannot_be_read_is_refused_and_changes_nothing() {
    let mut venue = Venue::new(true);
    venue.receive(&transfer(EVM, alias(), USDC_TOKEN, n(1_000_000_000))).unwrap();
    let known = [
        (1, vec![n(0), n(1), e8("1999"), e8("0.01"), n(0), n(2), n(5)]),
        (7, vec![n(1), n(0)]),
        (9, vec![a(CONTRACT), n(u64::MAX.into())]),
        (10, vec![n(0), n(4096)]),
        (11, vec![n(0), n(5)]),
        (0x100, vec![n(0), a(CONTRACT), a(USDC_TOKEN), n(0), n(1)]),
        (0x101, vec![a(CONTRACT), n(2), n(0), n(1), n(1), a(USDC_TOKEN)]),
    ];
    let (malformed, unsupported) = (RejectCode::Malformed, RejectCode::Unsupported);
    let mut cases: Vec<(Vec<u8>, RejectCode)> = vec![
        (vec![], malformed),
        (vec![1, 0, 0], malformed),
        (raw(0x101, &[vec![a(CONTRACT), n(9)], vec![n(0); 10]].concat()), RejectCode::Oversized),
        (
            raw(0x101, &[vec![a(CONTRACT), n(0), n(9)], vec![n(0); 9]].concat()),
            RejectCode::Oversized,
        ),
        (vec![1; 8192], unsupported),
    ];
    for (number, words) in &known {
        let data = raw(*number, words);
        cases.push((data[..data.len() - 1].into(), malformed));
        cases.push((data[..data.len() - 32].into(), malformed));
        cases.push((raw(*number, &[]), malformed));
        cases.push(([&data[..], &[0]].concat(), malformed));
        cases.push(([&data[..], &[0; 32]].concat(), malformed));
        for version in [0, 2, 255] {
            cases.push(([&[version], &data[1..]].concat(), unsupported));
        }
        // Every word one above its range.
        let bits: &[usize] = match number {
            1 => &[32, 1, 64, 64, 1, 8, 128],
            7 => &[64, 1],
            9 => &[160, 64],
            10 => &[32, 64],
            11 => &[32, 128],
            0x100 => &[32, 160, 160, 1, 128],
            _ => &[160, 8, 32, 32, 8, 160],
        };
        assert_eq!(bits.len(), words.len());
        for (at, bits) in bits.iter().enumerate() {
            for bad in [U256::from(1) << *bits, U256::MAX] {
                let mut words = words.clone();
                words[at] = bad;
                cases.push((raw(*number, &words), malformed));
            }
        }
    }
    for tif in [0, 4, 255] {
        let words = [n(0), n(1), e8("1999"), e8("0.01"), n(0), n(tif), n(5)];
        cases.push((raw(1, &words), malformed));
    }
    // Nothing else has a number.
    let others = (0..0x1000).filter(|number| known.iter().all(|(known, _)| known != number));
    for number in others.chain([0x01_0001, 0xff_ffff]) {
        cases.push((raw(number, &[n(0); 4]), unsupported));
    }
    let before = state(&mut venue.vm, CONTRACT, CONTRACT);
    for (data, expected) in cases {
        let reject = venue.receive(&asked(data.clone())).unwrap_err();
        assert_eq!(reject.code, expected, "{reject}: {data:02x?}");
        assert!(reject.message.len() > 20, "{reject}");
        assert!(venue.sent.is_empty());
    }
    assert!(state(&mut venue.vm, CONTRACT, CONTRACT) == before);
    for (number, words) in &known {
        let data = raw(*number, words);
        let read = ContractAction::decode(&data).unwrap();
        assert_eq!(read.encode(), data);
    }
}

/// Data that is sometimes an action.
pub(crate) fn any_data() -> impl Strategy<Value = Vec<u8>> {
    let number = prop::sample::select(vec![1, 7, 9, 10, 11, 0x100, 0x101, 2]);
    let small = prop_oneof![
        4 => (0..12u128).prop_map(n),
        2 => (0..1u128 << 44).prop_map(n),
        2 => prop::sample::select(vec![
            a(CONTRACT), a(alias()), a(USDC_TOKEN), e8("1999"), e8("2001"), e8("0.01"), n(10_000),
        ]),
        1 => any::<[u8; 32]>().prop_map(U256::from_be_bytes),
    ];
    let orders = (0..2u128, 0..2u128, 199_000..201_000u64, 1..500u64, 0..2u128, 1..4u128, 0..4u128)
        .prop_map(|(asset, buy, price, size, reduces, tif, cloid)| {
            let price = n(u128::from(price) * 1_000_000 * (1 + 14 * asset));
            let words = [n(asset), n(buy), price, n(u128::from(size) * 100_000)];
            raw(1, &[&words[..], &[n(reduces), n(tif), n(cloid)]].concat())
        });
    let accounts =
        vec![alias(), account_of(EVM, Address::repeat_byte(0xc1)), key("alice").address()];
    let assets = prop::collection::vec(prop::sample::select(vec![0u128, 1, 10_000, 2]), 0..4);
    let tokens = prop::collection::vec(prop::sample::select(vec![USDC_TOKEN, UBTC_TOKEN]), 0..3);
    let observe =
        (prop::sample::select(accounts), assets, tokens).prop_map(|(of, assets, tokens)| {
            let mut words = vec![a(of), n(assets.len() as u128)];
            words.extend(assets.into_iter().map(n));
            words.push(n(tokens.len() as u128));
            words.extend(tokens.into_iter().map(a));
            raw(0x101, &words)
        });
    prop_oneof![
        2 => observe,
        1 => prop::collection::vec(any::<u8>(), 0..700),
        4 => (number, prop::collection::vec(small, 0..9)).prop_map(|(number, words)| raw(number, &words)),
        4 => orders,
        1 => (0..3u128, 0..1u128 << 40, 0..2u128).prop_map(|(to, amount, spot)| {
            raw(0x100, &[n(to), a(CONTRACT), a(USDC_TOKEN), n(spot), n(amount)])
        }),
        1 => (0..1u128 << 40, 0..2u128).prop_map(|(amount, to)| raw(7, &[n(amount), n(to)])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_bytes_panic_or_make_money(
        all in prop::collection::vec((any_data(), any::<bool>()), 1..40),
    ) {
        let mut venue = Venue::new(true);
        let two = Address::repeat_byte(0xc1);
        for from in [CONTRACT, two] {
            let to = account_of(EVM, from);
            venue.receive(&transfer(EVM, to, USDC_TOKEN, n(1 << 38))).unwrap();
        }
        let held = |venue: &Venue| {
            venue.vm.exchange().state().ledgers.peek(&LedgerKey(USDC)).unwrap().balance()
        };
        for (data, second) in all {
            if let Ok(action) = ContractAction::decode(&data) {
                prop_assert_eq!(action.encode(), data.clone());
            }
            let before = held(&venue);
            let message = asked_by(EVM, if second { two } else { CONTRACT }, data);
            let receipt = venue.vm.receive(message.hash(), &message);
            prop_assert_eq!(Receipt::from_bytes(&receipt.to_bytes()), Ok(receipt.clone()));
            if let Err(reject) = ExchangeReceipt::of(&receipt) {
                prop_assert!(reject.message.len() > 20, "{}", reject);
                prop_assert_eq!(reject.code.number(), receipt.code);
            }
            let out = receipt.messages.iter().filter(|of| of.token == USDC_TOKEN);
            let out: i128 = out.map(|of| of.amount.to::<u128>() as i128).sum();
            prop_assert_eq!(before - held(&venue), out);
            for message in &receipt.messages {
                let own = message.destination == ROUTER || message.destination.0 <= EVM;
                prop_assert!(own || message.kind == MessageKind::Transfer);
                prop_assert_eq!(message.source, IDENTITY.environment);
            }
            let audit = venue.vm.audit();
            prop_assert!(audit.iter().all(|asset| asset.conserved), "{:?}", audit);
        }
        prop_assert_eq!(venue.vm.inconsistencies(), Vec::<String>::new());
    }
}
