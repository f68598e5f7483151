//! Keeps what executed slots leave behind: state roots and snapshots; history goes on to the
//! historian.
//!
//! Runs on a thread of its own, beside the environments, during recovery too. Slots arrive in
//! order. A root is computed at each commit interval of its environment; a snapshot merges what
//! changed since the last one with that one's file, on yet another thread.

use super::changes::Changes;
use super::environment::{Environment, SlotResult};
use super::historian::{HistorianHandle, Past};
use anyhow::{Context, Result};
use atoll_state::WriteSet;
use atoll_state::db::{self, MemoryDb, StateDb};
use atoll_storage::{SnapshotStore, SyncHandle};
use atoll_types::{
    B256, Decode, Encode, EnvironmentId, SignedHeader, SlotHeader, TickConfirmation,
};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;

/// A snapshot being written; a failure gives the changes back.
type SnapshotJob = JoinHandle<Result<u64, (BTreeMap<EnvironmentId, Changes>, anyhow::Error)>>;

/// A sealed slot, executed by every environment that is not halted.
pub(crate) struct KeptSlot {
    pub(crate) sealed: SignedHeader,
    pub(crate) ticks: Vec<TickConfirmation>,
    pub(crate) results: Vec<SlotResult>,
}

/// An environment's latest root.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Root {
    pub(crate) slot: u64,
    pub(crate) root: B256,
    pub(crate) leaves: usize,
    pub(crate) memory_bytes: usize,
}

/// The latest roots, shared with queries.
pub(crate) type Roots = Arc<Mutex<BTreeMap<EnvironmentId, Root>>>;

struct Kept {
    environment: Arc<dyn Environment>,
    db: MemoryDb,
    changes: Changes,
}

/// When snapshots are taken, and which are kept.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotPolicy {
    pub(crate) interval_slots: u64,
    /// The newest ones.
    pub(crate) keep: usize,
    /// And the newest of a slot that is settled, with all after it: roots back to there can be
    /// proven.
    pub(crate) settled: Arc<AtomicU64>,
}

impl SnapshotPolicy {
    /// Removes what is no longer needed; returns the slot of the oldest snapshot whose log is.
    fn retain(&self, store: &SnapshotStore) -> Result<u64> {
        let slots = store.slots()?;
        let settled = self.settled.load(Relaxed);
        let newest = slots.last().copied().unwrap_or_default();
        // Without a settled one the oldest is needed.
        let oldest = slots.first().copied().unwrap_or_default();
        let needed = slots.iter().rfind(|slot| **slot <= settled).copied().unwrap_or(oldest);
        let kept = slots.len().saturating_sub(self.keep);
        for slot in slots.iter().take(kept).filter(|slot| **slot < needed) {
            store.remove(*slot)?;
        }
        Ok(needed.min(newest))
    }
}

pub(crate) struct Keeper {
    log: SyncHandle,
    historian: HistorianHandle,
    environments: BTreeMap<EnvironmentId, Kept>,
    roots: Roots,
    snapshots: SnapshotStore,
    policy: SnapshotPolicy,
    job: Option<(u64, SnapshotJob)>,
    /// Told after each snapshot which slots the log may forget.
    on_snapshot: Box<dyn Fn(u64) + Send>,
}

impl Keeper {
    pub(crate) fn new(
        log: SyncHandle,
        historian: HistorianHandle,
        snapshots: SnapshotStore,
        policy: SnapshotPolicy,
        roots: Roots,
        on_snapshot: Box<dyn Fn(u64) + Send>,
    ) -> Self {
        let environments = BTreeMap::new();
        Self { log, historian, environments, roots, snapshots, policy, job: None, on_snapshot }
    }

    /// Takes on an environment whose state after `slot` is in `db`.
    pub(crate) fn adopt(&mut self, environment: Arc<dyn Environment>, db: MemoryDb, slot: u64) {
        environment.gate().executed_slot.store(slot, Relaxed);
        self.publish_root(&environment, &db, slot);
        let id = environment.id();
        self.environments.insert(id, Kept { environment, db, changes: Changes::default() });
    }

    fn publish_root(&self, environment: &Arc<dyn Environment>, db: &MemoryDb, slot: u64) {
        environment.gate().root_slot.store(slot, Relaxed);
        let root =
            Root { slot, root: db.root(), leaves: db.len(), memory_bytes: db.memory_bytes() };
        self.roots.lock().insert(environment.id(), root);
    }

    /// Takes the next slot.
    pub(crate) fn keep(&mut self, slot: KeptSlot) -> Result<()> {
        let KeptSlot { sealed, ticks, mut results } = slot;
        let header = sealed.header.clone();
        let mut roots = Vec::new();
        for result in &mut results {
            let writes = std::mem::take(&mut result.writes);
            roots.extend(self.apply(result.environment, &header, &writes));
        }
        self.historian.tell(Past { sealed, ticks, results, roots })?;
        self.snapshot_if_due(&header)
    }

