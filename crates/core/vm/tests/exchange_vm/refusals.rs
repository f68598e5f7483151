//! Bad input: each has a code and a sentence, and leaves nothing behind.

use crate::common::{self, BTC, CHAIN_ID, IDENTITY, START_MS, Venue, key, marks, order, wire};
use atoll_exchange::{Side, Tif, Wallet};
use atoll_state::{ReadSet, WriteSet, object};
use atoll_types::{B256, Encode, EnvironmentId, NetworkId, RejectCode, Signature};
use atoll_vm::Identity;
use atoll_vm::exchange::domain::Source;
use atoll_vm::exchange::msgpack::MsgpackWriter;
use atoll_vm::exchange::sign::{sign_action, sign_l1_action, sign_message, sign_oracle};
use atoll_vm::exchange::{AtollMessage, ExchangeTransaction, build};

/// Submits bytes that must be refused with this code and leave the state as it was.
fn refused(venue: &mut Venue, bytes: &[u8], code: RejectCode) {
    object::seal(&mut venue.vm, &mut WriteSet::default(), None);
    object::begin(&mut venue.vm);
    let reject = venue.submit(bytes).unwrap_err();
    assert_eq!(reject.code, code, "{reject}");
    assert!(reject.message.len() > 20, "{reject}");
    let (mut writes, mut reads) = (WriteSet::default(), ReadSet::default());
    object::seal(&mut venue.vm, &mut writes, Some(&mut reads));
    assert!(writes.is_empty(), "{reject}");
    object::begin(&mut venue.vm);
}

fn bid(venue: &Venue) -> Vec<u8> {
    build::orders(&[wire(&venue.spec, &order(Side::Buy, 199_000, 10, Tif::Gtc))])
}

#[test]
fn without_a_good_signature() {
    let mut venue = Venue::new(true);
    let good = sign_action(&key("alice"), bid(&venue), START_MS + 1);
    let bytes = good.to_bytes();
    refused(&mut venue, &bytes[..bytes.len() - 65], RejectCode::Unsigned);
    let zero = Signature { r: [0; 32], s: [0; 32], y_parity: 0 };
    let unsigned = ExchangeTransaction { signature: zero, ..good.clone() };
    refused(&mut venue, &unsigned.to_bytes(), RejectCode::Unsigned);
    let wild = Signature { r: [0xff; 32], ..good.signature };
    let bad = ExchangeTransaction { signature: wild, ..good.clone() };
    refused(&mut venue, &bad.to_bytes(), RejectCode::BadSignature);
    let v = ExchangeTransaction::hyperliquid(vec![], 0, None, None, ([1; 32], [1; 32], 29));
    assert_eq!(v.unwrap_err().code, RejectCode::BadSignature);
    // Signed for another nonce: it recovers to somebody, but to nobody here.
    let mis_signed = ExchangeTransaction { nonce: START_MS + 2, ..good.clone() };
    refused(&mut venue, &mis_signed.to_bytes(), RejectCode::UnknownAccount);
    let stranger = sign_action(&key("stranger"), bid(&venue), START_MS + 1);
    refused(&mut venue, &stranger.to_bytes(), RejectCode::UnknownAccount);
    assert!(venue.submit(&bytes).is_ok());
}

#[test]
fn replays() {
    let mut venue = Venue::new(true);
    let good = sign_action(&key("alice"), bid(&venue), START_MS + 1).to_bytes();
    venue.submit(&good).unwrap();
    refused(&mut venue, &good, RejectCode::NonceUsed);

    // From the real Hyperliquid: known signers are told, the rest is unknown.
    let mainnet = |name: &str| {
        let action = build::noop();
        sign_l1_action(&key(name), Source::Mainnet, action, START_MS + 2, None, None).to_bytes()
    };
    refused(&mut venue, &mainnet("alice"), RejectCode::WrongDomain);
    refused(&mut venue, &mainnet("stranger"), RejectCode::UnknownAccount);

    // Messages of Atoll's own, from another network and another environment.
    let network = Identity { network: NetworkId(B256::ZERO), ..IDENTITY };
    let environment = Identity { environment: EnvironmentId(4), ..IDENTITY };
    let message = AtollMessage::Move { to: Wallet::Spot, amount: 1 };
    let sign = |identity: &Identity, chain_id| {
        sign_message(&key("alice"), identity, chain_id, &message, START_MS + 3).to_bytes()
    };
    for bytes in [sign(&network, CHAIN_ID), sign(&environment, CHAIN_ID), sign(&IDENTITY, 1)] {
        refused(&mut venue, &bytes, RejectCode::UnknownAccount);
    }
    assert!(venue.submit(&sign(&IDENTITY, CHAIN_ID)).is_ok());
    refused(&mut venue, &sign(&IDENTITY, CHAIN_ID), RejectCode::NonceUsed);
    for (identity, signer) in [(&network, "oracle"), (&environment, "oracle"), (&IDENTITY, "alice")]
    {
        let prices = sign_oracle(&key(signer), identity, START_MS + 9, &marks(1, 1));
        refused(&mut venue, &prices.to_bytes(), RejectCode::NotAllowed);
    }
    let mut twice = marks(1, 1);
    twice.prices[1].0 = twice.prices[0].0;
    let prices = sign_oracle(&key("oracle"), &IDENTITY, START_MS + 9, &twice);
    refused(&mut venue, &prices.to_bytes(), RejectCode::Malformed);
    // A mark elsewhere of a market without a price here.
    let mut unpriced = marks(1, 1);
    unpriced.prices.remove(1);
    unpriced.marks.push((BTC, 1));
    let prices = sign_oracle(&key("oracle"), &IDENTITY, START_MS + 9, &unpriced);
    refused(&mut venue, &prices.to_bytes(), RejectCode::Malformed);
}

