//! The queues, and whose turn it is.
//!
//! Environments take turns; in its turn an environment gives up to [`TURN`] transactions of each
//! of its queues. The place where a drain stopped is where the next one goes on, so every queue's
//! head leaves after a bounded number of others.

use crate::{LimitsError, PendingTransaction, Queueing};
use atoll_types::{EnvironmentId, Lane};
use std::collections::{BTreeMap, VecDeque};

/// Transactions per queue and turn: cancels, post-only, rest. With one queue for all, the last.
const TURN: [u32; 3] = [4, 2, 2];

/// The queue of a lane.
pub(crate) fn queue_of(lane: Lane) -> usize {
    match lane {
        Lane::Cancel => 0,
        Lane::PostOnly => 1,
        Lane::Rest | Lane::Aside => 2,
    }
}

/// A transaction and the number of its arrival.
type Arrived = (u64, PendingTransaction);

#[derive(Debug)]
struct Environment {
    queueing: Queueing,
    admitting: bool,
    queues: [VecDeque<Arrived>; 3],
}

impl Environment {
    fn len(&self) -> u64 {
        self.queues.iter().map(|queue| queue.len() as u64).sum()
    }
}

/// Whose turn it is: environment (by its place in order of id), queue, and how many it gave.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    environment: usize,
    queue: usize,
    given: u32,
}

#[derive(Debug)]
pub(crate) struct Queues {
    places: BTreeMap<EnvironmentId, usize>,
    environments: Vec<Environment>,
    turn: Turn,
    next: u64,
}

impl Queues {
    pub(crate) fn new(
        given: impl IntoIterator<Item = (EnvironmentId, Queueing)>,
    ) -> Result<Self, LimitsError> {
        let mut places = BTreeMap::new();
        let mut environments = Vec::new();
        for (id, queueing) in given {
            if places.insert(id, environments.len()).is_some() {
                return Err(LimitsError::Twice(id));
            }
            environments.push(Environment {
                queueing,
                admitting: true,
                queues: Default::default(),
            });
        }
        Ok(Self { places, environments, turn: Turn::default(), next: 0 })
    }

    /// Whether the environment admits, and how many wait for it; `None` if there is none such.
    pub(crate) fn gate(&self, id: EnvironmentId) -> Option<(bool, u64)> {
        let environment = &self.environments[*self.places.get(&id)?];
        Some((environment.admitting, environment.len()))
    }

    pub(crate) fn set_admitting(&mut self, id: EnvironmentId, admitting: bool) -> bool {
        let place = self.places.get(&id);
        if let Some(place) = place {
            self.environments[*place].admitting = admitting;
        }
        place.is_some()
    }

    pub(crate) fn push(&mut self, pending: PendingTransaction) {
        let Some(place) = self.places.get(&pending.transaction.environment) else { return };
        let environment = &mut self.environments[*place];
        let queue = match environment.queueing {
            Queueing::Lanes => queue_of(pending.transaction.lane),
            Queueing::Arrival => queue_of(Lane::Rest),
        };
        environment.queues[queue].push_back((self.next, pending));
        self.next += 1;
    }

    pub(crate) fn take_all(&mut self) -> Vec<PendingTransaction> {
        let queues = self.environments.iter_mut().flat_map(|e| e.queues.iter_mut());
        sorted(queues.flat_map(|queue| queue.drain(..)).collect())
    }

    pub(crate) fn clear(&mut self, id: EnvironmentId) -> Vec<PendingTransaction> {
        let Some(place) = self.places.get(&id) else { return Vec::new() };
        let queues = self.environments[*place].queues.iter_mut();
        sorted(queues.flat_map(|queue| queue.drain(..)).collect())
    }

    /// Takes by turns until something does not fit or nothing is left.
    pub(crate) fn take(
        &mut self,
        transactions_max: u64,
        bytes_max: u64,
    ) -> Vec<PendingTransaction> {
        let mut taken: Vec<Arrived> = Vec::new();
        let (mut transactions, mut bytes) = (transactions_max, bytes_max);
        let mut empty_in_a_row = 0;
        while transactions > 0 && empty_in_a_row <= self.environments.len() * TURN.len() {
            let Turn { environment, queue, given } = self.turn;
            let waiting = &mut self.environments[environment].queues[queue];
            let head = waiting.front().map(|(_, pending)| pending.bytes());
            match head {
                Some(size) if given < TURN[queue] => {
                    if size > bytes {
                        break;
                    }
                    taken.extend(waiting.pop_front());
                    self.turn.given += 1;
                    (transactions, bytes) = (transactions - 1, bytes - size);
                    empty_in_a_row = 0;
                }
                _ => {
                    self.pass();
                    empty_in_a_row += 1;
                }
            }
        }
        sorted(taken)
    }

    fn pass(&mut self) {
        self.turn.given = 0;
        self.turn.queue += 1;
        if self.turn.queue == TURN.len() {
            self.turn.queue = 0;
            self.turn.environment = (self.turn.environment + 1) % self.environments.len().max(1);
        }
    }
}

fn sorted(mut arrived: Vec<Arrived>) -> Vec<PendingTransaction> {
    arrived.sort_unstable_by_key(|(number, _)| *number);
    arrived.into_iter().map(|(_, pending)| pending).collect()
}
