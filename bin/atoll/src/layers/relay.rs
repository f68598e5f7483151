//! Publishes every span to one other layer as well, on a thread of its own: after it is stored
//! here, never on the way of a confirmation or of settlement.
//!
//! A layer's blocks may be slower than spans: what came meanwhile is published together. A relay
//! that is new begins with the next commitment; what was published before is not paid for
//! unasked. What fails is tried again, later and later, and told in `/atoll/settlement` and
//! `/metrics`. Spans whose layer's block is not final yet are looked after: what a reorganisation
//! takes out is published again.

use super::LayerChoice;
use super::store::{Progress, ReceiptStore};
use crate::hub::published::PublishedStore;
use crate::hub::spans::SpanStore;
use anyhow::{Context, Result, bail};
use atoll_layers::{BATCH_SPANS_MAX, DataLayer, LayerError, Receipt, SpanBatch, matches_root};
use atoll_rpc::port::MetricsPort;
use atoll_types::{Encode, NetworkId};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How often a relay looks for something to publish.
const POLL: Duration = Duration::from_millis(200);
/// How often it looks whether blocks have become final.
const FINALITY: Duration = Duration::from_secs(8);
/// First and longest wait after a failure.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Most bytes that are published together, unless one commitment has more: six blobs of Ethereum.
const BATCH_BYTES: usize = 760_000;
/// Most spans that are published together.
const BATCH_SPANS: usize = BATCH_SPANS_MAX as usize;

/// What a relay tells of itself.
#[derive(Clone, Debug, Default)]
struct Standing {
    progress: Progress,
    /// The last commitment made here.
    latest: u64,
    failures: u64,
    problem: Option<String>,
}

/// A relay as others see it.
pub(crate) struct RelayView {
    pub(crate) receipts: ReceiptStore,
    standing: Mutex<Standing>,
}

impl RelayView {
    /// For `/atoll/settlement`.
    pub(crate) fn render(&self) -> Value {
        let Standing { progress, latest, failures, problem } = self.standing.lock().clone();
        json!({
            "layer": self.receipts.layer.name(),
            "published": progress.published,
            "finalised": progress.finalised,
            "behind": latest.saturating_sub(progress.published),
            "bytes": progress.bytes,
            "failures": failures,
            "problem": problem,
        })
    }
}

/// Metrics of all relays.
pub(crate) struct RelayMetrics(pub(crate) Vec<Arc<RelayView>>);

impl MetricsPort for RelayMetrics {
    fn render(&self, out: &mut String) {
        if self.0.is_empty() {
            return;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "# HELP atoll_layer_commitment Last commitment whose data is on another layer.\n\
             # TYPE atoll_layer_commitment gauge"
        );
        let standings =
            || self.0.iter().map(|view| (view.receipts.layer.name(), view.standing.lock().clone()));
        for (name, Standing { progress, latest, .. }) in standings() {
            for (stage, number) in [
                ("made", latest),
                ("published", progress.published),
                ("finalised", progress.finalised),
            ] {
                let _ = writeln!(
                    out,
                    "atoll_layer_commitment{{layer=\"{name}\",stage=\"{stage}\"}} {number}"
                );
            }
        }
        let _ = writeln!(
            out,
            "# HELP atoll_layer_bytes Bytes published to other layers.\n\
             # TYPE atoll_layer_bytes counter"
        );
        for (name, standing) in standings() {
            let bytes = standing.progress.bytes;
            let _ = writeln!(out, "atoll_layer_bytes_total{{layer=\"{name}\"}} {bytes}");
        }
        let _ = writeln!(
            out,
            "# HELP atoll_layer_failures Failures of publishing to other layers.\n\
             # TYPE atoll_layer_failures counter"
        );
        for (name, standing) in standings() {
            let failures = standing.failures;
            let _ = writeln!(out, "atoll_layer_failures_total{{layer=\"{name}\"}} {failures}");
        }
    }
}

/// Publishes to one layer.
pub(crate) struct Relay {
    choice: LayerChoice,
    network: NetworkId,
    store: Arc<PublishedStore>,
    spans: Arc<SpanStore>,
    view: Arc<RelayView>,
    progress: Progress,
}

impl Relay {
    pub(crate) fn new(
        choice: LayerChoice,
        network: NetworkId,
        store: Arc<PublishedStore>,
        spans: Arc<SpanStore>,
        folder: &std::path::Path,
    ) -> Result<Self> {
        choice.check()?;
        let receipts = ReceiptStore::open(choice.layer, folder)?;
        let progress = match receipts.progress()? {
            Some(progress) => progress,
            None => {
                let latest = store.latest().map_or(0, |latest| latest.commitment.number);
                let progress =
                    Progress { published: latest, open: latest, finalised: latest, bytes: 0 };
                receipts.note(progress)?;
                progress
            }
        };
        let standing = Mutex::new(Standing { progress, ..Standing::default() });
        let view = Arc::new(RelayView { receipts, standing });
        Ok(Self { choice, network, store, spans, view, progress })
    }

    pub(crate) fn view(&self) -> Arc<RelayView> {
        self.view.clone()
    }

