//! Shares: 512 bytes, the unit that is laid out, hashed, sampled and repaired.
//!
//! Celestia's share version 0 (`celestia-app` specification, "Shares"):
//!
//! ```text
//! namespace (29) ‖ info: version << 1 | start (1) ‖ [sequence length, u32 big-endian] ‖ data
//! ```
//!
//! The sequence length stands in the first share of a sequence alone; the last share is filled
//! with zeros. A namespace has at most one sequence in a square.

use crate::error::DaError;
use crate::namespace::{NAMESPACE_BYTES, Namespace};
use atoll_types::{CodecError, Decode, Encode, Reader};
use std::fmt;

/// Bytes of a share.
pub const SHARE_BYTES: usize = 512;

const INFO_START: u8 = 1;
const INFO_CONTINUED: u8 = 0;
const LENGTH_BYTES: usize = 4;
const FIRST_BYTES: usize = SHARE_BYTES - NAMESPACE_BYTES - 1 - LENGTH_BYTES;
const NEXT_BYTES: usize = SHARE_BYTES - NAMESPACE_BYTES - 1;

/// The bytes of a share.
#[derive(Clone, PartialEq, Eq)]
pub struct Share(pub [u8; SHARE_BYTES]);

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({:?}, …)", self.namespace())
    }
}

impl Share {
    /// The namespace that an original share states.
    pub fn namespace(&self) -> Namespace {
        stated_namespace(&self.0)
    }
}

impl Encode for Share {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for Share {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self(r.array()?))
    }
}

fn stated_namespace(share: &[u8; SHARE_BYTES]) -> Namespace {
    let mut bytes = [0; NAMESPACE_BYTES];
    bytes.copy_from_slice(&share[..NAMESPACE_BYTES]);
    Namespace::from_bytes(bytes)
}

/// The namespace under which the share at (`row`, `column`) is hashed, in a square that extends
/// `width` × `width` originals: what the share states, or parity outside of the originals.
pub fn leaf_namespace(width: u16, row: u16, column: u16, share: &[u8; SHARE_BYTES]) -> Namespace {
    if row < width && column < width { stated_namespace(share) } else { Namespace::PARITY }
}

/// Shares that `bytes` bytes need.
pub fn shares_for(bytes: u64) -> u64 {
    1 + bytes.saturating_sub(FIRST_BYTES as u64).div_ceil(NEXT_BYTES as u64)
}

/// Bytes that fit into `shares` shares.
pub fn capacity_of(shares: u64) -> u64 {
    (shares * NEXT_BYTES as u64).saturating_sub(LENGTH_BYTES as u64)
}

/// Appends the shares of a sequence.
pub(crate) fn put_sequence(out: &mut Vec<u8>, namespace: Namespace, data: &[u8]) {
    let (first, rest) = data.split_at(data.len().min(FIRST_BYTES));
    let end = out.len() + SHARE_BYTES;
    out.extend_from_slice(namespace.as_bytes());
    out.push(INFO_START);
    out.extend_from_slice(&(data.len() as u32).to_be_bytes());
    out.extend_from_slice(first);
    out.resize(end, 0);
    for chunk in rest.chunks(NEXT_BYTES) {
        let end = out.len() + SHARE_BYTES;
        out.extend_from_slice(namespace.as_bytes());
        out.push(INFO_CONTINUED);
        out.extend_from_slice(chunk);
        out.resize(end, 0);
    }
}

/// Appends a share of tail padding: an empty sequence.
pub(crate) fn put_padding(out: &mut Vec<u8>) {
    put_sequence(out, Namespace::TAIL_PADDING, &[]);
}

/// Appends the data of the one sequence that `shares` are.
pub(crate) fn read_sequence(shares: &[&Share], out: &mut Vec<u8>) -> Result<(), DaError> {
    let Some((first, rest)) = shares.split_first() else { return Ok(()) };
    let mut r = Reader::new(&first.0[NAMESPACE_BYTES..]);
    let truncated = |_: CodecError| DaError::BadPart("a share is cut off");
    if r.u8().map_err(truncated)? != INFO_START {
        return Err(DaError::BadPart("the first share does not start a sequence"));
    }
    let length = u32::from_be_bytes(r.array().map_err(truncated)?);
    if shares_for(u64::from(length)) != shares.len() as u64 {
        return Err(DaError::BadPart("a sequence has another length than it states"));
    }
    let end = out.len() + length as usize;
    out.extend_from_slice(r.rest());
    for share in rest {
        if share.0[NAMESPACE_BYTES] != INFO_CONTINUED {
            return Err(DaError::BadPart("a second sequence starts inside the first"));
        }
        out.extend_from_slice(&share.0[NAMESPACE_BYTES + 1..]);
    }
    if out[end..].iter().any(|byte| *byte != 0) {
        return Err(DaError::BadPart("a share is not filled with zeros"));
    }
    out.truncate(end);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_round_trip_at_every_edge() {
        let namespace = Namespace::from_bytes([7; NAMESPACE_BYTES]);
        for length in [0, 1, 477, 478, 479, 959, 960, 961, 1442, 1443, 5000] {
            let data: Vec<u8> = (0..length).map(|i| (i % 251) as u8 + 1).collect();
            let mut bytes = Vec::new();
            put_sequence(&mut bytes, namespace, &data);
            let shares: Vec<Share> =
                bytes.chunks(SHARE_BYTES).map(|c| Share(c.try_into().unwrap())).collect();
            assert_eq!(shares.len() as u64, shares_for(length));
            assert!(capacity_of(shares.len() as u64) >= length);
            assert!(shares.len() == 1 || capacity_of(shares.len() as u64 - 1) < length);
            let mut back = vec![9];
            read_sequence(&shares.iter().collect::<Vec<_>>(), &mut back).unwrap();
            assert_eq!(back[1..], data);
            if let [first, rest @ ..] = &shares[..]
                && !rest.is_empty()
            {
                assert!(read_sequence(&[first], &mut Vec::new()).is_err());
                assert!(read_sequence(&[&rest[0]], &mut Vec::new()).is_err());
            }
        }
    }
}
