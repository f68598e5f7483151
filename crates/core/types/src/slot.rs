//! The grammar of a slot.
//!
//! A slot is streamed: its *opening* first (what came from outside the ticks: hub entries, inputs,
//! opened envelopes), then its *ticks* as they close, then *bundles*, then the *header* that seals
//! it. The parts that later capabilities fill (envelopes, bundles) are in the format and must be
//! empty until then: a decoder refuses what no state transition could execute.

use crate::codec::{CodecError, Decode, Encode, Reader, put_bytes, put_varint};
use crate::crypto::Signature;
use crate::hash::{merkle_root, sha256};
use crate::hub::{HubEntry, SLOT_ENTRIES_MAX};
use crate::id::{EnvironmentId, NetworkId};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use alloy_primitives::B256;
use sha2::{Digest, Sha256};

/// Version of the slot grammar.
pub const SLOT_VERSION: u16 = 2;
/// Largest transaction, in bytes.
pub const TRANSACTION_BYTES_MAX: u32 = 128 * 1024;
/// Most transactions in one tick.
pub const TICK_TRANSACTIONS_MAX: u32 = 65_536;
/// Most ticks in one slot.
pub const SLOT_TICKS_MAX: u32 = 65_536;

/// What a transaction may do to a book, by which an environment may order a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Lane {
    /// It only cancels.
    Cancel = 0,
    /// It only ever adds liquidity.
    PostOnly = 1,
    /// It may take liquidity; everything that is not known to do less.
    Rest = 2,
    /// It touches no book.
    Aside = 3,
}

impl Lane {
    fn from_byte(byte: u8) -> Result<Self, CodecError> {
        match byte {
            0 => Ok(Self::Cancel),
            1 => Ok(Self::PostOnly),
            2 => Ok(Self::Rest),
            3 => Ok(Self::Aside),
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
    /// The hub block up to which the hub's queue was read: finalised there. Monotone; 0 before
    /// the hub was ever read.
    pub hub_block: u64,
    /// Entries of the hub's queue taken before this slot.
    pub hub_cursor: u64,
    /// The next entries: deposits and forced transactions, which run first.
    pub entries: Vec<HubEntry>,
    /// Oracle and model inputs: signed transactions that run before the first tick.
    pub inputs: Vec<Transaction>,
}

impl SlotOpening {
    /// Entries of the hub's queue taken after this slot.
    pub fn hub_cursor_after(&self) -> u64 {
        self.hub_cursor + self.entries.len() as u64
    }
}

impl Encode for SlotOpening {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&SLOT_VERSION.to_le_bytes());
        out.extend_from_slice(&self.slot.to_le_bytes());
        out.extend_from_slice(&self.term.to_le_bytes());
        out.extend_from_slice(&self.time_us.to_le_bytes());
        out.extend_from_slice(self.parent.as_slice());
        out.extend_from_slice(&self.hub_block.to_le_bytes());
        out.extend_from_slice(&self.hub_cursor.to_le_bytes());
        put_varint(out, self.entries.len() as u64);
        self.entries.iter().for_each(|entry| entry.encode(out));
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
        let (hub_block, hub_cursor) = (r.u64()?, r.u64()?);
        let mut entries = Vec::new();
        for at in 0..r.length("hub queue entries", SLOT_ENTRIES_MAX)? {
            let entry = HubEntry::decode(r)?;
            if hub_cursor.checked_add(u64::from(at)) != Some(entry.index) {
                return Err(CodecError::Invalid("index of a hub queue entry"));
            }
            entries.push(entry);
        }
        let inputs = get_list(r, "inputs", TICK_TRANSACTIONS_MAX)?;
        r.length("opened envelopes", 0)?;
        Ok(Self { slot, term, time_us, parent, hub_block, hub_cursor, entries, inputs })
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
    /// What the order gave each environment ([`Parts::root`]): what is published about the slot is
    /// held against it.
    pub batches: B256,
    /// The hub block up to which the hub's queue was read.
    pub hub_block: u64,
    /// Hub queue cursor after the slot.
    pub hub_cursor: u64,
}

impl SlotHeader {
    /// The slot's hash. EVM block hashes derive from it, and so from the order alone.
    pub fn hash(&self) -> B256 {
        sha256(&[b"atoll slot", &self.to_bytes()])
    }

