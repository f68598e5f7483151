//! What is wanted to be known of an execution.

use alloy_primitives::B256;
use serde_json::Value;
use std::time::Duration;

/// The traces of a block's transactions, each with its hash.
pub type BlockTraces = Vec<(B256, Value)>;

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
