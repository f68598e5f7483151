//! An EVM environment at a block that has passed, made again: the nearest snapshot, then history,
//! which keeps all that the environment was given, deliveries included. So no other environment is
//! executed for it, and no trie is built.
//!
//! One past state is kept, where the last question left it: who walks through blocks in order pays
//! for each of them once. Making it again is bounded in time; what was reached is kept, and who asks
//! again goes on from there.

use super::{Inner, internal};
use anyhow::{Context, Result, bail};
use atoll_executor::machine::{Prepared, prepare};
use atoll_executor::parallel::{Conflicts, EvmParallel};
use atoll_executor::{Machine, Step};
use atoll_rpc::port::QueryError;
use atoll_state::Resident;
use atoll_storage::{DataDirView, SnapshotStore};
use atoll_types::{Address, B256, Decode, EntryKind, Lane, SlotHeader, Transaction};
use atoll_vm::evm::parallel::EvmKey;
use atoll_vm::evm::{self, EvmTransaction, EvmVm};
use atoll_vm::{Checked, Receipt, SlotContext};
use parking_lot::{Mutex, MutexGuard};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

type EvmMachine = Machine<EvmVm<Resident>, Resident>;

/// How long a state may be in the making for one question.
const MAKING_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a question waits for the one before it.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a past state is kept that nobody asks for.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Where an environment's past is made again.
pub(crate) struct Workshop {
    data_dir: PathBuf,
    bench: Mutex<Bench>,
}

#[derive(Default)]
struct Bench {
    past: Option<Past>,
    asked: Option<Instant>,
    /// Whether a thread waits to clear up.
    watched: bool,
}

/// The environment after a slot.
struct Past {
    machine: EvmMachine,
    slot: u64,
}

/// A block that has passed, in the environment as it was before it.
pub(super) struct PastBlock<'a> {
    pub(super) machine: &'a mut EvmMachine,
    pub(super) header: SlotHeader,
    steps: Vec<Step>,
    receipts: Vec<Receipt>,
    inner: &'a Inner,
}

/// A transaction that is about to be executed once more.
pub(super) struct Again<'a> {
    pub(super) vm: &'a EvmVm<Resident>,
    pub(super) transaction: &'a Checked<EvmTransaction>,
    /// What became of it.
    pub(super) executed: &'a evm::EvmReceipt,
    pub(super) header: &'a SlotHeader,
}

impl Workshop {
    /// One on a node's data folder.
    pub(crate) fn new(data_dir: &Path) -> Arc<Self> {
        Arc::new(Self { data_dir: data_dir.to_path_buf(), bench: Mutex::default() })
    }

    /// Lets a past state go that nobody has asked for in a while.
    fn watch(self: &Arc<Self>, bench: &mut Bench) {
        bench.asked = Some(Instant::now());
        if std::mem::replace(&mut bench.watched, true) {
            return;
        }
        let workshop: Weak<Self> = Arc::downgrade(self);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(IDLE_MAX);
                let Some(workshop) = workshop.upgrade() else { return };
                let mut bench = workshop.bench.lock();
                if bench.asked.is_none_or(|asked| asked.elapsed() >= IDLE_MAX) {
                    bench.past = None;
                    bench.watched = false;
                    return;
                }
            }
        });
    }
}

impl Inner {
    /// Reads the state that a block left, however long ago.
    pub(super) fn past_state<T>(
        &self,
        block: u64,
        read: impl FnOnce(&EvmVm<Resident>) -> T,
    ) -> Result<T, QueryError> {
        let mut bench = self.bench()?;
        let past = self.reach(&mut bench, block)?;
        let found = read(past.machine.vm());
        bench.past = Some(past);
        Ok(found)
    }

