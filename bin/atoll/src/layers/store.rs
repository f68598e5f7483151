//! Receipts of one layer, and how far publishing to it has come: durable, written by its relay
//! alone.

use anyhow::Result;
use atoll_layers::{Layer, Receipt};
use atoll_storage::{History, HistoryBatch, HistoryOptions, Table};
use atoll_types::{CodecError, Decode, Encode, Reader};
use std::path::Path;

/// first slot of a batch → [`Receipt`].
const RECEIPTS: Table = Table::new("receipts");
/// first slot of a span → first slot of its batch.
const BATCHES: Table = Table::new("batches");
/// nothing → [`Progress`].
const PROGRESS: Table = Table::new("progress");

/// How far publishing to a layer has come, in commitments whose spans are all there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// In the layer's blocks.
    pub(crate) published: u64,
    /// The last of the batch that is being published; as `published` if none is.
    pub(crate) open: u64,
    /// In blocks that are final.
    pub(crate) finalised: u64,
    /// Bytes of spans published.
    pub(crate) bytes: u64,
}

impl Encode for Progress {
    fn encode(&self, out: &mut Vec<u8>) {
        for word in [self.published, self.open, self.finalised, self.bytes] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
}

impl Decode for Progress {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { published: r.u64()?, open: r.u64()?, finalised: r.u64()?, bytes: r.u64()? })
    }
}

/// Receipts of one layer.
pub(crate) struct ReceiptStore {
    pub(crate) layer: Layer,
    history: History,
}

impl ReceiptStore {
    pub(crate) fn open(layer: Layer, folder: &Path) -> Result<Self> {
        let history = History::open(folder.join(layer.name()), HistoryOptions::default())?;
        Ok(Self { layer, history })
    }

    /// The receipt of the batch with the span that begins with a slot.
    pub(crate) fn receipt(&self, span: u64) -> Result<Option<Receipt>> {
        let Some(batch) = self.history.get(BATCHES, &span.to_be_bytes())? else {
            return Ok(None);
        };
        let found = self.history.get(RECEIPTS, &batch)?;
        Ok(found.map(|bytes| Receipt::from_bytes(&bytes)).transpose()?)
    }

    /// Notes which spans, by first slot, are published together.
    pub(crate) fn begin(&self, spans: &[u64], progress: Progress) -> Result<()> {
        let mut batch = HistoryBatch::new(self.history.indexed_slot()?.unwrap_or(0));
        if let Some(first) = spans.first() {
            for span in spans {
                batch.put(BATCHES, span.to_be_bytes(), first.to_be_bytes());
            }
        }
        batch.put(PROGRESS, [], progress.to_bytes());
        Ok(self.history.commit(&batch, true)?)
    }

    pub(crate) fn keep(&self, receipt: &Receipt) -> Result<()> {
        let mut batch = HistoryBatch::new(receipt.last_slot);
        batch.put(RECEIPTS, receipt.first_slot.to_be_bytes(), receipt.to_bytes());
        Ok(self.history.commit(&batch, true)?)
    }

    /// None before the first run.
    pub(crate) fn progress(&self) -> Result<Option<Progress>> {
        let Some(bytes) = self.history.get(PROGRESS, &[])? else { return Ok(None) };
        Ok(Some(Progress::from_bytes(&bytes)?))
    }

    pub(crate) fn note(&self, progress: Progress) -> Result<()> {
        self.begin(&[], progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_da::{Owner, SpanData};
    use atoll_layers::SpanStreams;

    #[test]
    fn what_is_kept_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let parts = vec![(Owner::Headers, vec![1, 2, 3])];
        let span = SpanStreams::of(&SpanData { first_slot: 51, last_slot: 100, parts }).unwrap();
        let receipt = Receipt::new(Layer::EthereumBlobs, &span.into());
        let progress = Progress { published: 2, open: 4, finalised: 1, bytes: 9 };
        {
            let store = ReceiptStore::open(Layer::EthereumBlobs, folder.path()).unwrap();
            assert_eq!(store.progress().unwrap(), None);
            store.begin(&[51, 76], Progress::default()).unwrap();
            store.keep(&receipt).unwrap();
            store.note(progress).unwrap();
        }
        let store = ReceiptStore::open(Layer::EthereumBlobs, folder.path()).unwrap();
        assert_eq!(store.progress().unwrap(), Some(progress));
        assert_eq!(store.receipt(51).unwrap(), Some(receipt.clone()));
        assert_eq!(store.receipt(76).unwrap(), Some(receipt));
        assert_eq!(store.receipt(1).unwrap(), None);
        let other = ReceiptStore::open(Layer::Celestia, folder.path()).unwrap();
        assert_eq!(other.receipt(51).unwrap(), None);
    }
}
