//! The port of the exchange behind the Hyperliquid API.

use crate::port::{Pending, QueryError};
use alloy_primitives::Address;
use atoll_types::{EnvironmentId, Reject};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::broadcast;

/// The parts of a signed action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionParts {
    /// The msgpack of the action, as it was signed.
    pub action: Vec<u8>,
    /// Nonce, milliseconds since the Unix epoch.
    pub nonce: u64,
    /// The vault to act for.
    pub vault: Option<Address>,
    /// Milliseconds since the Unix epoch after which the action is void.
    pub expires_after: Option<u64>,
    /// r, s and v.
    pub signature: ([u8; 32], [u8; 32], u64),
}

/// What a subscription is about, with names in the venue's own spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// The book of a coin.
    L2Book(String),
    /// Trades of a coin.
    Trades(String),
    /// Best bid and offer of a coin.
    Bbo(String),
    /// Prices and funding of a coin.
    ActiveAssetCtx(String),
    /// Mid prices.
    AllMids,
    /// Fills of a user.
    UserFills(Address),
    /// Orders of a user.
    OrderUpdates(Address),
}

impl Topic {
    /// The channel that its messages name.
    pub fn channel(&self) -> &'static str {
        match self {
            Self::L2Book(_) => "l2Book",
            Self::Trades(_) => "trades",
            Self::Bbo(_) => "bbo",
            Self::ActiveAssetCtx(_) => "activeAssetCtx",
            Self::AllMids => "allMids",
            Self::UserFills(_) => "userFills",
            Self::OrderUpdates(_) => "orderUpdates",
        }
    }
}

/// A subscription that the venue accepted.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Its topic.
    pub topic: Topic,
    /// What a new subscriber is told first, if anything.
    pub snapshot: Option<Value>,
}

/// Something that subscribers of a topic are told.
#[derive(Clone, Debug)]
pub struct VenueEvent {
    /// The topic.
    pub topic: Topic,
    /// The `data` of the message.
    pub data: Value,
}

/// What `/atoll/markets` and `/atoll/accounts` ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VenueQuery {
    /// Every market with its prices.
    Markets,
    /// All of a market, by its name.
    Market(String),
    /// All of an account.
    Account(Address),
}

/// The exchange environment behind these doors.
pub trait Venue: Send + Sync + 'static {
    /// The environment that orders go to.
    fn environment(&self) -> EnvironmentId;

    /// Answers an `/info` request.
    fn info(&self, request: Value) -> Pending<'_, Result<Value, QueryError>>;

    /// Answers `/atoll/markets` and `/atoll/accounts`; docs/API.md has the keys.
    fn view(&self, query: VenueQuery) -> Pending<'_, Result<Value, QueryError>>;

    /// The bytes of the transaction that carries a signed action.
    fn assemble(&self, parts: ActionParts) -> Result<Vec<u8>, Reject>;

    /// The `response` to an action that reached the exchange, from its JSON and its receipt.
    fn answer(&self, action: &str, receipt: &[u8]) -> Result<Value, Reject>;

    /// Checks a subscription request.
    fn subscription(&self, request: &Value) -> Result<Subscription, QueryError>;

    /// Events of all topics from now on.
    fn events(&self) -> broadcast::Receiver<Arc<VenueEvent>>;
}
