//! What is wanted to be known of an execution.

use alloy_primitives::B256;
use serde_json::Value;
use std::time::Duration;

/// The traces of a block's transactions, each with its hash.
pub type BlockTraces = Vec<(B256, Value)>;

/// Which keys made the transactions of a block depend on one another.
///
/// A transaction depends on those whose writes it looked at, so all but `clashes` follows from the order
/// alone. Places count from 0.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct BlockConflicts {
    /// The block's number.
    pub block: u64,
    /// Hashes of the transactions, in order; those that were refused are among them.
    pub transactions: Vec<B256>,
    /// Gas that each used.
    pub gas: Vec<u64>,
    /// Places of the transactions that have to follow one another and used most gas.
    pub chain: Vec<usize>,
    /// How many times as fast as one after the other any number of threads could be: gas of all over
    /// gas of the chain.
    pub speedup_max: f64,
    /// The keys, those with most readers first.
    pub keys: Vec<KeyConflict>,
    /// Keys that are not told.
    pub keys_left_out: usize,
}

/// A key that one transaction wrote and a later one looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyConflict {
    /// An account's balance, its nonce and code, or a slot of it.
    pub key: String,
    /// Places of the transactions that wrote it and were looked at.
    pub writers: Vec<usize>,
    /// Places of the transactions that looked at what others had written.
    pub readers: Vec<usize>,
    /// How often a thread waited or executed again because of it, this time.
    pub clashes: usize,
}

/// How to trace.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TraceOptions {
    /// What is shown.
    pub tracer: Tracer,
    /// The longest that it may take, where that is less than the node allows.
    pub timeout: Option<Duration>,
}

/// What a trace shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tracer {
    /// Every instruction: struct logs.
    Steps(StepOptions),
    /// Every call, nested: `callTracer`.
    Calls {
        /// The outermost call alone.
        only_top: bool,
        /// With logs.
        logs: bool,
    },
    /// Every call, in a list: `flatCallTracer`.
    FlatCalls {
        /// Calls of precompiled contracts, too.
        precompiles: bool,
    },
    /// The accounts that are touched, as they were before: `prestateTracer`.
    Prestate {
        /// Before and after, as far as they changed.
        diff: bool,
        /// With code.
        code: bool,
        /// With storage.
        storage: bool,
    },
    /// How often each function is called: `4byteTracer`.
    FourByte,
}

impl Default for Tracer {
    fn default() -> Self {
        Self::Steps(StepOptions::default())
    }
}

/// What is shown of each instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepOptions {
    /// The memory before it.
    pub memory: bool,
    /// The stack before it.
    pub stack: bool,
    /// The storage touched so far, where it touches storage.
    pub storage: bool,
    /// What the last call returned.
    pub return_data: bool,
    /// Most instructions that are shown; none for no such bound.
    pub limit: Option<u64>,
}

impl Default for StepOptions {
    fn default() -> Self {
        Self { memory: false, stack: true, storage: true, return_data: false, limit: None }
    }
}
