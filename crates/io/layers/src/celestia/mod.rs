//! Celestia.
//!
//! Each stream of each span is cut into [chunks](crate::chunk), each a blob under the stream's own
//! [namespace](atoll_da::Namespace), the same as in an embedded square: whoever reads one
//! environment asks for its namespace and no other. Blobs are submitted together as far as one
//! transaction takes them; the node pays from its own account and answers with the height.
//!
//! Inclusion is [proven](proof) against the header of that height, whose commit by its own
//! validators is checked. That these validators are Celestia's is the node's word (a light node
//! that one runs follows them from genesis), or follows from a trusted header
//! ([`Options::trusted`]) as long as a third of its validators still sign.
//!
//! Speaks to a celestia-node (`celestia bridge|full|light start`) over JSON-RPC by `celestia-rpc`.
//! `celestia-client` would add a second, gRPC, connection to a consensus node and a key of our own
//! to pay from; the node's own account does without both.

pub mod proof;

use crate::batch::SpanBatch;
use crate::chunk::{self, CHUNK_HEADER_BYTES, Chunk};
use crate::layer::{DataLayer, Inclusion, Keep, LayerError};
use crate::receipt::{Layer, Publication, Receipt, Submission, SubmittedBlob};
use atoll_da::{Namespace, Owner, SpanStreams};
use atoll_types::{B256, Encode, EnvironmentId, NetworkId, sha256};
use celestia_rpc::{BlobClient, Client, HeaderClient, TxConfig};
use celestia_types::hash::Hash;
use celestia_types::{Blob, Commitment, ExtendedHeader, nmt};
use jsonrpsee::core::ClientError;
use std::time::{Duration, Instant};

/// Most bytes submitted together: a transaction of every version of celestia-app takes them. Part
/// of the format, as receipts name what was submitted.
pub const SUBMISSION_BYTES_MAX: usize = 1_500_000;

/// How to publish to Celestia.
#[derive(Clone)]
pub struct Options {
    /// The node's JSON-RPC: `http://`, `https://`, `ws://` or `wss://`.
    pub url: String,
    /// Its token, of permission `write` to publish; a node with `--rpc.skip-auth` needs none.
    pub token: Option<String>,
    /// The network whose spans are published.
    pub network: NetworkId,
    /// Hash of a header that is trusted: later ones are verified from it.
    pub trusted: Option<B256>,
    /// Blocks for which a submission whose answer was lost may still wait in a mempool.
    pub mempool_blocks: u64,
    /// Longest that one call of [`DataLayer::publish`] waits for such blocks, milliseconds.
    pub wait_ms: u64,
    /// How often it looks, milliseconds.
    pub poll_ms: u64,
    /// Longest time for a request, milliseconds: a submission takes until its block.
    pub request_ms: u64,
}

impl Options {
    /// The node at `url`, and usual limits.
    pub fn new(url: &str, network: NetworkId) -> Self {
        Self {
            url: url.into(),
            token: None,
            network,
            trusted: None,
            mempool_blocks: 12,
            wait_ms: 60_000,
            poll_ms: 2_000,
            request_ms: 120_000,
        }
    }
}

/// Celestia as a layer.
pub struct Celestia {
    // Before the runtime, which its connections live on.
    client: Client,
    runtime: tokio::runtime::Runtime,
    options: Options,
}

/// An error that does not say what became of the request.
fn unknown(error: ClientError) -> LayerError {
    LayerError::Unreachable(error.to_string())
}

/// An error of a request that only reads.
fn reading(what: &str, error: ClientError) -> LayerError {
    match &error {
        ClientError::Call(refused) if refused.message().contains("not found") => {
            LayerError::Missing(format!("{what}: {}", refused.message()))
        }
        // The types check what they read: a header its roots, a blob its commitment.
        ClientError::ParseError(error) => LayerError::Forged(format!("{what}: {error}")),
        _ => unknown(error),
    }
}

fn config(error: impl std::fmt::Display) -> LayerError {
    LayerError::Config(error.to_string())
}

fn theirs(namespace: Namespace) -> Result<nmt::Namespace, LayerError> {
    nmt::Namespace::from_raw(namespace.as_bytes()).map_err(config)
}

