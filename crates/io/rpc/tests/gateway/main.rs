//! The real server over loopback, on ports that the tests implement.

mod atoll;
mod bounds;
mod client;
mod evm;
mod filters;
mod node;
mod websocket;
