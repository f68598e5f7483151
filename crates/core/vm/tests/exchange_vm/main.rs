//! The exchange environment: what is signed, who may sign, and what becomes of it.

mod border;
mod claims;
mod common;
mod conditional;
mod contract;
mod encoding;
mod flow;
mod idle;
mod liquidation;
mod listing;
mod observation;
mod refusals;
mod signers;
mod vectors;
mod witness;
