//! What the node has published: commitments with everything that belongs to them, withdrawals with
//! their proofs. Durable before anything of it leaves the process.

use anyhow::Result;
use atoll_storage::{History, HistoryBatch, HistoryOptions, Table};
use atoll_types::codec::{CodecError, put_varint};
use atoll_types::hub::{WITHDRAWAL_TREE_DEPTH, withdrawal_proof};
use atoll_types::{
    B256, Commitment, Decode, Encode, NetTransfer, Reader, Signature, Statement, Withdrawal,
};
use parking_lot::RwLock;
use std::path::Path;
use std::sync::Arc;

/// number → [`Published`].
const COMMITMENTS: Table = Table::new("commitments");
/// index → [`Withdrawal`].
const WITHDRAWALS: Table = Table::new("withdrawals");
/// index of a queue entry → running hash after it, number and hash of its block.
const QUEUE: Table = Table::new("queue");
/// Most of anything in one commitment; what is more was written by something else.
const ITEMS_MAX: u32 = 1 << 20;

/// A span of slots whose data was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpanRoot {
    pub(crate) slots: (u64, u64),
    pub(crate) data_root: B256,
}

/// A commitment and all that the hub is sent with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) commitment: Commitment,
    pub(crate) statements: Vec<Statement>,
    pub(crate) transfers: Vec<NetTransfer>,
    pub(crate) spans: Vec<SpanRoot>,
    /// The sequencer's signature of the commitment.
    pub(crate) signature: Signature,
    /// The sequencer's promise that the data is available.
    pub(crate) availability: Signature,
}

impl Encode for Published {
    fn encode(&self, out: &mut Vec<u8>) {
        self.commitment.encode(out);
        put_varint(out, self.statements.len() as u64);
        self.statements.iter().for_each(|statement| statement.encode(out));
        put_varint(out, self.transfers.len() as u64);
        self.transfers.iter().for_each(|transfer| transfer.encode(out));
        put_varint(out, self.spans.len() as u64);
        for span in &self.spans {
            out.extend_from_slice(&span.slots.0.to_le_bytes());
            out.extend_from_slice(&span.slots.1.to_le_bytes());
            out.extend_from_slice(span.data_root.as_slice());
        }
        self.signature.encode(out);
        self.availability.encode(out);
    }
}

impl Decode for Published {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let commitment = Commitment::decode(r)?;
        let statements = (0..r.length("statements", ITEMS_MAX)?).map(|_| Statement::decode(r));
        let statements = statements.collect::<Result<_, _>>()?;
        let transfers = (0..r.length("transfers", ITEMS_MAX)?).map(|_| NetTransfer::decode(r));
        let transfers = transfers.collect::<Result<_, _>>()?;
        let mut spans = Vec::new();
        for _ in 0..r.length("spans", ITEMS_MAX)? {
            spans.push(SpanRoot { slots: (r.u64()?, r.u64()?), data_root: r.b256()? });
        }
        let (signature, availability) = (Signature::decode(r)?, Signature::decode(r)?);
        Ok(Self { commitment, statements, transfers, spans, signature, availability })
    }
}

/// The store of what was published.
pub(crate) struct PublishedStore {
    store: History,
    latest: RwLock<Option<Arc<Published>>>,
    /// Spans that are published and in no commitment yet.
    uncommitted: RwLock<Vec<SpanRoot>>,
    leaves: RwLock<Vec<B256>>,
}

