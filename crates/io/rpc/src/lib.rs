//! The gateway: Ethereum JSON-RPC, the Hyperliquid API, the Atoll API and metrics behind one
//! bounded HTTP and WebSocket server.

pub mod port;
