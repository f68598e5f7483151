//! What the node remembers for queries: headers, each environment's batches and receipts, roots,
//! and where a transaction is. Rebuilt from the log after a crash.

use super::environment::{IndexEntry, Place, SlotResult};
use atoll_executor::machine::receipts_root;
use atoll_executor::{Range, Step};
use atoll_storage::{History, HistoryBatch, Table};
use atoll_types::codec::{put_bytes, put_varint};
use atoll_types::{
    B256, CodecError, Decode, Encode, EnvironmentId, Reader, SignedHeader, SlotHeader,
    TickConfirmation,
};
use atoll_vm::Receipt;

/// slot → header with the leader's signature.
const HEADERS: Table = Table::new("headers");
/// environment, slot → record; only of slots that hold something for the environment.
const RECORDS: Table = Table::new("records");
/// environment → the last slot of which its part is here.
const PARTS: Table = Table::new("parts");
/// environment, slot → state root.
const ROOTS: Table = Table::new("roots");
/// transaction hash (the network's, and an EVM's own) → place.
const TRANSACTIONS: Table = Table::new("transactions");
/// slot, tick → signed tick.
const TICKS: Table = Table::new("ticks");
/// header hash → slot.
const SLOTS_BY_HASH: Table = Table::new("slots_by_hash");
/// environment, key → what the VM's adapter keeps for its queries.
const INDEX: Table = Table::new("index");

/// One environment's part of a slot, as executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotRecord {
    pub(crate) range: Range,
    pub(crate) receipts: Vec<Receipt>,
    /// One per transaction of a tick; inputs have none.
    pub(crate) places: Vec<Place>,
}

impl SlotRecord {
    pub(crate) fn receipts_root(&self) -> B256 {
        receipts_root(&self.receipts)
    }
}

impl Encode for SlotRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.range.to_bytes());
        put_varint(out, self.receipts.len() as u64);
        self.receipts.iter().for_each(|receipt| receipt.encode(out));
        put_varint(out, self.places.len() as u64);
        for place in &self.places {
            out.extend_from_slice(&place.tick.to_le_bytes());
            out.extend_from_slice(&place.index.to_le_bytes());
            out.extend_from_slice(place.running.as_slice());
        }
    }
}

impl Decode for SlotRecord {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let range = Range::from_bytes(r.bytes("batch", u32::MAX)?)?;
        let mut receipts = Vec::new();
        for _ in 0..r.length("receipts", u32::MAX)? {
            receipts.push(Receipt::decode(r)?);
        }
        let mut places = Vec::new();
        for _ in 0..r.length("places", u32::MAX)? {
            places.push(Place { tick: r.u32()?, index: r.u32()?, running: r.b256()? });
        }
        Ok(Self { range, receipts, places })
    }
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) environment: EnvironmentId,
    pub(crate) slot: u64,
    /// Index of its step in the environment's batch.
    pub(crate) step: u32,
    /// Index of its receipt.
    pub(crate) receipt: u32,
    /// Index of its place; none for an input.
    pub(crate) place: Option<u32>,
}

impl Located {
    fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        out.extend_from_slice(&self.environment.0.to_le_bytes());
        out.extend_from_slice(&self.slot.to_le_bytes());
        out.extend_from_slice(&self.step.to_le_bytes());
        out.extend_from_slice(&self.receipt.to_le_bytes());
        out.extend_from_slice(&self.place.unwrap_or(u32::MAX).to_le_bytes());
        out
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut r = Reader::new(bytes);
        Ok(Self {
            environment: EnvironmentId(r.u32()?),
            slot: r.u64()?,
            step: r.u32()?,
            receipt: r.u32()?,
            place: Some(r.u32()?).filter(|place| *place != u32::MAX),
        })
    }
}

/// The history of a node.
pub(crate) struct Archive {
    pub(crate) history: History,
}

