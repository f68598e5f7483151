//! The drain against a naive twin, and the promises that it makes whatever the load.

use atoll_mempool::{Limits, Mempool, PendingTransaction, Queueing};
use atoll_types::{Address, EnvironmentId, Lane, Transaction};
use proptest::prelude::*;

const ENVIRONMENTS: [(EnvironmentId, Queueing); 3] = [
    (EnvironmentId(1), Queueing::Lanes),
    (EnvironmentId(2), Queueing::Arrival),
    (EnvironmentId(3), Queueing::Lanes),
];
const LANES: [Lane; 3] = [Lane::Cancel, Lane::PostOnly, Lane::Rest];

fn pending(number: u64, environment: usize, lane: usize, len: usize) -> PendingTransaction {
    let mut bytes = vec![0; len + 8];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    let environment = ENVIRONMENTS[environment].0;
    let transaction = Transaction { environment, lane: LANES[lane], bytes };
    PendingTransaction {
        hash: transaction.hash(),
        transaction,
        sender: Address::ZERO,
        received_us: number,
        ticket: number,
    }
}

fn limits() -> Limits {
    Limits { rate: None, per_sender_max: u32::MAX, ..Limits::default() }
}

/// One flat list, and the rule of turns told word by word: the turn goes round over all (queue)
/// places; a queue in its turn may give so many; it goes on where it stopped.
#[derive(Default)]
struct Naive {
    waiting: Vec<PendingTransaction>,
    place: usize,
    given: usize,
}

impl Naive {
    fn queue_of(pending: &PendingTransaction) -> usize {
        let environment = pending.transaction.environment;
        let index = ENVIRONMENTS.iter().position(|(id, _)| *id == environment).unwrap();
        match ENVIRONMENTS[index].1 {
            Queueing::Lanes => index * 3 + pending.transaction.lane as usize,
            Queueing::Arrival => index * 3 + 2,
        }
    }

    fn drain(&mut self, transactions_max: usize, bytes_max: usize) -> Vec<PendingTransaction> {
        let size = |p: &PendingTransaction| p.transaction.bytes.len();
        let total: usize = self.waiting.iter().map(size).sum();
        if self.waiting.len() <= transactions_max && total <= bytes_max {
            return std::mem::take(&mut self.waiting);
        }
        let (mut out, mut bytes) = (Vec::new(), 0);
        while out.len() < transactions_max && !self.waiting.is_empty() {
            let head = self.waiting.iter().position(|p| Self::queue_of(p) == self.place);
            match head {
                Some(head) if self.given < [4, 2, 2][self.place % 3] => {
                    if bytes + size(&self.waiting[head]) > bytes_max {
                        break;
                    }
                    bytes += size(&self.waiting[head]);
                    out.push(self.waiting.remove(head));
                    self.given += 1;
                }
                _ => (self.place, self.given) = ((self.place + 1) % 9, 0),
            }
        }
        out.sort_by_key(|p| p.ticket);
        out
    }
}

#[derive(Clone, Debug)]
enum Op {
    Admit { environment: usize, lane: usize, len: usize },
    Drain { transactions: usize, bytes: usize },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let admit = (0..3usize, 0..3usize, 0..100usize)
        .prop_map(|(environment, lane, len)| Op::Admit { environment, lane, len });
    let drain = (0..12usize, 108..900usize)
        .prop_map(|(transactions, bytes)| Op::Drain { transactions, bytes });
    prop::collection::vec(prop_oneof![8 => admit, 1 => drain], 0..200)
}

proptest! {
    #[test]
    fn drains_are_those_of_the_naive_twin(ops in ops()) {
        let mut pool = Mempool::new(limits(), ENVIRONMENTS).unwrap();
        let mut naive = Naive::default();
        for (number, op) in ops.into_iter().enumerate() {
            match op {
                Op::Admit { environment, lane, len } => {
                    let pending = pending(number as u64, environment, lane, len);
                    pool.admit(pending.clone()).unwrap();
                    naive.waiting.push(pending);
                }
                Op::Drain { transactions, bytes } => {
                    let taken = pool.drain(transactions as u64, bytes as u64);
                    prop_assert!(taken.is_sorted_by_key(|p| p.ticket));
                    prop_assert_eq!(taken, naive.drain(transactions, bytes));
                }
            }
            prop_assert_eq!(pool.fill().transactions as usize, naive.waiting.len());
        }
        prop_assert_eq!(pool.drain(u64::MAX, u64::MAX), naive.waiting);
        prop_assert_eq!(pool.fill(), Default::default());
    }
}

#[test]
fn a_flood_in_one_queue_starves_no_other() {
    let mut pool = Mempool::new(limits(), ENVIRONMENTS).unwrap();
    for number in 0..5_000 {
        pool.admit(pending(number, 0, 2, 0)).unwrap();
    }
    // One of each other queue, behind the flood.
    let late = [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2)];
    for (number, (environment, lane)) in (5_000..).zip(late) {
        pool.admit(pending(number, environment, lane, 0)).unwrap();
    }
    let taken = pool.drain(16, u64::MAX);
    let got = taken.iter().filter(|p| p.ticket >= 5_000).count();
    assert_eq!(got, late.len(), "all of them in the first sixteen");
}
