//! The composition root: engines, environments, storage and threads put together.
//!
//! Threads: one *driver* orders, logs and hands out; one per environment executes; the *keeper*
//! computes roots and takes snapshots; the *historian* writes what queries ask for later; the
//! *syncer* makes sealed slots durable; beside each exchange one follows what can be liquidated. The
//! gateway runs on tokio's threads, where admission (signatures) is checked.

pub(crate) mod archive;
mod boot;
mod changes;
pub(crate) mod driver;
pub(crate) mod environment;
mod historian;
mod keeper;
pub(crate) mod liquidations;
pub(crate) mod ports;
mod replay;
pub(crate) mod replica;
mod router;
#[cfg(test)]
mod tests;
pub(crate) mod witness;

pub(crate) use boot::host;
pub(crate) use boot::{Node, NodeConfig, SLOT_US, genesis_state};
pub(crate) use driver::{Outcome, Submission};

use crate::stats::Stats;
use archive::Archive;
use atoll_sequencer::HubQueue;
use atoll_state::Resident;
use atoll_types::{Address, EnvironmentId, NetworkId, Reject, RejectCode, SlotHeader};
use atoll_vm::evm::EvmVm;
use atoll_vm::exchange::ExchangeVm;
use atoll_vm::router::RouterVm;
use driver::{DriverMessage, Wait};
use environment::{Environment, Live};
use keeper::Roots;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Instant;

/// An environment with its VM's own type, for the queries that need it.
#[derive(Clone)]
pub(crate) enum Hosted {
    Exchange(Arc<Live<ExchangeVm<Resident>>>),
    Evm(Arc<Live<EvmVm<Resident>>>),
    Router(Arc<Live<RouterVm<Resident>>>),
}

impl From<Arc<Live<ExchangeVm<Resident>>>> for Hosted {
    fn from(live: Arc<Live<ExchangeVm<Resident>>>) -> Self {
        Self::Exchange(live)
    }
}

impl From<Arc<Live<EvmVm<Resident>>>> for Hosted {
    fn from(live: Arc<Live<EvmVm<Resident>>>) -> Self {
        Self::Evm(live)
    }
}

impl From<Arc<Live<RouterVm<Resident>>>> for Hosted {
    fn from(live: Arc<Live<RouterVm<Resident>>>) -> Self {
        Self::Router(live)
    }
}

impl Hosted {
    pub(crate) fn environment(&self) -> Arc<dyn Environment> {
        match self {
            Self::Exchange(live) => live.clone(),
            Self::Evm(live) => live.clone(),
            Self::Router(live) => live.clone(),
        }
    }
}

/// What every part of a running node shares.
pub(crate) struct Shared {
    pub(crate) network: NetworkId,
    pub(crate) leader: Address,
    pub(crate) term: u64,
    pub(crate) environments: Vec<Hosted>,
    pub(crate) archive: Arc<Archive>,
    pub(crate) roots: Roots,
    pub(crate) stats: Arc<Stats>,
    /// Header of the last sealed slot.
    pub(crate) head: RwLock<SlotHeader>,
    pub(crate) finalised: AtomicU64,
    /// The last slot that the hub has settled: from there on every root can be proven. `u64::MAX`
    /// where nothing settles.
    pub(crate) settled: Arc<AtomicU64>,
    censored: Option<Address>,
    driver: SyncSender<DriverMessage>,
}

impl Shared {
    pub(crate) fn environment(&self, id: EnvironmentId) -> Option<Arc<dyn Environment>> {
        self.environments.iter().map(Hosted::environment).find(|e| e.id() == id)
    }

    /// Hands on what was read of the hub's queue; `false` when the node is stopping.
    pub(crate) fn hub_queue(&self, queue: HubQueue) -> bool {
        self.driver.send(DriverMessage::Hub(queue)).is_ok()
    }

    /// Checks, admits and orders one transaction: the only way in. Signature and state checks run
    /// here, on the caller's thread; `wait` says when the answer comes. The order of calls from
    /// one thread is the order of arrival.
    pub(crate) fn submit(
        &self,
        environment: EnvironmentId,
        bytes: Vec<u8>,
        wait: Wait,
    ) -> Result<tokio::sync::oneshot::Receiver<Outcome>, Reject> {
        let received = Instant::now();
        let result = self.admit(environment, bytes, wait, received);
        if let Err(reject) = &result {
            self.stats.reject(reject.code);
        }
        result
    }

    fn admit(
        &self,
        environment: EnvironmentId,
        bytes: Vec<u8>,
        wait: Wait,
        received: Instant,
    ) -> Result<tokio::sync::oneshot::Receiver<Outcome>, Reject> {
        let Some(target) = self.environment(environment) else {
            let known: Vec<_> = self
                .environments
                .iter()
                .map(|e| {
                    let e = e.environment();
                    format!("{} ({})", e.id(), e.spec().name)
                })
                .collect();
            let message =
                format!("no environment {environment}; this network has {}", known.join(", "));
            return Err(Reject::new(RejectCode::UnknownEnvironment, message));
        };
        let checked = target.admit(&bytes)?;
        if self.censored == Some(checked.signer()) {
            return Err(Reject::new(RejectCode::Busy, "try again in a moment"));
        }
        let (reply, answer) = tokio::sync::oneshot::channel();
        let submission = Submission { environment, bytes, checked, wait, received, reply };
        match self.driver.try_send(DriverMessage::Submit(Box::new(submission))) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(Reject::new(
                RejectCode::Busy,
                "the sequencer's queue is full; try again in a moment",
            )),
            Err(TrySendError::Disconnected(_)) => {
                Err(Reject::new(RejectCode::Busy, "the node is shutting down"))
            }
        }
    }
}
