//! How far state roots lag behind execution in a node under full load.
//!
//! A whole node in this process: admission, sequencer, log, execution, history, roots, snapshots;
//! only sockets are missing. The load waits for a window of answers and otherwise never rests.
//! A slot's lag is the time from its execution to the moment a root that covers it is known: the
//! wait for the next commit interval included, which alone is up to one interval. Back-pressure
//! is what a client feels: `busy` because the root is late. Then the node is stopped and booted
//! again on what it left.

use super::load::{self, Load};
use super::{progress, resident_bytes, resident_peak_bytes};
use crate::cli::StateArgs;
use crate::node::driver::{Outcome, Wait};
use crate::node::environment::{Environment, Gate, Observer};
use crate::node::ports::exchange::ExchangeObserver;
use crate::node::{Hosted, Node, NodeConfig};
use crate::stats::Stats;
use anyhow::{Context, Result, bail};
use atoll_executor::EnvironmentSpec;
use atoll_executor::spec::VmSpec;
use atoll_storage::{DataDirView, SnapshotStore};
use atoll_types::crypto::SigningKey;
use atoll_types::{NetworkId, RejectCode};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::oneshot::Receiver;

const ACCOUNTS: u32 = 10_000;
/// Actions that may wait for their answer.
const WINDOW: usize = 128;
const ORACLE_INTERVAL: Duration = Duration::from_millis(100);
const SAMPLE_INTERVAL: Duration = Duration::from_millis(1);
/// As `atoll dev` has it.
const SNAPSHOT_INTERVAL_SLOTS: u64 = 600;
const SPARKLINE: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const SPARKLINE_WIDTH: usize = 60;

/// What the sampler saw.
#[derive(Default)]
struct Samples {
    /// When, and a slot's lag.
    slots: Vec<(Duration, f64)>,
    /// Lags of the slots whose own root is computed: what computing it takes, queueing included.
    commits: Vec<f64>,
}

/// Watches the gate until told to stop.
fn sample(gate: &Gate, interval_slots: u64, begin: Instant, stop: &AtomicBool) -> Samples {
    let mut samples = Samples::default();
    let mut waiting: VecDeque<(u64, Instant)> = VecDeque::new();
    let mut executed = gate.executed_slot.load(Relaxed);
    while !stop.load(Relaxed) {
        let now = Instant::now();
        let slot = gate.executed_slot.load(Relaxed);
        waiting.extend((executed + 1..=slot).map(|slot| (slot, now)));
        executed = slot;
        let root = gate.root_slot.load(Relaxed);
        while let Some((slot, since)) = waiting.pop_front_if(|(slot, _)| *slot <= root) {
            let lag = now.duration_since(since).as_secs_f64();
            samples.slots.push((now.duration_since(begin), lag));
            if slot.is_multiple_of(interval_slots) {
                samples.commits.push(lag);
            }
        }
        std::thread::sleep(SAMPLE_INTERVAL);
    }
    samples
}

/// Percentiles of seconds.
fn percentiles(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    let at = |quantile: f64| {
        let last = values.len().saturating_sub(1);
        values.get((last as f64 * quantile).round() as usize).copied().unwrap_or(0.0)
    };
    json!({ "p50": at(0.5), "p99": at(0.99), "max": at(1.0), "count": values.len() })
}

/// The highest lag of each part of the run, and the same as a line of blocks.
fn plot(samples: &Samples, length: Duration) -> (Vec<f64>, String) {
    // Roots come once a second: a part is no shorter.
    let parts = (length.as_secs() as usize).clamp(1, SPARKLINE_WIDTH);
    let mut highest = vec![0.0f64; parts];
    for (when, lag) in &samples.slots {
        let at = when.as_secs_f64() / length.as_secs_f64() * parts as f64;
        let at = (at as usize).min(parts - 1);
        highest[at] = highest[at].max(*lag);
    }
    let top = highest.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let block = |lag: &f64| SPARKLINE[((lag / top * 8.0) as usize).min(7)];
    let line = highest.iter().map(block).collect();
    (highest, line)
}

/// What the load has done.
#[derive(Default)]
struct Driven {
    commands: u64,
    refused: BTreeMap<RejectCode, u64>,
    /// Times that back-pressure refused an action, and how long it held the load altogether.
    held: u64,
    held_time: Duration,
}

struct Run {
    node: Node,
    environment: Arc<dyn Environment>,
    stats: Arc<Stats>,
}

