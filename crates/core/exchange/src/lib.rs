//! The exchange state machine: books, margin, accounts and risk as a pure function
//! `(state, command) → events`.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(clippy::float_arithmetic, clippy::disallowed_types, clippy::disallowed_methods)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod ahead;
pub mod audit;
mod by_account;
pub mod decimal;
mod engine;
mod field;
pub mod fixed;
mod headroom;
mod listed;
mod math;
#[cfg(feature = "std")]
pub mod parallel;
mod products;
pub mod query;
mod worth;

pub mod command;
pub mod conditional;
pub mod event;
pub mod exchange;
pub mod ids;
pub mod margin;
pub mod objects;
pub mod rules;
pub mod spec;

pub use ahead::AHEAD;
pub use audit::{AssetConservation, Conservation};
pub use command::{
    Command, Input, MarketOrderRequest, OracleReport, OrderRequest, OrderSelector, Outside,
};
pub use conditional::{
    Direction, Trigger, TriggerKind, TriggerRequest, TriggerState, TwapEnd, TwapRequest, TwapView,
};
pub use engine::{BareBook, BareOrder, FundingView, Place, Trade};
pub use event::{
    BalanceCause, CancelReason, Event, Fill, Grouped, GuardReason, LiquidationStep, Order, Outcome,
    Party, Placed, Refusal, ResizeReason,
};
pub use exchange::Exchange;
pub use ids::{
    AccountId, Amount, AssetId, ClientId, MarketId, MarketStatus, OrderId, PPM, Price, Side, Size,
    Tif, Wallet,
};
pub use margin::{Margin, isolated::IsolatedView};
pub use objects::{MarketPrices, State};
pub use query::{LevelView, PositionView};
pub use rules::{MarketRules, PledgeRules, ProductRules, Rules};
pub use spec::listing::{ListedOracle, Listing, ListingSpec, Permissionless};
pub use spec::prices::{
    FundingSpec, MarkRule, OracleSpec, PriceSpec, SanitySpec, VolatilityModel, VolatilitySpec,
};
pub use spec::{
    AssetSpec, Contract, Deleveraging, ExchangeSpec, Limits, LiquidationSpec, MarginTier,
    MarketRisk, MarketSpec, Pledge, Product, SelfTrade, SpecError,
};
