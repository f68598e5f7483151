//! Where published data is read from by whoever does not take the operator's word: a gateway, folders
//! in which somebody has kept it, or all of these. Every stream is checked against the data root that
//! the commitment names.

use super::certificate::{Certificate, Run};
use super::published::{Published, PublishedStore, SpanRoot};
use super::spans::SpanStore;
use crate::gateway::Gateway;
use anyhow::{Context, Result, anyhow, bail, ensure};
use atoll_da::{
    DaHeader, EncodedSpan, Namespace, NamespaceProof, Owner, Part, SpanData, SpanStreams,
};
use atoll_types::{B256, Decode, NetworkId};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Most spans asked of a gateway: days of them.
const SPANS_MAX: usize = 1 << 16;

/// Gives what was published.
pub(crate) trait Source {
    /// A commitment, if it is there yet.
    fn commitment(&self, number: u64) -> Result<Option<Published>>;

    /// The certificate of the span that begins with a slot, if it is published yet.
    fn certificate(&self, first_slot: u64) -> Result<Option<Certificate>>;

    /// All of a span that these owners have in it, complete.
    fn span(&self, network: NetworkId, span: &SpanRoot, owners: &[Owner]) -> Result<SpanData>;
}

/// A running gateway.
impl Source for Gateway {
    fn commitment(&self, number: u64) -> Result<Option<Published>> {
        let Some(answer) = self.find(&format!("/atoll/commitments/{number}"))? else {
            return Ok(None);
        };
        Ok(Some(Published::from_bytes(&bytes_of(&answer["bytes"], "commitment")?)?))
    }

    fn certificate(&self, first_slot: u64) -> Result<Option<Certificate>> {
        let Some(answer) = self.find(&format!("/atoll/da/{first_slot}"))? else {
            return Ok(None);
        };
        if answer["certificate"].is_null() {
            return Ok(None);
        }
        let bytes = bytes_of(&answer["certificate"]["bytes"], "certificate of the span")?;
        let certificate = Certificate::from_bytes(&bytes).context("a certificate")?;
        ensure!(
            certificate.span.slots.0 == first_slot,
            "the gateway gives no span that begins with slot {first_slot}"
        );
        Ok(Some(certificate))
    }

    fn span(&self, network: NetworkId, span: &SpanRoot, owners: &[Owner]) -> Result<SpanData> {
        let slot = span.slots.0;
        let answer = self.get(&format!("/atoll/da/{slot}"))?;
        let header = bytes_of(&answer["header"], "header of the span")?;
        let header = DaHeader::from_bytes(&header).context("the span's header cannot be read")?;
        ensure!(header.data_root() == span.data_root, "the span's header is another's");
        read_span(network, span, owners, &header, |owner, _| {
            let name = match owner {
                Owner::Environment(id) => id.to_string(),
                _ => "headers".into(),
            };
            let answer = self.get(&format!("/atoll/da/{slot}/namespace/{name}"))?;
            let proof = bytes_of(&answer["proof"], "proof of the namespace")?;
            Ok(NamespaceProof::from_bytes(&proof)?)
        })
    }
}

/// A folder of published data: a node's, or one that `atoll watch` has kept.
pub(crate) struct Folder {
    path: PathBuf,
    pub(crate) store: PublishedStore,
    pub(crate) spans: SpanStore,
}

impl Folder {
    /// Opens a folder, or begins one.
    pub(crate) fn open(network: NetworkId, folder: &Path) -> Result<Self> {
        let store = PublishedStore::open(folder)
            .with_context(|| format!("{} cannot be used", folder.display()))?;
        let spans = SpanStore::open(network, folder.join("spans"))?;
        Ok(Self { path: folder.to_path_buf(), store, spans })
    }

    /// Where published data is in a folder that somebody names: a node's, or that of a watch.
    pub(crate) fn place(named: &Path) -> PathBuf {
        let of_a_node = named.join("node").join("settlement");
        if of_a_node.is_dir() { of_a_node } else { named.to_path_buf() }
    }
}

impl Source for Folder {
    fn commitment(&self, number: u64) -> Result<Option<Published>> {
        self.store.commitment(number)
    }

    fn certificate(&self, first_slot: u64) -> Result<Option<Certificate>> {
        let found = self.store.certificate(first_slot)?;
        Ok(found.filter(|certificate| certificate.span.slots.0 == first_slot))
    }

    fn span(&self, network: NetworkId, span: &SpanRoot, owners: &[Owner]) -> Result<SpanData> {
        let encoded = self.spans.span(span.slots)?;
        ensure!(encoded.data_root() == span.data_root, "the span kept is another");
        read_span(network, span, owners, encoded.header(), |_, namespace| {
            Ok(encoded.namespace_proof(namespace))
        })
    }
}

/// All that is asked for published data: one's own folder, those of others, and then a gateway.
pub(crate) struct Sources {
    network: NetworkId,
    own: Folder,
    others: Vec<Folder>,
    pub(crate) gateway: Option<Gateway>,
    /// Whether the data of spans is kept in the own folder once it was read elsewhere.
    keeps: bool,
}

impl Sources {
    pub(crate) fn new(network: NetworkId, own: Folder, gateway: Option<Gateway>) -> Self {
        Self { network, own, others: Vec::new(), gateway, keeps: false }
    }

