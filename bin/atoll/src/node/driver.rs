//! The driver thread: mempool → sequencer → log → environments, in that order for every event.
//!
//! Nothing of an event leaves this thread before its record is in the log. If writing the log
//! fails, the process ends: the sequencer has gone on, and nothing it says may be believed.

use super::Shared;
use super::environment::{AnyChecked, Item, Place, Runner, SlotResult};
use super::keeper::{Keeper, KeptSlot};
use super::router::Router;
use crate::stats::Stats;
use atoll_mempool::{Mempool, PendingTransaction};
use atoll_sequencer::{
    ClosedTick, HubQueue, LogRecord, Pending, Sequencer, SequencerEvent, Solo, Supply,
};
use atoll_storage::{Durability, Log, RecordRef, SyncHandle};
use atoll_types::hub::SLOT_ENTRIES_MAX;
use atoll_types::{
    B256, Confirmation, EnvironmentId, Message, Reject, RejectCode, SignedHeader, SlotHeader,
    SlotOpening, TickConfirmation, Transaction,
};
use atoll_vm::Receipt;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

/// All log records have one kind: [`LogRecord`] says what they are.
pub(crate) const RECORD_KIND: u8 = 1;
/// Ticks that may wait for one environment: past that the order waits for execution.
const ENVIRONMENT_QUEUE: usize = 1024;
/// Longest sleep while a tick is gathered; a tick that takes longer is waited for listening.
const GATHER_MAX: Duration = Duration::from_millis(1);
/// Submissions taken in before the sequencer is polled again.
const INTAKE_MAX: usize = 4096;

/// When a submission is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// When the mempool has it.
    Admission,
    /// When its tick is in the log.
    Confirmation,
    /// When it is executed.
    Execution,
}

/// The answer to a submission.
pub(crate) type Outcome = Result<(Option<Confirmation>, Option<Receipt>), Reject>;

/// A transaction on its way in, with whoever waits for it.
pub(crate) struct Submission {
    pub(crate) environment: EnvironmentId,
    pub(crate) bytes: Vec<u8>,
    pub(crate) checked: AnyChecked,
    pub(crate) wait: Wait,
    pub(crate) received: Instant,
    pub(crate) reply: oneshot::Sender<Outcome>,
}

pub(crate) enum DriverMessage {
    Submit(Box<Submission>),
    /// Everything up to the header of this slot is on disk.
    Durable(u64),
    /// A snapshot of this slot is complete.
    Prune(u64),
    /// The hub's queue was read further.
    Hub(HubQueue),
    /// These were ordered without effect: they may be offered again.
    Forget(Vec<B256>),
    Stop,
}

/// Whoever waits for a transaction.
struct Waiting {
    checked: AnyChecked,
    wait: Wait,
    received: Instant,
    reply: Option<oneshot::Sender<Outcome>>,
}

/// What the driver hands to an environment's thread.
enum EnvironmentMessage {
    Open(Arc<SlotOpening>),
    Tick(Arc<ClosedTick>, Vec<Item>, Vec<Option<Waiting>>),
    Seal(SlotHeader),
}

/// What the router's thread waits for of each slot.
enum RouterMessage {
    Sealed(Arc<SlotOpening>, Box<SignedHeader>, Vec<TickConfirmation>),
    /// An environment's part of a slot; none if it is halted.
    Result(u64, Option<Box<SlotResult>>),
}

/// The threads of a node, to be joined in the order in which they end.
pub(crate) struct Threads {
    driver: JoinHandle<()>,
    environments: Vec<JoinHandle<()>>,
    router: JoinHandle<()>,
    keeper: JoinHandle<()>,
    historian: JoinHandle<()>,
    syncer: JoinHandle<()>,
}

impl Threads {
    pub(crate) fn join(self) -> anyhow::Result<()> {
        let mut all = vec![self.driver];
        all.extend(self.environments);
        all.extend([self.router, self.keeper, self.historian, self.syncer]);
        for thread in all {
            let name = thread.thread().name().unwrap_or("?").to_string();
            thread.join().map_err(|_| anyhow::anyhow!("the {name} thread panicked"))?;
        }
        Ok(())
    }
}

