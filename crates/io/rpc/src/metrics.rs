//! The gateway's own counters.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Which API a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Door {
    /// Ethereum JSON-RPC.
    Evm,
    /// The Hyperliquid API.
    Hyperliquid,
    /// The Atoll API, metrics, and unknown paths.
    Atoll,
}

/// Labels of an answered request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answered {
    /// The API.
    pub door: Door,
    /// HTTP status.
    pub status: u16,
}

/// Labels of a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Timed {
    /// The API.
    pub door: Door,
}

/// Labels of something that was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Ended {
    /// Why.
    pub reason: &'static str,
}

/// Counters of the gateway.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Open sockets.
    pub connections: Gauge,
    /// Sockets accepted.
    pub connections_accepted: Counter,
    /// Sockets closed by the gateway, by reason.
    pub connections_cut: Family<Ended, Counter>,
    /// Failures to accept a socket.
    pub accept_errors: Counter,
    /// Open WebSockets.
    pub websockets: Gauge,
    /// WebSockets ended, by reason.
    pub websockets_ended: Family<Ended, Counter>,
    /// Requests answered.
    pub requests: Family<Answered, Counter>,
    /// From the end of a request's head to its answer, seconds.
    pub request_seconds: Family<Timed, Histogram>,
    /// Submissions refused, by reject code.
    pub rejects: Family<Ended, Counter>,
    /// Handlers that panicked.
    pub panics: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram =
            || Histogram::new([100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 0.01, 0.1, 1.0, 10.0]);
        let mut metrics = Self {
            registry: Registry::with_prefix("atoll_gateway"),
            connections: Gauge::default(),
            connections_accepted: Counter::default(),
            connections_cut: Family::default(),
            accept_errors: Counter::default(),
            websockets: Gauge::default(),
            websockets_ended: Family::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(histogram),
            rejects: Family::default(),
            panics: Counter::default(),
        };
        let r = &mut metrics.registry;
        r.register("connections", "Open sockets", metrics.connections.clone());
        r.register(
            "connections_accepted",
            "Sockets accepted",
            metrics.connections_accepted.clone(),
        );
        r.register(
            "connections_cut",
            "Sockets closed by the gateway",
            metrics.connections_cut.clone(),
        );
        r.register("accept_errors", "Failures to accept", metrics.accept_errors.clone());
        r.register("websockets", "Open WebSockets", metrics.websockets.clone());
        r.register("websockets_ended", "WebSockets ended", metrics.websockets_ended.clone());
        r.register("requests", "Requests answered", metrics.requests.clone());
        r.register_with_unit(
            "request",
            "From the end of a request's head to its answer",
            Unit::Seconds,
            metrics.request_seconds.clone(),
        );
        r.register("rejects", "Submissions refused", metrics.rejects.clone());
        r.register("panics", "Handlers that panicked", metrics.panics.clone());
        metrics
    }
}

impl Metrics {
    /// The registry of all of them.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Counts a socket that the gateway closed.
    pub fn cut(&self, reason: &'static str) {
        self.connections_cut.get_or_create(&Ended { reason }).inc();
    }

    /// Counts a refused submission.
    pub fn reject(&self, code: atoll_types::RejectCode) {
        self.rejects.get_or_create(&Ended { reason: code.label() }).inc();
    }
}
