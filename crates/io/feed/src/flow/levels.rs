//! Recordings by price level.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};

use super::{Action, Class, Desk, FlowCommand, OrderKind};
use crate::event::{Event, EventKind, Level, Side};

/// One price level and the order that stands for it.
#[derive(Debug, Clone, Default)]
struct Standing {
    client_id: u64,
    actor: u32,
    /// Size by the record.
    recorded: u64,
    /// Size in the venue, as far as it has told.
    resting: u64,
    /// Book update that the recorded size is of.
    update: u64,
    /// The venue filled more of it than the record, or refused it.
    eaten: bool,
}

/// The last quote that was newer than the book.
#[derive(Debug, Clone, Copy)]
struct Best {
    update: u64,
    bid: u64,
    ask: u64,
}

/// The recorded book by price.
#[derive(Default)]
pub(super) struct Levels {
    bids: BTreeMap<u64, Standing>,
    asks: BTreeMap<u64, Standing>,
    clients: HashMap<u64, (Side, u64)>,
    /// Levels whose two sizes may differ.
    unsettled: BTreeSet<(Side, u64)>,
    best: Option<Best>,
    snapshot_update: Option<u64>,
    depth_update: Option<u64>,
}

impl Levels {
    pub(super) fn apply(&mut self, desk: &mut Desk, event: &Event, out: &mut Vec<FlowCommand>) {
        match &event.kind {
            EventKind::Snapshot { update, bids, asks } => {
                self.snapshot(desk, *update, bids, asks);
            }
            EventKind::Depth { first_update, last_update, previous_update, bids, asks } => {
                if self.snapshot_update.is_some_and(|snapshot| *last_update < snapshot) {
                    desk.report.stale_events += 1;
                    return;
                }
                if let Some(before) = self.depth_update {
                    let continues = match previous_update {
                        Some(previous) => *previous == before,
                        None => *first_update <= before.saturating_add(1),
                    };
                    desk.report.depth_gaps += u64::from(!continues);
                }
                self.depth_update = Some(*last_update);
                self.set_all(desk, Side::Bid, bids, *last_update);
                self.set_all(desk, Side::Ask, asks, *last_update);
            }
            EventKind::Quote { update, bid, ask } => {
                desk.oracle(event.time_ns, Some((bid.price, ask.price)), out);
                let newest = self.depth_update.max(self.snapshot_update);
                let newest = newest.max(self.best.map(|best| best.update));
                if newest.is_some_and(|newest| *update < newest) {
                    desk.report.stale_events += 1;
                    return;
                }
                self.best = Some(Best { update: *update, bid: bid.price, ask: ask.price });
                self.clear_better(Side::Bid, bid.price, *update);
                self.clear_better(Side::Ask, ask.price, *update);
                self.set(desk, Side::Bid, *bid, *update);
                self.set(desk, Side::Ask, *ask, *update);
            }
            _ => return,
        }
        self.settle(desk, event.time_ns, out);
    }

    fn snapshot(&mut self, desk: &mut Desk, update: u64, bids: &[Level], asks: &[Level]) {
        if self.snapshot_update.is_some_and(|before| update < before) {
            desk.report.stale_events += 1;
            return;
        }
        self.snapshot_update = Some(update);
        for side in [Side::Bid, Side::Ask] {
            let mut old = Vec::new();
            for (&price, level) in side_mut(&mut self.bids, &mut self.asks, side) {
                if level.update <= update {
                    level.recorded = 0;
                    level.update = update;
                }
                old.push((side, price));
            }
            // All of them: removed levels need not be remembered any more.
            self.unsettled.extend(old);
        }
        self.set_all(desk, Side::Bid, bids, update);
        self.set_all(desk, Side::Ask, asks, update);
    }

    fn set_all(&mut self, desk: &mut Desk, side: Side, levels: &[Level], update: u64) {
        let fixed = self.best.filter(|best| update < best.update);
        for &level in levels {
            let newer = fixed.is_some_and(|best| match side {
                Side::Bid => level.price >= best.bid,
                Side::Ask => level.price <= best.ask,
            });
            if !newer {
                self.set(desk, side, level, update);
            }
        }
    }