/// Microseconds since the Unix epoch.
pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}

struct Mailbox {
    mempool: Mempool,
    inputs: Vec<Transaction>,
    /// What was read of the hub's queue and is not ordered yet.
    hub: HubQueue,
}

impl Supply for Mailbox {
    fn inputs(&mut self, _: u64, _: u64) -> Vec<Transaction> {
        std::mem::take(&mut self.inputs)
    }

    fn hub(&mut self, cursor: u64) -> HubQueue {
        self.hub.entries.retain(|entry| entry.index >= cursor);
        let entries = self.hub.entries.iter().take(SLOT_ENTRIES_MAX as usize).cloned().collect();
        HubQueue { block: self.hub.block, entries }
    }

    fn pending(&mut self, transactions_max: u32, bytes_max: u32) -> Vec<Pending> {
        let drained = self.mempool.drain(u64::from(transactions_max), u64::from(bytes_max));
        let pending = |p: PendingTransaction| Pending {
            transaction: p.transaction,
            hash: p.hash,
            received_us: p.received_us,
            ticket: p.ticket,
        };
        drained.into_iter().map(pending).collect()
    }
}

pub(crate) struct Driver {
    pub(crate) shared: Arc<Shared>,
    pub(crate) sequencer: Solo,
    pub(crate) log: Log,
    pub(crate) durability: Durability,
    pub(crate) keep_log: bool,
    pub(crate) messages: Receiver<DriverMessage>,
    pub(crate) mempool: Mempool,
    pub(crate) runners: Vec<Runner>,
    pub(crate) router: Option<Router>,
    pub(crate) keeper: Keeper,
    pub(crate) historian: JoinHandle<()>,
    /// A slot that the last process left open.
    pub(crate) opening: Option<Arc<SlotOpening>>,
    /// Its signed ticks.
    pub(crate) open_ticks: Vec<TickConfirmation>,
}

impl Driver {
    /// Starts the threads.
    pub(crate) fn start(self) -> anyhow::Result<Threads> {
        let (to_router, router_messages) = sync_channel(ENVIRONMENT_QUEUE);
        let tip = self.sequencer.tip();
        // An environment reads one inbox for each slot that it opens.
        let first = tip.slot + 1 + u64::from(tip.open.is_some());
        let mut environments = Vec::new();
        let mut senders = BTreeMap::new();
        let mut inboxes = BTreeMap::new();
        for runner in self.runners {
            let (sender, receiver) = sync_channel(ENVIRONMENT_QUEUE);
            let (to_inbox, inbox) = std::sync::mpsc::channel();
            let id = runner.environment().id();
            senders.insert(id, sender);
            inboxes.insert(id, to_inbox);
            let (shared, router) = (self.shared.clone(), to_router.clone());
            let name = runner.environment().spec().name.clone();
            let thread = std::thread::Builder::new().name(name);
            environments.push(thread.spawn(move || {
                run_environment(runner, &receiver, &inbox, &router, &shared);
            })?);
        }
        let (to_keeper, kept) = sync_channel(ENVIRONMENT_QUEUE);
        let routing = Routing { router: self.router, inboxes, keeper: to_keeper };
        routing.deliver_first(tip.slot, first);
        let router = std::thread::Builder::new()
            .name("router".into())
            .spawn(move || routing.run(&router_messages))?;
        let keeper = self.keeper;
        let keeper = std::thread::Builder::new()
            .name("keeper".into())
            .spawn(move || run_keeper(keeper, &kept))?;
        let (to_syncer, sealed) = std::sync::mpsc::channel();
        let (sync, shared) = (self.log.sync_handle(), self.shared.clone());
        let syncer = std::thread::Builder::new()
            .name("syncer".into())
            .spawn(move || run_syncer(&sync, &sealed, &shared))?;
        let order = Order {
            shared: self.shared,
            sequencer: self.sequencer,
            log: self.log,
            durability: self.durability,
            keep_log: self.keep_log,
            mailbox: Mailbox {
                mempool: self.mempool,
                inputs: Vec::new(),
                hub: HubQueue::default(),
            },
            waiting: HashMap::new(),
            next_ticket: 0,
            environments: senders,
            router: to_router,
            syncer: to_syncer,
            opening: self.opening,
            slot_ticks: self.open_ticks,
            records: Vec::new(),
        };
        let messages = self.messages;
        let driver = std::thread::Builder::new()
            .name("driver".into())
            .spawn(move || order.run(&messages))?;
        Ok(Threads { driver, environments, router, keeper, historian: self.historian, syncer })
    }
}