/// A batch's blobs, as they are submitted together.
fn plan(network: NetworkId, batch: &SpanBatch) -> Result<Vec<Vec<Blob>>, LayerError> {
    let mut submissions: Vec<Vec<Blob>> = Vec::new();
    let mut room = 0;
    let streams = batch.spans().iter().flat_map(|span| {
        span.streams().iter().map(move |(owner, stream)| (span.slots(), owner, stream))
    });
    for (slots, owner, stream) in streams {
        let namespace = Namespace::of(network, *owner)
            .ok_or(LayerError::BadReceipt("an owner without a namespace"))?;
        for data in chunk::cut(slots, stream, SUBMISSION_BYTES_MAX)? {
            let bytes = data.len();
            let blob = Blob::new(theirs(namespace)?, data, None).map_err(config)?;
            if submissions.is_empty() || bytes > room {
                submissions.push(Vec::new());
                room = SUBMISSION_BYTES_MAX;
            }
            room -= bytes;
            submissions.last_mut().into_iter().for_each(|last| last.push(blob.clone()));
        }
    }
    Ok(submissions)
}

fn name(blob: &Blob) -> Result<SubmittedBlob, LayerError> {
    let mut namespace = [0; atoll_da::namespace::NAMESPACE_BYTES];
    namespace.copy_from_slice(blob.namespace.as_bytes());
    Ok(SubmittedBlob {
        namespace: Namespace::from_bytes(namespace),
        commitment: B256::from(*blob.commitment.hash()),
    })
}

fn names(blobs: &[Blob]) -> Result<Vec<SubmittedBlob>, LayerError> {
    blobs.iter().map(name).collect()
}

fn as_submission(part: &Publication) -> Result<&Submission, LayerError> {
    match part {
        Publication::Celestia(submission) => Ok(submission),
        Publication::Blobs(_) => Err(LayerError::BadReceipt("it is of another layer")),
    }
}

/// The owner whose namespace this is.
fn owner_of(network: NetworkId, namespace: Namespace) -> Result<Owner, LayerError> {
    let bytes = namespace.as_bytes();
    let id = bytes.last_chunk().map_or(u32::MAX, |id| u32::from_be_bytes(*id));
    let owner = match id {
        u32::MAX => Owner::Headers,
        id => Owner::Environment(EnvironmentId(id)),
    };
    match Namespace::of(network, owner) == Some(namespace) {
        true => Ok(owner),
        false => Err(LayerError::BadReceipt("a namespace is not this network's")),
    }
}

/// The batch that these blobs are, in order.
fn assemble(network: NetworkId, blobs: &[(Namespace, Blob)]) -> Result<SpanBatch, LayerError> {
    let mut chunks = Vec::new();
    for (namespace, blob) in blobs {
        chunks.push((*namespace, Chunk::read(&blob.data)?));
    }
    let mut spans = Vec::new();
    for span in chunks.chunk_by(|a, b| a.1.slots == b.1.slots) {
        let mut streams = Vec::new();
        for stream in span.chunk_by(|a, b| a.0 == b.0) {
            let (namespace, slots) = (stream[0].0, stream[0].1.slots);
            let parts: Vec<Chunk<'_>> = stream.iter().map(|(_, chunk)| chunk.clone()).collect();
            streams.push((owner_of(network, namespace)?, chunk::join(slots, &parts)?));
        }
        spans.push(SpanStreams::new(streams)?);
    }
    SpanBatch::new(spans).map_err(|_| LayerError::Forged("its spans are not consecutive".into()))
}

impl Celestia {
    /// Connects to nothing yet, but over WebSocket.
    ///
    /// # Errors
    /// An address or a token that cannot be used.
    pub fn new(options: Options) -> Result<Self, LayerError> {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().map_err(config)?;
        let limit = Some(Duration::from_millis(options.request_ms));
        let token = options.token.as_deref();
        let client = Client::new(&options.url, token, limit, limit);
        let client = runtime.block_on(client).map_err(config)?;
        Ok(Self { client, runtime, options })
    }

    /// The chain's height, as far as the node knows.
    fn head(&self) -> Result<u64, LayerError> {
        let head = self.runtime.block_on(self.client.header_network_head());
        let head = head.map_err(|error| reading("the newest header", error))?;
        Ok(head.height())
    }