impl PublishedStore {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let store = History::open(folder, HistoryOptions::default())?;
        let opened = Self {
            store,
            latest: RwLock::new(None),
            uncommitted: RwLock::default(),
            leaves: RwLock::new(Vec::new()),
        };
        let number = opened.store.indexed_slot()?.unwrap_or(0);
        *opened.latest.write() = opened.commitment(number)?.map(Arc::new);
        let mut leaves = Vec::new();
        while let Some(withdrawal) = opened.withdrawal(leaves.len() as u64)? {
            leaves.push(withdrawal.leaf());
        }
        *opened.leaves.write() = leaves;
        Ok(opened)
    }

    /// The last commitment made.
    pub(crate) fn latest(&self) -> Option<Arc<Published>> {
        self.latest.read().clone()
    }

    pub(crate) fn commitment(&self, number: u64) -> Result<Option<Published>> {
        Ok(match self.store.get(COMMITMENTS, &number.to_be_bytes())? {
            Some(bytes) => Some(Published::from_bytes(&bytes)?),
            None => None,
        })
    }

    /// The commitment that covers a slot.
    pub(crate) fn covering(&self, slot: u64) -> Result<Option<Published>> {
        let (mut low, mut high) = (1, self.latest().map_or(0, |last| last.commitment.number));
        while low <= high {
            let middle = low + (high - low) / 2;
            let Some(found) = self.commitment(middle)? else { return Ok(None) };
            let (first, last) = found.commitment.slots;
            if slot < first {
                high = middle - 1;
            } else if slot > last {
                low = middle + 1;
            } else {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    pub(crate) fn set_uncommitted(&self, spans: Vec<SpanRoot>) {
        *self.uncommitted.write() = spans;
    }

    /// The span of a slot that is published and in no commitment yet.
    pub(crate) fn uncommitted(&self, slot: u64) -> Option<SpanRoot> {
        let spans = self.uncommitted.read();
        spans.iter().find(|span| (span.slots.0..=span.slots.1).contains(&slot)).cloned()
    }

    pub(crate) fn withdrawal(&self, index: u64) -> Result<Option<Withdrawal>> {
        Ok(match self.store.get(WITHDRAWALS, &index.to_be_bytes())? {
            Some(bytes) => Some(Withdrawal::from_bytes(&bytes)?),
            None => None,
        })
    }

    /// The siblings of a withdrawal in the tree of a commitment with `count` leaves.
    pub(crate) fn proof(&self, index: u64, count: u64) -> Option<[B256; WITHDRAWAL_TREE_DEPTH]> {
        let leaves = self.leaves.read();
        withdrawal_proof(leaves.get(..usize::try_from(count).ok()?)?, index)
    }

    /// Where an entry of the hub's queue stands: the running hash after it, its block's number and
    /// hash.
    pub(crate) fn queue_mark(&self, index: u64) -> Result<Option<(B256, u64, B256)>> {
        let Some(bytes) = self.store.get(QUEUE, &index.to_be_bytes())? else { return Ok(None) };
        let mut r = Reader::new(&bytes);
        Ok(Some((r.b256()?, r.u64()?, r.b256()?)))
    }

    /// Notes where entries stand, durably.
    pub(crate) fn mark_queue(
        &self,
        marks: impl Iterator<Item = (u64, B256, u64, B256)>,
    ) -> Result<()> {
        let mut batch = HistoryBatch::new(self.store.indexed_slot()?.unwrap_or(0));
        for (index, queue_hash, number, hash) in marks {
            let mark = [&queue_hash[..], &number.to_le_bytes(), &hash[..]].concat();
            batch.put(QUEUE, index.to_be_bytes(), mark);
        }
        Ok(self.store.commit(&batch, true)?)
    }

    /// Withdrawals in all commitments so far.
    pub(crate) fn withdrawals(&self) -> u64 {
        self.leaves.read().len() as u64
    }

    /// Adds the next commitment with its withdrawals, durably.
    pub(crate) fn add(&self, published: Published, withdrawals: &[Withdrawal]) -> Result<()> {
        let number = published.commitment.number;
        let mut batch = HistoryBatch::new(number);
        batch.put(COMMITMENTS, number.to_be_bytes(), published.to_bytes());
        for withdrawal in withdrawals {
            batch.put(WITHDRAWALS, withdrawal.index.to_be_bytes(), withdrawal.to_bytes());
        }
        self.store.commit(&batch, true)?;
        self.leaves.write().extend(withdrawals.iter().map(Withdrawal::leaf));
        *self.latest.write() = Some(Arc::new(published));
        self.uncommitted.write().clear();
        Ok(())
    }
}