    fn set(&mut self, desk: &mut Desk, side: Side, level: Level, update: u64) {
        let book = side_mut(&mut self.bids, &mut self.asks, side);
        if !book.contains_key(&level.price) && book.len() >= desk.config.levels_per_side_max {
            desk.report.left_out += 1;
            return;
        }
        let standing = book.entry(level.price).or_default();
        if standing.update > update {
            return;
        }
        standing.recorded = level.size;
        standing.update = update;
        self.unsettled.insert((side, level.price));
    }

    /// Nothing is better than the best price.
    fn clear_better(&mut self, side: Side, best: u64, update: u64) {
        let range = match side {
            Side::Bid => self.bids.range_mut((Excluded(best), Unbounded)),
            Side::Ask => self.asks.range_mut(..best),
        };
        for (&price, standing) in range {
            standing.recorded = 0;
            standing.update = update;
            self.unsettled.insert((side, price));
        }
    }

    /// Brings the venue to the record, reductions first.
    pub(super) fn settle(&mut self, desk: &mut Desk, time_ns: u64, out: &mut Vec<FlowCommand>) {
        let unsettled = std::mem::take(&mut self.unsettled);
        for growing in [false, true] {
            for &(side, price) in &unsettled {
                self.settle_level(desk, time_ns, (side, price), growing, out);
            }
        }
        // Before a snapshot an empty level says that the snapshot's may be older.
        if self.snapshot_update.is_some() {
            for (side, price) in unsettled {
                let book = side_mut(&mut self.bids, &mut self.asks, side);
                if book.get(&price).is_some_and(|level| level.recorded == 0) {
                    book.remove(&price);
                }
            }
        }
    }

    fn settle_level(
        &mut self,
        desk: &mut Desk,
        time_ns: u64,
        (side, price): (Side, u64),
        growing: bool,
        out: &mut Vec<FlowCommand>,
    ) {
        let book = side_mut(&mut self.bids, &mut self.asks, side);
        let Some(level) = book.get_mut(&price) else { return };
        let (size, resting) = (level.recorded, level.resting);
        if size == resting || (size > resting) != growing {
            return;
        }
        let (old_id, kind) = (level.client_id, OrderKind::PostOnly);
        if growing && level.eaten {
            desk.report.restored_levels += 1;
        }
        level.eaten = false;
        level.resting = size;
        if resting > 0 {
            self.clients.remove(&old_id);
        }
        let action = if size == 0 {
            desk.report.cancelled += 1;
            Action::Cancel { actor: level.actor, client_id: old_id }
        } else {
            let new_client_id = desk.new_id(Class::Level);
            level.client_id = new_client_id;
            self.clients.insert(new_client_id, (side, price));
            if resting == 0 {
                level.actor = desk.actor(0, price);
                desk.report.placed += 1;
                let (actor, client_id) = (level.actor, new_client_id);
                Action::Place { actor, client_id, side, price, size, kind }
            } else {
                desk.report.modified += 1;
                let (actor, client_id) = (level.actor, old_id);
                Action::Modify { actor, client_id, new_client_id, side, price, size, kind }
            }
        };
        out.push(FlowCommand { time_ns, action });
    }

    pub(super) fn on_fill(&mut self, client_id: u64, size: u64) {
        let Some(&(side, price)) = self.clients.get(&client_id) else { return };
        let book = side_mut(&mut self.bids, &mut self.asks, side);
        let Some(level) = book.get_mut(&price) else { return };
        level.resting = level.resting.saturating_sub(size);
        level.eaten = true;
        if level.resting == 0 {
            self.clients.remove(&client_id);
        }
        self.unsettled.insert((side, price));
    }

    pub(super) fn resting(&self, client_id: u64) -> Option<u64> {
        let (side, price) = self.clients.get(&client_id)?;
        let book = if *side == Side::Bid { &self.bids } else { &self.asks };
        book.get(price).map(|level| level.resting)
    }

    /// Client id and owner of everything that rests.
    pub(super) fn drain(&mut self) -> Vec<(u64, u32)> {
        let all = std::mem::take(self);
        let levels = all.bids.into_values().chain(all.asks.into_values());
        let resting = levels.filter(|level| level.resting > 0);
        resting.map(|level| (level.client_id, level.actor)).collect()
    }
}

fn side_mut<'a>(
    bids: &'a mut BTreeMap<u64, Standing>,
    asks: &'a mut BTreeMap<u64, Standing>,
    side: Side,
) -> &'a mut BTreeMap<u64, Standing> {
    if side == Side::Bid { bids } else { asks }
}
