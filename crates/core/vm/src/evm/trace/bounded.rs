//! An inspector that ends when what it collects grows too large, or takes too long.

use super::Tracer;
use alloc::collections::BTreeSet;
use alloc::string::ToString;
use revm::context_interface::ContextTr;
use revm::context_interface::context::ContextError;
use revm::handler::FrameResult;
use revm::inspector::JournalExt;
use revm::interpreter::interpreter_types::{Jumps, MemoryTr, ReturnData};
use revm::interpreter::{
    CallInputs, CallOutcome, CreateInputs, CreateOutcome, FrameInput, Interpreter,
};
use revm::primitives::{Address, Log, U256};
use revm::{Inspector, bytecode::opcode};
use revm_inspectors::tracing::DebugInspector;

/// Steps between two looks at the clock.
const STEPS_A_LOOK: u32 = 256;
/// About as many bytes a step, a call or a log takes in a trace, besides what it shows.
const ENTRY_BYTES: usize = 400;
/// A word, as it is shown and as it is kept.
const WORD_BYTES: usize = 110;

/// Which limit a trace ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// Of its size.
    #[error("the trace would be larger than {0} bytes")]
    Bytes(usize),
    /// Of its time.
    #[error("the trace took longer than it may")]
    Time,
}

/// How large and how long traces may be, and how large they have become.
pub struct TraceLimits<'t> {
    /// Bytes, about, of all traces that are made with these limits.
    pub bytes_max: usize,
    /// Whether time is over.
    pub late: &'t mut dyn FnMut() -> bool,
    bytes: usize,
    exceeded: Option<Exceeded>,
}

impl core::fmt::Debug for TraceLimits<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TraceLimits").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

impl<'t> TraceLimits<'t> {
    /// Limits of which nothing is used yet.
    pub fn new(bytes_max: usize, late: &'t mut dyn FnMut() -> bool) -> Self {
        Self { bytes_max, late, bytes: 0, exceeded: None }
    }

    /// Which of them was exceeded.
    pub fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded
    }

    pub(super) fn count(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.bytes_max {
            self.exceeded.get_or_insert(Exceeded::Bytes(self.bytes_max));
        }
    }
}

/// A tracer within its limits.
pub struct Bounded<'l, 't> {
    inner: DebugInspector,
    steps: Option<Steps>,
    limits: &'l mut TraceLimits<'t>,
    until_look: u32,
}

/// What is shown of each step.
struct Steps {
    memory: bool,
    stack: bool,
    storage: bool,
    return_data: bool,
    left: u64,
    /// Storage slots so far: each later access shows them all again.
    slots: BTreeSet<(Address, U256)>,
}

impl<'l, 't> Bounded<'l, 't> {
    pub(super) fn new(
        inner: DebugInspector,
        tracer: &Tracer,
        limits: &'l mut TraceLimits<'t>,
    ) -> Self {
        let steps = match *tracer {
            Tracer::Steps { memory, stack, storage, return_data, limit } => Some(Steps {
                memory,
                stack,
                storage,
                return_data,
                left: limit.filter(|limit| *limit > 0).unwrap_or(u64::MAX),
                slots: BTreeSet::new(),
            }),
            _ => None,
        };
        Self { inner, steps, limits, until_look: STEPS_A_LOOK }
    }

    /// The tracer.
    pub(super) fn into_inner(self) -> DebugInspector {
        self.inner
    }

    /// Ends the execution at the next step if a limit is exceeded.
    fn stop<CTX: ContextTr>(&self, context: &mut CTX) -> bool {
        let Some(exceeded) = self.limits.exceeded else { return false };
        if context.error().is_ok() {
            *context.error() = Err(ContextError::Custom(exceeded.to_string()));
        }
        true
    }

    fn count_step(&mut self, interp: &Interpreter) {
        let Some(steps) = &mut self.steps else { return };
        let Some(left) = steps.left.checked_sub(1) else { return };
        steps.left = left;
        let mut bytes = ENTRY_BYTES;
        if steps.stack {
            bytes += WORD_BYTES * interp.stack.len();
        }
        if steps.memory {
            bytes += 4 * interp.memory.size();
        }
        if steps.return_data {
            bytes += 3 * interp.return_data.buffer().len();
        }
        let touches = matches!(interp.bytecode.opcode(), opcode::SLOAD | opcode::SSTORE);
        if steps.storage && touches {
            if let Ok(slot) = interp.stack.peek(0) {
                steps.slots.insert((interp.input.target_address, slot));
            }
            bytes += 2 * WORD_BYTES * steps.slots.len();
        }
        self.limits.count(bytes);
    }

    /// Calls are collected nested, whether or not they are shown so in the end.
    fn count_call(&mut self, data: usize) {
        self.limits.count(ENTRY_BYTES + 3 * data);
    }
}

impl<CTX: ContextTr<Journal: JournalExt>> Inspector<CTX> for Bounded<'_, '_> {
    fn initialize_interp(&mut self, interp: &mut Interpreter, context: &mut CTX) {
        self.inner.initialize_interp(interp, context);
    }

    fn step(&mut self, interp: &mut Interpreter, context: &mut CTX) {
        self.count_step(interp);
        self.until_look -= 1;
        if self.until_look == 0 {
            self.until_look = STEPS_A_LOOK;
            if (self.limits.late)() {
                self.limits.exceeded.get_or_insert(Exceeded::Time);
            }
        }
        if self.stop(context) {
            return interp.halt_fatal();
        }
        self.inner.step(interp, context);
    }

    fn step_end(&mut self, interp: &mut Interpreter, context: &mut CTX) {
        if self.limits.exceeded.is_none() {
            self.inner.step_end(interp, context);
        }
    }

    fn log(&mut self, context: &mut CTX, log: Log) {
        self.limits.count(ENTRY_BYTES + 3 * log.data.data.len());
        self.inner.log(context, log);
    }

    fn log_full(&mut self, interp: &mut Interpreter, context: &mut CTX, log: Log) {
        self.limits.count(ENTRY_BYTES + 3 * log.data.data.len());
        self.inner.log_full(interp, context, log);
    }

    fn frame_start(&mut self, context: &mut CTX, frame: &mut FrameInput) -> Option<FrameResult> {
        self.inner.frame_start(context, frame)
    }

    fn frame_end(&mut self, context: &mut CTX, frame: &FrameInput, result: &mut FrameResult) {
        self.inner.frame_end(context, frame, result);
    }

    fn call(&mut self, context: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.count_call(inputs.input.len());
        self.stop(context);
        self.inner.call(context, inputs)
    }

    fn call_end(&mut self, context: &mut CTX, inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.count_call(outcome.result.output.len());
        self.inner.call_end(context, inputs, outcome);
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.count_call(inputs.init_code().len());
        self.stop(context);
        self.inner.create(context, inputs)
    }

    fn create_end(
        &mut self,
        context: &mut CTX,
        inputs: &CreateInputs,
        outcome: &mut CreateOutcome,
    ) {
        self.count_call(outcome.result.output.len());
        self.inner.create_end(context, inputs, outcome);
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.limits.count(ENTRY_BYTES);
        Inspector::<CTX>::selfdestruct(&mut self.inner, contract, target, value);
    }
}