    /// Publishes until `stopped`. Whatever it does may be cut off anywhere.
    pub(crate) fn run(mut self, stopped: &AtomicBool) {
        let mut layer: Option<Box<dyn DataLayer>> = None;
        let (mut looked, mut wait) = (None::<Instant>, RETRY.0);
        while !stopped.load(Relaxed) {
            let latest = self.store.latest().map_or(0, |latest| latest.commitment.number);
            self.view.standing.lock().latest = latest;
            match self.step(&mut layer, latest, &mut looked, stopped) {
                Ok(worked) => {
                    self.view.standing.lock().problem = None;
                    wait = RETRY.0;
                    if !worked {
                        std::thread::sleep(POLL);
                    }
                }
                Err(error) => {
                    let name = self.choice.layer;
                    let problem = format!("{error:#}");
                    let mut standing = self.view.standing.lock();
                    // Once for each kind of trouble, not for each time it is tried again.
                    if standing.problem.as_ref() != Some(&problem) {
                        tracing::warn!("publishing to {name} fails, trying again: {problem}");
                    }
                    (standing.failures, standing.problem) = (standing.failures + 1, Some(problem));
                    drop(standing);
                    let until = Instant::now() + wait;
                    while Instant::now() < until && !stopped.load(Relaxed) {
                        std::thread::sleep(POLL.min(wait));
                    }
                    wait = (wait * 2).min(RETRY.1);
                }
            }
        }
    }

    /// One batch further, and a look at what is not final; whether there was something to publish.
    fn step(
        &mut self,
        layer: &mut Option<Box<dyn DataLayer>>,
        latest: u64,
        looked: &mut Option<Instant>,
        stopped: &AtomicBool,
    ) -> Result<bool> {
        let layer = match layer {
            Some(layer) => layer,
            none => none.insert(self.choice.open(self.network, true)?),
        };
        let worked = self.progress.published < latest;
        if worked {
            if self.progress.open <= self.progress.published {
                self.begin(latest)?;
            }
            let (published, mut bytes) = (self.progress.open, self.progress.bytes);
            if let Some(batch) = self.batch(self.progress.published + 1, published)? {
                bytes += self.publish(layer.as_mut(), &batch)?.bytes;
            }
            self.note(Progress { published, bytes, ..self.progress })?;
        }
        // Last: whatever is wrong with it does not hold up what is new.
        if self.progress.finalised < self.progress.published
            && looked.is_none_or(|at| at.elapsed() > FINALITY)
        {
            *looked = Some(Instant::now());
            while self.progress.finalised < self.progress.published && !stopped.load(Relaxed) {
                let Some(finalised) = self.finalise(layer.as_mut())? else { break };
                self.note(Progress { finalised, ..self.progress })?;
            }
        }
        Ok(worked)
    }

    /// Decides what is published together next, durably: after a restart it is the same.
    fn begin(&mut self, latest: u64) -> Result<()> {
        let first = self.progress.published + 1;
        let (mut open, mut bytes, mut begins) = (first, 0, Vec::new());
        for number in first..=latest {
            let Some(batch) = self.batch(number, number)? else { break };
            bytes += batch.to_bytes().len();
            let spans = batch.spans().iter().map(|span| span.slots().0);
            if number > first && (bytes > BATCH_BYTES || begins.len() + spans.len() > BATCH_SPANS) {
                break;
            }
            begins.extend(spans);
            open = number;
        }
        let progress = Progress { open, ..self.progress };
        self.view.receipts.begin(&begins, progress)?;
        self.progress = progress;
        Ok(())
    }

    fn note(&mut self, progress: Progress) -> Result<()> {
        self.view.receipts.note(progress)?;
        self.progress = progress;
        self.view.standing.lock().progress = progress;
        Ok(())
    }

    /// The spans of these commitments, as they were published; none if not all are kept any more.
    fn batch(&self, first: u64, last: u64) -> Result<Option<SpanBatch>> {
        let mut spans = Vec::new();
        for number in first..=last {
            let found = self.store.commitment(number)?;
            for span in found.with_context(|| format!("commitment {number} is gone"))?.spans {
                let (begin, end) = span.slots;
                let Ok(streams) = self.spans.streams(span.slots) else {
                    tracing::warn!("slots {begin} to {end} are too old to be published");
                    return Ok(None);
                };
                if !matches_root(self.network, &streams, span.data_root)? {
                    bail!("the data of slots {begin} to {end} is damaged on disk");
                }
                spans.push(streams);
            }
        }
        Ok(Some(SpanBatch::new(spans)?))
    }

    /// Publishes a batch, or goes on with it.
    fn publish(&self, layer: &mut dyn DataLayer, batch: &SpanBatch) -> Result<Receipt> {
        let receipts = &self.view.receipts;
        let kept = receipts.receipt(batch.slots().0)?;
        let mut receipt = kept.unwrap_or_else(|| Receipt::new(receipts.layer, batch));
        let mut keep = |receipt: &Receipt| {
            receipts.keep(receipt).map_err(|error| LayerError::Keep(format!("{error:#}")))
        };
        layer.publish(batch, &mut receipt, &mut keep)?;
        if !receipt.is_complete() {
            bail!("the layer says that all is published, its receipt does not");
        }
        receipts.keep(&receipt)?;
        Ok(receipt)
    }

    /// Looks at the first batch that is not known to be final: its last commitment if it is now.
    /// What is in no block any more is published again.
    fn finalise(&self, layer: &mut dyn DataLayer) -> Result<Option<u64>> {
        let first = self.progress.finalised + 1;
        let commitment = |number: u64| {
            let found = self.store.commitment(number)?;
            found.with_context(|| format!("commitment {number} is gone")).map(|c| c.commitment)
        };
        let Some(receipt) = self.view.receipts.receipt(commitment(first)?.slots.0)? else {
            return Ok(Some(first));
        };
        let mut last = first;
        while last < self.progress.published && commitment(last + 1)?.slots.1 <= receipt.last_slot {
            last += 1;
        }
        let Some(batch) = self.batch(first, last)? else { return Ok(Some(last)) };
        match layer.verify(&receipt, &batch) {
            Ok(inclusion) => Ok(inclusion.finalised.then_some(last)),
            Err(LayerError::NotIncluded(why)) => {
                tracing::warn!("published again to {}: {why}", self.choice.layer);
                self.publish(layer, &batch)?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}
