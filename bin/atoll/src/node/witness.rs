//! Regenerates the claim about a slot, or part of it, from the nearest snapshot and the log.
//!
//! Witnesses are not stored: they are as large as what a slot touched, and hardly ever asked for.
//! Reads only; the node may be running.

use super::boot::{host, load_snapshot};
use super::driver;
use super::environment::Live;
use super::replica::Replica;
use super::{Hosted, genesis_state};
use anyhow::{Context, Result, bail};
use atoll_executor::verify::make_claim;
use atoll_executor::{Batch, Claim, EnvironmentSpec, Range};
use atoll_sequencer::LogRecord;
use atoll_state::PathProof;
use atoll_state::db::{MemoryDb, StateDb};
use atoll_storage::{DataDirView, LogReader, SnapshotStore};
use atoll_types::hub::ROUTER;
use atoll_types::{B256, Decode, EnvironmentId, NetworkId, SlotOpening, Tick};
use std::path::Path;

/// The network of a data folder and the specs it was booted with.
pub(crate) fn specs(data_dir: &Path) -> Result<(NetworkId, Vec<EnvironmentSpec>)> {
    let view = DataDirView::open(data_dir)?;
    let mut specs = Vec::new();
    for entry in std::fs::read_dir(view.node_dir())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "spec") {
            let bytes = std::fs::read(&path)?;
            let spec = EnvironmentSpec::from_bytes(&bytes)
                .with_context(|| format!("{} does not decode", path.display()))?;
            specs.push(spec);
        }
    }
    specs.sort_by_key(|spec| spec.id);
    Ok((NetworkId(B256::from(view.network())), specs))
}

/// The claim about the steps of one environment in a slot.
///
/// What the router delivers is made again too: so all environments are executed from the snapshot
/// up to the slot.
pub(crate) fn regenerate(
    data_dir: &Path,
    slot: u64,
    environment: EnvironmentId,
    commands: Option<(u32, u32)>,
) -> Result<Claim> {
    let (network, specs) = specs(data_dir)?;
    if !specs.iter().any(|spec| spec.id == environment) {
        bail!("this data folder has no environment {environment}");
    }
    let mut past = Past::restore(data_dir, network, &specs, slot)?;
    let batch = past.run_to(data_dir, slot, environment)?;
    let steps = batch.steps.len();
    let (start, end) = commands.unwrap_or((0, steps as u32));
    let range = batch
        .range(start, end)
        .with_context(|| format!("slot {slot} has commands 0..{steps}, not {start}..{end}"))?;
    let prefix = batch.range(0, start).filter(|_| start > 0);
    let (hosted, mut db) = past.0.take(environment)?;
    Ok(match hosted {
        Hosted::Exchange(live) => claim_with(network, &live, &mut db, prefix, range),
        Hosted::Evm(live) => claim_with(network, &live, &mut db, prefix, range),
        Hosted::Router(live) => claim_with(network, &live, &mut db, prefix, range),
    })
}

fn claim_with<V: super::environment::Hosted>(
    network: NetworkId,
    live: &Live<V>,
    db: &mut MemoryDb,
    prefix: Option<Range>,
    range: Range,
) -> Claim {
    let mut machine = live.machine.write();
    if let Some(prefix) = prefix {
        machine.run(&live.vm_spec, &prefix);
        db.commit(&machine.seal(None));
    }
    make_claim(network, &live.spec, &live.vm_spec, &mut machine, range, db).0
}

/// A network at a slot that has passed, in memory.
pub(crate) struct Past(Replica);

impl Past {
    /// The newest snapshot before `slot`.
    pub(crate) fn restore(
        data_dir: &Path,
        network: NetworkId,
        specs: &[EnvironmentSpec],
        slot: u64,
    ) -> Result<Self> {
        let mut at = 0;
        let mut hosted = Vec::new();
        for spec in specs {
            let environment = host(network, spec, 0);
            let (db, from) = nearest_state(data_dir, network, &environment, slot)?;
            at = from;
            hosted.push((environment, db));
        }
        Ok(Self(Replica::new(hosted, at)))
    }

