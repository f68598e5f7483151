//! The engine: one command against the state.
//!
//! Every check of a command comes before its first write, so a refusal leaves nothing behind; what
//! has to write before it knows (modifications, groups, fill-or-kill orders, the backstop) is rolled
//! back as a whole. Sums of the state are changed by [`less`],
//! which holds invariants where the state is complete; on a witness that leaves objects out a sum
//! may come out wrong, but never as a panic: the fault is set and nobody believes the result.

mod bare;
mod book;
mod cancel;
mod conditional;
mod directory;
mod execute;
mod isolated;
mod liquidation;
mod listing;
mod margin;
mod matching;
mod money;
mod place;
mod prices;
mod status;
mod tick;

pub use bare::{BareBook, BareOrder, Place, Trade};
pub(crate) use book::Resting;
pub(crate) use conditional::told_trigger;
pub(crate) use directory::told;
pub(crate) use isolated::ISOLATED_ONLY;
pub(crate) use liquidation::Turn;
pub(crate) use margin::margin_sum;
pub(crate) use matching::reducible;
pub(crate) use money::Border;
pub(crate) use place::Incoming;
pub use prices::FundingView;
pub(crate) use prices::{book_mark, is_crossed, trades};

use crate::event::{Event, Refusal};
use crate::ids::MarketId;
use crate::objects::State;
use crate::rules::{MarketRules, Rules};
use alloc::vec::Vec;
use atoll_state::{Source, object};
use atoll_types::RejectCode;

/// A command in progress.
pub(crate) struct Engine<'a, S: Source> {
    pub(crate) rules: &'a Rules,
    pub(crate) state: &'a mut State<S>,
    pub(crate) events: &'a mut Vec<Event>,
    /// Number of the command, from 1.
    pub(crate) command: u64,
    /// Time of the tick.
    pub(crate) time_us: u64,
}

impl<'a, S: Source> Engine<'a, S> {
    /// Runs steps of which each may fail: all of them, or nothing.
    pub(crate) fn all_or_nothing<T, E>(
        &mut self,
        steps: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let events = self.events.len();
        let point = object::savepoint(&mut *self.state);
        let done = steps(self);
        if done.is_err() {
            object::rollback(&mut *self.state, point);
            self.events.truncate(events);
        } else {
            object::release(&mut *self.state, point);
        }
        done
    }

    pub(crate) fn market(&self, market: MarketId) -> Result<&'a MarketRules, Refusal> {
        let unknown = Refusal::new(
            RejectCode::UnknownMarket,
            "there is no market with this number; meta and spotMeta name them",
        );
        self.rules.market(market).ok_or(unknown)
    }
}

/// An invariant of the state: holds wherever the state is complete.
#[inline]
pub(crate) fn invariant<S: Source>(holds: bool, what: &str) {
    if !holds {
        S::broken(what);
    }
}

macro_rules! less {
    ($name:ident, $type:ty) => {
        /// `sum − part`, where the part is known to be in the sum.
        #[inline]
        pub(crate) fn $name<S: Source>(sum: $type, part: $type) -> $type {
            invariant::<S>(sum >= part, "a part is larger than its sum");
            sum.saturating_sub(part)
        }
    };
}
less!(less, u64);
less!(less_wide, u128);
less!(less_count, u32);

/// [`less`] for amounts that are never negative.
#[inline]
pub(crate) fn less_amount<S: Source>(sum: i128, part: i128) -> i128 {
    invariant::<S>(sum >= part, "a part is larger than its sum");
    sum - part
}
