//! What a state transition claims: the public inputs of node, challenger and proof guest.

use crate::codec::{CodecError, Decode, Encode, Reader};
use crate::hash::{merkle_root, sha256};
use crate::id::{EnvironmentId, NetworkId};
use alloc::vec::Vec;
use alloy_primitives::B256;

/// Version of the state transition function.
pub const PROTOCOL_VERSION: u32 = 1;

/// One environment's claim about a range of commands: all that the transition depends on, and all
/// that it yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Version of the protocol ([`PROTOCOL_VERSION`]).
    pub protocol_version: u32,
    /// The network.
    pub network: NetworkId,
    /// The environment.
    pub environment: EnvironmentId,
    /// Hash of the environment's spec.
    pub spec_hash: B256,
    /// Identifies the program that executes it: VM kind and version.
    pub program_id: B256,
    /// First and last slot of the range, both included.
    pub slots: (u64, u64),
    /// Time of the first slot's opening and of the last command, microseconds.
    pub times_us: (u64, u64),
    /// State root before.
    pub pre_root: B256,
    /// State root after.
    pub post_root: B256,
    /// Commits to the commands executed.
    pub batch: B256,
    /// Hub queue cursor before and after; zero before there is a hub.
    pub hub_cursor: (u64, u64),
    /// Merkle root of (source, inbox root) pairs; zero for none.
    pub inbox: B256,
    /// Merkle root of the messages sent; zero for none.
    pub outbox: B256,
    /// Merkle root of the receipts.
    pub receipts: B256,
    /// Roots of other environments read, each of a named earlier slot; zero for none.
    pub foreign_roots: B256,
}

impl Statement {
    /// The 32 bytes that signatures and proofs bind.
    pub fn hash(&self) -> B256 {
        sha256(&[b"atoll statement", &self.to_bytes()])
    }
}

impl Encode for Statement {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.protocol_version.to_le_bytes());
        out.extend_from_slice(self.network.0.as_slice());
        out.extend_from_slice(&self.environment.0.to_le_bytes());
        for number in [
            self.slots.0,
            self.slots.1,
            self.times_us.0,
            self.times_us.1,
            self.hub_cursor.0,
            self.hub_cursor.1,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for hash in [
            &self.spec_hash,
            &self.program_id,
            &self.pre_root,
            &self.post_root,
            &self.batch,
            &self.inbox,
            &self.outbox,
            &self.receipts,
            &self.foreign_roots,
        ] {
            out.extend_from_slice(hash.as_slice());
        }
    }
}

impl Decode for Statement {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (protocol_version, network) = (r.u32()?, NetworkId(r.b256()?));
        let environment = EnvironmentId(r.u32()?);
        let slots = (r.u64()?, r.u64()?);
        let times_us = (r.u64()?, r.u64()?);
        let hub_cursor = (r.u64()?, r.u64()?);
        Ok(Self {
            protocol_version,
            network,
            environment,
            slots,
            times_us,
            hub_cursor,
            spec_hash: r.b256()?,
            program_id: r.b256()?,
            pre_root: r.b256()?,
            post_root: r.b256()?,
            batch: r.b256()?,
            inbox: r.b256()?,
            outbox: r.b256()?,
            receipts: r.b256()?,
            foreign_roots: r.b256()?,
        })
    }
}

/// The claims of all environments up to a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// The last slot it covers.
    pub slot: u64,
    /// One statement per environment, in order of environment id.
    pub statements: Vec<Statement>,
}

impl Commitment {
    /// Merkle root over the statements' hashes.
    pub fn root(&self) -> B256 {
        let hashes: Vec<B256> = self.statements.iter().map(Statement::hash).collect();
        merkle_root(hashes.iter().map(|hash| hash.as_slice()))
    }
}
