//! The bytes of a transaction: what was signed, as it was signed, with its signature.
//!
//! `version u8 = 1 ‖ kind u8 ‖ nonce u64 ‖ vault option ‖ expiry option ‖ body bytes ‖ signature`
//! (r ‖ s ‖ parity, 65 bytes). Options are a 0 or 1 byte before the value; the body is
//! length-prefixed; integers are little-endian.

use alloc::vec::Vec;
use atoll_types::codec::{CodecError, put_bytes};
use atoll_types::slot::TRANSACTION_BYTES_MAX;
use atoll_types::{Address, Decode, Encode, Reader, Reject, RejectCode, Signature};

/// Version of the transaction format.
pub const TRANSACTION_VERSION: u8 = 1;
/// Largest body, in bytes: a transaction less its envelope.
pub const BODY_BYTES_MAX: u32 = TRANSACTION_BYTES_MAX - 128;

/// What the body is, and so how it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A Hyperliquid action in msgpack. Its `type` decides between the two ways in which
    /// Hyperliquid signs: over the bytes (orders, cancels, …) or as typed data (transfers, agents).
    Hyperliquid = 0,
    /// An [`crate::exchange::AtollMessage`], signed as typed data under the environment's domain.
    Atoll = 1,
    /// [`crate::exchange::OraclePrices`], signed by one of the spec's oracle keys; `nonce` is their time.
    Oracle = 2,
}

/// A transaction of an exchange environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeTransaction {
    /// What the body is.
    pub kind: Kind,
    /// Nonce: milliseconds since the Unix epoch, unique per signer.
    pub nonce: u64,
    /// The vault or subaccount to act for. Part of what is signed; not supported yet.
    pub vault: Option<Address>,
    /// Milliseconds since the Unix epoch after which the action is void.
    pub expires_after: Option<u64>,
    /// The action exactly as it was signed.
    pub body: Vec<u8>,
    /// The signature; all zero where there is none.
    pub signature: Signature,
}

impl ExchangeTransaction {
    /// A Hyperliquid action from the parts of an `/exchange` request: the action's msgpack in the
    /// key order of its JSON, and `signature` as `{r, s, v}`.
    ///
    /// Refused are a signature that is malformed and a body above [`BODY_BYTES_MAX`].
    pub fn hyperliquid(
        action: Vec<u8>,
        nonce: u64,
        vault: Option<Address>,
        expires_after: Option<u64>,
        (r, s, v): ([u8; 32], [u8; 32], u64),
    ) -> Result<Self, Reject> {
        if action.len() > BODY_BYTES_MAX as usize {
            return Err(oversized(action.len()));
        }
        let signature = Signature::from_parts(r, s, v)
            .map_err(|error| Reject::new(RejectCode::BadSignature, alloc::format!("{error}")))?;
        Ok(Self { kind: Kind::Hyperliquid, nonce, vault, expires_after, body: action, signature })
    }

    /// Reads a transaction; a refusal has the code of what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, Reject> {
        if bytes.len() > TRANSACTION_BYTES_MAX as usize {
            return Err(oversized(bytes.len()));
        }
        let mut r = Reader::new(bytes);
        let malformed = |error: CodecError| {
            let message = alloc::format!("the bytes are not an exchange transaction: {error}");
            Reject::new(RejectCode::Malformed, message)
        };
        let transaction = Self::unsigned(&mut r).map_err(malformed)?;
        let signature = if r.rest().is_empty() {
            Signature { r: [0; 32], s: [0; 32], y_parity: 0 }
        } else {
            Signature::decode(&mut r).map_err(malformed)?
        };
        r.finish().map_err(malformed)?;
        if signature.r == [0; 32] && signature.s == [0; 32] {
            let message = "the transaction has no signature; sign the action and send it again";
            return Err(Reject::new(RejectCode::Unsigned, message));
        }
        Ok(Self { signature, ..transaction })
    }

    fn unsigned(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        if r.u8()? != TRANSACTION_VERSION {
            return Err(CodecError::Invalid("transaction version"));
        }
        let kind = match r.u8()? {
            0 => Kind::Hyperliquid,
            1 => Kind::Atoll,
            2 => Kind::Oracle,
            _ => return Err(CodecError::Invalid("transaction kind")),
        };
        let nonce = r.u64()?;
        let vault = if r.bool()? { Some(r.address()?) } else { None };
        let expires_after = if r.bool()? { Some(r.u64()?) } else { None };
        let body = r.bytes("transaction body", BODY_BYTES_MAX)?.to_vec();
        let signature = Signature { r: [0; 32], s: [0; 32], y_parity: 0 };
        Ok(Self { kind, nonce, vault, expires_after, body, signature })
    }
}

fn oversized(found: usize) -> Reject {
    let message = alloc::format!(
        "the transaction is {found} bytes long, at most {TRANSACTION_BYTES_MAX} are accepted; \
         split the batch",
    );
    Reject::new(RejectCode::Oversized, message)
}

impl Encode for ExchangeTransaction {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(TRANSACTION_VERSION);
        out.push(self.kind as u8);
        out.extend_from_slice(&self.nonce.to_le_bytes());
        out.push(u8::from(self.vault.is_some()));
        if let Some(vault) = &self.vault {
            out.extend_from_slice(vault.as_slice());
        }
        out.push(u8::from(self.expires_after.is_some()));
        if let Some(expires_after) = self.expires_after {
            out.extend_from_slice(&expires_after.to_le_bytes());
        }
        put_bytes(out, &self.body);
        self.signature.encode(out);
    }
}

impl Decode for ExchangeTransaction {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let transaction = Self::unsigned(r)?;
        Ok(Self { signature: Signature::decode(r)?, ..transaction })
    }
}