    /// Asks these as well, and keeps what is read anywhere.
    pub(crate) fn keeping(mut self, others: &[PathBuf]) -> Result<Self> {
        for named in others {
            ensure!(named.is_dir(), "{} does not exist", named.display());
            self.others.push(Folder::open(self.network, &Folder::place(named))?);
        }
        self.keeps = true;
        Ok(self)
    }

    /// One's own folder.
    pub(crate) fn own(&self) -> &Folder {
        &self.own
    }

    fn folders(&self) -> impl Iterator<Item = &Folder> {
        std::iter::once(&self.own).chain(&self.others)
    }

    /// The folders, for people.
    pub(crate) fn places(&self) -> String {
        let folders = self.folders().map(|folder| folder.path.display().to_string());
        folders.collect::<Vec<_>>().join(", ")
    }

    /// The commitment with a number that continues the one with a hash.
    pub(crate) fn commitment(&self, number: u64, previous: B256) -> Result<Option<Published>> {
        let continues = |published: &Published| published.commitment.previous == previous;
        for folder in self.folders() {
            if let Some(found) = folder.commitment(number)?.filter(continues) {
                return Ok(Some(found));
            }
        }
        let Some(gateway) = &self.gateway else { return Ok(None) };
        Ok(gateway.commitment(number)?.filter(continues))
    }

    /// What is published from a slot on, as far as any of these knows.
    pub(crate) fn run(&self, first_slot: u64) -> Result<Run> {
        let mut run = Run::default();
        loop {
            let next = run.last_slot().map_or(first_slot, |last| last + 1);
            let kept = self.folders().map(|folder| folder.store.run(next));
            let kept = kept.collect::<Result<Vec<_>>>()?.into_iter();
            match kept.max_by_key(Run::last_slot).filter(|kept| !kept.spans.is_empty()) {
                Some(mut kept) => {
                    run.spans.append(&mut kept.spans);
                    run.certificates.append(&mut kept.certificates);
                }
                None => match self.certificate_at_gateway(next) {
                    Some(certificate) if run.spans.len() < SPANS_MAX => {
                        run.spans.push(certificate.span.clone());
                        run.certificates.push(certificate);
                    }
                    _ => return Ok(run),
                },
            }
        }
    }

    /// A gateway that does not answer any more is no obstacle.
    fn certificate_at_gateway(&self, first_slot: u64) -> Option<Certificate> {
        let found = self.gateway.as_ref()?.certificate(first_slot).ok()??;
        Some(found).filter(|certificate| certificate.span.slots.1 >= first_slot)
    }

    /// When somebody who kept it noted that the certificate of a span was published: the hub's
    /// seconds.
    pub(crate) fn noted(&self, first_slot: u64) -> Result<Option<u64>> {
        let noted = self.folders().map(|folder| folder.store.noted(first_slot));
        Ok(noted.collect::<Result<Vec<_>>>()?.into_iter().flatten().min())
    }

    /// The data of a span, and whether it is encoded as its data root says.
    pub(crate) fn span(&self, span: &SpanRoot, owners: &[Owner]) -> Result<(SpanData, bool)> {
        if let Ok(kept) = self.own.span(self.network, span, owners) {
            return Ok((kept, true));
        }
        let kept = self.others.iter().find_map(|o| o.span(self.network, span, owners).ok());
        let (first, last) = span.slots;
        let read = match (kept, &self.gateway) {
            (Some(kept), _) => Ok(kept),
            (None, Some(gateway)) => gateway.span(self.network, span, owners),
            (None, None) => Err(anyhow!("no gateway is named")),
        };
        let read = read.with_context(|| {
            format!("the data of slots {first} to {last} is not kept in {}", self.places())
        })?;
        let encoded = match self.keeps {
            true => self.own.spans.add(&read)?.data_root(),
            false => {
                let streams = SpanStreams::of(&read)?;
                EncodedSpan::from_streams(self.network, &streams, 1)?.data_root()
            }
        };
        Ok((read, encoded == span.data_root))
    }
}

fn read_span(
    network: NetworkId,
    span: &SpanRoot,
    owners: &[Owner],
    header: &DaHeader,
    proof_of: impl Fn(Owner, Namespace) -> Result<NamespaceProof>,
) -> Result<SpanData> {
    let (first_slot, last_slot) = span.slots;
    let mut parts = Vec::new();
    for owner in owners.iter().copied() {
        let namespace = Namespace::of(network, owner).context("an owner without a namespace")?;
        let stream = proof_of(owner, namespace)?.verify(header, namespace)?;
        let Some(stream) = stream else { continue };
        let part = Part::from_stream(&stream)?;
        if (part.first_slot, part.last_slot) != span.slots {
            bail!("data of slots {first_slot} to {last_slot} says that it is of others");
        }
        parts.push((owner, part.data));
    }
    Ok(SpanData { first_slot, last_slot, parts })
}

/// Bytes that a gateway gives in hex.
pub(crate) fn bytes_of(value: &Value, what: &str) -> Result<Vec<u8>> {
    let text = value.as_str().with_context(|| format!("the gateway gives no {what}"))?;
    alloy_primitives::hex::decode(text).with_context(|| format!("{what} is no hex"))
}
