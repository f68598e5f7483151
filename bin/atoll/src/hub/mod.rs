//! The settlement hub: the chain that Atoll's contracts run on, and the node's side of it.

pub(crate) mod embedded;
