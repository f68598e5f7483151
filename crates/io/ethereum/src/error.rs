//! What can go wrong between us and a node.

/// Why a request to a node has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The address of the node cannot be used.
    #[error("the node's address {url:?} cannot be used: {what}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The node was not reached, or did not answer in time. Whether it took the request is not
    /// known.
    #[error("{method}: the node did not answer: {what}")]
    Transport {
        /// The method called.
        method: String,
        /// What the transport said.
        what: String,
    },
    /// The node, or something before it, answered with an HTTP error.
    #[error("{method}: HTTP status {status}: {body}")]
    Status {
        /// The method called.
        method: String,
        /// The status.
        status: u16,
        /// The beginning of the answer.
        body: String,
    },
    /// The answer is longer than is read.
    #[error("{method}: the answer is longer than {limit} bytes: ask for less at a time")]
    TooLong {
        /// The method called.
        method: String,
        /// The limit.
        limit: u64,
    },
    /// The node refused.
    #[error("{method}: {message} (code {code}){}", explained(.data))]
    Rpc {
        /// The method called.
        method: String,
        /// JSON-RPC's error code.
        code: i64,
        /// The node's words.
        message: String,
        /// Revert data, if there is some.
        data: Option<Vec<u8>>,
    },
    /// The answer is not what the method is to return.
    #[error("{method}: the answer is not understood: {what}")]
    Decode {
        /// The method called.
        method: String,
        /// What is wrong with it.
        what: String,
    },
}

fn explained(data: &Option<Vec<u8>>) -> String {
    data.as_deref().map(|data| format!(": {}", crate::abi::explain(data))).unwrap_or_default()
}

impl ClientError {
    /// Whether it may pass by itself, so that the same request may be made again.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            // Limit exceeded, resource unavailable, internal error: what providers use for load.
            Self::Rpc { code, .. } => matches!(code, -32_005 | -32_002 | -32_603 | -32_097),
            Self::Url { .. } | Self::TooLong { .. } | Self::Decode { .. } => false,
        }
    }

    /// The data with which a contract reverted.
    pub fn revert_data(&self) -> Option<&[u8]> {
        match self {
            Self::Rpc { data, .. } => data.as_deref(),
            _ => None,
        }
    }

    /// What became of a transaction that the node did not accept.
    pub fn send_refusal(&self) -> SendRefusal {
        let Self::Rpc { message, .. } = self else { return SendRefusal::Other };
        let message = message.to_ascii_lowercase();
        let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
        if says(&["already known", "already imported", "known transaction", "alreadyknown"]) {
            SendRefusal::AlreadyKnown
        } else if says(&["nonce too low", "nonce is too low", "oldnonce"]) {
            SendRefusal::NonceTooLow
        } else if says(&["underpriced", "fee too low", "gas price too low", "feetoolow"]) {
            SendRefusal::Underpriced
        } else if says(&["insufficient funds", "insufficient balance"]) {
            SendRefusal::InsufficientFunds
        } else {
            SendRefusal::Other
        }
    }
}

/// Why a node did not take a transaction, as far as its words tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendRefusal {
    /// It has it already.
    AlreadyKnown,
    /// The nonce is used up.
    NonceTooLow,
    /// It pays less than what has its nonce, or than the node asks for.
    Underpriced,
    /// The account cannot pay for it.
    InsufficientFunds,
    /// Something else: nothing is known.
    Other,
}
