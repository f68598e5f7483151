//! The native exchange as an environment. It speaks Hyperliquid's signed actions itself, so the
//! state transition, in the proof guest too, validates exactly what the trader signed.
//!
//! * **Who may sign.** An *agent* key signs orders for a master account and moves no money. A
//!   master key approves agents and moves money with an [`AtollMessage`], whose domain names
//!   network and environment. Where the spec says [`ExchangeVmSpec::accept_hyperliquid_master`]
//!   (development networks), a master key may also sign all of Hyperliquid's actions itself.
//! * **Replay.** Nonces are kept per signer ([`objects::Nonces`]) and outlive an approval. A
//!   Hyperliquid action names no venue: one agent key approved in two environments signs for
//!   both. Approve a key of its own for each environment.
//! * **What a nonce pays for.** A transaction that does not reach the exchange (signature, agent,
//!   nonce, expiry) uses no nonce and has a receipt with a code and a sentence. One that reaches
//!   it uses its nonce, whatever became of its commands, and has an [`ExchangeReceipt`].
//! * **Inputs.** Only oracle prices are inputs of a slot's opening; they take effect at the next
//!   tick, wherever they stand.
//!
//! Known limitations: no vaults and subaccounts, no trigger orders, no isolated margin, no
//! builder fees; withdrawals wait for the settlement hub.

pub mod action;
pub mod authority;
pub mod build;
pub mod decimal;
pub mod domain;
mod message;
pub mod msgpack;
pub mod objects;
pub mod receipt;
#[cfg(feature = "std")]
pub mod sign;
pub mod spec;
pub mod transaction;
mod typed;
mod vm;

pub use action::{Action, Step, asset_of_market, market_of_asset};
pub use authority::{Domain, SignedAction};
pub use message::{AtollMessage, OraclePrices};
pub use receipt::{ExchangeReceipt, Status};
pub use spec::{ExchangeVmSpec, GenesisBalance};
pub use transaction::{ExchangeTransaction, Kind};
pub use vm::ExchangeVm;
