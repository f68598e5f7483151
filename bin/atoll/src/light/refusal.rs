//! What a light client does not let pass, with what shows it.

use atoll_da::Position;
use serde_json::{Map, Value, json};
use std::fmt;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The sequencer signed two things that contradict one another.
    Equivocation,
    /// What must be there is not given.
    Withheld,
    /// A share is not the one committed to.
    BadShare,
    /// A span is proven not to be what an encoder makes.
    BadEncoding,
    /// A header is forged, or breaks a rule of the chain of slots.
    BadHeader,
    /// A commitment is forged, or does not follow from the one before.
    BadCommitment,
    /// The hub has another commitment under this number.
    NotAnchored,
    /// A value is not the one in the settled state.
    BadProof,
}

impl Kind {
    /// For programs.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Equivocation => "equivocation",
            Self::Withheld => "withheld",
            Self::BadShare => "bad_share",
            Self::BadEncoding => "bad_encoding",
            Self::BadHeader => "bad_header",
            Self::BadCommitment => "bad_commitment",
            Self::NotAnchored => "not_anchored",
            Self::BadProof => "bad_proof",
        }
    }
}

/// A refusal: the reason why nothing further is followed.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) slot: Option<u64>,
    pub(crate) position: Option<Position>,
    /// Signed things, encoded, that convict whoever signed them.
    pub(crate) evidence: Vec<(&'static str, Vec<u8>)>,
}

impl Refusal {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        let (slot, position) = (None, None);
        Self { kind, message: message.into(), slot, position, evidence: Vec::new() }
    }

    pub(crate) fn slot(mut self, slot: u64) -> Self {
        self.slot = Some(slot);
        self
    }

    pub(crate) fn position(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }

    pub(crate) fn evidence(mut self, name: &'static str, bytes: Vec<u8>) -> Self {
        self.evidence.push((name, bytes));
        self
    }

    /// For programs.
    pub(crate) fn render(&self) -> Value {
        let evidence = self.evidence.iter();
        let evidence = evidence.map(|(name, bytes)| (name.to_string(), json!(hex(bytes))));
        json!({
            "kind": self.kind.label(),
            "message": self.message,
            "slot": self.slot,
            "square": self.position.map(|p| p.square),
            "row": self.position.map(|p| p.row),
            "column": self.position.map(|p| p.column),
            "evidence": evidence.collect::<Map<_, _>>(),
        })
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    alloy_primitives::hex::encode_prefixed(bytes)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.kind.label().replace('_', " ").to_uppercase();
        write!(f, "{label}: {}", self.message)?;
        self.evidence.iter().try_for_each(|(name, bytes)| write!(f, "\n  {name} {}", hex(bytes)))
    }
}

impl std::error::Error for Refusal {}
