//! Traces: of messages at the head, of transactions in blocks that have passed.

use super::Inner;
use super::past::Again;
use super::simulate::{call_error, call_request};
use atoll_rpc::port::{self, BlockId, CallError, On, QueryError, TraceOptions};
use atoll_types::B256;
use atoll_vm::evm::trace::{Exceeded, TraceError, TraceLimits, Traced, TracedPlace, Tracer};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Bytes of one answer, about: the traces of all transactions of a block together.
const TRACE_BYTES_MAX: usize = 32 << 20;
/// Longest tracing of a past block.
const TRACE_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest tracing of a message at the head: while it runs, nothing is executed there.
const CALL_TIME_MAX: Duration = Duration::from_secs(1);

fn tracer(wanted: &port::Tracer) -> Tracer {
    match *wanted {
        port::Tracer::Steps(shown) => Tracer::Steps {
            memory: shown.memory,
            stack: shown.stack,
            storage: shown.storage,
            return_data: shown.return_data,
            limit: shown.limit,
        },
        port::Tracer::Calls { only_top, logs } => Tracer::Calls { only_top, logs },
        port::Tracer::FlatCalls { precompiles } => Tracer::FlatCalls { precompiles },
        port::Tracer::Prestate { diff, code, storage } => Tracer::Prestate { diff, code, storage },
        port::Tracer::FourByte => Tracer::FourByte,
    }
}

fn exceeded(which: Exceeded, time: Duration) -> QueryError {
    let sentence = match which {
        Exceeded::Bytes(most) => format!(
            "trace too large: more than {most} bytes; show less of it (disableStack, \
             disableStorage, limit), or use callTracer"
        ),
        Exceeded::Time => format!("execution timeout: the trace took longer than {time:?}"),
    };
    QueryError::TooLarge(sentence)
}

fn json(traced: Traced) -> Result<Value, QueryError> {
    serde_json::to_value(traced.trace).map_err(|error| QueryError::Internal(error.to_string()))
}

impl Inner {
    pub(super) fn trace_call(
        &self,
        on: On,
        request: port::CallRequest,
        options: &TraceOptions,
    ) -> Result<Value, CallError> {
        let (request, tracer) = (call_request(request), tracer(&options.tracer));
        let time = options.timeout.map_or(CALL_TIME_MAX, |asked| asked.min(CALL_TIME_MAX));
        let traced = self.simulated(on, |simulation| {
            let begun = Instant::now();
            let mut late = || begun.elapsed() > time;
            let mut limits = TraceLimits::new(TRACE_BYTES_MAX, &mut late);
            simulation.trace(&request, &tracer, &mut limits).map_err(|error| match error {
                TraceError::Exceeded(which) => CallError::Query(exceeded(which, time)),
                TraceError::Call(error) => call_error(error),
            })
        })?;
        Ok(json(traced)?)
    }

    pub(super) fn trace_transaction(
        &self,
        hash: B256,
        options: &TraceOptions,
    ) -> Result<Option<Value>, QueryError> {
        let Some(at) = self.shared.archive.locate(&hash).map_err(super::internal)? else {
            return Ok(None);
        };
        if at.environment != self.live.spec.id || at.slot > self.latest() {
            return Ok(None);
        }
        let traced = self.traced(at.slot, options, |found| found == hash)?;
        Ok(traced.into_iter().next().map(|(_, trace)| trace))
    }

    pub(super) fn trace_block(
        &self,
        block: BlockId,
        options: &TraceOptions,
    ) -> Result<Option<port::BlockTraces>, QueryError> {
        match self.number(block)? {
            // There is nothing to trace in genesis.
            Some(0) => Ok(Some(Vec::new())),
            Some(number) => self.traced(number, options, |_| true).map(Some),
            None => Ok(None),
        }
    }

    /// Traces those transactions of a past block that are wanted.
    fn traced(
        &self,
        block: u64,
        options: &TraceOptions,
        wanted: impl Fn(B256) -> bool,
    ) -> Result<port::BlockTraces, QueryError> {
        let tracer = tracer(&options.tracer);
        let time = options.timeout.map_or(TRACE_TIME_MAX, |asked| asked.min(TRACE_TIME_MAX));
        // Time counts from the first transaction: what it takes to get there has its own bound.
        let mut begun = None;
        let mut late = || begun.get_or_insert_with(Instant::now).elapsed() > time;
        let mut limits = TraceLimits::new(TRACE_BYTES_MAX, &mut late);
        self.again(block, |again| {
            let Again { vm, transaction, executed, header } = again;
            let hash = transaction.transaction.hash;
            if !wanted(hash) {
                return Ok(None);
            }
            let index = Some(u64::from(executed.transaction_index));
            let place = TracedPlace { block_hash: Some(header.hash()), index, hash: Some(hash) };
            let traced = vm.trace_ordered(transaction, &tracer, place, &mut limits);
            let traced = traced.map_err(|error| match error {
                TraceError::Exceeded(which) => exceeded(which, time),
                TraceError::Call(error) => QueryError::Internal(format!(
                    "transaction {hash} was executed and cannot be again: {error}"
                )),
            })?;
            Ok(Some((hash, json(traced)?)))
        })
    }
}