    /// A header, checked.
    fn header(&self, height: u64) -> Result<ExtendedHeader, LayerError> {
        let what = format!("header {height}");
        let found = self.runtime.block_on(self.client.header_get_by_height(height));
        let header = found.map_err(|error| reading(&what, error))?;
        let forged = |why: String| LayerError::Forged(format!("{what}: {why}"));
        if header.height() != height {
            return Err(forged("it is of another height".into()));
        }
        header.validate().map_err(|error| forged(error.to_string()))?;
        if let Some(hash) = self.options.trusted {
            let hash = Hash::Sha256(hash.0);
            let found = self.runtime.block_on(self.client.header_get_by_hash(hash));
            let trusted = found.map_err(|error| reading("the trusted header", error))?;
            trusted.validate().map_err(|error| forged(error.to_string()))?;
            if trusted.hash() != hash {
                return Err(forged("the trusted header is another".into()));
            }
            if header.hash() != hash {
                trusted.verify(&header).map_err(|error| forged(error.to_string()))?;
            }
        }
        Ok(header)
    }

    /// Checks that the block of a height has these blobs.
    fn check(&self, height: u64, blobs: &[Blob]) -> Result<(), LayerError> {
        let header = self.header(height)?;
        for blob in blobs {
            let proof = self.client.blob_get_proof(height, blob.namespace, blob.commitment);
            let what = format!("blob {} at height {height}", B256::from(*blob.commitment.hash()));
            let proofs = match self.runtime.block_on(proof).map_err(|e| reading(&what, e)) {
                Err(LayerError::Missing(what)) => return Err(LayerError::NotIncluded(what)),
                found => found?,
            };
            proof::verify_inclusion(&header.dah, blob, &proofs)?;
        }
        Ok(())
    }

    /// A blob by its name, checked.
    fn blob(&self, height: u64, name: &SubmittedBlob) -> Result<Blob, LayerError> {
        let (namespace, commitment) = (theirs(name.namespace)?, Commitment::new(name.commitment.0));
        let what = format!("blob {} at height {height}", name.commitment);
        let found = self.runtime.block_on(self.client.blob_get(height, namespace, commitment));
        let blob = found.map_err(|error| reading(&what, error))?;
        let same =
            blob.namespace == namespace && blob.validate_with_commitment(&commitment).is_ok();
        match same {
            true => Ok(blob),
            false => Err(LayerError::Forged(what)),
        }
    }

