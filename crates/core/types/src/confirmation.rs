//! Confirmations: the sequencer's signed promise about the order.
//!
//! The running hash chains over every transaction; a tick's confirmation signs the running hash
//! after it, once for all of its transactions, and names the one before it, so a leader's
//! confirmations form a chain. Two signed ticks of one term with the same place and different
//! hashes are evidence. A confirmation is not finality.

use crate::codec::{CodecError, Decode, Encode, Reader};
use crate::crypto::{Signature, SignatureError};
use crate::hash::sha256;
use crate::id::NetworkId;
use crate::slot::Transaction;
use alloc::vec::Vec;
use alloy_primitives::{Address, B256};

/// Extends a running hash by one transaction.
pub fn extend_running(running: &B256, transaction_hash: &B256) -> B256 {
    sha256(&[running.as_slice(), transaction_hash.as_slice()])
}

/// A signed tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickConfirmation {
    /// Leader term.
    pub term: u64,
    /// Slot.
    pub slot: u64,
    /// Tick inside the slot.
    pub tick: u32,
    /// When the tick closed, microseconds since the Unix epoch.
    pub time_us: u64,
    /// Running hash before the tick's first transaction.
    pub before: B256,
    /// Running hash after the tick's last transaction.
    pub after: B256,
    /// The leader's signature over all of the above and the network.
    pub signature: Signature,
}

impl TickConfirmation {
    /// What the leader signs.
    pub fn digest(
        network: &NetworkId,
        (term, slot, tick): (u64, u64, u32),
        time_us: u64,
        before: &B256,
        after: &B256,
    ) -> B256 {
        sha256(&[
            b"atoll tick",
            network.0.as_slice(),
            &term.to_le_bytes(),
            &slot.to_le_bytes(),
            &tick.to_le_bytes(),
            &time_us.to_le_bytes(),
            before.as_slice(),
            after.as_slice(),
        ])
    }

    /// Whose promise this is.
    pub fn signer(&self, network: &NetworkId) -> Result<Address, SignatureError> {
        let place = (self.term, self.slot, self.tick);
        let digest = Self::digest(network, place, self.time_us, &self.before, &self.after);
        self.signature.recover(&digest)
    }

    /// Whether the two promises cannot both be kept: evidence against the signer of both.
    pub fn contradicts(&self, other: &Self) -> bool {
        (self.term, self.slot, self.tick) == (other.term, other.slot, other.tick)
            && (self.before, self.after, self.time_us) != (other.before, other.after, other.time_us)
    }
}

impl Encode for TickConfirmation {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.term.to_le_bytes());
        out.extend_from_slice(&self.slot.to_le_bytes());
        out.extend_from_slice(&self.tick.to_le_bytes());
        out.extend_from_slice(&self.time_us.to_le_bytes());
        out.extend_from_slice(self.before.as_slice());
        out.extend_from_slice(self.after.as_slice());
        self.signature.encode(out);
    }
}

impl Decode for TickConfirmation {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            term: r.u64()?,
            slot: r.u64()?,
            tick: r.u32()?,
            time_us: r.u64()?,
            before: r.b256()?,
            after: r.b256()?,
            signature: Signature::decode(r)?,
        })
    }
}

/// The promise about one transaction: its place, and the signed tick it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// The signed tick.
    pub tick: TickConfirmation,
    /// The transaction's index inside the tick.
    pub index: u32,
    /// Running hash after this transaction.
    pub running: B256,
}

/// The running hashes after each of a tick's transactions.
pub fn running_hashes(before: &B256, transactions: &[Transaction]) -> Vec<B256> {
    let mut running = *before;
    transactions
        .iter()
        .map(|transaction| {
            running = extend_running(&running, &transaction.hash());
            running
        })
        .collect()
}
