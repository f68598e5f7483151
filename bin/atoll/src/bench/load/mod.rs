//! A load generator for a node's doors: requests made beforehand, offered open loop.

pub(super) mod client;
mod ready;
pub(super) mod report;
pub(super) mod wire;
