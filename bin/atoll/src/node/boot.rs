//! Booting a node: data folder, snapshot, log, threads. After a crash this is the recovery.

use super::archive::Archive;
use super::driver::{Driver, DriverMessage, Threads};
use super::environment::{Live, Observer, Runner};
use super::historian::Historian;
use super::keeper::{self, Keeper, SnapshotPolicy};
use super::router::Router;
use super::{Hosted, Shared, replay};
use crate::stats::Stats;
use anyhow::{Context, Result, bail};
use atoll_executor::EnvironmentSpec;
use atoll_executor::spec::{Ordering as TickOrdering, VmSpec};
use atoll_mempool::{Limits, Mempool, Queueing, RateLimit};
use atoll_sequencer::{LanePolicy, Solo, SoloConfig, Tip};
use atoll_state::db::{self, MemoryDb, StateDb};
use atoll_storage::{
    DataDir, Durability, History, HistoryOptions, Log, LogOptions, Snapshot, SnapshotStore,
    StorageError, UnsyncedDamage,
};
use atoll_types::crypto::SigningKey;
use atoll_types::{Address, Encode, EnvironmentId, NetworkId, SlotHeader};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;

/// Submissions that may wait for the driver.
const SUBMISSIONS_MAX: usize = 65_536;
/// Length of a slot where nothing else is said.
pub(crate) const SLOT_US: u64 = 100_000;
/// Snapshots kept: the newest, and one to fall back on.
const SNAPSHOTS_KEPT: usize = 2;

/// What a node is booted with.
pub(crate) struct NodeConfig {
    pub(crate) network: NetworkId,
    pub(crate) specs: Vec<EnvironmentSpec>,
    pub(crate) data_dir: PathBuf,
    pub(crate) reset: bool,
    pub(crate) durability: Durability,
    pub(crate) snapshot_interval_slots: u64,
    pub(crate) keep_log: bool,
    /// Cut the log before damage in what a loss of power may have kept from the disk.
    pub(crate) accept_log_damage: bool,
    pub(crate) key: SigningKey,
    /// Length of a slot.
    pub(crate) slot_us: u64,
    /// Whether slots are settled on a hub: roots back to the last settled one stay provable.
    pub(crate) settles: bool,
    /// A signer of whom the node takes nothing: see [`crate::cli::Hostile`].
    pub(crate) censored: Option<Address>,
    /// Told of what each environment executes, while running and while recovering.
    pub(crate) observers: BTreeMap<EnvironmentId, Arc<dyn Observer>>,
    /// The observers count here too.
    pub(crate) stats: Arc<Stats>,
}

/// A running node.
pub(crate) struct Node {
    pub(crate) shared: Arc<Shared>,
    threads: Threads,
    /// Held as long as the node runs.
    _data_dir: DataDir,
}

/// An environment with its genesis state, for benchmarks, witnesses and boot alike.
pub(crate) fn host(network: NetworkId, spec: &EnvironmentSpec, seed: u64) -> Hosted {
    let hosted = match &spec.vm {
        VmSpec::Exchange(_) => Live::new(network, spec, seed).map(Arc::new).map(Hosted::Exchange),
        VmSpec::Evm(_) => Live::new(network, spec, seed).map(Arc::new).map(Hosted::Evm),
        VmSpec::Router(_) => Live::new(network, spec, seed).map(Arc::new).map(Hosted::Router),
    };
    hosted.expect("the VM is chosen by the spec's own kind")
}

/// Writes an environment's genesis into it and returns its authenticated state.
pub(crate) fn genesis_state(hosted: &Hosted) -> (MemoryDb, atoll_state::WriteSet) {
    let writes = hosted.environment().genesis();
    let mut db = MemoryDb::default();
    db.commit(&writes);
    (db, writes)
}

/// Loads an environment's state from a snapshot and checks its root.
pub(crate) fn load_snapshot(
    hosted: &Hosted,
    snapshot: &Snapshot,
) -> Result<(MemoryDb, SlotHeader)> {
    let environment = hosted.environment();
    let mut reader = snapshot.reader(environment.id().0)?;
    let mut leaves = Vec::with_capacity(usize::try_from(reader.records())?);
    while reader.advance()? {
        environment.load(reader.key(), reader.value())?;
        leaves.push((db::key_path(reader.key()), db::value_hash(reader.value())));
    }
    environment.loaded();
    let db = MemoryDb::from_leaves(leaves);
    let claimed = reader.header().state_root;
    if db.root().0 != claimed {
        bail!(
            "the snapshot of slot {} gives root {} for {}, and says {}: it was changed",
            snapshot.slot(),
            db.root(),
            environment.spec().name,
            atoll_types::B256::from(claimed)
        );
    }
    let header = keeper::snapshot_header(&reader.header().meta)?;
    Ok((db, header))
}