    fn bench(&self) -> Result<MutexGuard<'_, Bench>, QueryError> {
        let Some(mut bench) = self.workshop.bench.try_lock_for(WAIT_MAX) else {
            return Err(QueryError::Busy(
                "the node is making another past state; ask again in a moment".into(),
            ));
        };
        self.workshop.watch(&mut bench);
        Ok(bench)
    }

    /// The environment after a block: from where the last question left it, if that is not behind
    /// the nearest snapshot.
    fn reach(&self, bench: &mut Bench, block: u64) -> Result<Past, QueryError> {
        let not_kept = |error: anyhow::Error| QueryError::NotKept(format!("{error:#}"));
        let mut past = match bench.past.take() {
            Some(past) if past.slot == block => return Ok(past),
            past => {
                let store = self.snapshots().map_err(not_kept)?;
                let slots = store.slots().map_err(|error| not_kept(error.into()))?;
                let nearest = slots.iter().copied().rfind(|slot| *slot <= block);
                match past.filter(|past| past.slot < block && nearest <= Some(past.slot)) {
                    Some(past) => past,
                    None => {
                        self.restore(&store, nearest, slots.first(), block).map_err(not_kept)?
                    }
                }
            }
        };
        let begun = Instant::now();
        while past.slot < block {
            if begun.elapsed() > MAKING_TIME_MAX {
                let reached = past.slot;
                bench.past = Some(past);
                return Err(QueryError::TooLarge(format!(
                    "the state of block {block} could not be made again within {} s: block \
                     {reached} is reached; ask again to go on from there",
                    MAKING_TIME_MAX.as_secs()
                )));
            }
            let slot = past.slot + 1;
            self.past_block(slot, &mut past.machine)?.execute(&mut |_| Ok(None::<()>))?;
            past.slot = slot;
        }
        Ok(past)
    }

    /// Executes a block that has passed once more, and shows `each` of its transactions before it
    /// is executed.
    pub(super) fn again<T>(
        &self,
        block: u64,
        mut each: impl FnMut(Again<'_>) -> Result<Option<T>, QueryError>,
    ) -> Result<Vec<T>, QueryError> {
        let mut bench = self.bench()?;
        let mut past = self.reach(&mut bench, block.saturating_sub(1))?;
        // What breaks off in the middle is of no further use, and is not put back.
        let found = self.past_block(block, &mut past.machine)?.execute(&mut each)?;
        past.slot = block;
        bench.past = Some(past);
        Ok(found)
    }

    /// Executes a block that has passed once more, its transactions in parallel: their hashes, and what
    /// made them depend on one another.
    pub(super) fn depending(
        &self,
        block: u64,
        threads: &mut EvmParallel,
    ) -> Result<(Vec<B256>, Conflicts<EvmKey>), QueryError> {
        let mut bench = self.bench()?;
        let mut past = self.reach(&mut bench, block.saturating_sub(1))?;
        let found = self.past_block(block, &mut past.machine)?.conflicts(threads)?;
        past.slot = block;
        bench.past = Some(past);
        Ok(found)
    }

    fn snapshots(&self) -> Result<SnapshotStore> {
        let view = DataDirView::open(&self.workshop.data_dir)?;
        Ok(SnapshotStore::view(view.snapshot_dir(), self.live.identity.network.0.0))
    }

    /// The environment after the nearest slot up to `block` that a snapshot has, or at genesis.
    fn restore(
        &self,
        store: &SnapshotStore,
        nearest: Option<u64>,
        oldest: Option<&u64>,
        block: u64,
    ) -> Result<Past> {
        let mut machine = EvmMachine::new(self.live.identity, self.live.vm_spec.clone(), 0);
        let Some(slot) = nearest else {
            if let Some(oldest) = oldest {
                bail!(
                    "the state of block {block} is not kept: the oldest snapshot is of block \
                     {oldest}; a node with a longer --snapshot-interval keeps more"
                );
            }
            machine.genesis();
            return Ok(Past { machine, slot: 0 });
        };
        let mut reader = store.snapshot(slot)?.reader(self.live.spec.id.0)?;
        while reader.advance()? {
            machine
                .load(reader.key(), Some(reader.value()))
                .with_context(|| format!("the snapshot of block {slot} does not load"))?;
        }
        machine.loaded();
        Ok(Past { machine, slot })
    }

    fn past_block<'a>(
        &'a self,
        slot: u64,
        machine: &'a mut EvmMachine,
    ) -> Result<PastBlock<'a>, QueryError> {
        let archive = &self.shared.archive;
        let header = archive.header(slot).map_err(internal)?.ok_or_else(|| {
            QueryError::NotKept(format!("block {slot} is not in this node's history"))
        })?;
        let record = archive.record(self.live.spec.id, slot).map_err(internal)?;
        let (steps, receipts) = match record {
            Some(record) => (record.range.steps, record.receipts),
            None => (Vec::new(), Vec::new()),
        };
        Ok(PastBlock { machine, header, steps, receipts, inner: self })
    }
}