fn environment_key(environment: EnvironmentId, key: &[u8]) -> Vec<u8> {
    [&environment.0.to_be_bytes()[..], key].concat()
}

fn environment_slot(environment: EnvironmentId, slot: u64) -> Vec<u8> {
    environment_key(environment, &slot.to_be_bytes())
}

impl Archive {
    fn value<T: Decode>(&self, table: Table, key: &[u8]) -> anyhow::Result<Option<T>> {
        Ok(match self.history.get(table, key)? {
            Some(bytes) => Some(T::from_bytes(&bytes)?),
            None => None,
        })
    }

    pub(crate) fn sealed(&self, slot: u64) -> anyhow::Result<Option<SignedHeader>> {
        self.value(HEADERS, &slot.to_be_bytes())
    }

    pub(crate) fn header(&self, slot: u64) -> anyhow::Result<Option<SlotHeader>> {
        Ok(self.sealed(slot)?.map(|sealed| sealed.header))
    }

    pub(crate) fn slot_by_hash(&self, hash: &B256) -> anyhow::Result<Option<u64>> {
        let bytes = self.history.get(SLOTS_BY_HASH, hash.as_slice())?;
        Ok(match bytes {
            Some(bytes) => Some(Reader::new(&bytes).u64()?),
            None => None,
        })
    }

    pub(crate) fn record(
        &self,
        environment: EnvironmentId,
        slot: u64,
    ) -> anyhow::Result<Option<SlotRecord>> {
        self.value(RECORDS, &environment_slot(environment, slot))
    }

    /// The last slot of which an environment's part is here; 0 for none.
    pub(crate) fn indexed_part(&self, environment: EnvironmentId) -> anyhow::Result<u64> {
        Ok(match self.history.get(PARTS, &environment.0.to_be_bytes())? {
            Some(bytes) => Reader::new(&bytes).u64()?,
            None => 0,
        })
    }

    pub(crate) fn tick(&self, slot: u64, tick: u32) -> anyhow::Result<Option<TickConfirmation>> {
        self.value(TICKS, &[&slot.to_be_bytes()[..], &tick.to_be_bytes()].concat())
    }

    pub(crate) fn locate(&self, hash: &B256) -> anyhow::Result<Option<Located>> {
        Ok(match self.history.get(TRANSACTIONS, hash.as_slice())? {
            Some(bytes) => Some(Located::from_bytes(&bytes)?),
            None => None,
        })
    }

    pub(crate) fn root(
        &self,
        environment: EnvironmentId,
        slot: u64,
    ) -> anyhow::Result<Option<B256>> {
        let bytes = self.history.get(ROOTS, &environment_slot(environment, slot))?;
        Ok(bytes.map(|bytes| B256::from_slice(&bytes)))
    }

    /// The slots in a range that hold something for an environment, oldest first.
    pub(crate) fn record_slots(
        &self,
        environment: EnvironmentId,
        mut from: u64,
        to: u64,
    ) -> anyhow::Result<Vec<u64>> {
        let mut slots = Vec::new();
        while from <= to {
            let found = self.first_record_slots(environment, from, to, 10_000)?;
            let Some(last) = found.last() else { break };
            from = last + 1;
            slots.extend(found);
        }
        Ok(slots)
    }

    /// The first of them, at most so many.
    pub(crate) fn first_record_slots(
        &self,
        environment: EnvironmentId,
        from: u64,
        to: u64,
        most: usize,
    ) -> anyhow::Result<Vec<u64>> {
        let (start, end) = (environment_slot(environment, from), environment_slot(environment, to));
        let keys = self.history.keys(RECORDS, &start[..]..=&end[..], most)?;
        let slot = |key: &Vec<u8>| Some(u64::from_be_bytes(key.get(4..12)?.try_into().ok()?));
        Ok(keys.iter().filter_map(slot).collect())
    }

