//! Ed25519 by ZIP-215: vectors, what other rules read otherwise, and that a batch says what each alone says.

#[allow(dead_code)] // the benchmark uses the rest
mod ed25519_common;
mod evm_common;

use atoll_vm::evm::precompiles::ed25519::{Claim, all_hold};
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use ed25519_common::{Signed, Signer};
use evm_common::hex;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn claim(signed: &Signed) -> Claim<'_> {
    let Signed { public_key, signature, message } = signed;
    Claim { public_key, signature, message }
}

fn holds(signed: &Signed) -> bool {
    let alone = claim(signed).holds();
    assert_eq!(all_hold(&[claim(signed)]), alone, "a batch of one: {signed:?}");
    alone
}

fn signed(public_key: &str, signature: &str, message: &[u8]) -> Signed {
    Signed {
        public_key: hex(public_key).try_into().unwrap(),
        signature: hex(signature).try_into().unwrap(),
        message: message.to_vec(),
    }
}

#[test]
fn the_vectors_of_rfc_8032_hold() {
    // Seed, public key, message, signature: 7.1, tests 1 to 3 and "SHA(abc)".
    let abc = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
               2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    for (seed, key, message, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
             5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
             18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            abc,
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589\
             09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ),
    ] {
        let signer = Signer::from_seed(&hex(seed).try_into().unwrap());
        let given = signed(key, signature, &hex(message));
        assert_eq!(signer.claim(&given.message), given);
        assert!(holds(&given));
        let mut longer = given.clone();
        longer.message.push(0);
        assert!(!holds(&longer));
        for bit in (0..512).step_by(37) {
            let mut other = given.clone();
            other.signature[bit / 8] ^= 1 << (bit % 8);
            assert!(!holds(&other), "bit {bit}");
        }
        let mut other = given;
        other.public_key[0] ^= 1;
        assert!(!holds(&other));
    }
}

