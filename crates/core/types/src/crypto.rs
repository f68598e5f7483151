//! secp256k1 signatures as wallets make them: 65 bytes r ‖ s ‖ v, recovered to an address.
//!
//! The host uses libsecp256k1, the proof guest k256; a test holds the two to the same answers.

use crate::codec::{CodecError, Decode, Encode, Reader};
use alloc::vec::Vec;
use alloy_primitives::{Address, B256, keccak256};

/// Why a signature names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// r, s or v is out of range, or s is in the upper half of the order (malleable).
    #[error("the signature is malformed: r, s or v is out of range, or s is not the lower one")]
    Malformed,
    /// No public key fits the signature.
    #[error("no key fits the signature")]
    Unrecoverable,
}

/// A recoverable signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// r, big-endian.
    pub r: [u8; 32],
    /// s, big-endian, always the lower of the two.
    pub s: [u8; 32],
    /// Parity of R's y: 0 or 1.
    pub y_parity: u8,
}

impl Signature {
    /// Reads `r`, `s` and Ethereum's `v` (0, 1, 27 or 28).
    pub fn from_parts(r: [u8; 32], s: [u8; 32], v: u64) -> Result<Self, SignatureError> {
        let y_parity = match v {
            0 | 27 => 0,
            1 | 28 => 1,
            _ => return Err(SignatureError::Malformed),
        };
        Ok(Self { r, s, y_parity })
    }

    /// The address whose key signed `digest`.
    pub fn recover(&self, digest: &B256) -> Result<Address, SignatureError> {
        #[cfg(feature = "std")]
        return native::recover(self, digest);
        #[cfg(not(feature = "std"))]
        portable::recover(self, digest)
    }
}

impl Encode for Signature {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.r);
        out.extend_from_slice(&self.s);
        out.push(self.y_parity);
    }
}

impl Decode for Signature {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (r, s) = (reader.array()?, reader.array()?);
        match reader.u8()? {
            y_parity @ (0 | 1) => Ok(Self { r, s, y_parity }),
            _ => Err(CodecError::Invalid("signature parity")),
        }
    }
}

/// The address of an uncompressed public key without its leading 4.
fn address_of(public_key: &[u8]) -> Address {
    Address::from_slice(&keccak256(public_key)[12..])
}

/// The implementation without C, for the guest.
#[cfg_attr(feature = "std", allow(dead_code))]
mod portable {
    use super::*;
    use k256::ecdsa::{RecoveryId, Signature as Raw, VerifyingKey};

    pub(super) fn recover(sig: &Signature, digest: &B256) -> Result<Address, SignatureError> {
        let raw = Raw::from_scalars(sig.r, sig.s).map_err(|_| SignatureError::Malformed)?;
        if raw.normalize_s().is_some() {
            return Err(SignatureError::Malformed);
        }
        let id = RecoveryId::new(sig.y_parity == 1, false);
        let key = VerifyingKey::recover_from_prehash(digest.as_slice(), &raw, id)
            .map_err(|_| SignatureError::Unrecoverable)?;
        Ok(address_of(&key.to_encoded_point(false).as_bytes()[1..]))
    }
}

#[cfg(feature = "std")]
mod native {
    use super::*;
    use secp256k1::Message;
    use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};

    pub(super) fn recover(sig: &Signature, digest: &B256) -> Result<Address, SignatureError> {
        let mut compact = [0; 64];
        compact[..32].copy_from_slice(&sig.r);
        compact[32..].copy_from_slice(&sig.s);
        let id = if sig.y_parity == 0 { RecoveryId::Zero } else { RecoveryId::One };
        let raw = RecoverableSignature::from_compact(&compact, id)
            .map_err(|_| SignatureError::Malformed)?;
        let mut low = raw.to_standard();
        low.normalize_s();
        if low != raw.to_standard() || sig.r == [0; 32] || sig.s == [0; 32] {
            return Err(SignatureError::Malformed);
        }
        let key = secp256k1::SECP256K1
            .recover_ecdsa(Message::from_digest(digest.0), &raw)
            .map_err(|_| SignatureError::Unrecoverable)?;
        Ok(address_of(&key.serialize_uncompressed()[1..]))
    }
}

/// A private key, for nodes, agents and tests; not part of the state transition.
#[cfg(feature = "std")]
#[derive(Clone)]
pub struct SigningKey(secp256k1::SecretKey);

#[cfg(feature = "std")]
impl SigningKey {
    /// The key with these 32 bytes; `None` if they are zero or not below the group order.
    pub fn from_bytes(bytes: [u8; 32]) -> Option<Self> {
        secp256k1::SecretKey::from_byte_array(bytes).ok().map(Self)
    }

    /// A key derived from a label: for development networks and tests only, anyone can derive it.
    pub fn from_label(label: &str) -> Self {
        let mut digest = crate::hash::sha256(&[b"atoll development key", label.as_bytes()]);
        loop {
            if let Some(key) = Self::from_bytes(digest.0) {
                return key;
            }
            digest = crate::hash::sha256(&[digest.as_slice()]);
        }
    }

    /// The 32 secret bytes.
    pub fn secret_bytes(&self) -> [u8; 32] {
        self.0.secret_bytes()
    }

    /// The address of this key.
    pub fn address(&self) -> Address {
        address_of(&self.0.public_key(secp256k1::SECP256K1).serialize_uncompressed()[1..])
    }

    /// Signs a digest (deterministic nonce, RFC 6979).
    pub fn sign(&self, digest: &B256) -> Signature {
        let raw = secp256k1::SECP256K1
            .sign_ecdsa_recoverable(secp256k1::Message::from_digest(digest.0), &self.0);
        let (id, compact) = raw.serialize_compact();
        let (mut r, mut s) = ([0; 32], [0; 32]);
        r.copy_from_slice(&compact[..32]);
        s.copy_from_slice(&compact[32..]);
        Signature { r, s, y_parity: i32::from(id) as u8 & 1 }
    }
}

#[cfg(feature = "std")]
impl core::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SigningKey({})", self.address())
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn both_implementations_recover_the_signer_and_refuse_the_same() {
        for i in 0..32 {
            let key = SigningKey::from_label(&alloc::format!("{i}"));
            let digest = crate::hash::sha256(&[&[i]]);
            let sig = key.sign(&digest);
            assert_eq!(native::recover(&sig, &digest), Ok(key.address()));
            assert_eq!(portable::recover(&sig, &digest), Ok(key.address()));
            let other = crate::hash::sha256(&[b"other", &[i]]);
            assert_ne!(native::recover(&sig, &other), Ok(key.address()));
            assert_eq!(native::recover(&sig, &other), portable::recover(&sig, &other));
        }
    }

    #[test]
    fn malformed_signatures_are_refused_by_both() {
        let digest = B256::repeat_byte(7);
        let good = SigningKey::from_label("a").sign(&digest);
        // n - s: the malleable twin.
        let n = alloy_primitives::uint!(
            0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256
        );
        let high = n - alloy_primitives::U256::from_be_bytes(good.s);
        for bad in [
            Signature { s: high.to_be_bytes(), y_parity: 1 - good.y_parity, ..good },
            Signature { r: [0; 32], ..good },
            Signature { s: [0; 32], ..good },
            Signature { r: [0xff; 32], ..good },
        ] {
            assert_eq!(native::recover(&bad, &digest), Err(SignatureError::Malformed));
            assert_eq!(portable::recover(&bad, &digest), Err(SignatureError::Malformed));
        }
        assert!(Signature::from_parts(good.r, good.s, 29).is_err());
    }
}
