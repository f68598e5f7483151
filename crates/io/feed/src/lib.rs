//! Recorded markets as one stream of order-flow events, and as the orders that reproduce them.
//!
//! [`Feed`] reads Bitstamp L3 CSV, Binance JSON lines and LOBSTER message CSV, plain or
//! compressed with gzip, xz or zstd, recognised by content. Numbers stay exact: a first bounded
//! pass finds the fewest decimals that write every price and size, and everything after counts
//! in integers of those units ([`Instrument`]). A damaged line is skipped, counted by reason and
//! sampled ([`FeedReport`]), never guessed at; a file cut short ends with damage, not an error.
//!
//! [`OrderFlow`] turns the events into commands for a venue that matches by itself
//! ([`FlowCommand`]); its module says by which rule nothing is applied twice.
//!
//! Known limitations: one symbol per feed; orders that were resting before an order-by-order
//! recording began are known only from the first event that names them; LOBSTER times are local
//! to the exchange.

mod decimal;
mod error;
mod event;
mod feed;
mod flow;
mod format;
mod report;
mod source;

pub use decimal::{format_units, rescale};
pub use error::FeedError;
pub use event::{Event, EventKind, Format, Instrument, Level, Side};
pub use feed::{Feed, Options};
pub use flow::{Action, FlowCommand, FlowConfig, FlowReport, OrderFlow, OrderKind};
pub use report::{DamageReason, DamageSample, FeedReport, IgnoredReason};
pub use source::Compression;
