//! The stream of ordered transactions, as polling clients read it: from history as far as that goes,
//! then from what was executed since.

use super::observer::Open;
use super::{Inner, internal};
use atoll_executor::Step;
use atoll_rpc::port::{EvmTransaction, OrderedPlace, QueryError};
use atoll_types::{B256, keccak256};

/// Slots whose keys are read at once.
const SLOTS_AT_ONCE: usize = 64;

impl Inner {
    /// Those that no block has which can be read.
    pub(super) fn pending(&self) -> Vec<EvmTransaction> {
        let latest = self.latest();
        let open = self.feeds.open.lock();
        let sealed = open.sealed.iter().filter(|(slot, _)| *slot > latest);
        let sealed = sealed.flat_map(|(_, transactions)| transactions);
        sealed.chain(&open.making).cloned().collect()
    }

    /// The slot that is being made, as far as it is known here.
    fn making(&self, open: &Open) -> u64 {
        open.last.max(self.latest()) + 1
    }

    pub(super) fn ordered_end(&self) -> OrderedPlace {
        let open = self.feeds.open.lock();
        OrderedPlace { block: self.making(&open), transactions: open.making.len() as u64 }
    }

    pub(super) fn ordered_since(
        &self,
        place: OrderedPlace,
        limit: usize,
    ) -> Result<(Vec<B256>, OrderedPlace), QueryError> {
        // Copied before history is read: what leaves this meanwhile has been put there.
        let (recent, making) = {
            let open = self.feeds.open.lock();
            let making = self.making(&open);
            let hashes = |list: &[EvmTransaction]| list.iter().map(|t| t.hash).collect::<Vec<_>>();
            let sealed = open.sealed.iter().filter(|(slot, _)| *slot >= place.block);
            let mut recent: Vec<(u64, Vec<B256>)> =
                sealed.map(|(slot, list)| (*slot, hashes(list))).collect();
            recent.push((making, hashes(&open.making)));
            (recent, making)
        };
        let mut reading = Reading { found: Vec::new(), place, limit };
        let history_to = recent.first().map_or(making, |(slot, _)| *slot).saturating_sub(1);
        let (archive, id) = (&self.shared.archive, self.live.spec.id);
        while reading.room() > 0 && reading.place.block <= history_to {
            let from = reading.place.block;
            let slots = archive.first_record_slots(id, from, history_to, SLOTS_AT_ONCE);
            let slots = slots.map_err(internal)?;
            for slot in &slots {
                let Some(record) = archive.record(id, *slot).map_err(internal)? else { continue };
                let bearing =
                    record.range.steps.iter().filter(|step| !matches!(step, Step::Tick { .. }));
                let executed = bearing.zip(&record.receipts).filter_map(|(step, receipt)| {
                    match (step, receipt.payload.is_empty()) {
                        (Step::Transaction(bytes), false) => Some(keccak256(bytes)),
                        _ => None,
                    }
                });
                reading.read(*slot, &executed.collect::<Vec<_>>());
                if reading.room() == 0 {
                    break;
                }
            }
            if slots.len() < SLOTS_AT_ONCE {
                break;
            }
        }
        for (slot, hashes) in &recent {
            reading.read(*slot, hashes);
        }
        // What is sealed has got its last transaction.
        if reading.room() > 0 && reading.place.block < making {
            reading.place = OrderedPlace { block: making, transactions: 0 };
        }
        Ok((reading.found, reading.place))
    }
}

struct Reading {
    found: Vec<B256>,
    place: OrderedPlace,
    limit: usize,
}

impl Reading {
    fn room(&self) -> usize {
        self.limit - self.found.len()
    }

    /// Takes what is new in a slot, as far as there is room.
    fn read(&mut self, slot: u64, hashes: &[B256]) {
        if self.room() == 0 || slot < self.place.block {
            return;
        }
        let known = if slot == self.place.block { self.place.transactions } else { 0 };
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let new = hashes.get(known..).unwrap_or_default();
        let taken = new.len().min(self.room());
        self.found.extend(&new[..taken]);
        self.place = OrderedPlace { block: slot, transactions: (known + taken) as u64 };
    }
}
