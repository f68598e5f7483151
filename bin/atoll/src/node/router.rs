//! Environment 0 on a node: takes what the environments sent in a slot once all have executed it,
//! and says what stands in the openings of later slots.

use super::environment::{Live, Runner, SlotResult};
use atoll_state::Resident;
use atoll_types::{EnvironmentId, Message, SlotHeader, SlotOpening};
use atoll_vm::router::RouterVm;
use std::sync::Arc;

/// The router's machine and its runner.
pub(crate) struct Router {
    live: Arc<Live<RouterVm<Resident>>>,
    runner: Runner,
}

impl Router {
    pub(crate) fn new(live: Arc<Live<RouterVm<Resident>>>) -> Self {
        Self { runner: Runner::new(live.clone(), None), live }
    }

    /// Executes the router's part of a slot that every environment has executed; `results` in
    /// order of environment, without those of halted ones.
    pub(crate) fn route(
        &mut self,
        opening: &SlotOpening,
        header: &SlotHeader,
        results: &[SlotResult],
    ) -> Option<SlotResult> {
        let receipts = results.iter().flat_map(|result| &result.receipts);
        let sent: Vec<Message> = receipts.flat_map(|receipt| &receipt.messages).cloned().collect();
        self.runner.open(opening, &sent);
        self.runner.seal(header)
    }

    /// Slots from sending to delivery.
    pub(crate) fn delay_slots(&self) -> u64 {
        u64::from(self.live.vm_spec.message_delay_slots)
    }

    /// What stands in an environment's opening of a slot.
    pub(crate) fn deliveries(&self, slot: u64, environment: EnvironmentId) -> Vec<Message> {
        self.live.machine.read().vm().deliveries(slot, environment)
    }
}
