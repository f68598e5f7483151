//! Why data cannot be published, read back or believed.

use crate::axis::Axis;

/// What went wrong, where, and what it means.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DaError {
    /// A span's parts do not fit into the squares one span may have.
    #[error("the span needs {shares} shares and {max} fit; close spans earlier (see SpanPlan)")]
    TooLarge {
        /// Shares the span would need.
        shares: u64,
        /// Shares that fit.
        max: u64,
    },
    /// A part is above its bound.
    #[error("part {part} has {bytes} bytes, at most {max} are allowed; close spans earlier")]
    PartTooLarge {
        /// Index of the part in the span.
        part: u32,
        /// Its size in bytes.
        bytes: u64,
        /// The bound in bytes.
        max: u64,
    },
    /// A span that contradicts itself.
    #[error("not a span: {0}")]
    BadSpan(&'static str),
    /// Shares that are not a square, or whose namespaces are not in order.
    #[error("not a square: {0}")]
    BadSquare(&'static str),
    /// A header that no square has.
    #[error("not a header: {0}")]
    BadHeader(&'static str),
    /// A position outside of the squares of the span.
    #[error("square {square}, row {row}, column {column} is outside of the span")]
    OutOfRange {
        /// The square.
        square: u16,
        /// The row.
        row: u16,
        /// The column.
        column: u16,
    },
    /// A share does not hash to the root it claims to stand under, at the place it claims.
    #[error(
        "the share at row {row}, column {column} is not under the {by} root; \
         refuse whoever served it"
    )]
    BadProof {
        /// The row.
        row: u16,
        /// The column.
        column: u16,
        /// The axis whose root was to prove it.
        by: Axis,
    },
    /// A namespace proof that is not one, or is not complete.
    #[error("row {row}: {what}; ask another peer for the namespace")]
    BadNamespaceProof {
        /// The row at fault.
        row: u16,
        /// What is wrong.
        what: &'static str,
    },
    /// The shares of a namespace are committed, yet are not a part.
    #[error("the namespace holds no readable part: {0}; whoever published the span is at fault")]
    BadPart(&'static str),
}
