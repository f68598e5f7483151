//! The static check: what is refused, with which code, and what is recovered from what passes.

mod evm_common;

use alloy_rlp::Encodable;
use atoll_types::{Address, B256, Lane, RejectCode, Transaction, U256, keccak256};
use atoll_vm::evm::Hardfork;
use evm_common::*;
use proptest::prelude::*;

fn code(bytes: &[u8]) -> Option<RejectCode> {
    match check(&spec(), bytes) {
        Ok(_) => None,
        Err(reject) => {
            assert!(reject.message.len() > 20, "{} is no sentence", reject.message);
            Some(reject.code)
        }
    }
}

/// A transaction of the same fields with another signature.
fn signed_with(draft: &Draft, v: u64, r: U256, s: U256) -> Vec<u8> {
    let mut fields = draft.fields();
    fields.extend([rlp(&v), rlp(&r), rlp(&s)]);
    let mut bytes = if draft.kind == 0 { vec![] } else { vec![draft.kind] };
    bytes.extend(list(&fields));
    bytes
}

#[test]
fn every_type_is_decoded_and_its_signer_recovered() {
    for kind in [0, 1, 2, 4] {
        let access_list = match kind {
            0 => vec![],
            _ => vec![(Address::repeat_byte(3), vec![B256::repeat_byte(4); 2])],
        };
        let authorizations = match kind {
            4 => vec![authorize(&key("b"), CHAIN_ID, Address::repeat_byte(5), 6)],
            _ => vec![],
        };
        let draft = Draft {
            kind,
            nonce: 300,
            value: U256::from(ETHER),
            input: vec![0; 60],
            access_list: access_list.clone(),
            authorizations,
            ..Draft::default()
        };
        let bytes = draft.sign(&key("a"));
        let checked = check(&spec(), &bytes).unwrap();
        assert_eq!(checked.signer, key("a").address());
        assert_eq!(checked.lane, Lane::Rest);
        assert_eq!(checked.hash, Transaction::hash_parts(identity().environment, &bytes));
        let transaction = checked.transaction;
        assert_eq!(transaction.hash, keccak256(&bytes));
        assert_eq!((transaction.kind, transaction.nonce), (kind, 300));
        assert_eq!((transaction.to, transaction.value), (draft.to, draft.value));
        assert_eq!((transaction.gas_limit, transaction.input.len()), (draft.gas, 60));
        assert_eq!(transaction.max_fee_per_gas, draft.max_fee);
        let tip = (kind == 2 || kind == 4).then_some(draft.tip);
        assert_eq!(transaction.max_priority_fee_per_gas, tip);
        assert_eq!(transaction.access_list, access_list);
        if kind == 4 {
            let signed = &transaction.authorizations[0];
            assert_eq!(signed.authority(), Some(key("b").address()));
            assert_eq!((signed.nonce, signed.address), (6, Address::repeat_byte(5)));
        }
    }
}

/// The example of EIP-155, signed by somebody else.
#[test]
fn the_published_example_has_its_published_signer() {
    let bytes = hex(concat!(
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080",
        "25a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761a",
        "ecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
    ));
    let mut spec = spec();
    spec.chain_id = 1;
    let checked = check(&spec, &bytes).unwrap();
    let signer = Address::from_slice(&hex("9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"));
    assert_eq!(checked.signer, signer);
    assert_eq!(code(&bytes), Some(RejectCode::WrongChain));
}

#[test]
fn what_is_no_transaction_is_malformed() {
    let good = Draft::default().sign(&key("a"));
    let mut longer = good.clone();
    longer.push(0);
    // A nonce of 0 written as a byte, where the canonical form is empty.
    let mut fields = Draft::default().fields();
    fields[1] = vec![0x00];
    let loose = [vec![2], list(&fields)].concat();
    let mut fields = Draft { kind: 4, ..Draft::default() }.fields();
    fields[5] = vec![0x80];
    let creating = [vec![4], list(&fields)].concat();
    let empty_list = Draft { kind: 4, ..Draft::default() }.sign(&key("a"));
    for bytes in
        [&[][..], &[0xc0], &[2], &[2, 0xff], &[0x90], &longer, &loose, &creating, &empty_list]
    {
        assert_eq!(code(bytes), Some(RejectCode::Malformed), "{bytes:02x?}");
    }
    for cut in 1..good.len() {
        assert_eq!(code(&good[..cut]), Some(RejectCode::Malformed), "cut at {cut}");
    }
}

