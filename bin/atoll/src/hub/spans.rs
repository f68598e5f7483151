//! The data of published spans, kept on disk as it was published: one file a span.

use anyhow::{Context, Result, bail};
use atoll_da::{EncodedSpan, Owner, SpanData, SpanStreams};
use atoll_executor::Range;
use atoll_types::codec::{CodecError, put_bytes, put_varint};
use atoll_types::slot::{Parts, parts_root};
use atoll_types::{B256, Decode, Encode, EnvironmentId, NetworkId, Reader, SignedHeader};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use super::assemble::Slots;

/// Extended spans kept in memory: a full one takes 32 MiB.
const CACHED: usize = 4;
/// Most environments that a slot's order gives something.
const PARTS_MAX: u32 = 1 << 16;

/// Most slots in a stream.
const SLOTS_MAX: u32 = 1 << 20;

/// What the headers' stream says of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderRecord {
    pub(crate) sealed: SignedHeader,
    /// What the order gave each environment: the leaves under the header's `batches`.
    pub(crate) parts: Vec<(EnvironmentId, B256)>,
}

impl HeaderRecord {
    /// Whether the parts are those that the header commits to.
    pub(crate) fn holds(&self) -> bool {
        parts_root(self.parts.iter().copied()) == self.sealed.header.batches
    }
}

impl Encode for HeaderRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        self.sealed.encode(out);
        put_varint(out, self.parts.len() as u64);
        for (environment, hash) in &self.parts {
            out.extend_from_slice(&environment.0.to_le_bytes());
            out.extend_from_slice(hash.as_slice());
        }
    }
}

impl Decode for HeaderRecord {
    fn decode(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let sealed = SignedHeader::decode(r)?;
        let mut parts = Vec::new();
        for _ in 0..r.length("parts of a slot", PARTS_MAX)? {
            parts.push((EnvironmentId(r.u32()?), r.b256()?));
        }
        Ok(Self { sealed, parts })
    }
}

/// The stream of an environment: its batches, without slots that hold nothing for it.
pub(crate) fn read_batches(stream: &[u8]) -> Result<Vec<Range>, CodecError> {
    read_stream(stream, Range::from_bytes)
}

/// The stream of the headers.
pub(crate) fn read_headers(stream: &[u8]) -> Result<Vec<HeaderRecord>, CodecError> {
    read_stream(stream, HeaderRecord::from_bytes)
}

fn read_stream<T>(
    stream: &[u8],
    item: impl Fn(&[u8]) -> Result<T, CodecError>,
) -> Result<Vec<T>, CodecError> {
    let mut r = Reader::new(stream);
    let mut items = Vec::new();
    for _ in 0..r.length("slots of a stream", SLOTS_MAX)? {
        items.push(item(r.bytes("slot of a stream", u32::MAX)?)?);
    }
    r.finish()?;
    Ok(items)
}

pub(super) fn write_stream(items: impl ExactSizeIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, items.len() as u64);
    items.for_each(|item| put_bytes(&mut out, &item));
    out
}

/// The data of a range of slots: each environment's batches, and the headers. The router's part is
/// left out: it follows from the others'.
pub(crate) fn span_data(slots: &Slots, sealed: &[SignedHeader]) -> SpanData {
    let mut parts = Vec::new();
    let (Some(first), Some(last)) = (sealed.first(), sealed.last()) else {
        return SpanData { first_slot: 1, last_slot: 0, parts };
    };
    let (first_slot, last_slot) = (first.header.slot, last.header.slot);
    for part in slots.parts.iter().filter(|part| part.spec.id != atoll_types::hub::ROUTER) {
        let records = part.records.range(first_slot..=last_slot);
        let batches: Vec<Vec<u8>> = records.map(|(_, record)| record.range.to_bytes()).collect();
        if !batches.is_empty() {
            let owner = Owner::Environment(part.spec.id);
            parts.push((owner, write_stream(batches.into_iter())));
        }
    }
    let headers: Vec<Vec<u8>> = sealed
        .iter()
        .map(|sealed| {
            let parts = parts_of(slots, &sealed.header);
            HeaderRecord { sealed: sealed.clone(), parts: parts.iter().collect() }.to_bytes()
        })
        .collect();
    parts.push((Owner::Headers, write_stream(headers.into_iter())));
    SpanData { first_slot, last_slot, parts }
}

