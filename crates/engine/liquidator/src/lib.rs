//! Finds accounts and isolated positions that can be liquidated, without looking at the others.
//!
//! [`Liquidator`] is a node's own index beside an exchange's state. Nobody has to trust it: a
//! liquidation is a command that the state transition checks by itself. It is built from the state,
//! told of events ([`Liquidator::observe`]), and follows prices at each tick
//! ([`Liquidator::advance`]; by several threads [`Liquidator::advance_on`]). It has no clock, no thread of
//! its own and no I/O, and is no part of the state.
//!
//! # How
//! An account's *slack* is its equity less its maintenance requirement; it can be liquidated when
//! that is below zero. When an account is looked at, its slack S is split: a third is shared out
//! to its positions, by value and a little by heads, and two thirds stay common. From its share
//! a position gets an **inner bound**, from its share and all that is common an **outer bound**: how
//! far its market may move before they are used up. Bounds of a market lie in order, so a tick reads
//! those that its marks have reached and nothing else. What it reads says by itself how much of the
//! common part each position uses:
//!
//! > used = (present − inner) / (outer − inner)
//!
//! An account is looked at exactly when these come to one or more. One that is beyond inner bounds
//! and has something left may wait: [`Liquidator::settle`] splits its slack anew when there is time.
//!
//! # Why none is missed
//! Let a position *lose* ℓ since the split: by how much its part of the account's slack fell,
//! negative for a gain. Suppose that (*) a position that is not beyond its inner bound has lost at
//! most its share aₘ, and one between its bounds at most aₘ + used × C, C being what is common. Then
//! the account has lost at most Σ aₘ + C × Σ used ≤ S if Σ used ≤ 1, so its slack is not below
//! zero. What its other positions gained only adds to that. It remains to show (*).
//!
//! **Danger.** A long and a short side of each market have each a danger z. With V the value of a
//! lot at the mark (price × multiplier; −lot value / price for an inverse contract; × 10⁹), F the
//! cumulative funding, and Π a penalty that only rises:
//!
//! > z(long) = F + Π − V,  z(short) = V − F + Π.
//!
//! A position of s lots whose value and funding fall by c lots' worth loses |s| × c, plus what its
//! maintenance requirement M grew. Bounds are z at the split plus share / (|s| × slope): funding
//! is in z, so its payment touches no account and moves no bound.
//!
//! **Requirements.** M = scale × m(e) of the exposure e = |V|, where m is convex with rates between
//! those of the first and the last tier (deductions make it so: each part of the value pays its own
//! tier's rate). Where the contract is worth more as things get worse (linear short, inverse long)
//! M grows with the loss: slope = 1 + scale × rate of the tier at twice the present value, and no
//! bound is set farther than where the value has doubled. Where it is worth less, M falls, and the
//! slope is one. Let h(V) be the position's part of the slack; it is monotone in V as long as scale × highest
//! rate l is below one, so what a bound promises need only be shown at the bound's own value β:
//!
//! * *Funding moves by ΔF with the mark still*: β moves by as much, and M(β) by at most
//!   scale × l × (|ΔF| + ΔΠ) a lot. ΔΠ = scale × l / (1 − scale × l) × |ΔF| makes up for it.
//! * *The scale rises by Δ* (volatility): M(β) grows by at most Δ × l × e(β), and e(β) is at most
//!   the lot's value now for bounds that are not reached where the contract is worth less when
//!   things get worse, and twice what it ever was, plus what funding moved, for others. ΔΠ =
//!   Δ × l / (1 − scale × l) × that. What is beyond an inner bound then is looked at first. A falling
//!   scale only adds slack.
//! * *Scale × l above three quarters* is not followed: accounts in such a market are looked at at
//!   every tick until it falls, and so is whoever has a position without a mark.
//!
//! **Inverse contracts.** V is −lot value / price, so their convexity is in the danger. Their losses
//! are in coin: a share of slack is converted at 5/4 of the coin's oracle price, and a rise by more
//! than that quarter is a bound like others.
//!
//! **Other collateral.** With x what an account's coins count for (less the haircut where there are
//! any, in full where they are owed) less what they must cover, and q the oracle price, the coin's
//! part of the slack is q × x. From q, x to q′, x′ it loses (q − q′) x + q′ (x − x′). The first
//! term is a position of x coins in the oracle price, with bounds of its own; in the second x
//! loses no more than the balance and the positions in coin do (the haircut never counts more than
//! once), at q′ ≤ 5/4 q. An account whose coin has no oracle price yet is looked at at every tick.
//!
//! **Interest.** What a debt will have cost an hour later, at 5/4 of the oracle price, is set aside,
//! and the account is looked at again when that hour has passed.
//!
//! **Rounding.** Four units and four units a position and its size / 2²⁶ are set aside for the
//! roundings of values, funding and requirements; whoever has no more than that is looked at at
//! every tick. Bounds are kept in 32 bits by a function that never falls, so that what reached a
//! bound is seen to have reached it; what is used is computed from the least value of each code.
//!
//! **Isolated positions** have all of their slack for their one market; both bounds are the same.
//!
//! # Known limitations
//! * Gains do not count against losses until the account is looked at: portfolios of longs and
//!   shorts are looked at when their losing positions alone would have used up their slack.
//! * A rising scale is charged by the market's highest tier. Where it swings, accounts close to it
//!   are looked at once more than they would have to be.
//! * Beyond 4,096 units known to be liquidatable, which ones have recovered is found out in turns.
mod index;
mod ladder;
mod motion;
mod reach;
mod split;

use atoll_exchange::{AccountId, MarketId};

pub use index::{Liquidator, SharedFrom, touched};

/// What can be liquidated: an account's cross margin, or one of its isolated positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit {
    /// Whose.
    pub account: AccountId,
    /// The market of the isolated position; none for the cross account.
    pub market: Option<MarketId>,
}

/// What a look at the exchange came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Units that can be liquidated.
    pub liquidatable: usize,
    /// How many were known before.
    pub before: usize,
    /// Accounts that were looked at exactly.
    pub looked_at: usize,
    /// Accounts that commands had touched, among them.
    pub touched: usize,
    /// Bounds read, in a row, to find the others.
    pub read: usize,
    /// Accounts beyond an inner bound that have enough left, and may wait for new ones.
    pub waiting: usize,
}

/// What the index holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Accounts.
    pub accounts: usize,
    /// Bounds, those no longer in force included.
    pub entries: usize,
    /// Accounts that are looked at at every tick.
    pub watched: usize,
    /// Memory, in bytes.
    pub bytes: usize,
}
