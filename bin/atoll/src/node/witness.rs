//! Regenerates the claim about a slot, or part of it, from the nearest snapshot and the log.
//!
//! Witnesses are not stored: they are as large as what a slot touched, and hardly ever asked for.
//! Reads only; the node may be running.

use super::boot::{host, load_snapshot};
use super::driver;
use super::environment::Live;
use super::{Hosted, genesis_state};
use anyhow::{Context, Result, bail};
use atoll_executor::verify::make_claim;
use atoll_executor::{Batch, Claim, EnvironmentSpec};
use atoll_sequencer::LogRecord;
use atoll_state::db::{MemoryDb, StateDb};
use atoll_storage::{DataDirView, LogReader, SnapshotStore};
use atoll_types::{B256, Decode, EnvironmentId, NetworkId};
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
pub(crate) fn regenerate(
    data_dir: &Path,
    slot: u64,
    environment: EnvironmentId,
    commands: Option<(u32, u32)>,
) -> Result<Claim> {
    let (network, specs) = specs(data_dir)?;
    let Some(spec) = specs.iter().find(|spec| spec.id == environment) else {
        bail!("this data folder has no environment {environment}");
    };
    match host(network, spec, 0) {
        Hosted::Exchange(live) => claim_with(data_dir, network, &live, slot, commands),
        Hosted::Evm(live) => claim_with(data_dir, network, &live, slot, commands),
    }
}

fn claim_with<V: super::environment::Hosted>(
    data_dir: &Path,
    network: NetworkId,
    live: &std::sync::Arc<Live<V>>,
    slot: u64,
    commands: Option<(u32, u32)>,
) -> Result<Claim>
where
    std::sync::Arc<Live<V>>: Into<Hosted>,
{
    let hosted: Hosted = live.clone().into();
    let (mut db, from) = nearest_state(data_dir, network, &hosted, slot)?;
    let mut machine = live.machine.write();
    let mut reader = LogReader::open(DataDirView::open(data_dir)?.log_dir(), from + 1)?;
    let mut batch: Option<Batch> = None;
    let mut last = from;
    while let Some(record) = reader.next_record()? {
        if record.slot <= from || record.slot > slot {
            continue;
        }
        match driver::decode_record(&record.payload)? {
            LogRecord::Opened(opening) => batch = Some(Batch::open(live.spec.id, &opening)),
            LogRecord::Tick(tick, _) => {
                if let Some(batch) = &mut batch {
                    batch.push_tick(&tick);
                }
            }
            LogRecord::Sealed(header) => {
                let Some(batch) = batch.take() else { continue };
                if header.slot != last + 1 {
                    bail!("the log has no slot {}; it was pruned", last + 1);
                }
                last = header.slot;
                if header.slot < slot {
                    machine.run(&live.vm_spec, &batch.whole());
                    db.commit(&machine.seal(None));
                    continue;
                }
                let range = match commands {
                    None => batch.whole(),
                    Some((start, end)) => {
                        let steps = batch.steps.len();
                        let inside = batch.range(start, end);
                        let range = inside.with_context(|| {
                            format!("slot {slot} has commands 0..{steps}, not {start}..{end}")
                        })?;
                        if start > 0 {
                            let prefix = batch.range(0, start).unwrap_or_else(|| batch.whole());
                            machine.run(&live.vm_spec, &prefix);
                            db.commit(&machine.seal(None));
                        }
                        range
                    }
                };
                let (claim, _) =
                    make_claim(network, &live.spec, &live.vm_spec, &mut machine, range, &mut db);
                return Ok(claim);
            }
        }
    }
    if last < from + 1 {
        bail!("the log no longer holds slot {slot}: it was pruned behind a snapshot");
    }
    bail!("slot {slot} is not sealed; the last sealed slot is {last}")
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