    /// The height whose block has a submission that no answer came to, looked for from `from` on.
    fn find(
        &self,
        submission: &Submission,
        from: u64,
        head: u64,
    ) -> Result<Option<u64>, LayerError> {
        let first =
            submission.blobs.first().ok_or(LayerError::BadReceipt("a part has no blobs"))?;
        for height in from..=head {
            match self.blob(height, first) {
                Ok(_) => return Ok(Some(height)),
                Err(LayerError::Missing(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Publishes `blobs` as part `index` of a receipt whose earlier parts are in blocks.
    fn publish_part(
        &self,
        index: usize,
        blobs: &[Blob],
        receipt: &mut Receipt,
        keep: &mut Keep<'_>,
    ) -> Result<(), LayerError> {
        let started = Instant::now();
        let names = names(blobs)?;
        let mut looked_to = 0;
        loop {
            let Some(part) = receipt.parts.get(index) else {
                let submission =
                    Submission { blobs: names.clone(), after: self.head()?, height: None };
                receipt.parts.push(Publication::Celestia(submission));
                // Kept before anything is sent: after a crash it is looked for.
                keep(receipt)?;
                self.submit(index, blobs, receipt, keep)?;
                continue;
            };
            let submission = as_submission(part)?.clone();
            if submission.blobs != names {
                return Err(LayerError::BadReceipt("it names other blobs than the batch's"));
            }
            if submission.height.is_some() {
                return Ok(());
            }
            // Nobody knows what became of it: it is in a block, will be, or never was sent.
            let (head, last) =
                (self.head()?, submission.after.saturating_add(self.options.mempool_blocks));
            let from = looked_to.max(submission.after.saturating_add(1));
            if let Some(height) = self.find(&submission, from, head.min(last))? {
                self.note(index, height, blobs, receipt, keep)?;
                continue;
            }
            looked_to = head.min(last).saturating_add(1);
            if head >= last {
                receipt.parts.truncate(index);
                keep(receipt)?;
                continue;
            }
            if started.elapsed() > Duration::from_millis(self.options.wait_ms) {
                return Err(LayerError::Waiting(format!(
                    "a submission without an answer is looked for until height {last}, now {head}"
                )));
            }
            std::thread::sleep(Duration::from_millis(self.options.poll_ms));
        }
    }

    fn submit(
        &self,
        index: usize,
        blobs: &[Blob],
        receipt: &mut Receipt,
        keep: &mut Keep<'_>,
    ) -> Result<(), LayerError> {
        let submitted = self.client.blob_submit(blobs, TxConfig::default());
        match self.runtime.block_on(submitted) {
            Ok(height) => self.note(index, height, blobs, receipt, keep),
            // Refused, unless the node only gave up waiting for a block.
            Err(ClientError::Call(refused)) if !gave_up(refused.message()) => {
                receipt.parts.truncate(index);
                keep(receipt)?;
                Err(LayerError::Refused(refused.message().into()))
            }
            Err(error) => Err(unknown(error)),
        }
    }

    /// Notes that a part is in a block, once that is proven.
    fn note(
        &self,
        index: usize,
        height: u64,
        blobs: &[Blob],
        receipt: &mut Receipt,
        keep: &mut Keep<'_>,
    ) -> Result<(), LayerError> {
        self.check(height, blobs)?;
        if let Some(Publication::Celestia(submission)) = receipt.parts.get_mut(index) {
            submission.height = Some(height);
        }
        keep(receipt)
    }
}

/// Whether a node's words mean that it stopped waiting, and not that it refused.
fn gave_up(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["timed out", "timeout", "deadline", "canceled", "cancelled", "unavailable", "eof"]
        .iter()
        .any(|text| message.contains(text))
}

impl DataLayer for Celestia {
    fn layer(&self) -> Layer {
        Layer::Celestia
    }

    fn publish(
        &mut self,
        batch: &SpanBatch,
        receipt: &mut Receipt,
        keep: &mut Keep<'_>,
    ) -> Result<(), LayerError> {
        if !receipt.is_about(Layer::Celestia, batch) {
            return Err(LayerError::BadReceipt("it is of another batch or layer"));
        }
        let plan = plan(self.options.network, batch)?;
        receipt.planned = plan.len() as u32;
        for (index, blobs) in plan.iter().enumerate() {
            self.publish_part(index, blobs, receipt, keep)?;
        }
        Ok(())
    }

    fn retrieve(&self, receipt: &Receipt) -> Result<SpanBatch, LayerError> {
        receipt.blocks()?;
        let mut found: Vec<(Namespace, Blob)> = Vec::new();
        for part in &receipt.parts {
            let submission = as_submission(part)?;
            let height =
                submission.height.ok_or(LayerError::BadReceipt("a part is in no block"))?;
            for name in &submission.blobs {
                found.push((name.namespace, self.blob(height, name)?));
            }
        }
        let batch = assemble(self.options.network, &found)?;
        let slots = (receipt.first_slot, receipt.last_slot);
        match batch.slots() == slots && sha256(&[&batch.to_bytes()]) == receipt.payload {
            true => Ok(batch),
            false => Err(LayerError::Forged("it has another hash than the receipt's".into())),
        }
    }

    fn verify(&self, receipt: &Receipt, batch: &SpanBatch) -> Result<Inclusion, LayerError> {
        if !receipt.is_about(Layer::Celestia, batch) {
            return Err(LayerError::BadReceipt("it is of another batch or layer"));
        }
        let (first_block, last_block) = receipt.blocks()?;
        let plan = plan(self.options.network, batch)?;
        if plan.len() != receipt.parts.len() {
            return Err(LayerError::BadReceipt("it has another number of parts"));
        }
        for (blobs, part) in plan.iter().zip(&receipt.parts) {
            let submission = as_submission(part)?;
            if submission.blobs != names(blobs)? {
                return Err(LayerError::BadReceipt("it names other blobs than the batch's"));
            }
            let height =
                submission.height.ok_or(LayerError::BadReceipt("a part is in no block"))?;
            self.check(height, blobs)?;
        }
        // A block of Celestia is final when it is there.
        Ok(Inclusion { first_block, last_block, finalised: true })
    }
}

const _: () = assert!(SUBMISSION_BYTES_MAX > CHUNK_HEADER_BYTES);
