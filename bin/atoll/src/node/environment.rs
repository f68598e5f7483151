//! An environment in memory: its machine, behind a lock that queries share, and the gate that
//! says whether it admits.

use super::historian::LAG_SLOTS_MAX;
use atoll_executor::machine::{Prepared, Refused, prepare};
use atoll_executor::parallel::EvmParallel;
use atoll_executor::{Batch, EnvironmentSpec, Machine, Step, VmSpec};
use atoll_rpc::port::QueryError;
use atoll_state::{Resident, WriteSet};
use atoll_types::{
    Address, B256, Encode, EntryKind, EnvironmentId, Lane, Message, NetworkId, Reject, RejectCode,
    SlotHeader, SlotOpening,
};
use atoll_vm::evm::{EvmTransaction, EvmVm};
use atoll_vm::exchange::{Action, ExchangeReceipt, ExchangeVm, SignedAction};
use atoll_vm::router::RouterVm;
use atoll_vm::{AssetAudit, Checked, Identity, Receipt, Vm};
use parking_lot::{Mutex, RwLock};
use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// A checked transaction of any VM.
#[derive(Clone, Debug)]
pub(crate) enum AnyChecked {
    Exchange(Checked<SignedAction>),
    Evm(Checked<EvmTransaction>),
    /// There are none: the router's check refuses everything.
    Router(Checked<()>),
}

impl AnyChecked {
    pub(crate) fn signer(&self) -> Address {
        match self {
            Self::Exchange(checked) => checked.signer,
            Self::Evm(checked) => checked.signer,
            Self::Router(checked) => checked.signer,
        }
    }

    pub(crate) fn hash(&self) -> B256 {
        match self {
            Self::Exchange(checked) => checked.hash,
            Self::Evm(checked) => checked.hash,
            Self::Router(checked) => checked.hash,
        }
    }

    pub(crate) fn lane(&self) -> Lane {
        match self {
            Self::Exchange(checked) => checked.lane,
            Self::Evm(checked) => checked.lane,
            Self::Router(checked) => checked.lane,
        }
    }

    /// Whether it belongs into a slot's opening (an oracle update) and not into a tick.
    pub(crate) fn is_input(&self) -> bool {
        match self {
            Self::Exchange(checked) => matches!(checked.transaction.action, Action::Oracle(_)),
            Self::Evm(_) | Self::Router(_) => false,
        }
    }
}

/// The static check of a transaction of any VM.
pub(crate) type AnyPrepared = Result<AnyChecked, Refused>;

/// Most threads of one EVM environment.
const EVM_THREADS_MAX: usize = 8;
/// What is kept of the changes of recent slots, for questions about states that have passed.
const RECENT_BYTES_MAX: usize = 64 << 20;

/// Transactions of a tick with their static checks.
type Checks<'a, T> = [Result<&'a Checked<T>, &'a Refused>];

/// A VM that this node can host.
pub(crate) trait Hosted: Vm<Resident, Spec: Send + Sync> + Send + Sync + 'static {
    /// What it executes ticks with beside its own thread.
    type Threads: std::fmt::Debug + Send;
    /// `seed` keys an index, and never changes results.
    fn threads(seed: u64) -> Self::Threads;
    /// Executes the transactions of a tick.
    fn run_tick(
        machine: &mut Machine<Self, Resident>,
        _: &mut Self::Threads,
        transactions: &Checks<'_, Self::Transaction>,
    ) -> Vec<Receipt> {
        machine.execute_all(transactions.iter().copied())
    }
    fn spec(spec: &VmSpec) -> Option<&Self::Spec>;
    fn wrap(checked: Checked<Self::Transaction>) -> AnyChecked;
    fn unwrap(any: &AnyChecked) -> Option<&Checked<Self::Transaction>>;
    /// Whether the state as it is now would refuse the transaction: a service to the sender, not
    /// a rule; the order decides.
    fn precheck(&self, checked: &Checked<Self::Transaction>) -> Result<(), Reject>;
    /// What to keep of the slot just sealed that only the state knows.
    fn index(&self, _slot: u64) -> Vec<IndexEntry> {
        Vec::new()
    }
    /// What the latest opening of a slot or tick did by itself, for the observer: not part of the
    /// slot's receipts.
    fn own_events(&self) -> Option<Receipt> {
        None
    }
}

