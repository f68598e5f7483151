//! Publishes every span to one other layer as well, on a thread of its own: after it is stored
//! here, never on the way of a confirmation or of settlement.
//!
//! A relay that is new begins with the next commitment; what was published before is not paid for
//! unasked. What fails is tried again, later and later, and told in `/atoll/settlement` and
//! `/metrics`. Spans whose layer's block is not final yet are looked after: what a reorganisation
//! takes out is published again.

use super::LayerChoice;
use super::store::{Progress, ReceiptStore};
use crate::hub::published::{PublishedStore, SpanRoot};
use crate::hub::spans::SpanStore;
use anyhow::{Context, Result, bail};
use atoll_layers::{DataLayer, LayerError, Receipt, matches_root};
use atoll_rpc::port::MetricsPort;
use atoll_types::NetworkId;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How often a relay looks for something to publish.
const POLL: Duration = Duration::from_millis(200);
/// How often it looks whether blocks have become final.
const FINALITY: Duration = Duration::from_secs(4);
/// First and longest wait after a failure.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

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
                let progress = Progress { published: latest, finalised: latest, bytes: 0 };
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

    /// One commitment further, or one step of finality; whether there was something to do.
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
        if self.progress.finalised < self.progress.published
            && looked.is_none_or(|at| at.elapsed() > FINALITY)
        {
            *looked = Some(Instant::now());
            while self.progress.finalised < self.progress.published
                && !stopped.load(Relaxed)
                && self.finalise(layer.as_mut(), self.progress.finalised + 1)?
            {
                let finalised = self.progress.finalised + 1;
                self.note(Progress { finalised, ..self.progress })?;
            }
        }
        if self.progress.published >= latest {
            return Ok(false);
        }
        let number = self.progress.published + 1;
        let mut bytes = self.progress.bytes;
        for span in self.spans_of(number)? {
            bytes += self.publish(layer.as_mut(), &span)?.map_or(0, |receipt| receipt.bytes);
        }
        self.note(Progress { published: number, bytes, ..self.progress })?;
        Ok(true)
    }

    fn note(&mut self, progress: Progress) -> Result<()> {
        self.view.receipts.note(progress)?;
        self.progress = progress;
        self.view.standing.lock().progress = progress;
        Ok(())
    }

    fn spans_of(&self, number: u64) -> Result<Vec<SpanRoot>> {
        let found = self.store.commitment(number)?;
        Ok(found.with_context(|| format!("commitment {number} is gone"))?.spans)
    }

    /// Publishes a span, unless it is there; none if its data is not kept here any more.
    fn publish(&self, layer: &mut dyn DataLayer, span: &SpanRoot) -> Result<Option<Receipt>> {
        let receipts = &self.view.receipts;
        let Ok(streams) = self.spans.streams(span.slots) else {
            tracing::warn!(
                "slots {} to {} are too old to be published",
                span.slots.0,
                span.slots.1
            );
            return Ok(None);
        };
        if !matches_root(self.network, &streams, span.data_root)? {
            bail!("the data of slots {} to {} is damaged on disk", span.slots.0, span.slots.1);
        }
        let kept = receipts.receipt(span.slots.0)?;
        let mut receipt = kept.unwrap_or_else(|| Receipt::new(receipts.layer, &streams));
        let mut keep = |receipt: &Receipt| {
            receipts.keep(receipt).map_err(|error| LayerError::Keep(format!("{error:#}")))
        };
        layer.publish(&streams, &mut receipt, &mut keep)?;
        if !receipt.is_complete() {
            bail!("the layer says that a span is published, its receipt does not");
        }
        receipts.keep(&receipt)?;
        Ok(Some(receipt))
    }

    /// Whether all of a commitment's spans are in blocks that are final. What is in none any more
    /// is published again.
    fn finalise(&self, layer: &mut dyn DataLayer, number: u64) -> Result<bool> {
        for span in self.spans_of(number)? {
            let Ok(streams) = self.spans.streams(span.slots) else { continue };
            let Some(receipt) = self.view.receipts.receipt(span.slots.0)? else { continue };
            match layer.verify(&receipt, &streams) {
                Ok(inclusion) if inclusion.finalised => {}
                Ok(_) => return Ok(false),
                Err(LayerError::NotIncluded(why)) => {
                    tracing::warn!("published again to {}: {why}", self.choice.layer);
                    self.publish(layer, &span)?;
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}
