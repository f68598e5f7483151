//! The settlement hub: the chain that Atoll's contracts run on, and the node's side of it.

pub(crate) mod artifacts;
pub(crate) mod assemble;
pub(crate) mod calls;
pub(crate) mod certificate;
pub(crate) mod command;
pub(crate) mod deployment;
pub(crate) mod derivation;
pub(crate) mod embedded;
pub(crate) mod follower;
pub(crate) mod onchain;
pub(crate) mod outside;
pub(crate) mod published;
pub(crate) mod publisher;
pub(crate) mod queries;
pub(crate) mod service;
pub(crate) mod settler;
pub(crate) mod source;
pub(crate) mod spans;
pub(crate) mod view;
