//! Executes the log from the snapshot on, through the same code as a running node.
//!
//! Three threads, as there: one reads records and checks signatures, one executes, one keeps. Each
//! hands on in the log's order, and the first error ends all three.

use super::driver;
use super::environment::{AnyPrepared, Environment, Item, Place, Runner};
use super::keeper::{Keeper, KeptSlot};
use super::router::Router;
use anyhow::{Result, anyhow};
use atoll_sequencer::{LogRecord, Recovery, Signatures, Tip};
use atoll_storage::Log;
use atoll_types::confirmation::running_hashes;
use atoll_types::{NetworkId, SignedHeader, SlotHeader, SlotOpening, Tick, TickConfirmation};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::ScopedJoinHandle;

/// Records that may wait for execution. Ticks are bounded, and so is what waits.
const RECORDS_MAX: usize = 64;
/// Executed slots that may wait for the keeper.
const SLOTS_MAX: usize = 16;

/// Where replaying the log has led.
pub(crate) struct Replayed {
    pub(crate) tip: Tip,
    /// The last sealed header in the log.
    pub(crate) head: Option<SlotHeader>,
    /// The slot that is still open.
    pub(crate) opening: Option<Arc<SlotOpening>>,
    /// Its signed ticks.
    pub(crate) open_ticks: Vec<TickConfirmation>,
}

/// A record, ready to be executed.
enum Ready {
    Opened(SlotOpening),
    /// The tick's time, its confirmation, and each environment's part.
    Tick(u64, TickConfirmation, Vec<Vec<Item>>),
    Sealed(SignedHeader),
}

/// Replays everything behind `tip`.
pub(crate) fn run(
    network: NetworkId,
    log: &Log,
    tip: Tip,
    runners: &mut [Runner],
    router: &mut Option<Router>,
    keeper: &mut Keeper,
) -> Result<Replayed> {
    let environments: Vec<_> = runners.iter().map(|runner| runner.environment().clone()).collect();
    std::thread::scope(|scope| {
        let (to_execution, ready) = sync_channel(RECORDS_MAX);
        let (to_keeper, slots) = sync_channel(SLOTS_MAX);
        let reading = scope.spawn(move || read(network, log, tip, &environments, &to_execution));
        let keeping = scope.spawn(move || keep(keeper, &slots));
        let (head, opening, open_ticks) = execute(runners, router, &ready, &to_keeper);
        // Whoever still waits for this thread learns that it has ended.
        drop((ready, to_keeper));
        let tip = join(reading)?;
        join(keeping)?;
        Ok(Replayed { tip, head, opening, open_ticks })
    })
}

fn join<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a thread of the recovery panicked"))?
}

/// Reads and prepares until the log or the execution ends.
fn read(
    network: NetworkId,
    log: &Log,
    tip: Tip,
    environments: &[Arc<dyn Environment>],
    to_execution: &SyncSender<Ready>,
) -> Result<Tip> {
    let first = tip.slot + 1;
    let mut recovery = Recovery::new(network, Signatures::Trust, tip);
    let mut reader = log.iter_from(first)?;
    while let Some(record) = reader.next_record()? {
        if record.slot < first {
            continue;
        }
        let record = driver::decode_record(&record.payload)?;
        recovery.push(&record)?;
        let ready = match record {
            LogRecord::Opened(opening) => Ready::Opened(opening),
            LogRecord::Tick(tick, confirmation) => {
                let part = |e: &Arc<dyn Environment>| items_of(&tick, &confirmation, &**e);
                let parts = environments.iter().map(part).collect();
                Ready::Tick(tick.time_us, confirmation, parts)
            }
            LogRecord::Sealed(header) => Ready::Sealed(header),
        };
        if to_execution.send(ready).is_err() {
            break;
        }
    }
    Ok(recovery.finish())
}

/// Executes until the records or the keeper end; returns the last header, the opening behind it and
/// that one's ticks.
fn execute(
    runners: &mut [Runner],
    router: &mut Option<Router>,
    ready: &Receiver<Ready>,
    to_keeper: &SyncSender<KeptSlot>,
) -> (Option<SlotHeader>, Option<Arc<SlotOpening>>, Vec<TickConfirmation>) {
    let mut head = None;
    let mut open = None;
    let mut ticks = Vec::new();
    while let Ok(record) = ready.recv() {
        match record {
            Ready::Opened(opening) => {
                ticks.clear();
                for runner in runners.iter_mut() {
                    let id = runner.environment().id();
                    let inbox = router.as_ref().map(|r| r.deliveries(opening.slot, id));
                    runner.open(&opening, &inbox.unwrap_or_default());
                }
                open = Some(Arc::new(opening));
            }
            Ready::Tick(time_us, confirmation, parts) => {
                for (runner, mut items) in runners.iter_mut().zip(parts) {
                    runner.tick(time_us, &mut items);
                }
                ticks.push(confirmation);
            }
            Ready::Sealed(sealed) => {
                let header = &sealed.header;
                let results = runners.iter_mut().filter_map(|runner| runner.seal(header));
                let mut results: Vec<_> = results.collect();
                if let (Some(router), Some(opening)) = (router.as_mut(), open.take()) {
                    results.extend(router.route(&opening, header, &results));
                }
                let ticks = std::mem::take(&mut ticks);
                head = Some(header.clone());
                if to_keeper.send(KeptSlot { sealed, ticks, results }).is_err() {
                    break;
                }
            }
        }
    }
    (head, open, ticks)
}

fn keep(keeper: &mut Keeper, slots: &Receiver<KeptSlot>) -> Result<()> {
    while let Ok(slot) = slots.recv() {
        keeper.keep(slot)?;
    }
    Ok(())
}

/// A logged tick's transactions for one environment, prepared as admission had prepared them.
fn items_of(
    tick: &Tick,
    confirmation: &TickConfirmation,
    environment: &dyn Environment,
) -> Vec<Item> {
    let running = running_hashes(&confirmation.before, &tick.transactions);
    let own = tick.transactions.iter().zip(running).enumerate();
    own.filter(|(_, (transaction, _))| transaction.environment == environment.id())
        .map(|(index, (transaction, running))| {
            let prepared: AnyPrepared = environment.prepare(&transaction.bytes);
            let place = Place { tick: tick.index, index: index as u32, running };
            Item { bytes: transaction.bytes.clone(), prepared, place }
        })
        .collect()
}
