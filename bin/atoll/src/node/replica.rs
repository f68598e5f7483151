//! A network in memory that does not run: executed slot by slot from what was ordered. Witnesses,
//! proofs of settled state, whoever watches the operator and whoever leaves stand on it.

use super::boot::lane_policy;
use super::environment::{Hosted as HostedVm, Live};
use super::{Hosted, genesis_state, host};
use anyhow::{Context, Result};
use atoll_executor::machine::{Prepared, prepare};
use atoll_executor::{Batch, EnvironmentSpec, Step};
use atoll_sequencer::obeys;
use atoll_state::db::{MemoryDb, StateDb};
use atoll_state::{PathProof, Resident};
use atoll_types::hub::ROUTER;
use atoll_types::{Address, B256, EnvironmentId, Lane, Message, MessageKind, NetworkId};
use atoll_vm::Receipt;
use atoll_vm::router::RouterVm;
use std::sync::Arc;

/// Fewer checks than this are not worth a thread.
const CHECKS_A_THREAD: usize = 16;

/// Every environment of a network at the end of a slot.
pub(crate) struct Replica {
    /// In ascending order, but the router last: it executes what the others sent.
    hosted: Vec<(Hosted, MemoryDb)>,
    at: u64,
}

/// What one environment executed in a slot.
pub(crate) struct Executed {
    pub(crate) batch: Batch,
    pub(crate) receipts: Vec<Receipt>,
    /// Times of the ticks that do not stand in the order that the environment's spec names.
    pub(crate) disordered: Vec<u64>,
}

impl Replica {
    /// The environments at the end of slot `at`.
    pub(crate) fn new(mut hosted: Vec<(Hosted, MemoryDb)>, at: u64) -> Self {
        hosted.sort_by_key(|(hosted, _)| {
            let id = hosted.environment().id();
            (id == ROUTER, id)
        });
        Self { hosted, at }
    }

    /// The network before its first slot.
    pub(crate) fn genesis(network: NetworkId, specs: &[EnvironmentSpec]) -> Self {
        let genesis = |spec| {
            let hosted = host(network, spec, 0);
            let (db, _) = genesis_state(&hosted);
            (hosted, db)
        };
        Self::new(specs.iter().map(genesis).collect(), 0)
    }

    /// The last slot executed.
    pub(crate) fn slot(&self) -> u64 {
        self.at
    }

    /// One environment with its state.
    pub(crate) fn take(self, id: EnvironmentId) -> Result<(Hosted, MemoryDb)> {
        let found = self.hosted.into_iter().find(|(hosted, _)| hosted.environment().id() == id);
        found.context("an environment that was there is gone")
    }

    fn router(&self) -> Option<Arc<Live<RouterVm<Resident>>>> {
        self.hosted.iter().find_map(|(hosted, _)| match hosted {
            Hosted::Router(live) => Some(live.clone()),
            _ => None,
        })
    }

    /// Executes the next slot. `batch_of` gives each environment's batch from what is delivered to
    /// it; where it gives none, the replica stops before that environment's part, and is of no
    /// further use but for this environment.
    pub(crate) fn execute(
        &mut self,
        mut batch_of: impl FnMut(EnvironmentId, &[Message]) -> Option<Batch>,
    ) -> Option<Vec<Executed>> {
        let slot = self.at + 1;
        let router = self.router();
        let (mut sent, mut done) = (Vec::new(), Vec::new());
        for (hosted, db) in &mut self.hosted {
            let id = hosted.environment().id();
            let inbox = match &router {
                Some(_) if id == ROUTER => std::mem::take(&mut sent),
                Some(router) => router.machine.read().vm().deliveries(slot, id),
                None => Vec::new(),
            };
            let batch = batch_of(id, &inbox)?;
            let executed = match hosted {
                Hosted::Exchange(live) => run(live, db, batch),
                Hosted::Evm(live) => run(live, db, batch),
                Hosted::Router(live) => run(live, db, batch),
            };
            let messages = executed.receipts.iter().flat_map(|receipt| &receipt.messages);
            sent.extend(messages.cloned());
            done.push(executed);
        }
        self.at = slot;
        Some(done)
    }

    /// Whether money or an action is delivered in one of the next `slots`. What one environment is
    /// shown of another goes on for ever, and nothing waits for it.
    pub(crate) fn is_under_way(&self, slots: u64) -> bool {
        let Some(router) = self.router() else { return false };
        let machine = router.machine.read();
        let ids = || self.hosted.iter().map(|(hosted, _)| hosted.environment().id());
        let ahead = self.at + 1..=self.at + slots;
        ahead.flat_map(|slot| ids().map(move |id| (slot, id))).any(|(slot, id)| {
            let deliveries = machine.vm().deliveries(slot, id);
            deliveries.iter().any(|of| of.kind.is_money() || of.kind == MessageKind::Action)
        })
    }

