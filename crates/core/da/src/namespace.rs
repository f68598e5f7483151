//! Namespaces: whose data a share holds.
//!
//! Celestia's format: a version byte and 28 bytes. Ours have version 0, whose id is 18 zero bytes
//! and ten of the user's:
//!
//! ```text
//! "atl" ‖ first 3 bytes of the network id ‖ owner (4 bytes, big-endian)
//! ```
//!
//! Big-endian, so that namespaces sort as owners do. The network's tag keeps networks that share a
//! data layer apart most of the time; what really binds data to a network is the commitment.

use atoll_types::{CodecError, Decode, Encode, EnvironmentId, NetworkId, Reader};
use std::fmt;

/// Bytes of a namespace.
pub const NAMESPACE_BYTES: usize = 29;

const PREFIX: &[u8; 3] = b"atl";
const HEADERS: u32 = u32::MAX;

/// Whose stream a part of a span belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The batches of an environment (0 is the router). `u32::MAX` is not an environment.
    Environment(EnvironmentId),
    /// The slot headers, which belong to all.
    Headers,
}

impl Owner {
    /// The number that stands in the namespace; none for the environment id that is not one.
    pub fn id(self) -> Option<u32> {
        match self {
            Self::Environment(EnvironmentId(HEADERS)) => None,
            Self::Environment(id) => Some(id.0),
            Self::Headers => Some(HEADERS),
        }
    }
}

/// A namespace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Namespace([u8; NAMESPACE_BYTES]);

impl Namespace {
    /// What fills an original square behind its data.
    pub const TAIL_PADDING: Self = Self::reserved(0xfe);
    /// All shares outside of the original square.
    pub const PARITY: Self = Self::reserved(0xff);

    const fn reserved(last: u8) -> Self {
        let mut bytes = [0xff; NAMESPACE_BYTES];
        bytes[NAMESPACE_BYTES - 1] = last;
        Self(bytes)
    }

    /// The namespace of `owner` on `network`; none if `owner` is not an owner.
    pub fn of(network: NetworkId, owner: Owner) -> Option<Self> {
        let mut bytes = [0; NAMESPACE_BYTES];
        bytes[19..22].copy_from_slice(PREFIX);
        bytes[22..25].copy_from_slice(&network.0[..3]);
        bytes[25..].copy_from_slice(&owner.id()?.to_be_bytes());
        Some(Self(bytes))
    }

    /// The namespace with these bytes; any bytes are one to the tree.
    pub const fn from_bytes(bytes: [u8; NAMESPACE_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; NAMESPACE_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Encode for Namespace {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for Namespace {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self(r.array()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_types::B256;

    #[test]
    fn namespaces_sort_as_owners_do_and_are_golden() {
        let network = NetworkId(B256::repeat_byte(0xab));
        let of = |owner| Namespace::of(network, owner);
        let one = of(Owner::Environment(EnvironmentId(1)));
        assert_eq!(
            format!("{:?}", one.unwrap()),
            "0x0000000000000000000000000000000000000061746cababab00000001"
        );
        assert!(of(Owner::Environment(EnvironmentId(0))) < one);
        assert!(one < of(Owner::Environment(EnvironmentId(256))));
        assert!(of(Owner::Environment(EnvironmentId(256))) < of(Owner::Headers));
        assert!(of(Owner::Headers).unwrap() < Namespace::TAIL_PADDING);
        assert!(Namespace::TAIL_PADDING < Namespace::PARITY);
        assert_eq!(of(Owner::Environment(EnvironmentId(u32::MAX))), None);
    }
}