struct Order {
    shared: Arc<Shared>,
    sequencer: Solo,
    log: Log,
    durability: Durability,
    keep_log: bool,
    mailbox: Mailbox,
    waiting: HashMap<u64, Waiting>,
    next_ticket: u64,
    environments: BTreeMap<EnvironmentId, SyncSender<EnvironmentMessage>>,
    router: SyncSender<RouterMessage>,
    syncer: Sender<u64>,
    /// The open slot.
    opening: Option<Arc<SlotOpening>>,
    /// Its signed ticks.
    slot_ticks: Vec<TickConfirmation>,
    records: Vec<u8>,
}

impl Order {
    fn run(mut self, messages: &Receiver<DriverMessage>) {
        // A stop seals the open slot at its regular end, so that a run ends with a whole slot.
        let mut stopping = false;
        loop {
            let wait = match self.sequencer.next_deadline_us() {
                Some(deadline) => Duration::from_micros(deadline.saturating_sub(now_us())),
                None => Duration::from_millis(100),
            };
            let gathering = !self.waiting.is_empty() && wait <= GATHER_MAX;
            let mut message = if gathering {
                // A tick has begun and ends at its time whatever else arrives: sleeping until then
                // spares every submitter the waking of this thread.
                std::thread::sleep(wait);
                messages.try_recv().ok()
            } else {
                match messages.recv_timeout(wait) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            };
            let mut taken = 0;
            while let Some(next) = message.take() {
                stopping |= matches!(next, DriverMessage::Stop);
                self.take_in(next);
                taken += 1;
                if taken < INTAKE_MAX {
                    message = messages.try_recv().ok();
                }
            }
            loop {
                let events = self.sequencer.poll(now_us(), &mut self.mailbox);
                if events.is_empty() {
                    break;
                }
                if self.handle(events) && stopping {
                    return;
                }
            }
        }
    }

    fn take_in(&mut self, message: DriverMessage) {
        match message {
            DriverMessage::Submit(submission) => self.admit(*submission),
            DriverMessage::Durable(slot) => self.sequencer.on_durable(slot),
            DriverMessage::Hub(queue) => {
                let hub = &mut self.mailbox.hub;
                let cursor = self.sequencer.tip().hub_cursor;
                let next = hub.entries.last().map_or(cursor, |entry| entry.index + 1);
                hub.entries.extend(queue.entries.into_iter().filter(|e| e.index >= next));
                hub.block = hub.block.max(queue.block);
            }
            DriverMessage::Prune(slot) => {
                if !self.keep_log {
                    // The snapshot is complete; what it covers is no longer needed. A failure
                    // leaves more log than necessary, which harms nobody.
                    if let Err(error) = self.log.prune_before(slot + 1) {
                        tracing::warn!("the log was not pruned: {error}");
                    }
                }
            }
            DriverMessage::Forget(hashes) => {
                hashes.iter().for_each(|hash| self.mailbox.mempool.forget(hash));
            }
            DriverMessage::Stop => {}
        }
    }