    /// Takes in what an environment wrote; gives its root where the slot has one.
    fn apply(
        &mut self,
        id: EnvironmentId,
        header: &SlotHeader,
        writes: &WriteSet,
    ) -> Option<(EnvironmentId, B256)> {
        let kept = self.environments.get_mut(&id)?;
        kept.changes.record(writes);
        let interval = u64::from(kept.environment.spec().commit_interval_slots);
        if !header.slot.is_multiple_of(interval) {
            return None;
        }
        let root = kept.db.apply(kept.changes.operations());
        let kept = &self.environments[&id];
        self.publish_root(&kept.environment, &kept.db, header.slot);
        Some((id, root))
    }

    /// Whether every environment has its root at this slot: then a snapshot may be taken here.
    fn at_roots(&self, slot: u64) -> bool {
        self.environments.values().all(|kept| {
            kept.environment.gate().halted().is_none()
                && kept.environment.gate().root_slot.load(Relaxed) == slot
        })
    }

    fn snapshot_if_due(&mut self, header: &SlotHeader) -> Result<()> {
        if let Some((slot, job)) = self.job.take_if(|(_, job)| job.is_finished()) {
            self.finish(slot, job)?;
        }
        let due = header.slot.is_multiple_of(self.policy.interval_slots);
        if !due || self.job.is_some() || !self.at_roots(header.slot) {
            return Ok(());
        }
        let deltas = self.take_changes();
        let roots = self.environments.iter().map(|(id, k)| (*id, k.db.root())).collect();
        let (snapshots, policy) = (self.snapshots.clone(), self.policy.clone());
        let (log, historian) = (self.log.clone(), self.historian.clone());
        let header = header.clone();
        let slot = header.slot;
        let job = std::thread::Builder::new().name("snapshot".into()).spawn(move || {
            // A snapshot must not be ahead of the log, nor history behind the log that is about to
            // be pruned.
            let synced = log.sync().map_err(Into::into).and_then(|_| historian.sync());
            synced
                .and_then(|()| write_snapshot(&snapshots, &header, &roots, &deltas, &policy))
                .map_err(|error| (deltas, error))
        })?;
        self.job = Some((slot, job));
        Ok(())
    }

    /// What the next snapshot merges. At a root: the trie has learned all of it.
    fn take_changes(&mut self) -> BTreeMap<EnvironmentId, Changes> {
        let take =
            |(id, kept): (&EnvironmentId, &mut Kept)| (*id, std::mem::take(&mut kept.changes));
        self.environments.iter_mut().map(take).collect()
    }

    fn finish(&mut self, slot: u64, job: SnapshotJob) -> Result<()> {
        match job.join() {
            Ok(Ok(needed)) => (self.on_snapshot)(needed),
            Ok(Err((deltas, error))) => {
                // The node goes on; the log is not pruned, and the next snapshot has it all.
                tracing::warn!(slot, "no snapshot: {error:#}");
                for (id, old) in deltas {
                    if let Some(kept) = self.environments.get_mut(&id) {
                        kept.changes.restore(&old);
                    }
                }
            }
            Err(_) => anyhow::bail!("the snapshot thread panicked"),
        }
        Ok(())
    }

    /// The snapshot of a new network: its genesis state.
    pub(crate) fn snapshot_genesis(
        &mut self,
        deltas: BTreeMap<EnvironmentId, Changes>,
    ) -> Result<()> {
        let roots = self.environments.iter().map(|(id, k)| (*id, k.db.root())).collect();
        let header = SlotHeader::default();
        write_snapshot(&self.snapshots, &header, &roots, &deltas, &self.policy).map(|_| ())
    }

    /// Makes everything durable, at the end of a run.
    pub(crate) fn close(&mut self) -> Result<()> {
        if let Some((slot, job)) = self.job.take() {
            self.finish(slot, job)?;
        }
        self.historian.sync()
    }
}

/// A write set as what a snapshot merges.
pub(crate) fn delta_of(writes: &WriteSet) -> Changes {
    let mut changes = Changes::default();
    changes.record(writes);
    changes
}

fn write_snapshot(
    store: &SnapshotStore,
    header: &SlotHeader,
    roots: &BTreeMap<EnvironmentId, B256>,
    deltas: &BTreeMap<EnvironmentId, Changes>,
    policy: &SnapshotPolicy,
) -> Result<u64> {
    let previous = store.slots()?.into_iter().rfind(|slot| *slot < header.slot);
    let previous = previous.map(|slot| store.snapshot(slot)).transpose()?;
    let builder = store.begin(header.slot)?;
    let mut files = Vec::new();
    for (id, delta) in deltas {
        let root = roots.get(id).copied().unwrap_or_default();
        let mut out = builder.environment(id.0, root.0, &header.to_bytes())?;
        let old = previous.as_ref().map(|snapshot| snapshot.reader(id.0)).transpose()?;
        atoll_storage::snapshot::merge(old, delta.sorted(), db::key_path, &mut out)?;
        files.push(out.finish()?);
    }
    builder.publish(&files)?;
    policy.retain(store)
}

/// The header in a snapshot's files: where the chain stood.
pub(crate) fn snapshot_header(meta: &[u8]) -> Result<SlotHeader> {
    SlotHeader::from_bytes(meta).context("the snapshot's header does not decode")
}
