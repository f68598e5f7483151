//! The order inside a tick.

use atoll_types::{EnvironmentId, Lane};

/// How an environment orders its transactions inside a tick. Equals stand in order of arrival.
///
/// A transaction has one lane, the one of the most that it does to any book, so what a policy says
/// of an environment's ticks holds for each of its markets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LanePolicy {
    /// Cancels, then post-only orders, then the rest.
    Lanes,
    /// What touches no book or only adds to it, then cancels, then what may take: Hyperliquid's
    /// (documentation, "Order book", "Order of transactions").
    Hyperliquid,
    /// Strictly by arrival.
    Arrival,
}

impl LanePolicy {
    fn rank(self, lane: Lane) -> u8 {
        match (self, lane) {
            (Self::Arrival, _) => 0,
            (Self::Lanes, Lane::Cancel) => 0,
            (Self::Lanes, Lane::PostOnly) => 1,
            (Self::Lanes, Lane::Rest | Lane::Aside) => 2,
            (Self::Hyperliquid, Lane::PostOnly | Lane::Aside) => 0,
            (Self::Hyperliquid, Lane::Cancel) => 1,
            (Self::Hyperliquid, Lane::Rest) => 2,
        }
    }
}

/// The order of execution of what arrived: the place in `arrived` of each one to execute.
///
/// An environment keeps the places that its transactions have in order of arrival, and fills them
/// in the order of its policy: across environments the order is that of arrival.
pub fn order(
    arrived: &[(EnvironmentId, Lane)],
    policy: impl Fn(EnvironmentId) -> LanePolicy,
) -> Vec<usize> {
    // Both sorts are stable: `places` by environment and arrival, `sources` also by rank.
    let mut places: Vec<usize> = (0..arrived.len()).collect();
    places.sort_by_key(|&place| arrived[place].0);
    let mut sources = places.clone();
    for group in sources.chunk_by_mut(|&a, &b| arrived[a].0 == arrived[b].0) {
        let policy = policy(arrived[group[0]].0);
        group.sort_by_key(|&source| policy.rank(arrived[source].1));
    }
    let mut out = vec![0; arrived.len()];
    for (place, source) in places.into_iter().zip(sources) {
        out[place] = source;
    }
    out
}

/// Whether a tick's transactions, in the order in which they stand, could have come from [`order`]:
/// ranks ascend in each environment. What a validator asks of a leader's tick.
pub fn obeys(
    transactions: &[(EnvironmentId, Lane)],
    policy: impl Fn(EnvironmentId) -> LanePolicy,
) -> bool {
    order(transactions, policy).is_sorted()
}