    fn admit(&mut self, submission: Submission) {
        let Submission { environment, bytes, checked, wait, received, reply } = submission;
        let transaction = Transaction { environment, lane: checked.lane(), bytes };
        if checked.is_input() {
            if self.mailbox.inputs.len() < 256 {
                self.mailbox.inputs.push(transaction);
                let _ = reply.send(Ok((None, None)));
            } else {
                let _ = reply.send(Err(Reject::new(RejectCode::Busy, "too many inputs")));
            }
            return;
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let pending = PendingTransaction {
            transaction,
            hash: checked.hash(),
            sender: checked.signer(),
            received_us: now_us(),
            ticket,
        };
        // Whoever waited may be gone: a failed send is nobody's loss.
        if let Err(reject) = self.mailbox.mempool.admit(pending) {
            self.shared.stats.reject(reject.code);
            let _ = reply.send(Err(reject));
            return;
        }
        let mut waiting = Waiting { checked, wait, received, reply: Some(reply) };
        if let Some(reply) = waiting.reply.take_if(|_| wait == Wait::Admission) {
            let _ = reply.send(Ok((None, None)));
        }
        self.waiting.insert(ticket, waiting);
    }

    /// Logs events, then lets them out. Returns whether a slot was sealed.
    fn handle(&mut self, events: Vec<SequencerEvent>) -> bool {
        self.log_events(&events);
        let mut sealed = false;
        for event in events {
            match event {
                SequencerEvent::SlotOpened(opening) => {
                    self.slot_ticks.clear();
                    let opening = Arc::new(opening);
                    self.opening = Some(opening.clone());
                    for sender in self.environments.values() {
                        send(sender, EnvironmentMessage::Open(opening.clone()));
                    }
                }
                SequencerEvent::TickClosed(closed) => self.tick(closed),
                SequencerEvent::SlotSealed(header) => {
                    sealed = true;
                    self.seal(header);
                }
                SequencerEvent::Finalised(finalised) => {
                    self.shared.finalised.store(finalised.slot, Relaxed);
                }
                SequencerEvent::Refused { ticket, reject, .. } => {
                    self.shared.stats.reject(reject.code);
                    let waiting = ticket.and_then(|ticket| self.waiting.remove(&ticket));
                    if let Some(reply) = waiting.and_then(|waiting| waiting.reply) {
                        let _ = reply.send(Err(reject));
                    }
                }
            }
        }
        sealed
    }

    fn log_events(&mut self, events: &[SequencerEvent]) {
        self.records.clear();
        let mut spans = Vec::new();
        for event in events {
            let start = self.records.len();
            let slot = match event {
                SequencerEvent::SlotOpened(opening) => opening.slot,
                SequencerEvent::TickClosed(closed) => closed.tick.slot,
                SequencerEvent::SlotSealed(sealed) => sealed.header.slot,
                SequencerEvent::Finalised(_) | SequencerEvent::Refused { .. } => continue,
            };
            if event.encode_record(&mut self.records) {
                spans.push((slot, start, self.records.len()));
            }
        }
        let records: Vec<RecordRef<'_>> = spans
            .iter()
            .map(|(slot, start, end)| RecordRef {
                kind: RECORD_KIND,
                slot: *slot,
                payload: &self.records[*start..*end],
            })
            .collect();
        if let Err(error) = self.log.append_batch(&records, self.durability) {
            // See the port's obligations: nothing after this may be let out.
            eprintln!("atoll: the slot log cannot be written: {error}");
            eprintln!(
                "atoll: stopping; what was confirmed is in the log. Free the disk and restart"
            );
            std::process::exit(74);
        }
    }

    fn tick(&mut self, closed: ClosedTick) {
        let stats = &self.shared.stats;
        Stats::add(&stats.ticks, 1);
        Stats::add(&stats.transactions, closed.tick.transactions.len() as u64);
        self.slot_ticks.push(closed.confirmation.clone());
        let closed = Arc::new(closed);
        let mut parts: BTreeMap<EnvironmentId, (Vec<Item>, Vec<Option<Waiting>>)> = BTreeMap::new();
        let mut bytes = 0;
        for (index, (transaction, at)) in
            closed.tick.transactions.iter().zip(&closed.places).enumerate()
        {
            bytes += transaction.bytes.len() as u64;
            let waiting = self.waiting.remove(&at.ticket);
            let place = Place { tick: closed.tick.index, index: index as u32, running: at.running };
            let Some(mut waiting) = waiting else { continue };
            let confirms = waiting.wait == Wait::Confirmation;
            if let Some(reply) = waiting.reply.take_if(|_| confirms) {
                let _ = reply.send(Ok((closed.confirmation_of(index as u32), None)));
            }
            let item = Item {
                bytes: transaction.bytes.clone(),
                prepared: Ok(waiting.checked.clone()),
                place,
            };
            let part = parts.entry(transaction.environment).or_default();
            part.0.push(item);
            part.1.push(Some(waiting));
        }
        Stats::add(&stats.bytes, bytes);
        for (environment, (items, waiting)) in parts {
            if let Some(sender) = self.environments.get(&environment) {
                send(sender, EnvironmentMessage::Tick(closed.clone(), items, waiting));
            }
        }
    }

    fn seal(&mut self, sealed: SignedHeader) {
        let header = sealed.header.clone();
        Stats::add(&self.shared.stats.slots, 1);
        *self.shared.head.write() = header.clone();
        let ticks = std::mem::take(&mut self.slot_ticks);
        let _ = self.syncer.send(header.slot);
        if let Some(opening) = self.opening.take() {
            let _ = self.router.send(RouterMessage::Sealed(opening, Box::new(sealed), ticks));
        }
        for sender in self.environments.values() {
            send(sender, EnvironmentMessage::Seal(header.clone()));
        }
    }
}

/// An environment's thread ends only after this one: a failed send means that it panicked outside
/// its guard, which `Threads::join` reports.
fn send(sender: &SyncSender<EnvironmentMessage>, message: EnvironmentMessage) {
    let _ = sender.send(message);
}

fn run_environment(
    mut runner: Runner,
    messages: &Receiver<EnvironmentMessage>,
    inbox: &Receiver<Vec<Message>>,
    router: &SyncSender<RouterMessage>,
    shared: &Shared,
) {
    while let Ok(message) = messages.recv() {
        match message {
            EnvironmentMessage::Open(opening) => {
                // Waits only when another environment is more slots behind than messages take.
                let Ok(inbox) = inbox.recv() else { return };
                runner.open(&opening, &inbox);
            }
            EnvironmentMessage::Tick(closed, mut items, waiting) => {
                let places: Vec<u32> = items.iter().map(|item| item.place.index).collect();
                let receipts = runner.tick(closed.tick.time_us, &mut items);
                let refused = receipts.iter().filter(|receipt| receipt.rejection().is_some());
                let refused: Vec<B256> = refused.map(|receipt| receipt.hash).collect();
                if !refused.is_empty() {
                    // Never waits: the driver may be waiting for this thread. A message that is
                    // lost leaves a hash known for a while longer.
                    let _ = shared.driver.try_send(DriverMessage::Forget(refused));
                }
                let answered = answer(&closed, &places, receipts, waiting, &shared.stats);
                shared.stats.confirmed(answered.into_iter());
            }
            EnvironmentMessage::Seal(header) => {
                let slot = header.slot;
                let result = runner.seal(&header).map(Box::new);
                if router.send(RouterMessage::Result(slot, result)).is_err() {
                    return;
                }
            }
        }
    }
}

/// Answers whoever waits for a tick's transactions; returns how long each has waited.
fn answer(
    closed: &ClosedTick,
    places: &[u32],
    receipts: &[Receipt],
    waiting: Vec<Option<Waiting>>,
    stats: &Stats,
) -> Vec<Duration> {
    let mut latencies = Vec::with_capacity(places.len());
    for (i, (index, waiting)) in places.iter().zip(waiting).enumerate() {
        let receipt = receipts.get(i);
        if let Some(code) = receipt.and_then(Receipt::rejection) {
            stats.reject(code);
        }
        let Some(waiting) = waiting else { continue };
        let outcome = match receipt {
            Some(receipt) => Ok((closed.confirmation_of(*index), Some(receipt.clone()))),
            None => {
                let message = "the environment halted before this transaction; it stays ordered \
                               and is executed when the environment resumes";
                Err(Reject::new(RejectCode::Halted, message))
            }
        };
        latencies.push(waiting.received.elapsed());
        if let Some(reply) = waiting.reply {
            let _ = reply.send(outcome);
        }
    }
    latencies
}

/// The router's thread: puts a slot's parts together, routes what was sent, and hands the slot on.
struct Routing {
    router: Option<Router>,
    inboxes: BTreeMap<EnvironmentId, Sender<Vec<Message>>>,
    keeper: SyncSender<KeptSlot>,
}

/// A slot of which not everything has arrived.
#[derive(Default)]
struct Partial {
    sealed: Option<(Arc<SlotOpening>, SignedHeader, Vec<TickConfirmation>)>,
    parts: usize,
    results: Vec<SlotResult>,
}

impl Routing {
    fn delay_slots(&self) -> u64 {
        // Without a router nothing is ever delivered, and nobody waits.
        self.router.as_ref().map_or(1, Router::delay_slots)
    }

