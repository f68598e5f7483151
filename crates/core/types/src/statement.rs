//! What a state transition claims: the public inputs of node, challenger and proof guest.

use crate::codec::{CodecError, Decode, Encode, Reader};
use crate::hash::{merkle_root, sha256};
use crate::id::{EnvironmentId, NetworkId};
use crate::words::{Word, hash_words};
use alloc::vec::Vec;
use alloy_primitives::{Address, B256};

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
    /// Hub queue cursor before and after.
    pub hub_cursor: (u64, u64),
    /// Merkle root of the messages delivered; zero for none.
    pub inbox: B256,
    /// Merkle root of the messages sent; zero for none. Of the router: [`router_outbox`].
    pub outbox: B256,
    /// Merkle root of the receipts.
    pub receipts: B256,
    /// Roots of other environments read, each of a named earlier slot; zero for none.
    pub foreign_roots: B256,
}

impl Statement {
    /// The 32 bytes that signatures and proofs bind; the hub computes them too.
    pub fn hash(&self) -> B256 {
        hash_words(
            "atoll statement",
            &[
                &self.protocol_version,
                &self.network.0,
                &self.environment.0,
                &self.spec_hash,
                &self.program_id,
                &self.slots.0,
                &self.slots.1,
                &self.times_us.0,
                &self.times_us.1,
                &self.pre_root,
                &self.post_root,
                &self.batch,
                &self.hub_cursor.0,
                &self.hub_cursor.1,
                &self.inbox,
                &self.outbox,
                &self.receipts,
                &self.foreign_roots,
            ],
        )
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

/// What a range of slots moved into an environment, net, from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetTransfer {
    /// The environment.
    pub environment: EnvironmentId,
    /// The token, by its address on the hub.
    pub token: Address,
    /// In less out, in the token's smallest unit on the hub; never zero.
    pub delta: i128,
}

/// Hash of net transfers, sorted by environment and token; zero for none.
pub fn transfers_hash(transfers: &[NetTransfer]) -> B256 {
    if transfers.is_empty() {
        return B256::ZERO;
    }
    let mut bytes = Vec::with_capacity(96 * transfers.len());
    for transfer in transfers {
        bytes.extend_from_slice(transfer.environment.0.word().as_slice());
        bytes.extend_from_slice(transfer.token.word().as_slice());
        bytes.extend_from_slice(transfer.delta.word().as_slice());
    }
    sha256(&[&bytes])
}

/// Merkle root over the statements' hashes, in order of environment.
pub fn statements_root(statements: &[Statement]) -> B256 {
    let hashes: Vec<B256> = statements.iter().map(Statement::hash).collect();
    merkle_root(hashes.iter().map(|hash| hash.as_slice()))
}

/// What the router's statement calls its outbox.
pub fn router_outbox(withdrawals_root: B256, withdrawals_count: u64, transfers: B256) -> B256 {
    hash_words("atoll router outbox", &[&withdrawals_root, &withdrawals_count, &transfers])
}

/// A leaf of a commitment's `data`: a span that was published.
pub fn span_leaf(slots: (u64, u64), data_root: B256) -> B256 {
    hash_words("atoll span", &[&slots.0, &slots.1, &data_root])
}

/// What the sequencer signs when it keeps published data available.
pub fn availability_digest(network: &NetworkId, slots: (u64, u64), data: B256) -> B256 {
    hash_words("atoll availability", &[&network.0, &slots.0, &slots.1, &data])
}

/// The claims of all environments about a range of slots: what the hub accepts and settles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// The network.
    pub network: NetworkId,
    /// Hash of the commitment before; zero for the first.
    pub previous: B256,
    /// Its number, from 1.
    pub number: u64,
    /// First and last slot, both included.
    pub slots: (u64, u64),
    /// Hash of the last slot's header.
    pub slot_hash: B256,
    /// Hub queue cursor after the last slot.
    pub cursor: u64,
    /// The queue's running hash at the cursor.
    pub queue_hash: B256,
    /// [`statements_root`].
    pub statements: B256,
    /// Root of the tree of withdrawals after the last slot.
    pub withdrawals_root: B256,
    /// Leaves of that tree.
    pub withdrawals_count: u64,
    /// [`transfers_hash`] of the range.
    pub transfers: B256,
    /// Merkle root over [`span_leaf`] of the published spans.
    pub data: B256,
}

impl Commitment {
    /// The 32 bytes that the sequencer signs.
    pub fn hash(&self) -> B256 {
        hash_words(
            "atoll commitment",
            &[
                &self.network.0,
                &self.previous,
                &self.number,
                &self.slots.0,
                &self.slots.1,
                &self.slot_hash,
                &self.cursor,
                &self.queue_hash,
                &self.statements,
                &self.withdrawals_root,
                &self.withdrawals_count,
                &self.transfers,
                &self.data,
            ],
        )
    }
}

impl Encode for Commitment {
    fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.number, self.slots.0, self.slots.1, self.cursor, self.withdrawals_count]
        {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for hash in [
            &self.network.0,
            &self.previous,
            &self.slot_hash,
            &self.queue_hash,
            &self.statements,
            &self.withdrawals_root,
            &self.transfers,
            &self.data,
        ] {
            out.extend_from_slice(hash.as_slice());
        }
    }
}

impl Decode for Commitment {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (number, slots) = (r.u64()?, (r.u64()?, r.u64()?));
        let (cursor, withdrawals_count) = (r.u64()?, r.u64()?);
        Ok(Self {
            number,
            slots,
            cursor,
            withdrawals_count,
            network: NetworkId(r.b256()?),
            previous: r.b256()?,
            slot_hash: r.b256()?,
            queue_hash: r.b256()?,
            statements: r.b256()?,
            withdrawals_root: r.b256()?,
            transfers: r.b256()?,
            data: r.b256()?,
        })
    }
}

impl Encode for NetTransfer {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.environment.0.to_le_bytes());
        out.extend_from_slice(self.token.as_slice());
        out.extend_from_slice(&self.delta.to_le_bytes());
    }
}

impl Decode for NetTransfer {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            environment: EnvironmentId(r.u32()?),
            token: r.address()?,
            delta: i128::from_le_bytes(r.array()?),
        })
    }
}