impl Hosted for ExchangeVm<Resident> {
    type Threads = ();
    fn threads(_: u64) {}
    fn spec(spec: &VmSpec) -> Option<&Self::Spec> {
        match spec {
            VmSpec::Exchange(spec) => Some(spec),
            _ => None,
        }
    }
    fn wrap(checked: Checked<Self::Transaction>) -> AnyChecked {
        AnyChecked::Exchange(checked)
    }
    fn unwrap(any: &AnyChecked) -> Option<&Checked<Self::Transaction>> {
        match any {
            AnyChecked::Exchange(checked) => Some(checked),
            _ => None,
        }
    }
    fn precheck(&self, checked: &Checked<Self::Transaction>) -> Result<(), Reject> {
        ExchangeVm::precheck(self, checked).map(|_| ())
    }
    fn own_events(&self) -> Option<Receipt> {
        let events = self.tick_events().to_vec();
        let done = ExchangeReceipt { statuses: Vec::new(), events };
        (!done.events.is_empty())
            .then(|| Receipt { payload: done.to_bytes(), ..Receipt::default() })
    }
}

/// Threads of an EVM environment, which are started when there is use for them.
#[derive(Debug)]
pub(crate) struct EvmThreads {
    seed: u64,
    /// None where there are too few cores, or a thread could not be started: then it is serial.
    parallel: OnceCell<Option<EvmParallel>>,
}

impl EvmThreads {
    fn start(seed: u64) -> Option<EvmParallel> {
        // The other half of the cores checks signatures, orders and serves.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = (cores / 2).min(EVM_THREADS_MAX);
        (count > 1).then(|| EvmParallel::new(count, seed).ok()).flatten()
    }
}

impl Hosted for EvmVm<Resident> {
    type Threads = EvmThreads;
    fn threads(seed: u64) -> EvmThreads {
        EvmThreads { seed, parallel: OnceCell::new() }
    }
    fn run_tick(
        machine: &mut Machine<Self, Resident>,
        threads: &mut EvmThreads,
        transactions: &Checks<'_, EvmTransaction>,
    ) -> Vec<Receipt> {
        if transactions.len() > 1 {
            threads.parallel.get_or_init(|| EvmThreads::start(threads.seed));
        }
        match threads.parallel.get_mut() {
            Some(Some(parallel)) if transactions.len() > 1 => {
                parallel.execute_tick(machine, transactions)
            }
            _ => machine.execute_all(transactions.iter().copied()),
        }
    }
    fn spec(spec: &VmSpec) -> Option<&Self::Spec> {
        match spec {
            VmSpec::Evm(spec) => Some(spec),
            _ => None,
        }
    }
    fn wrap(checked: Checked<Self::Transaction>) -> AnyChecked {
        AnyChecked::Evm(checked)
    }
    fn unwrap(any: &AnyChecked) -> Option<&Checked<Self::Transaction>> {
        match any {
            AnyChecked::Evm(checked) => Some(checked),
            _ => None,
        }
    }
    fn precheck(&self, checked: &Checked<Self::Transaction>) -> Result<(), Reject> {
        EvmVm::precheck(self, checked)
    }
    fn index(&self, slot: u64) -> Vec<IndexEntry> {
        super::ports::evm_index(self, slot)
    }
}

impl Hosted for RouterVm<Resident> {
    type Threads = ();
    fn threads(_: u64) {}
    fn spec(spec: &VmSpec) -> Option<&Self::Spec> {
        match spec {
            VmSpec::Router(spec) => Some(spec),
            _ => None,
        }
    }
    fn wrap(checked: Checked<Self::Transaction>) -> AnyChecked {
        AnyChecked::Router(checked)
    }
    fn unwrap(any: &AnyChecked) -> Option<&Checked<Self::Transaction>> {
        match any {
            AnyChecked::Router(checked) => Some(checked),
            _ => None,
        }
    }
    fn precheck(&self, _: &Checked<Self::Transaction>) -> Result<(), Reject> {
        Ok(())
    }
}

/// Whether an environment admits transactions, and why not.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Whether a slot was opened since the start: before that the state has no time to hold nonces
    /// against.
    pub(crate) opened: AtomicBool,
    /// The last slot executed.
    pub(crate) executed_slot: AtomicU64,
    /// Inputs and transactions executed since this process started.
    pub(crate) commands: AtomicU64,
    /// The last slot whose root is known.
    pub(crate) root_slot: AtomicU64,
    /// The last slot that history has.
    pub(crate) indexed_slot: AtomicU64,
    halted: Mutex<Option<String>>,
}

impl Gate {
    pub(crate) fn halt(&self, why: String) {
        tracing::error!(%why, "environment halted at its last good root");
        self.halted.lock().get_or_insert(why);
    }

    pub(crate) fn halted(&self) -> Option<String> {
        self.halted.lock().clone()
    }

