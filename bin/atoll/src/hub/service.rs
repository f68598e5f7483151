//! What a node runs to settle: the publisher, and the engine's thread once the hub can be reached.

use super::deployment::{self, Terms};
use super::published::PublishedStore;
use super::publisher::{Publisher, SPAN_SLOTS, commitment_slots};
use super::queries::{Inner, SettlementAdapter};
use super::settler::Settler;
use super::spans::SpanStore;
use super::view::HubView;
use crate::layers::LayerChoice;
use crate::layers::relay::{Relay, RelayMetrics};
use crate::node::{Shared, genesis_state, host};
use crate::specs;
use anyhow::{Context, Result};
use atoll_executor::EnvironmentSpec;
use atoll_settlement::Config;
use atoll_types::crypto::SigningKey;
use atoll_types::{B256, NetworkId};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the threads may take to end.
const PATIENCE: Duration = Duration::from_millis(1_000);
/// Wait before the hub is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// How a node settles.
pub(crate) struct Keys {
    /// Signs commitments and promises of availability.
    pub(crate) sequencer: SigningKey,
    /// Pays for transactions on the hub.
    pub(crate) operator: SigningKey,
    /// What the hub holds the operator to.
    pub(crate) terms: Terms,
    /// See [`Publisher::false_root`].
    pub(crate) false_root: Option<u64>,
}

/// Everything on the node's side of the hub.
pub(crate) struct Service {
    inner: Arc<Inner>,
    folder: PathBuf,
    stopped: Arc<AtomicBool>,
    ready: Option<Receiver<u64>>,
    threads: Vec<JoinHandle<()>>,
    genesis_roots: BTreeMap<u32, B256>,
}

/// State roots at genesis, by environment.
pub(crate) fn roots_at_genesis(
    network: NetworkId,
    specs: &[EnvironmentSpec],
) -> BTreeMap<u32, B256> {
    use atoll_state::db::StateDb;
    let root =
        |spec: &EnvironmentSpec| (spec.id.0, genesis_state(&host(network, spec, 0)).0.root());
    specs.iter().map(root).collect()
}

/// The same, kept in a file: a large genesis takes a while.
fn genesis_roots(
    network: NetworkId,
    specs: &[EnvironmentSpec],
    file: &Path,
) -> Result<BTreeMap<u32, B256>> {
    if let Ok(bytes) = std::fs::read(file) {
        let kept: BTreeMap<u32, B256> = bytes
            .chunks_exact(36)
            .map(|c| (u32::from_le_bytes([c[0], c[1], c[2], c[3]]), B256::from_slice(&c[4..])))
            .collect();
        if specs.iter().all(|spec| kept.contains_key(&spec.id.0)) {
            return Ok(kept);
        }
    }
    let roots = roots_at_genesis(network, specs);
    let bytes: Vec<u8> =
        roots.iter().flat_map(|(id, root)| [&id.to_le_bytes()[..], &root[..]].concat()).collect();
    std::fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(roots)
}

