//! A shard's part of a batch.

use crate::AHEAD;
use crate::command::Command;
use crate::engine::Engine;
use crate::event::{Event, Outcome, Refusal};
use crate::exchange::NO_ACCOUNT;
use crate::ids::AccountId;
use crate::objects::{Global, State};
use crate::rules::Rules;
use alloc::vec::Vec;
use atoll_state::{Shard, TableVisitor, Tables};
use core::sync::atomic::{AtomicBool, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What all parts of a batch have in common.
pub(super) struct Job<'a> {
    pub(super) rules: &'a Rules,
    pub(super) commands: &'a [(AccountId, Command)],
    /// Before the batch.
    pub(super) global: Global,
    /// Whether shards have met.
    pub(super) conflict: &'a AtomicBool,
}

/// Aligned so that no two write to the same cache lines.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Worker {
    pub(super) state: State<Shard>,
    /// Which commands, ascending.
    pub(super) part: Vec<u32>,
    events: Vec<Event>,
    /// Each command's answer, and how many events there were after it.
    answers: Vec<(Result<Outcome, Refusal>, u32)>,
    /// How many answers, and how many events, were told.
    told: (usize, usize),
}

impl Tables<Shard> for Worker {
    fn visit(&mut self, visitor: &mut impl TableVisitor<Shard>) {
        self.state.visit(visitor);
    }
}

impl Worker {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            state: State::new(seed),
            part: Vec::new(),
            events: Vec::new(),
            answers: Vec::new(),
            told: (0, 0),
        }
    }

    pub(super) fn run(&mut self, job: &Job<'_>) {
        self.events.clear();
        self.answers.clear();
        self.told = (0, 0);
        // What was met half-way may be anything: a panic is a conflict like another. If it was
        // none, the same happens again when the commands are executed one by one.
        if catch_unwind(AssertUnwindSafe(|| self.execute(job))).is_err() {
            job.conflict.store(true, Ordering::Relaxed);
        }
    }

    fn execute(&mut self, job: &Job<'_>) {
        let Self { state, part, events, answers, .. } = self;
        let command = |n: u32| &job.commands[n as usize];
        for (n, at) in part.iter().enumerate() {
            for ahead in 1..=AHEAD {
                if let Some((caller, command)) = part.get(n + ahead).map(|at| command(*at)) {
                    state.prefetch(*caller, command, ahead);
                }
            }
            if job.conflict.load(Ordering::Relaxed) {
                return;
            }
            let (caller, command) = command(*at);
            let done = if caller.0 < job.global.accounts {
                let number = job.global.commands + u64::from(*at) + 1;
                let (rules, time_us) = (job.rules, job.global.time_us);
                let mut engine =
                    Engine { rules, state: &mut *state, events, command: number, time_us };
                engine.execute(*caller, command)
            } else {
                Err(NO_ACCOUNT)
            };
            answers.push((done, events.len() as u32));
        }
    }

    /// The next command's answer and events.
    pub(super) fn next_answer(&mut self) -> Option<(Result<Outcome, Refusal>, &[Event])> {
        let (answer, events) = self.told;
        let (done, end) = self.answers.get(answer)?;
        let end = *end as usize;
        self.told = (answer + 1, end);
        Some((*done, &self.events[events..end]))
    }
}
