//! The grammar of a slot.
//!
//! A slot is streamed: its *opening* first (what came from outside the ticks: hub entries, inputs,
//! opened envelopes), then its *ticks* as they close, then *bundles*, then the *header* that seals
//! it. The parts that later capabilities fill (hub, envelopes, bundles) are in the format and must
//! be empty until then: a decoder refuses what no state transition could execute.

use crate::codec::{CodecError, Decode, Encode, Reader, put_bytes, put_varint};
use crate::hash::sha256;
use crate::id::EnvironmentId;
use alloc::vec::Vec;
use alloy_primitives::B256;

/// Version of the slot grammar.
pub const SLOT_VERSION: u16 = 1;
/// Largest transaction, in bytes.
pub const TRANSACTION_BYTES_MAX: u32 = 128 * 1024;
/// Most transactions in one tick.
pub const TICK_TRANSACTIONS_MAX: u32 = 65_536;
/// Most ticks in one slot.
pub const SLOT_TICKS_MAX: u32 = 65_536;

/// Where inside a tick a transaction stands. The numbers are the order of execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Lane {
    /// Cancels: makers can always get out of the way first.
    Cancel = 0,
    /// Orders that only ever add liquidity.
    PostOnly = 1,
    /// Everything else.
    Rest = 2,
}

impl Lane {
    fn from_byte(byte: u8) -> Result<Self, CodecError> {
        match byte {
            0 => Ok(Self::Cancel),
            1 => Ok(Self::PostOnly),
            2 => Ok(Self::Rest),
            _ => Err(CodecError::Invalid("lane")),
        }
    }
}

/// An ordered transaction: opaque bytes for one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Whose transaction it is.
    pub environment: EnvironmentId,
    /// The lane it was ordered in.
    pub lane: Lane,
    /// The signed transaction, as the environment's VM defines it.
    pub bytes: Vec<u8>,
}

impl Transaction {
    /// Identifies the transaction on the network: SHA-256 over environment and bytes.
    pub fn hash(&self) -> B256 {
        Self::hash_parts(self.environment, &self.bytes)
    }

    /// [`Transaction::hash`] before there is a transaction.
    pub fn hash_parts(environment: EnvironmentId, bytes: &[u8]) -> B256 {
        sha256(&[&environment.0.to_le_bytes(), bytes])
    }
}

impl Encode for Transaction {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.environment.0));
        out.push(self.lane as u8);
        put_bytes(out, &self.bytes);
    }
}

impl Decode for Transaction {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            environment: EnvironmentId(r.length("environment id", u32::MAX)?),
            lane: Lane::from_byte(r.u8()?)?,
            bytes: r.bytes("transaction", TRANSACTION_BYTES_MAX)?.to_vec(),
        })
    }
}

/// What opens a slot, before its first tick.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SlotOpening {
    /// The slot's number. Slot 0 is genesis; the first ordered slot is 1.
    pub slot: u64,
    /// Leader term: changes with the leader; confirmations chain within one.
    pub term: u64,
    /// Start of the slot, microseconds since the Unix epoch; monotone.
    pub time_us: u64,
    /// Hash of the previous slot's header.
    pub parent: B256,
    /// Oracle and model inputs: signed transactions that run before the first tick.
    pub inputs: Vec<Transaction>,
}

impl Encode for SlotOpening {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&SLOT_VERSION.to_le_bytes());
        out.extend_from_slice(&self.slot.to_le_bytes());
        out.extend_from_slice(&self.term.to_le_bytes());
        out.extend_from_slice(&self.time_us.to_le_bytes());
        out.extend_from_slice(self.parent.as_slice());
        put_varint(out, 0); // hub queue entries: deposits and forced transactions
        put_list(out, &self.inputs);
        put_varint(out, 0); // opened envelopes of an earlier slot
    }
}

impl Decode for SlotOpening {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        if r.u16()? != SLOT_VERSION {
            return Err(CodecError::Invalid("slot version"));
        }
        let (slot, term, time_us, parent) = (r.u64()?, r.u64()?, r.u64()?, r.b256()?);
        r.length("hub queue entries", 0)?;
        let inputs = get_list(r, "inputs", TICK_TRANSACTIONS_MAX)?;
        r.length("opened envelopes", 0)?;
        Ok(Self { slot, term, time_us, parent, inputs })
    }
}

/// The unit of fair ordering and of durable logging: at most 0.5 ms of transactions.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tick {
    /// The slot it belongs to.
    pub slot: u64,
    /// Its number inside the slot, from 0. Ticks that hold nothing are not made.
    pub index: u32,
    /// When it closed, microseconds since the Unix epoch; monotone over the chain.
    pub time_us: u64,
    /// The transactions in the order of execution. Of environments that order by lanes, lanes are
    /// in ascending order.
    pub transactions: Vec<Transaction>,
}