    /// Hands on what the slots up to `routed` deliver from slot `first` on.
    fn deliver_first(&self, routed: u64, first: u64) {
        for slot in first..=routed + self.delay_slots() {
            self.deliver(slot);
        }
    }

    fn deliver(&self, slot: u64) {
        for (id, inbox) in &self.inboxes {
            let messages = self.router.as_ref().map(|router| router.deliveries(slot, *id));
            // An environment's thread that is gone needs none.
            let _ = inbox.send(messages.unwrap_or_default());
        }
    }

    fn run(mut self, messages: &Receiver<RouterMessage>) {
        let mut partial: BTreeMap<u64, Partial> = BTreeMap::new();
        while let Ok(message) = messages.recv() {
            let slot = match message {
                RouterMessage::Sealed(opening, sealed, ticks) => {
                    let slot = sealed.header.slot;
                    partial.entry(slot).or_default().sealed = Some((opening, *sealed, ticks));
                    slot
                }
                RouterMessage::Result(slot, result) => {
                    let entry = partial.entry(slot).or_default();
                    entry.parts += 1;
                    entry.results.extend(result.map(|result| *result));
                    slot
                }
            };
            let complete = |p: &Partial| p.sealed.is_some() && p.parts == self.inboxes.len();
            if !partial.get(&slot).is_some_and(complete) {
                continue;
            }
            let Some(Partial { sealed: Some((opening, sealed, ticks)), mut results, .. }) =
                partial.remove(&slot)
            else {
                continue;
            };
            results.sort_by_key(|result| result.environment);
            if let Some(router) = &mut self.router {
                let routed = router.route(&opening, &sealed.header, &results);
                results.extend(routed);
            }
            self.deliver(slot + self.delay_slots());
            if self.keeper.send(KeptSlot { sealed, ticks, results }).is_err() {
                return;
            }
        }
    }
}

fn run_keeper(mut keeper: Keeper, slots: &Receiver<KeptSlot>) {
    let fail = |error: anyhow::Error| {
        // Roots and history stop here; the back-pressure of the root closes admission.
        tracing::error!("the keeper stopped: {error:#}");
    };
    while let Ok(slot) = slots.recv() {
        if let Err(error) = keeper.keep(slot) {
            return fail(error);
        }
    }
    if let Err(error) = keeper.close() {
        fail(error);
    }
}

fn run_syncer(sync: &SyncHandle, sealed: &Receiver<u64>, shared: &Shared) {
    while let Ok(mut slot) = sealed.recv() {
        // One sync covers every slot that was sealed meanwhile.
        while let Ok(next) = sealed.try_recv() {
            slot = next;
        }
        match sync.sync() {
            Ok(_) => {
                shared.finalised.store(slot, Relaxed);
                let _ = shared.driver.send(DriverMessage::Durable(slot));
            }
            Err(error) => {
                eprintln!("atoll: the slot log cannot be synced: {error}");
                std::process::exit(74);
            }
        }
    }
}

/// A record of the log as the sequencer wrote it.
pub(crate) fn decode_record(payload: &[u8]) -> anyhow::Result<LogRecord> {
    use atoll_types::Decode;
    Ok(LogRecord::from_bytes(payload)?)
}