#[test]
fn nonces_and_expiries_out_of_their_windows() {
    let mut venue = Venue::new(true);
    let signed = |nonce| sign_action(&key("alice"), build::noop(), nonce).to_bytes();
    let (two_days, one_day) = (2 * 24 * 3_600_000, 24 * 3_600_000);
    refused(&mut venue, &signed(0), RejectCode::NonceTooLow);
    refused(&mut venue, &signed(START_MS - two_days), RejectCode::NonceTooLow);
    refused(&mut venue, &signed(START_MS + one_day), RejectCode::NonceTooHigh);
    refused(&mut venue, &signed(u64::MAX), RejectCode::NonceTooHigh);
    venue.submit(&signed(START_MS - two_days + 1)).unwrap();
    venue.submit(&signed(START_MS + one_day - 1)).unwrap();
    for nonce in 0..98 {
        venue.submit(&signed(START_MS + nonce)).unwrap();
    }
    // 100 are kept: below the lowest nothing more, above it anything unused.
    venue.submit(&signed(START_MS - two_days + 9)).unwrap();
    refused(&mut venue, &signed(START_MS - two_days + 8), RejectCode::NonceTooLow);
    refused(&mut venue, &signed(START_MS + 50), RejectCode::NonceUsed);

    let expiring = |expires_after, nonce| {
        let action = build::noop();
        let source = Source::Testnet;
        sign_l1_action(&key("bob"), source, action, nonce, None, Some(expires_after)).to_bytes()
    };
    refused(&mut venue, &expiring(START_MS - 1, START_MS), RejectCode::Expired);
    venue.submit(&expiring(START_MS, START_MS)).unwrap();
}

#[test]
fn malformed_and_oversized() {
    let mut venue = Venue::new(true);
    let action = |write: &dyn Fn(&mut MsgpackWriter) -> &mut MsgpackWriter| {
        let mut w = MsgpackWriter::new();
        write(&mut w);
        w.into_bytes()
    };
    let with_order = |replace: &str, with: &str| {
        let text = bid(&Venue::new(true));
        let at = text.windows(replace.len()).position(|part| part == replace.as_bytes()).unwrap();
        let mut changed = text.clone();
        changed[at..at + replace.len()].copy_from_slice(with.as_bytes());
        changed
    };
    let twice = action(&|w| {
        w.map(3).string("type").string("order").string("orders").array(1).map(7);
        w.string("a").unsigned(0).string("a").unsigned(1).string("b").bool(true);
        w.string("p").string("1990").string("s").string("0.001").string("r").bool(false);
        w.string("t").map(1).string("limit").map(1).string("tif").string("Gtc");
        w.string("grouping").string("na")
    });
    let malformed = [
        twice,
        vec![],
        vec![0xc1],
        action(&|w| w.map(0)),
        action(&|w| w.map(1).string("type").string("withdraw3")),
        action(&|w| w.string("order")),
        action(&|w| w.map(1).string("type").unsigned(1)),
        action(&|w| w.map(2).string("type").string("noop").string("type").string("noop")),
        action(&|w| w.map(2).string("type").string("noop").string("x").nil()),
        [build::noop(), vec![0]].concat(),
        build::orders(&[]),
        build::cancels(&[]),
        with_order("1990", "19e0"),
        with_order("1990", "-990"),
        with_order("Gtc", "Foo"),
        with_order("limit", "lymit"),
    ];
    for (i, body) in malformed.into_iter().enumerate() {
        let signed = sign_action(&key("alice"), body, START_MS + 1);
        let reject = venue.send(&signed).unwrap_err();
        assert_eq!(reject.code, RejectCode::Malformed, "{i}: {reject}");
    }
    refused(&mut venue, &[], RejectCode::Malformed);
    let mut version = sign_action(&key("alice"), build::noop(), START_MS + 1).to_bytes();
    version[0] = 2;
    refused(&mut venue, &version, RejectCode::Malformed);

    let unsupported =
        [action(&|w| w.map(1).string("type").string("vaultTransfer")), with_order("na", "no")];
    for body in unsupported {
        let signed = sign_action(&key("alice"), body, START_MS + 1);
        refused(&mut venue, &signed.to_bytes(), RejectCode::Unsupported);
    }

    let many = vec![(0, atoll_exchange::OrderId(1)); 101];
    let signed = sign_action(&key("alice"), build::cancels(&many), START_MS + 1);
    refused(&mut venue, &signed.to_bytes(), RejectCode::Oversized);
    refused(&mut venue, &vec![1; 128 * 1024 + 1], RejectCode::Oversized);
    let large = vec![0; 128 * 1024];
    let large = ExchangeTransaction::hyperliquid(large, 0, None, None, ([1; 32], [1; 32], 27));
    assert_eq!(large.unwrap_err().code, RejectCode::Oversized);
    assert!(common::check(&venue.spec, &vec![1; 128 * 1024]).is_err());
}
