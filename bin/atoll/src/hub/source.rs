//! Where published data is read from by whoever does not take the operator's word: a gateway, or a
//! folder in which somebody has kept it. Every stream is checked against the data root that the
//! commitment names.

use super::certificate::Certificate;
use super::published::{Published, PublishedStore, SpanRoot};
use super::spans::SpanStore;
use crate::gateway::Gateway;
use anyhow::{Context, Result, bail, ensure};
use atoll_da::{DaHeader, Namespace, NamespaceProof, Owner, Part, SpanData};
use atoll_types::{Decode, NetworkId};
use serde_json::Value;
use std::path::Path;

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
    pub(crate) store: PublishedStore,
    pub(crate) spans: SpanStore,
}

impl Folder {
    /// Opens a folder, or begins one.
    pub(crate) fn open(network: NetworkId, folder: &Path) -> Result<Self> {
        let store = PublishedStore::open(folder)
            .with_context(|| format!("{} cannot be used", folder.display()))?;
        Ok(Self { store, spans: SpanStore::open(network, folder.join("spans"))? })
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
