//! Logs of past blocks: found by the blooms of their blocks, read from the receipts.

use super::block::receipt;
use super::{Inner, internal};
use crate::node::archive::SlotRecord;
use crate::node::environment::{IndexEntry, SlotResult};
use alloy_primitives::{Bloom, BloomInput};
use atoll_rpc::port::{BlockId, BlockPlace, EvmLog, LogBlocks, LogFilter, QueryError};
use atoll_types::{Address, B256, Decode};
use atoll_vm::{Receipt, evm};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// First byte of a bloom's key in the index; the slot follows. (A base fee's key is the slot alone.)
const BLOOM: u8 = b'b';
/// Blocks whose blooms are read at once.
const BLOCKS_AT_ONCE: usize = 4_096;
/// Longest search. A client that has gone away does not end it, so this does.
const SEARCH_TIME_MAX: Duration = Duration::from_secs(10);

fn bloom_key(slot: u64) -> Vec<u8> {
    [&[BLOOM][..], &slot.to_be_bytes()].concat()
}

/// What is kept of a slot for searches: the bloom filter of its logs, nothing where it has none.
/// Slots without receipts are not in the index at all.
pub(super) fn index(result: &SlotResult) -> Vec<IndexEntry> {
    if result.receipts.is_empty() {
        return Vec::new();
    }
    let mut bloom = Bloom::default();
    for executed in executed(&result.receipts) {
        bloom |= bloom_of(&executed);
    }
    let bytes = if bloom.is_zero() { Vec::new() } else { bloom.to_vec() };
    vec![(bloom_key(result.header.slot), bytes)]
}

/// The bloom filter of a receipt's logs.
pub(super) fn bloom_of(executed: &evm::EvmReceipt) -> Bloom {
    let mut bloom = Bloom::default();
    executed.logs.iter().for_each(|log| accrue(&mut bloom, log.address, &log.topics));
    bloom
}

/// Adds a log to a bloom filter.
pub(super) fn accrue(bloom: &mut Bloom, address: Address, topics: &[B256]) {
    bloom.accrue(BloomInput::Raw(address.as_slice()));
    topics.iter().for_each(|topic| bloom.accrue(BloomInput::Raw(topic.as_slice())));
}

fn executed(receipts: &[Receipt]) -> impl Iterator<Item = evm::EvmReceipt> + '_ {
    receipts.iter().filter_map(|receipt| evm::EvmReceipt::from_bytes(&receipt.payload).ok())
}

/// Whether logs of a block with this bloom may match.
fn may_match(filter: &LogFilter, bloom: &Bloom) -> bool {
    let has = |bytes: &[u8]| bloom.contains_input(BloomInput::Raw(bytes));
    let address = filter.addresses.is_empty() || filter.addresses.iter().any(|a| has(a.as_slice()));
    address
        && filter
            .topics
            .iter()
            .all(|allowed| allowed.is_empty() || allowed.iter().any(|topic| has(topic.as_slice())))
}

impl Inner {
    /// The logs that match, in order.
    pub(super) fn logs(&self, filter: &LogFilter, limit: usize) -> Result<Vec<EvmLog>, QueryError> {
        let (mut from, to) = match filter.blocks {
            LogBlocks::Range(from, to) => (from, to.min(self.latest())),
            LogBlocks::Hash(hash) => match self.number(BlockId::Hash(hash))? {
                Some(number) => (number, number),
                None => return Err(QueryError::NotFound(format!("no block has hash {hash}"))),
            },
        };
        let (archive, id) = (&self.shared.archive, self.live.spec.id);
        let begun = Instant::now();
        let mut found = Vec::new();
        while from <= to {
            let slots = archive.first_record_slots(id, from, to, BLOCKS_AT_ONCE);
            let slots = slots.map_err(internal)?;
            let (Some(first), Some(last)) = (slots.first(), slots.last()) else { break };
            let blooms = self.blooms(*first, *last)?;
            for slot in &slots {
                // A block of before the index is looked at itself.
                let look = blooms.get(slot).is_none_or(|bloom| {
                    bloom.as_ref().is_some_and(|bloom| may_match(filter, bloom))
                });
                if !look {
                    continue;
                }
                found.extend(self.logs_of(*slot)?.filter(|log| filter.matches(log)));
                if found.len() > limit {
                    return Err(QueryError::TooLarge(format!(
                        "query returned more than {limit} results: ask for fewer blocks or a \
                         narrower filter"
                    )));
                }
                if begun.elapsed() > SEARCH_TIME_MAX {
                    return Err(QueryError::TooLarge(format!(
                        "query took longer than {} s and had come to block {slot}: ask for fewer \
                         blocks or a narrower filter",
                        SEARCH_TIME_MAX.as_secs()
                    )));
                }
            }
            from = last + 1;
        }
        Ok(found)
    }

    /// Blooms of the blocks from one to another; none for a block without logs.
    fn blooms(&self, from: u64, to: u64) -> Result<BTreeMap<u64, Option<Bloom>>, QueryError> {
        let (archive, id) = (&self.shared.archive, self.live.spec.id);
        let mut blooms = BTreeMap::new();
        let (mut start, end) = (bloom_key(from), bloom_key(to));
        loop {
            let found = archive.index_range(id, &start, &end, BLOCKS_AT_ONCE, false);
            let found = found.map_err(internal)?;
            let Some((last, _)) = found.last() else { return Ok(blooms) };
            start = [last.as_slice(), &[0]].concat();
            for (key, value) in &found {
                let slot = key.get(1..9).and_then(|slot| slot.try_into().ok());
                let slot = slot.map_or(0, u64::from_be_bytes);
                let bloom = <[u8; 256]>::try_from(value.as_slice()).ok().map(Bloom::from);
                blooms.insert(slot, bloom);
            }
        }
    }

    /// All logs of a block.
    fn logs_of(&self, slot: u64) -> Result<impl Iterator<Item = EvmLog>, QueryError> {
        let archive = &self.shared.archive;
        let header = archive.header(slot).map_err(internal)?;
        let record = archive.record(self.live.spec.id, slot).map_err(internal)?;
        let mut logs = Vec::new();
        if let (Some(header), Some(SlotRecord { receipts, .. })) = (header, record) {
            let (hash, timestamp) = (header.hash(), header.time_us / 1_000_000);
            for executed in executed(&receipts) {
                let index = u64::from(executed.transaction_index);
                let place = BlockPlace { number: slot, hash, timestamp, index };
                logs.extend(receipt(&executed, place).logs);
            }
        }
        Ok(logs.into_iter())
    }
}