    /// Whether the state in memory may be asked: in a halted environment a command broke off in
    /// the middle of it.
    pub(crate) fn readable(&self) -> Result<(), QueryError> {
        match self.halted() {
            Some(why) => Err(QueryError::Busy(format!(
                "the environment is halted at its last good root: {why}; it resumes when its \
                 program is corrected and the node restarted"
            ))),
            None => Ok(()),
        }
    }
}

/// An environment of this node.
#[derive(Debug)]
pub(crate) struct Live<V: Hosted> {
    pub(crate) identity: Identity,
    pub(crate) spec: EnvironmentSpec,
    pub(crate) vm_spec: V::Spec,
    pub(crate) machine: RwLock<Machine<V, Resident>>,
    threads: Mutex<V::Threads>,
    pub(crate) gate: Gate,
}

/// What the rest of the node needs of an environment, whatever its VM.
pub(crate) trait Environment: Send + Sync {
    fn id(&self) -> EnvironmentId;
    fn spec(&self) -> &EnvironmentSpec;
    fn gate(&self) -> &Gate;
    /// The static check, as the state transition does it.
    fn prepare(&self, bytes: &[u8]) -> AnyPrepared;
    /// Everything that can be refused before ordering.
    fn admit(&self, bytes: &[u8]) -> Result<AnyChecked, Reject>;
    /// Money, counted account by account.
    fn audit(&self) -> Vec<AssetAudit>;
    /// Writes genesis and returns it.
    fn genesis(&self) -> WriteSet;
    /// Puts an object of a snapshot into the state.
    fn load(&self, key: &[u8], value: &[u8]) -> anyhow::Result<()>;
    /// Ends the loading of a snapshot.
    fn loaded(&self);
    /// Opens a slot and executes the steps of its opening, each with its receipt and, where the
    /// VM has one, the transaction's other hash.
    fn open_slot(&self, batch: &Batch) -> Vec<(Receipt, Option<B256>)>;
    fn run_tick(&self, time_us: u64, transactions: &[&AnyPrepared]) -> Vec<Receipt>;
    /// What the latest opening of a slot or tick did by itself.
    fn own_events(&self) -> Option<Receipt>;
    fn seal_slot(&self, slot: u64) -> WriteSet;
    /// What the state says of the slot just sealed that queries will want.
    fn index(&self, slot: u64) -> Vec<IndexEntry>;
}

impl<V: Hosted> Live<V> {
    /// An environment with an empty state; `None` if the spec is of another VM.
    pub(crate) fn new(network: NetworkId, spec: &EnvironmentSpec, seed: u64) -> Option<Self> {
        let vm_spec = V::spec(&spec.vm)?.clone();
        let identity = Identity { network, environment: spec.id };
        let mut machine = Machine::new(identity, vm_spec.clone(), seed);
        machine.keep_recent(RECENT_BYTES_MAX);
        Some(Self {
            identity,
            spec: spec.clone(),
            vm_spec,
            machine: RwLock::new(machine),
            threads: Mutex::new(V::threads(seed)),
            gate: Gate::default(),
        })
    }

    fn unwrap(prepared: &AnyPrepared) -> Result<&Checked<V::Transaction>, &Refused> {
        // A transaction is prepared by the environment it names, so its VM is this one.
        prepared.as_ref().map(|any| V::unwrap(any).expect("prepared by this environment's VM"))
    }
}

impl<V: Hosted> Environment for Live<V> {
    fn id(&self) -> EnvironmentId {
        self.spec.id
    }

    fn spec(&self) -> &EnvironmentSpec {
        &self.spec
    }

    fn gate(&self) -> &Gate {
        &self.gate
    }

    fn prepare(&self, bytes: &[u8]) -> AnyPrepared {
        let prepared: Prepared<_> = prepare::<V, Resident>(&self.identity, &self.vm_spec, bytes);
        prepared.map(V::wrap)
    }

    fn admit(&self, bytes: &[u8]) -> Result<AnyChecked, Reject> {
        if let Some(why) = self.gate.halted() {
            let message = format!("{} is halted at its last good root: {why}", self.spec.name);
            return Err(Reject::new(RejectCode::Halted, message));
        }
        let executed = self.gate.executed_slot.load(Relaxed);
        let behind = |what: &str, reached: &AtomicU64, bound: u64| {
            let lag = executed.saturating_sub(reached.load(Relaxed));
            let message = format!(
                "{what} is {lag} slots behind, at most {bound} are allowed; try again in a moment"
            );
            if lag > bound { Err(Reject::new(RejectCode::Busy, message)) } else { Ok(()) }
        };
        behind("the state root", &self.gate.root_slot, self.spec.root_lag_slots_max.into())?;
        behind("history", &self.gate.indexed_slot, LAG_SLOTS_MAX)?;
        let checked = V::check(&self.identity, &self.vm_spec, bytes)?;
        self.machine.read().vm().precheck(&checked)?;
        Ok(V::wrap(checked))
    }