/// A random seed for in-memory indexes: attackers choose keys, not where they land.
fn index_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0u8)
}

impl Node {
    /// Boots: opens the data folder, recovers, and starts to order.
    pub(crate) fn boot(config: NodeConfig) -> Result<Self> {
        let network = config.network;
        let data_dir = match config.reset {
            true => DataDir::reset(&config.data_dir, network.0.0)?,
            false => DataDir::open(&config.data_dir, network.0.0)?,
        };
        save_specs(&data_dir, &config.specs)?;
        let log = open_log(&data_dir, config.accept_log_damage)?;
        // What was written before the crash is made durable before anything is said about it.
        log.sync_handle().sync()?;
        let history = History::open(data_dir.history_dir(), HistoryOptions::default())?;
        let archive = Arc::new(Archive { history });
        let store = SnapshotStore::open(data_dir.snapshot_dir(), network.0.0)?;
        let hosted: Vec<Hosted> =
            config.specs.iter().map(|spec| host(network, spec, index_seed())).collect();

        let (sender, messages) = sync_channel(SUBMISSIONS_MAX);
        let prune = sender.clone();
        let roots = keeper::Roots::default();
        let settled = Arc::new(AtomicU64::new(match config.settles {
            true => 0,
            false => u64::MAX,
        }));
        let policy = SnapshotPolicy {
            interval_slots: config.snapshot_interval_slots.max(1),
            keep: SNAPSHOTS_KEPT,
            settled: settled.clone(),
        };
        let on_snapshot = Box::new(move |slot| {
            let _ = prune.send(DriverMessage::Prune(slot));
        });
        let (historian, historian_thread) =
            Historian::start(archive.clone(), hosted.iter().map(Hosted::environment))?;
        let mut keeper = Keeper::new(
            log.sync_handle(),
            historian.clone(),
            store.clone(),
            policy,
            roots.clone(),
            on_snapshot,
        );
        let snapshot_header = restore(&store, &hosted, &mut keeper)?;

        let runner = |hosted: &Hosted| {
            let environment = hosted.environment();
            let observer = config.observers.get(&environment.id()).cloned();
            observer.iter().for_each(|observer| observer.restored(hosted));
            Runner::new(environment, observer)
        };
        let routed = |hosted: &&Hosted| !matches!(hosted, Hosted::Router(_));
        let mut runners: Vec<Runner> = hosted.iter().filter(routed).map(runner).collect();
        let mut router = hosted.iter().find_map(|hosted| match hosted {
            Hosted::Router(live) => Some(Router::new(live.clone())),
            _ => None,
        });
        let tip = match snapshot_header.slot {
            0 => Tip::genesis(&network),
            _ => Tip::after(&snapshot_header),
        };
        let replayed = replay::run(network, &log, tip, &mut runners, &mut router, &mut keeper)?;
        // Who asks about the past finds it from the first moment on.
        historian.sync()?;
        drop(historian);

        let mut solo = SoloConfig::new(network, replayed.tip.term.max(1));
        solo.slot_us = config.slot_us;
        for spec in &config.specs {
            solo.policies.insert(spec.id, lane_policy(spec.ordering));
        }
        let term = solo.term;
        let leader = config.key.address();
        let sequencer = Solo::new(solo, config.key, replayed.tip)?;
        let shared = Arc::new(Shared {
            network,
            leader,
            term,
            environments: hosted,
            archive,
            roots,
            stats: config.stats,
            head: RwLock::new(replayed.head.unwrap_or(snapshot_header)),
            finalised: AtomicU64::new(0),
            settled,
            censored: config.censored,
            driver: sender,
        });
        shared.finalised.store(shared.head.read().slot, Relaxed);
        let queueing = config.specs.iter().map(|spec| match spec.ordering {
            TickOrdering::Lanes | TickOrdering::Hyperliquid => (spec.id, Queueing::Lanes),
            TickOrdering::Arrival => (spec.id, Queueing::Arrival),
        });
        let rate = RateLimit { units_per_s: 100_000, burst_units: 200_000, lane_units: [1, 2, 2] };
        let limits = Limits { rate: Some(rate), ..Limits::default() };
        let driver = Driver {
            shared: shared.clone(),
            sequencer,
            log,
            durability: config.durability,
            keep_log: config.keep_log,
            messages,
            mempool: Mempool::new(limits, queueing)?,
            runners,
            router,
            keeper,
            historian: historian_thread,
            opening: replayed.opening,
            open_ticks: replayed.open_ticks,
        };
        let threads = driver.start()?;
        // The first slot opens at once; nothing is admitted before.
        let opened = |hosted: &Hosted| hosted.environment().gate().opened.load(Relaxed);
        while !shared.environments.iter().filter(routed).all(opened) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Ok(Self { shared, threads, _data_dir: data_dir })
    }

