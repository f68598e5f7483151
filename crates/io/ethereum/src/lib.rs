//! Speaks to an Ethereum node: JSON-RPC, transactions, the hub's ABI, the hub's deployment.
//!
//! [`Client`] is blocking and retries nothing: an error says whether it may pass by itself
//! ([`ClientError::is_temporary`]), and what to do is for the caller. Answers are bounded, read
//! strictly, and never believed to be more than one node's word.
//!
//! # Known limitations
//! * One request per HTTP exchange; no batches, no WebSocket.
//! * `https://` only with feature `tls`.

pub mod abi;
mod client;
pub mod create;
pub mod deploy;
mod error;
pub mod hub;
pub mod hub_deploy;
mod json;
pub mod logs;
mod sending;
mod transaction;
mod view;

pub use client::{Client, Limits};
pub use error::{ClientError, SendRefusal};
pub use transaction::{Signed, Transaction};
pub use view::{Block, BlockId, CallRequest, Log, LogFilter, Receipt, TransactionView};