impl PastBlock<'_> {
    /// Executes the block, and checks that it comes to what it came to.
    fn execute<T>(
        self,
        each: &mut impl FnMut(Again<'_>) -> Result<Option<T>, QueryError>,
    ) -> Result<Vec<T>, QueryError> {
        self.run(each, |_| true)
    }

    /// The same, and `rest` before the block ends, which says whether that comes to what it came to.
    fn run<T>(
        self,
        each: &mut impl FnMut(Again<'_>) -> Result<Option<T>, QueryError>,
        rest: impl FnOnce(&mut EvmMachine) -> bool,
    ) -> Result<Vec<T>, QueryError> {
        let different = |slot: u64| {
            let sentence =
                format!("block {slot} comes to something else when it is executed again");
            Err(QueryError::Internal(sentence))
        };
        let Self { machine, header, steps, receipts, inner } = self;
        let spec = &inner.live.vm_spec;
        let context =
            SlotContext { slot: header.slot, time_us: header.time_us, parent: header.parent };
        machine.open_slot(&context);
        let mut known = receipts.iter();
        let mut found = Vec::new();
        for step in &steps {
            let signed = match step {
                Step::Tick { time_us } => {
                    machine.open_tick(*time_us);
                    continue;
                }
                Step::Input(bytes) | Step::Transaction(bytes) => Some(bytes),
                Step::Entry(entry) if entry.kind == EntryKind::Forced => Some(&entry.data),
                Step::Entry(_) | Step::Message(_) => None,
            };
            let expected = known.next();
            let executed =
                expected.and_then(|receipt| evm::EvmReceipt::from_bytes(&receipt.payload).ok());
            let came_to = match (signed, step) {
                (Some(bytes), _) => {
                    let prepared = inner.prepared(bytes, executed.as_ref());
                    if let (Ok(transaction), Some(executed)) = (&prepared, &executed) {
                        let vm = machine.vm();
                        found.extend(each(Again { vm, transaction, executed, header: &header })?);
                    }
                    machine.execute(prepared.as_ref())
                }
                (None, Step::Message(message)) => machine.receive(message),
                (None, Step::Entry(entry)) => machine.enter(spec, entry),
                (None, _) => continue,
            };
            // A forced transaction is known by its entry, too: what it came to is what counts.
            if expected.is_none_or(|e| (e.code, &e.payload) != (came_to.code, &came_to.payload)) {
                return different(header.slot);
            }
        }
        if !rest(machine) {
            return different(header.slot);
        }
        machine.seal(None);
        Ok(found)
    }
}

impl PastBlock<'_> {
    /// The same, with all its transactions as one batch: ticks mean nothing to the EVM. What stands in the
    /// slot's opening is executed before them.
    fn conflicts(
        mut self,
        threads: &mut EvmParallel,
    ) -> Result<(Vec<B256>, Conflicts<EvmKey>), QueryError> {
        let first = self.steps.iter().position(|step| matches!(step, Step::Transaction(_)));
        let opening = first.unwrap_or(self.steps.len());
        let mut ordered = self.steps.split_off(opening);
        ordered.retain(|step| matches!(step, Step::Transaction(_)));
        let expected = self.receipts.split_off(self.receipts.len().saturating_sub(ordered.len()));
        let inner = self.inner;
        let prepared = |(step, receipt): (&Step, &Receipt)| {
            let Step::Transaction(bytes) = step else { return None };
            let executed = evm::EvmReceipt::from_bytes(&receipt.payload).ok();
            Some(inner.prepared(bytes, executed.as_ref()))
        };
        let prepared: Vec<_> = ordered.iter().zip(&expected).filter_map(prepared).collect();
        let transactions: Vec<_> = prepared.iter().map(|one| one.as_ref()).collect();
        let hash = |one: &Prepared<EvmTransaction>| match one {
            Ok(checked) => checked.transaction.hash,
            Err(refused) => refused.hash,
        };
        let hashes = prepared.iter().map(hash).collect();
        let slot = self.header.slot;
        let mut found = None;
        self.run(&mut |_| Ok(None::<()>), |machine| {
            let (receipts, conflicts) = threads.conflicts(machine, &transactions);
            found = Some(conflicts);
            let same = |(one, other): (&Receipt, &Receipt)| {
                (one.code, &one.payload) == (other.code, &other.payload)
            };
            receipts.len() == expected.len() && receipts.iter().zip(&expected).all(same)
        })?;
        found
            .map(|found| (hashes, found))
            .ok_or_else(|| QueryError::Internal(format!("block {slot} was not executed")))
    }
}

impl Inner {
    /// The static check of a transaction of a block. Of one that was executed the signature was
    /// checked then, and its receipt says whose it is.
    fn prepared(
        &self,
        bytes: &[u8],
        executed: Option<&evm::EvmReceipt>,
    ) -> Prepared<EvmTransaction> {
        let (identity, spec) = (&self.live.identity, &self.live.vm_spec);
        let known = executed.and_then(|executed| {
            let transaction = evm::decode_checked(spec, bytes).ok()?;
            let hash: B256 = Transaction::hash_parts(identity.environment, bytes);
            let signer: Address = executed.from;
            Some(Checked { hash, signer, lane: Lane::Rest, transaction })
        });
        known.map_or_else(|| prepare::<EvmVm<Resident>, Resident>(identity, spec, bytes), Ok)
    }
}