    /// The slot reached.
    pub(crate) fn slot(&self) -> u64 {
        self.0.slot()
    }

    /// Executes the log through `slot`; that of a snapshot needs nothing.
    pub(crate) fn run_through(&mut self, data_dir: &Path, slot: u64) -> Result<()> {
        self.run(data_dir, slot, None).map(|_| ())
    }

    /// An object after the slot reached, with the proof of its leaf; `None` if it is absent.
    pub(crate) fn object(
        &mut self,
        environment: EnvironmentId,
        key: &[u8],
    ) -> Result<Option<(Vec<u8>, PathProof)>> {
        self.0.object(environment, key)
    }

    /// Executes the log up to `slot`, without the part of `environment` in that slot, which is
    /// returned.
    fn run_to(&mut self, data_dir: &Path, slot: u64, environment: EnvironmentId) -> Result<Batch> {
        let batch = self.run(data_dir, slot, Some(environment))?;
        batch.with_context(|| format!("slot {slot} is not sealed"))
    }

    fn run(
        &mut self,
        data_dir: &Path,
        slot: u64,
        environment: Option<EnvironmentId>,
    ) -> Result<Option<Batch>> {
        let from = self.slot();
        if from == slot {
            return Ok(None);
        }
        let mut reader = LogReader::open(DataDirView::open(data_dir)?.log_dir(), from + 1)?;
        let mut open: Option<(SlotOpening, Vec<Tick>)> = None;
        while let Some(record) = reader.next_record()? {
            if record.slot <= from || record.slot > slot {
                continue;
            }
            match driver::decode_record(&record.payload)? {
                LogRecord::Opened(opening) => open = Some((opening, Vec::new())),
                LogRecord::Tick(tick, _) => {
                    if let Some((_, ticks)) = &mut open {
                        ticks.push(tick);
                    }
                }
                LogRecord::Sealed(sealed) => {
                    let Some((opening, ticks)) = open.take() else { continue };
                    if sealed.header.slot != self.slot() + 1 {
                        bail!("the log has no slot {}; it was pruned", self.slot() + 1);
                    }
                    let wanted = environment.filter(|_| sealed.header.slot == slot);
                    if let Some(batch) = self.run_slot(&opening, &ticks, wanted) {
                        return Ok(Some(batch));
                    }
                    if self.slot() == slot {
                        return Ok(None);
                    }
                }
            }
        }
        if self.slot() == from {
            bail!("the log no longer holds slot {slot}: it was pruned behind a snapshot");
        }
        bail!("slot {slot} is not sealed; the last sealed slot is {}", self.slot())
    }

    /// Executes a slot; stops before the part of `wanted` and returns it.
    fn run_slot(
        &mut self,
        opening: &SlotOpening,
        ticks: &[Tick],
        wanted: Option<EnvironmentId>,
    ) -> Option<Batch> {
        let mut stopped_at = None;
        self.0.execute(|id, inbox| {
            let mut batch = Batch::open(id, opening, inbox);
            if id != ROUTER {
                ticks.iter().for_each(|tick| batch.push_tick(tick));
            }
            if wanted == Some(id) {
                stopped_at = Some(batch);
                return None;
            }
            Some(batch)
        });
        stopped_at
    }
}

/// The environment's state after the newest slot before `slot` that a snapshot has.
fn nearest_state(
    data_dir: &Path,
    network: NetworkId,
    hosted: &Hosted,
    slot: u64,
) -> Result<(MemoryDb, u64)> {
    let view = DataDirView::open(data_dir)?;
    let store = SnapshotStore::view(view.snapshot_dir(), network.0.0);
    if let Some(at) = store.slots()?.into_iter().rfind(|at| *at < slot) {
        let (db, _) = load_snapshot(hosted, &store.snapshot(at)?)?;
        return Ok((db, at));
    }
    if slot > 0 && store.slots()?.is_empty() {
        return Ok((genesis_state(hosted).0, 0));
    }
    bail!(
        "no snapshot from before slot {slot} is kept: the oldest is of slot {}. Run with a longer \
         --snapshot-interval or --keep-log to verify older slots",
        store.slots()?.first().copied().unwrap_or_default()
    )
}
