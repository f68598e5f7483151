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
//! * **Money across the border.** Assets with a token on the hub come in by deposits and transfers
//!   ([`crate::Vm::receive`]) and leave by [`AtollMessage::Send`], which only a master key signs.
//!   What each account could take out is recorded for the hub ([`claims`]).
//! * **Contracts of other environments** ask for orders and money through messages
//!   ([`contract`]), each for an account that no key signs for, and are shown what they ask for or
//!   what their environment observes ([`observation`]).
//! * **Listed markets.** What an action says of a market that is not in the spec is read again when
//!   it executes ([`Action::Late`]): which markets are listed, and with which ticks, is state.
//! * **Inputs.** Only oracle prices are inputs of a slot's opening; they take effect at the next
//!   tick, wherever they stand.
//!
//! Known limitations: no vaults and subaccounts, no builder fees. Fees that the venue earned belong
//! to no account and cannot leave.

pub mod action;
mod agents;
pub mod authority;
mod border;
pub mod build;
pub mod claims;
mod conditional;
pub mod contract;
pub mod decimal;
pub mod domain;
mod listing_action;
mod margin_action;
mod message;
pub mod msgpack;
pub mod objects;
pub mod observation;
mod order_type;
pub mod receipt;
mod risk_action;
#[cfg(feature = "std")]
pub mod sign;
mod signers;
pub mod spec;
pub mod transaction;
mod typed;
mod vm;

pub use action::{Action, Step, asset_of_market, market_of_asset};
pub use authority::{Domain, SignedAction};
pub use border::Sending;
pub use contract::ContractAction;
pub use message::{AtollMessage, OraclePrices};
pub use receipt::{ExchangeReceipt, Status};
pub use spec::{ExchangeVmSpec, GenesisBalance, HubAsset};
pub use transaction::{ExchangeTransaction, Kind};
pub use vm::ExchangeVm;