    /// State roots, by environment.
    pub(crate) fn roots(&self) -> impl Iterator<Item = (EnvironmentId, B256)> + '_ {
        self.hosted.iter().map(|(hosted, db)| (hosted.environment().id(), db.root()))
    }

    /// Where an EVM environment keeps a token of the hub.
    pub(crate) fn bridged_token(
        &self,
        environment: EnvironmentId,
        token: Address,
    ) -> Option<Address> {
        self.hosted.iter().find_map(|(hosted, _)| match hosted {
            Hosted::Evm(live) if live.spec.id == environment => {
                live.machine.read().vm().bridged_token(token)
            }
            _ => None,
        })
    }

    /// An object as it is now, with the proof of its leaf; `None` if it is absent.
    pub(crate) fn object(
        &mut self,
        environment: EnvironmentId,
        key: &[u8],
    ) -> Result<Option<(Vec<u8>, PathProof)>> {
        let of = |(hosted, _): &&mut (Hosted, MemoryDb)| hosted.environment().id() == environment;
        let (hosted, db) = self.hosted.iter_mut().find(of).context("no such environment")?;
        let value = match hosted {
            Hosted::Exchange(live) => live.machine.write().object(key),
            Hosted::Evm(live) => live.machine.write().object(key),
            Hosted::Router(live) => live.machine.write().object(key),
        };
        let proof = db.prove_path(&atoll_state::db::key_path(key));
        Ok(value.zip(proof))
    }

    /// The encoded multi-proof that there is nothing at a key, now.
    pub(crate) fn absence(&self, environment: EnvironmentId, key: &[u8]) -> Result<Vec<u8>> {
        let of = |(hosted, _): &&(Hosted, MemoryDb)| hosted.environment().id() == environment;
        let (_, db) = self.hosted.iter().find(of).context("no such environment")?;
        Ok(db.prove(&[atoll_state::db::key_path(key)]))
    }
}

fn run<V: HostedVm>(live: &Live<V>, db: &mut MemoryDb, batch: Batch) -> Executed
where
    V::Transaction: Send,
{
    let whole = batch.whole();
    let checks = check_all(live, &whole.steps);
    let disordered = disordered(&live.spec, &whole.steps, &checks);
    let mut checks = checks.into_iter();
    let check = |bytes: &[u8]| prepare::<V, Resident>(&live.identity, &live.vm_spec, bytes);
    let mut machine = live.machine.write();
    let outcome = machine
        .run_prepared(&live.vm_spec, &whole, |bytes| checks.next().unwrap_or_else(|| check(bytes)));
    db.commit(&machine.seal(None));
    Executed { batch, receipts: outcome.receipts, disordered }
}

/// Times of the ticks whose transactions do not stand in the environment's order; `checks` are
/// those of its inputs and transactions. What fails its check has no lane, and no sequencer has
/// a reason to take it.
fn disordered<T>(spec: &EnvironmentSpec, steps: &[Step], checks: &[Prepared<T>]) -> Vec<u64> {
    let mut lanes = checks.iter().map(|check| check.as_ref().ok().map(|checked| checked.lane));
    let mut ticks: Vec<(u64, Vec<(EnvironmentId, Lane)>)> = Vec::new();
    for step in steps {
        match step {
            Step::Tick { time_us } => ticks.push((*time_us, Vec::new())),
            Step::Input(_) => drop(lanes.next()),
            Step::Transaction(_) => {
                let lane = lanes.next().flatten().map(|lane| (spec.id, lane));
                ticks.last_mut().into_iter().for_each(|(_, tick)| tick.extend(lane));
            }
            Step::Message(_) | Step::Entry(_) => {}
        }
    }
    let policy = lane_policy(spec.ordering);
    ticks.retain(|(_, tick)| !obeys(tick, |_| policy));
    ticks.into_iter().map(|(time_us, _)| time_us).collect()
}

/// The static checks of all inputs and transactions, in order. Signatures are most of the work, and
/// a check depends on nothing but its transaction: every core does its part.
fn check_all<V: HostedVm>(live: &Live<V>, steps: &[Step]) -> Vec<Prepared<V::Transaction>>
where
    V::Transaction: Send,
{
    let bytes = steps.iter().filter_map(|step| match step {
        Step::Input(bytes) | Step::Transaction(bytes) => Some(bytes.as_slice()),
        _ => None,
    });
    let bytes: Vec<&[u8]> = bytes.collect();
    let check = |bytes: &&[u8]| prepare::<V, Resident>(&live.identity, &live.vm_spec, bytes);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = bytes.len().div_ceil(threads).max(CHECKS_A_THREAD);
    if bytes.len() <= share {
        return bytes.iter().map(check).collect();
    }
    std::thread::scope(|scope| {
        let part = |part| scope.spawn(move || part_of(part, check));
        let parts: Vec<_> = bytes.chunks(share).map(part).collect();
        parts.into_iter().flat_map(|part| part.join().expect("a check does not panic")).collect()
    })
}

fn part_of<T>(part: &[&[u8]], check: impl Fn(&&[u8]) -> T) -> Vec<T> {
    part.iter().map(check).collect()
}
