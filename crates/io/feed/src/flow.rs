//! Recorded events as orders of a few synthetic participants, for a venue that matches by itself.
//!
//! A recording shows the results of its own venue's matching; this venue matches again. Nothing
//! may happen twice, so [`OrderFlow`] keeps for every order two sizes: what the *record* says is
//! open, and what the *venue* holds as far as it has told ([`OrderFlow::on_fill`],
//! [`OrderFlow::on_gone`]). The rule is one: **after an event is dealt with, the venue holds of an
//! order no more than the record says**; less is possible (this venue matched it with somebody
//! else) and is counted, never topped up order by order.
//!
//! Order-by-order recordings (`Add`, `Change`, `Reduce`, `Remove`, `Execute`):
//! - an added order is placed as a limit order; if it crosses, the venue trades it;
//! - a recorded fill (`Change` to less, `Remove` with nothing left, `Execute`) is expected to be,
//!   or to have been, our own matching. Only when [`FlowConfig::grace_events`] events later the
//!   venue still holds more than the record is the difference cut (`Modify` or `Cancel`) and
//!   counted as a fill that could not be reproduced;
//! - a cancellation (`Remove` with size left, `Reduce`) is carried out at once on what is left;
//! - an `Execute`, whose aggressor has no order of its own in the recording, becomes an
//!   immediate-or-cancel order at the price of the execution;
//! - an event of an order that was never added adopts it when it is still open afterwards (the
//!   record then says all that is needed), otherwise it is counted.
//!
//! Level recordings (`Snapshot`, `Depth`, `Quote`, `Trade`):
//! - one post-only order stands for each price level; a trade becomes an immediate-or-cancel
//!   order at its price with the aggressor's side;
//! - level sizes are absolute, so a level that the venue has already reduced by a fill to the
//!   recorded size needs nothing; every difference left after a `Snapshot`, `Depth` or `Quote`
//!   is settled by `Cancel`, `Modify` or `Place`, reductions first so that the book never crosses
//!   itself;
//! - the newest update number wins: a depth message older than the last quote does not touch the
//!   levels that the quote fixes, and an old quote moves only the oracle.
//!
//! The oracle price is the middle of the best recorded bid and ask. Participants are in two groups
//! which never own both sides of a possible trade (order by order: buyers and sellers; levels:
//! makers and takers), so that self-trade prevention never interferes.
//!
//! Obligations of the driver: report every fill and every end that it did not command, by the
//! `client_id` of the command. Reports may come late (several commands in flight): a `Modify`
//! gives the order a new `client_id`, so a late fill of the old one is told apart, and its size is
//! absolute, so it holds whatever was filled before.

mod levels;
mod orders;

use crate::event::{Event, EventKind, Side};

use levels::Levels;
use orders::Orders;

/// How order flow is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowConfig {
    /// Participants in each of the two groups; at least one.
    pub participants_per_group: u32,
    /// Events that an order's recorded fill may wait for the venue's own, before it is cut.
    pub grace_events: u32,
    /// Shortest recorded time between two oracle prices, in nanoseconds.
    pub oracle_interval_ns: u64,
    /// Most recorded orders tracked at once; more are left out and counted.
    pub orders_max: usize,
    /// Most price levels tracked per side; more are left out and counted.
    pub levels_per_side_max: usize,
}

impl Default for FlowConfig {
    fn default() -> Self {
        Self {
            participants_per_group: 8,
            grace_events: 16,
            oracle_interval_ns: 100_000_000,
            orders_max: 4_000_000,
            levels_per_side_max: 100_000,
        }
    }
}

/// How long an order lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderKind {
    /// Trades what crosses, the rest rests.
    Limit,
    /// Rests, or is refused if it crosses.
    PostOnly,
    /// Trades what crosses, the rest is cancelled.
    Ioc,
}

/// One command for the venue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowCommand {
    /// Recorded time of the event that caused it.
    pub time_ns: u64,
    /// What to do.
    pub action: Action,
}

