//! What a transaction or a message did, step by step or call by call, as Ethereum's nodes show it.
//!
//! The tracers are those of `revm-inspectors`. Around them is a [`Bounded`] inspector: a trace ends
//! with an error as soon as it would be larger than allowed, or when its time is over, and nothing
//! that is collected for it grows without being counted first.

mod bounded;

pub use alloy_rpc_types_trace::geth::GethTrace;
pub use bounded::{Bounded, Exceeded, TraceLimits};

use super::query::{CallError, CallRequest};
use super::simulate::{Simulated, Simulation};
use super::transition::TxEnv;
use super::{EvmTransaction, EvmVm};
use crate::Checked;
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;
use alloy_rpc_types_trace::geth::{
    CallConfig, FlatCallConfig, GethDefaultTracingOptions, PreStateConfig,
};
use atoll_state::Source;
use atoll_types::{Address, B256, Reject, RejectCode};
use revm::context_interface::transaction::AccessList;
use revm_inspectors::access_list::AccessListInspector;
use revm_inspectors::tracing::{
    DebugInspector, FourByteInspector, TracingInspector, TracingInspectorConfig, TransactionContext,
};

/// What is wanted to be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tracer {
    /// Every instruction.
    Steps {
        /// The memory before it.
        memory: bool,
        /// The stack before it.
        stack: bool,
        /// The storage that was touched so far.
        storage: bool,
        /// What the last call returned.
        return_data: bool,
        /// No more instructions than these are shown; none for no such bound.
        limit: Option<u64>,
    },
    /// Every call, nested.
    Calls {
        /// The outermost call alone.
        only_top: bool,
        /// With logs.
        logs: bool,
    },
    /// Every call, in a list.
    FlatCalls {
        /// Calls of precompiled contracts, too.
        precompiles: bool,
    },
    /// The accounts that were touched, as they were before.
    Prestate {
        /// As they were before and after, as far as they changed.
        diff: bool,
        /// With code.
        code: bool,
        /// With storage.
        storage: bool,
    },
    /// How often each function was called, by selector and size of its arguments.
    FourByte,
}

impl Default for Tracer {
    fn default() -> Self {
        Self::Steps { memory: false, stack: true, storage: true, return_data: false, limit: None }
    }
}

/// Why there is no trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// It would be larger than allowed, or take longer.
    #[error("{0}")]
    Exceeded(#[from] Exceeded),
    /// The message cannot be executed.
    #[error("{0}")]
    Call(CallError),
}

/// Where a traced transaction is, for the tracers that say so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TracedPlace {
    /// Hash of its block.
    pub block_hash: Option<B256>,
    /// Its index.
    pub index: Option<u64>,
    /// Its hash.
    pub hash: Option<B256>,
}

/// A trace, and what the execution that it shows came to.
#[derive(Clone, Debug)]
pub struct Traced {
    /// The trace.
    pub trace: GethTrace,
    /// Gas used.
    pub gas_used: u64,
    /// Whether it succeeded.
    pub success: bool,
}

fn inspector(tracer: &Tracer) -> DebugInspector {
    match *tracer {
        Tracer::Steps { memory, stack, storage, return_data, limit } => {
            let options = GethDefaultTracingOptions {
                enable_memory: Some(memory),
                disable_stack: Some(!stack),
                disable_storage: Some(!storage),
                enable_return_data: Some(return_data),
                limit,
                ..GethDefaultTracingOptions::default()
            };
            let config = TracingInspectorConfig::from_geth_config(&options);
            DebugInspector::Default(TracingInspector::new(config), options)
        }
        Tracer::Calls { only_top, logs } => {
            let config = CallConfig { only_top_call: Some(only_top), with_log: Some(logs) };
            let recorded = TracingInspectorConfig::from_geth_call_config(&config);
            DebugInspector::CallTracer(TracingInspector::new(recorded), config)
        }
        Tracer::FlatCalls { precompiles } => {
            let include_precompiles = Some(precompiles);
            let config = FlatCallConfig { include_precompiles, convert_parity_errors: None };
            let recorded = TracingInspectorConfig::from_flat_call_config(&config);
            DebugInspector::FlatCallTracer(TracingInspector::new(recorded))
        }
        Tracer::Prestate { diff, code, storage } => {
            let config = PreStateConfig {
                diff_mode: Some(diff),
                disable_code: Some(!code),
                disable_storage: Some(!storage),
            };
            let recorded = TracingInspectorConfig::from_geth_prestate_config(&config);
            DebugInspector::PreStateTracer(TracingInspector::new(recorded), config)
        }
        Tracer::FourByte => DebugInspector::FourByte(FourByteInspector::default()),
    }
}

