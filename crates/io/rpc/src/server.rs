//! Sockets, bounds, panics, shutdown: everything that happens before a handler.

mod bind;
mod connection;
mod request;
mod serve;

pub use bind::{BindError, raise_open_files_limit};
pub use connection::Client;
pub(crate) use request::json_response;
pub use request::{Refusal, refuse};

use crate::config::{Config, Limits};
use crate::metrics::{Door, Metrics};
use crate::port::{AtollPort, EvmPort, MetricsPort, SettlementPort, Submit};
use crate::{atoll, evm, hyperliquid};
use atoll_types::EnvironmentId;
use axum::Router;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// One EVM chain behind `/evm/<name>`, or the hub.
#[derive(Clone)]
pub struct EvmEnvironment {
    /// Its name in the path.
    pub name: String,
    /// Its id.
    pub id: EnvironmentId,
    /// Its port.
    pub port: Arc<dyn EvmPort>,
    /// The way in: the hub is a network of its own.
    pub submit: Arc<dyn Submit>,
}

/// What the gateway stands on.
#[derive(Clone)]
pub struct Ports {
    /// The way in.
    pub submit: Arc<dyn Submit>,
    /// Slots, roots, receipts, witnesses, environments.
    pub atoll: Arc<dyn AtollPort>,
    /// The EVM environments.
    pub evm: Vec<EvmEnvironment>,
    /// The embedded hub, behind `/hub`; without one the path answers 404.
    pub hub: Option<EvmEnvironment>,
    /// The exchange behind the Hyperliquid API; without one its paths answer 404.
    pub hyperliquid: Option<Arc<dyn hyperliquid::Venue>>,
    /// Settlement and data availability; without a hub its paths answer 404.
    pub settlement: Option<Arc<dyn SettlementPort>>,
    /// The node's metrics.
    pub metrics: Vec<Arc<dyn MetricsPort>>,
}

/// What all handlers share.
pub struct Shared {
    /// Settings.
    pub config: Config,
    /// Ports.
    pub ports: Ports,
    /// The gateway's counters.
    pub metrics: Metrics,
    pub(crate) connections: Arc<connection::Connections>,
    pub(crate) in_flight: Semaphore,
    pub(crate) websockets: Arc<Semaphore>,
    pub(crate) bodies: Arc<Semaphore>,
    pub(crate) rate: Option<request::Rate>,
    /// Of what filters and log subscriptions look for.
    pub(crate) filter_bytes: Arc<Semaphore>,
    pub(crate) filters: evm::Filters,
    /// Transactions that wait for what their senders have sent before.
    pub(crate) early: Semaphore,
    pub(crate) stopping: watch::Sender<bool>,
}

impl Shared {
    /// The bounds.
    pub fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// Resolves when the gateway shuts down.
    pub(crate) async fn stopped(&self) {
        // The sender lives in `self`: an error is impossible while anyone waits.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }
}

/// The server, bound and not yet serving.
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    router: Router,
}

impl Gateway {
    /// Binds the listening socket. Call inside a tokio runtime.
    pub async fn bind(mut config: Config, ports: Ports) -> Result<Self, BindError> {
        let (listener, address) = bind::listen(config.listen)?;
        let limits = &mut config.limits;
        limits.connections_max = bind::affordable_connections(limits.connections_max);
        limits.websockets_max = limits.websockets_max.min(limits.connections_max);
        let shared = Arc::new(Shared {
            connections: Arc::default(),
            metrics: Metrics::default(),
            in_flight: Semaphore::new(limits.in_flight_max),
            websockets: Arc::new(Semaphore::new(limits.websockets_max)),
            bodies: Arc::new(Semaphore::new(limits.bodies_bytes_max)),
            rate: limits.requests_per_s_max.map(request::Rate::new),
            filter_bytes: Arc::new(Semaphore::new(limits.filter_bytes_max)),
            filters: evm::Filters::default(),
            early: Semaphore::new(evm::EARLY_MAX),
            stopping: watch::Sender::new(false),
            config,
            ports,
        });
        let router = Router::new()
            .merge(evm::routes(shared.clone()))
            .merge(hyperliquid::routes(shared.clone()))
            .merge(atoll::routes(shared.clone()));
        Ok(Self { listener, address, shared, router })
    }

    /// Where it listens (the port is real when 0 was asked for).
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What the handlers share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Serves until `shutdown` resolves; then lets requests in flight end within the grace.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        serve::serve(self.listener, self.shared, self.router, shutdown).await;
    }
}

/// Which API a path belongs to, and so in which convention it is refused.
pub(crate) fn door_of(path: &str) -> Door {
    match path {
        "/info" | "/exchange" | "/ws" => Door::Hyperliquid,
        "/hub" => Door::Evm,
        _ if path == "/evm" || path.starts_with("/evm/") => Door::Evm,
        _ => Door::Atoll,
    }
}