/// What to do. Prices and sizes are in the units of the [`Instrument`](crate::Instrument).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Place an order.
    Place {
        /// Participant, below [`OrderFlow::participants`].
        actor: u32,
        /// Unique id of the order.
        client_id: u64,
        /// Side.
        side: Side,
        /// Limit price.
        price: u64,
        /// Size, not zero.
        size: u64,
        /// How long it lives.
        kind: OrderKind,
    },
    /// Replace a resting order by one with this price and this *remaining* size. Refused without
    /// effect when the old order rests no more.
    Modify {
        /// Its owner.
        actor: u32,
        /// The order.
        client_id: u64,
        /// Its id from now on.
        new_client_id: u64,
        /// Its side, unchanged.
        side: Side,
        /// Limit price from now on.
        price: u64,
        /// Remaining size from now on, not zero.
        size: u64,
        /// How long it lives.
        kind: OrderKind,
    },
    /// Cancel an order; it may be gone already.
    Cancel {
        /// Its owner.
        actor: u32,
        /// The order.
        client_id: u64,
    },
    /// The oracle price of the instrument.
    Oracle {
        /// Price.
        price: u64,
    },
}

/// What was made of the events. Sizes are in units of the instrument.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlowReport {
    /// Events applied.
    pub events: u64,
    /// Resting orders placed.
    pub placed: u64,
    /// Immediate-or-cancel orders placed.
    pub taken: u64,
    /// Orders modified.
    pub modified: u64,
    /// Orders cancelled.
    pub cancelled: u64,
    /// Oracle prices given.
    pub oracle_prices: u64,
    /// Fills that the venue told, of all orders.
    pub fills: u64,
    /// Orders that the venue refused or ended by itself.
    pub refused: u64,
    /// Recorded fills that this venue did not repeat, so that the order was cut.
    pub unreproduced_fills: u64,
    /// Their size.
    pub unreproduced_size: u128,
    /// Orders cancelled in the record that this venue had filled already.
    pub filled_instead_of_cancelled: u64,
    /// Orders known first from a later event and placed with what it says is open.
    pub adopted: u64,
    /// Events of orders that are not known and not open afterwards.
    pub unknown_orders: u64,
    /// Added orders whose id was in use; the older one was cancelled.
    pub duplicate_orders: u64,
    /// Events that came after their order was removed, or after a newer state of the book.
    pub stale_events: u64,
    /// Executions of hidden orders and auction trades: nothing of them rests in a book.
    pub unbooked_trades: u64,
    /// Depth messages that do not continue the one before.
    pub depth_gaps: u64,
    /// Levels placed again or raised after this venue filled more of them than the record.
    pub restored_levels: u64,
    /// Orders and levels left out because too many were tracked.
    pub left_out: u64,
    /// Halts and resumptions seen; they cause no command.
    pub halts: u64,
}

/// Which part of the flow an order belongs to: the low bits of its client id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Order = 0,
    Level = 1,
    Taker = 2,
}

/// What both parts share: ids, participants, counters, and the commands being made.
struct Desk {
    config: FlowConfig,
    next_id: u64,
    report: FlowReport,
    oracle_price: Option<u64>,
    oracle_time_ns: u64,
}

impl Desk {
    fn new_id(&mut self, class: Class) -> u64 {
        self.next_id += 1;
        self.next_id << 2 | class as u64
    }

    /// A participant of a group, the same for the same key.
    fn actor(&self, group: u32, key: u64) -> u32 {
        let count = self.config.participants_per_group;
        // Fibonacci hashing: neighbouring ids and prices spread over all participants.
        let spread = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        group * count + u32::try_from(spread % u64::from(count)).unwrap_or(0)
    }

    /// The group of a side, where every participant keeps to one side.
    fn side_actor(&self, side: Side, key: u64) -> u32 {
        self.actor(if side == Side::Bid { 0 } else { 1 }, key)
    }

    fn oracle(&mut self, time_ns: u64, best: Option<(u64, u64)>, out: &mut Vec<FlowCommand>) {
        let Some((bid, ask)) = best.filter(|(bid, ask)| bid < ask) else { return };
        let price = bid + (ask - bid) / 2;
        let due = self.oracle_time_ns.saturating_add(self.config.oracle_interval_ns);
        let early = self.oracle_price.is_some() && time_ns < due;
        if price == 0 || early || self.oracle_price == Some(price) {
            return;
        }
        self.oracle_price = Some(price);
        self.oracle_time_ns = time_ns;
        self.report.oracle_prices += 1;
        out.push(FlowCommand { time_ns, action: Action::Oracle { price } });
    }

