//! The real server over loopback, on ports that the tests implement.

mod atoll;
mod bounds;
mod client;
mod evm;
mod node;
mod websocket;
