//! The order inside a tick against a naive twin.

mod common;

use atoll_sequencer::{LanePolicy, obeys, order};
use atoll_types::{EnvironmentId, Lane};
use common::LANES;
use proptest::prelude::*;

fn policy(environment: EnvironmentId) -> LanePolicy {
    [LanePolicy::Arrival, LanePolicy::Lanes, LanePolicy::Hyperliquid][environment.0 as usize % 3]
}

fn is(lane: Lane, name: &str) -> bool {
    format!("{lane:?}") == name
}

/// The rule word by word: at each place stands the environment that arrived there; it gives the
/// first of its lowest lane (or simply its first) that has not been given yet.
fn naive(arrived: &[(EnvironmentId, Lane)]) -> Vec<usize> {
    let mut given = vec![false; arrived.len()];
    let mut out = Vec::new();
    for (environment, _) in arrived {
        let own = || (0..arrived.len()).filter(|&i| arrived[i].0 == *environment);
        let left = own().filter(|&i| !given[i]);
        let next = match policy(*environment) {
            LanePolicy::Arrival => left.min(),
            LanePolicy::Lanes => left.min_by_key(|&i| {
                (["Cancel", "PostOnly"].iter().position(|l| is(arrived[i].1, l)).unwrap_or(2), i)
            }),
            LanePolicy::Hyperliquid => left.min_by_key(|&i| {
                let last = is(arrived[i].1, "Rest");
                (last, is(arrived[i].1, "Cancel"), i)
            }),
        };
        given[next.unwrap()] = true;
        out.push(next.unwrap());
    }
    out
}

proptest! {
    #[test]
    fn order_is_that_of_the_naive_twin(
        arrived in prop::collection::vec((1..6u32, 0..4usize), 0..60)
    ) {
        let arrived: Vec<_> =
            arrived.into_iter().map(|(e, lane)| (EnvironmentId(e), LANES[lane])).collect();
        let ordered = order(&arrived, policy);
        prop_assert_eq!(&ordered, &naive(&arrived));
        let stand: Vec<_> = ordered.iter().map(|&i| arrived[i]).collect();
        prop_assert!(obeys(&stand, policy));
        prop_assert_eq!(obeys(&arrived, policy), ordered.is_sorted());
    }
}

#[test]
fn cancels_come_first_in_their_own_environment_only() {
    let (one, two) = (EnvironmentId(1), EnvironmentId(3));
    let arrived = [
        (one, Lane::Rest),
        (two, Lane::Rest),
        (one, Lane::PostOnly),
        (two, Lane::Cancel),
        (one, Lane::Cancel),
        (one, Lane::Rest),
    ];
    assert_eq!(order(&arrived, policy), [4, 1, 2, 3, 0, 5]);
}
