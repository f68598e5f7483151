//! The due queue: what is to be done at a time, in order of time and number.

use crate::engine::{Engine, invariant};
use crate::event::CancelReason;
use crate::ids::OrderId;
use crate::objects::conditional::{DUE_TIMES, due_at};
use crate::objects::{DueEntry, DueKind, GlobalKey, OrderKey};
use atoll_state::Source;

impl<S: Source> Engine<'_, S> {
    /// Enters something that is due at a time. A number has at most one entry.
    pub(crate) fn enqueue(&mut self, order: OrderId, entry: DueEntry) {
        let at_ms = entry.at_ms.max(1);
        self.state.due.set(&OrderKey(order), DueEntry { at_ms, ..entry });
        due_at(at_ms).insert(&mut self.state.pages, order.0);
        DUE_TIMES.insert(&mut self.state.pages, at_ms);
        let next_ms = self.state.due_head.get(&GlobalKey).next_ms;
        if next_ms == 0 || at_ms < next_ms {
            self.state.due_head.get_mut(&GlobalKey).next_ms = at_ms;
        }
    }

    /// Takes an entry out, if there is one.
    pub(crate) fn dequeue(&mut self, order: OrderId) -> Option<DueEntry> {
        let entry = *self.state.due.get(&OrderKey(order));
        if entry.at_ms == 0 {
            return None;
        }
        self.state.due.remove(&OrderKey(order));
        let pages = &mut self.state.pages;
        let then = due_at(entry.at_ms);
        then.remove(pages, order.0);
        if then.first(pages).is_none() {
            DUE_TIMES.remove(pages, entry.at_ms);
            if self.state.due_head.get(&GlobalKey).next_ms == entry.at_ms {
                let next_ms = DUE_TIMES.first(pages).unwrap_or(0);
                self.state.due_head.get_mut(&GlobalKey).next_ms = next_ms;
            }
        }
        Some(entry)
    }

    /// Works the queue off as far as time has come and the spec allows in one tick.
    pub(super) fn run_due(&mut self) {
        let now_ms = self.now_ms();
        let mut budget = self.rules.spec().limits.due_per_tick;
        while budget > 0 {
            let next_ms = self.state.due_head.get(&GlobalKey).next_ms;
            if next_ms == 0 || next_ms > now_ms {
                return;
            }
            let order = due_at(next_ms).first(&mut self.state.pages).map(OrderId);
            let Some((order, entry)) = order.and_then(|order| Some((order, self.dequeue(order)?)))
            else {
                invariant::<S>(false, "a due time has no entry");
                return;
            };
            budget -= 1;
            let account = entry.account;
            match entry.kind {
                DueKind::Expire => match self.listed(account, order) {
                    Some(listed) => self.cancel_listed(account, &listed, CancelReason::Expired),
                    None => invariant::<S>(false, "an order that expires is not listed"),
                },
                DueKind::Trigger => self.fire(account, order),
                DueKind::Slice => self.slice(account, order),
                DueKind::Cancel => {
                    // Its turn pays for the first cancel, so that it always gets on.
                    let mut left = budget + 1;
                    self.run_schedule(account, order, entry, &mut left);
                    budget = left.min(budget);
                }
            }
        }
    }
}