fn boot(folder: &Path, spec: &EnvironmentSpec) -> Result<Run> {
    let VmSpec::Exchange(vm) = &spec.vm else { bail!("the load is for an exchange") };
    let stats = Arc::new(Stats::new());
    let observer: Arc<dyn Observer> = ExchangeObserver::new(stats.clone(), vm);
    let node = Node::boot(NodeConfig {
        slot_us: crate::node::SLOT_US,
        settles: false,
        censored: None,
        network: network(spec),
        specs: vec![spec.clone()],
        data_dir: folder.join("node"),
        reset: false,
        durability: atoll_storage::Durability::Written,
        snapshot_interval_slots: SNAPSHOT_INTERVAL_SLOTS,
        keep_log: false,
        accept_log_damage: false,
        key: SigningKey::from_label("sequencer"),
        observers: BTreeMap::from([(spec.id, observer)]),
        stats: stats.clone(),
    })?;
    let environment = node.shared.environment(spec.id).context("the environment just booted")?;
    Ok(Run { node, environment, stats })
}

fn network(spec: &EnvironmentSpec) -> NetworkId {
    crate::specs::network("bench", std::slice::from_ref(spec))
}

impl Run {
    /// Full load for this long.
    fn drive(&self, load: &mut Load, length: Duration) -> Result<Driven> {
        let mut driven = Driven::default();
        let mut window: VecDeque<Receiver<Outcome>> = VecDeque::new();
        let begin = Instant::now();
        let (mut oracle_due, mut report_due) = (begin, begin);
        while begin.elapsed() < length {
            let now = Instant::now();
            if oracle_due <= now {
                oracle_due = now + ORACLE_INTERVAL;
                self.send_oracle(load)?;
            }
            if report_due <= now {
                report_due = now + Duration::from_secs(1);
                self.report(&driven, begin.elapsed(), length);
            }
            for signed in load.turn() {
                while window.len() >= WINDOW {
                    let answer = window.pop_front().map(Receiver::blocking_recv);
                    if let Some(Ok(Err(reject))) = answer {
                        *driven.refused.entry(reject.code).or_default() += 1;
                    }
                }
                self.submit(signed.bytes, &mut driven, &mut window)?;
                driven.commands += signed.commands;
            }
        }
        window.into_iter().for_each(|answer| drop(answer.blocking_recv()));
        Ok(driven)
    }

    fn send_oracle(&self, load: &mut Load) -> Result<()> {
        let Some(Hosted::Exchange(live)) = self.node.shared.environments.first() else {
            bail!("the load is for an exchange");
        };
        // Back-pressure refuses the oracle too; the next update follows.
        let bytes = load.oracle(&live.identity);
        let _ = self.node.shared.submit(self.environment.id(), bytes, Wait::Admission);
        Ok(())
    }

