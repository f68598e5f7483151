//! The engine: one command against the state.
//!
//! Every check of a command comes before its first write, so a refusal leaves nothing behind (a
//! modification is the exception, and rolls back). Sums of the state are changed by [`less`],
//! which holds invariants where the state is complete; on a witness that leaves objects out a sum
//! may come out wrong, but never as a panic: the fault is set and nobody believes the result.

mod book;
mod cancel;
mod directory;
mod matching;
mod money;
mod place;
mod prices;
mod status;
mod tick;

pub(crate) use book::Resting;
pub(crate) use directory::told;
pub(crate) use matching::reducible;
pub(crate) use money::Border;
pub(crate) use place::Incoming;
pub use prices::FundingView;
pub(crate) use prices::{is_crossed, trades};

use crate::event::{Event, Refusal};
use crate::ids::{AccountId, MarketId};
use crate::margin::{Margin, MarginSum};
use crate::objects::{AccountKey, GroupKey, MarketKey, Position, PositionGroup, State};
use crate::rules::{MarketRules, Rules};
use alloc::vec::Vec;
use atoll_state::Source;
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
    pub(crate) fn market(&self, market: MarketId) -> Result<&'a MarketRules, Refusal> {
        let unknown = Refusal::new(
            RejectCode::UnknownMarket,
            "there is no market with this number; the spec lists the markets",
        );
        self.rules.market(market).ok_or(unknown)
    }

    /// Margin of an account at the current marks; `replace` puts a position in the place of a
    /// slot's own.
    pub(crate) fn margin(
        &mut self,
        account: AccountId,
        replace: Option<(u32, &MarketRules, &Position)>,
    ) -> Margin {
        let State { accounts, positions, prices, .. } = &mut *self.state;
        let owner = accounts.get(&AccountKey(account));
        let mut mark = |market| prices.get(&MarketKey(market)).mark;
        let replaced = replace.map(|(slot, ..)| slot);
        let mut sum = MarginSum::new(self.rules, owner.collateral, replaced);
        let groups = owner.markets().chunks(PositionGroup::SLOTS as usize);
        for (group, markets) in (0u8..).zip(groups) {
            let found = positions.get(&GroupKey { account, group });
            sum.group(group.into(), markets, found, &mut mark);
        }
        if let Some((_, rules, position)) = replace {
            sum.margin.add(rules, position, mark(rules.market));
        }
        sum.margin
    }
}

/// An invariant of the state: holds wherever the state is complete.
#[inline]
pub(crate) fn invariant<S: Source>(holds: bool, what: &str) {
    if S::COMPLETE {
        assert!(holds, "{what}");
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