    /// Seals the open slot, executes and keeps everything ordered, and makes it durable.
    pub(crate) fn stop(self) -> Result<()> {
        let _ = self.shared.driver.send(DriverMessage::Stop);
        self.threads.join()
    }
}

fn open_log(data_dir: &DataDir, accept_damage: bool) -> Result<Log> {
    let unsynced_damage = match accept_damage {
        true => UnsyncedDamage::Cut,
        false => UnsyncedDamage::Refuse,
    };
    let options = LogOptions { unsynced_damage, ..LogOptions::default() };
    let log = Log::open(data_dir.log_dir(), options).map_err(|error| {
        let unsynced = matches!(error, StorageError::LogDamaged { synced: false, .. });
        let error = anyhow::Error::from(error);
        match unsynced {
            true => error.context(
                "the end of the log is damaged where it was not yet on disk, as a loss of power \
                 leaves it; confirmations may have been given for what stands behind it. To go on \
                 without that part, start once with --accept-log-damage",
            ),
            false => error,
        }
    })?;
    match log.cut() {
        Some(cut) if cut.records > 0 => tracing::warn!(
            file = %cut.file.display(), offset = cut.offset, records = cut.records,
            "cut the log before damage ({}): what was confirmed behind it is lost", cut.reason
        ),
        Some(cut) => tracing::warn!(
            file = %cut.file.display(), offset = cut.offset, bytes = cut.bytes,
            "cut an unfinished write off the log ({}); nothing confirmed was in it", cut.reason
        ),
        None => {}
    }
    Ok(log)
}

/// Copies of the specs: `atoll verify` needs no spec files.
fn save_specs(data_dir: &DataDir, specs: &[EnvironmentSpec]) -> Result<()> {
    for spec in specs {
        let path = data_dir.node_dir().join(format!("{}.spec", spec.id));
        std::fs::write(&path, spec.to_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Brings every environment to the state of the latest usable snapshot, or to genesis.
fn restore(store: &SnapshotStore, hosted: &[Hosted], keeper: &mut Keeper) -> Result<SlotHeader> {
    let latest = store.latest_complete()?;
    for (slot, error) in &latest.damaged {
        tracing::warn!(slot, "passing over a damaged snapshot: {error}");
        store.remove(*slot)?;
    }
    let mut header = SlotHeader::default();
    match latest.snapshot {
        Some(snapshot) => {
            for hosted in hosted {
                let (db, at) = load_snapshot(hosted, &snapshot)?;
                keeper.adopt(hosted.environment(), db, at.slot);
                header = at;
            }
        }
        None if !latest.damaged.is_empty() => bail!(
            "every snapshot is damaged; restore the data folder from a copy, or start over with \
             --reset"
        ),
        None => {
            let mut deltas = BTreeMap::new();
            for hosted in hosted {
                let (db, writes) = genesis_state(hosted);
                let environment = hosted.environment();
                deltas.insert(environment.id(), keeper::delta_of(&writes));
                keeper.adopt(environment, db, 0);
            }
            keeper.snapshot_genesis(deltas)?;
        }
    }
    Ok(header)
}

/// How the sequencer puts an environment's transactions in order.
pub(crate) fn lane_policy(ordering: TickOrdering) -> LanePolicy {
    match ordering {
        TickOrdering::Lanes => LanePolicy::Lanes,
        TickOrdering::Arrival => LanePolicy::Arrival,
        TickOrdering::Hyperliquid => LanePolicy::Hyperliquid,
    }
}