/// What the order gave each environment in a slot, from what they executed.
fn parts_of(slots: &Slots, header: &atoll_types::SlotHeader) -> Parts {
    use atoll_executor::Step;
    let mut parts = Parts::begin(header.slot, header.time_us, header.parent);
    for part in &slots.parts {
        let Some(record) = part.records.get(&header.slot) else { continue };
        let own = part.spec.id;
        if own == atoll_types::hub::ROUTER {
            // Entries for environments that this network does not run are in no other part.
            let known = |id: EnvironmentId| slots.parts.iter().any(|part| part.spec.id == id);
            for step in &record.range.steps {
                if let Step::Entry(entry) = step
                    && !known(entry.environment)
                {
                    parts.entry(entry.environment, &entry.hash());
                }
            }
            continue;
        }
        record.range.add_to(&mut parts);
    }
    parts
}

/// An extended span with its first and last slot.
type Cached = ((u64, u64), Arc<EncodedSpan>);

/// The files of published spans.
pub(crate) struct SpanStore {
    network: NetworkId,
    folder: PathBuf,
    cache: Mutex<VecDeque<Cached>>,
}

impl SpanStore {
    pub(crate) fn open(network: NetworkId, folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { network, folder, cache: Mutex::default() })
    }

    fn file(&self, slots: (u64, u64)) -> PathBuf {
        self.folder.join(format!("{:012}-{:012}.span", slots.0, slots.1))
    }

    /// Extends a span and keeps its data durably.
    pub(crate) fn add(&self, span: &SpanData) -> Result<Arc<EncodedSpan>> {
        let streams = SpanStreams::of(span)?;
        let slots = streams.slots();
        let encoded = Arc::new(EncodedSpan::from_streams(self.network, &streams, 1)?);
        let file = self.file(slots);
        let new = file.with_extension("new");
        std::fs::write(&new, streams.to_bytes())
            .with_context(|| format!("cannot write {}", new.display()))?;
        std::fs::File::open(&new)?.sync_all()?;
        std::fs::rename(&new, &file)?;
        std::fs::File::open(&self.folder)?.sync_all()?;
        self.remember(slots, encoded.clone());
        Ok(encoded)
    }

    fn remember(&self, slots: (u64, u64), span: Arc<EncodedSpan>) {
        let mut cache = self.cache.lock();
        cache.push_back((slots, span));
        if cache.len() > CACHED {
            cache.pop_front();
        }
    }

    /// The data of a span that was published, as it was published.
    pub(crate) fn streams(&self, slots: (u64, u64)) -> Result<SpanStreams> {
        let file = self.file(slots);
        let bytes = std::fs::read(&file).with_context(|| {
            format!("the data of slots {} to {} is not kept any more", slots.0, slots.1)
        })?;
        let streams = SpanStreams::from_bytes(&bytes)
            .with_context(|| format!("{} is damaged", file.display()))?;
        if streams.slots() != slots {
            bail!("{} holds other slots than its name says", file.display());
        }
        Ok(streams)
    }

    /// A span that was published.
    pub(crate) fn span(&self, slots: (u64, u64)) -> Result<Arc<EncodedSpan>> {
        if let Some((_, span)) = self.cache.lock().iter().find(|(at, _)| *at == slots) {
            return Ok(span.clone());
        }
        let encoded = Arc::new(EncodedSpan::from_streams(self.network, &self.streams(slots)?, 1)?);
        self.remember(slots, encoded.clone());
        Ok(encoded)
    }

    /// Removes spans that ended before a slot.
    pub(crate) fn prune(&self, before_slot: u64) -> Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let last = name.to_str().and_then(|name| name.strip_suffix(".span"));
            let last = last.and_then(|name| name.split_once('-')?.1.parse::<u64>().ok());
            if last.is_some_and(|last| last < before_slot) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}
