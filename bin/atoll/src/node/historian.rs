//! Writes history, on a thread of its own: a slow disk delays answers about the past, never a state
//! root. Admission closes when history falls too far behind.

use super::archive::{self, Archive};
use super::environment::{Environment, SlotResult};
use anyhow::{Context, Result, anyhow};
use atoll_storage::HistoryBatch;
use atoll_types::{B256, EnvironmentId, SignedHeader, TickConfirmation};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Slots that history may be behind before admission closes.
pub(crate) const LAG_SLOTS_MAX: u64 = 100;
/// Slots that may wait: what is in flight when admission closes is less than the rest.
const WAITING_MAX: usize = 2 * LAG_SLOTS_MAX as usize;
/// Slots of one commit: one that is behind catches up in larger steps.
const SLOTS_PER_COMMIT: usize = 32;

/// What history is told of a slot.
pub(crate) struct Past {
    pub(crate) sealed: SignedHeader,
    pub(crate) ticks: Vec<TickConfirmation>,
    pub(crate) results: Vec<SlotResult>,
    /// Roots of environments that have one at this slot.
    pub(crate) roots: Vec<(EnvironmentId, B256)>,
}

enum Message {
    Slot(Box<Past>),
    /// Answered when everything before it is durable.
    Sync(SyncSender<Result<()>>),
}

/// An environment's part of history.
struct Part {
    environment: Arc<dyn Environment>,
    /// The last slot of which history has it: behind the others after a halt.
    indexed: u64,
}

/// The way to the historian.
#[derive(Clone)]
pub(crate) struct HistorianHandle(SyncSender<Message>);

impl HistorianHandle {
    /// Hands on the next slot. Waits when far too many are waiting: only a recovery gets there.
    pub(crate) fn tell(&self, past: Past) -> Result<()> {
        self.0.send(Message::Slot(Box::new(past))).map_err(|_| stopped())
    }

    /// Waits until history has every slot told so far, on disk.
    pub(crate) fn sync(&self) -> Result<()> {
        let (reply, answer) = sync_channel(1);
        self.0.send(Message::Sync(reply)).map_err(|_| stopped())?;
        answer.recv().map_err(|_| stopped())?
    }
}

fn stopped() -> anyhow::Error {
    anyhow!("history is not written any more: see the error before this one")
}

pub(crate) struct Historian {
    archive: Arc<Archive>,
    parts: BTreeMap<EnvironmentId, Part>,
    indexed: u64,
}

impl Historian {
    /// Starts where history stands; it ends with the last handle.
    pub(crate) fn start(
        archive: Arc<Archive>,
        environments: impl IntoIterator<Item = Arc<dyn Environment>>,
    ) -> Result<(HistorianHandle, JoinHandle<()>)> {
        let mut parts = BTreeMap::new();
        for environment in environments {
            let indexed = archive.indexed_part(environment.id())?;
            environment.gate().indexed_slot.store(indexed, Relaxed);
            parts.insert(environment.id(), Part { environment, indexed });
        }
        let indexed = archive.history.indexed_slot()?.unwrap_or(0);
        let historian = Self { archive, parts, indexed };
        let (sender, messages) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("historian".into());
        let thread = thread.spawn(move || historian.run(&messages))?;
        Ok((HistorianHandle(sender), thread))
    }

    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(first) = messages.recv() {
            let mut slots = Vec::new();
            let mut next = Some(first);
            let mut sync = None;
            while let Some(message) = next.take() {
                match message {
                    Message::Slot(past) => slots.push(*past),
                    Message::Sync(reply) => sync = Some(reply),
                }
                if sync.is_none() && slots.len() < SLOTS_PER_COMMIT {
                    next = messages.try_recv().ok();
                }
            }
            let done = self.write(&slots);
            let failed = done.is_err();
            match (sync, done) {
                (Some(reply), done) => {
                    let synced = done.and_then(|()| Ok(self.archive.history.sync()?));
                    let _ = reply.send(synced);
                }
                (None, Err(error)) => tracing::error!("history cannot be written: {error:#}"),
                (None, Ok(())) => {}
            }
            if failed {
                return;
            }
        }
    }

    fn write(&mut self, slots: &[Past]) -> Result<()> {
        let Some(last) = slots.last().map(|past| past.sealed.header.slot) else { return Ok(()) };
        // An environment that was halted brings its part of slots that are there already.
        let mut batch = HistoryBatch::new(last.max(self.indexed));
        for past in slots {
            self.add(past, &mut batch);
        }
        if !batch.puts.is_empty() {
            self.archive.history.commit(&batch, false).context("committing")?;
            self.indexed = batch.slot;
        }
        for part in self.parts.values() {
            part.environment.gate().indexed_slot.store(part.indexed, Relaxed);
        }
        Ok(())
    }

    fn add(&mut self, past: &Past, batch: &mut HistoryBatch) {
        let slot = past.sealed.header.slot;
        if slot > self.indexed {
            archive::put_header(batch, &past.sealed, &past.ticks);
        }
        for result in &past.results {
            let Some(part) = self.parts.get_mut(&result.environment) else { continue };
            if slot <= part.indexed {
                continue;
            }
            part.indexed = slot;
            archive::put_result(batch, result);
            let root = past.roots.iter().find(|(id, _)| *id == result.environment);
            if let Some((id, root)) = root {
                archive::put_root(batch, *id, slot, root);
            }
        }
    }
}
