//! What the node has published: commitments with everything that belongs to them, withdrawals with
//! their proofs. Durable before anything of it leaves the process.

use super::certificate::{Certificate, Run};
use anyhow::{Result, bail};
use atoll_storage::{History, HistoryBatch, HistoryOptions, Table};
use atoll_types::codec::{CodecError, put_varint};
use atoll_types::hub::{WITHDRAWAL_TREE_DEPTH, withdrawal_proof};
use atoll_types::{
    B256, Commitment, Decode, Encode, NetTransfer, Reader, Signature, Statement, Withdrawal,
};
use parking_lot::{Mutex, RwLock};
use std::path::Path;
use std::sync::Arc;

/// number → [`Published`].
const COMMITMENTS: Table = Table::new("commitments");
/// index → [`Withdrawal`].
const WITHDRAWALS: Table = Table::new("withdrawals");
/// first slot of a span → [`Certificate`].
const CERTIFICATES: Table = Table::new("certificates");
/// first slot of a span → the hub's time, seconds, when its certificate was seen to be published.
const NOTED: Table = Table::new("noted");
/// index of a queue entry → running hash after it, number and hash of its block.
const QUEUE: Table = Table::new("queue");
/// Entries removed at once.
const PRUNED_AT_ONCE: usize = 10_000;
/// Most of anything in one commitment; what is more was written by something else.
const ITEMS_MAX: u32 = 1 << 20;

/// A span of slots whose data was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpanRoot {
    pub(crate) slots: (u64, u64),
    pub(crate) data_root: B256,
}

impl Encode for SpanRoot {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.slots.0.to_le_bytes());
        out.extend_from_slice(&self.slots.1.to_le_bytes());
        out.extend_from_slice(self.data_root.as_slice());
    }
}

impl Decode for SpanRoot {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { slots: (r.u64()?, r.u64()?), data_root: r.b256()? })
    }
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
        self.spans.iter().for_each(|span| span.encode(out));
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
            spans.push(SpanRoot::decode(r)?);
        }
        let (signature, availability) = (Signature::decode(r)?, Signature::decode(r)?);
        Ok(Self { commitment, statements, transfers, spans, signature, availability })
    }
}

/// The store of what was published.
pub(crate) struct PublishedStore {
    store: History,
    latest: RwLock<Option<Arc<Published>>>,
    leaves: RwLock<Vec<B256>>,
    /// Held while something is written: the number of the last commitment is written each time.
    writing: Mutex<()>,
}

impl PublishedStore {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let store = History::open(folder, HistoryOptions::default())?;
        let opened = Self {
            store,
            latest: RwLock::new(None),
            leaves: RwLock::new(Vec::new()),
            writing: Mutex::new(()),
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

    /// The commitment that covers a slot. Those that were derived are not among those kept.
    pub(crate) fn covering(&self, slot: u64) -> Result<Option<Published>> {
        let (mut low, mut high) = (1, self.latest().map_or(0, |last| last.commitment.number));
        while low <= high {
            let middle = low + (high - low) / 2;
            let (from, to) = (middle.to_be_bytes(), high.to_be_bytes());
            let found = self.store.range(COMMITMENTS, &from[..]..=&to[..], 1, false)?;
            let Some((_, bytes)) = found.first() else {
                high = middle - 1;
                continue;
            };
            let found = Published::from_bytes(bytes)?;
            let (first, last) = found.commitment.slots;
            if slot < first {
                high = middle - 1;
            } else if slot > last {
                low = found.commitment.number + 1;
            } else {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The certificate of the span that a slot is in.
    pub(crate) fn certificate(&self, slot: u64) -> Result<Option<Certificate>> {
        let key = slot.to_be_bytes();
        let found = self.store.range(CERTIFICATES, ..=&key[..], 1, true)?;
        let found = found.first().map(|(_, bytes)| Certificate::from_bytes(bytes)).transpose()?;
        Ok(found.filter(|certificate| slot <= certificate.span.slots.1))
    }

    /// What is published from a slot on, as far as it is known here: from certificates, and from
    /// the commitments that came after.
    pub(crate) fn run(&self, first_slot: u64) -> Result<Run> {
        let (mut run, mut next) = (Run::default(), first_slot);
        loop {
            let at_next = |span: &SpanRoot| span.slots.0 == next;
            if let Some(certificate) = self.certificate(next)?.filter(|c| at_next(&c.span)) {
                run.spans.push(certificate.span.clone());
                run.certificates.push(certificate);
            } else if let Some(published) = self.covering(next)? {
                let rest: Vec<_> =
                    published.spans.into_iter().skip_while(|s| !at_next(s)).collect();
                let Some(span) = rest.last().cloned() else { return Ok(run) };
                run.spans.extend(rest);
                run.certificates.push(Certificate {
                    first_slot: published.commitment.slots.0,
                    span,
                    data: published.commitment.data,
                    signature: published.availability,
                });
            } else {
                return Ok(run);
            }
            next = run.last_slot().map_or(next, |last| last + 1);
        }
    }

    /// Keeps a certificate, durably, before anybody hears of it. Never two of the same slots that
    /// are not the same.
    pub(crate) fn certify(&self, certificate: Certificate) -> Result<()> {
        let (first, last) = certificate.span.slots;
        let before = self.certificate(last)?;
        if before.as_ref() == Some(&certificate) {
            return Ok(());
        }
        if before.is_some() || self.certificate(first)?.is_some() {
            bail!("slots {first} to {last} were certified with other data before");
        }
        let _writing = self.writing.lock();
        let mut batch = HistoryBatch::new(self.store.indexed_slot()?.unwrap_or(0));
        batch.put(CERTIFICATES, first.to_be_bytes(), certificate.to_bytes());
        Ok(self.store.commit(&batch, true)?)
    }

    /// Notes when the certificate of the span that begins with a slot was first seen to be
    /// published, durably.
    pub(crate) fn note(&self, first_slot: u64, time_s: u64) -> Result<()> {
        if self.noted(first_slot)?.is_some() {
            return Ok(());
        }
        let _writing = self.writing.lock();
        let mut batch = HistoryBatch::new(self.store.indexed_slot()?.unwrap_or(0));
        batch.put(NOTED, first_slot.to_be_bytes(), time_s.to_be_bytes());
        Ok(self.store.commit(&batch, true)?)
    }

    /// When that was.
    pub(crate) fn noted(&self, first_slot: u64) -> Result<Option<u64>> {
        let Some(bytes) = self.store.get(NOTED, &first_slot.to_be_bytes())? else {
            return Ok(None);
        };
        Ok(Some(u64::from_be_bytes(bytes.as_slice().try_into()?)))
    }

    /// Removes certificates of spans that begin before a slot.
    pub(crate) fn forget_certificates(&self, before_slot: u64) -> Result<()> {
        let _writing = self.writing.lock();
        let end = before_slot.to_be_bytes();
        while self.store.delete_range(CERTIFICATES, ..&end[..], PRUNED_AT_ONCE)? == PRUNED_AT_ONCE {
        }
        Ok(())
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
        let _writing = self.writing.lock();
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
        let writing = self.writing.lock();
        self.store.commit(&batch, true)?;
        drop(writing);
        self.leaves.write().extend(withdrawals.iter().map(Withdrawal::leaf));
        *self.latest.write() = Some(Arc::new(published));
        Ok(())
    }
}
