//! The order inside a tick.

use atoll_types::{EnvironmentId, Lane, Transaction};

/// How an environment orders its transactions inside a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LanePolicy {
    /// Cancels, then post-only orders, then the rest; by arrival inside a lane.
    Lanes,
    /// Strictly by arrival.
    Arrival,
}

/// The order of execution of what arrived: the place in `arrived` of each one to execute.
///
/// An environment keeps the places that its transactions have in order of arrival, and fills them
/// in the order of its policy: across environments the order is that of arrival.
pub fn order(
    arrived: &[(EnvironmentId, Lane)],
    policy: impl Fn(EnvironmentId) -> LanePolicy,
) -> Vec<usize> {
    // Both sorts are stable: `places` by environment and arrival, `sources` also by lane.
    let mut places: Vec<usize> = (0..arrived.len()).collect();
    places.sort_by_key(|&place| arrived[place].0);
    let mut sources = places.clone();
    for group in sources.chunk_by_mut(|&a, &b| arrived[a].0 == arrived[b].0) {
        if policy(arrived[group[0]].0) == LanePolicy::Lanes {
            group.sort_by_key(|&source| arrived[source].1);
        }
    }
    let mut out = vec![0; arrived.len()];
    for (place, source) in places.into_iter().zip(sources) {
        out[place] = source;
    }
    out
}

/// Whether a tick's transactions could have come from [`order`]: lanes ascend in each environment
/// that has lanes. What a validator asks of a leader's tick.
pub fn obeys(transactions: &[Transaction], policy: impl Fn(EnvironmentId) -> LanePolicy) -> bool {
    let arrived: Vec<_> = transactions.iter().map(|t| (t.environment, t.lane)).collect();
    order(&arrived, policy).is_sorted()
}
