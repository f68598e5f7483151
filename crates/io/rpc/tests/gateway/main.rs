//! The real server over loopback, on ports that the tests implement.

mod atoll;
mod bounds;
mod client;
mod debug;
mod evm;
mod filters;
mod node;
mod simulate;
mod websocket;
