//! The exchange state machine: books, margin, accounts and risk as a pure function
//! `(state, command) → events`.
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod field;

pub mod command;
pub mod event;
pub mod ids;
pub mod objects;
pub mod rules;
pub mod spec;

pub use command::{Command, Input, OrderRequest, OrderSelector};
pub use event::{BalanceCause, CancelReason, Event, Fill, Order, Outcome, Party, Placed, Refusal};
pub use ids::{
    AccountId, Amount, AssetId, ClientId, MarketId, OrderId, PPM, Price, Side, Size, Tif, Wallet,
};
pub use objects::State;
pub use rules::{MarketRules, ProductRules, Rules};
pub use spec::{AssetSpec, ExchangeSpec, Limits, MarketSpec, Product, SelfTrade, SpecError};