impl Service {
    /// Starts to publish. The hub is reached with [`Service::settle`].
    pub(crate) fn start(
        shared: &Arc<Shared>,
        data_dir: &Path,
        keys: &Keys,
        layers: &[LayerChoice],
    ) -> Result<Self> {
        let folder = data_dir.join("node").join("settlement");
        let specs: Vec<EnvironmentSpec> =
            shared.environments.iter().map(|h| h.environment().spec().clone()).collect();
        let store = Arc::new(PublishedStore::open(&folder)?);
        let spans = Arc::new(SpanStore::open(shared.network, folder.join("spans"))?);
        let mut relays = Vec::new();
        for choice in layers {
            let (store, spans) = (store.clone(), spans.clone());
            let folder = folder.join("layers");
            relays.push(Relay::new(choice.clone(), shared.network, store, spans, &folder)?);
        }
        let genesis_roots = genesis_roots(shared.network, &specs, &folder.join("genesis.roots"))?;
        let view = Arc::new(HubView::default());
        let (told, ready) = channel();
        let intervals = specs.iter().map(|spec| u64::from(spec.commit_interval_slots));
        let publisher = Publisher {
            shared: shared.clone(),
            store: store.clone(),
            spans: spans.clone(),
            key: keys.sequencer.clone(),
            commitment_slots: commitment_slots(intervals.clone(), keys.terms.commitment_slots()),
            genesis_roots: genesis_roots.clone(),
            first_slots: commitment_slots(intervals, SPAN_SLOTS),
            keep_slots: keys.terms.keep_slots(),
            false_root: keys.false_root,
        };
        let tokens = specs.iter().flat_map(|spec| {
            specs::hub_token_names(spec).into_iter().map(|(symbol, token, decimals, unit)| {
                json!({
                    "environment": spec.id.0, "symbol": symbol, "token": token.to_string(),
                    "decimals": decimals, "unit": unit.to_string(),
                })
            })
        });
        view.note("tokens", tokens.collect());
        view.note("commitment_slots", json!(publisher.commitment_slots));
        let stopped = Arc::new(AtomicBool::new(false));
        let (stop, seen) = (stopped.clone(), view.clone());
        let thread = std::thread::Builder::new().name("publisher".into()).spawn(move || {
            let tell = |number| {
                let _ = told.send(number);
            };
            if let Err(error) = publisher.run(&stop, tell) {
                tracing::error!("nothing more is published: {error:#}");
                seen.note("publishing_halted", json!(format!("{error:#}")));
            }
        })?;
        let past = Mutex::new(None);
        let data_dir = data_dir.to_path_buf();
        let shared = shared.clone();
        let layers: Vec<_> = relays.iter().map(Relay::view).collect();
        let inner = Arc::new(Inner { shared, store, spans, view, data_dir, past, layers });
        let mut threads = vec![thread];
        for relay in relays {
            let stop = stopped.clone();
            let thread = std::thread::Builder::new().name("relay".into());
            threads.push(thread.spawn(move || relay.run(&stop))?);
        }
        Ok(Self { inner, folder, stopped, ready: Some(ready), threads, genesis_roots })
    }

    /// For the gateway.
    pub(crate) fn adapter(&self) -> Arc<SettlementAdapter> {
        Arc::new(SettlementAdapter { inner: self.inner.clone() })
    }

    /// What publishing to other layers counts.
    pub(crate) fn metrics(&self) -> Arc<RelayMetrics> {
        Arc::new(RelayMetrics(self.inner.layers.clone()))
    }

    /// Begins to settle on the chain at `url`, deploying there first what is missing.
    pub(crate) fn settle(&mut self, url: String, keys: Keys) -> Result<()> {
        let Some(ready) = self.ready.take() else { return Ok(()) };
        let (inner, stopped) = (self.inner.clone(), self.stopped.clone());
        let checkpoint = self.folder.join("engine.checkpoint");
        let genesis_roots = self.genesis_roots.clone();
        inner.view.note("rpc_url", json!(url));
        let thread = std::thread::Builder::new().name("settlement".into());
        self.threads.push(thread.spawn(move || {
            let shared = inner.shared.clone();
            let specs: Vec<EnvironmentSpec> =
                shared.environments.iter().map(|h| h.environment().spec().clone()).collect();
            let plan = deployment::Wanted {
                network: shared.network,
                sequencer: keys.sequencer.address(),
                specs,
                genesis_roots,
                terms: keys.terms,
            };
            let hub = loop {
                if stopped.load(Relaxed) {
                    return;
                }
                match deployment::reach(&url, &plan, &keys.operator, &inner.view) {
                    Ok(hub) => break hub,
                    Err(error) => {
                        inner.view.note("problem", json!(format!("{error:#}")));
                        tracing::warn!("the hub cannot be used yet: {error:#}");
                        std::thread::sleep(RETRY);
                    }
                }
            };
            inner.view.note("problem", serde_json::Value::Null);
            let settler = Settler {
                hub,
                shared,
                store: inner.store.clone(),
                view: inner.view.clone(),
                checkpoint,
                config: Config {
                    observe_interval_ms: 300,
                    retry_ms_min: 100,
                    retry_ms_max: 5_000,
                    ..Config::default()
                },
            };
            if let Err(error) = settler.run(&stopped, &ready) {
                tracing::error!("settlement has stopped: {error:#}");
                inner.view.note("settlement_halted", json!(format!("{error:#}")));
            }
        })?);
        Ok(())
    }

    /// Ends all threads. Before the gateway ends: the hub may be behind it. One that waits for the
    /// hub or another layer is left behind: whatever it does can be cut off anywhere and is gone on with.
    pub(crate) fn stop(self) {
        self.stopped.store(true, Relaxed);
        let until = Instant::now() + PATIENCE;
        for thread in self.threads {
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}