    /// Submits until the node takes it.
    fn submit(
        &self,
        bytes: Vec<u8>,
        driven: &mut Driven,
        window: &mut VecDeque<Receiver<Outcome>>,
    ) -> Result<()> {
        let mut held: Option<Instant> = None;
        loop {
            let answer =
                self.node.shared.submit(self.environment.id(), bytes.clone(), Wait::Execution);
            match answer {
                Ok(answer) => {
                    window.push_back(answer);
                    break;
                }
                Err(reject) if reject.code == RejectCode::Busy => {
                    held.get_or_insert_with(Instant::now);
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(reject) => bail!("the load was refused: {reject:?}"),
            }
        }
        if let Some(since) = held {
            driven.held += 1;
            driven.held_time += since.elapsed();
        }
        Ok(())
    }

    fn report(&self, driven: &Driven, elapsed: Duration, length: Duration) {
        let gate = self.environment.gate();
        let executed = gate.executed_slot.load(Relaxed);
        progress(&format!(
            "full load: {:.0} of {:.0} s, {:.0} orders/s, {} slots without a root, held {} times",
            elapsed.as_secs_f64(),
            length.as_secs_f64(),
            driven.commands as f64 / elapsed.as_secs_f64().max(0.001),
            executed.saturating_sub(gate.root_slot.load(Relaxed)),
            driven.held,
        ));
    }
}

/// Bytes of all files below a folder.
fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// Runs the load and restarts the node.
pub(super) fn measure(args: &StateArgs, folder: &Path) -> Result<Value> {
    let length = args.root_lag;
    progress("full load: booting a node …");
    let spec = load::spec(ACCOUNTS)?;
    let VmSpec::Exchange(vm) = &spec.vm else { bail!("the load is for an exchange") };
    let mut load = Load::new(vm, ACCOUNTS);
    let run = boot(folder, &spec)?;
    let interval = u64::from(spec.commit_interval_slots);
    let stop = AtomicBool::new(false);
    let begin = Instant::now();
    let (driven, samples) = std::thread::scope(|scope| {
        let environment = run.environment.clone();
        let stop = &stop;
        let sampler = scope.spawn(move || sample(environment.gate(), interval, begin, stop));
        let driven = run.drive(&mut load, length);
        stop.store(true, Relaxed);
        let samples = sampler.join().map_err(|_| anyhow::anyhow!("the sampler panicked"))?;
        anyhow::Ok((driven?, samples))
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    let (resident, peak) = (resident_bytes(), resident_peak_bytes());
    let (orders, fills) = (Stats::get(&run.stats.orders), Stats::get(&run.stats.fills));
    progress("full load: stopping …");
    let Run { node, environment, .. } = run;
    let shared = node.shared.clone();
    node.stop()?;
    let root = shared.roots.lock().get(&spec.id).copied().unwrap_or_default();
    let head = shared.head.read().slot;
    drop((shared, environment, load));
    let view = DataDirView::open(folder.join("node"))?;
    let disk = [view.log_dir(), view.snapshot_dir(), view.history_dir()].map(|d| disk_bytes(&d));
    let slots = SnapshotStore::view(view.snapshot_dir(), network(&spec).0.0).slots()?;
    let replayed = head - slots.last().copied().unwrap_or(0);

    progress(&format!("restart: a snapshot and {replayed} slots of log …"));
    let begin = Instant::now();
    let run = boot(folder, &spec)?;
    let restart_s = begin.elapsed().as_secs_f64();
    let again = run.node.shared.roots.lock().get(&spec.id).copied().unwrap_or_default();
    run.node.stop()?;
    if (again.slot, again.root) != (root.slot, root.root) {
        bail!(
            "after the restart the root is {} at slot {}, before it was {} at slot {}",
            again.root,
            again.slot,
            root.root,
            root.slot
        );
    }
    progress("");

    let (highest, line) = plot(&samples, length);
    let lag = percentiles(samples.slots.iter().map(|(_, lag)| *lag).collect());
    let commit = percentiles(samples.commits);
    let target = spec.root_lag_slots_max;
    let number = |value: &Value, key: &str| value[key].as_f64().unwrap_or_default();
    println!(
        "full load for {seconds:.0} s: {:.0} orders/s, {:.0} fills/s, {} objects in the state\n\
         root lag: p50 {:.2} s, p99 {:.2} s, max {:.2} s from a slot's execution to a root that \
         covers it\n          of that computing the root p50 {:.3} s, p99 {:.3} s, max {:.3} s\n\
         {line} (highest lag over time, up to {:.2} s)\n\
         back-pressure held the load {} times, {:.1} s altogether (a root may lag {target} slots)\n\
         memory {:.0} MB, peak {:.0} MB; disk: log {:.0} MB, snapshots {:.0} MB, history {:.0} MB\n\
         restart in {restart_s:.2} s: snapshot, {replayed} slots of log, same root",
        orders as f64 / seconds,
        fills as f64 / seconds,
        root.leaves,
        number(&lag, "p50"),
        number(&lag, "p99"),
        number(&lag, "max"),
        number(&commit, "p50"),
        number(&commit, "p99"),
        number(&commit, "max"),
        number(&lag, "max"),
        driven.held,
        driven.held_time.as_secs_f64(),
        resident as f64 / 1e6,
        peak as f64 / 1e6,
        disk[0] as f64 / 1e6,
        disk[1] as f64 / 1e6,
        disk[2] as f64 / 1e6,
    );
    let refused: BTreeMap<String, u64> =
        driven.refused.iter().map(|(code, n)| (format!("{code:?}"), *n)).collect();
    Ok(json!({
        "seconds": seconds,
        "accounts": ACCOUNTS,
        "commands": driven.commands,
        "orders_per_s": orders as f64 / seconds,
        "fills_per_s": fills as f64 / seconds,
        "lag_s": lag,
        "commit_s": commit,
        "lag_over_time_s": highest,
        "held": driven.held,
        "held_s": driven.held_time.as_secs_f64(),
        "refused": refused,
        "objects": root.leaves,
        "trie_bytes": root.memory_bytes,
        "resident_bytes": resident,
        "resident_peak_bytes": peak,
        "disk_bytes": { "log": disk[0], "snapshots": disk[1], "history": disk[2] },
        "restart_s": restart_s,
        "restart_slots": replayed,
        "root_slot": root.slot,
        "root": root.root.to_string(),
    }))
}
