//! A signer by RFC 8032, and the input that the precompiles take.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest, Sha512};

/// A signature, what it is of, and whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) public_key: [u8; 32],
    pub(crate) signature: [u8; 64],
    pub(crate) message: Vec<u8>,
}

/// A private key.
pub(crate) struct Signer {
    scalar: Scalar,
    prefix: [u8; 32],
    pub(crate) public_key: [u8; 32],
}

fn wide(parts: &[&[u8]]) -> Scalar {
    let mut hash = Sha512::new();
    parts.iter().for_each(|part| hash.update(part));
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

impl Signer {
    /// One of many keys.
    pub(crate) fn new(number: u64) -> Self {
        let mut seed = [0x5e; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        Self::from_seed(&seed)
    }

    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        let hash: [u8; 64] = Sha512::digest(seed).into();
        let (mut scalar, mut prefix) = ([0; 32], [0; 32]);
        scalar.copy_from_slice(&hash[..32]);
        prefix.copy_from_slice(&hash[32..]);
        scalar[0] &= 0xf8;
        scalar[31] = scalar[31] & 0x7f | 0x40;
        let scalar = Scalar::from_bytes_mod_order(scalar);
        let public_key = EdwardsPoint::mul_base(&scalar).compress().to_bytes();
        Self { scalar, prefix, public_key }
    }

    pub(crate) fn claim(&self, message: &[u8]) -> Signed {
        let nonce = wide(&[&self.prefix, message]);
        let r = EdwardsPoint::mul_base(&nonce).compress().to_bytes();
        let challenge = wide(&[&r, &self.public_key, message]);
        let s = (nonce + challenge * self.scalar).to_bytes();
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&r);
        signature[32..].copy_from_slice(&s);
        Signed { public_key: self.public_key, signature, message: message.to_vec() }
    }
}

pub(crate) fn single_input(signed: &Signed) -> Vec<u8> {
    [&signed.public_key[..], &signed.signature, &signed.message].concat()
}

pub(crate) fn batch_input(signed: &[Signed]) -> Vec<u8> {
    let entry = |signed: &Signed| {
        let length = (signed.message.len() as u32).to_be_bytes();
        [&length[..], &single_input(signed)].concat()
    };
    signed.iter().flat_map(entry).collect()
}