    fn take(
        &mut self,
        time_ns: u64,
        (actor, side): (u32, Side),
        (price, size): (u64, u64),
        out: &mut Vec<FlowCommand>,
    ) {
        let client_id = self.new_id(Class::Taker);
        let kind = OrderKind::Ioc;
        self.report.taken += 1;
        let action = Action::Place { actor, client_id, side, price, size, kind };
        out.push(FlowCommand { time_ns, action });
    }
}

/// Turns recorded events into commands; see the module's rules.
pub struct OrderFlow {
    desk: Desk,
    orders: Orders,
    levels: Levels,
}

impl OrderFlow {
    /// An order flow that has seen nothing yet.
    pub fn new(mut config: FlowConfig) -> Self {
        config.participants_per_group = config.participants_per_group.clamp(1, 1 << 16);
        let desk = Desk {
            config,
            next_id: 0,
            report: FlowReport::default(),
            oracle_price: None,
            oracle_time_ns: 0,
        };
        Self { desk, orders: Orders::default(), levels: Levels::default() }
    }

    /// Number of participants; their ids count from 0.
    pub fn participants(&self) -> u32 {
        2 * self.desk.config.participants_per_group
    }

    /// Applies one event; appends the commands that it causes, in order.
    pub fn apply(&mut self, event: &Event, out: &mut Vec<FlowCommand>) {
        let desk = &mut self.desk;
        desk.report.events += 1;
        let time = event.time_ns;
        // Before the event's own commands: those may fill what is cut here.
        self.orders.settle_due(desk, time, out);
        match &event.kind {
            EventKind::Add { .. }
            | EventKind::Change { .. }
            | EventKind::Reduce { .. }
            | EventKind::Remove { .. }
            | EventKind::Execute { .. } => self.orders.apply(desk, event, out),
            EventKind::Snapshot { .. } | EventKind::Depth { .. } | EventKind::Quote { .. } => {
                self.levels.apply(desk, event, out);
            }
            EventKind::Trade { price, size, aggressor: Some(side) } => {
                let actor = desk.actor(1, desk.next_id);
                desk.take(time, (actor, *side), (*price, *size), out);
            }
            EventKind::Trade { aggressor: None, .. } => desk.report.unbooked_trades += 1,
            EventKind::Halt { .. } => desk.report.halts += 1,
        }
    }

    /// The venue filled `size` of an order, as maker or as taker.
    pub fn on_fill(&mut self, client_id: u64, size: u64) {
        self.desk.report.fills += 1;
        self.orders.on_fill(client_id, size);
        self.levels.on_fill(client_id, size);
    }

    /// The venue refused an order or ended it by itself. Not needed for orders that were filled
    /// completely, cancelled by command, or immediate-or-cancel.
    pub fn on_gone(&mut self, client_id: u64) {
        self.desk.report.refused += 1;
        self.orders.on_fill(client_id, u64::MAX);
        self.levels.on_fill(client_id, u64::MAX);
    }

    /// After the last event: cuts what still waits for a fill.
    pub fn finish(&mut self, time_ns: u64, out: &mut Vec<FlowCommand>) {
        self.orders.settle_all(&mut self.desk, time_ns, out);
        self.levels.settle(&mut self.desk, time_ns, out);
    }

    /// Cancels everything that still rests, in the order of client ids, and forgets it.
    pub fn withdraw(&mut self, time_ns: u64, out: &mut Vec<FlowCommand>) {
        let mut resting = self.orders.drain();
        resting.extend(self.levels.drain());
        resting.sort_unstable();
        for (client_id, actor) in resting {
            self.desk.report.cancelled += 1;
            out.push(FlowCommand { time_ns, action: Action::Cancel { actor, client_id } });
        }
    }

    /// Size that the venue still holds of an order, as far as it has told.
    pub fn resting(&self, client_id: u64) -> u64 {
        self.orders.resting(client_id).or_else(|| self.levels.resting(client_id)).unwrap_or(0)
    }

    /// What was made of the events so far.
    pub fn report(&self) -> &FlowReport {
        &self.desk.report
    }
}

#[cfg(test)]
mod tests;
