//! Input of precompiled contracts that makes them do all their work. Points are the generators of their
//! groups: what is computed takes as long with any.

use alloy_primitives::{B256, hex, keccak256};
const BN254_PAIR: [u8; 192] = hex!(
    "0000000000000000000000000000000000000000000000000000000000000001"
    "0000000000000000000000000000000000000000000000000000000000000002"
    "198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2"
    "1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed"
    "090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b"
    "12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa"
);
const BLS_PAIR: [[u8; 48]; 6] = [
    hex!(
        "17f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
    ),
    hex!(
        "08b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1"
    ),
    hex!(
        "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
    ),
    hex!(
        "13e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
    ),
    hex!(
        "0ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a76d429a695160d12c923ac9cc3baca289e193548608b82801"
    ),
    hex!(
        "0606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be"
    ),
];
const P256_POINT: [u8; 64] = hex!(
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
);
const SECP256K1_X: [u8; 32] =
    hex!("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");

/// RFC 8032, 7.1, test 2: public key and signature, then the message.
const ED25519: ([u8; 96], u8) = (
    hex!(
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    ),
    0x72,
);

/// A signature that is right.
pub(super) fn ed25519() -> Vec<u8> {
    [&ED25519.0[..], &[ED25519.1]].concat()
}

/// So many of them in a batch.
pub(super) fn ed25519_batch(signatures: usize) -> Vec<u8> {
    [&1u32.to_be_bytes()[..], &ed25519()].concat().repeat(signatures)
}

/// So many pairs on alt_bn128 (EIP-197).
pub(super) fn bn254_pairing(pairs: usize) -> Vec<u8> {
    BN254_PAIR.repeat(pairs)
}

/// So many pairs on BLS12-381 (EIP-2537), whose numbers are 64 bytes long.
pub(super) fn bls_pairing(pairs: usize) -> Vec<u8> {
    BLS_PAIR
        .iter()
        .flat_map(|number| [&[0; 16][..], number].concat())
        .collect::<Vec<_>>()
        .repeat(pairs)
}

/// A group of BLS12-381.
#[derive(Clone, Copy, Debug)]
pub(super) enum Group {
    G1,
    G2,
}

/// The generator, numbers of 64 bytes.
fn bls_generator(group: Group) -> Vec<u8> {
    let pair = bls_pairing(1);
    match group {
        Group::G1 => pair[..128].to_vec(),
        Group::G2 => pair[128..].to_vec(),
    }
}

/// A point of alt_bn128 and itself (EIP-196).
pub(super) fn bn254_add() -> Vec<u8> {
    BN254_PAIR[..64].repeat(2)
}

/// A point of alt_bn128 and a number with all bits set (EIP-196).
pub(super) fn bn254_mul() -> Vec<u8> {
    [&BN254_PAIR[..64], &[0xff; 32]].concat()
}

/// A point of BLS12-381 and itself (EIP-2537).
pub(super) fn bls_add(group: Group) -> Vec<u8> {
    bls_generator(group).repeat(2)
}

/// So many points of BLS12-381, each with a number with all bits set (EIP-2537).
pub(super) fn bls_msm(group: Group, points: usize) -> Vec<u8> {
    [bls_generator(group), vec![0xff; 32]].concat().repeat(points)
}

/// So many field elements to be mapped (EIP-2537).
pub(super) fn bls_map(elements: usize) -> Vec<u8> {
    [&[0; 16][..], &[0x0f; 48]].concat().repeat(elements)
}

/// Bytes to hash, which cost least as call data.
pub(super) fn zeros(bytes: usize) -> Vec<u8> {
    vec![0; bytes]
}

fn some(label: &str) -> B256 {
    keccak256(label)
}

/// A signature that is not of the key, which all of the computation has to be done to find out (EIP-7951).
pub(super) fn p256() -> Vec<u8> {
    let mut small = some("signature").0;
    small[0] = 0;
    [some("message").as_slice(), &small, &small, &P256_POINT].concat()
}

/// A signature that somebody can be recovered from.
pub(super) fn ecrecover() -> Vec<u8> {
    let mut small = some("signature").0;
    small[0] = 0;
    [some("message").as_slice(), B256::with_last_byte(27).as_slice(), &SECP256K1_X, &small].concat()
}

/// Of numbers of so many bytes, all bits set: an odd modulus (EIP-198).
pub(super) fn modexp(bytes: usize, exponent: &[u8]) -> Vec<u8> {
    let word = |length: usize| B256::from(alloy_primitives::U256::from(length));
    let mut input = [word(bytes), word(exponent.len()), word(bytes)].concat();
    input.extend(vec![0xfe; bytes]);
    input.extend_from_slice(exponent);
    input.extend(vec![0xff; bytes]);
    input
}

/// So many rounds (EIP-152).
pub(super) fn blake2f(rounds: u32) -> Vec<u8> {
    let mut input = rounds.to_be_bytes().to_vec();
    input.extend([0x5a; 64 + 128 + 16]);
    input.push(1);
    input
}

/// The commitment to the polynomial zero, which is zero at zero (EIP-4844).
pub(super) fn point_evaluation() -> Vec<u8> {
    let mut infinity = [0; 48];
    infinity[0] = 0xc0;
    let mut versioned = atoll_types::sha256(&[&infinity]).0;
    versioned[0] = 1;
    [versioned.as_slice(), &[0; 64], &infinity, &infinity].concat()
}