    /// What the leader signs when it seals the slot.
    pub fn digest(&self, network: &NetworkId) -> B256 {
        sha256(&[b"atoll sealed", network.0.as_slice(), self.hash().as_slice()])
    }
}

/// A header with its leader's signature: what a light client follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHeader {
    /// The header.
    pub header: SlotHeader,
    /// Over [`SlotHeader::digest`].
    pub signature: Signature,
}

impl Encode for SignedHeader {
    fn encode(&self, out: &mut Vec<u8>) {
        self.header.encode(out);
        self.signature.encode(out);
    }
}

impl Decode for SignedHeader {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { header: SlotHeader::decode(r)?, signature: Signature::decode(r)? })
    }
}

/// What a slot's order gives each environment, as one hash per environment that has a part.
///
/// ```text
/// begins   h = sha256("atoll part" ‖ environment ‖ slot ‖ time_us ‖ parent)
/// entry    h = sha256(0 ‖ h ‖ hash of the entry)
/// input    h = sha256(1 ‖ h ‖ hash of the transaction)
/// tick     h = sha256(2 ‖ h ‖ time_us ‖ hashes of its transactions)
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    slot: u64,
    time_us: u64,
    parent: B256,
    parts: BTreeMap<EnvironmentId, B256>,
}

impl Parts {
    /// Begins with a slot's opening.
    pub fn open(opening: &SlotOpening) -> Self {
        let mut parts = Self::begin(opening.slot, opening.time_us, opening.parent);
        for entry in &opening.entries {
            parts.entry(entry.environment, &entry.hash());
        }
        for input in &opening.inputs {
            parts.input(input.environment, &input.hash());
        }
        parts
    }

    /// Begins with nothing.
    pub fn begin(slot: u64, time_us: u64, parent: B256) -> Self {
        Self { slot, time_us, parent, parts: BTreeMap::new() }
    }

    fn part(&mut self, environment: EnvironmentId) -> &mut B256 {
        let (slot, time_us, parent) = (self.slot, self.time_us, self.parent);
        self.parts.entry(environment).or_insert_with(|| {
            sha256(&[
                b"atoll part",
                &environment.0.to_le_bytes(),
                &slot.to_le_bytes(),
                &time_us.to_le_bytes(),
                parent.as_slice(),
            ])
        })
    }

    /// An entry of the hub's queue.
    pub fn entry(&mut self, environment: EnvironmentId, hash: &B256) {
        let part = self.part(environment);
        *part = sha256(&[&[0], part.as_slice(), hash.as_slice()]);
    }

    /// An input.
    pub fn input(&mut self, environment: EnvironmentId, hash: &B256) {
        let part = self.part(environment);
        *part = sha256(&[&[1], part.as_slice(), hash.as_slice()]);
    }

    /// A tick's transactions in the order of execution, each with its environment.
    pub fn tick(
        &mut self,
        time_us: u64,
        transactions: impl Iterator<Item = (EnvironmentId, B256)>,
    ) {
        let mut hashers: BTreeMap<EnvironmentId, Sha256> = BTreeMap::new();
        for (environment, hash) in transactions {
            let hasher = hashers.entry(environment).or_insert_with(|| {
                let part = *self.part(environment);
                Sha256::new()
                    .chain_update([2])
                    .chain_update(part)
                    .chain_update(time_us.to_le_bytes())
            });
            hasher.update(hash);
        }
        for (environment, hasher) in hashers {
            *self.part(environment) = B256::from(<[u8; 32]>::from(hasher.finalize()));
        }
    }