    /// What a VM's adapter keeps under a key.
    pub(crate) fn indexed(
        &self,
        environment: EnvironmentId,
        key: &[u8],
    ) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(self.history.get(INDEX, &environment_key(environment, key))?)
    }

    /// What a VM's adapter keeps from one key to another, both included.
    pub(crate) fn index_range(
        &self,
        environment: EnvironmentId,
        from: &[u8],
        to: &[u8],
        most: usize,
        reverse: bool,
    ) -> anyhow::Result<Vec<IndexEntry>> {
        let (from, to) = (environment_key(environment, from), environment_key(environment, to));
        let found = self.history.range(INDEX, &from[..]..=&to[..], most, reverse)?;
        Ok(found.into_iter().map(|(key, value)| (key[4..].to_vec(), value)).collect())
    }

    /// The latest roots, newest first.
    pub(crate) fn roots(
        &self,
        environment: EnvironmentId,
        limit: usize,
    ) -> anyhow::Result<Vec<(u64, B256)>> {
        let from = environment_slot(environment, 0);
        let to = environment_slot(environment, u64::MAX);
        let found = self.history.range(ROOTS, &from[..]..=&to[..], limit, true)?;
        let mut roots = Vec::new();
        for (key, value) in found {
            let slot = key.get(4..12).and_then(|slot| slot.try_into().ok());
            roots.push((slot.map_or(0, u64::from_be_bytes), B256::from_slice(&value)));
        }
        Ok(roots)
    }
}

/// Adds a sealed slot's header and signed ticks.
pub(crate) fn put_header(
    batch: &mut HistoryBatch,
    sealed: &SignedHeader,
    ticks: &[TickConfirmation],
) {
    let header = &sealed.header;
    batch.put(HEADERS, header.slot.to_be_bytes(), sealed.to_bytes());
    batch.put(SLOTS_BY_HASH, header.hash().0, header.slot.to_le_bytes());
    for tick in ticks {
        let key = [&tick.slot.to_be_bytes()[..], &tick.tick.to_be_bytes()].concat();
        batch.put(TICKS, key, tick.to_bytes());
    }
}

/// Adds one environment's part of a slot.
pub(crate) fn put_result(batch: &mut HistoryBatch, result: &SlotResult) {
    let slot = result.header.slot;
    batch.put(PARTS, result.environment.0.to_be_bytes(), slot.to_le_bytes());
    for (key, value) in &result.index {
        batch.put(INDEX, environment_key(result.environment, key), value.clone());
    }
    if result.batch.steps.is_empty() {
        return;
    }
    let record = SlotRecord {
        range: result.batch.whole(),
        receipts: result.receipts.clone(),
        places: result.places.clone(),
    };
    let key = environment_slot(result.environment, slot);
    batch.put(RECORDS, key, record.to_bytes());
    let inputs = result.receipts.len() - result.places.len();
    let steps = record.range.steps.iter().enumerate();
    let bearing = steps.filter(|(_, step)| !matches!(step, Step::Tick { .. }));
    for ((step, what), (at, receipt)) in bearing.zip(result.receipts.iter().enumerate()) {
        let located = Located {
            environment: result.environment,
            slot,
            step: step as u32,
            receipt: at as u32,
            place: at.checked_sub(inputs).map(|place| place as u32),
        };
        batch.put(TRANSACTIONS, receipt.hash.0, located.to_bytes());
        // A forced transaction is found by its place in the hub's queue, too.
        if let Step::Entry(entry) = what
            && entry.environment == result.environment
        {
            batch.put(TRANSACTIONS, entry.hash().0, located.to_bytes());
        }
        if let Some(alias) = result.aliases.get(at).copied().flatten() {
            batch.put(TRANSACTIONS, alias.0, located.to_bytes());
        }
    }
}

/// Adds a state root.
pub(crate) fn put_root(
    batch: &mut HistoryBatch,
    environment: EnvironmentId,
    slot: u64,
    root: &B256,
) {
    batch.put(ROOTS, environment_slot(environment, slot), root.0);
}