    fn audit(&self) -> Vec<AssetAudit> {
        self.machine.read().vm().audit()
    }

    fn genesis(&self) -> WriteSet {
        self.machine.write().genesis()
    }

    fn load(&self, key: &[u8], value: &[u8]) -> anyhow::Result<()> {
        Ok(self.machine.write().load(key, Some(value))?)
    }

    fn loaded(&self) {
        self.machine.write().loaded();
    }

    fn open_slot(&self, batch: &Batch) -> Vec<(Receipt, Option<B256>)> {
        // Signatures are recovered before the lock is taken.
        let prepared = batch.steps.iter().map(|step| match step {
            Step::Input(bytes) => Some(self.prepare(bytes)),
            Step::Entry(entry) if entry.kind == EntryKind::Forced => {
                Some(self.prepare(&entry.data))
            }
            _ => None,
        });
        let prepared: Vec<Option<AnyPrepared>> = prepared.collect();
        let mut machine = self.machine.write();
        machine.open_slot(&batch.context);
        let receipts = batch.steps.iter().zip(&prepared).map(|(step, prepared)| {
            let receipt = match (step, prepared) {
                (Step::Input(_), Some(input)) => machine.execute_input(Self::unwrap(input)),
                (Step::Entry(_), Some(forced)) => machine.execute(Self::unwrap(forced)),
                (Step::Entry(entry), None) => machine.enter(&self.vm_spec, entry),
                (Step::Message(message), _) => machine.receive(message),
                // Ticks and their transactions follow the opening.
                _ => return (Receipt::default(), None),
            };
            (receipt, prepared.as_ref().and_then(alias))
        });
        receipts.collect()
    }

    fn run_tick(&self, time_us: u64, transactions: &[&AnyPrepared]) -> Vec<Receipt> {
        let mut machine = self.machine.write();
        machine.open_tick(time_us);
        let transactions: Vec<_> = transactions.iter().map(|one| Self::unwrap(one)).collect();
        V::run_tick(&mut machine, &mut self.threads.lock(), &transactions)
    }

    fn own_events(&self) -> Option<Receipt> {
        self.machine.read().vm().own_events()
    }

    fn seal_slot(&self, slot: u64) -> WriteSet {
        let mut machine = self.machine.write();
        let writes = machine.seal(None);
        // Under the lock: whoever holds it knows which slot's end the state goes back to.
        self.gate.executed_slot.store(slot, Relaxed);
        writes
    }

    fn index(&self, slot: u64) -> Vec<IndexEntry> {
        self.machine.read().vm().index(slot)
    }
}

/// A key, within its environment, and what history keeps under it.
pub(crate) type IndexEntry = (Vec<u8>, Vec<u8>);

/// One slot of one environment, executed: what the keeper indexes and commits.
#[derive(Debug)]
pub(crate) struct SlotResult {
    pub(crate) environment: EnvironmentId,
    pub(crate) header: SlotHeader,
    pub(crate) batch: Batch,
    pub(crate) receipts: Vec<Receipt>,
    /// For each receipt the transaction's other hash, where the VM has one of its own.
    pub(crate) aliases: Vec<Option<B256>>,
    /// Places of the transactions; inputs have none.
    pub(crate) places: Vec<Place>,
    /// What history keeps of the slot for the VM's own queries.
    pub(crate) index: Vec<IndexEntry>,
    pub(crate) writes: WriteSet,
}

/// A transaction's place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Tick inside the slot.
    pub(crate) tick: u32,
    /// Index inside the tick.
    pub(crate) index: u32,
    /// Running hash after it.
    pub(crate) running: B256,
}

/// A transaction of a tick, on its way into its environment.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) bytes: Vec<u8>,
    pub(crate) prepared: AnyPrepared,
    pub(crate) place: Place,
}

/// Told of everything an environment executes, in order, on its thread.
pub(crate) trait Observer: Send + Sync {
    /// The environment has the state of a snapshot, or of genesis.
    fn restored(&self, _: &super::Hosted) {}
    /// A tick's transactions with what became of each, before the tick is told of as executed.
    fn ordered(&self, _: &[Item], _: &[Receipt]) {}
    /// A tick was executed. (Inputs of an opening show in the marks of the next tick.)
    fn executed(&self, time_us: u64, receipts: &[Receipt]);
    /// A slot was sealed: says what history is to keep of it. Slots up to `indexed` are there.
    fn sealed(&self, result: &SlotResult, indexed: u64) -> Vec<IndexEntry>;
}