impl Encode for Tick {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.slot.to_le_bytes());
        out.extend_from_slice(&self.index.to_le_bytes());
        out.extend_from_slice(&self.time_us.to_le_bytes());
        put_list(out, &self.transactions);
    }
}

impl Decode for Tick {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (slot, index, time_us) = (r.u64()?, r.u32()?, r.u64()?);
        let transactions = get_list(r, "transactions in a tick", TICK_TRANSACTIONS_MAX)?;
        Ok(Self { slot, index, time_us, transactions })
    }
}

/// Seals a slot: what consensus orders, data availability publishes and settlement names.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SlotHeader {
    /// The slot's number.
    pub slot: u64,
    /// Leader term.
    pub term: u64,
    /// Start of the slot, microseconds since the Unix epoch.
    pub time_us: u64,
    /// Hash of the previous slot's header; zero for the first.
    pub parent: B256,
    /// Ticks in the slot.
    pub ticks: u32,
    /// Running hash after the slot's last transaction: commits to everything ordered so far.
    pub running: B256,
    /// The hub block whose queue this slot has read; 0 before there is a hub.
    pub hub_block: u64,
    /// Hub queue cursor after the slot; 0 before there is a hub.
    pub hub_cursor: u64,
}

impl SlotHeader {
    /// The slot's hash. EVM block hashes derive from it, and so from the order alone.
    pub fn hash(&self) -> B256 {
        sha256(&[b"atoll slot", &self.to_bytes()])
    }
}

impl Encode for SlotHeader {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&SLOT_VERSION.to_le_bytes());
        out.extend_from_slice(&self.slot.to_le_bytes());
        out.extend_from_slice(&self.term.to_le_bytes());
        out.extend_from_slice(&self.time_us.to_le_bytes());
        out.extend_from_slice(self.parent.as_slice());
        out.extend_from_slice(&self.ticks.to_le_bytes());
        out.extend_from_slice(self.running.as_slice());
        out.extend_from_slice(&self.hub_block.to_le_bytes());
        out.extend_from_slice(&self.hub_cursor.to_le_bytes());
        put_varint(out, 0); // bundles
    }
}

impl Decode for SlotHeader {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        if r.u16()? != SLOT_VERSION {
            return Err(CodecError::Invalid("slot version"));
        }
        let header = Self {
            slot: r.u64()?,
            term: r.u64()?,
            time_us: r.u64()?,
            parent: r.b256()?,
            ticks: r.u32()?,
            running: r.b256()?,
            hub_block: r.u64()?,
            hub_cursor: r.u64()?,
        };
        r.length("bundles", 0)?;
        Ok(header)
    }
}

fn put_list(out: &mut Vec<u8>, list: &[Transaction]) {
    put_varint(out, list.len() as u64);
    for transaction in list {
        transaction.encode(out);
    }
}

fn get_list(
    r: &mut Reader<'_>,
    what: &'static str,
    bound: u32,
) -> Result<Vec<Transaction>, CodecError> {
    // No reservation by the claimed count: each element must first be there.
    let mut list = Vec::new();
    for _ in 0..r.length(what, bound)? {
        list.push(Transaction::decode(r)?);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn transaction() -> Transaction {
        Transaction { environment: EnvironmentId(1), lane: Lane::PostOnly, bytes: vec![1, 2, 3] }
    }

    #[test]
    fn the_encodings_are_golden() {
        let opening = SlotOpening {
            slot: 7,
            term: 1,
            time_us: 9,
            parent: B256::repeat_byte(0xaa),
            inputs: vec![transaction()],
        };
        let tick = Tick { slot: 7, index: 2, time_us: 10, transactions: vec![transaction(); 2] };
        let header = SlotHeader { slot: 7, ticks: 3, ..SlotHeader::default() };
        assert_eq!(SlotOpening::from_bytes(&opening.to_bytes()), Ok(opening.clone()));
        assert_eq!(Tick::from_bytes(&tick.to_bytes()), Ok(tick.clone()));
        assert_eq!(SlotHeader::from_bytes(&header.to_bytes()), Ok(header.clone()));
        let all = sha256(&[&opening.to_bytes(), &tick.to_bytes(), &header.to_bytes()]);
        assert_eq!(
            alloc::format!("{all}"),
            "0x410ee626fc9c5d88ff0faed6fdef25775b6572b7d7e91947081013559e9a11b3"
        );
    }

    #[test]
    fn cut_or_stretched_bytes_are_refused() {
        let bytes = Tick { transactions: vec![transaction()], ..Tick::default() }.to_bytes();
        for cut in 0..bytes.len() {
            assert!(Tick::from_bytes(&bytes[..cut]).is_err());
        }
        assert_eq!(Tick::from_bytes(&[&bytes[..], &[0]].concat()), Err(CodecError::Trailing(1)));
    }
}