/// The twelve cases of "Taming the many EdDSAs" (2020), and what ZIP-215 says of each.
#[test]
fn cases_that_implementations_differ_on() {
    let small = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa";
    let mixed = "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43";
    let other = "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d";
    let plain = "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623";
    let odd = "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
    for (at, (holds_, message, key, r, s)) in [
        // Key and R of small order, s of zero.
        (
            true,
            "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
            small,
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "0000000000000000000000000000000000000000000000000000000000000000",
        ),
        // A key, then an R of small order.
        (
            true,
            "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
            small,
            "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
            "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        ),
        (
            true,
            "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
            mixed,
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
            "8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e",
        ),
        // Key and R of mixed order: right without the cofactor, right with it alone, and where the
        // challenge must not be reduced after the cofactor.
        (
            true,
            "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
            other,
            "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f",
            "87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
        ),
        (
            true,
            "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
            other,
            "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed512",
            "5ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
        ),
        (
            true,
            "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
            other,
            "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7",
            "e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405",
        ),
        // s above the order of the group, by little and by much.
        (
            false,
            "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
            plain,
            "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e",
            "547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
        ),
        (
            false,
            "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
            plain,
            "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa1942",
            "7e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
        ),
        // An R of another encoding than its own: hashed as its own, hashed as it is given.
        (
            false,
            "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
            mixed,
            odd,
            "03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f",
        ),
        (
            true,
            "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
            mixed,
            odd,
            "ca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908",
        ),
        // A key of another encoding than its own, likewise.
        (
            true,
            "e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b",
            odd,
            "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc",
            "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        ),
        (
            true,
            "39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f",
            odd,
            "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc",
            "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let given = signed(key, &format!("{r}{s}"), &hex(message));
        assert_eq!(holds(&given), holds_, "case {at}");
    }
}

/// Every encoding of every point of small order: the eight points, and those of them that have
/// another, because zero has a sign or y is at least 2^255 - 19.
fn small_order_encodings() -> Vec<[u8; 32]> {
    let mut all: BTreeSet<[u8; 32]> =
        EIGHT_TORSION.iter().map(|point| point.compress().to_bytes()).collect();
    let mut p = [0xff; 32];
    (p[0], p[31]) = (0xed, 0x7f);
    let [mut one, mut minus_one, mut p_plus_one] = [[0; 32], p, p];
    (one[0], minus_one[0], p_plus_one[0]) = (1, 0xec, 0xee);
    for y in [[0; 32], one, minus_one, p, p_plus_one] {
        for sign in [0, 0x80] {
            let mut encoding = y;
            encoding[31] |= sign;
            all.insert(encoding);
        }
    }
    all.into_iter().collect()
}

/// The 196 pairs of ZIP-215's own test vectors.
#[test]
fn any_encoding_of_a_small_point_is_read() {
    let encodings = small_order_encodings();
    assert_eq!(encodings.len(), 14);
    let mut all = Vec::new();
    for public_key in &encodings {
        let point = CompressedEdwardsY(*public_key).decompress().expect("a point");
        assert!(point.is_small_order());
        for r in &encodings {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(r);
            all.push(Signed { public_key: *public_key, signature, message: b"Zcash".to_vec() });
        }
    }
    assert!(all.iter().all(holds));
    assert!(all_hold(&all.iter().map(claim).collect::<Vec<_>>()));
    // y = 2 is no point of the curve.
    let mut none = all[0].clone();
    none.public_key = [0; 32];
    none.public_key[0] = 2;
    assert!(!holds(&none));
}

#[test]
fn equations_that_are_wrong_alone_do_not_make_up_for_one_another() {
    // s of the one by one more, of the other by one less: the sum is what it was.
    let mut pair = [Signer::new(1).claim(b"one"), Signer::new(1).claim(b"one")];
    let s = |signed: &Signed| -> Scalar {
        Scalar::from_canonical_bytes(signed.signature[32..].try_into().unwrap()).unwrap()
    };
    let [more, less] = [s(&pair[0]) + Scalar::ONE, s(&pair[1]) - Scalar::ONE];
    pair[0].signature[32..].copy_from_slice(more.as_bytes());
    pair[1].signature[32..].copy_from_slice(less.as_bytes());
    assert!(!all_hold(&[claim(&pair[0]), claim(&pair[1])]));
    // The same with R.
    let mut pair = [Signer::new(1).claim(b"one"), Signer::new(2).claim(b"two")];
    let r = |signed: &Signed, by: EdwardsPoint| -> [u8; 32] {
        let point = CompressedEdwardsY::from_slice(&signed.signature[..32]).unwrap();
        (point.decompress().unwrap() + by).compress().to_bytes()
    };
    let by = EdwardsPoint::mul_base(&Scalar::ONE);
    let [more, less] = [r(&pair[0], by), r(&pair[1], -by)];
    pair[0].signature[..32].copy_from_slice(&more);
    pair[1].signature[..32].copy_from_slice(&less);
    assert!(!all_hold(&[claim(&pair[0]), claim(&pair[1])]));
}

/// What is done to a signature.
#[derive(Clone, Copy, Debug)]
enum Change {
    None,
    /// Adds a point of small order to R.
    Torsion(usize),
    /// Makes key and R points of small order, in any of their encodings, and s zero.
    Small(usize, usize),
    /// Adds the order of the group to s.
    HighS,
    Flip(usize),
    KeyFlip(usize),
    Message,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        8 => Just(Change::None),
        3 => (0..8usize).prop_map(Change::Torsion),
        3 => (0..14usize, 0..14usize).prop_map(|(key, r)| Change::Small(key, r)),
        1 => Just(Change::HighS),
        1 => (0..512usize).prop_map(Change::Flip),
        1 => (0..256usize).prop_map(Change::KeyFlip),
        1 => Just(Change::Message),
    ]
}

fn changed(mut signed: Signed, change: Change) -> Signed {
    match change {
        Change::None => {}
        Change::Torsion(at) => {
            let r = CompressedEdwardsY::from_slice(&signed.signature[..32]).unwrap();
            let r = r.decompress().unwrap() + EIGHT_TORSION[at];
            signed.signature[..32].copy_from_slice(r.compress().as_bytes());
        }
        Change::Small(key, r) => {
            let encodings = small_order_encodings();
            signed.public_key = encodings[key];
            signed.signature = [0; 64];
            signed.signature[..32].copy_from_slice(&encodings[r]);
        }
        Change::HighS => {
            let order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
            let mut carry = 0;
            for (byte, more) in signed.signature[32..].iter_mut().zip(order) {
                let sum = u16::from(*byte) + u16::from(more) + carry;
                (*byte, carry) = (sum as u8, sum >> 8);
            }
        }
        Change::Flip(bit) => signed.signature[bit / 8] ^= 1 << (bit % 8),
        Change::KeyFlip(bit) => signed.public_key[bit / 8] ^= 1 << (bit % 8),
        Change::Message => signed.message.push(1),
    }
    signed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_batch_says_what_each_alone_says(
        parts in proptest::collection::vec((0..4u64, 0..100usize, change()), 0..12),
        wide in proptest::bool::weighted(0.03),
    ) {
        // Wide enough for the other algorithm of the multiplication.
        let times = if wide { 20 } else { 1 };
        let all: Vec<Signed> = parts
            .iter()
            .map(|(key, bytes, change)| changed(Signer::new(*key).claim(&vec![*key as u8; *bytes]), *change))
            .collect();
        let claims: Vec<Claim<'_>> = all.iter().map(claim).collect::<Vec<_>>().repeat(times);
        let each = claims.iter().all(Claim::holds);
        prop_assert_eq!(all_hold(&claims), each);
    }
}