    /// An environment's part, if it has one.
    pub fn of(&self, environment: EnvironmentId) -> Option<B256> {
        self.parts.get(&environment).copied()
    }

    /// All parts: environment and hash.
    pub fn iter(&self) -> impl Iterator<Item = (EnvironmentId, B256)> {
        self.parts.iter().map(|(environment, hash)| (*environment, *hash))
    }

    /// Merkle root over `environment (4 bytes, little-endian) ‖ hash` in order of environment;
    /// zero for a slot in which nothing was ordered.
    pub fn root(&self) -> B256 {
        parts_root(self.iter())
    }
}

/// [`Parts::root`] of parts that were made elsewhere, in order of environment.
pub fn parts_root(parts: impl Iterator<Item = (EnvironmentId, B256)>) -> B256 {
    let leaves: Vec<[u8; 36]> = parts
        .map(|(environment, hash)| {
            let mut leaf = [0; 36];
            leaf[..4].copy_from_slice(&environment.0.to_le_bytes());
            leaf[4..].copy_from_slice(hash.as_slice());
            leaf
        })
        .collect();
    merkle_root(leaves.iter().map(<[u8; 36]>::as_slice))
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
        out.extend_from_slice(self.batches.as_slice());
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
            batches: r.b256()?,
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

    fn entry() -> HubEntry {
        HubEntry {
            index: 3,
            kind: crate::EntryKind::Forced,
            environment: EnvironmentId(2),
            from: crate::Address::repeat_byte(7),
            to: crate::Address::ZERO,
            token: crate::Address::ZERO,
            amount: crate::U256::ZERO,
            data: vec![9, 8],
            time_s: 11,
        }
    }

    #[test]
    fn entries_stand_at_their_index() {
        let mut opening =
            SlotOpening { hub_cursor: 3, entries: vec![entry()], ..SlotOpening::default() };
        assert!(SlotOpening::from_bytes(&opening.to_bytes()).is_ok());
        opening.hub_cursor = 4;
        assert_eq!(
            SlotOpening::from_bytes(&opening.to_bytes()),
            Err(CodecError::Invalid("index of a hub queue entry"))
        );
    }

    #[test]
    fn parts_bind_order_ticks_and_environments() {
        let opening = SlotOpening { slot: 1, ..SlotOpening::default() };
        let (a, b) = (EnvironmentId(1), EnvironmentId(2));
        let hash = B256::repeat_byte;
        let root = |ticks: &[(u64, &[(EnvironmentId, B256)])]| {
            let mut parts = Parts::open(&opening);
            ticks.iter().for_each(|(time, items)| parts.tick(*time, items.iter().copied()));
            parts.root()
        };
        let one = root(&[(1, &[(a, hash(1)), (b, hash(2)), (a, hash(3))])]);
        // How the environments interleave inside a tick is nobody's business.
        assert_eq!(one, root(&[(1, &[(b, hash(2)), (a, hash(1)), (a, hash(3))])]));
        for other in [
            root(&[(1, &[(a, hash(3)), (b, hash(2)), (a, hash(1))])]),
            root(&[(2, &[(a, hash(1)), (b, hash(2)), (a, hash(3))])]),
            root(&[(1, &[(a, hash(1)), (b, hash(2))]), (1, &[(a, hash(3))])]),
            root(&[(1, &[(b, hash(1)), (a, hash(2)), (b, hash(3))])]),
        ] {
            assert_ne!(one, other);
        }
        assert_eq!(root(&[]), B256::ZERO);
    }

    #[test]
    fn the_encodings_are_golden() {
        let opening = SlotOpening {
            slot: 7,
            term: 1,
            time_us: 9,
            parent: B256::repeat_byte(0xaa),
            hub_block: 5,
            hub_cursor: 3,
            entries: vec![entry()],
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
            "0xa1dfa342cc316dd47effd8bb44c5ef9f251f449846c144cc385a71187ce8b146"
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
