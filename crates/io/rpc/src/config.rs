//! The gateway's settings: where it listens, and a bound for everything that comes in.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The gateway's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What `web3_clientVersion` and `/atoll` say: name and version.
    pub client_version: String,
    /// Bounds.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 3001)),
            client_version: concat!("atoll/v", env!("CARGO_PKG_VERSION")).to_owned(),
            limits: Limits::default(),
        }
    }
}

/// Bounds on everything that comes in or waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open sockets. Lowered to what the process may open, less a reserve for its own files.
    pub connections_max: usize,
    /// Open WebSockets among them.
    pub websockets_max: usize,
    /// Requests inside handlers, HTTP and WebSocket together.
    pub in_flight_max: usize,
    /// Headers of one request.
    pub headers_max: usize,
    /// Bytes of a request's head; at least 8192.
    pub head_bytes_max: usize,
    /// From a connection's or request's first byte (or from the connect, when nothing comes) to
    /// the end of the request's head.
    pub head_timeout: Duration,
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// Bytes of all requests' bodies that are in memory at once.
    pub bodies_bytes_max: usize,
    /// From the end of the head to the end of the body.
    pub body_timeout: Duration,
    /// A handler's time to start its answer, over HTTP and over WebSocket.
    pub handler_timeout: Duration,
    /// How long a client may refuse to take the bytes of an answer.
    pub write_timeout: Duration,
    /// How long a connection may be silent between requests.
    pub idle_timeout: Duration,
    /// Requests and WebSocket messages per second and address, with a burst of the same number;
    /// none for no bound. A batch counts once.
    pub requests_per_s_max: Option<u32>,
    /// Requests in one JSON-RPC batch.
    pub batch_max: usize,
    /// Bytes of a batch's answer.
    pub batch_answer_bytes_max: usize,
    /// Blocks that one `eth_getLogs` may span.
    pub log_blocks_max: u64,
    /// Logs that one `eth_getLogs` may return.
    pub logs_max: usize,
    /// Filters that clients poll (`eth_newFilter` and its kin), all of them together.
    pub filters_max: usize,
    /// Those of one address.
    pub filters_per_address_max: usize,
    /// Bytes of what filters and log subscriptions look for, all of them together.
    pub filter_bytes_max: usize,
    /// A filter that nobody asks for so long is removed.
    pub filter_idle_timeout: Duration,
    /// Hashes of blocks or transactions in one `eth_getFilterChanges`; the next one gives the rest.
    pub filter_changes_max: usize,
    /// Bytes of a WebSocket message.
    pub ws_message_bytes_max: usize,
    /// Messages waiting for a WebSocket's client.
    pub ws_queue_max: usize,
    /// Bytes waiting for a WebSocket's client.
    pub ws_queue_bytes_max: usize,
    /// Subscriptions of one WebSocket.
    pub ws_subscriptions_max: usize,
    /// How often an idle WebSocket is pinged.
    pub ws_ping_interval: Duration,
    /// A WebSocket that sends nothing for so long, not even a pong, is closed.
    pub ws_idle_timeout: Duration,
    /// How long requests in flight may take to end at shutdown.
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            websockets_max: 2048,
            in_flight_max: 1024,
            headers_max: 64,
            head_bytes_max: 32 * 1024,
            head_timeout: Duration::from_secs(10),
            body_bytes_max: 1024 * 1024,
            bodies_bytes_max: 256 * 1024 * 1024,
            body_timeout: Duration::from_secs(15),
            handler_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(75),
            requests_per_s_max: None,
            batch_max: 100,
            batch_answer_bytes_max: 32 * 1024 * 1024,
            log_blocks_max: 10_000,
            logs_max: 10_000,
            filters_max: 8192,
            filters_per_address_max: 1024,
            filter_bytes_max: 64 * 1024 * 1024,
            filter_idle_timeout: Duration::from_secs(300),
            filter_changes_max: 10_000,
            ws_message_bytes_max: 1024 * 1024,
            ws_queue_max: 8192,
            ws_queue_bytes_max: 8 * 1024 * 1024,
            ws_subscriptions_max: 1000,
            ws_ping_interval: Duration::from_secs(20),
            ws_idle_timeout: Duration::from_secs(60),
            shutdown_grace: Duration::from_secs(5),
        }
    }
}
