//! What the gateway needs of a node: ports in plain data types, implemented by the composition
//! root.
//!
//! # Obligations of an implementation
//! - Futures are dropped when a client goes away; nothing submitted may be lost or done twice by
//!   that.
//! - Work that holds a thread for more than some 100 µs (running EVM code, regenerating witnesses)
//!   goes to a pool of its own: these futures are polled on the gateway's threads.
//! - Answers are a consistent view of one moment each; two answers may be of different moments.
//! - A panic is caught, counted and answered as an internal error; it ends no connection but its
//!   own.

mod atoll;
mod evm;
mod settlement;

pub use atoll::*;
pub use evm::*;
pub use settlement::*;

use alloy_primitives::{B256, Bytes};
use atoll_types::{Confirmation, EnvironmentId, Reject, RejectCode};
use std::future::Future;
use std::pin::Pin;

/// A future that ports give: boxed, so that ports are objects.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How long a submission waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until the mempool has admitted it: what `eth_sendRawTransaction` promises.
    Admission,
    /// Until it is ordered and its tick is in the log.
    Confirmation,
    /// Until it is ordered, logged and executed by the leader.
    Execution,
}

/// What became of a submission, as far as it was waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The transaction's hash on the network ([`atoll_types::Transaction::hash`]).
    pub hash: B256,
    /// The sequencer's promise; present from [`Wait::Confirmation`] on.
    pub confirmation: Option<Confirmation>,
    /// What execution did; present for [`Wait::Execution`].
    pub receipt: Option<ReceiptView>,
}

/// A receipt as the gateway sees it: the outcome, and bytes that the environment's VM defines.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ReceiptView {
    /// Why the transaction failed; none when it succeeded.
    pub code: Option<RejectCode>,
    /// The sentence that belongs to the code; empty when it succeeded.
    pub message: String,
    /// The encoded receipt: its leaf under the slot's receipts root.
    pub bytes: Bytes,
}

/// The way in: the same admission path for everyone.
pub trait Submit: Send + Sync + 'static {
    /// Checks, admits and orders the bytes of one signed transaction.
    ///
    /// A refusal before ordering is an error; a transaction that was ordered and then failed is
    /// accepted with a receipt that says so. Not retried by the gateway. Dropping the future does
    /// not take an admitted transaction back.
    fn submit(
        &self,
        environment: EnvironmentId,
        bytes: Vec<u8>,
        wait: Wait,
    ) -> Pending<'_, Result<Accepted, Reject>>;
}

/// Why a question has no answer. The sentence says what to do instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// There is no such thing, or not yet.
    #[error("{0}")]
    NotFound(String),
    /// It existed, but this node keeps it no longer.
    #[error("{0}")]
    NotKept(String),
    /// The question itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The answer is larger than one answer may be; ask for less.
    #[error("{0}")]
    TooLarge(String),
    /// The node cannot answer for the moment; ask again.
    #[error("{0}")]
    Busy(String),
    /// The node failed.
    #[error("{0}")]
    Internal(String),
}

/// Renders the node's metrics.
pub trait MetricsPort: Send + Sync + 'static {
    /// Appends metric families in the OpenMetrics text format, without the closing `# EOF`.
    fn render(&self, out: &mut String);
}

impl MetricsPort for prometheus_client::registry::Registry {
    fn render(&self, out: &mut String) {
        // Writing to a string fails only if an encoder does; what was written stays well formed.
        if let Err(error) = prometheus_client::encoding::text::encode_registry(out, self) {
            tracing::warn!(%error, "a metric could not be rendered");
        }
    }
}
