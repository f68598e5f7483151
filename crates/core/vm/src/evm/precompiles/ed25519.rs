//! Ed25519 signatures by the rules of ZIP-215, one by one or many together.
//!
//! RFC 8032 leaves open whether the equation is checked with the cofactor and which encodings of
//! points are read, and implementations differ: what one accepts another refuses, and many verify
//! otherwise in a batch than alone. Here:
//!
//! * public key and R are any 32 bytes that a point decompresses from: `y` may be at least 2^255 − 19,
//!   zero may have a sign, and points of small order are points like others;
//! * s is less than the order of the group;
//! * `[8][s]B = [8]R + [8][k]A`, where k is SHA-512 over R, the public key and the message.
//!
//! The batch checks a random linear combination of these equations, all of which hold in a group of
//! prime order because of the factor 8. So it accepts whenever each signature alone is accepted. It
//! accepts others with a probability of 2^-128 for each attempt: the coefficients are hashes of
//! everything that the equations are made of, and nobody can choose the one after the other.

use alloc::vec::Vec;
use core::iter::once;
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest, Sha512};

/// What tells these coefficients from any other hash.
const BATCH_DOMAIN: &[u8] = b"atoll ed25519 batch";

/// A signature, and what it is said to be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Public key.
    pub public_key: &'a [u8; 32],
    /// R, then s.
    pub signature: &'a [u8; 64],
    /// The message, not hashed.
    pub message: &'a [u8],
}

/// The parts of the equation that a claim stands for.
struct Equation {
    key: EdwardsPoint,
    r: EdwardsPoint,
    s: Scalar,
    /// SHA-512 that gives `k`.
    challenge: [u8; 64],
    k: Scalar,
}

fn point(bytes: &[u8]) -> Option<EdwardsPoint> {
    CompressedEdwardsY::from_slice(bytes).ok()?.decompress()
}

impl Claim<'_> {
    fn equation(&self) -> Option<Equation> {
        let (r_bytes, s_bytes) = self.signature.split_at(32);
        let s = <[u8; 32]>::try_from(s_bytes).ok()?;
        let s = Option::from(Scalar::from_canonical_bytes(s))?;
        let (key, r) = (point(self.public_key)?, point(r_bytes)?);
        let hash = Sha512::new().chain_update(r_bytes).chain_update(self.public_key);
        let challenge: [u8; 64] = hash.chain_update(self.message).finalize().into();
        let k = Scalar::from_bytes_mod_order_wide(&challenge);
        Some(Equation { key, r, s, challenge, k })
    }

    /// Whether the signature is the key's for this message.
    pub fn holds(&self) -> bool {
        self.equation().is_some_and(|Equation { key, r, s, k, .. }| {
            let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&k, &-key, &s);
            (expected - r).mul_by_cofactor().is_identity()
        })
    }
}

/// Coefficients below 2^128, by what they are to tell apart.
fn coefficients(equations: &[Equation]) -> impl Iterator<Item = Scalar> {
    let mut seed = Sha512::new().chain_update(BATCH_DOMAIN);
    for equation in equations {
        // The challenge stands for R, key and message.
        seed.update(equation.challenge);
        seed.update(equation.s.as_bytes());
    }
    let seed = seed.finalize();
    (0u64..).map(move |index| {
        let hash = Sha512::new().chain_update(seed).chain_update(index.to_le_bytes()).finalize();
        let mut wide = [0; 32];
        wide[..16].copy_from_slice(&hash[..16]);
        Scalar::from_bytes_mod_order(wide)
    })
}

/// Whether each of the claims holds. Of none that is true.
pub fn all_hold(claims: &[Claim<'_>]) -> bool {
    let equations: Option<Vec<Equation>> = claims.iter().map(Claim::equation).collect();
    let Some(equations) = equations else { return false };
    let mut base = Scalar::ZERO;
    let (mut keys, mut rs) = (Vec::new(), Vec::new());
    for (equation, z) in equations.iter().zip(coefficients(&equations)) {
        base -= z * equation.s;
        keys.push(z * equation.k);
        rs.push(z);
    }
    // The coefficients of R are short, and come last so that they stay together.
    let scalars = once(&base).chain(&keys).chain(&rs);
    let points = once(ED25519_BASEPOINT_POINT)
        .chain(equations.iter().map(|equation| equation.key))
        .chain(equations.iter().map(|equation| equation.r));
    EdwardsPoint::vartime_multiscalar_mul(scalars, points).mul_by_cofactor().is_identity()
}