/// Runs one environment's part of the order, slot by slot. A panic inside the state transition
/// halts the environment and nothing else.
pub(crate) struct Runner {
    environment: Arc<dyn Environment>,
    observer: Option<Arc<dyn Observer>>,
    batch: Option<Batch>,
    receipts: Vec<Receipt>,
    aliases: Vec<Option<B256>>,
    places: Vec<Place>,
}

fn alias(prepared: &AnyPrepared) -> Option<B256> {
    match prepared {
        Ok(AnyChecked::Evm(checked)) => Some(checked.transaction.hash),
        _ => None,
    }
}

impl Runner {
    pub(crate) fn new(
        environment: Arc<dyn Environment>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        Self {
            environment,
            observer,
            batch: None,
            receipts: Vec::new(),
            aliases: Vec::new(),
            places: Vec::new(),
        }
    }

    pub(crate) fn environment(&self) -> &Arc<dyn Environment> {
        &self.environment
    }

    /// Begins a slot: takes in what the router delivers, the hub's entries and the inputs.
    pub(crate) fn open(&mut self, opening: &SlotOpening, inbox: &[Message]) {
        let batch = Batch::open(self.environment.id(), opening, inbox);
        let receipts = self.guard(|environment| environment.open_slot(&batch));
        self.environment.gate().opened.store(true, Relaxed);
        self.observe_own(batch.context.time_us);
        self.batch = Some(batch);
        (self.receipts, self.aliases) = receipts.into_iter().unzip();
        self.places.clear();
    }

    /// Executes the environment's part of a tick; the receipts are in the order of the items.
    pub(crate) fn tick(&mut self, time_us: u64, items: &mut [Item]) -> &[Receipt] {
        let start = self.receipts.len();
        if items.is_empty() {
            return &[];
        }
        let prepared: Vec<&AnyPrepared> = items.iter().map(|item| &item.prepared).collect();
        let receipts = self.guard(|environment| environment.run_tick(time_us, &prepared));
        self.observe_own(time_us);
        if let Some(observer) = &self.observer {
            observer.ordered(items, &receipts);
            observer.executed(time_us, &receipts);
        }
        self.receipts.extend(receipts);
        if let Some(batch) = &mut self.batch {
            batch.steps.push(Step::Tick { time_us });
            for item in items {
                self.aliases.push(alias(&item.prepared));
                self.places.push(item.place);
                batch.steps.push(Step::Transaction(std::mem::take(&mut item.bytes)));
            }
        }
        &self.receipts[start..]
    }

    /// Tells the observer what an opening did before any transaction.
    fn observe_own(&mut self, time_us: u64) {
        if self.observer.is_none() {
            return;
        }
        let own = self.guard(|environment| Vec::from_iter(environment.own_events()));
        if let Some(observer) = self.observer.as_ref().filter(|_| !own.is_empty()) {
            observer.executed(time_us, &own);
        }
    }

    /// Ends the slot. `None` if the environment is halted: it has no further results.
    pub(crate) fn seal(&mut self, header: &SlotHeader) -> Option<SlotResult> {
        let batch = self.batch.take()?;
        let mut writes = self.guard(|environment| vec![environment.seal_slot(header.slot)]).pop();
        let mut result = SlotResult {
            environment: self.environment.id(),
            header: header.clone(),
            batch,
            receipts: std::mem::take(&mut self.receipts),
            aliases: std::mem::take(&mut self.aliases),
            places: std::mem::take(&mut self.places),
            index: self.environment.index(header.slot),
            writes: writes.take()?,
        };
        let gate = self.environment.gate();
        gate.commands.fetch_add(result.receipts.len() as u64, Relaxed);
        if let Some(observer) = &self.observer {
            let index = observer.sealed(&result, gate.indexed_slot.load(Relaxed));
            result.index.extend(index);
        }
        Some(result)
    }

    fn guard<T>(&self, work: impl FnOnce(&dyn Environment) -> Vec<T>) -> Vec<T> {
        if self.environment.gate().halted().is_some() {
            return Vec::new();
        }
        let run = std::panic::AssertUnwindSafe(|| work(&*self.environment));
        match std::panic::catch_unwind(run) {
            Ok(receipts) => receipts,
            Err(panic) => {
                let text = panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("a panic without a message");
                self.environment.gate().halt(format!("the state transition panicked: {text}"));
                Vec::new()
            }
        }
    }
}