impl<S: Source> Simulation<'_, S> {
    /// Traces a message; what it changed is forgotten.
    ///
    /// # Errors
    /// [`TraceError`].
    pub fn trace(
        &mut self,
        request: &CallRequest,
        tracer: &Tracer,
        limits: &mut TraceLimits<'_>,
    ) -> Result<Traced, TraceError> {
        let bounded = Bounded::new(inspector(tracer), tracer, limits);
        let (ended, bounded, transaction) = match self.inspect(request, bounded) {
            Ok(ended) => ended,
            Err(error) => {
                return Err(limits.exceeded().map_or(TraceError::Call(error), Into::into));
            }
        };
        let inspected = bounded.into_inner();
        self.shown(inspected, ended, &transaction, tracer, TracedPlace::default(), limits)
    }

    fn trace_ordered(
        &mut self,
        transaction: TxEnv,
        tracer: &Tracer,
        place: TracedPlace,
        limits: &mut TraceLimits<'_>,
    ) -> Result<Traced, TraceError> {
        let bounded = Bounded::new(inspector(tracer), tracer, limits);
        let (ended, bounded) = match self.inspect_ordered(transaction.clone(), bounded) {
            Ok(ended) => ended,
            Err(reject) => {
                let refused = TraceError::Call(CallError::Invalid(reject));
                return Err(limits.exceeded().map_or(refused, Into::into));
            }
        };
        let inspected = bounded.into_inner();
        self.shown(inspected, ended, &transaction, tracer, place, limits)
    }

    fn shown(
        &mut self,
        mut inspected: DebugInspector,
        ended: Simulated,
        transaction: &TxEnv,
        tracer: &Tracer,
        place: TracedPlace,
        limits: &mut TraceLimits<'_>,
    ) -> Result<Traced, TraceError> {
        if let Tracer::Prestate { code, storage, .. } = tracer {
            for account in ended.state.values() {
                let held = account.info.code.as_ref().map_or(0, |code| code.len());
                let slots = account.storage.len();
                let shown =
                    if *code { 4 * held } else { 0 } + if *storage { 280 * slots } else { 0 };
                limits.count(400 + shown);
            }
        }
        if let Some(exceeded) = limits.exceeded() {
            return Err(exceeded.into());
        }
        let context = TransactionContext {
            block_hash: place.block_hash,
            tx_index: place.index.and_then(|index| usize::try_from(index).ok()),
            tx_hash: place.hash,
        };
        let (gas_used, success) = (ended.result.tx_gas_used(), ended.result.is_success());
        let block = self.block().clone();
        let trace = inspected
            .get_result(Some(context), transaction, &block, &ended, self.state_mut())
            .map_err(|error| {
                let reject = Reject::new(RejectCode::Unsupported, error.to_string());
                TraceError::Call(CallError::Invalid(reject))
            })?;
        Ok(Traced { trace, gas_used, success })
    }

    /// The access list that a message would have with everything in it that it touches, the gas
    /// that it uses with it, and why it fails if it does.
    ///
    /// # Errors
    /// It cannot be executed on this state.
    pub fn access_list(&mut self, request: &CallRequest) -> Result<Touched, CallError> {
        let mut request = request.clone();
        let mut left = ACCESS_LIST_ROUNDS_MAX;
        loop {
            let given = AccessList(super::transaction::access_list(&request.access_list));
            let inspector = AccessListInspector::new(given);
            let (ended, inspector, _) = self.inspect(&request, inspector)?;
            let found: BTreeMap<Address, Vec<B256>> = inspector
                .into_access_list()
                .0
                .into_iter()
                .map(|item| (item.address, item.storage_keys))
                .collect();
            let found: Vec<(Address, Vec<B256>)> = found.into_iter().collect();
            left -= 1;
            // A list changes what gas is left, and so what is touched: until nothing is added.
            if found == request.access_list || left == 0 {
                let gas_used = ended.result.tx_gas_used();
                let error = super::query::outcome(ended.result).err();
                return Ok(Touched { list: found, gas_used, error });
            }
            request.access_list = found;
        }
    }
}

/// How often an access list is tried with what it led to.
const ACCESS_LIST_ROUNDS_MAX: u32 = 8;

/// What a message touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Accounts and storage slots, without those that every transaction has warm.
    pub list: Vec<(Address, Vec<B256>)>,
    /// Gas used with the list.
    pub gas_used: u64,
    /// Why the message failed, if it did.
    pub error: Option<CallError>,
}

impl<S: Source> EvmVm<S> {
    /// Traces a transaction on the state as it is, by the rules under which it would be executed
    /// now; what it changed is forgotten.
    ///
    /// # Errors
    /// [`TraceError`].
    pub fn trace_ordered(
        &self,
        checked: &Checked<EvmTransaction>,
        tracer: &Tracer,
        place: TracedPlace,
        limits: &mut TraceLimits<'_>,
    ) -> Result<Traced, TraceError> {
        let transaction = checked.transaction.env(checked.signer, self.spec().chain_id, true);
        self.simulation(super::At::Open).trace_ordered(transaction, tracer, place, limits)
    }
}
