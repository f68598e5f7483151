//! The risk-aware list: each gives by its profit, rounded down, and what rounding leaves is given
//! lot by lot by whoever then gives the smallest share (the divisor method of d'Hondt), so that the
//! largest share of a profit that anybody gives up is as small as whole lots allow.

use super::deleverage::Winner;
use super::score::Ratio;
use crate::engine::Engine;
use crate::ids::{AccountId, Amount, Side, Size};
use crate::math::mul_div;
use crate::objects::{EstateKey, Share, ShareKey};
use crate::rules::MarketRules;
use crate::spec::Deleveraging;
use atoll_state::Source;

/// Above every account's part of a member; scores come above it.
const ACCOUNTS: u64 = 1 << 32;

/// An account as a member of a list: by its score, then the lower number is the higher member.
pub(super) fn member(score: u64, account: AccountId) -> u64 {
    score * ACCOUNTS + (ACCOUNTS - 1 - u64::from(account.0))
}

/// What a member of a list waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// To give what is its by its profit: the highest of the score's 24 bits.
    First,
    /// To give one lot more: the second highest.
    Second,
    /// To give its whole position, as in the queue.
    Last,
}

impl Turn {
    /// What a member waits for, and who it is.
    pub(crate) fn of_member(member: u64, mode: Deleveraging) -> (Self, AccountId) {
        let score = member / ACCOUNTS;
        let turn = match mode {
            Deleveraging::RiskAware if score >> 23 == 1 => Self::First,
            Deleveraging::RiskAware if score >> 22 == 1 => Self::Second,
            Deleveraging::RiskAware | Deleveraging::Queue => Self::Last,
        };
        (turn, AccountId((ACCOUNTS - 1 - member % ACCOUNTS) as u32))
    }
}

/// The score of a profit over all lots of a position.
pub(super) fn first(profit: Amount, lots: Size) -> u64 {
    let ratio = Ratio::of(profit).over(Ratio::of(Amount::from(lots)));
    1 << 23 | ratio.quantised(20, 6, 17)
}

/// The score of a profit over the lots that will have been given: the lowest share comes first.
fn second(profit: Amount, lots: Size) -> u64 {
    let ratio = Ratio::of(profit).over(Ratio::of(Amount::from(lots)));
    1 << 22 | ratio.quantised(20, 7, 15)
}

/// From so many lots on a share is rounded up: a lot is a part in 2¹⁵.
const MANY: Size = 1 << 15;

impl<S: Source> Engine<'_, S> {
    /// What a winner gave so far, taken out of the state with it.
    pub(super) fn share_of(&mut self, key: &EstateKey, account: AccountId, turn: Turn) -> Share {
        if turn != Turn::Second {
            return Share::default();
        }
        let estate = self.state.estates.get_mut(key);
        estate.waiting = estate.waiting.saturating_sub(1);
        let at = ShareKey { estate: key.0, account };
        let share = *self.state.shares.get(&at);
        if share != Share::default() {
            self.state.shares.remove(&at);
        }
        share
    }

    /// How many lots are a winner's by its profit. Whoever would give more than it has gives all,
    /// and the rest is split over the others.
    pub(super) fn split(&mut self, key: &EstateKey, winner: &Winner) -> Size {
        let estate = self.state.estates.get_mut(key);
        let own = winner.position.size.unsigned_abs();
        let whole = estate.profit.max(winner.profit);
        let (part, exact) = mul_div(estate.open.into(), winner.profit, whole);
        // At most what is open. Of so many lots one more is within what scores can tell apart, and
        // saves a second turn for it.
        let part = part as u64;
        let part = if exact || part < MANY { part } else { part + 1 };
        if part >= own {
            estate.open -= own;
            estate.profit = (estate.profit - winner.profit).max(0);
        }
        part.min(own)
    }

    /// Keeps a winner, who gave `lots` now and `share` before, for its second turn.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn await_second(
        &mut self,
        rules: &MarketRules,
        held: Side,
        key: &EstateKey,
        account: AccountId,
        share: Share,
        winner: &Winner,
        lots: Size,
    ) {
        let profit = if share.lots == 0 { winner.profit } else { share.profit };
        let given = share.lots + lots;
        if given > 0 {
            let at = ShareKey { estate: key.0, account };
            self.state.shares.set(&at, Share { lots: given, profit });
        }
        self.state.estates.get_mut(key).waiting += 1;
        self.enlist(rules, held, account, second(profit, given + 1));
    }
}
