//! Scheduled cancels: a dead man's switch.

use crate::conditional::{SCHEDULE_AHEAD_MS, SCHEDULES_PER_DAY, TIME_BOUND_MS};
use crate::engine::{Engine, invariant};
use crate::event::{CancelReason, Event, Refusal};
use crate::ids::{AccountId, OrderId};
use crate::objects::{
    AccountKey, CancelSchedule, Directory, DirectoryKey, DueEntry, DueKind, OrderPage, OrderPageKey,
};
use atoll_state::Source;
use atoll_types::RejectCode;

const DAY_MS: u64 = 86_400_000;

impl<S: Source> Engine<'_, S> {
    pub(crate) fn schedule_cancel(
        &mut self,
        account: AccountId,
        at_ms: Option<u64>,
    ) -> Result<(), Refusal> {
        let now_ms = self.now_ms();
        let mut schedule = *self.state.schedules.get(&AccountKey(account));
        if let Some(at_ms) = at_ms {
            if at_ms < now_ms + SCHEDULE_AHEAD_MS || at_ms >= TIME_BOUND_MS {
                return Err(Refusal::new(
                    RejectCode::TimeOutOfRange,
                    "a scheduled cancel is at least 5 seconds ahead, in milliseconds since 1970",
                ));
            }
            if schedule.day == now_ms / DAY_MS && schedule.count >= SCHEDULES_PER_DAY {
                return Err(Refusal::new(
                    RejectCode::RateLimited,
                    "ten scheduled cancels fired today (UTC), which is all there are",
                ));
            }
        }
        if schedule.entry.0 != 0 {
            self.dequeue(schedule.entry);
        }
        let entry = at_ms.map_or(OrderId(0), |_| OrderId::new(self.command, 0));
        (schedule.entry, schedule.fired, schedule.slot) = (entry, 0, 0);
        self.state.schedules.set(&AccountKey(account), schedule);
        if let Some(at_ms) = at_ms {
            self.enqueue(entry, DueEntry { account, kind: DueKind::Cancel, at_ms });
        }
        self.events.push(Event::CancelScheduled { account, at_ms });
        Ok(())
    }

    /// Cancels what the account had open when the schedule fired, slot by slot; each cancel takes
    /// one of a budget above zero, and where that ends the next tick goes on.
    pub(super) fn run_schedule(
        &mut self,
        account: AccountId,
        number: OrderId,
        entry: DueEntry,
        budget: &mut u32,
    ) {
        let mut schedule = *self.state.schedules.get(&AccountKey(account));
        if schedule.entry != number {
            invariant::<S>(false, "a scheduled cancel is not its account's");
            return;
        }
        if schedule.fired == 0 {
            let day = self.now_ms() / DAY_MS;
            let count = if schedule.day == day { schedule.count + 1 } else { 1 };
            schedule = CancelSchedule { fired: self.command, day, count, ..schedule };
        }
        let stopped = self.cancel_from(account, &schedule, budget);
        if let Some(slot) = stopped {
            schedule.slot = slot;
            self.enqueue(number, entry);
        } else {
            (schedule.entry, schedule.fired, schedule.slot) = (OrderId(0), 0, 0);
            self.events.push(Event::ScheduleDone { account });
        }
        self.state.schedules.set(&AccountKey(account), schedule);
    }

    /// Cancels from a slot on what was placed before the schedule fired; gives the slot where the
    /// budget ended.
    fn cancel_from(
        &mut self,
        account: AccountId,
        schedule: &CancelSchedule,
        budget: &mut u32,
    ) -> Option<u32> {
        for stretch in 0..Directory::stretches(self.rules.spec().limits.orders_per_account) {
            let directory = *self.state.directories.get(&DirectoryKey { account, stretch });
            let first = schedule.slot / OrderPage::SLOTS;
            for page in directory.pages(stretch).filter(|page| *page >= first) {
                let orders = *self.state.orders.get(&OrderPageKey { account, page });
                for listed in orders.iter() {
                    let (order, slot) = (listed.order, listed.order.slot());
                    // A parent that was cancelled before took its children along.
                    if slot < schedule.slot
                        || order.command() >= schedule.fired
                        || self.listed(account, order).is_none()
                    {
                        continue;
                    }
                    if *budget == 0 {
                        return Some(slot);
                    }
                    *budget -= 1;
                    self.cancel_listed(account, listed, CancelReason::Scheduled);
                }
            }
        }
        None
    }
}
