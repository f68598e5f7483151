//! Port of settlement and data availability: commitments, withdrawals, spans, proofs.

use super::{Pending, QueryError};
use alloy_primitives::{Address, Bytes};
use atoll_types::EnvironmentId;

/// Which commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitmentId {
    /// The last one made.
    Latest,
    /// The last one that the hub has settled.
    Settled,
    /// The one with this number.
    Number(u64),
}

/// A question about settlement or data availability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettlementQuery {
    /// Where settlement stands: hub, contracts, cursor, last anchored and settled commitments.
    Status,
    /// A commitment with its statements, transfers and spans.
    Commitment(CommitmentId),
    /// A withdrawal, with the proof against the last settled commitment once there is one.
    Withdrawal(u64),
    /// The withdrawals to an address, newest first.
    Withdrawals(Address),
    /// The roots of the published data of a slot's span.
    Span(u64),
    /// A share of that span with its proof.
    Sample {
        /// Any slot of the span.
        slot: u64,
        /// Which square.
        square: u16,
        /// Its row.
        row: u16,
        /// Its column.
        column: u16,
    },
    /// All of a namespace in that span, with the proof that it is all; of the headers for `None`.
    Namespace {
        /// Any slot of the span.
        slot: u64,
        /// Whose.
        environment: Option<EnvironmentId>,
    },
    /// A slot's header with its leader's signature.
    Header(u64),
    /// Consecutive headers, from a slot on: as many as are sealed, and at most so many.
    Headers {
        /// The first slot.
        from: u64,
        /// How many at most.
        count: u64,
    },
    /// An object of an environment's state at the last settled commitment, with its proof.
    Proof {
        /// Whose state.
        environment: EnvironmentId,
        /// The object's encoded key.
        key: Bytes,
    },
}

/// Answers questions about settlement; the shapes are in `docs/API.md`.
pub trait SettlementPort: Send + Sync + 'static {
    /// Answers one question.
    fn answer(&self, query: SettlementQuery) -> Pending<'_, Result<serde_json::Value, QueryError>>;
}
