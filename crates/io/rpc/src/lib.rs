//! The gateway: Ethereum JSON-RPC, the Hyperliquid API, the Atoll API and metrics behind one
//! bounded HTTP and WebSocket server.
//!
//! - [`port`][]: what the gateway needs of a node, in plain data types.
//! - [`server`][]: sockets, bounds, panics, shutdown: everything that happens before a handler.
//! - [`ws`][]: bounded WebSocket sessions.
//! - [`evm`][]: `/evm/<environment>`, Ethereum JSON-RPC.
//! - [`hyperliquid`][]: `/info`, `/exchange`, `/ws`.
//! - [`atoll`][]: `/atoll/…`.
//!
//! # Bounds
//! Every input and every wait has one, all of them in [`Limits`]. A request's body is in memory
//! before its handler runs; the bodies of all requests together have a budget. When the table of
//! connections is full, those that never said anything make room first, so a flood of silent
//! sockets does not lock anyone out.
//!
//! # Known limitations
//! HTTP/1.1 without TLS: a public node stands behind a proxy that ends TLS. Behind one, the rate
//! per address is the proxy's.

pub mod atoll;
pub mod config;
pub mod evm;
pub mod hyperliquid;
pub mod metrics;
pub mod port;
pub mod server;
pub mod ws;

pub use config::{Config, Limits};
pub use server::{BindError, EvmEnvironment, Gateway, Ports, raise_open_files_limit};
