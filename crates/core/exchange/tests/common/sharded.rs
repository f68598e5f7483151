//! An exchange that executes in shards what another one has executed one by one.

use super::{Answer, Op, by_key};
use atoll_exchange::parallel::{Counts, Shards};
use atoll_exchange::{AccountId, Command, Exchange, Rules};
use atoll_state::object::{self, ReadSet};
use atoll_state::{Resident, Workers, WriteSet};

/// A thread for each item.
pub(crate) struct Threads;

impl Workers for Threads {
    #[allow(clippy::disallowed_methods, reason = "what is tested is that threads decide nothing")]
    fn each<T: Send>(&mut self, items: &mut [T], work: &(impl Fn(usize, &mut T) + Sync)) {
        std::thread::scope(|scope| {
            for (n, item) in items.iter_mut().enumerate() {
                scope.spawn(move || work(n, item));
            }
        });
    }
}

/// One item after another, the last one first: as good an order as any.
pub(crate) struct LastFirst;

impl Workers for LastFirst {
    fn each<T: Send>(&mut self, items: &mut [T], work: &(impl Fn(usize, &mut T) + Sync)) {
        items.iter_mut().enumerate().rev().for_each(|(n, item)| work(n, item));
    }
}

/// Either, so that one type does for both.
pub(crate) enum Crew {
    Threads(Threads),
    LastFirst(LastFirst),
}

impl Workers for Crew {
    fn each<T: Send>(&mut self, items: &mut [T], work: &(impl Fn(usize, &mut T) + Sync)) {
        match self {
            Self::Threads(crew) => crew.each(items, work),
            Self::LastFirst(crew) => crew.each(items, work),
        }
    }
}

pub(crate) struct Sharded {
    pub exchange: Exchange<Resident>,
    shards: Shards,
    crew: Crew,
}

impl Sharded {
    /// With batches of so many commands at least.
    pub(crate) fn new(rules: Rules, shards: usize, shortest: usize, crew: Crew) -> Self {
        let mut exchange = Exchange::new(rules, 9);
        exchange.remember_from(1);
        let mut shards = Shards::new(shards, 9);
        shards.set_shortest(shortest);
        Self { exchange, shards, crew }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.shards.counts()
    }

    fn run(&mut self, ops: &[Op]) -> Vec<Answer> {
        let mut answers: Vec<Answer> = Vec::new();
        let mut waiting: Vec<(AccountId, Command)> = Vec::new();
        let Self { exchange, shards, crew } = self;
        let mut flush = |exchange: &mut Exchange<_>, waiting: &mut Vec<_>, answers: &mut Vec<_>| {
            let before = answers.len();
            exchange.execute_all(shards, crew, waiting, |n, done, events| {
                assert_eq!(answers.len(), before + n, "answers come in order");
                answers.push((done, events.to_vec()));
            });
            assert_eq!(answers.len(), before + waiting.len(), "every command is answered");
            waiting.clear();
        };
        for op in ops {
            match op {
                Op::Do(account, command) => waiting.push((*account, command.clone())),
                Op::In(input) => {
                    flush(exchange, &mut waiting, &mut answers);
                    let mut events = Vec::new();
                    answers.push((exchange.apply(input, &mut events), events));
                }
            }
        }
        flush(exchange, &mut waiting, &mut answers);
        answers
    }

    /// Goes through a range that gave these answers one by one, wrote and read these objects.
    pub(crate) fn range(
        &mut self,
        ops: &[Op],
        answers: &[Answer],
        writes: &WriteSet,
        reads: &ReadSet,
    ) {
        object::begin_unwitnessed(&mut self.exchange);
        let found = self.run(ops);
        for ((op, expected), found) in ops.iter().zip(answers).zip(&found) {
            assert_eq!(found, expected, "in shards another answer: {op:?}");
        }
        let mut told = WriteSet::default();
        self.exchange.seal_all(&mut self.shards, &mut self.crew, &mut told);
        let (told, writes, reads) = (by_key(&told), by_key(writes), by_key(reads));
        for (key, value) in &writes {
            assert_eq!(told.get(key), Some(value), "{key:02x?}");
        }
        for (key, value) in told.iter().filter(|(key, _)| !writes.contains_key(*key)) {
            assert_eq!(reads.get(key), Some(value), "{key:02x?}");
        }
        let audit = self.exchange.audit();
        assert!(audit.holds(), "{audit:?}");
        let wrong = self.exchange.inconsistencies();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
