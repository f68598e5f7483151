//! Who and where: networks and environments.

use crate::hash::sha256;
use alloc::vec::Vec;
use alloy_primitives::B256;
use core::fmt;

/// Identifies a network. Every signature and every file on disk binds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkId(pub B256);

impl NetworkId {
    /// The network's identity: its name and the spec hash of each environment in it.
    pub fn derive(name: &str, specs: &[(EnvironmentId, B256)]) -> Self {
        let mut bytes = Vec::new();
        crate::codec::put_bytes(&mut bytes, name.as_bytes());
        for (environment, hash) in specs {
            bytes.extend_from_slice(&environment.0.to_le_bytes());
            bytes.extend_from_slice(hash.as_slice());
        }
        Self(sha256(&[b"atoll network", &bytes]))
    }
}

/// Identifies an environment inside its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnvironmentId(pub u32);

impl fmt::Display for EnvironmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
