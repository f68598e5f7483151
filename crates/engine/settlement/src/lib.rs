//! Posts commitments to the hub, follows its queue, watches what is settled.
//!
//! [`Engine`] is a state machine: time comes in as milliseconds, requests go out as [`Action`]s,
//! answers come in as [`Event`]s, and there is no thread and no I/O. [`port`] says what the caller
//! owes it.
//!
//! # Looking
//! Everything that is decided rests on an [`Observation`]: one node's account of the latest and
//! the finalised block, with our nonce, the Anchor and the queue at both. One that is behind what
//! was already final, or that cannot be, is not used. Nothing is concluded from an error.
//!
//! # Posting
//! Commitments go out in order from one key. A commitment keeps its nonce until that nonce is
//! final; every attempt and every replacement carries it, and is persisted before it is sent. So
//! the chain takes at most one of them, whatever nodes, reorgs, restarts and timeouts do. One that
//! a reorg takes out is sent again as it was; one that waits too long is replaced by one that pays
//! more, up to a cap. What others send from the same key costs a nonce, and time until that is
//! final; if a reorg then mixes the order, what stood behind it may revert and is sent again.
//!
//! # The queue
//! Entries come out once they are final, in order, each of them once ([`Engine::next_entries`]).
//! The running hash over them is compared with the contract's own.
//!
//! # Halts
//! A block that was final and is gone, a commitment that is not ours, a rejection, the escape
//! hatch, content that changed: the engine stops that part of itself ([`Halt`] says which and
//! what to do) and goes on only when told ([`Engine::resume`], [`Engine::rederive`]).
//!
//! # Driving it
//! ```
//! use atoll_settlement::{Action, Engine, Event, QueueEntry, Wallet};
//!
//! /// One turn of the thread that drives an engine; returns when to come back, unless an answer
//! /// comes before.
//! fn turn<W: Wallet>(
//!     engine: &mut Engine<W>,
//!     now_ms: u64,
//!     answers: &mut Vec<Event>,
//!     persist: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
//!     request: &mut dyn FnMut(Action),
//!     take: &mut dyn FnMut(Vec<QueueEntry>),
//! ) -> std::io::Result<u64> {
//!     for event in answers.drain(..) {
//!         engine.on_event(now_ms, event);
//!     }
//!     for action in engine.poll(now_ms) {
//!         match action {
//!             Action::Persist(bytes) => persist(&bytes)?, // on an error: end the process
//!             action => request(action), // to a thread that speaks to the hub
//!         }
//!     }
//!     take(engine.next_entries(64, 256 << 10));
//!     Ok(engine.next_deadline_ms())
//! }
//! ```
//!
//! # Known limitations
//! * A node that makes up whole consistent histories is believed: point the hub adapter at a node
//!   you trust, or at several and compare.
//! * After a reorg deeper than finality, and after a lost checkpoint, a commitment may be mined a
//!   second time and revert there: it costs gas and has no other effect.
//! * A transaction with which somebody else settles first lets ours revert.

pub mod checkpoint;
mod config;
mod engine;
mod fees;
mod follower;
mod halt;
mod live;
pub mod port;
pub mod queue;
mod retry;
mod sender;
mod status;

pub use checkpoint::{Checkpoint, Floor, Post};
pub use config::{Config, ConfigError};
pub use engine::{Engine, StartError};
pub use halt::Halt;
pub use port::{
    Action, AnchorView, BlockRef, Call, Class, Cursor, Event, Failure, Fees, LoggedEntry, Next,
    Observation, Prepared, Purpose, QueueEntry, QueueView, Receipt, RequestId, Sent,
    SignedTransaction, TransactionRequest, Wallet,
};
pub use queue::{Entry, EntryKind};
pub use status::Status;