#[test]
fn other_chains_types_and_sizes_are_refused_by_their_codes() {
    let sign = |draft: Draft| draft.sign(&key("a"));
    let one = |kind| Draft { kind, chain_id: Some(1), ..Draft::default() };
    let init = |size| Draft { to: None, input: vec![0; size], gas: 9_000_000, ..Draft::default() };
    let cases = [
        (sign(one(0)), RejectCode::WrongChain),
        (sign(one(1)), RejectCode::WrongChain),
        (sign(one(2)), RejectCode::WrongChain),
        (sign(Draft { kind: 0, chain_id: None, ..Draft::default() }), RejectCode::WrongChain),
        (vec![3, 0xc0], RejectCode::Unsupported),
        (vec![5, 0xc0], RejectCode::Unsupported),
        (vec![0x7f], RejectCode::Unsupported),
        (vec![2; 128 * 1024 + 1], RejectCode::Oversized),
        (sign(init(49_153)), RejectCode::Oversized),
        (sign(Draft { gas: 20_999, ..Draft::default() }), RejectCode::GasLimit),
        (sign(Draft { gas: 16_777_217, ..Draft::default() }), RejectCode::GasLimit),
        // Above the floor that EIP-7623 asks for data.
        (
            sign(Draft { gas: 30_000, input: vec![1; 400], ..Draft::default() }),
            RejectCode::GasLimit,
        ),
        (sign(Draft { nonce: u64::MAX, ..Draft::default() }), RejectCode::NonceTooHigh),
        (sign(Draft { tip: 4 * GWEI, ..Draft::default() }), RejectCode::FeeTooLow),
        (sign(Draft { value: U256::MAX, ..Draft::default() }), RejectCode::Overflow),
    ];
    for (bytes, expected) in cases {
        assert_eq!(code(&bytes), Some(expected));
    }
    assert_eq!(code(&sign(init(49_152))), None);
    let mut fields = Draft::default().fields();
    fields[3] = rlp(&U256::from(1).wrapping_shl(128));
    let wide = [vec![2], list(&fields)].concat();
    assert_eq!(code(&wide), Some(RejectCode::Overflow));
    // Before Prague there is no type 4.
    let mut spec = spec();
    spec.hardfork = Hardfork::Cancun;
    let authorizations = vec![authorize(&key("b"), 0, Address::ZERO, 0)];
    let bytes = sign(Draft { kind: 4, authorizations, ..Draft::default() });
    assert_eq!(code(&bytes), None);
    assert_eq!(check(&spec, &bytes).unwrap_err().code, RejectCode::Unsupported);
}

#[test]
fn signatures_must_be_there_and_canonical() {
    let n = U256::from_be_slice(&hex(
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
    ));
    for kind in [0, 2] {
        let draft = Draft { kind, ..Draft::default() };
        let mut unsigned = if kind == 0 { vec![] } else { vec![kind] };
        unsigned.extend(list(&draft.fields()));
        assert_eq!(code(&unsigned), Some(RejectCode::Unsigned));
        let v = if kind == 0 { 35 + 2 * CHAIN_ID } else { 0 };
        let empty = signed_with(&draft, v, U256::ZERO, U256::ZERO);
        assert_eq!(code(&empty), Some(RejectCode::Unsigned));

        let good = check(&spec(), &draft.sign(&key("a"))).unwrap().transaction.signature;
        let (r, s) = (U256::from_be_bytes(good.r), U256::from_be_bytes(good.s));
        let parity = u64::from(good.y_parity);
        let bad = [
            // The malleable twin: same signer, other bytes, other hash.
            signed_with(&draft, v + 1 - parity, r, n - s),
            signed_with(&draft, v + parity, n, s),
            signed_with(&draft, v + parity, U256::ZERO, s),
            signed_with(&draft, if kind == 0 { 29 } else { 2 }, r, s),
        ];
        for bytes in bad {
            assert_eq!(code(&bytes), Some(RejectCode::BadSignature));
        }
        assert_eq!(code(&signed_with(&draft, v + parity, r, s)), None);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        kind in 0u8..=255,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        flip in 1u8..=255,
    ) {
        code(&[vec![kind], bytes].concat());
        let authorizations = vec![authorize(&key("b"), 0, Address::ZERO, 0)];
        for kind in [0, 1, 2, 4] {
            let authorizations = authorizations.clone();
            let draft = Draft { kind, authorizations, ..Draft::default() };
            let mut signed = draft.sign(&key("a"));
            let at = at.index(signed.len());
            signed[at] ^= flip;
            // Whatever it is now, nobody signed it in a's name.
            if let Ok(checked) = check(&spec(), &signed) {
                prop_assert_ne!(checked.signer, key("a").address());
            }
        }
    }
}

#[test]
fn an_authorization_that_nobody_signed_is_kept_without_authority() {
    let fields = [rlp(&0u64), rlp(&Address::ZERO), rlp(&0u64), rlp(&7u64), rlp(&1u64), rlp(&1u64)];
    let authorizations = vec![list(&fields)];
    let bytes = Draft { kind: 4, authorizations, ..Draft::default() }.sign(&key("a"));
    let checked = check(&spec(), &bytes).unwrap();
    assert_eq!(checked.transaction.authorizations[0].authority(), None);
    let mut out = vec![];
    checked.transaction.authorizations[0].r.encode(&mut out);
    assert_eq!(out, [1]);
}
